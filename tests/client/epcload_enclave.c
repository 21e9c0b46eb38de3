/* SPDX-License-Identifier: MIT */
/*
 * An enclave, built as any program does it through the kernel's interface (asm/sgx.h), except that
 * the offset of a mapping is its linear address, as epcd wants it. See epcload.h.
 */
#include <asm/sgx.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "epcload.h"

#define NR_PAGES_ADDED 64u /* by one ioctl */
#define BLOCK_BYTES 64u	   /* of what is measured */
#define CHUNK_BYTES 256u   /* of EEXTEND */
#define NR_AGAIN_MAX 1000000u
#define SECINFO_REG_RW 0x203u
#define PERMISSIONS_RW 3u
#define TYPE_TRIM 4u

/* The secondary parts of a build. */
struct build {
	const struct load_options *options;
	load_fill_fn *fill;
	void *context;
	struct load_enclave *enclave;
	EVP_MD_CTX *measurement;
	uint64_t *words; /* NR_PAGES_ADDED pages, aligned */
	const char *step;
};

/* A word as the measurement has it: eight letters, or a number. */
static void block_put(unsigned char *block, size_t at, const void *bytes, size_t size)
{
	memcpy(block + at, bytes, size);
}

static void measure_create(struct build *build)
{
	const uint32_t ssa_frame_size = 1;
	unsigned char block[BLOCK_BYTES] = "ECREATE";

	block_put(block, 8, &ssa_frame_size, sizeof(ssa_frame_size));
	block_put(block, 12, &build->enclave->size, sizeof(build->enclave->size));
	EVP_DigestUpdate(build->measurement, block, sizeof(block));
}

static void measure_contents(struct build *build, uint64_t offset, const unsigned char *bytes)
{
	for (unsigned int i = 0; i < LOAD_PAGE_BYTES; i += CHUNK_BYTES) {
		const uint64_t at = offset + i;
		unsigned char block[BLOCK_BYTES] = "EEXTEND";

		block_put(block, 8, &at, sizeof(at));
		EVP_DigestUpdate(build->measurement, block, sizeof(block));
		EVP_DigestUpdate(build->measurement, bytes + i, CHUNK_BYTES);
	}
}

static void measure_page(struct build *build, uint64_t page, const void *bytes)
{
	const uint64_t offset = page * LOAD_PAGE_BYTES, flags = SECINFO_REG_RW;
	unsigned char block[BLOCK_BYTES] = "EADD";

	block_put(block, 8, &offset, sizeof(offset));
	block_put(block, 16, &flags, sizeof(flags));
	EVP_DigestUpdate(build->measurement, block, sizeof(block));
	if (build->options->is_measured)
		measure_contents(build, offset, bytes);
}

/* Address space for it, aligned to its size; where it is comes back in base. */
static int space_reserve(struct load_enclave *enclave)
{
	const uint64_t size = enclave->size;
	unsigned char *all =
		mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t start = (uint64_t)(uintptr_t)all;

	if (all == MAP_FAILED)
		return -errno;
	enclave->base = (start + size - 1) / size * size;
	if (enclave->base > start)
		munmap(all, enclave->base - start);
	munmap(all + (enclave->base - start) + size, start + size - enclave->base);
	enclave->memory = all + (enclave->base - start);
	return 0;
}

static int enclave_create(const struct load_enclave *enclave)
{
	unsigned char *secs = aligned_alloc(LOAD_PAGE_BYTES, LOAD_PAGE_BYTES);
	struct sgx_enclave_create create = { .src = (uint64_t)(uintptr_t)secs };
	int error = 0;

	if (!secs)
		return -ENOMEM;
	memset(secs, 0, LOAD_PAGE_BYTES);
	memcpy(secs, &enclave->size, 8);
	memcpy(secs + 8, &enclave->base, 8);
	secs[16] = 1; /* SSAFRAMESIZE */
	secs[48] = 4; /* ATTRIBUTES: MODE64BIT */
	secs[56] = 3; /* XFRM */
	if (ioctl(enclave->file, SGX_IOC_ENCLAVE_CREATE, &create))
		error = -errno;
	free(secs);
	return error;
}

