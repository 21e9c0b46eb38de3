/* SPDX-License-Identifier: MIT */
/*
 * Goal: every row of EENTER, ERESUME, EEXIT and AEX (sgx_rows.h). Method: an operand of a good one
 * is spoilt, see sgx_fixture.h; for ERESUME a thread was inside before and left by AEX.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sgx_fixture.h"
#include "sgx_rows.h"

SGX_ROWS_THREAD(FIX_DECLARE)

static struct sgx_tcs *tcs_of(struct fix *f)
{
	return (struct sgx_tcs *)(void *)f->bytes[TCS];
}

/* A thread that ERESUME lets go on. */
static void interrupt(struct fix *f)
{
	assert_int_equal(sgx_eenter(f->sgx, fix_in(f, TCS)), 0);
	assert_int_equal(sgx_aex(f->sgx, fix_in(f, TCS)), 0);
	assert_int_equal(tcs_of(f)->cssa, 1);
}

static void spoil_unaligned(struct fix *f, struct sgx_epc *rbx)
{
	(void)f;
	rbx->address += 8;
}

static void spoil_outside(struct fix *f, struct sgx_epc *rbx)
{
	(void)f;
	*rbx = OUTSIDE;
}

static void spoil_held(struct fix *f, struct sgx_epc *rbx)
{
	(void)rbx;
	sgx_hold(f->sgx, TCS, SGX_HOLD_EXCLUSIVE);
}

static void spoil_invalid(struct fix *f, struct sgx_epc *rbx)
{
	(void)rbx;
	assert_int_equal(sgx_eremove(f->sgx, EPC(TCS)), 0);
}

static void spoil_unbacked(struct fix *f, struct sgx_epc *rbx)
{
	(void)f;
	*rbx = UNBACKED;
}

static void spoil_blocked(struct fix *f, struct sgx_epc *rbx)
{
	(void)rbx;
	fix_eblock(f, TCS);
}

static void spoil_type(struct fix *f, struct sgx_epc *rbx)
{
	*rbx = fix_in(f, REG);
}

static void spoil_modified(struct fix *f, struct sgx_epc *rbx)
{
	*rbx = fix_in(f, SPARE);
	fix_emodt(f, SPARE, SGX_PT_TCS);
}

static void spoil_ossa(struct fix *f, struct sgx_epc *rbx)
{
	(void)rbx;
	tcs_of(f)->ossa += 8;
}

static void spoil_ofsbase(struct fix *f, struct sgx_epc *rbx)
{
	(void)rbx;
	tcs_of(f)->ofsbasgx += 8;
}

static void spoil_ogsbase(struct fix *f, struct sgx_epc *rbx)
{
	(void)rbx;
	tcs_of(f)->ogsbasgx += 8;
}

static void spoil_flags(struct fix *f, struct sgx_epc *rbx)
{
	(void)rbx;
	tcs_of(f)->flags |= 4;
}

static void spoil_uninitialised(struct fix *f, struct sgx_epc *rbx)
{
	fix_eadd_tcs(f, OTHER, FREE, OTHER_BASE);
	((struct sgx_tcs *)(void *)f->bytes[FREE])->cssa = 1;
	*rbx = fix_in(f, FREE);
}

static void spoil_busy(struct fix *f, struct sgx_epc *rbx)
{
	assert_int_equal(sgx_eenter(f->sgx, *rbx), 0);
}

#define BOTH(cause)                                  \
	static int eenter_##cause(struct fix *f)     \
	{                                            \
		struct sgx_epc rbx = fix_in(f, TCS); \
                                                     \
		spoil_##cause(f, &rbx);              \
		return TRY(eenter, rbx);             \
	}                                            \
	static int eresume_##cause(struct fix *f)    \
	{                                            \
		struct sgx_epc rbx = fix_in(f, TCS); \
                                                     \
		interrupt(f);                        \
		spoil_##cause(f, &rbx);              \
		return TRY(eresume, rbx);            \
	}

BOTH(unaligned)
BOTH(outside)
BOTH(held)
BOTH(invalid)
BOTH(unbacked)
BOTH(blocked)
BOTH(type)
BOTH(modified)
BOTH(ossa)
BOTH(ofsbase)
BOTH(ogsbase)
BOTH(flags)
BOTH(uninitialised)
BOTH(busy)

static int eenter_cssa(struct fix *f)
{
	interrupt(f);
	tcs_of(f)->nssa = 1;
	return TRY(eenter, fix_in(f, TCS));
}

static int eresume_cssa(struct fix *f)
{
	return TRY(eresume, fix_in(f, TCS));
}

static int eenter_success(struct fix *f)
{
	int result = TRY(eenter, fix_in(f, TCS));

	assert_int_equal(sgx_secs_nr_inside(f->sgx, SECS), 1);
	assert_int_equal(tcs_of(f)->state, 1);
	return result;
}

static int eresume_success(struct fix *f)
{
	int result;

	interrupt(f);
	result = TRY(eresume, fix_in(f, TCS));
	assert_int_equal(sgx_secs_nr_inside(f->sgx, SECS), 1);
	assert_int_equal(tcs_of(f)->cssa, 0);
	return result;
}

static int eexit_idle(struct fix *f)
{
	return TRY(eexit, fix_in(f, TCS));
}

static int aex_idle(struct fix *f)
{
	return TRY(aex, fix_in(f, TCS));
}

/* Whose first word says that it is busy. */
static int eexit_type(struct fix *f)
{
	f->bytes[REG][0] = 1;
	return TRY(eexit, fix_in(f, REG));
}

static int aex_type(struct fix *f)
{
	f->bytes[REG][0] = 1;
	return TRY(aex, fix_in(f, REG));
}

static void go_inside(struct fix *f, bool is_evicted)
{
	assert_int_equal(sgx_eenter(f->sgx, fix_in(f, TCS)), 0);
	if (is_evicted)
		sgx_evict_threads(f->sgx, SECS);
	assert_int_equal(sgx_secs_nr_inside(f->sgx, SECS), !is_evicted);
}

static void assert_idle(struct fix *f, uint32_t cssa)
{
	assert_int_equal(sgx_secs_nr_inside(f->sgx, SECS), 0);
	assert_int_equal(tcs_of(f)->state, 0);
	assert_int_equal(tcs_of(f)->cssa, cssa);
}

static int eexit_success(struct fix *f)
{
	int result;

	go_inside(f, false);
	result = TRY(eexit, fix_in(f, TCS));
	assert_idle(f, 0);
	return result;
}

static int aex_success(struct fix *f)
{
	int result;

	go_inside(f, false);
	result = TRY(aex, fix_in(f, TCS));
	assert_idle(f, 1);
	return result;
}

static int eexit_success_evicted(struct fix *f)
{
	int result;

	go_inside(f, true);
	result = TRY(eexit, fix_in(f, TCS));
	assert_idle(f, 0);
	return result;
}

static int aex_success_evicted(struct fix *f)
{
	int result;

	go_inside(f, true);
	result = TRY(aex, fix_in(f, TCS));
	assert_idle(f, 1);
	return result;
}

static const struct fix_row rows[] = { SGX_ROWS_THREAD(FIX_ROW) };

int main(void)
{
	return fix_run_rows("thread", rows, sizeof(rows) / sizeof(rows[0]), true);
}
