/* SPDX-License-Identifier: MIT */
/*
 * MRENCLAVE of an enclave that is not built here: SHA-256 over its measured blocks, which lie in a
 * file one after the other, as in the SGXS files of Fortanix' tools. Blocks that are not measured
 * may lie between them. What is in the pages does not matter here.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "sign/tool.h"

#define BLOCK_SIZE 64u

enum block {
	BLOCK_ECREATE,
	BLOCK_EADD,
	BLOCK_EEXTEND,
	BLOCK_UNMEASURED,
	BLOCK_UNSIZED,
	BLOCK_UNKNOWN,
};

/* By enum block; a block has data after it, or not, and both count, or not. */
static const struct {
	char tag[9];
	size_t data_size;
	bool is_measured;
} blocks[] = {
	[BLOCK_ECREATE] = { "ECREATE", 0, true },
	[BLOCK_EADD] = { "EADD\0\0\0\0", 0, true },
	[BLOCK_EEXTEND] = { "EEXTEND", SGX_CHUNK_SIZE, true },
	[BLOCK_UNMEASURED] = { "UNMEASRD", SGX_CHUNK_SIZE, false },
	[BLOCK_UNSIZED] = { "UNSIZED", 0, false },
};

static enum block block_of(const uint8_t *bytes)
{
	for (unsigned int i = 0; i < BLOCK_UNKNOWN; i++)
		if (memcmp(bytes, blocks[i].tag, 8) == 0)
			return (enum block)i;
	return BLOCK_UNKNOWN;
}

/* Says why the stream may not go on with this block; NULL: it may. */
static const char *block_complaint(enum block block, unsigned long long offset)
{
	if (block == BLOCK_UNKNOWN)
		return "is no block of an enclave; give the SGXS file, not the enclave's ELF file";
	if (block == BLOCK_UNSIZED)
		return "says that the enclave's size is not fixed yet; fix it, then sign";
	if (offset == 0 && block != BLOCK_ECREATE)
		return "is not ECREATE, with which every enclave begins";
	if (offset != 0 && block == BLOCK_ECREATE)
		return "is a second ECREATE; one file is one enclave";
	return NULL;
}

/* Reads a block and its data into bytes. 1; 0: there is none; -1: *complaint says what is wrong. */
static int block_read(FILE *file, unsigned long long offset,
		      uint8_t bytes[BLOCK_SIZE + SGX_CHUNK_SIZE], enum block *block,
		      const char **complaint)
{
	size_t size = fread(bytes, 1, BLOCK_SIZE, file);

	if (size == 0 && feof(file) && offset > 0)
		return 0;
	*complaint = "breaks off";
	if (size < BLOCK_SIZE)
		return -1;
	*block = block_of(bytes);
	*complaint = block_complaint(*block, offset);
	if (*complaint)
		return -1;
	*complaint = "breaks off";
	size = fread(bytes + BLOCK_SIZE, 1, blocks[*block].data_size, file);
	return size == blocks[*block].data_size ? 1 : -1;
}

static int stream_hash(FILE *file, const char *path, EVP_MD_CTX *context)
{
	uint8_t bytes[BLOCK_SIZE + SGX_CHUNK_SIZE];
	unsigned long long offset = 0;
	const char *complaint;
	enum block block;
	int result;

	while ((result = block_read(file, offset, bytes, &block, &complaint)) > 0) {
		size_t size = BLOCK_SIZE + blocks[block].data_size;

		if (blocks[block].is_measured && EVP_DigestUpdate(context, bytes, size) != 1)
			return tool_error_file(path, "libcrypto cannot hash it");
		offset += size;
	}
	if (ferror(file))
		return tool_error_file(path, "%s", strerror(errno));
	if (result < 0)
		return tool_error_file(path, "what is at byte %llu %s", offset, complaint);
	return TOOL_EXIT_OK;
}

int stream_measure(const char *path, uint8_t mrenclave[32])
{
	FILE *file = fopen(path, "re");
	EVP_MD_CTX *context;
	int result;

	if (!file)
		return tool_error_file(path, "%s", strerror(errno));
	context = EVP_MD_CTX_new();
	if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1) {
		result = stream_hash(file, path, context);
		if (result == TOOL_EXIT_OK && EVP_DigestFinal_ex(context, mrenclave, NULL) != 1)
			result = tool_error_file(path, "libcrypto cannot hash it");
	} else {
		result = tool_error_file(path, "libcrypto has no SHA-256");
	}
	EVP_MD_CTX_free(context);
	fclose(file);
	return result;
}
