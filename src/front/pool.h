/* SPDX-License-Identifier: MIT */
/*
 * The core's memory: an epc_allocator that keeps what was freed, by size, and hands it out again.
 * free() now and then gives megabytes back to the system at once; that took 3.6 ms where a call
 * of the core may take 0.2. What is kept is bounded by the most that was in use, about a
 * thousandth of the EPC.
 * Locking: none of its own; whoever calls the core has the lock.
 */
#ifndef EPCD_FRONT_POOL_H
#define EPCD_FRONT_POOL_H

#include "core/epc.h"

struct pool;

int pool_new(struct pool **pool);  /* -ENOMEM */
void pool_free(struct pool *pool); /* with all that was given back to it */

/* Borrows the pool for as long as the allocator is used. */
struct epc_allocator pool_allocator(struct pool *pool);

#endif
