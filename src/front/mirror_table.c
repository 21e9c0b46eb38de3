/* SPDX-License-Identifier: MIT */
/* The mirror's entries and the table that finds them by id; see mirror_internal.h. */
#include "front/mirror_internal.h"

#include <stdlib.h>
#include <string.h>

struct mirror_entry *mirror_entry_get(struct mirror_entry *entry)
{
	__atomic_add_fetch(&entry->nr_references, 1, __ATOMIC_RELAXED);
	return entry;
}

void mirror_entry_put(struct mirror_entry *entry)
{
	__atomic_sub_fetch(&entry->nr_references, 1, __ATOMIC_RELEASE);
}

bool mirror_entry_is_referenced(const struct mirror_entry *entry)
{
	return __atomic_load_n(&entry->nr_references, __ATOMIC_ACQUIRE) != 0;
}

/* Fibonacci hashing: ids count up, their high bits say little. */
static struct mirror_entry **bucket_of(struct mirror *mirror, uint64_t id)
{
	uint64_t hash = id * UINT64_C(0x9e3779b97f4a7c15);

	return &mirror->buckets[(hash >> 32) & (mirror->nr_buckets - 1)];
}

struct mirror_entry *mirror_table_find(struct mirror *mirror, uint64_t id)
{
	struct mirror_entry *entry = *bucket_of(mirror, id);

	while (entry && entry->shown.id != id)
		entry = entry->next_by_id;
	return entry;
}

/* Failure leaves a table that is slower, not wrong. */
static void table_grow(struct mirror *mirror)
{
	struct mirror_entry **buckets =
		calloc(mirror->nr_buckets * 2, sizeof(struct mirror_entry *));
	struct mirror_entry *entry = mirror->root;

	if (!buckets)
		return;
	free(mirror->buckets);
	mirror->buckets = buckets;
	mirror->nr_buckets *= 2;
	do {
		struct mirror_entry **bucket = bucket_of(mirror, entry->shown.id);

		entry->next_by_id = *bucket;
		*bucket = entry;
		entry = entry->next;
	} while (entry != mirror->root);
}

void mirror_table_add(struct mirror *mirror, struct mirror_entry *entry)
{
	struct mirror_entry **bucket = bucket_of(mirror, entry->shown.id);

	entry->next_by_id = *bucket;
	*bucket = entry;
	if (mirror->root) {
		entry->next = mirror->root;
		entry->prev = mirror->root->prev;
		entry->prev->next = entry;
		entry->next->prev = entry;
	} else {
		entry->next = entry->prev = entry;
		mirror->root = mirror->hand = entry;
	}
	if (++mirror->nr_entries > mirror->nr_buckets)
		table_grow(mirror);
}

void mirror_table_remove(struct mirror *mirror, struct mirror_entry *entry)
{
	struct mirror_entry **link = bucket_of(mirror, entry->shown.id);

	while (*link != entry)
		link = &(*link)->next_by_id;
	*link = entry->next_by_id;
	if (mirror->hand == entry)
		mirror->hand = entry->next;
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
	mirror->nr_entries--;
}

void mirror_entry_free(struct mirror_entry *entry)
{
	free((char *)(uintptr_t)entry->shown.path);
	free(entry);
}

/* An entry that is in no table yet, with one reference. */
struct mirror_entry *mirror_entry_new(struct mirror_entry *parent, uint64_t id, const char *path,
				      size_t path_size)
{
	struct mirror_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->shown.id = id;
	entry->shown.path = strndup(path, path_size);
	if (!entry->shown.path) {
		free(entry);
		return NULL;
	}
	entry->payer = entry;
	entry->nr_references = 1;
	if (parent) {
		entry->parent = mirror_entry_get(parent);
		entry->depth = parent->depth + 1;
	}
	return entry;
}
