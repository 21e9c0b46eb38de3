/* SPDX-License-Identifier: MIT */
/*
 * ENCLS and ENCLU: executing one, and what happens when the processor does not know it, as under
 * TCG. Then leaf_emulate() collects the operands as a hypervisor would that intercepts ENCLS, and
 * somebody at the other end of relay.h executes the leaf. What enclaves are is enclave.c's.
 *
 * There is no enclave mode: EENTER counts the processor in and goes on behind the instruction, and
 * so does EEXIT, which has nowhere to go. EENTER takes the SECS in RDX, since nobody here could
 * ask the EPCM for it; the ENCLU leaves after it are of that enclave.
 */
#ifndef EPCD_GUEST_LEAF_H
#define EPCD_GUEST_LEAF_H

#include <stdbool.h>
#include <stdint.h>

struct trap_frame;

enum leaf_instruction {
	LEAF_ENCLS = 0,
	LEAF_ENCLU = 1,
};

enum leaf_encls {
	LEAF_ECREATE = 0,
	LEAF_EADD = 1,
	LEAF_EINIT = 2,
	LEAF_EREMOVE = 3,
	LEAF_EDBGRD = 4,
	LEAF_EDBGWR = 5,
	LEAF_EEXTEND = 6,
	LEAF_ELDB = 7,
	LEAF_ELDU = 8,
	LEAF_EBLOCK = 9,
	LEAF_EPA = 10,
	LEAF_EWB = 11,
	LEAF_ETRACK = 12,
	LEAF_EAUG = 13,
	LEAF_EMODPR = 14,
	LEAF_EMODT = 15,
};

enum leaf_enclu {
	LEAF_EENTER = 2,
	LEAF_EEXIT = 4,
	LEAF_EACCEPT = 5,
	LEAF_EMODPE = 6,
	LEAF_EACCEPTCOPY = 7,
};

/*
 * In RAX instead of a code. A fault comes back there as by the fixup of Linux' ENCLS functions:
 * flag, vector, and for #PF the operand in bits 15:8.
 */
#define LEAF_FAULT UINT64_C(0x40000000)
#define LEAF_NOT_EXECUTED UINT64_C(0x20000000) /* and the errno of whoever should have */

/* Memory operands, as the processor reads and writes them. */
struct leaf_pageinfo {
	uint64_t linaddr, srcpge, secinfo, secs;
} __attribute__((aligned(32)));

struct leaf_secinfo {
	uint64_t flags;
	uint64_t reserved[7];
} __attribute__((aligned(64)));

struct leaf_registers {
	uint64_t rax, rbx, rcx, rdx;
	bool is_zero, is_carry; /* ZF and CF afterwards */
};

/* Executes the instruction with these registers. */
void leaf_execute(enum leaf_instruction instruction, struct leaf_registers *registers);

/* trap.c calls it for #UD; false: it is another instruction, or nobody is there to execute it. */
bool leaf_emulate(struct trap_frame *frame);

#endif
