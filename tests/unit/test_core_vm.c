/* SPDX-License-Identifier: MIT */
/*
 * The reset of a VM with enclaves: children first, SECS after, over one instance or several; what
 * a released instance leaves; EPC loss. Method: small enclaves of metadata only, effects and
 * reports afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core_fixture.h"

static uint64_t nr_in_vm(const struct epc_instance *instance)
{
	struct epc_instance_report report;

	epc_instance_report(instance, &report);
	return report.nr_in_vm;
}

static void map(struct fixture *f, struct epc_leaf_place place)
{
	assert_int_equal(read_pages(f, place.instance, f->root, place.offset / PAGE, 1), 0);
}

static void instances_of_a_vm(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin_metadata(&f, 16);
	struct epc_instance *first = instance_in(&f, f.root), *stranger = instance_in(&f, f.root);
	struct epc_instance *second = instance_beside(&f, first);
	struct epc_instance *third = instance_beside(&f, second);

	assert_true(epc_is_same_vm(first, third));
	assert_false(epc_is_same_vm(first, stranger));
	assert_int_equal(nr_in_vm(first), 3);
	assert_int_equal(nr_in_vm(stranger), 1);
	instance_release(&f, first);
	assert_int_equal(nr_in_vm(third), 2);
	assert_true(epc_is_same_vm(second, third));
	fixture_end(&f);
}

/* Three enclaves of two pages each, whose SECS lies before, between or behind them: one call. */
static void one_call_whatever_the_order(void **state)
{
	(void)state;
	for (unsigned int order = 0; order < 27; order++) {
		struct epc_request request;
		struct fixture f;

		fixture_begin_metadata(&f, 32);
		struct epc_instance *instance = instance_in(&f, f.root);

		for (unsigned int i = 0, left = order; i < 3; i++, left /= 3) {
			/* pages i, 10 + i and 20 + i, one of which is the SECS */
			struct epc_leaf_place secs = guest_place(instance, left % 3 * 10 + i);

			make_secs(&f, secs, i);
			for (uint64_t at = i; at < 30; at += 10)
				if (at * PAGE != secs.offset)
					make_page(&f, guest_place(instance, at), secs, i,
						  at > 15 ? GUEST_TCS : GUEST_REG_RW);
			if (order % 2)
				make_init(&f, secs);
		}
		make_va(&f, guest_place(instance, 5));
		for (uint64_t at = 0; order % 4 == 3 && at < 30; at += 3)
			map(&f, guest_place(instance, at));
		uint64_t nr_pages = usage_pages(f.root);

		assert_int_equal(nr_secs(&f), 3);
		operation_send(&f, &request, instance, 0, EPC_NR_INDICES, false);
		assert_int_equal(request_end(&f, &request), 0);
		assert_int_equal(nr_secs(&f), 0);
		assert_int_equal(usage_pages(f.root), nr_pages);
		for (uint64_t at = 0; at < 30; at++)
			assert_false(is_enclave_page(&f, guest_place(instance, at)));
		fixture_end(&f);
	}
}

/* Two instances: a SECS in each, a child of it in the other, and one child of its own. */
static void crossed(struct fixture *f, struct epc_instance *instances[2])
{
	instances[0] = instance_in(f, f->root);
	instances[1] = instance_beside(f, instances[0]);
	for (unsigned int i = 0; i < 2; i++) {
		struct epc_leaf_place secs = guest_place(instances[i], 0);

		make_secs(f, secs, i);
		make_page(f, guest_place(instances[1 - i], 4 + i), secs, i, GUEST_REG_RW);
		make_page(f, guest_place(instances[i], 8 + i), secs, i, GUEST_REG_RW);
	}
}

/* QEMU's two rounds over the sections: the first says honestly what remains. */
static void two_rounds(void **state)
{
	struct epc_instance *instances[2];
	struct fixture f;

	(void)state;
	fixture_begin_metadata(&f, 32);
	crossed(&f, instances);
	assert_int_equal(operation_do(&f, instances[0], 0, EPC_NR_INDICES, false), 1);
	assert_true(is_secs(&f, guest_place(instances[0], 0)));
	assert_int_equal(operation_do(&f, instances[1], 0, EPC_NR_INDICES, false), 0);
	assert_int_equal(nr_secs(&f), 1);
	assert_int_equal(operation_do(&f, instances[0], 0, EPC_NR_INDICES, false), 0);
	assert_int_equal(nr_secs(&f), 0);
	assert_int_equal(usage_pages(f.root), 6);
	fixture_end(&f);
}

