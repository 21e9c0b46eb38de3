/* SPDX-License-Identifier: MIT */
/*
 * The rows of an operand of enclave code (SGX_ROWS_OPERAND in sgx_rows.h), which are the same for
 * every leaf and operand: OPERAND_TESTS(leaf, operand, spoils) defines the tests. The leaf's file
 * has `struct operands good_LEAF(struct fix *f)` and `int try_LEAF(struct fix *, struct operands)`.
 */
#ifndef EPCD_SGX_OPERANDS_H
#define EPCD_SGX_OPERANDS_H

#include "sgx_fixture.h"

struct operands {
	struct sgx_epc rbx, rcx, rdx;
};

/* What an operand that was good becomes. permissions: of a page that the leaf may not use. */
struct sgx_epc operand_unaligned(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_outside_elrange(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_outside(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_unbacked(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_invalid(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_no_access(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_pending(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_modified(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_blocked(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_type(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_other(struct fix *f, struct sgx_epc good);
struct sgx_epc operand_elsewhere(struct fix *f, struct sgx_epc good);

#define OPERAND_TEST(leaf, operand, cause)                               \
	static int leaf##_##operand##_##cause(struct fix *f)             \
	{                                                                \
		struct operands operands = good_##leaf(f);               \
                                                                         \
		operands.operand = operand_##cause(f, operands.operand); \
		return try_##leaf(f, operands);                          \
	}

#define OPERAND_TESTS(leaf, operand)                 \
	OPERAND_TEST(leaf, operand, unaligned)       \
	OPERAND_TEST(leaf, operand, outside_elrange) \
	OPERAND_TEST(leaf, operand, outside)         \
	OPERAND_TEST(leaf, operand, unbacked)        \
	OPERAND_TEST(leaf, operand, invalid)         \
	OPERAND_TEST(leaf, operand, no_access)       \
	OPERAND_TEST(leaf, operand, pending)         \
	OPERAND_TEST(leaf, operand, modified)        \
	OPERAND_TEST(leaf, operand, blocked)         \
	OPERAND_TEST(leaf, operand, type)            \
	OPERAND_TEST(leaf, operand, other)           \
	OPERAND_TEST(leaf, operand, elsewhere)

#endif
