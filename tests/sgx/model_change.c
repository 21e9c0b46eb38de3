/* SPDX-License-Identifier: MIT */
/* See model.h: EAUG, EMODPR, EMODT, and what enclave code does: EACCEPT, EACCEPTCOPY, EMODPE. */
#include <string.h>

#include "model_parts.h"

#define FLAGS_KNOWN UINT64_C(0xff3f)
#define FLAGS_REG ((uint64_t)SGX_PT_REG << 8)

int model_eaug(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx)
{
	struct model_page *page = empty_page(model, rcx), *secs = valid_secs(model, rbx->secs);
	uint64_t flags = FLAGS_REG | SGX_SECINFO_R | SGX_SECINFO_W;

	if (!is_multiple(rbx->address, 32) || !is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_multiple(rbx->secinfo.address, 64) || !is_multiple(rbx->secs.address, 4096) ||
	    !is_multiple(rbx->linaddr, 4096) || rbx->srcpge.address != 0)
		return SGX_GP;
	if (!is_epc(rbx->secs))
		return PF_SECS;
	if (!is_free_for_all(model, rcx))
		return SGX_GP;
	if (!page)
		return PF_RCX;
	if (rbx->secinfo.address != 0) /* for shadow stacks, which there are not */
		return rbx->secinfo.bytes ? SGX_GP : PF_SECINFO;
	if (!is_shareable(model, rbx->secs))
		return SGX_GP;
	if (!secs)
		return PF_SECS;
	if (!(secs->enclave.attributes.flags & SGX_ATTR_INIT) &&
	    !is_broken(model, MODEL_BREAK_EAUG_UNINIT))
		return SGX_GP;
	if (!is_in_range(&secs->enclave, rbx->linaddr))
		return SGX_GP;

	if (!is_broken(model, MODEL_BREAK_EAUG_PENDING))
		flags |= SGX_SECINFO_PENDING;
	make_child(page, rbx->secs.page, rbx->linaddr, flags);
	memset(page->bytes, 0, sizeof(page->bytes));
	return 0;
}

static int modify_operands(struct sgx_memory rbx, struct sgx_epc rcx, uint64_t *flags)
{
	struct sgx_secinfo secinfo;

	if (!is_multiple(rbx.address, 64) || !is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!rbx.bytes)
		return PF_RBX;
	memcpy(&secinfo, rbx.bytes, sizeof(secinfo));
	*flags = secinfo.flags;
	return secinfo_is_clean(&secinfo, FLAGS_KNOWN) ? 0 : SGX_GP;
}

static int emodpr_check(struct model *model, struct sgx_epc rcx)
{
	const struct model_page *page = valid_page(model, rcx);

	if (!is_shareable(model, rcx))
		return SGX_GP;
	if (!page)
		return PF_RCX;
	if (is_held_as(model, rcx.page, SGX_HOLD_MODIFY))
		return SGX_EPC_PAGE_CONFLICT;
	if (page->type != SGX_PT_REG && is_broken(model, MODEL_BREAK_EMODPR_ORDER))
		return PF_RCX;
	if (page->is_pending || page->is_modified)
		return SGX_PAGE_NOT_MODIFIABLE;
	if (page->type != SGX_PT_REG)
		return PF_RCX;
	return model_is_initialised(model, page->secs) ? 0 : SGX_GP;
}

int model_emodpr(struct model *model, struct sgx_memory rbx, struct sgx_epc rcx)
{
	struct model_page *page = valid_page(model, rcx);
	uint64_t flags;
	int result;

	result = modify_operands(rbx, rcx, &flags);
	if (result)
		return result;
	if (is_write_only(flags))
		return SGX_GP;
	result = emodpr_check(model, rcx);
	if (result)
		return result;

	if (is_broken(model, MODEL_BREAK_EMODPR_ADDS))
		page->r = page->w = page->x = true;
	page->r = page->r && flags & SGX_SECINFO_R;
	page->w = page->w && flags & SGX_SECINFO_W;
	page->x = page->x && flags & SGX_SECINFO_X;
	page->is_restricted = true;
	begin_tracking(model, page);
	return SGX_SUCCESS;
}

