/* SPDX-License-Identifier: MIT */
/* The text of the misc controller's files; see misc.h. */
#include "front/misc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *misc_file_name(enum misc_file file)
{
	static const char *const names[MISC_NR_FILES] = {
		[MISC_FILE_CAPACITY] = "misc.capacity",
		[MISC_FILE_MAX] = "misc.max",
		[MISC_FILE_CURRENT] = "misc.current",
		[MISC_FILE_PEAK] = "misc.peak",
		[MISC_FILE_EVENTS] = "misc.events",
		[MISC_FILE_EVENTS_LOCAL] = "misc.events.local",
	};

	return names[file];
}

size_t misc_format(enum misc_file file, uint64_t value, char line[MISC_LINE_SIZE])
{
	bool counts_events = file == MISC_FILE_EVENTS || file == MISC_FILE_EVENTS_LOCAL;
	int size;

	if (file == MISC_FILE_MAX && value == MISC_MAX)
		size = snprintf(line, MISC_LINE_SIZE, MISC_RESOURCE " max\n");
	else
		size = snprintf(line, MISC_LINE_SIZE, MISC_RESOURCE "%s %" PRIu64 "\n",
				counts_events ? ".max" : "", value);
	return (size_t)size;
}

size_t misc_format_own_max(uint64_t max_bytes, char line[MISC_LINE_SIZE])
{
	int size;

	if (max_bytes == MISC_MAX)
		size = snprintf(line, MISC_LINE_SIZE, "max\n");
	else
		size = snprintf(line, MISC_LINE_SIZE, "%" PRIu64 "\n", max_bytes);
	return (size_t)size;
}

/* The kernel's isspace(), whatever the locale: its table has the no-break space of Latin-1 too. */
static bool is_space(char c)
{
	unsigned char byte = (unsigned char)c;

	return byte == ' ' || (byte >= '\t' && byte <= '\r') || byte == 0xa0;
}

/* 16 and more: no digit of any base. */
static unsigned int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return 16;
}

/*
 * A number as the kernel's kstrtou64() with base 0 reads it: one + may stand before it, one newline
 * after it. A number that is too large is ERANGE even if garbage follows it.
 */
static int parse_number(const char *text, size_t size, uint64_t *number)
{
	unsigned int base = 10;
	uint64_t value = 0;
	bool overflows = false;
	size_t at = 0, first;

	if (at < size && text[at] == '+')
		at++;
	if (at < size && text[at] == '0') {
		base = 8;
		if (size - at > 2 && (text[at + 1] | 0x20) == 'x' &&
		    digit_value(text[at + 2]) < 16) {
			base = 16;
			at += 2;
		}
	}
	for (first = at; at < size && digit_value(text[at]) < base; at++) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit_value(text[at]), &value))
			overflows = true;
	}
	if (overflows)
		return -ERANGE;
	if (at == first)
		return -EINVAL;
	if (at < size && text[at] == '\n')
		at++;
	if (at < size)
		return -EINVAL;
	*number = value;
	return 0;
}

struct span {
	const char *bytes;
	size_t size;
};

/* Without the white space around it. To the kernel it is a C string. */
static int strip(struct span *text)
{
	if (text->size > MISC_WRITE_MAX)
		return -E2BIG;
	text->size = strnlen(text->bytes, text->size);
	for (; text->size > 0 && is_space(text->bytes[0]); text->size--)
		text->bytes++;
	while (text->size > 0 && is_space(text->bytes[text->size - 1]))
		text->size--;
	return 0;
}

static int parse_value(const struct span *text, uint64_t *max_bytes)
{
	if (text->size == 3 && memcmp(text->bytes, "max", 3) == 0) {
		*max_bytes = MISC_MAX;
		return 0;
	}
	return parse_number(text->bytes, text->size, max_bytes);
}

int misc_parse_max(const char *bytes, size_t size, uint64_t *max_bytes)
{
	struct span text = { bytes, size };
	const char *space;
	size_t name_size;
	int error = strip(&text);

	if (error)
		return error;
	space = memchr(text.bytes, ' ', text.size);
	if (!space)
		return -EINVAL;
	name_size = (size_t)(space - text.bytes);
	if (name_size != strlen(MISC_RESOURCE) || memcmp(text.bytes, MISC_RESOURCE, name_size) != 0)
		return -EINVAL;
	text.bytes += name_size + 1;
	text.size -= name_size + 1;
	return parse_value(&text, max_bytes);
}

int misc_parse_own_max(const char *bytes, size_t size, uint64_t *max_bytes)
{
	struct span text = { bytes, size };
	int error = strip(&text);

	return error ? error : parse_value(&text, max_bytes);
}
