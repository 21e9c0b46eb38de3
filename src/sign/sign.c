/* SPDX-License-Identifier: MIT */
/* Filling in and signing a SIGSTRUCT. Keys and their files do not belong here but in key.c. */
#include "sign/sign.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "sgx/sigstruct.h"

#define RSA_SIZE 384 /* bytes of 3072 bits */
#define EXPONENT 3u
/* AVX, AVX-512, PKRU, AMX: what an enclave may be created with or without. */
#define XFRM_OPTIONAL UINT64_C(0x602e4)

/* All that a signature consists of, before any of it goes into the SIGSTRUCT. */
struct signing {
	uint8_t modulus[RSA_SIZE], signature[RSA_SIZE], q1[RSA_SIZE], q2[RSA_SIZE];
};

void sign_defaults(struct sgx_sigstruct *sigstruct)
{
	memset(sigstruct, 0, sizeof(*sigstruct));
	memcpy(sigstruct->header, sigstruct_header, sizeof(sigstruct_header));
	memcpy(sigstruct->header2, sigstruct_header2, sizeof(sigstruct_header2));
	sigstruct->exponent = EXPONENT;
	sigstruct->attributes.flags = SGX_ATTR_MODE64BIT;
	sigstruct->attributes.xfrm = SGX_XFRM_LEGACY;
	sigstruct->attribute_mask.flags = ~SGX_ATTR_DEBUG;
	sigstruct->attribute_mask.xfrm = ~XFRM_OPTIONAL;
	sigstruct->miscmask = UINT32_MAX;
}

/* PKCS #1 v1.5 with SHA-256, big-endian as libcrypto has it. 0 or -errno. */
static int pkcs1_sign(EVP_PKEY *key, const uint8_t digest[32], uint8_t signature[RSA_SIZE])
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	size_t size = RSA_SIZE;
	bool is_done;

	if (!context)
		return -ENOMEM;
	is_done = EVP_PKEY_sign_init(context) == 1 &&
		  EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
		  EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
		  EVP_PKEY_sign(context, signature, &size, digest, 32) == 1 && size == RSA_SIZE;
	EVP_PKEY_CTX_free(context);
	return is_done ? 0 : -EIO;
}

/* Q1 = S^2 / N, Q2 = S * (S^2 mod N) / N, without remainders. 0 or -errno. */
static int quotients(struct signing *signing, const BIGNUM *n, const BIGNUM *s, BN_CTX *context)
{
	BIGNUM *product = BN_CTX_get(context);
	BIGNUM *rest = BN_CTX_get(context);
	BIGNUM *quotient = BN_CTX_get(context);

	if (!quotient || !BN_sqr(product, s, context) ||
	    !BN_div(quotient, rest, product, n, context) ||
	    BN_bn2lebinpad(quotient, signing->q1, RSA_SIZE) != RSA_SIZE ||
	    !BN_mul(product, rest, s, context) || !BN_div(quotient, NULL, product, n, context) ||
	    BN_bn2lebinpad(quotient, signing->q2, RSA_SIZE) != RSA_SIZE)
		return -ENOMEM;
	return 0;
}

static int sign_with(struct signing *signing, EVP_PKEY *key, const uint8_t digest[32], BIGNUM *n,
		     BN_CTX *context)
{
	uint8_t signature[RSA_SIZE];
	BIGNUM *s;
	int error = pkcs1_sign(key, digest, signature);

	if (error)
		return error;
	s = BN_CTX_get(context);
	if (!s || !BN_bin2bn(signature, RSA_SIZE, s) ||
	    BN_bn2lebinpad(s, signing->signature, RSA_SIZE) != RSA_SIZE ||
	    BN_bn2lebinpad(n, signing->modulus, RSA_SIZE) != RSA_SIZE)
		return -ENOMEM;
	return quotients(signing, n, s, context);
}

static bool key_has_private_part(const EVP_PKEY *key)
{
	BIGNUM *d = NULL;
	bool has_it = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &d) == 1;

	BN_clear_free(d);
	return has_it;
}

int sign_sigstruct(struct sgx_sigstruct *sigstruct, EVP_PKEY *key)
{
	struct signing signing;
	BN_CTX *context = NULL;
	BIGNUM *n = NULL;
	uint8_t digest[32];
	int error = -ENOMEM;

	if (!sign_key_is_right(key))
		return -EINVAL;
	if (!key_has_private_part(key))
		return -EACCES;
	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) != 1)
		goto free_n;
	context = BN_CTX_new();
	if (!context)
		goto free_n;
	sigstruct_digest(sigstruct, digest);
	BN_CTX_start(context);
	error = sign_with(&signing, key, digest, n, context);
	BN_CTX_end(context);
	BN_CTX_free(context);
	if (!error) {
		memcpy(sigstruct->modulus, signing.modulus, RSA_SIZE);
		sigstruct->exponent = EXPONENT;
		memcpy(sigstruct->signature, signing.signature, RSA_SIZE);
		memcpy(sigstruct->q1, signing.q1, RSA_SIZE);
		memcpy(sigstruct->q2, signing.q2, RSA_SIZE);
	}
free_n:
	BN_free(n);
	ERR_clear_error();
	return error;
}
