/* SPDX-License-Identifier: MIT */
/*
 * A serial port (16550) as a stream of bytes, and the processor's I/O ports under it. What is said
 * on it belongs to console.c and relay.c.
 */
#ifndef EPCD_GUEST_SERIAL_H
#define EPCD_GUEST_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

#define SERIAL_COM1 0x3f8
#define SERIAL_COM2 0x2f8

void port_write(uint16_t port, uint8_t value);
uint8_t port_read(uint16_t port);

/* wants_interrupts: one for every byte that comes. */
void serial_init(uint16_t port, bool wants_interrupts);

/* Whether there is such a port at all; before or after serial_init(). */
bool serial_is_there(uint16_t port);

bool serial_has_byte(uint16_t port);

/* Both wait, without sleeping, until the port can do it. */
char serial_read(uint16_t port);
void serial_write(uint16_t port, char byte);

#endif
