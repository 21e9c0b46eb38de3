/* SPDX-License-Identifier: MIT */
/*
 * Scripts of guests with enclaves: room for many, so that resets, losses and closes meet whole
 * enclaves, not a few pages; and an instance's own limit.
 */
#include "sim.h"

static void settle_some(struct sim *sim)
{
	switch (sim_below(sim, 4)) {
	case 0:
		sim_settle_unmaps(sim);
		break;
	case 1:
		sim_settle_transport(sim);
		break;
	case 2:
		sim_core_step(sim);
		break;
	default:
		break;
	}
}

/* Guests of two VMs go on for a while; clients of the same pages too. */
static void guests_run(struct sim *sim, int nr_leaves)
{
	for (int i = 0; i < nr_leaves; i++) {
		int instance = (int)sim_below(sim, 6), slot = (int)sim_below(sim, 40);

		sim_leaf_random(sim);
		if (sim_chance(sim, 3))
			sim_fault(sim, instance, slot);
		if (sim_chance(sim, 4))
			sim_store(sim, instance, slot);
		settle_some(sim);
	}
}

static void open_vms(struct sim *sim, uint64_t nr_pages)
{
	bool is_metadata_only = sim_chance(sim, 2);

	sim_world_new_kind(sim, nr_pages, is_metadata_only);
	sim->slots_in_use = 40;
	for (int i = 0; i < 6; i++)
		sim_open_beside(sim, 0, i < 2 ? SIM_NOBODY : i % 2);
	for (int i = 0; i < 6; i++)
		sim_touch(sim, i, (int)sim_below(sim, 30), 10);
}

