/* SPDX-License-Identifier: MIT */
/*
 * The core's charges: limits to the byte, who refuses, peaks, how refusals are told and counted.
 * Method: a small EPC, a few calls, and the reports afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "core_fixture.h"

/* How many single faults a limit lets through. */
static uint64_t pages_under(uint64_t max_bytes)
{
	struct fixture f;
	uint64_t nr_pages = 0;

	fixture_begin(&f, 32);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, max_bytes);
	struct epc_instance *instance = instance_in(&f, cgroup);

	while (read_pages(&f, instance, cgroup, nr_pages, 1) == 0)
		nr_pages++;
	assert_int_equal(usage_pages(cgroup), nr_pages);
	fixture_end(&f);
	return nr_pages;
}

static void limits_are_exact(void **state)
{
	(void)state;
	assert_int_equal(pages_under(8 * PAGE), 8);
	assert_int_equal(pages_under(8 * PAGE - 1), 7);
	assert_int_equal(pages_under(8 * PAGE + 4095), 8);
	assert_int_equal(pages_under(PAGE - 1), 0);
	assert_int_equal(pages_under(0), 0);
	assert_int_equal(pages_under(EPC_MAX_UNLIMITED), 32);
	assert_int_equal(pages_under(EPC_MAX_UNLIMITED - 1), 32);
}

static void limit_reads_back_as_written(void **state)
{
	struct epc_cgroup_report report;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	epc_cgroup_report(cgroup_with_max(&f, f.root, 12345), &report);
	assert_int_equal(report.max_bytes, 12345);
	epc_cgroup_report(f.root, &report);
	assert_true(report.max_bytes == EPC_MAX_UNLIMITED);
	fixture_end(&f);
}

/* Four deep; the limit on each level in turn. The record names the level, its limit and usage. */
static void refusal_names_the_ancestor(void **state)
{
	(void)state;
	for (int level = 0; level < 5; level++) {
		struct epc_cgroup *path[5];
		struct epc_cgroup_report report;
		struct fixture f;

		fixture_begin(&f, 64);
		path[0] = f.root;
		epc_cgroup_set_cookie(f.root, f.root);
		for (int i = 1; i < 5; i++)
			path[i] = cgroup_with_max(&f, path[i - 1], EPC_MAX_UNLIMITED);
		epc_cgroup_set_max(f.epc, path[level], 3 * PAGE + 1);
		struct epc_instance *instance = instance_in(&f, path[4]);

		for (uint64_t i = 0; i < 3; i++)
			assert_int_equal(read_pages(&f, instance, path[4], i, 1), 0);
		assert_int_equal(read_pages(&f, instance, path[4], 3, 1), -EIO);
		assert_int_equal(read_pages(&f, instance, path[4], 3, 1), -EIO);
		const struct epc_record *record = fixture_record(&f, EPC_RECORD_REFUSED);

		assert_non_null(record);
		assert_ptr_equal(record->refuser_cookie, path[level]);
		assert_ptr_equal(record->payer_cookie, path[4]);
		assert_int_equal(record->limit_bytes, 3 * PAGE + 1);
		assert_int_equal(record->usage_bytes, 3 * PAGE);
		assert_int_equal(record->wanted_bytes, PAGE);
		assert_int_equal(record->index, 3);
		for (int i = 0; i < 5; i++) {
			epc_cgroup_report(path[i], &report);
			assert_int_equal(report.usage_bytes, 3 * PAGE);
			assert_int_equal(report.nr_refused, i <= level);
			assert_int_equal(report.nr_refused_local, i == level);
		}
		fixture_end(&f);
	}
}

static void full_epc_is_a_refusal_by_the_root(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 4);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 100 * PAGE);
	struct epc_instance *instance = instance_in(&f, cgroup);

	epc_cgroup_set_cookie(f.root, &f);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(read_pages(&f, instance, cgroup, i, 1), 0);
	assert_int_equal(read_pages(&f, instance, cgroup, 4, 1), -EIO);
	assert_int_equal(read_pages(&f, instance, cgroup, 4, 1), -EIO);
	const struct epc_record *record = fixture_record(&f, EPC_RECORD_REFUSED);

	assert_ptr_equal(record->refuser_cookie, &f);
	assert_int_equal(record->limit_bytes, 4 * PAGE);
	assert_int_equal(peak_pages(cgroup), 4); /* what was refused was never there */
	assert_int_equal(peak_pages(f.root), 4);
	fixture_end(&f);
}

