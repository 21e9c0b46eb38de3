/* SPDX-License-Identifier: MIT */
/*
 * The guests: they build enclaves over all instances of their VM and tear them down, a leaf at a
 * time, as the core gets it from the ioctl. What each leaf must do to page, charge and contents is
 * told here, when its reply comes.
 */
#include <errno.h>
#include <string.h>

#include "sim.h"

#define BASE(enclave) (UINT64_C(1) << 46 | (uint64_t)(enclave) << 31)
#define SIZE (UINT64_C(1) << 31)
#define NR_VA_SLOTS 4 /* that are used */
#define UNMAPS_MAX 16 /* epc.h: EBUSY */

static struct sim_page *page_at(struct sim *sim, struct sim_place place)
{
	return &sim->instances[place.instance].pages[place.slot];
}

static struct epc_leaf_place leaf_place(const struct sim *sim, struct sim_place place)
{
	return guest_place(sim->instances[place.instance].instance, sim_slot_index(place.slot));
}

static bool makes_page(const struct epc_leaf *leaf)
{
	return !leaf->is_enclu &&
	       (leaf->leaf == SGX_ECREATE || leaf->leaf == SGX_EADD || leaf->leaf == SGX_EPA ||
		leaf->leaf == SGX_EAUG || leaf->leaf == SGX_ELDU || leaf->leaf == SGX_ELDB);
}

bool sim_leaf_is_on(const struct sim *sim, int instance, int slot)
{
	for (int i = 0; i < SIM_NR_LEAVES; i++) {
		const struct sim_leaf *leaf = &sim->leaves[i];

		if (leaf->is_used && leaf->rcx.instance == instance && leaf->rcx.slot == slot)
			return true;
	}
	return false;
}

bool sim_leaf_pays(const struct sim *sim, int instance, int slot, const struct epc_cgroup *payer)
{
	for (int i = 0; i < SIM_NR_LEAVES; i++) {
		const struct sim_leaf *leaf = &sim->leaves[i];

		if (leaf->is_used && leaf->rcx.instance == instance && leaf->rcx.slot == slot &&
		    makes_page(&leaf->guest.leaf) && leaf->guest.leaf.request.payer == payer)
			return true;
	}
	return false;
}

static bool names(const struct epc_leaf_place *place, const struct sim_unmap *unmap)
{
	return place->instance == unmap->unmap->instance &&
	       place->offset / EPC_PAGE_SIZE == unmap->first;
}

void sim_leaf_unmaps(struct sim *sim, const struct sim_unmap *unmap)
{
	for (int i = 0; i < SIM_NR_LEAVES; i++) {
		struct sim_leaf *leaf = &sim->leaves[i];

		if (!leaf->is_used || &leaf->guest.leaf.unmap != unmap->unmap)
			continue;
		if (unmap->count != 1 ||
		    (!names(&leaf->guest.leaf.rcx, unmap) && !names(&leaf->guest.leaf.rdx, unmap) &&
		     !names(&leaf->guest.leaf.rbx_place, unmap)))
			sim_fail(sim, "a leaf unmaps a page that it does not name");
		leaf->nr_unmaps++;
		return;
	}
	sim_fail(sim, "an unmapping for a leaf that nobody has sent");
}

/* ---- what leaves do ---- */

static bool has_changed_page(const struct epc_leaf *leaf)
{
	return leaf->outcome == 0 ||
	       (!leaf->is_enclu && leaf->leaf == SGX_EWB && leaf->outcome == SGX_VA_SLOT_OCCUPIED);
}

