/* SPDX-License-Identifier: MIT */
/*
 * The simulator's options and its run: episodes until the steps are done. Exit code 0: nothing
 * found; 1: a failure, with what replays it; 2: bad use.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/mutants.h"
#include "sim.h"

#define SHORT_STEPS 100000
#define LONG_STEPS 1000000 /* with EPCD_LONG in the environment */
#define EPISODE_STEPS_MAX 6000
#define IDLE_STEPS_MAX 400000 /* steps that call nothing, per episode */

#ifdef EPC_MUTANTS
#define PROGRAM "sim_mutants"
#define HAS_MUTANTS true
#else
#define PROGRAM "sim"
#define HAS_MUTANTS false
#endif

static const char *const mutant_names[] = {
#define X(name) #name,
	EPC_MUTANT_LIST(X)
#undef X
};

void sim_fail(const struct sim *sim, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "sim: FAILED at seed %llu episode %llu%s%s step %llu, after \"%s\": ",
		(unsigned long long)sim->options.seed, (unsigned long long)sim->episode,
		sim->chase ? " chase " : "", sim->chase ? sim->chase : "",
		(unsigned long long)sim->nr_steps, sim->doing ? sim->doing : "nothing");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr,
		"\nsim: to replay: " PROGRAM " --seed %llu --episode %llu --mutant %s --verbose\n",
		(unsigned long long)sim->options.seed, (unsigned long long)sim->episode,
		mutant_names[sim->options.mutant]);
	exit(1);
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
	va_list arguments;

	if (!sim->options.is_verbose)
		return;
	printf("%llu: ", (unsigned long long)sim->nr_steps);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static void random_episode(struct sim *sim)
{
	uint64_t nr_steps = 200 + sim_below(sim, EPISODE_STEPS_MAX);

	sim_world_random(sim);
	sim_schedule_draw(sim);
	for (uint64_t i = 0; sim->nr_steps < nr_steps && i < IDLE_STEPS_MAX; i++)
		sim_schedule_step(sim);
	if (sim_chance(sim, 8))
		sim_world_drop(sim);
	else
		sim_world_end(sim);
}

static const struct sim_chase *find_chase(const char *name)
{
	for (unsigned int i = 0; i < sim_nr_chases; i++)
		if (strcmp(sim_chases[i].name, name) == 0)
			return &sim_chases[i];
	return NULL;
}

static void run_episode(struct sim *sim, uint64_t number)
{
	const struct sim_chase *chase = NULL;

	sim->nr_steps_before += sim->nr_steps;
	sim->nr_steps = 0;
	sim->episode = number;
	sim->random = random_mix(sim->options.seed, number);
	if (sim->options.only_chase)
		chase = find_chase(sim->options.only_chase);
	else if (!sim_chance(sim, 4)) /* they are short */
		chase = &sim_chases[sim_below(sim, sim_nr_chases)];
	sim->chase = chase ? chase->name : NULL;
	sim_trace(sim, "episode %llu %s", (unsigned long long)number, chase ? chase->name : "");
	if (chase)
		chase->run(sim);
	else
		random_episode(sim);
}

static void print_progress(const struct sim *sim, time_t *last)
{
	time_t now = time(NULL);

	if (!sim->options.has_progress || now - *last < 2)
		return;
	*last = now;
	fprintf(stderr, "sim: %llu of %llu steps\n",
		(unsigned long long)(sim->nr_steps_before + sim->nr_steps),
		(unsigned long long)sim->options.nr_steps);
}

static void run(struct sim *sim)
{
	time_t last = time(NULL);

	if (sim->options.only_episode != UINT64_MAX) {
		run_episode(sim, sim->options.only_episode);
		return;
	}
	for (uint64_t i = 0; sim->nr_steps_before + sim->nr_steps < sim->options.nr_steps; i++) {
		run_episode(sim, i);
		print_progress(sim, &last);
	}
}

