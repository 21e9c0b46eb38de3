/* SPDX-License-Identifier: MIT */
/*
 * The cryptography of EWB, ELDB and ELDU: AES-128-GCM over a page, with the MAC header as
 * additional data (SDM, EWB). What stands in the header does not belong here.
 *
 *   seal_init, seal_fini          a key
 *   seal_encrypt, seal_decrypt    a page under a version that no page ever had before
 *   seal_header                   the MAC of a page without contents
 *
 * The order of the bytes of IV and header is hidden in hardware; this one is the model's.
 */
#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "sgx/internal.h"

#define HEADER_SIZE 128
#define MAC_SIZE 16
#define IV_SIZE 12

static EVP_CIPHER_CTX *context_new(const EVP_CIPHER *cipher, const uint8_t key[16], int encrypts)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	if (context && EVP_CipherInit_ex2(context, cipher, key, NULL, encrypts, NULL) == 1)
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

int seal_init(struct seal *seal, const uint8_t key[16])
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);

	memset(seal, 0, sizeof(*seal));
	if (cipher) {
		seal->encrypt = context_new(cipher, key, 1);
		seal->decrypt = context_new(cipher, key, 0);
	}
	EVP_CIPHER_free(cipher);
	if (seal->encrypt && seal->decrypt)
		return 0;
	seal_fini(seal);
	return -1;
}

void seal_fini(struct seal *seal)
{
	EVP_CIPHER_CTX_free(seal->encrypt);
	EVP_CIPHER_CTX_free(seal->decrypt);
	memset(seal, 0, sizeof(*seal));
}

/* With lengths that are right libcrypto has no reason to refuse, and needs no memory. */
static void begin(EVP_CIPHER_CTX *context, uint64_t version, const uint8_t header[128])
{
	uint8_t iv[IV_SIZE] = { 0 };
	int size, is_ok;

	memcpy(iv + sizeof(iv) - sizeof(version), &version, sizeof(version));
	is_ok = EVP_CipherInit_ex2(context, NULL, NULL, iv, -1, NULL) == 1 &&
		EVP_CipherUpdate(context, NULL, &size, header, HEADER_SIZE) == 1;
	assert(is_ok);
}

static void contents(EVP_CIPHER_CTX *context, const void *in, void *out)
{
	int size, is_ok;

	is_ok = EVP_CipherUpdate(context, out, &size, in, SGX_PAGE_SIZE) == 1;
	assert(is_ok && size == (int)SGX_PAGE_SIZE);
}

static void end(EVP_CIPHER_CTX *context, uint8_t mac[16])
{
	uint8_t nothing[MAC_SIZE];
	int size, is_ok;

	is_ok = EVP_CipherFinal_ex(context, nothing, &size) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, MAC_SIZE, mac) == 1;
	assert(is_ok);
}

void seal_encrypt(struct seal *seal, uint64_t version, const uint8_t header[128], const void *page,
		  void *out, uint8_t mac[16])
{
	begin(seal->encrypt, version, header);
	contents(seal->encrypt, page, out);
	end(seal->encrypt, mac);
}

bool seal_decrypt(struct seal *seal, uint64_t version, const uint8_t header[128], const void *page,
		  const uint8_t mac[16], void *out)
{
	uint8_t expected[MAC_SIZE], nothing[MAC_SIZE];
	int size, is_ok;

	memcpy(expected, mac, sizeof(expected));
	begin(seal->decrypt, version, header);
	contents(seal->decrypt, page, out);
	is_ok = EVP_CIPHER_CTX_ctrl(seal->decrypt, EVP_CTRL_AEAD_SET_TAG, MAC_SIZE, expected);
	assert(is_ok == 1);
	return EVP_CipherFinal_ex(seal->decrypt, nothing, &size) == 1;
}

static uint64_t rotate(uint64_t word, unsigned int by)
{
	return word << by | word >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

static uint64_t sip_finish(uint64_t v[4])
{
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/*
 * SipHash-1-3 with 128 bits (Aumasson and Bernstein), here with a key that everybody knows: an EPC
 * without contents has nothing to hide, and a simulator must afford billions of these. GCM would
 * take 150 ns for it, all of libcrypto's MACs more.
 */
void seal_header(struct seal *seal, uint64_t version, const uint8_t header[128], uint8_t mac[16])
{
	/* The constants of SipHash, key 0, with the mark of 128 bits. */
	uint64_t v[4] = { 0x736f6d6570736575, 0x646f72616e646f6d ^ 0xee, 0x6c7967656e657261,
			  0x7465646279746573 };
	uint64_t word, tag[2];

	(void)seal;
	for (size_t i = 0; i < HEADER_SIZE; i += sizeof(word)) {
		memcpy(&word, header + i, sizeof(word));
		sip_absorb(v, word);
	}
	sip_absorb(v, version);
	/* The length in bytes, modulo 256, as the last word's top byte. */
	sip_absorb(v, (uint64_t)(HEADER_SIZE + sizeof(version)) << 56);
	v[2] ^= 0xee;
	tag[0] = sip_finish(v);
	v[1] ^= 0xdd;
	tag[1] = sip_finish(v);
	memcpy(mac, tag, sizeof(tag));
}