/* The kernel may do less than it was asked for, and say so in count alone. */
static int pages_add(struct build *build, uint64_t first, uint64_t count)
{
	_Alignas(64) uint64_t secinfo[8] = { SECINFO_REG_RW };
	uint64_t done = 0;

	while (done < count) {
		struct sgx_enclave_add_pages add = {
			.src = (uint64_t)(uintptr_t)build->words + done * LOAD_PAGE_BYTES,
			.offset = (first + done) * LOAD_PAGE_BYTES,
			.length = (count - done) * LOAD_PAGE_BYTES,
			.secinfo = (uint64_t)(uintptr_t)secinfo,
			.flags = build->options->is_measured ? SGX_PAGE_MEASURE : 0,
		};

		if (ioctl(build->enclave->file, SGX_IOC_ENCLAVE_ADD_PAGES, &add) && errno != EINTR)
			return -errno;
		if (add.count > add.length || add.count % LOAD_PAGE_BYTES)
			return -EPROTO;
		done += add.count / LOAD_PAGE_BYTES;
	}
	return 0;
}

static int enclave_fill(struct build *build)
{
	const uint64_t nr_pages = build->enclave->nr_pages;

	for (uint64_t first = 0; first < nr_pages; first += NR_PAGES_ADDED) {
		uint64_t count = nr_pages - first < NR_PAGES_ADDED ? nr_pages - first :
								     NR_PAGES_ADDED;
		int error;

		for (uint64_t i = 0; i < count; i++) {
			uint64_t *words = build->words + i * LOAD_PAGE_WORDS;

			build->fill(build->context, first + i, words);
			measure_page(build, first + i, words);
		}
		error = pages_add(build, first, count);
		if (error)
			return error;
	}
	return 0;
}

static int enclave_init(struct build *build, struct load_key *key)
{
	unsigned char *sigstruct = aligned_alloc(LOAD_PAGE_BYTES, LOAD_PAGE_BYTES);
	struct sgx_enclave_init init = { .sigstruct = (uint64_t)(uintptr_t)sigstruct };
	unsigned char mrenclave[32];
	int error;

	if (!sigstruct)
		return -ENOMEM;
	EVP_DigestFinal_ex(build->measurement, mrenclave, NULL);
	error = load_key_sign(key, mrenclave, sigstruct);
	if (!error && ioctl(build->enclave->file, SGX_IOC_ENCLAVE_INIT, &init))
		error = -errno;
	free(sigstruct);
	return error;
}

/* Takes the place of what was reserved, if anything was. */
static int enclave_map(struct load_enclave *enclave)
{
	void *memory = mmap(enclave->memory, enclave->nr_pages * LOAD_PAGE_BYTES,
			    PROT_READ | PROT_WRITE, MAP_SHARED | (enclave->memory ? MAP_FIXED : 0),
			    enclave->file, (off_t)enclave->base);

	if (memory == MAP_FAILED)
		return -errno;
	enclave->memory = memory;
	return 0;
}

static int enclave_build(struct build *build, struct load_key *key)
{
	struct load_enclave *enclave = build->enclave;
	int error;

	build->step = "address space";
	error = space_reserve(enclave);
	if (error)
		return error;
	measure_create(build);
	build->step = "SGX_IOC_ENCLAVE_CREATE";
	error = enclave_create(enclave);
	if (error)
		return error;
	build->step = "SGX_IOC_ENCLAVE_ADD_PAGES";
	error = enclave_fill(build);
	if (error)
		return error;
	build->step = "SGX_IOC_ENCLAVE_INIT";
	error = enclave_init(build, key);
	if (error)
		return error;
	build->step = "mmap";
	return enclave_map(enclave);
}

