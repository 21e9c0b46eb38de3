/* SPDX-License-Identifier: MIT */
/*
 * Leaves on pages of a VM: what is refused, which pages are unmapped first and which bytes count,
 * what waits for what, and which pages are hidden. Method: a small EPC, leaves as a guest sends
 * them, effects and reports afterwards. What the leaves themselves do is shown elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core_fixture.h"

#define LINADDR(index) (ENCLAVE_BASE(1) + (index)*PAGE)

static bool reads_as(struct fixture *f, struct epc_leaf_place place, uint8_t value)
{
	char bytes[PAGE], expected[PAGE];

	memset(bytes, 0, sizeof(bytes));
	memset(expected, value, sizeof(expected));
	read_bytes(f, place.instance, place.offset / PAGE, bytes);
	return memcmp(bytes, expected, PAGE) == 0;
}

/* READs the page, so that it may be mapped. */
static void map(struct fixture *f, struct epc_leaf_place place)
{
	assert_int_equal(read_pages(f, place.instance, f->root, place.offset / PAGE, 1), 0);
}

/* SECS at 0, a REG page full of 'r' at 1, a TCS at 2, a VA page at 3. */
static struct epc_instance *enclave_in(struct fixture *f)
{
	struct epc_instance *instance = instance_in(f, f->root);
	struct epc_leaf_place secs = guest_place(instance, 0);
	struct guest_leaf guest;

	make_secs(f, secs, 1);
	leaf_init(f, &guest, instance);
	memset(guest.data, 'r', sizeof(guest.data));
	guest_eadd(&guest, guest_place(instance, 1), secs, LINADDR(1), GUEST_REG_RW);
	assert_true(leaf_is_done(f, &guest));
	make_page(f, guest_place(instance, 2), secs, 1, GUEST_TCS);
	make_va(f, guest_place(instance, 3));
	return instance;
}

static void unknown_leaves_are_refused(void **state)
{
	static const struct {
		bool is_enclu;
		uint32_t leaf;
	} rows[] = {
		{ false, SGX_EMODT + 1 },      { false, 0x100 },      { false, UINT32_MAX },
		{ true, SGX_EREPORT },	       { true, SGX_EGETKEY }, { true, SGX_ERESUME },
		{ true, SGX_EACCEPTCOPY + 1 }, { true, UINT32_MAX },
	};
	struct epc_report report;
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		leaf_init(&f, &guest, instance);
		guest_simple(&guest, rows[i].leaf, guest_place(instance, 0));
		guest.leaf.is_enclu = rows[i].is_enclu;
		assert_int_equal(leaf_send(&f, &guest), -EINVAL);
	}
	epc_report(f.epc, &report);
	assert_int_equal(report.nr_leaves, 0);
	assert_int_equal(report.nr_free, 16);
	fixture_end(&f);
}

/* Each of the four places outside of the VM, and outside of the instance. */
static void places_are_checked(void **state)
{
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);
	struct epc_instance *other = instance_in(&f, f.root);
	const struct epc_leaf_place far = { instance, EPC_NR_INDICES * PAGE };
	const struct epc_leaf_place others = { other, 0 };

	for (int i = 0; i < 8; i++) {
		const struct epc_leaf_place bad = i % 2 ? far : others;

		leaf_init(&f, &guest, instance);
		guest_epa(&guest, guest_place(instance, 0));
		*(i / 2 == 0 ? &guest.leaf.rcx :
		  i / 2 == 1 ? &guest.leaf.rdx :
		  i / 2 == 2 ? &guest.leaf.secs :
			       &guest.leaf.rbx_place) = bad;
		assert_int_equal(leaf_send(&f, &guest), i % 2 ? -EINVAL : -EPERM);
		assert_int_equal(nr_free(&f), 16);
	}
	make_va(&f, (struct epc_leaf_place){ instance, EPC_NR_INDICES * PAGE - PAGE });
	instance_release(&f, other);
	assert_int_equal(f.nr_gone, 1);
	fixture_end(&f);
}

