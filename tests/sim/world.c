/* SPDX-License-Identifier: MIT */
/*
 * Makes and ends a world: the EPC with its sections and its allocator, which fails on demand and
 * counts what is not given back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define POISON 0xa6
#define END_ROUNDS_MAX 1000

/* In front of each piece of memory. */
struct header {
	size_t size;
	size_t mark;
};
#define MARK ((size_t)0x5eed5eedu)

static void *allocate(void *context, size_t size)
{
	struct sim *sim = context;
	struct header *header;

	if (sim->fail_countdown && --sim->fail_countdown == 0) {
		sim->nr_failures++;
		sim->figures.nr_alloc_failures++;
		return NULL;
	}
	header = calloc(1, sizeof(*header) + size);
	if (!header)
		abort();
	header->size = size;
	header->mark = MARK;
	sim->allocated_bytes += size;
	sim->nr_allocated++;
	return header + 1;
}

static void deallocate(void *context, void *memory, size_t size)
{
	struct sim *sim = context;
	struct header *header = (struct header *)memory - 1;

	if (header->mark != MARK || header->size != size)
		sim_fail(sim, "memory is freed that was not allocated so");
	header->mark = 0;
	sim->allocated_bytes -= size;
	sim->nr_allocated--;
	free(header);
}

/* What the last world left; the episode's random state and the run's figures stay. */
static void forget(struct sim *sim)
{
	memset(sim->instances, 0, sizeof(sim->instances));
	memset(sim->cgroups, 0, sizeof(sim->cgroups));
	memset(sim->reads, 0, sizeof(sim->reads));
	memset(sim->operations, 0, sizeof(sim->operations));
	memset(sim->leaves, 0, sizeof(sim->leaves));
	memset(sim->enclaves, 0, sizeof(sim->enclaves));
	memset(sim->blobs, 0, sizeof(sim->blobs));
	memset(sim->wires, 0, sizeof(sim->wires));
	memset(sim->unmaps, 0, sizeof(sim->unmaps));
	memset(&sim->counted, 0, sizeof(sim->counted));
	sim->nr_refusals = 0;
	sim->fail_countdown = 0;
	sim->nr_failures = 0;
	sim->nr_pages = 0;
	sim->walk_period = 16;
}

static void begin(struct sim *sim)
{
	struct epc_section_config sections[EPC_NR_SECTIONS_MAX] = { 0 };
	struct epc_config config = {
		.sections = sections,
		.nr_sections = sim->nr_sections,
		.allocator = { allocate, deallocate, sim },
		.is_metadata_only = sim->is_metadata_only,
		.mutant = sim->options.mutant,
	};

	for (unsigned int i = 0; i < sim->nr_sections; i++) {
		size_t size = sim->section_pages[i] * EPC_PAGE_SIZE;

		sim->section_bytes[i] = aligned_alloc(EPC_PAGE_SIZE, size);
		if (!sim->section_bytes[i])
			abort();
		memset(sim->section_bytes[i], POISON, size);
		sections[i].nr_pages = sim->section_pages[i];
		sections[i].node = (int)i;
		sections[i].bytes = sim->section_bytes[i];
		sim->nr_pages += sim->section_pages[i];
	}
	for (sim->fail_countdown = 1 + sim_below(sim, 2); epc_new(&config, &sim->epc) != 0;)
		if (sim->nr_failures != 1 || sim->allocated_bytes)
			sim_fail(sim, "epc_new() fails, or leaks when it fails");
	sim->fail_countdown = 0;
	sim->cgroups[0].cgroup = epc_cgroup_root(sim->epc);
	sim->cgroups[0].parent = SIM_NOBODY;
	sim->cgroups[0].max_bytes = EPC_MAX_UNLIMITED;
	epc_cgroup_set_cookie(sim->cgroups[0].cgroup, &sim->cgroups[0]);
	sim_tick(sim, 1 + sim_below(sim, 5) * EPC_REFUSAL_REPEAT_NS);
}

void sim_world_new(struct sim *sim, uint64_t nr_pages)
{
	sim_world_new_kind(sim, nr_pages, false);
}

