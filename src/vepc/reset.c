/* SPDX-License-Identifier: MIT */
/*
 * The reset of a VM: by one call where the device has it and it means this VM and nothing else, by
 * the kernel's protocol of two rounds otherwise. Interface and rules: epc/vepc.h.
 */
#include <asm/sgx.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "epc/abi.h"
#include "vepc/internal.h"

/*
 * To the device a VM is what one process has opened. A process with two VMs, or with sections from
 * elsewhere, must not reset what is not meant.
 */
static bool is_whole_vm(const struct vepc_vm *vm)
{
	struct vepc_info info;

	if (vm->opener != getpid())
		return false;
	for (unsigned int i = 0; i < vm->nr_sections; i++) {
		if (!vm->parts[i].is_own || vepc_section_info(vm, i, &info))
			return false;
		if (!(info.capabilities & EPC_CAP_RESET_VM) || info.nr_instances != vm->nr_sections)
			return false;
	}
	return true;
}

/* The first section that fails is the one to tell of. */
static void note(struct vepc_reset *reset, int *error, unsigned int section, int value)
{
	if (*error)
		return;
	*error = value < 0 ? value : -ENOTEMPTY;
	reset->section = section;
	reset->nr_remaining = value < 0 ? 0 : (uint64_t)value;
}

static int remove_all(const struct vepc_vm *vm, struct vepc_reset *reset, unsigned int section)
{
	reset->nr_calls++;
	return vepc_section_ioctl(vm, section, SGX_IOC_VEPC_REMOVE_ALL, NULL);
}

static int reset_by_rounds(const struct vepc_vm *vm, struct vepc_reset *reset)
{
	bool has_reported[VEPC_NR_SECTIONS_MAX] = { false };
	int error = 0;

	/*
	 * Round one goes over all even if one is busy: children that are removed in a later section
	 * may be what its SECS waits for. Any other error will not be another one the next time.
	 */
	for (unsigned int i = 0; i < vm->nr_sections; i++) {
		int value = remove_all(vm, reset, i);

		has_reported[i] = value != 0;
		if (value < 0 && value != -EBUSY) {
			has_reported[i] = false;
			note(reset, &error, i, value);
		}
	}
	for (unsigned int i = 0; i < vm->nr_sections; i++) {
		int value = has_reported[i] ? remove_all(vm, reset, i) : 0;

		if (value)
			note(reset, &error, i, value);
	}
	return error;
}

int vepc_vm_reset(struct vepc_vm *vm, struct vepc_reset *reset)
{
	struct vepc_reset unread;

	if (!reset)
		reset = &unread;
	memset(reset, 0, sizeof(*reset));
	if (!vm->nr_sections)
		return -ENXIO;
	/* Whatever it says but 0: the rounds will do it, or name the section that keeps them. */
	if (is_whole_vm(vm) && vepc_section_ioctl(vm, 0, EPC_IOC_VEPC_RESET_VM, NULL) == 0) {
		reset->is_one_call = true;
		return 0;
	}
	return reset_by_rounds(vm, reset);
}
