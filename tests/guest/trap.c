/* SPDX-License-Identifier: MIT */
/*
 * The interrupt table, the interrupt controllers, and where each vector goes. See trap.h.
 */
#include "trap.h"

#include "console.h"
#include "leaf.h"
#include "serial.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA 0xa1
#define PIC_END_OF_INTERRUPT 0x20
#define PIC_VECTOR 32
#define COM1_VECTOR (PIC_VECTOR + 4)

#define UD_VECTOR 6
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

/* Both PICs begin at PIC_VECTOR, all lines but COM1's are masked. */
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

void trap_init(void)
{
	gates_init();
	pic_init();
}

static void exception_end(const struct trap_frame *frame)
{
	uint64_t address;

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

void trap_handle(struct trap_frame *frame)
{
	if (frame->vector == COM1_VECTOR) {
		port_write(PIC1_COMMAND, PIC_END_OF_INTERRUPT);
		return;
	}
	if (frame->vector >= PIC_VECTOR)
		return; /* spurious */
	if (frame->vector == UD_VECTOR && leaf_emulate(frame))
		return;
	exception_end(frame);
}
