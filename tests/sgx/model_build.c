/* SPDX-License-Identifier: MIT */
/* See model.h: ECREATE, EADD, EEXTEND, EINIT. */
#include <string.h>

#include "model_parts.h"

/* Bits 6, 7 and 16 to 63 of SECINFO.FLAGS are reserved. */
#define FLAGS_KNOWN UINT64_C(0xff3f)
#define FLAGS_EADD UINT64_C(0xff07)

#define GPRSGX 184u
#define EXINFO 16u

static bool has_frame_room(const struct sgx_cpu *cpu, const struct sgx_secs *secs)
{
	uint64_t needed = 576;

	for (unsigned int feature = 2; feature < 64; feature++)
		if (secs->attributes.xfrm >> feature & 1 && cpu->xsave_end[feature] > needed)
			needed = cpu->xsave_end[feature];
	needed += GPRSGX;
	if (secs->miscselect & SGX_MISC_EXINFO)
		needed += EXINFO;
	return secs->ssa_frame_pages * UINT64_C(4096) >= needed;
}

static bool is_power_of_two(uint64_t number)
{
	unsigned int nr_bits = 0;

	for (; number; number >>= 1)
		nr_bits += number & 1;
	return nr_bits == 1;
}

static bool is_good_place(const struct sgx_cpu *cpu, const struct sgx_secs *secs)
{
	if (secs->attributes.flags & SGX_ATTR_MODE64BIT) {
		if (!is_sign_extended(secs->base) || secs->size > UINT64_C(1) << cpu->size_log2_64)
			return false;
	} else {
		if (secs->base > 0xffffffff || secs->size > UINT64_C(1) << cpu->size_log2_32)
			return false;
	}
	return secs->size >= 8192 && is_power_of_two(secs->size) && secs->base % secs->size == 0;
}

static bool is_good_secs(const struct sgx_cpu *cpu, const uint8_t *source)
{
	struct sgx_secs secs;
	bool has_config;

	memcpy(&secs, source, sizeof(secs));
	has_config = secs.config_svn || !is_all_zero(secs.config_id, sizeof(secs.config_id));
	return (secs.attributes.xfrm & 3) == 3 && (secs.attributes.xfrm & ~cpu->xfrm) == 0 &&
	       (secs.miscselect & ~cpu->miscselect) == 0 && has_frame_room(cpu, &secs) &&
	       is_good_place(cpu, &secs) && (secs.attributes.flags & ~cpu->attributes) == 0 &&
	       is_all_zero(source + 24, 24) && is_all_zero(source + 96, 32) &&
	       is_all_zero(source + 160, 32) && is_all_zero(source + 262, 4096 - 262) &&
	       (!has_config || secs.attributes.flags & SGX_ATTR_KSS);
}

int model_ecreate(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx)
{
	struct model_page *page = empty_page(model, rcx);
	struct sgx_secinfo secinfo;
	struct sgx_secs secs;

	if (!is_multiple(rbx->address, 32) || !is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_multiple(rbx->srcpge.address, 4096) || !is_multiple(rbx->secinfo.address, 64))
		return SGX_GP;
	if (rbx->linaddr != 0 || rbx->secs.address != 0)
		return SGX_GP;
	if (!rbx->secinfo.bytes)
		return PF_SECINFO;
	memcpy(&secinfo, rbx->secinfo.bytes, sizeof(secinfo));
	if (!secinfo_is_clean(&secinfo, FLAGS_KNOWN) || type_of(secinfo.flags) != SGX_PT_SECS)
		return SGX_GP;
	if (!is_free_for_all(model, rcx))
		return SGX_GP;
	if (!page)
		return PF_RCX;
	if (!rbx->srcpge.bytes)
		return PF_SRCPGE;
	if (!is_good_secs(&model->cpu, rbx->srcpge.bytes))
		return SGX_GP;

	memcpy(&secs, rbx->srcpge.bytes, sizeof(secs));
	make_parentless(page, SGX_PT_SECS);
	page->enclave = (struct model_secs){
		.id = ++model->nr_enclaves,
		.base = secs.base,
		.size = secs.size,
		.attributes = secs.attributes,
		.miscselect = secs.miscselect,
		.epoch = 1,
	};
	if (!model->is_metadata_only)
		measurement_ecreate(&page->enclave.measurement, secs.ssa_frame_pages, secs.size);
	return 0;
}

