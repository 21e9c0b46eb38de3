/* SPDX-License-Identifier: MIT */
/*
 * Command lines of clients, for showing. Reading /proc/PID/cmdline takes a lock of the client's
 * memory and may hang as long as the client likes (a fault of its own that is parked): so one
 * thread of its own does it, later, and nobody ever waits for that thread.
 */
#ifndef EPCD_FRONT_DESCRIBE_H
#define EPCD_FRONT_DESCRIBE_H

#include <stdint.h>

#include "front/daemon.h"

#define DESCRIBE_NR_QUEUED 64u /* more are not described */
#define DESCRIBE_BYTES_MAX 4096u

struct describer;
struct instance;

/* Starts the thread. Errors: -ENOMEM, -EAGAIN. */
int describer_new(struct daemon *daemon, struct describer **describer);
/* From now on the thread touches nothing of the daemon's; it may outlive this call. */
void describer_free(struct describer *describer);

/*
 * Asks for the command line of an instance's opener, which instance_describe() gets if it is still
 * there. Never blocks; under the engine's lock or not.
 */
void describer_ask(struct describer *describer, const struct instance *instance);

#endif
