/* SPDX-License-Identifier: MIT */
/*
 * A VM's sections: opened, mapped, placed in guest physical memory, told to the guest by CPUID; and
 * what epcd knows of one. Interface: epc/vepc.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "epc/abi.h"
#include "vepc/internal.h"

#define NR_INTERRUPTED_MAX 1000u /* an ioctl that is never let through is not tried for ever */

#define CPUID_FIRST_SECTION 2u
#define CPUID_EPC_SECTION 1u	   /* EAX 3:0 */
#define CPUID_EPC_PROTECTED 1u	   /* ECX 3:0: confidentiality and integrity */
#define CPUID_LOW_MASK 0xfffff000u /* bits 31:12 of an address or a size */

_Static_assert(VEPC_UNLIMITED == EPC_UNLIMITED, "limits go through as they are");

int vepc_vm_new_over(const struct vepc_device_ops *ops, void *ops_context, struct vepc_vm **vm)
{
	struct vepc_vm *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->ops = ops;
	new->ops_context = ops_context;
	*vm = new;
	return 0;
}

int vepc_vm_new(struct vepc_vm **vm)
{
	return vepc_vm_new_over(&vepc_device_real, NULL, vm);
}

void vepc_vm_free(struct vepc_vm *vm)
{
	if (!vm)
		return;
	vepc_vm_unguard(vm);
	for (unsigned int i = 0; i < vm->nr_sections; i++) {
		struct vepc_section *section = &vm->parts[i].section;

		vm->ops->unmap(vm->ops_context, section->address, section->size_bytes);
		vm->ops->close(vm->ops_context, section->fd);
	}
	free(vm);
}

unsigned int vepc_vm_nr_sections(const struct vepc_vm *vm)
{
	return vm->nr_sections;
}

static int can_add(const struct vepc_vm *vm, uint64_t size_bytes)
{
	if (size_bytes == 0 || size_bytes % VEPC_PAGE_BYTES || size_bytes > VEPC_SIZE_MAX)
		return -EINVAL;
	if (vm->nr_sections == VEPC_NR_SECTIONS_MAX)
		return -E2BIG;
	return vm->is_guarded ? -EBUSY : 0;
}

static int part_add(struct vepc_vm *vm, int fd, bool is_own, uint64_t size_bytes,
		    unsigned int *number)
{
	struct vepc_part *part = &vm->parts[vm->nr_sections];
	int error;

	memset(part, 0, sizeof(*part));
	error = vm->ops->map(vm->ops_context, fd, size_bytes, &part->section.address);
	if (error)
		return error;
	part->section.size_bytes = size_bytes;
	part->section.fd = fd;
	part->is_own = is_own;
	vm->is_placed = false;
	if (number)
		*number = vm->nr_sections;
	vm->nr_sections++;
	return 0;
}

int vepc_section_open(struct vepc_vm *vm, const char *device, uint64_t size_bytes,
		      unsigned int *number)
{
	pid_t self = getpid();
	int error = can_add(vm, size_bytes);
	int fd;

	if (error)
		return error;
	fd = vm->ops->open(vm->ops_context, device ? device : VEPC_DEVICE);
	if (fd < 0)
		return fd;
	if (!vm->opener)
		vm->opener = self;
	error = part_add(vm, fd, vm->opener == self, size_bytes, number);
	if (error)
		vm->ops->close(vm->ops_context, fd);
	return error;
}

int vepc_section_adopt(struct vepc_vm *vm, int fd, uint64_t size_bytes, unsigned int *number)
{
	int error = can_add(vm, size_bytes);

	return error ? error : part_add(vm, fd, false, size_bytes, number);
}

int vepc_section_get(const struct vepc_vm *vm, unsigned int number, struct vepc_section *section)
{
	if (number >= vm->nr_sections)
		return -EINVAL;
	*section = vm->parts[number].section;
	if (!vm->is_placed)
		section->guest_base = 0;
	return 0;
}

int vepc_vm_place(struct vepc_vm *vm, uint64_t guest_base, uint64_t *guest_end)
{
	uint64_t bases[VEPC_NR_SECTIONS_MAX];
	uint64_t end = guest_base;

	if (guest_base % VEPC_PAGE_BYTES)
		return -EINVAL;
	if (!vm->nr_sections)
		return -ENXIO;
	if (guest_base > VEPC_GUEST_END)
		return -ERANGE;
	for (unsigned int i = 0; i < vm->nr_sections; i++) {
		bases[i] = end;
		if (vm->parts[i].section.size_bytes > VEPC_GUEST_END - end)
			return -ERANGE;
		end += vm->parts[i].section.size_bytes;
	}
	for (unsigned int i = 0; i < vm->nr_sections; i++)
		vm->parts[i].section.guest_base = bases[i];
	vm->is_placed = true;
	if (guest_end)
		*guest_end = end;
	return 0;
}

int vepc_vm_cpuid(const struct vepc_vm *vm, uint32_t subleaf, struct vepc_cpuid *cpuid)
{
	const struct vepc_section *section;

	if (subleaf < CPUID_FIRST_SECTION)
		return -EINVAL;
	if (vm->nr_sections && !vm->is_placed)
		return -ENXIO;
	memset(cpuid, 0, sizeof(*cpuid));
	if (subleaf - CPUID_FIRST_SECTION >= vm->nr_sections)
		return 0;
	section = &vm->parts[subleaf - CPUID_FIRST_SECTION].section;
	cpuid->eax = ((uint32_t)section->guest_base & CPUID_LOW_MASK) | CPUID_EPC_SECTION;
	cpuid->ebx = (uint32_t)(section->guest_base >> 32);
	cpuid->ecx = ((uint32_t)section->size_bytes & CPUID_LOW_MASK) | CPUID_EPC_PROTECTED;
	cpuid->edx = (uint32_t)(section->size_bytes >> 32);
	return 0;
}

int vepc_section_ioctl(const struct vepc_vm *vm, unsigned int section, unsigned long request,
		       void *argument)
{
	int value = -EINTR;

	for (unsigned int i = 0; i < NR_INTERRUPTED_MAX && value == -EINTR; i++)
		value = vm->ops->ioctl(vm->ops_context, vm->parts[section].section.fd, request,
				       argument);
	return value;
}

/* A device that does not know an ioctl of epcd's is another one, and that is no error of it. */
static int section_ask_epcd(const struct vepc_vm *vm, unsigned int section, unsigned long request,
			    void *argument)
{
	int value;

	if (section >= vm->nr_sections)
		return -EINVAL;
	value = vepc_section_ioctl(vm, section, request, argument);
	if (value == -ENOTTY)
		return -EOPNOTSUPP;
	return value < 0 ? value : 0;
}

int vepc_section_info(const struct vepc_vm *vm, unsigned int section, struct vepc_info *info)
{
	struct epc_vepc_info told = { 0 };
	int error = section_ask_epcd(vm, section, EPC_IOC_VEPC_INFO, &told);

	if (error)
		return error;
	*info = (struct vepc_info){
		.id = told.id,
		.charged_bytes = told.charged_bytes,
		.limit_bytes = told.limit_bytes,
		.nr_secs = told.nr_secs,
		.capabilities = told.capabilities,
		.nr_instances = told.nr_instances,
	};
	return 0;
}

int vepc_section_set_limit(const struct vepc_vm *vm, unsigned int section, uint64_t limit_bytes)
{
	struct epc_vepc_limit limit = { .limit_bytes = limit_bytes };

	return section_ask_epcd(vm, section, EPC_IOC_VEPC_SET_LIMIT, &limit);
}