/* A leaf that makes a page: it is allocated, charged as a fault is, and nobody maps it. */
static void pages_of_leaves_are_charged(void **state)
{
	struct epc_instance_report report;
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 4 * PAGE);
	struct epc_instance *instance = instance_in(&f, f.root);

	leaf_init(&f, &guest, instance);
	guest.leaf.request.payer = cgroup;
	guest_ecreate(&guest, guest_place(instance, 7), ENCLAVE_BASE(1), ENCLAVE_SIZE);
	assert_int_equal(leaf_send(&f, &guest), 0);
	assert_int_equal(guest.leaf.outcome, 0);
	assert_non_null(fixture_record(&f, EPC_RECORD_STARTED));
	assert_int_equal(f.nr_unmaps, 0);
	epc_instance_report(instance, &report);
	assert_int_equal(report.nr_pages, 1);
	assert_int_equal(report.nr_secs, 1);
	assert_int_equal(report.nr_leaves, 1);
	assert_int_equal(report.end_index, 8);
	assert_int_equal(report.nr_speculative, 0);
	assert_int_equal(usage_pages(cgroup), 1);
	assert_int_equal(peak_pages(cgroup), 1);
	/* a fault of the processor's: the page is there all the same */
	guest_eadd(&guest, guest_place(instance, 8), guest_place(instance, 9), LINADDR(8),
		   GUEST_REG_RW);
	assert_int_equal(leaf_send(&f, &guest), 0);
	assert_true(sgx_is_fault(guest.leaf.outcome));
	assert_int_equal(usage_pages(cgroup), 2);
	assert_true(reads_as(&f, guest_place(instance, 8), 0));
	/* those that make no page allocate none */
	guest_simple(&guest, SGX_EBLOCK, guest_place(instance, 10));
	assert_int_equal(leaf_send(&f, &guest), 0);
	assert_int_equal(guest.leaf.outcome, SGX_PG_INVLD);
	assert_int_equal(usage_pages(cgroup), 2);
	guest_simple(&guest, SGX_EREMOVE, guest_place(instance, 7));
	assert_int_equal(leaf_send(&f, &guest), 0);
	assert_int_equal(usage_pages(cgroup), 2);
	assert_int_equal(nr_secs(&f), 0);
	fixture_end(&f);
}

static void hidden_pages(void **state)
{
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = enclave_in(&f);

	for (uint64_t i = 0; i < 4; i++) {
		assert_true(reads_as(&f, guest_place(instance, i), i == 1 ? 'r' : 0xff));
		write_byte(&f, instance, i, 'w');
		assert_true(reads_as(&f, guest_place(instance, i), i == 1 ? 'w' : 0xff));
	}
	leaf_init(&f, &guest, instance);
	guest_simple(&guest, SGX_EBLOCK, guest_place(instance, 1));
	assert_true(leaf_is_done(&f, &guest));
	assert_true(reads_as(&f, guest_place(instance, 1), 0xff));
	write_byte(&f, instance, 1, 'b');
	for (uint64_t i = 1; i < 4; i++) {
		guest_simple(&guest, SGX_EREMOVE, guest_place(instance, i));
		assert_true(leaf_is_done(&f, &guest));
		assert_true(reads_as(&f, guest_place(instance, i), 0));
		write_byte(&f, instance, i, 'p');
		assert_true(reads_as(&f, guest_place(instance, i), 'p'));
	}
	/* a cluster over hidden and plain pages */
	char bytes[3 * PAGE];
	struct epc_request request = {
		.instance = instance, .payer = f.root, .count = 3, .buffer = bytes
	};

	epc_read(f.epc, &request);
	fixture_take(&f);
	assert_int_equal(request.result, 0);
	assert_false(request.is_zero);
	assert_int_equal((uint8_t)bytes[0], 0xff);
	assert_int_equal(bytes[PAGE], 'p');
	assert_int_equal(bytes[2 * PAGE], 'p');
	epc_delivered(f.epc, instance, 0, 3);
	fixture_end(&f);
}

