/* SPDX-License-Identifier: MIT */
/*
 * The reset of VMs on random layouts: 1 to 8 sections, up to 64 enclaves, SECS and children
 * anywhere, in every state that a guest can leave them in; mapped or not, acknowledged late and
 * out of order. One section is reset in one call; several in two rounds, or in one call of the
 * combined request, or by a loss; what is closed leaves zombies where the model says, and at the
 * end nothing. The core alone, metadata only; contents are the simulator's (sim.h).
 *
 * layouts [--seed N] [--layouts N] [--only N] [--mutant NAME] [--progress]
 * Exit code 0: nothing found; 1: a failure, with what replays it; 2: bad use.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/mutants.h"
#include "layouts.h"

#define SHORT_LAYOUTS 2000
#define LONG_LAYOUTS 100000 /* with EPCD_LONG in the environment */
#define ROUNDS_MAX 100000
#define NR_PAGES_MAX (NR_INSTANCES * NR_SLOTS)
#define STRANGER_BASE (UINT64_C(1) << 45)

#ifdef EPC_MUTANTS
#define HAS_MUTANTS true
#else
#define HAS_MUTANTS false
#endif

static const char *const mutant_names[] = {
#define X(name) #name,
	EPC_MUTANT_LIST(X)
#undef X
};

void layouts_fail(const struct layouts *l, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "layouts: FAILED at seed %llu layout %llu call %llu, %s: ",
		(unsigned long long)l->seed, (unsigned long long)l->number,
		(unsigned long long)l->nr_calls, l->doing);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\nlayouts: to replay: --seed %llu --only %llu --mutant %s\n",
		(unsigned long long)l->seed, (unsigned long long)l->number,
		mutant_names[l->mutant]);
	exit(1);
}

/* ---- effects ---- */

static struct instance *instance_of(struct layouts *l, const void *cookie)
{
	return &l->instances[(const struct instance *)cookie - l->instances];
}

static void take_record(struct layouts *l, const struct epc_record *record)
{
	struct instance *instance = instance_of(l, record->instance_cookie);

	if (record->kind == EPC_RECORD_CLOSED) {
		if (instance->has_closed || !instance->is_released)
			layouts_fail(l, "CLOSED twice, or of an instance that is not");
		instance->has_closed = true;
	} else if (record->kind == EPC_RECORD_ZOMBIES) {
		if (instance->has_told_zombies || !instance->is_released || !record->nr_pages)
			layouts_fail(l, "ZOMBIES twice, or of none");
		instance->has_told_zombies = true;
	} else if (record->kind == EPC_RECORD_REFUSED) {
		layouts_fail(l, "a page is refused, there is enough");
	}
}

static void take_unmap(struct layouts *l, struct epc_unmap *unmap)
{
	if (l->nr_unmaps == NR_UNMAPS)
		layouts_fail(l, "too many unmappings in flight");
	if (unmap->kind == EPC_UNMAP_TAKE_BACK)
		layouts_fail(l, "a page is taken back, nobody waits");
	l->unmaps[l->nr_unmaps++] = unmap;
}

static void take_gone(struct layouts *l, const void *cookie)
{
	struct instance *instance = instance_of(l, cookie);

	if (!instance->is_released)
		layouts_fail(l, "an instance goes that nobody has closed");
	instance->instance = NULL;
}

void layouts_check(struct layouts *l)
{
	const char *why;

	if (!epc_is_valid(l->epc, &why))
		layouts_fail(l, "epc_is_valid(): %s", why);
}

/* After each call of the core. */
void layouts_after(struct layouts *l)
{
	struct epc_effect effect;

	l->nr_calls++;
	while (epc_effect_next(l->epc, &effect)) {
		switch (effect.kind) {
		case EPC_EFFECT_RECORD:
			take_record(l, &effect.record);
			break;
		case EPC_EFFECT_UNMAP:
			take_unmap(l, effect.unmap);
			break;
		case EPC_EFFECT_REPLY:
			if (effect.reply == l->loss)
				l->loss = NULL;
			else if (l->loss && effect.reply->leaf)
				layouts_fail(l, "a leaf is executed while everything is being "
						"lost");
			break;
		case EPC_EFFECT_GONE:
			take_gone(l, effect.gone_cookie);
			break;
		}
	}
	if (l->only != UINT64_MAX || layouts_chance(l, 32))
		layouts_check(l);
}

