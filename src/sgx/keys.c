/* SPDX-License-Identifier: MIT */
/*
 * The processor's keys: master keys from its seed, and the keys that enclaves derive from them
 * (SDM, EGETKEY: "Key derivation"), which also make a REPORT's MAC and an EINITTOKEN's. Where the
 * operands of EREPORT and EGETKEY may lie does not belong here.
 *
 *   key_master, key_cmac                        what the others are made of
 *   key_report, key_get, key_token_is_right     EREPORT, EGETKEY, EINIT
 *
 * A key is the AES-CMAC of everything that it depends on under a master key of its name. The order
 * is hidden in hardware; this one is the model's. OWNEREPOCH and the fuses are in the master keys.
 * PADDING goes into a key only where an enclave asks for it (SEAL, PROVISION, PROVISION_SEAL):
 * the other keys must come out the same here and there, and there it is a constant.
 */
#define OPENSSL_API_COMPAT 0x10100000L

#include <openssl/aes.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <string.h>

#include "sgx/internal.h"

#define AES_BLOCK 16u
#define REPORT_MAC_SIZE 384u /* what the MAC of a REPORT covers */
#define TOKEN_MAC_SIZE 192u  /* and that of an EINITTOKEN */
/* What of ATTRIBUTES goes into a key whatever the mask says. */
#define REQUIRED_ATTRIBUTES (SGX_ATTR_INIT | SGX_ATTR_DEBUG)
#define POLICY_NEEDS_KSS                                                                  \
	(SGX_KEYPOLICY_NOISVPRODID | SGX_KEYPOLICY_CONFIGID | SGX_KEYPOLICY_ISVFAMILYID | \
	 SGX_KEYPOLICY_ISVEXTPRODID)
#define POLICY_ALL (SGX_KEYPOLICY_MRENCLAVE | SGX_KEYPOLICY_MRSIGNER | POLICY_NEEDS_KSS)

/* All that a key depends on; what does not count for its name is 0. */
struct dependencies {
	uint16_t key_name;
	uint16_t key_policy;
	uint16_t isv_svn;
	uint16_t isv_prod_id;
	uint16_t config_svn;
	uint8_t cet_attributes_mask;
	uint8_t zero;
	uint32_t miscselect;
	uint32_t miscmask;
	uint32_t zero2;
	struct sgx_attributes attributes;
	struct sgx_attributes attribute_mask;
	uint8_t cpu_svn[16];
	uint8_t key_id[32];
	uint8_t mrenclave[32];
	uint8_t mrsigner[32];
	uint8_t config_id[64];
	uint8_t isv_family_id[16];
	uint8_t isv_ext_prod_id[16];
	uint8_t padding[352];
};
_Static_assert(sizeof(struct dependencies) == 616, "no byte of it is left to chance");
_Static_assert(offsetof(struct sgx_report, key_id) == REPORT_MAC_SIZE, "SDM: REPORT");
_Static_assert(offsetof(struct sgx_einittoken, cpu_svn_le) == TOKEN_MAC_SIZE, "SDM: EINITTOKEN");

/* name: unlike any other of this file's, for the seed gives the same bytes for the same name. */
static void seed_expand(const struct sgx *sgx, const char *name, uint8_t out[32])
{
	SHA256_CTX context;

	SHA256_Init(&context);
	SHA256_Update(&context, sgx->seed, sizeof(sgx->seed));
	SHA256_Update(&context, name, strlen(name));
	SHA256_Final(out, &context);
}

void key_master(const struct sgx *sgx, const char *name, uint8_t key[16])
{
	uint8_t expanded[32];

	seed_expand(sgx, name, expanded);
	memcpy(key, expanded, 16);
}

/* RFC 4493, 2.3: times x in GF(2^128). */
static void subkey_double(uint8_t subkey[AES_BLOCK])
{
	uint8_t carry = subkey[0] >> 7 ? 0x87 : 0;

	for (size_t i = 0; i + 1 < AES_BLOCK; i++)
		subkey[i] = (uint8_t)(subkey[i] << 1 | subkey[i + 1] >> 7);
	subkey[AES_BLOCK - 1] = (uint8_t)(subkey[AES_BLOCK - 1] << 1 ^ carry);
}

static void block_xor(uint8_t block[AES_BLOCK], const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		block[i] ^= bytes[i];
}

