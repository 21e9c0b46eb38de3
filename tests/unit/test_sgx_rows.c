/* SPDX-License-Identifier: MIT */
/*
 * Goal: the table of rows (sgx_rows.h) is complete: every pair of a leaf and what it can give has
 * a row, no row is there twice, and every name begins with its leaf. Method: the table against
 * the second list, which follows the manual's tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sgx_rows.h"

struct pair {
	const char *leaf;
	int outcome;
};

struct row {
	const char *name;
	struct pair pair;
	const char *cause;
};

#define ROW(name, leaf, outcome, cause) { #name, { #leaf, (int)(outcome) }, cause },
#define PAIR(leaf, outcome) { #leaf, (int)(outcome) },
static const struct row rows[] = { SGX_ROWS(ROW) };
static const struct pair pairs[] = { SGX_PAIRS_CODES(PAIR) SGX_PAIRS_FAULTS(PAIR)
					     SGX_PAIRS_SUCCESS(PAIR) };

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))
#define NR_PAIRS (sizeof(pairs) / sizeof(pairs[0]))

static bool is_pair(struct pair a, struct pair b)
{
	return a.outcome == b.outcome && strcmp(a.leaf, b.leaf) == 0;
}

static void every_pair_has_a_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_PAIRS; i++) {
		bool is_found = false;

		for (size_t k = 0; k < NR_ROWS; k++)
			is_found |= is_pair(pairs[i], rows[k].pair);
		if (!is_found)
			fail_msg("%s has no row for %#x", pairs[i].leaf,
				 (unsigned int)pairs[i].outcome);
	}
}

static void every_row_is_a_pair(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_ROWS; i++) {
		bool is_found = false;

		for (size_t k = 0; k < NR_PAIRS; k++)
			is_found |= is_pair(pairs[k], rows[i].pair);
		if (!is_found)
			fail_msg("%s: the leaf does not give %#x", rows[i].name,
				 (unsigned int)rows[i].pair.outcome);
	}
}

static void rows_have_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_ROWS; i++) {
		size_t length = strlen(rows[i].pair.leaf);

		assert_int_equal(strncmp(rows[i].name, rows[i].pair.leaf, length), 0);
		assert_int_equal(rows[i].name[length], '_');
		assert_true(strlen(rows[i].cause) > 0);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(strcmp(rows[i].name, rows[k].name), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_has_a_row),
		cmocka_unit_test(every_row_is_a_pair),
		cmocka_unit_test(rows_have_names),
	};

	return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
