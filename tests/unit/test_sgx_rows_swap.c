/* SPDX-License-Identifier: MIT */
/*
 * Goal: every row of EWB, ELDB and ELDU (sgx_rows.h). Method: an operand of a good one is spoilt,
 * see sgx_fixture.h. Every single bit is in test_sgx_swap.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sgx_fixture.h"
#include "sgx_rows.h"

SGX_ROWS_SWAP(FIX_DECLARE)

/* EWB of REG, which may go, into slot 0 of VA. */

static struct sgx_pageinfo *good_out(struct fix *f)
{
	fix_eblock(f, REG);
	fix_etrack(f, SECS);
	return fix_info_out(f, &f->blob);
}

static int ewb_rbx_unaligned(struct fix *f)
{
	good_out(f)->address += 16;
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_rcx_unaligned(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, fix_slot(REG, 1), EPC(VA));
}

static int ewb_rcx_outside(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, OUTSIDE, EPC(VA));
}

static int ewb_rdx_unaligned(struct fix *f)
{
	struct sgx_epc rdx = EPC(VA);

	rdx.address += 4;
	good_out(f);
	return TRY(ewb, &f->info, EPC(REG), rdx);
}

static int ewb_rdx_outside(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, EPC(REG), OUTSIDE);
}

static int ewb_same_page(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, EPC(VA), fix_slot(VA, 1));
}

