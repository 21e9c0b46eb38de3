/* SPDX-License-Identifier: MIT */
/*
 * Every invariant as code. Slow and obvious: everything is counted anew from the page descriptors
 * and held against the counters, lists and indices that the core keeps.
 */
#include "core/internal.h"

#define HOLDS(condition, text)       \
	do {                         \
		if (!(condition))    \
			return text; \
	} while (0)

#define FOR_EACH(node, list) \
	for (struct epc_list *node = (list)->next; node != (list); node = node->next)

static const char *check_lru(const struct epc *epc, const struct epc_cgroup *cgroup,
			     const struct lru_list *list, enum page_class class)
{
	uint64_t nr_listed = 0;
	uint32_t prev = PFN_NONE;

	for (uint32_t pfn = list->head; pfn != PFN_NONE; pfn = epc->pages[pfn].next) {
		const struct epc_page *page = &epc->pages[pfn];

		HOLDS(page->stake && page->stake->cgroup == cgroup && page_class(page) == class,
		      "a page is on the wrong LRU list");
		HOLDS(!page->is_filling, "a page could be reclaimed before its fault is delivered");
		HOLDS(page->prev == prev, "an LRU list is torn");
		HOLDS(nr_listed++ < list->nr_pages, "an LRU list has a loop");
		prev = pfn;
	}
	HOLDS(list->tail == prev && nr_listed == list->nr_pages, "an LRU list is miscounted");
	return NULL;
}

/* Every page of those classes is on one: they add up. */
static const char *check_lrus(const struct epc *epc)
{
	uint64_t nr_active = 0, nr_inactive = 0;
	const char *why = NULL;

	for (uint32_t pfn = 0; pfn < epc->nr_pages; pfn++) {
		nr_active += page_class(&epc->pages[pfn]) == CLASS_ACTIVE;
		nr_inactive += page_class(&epc->pages[pfn]) == CLASS_INACTIVE;
	}
	HOLDS(nr_active == epc->nr_active && nr_inactive == epc->nr_inactive, "active or inactive "
									      "pages are "
									      "miscounted");
	FOR_EACH(node, &epc->cgroups)
	{
		const struct epc_cgroup *cgroup = LIST_ENTRY(node, struct epc_cgroup, node);

		nr_active -= cgroup->active.nr_pages;
		nr_inactive -= cgroup->inactive.nr_pages;
		if (!why)
			why = check_lru(epc, cgroup, &cgroup->active, CLASS_ACTIVE);
		if (!why)
			why = check_lru(epc, cgroup, &cgroup->inactive, CLASS_INACTIVE);
	}
	HOLDS(!nr_active && !nr_inactive, "an active or inactive page is on no list");
	return why;
}

static const char *check_swap(const struct epc *epc)
{
	uint64_t nr_used = 0;

	for (uint32_t slot = 0; slot < epc->swap_unused; slot++)
		nr_used += epc->evicted[slot].instance != NULL;
	HOLDS(nr_used + epc->nr_swap_free == epc->nr_swap_slots, "swap slots are miscounted");
	HOLDS(nr_used == epc->nr_evicted, "a swap slot holds no evicted page");
	return NULL;
}

static const char *check_sections(const struct epc *epc)
{
	uint64_t nr_free = 0;

	for (unsigned int i = 0; i < epc->nr_sections; i++) {
		const struct section *section = &epc->sections[i];
		uint32_t end = section->first_pfn + section->nr_pages;
		uint32_t nr_listed = end - section->next_unused;

		for (uint32_t pfn = section->free_head; pfn != PFN_NONE;
		     pfn = epc->pages[pfn].next) {
			HOLDS(pfn >= section->first_pfn && pfn < section->next_unused, "a free "
										       "list leads "
										       "out of its "
										       "section");
			HOLDS(!epc->pages[pfn].stake, "a page is free and owned");
			HOLDS(nr_listed++ < section->nr_pages, "a free list has a loop");
		}
		HOLDS(nr_listed == section->nr_free, "a section's free pages are miscounted");
		nr_free += section->nr_free;
	}
	HOLDS(nr_free == epc->nr_free, "the sections' free pages do not add up");
	return NULL;
}

