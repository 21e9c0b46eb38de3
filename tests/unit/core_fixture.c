/* SPDX-License-Identifier: MIT */
/* What the unit tests of the core share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core_fixture.h"

static void *allocate(void *context, size_t size)
{
	struct fixture *f = context;

	if (f->fail_countdown && --f->fail_countdown == 0)
		return NULL;
	f->nr_allocated++;
	return calloc(1, size);
}

static void deallocate(void *context, void *memory, size_t size)
{
	struct fixture *f = context;

	(void)size;
	assert_non_null(memory);
	f->nr_allocated--;
	free(memory);
}

static int try(struct fixture *f, uint64_t nr_pages, uint64_t nr_more)
{
	f->bytes = aligned_alloc(PAGE, (nr_pages + nr_more) * PAGE);
	assert_non_null(f->bytes);
	/* an EPC's memory is as somebody left it */
	memset(f->bytes, 0x5a, (nr_pages + nr_more) * PAGE);
	const struct epc_section_config sections[] = {
		{ .nr_pages = nr_pages, .node = 0, .bytes = f->bytes },
		{ .nr_pages = nr_more, .node = 1, .bytes = f->bytes + nr_pages * PAGE },
	};
	const struct epc_config config = {
		.sections = sections,
		.nr_sections = nr_more ? 2 : 1,
		.allocator = { allocate, deallocate, f },
		.is_metadata_only = f->is_metadata_only,
	};
	int error = epc_new(&config, &f->epc);

	if (error) {
		free(f->bytes);
		f->bytes = NULL;
	}
	return error;
}

int fixture_try(struct fixture *f, uint64_t nr_pages)
{
	return try(f, nr_pages, 0);
}

void fixture_begin(struct fixture *f, uint64_t nr_pages)
{
	fixture_begin_two(f, nr_pages, 0);
}

static void begin(struct fixture *f, uint64_t nr_pages, uint64_t nr_more)
{
	assert_int_equal(try(f, nr_pages, nr_more), 0);
	f->root = epc_cgroup_root(f->epc);
	fixture_tick(f, EPC_REFUSAL_REPEAT_NS);
}

void fixture_begin_two(struct fixture *f, uint64_t nr_pages, uint64_t nr_more)
{
	memset(f, 0, sizeof(*f));
	begin(f, nr_pages, nr_more);
}

void fixture_begin_metadata(struct fixture *f, uint64_t nr_pages)
{
	memset(f, 0, sizeof(*f));
	f->is_metadata_only = true;
	begin(f, nr_pages, 0);
}

void fixture_end(struct fixture *f)
{
	epc_free(f->epc);
	assert_int_equal(f->nr_allocated, 0);
	free(f->bytes);
}

void fixture_fail_nth(struct fixture *f, uint64_t n)
{
	f->fail_countdown = n;
}

void fixture_take(struct fixture *f)
{
	struct epc_effect effect;
	const char *why;

	f->nr_records = 0;
	f->nr_replies = 0;
	while (epc_effect_next(f->epc, &effect)) {
		switch (effect.kind) {
		case EPC_EFFECT_RECORD:
			assert_true(f->nr_records < FIXTURE_NR_RECORDS);
			f->records[f->nr_records++] = effect.record;
			break;
		case EPC_EFFECT_UNMAP:
			assert_true(f->nr_unmaps < FIXTURE_NR_UNMAPS);
			f->unmaps[f->nr_unmaps++] = effect.unmap;
			break;
		case EPC_EFFECT_REPLY:
			assert_true(f->nr_replies < FIXTURE_NR_REPLIES);
			f->replies[f->nr_replies++] = effect.reply;
			break;
		case EPC_EFFECT_GONE:
			f->nr_gone++;
			break;
		}
	}
	if (!epc_is_valid(f->epc, &why))
		fail_msg("epc_is_valid(): %s", why);
}

void fixture_run(struct fixture *f)
{
	bool has_more = true;

	for (int i = 0; has_more; i++) {
		has_more = epc_step(f->epc);
		fixture_take(f);
		assert_true(i < 10000);
	}
}

void fixture_unmapped(struct fixture *f)
{
	struct epc_unmap *unmap = f->unmaps[0];

	assert_true(f->nr_unmaps > 0);
	f->nr_unmaps--;
	memmove(&f->unmaps[0], &f->unmaps[1], f->nr_unmaps * sizeof(f->unmaps[0]));
	epc_unmapped(f->epc, unmap);
	fixture_take(f);
}

