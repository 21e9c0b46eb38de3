/* SPDX-License-Identifier: MIT */
/*
 * READ: page faults and clusters. A fault that finds no page waits in the queue of the cgroup that
 * refused it, for as long as pages can be taken back or are on their way in that cgroup's subtree;
 * else it is refused, in words (mission C3, C10 `deny`).
 */
#include "core/internal.h"

#include <errno.h>
#include <string.h>

/* What a reader sees of a page. */
static void page_read(struct epc *epc, const struct epc_page *page, char *buffer)
{
	const char *bytes = page_bytes(epc, page);

	if (page_is_hidden(epc, page) && !MUTANT(epc, HIDDEN_READABLE))
		memset(buffer, 0xff, EPC_PAGE_SIZE);
	else if (page->has_bytes && bytes)
		memcpy(buffer, bytes, EPC_PAGE_SIZE);
	else
		memset(buffer, 0, EPC_PAGE_SIZE);
}

static void read_done(struct epc *epc, struct epc_request *request)
{
	struct epc_instance *instance = request->instance;
	char *buffer = request->buffer;
	bool has_bytes = false;

	for (uint64_t i = 0; i < request->count; i++) {
		const struct epc_page *page = page_find(epc, instance, request->first + i);

		has_bytes |= page->has_bytes || page_is_hidden(epc, page);
	}
	request->is_zero = !has_bytes || MUTANT(epc, REPLY_STALE_ZERO);
	for (uint64_t i = 0; has_bytes && buffer && i < request->count; i++)
		page_read(epc, page_find(epc, instance, request->first + i),
			  buffer + i * EPC_PAGE_SIZE);
	instance->nr_undelivered++;
	epc_reply(epc, request, 0);
}

/* Somebody reads a page that is there: it is, or will be, mapped again. */
static void page_touch(struct epc *epc, struct epc_page *page)
{
	enum page_class was = page_class(page);

	if (page->state == PAGE_UNMAPPING && !page->is_touched) {
		if (page->is_reset && !MUTANT(epc, RESET_TOUCHED_KEEPS_BYTES))
			page_drop_bytes(epc, page);
		page->is_touched = true;
	} else if (page->state == PAGE_INACTIVE && !MUTANT(epc, INACTIVE_STAYS)) {
		page->state = PAGE_ACTIVE;
	}
	page->is_filling = true;
	page_reclass(epc, page, was);
}

void instance_started(struct epc *epc, struct epc_instance *instance)
{
	struct epc_record record = {
		.kind = EPC_RECORD_STARTED,
		.instance_cookie = instance->cookie,
	};

	if (instance->id)
		return;
	instance->id = epc->next_instance_id++;
	epc->nr_started++;
	record.instance_id = instance->id;
	epc_record_add(epc, &record);
}

/* The pages are there for good: only now do they count for what was ever reached. */
static void note_peaks(struct epc *epc, const struct epc_request *request)
{
	struct epc_instance *instance = request->instance;

	cgroup_note_peak(epc, request->payer);
	if (instance->nr_pages > instance->peak_pages)
		instance->peak_pages = instance->nr_pages;
}

static void allocation_done(struct epc *epc, const struct epc_request *request)
{
	struct epc_instance *instance = request->instance;

	note_peaks(epc, request);
	if (request->first + request->count > instance->end_index)
		instance->end_index = request->first + request->count;
	instance_started(epc, instance);
}

/*
 * Whether a READ of one page says that somebody wants that page. Not in a mapping that is advised
 * MADV_HUGEPAGE (its instance has sent clusters): there the kernel reads ahead whatever its page
 * cache lacks of 2 MiB, and that can be a single page, even past the end of a VM's section, when
 * pages around it are left from clusters that failed. Dirty bytes are the proof then.
 */
static bool is_demand(struct epc *epc, const struct epc_instance *instance)
{
	return !instance->nr_clusters || MUTANT(epc, READ_AHEAD_IS_DEMAND);
}

/* A fault on a page that is there. Nothing but use can touch a page while it is taken back. */
static void fault_touch(struct epc *epc, struct epc_page *page)
{
	struct epc_instance *instance = page->stake->instance;
	bool is_used = page->state == PAGE_UNMAPPING || is_demand(epc, instance);

	if (instance->host && page->state != PAGE_ACTIVE) {
		instance->host->nr_soft_faults++;
		epc->nr_soft_faults++;
		reclaim_note_fault(page->stake->cgroup, true);
	}
	page_touch(epc, page);
	if (is_used)
		page_set_used(epc, page);
}

