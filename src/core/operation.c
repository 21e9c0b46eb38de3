/* SPDX-License-Identifier: MIT */
/*
 * Work on many pages of one instance: reset (REMOVE_ALL, ZERO_RANGE), punch (PUNCH_HOLE) and
 * release. It is done in pieces of EPC_STEP_PAGES by epc_step(), instances take turns. A piece of
 * a reset is an unmapping of pages that are owned, side by side and not being unmapped already:
 * never of one that a parked fault asks for, or the unmapping would wait for a page's lock that
 * the fault holds, and the fault for what the unmapping frees.
 */
#include "core/internal.h"

#include <errno.h>

void operation_queue(struct epc *epc, struct epc_instance *instance)
{
	if (list_is_empty(&instance->operation_node))
		list_add_tail(&epc->operations, &instance->operation_node);
}

static void request_done(struct epc *epc, struct epc_request *request)
{
	struct epc_instance *instance = request->instance;
	struct epc_record record = {
		.kind = request->gives_back ? EPC_RECORD_PUNCHED : EPC_RECORD_RESET,
		.instance_id = instance->id,
		.instance_cookie = instance->cookie,
		.nr_pages = request->nr_done,
		.took_ns = epc->now_ns - request->began_ns,
	};

	instance->nr_resets += !request->gives_back;
	epc->nr_resets += !request->gives_back;
	/* QEMU resets at power-on, on EPC that was never touched: nothing to tell of. */
	if (instance->id)
		epc_record_add(epc, &record);
	list_remove(&request->node);
	epc_reply(epc, request, 0);
}

/* The end of a page's reset; no unmapping covers it any more. */
static void page_reset(struct epc *epc, struct epc_page *page, bool gives_back)
{
	enum page_class was = page_class(page);
	bool is_touched = page->is_touched ||
			  (page->is_written && MUTANT(epc, WRITE_AFTER_RESET_KEPT));

	page->state = is_touched ? PAGE_ACTIVE : PAGE_INACTIVE;
	page->is_touched = false;
	page->is_written = false;
	page->is_reset = false;
	page->gives_back = false;
	page_reclass(epc, page, was);
	if (!is_touched || MUTANT(epc, RESET_FORGETS_TOUCHED))
		page_drop_bytes(epc, page);
	/* Touched meanwhile: it is a new page of its own right, born after the reset. */
	if ((gives_back && !is_touched && !MUTANT(epc, PUNCH_KEEPS_PAGES)) ||
	    (!gives_back && MUTANT(epc, RESET_GIVES_BACK)))
		page_free(epc, page);
}

static void begin_unmapping(struct epc *epc, struct epc_instance *instance,
			    struct epc_request *request, uint64_t last, uint32_t count_max)
{
	uint32_t count = 0;

	if (MUTANT(epc, STEP_UNBOUNDED))
		count_max = UINT32_MAX;
	while (count < count_max && request->cursor + count <= last) {
		struct epc_page *page = page_find(epc, instance, request->cursor + count);
		enum page_class was;

		if (!page || page->state != PAGE_ACTIVE)
			break;
		was = page_class(page);
		page->state = PAGE_UNMAPPING;
		page->is_reset = true;
		page->gives_back = request->gives_back;
		page_reclass(epc, page, was);
		count++;
	}
	instance->is_unmapping = true;
	unmap_begin(epc, &instance->unmap, instance, request->cursor, count, true);
}

/* One piece of the first request. */
static void request_step(struct epc *epc, struct epc_instance *instance)
{
	struct epc_request *request = LIST_ENTRY(instance->requests.next, struct epc_request, node);
	uint64_t last = request->first + (request->count - 1);

	if (MUTANT(epc, RESET_ENDS_EARLY) && last > request->first)
		last--;
	for (uint32_t budget = EPC_STEP_PAGES; budget; budget--) {
		uint64_t index = index_next(&instance->index, request->cursor, last);
		struct epc_page *page;

		if (index == UINT64_MAX) {
			request_done(epc, request);
			break;
		}
		request->cursor = index;
		page = page_find(epc, instance, index);
		if (page->state == PAGE_UNMAPPING) {
			instance->is_stalled = true; /* takeback_unmapped() comes next */
			return;
		}
		if (page->state == PAGE_ACTIVE) {
			begin_unmapping(epc, instance, request, last, budget);
			return;
		}
		if (!MUTANT(epc, RESET_SKIPS_INACTIVE))
			page_reset(epc, page, request->gives_back);
		request->nr_done++;
		request->cursor++;
	}
	if (!list_is_empty(&instance->requests))
		operation_queue(epc, instance);
}

