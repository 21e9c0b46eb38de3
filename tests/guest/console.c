/* SPDX-License-Identifier: MIT */
/*
 * Lines on COM1. See console.h.
 */
#include "console.h"

#include "serial.h"

void console_init(void)
{
	serial_init(SERIAL_COM1, true);
}

static char byte_read(void)
{
	/* The byte may come between the look and hlt: sti lets its interrupt in only after hlt. */
	while (!serial_has_byte(SERIAL_COM1))
		__asm__ volatile("sti; hlt; cli");
	return serial_read(SERIAL_COM1);
}

void console_read_line(char *line, size_t size)
{
	size_t length = 0;
	char byte;

	for (byte = byte_read(); byte != '\n'; byte = byte_read()) {
		if (byte != '\r' && length + 1 < size)
			line[length++] = byte;
	}
	line[length] = '\0';
}

void console_write(const char *text)
{
	for (; *text; text++)
		serial_write(SERIAL_COM1, *text);
}

void console_write_number(uint64_t number)
{
	char digits[21];
	size_t first = sizeof(digits) - 1;

	digits[first] = '\0';
	do {
		digits[--first] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	console_write(&digits[first]);
}

void console_write_hex(uint64_t number)
{
	console_write("0x");
	for (int shift = 60; shift >= 0; shift -= 4)
		serial_write(SERIAL_COM1, "0123456789abcdef"[number >> shift & 0xf]);
}