static void clear_tallies(const struct epc *epc)
{
	FOR_EACH(node, &epc->cgroups)
	LIST_ENTRY(node, struct epc_cgroup, node)->seen = (struct tally){ 0 };
	FOR_EACH(node, &epc->instances)
	{
		FOR_EACH(entry, &LIST_ENTRY(node, struct epc_instance, node)->stakes)
		LIST_ENTRY(entry, struct epc_stake, instance_node)->seen = (struct tally){ 0 };
	}
}

/* An owned page, and what it is to the processor. */
static const char *check_enclave_page(const struct epc *epc, const struct epc_page *page,
				      const struct sgx_epcm *epcm)
{
	const struct epc_instance *instance = page->stake->instance;
	bool is_secs = epcm->is_valid && epcm->type == SGX_PT_SECS;

	HOLDS(!page->is_zombie || (is_secs && instance->is_releasing &&
				   sgx_secs_nr_children(epc->sgx, page_pfn(epc, page))),
	      "a zombie is no SECS, or has no children");
	if (!epcm->is_valid)
		return NULL;
	HOLDS(!page->is_speculative, "a page of an enclave could be taken back");
	HOLDS(page->has_bytes, "a page of an enclave has no content");
	HOLDS(epcm->secs == SGX_PAGE_OUTSIDE ||
		      (epc->pages[epcm->secs].stake &&
		       epc->pages[epcm->secs].stake->instance->vm == instance->vm),
	      "an enclave is in two VMs");
	return NULL;
}

/* Every owned page is in its instance's index and in its stake's tally. */
static const char *tally_pages(const struct epc *epc)
{
	uint64_t nr_owned = 0, nr_speculative = 0, nr_unmapping = 0, nr_covered = 0;

	for (uint32_t pfn = 0; pfn < epc->nr_pages; pfn++) {
		const struct epc_page *page = &epc->pages[pfn];
		enum page_class class = page_class(page);
		struct sgx_epcm epcm;
		const char *why;

		sgx_epcm(epc->sgx, pfn, &epcm);
		if (!page->stake) {
			HOLDS(!epcm.is_valid, "a free page belongs to an enclave");
			HOLDS(page->state == PAGE_FREE && !page->has_bytes && !page->is_speculative,
			      "a free page is not clean");
			continue;
		}
		HOLDS(page->state != PAGE_FREE, "an owned page is free");
		HOLDS(index_find(&page->stake->instance->index, page->index) == pfn, "an owned "
										     "page is not "
										     "in its "
										     "instance's "
										     "index");
		HOLDS(page->state == PAGE_UNMAPPING ||
			      (!page->is_reset && !page->is_for_leaf && !page->is_for_reclaim &&
			       !page->is_touched && !page->is_written && !page->gives_back),
		      "a page has marks of an unmapping that is over");
		why = check_enclave_page(epc, page, &epcm);
		if (why)
			return why;
		page->stake->seen.nr_secs += epcm.is_valid && epcm.type == SGX_PT_SECS;
		page->stake->seen.nr_zombies += page->is_zombie;
		page->stake->seen.nr_pages++;
		page->stake->seen.nr_takeable += class == CLASS_TAKEABLE;
		page->stake->seen.nr_leaving += class == CLASS_LEAVING;
		page->stake->seen.nr_reclaimable += class >= CLASS_ACTIVE;
		nr_owned++;
		nr_speculative += page->is_speculative;
		nr_unmapping += page->state == PAGE_UNMAPPING;
	}
	HOLDS(nr_owned + epc->nr_free == epc->nr_pages, "free + used is not all pages");
	HOLDS(nr_speculative == epc->nr_speculative, "speculative pages are miscounted");
	FOR_EACH(node, &epc->cgroups)
	{
		const struct epc_cgroup *cgroup = LIST_ENTRY(node, struct epc_cgroup, node);

		nr_covered += cgroup->is_taking ? cgroup->unmap.count : 0;
	}
	FOR_EACH(node, &epc->instances)
	{
		const struct epc_instance *instance = LIST_ENTRY(node, struct epc_instance, node);

		nr_covered += instance->is_unmapping ? instance->unmap.count : 0;
		nr_covered += instance->own_limit.is_taking ? instance->own_limit.unmap.count : 0;
		FOR_EACH(entry, &instance->vm->leaves)
		{
			const struct epc_leaf *leaf = LIST_ENTRY(entry, struct epc_leaf, wait_node);

			nr_covered += leaf->is_unmapping && leaf->unmap.instance == instance;
		}
	}
	for (unsigned int i = 0; i < NR_RECLAIM_BATCHES; i++)
		nr_covered += epc->batches[i].is_used ? epc->batches[i].unmap.count : 0;
	HOLDS(nr_covered == nr_unmapping, "a page is UNMAPPING without an unmapping");
	return NULL;
}

