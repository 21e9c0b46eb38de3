/* SPDX-License-Identifier: MIT */
/*
 * The core's READs: ranges, clusters, parking and its order, taking back, interrupts.
 * Method: a small EPC, a few calls, effects and reports afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core_fixture.h"

static void ranges_are_checked(void **state)
{
	static const struct {
		uint64_t first, count;
		int result;
	} rows[] = {
		{ 0, 1, 0 },
		{ EPC_NR_INDICES - 1, 1, 0 },
		{ EPC_NR_INDICES - 2, 2, 0 },
		{ EPC_NR_INDICES, 1, -EINVAL },
		{ EPC_NR_INDICES - 1, 2, -EINVAL },
		{ UINT64_MAX, 1, -EINVAL },
		{ UINT64_MAX, 2, -EINVAL },
		{ 0, 0, -EINVAL },
		{ 0, EPC_CLUSTER_PAGES_MAX, 0 },
		{ 0, EPC_CLUSTER_PAGES_MAX + 1, -EINVAL },
		{ 1, UINT64_MAX, -EINVAL },
	};
	struct epc_instance_report report;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 1024);
	struct epc_instance *instance = instance_in(&f, f.root);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(read_pages(&f, instance, f.root, rows[i].first, rows[i].count),
				 rows[i].result);
	epc_instance_report(instance, &report);
	assert_true(report.end_index == EPC_NR_INDICES);
	assert_int_equal(report.nr_pages, 2 + EPC_CLUSTER_PAGES_MAX);
	fixture_end(&f);
}

/* An untouched page is zero without a byte of its own, whatever the EPC's memory held. */
static void first_touch_reads_zero(void **state)
{
	char bytes[PAGE], expected[PAGE];
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);

	assert_true(read_bytes(&f, instance, 3, bytes));
	write_byte(&f, instance, 3, 'x');
	memset(expected, 'x', sizeof(expected));
	assert_false(read_bytes(&f, instance, 3, bytes));
	assert_memory_equal(bytes, expected, PAGE);
	assert_true(read_bytes(&f, instance, 4, bytes));
	epc_write(f.epc, instance, 4 * PAGE + 10, "abc", 3);
	fixture_take(&f);
	memset(expected, 0, sizeof(expected));
	memcpy(expected + 10, "abc", 3);
	assert_false(read_bytes(&f, instance, 4, bytes));
	assert_memory_equal(bytes, expected, PAGE);
	fixture_end(&f);
}

/* A write over the border of two pages, of which one is nobody's. */
static void write_outside_is_dropped(void **state)
{
	char bytes[PAGE];
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);

	assert_int_equal(read_pages(&f, instance, f.root, 1, 1), 0);
	memset(bytes, 'y', sizeof(bytes));
	epc_write(f.epc, instance, PAGE / 2, bytes, PAGE);
	fixture_take(&f);
	assert_false(is_owned(&f, instance, 0));
	assert_false(read_bytes(&f, instance, 1, bytes));
	assert_int_equal(bytes[PAGE / 2 - 1], 'y');
	assert_int_equal(bytes[PAGE / 2], 0);
	fixture_end(&f);
}

/* A cluster is answered whole or not at all, and leaves a reserve of free pages. */
static void cluster_leaves_a_reserve(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 160); /* a sixteenth is 10 */
	struct epc_instance *instance = instance_in(&f, f.root);

	assert_int_equal(read_pages(&f, instance, f.root, 0, 151), -EIO);
	assert_int_equal(nr_free(&f), 160);
	assert_int_equal(read_pages(&f, instance, f.root, 0, 150), 0);
	assert_int_equal(read_pages(&f, instance, f.root, 0, 150), 0); /* nothing new */
	assert_int_equal(read_pages(&f, instance, f.root, 149, 2), -EIO);
	assert_int_equal(read_pages(&f, instance, f.root, 150, 1), 0); /* a fault may */
	fixture_end(&f);
	fixture_begin(&f, 2048); /* a sixteenth is more than the most: 64 */
	instance = instance_in(&f, f.root);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(read_pages(&f, instance, f.root, i * 512, 512), 0);
	assert_int_equal(read_pages(&f, instance, f.root, 1536, 449), -EIO);
	assert_int_equal(read_pages(&f, instance, f.root, 1536, 448), 0);
	fixture_end(&f);
}

/* Pages come from the section with most free pages. */
static void fuller_sections_are_spared(void **state)
{
	struct epc_section_report report;
	struct epc_page_report page;
	struct fixture f;

	(void)state;
	fixture_begin_two(&f, 16, 24);
	struct epc_instance *instance = instance_in(&f, f.root);

	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(read_pages(&f, instance, f.root, i, 1), 0);
		epc_page_report(f.epc, instance, i, &page);
		assert_int_equal(page.section, 1);
	}
	for (uint64_t i = 8; i < 40; i++)
		assert_int_equal(read_pages(&f, instance, f.root, i, 1), 0);
	for (unsigned int i = 0; i < epc_nr_sections(f.epc); i++) {
		epc_section_report(f.epc, i, &report);
		assert_int_equal(report.node, i);
		assert_int_equal(report.nr_free, 0);
	}
	assert_int_equal(read_pages(&f, instance, f.root, 40, 1), -EIO);
	fixture_end(&f);
}

