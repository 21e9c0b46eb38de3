/* SPDX-License-Identifier: MIT */
/*
 * Take back: pages that came with a cluster and that nobody is known to use are the first to go
 * when anything is short (design: "speculative pages"). Taking one back is an unmapping: dirty
 * bytes that come with it, or a fault, prove that it was in use, and it stays the instance's.
 * The newest go first, the highest of a cluster first: what lies past the end of a VM's section,
 * which the daemon cannot know, is there. What came alone is mostly a fault's, and goes last.
 */
#include "core/internal.h"

/* A stake in the subtree that has pages to take back; round robin on every level. */
static struct epc_stake *takeable_stake(struct epc_cgroup *cgroup)
{
	struct epc_stake *stake;

	if (cgroup->is_own_limit) {
		struct epc_list *node = cgroup->takeable_stakes.next;

		list_move_tail(&cgroup->takeable_stakes, node);
		return LIST_ENTRY(node, struct epc_stake, own_limit_node);
	}
	while (list_is_empty(&cgroup->takeable_stakes)) {
		struct epc_list *node = cgroup->takeable_children.next;

		list_move_tail(&cgroup->takeable_children, node);
		cgroup = LIST_ENTRY(node, struct epc_cgroup, takeable_node);
	}
	stake = LIST_ENTRY(cgroup->takeable_stakes.next, struct epc_stake, takeable_node);
	list_move_tail(&cgroup->takeable_stakes, &stake->takeable_node);
	return stake;
}

static bool can_join(const struct epc *epc, const struct epc_stake *stake, bool is_alone,
		     uint64_t index)
{
	const struct epc_page *page = page_find(epc, stake->instance, index);

	return page && page->stake == stake && page->state == PAGE_ACTIVE &&
	       page->is_alone == is_alone && page_class(page) == CLASS_TAKEABLE;
}

static void begin_unmapping(struct epc *epc, struct epc_cgroup *cgroup, struct epc_stake *stake,
			    const struct epc_page *page)
{
	bool is_alone = page->is_alone;
	uint64_t first = page->index;
	uint32_t count = 1;

	while (count < cgroup->take_back_pages && first &&
	       can_join(epc, stake, is_alone, first - 1)) {
		first--;
		count++;
	}
	while (count < cgroup->take_back_pages && can_join(epc, stake, is_alone, first + count))
		count++;
	for (uint32_t i = 0; i < count; i++) {
		struct epc_page *taken = page_find(epc, stake->instance, first + i);
		enum page_class was = page_class(taken);

		taken->state = PAGE_UNMAPPING;
		page_reclass(epc, taken, was);
	}
	if (MUTANT(epc, UNMAP_RUN_TOO_LONG) && count > 8)
		count++;
	cgroup->is_taking = true;
	unmap_begin(epc, &cgroup->unmap, stake->instance, first, count, EPC_UNMAP_TAKE_BACK);
}

bool takeback_begin(struct epc *epc, struct epc_cgroup *cgroup)
{
	struct epc_stake *stake;
	uint64_t nr_left = TAKE_BACK_PAGES_MIN;

	/* What is leaving is no reason to wait: it may prove its use, or stay for another. */
	if (cgroup->is_taking || !cgroup->nr_takeable)
		return false;
	stake = takeable_stake(MUTANT(epc, TAKE_BACK_OTHER_SUBTREE) ? &epc->root : cgroup);
	if (epc->pages[stake->takeable_head].state != PAGE_INACTIVE) {
		begin_unmapping(epc, cgroup, stake, &epc->pages[stake->takeable_head]);
		return false;
	}
	/* Unmapped already, by a reset: they go at once. The stake may go with its last page. */
	if (nr_left > stake->nr_takeable)
		nr_left = stake->nr_takeable;
	for (; nr_left; nr_left--) {
		struct epc_page *page = &epc->pages[stake->takeable_head];

		if (page->state != PAGE_INACTIVE)
			break;
		page_free(epc, page);
		epc->nr_taken_back++;
	}
	return true;
}

static bool is_in_use(struct epc *epc, const struct epc_page *page)
{
	if (page->stake->is_doomed)
		return false;
	return (page->is_touched && !MUTANT(epc, TAKE_BACK_TOUCHED)) ||
	       (page->is_written && !MUTANT(epc, TAKE_BACK_USED));
}

void takeback_unmapped(struct epc *epc, struct epc_unmap *unmap)
{
	struct epc_cgroup *cgroup = LIST_ENTRY(unmap, struct epc_cgroup, unmap);
	bool has_freed = false;

	for (uint64_t i = 0; i < unmap->count; i++) {
		struct epc_page *page = page_find(epc, unmap->instance, unmap->first + i);
		enum page_class was = page_class(page);

		if (is_in_use(epc, page)) {
			page->state = page->is_touched ? PAGE_ACTIVE : PAGE_INACTIVE;
			page->is_touched = false;
			page->is_written = page->is_written && MUTANT(epc, MARKS_STAY);
			page_reclass(epc, page, was);
		} else if (!MUTANT(epc, RELEASE_LEAKS_UNMAPPING) || !page->stake->is_doomed) {
			page_free(epc, page);
			epc->nr_taken_back++;
			has_freed = true;
		}
	}
	cgroup->is_taking = false;
	if (!has_freed && cgroup->take_back_pages < EPC_STEP_PAGES)
		cgroup->take_back_pages *= 2;
	cgroup_wake(epc, cgroup);
}
