/* SPDX-License-Identifier: MIT */
/*
 * The administrator: cgroups come and go, limits change, time passes.
 */
#include <errno.h>
#include <string.h>

#include "sim.h"

#define DEPTH_MAX 4

static int depth_of(const struct sim *sim, int cgroup)
{
	int depth = 0;

	for (; cgroup > 0; cgroup = sim->cgroups[cgroup].parent)
		depth++;
	return depth;
}

int sim_cgroup_new(struct sim *sim, int parent)
{
	uint64_t nr_failures = sim->nr_failures;
	int number = 1;

	while (number < SIM_NR_CGROUPS && sim->cgroups[number].cgroup)
		number++;
	if (number == SIM_NR_CGROUPS || !sim->cgroups[parent].cgroup ||
	    depth_of(sim, parent) >= DEPTH_MAX)
		return SIM_NOBODY;
	struct sim_cgroup *cgroup = &sim->cgroups[number];

	memset(cgroup, 0, sizeof(*cgroup));
	cgroup->parent = parent;
	cgroup->max_bytes = EPC_MAX_UNLIMITED;
	int error = epc_cgroup_new(sim->epc, sim->cgroups[parent].cgroup, (uint64_t)number + 1000,
				   cgroup, &cgroup->cgroup);

	if (error) {
		cgroup->cgroup = NULL;
		if (error != -ENOMEM || nr_failures == sim->nr_failures)
			sim_fail(sim, "epc_cgroup_new() gives %d", error);
	}
	sim_after(sim, "cgroup new");
	return error ? SIM_NOBODY : number;
}

/* What the interface says makes it busy; *may_be_busy: what a caller cannot see. */
static bool is_busy(const struct sim *sim, int number, bool *may_be_busy)
{
	struct epc_cgroup_report report;

	epc_cgroup_report(sim->cgroups[number].cgroup, &report);
	if (report.usage_bytes || report.nr_parked)
		return true;
	for (int i = 0; i < SIM_NR_CGROUPS; i++)
		if (sim->cgroups[i].cgroup && sim->cgroups[i].parent == number)
			return true;
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (sim->instances[i].life != SIM_UNUSED && sim->instances[i].opener == number)
			return true;
	for (int i = 0; i < SIM_NR_READS; i++)
		if (sim->reads[i].phase == SIM_READ_IN_CORE && sim->reads[i].payer == number)
			return true;
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->leaves[i].is_used && sim->leaves[i].guest.leaf.request.waits_at &&
		    sim->leaves[i].payer == number)
			return true;
	*may_be_busy = false; /* an unmapping on behalf of its waiters, who are gone */
	for (int i = 0; i < SIM_NR_UNMAPS; i++)
		*may_be_busy |= sim->unmaps[i].unmap && sim->unmaps[i].kind == EPC_UNMAP_TAKE_BACK;
	return false;
}

/* The daemon holds the cgroup of a leaf that it has sent down. */
static bool is_held(const struct sim *sim, int number)
{
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->leaves[i].is_used && sim->leaves[i].payer == number &&
		    !sim->leaves[i].guest.leaf.request.waits_at)
			return true;
	return false;
}

bool sim_cgroup_free(struct sim *sim, int number)
{
	struct sim_cgroup *cgroup = &sim->cgroups[number];
	bool is_expected_busy, may_be_busy;

	if (number == 0 || !cgroup->cgroup || is_held(sim, number))
		return false;
	is_expected_busy = is_busy(sim, number, &may_be_busy);

	int error = epc_cgroup_free(sim->epc, cgroup->cgroup);

	if (is_expected_busy ? error != -EBUSY : error && !(error == -EBUSY && may_be_busy))
		sim_fail(sim, "epc_cgroup_free() gives %d", error);
	if (!error) {
		cgroup->cgroup = NULL;
		for (int i = 0; i < SIM_NR_INSTANCES; i++)
			if (sim->instances[i].payer == number)
				sim->instances[i].payer = cgroup->parent;
	}
	sim_after(sim, "cgroup free");
	return !error;
}

void sim_cgroup_set_max(struct sim *sim, int number, uint64_t max_bytes)
{
	struct sim_cgroup *cgroup = &sim->cgroups[number];
	struct epc_cgroup_report report;

	if (!cgroup->cgroup)
		return;
	epc_cgroup_report(cgroup->cgroup, &report);
	cgroup->max_bytes = max_bytes;
	cgroup->ceiling_bytes = report.usage_bytes;
	sim_trace(sim, "limit of cgroup %d: %llu pages", number,
		  (unsigned long long)(max_bytes / EPC_PAGE_SIZE));
	epc_cgroup_set_max(sim->epc, cgroup->cgroup, max_bytes);
	sim_after(sim, "limit");
}

void sim_own_limit(struct sim *sim, int number, uint64_t max_bytes)
{
	struct sim_instance *instance = &sim->instances[number];
	struct epc_instance_report report;

	if (instance->life != SIM_OPEN)
		return;
	epc_instance_report(instance->instance, &report);
	instance->max_bytes = max_bytes;
	instance->ceiling_bytes = report.nr_pages * EPC_PAGE_SIZE;
	sim_trace(sim, "own limit of instance %d: %llu pages", number,
		  (unsigned long long)(max_bytes / EPC_PAGE_SIZE));
	epc_instance_set_max(sim->epc, instance->instance, max_bytes);
	sim_after(sim, "own limit");
}

int sim_cgroup_random(struct sim *sim)
{
	int number = (int)sim_below(sim, SIM_NR_CGROUPS);

	while (!sim->cgroups[number].cgroup)
		number = (number + 1) % SIM_NR_CGROUPS;
	return number;
}

void sim_tick(struct sim *sim, uint64_t ns)
{
	sim->now_ns += ns;
	epc_tick(sim->epc, sim->now_ns);
	sim_after(sim, "tick");
}
