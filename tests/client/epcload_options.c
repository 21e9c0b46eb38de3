/* SPDX-License-Identifier: MIT */
/* The command line of epcload. See epcload.h. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "epcload.h"

static const char usage[] = "usage: epcload [OPTION]... DEVICE\n"
			    "Builds enclaves through DEVICE (sgx_enclave), touches their pages, "
			    "verifies every word.\n"
			    "\n"
			    "  --size BYTES        of each enclave, with K, M or G (default 16M)\n"
			    "  --processes N       each with an enclave of its own (1)\n"
			    "  --threads N         of each process (1)\n"
			    "  --pattern PATTERN   sequential, random, zipf:S or phased (random)\n"
			    "  --writes PERCENT    of the touches (50)\n"
			    "  --touches N         of each process; or\n"
			    "  --seconds N         whichever is over first (neither: 10 seconds)\n"
			    "  --seed N            of everything that is random (1)\n"
			    "  --verify-all        reads every page once more at the end\n"
			    "  --sigbus WHAT       fatal, or count: reported, and the page is left "
			    "out (fatal)\n"
			    "  --measure           EEXTENDs every page\n"
			    "  --fork-every N      touches: then a child touches pages, too\n"
			    "  --sgx2-every N      touches: then an ioctl of SGX2\n"
			    "  --key FILE          the signer's, PEM (a new one, which takes a "
			    "second or so)\n"
			    "  --no-enclave        no ioctls: maps any file, for instance "
			    "/dev/zero\n"
			    "  --trace FILE        the pages that the first thread touches, 4 "
			    "bytes for each\n"
			    "  --json              one JSON object instead of text\n"
			    "  --quiet             no progress on stderr\n"
			    "\n"
			    "Exit code: 0: every word was right; 1: not, or something failed; 2: "
			    "bad use.\n";

enum option_value {
	OPTION_SIZE = 256,
	OPTION_PROCESSES,
	OPTION_THREADS,
	OPTION_PATTERN,
	OPTION_WRITES,
	OPTION_TOUCHES,
	OPTION_SECONDS,
	OPTION_SEED,
	OPTION_VERIFY_ALL,
	OPTION_SIGBUS,
	OPTION_MEASURE,
	OPTION_FORK_EVERY,
	OPTION_SGX2_EVERY,
	OPTION_KEY,
	OPTION_NO_ENCLAVE,
	OPTION_TRACE,
	OPTION_JSON,
	OPTION_QUIET,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "processes", required_argument, NULL, OPTION_PROCESSES },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "pattern", required_argument, NULL, OPTION_PATTERN },
	{ "writes", required_argument, NULL, OPTION_WRITES },
	{ "touches", required_argument, NULL, OPTION_TOUCHES },
	{ "seconds", required_argument, NULL, OPTION_SECONDS },
	{ "seed", required_argument, NULL, OPTION_SEED },
	{ "verify-all", no_argument, NULL, OPTION_VERIFY_ALL },
	{ "sigbus", required_argument, NULL, OPTION_SIGBUS },
	{ "measure", no_argument, NULL, OPTION_MEASURE },
	{ "fork-every", required_argument, NULL, OPTION_FORK_EVERY },
	{ "sgx2-every", required_argument, NULL, OPTION_SGX2_EVERY },
	{ "key", required_argument, NULL, OPTION_KEY },
	{ "no-enclave", no_argument, NULL, OPTION_NO_ENCLAVE },
	{ "trace", required_argument, NULL, OPTION_TRACE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "quiet", no_argument, NULL, OPTION_QUIET },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

/* A number from least to most, with a suffix if it has_suffix. */
static int number_parse(const char *text, uint64_t least, uint64_t most, bool has_suffix,
			uint64_t *number)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	unsigned int shift = 0;
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return -EINVAL;
	suffix = *end && has_suffix ? strchr(suffixes, *end) : NULL;
	if (suffix) {
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
		end++;
	}
	if (*end || *number > most >> shift)
		return -EINVAL;
	*number <<= shift;
	return *number >= least ? 0 : -EINVAL;
}

static int count_parse(const char *text, unsigned int most, unsigned int *number)
{
	uint64_t value;
	int error = number_parse(text, 1, most, false, &value);

	if (!error)
		*number = (unsigned int)value;
	return error;
}

