/* SPDX-License-Identifier: MIT */
/*
 * Enclaves of the guest, built by ENCLS and taken apart again. An enclave's range is all of the
 * guest's memory, so that the linear address of a page is its physical one.
 */
#ifndef EPCD_GUEST_ENCLAVE_H
#define EPCD_GUEST_ENCLAVE_H

#include <stdbool.h>
#include <stdint.h>

/* The first leaf that did not go well. */
struct enclave_failure {
	const char *leaf;
	uint64_t page;	 /* physical address */
	uint64_t result; /* see LEAF_FAULT */
};

/*
 * ECREATE at secs; EADD of nr_pages from first on, the first a TCS, the others REG; EEXTEND of each
 * page's first chunk: of a REG page the words address, address + 8, ... The rest is zero. No EINIT.
 */
bool enclave_build(uint64_t secs, uint64_t first, uint64_t nr_pages,
		   struct enclave_failure *failure);

/* EREMOVE of the pages, then of the SECS. */
bool enclave_remove(uint64_t secs, uint64_t first, uint64_t nr_pages,
		    struct enclave_failure *failure);

#endif