void sim_world_new_kind(struct sim *sim, uint64_t nr_pages, bool is_metadata_only)
{
	forget(sim);
	sim->is_metadata_only = is_metadata_only;
	sim->nr_sections = 1;
	sim->section_pages[0] = nr_pages;
	sim->slots_in_use = SIM_NR_NEAR;
	begin(sim);
}

void sim_world_random(struct sim *sim)
{
	forget(sim);
	sim->is_metadata_only = sim_chance(sim, 5);
	sim->nr_sections = 1 + (unsigned int)sim_below(sim, 3);
	for (unsigned int i = 0; i < sim->nr_sections; i++)
		sim->section_pages[i] = 16 + sim_below(sim, sim_chance(sim, 3) ? 185 : 40);
	if (sim_chance(sim, 4)) /* room for whole clusters of FUSE */
		sim->section_pages[0] = 300 + sim_below(sim, 300);
	sim->slots_in_use = 4 + (unsigned int)sim_below(sim, sim_chance(sim, 3) ? 316 : 60);
	begin(sim);
	for (int i = 0; i < 7; i++)
		if (!sim_chance(sim, 4))
			sim_cgroup_new(sim, sim_cgroup_random(sim));
}

static void check_empty(struct sim *sim)
{
	struct epc_report report;

	epc_report(sim->epc, &report);
	if (report.nr_free != sim->nr_pages || report.nr_instances || report.nr_speculative ||
	    report.nr_secs || report.nr_zombies)
		sim_fail(sim,
			 "everything is closed and %llu of %llu pages are free, %llu instances",
			 (unsigned long long)report.nr_free, (unsigned long long)sim->nr_pages,
			 (unsigned long long)report.nr_instances);
	for (int i = 0; i < SIM_NR_CGROUPS; i++) {
		struct epc_cgroup_report cgroup;

		if (!sim->cgroups[i].cgroup)
			continue;
		epc_cgroup_report(sim->cgroups[i].cgroup, &cgroup);
		if (cgroup.usage_bytes || cgroup.nr_parked)
			sim_fail(sim, "everything is closed and cgroup %d has a charge", i);
	}
}

static bool free_a_leaf(struct sim *sim)
{
	for (int i = 1; i < SIM_NR_CGROUPS; i++) {
		bool is_leaf = sim->cgroups[i].cgroup != NULL;

		for (int below = 1; below < SIM_NR_CGROUPS; below++)
			is_leaf &= !sim->cgroups[below].cgroup || sim->cgroups[below].parent != i;
		if (is_leaf && !sim_cgroup_free(sim, i))
			sim_fail(sim, "cgroup %d cannot be freed, it is empty", i);
		if (is_leaf)
			return true;
	}
	return false;
}

void sim_world_drop(struct sim *sim)
{
	epc_free(sim->epc);
	sim->epc = NULL;
	if (sim->allocated_bytes || sim->nr_allocated)
		sim_fail(sim, "epc_free() leaves %llu bytes",
			 (unsigned long long)sim->allocated_bytes);
	for (unsigned int i = 0; i < sim->nr_sections; i++)
		free(sim->section_bytes[i]);
	for (int i = 0; i < SIM_NR_READS; i++)
		if (sim->reads[i].phase != SIM_READ_UNUSED)
			free(sim->reads[i].buffer);
}

void sim_world_end(struct sim *sim)
{
	bool is_open = true;

	sim->fail_countdown = 0;
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		sim_kill(sim, i);
	for (int round = 0; is_open; round++) {
		is_open = false;
		sim_quiesce(sim);
		for (int i = 0; i < SIM_NR_INSTANCES; i++) {
			is_open |= sim->instances[i].life != SIM_UNUSED;
			while (sim_reap(sim, i))
				;
		}
		if (round == END_ROUNDS_MAX)
			sim_fail(sim, "a closed instance never goes");
	}
	check_empty(sim);
	while (free_a_leaf(sim))
		;
	sim_world_drop(sim);
}
