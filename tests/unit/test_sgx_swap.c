/* SPDX-License-Identifier: MIT */
/*
 * Goal: what EWB wrote comes back as it was, once, and nothing else does. Method: every single bit
 * of ciphertext, PCMD and address is flipped, every older version is tried in every round.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sgx_fixture.h"

#define NR_ROUNDS 100u

static int load(struct fix *f, struct fix_blob *blob, struct sgx_epc secs, uint32_t page)
{
	return sgx_eldu(f->sgx, fix_info_in(f, blob, secs), EPC(page), EPC(VA));
}

static struct sgx_epc secs_for(const struct fix *f, uint32_t page)
{
	return fix_epcm(f, page).secs == SGX_PAGE_OUTSIDE ? NONE : EPC(SECS);
}

/* A bit of PCMD.ENCLAVEID, which no MAC covers: it is the system's own note. */
static bool is_bound(uint32_t bit)
{
	uint32_t at = bit / 8;

	return at < offsetof(struct sgx_pcmd, enclave_id) ||
	       at >= offsetof(struct sgx_pcmd, reserved);
}

/* A flipped type is another kind of page, for which other operands are right, or none at all. */
static int expected_with(const struct fix_blob *blob, struct sgx_epc *secs)
{
	switch (blob->pcmd.secinfo.flags >> SGX_SECINFO_TYPE_SHIFT & 0xff) {
	case SGX_PT_SECS:
	case SGX_PT_VA:
		*secs = NONE;
		return SGX_MAC_COMPARE_FAIL;
	case SGX_PT_REG:
	case SGX_PT_TCS:
	case SGX_PT_TRIM:
		*secs = EPC(SECS);
		return SGX_MAC_COMPARE_FAIL;
	default:
		return SGX_GP;
	}
}

static void flip_everything(struct fix *f, uint32_t page)
{
	struct sgx_epc secs = secs_for(f, page);
	uint8_t *bytes = f->blob.bytes, *pcmd = (uint8_t *)&f->blob.pcmd;

	fix_evict(f, page, 0, &f->blob);
	for (uint32_t bit = 0; !f->config.is_metadata_only && bit < 8 * SGX_PAGE_SIZE; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(load(f, &f->blob, secs, FREE), SGX_MAC_COMPARE_FAIL);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (uint32_t bit = 0; bit < 8 * sizeof(f->blob.pcmd); bit++) {
		struct sgx_epc fitting = secs;
		int expected;

		if (!is_bound(bit))
			continue;
		pcmd[bit / 8] ^= (uint8_t)(1u << bit % 8);
		expected = expected_with(&f->blob, &fitting);
		assert_int_equal(load(f, &f->blob, fitting, FREE), expected);
		pcmd[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (uint32_t bit = 0; bit < 64; bit++) {
		f->blob.linaddr ^= UINT64_C(1) << bit;
		assert_int_equal(load(f, &f->blob, secs, FREE), SGX_MAC_COMPARE_FAIL);
		f->blob.linaddr ^= UINT64_C(1) << bit;
	}
	assert_false(fix_epcm(f, FREE).is_valid);
	f->blob.pcmd.enclave_id = UINT64_MAX;
	assert_int_equal(load(f, &f->blob, secs, FREE), SGX_SUCCESS);
}

static void no_bit_may_flip(void **state)
{
	static const uint32_t pages[] = { REG, TCS, ALONE, VA2 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(pages) / sizeof(pages[0]); i++) {
		struct fix *f = fix_open(i % 2);

		flip_everything(f, pages[i / 2]);
		fix_close(f);
	}
}

/* The page goes out and in again, sometimes into another place; all older ones are refused. */
static void go_round(struct fix *f, uint32_t page)
{
	struct fix_blob *blobs = aligned_alloc(SGX_PAGE_SIZE, NR_ROUNDS * sizeof(*blobs));
	struct sgx_epc secs = secs_for(f, page);
	uint8_t *contents = malloc(SGX_PAGE_SIZE);

	assert_non_null(blobs);
	assert_non_null(contents);
	for (uint32_t round = 0; round < NR_ROUNDS; round++) {
		struct sgx_epcm was = fix_epcm(f, page), is;
		uint32_t next = page == FREE ? FREE2 : FREE;

		if (was.type == SGX_PT_REG)
			memset(f->bytes[page], (int)round, SGX_PAGE_SIZE - 1);
		fix_evict(f, page, 0, &blobs[round]);
		memcpy(contents, f->bytes[page], SGX_PAGE_SIZE);
		memset(f->bytes[page], 0xee, SGX_PAGE_SIZE);
		for (uint32_t older = 0; older < round; older++)
			assert_int_equal(load(f, &blobs[older], secs, next), SGX_MAC_COMPARE_FAIL);
		assert_int_equal(load(f, &blobs[round], secs, next), SGX_SUCCESS);
		assert_int_equal(load(f, &blobs[round], secs, FREE3), SGX_MAC_COMPARE_FAIL);
		assert_memory_equal(f->bytes[next], contents, SGX_PAGE_SIZE);
		is = fix_epcm(f, next);
		assert_true(is.is_valid && is.type == was.type && is.linaddr == was.linaddr);
		page = next;
	}
	free(contents);
	free(blobs);
}

static void contents_survive_100_rounds(void **state)
{
	static const uint32_t pages[] = { REG, TCS, ALONE, VA2 };

	(void)state;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct fix *f = fix_open(false);

		go_round(f, pages[i]);
		fix_close(f);
	}
}

/* Whole pages of another time, or with parts of another time, whatever slot they come with. */
static void parts_do_not_mix(void **state)
{
	struct fix *f = fix_open(false);
	struct fix_blob first, second, mixed;

	(void)state;
	fix_evict(f, REG, 0, &first);
	assert_int_equal(load(f, &first, EPC(SECS), REG), 0);
	fix_evict(f, REG, 0, &second);
	assert_memory_not_equal(first.bytes, second.bytes, SGX_PAGE_SIZE);
	mixed = second;
	mixed.pcmd = first.pcmd;
	assert_int_equal(load(f, &mixed, EPC(SECS), FREE), SGX_MAC_COMPARE_FAIL);
	mixed = first;
	mixed.pcmd = second.pcmd;
	assert_int_equal(load(f, &mixed, EPC(SECS), FREE), SGX_MAC_COMPARE_FAIL);
	assert_int_equal(load(f, &second, EPC(SECS), FREE), SGX_SUCCESS);
	fix_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_bit_may_flip),
		cmocka_unit_test(contents_survive_100_rounds),
		cmocka_unit_test(parts_do_not_mix),
	};

	return cmocka_run_group_tests_name("swap", tests, NULL, NULL);
}
