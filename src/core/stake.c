/* SPDX-License-Identifier: MIT */
/*
 * Stakes: the pages of one instance that one cgroup pays for. They carry the counters that say
 * without a walk whether a subtree has pages to take back, or pages that are about to come free.
 */
#include "core/internal.h"

static struct epc_stake **bucket_of(const struct epc *epc, const struct epc_instance *instance,
				    const struct epc_cgroup *cgroup)
{
	uint64_t mixed = (uint64_t)(uintptr_t)instance * UINT64_C(0x9e3779b97f4a7c15) ^
			 (uint64_t)(uintptr_t)cgroup * UINT64_C(0xc2b2ae3d27d4eb4f);

	mixed ^= mixed >> 29;
	mixed *= UINT64_C(0xbf58476d1ce4e5b9);
	/* The order inside of a bucket has no effect on what is found: addresses are harmless. */
	return (struct epc_stake **)&epc->stakes[(mixed >> 40) % NR_STAKE_BUCKETS];
}

struct epc_stake *stake_find(const struct epc *epc, const struct epc_instance *instance,
			     const struct epc_cgroup *cgroup)
{
	struct epc_stake *stake = *bucket_of(epc, instance, cgroup);

	while (stake && (stake->instance != instance || stake->cgroup != cgroup))
		stake = stake->next_in_bucket;
	return stake;
}

struct epc_stake *stake_get(struct epc *epc, struct epc_instance *instance,
			    struct epc_cgroup *cgroup)
{
	struct epc_stake *stake = stake_find(epc, instance, cgroup);
	struct epc_stake **bucket;

	if (stake)
		return stake;
	stake = epc_alloc(epc, sizeof(*stake));
	if (!stake)
		return NULL;
	stake->instance = instance;
	stake->cgroup = cgroup;
	stake->takeable_head = PFN_NONE;
	stake->takeable_tail = PFN_NONE;
	list_init(&stake->takeable_node);
	list_init(&stake->own_limit_node);
	list_init(&stake->instance_node);
	list_add_tail(&instance->stakes, &stake->instance_node);
	bucket = bucket_of(epc, instance, cgroup);
	stake->next_in_bucket = *bucket;
	if (!MUTANT(epc, STAKE_NOT_FOUND))
		*bucket = stake;
	cgroup->nr_stakes++;
	return stake;
}

void stake_put(struct epc *epc, struct epc_stake *stake)
{
	struct epc_stake **link = bucket_of(epc, stake->instance, stake->cgroup);

	if (stake->nr_pages || MUTANT(epc, STAKE_LEAKED))
		return;
	while (*link != stake)
		link = &(*link)->next_in_bucket;
	*link = stake->next_in_bucket;
	list_remove(&stake->instance_node);
	stake->cgroup->nr_stakes--;
	epc_dealloc(epc, stake, sizeof(*stake));
}

static void count_takeable(struct epc_stake *stake, int64_t delta)
{
	struct epc_cgroup *own_limit = &stake->instance->own_limit;
	bool had = stake->nr_takeable;

	stake->nr_takeable += (uint64_t)delta;
	own_limit->nr_takeable += (uint64_t)delta;
	if (!had && stake->nr_takeable) {
		list_add_tail(&stake->cgroup->takeable_stakes, &stake->takeable_node);
		list_add_tail(&own_limit->takeable_stakes, &stake->own_limit_node);
	} else if (!stake->nr_takeable) {
		list_remove(&stake->takeable_node);
		list_remove(&stake->own_limit_node);
	}
	for (struct epc_cgroup *cgroup = stake->cgroup; cgroup; cgroup = cgroup->parent) {
		had = cgroup->nr_takeable;
		cgroup->nr_takeable += (uint64_t)delta;
		if (!cgroup->parent)
			continue;
		if (!had && cgroup->nr_takeable)
			list_add_tail(&cgroup->parent->takeable_children, &cgroup->takeable_node);
		else if (!cgroup->nr_takeable)
			list_remove(&cgroup->takeable_node);
	}
}

static void count_reclaimable(struct epc_stake *stake, int64_t delta)
{
	stake->nr_reclaimable += (uint64_t)delta;
	for (struct epc_cgroup *cgroup = stake->cgroup; cgroup; cgroup = cgroup->parent) {
		bool had = cgroup->nr_reclaimable;

		cgroup->nr_reclaimable += (uint64_t)delta;
		if (!cgroup->parent)
			continue;
		if (!had && cgroup->nr_reclaimable)
			list_add_tail(&cgroup->parent->reclaimable_children,
				      &cgroup->reclaimable_node);
		else if (!cgroup->nr_reclaimable)
			list_remove(&cgroup->reclaimable_node);
	}
}

void stake_count(struct epc *epc, struct epc_stake *stake, enum page_class class, int64_t delta)
{
	if (class == CLASS_NONE || !delta)
		return;
	if (class == CLASS_TAKEABLE) {
		count_takeable(stake, delta);
	} else if (class != CLASS_LEAVING) {
		count_reclaimable(stake, delta);
	} else {
		stake->nr_leaving += (uint64_t)delta;
		stake->instance->own_limit.nr_leaving += (uint64_t)delta;
		for (struct epc_cgroup *cgroup = stake->cgroup; cgroup; cgroup = cgroup->parent) {
			cgroup->nr_leaving += (uint64_t)delta;
			if (MUTANT(epc, LEAVING_FORGETS_PARENT))
				break;
		}
	}
	/* Whoever waits for these pages has to decide anew. */
	cgroup_wake_up(epc, stake->cgroup);
	if (!MUTANT(epc, OWN_LIMIT_NOT_WOKEN))
		cgroup_wake(epc, &stake->instance->own_limit);
}

void stake_doom(struct epc *epc, struct epc_stake *stake)
{
	/* An enclave's pages stay on the lists of their cgroup until the release comes to them. */
	int64_t nr_new = (int64_t)(stake->nr_pages - stake->nr_leaving - stake->nr_reclaimable);

	stake_count(epc, stake, CLASS_TAKEABLE, -(int64_t)stake->nr_takeable);
	stake->takeable_head = PFN_NONE;
	stake->takeable_tail = PFN_NONE;
	stake_count(epc, stake, CLASS_LEAVING, nr_new);
	stake->is_doomed = true;
}
