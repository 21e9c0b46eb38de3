/* SPDX-License-Identifier: MIT */
/*
 * EINIT: whether what was built is what was signed, and may be launched. The signature itself is
 * sigstruct.c's, the token's key keys.c's.
 */
#include <string.h>

#include "sgx/internal.h"

/* What EINIT writes into the SECS when all is well. */
struct launch {
	uint8_t mrenclave[32];
	uint8_t mrsigner[32];
	uint8_t padding[352];
};

/* (SECS & MASK) = (SIGSTRUCT & MASK), INIT still 0 in the SECS. */
static bool attributes_match(const struct sgx_secs *secs, const struct sgx_sigstruct *sigstruct)
{
	struct sgx_attributes mask = sigstruct->attribute_mask;
	uint64_t flags = secs->attributes.flags ^ sigstruct->attributes.flags;
	uint64_t xfrm = secs->attributes.xfrm ^ sigstruct->attributes.xfrm;
	uint32_t misc = secs->miscselect ^ sigstruct->miscselect;

	/* CET_ATTRIBUTES of a SECS is 0 here. */
	return (flags & mask.flags) == 0 && (xfrm & mask.xfrm) == 0 &&
	       (misc & sigstruct->miscmask) == 0 && (sigstruct->cet[0] & sigstruct->cet[1]) == 0;
}

static bool kss_fields_are_zero(const struct sgx_sigstruct *sigstruct)
{
	return bytes_are_zero(sigstruct->isv_family_id, sizeof(sigstruct->isv_family_id)) &&
	       bytes_are_zero(sigstruct->isv_ext_prod_id, sizeof(sigstruct->isv_ext_prod_id));
}

/* IA32_SGXLEPUBKEYHASH, which under Linux is set to the signer right before. */
static bool signer_is_trusted(const struct sgx_cpu *cpu, const uint8_t mrsigner[32])
{
	return cpu->has_any_signer || memcmp(mrsigner, cpu->le_pubkey_hash, 32) == 0;
}

static bool token_has_reserved(const struct sgx_einittoken *token)
{
	return !bytes_are_zero(token->reserved1, sizeof(token->reserved1)) ||
	       !bytes_are_zero(token->reserved2, sizeof(token->reserved2)) ||
	       !bytes_are_zero(token->reserved3, sizeof(token->reserved3)) ||
	       !bytes_are_zero(token->reserved4, sizeof(token->reserved4));
}

static int token_check(const struct sgx *sgx, const struct secs_page *secs,
		       const struct launch *launch, const struct sgx_einittoken *token)
{
	struct sgx_attributes attributes = secs->visible.attributes;

	if (!(token->valid & 1))
		return signer_is_trusted(&sgx->cpu, launch->mrsigner) ? 0 : SGX_INVALID_EINITTOKEN;
	/* A launch enclave that can be debugged launches only what can be debugged. */
	if (token->masked_attributes_le.flags & SGX_ATTR_DEBUG &&
	    !(attributes.flags & SGX_ATTR_DEBUG))
		return SGX_INVALID_EINITTOKEN;
	if (token_has_reserved(token))
		return SGX_INVALID_EINITTOKEN;
	if (!cpu_svn_is_reached(&sgx->cpu, token->cpu_svn_le))
		return SGX_INVALID_CPUSVN;
	if (!key_token_is_right(sgx, token))
		return SGX_INVALID_EINITTOKEN;
	if (memcmp(token->mrenclave, launch->mrenclave, 32) != 0 ||
	    memcmp(token->mrsigner, launch->mrsigner, 32) != 0)
		return SGX_INVALID_MEASUREMENT;
	if (token->attributes.flags != attributes.flags ||
	    token->attributes.xfrm != attributes.xfrm)
		return SGX_INVALID_ATTRIBUTE;
	return 0;
}

/* What SIGSTRUCT and token say of an enclave that is a SECS and nobody else's. */
static int launch_check(const struct sgx *sgx, const struct secs_page *secs, struct launch *launch,
			const struct sgx_sigstruct *sigstruct, const struct sgx_einittoken *token)
{
	if (sgx->is_metadata_only)
		return attributes_match(&secs->visible, sigstruct) ? 0 : SGX_INVALID_ATTRIBUTE;
	measure_end(secs, launch->mrenclave);
	if (memcmp(launch->mrenclave, sigstruct->enclave_hash, 32) != 0)
		return SGX_INVALID_MEASUREMENT;
	sigstruct_signer(sigstruct, launch->mrsigner);
	if (secs->visible.attributes.flags & SGX_ATTR_EINITTOKENKEY &&
	    !signer_is_trusted(&sgx->cpu, launch->mrsigner))
		return SGX_INVALID_ATTRIBUTE;
	if (!attributes_match(&secs->visible, sigstruct))
		return SGX_INVALID_ATTRIBUTE;
	return token_check(sgx, secs, launch, token);
}

static void commit(struct secs_page *secs, const struct launch *launch,
		   const struct sgx_sigstruct *sigstruct)
{
	memcpy(secs->visible.mrenclave, launch->mrenclave, sizeof(launch->mrenclave));
	memcpy(secs->visible.mrsigner, launch->mrsigner, sizeof(launch->mrsigner));
	memcpy(secs->padding, launch->padding, sizeof(launch->padding));
	memcpy(secs->isv_family_id, sigstruct->isv_family_id, sizeof(secs->isv_family_id));
	memcpy(secs->isv_ext_prod_id, sigstruct->isv_ext_prod_id, sizeof(secs->isv_ext_prod_id));
	secs->visible.isv_prod_id = sigstruct->isv_prod_id;
	secs->visible.isv_svn = sigstruct->isv_svn;
	secs->visible.attributes.flags |= SGX_ATTR_INIT;
}

int sgx_einit(struct sgx *sgx, struct sgx_memory rbx, struct sgx_epc rcx, struct sgx_memory rdx)
{
	struct launch launch = { .mrenclave = { 0 } };
	struct sgx_sigstruct sigstruct;
	struct sgx_einittoken token;
	struct secs_page *secs;
	int result;

	if (!is_aligned(rbx.address, SGX_PAGE_SIZE) || !is_aligned(rcx.address, SGX_PAGE_SIZE) ||
	    !is_aligned(rdx.address, 512))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!rbx.bytes)
		return SGX_PF(SGX_OPERAND_RBX);
	memcpy(&sigstruct, rbx.bytes, sizeof(sigstruct));
	if (!rdx.bytes)
		return SGX_PF(SGX_OPERAND_RDX);
	memcpy(&token, rdx.bytes, sizeof(token));
	if (!sgx->is_metadata_only) {
		if (!sigstruct_is_well_formed(&sigstruct))
			return SGX_INVALID_SIG_STRUCT;
		if (!sigstruct_is_signed(&sigstruct, launch.padding))
			return SGX_INVALID_SIGNATURE;
	}
	if (!can_share(sgx, rcx))
		return SGX_GP;
	secs = secs_at(sgx, rcx);
	if (!secs)
		return SGX_PF(SGX_OPERAND_RCX);
	if (!(secs->visible.attributes.flags & SGX_ATTR_KSS) && !kss_fields_are_zero(&sigstruct))
		return SGX_INVALID_SIG_STRUCT;
	if (!can_measure(sgx, rcx.page) || is_initialised(secs))
		return SGX_GP;
	result = launch_check(sgx, secs, &launch, &sigstruct, &token);
	if (result)
		return result;

	commit(secs, &launch, &sigstruct);
	return SGX_SUCCESS;
}
