/* SPDX-License-Identifier: MIT */
/*
 * Where the driver's choices come from: a seed, or the bytes of a fuzzer. The same source gives
 * the same choices.
 */
#ifndef EPCD_TESTS_SGX_DRAW_H
#define EPCD_TESTS_SGX_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct draw {
	uint64_t state;		 /* of a seed */
	const uint8_t *at, *end; /* NULL: choices come from the seed */
};

void draw_from_seed(struct draw *draw, uint64_t seed);
void draw_from_bytes(struct draw *draw, const uint8_t *bytes, size_t size); /* borrowed */
/* No choice is left: every further one would be 0. Never with a seed. */
bool draw_is_over(const struct draw *draw);
/* 0 to limit - 1; limit: 1 to 65536. */
uint32_t draw_below(struct draw *draw, uint32_t limit);
/* One time in one_in. */
bool draw_chance(struct draw *draw, uint32_t one_in);

#endif
