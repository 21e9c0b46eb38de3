/* SPDX-License-Identifier: MIT */
/*
 * Goal: every row of EAUG, EMODPR and EMODT (sgx_rows.h). Method: an operand of a good one is
 * spoilt, see sgx_fixture.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sgx_fixture.h"
#include "sgx_rows.h"

SGX_ROWS_MODIFY(FIX_DECLARE)

/* EAUG */

static struct sgx_pageinfo *good_page(struct fix *f)
{
	return fix_info_eaug(f, SECS, LIN(7));
}

static int eaug_rbx_unaligned(struct fix *f)
{
	good_page(f)->address += 16;
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_rcx_unaligned(struct fix *f)
{
	return TRY(eaug, good_page(f), fix_slot(FREE, 1));
}

static int eaug_rcx_outside(struct fix *f)
{
	return TRY(eaug, good_page(f), OUTSIDE);
}

static int eaug_secinfo_unaligned(struct fix *f)
{
	good_page(f)->secinfo = (struct sgx_memory){ 0x3020, &f->secinfo };
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_secs_unaligned(struct fix *f)
{
	good_page(f)->secs.address += 8;
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_linaddr_unaligned(struct fix *f)
{
	good_page(f)->linaddr += 8;
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_srcpge(struct fix *f)
{
	good_page(f)->srcpge = (struct sgx_memory){ 0x2000, f->source };
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_secs_outside(struct fix *f)
{
	good_page(f)->secs = OUTSIDE;
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_rcx_held(struct fix *f)
{
	good_page(f);
	sgx_hold(f->sgx, FREE, SGX_HOLD_SHARED);
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_rcx_valid(struct fix *f)
{
	return TRY(eaug, good_page(f), EPC(REG));
}

static int eaug_secinfo(struct fix *f)
{
	good_page(f)->secinfo = fix_secinfo(f, FLAGS_REG_RW);
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_secinfo_unreadable(struct fix *f)
{
	good_page(f)->secinfo = (struct sgx_memory){ 0x3000, NULL };
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_secs_held(struct fix *f)
{
	good_page(f);
	sgx_hold(f->sgx, SECS, SGX_HOLD_EXCLUSIVE);
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_secs_invalid(struct fix *f)
{
	good_page(f)->secs = EPC(FREE2);
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_secs_unbacked(struct fix *f)
{
	good_page(f)->secs = UNBACKED;
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_secs_type(struct fix *f)
{
	good_page(f)->secs = EPC(VA);
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_secs_uninitialised(struct fix *f)
{
	return TRY(eaug, fix_info_eaug(f, OTHER, OTHER_BASE), EPC(FREE));
}

static int eaug_linaddr_below(struct fix *f)
{
	good_page(f)->linaddr = BASE - SGX_PAGE_SIZE;
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_linaddr_above(struct fix *f)
{
	good_page(f)->linaddr = BASE + FIX_ELRANGE;
	return TRY(eaug, &f->info, EPC(FREE));
}

static int eaug_success(struct fix *f)
{
	static const uint8_t zeros[SGX_PAGE_SIZE];
	uint64_t nr_children = sgx_secs_nr_children(f->sgx, SECS);
	int result = TRY(eaug, good_page(f), EPC(FREE));
	struct sgx_epcm epcm = fix_epcm(f, FREE);

	assert_int_equal(sgx_secs_nr_children(f->sgx, SECS), nr_children + 1);
	assert_true(epcm.is_valid && epcm.is_pending);
	assert_false(epcm.is_modified || epcm.is_restricted || epcm.is_blocked);
	assert_int_equal(epcm.type, SGX_PT_REG);
	assert_int_equal(epcm.linaddr, LIN(7));
	assert_int_equal(epcm.secs, SECS);
	assert_true(epcm.is_readable && epcm.is_writable && !epcm.is_executable);
	if (!f->config.is_metadata_only)
		assert_memory_equal(f->bytes[FREE], zeros, SGX_PAGE_SIZE);
	return result;
}

/* EMODPR */

static struct sgx_memory only_read(struct fix *f)
{
	return fix_secinfo(f, TYPE(SGX_PT_REG) | SGX_SECINFO_R);
}

static int emodpr_rbx_unaligned(struct fix *f)
{
	struct sgx_memory rbx = only_read(f);

	rbx.address += 32;
	return TRY(emodpr, rbx, EPC(SPARE));
}

static int emodpr_rcx_unaligned(struct fix *f)
{
	return TRY(emodpr, only_read(f), fix_slot(SPARE, 1));
}

static int emodpr_rcx_outside(struct fix *f)
{
	return TRY(emodpr, only_read(f), OUTSIDE);
}

static int emodpr_rbx_unreadable(struct fix *f)
{
	struct sgx_memory rbx = only_read(f);

	rbx.bytes = NULL;
	return TRY(emodpr, rbx, EPC(SPARE));
}

static int emodpr_flags(struct fix *f)
{
	return TRY(emodpr, fix_secinfo(f, TYPE(SGX_PT_REG) | 0x80), EPC(SPARE));
}

static int emodpr_reserved(struct fix *f)
{
	struct sgx_memory rbx = only_read(f);

	f->secinfo.reserved[7] = 1;
	return TRY(emodpr, rbx, EPC(SPARE));
}

static int emodpr_w_without_r(struct fix *f)
{
	return TRY(emodpr, fix_secinfo(f, TYPE(SGX_PT_REG) | SGX_SECINFO_W), EPC(SPARE));
}

static int emodpr_held(struct fix *f)
{
	sgx_hold(f->sgx, SPARE, SGX_HOLD_EXCLUSIVE);
	return TRY(emodpr, only_read(f), EPC(SPARE));
}

static int emodpr_invalid(struct fix *f)
{
	return TRY(emodpr, only_read(f), EPC(FREE));
}

static int emodpr_unbacked(struct fix *f)
{
	return TRY(emodpr, only_read(f), UNBACKED);
}

static int emodpr_modified_by_other(struct fix *f)
{
	sgx_hold(f->sgx, SPARE, SGX_HOLD_MODIFY);
	return TRY(emodpr, only_read(f), EPC(SPARE));
}

static int emodpr_pending(struct fix *f)
{
	return TRY(emodpr, only_read(f), EPC(PENDING));
}

static int emodpr_modified(struct fix *f)
{
	fix_emodt(f, SPARE, SGX_PT_TRIM);
	return TRY(emodpr, only_read(f), EPC(SPARE));
}

static int emodpr_type(struct fix *f)
{
	return TRY(emodpr, only_read(f), EPC(TCS));
}

static int emodpr_uninitialised(struct fix *f)
{
	return TRY(emodpr, only_read(f), EPC(OTHER_REG));
}

static int emodpr_success(struct fix *f)
{
	uint64_t flags = TYPE(SGX_PT_REG) | SGX_SECINFO_R | SGX_SECINFO_X;
	int result = TRY(emodpr, fix_secinfo(f, flags), EPC(REG));
	struct sgx_epcm epcm = fix_epcm(f, REG);

	assert_true(epcm.is_restricted);
	assert_true(epcm.is_readable && !epcm.is_writable && !epcm.is_executable);
	return result;
}

/* EMODT */

static struct sgx_memory to(struct fix *f, enum sgx_page_type type)
{
	return fix_secinfo(f, TYPE(type));
}

static int emodt_rbx_unaligned(struct fix *f)
{
	struct sgx_memory rbx = to(f, SGX_PT_TRIM);

	rbx.address += 32;
	return TRY(emodt, rbx, EPC(SPARE));
}

static int emodt_rcx_unaligned(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TRIM), fix_slot(SPARE, 1));
}

static int emodt_rcx_outside(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TRIM), OUTSIDE);
}

static int emodt_rbx_unreadable(struct fix *f)
{
	struct sgx_memory rbx = to(f, SGX_PT_TRIM);

	rbx.bytes = NULL;
	return TRY(emodt, rbx, EPC(SPARE));
}

static int emodt_flags(struct fix *f)
{
	return TRY(emodt, fix_secinfo(f, FLAGS_TRIM | UINT64_C(1) << 63), EPC(SPARE));
}

static int emodt_reserved(struct fix *f)
{
	struct sgx_memory rbx = to(f, SGX_PT_TRIM);

	f->secinfo.reserved[55] = 1;
	return TRY(emodt, rbx, EPC(SPARE));
}

static int emodt_to_reg(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_REG), EPC(SPARE));
}

static int emodt_to_secs(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_SECS), EPC(SPARE));
}

static int emodt_held(struct fix *f)
{
	sgx_hold(f->sgx, SPARE, SGX_HOLD_SHARED);
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(SPARE));
}

static int emodt_invalid(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(FREE));
}

static int emodt_unbacked(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TRIM), UNBACKED);
}

static int emodt_modified_by_other(struct fix *f)
{
	sgx_hold(f->sgx, SPARE, SGX_HOLD_MODIFY);
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(SPARE));
}

static int emodt_tcs_to_tcs(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TCS), EPC(TCS));
}