static void page_made(struct sim *sim, struct sim_leaf *leaf, enum sim_kind kind, bool is_hidden,
		      uint64_t value)
{
	struct sim_page *page = page_at(sim, leaf->rcx);

	/* a reset has removed what was there before, nobody has looked since */
	sim_enclave_forget(sim, leaf->rcx.instance, leaf->rcx.slot);
	page->kind = kind;
	page->enclave = leaf->enclave == SIM_NOBODY ? 0 : leaf->enclave;
	page->is_tcs = is_hidden;
	page->is_hidden = is_hidden;
	page->is_inside = false;
	page->linaddr = leaf->guest.leaf.linaddr;
	page->is_kept = true;
	if (kind == SIM_CHILD) {
		sim->enclaves[leaf->enclave].nr_children++;
		sim->enclaves[leaf->enclave].nr_ever++;
	}
	if (sim->is_metadata_only && !is_hidden)
		value = 0;
	sim_content_set(sim, leaf->rcx.instance, leaf->rcx.slot, is_hidden ? SIM_ONES : value);
}

static void page_gone(struct sim *sim, const struct sim_leaf *leaf)
{
	if (page_at(sim, leaf->rcx)->kind == SIM_PLAIN)
		return; /* EREMOVE of a page that is no enclave's */
	sim_enclave_forget(sim, leaf->rcx.instance, leaf->rcx.slot);
	sim_content_set(sim, leaf->rcx.instance, leaf->rcx.slot, 0);
}

/* The page is out: what it held is what must come back. */
static void page_evicted(struct sim *sim, struct sim_leaf *leaf)
{
	struct sim_page *page = page_at(sim, leaf->rcx);
	struct sim_blob *blob = &sim->blobs[leaf->blob];

	blob->is_used = page->kind == SIM_CHILD;
	blob->vm = sim->instances[leaf->rcx.instance].vm;
	blob->linaddr = leaf->guest.leaf.linaddr;
	blob->enclave = page->enclave;
	blob->is_tcs = page->is_tcs;
	memcpy(blob->allowed, page->under, sizeof(blob->allowed));
	blob->nr_allowed = page->nr_under;
	memcpy(blob->info, leaf->guest.info, sizeof(blob->info));
	memcpy(blob->data, leaf->guest.data, sizeof(blob->data));
	page_gone(sim, leaf);
}

static void page_loaded(struct sim *sim, struct sim_leaf *leaf)
{
	struct sim_blob *blob = &sim->blobs[leaf->blob];
	struct sim_page *page = page_at(sim, leaf->rcx);

	page_made(sim, leaf, SIM_CHILD, blob->is_tcs, 0);
	for (unsigned int i = 0; !page->is_hidden && i < blob->nr_allowed; i++) {
		if (i == 0)
			page->nr_allowed = 0;
		page->allowed[page->nr_allowed++] =
			(struct sim_stamp){ blob->allowed[i].value, sim->time };
	}
	if (sim_content_is_in_operation(sim, leaf->rcx.instance, leaf->rcx.slot) &&
	    !sim_content_is_allowed(page, 0))
		page->allowed[page->nr_allowed++] = (struct sim_stamp){ 0, sim->time };
	blob->is_used = false;
}

/* EBLOCK, EMODT: it is there as before, and hidden. What it holds is kept for EWB. */
static void page_hidden(struct sim *sim, struct sim_leaf *leaf)
{
	struct sim_page *page = page_at(sim, leaf->rcx);

	page->is_tcs |= leaf->guest.leaf.leaf == SGX_EMODT;
	if (page->is_hidden)
		return;
	memcpy(page->under, page->allowed, sizeof(page->under));
	page->nr_under = page->nr_allowed;
	page->is_hidden = true;
	sim_content_set(sim, leaf->rcx.instance, leaf->rcx.slot, SIM_ONES);
}

