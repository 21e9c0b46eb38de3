/* SPDX-License-Identifier: MIT */
/*
 * The guest of a random layout: builds enclaves all over the VM's sections, changes, enters, blocks
 * and evicts, and keeps in mind what each page is. What is done to the layout is layouts.c's.
 */
#include <errno.h>

#include "layouts.h"

#define NR_VA_SLOTS 8 /* that are used */

/* ---- places ---- */

uint64_t layouts_index(const struct layouts *l, int slot)
{
	if (slot < (int)l->nr_slots - NR_FAR)
		return (uint64_t)slot;
	return (UINT64_C(1) << 33) + 510 + (uint64_t)slot;
}

struct page *layouts_page(struct layouts *l, struct place place)
{
	return &l->instances[place.instance].pages[place.slot];
}

struct epc_leaf_place layouts_place(struct layouts *l, struct place place)
{
	return guest_place(l->instances[place.instance].instance, layouts_index(l, place.slot));
}

bool layouts_is_open(const struct layouts *l, int instance)
{
	return l->instances[instance].instance && !l->instances[instance].is_released;
}

/* A page of an open section of the VM of that kind; false: none was found. */
static bool find_page(struct layouts *l, enum kind kind, struct place *place)
{
	for (int i = 0; i < 24; i++) {
		place->instance = (int)layouts_below(l, l->nr_sections);
		place->slot = (int)layouts_below(l, l->nr_slots);
		if (layouts_is_open(l, place->instance) && layouts_page(l, *place)->kind == kind)
			return true;
	}
	return false;
}

/* Where a page can be made. */
bool layouts_find_vacant(struct layouts *l, struct place *place)
{
	return find_page(l, layouts_chance(l, 4) ? PLAIN : UNTOUCHED, place);
}

/* ---- leaves ---- */

bool layouts_execute(struct layouts *l, struct place rcx)
{
	struct epc_request *request = &l->guest.leaf.request;

	request->instance = l->instances[rcx.instance].instance;
	request->payer = l->cgroups[layouts_below(l, NR_CGROUPS)];
	request->result = PENDING;
	epc_leaf(l->epc, &l->guest.leaf);
	layouts_after(l);
	while (request->result == PENDING)
		if (!layouts_work(l) && request->result == PENDING)
			layouts_fail(l, "a leaf is never executed");
	if (request->result != 0)
		layouts_fail(l, "a leaf gives %d", request->result);
	l->nr_leaves++;
	l->nr_ok += l->guest.leaf.outcome == 0;
	if (layouts_page(l, rcx)->kind == UNTOUCHED && !l->guest.leaf.is_enclu &&
	    (l->guest.leaf.leaf <= SGX_EADD || l->guest.leaf.leaf == SGX_EPA ||
	     l->guest.leaf.leaf == SGX_EAUG || l->guest.leaf.leaf == SGX_ELDU))
		layouts_page(l, rcx)->kind = PLAIN;
	return l->guest.leaf.outcome == 0;
}

static void leaf_ecreate(struct layouts *l)
{
	struct place place;
	int number = 0;

	while (number < (int)l->nr_enclaves && l->enclaves[number].secs.instance != NOBODY)
		number++;
	if (number == (int)l->nr_enclaves || !layouts_find_vacant(l, &place))
		return;
	guest_ecreate(&l->guest, layouts_place(l, place),
		      UINT64_C(1) << 46 | (uint64_t)number << 31, UINT64_C(1) << 31);
	if (!layouts_execute(l, place))
		layouts_fail(l, "ECREATE gives %#x", (unsigned int)l->guest.leaf.outcome);
	l->enclaves[number] = (struct enclave){ .secs = place };
	*layouts_page(l, place) = (struct page){ .kind = SECS, .enclave = number };
}

static int random_enclave(struct layouts *l)
{
	int number = (int)layouts_below(l, l->nr_enclaves);

	for (unsigned int i = 0; i < l->nr_enclaves; i++) {
		struct place secs = l->enclaves[number].secs;

		if (secs.instance != NOBODY && layouts_is_open(l, secs.instance))
			return number;
		number = (number + 1) % (int)l->nr_enclaves;
	}
	return NOBODY;
}

static void leaf_add(struct layouts *l)
{
	int number = random_enclave(l);
	bool is_tcs = layouts_chance(l, 3);
	struct enclave *enclave;
	struct place place;
	uint64_t linaddr;

	if (number == NOBODY || !layouts_find_vacant(l, &place))
		return;
	enclave = &l->enclaves[number];
	linaddr = (UINT64_C(1) << 46 | (uint64_t)number << 31) + enclave->nr_ever * EPC_PAGE_SIZE;
	if (enclave->is_initialised)
		guest_eaug(&l->guest, layouts_place(l, place), layouts_place(l, enclave->secs),
			   linaddr);
	else
		guest_eadd(&l->guest, layouts_place(l, place), layouts_place(l, enclave->secs),
			   linaddr, is_tcs ? GUEST_TCS : GUEST_REG_RW);
	if (!layouts_execute(l, place))
		layouts_fail(l, "EADD or EAUG gives %#x", (unsigned int)l->guest.leaf.outcome);
	enclave->nr_ever++;
	enclave->nr_children++;
	*layouts_page(l, place) = (struct page){
		.kind = CHILD,
		.enclave = number,
		.linaddr = linaddr,
		.is_tcs = is_tcs && !enclave->is_initialised,
	};
}

