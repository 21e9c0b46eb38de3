/* SPDX-License-Identifier: MIT */
/*
 * Bytes become calls of the core, in any order that its header allows: late and out of order
 * acknowledgements, limits, cgroups, allocations that fail. After each call every invariant holds
 * and every effect is one that was due; at the end all that was asked is answered, all pages are
 * free, all memory is given back. What a page contains is known by one rule: zero, the
 * number of the instance that reads it, or all ones. (The simulator in tests/sim knows more, but
 * draws only what a kernel would do.)
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core_world.h"

#define NR_CALLS_MAX 1500
#define READ_PAGES_MAX 16
#define WRITE_SIZE_MAX (3 * EPC_PAGE_SIZE)
#define NR_NEAR 48 /* indices that are mostly used */

/* ---- choices ---- */

static uint64_t choose_index(struct world *world)
{
	uint8_t byte = input_byte(&world->input);

	if (byte < 192)
		return byte % NR_NEAR;
	if (byte < 224)
		return (UINT64_C(1) << 20) + byte % 32;
	return EPC_NR_INDICES - 1 - byte % 32;
}

static struct epc_cgroup *choose_cgroup(struct world *world, unsigned int *number)
{
	*number = input_byte(&world->input) % NR_CGROUPS;
	while (!world->cgroups[*number])
		(*number)--;
	return world->cgroups[*number];
}

/* An open instance, or NULL. */
static struct instance *choose_instance(struct world *world)
{
	unsigned int first = input_byte(&world->input);

	for (unsigned int i = 0; i < NR_INSTANCES; i++) {
		struct instance *instance = &world->instances[(first + i) % NR_INSTANCES];

		if (instance->instance && !instance->is_released)
			return instance;
	}
	return NULL;
}

/* A request in this phase, or NULL. */
static struct request *choose_request(struct world *world, enum phase phase)
{
	const unsigned int nr = NR_READS + NR_OPERATIONS;
	unsigned int first = input_byte(&world->input);

	for (unsigned int i = 0; i < nr; i++)
		if (world->requests[(first + i) % nr].phase == phase)
			return &world->requests[(first + i) % nr];
	return NULL;
}

static struct request *request_new(struct world *world, unsigned int first, unsigned int nr)
{
	struct instance *instance = choose_instance(world);

	for (unsigned int i = first; instance && i < first + nr; i++) {
		struct request *request = &world->requests[i];

		if (request->phase != UNUSED)
			continue;
		*request = (struct request){ .phase = IN_CORE, .instance = instance };
		request->request.instance = instance->instance;
		instance->nr_outstanding++;
		return request;
	}
	return NULL;
}

/* ---- calls ---- */

static void call_open(struct world *world)
{
	struct instance *instance = world->instances, *sibling;
	struct epc_cgroup *cgroup;
	unsigned int number;
	int error;

	while (instance < world->instances + NR_INSTANCES && instance->instance)
		instance++;
	if (instance == world->instances + NR_INSTANCES)
		return;
	cgroup = choose_cgroup(world, &number);
	sibling = input_byte(&world->input) % 4 ? choose_instance(world) : NULL;
	error = epc_open(world->epc, cgroup, sibling ? sibling->instance : NULL, instance,
			 &instance->instance);
	MUST(!error || (error == -ENOMEM && world->has_failed), "epc_open() fails");
	if (error)
		instance->instance = NULL;
	else
		instance->mark = (uint8_t)(1 + world->nr_marks++ % 200);
}

static void read_send(struct world *world, uint64_t count)
{
	struct request *request = request_new(world, 0, NR_READS);
	uint8_t flags = input_byte(&world->input);

	if (!request)
		return;
	request->is_read = true;
	request->request.first = choose_index(world);
	request->request.count = count;
	request->request.payer = choose_cgroup(world, &request->payer);
	if (flags % 8) {
		size_t size = (count <= EPC_CLUSTER_PAGES_MAX ? count : 1) * EPC_PAGE_SIZE;

		request->buffer = malloc(size ? size : 1);
		MUST(request->buffer, "the fuzzer itself has no memory");
		memset(request->buffer, POISON, size);
	}
	request->request.buffer = request->buffer;
	epc_read(world->epc, &request->request);
}

static void call_fault(struct world *world)
{
	read_send(world, 1);
}

static void call_cluster(struct world *world)
{
	uint8_t byte = input_byte(&world->input);

	read_send(world, byte == 255 ? EPC_CLUSTER_PAGES_MAX + 1 : byte % READ_PAGES_MAX);
}

