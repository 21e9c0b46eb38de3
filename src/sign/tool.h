/* SPDX-License-Identifier: MIT */
/*
 * epcsign: what its files share. Signing itself is sign.h's.
 *
 *   main.c      the command line
 *   value.c     numbers, attributes, dates and hex strings on it
 *   stream.c    what an enclave measures to
 *   show.c      a SIGSTRUCT for people, and as JSON
 */
#ifndef EPCD_SIGN_TOOL_H
#define EPCD_SIGN_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sgx/arch.h"

enum tool_exit {
	TOOL_EXIT_OK = 0,
	TOOL_EXIT_PROBLEM = 1, /* it did not work, or what is shown would be refused */
	TOOL_EXIT_USAGE = 2,
};

/* One line on stderr. What others chose is escaped by the caller (base/text.h). */
void tool_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same about a file, whose name is escaped here: NAME: MESSAGE. Returns TOOL_EXIT_PROBLEM. */
int tool_error_file(const char *path, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * value.c: the whole of text; what they fill in is written with 0 only, else they return -EINVAL,
 * or -ERANGE for a number that is too large.
 */

/* Decimal, or hexadecimal after 0x; ~ before it inverts it, in as many bits as max has. */
int value_number(const char *text, uint64_t max, uint64_t *value);
/* The same, or names of attributes with commas between them: debug,kss. */
int value_attributes(const char *text, uint64_t *flags);
/* YYYYMMDD, or YYYY-MM-DD; bcd: as SIGSTRUCT.DATE. */
int value_date(const char *text, uint32_t *bcd);
/* Two digits for each of the size bytes. */
int value_hex(const char *text, uint8_t *bytes, size_t size);
/* Names of the attributes that have one, with commas; name_size: 64 is always enough. */
const char *value_attribute_names(uint64_t flags, char *names, size_t names_size);

/*
 * stream.c: MRENCLAVE of the enclave whose measured blocks are in the file (SGXS). Says what is
 * wrong with it. Returns an enum tool_exit.
 */
int stream_measure(const char *path, uint8_t mrenclave[32]);

/* show.c: prints the SIGSTRUCT in the file; TOOL_EXIT_PROBLEM: no processor would take it. */
int show_file(const char *path, bool is_json);

#endif