/* One of those in flight, whichever. */
static bool acknowledge(struct layouts *l)
{
	unsigned int at = (unsigned int)layouts_below(l, l->nr_unmaps);
	struct epc_unmap *unmap;

	if (!l->nr_unmaps)
		return false;
	unmap = l->unmaps[at];
	l->unmaps[at] = l->unmaps[--l->nr_unmaps];
	epc_unmapped(l->epc, unmap);
	layouts_after(l);
	return true;
}

static bool step(struct layouts *l)
{
	bool has_more = epc_step(l->epc);

	layouts_after(l);
	return has_more;
}

/* Somebody works on: a step, or an unmapping's end. False: nothing is left to do. */
bool layouts_work(struct layouts *l)
{
	if (layouts_chance(l, 2) && acknowledge(l))
		return true;
	return step(l) || l->nr_unmaps;
}

static void settle(struct layouts *l)
{
	for (unsigned int i = 0; layouts_work(l); i++)
		if (i == ROUNDS_MAX)
			layouts_fail(l, "the work never ends");
}

/* ---- everything is closed ---- */

static void model_release(struct layouts *l, int instance)
{
	for (int slot = 0; slot < (int)l->nr_slots; slot++) {
		struct place place = { instance, slot };
		struct page *page = layouts_page(l, place);

		if (page->kind != SECS)
			layouts_forget(l, place);
	}
}

/* SECS pages of closed sections whose children are in open ones. */
static void check_zombies(struct layouts *l)
{
	uint64_t nr_expected = 0, nr_owned = 0;
	struct epc_report report;

	layouts_resync(l);
	for (unsigned int i = 0; i < l->nr_enclaves; i++) {
		int instance = l->enclaves[i].secs.instance;

		nr_expected += instance != NOBODY && !layouts_is_open(l, instance) &&
			       l->enclaves[i].nr_children;
	}
	for (int i = 0; i < NR_INSTANCES; i++) {
		struct epc_instance_report instance;

		if (!l->instances[i].instance)
			continue;
		epc_instance_report(l->instances[i].instance, &instance);
		if (layouts_is_open(l, i))
			nr_owned += instance.nr_pages;
		else if (!l->instances[i].has_told_zombies)
			layouts_fail(l, "section %d has zombies, and nobody is told", i);
	}
	epc_report(l->epc, &report);
	if (report.nr_zombies != nr_expected)
		layouts_fail(l, "there are %llu zombies, not %llu",
			     (unsigned long long)report.nr_zombies,
			     (unsigned long long)nr_expected);
	if (report.nr_pages - report.nr_free != nr_owned + nr_expected)
		layouts_fail(l, "%llu pages are charged, %llu are owned and %llu zombies",
			     (unsigned long long)(report.nr_pages - report.nr_free),
			     (unsigned long long)nr_owned, (unsigned long long)nr_expected);
	l->nr_zombies_seen += nr_expected;
	layouts_check(l);
}

static void close_one(struct layouts *l, int instance)
{
	l->doing = "closing";
	l->instances[instance].is_released = true;
	if (instance != STRANGER)
		model_release(l, instance);
	epc_release(l->epc, l->instances[instance].instance);
	layouts_after(l);
}

static unsigned int nr_open_sections(const struct layouts *l)
{
	unsigned int nr = 0;

	for (int i = 0; i < (int)l->nr_sections; i++)
		nr += layouts_is_open(l, i);
	return nr;
}

/* In any order; at times while the whole VM is being reset, or with a guest that goes on. */
static void close_all(struct layouts *l)
{
	struct epc_request request = { .result = 0 };

	for (unsigned int nr_left = l->nr_sections + 1; nr_left; nr_left--) {
		int instance = (int)layouts_below(l, NR_INSTANCES);

		while (!layouts_is_open(l, instance))
			instance = (instance + 1) % NR_INSTANCES;
		if (request.result != PENDING && nr_open_sections(l) && layouts_chance(l, 4))
			layouts_send_vm(l, &request, layouts_chance(l, 2));
		close_one(l, instance);
		for (uint64_t n = layouts_below(l, 6); n; n--)
			layouts_work(l);
		if (layouts_chance(l, 2))
			continue;
		settle(l);
		check_zombies(l);
		if (nr_open_sections(l) && layouts_chance(l, 3))
			layouts_build(l, layouts_below(l, 20));
	}
	settle(l);
	if (request.result == PENDING)
		layouts_fail(l, "the combined request is never answered");
}

