/* SPDX-License-Identifier: MIT */
/*
 * The daemon's life: its parts made in order, wired, started, and taken down in reverse. What the
 * parts do is theirs; see daemon.h.
 */
#include "front/daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/size.h"
#include "front/describe.h"
#include "front/device.h"
#include "front/fetch.h"
#include "front/instance.h"
#include "front/journal.h"
#include "front/mirror.h"
#include "front/mount.h"
#include "front/notify.h"
#include "front/session.h"
#include "front/swap_store.h"

#define EXIT_MOUNT_LOST 1
#define EXIT_SETUP 2
#define WATCH_MS 50 /* a killed client that was interrupted before waits so long, or, if they */
#define WATCH_MS_MAX 500 /* are very many, */
#define WATCH_PAUSES 9	 /* so many times as long as looking at all of them takes the processor */

/* What the daemon's parts need not know of. */
struct life {
	struct daemon daemon;
	struct mount_point mount;
	struct session *session;
	int signal_fd;
	int watch_fd; /* eventfd: a parked request was interrupted */
	int ended_fd; /* eventfd: the session's threads end */
};

void daemon_warn(struct daemon *daemon, const char *format, ...)
{
	const unsigned int nr_max = sizeof(daemon->warnings) / sizeof(daemon->warnings[0]);
	char *text;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if (!text)
		return;
	log_warning("%s", text);
	if (daemon->nr_warnings < nr_max)
		daemon->warnings[daemon->nr_warnings++] = text;
	else
		free(text);
}

static void record(void *context, const struct epc_record *record)
{
	struct daemon *daemon = context;

	if (record->kind == EPC_RECORD_STARTED)
		instance_note_started(daemon, record);
	else if (record->kind == EPC_RECORD_REFUSED)
		instance_note_refused(record);
	journal_add(daemon->journal, record);
}

static const struct engine_ops engine_ops = {
	.unmap = instance_unmap,
	.reply = instance_reply,
	.replied = instance_replied,
	.gone = instance_gone,
	.record = record,
};

/* By nohup, say. */
static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* The signals that end the daemon, for a descriptor; all its threads inherit the mask. */
static int fds_open(struct life *life)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (!is_ignored(SIGHUP))
		sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	life->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	life->watch_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	life->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (life->signal_fd >= 0 && life->watch_fd >= 0 && life->ended_fd >= 0)
		return 0;
	log_error("no descriptors for signals: %m");
	return -errno;
}