static const char *check_unmap(const struct epc *epc, const struct epc_unmap *unmap,
			       enum epc_unmap_kind kind)
{
	bool is_reset = kind == EPC_UNMAP_RESET;
	bool is_for_leaf = kind == EPC_UNMAP_LEAF;
	bool is_for_reclaim = kind == EPC_UNMAP_RECLAIM;

	HOLDS(unmap->count && unmap->count <= EPC_STEP_PAGES, "an unmapping is too large");
	HOLDS(unmap->kind == kind, "an unmapping has changed its purpose");
	for (uint64_t i = 0; i < unmap->count; i++) {
		const struct epc_page *page = page_find(epc, unmap->instance, unmap->first + i);

		HOLDS(page, "an unmapping covers a page that is not the instance's");
		HOLDS(page->state == PAGE_UNMAPPING && page->is_reset == is_reset &&
			      page->is_for_leaf == is_for_leaf &&
			      page->is_for_reclaim == is_for_reclaim,
		      "an unmapping "
		      "covers a page "
		      "of another "
		      "state");
	}
	return NULL;
}

static const char *check_takeable_list(const struct epc *epc, const struct epc_stake *stake)
{
	uint64_t nr_listed = 0;
	uint32_t prev = PFN_NONE;

	if (stake->is_doomed) {
		HOLDS(!stake->nr_takeable && stake->takeable_head == PFN_NONE &&
			      stake->takeable_tail == PFN_NONE,
		      "a released "
		      "instance has pages "
		      "to take back");
		return NULL;
	}
	for (uint32_t pfn = stake->takeable_head; pfn != PFN_NONE; pfn = epc->pages[pfn].next) {
		const struct epc_page *page = &epc->pages[pfn];

		HOLDS(page->stake == stake && page_class(page) == CLASS_TAKEABLE, "a page on the "
										  "takeable list "
										  "is not "
										  "takeable");
		HOLDS(page->prev == prev, "a takeable list is torn");
		HOLDS(nr_listed++ < stake->nr_pages, "a takeable list has a loop");
		prev = pfn;
	}
	HOLDS(stake->takeable_tail == prev, "a takeable list has another end");
	HOLDS(nr_listed == stake->nr_takeable, "a takeable page is not on the list");
	return NULL;
}

static const char *check_stake(const struct epc *epc, const struct epc_stake *stake)
{
	const struct tally *seen = &stake->seen;
	struct epc_cgroup *cgroup = stake->cgroup;

	HOLDS(stake->nr_pages, "a stake has no pages");
	HOLDS(stake->nr_pages == seen->nr_pages, "a stake's pages are miscounted");
	HOLDS(stake->nr_takeable == seen->nr_takeable, "a stake's takeable pages are miscounted");
	HOLDS(stake->nr_leaving == seen->nr_leaving, "a stake's leaving pages are miscounted");
	HOLDS(stake->nr_reclaimable == seen->nr_reclaimable, "a stake's reclaimable pages are "
							     "miscounted");
	HOLDS(list_is_empty(&stake->takeable_node) == !stake->nr_takeable, "a stake is on its "
									   "cgroup's takeable "
									   "list, or is not, "
									   "wrongly");
	HOLDS(stake_find(epc, stake->instance, cgroup) == stake, "a stake cannot be found");
	HOLDS(list_is_empty(&stake->own_limit_node) == !stake->nr_takeable, "a stake is on its own "
									    "limit's takeable "
									    "list, or is not, "
									    "wrongly");
	cgroup->seen.nr_stakes++;
	cgroup->seen.nr_pages += seen->nr_pages;
	cgroup->seen.nr_takeable += seen->nr_takeable;
	cgroup->seen.nr_leaving += seen->nr_leaving;
	cgroup->seen.nr_reclaimable += seen->nr_reclaimable;
	return check_takeable_list(epc, stake);
}

