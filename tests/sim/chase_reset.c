/* SPDX-License-Identifier: MIT */
/*
 * Scripts of one race each: resets, holes, write-backs, the release.
 */
#include <string.h>

#include "sim.h"

static struct sim_unmap *find_unmap(struct sim *sim, enum epc_unmap_kind kind)
{
	for (int i = 0; i < SIM_NR_UNMAPS; i++)
		if (sim->unmaps[i].unmap && sim->unmaps[i].kind == kind)
			return &sim->unmaps[i];
	return NULL;
}

static void end_operations(struct sim *sim)
{
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		while (sim_operation_go(sim, &sim->operations[i]))
			;
}

/*
 * A page is touched behind the cursor of its reset's unmapping, or in front of it, written, and
 * written back before the unmapping is acknowledged: those bytes are younger than the reset.
 */
void sim_chase_reset_touched(struct sim *sim)
{
	sim_world_new(sim, 40);
	int instance = sim_open(sim, 0), slot = (int)sim_below(sim, 8);

	sim_touch(sim, instance, 0, 8);
	for (int i = 0; i < 8; i++)
		sim_store(sim, instance, i);
	sim_operation_begin(sim, instance, SIM_REMOVE_ALL, 0, EPC_NR_INDICES);
	sim_core_run(sim);
	struct sim_unmap *unmap = find_unmap(sim, EPC_UNMAP_RESET);

	sim_must(sim, unmap, "a reset unmaps what is mapped");
	for (uint64_t n = 4 + sim_below(sim, 40); n; n--) {
		sim_unmap_go(sim, unmap);
		sim_settle_transport(sim);
	}
	for (int i = 0; i < 3; i++) {
		sim_fault(sim, instance, slot);
		sim_settle_transport(sim);
		sim_store(sim, instance, slot);
		if (!sim_chance(sim, 4))
			sim_flush(sim, instance, slot, 1);
		if (!sim_chance(sim, 4))
			sim_settle_transport(sim);
		slot = (int)sim_below(sim, 8);
	}
	sim_settle_unmaps(sim);
	sim_settle_transport(sim);
	sim_settle_unmaps(sim);
	sim_core_run(sim);
	end_operations(sim);
	for (int i = 0; i < 8; i++) {
		sim_load(sim, instance, i); /* from now on only this value is right */
		sim_drop(sim, instance, i);
	}
	sim_touch(sim, instance, 0, 8);
	sim_world_end(sim);
}

/* Replies with old contents are on their way when the reset begins. */
void sim_chase_reset_undelivered(struct sim *sim)
{
	sim_world_new(sim, 60);
	int instance = sim_open(sim, 0);

	sim_touch(sim, instance, 0, 12);
	for (int i = 0; i < 12; i++)
		sim_store(sim, instance, i);
	sim_flush(sim, instance, 0, 12);
	sim_settle_transport(sim);
	for (int i = 0; i < 12; i++)
		if (sim_chance(sim, 2))
			sim_drop(sim, instance, i);
	if (sim_chance(sim, 2))
		sim_cluster(sim, instance, 0, 20);
	for (int i = 0; i < 14; i++)
		sim_fault(sim, instance, i);
	if (sim_chance(sim, 2))
		sim_operation_begin(sim, instance, SIM_REMOVE_ALL, 0, EPC_NR_INDICES);
	else
		sim_operation_begin(sim, instance,
				    sim_chance(sim, 2) ? SIM_ZERO_RANGE : SIM_PUNCH_HOLE,
				    sim_below(sim, 4), 1 + sim_below(sim, 16));
	for (int i = 0; i < 30; i++) {
		sim_core_step(sim);
		struct sim_unmap *unmap = find_unmap(sim, EPC_UNMAP_RESET);

		if (unmap)
			sim_unmap_go(sim, unmap);
		if (sim_chance(sim, 4))
			sim_settle_transport(sim);
		sim_fault(sim, instance, (int)sim_below(sim, 20));
		end_operations(sim);
	}
	sim_quiesce(sim);
	sim_touch(sim, instance, 0, 20);
	sim_world_end(sim);
}

