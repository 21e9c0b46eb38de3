/* SPDX-License-Identifier: MIT */
/*
 * The daemon: its options and its parts, wired together. Every part gets what it needs from here;
 * nothing else is global.
 */
#ifndef EPCD_FRONT_DAEMON_H
#define EPCD_FRONT_DAEMON_H

#include "core/epc.h"
#include "front/engine.h"
#include "front/node.h"

#define EPCD_VERSION "0.1"

struct mirror;
struct journal;
struct device;
struct instance_table;
struct describer;
struct fetch_pool;
struct swap_store;

struct daemon_options {
	struct epc_section_config sections[EPC_NR_SECTIONS_MAX]; /* bytes unset */
	unsigned int nr_sections;
	const char *run_dir;
	const char *cgroup_root; /* NULL: find the cgroup2 mount */
	bool links_dev;		 /* --link-dev */
	bool is_debug;		 /* --debug */
	const char *swap_path;	 /* --swap FILE; NULL: memory */
	bool has_swap_max;	 /* --swap-max, else 4 times the EPC */
	uint64_t swap_max_bytes;
	uint64_t max_bytes; /* limit on the whole EPC (epcd run without a cgroup of its own) */
	int log_level;
};

struct daemon {
	struct daemon_options options;
	struct swap_store *swap; /* NULL: nothing is evicted */
	uint32_t nr_swap_slots;
	struct engine *engine;
	struct device *device;		  /* the directory dev/ */
	struct instance_table *instances; /* open device nodes */
	struct describer *describer;	  /* reads their command lines */
	struct fetch_pool *fetch_pool;	  /* reads clients' memory */
	struct node_table *nodes;
	struct mirror *mirror;	 /* cgroups by id and by path */
	struct journal *journal; /* records: log lines, events, history */
	struct fuse_session *session;
	dev_t device_number; /* of the mount's files */
	uint64_t started_ns;
	char *warnings[8]; /* for status: no cgroup2, bdi not settable, ... */
	unsigned int nr_warnings;
};

/*
 * The whole life of the daemon, from checks and mount to the clean end on SIGTERM or SIGINT. It
 * borrows the options (strings included) and keeps them until it returns. ready_fd: -1, or a file
 * descriptor that gets one byte when everything is served and is closed then. Returns the exit
 * code: 0, 1 (the mount was taken away under it), 2 (it could not begin: one line in the log says
 * why and what helps, and nothing is mounted). One call per process: it blocks signals and starts
 * threads.
 */
int daemon_main(const struct daemon_options *options, int ready_fd);

/* daemon.c: keeps a warning for status and logs it. Only before engine_start(). */
void daemon_warn(struct daemon *daemon, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* session.c: answers a look-up with a node just added or got; attr from the caller. */
void session_reply_entry(fuse_req_t req, const struct node *node, const struct stat *attr);

/* tree.c: the root directory and all of the control tree below it; dev/ is device.c's. */
int tree_init(struct daemon *daemon);

/* device.c: the directory dev/ (a node with key "dev"), one more look-up on it. */
struct node *device_dir_get(struct daemon *daemon);

#endif
