/* SPDX-License-Identifier: MIT */
/*
 * Scripts that bring about one race each on purpose: faults, taking back, limits. The seed chooses
 * the places. Most of what they check is checked after every step anyway; a script only makes the
 * situation likely.
 */
#include "sim.h"

void sim_must(const struct sim *sim, bool holds, const char *what)
{
	if (!holds)
		sim_fail(sim, "the script expects: %s", what);
}

void sim_touch(struct sim *sim, int instance, int slot, int count)
{
	for (int i = 0; i < count; i++) {
		sim_fault(sim, instance, slot + i);
		sim_core_run(sim);
		sim_settle_transport(sim);
	}
}

unsigned int sim_nr_parked(const struct sim *sim)
{
	unsigned int nr_parked = 0;

	for (int i = 0; i < SIM_NR_READS; i++)
		nr_parked += sim->reads[i].phase == SIM_READ_IN_CORE;
	return nr_parked;
}

/* An instance in a cgroup below the root with a limit, both new. */
static int open_limited(struct sim *sim, int parent, uint64_t nr_pages)
{
	int cgroup = sim_cgroup_new(sim, parent);

	sim_cgroup_set_max(sim, cgroup, nr_pages * EPC_PAGE_SIZE);
	return sim_open(sim, cgroup);
}

static struct sim_unmap *first_unmap(struct sim *sim)
{
	for (int i = 0; i < SIM_NR_UNMAPS; i++)
		if (sim->unmaps[i].unmap)
			return &sim->unmaps[i];
	return NULL;
}

