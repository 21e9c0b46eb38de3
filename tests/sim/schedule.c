/* SPDX-License-Identifier: MIT */
/*
 * Draws the steps of an ordinary episode. The weights are drawn anew for each episode, many of them
 * zero or large, so that each episode dwells on something else.
 */
#include <stddef.h>

#include "sim.h"

static const unsigned int base_weights[SIM_NR_STEP_KINDS] = {
	[SIM_STEP_OPEN] = 6,	     [SIM_STEP_FAULT] = 60,	     [SIM_STEP_CLUSTER] = 30,
	[SIM_STEP_STRANGE_READ] = 1, [SIM_STEP_STORE] = 50,	     [SIM_STEP_LOAD] = 20,
	[SIM_STEP_FLUSH] = 15,	     [SIM_STEP_DROP] = 20,	     [SIM_STEP_WIRE] = 40,
	[SIM_STEP_DELIVER] = 90,     [SIM_STEP_ACKNOWLEDGE] = 90,    [SIM_STEP_UNMAP] = 60,
	[SIM_STEP_OPERATION] = 4,    [SIM_STEP_OPERATION_GO] = 60,   [SIM_STEP_CLOSE] = 1,
	[SIM_STEP_KILL] = 2,	     [SIM_STEP_INTERRUPT] = 3,	     [SIM_STEP_REAP] = 10,
	[SIM_STEP_LIMIT] = 3,	     [SIM_STEP_CGROUP_NEW] = 2,	     [SIM_STEP_CGROUP_FREE] = 3,
	[SIM_STEP_MOVE] = 3,	     [SIM_STEP_FAIL_ALLOCATION] = 3, [SIM_STEP_CORE] = 60,
	[SIM_STEP_TICK] = 5,	     [SIM_STEP_QUIESCE] = 1,	     [SIM_STEP_LEAF] = 150,
	[SIM_STEP_VM_OPERATION] = 1, [SIM_STEP_OWN_LIMIT] = 2,
};

void sim_schedule_draw(struct sim *sim)
{
	for (int kind = 0; kind < SIM_NR_STEP_KINDS; kind++) {
		unsigned int weight = base_weights[kind];

		switch (sim_below(sim, 8)) {
		case 0:
			weight = 0;
			break;
		case 1:
			weight *= 8;
			break;
		case 2:
			weight = (weight + 3) / 4;
			break;
		default:
			break;
		}
		sim->weights[kind] = weight;
	}
	/* without these nothing happens */
	if (!sim->weights[SIM_STEP_OPEN])
		sim->weights[SIM_STEP_OPEN] = 2;
	if (!sim->weights[SIM_STEP_FAULT] && !sim->weights[SIM_STEP_CLUSTER])
		sim->weights[SIM_STEP_FAULT] = 20;
	if (!sim->weights[SIM_STEP_DELIVER])
		sim->weights[SIM_STEP_DELIVER] = 10;
	if (!sim->weights[SIM_STEP_CORE])
		sim->weights[SIM_STEP_CORE] = 5;
}

static int random_instance(struct sim *sim)
{
	return (int)sim_below(sim, SIM_NR_INSTANCES);
}

static int random_slot(struct sim *sim)
{
	if (sim_chance(sim, 24))
		return SIM_NR_NEAR + (int)sim_below(sim, SIM_NR_SLOTS - SIM_NR_NEAR);
	if (sim_chance(sim, 40))
		return (int)sim_below(sim, SIM_NR_NEAR);
	return (int)sim_below(sim, sim->slots_in_use);
}

/* A live instance and a page that is in the cache, when there is one. */
static bool random_present(struct sim *sim, int *instance, int *slot)
{
	*instance = random_instance(sim);
	*slot = random_slot(sim);
	if (sim->instances[*instance].life == SIM_UNUSED ||
	    sim->instances[*instance].life == SIM_RELEASED)
		return false;
	for (int i = 0; i < 64; i++) {
		if (sim->instances[*instance].pages[*slot].cache == SIM_PRESENT)
			return true;
		*slot = (*slot + 1) % SIM_NR_SLOTS;
	}
	return false;
}

static void strange_read(struct sim *sim)
{
	static const struct {
		uint64_t first, count;
	} ranges[] = {
		{ 0, 0 },
		{ 0, EPC_CLUSTER_PAGES_MAX + 1 },
		{ 3, UINT64_MAX },
		{ UINT64_MAX, 2 },
		{ EPC_NR_INDICES, 1 },
		{ EPC_NR_INDICES - 1, 2 },
		{ UINT64_MAX / EPC_PAGE_SIZE, 1 },
	};
	size_t i = sim_below(sim, sizeof(ranges) / sizeof(ranges[0]));
	int instance = random_instance(sim);

	if (sim->instances[instance].life == SIM_OPEN)
		sim_read_send(sim, instance, ranges[i].first, ranges[i].count,
			      sim->instances[instance].payer);
}

