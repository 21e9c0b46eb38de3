/* SPDX-License-Identifier: MIT */
/*
 * The engine: the one lock around the core, and the performance of its effects. Whoever wants
 * something of the core takes the lock, calls, and lets go; engine_unlock() takes the effects,
 * lets the lock go, answers requests and hands unmappings and steps to the threads that do them.
 * What does not belong here: what a request means (device.c), who pays (mirror.c).
 */
#ifndef EPCD_FRONT_ENGINE_H
#define EPCD_FRONT_ENGINE_H

#include "core/epc.h"

struct engine;

/*
 * What the engine calls when an effect is to be performed.
 * unmap: on an unmapper thread, without the lock; it may take long.
 * reply: without the lock, on whatever thread let it go: sends the answer. Returns whether replied
 * is to be called; else the request is the caller's again.
 * replied: under the lock, a while after reply: epc_delivered(), then the request is the caller's.
 * record, gone: under the lock.
 * What runs under the lock may call the core and must not block.
 */
struct engine_ops {
	void (*unmap)(void *context, const struct epc_unmap *unmap);
	bool (*reply)(void *context, struct epc_request *request);
	void (*replied)(void *context, struct epc *epc, struct epc_request *request);
	void (*gone)(void *context, void *instance_cookie);
	void (*record)(void *context, const struct epc_record *record);
};

/* Where evicted pages are kept, and how many there is room for. */
struct engine_swap {
	struct epc_swap_ops ops;
	uint32_t nr_slots;
};

/*
 * Makes the engine and its EPC (the contents' memory is reserved, not used, until a page has
 * bytes). swap: NULL, nothing is evicted. engine_start() starts the stepper and the unmappers,
 * engine_stop() ends them: no new request may come by then. Errors: -ENOMEM, -EINVAL, -EAGAIN
 * (threads), -EIO (no random bytes).
 */
int engine_new(const struct epc_section_config *sections, unsigned int nr_sections,
	       const struct engine_swap *swap, const struct engine_ops *ops, void *context,
	       struct engine **engine);
int engine_start(struct engine *engine);
void engine_stop(struct engine *engine);
void engine_free(struct engine *engine);

/* Takes the lock, tells the core the time. The EPC is the caller's until engine_unlock(). */
struct epc *engine_lock(struct engine *engine);
/* The same for work on many pages: measures the CPU time too, which costs 1.5 us here. */
struct epc *engine_lock_for_long(struct engine *engine);
void engine_unlock(struct engine *engine);

/*
 * The longest time that one holder kept the lock since engine_new(): by the clock (it may have lost
 * the processor meanwhile), and of those who locked for long by their own CPU time.
 */
uint64_t engine_longest_hold_ns(struct engine *engine);
uint64_t engine_longest_hold_cpu_ns(struct engine *engine);

/* --debug: unmappers wait before each unmapping while held. */
void engine_hold_unmaps(struct engine *engine, bool is_held);
bool engine_unmaps_held(struct engine *engine);

#endif
