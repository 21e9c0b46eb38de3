/* SPDX-License-Identifier: MIT */
/*
 * Where sealed pages are while they are out of the EPC: in memory (a memfd), or in a file. Slots of
 * 4096 bytes, which take room only while they hold something. Nothing is mapped: a file may be cut
 * short by anybody at any time, and what comes from it is believed only as far as its MAC goes.
 *
 * The operations are the core's, under the engine's lock. With a file they can take as long as the
 * disk does.
 */
#ifndef EPCD_FRONT_SWAP_STORE_H
#define EPCD_FRONT_SWAP_STORE_H

#include "core/epc.h"

struct daemon_options;
struct swap_store;

/*
 * path: NULL: memory. The file must be empty, absent, or one that a swap_store has made: it is
 * emptied. Errors, logged: -EEXIST (it is something else's), -EBUSY (in use), -ENOMEM, -EAGAIN (no
 * thread), of open(2).
 */
int swap_store_new(const char *path, uint32_t nr_slots, struct swap_store **store);
void swap_store_free(struct swap_store *store);
struct epc_swap_ops swap_store_ops(struct swap_store *store);

/* Bytes that the store takes now. Any thread. */
uint64_t swap_store_bytes(struct swap_store *store);

/*
 * The options --swap (a file, or a size as the other) and --swap-max. Errors, logged: -EINVAL.
 * nr_slots: what they come to, with the sections known: 4 times the EPC if nothing was said.
 */
int swap_option_take(struct daemon_options *options, const char *text);
int swap_max_option_take(struct daemon_options *options, const char *text);
uint32_t swap_option_nr_slots(const struct daemon_options *options);

#endif
