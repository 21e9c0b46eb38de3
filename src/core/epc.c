/* SPDX-License-Identifier: MIT */
/*
 * The EPC as a whole: making and dropping it, instances, steps, write-backs, the effects' way out.
 */
#include "core/internal.h"

#include <errno.h>
#include <string.h>

static int sections_init(struct epc *epc, const struct epc_config *config)
{
	epc->nr_sections = config->nr_sections;
	for (unsigned int i = 0; i < config->nr_sections; i++) {
		const struct epc_section_config *from = &config->sections[i];

		if (!from->nr_pages || from->nr_pages > NR_PAGES_MAX - epc->nr_pages)
			return -EINVAL;
		epc->sections[i] = (struct section){
			.first_pfn = (uint32_t)epc->nr_pages,
			.nr_pages = (uint32_t)from->nr_pages,
			.nr_free = (uint32_t)from->nr_pages,
			.free_head = PFN_NONE,
			.next_unused = (uint32_t)epc->nr_pages,
			.node = from->node,
			.bytes = from->bytes,
		};
		epc->nr_pages += from->nr_pages;
	}
	epc->nr_free = epc->nr_pages;
	return 0;
}

static int processor_new(struct epc *epc, const struct epc_config *config)
{
	struct sgx_section sections[EPC_NR_SECTIONS_MAX];
	struct sgx_config sgx = {
		.sections = sections,
		.nr_sections = config->nr_sections,
		.is_metadata_only = config->is_metadata_only,
		.alloc_fn = epc->allocator.alloc_fn,
		.free_fn = epc->allocator.free_fn,
		.context = epc->allocator.context,
	};

	for (unsigned int i = 0; i < config->nr_sections; i++)
		sections[i] = (struct sgx_section){
			.nr_pages = epc->sections[i].nr_pages,
			.bytes = epc->sections[i].bytes,
		};
	sgx_cpu_default(&sgx.cpu);
	memcpy(sgx.seed, config->seed, sizeof(sgx.seed));
	return sgx_new(&sgx, &epc->sgx) ? -ENOMEM : 0;
}

static int swap_init(struct epc *epc, const struct epc_config *config)
{
	epc->swap = config->swap;
	epc->swap_head = PFN_NONE;
	epc->nr_swap_slots = config->nr_swap_slots;
	epc->nr_swap_free = config->nr_swap_slots;
	if (!config->nr_swap_slots)
		return 0;
	if (config->nr_swap_slots > NR_PAGES_MAX - epc->nr_pages)
		return -EINVAL;
	epc->evicted = epc_alloc(epc, config->nr_swap_slots * sizeof(*epc->evicted));
	return epc->evicted ? 0 : -ENOMEM;
}

int epc_new(const struct epc_config *config, struct epc **out)
{
	const struct epc_allocator *allocator = &config->allocator;
	struct epc *epc;
	int error;

	if (!config->nr_sections || config->nr_sections > EPC_NR_SECTIONS_MAX)
		return -EINVAL;
	epc = allocator->alloc_fn(allocator->context, sizeof(*epc));
	if (!epc)
		return -ENOMEM;
	epc->allocator = *allocator;
	error = sections_init(epc, config);
	if (error)
		goto free_epc;
	epc->pages = epc_alloc(epc, epc->nr_pages * sizeof(*epc->pages));
	if (!epc->pages) {
		error = -ENOMEM;
		goto free_epc;
	}
	epc->is_metadata_only = config->is_metadata_only;
	error = processor_new(epc, config);
	if (error)
		goto free_pages;
	error = swap_init(epc, config);
	if (error)
		goto free_processor;
	list_init(&epc->cgroups);
	list_init(&epc->instances);
	list_init(&epc->operations);
	list_init(&epc->leaf_wakes);
	list_init(&epc->waiting);
	list_init(&epc->wakes);
	list_init(&epc->replies);
	list_init(&epc->unmaps);
	list_init(&epc->gone);
	cgroup_init(&epc->root, NULL, 0, NULL);
	list_add_tail(&epc->cgroups, &epc->root.node);
	epc->next_instance_id = 1;
	epc->next_vm_round = 1;
#ifdef EPC_MUTANTS
	epc->mutant = config->mutant;
#endif
	*out = epc;
	return 0;
free_processor:
	sgx_free(epc->sgx);
free_pages:
	epc_dealloc(epc, epc->pages, epc->nr_pages * sizeof(*epc->pages));
free_epc:
	allocator->free_fn(allocator->context, epc, sizeof(*epc));
	return error;
}

