/* SPDX-License-Identifier: MIT */
/* The file metrics: figures of the EPC and of the cgroups as OpenMetrics text 1.0. */
#ifndef EPCD_FRONT_METRICS_H
#define EPCD_FRONT_METRICS_H

#include <stddef.h>

struct daemon;

/* A new string, which the caller frees. Errors: -ENOMEM. */
int metrics_make(struct daemon *daemon, char **text, size_t *size);

#endif
