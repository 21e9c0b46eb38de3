/* SPDX-License-Identifier: MIT */
/*
 * A thread that wants EPC: it opens, maps and touches, again and again, and keeps whatever it gets.
 */
#ifndef EPCD_CLIENT_HUNGER_H
#define EPCD_CLIENT_HUNGER_H

#include <stdint.h>

struct hunger;

struct hunger_meal {
	uint64_t nr_opens;
	uint64_t nr_eaten;   /* pages */
	uint64_t nr_refused; /* one at most for each open */
};

/*
 * Begins. path is copied; nr_pages: how many pages of each open it wants. NULL: no memory or no
 * thread. Call guard_init() first.
 */
struct hunger *hunger_new(const char *path, uint64_t nr_pages);

/* Waits until the thread has opened nr_opens times more, or could not open. */
void hunger_wait(struct hunger *hunger, uint64_t nr_opens);

/* Ends the thread, gives everything back. */
void hunger_free(struct hunger *hunger, struct hunger_meal *meal);

#endif
