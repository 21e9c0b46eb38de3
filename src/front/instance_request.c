/* SPDX-License-Identifier: MIT */
/*
 * Requests of instances: page faults, write-backs and fallocate, and how every request comes back
 * from the core; see instance_internal.h.
 */
#include "front/instance_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/enclave.h"
#include "front/requester.h"

#define WRITE_PIECE_BYTES ((size_t)16 * EPC_PAGE_SIZE) /* one hold of the lock: some 10 us */
#define NR_WATCHED_AT_ONCE 64u
#define OFFSET_END ((off_t)(EPC_NR_INDICES << EPC_PAGE_SHIFT))

static struct instance_request *request_of(struct epc_request *core)
{
	return (struct instance_request *)core;
}

struct instance_request *instance_request_new(fuse_req_t req, struct instance *instance,
					      enum instance_request_kind kind, size_t size)
{
	struct instance_request *request = malloc(sizeof(*request) + size);

	if (!request)
		return NULL;
	memset(request, 0, sizeof(*request));
	request->kind = kind;
	request->req = req;
	request->instance = instance;
	if (instance)
		request->core.instance = instance->core;
	return request;
}

void instance_request_link(struct instance_table *table, struct instance_request *request)
{
	request->prev = table->requests.prev;
	request->next = &table->requests;
	request->prev->next = request;
	table->requests.prev = request;
}

void instance_request_free(struct instance_request *request)
{
	request->next->prev = request->prev;
	request->prev->next = request->next;
	free(request);
}

void instance_request_drop(struct instance_request *request)
{
	free(request);
}

void instance_request_abandon(struct daemon *daemon, struct instance_request *request)
{
	if (request->kind == INSTANCE_REQUEST_LOSE)
		instance_loss_put(request->loss, -EIO);
	else
		fuse_reply_err(request->req, EIO);
	if (request->payer)
		mirror_put(daemon->mirror, request->payer);
	request->payer = NULL;
}

/* libfuse's, on any thread, perhaps while the request is being answered: only the key is used. */
static void request_interrupted(fuse_req_t req, void *key)
{
	struct daemon *daemon = fuse_req_userdata(req);

	parked_interrupt(daemon->instances->parked, (uintptr_t)key);
}

void instance_request_park(struct instance_table *table, struct instance_request *request)
{
	parked_add(table->parked, &request->parked, fuse_req_ctx(request->req)->pid);
	fuse_req_interrupt_func(request->req, request_interrupted,
				(void *)(uintptr_t)request->parked.key);
}

/*
 * Who pays for a fault of the task: NULL, the opener, also when it is one of ours that reads the
 * memory of a client which is a mapping of the device.
 */
static struct mirror_cgroup *payer_of(struct daemon *daemon, pid_t tid)
{
	return tgkill(getpid(), tid, 0) == 0 ? NULL : mirror_of_task(daemon->mirror, tid);
}