/* What is written back while the page is unmapped for a leaf is what the leaf works on. */
static void last_bytes_count(void **state)
{
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = enclave_in(&f);

	map(&f, guest_place(instance, 1));
	leaf_init(&f, &guest, instance);
	guest_simple(&guest, SGX_EDBGRD, (struct epc_leaf_place){ instance, PAGE + 16 });
	assert_int_equal(leaf_send(&f, &guest), PENDING);
	assert_int_equal(f.nr_unmaps, 1);
	assert_int_equal(f.unmaps[0]->kind, EPC_UNMAP_LEAF);
	assert_int_equal(f.unmaps[0]->first, 1);
	assert_int_equal(f.unmaps[0]->count, 1);
	write_byte(&f, instance, 1, 'n');
	fixture_unmapped(&f);
	assert_int_equal(guest.leaf.request.result, 0);
	assert_int_equal(guest.leaf.outcome, 0);
	assert_memory_equal(guest.data, "nnnnnnnn", 8);
	/* now nobody maps it: no unmapping, and what EDBGWR writes is seen */
	guest_simple(&guest, SGX_EDBGWR, (struct epc_leaf_place){ instance, PAGE });
	memset(guest.data, 'd', 8);
	assert_int_equal(leaf_send(&f, &guest), 0);
	char bytes[PAGE];

	assert_false(read_bytes(&f, instance, 1, bytes));
	assert_memory_equal(bytes, "ddddddddnnnn", 12);
	fixture_end(&f);
}

/* Each leaf whose page can be mapped unmaps it; the page in front of it stays as it is. */
static void all_leaves_unmap(void **state)
{
	static const uint32_t leaves[] = { SGX_ECREATE, SGX_EADD,    SGX_EREMOVE, SGX_EDBGRD,
					   SGX_EDBGWR,	SGX_EEXTEND, SGX_ELDB,	  SGX_ELDU,
					   SGX_EBLOCK,	SGX_EPA,     SGX_EWB,	  SGX_EAUG,
					   SGX_EMODT };
	static const uint32_t others[] = { SGX_EINIT, SGX_ETRACK, SGX_EMODPR };
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);

	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		map(&f, guest_place(instance, 4));
		map(&f, guest_place(instance, 5));
		leaf_init(&f, &guest, instance);
		guest_simple(&guest, leaves[i], guest_place(instance, 5));
		assert_int_equal(leaf_send(&f, &guest), PENDING);
		assert_int_equal(f.nr_unmaps, 1);
		assert_int_equal(f.unmaps[0]->first, 5);
		fixture_unmapped(&f);
		assert_int_equal(guest.leaf.request.result, 0);
	}
	map(&f, guest_place(instance, 5));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		guest_simple(&guest, others[i], guest_place(instance, 5));
		assert_int_equal(leaf_send(&f, &guest), 0);
	}
	for (uint32_t leaf = SGX_EENTER; leaf <= SGX_EEXIT; leaf += SGX_EEXIT - SGX_EENTER) {
		guest_thread(&guest, leaf, guest_place(instance, 5));
		assert_int_equal(leaf_send(&f, &guest), 0);
	}
	fixture_end(&f);
}