static void begin_operation(struct sim *sim)
{
	int instance = random_instance(sim);
	uint64_t first = sim_slot_index(random_slot(sim)), count = 1 + sim_below(sim, 64);

	switch (sim_below(sim, 8)) {
	case 0:
	case 1:
	case 2:
		sim_operation_begin(sim, instance, SIM_REMOVE_ALL, 0, EPC_NR_INDICES);
		return;
	case 3:
		sim_operation_begin(sim, instance,
				    sim_chance(sim, 2) ? SIM_BAD_RESET : SIM_BAD_PUNCH,
				    EPC_NR_INDICES - sim_below(sim, 2), 2);
		return;
	case 4:
		count = EPC_NR_INDICES - first;
		break;
	default:
		break;
	}
	if (count > EPC_NR_INDICES - first)
		count = EPC_NR_INDICES - first;
	sim_operation_begin(sim, instance, sim_chance(sim, 2) ? SIM_ZERO_RANGE : SIM_PUNCH_HOLE,
			    first, count);
}

static void begin_vm_operation(struct sim *sim)
{
	sim_operation_begin(sim, random_instance(sim),
			    sim_chance(sim, 2) ? SIM_RESET_VM : SIM_LOSE_VM, 0, EPC_NR_INDICES);
}

static void change_own_limit(struct sim *sim)
{
	int instance = random_instance(sim);
	struct epc_instance_report report;
	uint64_t max_bytes = EPC_MAX_UNLIMITED;

	if (sim->instances[instance].life != SIM_OPEN)
		return;
	epc_instance_report(sim->instances[instance].instance, &report);
	if (sim_chance(sim, 2))
		max_bytes = (report.nr_pages / 2 + sim_below(sim, report.nr_pages + 4)) *
				    EPC_PAGE_SIZE +
			    sim_below(sim, EPC_PAGE_SIZE);
	sim_own_limit(sim, instance, max_bytes);
}

/* Mostly in a VM that is there. */
static void open_random(struct sim *sim)
{
	int sibling = random_instance(sim);

	if (sim->instances[sibling].life != SIM_OPEN || sim_chance(sim, 3))
		sibling = SIM_NOBODY;
	sim_open_beside(sim, sim_cgroup_random(sim), sibling);
}

static void change_limit(struct sim *sim)
{
	int cgroup = sim_cgroup_random(sim);
	struct epc_cgroup_report report;
	uint64_t max_bytes = sim_below(sim, sim->nr_pages + 4) * EPC_PAGE_SIZE;

	if (cgroup == 0 && !sim_chance(sim, 4))
		return;
	epc_cgroup_report(sim->cgroups[cgroup].cgroup, &report);
	switch (sim_below(sim, 8)) {
	case 0:
	case 4:
	case 5:
		max_bytes = EPC_MAX_UNLIMITED;
		break;
	case 1:
		max_bytes = report.usage_bytes;
		break;
	case 2:
		max_bytes = report.usage_bytes + EPC_PAGE_SIZE * sim_below(sim, 4) + 4095;
		break;
	case 3:
		max_bytes += sim_below(sim, EPC_PAGE_SIZE);
		break;
	default:
		break;
	}
	sim_cgroup_set_max(sim, cgroup, max_bytes);
}

/* The kind-th thing of a table that is in use, counted from a random place; -1: none. */
#define FIND(sim, table, number, is_wanted)                                 \
	do {                                                                \
		int start = (int)sim_below(sim, number);                    \
		found = SIM_NOBODY;                                         \
		for (int i = 0; i < (number) && found == SIM_NOBODY; i++) { \
			int at = (start + i) % (number);                    \
			if ((sim)->table[at].is_wanted)                     \
				found = at;                                 \
		}                                                           \
	} while (0)

static void step_transport(struct sim *sim, enum sim_step_kind kind)
{
	int found;

	if (kind == SIM_STEP_WIRE) {
		FIND(sim, wires, SIM_NR_WIRES, is_used);
		if (found != SIM_NOBODY)
			sim_wire_arrive(sim, &sim->wires[found]);
	} else if (kind == SIM_STEP_DELIVER) {
		FIND(sim, reads, SIM_NR_READS, phase == SIM_READ_REPLIED);
		if (found != SIM_NOBODY)
			sim_read_deliver(sim, &sim->reads[found]);
	} else if (kind == SIM_STEP_ACKNOWLEDGE) {
		FIND(sim, reads, SIM_NR_READS, phase == SIM_READ_GOT);
		if (found != SIM_NOBODY)
			sim_read_acknowledge(sim, &sim->reads[found]);
	} else if (kind == SIM_STEP_UNMAP) {
		FIND(sim, unmaps, SIM_NR_UNMAPS, unmap != NULL);
		if (found == SIM_NOBODY)
			return;
		for (uint64_t n = sim_below(sim, 24); n && sim_unmap_go(sim, &sim->unmaps[found]);
		     n--)
			;
		if (sim_unmap_is_performed(&sim->unmaps[found]) && sim_chance(sim, 2))
			sim_unmap_acknowledge(sim, &sim->unmaps[found]);
	} else if (kind == SIM_STEP_OPERATION_GO) {
		FIND(sim, operations, SIM_NR_OPERATIONS, phase != SIM_OPERATION_UNUSED);
		if (found == SIM_NOBODY)
			return;
		for (uint64_t n = sim_below(sim, 64);
		     n && sim_operation_go(sim, &sim->operations[found]); n--)
			;
	}
}

