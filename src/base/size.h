/* SPDX-License-Identifier: MIT */
/*
 * Sizes as people write and read them: 64M in, "64 MiB" out. What a size means, and which ones
 * are allowed (multiples of a page, say), does not belong here.
 */
#ifndef EPCD_BASE_SIZE_H
#define EPCD_BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define SIZE_TEXT_MAX 32u /* bytes that size_format() needs at most, the NUL included */

/*
 * Reads the whole of text: decimal digits and at most one suffix K, M or G (powers of 1024, small
 * letters too). Stores bytes only on success. Errors: -EINVAL (anything else, also signs, spaces,
 * nothing at all), -ERANGE (does not fit 64 bits).
 */
int size_parse(const char *text, uint64_t *bytes);

/*
 * As size_parse(), but stops after the suffix; *end (borrowed from text) is the first byte that
 * is not part of the size. For texts such as 64M@1.
 */
int size_parse_prefix(const char *text, uint64_t *bytes, const char **end);

/*
 * Writes bytes for people into out: "64 MiB", "1.5 GiB", "512 bytes". What does not come out
 * even is cut off (never rounded up) after one decimal. Returns out.
 */
char *size_format(char *out, size_t out_size, uint64_t bytes);

#endif
