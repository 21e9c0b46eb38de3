/* SPDX-License-Identifier: MIT */
/*
 * Page descriptors: free pages, owned pages, and what they promise to those who wait. Who pays is
 * cgroup.c's and stake.c's, why a page comes or goes is fault.c's, takeback.c's, operation.c's.
 */
#include "core/internal.h"

#include <errno.h>
#include <string.h>

uint32_t page_pfn(const struct epc *epc, const struct epc_page *page)
{
	return (uint32_t)(page - epc->pages);
}

struct epc_page *page_find(const struct epc *epc, const struct epc_instance *instance,
			   uint64_t index)
{
	uint32_t pfn = index_find(&instance->index, index);

	/* Beyond: it is none, or it is out. */
	return pfn < epc->nr_pages ? &epc->pages[pfn] : NULL;
}

struct section *page_section(struct epc *epc, uint32_t pfn)
{
	struct section *section = epc->sections;

	while (pfn - section->first_pfn >= section->nr_pages)
		section++;
	return section;
}

char *page_bytes(struct epc *epc, const struct epc_page *page)
{
	uint32_t pfn = page_pfn(epc, page);
	const struct section *section = page_section(epc, pfn);

	if (epc->is_metadata_only)
		return NULL;
	return section->bytes + (size_t)(pfn - section->first_pfn) * EPC_PAGE_SIZE;
}

/* A page of a host process's enclave: not its SECS, and no VA page. */
static bool is_enclave_page(const struct epc_page *page)
{
	return page->stake->instance->host && page->index < INDEX_SECS;
}

enum page_class page_class(const struct epc_page *page)
{
	if (!page->stake || page->is_zombie)
		return CLASS_NONE;
	if (page->gives_back)
		return CLASS_LEAVING;
	if (is_enclave_page(page)) {
		const struct epc *epc = page->stake->instance->epc;

		if (page->state == PAGE_UNMAPPING ||
		    (page->is_filling && !MUTANT(epc, EVICT_UNDELIVERED)))
			return CLASS_ISOLATED;
		return page->state == PAGE_ACTIVE ? CLASS_ACTIVE : CLASS_INACTIVE;
	}
	if (page->stake->is_doomed)
		return CLASS_LEAVING;
	if (!page->is_speculative)
		return CLASS_NONE;
	if (page->state == PAGE_UNMAPPING)
		return CLASS_LEAVING;
	if (page->is_filling && !MUTANT(page->stake->instance->epc, TAKE_BACK_FILLING))
		return CLASS_LEAVING;
	return CLASS_TAKEABLE;
}

static void takeable_add(struct epc *epc, struct epc_page *page)
{
	struct epc_stake *stake = page->stake;
	uint32_t pfn = page_pfn(epc, page);

	page->prev = page->is_alone ? stake->takeable_tail : PFN_NONE;
	page->next = page->is_alone ? PFN_NONE : stake->takeable_head;
	if (page->prev != PFN_NONE)
		epc->pages[page->prev].next = pfn;
	else
		stake->takeable_head = pfn;
	if (page->next == PFN_NONE)
		stake->takeable_tail = pfn;
	else if (!MUTANT(epc, TAKEABLE_LIST_TORN))
		epc->pages[page->next].prev = pfn;
}

static void takeable_remove(struct epc *epc, struct epc_page *page)
{
	struct epc_stake *stake = page->stake;

	if (page->prev != PFN_NONE)
		epc->pages[page->prev].next = page->next;
	else
		stake->takeable_head = page->next;
	if (page->next != PFN_NONE)
		epc->pages[page->next].prev = page->prev;
	else
		stake->takeable_tail = page->prev;
}

static void list_leave(struct epc *epc, struct epc_page *page, enum page_class class)
{
	struct epc_cgroup *cgroup = page->stake->cgroup;

	if (class == CLASS_TAKEABLE) {
		takeable_remove(epc, page);
	} else if (class == CLASS_ACTIVE) {
		lru_remove(epc, &cgroup->active, page);
		epc->nr_active--;
	} else if (class == CLASS_INACTIVE) {
		lru_remove(epc, &cgroup->inactive, page);
		epc->nr_inactive--;
		page->stake->instance->host->nr_inactive--;
	}
}

static void list_join(struct epc *epc, struct epc_page *page, enum page_class class)
{
	struct epc_cgroup *cgroup = page->stake->cgroup;

	if (class == CLASS_TAKEABLE) {
		takeable_add(epc, page);
	} else if (class == CLASS_ACTIVE) {
		lru_add(epc, &cgroup->active, page);
		epc->nr_active++;
	} else if (class == CLASS_INACTIVE) {
		lru_add(epc, &cgroup->inactive, page);
		epc->nr_inactive++;
		page->stake->instance->host->nr_inactive++;
	}
}

static bool is_reclaimable(enum page_class class)
{
	return class == CLASS_ACTIVE || class == CLASS_INACTIVE || class == CLASS_ISOLATED;
}

void page_reclass(struct epc *epc, struct epc_page *page, enum page_class was)
{
	enum page_class class = page_class(page);

	if (class == was)
		return;
	list_leave(epc, page, was);
	list_join(epc, page, class);
	if (is_reclaimable(class) && is_reclaimable(was)) {
		/* It could leave before as well, but not yet: whoever waits looks again. */
		if (was == CLASS_ISOLATED && !MUTANT(epc, ISOLATED_FORGOTTEN))
			cgroup_wake_up(epc, page->stake->cgroup);
		return;
	}
	stake_count(epc, page->stake, was, -1);
	stake_count(epc, page->stake, class, 1);
}

