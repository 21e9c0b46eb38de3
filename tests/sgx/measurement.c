/* SPDX-License-Identifier: MIT */
/* See measurement.h. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "measurement.h"

#define BLOCK 64u
#define CHUNK 256u

static void absorb(struct measurement *measurement, const void *bytes, size_t size)
{
	if (measurement->capacity - measurement->size < size) {
		measurement->capacity = 2 * measurement->capacity + 4096;
		measurement->stream = realloc(measurement->stream, measurement->capacity);
		if (!measurement->stream)
			abort();
	}
	memcpy(measurement->stream + measurement->size, bytes, size);
	measurement->size += size;
}

void measurement_ecreate(struct measurement *measurement, uint32_t ssa_frame_pages, uint64_t size)
{
	uint8_t block[BLOCK] = "ECREATE";

	measurement_fini(measurement);
	memcpy(block + 8, &ssa_frame_pages, 4);
	memcpy(block + 12, &size, 8);
	absorb(measurement, block, sizeof(block));
}

void measurement_eadd(struct measurement *measurement, uint64_t offset, uint64_t flags)
{
	uint8_t block[BLOCK] = "EADD";

	memcpy(block + 8, &offset, 8);
	memcpy(block + 16, &flags, 8);
	absorb(measurement, block, sizeof(block));
}

void measurement_eextend(struct measurement *measurement, uint64_t offset, const void *chunk)
{
	uint8_t block[BLOCK] = "EEXTEND";

	memcpy(block + 8, &offset, 8);
	absorb(measurement, block, sizeof(block));
	absorb(measurement, chunk, CHUNK);
}

void measurement_hash(const struct measurement *measurement, uint8_t mrenclave[32])
{
	if (!EVP_Digest(measurement->stream, measurement->size, mrenclave, NULL, EVP_sha256(),
			NULL))
		abort();
}

void measurement_fini(struct measurement *measurement)
{
	free(measurement->stream);
	*measurement = (struct measurement){ 0 };
}