static void check_nothing_is_left(struct layouts *l)
{
	struct epc_report report;

	for (int i = 0; i < NR_INSTANCES; i++)
		if (l->instances[i].instance)
			layouts_fail(l, "instance %d never goes", i);
	epc_report(l->epc, &report);
	if (report.nr_free != l->nr_pages || report.nr_secs || report.nr_zombies ||
	    report.nr_instances || report.nr_unmaps || report.nr_parked)
		layouts_fail(l, "everything is closed, %llu of %llu pages are free",
			     (unsigned long long)report.nr_free, (unsigned long long)l->nr_pages);
	for (int i = 0; i < NR_CGROUPS; i++) {
		struct epc_cgroup_report cgroup;

		epc_cgroup_report(l->cgroups[i], &cgroup);
		if (cgroup.usage_bytes)
			layouts_fail(l, "everything is closed and a cgroup has a charge");
	}
	layouts_check(l);
}

/* ---- a layout ---- */

static void *allocate(void *context, size_t size)
{
	struct layouts *l = context;
	void *memory = calloc(1, size);

	if (!memory)
		abort();
	l->nr_allocated++;
	return memory;
}

static void deallocate(void *context, void *memory, size_t size)
{
	struct layouts *l = context;

	(void)size;
	l->nr_allocated--;
	free(memory);
}

static void epc_begin(struct layouts *l)
{
	struct epc_section_config sections[3];
	struct epc_config config = {
		.sections = sections,
		.nr_sections = 1 + (unsigned int)layouts_below(l, 3),
		.allocator = { allocate, deallocate, l },
		.is_metadata_only = true,
		.mutant = l->mutant,
	};

	l->nr_pages = 0;
	for (unsigned int i = 0; i < config.nr_sections; i++) {
		uint64_t nr_pages = l->nr_slots * NR_INSTANCES / config.nr_sections;

		if (i + 1 == config.nr_sections)
			nr_pages = l->nr_slots * NR_INSTANCES - l->nr_pages;
		sections[i] = (struct epc_section_config){
			.nr_pages = nr_pages,
			.bytes = (char *)l->bytes + l->nr_pages * EPC_PAGE_SIZE,
		};
		l->nr_pages += nr_pages;
	}
	if (epc_new(&config, &l->epc) != 0)
		layouts_fail(l, "epc_new() fails");
	l->cgroups[0] = epc_cgroup_root(l->epc);
	for (int i = 1; i < NR_CGROUPS; i++)
		if (epc_cgroup_new(l->epc, l->cgroups[i - 1], 1, NULL, &l->cgroups[i]) != 0)
			layouts_fail(l, "epc_cgroup_new() fails");
	epc_tick(l->epc, 1);
}

static void open_all(struct layouts *l)
{
	struct place place = { STRANGER, 0 };

	for (int i = 0; i < NR_INSTANCES; i++) {
		struct instance *instance = &l->instances[i];
		bool is_sibling = i > 0 && i != STRANGER;

		if (i >= (int)l->nr_sections && i != STRANGER)
			continue;
		if (epc_open(l->epc, l->cgroups[layouts_below(l, NR_CGROUPS)],
			     is_sibling ? l->instances[0].instance : NULL, instance,
			     &instance->instance) != 0)
			layouts_fail(l, "epc_open() fails");
		layouts_after(l);
	}
	guest_ecreate(&l->guest, layouts_place(l, place), STRANGER_BASE, UINT64_C(1) << 20);
	if (!layouts_execute(l, place))
		layouts_fail(l, "the stranger has no enclave");
}