static int pattern_parse(const char *text, struct load_options *options)
{
	char *end;

	if (!strcmp(text, "sequential")) {
		options->kind = LOAD_SEQUENTIAL;
	} else if (!strcmp(text, "random")) {
		options->kind = LOAD_RANDOM;
	} else if (!strcmp(text, "phased")) {
		options->kind = LOAD_PHASED;
	} else if (!strncmp(text, "zipf:", 5)) {
		options->kind = LOAD_ZIPF;
		options->zipf_s = strtod(text + 5, &end);
		if (end == text + 5 || *end || !(options->zipf_s >= 0 && options->zipf_s <= 10))
			return -EINVAL;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int sigbus_parse(const char *text, struct load_options *options)
{
	options->is_sigbus_fatal = !strcmp(text, "fatal");
	return options->is_sigbus_fatal || !strcmp(text, "count") ? 0 : -EINVAL;
}

static int size_parse(const char *text, struct load_options *options)
{
	uint64_t size;
	int error = number_parse(text, LOAD_PAGE_BYTES, UINT64_C(1) << 40, true, &size);

	options->nr_pages = size / LOAD_PAGE_BYTES;
	return error;
}

static int writes_parse(const char *text, struct load_options *options)
{
	uint64_t percent;
	int error = number_parse(text, 0, 100, false, &percent);

	options->writes_percent = (unsigned int)percent;
	return error;
}

/* What needs no parsing. */
static int flag_set(struct load_options *options, int value)
{
	if (value == OPTION_VERIFY_ALL)
		options->verifies_all = true;
	else if (value == OPTION_MEASURE)
		options->is_measured = true;
	else if (value == OPTION_KEY)
		options->key_path = optarg;
	else if (value == OPTION_NO_ENCLAVE)
		options->is_enclave = false;
	else if (value == OPTION_TRACE)
		options->trace_path = optarg;
	else if (value == OPTION_JSON)
		options->is_json = true;
	else if (value == OPTION_QUIET)
		options->is_quiet = true;
	else
		return -EINVAL;
	return 0;
}

static int option_set(struct load_options *options, int value)
{
	switch (value) {
	case OPTION_SIZE:
		return size_parse(optarg, options);
	case OPTION_PROCESSES:
		return count_parse(optarg, LOAD_NR_PROCESSES_MAX, &options->nr_processes);
	case OPTION_THREADS:
		return count_parse(optarg, LOAD_NR_THREADS_MAX, &options->nr_threads);
	case OPTION_PATTERN:
		return pattern_parse(optarg, options);
	case OPTION_WRITES:
		return writes_parse(optarg, options);
	case OPTION_TOUCHES:
		return number_parse(optarg, 1, UINT64_MAX, false, &options->nr_touches);
	case OPTION_SECONDS:
		return number_parse(optarg, 1, 1000000000, false, &options->seconds);
	case OPTION_SEED:
		return number_parse(optarg, 0, UINT64_MAX, false, &options->seed);
	case OPTION_SIGBUS:
		return sigbus_parse(optarg, options);
	case OPTION_FORK_EVERY:
		return number_parse(optarg, 1, UINT64_MAX, false, &options->fork_every);
	case OPTION_SGX2_EVERY:
		return number_parse(optarg, 1, UINT64_MAX, false, &options->sgx2_every);
	default:
		return flag_set(options, value);
	}
}

int load_options_parse(struct load_options *options, int nr_arguments, char **arguments)
{
	int value;

	*options = (struct load_options){ .nr_pages = 4096,
					  .nr_processes = 1,
					  .nr_threads = 1,
					  .kind = LOAD_RANDOM,
					  .writes_percent = 50,
					  .seed = 1,
					  .is_enclave = true,
					  .is_sigbus_fatal = true };
	while ((value = getopt_long(nr_arguments, arguments, "", long_options, NULL)) != -1) {
		if (value == OPTION_HELP) {
			fputs(usage, stdout);
			return 1;
		}
		if (value == '?' || option_set(options, value)) {
			if (value != '?')
				fprintf(stderr, "epcload: bad argument: %s\n",
					arguments[optind - 1]);
			fputs("epcload: --help tells the options\n", stderr);
			return -EINVAL;
		}
	}
	if (optind + 1 != nr_arguments) {
		fputs("epcload: one DEVICE is wanted; --help tells the options\n", stderr);
		return -EINVAL;
	}
	options->device = arguments[optind];
	if (!options->nr_touches && !options->seconds)
		options->seconds = 10;
	return 0;
}
