/* SPDX-License-Identifier: MIT */
/*
 * MRENCLAVE in the obvious way: the whole stream of blocks of 64 bytes is kept (SDM, "ENCLAVE
 * MEASUREMENT"), and hashed when somebody asks.
 */
#ifndef EPCD_TESTS_SGX_MEASUREMENT_H
#define EPCD_TESTS_SGX_MEASUREMENT_H

#include <stddef.h>
#include <stdint.h>

struct measurement {
	uint8_t *stream; /* owned */
	size_t size, capacity;
};

void measurement_ecreate(struct measurement *measurement, uint32_t ssa_frame_pages, uint64_t size);
/* offset: from BASEADDR. */
void measurement_eadd(struct measurement *measurement, uint64_t offset, uint64_t flags);
void measurement_eextend(struct measurement *measurement, uint64_t offset, const void *chunk);
void measurement_hash(const struct measurement *measurement, uint8_t mrenclave[32]);
/* Forgets everything. All bytes 0 is a measurement of nothing. */
void measurement_fini(struct measurement *measurement);

#endif
