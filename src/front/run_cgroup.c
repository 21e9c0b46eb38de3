/* SPDX-License-Identifier: MIT */
/*
 * The cgroup of a run, below the one that `epcd run` was started in. A run that lives holds a lock
 * on its directory; its name has the parent's process id and start time. What a killed parent left
 * is removed by the next run in the same place: only when no such process is there, nobody has the
 * lock, and it is empty (the kernel removes no other).
 */
#include "front/run_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "front/place.h"
#include "front/requester.h"

#define NAME_PREFIX "epcd-run-"
#define PROC "/proc"
#define NR_WALK_FDS 16 /* nftw(): a deeper tree is walked more slowly */

/* Clock ticks since boot; 0: no such process. */
static uint64_t start_time_of(pid_t pid)
{
	struct requester process;

	requester_read(pid, &process);
	return process.start_time;
}

/* Opens the directory of our own cgroup; path becomes its path below the mount ("" for the top). */
static int place_open(char path[PATH_MAX])
{
	char text[PLACE_PATH_MAX];
	const char *below = NULL;
	struct place place;
	int mount_fd, fd = -1;
	int error = place_find(PROC, &place);

	if (error)
		return error;
	error = place_task_path(PROC, getpid(), text, NULL);
	if (!error)
		below = place_below(&place, text);
	if (!error && !below)
		error = -ENOENT;
	if (error)
		goto out;
	snprintf(path, PATH_MAX, "%s", strcmp(below, "/") == 0 ? "" : below);
	mount_fd = open(place.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mount_fd >= 0)
		fd = openat(mount_fd, *path ? path + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		error = -errno;
	if (mount_fd >= 0)
		close(mount_fd);
out:
	place_fini(&place);
	return error ? error : fd;
}

static int directory_remove(const char *path, const struct stat *stat, int type, struct FTW *at)
{
	(void)stat;
	if (type == FTW_DP && at->level > 0)
		rmdir(path); /* one that is in use stays, and all above it */
	return 0;
}

/* What the command made in its cgroup, or what runs left that it had started. */
static void children_remove(int dir_fd)
{
	char path[64];

	snprintf(path, sizeof(path), PROC "/self/fd/%d/.", dir_fd);
	nftw(path, directory_remove, NR_WALK_FDS, FTW_DEPTH | FTW_PHYS);
}

/* Whether the run that has this name is over: nothing but an empty directory can be left of it. */
static bool is_leftover(int dir_fd, const char *name)
{
	unsigned long long start_time;
	char rest;
	int pid;

	if (sscanf(name, NAME_PREFIX "%d-%llu%c", &pid, &start_time, &rest) != 2 || pid <= 0)
		return false;
	/* A run in another pid namespace has an id that means nothing here, but has the lock. */
	return start_time_of(pid) != start_time && flock(dir_fd, LOCK_EX | LOCK_NB) == 0;
}

static void leftovers_remove(int place_fd)
{
	int list_fd = openat(place_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
	struct dirent *entry;

	if (!list) {
		if (list_fd >= 0)
			close(list_fd);
		return;
	}
	while ((entry = readdir(list))) {
		int fd;

		if (strncmp(entry->d_name, NAME_PREFIX, sizeof(NAME_PREFIX) - 1) != 0)
			continue;
		fd = openat(place_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (is_leftover(fd, entry->d_name)) {
			children_remove(fd);
			if (unlinkat(place_fd, entry->d_name, AT_REMOVEDIR) == 0)
				log_debug("run: removed the cgroup %s that a killed run left",
					  entry->d_name);
		}
		close(fd);
	}
	closedir(list);
}

static void cgroup_close(struct run_cgroup *cgroup)
{
	int *fds[] = { &cgroup->kill_fd, &cgroup->events_fd, &cgroup->procs_fd, &cgroup->dir_fd,
		       &cgroup->parent_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int cgroup_open(struct run_cgroup *cgroup)
{
	cgroup->dir_fd =
		openat(cgroup->parent_fd, cgroup->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup->dir_fd < 0 || flock(cgroup->dir_fd, LOCK_EX | LOCK_NB))
		return -errno;
	cgroup->procs_fd = openat(cgroup->dir_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (cgroup->procs_fd < 0)
		return -errno;
	cgroup->events_fd = openat(cgroup->dir_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (cgroup->events_fd < 0)
		return -errno;
	cgroup->kill_fd = openat(cgroup->dir_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	return 0;
}

/* Whether processes can really be put in: a child tries, so that the parent stays where it is. */
static int cgroup_try(const struct run_cgroup *cgroup)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(write(cgroup->procs_fd, "0", 1) == 1 ? 0 : errno);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

void run_cgroup_make(struct run_cgroup *cgroup)
{
	char place[PATH_MAX];
	int error = 0;

	cgroup->dir_fd = cgroup->procs_fd = cgroup->kill_fd = cgroup->events_fd = -1;
	cgroup->parent_fd = place_open(place);
	if (cgroup->parent_fd < 0) {
		log_debug("run: no cgroup of its own: %s", strerror(-cgroup->parent_fd));
		cgroup->parent_fd = -1;
		return;
	}
	leftovers_remove(cgroup->parent_fd);
	snprintf(cgroup->name, sizeof(cgroup->name), NAME_PREFIX "%d-%llu", getpid(),
		 (unsigned long long)start_time_of(getpid()));
	if (snprintf(cgroup->path, sizeof(cgroup->path), "%s/%s", place, cgroup->name) >=
	    (int)sizeof(cgroup->path))
		error = -ENAMETOOLONG;
	else if (mkdirat(cgroup->parent_fd, cgroup->name, 0755))
		error = -errno;
	else {
		error = cgroup_open(cgroup);
		if (!error)
			error = cgroup_try(cgroup);
		if (error)
			unlinkat(cgroup->parent_fd, cgroup->name, AT_REMOVEDIR);
	}
	if (error) {
		log_debug("run: no cgroup of its own: %s", strerror(-error));
		cgroup_close(cgroup);
	}
}

void run_cgroup_kill(const struct run_cgroup *cgroup)
{
	if (cgroup->kill_fd >= 0 && write(cgroup->kill_fd, "1", 1) < 0)
		log_debug("run: cgroup.kill: %m");
}

void run_cgroup_remove(struct run_cgroup *cgroup, int timeout_ms)
{
	uint64_t deadline_ns = run_deadline_ns(timeout_ms);
	struct pollfd populated = { .fd = cgroup->events_fd, .events = POLLPRI };
	char text[256];

	if (cgroup->dir_fd < 0)
		return;
	/* cgroup.events must be read before poll() tells of the next change. */
	while (pread(cgroup->events_fd, text, sizeof(text), 0) >= 0) {
		int left_ms = run_remaining_ms(deadline_ns);

		children_remove(cgroup->dir_fd);
		if (!unlinkat(cgroup->parent_fd, cgroup->name, AT_REMOVEDIR) || errno != EBUSY)
			break;
		if (!left_ms) {
			log_warning("run: the cgroup %s is not empty and stays; the next run "
				    "removes it when it is",
				    cgroup->name);
			break;
		}
		poll(&populated, 1, left_ms);
	}
	cgroup_close(cgroup);
}
