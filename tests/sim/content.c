/* SPDX-License-Identifier: MIT */
/*
 * The model of contents: which values a client may see in a page.
 *
 * A store makes its stamp the only value. While an operation (REMOVE_ALL, ZERO_RANGE, PUNCH_HOLE)
 * of the page is outstanding, zero and everything stored meanwhile is allowed too. When the core
 * says that the operation is done, everything stored before it began is not allowed any more. A
 * value that was seen while nothing was going on is the only one from then on.
 */
#include <string.h>

#include "sim.h"

#define WORDS_PER_PAGE (EPC_PAGE_SIZE / sizeof(uint64_t))

/* Where the far areas begin: another subtree of an index, its middle, and the very end. */
static const uint64_t far_firsts[SIM_NR_FAR_AREAS] = {
	UINT64_C(1) << 20,
	(UINT64_C(1) << 33) + 4090,
	EPC_NR_INDICES - SIM_NR_FAR,
};

uint64_t sim_slot_index(int slot)
{
	if (slot < SIM_NR_NEAR)
		return (uint64_t)slot;
	int far = slot - SIM_NR_NEAR;
	return far_firsts[far / SIM_NR_FAR] + (uint64_t)(far % SIM_NR_FAR);
}

int sim_index_slot(uint64_t index)
{
	if (index < SIM_NR_NEAR)
		return (int)index;
	for (int i = 0; i < SIM_NR_FAR_AREAS; i++)
		if (index >= far_firsts[i] && index - far_firsts[i] < SIM_NR_FAR)
			return SIM_NR_NEAR + i * SIM_NR_FAR + (int)(index - far_firsts[i]);
	return SIM_NOBODY;
}

void sim_stamp_fill(unsigned char *page, uint64_t value)
{
	for (size_t i = 0; i < WORDS_PER_PAGE; i++)
		memcpy(page + i * sizeof(value), &value, sizeof(value));
}

uint64_t sim_stamp_read(const struct sim *sim, const unsigned char *page)
{
	uint64_t value;

	memcpy(&value, page, sizeof(value));
	if (memcmp(page, page + sizeof(value), EPC_PAGE_SIZE - sizeof(value)) != 0)
		sim_fail(sim, "a page holds bytes of more than one store");
	return value;
}

void sim_content_reset(struct sim_page *page)
{
	page->allowed[0] = (struct sim_stamp){ .value = 0, .time = 0 };
	page->nr_allowed = 1;
	page->allows_any = false;
}

bool sim_content_is_allowed(const struct sim_page *page, uint64_t value)
{
	if (page->allows_any)
		return true;
	for (unsigned int i = 0; i < page->nr_allowed; i++)
		if (page->allowed[i].value == value)
			return true;
	return false;
}

void sim_content_allow(const struct sim *sim, struct sim_page *page, uint64_t value)
{
	if (sim_content_is_allowed(page, value))
		return;
	/* Many leaves on one page during one operation: the model gives up until it is over. */
	if (page->nr_allowed == SIM_STAMPS_MAX) {
		page->allows_any = true;
		return;
	}
	page->allowed[page->nr_allowed++] = (struct sim_stamp){ value, sim->time };
}

static void allow_only(struct sim_page *page, uint64_t value, uint64_t time)
{
	page->allowed[0] = (struct sim_stamp){ value, time };
	page->nr_allowed = 1;
	page->allows_any = false;
}

bool sim_operation_concerns(const struct sim *sim, const struct sim_operation *operation,
			    int instance)
{
	if (operation->kind == SIM_RESET_VM || operation->kind == SIM_LOSE_VM)
		return sim->instances[instance].vm == operation->vm;
	return operation->instance == instance;
}

bool sim_operation_covers(const struct sim_operation *operation, uint64_t index)
{
	return index >= operation->request.first &&
	       index - operation->request.first < operation->request.count;
}

static bool is_in(const struct sim *sim, int instance, int slot, bool fallocate_only,
		  bool punch_only)
{
	for (int i = 0; i < SIM_NR_OPERATIONS; i++) {
		const struct sim_operation *operation = &sim->operations[i];

		if (operation->phase == SIM_OPERATION_UNUSED ||
		    !sim_operation_concerns(sim, operation, instance) ||
		    operation->kind == SIM_BAD_RESET || operation->kind == SIM_BAD_PUNCH)
			continue;
		if (fallocate_only && operation->kind != SIM_ZERO_RANGE &&
		    operation->kind != SIM_PUNCH_HOLE)
			continue;
		if (punch_only && operation->kind != SIM_PUNCH_HOLE)
			continue;
		if (sim_operation_covers(operation, sim_slot_index(slot)))
			return true;
	}
	return false;
}

