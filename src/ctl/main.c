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
	{ "status", "what the EPC and the daemon are doing", verb_status },
	{ "ls", "every section of virtual EPC in use, and who was refused why", verb_ls },
	{ "events", "follow what happens: starts, refusals, resets, ends, limits", verb_events },
	{ "doctor", "look for what keeps VMs from getting EPC, and say what helps", verb_doctor },
};

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void help_print(FILE *out)
{
	fputs("usage: epcctl [--run-dir DIR] [--json] VERB\n", out);
	for (size_t i = 0; i < NR_VERBS; i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
	fputs("  --run-dir DIR  where epcd serves (default $EPCD_RUN_DIR, else " DEFAULT_RUN_DIR
	      ")\n  --json         print JSON\n",
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

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct ctl ctl = { .run_dir = getenv("EPCD_RUN_DIR") };
	const struct ctl_verb *verb;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			ctl.run_dir = optarg;
			break;
		case 'j':
			ctl.is_json = true;
			break;
		case 'h':
			help_print(stdout);
			return CTL_EXIT_OK;
		case ':':
			return usage("a value is missing after ", argv[optind - 1]);
		default:
			return usage("no such option: ", argv[optind - 1]);
		}
	}
	if (!ctl.run_dir || !*ctl.run_dir)
		ctl.run_dir = DEFAULT_RUN_DIR;
	if (optind >= argc)
		return usage("no verb; one of status, ls, events, doctor", "");
	verb = verb_find(argv[optind]);
	if (!verb)
		return usage("no such verb: ", argv[optind]);
	if (optind + 1 < argc)
		return usage("one word too many: ", argv[optind + 1]);
	return verb->run(&ctl);
}
