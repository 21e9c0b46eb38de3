/* SPDX-License-Identifier: MIT */
/*
 * The model of charges: who owns what, who pays, and whether a refusal had a reason. It looks at
 * the core only through its reports.
 */
#include "sim.h"

bool sim_cgroup_is_under(const struct sim *sim, int cgroup, int ancestor)
{
	while (cgroup != SIM_NOBODY && cgroup != ancestor)
		cgroup = sim->cgroups[cgroup].parent;
	return cgroup == ancestor;
}

static int cgroup_of(const struct sim *sim, const struct epc_cgroup *cgroup)
{
	for (int i = 0; i < SIM_NR_CGROUPS; i++)
		if (sim->cgroups[i].cgroup && sim->cgroups[i].cgroup == cgroup)
			return i;
	sim_fail(sim, "a page is charged to a cgroup that does not exist");
}

/* Compares one page with the model and takes over what the core may have changed. */
void sim_charge_look(struct sim *sim, int number, int slot)
{
	struct sim_instance *instance = &sim->instances[number];
	struct sim_page *page = &instance->pages[slot];
	struct epc_page_report report;
	unsigned long long index = sim_slot_index(slot);

	if (instance->life == SIM_UNUSED)
		return;
	epc_page_report(sim->epc, instance->instance, index, &report);
	/* made by a leaf, perhaps in the moment in which it had been taken back or punched */
	if (report.is_owned &&
	    (!page->is_owned || !page->is_kept || sim_content_is_in_punch(sim, number, slot)) &&
	    sim_leaf_pays(sim, number, slot, report.payer)) {
		page->is_owned = true;
		page->payer = cgroup_of(sim, report.payer);
	}
	if (report.is_owned && !page->is_owned)
		sim_fail(sim, "instance %d owns page 0x%llx, no READ of it was answered", number,
			 index);
	if (report.is_owned && cgroup_of(sim, report.payer) != page->payer)
		sim_fail(sim, "instance %d page 0x%llx is charged to cgroup %d, not to %d", number,
			 index, cgroup_of(sim, report.payer), page->payer);
	if (instance->life == SIM_RELEASED)
		return;
	sim_enclave_look(sim, number, slot, &report);
	if (report.is_owned)
		return;
	if (page->is_kept && !sim_content_is_in_punch(sim, number, slot))
		sim_fail(sim, "instance %d has lost page 0x%llx, which is in use", number, index);
	if (page->cache == SIM_PRESENT && !sim_content_is_in_punch(sim, number, slot))
		sim_fail(sim, "instance %d page 0x%llx is mapped and free", number, index);
	if (page->is_owned)
		sim->figures.nr_taken_back++;
	page->is_owned = false;
	page->is_kept = false;
	page->payer = SIM_NOBODY;
}

static void check_cgroup(struct sim *sim, int number)
{
	struct sim_cgroup *cgroup = &sim->cgroups[number];
	struct epc_cgroup_report report;

	epc_cgroup_report(cgroup->cgroup, &report);
	uint64_t limit = cgroup->max_bytes / EPC_PAGE_SIZE * EPC_PAGE_SIZE;

	if (limit < cgroup->ceiling_bytes)
		limit = cgroup->ceiling_bytes;
	if (report.usage_bytes > limit)
		sim_fail(sim, "cgroup %d uses %llu bytes, allowed are %llu", number,
			 (unsigned long long)report.usage_bytes, (unsigned long long)limit);
	if (report.usage_bytes < cgroup->ceiling_bytes)
		cgroup->ceiling_bytes = report.usage_bytes;
	if (report.usage_bytes > cgroup->peak_bytes)
		cgroup->peak_bytes = report.usage_bytes;
	/* within one call pages may be given and taken back: a peak that nobody outside sees */
	if (report.peak_bytes > cgroup->peak_bytes &&
	    report.peak_bytes <= cgroup->peak_bytes + sim->nr_pages_answered * EPC_PAGE_SIZE)
		cgroup->peak_bytes = report.peak_bytes;
	if (report.peak_bytes != cgroup->peak_bytes)
		sim_fail(sim, "cgroup %d has a peak of %llu bytes, not of %llu", number,
			 (unsigned long long)report.peak_bytes,
			 (unsigned long long)cgroup->peak_bytes);
	if (report.max_bytes != cgroup->max_bytes)
		sim_fail(sim, "cgroup %d: the limit does not read as written", number);
	if (report.nr_refused != cgroup->nr_refused ||
	    report.nr_refused_local != cgroup->nr_refused_local)
		sim_fail(sim, "cgroup %d counts %llu refusals (%llu local), not %llu (%llu)",
			 number, (unsigned long long)report.nr_refused,
			 (unsigned long long)report.nr_refused_local,
			 (unsigned long long)cgroup->nr_refused,
			 (unsigned long long)cgroup->nr_refused_local);
}

