/* SPDX-License-Identifier: MIT */
/*
 * The instances of one VM, and the requests that go over all of them: two rounds, in the first one
 * children and whatever SECS has none left, in the second the SECS pages that are left (mission
 * V5). At each instance such a request queues with the instance's own (operation.c).
 */
#include "core/internal.h"

struct epc_vm *vm_get(struct epc *epc, struct epc_instance *sibling)
{
	struct epc_vm *vm;

	if (sibling)
		return sibling->vm;
	vm = epc_alloc(epc, sizeof(*vm));
	if (!vm)
		return NULL;
	list_init(&vm->instances);
	list_init(&vm->requests);
	list_init(&vm->leaves);
	list_init(&vm->wake_node);
	return vm;
}

void vm_join(struct epc_vm *vm, struct epc_instance *instance)
{
	instance->vm = vm;
	list_add_tail(&vm->instances, &instance->vm_node);
	vm->nr_open++;
}

/* The last one has no request (it is released) and no leaf (they pin the instances they name). */
void vm_leave(struct epc *epc, struct epc_instance *instance)
{
	list_remove(&instance->vm_node);
	if (!list_is_empty(&instance->vm->instances))
		return;
	list_remove(&instance->vm->wake_node);
	epc_dealloc(epc, instance->vm, sizeof(*instance->vm));
}

bool epc_is_same_vm(const struct epc_instance *a, const struct epc_instance *b)
{
	return a->vm == b->vm;
}

/* The next one that this round has not seen, or NULL. */
static struct epc_instance *unseen(struct epc_vm *vm, uint64_t round)
{
	while (!list_is_empty(&vm->instances)) {
		struct epc_instance *instance =
			LIST_ENTRY(vm->instances.next, struct epc_instance, vm_node);

		if (instance->vm_round == round)
			return NULL;
		instance->vm_round = round;
		list_move_tail(&vm->instances, &instance->vm_node);
		if (!instance->is_releasing)
			return instance;
	}
	return NULL;
}

static struct epc_request *first_request(struct epc_vm *vm)
{
	return LIST_ENTRY(vm->requests.next, struct epc_request, vm_node);
}

static void round_begin(struct epc *epc, struct epc_request *request, bool is_second)
{
	request->is_second = is_second;
	request->nr_skipped = 0;
	request->vm_round = epc->next_vm_round++;
}

static void request_done(struct epc *epc, struct epc_vm *vm, struct epc_request *request)
{
	list_remove(&request->vm_node);
	vm->nr_losses -= request->is_loss;
	epc_reply(epc, request, request->error ? request->error : (int)request->nr_skipped);
	if (!vm->nr_losses)
		leaf_wake(epc, vm);
}

void vm_request_next(struct epc *epc, struct epc_vm *vm)
{
	while (!list_is_empty(&vm->requests)) {
		struct epc_request *request = first_request(vm);
		struct epc_instance *instance = request->error ? NULL :
								 unseen(vm, request->vm_round);

		if (!instance && !request->error && !request->is_second && request->nr_skipped &&
		    !MUTANT(epc, NO_SECOND_ROUND)) {
			round_begin(epc, request, true);
			continue;
		}
		if (instance) {
			operation_add(epc, instance, request);
			return;
		}
		request_done(epc, vm, request);
	}
}

static void request_queue(struct epc *epc, struct epc_request *request, bool is_loss)
{
	struct epc_vm *vm = request->instance->vm;
	bool is_first = list_is_empty(&vm->requests);

	request->first = 0;
	request->count = EPC_NR_INDICES;
	request->waits_at = NULL;
	request->leaf = NULL;
	request->is_vm_wide = true;
	request->is_loss = is_loss;
	/* An enclave without its EPC is none: it keeps no page, and nothing can be done with it. */
	request->gives_back = request->instance->host;
	if (is_loss && request->instance->host)
		request->instance->host->is_lost = true;
	request->error = 0;
	list_init(&request->node);
	list_init(&request->vm_node);
	list_add_tail(&vm->requests, &request->vm_node);
	vm->nr_losses += is_loss;
	round_begin(epc, request, false);
	if (is_first)
		vm_request_next(epc, vm);
}

void epc_reset_vm(struct epc *epc, struct epc_request *request)
{
	request_queue(epc, request, false);
}

void epc_lose_vm(struct epc *epc, struct epc_request *request)
{
	request_queue(epc, request, true);
}

void vm_instance_released(struct epc *epc, struct epc_instance *instance)
{
	struct epc_vm *vm = instance->vm;
	struct epc_request *request;

	vm->nr_open--;
	if (list_is_empty(&instance->requests))
		return;
	/* Its own are answered: what is left is the VM's, and is through with this instance. */
	request = LIST_ENTRY(instance->requests.next, struct epc_request, node);
	list_remove(&request->node);
	if (!MUTANT(epc, RELEASE_STOPS_VM_REQUEST))
		vm_request_next(epc, vm);
}
