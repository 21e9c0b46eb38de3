/* SPDX-License-Identifier: MIT */
/*
 * What the files of the random layouts share: layouts.c makes and closes them, layouts_guest.c is
 * the guest that builds them and knows what each page is, layouts_reset.c resets them. All of it is
 * test code: a failure ends the process with 1.
 */
#ifndef EPCD_LAYOUTS_H
#define EPCD_LAYOUTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/epc.h"
#include "guest_leaf.h"
#include "random.h"

#define NR_SECTIONS 8 /* of the VM */
#define STRANGER NR_SECTIONS
#define NR_INSTANCES (NR_SECTIONS + 1)
#define NR_ENCLAVES 64
#define NR_SLOTS 160 /* of an instance; the last NR_FAR lie far away */
#define NR_FAR 8
#define NR_CGROUPS 3
#define NR_UNMAPS 256
#define PENDING INT_MAX /* request.result until the reply */
#define NOBODY (-1)

enum kind {
	UNTOUCHED,
	PLAIN,
	SECS,
	CHILD,
	VA,
};

/* The model: what a page of an instance is. */
struct page {
	enum kind kind;
	int enclave;
	uint64_t linaddr;
	bool is_tcs;
	bool is_inside; /* a thread is in this TCS */
};

struct place {
	int instance, slot;
};

struct enclave {
	struct place secs; /* instance NOBODY: none */
	unsigned int nr_children;
	unsigned int nr_ever; /* for linear addresses */
	unsigned int nr_inside;
	bool is_initialised;
};

struct instance {
	struct epc_instance *instance; /* NULL: gone */
	bool is_released;
	bool has_closed, has_told_zombies;
	struct page pages[NR_SLOTS];
};

struct layouts {
	uint64_t seed, nr_layouts, only, number, random;
	unsigned int mutant;
	bool has_progress;
	const char *doing;

	void *bytes;
	struct epc *epc;
	uint64_t nr_pages, nr_allocated, now_ns, nr_calls;
	struct epc_cgroup *cgroups[NR_CGROUPS];
	unsigned int nr_sections, nr_slots, nr_enclaves;
	struct instance instances[NR_INSTANCES];
	struct enclave enclaves[NR_ENCLAVES];
	struct epc_unmap *unmaps[NR_UNMAPS];
	unsigned int nr_unmaps;
	const struct epc_request *loss; /* is going on: leaves have to wait */
	struct guest_leaf guest;

	uint64_t nr_leaves, nr_ok, nr_zombies_seen, nr_second_rounds; /* figures of the run */
};

_Noreturn void layouts_fail(const struct layouts *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline uint64_t layouts_below(struct layouts *l, uint64_t limit)
{
	return random_below(&l->random, limit);
}

static inline bool layouts_chance(struct layouts *l, unsigned int one_in)
{
	return random_chance(&l->random, one_in);
}

/* layouts.c: takes the effects, after each call of the core */
void layouts_after(struct layouts *l);
/* Somebody works on: a step, or an unmapping's end. False: nothing is left to do. */
bool layouts_work(struct layouts *l);

void layouts_check(struct layouts *l); /* epc_is_valid() */

/* layouts_reset.c: in one of the ways, chosen by chance, with what it must leave */
void layouts_reset(struct layouts *l);
void layouts_send_vm(struct layouts *l, struct epc_request *request, bool is_loss);
/* Open sections: what the core has removed is no enclave's any more, everything else is there. */
void layouts_resync(struct layouts *l);

/* layouts_guest.c */
uint64_t layouts_index(const struct layouts *l, int slot);
struct page *layouts_page(struct layouts *l, struct place place);
struct epc_leaf_place layouts_place(struct layouts *l, struct place place);
bool layouts_is_open(const struct layouts *l, int instance);
/* A page of an open section of the VM, where one can be made. */
bool layouts_find_vacant(struct layouts *l, struct place *place);
/* The page is no page of an enclave any more. */
void layouts_forget(struct layouts *l, struct place place);
void layouts_build(struct layouts *l, uint64_t nr_steps);
void layouts_touch(struct layouts *l);
/* All threads leave their enclaves. */
void layouts_leave(struct layouts *l);
/* One leaf, to its end. Returns whether it has the outcome 0. */
bool layouts_execute(struct layouts *l, struct place rcx);

#endif
