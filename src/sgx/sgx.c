/* SPDX-License-Identifier: MIT */
/*
 * A processor made and taken down, and what one of today is like. Its leaves are in the files of
 * their kinds: create, init, page, paging, modify, enter, inside.
 */
#include <string.h>

#include "sgx/internal.h"

/* CPUID 0DH: where the components end in the standard format, [0] and [1] with the header. */
#define XSAVE_HEADER_END 576u

void sgx_cpu_default(struct sgx_cpu *cpu)
{
	*cpu = (struct sgx_cpu){
		.attributes = SGX_ATTR_DEBUG | SGX_ATTR_MODE64BIT | SGX_ATTR_PROVISIONKEY |
			      SGX_ATTR_EINITTOKENKEY | SGX_ATTR_KSS,
		.xfrm = SGX_XFRM_LEGACY | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 7,
		.miscselect = SGX_MISC_EXINFO,
		.size_log2_32 = 31,
		.size_log2_64 = 56,
		.cpu_svn = { 1, 1 },
		.has_any_signer = true,
		.xsave_end = {
			[0] = XSAVE_HEADER_END,
			[1] = XSAVE_HEADER_END,
			[2] = 576 + 256,   /* AVX: upper halves of YMM0 to 15 */
			[5] = 1088 + 64,   /* AVX-512: opmask */
			[6] = 1152 + 512,  /* upper halves of ZMM0 to 15 */
			[7] = 1664 + 1024, /* ZMM16 to 31 */
		},
	};
}

/* Takes the sections over; false: not what a processor can have. */
static bool sections_take(struct sgx *sgx, const struct sgx_config *config)
{
	if (config->nr_sections > SGX_NR_SECTIONS_MAX)
		return false;
	for (unsigned int i = 0; i < config->nr_sections; i++) {
		const struct sgx_section *section = &config->sections[i];

		if (section->nr_pages > SGX_NR_PAGES_MAX - sgx->nr_pages)
			return false;
		sgx->sections[i] = (struct section){
			.first_page = sgx->nr_pages,
			.nr_pages = section->nr_pages,
			.bytes = section->bytes,
		};
		sgx->nr_pages += section->nr_pages;
	}
	sgx->nr_sections = config->nr_sections;
	return sgx->nr_pages > 0;
}

static size_t epcm_size(const struct sgx *sgx)
{
	return (size_t)sgx->nr_pages * sizeof(*sgx->epcm);
}

int sgx_new(const struct sgx_config *config, struct sgx **sgx)
{
	struct sgx *new = config->alloc_fn(config->context, sizeof(*new));
	uint8_t key[16];

	if (!new)
		return -1;
	new->is_metadata_only = config->is_metadata_only;
	new->cpu = config->cpu;
	new->next_enclave_id = 1;
	new->next_version = SGX_VERSION_STEP;
	memcpy(new->seed, config->seed, sizeof(new->seed));
	new->alloc_fn = config->alloc_fn;
	new->free_fn = config->free_fn;
	new->context = config->context;
	if (!sections_take(new, config))
		goto free_new;
	new->epcm = config->alloc_fn(config->context, epcm_size(new));
	if (!new->epcm)
		goto free_new;
	key_master(new, "paging", key);
	if (seal_init(&new->seal, key) != 0)
		goto free_epcm;
	*sgx = new;
	return 0;

free_epcm:
	config->free_fn(config->context, new->epcm, epcm_size(new));
free_new:
	config->free_fn(config->context, new, sizeof(*new));
	return -1;
}

void sgx_free(struct sgx *sgx)
{
	if (!sgx)
		return;
	seal_fini(&sgx->seal);
	sgx->free_fn(sgx->context, sgx->epcm, epcm_size(sgx));
	sgx->free_fn(sgx->context, sgx, sizeof(*sgx));
}
