/* SPDX-License-Identifier: MIT */
/*
 * src/sgx: AES-CMAC, and the keys of EGETKEY, EREPORT and EINIT: by vectors, by the agreement of
 * leaves that must agree, and by a table of what each key depends on and what it does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "sgx/internal.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define FLAG_A UINT64_C(0x100) /* attributes that mean nothing here */
#define FLAG_B UINT64_C(0x200)

static const uint8_t rfc4493_key[16] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
					 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c };

static void cmac_vectors(void **state)
{
	static const uint8_t message[64] = "\x6b\xc1\xbe\xe2\x2e\x40\x9f\x96\xe9\x3d\x7e\x11\x73"
					   "\x93\x17\x2a"
					   "\xae\x2d\x8a\x57\x1e\x03\xac\x9c\x9e\xb7\x6f\xac\x45"
					   "\xaf\x8e\x51"
					   "\x30\xc8\x1c\x46\xa3\x5c\xe4\x11\xe5\xfb\xc1\x19\x1a"
					   "\x0a\x52\xef"
					   "\xf6\x9f\x24\x45\xdf\x4f\x9b\x17\xad\x2b\x41\x7b\xe6"
					   "\x6c\x37\x10";
	static const struct {
		size_t size;
		uint8_t mac[16];
	} rows[] = {
		{ 0, "\xbb\x1d\x69\x29\xe9\x59\x37\x28\x7f\xa3\x7d\x12\x9b\x75\x67\x46" },
		{ 16, "\x07\x0a\x16\xb4\x6b\x4d\x41\x44\xf7\x9b\xdd\x9d\xd0\x4a\x28\x7c" },
		{ 40, "\xdf\xa6\x67\x47\xde\x9a\xe6\x30\x30\xca\x32\x61\x14\x97\xc8\x27" },
		{ 64, "\x51\xf0\xbe\xbf\x7e\x3b\x9d\x92\xfc\x49\x74\x17\x79\x36\x3c\xfe" },
	};
	uint8_t mac[16];

	(void)state;
	for (size_t i = 0; i < NR(rows); i++) {
		key_cmac(rfc4493_key, message, rows[i].size, mac);
		assert_memory_equal(mac, rows[i].mac, sizeof(mac));
	}
}

/* Every length against libcrypto's own CMAC, with keys whose subkeys carry and do not. */
static void cmac_as_libcrypto(void **state)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, "AES-128-CBC", 0),
		OSSL_PARAM_construct_end(),
	};
	uint8_t message[100], key[16] = { 0 }, mac[16], expected[16];
	size_t size;

	(void)state;
	memset(message, 0x3c, sizeof(message));
	for (size_t length = 0; length <= sizeof(message); length++) {
		key[length % sizeof(key)] = (uint8_t)(key[length % sizeof(key)] * 5 + length + 1);
		key_cmac(key, message, length, mac);
		assert_non_null(EVP_Q_mac(NULL, "CMAC", NULL, NULL, params, key, sizeof(key),
					  message, length, expected, sizeof(expected), &size));
		assert_memory_equal(mac, expected, sizeof(mac));
	}
}

/* A processor, an enclave on it, and what the enclave asks for. */
struct asking {
	struct sgx sgx;
	struct secs_page secs;
	struct sgx_keyrequest request;
};

/* An enclave that may have every key, and whose identity has something in every field. */
static void asking_begin(struct asking *a, unsigned int key_name, unsigned int policy)
{
	struct sgx_secs *visible = &a->secs.visible;

	memset(a, 0, sizeof(*a));
	memset(a->sgx.seed, 0x11, sizeof(a->sgx.seed));
	memset(a->sgx.cpu.cpu_svn, 4, sizeof(a->sgx.cpu.cpu_svn));
	visible->attributes.flags = SGX_ATTR_INIT | SGX_ATTR_MODE64BIT | SGX_ATTR_KSS |
				    SGX_ATTR_PROVISIONKEY | SGX_ATTR_EINITTOKENKEY | FLAG_A;
	visible->attributes.xfrm = 0x207;
	visible->miscselect = 0x11;
	memset(visible->mrenclave, 0x22, sizeof(visible->mrenclave));
	memset(visible->mrsigner, 0x33, sizeof(visible->mrsigner));
	memset(visible->config_id, 0x44, sizeof(visible->config_id));
	visible->isv_prod_id = 7;
	visible->isv_svn = 9;
	visible->config_svn = 5;
	memset(a->secs.isv_family_id, 0x55, sizeof(a->secs.isv_family_id));
	memset(a->secs.isv_ext_prod_id, 0x66, sizeof(a->secs.isv_ext_prod_id));
	memset(a->secs.padding, 0xff, sizeof(a->secs.padding));
	a->request.key_name = (uint16_t)key_name;
	a->request.key_policy = (uint16_t)policy;
	a->request.isv_svn = 8;
	memset(a->request.cpu_svn, 3, sizeof(a->request.cpu_svn));
	a->request.attribute_mask.flags = SGX_ATTR_MODE64BIT | FLAG_A;
	a->request.attribute_mask.xfrm = 7;
	memset(a->request.key_id, 0x77, sizeof(a->request.key_id));
	a->request.miscmask = 0x01;
	a->request.config_svn = 4;
}

