/* SPDX-License-Identifier: MIT */
/*
 * misc.*: every text that the kernel's misc controller accepts or refuses, by a table, and random
 * bytes: whatever is accepted reads back as the same number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/misc.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(text) text, sizeof(text) - 1
#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)
#define NR_RANDOM 200000u

/* What is written to misc.max, and what becomes of it. */
static const struct {
	const char *text;
	size_t size;
	int error;
	uint64_t max_bytes;
} writes[] = {
	{ TEXT("sgx_epc 4096"), 0, 4096 },
	{ TEXT("sgx_epc 4096\n"), 0, 4096 },
	{ TEXT("  \t\nsgx_epc 4096 \n\n \t\v\f\r"), 0, 4096 },
	{ TEXT("\xa0sgx_epc 1\xa0"), 0, 1 },
	{ TEXT("sgx_epc max\n"), 0, MISC_MAX },
	{ TEXT("sgx_epc 0"), 0, 0 },
	{ TEXT("sgx_epc 1"), 0, 1 },
	{ TEXT("sgx_epc +5"), 0, 5 },
	{ TEXT("sgx_epc 0x100000"), 0, 0x100000 },
	{ TEXT("sgx_epc 0XfF"), 0, 255 },
	{ TEXT("sgx_epc 010"), 0, 8 },
	{ TEXT("sgx_epc 00"), 0, 0 },
	{ TEXT("sgx_epc 18446744073709551615"), 0, MISC_MAX },
	{ TEXT("sgx_epc 0xffffffffffffffff"), 0, MISC_MAX },
	{ TEXT("sgx_epc 01777777777777777777777"), 0, MISC_MAX },
	{ TEXT("sgx_epc 7\0 garbage"), 0, 7 },
	{ TEXT("sgx_epc 18446744073709551616"), -ERANGE, 0 },
	{ TEXT("sgx_epc 99999999999999999999"), -ERANGE, 0 },
	{ TEXT("sgx_epc 99999999999999999999M"), -ERANGE, 0 },
	{ TEXT("sgx_epc 0x10000000000000000"), -ERANGE, 0 },
	{ TEXT(""), -EINVAL, 0 },
	{ TEXT("\n"), -EINVAL, 0 },
	{ TEXT("sgx_epc"), -EINVAL, 0 },
	{ TEXT("sgx_epc "), -EINVAL, 0 },
	{ TEXT("sgx_epc\t5"), -EINVAL, 0 },
	{ TEXT("sgx_epc  1"), -EINVAL, 0 },
	{ TEXT("sgx_epc 1 2"), -EINVAL, 0 },
	{ TEXT("sgx_epc 1\n2"), -EINVAL, 0 },
	{ TEXT("sgx_epc -1"), -EINVAL, 0 },
	{ TEXT("sgx_epc ++1"), -EINVAL, 0 },
	{ TEXT("sgx_epc +"), -EINVAL, 0 },
	{ TEXT("sgx_epc 1M"), -EINVAL, 0 },
	{ TEXT("sgx_epc 1K"), -EINVAL, 0 },
	{ TEXT("sgx_epc 08"), -EINVAL, 0 },
	{ TEXT("sgx_epc 0x"), -EINVAL, 0 },
	{ TEXT("sgx_epc 0xg"), -EINVAL, 0 },
	{ TEXT("sgx_epc f"), -EINVAL, 0 },
	{ TEXT("sgx_epc Max"), -EINVAL, 0 },
	{ TEXT("sgx_epc maxx"), -EINVAL, 0 },
	{ TEXT("sgx_epc max max"), -EINVAL, 0 },
	{ TEXT("sgx_epc 1.5"), -EINVAL, 0 },
	{ TEXT("foo 1"), -EINVAL, 0 },
	{ TEXT("sgx_epcx 1"), -EINVAL, 0 },
	{ TEXT("sgx_ep 1"), -EINVAL, 0 },
	{ TEXT("sgx_epc.max 1"), -EINVAL, 0 },
	{ TEXT("\0sgx_epc 1"), -EINVAL, 0 },
	{ TEXT("4096"), -EINVAL, 0 },
	{ TEXT("max"), -EINVAL, 0 },
};

static void parse_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(writes); i++) {
		uint64_t max_bytes = UNTOUCHED;
		int error = misc_parse_max(writes[i].text, writes[i].size, &max_bytes);

		if (error != writes[i].error)
			print_message("row %zu: \"%s\"\n", i, writes[i].text);
		assert_int_equal(error, writes[i].error);
		assert_true(max_bytes == (error ? UNTOUCHED : writes[i].max_bytes));
	}
}

