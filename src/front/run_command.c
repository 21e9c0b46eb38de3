/* SPDX-License-Identifier: MIT */
/* The command of a run: put into its cgroup, limited, started. */
#include "front/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

enum stage {
	STAGE_CGROUP,
	STAGE_LIMIT,
	STAGE_EXEC
};

/* What the child tells the parent through a pipe that closes when the command begins. */
struct failure {
	enum stage stage;
	int error; /* -errno */
};

static int limit_set(const struct run *run)
{
	char path[sizeof(RUN_DIR) + PATH_MAX + 32], line[64];
	int fd, size, error = 0;

	snprintf(path, sizeof(path), RUN_DIR "/cgroup%s/misc.max", run->cgroup.path);
	size = snprintf(line, sizeof(line), "sgx_epc %" PRIu64 "\n", run->max_bytes);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, line, (size_t)size) != size)
		error = -errno;
	close(fd);
	return error;
}

static struct failure command_prepare(const struct run *run)
{
	if (run->cgroup.dir_fd < 0)
		return (struct failure){ STAGE_EXEC, 0 };
	if (write(run->cgroup.procs_fd, "0", 1) != 1)
		return (struct failure){ STAGE_CGROUP, -errno };
	if (run->max_bytes == EPC_MAX_UNLIMITED)
		return (struct failure){ STAGE_EXEC, 0 };
	return (struct failure){ STAGE_LIMIT, limit_set(run) };
}

static _Noreturn void command_process(const struct run *run, pid_t parent, int failure_fd)
{
	struct failure failure;

	/* The parent may have died before the kernel was asked to tell. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(RUN_EXIT_SETUP);
	failure = command_prepare(run);
	if (!failure.error) {
		setenv("EPCD_RUN_DIR", RUN_DIR, 1);
		sigprocmask(SIG_SETMASK, &run->saved_signals, NULL);
		execvp(run->command[0], run->command);
		failure = (struct failure){ STAGE_EXEC, -errno };
	}
	if (write(failure_fd, &failure, sizeof(failure)) < 0)
		log_debug("run: the parent is gone");
	_exit(RUN_EXIT_SETUP);
}

static void failure_log(const struct run *run, const struct failure *failure)
{
	const char *why = strerror(-failure->error);
	char *name = text_escape_string_new(run->command[0]);

	switch (failure->stage) {
	case STAGE_CGROUP:
		log_error("run: cannot enter the cgroup %s: %s", run->cgroup.name, why);
		break;
	case STAGE_LIMIT:
		log_error("run: cannot set the limit of --max: %s", why);
		break;
	case STAGE_EXEC:
		log_error("run: cannot start %s: %s; see its path and its mode",
			  name ? name : "the command", why);
		break;
	}
	free(name);
}

/* Waits for the exec: end of file, or a failure. The daemon's death is the caller's to see. */
static int command_wait_started(struct run *run, int failure_fd)
{
	struct failure failure;

	while (!run->is_daemon_dead) {
		if (!(run_wait(run, failure_fd, 0) & RUN_EVENT_FD))
			continue;
		if (read(failure_fd, &failure, sizeof(failure)) != sizeof(failure))
			return 0;
		failure_log(run, &failure);
		return RUN_EXIT_SETUP;
	}
	return 0;
}

int run_command_start(struct run *run)
{
	pid_t pid, parent = getpid();
	int ends[2], code;

	if (pipe2(ends, O_CLOEXEC)) {
		log_error("run: no pipe: %m; see whether open files are limited (ulimit -n)");
		return RUN_EXIT_SETUP;
	}
	pid = fork();
	if (pid == 0)
		command_process(run, parent, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		log_error("run: cannot fork: %m; see whether processes are limited (ulimit -u)");
		close(ends[0]);
		return RUN_EXIT_SETUP;
	}
	run_child_init(&run->command_child, pid);
	code = command_wait_started(run, ends[0]);
	close(ends[0]);
	return code;
}
