/* SPDX-License-Identifier: MIT */
/*
 * SIGBUS by page, and threads that write. See guard.h.
 */
#include "guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
	pthread_t thread;
	struct crew *crew;
	uint64_t number;
	uint64_t nr_written, nr_refused;
};

struct crew {
	struct pattern_range range;
	uint64_t seed;
	uint64_t nr_threads;
	struct worker workers[];
};

struct write_job {
	struct pattern_range range;
	uint64_t seed;
};

static _Thread_local sigjmp_buf guard_return;
static _Thread_local volatile sig_atomic_t guard_is_armed;
static _Thread_local void *volatile guard_address;

static void sigbus_handle(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	if (!guard_is_armed) {
		signal(signal_number, SIG_DFL);
		raise(signal_number);
		return;
	}
	guard_address = info->si_addr;
	siglongjmp(guard_return, 1);
}

void guard_init(void)
{
	struct sigaction action = { .sa_sigaction = sigbus_handle, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

uint64_t guard_run(const struct pattern_range *range, void (*work)(void *context), void *context)
{
	uint64_t page = GUARD_NO_PAGE;

	guard_is_armed = 1;
	if (sigsetjmp(guard_return, 1) == 0)
		work(context);
	else
		page = ((uintptr_t)guard_address - (uintptr_t)range->words) / PAGE_BYTES;
	guard_is_armed = 0;
	return page;
}

static void job_write(void *context)
{
	struct write_job *job = context;

	pattern_write(&job->range, job->seed);
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	const struct crew *crew = worker->crew;
	struct write_job job = { .range = crew->range, .seed = crew->seed };

	for (uint64_t page = crew->range.first + worker->number; page <= crew->range.last;
	     page += crew->nr_threads) {
		job.range.first = page;
		job.range.last = page;
		if (guard_run(&job.range, job_write, &job) == GUARD_NO_PAGE)
			worker->nr_written++;
		else
			worker->nr_refused++;
	}
	return NULL;
}

struct crew *crew_new(const struct pattern_range *range, uint64_t seed, uint64_t nr_threads)
{
	struct crew *crew = calloc(1, sizeof(*crew) + nr_threads * sizeof(crew->workers[0]));

	if (!crew)
		return NULL;
	crew->range = *range;
	crew->seed = seed;
	crew->nr_threads = nr_threads;
	for (uint64_t i = 0; i < nr_threads; i++) {
		struct worker *worker = &crew->workers[i];

		worker->crew = crew;
		worker->number = i;
		/* A crew without one of its threads is no test: leave at once, loudly. */
		if (pthread_create(&worker->thread, NULL, worker_main, worker))
			abort();
	}
	return crew;
}

void crew_free(struct crew *crew, uint64_t *nr_written, uint64_t *nr_refused)
{
	*nr_written = 0;
	*nr_refused = 0;
	for (uint64_t i = 0; i < crew->nr_threads; i++) {
		pthread_join(crew->workers[i].thread, NULL);
		*nr_written += crew->workers[i].nr_written;
		*nr_refused += crew->workers[i].nr_refused;
	}
	free(crew);
}
