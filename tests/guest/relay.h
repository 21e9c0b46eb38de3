/* SPDX-License-Identifier: MIT */
/*
 * The line (COM2) to tests/client/relay, which executes leaves in the place of the processor. Each
 * of the guest's lines is answered with one line; words are separated by one space, numbers and
 * bytes are hexadecimal without 0x, bytes that are zero up to the end may be left out, and "-" is
 * no byte at all.
 *
 *   sync                                 synced
 *   leaf INSTRUCTION EAX RBX RCX RDX LINADDR SRCPGE SECINFO SECS INFO DATA
 *                                        result RESULT LINADDR INFO DATA | error ERRNO
 *
 * What the words are is struct epc_vepc_leaf's to say (include/epc/abi.h); RCX, RDX and SECS are
 * guest physical addresses. Which leaf has which operands is leaf.c's.
 */
#ifndef EPCD_GUEST_RELAY_H
#define EPCD_GUEST_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * False: there is no such line. The first time after a boot, whatever the line still has of
 * earlier ones is thrown away.
 */
bool relay_begin(void);

void relay_write(const char *text);
void relay_write_number(uint64_t number);
void relay_write_bytes(const uint8_t *bytes, size_t size);

/* The next word of the answer, cut to size; an empty one when the line has no more. */
void relay_read_word(char *word, size_t size);
uint64_t relay_read_number(void); /* 0 when there is none */

/* Fills bytes up with zeros. */
void relay_read_bytes(uint8_t *bytes, size_t size);

#endif