/* It is for a leaf: no READ is being answered. */
static void page_never_mapped(struct epc *epc, struct epc_page *page)
{
	enum page_class was = page_class(page);

	page->state = PAGE_INACTIVE;
	page->is_filling = false;
	page_reclass(epc, page, was);
}

/* What the request needs next and is not there, or INDEX_NONE. */
static uint64_t missing(struct epc *epc, const struct epc_request *request)
{
	if (request->instance->host)
		return host_missing(epc, request);
	return page_find(epc, request->instance, request->first) ? INDEX_NONE : request->first;
}

/* Whether a new page stays speculative. */
static bool is_unproven(struct epc *epc, const struct epc_request *request)
{
	if (MUTANT(epc, TAKE_BACK_DEMANDED))
		return true;
	return !request->leaf && !request->instance->host && !is_demand(epc, request->instance);
}

static void unpark(struct epc *epc, struct epc_request *request)
{
	struct epc_cgroup *cgroup = request->waits_at;

	list_remove(&request->node);
	list_remove(&request->parked_node);
	request->waits_at = NULL;
	cgroup->nr_waiters--;
	request->payer->nr_payers--;
	epc->nr_parked--;
	if (!cgroup->nr_waiters) {
		cgroup->take_back_pages = TAKE_BACK_PAGES_MIN;
		list_remove(&cgroup->waiting_node);
		list_remove(&cgroup->wake_node);
	}
}

/*
 * Another request has made pages that READs are parked for: they are answered at once, wherever
 * they stand in a queue. The kernel holds the page's lock for a parked READ; nothing may unmap a
 * page that is owned while it does, or the unmapping would wait for what only it can bring.
 */
static void answer_parked(struct epc *epc, const struct epc_request *by, uint64_t first,
			  uint64_t count)
{
	struct epc_list *parked = &by->instance->parked;
	struct epc_list *node = parked->next;

	while (node != parked && !MUTANT(epc, PARKED_NOT_ANSWERED)) {
		struct epc_request *request = LIST_ENTRY(node, struct epc_request, parked_node);
		struct epc_page *page = page_find(epc, request->instance, request->first);

		node = node->next;
		if (request == by || request->first - first >= count || !page)
			continue;
		unpark(epc, request);
		fault_touch(epc, page);
		read_done(epc, request);
	}
}

/* One page, charged. 0; -ENOMEM; -EFAULT: it is lost; -EBUSY: *refuser has no room. */
static int allocate_one(struct epc *epc, struct epc_request *request, uint64_t index,
			struct epc_cgroup **refuser)
{
	struct epc_instance *instance = request->instance;
	uint32_t slot = swap_find(epc, instance, index);
	struct epc_stake *stake;
	struct epc_page *page;
	int error;

	*refuser = cgroup_charge(epc, request->payer, instance, 1);
	if (*refuser)
		return -EBUSY;
	stake = stake_get(epc, instance, request->payer);
	if (!stake) {
		error = -ENOMEM;
		goto uncharge;
	}
	error = page_assign(epc, stake, index, is_unproven(epc, request), true);
	if (error)
		goto put_stake;
	page = page_find(epc, instance, index);
	if (request->leaf || index >= INDEX_SECS)
		page_never_mapped(epc, page);
	error = instance->host ? host_page_fill(epc, request, page, slot) : 0;
	if (error)
		return error;
	note_peaks(epc, request);
	answer_parked(epc, request, index, 1);
	return 0;
put_stake:
	stake_put(epc, stake);
uncharge:
	if (!MUTANT(epc, NO_MEMORY_STAYS_CHARGED))
		cgroup_uncharge(epc, request->payer, instance, 1);
	if (error == -EBUSY)
		*refuser = &epc->root;
	return error;
}

/* All that is missing, one page after the other; what is there already stays when one fails. */
static int fault_allocate(struct epc *epc, struct epc_request *request, struct epc_cgroup **refuser)
{
	const struct host *host = request->instance->host;
	uint64_t index;
	int error;

	if (host && host->is_lost)
		return -EFAULT; /* while it was parked */
	while ((index = missing(epc, request)) != INDEX_NONE) {
		error = allocate_one(epc, request, index, refuser);
		if (error)
			return error;
	}
	allocation_done(epc, request);
	return 0;
}

