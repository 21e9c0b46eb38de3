/* SPDX-License-Identifier: MIT */
/*
 * src/sgx: MRENCLAVE, SIGSTRUCT and the sealing of pages, by vectors, by comparing with a plain use
 * of libcrypto, and by changing every bit once. Keys are in test_sgx_keys.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgx/internal.h"
#include "sgx/sigstruct.h"
#include "sgx_key.h"
#include "sign/sign.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define RSA_SIZE 384
#define NR_SIGNATURES 400u /* so many at most, until one has what a test needs */
#define NR_STREAMS 50u
#define STREAM_MAX (64u * 1024u)

static void assert_hex(const uint8_t *bytes, size_t size, const char *hex)
{
	char text[2 * 32 + 1];

	assert_true(size <= 32);
	for (size_t i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
}

static void assert_mrenclave(const struct secs_page *secs, const char *hex)
{
	uint8_t mrenclave[32];

	measure_end(secs, mrenclave);
	assert_hex(mrenclave, sizeof(mrenclave), hex);
}

static void extend_page(struct secs_page *secs, uint64_t offset, const uint8_t *page)
{
	for (uint32_t i = 0; i < SGX_PAGE_SIZE; i += SGX_CHUNK_SIZE)
		measure_eextend(secs, offset + i, page + i);
}

static struct secs_page secs_small(void)
{
	struct secs_page secs = { .visible = { .size = 0x2000, .ssa_frame_pages = 1 } };

	return secs;
}

/* Two pages, looked at after each step; the SECS moves in between, as EWB and ELDU would do it. */
static void measure_vectors(void **state)
{
	struct sgx_secinfo tcs_secinfo = { .flags = 0x100 }, reg_secinfo = { .flags = 0x207 };
	struct sgx_tcs tcs = { .ossa = 0x1000,
			       .nssa = 1,
			       .oentry = 0x1000,
			       .fslimit = 0xffffffff,
			       .gslimit = 0xffffffff };
	struct secs_page secs = secs_small(), moved;
	uint8_t page[SGX_PAGE_SIZE] = { 0 };

	(void)state;
	measure_begin(&secs);
	assert_int_equal(secs.nr_measured_blocks, 1);
	assert_mrenclave(&secs, "9e197c8837c6d65632dbdd59cd7df4f1a25b68d8e4e5eb6ca3b20b05311fecb8");
	measure_eadd(&secs, 0, &tcs_secinfo);
	assert_mrenclave(&secs, "2deccee4c1a959e5c652e36a3b2ceffbacd65cc2e9f2328590177a149711dc89");
	memcpy(page, &tcs, sizeof(tcs));
	extend_page(&secs, 0, page);
	assert_int_equal(secs.nr_measured_blocks, 82);
	assert_mrenclave(&secs, "c72a241a7f88c0a54b978eb02fff560c881fc833a83293c1c0dc9e470fff991f");
	memcpy(&moved, &secs, sizeof(moved));
	memset(&secs, 0xff, sizeof(secs));
	measure_eadd(&moved, 0x1000, &reg_secinfo);
	for (uint32_t i = 0; i < SGX_PAGE_SIZE; i++)
		page[i] = (uint8_t)i;
	extend_page(&moved, 0x1000, page);
	assert_int_equal(moved.nr_measured_blocks, 163);
	assert_mrenclave(&moved, "2eb76429ff25ff018285399291f6f7e355c7e97c778fee1b7f4ce36e660f672"
				 "a");
}

/* The blocks of the SDM written out once more, one after the other, to be hashed in one go. */
struct stream {
	uint8_t bytes[STREAM_MAX];
	size_t size;
};

static void stream_block(struct stream *stream, const char tag[8], const void *bytes, size_t size)
{
	memset(stream->bytes + stream->size, 0, 64);
	memcpy(stream->bytes + stream->size, tag, 8);
	memcpy(stream->bytes + stream->size + 8, bytes, size);
	stream->size += 64;
}

static void random_fill(void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(rand() >> 7);
}

static void random_leaf(struct secs_page *secs, struct stream *stream)
{
	uint64_t offset = (uint64_t)rand() << 8;
	uint8_t chunk[SGX_CHUNK_SIZE];
	struct sgx_secinfo secinfo;
	struct {
		uint64_t offset;
		uint8_t secinfo[48];
	} added = { .offset = offset };

	if (rand() % 4 == 0) {
		random_fill(&secinfo, sizeof(secinfo));
		memcpy(added.secinfo, &secinfo, sizeof(added.secinfo));
		measure_eadd(secs, offset, &secinfo);
		stream_block(stream, "EADD\0\0\0\0", &added, sizeof(added));
		return;
	}
	random_fill(chunk, sizeof(chunk));
	measure_eextend(secs, offset, chunk);
	stream_block(stream, "EEXTEND", &offset, sizeof(offset));
	memcpy(stream->bytes + stream->size, chunk, sizeof(chunk));
	stream->size += sizeof(chunk);
}

/* Any number of leaves in any order against one SHA-256 over all that they absorb. */
static void measure_is_plain_sha256(void **state)
{
	static struct stream stream;
	uint8_t expected[32], mrenclave[32];

	(void)state;
	srand(1);
	for (unsigned int i = 0; i < NR_STREAMS; i++) {
		struct secs_page secs;
		uint8_t created[12];

		random_fill(&secs, sizeof(secs));
		memcpy(created, &secs.visible.ssa_frame_pages, 4);
		memcpy(created + 4, &secs.visible.size, 8);
		stream.size = 0;
		measure_begin(&secs);
		stream_block(&stream, "ECREATE", created, sizeof(created));
		for (int nr_left = rand() % 200; nr_left > 0; nr_left--)
			random_leaf(&secs, &stream);
		measure_end(&secs, mrenclave);
		assert_int_equal(secs.nr_measured_blocks, stream.size / 64);
		assert_int_equal(EVP_Digest(stream.bytes, stream.size, expected, NULL, EVP_sha256(),
					    NULL),
				 1);
		assert_memory_equal(mrenclave, expected, sizeof(expected));
	}
}

/* More than 2^32 bits: the length in the padding has its upper half too. */
static void measure_counts_beyond_32_bits(void **state)
{
	struct secs_page secs = secs_small();
	uint8_t few[32], many[32];

	(void)state;
	measure_begin(&secs);
	measure_end(&secs, few);
	secs.nr_measured_blocks += UINT64_C(1) << 23; /* blocks of 2^9 bits */
	measure_end(&secs, many);
	assert_memory_not_equal(few, many, sizeof(few));
}

static EVP_PKEY *test_key;

static int key_setup(void **state)
{
	BIO *pem = BIO_new_mem_buf(sgx_key_pem, -1);

	(void)state;
	test_key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
	BIO_free(pem);
	return test_key ? 0 : -1;
}

static int key_teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(test_key);
	return 0;
}