/* More pages than one call may work on. */
void sim_chase_reset_large(struct sim *sim)
{
	sim_world_new(sim, 720);
	int instance = sim_open(sim, 0);

	sim_cluster(sim, instance, 0, 256);
	sim_cluster(sim, instance, 256, 256);
	sim_cluster(sim, instance, 512, 88);
	sim_settle_transport(sim);
	for (int i = 0; i < 20; i++)
		sim_store(sim, instance, (int)sim_below(sim, 600));
	if (sim_chance(sim, 2))
		sim_operation_begin(sim, instance, SIM_REMOVE_ALL, 0, EPC_NR_INDICES);
	else
		sim_operation_begin(sim, instance, SIM_PUNCH_HOLE, 3, 590);
	sim_quiesce(sim);
	if (sim_chance(sim, 2)) { /* the same once more, nothing being mapped */
		sim_operation_begin(sim, instance, SIM_REMOVE_ALL, 0, EPC_NR_INDICES);
		sim_quiesce(sim);
	}
	sim_world_end(sim);
}

/* Two instances are reset without end; a parked fault is answered all the same. */
void sim_chase_reset_endless(struct sim *sim)
{
	sim_world_new(sim, 40);
	int resetters[2] = { sim_open(sim, 0), sim_open(sim, 0) }, third = sim_open(sim, 0);
	struct sim_read *read;

	for (int i = 0; i < 2; i++)
		sim_cluster(sim, resetters[i], 0, 19);
	sim_touch(sim, third, 100, 2);
	sim_settle_transport(sim);
	read = sim_read_send(sim, third, 0, 1, 0);
	sim_must(sim, read->phase == SIM_READ_IN_CORE, "a fault waits for speculative pages");
	for (int round = 0; read->phase == SIM_READ_IN_CORE; round++) {
		for (int i = 0; i < 10; i++)
			sim_operation_begin(sim, resetters[i % 2], SIM_REMOVE_ALL, 0,
					    EPC_NR_INDICES);
		sim_settle_unmaps(sim);
		sim_core_step(sim);
		end_operations(sim);
		sim_must(sim, round < 100, "a parked fault is not starved by operations");
	}
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* A write that comes when its page has become somebody else's is dropped. */
void sim_chase_write_after_punch(struct sim *sim)
{
	unsigned char bytes[EPC_PAGE_SIZE];

	sim_world_new(sim, 20);
	int first = sim_open(sim, 0), second = sim_open(sim, 0);

	sim_touch(sim, first, 0, 16);
	for (int i = 0; i < 8; i++)
		sim_store(sim, first, i);
	sim_operation_begin(sim, first, SIM_PUNCH_HOLE, 0, 8);
	sim_quiesce(sim);
	sim_touch(sim, second, 0, 12);
	sim_stamp_fill(bytes, 0xdead);
	for (uint64_t i = 0; i < 8; i++) {
		epc_write(sim->epc, sim->instances[first].instance, i * EPC_PAGE_SIZE, bytes,
			  EPC_PAGE_SIZE);
		sim_after(sim, "a write that comes too late");
	}
	for (int i = 0; i < 12; i++)
		sim_drop(sim, second, i);
	sim_touch(sim, second, 0, 12);
	sim_touch(sim, first, 0, 3);
	sim_world_end(sim);
}

/* The first bytes of a page are a few in its middle: the rest is zero, whoever had it before. */
void sim_chase_write_partial(struct sim *sim)
{
	unsigned char buffer[EPC_PAGE_SIZE] = { 0 }, bytes[EPC_PAGE_SIZE];
	size_t offset = sim_below(sim, EPC_PAGE_SIZE - 1);
	size_t size = 1 + sim_below(sim, EPC_PAGE_SIZE - 1 - offset);

	sim_world_new(sim, 16);
	int first = sim_open(sim, 0), second = sim_open(sim, 0);

	sim_touch(sim, first, 0, 16);
	for (int i = 0; i < 16; i++)
		sim_store(sim, first, i);
	sim_operation_begin(sim, first, SIM_PUNCH_HOLE, 0, 16);
	sim_quiesce(sim);
	sim_touch(sim, second, 0, 1);
	memset(bytes, 0xc3, sizeof(bytes));
	epc_write(sim->epc, sim->instances[second].instance, offset, bytes, size);
	sim_after(sim, "a small write");
	struct epc_request request = {
		.instance = sim->instances[second].instance,
		.payer = sim->cgroups[0].cgroup,
		.count = 1,
		.buffer = buffer,
	};

	sim->raw = &request;
	sim->is_raw_answered = false;
	epc_read(sim->epc, &request);
	sim_after(sim, "READ of a page that is partly written");
	sim_must(sim, sim->is_raw_answered && request.result == 0 && !request.is_zero,
		 "a page that is there is answered at once");
	sim->raw = NULL;
	for (size_t i = 0; i < EPC_PAGE_SIZE; i++)
		sim_must(sim, buffer[i] == (i >= offset && i - offset < size ? 0xc3 : 0),
			 "the bytes that were written, and zero around them");
	epc_delivered(sim->epc, request.instance, 0, 1);
	sim_after(sim, "delivered");
	sim_world_drop(sim);
}

/* Who faults while a hole is punched gets a page of it. */
void sim_chase_punch_for_waiter(struct sim *sim)
{
	uint64_t count = 1 + sim_below(sim, 8);

	sim_world_new(sim, 20);
	int first = sim_open(sim, 0), second = sim_open(sim, 0);

	sim_touch(sim, first, 0, 20);
	for (int i = 0; i < 5; i++)
		sim_store(sim, first, (int)sim_below(sim, 20));
	struct sim_operation *hole = sim_operation_begin(sim, first, SIM_PUNCH_HOLE, 4, count);

	while (hole->phase == SIM_OPERATION_FLUSHING) {
		sim_operation_go(sim, hole);
		sim_settle_transport(sim);
	}
	sim_core_run(sim);
	sim_must(sim, find_unmap(sim, EPC_UNMAP_RESET), "a hole unmaps what is mapped");
	sim_fault(sim, second, 3);
	sim_must(sim, sim_nr_parked(sim) == 1, "a fault waits for pages of the hole");
	sim_quiesce(sim);
	sim_must(sim, sim->instances[second].pages[3].is_owned, "and gets one");
	sim_world_end(sim);
}

/* Pages that a reset has unmapped are punched: they come free at once, the waiters hear of it. */
void sim_chase_punch_inactive_for_waiter(struct sim *sim)
{
	sim_world_new(sim, 40);
	int first = sim_open(sim, 0), second = sim_open(sim, 0);

	sim_touch(sim, first, 0, 20);
	sim_operation_begin(sim, first, SIM_REMOVE_ALL, 0, EPC_NR_INDICES);
	sim_quiesce(sim);
	sim_cluster(sim, second, 0, 18); /* is not delivered: it is what the fault waits for */
	for (int i = 0; i < 2; i++)
		sim_read_send(sim, second, 100 + (uint64_t)i, 1, 0);
	sim_fault(sim, second, 110);
	sim_core_run(sim);
	sim_must(sim, sim_nr_parked(sim) == 1, "a fault waits");
	struct sim_operation *hole = sim_operation_begin(sim, first, SIM_PUNCH_HOLE, 4, 4);

	for (int i = 0; i < 2 * SIM_NR_SLOTS && hole->phase == SIM_OPERATION_FLUSHING; i++)
		sim_operation_go(sim, hole);
	sim_core_run(sim);
	sim_must(sim, sim_nr_parked(sim) == 0, "the hole's pages serve it");
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* The instance is closed while its pages are taken back; whoever waits for them gets them. */
void sim_chase_release_unmapping(struct sim *sim)
{
	sim_world_new(sim, 40);
	int first = sim_open(sim, 0), second = sim_open(sim, 0);

	sim_cluster(sim, first, 0, 38);
	sim_settle_transport(sim);
	sim_touch(sim, first, 100, 2);
	if (sim_chance(sim, 2))
		sim_store(sim, first, (int)sim_below(sim, 38));
	for (int i = 0; i < 3; i++)
		sim_fault(sim, second, i);
	sim_core_run(sim);
	struct sim_unmap *unmap = find_unmap(sim, EPC_UNMAP_TAKE_BACK);

	sim_must(sim, unmap, "speculative pages are taken back");
	for (uint64_t n = sim_below(sim, 30); n; n--)
		sim_unmap_go(sim, unmap);
	sim_settle_transport(sim);
	sim_kill(sim, first);
	while (sim_reap(sim, first))
		sim_settle_transport(sim);
	if (sim_chance(sim, 2))
		sim_core_step(sim);
	sim_fault(sim, second, 10);
	if (sim_chance(sim, 2))
		sim_core_run(sim);
	sim_quiesce(sim);
	sim_must(sim, sim->instances[second].pages[10].is_owned, "the closed one's pages serve");
	sim_world_end(sim);
}