bool sim_content_is_in_operation(const struct sim *sim, int instance, int slot)
{
	return is_in(sim, instance, slot, false, false);
}

bool sim_content_is_in_fallocate(const struct sim *sim, int instance, int slot)
{
	return is_in(sim, instance, slot, true, false);
}

bool sim_content_is_in_punch(const struct sim *sim, int instance, int slot)
{
	return is_in(sim, instance, slot, false, true);
}

/* Two more values may still be needed: one for this store, one for a zero. */
bool sim_content_can_store(const struct sim *sim, int instance, int slot)
{
	const struct sim_page *page = &sim->instances[instance].pages[slot];

	return page->nr_allowed + 2 <= SIM_STAMPS_MAX ||
	       !sim_content_is_in_operation(sim, instance, slot);
}

void sim_content_store(struct sim *sim, int instance, int slot, uint64_t value)
{
	struct sim_page *page = &sim->instances[instance].pages[slot];

	if (sim_content_is_in_operation(sim, instance, slot)) {
		sim_content_allow(sim, page, value);
	} else if (page->is_hidden) { /* what was stored is dropped by the core, sooner or later */
		allow_only(page, SIM_ONES, sim->time);
		sim_content_allow(sim, page, value);
	} else {
		allow_only(page, value, sim->time);
	}
	if (sim->is_metadata_only)
		sim_content_allow(sim, page, 0);
}

void sim_content_set(struct sim *sim, int instance, int slot, uint64_t value)
{
	struct sim_page *page = &sim->instances[instance].pages[slot];

	if (!sim_content_is_in_operation(sim, instance, slot)) {
		allow_only(page, value, sim->time);
		return;
	}
	sim_content_allow(sim, page, value);
	sim_content_allow(sim, page, 0);
}

void sim_content_seen(struct sim *sim, int instance, int slot, uint64_t value, const char *how)
{
	struct sim_page *page = &sim->instances[instance].pages[slot];

	if (sim_content_is_allowed(page, value)) {
		if (!sim_content_is_in_operation(sim, instance, slot) && !sim->is_metadata_only &&
		    (!page->is_hidden || value == SIM_ONES))
			allow_only(page, value, sim->time);
		return;
	}
	/* What a fallocate has made old is dropped from the page cache before the call ends. */
	if (sim_content_is_in_fallocate(sim, instance, slot))
		return;
	sim_fail(sim,
		 "instance %d page 0x%llx: %s gives %llx (stored by instance %llu), allowed is %llx"
		 " (of %u values)",
		 instance, (unsigned long long)sim_slot_index(slot), how, (unsigned long long)value,
		 (unsigned long long)(value >> 40), (unsigned long long)page->allowed[0].value,
		 page->nr_allowed);
}

static void begins_in(struct sim *sim, const struct sim_operation *operation, int instance)
{
	for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
		struct sim_page *page = &sim->instances[instance].pages[slot];

		if (!sim_operation_covers(operation, sim_slot_index(slot)))
			continue;
		if (sim_content_is_allowed(page, 0))
			continue;
		if (page->nr_allowed == SIM_STAMPS_MAX)
			sim_fail(sim, "the simulator's own bug: no room for a zero");
		sim_content_allow(sim, page, 0);
	}
}

void sim_content_operation_begins(struct sim *sim, const struct sim_operation *operation)
{
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (sim->instances[i].life != SIM_UNUSED &&
		    sim_operation_concerns(sim, operation, i))
			begins_in(sim, operation, i);
}

/* A page that is an enclave's has become it since, or is a SECS that was left as it was. */
static void ends_in(struct sim *sim, const struct sim_operation *operation, int instance)
{
	for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
		struct sim_page *page = &sim->instances[instance].pages[slot];
		unsigned int nr_left = 0;

		if (!sim_operation_covers(operation, sim_slot_index(slot)) ||
		    page->kind != SIM_PLAIN)
			continue;
		for (unsigned int i = 0; i < page->nr_allowed; i++)
			if (page->allowed[i].value != 0 && page->allowed[i].time >= operation->time)
				page->allowed[nr_left++] = page->allowed[i];
		page->nr_allowed = nr_left;
		sim_content_allow(sim, page, 0);
		if (operation->kind != SIM_ZERO_RANGE && operation->kind != SIM_PUNCH_HOLE &&
		    page->cache == SIM_PRESENT)
			sim_content_seen(sim, instance, slot, page->cached,
					 "the page cache after REMOVE_ALL");
	}
}

/* The core has replied: what is older than the operation is gone for good. */
void sim_content_operation_ends(struct sim *sim, const struct sim_operation *operation)
{
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if ((sim->instances[i].life == SIM_OPEN || sim->instances[i].life == SIM_DYING) &&
		    sim_operation_concerns(sim, operation, i))
			ends_in(sim, operation, i);
}
