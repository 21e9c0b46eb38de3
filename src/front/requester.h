/* SPDX-License-Identifier: MIT */
/*
 * Who a request comes from: what /proc says of a task, by its thread id. Only stat, comm and the
 * list of threads are read: they never wait for the task, as status and cmdline may. Which cgroup
 * it is in does not belong here (mirror.c).
 */
#ifndef EPCD_FRONT_REQUESTER_H
#define EPCD_FRONT_REQUESTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REQUESTER_COMMAND_MAX 64u /* 15 bytes of comm, each four when escaped, and the NUL */

struct requester {
	pid_t pid;	     /* of its process; 0: it has none in our pid namespace */
	uint64_t start_time; /* clock ticks since boot, 0: not known */
	char command[REQUESTER_COMMAND_MAX]; /* escaped; "?": not known */
};

/* Never fails: what cannot be found stays unknown. */
void requester_read(pid_t tid, struct requester *requester);

/*
 * Whether SIGKILL is pending for this thread, which is how the kernel ends every thread of a
 * process that a signal kills. True also when that cannot be known (tid 0, no /proc).
 */
bool requester_is_killed(pid_t tid);

#define REQUESTER_START_TIME 22u /* the field of stat, see proc(5) */

/*
 * Field number (3: the state, and so on, as in proc(5)) of the text of /proc/PID/stat. The name in
 * field 2 may contain anything, parentheses and newlines too. Errors: -EINVAL.
 */
int requester_stat_field(const char *stat, unsigned int number, uint64_t *value);

#endif