static const char *check_waiters(const struct epc *epc, const struct epc_cgroup *cgroup)
{
	uint64_t nr_waiters = 0;

	FOR_EACH(node, &cgroup->waiters)
	{
		const struct epc_request *request = LIST_ENTRY(node, struct epc_request, node);

		HOLDS(request->waits_at == cgroup, "a parked request is in the wrong queue");
		HOLDS(request->count == 1, "a cluster is parked");
		HOLDS(request->leaf || !page_find(epc, request->instance, request->first), "a READ "
											   "is "
											   "parked "
											   "for a "
											   "page "
											   "that "
											   "is "
											   "there");
		HOLDS(cgroup->is_own_limit ? &request->instance->own_limit == cgroup :
					     cgroup_is_below(request->payer, cgroup),
		      "a parked request waits at a limit "
		      "that it is not under");
		request->payer->seen.nr_payers++;
		nr_waiters++;
	}
	HOLDS(nr_waiters == cgroup->nr_waiters, "a queue is miscounted");
	HOLDS(!nr_waiters || cgroup->nr_takeable ||
		      (cgroup->nr_reclaimable && swap_has_room(epc)) || cgroup->nr_leaving ||
		      cgroup->is_taking || !list_is_empty(&cgroup->wake_node),
	      "a request is parked without hope");
	return NULL;
}

/* The limit of the instance's own; what is parked there is counted by check_cgroups(). */
static const char *check_own_limit(const struct epc *epc, const struct epc_instance *instance)
{
	const struct epc_cgroup *own_limit = &instance->own_limit;
	uint64_t nr_takeable = 0, nr_leaving = 0;

	FOR_EACH(node, &instance->stakes)
	{
		const struct epc_stake *stake = LIST_ENTRY(node, struct epc_stake, instance_node);

		nr_takeable += stake->nr_takeable;
		nr_leaving += stake->nr_leaving;
	}
	HOLDS(own_limit->usage_pages == instance->nr_pages, "an own limit's usage is not its "
							    "pages");
	HOLDS(own_limit->nr_takeable == nr_takeable && own_limit->nr_leaving == nr_leaving, "an "
											    "own "
											    "limit'"
											    "s "
											    "takeab"
											    "le or "
											    "leavin"
											    "g "
											    "pages "
											    "are "
											    "miscou"
											    "nted");
	if (own_limit->is_taking)
		return check_unmap(epc, &own_limit->unmap, EPC_UNMAP_TAKE_BACK);
	return NULL;
}

static const char *check_operations(const struct epc_instance *instance)
{
	bool is_queued = !list_is_empty(&instance->operation_node);

	if (instance->is_releasing) {
		HOLDS(list_is_empty(&instance->requests), "a released instance has requests");
		HOLDS(is_queued || instance->nr_unmaps || instance->nr_undelivered ||
			      instance->nr_pins || instance->nr_zombies,
		      "a release is "
		      "forgotten");
		return NULL;
	}
	HOLDS(!instance->is_stalled || instance->nr_unmaps, "an operation waits for nothing");
	HOLDS(list_is_empty(&instance->requests) || is_queued || instance->is_unmapping ||
		      instance->is_stalled,
	      "an operation is forgotten");
	return NULL;
}

