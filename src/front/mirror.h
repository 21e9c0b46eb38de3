/* SPDX-License-Identifier: MIT */
/*
 * The mirror of the machine's cgroup v2 hierarchy: which directory is which cgroup of the core,
 * and in which one a task is. A cgroup is known by its id, the inode number of its directory; the
 * path is only its name. A directory that was removed and made again is a new cgroup; the old one
 * stays until its last page is gone, shown as "PATH (removed)".
 * Locking: the mirror has a lock of its own; it may take the engine's inside, never the reverse.
 */
#ifndef EPCD_FRONT_MIRROR_H
#define EPCD_FRONT_MIRROR_H

#include <stdint.h>
#include <sys/types.h>

#include "front/engine.h"

struct mirror;

/* The cookie of a core cgroup. Lives as long as the core's cgroup; path changes under the lock. */
struct mirror_cgroup {
	struct epc_cgroup *cgroup;
	uint64_t id;
	char *path; /* "/" or "/a/b", raw bytes as in the file system */
	int is_removed; /* atomic access only */
};

/* cgroup_root: a directory, or NULL: find the mount in /proc/self/mountinfo; *has_cgroup2 tells. */
int mirror_new(struct engine *engine, const char *cgroup_root, struct mirror **mirror,
	       int *has_cgroup2);
void mirror_free(struct mirror *mirror);

/*
 * The cgroup of a task, by its thread id in this pid namespace; of a threaded cgroup its domain;
 * NULL when it has no place (tid 0, gone, a dying task that is in none): the caller then charges
 * the cgroup that opened the instance. Fast: PIDFD_GET_INFO (Linux 6.13) and a table; else
 * /proc/TID/cgroup.
 * It makes the mirror's entries that are missing, ancestors first. NULL also when memory is short.
 * A returned cgroup has one reference more: mirror_put().
 */
struct mirror_cgroup *mirror_of_task(struct mirror *mirror, pid_t tid);
struct mirror_cgroup *mirror_root(struct mirror *mirror);

/* By path ("/a/b"), if that directory is there now and is a cgroup; else NULL, errno ENOENT. */
struct mirror_cgroup *mirror_of_path(struct mirror *mirror, const char *path);
void mirror_put(struct mirror *mirror, struct mirror_cgroup *cgroup);

/* The mount's path on this machine, or NULL. For the tree: real children, owners. */
const char *mirror_mount(const struct mirror *mirror);

/* Bounded upkeep, called about once a second: marks removed directories, frees what is idle. */
void mirror_sweep(struct mirror *mirror);

#endif
