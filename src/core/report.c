/* SPDX-License-Identifier: MIT */
/*
 * Figures for people and tests. Nothing here changes anything.
 */
#include "core/internal.h"

void epc_report(const struct epc *epc, struct epc_report *report)
{
	*report = (struct epc_report){
		.nr_pages = epc->nr_pages,
		.nr_free = epc->nr_free,
		.nr_speculative = epc->nr_speculative,
		.nr_instances = epc->nr_started,
		.nr_parked = epc->nr_parked,
		.nr_unmaps = epc->nr_unmaps,
		.nr_faults = epc->nr_faults,
		.nr_clusters = epc->nr_clusters,
		.nr_refusals = epc->nr_refusals,
		.nr_resets = epc->nr_resets,
		.nr_taken_back = epc->nr_taken_back,
		.nr_secs = epc->nr_secs,
		.nr_zombies = epc->nr_zombies,
		.nr_leaves = epc->nr_leaves,
		.nr_active = epc->nr_active,
		.nr_inactive = epc->nr_inactive,
		.nr_evicted = epc->nr_evicted,
		.nr_evictions = epc->nr_evictions,
		.nr_loads = epc->nr_loads,
		.nr_soft_faults = epc->nr_soft_faults,
		.nr_refaults = epc->nr_refaults,
	};
	reclaim_marks(epc, &report->low_pages, &report->high_pages);
}

unsigned int epc_nr_sections(const struct epc *epc)
{
	return epc->nr_sections;
}

void epc_section_report(const struct epc *epc, unsigned int section,
			struct epc_section_report *report)
{
	report->node = epc->sections[section].node;
	report->nr_pages = epc->sections[section].nr_pages;
	report->nr_free = epc->sections[section].nr_free;
}

void epc_instance_report(const struct epc_instance *instance, struct epc_instance_report *report)
{
	const struct host *host = instance->host;

	*report = (struct epc_instance_report){
		.id = instance->id,
		.nr_pages = instance->nr_pages,
		.nr_speculative = instance->nr_speculative,
		.peak_pages = instance->peak_pages,
		.nr_pages_with_bytes = instance->nr_with_bytes,
		.end_index = instance->end_index,
		.nr_faults = instance->nr_faults,
		.nr_clusters = instance->nr_clusters,
		.nr_refusals = instance->nr_refusals,
		.nr_resets = instance->nr_resets,
		.nr_leaves = instance->nr_leaves,
		.max_bytes = instance->own_limit.max_bytes,
		.nr_secs = instance->nr_secs,
		.nr_zombies = instance->nr_zombies,
		.is_released = instance->is_releasing,
		.nr_in_vm = instance->vm->nr_open,
	};
	if (!host)
		return;
	report->is_enclave = true;
	report->is_initialised = host->is_initialised;
	report->base = host->base;
	report->size = host->size;
	report->nr_evicted = host->nr_evicted;
	report->nr_va_pages = host->nr_va_pages;
	report->nr_inactive = host->nr_inactive;
	report->nr_loads = host->nr_loads;
	report->nr_soft_faults = host->nr_soft_faults;
	report->nr_refaults = host->nr_refaults;
	report->nr_lost = host->nr_lost;
}

uint64_t epc_stake_pages(const struct epc *epc, const struct epc_instance *instance,
			 const struct epc_cgroup *cgroup)
{
	const struct epc_stake *stake = stake_find(epc, instance, cgroup);

	return stake ? stake->nr_pages : 0;
}

bool epc_has_stake_below(const struct epc_instance *instance, const struct epc_cgroup *cgroup)
{
	const struct epc_list *node = instance->stakes.next;

	while (node != &instance->stakes) {
		const struct epc_stake *stake = LIST_ENTRY(node, struct epc_stake, instance_node);

		if (cgroup_is_below(stake->cgroup, cgroup))
			return true;
		node = node->next;
	}
	return false;
}

void epc_page_report(const struct epc *epc, const struct epc_instance *instance, uint64_t index,
		     struct epc_page_report *report)
{
	const struct epc_page *page = page_find(epc, instance, index);

	*report = (struct epc_page_report){ 0 };
	if (!page)
		return;
	report->is_owned = true;
	report->is_speculative = page->is_speculative;
	report->has_bytes = page->has_bytes;
	report->is_unmapping = page->state == PAGE_UNMAPPING;
	report->is_zombie = page->is_zombie;
	report->payer = page->stake->cgroup;
	sgx_epcm(epc->sgx, page_pfn(epc, page), &report->epcm);
	while (page_pfn(epc, page) - epc->sections[report->section].first_pfn >=
	       epc->sections[report->section].nr_pages)
		report->section++;
}

bool epc_has_page(const struct epc_instance *instance, uint64_t index)
{
	return index_find(&instance->index, index) != PFN_NONE;
}