static void asking_key(const struct asking *a, uint8_t key[16])
{
	memset(key, 0, 16);
	assert_int_equal(key_get(&a->sgx, &a->secs, &a->request, key), SGX_SUCCESS);
}

/* One input of the derivation changed; the enclave may ask for the key all the same. */
#define CHANGE(name, statement)                     \
	static void change_##name(struct asking *a) \
	{                                           \
		statement;                          \
	}
CHANGE(seed, a->sgx.seed[31] ^= 1)
CHANGE(current_cpu_svn, a->sgx.cpu.cpu_svn[15]++)
CHANGE(debug, a->secs.visible.attributes.flags ^= SGX_ATTR_DEBUG)
CHANGE(flag_in_mask, a->secs.visible.attributes.flags ^= FLAG_A)
CHANGE(flag_not_in_mask, a->secs.visible.attributes.flags ^= FLAG_B)
CHANGE(xfrm_in_mask, a->secs.visible.attributes.xfrm ^= 4)
CHANGE(xfrm_not_in_mask, a->secs.visible.attributes.xfrm ^= 0x200)
CHANGE(misc_in_mask, a->secs.visible.miscselect ^= 1)
CHANGE(misc_not_in_mask, a->secs.visible.miscselect ^= 0x10)
CHANGE(mask_of_nothing, a->request.attribute_mask.flags ^= FLAG_B)
CHANGE(xfrm_mask_of_nothing, a->request.attribute_mask.xfrm ^= 0x400)
CHANGE(misc_mask_of_nothing, a->request.miscmask ^= 2)
CHANGE(cpu_svn, a->request.cpu_svn[0]--)
CHANGE(isv_svn, a->request.isv_svn--)
CHANGE(secs_isv_svn, a->secs.visible.isv_svn++)
CHANGE(prod_id, a->secs.visible.isv_prod_id++)
CHANGE(mrenclave, a->secs.visible.mrenclave[31] ^= 1)
CHANGE(mrsigner, a->secs.visible.mrsigner[0] ^= 1)
CHANGE(config_id, a->secs.visible.config_id[63] ^= 1)
CHANGE(config_svn, a->request.config_svn--)
CHANGE(secs_config_svn, a->secs.visible.config_svn++)
CHANGE(family_id, a->secs.isv_family_id[15] ^= 1)
CHANGE(ext_prod_id, a->secs.isv_ext_prod_id[0] ^= 1)
CHANGE(key_id, a->request.key_id[31] ^= 1)
CHANGE(padding, a->secs.padding[351] ^= 1)
CHANGE(base, a->secs.visible.base ^= 0x10000)
CHANGE(enclave_id, a->secs.enclave_id++)

#define POLICY_REST \
	(SGX_KEYPOLICY_CONFIGID | SGX_KEYPOLICY_ISVFAMILYID | SGX_KEYPOLICY_ISVEXTPRODID)
#define POLICY_MOST (SGX_KEYPOLICY_MRENCLAVE | SGX_KEYPOLICY_MRSIGNER | POLICY_REST)

struct column {
	unsigned int key_name, policy;
};

