/* SPDX-License-Identifier: MIT */
/*
 * Bytes become calls of the core, in any order that its header allows: late and out of order
 * acknowledgements, limits, cgroups, allocations that fail. After each call every invariant holds
 * and every effect is one that was due; at the end all that was asked is answered, all pages are
 * free, all memory is given back. What a page contains is known by one rule: zero, or the number of
 * the instance that reads it. (The simulator in tests/sim knows more, but draws only what a kernel
 * would do.)
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/epc.h"
#include "input.h"

#define NR_INSTANCES 4
#define NR_CGROUPS 6 /* the root is number 0 */
#define NR_READS 24  /* in flight, or answered and not yet delivered */
#define NR_OPERATIONS 6
#define NR_UNMAPS 64
#define NR_CALLS_MAX 1500
#define NR_ROUNDS_MAX 10000 /* to come to rest */
#define READ_PAGES_MAX 16
#define WRITE_SIZE_MAX (3 * EPC_PAGE_SIZE)
#define NR_NEAR 48 /* indices that are mostly used */
#define POISON 0xe7

struct instance {
	struct epc_instance *instance; /* NULL: unused */
	bool is_released;
	uint8_t mark; /* what it writes, 1 to 200 */
	unsigned int nr_outstanding, nr_unmaps, nr_undelivered;
};

enum phase {
	UNUSED,
	IN_CORE,
	UNDELIVERED
};

struct request {
	struct epc_request request;
	enum phase phase;
	bool is_read;
	bool is_interrupted;
	struct instance *instance;
	unsigned int payer;
	uint8_t *buffer;
};

struct world {
	struct input input;
	struct epc *epc;
	uint64_t now_ns;
	uint64_t nr_pages;
	uint8_t *section_bytes[EPC_NR_SECTIONS_MAX];
	struct instance instances[NR_INSTANCES];
	struct epc_cgroup *cgroups[NR_CGROUPS];
	struct request requests[NR_READS + NR_OPERATIONS]; /* READs come first */
	struct epc_unmap *unmaps[NR_UNMAPS];
	unsigned int nr_unmaps;
	unsigned int nr_marks;
	unsigned int fails_in; /* allocations until one fails, 0: none does */
	bool has_failed;       /* since the beginning of this call */
	uint64_t nr_allocated;
};

/* ---- memory ---- */

static void *allocate(void *context, size_t size)
{
	struct world *world = context;
	size_t *memory;

	if (world->fails_in && --world->fails_in == 0) {
		world->has_failed = true;
		return NULL;
	}
	memory = calloc(1, size + sizeof(max_align_t));
	MUST(memory, "the fuzzer itself has no memory");
	memory[0] = size;
	world->nr_allocated++;
	return (char *)memory + sizeof(max_align_t);
}

static void deallocate(void *context, void *bytes, size_t size)
{
	struct world *world = context;
	size_t *memory = (size_t *)(void *)((char *)bytes - sizeof(max_align_t));

	MUST(memory[0] == size, "memory is given back with another size");
	world->nr_allocated--;
	free(memory);
}

/* ---- effects ---- */

static void check_bytes(const struct request *request)
{
	const struct epc_request *read = &request->request;
	size_t size = read->count * EPC_PAGE_SIZE;
	uint8_t mark = request->instance->mark;
	size_t nr_untouched = 0, nr_own = 0;

	for (size_t i = 0; i < size; i++) {
		nr_untouched += request->buffer[i] == POISON;
		nr_own += request->buffer[i] == 0 || request->buffer[i] == mark;
	}
	if (read->is_zero)
		MUST(nr_untouched == size, "a zero page was written to the buffer");
	else
		MUST(nr_own == size, "a page has bytes that are not its instance's");
}

static void take_read(struct world *world, struct request *request)
{
	const struct epc_request *read = &request->request;

	switch (read->result) {
	case 0:
		if (request->buffer)
			check_bytes(request);
		for (uint64_t i = 0; i < read->count; i++) {
			struct epc_page_report report;

			epc_page_report(world->epc, read->instance, read->first + i, &report);
			MUST(report.is_owned, "a READ is answered, its page is nobody's");
		}
		request->instance->nr_undelivered++;
		request->phase = UNDELIVERED;
		break;
	case -EINTR:
		MUST(request->is_interrupted, "EINTR without an interrupt");
		break;
	case -EINVAL:
		MUST(read->count == 0 || read->count > EPC_CLUSTER_PAGES_MAX ||
			     read->first >= EPC_NR_INDICES ||
			     read->count > EPC_NR_INDICES - read->first,
		     "EINVAL for a good range");
		break;
	case -ENOMEM:
		MUST(world->has_failed, "ENOMEM, and no allocation has failed");
		break;
	default:
		MUST(read->result == -EIO, "a READ has a strange result");
	}
}

