/* SPDX-License-Identifier: MIT */
/*
 * The core's long work: reset, punch, release, in bounded pieces; and memory that runs out at every
 * single allocation. Method: a small EPC, a few calls, effects and reports afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core/internal.h"
#include "core_fixture.h"

_Static_assert(sizeof(struct epc_page) <= 32, "a page descriptor is at most 32 bytes");

/* REMOVE_ALL: zero afterwards, still owned, still charged. */
static void reset_keeps_pages(void **state)
{
	struct epc_instance_report report;
	char bytes[PAGE];
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_instance *instance = instance_in(&f, f.root);

	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(read_pages(&f, instance, f.root, i, 1), 0);
	for (uint64_t i = 0; i < 10; i += 2)
		write_byte(&f, instance, i, 'a');
	epc_instance_report(instance, &report);
	assert_int_equal(report.nr_pages_with_bytes, 5);
	assert_int_equal(operation_do(&f, instance, 0, EPC_NR_INDICES, false), 0);
	assert_non_null(fixture_record(&f, EPC_RECORD_RESET));
	epc_instance_report(instance, &report);
	assert_int_equal(report.nr_pages, 10);
	assert_int_equal(report.nr_pages_with_bytes, 0);
	assert_int_equal(report.nr_resets, 1);
	assert_int_equal(usage_pages(f.root), 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_true(read_bytes(&f, instance, i, bytes));
	fixture_end(&f);
}

/* What is written back before the unmapping's end is old, unless the page was read meanwhile. */
static void reset_tells_old_bytes_from_new(void **state)
{
	struct epc_request request;
	char bytes[PAGE];
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_instance *instance = instance_in(&f, f.root);

	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(read_pages(&f, instance, f.root, i, 1), 0);
	operation_send(&f, &request, instance, 0, 3, false);
	fixture_run(&f);
	assert_int_equal(f.nr_unmaps, 1);
	write_byte(&f, instance, 0, 'o');
	write_byte(&f, instance, 1, 'o');
	assert_true(read_bytes(&f, instance, 1, bytes));
	assert_true(read_bytes(&f, instance, 2, bytes));
	write_byte(&f, instance, 2, 'n');
	fixture_unmapped(&f);
	fixture_run(&f);
	assert_int_equal(request.result, 0);
	assert_true(read_bytes(&f, instance, 0, bytes));
	assert_true(read_bytes(&f, instance, 1, bytes));
	assert_false(read_bytes(&f, instance, 2, bytes));
	assert_int_equal(bytes[0], 'n');
	fixture_end(&f);
}

static void punch_gives_back(void **state)
{
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_instance *instance = instance_in(&f, f.root);

	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(read_pages(&f, instance, f.root, i, 1), 0);
	assert_int_equal(operation_do(&f, instance, 3, 4, true), 0);
	const struct epc_record *record = fixture_record(&f, EPC_RECORD_PUNCHED);

	assert_non_null(record);
	assert_int_equal(record->nr_pages, 4);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(is_owned(&f, instance, i), i < 3 || i > 6);
	assert_int_equal(nr_free(&f), 58);
	assert_int_equal(operation_do(&f, instance, 3, 4, true), 0); /* nothing there */
	fixture_end(&f);
}

static void bad_ranges_are_refused(void **state)
{
	static const struct {
		uint64_t first, count;
		int result;
	} rows[] = {
		{ 0, EPC_NR_INDICES, 0 },
		{ EPC_NR_INDICES - 1, 1, 0 },
		{ 0, 0, -EINVAL },
		{ EPC_NR_INDICES, 1, -EINVAL },
		{ 1, EPC_NR_INDICES, -EINVAL },
		{ UINT64_MAX, UINT64_MAX, -EINVAL },
	};
	struct fixture f;

	(void)state;
	fixture_begin(&f, 16);
	struct epc_instance *instance = instance_in(&f, f.root);

	assert_int_equal(read_pages(&f, instance, f.root, EPC_NR_INDICES - 1, 1), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int is_punch = 0; is_punch < 2; is_punch++)
			assert_int_equal(operation_do(&f, instance, rows[i].first, rows[i].count,
						      is_punch),
					 rows[i].result);
	assert_int_equal(nr_free(&f), 16);
	fixture_end(&f);
}

/* Operations of one instance are done in the order of their coming. */
static void operations_keep_their_order(void **state)
{
	struct epc_request requests[4];
	unsigned int nr_done = 0;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_instance *instance = instance_in(&f, f.root);

	assert_int_equal(read_pages(&f, instance, f.root, 0, 20), 0);
	for (int i = 0; i < 4; i++)
		operation_send(&f, &requests[i], instance, 0, 20, i == 1);
	for (int round = 0; nr_done < 4; round++) {
		epc_step(f.epc);
		fixture_take(&f);
		for (unsigned int i = 0; i < f.nr_replies; i++)
			assert_ptr_equal(f.replies[i], &requests[nr_done++]);
		if (f.nr_unmaps) {
			fixture_unmapped(&f);
			for (unsigned int i = 0; i < f.nr_replies; i++)
				assert_ptr_equal(f.replies[i], &requests[nr_done++]);
		}
		assert_true(round < 100);
	}
	fixture_end(&f);
}

/* No step works on more than 512 pages: release, reset and punch of 3,000. */
static void long_work_is_cut(void **state)
{
	struct epc_request request;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 4096);
	struct epc_instance *instance = instance_in(&f, f.root);

	for (uint64_t i = 0; i < 3000; i += 500)
		assert_int_equal(read_pages(&f, instance, f.root, i, 500), 0);
	operation_send(&f, &request, instance, 0, 3000, false);
	for (int i = 0; request.result == PENDING; i++) {
		epc_step(f.epc);
		fixture_take(&f);
		assert_true(f.nr_unmaps <= 1);
		if (f.nr_unmaps) {
			assert_true(f.unmaps[0]->count <= EPC_STEP_PAGES);
			fixture_unmapped(&f);
		}
		assert_true(i < 100);
	}
	epc_release(f.epc, instance);
	fixture_take(&f);
	for (int i = 0; f.nr_gone == 0; i++) {
		uint64_t nr_before = nr_free(&f);

		epc_step(f.epc);
		fixture_take(&f);
		assert_true(nr_free(&f) - nr_before <= EPC_STEP_PAGES);
		assert_true(i < 20);
	}
	assert_int_equal(nr_free(&f), 4096);
	assert_int_equal(usage_pages(f.root), 0);
	fixture_end(&f);
}

