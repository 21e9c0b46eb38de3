/* SPDX-License-Identifier: MIT */
/*
 * The serial line and its interrupt; exceptions become a line of text. See console.h.
 */
#include "console.h"

#define COM1_PORT 0x3f8
#define COM1_VECTOR (PIC_VECTOR + 4)
#define UART_DATA 0
#define UART_INTERRUPTS 1
#define UART_FIFO 2
#define UART_LINE 3
#define UART_MODEM 4
#define UART_STATUS 5
#define UART_STATUS_HAS_BYTE 0x01
#define UART_STATUS_CAN_SEND 0x20

#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA 0xa1
#define PIC_END_OF_INTERRUPT 0x20
#define PIC_VECTOR 32

#define NR_VECTORS 48 /* as many stubs as boot.S has */
#define STUB_BYTES 16
#define CODE64_SELECTOR 0x8
#define GATE_INTERRUPT 0x8e

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t stack;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

struct gates_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const char interrupt_stubs[];

static struct gate gates[NR_VECTORS];

static void port_write(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t port_read(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void gates_init(void)
{
	struct gates_pointer pointer = { .limit = sizeof(gates) - 1, .base = (uintptr_t)gates };

	for (size_t i = 0; i < NR_VECTORS; i++) {
		uint64_t stub = (uintptr_t)interrupt_stubs + i * STUB_BYTES;

		gates[i].offset_low = (uint16_t)(stub & 0xffff);
		gates[i].offset_middle = (uint16_t)(stub >> 16 & 0xffff);
		gates[i].offset_high = (uint32_t)(stub >> 32);
		gates[i].selector = CODE64_SELECTOR;
		gates[i].type = GATE_INTERRUPT;
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

/* Both PICs begin at PIC_VECTOR, all lines but the serial one's are masked. */
static void pic_init(void)
{
	port_write(PIC1_COMMAND, 0x11);
	port_write(PIC2_COMMAND, 0x11);
	port_write(PIC1_DATA, PIC_VECTOR);
	port_write(PIC2_DATA, PIC_VECTOR + 8);
	port_write(PIC1_DATA, 4);
	port_write(PIC2_DATA, 2);
	port_write(PIC1_DATA, 1);
	port_write(PIC2_DATA, 1);
	port_write(PIC1_DATA, 0xef);
	port_write(PIC2_DATA, 0xff);
}

void console_init(void)
{
	gates_init();
	pic_init();
	port_write(COM1_PORT + UART_INTERRUPTS, 0);
	port_write(COM1_PORT + UART_LINE, 0x80); /* the divisor is next: 115200 baud */
	port_write(COM1_PORT + UART_DATA, 1);
	port_write(COM1_PORT + UART_INTERRUPTS, 0);
	port_write(COM1_PORT + UART_LINE, 0x03); /* 8 bits, no parity, one stop bit */
	port_write(COM1_PORT + UART_FIFO, 0x07);
	port_write(COM1_PORT + UART_MODEM, 0x0b);
	port_write(COM1_PORT + UART_INTERRUPTS, 0x01);
}

static char byte_read(void)
{
	/* The byte may come between the look and hlt: sti lets its interrupt in only after hlt. */
	while (!(port_read(COM1_PORT + UART_STATUS) & UART_STATUS_HAS_BYTE))
		__asm__ volatile("sti; hlt; cli");
	return (char)port_read(COM1_PORT + UART_DATA);
}

static void byte_write(char byte)
{
	while (!(port_read(COM1_PORT + UART_STATUS) & UART_STATUS_CAN_SEND))
		;
	port_write(COM1_PORT + UART_DATA, (uint8_t)byte);
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
		byte_write(*text);
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
		byte_write("0123456789abcdef"[number >> shift & 0xf]);
}

void interrupt_handle(const struct interrupt_frame *frame)
{
	uint64_t address;

	if (frame->vector == COM1_VECTOR) {
		port_write(PIC1_COMMAND, PIC_END_OF_INTERRUPT);
		return;
	}
	if (frame->vector >= PIC_VECTOR)
		return; /* spurious */
	__asm__ volatile("mov %%cr2, %0" : "=r"(address));
	console_write("guest: exception ");
	console_write_number(frame->vector);
	console_write(" error ");
	console_write_hex(frame->error);
	console_write(" at ");
	console_write_hex(frame->rip);
	console_write(" address ");
	console_write_hex(address);
	console_write("\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
