/* SPDX-License-Identifier: MIT */
/*
 * How an ioctl of sgx_enclave is run; see enclave.h.
 *
 * It belongs to one thread at a time: to the worker that it came to, to a thread of the pool while
 * it reads memory and asks the core, to the core while a page waits there. Who asked the core and
 * who answers for it may be two threads: the second of the two to let the page go has the call.
 * Whatever needs no memory of the client's is done wherever the answer comes: a pool whose threads
 * all hang keeps nobody from dying.
 */
#include "front/enclave_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front/requester.h"

struct enclave *enclave_new(void)
{
	return calloc(1, sizeof(struct enclave));
}

void enclave_free(struct enclave *enclave)
{
	free(enclave);
}

static struct enclave_call *call_of(struct instance_request *request)
{
	return (struct enclave_call *)(void *)request->buffer;
}

bool enclave_call_is_interrupted(struct enclave_call *call)
{
	if (atomic_load(&call->is_killed))
		return true;
	return call->ioctl->ends_at_signal &&
	       parked_is_interrupted(call->daemon->instances->parked, &call->request->parked);
}

bool enclave_call_has_page(struct enclave_call *call, uint64_t linaddr)
{
	bool has_page;

	engine_lock(call->daemon->engine);
	has_page = epc_has_page(call->request->instance->core, linaddr >> EPC_PAGE_SHIFT);
	engine_unlock(call->daemon->engine);
	return has_page;
}

