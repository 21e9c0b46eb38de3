/* SPDX-License-Identifier: MIT */
/* Bytes that others chose, made fit to be shown; see text.h. */
#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEX_ESCAPE_SIZE 4u /* \xNN, the longest that one byte becomes */
#define UTF8_SIZE_MAX 4u

struct sequence {
	size_t size;	/* bytes of the first character, 0: not UTF-8 */
	uint32_t point; /* its code point */
};

static bool continues(const unsigned char *at, size_t first, size_t last)
{
	for (size_t i = first; i <= last; i++)
		if ((at[i] & 0xc0) != 0x80)
			return false;
	return true;
}

/* The character that begins at at, of which size bytes (at least one) may be read. */
static struct sequence utf8_first(const unsigned char *at, size_t size)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const struct sequence none = { 0, 0 };
	struct sequence found;

	if (at[0] < 0x80)
		return (struct sequence){ 1, at[0] };
	if ((at[0] & 0xe0) == 0xc0)
		found = (struct sequence){ 2, at[0] & 0x1fu };
	else if ((at[0] & 0xf0) == 0xe0)
		found = (struct sequence){ 3, at[0] & 0x0fu };
	else if ((at[0] & 0xf8) == 0xf0)
		found = (struct sequence){ UTF8_SIZE_MAX, at[0] & 0x07u };
	else
		return none;
	if (found.size > size || !continues(at, 1, found.size - 1))
		return none;
	for (size_t i = 1; i < found.size; i++)
		found.point = found.point << 6 | (at[i] & 0x3fu);
	if (found.point < smallest[found.size] || found.point > 0x10ffff ||
	    (found.point >= 0xd800 && found.point <= 0xdfff))
		return none;
	return found;
}

/* Unicode's Bidi_Control characters, its two separators, and what ISO 6429 calls controls. */
static bool is_control(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x061c ||
	       point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069);
}

/* Writes the \xNN of each of size bytes; out has room for all of them. */
static size_t put_hex(char *out, const unsigned char *at, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		out[HEX_ESCAPE_SIZE * i] = '\\';
		out[HEX_ESCAPE_SIZE * i + 1] = 'x';
		out[HEX_ESCAPE_SIZE * i + 2] = digits[at[i] >> 4];
		out[HEX_ESCAPE_SIZE * i + 3] = digits[at[i] & 0xf];
	}
	return HEX_ESCAPE_SIZE * size;
}

static size_t put_short(char *out, char letter)
{
	out[0] = '\\';
	out[1] = letter;
	return 2;
}

/* One character as text shows it. *taken: how many bytes it was. Returns the bytes put. */
static size_t escape_first(char *out, const unsigned char *at, size_t size, size_t *taken)
{
	struct sequence first = utf8_first(at, size);

	*taken = first.size ? first.size : 1;
	if (first.size == 1 && at[0] == '\n')
		return put_short(out, 'n');
	if (first.size == 1 && at[0] == '\t')
		return put_short(out, 't');
	if (first.size == 1 && at[0] == '\\')
		return put_short(out, '\\');
	if (!first.size || is_control(first.point))
		return put_hex(out, at, *taken);
	memcpy(out, at, first.size);
	return first.size;
}

size_t text_escape(char *out, size_t out_size, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	size_t written = 0;

	if (!out_size)
		return 0;
	while (size) {
		char one[HEX_ESCAPE_SIZE * UTF8_SIZE_MAX];
		size_t taken;
		size_t put = escape_first(one, at, size, &taken);

		if (put > out_size - 1 - written)
			break;
		memcpy(out + written, one, put);
		written += put;
		at += taken;
		size -= taken;
	}
	out[written] = '\0';
	return written;
}

/* Room for size bytes that all become \xNN, and the NUL. */
static char *escaped_alloc(size_t size, size_t *out_size)
{
	if (size > (SIZE_MAX - 1) / HEX_ESCAPE_SIZE)
		return NULL;
	*out_size = size * HEX_ESCAPE_SIZE + 1;
	return malloc(*out_size);
}

char *text_escape_new(const void *bytes, size_t size)
{
	size_t out_size;
	char *out = escaped_alloc(size, &out_size);

	if (out)
		text_escape(out, out_size, bytes, size);
	return out;
}

char *text_escape_string_new(const char *string)
{
	return text_escape_new(string, strlen(string));
}

char *text_show_new(const char *string)
{
	char *out = text_escape_string_new(string);
	char *to = out;

	if (!out)
		return NULL;
	/* Two backslashes in a row are one of the string's, whatever else is escaped has one. */
	for (const char *from = out; *from; from++) {
		*to++ = *from;
		if (from[0] == '\\' && from[1] == '\\')
			from++;
	}
	*to = '\0';
	return out;
}

char *text_to_utf8_new(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	size_t out_size, written = 0;
	char *out = escaped_alloc(size, &out_size);

	if (!out)
		return NULL;
	while (size) {
		struct sequence first = utf8_first(at, size);
		size_t taken = first.size ? first.size : 1;

		if (!first.size || !first.point) {
			written += put_hex(out + written, at, taken);
		} else {
			memcpy(out + written, at, taken);
			written += taken;
		}
		at += taken;
		size -= taken;
	}
	out[written] = '\0';
	return out;
}
