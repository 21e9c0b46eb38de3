/* SPDX-License-Identifier: MIT */
/*
 * Work on many pages of one instance: reset (REMOVE_ALL, ZERO_RANGE), punch (PUNCH_HOLE), loss and
 * release. It is done in pieces of EPC_STEP_PAGES by epc_step(), instances take turns. A piece of
 * a reset is an unmapping of pages that are owned, side by side and not being unmapped already:
 * never of one that a parked fault asks for, or the unmapping would wait for a page's lock that
 * the fault holds, and the fault for what the unmapping frees.
 *
 * A page is removed (EREMOVE) before it is unmapped: from then on it belongs to no enclave, so no
 * thread can enter while its bytes are on their way, and what arrives is older than the reset. A
 * SECS that has children is skipped; a second pass, over SECS pages only, finds those whose
 * children came later in the first (mission V4).
 */
#include "core/internal.h"

#include <errno.h>

void operation_queue(struct epc *epc, struct epc_instance *instance)
{
	if (list_is_empty(&instance->operation_node))
		list_add_tail(&epc->operations, &instance->operation_node);
}

static enum epc_record_kind record_kind(const struct epc_request *request)
{
	if (request->is_loss)
		return EPC_RECORD_LOST;
	return request->gives_back ? EPC_RECORD_PUNCHED : EPC_RECORD_RESET;
}

static void request_done(struct epc *epc, struct epc_request *request)
{
	struct epc_instance *instance = request->instance;
	struct epc_record record = {
		.kind = record_kind(request),
		.instance_id = instance->id,
		.instance_cookie = instance->cookie,
		.nr_pages = request->nr_done,
		.took_ns = epc->now_ns - request->began_ns,
	};
	bool is_round_two = request->is_vm_wide && request->is_second;

	if (record.kind == EPC_RECORD_RESET && !is_round_two) {
		instance->nr_resets++;
		epc->nr_resets++;
	}
	/* QEMU resets at power-on, on EPC that was never touched: nothing to tell of. */
	if (instance->id && !is_round_two)
		epc_record_add(epc, &record);
	list_remove(&request->node);
	if (request->is_vm_wide)
		vm_request_next(epc, instance->vm);
	else
		epc_reply(epc, request, request->error ? request->error : (int)request->nr_skipped);
}

/* The end of a page's reset; no unmapping covers it any more. */
static void page_reset(struct epc *epc, struct epc_page *page, bool gives_back)
{
	bool is_touched = page_unmapping_over(epc, page);

	if (!is_touched || MUTANT(epc, RESET_FORGETS_TOUCHED))
		page_drop_bytes(epc, page);
	/* Touched meanwhile: it is a new page of its own right, born after the reset. */
	if ((gives_back && !is_touched && !MUTANT(epc, PUNCH_KEEPS_PAGES)) ||
	    (!gives_back && MUTANT(epc, RESET_GIVES_BACK)))
		page_free(epc, page);
}

/*
 * Whether the page is plain memory now. Else it is a SECS that is skipped, or the request is at
 * its end: request->error.
 */
static bool take_out(struct epc *epc, struct epc_request *request, struct epc_page *page)
{
	int code = page_remove(epc, page, request->is_loss);

	if (!code)
		return true;
	if (code == SGX_ENCLAVE_ACT) {
		request->error = -EBUSY;
		return false;
	}
	if (!request->nr_skipped++)
		request->first_skipped = page->index;
	return false;
}

/* The page at the cursor is ACTIVE and taken out; those that follow join as long as they can. */
static void begin_unmapping(struct epc *epc, struct epc_request *request, uint64_t last,
			    uint32_t count_max)
{
	struct epc_instance *instance = request->instance;
	uint32_t count = 0;

	if (MUTANT(epc, STEP_UNBOUNDED))
		count_max = UINT32_MAX;
	while (count < count_max && request->cursor + count <= last) {
		struct epc_page *page = page_find(epc, instance, request->cursor + count);
		enum page_class was;

		if (!page || page->state != PAGE_ACTIVE)
			break;
		/* What cannot be taken out is met again as the first of the next piece. */
		if (count && (request->is_second || page_is_secs(epc, page) ||
			      page_remove(epc, page, request->is_loss) != 0))
			break;
		was = page_class(page);
		page->state = PAGE_UNMAPPING;
		page->is_reset = true;
		page->gives_back = request->gives_back;
		page_reclass(epc, page, was);
		count++;
	}
	instance->is_unmapping = true;
	unmap_begin(epc, &instance->unmap, instance, request->cursor, count, EPC_UNMAP_RESET);
}

