/* SPDX-License-Identifier: MIT */
/* See sgx_operands.h. The offset into the page stays what it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sgx_operands.h"

static uint64_t in_page(struct sgx_epc operand)
{
	return operand.address & (SGX_PAGE_SIZE - 1);
}

struct sgx_epc operand_unaligned(struct fix *f, struct sgx_epc good)
{
	(void)f;
	good.address += 8;
	return good;
}

struct sgx_epc operand_outside_elrange(struct fix *f, struct sgx_epc good)
{
	(void)f;
	good.address = BASE + FIX_ELRANGE;
	return good;
}

struct sgx_epc operand_outside(struct fix *f, struct sgx_epc good)
{
	(void)f;
	good.page = SGX_PAGE_OUTSIDE;
	return good;
}

struct sgx_epc operand_unbacked(struct fix *f, struct sgx_epc good)
{
	(void)f;
	good.page = SGX_PAGE_UNBACKED;
	return good;
}

/* The page of the enclave at that address has gone. */
struct sgx_epc operand_invalid(struct fix *f, struct sgx_epc good)
{
	struct sgx_epc spare = fix_at(f, SPARE, in_page(good));

	assert_int_equal(sgx_eremove(f->sgx, EPC(SPARE)), 0);
	return spare;
}

/* Neither readable nor writable. */
struct sgx_epc operand_no_access(struct fix *f, struct sgx_epc good)
{
	fix_emodpr(f, SPARE, SGX_SECINFO_X);
	return fix_at(f, SPARE, in_page(good));
}

struct sgx_epc operand_pending(struct fix *f, struct sgx_epc good)
{
	fix_eaug(f, SECS, FREE3, LIN(9));
	return fix_at(f, FREE3, in_page(good));
}

/* It is a TRIM page then, for a REG page is never MODIFIED. */
struct sgx_epc operand_modified(struct fix *f, struct sgx_epc good)
{
	fix_emodt(f, SPARE, SGX_PT_TRIM);
	return fix_at(f, SPARE, in_page(good));
}

struct sgx_epc operand_blocked(struct fix *f, struct sgx_epc good)
{
	fix_eblock(f, SPARE);
	return fix_at(f, SPARE, in_page(good));
}

struct sgx_epc operand_type(struct fix *f, struct sgx_epc good)
{
	return fix_at(f, TCS, in_page(good));
}

/* A page of another enclave whose addresses are the same. */
struct sgx_epc operand_other(struct fix *f, struct sgx_epc good)
{
	fix_ecreate(f, FREE2, BASE, ATTRIBUTES_DEBUG);
	fix_eadd(f, FREE2, FREE3, LIN(9), TYPE(SGX_PT_REG) | SGX_SECINFO_RWX);
	return fix_at(f, FREE3, in_page(good));
}

struct sgx_epc operand_elsewhere(struct fix *f, struct sgx_epc good)
{
	struct sgx_epc operand = fix_at(f, SPARE, in_page(good));

	operand.address += SGX_PAGE_SIZE;
	return operand;
}
