/* SPDX-License-Identifier: MIT */
/*
 * Goal: every row of EACCEPT, EACCEPTCOPY and EMODPE (sgx_rows.h). Method: an operand of a good
 * one is spoilt, see sgx_fixture.h and sgx_operands.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sgx_fixture.h"
#include "sgx_operands.h"
#include "sgx_rows.h"

SGX_ROWS_INSIDE(FIX_DECLARE)

#define FLAGS_PENDING (FLAGS_REG_RW | SGX_SECINFO_PENDING)

static void spoil_secinfo(struct fix *f)
{
	f->bytes[INFO][63] = 1;
}

/* EACCEPT of PENDING. */

static struct operands good_eaccept(struct fix *f)
{
	return (struct operands){ fix_in_secinfo(f, FLAGS_PENDING), fix_in(f, PENDING), NONE };
}

static int try_eaccept(struct fix *f, struct operands operands)
{
	return TRY(eaccept, SECS, operands.rbx, operands.rcx);
}

OPERAND_TESTS(eaccept, rbx)

/* The request is flags, the page is the good one. */
static int try_request(struct fix *f, uint64_t flags)
{
	struct operands operands = good_eaccept(f);

	fix_in_secinfo(f, flags);
	return try_eaccept(f, operands);
}

/* The page is another one. */
static int try_page(struct fix *f, uint32_t page, uint64_t flags)
{
	struct sgx_epc rbx = fix_in_secinfo(f, flags);

	return TRY(eaccept, SECS, rbx, fix_in(f, page));
}

static int eaccept_secinfo_flags(struct fix *f)
{
	return try_request(f, FLAGS_PENDING | 0x40);
}

static int eaccept_secinfo_reserved(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	spoil_secinfo(f);
	return try_eaccept(f, operands);
}

static int eaccept_rcx_unaligned(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	operands.rcx.address += 64;
	return try_eaccept(f, operands);
}

static int eaccept_rcx_outside_elrange(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	operands.rcx.address = BASE - SGX_PAGE_SIZE;
	return try_eaccept(f, operands);
}

static int eaccept_rcx_outside(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	operands.rcx.page = SGX_PAGE_OUTSIDE;
	return try_eaccept(f, operands);
}

static int eaccept_reg_modified(struct fix *f)
{
	return try_request(f, FLAGS_PENDING | SGX_SECINFO_MODIFIED);
}

static int eaccept_reg_nothing(struct fix *f)
{
	return try_request(f, FLAGS_REG_RW);
}

static int eaccept_trim_restricted(struct fix *f)
{
	return try_request(f, FLAGS_TRIM | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR);
}

static int eaccept_trim_pending(struct fix *f)
{
	return try_request(f, FLAGS_TRIM | SGX_SECINFO_MODIFIED | SGX_SECINFO_PENDING);
}

static int eaccept_tcs_nothing(struct fix *f)
{
	return try_request(f, FLAGS_TCS);
}

static int eaccept_request_secs(struct fix *f)
{
	return try_request(f, TYPE(SGX_PT_SECS) | SGX_SECINFO_MODIFIED);
}

static int eaccept_rcx_unbacked(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	operands.rcx.page = SGX_PAGE_UNBACKED;
	return try_eaccept(f, operands);
}

static int eaccept_rcx_invalid(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	assert_int_equal(sgx_eremove(f->sgx, EPC(PENDING)), 0);
	return try_eaccept(f, operands);
}

static int eaccept_rcx_blocked(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	fix_eblock(f, PENDING);
	return try_eaccept(f, operands);
}

static int eaccept_rcx_type(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	operands.rcx.page = VA;
	return try_eaccept(f, operands);
}

static int eaccept_rcx_other(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	operands.rcx.page = OTHER_REG;
	return try_eaccept(f, operands);
}

static int eaccept_held(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	sgx_hold(f->sgx, PENDING, SGX_HOLD_EXCLUSIVE);
	return try_eaccept(f, operands);
}

static int eaccept_modified_by_other(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	sgx_hold(f->sgx, PENDING, SGX_HOLD_MODIFY);
	return try_eaccept(f, operands);
}