static void sigstruct_make(struct sgx_sigstruct *sigstruct, uint32_t swdefined)
{
	sign_defaults(sigstruct);
	sigstruct->date = 0x20240229;
	sigstruct->swdefined = swdefined;
	memset(sigstruct->enclave_hash, 0xa5, sizeof(sigstruct->enclave_hash));
	assert_int_equal(sign_sigstruct(sigstruct, test_key), 0);
}

static void sigstruct_good(void **state)
{
	static const uint8_t header[16] = "\x06\0\0\0\xe1\0\0\0\0\0\x01\0\0\0\0";
	static const uint8_t header2[16] = "\x01\x01\0\0\x60\0\0\0\x60\0\0\0\x01\0\0";
	static const uint8_t info[20] = "\0\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02"
					"\x01\x05\0\x04\x20";
	struct sgx_sigstruct sigstruct;
	uint8_t padding[SGX_PADDING_SIZE] = { 0 }, expected[SGX_PADDING_SIZE];

	(void)state;
	sigstruct_make(&sigstruct, 0);
	assert_memory_equal((uint8_t *)&sigstruct, header, sizeof(header));
	assert_memory_equal((uint8_t *)&sigstruct + 24, header2, sizeof(header2));
	assert_true(sigstruct_is_well_formed(&sigstruct));
	assert_true(sigstruct_is_signed(&sigstruct, padding));
	memset(expected, 0xff, sizeof(expected));
	memcpy(expected, "\0\x01", 2);
	memcpy(expected + SGX_PADDING_SIZE - sizeof(info), info, sizeof(info));
	assert_memory_equal(padding, expected, sizeof(padding));
	sigstruct.vendor = 0x8086;
	assert_true(sigstruct_is_well_formed(&sigstruct));
}