static void check_instance(struct sim *sim, int number)
{
	struct sim_instance *instance = &sim->instances[number];
	struct epc_instance_report report;

	uint64_t limit = instance->max_bytes / EPC_PAGE_SIZE * EPC_PAGE_SIZE;

	epc_instance_report(instance->instance, &report);
	if (limit < instance->ceiling_bytes)
		limit = instance->ceiling_bytes;
	if (report.nr_pages * EPC_PAGE_SIZE > limit)
		sim_fail(sim, "instance %d has %llu pages, beyond its own limit", number,
			 (unsigned long long)report.nr_pages);
	if (report.nr_pages * EPC_PAGE_SIZE < instance->ceiling_bytes)
		instance->ceiling_bytes = report.nr_pages * EPC_PAGE_SIZE;
	if (report.max_bytes != instance->max_bytes)
		sim_fail(sim, "instance %d: its own limit does not read as written", number);
	if (report.nr_pages > instance->peak_pages)
		instance->peak_pages = report.nr_pages;
	if (report.peak_pages > instance->peak_pages &&
	    report.peak_pages <= instance->peak_pages + sim->nr_pages_answered)
		instance->peak_pages = report.peak_pages;
	if (report.id != instance->id || report.peak_pages != instance->peak_pages ||
	    report.nr_refusals != instance->nr_refused)
		sim_fail(sim,
			 "instance %d reports id %llu, peak %llu, %llu refusals; the model has"
			 " %llu, %llu, %llu",
			 number, (unsigned long long)report.id,
			 (unsigned long long)report.peak_pages,
			 (unsigned long long)report.nr_refusals, (unsigned long long)instance->id,
			 (unsigned long long)instance->peak_pages,
			 (unsigned long long)instance->nr_refused);
}

void sim_check_call(struct sim *sim)
{
	struct epc_report report;
	uint64_t nr_parked = 0, nr_unmaps = 0;
	const char *why;

	if (!epc_is_valid(sim->epc, &why))
		sim_fail(sim, "epc_is_valid(): %s", why);
	for (int i = 0; i < SIM_NR_CGROUPS; i++)
		if (sim->cgroups[i].cgroup)
			check_cgroup(sim, i);
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (sim->instances[i].life != SIM_UNUSED)
			check_instance(sim, i);
	for (int i = 0; i < SIM_NR_READS; i++)
		nr_parked += sim->reads[i].phase == SIM_READ_IN_CORE;
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		nr_parked += sim->leaves[i].is_used && sim->leaves[i].guest.leaf.request.waits_at;
	for (int i = 0; i < SIM_NR_UNMAPS; i++)
		nr_unmaps += sim->unmaps[i].unmap != NULL;
	epc_report(sim->epc, &report);
	if (report.nr_parked != nr_parked || report.nr_unmaps != nr_unmaps ||
	    report.nr_pages != sim->nr_pages || report.nr_refusals != sim->counted.nr_refusals)
		sim_fail(sim,
			 "epc_report() has other figures than the model: parked %llu of %llu,"
			 " unmappings %llu of %llu, refusals %llu of %llu",
			 (unsigned long long)report.nr_parked, (unsigned long long)nr_parked,
			 (unsigned long long)report.nr_unmaps, (unsigned long long)nr_unmaps,
			 (unsigned long long)report.nr_refusals,
			 (unsigned long long)sim->counted.nr_refusals);
}