static void take_reply(struct world *world, struct epc_request *reply)
{
	struct request *request = (struct request *)(void *)reply; /* its first member */

	MUST(request->phase == IN_CORE, "a request is answered twice");
	request->phase = UNUSED;
	request->instance->nr_outstanding--;
	if (request->is_read)
		take_read(world, request);
	else
		MUST(reply->result == 0 || reply->result == -EINVAL, "an operation fails");
	free(request->buffer);
	request->buffer = NULL;
}

static void take_unmap(struct world *world, struct epc_unmap *unmap)
{
	struct instance *instance = unmap->cookie;

	MUST(world->nr_unmaps < NR_UNMAPS, "too many unmappings in flight");
	MUST(instance->instance == unmap->instance, "an unmapping for nobody");
	MUST(unmap->count > 0 && unmap->count <= EPC_STEP_PAGES, "an unmapping of a strange size");
	for (unsigned int i = 0; i < world->nr_unmaps; i++)
		MUST(world->unmaps[i]->instance != unmap->instance ||
			     world->unmaps[i]->first + world->unmaps[i]->count <= unmap->first ||
			     unmap->first + unmap->count <= world->unmaps[i]->first,
		     "two unmappings overlap");
	instance->nr_unmaps++;
	world->unmaps[world->nr_unmaps++] = unmap;
}

static void take_gone(struct instance *instance)
{
	MUST(instance->is_released, "an instance is gone that nobody released");
	MUST(!instance->nr_outstanding && !instance->nr_unmaps && !instance->nr_undelivered, "an "
											     "insta"
											     "nce "
											     "is "
											     "gone "
											     "while"
											     " some"
											     "thing"
											     " of "
											     "it "
											     "is "
											     "under"
											     " wa"
											     "y");
	*instance = (struct instance){ 0 };
}

static void take_effects(struct world *world)
{
	struct epc_effect effect;
	const char *why = "";

	while (epc_effect_next(world->epc, &effect)) {
		switch (effect.kind) {
		case EPC_EFFECT_RECORD:
			MUST(effect.record.time_ns == world->now_ns, "a record of another time");
			break;
		case EPC_EFFECT_UNMAP:
			take_unmap(world, effect.unmap);
			break;
		case EPC_EFFECT_REPLY:
			take_reply(world, effect.reply);
			break;
		case EPC_EFFECT_GONE:
			take_gone(effect.gone_cookie);
			break;
		}
	}
	if (!epc_is_valid(world->epc, &why)) {
		fprintf(stderr, "not valid: %s\n", why);
		abort();
	}
	world->has_failed = false;
}

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
	struct instance *instance = world->instances;
	struct epc_cgroup *cgroup;
	unsigned int number;
	int error;

	while (instance < world->instances + NR_INSTANCES && instance->instance)
		instance++;
	if (instance == world->instances + NR_INSTANCES)
		return;
	cgroup = choose_cgroup(world, &number);
	error = epc_open(world->epc, cgroup, NULL, instance, &instance->instance);
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

static void call_reset(struct world *world)
{
	operation_send(world, false);
}

static void call_punch(struct world *world)
{
	operation_send(world, true);
}

static void deliver(struct world *world, struct request *request)
{
	if (!request)
		return;
	request->phase = UNUSED;
	request->instance->nr_undelivered--;
	epc_delivered(world->epc, request->request.instance, request->request.first,
		      request->request.count);
}

static void call_delivered(struct world *world)
{
	deliver(world, choose_request(world, UNDELIVERED));
}

static void unmap_end(struct world *world, unsigned int number)
{
	struct epc_unmap *unmap = world->unmaps[number];
	struct instance *instance = unmap->cookie;

	instance->nr_unmaps--;
	world->unmaps[number] = world->unmaps[--world->nr_unmaps];
	epc_unmapped(world->epc, unmap);
}

static void call_unmapped(struct world *world)
{
	uint8_t byte = input_byte(&world->input);

	if (world->nr_unmaps)
		unmap_end(world, byte % world->nr_unmaps);
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
	call_open,	call_fault,	 call_fault,	   call_fault,	 call_cluster,
	call_write,	call_write,	 call_reset,	   call_punch,	 call_delivered,
	call_delivered, call_unmapped,	 call_unmapped,	   call_release, call_interrupt,
	call_set_max,	call_cgroup_new, call_cgroup_free, call_step,	 call_tick,
	call_fail,
};
#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- a world ---- */

