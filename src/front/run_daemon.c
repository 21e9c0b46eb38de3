/* SPDX-License-Identifier: MIT */
/*
 * The daemon of a run, and how its parent and it learn of each other's death.
 *
 * A daemon that is killed while the kernel works for it (an unmapping that waits for its clients)
 * keeps that one thread: its process does not become waitable and its descriptors stay open. No
 * SIGCHLD, no pidfd, no end of file tells of its death, and its clients hang until somebody aborts
 * the connection. But its main thread is in no such call and dies at once, and the kernel can
 * signal that to the children of that thread (PR_SET_PDEATHSIG). So the daemon has a child, the
 * watcher, which is killed by it and has the only writing end of the `alive` pipe. In the other
 * direction the watcher sees the end of the `lifeline` pipe when the parent dies, and ends
 * everything.
 */
#include "front/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

#define RUN_ORPHAN_MS 700 /* each of two steps, so that all ends within two seconds */

/* The parent was killed: nothing of the run may stay, and nobody is left to see to it but us. */
static void run_is_orphaned(struct run *run, int daemon_fd)
{
	struct pollfd daemon = { .fd = daemon_fd, .events = POLLIN };

	run_cgroup_kill(&run->cgroup);
	run_kill_namespace(run->namespace_name, getsid(0));
	run_cgroup_remove(&run->cgroup, RUN_ORPHAN_MS);
	pidfd_send_signal(daemon_fd, SIGTERM, NULL, 0);
	poll(&daemon, 1, RUN_ORPHAN_MS); /* when it ends, so do we */
	run_mount_abort(run_abort_open());
	run_kill_namespace(run->namespace_name, 0);
}

static _Noreturn void watcher_process(struct run *run, pid_t daemon, int daemon_fd, int alive_fd,
				      int lifeline_fd)
{
	struct pollfd lifeline = { .fd = lifeline_fd, .events = POLLIN };
	const struct run_cgroup *cgroup = &run->cgroup;
	int kept[] = { daemon_fd,      alive_fd,	 lifeline_fd,	  cgroup->parent_fd,
		       cgroup->dir_fd, cgroup->procs_fd, cgroup->kill_fd, cgroup->events_fd };

	run_close_all_but(kept, sizeof(kept) / sizeof(kept[0]));
	/* The daemon may have died before the kernel was asked to tell. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != daemon)
		_exit(RUN_EXIT_SETUP);
	while (poll(&lifeline, 1, -1) < 0 && errno == EINTR)
		;
	run_is_orphaned(run, daemon_fd);
	_exit(0);
}

/* In the daemon's main thread, before there is another. */
static int watcher_start(struct run *run, int alive_fd, int lifeline_fd)
{
	pid_t daemon = getpid(), pid;
	int daemon_fd = pidfd_open(daemon, 0);

	if (daemon_fd < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		watcher_process(run, daemon, daemon_fd, alive_fd, lifeline_fd);
	return pid < 0 ? -errno : 0;
}

/* No terminal, no output but the log: the command's own are not held open by us. */
static int stdio_leave(void)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0)
		return -errno;
	dup2(null_fd, STDIN_FILENO);
	dup2(null_fd, STDOUT_FILENO);
	close(null_fd);
	return setsid() < 0 ? -errno : 0;
}

static _Noreturn void daemon_process(struct run *run, int ready_fd, int alive_fd, int lifeline_fd)
{
	int error = stdio_leave();

	if (!error)
		error = watcher_start(run, alive_fd, lifeline_fd);
	if (error) {
		log_error("run: cannot start the daemon: %s; see whether processes and open "
			  "files are limited here (ulimit -u, -n)",
			  strerror(-error));
		exit(RUN_EXIT_SETUP);
	}
	run_close_all_but(&ready_fd, 1);
	sigprocmask(SIG_SETMASK, &run->saved_signals, NULL);
	exit(daemon_main(&run->daemon_options, ready_fd));
}

/* Its own line on stderr has said why; we only know that it did not get ready. */
static int daemon_not_ready(struct run *run)
{
	uint64_t deadline_ns = run_deadline_ns(RUN_END_MS);

	run->is_ending = true;
	run->is_daemon_dead = false; /* it is, but it was never there for a command */
	while (!run->daemon.is_gone && run_wait(run, -1, deadline_ns))
		;
	if (!run->daemon.is_gone || run->daemon.status != RUN_EXIT_SETUP << 8)
		log_error("run: the daemon did not start; `epcd run --debug` says more");
	return RUN_EXIT_SETUP;
}

static int daemon_wait_ready(struct run *run, int ready_fd)
{
	for (;;) {
		unsigned int events = run_wait(run, ready_fd, 0);
		char byte;

		if (events & RUN_EVENT_FD) {
			if (read(ready_fd, &byte, 1) != 1)
				return daemon_not_ready(run);
			run->abort_fd = run_abort_open();
			return 0;
		}
		if (events & RUN_EVENT_DAEMON)
			return daemon_not_ready(run);
		if (events & RUN_EVENT_SIGNAL)
			return 128 + run->last_signal;
	}
}

static void pipe_close(int ends[2])
{
	for (unsigned int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

int run_daemon_start(struct run *run)
{
	int ready[2] = { -1, -1 }, alive[2] = { -1, -1 }, lifeline[2] = { -1, -1 };
	int code = RUN_EXIT_SETUP;
	pid_t pid = -1;

	if (!pipe2(ready, O_CLOEXEC) && !pipe2(alive, O_CLOEXEC) && !pipe2(lifeline, O_CLOEXEC))
		pid = fork();
	if (pid == 0)
		daemon_process(run, ready[1], alive[1], lifeline[0]);
	if (pid < 0) {
		log_error("run: cannot start the daemon: %m; see whether processes and open files "
			  "are limited here (ulimit -u, -n)");
		pipe_close(ready);
		pipe_close(alive);
		pipe_close(lifeline);
		return code;
	}
	run_child_init(&run->daemon, pid);
	run->has_children = true;
	close(ready[1]);
	close(alive[1]);
	close(lifeline[0]);
	run->alive_fd = alive[0];
	run->lifeline_fd = lifeline[1];
	code = daemon_wait_ready(run, ready[0]);
	close(ready[0]);
	return code;
}
