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
	else if (operation->kind == SIM_RESET_VM)
		epc_reset_vm(sim->epc, &operation->request);
	else if (operation->kind == SIM_LOSE_VM)
		epc_lose_vm(sim->epc, &operation->request);
	else
		epc_reset(sim->epc, &operation->request);
	sim_after(sim, "operation");
}

/* The values of all its pages must have room for what the operation allows. */
static bool has_room(const struct sim *sim, const struct sim_operation *operation)
{
	for (int i = 0; i < SIM_NR_INSTANCES; i++) {
		if (sim->instances[i].life == SIM_UNUSED ||
		    !sim_operation_concerns(sim, operation, i))
			continue;
		for (int slot = 0; slot < SIM_NR_SLOTS; slot++)
			if (sim_operation_covers(operation, sim_slot_index(slot)) &&
			    sim->instances[i].pages[slot].nr_allowed + 1 > SIM_STAMPS_MAX)
				return false;
	}
	return true;
}

/* Whether its outcome will be known: nothing else goes on in the VM. */
static bool begins_alone(struct sim *sim, uint64_t vm)
{
	bool is_alone = !sim_vm_is_in_operation(sim, vm);

	sim_vm_disturbed(sim, vm);
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->leaves[i].is_used && sim->instances[sim->leaves[i].caller].vm == vm)
			is_alone = false;
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (sim->instances[i].life == SIM_RELEASED && sim->instances[i].vm == vm)
			is_alone = false;
	return is_alone;
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
	operation->vm = sim->instances[instance].vm;
	operation->may_be_busy = sim_vm_has_threads(sim, operation->vm);
	if (!is_bad(kind)) {
		if (!has_room(sim, operation))
			return NULL;
		operation->is_alone = begins_alone(sim, operation->vm);
		sim_content_operation_begins(sim, operation);
	}
	sim->figures.nr_operations++;
	if (kind == SIM_LOSE_VM)
		operation->instance = SIM_NOBODY;
	else
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
	struct epc_page_report report;

	page->is_kept = false;
	sim_charge_look(sim, operation->instance, slot);
	epc_page_report(sim->epc, sim->instances[operation->instance].instance,
			sim_slot_index(slot), &report);
	if (page->is_owned && page->read_time < operation->time &&
	    !sim_leaf_pays(sim, operation->instance, slot, report.payer))
		sim_fail(sim, "instance %d page 0x%llx is owned after PUNCH_HOLE",
			 operation->instance, (unsigned long long)sim_slot_index(slot));
}

static void check_reset(struct sim *sim, const struct sim_operation *operation, int instance,
			int slot)
{
	const struct sim_page *page = &sim->instances[instance].pages[slot];
	struct epc_page_report report;

	epc_page_report(sim->epc, sim->instances[instance].instance, sim_slot_index(slot), &report);
	if (report.has_bytes && page->write_time < operation->time)
		sim_fail(sim, "instance %d page 0x%llx has bytes after its reset", instance,
			 (unsigned long long)sim_slot_index(slot));
	sim_charge_look(sim, instance, slot);
}

static bool is_live(const struct sim *sim, int instance)
{
	return sim->instances[instance].life == SIM_OPEN ||
	       sim->instances[instance].life == SIM_DYING;
}

/* What the core has removed until now is no enclave's. Who owns what is looked at later. */
static void look_at_enclaves(struct sim *sim, const struct sim_operation *operation)
{
	struct epc_page_report report;

	for (int i = 0; i < SIM_NR_INSTANCES; i++) {
		if (!is_live(sim, i) || !sim_operation_concerns(sim, operation, i))
			continue;
		for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
			if (!sim_operation_covers(operation, sim_slot_index(slot)) ||
			    sim->instances[i].pages[slot].kind == SIM_PLAIN)
				continue;
			epc_page_report(sim->epc, sim->instances[i].instance, sim_slot_index(slot),
					&report);
			sim_enclave_look(sim, i, slot, &report);
		}
	}
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->instances[sim->leaves[i].caller].vm == operation->vm)
			sim->leaves[i].is_overtaken = true;
}

void sim_operation_replied(struct sim *sim, struct sim_operation *operation)
{
	int result = operation->request.result;
	bool may_be_busy = operation->may_be_busy || !operation->is_alone;
	bool is_right = result >= 0 || (result == -EBUSY && may_be_busy && sim->is_metadata_only &&
					operation->kind != SIM_LOSE_VM);

	if (operation->phase != SIM_OPERATION_IN_CORE)
		sim_fail(sim, "an operation is answered twice");
	if (is_bad(operation->kind) ? result != -EINVAL : !is_right)
		sim_fail(sim, "an operation of kind %d gives %d", (int)operation->kind, result);
	if (!is_bad(operation->kind)) {
		look_at_enclaves(sim, operation);
		sim_enclave_check_operation(sim, operation);
		if (result >= 0)
			sim_content_operation_ends(sim, operation);
		operation->is_to_check = result >= 0;
		/* stopped half way: which pages it has given back until then is the core's */
		for (int slot = 0;
		     operation->kind == SIM_PUNCH_HOLE && result < 0 && slot < SIM_NR_SLOTS; slot++)
			if (sim_operation_covers(operation, sim_slot_index(slot)))
				sim->instances[operation->instance].pages[slot].is_kept = false;
	}
	operation->phase = SIM_OPERATION_REPLIED;
}

/* After all effects of the call: a READ may have been answered behind the operation. */
void sim_operation_check(struct sim *sim, struct sim_operation *operation)
{
	operation->is_to_check = false;
	for (int i = 0; i < SIM_NR_INSTANCES; i++) {
		if (!is_live(sim, i) || !sim_operation_concerns(sim, operation, i))
			continue;
		for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
			struct sim_page *page = &sim->instances[i].pages[slot];

			if (!sim_operation_covers(operation, sim_slot_index(slot)))
				continue;
			/* a leaf is on it, whose reply will tell what it is now */
			if (operation->kind == SIM_PUNCH_HOLE && sim_leaf_is_on(sim, i, slot))
				page->is_kept = false;
			if (page->kind != SIM_PLAIN)
				continue;
			if (operation->kind == SIM_PUNCH_HOLE)
				check_punched(sim, operation, slot);
			else
				check_reset(sim, operation, i, slot);
		}
	}
}

static void finish(struct sim *sim, struct sim_operation *operation)
{
	operation->phase = SIM_OPERATION_UNUSED;
	if (operation->instance != SIM_NOBODY)
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
		if (!is_fallocate(operation->kind) || operation->request.result) {
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