/* The first bytes: sections and their pages, a piece of metadata only. */
static void world_begin(struct world *world)
{
	struct epc_section_config sections[3] = { 0 };
	struct epc_config config = {
		.sections = sections,
		.nr_sections = 1 + input_byte(&world->input) % 3,
		.allocator = { allocate, deallocate, world },
	};

	config.is_metadata_only = input_byte(&world->input) % 8 == 7;
	for (unsigned int i = 0; i < config.nr_sections; i++) {
		uint64_t nr_pages = 1 + input_byte(&world->input) % 24;

		sections[i] = (struct epc_section_config){ .nr_pages = nr_pages, .node = (int)i };
		world->nr_pages += nr_pages;
		world->section_bytes[i] = aligned_alloc(EPC_PAGE_SIZE, nr_pages * EPC_PAGE_SIZE);
		MUST(world->section_bytes[i], "the fuzzer itself has no memory");
		memset(world->section_bytes[i], POISON ^ 0x0f, nr_pages * EPC_PAGE_SIZE);
		sections[i].bytes = world->section_bytes[i];
	}
	world->fails_in = input_byte(&world->input) % 16;
	while (epc_new(&config, &world->epc) != 0)
		MUST(world->has_failed && !world->nr_allocated, "epc_new() fails, or leaks");
	world->fails_in = 0;
	world->has_failed = false;
	world->cgroups[0] = epc_cgroup_root(world->epc);
	world->now_ns = 1;
	epc_tick(world->epc, world->now_ns);
}

/* Performs all that is due until nothing moves any more. */
static void come_to_rest(struct world *world)
{
	struct epc_report report;
	unsigned int nr_rounds = 0;
	bool has_moved = true;

	for (; has_moved && nr_rounds < NR_ROUNDS_MAX; nr_rounds++) {
		has_moved = epc_step(world->epc);
		take_effects(world);
		while (world->nr_unmaps) {
			unmap_end(world, 0);
			take_effects(world);
			has_moved = true;
		}
		for (unsigned int i = 0; i < NR_READS; i++) {
			if (world->requests[i].phase != UNDELIVERED)
				continue;
			deliver(world, &world->requests[i]);
			take_effects(world);
			has_moved = true;
		}
	}
	MUST(nr_rounds < NR_ROUNDS_MAX, "it does not come to rest");
	epc_report(world->epc, &report);
	MUST(!report.nr_parked, "a fault waits, and nothing is under way");
	for (unsigned int i = 0; i < NR_READS + NR_OPERATIONS; i++)
		MUST(world->requests[i].phase == UNUSED, "a request is never answered");
}

static void release_all(struct world *world)
{
	struct epc_report report;

	for (unsigned int i = 0; i < NR_INSTANCES; i++) {
		struct instance *instance = &world->instances[i];

		if (!instance->instance || instance->is_released)
			continue;
		instance->is_released = true;
		epc_release(world->epc, instance->instance);
		take_effects(world);
	}
	come_to_rest(world);
	for (unsigned int i = 0; i < NR_INSTANCES; i++)
		MUST(!world->instances[i].instance, "a released instance stays");
	epc_report(world->epc, &report);
	MUST(report.nr_free == world->nr_pages, "pages are lost");
	MUST(report.nr_speculative == 0 && report.nr_instances == 0, "figures are left");
}

/* Children were made after their parents, or in a slot that was free: again and again. */
static void free_cgroups(struct world *world)
{
	unsigned int nr_left = 0;

	for (unsigned int round = 0; round < NR_CGROUPS; round++) {
		nr_left = 0;
		for (unsigned int i = 1; i < NR_CGROUPS; i++) {
			if (!world->cgroups[i])
				continue;
			if (epc_cgroup_free(world->epc, world->cgroups[i]) == 0)
				world->cgroups[i] = NULL;
			else
				nr_left++;
			take_effects(world);
		}
	}
	MUST(!nr_left, "an idle cgroup cannot be freed");
}

static void world_end(struct world *world, bool is_sudden)
{
	if (!is_sudden) {
		come_to_rest(world);
		release_all(world);
		free_cgroups(world);
	}
	epc_free(world->epc);
	MUST(!world->nr_allocated, "memory is left");
	for (unsigned int i = 0; i < EPC_NR_SECTIONS_MAX; i++)
		free(world->section_bytes[i]);
	for (unsigned int i = 0; i < NR_READS; i++)
		free(world->requests[i].buffer);
}

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
		take_effects(world);
	}
	world->fails_in = 0;
	world_end(world, is_sudden);
	free(world);
	return 0;
}
