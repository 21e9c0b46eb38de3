/* SPDX-License-Identifier: MIT */
/*
 * The guest's console (COM1): lines of text, and sleep while nothing comes. Nothing of EPC belongs
 * here.
 */
#ifndef EPCD_GUEST_CONSOLE_H
#define EPCD_GUEST_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/* Once, at boot, after trap_init(). */
void console_init(void);

/*
 * Reads one line without its end into line, which has size bytes; what does not fit is dropped.
 * Sleeps until it is there.
 */
void console_read_line(char *line, size_t size);

void console_write(const char *text);
void console_write_number(uint64_t number);
void console_write_hex(uint64_t number);

#endif
