/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests of the core share: an EPC with memory that is counted and fails on demand,
 * and its effects, taken after each call and kept to be looked at. epc_is_valid() is asserted after
 * each call; fixture_end() asserts that all memory came back.
 */
#ifndef EPCD_TEST_CORE_FIXTURE_H
#define EPCD_TEST_CORE_FIXTURE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../sim/guest_leaf.h"
#include "core/epc.h"

#define FIXTURE_NR_RECORDS 64u
#define FIXTURE_NR_UNMAPS 16u
#define FIXTURE_NR_REPLIES 128u
#define PENDING INT_MAX /* request.result until the reply */
#define PAGE UINT64_C(4096)

struct fixture {
	struct epc *epc;
	bool is_metadata_only;
	struct epc_cgroup *root;
	char *bytes;
	uint64_t nr_allocated;
	uint64_t fail_countdown; /* the n-th allocation from now fails; 0: none */
	uint64_t now_ns;
	struct epc_record records[FIXTURE_NR_RECORDS];
	unsigned int nr_records;
	struct epc_unmap *unmaps[FIXTURE_NR_UNMAPS]; /* to be acknowledged, oldest first */
	unsigned int nr_unmaps;
	struct epc_request *replies[FIXTURE_NR_REPLIES];
	unsigned int nr_replies;
	unsigned int nr_gone;
};

void fixture_begin(struct fixture *f, uint64_t nr_pages);
void fixture_begin_two(struct fixture *f, uint64_t nr_pages, uint64_t nr_more); /* two sections */
void fixture_begin_metadata(struct fixture *f, uint64_t nr_pages);
void fixture_end(struct fixture *f);
void fixture_fail_nth(struct fixture *f, uint64_t n);
int fixture_try(struct fixture *f, uint64_t nr_pages); /* epc_new()'s error */

/* Takes the effects of the call before; forgets those of the calls before it. */
void fixture_take(struct fixture *f);
void fixture_run(struct fixture *f);	  /* epc_step() until it is done */
void fixture_unmapped(struct fixture *f); /* acknowledges the oldest unmapping */
void fixture_tick(struct fixture *f, uint64_t ns);
const struct epc_record *fixture_record(const struct fixture *f, enum epc_record_kind kind);

struct epc_cgroup *cgroup_with_max(struct fixture *f, struct epc_cgroup *parent,
				   uint64_t max_bytes);
struct epc_instance *instance_in(struct fixture *f, struct epc_cgroup *cgroup);
struct epc_instance *instance_beside(struct fixture *f, struct epc_instance *sibling);
/* Releases it, and everything until nothing moves any more. */
void instance_release(struct fixture *f, struct epc_instance *instance);

/* Sends a READ and takes the effects; request->result is PENDING when it is parked. */
int read_send(struct fixture *f, struct epc_request *request, struct epc_instance *instance,
	      struct epc_cgroup *payer, uint64_t first, uint64_t count);
/* A READ that is answered and delivered, or refused. */
int read_pages(struct fixture *f, struct epc_instance *instance, struct epc_cgroup *payer,
	       uint64_t first, uint64_t count);
/* The bytes of a page, 4096; delivered. Returns is_zero. */
bool read_bytes(struct fixture *f, struct epc_instance *instance, uint64_t index, char *bytes);
void write_byte(struct fixture *f, struct epc_instance *instance, uint64_t index, char value);
void operation_send(struct fixture *f, struct epc_request *request, struct epc_instance *instance,
		    uint64_t first, uint64_t count, bool is_punch);
/* Sends it and performs everything until its reply. */
int operation_do(struct fixture *f, struct epc_instance *instance, uint64_t first, uint64_t count,
		 bool is_punch);

/* Steps and acknowledges everything until the request is answered. Returns its result. */
int request_end(struct fixture *f, struct epc_request *request);

/*
 * Leaves, with the operands that guest_...() has filled in; payer: the root. send: takes the
 * effects; do: until its reply; is_done: and it has the outcome 0.
 */
void leaf_init(struct fixture *f, struct guest_leaf *guest, struct epc_instance *instance);
int leaf_send(struct fixture *f, struct guest_leaf *guest);
int leaf_do(struct fixture *f, struct guest_leaf *guest);
bool leaf_is_done(struct fixture *f, struct guest_leaf *guest);

/* An enclave's address range: 2 GiB for each number. */
#define ENCLAVE_BASE(number) (UINT64_C(1) << 46 | (uint64_t)(number) << 31)
#define ENCLAVE_SIZE (UINT64_C(1) << 31)
/* Leaves that must succeed. number: of the enclave, its pages lie at its base + index * 4096. */
void make_secs(struct fixture *f, struct epc_leaf_place secs, unsigned int number);
void make_page(struct fixture *f, struct epc_leaf_place page, struct epc_leaf_place secs,
	       unsigned int number, uint64_t flags);
void make_init(struct fixture *f, struct epc_leaf_place secs);
void make_thread(struct fixture *f, uint32_t leaf, struct epc_leaf_place tcs);
void make_va(struct fixture *f, struct epc_leaf_place page);

struct epc_page_report page_report(const struct fixture *f, struct epc_leaf_place place);
bool is_secs(const struct fixture *f, struct epc_leaf_place place);
bool is_enclave_page(const struct fixture *f, struct epc_leaf_place place);
uint64_t nr_secs(const struct fixture *f);
uint64_t nr_zombies(const struct fixture *f);

uint64_t usage_pages(const struct epc_cgroup *cgroup);
uint64_t peak_pages(const struct epc_cgroup *cgroup);
uint64_t nr_free(const struct fixture *f);
bool is_owned(const struct fixture *f, const struct epc_instance *instance, uint64_t index);

#endif
