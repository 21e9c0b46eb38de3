/* SPDX-License-Identifier: MIT */
/*
 * What the files of the mirror share: its structures, the table (mirror_table.c) and the real
 * directories (mirror_real.c). Nobody else includes this.
 *
 * An entry is found and referenced under mirror->lock only; a reference is dropped anywhere. So an
 * entry without references that the holder of the lock sees has nobody who could get one.
 */
#ifndef EPCD_FRONT_MIRROR_INTERNAL_H
#define EPCD_FRONT_MIRROR_INTERNAL_H

#include <pthread.h>

#include "front/mirror.h"
#include "front/place.h"

struct mirror_entry {
	struct mirror_cgroup shown; /* first; its cgroup is NULL when the entry never paid itself */
	struct mirror_entry *parent; /* has a reference; NULL: the root */
	struct mirror_entry *payer;  /* itself, or the ancestor that pays for its tasks */
	struct mirror_entry *next_by_id;
	struct mirror_entry *next, *prev; /* the ring of all, which the sweep goes round */
	unsigned int depth;
	unsigned int nr_references; /* atomic */
	int was_used;		    /* atomic: since the last sweep */
};

struct mirror {
	struct engine *engine;
	struct place place;
	char *proc_root;
	int root_fd; /* -1: no hierarchy */
	dev_t root_dev;

	pthread_mutex_t lock; /* the table, the ring, payers */
	struct mirror_entry **buckets;
	size_t nr_buckets, nr_entries;
	struct mirror_entry *root, *hand;
	bool asks_proc; /* atomic */

	pthread_mutex_t limit_lock; /* limit and attribute change together */
	pthread_mutex_t sweep_lock;
	struct mirror_entry *swept[MIRROR_NR_SWEPT]; /* sweep_lock's */

	pthread_mutex_t thread_lock;
	pthread_cond_t thread_wake;
	pthread_t thread;
	bool is_started, stops; /* thread_lock's */
};

/* mirror_table.c. With mirror->lock, or before anybody else has the mirror. */
struct mirror_entry *mirror_table_find(struct mirror *mirror, uint64_t id);
void mirror_table_add(struct mirror *mirror, struct mirror_entry *entry);
void mirror_table_remove(struct mirror *mirror, struct mirror_entry *entry);

/* mirror_table.c: an entry that is in no table yet, with one reference; NULL: no memory. */
struct mirror_entry *mirror_entry_new(struct mirror_entry *parent, uint64_t id, const char *path,
				      size_t path_size);
void mirror_entry_free(struct mirror_entry *entry);
struct mirror_entry *mirror_entry_get(struct mirror_entry *entry);
void mirror_entry_put(struct mirror_entry *entry);
bool mirror_entry_is_referenced(const struct mirror_entry *entry);

/* mirror_real.c. mirror_child_open() opens name (name_size bytes) in the directory fd. */
int mirror_child_open(const struct mirror *mirror, int fd, const char *name, size_t name_size,
		      struct stat *attr);
bool mirror_is_threaded(int fd);
uint64_t mirror_attribute_read(int fd);
void mirror_attribute_write(struct mirror *mirror, const struct mirror_cgroup *cgroup,
			    uint64_t max_bytes);

/* mirror_sweep.c: ends the thread, if there is one. */
void mirror_stop(struct mirror *mirror);

#endif
