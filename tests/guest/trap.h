/* SPDX-License-Identifier: MIT */
/*
 * Interrupts and exceptions of the first processor: COM1's interrupt only wakes it, an ENCLS or
 * ENCLU that the processor does not know is handed to leaf.c, any other exception ends the guest
 * with a line of text.
 */
#ifndef EPCD_GUEST_TRAP_H
#define EPCD_GUEST_TRAP_H

#include <stdint.h>

/* What interrupt_common in boot.S leaves on the stack, and takes back from there. */
struct trap_frame {
	uint64_t r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector;
	uint64_t error;
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
};

/* Once, at boot. */
void trap_init(void);

/* boot.S calls it. */
void trap_handle(struct trap_frame *frame);

#endif
