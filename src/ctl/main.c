/* SPDX-License-Identifier: MIT */
/* epcctl: the command line. A verb is a line of the table and a file verb_NAME.c. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ctl/ctl.h"

#define DEFAULT_RUN_DIR "/run/epcd"

static const struct ctl_verb verbs[] = {
	{
		.name = "status",
		.help = "what the EPC and the daemon are doing",
		.run = verb_status,
		.wait_ms = CTL_WAIT_MS,
	},
	{
		.name = "ls",
		.help = "every section of virtual EPC in use, and who was refused why",
		.run = verb_ls,
		.wait_ms = CTL_WAIT_MS,
	},
	{
		.name = "limit",
		.arguments = " INSTANCE [SIZE|max]",
		.help = "show or set the own limit of a section",
		.run = verb_limit,
		.nr_words_max = 2,
		.wait_ms = CTL_WAIT_MS,
	},
	{
		.name = "lose",
		.arguments = " INSTANCE|--cgroup PATH|--all",
		.help = "EPC loss: all content of these VMs is gone",
		.run = verb_lose,
		.nr_words_max = 1,
		.has_targets = true,
		.wait_ms = CTL_WAIT_LONG_MS,
	},
	{
		.name = "events",
		.help = "follow what happens: starts, refusals, resets, losses, ends, limits",
		.run = verb_events,
	},
	{
		.name = "doctor",
		.help = "look for what keeps VMs from getting EPC, and say what helps",
		.run = verb_doctor,
		.wait_ms = CTL_WAIT_MS,
	},
};

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* Beyond every character, so that optopt tells them from a short option, of which there is none. */
enum {
	OPTION_RUN_DIR = 256,
	OPTION_JSON,
	OPTION_CGROUP,
	OPTION_ALL,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "cgroup", required_argument, NULL, OPTION_CGROUP },
	{ "all", no_argument, NULL, OPTION_ALL },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static void help_print(FILE *out)
{
	fputs("usage: epcctl [--run-dir DIR] [--json] VERB [ARGUMENTS]\n\n", out);
	for (size_t i = 0; i < NR_VERBS; i++)
		fprintf(out, "  %s%s\n      %s\n", verbs[i].name,
			verbs[i].arguments ? verbs[i].arguments : "", verbs[i].help);
	fputs("\n"
	      "  --run-dir DIR  where epcd serves\n"
	      "                 (default $EPCD_RUN_DIR, else " DEFAULT_RUN_DIR ")\n"
	      "  --json         print JSON\n"
	      "  --version, --help\n",
	      out);
}

static const struct ctl_verb *verb_find(const char *name)
{
	for (size_t i = 0; i < NR_VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int usage(const char *what, const char *word)
{
	char *shown = text_escape_string_new(word);

	ctl_error("%s%s; see `epcctl --help`", what, shown ? shown : "");
	free(shown);
	return CTL_EXIT_USAGE;
}

/* What getopt_long() found wrong: optopt is a character, a long option's number, or 0. */
static int option_usage(int option, char **argv)
{
	char short_option[] = { '-', (char)optopt, '\0' };

	if (option == ':')
		return usage("a value is missing after ", argv[optind - 1]);
	if (optopt >= OPTION_RUN_DIR)
		return usage("no value belongs to ", argv[optind - 1]);
	return usage("no such option: ", optopt ? short_option : argv[optind - 1]);
}

/* The verb and its words are argv[first] and what follows. */
static int verb_run(struct ctl *ctl, int argc, char **argv, int first)
{
	const struct ctl_verb *verb;

	if (first >= argc)
		return usage("no verb; one of status, ls, limit, lose, events, doctor", "");
	verb = verb_find(argv[first]);
	if (!verb)
		return usage("no such verb: ", argv[first]);
	ctl->words = &argv[first + 1];
	ctl->nr_words = argc - first - 1;
	ctl->wait_ms = verb->wait_ms;
	if (ctl->nr_words > verb->nr_words_max)
		return usage("one word too many: ", ctl->words[verb->nr_words_max]);
	if ((ctl->cgroup || ctl->is_all) && !verb->has_targets)
		return usage("neither --cgroup nor --all belongs to ", verb->name);
	if (verb->wait_ms)
		ctl_watch(ctl);
	return verb->run(ctl);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .run_dir = getenv("EPCD_RUN_DIR") };
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		switch (option) {
		case OPTION_RUN_DIR:
			ctl.run_dir = optarg;
			break;
		case OPTION_JSON:
			ctl.is_json = true;
			break;
		case OPTION_CGROUP:
			ctl.cgroup = optarg;
			break;
		case OPTION_ALL:
			ctl.is_all = true;
			break;
		case OPTION_VERSION:
			puts("epcctl " EPCCTL_VERSION);
			return CTL_EXIT_OK;
		case OPTION_HELP:
			help_print(stdout);
			return CTL_EXIT_OK;
		default:
			return option_usage(option, argv);
		}
	}
	if (!ctl.run_dir || !*ctl.run_dir)
		ctl.run_dir = DEFAULT_RUN_DIR;
	return verb_run(&ctl, argc, argv, optind);
}