static void apply_encls(struct sim *sim, struct sim_leaf *leaf)
{
	switch ((enum sgx_encls_leaf)leaf->guest.leaf.leaf) {
	case SGX_ECREATE:
		sim->enclaves[leaf->enclave] =
			(struct sim_enclave){ .has_secs = true, .secs = leaf->rcx };
		page_made(sim, leaf, SIM_SECS, true, 0);
		break;
	case SGX_EADD:
		page_made(sim, leaf, SIM_CHILD, !leaf->stamp, leaf->stamp);
		break;
	case SGX_EAUG:
		page_made(sim, leaf, SIM_CHILD, false, 0);
		break;
	case SGX_EPA:
		page_made(sim, leaf, SIM_VA, true, 0);
		break;
	case SGX_EREMOVE:
		page_gone(sim, leaf);
		break;
	case SGX_EWB:
		page_evicted(sim, leaf);
		break;
	case SGX_ELDB:
	case SGX_ELDU:
		page_loaded(sim, leaf);
		break;
	case SGX_EBLOCK:
	case SGX_EMODT:
		page_hidden(sim, leaf);
		break;
	case SGX_EINIT:
		sim->enclaves[leaf->enclave].is_initialised = true;
		break;
	case SGX_EDBGRD:
	case SGX_EDBGWR:
	case SGX_EEXTEND:
	case SGX_ETRACK:
	case SGX_EMODPR:
		break;
	}
}

static void apply_enclu(struct sim *sim, struct sim_leaf *leaf)
{
	struct sim_page *page = page_at(sim, leaf->rcx);
	bool enters = leaf->guest.leaf.leaf == SGX_EENTER;

	if (!enters && leaf->guest.leaf.leaf != SGX_EEXIT)
		return;
	page->is_inside = enters;
	sim->enclaves[page->enclave].nr_inside += enters ? 1 : -1u;
}

/* What EDBGRD has read is what a client would see. */
static void check_debug_read(struct sim *sim, const struct sim_leaf *leaf)
{
	const struct sim_page *page = page_at(sim, leaf->rcx);
	uint64_t value;

	if (leaf->guest.leaf.is_enclu || leaf->guest.leaf.leaf != SGX_EDBGRD ||
	    leaf->guest.leaf.outcome || page->is_hidden || page->kind != SIM_CHILD)
		return;
	memcpy(&value, leaf->guest.data, sizeof(value));
	sim_content_seen(sim, leaf->rcx.instance, leaf->rcx.slot, value, "EDBGRD");
}

/* ---- replies ---- */

/* Where the model knows all that counts. */
static void check_outcome(struct sim *sim, const struct sim_leaf *leaf)
{
	const struct sim_page *page = page_at(sim, leaf->rcx);
	const struct sim_enclave *enclave = &sim->enclaves[page->enclave];
	const struct epc_leaf *done = &leaf->guest.leaf;
	int expected = 0;

	if (done->is_enclu || leaf->is_overtaken ||
	    sim_vm_is_in_operation(sim, sim->instances[leaf->rcx.instance].vm))
		return;
	if (done->leaf == SGX_EREMOVE) {
		if (page->kind == SIM_SECS && enclave->nr_children)
			expected = SGX_CHILD_PRESENT;
		if (page->kind == SIM_CHILD && enclave->nr_inside)
			return; /* SGX_ENCLAVE_ACT, but for a TRIM page that was accepted */
		if (page->kind == SIM_SECS && enclave->is_loose)
			return;
	} else if (done->leaf == SGX_ECREATE || done->leaf == SGX_EPA) {
		expected = page->kind == SIM_PLAIN ? 0 : SGX_PF(SGX_OPERAND_RCX);
	} else if (done->leaf == SGX_EADD || done->leaf == SGX_EAUG) {
		if (page->kind != SIM_PLAIN)
			expected = SGX_PF(SGX_OPERAND_RCX);
		else if (!sim->enclaves[leaf->enclave].has_secs)
			expected = SGX_PF(SGX_OPERAND_SECS);
		else if (sim->enclaves[leaf->enclave].is_initialised != (done->leaf == SGX_EAUG))
			expected = SGX_GP;
	} else {
		return;
	}
	if (done->outcome != expected)
		sim_fail(sim, "leaf 0x%x has the outcome 0x%x, not 0x%x", (unsigned int)done->leaf,
			 (unsigned int)done->outcome, (unsigned int)expected);
}