static bool check_evicted(const struct epc *epc, const struct epc_instance *instance,
			  uint64_t index)
{
	uint32_t slot = swap_find(epc, instance, index);
	const struct evicted *evicted;

	if (slot == PFN_NONE || slot >= epc->nr_swap_slots)
		return false;
	evicted = &epc->evicted[slot];
	return evicted->instance == instance && evicted->index == index &&
	       evicted->va->used[evicted->va_slot / 64] >> evicted->va_slot % 64 & 1;
}

/* An enclave of a host process; nr_children: of its pages that are in the EPC. */
static const char *check_host(const struct epc_instance *instance, uint64_t nr_evicted,
			      uint64_t nr_children)
{
	const struct host *host = instance->host;
	uint64_t nr_va_pages = 0, nr_versions = 0;

	FOR_EACH(node, &host->va_pages)
	{
		nr_versions += LIST_ENTRY(node, struct va_page, node)->nr_used;
		nr_va_pages++;
	}
	HOLDS(nr_va_pages == host->nr_va_pages, "VA pages are miscounted");
	HOLDS(nr_evicted == host->nr_evicted && nr_evicted == nr_versions, "an evicted page has "
									   "not exactly one "
									   "version");
	if (instance->is_releasing || host->is_lost)
		return NULL;
	HOLDS(host->nr_children <= nr_children + nr_evicted &&
		      host->nr_children + 1 >= nr_children + nr_evicted,
	      "an enclave's pages are miscounted");
	HOLDS(host->nr_va_pages * SGX_NR_VA_SLOTS > host->nr_children || !host->nr_children, "an "
											     "encla"
											     "ve "
											     "has "
											     "not "
											     "enoug"
											     "h "
											     "versi"
											     "on "
											     "slot"
											     "s");
	return NULL;
}

static const char *check_instance(const struct epc *epc, const struct epc_instance *instance)
{
	uint64_t nr_pages = 0, nr_speculative = 0, nr_with_bytes = 0, nr_staked = 0;
	uint64_t nr_secs = 0, nr_zombies = 0, nr_evicted = 0, nr_children = 0;
	const char *why;

	HOLDS(index_is_valid(&instance->index), "an index is torn");
	for (uint64_t index = index_next(&instance->index, 0, INDEX_LAST); index != UINT64_MAX;
	     index = index_next(&instance->index, index + 1, INDEX_LAST)) {
		const struct epc_page *page = page_find(epc, instance, index);

		if (!page) {
			HOLDS(instance->host && check_evicted(epc, instance, index), "an index "
										     "names a page "
										     "that is "
										     "neither here "
										     "nor evicted");
			nr_evicted++;
			continue;
		}
		nr_children += instance->host && index < INDEX_SECS;

		HOLDS(page->stake && page->stake->instance == instance && page->index == index,
		      "an index names a page of somebody else");
		nr_pages++;
		nr_speculative += page->is_speculative;
		nr_with_bytes += page->has_bytes;
	}
	FOR_EACH(node, &instance->stakes)
	{
		const struct epc_stake *stake = LIST_ENTRY(node, struct epc_stake, instance_node);

		nr_staked += stake->nr_pages;
		nr_secs += stake->seen.nr_secs;
		nr_zombies += stake->seen.nr_zombies;
		why = check_stake(epc, stake);
		if (why)
			return why;
	}
	HOLDS(nr_pages == instance->nr_pages && nr_pages == nr_staked, "an instance's pages are "
								       "miscounted");
	HOLDS(nr_speculative == instance->nr_speculative, "an instance's speculative pages are "
							  "miscounted");
	HOLDS(nr_with_bytes == instance->nr_with_bytes, "an instance's pages with bytes are "
							"miscounted");
	HOLDS(instance->peak_pages >= nr_pages, "an instance's peak is below its pages");
	HOLDS(nr_secs == instance->nr_secs && nr_zombies == instance->nr_zombies, "an instance's "
										  "SECS pages are "
										  "miscounted");
	why = check_own_limit(epc, instance);
	if (why)
		return why;
	why = instance->host ? check_host(instance, nr_evicted, nr_children) : NULL;
	if (why)
		return why;
	instance->cgroup->seen.nr_instances++;
	if (instance->is_unmapping) {
		why = check_unmap(epc, &instance->unmap, EPC_UNMAP_RESET);
		if (why)
			return why;
	}
	return check_operations(instance);
}

