/* SPDX-License-Identifier: MIT */
/*
 * MRENCLAVE: SHA-256 over blocks of 64 bytes, a header for each ECREATE, EADD and EEXTEND, and what
 * an EEXTEND measures (SDM, ECREATE, EADD, EEXTEND: SHA256UPDATE). When a leaf is allowed to
 * measure does not belong here.
 *
 *   measure_begin, measure_eadd, measure_eextend    a leaf each
 *   measure_end                                     EINIT: what it all comes to
 *
 * No leaf leaves a block half full, so the eight chaining words, which lie in SECS.MRENCLAVE, and
 * the number of blocks are all there is to keep. The old interface of libcrypto has them open to
 * be taken out and put in, and it fetches and allocates nothing.
 */
#define OPENSSL_API_COMPAT 0x10100000L

#include <openssl/sha.h>
#include <string.h>

#include "sgx/internal.h"

#define BLOCK_SIZE 64u
#define TAG_ECREATE UINT64_C(0x0045544145524345) /* "ECREATE\0" */
#define TAG_EADD UINT64_C(0x0000000044444145)	 /* "EADD\0\0\0\0" */
#define TAG_EEXTEND UINT64_C(0x00444e4554584545) /* "EEXTEND\0" */

struct ecreate_block {
	uint64_t tag;
	uint32_t ssa_frame_pages;
	uint64_t size;
	uint8_t zero[44];
} __attribute__((packed));

struct eadd_block {
	uint64_t tag;
	uint64_t offset;
	uint8_t secinfo[48]; /* the first 48 of its 64 bytes */
};

struct eextend_block {
	uint64_t tag;
	uint64_t offset;
	uint8_t zero[48];
};

_Static_assert(sizeof(struct ecreate_block) == BLOCK_SIZE, "a block");
_Static_assert(sizeof(struct eadd_block) == BLOCK_SIZE, "a block");
_Static_assert(sizeof(struct eextend_block) == BLOCK_SIZE, "a block");
_Static_assert(sizeof(((SHA256_CTX *)0)->h) == sizeof(((struct sgx_secs *)0)->mrenclave), "the "
											  "chaining"
											  " words "
											  "fit "
											  "into "
											  "MRENCLAV"
											  "E");

/* Only what SHA256_Update() reads of whole blocks; its count of bits is of use at the end only. */
static void context_load(SHA256_CTX *context, const struct secs_page *secs)
{
	memcpy(context->h, secs->visible.mrenclave, sizeof(context->h));
	context->Nl = 0;
	context->Nh = 0;
	context->num = 0;
	context->md_len = SHA256_DIGEST_LENGTH;
}

static void context_store(const SHA256_CTX *context, struct secs_page *secs, uint64_t nr_blocks)
{
	memcpy(secs->visible.mrenclave, context->h, sizeof(context->h));
	secs->nr_measured_blocks += nr_blocks;
}

static void absorb(struct secs_page *secs, const void *block)
{
	SHA256_CTX context;

	context_load(&context, secs);
	SHA256_Update(&context, block, BLOCK_SIZE);
	context_store(&context, secs, 1);
}

void measure_begin(struct secs_page *secs)
{
	struct ecreate_block block = {
		.tag = TAG_ECREATE,
		.ssa_frame_pages = secs->visible.ssa_frame_pages,
		.size = secs->visible.size,
	};
	SHA256_CTX context;

	SHA256_Init(&context);
	secs->nr_measured_blocks = 0;
	context_store(&context, secs, 0);
	absorb(secs, &block);
}

void measure_eadd(struct secs_page *secs, uint64_t offset, const struct sgx_secinfo *secinfo)
{
	struct eadd_block block = { .tag = TAG_EADD, .offset = offset };

	memcpy(block.secinfo, secinfo, sizeof(block.secinfo));
	absorb(secs, &block);
}

void measure_eextend(struct secs_page *secs, uint64_t offset, const void *chunk)
{
	struct eextend_block block = { .tag = TAG_EEXTEND, .offset = offset };
	SHA256_CTX context;

	context_load(&context, secs);
	SHA256_Update(&context, &block, sizeof(block));
	SHA256_Update(&context, chunk, SGX_CHUNK_SIZE);
	context_store(&context, secs, 1 + SGX_CHUNK_SIZE / BLOCK_SIZE);
}

void measure_end(const struct secs_page *secs, uint8_t mrenclave[32])
{
	uint64_t nr_bits = secs->nr_measured_blocks * BLOCK_SIZE * 8;
	SHA256_CTX context;

	context_load(&context, secs);
	context.Nl = (uint32_t)nr_bits;
	context.Nh = (uint32_t)(nr_bits >> 32);
	SHA256_Final(mrenclave, &context);
}
