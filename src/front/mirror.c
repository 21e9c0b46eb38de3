/* SPDX-License-Identifier: MIT */
/*
 * The mirror: how the entry of a task or of a path is found and made; see mirror.h. How the kernel
 * tells where a task is: place.c. How entries go again: mirror_sweep.c.
 */
#include "front/mirror_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/misc.h"

#define NR_BUCKETS_MIN 256u
#define NR_TRIES 3u	   /* a task that moves all the time */
#define HANDLE_KERNFS 0xfe /* FILEID_KERNFS: the handle of a cgroup directory is its id */

static struct mirror_entry *entry_of(struct mirror_cgroup *cgroup)
{
	return (struct mirror_entry *)(void *)cgroup;
}

/* The entry of an id with one reference, or NULL. */
static struct mirror_entry *entry_find(struct mirror *mirror, uint64_t id)
{
	struct mirror_entry *entry;

	pthread_mutex_lock(&mirror->lock);
	entry = mirror_table_find(mirror, id);
	if (entry) {
		mirror_entry_get(entry);
		__atomic_store_n(&entry->was_used, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&mirror->lock);
	return entry;
}

/* Who pays for the tasks of entry, with one reference; drops the one on entry. */
static struct mirror_entry *entry_payer(struct mirror *mirror, struct mirror_entry *entry)
{
	struct mirror_entry *payer;

	pthread_mutex_lock(&mirror->lock);
	payer = mirror_entry_get(entry->payer);
	pthread_mutex_unlock(&mirror->lock);
	mirror_entry_put(entry);
	return payer;
}

/* The core's cgroup of a new entry. With mirror->lock. */
static int entry_bind(struct mirror *mirror, struct mirror_entry *entry, uint64_t max_bytes)
{
	struct epc *epc = engine_lock(mirror->engine);
	int error;

	error = epc_cgroup_new(epc, entry->parent->shown.cgroup, entry->shown.id, &entry->shown,
			       &entry->shown.cgroup);
	if (!error && max_bytes != MISC_MAX)
		epc_cgroup_set_max(epc, entry->shown.cgroup, max_bytes);
	engine_unlock(mirror->engine);
	return error;
}

/* Adds an entry, taken, or finds that somebody did so before. With mirror->lock. */
static struct mirror_entry *entry_add(struct mirror *mirror, struct mirror_entry *entry, bool pays,
				      uint64_t max_bytes)
{
	struct mirror_entry *found = mirror_table_find(mirror, entry->shown.id);

	if (found)
		mirror_entry_get(found);
	if (found || mirror->nr_entries >= MIRROR_NR_ENTRIES_MAX)
		goto free_entry;
	if (entry->parent->payer != entry->parent || !pays)
		entry->payer = entry->parent->payer;
	else if (entry_bind(mirror, entry, max_bytes) != 0)
		goto free_entry;
	mirror_table_add(mirror, entry);
	return entry;
free_entry:
	mirror_entry_put(entry->parent);
	mirror_entry_free(entry);
	return found;
}

/*
 * The entry of a real directory (fd, id), which is the child of parent's and whose path are the
 * first path_size bytes of path; made if it is not there. NULL: no memory.
 */
static struct mirror_entry *entry_make(struct mirror *mirror, struct mirror_entry *parent, int fd,
				       uint64_t id, const char *path, size_t path_size)
{
	struct mirror_entry *entry = entry_find(mirror, id);
	bool pays;
	uint64_t max_bytes;

	if (entry)
		return entry;
	entry = mirror_entry_new(parent, id, path, path_size);
	if (!entry)
		return NULL;
	pays = entry->depth <= MIRROR_DEPTH_MAX && !mirror_is_threaded(fd);
	max_bytes = mirror_attribute_read(fd);
	pthread_mutex_lock(&mirror->lock);
	entry = entry_add(mirror, entry, pays, max_bytes);
	pthread_mutex_unlock(&mirror->lock);
	return entry;
}

/*
 * Goes down a path from the root, directory by directory, and makes what is missing; the entry of
 * the last one, with a reference. Errors: -ENOENT, -ENOMEM, ...
 */
static int walk(struct mirror *mirror, const char *path, struct mirror_entry **found)
{
	struct mirror_entry *entry = mirror_entry_get(mirror->root);
	int fd = mirror_open(mirror, "/"), error = fd < 0 ? fd : 0;
	const char *at = path;

	while (!error && *(at += strspn(at, "/"))) {
		size_t name_size = strcspn(at, "/");
		struct mirror_entry *child;
		struct stat attr;
		int child_fd;

		child_fd = mirror_child_open(mirror, fd, at, name_size, &attr);
		if (child_fd < 0) {
			error = child_fd;
			break;
		}
		close(fd);
		fd = child_fd;
		at += name_size;
		child = entry_make(mirror, entry, fd, attr.st_ino, path, (size_t)(at - path));
		mirror_entry_put(entry);
		entry = child;
		if (!entry)
			error = -ENOMEM;
	}
	if (fd >= 0)
		close(fd);
	if (error && entry)
		mirror_entry_put(entry);
	*found = error ? NULL : entry;
	return error;
}

/* The entry of a directory that is there now. */
static int entry_of_path(struct mirror *mirror, const char *path, struct mirror_entry **entry)
{
	struct stat attr;
	int error;

	error = mirror_stat(mirror, path, &attr);
	if (error)
		return error;
	*entry = entry_find(mirror, attr.st_ino);
	return *entry ? 0 : walk(mirror, path, entry);
}

/*
 * The entry of a task's cgroup by its path in /proc, with a reference; of one whose path is too
 * long that of an ancestor: were such a task charged to nobody, it could escape its limits by going
 * deep.
 */
static int entry_of_task_path(struct mirror *mirror, pid_t tid, struct mirror_entry **entry,
			      bool *is_cut)
{
	char path[PLACE_PATH_MAX];
	const char *below;
	int error;

	error = place_task_path(mirror->proc_root, tid, path, is_cut);
	if (error)
		return error;
	below = place_below(&mirror->place, path);
	if (!below)
		return -ENOENT;
	/* A live directory may be called "x (deleted)" too, so nothing is cut off: a cgroup that is
	 * gone has only tasks that are gone, unless its id is known. */
	return entry_of_path(mirror, below, entry);
}

/*
 * The entry of a cgroup of which only an ancestor can be named. It has no path, and keeps the
 * answer until the sweep finds it unused. Drops the reference on the ancestor.
 */
static struct mirror_entry *entry_make_nameless(struct mirror *mirror, uint64_t id,
						struct mirror_entry *ancestor)
{
	struct mirror_entry *entry = mirror_entry_new(ancestor, id, "", 0);

