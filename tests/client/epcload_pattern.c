/* SPDX-License-Identifier: MIT */
/* Which page is touched next. See epcload.h. */
#include <math.h>
#include <stdlib.h>

#include "epcload.h"

#define NR_WINDOWS 8u	    /* LOAD_PHASED: the working set is an eighth of the pages */
#define NR_WINDOW_PASSES 4u /* and is touched four times over before the next one */

struct load_pattern {
	enum load_kind kind;
	uint64_t nr_pages;
	/* LOAD_ZIPF: the chance of one of the first ranks, and which page has which rank */
	double *chances;
	uint64_t *pages;
};

/* splitmix64, public domain (Sebastiano Vigna). */
uint64_t load_random(uint64_t *state)
{
	uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static bool zipf_init(struct load_pattern *pattern, const struct load_options *options)
{
	uint64_t random = options->seed;
	double sum = 0;

	pattern->chances = calloc(pattern->nr_pages, sizeof(pattern->chances[0]));
	pattern->pages = calloc(pattern->nr_pages, sizeof(pattern->pages[0]));
	if (!pattern->chances || !pattern->pages)
		return false;
	for (uint64_t i = 0; i < pattern->nr_pages; i++) {
		const uint64_t j = load_random(&random) % (i + 1);

		pattern->pages[i] = pattern->pages[j];
		pattern->pages[j] = i;
		sum += pow((double)(i + 1), -options->zipf_s);
		pattern->chances[i] = sum;
	}
	for (uint64_t i = 0; i < pattern->nr_pages; i++)
		pattern->chances[i] /= sum;
	return true;
}

struct load_pattern *load_pattern_new(const struct load_options *options)
{
	struct load_pattern *pattern = calloc(1, sizeof(*pattern));

	if (!pattern)
		return NULL;
	pattern->kind = options->kind;
	pattern->nr_pages = options->nr_pages;
	if (pattern->kind == LOAD_ZIPF && !zipf_init(pattern, options)) {
		load_pattern_free(pattern);
		return NULL;
	}
	return pattern;
}

void load_pattern_free(struct load_pattern *pattern)
{
	free(pattern->chances);
	free(pattern->pages);
	free(pattern);
}

void load_cursor_init(struct load_cursor *cursor, const struct load_pattern *pattern, uint64_t seed,
		      uint64_t first)
{
	*cursor = (struct load_cursor){ .pattern = pattern,
					.random = seed,
					.next = first % pattern->nr_pages };
}

static uint64_t sequential_next(struct load_cursor *cursor)
{
	const uint64_t page = cursor->next;

	cursor->next = (page + 1) % cursor->pattern->nr_pages;
	return page;
}

/* The first rank whose chance, with all before it, is above a random number. */
static uint64_t zipf_next(struct load_cursor *cursor)
{
	const struct load_pattern *pattern = cursor->pattern;
	const double chance = (double)(load_random(&cursor->random) >> 11) * 0x1p-53;
	uint64_t low = 0, high = pattern->nr_pages - 1;

	while (low < high) {
		const uint64_t middle = low + (high - low) / 2;

		if (pattern->chances[middle] > chance)
			high = middle;
		else
			low = middle + 1;
	}
	return pattern->pages[low];
}

static uint64_t phased_next(struct load_cursor *cursor)
{
	const uint64_t nr_pages = cursor->pattern->nr_pages;
	const uint64_t nr_window = (nr_pages + NR_WINDOWS - 1) / NR_WINDOWS;

	if (cursor->nr_in_window == 0) {
		cursor->window = load_random(&cursor->random) % nr_pages;
		cursor->nr_in_window = NR_WINDOW_PASSES * nr_window;
	}
	cursor->nr_in_window--;
	return (cursor->window + load_random(&cursor->random) % nr_window) % nr_pages;
}

uint64_t load_cursor_next(struct load_cursor *cursor)
{
	switch (cursor->pattern->kind) {
	case LOAD_SEQUENTIAL:
		return sequential_next(cursor);
	case LOAD_ZIPF:
		return zipf_next(cursor);
	case LOAD_PHASED:
		return phased_next(cursor);
	case LOAD_RANDOM:
	default:
		return load_random(&cursor->random) % cursor->pattern->nr_pages;
	}
}