static int eaccept_address(struct fix *f)
{
	struct operands operands = good_eaccept(f);

	operands.rcx.address += SGX_PAGE_SIZE;
	return try_eaccept(f, operands);
}

static int eaccept_pending(struct fix *f)
{
	return try_request(f, FLAGS_REG_RW | SGX_SECINFO_PR);
}

static int eaccept_modified(struct fix *f)
{
	fix_trim(f, SPARE);
	return try_page(f, SPARE, FLAGS_TRIM | SGX_SECINFO_MODIFIED);
}

static int eaccept_readable(struct fix *f)
{
	return try_request(f, FLAGS_PENDING & ~SGX_SECINFO_R);
}

static int eaccept_writable(struct fix *f)
{
	return try_request(f, FLAGS_PENDING & ~SGX_SECINFO_W);
}

static int eaccept_executable(struct fix *f)
{
	return try_request(f, FLAGS_PENDING | SGX_SECINFO_X);
}

static int eaccept_type(struct fix *f)
{
	fix_emodt(f, SPARE, SGX_PT_TRIM);
	fix_etrack(f, SECS);
	return try_page(f, SPARE, FLAGS_TCS | SGX_SECINFO_MODIFIED);
}

static int eaccept_no_track(struct fix *f)
{
	fix_etrack(f, SECS);
	fix_emodt(f, SPARE, SGX_PT_TRIM);
	return try_page(f, SPARE, FLAGS_TRIM | SGX_SECINFO_MODIFIED);
}

static int eaccept_no_track_pr(struct fix *f)
{
	fix_etrack(f, SECS);
	fix_emodpr(f, SPARE, SGX_SECINFO_R);
	return try_page(f, SPARE, TYPE(SGX_PT_REG) | SGX_SECINFO_R | SGX_SECINFO_PR);
}

static int eaccept_thread_inside(struct fix *f)
{
	assert_int_equal(sgx_eenter(f->sgx, fix_in(f, TCS)), 0);
	fix_emodt(f, SPARE, SGX_PT_TRIM);
	fix_etrack(f, SECS);
	return try_page(f, SPARE, FLAGS_TRIM | SGX_SECINFO_MODIFIED);
}

/* SPARE is to be a TCS; what the enclave wrote there is good. */
static struct sgx_tcs *new_tcs(struct fix *f)
{
	struct sgx_tcs *tcs = (struct sgx_tcs *)(void *)f->bytes[SPARE];

	memset(f->bytes[SPARE], 0, SGX_PAGE_SIZE);
	tcs->nssa = 1;
	fix_emodt(f, SPARE, SGX_PT_TCS);
	fix_etrack(f, SECS);
	return tcs;
}

static int try_tcs(struct fix *f)
{
	return try_page(f, SPARE, FLAGS_TCS | SGX_SECINFO_MODIFIED);
}

static int eaccept_tcs_reserved(struct fix *f)
{
	new_tcs(f);
	f->bytes[SPARE][SGX_PAGE_SIZE - 1] = 1;
	return try_tcs(f);
}

static int eaccept_tcs_dbgoptin(struct fix *f)
{
	new_tcs(f)->flags = SGX_TCS_DBGOPTIN;
	return try_tcs(f);
}

static int eaccept_tcs_cssa(struct fix *f)
{
	new_tcs(f)->cssa = 1;
	return try_tcs(f);
}

static int eaccept_tcs_aep(struct fix *f)
{
	new_tcs(f)->aep = 1;
	return try_tcs(f);
}

static int eaccept_tcs_state(struct fix *f)
{
	new_tcs(f)->state = 1;
	return try_tcs(f);
}

/* What happens to a page that is accepted: that, and nothing else. */
static void assert_accepted(struct fix *f, uint32_t page)
{
	struct sgx_epcm was = f->before.epcm[page], is = fix_epcm(f, page);

	assert_true(is.is_valid && is.type == was.type && is.secs == SECS);
	assert_true(is.linaddr == was.linaddr && !is.is_blocked);
	assert_true(is.is_readable == was.is_readable && is.is_writable == was.is_writable);
	assert_true(is.is_executable == was.is_executable);
	assert_false(is.is_pending || is.is_modified || is.is_restricted);
}

