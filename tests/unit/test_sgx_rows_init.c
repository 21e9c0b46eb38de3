/* SPDX-License-Identifier: MIT */
/*
 * Goal: every row of EINIT (sgx_rows.h). Method: an operand of a good one is spoilt, and signed
 * anew where only what is signed is wrong. The enclave is OTHER; tokens come from a launch enclave
 * in ALONE's place, whose key EGETKEY gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "sgx_fixture.h"
#include "sgx_rows.h"

SGX_ROWS_EINIT(FIX_DECLARE)

static struct sgx_memory good(struct fix *f)
{
	return fix_sigstruct(f, OTHER);
}

static int einit_rbx_unaligned(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	rbx.address += 2048;
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_rcx_unaligned(struct fix *f)
{
	struct sgx_epc rcx = EPC(OTHER);
	struct sgx_memory rbx = good(f);

	rcx.address += 2048;
	return TRY(einit, rbx, rcx, fix_token(f));
}

static int einit_rdx_unaligned(struct fix *f)
{
	struct sgx_memory rbx = good(f), rdx = fix_token(f);

	rdx.address += 256;
	return TRY(einit, rbx, EPC(OTHER), rdx);
}

static int einit_rcx_outside(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	return TRY(einit, rbx, OUTSIDE, fix_token(f));
}

static int einit_rbx_unreadable(struct fix *f)
{
	return TRY(einit, ((struct sgx_memory){ 0x4000, NULL }), EPC(OTHER), fix_token(f));
}

static int einit_rdx_unreadable(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	return TRY(einit, rbx, EPC(OTHER), ((struct sgx_memory){ 0x5000, NULL }));
}

static int einit_header(struct fix *f)
{
	good(f);
	f->sigstruct.header[4] ^= 1;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_vendor(struct fix *f)
{
	good(f);
	f->sigstruct.vendor = 1;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_header2(struct fix *f)
{
	good(f);
	f->sigstruct.header2[15] ^= 1;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_exponent(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	f->sigstruct.exponent = 65537;
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_reserved(struct fix *f)
{
	uint8_t *const reserved[] = {
		&f->sigstruct.reserved1[83],
		&f->sigstruct.reserved3[15],
		&f->sigstruct.reserved4[11],
	};

	good(f);
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		*reserved[i] = 1;
		assert_int_equal(sgx_einit(f->sgx, fix_sign(f), EPC(OTHER), fix_token(f)),
				 SGX_INVALID_SIG_STRUCT);
		*reserved[i] = 0;
	}
	f->sigstruct.reserved1[0] = 1;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_signature(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	f->sigstruct.signature[0] ^= 1;
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_signed_field(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	f->sigstruct.isv_svn ^= 1;
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_q1(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	f->sigstruct.q1[0] ^= 1;
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_q2(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	f->sigstruct.q2[383] ^= 1;
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_rcx_held(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	sgx_hold(f->sgx, OTHER, SGX_HOLD_EXCLUSIVE);
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_rcx_invalid(struct fix *f)
{
	return TRY(einit, good(f), EPC(FREE), fix_token(f));
}

static int einit_rcx_unbacked(struct fix *f)
{
	return TRY(einit, good(f), UNBACKED, fix_token(f));
}

static int einit_rcx_type(struct fix *f)
{
	return TRY(einit, good(f), EPC(OTHER_REG), fix_token(f));
}

static int einit_family_id(struct fix *f)
{
	good(f);
	f->sigstruct.isv_family_id[0] = 1;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_ext_prod_id(struct fix *f)
{
	good(f);
	f->sigstruct.isv_ext_prod_id[15] = 1;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_rcx_measured(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	sgx_hold(f->sgx, OTHER, SGX_HOLD_MEASURE);
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_again(struct fix *f)
{
	return TRY(einit, fix_sigstruct(f, SECS), EPC(SECS), fix_token(f));
}

static int einit_hash(struct fix *f)
{
	good(f);
	f->sigstruct.enclave_hash[31] ^= 1;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

/* An enclave in ALONE's place that may ask for EINITTOKEN's key. */
static void create_launch_enclave(struct fix *f)
{
	assert_int_equal(sgx_eremove(f->sgx, EPC(ALONE)), 0);
	fix_ecreate(f, ALONE, ALONE_BASE, SGX_ATTR_MODE64BIT | SGX_ATTR_EINITTOKENKEY);
}

