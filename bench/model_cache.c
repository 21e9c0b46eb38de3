/* SPDX-License-Identifier: MIT */
/*
 * What exact LRU and FIFO would have made of a trace (epcload --trace): misses of a cache of so
 * many pages, after it has been full for the first time. One line of JSON.
 *
 * usage: model_cache NR_PAGES-OF-THE-CACHE NR_PAGES-IN-ALL TRACE
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pages in the order of leaving, linked by page number; number nr_pages is the ends. */
struct cache {
	uint32_t *next, *prev;
	bool *is_in;
	uint32_t nr_pages, capacity, size;
	uint64_t nr_misses;
};

static int cache_init(struct cache *cache, uint32_t nr_pages, uint32_t capacity)
{
	*cache = (struct cache){ .nr_pages = nr_pages, .capacity = capacity };
	cache->next = calloc(nr_pages + 1, sizeof(cache->next[0]));
	cache->prev = calloc(nr_pages + 1, sizeof(cache->prev[0]));
	cache->is_in = calloc(nr_pages, sizeof(cache->is_in[0]));
	if (!cache->next || !cache->prev || !cache->is_in)
		return -1;
	cache->next[nr_pages] = nr_pages;
	cache->prev[nr_pages] = nr_pages;
	return 0;
}

static void cache_fini(struct cache *cache)
{
	free(cache->next);
	free(cache->prev);
	free(cache->is_in);
}

static void page_unlink(struct cache *cache, uint32_t page)
{
	cache->next[cache->prev[page]] = cache->next[page];
	cache->prev[cache->next[page]] = cache->prev[page];
}

static void page_append(struct cache *cache, uint32_t page)
{
	const uint32_t end = cache->nr_pages, last = cache->prev[end];

	cache->next[last] = page;
	cache->prev[page] = last;
	cache->next[page] = end;
	cache->prev[end] = page;
}

static void cache_touch(struct cache *cache, uint32_t page, bool is_lru)
{
	if (cache->is_in[page]) {
		if (is_lru) {
			page_unlink(cache, page);
			page_append(cache, page);
		}
		return;
	}
	cache->nr_misses++;
	if (cache->size == cache->capacity) {
		const uint32_t victim = cache->next[cache->nr_pages];

		page_unlink(cache, victim);
		cache->is_in[victim] = false;
		cache->size--;
	}
	page_append(cache, page);
	cache->is_in[page] = true;
	cache->size++;
}

/*
 * The cache begins as building leaves it: the last pages of the enclave are in, in order.
 * 0, or -1: a page of the trace is not of the enclave.
 */
static int trace_run(FILE *trace, struct cache *cache, bool is_lru, uint64_t *nr_touches)
{
	uint32_t page;

	for (page = 0; page < cache->nr_pages; page++)
		cache_touch(cache, page, is_lru);
	cache->nr_misses = 0;
	*nr_touches = 0;
	rewind(trace);
	while (fread(&page, sizeof(page), 1, trace) == 1) {
		if (page >= cache->nr_pages)
			return -1;
		cache_touch(cache, page, is_lru);
		++*nr_touches;
	}
	return 0;
}

static int misses_count(FILE *trace, uint32_t nr_pages, uint32_t capacity, bool is_lru,
			uint64_t *nr_misses, uint64_t *nr_touches)
{
	struct cache cache;
	int error = cache_init(&cache, nr_pages, capacity);

	if (!error)
		error = trace_run(trace, &cache, is_lru, nr_touches);
	*nr_misses = cache.nr_misses;
	cache_fini(&cache);
	return error;
}

int main(int argc, char **argv)
{
	uint64_t lru, fifo, nr_touches;
	uint32_t capacity = argc == 4 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	uint32_t nr_pages = argc == 4 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	FILE *trace = capacity && nr_pages ? fopen(argv[3], "re") : NULL;

	if (!trace) {
		fputs("usage: model_cache CACHE-PAGES PAGES TRACE\n", stderr);
		return 2;
	}
	if (misses_count(trace, nr_pages, capacity, true, &lru, &nr_touches) ||
	    misses_count(trace, nr_pages, capacity, false, &fifo, &nr_touches)) {
		fputs("model_cache: no memory, or no such trace\n", stderr);
		return 1;
	}
	printf("{\"touches\": %" PRIu64 ", \"lru_misses\": %" PRIu64 ", \"fifo_misses\": %" PRIu64
	       "}\n",
	       nr_touches, lru, fifo);
	fclose(trace);
	return 0;
}