/* Pages come from the section with most free pages. */
static struct section *fullest_section(struct epc *epc)
{
	struct section *best = &epc->sections[0];

	for (unsigned int i = 1; i < epc->nr_sections; i++) {
		if (epc->sections[i].nr_free > best->nr_free)
			best = &epc->sections[i];
	}
	return best->nr_free ? best : NULL;
}

static struct epc_page *free_take(struct epc *epc)
{
	struct section *section = fullest_section(epc);
	struct epc_page *page;

	if (!section)
		return NULL;
	if (section->free_head != PFN_NONE) {
		page = &epc->pages[section->free_head];
		section->free_head = page->next;
	} else {
		page = &epc->pages[section->next_unused++];
	}
	section->nr_free--;
	epc->nr_free--;
	return page;
}

static void free_add(struct epc *epc, struct epc_page *page)
{
	uint32_t pfn = page_pfn(epc, page);
	struct section *section = page_section(epc, pfn);
	bool has_bytes = page->has_bytes;

	memset(page, 0, sizeof(*page));
	if (MUTANT(epc, FREE_KEEPS_BYTES))
		page->has_bytes = has_bytes;
	page->next = section->free_head;
	section->free_head = pfn;
	if (!MUTANT(epc, SECTION_COUNT_WRONG))
		section->nr_free++;
	epc->nr_free += !MUTANT(epc, FREE_FORGETS_TOTAL);
	if (MUTANT(epc, FREE_TWICE) && pfn % 7 == 3)
		page->next = pfn;
}

int page_assign(struct epc *epc, struct epc_stake *stake, uint64_t index, bool is_speculative,
		bool is_alone)
{
	struct epc_instance *instance = stake->instance;
	struct epc_page *page = free_take(epc);
	int error;

	if (!page)
		return -EBUSY;
	if (swap_find(epc, instance, index) != PFN_NONE) {
		index_replace(&instance->index, index, page_pfn(epc, page));
	} else {
		error = index_insert(&instance->index, &epc->allocator, index, page_pfn(epc, page));
		if (error) {
			free_add(epc, page);
			return error;
		}
	}
	epc->nr_allocated++;
	page->stake = stake;
	page->index = index & INDEX_LAST;
	page->state = MUTANT(epc, ASSIGN_STAYS_FREE) ? PAGE_FREE : PAGE_ACTIVE;
	page->is_filling = true;
	page->is_alone = is_alone && !MUTANT(epc, TAKE_BACK_ALONE_FIRST);
	page->is_speculative = is_speculative && !MUTANT(epc, CLUSTER_NOT_SPECULATIVE);
	stake->nr_pages += !MUTANT(epc, STAKE_FORGETS_PAGE);
	instance->nr_pages++;
	instance->nr_speculative += is_speculative;
	epc->nr_speculative += is_speculative;
	page_reclass(epc, page, CLASS_NONE);
	return 0;
}

/* slot: it is evicted to there; PFN_NONE: it is gone for good. */
static void let_go(struct epc *epc, struct epc_page *page, uint32_t slot)
{
	struct epc_stake *stake = page->stake;
	struct epc_instance *instance = stake->instance;
	struct epc_cgroup *cgroup = stake->cgroup;
	enum page_class was = page_class(page);

	list_leave(epc, page, was);
	stake_count(epc, stake, was, -1);
	instance->nr_speculative -= page->is_speculative;
	epc->nr_speculative -= page->is_speculative;
	instance->nr_with_bytes -= page->has_bytes && !MUTANT(epc, FREE_FORGETS_BYTES);
	instance->nr_pages--;
	stake->nr_pages--;
	if (slot != PFN_NONE)
		index_replace(&instance->index, page->index, (uint32_t)epc->nr_pages + slot);
	else if (!MUTANT(epc, FREE_KEEPS_INDEX))
		index_remove(&instance->index, &epc->allocator, page->index);
	free_add(epc, page);
	cgroup_uncharge(epc, cgroup, instance, 1);
	stake_put(epc, stake);
}

void page_free(struct epc *epc, struct epc_page *page)
{
	let_go(epc, page, PFN_NONE);
}

void page_free_evicted(struct epc *epc, struct epc_page *page, uint32_t slot)
{
	let_go(epc, page, slot);
}

void page_set_used(struct epc *epc, struct epc_page *page)
{
	enum page_class was = page_class(page);

	if (!page->is_speculative)
		return;
	page->is_speculative = false;
	page->stake->instance->nr_speculative--;
	epc->nr_speculative--;
	page_reclass(epc, page, was);
}

void page_drop_bytes(struct epc *epc, struct epc_page *page)
{
	if (MUTANT(epc, RESET_KEEPS_BYTES))
		return;
	page->stake->instance->nr_with_bytes -= page->has_bytes;
	page->has_bytes = false;
}

bool page_unmapping_over(struct epc *epc, struct epc_page *page)
{
	enum page_class was = page_class(page);
	bool is_missed = page->is_for_leaf && MUTANT(epc, LEAF_IGNORES_TOUCH);
	bool is_touched = (page->is_touched && !is_missed) ||
			  (page->is_written && MUTANT(epc, WRITE_AFTER_RESET_KEPT));

	page->state = is_touched ? PAGE_ACTIVE : PAGE_INACTIVE;
	page->is_touched = false;
	page->is_written = false;
	page->is_reset = false;
	page->is_for_leaf = false;
	page->is_for_reclaim = false;
	page->gives_back = false;
	page_reclass(epc, page, was);
	return is_touched;
}