void fixture_tick(struct fixture *f, uint64_t ns)
{
	f->now_ns += ns;
	epc_tick(f->epc, f->now_ns);
}

const struct epc_record *fixture_record(const struct fixture *f, enum epc_record_kind kind)
{
	for (unsigned int i = 0; i < f->nr_records; i++)
		if (f->records[i].kind == kind)
			return &f->records[i];
	return NULL;
}

struct epc_cgroup *cgroup_with_max(struct fixture *f, struct epc_cgroup *parent, uint64_t max_bytes)
{
	struct epc_cgroup *cgroup;

	assert_int_equal(epc_cgroup_new(f->epc, parent, 7, NULL, &cgroup), 0);
	epc_cgroup_set_cookie(cgroup, cgroup);
	epc_cgroup_set_max(f->epc, cgroup, max_bytes);
	fixture_take(f);
	return cgroup;
}

struct epc_instance *instance_in(struct fixture *f, struct epc_cgroup *cgroup)
{
	struct epc_instance *instance;

	assert_int_equal(epc_open(f->epc, cgroup, NULL, NULL, &instance), 0);
	fixture_take(f);
	return instance;
}

struct epc_instance *instance_beside(struct fixture *f, struct epc_instance *sibling)
{
	struct epc_instance *instance;

	assert_int_equal(epc_open(f->epc, f->root, sibling, NULL, &instance), 0);
	fixture_take(f);
	assert_true(epc_is_same_vm(instance, sibling));
	return instance;
}

void instance_release(struct fixture *f, struct epc_instance *instance)
{
	epc_release(f->epc, instance);
	fixture_take(f);
	fixture_run(f);
	while (f->nr_unmaps) {
		fixture_unmapped(f);
		fixture_run(f);
	}
}

int read_send(struct fixture *f, struct epc_request *request, struct epc_instance *instance,
	      struct epc_cgroup *payer, uint64_t first, uint64_t count)
{
	memset(request, 0, sizeof(*request));
	request->instance = instance;
	request->payer = payer;
	request->first = first;
	request->count = count;
	request->result = PENDING;
	epc_read(f->epc, request);
	fixture_take(f);
	return request->result;
}

int read_pages(struct fixture *f, struct epc_instance *instance, struct epc_cgroup *payer,
	       uint64_t first, uint64_t count)
{
	struct epc_request request;
	int result = read_send(f, &request, instance, payer, first, count);

	assert_int_not_equal(result, PENDING);
	if (result == 0)
		epc_delivered(f->epc, instance, first, count);
	return result;
}

bool read_bytes(struct fixture *f, struct epc_instance *instance, uint64_t index, char *bytes)
{
	struct epc_request request = {
		.instance = instance,
		.payer = f->root,
		.first = index,
		.count = 1,
		.buffer = bytes,
		.result = PENDING,
	};

	epc_read(f->epc, &request);
	fixture_take(f);
	assert_int_equal(request.result, 0);
	epc_delivered(f->epc, instance, index, 1);
	return request.is_zero;
}

void write_byte(struct fixture *f, struct epc_instance *instance, uint64_t index, char value)
{
	char bytes[PAGE];

	memset(bytes, value, sizeof(bytes));
	epc_write(f->epc, instance, index * PAGE, bytes, sizeof(bytes));
	fixture_take(f);
}

void operation_send(struct fixture *f, struct epc_request *request, struct epc_instance *instance,
		    uint64_t first, uint64_t count, bool is_punch)
{
	memset(request, 0, sizeof(*request));
	request->instance = instance;
	request->first = first;
	request->count = count;
	request->result = PENDING;
	if (is_punch)
		epc_punch(f->epc, request);
	else
		epc_reset(f->epc, request);
	fixture_take(f);
}

int operation_do(struct fixture *f, struct epc_instance *instance, uint64_t first, uint64_t count,
		 bool is_punch)
{
	struct epc_request request;

	operation_send(f, &request, instance, first, count, is_punch);
	return request_end(f, &request);
}