static void peak_stays_when_usage_falls(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, EPC_MAX_UNLIMITED);
	struct epc_instance *instance = instance_in(&f, cgroup);

	assert_int_equal(read_pages(&f, instance, cgroup, 0, 9), 0);
	assert_int_equal(operation_do(&f, instance, 0, 5, true), 0);
	assert_int_equal(usage_pages(cgroup), 4);
	assert_int_equal(peak_pages(cgroup), 9);
	assert_int_equal(peak_pages(f.root), 9);
	fixture_end(&f);
}

static void lowered_limit_takes_nothing(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, EPC_MAX_UNLIMITED);
	struct epc_instance *instance = instance_in(&f, cgroup);

	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(read_pages(&f, instance, cgroup, i, 1), 0);
	epc_cgroup_set_max(f.epc, cgroup, 2 * PAGE);
	fixture_run(&f);
	assert_int_equal(usage_pages(cgroup), 6);
	assert_int_equal(read_pages(&f, instance, cgroup, 3, 1), 0);
	assert_int_equal(read_pages(&f, instance, cgroup, 6, 1), -EIO);
	epc_cgroup_set_max(f.epc, cgroup, 7 * PAGE);
	assert_int_equal(read_pages(&f, instance, cgroup, 6, 1), 0);
	fixture_end(&f);
}

static uint64_t nr_refused(struct epc_cgroup *cgroup)
{
	struct epc_cgroup_report report;

	epc_cgroup_report(cgroup, &report);
	assert_int_equal(report.nr_refused_local, report.nr_refused);
	return report.nr_refused;
}

/*
 * The kernel asks 2 to 4 times for one fault, and once for what it only reads ahead: the second
 * time is the incident, those of the next second are its repeats.
 */
static void repeats_are_one_incident(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 0);
	struct epc_instance *instance = instance_in(&f, cgroup);

	for (int i = 0; i < 4; i++) {
		fixture_tick(&f, 1000);
		assert_int_equal(read_pages(&f, instance, cgroup, 5, 1), -EIO);
		assert_int_equal(fixture_record(&f, EPC_RECORD_REFUSED) != NULL, i == 1);
	}
	assert_int_equal(read_pages(&f, instance, cgroup, 6, 1), -EIO); /* read ahead */
	fixture_tick(&f, EPC_REFUSAL_REPEAT_NS - 2001);
	assert_int_equal(read_pages(&f, instance, cgroup, 5, 1), -EIO);
	assert_int_equal(nr_refused(cgroup), 1);
	fixture_tick(&f, 1);
	assert_int_equal(read_pages(&f, instance, cgroup, 5, 1), -EIO);
	assert_int_equal(nr_refused(cgroup), 1);
	assert_int_equal(read_pages(&f, instance, cgroup, 5, 1), -EIO);
	assert_int_equal(nr_refused(cgroup), 2);
	fixture_tick(&f, EPC_REFUSAL_SECOND_NS);
	assert_int_equal(read_pages(&f, instance, cgroup, 6, 1), -EIO); /* again only that */
	assert_int_equal(nr_refused(cgroup), 2);
	fixture_end(&f);
}

/* Many threads refused at the same time: their READs come interleaved, each is an incident. */
static void interleaved_refusals_are_all_told(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 0);
	struct epc_instance *instance = instance_in(&f, cgroup);

	for (int round = 0; round < 3; round++)
		for (uint64_t i = 0; i < 128; i++)
			assert_int_equal(read_pages(&f, instance, cgroup, i * 64, 1), -EIO);
	assert_int_equal(nr_refused(cgroup), 128);
	fixture_end(&f);
}

static void busy_cgroups_stay(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_cgroup *parent = cgroup_with_max(&f, f.root, EPC_MAX_UNLIMITED);
	struct epc_cgroup *child = cgroup_with_max(&f, parent, EPC_MAX_UNLIMITED);
	struct epc_instance *instance = instance_in(&f, f.root);
	struct epc_instance *opened = instance_in(&f, child);

	assert_int_equal(epc_cgroup_free(f.epc, f.root), -EBUSY);
	assert_int_equal(epc_cgroup_free(f.epc, parent), -EBUSY);
	assert_int_equal(epc_cgroup_free(f.epc, child), -EBUSY); /* opened there */
	epc_release(f.epc, opened);
	fixture_run(&f);
	assert_int_equal(read_pages(&f, instance, child, 0, 1), 0);
	assert_int_equal(epc_cgroup_free(f.epc, child), -EBUSY); /* pays there */
	assert_int_equal(operation_do(&f, instance, 0, 1, true), 0);
	assert_int_equal(epc_cgroup_free(f.epc, child), 0);
	assert_int_equal(epc_cgroup_free(f.epc, parent), 0);
	fixture_end(&f);
}

