/* SPDX-License-Identifier: MIT */
/*
 * Access to memory that may answer with SIGBUS, without dying of it, and threads that write such
 * memory. Commands and files are vepc.c's.
 */
#ifndef EPCD_CLIENT_GUARD_H
#define EPCD_CLIENT_GUARD_H

#include "pattern.h"

#define GUARD_NO_PAGE UINT64_MAX

/* From now on a SIGBUS inside guard_run() ends that, any other ends the process. */
void guard_init(void);

/* Runs work(context); the page of range that answered with SIGBUS, or GUARD_NO_PAGE. */
uint64_t guard_run(const struct pattern_range *range, void (*work)(void *context), void *context);

/* Threads of which number i writes the pages first + i, first + i + nr_threads, ... */
struct crew;

/* NULL: no memory or no thread. Borrows nothing: range is copied. */
struct crew *crew_new(const struct pattern_range *range, uint64_t seed, uint64_t nr_threads);

/* Waits for the threads and frees the crew; how many pages were written and how many refused. */
void crew_free(struct crew *crew, uint64_t *nr_written, uint64_t *nr_refused);

#endif
