/* SPDX-License-Identifier: MIT */
/* Who a request comes from; see requester.h. */
#include "front/requester.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define STAT_BYTES_MAX 2048u /* 52 numbers of at most 20 digits and a name */
#define FIELD_SIGNAL 31u
#define NR_DIR_ENTRIES_MAX 3u /* ".", "..", the leader */

/* Reads a small file of /proc/PID/ as a string. Returns its length, or -1. */
static ssize_t proc_read(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	length = read(fd, text, size - 1);
	close(fd);
	if (length >= 0)
		text[length] = '\0';
	return length;
}

/* stat of one thread: the file next to it sums up all threads of the process. */
static ssize_t stat_read(pid_t tid, char *text, size_t size)
{
	char name[32];

	snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
	return proc_read(tid, name, text, size);
}

int requester_stat_field(const char *stat, unsigned int number, uint64_t *value)
{
	const char *field = strrchr(stat, ')');
	char *end;

	if (!field || number < 4)
		return -EINVAL;
	field++;
	for (unsigned int i = 2; i < number; i++) {
		field = strchr(field, ' ');
		if (!field)
			return -EINVAL;
		field++;
	}
	errno = 0;
	*value = strtoull(field, &end, 10);
	return end == field || errno ? -EINVAL : 0;
}

/* The threads of a process are listed with its leader first. */
static pid_t leader_of(pid_t tid)
{
	char path[64];
	struct dirent *entry;
	pid_t leader = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)tid);
	dir = opendir(path);
	if (!dir)
		return 0;
	for (unsigned int i = 0; i < NR_DIR_ENTRIES_MAX && !leader; i++) {
		entry = readdir(dir);
		if (!entry)
			break;
		leader = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	closedir(dir);
	return leader;
}

void requester_read(pid_t tid, struct requester *requester)
{
	char text[STAT_BYTES_MAX];
	ssize_t length;

	memset(requester, 0, sizeof(*requester));
	requester->command[0] = '?';
	if (tid <= 0)
		return;
	requester->pid = leader_of(tid);
	if (!requester->pid)
		return;
	if (stat_read(requester->pid, text, sizeof(text)) > 0)
		(void)requester_stat_field(text, REQUESTER_START_TIME, &requester->start_time);
	length = proc_read(requester->pid, "comm", text, sizeof(text));
	if (length > 0)
		text_escape(requester->command, sizeof(requester->command), text,
			    (size_t)length - (text[length - 1] == '\n'));
}

bool requester_is_killed(pid_t tid)
{
	char text[STAT_BYTES_MAX];
	uint64_t pending;

	if (tid <= 0 || stat_read(tid, text, sizeof(text)) <= 0 ||
	    requester_stat_field(text, FIELD_SIGNAL, &pending))
		return true;
	return pending & (UINT64_C(1) << (SIGKILL - 1));
}
