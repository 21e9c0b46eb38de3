/* SPDX-License-Identifier: MIT */
/*
 * Goal: the processor does what a slow and obvious model of it does, whatever leaves come in
 * whatever order. Method: random sequences (driver.h) in episodes, each with a new processor, one
 * in four with contents; result and EPCM are compared after each leaf.
 *
 * property [--seed N] [--seeds K] [--leaves M] [--episode E] [--break NAME|N] [--verbose]
 *          [--metadata] [--progress] [--outcomes] [--list-breaks]
 *
 * Exit code 0: nothing found; 1: a difference, with what replays it; 2: bad use.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

#define SHORT_LEAVES 200000u
#define LONG_LEAVES 10000000u /* with EPCD_LONG in the environment */
#define EPISODE_LEAVES 4000u
#define CONTENTS_ONE_IN 4u
#define PROGRESS_S 2

struct options {
	uint64_t seed, nr_seeds, nr_leaves;
	uint64_t only_episode; /* UINT64_MAX: all */
	enum model_break broken;
	bool is_verbose, has_progress, has_outcomes, is_metadata_only;
};

static const char *const break_names[] = { "NONE",
#define BREAK(name, text) #name,
					   MODEL_BREAKS(BREAK)
#undef BREAK
};

static const char *const break_texts[] = { "nothing is wrong",
#define BREAK(name, text) text,
					   MODEL_BREAKS(BREAK)
#undef BREAK
};

_Noreturn static void fail(const struct options *options, uint64_t seed, uint64_t episode,
			   const struct driver *driver)
{
	fflush(stdout);
	fprintf(stderr,
		"property: FAILED at seed %" PRIu64 " episode %" PRIu64 " step %" PRIu64 ", after "
		"%s: %s\n",
		seed, episode, driver->nr_steps, driver->leaf, driver->complaint);
	fprintf(stderr,
		"property: to replay: property --seed %" PRIu64 " --episode %" PRIu64 " --break %s "
		"--verbose\n",
		seed, episode, break_names[options->broken]);
	exit(1);
}

static void run_episode(const struct options *options, uint64_t seed, uint64_t episode,
			struct driver_figures *figures)
{
	uint64_t until = figures->nr_leaves + EPISODE_LEAVES;
	struct driver *driver;
	struct draw draw;
	bool has_contents;

	draw_from_seed(&draw, seed * UINT64_C(0x9e3779b97f4a7c15) + episode);
	has_contents = draw_chance(&draw, CONTENTS_ONE_IN) && !options->is_metadata_only;
	driver = driver_new(draw, !has_contents, options->broken, figures);
	driver->is_verbose = options->is_verbose;
	while (figures->nr_leaves < until)
		if (!driver_step(driver))
			fail(options, seed, episode, driver);
	driver_free(driver);
}

static void print_progress(const struct options *options, uint64_t seed, uint64_t nr_leaves,
			   time_t *last)
{
	time_t now = time(NULL);

	if (!options->has_progress || now - *last < PROGRESS_S)
		return;
	*last = now;
	fprintf(stderr, "property: seed %" PRIu64 ": %" PRIu64 " of %" PRIu64 " leaves\n", seed,
		nr_leaves, options->nr_leaves);
}

static uint64_t nr_outcomes(const struct driver_figures *figures)
{
	uint64_t nr = 0;

	while (nr < sizeof(figures->outcomes) / sizeof(figures->outcomes[0]) &&
	       figures->outcomes[nr].leaf)
		nr++;
	return nr;
}