/* Not any signer: the hash of a key that is not the tests'. */
static void forbid_signer(struct fix *f)
{
	f->config.cpu.has_any_signer = false;
	memset(f->config.cpu.le_pubkey_hash, 0x11, sizeof(f->config.cpu.le_pubkey_hash));
}

/* The one who signs for the tests is the launch enclave's. */
static void allow_signer(struct fix *f)
{
	struct sgx_secs visible;

	sgx_secs_identity(f->sgx, SECS, &visible);
	memcpy(f->config.cpu.le_pubkey_hash, visible.mrsigner, sizeof(visible.mrsigner));
	f->config.cpu.has_any_signer = false;
	fix_reopen(f);
}

/*
 * A processor that has no right signer cannot have initialised the fixture's enclaves: they come
 * from one that has, by their pages, for its keys come from the seed alone. Nothing here needs
 * them, so they are not there.
 */
static void reopen_without_signer(struct fix *f)
{
	const struct sgx_section section = { FIX_NR_PAGES, f->bytes[0] };

	forbid_signer(f);
	sgx_free(f->sgx);
	f->config.sections = &section;
	f->config.nr_sections = 1;
	assert_int_equal(sgx_new(&f->config, &f->sgx), 0);
	f->config.sections = NULL;
	fix_ecreate(f, OTHER, OTHER_BASE, SGX_ATTR_MODE64BIT);
	fix_eadd(f, OTHER, OTHER_REG, OTHER_BASE + SGX_PAGE_SIZE, FLAGS_REG_RW);
	fix_ecreate(f, ALONE, ALONE_BASE, SGX_ATTR_MODE64BIT | SGX_ATTR_EINITTOKENKEY);
}

static int einit_token_key(struct fix *f)
{
	reopen_without_signer(f);
	return TRY(einit, fix_sigstruct(f, ALONE), EPC(ALONE), fix_token(f));
}