/* Pages stay charged to who paid, whoever faults the next ones. */
static void stakes_are_kept_apart(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_cgroup *first = cgroup_with_max(&f, f.root, EPC_MAX_UNLIMITED);
	struct epc_cgroup *second = cgroup_with_max(&f, f.root, EPC_MAX_UNLIMITED);
	struct epc_instance *instance = instance_in(&f, first);

	assert_int_equal(read_pages(&f, instance, first, 0, 3), 0);
	assert_int_equal(read_pages(&f, instance, second, 1, 4), 0);
	assert_int_equal(epc_stake_pages(f.epc, instance, first), 3);
	assert_int_equal(epc_stake_pages(f.epc, instance, second), 2);
	assert_int_equal(epc_stake_pages(f.epc, instance, f.root), 0);
	assert_int_equal(usage_pages(f.root), 5);
	fixture_end(&f);
}

/* An instance's own limit, beside the cgroups': exact, told as such, by a fault and by a leaf. */
static void own_limit_refuses(void **state)
{
	static const uint64_t bytes[] = { 3 * PAGE, 3 * PAGE + 4095, 4 * PAGE - 1 };
	struct epc_instance_report report;
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct guest_leaf guest;

		fixture_begin(&f, 32);
		struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 20 * PAGE);
		struct epc_instance *instance = instance_in(&f, cgroup);
		struct epc_instance *other = instance_beside(&f, instance);

		epc_instance_set_max(f.epc, instance, bytes[i]);
		for (uint64_t page = 0; page < 3; page++)
			assert_int_equal(read_pages(&f, instance, cgroup, page, 1), 0);
		assert_int_equal(read_pages(&f, instance, cgroup, 3, 1), -EIO);
		assert_int_equal(read_pages(&f, instance, cgroup, 3, 1), -EIO);
		const struct epc_record *record = fixture_record(&f, EPC_RECORD_REFUSED);

		assert_non_null(record);
		assert_true(record->is_own_limit);
		assert_null(record->refuser_cookie);
		assert_ptr_equal(record->payer_cookie, cgroup);
		assert_true(record->limit_bytes == bytes[i]);
		assert_true(record->usage_bytes == 3 * PAGE);
		leaf_init(&f, &guest, instance);
		guest.leaf.request.payer = cgroup;
		guest_epa(&guest, guest_place(instance, 4));
		assert_int_equal(leaf_send(&f, &guest), -EIO);
		assert_true(fixture_record(&f, EPC_RECORD_REFUSED)->is_own_limit);
		guest_epa(&guest, guest_place(instance, 2)); /* a page that is there */
		assert_true(leaf_is_done(&f, &guest));
		assert_int_equal(read_pages(&f, instance, cgroup, 5, 2), -EIO);
		assert_int_equal(read_pages(&f, other, cgroup, 0, 4), 0); /* it has its own */
		epc_instance_report(instance, &report);
		assert_true(report.max_bytes == bytes[i]);
		assert_int_equal(report.nr_pages, 3);
		assert_int_equal(report.nr_refusals, 2);
		epc_instance_report(other, &report);
		assert_true(report.max_bytes == EPC_MAX_UNLIMITED);
		fixture_end(&f);
	}
}

/* Lowered below the usage: nothing is taken. Raised: whoever waited is served. */
static void own_limit_changes(void **state)
{
	struct epc_request undelivered, parked[2];
	struct fixture f;

	(void)state;
	fixture_begin(&f, 32);
	struct epc_instance *instance = instance_in(&f, f.root);

	assert_int_equal(read_send(&f, &undelivered, instance, f.root, 0, 6), 0);
	epc_instance_set_max(f.epc, instance, 2 * PAGE);
	fixture_take(&f);
	assert_int_equal(usage_pages(f.root), 6);
	for (uint64_t i = 0; i < 2; i++)
		assert_int_equal(read_send(&f, &parked[i], instance, f.root, 20 + i, 1), PENDING);
	fixture_run(&f);
	assert_int_equal(parked[0].result, PENDING);
	epc_instance_set_max(f.epc, instance, 7 * PAGE);
	fixture_run(&f);
	assert_int_equal(parked[0].result, 0);
	assert_int_equal(parked[1].result, PENDING);
	epc_interrupt(f.epc, &parked[1]);
	fixture_take(&f);
	assert_int_equal(parked[1].result, -EINTR);
	epc_delivered(f.epc, instance, 0, 6);
	epc_delivered(f.epc, instance, 20, 1);
	fixture_end(&f);
}

