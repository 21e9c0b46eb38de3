/* SPDX-License-Identifier: MIT */
/*
 * The directory dev/ and its nodes: names, owners and modes, a fresh inode for each look-up. What
 * an open one does is in instance.h. device_dir_get() is in daemon.h.
 */
#ifndef EPCD_FRONT_DEVICE_H
#define EPCD_FRONT_DEVICE_H

#include "front/daemon.h"

/* The size that every device node shows; QEMU takes what is larger than its section. */
#define DEVICE_SIZE_BYTES (INT64_C(1) << 47)

struct device;

int device_new(struct daemon *daemon, struct device **device);
void device_free(struct device *device);

/* Whether that descriptor of the task is an open sgx_provision of this mount. May take long. */
bool device_is_provision(struct daemon *daemon, pid_t tid, unsigned int fd);

#endif
