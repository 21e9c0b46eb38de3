/* SPDX-License-Identifier: MIT */
/*
 * Leaves that the core has, and their replies: what each must have done to its page, to the charge
 * and to the contents. Which leaves are sent is guest.c's.
 */
#include <errno.h>
#include <string.h>

#include "sim.h"

#define UNMAPS_MAX 16 /* epc.h: EBUSY */

static struct sim_page *page_at(struct sim *sim, struct sim_place place)
{
	return &sim->instances[place.instance].pages[place.slot];
}

static bool makes_page(const struct epc_leaf *leaf)
{
	return !leaf->is_enclu &&
	       (leaf->leaf == SGX_ECREATE || leaf->leaf == SGX_EADD || leaf->leaf == SGX_EPA ||
		leaf->leaf == SGX_EAUG || leaf->leaf == SGX_ELDU || leaf->leaf == SGX_ELDB);
}

bool sim_leaf_names(const struct sim_leaf *leaf, const struct epc_instance *instance)
{
	const struct epc_leaf *sent = &leaf->guest.leaf;

	return leaf->is_used &&
	       (sent->rcx.instance == instance || sent->rdx.instance == instance ||
		sent->secs.instance == instance || sent->rbx_place.instance == instance);
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
	struct sim_page *page = page_at(sim, leaf->rcx);

	if (page->kind == SIM_PLAIN)
		return; /* EREMOVE of a page that is no enclave's */
	sim_enclave_forget(sim, leaf->rcx.instance, leaf->rcx.slot);
	if (!leaf->is_overtaken)
		sim_content_set(sim, leaf->rcx.instance, leaf->rcx.slot, 0);
	else /* or it was none already, and keeps its bytes */
		sim_content_allow(sim, page, 0);
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
	if (sim_content_is_in_operation(sim, leaf->rcx.instance, leaf->rcx.slot))
		sim_content_allow(sim, page, 0);
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

/* An operation that ends does not look at a page on which a leaf still waits: what is it now? */
static bool is_unsure(const struct sim *sim, struct sim_place place, const struct sim_leaf *but)
{
	for (int i = 0; i < SIM_NR_LEAVES; i++) {
		const struct sim_leaf *leaf = &sim->leaves[i];

		if (leaf->is_used && leaf != but && leaf->is_overtaken &&
		    leaf->rcx.instance == place.instance && leaf->rcx.slot == place.slot)
			return true;
	}
	return false;
}

/* Where the model knows all that counts. */
static void check_outcome(struct sim *sim, const struct sim_leaf *leaf)
{
	const struct sim_page *page = page_at(sim, leaf->rcx);
	const struct sim_enclave *enclave = &sim->enclaves[page->enclave];
	const struct epc_leaf *done = &leaf->guest.leaf;
	int expected = 0;

	if (done->is_enclu || leaf->is_overtaken ||
	    sim_vm_is_in_operation(sim, sim->instances[leaf->rcx.instance].vm) ||
	    is_unsure(sim, leaf->rcx, leaf) ||
	    (leaf->enclave != SIM_NOBODY &&
	     is_unsure(sim, sim->enclaves[leaf->enclave].secs, leaf)))
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
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (sim->instances[i].life == SIM_RELEASED &&
		    sim_leaf_names(leaf, sim->instances[i].instance))
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

/* What it has left behind, also when it has failed half way: a page, charged to its payer. */
static void take_over(struct sim *sim, const struct sim_leaf *leaf)
{
	struct sim_page *page = page_at(sim, leaf->rcx);
	struct epc_page_report report;

	epc_page_report(sim->epc, sim->instances[leaf->rcx.instance].instance,
			sim_slot_index(leaf->rcx.slot), &report);
	if (report.is_owned && !page->is_owned && makes_page(&leaf->guest.leaf) &&
	    report.payer == leaf->guest.leaf.request.payer) {
		page->is_owned = true;
		page->payer = leaf->payer;
	}
	if (leaf->is_overtaken && page->kind != SIM_PLAIN && !report.epcm.is_valid)
		sim_enclave_forget(sim, leaf->rcx.instance, leaf->rcx.slot);
}

void sim_leaf_replied(struct sim *sim, struct sim_leaf *leaf)
{
	int result = leaf->guest.leaf.request.result;
	bool is_live = sim->instances[leaf->rcx.instance].life != SIM_RELEASED;

	sim->time++;
	sim->nr_pages_answered++;
	sim_trace(sim, "  reply leaf 0x%x instance %d slot %d result %d outcome 0x%x",
		  (unsigned int)leaf->guest.leaf.leaf, leaf->rcx.instance, leaf->rcx.slot, result,
		  (unsigned int)leaf->guest.leaf.outcome);
	if (result != 0) {
		check_error(sim, leaf);
	} else if (!is_live || leaf->is_foreign) {
		sim_fail(sim, "a leaf is executed on a released instance, or another VM's");
	} else {
		sim_charge_look(sim, leaf->rcx.instance, leaf->rcx.slot);
		leaf_executed(sim, leaf);
	}
	if (is_live && !leaf->is_foreign)
		take_over(sim, leaf);
	leaf->is_used = false;
	if (result == 0)
		sim_charge_look(sim, leaf->rcx.instance, leaf->rcx.slot);
	sim->instances[leaf->caller].nr_outstanding--;
	sim->figures.nr_leaf_errors += result != 0;
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