static void fds_close(struct life *life)
{
	const int fds[] = { life->signal_fd, life->watch_fd, life->ended_fd };

	for (unsigned int i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int swap_make(struct daemon *daemon)
{
	daemon->nr_swap_slots = swap_option_nr_slots(&daemon->options);
	if (!daemon->nr_swap_slots)
		return 0;
	return swap_store_new(daemon->options.swap_path, daemon->nr_swap_slots, &daemon->swap);
}

static int engine_make(struct daemon *daemon)
{
	const struct daemon_options *options = &daemon->options;
	struct engine_swap swap = { .nr_slots = daemon->nr_swap_slots };
	struct epc *epc;
	int error;

	if (daemon->swap)
		swap.ops = swap_store_ops(daemon->swap);
	error = engine_new(options->sections, options->nr_sections, &swap, &engine_ops, daemon,
			   &daemon->engine);
	if (error) {
		log_error("no EPC of these sizes can be made (%s): give smaller sections with "
			  "--epc",
			  strerror(-error));
		return error;
	}
	epc = engine_lock(daemon->engine);
	epc_cgroup_set_max(epc, epc_cgroup_root(epc), options->max_bytes);
	engine_unlock(daemon->engine);
	return 0;
}

static int mirror_make(struct daemon *daemon)
{
	const char *root = daemon->options.cgroup_root;
	int has_cgroup2;
	int error = mirror_new(daemon->engine, root, &daemon->mirror, &has_cgroup2);

	if (error) {
		log_error("the cgroup hierarchy %s cannot be read: %s; see --cgroup-root",
			  root ? root : "of /proc/self/mountinfo", strerror(-error));
		return error;
	}
	if (!has_cgroup2)
		daemon_warn(daemon, "no cgroup2 mount: the whole EPC has the only limit there is");
	return 0;
}

/* Everything that is only memory. */
static int parts_make(struct life *life)
{
	struct daemon *daemon = &life->daemon;
	int error = swap_make(daemon);

	if (!error)
		error = engine_make(daemon);
	if (error)
		return error;
	error = mirror_make(daemon);
	if (error)
		return error;
	error = journal_new(&daemon->journal);
	if (!error)
		error = node_table_new(&daemon->nodes);
	if (!error)
		error = device_new(daemon, &daemon->device);
	if (!error)
		error = instance_table_new(daemon, life->watch_fd, &daemon->instances);
	if (!error)
		error = tree_init(daemon);
	if (error)
		log_error("not enough memory to begin: %s", strerror(-error));
	return error;
}

static int mount_make(struct life *life)
{
	struct daemon *daemon = &life->daemon;
	int fd = mount_up(&life->mount);
	const char *what;
	int error;

	if (fd < 0)
		return fd;
	error = session_new(daemon, fd, &life->session);
	if (error) {
		log_error("libfuse does not take the mount: %s", strerror(-error));
		return error;
	}
	error = mount_device_number(&life->mount, &daemon->device_number);
	if (error) {
		log_error("%s cannot be looked at: %s", life->mount.dir, strerror(-error));
		return error;
	}
	error = mount_lift_dirty_limits(&life->mount, &what);
	if (error)
		daemon_warn(daemon,
			    "%s cannot be set (%s): VMs pay for each page that they write again",
			    what, strerror(-error));
	return 0;
}

static int threads_start(struct life *life)
{
	struct daemon *daemon = &life->daemon;
	int error = engine_start(daemon->engine);

	if (!error)
		error = journal_start(daemon->journal);
	if (!error)
		error = mirror_start(daemon->mirror);
	if (!error)
		error = describer_new(daemon, &daemon->describer);
	if (!error)
		error = fetch_pool_new(&daemon->fetch_pool);
	if (!error)
		error = session_start(life->session, life->ended_fd);
	if (error)
		log_error("threads cannot be started: %s", strerror(-error));
	return error;
}

/* In reverse; each part may be absent. */
static void parts_end(struct life *life)
{
	struct daemon *daemon = &life->daemon;

	/* Ends the connection: then nothing comes any more, and nobody waits in the kernel. */
	mount_down(&life->mount);
	if (life->session)
		session_join(life->session);
	fetch_pool_free(daemon->fetch_pool);
	if (daemon->engine)
		engine_stop(daemon->engine);
	describer_free(daemon->describer);
	if (daemon->journal)
		journal_stop(daemon->journal);
	if (daemon->instances)
		instance_table_stop(daemon->instances);
	if (daemon->nodes)
		node_table_free(daemon->nodes, daemon);
	if (daemon->mirror)
		mirror_free(daemon->mirror);
	engine_free(daemon->engine);
	swap_store_free(daemon->swap);
	instance_table_free(daemon->instances);
	device_free(daemon->device);
	if (daemon->journal)
		journal_free(daemon->journal);
	session_free(life->session);
	for (unsigned int i = 0; i < daemon->nr_warnings; i++)
		free(daemon->warnings[i]);
	fds_close(life);
}

static void ready_tell(const struct life *life, int ready_fd)
{
	const struct daemon_options *options = &life->daemon.options;
	char size[SIZE_TEXT_MAX];
	uint64_t nr_pages = 0;

	for (unsigned int i = 0; i < options->nr_sections; i++)
		nr_pages += options->sections[i].nr_pages;
	log_info("ready, %s of EPC in %u section%s, devices in %s/dev",
		 size_format(size, sizeof(size), nr_pages * EPC_PAGE_SIZE), options->nr_sections,
		 options->nr_sections == 1 ? "" : "s", life->mount.dir);
	notify_systemd("READY=1");
	if (ready_fd < 0)
		return;
	if (write(ready_fd, "", 1) < 0)
		log_warning("nobody waits for this daemon to be ready: %m");
	close(ready_fd);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Looks at what was interrupted; how long to wait until the next look, -1: nothing is left. */
static int watch(struct life *life)
{
	uint64_t began_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), pause_ms;

	if (!instance_watch(&life->daemon))
		return -1;
	pause_ms = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns) * WATCH_PAUSES / 1000000;
	if (pause_ms > WATCH_MS_MAX)
		return WATCH_MS_MAX;
	return pause_ms > WATCH_MS ? (int)pause_ms : WATCH_MS;
}

/* Until a signal ends it. Returns the exit code. */
static int serve(struct life *life)
{
	struct pollfd fds[] = {
		{ .fd = life->signal_fd, .events = POLLIN },
		{ .fd = life->ended_fd, .events = POLLIN },
		{ .fd = life->watch_fd, .events = POLLIN },
	};
	int watch_ms = -1;
	uint64_t count;

	while (true) {
		if (poll(fds, sizeof(fds) / sizeof(fds[0]), watch_ms) < 0 && errno != EINTR) {
			log_error("poll: %m");
			return EXIT_MOUNT_LOST;
		}
		if (fds[0].revents)
			return 0;
		if (fds[1].revents) {
			log_error("the mount %s was taken away: epcd ends", life->mount.dir);
			return EXIT_MOUNT_LOST;
		}
		if (fds[2].revents && read(life->watch_fd, &count, sizeof(count)) < 0)
			log_debug("read of an eventfd: %m");
		if (fds[2].revents || watch_ms >= 0)
			watch_ms = watch(life);
	}
}

static int begin(struct life *life)
{
	const struct daemon_options *options = &life->daemon.options;
	int error = mount_prepare(&life->mount, options->run_dir, options->links_dev);

	if (error)
		return error;
	life->daemon.options.run_dir = life->mount.dir;
	error = fds_open(life);
	if (!error)
		error = parts_make(life);
	if (!error)
		error = mount_make(life);
	if (!error)
		error = threads_start(life);
	if (!error && options->links_dev)
		error = mount_link(&life->mount);
	return error;
}

int daemon_main(const struct daemon_options *options, int ready_fd)
{
	struct life *life = calloc(1, sizeof(*life));
	int exit_code = EXIT_SETUP;

	if (!life) {
		log_error("not enough memory to begin");
		return EXIT_SETUP;
	}
	life->daemon.options = *options;
	life->daemon.started_ns = clock_ns(CLOCK_MONOTONIC);
	life->signal_fd = life->watch_fd = life->ended_fd = -1;
	life->mount.lock_fd = life->mount.fuse_fd = -1;
	if (begin(life) == 0) {
		ready_tell(life, ready_fd);
		exit_code = serve(life);
		notify_systemd("STOPPING=1");
	}
	parts_end(life);
	free(life);
	return exit_code;
}
