/* SPDX-License-Identifier: MIT */
/*
 * The text of the misc controller's files, as the kernel's misc controller writes and reads it,
 * for the one resource sgx_epc. Pure functions; whose figures they are is tree_cgroup.c's business.
 */
#ifndef EPCD_FRONT_MISC_H
#define EPCD_FRONT_MISC_H

#include <stddef.h>
#include <stdint.h>

#define MISC_RESOURCE "sgx_epc"
#define MISC_LINE_SIZE 48u   /* of the longest line with its NUL */
#define MISC_WRITE_MAX 4096u /* as the kernel: a longer write to a cgroup file is E2BIG */
#define MISC_MAX UINT64_MAX  /* the word max */

enum misc_file {
	MISC_FILE_CAPACITY,
	MISC_FILE_MAX,
	MISC_FILE_CURRENT,
	MISC_FILE_PEAK,
	MISC_FILE_EVENTS,
	MISC_FILE_EVENTS_LOCAL,
	MISC_NR_FILES
};

/* "misc.max" and so on. */
const char *misc_file_name(enum misc_file file);

/*
 * Writes the file's one line, newline and NUL included; value in bytes, or a count of events.
 * Returns the line's size without the NUL.
 */
size_t misc_format(enum misc_file file, uint64_t value, char line[MISC_LINE_SIZE]);

/* The same without the resource's name, for the own limit of an instance. */
size_t misc_format_own_max(uint64_t max_bytes, char line[MISC_LINE_SIZE]);

/*
 * Parses what was written to misc.max, any bytes: "sgx_epc VALUE" with white space around it, one
 * space between, VALUE max or a number in base 8, 10 or 16 by its prefix. *max_bytes is as written,
 * not rounded, and is set on success only.
 * Errors: -EINVAL, -ERANGE (no 64 bits), -E2BIG (more than MISC_WRITE_MAX bytes).
 */
int misc_parse_max(const char *bytes, size_t size, uint64_t *max_bytes);

/* The same for VALUE alone. */
int misc_parse_own_max(const char *bytes, size_t size, uint64_t *max_bytes);

#endif