/* What enclave code reads is unmapped too: the SECINFO, the source of EACCEPTCOPY. */
static void operands_inside_are_unmapped(void **state)
{
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin_metadata(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);
	struct epc_leaf_place secs = guest_place(instance, 0), info = guest_place(instance, 1);
	struct epc_leaf_place source = guest_place(instance, 2), target = guest_place(instance, 3);

	make_secs(&f, secs, 1);
	make_page(&f, info, secs, 1, GUEST_REG_RW);
	make_page(&f, source, secs, 1, GUEST_REG_RW);
	make_init(&f, secs);
	leaf_init(&f, &guest, instance);
	guest_eaug(&guest, target, secs, LINADDR(3));
	assert_true(leaf_is_done(&f, &guest));
	for (uint64_t i = 1; i < 4; i++)
		map(&f, guest_place(instance, i));
	guest_inside(&guest, SGX_EACCEPTCOPY, target, LINADDR(3), secs, info, LINADDR(1));
	guest_copy(&guest, source, LINADDR(2));
	assert_int_equal(leaf_send(&f, &guest), PENDING);
	for (int i = 0; i < 3; i++) {
		static const uint64_t order[] = { 3, 2, 1 };

		assert_int_equal(guest.leaf.request.result, PENDING);
		assert_int_equal(f.nr_unmaps, 1);
		assert_int_equal(f.unmaps[0]->first, order[i]);
		fixture_unmapped(&f);
	}
	assert_int_equal(guest.leaf.request.result, 0);
	assert_int_equal(guest.leaf.outcome, 0);
	assert_false(page_report(&f, target).epcm.is_pending);
	/* EMODPE names its page, and does not look into it */
	map(&f, target);
	guest_inside(&guest, SGX_EMODPE, target, LINADDR(3), secs, info, LINADDR(1));
	assert_int_equal(leaf_send(&f, &guest), 0);
	assert_int_equal(guest.leaf.outcome, 0);
	/* the SECS is none: nobody executes it */
	guest_inside(&guest, SGX_EACCEPT, target, LINADDR(3), source, info, LINADDR(1));
	assert_int_equal(leaf_send(&f, &guest), 0);
	assert_int_equal(guest.leaf.outcome, SGX_PF(SGX_OPERAND_SECS));
	guest.leaf.secs.instance = NULL;
	assert_int_equal(leaf_send(&f, &guest), 0);
	assert_int_equal(guest.leaf.outcome, SGX_PF(SGX_OPERAND_SECS));
	fixture_end(&f);
}

/* Somebody touches the page each time that it is unmapped: 16 times, then EBUSY. */
static void touched_again_and_again(void **state)
{
	char bytes[PAGE];
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	for (unsigned int nr_touches = 14; nr_touches <= 16; nr_touches++) {
		fixture_begin(&f, 16);
		struct epc_instance *instance = enclave_in(&f);

		map(&f, guest_place(instance, 1));
		leaf_init(&f, &guest, instance);
		guest_simple(&guest, SGX_EREMOVE, guest_place(instance, 1));
		leaf_send(&f, &guest);
		for (unsigned int i = 0; i < nr_touches; i++) {
			assert_int_equal(guest.leaf.request.result, PENDING);
			assert_int_equal(f.nr_unmaps, 1);
			assert_false(read_bytes(&f, instance, 1, bytes));
			assert_int_equal(bytes[0], 'r');
			fixture_unmapped(&f);
		}
		if (nr_touches < 16) {
			assert_int_equal(guest.leaf.request.result, PENDING);
			fixture_unmapped(&f);
		}
		assert_int_equal(guest.leaf.request.result, nr_touches < 16 ? 0 : -EBUSY);
		assert_int_equal(is_enclave_page(&f, guest_place(instance, 1)), nr_touches == 16);
		assert_true(reads_as(&f, guest_place(instance, 1), nr_touches < 16 ? 0 : 'r'));
		fixture_end(&f);
	}
}

/* Two leaves of one page: both wait for the one unmapping, and go on in their order. */
static void two_leaves_on_one_page(void **state)
{
	struct guest_leaf first, second;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = enclave_in(&f);

	map(&f, guest_place(instance, 1));
	leaf_init(&f, &first, instance);
	guest_simple(&first, SGX_EREMOVE, guest_place(instance, 1));
	assert_int_equal(leaf_send(&f, &first), PENDING);
	leaf_init(&f, &second, instance);
	guest_simple(&second, SGX_EBLOCK, guest_place(instance, 1));
	assert_int_equal(leaf_send(&f, &second), PENDING);
	assert_int_equal(f.nr_unmaps, 1);
	fixture_unmapped(&f);
	assert_int_equal(f.nr_replies, 1);
	assert_ptr_equal(f.replies[0], &first.leaf.request);
	assert_int_equal(first.leaf.outcome, 0);
	fixture_run(&f);
	assert_int_equal(second.leaf.request.result, 0);
	assert_int_equal(second.leaf.outcome, SGX_PG_INVLD);
	fixture_end(&f);
}

