/* SPDX-License-Identifier: MIT */
/*
 * The 16550 at a port. See serial.h.
 */
#include "serial.h"

#define UART_DATA 0
#define UART_INTERRUPTS 1
#define UART_FIFO 2
#define UART_LINE 3
#define UART_MODEM 4
#define UART_STATUS 5
#define UART_SCRATCH 7
#define UART_STATUS_HAS_BYTE 0x01
#define UART_STATUS_CAN_SEND 0x20

void port_write(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

uint8_t port_read(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

void serial_init(uint16_t port, bool wants_interrupts)
{
	port_write(port + UART_INTERRUPTS, 0);
	port_write(port + UART_LINE, 0x80); /* the divisor is next: 115200 baud */
	port_write(port + UART_DATA, 1);
	port_write(port + UART_INTERRUPTS, 0);
	port_write(port + UART_LINE, 0x03); /* 8 bits, no parity, one stop bit */
	port_write(port + UART_FIFO, 0x07);
	port_write(port + UART_MODEM, 0x0b);
	port_write(port + UART_INTERRUPTS, wants_interrupts);
}

bool serial_is_there(uint16_t port)
{
	/* Where nothing is, everything reads as ones. */
	port_write(port + UART_SCRATCH, 0x5a);
	return port_read(port + UART_SCRATCH) == 0x5a;
}

bool serial_has_byte(uint16_t port)
{
	return port_read(port + UART_STATUS) & UART_STATUS_HAS_BYTE;
}

char serial_read(uint16_t port)
{
	while (!serial_has_byte(port))
		;
	return (char)port_read(port + UART_DATA);
}

void serial_write(uint16_t port, char byte)
{
	while (!(port_read(port + UART_STATUS) & UART_STATUS_CAN_SEND))
		;
	port_write(port + UART_DATA, (uint8_t)byte);
}