/* The enclave is free for the next ioctl before its client knows: it may come at once. */
static void call_answer(struct enclave_call *call, int error)
{
	fuse_req_t req = call->request->req;
	unsigned int cmd = call->ioctl->cmd;
	bool tells = call->has_begun && _IOC_DIR(cmd) & _IOC_READ;

	parked_remove(call->daemon->instances->parked, &call->request->parked);
	atomic_store(&call->enclave->is_busy, false);
	/* Unlike fuse_reply_err() it brings the argument back together with an errno. */
	if (tells)
		fuse_reply_ioctl(req, error, &call->argument, _IOC_SIZE(cmd));
	else if (error)
		fuse_reply_err(req, -error);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

/* Not on the way back of an answer from the core: there enclave_reply() does it in two parts. */
static void call_end(struct enclave_call *call, int error)
{
	struct instance_request *request = call->request;
	struct mirror_cgroup *payer = request->payer;
	struct daemon *daemon = call->daemon;

	call_answer(call, error);
	engine_lock(daemon->engine);
	instance_request_free(request);
	engine_unlock(daemon->engine);
	if (payer)
		mirror_put(daemon->mirror, payer);
}

static int result_of(struct enclave_call *call, int result)
{
	return call->ioctl->done ? call->ioctl->done(call, result) : result;
}

/* Asks the core. Returns whether it has answered, and nobody else goes on. */
static bool core_ask(struct enclave_call *call)
{
	struct daemon *daemon = call->daemon;
	struct instance *instance = call->request->instance;
	struct epc_leaf *leaf = &call->request->leaf;
	struct epc *epc;

	leaf->request.instance = leaf->rcx.instance = instance->core;
	leaf->info = call->info;
	leaf->data = call->data;
	atomic_store(&call->nr_hands, 0);
	epc = engine_lock(daemon->engine);
	leaf->request.payer = call->request->payer ? call->request->payer->cgroup :
						     instance->opener->cgroup;
	epc_host(epc, leaf);
	engine_unlock(daemon->engine);
	return atomic_fetch_add(&call->nr_hands, 1) == 1;
}

static void call_run(struct fetch_job *job, struct fetcher *fetcher)
{
	struct enclave_call *call = (struct enclave_call *)job;
	int result;

	do {
		result = call->ioctl->prepare(call, fetcher);
		if (result == -ECANCELED)
			return;
		if (result == ENCLAVE_CALL_IS_DONE) {
			result = 0;
		} else if (result) {
			result = result_of(call, result);
		} else {
			if (!core_ask(call))
				return;
			result = result_of(call, call->request->core.result);
		}
	} while (result == ENCLAVE_CALL_GOES_ON);
	call_end(call, result);
}

bool enclave_reply(struct instance_request *request)
{
	struct enclave_call *call = call_of(request);
	int result;

	if (atomic_fetch_add(&call->nr_hands, 1) == 0)
		return false;
	result = result_of(call, request->core.result);
	if (result == ENCLAVE_CALL_GOES_ON) {
		fetch_submit(call->daemon->fetch_pool, &call->job);
		return false;
	}
	call_answer(call, result);
	return true;
}

bool enclave_interrupt(struct epc *epc, struct instance_request *request)
{
	struct enclave_call *call = call_of(request);

	atomic_store(&call->is_killed, true);
	if (request->core.waits_at) {
		epc_interrupt(epc, &request->core);
		return false;
	}
	return fetch_cancel(call->daemon->fetch_pool, &call->job);
}

void enclave_interrupted(struct instance_request *request)
{
	struct enclave_call *call = call_of(request);

	call_end(call, result_of(call, -EINTR));
}

/* One ioctl at a time of each process has its memory read, so that only one can hang. */
static pid_t process_of(const struct instance *instance, pid_t tid)
{
	struct requester requester;

	if (tid == instance->pid)
		return tid;
	requester_read(tid, &requester);
	return requester.pid;
}

/* NULL: no memory. */
static struct enclave_call *call_new(struct daemon *daemon, fuse_req_t req,
				     struct instance *instance, const struct enclave_ioctl *ioctl,
				     const union enclave_argument *argument)
{
	const struct fuse_ctx *task = fuse_req_ctx(req);
	struct instance_request *request = instance_request_new(
		req, instance, INSTANCE_REQUEST_ENCLAVE, sizeof(struct enclave_call));
	struct enclave_call *call;

	if (!request)
		return NULL;
	call = call_of(request);
	memset(call, 0, sizeof(*call));
	call->job.run = call_run;
	call->job.process = process_of(instance, task->pid);
	call->job.uid = task->uid;
	call->daemon = daemon;
	call->request = request;
	call->enclave = instance->enclave;
	call->ioctl = ioctl;
	call->tid = task->pid;
	call->argument = *argument;
	call->mapping.not_of = daemon->device_number;
	request->parked.ends_at_signal = ioctl->ends_at_signal;
	request->payer = mirror_of_task(daemon->mirror, task->pid);
	return call;
}

/* 0: the call will answer; else the errno that it gets. */
static int call_begin(struct daemon *daemon, fuse_req_t req, struct instance *instance,
		      const struct enclave_ioctl *ioctl, const union enclave_argument *argument)
{
	struct enclave_call *call;
	int error = ioctl->check ? ioctl->check(instance->enclave, argument) : 0;

	if (error)
		return error;
	call = call_new(daemon, req, instance, ioctl, argument);
	if (!call)
		return -ENOMEM;
	engine_lock(daemon->engine);
	instance_request_link(daemon->instances, call->request);
	engine_unlock(daemon->engine);
	/* Nobody can end it before it is submitted: a signal that comes first is found there. */
	instance_request_park(daemon->instances, call->request);
	fetch_submit(daemon->fetch_pool, &call->job);
	return 0;
}

void enclave_ioctl(struct daemon *daemon, fuse_req_t req, struct instance *instance,
		   unsigned int cmd, const void *arg, const void *in, size_t in_size,
		   size_t out_size)
{
	const struct enclave_ioctl *ioctl = enclave_ioctl_find(cmd);
	union enclave_argument argument = { 0 };
	int error = 0;

	(void)arg;
	if (atomic_exchange(&instance->enclave->is_busy, true)) {
		fuse_reply_err(req, EBUSY);
		return;
	}
	if (!ioctl)
		error = -ENOTTY;
	else if (in_size != _IOC_SIZE(cmd) || (out_size && out_size != _IOC_SIZE(cmd)))
		error = -EINVAL;
	if (!error) {
		memcpy(&argument, in, in_size);
		error = call_begin(daemon, req, instance, ioctl, &argument);
	}
	if (!error)
		return;
	atomic_store(&instance->enclave->is_busy, false);
	fuse_reply_err(req, -error);
}