static bool is_good_tcs(const struct model_secs *enclave, const uint8_t *source)
{
	struct sgx_tcs tcs;

	memcpy(&tcs, source, sizeof(tcs));
	if (!is_all_zero(source + 72, 4024))
		return false;
	if (enclave->attributes.flags & SGX_ATTR_MODE64BIT)
		return true;
	return (tcs.fslimit & 0xfff) == 0xfff && (tcs.gslimit & 0xfff) == 0xfff;
}

static int eadd_operands(const struct sgx_pageinfo *rbx, struct sgx_epc rcx, uint64_t *flags)
{
	struct sgx_secinfo secinfo;

	if (!is_multiple(rbx->address, 32) || !is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_multiple(rbx->srcpge.address, 4096) || !is_multiple(rbx->secs.address, 4096) ||
	    !is_multiple(rbx->linaddr, 4096) || !is_multiple(rbx->secinfo.address, 64))
		return SGX_GP;
	if (!is_epc(rbx->secs))
		return PF_SECS;
	if (!rbx->secinfo.bytes)
		return PF_SECINFO;
	memcpy(&secinfo, rbx->secinfo.bytes, sizeof(secinfo));
	*flags = secinfo.flags;
	if (!secinfo_is_clean(&secinfo, FLAGS_EADD))
		return SGX_GP;
	return type_of(*flags) == SGX_PT_REG || type_of(*flags) == SGX_PT_TCS ? 0 : SGX_GP;
}

static int eadd_state(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
		      uint64_t flags)
{
	struct model_page *secs = valid_secs(model, rbx->secs);
	const struct model_secs *enclave;

	if (!is_free_for_all(model, rcx))
		return SGX_GP;
	if (!empty_page(model, rcx))
		return PF_RCX;
	if (!is_shareable(model, rbx->secs))
		return SGX_GP;
	if (!secs)
		return PF_SECS;
	enclave = &secs->enclave;
	if (!rbx->srcpge.bytes && model_has_bytes(model, type_of(flags)))
		return PF_SRCPGE;
	if (type_of(flags) == SGX_PT_TCS && !is_good_tcs(enclave, rbx->srcpge.bytes))
		return SGX_GP;
	if (type_of(flags) == SGX_PT_REG && is_write_only(flags))
		return SGX_GP;
	if (!is_in_range(enclave, rbx->linaddr) && !(is_broken(model, MODEL_BREAK_EADD_RANGE) &&
						     rbx->linaddr == enclave->base + enclave->size))
		return SGX_GP;
	if (is_held_as(model, rbx->secs.page, SGX_HOLD_MEASURE))
		return SGX_GP;
	if (enclave->attributes.flags & SGX_ATTR_INIT && !is_broken(model, MODEL_BREAK_EADD_INIT))
		return SGX_GP;
	return 0;
}

int model_eadd(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx)
{
	struct model_page *page = empty_page(model, rcx);
	struct model_secs *enclave;
	uint64_t flags;
	int result;

	result = eadd_operands(rbx, rcx, &flags);
	if (!result)
		result = eadd_state(model, rbx, rcx, flags);
	if (result)
		return result;

	if (model_has_bytes(model, type_of(flags)))
		memcpy(page->bytes, rbx->srcpge.bytes, SGX_PAGE_SIZE);
	if (type_of(flags) == SGX_PT_TCS) {
		struct sgx_tcs tcs = tcs_in(page);

		tcs.state = 0;
		tcs.flags &= ~SGX_TCS_DBGOPTIN;
		tcs.cssa = 0;
		tcs.aep = 0;
		put_tcs(page, &tcs);
		flags &= ~SGX_SECINFO_RWX;
	}
	make_child(page, rbx->secs.page, rbx->linaddr, flags);
	enclave = &model->pages[rbx->secs.page].enclave;
	if (!model->is_metadata_only)
		measurement_eadd(&enclave->measurement, rbx->linaddr - enclave->base, flags);
	return 0;
}

int model_eextend(struct model *model, struct sgx_epc rbx, struct sgx_epc rcx)
{
	const struct model_page *page = valid_page(model, rcx);
	uint32_t offset = rcx.address % 4096;
	struct model_secs *enclave;

	if (!is_multiple(rbx.address, 4096))
		return SGX_GP;
	if (!is_epc(rbx))
		return PF_RBX;
	if (!is_multiple(rcx.address, 256))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_shareable(model, rcx))
		return SGX_GP;
	if (!page || (page->type != SGX_PT_REG && page->type != SGX_PT_TCS))
		return PF_RCX;
	if (page->secs != rbx.page)
		return SGX_GP;
	if (is_held_as(model, rbx.page, SGX_HOLD_MEASURE))
		return SGX_GP;
	if (model_is_initialised(model, rbx.page))
		return SGX_GP;

	enclave = &model->pages[rbx.page].enclave;
	if (!model->is_metadata_only)
		measurement_eextend(&enclave->measurement, page->linaddr - enclave->base + offset,
				    page->bytes + offset);
	return 0;
}

