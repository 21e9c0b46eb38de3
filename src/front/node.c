/* SPDX-License-Identifier: MIT */
/* The table of nodes; see node.h. What a node is for does not belong here. */
#include "front/node.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NR_BUCKETS 4096u /* a few thousand nodes live at a time: cgroups that somebody looked at */

struct node_table {
	pthread_mutex_t lock;
	uint64_t next_ino;
	struct node *by_ino[NR_BUCKETS];
	struct node *by_key[NR_BUCKETS];
};

static unsigned int bucket_of_ino(uint64_t ino)
{
	return (unsigned int)(ino % NR_BUCKETS);
}

/* FNV-1a; the constants are the algorithm's. */
static unsigned int bucket_of_key(const char *key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const unsigned char *byte = (const unsigned char *)key; *byte; byte++)
		hash = (hash ^ *byte) * UINT64_C(0x100000001b3);
	return (unsigned int)((hash ^ (hash >> 32)) % NR_BUCKETS);
}

int node_table_new(struct node_table **table)
{
	struct node_table *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->lock, NULL);
	new->next_ino = FUSE_ROOT_ID;
	*table = new;
	return 0;
}

static void node_end(struct node *node, struct daemon *daemon)
{
	free(node->key);
	node->key = NULL;
	if (node->ops->free)
		node->ops->free(daemon, node);
}

void node_table_free(struct node_table *table, struct daemon *daemon)
{
	if (!table)
		return;
	for (unsigned int i = 0; i < NR_BUCKETS; i++) {
		while (table->by_ino[i]) {
			struct node *node = table->by_ino[i];

			table->by_ino[i] = node->next_by_ino;
			node_end(node, daemon);
		}
	}
	pthread_mutex_destroy(&table->lock);
	free(table);
}

static struct node *find_by_key(struct node_table *table, const char *key)
{
	struct node *node = table->by_key[bucket_of_key(key)];

	while (node && strcmp(node->key, key) != 0)
		node = node->next_by_key;
	return node;
}

int node_add(struct node_table *table, struct node *node, const char *key)
{
	char *copy = NULL;
	struct node **bucket;

	if (key) {
		copy = strdup(key);
		if (!copy)
			return -ENOMEM;
	}
	pthread_mutex_lock(&table->lock);
	if (key && find_by_key(table, key)) {
		pthread_mutex_unlock(&table->lock);
		free(copy);
		return -EEXIST;
	}
	node->ino = table->next_ino++;
	node->nr_lookups = 1;
	node->key = copy;
	bucket = &table->by_ino[bucket_of_ino(node->ino)];
	node->next_by_ino = *bucket;
	*bucket = node;
	if (key) {
		bucket = &table->by_key[bucket_of_key(key)];
		node->next_by_key = *bucket;
		*bucket = node;
	}
	pthread_mutex_unlock(&table->lock);
	return 0;
}

struct node *node_get(struct node_table *table, const char *key)
{
	struct node *node;

	pthread_mutex_lock(&table->lock);
	node = find_by_key(table, key);
	if (node)
		node->nr_lookups++;
	pthread_mutex_unlock(&table->lock);
	return node;
}

static struct node *find_by_ino(struct node_table *table, uint64_t ino)
{
	struct node *node = table->by_ino[bucket_of_ino(ino)];

	while (node && node->ino != ino)
		node = node->next_by_ino;
	return node;
}

struct node *node_find(struct node_table *table, fuse_ino_t ino)
{
	struct node *node;

	pthread_mutex_lock(&table->lock);
	node = find_by_ino(table, ino);
	pthread_mutex_unlock(&table->lock);
	return node;
}

const struct node_ops *node_ops_of(struct node_table *table, uint64_t ino)
{
	const struct node_ops *ops = NULL;
	struct node *node;

	pthread_mutex_lock(&table->lock);
	node = find_by_ino(table, ino);
	if (node)
		ops = node->ops;
	pthread_mutex_unlock(&table->lock);
	return ops;
}

static void unlink_node(struct node_table *table, struct node *node)
{
	struct node **link = &table->by_ino[bucket_of_ino(node->ino)];

	while (*link != node)
		link = &(*link)->next_by_ino;
	*link = node->next_by_ino;
	if (!node->key)
		return;
	link = &table->by_key[bucket_of_key(node->key)];
	while (*link != node)
		link = &(*link)->next_by_key;
	*link = node->next_by_key;
}

void node_forget(struct node_table *table, struct daemon *daemon, fuse_ino_t ino,
		 uint64_t nr_lookups)
{
	struct node *node;
	bool is_last = false;

	pthread_mutex_lock(&table->lock);
	node = find_by_ino(table, ino);
	if (node) {
		/* More than it was told of no sound kernel forgets; the count stays sound. */
		node->nr_lookups -= nr_lookups < node->nr_lookups ? nr_lookups : node->nr_lookups;
		is_last = node->nr_lookups == 0;
		if (is_last)
			unlink_node(table, node);
	}
	pthread_mutex_unlock(&table->lock);
	if (is_last)
		node_end(node, daemon);
}
