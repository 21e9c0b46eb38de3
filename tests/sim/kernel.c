/* SPDX-License-Identifier: MIT */
/*
 * The kernel's page cache and what it sends: READs, write-backs, the performance of unmappings.
 *
 * What is copied from the kernel, because races hang on it: a READ in flight locks its pages, and
 * everything that needs such a page waits; an unmapping goes page by page in one direction, writes
 * a dirty page (locked meanwhile) and drops it, and never looks back; a page that is being written
 * back is not dropped before the write has arrived.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define POISON 0xe7
#define QUIESCE_ROUNDS_MAX 20000

static struct sim_page *page_of(struct sim *sim, int instance, int slot)
{
	return &sim->instances[instance].pages[slot];
}

/* Locks the pages of a READ that is about to be sent. */
static void lock_pages(struct sim *sim, struct sim_read *read)
{
	read->was_owned = true;
	for (int i = 0; i < (int)read->request.count; i++) {
		struct sim_page *page = page_of(sim, read->instance, read->slot + i);

		if (page->cache != SIM_ABSENT)
			sim_fail(sim, "the simulator's own bug: a READ of a page that is there");
		struct epc_page_report report;

		sim_charge_look(sim, read->instance, read->slot + i);
		epc_page_report(sim->epc, read->request.instance, read->request.first + (uint64_t)i,
				&report);
		read->was_unmapping |= report.is_unmapping;
		read->was_owned &= page->is_owned;
		page->cache = SIM_READING;
		page->read_time = sim->time;
	}
}

struct sim_read *sim_read_send(struct sim *sim, int number, uint64_t first, uint64_t count,
			       int payer)
{
	struct sim_read *read = NULL;
	struct sim_instance *instance = &sim->instances[number];

	for (int i = 0; i < SIM_NR_READS && !read; i++)
		if (sim->reads[i].phase == SIM_READ_UNUSED)
			read = &sim->reads[i];
	if (!read)
		return NULL;
	memset(read, 0, sizeof(*read));
	sim->time++;
	read->instance = number;
	read->payer = payer;
	read->slot = SIM_NOBODY; /* stays so for a range that the kernel would never send */
	if (count && count <= SIM_CLUSTER_MAX && sim_index_slot(first + count - 1) != SIM_NOBODY)
		read->slot = sim_index_slot(first);
	read->sent_step = sim->nr_steps;
	read->nr_failures = sim->nr_failures;
	read->buffer = malloc(count <= SIM_CLUSTER_MAX ? count * EPC_PAGE_SIZE : EPC_PAGE_SIZE);
	if (!read->buffer)
		abort();
	memset(read->buffer, POISON, count <= SIM_CLUSTER_MAX ? count * EPC_PAGE_SIZE : 1);
	read->request.instance = instance->instance;
	read->request.payer = sim->cgroups[payer].cgroup;
	read->request.first = first;
	read->request.count = count;
	read->request.buffer = read->buffer;
	if (read->slot != SIM_NOBODY)
		lock_pages(sim, read);
	read->was_waited_for = sim_is_waited_for(sim, number, payer);
	read->phase = SIM_READ_IN_CORE;
	instance->nr_outstanding++;
	sim->figures.nr_reads++;
	sim_trace(sim, "READ instance %d first 0x%llx count %llu payer %d", number,
		  (unsigned long long)first, (unsigned long long)count, payer);
	instance->nr_clusters += count > 1 && count <= EPC_CLUSTER_PAGES_MAX &&
				 first < EPC_NR_INDICES && count <= EPC_NR_INDICES - first;
	epc_read(sim->epc, &read->request);
	sim_after(sim, "READ");
	if (read->slot != SIM_NOBODY && read->was_waited_for && !read->was_owned && count == 1 &&
	    read->phase != SIM_READ_IN_CORE)
		sim_fail(sim, "a fault does not queue behind the one that waits already");
	if (read->phase == SIM_READ_IN_CORE) {
		sim->figures.nr_parked++;
		if (count != 1)
			sim_fail(sim, "a cluster is parked");
		if (!read->request.waits_at)
			sim_fail(sim, "a READ is neither answered nor in a queue");
	}
	return read;
}

