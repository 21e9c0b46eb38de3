/* SPDX-License-Identifier: MIT */
/*
 * Measures the leaves of the processor (src/sgx) against what they cannot do without: EWB and ELDU
 * against AES-128-GCM, EADD with its EEXTENDs against SHA-256, all of libcrypto; and leaves of
 * metadata only. Prints one line of JSON: slices of pages in which product and floor take turns, in
 * processor time, or nanoseconds of each leaf.
 *
 * usage: measure_sgx ewb | eldu | eadd-eextend | leaves
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sgx/sgx.h"

#define NR_PAGES 256u /* of a slice */
#define NR_SLICES 60u
#define NR_ROUNDS 40u	     /* of leaves: the least counts */
#define NR_LEAF_PAGES 1024u  /* a leaf on each of them is one round */
#define NR_CHUNKS 16u	     /* of a page, for EEXTEND */
#define MEASURED_BYTES 5184u /* what SHA-256 sees of a page: 64 + 16 * (64 + 256) */
#define AAD_BYTES 128u
#define BASE (UINT64_C(1) << 46)
#define ELRANGE (UINT64_C(1) << 30)
/* Pages of the processor: SECS, VA, and those that come and go. */
#define SECS 0u
#define VA 1u
#define FIRST 2u
#define FLAGS_REG (SGX_SECINFO_R | SGX_SECINFO_W | (uint64_t)SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT)

struct blob {
	uint8_t bytes[SGX_PAGE_SIZE];
	_Alignas(128) struct sgx_pcmd pcmd;
};

struct measure {
	struct sgx *sgx;
	uint32_t nr_pages;
	void *bytes;
	struct blob *blobs; /* NR_PAGES */
	EVP_CIPHER_CTX *encrypt, *decrypt;
	EVP_MD_CTX *digest;
	uint8_t tags[NR_PAGES][16]; /* of the floor's own ciphertext */
};

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

_Noreturn static void broken(const char *what)
{
	fprintf(stderr, "measure_sgx: %s\n", what);
	exit(1);
}

static void must(bool holds, const char *what)
{
	if (!holds)
		broken(what);
}

