/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: which pages of enclaves leave the EPC. Two lists a cgroup. The oldest active pages are
 * unmapped and become inactive; a touch makes them active again for the price of a fault, which is
 * the reference bit that a mapped file does not give. The oldest inactive ones are evicted, a batch
 * of 16 with one ETRACK for each enclave. Cgroups below the one that refused take turns.
 */
#include "core/internal.h"

#define LOW_PAGES_MIN 32u /* as the kernel's SGX_NR_LOW_PAGES */
#define RATE_WINDOW_NS UINT64_C(100000000)
#define NR_FAULTS_LATELY 4096u
#define NR_PICKS 4u

void lru_add(struct epc *epc, struct lru_list *list, struct epc_page *page)
{
	uint32_t pfn = page_pfn(epc, page);

	page->prev = PFN_NONE;
	page->next = list->head;
	if (list->head != PFN_NONE)
		epc->pages[list->head].prev = pfn;
	else
		list->tail = pfn;
	list->head = pfn;
	list->nr_pages++;
}

void lru_remove(struct epc *epc, struct lru_list *list, struct epc_page *page)
{
	if (page->prev != PFN_NONE)
		epc->pages[page->prev].next = page->next;
	else
		list->head = page->next;
	if (page->next != PFN_NONE)
		epc->pages[page->next].prev = page->prev;
	else
		list->tail = page->prev;
	list->nr_pages--;
}

/* A cgroup of the subtree whose turn it is; perhaps one whose pages are all isolated now. */
static struct epc_cgroup *pick(struct epc_cgroup *cgroup)
{
	while (!list_is_empty(&cgroup->reclaimable_children)) {
		struct epc_list *node = cgroup->reclaimable_children.next;

		cgroup->is_own_turn = !cgroup->is_own_turn;
		if (cgroup->is_own_turn && cgroup->active.nr_pages + cgroup->inactive.nr_pages)
			break;
		list_move_tail(&cgroup->reclaimable_children, node);
		cgroup = LIST_ENTRY(node, struct epc_cgroup, reclaimable_node);
	}
	return cgroup;
}

static struct sgx_epc operand(const struct epc *epc, const struct epc_page *page)
{
	return (struct sgx_epc){ .address = EPC_PAGE_SIZE, .page = page_pfn(epc, page) };
}

/* Pages that leave together, and whose they are. */
struct eviction {
	struct epc_page *pages[RECLAIM_PAGES];
	unsigned int nr_pages;
	struct epc_instance *instances[RECLAIM_PAGES];
	unsigned int nr_instances;
};

static void eviction_add(struct eviction *eviction, struct epc_page *page)
{
	struct epc_instance *instance = page->stake->instance;
	unsigned int known = 0;

	eviction->pages[eviction->nr_pages++] = page;
	while (known < eviction->nr_instances && eviction->instances[known] != instance)
		known++;
	if (known == eviction->nr_instances)
		eviction->instances[eviction->nr_instances++] = instance;
}

/* The oldest inactive pages, as many as there is room for. */
static void eviction_collect(struct epc *epc, struct eviction *eviction,
			     const struct epc_cgroup *cgroup)
{
	uint32_t pfn = cgroup->inactive.tail;

	while (pfn != PFN_NONE && eviction->nr_pages < RECLAIM_PAGES &&
	       eviction->nr_pages < epc->nr_swap_free) {
		struct epc_page *page = &epc->pages[pfn];

		pfn = page->prev;
		if (!page->stake->instance->is_releasing)
			eviction_add(eviction, page);
	}
}

/* The SECS of an initialised enclave leaves with its last child (mission E5). */
static void evict_secs(struct epc *epc, struct epc_instance *instance)
{
	struct epc_page *secs = page_find(epc, instance, INDEX_SECS);

	if (instance->host->is_initialised && secs && swap_has_room(epc) &&
	    !sgx_secs_nr_children(epc->sgx, page_pfn(epc, secs)))
		swap_evict(epc, secs);
}

/*
 * Evicts the oldest inactive pages. They are unmapped, so no processor can know them: one ETRACK
 * for each enclave is enough. Returns how many pages came free.
 */
static unsigned int evict_batch(struct epc *epc, const struct epc_cgroup *cgroup)
{
	struct eviction eviction = { 0 };
	unsigned int nr_freed = 0;

	eviction_collect(epc, &eviction, cgroup);
	for (unsigned int i = 0; i < eviction.nr_pages; i++)
		sgx_eblock(epc->sgx, operand(epc, eviction.pages[i]));
	for (unsigned int i = 0; i < eviction.nr_instances && !MUTANT(epc, EVICT_WITHOUT_TRACK);
	     i++)
		sgx_etrack(epc->sgx,
			   operand(epc, page_find(epc, eviction.instances[i], INDEX_SECS)));
	for (unsigned int i = 0; i < eviction.nr_pages; i++)
		nr_freed += swap_evict(epc, eviction.pages[i]);
	for (unsigned int i = 0; i < eviction.nr_instances; i++)
		evict_secs(epc, eviction.instances[i]);
	return nr_freed;
}

static struct reclaim_batch *free_batch(struct epc *epc)
{
	for (unsigned int i = 0; i < NR_RECLAIM_BATCHES; i++) {
		if (!epc->batches[i].is_used)
			return &epc->batches[i];
	}
	return NULL;
}