/* Each kind of operation over enclaves that are there, guests paused or going on. */
void sim_chase_guests_reset(struct sim *sim)
{
	static const enum sim_operation_kind kinds[] = { SIM_REMOVE_ALL, SIM_ZERO_RANGE,
							 SIM_PUNCH_HOLE, SIM_RESET_VM,
							 SIM_LOSE_VM };

	open_vms(sim, 300);
	guests_run(sim, 60);
	for (int round = 0; round < 4; round++) {
		enum sim_operation_kind kind = kinds[sim_below(sim, 5)];
		bool is_range = kind == SIM_ZERO_RANGE || kind == SIM_PUNCH_HOLE;
		uint64_t first = is_range ? sim_below(sim, 30) : 0;

		if (sim_chance(sim, 2))
			sim_quiesce(sim);
		sim_operation_begin(sim, (int)sim_below(sim, 6), kind, first,
				    is_range ? 1 + sim_below(sim, 40) : EPC_NR_INDICES);
		if (sim_chance(sim, 2))
			guests_run(sim, 20);
		else
			sim_quiesce(sim);
	}
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* Instances go one after the other, some in the middle of things; zombies are left in between. */
void sim_chase_guests_close(struct sim *sim)
{
	open_vms(sim, 300);
	guests_run(sim, 80);
	for (int i = 0; i < 4; i++) {
		int victim = (int)sim_below(sim, 6);

		if (sim_chance(sim, 3))
			sim_operation_begin(sim, (int)sim_below(sim, 6),
					    sim_chance(sim, 2) ? SIM_LOSE_VM : SIM_RESET_VM, 0,
					    EPC_NR_INDICES);
		sim_kill(sim, victim);
		for (int n = 0; n < 30 && sim_reap(sim, victim); n++)
			settle_some(sim);
		guests_run(sim, 15);
		if (sim_chance(sim, 2))
			sim_quiesce(sim);
	}
	sim_world_end(sim);
}

/* Waiters at an instance's own limit; it is raised, and they are served in their order. */
void sim_chase_own_limit(struct sim *sim)
{
	int nr_waiters = 1 + (int)sim_below(sim, 20), nr_more = (int)sim_below(sim, 24);
	struct sim_read *waiters[20];

	sim_world_new(sim, 120);
	int instance = sim_open(sim, 0), other = sim_open_beside(sim, 0, instance);

	sim_cluster(sim, instance, 0, 8);
	sim_cluster(sim, other, 0, 20);
	sim_settle_transport(sim);
	sim_cluster(sim, instance, 50, 4); /* is not delivered: it is what they wait for */
	sim_own_limit(sim, instance, 12 * EPC_PAGE_SIZE - sim_below(sim, 2));
	for (int slot = 0; slot < 8; slot++)
		sim_store(sim, instance, slot);
	for (int slot = 0; slot < 8; slot++)
		sim_flush(sim, instance, slot, 1);
	for (int i = 0; i < SIM_NR_WIRES; i++)
		if (sim->wires[i].is_used)
			sim_wire_arrive(sim, &sim->wires[i]);
	for (int i = 0; i < nr_waiters; i++)
		waiters[i] = sim_read_send(sim, instance, 100 + (uint64_t)i, 1, 0);
	sim_must(sim, sim_nr_parked(sim) == (unsigned int)nr_waiters,
		 "faults wait at the own limit for a cluster that is on its way");
	sim_core_run(sim);
	sim_own_limit(sim, instance, (12 + (uint64_t)nr_more) * EPC_PAGE_SIZE + 4095);
	sim_core_run(sim);
	for (int i = 0; i < nr_waiters; i++)
		sim_must(sim, (waiters[i]->phase == SIM_READ_REPLIED) == (i < nr_more),
			 "a raised limit serves those who waited, first come first served");
	if (sim_chance(sim, 2))
		sim_kill(sim, instance);
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* A page is touched each time that a leaf has unmapped it, and stored to. */
void sim_chase_leaf_touched(struct sim *sim)
{
	open_vms(sim, 300);
	guests_run(sim, 30);
	for (int i = 0; i < 150; i++) {
		sim_leaf_random(sim);
		for (int n = 0; n < SIM_NR_LEAVES; n++) {
			const struct sim_leaf *leaf = &sim->leaves[n];

			if (!leaf->is_used || sim_chance(sim, 12))
				continue;
			sim_fault(sim, leaf->rcx.instance, leaf->rcx.slot);
			sim_settle_transport(sim);
			sim_store(sim, leaf->rcx.instance, leaf->rcx.slot);
		}
		sim_settle_unmaps(sim);
	}
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* Whose pages, but not whose file, a parked leaf needs. */
static int find_named(const struct sim *sim)
{
	for (int i = 0; i < SIM_NR_LEAVES; i++) {
		const struct sim_leaf *leaf = &sim->leaves[i];
		int other = 1 - leaf->rcx.instance;

		if (leaf->is_used && leaf->guest.leaf.request.waits_at && leaf->caller != other &&
		    sim_leaf_names(leaf, sim->instances[other].instance))
			return other;
	}
	return SIM_NOBODY;
}

/* Leaves wait for a page at an own limit when an instance that they name is closed. */
static void leaf_parked_once(struct sim *sim)
{
	int victim = SIM_NOBODY;

	sim_world_new_kind(sim, 200, sim_chance(sim, 2));
	sim->slots_in_use = 40;
	sim_open(sim, 0);
	sim_open_beside(sim, 0, 0);
	for (int i = 0; i < 2; i++)
		sim_touch(sim, i, 0, 20);
	for (int i = 0; i < 40; i++) {
		sim_leaf_random(sim);
		settle_some(sim);
	}
	sim_quiesce(sim);
	for (int i = 0; i < 2; i++) {
		struct epc_instance_report report;

		sim_cluster(sim, i, 100, 6); /* is not delivered: it is what they wait for */
		epc_instance_report(sim->instances[i].instance, &report);
		sim_own_limit(sim, i, report.nr_pages * EPC_PAGE_SIZE);
	}
	sim->slots_in_use = 90; /* more than there are pages */
	for (int i = 0; i < 60 && victim == SIM_NOBODY; i++) {
		sim_leaf_random(sim);
		victim = find_named(sim);
	}
	if (victim == SIM_NOBODY)
		victim = (int)sim_below(sim, 2);
	for (int i = 0; i < SIM_NR_READS; i++) {
		struct sim_read *read = &sim->reads[i];

		if (read->phase != SIM_READ_REPLIED || read->instance != victim)
			continue;
		sim_read_deliver(sim, read);
		if (read->phase == SIM_READ_GOT)
			sim_read_acknowledge(sim, read);
	}
	sim_kill(sim, victim);
	for (int n = 0; n < 40; n++) /* all but the other's cluster */
		if (!sim_reap(sim, victim) && !sim_settle_unmaps(sim))
			sim_core_step(sim);
	sim_core_run(sim);
	sim_quiesce(sim);
	sim_world_end(sim);
}

void sim_chase_leaf_parked(struct sim *sim)
{
	for (int round = 0; round < 12; round++)
		leaf_parked_once(sim);
}