static void leaf_einit(struct layouts *l)
{
	int number = random_enclave(l);

	if (number == NOBODY)
		return;
	guest_einit(&l->guest, layouts_place(l, l->enclaves[number].secs));
	if (layouts_execute(l, l->enclaves[number].secs))
		l->enclaves[number].is_initialised = true;
	else if (!l->enclaves[number].is_initialised)
		layouts_fail(l, "EINIT gives %#x", (unsigned int)l->guest.leaf.outcome);
}

/* Changes of a child that leave it a child. */
static void leaf_modify(struct layouts *l)
{
	struct place place;

	if (!find_page(l, CHILD, &place))
		return;
	switch (layouts_below(l, 4)) {
	case 0:
		guest_simple(&l->guest, SGX_EBLOCK, layouts_place(l, place));
		break;
	case 1:
		guest_modify(&l->guest, SGX_EMODT, layouts_place(l, place),
			     layouts_chance(l, 3) ? GUEST_TCS : GUEST_TRIM);
		break;
	case 2:
		guest_modify(&l->guest, SGX_EMODPR, layouts_place(l, place),
			     SGX_SECINFO_R | (uint64_t)SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT);
		break;
	default:
		if (!layouts_is_open(l, l->enclaves[layouts_page(l, place)->enclave].secs.instance))
			return;
		guest_simple(&l->guest, SGX_EEXTEND, layouts_place(l, place));
		l->guest.leaf.secs =
			layouts_place(l, l->enclaves[layouts_page(l, place)->enclave].secs);
		break;
	}
	layouts_execute(l, place);
}

/* The enclave accepts a change; the SECINFO lies in some page of it. */
static void leaf_accept(struct layouts *l)
{
	struct place place, info;
	struct page *page;

	if (!find_page(l, CHILD, &place) || !find_page(l, CHILD, &info))
		return;
	page = layouts_page(l, place);
	guest_inside(&l->guest, SGX_EACCEPT, layouts_place(l, place), page->linaddr,
		     layouts_place(l, l->enclaves[page->enclave].secs), layouts_place(l, info),
		     layouts_page(l, info)->linaddr);
	if (!layouts_is_open(l, l->enclaves[page->enclave].secs.instance))
		return;
	layouts_execute(l, place);
}

static void leaf_epa(struct layouts *l)
{
	struct place place;

	if (!layouts_find_vacant(l, &place))
		return;
	guest_epa(&l->guest, layouts_place(l, place));
	if (!layouts_execute(l, place))
		layouts_fail(l, "EPA gives %#x", (unsigned int)l->guest.leaf.outcome);
	*layouts_page(l, place) = (struct page){ .kind = VA };
}

static void leaf_etrack(struct layouts *l)
{
	int number = random_enclave(l);

	if (number == NOBODY)
		return;
	guest_simple(&l->guest, SGX_ETRACK, layouts_place(l, l->enclaves[number].secs));
	layouts_execute(l, l->enclaves[number].secs);
}

/* The page is no page of an enclave any more. */
void layouts_forget(struct layouts *l, struct place place)
{
	struct page *page = layouts_page(l, place);
	struct enclave *enclave = &l->enclaves[page->enclave];

	if (page->kind == SECS)
		enclave->secs.instance = NOBODY;
	if (page->kind == CHILD) {
		enclave->nr_children--;
		enclave->nr_inside -= page->is_inside;
	}
	*page = (struct page){ .kind = page->kind == UNTOUCHED ? UNTOUCHED : PLAIN };
}

static void leaf_eremove(struct layouts *l)
{
	struct place place;
	struct page *page;
	int expected = 0;

	if (!find_page(l, layouts_chance(l, 3) ? SECS : CHILD, &place))
		return;
	page = layouts_page(l, place);
	if (page->kind == SECS && l->enclaves[page->enclave].nr_children)
		expected = SGX_CHILD_PRESENT;
	if (page->kind == CHILD && l->enclaves[page->enclave].nr_inside)
		expected = SGX_ENCLAVE_ACT;
	guest_simple(&l->guest, SGX_EREMOVE, layouts_place(l, place));
	layouts_execute(l, place);
	/* a TRIM page that was accepted goes whoever is inside */
	if (l->guest.leaf.outcome != expected && expected != SGX_ENCLAVE_ACT)
		layouts_fail(l, "EREMOVE gives %#x, not %#x", (unsigned int)l->guest.leaf.outcome,
			     (unsigned int)expected);
	if (l->guest.leaf.outcome == 0)
		layouts_forget(l, place);
}