/* The page is being taken back: it is gone then, and a leaf that makes pages gets another. */
static void page_being_taken_back(void **state)
{
	struct epc_request parked;
	struct guest_leaf makes, removes;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 20 * PAGE);
	struct epc_instance *instance = instance_in(&f, cgroup);

	assert_int_equal(read_pages(&f, instance, cgroup, 0, 20), 0);
	assert_int_equal(read_send(&f, &parked, instance, cgroup, 30, 1), PENDING);
	fixture_run(&f);
	assert_int_equal(f.nr_unmaps, 1);
	uint64_t first = f.unmaps[0]->first;

	leaf_init(&f, &makes, instance);
	makes.leaf.request.payer = cgroup;
	guest_epa(&makes, guest_place(instance, first));
	assert_int_equal(leaf_send(&f, &makes), PENDING);
	leaf_init(&f, &removes, instance);
	guest_simple(&removes, SGX_EBLOCK, guest_place(instance, first + 1));
	assert_int_equal(leaf_send(&f, &removes), PENDING);
	assert_int_equal(f.nr_unmaps, 1); /* theirs would be in its way */
	fixture_unmapped(&f);
	fixture_run(&f);
	assert_int_equal(removes.leaf.request.result, 0);
	assert_int_equal(removes.leaf.outcome, SGX_PG_INVLD);
	assert_false(is_owned(&f, instance, first + 1));
	assert_int_equal(parked.result, 0);
	assert_int_equal(makes.leaf.request.result, 0);
	assert_int_equal(page_report(&f, guest_place(instance, first)).epcm.type, SGX_PT_VA);
	epc_delivered(f.epc, instance, 30, 1);
	fixture_end(&f);
}

/* A leaf waits for the page's reset, and then finds plain memory; a reset waits for a leaf's. */
static void page_being_reset(void **state)
{
	struct epc_request request;
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = enclave_in(&f);

	map(&f, guest_place(instance, 1));
	operation_send(&f, &request, instance, 1, 1, false);
	assert_int_equal(f.nr_unmaps, 1);
	leaf_init(&f, &guest, instance);
	guest_simple(&guest, SGX_EBLOCK, guest_place(instance, 1));
	assert_int_equal(leaf_send(&f, &guest), PENDING);
	fixture_unmapped(&f);
	fixture_run(&f);
	assert_int_equal(guest.leaf.outcome, SGX_PG_INVLD);
	assert_int_equal(request.result, 0);
	/* the other way round */
	make_page(&f, guest_place(instance, 1), guest_place(instance, 0), 1, GUEST_REG_RW);
	map(&f, guest_place(instance, 1));
	guest_simple(&guest, SGX_EBLOCK, guest_place(instance, 1));
	assert_int_equal(leaf_send(&f, &guest), PENDING);
	operation_send(&f, &request, instance, 1, 1, false);
	fixture_run(&f);
	assert_int_equal(f.nr_unmaps, 1);
	fixture_unmapped(&f);
	assert_int_equal(guest.leaf.outcome, 0);
	assert_int_equal(request_end(&f, &request), 0);
	assert_true(reads_as(&f, guest_place(instance, 1), 0));
	fixture_end(&f);
}

/* A leaf is refused at once when there is no hope; its first refusal is the incident. */
static void leaf_is_refused(void **state)
{
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 0);
	struct epc_instance *instance = instance_in(&f, cgroup);

	leaf_init(&f, &guest, instance);
	guest.leaf.request.payer = cgroup;
	guest_epa(&guest, guest_place(instance, 5));
	assert_int_equal(leaf_send(&f, &guest), -EIO);
	const struct epc_record *record = fixture_record(&f, EPC_RECORD_REFUSED);

	assert_non_null(record);
	assert_ptr_equal(record->refuser_cookie, cgroup);
	assert_int_equal(record->index, 5);
	assert_false(record->is_own_limit);
	assert_int_equal(leaf_send(&f, &guest), -EIO);
	assert_non_null(fixture_record(&f, EPC_RECORD_REFUSED));
	instance_release(&f, instance); /* it is pinned by nothing */
	assert_int_equal(f.nr_gone, 1);
	fixture_end(&f);
}

