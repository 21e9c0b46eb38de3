/* SPDX-License-Identifier: MIT */
/*
 * Goal: every row of EREMOVE, EDBGRD, EDBGWR, EBLOCK, EPA and ETRACK (sgx_rows.h). Method: an
 * operand of a good one is spoilt, see sgx_fixture.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sgx_fixture.h"
#include "sgx_rows.h"

SGX_ROWS_PAGE(FIX_DECLARE)

/* A thread of the enclave SECS, through its TCS. */
static void go_inside(struct fix *f)
{
	assert_int_equal(sgx_eenter(f->sgx, fix_in(f, TCS)), 0);
	assert_int_equal(sgx_secs_nr_inside(f->sgx, SECS), 1);
}

/* EREMOVE */

static int eremove_unaligned(struct fix *f)
{
	return TRY(eremove, fix_slot(REG, 1));
}

static int eremove_outside(struct fix *f)
{
	return TRY(eremove, OUTSIDE);
}

static int eremove_held(struct fix *f)
{
	sgx_hold(f->sgx, REG, SGX_HOLD_SHARED);
	return TRY(eremove, EPC(REG));
}

static int eremove_child_present(struct fix *f)
{
	return TRY(eremove, EPC(OTHER));
}

static int eremove_active(struct fix *f)
{
	go_inside(f);
	return TRY(eremove, EPC(REG));
}

static int eremove_active_trim(struct fix *f)
{
	fix_emodt(f, SPARE, SGX_PT_TRIM);
	go_inside(f);
	return TRY(eremove, EPC(SPARE));
}

static int eremove_success_invalid(struct fix *f)
{
	return TRY(eremove, EPC(FREE));
}

static int eremove_success_unbacked(struct fix *f)
{
	return TRY(eremove, UNBACKED);
}

static int eremove_success_va(struct fix *f)
{
	int result = TRY(eremove, EPC(VA));

	assert_false(fix_epcm(f, VA).is_valid);
	return result;
}

static int eremove_success_trim(struct fix *f)
{
	uint64_t nr_children = sgx_secs_nr_children(f->sgx, SECS);
	int result;

	fix_trim(f, SPARE);
	go_inside(f);
	result = TRY(eremove, EPC(SPARE));
	assert_false(fix_epcm(f, SPARE).is_valid);
	assert_int_equal(sgx_secs_nr_children(f->sgx, SECS), nr_children - 1);
	return result;
}

static int eremove_success_secs(struct fix *f)
{
	int result = TRY(eremove, EPC(ALONE));

	assert_false(fix_epcm(f, ALONE).is_valid);
	return result;
}

static int eremove_success(struct fix *f)
{
	uint64_t nr_children = sgx_secs_nr_children(f->sgx, SECS);
	int result;

	go_inside(f);
	assert_int_equal(sgx_eexit(f->sgx, fix_in(f, TCS)), 0);
	result = TRY(eremove, EPC(REG));
	assert_false(fix_epcm(f, REG).is_valid);
	assert_int_equal(sgx_secs_nr_children(f->sgx, SECS), nr_children - 1);
	return result;
}

/* EDBGRD */

static int edbgrd_unaligned(struct fix *f)
{
	struct sgx_epc rcx = EPC(REG);
	uint64_t rbx;

	rcx.address += 4;
	return TRY(edbgrd, &rbx, rcx);
}

static int edbgrd_outside(struct fix *f)
{
	uint64_t rbx;

	return TRY(edbgrd, &rbx, OUTSIDE);
}

static int edbgrd_held(struct fix *f)
{
	uint64_t rbx;

	sgx_hold(f->sgx, REG, SGX_HOLD_EXCLUSIVE);
	return TRY(edbgrd, &rbx, EPC(REG));
}

static int edbgrd_of(struct fix *f, struct sgx_epc rcx)
{
	uint64_t rbx;

	return TRY(edbgrd, &rbx, rcx);
}

static int edbgrd_invalid(struct fix *f)
{
	return edbgrd_of(f, EPC(FREE));
}

static int edbgrd_unbacked(struct fix *f)
{
	return edbgrd_of(f, UNBACKED);
}

static int edbgrd_secs(struct fix *f)
{
	return edbgrd_of(f, EPC(SECS));
}

static int edbgrd_trim(struct fix *f)
{
	fix_trim(f, SPARE);
	return edbgrd_of(f, EPC(SPARE));
}