static int emodt_check(struct model *model, struct sgx_epc rcx, enum sgx_page_type to)
{
	const struct model_page *page = valid_page(model, rcx);

	if (to != SGX_PT_TCS && to != SGX_PT_TRIM)
		return SGX_GP;
	if (!is_free_for_all(model, rcx))
		return SGX_EPC_PAGE_CONFLICT;
	if (!page)
		return PF_RCX;
	if (is_held_as(model, rcx.page, SGX_HOLD_MODIFY))
		return SGX_EPC_PAGE_CONFLICT;
	if (page->type == SGX_PT_TCS && to == SGX_PT_TCS)
		return PF_RCX;
	if (page->type != SGX_PT_TCS && page->type != SGX_PT_REG)
		return PF_RCX;
	if (page->is_pending || page->is_modified)
		return SGX_PAGE_NOT_MODIFIABLE;
	return model_is_initialised(model, page->secs) ? 0 : SGX_GP;
}

/* Without contents nobody can have written it: it is one that EACCEPT takes. */
static void invent_tcs(struct model_page *page)
{
	struct sgx_tcs tcs = { .nssa = 1, .fslimit = UINT32_MAX, .gslimit = UINT32_MAX };

	memset(page->bytes, 0, sizeof(page->bytes));
	put_tcs(page, &tcs);
}

int model_emodt(struct model *model, struct sgx_memory rbx, struct sgx_epc rcx)
{
	struct model_page *page = valid_page(model, rcx);
	uint64_t flags;
	int result;

	result = modify_operands(rbx, rcx, &flags);
	if (!result)
		result = emodt_check(model, rcx, type_of(flags));
	if (result)
		return result;

	page->type = type_of(flags);
	if (page->type == SGX_PT_TCS && model->is_metadata_only)
		invent_tcs(page);
	page->is_modified = true;
	page->is_restricted = false;
	if (!is_broken(model, MODEL_BREAK_EMODT_PERMISSIONS))
		page->r = page->w = page->x = false;
	if (!is_broken(model, MODEL_BREAK_EMODT_TRACKING))
		begin_tracking(model, page);
	return SGX_SUCCESS;
}

/* #GP of an operand of enclave code. */
static bool is_operand(struct model *model, uint32_t secs, struct sgx_epc operand, uint64_t of)
{
	const struct model_page *page = valid_secs(model, (struct sgx_epc){ .page = secs });

	return page && is_multiple(operand.address, of) &&
	       is_in_range(&page->enclave, operand.address);
}

/* Whether enclave code can use it, as it could any page of data. */
static bool is_usable(struct model *model, uint32_t secs, struct sgx_epc operand)
{
	const struct model_page *page = valid_page(model, operand);

	return page && page->type == SGX_PT_REG && page->secs == secs && !page->is_pending &&
	       !page->is_modified && !page->is_blocked &&
	       page->linaddr == operand.address - operand.address % 4096;
}

/* Where a SECINFO is. */
static int check_secinfo(struct model *model, uint32_t secs, struct sgx_epc rbx)
{
	if (!is_operand(model, secs, rbx, 64))
		return SGX_GP;
	return is_usable(model, secs, rbx) && model->pages[rbx.page].r ? 0 : PF_RBX;
}

/* What it says; false: something reserved. Without contents it says what suits. */
static bool read_secinfo(const struct model *model, struct sgx_epc rbx, uint64_t suits,
			 uint64_t *flags)
{
	struct sgx_secinfo secinfo = { .flags = suits };

	if (!model->is_metadata_only)
		memcpy(&secinfo, model->pages[rbx.page].bytes + rbx.address % 4096,
		       sizeof(secinfo));
	*flags = secinfo.flags;
	return secinfo_is_clean(&secinfo, FLAGS_KNOWN);
}

/* {REG, MODIFIED=0, PR=1 or PENDING=1} or {TCS or TRIM, PR=0, PENDING=0, MODIFIED=1}. */
static bool is_request(uint64_t flags)
{
	bool is_pending = flags & SGX_SECINFO_PENDING, is_modified = flags & SGX_SECINFO_MODIFIED;
	bool is_restricted = flags & SGX_SECINFO_PR;

	if (type_of(flags) == SGX_PT_REG)
		return !is_modified && (is_pending || is_restricted);
	if (type_of(flags) == SGX_PT_TCS || type_of(flags) == SGX_PT_TRIM)
		return is_modified && !is_pending && !is_restricted;
	return false;
}

static bool is_acceptable_tcs(const struct model_page *page)
{
	struct sgx_tcs tcs = tcs_in(page);

	return is_all_zero(page->bytes + 72, 4024) && !(tcs.flags & SGX_TCS_DBGOPTIN) &&
	       tcs.cssa < tcs.nssa && tcs.aep == 0 && tcs.state == 0;
}