static void instance_free(struct epc *epc, struct epc_instance *instance)
{
	while (!list_is_empty(&instance->stakes)) {
		struct epc_stake *stake =
			LIST_ENTRY(instance->stakes.next, struct epc_stake, instance_node);

		list_remove(&stake->instance_node);
		epc_dealloc(epc, stake, sizeof(*stake));
	}
	if (instance->host)
		host_free(epc, instance->host);
	index_fini(&instance->index, &epc->allocator);
	list_remove(&instance->node);
	epc_dealloc(epc, instance, sizeof(*instance));
}

void epc_free(struct epc *epc)
{
	while (!list_is_empty(&epc->instances)) {
		struct epc_instance *instance =
			LIST_ENTRY(epc->instances.next, struct epc_instance, node);

		vm_leave(epc, instance);
		instance_free(epc, instance);
	}
	while (!list_is_empty(&epc->gone))
		instance_free(epc, LIST_ENTRY(epc->gone.next, struct epc_instance, node));
	list_remove(&epc->root.node);
	while (!list_is_empty(&epc->cgroups)) {
		struct epc_cgroup *cgroup = LIST_ENTRY(epc->cgroups.next, struct epc_cgroup, node);

		list_remove(&cgroup->node);
		epc_dealloc(epc, cgroup, sizeof(*cgroup));
	}
	if (epc->evicted)
		epc_dealloc(epc, epc->evicted, epc->nr_swap_slots * sizeof(*epc->evicted));
	sgx_free(epc->sgx);
	epc_dealloc(epc, epc->pages, epc->nr_pages * sizeof(*epc->pages));
	epc->allocator.free_fn(epc->allocator.context, epc, sizeof(*epc));
}

void epc_tick(struct epc *epc, uint64_t now_ns)
{
	if (now_ns > epc->now_ns)
		epc->now_ns = now_ns;
}

void epc_unmapped(struct epc *epc, struct epc_unmap *unmap)
{
	struct epc_instance *instance = unmap->instance;

	instance->nr_unmaps--;
	epc->nr_unmaps--;
	switch (unmap->kind) {
	case EPC_UNMAP_RESET:
		operation_unmapped(epc, unmap);
		break;
	case EPC_UNMAP_TAKE_BACK:
		takeback_unmapped(epc, unmap);
		break;
	case EPC_UNMAP_LEAF:
		leaf_unmapped(epc, unmap);
		break;
	case EPC_UNMAP_RECLAIM:
		reclaim_unmapped(epc, unmap);
		break;
	}
	if (instance->is_stalled || instance->is_releasing) {
		instance->is_stalled = false;
		if (!MUTANT(epc, RESET_STALLED_FORGOTTEN))
			operation_queue(epc, instance);
	}
	if (!MUTANT(epc, LEAF_NOT_WOKEN))
		leaf_wake(epc, instance->vm);
}

bool epc_step(struct epc *epc)
{
	bool has_more;

	operation_step(epc);
	leaf_step(epc);
	fault_serve_waiters(epc);
	has_more = reclaim_in_background(epc) || !list_is_empty(&epc->leaf_wakes);
	return has_more || !list_is_empty(&epc->operations) || !list_is_empty(&epc->wakes);
}

int epc_open(struct epc *epc, struct epc_cgroup *cgroup, struct epc_instance *sibling, void *cookie,
	     struct epc_instance **out)
{
	struct epc_instance *instance = epc_alloc(epc, sizeof(*instance));
	struct epc_vm *vm;