static int eaccept_success(struct fix *f)
{
	int result;

	assert_int_equal(sgx_eenter(f->sgx, fix_in(f, TCS)), 0);
	result = try_eaccept(f, good_eaccept(f));
	assert_accepted(f, PENDING);
	return result;
}

static int eaccept_success_pr(struct fix *f)
{
	int result;

	fix_emodpr(f, SPARE, SGX_SECINFO_R);
	fix_etrack(f, SECS);
	result = try_page(f, SPARE, TYPE(SGX_PT_REG) | SGX_SECINFO_R | SGX_SECINFO_PR);
	assert_accepted(f, SPARE);
	return result;
}

static int eaccept_success_trim(struct fix *f)
{
	int result;

	fix_emodt(f, SPARE, SGX_PT_TRIM);
	fix_etrack(f, SECS);
	result = try_page(f, SPARE, FLAGS_TRIM | SGX_SECINFO_MODIFIED);
	assert_accepted(f, SPARE);
	return result;
}

static int eaccept_success_tcs(struct fix *f)
{
	int result;

	new_tcs(f);
	result = try_tcs(f);
	assert_accepted(f, SPARE);
	assert_int_equal(sgx_eenter(f->sgx, fix_in(f, SPARE)), 0);
	return result;
}

/* EACCEPTCOPY of REG into PENDING. */

static struct operands good_eacceptcopy(struct fix *f)
{
	uint64_t flags = TYPE(SGX_PT_REG) | SGX_SECINFO_R | SGX_SECINFO_X;

	return (struct operands){ fix_in_secinfo(f, flags), fix_in(f, PENDING), fix_in(f, REG) };
}

static int try_eacceptcopy(struct fix *f, struct operands operands)
{
	return TRY(eacceptcopy, SECS, operands.rbx, operands.rcx, operands.rdx);
}

OPERAND_TESTS(eacceptcopy, rbx)
OPERAND_TESTS(eacceptcopy, rdx)
OPERAND_TEST(eacceptcopy, rcx, unaligned)
OPERAND_TEST(eacceptcopy, rcx, outside_elrange)
OPERAND_TEST(eacceptcopy, rcx, outside)

static int try_copy(struct fix *f, uint64_t flags)
{
	struct operands operands = good_eacceptcopy(f);

	fix_in_secinfo(f, flags);
	return try_eacceptcopy(f, operands);
}

static int eacceptcopy_secinfo_flags(struct fix *f)
{
	return try_copy(f, FLAGS_REG_RW | UINT64_C(1) << 32);
}

static int eacceptcopy_secinfo_reserved(struct fix *f)
{
	struct operands operands = good_eacceptcopy(f);

	spoil_secinfo(f);
	return try_eacceptcopy(f, operands);
}

static int eacceptcopy_secinfo_type(struct fix *f)
{
	return try_copy(f, FLAGS_TCS);
}

static int eacceptcopy_w_without_r(struct fix *f)
{
	return try_copy(f, TYPE(SGX_PT_REG) | SGX_SECINFO_W);
}

static int try_dest(struct fix *f, uint32_t page)
{
	struct operands operands = good_eacceptcopy(f);

	operands.rcx.page = page;
	return try_eacceptcopy(f, operands);
}

static int eacceptcopy_dest_invalid(struct fix *f)
{
	return try_dest(f, FREE);
}

static int eacceptcopy_dest_unbacked(struct fix *f)
{
	return try_dest(f, SGX_PAGE_UNBACKED);
}

static int eacceptcopy_dest_accepted(struct fix *f)
{
	fix_eaccept(f, PENDING, FLAGS_PENDING);
	return try_dest(f, PENDING);
}

static int eacceptcopy_dest_modified(struct fix *f)
{
	struct operands operands = good_eacceptcopy(f);

	operands.rcx = fix_in(f, SPARE);
	fix_emodt(f, SPARE, SGX_PT_TRIM);
	return try_eacceptcopy(f, operands);
}