static uint64_t request_that_suits(const struct model_page *page)
{
	if (!page)
		return FLAGS_REG | SGX_SECINFO_PR;
	return flags_of(page) | (page->type == SGX_PT_REG ? SGX_SECINFO_PR : SGX_SECINFO_MODIFIED);
}

/* What the page must be for EACCEPT. */
static int eaccept_check(struct model *model, uint32_t secs, struct sgx_epc rcx, uint64_t flags)
{
	const struct model_page *page = valid_page(model, rcx);

	if (!page || page->is_blocked || !is_child_type(page->type) || page->secs != secs)
		return PF_RCX;
	if (!is_shareable(model, rcx) || is_held_as(model, rcx.page, SGX_HOLD_MODIFY))
		return SGX_GP;
	if (page->linaddr != rcx.address ||
	    (flags_of(page) & ~SGX_SECINFO_PR) != (flags & ~SGX_SECINFO_PR))
		return SGX_PAGE_ATTRIBUTES_MISMATCH;
	if (!is_tracked(model, page))
		return SGX_NOT_TRACKED;
	return page->type == SGX_PT_TCS && !is_acceptable_tcs(page) ? SGX_GP : 0;
}

int model_eaccept(struct model *model, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx)
{
	struct model_page *page = valid_page(model, rcx);
	uint64_t flags;
	int result;

	result = check_secinfo(model, secs, rbx);
	if (result)
		return result;
	if (!read_secinfo(model, rbx, request_that_suits(page), &flags))
		return SGX_GP;
	if (!is_operand(model, secs, rcx, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_request(flags))
		return SGX_GP;
	result = eaccept_check(model, secs, rcx, flags);
	if (result)
		return result;

	page->is_pending = false;
	page->is_modified = false;
	if (!is_broken(model, MODEL_BREAK_EACCEPT_PR))
		page->is_restricted = false;
	return SGX_SUCCESS;
}

int model_eacceptcopy(struct model *model, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx,
		      struct sgx_epc rdx)
{
	struct model_page *page = valid_page(model, rcx);
	uint64_t flags;
	int result;

	result = check_secinfo(model, secs, rbx);
	if (result)
		return result;
	if (!is_operand(model, secs, rcx, 4096) || !is_operand(model, secs, rdx, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_epc(rdx))
		return PF_RDX;
	if (!read_secinfo(model, rbx, FLAGS_REG | SGX_SECINFO_RWX, &flags))
		return SGX_GP;
	if (type_of(flags) != SGX_PT_REG || is_write_only(flags))
		return SGX_GP;
	if (!is_usable(model, secs, rdx) || !model->pages[rdx.page].r)
		return PF_RDX;
	if (!page || page->type != SGX_PT_REG || !page->is_pending || page->is_modified ||
	    page->is_blocked || page->is_restricted || page->secs != secs || !page->r || !page->w ||
	    page->x || page->linaddr != rcx.address)
		return SGX_PAGE_ATTRIBUTES_MISMATCH;
	if (is_held_as(model, rcx.page, SGX_HOLD_MODIFY))
		return SGX_GP;

	memcpy(page->bytes, model->pages[rdx.page].bytes, SGX_PAGE_SIZE);
	if (!is_broken(model, MODEL_BREAK_EACCEPTCOPY_RWX)) {
		page->r = flags & SGX_SECINFO_R;
		page->w = flags & SGX_SECINFO_W;
		page->x = flags & SGX_SECINFO_X;
	}
	page->is_pending = false;
	return SGX_SUCCESS;
}

int model_emodpe(struct model *model, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx)
{
	struct model_page *page = valid_page(model, rcx);
	uint64_t flags;
	int result;

	result = check_secinfo(model, secs, rbx);
	if (result)
		return result;
	if (!is_operand(model, secs, rcx, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!read_secinfo(model, rbx, FLAGS_REG | SGX_SECINFO_RWX, &flags))
		return SGX_GP;
	if (!is_usable(model, secs, rcx))
		return PF_RCX;
	if (is_held_as(model, rcx.page, SGX_HOLD_MODIFY))
		return SGX_GP;
	if (is_write_only(flags_of(page) | flags))
		return SGX_GP;

	if (is_broken(model, MODEL_BREAK_EMODPE_REPLACES))
		page->r = page->w = page->x = false;
	page->r = page->r || flags & SGX_SECINFO_R;
	page->w = page->w || flags & SGX_SECINFO_W;
	page->x = page->x || flags & SGX_SECINFO_X;
	return 0;
}