static void check_coherent(struct sim *sim, const struct sim_leaf *leaf)
{
	const struct epc_leaf *done = &leaf->guest.leaf;

	if (done->is_enclu || done->leaf == SGX_EINIT || done->leaf == SGX_ETRACK ||
	    done->leaf == SGX_EMODPR)
		return;
	if (page_at(sim, leaf->rcx)->cache == SIM_PRESENT)
		sim_fail(sim, "leaf 0x%x is executed on a page that is mapped",
			 (unsigned int)done->leaf);
}

static void leaf_executed(struct sim *sim, struct sim_leaf *leaf)
{
	struct sim_page *page = page_at(sim, leaf->rcx);
	const struct epc_leaf *done = &leaf->guest.leaf;

	if (leaf->is_foreign || leaf->is_bad)
		sim_fail(sim, "a leaf is executed that must not be");
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		if (sim->operations[i].kind == SIM_LOSE_VM &&
		    sim->operations[i].phase == SIM_OPERATION_IN_CORE &&
		    sim->operations[i].vm == sim->instances[leaf->rcx.instance].vm)
			sim_fail(sim, "a leaf is executed while everything is being lost");
	sim->figures.nr_leaf_ok += done->outcome == 0;
	sim->nr_pages_answered++;
	check_coherent(sim, leaf);
	check_outcome(sim, leaf);
	page->write_time = sim->time;
	page->read_time = sim->time;
	check_debug_read(sim, leaf);
	if (has_changed_page(done)) {
		if (done->is_enclu)
			apply_enclu(sim, leaf);
		else
			apply_encls(sim, leaf);
	} else if (done->outcome == SGX_MAC_COMPARE_FAIL && page->kind == SIM_PLAIN) {
		sim_content_set(sim, leaf->rcx.instance, leaf->rcx.slot, 0);
	}
}

static bool is_released(const struct sim *sim, const struct sim_leaf *leaf)
{
	const struct epc_leaf_place *places[] = { &leaf->guest.leaf.rcx, &leaf->guest.leaf.rdx,
						  &leaf->guest.leaf.secs,
						  &leaf->guest.leaf.rbx_place };

	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		for (int n = 0; n < 4; n++)
			if (sim->instances[i].life == SIM_RELEASED && places[n]->instance &&
			    places[n]->instance == sim->instances[i].instance)
				return true;
	return false;
}

static void check_error(struct sim *sim, const struct sim_leaf *leaf)
{
	bool is_right = false;

	switch (leaf->guest.leaf.request.result) {
	case -EPERM:
		is_right = leaf->is_foreign;
		break;
	case -EINVAL:
		is_right = leaf->is_bad || is_released(sim, leaf);
		break;
	case -ENOMEM:
		is_right = sim->nr_failures != leaf->nr_failures;
		break;
	case -EINTR:
		is_right = leaf->is_interrupted;
		break;
	case -EBUSY:
		is_right = leaf->nr_unmaps >= UNMAPS_MAX;
		break;
	case -EIO:
		is_right = makes_page(&leaf->guest.leaf);
		sim_check_leaf_refusal(sim, leaf);
		break;
	default:
		break;
	}
	if (!is_right)
		sim_fail(sim, "a leaf gives %d", leaf->guest.leaf.request.result);
}

