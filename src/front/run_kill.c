/* SPDX-License-Identifier: MIT */
/*
 * Ending what is left of a run. Its mount namespace is its mark: whatever the command started is
 * in it, however far it went from its process group, its session or its parent.
 */
#include "front/run_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/log.h"

static bool is_in_namespace(pid_t pid, const char *name)
{
	char path[64], found[64];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	size = readlink(path, found, sizeof(found) - 1);
	if (size <= 0)
		return false; /* gone, a zombie, or not ours to see */
	found[size] = '\0';
	return strcmp(found, name) == 0;
}

/* Looks again once the pidfd stands for the process: the id may have become another's. */
static bool kill_if_in_namespace(pid_t pid, const char *name)
{
	bool was_killed = false;
	int pidfd;

	if (!is_in_namespace(pid, name))
		return false;
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0)
		return false;
	if (is_in_namespace(pid, name))
		was_killed = pidfd_send_signal(pidfd, SIGKILL, NULL, 0) == 0;
	close(pidfd);
	return was_killed;
}

unsigned int run_kill_namespace(const char *name, pid_t spared_session)
{
	unsigned int nr_killed = 0;
	struct dirent *entry;
	DIR *list;

	if (!*name)
		return 0;
	list = opendir("/proc");
	if (!list)
		return 0;
	while ((entry = readdir(list))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || pid == getpid() ||
		    (spared_session && getsid(pid) == spared_session))
			continue;
		if (kill_if_in_namespace(pid, name))
			nr_killed++;
	}
	closedir(list);
	return nr_killed;
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void run_close_all_but(const int *fds, unsigned int nr_fds)
{
	int sorted[16];
	unsigned int first = STDERR_FILENO + 1;

	if (nr_fds > sizeof(sorted) / sizeof(sorted[0]))
		return;
	memcpy(sorted, fds, nr_fds * sizeof(fds[0]));
	qsort(sorted, nr_fds, sizeof(sorted[0]), compare_fds);
	for (unsigned int i = 0; i < nr_fds; i++) {
		unsigned int kept = (unsigned int)sorted[i];

		if (sorted[i] < (int)first)
			continue; /* -1, one of the three, or a second time */
		if (kept > first)
			close_range(first, kept - 1, 0);
		first = kept + 1;
	}
	close_range(first, ~0u, 0);
}
