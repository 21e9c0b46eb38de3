/* SPDX-License-Identifier: MIT */
/* VMs: which instances one process has open; see instance_internal.h. */
#include "front/instance_internal.h"

#include <stdlib.h>

/*
 * An enclave of a host process is a VM of its own. A process that is not known, of another pid
 * namespace, say, has a VM for each instance.
 */
static bool is_known(const struct instance *opener)
{
	return !opener->enclave && opener->pid > 0 && opener->start_time;
}

static struct instance_vm **bucket_of(struct instance_table *table, int pid)
{
	return &table->vms[(unsigned int)pid % INSTANCE_NR_VM_BUCKETS];
}

static struct instance_vm *find(struct instance_table *table, const struct instance *opener)
{
	struct instance_vm *vm = is_known(opener) ? *bucket_of(table, opener->pid) : NULL;

	while (vm && (vm->pid != opener->pid || vm->start_time != opener->start_time))
		vm = vm->next;
	return vm;
}

static struct instance_vm *vm_new(struct instance_table *table, const struct instance *opener)
{
	struct instance_vm *vm = calloc(1, sizeof(*vm));
	struct instance_vm **bucket;

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

bool instance_vm_join(struct instance_table *table, struct instance *instance)
{
	struct instance_vm *vm = find(table, instance);

	if (!vm)
		vm = vm_new(table, instance);
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

struct instance *instance_vm_sibling(const struct instance *instance)
{
	return instance->vm_next == instance ? NULL : instance->vm_next;
}

void instance_vm_leave(struct instance_table *table, struct instance *instance)
{
	struct instance_vm *vm = instance->vm;
	struct instance_vm **link;

	vm->open = instance_vm_sibling(instance);
	instance->vm_next->vm_prev = instance->vm_prev;
	instance->vm_prev->vm_next = instance->vm_next;
	instance->vm_next = instance->vm_prev = instance;
	if (vm->open || !is_known(instance))
		return;
	/* What the process opens from now on is another VM. */
	link = bucket_of(table, vm->pid);
	while (*link != vm)
		link = &(*link)->next;
	*link = vm->next;
}

void instance_vm_put(struct instance *instance)
{
	struct instance_vm *vm = instance->vm;

	if (--vm->nr_instances == 0)
		free(vm);
}