/* Ranges: a SECS with children outside of it stays, all others go, and their number is told. */
static void ranges_leave_parents(void **state)
{
	(void)state;
	for (int is_punch = 0; is_punch < 2; is_punch++) {
		struct fixture f;

		fixture_begin_metadata(&f, 32);
		struct epc_instance *instance = instance_in(&f, f.root);

		for (unsigned int i = 0; i < 3; i++) {
			struct epc_leaf_place secs = guest_place(instance, i);

			make_secs(&f, secs, i);
			make_page(&f, guest_place(instance, 10 + i), secs, i, GUEST_REG_RW);
		}
		map(&f, guest_place(instance, 0));
		map(&f, guest_place(instance, 10));
		assert_int_equal(operation_do(&f, instance, 0, 12, is_punch), 1);
		assert_int_equal(nr_secs(&f), 1);
		assert_true(is_secs(&f, guest_place(instance, 2)));
		assert_true(is_enclave_page(&f, guest_place(instance, 12)));
		assert_int_equal(usage_pages(f.root), is_punch ? 2 : 6);
		assert_int_equal(operation_do(&f, instance, 2, 1, is_punch), 1);
		assert_int_equal(operation_do(&f, instance, 0, 13, is_punch), 0);
		assert_int_equal(nr_secs(&f), 0);
		assert_int_equal(usage_pages(f.root), is_punch ? 0 : 6);
		fixture_end(&f);
	}
}

/* A thread is inside: what came before its enclave's pages is done. */
static void thread_inside(void **state)
{
	(void)state;
	for (int is_vm_wide = 0; is_vm_wide < 2; is_vm_wide++) {
		struct epc_request request;
		struct fixture f;

		fixture_begin_metadata(&f, 32);
		struct epc_instance *instance = instance_in(&f, f.root);
		struct epc_leaf_place secs[2] = { guest_place(instance, 0),
						  guest_place(instance, 9) };
		struct epc_leaf_place tcs = guest_place(instance, 12);

		for (unsigned int i = 0; i < 2; i++) {
			make_secs(&f, secs[i], i);
			make_page(&f, guest_place(instance, 1 + 9 * i), secs[i], i, GUEST_REG_RW);
			make_page(&f, guest_place(instance, 2 + 9 * i), secs[i], i, GUEST_REG_RW);
			map(&f, guest_place(instance, 1 + 9 * i));
			map(&f, guest_place(instance, 2 + 9 * i));
		}
		make_page(&f, tcs, secs[1], 1, GUEST_TCS);
		make_init(&f, secs[1]);
		make_thread(&f, SGX_EENTER, tcs);
		for (int i = 0; i < 2; i++) {
			memset(&request, 0, sizeof(request));
			request.instance = instance;
			request.count = EPC_NR_INDICES;
			request.result = PENDING;
			if (is_vm_wide)
				epc_reset_vm(f.epc, &request);
			else
				epc_reset(f.epc, &request);
			fixture_take(&f);
			assert_int_equal(request_end(&f, &request), i ? 0 : -EBUSY);
			assert_false(is_enclave_page(&f, guest_place(instance, 1)));
			assert_int_equal(is_enclave_page(&f, guest_place(instance, 10)), !i);
			assert_int_equal(is_secs(&f, secs[1]), !i);
			if (i == 0)
				make_thread(&f, SGX_EEXIT, tcs);
		}
		assert_int_equal(nr_secs(&f), 0);
		fixture_end(&f);
	}
}

enum last_child {
	BY_EREMOVE,
	BY_EWB,
	BY_RESET,
	BY_PUNCH,
	BY_CLOSE,
	BY_LOSS,
	NR_LAST_CHILDREN,
};

