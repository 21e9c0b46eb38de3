/* SPDX-License-Identifier: MIT */
/*
 * The measuring client for enclaves that are larger than the EPC: what a fault costs, beside a
 * fault on the null server, in turns; results as one line of JSON. An enclave is built as
 * tests/client/epcload does it, with its code.
 * What does not belong here: starting servers, repeating, judging; bench/run does that.
 *
 * usage: enclave VERB BYTES DEVICE [FLOOR-PATH [STATUS]]
 *   clean      reads, in an order that never meets a page again before four times the EPC went by
 *   dirty      the same with writes, so that every victim is dirty
 *   inactive   reads at random; of these the ones that met an INACTIVE page, as STATUS, the
 *              daemon's file, tells after each
 *   sweep      whole passes in the order of addresses, against passes in a random order
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "epcload.h"

#define NR_SLICE_PAGES 64u
#define NR_SLICES 200u
#define NR_SWEEPS 2u
#define NR_INACTIVE 400u	 /* that are wanted */
#define NR_INACTIVE_TRIES 40000u /* at most */
#define STATUS_BYTES 65536u

struct measure {
	struct load_enclave enclave;
	uint32_t *order; /* of all its pages */
	uint64_t nr_touched, nr_floor_touched;
	const char *floor_path, *status_path;
	size_t floor_bytes;
	int floor_fd;
	volatile uint64_t *floor; /* NULL: not mapped now */
};

struct verb {
	const char *name;
	int nr_paths;
	int (*run_fn)(struct measure *measure);
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545F4914F6CDD1D);
}

static volatile uint64_t *enclave_page(const struct measure *measure, uint64_t page)
{
	return (volatile uint64_t *)(volatile void *)(measure->enclave.memory +
						      page * LOAD_PAGE_BYTES);
}

static void enclave_fill(void *context, uint64_t page, uint64_t *words)
{
	(void)context;
	memset(words, (int)page & 0xff, LOAD_PAGE_BYTES);
}

static int failed(const char *what, int error)
{
	fprintf(stderr, "enclave: %s: %s\n", what, strerror(-error));
	return error;
}

/* A file of the null server answers the first touch of a page only: then another one is opened. */
static int floor_renew(struct measure *measure)
{
	void *bytes;

	if (measure->floor) {
		munmap((void *)measure->floor, measure->floor_bytes);
		close(measure->floor_fd);
		measure->floor = NULL;
	}
	measure->floor_fd = open(measure->floor_path, O_RDWR | O_CLOEXEC);
	if (measure->floor_fd < 0)
		return failed(measure->floor_path, -errno);
	bytes = mmap(NULL, measure->floor_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		     measure->floor_fd, 0);
	if (bytes == MAP_FAILED)
		return failed("mmap of the floor", -errno);
	measure->floor = bytes;
	measure->nr_floor_touched = 0;
	return 0;
}

static int floor_touch(struct measure *measure, unsigned int count, uint64_t *took_ns)
{
	const uint64_t words = LOAD_PAGE_BYTES / sizeof(measure->floor[0]);
	uint64_t began_ns;

	if (!measure->floor || measure->nr_floor_touched + count > measure->enclave.nr_pages) {
		int error = floor_renew(measure);

		if (error)
			return error;
	}
	began_ns = now_ns();
	for (unsigned int i = 0; i < count; i++)
		(void)measure->floor[measure->order[measure->nr_floor_touched++] * words];
	*took_ns = now_ns() - began_ns;
	return 0;
}

/* The next count pages of the order. */
static uint64_t enclave_touch(struct measure *measure, uint64_t count, bool is_write)
{
	const uint64_t began_ns = now_ns();

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t at = measure->nr_touched++ % measure->enclave.nr_pages;
		volatile uint64_t *page = enclave_page(measure, measure->order[at]);

		if (is_write)
			*page = at;
		else
			(void)*page;
	}
	return now_ns() - began_ns;
}

/* Which of the two comes first changes from slice to slice. */
static int slices_run(struct measure *measure, bool is_write)
{
	/* The steady state: everything that was added has been evicted once, by such touches. */
	enclave_touch(measure, measure->enclave.nr_pages, is_write);
	printf("{\"slice_pages\": %u, \"slices\": [", NR_SLICE_PAGES);
	for (unsigned int i = 0; i < NR_SLICES; i++) {
		uint64_t ns = 0, floor_ns;
		int error;

		if (i % 2)
			ns = enclave_touch(measure, NR_SLICE_PAGES, is_write);
		error = floor_touch(measure, NR_SLICE_PAGES, &floor_ns);
		if (error)
			return error;
		if (i % 2 == 0)
			ns = enclave_touch(measure, NR_SLICE_PAGES, is_write);
		printf("%s[%" PRIu64 ", %" PRIu64 "]", i ? ", " : "", ns, floor_ns);
	}
	puts("]}");
	return 0;
}

static int run_clean(struct measure *measure)
{
	return slices_run(measure, false);
}

