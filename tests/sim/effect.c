/* SPDX-License-Identifier: MIT */
/*
 * Takes the core's effects after each call, hashes them, and hands them to whom they concern. The
 * checks of what an effect says are here, those of what the core reports in charge.c.
 */
#include <errno.h>
#include <string.h>

#include "sim.h"

#define HASH_FACTOR UINT64_C(0x9fb21c651e98df25)

static void hash(struct sim *sim, uint64_t value)
{
	sim->hash = (sim->hash ^ value) * HASH_FACTOR;
	sim->hash ^= sim->hash >> 29;
}

static int instance_of(const struct sim *sim, const void *cookie)
{
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (cookie == &sim->instances[i])
			return i;
	sim_fail(sim, "an effect has a cookie that is no instance's");
}

static void take_record(struct sim *sim, const struct epc_record *record)
{
	struct sim_instance *instance = &sim->instances[instance_of(sim, record->instance_cookie)];

	hash(sim, record->kind);
	hash(sim, record->instance_id);
	hash(sim, record->index);
	hash(sim, record->nr_pages + record->usage_bytes);
	if (record->time_ns != sim->now_ns)
		sim_fail(sim, "a record has another time than now");
	if (record->kind == EPC_RECORD_STARTED) {
		if (instance->id)
			sim_fail(sim, "an instance starts twice");
		instance->id = record->instance_id;
	}
	if (!record->instance_id || record->instance_id != instance->id)
		sim_fail(sim, "a record has another instance's id");
	switch (record->kind) {
	case EPC_RECORD_STARTED:
	case EPC_RECORD_RESET:
	case EPC_RECORD_PUNCHED:
	case EPC_RECORD_LOST:
		break;
	case EPC_RECORD_PAGE_LOST:
		sim_fail(sim, "a page of a host process's enclave is lost, there is none");
	case EPC_RECORD_ZOMBIES:
		if (instance->has_told_zombies || instance->life != SIM_RELEASED ||
		    !record->nr_pages)
			sim_fail(sim, "ZOMBIES of an instance that is not released, or again");
		instance->has_told_zombies = true;
		sim->figures.nr_zombies += record->nr_pages;
		break;
	case EPC_RECORD_REFUSED:
		sim_check_refused_record(sim, record);
		break;
	case EPC_RECORD_CLOSED:
		if (instance->has_closed || instance->life != SIM_RELEASED)
			sim_fail(sim, "CLOSED for an instance that is not, or again");
		instance->has_closed = true;
		if (record->usage_bytes != instance->peak_pages * EPC_PAGE_SIZE)
			sim_fail(sim, "CLOSED tells of a peak of %llu pages, it was %llu",
				 (unsigned long long)(record->usage_bytes / EPC_PAGE_SIZE),
				 (unsigned long long)instance->peak_pages);
		break;
	}
}

/* Taking back must not begin on a page whose READ the kernel has not got yet. */
static void check_unmap(struct sim *sim, const struct sim_unmap *unmap)
{
	if (unmap->count == 0 || unmap->count > EPC_STEP_PAGES)
		sim_fail(sim, "an unmapping of %llu pages", (unsigned long long)unmap->count);
	for (int i = 0; i < SIM_NR_UNMAPS; i++) {
		const struct sim_unmap *other = &sim->unmaps[i];

		if (other == unmap || !other->unmap || other->instance != unmap->instance)
			continue;
		if (unmap->first < other->first + other->count &&
		    other->first < unmap->first + unmap->count)
			sim_fail(sim, "two unmappings overlap");
	}
	if (unmap->kind == EPC_UNMAP_RECLAIM)
		sim_fail(sim, "a page of a VM is reclaimed");
	if (unmap->kind == EPC_UNMAP_LEAF)
		sim_leaf_unmaps(sim, unmap);
	if (unmap->kind != EPC_UNMAP_TAKE_BACK)
		return;
	sim_check_taken_back(sim, unmap);
	for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
		const struct sim_page *page = &sim->instances[unmap->instance].pages[slot];
		uint64_t index = sim_slot_index(slot);

		if (index < unmap->first || index - unmap->first >= unmap->count)
			continue;
		if (page->cache == SIM_READING && page->acknowledged_time < page->answered_time)
			sim_fail(sim, "a page is taken back while its READ is on the way");
	}
}