static void remove_last_child(struct fixture *f, enum last_child how, struct epc_leaf_place child)
{
	struct epc_request request = { .instance = child.instance, .result = PENDING };
	struct guest_leaf guest;

	leaf_init(f, &guest, child.instance);
	switch (how) {
	case BY_EREMOVE:
		guest_simple(&guest, SGX_EREMOVE, child);
		assert_true(leaf_is_done(f, &guest));
		break;
	case BY_EWB:
		guest_ewb(&guest, child, guest_place(child.instance, 20));
		assert_true(leaf_is_done(f, &guest));
		break;
	case BY_RESET:
	case BY_PUNCH:
		assert_int_equal(operation_do(f, child.instance, child.offset / PAGE, 1,
					      how == BY_PUNCH),
				 0);
		break;
	case BY_LOSS:
		epc_lose_vm(f->epc, &request);
		fixture_take(f);
		assert_int_equal(request_end(f, &request), 0);
		break;
	case BY_CLOSE:
	case NR_LAST_CHILDREN:
		instance_release(f, child.instance);
		break;
	}
}

/* Closed with children elsewhere: kept, charged, told, and freed with the last child. */
static void zombies(void **state)
{
	(void)state;
	for (enum last_child how = BY_EREMOVE; how < NR_LAST_CHILDREN; how++) {
		struct epc_instance_report report;
		struct guest_leaf guest;
		struct fixture f;

		fixture_begin_metadata(&f, 32);
		struct epc_instance *first = instance_in(&f, f.root);
		struct epc_instance *second = instance_beside(&f, first);
		struct epc_leaf_place secs = guest_place(first, 0);

		make_secs(&f, secs, 0);
		make_page(&f, guest_place(first, 1), secs, 0, GUEST_REG_RW);
		make_page(&f, guest_place(second, 2), secs, 0, GUEST_REG_RW);
		make_page(&f, guest_place(second, 3), secs, 0, GUEST_REG_RW);
		make_va(&f, guest_place(second, 20));
		leaf_init(&f, &guest, second);
		guest_simple(&guest, SGX_EBLOCK, guest_place(second, 2));
		assert_true(leaf_is_done(&f, &guest));
		guest_simple(&guest, SGX_ETRACK, secs);
		assert_true(leaf_is_done(&f, &guest));
		map(&f, secs);
		map(&f, guest_place(second, 3));
		epc_release(f.epc, first);
		fixture_take(&f);
		const struct epc_record *record = NULL;

		for (int i = 0; !record; i++) {
			epc_step(f.epc);
			fixture_take(&f);
			record = fixture_record(&f, EPC_RECORD_ZOMBIES);
			assert_true(i < 10);
		}
		assert_int_equal(record->nr_pages, 1);
		fixture_run(&f);
		assert_null(fixture_record(&f, EPC_RECORD_ZOMBIES)); /* once */
		epc_instance_report(first, &report);
		assert_true(report.is_released);
		assert_int_equal(report.nr_zombies, 1);
		assert_int_equal(report.nr_secs, 1);
		assert_int_equal(report.nr_pages, 1);
		assert_true(page_report(&f, secs).is_zombie);
		assert_int_equal(nr_zombies(&f), 1);
		assert_int_equal(usage_pages(f.root), 4); /* 2 children, VA, SECS */
		assert_int_equal(f.nr_gone, 0);
		guest_eadd(&guest, guest_place(second, 9), secs, ENCLAVE_BASE(0), GUEST_REG_RW);
		assert_int_equal(leaf_do(&f, &guest), -EINVAL);
		guest_simple(&guest, SGX_EREMOVE, guest_place(second, 3));
		assert_true(leaf_is_done(&f, &guest));
		assert_int_equal(nr_zombies(&f), 1);
		assert_int_equal(f.nr_gone, 0);
		remove_last_child(&f, how, guest_place(second, 2));
		fixture_run(&f);
		assert_int_equal(nr_zombies(&f), 0);
		assert_int_equal(nr_secs(&f), 0);
		assert_int_equal(f.nr_gone, how == BY_CLOSE ? 2 : 1);
		if (how != BY_CLOSE)
			instance_release(&f, second);
		assert_int_equal(f.nr_gone, 2);
		assert_int_equal(usage_pages(f.root), 0);
		assert_int_equal(nr_free(&f), 32);
		fixture_end(&f);
	}
}

