/* SPDX-License-Identifier: MIT */
/*
 * Cgroups: the tree, charging up it, limits, and the queues of those who wait at a limit. A charge
 * that is refused names the ancestor that refused; whatever follows happens in its subtree
 * (mission C3).
 */
#include "core/internal.h"

#include <errno.h>

void cgroup_init(struct epc_cgroup *cgroup, struct epc_cgroup *parent, uint64_t id, void *cookie)
{
	cgroup->parent = parent;
	cgroup->id = id;
	cgroup->cookie = cookie;
	cgroup->max_bytes = EPC_MAX_UNLIMITED;
	cgroup->max_pages = EPC_MAX_UNLIMITED >> EPC_PAGE_SHIFT;
	cgroup->take_back_pages = TAKE_BACK_PAGES_MIN;
	list_init(&cgroup->node);
	list_init(&cgroup->waiters);
	list_init(&cgroup->waiting_node);
	list_init(&cgroup->wake_node);
	list_init(&cgroup->takeable_stakes);
	list_init(&cgroup->takeable_children);
	list_init(&cgroup->takeable_node);
	list_init(&cgroup->reclaimable_children);
	list_init(&cgroup->reclaimable_node);
	cgroup->active = (struct lru_list){ .head = PFN_NONE, .tail = PFN_NONE };
	cgroup->inactive = cgroup->active;
	list_init(&cgroup->unmap.node);
}

struct epc_cgroup *epc_cgroup_root(struct epc *epc)
{
	return &epc->root;
}

int epc_cgroup_new(struct epc *epc, struct epc_cgroup *parent, uint64_t id, void *cookie,
		   struct epc_cgroup **cgroup)
{
	struct epc_cgroup *new = epc_alloc(epc, sizeof(*new));

	if (!new)
		return -ENOMEM;
	cgroup_init(new, parent, id, cookie);
	list_add_tail(&epc->cgroups, &new->node);
	parent->nr_children++;
	*cgroup = new;
	return 0;
}

int epc_cgroup_free(struct epc *epc, struct epc_cgroup *cgroup)
{
	if (!cgroup->parent || cgroup->nr_children || cgroup->nr_instances || cgroup->nr_stakes ||
	    (cgroup->nr_payers && !MUTANT(epc, CGROUP_FREED_WITH_PAYERS)) || cgroup->nr_waiters ||
	    cgroup->is_taking)
		return -EBUSY;
	cgroup->parent->nr_children--;
	list_remove(&cgroup->node);
	list_remove(&cgroup->wake_node);
	epc_dealloc(epc, cgroup, sizeof(*cgroup));
	return 0;
}

void epc_cgroup_set_cookie(struct epc_cgroup *cgroup, void *cookie)
{
	cgroup->cookie = cookie;
}

void epc_cgroup_set_max(struct epc *epc, struct epc_cgroup *cgroup, uint64_t max_bytes)
{
	cgroup->max_bytes = max_bytes;
	cgroup->max_pages = max_bytes >> EPC_PAGE_SHIFT;
	if (MUTANT(epc, MAX_ROUNDS_UP) && max_bytes != EPC_MAX_UNLIMITED)
		cgroup->max_pages += max_bytes % EPC_PAGE_SIZE != 0;
	if (!MUTANT(epc, RAISE_FORGETS_WAITERS))
		cgroup_wake(epc, cgroup);
}

void cgroup_wake(struct epc *epc, struct epc_cgroup *cgroup)
{
	if (!list_is_empty(&cgroup->waiters) && list_is_empty(&cgroup->wake_node))
		list_add_tail(&epc->wakes, &cgroup->wake_node);
}

/* Every page that comes or goes passes here, and hardly ever does anybody wait. */
void cgroup_wake_up(struct epc *epc, struct epc_cgroup *cgroup)
{
	if (!epc->nr_parked)
		return;
	for (; cgroup; cgroup = cgroup->parent)
		cgroup_wake(epc, cgroup);
}

void cgroup_wake_all(struct epc *epc)
{
	for (struct epc_list *node = epc->waiting.next; node != &epc->waiting; node = node->next)
		cgroup_wake(epc, LIST_ENTRY(node, struct epc_cgroup, waiting_node));
}

