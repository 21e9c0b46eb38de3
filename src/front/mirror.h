/* SPDX-License-Identifier: MIT */
/*
 * The mirror of the machine's cgroup v2 hierarchy: which directory is which cgroup of the core,
 * and in which one a task is. A cgroup is known by its id, the inode number of its directory; the
 * path is only its name (a cgroup v2 directory cannot be renamed). A directory that was removed
 * and made again is a new cgroup; the old one stays until its last page is gone, shown as
 * "PATH (removed)".
 *
 * What is kept, and how stale it may be: the id of a task is asked for each request, a directory is
 * checked at each look-up by path, and by the sweep (MIRROR_NR_SWEPT a second). An entry is kept
 * while it has pages, users or children, and while its directory exists and it has a limit, a peak
 * or events to remember.
 *
 * Limits outlive the daemon as an attribute of the real directory, where that is permitted.
 *
 * Locking: the mirror has locks of its own; it may take the engine's inside, never the reverse.
 * mirror_put() takes none, so it may be called anywhere.
 */
#ifndef EPCD_FRONT_MIRROR_H
#define EPCD_FRONT_MIRROR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "front/engine.h"

#define MIRROR_DEPTH_MAX 128u	      /* what is deeper pays through the ancestor at this depth */
#define MIRROR_NR_ENTRIES_MAX 131072u /* beyond, nothing new: the caller charges the opener's */
#define MIRROR_NR_SWEPT 512u	      /* directories that one sweep looks at */
#define MIRROR_SWEEP_NS UINT64_C(1000000000)
#define MIRROR_MAX_ATTRIBUTE "trusted.epcd.misc.max"

struct mirror;

/* The cookie of a core cgroup. Lives as long as the core's cgroup. */
struct mirror_cgroup {
	struct epc_cgroup *cgroup;
	uint64_t id;
	const char *path; /* "/" or "/a/b", raw bytes as in the file system; never changes */
	int is_removed;	  /* mirror_is_removed() reads it */
};

struct mirror_config {
	const char *cgroup_root; /* a directory, or NULL: find the mount in /proc/self/mountinfo */
	const char *proc_root;	 /* tests: another directory than /proc; asks_proc then too */
	bool asks_proc;		 /* never asks by pidfd */
};

/*
 * *has_cgroup2 is 0 when there is no hierarchy: the root is then the only cgroup, and everybody's.
 * Errors: -ENOMEM, those of opening cgroup_root. mirror_free() comes after engine_stop() and before
 * engine_free().
 */
int mirror_new(struct engine *engine, const char *cgroup_root, struct mirror **mirror,
	       int *has_cgroup2);
int mirror_new_with(struct engine *engine, const struct mirror_config *config,
		    struct mirror **mirror, int *has_cgroup2);
void mirror_free(struct mirror *mirror);

/* Starts the thread that sweeps once a second; mirror_free() ends it. Errors: -EAGAIN. */
int mirror_start(struct mirror *mirror);

/* Whether tasks are looked up in /proc although the kernel could tell by pidfd: for tests. */
void mirror_ask_proc(struct mirror *mirror, bool asks_proc);
bool mirror_asks_proc(struct mirror *mirror);

/*
 * The cgroup of a task, by its thread id in this pid namespace; of a threaded cgroup its domain;
 * NULL when it has no place (tid 0, gone, outside of our root): the caller then charges the cgroup
 * that opened the instance. Fast: PIDFD_GET_INFO (Linux 6.13) and a table; else /proc/TID/cgroup.
 * It makes the mirror's entries that are missing, ancestors first. NULL also when memory is short.
 * A returned cgroup has one reference more: mirror_put().
 */
struct mirror_cgroup *mirror_of_task(struct mirror *mirror, pid_t tid);
struct mirror_cgroup *mirror_root(struct mirror *mirror);

/*
 * By path ("/a/b"), if that directory is there now; else NULL and errno: ENOENT, EOPNOTSUPP (it has
 * no limit of its own: threaded, or below MIRROR_DEPTH_MAX), ENOMEM, ...
 */
struct mirror_cgroup *mirror_of_path(struct mirror *mirror, const char *path);
void mirror_put(struct mirror *mirror, struct mirror_cgroup *cgroup);
/*
 * Round all that it knows: after NULL: the root. Takes the reference on after, returns one; NULL:
 * that was all. Some have no cgroup of the core's.
 */
struct mirror_cgroup *mirror_next(struct mirror *mirror, struct mirror_cgroup *after);

/* Whether its directory is gone, as of the last sweep. Any thread, no lock. */
bool mirror_is_removed(const struct mirror_cgroup *cgroup);

/*
 * Sets misc.max in the core and, where permitted, in the directory's attribute. The old limit and
 * the usage of that moment come back.
 */
void mirror_set_max(struct mirror *mirror, struct mirror_cgroup *cgroup, uint64_t max_bytes,
		    uint64_t *old_max_bytes, uint64_t *usage_bytes);

/*
 * The real directory of a path, for the tree: opened (a new file descriptor), or looked at. Errors:
 * -ENOENT (also for what is no directory of the hierarchy), -ENAMETOOLONG, ...
 */
int mirror_open(struct mirror *mirror, const char *path);
int mirror_stat(struct mirror *mirror, const char *path, struct stat *attr);

/* Bounded upkeep, called about once a second: marks removed directories, frees what is idle. */
void mirror_sweep(struct mirror *mirror);

#endif