static void print_figures(const struct options *options, uint64_t seed,
			  const struct driver_figures *figures)
{
	printf("property: seed %" PRIu64 ": %" PRIu64 " leaves: %" PRIu64 " successes, %" PRIu64
	       " codes, %" PRIu64 " faults, %" PRIu64 " outcomes, hash %016" PRIx64 "\n",
	       seed, figures->nr_leaves, figures->nr_successes, figures->nr_codes,
	       figures->nr_faults, nr_outcomes(figures), figures->hash);
	for (uint64_t i = 0; options->has_outcomes && i < nr_outcomes(figures); i++)
		printf("%-14s %#10x %10" PRIu64 "\n", figures->outcomes[i].leaf,
		       (unsigned int)figures->outcomes[i].outcome, figures->outcomes[i].nr);
	fflush(stdout);
}

static void run_seed(const struct options *options, uint64_t seed)
{
	struct driver_figures figures = { .nr_leaves = 0 };
	time_t last = time(NULL);

	printf("property: seed %" PRIu64 ", leaves %" PRIu64 ", break %s\n", seed,
	       options->nr_leaves, break_names[options->broken]);
	fflush(stdout);
	if (options->only_episode != UINT64_MAX) {
		run_episode(options, seed, options->only_episode, &figures);
	} else {
		for (uint64_t i = 0; figures.nr_leaves < options->nr_leaves; i++) {
			run_episode(options, seed, i, &figures);
			print_progress(options, seed, figures.nr_leaves, &last);
		}
	}
	print_figures(options, seed, &figures);
}

_Noreturn static void usage(int code)
{
	fputs("usage: property [--seed N] [--seeds K] [--leaves M] [--episode E] [--break NAME|N]\n"
	      "                [--verbose] [--metadata] [--progress] [--outcomes] "
	      "[--list-breaks]\n",
	      code ? stderr : stdout);
	exit(code);
}

static uint64_t parse_number(const char *text)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 0);

	if (!*text || *end)
		usage(2);
	return number;
}

static enum model_break parse_break(const char *text)
{
	uint64_t number;

	for (unsigned int i = 0; i < MODEL_NR_BREAKS; i++)
		if (strcmp(break_names[i], text) == 0)
			return (enum model_break)i;
	number = parse_number(text);
	if (number >= MODEL_NR_BREAKS)
		usage(2);
	return (enum model_break)number;
}

_Noreturn static void list_breaks(void)
{
	for (unsigned int i = 1; i < MODEL_NR_BREAKS; i++)
		printf("%s\t%s\n", break_names[i], break_texts[i]);
	exit(0);
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'S' },
		{ "leaves", required_argument, NULL, 'n' },
		{ "episode", required_argument, NULL, 'e' },
		{ "break", required_argument, NULL, 'b' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "metadata", no_argument, NULL, 'm' },
		{ "progress", no_argument, NULL, 'p' },
		{ "outcomes", no_argument, NULL, 'o' },
		{ "list-breaks", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (letter) {
		case 's':
			options->seed = parse_number(optarg);
			break;
		case 'S':
			options->nr_seeds = parse_number(optarg);
			break;
		case 'n':
			options->nr_leaves = parse_number(optarg);
			break;
		case 'e':
			options->only_episode = parse_number(optarg);
			break;
		case 'b':
			options->broken = parse_break(optarg);
			break;
		case 'v':
			options->is_verbose = true;
			break;
		case 'm':
			options->is_metadata_only = true;
			break;
		case 'p':
			options->has_progress = true;
			break;
		case 'o':
			options->has_outcomes = true;
			break;
		case 'l':
			list_breaks();
		case 'h':
			usage(0);
		default:
			usage(2);
		}
	}
	if (optind != argc)
		usage(2);
}

int main(int argc, char **argv)
{
	struct options options = {
		.seed = 1,
		.nr_seeds = 1,
		.nr_leaves = getenv("EPCD_LONG") ? LONG_LEAVES : SHORT_LEAVES,
		.only_episode = UINT64_MAX,
		.has_progress = isatty(STDERR_FILENO),
	};

	parse_options(&options, argc, argv);
	for (uint64_t i = 0; i < options.nr_seeds; i++)
		run_seed(&options, options.seed + i);
	return 0;
}
