/* SPDX-License-Identifier: MIT */
/* See core_world.h. */
#include <errno.h>
#include <string.h>

#include "core_world.h"

#define NR_ROUNDS_MAX 10000 /* to come to rest */

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
		nr_own += request->buffer[i] == 0 || request->buffer[i] == mark ||
			  request->buffer[i] == 0xff; /* hidden */
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

/* EINVAL and EPERM: places are drawn from all instances, and leaves from more than there are. */
static void take_leaf(struct world *world, struct leaf *leaf)
{
	int result = leaf->guest.leaf.request.result;

	MUST(leaf->is_used, "a leaf is answered twice");
	leaf->is_used = false;
	leaf->caller->nr_outstanding--;
	MUST(result == 0 || result == -EINVAL || result == -EPERM || result == -EIO ||
		     result == -EBUSY || (result == -EINTR && leaf->is_interrupted) ||
		     (result == -ENOMEM && world->has_failed),
	     "a leaf has a strange result");
}

static void take_reply(struct world *world, struct epc_request *reply)
{
	if (reply->leaf) {
		take_leaf(world, (struct leaf *)(void *)reply);
		return;
	}
	struct request *request = (struct request *)(void *)reply; /* its first member */

	MUST(request->phase == IN_CORE, "a request is answered twice");
	request->phase = UNUSED;
	request->instance->nr_outstanding--;
	if (request->is_read)
		take_read(world, request);
	else
		MUST(reply->result >= 0 || reply->result == -EINVAL ||
			     (reply->result == -EBUSY && world->is_metadata_only),
		     "an operation fails");
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

void world_take(struct world *world)
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

void world_unmap_end(struct world *world, unsigned int number)
{
	struct epc_unmap *unmap = world->unmaps[number];
	struct instance *instance = unmap->cookie;

	instance->nr_unmaps--;
	world->unmaps[number] = world->unmaps[--world->nr_unmaps];
	epc_unmapped(world->epc, unmap);
}

void world_deliver(struct world *world, struct request *request)
{
	if (!request)
		return;
	request->phase = UNUSED;
	request->instance->nr_undelivered--;
	epc_delivered(world->epc, request->request.instance, request->request.first,
		      request->request.count);
}

/* ---- a world ---- */

/* The first bytes: sections and their pages, a piece of metadata only. */
void world_begin(struct world *world)
{
	struct epc_section_config sections[3] = { 0 };
	struct epc_config config = {
		.sections = sections,
		.nr_sections = 1 + input_byte(&world->input) % 3,
		.allocator = { allocate, deallocate, world },
	};

	config.is_metadata_only = input_byte(&world->input) % 8 >= 6;
	world->is_metadata_only = config.is_metadata_only;
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
		world_take(world);
		while (world->nr_unmaps) {
			world_unmap_end(world, 0);
			world_take(world);
			has_moved = true;
		}
		for (unsigned int i = 0; i < NR_READS; i++) {
			if (world->requests[i].phase != UNDELIVERED)
				continue;
			world_deliver(world, &world->requests[i]);
			world_take(world);
			has_moved = true;
		}
	}
	MUST(nr_rounds < NR_ROUNDS_MAX, "it does not come to rest");
	epc_report(world->epc, &report);
	MUST(!report.nr_parked, "a fault waits, and nothing is under way");
	for (unsigned int i = 0; i < NR_READS + NR_OPERATIONS; i++)
		MUST(world->requests[i].phase == UNUSED, "a request is never answered");
	for (unsigned int i = 0; i < NR_LEAVES; i++)
		MUST(!world->leaves[i].is_used, "a leaf is never answered");
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
		world_take(world);
	}
	come_to_rest(world);
	for (unsigned int i = 0; i < NR_INSTANCES; i++)
		MUST(!world->instances[i].instance, "a released instance stays");
	epc_report(world->epc, &report);
	MUST(report.nr_free == world->nr_pages, "pages are lost");
	MUST(report.nr_speculative == 0 && report.nr_instances == 0 && report.nr_secs == 0 &&
		     report.nr_zombies == 0,
	     "figures are left");
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
			world_take(world);
		}
	}
	MUST(!nr_left, "an idle cgroup cannot be freed");
}

void world_end(struct world *world, bool is_sudden)
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