static int emodt_trim_to_trim(struct fix *f)
{
	fix_trim(f, SPARE);
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(SPARE));
}

static int emodt_trim_to_tcs(struct fix *f)
{
	fix_trim(f, SPARE);
	return TRY(emodt, to(f, SGX_PT_TCS), EPC(SPARE));
}

static int emodt_secs_to_trim(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(SECS));
}

static int emodt_va_to_trim(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(VA));
}

static int emodt_pending(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(PENDING));
}

static int emodt_modified(struct fix *f)
{
	fix_emodt(f, SPARE, SGX_PT_TCS);
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(SPARE));
}

static int emodt_uninitialised(struct fix *f)
{
	return TRY(emodt, to(f, SGX_PT_TRIM), EPC(OTHER_REG));
}

static int modify(struct fix *f, uint32_t page, enum sgx_page_type type)
{
	int result = TRY(emodt, to(f, type), EPC(page));
	struct sgx_epcm epcm = fix_epcm(f, page);

	assert_int_equal(epcm.type, type);
	assert_true(epcm.is_modified);
	assert_false(epcm.is_restricted || epcm.is_pending || epcm.is_blocked);
	assert_false(epcm.is_readable || epcm.is_writable || epcm.is_executable);
	assert_int_equal(epcm.secs, SECS);
	return result;
}

static int emodt_success_reg_trim(struct fix *f)
{
	fix_emodpr(f, SPARE, SGX_SECINFO_R);
	return modify(f, SPARE, SGX_PT_TRIM);
}

static int emodt_success_reg_tcs(struct fix *f)
{
	return modify(f, SPARE, SGX_PT_TCS);
}

static int emodt_success_tcs_trim(struct fix *f)
{
	return modify(f, TCS, SGX_PT_TRIM);
}

static const struct fix_row rows[] = { SGX_ROWS_MODIFY(FIX_ROW) };

int main(void)
{
	return fix_run_rows("modify", rows, sizeof(rows) / sizeof(rows[0]), true);
}
