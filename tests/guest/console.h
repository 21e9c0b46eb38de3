/* SPDX-License-Identifier: MIT */
/*
 * The guest's serial line (COM1) and the interrupts that let it sleep while nothing comes.
 * Nothing of EPC belongs here.
 */
#ifndef EPCD_GUEST_CONSOLE_H
#define EPCD_GUEST_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/* What interrupt_common in boot.S leaves on the stack. */
struct interrupt_frame {
	uint64_t vector;
	uint64_t error;
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
};

/* Sets up the interrupts and the serial line; once, at boot. */
void console_init(void);

/*
 * Reads one line without its end into line, which has size bytes; what does not fit is dropped.
 * Sleeps until it is there.
 */
void console_read_line(char *line, size_t size);

void console_write(const char *text);
void console_write_number(uint64_t number);
void console_write_hex(uint64_t number);

/* boot.S calls it: the serial line's interrupt only wakes the processor, an exception ends all. */
void interrupt_handle(const struct interrupt_frame *frame);

#endif