	if (entry) {
		pthread_mutex_lock(&mirror->lock);
		entry = entry_add(mirror, entry, false, MISC_MAX);
		pthread_mutex_unlock(&mirror->lock);
	}
	mirror_entry_put(ancestor);
	return entry;
}

/* A task's entry by the id that the kernel tells. */
static int entry_of_task_id(struct mirror *mirror, pid_t tid, struct mirror_entry **entry)
{
	uint64_t id = 0;
	bool is_cut;
	int error;

	for (unsigned int i = 0; i < NR_TRIES; i++) {
		error = place_task_id(tid, &id);
		if (error)
			return error;
		*entry = entry_find(mirror, id);
		if (*entry)
			return 0;
		error = entry_of_task_path(mirror, tid, entry, &is_cut);
		if (error)
			return error;
		if (is_cut) {
			*entry = entry_make_nameless(mirror, id, *entry);
			return *entry ? 0 : -ENOMEM;
		}
		if ((*entry)->shown.id == id)
			return 0;
		mirror_entry_put(*entry); /* it moved between the two questions */
	}
	return -EAGAIN;
}

struct mirror_cgroup *mirror_of_task(struct mirror *mirror, pid_t tid)
{
	struct mirror_entry *entry = NULL;
	bool is_cut;
	int error = -ENOSYS;

	if (tid <= 0)
		return NULL;
	if (mirror->root_fd < 0)
		return mirror_root(mirror);
	if (!mirror_asks_proc(mirror)) {
		error = entry_of_task_id(mirror, tid, &entry);
		if (error == -ENOSYS)
			mirror_ask_proc(mirror, true);
	}
	if (error == -ENOSYS)
		error = entry_of_task_path(mirror, tid, &entry, &is_cut);
	return error ? NULL : &entry_payer(mirror, entry)->shown;
}

struct mirror_cgroup *mirror_root(struct mirror *mirror)
{
	return &mirror_entry_get(mirror->root)->shown;
}

struct mirror_cgroup *mirror_of_path(struct mirror *mirror, const char *path)
{
	struct mirror_entry *entry, *payer;
	int error;

	if (strcmp(path, "/") == 0)
		return mirror_root(mirror);
	error = entry_of_path(mirror, path, &entry);
	if (error) {
		errno = -error;
		return NULL;
	}
	mirror_entry_get(entry);
	payer = entry_payer(mirror, entry);
	mirror_entry_put(entry);
	if (payer == entry)
		return &payer->shown;
	mirror_entry_put(payer);
	errno = EOPNOTSUPP;
	return NULL;
}

void mirror_put(struct mirror *mirror, struct mirror_cgroup *cgroup)
{
	(void)mirror;
	mirror_entry_put(entry_of(cgroup));
}

struct mirror_cgroup *mirror_next(struct mirror *mirror, struct mirror_cgroup *after)
{
	struct mirror_entry *entry;

