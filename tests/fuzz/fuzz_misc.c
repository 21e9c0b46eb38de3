/* SPDX-License-Identifier: MIT */
/*
 * Any bytes written to misc.max give what a slow and obvious model says, which is the kernel's
 * misc_cg_max_write() read aloud, with the C library's functions for text and numbers; and what is
 * accepted is shown so that it reads back as the same limit.
 */
#include <errno.h>
#include <string.h>

#include "front/misc.h"
#include "input.h"

#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)
#define NAME MISC_RESOURCE " "
#define SPACES " \t\n\v\f\r\xa0"
#define DIGITS_8 "01234567"
#define DIGITS_10 "0123456789"
#define DIGITS_16 "0123456789abcdefABCDEF"

/* kstrtou64(text, 0), of a string that it may change. */
static int model_number(char *text, uint64_t *number)
{
	const char *digits = DIGITS_10;
	int base = 10;
	char end;
	size_t size;

	if (*text == '+')
		text++;
	if (strncasecmp(text, "0x", 2) == 0 && text[2] && strchr(DIGITS_16, text[2])) {
		base = 16;
		digits = DIGITS_16;
		text += 2;
	} else if (*text == '0') {
		base = 8;
		digits = DIGITS_8;
	}
	size = strspn(text, digits);
	if (size == 0)
		return -EINVAL;
	end = text[size];
	text[size] = '\0';
	errno = 0;
	*number = strtoull(text, NULL, base);
	if (errno == ERANGE)
		return -ERANGE;
	return end == '\0' || (end == '\n' && text[size + 1] == '\0') ? 0 : -EINVAL;
}

/* text: a string of its own. */
static int model_string(char *text, uint64_t *max_bytes)
{
	text += strspn(text, SPACES);
	while (*text && strchr(SPACES, text[strlen(text) - 1]))
		text[strlen(text) - 1] = '\0';
	if (strncmp(text, NAME, strlen(NAME)) != 0)
		return -EINVAL;
	text += strlen(NAME);
	*max_bytes = MISC_MAX;
	return strcmp(text, "max") == 0 ? 0 : model_number(text, max_bytes);
}

static int model(const char *bytes, size_t size, uint64_t *max_bytes)
{
	char *text;
	int error;

	if (size > MISC_WRITE_MAX)
		return -E2BIG;
	text = strndup(bytes, size);
	MUST(text, "the fuzzer itself has no memory");
	error = model_string(text, max_bytes);
	free(text);
	return error;
}

static void reads_back(uint64_t max_bytes)
{
	char line[MISC_LINE_SIZE];
	size_t size = misc_format(MISC_FILE_MAX, max_bytes, line);
	uint64_t again = UNTOUCHED;

	MUST(size < sizeof(line) && line[size] == '\0', "a line is longer than it may be");
	MUST(misc_parse_max(line, size, &again) == 0 && again == max_bytes, "a limit does not read "
									    "back as itself");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *copy = malloc(size ? size : 1); /* the sanitizer sees its end */
	uint64_t max_bytes = UNTOUCHED, expected = 0;
	int error;

	MUST(copy, "the fuzzer itself has no memory");
	memcpy(copy, bytes, size);
	error = misc_parse_max(copy, size, &max_bytes);
	MUST(error == model(copy, size, &expected), "another error than the model's");
	MUST(max_bytes == (error ? UNTOUCHED : expected), "another limit than the model's");
	free(copy);
	if (!error)
		reads_back(max_bytes);
	return 0;
}