static void leaf_ewb(struct layouts *l)
{
	static const enum kind kinds[] = { CHILD, CHILD, SECS, VA };
	struct place place, va;
	struct epc_leaf_place slot;

	if (!find_page(l, VA, &va) || !find_page(l, kinds[layouts_below(l, 4)], &place))
		return;
	if (place.instance == va.instance && place.slot == va.slot)
		return;
	slot = layouts_place(l, va);
	slot.offset += 8 * layouts_below(l, NR_VA_SLOTS);
	guest_ewb(&l->guest, layouts_place(l, place), slot);
	layouts_execute(l, place);
	if (l->guest.leaf.outcome == 0 || l->guest.leaf.outcome == SGX_VA_SLOT_OCCUPIED)
		layouts_forget(l, place);
}

static void leaf_thread(struct layouts *l, bool enters)
{
	struct place place, other;
	struct page *page;

	if (!find_page(l, CHILD, &place))
		return;
	for (int i = 0; i < 8 && !layouts_page(l, place)->is_tcs; i++)
		if (find_page(l, CHILD, &other))
			place = other;
	page = layouts_page(l, place);
	guest_thread(&l->guest, enters ? SGX_EENTER : SGX_EEXIT, layouts_place(l, place));
	if (!layouts_execute(l, place))
		return;
	page->is_inside = enters;
	l->enclaves[page->enclave].nr_inside += enters ? 1 : -1u;
}

void layouts_leave(struct layouts *l)
{
	for (int i = 0; i < (int)(l->nr_sections * l->nr_slots); i++) {
		struct place place = { i / (int)l->nr_slots, i % (int)l->nr_slots };
		struct page *page = layouts_page(l, place);

		if (page->kind != CHILD || !page->is_inside || !layouts_is_open(l, place.instance))
			continue;
		guest_thread(&l->guest, SGX_EEXIT, layouts_place(l, place));
		if (!layouts_execute(l, place))
			layouts_fail(l, "EEXIT gives %#x", (unsigned int)l->guest.leaf.outcome);
		page->is_inside = false;
		l->enclaves[page->enclave].nr_inside--;
	}
}

/* A READ: the page is there afterwards, and may be mapped. */
void layouts_touch(struct layouts *l)
{
	struct place place = { (int)layouts_below(l, NR_INSTANCES),
			       (int)layouts_below(l, l->nr_slots) };
	struct epc_request request = { .payer = l->cgroups[layouts_below(l, NR_CGROUPS)],
				       .count = 1 };

	if (!layouts_is_open(l, place.instance))
		return;
	request.instance = l->instances[place.instance].instance;
	request.first = layouts_index(l, place.slot);
	request.result = PENDING;
	epc_read(l->epc, &request);
	layouts_after(l);
	if (request.result != 0)
		layouts_fail(l, "a READ gives %d", request.result);
	epc_delivered(l->epc, request.instance, request.first, 1);
	layouts_after(l);
	if (layouts_page(l, place)->kind == UNTOUCHED)
		layouts_page(l, place)->kind = PLAIN;
}

/* A page of another VM: whoever names it. */
static void leaf_stranger(struct layouts *l)
{
	struct place mine = { 0, (int)layouts_below(l, l->nr_slots) }, theirs = { STRANGER, 0 };
	struct epc_leaf *leaf = &l->guest.leaf;

	if (!layouts_is_open(l, 0) || !layouts_is_open(l, STRANGER))
		return;
	guest_ewb(&l->guest, layouts_place(l, mine), layouts_place(l, mine));
	*(layouts_chance(l, 2) ? &leaf->rcx :
	  layouts_chance(l, 2) ? &leaf->rdx :
				 &leaf->secs) = layouts_place(l, theirs);
	leaf->request.instance = l->instances[0].instance;
	leaf->request.payer = l->cgroups[0];
	leaf->request.result = PENDING;
	epc_leaf(l->epc, leaf);
	layouts_after(l);
	if (leaf->request.result != -EPERM)
		layouts_fail(l, "a leaf on another VM's page gives %d", leaf->request.result);
}

/* ---- a layout ---- */

void layouts_build(struct layouts *l, uint64_t nr_steps)
{
	l->doing = "building";
	for (; nr_steps; nr_steps--) {
		switch (layouts_below(l, 24)) {
		case 0:
		case 1:
		case 2:
			leaf_ecreate(l);
			break;
		case 3:
			leaf_einit(l);
			break;
		case 4:
		case 5:
			leaf_modify(l);
			break;
		case 6:
			leaf_accept(l);
			break;
		case 7:
			leaf_etrack(l);
			break;
		case 8:
			leaf_eremove(l);
			break;
		case 9:
			leaf_epa(l);
			break;
		case 10:
			leaf_ewb(l);
			break;
		case 11:
		case 12:
			leaf_thread(l, !layouts_chance(l, 3));
			break;
		case 13:
			leaf_stranger(l);
			break;
		case 14:
		case 15:
		case 16:
			layouts_touch(l);
			break;
		default:
			leaf_add(l);
			break;
		}
	}
}