/* Children of a zombie whose instance is closed in the middle of things, threads inside. */
static void closed_with_threads_inside(void **state)
{
	(void)state;
	for (int is_secs_first = 0; is_secs_first < 2; is_secs_first++) {
		struct fixture f;

		fixture_begin_metadata(&f, 32);
		struct epc_instance *first = instance_in(&f, f.root);
		struct epc_instance *second = instance_beside(&f, first);
		struct epc_leaf_place secs = guest_place(first, 0), tcs = guest_place(second, 2);

		make_secs(&f, secs, 0);
		make_page(&f, tcs, secs, 0, GUEST_TCS);
		make_page(&f, guest_place(second, 1), secs, 0, GUEST_REG_RW);
		make_init(&f, secs);
		make_thread(&f, SGX_EENTER, tcs);
		instance_release(&f, is_secs_first ? first : second);
		assert_int_equal(nr_zombies(&f), is_secs_first);
		assert_int_equal(f.nr_gone, !is_secs_first);
		instance_release(&f, is_secs_first ? second : first);
		assert_int_equal(f.nr_gone, 2);
		assert_int_equal(nr_free(&f), 32);
		fixture_end(&f);
	}
}

static unsigned int count_records(const struct fixture *f, enum epc_record_kind kind)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < f->nr_records; i++)
		nr += f->records[i].kind == kind;
	return nr;
}

/* As request_end(), counting the records of a kind. */
static unsigned int end_counting(struct fixture *f, struct epc_request *request,
				 enum epc_record_kind kind)
{
	unsigned int nr = count_records(f, kind);

	for (int i = 0; request->result == PENDING; i++) {
		if (f->nr_unmaps) {
			fixture_unmapped(f);
		} else {
			epc_step(f->epc);
			fixture_take(f);
		}
		nr += count_records(f, kind);
		assert_true(i < 1000);
	}
	return nr;
}

/* All sections in one call, and each instance is told of once. */
static void reset_of_a_vm(void **state)
{
	(void)state;
	for (int is_loss = 0; is_loss < 2; is_loss++) {
		enum epc_record_kind kind = is_loss ? EPC_RECORD_LOST : EPC_RECORD_RESET;
		struct epc_instance_report report;
		struct epc_instance *instances[2];
		struct epc_request request;
		struct fixture f;

		fixture_begin_metadata(&f, 32);
		crossed(&f, instances);
		struct epc_instance *stranger = instance_in(&f, f.root);

		make_secs(&f, guest_place(stranger, 0), 5);
		map(&f, guest_place(instances[0], 0));
		map(&f, guest_place(instances[1], 4));
		request = (struct epc_request){ .instance = instances[0], .result = PENDING };
		if (is_loss)
			epc_lose_vm(f.epc, &request);
		else
			epc_reset_vm(f.epc, &request);
		assert_int_equal(end_counting(&f, &request, kind), 2);
		assert_int_equal(request.result, 0);
		assert_int_equal(nr_secs(&f), 1);
		assert_true(is_secs(&f, guest_place(stranger, 0)));
		assert_int_equal(usage_pages(f.root), 7);
		for (int i = 0; i < 2; i++) {
			epc_instance_report(instances[i], &report);
			assert_int_equal(report.nr_resets, !is_loss);
			assert_int_equal(report.nr_pages, 3);
			assert_int_equal(report.nr_pages_with_bytes, 0);
		}
		fixture_end(&f);
	}
}

