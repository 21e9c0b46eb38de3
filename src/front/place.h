/* SPDX-License-Identifier: MIT */
/*
 * Places: where the cgroup v2 hierarchy is mounted and in which cgroup a task is, as the kernel
 * tells it. All reading of /proc for the mirror is here; what is kept of it is mirror.c's.
 */
#ifndef EPCD_FRONT_PLACE_H
#define EPCD_FRONT_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PLACE_PATH_MAX 4096u /* as the kernel: it shows no longer path of a cgroup */

/*
 * A directory where the hierarchy can be seen. above is what paths in /proc/TID/cgroup begin with
 * before they go on as paths below the directory: "" when it shows the root of this cgroup
 * namespace.
 */
struct place {
	char *path;
	char *above;
	bool is_cgroup2; /* else a directory that plays one, for tests */
};

/*
 * Finds the mount of cgroup2 in the mountinfo file given, or the place of the directory given.
 * Errors: -ENOENT (no mount), those of opening the directory, -ENOMEM. place_fini() frees.
 */
int place_find(const char *proc_root, struct place *place);
int place_of_directory(const char *proc_root, const char *directory, struct place *place);
void place_fini(struct place *place);

/*
 * The id of a thread's cgroup, by a pidfd; a thread that has ended and is not reaped still has it
 * (seen on Linux 6.18; in v1 hierarchies it is in the root then). Errors: -ESRCH, -ENOSYS (the
 * kernel cannot tell: before Linux 6.13), -EMFILE and so on.
 */
int place_task_id(pid_t tid, uint64_t *id);

/*
 * The path of a thread's cgroup from PROC/TID/cgroup, raw bytes. *is_cut: the kernel showed only
 * the beginning of a path that is too long for it (seen on Linux 6.18; before 6.8 reading fails);
 * path is then that of the deepest ancestor that can be named. Errors: -ESRCH, -ENOENT (the thread
 * is in no cgroup of the v2 hierarchy), -ENAMETOOLONG (an older kernel, or is_cut is NULL).
 */
int place_task_path(const char *proc_root, pid_t tid, char path[PLACE_PATH_MAX], bool *is_cut);

/* The part of path below the place, "/" or "/a/b" (borrowed from path), or NULL: it is outside. */
const char *place_below(const struct place *place, const char *path);

#endif