void sim_leaf_replied(struct sim *sim, struct sim_leaf *leaf)
{
	int result = leaf->guest.leaf.request.result;

	struct sim_page *page = page_at(sim, leaf->rcx);
	struct epc_page_report report;

	sim->time++;
	sim_trace(sim, "  reply leaf 0x%x instance %d slot %d result %d outcome 0x%x",
		  (unsigned int)leaf->guest.leaf.leaf, leaf->rcx.instance, leaf->rcx.slot, result,
		  (unsigned int)leaf->guest.leaf.outcome);
	if (sim->instances[leaf->rcx.instance].life != SIM_RELEASED && !leaf->is_foreign) {
		sim_charge_look(sim, leaf->rcx.instance, leaf->rcx.slot);
		if (result == 0)
			leaf_executed(sim, leaf);
		epc_page_report(sim->epc, sim->instances[leaf->rcx.instance].instance,
				sim_slot_index(leaf->rcx.slot), &report);
		if (leaf->is_overtaken && page->kind != SIM_PLAIN && !report.epcm.is_valid)
			sim_enclave_forget(sim, leaf->rcx.instance, leaf->rcx.slot);
		sim_charge_look(sim, leaf->rcx.instance, leaf->rcx.slot);
		leaf->is_used = false;
		sim_charge_look(sim, leaf->rcx.instance, leaf->rcx.slot);
	} else if (result == 0) {
		sim_fail(sim, "a leaf is executed on a released instance, or another VM's");
	}
	leaf->is_used = false;
	sim->instances[leaf->caller].nr_outstanding--;
	sim->figures.nr_leaf_errors += result != 0;
	if (result != 0)
		check_error(sim, leaf);
}

/* ---- guests ---- */

/* A page of an open instance of that VM, of that kind when there is one. */
static bool find_page(struct sim *sim, uint64_t vm, enum sim_kind kind, struct sim_place *place)
{
	for (int i = 0; i < 48; i++) {
		place->instance = (int)sim_below(sim, SIM_NR_INSTANCES);
		place->slot = (int)sim_below(sim, sim->slots_in_use);
		if (sim_chance(sim, 40))
			place->slot = (int)sim_below(sim, SIM_NR_SLOTS);
		/* a new page is often refused: mostly one that is there */
		if (kind == SIM_PLAIN && i < 32 && !page_at(sim, *place)->is_owned &&
		    !sim_chance(sim, 6))
			continue;
		if (sim->instances[place->instance].life == SIM_OPEN &&
		    sim->instances[place->instance].vm == vm && page_at(sim, *place)->kind == kind)
			return true;
	}
	return false;
}

/* Its SECS can be an operand of that VM's leaves. */
static bool is_usable(const struct sim *sim, int number, uint64_t vm)
{
	const struct sim_enclave *enclave = &sim->enclaves[number];

	return enclave->has_secs && sim->instances[enclave->secs.instance].life == SIM_OPEN &&
	       sim->instances[enclave->secs.instance].vm == vm;
}

static int find_enclave(struct sim *sim, uint64_t vm, bool is_new)
{
	int number = (int)sim_below(sim, SIM_NR_ENCLAVES);

	for (int i = 0; i < SIM_NR_ENCLAVES; i++, number = (number + 1) % SIM_NR_ENCLAVES) {
		const struct sim_enclave *enclave = &sim->enclaves[number];
		bool is_free = !enclave->has_secs && !enclave->nr_children;

		for (int n = 0; is_free && n < SIM_NR_LEAVES; n++)
			is_free &= !sim->leaves[n].is_used || sim->leaves[n].enclave != number;
		if (is_new ? is_free : is_usable(sim, number, vm))
			return number;
	}
	return SIM_NOBODY;
}

static void draw_ecreate(struct sim *sim, struct sim_leaf *leaf, uint64_t vm)
{
	leaf->enclave = find_enclave(sim, vm, true);
	if (leaf->enclave == SIM_NOBODY || !find_page(sim, vm, SIM_PLAIN, &leaf->rcx))
		return;
	guest_ecreate(&leaf->guest, leaf_place(sim, leaf->rcx), BASE(leaf->enclave), SIZE);
	leaf->is_used = true;
}

