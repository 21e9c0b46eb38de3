/* SPDX-License-Identifier: MIT */
/*
 * Draws leaves with good and bad operands, executes them on the processor and on the model, and
 * compares what they gave and what the EPC is then. What it does follows from its draw alone.
 */
#ifndef EPCD_TESTS_SGX_DRIVER_H
#define EPCD_TESTS_SGX_DRIVER_H

#include "draw.h"
#include "model.h"

#define DRIVER_NR_SAVED 16u /* blobs that the system keeps */

struct driver_saved {
	_Alignas(SGX_PAGE_SIZE) uint8_t bytes[SGX_PAGE_SIZE];
	_Alignas(128) struct sgx_pcmd pcmd;
	uint64_t linaddr;
	struct sgx_epc slot;
	uint64_t owner; /* id of the enclave, 0 for SECS and VA pages */
};

/* How often a leaf gave what. */
struct driver_figures {
	uint64_t nr_leaves, nr_successes, nr_codes, nr_faults;
	uint64_t hash; /* of all that was given */
	/* By leaf and outcome, as far as there is room: */
	struct {
		const char *leaf;
		int outcome;
		uint64_t nr;
	} outcomes[256];
};

struct driver {
	struct draw draw;
	struct sgx *sgx;
	struct model model;
	bool is_verbose;
	uint8_t (*bytes)[SGX_PAGE_SIZE]; /* of the EPC */
	struct driver_saved saved[DRIVER_NR_SAVED];
	uint32_t nr_saved; /* ever */
	uint64_t nr_steps;
	struct driver_figures *figures; /* borrowed */

	/* Operands of the leaf that is being drawn. */
	struct sgx_pageinfo info;
	_Alignas(64) struct sgx_secinfo secinfo;
	_Alignas(SGX_PAGE_SIZE) uint8_t source[SGX_PAGE_SIZE];
	_Alignas(SGX_PAGE_SIZE) struct sgx_sigstruct sigstruct;
	_Alignas(512) struct sgx_einittoken token;

	/* The last leaf, and "" or what is wrong. */
	const char *leaf;
	uint32_t page; /* that it named first */
	int got, expected;
	char complaint[256];
};

/* Never NULL. driver_free() takes it back. */
struct driver *driver_new(struct draw draw, bool is_metadata_only, enum model_break broken,
			  struct driver_figures *figures);
void driver_free(struct driver *driver);
/* One leaf, or something else that changes what leaves do. False: driver->complaint says why. */
bool driver_step(struct driver *driver);

/* For the leaves (driver_leaves.c): executes none or one leaf on both. */
void driver_draw_leaf(struct driver *driver);
/* And compares what both gave. page: that must be looked at closely, or SGX_PAGE_OUTSIDE. */
void driver_result(struct driver *driver, const char *leaf, uint32_t page, int got, int expected);

#endif