/* Children come after their parent on the list: adding up backwards is enough. */
static const char *check_cgroups(const struct epc *epc)
{
	uint64_t nr_parked = 0, nr_secs = 0, nr_zombies = 0;

	FOR_EACH(node, &epc->cgroups)
	{
		const struct epc_cgroup *cgroup = LIST_ENTRY(node, struct epc_cgroup, node);
		const char *why = check_waiters(epc, cgroup);

		if (why)
			return why;
		nr_parked += cgroup->nr_waiters;
		if (cgroup->is_taking)
			why = check_unmap(epc, &cgroup->unmap, EPC_UNMAP_TAKE_BACK);
		if (why)
			return why;
	}
	FOR_EACH(node, &epc->instances)
	{
		const struct epc_instance *instance = LIST_ENTRY(node, struct epc_instance, node);
		const char *why = check_waiters(epc, &instance->own_limit);

		if (why)
			return why;
		nr_parked += instance->own_limit.nr_waiters;
		nr_secs += instance->nr_secs;
		nr_zombies += instance->nr_zombies;
	}
	HOLDS(nr_secs == epc->nr_secs && nr_zombies == epc->nr_zombies, "SECS pages are "
									"miscounted");
	HOLDS(nr_parked == epc->nr_parked, "parked requests are miscounted");
	for (struct epc_list *node = epc->cgroups.prev; node != &epc->cgroups; node = node->prev) {
		const struct epc_cgroup *cgroup = LIST_ENTRY(node, struct epc_cgroup, node);
		const struct tally *seen = &cgroup->seen;
		struct epc_cgroup *parent = cgroup->parent;

		HOLDS(cgroup->usage_pages == seen->nr_pages, "a cgroup's usage is not its pages");
		HOLDS(cgroup->nr_takeable == seen->nr_takeable, "takeable pages are miscounted");
		HOLDS(cgroup->nr_leaving == seen->nr_leaving, "leaving pages are miscounted");
		HOLDS(cgroup->nr_reclaimable == seen->nr_reclaimable, "reclaimable pages are "
								      "miscounted");
		HOLDS(cgroup->nr_stakes == seen->nr_stakes, "a cgroup's stakes are miscounted");
		HOLDS(cgroup->nr_instances == seen->nr_instances, "openers are miscounted");
		HOLDS(cgroup->nr_children == seen->nr_children, "children are miscounted");
		HOLDS(cgroup->nr_payers == seen->nr_payers, "payers are miscounted");
		HOLDS(cgroup->peak_pages >= cgroup->usage_pages, "a peak is below the usage");
		if (!parent)
			continue;
		HOLDS(list_is_empty(&cgroup->takeable_node) == !cgroup->nr_takeable, "a cgroup is "
										     "on its "
										     "parent's "
										     "takeable "
										     "list, or is "
										     "not, "
										     "wrongly");
		parent->seen.nr_pages += seen->nr_pages;
		parent->seen.nr_takeable += seen->nr_takeable;
		parent->seen.nr_leaving += seen->nr_leaving;
		parent->seen.nr_reclaimable += seen->nr_reclaimable;
		parent->seen.nr_children++;
	}
	return NULL;
}

bool epc_is_valid(const struct epc *epc, const char **why)
{
	const char *found = check_sections(epc);

	clear_tallies(epc);
	if (!found && !sgx_is_valid(epc->sgx, &found) && !found)
		found = "the EPCM is torn";
	if (!found)
		found = tally_pages(epc);
	FOR_EACH(node, &epc->instances)
	{
		if (!found)
			found = check_instance(epc, LIST_ENTRY(node, struct epc_instance, node));
	}
	if (!found)
		found = check_cgroups(epc);
	if (!found)
		found = check_lrus(epc);
	if (!found)
		found = check_swap(epc);
	if (why)
		*why = found;
	return !found;
}
