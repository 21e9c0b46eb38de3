/* SPDX-License-Identifier: MIT */
/* The option --epc SIZE[@NODE], which epcd and `epcd run` have in common. */
#ifndef EPCD_FRONT_SECTION_H
#define EPCD_FRONT_SECTION_H

#include "front/daemon.h"

#define SECTION_DEFAULT "64M@0"

/* Adds the section that text describes. Errors, logged: -EINVAL, -E2BIG (too many). */
int section_option_add(struct daemon_options *options, const char *text);

#endif
