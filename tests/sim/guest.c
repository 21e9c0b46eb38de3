/* SPDX-License-Identifier: MIT */
/*
 * The guests: draw the next leaf of a VM, with operands that fit what the model knows, and send it
 * down. What it must do is told in leaf.c.
 */
#include <string.h>

#include "sim.h"

#define BASE(enclave) (UINT64_C(1) << 46 | (uint64_t)(enclave) << 31)
#define SIZE (UINT64_C(1) << 31)
#define NR_VA_SLOTS 4 /* that are used */

static struct sim_page *page_at(struct sim *sim, struct sim_place place)
{
	return &sim->instances[place.instance].pages[place.slot];
}

static struct epc_leaf_place leaf_place(const struct sim *sim, struct sim_place place)
{
	return guest_place(sim->instances[place.instance].instance, sim_slot_index(place.slot));
}

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
	if (sim_chance(sim, 3) && is_usable(sim, leaf->enclave, vm)) {
		leaf->rcx = sim->enclaves[leaf->enclave].secs;
		guest_simple(&leaf->guest, SGX_ETRACK, leaf_place(sim, leaf->rcx));
		leaf->blob = SIM_NOBODY;
		leaf->is_used = true;
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
	if (sim_chance(sim, 3)) /* it is refused then, and what came out is nobody's */
		leaf->guest.info[sizeof(struct sgx_pcmd) - 1] ^= 1;
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
	uint64_t drawn = sim_below(sim, 42);

	if (drawn < 5)
		draw_ecreate(sim, leaf, vm);
	else if (drawn < 20)
		draw_add(sim, leaf, vm);
	else if (drawn < 27)
		draw_simple(sim, leaf, vm);
	else if (drawn < 33)
		draw_evict(sim, leaf, vm);
	else if (drawn < 36)
		draw_load(sim, leaf, vm);
	else if (drawn < 37)
		draw_strange(sim, leaf, vm);
	else if (drawn < 41 && sim->is_metadata_only)
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
