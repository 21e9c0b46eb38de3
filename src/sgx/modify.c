/* SPDX-License-Identifier: MIT */
/*
 * The system's half of changing an enclave that runs: EAUG, EMODPR, EMODT. The enclave's half,
 * which accepts the change, is in inside.c.
 */
#include <string.h>

#include "sgx/internal.h"

int sgx_eaug(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx)
{
	const uint64_t flags = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_PENDING |
			       (uint64_t)SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT;
	const struct secs_page *secs;

	if (!is_aligned(rbx->address, 32) || !is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!is_aligned(rbx->secinfo.address, 64) ||
	    !is_aligned(rbx->secs.address, SGX_PAGE_SIZE) ||
	    !is_aligned(rbx->linaddr, SGX_PAGE_SIZE))
		return SGX_GP;
	if (rbx->srcpge.address != 0)
		return SGX_GP;
	if (!in_epc(sgx, rbx->secs))
		return SGX_PF(SGX_OPERAND_SECS);
	if (!can_own(sgx, rcx))
		return SGX_GP;
	if (!epcm_is_vacant(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (rbx->secinfo.address != 0) /* a page of a shadow stack, and this processor has no CET */
		return rbx->secinfo.bytes ? SGX_GP : SGX_PF(SGX_OPERAND_SECINFO);
	if (!can_share(sgx, rbx->secs))
		return SGX_GP;
	secs = secs_at(sgx, rbx->secs);
	if (!secs)
		return SGX_PF(SGX_OPERAND_SECS);
	if (!is_initialised(secs))
		return SGX_GP;
	if (!in_elrange(secs, rbx->linaddr))
		return SGX_GP;

	if (has_contents(sgx, SGX_PT_REG))
		memset(bytes_of(sgx, rcx.page), 0, SGX_PAGE_SIZE);
	epcm_add_child(sgx, rcx.page, rbx->secs.page, flags, rbx->linaddr);
	return 0;
}

/* What EMODPR and EMODT ask of their operands first. */
static int modify_operands(const struct sgx *sgx, struct sgx_memory rbx, struct sgx_epc rcx,
			   struct sgx_secinfo *secinfo)
{
	if (!is_aligned(rbx.address, 64) || !is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!secinfo_read(rbx, secinfo))
		return SGX_PF(SGX_OPERAND_RBX);
	return secinfo_has_reserved(secinfo, SECINFO_ALL) ? SGX_GP : 0;
}

int sgx_emodpr(struct sgx *sgx, struct sgx_memory rbx, struct sgx_epc rcx)
{
	struct sgx_secinfo secinfo;
	struct epcm_entry *entry;
	int result;

	result = modify_operands(sgx, rbx, rcx, &secinfo);
	if (result)
		return result;
	if ((secinfo.flags & (SGX_SECINFO_R | SGX_SECINFO_W)) == SGX_SECINFO_W)
		return SGX_GP;
	if (!can_share(sgx, rcx))
		return SGX_GP;
	entry = epcm_valid(sgx, rcx);
	if (!entry)
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_modify(sgx, rcx))
		return SGX_EPC_PAGE_CONFLICT;
	/* Linux counts on a code for a page that waits to be accepted, whatever its type. */
	if (entry->is_pending || entry->is_modified)
		return SGX_PAGE_NOT_MODIFIABLE;
	if (entry->type != SGX_PT_REG)
		return SGX_PF(SGX_OPERAND_RCX);
	if (!is_initialised(secs_of(sgx, entry->secs)))
		return SGX_GP;

	entry->is_restricted = true;
	entry->r = entry->r && secinfo.flags & SGX_SECINFO_R;
	entry->w = entry->w && secinfo.flags & SGX_SECINFO_W;
	entry->x = entry->x && secinfo.flags & SGX_SECINFO_X;
	epcm_begin_tracking(sgx, entry);
	return SGX_SUCCESS;
}

/*
 * Without contents nobody can have prepared the page as a TCS, and its bytes are whatever was
 * there: it becomes one that EACCEPT takes.
 */
static void tcs_invent(void *page)
{
	struct sgx_tcs *tcs = page;

	memset(page, 0, SGX_PAGE_SIZE);
	tcs->nssa = 1;
	tcs->fslimit = UINT32_MAX;
	tcs->gslimit = UINT32_MAX;
}

int sgx_emodt(struct sgx *sgx, struct sgx_memory rbx, struct sgx_epc rcx)
{
	struct sgx_secinfo secinfo;
	struct epcm_entry *entry;
	enum sgx_page_type type;
	int result;

	result = modify_operands(sgx, rbx, rcx, &secinfo);
	if (result)
		return result;
	type = secinfo_type(&secinfo);
	if (type != SGX_PT_TCS && type != SGX_PT_TRIM)
		return SGX_GP;
	if (!can_own(sgx, rcx))
		return SGX_EPC_PAGE_CONFLICT;
	entry = epcm_valid(sgx, rcx);
	if (!entry)
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_modify(sgx, rcx))
		return SGX_EPC_PAGE_CONFLICT;
	if (entry->type != SGX_PT_REG && !(entry->type == SGX_PT_TCS && type == SGX_PT_TRIM))
		return SGX_PF(SGX_OPERAND_RCX);
	if (entry->is_pending || entry->is_modified)
		return SGX_PAGE_NOT_MODIFIABLE;
	if (!is_initialised(secs_of(sgx, entry->secs)))
		return SGX_GP;

	if (type == SGX_PT_TCS && !has_contents(sgx, SGX_PT_REG))
		tcs_invent(bytes_of(sgx, rcx.page));
	entry->was_tcs = entry->type == SGX_PT_TCS;
	entry->is_restricted = false;
	entry->is_modified = true;
	entry->r = entry->w = entry->x = false;
	entry->type = type & 7;
	epcm_begin_tracking(sgx, entry);
	return SGX_SUCCESS;
}
