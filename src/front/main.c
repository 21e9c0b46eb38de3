/* SPDX-License-Identifier: MIT */
/*
 * epcd: the command line, and whose work it is: the daemon's (daemon.c) or that of `epcd run`
 * (run.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/size.h"
#include "front/daemon.h"
#include "front/run.h"
#include "front/section.h"
#include "front/swap_store.h"

#define EXIT_BAD_USE 2
#define RUN_DIR_DEFAULT "/run/epcd"

enum {
	OPTION_EPC = 1,
	OPTION_SWAP,
	OPTION_SWAP_MAX,
	OPTION_RUN_DIR,
	OPTION_LINK_DEV,
	OPTION_LOG_LEVEL,
	OPTION_CGROUP_ROOT,
	OPTION_DEBUG,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "epc", required_argument, NULL, OPTION_EPC },
	{ "swap", required_argument, NULL, OPTION_SWAP },
	{ "swap-max", required_argument, NULL, OPTION_SWAP_MAX },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "link-dev", no_argument, NULL, OPTION_LINK_DEV },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ "cgroup-root", required_argument, NULL, OPTION_CGROUP_ROOT },
	{ "debug", no_argument, NULL, OPTION_DEBUG },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] = "usage: epcd [options]\n"
				"       epcd run [options] -- COMMAND [ARGUMENT]...   (epcd run "
				"--help)\n"
				"\n"
				"Gives virtual machines and enclaves their SGX EPC on a machine "
				"without SGX.\n"
				"\n"
				"  --epc SIZE[@NODE]   a section of EPC, on a NUMA node (default "
				"64M@0); up to 8 times;\n"
				"                      bytes or with suffix K, M, G\n"
				"  --swap-max SIZE     what enclaves may have outside of the EPC "
				"(default 4 times the EPC)\n"
				"  --swap FILE         keep that in a file, not in memory\n"
				"  --run-dir DIR       where to mount devices and control files "
				"(default " RUN_DIR_DEFAULT ")\n"
				"  --link-dev          make /dev/sgx_vepc a link to "
				"DIR/dev/sgx_vepc\n"
				"  --cgroup-root DIR   the cgroup v2 hierarchy (default: where it "
				"is mounted)\n"
				"  --log-level LEVEL   error, warning, info (default) or debug\n"
				"  --debug             files for tests in DIR/debug\n"
				"  --version, --help\n"
				"\n"
				"It stays in the foreground and ends on SIGTERM, SIGINT or "
				"SIGHUP.\n";

/* 0, or -EINVAL, logged. */
static int option_take(int option, const char *argument, struct daemon_options *options)
{
	enum log_level level;

	switch (option) {
	case OPTION_EPC:
		return section_option_add(options, argument);
	case OPTION_SWAP:
		return swap_option_take(options, argument);
	case OPTION_SWAP_MAX:
		return swap_max_option_take(options, argument);
	case OPTION_RUN_DIR:
		options->run_dir = argument;
		return 0;
	case OPTION_LINK_DEV:
		options->links_dev = true;
		return 0;
	case OPTION_LOG_LEVEL:
		if (log_level_parse(argument, &level) != 0) {
			log_error("--log-level %s: it is error, warning, info or debug", argument);
			return -EINVAL;
		}
		options->log_level = (int)level;
		return 0;
	case OPTION_CGROUP_ROOT:
		options->cgroup_root = argument;
		return 0;
	case OPTION_DEBUG:
		options->is_debug = true;
		return 0;
	default:
		return -EINVAL;
	}
}

/* getopt's own messages would begin with the path of the program. */
static void bad_option_log(int argc, char **argv, int option)
{
	const char *text = optind > 0 && optind <= argc ? argv[optind - 1] : "";

	if (option == ':')
		log_error("%s needs an argument; see epcd --help", text);
	else
		log_error("%s is not an option; see epcd --help", text);
}

/* 0: serve; 1: shown what was asked for; -EINVAL: logged. */
static int options_parse(int argc, char **argv, struct daemon_options *options)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", long_options, NULL)) >= 0) {
		if (option == '?' || option == ':') {
			bad_option_log(argc, argv, option);
			return -EINVAL;
		}
		if (option == OPTION_HELP || option == OPTION_VERSION) {
			fputs(option == OPTION_HELP ? help_text : "epcd " EPCD_VERSION "\n",
			      stdout);
			return 1;
		}
		if (option_take(option, optarg, options) != 0)
			return -EINVAL;
	}
	if (optind < argc) {
		log_error("%s is not an option; see epcd --help", argv[optind]);
		return -EINVAL;
	}
	return options->nr_sections ? 0 : section_option_add(options, SECTION_DEFAULT);
}

/* What is opened later must not become stdin, stdout or the log. False: not even /dev/null. */
static bool stdio_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct daemon_options options = {
		.run_dir = RUN_DIR_DEFAULT,
		.max_bytes = EPC_MAX_UNLIMITED,
		.log_level = LOG_LEVEL_INFO,
	};
	int error;

	if (!stdio_open()) {
		log_error("/dev/null cannot be opened (%m) in the place of a closed stdin or "
			  "stdout: give it one");
		return EXIT_BAD_USE;
	}
	if (argc > 1 && strcmp(argv[1], "run") == 0)
		return run_main(argc - 1, argv + 1);
	error = options_parse(argc, argv, &options);
	if (error)
		return error > 0 ? EXIT_SUCCESS : EXIT_BAD_USE;
	log_set_level((enum log_level)options.log_level);
	return daemon_main(&options, -1);
}