/* What a walk over all pages of all instances adds up to. */
struct sums {
	uint64_t nr_owned, nr_speculative;
	uint64_t own_pages[SIM_NR_CGROUPS];
	uint64_t section_pages[EPC_NR_SECTIONS_MAX];
};

static void walk_instance(struct sim *sim, int number, struct sums *sums)
{
	struct sim_instance *instance = &sim->instances[number];
	uint64_t stakes[SIM_NR_CGROUPS] = { 0 };
	uint64_t nr_owned = 0, nr_with_bytes = 0, nr_speculative = 0;
	struct epc_instance_report report;

	for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
		struct epc_page_report page;

		sim_charge_look(sim, number, slot);
		epc_page_report(sim->epc, instance->instance, sim_slot_index(slot), &page);
		if (!page.is_owned)
			continue;
		nr_owned++;
		nr_with_bytes += page.has_bytes;
		nr_speculative += page.is_speculative;
		stakes[cgroup_of(sim, page.payer)]++;
		sums->section_pages[page.section]++;
	}
	for (int i = 0; i < SIM_NR_CGROUPS; i++) {
		sums->own_pages[i] += stakes[i];
		if (sim->cgroups[i].cgroup && epc_stake_pages(sim->epc, instance->instance,
							      sim->cgroups[i].cgroup) != stakes[i])
			sim_fail(sim, "the stake of instance %d in cgroup %d is not its pages",
				 number, i);
	}
	epc_instance_report(instance->instance, &report);
	if (report.nr_pages != nr_owned || report.nr_pages_with_bytes != nr_with_bytes ||
	    report.nr_speculative != nr_speculative)
		sim_fail(sim, "instance %d miscounts its pages", number);
	sums->nr_owned += nr_owned;
	sums->nr_speculative += nr_speculative;
}

void sim_check_all(struct sim *sim)
{
	struct sums sums = { 0 };
	struct epc_report report;

	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (sim->instances[i].life != SIM_UNUSED)
			walk_instance(sim, i, &sums);
	for (int i = 0; i < SIM_NR_CGROUPS; i++) {
		struct epc_cgroup_report cgroup;
		uint64_t nr_pages = 0;

		if (!sim->cgroups[i].cgroup)
			continue;
		for (int below = 0; below < SIM_NR_CGROUPS; below++)
			if (sim->cgroups[below].cgroup && sim_cgroup_is_under(sim, below, i))
				nr_pages += sums.own_pages[below];
		epc_cgroup_report(sim->cgroups[i].cgroup, &cgroup);
		if (cgroup.usage_bytes != nr_pages * EPC_PAGE_SIZE)
			sim_fail(sim, "cgroup %d uses %llu bytes, its pages are %llu", i,
				 (unsigned long long)cgroup.usage_bytes,
				 (unsigned long long)nr_pages);
	}
	for (unsigned int i = 0; i < sim->nr_sections; i++) {
		struct epc_section_report section;

		epc_section_report(sim->epc, i, &section);
		if (section.nr_pages != sim->section_pages[i] ||
		    section.nr_free != section.nr_pages - sums.section_pages[i])
			sim_fail(sim, "section %u miscounts its pages", i);
	}
	epc_report(sim->epc, &report);
	if (report.nr_free != sim->nr_pages - sums.nr_owned ||
	    report.nr_speculative != sums.nr_speculative)
		sim_fail(sim, "free or speculative pages are miscounted");
}

