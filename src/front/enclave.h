/* SPDX-License-Identifier: MIT */
/*
 * The ioctls of sgx_enclave, as Linux has them (asm/sgx.h). One at a time for each enclave. What
 * they need of the client's memory is read by the threads of fetch.h, then the core does page after
 * page; the answer tells how many. Open, page faults and close are instance.c's.
 *
 * The kernel's driver finds an enclave's pages by address, a file has offsets: so whoever maps the
 * device says the address as the offset, too.
 */
#ifndef EPCD_FRONT_ENCLAVE_H
#define EPCD_FRONT_ENCLAVE_H

#include "front/instance.h"

struct enclave;
struct instance_request;
struct parked;

struct enclave *enclave_new(void); /* NULL: no memory */
void enclave_free(struct enclave *enclave);

/* Answers req, now or later. As vepc_ioctl(). */
void enclave_ioctl(struct daemon *daemon, fuse_req_t req, struct instance *instance,
		   unsigned int cmd, const void *arg, const void *in, size_t in_size,
		   size_t out_size);

/* The core has done a page: what engine_ops.reply returns. */
bool enclave_reply(struct instance_request *request);

/*
 * The client has a signal, or is being killed: ends what can be ended now. Under the engine's lock.
 * Returns whether the request is the caller's now, who calls enclave_interrupted() without the
 * lock; else it ends by itself.
 */
bool enclave_interrupt(struct epc *epc, struct instance_request *request);
void enclave_interrupted(struct instance_request *request);

#endif