int request_end(struct fixture *f, struct epc_request *request)
{
	for (int i = 0; request->result == PENDING; i++) {
		while (f->nr_unmaps && request->result == PENDING)
			fixture_unmapped(f);
		if (request->result == PENDING) {
			epc_step(f->epc);
			fixture_take(f);
		}
		assert_true(i < 10000);
	}
	return request->result;
}

void leaf_init(struct fixture *f, struct guest_leaf *guest, struct epc_instance *instance)
{
	memset(guest, 0, sizeof(*guest));
	guest->leaf.request.instance = instance;
	guest->leaf.request.payer = f->root;
}

int leaf_send(struct fixture *f, struct guest_leaf *guest)
{
	guest->leaf.request.result = PENDING;
	epc_leaf(f->epc, &guest->leaf);
	fixture_take(f);
	return guest->leaf.request.result;
}

int leaf_do(struct fixture *f, struct guest_leaf *guest)
{
	leaf_send(f, guest);
	return request_end(f, &guest->leaf.request);
}

bool leaf_is_done(struct fixture *f, struct guest_leaf *guest)
{
	return leaf_do(f, guest) == 0 && guest->leaf.outcome == 0;
}

void make_secs(struct fixture *f, struct epc_leaf_place secs, unsigned int number)
{
	struct guest_leaf guest;

	leaf_init(f, &guest, secs.instance);
	guest_ecreate(&guest, secs, ENCLAVE_BASE(number), ENCLAVE_SIZE);
	assert_true(leaf_is_done(f, &guest));
}

void make_page(struct fixture *f, struct epc_leaf_place page, struct epc_leaf_place secs,
	       unsigned int number, uint64_t flags)
{
	struct guest_leaf guest;

	leaf_init(f, &guest, page.instance);
	guest_eadd(&guest, page, secs, ENCLAVE_BASE(number) + page.offset % ENCLAVE_SIZE, flags);
	assert_true(leaf_is_done(f, &guest));
}

void make_init(struct fixture *f, struct epc_leaf_place secs)
{
	struct guest_leaf guest;

	leaf_init(f, &guest, secs.instance);
	guest_einit(&guest, secs);
	assert_true(leaf_is_done(f, &guest));
}

void make_thread(struct fixture *f, uint32_t leaf, struct epc_leaf_place tcs)
{
	struct guest_leaf guest;

	leaf_init(f, &guest, tcs.instance);
	guest_thread(&guest, leaf, tcs);
	assert_true(leaf_is_done(f, &guest));
}

void make_va(struct fixture *f, struct epc_leaf_place page)
{
	struct guest_leaf guest;

	leaf_init(f, &guest, page.instance);
	guest_epa(&guest, page);
	assert_true(leaf_is_done(f, &guest));
}

struct epc_page_report page_report(const struct fixture *f, struct epc_leaf_place place)
{
	struct epc_page_report report;

	epc_page_report(f->epc, place.instance, place.offset / PAGE, &report);
	return report;
}

bool is_enclave_page(const struct fixture *f, struct epc_leaf_place place)
{
	struct epc_page_report report = page_report(f, place);

	return report.is_owned && report.epcm.is_valid;
}

bool is_secs(const struct fixture *f, struct epc_leaf_place place)
{
	return is_enclave_page(f, place) && page_report(f, place).epcm.type == SGX_PT_SECS;
}

uint64_t nr_secs(const struct fixture *f)
{
	struct epc_report report;

	epc_report(f->epc, &report);
	return report.nr_secs;
}

uint64_t nr_zombies(const struct fixture *f)
{
	struct epc_report report;

	epc_report(f->epc, &report);
	return report.nr_zombies;
}

uint64_t usage_pages(const struct epc_cgroup *cgroup)
{
	struct epc_cgroup_report report;

	epc_cgroup_report(cgroup, &report);
	return report.usage_bytes / PAGE;
}

uint64_t peak_pages(const struct epc_cgroup *cgroup)
{
	struct epc_cgroup_report report;

	epc_cgroup_report(cgroup, &report);
	return report.peak_bytes / PAGE;
}

uint64_t nr_free(const struct fixture *f)
{
	struct epc_report report;

	epc_report(f->epc, &report);
	return report.nr_free;
}

bool is_owned(const struct fixture *f, const struct epc_instance *instance, uint64_t index)
{
	struct epc_page_report report;

	epc_page_report(f->epc, instance, index, &report);
	return report.is_owned;
}