/* The client threads that waited for a page's lock go on. */
static void wake_waiters(struct sim *sim, int instance, int slot)
{
	struct sim_page *page = page_of(sim, instance, slot);

	if (page->nr_waiting == 0 || sim->instances[instance].life != SIM_OPEN)
		return;
	if (page->cache == SIM_PRESENT) {
		page->nr_waiting = 0;
		sim_load(sim, instance, slot);
	} else if (page->cache == SIM_ABSENT) {
		page->nr_waiting--;
		sim_fault(sim, instance, slot);
	}
}

void sim_read_deliver(struct sim *sim, struct sim_read *read)
{
	int instance = read->instance, slot = read->slot, count = (int)read->request.count;
	bool is_ok = read->request.result == 0, is_zero = read->request.is_zero;
	unsigned char *buffer = read->buffer;

	sim_trace(sim, "deliver READ instance %d slot %d count %d result %d", instance, slot, count,
		  read->request.result);
	read->phase = is_ok ? SIM_READ_GOT : SIM_READ_UNUSED;
	read->buffer = NULL;
	sim->instances[instance].nr_outstanding--;
	for (int i = 0; slot != SIM_NOBODY && i < count; i++) {
		struct sim_page *page = page_of(sim, instance, slot + i);

		page->cache = is_ok ? SIM_PRESENT : SIM_ABSENT;
		page->is_dirty = false;
		if (!is_ok)
			continue;
		page->cached = is_zero ? 0 :
					 sim_stamp_read(sim, buffer + (size_t)i * EPC_PAGE_SIZE);
		sim_content_seen(sim, instance, slot + i, page->cached, "a READ that arrives late");
	}
	free(buffer);
	/* EIO for a cluster: the kernel asks again for the page that it needs */
	if (slot != SIM_NOBODY && !is_ok && count > 1)
		page_of(sim, instance, slot + (int)sim_below(sim, (uint64_t)count))->nr_waiting++;
	for (int i = 0; slot != SIM_NOBODY && i < count; i++)
		wake_waiters(sim, instance, slot + i);
}

void sim_read_acknowledge(struct sim *sim, struct sim_read *read)
{
	read->phase = SIM_READ_UNUSED;
	sim->time++;
	for (int i = 0; i < (int)read->request.count; i++) /* it was answered: the slot is known */
		page_of(sim, read->instance, read->slot + i)->acknowledged_time = sim->time;
	epc_delivered(sim->epc, read->request.instance, read->request.first, read->request.count);
	sim_after(sim, "delivered");
}

bool sim_wire_send(struct sim *sim, int instance, int slot, int count, bool is_launder)
{
	struct sim_wire *wire = NULL;

	for (int i = 0; i < SIM_NR_WIRES && !wire; i++)
		if (!sim->wires[i].is_used)
			wire = &sim->wires[i];
	if (!wire)
		return false;
	wire->is_used = true;
	wire->is_launder = is_launder;
	wire->instance = instance;
	wire->slot = slot;
	wire->count = count;
	for (int i = 0; i < count; i++) {
		struct sim_page *page = page_of(sim, instance, slot + i);

		wire->values[i] = page->cached;
		page->is_dirty = false;
		page->is_in_writeback = !is_launder;
		page->is_laundered = is_launder;
	}
	sim->instances[instance].nr_outstanding++;
	return true;
}

bool sim_flush(struct sim *sim, int instance, int slot, int count_max)
{
	int count = 0;

	while (count < count_max && slot + count < SIM_NR_SLOTS &&
	       sim_slot_index(slot + count) == sim_slot_index(slot) + (uint64_t)count) {
		struct sim_page *page = page_of(sim, instance, slot + count);

		if (page->cache != SIM_PRESENT || !page->is_dirty || page->is_in_writeback ||
		    page->is_laundered)
			break;
		count++;
	}
	return count > 0 && sim_wire_send(sim, instance, slot, count, false);
}

/* The daemon may cut a large write; the core takes any piece of it. */
static void write_bytes(struct sim *sim, const struct sim_wire *wire, const unsigned char *bytes)
{
	struct epc_instance *instance = sim->instances[wire->instance].instance;
	size_t size = (size_t)wire->count * EPC_PAGE_SIZE, cut = size;
	uint64_t offset = sim_slot_index(wire->slot) << EPC_PAGE_SHIFT;

	if (sim_chance(sim, 16))
		cut = 1 + sim_below(sim, size - 1);
	epc_write(sim->epc, instance, offset, bytes, cut);
	sim_after(sim, "write");
	if (cut == size)
		return;
	epc_write(sim->epc, instance, offset + cut, bytes + cut, size - cut);
	sim_after(sim, "second half of a write");
}

