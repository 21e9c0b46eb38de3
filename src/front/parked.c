/* SPDX-License-Identifier: MIT */
/* Parked READs; see parked.h. */
#include "front/parked.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * In the order of their keys. There are as many as client threads that wait for EPC: hundreds at
 * most, and a walk is needed only for those that are interrupted.
 */
struct parked_table {
	pthread_mutex_t lock;
	uint64_t last_key;
	struct parked head;
	int wake_fd;
};

int parked_table_new(int wake_fd, struct parked_table **table)
{
	struct parked_table *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->lock, NULL);
	new->head.next = new->head.prev = &new->head;
	new->wake_fd = wake_fd;
	*table = new;
	return 0;
}

void parked_table_free(struct parked_table *table)
{
	if (!table)
		return;
	pthread_mutex_destroy(&table->lock);
	free(table);
}

void parked_add(struct parked_table *table, struct parked *parked, pid_t tid)
{
	parked->tid = tid;
	parked->is_interrupted = false;
	pthread_mutex_lock(&table->lock);
	parked->key = ++table->last_key;
	parked->prev = table->head.prev;
	parked->next = &table->head;
	parked->prev->next = parked;
	table->head.prev = parked;
	pthread_mutex_unlock(&table->lock);
}

void parked_remove(struct parked_table *table, struct parked *parked)
{
	if (!parked->key)
		return;
	pthread_mutex_lock(&table->lock);
	parked->prev->next = parked->next;
	parked->next->prev = parked->prev;
	parked->key = 0;
	pthread_mutex_unlock(&table->lock);
}

static struct parked *find(struct parked_table *table, uint64_t key)
{
	for (struct parked *parked = table->head.next; parked != &table->head;
	     parked = parked->next)
		if (parked->key == key)
			return parked;
	return NULL;
}

void parked_interrupt(struct parked_table *table, uint64_t key)
{
	const uint64_t one = 1;
	struct parked *parked;

	pthread_mutex_lock(&table->lock);
	parked = find(table, key);
	if (parked)
		parked->is_interrupted = true;
	pthread_mutex_unlock(&table->lock);
	/* A full counter is a wake-up too. */
	if (parked && write(table->wake_fd, &one, sizeof(one)) < 0)
		return;
}

bool parked_is_interrupted(struct parked_table *table, const struct parked *parked)
{
	bool is;

	pthread_mutex_lock(&table->lock);
	is = parked->is_interrupted;
	pthread_mutex_unlock(&table->lock);
	return is;
}

unsigned int parked_interrupted(struct parked_table *table, uint64_t after_key,
				struct parked_ref *refs, unsigned int nr_max)
{
	unsigned int nr = 0;

	pthread_mutex_lock(&table->lock);
	for (struct parked *parked = table->head.next; parked != &table->head && nr < nr_max;
	     parked = parked->next) {
		if (parked->is_interrupted && parked->key > after_key)
			refs[nr++] = (struct parked_ref){
				.key = parked->key,
				.tid = parked->tid,
				.ends_at_signal = parked->ends_at_signal,
			};
	}
	pthread_mutex_unlock(&table->lock);
	return nr;
}

void parked_with(struct parked_table *table, uint64_t key,
		 void (*fn)(void *context, struct parked *parked), void *context)
{
	struct parked *parked;

	pthread_mutex_lock(&table->lock);
	parked = find(table, key);
	if (parked)
		fn(context, parked);
	pthread_mutex_unlock(&table->lock);
}