static void print_figures(const struct sim *sim)
{
	const struct sim_figures *f = &sim->figures;

	printf("sim: seed %llu: %llu steps in %llu episodes, hash %016llx\n",
	       (unsigned long long)sim->options.seed,
	       (unsigned long long)(sim->nr_steps_before + sim->nr_steps),
	       (unsigned long long)(sim->episode + 1), (unsigned long long)sim->hash);
	printf("sim: %llu READs: %llu answered (%llu clusters), %llu refused, %llu clusters "
	       "refused,"
	       " %llu parked, %llu interrupted, %llu out of memory\n",
	       (unsigned long long)f->nr_reads, (unsigned long long)f->nr_read_ok,
	       (unsigned long long)f->nr_cluster_ok, (unsigned long long)f->nr_eio,
	       (unsigned long long)f->nr_cluster_eio, (unsigned long long)f->nr_parked,
	       (unsigned long long)f->nr_eintr, (unsigned long long)f->nr_enomem);
	printf("sim: %llu leaves: %llu done, %llu errors; %llu zombies\n",
	       (unsigned long long)f->nr_leaves, (unsigned long long)f->nr_leaf_ok,
	       (unsigned long long)f->nr_leaf_errors, (unsigned long long)f->nr_zombies);
	printf("sim: %llu unmappings, %llu pages seen to go, %llu operations, %llu instances"
	       " released, %llu stores, %llu writes, %llu times quiet\n",
	       (unsigned long long)f->nr_unmaps, (unsigned long long)f->nr_taken_back,
	       (unsigned long long)f->nr_operations, (unsigned long long)f->nr_released,
	       (unsigned long long)f->nr_stores, (unsigned long long)f->nr_wires,
	       (unsigned long long)f->nr_quiesces);
}

static unsigned int parse_mutant(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	for (unsigned int i = 0; i < EPC_MUTANT_COUNT; i++)
		if (strcmp(mutant_names[i], text) == 0)
			return i;
	if (*text && !*end && number < EPC_MUTANT_COUNT)
		return (unsigned int)number;
	fprintf(stderr, "sim: no mutant is named %s\n", text);
	exit(2);
}

_Noreturn static void list_mutants(void)
{
	for (unsigned int i = 1; i < EPC_MUTANT_COUNT; i++)
		puts(mutant_names[i]);
	exit(0);
}

_Noreturn static void list_chases(void)
{
	for (unsigned int i = 0; i < sim_nr_chases; i++)
		puts(sim_chases[i].name);
	exit(0);
}

_Noreturn static void usage(int code)
{
	fputs("usage: sim [--seed N] [--seeds N] [--steps N] [--episode N] [--chase NAME] "
	      "[--mutant NAME|N]\n"
	      "           [--verbose] [--progress] [--list-mutants] [--list-chases]\n",
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

static void parse_options(struct sim_options *options, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'S' },
		{ "steps", required_argument, NULL, 'n' },
		{ "episode", required_argument, NULL, 'e' },
		{ "chase", required_argument, NULL, 'c' },
		{ "mutant", required_argument, NULL, 'm' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "progress", no_argument, NULL, 'p' },
		{ "list-mutants", no_argument, NULL, 'l' },
		{ "list-chases", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int letter;

	*options = (struct sim_options){
		.seed = 1,
		.nr_seeds = 1,
		.nr_steps = getenv("EPCD_LONG") ? LONG_STEPS : SHORT_STEPS,
		.only_episode = UINT64_MAX,
		.has_progress = isatty(STDERR_FILENO),
	};
	while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (letter) {
		case 's':
			options->seed = parse_number(optarg);
			break;
		case 'S':
			options->nr_seeds = parse_number(optarg);
			break;
		case 'n':
			options->nr_steps = parse_number(optarg);
			break;
		case 'e':
			options->only_episode = parse_number(optarg);
			break;
		case 'c':
			options->only_chase = optarg;
			break;
		case 'm':
			options->mutant = parse_mutant(optarg);
			break;
		case 'v':
			options->is_verbose = true;
			break;
		case 'p':
			options->has_progress = true;
			break;
		case 'l':
			list_mutants();
		case 'k':
			list_chases();
		case 'h':
			usage(0);
		default:
			usage(2);
		}
	}
	if (options->mutant && !HAS_MUTANTS) {
		fputs("sim: this build has no mutants, use sim_mutants\n", stderr);
		exit(2);
	}
	if (optind != argc || !options->nr_seeds ||
	    (options->only_chase && !find_chase(options->only_chase)))
		usage(2);
}

/* One run of one seed, which is told to stdout. */
static void run_seed(const struct sim_options *options)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		abort();
	sim->options = *options;
	printf("sim: seed %llu, steps %llu, mutant %s\n", (unsigned long long)options->seed,
	       (unsigned long long)options->nr_steps, mutant_names[options->mutant]);
	fflush(stdout);
	run(sim);
	print_figures(sim);
	free(sim);
}

int main(int argc, char **argv)
{
	struct sim_options options;

	parse_options(&options, argc, argv);
	options.nr_steps /= options.nr_seeds;
	for (uint64_t i = 0; i < options.nr_seeds; i++, options.seed++)
		run_seed(&options);
	return 0;
}
