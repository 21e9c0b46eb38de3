/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests of the core share: an EPC with memory that is counted and fails on demand,
 * and its effects, taken after each call and kept to be looked at. epc_is_valid() is asserted after
 * each call; fixture_end() asserts that all memory came back.
 */
#ifndef EPCD_TEST_CORE_FIXTURE_H
#define EPCD_TEST_CORE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/epc.h"

#define FIXTURE_NR_RECORDS 64u
#define FIXTURE_NR_UNMAPS 16u
#define FIXTURE_NR_REPLIES 128u
#define PENDING 1 /* request.result until the reply */
#define PAGE UINT64_C(4096)

struct fixture {
	struct epc *epc;
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

uint64_t usage_pages(const struct epc_cgroup *cgroup);
uint64_t peak_pages(const struct epc_cgroup *cgroup);
uint64_t nr_free(const struct fixture *f);
bool is_owned(const struct fixture *f, const struct epc_instance *instance, uint64_t index);

#endif
