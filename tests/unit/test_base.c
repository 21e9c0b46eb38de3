/* SPDX-License-Identifier: MIT */
/* src/base: sizes, text and the log, by tables of what goes in and what must come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/size.h"
#include "base/text.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static void size_parse_table(void **state)
{
	static const struct {
		const char *text;
		int error;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "4K", 0, 4096 },
		{ "64M", 0, UINT64_C(64) << 20 },
		{ "64m", 0, UINT64_C(64) << 20 },
		{ "1G", 0, UINT64_C(1) << 30 },
		{ "007", 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "17179869183G", 0, UINT64_C(17179869183) << 30 },
		{ "17179869184G", -ERANGE, 0 },
		{ "99999999999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1MB", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "64M@0", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < NR(rows); i++) {
		uint64_t bytes = 0;

		assert_int_equal(size_parse(rows[i].text, &bytes), rows[i].error);
		assert_true(bytes == rows[i].bytes);
	}
}

static void size_parse_prefix_ends(void **state)
{
	const char *end;
	uint64_t bytes;

	(void)state;
	assert_int_equal(size_parse_prefix("64M@1", &bytes, &end), 0);
	assert_string_equal(end, "@1");
	assert_int_equal(size_parse_prefix("64@1", &bytes, &end), 0);
	assert_string_equal(end, "@1");
	assert_int_equal(bytes, 64);
	assert_int_equal(size_parse_prefix("@1", &bytes, &end), -EINVAL);
}

static void size_format_table(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 bytes" },
		{ 1, "1 byte" },
		{ 1023, "1023 bytes" },
		{ 1024, "1 KiB" },
		{ 4096, "4 KiB" },
		{ (1 << 20) - 1, "1023.9 KiB" },
		{ 128 << 20, "128 MiB" },
		{ UINT64_C(3) << 29, "1.5 GiB" },
		{ UINT64_MAX, "17179869183.9 GiB" },
	};

	(void)state;
	for (size_t i = 0; i < NR(rows); i++) {
		char out[SIZE_TEXT_MAX];

		assert_string_equal(size_format(out, sizeof(out), rows[i].bytes), rows[i].text);
	}
}

static const struct escape_row {
	const char *bytes;
	size_t size;
	const char *text, *utf8;
} escape_rows[] = {
	{ "", 0, "", "" },
	{ "plain name", 10, "plain name", "plain name" },
	{ "a\nb\tc\\d", 7, "a\\nb\\tc\\\\d", "a\nb\tc\\d" },
	{ "\x1b[2J\x7f\r", 6, "\\x1b[2J\\x7f\\x0d", "\x1b[2J\x7f\r" },
	{ "a\0b", 3, "a\\x00b", "a\\x00b" },
	{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
	/* a lone byte, a cut one, overlong, surrogate, beyond the last, 5 bytes */
	{ "\xff", 1, "\\xff", "\\xff" },
	{ "\xe2\x82", 2, "\\xe2\\x82", "\\xe2\\x82" },
	{ "\xc0\x80", 2, "\\xc0\\x80", "\\xc0\\x80" },
	{ "\xed\xa0\x80", 3, "\\xed\\xa0\\x80", "\\xed\\xa0\\x80" },
	{ "\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80", "\\xf4\\x90\\x80\\x80" },
	{ "\xf8\x88\x80\x80\x80", 5, "\\xf8\\x88\\x80\\x80\\x80", "\\xf8\\x88\\x80\\x80\\x80" },
	/* a C1 control, a line separator, right-to-left override */
	{ "\xc2\x9b", 2, "\\xc2\\x9b", "\xc2\x9b" },
	{ "\xe2\x80\xa8", 3, "\\xe2\\x80\\xa8", "\xe2\x80\xa8" },
	{ "\xe2\x80\xae", 3, "\\xe2\\x80\\xae", "\xe2\x80\xae" },
};

static void text_escapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR(escape_rows); i++) {
		const struct escape_row *row = &escape_rows[i];
		char *text = text_escape_new(row->bytes, row->size);
		char *utf8 = text_to_utf8_new(row->bytes, row->size);

		assert_string_equal(text, row->text);
		assert_string_equal(utf8, row->utf8);
		free(text);
		free(utf8);
	}
}

/* Every size of the buffer: never past its end, always whole escapes, always a NUL. */
static void text_escape_is_bounded(void **state)
{
	static const char bytes[] = "x\n\xff\xe2\x82\xac";
	static const size_t sizes[] = { 0, 0, 1, 1, 3, 3, 3, 3, 7, 7, 7, 10 };

	(void)state;
	for (size_t room = 0; room < NR(sizes); room++) {
		char out[16];

		memset(out, '#', sizeof(out));
		assert_int_equal(text_escape(out, room, bytes, sizeof(bytes) - 1), sizes[room]);
		assert_int_equal(out[room], '#');
		if (room)
			assert_int_equal(strlen(out), sizes[room]);
	}
}

static void text_show_keeps_backslashes(void **state)
{
	char *text = text_show_new("a\\\\b\\n\n\x1b\\");

	(void)state;
	assert_string_equal(text, "a\\\\b\\n\\n\\x1b\\");
	free(text);
}

/* Runs what writes to stderr with stderr in a pipe, gives back what came out. */
static void log_capture(void (*body)(void), char *out, size_t size)
{
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t got;

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	body();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	got = read(ends[0], out, size - 1);
	close(ends[0]);
	assert_true(got >= 0);
	out[got] = '\0';
}

static void log_some(void)
{
	log_set_level(LOG_LEVEL_INFO);
	log_error("%d", 1);
	log_warning("two\nlines");
	errno = ENOENT;
	log_info("three: %m");
	assert_int_equal(errno, ENOENT);
	log_debug("four");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("five");
	log_set_level(LOG_LEVEL_INFO);
}

static void log_lines(void **state)
{
	char out[512];

	(void)state;
	log_capture(log_some, out, sizeof(out));
	assert_string_equal(out, "epcd: error: 1\n"
				 "epcd: warning: two?lines\n"
				 "epcd: three: No such file or directory\n");
}

static void log_long(void)
{
	char message[2 * LOG_LINE_MAX];

	memset(message, 'x', sizeof(message));
	message[sizeof(message) - 1] = '\0';
	log_info("%s", message);
}

static void log_cuts(void **state)
{
	char out[2 * LOG_LINE_MAX];

	(void)state;
	log_capture(log_long, out, sizeof(out));
	assert_int_equal(strlen(out), LOG_LINE_MAX);
	assert_int_equal(out[LOG_LINE_MAX - 1], '\n');
}

static void log_level_names(void **state)
{
	enum log_level level;

	(void)state;
	assert_int_equal(log_level_parse("warning", &level), 0);
	assert_int_equal(level, LOG_LEVEL_WARNING);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size_parse_table),
		cmocka_unit_test(size_parse_prefix_ends),
		cmocka_unit_test(size_format_table),
		cmocka_unit_test(text_escapes),
		cmocka_unit_test(text_escape_is_bounded),
		cmocka_unit_test(text_show_keeps_backslashes),
		cmocka_unit_test(log_lines),
		cmocka_unit_test(log_cuts),
		cmocka_unit_test(log_level_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