static int ewb_linaddr(struct fix *f)
{
	good_out(f)->linaddr = LIN(1);
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_secs(struct fix *f)
{
	good_out(f)->secs = EPC(SECS);
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_pcmd_unaligned(struct fix *f)
{
	good_out(f)->secinfo.address += 64;
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_srcpge_unaligned(struct fix *f)
{
	good_out(f)->srcpge.address += 64;
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_rcx_held(struct fix *f)
{
	good_out(f);
	sgx_hold(f->sgx, REG, SGX_HOLD_SHARED);
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_rdx_held(struct fix *f)
{
	good_out(f);
	sgx_hold(f->sgx, VA, SGX_HOLD_EXCLUSIVE);
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_rcx_invalid(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, EPC(FREE), EPC(VA));
}

static int ewb_rcx_unbacked(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, UNBACKED, EPC(VA));
}

static int ewb_rdx_invalid(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, EPC(REG), EPC(FREE));
}

static int ewb_rdx_unbacked(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, EPC(REG), UNBACKED);
}

static int ewb_rdx_type(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, EPC(REG), EPC(SPARE));
}

/* A SECS: with metadata only, nothing is written of a REG page. */
static int ewb_srcpge_unwritable(struct fix *f)
{
	good_out(f)->srcpge.bytes = NULL;
	return TRY(ewb, &f->info, EPC(ALONE), EPC(VA));
}

static int ewb_pcmd_unwritable(struct fix *f)
{
	good_out(f)->secinfo.bytes = NULL;
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_not_blocked(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, EPC(SPARE), EPC(VA));
}

static int ewb_no_track(struct fix *f)
{
	fix_etrack(f, SECS);
	fix_eblock(f, REG);
	return TRY(ewb, fix_info_out(f, &f->blob), EPC(REG), EPC(VA));
}

static int ewb_thread_inside(struct fix *f)
{
	assert_int_equal(sgx_eenter(f->sgx, fix_in(f, TCS)), 0);
	good_out(f);
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_child_present(struct fix *f)
{
	good_out(f);
	return TRY(ewb, &f->info, EPC(SECS), EPC(VA));
}

static int ewb_slot_occupied(struct fix *f)
{
	uint64_t before, after;
	int result;

	fix_evict(f, SPARE, 0, &f->blob);
	memcpy(&before, f->bytes[VA], 8);
	good_out(f);
	result = TRY(ewb, &f->info, EPC(REG), EPC(VA));
	memcpy(&after, f->bytes[VA], 8);
	assert_false(fix_epcm(f, REG).is_valid);
	assert_int_not_equal(before, after);
	return result;
}

static int ewb_success(struct fix *f)
{
	static const struct sgx_secinfo zeros;
	uint64_t nr_children = sgx_secs_nr_children(f->sgx, SECS), slot;
	int result;

	good_out(f);
	result = TRY(ewb, &f->info, EPC(REG), EPC(VA));
	assert_false(fix_epcm(f, REG).is_valid);
	assert_int_equal(sgx_secs_nr_children(f->sgx, SECS), nr_children - 1);
	assert_int_equal(f->info.linaddr, LIN(1));
	assert_int_equal(f->blob.pcmd.secinfo.flags, FLAGS_REG_RW);
	assert_memory_equal(f->blob.pcmd.secinfo.reserved, zeros.reserved, sizeof(zeros.reserved));
	assert_int_equal(f->blob.pcmd.enclave_id, sgx_secs_enclave_id(f->sgx, SECS));
	memcpy(&slot, f->bytes[VA], 8);
	assert_int_not_equal(slot, 0);
	return result;
}

static int ewb_success_new_thread(struct fix *f)
{
	good_out(f);
	assert_int_equal(sgx_eenter(f->sgx, fix_in(f, TCS)), 0);
	return TRY(ewb, &f->info, EPC(REG), EPC(VA));
}

static int ewb_success_secs(struct fix *f)
{
	uint64_t enclave_id = sgx_secs_enclave_id(f->sgx, ALONE);
	int result = TRY(ewb, fix_info_out(f, &f->blob), EPC(ALONE), EPC(VA));

	assert_false(fix_epcm(f, ALONE).is_valid);
	assert_int_equal(f->info.linaddr, 0);
	assert_int_equal(f->blob.pcmd.secinfo.flags, TYPE(SGX_PT_SECS));
	assert_int_equal(f->blob.pcmd.enclave_id, enclave_id);
	return result;
}

static int ewb_success_va(struct fix *f)
{
	int result = TRY(ewb, fix_info_out(f, &f->blob), EPC(VA2), EPC(VA));

	assert_false(fix_epcm(f, VA2).is_valid);
	assert_int_equal(f->info.linaddr, 0);
	assert_int_equal(f->blob.pcmd.secinfo.flags, TYPE(SGX_PT_VA));
	assert_int_equal(f->blob.pcmd.enclave_id, 0);
	return result;
}

/* ELDB and ELDU of what was REG, in slot 0 of VA, into FREE. */

struct eld {
	struct sgx_pageinfo *info;
	struct sgx_epc rcx, rdx;
};

static struct eld good_in(struct fix *f, uint32_t page)
{
	bool is_child = fix_epcm(f, page).secs != SGX_PAGE_OUTSIDE;

	fix_evict(f, page, 0, &f->blob);
	return (struct eld){ fix_info_in(f, &f->blob, is_child ? EPC(SECS) : NONE), EPC(FREE),
			     EPC(VA) };
}

static void spoil_rbx_unaligned(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->address += 16;
}

static void spoil_rcx_unaligned(struct fix *f, struct eld *in)
{
	(void)f;
	in->rcx.address += 16;
}

static void spoil_rcx_outside(struct fix *f, struct eld *in)
{
	(void)f;
	in->rcx = OUTSIDE;
}

static void spoil_rdx_unaligned(struct fix *f, struct eld *in)
{
	(void)f;
	in->rdx.address += 4;
}

static void spoil_rdx_outside(struct fix *f, struct eld *in)
{
	(void)f;
	in->rdx = OUTSIDE;
}

static void spoil_pcmd_unaligned(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->secinfo.address += 64;
}

static void spoil_srcpge_unaligned(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->srcpge.address += 64;
}

static void spoil_rcx_held(struct fix *f, struct eld *in)
{
	(void)in;
	sgx_hold(f->sgx, FREE, SGX_HOLD_SHARED);
}

static void spoil_rdx_held(struct fix *f, struct eld *in)
{
	(void)in;
	sgx_hold(f->sgx, VA, SGX_HOLD_EXCLUSIVE);
}

static void spoil_rcx_valid(struct fix *f, struct eld *in)
{
	(void)f;
	in->rcx = EPC(SPARE);
}

static void spoil_rdx_invalid(struct fix *f, struct eld *in)
{
	(void)f;
	in->rdx = EPC(FREE2);
}

static void spoil_rdx_unbacked(struct fix *f, struct eld *in)
{
	(void)f;
	in->rdx = UNBACKED;
}

static void spoil_rdx_type(struct fix *f, struct eld *in)
{
	(void)f;
	in->rdx = EPC(SPARE);
}

static void spoil_pcmd_unreadable(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->secinfo.bytes = NULL;
}

static void spoil_type(struct fix *f, struct eld *in)
{
	(void)in;
	f->blob.pcmd.secinfo.flags = TYPE(7) | SGX_SECINFO_R;
}

static void spoil_secs_unaligned(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->secs.address += 64;
}

static void spoil_secs_outside(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->secs = OUTSIDE;
}

static void spoil_secs_held(struct fix *f, struct eld *in)
{
	(void)in;
	sgx_hold(f->sgx, SECS, SGX_HOLD_EXCLUSIVE);
}

static void spoil_secs_invalid(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->secs = EPC(FREE2);
}

static void spoil_secs_unbacked(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->secs = UNBACKED;
}

static void spoil_secs_type(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->secs = EPC(VA);
}

static void spoil_mac(struct fix *f, struct eld *in)
{
	(void)in;
	f->blob.pcmd.mac[15] ^= 0x80;
}

static void spoil_permissions(struct fix *f, struct eld *in)
{
	(void)in;
	f->blob.pcmd.secinfo.flags |= SGX_SECINFO_X;
}

static void spoil_pcmd_reserved(struct fix *f, struct eld *in)
{
	(void)in;
	f->blob.pcmd.reserved[39] = 1;
}

static void spoil_linaddr(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->linaddr = LIN(9);
}

static void spoil_secs_other(struct fix *f, struct eld *in)
{
	(void)f;
	in->info->secs = EPC(OTHER);
}

static void spoil_slot_empty(struct fix *f, struct eld *in)
{
	(void)f;
	in->rdx = fix_slot(VA, 1);
}

static void spoil_slot_other(struct fix *f, struct eld *in)
{
	struct fix_blob blob;

	fix_evict(f, SPARE, 2, &blob);
	fix_info_in(f, &f->blob, EPC(SECS));
	in->rdx = fix_slot(VA, 2);
}

static void spoil_again(struct fix *f, struct eld *in)
{
	assert_int_equal(sgx_eldu(f->sgx, in->info, EPC(FREE2), in->rdx), 0);
}

static void spoil_older(struct fix *f, struct eld *in)
{
	struct fix_blob blob;

	assert_int_equal(sgx_eldu(f->sgx, in->info, EPC(REG), in->rdx), 0);
	fix_evict(f, REG, 0, &blob);
	fix_info_in(f, &f->blob, EPC(SECS));
}

#define BOTH(cause)                                        \
	static int eldb_##cause(struct fix *f)             \
	{                                                  \
		struct eld in = good_in(f, REG);           \
                                                           \
		spoil_##cause(f, &in);                     \
		return TRY(eldb, in.info, in.rcx, in.rdx); \
	}                                                  \
	static int eldu_##cause(struct fix *f)             \
	{                                                  \
		struct eld in = good_in(f, REG);           \
                                                           \
		spoil_##cause(f, &in);                     \
		return TRY(eldu, in.info, in.rcx, in.rdx); \
	}

BOTH(rbx_unaligned)
BOTH(rcx_unaligned)
BOTH(rcx_outside)
BOTH(rdx_unaligned)
BOTH(rdx_outside)
BOTH(pcmd_unaligned)
BOTH(srcpge_unaligned)
BOTH(rcx_held)
BOTH(rdx_held)
BOTH(rcx_valid)
BOTH(rdx_invalid)
BOTH(rdx_unbacked)
BOTH(rdx_type)
BOTH(pcmd_unreadable)
BOTH(type)
BOTH(secs_unaligned)
BOTH(secs_outside)
BOTH(secs_held)
BOTH(secs_invalid)
BOTH(secs_unbacked)
BOTH(secs_type)
BOTH(mac)
BOTH(permissions)
BOTH(pcmd_reserved)
BOTH(linaddr)
BOTH(secs_other)
BOTH(slot_empty)
BOTH(slot_other)
BOTH(again)
BOTH(older)

/* A SECS: with metadata only, nothing is read of a REG page. */
static int eldb_srcpge_unreadable(struct fix *f)
{
	struct eld in = good_in(f, ALONE);

	in.info->srcpge.bytes = NULL;
	return TRY(eldb, in.info, in.rcx, in.rdx);
}

static int eldu_srcpge_unreadable(struct fix *f)
{
	struct eld in = good_in(f, ALONE);

	in.info->srcpge.bytes = NULL;
	return TRY(eldu, in.info, in.rcx, in.rdx);
}

static struct eld with_secs(struct fix *f, uint32_t page)
{
	struct eld in = good_in(f, page);

	in.info->secs = EPC(SECS);
	return in;
}

static int eldb_secs_of_secs(struct fix *f)
{
	struct eld in = with_secs(f, ALONE);

	return TRY(eldb, in.info, in.rcx, in.rdx);
}

static int eldu_secs_of_secs(struct fix *f)
{
	struct eld in = with_secs(f, ALONE);

	return TRY(eldu, in.info, in.rcx, in.rdx);
}

static int eldb_secs_of_va(struct fix *f)
{
	struct eld in = with_secs(f, VA2);

	return TRY(eldb, in.info, in.rcx, in.rdx);
}

static int eldu_secs_of_va(struct fix *f)
{
	struct eld in = with_secs(f, VA2);

	return TRY(eldu, in.info, in.rcx, in.rdx);
}

/* What is in FREE is what was in REG before, and the slot is empty. */
static void assert_is_back(struct fix *f, bool is_blocked, uint64_t nr_children)
{
	struct sgx_epcm epcm = fix_epcm(f, FREE);
	uint64_t slot;

	assert_true(epcm.is_valid);
	assert_int_equal(epcm.type, SGX_PT_REG);
	assert_int_equal(epcm.linaddr, LIN(1));
	assert_int_equal(epcm.secs, SECS);
	assert_true(epcm.is_readable && epcm.is_writable && !epcm.is_executable);
	assert_int_equal(epcm.is_blocked, is_blocked);
	assert_int_equal(sgx_secs_nr_children(f->sgx, SECS), nr_children);
	if (!f->config.is_metadata_only)
		assert_memory_equal(f->bytes[FREE], f->before.bytes[REG], SGX_PAGE_SIZE);
	memcpy(&slot, f->bytes[VA], 8);
	assert_int_equal(slot, 0);
}

/* Flags that travel: PR here. */
static int eldb_success(struct fix *f)
{
	uint64_t nr_children = sgx_secs_nr_children(f->sgx, SECS);
	struct eld in;
	int result;

	fix_emodpr(f, REG, SGX_SECINFO_R | SGX_SECINFO_W);
	in = good_in(f, REG);
	f->blob.pcmd.enclave_id ^= 5;
	result = TRY(eldb, in.info, in.rcx, in.rdx);
	assert_is_back(f, true, nr_children);
	assert_true(fix_epcm(f, FREE).is_restricted);
	return result;
}

static int eldu_success(struct fix *f)
{
	uint64_t nr_children = sgx_secs_nr_children(f->sgx, SECS);
	struct eld in = good_in(f, REG);
	int result;

	f->blob.pcmd.enclave_id ^= 5;
	result = TRY(eldu, in.info, in.rcx, in.rdx);
	assert_is_back(f, false, nr_children);
	return result;
}

/* The same enclave, which works. */
static void assert_lives(struct fix *f)
{
	assert_false(fix_epcm(f, FREE).is_blocked);
	assert_int_equal(fix_epcm(f, FREE).type, SGX_PT_SECS);
	assert_int_equal(sgx_secs_enclave_id(f->sgx, FREE), f->blob.pcmd.enclave_id);
	fix_eaug(f, FREE, FREE2, ALONE_BASE);
}

static int eldb_success_secs(struct fix *f)
{
	struct eld in = good_in(f, ALONE);
	int result = TRY(eldb, in.info, in.rcx, in.rdx);

	assert_lives(f);
	return result;
}

static int eldu_success_secs(struct fix *f)
{
	struct eld in = good_in(f, ALONE);
	int result = TRY(eldu, in.info, in.rcx, in.rdx);

	assert_lives(f);
	return result;
}

/* VA2 with a version in it, which is as good afterwards. */
static struct eld used_va(struct fix *f)
{
	fix_eblock(f, SPARE);
	fix_etrack(f, SECS);
	assert_int_equal(sgx_ewb(f->sgx, fix_info_out(f, &f->blob), EPC(SPARE), fix_slot(VA2, 511)),
			 0);
	f->blob.linaddr = f->info.linaddr;
	return (struct eld){ NULL, EPC(FREE), EPC(VA) };
}

static void assert_va_is_back(struct fix *f, struct fix_blob *spare)
{
	assert_false(fix_epcm(f, FREE).is_blocked);
	assert_int_equal(fix_epcm(f, FREE).type, SGX_PT_VA);
	assert_int_equal(sgx_eldu(f->sgx, fix_info_in(f, spare, EPC(SECS)), EPC(SPARE),
				  fix_slot(FREE, 511)),
			 0);
}

static int eldb_success_va(struct fix *f)
{
	struct eld in = used_va(f);
	struct fix_blob spare = f->blob;
	int result;

	fix_evict(f, VA2, 0, &f->blob);
	result = TRY(eldb, fix_info_in(f, &f->blob, NONE), in.rcx, in.rdx);
	assert_va_is_back(f, &spare);
	return result;
}

static int eldu_success_va(struct fix *f)
{
	struct eld in = used_va(f);
	struct fix_blob spare = f->blob;
	int result;

	fix_evict(f, VA2, 0, &f->blob);
	result = TRY(eldu, fix_info_in(f, &f->blob, NONE), in.rcx, in.rdx);
	assert_va_is_back(f, &spare);
	return result;
}

static const struct fix_row rows[] = { SGX_ROWS_SWAP(FIX_ROW) };

int main(void)
{
	return fix_run_rows("swap", rows, sizeof(rows) / sizeof(rows[0]), true);
}