/* At its own limit an instance takes back its own speculative pages, and nobody else's. */
static void own_limit_takes_back_its_own(void **state)
{
	struct epc_request parked;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, EPC_MAX_UNLIMITED);
	struct epc_instance *instance = instance_in(&f, f.root);
	struct epc_instance *other = instance_in(&f, f.root);

	assert_int_equal(read_pages(&f, other, f.root, 0, 20), 0);
	assert_int_equal(read_pages(&f, instance, cgroup, 0, 8), 0);
	assert_int_equal(read_pages(&f, instance, f.root, 100, 4), 0);
	epc_instance_set_max(f.epc, instance, 12 * PAGE);
	for (uint64_t index = 200; index < 212; index++) {
		read_send(&f, &parked, instance, f.root, index, 1);
		assert_int_equal(parked.result, index == 200 ? PENDING : parked.result);
		while (parked.result == PENDING) {
			fixture_run(&f);
			if (f.nr_unmaps == 0)
				continue;
			assert_int_equal(f.nr_unmaps, 1);
			assert_ptr_equal(f.unmaps[0]->instance, instance);
			assert_int_equal(f.unmaps[0]->kind, EPC_UNMAP_TAKE_BACK);
			fixture_unmapped(&f);
		}
		assert_int_equal(parked.result, 0);
		epc_delivered(f.epc, instance, index, 1);
		write_byte(&f, instance, index, 'u'); /* so that it is no read ahead */
	}
	assert_int_equal(usage_pages(cgroup), 0);
	assert_int_equal(read_pages(&f, instance, f.root, 300, 1), -EIO);
	struct epc_instance_report report;

	epc_instance_report(other, &report);
	assert_int_equal(report.nr_pages, 20);
	epc_instance_report(instance, &report);
	assert_int_equal(report.nr_pages, 12);
	instance_release(&f, instance);
	assert_int_equal(f.nr_gone, 1);
	fixture_end(&f);
}

/* An id, and the record, without a page; once. */
static void started_without_a_page(void **state)
{
	struct epc_instance_report report;
	struct epc_report all;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);

	epc_instance_report(instance, &report);
	assert_int_equal(report.id, 0);
	epc_start(f.epc, instance);
	fixture_take(&f);
	assert_non_null(fixture_record(&f, EPC_RECORD_STARTED));
	epc_instance_report(instance, &report);
	assert_int_equal(report.id, 1);
	epc_start(f.epc, instance);
	fixture_take(&f);
	assert_null(fixture_record(&f, EPC_RECORD_STARTED));
	assert_int_equal(read_pages(&f, instance, f.root, 0, 1), 0);
	assert_null(fixture_record(&f, EPC_RECORD_STARTED));
	epc_report(f.epc, &all);
	assert_int_equal(all.nr_instances, 1);
	epc_release(f.epc, instance);
	for (int i = 0; f.nr_gone == 0 && i < 10; i++) {
		epc_step(f.epc);
		fixture_take(&f);
	}
	assert_non_null(fixture_record(&f, EPC_RECORD_CLOSED));
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(limit_reads_back_as_written),
		cmocka_unit_test(refusal_names_the_ancestor),
		cmocka_unit_test(full_epc_is_a_refusal_by_the_root),
		cmocka_unit_test(peak_stays_when_usage_falls),
		cmocka_unit_test(lowered_limit_takes_nothing),
		cmocka_unit_test(repeats_are_one_incident),
		cmocka_unit_test(interleaved_refusals_are_all_told),
		cmocka_unit_test(busy_cgroups_stay),
		cmocka_unit_test(stakes_are_kept_apart),
		cmocka_unit_test(own_limit_refuses),
		cmocka_unit_test(own_limit_changes),
		cmocka_unit_test(own_limit_takes_back_its_own),
		cmocka_unit_test(started_without_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
