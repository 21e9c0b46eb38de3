/* SPDX-License-Identifier: MIT */
/*
 * The model of enclaves: which pages belong to which, and what a reset must leave of them. It
 * follows the outcomes of leaves; what a reset takes away is looked up in the core's reports, and
 * is wrong when nothing covers the page.
 */
#include "sim.h"

bool sim_is_hidden(const struct epc_page_report *report)
{
	return report->is_owned && report->epcm.is_valid &&
	       (report->epcm.type != SGX_PT_REG || report->epcm.is_blocked);
}

void sim_enclave_forget(struct sim *sim, int instance, int slot)
{
	struct sim_page *page = &sim->instances[instance].pages[slot];
	struct sim_enclave *enclave = &sim->enclaves[page->enclave];

	if (page->kind == SIM_SECS)
		enclave->has_secs = false;
	if (page->kind == SIM_CHILD) {
		enclave->nr_children--;
		enclave->nr_inside -= page->is_inside;
	}
	page->kind = SIM_PLAIN;
	page->is_hidden = false;
	page->is_inside = false;
}

void sim_enclave_look(struct sim *sim, int number, int slot, const struct epc_page_report *report)
{
	struct sim_page *page = &sim->instances[number].pages[slot];
	bool is_valid = report->is_owned && report->epcm.is_valid;

	if (sim_leaf_is_on(sim, number, slot))
		return; /* it may be executed, its reply will tell */
	if (is_valid && page->kind == SIM_PLAIN)
		sim_fail(sim, "instance %d page 0x%llx is an enclave's, no leaf has made it so",
			 number, (unsigned long long)sim_slot_index(slot));
	if (is_valid && sim_is_hidden(report) != page->is_hidden)
		sim_fail(sim, "instance %d page 0x%llx is hidden, or is not, without a leaf",
			 number, (unsigned long long)sim_slot_index(slot));
	if (is_valid || page->kind == SIM_PLAIN)
		return;
	if (!sim_content_is_in_operation(sim, number, slot))
		sim_fail(sim, "instance %d page 0x%llx is no enclave's any more", number,
			 (unsigned long long)sim_slot_index(slot));
	sim_enclave_forget(sim, number, slot);
}

/* Its pages go, in what order and when is the core's. */
void sim_enclave_released(struct sim *sim, int number)
{
	struct sim_instance *instance = &sim->instances[number];

	for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
		struct sim_page *page = &instance->pages[slot];

		if (page->kind == SIM_CHILD)
			sim->enclaves[page->enclave].is_loose = true;
		sim_enclave_forget(sim, number, slot);
	}
	sim_vm_disturbed(sim, instance->vm);
}

bool sim_vm_has_threads(const struct sim *sim, uint64_t vm)
{
	for (int i = 0; i < SIM_NR_INSTANCES; i++) {
		const struct sim_instance *instance = &sim->instances[i];

		for (int slot = 0; instance->vm == vm && slot < SIM_NR_SLOTS; slot++)
			if (instance->life != SIM_UNUSED && instance->pages[slot].is_inside)
				return true;
	}
	return false;
}

bool sim_vm_is_in_operation(const struct sim *sim, uint64_t vm)
{
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		if (sim->operations[i].phase != SIM_OPERATION_UNUSED && sim->operations[i].vm == vm)
			return true;
	return false;
}

void sim_vm_disturbed(struct sim *sim, uint64_t vm)
{
	for (int i = 0; i < SIM_NR_OPERATIONS; i++)
		if (sim->operations[i].vm == vm)
			sim->operations[i].is_alone = false;
}

/* SECS pages of the operation's range that are left; whatever else is left there is wrong. */
static int count_left(struct sim *sim, const struct sim_operation *operation, int number)
{
	const struct sim_instance *instance = &sim->instances[number];
	int nr_left = 0;

	for (int slot = 0; slot < SIM_NR_SLOTS; slot++) {
		const struct sim_page *page = &instance->pages[slot];

		if (page->kind == SIM_PLAIN ||
		    !sim_operation_covers(operation, sim_slot_index(slot)))
			continue;
		if (page->kind != SIM_SECS)
			sim_fail(sim, "instance %d page 0x%llx is an enclave's after its reset",
				 number, (unsigned long long)sim_slot_index(slot));
		if (!sim->enclaves[page->enclave].nr_children &&
		    !sim->enclaves[page->enclave].is_loose)
			sim_fail(sim, "instance %d: a SECS page without children is left", number);
		nr_left++;
	}
	return nr_left;
}

void sim_enclave_check_operation(struct sim *sim, const struct sim_operation *operation)
{
	int nr_left = 0;

	if (!operation->is_alone || operation->request.result < 0)
		return;
	for (int i = 0; i < SIM_NR_INSTANCES; i++)
		if (sim->instances[i].life != SIM_UNUSED &&
		    sim_operation_concerns(sim, operation, i))
			nr_left += count_left(sim, operation, i);
	if (nr_left != operation->request.result)
		sim_fail(sim, "%d SECS pages are left, the operation says %d", nr_left,
			 operation->request.result);
	if (nr_left && (operation->kind == SIM_RESET_VM || operation->kind == SIM_LOSE_VM))
		sim_fail(sim, "%d SECS pages are left of a whole VM", nr_left);
}
