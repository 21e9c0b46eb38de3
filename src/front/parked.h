/* SPDX-License-Identifier: MIT */
/*
 * Parked READs whose requester may be interrupted. The kernel says FUSE_INTERRUPT once per request,
 * at the first signal or, with io_uring, for none at all; an answer of EINTR is right only when the
 * thread is being killed (MADV_POPULATE_WRITE would fail otherwise). So an interrupted request is
 * looked at again and again until it is answered or SIGKILL is pending for its thread.
 *
 * libfuse may run the interrupt callback at any time, also while or after the request is answered
 * by another thread: it knows the request by a key, which is never used again.
 * What to do with an interrupted request does not belong here (instance.c).
 */
#ifndef EPCD_FRONT_PARKED_H
#define EPCD_FRONT_PARKED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct parked_table;

/* Embedded in the request. */
struct parked {
	uint64_t key; /* 0: not in the table */
	pid_t tid;
	bool ends_at_signal; /* its owner's: any signal ends it, not only one that kills */
	bool is_interrupted;
	struct parked *next, *prev;
};

/* wake_fd: an eventfd, borrowed, written to when there is something to look at. */
int parked_table_new(int wake_fd, struct parked_table **table);
void parked_table_free(struct parked_table *table);

void parked_add(struct parked_table *table, struct parked *parked, pid_t tid);
/* Nothing when it is not in the table. */
void parked_remove(struct parked_table *table, struct parked *parked);
/* The callback's: notes that the request of this key is interrupted, if it is still there. */
void parked_interrupt(struct parked_table *table, uint64_t key);

bool parked_is_interrupted(struct parked_table *table, const struct parked *parked);

struct parked_ref {
	uint64_t key;
	pid_t tid;
	bool ends_at_signal;
};
/* The interrupted ones with a key above after_key, ascending, at most nr_max. Returns how many. */
unsigned int parked_interrupted(struct parked_table *table, uint64_t after_key,
				struct parked_ref *refs, unsigned int nr_max);

/*
 * Calls fn with the request of this key while the table is locked, if it is there. Whoever answers
 * a request removes it first: so it cannot be freed meanwhile.
 */
void parked_with(struct parked_table *table, uint64_t key,
		 void (*fn)(void *context, struct parked *parked), void *context);

#endif
