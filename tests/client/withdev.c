/* SPDX-License-Identifier: MIT */
/*
 * withdev RUNDIR -- COMMAND [ARG]...: runs COMMAND in a mount namespace of its own, whose /dev is
 * a tmpfs with everything that the old /dev had and whose /dev/sgx_* are symbolic links to the
 * nodes in RUNDIR/dev. So programs that open the one path that they know can run side by side,
 * each with a daemon of its own. For tests as root; what users run is `epcd run`.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define NR_ENTRIES_MAX 4096u
#define EXIT_SETUP 2
#define EXIT_NO_COMMAND 127

static int setup_failed(const char *what, const char *path)
{
	fprintf(stderr, "withdev: cannot %s %s: %s\n", what, path, strerror(errno));
	return -1;
}

/* Makes target, in the new /dev, the same as the old one's entry. */
static int entry_copy(int old_dev, const char *name, const char *target)
{
	char source[PATH_MAX], link[PATH_MAX];
	struct stat status;
	ssize_t length;

	if (fstatat(old_dev, name, &status, AT_SYMLINK_NOFOLLOW))
		return setup_failed("look at", target);
	if (S_ISLNK(status.st_mode)) {
		length = readlinkat(old_dev, name, link, sizeof(link) - 1);
		if (length < 0)
			return setup_failed("read the link", target);
		link[length] = '\0';
		return symlink(link, target) ? setup_failed("link", target) : 0;
	}
	if (S_ISDIR(status.st_mode) ? mkdir(target, 0755) : mknod(target, S_IFREG | 0600, 0))
		return setup_failed("make", target);
	snprintf(source, sizeof(source), "/proc/self/fd/%d/%s", old_dev, name);
	if (mount(source, target, NULL, MS_BIND | MS_REC, NULL))
		return setup_failed("bind", target);
	return 0;
}

static int entries_copy(DIR *old_dev)
{
	for (unsigned int i = 0; i < NR_ENTRIES_MAX; i++) {
		struct dirent *entry = readdir(old_dev);
		char target[PATH_MAX];

		if (!entry)
			return 0;
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    !strncmp(entry->d_name, "sgx_", 4))
			continue;
		snprintf(target, sizeof(target), "/dev/%s", entry->d_name);
		if (entry_copy(dirfd(old_dev), entry->d_name, target))
			return -1;
	}
	errno = E2BIG;
	return setup_failed("copy", "/dev");
}

static int node_link(const char *run_dir, const char *name)
{
	char source[PATH_MAX], target[PATH_MAX];

	snprintf(source, sizeof(source), "%s/dev/%s", run_dir, name);
	snprintf(target, sizeof(target), "/dev/%s", name);
	return symlink(source, target) ? setup_failed("link", target) : 0;
}

static int dev_setup(const char *run_dir)
{
	DIR *old_dev;
	int result = -1;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return setup_failed("make", "a mount namespace");
	old_dev = opendir("/dev");
	if (!old_dev)
		return setup_failed("open", "/dev");
	if (mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755")) {
		setup_failed("mount a tmpfs on", "/dev");
		goto close_dev;
	}
	if (entries_copy(old_dev) || node_link(run_dir, "sgx_vepc") ||
	    node_link(run_dir, "sgx_provision"))
		goto close_dev;
	result = 0;
close_dev:
	closedir(old_dev);
	return result;
}

int main(int argc, char **argv)
{
	if (argc < 4 || strcmp(argv[2], "--") != 0) {
		fprintf(stderr, "usage: withdev RUNDIR -- COMMAND [ARG]...\n");
		return EXIT_SETUP;
	}
	if (dev_setup(argv[1]))
		return EXIT_SETUP;
	execvp(argv[3], &argv[3]);
	setup_failed("run", argv[3]);
	return EXIT_NO_COMMAND;
}