static int edbgrd_pending(struct fix *f)
{
	return edbgrd_of(f, EPC(PENDING));
}

static int edbgrd_modified(struct fix *f)
{
	fix_emodt(f, SPARE, SGX_PT_TCS);
	return edbgrd_of(f, EPC(SPARE));
}

static int edbgrd_tcs_limit(struct fix *f)
{
	return edbgrd_of(f, fix_slot(TCS, 9));
}

static int edbgrd_no_debug(struct fix *f)
{
	return edbgrd_of(f, EPC(OTHER_REG));
}

static int edbgrd_success(struct fix *f)
{
	uint64_t rbx = 0, expected;
	int result = TRY(edbgrd, &rbx, fix_slot(REG, 511));

	memcpy(&expected, f->bytes[REG] + 4088, 8);
	if (!f->config.is_metadata_only)
		assert_int_equal(rbx, expected);
	return result;
}

static int edbgrd_success_tcs(struct fix *f)
{
	uint64_t rbx = 0;
	int result = TRY(edbgrd, &rbx, fix_slot(TCS, 8));

	assert_int_equal(rbx, UINT64_MAX); /* FSLIMIT and GSLIMIT */
	return result;
}

static int edbgrd_success_va(struct fix *f)
{
	uint64_t rbx = 1;
	int result;

	assert_int_equal(sgx_edbgrd(f->sgx, &rbx, fix_slot(VA, 0)), 0);
	assert_int_equal(rbx, 0);
	for (uint32_t i = 0; i < 8; i++) { /* versions below 8 do not show */
		fix_evict(f, REG, i, &f->blob);
		assert_int_equal(sgx_eldu(f->sgx, fix_info_in(f, &f->blob, EPC(SECS)), EPC(REG),
					  fix_slot(VA, i)),
				 0);
	}
	fix_evict(f, REG, 5, &f->blob);
	result = TRY(edbgrd, &rbx, fix_slot(VA, 5));
	assert_int_equal(rbx, UINT64_MAX);
	return result;
}

/* EDBGWR */

static int edbgwr_unaligned(struct fix *f)
{
	struct sgx_epc rcx = EPC(REG);

	rcx.address += 4;
	return TRY(edbgwr, 1, rcx);
}

static int edbgwr_outside(struct fix *f)
{
	return TRY(edbgwr, 1, OUTSIDE);
}

static int edbgwr_held(struct fix *f)
{
	sgx_hold(f->sgx, REG, SGX_HOLD_EXCLUSIVE);
	return TRY(edbgwr, 1, EPC(REG));
}

static int edbgwr_invalid(struct fix *f)
{
	return TRY(edbgwr, 1, EPC(FREE));
}

static int edbgwr_unbacked(struct fix *f)
{
	return TRY(edbgwr, 1, UNBACKED);
}

static int edbgwr_secs(struct fix *f)
{
	return TRY(edbgwr, 1, EPC(SECS));
}

static int edbgwr_va(struct fix *f)
{
	return TRY(edbgwr, 1, EPC(VA));
}

static int edbgwr_trim(struct fix *f)
{
	fix_trim(f, SPARE);
	return TRY(edbgwr, 1, EPC(SPARE));
}

static int edbgwr_pending(struct fix *f)
{
	return TRY(edbgwr, 1, EPC(PENDING));
}

static int edbgwr_modified(struct fix *f)
{
	fix_emodt(f, SPARE, SGX_PT_TCS);
	return TRY(edbgwr, 1, fix_slot(SPARE, 1));
}

static int edbgwr_tcs_offset(struct fix *f)
{
	return TRY(edbgwr, 1, fix_slot(TCS, 2));
}

static int edbgwr_no_debug(struct fix *f)
{
	return TRY(edbgwr, 1, EPC(OTHER_REG));
}

static int edbgwr_success(struct fix *f)
{
	uint64_t word = UINT64_C(0x1122334455667788);
	int result;

	fix_emodpr(f, SPARE, 0);
	result = TRY(edbgwr, word, fix_slot(SPARE, 3));
	if (!f->config.is_metadata_only)
		assert_memory_equal(f->bytes[SPARE] + 24, &word, 8);
	return result;
}

static int edbgwr_success_tcs(struct fix *f)
{
	int result = TRY(edbgwr, SGX_TCS_DBGOPTIN, fix_slot(TCS, 1));

	assert_int_equal(f->bytes[TCS][8], SGX_TCS_DBGOPTIN);
	return result;
}

