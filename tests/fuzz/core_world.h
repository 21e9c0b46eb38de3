/* SPDX-License-Identifier: MIT */
/*
 * The world that the fuzzer of the core plays with, and what is due from the core: core_world.c
 * takes effects and checks them, begins and ends a world. fuzz_core.c chooses the calls.
 */
#ifndef EPCD_FUZZ_CORE_WORLD_H
#define EPCD_FUZZ_CORE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "../sim/guest_leaf.h"
#include "core/epc.h"
#include "input.h"

#define NR_INSTANCES 4
#define NR_CGROUPS 6 /* the root is number 0 */
#define NR_READS 24  /* in flight, or answered and not yet delivered */
#define NR_OPERATIONS 6
#define NR_UNMAPS 64
#define NR_LEAVES 6
#define POISON 0xe7

struct instance {
	struct epc_instance *instance; /* NULL: unused */
	bool is_released;
	uint8_t mark; /* what it writes, 1 to 200 */
	unsigned int nr_outstanding, nr_unmaps, nr_undelivered;
};

enum phase {
	UNUSED,
	IN_CORE,
	UNDELIVERED
};

struct request {
	struct epc_request request;
	enum phase phase;
	bool is_read;
	bool is_interrupted;
	struct instance *instance;
	unsigned int payer;
	uint8_t *buffer;
};

struct leaf {
	struct guest_leaf guest;
	bool is_used;
	bool is_interrupted;
	struct instance *caller;
	unsigned int payer;
};

struct world {
	struct input input;
	struct epc *epc;
	uint64_t now_ns;
	uint64_t nr_pages;
	bool is_metadata_only;
	uint8_t *section_bytes[EPC_NR_SECTIONS_MAX];
	struct instance instances[NR_INSTANCES];
	struct epc_cgroup *cgroups[NR_CGROUPS];
	struct request requests[NR_READS + NR_OPERATIONS]; /* READs come first */
	struct leaf leaves[NR_LEAVES];
	struct epc_unmap *unmaps[NR_UNMAPS];
	unsigned int nr_unmaps;
	unsigned int nr_marks;
	unsigned int fails_in; /* allocations until one fails, 0: none does */
	bool has_failed;       /* since the beginning of this call */
	uint64_t nr_allocated;
};

/* The first bytes: sections and their pages, or metadata only. */
void world_begin(struct world *world);
/* Sudden: in the middle of everything. Else what is asked must be answered, and nothing be left. */
void world_end(struct world *world, bool is_sudden);
/* After each call of the core. */
void world_take(struct world *world);
void world_deliver(struct world *world, struct request *request);
void world_unmap_end(struct world *world, unsigned int number);

#endif