static void request_queue(struct epc *epc, struct epc_request *request, bool gives_back)
{
	struct epc_instance *instance = request->instance;

	list_init(&request->node);
	request->waits_at = NULL;
	request->gives_back = gives_back;
	request->cursor = request->first;
	request->began_ns = epc->now_ns;
	request->nr_done = 0;
	if (!request->count || request->first >= EPC_NR_INDICES ||
	    request->count > EPC_NR_INDICES - request->first) {
		epc_reply(epc, request, -EINVAL);
		return;
	}
	list_add_tail(&instance->requests, &request->node);
	if (instance->is_unmapping || instance->is_stalled ||
	    !list_is_empty(&instance->operation_node))
		return;
	/* The first: its first piece at once, or a fault would not see what is about to leave. */
	request_step(epc, instance);
}

void epc_reset(struct epc *epc, struct epc_request *request)
{
	request_queue(epc, request, false);
}

void epc_punch(struct epc *epc, struct epc_request *request)
{
	request_queue(epc, request, true);
}

void operation_unmapped(struct epc *epc, struct epc_unmap *unmap)
{
	struct epc_instance *instance = unmap->instance;
	struct epc_request *request = LIST_ENTRY(instance->requests.next, struct epc_request, node);

	for (uint64_t i = 0; i < unmap->count; i++)
		page_reset(epc, page_find(epc, instance, unmap->first + i), request->gives_back);
	instance->is_unmapping = false;
	request->cursor = unmap->first + unmap->count;
	request->nr_done += unmap->count;
	operation_queue(epc, instance);
}

static void doom_step(struct epc *epc, struct epc_instance *instance)
{
	for (uint32_t budget = EPC_STEP_PAGES; budget; budget--) {
		struct epc_stake *stake =
			LIST_ENTRY(instance->stakes.next, struct epc_stake, instance_node);

		if (list_is_empty(&instance->stakes) || stake->is_doomed ||
		    MUTANT(epc, RELEASE_FORGETS_STAKE)) {
			instance->is_doomed = true;
			return;
		}
		stake_doom(epc, stake);
		list_move_tail(&instance->stakes, &stake->instance_node);
	}
}

static void release_done(struct epc *epc, struct epc_instance *instance)
{
	struct epc_record record = {
		.kind = EPC_RECORD_CLOSED,
		.instance_id = instance->id,
		.instance_cookie = instance->cookie,
		.usage_bytes = instance->peak_pages << EPC_PAGE_SHIFT,
	};

	if (instance->id) {
		epc_record_add(epc, &record);
		epc->nr_started--;
	}
	instance->cgroup->nr_instances--;
	list_move_tail(&epc->gone, &instance->node);
}

/* Returns whether there is more to do now. */
static bool release_step(struct epc *epc, struct epc_instance *instance)
{
	if (!instance->is_doomed) {
		doom_step(epc, instance);
		return true;
	}
	for (uint32_t budget = EPC_STEP_PAGES; budget; budget--) {
		uint64_t index =
			index_next(&instance->index, instance->release_cursor, EPC_NR_INDICES - 1);
		struct epc_page *page;

		if (index == UINT64_MAX) {
			if ((instance->nr_unmaps && !MUTANT(epc, RELEASE_BEFORE_UNMAPPED)) ||
			    (instance->nr_undelivered && !MUTANT(epc, RELEASE_BEFORE_DELIVERED)))
				return false; /* their acknowledgements come back here */
			release_done(epc, instance);
			return false;
		}
		instance->release_cursor = index + 1;
		page = page_find(epc, instance, index);
		if (page->state != PAGE_UNMAPPING)
			page_free(epc, page); /* else takeback_unmapped() frees it */
	}
	return true;
}

void epc_release(struct epc *epc, struct epc_instance *instance)
{
	instance->is_releasing = true;
	/* At once, or a fault that comes before the next step would be refused without need. */
	if (!MUTANT(epc, RELEASE_DOOMS_LATE))
		doom_step(epc, instance);
	operation_queue(epc, instance);
}

void operation_step(struct epc *epc)
{
	struct epc_instance *instance;

	if (list_is_empty(&epc->operations))
		return;
	instance = LIST_ENTRY(epc->operations.next, struct epc_instance, operation_node);
	list_remove(&instance->operation_node);
	if (!instance->is_releasing)
		request_step(epc, instance);
	else if (release_step(epc, instance))
		operation_queue(epc, instance);
}
