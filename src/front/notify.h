/* SPDX-License-Identifier: MIT */
/* Word to systemd, which is a datagram: too little for its library. */
#ifndef EPCD_FRONT_NOTIFY_H
#define EPCD_FRONT_NOTIFY_H

/* Sends state ("READY=1") to $NOTIFY_SOCKET; nothing without it, see sd_notify(3). */
void notify_systemd(const char *state);

#endif
