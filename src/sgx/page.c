/* SPDX-License-Identifier: MIT */
/*
 * Single pages, whoever they belong to: EREMOVE, EPA, and the debugger's EDBGRD and EDBGWR. What
 * a page goes through on its way out and back in is in paging.c.
 */
#include <string.h>

#include "sgx/internal.h"

int sgx_eremove(struct sgx *sgx, struct sgx_epc rcx)
{
	const struct epcm_entry *entry;
	const struct secs_page *secs;

	if (!is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_own(sgx, rcx))
		return SGX_GP;
	entry = epcm_valid(sgx, rcx);
	if (!entry)
		return SGX_SUCCESS;
	if (entry->type == SGX_PT_SECS) {
		if (secs_of(sgx, rcx.page)->nr_children > 0)
			return SGX_CHILD_PRESENT;
	} else if (is_child(entry->type) && (entry->type != SGX_PT_TRIM || entry->is_modified)) {
		secs = secs_of(sgx, entry->secs);
		if (secs->nr_current + secs->nr_previous > 0)
			return SGX_ENCLAVE_ACT;
	}
	epcm_remove(sgx, rcx.page);
	return SGX_SUCCESS;
}

int sgx_epa(struct sgx *sgx, uint64_t rbx, struct sgx_epc rcx)
{
	if (rbx != SGX_PT_VA || !is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_own(sgx, rcx))
		return SGX_GP;
	if (!epcm_is_vacant(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	memset(bytes_of(sgx, rcx.page), 0, SGX_PAGE_SIZE);
	epcm_add_parentless(sgx, rcx.page, SGX_PT_VA);
	return 0;
}

/* What both of the debugger's leaves ask first. *entry is set on 0 only. */
static int debug_check(const struct sgx *sgx, struct sgx_epc rcx, struct epcm_entry **entry)
{
	if (!is_aligned(rcx.address, 8))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_share(sgx, rcx))
		return SGX_GP;
	*entry = epcm_valid(sgx, rcx);
	return *entry ? 0 : SGX_PF(SGX_OPERAND_RCX);
}

static bool is_debuggable(const struct sgx *sgx, const struct epcm_entry *entry)
{
	return secs_of(sgx, entry->secs)->visible.attributes.flags & SGX_ATTR_DEBUG;
}

int sgx_edbgrd(struct sgx *sgx, uint64_t *rbx, struct sgx_epc rcx)
{
	uint32_t in_page = rcx.address & (SGX_PAGE_SIZE - 1);
	struct epcm_entry *entry;
	uint64_t value = 0;
	int result;

	result = debug_check(sgx, rcx, &entry);
	if (result)
		return result;
	if (entry->type != SGX_PT_REG && entry->type != SGX_PT_TCS && entry->type != SGX_PT_VA)
		return SGX_PF(SGX_OPERAND_RCX);
	if (entry->is_pending || entry->is_modified)
		return SGX_PAGE_NOT_DEBUGGABLE;
	if (entry->type == SGX_PT_TCS && in_page >= SGX_TCS_LIMIT)
		return SGX_GP;
	if (entry->type != SGX_PT_VA && !is_debuggable(sgx, entry))
		return SGX_GP;

	if (has_contents(sgx, entry->type))
		memcpy(&value, bytes_of(sgx, rcx.page) + in_page, sizeof(value));
	if (entry->type == SGX_PT_VA) /* whether the slot is occupied, but no version */
		value = value & ~UINT64_C(7) ? UINT64_MAX : 0;
	*rbx = value;
	return SGX_SUCCESS;
}

int sgx_edbgwr(struct sgx *sgx, uint64_t rbx, struct sgx_epc rcx)
{
	uint32_t in_page = rcx.address & (SGX_PAGE_SIZE - 1);
	struct epcm_entry *entry;
	int result;

	result = debug_check(sgx, rcx, &entry);
	if (result)
		return result;
	if (entry->type != SGX_PT_REG && entry->type != SGX_PT_TCS)
		return SGX_PF(SGX_OPERAND_RCX);
	if (entry->is_pending || entry->is_modified)
		return SGX_PAGE_NOT_DEBUGGABLE;
	if (entry->type == SGX_PT_TCS && in_page != offsetof(struct sgx_tcs, flags))
		return SGX_GP;
	if (!is_debuggable(sgx, entry))
		return SGX_GP;

	if (has_contents(sgx, entry->type))
		memcpy(bytes_of(sgx, rcx.page) + in_page, &rbx, sizeof(rbx));
	return SGX_SUCCESS;
}
