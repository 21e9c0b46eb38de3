/* SPDX-License-Identifier: MIT */
/*
 * What pages are to the processor: hidden pages, SECS pages and their children, EREMOVE and what
 * follows from it. Which leaf is executed for whom is leaf.c's; when pages are removed is
 * operation.c's.
 */
#include "core/internal.h"

bool page_is_hidden(const struct epc *epc, const struct epc_page *page)
{
	struct sgx_epcm epcm;

	sgx_epcm(epc->sgx, page_pfn(epc, page), &epcm);
	if (!epcm.is_valid)
		return false;
	return epcm.type != SGX_PT_REG || epcm.is_blocked;
}

bool page_is_secs(const struct epc *epc, const struct epc_page *page)
{
	struct sgx_epcm epcm;

	sgx_epcm(epc->sgx, page_pfn(epc, page), &epcm);
	return epcm.is_valid && epcm.type == SGX_PT_SECS;
}

void page_count_secs(struct epc *epc, const struct epc_page *page, int64_t delta)
{
	page->stake->instance->nr_secs += (uint64_t)delta;
	epc->nr_secs += (uint64_t)delta;
}

static int eremove(struct epc *epc, uint32_t pfn)
{
	return sgx_eremove(epc->sgx, (struct sgx_epc){ .address = EPC_PAGE_SIZE, .page = pfn });
}

void secs_child_gone(struct epc *epc, uint32_t secs)
{
	struct epc_page *page = &epc->pages[secs];
	uint64_t nr_children = sgx_secs_nr_children(epc->sgx, secs);
	enum page_class was = page_class(page);
	struct epc_instance *instance;

	if (MUTANT(epc, CHILD_MISCOUNTED) && nr_children)
		nr_children--;
	if (!page->is_zombie || nr_children || MUTANT(epc, ZOMBIE_FORGOTTEN))
		return;
	instance = page->stake->instance;
	eremove(epc, secs);
	page_count_secs(epc, page, -1);
	instance->nr_zombies--;
	epc->nr_zombies--;
	page->is_zombie = false;
	page_reclass(epc, page, was);
	page_free(epc, page);
	if (!instance->nr_zombies)
		operation_queue(epc, instance);
}

int page_remove(struct epc *epc, struct epc_page *page, bool is_forced)
{
	uint32_t pfn = page_pfn(epc, page);
	struct sgx_epcm epcm;
	int code;

	sgx_epcm(epc->sgx, pfn, &epcm);
	if (!epcm.is_valid)
		return 0;
	code = eremove(epc, pfn);
	if (code == SGX_ENCLAVE_ACT && is_forced && !MUTANT(epc, LOSS_SPARES_THREADS)) {
		sgx_evict_threads(epc->sgx, epcm.secs);
		code = eremove(epc, pfn);
	}
	if (code)
		return code;
	if (epcm.type == SGX_PT_SECS)
		page_count_secs(epc, page, -1);
	else if (epcm.secs != SGX_PAGE_OUTSIDE)
		secs_child_gone(epc, epcm.secs);
	return 0;
}

void page_set_zombie(struct epc *epc, struct epc_page *page)
{
	enum page_class was = page_class(page);

	page->is_zombie = true;
	page->stake->instance->nr_zombies++;
	epc->nr_zombies++;
	page_reclass(epc, page, was);
}