static int run_dirty(struct measure *measure)
{
	return slices_run(measure, true);
}

/* A counter of the daemon's. */
static int counter_read(const struct measure *measure, const char *name, uint64_t *value)
{
	char text[STATUS_BYTES];
	const char *found;
	ssize_t size;
	int fd = open(measure->status_path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return failed(measure->status_path, -errno);
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = '\0';
	found = strstr(text, name);
	if (!found)
		return failed(name, -ENOENT);
	*value = strtoull(found + strlen(name), NULL, 10);
	return 0;
}

static int run_inactive(struct measure *measure)
{
	uint64_t random = 20211108, before, after, nr_found = 0;
	int error = counter_read(measure, "\"soft_faults\":", &before);

	printf("{\"slice_pages\": 1, \"slices\": [");
	for (unsigned int i = 0; !error && nr_found < NR_INACTIVE && i < NR_INACTIVE_TRIES; i++) {
		const uint64_t page = random_next(&random) % measure->enclave.nr_pages;
		uint64_t began_ns = now_ns(), ns, floor_ns;

		(void)*enclave_page(measure, page);
		ns = now_ns() - began_ns;
		error = counter_read(measure, "\"soft_faults\":", &after);
		if (!error && after != before) {
			/* Once before it counts: epcd's threads are awake from STATUS, too. */
			error = floor_touch(measure, 1, &floor_ns);
			error = error ? error : floor_touch(measure, 1, &floor_ns);
			printf("%s[%" PRIu64 ", %" PRIu64 "]", nr_found ? ", " : "", ns, floor_ns);
			nr_found++;
			error = error ? error : counter_read(measure, "\"soft_faults\":", &after);
		}
		before = after;
	}
	puts("]}");
	return error;
}

static uint64_t sweep(const struct measure *measure)
{
	const uint64_t began_ns = now_ns();

	for (uint64_t page = 0; page < measure->enclave.nr_pages; page++)
		(void)*enclave_page(measure, page);
	return now_ns() - began_ns;
}

static int run_sweep(struct measure *measure)
{
	printf("{\"slice_pages\": %" PRIu64 ", \"slices\": [", measure->enclave.nr_pages);
	sweep(measure);
	for (unsigned int i = 0; i < NR_SWEEPS; i++) {
		const uint64_t ns = sweep(measure);

		printf("%s[%" PRIu64 ", %" PRIu64 "]", i ? ", " : "", ns,
		       enclave_touch(measure, measure->enclave.nr_pages, false));
	}
	puts("]}");
	return 0;
}

static int order_init(struct measure *measure, uint64_t nr_pages)
{
	uint64_t random = 20210719;

	measure->order = calloc(nr_pages, sizeof(measure->order[0]));
	if (!measure->order)
		return failed("memory", -ENOMEM);
	for (uint64_t i = 0; i < nr_pages; i++) {
		const uint64_t j = random_next(&random) % (i + 1);

		measure->order[i] = measure->order[j];
		measure->order[j] = (uint32_t)i;
	}
	return 0;
}

static int enclave_build(struct measure *measure, uint64_t nr_pages, const char *device)
{
	const struct load_options options = { .device = device,
					      .nr_pages = nr_pages,
					      .is_enclave = true };
	const char *step;
	struct load_key *key;
	int error = load_key_new(NULL, &key);

	if (error)
		return failed("the key", error);
	error = load_enclave_build(&options, key, enclave_fill, NULL, &measure->enclave, &step);
	load_key_free(key);
	return error ? failed(step, error) : 0;
}

static int verb_run(const struct verb *verb, uint64_t nr_pages, char **paths)
{
	struct measure measure = { .floor_bytes = nr_pages * LOAD_PAGE_BYTES,
				   .floor_path = verb->nr_paths > 1 ? paths[1] : NULL,
				   .status_path = verb->nr_paths > 2 ? paths[2] : NULL };
	int error = order_init(&measure, nr_pages);

	if (!error)
		error = enclave_build(&measure, nr_pages, paths[0]);
	if (!error) {
		error = verb->run_fn(&measure);
		load_enclave_close(&measure.enclave);
	}
	free(measure.order);
	return error;
}

int main(int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "clean", 2, run_clean },
		{ "dirty", 2, run_dirty },
		{ "inactive", 3, run_inactive },
		{ "sweep", 1, run_sweep },
	};
	char *end = NULL;
	uint64_t size = argc > 2 ? strtoull(argv[2], &end, 10) : 0;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]) && size; i++) {
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == 3 + verbs[i].nr_paths &&
		    *end == '\0' && size % LOAD_PAGE_BYTES == 0)
			return verb_run(&verbs[i], size / LOAD_PAGE_BYTES, argv + 3) ? 1 : 0;
	}
	fputs("usage: enclave VERB BYTES DEVICE [FLOOR-PATH [STATUS]] (BYTES in whole pages)\n",
	      stderr);
	return 2;
}
