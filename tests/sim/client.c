/* SPDX-License-Identifier: MIT */
/*
 * The clients: they open, touch, read, write, close and die, as far as the page cache lets them.
 */
#include <errno.h>
#include <string.h>

#include "sim.h"

static int find_unused(const struct sim *sim)
{
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (sim->instances[i].life == SIM_UNUSED)
			return i;
	return SIM_NOBODY;
}

int sim_open(struct sim *sim, int cgroup)
{
	return sim_open_beside(sim, cgroup, SIM_NOBODY);
}

int sim_open_beside(struct sim *sim, int cgroup, int sibling)
{
	int number = find_unused(sim);
	struct sim_instance *instance;
	uint64_t nr_failures = sim->nr_failures;

	if (number == SIM_NOBODY || !sim->cgroups[cgroup].cgroup)
		return SIM_NOBODY;
	instance = &sim->instances[number];
	memset(instance, 0, sizeof(*instance));
	for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
		sim_content_reset(&instance->pages[slot]);
		instance->pages[slot].payer = SIM_NOBODY;
	}
	instance->opener = cgroup;
	instance->payer = cgroup;
	instance->max_bytes = EPC_MAX_UNLIMITED;
	if (sibling != SIM_NOBODY)
		sim_vm_disturbed(sim, sim->instances[sibling].vm);

	int error = epc_open(sim->epc, sim->cgroups[cgroup].cgroup,
			     sibling == SIM_NOBODY ? NULL : sim->instances[sibling].instance,
			     instance, &instance->instance);

	if (error) {
		if (error != -ENOMEM || nr_failures == sim->nr_failures)
			sim_fail(sim, "epc_open() gives %d", error);
		sim_after(sim, "open, out of memory");
		return SIM_NOBODY;
	}
	instance->serial = ++sim->next_serial;
	instance->vm = sibling == SIM_NOBODY ? instance->serial : sim->instances[sibling].vm;
	instance->life = SIM_OPEN;
	sim_after(sim, "open");
	return number;
}

void sim_fault(struct sim *sim, int number, int slot)
{
	struct sim_instance *instance = &sim->instances[number];
	struct sim_page *page = &instance->pages[slot];

	if (instance->life != SIM_OPEN)
		return;
	if (page->cache == SIM_READING || page->is_laundered) {
		page->nr_waiting += page->nr_waiting < 3;
		return;
	}
	if (page->cache == SIM_PRESENT) {
		sim_load(sim, number, slot);
		return;
	}
	/* sometimes a thread of another cgroup has mapped the file */
	int payer = instance->payer;

	if (!sim->chase && sim_chance(sim, 24))
		payer = sim_cgroup_random(sim);
	sim_read_send(sim, number, sim_slot_index(slot), 1, payer);
}

/* The kernel reads ahead what is absent, in one piece. */
void sim_cluster(struct sim *sim, int number, int slot, int count)
{
	struct sim_instance *instance = &sim->instances[number];
	int nr_absent = 0;

	if (instance->life != SIM_OPEN)
		return;
	if (count > SIM_CLUSTER_MAX)
		count = SIM_CLUSTER_MAX;
	while (nr_absent < count && slot + nr_absent < SIM_NR_SLOTS &&
	       sim_slot_index(slot + nr_absent) == sim_slot_index(slot) + (uint64_t)nr_absent &&
	       instance->pages[slot + nr_absent].cache == SIM_ABSENT)
		nr_absent++;
	if (nr_absent < 2)
		sim_fault(sim, number, slot);
	else
		sim_read_send(sim, number, sim_slot_index(slot), (uint64_t)nr_absent,
			      instance->payer);
}

bool sim_store(struct sim *sim, int number, int slot)
{
	struct sim_instance *instance = &sim->instances[number];
	struct sim_page *page = &instance->pages[slot];

	if (instance->life != SIM_OPEN || page->cache != SIM_PRESENT || page->is_laundered ||
	    !sim_content_can_store(sim, number, slot))
		return false;
	uint64_t value = (instance->serial << 40) | ++sim->next_stamp;

	sim->time++;
	sim->figures.nr_stores++;
	sim_content_store(sim, number, slot, value);
	page->cached = value;
	page->is_dirty = true;
	sim_trace(sim, "store instance %d slot %d value %llx", number, slot,
		  (unsigned long long)value);
	return true;
}