void sim_wire_arrive(struct sim *sim, struct sim_wire *wire)
{
	unsigned char *bytes = malloc((size_t)wire->count * EPC_PAGE_SIZE);
	struct sim_instance *instance = &sim->instances[wire->instance];

	if (!bytes)
		abort();
	for (int i = 0; i < wire->count; i++)
		sim_stamp_fill(bytes + (size_t)i * EPC_PAGE_SIZE, wire->values[i]);
	sim->time++;
	sim->figures.nr_wires++;
	sim_trace(sim, "write instance %d slot %d count %d%s", wire->instance, wire->slot,
		  wire->count, wire->is_launder ? ", of an unmapping" : "");
	write_bytes(sim, wire, bytes);
	free(bytes);
	instance->nr_outstanding--;
	wire->is_used = false;
	for (int i = 0; i < wire->count; i++) {
		int slot = wire->slot + i;
		struct sim_page *page = &instance->pages[slot];

		page->write_time = sim->time;
		sim_charge_look(sim, wire->instance, slot);
		if (page->is_owned && !sim_content_is_in_operation(sim, wire->instance, slot))
			page->is_kept = true;
		page->is_in_writeback = false;
		if (!wire->is_launder)
			continue;
		page->is_laundered = false;
		page->cache = SIM_ABSENT;
		wake_waiters(sim, wire->instance, slot);
	}
}

/* The kernel is short of memory and drops a clean page. */
bool sim_drop(struct sim *sim, int instance, int slot)
{
	struct sim_page *page = page_of(sim, instance, slot);

	if (page->cache != SIM_PRESENT || page->is_dirty || page->is_in_writeback ||
	    page->is_laundered)
		return false;
	page->cache = SIM_ABSENT;
	return true;
}

static bool unmap_covers(const struct sim_unmap *unmap, int slot)
{
	uint64_t index = sim_slot_index(slot);

	return index >= unmap->first && index - unmap->first < unmap->count;
}

bool sim_unmap_is_performed(const struct sim_unmap *unmap)
{
	return unmap->cursor >= SIM_NR_SLOTS;
}

bool sim_unmap_go(struct sim *sim, struct sim_unmap *unmap)
{
	while (unmap->cursor < SIM_NR_SLOTS && !unmap_covers(unmap, unmap->cursor))
		unmap->cursor++;
	if (sim_unmap_is_performed(unmap))
		return false;

	struct sim_page *page = page_of(sim, unmap->instance, unmap->cursor);

	if (!unmap->has_flushed && sim->instances[unmap->instance].life != SIM_RELEASED) {
		unmap->has_flushed = true;
		for (int slot = unmap->cursor; slot < SIM_NR_SLOTS; slot++)
			if (unmap_covers(unmap, slot))
				sim_flush(sim, unmap->instance, slot, 64);
		return true;
	}
	if (page->cache == SIM_READING || page->is_laundered || page->is_in_writeback)
		return false;
	if (page->cache == SIM_PRESENT && page->is_dirty)
		return sim_wire_send(sim, unmap->instance, unmap->cursor, 1, true);
	page->cache = SIM_ABSENT;
	unmap->cursor++;
	return true;
}

void sim_unmap_acknowledge(struct sim *sim, struct sim_unmap *unmap)
{
	struct sim_unmap done = *unmap;

	sim_trace(sim, "unmapped instance %d first 0x%llx count %llu", done.instance,
		  (unsigned long long)done.first, (unsigned long long)done.count);
	unmap->unmap = NULL;
	epc_unmapped(sim->epc, done.unmap);
	sim_after(sim, "unmapped");
	if (sim->instances[done.instance].life != SIM_OPEN &&
	    sim->instances[done.instance].life != SIM_DYING)
		return;
	for (int slot = 0; slot < SIM_NR_SLOTS; slot++)
		if (unmap_covers(&done, slot))
			sim_charge_look(sim, done.instance, slot);
}

bool sim_core_step(struct sim *sim)
{
	bool has_more = epc_step(sim->epc);

	sim_after(sim, "step");
	if (!has_more)
		sim_check_waiters(sim);
	return has_more;
}