static void a_long_write_is_refused(void **state)
{
	static char bytes[MISC_WRITE_MAX + 1];
	uint64_t max_bytes;

	(void)state;
	memset(bytes, ' ', sizeof(bytes));
	memcpy(bytes, "sgx_epc 12", 10);
	assert_int_equal(misc_parse_max(bytes, MISC_WRITE_MAX, &max_bytes), 0);
	assert_true(max_bytes == 12);
	assert_int_equal(misc_parse_max(bytes, MISC_WRITE_MAX + 1, &max_bytes), -E2BIG);
}

static void format_table(void **state)
{
	static const struct {
		enum misc_file file;
		uint64_t value;
		const char *name, *line;
	} rows[] = {
		{ MISC_FILE_CAPACITY, 4096, "misc.capacity", "sgx_epc 4096\n" },
		{ MISC_FILE_MAX, MISC_MAX, "misc.max", "sgx_epc max\n" },
		{ MISC_FILE_MAX, 4095, "misc.max", "sgx_epc 4095\n" },
		{ MISC_FILE_CURRENT, 0, "misc.current", "sgx_epc 0\n" },
		{ MISC_FILE_PEAK, UINT64_MAX, "misc.peak", "sgx_epc 18446744073709551615\n" },
		{ MISC_FILE_EVENTS, 7, "misc.events", "sgx_epc.max 7\n" },
		{ MISC_FILE_EVENTS_LOCAL, UINT64_MAX, "misc.events.local",
		  "sgx_epc.max 18446744073709551615\n" },
	};

	(void)state;
	for (size_t i = 0; i < NR(rows); i++) {
		char line[MISC_LINE_SIZE];

		assert_string_equal(misc_file_name(rows[i].file), rows[i].name);
		assert_int_equal(misc_format(rows[i].file, rows[i].value, line),
				 strlen(rows[i].line));
		assert_string_equal(line, rows[i].line);
	}
}

/* The same values without the name; what is written reads back. */
static void own_limits(void **state)
{
	static const struct {
		const char *written, *line;
		int error;
	} rows[] = {
		{ "max", "max\n", 0 },	   { " 0x1000\n", "4096\n", 0 },
		{ "0", "0\n", 0 },	   { "18446744073709551615", "max\n", 0 },
		{ "", NULL, -EINVAL },	   { "sgx_epc 1", NULL, -EINVAL },
		{ "1M", NULL, -EINVAL },   { "-1", NULL, -EINVAL },
		{ "maxi", NULL, -EINVAL }, { "18446744073709551616", NULL, -ERANGE },
	};
	char many[MISC_WRITE_MAX + 1];

	(void)state;
	memset(many, ' ', sizeof(many));
	many[0] = '1';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = UNTOUCHED;
		char line[MISC_LINE_SIZE];

		assert_int_equal(misc_parse_own_max(rows[i].written, strlen(rows[i].written),
						    &value),
				 rows[i].error);
		if (rows[i].error) {
			assert_true(value == UNTOUCHED);
			continue;
		}
		assert_int_equal(misc_format_own_max(value, line), strlen(rows[i].line));
		assert_string_equal(line, rows[i].line);
	}
	assert_int_equal(misc_parse_own_max(many, sizeof(many), &(uint64_t){ 0 }), -E2BIG);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* The bytes stand in memory of exactly their size, so that the sanitizer sees a read behind it. */
static void parse_random(const char *bytes, size_t size)
{
	char *copy = malloc(size ? size : 1);
	char line[MISC_LINE_SIZE];
	uint64_t first = UNTOUCHED, second;
	int error;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	error = misc_parse_max(copy, size, &first);
	if (!error) {
		size_t line_size = misc_format(MISC_FILE_MAX, first, line);

		assert_int_equal(misc_parse_max(line, line_size, &second), 0);
		assert_true(first == second);
	} else {
		assert_true(error == -EINVAL || error == -ERANGE);
		assert_true(first == UNTOUCHED);
	}
	free(copy);
}

static void random_bytes(void **state)
{
	static const char alphabet[] = "0123456789abcxXmMaAx+- \n\t_sgxepc\xff";
	const char *given = getenv("EPCD_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 0x2545f4914f6cdd1d;

	(void)state;
	seed = seed ? seed : 1;
	print_message("EPCD_TEST_SEED=%" PRIu64 "\n", seed);
	for (unsigned int i = 0; i < NR_RANDOM; i++) {
		char bytes[40];
		size_t size = 0;

		if (next_random(&seed) % 4) {
			memcpy(bytes, "sgx_epc ", 8);
			size = 8;
		}
		for (size_t end = size + next_random(&seed) % 24; size < end; size++)
			bytes[size] = alphabet[next_random(&seed) % sizeof(alphabet)];
		parse_random(bytes, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_table),	cmocka_unit_test(a_long_write_is_refused),
		cmocka_unit_test(format_table), cmocka_unit_test(own_limits),
		cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
