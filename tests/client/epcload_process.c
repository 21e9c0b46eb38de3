/* SPDX-License-Identifier: MIT */
/*
 * One process of the load: its enclave, its threads, and the children that it forks. See epcload.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "epcload.h"

#define NR_CHILD_TOUCHES 64u
#define NR_RESTRICTED_MAX 16u
#define NR_TRACE_BYTES 4u

struct crew {
	struct load *load;
	struct load_process *process;
	const struct load_pattern *pattern;
	struct load_enclave enclave;
	struct load_memory memory;
	unsigned int number;
	uint64_t began_ns;
	uint64_t end_ns;      /* 0: none */
	_Atomic bool is_over; /* something was wrong */
	bool is_sgx2_missing; /* the first thread's, as all of SGX2 is */
	unsigned int nr_spare_used;
};

struct worker {
	pthread_t thread;
	struct crew *crew;
	unsigned int number;
	int32_t self;
	struct load_cursor cursor;
	uint64_t random;
	struct load_figures *figures;
	FILE *trace;
};

static bool worker_is_over(const struct worker *worker)
{
	const struct crew *crew = worker->crew;
	const struct load_options *options = &crew->load->options;
	const uint64_t share =
		(options->nr_touches + options->nr_threads - 1) / options->nr_threads;

	return atomic_load(&crew->is_over) || atomic_load(&crew->load->is_stopping) ||
	       (options->nr_touches && worker->figures->nr_touches >= share) ||
	       (crew->end_ns && load_now_ns() >= crew->end_ns);
}

static void wrong_report(const struct worker *worker, const struct load_touch *touch)
{
	fprintf(stderr,
		"epcload: process %u: page %" PRIu64 " word %u is 0x%016" PRIx64 ", wanted "
		"0x%016" PRIx64 " (generation %" PRIu32 "%s)\n",
		worker->crew->number, touch->page, touch->word, touch->got, touch->want,
		worker->crew->memory.pages[touch->page].generation,
		worker->crew->memory.pages[touch->page].is_torn ? " or the next" : "");
}

static void sigbus_report(const struct worker *worker, const struct load_touch *touch)
{
	if (worker->figures->nr_sigbus == 0)
		fprintf(stderr, "epcload: process %u: SIGBUS at 0x%" PRIx64 ", page %" PRIu64 "\n",
			worker->crew->number, touch->address, touch->page);
}

static void touch_account(struct worker *worker, const struct load_touch *touch)
{
	struct load_figures *figures = worker->figures;

	figures->nr_touches++;
	figures->nr_writes += touch->is_write;
	if (touch->is_sigbus) {
		sigbus_report(worker, touch);
		if (!figures->nr_sigbus++)
			figures->sigbus_address = touch->address;
		if (worker->crew->load->options.is_sigbus_fatal)
			atomic_store(&worker->crew->is_over, true);
		return;
	}
	if (touch->took_ns > LOAD_FAULT_NS) {
		figures->nr_faults++;
		load_histogram_add(&figures->latencies, touch->took_ns);
	}
	if (touch->is_wrong) {
		wrong_report(worker, touch);
		figures->nr_wrong++;
		atomic_store(&worker->crew->is_over, true);
	}
}

static void worker_touch(struct worker *worker, uint64_t page, bool is_write)
{
	struct load_touch touch = { .page = page, .is_write = is_write };

	load_memory_touch(&worker->crew->memory, worker->self, &touch);
	touch_account(worker, &touch);
}

static void worker_touch_next(struct worker *worker)
{
	const uint64_t page = load_cursor_next(&worker->cursor);
	const uint32_t number = (uint32_t)page;
	const unsigned int percent = (unsigned int)(load_random(&worker->random) % 100);

	if (worker->trace)
		fwrite(&number, NR_TRACE_BYTES, 1, worker->trace);
	worker_touch(worker, page, percent < worker->crew->load->options.writes_percent);
}

static void usage_account(const struct rusage *before, struct load_figures *figures)
{
	struct rusage now;

	getrusage(RUSAGE_THREAD, &now);
	figures->nr_minor += (uint64_t)(now.ru_minflt - before->ru_minflt);
	figures->nr_major += (uint64_t)(now.ru_majflt - before->ru_majflt);
}

