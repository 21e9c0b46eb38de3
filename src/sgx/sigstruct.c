/* SPDX-License-Identifier: MIT */
/*
 * SIGSTRUCT as EINIT sees it by itself: its form, its signature, its signer. What is compared with
 * the enclave does not belong here. The interface is sigstruct.h.
 *
 * The signature is checked without a division, by the quotients that the signer leaves in Q1 and
 * Q2 (SDM, "SIGSTRUCT"): a wrong quotient is a wrong signature, however right the rest is.
 */
#define OPENSSL_API_COMPAT 0x10100000L

#include <openssl/bn.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <string.h>

#include "sgx/internal.h"
#include "sgx/sigstruct.h"

#define EXPONENT 3u
#define VENDOR_INTEL 0x8086u
#define RSA_SIZE 384u /* bytes of 3072 bits */
#define DIGEST_INFO_SIZE 19u
#define SIGNED_START 900u
#define SIGNED_SIZE 128u /* of each of the two signed parts */

const uint8_t sigstruct_header[16] = { 0x06, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, 0, 0 };
const uint8_t sigstruct_header2[16] = { 0x01, 0x01, 0, 0, 0x60, 0, 0, 0,
					0x60, 0,    0, 0, 0x01, 0, 0, 0 };
/* RFC 8017, 9.2: the DER of DigestInfo for SHA-256, as far as the digest. */
static const uint8_t digest_info[DIGEST_INFO_SIZE] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
						       0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
						       0x01, 0x05, 0x00, 0x04, 0x20 };

_Static_assert(SGX_PADDING_SIZE + SHA256_DIGEST_LENGTH == RSA_SIZE, "EM is as long as the key");
_Static_assert(offsetof(struct sgx_sigstruct, miscselect) == SIGNED_START, "SDM: SIGSTRUCT");

/* DATE may be anything. What needs KSS, or has to be like the enclave's, is EINIT's business. */
bool sigstruct_is_well_formed(const struct sgx_sigstruct *sigstruct)
{
	return memcmp(sigstruct->header, sigstruct_header, sizeof(sigstruct_header)) == 0 &&
	       (sigstruct->vendor == 0 || sigstruct->vendor == VENDOR_INTEL) &&
	       memcmp(sigstruct->header2, sigstruct_header2, sizeof(sigstruct_header2)) == 0 &&
	       sigstruct->exponent == EXPONENT &&
	       bytes_are_zero(sigstruct->reserved1, sizeof(sigstruct->reserved1)) &&
	       bytes_are_zero(sigstruct->reserved2, sizeof(sigstruct->reserved2)) &&
	       bytes_are_zero(sigstruct->reserved3, sizeof(sigstruct->reserved3)) &&
	       bytes_are_zero(sigstruct->reserved4, sizeof(sigstruct->reserved4));
}

void sigstruct_digest(const struct sgx_sigstruct *sigstruct, uint8_t digest[32])
{
	const uint8_t *bytes = (const uint8_t *)sigstruct;
	SHA256_CTX context;

	SHA256_Init(&context);
	SHA256_Update(&context, bytes, SIGNED_SIZE);
	SHA256_Update(&context, bytes + SIGNED_START, SIGNED_SIZE);
	SHA256_Final(digest, &context);
}

void sigstruct_signer(const struct sgx_sigstruct *sigstruct, uint8_t mrsigner[32])
{
	SHA256(sigstruct->modulus, sizeof(sigstruct->modulus), mrsigner);
}

/* What the signature must come to. */
static void expected_em(const struct sgx_sigstruct *sigstruct, uint8_t em[RSA_SIZE])
{
	uint8_t *info = em + SGX_PADDING_SIZE - DIGEST_INFO_SIZE;

	em[0] = 0x00;
	em[1] = 0x01;
	memset(em + 2, 0xff, SGX_PADDING_SIZE - DIGEST_INFO_SIZE - 3);
	info[-1] = 0x00;
	memcpy(info, digest_info, DIGEST_INFO_SIZE);
	sigstruct_digest(sigstruct, em + SGX_PADDING_SIZE);
}

static BIGNUM *number(BN_CTX *context, const uint8_t bytes[RSA_SIZE])
{
	BIGNUM *result = BN_CTX_get(context);

	return result ? BN_lebin2bn(bytes, RSA_SIZE, result) : NULL;
}

/* result = a * b - quotient * n; whether that is possible and in [0, n). */
static bool reduce(BIGNUM *result, const BIGNUM *a, const BIGNUM *b, const BIGNUM *quotient,
		   const BIGNUM *n, BN_CTX *context)
{
	BIGNUM *product = BN_CTX_get(context);

	return product && BN_mul(product, quotient, n, context) && BN_mul(result, a, b, context) &&
	       BN_sub(result, result, product) && !BN_is_negative(result) && BN_cmp(result, n) < 0;
}

/* EM = S^3 mod N: t = S * S - Q1 * N, EM = t * S - Q2 * N. */
static bool decode(const struct sgx_sigstruct *sigstruct, BN_CTX *context, uint8_t em[RSA_SIZE])
{
	BIGNUM *n = number(context, sigstruct->modulus);
	BIGNUM *s = number(context, sigstruct->signature);
	BIGNUM *q1 = number(context, sigstruct->q1);
	BIGNUM *q2 = number(context, sigstruct->q2);
	BIGNUM *t = BN_CTX_get(context);
	BIGNUM *result = BN_CTX_get(context);

	/* Once BN_CTX_get() has failed it goes on failing: the last one speaks for all. */
	return result && n && s && q1 && q2 && BN_cmp(s, n) < 0 &&
	       reduce(t, s, s, q1, n, context) && reduce(result, t, s, q2, n, context) &&
	       BN_bn2binpad(result, em, RSA_SIZE) == (int)RSA_SIZE;
}

bool sigstruct_is_signed(const struct sgx_sigstruct *sigstruct, uint8_t padding[352])
{
	uint8_t em[RSA_SIZE], expected[RSA_SIZE];
	BN_CTX *context = BN_CTX_new();
	bool is_signed;

	if (!context)
		return false;
	BN_CTX_start(context);
	is_signed = decode(sigstruct, context, em);
	BN_CTX_end(context);
	BN_CTX_free(context);
	if (!is_signed)
		return false;
	expected_em(sigstruct, expected);
	if (memcmp(em, expected, sizeof(em)) != 0)
		return false;
	memcpy(padding, em, SGX_PADDING_SIZE);
	return true;
}
