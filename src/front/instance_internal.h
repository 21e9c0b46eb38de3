/* SPDX-License-Identifier: MIT */
/*
 * What the files of instances share. instance.c has the instances, instance_vm.c the VMs that they
 * form, instance_request.c page faults, write-backs, fallocate and how every request comes back,
 * vepc_ioctl.c the ioctls of sgx_vepc, instance_lose.c EPC loss on command. Nobody else includes
 * this.
 */
#ifndef EPCD_FRONT_INSTANCE_INTERNAL_H
#define EPCD_FRONT_INSTANCE_INTERNAL_H

#include "epc/abi.h"
#include "front/instance.h"
#include "front/mirror.h"
#include "front/parked.h"

#define INSTANCE_CLUSTER_BYTES_MAX ((size_t)EPC_CLUSTER_PAGES_MAX * EPC_PAGE_SIZE)
#define INSTANCE_NR_VM_BUCKETS 1024u

enum instance_request_kind {
	INSTANCE_REQUEST_READ,
	INSTANCE_REQUEST_IOCTL, /* that resets */
	INSTANCE_REQUEST_FALLOCATE,
	INSTANCE_REQUEST_LEAF,
	INSTANCE_REQUEST_LOSE,
	INSTANCE_REQUEST_ENCLAVE, /* an ioctl of sgx_enclave */
};

struct instance_loss;

/* One request that the core has. */
struct instance_request {
	union {
		struct epc_request core; /* first in a leaf, too */
		struct epc_leaf leaf;
	};
	enum instance_request_kind kind;
	fuse_req_t req;
	struct instance *instance;   /* READ: it stays until the answer is delivered */
	struct mirror_cgroup *payer; /* LEAF, ENCLAVE: a reference; NULL: the opener's pays */
	struct instance_loss *loss;  /* LOSE: the command that it is a part of */
	struct parked parked;
	struct instance_request *next, *prev; /* of the table, under the engine's lock */
	_Alignas(8) char buffer
		[]; /* READ: the bytes; LEAF: struct epc_vepc_leaf; ENCLAVE: struct enclave_call */
};

/*
 * A VM: the instances that one process has opened. It is found by its process while one of them
 * is open; afterwards those that wait for their zombies keep it. Under the engine's lock.
 */
struct instance_vm {
	int pid;
	uint64_t start_time;
	struct instance *open;	  /* any one of the ring of those not released, NULL: none */
	uint64_t nr_instances;	  /* released ones included: the last one frees it */
	uint64_t loss_number;	  /* the last command of loss that has come by */
	struct instance_vm *next; /* in its bucket */
};

struct instance_table {
	struct daemon *daemon;
	struct parked_table *parked;
	char *zeros; /* so many bytes as a cluster has: the kernel's zero page many times */
	/* under the engine's lock */
	struct instance **shown; /* those with an id, by it; room for all that there are */
	size_t nr_shown, nr_shown_max, nr_instances;
	struct instance_vm *vms[INSTANCE_NR_VM_BUCKETS]; /* by process id */
	uint64_t nr_losses;
	/* under the engine's lock; heads of rings */
	struct instance instances;
	struct instance_request requests;
};

/* instance.c, under the engine's lock: by its id; NULL: there is none. */
struct instance *instance_find(const struct instance_table *table, uint64_t id);

/*
 * instance_vm.c, under the engine's lock. join: with the others that its process has open; false:
 * no memory. sibling: another open one, or NULL. leave: at the release; put: at the end.
 */
bool instance_vm_join(struct instance_table *table, struct instance *instance);
struct instance *instance_vm_sibling(const struct instance *instance);
void instance_vm_leave(struct instance_table *table, struct instance *instance);
void instance_vm_put(struct instance *instance);

/*
 * instance_request.c. new: with a buffer of size bytes; NULL: no memory. link, park: under the
 * engine's lock, before which nobody can answer it; park: its thread, when it is killed, ends it.
 */
struct instance_request *instance_request_new(fuse_req_t req, struct instance *instance,
					      enum instance_request_kind kind, size_t size);
void instance_request_link(struct instance_table *table, struct instance_request *request);
void instance_request_park(struct instance_table *table, struct instance_request *request);
void instance_request_free(struct instance_request *request);
void instance_request_drop(struct instance_request *request); /* the same, before it is linked */
/* Answers what will not come to its end. */
void instance_request_abandon(struct daemon *daemon, struct instance_request *request);

/* vepc_ioctl.c: a leaf's answer. */
void vepc_leaf_answer(struct instance_request *request);

/* instance_lose.c: a VM's part of the command is done, or has failed. */
void instance_loss_put(struct instance_loss *loss, int error);

#endif