/* The parent's first thread waits, so the child may use its figures. */
static _Noreturn void child_run(struct worker *worker)
{
	const uint64_t nr_wrong = worker->figures->nr_wrong;

	worker->self = gettid();
	worker->trace = NULL;
	for (unsigned int i = 0; i < NR_CHILD_TOUCHES && !atomic_load(&worker->crew->is_over); i++)
		worker_touch_next(worker);
	_exit(worker->figures->nr_wrong != nr_wrong);
}

static void worker_fork(struct worker *worker)
{
	uint64_t random = load_random(&worker->random);
	int status;
	pid_t pid;

	if (worker->trace)
		fflush(worker->trace);
	pid = fork();
	if (pid == 0) {
		/* Other pages than the parent's. */
		worker->random = random;
		worker->cursor.random ^= random;
		child_run(worker);
	}
	if (pid < 0)
		return;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	worker->figures->nr_forks++;
	if (WIFSIGNALED(status))
		worker->figures->nr_children_killed++;
	else if (WEXITSTATUS(status))
		atomic_store(&worker->crew->is_over, true);
}

static void sgx2_failed(struct crew *crew, const char *what, int error)
{
	if (error == -ENODEV) {
		crew->is_sgx2_missing = true;
		return;
	}
	fprintf(stderr, "epcload: process %u: %s: %s\n", crew->number, what, strerror(-error));
	crew->process->error = error;
	atomic_store(&crew->process->state, LOAD_FAILED);
	atomic_store(&crew->is_over, true);
}

/* A page that is trimmed can only be removed when code of the enclave has accepted that. */
static void spare_trim(struct worker *worker)
{
	struct crew *crew = worker->crew;
	const uint64_t page = crew->load->options.nr_pages + crew->nr_spare_used++;
	int error = load_enclave_trim(&crew->enclave, page);

	if (error) {
		sgx2_failed(crew, "MODIFY_TYPES", error);
		return;
	}
	error = load_enclave_remove(&crew->enclave, page);
	if (error != -EPERM)
		sgx2_failed(crew, "REMOVE_PAGES of what nobody accepted", error ? error : -EPROTO);
	else
		worker->figures->nr_trimmed++;
}

static void worker_sgx2(struct worker *worker)
{
	struct crew *crew = worker->crew;
	const uint64_t nr_pages = crew->load->options.nr_pages;
	const uint64_t first = load_random(&worker->random) % nr_pages;
	uint64_t count = 1 + load_random(&worker->random) % NR_RESTRICTED_MAX;
	int error;

	if (crew->is_sgx2_missing)
		return;
	if (crew->nr_spare_used < LOAD_NR_SPARE_PAGES && load_random(&worker->random) % 4 == 0) {
		spare_trim(worker);
		return;
	}
	if (count > nr_pages - first)
		count = nr_pages - first;
	error = load_enclave_restrict(&crew->enclave, first, count);
	if (error)
		sgx2_failed(crew, "RESTRICT_PERMISSIONS", error);
	else
		worker->figures->nr_restricted += count;
}

static void worker_verify_all(struct worker *worker)
{
	const struct crew *crew = worker->crew;
	const struct load_options *options = &crew->load->options;

	for (uint64_t page = worker->number;
	     page < options->nr_pages && !atomic_load(&crew->is_over); page += options->nr_threads)
		worker_touch(worker, page, false);
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	const struct load_options *options = &worker->crew->load->options;
	struct rusage before;
	uint64_t nr_touches = 0;

	worker->self = gettid();
	getrusage(RUSAGE_THREAD, &before);
	while (!worker_is_over(worker)) {
		worker_touch_next(worker);
		nr_touches++;
		if (worker->number == 0 && options->fork_every &&
		    nr_touches % options->fork_every == 0)
			worker_fork(worker);
		if (worker->number == 0 && options->sgx2_every &&
		    nr_touches % options->sgx2_every == 0)
			worker_sgx2(worker);
	}
	if (worker->number == 0)
		worker->crew->process->run_ns = load_now_ns() - worker->crew->began_ns;
	if (options->verifies_all)
		worker_verify_all(worker);
	usage_account(&before, worker->figures);
	return NULL;
}