/*
 * RFC 4493, on the AES of libcrypto. Both of libcrypto's own interfaces to CMAC allocate, and there
 * is nobody here who could be told that there is no memory.
 */
void key_cmac(const uint8_t key[16], const void *bytes, size_t size, uint8_t mac[16])
{
	uint8_t subkey[AES_BLOCK] = { 0 }, block[AES_BLOCK] = { 0 };
	const uint8_t *next = bytes;
	AES_KEY schedule;

	AES_set_encrypt_key(key, 128, &schedule);
	AES_encrypt(subkey, subkey, &schedule);
	subkey_double(subkey);
	for (; size > AES_BLOCK; size -= AES_BLOCK, next += AES_BLOCK) {
		block_xor(block, next, AES_BLOCK);
		AES_encrypt(block, block, &schedule);
	}
	block_xor(block, next, size);
	if (size < AES_BLOCK) {
		block[size] ^= 0x80;
		subkey_double(subkey);
	}
	block_xor(block, subkey, AES_BLOCK);
	AES_encrypt(block, mac, &schedule);
}

static void derive(const struct sgx *sgx, const struct dependencies *dependencies, uint8_t key[16])
{
	static const char *const names[] = {
		[SGX_KEY_EINITTOKEN] = "key einittoken",
		[SGX_KEY_PROVISION] = "key provision",
		[SGX_KEY_PROVISION_SEAL] = "key provision seal",
		[SGX_KEY_REPORT] = "key report",
		[SGX_KEY_SEAL] = "key seal",
	};
	uint8_t master[16];

	key_master(sgx, names[dependencies->key_name], master);
	key_cmac(master, dependencies, sizeof(*dependencies), key);
}

bool key_token_is_right(const struct sgx *sgx, const struct sgx_einittoken *token)
{
	/*
	 * The launch enclave's MRSIGNER is IA32_SGXLEPUBKEYHASH. Where that is always the signer
	 * of the enclave at hand, it is also the token's, or EINIT refuses the token for that.
	 */
	const uint8_t *mrsigner = sgx->cpu.has_any_signer ? token->mrsigner :
							    sgx->cpu.le_pubkey_hash;
	struct dependencies dependencies = {
		.key_name = SGX_KEY_EINITTOKEN,
		.isv_svn = token->isv_svn_le,
		.isv_prod_id = token->isv_prod_id_le,
		.miscselect = token->masked_miscselect_le,
		.attributes = token->masked_attributes_le,
	};
	uint8_t key[16], mac[16];

	memcpy(dependencies.cpu_svn, token->cpu_svn_le, sizeof(dependencies.cpu_svn));
	memcpy(dependencies.key_id, token->key_id, sizeof(dependencies.key_id));
	memcpy(dependencies.mrsigner, mrsigner, sizeof(dependencies.mrsigner));
	derive(sgx, &dependencies, key);
	key_cmac(key, token, TOKEN_MAC_SIZE, mac);
	return CRYPTO_memcmp(mac, token->mac, sizeof(mac)) == 0;
}

/* The key of reports for an enclave with this identity. */
static void report_key(const struct sgx *sgx, const struct sgx_targetinfo *target,
		       const uint8_t key_id[32], uint8_t key[16])
{
	struct dependencies dependencies = {
		.key_name = SGX_KEY_REPORT,
		.config_svn = target->config_svn,
		.miscselect = target->miscselect,
		.attributes = target->attributes,
	};

	memcpy(dependencies.cpu_svn, sgx->cpu.cpu_svn, sizeof(dependencies.cpu_svn));
	memcpy(dependencies.key_id, key_id, sizeof(dependencies.key_id));
	memcpy(dependencies.mrenclave, target->measurement, sizeof(dependencies.mrenclave));
	memcpy(dependencies.config_id, target->config_id, sizeof(dependencies.config_id));
	derive(sgx, &dependencies, key);
}

void key_report(const struct sgx *sgx, const struct secs_page *secs,
		const struct sgx_targetinfo *target, const uint8_t report_data[64],
		struct sgx_report *report)
{
	const struct sgx_secs *visible = &secs->visible;
	uint8_t key[16];