/* What is no enclave gets its first contents by writing. */
static int plain_build(struct build *build)
{
	struct load_enclave *enclave = build->enclave;
	int error;

	build->step = "mmap";
	error = enclave_map(enclave);
	for (uint64_t i = 0; !error && i < enclave->nr_pages; i++)
		build->fill(build->context, i,
			    (uint64_t *)(void *)(enclave->memory + i * LOAD_PAGE_BYTES));
	return error;
}

int load_enclave_build(const struct load_options *options, struct load_key *key, load_fill_fn *fill,
		       void *context, struct load_enclave *enclave, const char **step)
{
	struct build build = { .options = options,
			       .fill = fill,
			       .context = context,
			       .enclave = enclave,
			       .step = "open" };
	int error = -ENOMEM;

	*enclave = (struct load_enclave){ .file = open(options->device, O_RDWR | O_CLOEXEC),
					  .nr_pages = options->nr_pages };
	*step = build.step;
	if (enclave->file < 0)
		return -errno;
	if (options->sgx2_every)
		enclave->nr_pages += LOAD_NR_SPARE_PAGES;
	enclave->size = 2 * (uint64_t)LOAD_PAGE_BYTES;
	while (enclave->size < enclave->nr_pages * LOAD_PAGE_BYTES)
		enclave->size *= 2;
	build.words = aligned_alloc(LOAD_PAGE_BYTES, (size_t)NR_PAGES_ADDED * LOAD_PAGE_BYTES);
	build.measurement = EVP_MD_CTX_new();
	if (build.words && build.measurement &&
	    EVP_DigestInit_ex(build.measurement, EVP_sha256(), NULL) == 1)
		error = options->is_enclave ? enclave_build(&build, key) : plain_build(&build);
	EVP_MD_CTX_free(build.measurement);
	free(build.words);
	*step = build.step;
	return error;
}

void load_enclave_close(struct load_enclave *enclave)
{
	munmap(enclave->memory, enclave->nr_pages * LOAD_PAGE_BYTES);
	close(enclave->file);
}

int load_enclave_restrict(const struct load_enclave *enclave, uint64_t first, uint64_t count)
{
	uint64_t done = 0;

	for (unsigned int i = 0; done < count && i < NR_AGAIN_MAX; i++) {
		struct sgx_enclave_restrict_permissions restriction = {
			.offset = (first + done) * LOAD_PAGE_BYTES,
			.length = (count - done) * LOAD_PAGE_BYTES,
			.permissions = PERMISSIONS_RW,
		};

		if (ioctl(enclave->file, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &restriction) &&
		    errno != EAGAIN && errno != EINTR)
			return -errno;
		done += restriction.count / LOAD_PAGE_BYTES;
	}
	return done == count ? 0 : -ETIMEDOUT;
}

int load_enclave_trim(const struct load_enclave *enclave, uint64_t page)
{
	for (unsigned int i = 0; i < NR_AGAIN_MAX; i++) {
		struct sgx_enclave_modify_types modification = {
			.offset = page * LOAD_PAGE_BYTES,
			.length = LOAD_PAGE_BYTES,
			.page_type = TYPE_TRIM,
		};

		if (!ioctl(enclave->file, SGX_IOC_ENCLAVE_MODIFY_TYPES, &modification))
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}

int load_enclave_remove(const struct load_enclave *enclave, uint64_t page)
{
	for (unsigned int i = 0; i < NR_AGAIN_MAX; i++) {
		struct sgx_enclave_remove_pages removal = {
			.offset = page * LOAD_PAGE_BYTES,
			.length = LOAD_PAGE_BYTES,
		};

		if (!ioctl(enclave->file, SGX_IOC_ENCLAVE_REMOVE_PAGES, &removal))
			return 0;
		if (errno != EAGAIN && errno != EBUSY && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}