/* The end of a fault; a leaf goes on with the page, or without. */
static void fault_done(struct epc *epc, struct epc_request *request, int result)
{
	if (request->leaf)
		leaf_allocated(epc, request->leaf, result);
	else if (result)
		epc_reply(epc, request, result == -EFAULT ? -EIO : result);
	else
		read_done(epc, request);
}

static void park(struct epc *epc, struct epc_request *request, struct epc_cgroup *cgroup)
{
	list_add_tail(MUTANT(epc, QUEUE_LAST_FIRST) ? cgroup->waiters.next : &cgroup->waiters,
		      &request->node);
	request->waits_at = MUTANT(epc, PARKED_ELSEWHERE) ? &epc->root : cgroup;
	if (!cgroup->nr_waiters++)
		list_add_tail(&epc->waiting, &cgroup->waiting_node);
	if (!request->leaf)
		list_add_tail(&request->instance->parked, &request->parked_node);
	request->payer->nr_payers++;
	epc->nr_parked++;
	cgroup_wake(epc, cgroup);
}

/*
 * The kernel drops the mmap lock for the first READ of a fault and ignores how it ends; so a fault
 * that is refused asks again, 2 to 4 times in all, before SIGBUS, and reading ahead asks once. The
 * second refusal of a page is the incident, the further ones are its repeats. Returns whether this
 * one is to be recorded.
 */
static bool refusal_is_incident(struct epc *epc, struct epc_instance *instance, uint64_t index)
{
	struct refusal *refusal = instance->refusals;
	struct refusal *end = refusal + NR_REFUSALS_KNOWN;

	while (refusal != end && (!refusal->time_ns || refusal->index != index))
		refusal++;
	if (refusal == end) {
		refusal = &instance->refusals[instance->next_refusal];
		instance->next_refusal = (instance->next_refusal + 1) % NR_REFUSALS_KNOWN;
		*refusal = (struct refusal){ .index = index };
	}
	if (refusal->is_incident && epc->now_ns - refusal->time_ns < EPC_REFUSAL_REPEAT_NS)
		return MUTANT(epc, REFUSAL_COUNTED_AGAIN);
	refusal->is_incident = !refusal->is_incident && refusal->time_ns &&
			       epc->now_ns - refusal->time_ns < EPC_REFUSAL_SECOND_NS;
	if (MUTANT(epc, REFUSAL_AT_ONCE))
		refusal->is_incident = true;
	refusal->time_ns = epc->now_ns ? epc->now_ns : 1;
	return refusal->is_incident;
}

static void refusal_record(struct epc *epc, const struct epc_request *request,
			   struct epc_cgroup *refuser)
{
	struct epc_instance *instance = request->instance;
	uint64_t limit_pages = epc->nr_pages;
	struct epc_record record = {
		.kind = EPC_RECORD_REFUSED,
		.time_ns = epc->now_ns,
		.instance_id = instance->id,
		.instance_cookie = instance->cookie,
		.payer_cookie = request->payer->cookie,
		.refuser_cookie = MUTANT(epc, REFUSAL_BLAMES_PAYER) ? request->payer->cookie :
								      refuser->cookie,
		.is_own_limit = refuser->is_own_limit,
		.index = request->first,
		.limit_bytes = limit_pages << EPC_PAGE_SHIFT,
		.usage_bytes = refuser->usage_pages << EPC_PAGE_SHIFT,
		.wanted_bytes = EPC_PAGE_SIZE,
	};

	if (refuser != &epc->root || refuser->max_pages < limit_pages)
		record.limit_bytes = refuser->max_bytes;
	refuser->nr_refused_local++;
	for (struct epc_cgroup *cgroup = refuser; cgroup; cgroup = cgroup->parent) {
		cgroup->nr_refused++;
		if (MUTANT(epc, REFUSAL_FORGETS_PARENT))
			break;
	}
	instance->nr_refusals++;
	epc->nr_refusals++;
	epc_record_add(epc, &record);
}

static void refuse(struct epc *epc, struct epc_request *request, struct epc_cgroup *refuser)
{
	/* A leaf asks once. */
	if (request->leaf || refusal_is_incident(epc, request->instance, request->first)) {
		/* A VM whose very first page is refused is a VM to be shown. */
		instance_started(epc, request->instance);
		refusal_record(epc, request, refuser);
	}
	fault_done(epc, request, -EIO);
}