static void worker_init(struct worker *worker, struct crew *crew, unsigned int number)
{
	const struct load_options *options = &crew->load->options;
	uint64_t seed = options->seed ^ (uint64_t)(crew->number * LOAD_NR_THREADS_MAX + number + 1)
						<< 32;

	*worker = (struct worker){ .crew = crew,
				   .number = number,
				   .figures = &crew->process->figures[number] };
	worker->random = load_random(&seed);
	load_cursor_init(&worker->cursor, crew->pattern, load_random(&seed),
			 number * (options->nr_pages / options->nr_threads));
}

/* 0 or -errno; a crew without one of its threads is no test. */
static int crew_touch(struct crew *crew, FILE *trace)
{
	const unsigned int nr_threads = crew->load->options.nr_threads;
	struct worker *workers = calloc(nr_threads, sizeof(workers[0]));
	int error = 0;

	if (!workers)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr_threads; i++)
		worker_init(&workers[i], crew, i);
	workers[0].trace = trace;
	for (unsigned int i = 1; i < nr_threads; i++) {
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]))
			_exit(1);
	}
	worker_main(&workers[0]);
	for (unsigned int i = 1; i < nr_threads; i++)
		pthread_join(workers[i].thread, NULL);
	free(workers);
	return error;
}

static int crew_build(struct crew *crew, struct load_key *key, const char **step)
{
	const struct load_options *options = &crew->load->options;
	uint64_t owner = options->seed + crew->number * UINT64_C(0x100000001);
	uint64_t began_ns = load_now_ns();
	int error;

	*step = "memory";
	error = load_memory_init(&crew->memory, options->nr_pages + LOAD_NR_SPARE_PAGES,
				 load_random(&owner));
	if (!error)
		error = load_enclave_build(options, key, load_memory_fill, &crew->memory,
					   &crew->enclave, step);
	crew->memory.bytes = crew->enclave.memory;
	crew->process->base = (uint64_t)(uintptr_t)crew->enclave.memory;
	crew->process->build_ns = load_now_ns() - began_ns;
	return error;
}

/* Says that it is ready and waits until all are. */
static void crew_wait(struct crew *crew, int ready, int go)
{
	const struct load_options *options = &crew->load->options;
	char byte = 'r';

	if (!options->is_quiet)
		fprintf(stderr, "epcload: process %u is %d, enclave at 0x%" PRIx64 "\n",
			crew->number, (int)getpid(), crew->process->base);
	if (write(ready, &byte, 1) < 0)
		_exit(1);
	close(ready);
	while (read(go, &byte, 1) < 0 && errno == EINTR)
		;
	close(go);
	crew->began_ns = load_now_ns();
	if (options->seconds)
		crew->end_ns = crew->began_ns + options->seconds * 1000000000;
	atomic_store(&crew->process->state, LOAD_RUNNING);
}

int load_process_run(struct load *load, unsigned int number, struct load_key *key,
		     const struct load_pattern *pattern, int ready, int go)
{
	struct crew crew = { .load = load,
			     .process = load_process(load, number),
			     .pattern = pattern,
			     .number = number };
	const char *step;
	FILE *trace = NULL;
	int error;

	load_memory_guard();
	error = crew_build(&crew, key, &step);
	if (!error && number == 0 && load->options.trace_path) {
		step = load->options.trace_path;
		trace = fopen(step, "we");
		error = trace ? 0 : -errno;
	}
	if (error) {
		fprintf(stderr, "epcload: process %u: %s: %s\n", number, step, strerror(-error));
		crew.process->error = error;
		atomic_store(&crew.process->state, LOAD_FAILED);
		return 1;
	}
	crew_wait(&crew, ready, go);
	if (crew_touch(&crew, trace))
		_exit(1);
	if (trace)
		fclose(trace);
	load_enclave_close(&crew.enclave);
	load_memory_fini(&crew.memory);
	if (atomic_load(&crew.process->state) == LOAD_FAILED)
		return 1;
	atomic_store(&crew.process->state, LOAD_DONE);
	return atomic_load(&crew.is_over);
}