enum piece {
	PIECE_GOES_ON,
	PIECE_WAITS, /* for an unmapping */
	PIECE_IS_LAST,
};

/* The page at the cursor. */
static enum piece page_step(struct epc *epc, struct epc_request *request, uint64_t last,
			    uint32_t budget)
{
	struct epc_instance *instance = request->instance;
	struct epc_page *page = page_find(epc, instance, request->cursor);

	if (!page) {
		host_forget(epc, instance, request->cursor++);
		return PIECE_GOES_ON;
	}
	if (request->is_second && !page_is_secs(epc, page)) {
		request->cursor++;
		return PIECE_GOES_ON;
	}
	if (page->state == PAGE_UNMAPPING) {
		instance->is_stalled = true; /* its acknowledgement goes on */
		return PIECE_WAITS;
	}
	if (!take_out(epc, request, page)) {
		request->cursor++;
		return request->error ? PIECE_IS_LAST : PIECE_GOES_ON;
	}
	if (page->state == PAGE_ACTIVE) {
		begin_unmapping(epc, request, last, budget);
		return PIECE_WAITS;
	}
	if (!MUTANT(epc, RESET_SKIPS_INACTIVE))
		page_reset(epc, page, request->gives_back);
	request->nr_done++;
	request->cursor++;
	return PIECE_GOES_ON;
}

/* All pages of the range have been seen. Returns whether a second pass is to come. */
static bool pass_is_first(struct epc *epc, struct epc_request *request)
{
	if (request->is_second || request->is_vm_wide || !request->nr_skipped ||
	    MUTANT(epc, NO_SECOND_PASS))
		return false;
	request->is_second = true;
	request->cursor = request->first_skipped;
	request->nr_skipped = 0;
	return true;
}

/* One piece of the first request. */
static void request_step(struct epc *epc, struct epc_instance *instance)
{
	struct epc_request *request = LIST_ENTRY(instance->requests.next, struct epc_request, node);
	uint64_t last = instance->host ? INDEX_LAST : request->first + (request->count - 1);

	if (MUTANT(epc, RESET_ENDS_EARLY) && last > request->first)
		last--;
	for (uint32_t budget = EPC_STEP_PAGES; budget; budget--) {
		uint64_t index = index_next(&instance->index, request->cursor, last);
		enum piece piece = PIECE_IS_LAST;

		if (index != UINT64_MAX) {
			request->cursor = index;
			piece = page_step(epc, request, last, budget);
		} else if (pass_is_first(epc, request)) {
			piece = PIECE_GOES_ON;
		}
		if (piece == PIECE_WAITS)
			return;
		if (piece == PIECE_IS_LAST) {
			request_done(epc, request);
			break;
		}
	}
	if (!list_is_empty(&instance->requests))
		operation_queue(epc, instance);
}

void operation_add(struct epc *epc, struct epc_instance *instance, struct epc_request *request)
{
	request->instance = instance;
	request->cursor = request->first;
	request->began_ns = epc->now_ns;
	request->nr_done = 0;
	list_add_tail(&instance->requests, &request->node);
	if (!instance->is_unmapping && !instance->is_stalled)
		operation_queue(epc, instance);
}

static void request_queue(struct epc *epc, struct epc_request *request, bool gives_back)
{
	struct epc_instance *instance = request->instance;
	bool is_first = list_is_empty(&instance->requests) && !instance->is_unmapping;

	list_init(&request->node);
	request->waits_at = NULL;
	request->leaf = NULL;
	request->gives_back = gives_back;
	request->is_vm_wide = false;
	request->is_loss = false;
	request->is_second = false;
	request->nr_skipped = 0;
	request->error = 0;
	if (!request->count || request->first >= EPC_NR_INDICES ||
	    request->count > EPC_NR_INDICES - request->first) {
		epc_reply(epc, request, -EINVAL);
		return;
	}
	operation_add(epc, instance, request);
	/* The first: its first piece at once, or a fault would not see what is about to leave. */
	if (is_first) {
		list_remove(&instance->operation_node);
		request_step(epc, instance);
	}
}