void sim_load(struct sim *sim, int number, int slot)
{
	struct sim_page *page = &sim->instances[number].pages[slot];

	if (sim->instances[number].life == SIM_OPEN && page->cache == SIM_PRESENT &&
	    !page->is_laundered)
		sim_content_seen(sim, number, slot, page->cached, "a load from the page cache");
}

/* The last mapping is gone: the kernel writes what is dirty. Nobody waits for a page any more. */
static void begin_dying(struct sim *sim, int number)
{
	struct sim_instance *instance = &sim->instances[number];

	instance->life = SIM_DYING;
	for (int slot = 0; slot < SIM_NR_SLOTS; slot++)
		instance->pages[slot].nr_waiting = 0;
	sim_trace(sim, "instance %d ends", number);
}

/* A thread inside a fault, an ioctl or a fallocate holds the file. */
void sim_close(struct sim *sim, int number)
{
	if (sim->instances[number].life != SIM_OPEN)
		return;
	for (int i = 0; i < SIM_NR_READS; i++)
		if (sim->reads[i].instance == number && (sim->reads[i].phase == SIM_READ_IN_CORE ||
							 sim->reads[i].phase == SIM_READ_REPLIED))
			return;
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		if (sim->operations[i].instance == number &&
		    sim->operations[i].phase != SIM_OPERATION_UNUSED)
			return;
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->leaves[i].is_used && sim->leaves[i].caller == number)
			return;
	begin_dying(sim, number);
}

void sim_kill(struct sim *sim, int number)
{
	if (sim->instances[number].life != SIM_OPEN)
		return;
	begin_dying(sim, number);
	/* most interrupts come at once, the others by SIM_STEP_INTERRUPT and at the reaping */
	for (int i = 0; i < SIM_NR_READS; i++)
		if (sim->reads[i].phase == SIM_READ_IN_CORE && sim->reads[i].instance == number &&
		    !sim_chance(sim, 4))
			sim_interrupt(sim, &sim->reads[i]);
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->leaves[i].is_used && sim->leaves[i].caller == number &&
		    !sim_chance(sim, 4))
			sim_leaf_interrupt(sim, &sim->leaves[i]);
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		if (sim->operations[i].phase == SIM_OPERATION_IN_CORE &&
		    sim->operations[i].instance == number && sim_chance(sim, 2)) {
			epc_interrupt(sim->epc, &sim->operations[i].request);
			sim_after(sim, "interrupt of an operation");
		}
}

bool sim_interrupt(struct sim *sim, struct sim_read *read)
{
	if (read->phase != SIM_READ_IN_CORE)
		return false;
	read->is_interrupted = true;
	epc_interrupt(sim->epc, &read->request);
	sim_after(sim, "interrupt");
	if (read->phase == SIM_READ_IN_CORE)
		sim_fail(sim, "an interrupted READ is not answered at once");
	return true;
}

static bool has_dirty(const struct sim *sim, int number, int *slot)
{
	const struct sim_instance *instance = &sim->instances[number];

	for (*slot = 0; *slot < SIM_NR_SLOTS; (*slot)++) {
		const struct sim_page *page = &instance->pages[*slot];

		if (page->cache == SIM_PRESENT && page->is_dirty && !page->is_in_writeback &&
		    !page->is_laundered)
			return true;
	}
	return false;
}

bool sim_reap(struct sim *sim, int number)
{
	struct sim_instance *instance = &sim->instances[number];
	int slot;

	if (instance->life != SIM_DYING)
		return false;
	for (int i = 0; i < SIM_NR_READS; i++)
		if (sim->reads[i].phase == SIM_READ_IN_CORE && sim->reads[i].instance == number)
			return sim_interrupt(sim, &sim->reads[i]);
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->leaves[i].is_used && sim->leaves[i].caller == number &&
		    sim_leaf_interrupt(sim, &sim->leaves[i]))
			return true;
	if (has_dirty(sim, number, &slot))
		return sim_flush(sim, number, slot, SIM_CLUSTER_MAX);
	if (instance->nr_outstanding > 0)
		return false;
	for (slot = 0; slot < SIM_NR_SLOTS; slot++)
		instance->pages[slot].cache = SIM_ABSENT;
	sim_enclave_released(sim, number);
	instance->life = SIM_RELEASED;
	sim->figures.nr_released++;
	epc_release(sim->epc, instance->instance);
	sim_after(sim, "release");
	return true;
}
