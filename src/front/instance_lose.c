/* SPDX-License-Identifier: MIT */
/*
 * EPC loss on command: a write to a control file loses the content of some VMs, and is answered
 * when all of them are done, by whoever does the last. A VM is lost as a whole: an enclave of which
 * a half is there is a state that no hardware shows.
 */
#include "front/instance_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NR_LOOKED_AT 64u /* instances in one hold of the lock */

struct instance_loss {
	fuse_req_t req;
	size_t size;	      /* what the write's answer is */
	uint64_t number;      /* which VMs have seen it: instance_vm.loss_number */
	atomic_uint nr_parts; /* to come: VMs, and whoever still adds some */
	atomic_int error;
};

void instance_loss_put(struct instance_loss *loss, int error)
{
	if (error)
		atomic_store(&loss->error, error);
	if (atomic_fetch_sub(&loss->nr_parts, 1) != 1)
		return;
	error = atomic_load(&loss->error);
	if (error)
		fuse_reply_err(loss->req, -error);
	else
		fuse_reply_write(loss->req, loss->size);
	free(loss);
}

/* NULL: no memory, and req is answered. One part is the caller's. */
static struct instance_loss *loss_new(fuse_req_t req, size_t size)
{
	struct instance_loss *loss = calloc(1, sizeof(*loss));

	if (!loss) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	loss->req = req;
	loss->size = size;
	atomic_init(&loss->nr_parts, 1);
	return loss;
}

/* Under the engine's lock: the VM loses its content, unless it has for this command. */
static void vm_lose(struct instance_table *table, struct epc *epc, struct instance_loss *loss,
		    struct instance_vm *vm)
{
	struct instance_request *request;

	/* With none open there is nothing left but pages that are on their way out. */
	if (vm->loss_number == loss->number || !vm->open)
		return;
	vm->loss_number = loss->number;
	request = instance_request_new(loss->req, NULL, INSTANCE_REQUEST_LOSE, 0);
	if (!request) {
		atomic_store(&loss->error, -ENOMEM);
		return;
	}
	request->loss = loss;
	request->core.instance = vm->open->core;
	atomic_fetch_add(&loss->nr_parts, 1);
	instance_request_link(table, request);
	epc_lose_vm(epc, &request->core);
}

int instance_lose(struct daemon *daemon, fuse_req_t req, size_t size, uint64_t id)
{
	struct instance_table *table = daemon->instances;
	struct instance_loss *loss = loss_new(req, size);
	struct instance *instance;
	struct epc *epc;

	if (!loss)
		return 0;
	epc = engine_lock_for_long(daemon->engine);
	loss->number = ++table->nr_losses;
	instance = instance_find(table, id);
	if (instance)
		vm_lose(table, epc, loss, instance->vm);
	engine_unlock(daemon->engine);
	if (!instance) {
		free(loss);
		return -ENOENT;
	}
	instance_loss_put(loss, 0);
	return 0;
}

/* Looks at some of the instances behind after_id. Returns the last one's id, 0: that was all. */
static uint64_t some_lose(struct daemon *daemon, struct instance_loss *loss,
			  const struct mirror_cgroup *cgroup, uint64_t after_id)
{
	struct epc *epc = engine_lock_for_long(daemon->engine);
	const struct instance *instance = NULL;

	for (unsigned int i = 0; i < NR_LOOKED_AT; i++) {
		instance = instance_next(daemon, after_id);
		if (!instance)
			break;
		after_id = instance->id;
		if (!cgroup || epc_has_stake_below(instance->core, cgroup->cgroup))
			vm_lose(daemon->instances, epc, loss, instance->vm);
	}
	engine_unlock(daemon->engine);
	return instance ? after_id : 0;
}

void instance_lose_below(struct daemon *daemon, fuse_req_t req, size_t size,
			 const struct mirror_cgroup *cgroup)
{
	struct instance_table *table = daemon->instances;
	struct instance_loss *loss = loss_new(req, size);
	uint64_t id = 0, last_id = 0;

	if (!loss)
		return;
	engine_lock(daemon->engine);
	loss->number = ++table->nr_losses;
	if (table->nr_shown)
		last_id = table->shown[table->nr_shown - 1]->id;
	engine_unlock(daemon->engine);
	/* What begins later has lost nothing; and without an end a VM could keep us here. */
	while (id < last_id) {
		id = some_lose(daemon, loss, cgroup, id);
		if (!id)
			break;
	}
	instance_loss_put(loss, 0);
}