/*
 * A fault takes speculative pages back: the highest first. Those that were written to while they
 * were unmapped, or read, stay.
 */
static void speculative_pages_are_taken_back(void **state)
{
	struct epc_request request, second;
	struct epc_report report;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 8 * PAGE);
	struct epc_instance *instance = instance_in(&f, cgroup);

	assert_int_equal(read_pages(&f, instance, cgroup, 0, 8), 0);
	assert_int_equal(read_send(&f, &request, instance, cgroup, 100, 1), PENDING);
	fixture_run(&f);
	assert_int_equal(f.nr_unmaps, 1);
	assert_int_equal(f.unmaps[0]->kind, EPC_UNMAP_TAKE_BACK);
	write_byte(&f, instance, f.unmaps[0]->first, 'w');
	assert_int_equal(read_send(&f, &second, instance, cgroup, f.unmaps[0]->first + 1, 1), 0);
	fixture_unmapped(&f);
	fixture_run(&f);
	assert_int_equal(request.result, 0);
	assert_true(is_owned(&f, instance, 0));
	assert_true(is_owned(&f, instance, 1));
	assert_false(is_owned(&f, instance, 7));
	epc_report(f.epc, &report);
	assert_int_equal(report.nr_taken_back, 6);
	assert_int_equal(usage_pages(cgroup), 3);
	fixture_end(&f);
}

/* What is not delivered yet is not taken, but waited for. */
static void undelivered_pages_are_waited_for(void **state)
{
	struct epc_request cluster, request;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 4 * PAGE);
	struct epc_instance *instance = instance_in(&f, cgroup);

	assert_int_equal(read_send(&f, &cluster, instance, cgroup, 0, 4), 0);
	assert_int_equal(read_send(&f, &request, instance, cgroup, 10, 1), PENDING);
	fixture_run(&f);
	assert_int_equal(f.nr_unmaps, 0);
	epc_delivered(f.epc, instance, 0, 4);
	fixture_run(&f);
	assert_int_equal(f.nr_unmaps, 1);
	fixture_unmapped(&f);
	fixture_run(&f);
	assert_int_equal(request.result, 0);
	fixture_end(&f);
}

static void waiters_are_served_in_order(void **state)
{
	struct epc_request cluster, requests[6];
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 4 * PAGE);
	struct epc_instance *instance = instance_in(&f, cgroup);

	assert_int_equal(read_send(&f, &cluster, instance, cgroup, 0, 4), 0);
	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(read_send(&f, &requests[i], instance, cgroup, 100 + i, 1),
				 PENDING);
	epc_interrupt(f.epc, &requests[1]);
	fixture_take(&f);
	assert_int_equal(requests[1].result, -EINTR);
	for (uint64_t i = 0; i < 5; i++) {
		epc_cgroup_set_max(f.epc, cgroup, (5 + i) * PAGE);
		fixture_run(&f);
		assert_int_equal(f.nr_replies <= 1, 1);
		for (uint64_t n = 0; n < 6; n++)
			assert_int_equal(requests[n].result, n == 1		      ? -EINTR :
							     n <= (i < 1 ? 0 : i + 1) ? 0 :
											PENDING);
	}
	fixture_end(&f);
}

/* A cluster is never parked; behind a parked fault it is refused. */
static void clusters_are_never_parked(void **state)
{
	struct epc_request cluster, request;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 4 * PAGE);
	struct epc_instance *instance = instance_in(&f, cgroup);

	assert_int_equal(read_send(&f, &cluster, instance, cgroup, 0, 4), 0);
	assert_int_equal(read_send(&f, &request, instance, cgroup, 10, 1), PENDING);
	epc_cgroup_set_max(f.epc, cgroup, 40 * PAGE);
	assert_int_equal(read_pages(&f, instance, cgroup, 20, 8), -EIO);
	fixture_run(&f);
	assert_int_equal(request.result, 0);
	assert_int_equal(read_pages(&f, instance, cgroup, 20, 8), 0);
	fixture_end(&f);
}

/* A probe: opened, closed, nothing touched. It leaves no trace. */
static void probe_leaves_no_trace(void **state)
{
	struct epc_report report;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);

	epc_report(f.epc, &report);
	assert_int_equal(report.nr_instances, 0);
	epc_release(f.epc, instance);
	fixture_run(&f);
	assert_int_equal(f.nr_gone, 1);
	assert_int_equal(f.nr_records, 0);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_checked),
		cmocka_unit_test(first_touch_reads_zero),
		cmocka_unit_test(write_outside_is_dropped),
		cmocka_unit_test(cluster_leaves_a_reserve),
		cmocka_unit_test(fuller_sections_are_spared),
		cmocka_unit_test(speculative_pages_are_taken_back),
		cmocka_unit_test(undelivered_pages_are_waited_for),
		cmocka_unit_test(waiters_are_served_in_order),
		cmocka_unit_test(clusters_are_never_parked),
		cmocka_unit_test(probe_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