static bool is_hopeless(struct epc *epc, const struct epc_cgroup *refuser)
{
	if (MUTANT(epc, PARKED_WITHOUT_HOPE))
		return false;
	if (refuser->nr_reclaimable && swap_has_room(epc))
		return false;
	return (!refuser->nr_takeable || MUTANT(epc, REFUSE_WHILE_TAKEABLE)) &&
	       (!refuser->nr_leaving || MUTANT(epc, REFUSE_WHILE_LEAVING));
}

/* The page is not there: a new one, or a place in a queue, or a refusal. */
void fault_for_page(struct epc *epc, struct epc_request *request)
{
	struct epc_cgroup *refuser = cgroup_waited_at(request);
	int error;

	if (refuser && !MUTANT(epc, QUEUE_JUMPED)) {
		park(epc, request, refuser);
		return;
	}
	error = fault_allocate(epc, request, &refuser);
	if (error != -EBUSY)
		fault_done(epc, request, error);
	else if (is_hopeless(epc, refuser))
		refuse(epc, request, refuser);
	else
		park(epc, request, refuser);
}

static void fault(struct epc *epc, struct epc_request *request)
{
	struct epc_page *page = page_find(epc, request->instance, request->first);

	request->instance->nr_faults++;
	epc->nr_faults++;
	if (request->instance->host && request->instance->host->is_lost) {
		epc_reply(epc, request, -EIO);
		return;
	}
	if (page && !(MUTANT(epc, READ_PARKED_DURING_UNMAP) && page->state == PAGE_UNMAPPING)) {
		fault_touch(epc, page);
		read_done(epc, request);
		return;
	}
	if (page)
		park(epc, request, &epc->root);
	else if (request->instance->host && host_fault_check(request->instance, request->first))
		epc_reply(epc, request, -EIO);
	else
		fault_for_page(epc, request);
}

/* Speculative pages first. Returns whether pages have come free at once. */
static bool make_room(struct epc *epc, struct epc_cgroup *cgroup)
{
	if (cgroup->nr_takeable || cgroup->is_taking || !cgroup->nr_reclaimable)
		return takeback_begin(epc, cgroup);
	return reclaim_for(epc, cgroup);
}

/* One turn for the first in the queue. Returns whether the next one may have its turn. */
static bool serve_first(struct epc *epc, struct epc_cgroup *cgroup)
{
	struct epc_request *request = LIST_ENTRY(cgroup->waiters.next, struct epc_request, node);
	struct epc_page *page = page_find(epc, request->instance, request->first);
	struct epc_cgroup *refuser = NULL;
	int error = 0;

	if (page && page->state == PAGE_UNMAPPING && MUTANT(epc, READ_PARKED_DURING_UNMAP))
		return false;
	if (page && !request->leaf)
		fault_touch(epc, page);
	else if (!page)
		error = fault_allocate(epc, request, &refuser);
	if (error == -EBUSY && refuser == cgroup) {
		if (!is_hopeless(epc, cgroup))
			return make_room(epc, cgroup);
		unpark(epc, request);
		refuse(epc, request, refuser);
		return true;
	}
	unpark(epc, request);
	if (error == -EBUSY)
		park(epc, request, refuser);
	else
		fault_done(epc, request, error);
	return true;
}

void fault_serve_waiters(struct epc *epc)
{
	struct epc_cgroup *cgroup;
	unsigned int nr_turns = 0;

	if (list_is_empty(&epc->wakes))
		return;
	if (MUTANT(epc, WAITERS_STARVED) && !list_is_empty(&epc->operations))
		return;
	cgroup = LIST_ENTRY(epc->wakes.next, struct epc_cgroup, wake_node);
	list_remove(&cgroup->wake_node);
	while (!list_is_empty(&cgroup->waiters)) {
		if (nr_turns++ == WAITERS_PER_STEP) {
			cgroup_wake(epc, cgroup);
			return;
		}
		if (!serve_first(epc, cgroup))
			return;
	}
}

static bool cluster_has_room(struct epc *epc, uint64_t nr_new)
{
	uint64_t reserve = epc->nr_pages / 16;

	if (reserve > CLUSTER_RESERVE_PAGES)
		reserve = CLUSTER_RESERVE_PAGES;
	if (MUTANT(epc, CLUSTER_TAKES_RESERVE))
		reserve = 0;
	return epc->nr_free >= reserve && nr_new <= epc->nr_free - reserve;
}

/* Which pages of a cluster are new: a bit each. */
struct new_pages {
	uint64_t bits[EPC_CLUSTER_PAGES_MAX / 64];
};