static const struct column columns[] = {
	{ SGX_KEY_EINITTOKEN, 0 },
	{ SGX_KEY_EINITTOKEN, POLICY_MOST | SGX_KEYPOLICY_NOISVPRODID },
	{ SGX_KEY_REPORT, 0 },
	{ SGX_KEY_REPORT, POLICY_MOST | SGX_KEYPOLICY_NOISVPRODID },
	{ SGX_KEY_SEAL, 0 },
	{ SGX_KEY_SEAL, SGX_KEYPOLICY_MRENCLAVE },
	{ SGX_KEY_SEAL, SGX_KEYPOLICY_MRSIGNER },
	{ SGX_KEY_SEAL, SGX_KEYPOLICY_NOISVPRODID },
	{ SGX_KEY_SEAL, SGX_KEYPOLICY_CONFIGID },
	{ SGX_KEY_SEAL, SGX_KEYPOLICY_ISVFAMILYID },
	{ SGX_KEY_SEAL, SGX_KEYPOLICY_ISVEXTPRODID },
	{ SGX_KEY_SEAL, POLICY_MOST },
	{ SGX_KEY_PROVISION, 0 },
	{ SGX_KEY_PROVISION, POLICY_MOST | SGX_KEYPOLICY_NOISVPRODID },
	{ SGX_KEY_PROVISION_SEAL, 0 },
	{ SGX_KEY_PROVISION_SEAL, POLICY_MOST },
	{ SGX_KEY_PROVISION_SEAL, SGX_KEYPOLICY_NOISVPRODID },
};

/*
 * SDM, EGETKEY, "Key derivation". A letter for each column, in groups of EINITTOKEN, REPORT, SEAL,
 * PROVISION and PROVISION_SEAL: y, the key is another one; -, it is the same.
 */
static const struct {
	const char *name;
	void (*change)(struct asking *a);
	const char *is_other;
} rows[] = {
	{ "seed", change_seed, "yy yy yyyyyyyy yy yyy" },
	{ "current CPUSVN", change_current_cpu_svn, "-- yy -------- -- ---" },
	{ "DEBUG, not in mask", change_debug, "yy yy yyyyyyyy yy yyy" },
	{ "ATTRIBUTES in mask", change_flag_in_mask, "yy yy yyyyyyyy yy yyy" },
	{ "ATTRIBUTES not in mask", change_flag_not_in_mask, "-- yy -------- -- ---" },
	{ "XFRM in mask", change_xfrm_in_mask, "yy yy yyyyyyyy yy yyy" },
	{ "XFRM not in mask", change_xfrm_not_in_mask, "-- yy -------- -- ---" },
	{ "MISCSELECT in mask", change_misc_in_mask, "yy yy yyyyyyyy yy yyy" },
	{ "MISCSELECT not in mask", change_misc_not_in_mask, "-- yy -------- -- ---" },
	{ "ATTRIBUTEMASK.FLAGS", change_mask_of_nothing, "-- -- yyyyyyyy yy yyy" },
	{ "ATTRIBUTEMASK.XFRM", change_xfrm_mask_of_nothing, "-- -- yyyyyyyy yy yyy" },
	{ "MISCMASK", change_misc_mask_of_nothing, "-- -- yyyyyyyy yy yyy" },
	{ "CPUSVN asked for", change_cpu_svn, "yy -- yyyyyyyy yy yyy" },
	{ "ISVSVN asked for", change_isv_svn, "yy -- yyyyyyyy yy yyy" },
	{ "ISVSVN", change_secs_isv_svn, "-- -- -------- -- ---" },
	{ "ISVPRODID", change_prod_id, "yy -- yyy-yyyy yy yy-" },
	{ "MRENCLAVE", change_mrenclave, "-- yy -y-----y -- ---" },
	{ "MRSIGNER", change_mrsigner, "yy -- --y----y yy yyy" },
	{ "CONFIGID", change_config_id, "-- yy ----y--y -- -y-" },
	{ "CONFIGSVN asked for", change_config_svn, "-- -- ----y--y -- -y-" },
	{ "CONFIGSVN", change_secs_config_svn, "-- yy -------- -- ---" },
	{ "ISVFAMILYID", change_family_id, "-- -- -----y-y -- -y-" },
	{ "ISVEXTPRODID", change_ext_prod_id, "-- -- ------yy -- -y-" },
	{ "KEYID", change_key_id, "yy yy yyyyyyyy -- ---" },
	{ "PADDING", change_padding, "-- -- yyyyyyyy yy yyy" },
	{ "BASEADDR", change_base, "-- -- -------- -- ---" },
	{ "EID", change_enclave_id, "-- -- -------- -- ---" },
};