/* Mostly REG pages with a stamp, else a TCS; after EINIT by EAUG. */
static void draw_add(struct sim *sim, struct sim_leaf *leaf, uint64_t vm)
{
	enum sim_kind kind = sim_chance(sim, 12) ? SIM_CHILD : SIM_PLAIN;
	const struct sim_enclave *enclave;
	uint64_t linaddr;
	bool is_tcs = sim_chance(sim, 4);

	leaf->enclave = find_enclave(sim, vm, false);
	if (leaf->enclave == SIM_NOBODY || !find_page(sim, vm, kind, &leaf->rcx))
		return;
	enclave = &sim->enclaves[leaf->enclave];
	linaddr = BASE(leaf->enclave) + enclave->nr_ever * EPC_PAGE_SIZE % SIZE;
	leaf->is_used = true;
	if (enclave->is_initialised) {
		guest_eaug(&leaf->guest, leaf_place(sim, leaf->rcx), leaf_place(sim, enclave->secs),
			   linaddr);
		return;
	}
	leaf->stamp = is_tcs ? 0 : UINT64_C(1) << 62 | ++sim->next_stamp;
	sim_stamp_fill(leaf->guest.data, leaf->stamp);
	guest_eadd(&leaf->guest, leaf_place(sim, leaf->rcx), leaf_place(sim, enclave->secs),
		   linaddr, is_tcs ? GUEST_TCS : GUEST_REG_RW);
}

/* Leaves of a page that is there: EBLOCK is drawn in draw_evict(). */
static void draw_simple(struct sim *sim, struct sim_leaf *leaf, uint64_t vm)
{
	static const uint32_t leaves[] = { SGX_EREMOVE, SGX_EREMOVE, SGX_EREMOVE, SGX_EDBGRD,
					   SGX_EDBGRD,	SGX_EEXTEND, SGX_ETRACK };
	static const enum sim_kind kinds[] = { SIM_CHILD, SIM_CHILD, SIM_CHILD,
					       SIM_SECS,  SIM_VA,    SIM_PLAIN };
	uint32_t number = leaves[sim_below(sim, 7)];

	if (!find_page(sim, vm, number == SGX_ETRACK ? SIM_SECS : kinds[sim_below(sim, 6)],
		       &leaf->rcx))
		return;
	leaf->is_used = true;
	guest_simple(&leaf->guest, number, leaf_place(sim, leaf->rcx));
	leaf->enclave = page_at(sim, leaf->rcx)->enclave;
	if (number == SGX_EEXTEND && is_usable(sim, leaf->enclave, vm))
		leaf->guest.leaf.secs = leaf_place(sim, sim->enclaves[leaf->enclave].secs);
}

static int find_blob(struct sim *sim, uint64_t vm, bool is_used)
{
	int number = (int)sim_below(sim, SIM_NR_BLOBS);

	for (int i = 0; i < SIM_NR_BLOBS; i++, number = (number + 1) % SIM_NR_BLOBS) {
		bool is_taken = false;

		for (int n = 0; n < SIM_NR_LEAVES; n++)
			is_taken |= sim->leaves[n].is_used && sim->leaves[n].blob == number;
		if (!is_taken && sim->blobs[number].is_used == is_used &&
		    (!is_used || sim->blobs[number].vm == vm))
			return number;
	}
	return SIM_NOBODY;
}

/* EBLOCK and, of a blocked page, EWB. */
static void draw_evict(struct sim *sim, struct sim_leaf *leaf, uint64_t vm)
{
	struct epc_leaf_place slot;
	struct sim_place va;
	struct sim_page *page;

	leaf->blob = find_blob(sim, vm, false);
	if (!find_page(sim, vm, SIM_CHILD, &leaf->rcx))
		return;
	page = page_at(sim, leaf->rcx);
	leaf->enclave = page->enclave;
	if (!page->is_hidden || leaf->blob == SIM_NOBODY || !find_page(sim, vm, SIM_VA, &va)) {
		guest_simple(&leaf->guest, SGX_EBLOCK, leaf_place(sim, leaf->rcx));
		leaf->is_used = true;
		leaf->blob = SIM_NOBODY;
		return;
	}
	slot = leaf_place(sim, va);
	slot.offset += 8 * sim_below(sim, NR_VA_SLOTS);
	guest_ewb(&leaf->guest, leaf_place(sim, leaf->rcx), slot);
	sim->blobs[leaf->blob].va = va;
	sim->blobs[leaf->blob].slot = slot.offset % EPC_PAGE_SIZE;
	leaf->is_used = true;
}