	memset(report, 0, sizeof(*report));
	memcpy(report->cpu_svn, sgx->cpu.cpu_svn, sizeof(report->cpu_svn));
	report->miscselect = visible->miscselect;
	memcpy(report->isv_ext_prod_id, secs->isv_ext_prod_id, sizeof(report->isv_ext_prod_id));
	report->attributes = visible->attributes;
	memcpy(report->mrenclave, visible->mrenclave, sizeof(report->mrenclave));
	memcpy(report->mrsigner, visible->mrsigner, sizeof(report->mrsigner));
	memcpy(report->config_id, visible->config_id, sizeof(report->config_id));
	report->isv_prod_id = visible->isv_prod_id;
	report->isv_svn = visible->isv_svn;
	report->config_svn = visible->config_svn;
	memcpy(report->isv_family_id, secs->isv_family_id, sizeof(report->isv_family_id));
	memcpy(report->report_data, report_data, sizeof(report->report_data));
	seed_expand(sgx, "report key id", report->key_id);
	report_key(sgx, target, report->key_id, key);
	key_cmac(key, report, REPORT_MAC_SIZE, report->mac);
}

/* Else #GP, whatever the name of the key. */
static bool request_is_legal(const struct secs_page *secs, const struct sgx_keyrequest *request)
{
	bool has_kss = secs->visible.attributes.flags & SGX_ATTR_KSS;

	if (!has_kss && (request->key_policy & POLICY_NEEDS_KSS || request->config_svn != 0))
		return false;
	return (request->key_policy & ~POLICY_ALL) == 0 && request->reserved1 == 0 &&
	       bytes_are_zero(request->reserved2, sizeof(request->reserved2));
}

bool cpu_svn_is_reached(const struct sgx_cpu *cpu, const uint8_t cpu_svn[16])
{
	for (size_t i = 0; i < sizeof(cpu->cpu_svn); i++)
		if (cpu_svn[i] > cpu->cpu_svn[i])
			return false;
	return true;
}

/* Of all keys but REPORT: an enclave's right to the key, and to the versions it asks for. */
static int request_check(const struct sgx *sgx, const struct secs_page *secs,
			 const struct sgx_keyrequest *request, uint64_t needed_attributes)
{
	bool has_config = request->key_name == SGX_KEY_SEAL ||
			  request->key_name == SGX_KEY_PROVISION_SEAL;

	if ((secs->visible.attributes.flags & needed_attributes) != needed_attributes)
		return SGX_INVALID_ATTRIBUTE;
	if (!cpu_svn_is_reached(&sgx->cpu, request->cpu_svn))
		return SGX_INVALID_CPUSVN;
	if (request->isv_svn > secs->visible.isv_svn)
		return SGX_INVALID_ISVSVN;
	if (has_config && request->config_svn > secs->visible.config_svn)
		return SGX_INVALID_ISVSVN;
	return SGX_SUCCESS;
}

/* What all keys but REPORT depend on. */
static struct dependencies depend_common(const struct secs_page *secs,
					 const struct sgx_keyrequest *request)
{
	const struct sgx_secs *visible = &secs->visible;
	struct dependencies dependencies = {
		.key_name = request->key_name,
		.isv_svn = request->isv_svn,
		.isv_prod_id = visible->isv_prod_id,
		.miscselect = visible->miscselect & request->miscmask,
		.attributes = {
			.flags = visible->attributes.flags &
				 (request->attribute_mask.flags | REQUIRED_ATTRIBUTES),
			.xfrm = visible->attributes.xfrm & request->attribute_mask.xfrm,
		},
	};

	memcpy(dependencies.cpu_svn, request->cpu_svn, sizeof(dependencies.cpu_svn));
	return dependencies;
}

/* The masks themselves, which SEAL and both PROVISION keys depend on, and PADDING. */
static void depend_masks(struct dependencies *dependencies, const struct secs_page *secs,
			 const struct sgx_keyrequest *request)
{
	dependencies->attribute_mask = request->attribute_mask;
	dependencies->miscmask = ~request->miscmask;
	dependencies->cet_attributes_mask = request->cet_attributes_mask;
	memcpy(dependencies->padding, secs->padding, sizeof(dependencies->padding));
}