/* The oldest active pages that lie side by side, in either direction. Returns whether any. */
static bool deactivate(struct epc *epc, struct epc_cgroup *cgroup)
{
	struct reclaim_batch *batch = free_batch(epc);
	struct epc_page *page;
	struct epc_instance *instance;
	uint64_t first, last;

	if (!batch || cgroup->active.tail == PFN_NONE)
		return false;
	page = &epc->pages[cgroup->active.tail];
	instance = page->stake->instance;
	if (instance->is_releasing)
		return false; /* the release frees it soon */
	first = last = page->index;
	for (;;) {
		enum page_class was = page_class(page);

		page->state = PAGE_UNMAPPING;
		page->is_for_reclaim = true;
		page_reclass(epc, page, was);
		if (last - first + 1 == RECLAIM_PAGES || cgroup->active.tail == PFN_NONE)
			break;
		page = &epc->pages[cgroup->active.tail];
		if (page->stake->instance != instance)
			break;
		if (page->index == last + 1)
			last++;
		else if (page->index + 1 == first)
			first--;
		else
			break;
	}
	batch->is_used = true;
	unmap_begin(epc, &batch->unmap, instance, first, (uint32_t)(last - first + 1),
		    EPC_UNMAP_RECLAIM);
	return true;
}

/* A third of all pages at most; few where inactive pages are mostly touched again. */
static uint64_t inactive_target(const struct epc_cgroup *cgroup)
{
	uint64_t nr_pages = cgroup->active.nr_pages + cgroup->inactive.nr_pages;
	bool is_thrashing = cgroup->nr_soft_lately * 4 > cgroup->nr_hard_lately;

	return is_thrashing ? nr_pages / 32 : nr_pages / 3;
}

/*
 * The inactive list is filled first and evicted from when it is full, so that its pages have had
 * their second chance; at once where somebody waits, or soon would.
 */
static bool reclaim(struct epc *epc, struct epc_cgroup *cgroup, bool is_urgent)
{
	for (unsigned int i = 0; i < NR_PICKS && cgroup->nr_reclaimable; i++) {
		struct epc_cgroup *picked = pick(cgroup);
		uint64_t target = inactive_target(picked);

		while (picked->inactive.nr_pages <= target && deactivate(epc, picked))
			;
		if ((is_urgent || picked->inactive.nr_pages > target) && evict_batch(epc, picked))
			return true;
	}
	return false;
}

bool reclaim_for(struct epc *epc, struct epc_cgroup *cgroup)
{
	return reclaim(epc, cgroup, true);
}

/*
 * The marks grow with the size of the EPC, and with what 10 ms of allocation take; what they keep
 * free is of no use to anybody, so it has a bound: a 32nd of a large EPC, an eighth of a small one.
 */
void reclaim_marks(const struct epc *epc, uint64_t *low_pages, uint64_t *high_pages)
{
	uint64_t most = epc->nr_pages / 32;
	uint64_t low = epc->nr_pages / 256 + epc->rate_pages / 10;

	if (low > most)
		low = most;
	if (low < LOW_PAGES_MIN)
		low = LOW_PAGES_MIN;
	if (low > epc->nr_pages / 8)
		low = epc->nr_pages / 8;
	*low_pages = low;
	*high_pages = low + low / 2;
}

static void rate_update(struct epc *epc)
{
	if (epc->now_ns - epc->rate_from_ns < RATE_WINDOW_NS)
		return;
	epc->rate_pages = epc->now_ns - epc->rate_from_ns < 2 * RATE_WINDOW_NS ?
				  epc->nr_allocated - epc->rate_from_nr :
				  0;
	epc->rate_from_ns = epc->now_ns;
	epc->rate_from_nr = epc->nr_allocated;
}

bool reclaim_in_background(struct epc *epc)
{
	uint64_t low_pages, high_pages;

	if (!epc->root.nr_reclaimable)
		return false;
	rate_update(epc);
	reclaim_marks(epc, &low_pages, &high_pages);
	epc->is_reclaiming = epc->nr_free < (epc->is_reclaiming ? high_pages : low_pages) &&
			     swap_has_room(epc);
	return epc->is_reclaiming && reclaim(epc, &epc->root, epc->nr_free < low_pages / 2);
}

void reclaim_note_fault(struct epc_cgroup *cgroup, bool is_soft)
{
	cgroup->nr_soft_lately += is_soft;
	cgroup->nr_hard_lately += !is_soft;
	if (cgroup->nr_soft_lately + cgroup->nr_hard_lately < NR_FAULTS_LATELY)
		return;
	cgroup->nr_soft_lately /= 2;
	cgroup->nr_hard_lately /= 2;
}

void reclaim_unmapped(struct epc *epc, struct epc_unmap *unmap)
{
	struct reclaim_batch *batch = LIST_ENTRY(unmap, struct reclaim_batch, unmap);

	batch->is_used = false;
	for (uint64_t i = 0; i < unmap->count; i++) {
		struct epc_page *page = page_find(epc, unmap->instance, unmap->first + i);

		page_unmapping_over(epc, page);
		if (unmap->instance->is_releasing)
			operation_release_page(epc, page);
	}
	/* For its pages, and for the batch: it may be another's that was wanted. */
	cgroup_wake_all(epc);
}