static void derivation_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(rows); i++) {
		const char *letter = rows[i].is_other;

		for (size_t j = 0; j < NR(columns); j++, letter++) {
			uint8_t before[16], after[16];
			struct asking a;
			bool is_other;

			while (*letter == ' ')
				letter++;
			asking_begin(&a, columns[j].key_name, columns[j].policy);
			asking_key(&a, before);
			rows[i].change(&a);
			asking_key(&a, after);
			is_other = memcmp(before, after, sizeof(before)) != 0;
			if (is_other != (*letter == 'y'))
				fail_msg("%s, column %zu", rows[i].name, j);
		}
		assert_int_equal(*letter, '\0');
	}
}

/* Key names, and for SEAL and PROVISION_SEAL each set of policy bits, have keys of their own. */
static void names_and_policies_differ(void **state)
{
	enum {
		NR_POLICIES = 64,
		NR_KEYS = 3 + 2 * NR_POLICIES
	};
	uint8_t keys[NR_KEYS][16];
	unsigned int nr_keys = 0;
	struct asking a;

	(void)state;
	for (unsigned int name = SGX_KEY_EINITTOKEN; name <= SGX_KEY_SEAL; name++) {
		bool has_policy = name == SGX_KEY_SEAL || name == SGX_KEY_PROVISION_SEAL;

		for (unsigned int policy = 0; policy < (has_policy ? NR_POLICIES : 1); policy++) {
			asking_begin(&a, name, policy);
			asking_key(&a, keys[nr_keys++]);
		}
	}
	assert_int_equal(nr_keys, NR_KEYS);
	for (unsigned int i = 0; i < nr_keys; i++)
		for (unsigned int j = 0; j < i; j++)
			assert_memory_not_equal(keys[i], keys[j], 16);
}

/* An enclave without rights or KSS. */
static void asking_begin_poor(struct asking *a, unsigned int key_name)
{
	asking_begin(a, key_name, 0);
	a->secs.visible.attributes.flags = SGX_ATTR_INIT | SGX_ATTR_MODE64BIT;
	a->secs.visible.config_svn = 0;
	a->request.config_svn = 0;
}

static void assert_refused(const struct asking *a, int code)
{
	uint8_t key[16], before[16];

	memset(key, 0xee, sizeof(key));
	memcpy(before, key, sizeof(key));
	assert_int_equal(key_get(&a->sgx, &a->secs, &a->request, key), code);
	assert_memory_equal(key, before, sizeof(key));
}

static void refused_with_gp(void **state)
{
	struct asking a;

	(void)state;
	for (unsigned int name = 0; name <= SGX_KEY_SEAL + 1; name++) {
		for (uint16_t policy = 4; policy != 0; policy = (uint16_t)(policy << 1)) {
			asking_begin_poor(&a, name);
			a.request.key_policy = policy;
			assert_refused(&a, SGX_GP);
		}
		for (uint16_t policy = 0x40; policy != 0; policy = (uint16_t)(policy << 1)) {
			asking_begin(&a, name, policy);
			assert_refused(&a, SGX_GP);
		}
		asking_begin_poor(&a, name);
		a.request.config_svn = 1;
		assert_refused(&a, SGX_GP);
		asking_begin(&a, name, 0);
		a.request.reserved1 = 1;
		assert_refused(&a, SGX_GP);
		for (size_t i = 0; i < sizeof(a.request.reserved2); i++) {
			asking_begin(&a, name, 0);
			a.request.reserved2[i] = 0x80;
			assert_refused(&a, SGX_GP);
		}
	}
}