static bool is_token_clean(const struct sgx_einittoken *token)
{
	const uint8_t *bytes = (const uint8_t *)token;

	return is_all_zero(bytes + 4, 44) && is_all_zero(bytes + 96, 32) &&
	       is_all_zero(bytes + 160, 32) && is_all_zero(bytes + 212, 24);
}

/* A token whose MAC is right is never among the operands here. */
static int check_token(const struct model *model, const struct model_secs *enclave,
		       const struct sgx_einittoken *token)
{
	if (!(token->valid & 1))
		return 0;
	if (token->masked_attributes_le.flags & SGX_ATTR_DEBUG &&
	    !(enclave->attributes.flags & SGX_ATTR_DEBUG))
		return SGX_INVALID_EINITTOKEN;
	if (!is_token_clean(token))
		return SGX_INVALID_EINITTOKEN;
	for (int i = 0; i < 16; i++)
		if (token->cpu_svn_le[i] > model->cpu.cpu_svn[i])
			return SGX_INVALID_CPUSVN;
	return SGX_INVALID_EINITTOKEN;
}

static bool is_as_signed(const struct model_secs *enclave, const struct sgx_sigstruct *sigstruct)
{
	struct sgx_attributes mask = sigstruct->attribute_mask;

	return (enclave->attributes.flags & mask.flags) ==
		       (sigstruct->attributes.flags & mask.flags) &&
	       (enclave->attributes.xfrm & mask.xfrm) == (sigstruct->attributes.xfrm & mask.xfrm) &&
	       (enclave->miscselect & sigstruct->miscmask) ==
		       (sigstruct->miscselect & sigstruct->miscmask);
}

/* What is signed against what was built. */
static int check_launch(const struct model *model, struct model_secs *enclave,
			const struct sgx_sigstruct *sigstruct, const struct sgx_einittoken *token)
{
	uint8_t mrenclave[32];

	if (!model->is_metadata_only) {
		measurement_hash(&enclave->measurement, mrenclave);
		if (memcmp(mrenclave, sigstruct->enclave_hash, 32) != 0)
			return SGX_INVALID_MEASUREMENT;
	}
	if (!is_as_signed(enclave, sigstruct))
		return SGX_INVALID_ATTRIBUTE;
	return model->is_metadata_only ? 0 : check_token(model, enclave, token);
}

int model_einit(struct model *model, struct sgx_memory rbx, struct sgx_epc rcx,
		struct sgx_memory rdx, struct model_signed is)
{
	struct model_page *secs = valid_secs(model, rcx);
	const struct sgx_sigstruct *sigstruct = rbx.bytes;
	int result;

	if (!is_multiple(rbx.address, 4096) || !is_multiple(rcx.address, 4096) ||
	    !is_multiple(rdx.address, 512))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!rbx.bytes)
		return PF_RBX;
	if (!rdx.bytes)
		return PF_RDX;
	if (!model->is_metadata_only && !is.is_well_formed)
		return SGX_INVALID_SIG_STRUCT;
	if (!model->is_metadata_only && !is.is_signed)
		return SGX_INVALID_SIGNATURE;
	if (!is_shareable(model, rcx))
		return SGX_GP;
	if (!secs)
		return PF_RCX;
	if (!(secs->enclave.attributes.flags & SGX_ATTR_KSS) &&
	    (!is_all_zero(sigstruct->isv_family_id, 16) ||
	     !is_all_zero(sigstruct->isv_ext_prod_id, 16)))
		return SGX_INVALID_SIG_STRUCT;
	if (is_held_as(model, rcx.page, SGX_HOLD_MEASURE) || model_is_initialised(model, rcx.page))
		return SGX_GP;
	result = check_launch(model, &secs->enclave, sigstruct, rdx.bytes);
	if (result)
		return result;

	secs->enclave.attributes.flags |= SGX_ATTR_INIT;
	secs->enclave.isv_prod_id = sigstruct->isv_prod_id;
	secs->enclave.isv_svn = sigstruct->isv_svn;
	if (!model->is_metadata_only)
		measurement_hash(&secs->enclave.measurement, secs->enclave.mrenclave);
	measurement_fini(&secs->enclave.measurement);
	return 0;
}