enum fate {
	SERVED,
	REFUSED,
	INTERRUPTED,
	RELEASED,
	FOUND, /* somebody else has faulted the page meanwhile */
	NR_FATES,
};

/* Parked for memory: what may become of it. */
static void leaf_is_parked(void **state)
{
	static const int results[] = { 0, -EIO, -EINTR, -EINVAL, 0 };

	(void)state;
	for (enum fate fate = SERVED; fate < NR_FATES; fate++) {
		struct epc_request undelivered;
		struct guest_leaf guest;
		struct epc_report report;
		struct fixture f;

		fixture_begin(&f, 64);
		struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 2 * PAGE);
		struct epc_instance *filler = instance_in(&f, cgroup);
		struct epc_instance *vm = instance_in(&f, f.root);
		struct epc_instance *instance = instance_beside(&f, vm);

		assert_int_equal(read_send(&f, &undelivered, filler, cgroup, 0, 2), 0);
		leaf_init(&f, &guest, vm);
		guest.leaf.request.payer = cgroup;
		guest_epa(&guest, guest_place(instance, 1));
		assert_int_equal(leaf_send(&f, &guest), PENDING);
		epc_report(f.epc, &report);
		assert_int_equal(report.nr_parked, 1);
		assert_int_equal(epc_cgroup_free(f.epc, cgroup), -EBUSY);
		fixture_run(&f);
		assert_int_equal(guest.leaf.request.result, PENDING);
		if (fate == INTERRUPTED)
			epc_interrupt(f.epc, &guest.leaf.request);
		if (fate == RELEASED)
			epc_release(f.epc, instance);
		if (fate == FOUND)
			assert_int_equal(read_pages(&f, instance, f.root, 1, 1), 0);
		if (fate == REFUSED) {
			write_byte(&f, filler, 0, 'u');
			write_byte(&f, filler, 1, 'u');
		}
		epc_delivered(f.epc, filler, 0, 2);
		fixture_take(&f);
		fixture_run(&f);
		request_end(&f, &guest.leaf.request);
		assert_int_equal(guest.leaf.request.result, results[fate]);
		fixture_run(&f);
		assert_int_equal(is_owned(&f, fate == RELEASED ? filler : instance, 1),
				 fate != REFUSED && fate != INTERRUPTED);
		assert_int_equal(f.nr_gone, fate == RELEASED);
		fixture_end(&f);
	}
}

/* Where a released instance is another operand than rcx, or the leaf waits for an unmapping. */
static void released_meanwhile(void **state)
{
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	for (int is_rcx = 0; is_rcx < 2; is_rcx++) {
		fixture_begin(&f, 16);
		struct epc_instance *instance = enclave_in(&f);
		struct epc_instance *other = instance_beside(&f, instance);
		struct epc_leaf_place page = guest_place(is_rcx ? other : instance, 1);
		struct epc_leaf_place va = guest_place(is_rcx ? instance : other, 3);

		if (is_rcx)
			make_page(&f, page, guest_place(instance, 0), 1, GUEST_REG_RW);
		map(&f, page);
		leaf_init(&f, &guest, instance);
		guest_ewb(&guest, page, va);
		assert_int_equal(leaf_send(&f, &guest), PENDING);
		epc_release(f.epc, other);
		fixture_run(&f);
		assert_int_equal(f.nr_gone, 0); /* the leaf holds it */
		fixture_unmapped(&f);
		assert_int_equal(guest.leaf.request.result, -EINVAL);
		fixture_run(&f);
		assert_int_equal(f.nr_gone, 1);
		assert_true(is_enclave_page(&f, guest_place(instance, 1)));
		fixture_end(&f);
	}
}