static void call_write(struct world *world)
{
	struct instance *instance = choose_instance(world);
	uint64_t offset = choose_index(world) * EPC_PAGE_SIZE;
	size_t size = (size_t)input_byte(&world->input) * 64 + input_byte(&world->input);
	uint8_t *bytes;

	offset += (uint64_t)input_byte(&world->input) * 16;
	if (!instance)
		return;
	if (size > WRITE_SIZE_MAX || size == 0)
		size = EPC_PAGE_SIZE;
	bytes = malloc(size);
	MUST(bytes, "the fuzzer itself has no memory");
	memset(bytes, instance->mark, size);
	epc_write(world->epc, instance->instance, offset, bytes, size);
	free(bytes);
}

static void operation_send(struct world *world, bool gives_back)
{
	struct request *request = request_new(world, NR_READS, NR_OPERATIONS);
	uint8_t size = input_byte(&world->input);

	if (!request)
		return;
	request->request.first = size ? choose_index(world) : 0;
	request->request.count = size ? size : EPC_NR_INDICES;
	if (gives_back)
		epc_punch(world->epc, &request->request);
	else
		epc_reset(world->epc, &request->request);
}

/* All instances of a VM. */
static void call_vm(struct world *world)
{
	struct request *request = request_new(world, NR_READS, NR_OPERATIONS);

	if (!request)
		return;
	if (input_byte(&world->input) % 2)
		epc_reset_vm(world->epc, &request->request);
	else
		epc_lose_vm(world->epc, &request->request);
}

static struct epc_leaf_place choose_place(struct world *world)
{
	const struct instance *instance = choose_instance(world);
	uint64_t index = choose_index(world);

	return guest_place(instance ? instance->instance : NULL, index);
}

/* Operands that fit together, of pages that may be anything. What is added has the mark. */
static void leaf_fill(struct world *world, struct guest_leaf *guest, struct epc_leaf_place rcx)
{
	struct epc_leaf_place secs = choose_place(world);
	uint64_t base = UINT64_C(1) << 46;
	uint64_t linaddr = base + input_byte(&world->input) * EPC_PAGE_SIZE;
	uint8_t flags = input_byte(&world->input);

	switch (input_byte(&world->input) % 12) {
	case 0:
	case 1:
		guest_ecreate(guest, rcx, base, UINT64_C(1) << 20);
		break;
	case 2:
	case 3:
	case 4:
		guest_eadd(guest, rcx, secs, linaddr, flags % 4 ? GUEST_REG_RW : GUEST_TCS);
		break;
	case 5:
		if (world->is_metadata_only) /* else nothing is signed */
			guest_einit(guest, rcx);
		else
			guest_eaug(guest, rcx, secs, linaddr);
		break;
	case 6:
		guest_epa(guest, rcx);
		break;
	case 7:
		guest_ewb(guest, rcx, secs);
		break;
	case 8:
		guest_modify(guest, flags % 2 ? SGX_EMODT : SGX_EMODPR, rcx, GUEST_TRIM);
		break;
	case 9:
		guest_inside(guest, flags % 2 ? SGX_EACCEPT : SGX_EMODPE, rcx, linaddr, secs,
			     choose_place(world), linaddr);
		break;
	case 10:
		guest_thread(guest, flags % 2 ? SGX_EENTER : SGX_EEXIT, rcx);
		break;
	default: /* EREMOVE mostly; ECREATE to EMODT without the rest of what they need */
		guest_simple(guest, flags % 2 ? SGX_EREMOVE : flags % 20, rcx);
		break;
	}
}

static void call_leaf(struct world *world)
{
	struct instance *caller = choose_instance(world);
	struct leaf *leaf = world->leaves;
	struct epc_leaf_place rcx = choose_place(world);

	while (leaf < world->leaves + NR_LEAVES && leaf->is_used)
		leaf++;
	if (!caller || leaf == world->leaves + NR_LEAVES)
		return;
	*leaf = (struct leaf){ .is_used = true, .caller = caller };
	for (unsigned int i = 0; i < NR_INSTANCES; i++)
		if (world->instances[i].instance == rcx.instance)
			memset(leaf->guest.data, world->instances[i].mark, EPC_PAGE_SIZE);
	leaf_fill(world, &leaf->guest, rcx);
	leaf->guest.leaf.request.instance = caller->instance;
	leaf->guest.leaf.request.payer = choose_cgroup(world, &leaf->payer);
	caller->nr_outstanding++;
	epc_leaf(world->epc, &leaf->guest.leaf);
}

static void call_leaf_interrupt(struct world *world)
{
	struct leaf *leaf = &world->leaves[input_byte(&world->input) % NR_LEAVES];

	if (!leaf->is_used)
		return;
	leaf->is_interrupted = true;
	epc_interrupt(world->epc, &leaf->guest.leaf.request);
}

