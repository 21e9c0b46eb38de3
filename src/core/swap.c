/* SPDX-License-Identifier: MIT */
/*
 * Pages of enclaves leave the EPC and come back: EWB, ELDU, swap slots and the version slots in VA
 * pages. Where the sealed bytes are kept is the caller's (struct epc_swap_ops), which page leaves
 * when is reclaim.c's.
 */
#include "core/internal.h"

#include <errno.h>

#define ADDRESS UINT64_C(4096) /* an aligned linear address: only that counts */

bool swap_has_room(const struct epc *epc)
{
	return epc->nr_swap_free != 0 && epc->now_ns >= epc->swap_retry_ns;
}

uint32_t swap_find(const struct epc *epc, const struct epc_instance *instance, uint64_t index)
{
	uint32_t entry = index_find(&instance->index, index);

	if (entry == PFN_NONE || entry < epc->nr_pages)
		return PFN_NONE;
	return entry - (uint32_t)epc->nr_pages;
}

bool swap_is_lost(const struct epc *epc, const struct epc_instance *instance, uint64_t index)
{
	uint32_t slot = swap_find(epc, instance, index);

	return slot != PFN_NONE && epc->evicted[slot].is_lost;
}

static uint32_t slot_take(struct epc *epc)
{
	uint32_t slot = epc->swap_head;

	if (slot != PFN_NONE)
		epc->swap_head = epc->evicted[slot].next;
	else
		slot = epc->swap_unused++;
	if (!--epc->nr_swap_free && !MUTANT(epc, SWAP_FULL_FORGOTTEN))
		cgroup_wake_all(epc); /* what they hoped for cannot leave any more */
	return slot;
}

static void slot_put(struct epc *epc, uint32_t slot)
{
	epc->evicted[slot].instance = NULL;
	epc->evicted[slot].next = epc->swap_head;
	epc->swap_head = slot;
	epc->nr_swap_free++;
}

/* A free version slot of the enclave: there always is one. */
static void version_take(struct epc *epc, struct host *host, struct evicted *evicted)
{
	struct va_page *va = LIST_ENTRY(host->va_pages.next, struct va_page, node);
	unsigned int word = 0;
	unsigned int bit;

	while (!~va->used[word])
		word++;
	bit = (unsigned int)__builtin_ctzll(~va->used[word]);
	if (!MUTANT(epc, VERSION_SHARED))
		va->used[word] |= UINT64_C(1) << bit;
	if (++va->nr_used == SGX_NR_VA_SLOTS)
		list_move_tail(&host->va_pages, &va->node);
	evicted->va = va;
	evicted->va_slot = (uint16_t)(word * 64 + bit);
}

static void version_put(struct host *host, const struct evicted *evicted)
{
	struct va_page *va = evicted->va;

	va->used[evicted->va_slot / 64] &= ~(UINT64_C(1) << (evicted->va_slot % 64));
	if (va->nr_used-- == SGX_NR_VA_SLOTS) {
		list_remove(&va->node);
		list_add_tail(host->va_pages.next, &va->node);
	}
}

static struct sgx_epc version_place(const struct evicted *evicted)
{
	return (struct sgx_epc){
		.address = ADDRESS + evicted->va_slot * sizeof(uint64_t),
		.page = evicted->va->pfn,
	};
}

static struct sgx_pageinfo pageinfo(struct epc *epc, struct evicted *evicted)
{
	return (struct sgx_pageinfo){
		.address = ADDRESS,
		.srcpge = { .address = ADDRESS, .bytes = epc->sealed },
		.secinfo = { .address = ADDRESS, .bytes = &evicted->pcmd },
	};
}

static int eldu(struct epc *epc, struct evicted *evicted, uint32_t pfn)
{
	struct sgx_pageinfo info = pageinfo(epc, evicted);
	const struct epc_page *secs = page_find(epc, evicted->instance, INDEX_SECS);

	if (evicted->index != INDEX_SECS) {
		info.linaddr = evicted->index << EPC_PAGE_SHIFT;
		info.secs = (struct sgx_epc){ .address = ADDRESS, .page = page_pfn(epc, secs) };
	}
	return sgx_eldu(epc->sgx, &info, (struct sgx_epc){ .address = ADDRESS, .page = pfn },
			version_place(evicted));
}

/* Pages without contents of their own, in an EPC of metadata only, need no room outside. */
static bool needs_store(const struct epc *epc, const struct sgx_epcm *epcm)
{
	return !epc->is_metadata_only || epcm->type != SGX_PT_REG;
}

