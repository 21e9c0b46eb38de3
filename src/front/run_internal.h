/* SPDX-License-Identifier: MIT */
/*
 * The parts of `epcd run`, for run*.c only. Who is who: the parent (run.c, run_wait.c), the daemon
 * with its watcher (run_daemon.c), the command (run_command.c).
 *
 * The parent must never wait for the daemon in the kernel: it opens nothing in the run's mount.
 * What has to be read or written there is done by a child of its own.
 */
#ifndef EPCD_FRONT_RUN_INTERNAL_H
#define EPCD_FRONT_RUN_INTERNAL_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "front/daemon.h"
#include "front/run.h"

#define RUN_DEV_DIR "/dev"
#define RUN_DIR "/dev/epcd" /* EPCD_RUN_DIR of the command */
#define RUN_END_MS 1500	    /* each step of ending what is left takes no longer */

/* A child of the parent, or one that was not started (pidfd -1). */
struct run_child {
	pid_t pid; /* ours to wait for: it cannot be another process before we did */
	int pidfd;
	bool is_gone; /* waited for; status says how it ended */
	int status;
};

/* The run's own cgroup. Without one dir_fd is -1. */
struct run_cgroup {
	char name[64];	     /* epcd-run-PID-STARTTIME */
	char path[PATH_MAX]; /* below the cgroup2 mount, "/a/epcd-run-1-2" */
	int parent_fd;	     /* the directory that name is in */
	int dir_fd;	     /* locked (flock): the mark of a run that lives */
	int procs_fd;	     /* cgroup.procs */
	int kill_fd;	     /* cgroup.kill; -1 before Linux 5.14 */
	int events_fd;	     /* cgroup.events */
};

struct run {
	struct daemon_options daemon_options;
	uint64_t max_bytes; /* --max; EPC_MAX_UNLIMITED without */
	const char *summary_path;
	int summary_fd; /* opened before anything is set up; -1 without */
	char **command; /* argv, NULL at the end */

	sigset_t signals;	/* read from signal_fd */
	sigset_t saved_signals; /* the mask that the command gets back */
	int signal_fd;
	struct run_cgroup cgroup;
	char namespace_name[64]; /* of the private mount namespace, "mnt:[N]"; empty: not made */
	int abort_fd;		 /* see run_abort_open() */

	struct run_child daemon, command_child, reader;
	int alive_fd;	     /* end of file when the daemon dies, see run_daemon.c */
	int lifeline_fd;     /* the parent's end: closes when the parent dies */
	bool is_ending;	     /* the daemon was asked to end */
	bool is_daemon_dead; /* and nobody had asked it to end */
	bool has_children;   /* as of the last SIGCHLD; descendants come to the parent in time */
	int last_signal;     /* last one that was to end the run, 0: none */
};

/* run_options.c: argv into *run (borrowed); 0, or 1 after one line in the log, or 2: help shown. */
int run_options_parse(struct run *run, int argc, char **argv);

/* run_dev.c: namespaces and the private /dev. Logs. 0 or -errno. */
int run_namespace_enter(char name[64]);
int run_dev_make(void);
/*
 * Opens what aborts the connection of the run's mount; -1: there is none. To be opened while it is
 * mounted: its name is a number that is another connection's as soon as the mount has gone.
 */
int run_abort_open(void);
/* Ends the connection of the run's mount, so that whoever waits in it goes on. */
void run_mount_abort(int abort_fd);

/* run_cgroup.c */
/* Makes it, or says why not (debug level) and leaves dir_fd -1. Removes what dead runs left. */
void run_cgroup_make(struct run_cgroup *cgroup);
void run_cgroup_kill(const struct run_cgroup *cgroup);
/* Waits until it is empty, timeout_ms at most, and removes it. */
void run_cgroup_remove(struct run_cgroup *cgroup, int timeout_ms);

/*
 * run_kill.c: SIGKILL for every process in the named mount namespace but the caller's own and those
 * of one session (0: none): the daemon and its watcher have a session, of the daemon's number.
 * Returns how many were there. An empty name: nothing is done.
 */
unsigned int run_kill_namespace(const char *name, pid_t spared_session);
/* Closes all descriptors from 3 on but those given (any order, -1 ignored). */
void run_close_all_but(const int *fds, unsigned int nr_fds);

/* run_daemon.c: forks the daemon, waits until it is ready. 0, or the exit code of the run. */
int run_daemon_start(struct run *run);

/* run_command.c: starts the command (0 or the exit code of the run, logged). */
int run_command_start(struct run *run);

/* run_wait.c */
enum run_event {
	RUN_EVENT_CHILD = 1,  /* a child ended */
	RUN_EVENT_DAEMON = 2, /* the daemon died, and was not asked to */
	RUN_EVENT_FD = 4,     /* fd can be read, or is at its end */
	RUN_EVENT_SIGNAL = 8, /* last_signal is new */
};
/*
 * Waits for the next events (fd: one more to poll, -1: none) until deadline_ns on the monotonic
 * clock (0: for ever). Forwards signals to the command, waits for children that ended. Returns
 * run_event bits; 0: the deadline passed.
 */
unsigned int run_wait(struct run *run, int fd, uint64_t deadline_ns);
uint64_t run_deadline_ns(int timeout_ms);
int run_remaining_ms(uint64_t deadline_ns);
/* After fork: fills child in. pidfd may be -1 afterwards only when descriptors ran out. */
void run_child_init(struct run_child *child, pid_t pid);

/* SIGKILL or another signal to a child that was started and not waited for. */
void run_child_signal(const struct run_child *child, int signal);
/* The exit code that stands for how a child ended. */
int run_exit_code(const struct run_child *child);

/*
 * run_summary.c: asks the daemon what the run used (NULL when it does not say), then tells stderr
 * and summary_fd. report_free() of NULL is nothing.
 */
struct run_report *run_report_new(struct run *run);
void run_report_free(struct run_report *report);
void run_report_show(struct run *run, const struct run_report *report, int exit_code);

#endif
