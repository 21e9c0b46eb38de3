/* SPDX-License-Identifier: MIT */
/*
 * Instances of virtual EPC: what open, page faults, write-backs, ioctl, fallocate and close of the
 * node sgx_vepc mean to the core, and what the core's effects mean to them. Names, owners and the
 * directory do not belong here (device.c).
 */
#ifndef EPCD_FRONT_VEPC_H
#define EPCD_FRONT_VEPC_H

#include "front/daemon.h"

/* Linux: arch/x86/include/uapi/asm/sgx.h, _IO(0xA4, 0x04) */
#define SGX_IOC_VEPC_REMOVE_ALL 0xA404u

struct vepc_table;
struct mirror_cgroup;

/* wake_fd: an eventfd, borrowed, written to when vepc_watch() has something to do. */
int vepc_table_new(struct daemon *daemon, int wake_fd, struct vepc_table **table);
/* When no request comes any more and the engine stands: answers what is left, lets cgroups go. */
void vepc_table_stop(struct vepc_table *table);
/* After engine_free(). */
void vepc_table_free(struct vepc_table *table);

/*
 * A new instance for this inode, opened by the task that sent req; it answers nothing.
 * vepc_release() ends it: the memory goes with EPC_EFFECT_GONE. Errors: -ENOMEM.
 */
int vepc_open(struct daemon *daemon, fuse_req_t req, fuse_ino_t ino, struct vepc **vepc);
void vepc_release(struct daemon *daemon, struct vepc *vepc);

/* Each answers req, now or later. */
void vepc_read(struct daemon *daemon, fuse_req_t req, struct vepc *vepc, size_t size, off_t offset);
void vepc_write(struct daemon *daemon, fuse_req_t req, struct vepc *vepc, const char *bytes,
		size_t size, off_t offset, bool is_writeback);
/* in, in_size: what the kernel has copied in; out_size: what it will copy out. */
void vepc_ioctl(struct daemon *daemon, fuse_req_t req, struct vepc *vepc, unsigned int cmd,
		const void *arg, const void *in, size_t in_size, size_t out_size);
void vepc_fallocate(struct daemon *daemon, fuse_req_t req, struct vepc *vepc, int mode,
		    off_t offset, off_t length);

/*
 * EPC loss (mission V10): VMs lose all content, as on suspend or migration. of_instance: the VM of
 * the instance with this id; -ENOENT: there is none, and req is not answered. below: every VM for
 * one of whose pages this cgroup, or one below it, pays; NULL: all VMs. req is answered when all is
 * done: size bytes have been written.
 */
int vepc_lose_of_instance(struct daemon *daemon, fuse_req_t req, size_t size, uint64_t id);
void vepc_lose_below(struct daemon *daemon, fuse_req_t req, size_t size,
		     const struct mirror_cgroup *cgroup);

/* An instance's own limit. -ENOENT: no such instance. locked: under the engine's lock. */
int vepc_max(struct daemon *daemon, uint64_t id, uint64_t *max_bytes);
int vepc_set_max(struct daemon *daemon, uint64_t id, uint64_t max_bytes);
void vepc_set_max_locked(struct daemon *daemon, struct epc *epc, const struct vepc *vepc,
			 uint64_t max_bytes);

/*
 * Ends the parked READs and leaves whose threads are being killed. Returns whether interrupted ones
 * are left, which are to be looked at again soon: a later SIGKILL is not announced.
 */
bool vepc_watch(struct daemon *daemon);

/* The engine's operations, context: struct daemon; and what two kinds of records mean here. */
void vepc_unmap(void *context, const struct epc_unmap *unmap);
bool vepc_reply(void *context, struct epc_request *request);
void vepc_replied(void *context, struct epc *epc, struct epc_request *request);
void vepc_gone(void *context, void *instance_cookie);
void vepc_started(struct daemon *daemon, const struct epc_record *record);
void vepc_refused(const struct epc_record *record);

/*
 * Gives an instance its command line, if it is still there and has none: takes cmdline then and
 * returns NULL, else returns it.
 */
char *vepc_describe(struct daemon *daemon, uint64_t id, char *cmdline);

#endif
