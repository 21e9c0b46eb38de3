/* SPDX-License-Identifier: MIT */
/*
 * What the files of virtual EPC share. vepc.c has the instances, vepc_vm.c the VMs that they form,
 * vepc_request.c page faults, write-backs, fallocate and how every request comes back,
 * vepc_ioctl.c the ioctls, vepc_lose.c EPC loss on command. Nobody else includes this.
 */
#ifndef EPCD_FRONT_VEPC_INTERNAL_H
#define EPCD_FRONT_VEPC_INTERNAL_H

#include "epc/abi.h"
#include "front/mirror.h"
#include "front/parked.h"
#include "front/vepc.h"

#define VEPC_CLUSTER_BYTES_MAX ((size_t)EPC_CLUSTER_PAGES_MAX * EPC_PAGE_SIZE)
#define VEPC_NR_VM_BUCKETS 1024u

enum vepc_request_kind {
	VEPC_REQUEST_READ,
	VEPC_REQUEST_IOCTL, /* that resets */
	VEPC_REQUEST_FALLOCATE,
	VEPC_REQUEST_LEAF,
	VEPC_REQUEST_LOSE,
};

struct vepc_loss;

/* One request that the core has. */
struct vepc_request {
	union {
		struct epc_request core; /* first in a leaf, too */
		struct epc_leaf leaf;
	};
	enum vepc_request_kind kind;
	fuse_req_t req;
	struct vepc_instance *instance; /* READ: it stays until the answer is delivered */
	struct mirror_cgroup *payer;	/* LEAF: a reference; NULL: the opener's pays */
	struct vepc_loss *loss;		/* LOSE: the command that it is a part of */
	struct parked parked;
	struct vepc_request *next, *prev; /* of the table, under the engine's lock */
	_Alignas(8) char buffer[];	  /* READ: the bytes. LEAF: struct epc_vepc_leaf */
};

/*
 * A VM: the instances that one process has opened. It is found by its process while one of them
 * is open; afterwards those that wait for their zombies keep it. Under the engine's lock.
 */
struct vepc_vm {
	int pid;
	uint64_t start_time;
	struct vepc_instance *open; /* any one of the ring of those not released, NULL: none */
	uint64_t nr_instances;	    /* released ones included: the last one frees it */
	uint64_t loss_number;	    /* the last command of loss that has come by */
	struct vepc_vm *next;	    /* in its bucket */
};

struct vepc_instance {
	struct vepc vepc; /* first: the core's cookie points to it */
	fuse_ino_t ino;
	struct mirror_cgroup *opener; /* a reference; NULL once released */
	/* under the engine's lock */
	struct vepc_vm *vm;
	struct vepc_instance *vm_next, *vm_prev; /* the VM's ring */
	uint64_t nr_undelivered; /* READs that the core has, or whose delivery it does not know */
	bool is_released;
	struct epc_vepc_refusal refusal; /* the last one, as it is told */
	struct vepc_instance *next, *prev;
};

struct vepc_table {
	struct daemon *daemon;
	struct parked_table *parked;
	char *zeros; /* so many bytes as a cluster has: the kernel's zero page many times */
	/* under the engine's lock */
	struct vepc_instance **shown; /* those with an id, by it; room for all that there are */
	size_t nr_shown, nr_shown_max, nr_instances;
	struct vepc_vm *vms[VEPC_NR_VM_BUCKETS]; /* by process id */
	uint64_t nr_losses;
	/* under the engine's lock; heads of rings */
	struct vepc_instance instances;
	struct vepc_request requests;
};

/* vepc.c, under the engine's lock: by its id; NULL: there is none. */
struct vepc_instance *vepc_find(const struct vepc_table *table, uint64_t id);

/*
 * vepc_vm.c, under the engine's lock. join: with the others that its process has open; false: no
 * memory. sibling: another open one, or NULL. leave: at the release; put: at the end.
 */
bool vepc_vm_join(struct vepc_table *table, struct vepc_instance *instance);
struct vepc_instance *vepc_vm_sibling(const struct vepc_instance *instance);
void vepc_vm_leave(struct vepc_table *table, struct vepc_instance *instance);
void vepc_vm_put(struct vepc_instance *instance);

/*
 * vepc_request.c. new: with a buffer of size bytes; NULL: no memory. link, park: under the
 * engine's lock, before which nobody can answer it; park: its thread, when it is killed, ends it.
 */
struct vepc_request *vepc_request_new(fuse_req_t req, struct vepc_instance *instance,
				      enum vepc_request_kind kind, size_t size);
void vepc_request_link(struct vepc_table *table, struct vepc_request *request);
void vepc_request_park(struct vepc_table *table, struct vepc_request *request);
void vepc_request_free(struct vepc_request *request);
void vepc_request_drop(struct vepc_request *request); /* the same, before it is linked */
/* Answers what will not come to its end. */
void vepc_request_abandon(struct daemon *daemon, struct vepc_request *request);

/* vepc_ioctl.c: a leaf's answer. */
void vepc_leaf_answer(struct vepc_request *request);

/* vepc_lose.c: a VM's part of the command is done, or has failed. */
void vepc_loss_put(struct vepc_loss *loss, int error);

#endif
