/* SPDX-License-Identifier: MIT */
/*
 * The FUSE session: what is agreed with the kernel at the start, the threads that take requests,
 * and the way of each request to its node. What a request means does not belong here.
 * session_reply_entry() is in daemon.h.
 */
#ifndef EPCD_FRONT_SESSION_H
#define EPCD_FRONT_SESSION_H

#include "front/daemon.h"

struct session;

/* fuse_fd: /dev/fuse, mounted already; taken: session_free() closes it. Sets daemon->session. */
int session_new(struct daemon *daemon, int fuse_fd, struct session **session);

/* ended_fd: an eventfd, borrowed, written to when the first of the threads has ended. */
int session_start(struct session *session, int ended_fd);

/*
 * Ends the threads and waits for them. An aborted connection has ended them already; where aborting
 * is not permitted (a user namespace, before Linux 6.13) they are interrupted.
 */
void session_join(struct session *session);
void session_free(struct session *session);

#endif