/* A limit at which somebody may be refused: a cgroup's, or an instance's own (then is_own). */
struct limit {
	bool is_own;
	int number;
};

/* Pages that may come free by themselves or by being taken back, charged at that limit. */
static bool has_hope(struct sim *sim, struct limit limit)
{
	for (int i = 0; i < SIM_NR_INSTANCES; i++) {
		const struct sim_instance *instance = &sim->instances[i];

		if (instance->life == SIM_UNUSED || (limit.is_own && i != limit.number))
			continue;
		for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
			struct epc_page_report page;

			if (!instance->pages[slot].is_owned)
				continue;
			epc_page_report(sim->epc, instance->instance, sim_slot_index(slot), &page);
			if (!page.is_owned || page.is_zombie ||
			    !(page.is_speculative || instance->life == SIM_RELEASED))
				continue;
			if (limit.is_own ||
			    sim_cgroup_is_under(sim, cgroup_of(sim, page.payer), limit.number))
				return true;
		}
	}
	return false;
}

static bool is_full(struct sim *sim, struct limit limit)
{
	struct epc_instance_report instance;
	struct epc_cgroup_report report;
	struct epc_report all;

	if (limit.is_own) {
		epc_instance_report(sim->instances[limit.number].instance, &instance);
		return instance.nr_pages >= instance.max_bytes / EPC_PAGE_SIZE;
	}
	epc_cgroup_report(sim->cgroups[limit.number].cgroup, &report);
	epc_report(sim->epc, &all);
	return report.usage_bytes / EPC_PAGE_SIZE >= report.max_bytes / EPC_PAGE_SIZE ||
	       (limit.number == 0 && all.nr_free == 0);
}

/* Where a parked request waits; instance: whose page it wants. */
static struct limit limit_of(const struct sim *sim, const struct epc_request *request, int instance)
{
	for (int i = 0; i < SIM_NR_CGROUPS; i++)
		if (sim->cgroups[i].cgroup && sim->cgroups[i].cgroup == request->waits_at)
			return (struct limit){ .number = i };
	return (struct limit){ .is_own = true, .number = instance };
}

static bool is_under(const struct sim *sim, int instance, int cgroup, struct limit limit)
{
	return limit.is_own ? limit.number == instance :
			      sim_cgroup_is_under(sim, cgroup, limit.number);
}

bool sim_is_waited_for(const struct sim *sim, int instance, int cgroup)
{
	for (int i = 0; i < SIM_NR_READS; i++) {
		const struct sim_read *read = &sim->reads[i];

		if (read->phase == SIM_READ_IN_CORE && read->request.waits_at &&
		    is_under(sim, instance, cgroup, limit_of(sim, &read->request, read->instance)))
			return true;
	}
	for (int i = 0; i < SIM_NR_LEAVES; i++) {
		const struct sim_leaf *leaf = &sim->leaves[i];
		const struct epc_request *request = &leaf->guest.leaf.request;

		if (leaf->is_used && request->waits_at &&
		    is_under(sim, instance, cgroup, limit_of(sim, request, leaf->rcx.instance)))
			return true;
	}
	return false;
}

static void check_waiter(struct sim *sim, const struct epc_request *request, int instance)
{
	struct limit limit = limit_of(sim, request, instance);

	if (!is_full(sim, limit))
		sim_fail(sim, "instance %d waits for page 0x%llx at %s %d, which has room",
			 instance, (unsigned long long)request->first,
			 limit.is_own ? "the own limit of" : "cgroup", limit.number);
}

void sim_check_waiters(struct sim *sim)
{
	for (int i = 0; i < SIM_NR_READS; i++)
		if (sim->reads[i].phase == SIM_READ_IN_CORE)
			check_waiter(sim, &sim->reads[i].request, sim->reads[i].instance);
	for (int i = 0; i < SIM_NR_LEAVES; i++)
		if (sim->leaves[i].is_used && sim->leaves[i].guest.leaf.request.waits_at)
			check_waiter(sim, &sim->leaves[i].guest.leaf.request,
				     sim->leaves[i].rcx.instance);
}

