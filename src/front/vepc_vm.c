/* SPDX-License-Identifier: MIT */
/* VMs: which instances one process has open; see vepc_internal.h. */
#include "front/vepc_internal.h"

#include <stdlib.h>

/* A process that is not known, of another pid namespace, say, has a VM for each instance. */
static bool is_known(const struct vepc *opener)
{
	return opener->pid > 0 && opener->start_time;
}

static struct vepc_vm **bucket_of(struct vepc_table *table, int pid)
{
	return &table->vms[(unsigned int)pid % VEPC_NR_VM_BUCKETS];
}

static struct vepc_vm *find(struct vepc_table *table, const struct vepc *opener)
{
	struct vepc_vm *vm = is_known(opener) ? *bucket_of(table, opener->pid) : NULL;

	while (vm && (vm->pid != opener->pid || vm->start_time != opener->start_time))
		vm = vm->next;
	return vm;
}

static struct vepc_vm *vm_new(struct vepc_table *table, const struct vepc *opener)
{
	struct vepc_vm *vm = calloc(1, sizeof(*vm));
	struct vepc_vm **bucket;

	if (!vm)
		return NULL;
	vm->pid = opener->pid;
	vm->start_time = opener->start_time;
	if (is_known(opener)) {
		bucket = bucket_of(table, vm->pid);
		vm->next = *bucket;
		*bucket = vm;
	}
	return vm;
}

bool vepc_vm_join(struct vepc_table *table, struct vepc_instance *instance)
{
	struct vepc_vm *vm = find(table, &instance->vepc);

	if (!vm)
		vm = vm_new(table, &instance->vepc);
	if (!vm)
		return false;
	instance->vm = vm;
	vm->nr_instances++;
	instance->vm_next = vm->open ? vm->open : instance;
	instance->vm_prev = vm->open ? vm->open->vm_prev : instance;
	instance->vm_next->vm_prev = instance;
	instance->vm_prev->vm_next = instance;
	vm->open = instance;
	return true;
}

struct vepc_instance *vepc_vm_sibling(const struct vepc_instance *instance)
{
	return instance->vm_next == instance ? NULL : instance->vm_next;
}

void vepc_vm_leave(struct vepc_table *table, struct vepc_instance *instance)
{
	struct vepc_vm *vm = instance->vm;
	struct vepc_vm **link;

	vm->open = vepc_vm_sibling(instance);
	instance->vm_next->vm_prev = instance->vm_prev;
	instance->vm_prev->vm_next = instance->vm_next;
	instance->vm_next = instance->vm_prev = instance;
	if (vm->open || !is_known(&instance->vepc))
		return;
	/* What the process opens from now on is another VM. */
	link = bucket_of(table, vm->pid);
	while (*link != vm)
		link = &(*link)->next;
	*link = vm->next;
}

void vepc_vm_put(struct vepc_instance *instance)
{
	struct vepc_vm *vm = instance->vm;

	if (--vm->nr_instances == 0)
		free(vm);
}