static void take_unmap(struct sim *sim, struct epc_unmap *effect)
{
	struct sim_unmap *unmap = NULL;

	for (int i = 0; i < SIM_NR_UNMAPS && !unmap; i++)
		if (!sim->unmaps[i].unmap)
			unmap = &sim->unmaps[i];
	if (!unmap)
		sim_fail(sim, "more than %d unmappings in flight", SIM_NR_UNMAPS);
	unmap->unmap = effect;
	unmap->instance = instance_of(sim, effect->cookie);
	unmap->first = effect->first;
	unmap->count = effect->count;
	unmap->kind = effect->kind;
	unmap->has_flushed = sim_chance(sim, 2);
	unmap->cursor = 0;
	sim->figures.nr_unmaps++;
	hash(sim, (uint64_t)unmap->instance);
	hash(sim, unmap->first);
	hash(sim, unmap->count);
	sim_trace(sim, "  unmap instance %d first 0x%llx count %llu%s", unmap->instance,
		  (unsigned long long)unmap->first, (unsigned long long)unmap->count,
		  unmap->kind == EPC_UNMAP_RESET ? ", reset" :
		  unmap->kind == EPC_UNMAP_LEAF	 ? ", leaf" :
						   "");
	check_unmap(sim, unmap);
}

/* One page of a READ that was answered with 0. */
static void page_answered(struct sim *sim, struct sim_read *read, int i)
{
	int slot = read->slot + i;
	struct sim_instance *instance = &sim->instances[read->instance];
	struct sim_page *page = &instance->pages[slot];
	struct epc_page_report report;
	uint64_t value = 0;

	if (!read->request.is_zero)
		value = sim_stamp_read(sim, read->buffer + (size_t)i * EPC_PAGE_SIZE);
	sim_content_seen(sim, read->instance, slot, value,
			 read->request.is_zero ? "a READ (zero)" : "a READ");
	epc_page_report(sim->epc, read->request.instance, read->request.first + (uint64_t)i,
			&report);
	if (!report.is_owned)
		sim_fail(sim, "a READ is answered, the page is nobody's");
	if (sim_is_hidden(&report) && value != SIM_ONES)
		sim_fail(sim, "instance %d page 0x%llx can be read, it is to be hidden",
			 read->instance, (unsigned long long)sim_slot_index(slot));
	/* a leaf had made it meanwhile, and by this call it was given back and made anew */
	if (page->is_owned && report.payer == read->request.payer &&
	    (!page->is_kept || sim_content_is_in_punch(sim, read->instance, slot)))
		page->payer = read->payer;
	if (!page->is_owned && !sim_leaf_pays(sim, read->instance, slot, report.payer)) {
		page->is_owned = true;
		page->payer = read->payer;
	}
	page->read_time = sim->time;
	page->answered_time = sim->time;
	sim_charge_look(sim, read->instance, slot);
	/*
	 * Reading ahead can ask for one page too: only of one being unmapped that proves use. Where
	 * a leaf is, its unmapping may have begun behind this answer.
	 */
	if (read->request.count == 1 &&
	    (!instance->nr_clusters ||
	     (report.is_unmapping && !sim_leaf_is_on(sim, read->instance, slot))) &&
	    !sim_content_is_in_punch(sim, read->instance, slot))
		page->is_kept = true;
}

static void read_answered(struct sim *sim, struct sim_read *read)
{
	struct sim_figures *figures = &sim->figures;
	bool is_cluster = read->request.count > 1;

	sim->time++;
	if (read->phase != SIM_READ_IN_CORE)
		sim_fail(sim, "a READ is answered twice");
	read->phase = SIM_READ_REPLIED;
	sim_trace(sim, "  reply READ instance %d first 0x%llx result %d", read->instance,
		  (unsigned long long)read->request.first, read->request.result);
	switch (read->request.result) {
	case 0:
		figures->nr_read_ok++;
		sim->nr_pages_answered += read->request.count;
		figures->nr_cluster_ok += is_cluster;
		if (read->slot == SIM_NOBODY)
			sim_fail(sim, "a READ of an impossible range is answered");
		if (is_cluster)
			sim_check_cluster(sim, read);
		for (int i = 0; i < (int)read->request.count; i++)
			page_answered(sim, read, i);
		break;
	case -EIO:
		figures->nr_eio += !is_cluster;
		figures->nr_cluster_eio += is_cluster;
		if (!is_cluster)
			sim_check_refusal(sim, read);
		break;
	case -ENOMEM:
		figures->nr_enomem++;
		if (sim->nr_failures == read->nr_failures)
			sim_fail(sim, "ENOMEM, and no allocation has failed");
		break;
	case -EINTR:
		figures->nr_eintr++;
		if (!read->is_interrupted)
			sim_fail(sim, "EINTR without an interrupt");
		break;
	case -EINVAL:
		if (read->slot != SIM_NOBODY)
			sim_fail(sim, "EINVAL for a good range");
		break;
	default:
		sim_fail(sim, "a READ gives %d", read->request.result);
	}
}

