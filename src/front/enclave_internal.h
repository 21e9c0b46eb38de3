/* SPDX-License-Identifier: MIT */
/*
 * What the files of enclaves share: enclave.c has the ioctls, enclave_call.c runs them. Nobody else
 * includes this.
 */
#ifndef EPCD_FRONT_ENCLAVE_INTERNAL_H
#define EPCD_FRONT_ENCLAVE_INTERNAL_H

#include <stdatomic.h>

#include "front/enclave.h"
#include "front/fetch.h"
#include "front/instance_internal.h"

/* As the ioctls have made it. Only the one that is_busy stands for changes it. */
struct enclave {
	atomic_bool is_busy; /* with an ioctl: others are refused */
	bool is_created, is_initialised;
	uint64_t base, size; /* bytes */
	uint64_t attributes, allowed_attributes;
};

union enclave_argument {
	struct sgx_enclave_create create;
	struct sgx_enclave_add_pages add_pages;
	struct sgx_enclave_init init;
	struct sgx_enclave_provision provision;
	struct sgx_enclave_restrict_permissions restrict_permissions;
	struct sgx_enclave_modify_types modify_types;
	struct sgx_enclave_remove_pages remove_pages;
};

struct enclave_ioctl;

/* An ioctl that is being done: the buffer of its request. */
struct enclave_call {
	struct fetch_job job; /* first */
	struct daemon *daemon;
	struct instance_request *request;
	struct enclave *enclave; /* there until the answer */
	const struct enclave_ioctl *ioctl;
	pid_t tid;
	atomic_uint nr_hands; /* that have let a page go: who asked the core, and who answered */
	atomic_bool is_killed;
	bool has_begun; /* from now on the argument is written back */
	union enclave_argument argument;
	struct fetch_mapping mapping; /* ADD_PAGES: around the last source page */
	_Alignas(8) uint8_t info[128];
	_Alignas(8) uint8_t data[EPC_PAGE_SIZE];
};

enum {
	ENCLAVE_CALL_GOES_ON = 1, /* with another page */
	ENCLAVE_CALL_IS_DONE,	  /* without the core */
};

struct enclave_ioctl {
	unsigned int cmd;
	/* What can be said at once: 0, or the errno. NULL: nothing. */
	int (*check)(const struct enclave *enclave, const union enclave_argument *argument);
	/*
	 * Reads what is needed and says what the core is to do for one page: 0. Else
	 * ENCLAVE_CALL_IS_DONE; -ECANCELED: the call is somebody else's now; or the errno that
	 * done() gets.
	 */
	int (*prepare)(struct enclave_call *call, struct fetcher *fetcher);
	/* After it: 0, an errno, ENCLAVE_CALL_GOES_ON. On any thread; waits for nobody. */
	int (*done)(struct enclave_call *call, int result);
	bool ends_at_signal; /* any one, not only one that kills */
};

/* enclave.c: NULL: there is none. */
const struct enclave_ioctl *enclave_ioctl_find(unsigned int cmd);

/* enclave_call.c */
bool enclave_call_is_interrupted(struct enclave_call *call);
bool enclave_call_has_page(struct enclave_call *call, uint64_t linaddr);

#endif
