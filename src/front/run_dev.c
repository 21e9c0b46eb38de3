/* SPDX-License-Identifier: MIT */
/*
 * The place of a run: a mount namespace (with a user namespace where that is needed) in which a
 * private tmpfs covers /dev. It has all that the machine's /dev has, and the run directory with
 * the links to the devices. When the last process of the run ends, all of it is gone.
 */
#include "front/run_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define FUSECTL_DIR "/sys/fs/fuse/connections"

static int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written;
	int error = 0;

	if (fd < 0)
		return -errno;
	written = write(fd, text, strlen(text));
	if (written != (ssize_t)strlen(text))
		error = written < 0 ? -errno : -EIO;
	close(fd);
	return error;
}

/* In a new user namespace every id is nobody until it is mapped: the user is himself again. */
static int ids_map(uid_t uid, gid_t gid)
{
	char line[64];
	int error;

	snprintf(line, sizeof(line), "%u %u 1\n", uid, uid);
	error = file_write("/proc/self/uid_map", line);
	if (error)
		return error;
	/* Without this the kernel takes no gid_map from an ordinary user. */
	error = file_write("/proc/self/setgroups", "deny");
	if (error)
		return error;
	snprintf(line, sizeof(line), "%u %u 1\n", gid, gid);
	return file_write("/proc/self/gid_map", line);
}

int run_namespace_enter(char name[64])
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	ssize_t size;
	int error = 0;

	if (unshare(CLONE_NEWNS)) {
		if (errno != EPERM)
			error = -errno;
		else if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			error = -errno;
		else
			error = ids_map(uid, gid);
	}
	if (error) {
		log_error("run: no mount namespace: %s; be root, or allow user namespaces (sysctl "
			  "user.max_user_namespaces, kernel.unprivileged_userns_clone)",
			  strerror(-error));
		return error;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		error = -errno;
		log_error("run: cannot make the mounts private: %s; is this a chroot?",
			  strerror(-error));
		return error;
	}
	size = readlink("/proc/self/ns/mnt", name, 63);
	if (size <= 0) {
		log_error("run: /proc/self/ns/mnt: %m; mount /proc");
		return -errno;
	}
	name[size] = '\0';
	return 0;
}

/* Also when the old /dev is that of another run. */
static bool is_ours(const char *name)
{
	return strcmp(name, "epcd") == 0 || strcmp(name, "epcd.lock") == 0 ||
	       strcmp(name, "sgx_enclave") == 0 || strcmp(name, "sgx_vepc") == 0 ||
	       strcmp(name, "sgx_provision") == 0;
}

static int link_copy(int old_fd, int new_fd, const char *name)
{
	char target[PATH_MAX];
	ssize_t size = readlinkat(old_fd, name, target, sizeof(target) - 1);

	if (size < 0)
		return -errno;
	target[size] = '\0';
	return symlinkat(target, new_fd, name) ? -errno : 0;
}

/* One entry of the old /dev appears under its name in the new one. */
static int entry_copy(int old_fd, int new_fd, const char *name)
{
	struct stat old;
	int tree_fd, made, error = 0;

	if (fstatat(old_fd, name, &old, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISLNK(old.st_mode))
		return link_copy(old_fd, new_fd, name);
	if (S_ISDIR(old.st_mode)) {
		if (mkdirat(new_fd, name, 0755))
			return -errno;
	} else {
		made = openat(new_fd, name, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (made < 0)
			return -errno;
		close(made);
	}
	tree_fd =
		open_tree(old_fd, name,
			  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
	if (tree_fd < 0 || move_mount(tree_fd, "", new_fd, name, MOVE_MOUNT_F_EMPTY_PATH))
		error = -errno;
	if (tree_fd >= 0)
		close(tree_fd);
	if (error)
		unlinkat(new_fd, name, S_ISDIR(old.st_mode) ? AT_REMOVEDIR : 0);
	return error;
}

/* What cannot be copied (a dead mount, say) is left out; the command may not even want it. */
static int entries_copy(int old_fd, int new_fd)
{
	int list_fd = openat(old_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
	struct dirent *entry;

	if (!list) {
		int error = -errno;

		if (list_fd >= 0)
			close(list_fd);
		return error;
	}
	while ((entry = readdir(list))) {
		int error;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    is_ours(entry->d_name))
			continue;
		error = entry_copy(old_fd, new_fd, entry->d_name);
		if (error)
			log_debug("run: /dev/%s is not there for the command: %s", entry->d_name,
				  strerror(-error));
	}
	closedir(list);
	return 0;
}

static int ours_make(int new_fd)
{
	if (mkdirat(new_fd, "epcd", 0755) ||
	    symlinkat("epcd/dev/sgx_enclave", new_fd, "sgx_enclave") ||
	    symlinkat("epcd/dev/sgx_vepc", new_fd, "sgx_vepc") ||
	    symlinkat("epcd/dev/sgx_provision", new_fd, "sgx_provision"))
		return -errno;
	return 0;
}

int run_dev_make(void)
{
	int old_fd, new_fd = -1, error = 0;

	old_fd = open(RUN_DEV_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old_fd < 0 || mount("tmpfs", RUN_DEV_DIR, "tmpfs", MS_NOSUID, "mode=755"))
		error = -errno;
	if (!error) {
		new_fd = open(RUN_DEV_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
		error = new_fd < 0 ? -errno : entries_copy(old_fd, new_fd);
	}
	if (!error)
		error = ours_make(new_fd);
	if (error)
		log_error("run: cannot make a private /dev: %s; this needs the right to mount and "
			  "a tmpfs",
			  strerror(-error));
	if (new_fd >= 0)
		close(new_fd);
	if (old_fd >= 0)
		close(old_fd);
	return error;
}

/* The minor device number of the mount on RUN_DIR, from mountinfo; 0: none. Waits for nobody. */
static unsigned int mount_minor_find(void)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	unsigned int found = 0;

	if (!mounts)
		return 0;
	/* "36 35 0:42 / /dev/epcd rw,... - fuse ..."; the last one is on top */
	while (getline(&line, &size, mounts) > 0) {
		unsigned int minor;
		char path[sizeof(RUN_DIR) + 1];

		if (sscanf(line, "%*u %*u %*u:%u %*s %10s ", &minor, path) == 2 &&
		    strcmp(path, RUN_DIR) == 0)
			found = minor;
	}
	free(line);
	fclose(mounts);
	return found;
}

int run_abort_open(void)
{
	char path[sizeof(FUSECTL_DIR) + 32];
	unsigned int minor = mount_minor_find();
	int fd;

	if (!minor)
		return -1;
	snprintf(path, sizeof(path), FUSECTL_DIR "/%u/abort", minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !mount("fusectl", FUSECTL_DIR, "fusectl", 0, NULL))
		fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		log_debug("run: %s: %m", path);
		return -1;
	}
	/* The number is ours as long as the mount is there: so it was when the file was opened. */
	if (mount_minor_find() == minor)
		return fd;
	close(fd);
	return -1;
}

void run_mount_abort(int abort_fd)
{
	/* Aborts the connection even when the unmounting then fails because it is busy. */
	if (umount2(RUN_DIR, MNT_FORCE))
		log_debug("run: umount of %s: %m", RUN_DIR);
	/* Nothing happens if the connection has gone. */
	if (abort_fd >= 0 && write(abort_fd, "1", 1) < 0)
		log_debug("run: the connection cannot be aborted: %m");
}