struct span {
	size_t start, size;
};

static bool is_within(const struct span *spans, size_t nr_spans, size_t offset)
{
	for (size_t i = 0; i < nr_spans; i++)
		if (offset >= spans[i].start && offset - spans[i].start < spans[i].size)
			return true;
	return false;
}

/* Every single bit: which ones make it malformed, and which ones a signature of something else. */
static void sigstruct_bit_flips(void **state)
{
	static const struct span fixed[] = { { 0, 20 },	 { 24, 16 },  { 44, 84 },  { 512, 4 },
					     { 910, 2 }, { 992, 16 }, { 1028, 12 } };
	static const struct span unsigned_parts[] = { { 512, 4 }, { 1028, 12 } };
	struct sgx_sigstruct sigstruct;
	uint8_t *bytes = (uint8_t *)&sigstruct;
	uint8_t padding[SGX_PADDING_SIZE];

	(void)state;
	sigstruct_make(&sigstruct, 0);
	for (size_t bit = 0; bit < 8 * sizeof(sigstruct); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(sigstruct_is_well_formed(&sigstruct),
				 !is_within(fixed, NR(fixed), bit / 8));
		assert_int_equal(sigstruct_is_signed(&sigstruct, padding),
				 is_within(unsigned_parts, NR(unsigned_parts), bit / 8));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(sigstruct_is_signed(&sigstruct, padding));
}

/* The numbers of a SIGSTRUCT, to be changed and written back. */
struct numbers {
	BIGNUM *n, *s, *q1, *q2, *t;
};

static void numbers_take(struct numbers *numbers, const struct sgx_sigstruct *sigstruct)
{
	BN_CTX *context = BN_CTX_new();

	numbers->n = BN_lebin2bn(sigstruct->modulus, RSA_SIZE, NULL);
	numbers->s = BN_lebin2bn(sigstruct->signature, RSA_SIZE, NULL);
	numbers->q1 = BN_lebin2bn(sigstruct->q1, RSA_SIZE, NULL);
	numbers->q2 = BN_lebin2bn(sigstruct->q2, RSA_SIZE, NULL);
	numbers->t = BN_new();
	assert_int_equal(BN_mod_sqr(numbers->t, numbers->s, numbers->n, context), 1);
	BN_CTX_free(context);
}

static void numbers_free(struct numbers *numbers)
{
	BN_free(numbers->n);
	BN_free(numbers->s);
	BN_free(numbers->q1);
	BN_free(numbers->q2);
	BN_free(numbers->t);
}

/* Puts the numbers into a copy; false: one of them does not fit. *is_signed: what comes of it. */
static bool numbers_try(const struct numbers *numbers, const struct sgx_sigstruct *sigstruct,
			bool *is_signed)
{
	struct sgx_sigstruct copy = *sigstruct;
	uint8_t padding[SGX_PADDING_SIZE];

	if (BN_is_negative(numbers->q1) || BN_is_negative(numbers->q2) ||
	    BN_bn2lebinpad(numbers->s, copy.signature, RSA_SIZE) != RSA_SIZE ||
	    BN_bn2lebinpad(numbers->q1, copy.q1, RSA_SIZE) != RSA_SIZE ||
	    BN_bn2lebinpad(numbers->q2, copy.q2, RSA_SIZE) != RSA_SIZE)
		return false;
	*is_signed = sigstruct_is_signed(&copy, padding);
	return true;
}

/* A good signature, and a quotient that is one too large, one too small, 0, or the other one. */
static void sigstruct_wrong_quotients(void **state)
{
	struct sgx_sigstruct sigstruct, wrong;
	uint8_t padding[SGX_PADDING_SIZE];

	(void)state;
	sigstruct_make(&sigstruct, 0);
	for (int which = 0; which < 2; which++) {
		for (int step = -1; step <= 1; step += 2) {
			struct numbers numbers;
			bool is_signed = true;
			BIGNUM *q;

			numbers_take(&numbers, &sigstruct);
			q = which ? numbers.q2 : numbers.q1;
			assert_int_equal(step > 0 ? BN_add_word(q, 1) : BN_sub_word(q, 1), 1);
			assert_true(numbers_try(&numbers, &sigstruct, &is_signed));
			assert_false(is_signed);
			numbers_free(&numbers);
		}
		wrong = sigstruct;
		memset(which ? wrong.q2 : wrong.q1, 0, RSA_SIZE);
		assert_false(sigstruct_is_signed(&wrong, padding));
	}
	wrong = sigstruct;
	memcpy(wrong.q1, sigstruct.q2, RSA_SIZE);
	memcpy(wrong.q2, sigstruct.q1, RSA_SIZE);
	assert_false(sigstruct_is_signed(&wrong, padding));
}

/* Q1 one too small makes t larger by N, and Q2 larger by S makes EM right all the same. */
static void trick_small_q1(struct numbers *numbers)
{
	BN_sub_word(numbers->q1, 1);
	BN_add(numbers->q2, numbers->q2, numbers->s);
}

/* S + N is a cube root of EM as good as S: Q1 + 2 S + N and Q2 + t give the same t and EM. */
static void trick_large_s(struct numbers *numbers)
{
	BN_add(numbers->q1, numbers->q1, numbers->s);
	BN_add(numbers->q1, numbers->q1, numbers->s);
	BN_add(numbers->q1, numbers->q1, numbers->n);
	BN_add(numbers->q2, numbers->q2, numbers->t);
	BN_add(numbers->s, numbers->s, numbers->n);
}

/*
 * Numbers that come to the right EM, but by a t or from an S that is not below N: each must be
 * refused. (A t below 0 would need a Q2 below 0.)
 */
static void sigstruct_out_of_range(void **state)
{
	static void (*const tricks[])(struct numbers *) = { trick_small_q1, trick_large_s };

	(void)state;
	for (size_t i = 0; i < NR(tricks); i++) {
		bool is_signed = true, has_fit = false;

		for (uint32_t j = 0; j < NR_SIGNATURES && !has_fit; j++) {
			struct sgx_sigstruct sigstruct;
			struct numbers numbers;

			sigstruct_make(&sigstruct, j);
			numbers_take(&numbers, &sigstruct);
			tricks[i](&numbers);
			has_fit = numbers_try(&numbers, &sigstruct, &is_signed);
			numbers_free(&numbers);
		}
		assert_true(has_fit);
		assert_false(is_signed);
	}
}

static void sigstruct_of_nonsense(void **state)
{
	uint8_t padding[SGX_PADDING_SIZE] = { 0 };
	struct sgx_sigstruct sigstruct;

	(void)state;
	memset(&sigstruct, 0, sizeof(sigstruct));
	assert_false(sigstruct_is_signed(&sigstruct, padding));
	memset(&sigstruct, 0xff, sizeof(sigstruct));
	assert_false(sigstruct_is_signed(&sigstruct, padding));
	assert_int_equal(padding[1], 0);
}

static void sigstruct_signer_vector(void **state)
{
	struct sgx_sigstruct sigstruct;
	uint8_t mrsigner[32];

	(void)state;
	memset(&sigstruct, 0, sizeof(sigstruct));
	memset(sigstruct.modulus, 0x5a, sizeof(sigstruct.modulus));
	sigstruct_signer(&sigstruct, mrsigner);
	assert_hex(mrsigner, 32,
		   "9dd3657b6f964138d557ee18bb2095a19ff5b0a3a777287ead663273bbc6aa34");
}

static void sign_new_key(void **state)
{
	EVP_PKEY *key = sign_key_new();
	uint8_t padding[SGX_PADDING_SIZE];
	struct sgx_sigstruct sigstruct;

	(void)state;
	assert_non_null(key);
	assert_true(sign_key_is_right(key));
	sign_defaults(&sigstruct);
	assert_int_equal(sign_sigstruct(&sigstruct, key), 0);
	assert_true(sigstruct_is_signed(&sigstruct, padding));
	EVP_PKEY_free(key);
}

/* A key of another kind, and a public key alone. */
static void sign_refuses_keys(void **state)
{
	EVP_PKEY *usual = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	EVP_PKEY *curve = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	struct sgx_sigstruct sigstruct, before;
	unsigned char *der = NULL;
	const unsigned char *next;
	EVP_PKEY *public_key;
	int size;

	(void)state;
	size = i2d_PUBKEY(test_key, &der);
	next = der;
	public_key = d2i_PUBKEY(NULL, &next, size);
	assert_true(usual && curve && public_key);
	sign_defaults(&sigstruct);
	before = sigstruct;
	assert_int_equal(sign_sigstruct(&sigstruct, usual), -EINVAL);
	assert_int_equal(sign_sigstruct(&sigstruct, curve), -EINVAL);
	assert_int_equal(sign_sigstruct(&sigstruct, public_key), -EACCES);
	assert_memory_equal(&sigstruct, &before, sizeof(before));
	OPENSSL_free(der);
	EVP_PKEY_free(public_key);
	EVP_PKEY_free(usual);
	EVP_PKEY_free(curve);
}

struct sealing {
	struct seal seal;
	uint8_t header[128];
	uint8_t page[SGX_PAGE_SIZE], sealed[SGX_PAGE_SIZE], out[SGX_PAGE_SIZE];
	uint8_t mac[16];
};

static void sealing_begin(struct sealing *s)
{
	static const uint64_t fields[] = { 0x11, 0x7f0000001000, 0x203 };
	uint8_t key[16];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	assert_int_equal(seal_init(&s->seal, key), 0);
	memset(s->header, 0, sizeof(s->header));
	memcpy(s->header, fields, sizeof(fields));
	for (unsigned int i = 0; i < SGX_PAGE_SIZE; i++)
		s->page[i] = (uint8_t)(7 * i + 3);
}

static void seal_vectors(void **state)
{
	struct sealing s;

	(void)state;
	sealing_begin(&s);
	seal_encrypt(&s.seal, 1, s.header, s.page, s.sealed, s.mac);
	assert_hex(s.mac, 16, "6308e662c059993ee01b16f720ad1d75");
	assert_hex(s.sealed, 16, "771a1f445d963450f8314e091f889217");
	assert_true(seal_decrypt(&s.seal, 1, s.header, s.sealed, s.mac, s.out));
	assert_memory_equal(s.out, s.page, SGX_PAGE_SIZE);
	seal_encrypt(&s.seal, 0x0123456789abcdef, s.header, s.page, s.sealed, s.mac);
	assert_hex(s.mac, 16, "26a12579896126d0514134830c24b2b9");
	assert_true(seal_decrypt(&s.seal, 0x0123456789abcdef, s.header, s.sealed, s.mac, s.sealed));
	assert_memory_equal(s.sealed, s.page, SGX_PAGE_SIZE);
	seal_fini(&s.seal);
}

/* Flips every bit of what is given, one at a time: never does the page open. */
static void flip_all(struct sealing *s, void *bytes, size_t size, uint64_t *version)
{
	uint8_t *byte = bytes;

	for (size_t bit = 0; bit < 8 * size; bit++) {
		byte[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(
			seal_decrypt(&s->seal, *version, s->header, s->sealed, s->mac, s->out));
		byte[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(seal_decrypt(&s->seal, *version, s->header, s->sealed, s->mac, s->out));
	assert_memory_equal(s->out, s->page, SGX_PAGE_SIZE);
}

static void seal_bit_flips(void **state)
{
	uint64_t version = 77;
	struct sealing s;

	(void)state;
	sealing_begin(&s);
	seal_encrypt(&s.seal, version, s.header, s.page, s.sealed, s.mac);
	flip_all(&s, s.sealed, sizeof(s.sealed), &version);
	flip_all(&s, s.header, sizeof(s.header), &version);
	flip_all(&s, s.mac, sizeof(s.mac), &version);
	flip_all(&s, &version, sizeof(version), &version);
	seal_fini(&s.seal);
}

/* Another key opens nothing. */
static void seal_needs_its_key(void **state)
{
	uint8_t other_key[16] = { 1 };
	struct seal other;
	struct sealing s;

	(void)state;
	sealing_begin(&s);
	assert_int_equal(seal_init(&other, other_key), 0);
	seal_encrypt(&s.seal, 5, s.header, s.page, s.sealed, s.mac);
	assert_false(seal_decrypt(&other, 5, s.header, s.sealed, s.mac, s.out));
	seal_fini(&other);
	seal_fini(&s.seal);
}

/* The MAC of metadata: the same for the same, another one for each bit of header and version. */
static void seal_header_bits(void **state)
{
	uint64_t version = 1;
	struct sealing s;
	uint8_t mac[16];

	(void)state;
	sealing_begin(&s);
	seal_header(&s.seal, version, s.header, s.mac);
	for (size_t bit = 0; bit < 8 * (sizeof(s.header) + sizeof(version)); bit++) {
		uint8_t *byte = bit / 8 < sizeof(s.header) ?
					s.header + bit / 8 :
					(uint8_t *)&version + bit / 8 - sizeof(s.header);

		*byte ^= (uint8_t)(1 << bit % 8);
		seal_header(&s.seal, version, s.header, mac);
		assert_memory_not_equal(mac, s.mac, sizeof(mac));
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	seal_header(&s.seal, version, s.header, mac);
	assert_memory_equal(mac, s.mac, sizeof(mac));
	seal_fini(&s.seal);
}

static void seal_header_is_siphash(void **state)
{
	unsigned int nr_rounds = 1, nr_last_rounds = 3;
	size_t mac_size = 16, size = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &mac_size),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &nr_rounds),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &nr_last_rounds),
		OSSL_PARAM_construct_end(),
	};
	uint8_t message[128 + 8], key[16] = { 0 }, expected[16], mac[16];
	struct seal seal = { .encrypt = NULL };
	uint64_t version;

	(void)state;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(3 * i + 1);
	memcpy(&version, message + 128, sizeof(version));
	assert_non_null(EVP_Q_mac(NULL, "SIPHASH", NULL, NULL, params, key, sizeof(key), message,
				  sizeof(message), expected, sizeof(expected), &size));
	assert_int_equal(size, sizeof(mac));
	seal_header(&seal, version, message, mac);
	assert_memory_equal(mac, expected, sizeof(mac));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(measure_vectors),
		cmocka_unit_test(measure_is_plain_sha256),
		cmocka_unit_test(measure_counts_beyond_32_bits),
		cmocka_unit_test(sigstruct_good),
		cmocka_unit_test(sigstruct_bit_flips),
		cmocka_unit_test(sigstruct_wrong_quotients),
		cmocka_unit_test(sigstruct_out_of_range),
		cmocka_unit_test(sigstruct_of_nonsense),
		cmocka_unit_test(sigstruct_signer_vector),
		cmocka_unit_test(sign_new_key),
		cmocka_unit_test(sign_refuses_keys),
		cmocka_unit_test(seal_vectors),
		cmocka_unit_test(seal_bit_flips),
		cmocka_unit_test(seal_needs_its_key),
		cmocka_unit_test(seal_header_bits),
		cmocka_unit_test(seal_header_is_siphash),
	};

	return cmocka_run_group_tests(tests, key_setup, key_teardown);
}
