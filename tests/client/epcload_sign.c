/* SPDX-License-Identifier: MIT */
/*
 * A signer of enclaves, from the architecture's description alone (SDM volume 3D, SIGSTRUCT): what
 * the daemon's processor takes is checked against somebody else's idea of it. See epcload.h.
 */
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "epcload.h"

#define RSA_BYTES 384
#define NR_SIGNED_HEAD 128u /* the signature covers [0, 128) and [900, 1028) */
#define SIGNED_TAIL 900u

struct load_key {
	EVP_PKEY *pkey;
};

static EVP_PKEY *pkey_new(void)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *exponent = BN_new();
	EVP_PKEY *pkey = NULL;

	if (context && exponent && BN_set_word(exponent, 3) && EVP_PKEY_keygen_init(context) == 1 &&
	    EVP_PKEY_CTX_set_rsa_keygen_bits(context, RSA_BYTES * 8) == 1 &&
	    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent) == 1)
		EVP_PKEY_generate(context, &pkey);
	BN_free(exponent);
	EVP_PKEY_CTX_free(context);
	return pkey;
}

static EVP_PKEY *pkey_read(const char *path)
{
	FILE *file = fopen(path, "re");
	EVP_PKEY *pkey;

	if (!file)
		return NULL;
	pkey = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	return pkey;
}

int load_key_new(const char *path, struct load_key **key)
{
	*key = malloc(sizeof(**key));
	if (!*key)
		return -ENOMEM;
	(*key)->pkey = path ? pkey_read(path) : pkey_new();
	if (!(*key)->pkey || EVP_PKEY_get_size((*key)->pkey) != RSA_BYTES) {
		load_key_free(*key);
		return path ? -EBADMSG : -EIO;
	}
	return 0;
}

void load_key_free(struct load_key *key)
{
	EVP_PKEY_free(key->pkey);
	free(key);
}

static bool digest_sign(EVP_PKEY *pkey, const unsigned char digest[32],
			unsigned char signature[RSA_BYTES])
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	size_t size = RSA_BYTES;
	bool is_done = context && EVP_PKEY_sign_init(context) == 1 &&
		       EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
		       EVP_PKEY_sign(context, signature, &size, digest, 32) == 1;

	EVP_PKEY_CTX_free(context);
	return is_done && size == RSA_BYTES;
}

/* MODULUS, SIGNATURE, Q1 = S^2 / N and Q2 = S (S^2 mod N) / N. */
static bool numbers_write(const BIGNUM *n, const BIGNUM *s, BN_CTX *context,
			  unsigned char *sigstruct)
{
	BIGNUM *product = BN_CTX_get(context);
	BIGNUM *rest = BN_CTX_get(context);
	BIGNUM *q1 = BN_CTX_get(context);
	BIGNUM *q2 = BN_CTX_get(context);

	return q2 && BN_sqr(product, s, context) && BN_div(q1, rest, product, n, context) &&
	       BN_mul(product, rest, s, context) && BN_div(q2, NULL, product, n, context) &&
	       BN_bn2lebinpad(n, sigstruct + 128, RSA_BYTES) == RSA_BYTES &&
	       BN_bn2lebinpad(s, sigstruct + 516, RSA_BYTES) == RSA_BYTES &&
	       BN_bn2lebinpad(q1, sigstruct + 1040, RSA_BYTES) == RSA_BYTES &&
	       BN_bn2lebinpad(q2, sigstruct + 1424, RSA_BYTES) == RSA_BYTES;
}

static void fields_write(const unsigned char mrenclave[32], unsigned char *sigstruct)
{
	static const unsigned char header[16] = { 6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1 };
	static const unsigned char header2[16] = { 1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1 };

	memset(sigstruct, 0, LOAD_SIGSTRUCT_BYTES);
	memcpy(sigstruct, header, sizeof(header));
	memcpy(sigstruct + 24, header2, sizeof(header2));
	sigstruct[512] = 3;			/* EXPONENT */
	sigstruct[928] = 4;			/* ATTRIBUTES: MODE64BIT */
	sigstruct[936] = 3;			/* XFRM */
	sigstruct[944] = 4;			/* its mask */
	sigstruct[952] = 3;			/* that of XFRM */
	memcpy(sigstruct + 960, mrenclave, 32); /* ENCLAVEHASH */
}

int load_key_sign(struct load_key *key, const unsigned char mrenclave[32],
		  unsigned char sigstruct[LOAD_SIGSTRUCT_BYTES])
{
	unsigned char covered[2 * NR_SIGNED_HEAD], digest[32], signature[RSA_BYTES];
	BN_CTX *context = BN_CTX_new();
	BIGNUM *n = NULL, *s = NULL;
	bool is_done = false;

	fields_write(mrenclave, sigstruct);
	memcpy(covered, sigstruct, NR_SIGNED_HEAD);
	memcpy(covered + NR_SIGNED_HEAD, sigstruct + SIGNED_TAIL, NR_SIGNED_HEAD);
	if (context &&
	    EVP_Digest(covered, sizeof(covered), digest, NULL, EVP_sha256(), NULL) == 1 &&
	    digest_sign(key->pkey, digest, signature) &&
	    EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1) {
		s = BN_bin2bn(signature, RSA_BYTES, NULL);
		BN_CTX_start(context);
		is_done = s && numbers_write(n, s, context, sigstruct);
		BN_CTX_end(context);
	}
	BN_free(s);
	BN_free(n);
	BN_CTX_free(context);
	return is_done ? 0 : -EIO;
}
