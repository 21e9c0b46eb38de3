/* SPDX-License-Identifier: MIT */
/*
 * Goal: every row of ECREATE, EADD and EEXTEND (sgx_rows.h). Method: an operand of a good one is
 * spoilt, see sgx_fixture.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sgx_fixture.h"
#include "sgx_rows.h"

SGX_ROWS_BUILD(FIX_DECLARE)

#define NEW_BASE UINT64_C(0x40000000)

/* ECREATE */

static struct sgx_pageinfo *good_secs(struct fix *f)
{
	return fix_info_secs(f, NEW_BASE, ATTRIBUTES_DEBUG);
}

static int ecreate_rbx_unaligned(struct fix *f)
{
	good_secs(f)->address += 16;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_rcx_unaligned(struct fix *f)
{
	struct sgx_epc rcx = EPC(FREE);

	good_secs(f);
	rcx.address += 2048;
	return TRY(ecreate, &f->info, rcx);
}

static int ecreate_rcx_outside(struct fix *f)
{
	return TRY(ecreate, good_secs(f), OUTSIDE);
}

static int ecreate_srcpge_unaligned(struct fix *f)
{
	good_secs(f)->srcpge.address += 2048;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_secinfo_unaligned(struct fix *f)
{
	good_secs(f)->secinfo.address += 32;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_linaddr(struct fix *f)
{
	good_secs(f)->linaddr = SGX_PAGE_SIZE;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_secs(struct fix *f)
{
	good_secs(f)->secs = EPC(OTHER);
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_secinfo_unreadable(struct fix *f)
{
	good_secs(f)->secinfo.bytes = NULL;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_secinfo_flags(struct fix *f)
{
	good_secs(f);
	f->secinfo.flags |= 0x40;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_secinfo_reserved(struct fix *f)
{
	good_secs(f);
	f->secinfo.reserved[55] = 1;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_secinfo_type(struct fix *f)
{
	good_secs(f);
	f->secinfo.flags = TYPE(SGX_PT_REG);
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_rcx_held(struct fix *f)
{
	good_secs(f);
	sgx_hold(f->sgx, FREE, SGX_HOLD_SHARED);
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_rcx_valid(struct fix *f)
{
	return TRY(ecreate, good_secs(f), EPC(REG));
}

static int ecreate_srcpge_unreadable(struct fix *f)
{
	good_secs(f)->srcpge.bytes = NULL;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_xfrm_legacy(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->attributes.xfrm = 1;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_xfrm_unknown(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->attributes.xfrm |= UINT64_C(1) << 63;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_miscselect(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->miscselect = UINT32_C(1) << 31;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_ssaframesize(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->ssa_frame_pages = 0;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_base_not_canonical(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->base = UINT64_C(1) << 60;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_base_above_4g(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->attributes.flags = SGX_ATTR_DEBUG;
	fix_source_secs(f)->base = UINT64_C(1) << 32;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_size_above_64(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->size = UINT64_C(2) << f->config.cpu.size_log2_64;
	fix_source_secs(f)->base = 0;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_size_above_32(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->attributes.flags = SGX_ATTR_DEBUG;
	fix_source_secs(f)->size = UINT64_C(2) << f->config.cpu.size_log2_32;
	fix_source_secs(f)->base = 0;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_size_below(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->size = SGX_PAGE_SIZE;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_size_no_power(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->size = UINT64_C(3) * SGX_PAGE_SIZE;
	fix_source_secs(f)->base = 0;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_base_unaligned(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->base += FIX_ELRANGE / 2;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_attributes(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->attributes.flags |= 0x08;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_attributes_init(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->attributes.flags |= SGX_ATTR_INIT;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_reserved(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->reserved2[31] = 1;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_reserved_tail(struct fix *f)
{
	good_secs(f);
	f->source[SGX_PAGE_SIZE - 1] = 1;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_cet(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->cet[8] = 1;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_config_id(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->config_id[63] = 1;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_config_svn(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->config_svn = 1;
	return TRY(ecreate, &f->info, EPC(FREE));
}

/* Also: what ECREATE does not take from the source, and an id that no enclave had. */
static int ecreate_success(struct fix *f)
{
	struct sgx_secs visible;
	struct sgx_epcm epcm;
	int result;

	good_secs(f);
	fix_source_secs(f)->isv_prod_id = 7;
	fix_source_secs(f)->isv_svn = 8;
	result = TRY(ecreate, &f->info, EPC(FREE));
	epcm = fix_epcm(f, FREE);
	assert_true(epcm.is_valid);
	assert_int_equal(epcm.type, SGX_PT_SECS);
	assert_int_equal(epcm.linaddr, 0);
	assert_int_equal(epcm.secs, SGX_PAGE_OUTSIDE);
	assert_false(epcm.is_readable || epcm.is_writable || epcm.is_executable);
	assert_false(epcm.is_blocked || epcm.is_pending || epcm.is_modified);
	assert_false(epcm.is_restricted);
	assert_int_equal(sgx_secs_nr_children(f->sgx, FREE), 0);
	assert_int_equal(sgx_secs_nr_inside(f->sgx, FREE), 0);
	assert_true(sgx_secs_enclave_id(f->sgx, FREE) > sgx_secs_enclave_id(f->sgx, ALONE));
	sgx_secs_identity(f->sgx, FREE, &visible);
	assert_int_equal(visible.isv_prod_id, 0);
	assert_int_equal(visible.isv_svn, 0);
	assert_int_equal(visible.base, NEW_BASE);
	assert_int_equal(visible.attributes.flags, ATTRIBUTES_DEBUG);
	return result;
}

static int ecreate_success_kss(struct fix *f)
{
	fix_info_secs(f, NEW_BASE, ATTRIBUTES_DEBUG | SGX_ATTR_KSS);
	fix_source_secs(f)->config_id[63] = 1;
	fix_source_secs(f)->config_svn = 1;
	return TRY(ecreate, &f->info, EPC(FREE));
}

static int ecreate_success_largest(struct fix *f)
{
	good_secs(f);
	fix_source_secs(f)->size = UINT64_C(1) << f->config.cpu.size_log2_64;
	fix_source_secs(f)->base = 0;
	return TRY(ecreate, &f->info, EPC(FREE));
}

/* EADD */

#define OTHER_LIN(number) (OTHER_BASE + (uint64_t)(number)*SGX_PAGE_SIZE)

static struct sgx_pageinfo *good_page(struct fix *f)
{
	return fix_info(f, OTHER, OTHER_LIN(2), FLAGS_REG_RW);
}

static int eadd_rbx_unaligned(struct fix *f)
{
	good_page(f)->address += 16;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_rcx_unaligned(struct fix *f)
{
	struct sgx_epc rcx = EPC(FREE);

	good_page(f);
	rcx.address += 8;
	return TRY(eadd, &f->info, rcx);
}

static int eadd_rcx_outside(struct fix *f)
{
	return TRY(eadd, good_page(f), OUTSIDE);
}

static int eadd_srcpge_unaligned(struct fix *f)
{
	good_page(f)->srcpge.address += 8;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secs_unaligned(struct fix *f)
{
	good_page(f)->secs.address += 8;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secinfo_unaligned(struct fix *f)
{
	good_page(f)->secinfo.address += 32;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_linaddr_unaligned(struct fix *f)
{
	good_page(f)->linaddr += 8;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secs_outside(struct fix *f)
{
	good_page(f)->secs = OUTSIDE;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secinfo_unreadable(struct fix *f)
{
	good_page(f)->secinfo.bytes = NULL;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secinfo_flags(struct fix *f)
{
	good_page(f);
	f->secinfo.flags |= UINT64_C(1) << 16;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secinfo_pending(struct fix *f)
{
	good_page(f);
	f->secinfo.flags |= SGX_SECINFO_PENDING;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secinfo_reserved(struct fix *f)
{
	good_page(f);
	f->secinfo.reserved[0] = 1;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_of_type(struct fix *f, unsigned int type)
{
	good_page(f);
	f->secinfo.flags = TYPE(type) | SGX_SECINFO_R;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_type_secs(struct fix *f)
{
	return eadd_of_type(f, SGX_PT_SECS);
}

static int eadd_type_va(struct fix *f)
{
	return eadd_of_type(f, SGX_PT_VA);
}

static int eadd_type_trim(struct fix *f)
{
	return eadd_of_type(f, SGX_PT_TRIM);
}

static int eadd_type_unknown(struct fix *f)
{
	return eadd_of_type(f, 10);
}

static int eadd_rcx_held(struct fix *f)
{
	good_page(f);
	sgx_hold(f->sgx, FREE, SGX_HOLD_SHARED);
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_rcx_valid(struct fix *f)
{
	return TRY(eadd, good_page(f), EPC(VA));
}

static int eadd_secs_held(struct fix *f)
{
	good_page(f);
	sgx_hold(f->sgx, OTHER, SGX_HOLD_EXCLUSIVE);
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secs_invalid(struct fix *f)
{
	good_page(f)->secs = EPC(FREE2);
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secs_unbacked(struct fix *f)
{
	good_page(f)->secs = UNBACKED;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secs_type(struct fix *f)
{
	good_page(f)->secs = EPC(VA);
	return TRY(eadd, &f->info, EPC(FREE));
}

/* A TCS: with metadata only, nothing is read of a REG page. */
static int eadd_srcpge_unreadable(struct fix *f)
{
	fix_info_tcs(f, OTHER, OTHER_LIN(2))->srcpge.bytes = NULL;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_tcs_reserved(struct fix *f)
{
	fix_info_tcs(f, OTHER, OTHER_LIN(2));
	f->source[SGX_PAGE_SIZE - 1] = 1;
	return TRY(eadd, &f->info, EPC(FREE));
}

/* An enclave of 32 bits, in ALONE's place. */
static void need_32_bits(struct fix *f)
{
	assert_int_equal(sgx_eremove(f->sgx, EPC(ALONE)), 0);
	fix_ecreate(f, ALONE, ALONE_BASE, SGX_ATTR_DEBUG);
	fix_info_tcs(f, ALONE, ALONE_BASE);
}

static int eadd_tcs_fslimit(struct fix *f)
{
	need_32_bits(f);
	fix_source_tcs(f)->fslimit = 0xfffff7ff;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_tcs_gslimit(struct fix *f)
{
	need_32_bits(f);
	fix_source_tcs(f)->gslimit = 0;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_w_without_r(struct fix *f)
{
	good_page(f);
	f->secinfo.flags = TYPE(SGX_PT_REG) | SGX_SECINFO_W;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_linaddr_below(struct fix *f)
{
	good_page(f)->linaddr = OTHER_BASE - SGX_PAGE_SIZE;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_linaddr_above(struct fix *f)
{
	good_page(f)->linaddr = OTHER_BASE + FIX_ELRANGE;
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secs_measured(struct fix *f)
{
	good_page(f);
	sgx_hold(f->sgx, OTHER, SGX_HOLD_MEASURE);
	return TRY(eadd, &f->info, EPC(FREE));
}

static int eadd_secs_initialised(struct fix *f)
{
	return TRY(eadd, fix_info(f, SECS, LIN(7), FLAGS_REG_RW), EPC(FREE));
}

static void assert_is_child(const struct fix *f, uint32_t page, enum sgx_page_type type,
			    uint64_t linaddr, uint64_t permissions)
{
	struct sgx_epcm epcm = fix_epcm(f, page);

	assert_true(epcm.is_valid);
	assert_int_equal(epcm.type, type);
	assert_int_equal(epcm.secs, OTHER);
	assert_int_equal(epcm.linaddr, linaddr);
	assert_int_equal(epcm.is_readable, !!(permissions & SGX_SECINFO_R));
	assert_int_equal(epcm.is_writable, !!(permissions & SGX_SECINFO_W));
	assert_int_equal(epcm.is_executable, !!(permissions & SGX_SECINFO_X));
	assert_false(epcm.is_blocked || epcm.is_pending || epcm.is_modified);
	assert_false(epcm.is_restricted);
}

static int eadd_success(struct fix *f)
{
	int result = TRY(eadd, good_page(f), EPC(FREE));

	assert_is_child(f, FREE, SGX_PT_REG, OTHER_LIN(2), SGX_SECINFO_R | SGX_SECINFO_W);
	assert_int_equal(sgx_secs_nr_children(f->sgx, OTHER), 2);
	if (!f->config.is_metadata_only)
		assert_memory_equal(f->bytes[FREE], f->source, SGX_PAGE_SIZE);
	return result;
}

static int eadd_success_tcs(struct fix *f)
{
	struct sgx_tcs tcs;
	int result;

	fix_info_tcs(f, OTHER, OTHER_LIN(2));
	f->secinfo.flags |= SGX_SECINFO_RWX;
	fix_source_tcs(f)->state = 1;
	fix_source_tcs(f)->flags = SGX_TCS_DBGOPTIN;
	fix_source_tcs(f)->cssa = 1;
	fix_source_tcs(f)->aep = 1;
	result = TRY(eadd, &f->info, EPC(FREE));
	assert_is_child(f, FREE, SGX_PT_TCS, OTHER_LIN(2), 0);
	memcpy(&tcs, f->bytes[FREE], sizeof(tcs));
	assert_int_equal(tcs.state, 0);
	assert_int_equal(tcs.flags, 0);
	assert_int_equal(tcs.cssa, 0);
	assert_int_equal(tcs.aep, 0);
	assert_int_equal(tcs.nssa, 2);
	return result;
}

static int eadd_success_same_linaddr(struct fix *f)
{
	int result = TRY(eadd, fix_info(f, OTHER, OTHER_LIN(1), FLAGS_REG_RW), EPC(FREE));

	assert_int_equal(fix_epcm(f, OTHER_REG).linaddr, fix_epcm(f, FREE).linaddr);
	return result;
}

static int eadd_success_secs_shared(struct fix *f)
{
	good_page(f);
	sgx_hold(f->sgx, OTHER, SGX_HOLD_SHARED);
	return TRY(eadd, &f->info, EPC(FREE));
}

/* EEXTEND */

static int eextend_rbx_unaligned(struct fix *f)
{
	struct sgx_epc rbx = EPC(OTHER);

	rbx.address += 256;
	return TRY(eextend, rbx, EPC(OTHER_REG));
}

static int eextend_rbx_outside(struct fix *f)
{
	return TRY(eextend, OUTSIDE, EPC(OTHER_REG));
}

static int eextend_rcx_unaligned(struct fix *f)
{
	return TRY(eextend, EPC(OTHER), fix_slot(OTHER_REG, 16));
}

static int eextend_rcx_outside(struct fix *f)
{
	return TRY(eextend, EPC(OTHER), OUTSIDE);
}

static int eextend_rcx_held(struct fix *f)
{
	sgx_hold(f->sgx, OTHER_REG, SGX_HOLD_EXCLUSIVE);
	return TRY(eextend, EPC(OTHER), EPC(OTHER_REG));
}

static int eextend_rcx_invalid(struct fix *f)
{
	return TRY(eextend, EPC(OTHER), EPC(FREE));
}

static int eextend_rcx_unbacked(struct fix *f)
{
	return TRY(eextend, EPC(OTHER), UNBACKED);
}

static int eextend_rcx_secs(struct fix *f)
{
	return TRY(eextend, EPC(OTHER), EPC(OTHER));
}

static int eextend_rcx_va(struct fix *f)
{
	return TRY(eextend, EPC(OTHER), EPC(VA));
}

static int eextend_rbx_other(struct fix *f)
{
	return TRY(eextend, EPC(SECS), EPC(OTHER_REG));
}

static int eextend_rbx_type(struct fix *f)
{
	return TRY(eextend, EPC(OTHER_REG), EPC(OTHER_REG));
}

static int eextend_secs_measured(struct fix *f)
{
	sgx_hold(f->sgx, OTHER, SGX_HOLD_MEASURE);
	return TRY(eextend, EPC(OTHER), EPC(OTHER_REG));
}

static int eextend_secs_initialised(struct fix *f)
{
	return TRY(eextend, EPC(SECS), EPC(REG));
}

/* The last chunk; that it is measured, EINIT's rows show, which name MRENCLAVE. */
static int eextend_success(struct fix *f)
{
	int result = TRY(eextend, EPC(OTHER), fix_slot(OTHER_REG, 480));
	uint64_t offset = SGX_PAGE_SIZE + 480 * 8;

	if (!f->config.is_metadata_only) {
		measurement_eextend(&f->measurements[OTHER], offset, f->bytes[OTHER_REG] + 3840);
		fix_einit(f, OTHER);
	}
	return result;
}

static const struct fix_row rows[] = { SGX_ROWS_BUILD(FIX_ROW) };

int main(void)
{
	return fix_run_rows("build", rows, sizeof(rows) / sizeof(rows[0]), true);
}
