/* SPDX-License-Identifier: MIT */
/* The log; see log.h. */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The one mutable file-level variable of the tree: stderr is the process's, and so is the
 * question how much of it is written. Handing a log to every function would say nothing more.
 */
static atomic_int log_threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

int log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_threshold, (int)level, memory_order_relaxed);
}

/* Cuts what snprintf() says it would have written down to what it did write. */
static size_t written_size(int result, size_t room)
{
	if (result < 0)
		return 0;
	return (size_t)result < room ? (size_t)result : room - 1;
}

bool log_is_writable(int wait_ms)
{
	struct pollfd file = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&file, 1, wait_ms) == 1; /* an error is found out by writing */
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	int saved_errno = errno;
	size_t size;
	va_list arguments;

	if ((int)level > atomic_load_explicit(&log_threshold, memory_order_relaxed))
		return;
	size = written_size(snprintf(line, sizeof(line), "epcd: %s%s",
				     level <= LOG_LEVEL_WARNING ? level_names[level] : "",
				     level <= LOG_LEVEL_WARNING ? ": " : ""),
			    sizeof(line));
	errno = saved_errno; /* for %m */
	va_start(arguments, format);
	size += written_size(vsnprintf(line + size, sizeof(line) - size, format, arguments),
			     sizeof(line) - size);
	va_end(arguments);
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[size++] = '\n'; /* in the NUL's place */
	/* Nobody could be told that the log cannot be written. */
	if (write(STDERR_FILENO, line, size) < 0)
		errno = saved_errno;
	errno = saved_errno;
}