	pthread_mutex_lock(&mirror->lock);
	entry = after ? ((struct mirror_entry *)after)->next : mirror->root;
	if (after && entry == mirror->root)
		entry = NULL;
	if (entry)
		mirror_entry_get(entry);
	pthread_mutex_unlock(&mirror->lock);
	if (after)
		mirror_put(mirror, after);
	return entry ? &entry->shown : NULL;
}

bool mirror_is_removed(const struct mirror_cgroup *cgroup)
{
	return __atomic_load_n(&cgroup->is_removed, __ATOMIC_RELAXED) != 0;
}

void mirror_set_max(struct mirror *mirror, struct mirror_cgroup *cgroup, uint64_t max_bytes,
		    uint64_t *old_max_bytes, uint64_t *usage_bytes)
{
	struct epc_cgroup_report report;
	struct epc *epc;

	pthread_mutex_lock(&mirror->limit_lock);
	epc = engine_lock(mirror->engine);
	epc_cgroup_report(cgroup->cgroup, &report);
	epc_cgroup_set_max(epc, cgroup->cgroup, max_bytes);
	engine_unlock(mirror->engine);
	mirror_attribute_write(mirror, cgroup, max_bytes);
	pthread_mutex_unlock(&mirror->limit_lock);
	*old_max_bytes = report.max_bytes;
	*usage_bytes = report.usage_bytes;
}

void mirror_ask_proc(struct mirror *mirror, bool asks_proc)
{
	__atomic_store_n(&mirror->asks_proc, asks_proc, __ATOMIC_RELAXED);
}

bool mirror_asks_proc(struct mirror *mirror)
{
	return __atomic_load_n(&mirror->asks_proc, __ATOMIC_RELAXED);
}

/* Finds the hierarchy and opens its root; without one root_fd stays -1. */
static int hierarchy_open(struct mirror *mirror, const char *cgroup_root, uint64_t *root_id)
{
	struct stat attr;
	int error;

	error = cgroup_root ? place_of_directory(mirror->proc_root, cgroup_root, &mirror->place) :
			      place_find(mirror->proc_root, &mirror->place);
	if (error)
		return error == -ENOENT && !cgroup_root ? 0 : error;
	mirror->root_fd = open(mirror->place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mirror->root_fd < 0 || fstat(mirror->root_fd, &attr) != 0)
		return -errno;
	mirror->root_dev = attr.st_dev;
	*root_id = attr.st_ino;
	return 0;
}

static int root_make(struct mirror *mirror, uint64_t root_id)
{
	struct mirror_entry *root = mirror_entry_new(NULL, root_id, "/", 1);
	struct epc *epc;

	if (!root)
		return -ENOMEM;
	epc = engine_lock(mirror->engine);
	root->shown.cgroup = epc_cgroup_root(epc);
	epc_cgroup_set_cookie(root->shown.cgroup, &root->shown);
	engine_unlock(mirror->engine);
	mirror_table_add(mirror, root);
	return 0;
}

int mirror_new_with(struct engine *engine, const struct mirror_config *config,
		    struct mirror **result, int *has_cgroup2)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));
	pthread_condattr_t monotonic;
	uint64_t root_id = 0;
	int error = -ENOMEM;

	if (!mirror)
		return -ENOMEM;
	mirror->engine = engine;
	mirror->root_fd = -1;
	mirror->asks_proc = config->asks_proc || config->proc_root;
	mirror->nr_buckets = NR_BUCKETS_MIN;
	pthread_mutex_init(&mirror->lock, NULL);
	pthread_mutex_init(&mirror->limit_lock, NULL);
	pthread_mutex_init(&mirror->sweep_lock, NULL);
	pthread_mutex_init(&mirror->thread_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&mirror->thread_wake, &monotonic);
	pthread_condattr_destroy(&monotonic);

	mirror->proc_root = strdup(config->proc_root ? config->proc_root : "/proc");
	mirror->buckets = calloc(mirror->nr_buckets, sizeof(struct mirror_entry *));
	if (mirror->proc_root && mirror->buckets)
		error = hierarchy_open(mirror, config->cgroup_root, &root_id);
	/* What plays a hierarchy has other ids than the kernel knows. */
	mirror->asks_proc |= mirror->root_fd >= 0 && !mirror->place.is_cgroup2;
	if (!error)
		error = root_make(mirror, root_id);
	if (error) {
		mirror_free(mirror);
		return error;
	}
	*has_cgroup2 = mirror->root_fd >= 0;
	*result = mirror;
	return 0;
}

int mirror_new(struct engine *engine, const char *cgroup_root, struct mirror **mirror,
	       int *has_cgroup2)
{
	const struct mirror_config config = { .cgroup_root = cgroup_root };

	return mirror_new_with(engine, &config, mirror, has_cgroup2);
}

void mirror_free(struct mirror *mirror)
{
	struct mirror_entry *entry, *next;

	if (!mirror)
		return;
	mirror_stop(mirror);
	if (mirror->root) {
		for (entry = mirror->root->next; entry != mirror->root; entry = next) {
			next = entry->next;
			mirror_entry_free(entry);
		}
		mirror_entry_free(mirror->root);
	}
	if (mirror->root_fd >= 0)
		close(mirror->root_fd);
	place_fini(&mirror->place);
	free(mirror->buckets);
	free(mirror->proc_root);
	pthread_cond_destroy(&mirror->thread_wake);
	pthread_mutex_destroy(&mirror->thread_lock);
	pthread_mutex_destroy(&mirror->sweep_lock);
	pthread_mutex_destroy(&mirror->limit_lock);
	pthread_mutex_destroy(&mirror->lock);
	free(mirror);
}