/* 0: sealed and stored. Else the page is as it was. */
static int seal(struct epc *epc, struct epc_page *page, struct evicted *evicted)
{
	struct sgx_pageinfo info = pageinfo(epc, evicted);
	uint32_t pfn = page_pfn(epc, page);
	struct sgx_epcm epcm;
	int code;

	sgx_epcm(epc->sgx, pfn, &epcm);
	code = sgx_ewb(epc->sgx, &info, (struct sgx_epc){ .address = ADDRESS, .page = pfn },
		       version_place(evicted));
	if (code && code != SGX_VA_SLOT_OCCUPIED) /* by the version of a page that is gone */
		return -EBUSY;
	if (!needs_store(epc, &epcm) || !epc->swap.store_fn ||
	    !epc->swap.store_fn(epc->swap.context, (uint32_t)(evicted - epc->evicted), epc->sealed))
		return 0;
	/* It comes back at once. Nobody has changed a bit of it. */
	epc->nr_swap_failures++;
	(void)eldu(epc, evicted, pfn);
	/* Nobody waits for what cannot be; a while later, or with room, it is tried again. */
	epc->swap_retry_ns = epc->now_ns + SWAP_RETRY_NS;
	cgroup_wake_all(epc);
	return -EIO;
}

bool swap_evict(struct epc *epc, struct epc_page *page)
{
	struct epc_instance *instance = page->stake->instance;
	uint32_t slot = slot_take(epc);
	struct evicted *evicted = &epc->evicted[slot];

	*evicted = (struct evicted){
		.instance = instance,
		.index = page->index,
		.nr_evictions = epc->nr_evictions,
		.max_rwx = page->max_rwx,
	};
	version_take(epc, instance->host, evicted);
	if (seal(epc, page, evicted)) {
		version_put(instance->host, evicted);
		slot_put(epc, slot);
		return false;
	}
	if (page->index == INDEX_SECS)
		page_count_secs(epc, page, -1);
	instance->host->nr_evicted++;
	epc->nr_evicted++;
	epc->nr_evictions++;
	page_free_evicted(epc, page, slot);
	return true;
}

static void record_lost(struct epc *epc, const struct evicted *evicted)
{
	struct epc_record record = {
		.kind = EPC_RECORD_PAGE_LOST,
		.instance_id = evicted->instance->id,
		.instance_cookie = evicted->instance->cookie,
		.index = evicted->index,
	};

	epc_record_add(epc, &record);
}

int swap_load(struct epc *epc, struct epc_page *page, uint32_t slot)
{
	struct evicted *evicted = &epc->evicted[slot];
	struct epc_instance *instance = evicted->instance;
	int error = 0;

	if (MUTANT(epc, SWAP_DROPPED_EARLY) && epc->swap.drop_fn)
		epc->swap.drop_fn(epc->swap.context, slot);
	if (!epc->is_metadata_only ||
	    (evicted->pcmd.secinfo.flags & SGX_SECINFO_TYPE_MASK) >> SGX_SECINFO_TYPE_SHIFT !=
		    SGX_PT_REG)
		error = epc->swap.load_fn ?
				epc->swap.load_fn(epc->swap.context, slot, epc->sealed) :
				0;
	if (evicted->is_lost || (!error && eldu(epc, evicted, page_pfn(epc, page))))
		error = -EIO;
	if (error) {
		if (!evicted->is_lost) {
			instance->host->nr_lost++;
			record_lost(epc, evicted);
		}
		evicted->is_lost = true;
		return -EFAULT;
	}
	page->max_rwx = evicted->max_rwx & 7u;
	instance->host->nr_loads++;
	epc->nr_loads++;
	/* It would have been there still in an EPC of twice the size. */
	if (epc->nr_evictions - evicted->nr_evictions < epc->nr_pages) {
		instance->host->nr_refaults++;
		epc->nr_refaults++;
	}
	swap_drop(epc, slot);
	return 0;
}

void swap_drop(struct epc *epc, uint32_t slot)
{
	struct evicted *evicted = &epc->evicted[slot];

	version_put(evicted->instance->host, evicted);
	evicted->instance->host->nr_evicted--;
	epc->nr_evicted--;
	epc->swap_retry_ns = 0;
	if (epc->swap.drop_fn)
		epc->swap.drop_fn(epc->swap.context, slot);
	slot_put(epc, slot);
}