static void refused_with_code(void **state)
{
	struct asking a;

	(void)state;
	for (unsigned int name = 0; name <= SGX_KEY_SEAL; name++) {
		bool needs_right = name <= SGX_KEY_PROVISION_SEAL;
		bool has_config = name == SGX_KEY_SEAL || name == SGX_KEY_PROVISION_SEAL;
		uint8_t key[16];

		if (name == SGX_KEY_REPORT)
			continue;
		/* Everything wrong, then put right one after the other in the SDM's order. */
		asking_begin(&a, name, 0);
		a.secs.visible.attributes.flags &= ~(name == SGX_KEY_EINITTOKEN ?
							     SGX_ATTR_EINITTOKENKEY :
							     SGX_ATTR_PROVISIONKEY);
		a.request.cpu_svn[15] = 5;
		a.request.cpu_svn[0] = 0;
		a.request.isv_svn = 10;
		a.request.config_svn = 6;
		if (needs_right)
			assert_refused(&a, SGX_INVALID_ATTRIBUTE);
		a.secs.visible.attributes.flags |= SGX_ATTR_EINITTOKENKEY | SGX_ATTR_PROVISIONKEY;
		assert_refused(&a, SGX_INVALID_CPUSVN);
		a.request.cpu_svn[15] = 4;
		assert_refused(&a, SGX_INVALID_ISVSVN);
		a.request.isv_svn = 9;
		if (has_config)
			assert_refused(&a, SGX_INVALID_ISVSVN);
		else
			asking_key(&a, key);
		a.request.config_svn = 5;
		asking_key(&a, key);
	}
	for (unsigned int name = SGX_KEY_SEAL + 1; name <= UINT16_MAX; name++) {
		asking_begin(&a, name, 0);
		assert_refused(&a, SGX_INVALID_KEYNAME);
	}
}

/* An enclave without any right has SEAL and REPORT, and of both its own only. */
static void poor_enclave_has_its_keys(void **state)
{
	struct asking a;
	uint8_t key[16];

	(void)state;
	asking_begin_poor(&a, SGX_KEY_SEAL);
	a.request.key_policy = SGX_KEYPOLICY_MRENCLAVE | SGX_KEYPOLICY_MRSIGNER;
	asking_key(&a, key);
	asking_begin_poor(&a, SGX_KEY_REPORT);
	memset(a.request.cpu_svn, 0xff, sizeof(a.request.cpu_svn)); /* not looked at */
	a.request.isv_svn = UINT16_MAX;
	asking_key(&a, key);
}

/* What the enclave writes into a TARGETINFO that is for itself. */
static struct sgx_targetinfo target_of(const struct secs_page *secs)
{
	struct sgx_targetinfo target = {
		.attributes = secs->visible.attributes,
		.config_svn = secs->visible.config_svn,
		.miscselect = secs->visible.miscselect,
	};

	memcpy(target.measurement, secs->visible.mrenclave, sizeof(target.measurement));
	memcpy(target.config_id, secs->visible.config_id, sizeof(target.config_id));
	return target;
}

/* As the target does it: EGETKEY with the report's KEYID, CMAC over the first 384 bytes. */
static bool report_is_right(const struct asking *target, const struct sgx_report *report)
{
	struct asking a = *target;
	uint8_t key[16], mac[16];

	memset(&a.request, 0, sizeof(a.request));
	a.request.key_name = SGX_KEY_REPORT;
	memcpy(a.request.key_id, report->key_id, sizeof(a.request.key_id));
	asking_key(&a, key);
	key_cmac(key, report, 384, mac);
	return memcmp(mac, report->mac, sizeof(mac)) == 0;
}

static void report_has_identity(void **state)
{
	struct sgx_targetinfo target = { .miscselect = 0 };
	uint8_t report_data[64];
	struct sgx_report report;
	struct asking a;

	(void)state;
	asking_begin(&a, 0, 0);
	memset(report_data, 0x99, sizeof(report_data));
	memset(&report, 0xff, sizeof(report));
	key_report(&a.sgx, &a.secs, &target, report_data, &report);
	assert_memory_equal(report.cpu_svn, a.sgx.cpu.cpu_svn, 16);
	assert_int_equal(report.miscselect, 0x11);
	assert_memory_equal(report.isv_ext_prod_id, a.secs.isv_ext_prod_id, 16);
	assert_memory_equal(&report.attributes, &a.secs.visible.attributes, 16);
	assert_memory_equal(report.mrenclave, a.secs.visible.mrenclave, 32);
	assert_memory_equal(report.mrsigner, a.secs.visible.mrsigner, 32);
	assert_memory_equal(report.config_id, a.secs.visible.config_id, 64);
	assert_int_equal(report.isv_prod_id, 7);
	assert_int_equal(report.isv_svn, 9);
	assert_int_equal(report.config_svn, 5);
	assert_memory_equal(report.isv_family_id, a.secs.isv_family_id, 16);
	assert_memory_equal(report.report_data, report_data, 64);
	for (size_t i = 0; i < sizeof(report.reserved4); i++)
		assert_int_equal(report.reserved4[i], 0);
}