static void call_own_limit(struct world *world)
{
	struct instance *instance = choose_instance(world);
	uint8_t byte = input_byte(&world->input);
	uint64_t max_bytes = (uint64_t)byte * (EPC_PAGE_SIZE / 4);

	if (instance)
		epc_instance_set_max(world->epc, instance->instance,
				     byte >= 128 ? EPC_MAX_UNLIMITED : max_bytes);
}

static void call_reset(struct world *world)
{
	operation_send(world, false);
}

static void call_punch(struct world *world)
{
	operation_send(world, true);
}

static void call_delivered(struct world *world)
{
	world_deliver(world, choose_request(world, UNDELIVERED));
}

static void call_unmapped(struct world *world)
{
	uint8_t byte = input_byte(&world->input);

	if (world->nr_unmaps)
		world_unmap_end(world, byte % world->nr_unmaps);
}

static void call_release(struct world *world)
{
	struct instance *instance = choose_instance(world);

	if (!instance || instance->nr_outstanding)
		return;
	instance->is_released = true;
	epc_release(world->epc, instance->instance);
}

static void call_interrupt(struct world *world)
{
	struct request *request = choose_request(world, IN_CORE);

	if (!request)
		return;
	request->is_interrupted = true;
	epc_interrupt(world->epc, &request->request);
}

static void call_set_max(struct world *world)
{
	unsigned int number;
	struct epc_cgroup *cgroup = choose_cgroup(world, &number);
	uint8_t byte = input_byte(&world->input);
	uint64_t max_bytes = (uint64_t)byte * (EPC_PAGE_SIZE / 4);

	epc_cgroup_set_max(world->epc, cgroup, byte == 255 ? EPC_MAX_UNLIMITED : max_bytes);
}

static void call_cgroup_new(struct world *world)
{
	unsigned int number, parent_number;
	struct epc_cgroup *parent = choose_cgroup(world, &parent_number);
	int error;

	for (number = 0; number < NR_CGROUPS && world->cgroups[number];)
		number++;
	if (number == NR_CGROUPS)
		return;
	error = epc_cgroup_new(world->epc, parent, 100 + number, NULL, &world->cgroups[number]);
	MUST(!error || (error == -ENOMEM && world->has_failed), "epc_cgroup_new() fails");
	if (error)
		world->cgroups[number] = NULL;
}

/* A request holds its payer, as the daemon does. */
static bool cgroup_is_payer(const struct world *world, unsigned int number)
{
	for (unsigned int i = 0; i < NR_READS; i++)
		if (world->requests[i].phase == IN_CORE && world->requests[i].payer == number)
			return true;
	for (unsigned int i = 0; i < NR_LEAVES; i++)
		if (world->leaves[i].is_used && world->leaves[i].payer == number)
			return true;
	return false;
}

static void call_cgroup_free(struct world *world)
{
	unsigned int number;
	struct epc_cgroup *cgroup = choose_cgroup(world, &number);
	int error;

	if (!number || cgroup_is_payer(world, number))
		return;
	error = epc_cgroup_free(world->epc, cgroup);
	MUST(!error || error == -EBUSY, "epc_cgroup_free() fails");
	if (!error)
		world->cgroups[number] = NULL;
}

static void call_step(struct world *world)
{
	epc_step(world->epc);
}

static void call_tick(struct world *world)
{
	world->now_ns += (uint64_t)input_byte(&world->input) * (EPC_REFUSAL_REPEAT_NS / 4);
	epc_tick(world->epc, world->now_ns);
}

static void call_fail(struct world *world)
{
	world->fails_in = input_byte(&world->input) % 8;
}

static void (*const calls[])(struct world *world) = {
	call_open,	     call_fault,      call_fault,	call_fault,   call_cluster,
	call_write,	     call_write,      call_reset,	call_punch,   call_delivered,
	call_delivered,	     call_unmapped,   call_unmapped,	call_release, call_interrupt,
	call_set_max,	     call_cgroup_new, call_cgroup_free, call_step,    call_tick,
	call_fail,	     call_vm,	      call_leaf,	call_leaf,    call_leaf,
	call_leaf_interrupt, call_own_limit,
};
#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct world *world = calloc(1, sizeof(*world));
	bool is_sudden;

	MUST(world, "the fuzzer itself has no memory");
	world->input = (struct input){ bytes, bytes + size };
	is_sudden = input_byte(&world->input) % 16 == 15;
	world_begin(world);
	for (unsigned int i = 0; i < NR_CALLS_MAX && world->input.at < world->input.end; i++) {
		calls[input_byte(&world->input) % NR_CALLS](world);
		world_take(world);
	}
	world->fails_in = 0;
	world_end(world, is_sudden);
	free(world);
	return 0;
}