	if (!instance)
		return -ENOMEM;
	vm = vm_get(epc, sibling);
	if (!vm) {
		epc_dealloc(epc, instance, sizeof(*instance));
		return -ENOMEM;
	}
	instance->epc = epc;
	list_init(&instance->vm_node);
	vm_join(vm, instance);
	cgroup_init(&instance->own_limit, NULL, 0, NULL);
	instance->own_limit.is_own_limit = true;
	list_init(&instance->parked);
	instance->cgroup = cgroup;
	instance->cookie = cookie;
	list_init(&instance->node);
	list_init(&instance->operation_node);
	list_init(&instance->requests);
	list_init(&instance->stakes);
	list_init(&instance->unmap.node);
	list_add_tail(&epc->instances, &instance->node);
	cgroup->nr_instances++;
	*out = instance;
	return 0;
}

int epc_open_enclave(struct epc *epc, struct epc_cgroup *cgroup, void *cookie,
		     struct epc_instance **out)
{
	struct host *host = host_new(epc);
	int error;

	if (!host)
		return -ENOMEM;
	error = epc_open(epc, cgroup, NULL, cookie, out);
	if (error)
		host_free(epc, host);
	else
		(*out)->host = host;
	return error;
}

void epc_start(struct epc *epc, struct epc_instance *instance)
{
	instance_started(epc, instance);
}

void epc_instance_set_max(struct epc *epc, struct epc_instance *instance, uint64_t max_bytes)
{
	epc_cgroup_set_max(epc, &instance->own_limit, max_bytes);
}

static void page_write(struct epc *epc, struct epc_page *page, size_t offset, const void *from,
		       size_t size)
{
	bool is_stale = page->state == PAGE_UNMAPPING && page->is_reset;
	char *bytes = page_bytes(epc, page);

	if (MUTANT(epc, WRITE_NEW_DROPPED) ? is_stale : is_stale && !page->is_touched)
		is_stale = true;
	else
		is_stale = false;
	if (page->state == PAGE_UNMAPPING)
		page->is_written = true;
	if (!MUTANT(epc, WRITE_LEAVES_SPECULATIVE))
		page_set_used(epc, page);
	if (is_stale)
		return; /* older than the reset that is going on */
	if (page_is_hidden(epc, page) && !MUTANT(epc, HIDDEN_WRITTEN))
		return;
	if (bytes && !page->has_bytes && size != EPC_PAGE_SIZE &&
	    !MUTANT(epc, WRITE_PARTIAL_KEEPS_STALE))
		memset(bytes, 0, EPC_PAGE_SIZE);
	if (bytes)
		memcpy(bytes + offset, from, size);
	page->stake->instance->nr_with_bytes += !page->has_bytes;
	page->has_bytes = true;
}

void epc_write(struct epc *epc, struct epc_instance *instance, uint64_t offset, const void *bytes,
	       size_t size)
{
	const char *from = bytes;

	while (size) {
		size_t in_page = offset % EPC_PAGE_SIZE;
		size_t piece = EPC_PAGE_SIZE - in_page;
		struct epc_page *page = page_find(epc, instance, offset >> EPC_PAGE_SHIFT);

		if (piece > size)
			piece = size;
		if (page)
			page_write(epc, page, in_page, from, piece);
		offset += piece;
		from += piece;
		size -= piece;
	}
}

bool epc_effect_next(struct epc *epc, struct epc_effect *effect)
{
	if (epc->nr_records) {
		effect->kind = EPC_EFFECT_RECORD;
		effect->record = epc->records[epc->first_record];
		epc->first_record = (epc->first_record + 1) % NR_RECORDS_QUEUED;
		epc->nr_records--;
	} else if (!list_is_empty(&epc->unmaps)) {
		effect->kind = EPC_EFFECT_UNMAP;
		effect->unmap = LIST_ENTRY(epc->unmaps.next, struct epc_unmap, node);
		list_remove(&effect->unmap->node);
	} else if (!list_is_empty(&epc->replies)) {
		effect->kind = EPC_EFFECT_REPLY;
		effect->reply = LIST_ENTRY(epc->replies.next, struct epc_request, node);
		list_remove(&effect->reply->node);
	} else if (!list_is_empty(&epc->gone)) {
		struct epc_instance *instance =
			LIST_ENTRY(epc->gone.next, struct epc_instance, node);

		effect->kind = EPC_EFFECT_GONE;
		effect->gone_cookie = instance->cookie;
		instance_free(epc, instance);
	} else {
		return false;
	}
	return true;
}
