/* SPDX-License-Identifier: MIT */
/*
 * ioctl REMOVE_ALL and fallocate, the way the kernel sends them. A fallocate first writes the
 * range back, and drops the range from the page cache after its success, without writing; meanwhile
 * faults go on. One fallocate per file at a time; an ioctl beside it is possible.
 */
#include <errno.h>
#include <string.h>

#include "sim.h"

static bool is_fallocate(enum sim_operation_kind kind)
{
	return kind == SIM_ZERO_RANGE || kind == SIM_PUNCH_HOLE;
}

static bool is_bad(enum sim_operation_kind kind)
{
	return kind == SIM_BAD_RESET || kind == SIM_BAD_PUNCH;
}

static void send(struct sim *sim, struct sim_operation *operation)
{
	operation->phase = SIM_OPERATION_IN_CORE;
	operation->sent_step = sim->nr_steps;
	operation->cursor = 0;
	sim_trace(sim, "operation %d instance %d first 0x%llx count %llu", (int)operation->kind,
		  operation->instance, (unsigned long long)operation->request.first,
		  (unsigned long long)operation->request.count);
	if (operation->kind == SIM_PUNCH_HOLE || operation->kind == SIM_BAD_PUNCH)
		epc_punch(sim->epc, &operation->request);
	else
		epc_reset(sim->epc, &operation->request);
	sim_after(sim, "operation");
}

/* The values of all its pages must have room for what the operation allows. */
static bool has_room(const struct sim *sim, const struct sim_operation *operation)
{
	for (int slot = 0; slot < SIM_NR_SLOTS; slot++)
		if (sim_operation_covers(operation, sim_slot_index(slot)) &&
		    sim->instances[operation->instance].pages[slot].nr_allowed + 1 > SIM_STAMPS_MAX)
			return false;
	return true;
}

struct sim_operation *sim_operation_begin(struct sim *sim, int instance,
					  enum sim_operation_kind kind, uint64_t first,
					  uint64_t count)
{
	struct sim_operation *operation = NULL;

	if (sim->instances[instance].life != SIM_OPEN)
		return NULL;
	for (int i = 0; i < SIM_NR_OPERATIONS; i++) {
		if (sim->operations[i].phase == SIM_OPERATION_UNUSED)
			operation = &sim->operations[i];
		else if (sim->operations[i].instance == instance && is_fallocate(kind) &&
			 is_fallocate(sim->operations[i].kind))
			return NULL;
	}
	if (!operation)
		return NULL;
	memset(operation, 0, sizeof(*operation));
	operation->kind = kind;
	operation->instance = instance;
	operation->request.instance = sim->instances[instance].instance;
	operation->request.first = first;
	operation->request.count = count;
	operation->time = ++sim->time;
	if (!is_bad(kind)) {
		if (!has_room(sim, operation))
			return NULL;
		sim_content_operation_begins(sim, operation);
	}
	sim->figures.nr_operations++;
	sim->instances[instance].nr_outstanding++;
	if (is_fallocate(kind))
		operation->phase = SIM_OPERATION_FLUSHING;
	else
		send(sim, operation);
	return operation;
}

/* A page that nobody read since the hole was punched is nobody's. */
static void check_punched(struct sim *sim, const struct sim_operation *operation, int slot)
{
	struct sim_page *page = &sim->instances[operation->instance].pages[slot];

	page->is_kept = false;
	sim_charge_look(sim, operation->instance, slot);
	if (page->is_owned && page->read_time < operation->time)
		sim_fail(sim, "instance %d page 0x%llx is owned after PUNCH_HOLE",
			 operation->instance, (unsigned long long)sim_slot_index(slot));
}

static void check_reset(struct sim *sim, const struct sim_operation *operation, int slot)
{
	const struct sim_page *page = &sim->instances[operation->instance].pages[slot];
	struct epc_page_report report;

	epc_page_report(sim->epc, operation->request.instance, sim_slot_index(slot), &report);
	if (report.has_bytes && page->write_time < operation->time)
		sim_fail(sim, "instance %d page 0x%llx has bytes after its reset",
			 operation->instance, (unsigned long long)sim_slot_index(slot));
	sim_charge_look(sim, operation->instance, slot);
}

void sim_operation_replied(struct sim *sim, struct sim_operation *operation)
{
	int expected = is_bad(operation->kind) ? -EINVAL : 0;

	if (operation->phase != SIM_OPERATION_IN_CORE)
		sim_fail(sim, "an operation is answered twice");
	if (operation->request.result != expected)
		sim_fail(sim, "an operation of kind %d gives %d", (int)operation->kind,
			 operation->request.result);
	operation->phase = SIM_OPERATION_REPLIED;
	if (is_bad(operation->kind))
		return;
	sim->instances[operation->instance].nr_resets++;
	sim_content_operation_ends(sim, operation);
	operation->is_to_check = true;
}

/* After all effects of the call: a READ may have been answered behind the operation. */
void sim_operation_check(struct sim *sim, struct sim_operation *operation)
{
	operation->is_to_check = false;
	for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
		if (!sim_operation_covers(operation, sim_slot_index(slot)))
			continue;
		if (operation->kind == SIM_PUNCH_HOLE)
			check_punched(sim, operation, slot);
		else
			check_reset(sim, operation, slot);
	}
}

static void finish(struct sim *sim, struct sim_operation *operation)
{
	operation->phase = SIM_OPERATION_UNUSED;
	sim->instances[operation->instance].nr_outstanding--;
}

/* Goes on to the next covered slot; false: there is none. */
static bool next_slot(struct sim_operation *operation)
{
	while (operation->cursor < SIM_NR_SLOTS &&
	       !sim_operation_covers(operation, sim_slot_index(operation->cursor)))
		operation->cursor++;
	return operation->cursor < SIM_NR_SLOTS;
}

static bool flush_one(struct sim *sim, struct sim_operation *operation)
{
	if (!next_slot(operation)) {
		send(sim, operation);
		return true;
	}
	struct sim_page *page = &sim->instances[operation->instance].pages[operation->cursor];

	if (page->is_in_writeback || page->is_laundered)
		return false;
	if (page->cache == SIM_PRESENT && page->is_dirty)
		return sim_wire_send(sim, operation->instance, operation->cursor, 1, false);
	operation->cursor++;
	return true;
}

static bool truncate_one(struct sim *sim, struct sim_operation *operation)
{
	if (!next_slot(operation)) {
		finish(sim, operation);
		return true;
	}
	struct sim_page *page = &sim->instances[operation->instance].pages[operation->cursor];

	if (page->is_in_writeback || page->is_laundered || page->cache == SIM_READING)
		return false;
	page->cache = SIM_ABSENT;
	page->is_dirty = false;
	operation->cursor++;
	return true;
}

bool sim_operation_go(struct sim *sim, struct sim_operation *operation)
{
	switch (operation->phase) {
	case SIM_OPERATION_UNUSED:
	case SIM_OPERATION_IN_CORE:
		return false;
	case SIM_OPERATION_FLUSHING:
		return flush_one(sim, operation);
	case SIM_OPERATION_REPLIED:
		if (!is_fallocate(operation->kind)) {
			finish(sim, operation);
		} else {
			operation->phase = SIM_OPERATION_TRUNCATING;
			operation->cursor = 0;
		}
		return true;
	case SIM_OPERATION_TRUNCATING:
		return truncate_one(sim, operation);
	}
	return false;
}