/* A cluster gets what nobody else needs. */
void sim_check_cluster(struct sim *sim, const struct sim_read *read)
{
	struct epc_report report;

	if (read->was_unmapping)
		sim_fail(sim, "a cluster is answered with a page that is being unmapped");
	if (read->was_owned)
		return;
	epc_report(sim->epc, &report);
	if (report.nr_free < 64 && report.nr_free < sim->nr_pages / 16)
		sim_fail(sim, "a cluster takes one of the last pages");
	if (read->was_waited_for)
		sim_fail(sim, "a cluster gets pages that a parked fault waits for");
}

/* What is taken back is charged below a limit at which somebody waits. */
void sim_check_taken_back(struct sim *sim, const struct sim_unmap *unmap)
{
	const struct epc_instance *instance = sim->instances[unmap->instance].instance;

	for (uint64_t i = 0; i < unmap->count; i++) {
		struct epc_page_report page;

		epc_page_report(sim->epc, instance, unmap->first + i, &page);
		if (!page.is_owned || !page.is_speculative)
			sim_fail(sim, "a page is taken back that is not speculative");
		if (!sim_is_waited_for(sim, unmap->instance, cgroup_of(sim, page.payer)))
			sim_fail(sim, "a page of cgroup %d is taken back, nobody waits above it",
				 cgroup_of(sim, page.payer));
	}
}

static const struct epc_record *find_record(const struct sim *sim, int instance, int slot)
{
	for (unsigned int i = 0; i < sim->nr_refusals; i++)
		if (sim->refusals[i].index == sim_slot_index(slot) &&
		    sim->refusals[i].instance_cookie == &sim->instances[instance])
			return &sim->refusals[i];
	return NULL;
}

/* The core knows the last 128 pages of an instance that were refused. */
#define NR_KNOWN 128

/* The second refusal of a page is the incident; those of the next second are its repeats. */
static bool is_incident(struct sim *sim, const struct sim_read *read)
{
	struct sim_instance *instance = &sim->instances[read->instance];
	struct sim_page *page = &instance->pages[read->slot];
	uint64_t since_ns = sim->now_ns - page->refused_ns;

	if (!page->refused_number ||
	    instance->nr_pages_refused - page->refused_number >= NR_KNOWN) {
		page->refused_number = ++instance->nr_pages_refused;
		page->is_incident = false;
	} else if (page->is_incident && since_ns < EPC_REFUSAL_REPEAT_NS) {
		return false;
	} else {
		page->is_incident = !page->is_incident && since_ns < EPC_REFUSAL_SECOND_NS;
	}
	page->refused_ns = sim->now_ns;
	instance->nr_refused += page->is_incident;
	return page->is_incident;
}

/* Somebody was full, and nothing there could have come free; the record, if any, names him. */
static void check_reason(struct sim *sim, int instance, int slot, int payer,
			 const struct epc_record *record)
{
	struct limit own = { .is_own = true, .number = instance };
	bool is_justified = is_full(sim, own) && !has_hope(sim, own) &&
			    (!record || record->is_own_limit);

	for (int i = payer; i != SIM_NOBODY; i = sim->cgroups[i].parent) {
		struct limit limit = { .number = i };

		if (is_full(sim, limit) && !has_hope(sim, limit) &&
		    (!record || record->refuser_cookie == &sim->cgroups[i]))
			is_justified = true;
	}
	if (!is_justified)
		sim_fail(sim, "instance %d page 0x%llx is refused without a reason", instance,
			 (unsigned long long)sim_slot_index(slot));
}