/* The instance is gone only when its unmappings and its replies have come to their ends. */
static void release_waits_for_what_is_in_flight(void **state)
{
	struct epc_request request, undelivered;
	struct fixture f;

	(void)state;
	fixture_begin(&f, 64);
	struct epc_cgroup *cgroup = cgroup_with_max(&f, f.root, 10 * PAGE);
	struct epc_instance *instance = instance_in(&f, cgroup);
	struct epc_instance *other = instance_in(&f, cgroup);

	assert_int_equal(read_send(&f, &undelivered, instance, cgroup, 20, 1), 0);
	assert_int_equal(read_pages(&f, instance, cgroup, 0, 9), 0);
	assert_int_equal(read_send(&f, &request, other, cgroup, 0, 1), PENDING);
	fixture_run(&f);
	assert_int_equal(f.nr_unmaps, 1);
	epc_release(f.epc, instance);
	fixture_run(&f);
	assert_int_equal(request.result, 0); /* page 20 was free at once */
	assert_int_equal(f.nr_gone, 0);
	fixture_unmapped(&f);
	fixture_run(&f);
	assert_int_equal(f.nr_gone, 0);
	epc_delivered(f.epc, instance, 20, 1);
	fixture_run(&f);
	assert_int_equal(f.nr_gone, 1);
	assert_non_null(fixture_record(&f, EPC_RECORD_CLOSED));
	assert_int_equal(usage_pages(cgroup), 1);
	fixture_end(&f);
}

