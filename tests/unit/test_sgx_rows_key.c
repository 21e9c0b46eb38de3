/* SPDX-License-Identifier: MIT */
/*
 * Goal: every row of EREPORT and EGETKEY (sgx_rows.h). Method: an operand of a good one is spoilt,
 * see sgx_fixture.h and sgx_operands.h. What keys depend on is the business of test_sgx_keys.c.
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

SGX_ROWS_KEY(FIX_DECLARE)

/* EREPORT: TARGETINFO and REPORTDATA in INFO, the report goes to BUFFER. */

static struct operands good_ereport(struct fix *f)
{
	memset(f->bytes[INFO], 0, SGX_PAGE_SIZE);
	return (struct operands){ fix_in(f, INFO), fix_at(f, INFO, 512), fix_in(f, BUFFER) };
}

static int try_ereport(struct fix *f, struct operands operands)
{
	return TRY(ereport, SECS, operands.rbx, operands.rcx, operands.rdx);
}

OPERAND_TESTS(ereport, rbx)
OPERAND_TESTS(ereport, rcx)
OPERAND_TESTS(ereport, rdx)

static int ereport_success(struct fix *f)
{
	struct operands operands = good_ereport(f);
	struct sgx_report report;
	int result;

	f->bytes[INFO][512] = 0x77;
	result = try_ereport(f, operands);
	memcpy(&report, f->bytes[BUFFER], sizeof(report));
	assert_int_equal(report.attributes.flags, ATTRIBUTES_DEBUG | SGX_ATTR_KSS | SGX_ATTR_INIT);
	assert_int_equal(report.report_data[0], 0x77);
	assert_memory_equal(report.cpu_svn, f->config.cpu.cpu_svn, sizeof(report.cpu_svn));
	return result;
}

/* EGETKEY: KEYREQUEST in INFO, the key goes to BUFFER. */

static struct sgx_keyrequest *request_of(struct fix *f)
{
	return (struct sgx_keyrequest *)(void *)f->bytes[INFO];
}

static struct operands good_egetkey(struct fix *f)
{
	memset(f->bytes[INFO], 0, SGX_PAGE_SIZE);
	request_of(f)->key_name = SGX_KEY_SEAL;
	request_of(f)->key_policy = SGX_KEYPOLICY_MRSIGNER;
	return (struct operands){ fix_in(f, INFO), fix_in(f, BUFFER), NONE };
}

static int try_egetkey(struct fix *f, struct operands operands)
{
	return TRY(egetkey, SECS, operands.rbx, operands.rcx);
}

OPERAND_TESTS(egetkey, rbx)
OPERAND_TESTS(egetkey, rcx)

static int egetkey_reserved(struct fix *f)
{
	struct operands operands = good_egetkey(f);

	request_of(f)->reserved2[433] = 1;
	return try_egetkey(f, operands);
}

static int egetkey_policy(struct fix *f)
{
	struct operands operands = good_egetkey(f);

	request_of(f)->key_policy |= 0x40;
	return try_egetkey(f, operands);
}

/*
 * An enclave in ALONE's place that has other attributes, runs on FREE2, and asks for what INFO of
 * the other one has.
 */
static int try_other(struct fix *f, uint64_t attributes)
{
	struct sgx_keyrequest request = *request_of(f);

	assert_int_equal(sgx_eremove(f->sgx, EPC(ALONE)), 0);
	fix_ecreate(f, ALONE, ALONE_BASE, SGX_ATTR_MODE64BIT | attributes);
	fix_eadd(f, ALONE, FREE2, ALONE_BASE, FLAGS_REG_RW);
	fix_einit(f, ALONE);
	memcpy(f->bytes[FREE2], &request, sizeof(request));
	return TRY(egetkey, ALONE, fix_in(f, FREE2), fix_at(f, FREE2, 2048));
}

static int egetkey_policy_kss(struct fix *f)
{
	good_egetkey(f);
	request_of(f)->key_policy |= SGX_KEYPOLICY_NOISVPRODID;
	return try_other(f, 0);
}

static int egetkey_config_svn_kss(struct fix *f)
{
	good_egetkey(f);
	request_of(f)->config_svn = 1;
	return try_other(f, 0);
}

static int try_name(struct fix *f, uint16_t name)
{
	struct operands operands = good_egetkey(f);

	request_of(f)->key_name = name;
	return try_egetkey(f, operands);
}

static int egetkey_name(struct fix *f)
{
	return try_name(f, 5);
}

static int egetkey_token(struct fix *f)
{
	return try_name(f, SGX_KEY_EINITTOKEN);
}

static int egetkey_provision(struct fix *f)
{
	return try_name(f, SGX_KEY_PROVISION);
}

static int egetkey_provision_seal(struct fix *f)
{
	return try_name(f, SGX_KEY_PROVISION_SEAL);
}

static int egetkey_cpu_svn(struct fix *f)
{
	struct operands operands = good_egetkey(f);

	request_of(f)->cpu_svn[15] = 0xff;
	return try_egetkey(f, operands);
}

static int egetkey_isv_svn(struct fix *f)
{
	struct operands operands = good_egetkey(f);

	request_of(f)->isv_svn = 1;
	return try_egetkey(f, operands);
}

static int egetkey_config_svn(struct fix *f)
{
	struct operands operands = good_egetkey(f);

	request_of(f)->config_svn = 1;
	return try_egetkey(f, operands);
}

static int egetkey_success_seal(struct fix *f)
{
	static const uint8_t zeros[16];
	struct operands operands = good_egetkey(f);
	int result;

	memset(f->bytes[BUFFER], 0, 32);
	result = try_egetkey(f, operands);
	assert_memory_not_equal(f->bytes[BUFFER], zeros, 16);
	assert_memory_equal(f->bytes[BUFFER] + 16, zeros, 16);
	return result;
}

/* A right that REPORT needs: none. Its own versions do not count. */
static int egetkey_success_report(struct fix *f)
{
	struct operands operands = good_egetkey(f);

	request_of(f)->key_name = SGX_KEY_REPORT;
	request_of(f)->isv_svn = 9;
	return try_egetkey(f, operands);
}

static int egetkey_success_token(struct fix *f)
{
	good_egetkey(f);
	request_of(f)->key_name = SGX_KEY_EINITTOKEN;
	return try_other(f, SGX_ATTR_EINITTOKENKEY);
}

static int egetkey_success_provision(struct fix *f)
{
	good_egetkey(f);
	request_of(f)->key_name = SGX_KEY_PROVISION;
	return try_other(f, SGX_ATTR_PROVISIONKEY);
}

static const struct fix_row rows[] = { SGX_ROWS_KEY(FIX_ROW) };

int main(void)
{
	return fix_run_rows("key", rows, sizeof(rows) / sizeof(rows[0]), false);
}
