/* SPDX-License-Identifier: MIT */
/*
 * The hungry thread. See hunger.h.
 */
#include "hunger.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard.h"

#define NR_KEPT_MAX 1024u /* opens that gave something */

struct morsel {
	int file;
	void *memory;
};

struct hunger {
	pthread_t thread;
	char *path;
	uint64_t nr_pages;
	pthread_mutex_t lock;	/* for what is below */
	pthread_cond_t changed; /* meal.nr_opens, or is_over */
	struct hunger_meal meal;
	bool is_stopping, is_over;
	struct morsel kept[NR_KEPT_MAX]; /* the thread's own until it has ended */
	size_t nr_kept;
};

static void page_touch(void *context)
{
	pattern_write(context, 1);
}

/* How many pages, from the first on, were there for it. */
static uint64_t pages_eat(const struct hunger *hunger, void *memory)
{
	struct pattern_range page = { .words = memory };

	for (uint64_t i = 0; i < hunger->nr_pages; i++) {
		page.first = i;
		page.last = i;
		if (guard_run(&page, page_touch, &page) != GUARD_NO_PAGE)
			return i;
	}
	return hunger->nr_pages;
}

static void morsel_free(const struct hunger *hunger, const struct morsel *morsel)
{
	munmap(morsel->memory, hunger->nr_pages * PAGE_BYTES);
	close(morsel->file);
}

/* One open; false: it cannot go on. */
static bool hunger_bite(struct hunger *hunger)
{
	struct morsel morsel = { .file = open(hunger->path, O_RDWR | O_CLOEXEC) };
	uint64_t nr_eaten;
	bool goes_on;

	if (morsel.file < 0)
		return false;
	morsel.memory = mmap(NULL, hunger->nr_pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED, morsel.file, 0);
	if (morsel.memory == MAP_FAILED) {
		close(morsel.file);
		return false;
	}
	nr_eaten = pages_eat(hunger, morsel.memory);
	if (nr_eaten)
		hunger->kept[hunger->nr_kept++] = morsel;
	else
		morsel_free(hunger, &morsel);
	pthread_mutex_lock(&hunger->lock);
	hunger->meal.nr_opens++;
	hunger->meal.nr_eaten += nr_eaten;
	hunger->meal.nr_refused += nr_eaten < hunger->nr_pages;
	goes_on = !hunger->is_stopping && hunger->nr_kept < NR_KEPT_MAX;
	pthread_cond_broadcast(&hunger->changed);
	pthread_mutex_unlock(&hunger->lock);
	return goes_on;
}

static void *hunger_main(void *argument)
{
	struct hunger *hunger = argument;

	while (hunger_bite(hunger))
		;
	pthread_mutex_lock(&hunger->lock);
	hunger->is_over = true;
	pthread_cond_broadcast(&hunger->changed);
	pthread_mutex_unlock(&hunger->lock);
	return NULL;
}

struct hunger *hunger_new(const char *path, uint64_t nr_pages)
{
	struct hunger *hunger = calloc(1, sizeof(*hunger));

	if (!hunger)
		return NULL;
	hunger->path = strdup(path);
	hunger->nr_pages = nr_pages;
	pthread_mutex_init(&hunger->lock, NULL);
	pthread_cond_init(&hunger->changed, NULL);
	if (!hunger->path || pthread_create(&hunger->thread, NULL, hunger_main, hunger)) {
		free(hunger->path);
		free(hunger);
		return NULL;
	}
	return hunger;
}

void hunger_wait(struct hunger *hunger, uint64_t nr_opens)
{
	uint64_t end;

	pthread_mutex_lock(&hunger->lock);
	end = hunger->meal.nr_opens + nr_opens;
	while (hunger->meal.nr_opens < end && !hunger->is_over)
		pthread_cond_wait(&hunger->changed, &hunger->lock);
	pthread_mutex_unlock(&hunger->lock);
}

void hunger_free(struct hunger *hunger, struct hunger_meal *meal)
{
	pthread_mutex_lock(&hunger->lock);
	hunger->is_stopping = true;
	pthread_mutex_unlock(&hunger->lock);
	pthread_join(hunger->thread, NULL);
	*meal = hunger->meal;
	for (size_t i = 0; i < hunger->nr_kept; i++)
		morsel_free(hunger, &hunger->kept[i]);
	pthread_mutex_destroy(&hunger->lock);
	pthread_cond_destroy(&hunger->changed);
	free(hunger->path);
	free(hunger);
}