/* Pages are touched, written and dropped before and behind the cursor of their taking back. */
static void take_back_touched(struct sim *sim)
{
	sim_world_new(sim, 64);
	int instance = open_limited(sim, 0, 24);
	int nr_used = (int)sim_below(sim, 6);

	sim_cluster(sim, instance, 0, 20);
	sim_settle_transport(sim);
	for (int i = 0; i < nr_used; i++)
		sim_store(sim, instance, (int)sim_below(sim, 20));
	sim_touch(sim, instance, 100, 4);
	for (int i = 0; i < 3; i++)
		sim_fault(sim, instance, 110 + i);
	sim_core_run(sim);
	struct sim_unmap *unmap = first_unmap(sim);

	sim_must(sim, unmap, "speculative pages are taken back for a parked fault");
	for (int i = 0; i < 40 && unmap->unmap; i++) {
		int slot = (int)sim_below(sim, 20);

		switch (sim_below(sim, 8)) {
		case 0:
		case 1:
			sim_fault(sim, instance, slot);
			break;
		case 2:
			sim_store(sim, instance, slot);
			break;
		case 3:
			sim_drop(sim, instance, slot);
			break;
		case 4:
			sim_flush(sim, instance, slot, 4);
			break;
		case 5:
			sim_settle_transport(sim);
			break;
		case 6:
			sim_cluster(sim, instance, slot, 4);
			break;
		default:
			sim_unmap_go(sim, unmap);
			break;
		}
	}
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* Waiters wait for a cluster whose delivery is late; a raised limit must serve them, in order. */
static void limit_raised(struct sim *sim)
{
	struct sim_read *waiters[40];
	int nr_waiters = 1 + (int)sim_below(sim, 40), nr_more = (int)sim_below(sim, 45);

	sim_world_new(sim, 200);
	int instance = open_limited(sim, 0, 8);
	int cgroup = sim->instances[instance].opener;

	sim_cluster(sim, instance, 0, 8);
	for (int i = 0; i < nr_waiters; i++)
		waiters[i] = sim_read_send(sim, instance, 100 + (uint64_t)i, 1, cgroup);
	sim_must(sim, sim_nr_parked(sim) == (unsigned int)nr_waiters,
		 "faults wait for a cluster that is on its way");
	sim_core_run(sim);
	sim_cgroup_set_max(sim, cgroup, (8 + (uint64_t)nr_more) * EPC_PAGE_SIZE + 4095);
	sim_core_run(sim);
	for (int i = 0; i < nr_waiters; i++)
		sim_must(sim, (waiters[i]->phase == SIM_READ_REPLIED) == (i < nr_more),
			 "a raised limit serves those who waited, first come first served");
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* One waits at the child, one at the parent; the limits are raised one after the other. */
static void two_ancestors(struct sim *sim)
{
	sim_world_new(sim, 100);
	int upper = open_limited(sim, 0, 12);
	int lower = open_limited(sim, sim->instances[upper].opener, 4);
	int parent = sim->instances[upper].opener, child = sim->instances[lower].opener;

	sim_cluster(sim, lower, 0, 4);
	sim_cluster(sim, upper, 0, 8);
	sim_fault(sim, lower, 50);
	sim_fault(sim, upper, 60);
	sim_core_run(sim);
	sim_must(sim, sim_nr_parked(sim) == 2, "both wait");
	sim_cgroup_set_max(sim, child, 6 * EPC_PAGE_SIZE);
	sim_core_run(sim);
	sim_must(sim, sim_nr_parked(sim) == 2, "the parent is still full");
	sim_cgroup_set_max(sim, parent, 13 * EPC_PAGE_SIZE);
	sim_core_run(sim);
	sim_must(sim, sim_nr_parked(sim) == 1, "one more page serves one");
	sim_must(sim,
		 sim->instances[upper].pages[60].cache == SIM_READING &&
			 sim->instances[upper].pages[60].is_owned,
		 "who waited there first is served first");
	if (sim_chance(sim, 2))
		sim_kill(sim, lower);
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* The first in the queue is interrupted; the others go on, in order. */
static void interrupted_head(struct sim *sim)
{
	struct sim_read *waiters[20];
	int nr_waiters = 2 + (int)sim_below(sim, 18), victim = (int)sim_below(sim, 3);

	sim_world_new(sim, 120);
	int instance = open_limited(sim, 0, 40);
	int cgroup = sim->instances[instance].opener;

	sim_cluster(sim, instance, 0, 40);
	if (sim_chance(sim, 2))
		sim_settle_transport(sim);
	for (int i = 0; i < nr_waiters; i++)
		waiters[i] = sim_read_send(sim, instance, 100 + (uint64_t)i, 1, cgroup);
	if (victim < nr_waiters)
		sim_interrupt(sim, waiters[victim]);
	sim_core_step(sim);
	if (sim_chance(sim, 2))
		sim_interrupt(sim, waiters[nr_waiters - 1]);
	sim_quiesce(sim);
	for (int i = 0; i < nr_waiters - 1; i++)
		sim_must(sim, sim->instances[instance].pages[100 + i].is_owned == (i != victim),
			 "everybody but the interrupted is served");
	sim_world_end(sim);
}

/*
 * Where a mapping is read ahead, a READ of one page may be a hole that nobody wants, past the end
 * of a VM's section say: it must not cost the VM a page that it does want.
 */
static void read_ahead_hole(struct sim *sim)
{
	sim_world_new(sim, 64);
	int instance = open_limited(sim, 0, 12);

	sim_cluster(sim, instance, 0, 8);
	sim_settle_transport(sim);
	for (int slot = 0; slot < 8; slot++)
		sim_store(sim, instance, slot);
	sim_touch(sim, instance, 100, 1);
	sim_touch(sim, instance, 110, 3);
	for (int slot = 110; slot < 113; slot++)
		sim_store(sim, instance, slot);
	sim_fault(sim, instance, 120);
	sim_quiesce(sim);
	sim_must(sim, sim->instances[instance].pages[120].is_owned,
		 "the hole's page serves the fault");
	sim_world_end(sim);
}

/* More waiters than one step serves. */
static void many_waiters(struct sim *sim)
{
	sim_world_new(sim, 160);
	int instance = open_limited(sim, 0, 100);

	sim_cluster(sim, instance, 0, 100);
	if (sim_chance(sim, 2))
		sim_settle_transport(sim);
	for (int i = 0; i < 90; i++)
		sim_fault(sim, instance, 200 + i);
	sim_must(sim, sim_nr_parked(sim) == 90, "all wait");
	sim_quiesce(sim);
	for (int i = 0; i < 90; i++)
		sim_must(sim, sim->instances[instance].pages[200 + i].is_owned,
			 "speculative pages serve all faults");
	sim_world_end(sim);
}

/* The kernel repeats a fault that was refused; nine vCPUs do so at the same time. */
static void refused_again(struct sim *sim)
{
	sim_world_new(sim, 30);
	int instance = open_limited(sim, 0, 2);

	sim_touch(sim, instance, 0, 2);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 1 + (int)sim_below(sim, 10); i++)
			sim_touch(sim, instance, 10 + i, 1);
		sim_tick(sim, sim_below(sim, 2) * (EPC_REFUSAL_REPEAT_NS - sim_below(sim, 2)));
	}
	sim_world_end(sim);
}

/* Every allocation of a cluster that needs two leaves of the index fails in turn. */
static void cluster_without_memory(struct sim *sim)
{
	int slot = SIM_NR_NEAR + SIM_NR_FAR; /* the second far area crosses a multiple of 512 */

	for (uint64_t n = 1; n < 12; n++) {
		struct epc_report report;

		sim_world_new(sim, 100);
		int instance = sim_open(sim, 0);

		if (sim_chance(sim, 2))
			sim_touch(sim, instance, 0, 1);
		sim->fail_countdown = n;
		sim_cluster(sim, instance, slot, 12);
		sim->fail_countdown = 0;
		sim_check_all(sim);
		sim_settle_transport(sim);
		epc_report(sim->epc, &report);
		sim_must(sim,
			 report.nr_speculative == 0 || report.nr_speculative == 12 ||
				 sim->figures.nr_enomem > 0,
			 "a cluster is answered whole or not at all");
		sim_world_end(sim);
	}
}

/* A limit of exactly so many pages, a byte less, 4,095 bytes more; on the cgroup or above it. */
static void exact_limit(struct sim *sim)
{
	static const int64_t more[] = { -1, 0, 4095 };
	int64_t bytes = (int64_t)(1 + sim_below(sim, 20)) * EPC_PAGE_SIZE;
	int nr_owned = 0;

	bytes += more[sim_below(sim, 3)];
	sim_world_new(sim, 60);
	int upper = open_limited(sim, 0, EPC_MAX_UNLIMITED / EPC_PAGE_SIZE);
	int lower = open_limited(sim, sim->instances[upper].opener, 40);

	sim_cgroup_set_max(sim, sim->instances[sim_chance(sim, 2) ? upper : lower].opener,
			   (uint64_t)bytes);
	for (int i = 0; i < 30; i++)
		sim_read_send(sim, lower, (uint64_t)i, 1, sim->instances[lower].opener);
	for (int i = 0; i < 30; i++)
		nr_owned += sim->instances[lower].pages[i].is_owned;
	sim_must(sim, nr_owned == bytes / EPC_PAGE_SIZE, "the limit is rounded down, and used up");
	sim_quiesce(sim);
	sim_world_end(sim);
}

/* The EPC is full of clusters of several; everybody dies while everything is in flight. */
static void storm(struct sim *sim)
{
	sim_world_new(sim, 48);
	for (int i = 0; i < 6; i++)
		open_limited(sim, 0, 10 + sim_below(sim, 30));
	for (int round = 0; round < 60; round++) {
		int instance = (int)sim_below(sim, 6);

		sim_cluster(sim, instance, (int)sim_below(sim, 100), 4 + (int)sim_below(sim, 12));
		sim_fault(sim, instance, (int)sim_below(sim, 100));
		if (sim_chance(sim, 2))
			sim_settle_transport(sim);
		sim_core_step(sim);
		if (sim_chance(sim, 6))
			sim_settle_unmaps(sim);
		if (sim_chance(sim, 8)) {
			sim_kill(sim, instance);
			while (sim_reap(sim, instance))
				;
			sim_open(sim, sim->instances[instance].opener);
		}
	}
	sim_world_end(sim);
}

/* A cgroup may not go while a fault that it would pay for waits at an ancestor. */
static void cgroup_of_waiter(struct sim *sim)
{
	sim_world_new(sim, 20);
	int filler = sim_open(sim, 0);
	int cgroup = sim_cgroup_new(sim, 0);

	sim_cluster(sim, filler, 0, 19);
	sim_touch(sim, filler, 50, 1 + (int)sim_below(sim, 20));
	sim_read_send(sim, filler, 120, 1, cgroup);
	sim_cgroup_free(sim, cgroup);
	sim_core_run(sim);
	sim_cgroup_free(sim, cgroup);
	sim_quiesce(sim);
	sim_world_end(sim);
}

const struct sim_chase sim_chases[] = {
	{ "take-back-touched", take_back_touched },
	{ "limit-raised", limit_raised },
	{ "two-ancestors", two_ancestors },
	{ "interrupted-head", interrupted_head },
	{ "read-ahead-hole", read_ahead_hole },
	{ "many-waiters", many_waiters },
	{ "refused-again", refused_again },
	{ "cluster-without-memory", cluster_without_memory },
	{ "exact-limit", exact_limit },
	{ "storm", storm },
	{ "cgroup-of-waiter", cgroup_of_waiter },
	{ "reset-touched", sim_chase_reset_touched },
	{ "reset-undelivered", sim_chase_reset_undelivered },
	{ "reset-large", sim_chase_reset_large },
	{ "reset-endless", sim_chase_reset_endless },
	{ "write-after-punch", sim_chase_write_after_punch },
	{ "write-partial", sim_chase_write_partial },
	{ "punch-for-waiter", sim_chase_punch_for_waiter },
	{ "punch-inactive-for-waiter", sim_chase_punch_inactive_for_waiter },
	{ "release-unmapping", sim_chase_release_unmapping },
	{ "guests-reset", sim_chase_guests_reset },
	{ "guests-close", sim_chase_guests_close },
	{ "own-limit", sim_chase_own_limit },
	{ "leaf-touched", sim_chase_leaf_touched },
	{ "leaf-parked", sim_chase_leaf_parked },
};
const unsigned int sim_nr_chases = sizeof(sim_chases) / sizeof(sim_chases[0]);