static void take_reply(struct sim *sim, struct epc_request *request)
{
	hash(sim, (uint64_t)request->result);
	hash(sim, request->first);
	hash(sim, request->count);
	if (request == sim->raw) {
		sim->is_raw_answered = true;
		return;
	}
	for (int i = 0; i < SIM_NR_READS; i++)
		if (request == &sim->reads[i].request) {
			read_answered(sim, &sim->reads[i]);
			return;
		}
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (request == &sim->leaves[i].guest.leaf.request) {
			hash(sim, (uint64_t)sim->leaves[i].guest.leaf.outcome);
			sim_leaf_replied(sim, &sim->leaves[i]);
			return;
		}
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		if (request == &sim->operations[i].request) {
			sim_trace(sim, "  reply operation instance %d result %d",
				  sim->operations[i].instance, request->result);
			sim->time++;
			sim_operation_replied(sim, &sim->operations[i]);
			return;
		}
	sim_fail(sim, "a reply to a request that nobody made");
}

static void take_gone(struct sim *sim, const void *cookie)
{
	int number = instance_of(sim, cookie);
	struct sim_instance *instance = &sim->instances[number];

	hash(sim, (uint64_t)number);
	sim_trace(sim, "  gone instance %d", number);
	if (instance->life != SIM_RELEASED)
		sim_fail(sim, "an instance is gone that nobody released");
	if (instance->id && !instance->has_closed)
		sim_fail(sim, "an instance is gone without the record CLOSED");
	for (int i = 0; i < SIM_NR_UNMAPS; i++)
		if (sim->unmaps[i].unmap && sim->unmaps[i].instance == number)
			sim_fail(sim, "an instance is gone while its unmapping is in flight");
	for (int i = 0; i < SIM_NR_READS; i++)
		if (sim->reads[i].phase != SIM_READ_UNUSED && sim->reads[i].instance == number)
			sim_fail(sim, "an instance is gone while a reply is on its way");
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim_leaf_names(&sim->leaves[i], instance->instance))
			sim_fail(sim, "an instance is gone while a leaf names it");
	instance->life = SIM_UNUSED;
	instance->instance = NULL;
}

void sim_after(struct sim *sim, const char *doing)
{
	struct epc_effect effect;

	sim->doing = doing;
	sim->nr_steps++;
	sim->nr_refusals = 0;
	sim->nr_pages_answered = 0;
	sim->has_refused_leaf = false;
	while (epc_effect_next(sim->epc, &effect)) {
		hash(sim, effect.kind);
		switch (effect.kind) {
		case EPC_EFFECT_RECORD:
			take_record(sim, &effect.record);
			break;
		case EPC_EFFECT_UNMAP:
			take_unmap(sim, effect.unmap);
			break;
		case EPC_EFFECT_REPLY:
			take_reply(sim, effect.reply);
			break;
		case EPC_EFFECT_GONE:
			take_gone(sim, effect.gone_cookie);
			break;
		}
	}
	/* a leaf may have got its page by this call, and wait for something else now */
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		sim->nr_pages_answered += sim->leaves[i].is_used &&
					  !sim->leaves[i].guest.leaf.request.waits_at;
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		if (sim->operations[i].is_to_check)
			sim_operation_check(sim, &sim->operations[i]);
	sim_check_call(sim);
	if (sim->nr_steps % sim->walk_period == 0)
		sim_check_all(sim);
}