static void run_layout(struct layouts *l, uint64_t number)
{
	bool is_large;

	l->number = number;
	l->nr_calls = 0;
	l->doing = "opening";
	l->random = random_mix(l->seed, number);
	is_large = layouts_chance(l, 8);
	l->nr_sections = layouts_chance(l, 3) ? 1 : 2 + (unsigned int)layouts_below(l, 7);
	l->nr_slots = is_large ? NR_SLOTS : NR_FAR + 4 + (unsigned int)layouts_below(l, 28);
	l->nr_enclaves = 1 + (unsigned int)layouts_below(l, is_large ? NR_ENCLAVES : 8);
	memset(l->instances, 0, sizeof(l->instances));
	memset(l->enclaves, 0, sizeof(l->enclaves));
	for (int i = 0; i < NR_ENCLAVES; i++)
		l->enclaves[i].secs.instance = NOBODY;
	epc_begin(l);
	open_all(l);
	layouts_build(l, layouts_below(l, is_large ? 2000 : 160));
	if (!layouts_chance(l, 4)) {
		layouts_reset(l);
		layouts_build(l, layouts_below(l, 60));
	}
	close_all(l);
	check_nothing_is_left(l);
	epc_free(l->epc);
	if (l->nr_allocated)
		layouts_fail(l, "epc_free() leaves memory");
}

static void run(struct layouts *l)
{
	time_t last = time(NULL);

	for (uint64_t i = 0; i < l->nr_layouts; i++) {
		run_layout(l, l->only == UINT64_MAX ? i : l->only);
		if (!l->has_progress || time(NULL) - last < 2)
			continue;
		last = time(NULL);
		fprintf(stderr, "layouts: %llu of %llu\n", (unsigned long long)i,
			(unsigned long long)l->nr_layouts);
	}
	printf("layouts: %llu layouts, %llu leaves (%llu with success), %llu second rounds, %llu"
	       " zombies\n",
	       (unsigned long long)l->nr_layouts, (unsigned long long)l->nr_leaves,
	       (unsigned long long)l->nr_ok, (unsigned long long)l->nr_second_rounds,
	       (unsigned long long)l->nr_zombies_seen);
}

/* ---- options ---- */

_Noreturn static void usage(int code)
{
	fputs("usage: layouts [--seed N] [--layouts N] [--only N] [--mutant NAME] [--progress]\n",
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

static unsigned int parse_mutant(const char *text)
{
	for (unsigned int i = 0; i < EPC_MUTANT_COUNT; i++)
		if (strcmp(mutant_names[i], text) == 0)
			return i;
	fprintf(stderr, "layouts: no mutant is named %s\n", text);
	exit(2);
}

static void parse_options(struct layouts *l, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "layouts", required_argument, NULL, 'n' },
		{ "only", required_argument, NULL, 'o' },
		{ "mutant", required_argument, NULL, 'm' },
		{ "progress", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (letter == 's')
			l->seed = parse_number(optarg);
		else if (letter == 'n')
			l->nr_layouts = parse_number(optarg);
		else if (letter == 'o')
			l->only = parse_number(optarg);
		else if (letter == 'm')
			l->mutant = parse_mutant(optarg);
		else if (letter == 'p')
			l->has_progress = true;
		else
			usage(letter == 'h' ? 0 : 2);
	}
	if (l->mutant && !HAS_MUTANTS) {
		fputs("layouts: this build has no mutants, use layouts_mutants\n", stderr);
		exit(2);
	}
	if (optind != argc)
		usage(2);
	if (l->only != UINT64_MAX)
		l->nr_layouts = 1;
}

int main(int argc, char **argv)
{
	static struct layouts l = {
		.seed = 1,
		.nr_layouts = SHORT_LAYOUTS,
		.only = UINT64_MAX,
	};

	if (getenv("EPCD_LONG"))
		l.nr_layouts = LONG_LAYOUTS;
	l.has_progress = isatty(STDERR_FILENO);
	parse_options(&l, argc, argv);
	l.bytes = mmap(NULL, NR_PAGES_MAX * EPC_PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (l.bytes == MAP_FAILED)
		abort();
	printf("layouts: seed %llu, mutant %s\n", (unsigned long long)l.seed,
	       mutant_names[l.mutant]);
	fflush(stdout);
	run(&l);
	munmap(l.bytes, NR_PAGES_MAX * EPC_PAGE_SIZE);
	return 0;
}
