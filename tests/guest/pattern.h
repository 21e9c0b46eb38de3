/* SPDX-License-Identifier: MIT */
/*
 * What the guest does with pages of its EPC: a pattern in every 8 bytes, derived from section,
 * page, word and seed, so that a page of another place, section or time is told from the right
 * one. Nothing of the serial line belongs here.
 */
#ifndef EPCD_GUEST_PATTERN_H
#define EPCD_GUEST_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))

struct pattern_range {
	volatile uint64_t *words; /* the section's first */
	uint64_t section;
	uint64_t first, last; /* pages, last included */
};

/* Where the first difference is, and what it is. */
struct pattern_difference {
	uint64_t page, offset, got, want;
};

void pattern_write(const struct pattern_range *range, uint64_t seed);
bool pattern_verify(const struct pattern_range *range, uint64_t seed,
		    struct pattern_difference *difference);
bool pattern_is_zero(const struct pattern_range *range, struct pattern_difference *difference);

/* Reads one word of each page. */
uint64_t pattern_touch(const struct pattern_range *range);

#endif
