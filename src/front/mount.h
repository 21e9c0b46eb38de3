/* SPDX-License-Identifier: MIT */
/*
 * The mount: the run directory and its lock, /dev/fuse, the mount itself, what is set for it in
 * sysfs, the link in /dev; and the way back. What is served in it does not belong here.
 */
#ifndef EPCD_FRONT_MOUNT_H
#define EPCD_FRONT_MOUNT_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define MOUNT_FS_TYPE "fuse.epcd"
#define MOUNT_LINK "/dev/sgx_vepc"

struct mount_point {
	char dir[PATH_MAX]; /* absolute, without links */
	char lock_path[PATH_MAX];
	char link_target[PATH_MAX];
	int lock_fd; /* locked while the daemon lives; -1 */
	int fuse_fd; /* /dev/fuse until mount_up() has given it away; -1 */
	bool made_dir, is_mounted, has_link;
};

/*
 * Looks at everything that mount_up() needs, mounts nothing: kernel, /dev/fuse, the directory (made
 * if it is missing; what a dead daemon left mounted is unmounted), nobody else's daemon on it, and
 * whether MOUNT_LINK can be made if links_dev. On failure logs one line that says what helps,
 * undoes what it did and returns -errno.
 */
int mount_prepare(struct mount_point *point, const char *run_dir, bool links_dev);

/* Mounts. Returns the descriptor of the connection (the caller's), or -errno, logged. */
int mount_up(struct mount_point *point);

/* The link in /dev. 0 or -errno, logged. */
int mount_link(struct mount_point *point);

/* That files of the mount have. 0 or -errno. */
int mount_device_number(const struct mount_point *point, dev_t *number);

/*
 * Lifts the limits on dirty pages, which are meant for slow file systems: with them a client pays
 * for each page that it writes again. *why says what is not permitted on -errno.
 */
int mount_lift_dirty_limits(const struct mount_point *point, const char **why);

/* Ends the connection and takes link, mount and lock away, whatever of them is there. */
void mount_down(struct mount_point *point);

#endif
