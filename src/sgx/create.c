/* SPDX-License-Identifier: MIT */
/*
 * Building an enclave: ECREATE, EADD, EEXTEND. What is measured how is measure.c's; EINIT, which
 * ends the building, is in init.c.
 */
#include <string.h>

#include "sgx/internal.h"

#define XSAVE_MIN 576u	 /* legacy region and header */
#define GPRSGX_SIZE 184u /* SDM: SSA frame */
#define EXINFO_SIZE 16u

static uint64_t frame_bytes_needed(const struct sgx_cpu *cpu, const struct sgx_secs *secs)
{
	uint64_t needed = XSAVE_MIN;

	for (uint64_t left = secs->attributes.xfrm; left; left &= left - 1) {
		uint32_t end = cpu->xsave_end[__builtin_ctzll(left)];

		if (end > needed)
			needed = end;
	}
	return needed + GPRSGX_SIZE + (secs->miscselect & SGX_MISC_EXINFO ? EXINFO_SIZE : 0);
}

/* SIZE and BASEADDR. */
static bool range_is_legal(const struct sgx_cpu *cpu, const struct sgx_secs *secs)
{
	bool is_64 = secs->attributes.flags & SGX_ATTR_MODE64BIT;
	unsigned int size_log2 = is_64 ? cpu->size_log2_64 : cpu->size_log2_32;

	if (is_64 ? !is_canonical(secs->base) : secs->base > UINT32_MAX)
		return false;
	if (size_log2 < 64 && secs->size > UINT64_C(1) << size_log2)
		return false;
	if (secs->size < 2 * SGX_PAGE_SIZE || (secs->size & (secs->size - 1)) != 0)
		return false;
	return is_aligned(secs->base, secs->size);
}

static bool reserved_is_zero(const struct secs_page *page)
{
	const struct sgx_secs *secs = &page->visible;

	return bytes_are_zero(secs->cet, sizeof(secs->cet)) &&
	       bytes_are_zero(secs->reserved1, sizeof(secs->reserved1)) &&
	       bytes_are_zero(secs->reserved2, sizeof(secs->reserved2)) &&
	       bytes_are_zero((const uint8_t *)page + sizeof(*secs), SGX_PAGE_SIZE - sizeof(*secs));
}

static bool secs_is_legal(const struct sgx_cpu *cpu, const struct secs_page *page)
{
	const struct sgx_secs *secs = &page->visible;

	if ((secs->attributes.xfrm & SGX_XFRM_LEGACY) != SGX_XFRM_LEGACY)
		return false;
	if (secs->attributes.xfrm & ~cpu->xfrm)
		return false;
	if (secs->miscselect & ~cpu->miscselect)
		return false;
	if ((uint64_t)secs->ssa_frame_pages * SGX_PAGE_SIZE < frame_bytes_needed(cpu, secs))
		return false;
	if (!range_is_legal(cpu, secs))
		return false;
	if (secs->attributes.flags & ~cpu->attributes)
		return false;
	if (!reserved_is_zero(page))
		return false;
	return secs->attributes.flags & SGX_ATTR_KSS ||
	       (secs->config_svn == 0 && bytes_are_zero(secs->config_id, sizeof(secs->config_id)));
}

