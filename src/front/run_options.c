/* SPDX-License-Identifier: MIT */
/* The command line of `epcd run`. */
#include "front/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/size.h"
#include "front/section.h"
#include "front/swap_store.h"

static const char help[] = "usage: epcd run [--epc SIZE[@NODE]]... [--max SIZE] [--summary FILE] "
			   "[--debug]\n"
			   "                [--swap-max SIZE] [--swap FILE]\n"
			   "                -- COMMAND [ARG]...\n"
			   "Runs COMMAND with an EPC of its own at /dev/sgx_vepc and "
			   "/dev/sgx_enclave.\n"
			   "  --epc SIZE[@NODE]  a section of EPC on NUMA node NODE (default "
			   "64M@0), at most 8\n"
			   "  --max SIZE         limit of what the command may use\n"
			   "  --summary FILE     write what it used to FILE, as JSON\n"
			   "  --debug            log more, make debug/ in the run directory\n"
			   "  --swap-max SIZE    what enclaves may have outside of the EPC "
			   "(default 4 times the EPC)\n"
			   "  --swap FILE        keep that in a file, not in memory\n"
			   "SIZE: bytes, or with K, M or G after it.\n";

static int max_set(struct run *run, const char *text)
{
	int error = size_parse(text, &run->max_bytes);

	if (error)
		log_error("--max %s: not a size; say bytes, or K, M or G after a number", text);
	return error;
}

static int option_take(struct run *run, int option, const char *value)
{
	switch (option) {
	case 'e':
		return section_option_add(&run->daemon_options, value);
	case 'w':
		return swap_option_take(&run->daemon_options, value);
	case 'W':
		return swap_max_option_take(&run->daemon_options, value);
	case 'm':
		return max_set(run, value);
	case 's':
		run->summary_path = value;
		return 0;
	case 'd':
		run->daemon_options.is_debug = true;
		run->daemon_options.log_level = LOG_LEVEL_DEBUG;
		return 0;
	default:
		return -EINVAL;
	}
}

static int summary_open(struct run *run)
{
	if (!run->summary_path)
		return 0;
	run->summary_fd = open(run->summary_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (run->summary_fd >= 0)
		return 0;
	log_error("--summary %s: %m; name a file that can be written", run->summary_path);
	return 1;
}

int run_options_parse(struct run *run, int argc, char **argv)
{
	static const struct option options[] = {
		{ "epc", required_argument, NULL, 'e' },
		{ "max", required_argument, NULL, 'm' },
		{ "swap", required_argument, NULL, 'w' },
		{ "swap-max", required_argument, NULL, 'W' },
		{ "summary", required_argument, NULL, 's' },
		{ "debug", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	optind = 0; /* glibc: begin anew, main() may have used it */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return 2;
		}
		if (option == '?' || option == ':') {
			log_error("run: %s: %s; see `epcd run --help`", argv[optind - 1],
				  option == ':' ? "needs a value" : "no such option");
			return 1;
		}
		if (option_take(run, option, optarg))
			return 1;
	}
	if (optind >= argc) {
		log_error("run: no command; say `epcd run [OPTION]... -- COMMAND [ARG]...`");
		return 1;
	}
	run->command = argv + optind;
	if (!run->daemon_options.nr_sections &&
	    section_option_add(&run->daemon_options, SECTION_DEFAULT))
		return 1;
	return summary_open(run);
}