void epc_reset(struct epc *epc, struct epc_request *request)
{
	request_queue(epc, request, false);
}

void epc_punch(struct epc *epc, struct epc_request *request)
{
	request_queue(epc, request, true);
}

/* The instance was released meanwhile, and the VM's request has gone on to another one. */
static void released_unmapped(struct epc *epc, struct epc_unmap *unmap)
{
	for (uint64_t i = 0; i < unmap->count; i++) {
		struct epc_page *page = page_find(epc, unmap->instance, unmap->first + i);

		page_unmapping_over(epc, page);
		operation_release_page(epc, page);
	}
}

void operation_unmapped(struct epc *epc, struct epc_unmap *unmap)
{
	struct epc_instance *instance = unmap->instance;
	struct epc_request *request = LIST_ENTRY(instance->requests.next, struct epc_request, node);

	instance->is_unmapping = false;
	operation_queue(epc, instance);
	if (instance->is_releasing) {
		released_unmapped(epc, unmap);
		return;
	}
	for (uint64_t i = 0; i < unmap->count; i++)
		page_reset(epc, page_find(epc, instance, unmap->first + i), request->gives_back);
	request->cursor = unmap->first + unmap->count;
	request->nr_done += unmap->count;
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

void operation_release_page(struct epc *epc, struct epc_page *page)
{
	int code;

	if (!page->stake->instance->is_doomed)
		return; /* the walk over all pages is still to come */
	code = page_remove(epc, page, true);
	if (code && !MUTANT(epc, RELEASE_FREES_SECS))
		page_set_zombie(epc, page);
	else
		page_free(epc, page);
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
	/* A zombie whose last child was among its own pages has queued it again. */
	if (!MUTANT(epc, GONE_STAYS_QUEUED))
		list_remove(&instance->operation_node);
	vm_leave(epc, instance);
	list_move_tail(&epc->gone, &instance->node);
}

/* All pages have been seen. Returns at once while something is outstanding: it comes back here. */
static void release_end(struct epc *epc, struct epc_instance *instance)
{
	struct epc_record record = {
		.kind = EPC_RECORD_ZOMBIES,
		.instance_id = instance->id,
		.instance_cookie = instance->cookie,
		.nr_pages = instance->nr_zombies,
	};

	if ((instance->nr_unmaps && !MUTANT(epc, RELEASE_BEFORE_UNMAPPED)) ||
	    (instance->nr_undelivered && !MUTANT(epc, RELEASE_BEFORE_DELIVERED)) ||
	    (instance->nr_pins && !MUTANT(epc, RELEASE_BEFORE_LEAF)))
		return;
	if (instance->host && !host_free_va_pages(epc, instance->host, EPC_STEP_PAGES))
		operation_queue(epc, instance);
	else if (!instance->nr_zombies)
		release_done(epc, instance);
	else if (!instance->has_told_zombies && !MUTANT(epc, ZOMBIES_UNTOLD))
		epc_record_add(epc, &record);
	instance->has_told_zombies = true;
}

/* Returns whether there is more to do now. */
static bool release_step(struct epc *epc, struct epc_instance *instance)
{
	if (!instance->is_doomed) {
		doom_step(epc, instance);
		return true;
	}
	for (uint32_t budget = EPC_STEP_PAGES; budget; budget--) {
		uint64_t index = index_next(&instance->index, instance->release_cursor, INDEX_LAST);
		struct epc_page *page;

		if (index == UINT64_MAX) {
			release_end(epc, instance);
			return false;
		}
		instance->release_cursor = index + 1;
		page = page_find(epc, instance, index);
		if (!page)
			host_forget(epc, instance, index);
		else if (page->state != PAGE_UNMAPPING)
			operation_release_page(epc, page); /* else its acknowledgement does */
	}
	return true;
}

void epc_release(struct epc *epc, struct epc_instance *instance)
{
	instance->is_releasing = true;
	vm_instance_released(epc, instance);
	leaf_instance_released(epc, instance);
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