int sgx_ecreate(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx)
{
	struct sgx_secinfo secinfo;
	struct secs_page *secs;

	if (!is_aligned(rbx->address, 32) || !is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!is_aligned(rbx->srcpge.address, SGX_PAGE_SIZE) ||
	    !is_aligned(rbx->secinfo.address, 64))
		return SGX_GP;
	if (rbx->linaddr != 0 || rbx->secs.address != 0)
		return SGX_GP;
	if (!secinfo_read(rbx->secinfo, &secinfo))
		return SGX_PF(SGX_OPERAND_SECINFO);
	if (secinfo_has_reserved(&secinfo, SECINFO_ALL) || secinfo_type(&secinfo) != SGX_PT_SECS)
		return SGX_GP;
	if (!can_own(sgx, rcx))
		return SGX_GP;
	if (!epcm_is_vacant(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!rbx->srcpge.bytes)
		return SGX_PF(SGX_OPERAND_SRCPGE);
	secs = secs_of(sgx, rcx.page);
	memcpy(secs, rbx->srcpge.bytes, SGX_PAGE_SIZE);
	if (!secs_is_legal(&sgx->cpu, secs))
		return SGX_GP;

	/* All that is hidden is 0: it was reserved. */
	secs->visible.isv_svn = 0;
	secs->visible.isv_prod_id = 0;
	secs->enclave_id = sgx->next_enclave_id++;
	secs->epoch = 1;
	if (sgx->is_metadata_only)
		memset(secs->visible.mrenclave, 0, sizeof(secs->visible.mrenclave));
	else
		measure_begin(secs);
	epcm_add_parentless(sgx, rcx.page, SGX_PT_SECS);
	return 0;
}

/* TCS.FLAGS is not looked at before EENTER. */
static bool tcs_is_legal(const struct secs_page *secs, const struct tcs_page *page)
{
	const struct sgx_tcs *tcs = &page->visible;

	if (!bytes_are_zero((const uint8_t *)page + sizeof(*tcs), SGX_PAGE_SIZE - sizeof(*tcs)))
		return false;
	return secs->visible.attributes.flags & SGX_ATTR_MODE64BIT ||
	       ((tcs->fslimit & 0xfff) == 0xfff && (tcs->gslimit & 0xfff) == 0xfff);
}

static void tcs_clean(struct sgx_tcs *tcs)
{
	tcs->state = 0;
	tcs->flags &= ~SGX_TCS_DBGOPTIN;
	tcs->cssa = 0;
	tcs->aep = 0;
}

/* The operands, as far as the EPC's own state does not matter. */
static int eadd_operands(const struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
			 struct sgx_secinfo *secinfo)
{
	if (!is_aligned(rbx->address, 32) || !is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!is_aligned(rbx->srcpge.address, SGX_PAGE_SIZE) ||
	    !is_aligned(rbx->secs.address, SGX_PAGE_SIZE) ||
	    !is_aligned(rbx->linaddr, SGX_PAGE_SIZE) || !is_aligned(rbx->secinfo.address, 64))
		return SGX_GP;
	if (!in_epc(sgx, rbx->secs))
		return SGX_PF(SGX_OPERAND_SECS);
	if (!secinfo_read(rbx->secinfo, secinfo))
		return SGX_PF(SGX_OPERAND_SECINFO);
	if (secinfo_has_reserved(secinfo, SGX_SECINFO_RWX | SGX_SECINFO_TYPE_MASK))
		return SGX_GP;
	if (secinfo_type(secinfo) != SGX_PT_REG && secinfo_type(secinfo) != SGX_PT_TCS)
		return SGX_GP;
	return 0;
}

/* Copies the page, and checks what was copied. */
static int eadd_copy(const struct sgx *sgx, const struct secs_page *secs,
		     const struct sgx_pageinfo *rbx, const struct sgx_secinfo *secinfo, void *page)
{
	uint64_t rw = secinfo->flags & (SGX_SECINFO_R | SGX_SECINFO_W);

	if (has_contents(sgx, secinfo_type(secinfo))) {
		if (!rbx->srcpge.bytes)
			return SGX_PF(SGX_OPERAND_SRCPGE);
		memcpy(page, rbx->srcpge.bytes, SGX_PAGE_SIZE);
	}
	if (secinfo_type(secinfo) == SGX_PT_TCS)
		return tcs_is_legal(secs, page) ? 0 : SGX_GP;
	return rw == SGX_SECINFO_W ? SGX_GP : 0;
}

int sgx_eadd(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx)
{
	struct sgx_secinfo secinfo;
	struct secs_page *secs;
	uint8_t *page;
	int result;

	result = eadd_operands(sgx, rbx, rcx, &secinfo);
	if (result)
		return result;
	if (!can_own(sgx, rcx))
		return SGX_GP;
	if (!epcm_is_vacant(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_share(sgx, rbx->secs))
		return SGX_GP;
	secs = secs_at(sgx, rbx->secs);
	if (!secs)
		return SGX_PF(SGX_OPERAND_SECS);
	page = bytes_of(sgx, rcx.page);
	result = eadd_copy(sgx, secs, rbx, &secinfo, page);
	if (result)
		return result;
	if (!in_elrange(secs, rbx->linaddr))
		return SGX_GP;
	if (!can_measure(sgx, rbx->secs.page))
		return SGX_GP;
	if (is_initialised(secs))
		return SGX_GP;

	if (secinfo_type(&secinfo) == SGX_PT_TCS) {
		secinfo.flags &= ~SGX_SECINFO_RWX;
		tcs_clean((struct sgx_tcs *)page);
	}
	if (!sgx->is_metadata_only)
		measure_eadd(secs, rbx->linaddr - secs->visible.base, &secinfo);
	epcm_add_child(sgx, rcx.page, rbx->secs.page, secinfo.flags, rbx->linaddr);
	return 0;
}

int sgx_eextend(struct sgx *sgx, struct sgx_epc rbx, struct sgx_epc rcx)
{
	const struct epcm_entry *entry;
	struct secs_page *secs;
	uint32_t in_page = rcx.address & (SGX_PAGE_SIZE - 1);

	if (!is_aligned(rbx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rbx))
		return SGX_PF(SGX_OPERAND_RBX);
	if (!is_aligned(rcx.address, SGX_CHUNK_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_share(sgx, rcx))
		return SGX_GP;
	entry = epcm_valid(sgx, rcx);
	if (!entry || (entry->type != SGX_PT_REG && entry->type != SGX_PT_TCS))
		return SGX_PF(SGX_OPERAND_RCX);
	if (entry->secs != rbx.page)
		return SGX_GP;
	if (!can_measure(sgx, rbx.page))
		return SGX_GP;
	secs = secs_of(sgx, rbx.page);
	if (is_initialised(secs))
		return SGX_GP;

	if (!sgx->is_metadata_only)
		measure_eextend(secs,
				((uint64_t)entry->linpage << 12) - secs->visible.base + in_page,
				bytes_of(sgx, rcx.page) + in_page);
	return 0;
}