void sim_core_run(struct sim *sim)
{
	for (unsigned int round = 0; sim_core_step(sim); round++)
		if (round == QUIESCE_ROUNDS_MAX)
			sim_fail(sim, "epc_step() never ends");
}

bool sim_settle_transport(struct sim *sim)
{
	bool has_moved = false;

	for (int i = 0; i < SIM_NR_WIRES; i++)
		if (sim->wires[i].is_used) {
			sim_wire_arrive(sim, &sim->wires[i]);
			has_moved = true;
		}
	for (int i = 0; i < SIM_NR_READS; i++) {
		if (sim->reads[i].phase == SIM_READ_REPLIED) {
			sim_read_deliver(sim, &sim->reads[i]);
			has_moved = true;
		}
		if (sim->reads[i].phase == SIM_READ_GOT) {
			sim_read_acknowledge(sim, &sim->reads[i]);
			has_moved = true;
		}
	}
	return has_moved;
}

bool sim_settle_unmaps(struct sim *sim)
{
	bool has_moved = false;

	for (int i = 0; i < SIM_NR_UNMAPS; i++) {
		struct sim_unmap *unmap = &sim->unmaps[i];

		if (!unmap->unmap)
			continue;
		for (int n = 0; n < SIM_NR_SLOTS && sim_unmap_go(sim, unmap); n++)
			has_moved = true;
		if (sim_unmap_is_performed(unmap)) {
			sim_unmap_acknowledge(sim, unmap);
			has_moved = true;
		}
	}
	return has_moved;
}

static void check_settled(struct sim *sim)
{
	struct epc_report report;

	for (int i = 0; i < SIM_NR_UNMAPS; i++)
		if (sim->unmaps[i].unmap)
			sim_fail(sim,
				 "deadlock: an unmapping of instance %d waits for page 0x%llx, "
				 "whose"
				 " READ is not answered",
				 sim->unmaps[i].instance,
				 (unsigned long long)sim_slot_index(sim->unmaps[i].cursor));
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		if (sim->operations[i].phase != SIM_OPERATION_UNUSED)
			sim_fail(sim, "an operation of instance %d (kind %d, phase %d) never ends",
				 sim->operations[i].instance, (int)sim->operations[i].kind,
				 (int)sim->operations[i].phase);
	for (int i = 0; i < SIM_NR_READS; i++)
		if (sim->reads[i].phase != SIM_READ_UNUSED)
			sim_fail(sim, "a READ of instance %d page 0x%llx is parked for ever",
				 sim->reads[i].instance,
				 (unsigned long long)sim->reads[i].request.first);
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->leaves[i].is_used)
			sim_fail(sim, "a leaf of instance %d never ends",
				 sim->leaves[i].rcx.instance);
	for (int i = 0; i < SIM_NR_INSTANCES; i++) {
		struct epc_instance_report instance;

		if (sim->instances[i].life != SIM_RELEASED)
			continue;
		epc_instance_report(sim->instances[i].instance, &instance);
		if (!instance.nr_zombies || instance.nr_pages != instance.nr_zombies)
			sim_fail(sim, "released instance %d never goes", i);
	}
	epc_report(sim->epc, &report);
	if (report.nr_parked || report.nr_unmaps)
		sim_fail(sim, "%llu parked and %llu unmappings are reported, there is none",
			 (unsigned long long)report.nr_parked,
			 (unsigned long long)report.nr_unmaps);
}

void sim_quiesce(struct sim *sim)
{
	unsigned int round = 0;
	bool has_moved = true;

	sim->figures.nr_quiesces++;
	sim->fail_countdown = 0;
	while (has_moved) {
		has_moved = sim_settle_transport(sim);
		has_moved |= sim_settle_unmaps(sim);
		for (int i = 0; i < SIM_NR_OPERATIONS; i++)
			for (int n = 0;
			     n < 2 * SIM_NR_SLOTS && sim_operation_go(sim, &sim->operations[i]);
			     n++)
				has_moved = true;
		uint64_t hash = sim->hash;

		has_moved |= sim_core_step(sim);
		has_moved |= sim->hash != hash; /* it had effects */
		if (round++ == QUIESCE_ROUNDS_MAX)
			sim_fail(sim, "the work never ends");
	}
	check_settled(sim);
	sim_check_all(sim);
}