static void step_client(struct sim *sim, enum sim_step_kind kind)
{
	int instance = random_instance(sim), slot = random_slot(sim), found;

	if (kind == SIM_STEP_OPEN) {
		open_random(sim);
	} else if (kind == SIM_STEP_FAULT) {
		sim_fault(sim, instance, slot);
	} else if (kind == SIM_STEP_CLUSTER) {
		sim_cluster(sim, instance, slot,
			    2 + (int)sim_below(sim, sim_chance(sim, 4) ? 255 : 30));
	} else if (kind == SIM_STEP_STRANGE_READ) {
		strange_read(sim);
	} else if (kind == SIM_STEP_STORE) {
		for (uint64_t n = 1 + sim_below(sim, 3); n; n--)
			if (random_present(sim, &instance, &slot))
				sim_store(sim, instance, slot);
	} else if (kind == SIM_STEP_LOAD) {
		if (random_present(sim, &instance, &slot))
			sim_load(sim, instance, slot);
	} else if (kind == SIM_STEP_FLUSH) {
		if (random_present(sim, &instance, &slot))
			sim_flush(sim, instance, slot, 1 + (int)sim_below(sim, 256));
	} else if (kind == SIM_STEP_DROP) {
		if (random_present(sim, &instance, &slot))
			sim_drop(sim, instance, slot);
	} else if (kind == SIM_STEP_OPERATION) {
		begin_operation(sim);
	} else if (kind == SIM_STEP_VM_OPERATION) {
		begin_vm_operation(sim);
	} else if (kind == SIM_STEP_LEAF) {
		sim_leaf_random(sim);
	} else if (kind == SIM_STEP_CLOSE) {
		sim_close(sim, instance);
	} else if (kind == SIM_STEP_KILL) {
		sim_kill(sim, instance);
	} else if (kind == SIM_STEP_REAP) {
		sim_reap(sim, instance);
	} else if (kind == SIM_STEP_INTERRUPT) {
		FIND(sim, reads, SIM_NR_READS, phase == SIM_READ_IN_CORE);
		if (found != SIM_NOBODY)
			sim_interrupt(sim, &sim->reads[found]);
		FIND(sim, leaves, SIM_NR_LEAVES, is_used);
		if (found != SIM_NOBODY && sim_chance(sim, 2))
			sim_leaf_interrupt(sim, &sim->leaves[found]);
	}
}

static void step_admin(struct sim *sim, enum sim_step_kind kind)
{
	if (kind == SIM_STEP_LIMIT)
		change_limit(sim);
	else if (kind == SIM_STEP_OWN_LIMIT)
		change_own_limit(sim);
	else if (kind == SIM_STEP_CGROUP_NEW)
		sim_cgroup_new(sim, sim_cgroup_random(sim));
	else if (kind == SIM_STEP_CGROUP_FREE)
		sim_cgroup_free(sim, sim_cgroup_random(sim));
	else if (kind == SIM_STEP_MOVE)
		sim->instances[random_instance(sim)].payer = sim_cgroup_random(sim);
	else if (kind == SIM_STEP_FAIL_ALLOCATION)
		sim->fail_countdown = 1 + sim_below(sim, 6);
	else if (kind == SIM_STEP_CORE)
		sim_core_step(sim);
	else if (kind == SIM_STEP_TICK)
		sim_tick(sim, sim_chance(sim, 4) ? sim_below(sim, 3 * EPC_REFUSAL_REPEAT_NS) :
						   sim_below(sim, 1000000));
	else if (kind == SIM_STEP_QUIESCE && sim_chance(sim, 4))
		sim_quiesce(sim);
}

void sim_schedule_step(struct sim *sim)
{
	unsigned int total = 0;
	uint64_t drawn;
	int kind = 0;

	for (int i = 0; i < SIM_NR_STEP_KINDS; i++)
		total += sim->weights[i];
	for (drawn = sim_below(sim, total); drawn >= sim->weights[kind]; kind++)
		drawn -= sim->weights[kind];
	step_transport(sim, (enum sim_step_kind)kind);
	step_client(sim, (enum sim_step_kind)kind);
	step_admin(sim, (enum sim_step_kind)kind);
}