/* One whole life. ENOMEM may come of each call; what failed has left nothing behind. */
static bool live(struct fixture *f, uint64_t n)
{
	struct epc_cgroup *cgroup;
	struct epc_instance *instance;
	struct epc_request request;
	bool has_failed = false;

	fixture_fail_nth(f, n);
	if (epc_cgroup_new(f->epc, f->root, 1, NULL, &cgroup) != 0)
		return true;
	if (epc_open(f->epc, cgroup, NULL, NULL, &instance) != 0)
		return true;
	static const uint64_t firsts[] = { 0, 5000, 1 << 19, EPC_NR_INDICES - 1, 505, 70 };
	static const uint64_t counts[] = { 1, 1, 1, 1, 20, 1 };

	for (int i = 0; i < 6; i++) {
		uint64_t nr_before = nr_free(f), peak = peak_pages(cgroup);
		int result = read_send(f, &request, instance, cgroup, firsts[i], counts[i]);

		assert_true(result == 0 || result == -ENOMEM);
		if (result == 0) {
			epc_delivered(f->epc, instance, firsts[i], counts[i]);
			assert_int_equal(nr_free(f), nr_before - counts[i]);
			continue;
		}
		has_failed = true;
		assert_int_equal(nr_free(f), nr_before);
		assert_int_equal(usage_pages(cgroup), 64 - nr_before);
		assert_int_equal(peak_pages(cgroup), peak);
		assert_int_equal(read_pages(f, instance, cgroup, firsts[i], counts[i]), 0);
	}
	assert_int_equal(operation_do(f, instance, 0, EPC_NR_INDICES, true), 0);
	epc_release(f->epc, instance);
	fixture_run(f);
	assert_int_equal(nr_free(f), 64);
	assert_int_equal(epc_cgroup_free(f->epc, cgroup), 0);
	return has_failed;
}

static void every_allocation_fails_in_turn(void **state)
{
	uint64_t n = 1;
	bool has_failed = true;

	(void)state;
	for (; has_failed; n++) {
		struct fixture f;

		fixture_begin(&f, 64);
		has_failed = live(&f, n);
		fixture_end(&f);
		assert_true(n < 100);
	}
	assert_true(n > 10); /* cgroup, instance, stake, nodes and leaves of the index */
}

static void epc_new_fails_cleanly(void **state)
{
	struct epc_section_config sections[EPC_NR_SECTIONS_MAX + 1] = { 0 };
	struct fixture f = { 0 };
	struct epc *epc;

	(void)state;
	for (uint64_t n = 1; n <= 2; n++) {
		fixture_fail_nth(&f, n);
		assert_int_equal(fixture_try(&f, 16), -ENOMEM);
		assert_int_equal(f.nr_allocated, 0);
	}
	assert_int_equal(fixture_try(&f, 16), 0);
	fixture_end(&f);
	for (unsigned int nr_sections = 0; nr_sections <= EPC_NR_SECTIONS_MAX + 1; nr_sections++) {
		struct epc_config config = { .sections = sections, .nr_sections = nr_sections };

		fixture_begin(&f, 16); /* its allocator is all that is wanted */
		config.allocator = f.epc->allocator;
		assert_int_equal(epc_new(&config, &epc), -EINVAL); /* a section without pages */
		fixture_end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_keeps_pages),
		cmocka_unit_test(reset_tells_old_bytes_from_new),
		cmocka_unit_test(punch_gives_back),
		cmocka_unit_test(bad_ranges_are_refused),
		cmocka_unit_test(operations_keep_their_order),
		cmocka_unit_test(long_work_is_cut),
		cmocka_unit_test(release_waits_for_what_is_in_flight),
		cmocka_unit_test(every_allocation_fails_in_turn),
		cmocka_unit_test(epc_new_fails_cleanly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
