/* SPDX-License-Identifier: MIT */
/*
 * Bytes that others chose (names of processes and cgroups) made fit to be shown. Nothing that
 * comes out of here can break a line, move a cursor or be something else than UTF-8.
 */
#ifndef EPCD_BASE_TEXT_H
#define EPCD_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * For text on one line: newline as \n, tab as \t, backslash as \\, every other control character
 * (C1 ones, line separators and those that turn the writing direction included) and every byte
 * that is not UTF-8 as \xNN. The rest stays.
 * Writes at most out_size bytes with the closing NUL, cut before the character that does not fit.
 * Returns the number of bytes written without the NUL; 0 and nothing written when out_size is 0.
 */
size_t text_escape(char *out, size_t out_size, const void *bytes, size_t size);

/* As text_escape(), into a new string that the caller frees; NULL: no memory. */
char *text_escape_new(const void *bytes, size_t size);

/* text_escape_new() of a string. */
char *text_escape_string_new(const char *string);

/*
 * For a string that ought to be escaped already: as text_escape_new(), but backslashes stay as
 * they are, so that nothing is escaped twice. A new string that the caller frees; NULL: no memory.
 */
char *text_show_new(const char *string);

/*
 * For JSON, whose writer escapes control characters itself: bytes that are not UTF-8, and NULs,
 * become \xNN, the rest stays. A new string that the caller frees; NULL: no memory.
 */
char *text_to_utf8_new(const void *bytes, size_t size);

#endif
