/* SPDX-License-Identifier: MIT */
/*
 * `epcd run`: one command with an EPC of its own. A small parent makes a private mount namespace
 * with the devices in it, starts the daemon there and then the command, and outlives both.
 * What the daemon does is daemon.h's business; the parts of a run are in run_internal.h.
 */
#ifndef EPCD_FRONT_RUN_H
#define EPCD_FRONT_RUN_H

/*
 * argv[0] is "run". Returns the exit code: the command's own (128 + N after signal N), 2 when the
 * run could not be set up (one line in the log says why and what helps; the command was not
 * started), 125 when the daemon died under it. One call per process: it makes
 * it a subreaper, blocks signals and moves it to other namespaces.
 */
int run_main(int argc, char **argv);

#define RUN_EXIT_SETUP 2
#define RUN_EXIT_DAEMON_DIED 125

#endif