static void cluster_undo(struct epc *epc, struct epc_request *request, const struct new_pages *new)
{
	for (uint64_t i = 0; i < request->count && !MUTANT(epc, CLUSTER_UNDO_FORGOTTEN); i++) {
		if (new->bits[i / 64] >> (i % 64) & 1)
			page_free(epc, page_find(epc, request->instance, request->first + i));
	}
}

static int cluster_allocate(struct epc *epc, struct epc_request *request, uint64_t nr_new)
{
	struct new_pages new = { { 0 } };
	uint64_t nr_assigned = 0;
	struct epc_stake *stake;
	int error = 0;

	if (cgroup_waited_at(request) || !cluster_has_room(epc, nr_new))
		return -EBUSY;
	if (cgroup_charge(epc, request->payer, request->instance, nr_new))
		return -EBUSY;
	stake = stake_get(epc, request->instance, request->payer);
	if (!stake) {
		cgroup_uncharge(epc, request->payer, request->instance, nr_new);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < request->count && !error; i++) {
		if (page_find(epc, request->instance, request->first + i))
			continue;
		error = page_assign(epc, stake, request->first + i, true, false);
		if (!error) {
			new.bits[i / 64] |= UINT64_C(1) << (i % 64);
			nr_assigned++;
		}
	}
	if (error) {
		cgroup_uncharge(epc, request->payer, request->instance, nr_new - nr_assigned);
		if (!nr_assigned)
			stake_put(epc, stake);
		cluster_undo(epc, request, &new);
		return error;
	}
	allocation_done(epc, request);
	answer_parked(epc, request, request->first, request->count);
	return 0;
}

/*
 * Answered at once, whole or with EIO: the kernel then asks again for the one page that it needs.
 * A page that is being unmapped is left alone: reading ahead is no proof of use.
 */
static void cluster(struct epc *epc, struct epc_request *request)
{
	uint64_t nr_new = 0;
	int error = 0;

	request->instance->nr_clusters++;
	epc->nr_clusters++;
	if (request->instance->host && request->instance->host->is_lost)
		error = -EIO;
	for (uint64_t i = 0; i < request->count; i++) {
		struct epc_page *page = page_find(epc, request->instance, request->first + i);

		nr_new += !page;
		if (page && page->state == PAGE_UNMAPPING &&
		    !MUTANT(epc, CLUSTER_ANSWERS_UNMAPPING))
			error = -EIO;
	}
	if (!error && nr_new && request->instance->host)
		error = -EIO; /* one page after the other, each for its own reason */
	if (!error && nr_new)
		error = cluster_allocate(epc, request, nr_new);
	if (error == -EBUSY && MUTANT(epc, CLUSTER_PARKED)) {
		park(epc, request, &epc->root);
		return;
	}
	if (error) {
		epc_reply(epc, request, error == -EBUSY ? -EIO : error);
		return;
	}
	for (uint64_t i = 0; i < request->count; i++)
		page_touch(epc, page_find(epc, request->instance, request->first + i));
	read_done(epc, request);
}

void epc_read(struct epc *epc, struct epc_request *request)
{
	list_init(&request->node);
	list_init(&request->parked_node);
	request->waits_at = NULL;
	request->leaf = NULL;
	request->is_zero = false;
	if (!request->count || request->count > EPC_CLUSTER_PAGES_MAX ||
	    request->first >= EPC_NR_INDICES || request->count > EPC_NR_INDICES - request->first)
		epc_reply(epc, request, -EINVAL);
	else if (request->count == 1)
		fault(epc, request);
	else
		cluster(epc, request);
}

void epc_delivered(struct epc *epc, struct epc_instance *instance, uint64_t first, uint64_t count)
{
	instance->nr_undelivered--;
	if (instance->is_releasing) {
		operation_queue(epc, instance);
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		struct epc_page *page = page_find(epc, instance, first + i);
		enum page_class was;

		if (!page || !page->is_filling)
			continue;
		was = page_class(page);
		page->is_filling = MUTANT(epc, DELIVERED_FORGOTTEN);
		page_reclass(epc, page, was);
	}
}

void fault_cancel(struct epc *epc, struct epc_request *request, int error)
{
	unpark(epc, request);
	fault_done(epc, request, error);
}

void epc_interrupt(struct epc *epc, struct epc_request *request)
{
	if (!request->waits_at)
		return;
	if (MUTANT(epc, INTERRUPT_FORGETS_QUEUE)) {
		request->waits_at->nr_waiters--;
		return;
	}
	fault_cancel(epc, request, -EINTR);
}
