/* SPDX-License-Identifier: MIT */
/*
 * The pattern in pages. See pattern.h.
 */
#include "pattern.h"

/* The finishing steps of splitmix64 (Steele, Lea, Flood 2014): each bit depends on each. */
static uint64_t word_value(uint64_t section, uint64_t page, uint64_t word, uint64_t seed)
{
	uint64_t x = (seed << 48) ^ (section << 40) ^ (page * PAGE_WORDS + word);

	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

void pattern_write(const struct pattern_range *range, uint64_t seed)
{
	for (uint64_t page = range->first; page <= range->last; page++) {
		volatile uint64_t *words = range->words + page * PAGE_WORDS;

		for (uint64_t i = 0; i < PAGE_WORDS; i++)
			words[i] = word_value(range->section, page, i, seed);
	}
}

static bool word_differs(uint64_t page, uint64_t word, uint64_t got, uint64_t want,
			 struct pattern_difference *difference)
{
	if (got == want)
		return false;
	difference->page = page;
	difference->offset = word * sizeof(uint64_t);
	difference->got = got;
	difference->want = want;
	return true;
}

bool pattern_verify(const struct pattern_range *range, uint64_t seed,
		    struct pattern_difference *difference)
{
	for (uint64_t page = range->first; page <= range->last; page++) {
		volatile uint64_t *words = range->words + page * PAGE_WORDS;

		for (uint64_t i = 0; i < PAGE_WORDS; i++) {
			uint64_t want = word_value(range->section, page, i, seed);

			if (word_differs(page, i, words[i], want, difference))
				return false;
		}
	}
	return true;
}

bool pattern_is_zero(const struct pattern_range *range, struct pattern_difference *difference)
{
	for (uint64_t page = range->first; page <= range->last; page++) {
		volatile uint64_t *words = range->words + page * PAGE_WORDS;

		for (uint64_t i = 0; i < PAGE_WORDS; i++) {
			if (word_differs(page, i, words[i], 0, difference))
				return false;
		}
	}
	return true;
}

uint64_t pattern_touch(const struct pattern_range *range)
{
	uint64_t sum = 0;

	for (uint64_t page = range->first; page <= range->last; page++)
		sum += range->words[page * PAGE_WORDS];
	return sum;
}