void sim_check_refusal(struct sim *sim, const struct sim_read *read)
{
	const struct epc_record *record = find_record(sim, read->instance, read->slot);
	struct sim_page *page = &sim->instances[read->instance].pages[read->slot];
	/* the record may be that of a leaf which is refused the same page by the same call */
	bool is_known = !sim->has_refused_leaf && !sim_leaf_is_on(sim, read->instance, read->slot);
	bool is_new = is_incident(sim, read);

	check_reason(sim, read->instance, read->slot, read->payer, is_known ? record : NULL);
	if (read->was_owned && !sim_content_is_in_punch(sim, read->instance, read->slot) &&
	    page->is_kept)
		sim_fail(sim, "a page that the instance owns is refused");
	if (is_known && is_new != (record != NULL))
		sim_fail(sim, "a refusal is %s", record ? "counted again" : "not counted");
}

void sim_check_leaf_refusal(struct sim *sim, const struct sim_leaf *leaf)
{
	const struct epc_record *record = find_record(sim, leaf->rcx.instance, leaf->rcx.slot);

	if (!record)
		sim_fail(sim, "a leaf is refused, and nobody is told");
	sim->has_refused_leaf = true;
	sim->instances[leaf->rcx.instance].nr_refused++;
	check_reason(sim, leaf->rcx.instance, leaf->rcx.slot, leaf->payer, NULL);
}

/* By the instance's own limit. */
static void check_own_record(struct sim *sim, const struct epc_record *record)
{
	const struct sim_instance *instance = record->instance_cookie;

	if (record->refuser_cookie)
		sim_fail(sim, "a refusal by an own limit names a cgroup");
	if (record->limit_bytes != instance->max_bytes || record->wanted_bytes != EPC_PAGE_SIZE ||
	    record->usage_bytes / EPC_PAGE_SIZE < instance->max_bytes / EPC_PAGE_SIZE)
		sim_fail(sim, "a refusal tells of an own limit of %llu bytes, it is %llu",
			 (unsigned long long)record->limit_bytes,
			 (unsigned long long)instance->max_bytes);
}

/* The record of a refusal, which comes before its reply. */
void sim_check_refused_record(struct sim *sim, const struct epc_record *record)
{
	const struct sim_cgroup *refuser = record->refuser_cookie;
	int number, payer;
	uint64_t limit;

	if (sim->nr_refusals == SIM_NR_REFUSALS)
		sim_fail(sim, "one call refuses more than %d faults", SIM_NR_REFUSALS);
	sim->refusals[sim->nr_refusals++] = *record;
	sim->counted.nr_refusals++;
	if (record->is_own_limit) {
		check_own_record(sim, record);
		return;
	}
	number = (int)(refuser - sim->cgroups);
	if (number < 0 || number >= SIM_NR_CGROUPS || refuser != &sim->cgroups[number])
		sim_fail(sim, "a refusal names no cgroup");
	payer = (int)((const struct sim_cgroup *)record->payer_cookie - sim->cgroups);
	if (!sim_cgroup_is_under(sim, payer, number))
		sim_fail(sim, "a refusal names a cgroup that is no ancestor of the payer");
	sim->cgroups[number].nr_refused_local++;
	for (int i = number; i != SIM_NOBODY; i = sim->cgroups[i].parent)
		sim->cgroups[i].nr_refused++;
	limit = refuser->max_bytes;
	if (number == 0 && limit / EPC_PAGE_SIZE >= sim->nr_pages)
		limit = sim->nr_pages * EPC_PAGE_SIZE;
	if (record->limit_bytes != limit || record->wanted_bytes != EPC_PAGE_SIZE)
		sim_fail(sim, "a refusal tells of a limit of %llu bytes, it is %llu",
			 (unsigned long long)record->limit_bytes, (unsigned long long)limit);
	if (record->usage_bytes / EPC_PAGE_SIZE < limit / EPC_PAGE_SIZE)
		sim_fail(sim, "a refusal tells of %llu bytes used, the limit is %llu",
			 (unsigned long long)record->usage_bytes, (unsigned long long)limit);
}
