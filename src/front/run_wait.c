/* SPDX-License-Identifier: MIT */
/* What the parent of a run waits for: signals, children, the daemon's death, a descriptor. */
#include "front/run_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define NS_PER_MS UINT64_C(1000000)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t run_deadline_ns(int timeout_ms)
{
	return now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
}

int run_remaining_ms(uint64_t deadline_ns)
{
	uint64_t now = now_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS);
}

void run_child_init(struct run_child *child, pid_t pid)
{
	child->pid = pid;
	child->pidfd = pidfd_open(pid, 0); /* sets O_CLOEXEC */
	child->is_gone = false;
	child->status = 0;
}

void run_child_signal(const struct run_child *child, int signal)
{
	/* -1: not started, or no descriptor left for it; the sweep of the namespace finds it. */
	if (child->pidfd >= 0 && !child->is_gone)
		pidfd_send_signal(child->pidfd, signal, NULL, 0);
}

int run_exit_code(const struct run_child *child)
{
	if (WIFSIGNALED(child->status))
		return 128 + WTERMSIG(child->status);
	return WEXITSTATUS(child->status);
}

/* Waits for whatever has ended; orphans of the command come to us too (subreaper). */
static void children_reap(struct run *run)
{
	struct run_child *known[] = { &run->daemon, &run->command_child, &run->reader };
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (known[i]->is_gone || known[i]->pid != pid)
				continue;
			known[i]->is_gone = true;
			known[i]->status = status;
			if (known[i]->pidfd >= 0)
				close(known[i]->pidfd);
			known[i]->pidfd = -1;
		}
	}
	run->has_children = pid == 0;
}

/*
 * What a process sent to us is for the command. What the kernel sent (the terminal's keys, its
 * hang-up) the command has got already: it is in the same process group, unless it left it.
 */
static unsigned int signal_take(struct run *run, const struct signalfd_siginfo *info)
{
	int signal = (int)info->ssi_signo;

	if (signal == SIGCHLD) {
		children_reap(run);
		return RUN_EVENT_CHILD;
	}
	if (info->ssi_code <= 0)
		run_child_signal(&run->command_child, signal);
	run->last_signal = signal;
	return RUN_EVENT_SIGNAL;
}

unsigned int run_wait(struct run *run, int fd, uint64_t deadline_ns)
{
	unsigned int events = 0;

	while (!events) {
		struct pollfd fds[] = {
			{ .fd = run->signal_fd, .events = POLLIN },
			{ .fd = run->alive_fd, .events = POLLIN },
			{ .fd = fd, .events = POLLIN },
		};
		int timeout_ms = deadline_ns ? run_remaining_ms(deadline_ns) : -1;
		struct signalfd_siginfo info;

		if (poll(fds, 3, timeout_ms) == 0)
			return 0;
		/* A failed poll (EINTR after a stop) left revents alone: they are 0. */
		if (fds[0].revents && read(run->signal_fd, &info, sizeof(info)) == sizeof(info))
			events |= signal_take(run, &info);
		if (fds[1].revents) {
			close(run->alive_fd);
			run->alive_fd = -1;
			if (!run->is_ending) {
				run->is_daemon_dead = true;
				events |= RUN_EVENT_DAEMON;
			}
		}
		if (fds[2].revents)
			events |= RUN_EVENT_FD;
	}
	return events;
}