/* Requests of one VM, and of its instances, are done in the order of their coming. */
static void requests_of_a_vm_queue(void **state)
{
	struct epc_instance *instances[2];
	struct epc_request requests[3];
	unsigned int nr_done = 0;
	struct fixture f;

	(void)state;
	fixture_begin_metadata(&f, 32);
	crossed(&f, instances);
	memset(requests, 0, sizeof(requests));
	for (int i = 0; i < 3; i++) {
		requests[i].instance = instances[i % 2];
		requests[i].count = EPC_NR_INDICES;
		requests[i].result = PENDING;
	}
	map(&f, guest_place(instances[1], 4));
	epc_reset_vm(f.epc, &requests[0]);
	epc_lose_vm(f.epc, &requests[1]);
	epc_reset_vm(f.epc, &requests[2]);
	fixture_take(&f);
	for (int i = 0; nr_done < 3; i++) {
		for (unsigned int n = 0; n < f.nr_replies; n++)
			assert_ptr_equal(f.replies[n], &requests[nr_done++]);
		if (f.nr_unmaps) {
			fixture_unmapped(&f);
		} else {
			epc_step(f.epc);
			fixture_take(&f);
		}
		assert_true(i < 100);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(requests[i].result, 0);
	assert_int_equal(nr_secs(&f), 0);
	fixture_end(&f);
}

/* The instance at which the request is, or another one, is closed meanwhile. */
static void released_during_a_request(void **state)
{
	(void)state;
	for (int victim = 0; victim < 2; victim++) {
		struct epc_instance *instances[2];
		struct epc_request request;
		struct fixture f;

		fixture_begin_metadata(&f, 32);
		crossed(&f, instances);
		for (int i = 0; i < 2; i++)
			map(&f, guest_place(instances[i], (uint64_t)(8 + i)));
		request = (struct epc_request){ .instance = instances[0], .result = PENDING };
		epc_lose_vm(f.epc, &request);
		fixture_take(&f);
		while (!f.nr_unmaps) {
			epc_step(f.epc);
			fixture_take(&f);
		}
		assert_int_equal(request.result, PENDING);
		epc_release(f.epc, instances[victim]);
		fixture_take(&f);
		assert_int_equal(request_end(&f, &request), 0);
		fixture_run(&f);
		while (f.nr_unmaps)
			fixture_unmapped(&f);
		fixture_run(&f);
		assert_int_equal(f.nr_gone, 1);
		instance_release(&f, instances[1 - victim]);
		assert_int_equal(f.nr_gone, 2);
		assert_int_equal(nr_free(&f), 32);
		fixture_end(&f);
	}
}

/* All instances go while the whole VM is being reset: it is answered all the same. */
static void all_released_during_a_request(void **state)
{
	struct epc_instance *instances[2];
	struct epc_request requests[2];
	struct fixture f;

	(void)state;
	fixture_begin_metadata(&f, 32);
	crossed(&f, instances);
	map(&f, guest_place(instances[0], 8));
	for (int i = 0; i < 2; i++) {
		requests[i] = (struct epc_request){ .instance = instances[0], .result = PENDING };
		epc_reset_vm(f.epc, &requests[i]);
	}
	fixture_run(&f);
	assert_int_equal(f.nr_unmaps, 1);
	epc_release(f.epc, instances[0]);
	epc_release(f.epc, instances[1]);
	fixture_take(&f);
	for (int i = 0; i < 2; i++)
		assert_true(requests[i].result >= 0 && requests[i].result != PENDING);
	fixture_run(&f);
	fixture_unmapped(&f);
	fixture_run(&f);
	assert_int_equal(f.nr_gone, 2);
	assert_int_equal(nr_free(&f), 32);
	fixture_end(&f);
}

/* EPC loss: threads are thrown out, and the VM's leaves wait until it is over. */
static void loss(void **state)
{
	struct epc_request request, second;
	struct guest_leaf guest, makes, others;
	struct fixture f;

	(void)state;
	fixture_begin_metadata(&f, 32);
	struct epc_instance *first = instance_in(&f, f.root), *stranger = instance_in(&f, f.root);
	struct epc_instance *instance = instance_beside(&f, first);
	struct epc_leaf_place secs = guest_place(first, 0), tcs = guest_place(instance, 2);

	make_secs(&f, secs, 0);
	make_page(&f, tcs, secs, 0, GUEST_TCS);
	make_page(&f, guest_place(first, 1), secs, 0, GUEST_REG_RW);
	make_init(&f, secs);
	make_thread(&f, SGX_EENTER, tcs);
	map(&f, guest_place(first, 1));
	request = (struct epc_request){ .instance = first, .result = PENDING };
	second = request;
	epc_lose_vm(f.epc, &request);
	epc_lose_vm(f.epc, &second);
	fixture_take(&f);
	leaf_init(&f, &guest, first);
	guest_simple(&guest, SGX_ETRACK, secs);
	assert_int_equal(leaf_send(&f, &guest), PENDING);
	leaf_init(&f, &makes, first);
	guest_epa(&makes, guest_place(first, 5));
	assert_int_equal(leaf_send(&f, &makes), PENDING);
	assert_false(is_owned(&f, first, 5));
	leaf_init(&f, &others, stranger);
	guest_epa(&others, guest_place(stranger, 5));
	assert_true(leaf_is_done(&f, &others));
	epc_interrupt(f.epc, &makes.leaf.request); /* it is not parked for a page */
	fixture_run(&f);
	assert_int_equal(makes.leaf.request.result, PENDING);
	fixture_unmapped(&f);
	for (int i = 0; request.result == PENDING; i++) {
		epc_step(f.epc);
		fixture_take(&f);
		assert_true(i < 100);
	}
	assert_int_equal(request.result, 0);
	assert_int_equal(makes.leaf.request.result, PENDING); /* one more loss waits */
	assert_int_equal(request_end(&f, &second), 0);
	assert_int_equal(guest.leaf.request.result, 0);
	assert_int_equal(guest.leaf.outcome, SGX_PF(SGX_OPERAND_RCX));
	assert_int_equal(makes.leaf.request.result, 0);
	assert_int_equal(makes.leaf.outcome, 0);
	assert_int_equal(nr_secs(&f), 0);
	assert_false(is_enclave_page(&f, tcs));
	guest_thread(&guest, SGX_EEXIT, tcs);
	assert_int_equal(leaf_do(&f, &guest), 0);
	assert_int_equal(guest.leaf.outcome, SGX_GP);
	fixture_end(&f);
}

/* A leaf was waiting for its page's unmapping, or for memory, when the loss began. */
static void loss_overtakes_leaves(void **state)
{
	struct epc_request request, undelivered;
	struct guest_leaf unmapping, parked;
	struct fixture f;

	(void)state;
	fixture_begin_metadata(&f, 32);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 2 * PAGE);
	struct epc_instance *instance = instance_in(&f, f.root);
	struct epc_instance *filler = instance_in(&f, cgroup);

	make_secs(&f, guest_place(instance, 0), 0);
	make_page(&f, guest_place(instance, 1), guest_place(instance, 0), 0, GUEST_REG_RW);
	map(&f, guest_place(instance, 1));
	leaf_init(&f, &unmapping, instance);
	guest_simple(&unmapping, SGX_EBLOCK, guest_place(instance, 1));
	assert_int_equal(leaf_send(&f, &unmapping), PENDING);
	assert_int_equal(read_send(&f, &undelivered, filler, cgroup, 0, 2), 0);
	leaf_init(&f, &parked, instance);
	parked.leaf.request.payer = cgroup;
	guest_eadd(&parked, guest_place(instance, 2), guest_place(instance, 0), ENCLAVE_BASE(0),
		   GUEST_REG_RW);
	assert_int_equal(leaf_send(&f, &parked), PENDING);
	request = (struct epc_request){ .instance = instance, .result = PENDING };
	epc_lose_vm(f.epc, &request);
	fixture_run(&f);
	fixture_unmapped(&f);
	epc_delivered(f.epc, filler, 0, 2);
	assert_int_equal(unmapping.leaf.request.result, PENDING);
	assert_int_equal(request_end(&f, &request), 0);
	request_end(&f, &parked.leaf.request);
	assert_int_equal(unmapping.leaf.request.result, 0);
	assert_int_equal(unmapping.leaf.outcome, SGX_PG_INVLD);
	assert_int_equal(parked.leaf.request.result, 0);
	assert_int_equal(parked.leaf.outcome, SGX_PF(SGX_OPERAND_SECS));
	assert_int_equal(nr_secs(&f), 0);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instances_of_a_vm),
		cmocka_unit_test(one_call_whatever_the_order),
		cmocka_unit_test(two_rounds),
		cmocka_unit_test(ranges_leave_parents),
		cmocka_unit_test(thread_inside),
		cmocka_unit_test(zombies),
		cmocka_unit_test(closed_with_threads_inside),
		cmocka_unit_test(reset_of_a_vm),
		cmocka_unit_test(requests_of_a_vm_queue),
		cmocka_unit_test(released_during_a_request),
		cmocka_unit_test(all_released_during_a_request),
		cmocka_unit_test(loss),
		cmocka_unit_test(loss_overtakes_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
