/* SPDX-License-Identifier: MIT */
/*
 * Instances, one for each open of a device node: what open, page faults, write-backs, fallocate and
 * close mean to the core, and what the core's effects mean to them. There are two kinds: virtual
 * EPC of a VM (sgx_vepc) and enclaves of host processes (sgx_enclave); their ioctls are
 * vepc_ioctl.c's and enclave.c's. Names, owners and the directory do not belong here (device.c).
 */
#ifndef EPCD_FRONT_INSTANCE_H
#define EPCD_FRONT_INSTANCE_H

#include <asm/sgx.h>

#include "epc/abi.h"
#include "front/daemon.h"

struct enclave;
struct instance_table;
struct instance_vm;
struct mirror_cgroup;

struct instance {
	struct epc_instance *core;
	uint64_t id;	     /* the core's; 0: it has not had a page yet */
	int pid;	     /* the opener's process id, for showing only: never signalled */
	uint64_t start_time; /* field 22 of /proc/PID/stat, clock ticks since boot */
	unsigned int uid;
	char command[64];  /* comm, escaped */
	char *cmdline;	   /* escaped, may be NULL */
	char *cgroup_path; /* escaped, as opened */
	uint64_t opened_ns;

	/* Of instance*.c and of the two kinds only. */
	struct enclave *enclave; /* NULL: virtual EPC */
	fuse_ino_t ino;
	struct mirror_cgroup *opener; /* a reference; NULL once released */
	/* under the engine's lock */
	struct instance_vm *vm;
	struct instance *vm_next, *vm_prev; /* the VM's ring */
	uint64_t nr_undelivered; /* READs that the core has, or whose delivery it does not know */
	bool is_released;
	struct epc_vepc_refusal refusal; /* the last one, as it is told */
	struct instance *next, *prev;
};

/*
 * For reports, under the engine's lock: those that have an id (they had a page, or were asked for
 * it), by ascending id. after_id 0: the first; NULL at the end.
 */
struct instance *instance_next(struct daemon *daemon, uint64_t after_id);

/* wake_fd: an eventfd, borrowed, written to when instance_watch() has something to do. */
int instance_table_new(struct daemon *daemon, int wake_fd, struct instance_table **table);
/* When no request comes any more and the engine stands: answers what is left, lets cgroups go. */
void instance_table_stop(struct instance_table *table);
/* After engine_free(). */
void instance_table_free(struct instance_table *table);

enum instance_kind {
	INSTANCE_VEPC,
	INSTANCE_ENCLAVE,
};

/*
 * A new instance for this inode, opened by the task that sent req; it answers nothing.
 * instance_release() ends it: the memory goes with EPC_EFFECT_GONE. Errors: -ENOMEM.
 */
int instance_open(struct daemon *daemon, fuse_req_t req, fuse_ino_t ino, enum instance_kind kind,
		  struct instance **instance);
void instance_release(struct daemon *daemon, struct instance *instance);

/* Each answers req, now or later. */
void instance_read(struct daemon *daemon, fuse_req_t req, struct instance *instance, size_t size,
		   off_t offset);
void instance_write(struct daemon *daemon, fuse_req_t req, struct instance *instance,
		    const char *bytes, size_t size, off_t offset, bool is_writeback);
/* in, in_size: what the kernel has copied in; out_size: what it will copy out. */
void vepc_ioctl(struct daemon *daemon, fuse_req_t req, struct instance *instance, unsigned int cmd,
		const void *arg, const void *in, size_t in_size, size_t out_size);
void instance_fallocate(struct daemon *daemon, fuse_req_t req, struct instance *instance, int mode,
			off_t offset, off_t length);

/*
 * EPC loss (mission V10): VMs lose all content, as on suspend or migration. lose: the VM of
 * the instance with this id; -ENOENT: there is none, and req is not answered. below: every VM for
 * one of whose pages this cgroup, or one below it, pays; NULL: all VMs. req is answered when all is
 * done: size bytes have been written.
 */
int instance_lose(struct daemon *daemon, fuse_req_t req, size_t size, uint64_t id);
void instance_lose_below(struct daemon *daemon, fuse_req_t req, size_t size,
			 const struct mirror_cgroup *cgroup);

/* An instance's own limit. -ENOENT: no such instance. locked: under the engine's lock. */
int instance_max(struct daemon *daemon, uint64_t id, uint64_t *max_bytes);
int instance_set_max(struct daemon *daemon, uint64_t id, uint64_t max_bytes);
void instance_set_max_locked(struct daemon *daemon, struct epc *epc,
			     const struct instance *instance, uint64_t max_bytes);

/*
 * Ends the parked READs and leaves whose threads are being killed. Returns whether interrupted ones
 * are left, which are to be looked at again soon: a later SIGKILL is not announced.
 */
bool instance_watch(struct daemon *daemon);

/* The engine's operations, context: struct daemon; and what two kinds of records mean here. */
void instance_unmap(void *context, const struct epc_unmap *unmap);
bool instance_reply(void *context, struct epc_request *request);
void instance_replied(void *context, struct epc *epc, struct epc_request *request);
void instance_gone(void *context, void *instance_cookie);
void instance_note_started(struct daemon *daemon, const struct epc_record *record);
void instance_note_refused(const struct epc_record *record);

/*
 * Gives an instance its command line, if it is still there and has none: takes cmdline then and
 * returns NULL, else returns it.
 */
char *instance_describe(struct daemon *daemon, uint64_t id, char *cmdline);

#endif