static void draw_load(struct sim *sim, struct sim_leaf *leaf, uint64_t vm)
{
	struct epc_leaf_place slot;
	struct sim_blob *blob;

	leaf->blob = find_blob(sim, vm, true);
	if (leaf->blob == SIM_NOBODY || !find_page(sim, vm, SIM_PLAIN, &leaf->rcx))
		return;
	blob = &sim->blobs[leaf->blob];
	leaf->enclave = blob->enclave;
	if (sim->instances[blob->va.instance].life != SIM_OPEN ||
	    sim->instances[blob->va.instance].vm != vm || !is_usable(sim, leaf->enclave, vm)) {
		blob->is_used = false;
		return;
	}
	memcpy(leaf->guest.info, blob->info, sizeof(blob->info));
	memcpy(leaf->guest.data, blob->data, sizeof(blob->data));
	leaf->guest.leaf.linaddr = blob->linaddr;
	slot = leaf_place(sim, blob->va);
	slot.offset += blob->slot;
	guest_eld(&leaf->guest, SGX_ELDU, leaf_place(sim, leaf->rcx), slot,
		  leaf_place(sim, sim->enclaves[leaf->enclave].secs));
	leaf->is_used = true;
}

/* What needs an enclave that is initialised: only without contents, a signature costs too much. */
static void draw_running(struct sim *sim, struct sim_leaf *leaf, uint64_t vm)
{
	struct sim_place info;
	struct sim_page *page;

	leaf->enclave = find_enclave(sim, vm, false);
	if (leaf->enclave == SIM_NOBODY || !find_page(sim, vm, SIM_CHILD, &leaf->rcx))
		return;
	page = page_at(sim, leaf->rcx);
	leaf->is_used = true;
	switch (sim_below(sim, 6)) {
	case 0:
		leaf->rcx = sim->enclaves[leaf->enclave].secs;
		guest_einit(&leaf->guest, leaf_place(sim, leaf->rcx));
		break;
	case 1:
		guest_modify(&leaf->guest, SGX_EMODT, leaf_place(sim, leaf->rcx),
			     sim_chance(sim, 2) ? GUEST_TCS : GUEST_TRIM);
		break;
	case 2:
		guest_modify(&leaf->guest, SGX_EMODPR, leaf_place(sim, leaf->rcx),
			     SGX_SECINFO_R | (uint64_t)SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT);
		break;
	case 3:
		if (!find_page(sim, vm, SIM_CHILD, &info))
			info = leaf->rcx;
		guest_inside(&leaf->guest, SGX_EACCEPT, leaf_place(sim, leaf->rcx), page->linaddr,
			     leaf_place(sim, sim->enclaves[leaf->enclave].secs),
			     leaf_place(sim, info), page_at(sim, info)->linaddr);
		break;
	default:
		guest_thread(&leaf->guest, page->is_inside ? SGX_EEXIT : SGX_EENTER,
			     leaf_place(sim, leaf->rcx));
		break;
	}
}

/* No leaf, places outside, or in another VM. */
static void draw_strange(struct sim *sim, struct sim_leaf *leaf, uint64_t vm)
{
	int other = (int)sim_below(sim, SIM_NR_INSTANCES);
	struct epc_leaf *bad = &leaf->guest.leaf;

	if (!find_page(sim, vm, SIM_PLAIN, &leaf->rcx))
		return;
	guest_epa(&leaf->guest, leaf_place(sim, leaf->rcx));
	leaf->is_used = true;
	leaf->is_bad = sim_chance(sim, 2);
	if (leaf->is_bad && sim_chance(sim, 2)) {
		bad->leaf = SGX_EMODT + 1 + (uint32_t)sim_below(sim, 20);
	} else if (leaf->is_bad) {
		bad->rdx = bad->rcx;
		bad->rdx.offset = EPC_NR_INDICES * EPC_PAGE_SIZE;
	} else if (sim->instances[other].life == SIM_OPEN && sim->instances[other].vm != vm) {
		leaf->is_foreign = true;
		*(sim_chance(sim, 2) ? &bad->rcx : &bad->secs) =
			guest_place(sim->instances[other].instance, sim_below(sim, 20));
	}
}