/* KEYPOLICY, which SEAL and PROVISION_SEAL depend on, as far as both have it. */
static void depend_policy(struct dependencies *dependencies, const struct secs_page *secs,
			  const struct sgx_keyrequest *request)
{
	const struct sgx_secs *visible = &secs->visible;
	uint16_t policy = request->key_policy;

	dependencies->key_policy = policy;
	if (policy & SGX_KEYPOLICY_NOISVPRODID)
		dependencies->isv_prod_id = 0;
	if (policy & SGX_KEYPOLICY_CONFIGID) {
		memcpy(dependencies->config_id, visible->config_id, sizeof(visible->config_id));
		dependencies->config_svn = request->config_svn;
	}
	if (policy & SGX_KEYPOLICY_ISVFAMILYID)
		memcpy(dependencies->isv_family_id, secs->isv_family_id,
		       sizeof(secs->isv_family_id));
	if (policy & SGX_KEYPOLICY_ISVEXTPRODID)
		memcpy(dependencies->isv_ext_prod_id, secs->isv_ext_prod_id,
		       sizeof(secs->isv_ext_prod_id));
}

static void depend_signer(struct dependencies *dependencies, const struct secs_page *secs)
{
	memcpy(dependencies->mrsigner, secs->visible.mrsigner, sizeof(dependencies->mrsigner));
}

static int get_einittoken(const struct sgx *sgx, const struct secs_page *secs,
			  const struct sgx_keyrequest *request, uint8_t key[16])
{
	struct dependencies dependencies = depend_common(secs, request);
	int code = request_check(sgx, secs, request, SGX_ATTR_EINITTOKENKEY);

	if (code != SGX_SUCCESS)
		return code;
	depend_signer(&dependencies, secs);
	memcpy(dependencies.key_id, request->key_id, sizeof(dependencies.key_id));
	derive(sgx, &dependencies, key);
	return SGX_SUCCESS;
}

static int get_provision(const struct sgx *sgx, const struct secs_page *secs,
			 const struct sgx_keyrequest *request, uint8_t key[16])
{
	struct dependencies dependencies = depend_common(secs, request);
	int code = request_check(sgx, secs, request, SGX_ATTR_PROVISIONKEY);

	if (code != SGX_SUCCESS)
		return code;
	depend_masks(&dependencies, secs, request);
	depend_signer(&dependencies, secs);
	if (request->key_name == SGX_KEY_PROVISION_SEAL)
		depend_policy(&dependencies, secs, request);
	derive(sgx, &dependencies, key);
	return SGX_SUCCESS;
}

static int get_seal(const struct sgx *sgx, const struct secs_page *secs,
		    const struct sgx_keyrequest *request, uint8_t key[16])
{
	struct dependencies dependencies = depend_common(secs, request);
	int code = request_check(sgx, secs, request, 0);

	if (code != SGX_SUCCESS)
		return code;
	depend_masks(&dependencies, secs, request);
	depend_policy(&dependencies, secs, request);
	if (request->key_policy & SGX_KEYPOLICY_MRENCLAVE)
		memcpy(dependencies.mrenclave, secs->visible.mrenclave,
		       sizeof(dependencies.mrenclave));
	if (request->key_policy & SGX_KEYPOLICY_MRSIGNER)
		depend_signer(&dependencies, secs);
	memcpy(dependencies.key_id, request->key_id, sizeof(dependencies.key_id));
	derive(sgx, &dependencies, key);
	return SGX_SUCCESS;
}

/* The enclave's own: of reports that name it as their target. */
static void get_report(const struct sgx *sgx, const struct secs_page *secs,
		       const struct sgx_keyrequest *request, uint8_t key[16])
{
	const struct sgx_secs *visible = &secs->visible;
	struct sgx_targetinfo self = {
		.attributes = visible->attributes,
		.config_svn = visible->config_svn,
		.miscselect = visible->miscselect,
	};

	memcpy(self.measurement, visible->mrenclave, sizeof(self.measurement));
	memcpy(self.config_id, visible->config_id, sizeof(self.config_id));
	report_key(sgx, &self, request->key_id, key);
}

int key_get(const struct sgx *sgx, const struct secs_page *secs,
	    const struct sgx_keyrequest *request, uint8_t key[16])
{
	if (!request_is_legal(secs, request))
		return SGX_GP;
	switch (request->key_name) {
	case SGX_KEY_EINITTOKEN:
		return get_einittoken(sgx, secs, request, key);
	case SGX_KEY_PROVISION:
	case SGX_KEY_PROVISION_SEAL:
		return get_provision(sgx, secs, request, key);
	case SGX_KEY_REPORT:
		get_report(sgx, secs, request, key);
		return SGX_SUCCESS;
	case SGX_KEY_SEAL:
		return get_seal(sgx, secs, request, key);
	default:
		return SGX_INVALID_KEYNAME;
	}
}