static int eacceptcopy_dest_blocked(struct fix *f)
{
	fix_eblock(f, PENDING);
	return try_dest(f, PENDING);
}

static int eacceptcopy_dest_other(struct fix *f)
{
	fix_ecreate(f, FREE2, BASE, ATTRIBUTES_DEBUG);
	fix_einit(f, FREE2);
	fix_eaug(f, FREE2, FREE3, LIN(4));
	return try_dest(f, FREE3);
}

static int eacceptcopy_dest_address(struct fix *f)
{
	struct operands operands = good_eacceptcopy(f);

	operands.rcx.address += SGX_PAGE_SIZE;
	return try_eacceptcopy(f, operands);
}

static int eacceptcopy_modified_by_other(struct fix *f)
{
	struct operands operands = good_eacceptcopy(f);

	sgx_hold(f->sgx, PENDING, SGX_HOLD_MODIFY);
	return try_eacceptcopy(f, operands);
}

static int eacceptcopy_success(struct fix *f)
{
	int result = try_eacceptcopy(f, good_eacceptcopy(f));
	struct sgx_epcm epcm = fix_epcm(f, PENDING);

	assert_true(epcm.is_readable && !epcm.is_writable && epcm.is_executable);
	assert_false(epcm.is_pending || epcm.is_modified || epcm.is_restricted);
	assert_memory_equal(f->bytes[PENDING], f->bytes[REG], SGX_PAGE_SIZE);
	return result;
}

/* EMODPE of REG. */

static struct operands good_emodpe(struct fix *f)
{
	uint64_t flags = TYPE(SGX_PT_REG) | SGX_SECINFO_R | SGX_SECINFO_X;

	return (struct operands){ fix_in_secinfo(f, flags), fix_in(f, REG), NONE };
}

static int try_emodpe(struct fix *f, struct operands operands)
{
	return TRY(emodpe, SECS, operands.rbx, operands.rcx);
}

OPERAND_TESTS(emodpe, rbx)
OPERAND_TEST(emodpe, rcx, unaligned)
OPERAND_TEST(emodpe, rcx, outside_elrange)
OPERAND_TEST(emodpe, rcx, outside)
OPERAND_TEST(emodpe, rcx, unbacked)
OPERAND_TEST(emodpe, rcx, invalid)
OPERAND_TEST(emodpe, rcx, pending)
OPERAND_TEST(emodpe, rcx, modified)
OPERAND_TEST(emodpe, rcx, blocked)
OPERAND_TEST(emodpe, rcx, type)
OPERAND_TEST(emodpe, rcx, other)
OPERAND_TEST(emodpe, rcx, elsewhere)

static int emodpe_secinfo_flags(struct fix *f)
{
	struct operands operands = good_emodpe(f);

	fix_in_secinfo(f, FLAGS_REG_RW | 0x80);
	return try_emodpe(f, operands);
}

static int emodpe_secinfo_reserved(struct fix *f)
{
	struct operands operands = good_emodpe(f);

	spoil_secinfo(f);
	return try_emodpe(f, operands);
}

static int emodpe_modified_by_other(struct fix *f)
{
	struct operands operands = good_emodpe(f);

	sgx_hold(f->sgx, REG, SGX_HOLD_MODIFY);
	return try_emodpe(f, operands);
}

static int emodpe_w_without_r(struct fix *f)
{
	struct operands operands = good_emodpe(f);

	fix_emodpr(f, REG, 0);
	fix_in_secinfo(f, TYPE(SGX_PT_REG) | SGX_SECINFO_W);
	return try_emodpe(f, operands);
}

static int emodpe_success(struct fix *f)
{
	int result = try_emodpe(f, good_emodpe(f));
	struct sgx_epcm epcm = fix_epcm(f, REG);

	assert_true(epcm.is_readable && epcm.is_writable && epcm.is_executable);
	return result;
}

static const struct fix_row rows[] = { SGX_ROWS_INSIDE(FIX_ROW) };

int main(void)
{
	return fix_run_rows("inside", rows, sizeof(rows) / sizeof(rows[0]), false);
}