static void draw(struct sim *sim, struct sim_leaf *leaf, uint64_t vm)
{
	uint64_t drawn = sim_below(sim, 40);

	if (drawn < 5)
		draw_ecreate(sim, leaf, vm);
	else if (drawn < 20)
		draw_add(sim, leaf, vm);
	else if (drawn < 27)
		draw_simple(sim, leaf, vm);
	else if (drawn < 32)
		draw_evict(sim, leaf, vm);
	else if (drawn < 34)
		draw_load(sim, leaf, vm);
	else if (drawn < 35)
		draw_strange(sim, leaf, vm);
	else if (drawn < 39 && sim->is_metadata_only)
		draw_running(sim, leaf, vm);
	else if (find_page(sim, vm, SIM_PLAIN, &leaf->rcx)) {
		guest_epa(&leaf->guest, leaf_place(sim, leaf->rcx));
		leaf->is_used = true;
	}
}

static void send(struct sim *sim, struct sim_leaf *leaf)
{
	struct epc_leaf *sent = &leaf->guest.leaf;
	struct sim_instance *caller = &sim->instances[leaf->caller];

	sim->time++;
	leaf->payer = sim_chance(sim, 8) ? sim_cgroup_random(sim) : caller->payer;
	leaf->nr_failures = sim->nr_failures;
	sent->request.instance = caller->instance;
	sent->request.payer = sim->cgroups[leaf->payer].cgroup;
	caller->nr_outstanding++;
	sim->figures.nr_leaves++;
	sim_vm_disturbed(sim, caller->vm);
	sim_trace(sim, "leaf 0x%x instance %d slot %d enclave %d payer %d",
		  (unsigned int)sent->leaf, leaf->rcx.instance, leaf->rcx.slot, leaf->enclave,
		  leaf->payer);
	epc_leaf(sim->epc, sent);
	sim_after(sim, "leaf");
}

void sim_leaf_random(struct sim *sim)
{
	int caller = (int)sim_below(sim, SIM_NR_INSTANCES);
	struct sim_leaf *leaf = NULL;

	for (int i = 0; i < SIM_NR_LEAVES && !leaf; i++)
		if (!sim->leaves[i].is_used)
			leaf = &sim->leaves[i];
	if (!leaf || sim->instances[caller].life != SIM_OPEN)
		return;
	memset(leaf, 0, sizeof(*leaf));
	leaf->enclave = SIM_NOBODY;
	leaf->blob = SIM_NOBODY;
	leaf->caller = caller;
	draw(sim, leaf, sim->instances[caller].vm);
	/* its page may get two values more, and an operation one */
	if (leaf->is_used && page_at(sim, leaf->rcx)->nr_allowed + 5 > SIM_STAMPS_MAX)
		leaf->is_used = false;
	if (leaf->is_used)
		send(sim, leaf);
}

bool sim_leaf_interrupt(struct sim *sim, struct sim_leaf *leaf)
{
	if (!leaf->is_used)
		return false;
	bool is_parked = leaf->guest.leaf.request.waits_at;

	leaf->is_interrupted = true;
	epc_interrupt(sim->epc, &leaf->guest.leaf.request);
	sim_after(sim, "interrupt of a leaf");
	if (is_parked && leaf->is_used)
		sim_fail(sim, "an interrupted leaf is not answered at once");
	return is_parked;
}
