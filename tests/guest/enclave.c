/* SPDX-License-Identifier: MIT */
/*
 * Sequences of leaves. See enclave.h.
 */
#include "enclave.h"

#include <stddef.h>

#include "leaf.h"
#include "pattern.h"

#define ENCLAVE_BYTES (UINT64_C(64) << 30) /* as much as boot.S maps */
#define SSA_FRAME_PAGES 1u
#define ATTRIBUTES_MODE64BIT_DEBUG 0x6u
#define XFRM_LEGACY 0x3u
#define SECINFO_TCS 0x100u
#define SECINFO_REG_RW 0x203u
#define CHUNK_WORDS 32u /* 256 bytes */

/* Words of a SECS and of a TCS. */
#define SECS_SIZE 0
#define SECS_BASE 1
#define SECS_SSA_FRAME_PAGES 2
#define SECS_ATTRIBUTES 6
#define SECS_XFRM 7
#define TCS_OSSA 2
#define TCS_NSSA 3 /* bits 63:32; CSSA below */
#define TCS_OENTRY 4
#define TCS_LIMITS 8

static uint64_t source[PAGE_WORDS] __attribute__((aligned(PAGE_BYTES)));

/* Whether the leaf gave 0, or what it always has in RAX; if not, failure says so. */
static bool execute(enum leaf_encls leaf, const char *name, uint64_t rbx, uint64_t rcx,
		    struct enclave_failure *failure)
{
	struct leaf_registers registers = { .rax = leaf, .rbx = rbx, .rcx = rcx };

	leaf_execute(LEAF_ENCLS, &registers);
	if (!registers.rax || (leaf != LEAF_EREMOVE && registers.rax == leaf))
		return true;
	*failure = (struct enclave_failure){ name, rcx, registers.rax };
	return false;
}

static void source_clear(void)
{
	for (size_t i = 0; i < PAGE_WORDS; i++)
		source[i] = 0;
}

static bool secs_create(uint64_t secs, struct enclave_failure *failure)
{
	struct leaf_secinfo secinfo = { .flags = 0 };
	struct leaf_pageinfo pageinfo = { .srcpge = (uintptr_t)source,
					  .secinfo = (uintptr_t)&secinfo };

	source_clear();
	source[SECS_SIZE] = ENCLAVE_BYTES;
	source[SECS_BASE] = 0;
	source[SECS_SSA_FRAME_PAGES] = SSA_FRAME_PAGES;
	source[SECS_ATTRIBUTES] = ATTRIBUTES_MODE64BIT_DEBUG;
	source[SECS_XFRM] = XFRM_LEGACY;
	return execute(LEAF_ECREATE, "ECREATE", (uintptr_t)&pageinfo, secs, failure);
}

static bool page_add(uint64_t secs, uint64_t page, bool is_tcs, struct enclave_failure *failure)
{
	struct leaf_secinfo secinfo = { .flags = is_tcs ? SECINFO_TCS : SECINFO_REG_RW };
	struct leaf_pageinfo pageinfo = { .linaddr = page,
					  .srcpge = (uintptr_t)source,
					  .secinfo = (uintptr_t)&secinfo,
					  .secs = secs };

	source_clear();
	if (is_tcs) {
		source[TCS_OSSA] = page + PAGE_BYTES;
		source[TCS_NSSA] = UINT64_C(1) << 32;
		source[TCS_OENTRY] = page + PAGE_BYTES;
		source[TCS_LIMITS] = UINT64_MAX;
	} else {
		for (uint64_t i = 0; i < CHUNK_WORDS; i++)
			source[i] = page + 8 * i;
	}
	return execute(LEAF_EADD, "EADD", (uintptr_t)&pageinfo, page, failure) &&
	       execute(LEAF_EEXTEND, "EEXTEND", secs, page, failure);
}

bool enclave_build(uint64_t secs, uint64_t first, uint64_t nr_pages,
		   struct enclave_failure *failure)
{
	if (!secs_create(secs, failure))
		return false;
	for (uint64_t i = 0; i < nr_pages; i++) {
		if (!page_add(secs, first + i * PAGE_BYTES, i == 0, failure))
			return false;
	}
	return true;
}

bool enclave_remove(uint64_t secs, uint64_t first, uint64_t nr_pages,
		    struct enclave_failure *failure)
{
	for (uint64_t i = 0; i < nr_pages; i++) {
		if (!execute(LEAF_EREMOVE, "EREMOVE", 0, first + i * PAGE_BYTES, failure))
			return false;
	}
	return execute(LEAF_EREMOVE, "EREMOVE", 0, secs, failure);
}