void instance_read(struct daemon *daemon, fuse_req_t req, struct instance *instance, size_t size,
		   off_t offset)
{
	struct instance_table *table = daemon->instances;
	struct mirror_cgroup *payer;
	struct instance_request *request;
	struct epc *epc;

	/* The page cache asks for whole pages; O_DIRECT may ask for anything. */
	if (size == 0 || size > INSTANCE_CLUSTER_BYTES_MAX || size % EPC_PAGE_SIZE || offset < 0 ||
	    offset % EPC_PAGE_SIZE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	request = instance_request_new(req, instance, INSTANCE_REQUEST_READ, size);
	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->core.first = (uint64_t)offset >> EPC_PAGE_SHIFT;
	request->core.count = size >> EPC_PAGE_SHIFT;
	request->core.buffer = request->buffer;
	payer = payer_of(daemon, fuse_req_ctx(req)->pid);

	epc = engine_lock(daemon->engine);
	request->core.payer = payer ? payer->cgroup : instance->opener->cgroup;
	instance_request_link(table, request);
	instance->nr_undelivered++;
	epc_read(epc, &request->core);
	if (request->core.waits_at)
		instance_request_park(table, request);
	engine_unlock(daemon->engine);
	/* Where it waits, the core keeps its cgroup. */
	if (payer)
		mirror_put(daemon->mirror, payer);
}

void instance_write(struct daemon *daemon, fuse_req_t req, struct instance *instance,
		    const char *bytes, size_t size, off_t offset, bool is_writeback)
{
	size_t done = 0;

	/* The kernel's device has no write(2). */
	if (!is_writeback || offset < 0 || offset > OFFSET_END ||
	    size > (uint64_t)(OFFSET_END - offset)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	while (done < size) {
		size_t piece = size - done < WRITE_PIECE_BYTES ? size - done : WRITE_PIECE_BYTES;

		epc_write(engine_lock(daemon->engine), instance->core, (uint64_t)offset + done,
			  bytes + done, piece);
		engine_unlock(daemon->engine);
		done += piece;
	}
	fuse_reply_write(req, size);
}

/* 0, or the errno that it gets. */
static int fallocate_check(int mode, off_t offset, off_t length)
{
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE &&
	    mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return EOPNOTSUPP;
	if (offset < 0 || length <= 0 || offset % EPC_PAGE_SIZE || length % EPC_PAGE_SIZE)
		return EINVAL;
	if (offset > OFFSET_END || length > OFFSET_END - offset)
		return EINVAL;
	return 0;
}

void instance_fallocate(struct daemon *daemon, fuse_req_t req, struct instance *instance, int mode,
			off_t offset, off_t length)
{
	int error = fallocate_check(mode, offset, length);
	struct instance_request *request;
	struct epc *epc;

	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	request = instance_request_new(req, instance, INSTANCE_REQUEST_FALLOCATE, 0);
	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->core.first = (uint64_t)offset >> EPC_PAGE_SHIFT;
	request->core.count = (uint64_t)length >> EPC_PAGE_SHIFT;

	epc = engine_lock_for_long(daemon->engine);
	instance_request_link(daemon->instances, request);
	if (mode & FALLOC_FL_PUNCH_HOLE)
		epc_punch(epc, &request->core);
	else
		epc_reset(epc, &request->core);
	engine_unlock(daemon->engine);
}

void instance_unmap(void *context, const struct epc_unmap *unmap)
{
	struct daemon *daemon = context;
	const struct instance *instance = unmap->cookie;

	/* An error means that the inode is gone, and so is what it mapped. */
	(void)fuse_lowlevel_notify_inval_inode(daemon->session, instance->ino,
					       (off_t)(unmap->first << EPC_PAGE_SHIFT),
					       (off_t)unmap->count << EPC_PAGE_SHIFT);
}

static void read_answer(const struct instance_table *table, const struct instance_request *request)
{
	if (request->core.result)
		fuse_reply_err(request->req, -request->core.result);
	else
		fuse_reply_buf(request->req, request->core.is_zero ? table->zeros : request->buffer,
			       (size_t)request->core.count << EPC_PAGE_SHIFT);
}

bool instance_reply(void *context, struct epc_request *core)
{
	const struct daemon *daemon = context;
	struct instance_request *request = request_of(core);
	int result = core->result;

	if (request->kind == INSTANCE_REQUEST_ENCLAVE)
		return enclave_reply(request);
	parked_remove(daemon->instances->parked, &request->parked);
	switch (request->kind) {
	case INSTANCE_REQUEST_READ:
		read_answer(daemon->instances, request);
		break;
	case INSTANCE_REQUEST_IOCTL:
		if (result < 0)
			fuse_reply_err(request->req, -result);
		else
			fuse_reply_ioctl(request->req, result, NULL, 0);
		break;
	case INSTANCE_REQUEST_FALLOCATE:
		/* SECS pages that remain, after the rest is done. */
		fuse_reply_err(request->req, result > 0 ? EBUSY : -result);
		break;
	case INSTANCE_REQUEST_LEAF:
		vepc_leaf_answer(request);
		break;
	case INSTANCE_REQUEST_LOSE:
		instance_loss_put(request->loss, result < 0 ? result : 0);
		break;
	case INSTANCE_REQUEST_ENCLAVE:
		break; /* above */
	}
	return true;
}

void instance_replied(void *context, struct epc *epc, struct epc_request *core)
{
	const struct daemon *daemon = context;
	struct instance_request *request = request_of(core);
	struct instance *instance = request->instance;

	/* Of any other request the file may be closed, and the instance gone. */
	if (request->kind == INSTANCE_REQUEST_READ) {
		if (!core->result)
			epc_delivered(epc, core->instance, core->first, core->count);
		instance->nr_undelivered--;
		if (instance->is_released && !instance->nr_undelivered)
			epc_release(epc, core->instance);
	}
	if (request->payer)
		mirror_put(daemon->mirror, request->payer);
	instance_request_free(request);
}

/* A request whose thread is being killed. */
struct killed {
	struct epc *epc;
	bool is_left;			   /* it cannot be ended now */
	struct instance_request *is_ended; /* it has come back to us */
};

static void request_interrupt(void *context, struct parked *parked)
{
	struct killed *killed = context;
	struct instance_request *request =
		(struct instance_request *)((char *)parked -
					    offsetof(struct instance_request, parked));

	if (request->kind == INSTANCE_REQUEST_ENCLAVE && enclave_interrupt(killed->epc, request))
		killed->is_ended = request;
	else if (request->kind == INSTANCE_REQUEST_ENCLAVE)
		killed->is_left = true;
	else if (request->core.waits_at)
		epc_interrupt(killed->epc, &request->core);
	else /* a leaf waits for something else, and may be parked later; a READ is answered */
		killed->is_left = request->kind == INSTANCE_REQUEST_LEAF;
}

bool instance_watch(struct daemon *daemon)
{
	struct parked_table *parked = daemon->instances->parked;
	struct parked_ref refs[NR_WATCHED_AT_ONCE];
	uint64_t after_key = 0;
	bool has_left = false;
	unsigned int nr;

	do {
		nr = parked_interrupted(parked, after_key, refs, NR_WATCHED_AT_ONCE);
		for (unsigned int i = 0; i < nr; i++) {
			struct killed killed = { 0 };

			after_key = refs[i].key;
			if (!refs[i].ends_at_signal && !requester_is_killed(refs[i].tid)) {
				has_left = true;
				continue;
			}
			killed.epc = engine_lock(daemon->engine);
			parked_with(parked, refs[i].key, request_interrupt, &killed);
			engine_unlock(daemon->engine);
			if (killed.is_ended)
				enclave_interrupted(killed.is_ended);
			has_left |= killed.is_left;
		}
	} while (nr == NR_WATCHED_AT_ONCE);
	return has_left;
}