/* A report is right for its target, for nobody who differs from it, and not with a bit flipped. */
static void report_for_its_target(void **state)
{
	uint8_t report_data[64] = { 1, 2, 3 };
	struct asking reporter, target;
	struct sgx_targetinfo targetinfo;
	struct sgx_report report;

	(void)state;
	asking_begin(&reporter, 0, 0);
	memset(reporter.secs.visible.mrenclave, 0xab, 32);
	asking_begin(&target, 0, 0);
	targetinfo = target_of(&target.secs);
	key_report(&reporter.sgx, &reporter.secs, &targetinfo, report_data, &report);
	assert_true(report_is_right(&target, &report));
	assert_false(report_is_right(&reporter, &report));
	for (size_t bit = 0; bit < 8 * sizeof(report); bit++) {
		((uint8_t *)&report)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(report_is_right(&target, &report));
		((uint8_t *)&report)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	target.sgx.seed[0] ^= 1; /* another machine */
	assert_false(report_is_right(&target, &report));
}

/* A token as a launch enclave makes it: by the key that EGETKEY gives it. */
static void token_make(struct asking *le, struct sgx_einittoken *token)
{
	uint8_t key[16];

	memset(token, 0, sizeof(*token));
	token->valid = 1;
	memset(token->mrenclave, 0x10, sizeof(token->mrenclave));
	memcpy(token->mrsigner, le->secs.visible.mrsigner, sizeof(token->mrsigner));
	memcpy(token->cpu_svn_le, le->request.cpu_svn, sizeof(token->cpu_svn_le));
	token->isv_prod_id_le = le->secs.visible.isv_prod_id;
	token->isv_svn_le = le->request.isv_svn;
	token->masked_miscselect_le = le->secs.visible.miscselect & le->request.miscmask;
	token->masked_attributes_le.flags =
		le->secs.visible.attributes.flags &
		(le->request.attribute_mask.flags | SGX_ATTR_INIT | SGX_ATTR_DEBUG);
	token->masked_attributes_le.xfrm = le->secs.visible.attributes.xfrm &
					   le->request.attribute_mask.xfrm;
	memcpy(token->key_id, le->request.key_id, sizeof(token->key_id));
	asking_key(le, key);
	key_cmac(key, token, 192, token->mac);
}

static void token_of_launch_enclave(void **state)
{
	struct sgx_einittoken token;
	struct asking le;

	(void)state;
	for (int has_any_signer = 0; has_any_signer < 2; has_any_signer++) {
		asking_begin(&le, SGX_KEY_EINITTOKEN, 0);
		le.sgx.cpu.has_any_signer = has_any_signer;
		if (!has_any_signer)
			memcpy(le.sgx.cpu.le_pubkey_hash, le.secs.visible.mrsigner, 32);
		token_make(&le, &token);
		assert_true(key_token_is_right(&le.sgx, &token));
		for (size_t bit = 0; bit < 8 * sizeof(token); bit++) {
			bool is_reserved = bit / 8 >= 212 && bit / 8 < 236;

			((uint8_t *)&token)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(key_token_is_right(&le.sgx, &token),
					 is_reserved); /* EINIT itself refuses those */
			((uint8_t *)&token)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	memset(le.sgx.cpu.le_pubkey_hash, 0x12, 32);
	le.sgx.cpu.has_any_signer = false;
	assert_false(key_token_is_right(&le.sgx, &token));
}

static void master_keys(void **state)
{
	uint8_t paging[16], again[16], other[16];
	struct sgx sgx = { .seed = { 1 } };

	(void)state;
	key_master(&sgx, "paging", paging);
	key_master(&sgx, "paging", again);
	key_master(&sgx, "paginh", other);
	assert_memory_equal(paging, again, 16);
	assert_memory_not_equal(paging, other, 16);
	sgx.seed[31] = 1;
	key_master(&sgx, "paging", other);
	assert_memory_not_equal(paging, other, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cmac_vectors),
		cmocka_unit_test(cmac_as_libcrypto),
		cmocka_unit_test(derivation_table),
		cmocka_unit_test(names_and_policies_differ),
		cmocka_unit_test(refused_with_gp),
		cmocka_unit_test(refused_with_code),
		cmocka_unit_test(poor_enclave_has_its_keys),
		cmocka_unit_test(report_has_identity),
		cmocka_unit_test(report_for_its_target),
		cmocka_unit_test(token_of_launch_enclave),
		cmocka_unit_test(master_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
