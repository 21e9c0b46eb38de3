/* SPDX-License-Identifier: MIT */
/*
 * The resets of a random layout, and what must be left then: two rounds over the sections as QEMU
 * makes them, the combined request, a loss.
 */
#include <errno.h>

#include "layouts.h"

#define ROUNDS_MAX 100000
#define SPARE_BASE (UINT64_C(1) << 45) /* of an enclave that the guest builds during a loss */

/* What the core has removed is no enclave's any more; all else is as the model has it. */
void layouts_resync(struct layouts *l)
{
	for (int i = 0; i < (int)(l->nr_sections * l->nr_slots); i++) {
		struct place place = { i / (int)l->nr_slots, i % (int)l->nr_slots };
		struct page *page = layouts_page(l, place);
		struct epc_page_report report;

		if (!layouts_is_open(l, place.instance))
			continue;
		epc_page_report(l->epc, l->instances[place.instance].instance,
				layouts_index(l, place.slot), &report);
		if (report.is_owned != (page->kind != UNTOUCHED))
			layouts_fail(l, "a page of section %d is %s", place.instance,
				     report.is_owned ? "owned" : "lost");
		if (report.epcm.is_valid && page->kind <= PLAIN)
			layouts_fail(l, "a page of section %d is an enclave's", place.instance);
		if (page->kind > PLAIN && !report.epcm.is_valid)
			layouts_forget(l, place);
	}
}

/* Children and SECS pages that have none elsewhere. Returns how many SECS pages of it remain. */
static int model_reset(struct layouts *l, int instance)
{
	int nr_left = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (int slot = 0; slot < (int)l->nr_slots; slot++) {
			struct place place = { instance, slot };
			struct page *page = layouts_page(l, place);

			if (pass == 0 && (page->kind == CHILD || page->kind == VA))
				layouts_forget(l, place);
			if (pass == 0 || page->kind != SECS)
				continue;
			if (l->enclaves[page->enclave].nr_children)
				nr_left++;
			else
				layouts_forget(l, place);
		}
	}
	return nr_left;
}

static void wait_for(struct layouts *l, const struct epc_request *request)
{
	for (unsigned int i = 0; request->result == PENDING || i == 0; i++) {
		if (layouts_chance(l, 16))
			layouts_touch(l);
		if (request->result != PENDING)
			return;
		if (!layouts_work(l) && request->result == PENDING)
			layouts_fail(l, "a request is never answered");
		if (i == ROUNDS_MAX)
			layouts_fail(l, "a request takes for ever");
	}
}

static void send_reset(struct layouts *l, struct epc_request *request, int instance)
{
	*request = (struct epc_request){
		.instance = l->instances[instance].instance,
		.count = EPC_NR_INDICES,
		.result = PENDING,
	};
	epc_reset(l->epc, request);
	layouts_after(l);
}

void layouts_send_vm(struct layouts *l, struct epc_request *request, bool is_loss)
{
	int instance = (int)layouts_below(l, l->nr_sections);

	while (!layouts_is_open(l, instance))
		instance = (instance + 1) % (int)l->nr_sections;
	*request = (struct epc_request){
		.instance = l->instances[instance].instance,
		.result = PENDING,
	};
	l->loss = is_loss ? request : NULL;
	if (is_loss)
		epc_lose_vm(l->epc, request);
	else
		epc_reset_vm(l->epc, request);
	layouts_after(l);
}

/* All sections, one after the other or at the same time. Returns how many have SECS pages left. */
static unsigned int round_over(struct layouts *l, bool remains[NR_SECTIONS], bool is_second)
{
	struct epc_request requests[NR_SECTIONS];
	bool is_overlapped = layouts_chance(l, 3);
	int start = (int)layouts_below(l, l->nr_sections);
	unsigned int nr_left = 0;

	for (int n = 0; n < 2 * (int)l->nr_sections; n++) {
		int at = (start + n) % (int)l->nr_sections;
		bool sends = n < (int)l->nr_sections, waits = is_overlapped ? !sends : sends;

		if (!remains[at])
			continue;
		if (sends)
			send_reset(l, &requests[at], at);
		if (waits)
			wait_for(l, &requests[at]);
		if (waits && !is_overlapped && requests[at].result != model_reset(l, at))
			layouts_fail(l, "section %d: %d SECS pages are said to remain", at,
				     requests[at].result);
		if (waits && requests[at].result < 0)
			layouts_fail(l, "section %d: a reset gives %d", at, requests[at].result);
	}
	for (int at = 0; at < (int)l->nr_sections; at++) {
		remains[at] = remains[at] && requests[at].result;
		nr_left += remains[at];
		if (remains[at] && (is_second || l->nr_sections == 1))
			layouts_fail(l, "section %d: SECS pages remain after %s", at,
				     is_second ? "the second round" : "the one call");
	}
	layouts_resync(l);
	return nr_left;
}

static void two_rounds(struct layouts *l)
{
	bool remains[NR_SECTIONS];

	l->doing = "two rounds";
	for (int i = 0; i < NR_SECTIONS; i++)
		remains[i] = true;
	if (round_over(l, remains, false) == 0)
		return;
	l->nr_second_rounds++;
	round_over(l, remains, true);
}

static unsigned int nr_inside(const struct layouts *l)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < l->nr_enclaves; i++)
		nr += l->enclaves[i].nr_inside;
	return nr;
}

/* In one call. A thread inside stops it, and what it has done until then is done. */
static void combined(struct layouts *l)
{
	struct epc_request request;
	bool is_busy = nr_inside(l);

	l->doing = "the combined reset";
	layouts_send_vm(l, &request, false);
	wait_for(l, &request);
	if (request.result != (is_busy ? -EBUSY : 0))
		layouts_fail(l, "it gives %d", request.result);
	layouts_resync(l);
}

/* Threads are thrown out, and a leaf that comes meanwhile waits. */
static void loss(struct layouts *l)
{
	struct epc_request request;
	struct place place;

	l->doing = "a loss";
	layouts_send_vm(l, &request, true);
	if (layouts_chance(l, 2) && layouts_find_vacant(l, &place)) {
		guest_ecreate(&l->guest, layouts_place(l, place), SPARE_BASE, UINT64_C(1) << 20);
		layouts_execute(l, place);
		guest_simple(&l->guest, SGX_EREMOVE, layouts_place(l, place));
		layouts_execute(l, place);
	}
	wait_for(l, &request);
	if (request.result != 0)
		layouts_fail(l, "it gives %d", request.result);
	layouts_resync(l);
}

/* Everything is plain memory, owned as before, and the stranger has what it had. */
static void check_clean(struct layouts *l)
{
	struct epc_report report;

	for (unsigned int i = 0; i < l->nr_enclaves; i++)
		if (l->enclaves[i].secs.instance != NOBODY || l->enclaves[i].nr_children)
			layouts_fail(l, "something is left of enclave %u", i);
	epc_report(l->epc, &report);
	if (report.nr_secs != 1 || report.nr_zombies)
		layouts_fail(l, "%llu SECS pages are left, %llu of them zombies",
			     (unsigned long long)report.nr_secs - 1,
			     (unsigned long long)report.nr_zombies);
	layouts_check(l);
}

void layouts_reset(struct layouts *l)
{
	if (layouts_chance(l, 4)) {
		loss(l);
	} else {
		if (nr_inside(l) && layouts_chance(l, 2))
			combined(l);
		l->doing = "leaving";
		layouts_leave(l);
		if (layouts_chance(l, 2))
			combined(l);
		else
			two_rounds(l);
	}
	check_clean(l);
}
