/* SPDX-License-Identifier: MIT */
/*
 * A false kernel under libvepc: sections are memory files, whose pages behind backed_bytes are a
 * real SIGBUS; the answers of ioctls are what a test says. It notes what it was asked.
 */
#ifndef EPCD_TEST_VEPC_FIXTURE_H
#define EPCD_TEST_VEPC_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "epc/abi.h"
#include "epc/vepc.h"
#include "vepc/internal.h"

#define PAGE ((uint64_t)VEPC_PAGE_BYTES)
#define NR_FALSE_MAX 16u

struct false_kernel {
	/* What it answers. Arrays are by section, in the order of opening. */
	int open_error, map_error;
	void *map_at;		      /* where the next section goes, or NULL */
	uint64_t backed_bytes;	      /* of each section; UINT64_MAX: all */
	int removes[NR_FALSE_MAX][4]; /* REMOVE_ALL's value by call, from the first one on */
	bool is_epcd;		      /* else the ioctls of epc/abi.h are ENOTTY */
	struct epc_vepc_info info;
	int reset_vm;
	int refusal_error;
	struct epc_vepc_refusal refusal;
	int nr_interruptions;	/* so many ioctls are EINTR before one is let through */
	int populate_error;	/* of every call, or 0 */
	int nr_again;		/* so many populates are EAGAIN before one is let through */
	uint64_t nr_pages_left; /* that populate and touch may hand out */

	/* What it was asked. */
	unsigned int nr_opens, nr_closes, nr_unmaps;
	unsigned int nr_removes[NR_FALSE_MAX], nr_reset_vms, nr_populates, nr_touches;
	char order[64]; /* the sections of REMOVE_ALL, a digit each; 'v' for RESET_VM */
	uint64_t limit_bytes;
	int fds[NR_FALSE_MAX];
};

extern const struct vepc_device_ops false_ops;

void false_init(struct false_kernel *kernel);

/* A VM with nr_sections of size_bytes each. */
struct vepc_vm *false_vm(struct false_kernel *kernel, unsigned int nr_sections,
			 uint64_t size_bytes);

/* vm's end; whatever was opened and mapped must have its end, too. */
void false_vm_free(struct false_kernel *kernel, struct vepc_vm *vm);

/* A refusal by the cgroup /vm, as epcd tells it. */
void false_refuse(struct false_kernel *kernel, uint64_t offset);

#endif