/* EBLOCK */

static int eblock_unaligned(struct fix *f)
{
	return TRY(eblock, fix_slot(REG, 1));
}

static int eblock_outside(struct fix *f)
{
	return TRY(eblock, OUTSIDE);
}

static int eblock_held(struct fix *f)
{
	sgx_hold(f->sgx, REG, SGX_HOLD_EXCLUSIVE);
	return TRY(eblock, EPC(REG));
}

static int eblock_invalid(struct fix *f)
{
	return TRY(eblock, EPC(FREE));
}

static int eblock_unbacked(struct fix *f)
{
	return TRY(eblock, UNBACKED);
}

static int eblock_secs(struct fix *f)
{
	return TRY(eblock, EPC(SECS));
}

static int eblock_va(struct fix *f)
{
	return TRY(eblock, EPC(VA));
}

static int eblock_tracked(struct fix *f)
{
	sgx_hold(f->sgx, SECS, SGX_HOLD_TRACK);
	return TRY(eblock, EPC(REG));
}

static int eblock_blocked(struct fix *f)
{
	fix_eblock(f, REG);
	return TRY(eblock, EPC(REG));
}

static int eblock_success(struct fix *f)
{
	int result;

	sgx_hold(f->sgx, REG, SGX_HOLD_SHARED);
	result = TRY(eblock, EPC(REG));
	assert_true(fix_epcm(f, REG).is_blocked);
	return result;
}

/* EPA */

static int epa_rbx(struct fix *f)
{
	return TRY(epa, SGX_PT_REG, EPC(FREE));
}

static int epa_unaligned(struct fix *f)
{
	return TRY(epa, SGX_PT_VA, fix_slot(FREE, 1));
}

static int epa_outside(struct fix *f)
{
	return TRY(epa, SGX_PT_VA, OUTSIDE);
}

static int epa_held(struct fix *f)
{
	sgx_hold(f->sgx, FREE, SGX_HOLD_SHARED);
	return TRY(epa, SGX_PT_VA, EPC(FREE));
}

static int epa_valid(struct fix *f)
{
	return TRY(epa, SGX_PT_VA, EPC(VA));
}

static int epa_success(struct fix *f)
{
	static const uint8_t zeros[SGX_PAGE_SIZE];
	int result = TRY(epa, SGX_PT_VA, EPC(FREE));
	struct sgx_epcm epcm = fix_epcm(f, FREE);

	assert_true(epcm.is_valid);
	assert_int_equal(epcm.type, SGX_PT_VA);
	assert_int_equal(epcm.secs, SGX_PAGE_OUTSIDE);
	assert_int_equal(epcm.linaddr, 0);
	assert_memory_equal(f->bytes[FREE], zeros, SGX_PAGE_SIZE);
	return result;
}

/* ETRACK */

static int etrack_unaligned(struct fix *f)
{
	return TRY(etrack, fix_slot(SECS, 1));
}

static int etrack_outside(struct fix *f)
{
	return TRY(etrack, OUTSIDE);
}

static int etrack_held(struct fix *f)
{
	sgx_hold(f->sgx, SECS, SGX_HOLD_EXCLUSIVE);
	return TRY(etrack, EPC(SECS));
}

static int etrack_tracked(struct fix *f)
{
	sgx_hold(f->sgx, SECS, SGX_HOLD_TRACK);
	return TRY(etrack, EPC(SECS));
}

static int etrack_invalid(struct fix *f)
{
	return TRY(etrack, EPC(FREE));
}

static int etrack_unbacked(struct fix *f)
{
	return TRY(etrack, UNBACKED);
}

static int etrack_type(struct fix *f)
{
	return TRY(etrack, EPC(REG));
}

static int etrack_incomplete(struct fix *f)
{
	go_inside(f);
	fix_etrack(f, SECS);
	return TRY(etrack, EPC(SECS));
}

/* A thread that came after the last ETRACK does not hold up the next one. */
static int etrack_success(struct fix *f)
{
	fix_etrack(f, SECS);
	go_inside(f);
	return TRY(etrack, EPC(SECS));
}

static const struct fix_row rows[] = { SGX_ROWS_PAGE(FIX_ROW) };

int main(void)
{
	return fix_run_rows("page", rows, sizeof(rows) / sizeof(rows[0]), true);
}
