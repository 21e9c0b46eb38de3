/* SPDX-License-Identifier: MIT */
/*
 * `epcd run`, the parent: what happens in which order. The parent makes the place, starts the
 * daemon and the command, waits for both, and clears everything away whichever of them ends first.
 */
#include "front/run.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "front/run_internal.h"

#define RUN_SWEEP_MS 20
#define RUN_DEATH_MS 200 /* how much later the news of a death can come than its effects */

static const struct run_child no_child = { .pid = -1, .pidfd = -1, .is_gone = true };

static void run_init(struct run *run)
{
	memset(run, 0, sizeof(*run));
	run->daemon_options.run_dir = RUN_DIR;
	run->daemon_options.max_bytes = EPC_MAX_UNLIMITED;
	run->daemon_options.log_level = LOG_LEVEL_INFO;
	run->max_bytes = EPC_MAX_UNLIMITED;
	run->summary_fd = run->signal_fd = run->alive_fd = run->lifeline_fd = run->abort_fd = -1;
	run->cgroup.parent_fd = run->cgroup.dir_fd = -1;
	run->daemon = run->command_child = run->reader = no_child;
}

/* From here on signals are read, not suffered, and orphans of the command come to us. */
static int signals_init(struct run *run)
{
	static const int taken[] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	sigset_t blocked;

	sigemptyset(&run->signals);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&run->signals, taken[i]);
	blocked = run->signals;
	/* The summary must reach a terminal that the command may have taken for itself. */
	sigaddset(&blocked, SIGTTOU);
	if (sigprocmask(SIG_BLOCK, &blocked, &run->saved_signals))
		return -errno;
	run->signal_fd = signalfd(-1, &run->signals, SFD_CLOEXEC);
	if (run->signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1))
		return -errno;
	return 0;
}

static int place_make(struct run *run)
{
	int error = signals_init(run);

	if (error) {
		log_error("run: signals: %s", strerror(-error));
		return error;
	}
	run_cgroup_make(&run->cgroup);
	if (run->cgroup.dir_fd < 0)
		run->daemon_options.max_bytes = run->max_bytes;
	error = run_namespace_enter(run->namespace_name);
	return error ? error : run_dev_make();
}

/* The command has the inherited descriptors now: who waits for their end need not wait for us. */
static void descriptors_leave(const struct run *run)
{
	const int kept[] = { run->summary_fd,	    run->signal_fd,	   run->alive_fd,
			     run->lifeline_fd,	    run->daemon.pidfd,	   run->command_child.pidfd,
			     run->cgroup.parent_fd, run->cgroup.dir_fd,	   run->cgroup.procs_fd,
			     run->cgroup.kill_fd,   run->cgroup.events_fd, run->abort_fd };

	run_close_all_but(kept, sizeof(kept) / sizeof(kept[0]));
}

/* Kills all of the run but us and a session (0: none), until nothing is left to kill. */
static void rest_kill(struct run *run, pid_t spared_session, uint64_t deadline_ns)
{
	run_cgroup_kill(&run->cgroup);
	/*
	 * Until there is none: something may have been forked while we looked. Who came into the
	 * namespace from outside is not our child and ends without an event, hence the time-out.
	 */
	while (run_kill_namespace(run->namespace_name, spared_session) &&
	       run_remaining_ms(deadline_ns))
		run_wait(run, -1, run_deadline_ns(RUN_SWEEP_MS));
}

/* Kills all of the run but us, and waits until every descendant is waited for. */
static void all_end(struct run *run, uint64_t deadline_ns)
{
	run_child_signal(&run->daemon, SIGKILL);
	run_mount_abort(run->abort_fd);
	rest_kill(run, 0, deadline_ns);
	while (run->has_children)
		if (!run_wait(run, -1, deadline_ns))
			break;
}

/* The daemon gets the time to unmount; when it takes too long, it is treated as dead. */
static void daemon_end(struct run *run)
{
	uint64_t deadline_ns;

	rest_kill(run, run->daemon.pid, run_deadline_ns(RUN_END_MS));
	deadline_ns = run_deadline_ns(RUN_END_MS);
	run->is_ending = true;
	run_child_signal(&run->daemon, SIGTERM);
	while (!run->daemon.is_gone && run_wait(run, -1, deadline_ns))
		;
	if (!run->daemon.is_gone)
		log_warning("run: the daemon does not end; it is killed");
	if (!run->daemon.is_gone || run->has_children)
		all_end(run, run_deadline_ns(RUN_END_MS));
}

/* Ends what runs; returns the exit code, which is another one when the daemon died. */
static int run_end(struct run *run, int code)
{
	if (run->is_daemon_dead) {
		log_error("run: the daemon died; the command is ended, it has no EPC any more");
		run->is_ending = true;
		all_end(run, run_deadline_ns(RUN_END_MS));
		code = RUN_EXIT_DAEMON_DIED;
	} else if (!run->daemon.is_gone) {
		daemon_end(run);
	}
	run_cgroup_remove(&run->cgroup, RUN_END_MS);
	return code;
}

/* Waits for the command, asks what it used. Returns the exit code, *report may be NULL. */
static int command_finish(struct run *run, struct run_report **report)
{
	descriptors_leave(run);
	while (!run->command_child.is_gone && !run->is_daemon_dead)
		run_wait(run, -1, 0);
	if (!run->is_daemon_dead)
		*report = run_report_new(run);
	/* A daemon that does not answer any more has perhaps just died, and the command of it. */
	if (!*report && !run->is_daemon_dead)
		run_wait(run, -1, run_deadline_ns(RUN_DEATH_MS));
	return run->is_daemon_dead ? RUN_EXIT_DAEMON_DIED : run_exit_code(&run->command_child);
}

int run_main(int argc, char **argv)
{
	struct run_report *report = NULL;
	struct run run;
	int code;

	run_init(&run);
	code = run_options_parse(&run, argc, argv);
	if (code)
		return code == 1 ? RUN_EXIT_SETUP : 0;
	log_set_level((enum log_level)run.daemon_options.log_level);
	code = place_make(&run) ? RUN_EXIT_SETUP : 0;
	if (!code)
		code = run_daemon_start(&run);
	if (!code)
		code = run_command_start(&run);
	if (!code) {
		code = command_finish(&run, &report);
		run_report_show(&run, report, code);
		run_report_free(report);
	}
	return run_end(&run, code);
}