static int einit_attributes(struct fix *f)
{
	good(f);
	f->sigstruct.attributes.flags = ATTRIBUTES_DEBUG;
	f->sigstruct.attribute_mask.flags = SGX_ATTR_DEBUG;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_xfrm(struct fix *f)
{
	good(f);
	f->sigstruct.attributes.xfrm = SGX_XFRM_LEGACY | 4;
	f->sigstruct.attribute_mask.xfrm = 4;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_miscselect(struct fix *f)
{
	good(f);
	f->sigstruct.miscselect = SGX_MISC_EXINFO;
	f->sigstruct.miscmask = SGX_MISC_EXINFO;
	return TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
}

static int einit_no_token(struct fix *f)
{
	reopen_without_signer(f);
	return TRY(einit, good(f), EPC(OTHER), fix_token(f));
}

/* A key of the launch enclave, which is initialised for that: as its code would ask. */
static void get_token_key(struct fix *f, uint8_t key[16])
{
	_Alignas(512) struct sgx_keyrequest request = { .key_name = SGX_KEY_EINITTOKEN };
	uint64_t linaddr = ALONE_BASE + SGX_PAGE_SIZE;

	memcpy(request.key_id, f->token.key_id, sizeof(request.key_id));
	memcpy(request.cpu_svn, f->token.cpu_svn_le, sizeof(request.cpu_svn));
	request.isv_svn = f->token.isv_svn_le;
	request.attribute_mask = (struct sgx_attributes){ UINT64_MAX, UINT64_MAX };
	request.miscmask = UINT32_MAX;
	create_launch_enclave(f);
	fix_eadd(f, ALONE, FREE3, linaddr, FLAGS_REG_RW);
	fix_einit(f, ALONE);
	memcpy(f->bytes[FREE3], &request, sizeof(request));
	assert_int_equal(sgx_egetkey(f->sgx, ALONE, fix_at(f, FREE3, 0), fix_at(f, FREE3, 512)), 0);
	memcpy(key, f->bytes[FREE3] + 512, 16);
}

static void authenticate(struct fix *f)
{
	OSSL_PARAM cipher[] = {
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_CIPHER, (char *)"AES-128-CBC", 0),
		OSSL_PARAM_END,
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
	struct sgx_einittoken token = f->token;
	struct sgx_secs launch;
	uint8_t key[16];
	size_t size;

	get_token_key(f, key);
	f->token = token;
	sgx_secs_identity(f->sgx, ALONE, &launch);
	f->token.isv_prod_id_le = launch.isv_prod_id;
	assert_true(EVP_MAC_init(context, key, sizeof(key), cipher));
	assert_true(EVP_MAC_update(context, (const uint8_t *)&f->token, 192));
	assert_true(EVP_MAC_final(context, f->token.mac, &size, sizeof(f->token.mac)));
	EVP_MAC_CTX_free(context);
	EVP_MAC_free(mac);
	f->token.masked_attributes_le = launch.attributes;
	f->token.masked_miscselect_le = launch.miscselect;
}

/* A token for OTHER that is right but for its MAC; the SIGSTRUCT is right. */
static struct sgx_memory good_token(struct fix *f)
{
	struct sgx_secs visible;

	sgx_secs_identity(f->sgx, OTHER, &visible);
	memset(&f->token, 0, sizeof(f->token));
	f->token.valid = 1;
	f->token.attributes = visible.attributes;
	measurement_hash(&f->measurements[OTHER], f->token.mrenclave);
	sgx_secs_identity(f->sgx, SECS, &visible);
	memcpy(f->token.mrsigner, visible.mrsigner, sizeof(visible.mrsigner));
	memcpy(f->token.cpu_svn_le, f->config.cpu.cpu_svn, sizeof(f->token.cpu_svn_le));
	f->token.key_id[0] = 9;
	return fix_token(f);
}

static int try_token(struct fix *f)
{
	authenticate(f);
	return TRY(einit, good(f), EPC(OTHER), fix_token(f));
}

static int einit_token_debug(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	good_token(f);
	f->token.masked_attributes_le.flags = SGX_ATTR_DEBUG;
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_token_reserved(struct fix *f)
{
	allow_signer(f);
	good_token(f);
	f->token.reserved2[0] = 1;
	return try_token(f);
}

static int einit_token_cpu_svn(struct fix *f)
{
	struct sgx_memory rbx = good(f);

	good_token(f);
	memset(f->token.cpu_svn_le, 0xff, sizeof(f->token.cpu_svn_le));
	return TRY(einit, rbx, EPC(OTHER), fix_token(f));
}

static int einit_token_mac(struct fix *f)
{
	allow_signer(f);
	good_token(f);
	authenticate(f);
	f->token.mac[0] ^= 1;
	return TRY(einit, good(f), EPC(OTHER), fix_token(f));
}

static int einit_token_mrenclave(struct fix *f)
{
	allow_signer(f);
	good_token(f);
	f->token.mrenclave[0] ^= 1;
	return try_token(f);
}

static int einit_token_mrsigner(struct fix *f)
{
	allow_signer(f);
	good_token(f);
	f->token.mrsigner[0] ^= 1;
	return try_token(f);
}

static int einit_token_attributes(struct fix *f)
{
	allow_signer(f);
	good_token(f);
	f->token.attributes.flags |= SGX_ATTR_DEBUG;
	return try_token(f);
}

static int einit_success(struct fix *f)
{
	struct sgx_secs visible;
	int result;

	good(f);
	f->sigstruct.isv_prod_id = 3;
	f->sigstruct.isv_svn = 4;
	f->sigstruct.attributes = (struct sgx_attributes){ SGX_ATTR_MODE64BIT, SGX_XFRM_LEGACY };
	f->sigstruct.attribute_mask = (struct sgx_attributes){ UINT64_MAX, UINT64_MAX };
	f->sigstruct.miscmask = UINT32_MAX;
	result = TRY(einit, fix_sign(f), EPC(OTHER), fix_token(f));
	sgx_secs_identity(f->sgx, OTHER, &visible);
	assert_int_equal(visible.attributes.flags, SGX_ATTR_MODE64BIT | SGX_ATTR_INIT);
	assert_int_equal(visible.isv_prod_id, 3);
	assert_int_equal(visible.isv_svn, 4);
	assert_memory_equal(visible.mrenclave, f->sigstruct.enclave_hash, 32);
	return result;
}

/* All of a token is looked at, though this signer would need none. */
static int einit_success_token(struct fix *f)
{
	allow_signer(f);
	good_token(f);
	return try_token(f);
}

static int einit_success_kss(struct fix *f)
{
	fix_ecreate(f, FREE, OTHER_BASE, SGX_ATTR_MODE64BIT | SGX_ATTR_KSS);
	fix_sigstruct(f, FREE);
	f->sigstruct.isv_family_id[0] = 1;
	f->sigstruct.isv_ext_prod_id[0] = 2;
	return TRY(einit, fix_sign(f), EPC(FREE), fix_token(f));
}

static const struct fix_row rows[] = { SGX_ROWS_EINIT(FIX_ROW) };

int main(void)
{
	return fix_run_rows("init", rows, sizeof(rows) / sizeof(rows[0]), false);
}