static void *memory_alloc(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

static void memory_free(void *context, void *memory, size_t size)
{
	(void)context;
	(void)size;
	free(memory);
}

static struct sgx_epc epc(uint32_t page)
{
	return (struct sgx_epc){ BASE + (uint64_t)page * SGX_PAGE_SIZE, page };
}

static struct sgx_epc slot(uint32_t number)
{
	return (struct sgx_epc){ BASE + VA * SGX_PAGE_SIZE + number * 8u, VA };
}

static void ecreate(struct measure *m)
{
	static uint8_t source[SGX_PAGE_SIZE];
	struct sgx_secinfo secinfo = { .flags = (uint64_t)SGX_PT_SECS << SGX_SECINFO_TYPE_SHIFT };
	struct sgx_secs secs = {
		.size = ELRANGE,
		.base = BASE,
		.ssa_frame_pages = 1,
		.attributes = { SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG, SGX_XFRM_LEGACY },
	};
	struct sgx_pageinfo info = {
		.address = 0x1000,
		.srcpge = { 0x2000, source },
		.secinfo = { 0x3000, &secinfo },
		.secs = { 0, SGX_PAGE_OUTSIDE },
	};

	memcpy(source, &secs, sizeof(secs));
	must(sgx_ecreate(m->sgx, &info, epc(SECS)) == 0, "ECREATE");
	must(sgx_epa(m->sgx, SGX_PT_VA, epc(VA)) == 0, "EPA");
}

static void measure_init(struct measure *m, uint32_t nr_pages, bool is_metadata_only)
{
	struct sgx_section section;
	struct sgx_config config = {
		.sections = &section,
		.nr_sections = 1,
		.is_metadata_only = is_metadata_only,
		.alloc_fn = memory_alloc,
		.free_fn = memory_free,
	};
	static const uint8_t key[16] = { 1 };

	memset(m, 0, sizeof(*m));
	m->nr_pages = nr_pages;
	m->bytes = mmap(NULL, (size_t)nr_pages * SGX_PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m->blobs = aligned_alloc(SGX_PAGE_SIZE, NR_PAGES * sizeof(*m->blobs));
	must(m->bytes != MAP_FAILED && m->blobs, "no memory");
	memset(m->blobs, 0x5a, NR_PAGES * sizeof(*m->blobs));
	section = (struct sgx_section){ nr_pages, m->bytes };
	sgx_cpu_default(&config.cpu);
	must(sgx_new(&config, &m->sgx) == 0, "no processor");
	m->encrypt = EVP_CIPHER_CTX_new();
	m->decrypt = EVP_CIPHER_CTX_new();
	m->digest = EVP_MD_CTX_new();
	must(EVP_CipherInit_ex(m->encrypt, EVP_aes_128_gcm(), NULL, key, NULL, 1) == 1 &&
		     EVP_CipherInit_ex(m->decrypt, EVP_aes_128_gcm(), NULL, key, NULL, 0) == 1 &&
		     EVP_DigestInit_ex(m->digest, EVP_sha256(), NULL) == 1,
	     "libcrypto");
	ecreate(m);
}

static void measure_fini(struct measure *m)
{
	sgx_free(m->sgx);
	EVP_CIPHER_CTX_free(m->encrypt);
	EVP_CIPHER_CTX_free(m->decrypt);
	EVP_MD_CTX_free(m->digest);
	free(m->blobs);
	munmap(m->bytes, (size_t)m->nr_pages * SGX_PAGE_SIZE);
}

static void eadd(struct measure *m, uint32_t page, void *source)
{
	struct sgx_secinfo secinfo = { .flags = FLAGS_REG };
	struct sgx_pageinfo info = {
		.address = 0x1000,
		.linaddr = epc(page).address,
		.srcpge = { 0x2000, source },
		.secinfo = { 0x3000, &secinfo },
		.secs = epc(SECS),
	};

	must(sgx_eadd(m->sgx, &info, epc(page)) == 0, "EADD");
}

static struct sgx_pageinfo blob_info(struct blob *blob)
{
	return (struct sgx_pageinfo){
		.address = 0x1000,
		.srcpge = { 0x2000, blob->bytes },
		.secinfo = { 0x3000, &blob->pcmd },
		.secs = { 0, SGX_PAGE_OUTSIDE },
	};
}

/* ---- EWB, ELDU ---- */

static void pages_block(struct measure *m)
{
	for (uint32_t i = 0; i < NR_PAGES; i++)
		must(sgx_eblock(m->sgx, epc(FIRST + i)) == 0, "EBLOCK");
	must(sgx_etrack(m->sgx, epc(SECS)) == 0, "ETRACK");
}

static uint64_t pages_evict(struct measure *m)
{
	uint64_t began_ns;

	pages_block(m);
	began_ns = cpu_ns();
	for (uint32_t i = 0; i < NR_PAGES; i++) {
		struct sgx_pageinfo info = blob_info(&m->blobs[i]);

		must(sgx_ewb(m->sgx, &info, epc(FIRST + i), slot(i)) == 0, "EWB");
	}
	return cpu_ns() - began_ns;
}

static uint64_t pages_load(struct measure *m)
{
	uint64_t began_ns = cpu_ns();

	for (uint32_t i = 0; i < NR_PAGES; i++) {
		struct sgx_pageinfo info = blob_info(&m->blobs[i]);

		info.linaddr = epc(FIRST + i).address;
		info.secs = epc(SECS);
		must(sgx_eldu(m->sgx, &info, epc(FIRST + i), slot(i)) == 0, "ELDU");
	}
	return cpu_ns() - began_ns;
}

/* One page by libcrypto, with a key schedule that is set up. */
static bool cipher(EVP_CIPHER_CTX *context, uint32_t number, const void *in, void *out,
		   uint8_t tag[16], bool encrypts)
{
	uint8_t iv[12] = { 0 }, aad[AAD_BYTES] = { 0 }, nothing[16];
	int size, is_ok;

	memcpy(iv, &number, sizeof(number));
	is_ok = EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
		EVP_CipherUpdate(context, NULL, &size, aad, AAD_BYTES) == 1 &&
		EVP_CipherUpdate(context, out, &size, in, SGX_PAGE_SIZE) == 1;
	if (!encrypts)
		is_ok = is_ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1;
	is_ok = is_ok && EVP_CipherFinal_ex(context, nothing, &size) == 1;
	if (encrypts)
		is_ok = is_ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1;
	return is_ok;
}

/* Between the same places as the leaf. */
static uint64_t pages_cipher(struct measure *m, bool encrypts)
{
	uint8_t *pages = (uint8_t *)m->bytes + FIRST * SGX_PAGE_SIZE;
	uint64_t began_ns = cpu_ns();

	for (uint32_t i = 0; i < NR_PAGES; i++) {
		uint8_t *page = pages + (size_t)i * SGX_PAGE_SIZE;
		uint8_t *bytes = m->blobs[i].bytes;

		must(encrypts ? cipher(m->encrypt, i, page, bytes, m->tags[i], true) :
				cipher(m->decrypt, i, bytes, page, m->tags[i], false),
		     "AES-GCM");
	}
	return cpu_ns() - began_ns;
}

static void slice_print(unsigned int number, uint64_t ns, uint64_t floor_ns)
{
	printf("%s[%" PRIu64 ", %" PRIu64 "]", number ? ", " : "{\"slices\": [", ns, floor_ns);
	if (number + 1 == NR_SLICES)
		printf("], \"slice_pages\": %u}\n", NR_PAGES);
}

/* A slice of each; the first of all warms up. The floor's pages are vacant ones of the EPC. */
static void run_paging(bool is_load)
{
	struct measure m;

	measure_init(&m, FIRST + NR_PAGES, false);
	for (uint32_t i = 0; i < NR_PAGES; i++)
		eadd(&m, FIRST + i, m.blobs[i].bytes);
	for (unsigned int i = 0; i <= NR_SLICES; i++) {
		uint64_t evict_ns = pages_evict(&m), load_ns = pages_load(&m);
		uint64_t encrypt_ns, decrypt_ns;

		pages_evict(&m); /* so that nobody's pages are overwritten */
		encrypt_ns = pages_cipher(&m, true);
		decrypt_ns = pages_cipher(&m, false);
		for (uint32_t page = 0; page < NR_PAGES; page++)
			eadd(&m, FIRST + page, m.blobs[page].bytes);
		must(sgx_eremove(m.sgx, epc(VA)) == 0 && sgx_epa(m.sgx, SGX_PT_VA, epc(VA)) == 0,
		     "the versions of pages that do not come back");
		if (i > 0)
			slice_print(i - 1, is_load ? load_ns : evict_ns,
				    is_load ? decrypt_ns : encrypt_ns);
	}
	measure_fini(&m);
}

static void run_ewb(void)
{
	run_paging(false);
}

static void run_eldu(void)
{
	run_paging(true);
}

/* ---- EADD, EEXTEND ---- */

static uint64_t pages_add(struct measure *m)
{
	uint64_t began_ns = cpu_ns();

	for (uint32_t i = 0; i < NR_PAGES; i++) {
		eadd(m, FIRST + i, m->blobs[i].bytes);
		for (uint32_t chunk = 0; chunk < NR_CHUNKS; chunk++) {
			struct sgx_epc place = epc(FIRST + i);

			place.address += chunk * SGX_CHUNK_SIZE;
			must(sgx_eextend(m->sgx, epc(SECS), place) == 0, "EEXTEND");
		}
	}
	return cpu_ns() - began_ns;
}

static uint64_t pages_digest(struct measure *m)
{
	uint64_t began_ns = cpu_ns();

	/* a page and what follows it: as many bytes as the leaves measure */
	for (uint32_t i = 0; i < NR_PAGES; i++)
		must(EVP_DigestUpdate(m->digest, m->blobs[i / 2].bytes, MEASURED_BYTES) == 1, "SHA-"
											      "25"
											      "6");
	return cpu_ns() - began_ns;
}

static void run_eadd_eextend(void)
{
	struct measure m;

	measure_init(&m, FIRST + NR_PAGES, false);
	for (unsigned int i = 0; i <= NR_SLICES; i++) {
		uint64_t ns = pages_add(&m), floor_ns = pages_digest(&m);

		for (uint32_t page = 0; page < NR_PAGES; page++)
			must(sgx_eremove(m.sgx, epc(FIRST + page)) == 0, "EREMOVE");
		if (i > 0)
			slice_print(i - 1, ns, floor_ns);
	}
	measure_fini(&m);
}

/* ---- leaves of metadata only ---- */

static void leaf_eadd(struct measure *m, uint32_t page)
{
	eadd(m, page, NULL);
}

static void leaf_eaug(struct measure *m, uint32_t page)
{
	struct sgx_pageinfo info = {
		.address = 0x1000,
		.linaddr = epc(page).address,
		.secs = epc(SECS),
	};

	must(sgx_eaug(m->sgx, &info, epc(page)) == 0, "EAUG");
}

static void leaf_eblock(struct measure *m, uint32_t page)
{
	must(sgx_eblock(m->sgx, epc(page)) == 0, "EBLOCK");
}

static void leaf_eremove(struct measure *m, uint32_t page)
{
	must(sgx_eremove(m->sgx, epc(page)) == 0, "EREMOVE");
}

static void leaf_emodpr(struct measure *m, uint32_t page)
{
	struct sgx_secinfo secinfo = {
		.flags = SGX_SECINFO_R | (uint64_t)SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT,
	};

	must(sgx_emodpr(m->sgx, (struct sgx_memory){ 0x3000, &secinfo }, epc(page)) == 0, "EMODPR");
}

static void leaf_emodt(struct measure *m, uint32_t page)
{
	struct sgx_secinfo secinfo = { .flags = (uint64_t)SGX_PT_TRIM << SGX_SECINFO_TYPE_SHIFT };

	must(sgx_emodt(m->sgx, (struct sgx_memory){ 0x3000, &secinfo }, epc(page)) == 0, "EMODT");
}

static void leaf_etrack(struct measure *m, uint32_t page)
{
	(void)page;
	must(sgx_etrack(m->sgx, epc(SECS)) == 0, "ETRACK");
}

static void einit(struct measure *m)
{
	static uint8_t sigstruct[SGX_PAGE_SIZE], token[512];

	must(sgx_einit(m->sgx, (struct sgx_memory){ 0x4000, sigstruct }, epc(SECS),
		       (struct sgx_memory){ 0x5000, token }) == 0,
	     "EINIT");
}

/* The life of each page, leaf by leaf: what runs before EINIT, and what after. */
struct measured_leaf {
	const char *name;
	void (*run_fn)(struct measure *m, uint32_t page);
	uint64_t least_ns; /* of NR_LEAF_PAGES leaves */
};

static void leaf_measure(struct measure *m, struct measured_leaf *leaf)
{
	uint64_t began_ns = cpu_ns(), took_ns;

	for (uint32_t i = 0; i < NR_LEAF_PAGES; i++)
		leaf->run_fn(m, FIRST + i);
	took_ns = cpu_ns() - began_ns;
	if (leaf->least_ns == 0 || took_ns < leaf->least_ns)
		leaf->least_ns = took_ns;
}

static void run_leaves(void)
{
	struct measured_leaf building[] = {
		{ "EADD", leaf_eadd, 0 },
		{ "EBLOCK", leaf_eblock, 0 },
	};
	struct measured_leaf running[] = {
		{ "EREMOVE", leaf_eremove, 0 },
		{ "EAUG", leaf_eaug, 0 },
		{ "EREMOVE of EAUG", leaf_eremove, 0 },
	};
	struct measured_leaf changing[] = {
		{ "EMODPR", leaf_emodpr, 0 },
		{ "EMODT", leaf_emodt, 0 },
		{ "ETRACK", leaf_etrack, 0 },
		{ "EREMOVE of TRIM", leaf_eremove, 0 },
	};
	struct measure m;

	measure_init(&m, FIRST + NR_LEAF_PAGES, true);
	for (unsigned int round = 0; round < NR_ROUNDS; round++) {
		for (unsigned int i = 0; i < 2; i++)
			leaf_measure(&m, &building[i]);
		for (uint32_t i = 0; i < NR_LEAF_PAGES; i++)
			leaf_eremove(&m, FIRST + i);
		for (uint32_t i = 0; i < NR_LEAF_PAGES; i++)
			leaf_eadd(&m, FIRST + i);
		einit(&m);
		for (unsigned int i = 0; i < 4; i++)
			leaf_measure(&m, &changing[i]);
		for (uint32_t i = 0; i < NR_LEAF_PAGES; i++)
			leaf_eaug(&m, FIRST + i);
		for (unsigned int i = 0; i < 3; i++)
			leaf_measure(&m, &running[i]);
		must(sgx_eremove(m.sgx, epc(SECS)) == 0 && sgx_eremove(m.sgx, epc(VA)) == 0, "EREMO"
											     "VE "
											     "of "
											     "the "
											     "SEC"
											     "S");
		ecreate(&m);
	}
	measure_fini(&m);
	printf("{");
	for (unsigned int i = 0; i < 9; i++) {
		const struct measured_leaf *leaf = i < 2 ? &building[i] :
						   i < 5 ? &running[i - 2] :
							   &changing[i - 5];

		printf("%s\"%s\": %.1f", i ? ", " : "", leaf->name,
		       (double)leaf->least_ns / NR_LEAF_PAGES);
	}
	printf("}\n");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run_fn)(void);
	} verbs[] = {
		{ "ewb", run_ewb },
		{ "eldu", run_eldu },
		{ "eadd-eextend", run_eadd_eextend },
		{ "leaves", run_leaves },
	};

	for (size_t i = 0; argc == 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		verbs[i].run_fn();
		return 0;
	}
	fputs("usage: measure_sgx ewb | eldu | eadd-eextend | leaves\n", stderr);
	return 2;
}