static bool has_room(struct epc *epc, const struct epc_cgroup *cgroup, uint64_t nr_pages)
{
	uint64_t max_pages = cgroup->max_pages + MUTANT(epc, CHARGE_OFF_BY_ONE);

	/* A full EPC is a refusal by the root. Found out here, before anything is charged: to
	 * uncharge wakes whoever waits, who would try again at once, and again. */
	if (cgroup == &epc->root && nr_pages > epc->nr_free && !MUTANT(epc, FULL_FOUND_LATE))
		return false;
	return cgroup->usage_pages <= max_pages && nr_pages <= max_pages - cgroup->usage_pages;
}

/* Whoever refuses, the nearest first. */
static struct epc_cgroup *find_refuser(struct epc *epc, struct epc_cgroup *payer,
				       struct epc_instance *instance, uint64_t nr_pages)
{
	if (!has_room(epc, &instance->own_limit, nr_pages) && !MUTANT(epc, OWN_LIMIT_IGNORED))
		return &instance->own_limit;
	for (struct epc_cgroup *cgroup = payer; cgroup; cgroup = cgroup->parent) {
		if (MUTANT(epc, CHARGE_IGNORES_ANCESTOR) && cgroup != payer)
			continue;
		if (!has_room(epc, cgroup, nr_pages))
			return cgroup;
	}
	return NULL;
}

struct epc_cgroup *cgroup_charge(struct epc *epc, struct epc_cgroup *payer,
				 struct epc_instance *instance, uint64_t nr_pages)
{
	struct epc_cgroup *refuser = find_refuser(epc, payer, instance, nr_pages);

	if (refuser && MUTANT(epc, CHARGE_UNDO_FORGOTTEN) && refuser != payer)
		payer->usage_pages += nr_pages;
	if (refuser)
		return refuser;
	instance->own_limit.usage_pages += nr_pages;
	for (struct epc_cgroup *cgroup = payer; cgroup; cgroup = cgroup->parent) {
		cgroup->usage_pages += nr_pages;
		if (MUTANT(epc, PEAK_OF_UNDONE) && cgroup->usage_pages > cgroup->peak_pages)
			cgroup->peak_pages = cgroup->usage_pages;
		if (MUTANT(epc, CHARGE_FORGETS_PARENT))
			break;
	}
	return NULL;
}

void cgroup_note_peak(struct epc *epc, struct epc_cgroup *payer)
{
	for (struct epc_cgroup *cgroup = payer; cgroup; cgroup = cgroup->parent) {
		if (cgroup->usage_pages > cgroup->peak_pages && !MUTANT(epc, PEAK_FORGOTTEN))
			cgroup->peak_pages = cgroup->usage_pages;
	}
}

void cgroup_uncharge(struct epc *epc, struct epc_cgroup *payer, struct epc_instance *instance,
		     uint64_t nr_pages)
{
	if (MUTANT(epc, UNCHARGE_FORGOTTEN))
		return;
	instance->own_limit.usage_pages -= nr_pages;
	for (struct epc_cgroup *cgroup = payer; cgroup; cgroup = cgroup->parent)
		cgroup->usage_pages -= nr_pages;
	if (MUTANT(epc, UNCHARGE_FORGETS_WAITERS))
		return;
	cgroup_wake_up(epc, payer);
	if (!MUTANT(epc, OWN_LIMIT_NOT_WOKEN))
		cgroup_wake(epc, &instance->own_limit);
}

struct epc_cgroup *cgroup_waited_at(const struct epc_request *request)
{
	struct epc_cgroup *cgroup = &request->instance->own_limit;

	if (!list_is_empty(&cgroup->waiters))
		return cgroup;
	cgroup = request->payer;
	while (cgroup && list_is_empty(&cgroup->waiters))
		cgroup = cgroup->parent;
	return cgroup;
}

bool cgroup_is_below(const struct epc_cgroup *cgroup, const struct epc_cgroup *ancestor)
{
	while (cgroup && cgroup != ancestor)
		cgroup = cgroup->parent;
	return cgroup;
}

void epc_cgroup_report(const struct epc_cgroup *cgroup, struct epc_cgroup_report *report)
{
	*report = (struct epc_cgroup_report){
		.id = cgroup->id,
		.max_bytes = cgroup->max_bytes,
		.usage_bytes = cgroup->usage_pages << EPC_PAGE_SHIFT,
		.peak_bytes = cgroup->peak_pages << EPC_PAGE_SHIFT,
		.nr_refused = cgroup->nr_refused,
		.nr_refused_local = cgroup->nr_refused_local,
		.nr_parked = cgroup->nr_waiters,
	};
}