/* EWB and back; the page in between is plain and zero. A wrong MAC leaves nothing behind. */
static void evicted_and_loaded(void **state)
{
	struct guest_leaf guest;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = enclave_in(&f);
	struct epc_leaf_place slot = { instance, 3 * PAGE + 64 };
	struct epc_leaf_place secs = guest_place(instance, 0), page = guest_place(instance, 1);

	leaf_init(&f, &guest, instance);
	guest_simple(&guest, SGX_EBLOCK, page);
	assert_true(leaf_is_done(&f, &guest));
	guest_simple(&guest, SGX_ETRACK, secs);
	assert_true(leaf_is_done(&f, &guest));
	map(&f, page);
	guest_ewb(&guest, page, slot);
	assert_true(leaf_is_done(&f, &guest));
	assert_true(guest.leaf.linaddr == LINADDR(1));
	assert_true(is_owned(&f, instance, 1));
	assert_false(is_enclave_page(&f, page));
	assert_true(reads_as(&f, page, 0));
	write_byte(&f, instance, 1, 'x');
	guest.info[sizeof(struct sgx_pcmd) - 1] ^= 1;
	guest_eld(&guest, SGX_ELDU, page, slot, secs);
	assert_int_equal(leaf_do(&f, &guest), 0);
	assert_int_equal(guest.leaf.outcome, SGX_MAC_COMPARE_FAIL);
	assert_true(reads_as(&f, page, 0));
	guest.info[sizeof(struct sgx_pcmd) - 1] ^= 1;
	guest_eld(&guest, SGX_ELDU, guest_place(instance, 9), slot, secs);
	assert_true(leaf_is_done(&f, &guest));
	assert_true(reads_as(&f, guest_place(instance, 9), 'r'));
	assert_true(is_owned(&f, instance, 1));
	fixture_end(&f);
}

/* A leaf whose page needs a stake and an index: each allocation fails in turn. */
static void every_allocation_fails_in_turn(void **state)
{
	unsigned int nr_failed = 0;

	(void)state;
	for (uint64_t n = 1; n == 1 || nr_failed == n - 1; n++) {
		struct epc_instance *instance = NULL;
		struct guest_leaf guest;
		struct fixture f;
		int result;

		fixture_begin(&f, 16);
		fixture_fail_nth(&f, n);
		result = epc_open(f.epc, f.root, NULL, NULL, &instance);
		fixture_take(&f);
		assert_true(result == 0 || result == -ENOMEM);
		if (result == 0) {
			leaf_init(&f, &guest, instance);
			guest_epa(&guest, guest_place(instance, 1 << 20));
			result = leaf_send(&f, &guest);
			assert_true(result == 0 || result == -ENOMEM);
			assert_int_equal(usage_pages(f.root), result == 0);
		}
		nr_failed += result != 0;
		if (result != 0 && instance != NULL) {
			assert_int_equal(leaf_send(&f, &guest), 0);
			assert_int_equal(guest.leaf.outcome, 0);
		}
		fixture_end(&f);
		assert_true(n < 20);
	}
	assert_true(nr_failed >= 5); /* instance, VM, stake, nodes and a leaf of the index */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_leaves_are_refused),
		cmocka_unit_test(places_are_checked),
		cmocka_unit_test(pages_of_leaves_are_charged),
		cmocka_unit_test(hidden_pages),
		cmocka_unit_test(last_bytes_count),
		cmocka_unit_test(all_leaves_unmap),
		cmocka_unit_test(operands_inside_are_unmapped),
		cmocka_unit_test(touched_again_and_again),
		cmocka_unit_test(two_leaves_on_one_page),
		cmocka_unit_test(page_being_taken_back),
		cmocka_unit_test(page_being_reset),
		cmocka_unit_test(leaf_is_refused),
		cmocka_unit_test(leaf_is_parked),
		cmocka_unit_test(released_meanwhile),
		cmocka_unit_test(evicted_and_loaded),
		cmocka_unit_test(every_allocation_fails_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
