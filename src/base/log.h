/* SPDX-License-Identifier: MIT */
/*
 * The log: one line a message on stderr, `epcd: ` before it. Any thread may write; a line goes out
 * with one write(2), so lines do not mix. Where the log goes otherwise (journald) is the business
 * of whoever holds the other end of stderr.
 */
#ifndef EPCD_BASE_LOG_H
#define EPCD_BASE_LOG_H

#include <stdbool.h>

#define LOG_LINE_MAX 4096 /* bytes of a line with prefix and newline; a longer message is cut */

enum log_level {
	LOG_LEVEL_ERROR,   /* shown as "error: ...": something does not work */
	LOG_LEVEL_WARNING, /* shown as "warning: ...": works, but less well than it could */
	LOG_LEVEL_INFO,	   /* what an administrator wants to read: refusals, start, end */
	LOG_LEVEL_DEBUG,
};

/* "error", "warning", "info", "debug". Errors: -EINVAL. */
int log_level_parse(const char *name, enum log_level *level);

/* What is less urgent than level is not written from now on; at start it is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/*
 * Writes one line. Control characters in the message become '?', so that it stays one line; names
 * that others chose are escaped by the caller (base/text.h). Keeps errno.
 */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether a line can be written without waiting for whoever reads it; waits so long for that. */
bool log_is_writable(int wait_ms);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
