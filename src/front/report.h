/* SPDX-License-Identifier: MIT */
/*
 * The JSON texts of `status` and `instances/ID/info`. Figures are copied under the engine's lock,
 * the text is made outside. Names in them are escaped for showing, as in the journal.
 */
#ifndef EPCD_FRONT_REPORT_H
#define EPCD_FRONT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;

/* A new string, one line with its newline, which the caller frees. Errors: -ENOMEM. */
int report_status(struct daemon *daemon, char **text, size_t *size);

/* The same; -ENOENT: no such instance. */
int report_instance(struct daemon *daemon, uint64_t id, char **text, size_t *size);

/* Whether there is an instance to report of; the next one after an id (0: the first), 0: none. */
bool report_has_instance(struct daemon *daemon, uint64_t id);
uint64_t report_next_instance(struct daemon *daemon, uint64_t after_id);

#endif
