/* SPDX-License-Identifier: MIT */
/*
 * Which operands a leaf has, how they go to the relay, and what it gives back. See leaf.h.
 */
#include "leaf.h"

#include "relay.h"
#include "trap.h"

#define INSTRUCTION_BYTES 3
#define NR_LEAVES 16u
#define DATA_BYTES 4096u
#define INFO_BYTES 128u
#define SECINFO_BYTES 64u
#define SIGSTRUCT_BYTES 1808u
#define TOKEN_BYTES 304u
#define TOKEN_OFFSET 2048u /* in data, behind the SIGSTRUCT */
#define WORD_BYTES 8u

#define RFLAGS_CF 0x0001u
#define RFLAGS_ZF 0x0040u
#define RFLAGS_OTHERS 0x0894u /* OF, SF, AF, PF: cleared by a leaf that gives a code */

/* What a leaf of ENCLS has besides RCX and RDX, which are places or nothing. */
struct operands {
	bool has_pageinfo; /* at RBX */
	bool has_code;	   /* in RAX; else faults only */
	bool is_out;	   /* data, info and LINADDR are written */
	uint16_t info_bytes, data_bytes;
};

static const struct operands encls_operands[NR_LEAVES] = {
	[LEAF_ECREATE] = { true, false, false, SECINFO_BYTES, DATA_BYTES },
	[LEAF_EADD] = { true, false, false, SECINFO_BYTES, DATA_BYTES },
	[LEAF_EINIT] = { false, true, false, 0, 0 }, /* see einit_collect() */
	[LEAF_EREMOVE] = { false, true, false, 0, 0 },
	[LEAF_EDBGRD] = { false, true, false, 0, 0 },
	[LEAF_EDBGWR] = { false, true, false, 0, 0 },
	[LEAF_ELDB] = { true, true, false, INFO_BYTES, DATA_BYTES },
	[LEAF_ELDU] = { true, true, false, INFO_BYTES, DATA_BYTES },
	[LEAF_EBLOCK] = { false, true, false, 0, 0 },
	[LEAF_EWB] = { true, true, true, INFO_BYTES, DATA_BYTES },
	[LEAF_ETRACK] = { false, true, false, 0, 0 },
	[LEAF_EAUG] = { true, false, false, SECINFO_BYTES, 0 },
	[LEAF_EMODPR] = { false, true, false, SECINFO_BYTES, 0 },
	[LEAF_EMODT] = { false, true, false, SECINFO_BYTES, 0 },
};

struct request {
	enum leaf_instruction instruction;
	struct operands operands;
	uint64_t rax, rbx, rcx, rdx;
	struct leaf_pageinfo pageinfo;
};

/* Copies of the operands in memory: too large for the stack of a trap. */
static uint8_t data[DATA_BYTES], info[INFO_BYTES];
static uint64_t entered_tcs, entered_secs;

void leaf_execute(enum leaf_instruction instruction, struct leaf_registers *registers)
{
	bool is_zero, is_carry;

	if (instruction == LEAF_ENCLS)
		__asm__ volatile(".byte 0x0f, 0x01, 0xcf"
				 : "+a"(registers->rax), "+b"(registers->rbx), "+c"(registers->rcx),
				   "+d"(registers->rdx), "=@ccz"(is_zero), "=@ccc"(is_carry)
				 :
				 : "memory");
	else
		__asm__ volatile(".byte 0x0f, 0x01, 0xd7"
				 : "+a"(registers->rax), "+b"(registers->rbx), "+c"(registers->rcx),
				   "+d"(registers->rdx), "=@ccz"(is_zero), "=@ccc"(is_carry)
				 :
				 : "memory");
	registers->is_zero = is_zero;
	registers->is_carry = is_carry;
}

static void bytes_copy(uint8_t *to, const uint8_t *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = from[i];
}

static const uint8_t *at(uint64_t address)
{
	return (const uint8_t *)(uintptr_t)address;
}

static void encls_collect(struct request *request)
{
	const struct operands *operands = &encls_operands[request->rax % NR_LEAVES];
	uint64_t secinfo = request->rbx;

	if (request->rax >= NR_LEAVES)
		return;
	request->operands = *operands;
	if (operands->has_pageinfo) {
		request->pageinfo = *(const struct leaf_pageinfo *)at(request->rbx);
		secinfo = request->pageinfo.secinfo;
	}
	if (!operands->is_out && operands->info_bytes && secinfo)
		bytes_copy(info, at(secinfo), operands->info_bytes);
	if (!operands->is_out && operands->data_bytes && request->pageinfo.srcpge)
		bytes_copy(data, at(request->pageinfo.srcpge), operands->data_bytes);
	if (request->rax == LEAF_EINIT) {
		bytes_copy(data, at(request->rbx), SIGSTRUCT_BYTES);
		bytes_copy(data + TOKEN_OFFSET, at(request->rdx), TOKEN_BYTES);
	}
	if (request->rax == LEAF_EDBGWR)
		bytes_copy(data, (const uint8_t *)&request->rbx, WORD_BYTES);
	if (request->rax == LEAF_EEXTEND)
		request->pageinfo.secs = request->rbx;
}

static void enclu_collect(struct request *request)
{
	if (request->rax == LEAF_EENTER) {
		request->rcx = request->rbx;
		request->rdx = 0;
		return;
	}
	if (request->rax == LEAF_EEXIT) {
		request->rcx = entered_tcs;
		return;
	}
	request->operands.has_code = request->rax == LEAF_EACCEPT ||
				     request->rax == LEAF_EACCEPTCOPY;
	request->pageinfo.linaddr = request->rcx;
	request->pageinfo.secs = entered_secs; /* and its SECINFO is at RBX, in the enclave */
}

static void request_send(const struct request *request)
{
	const uint64_t numbers[] = {
		request->instruction,
		request->rax,
		request->rbx,
		request->rcx,
		request->rdx,
		request->pageinfo.linaddr,
		request->pageinfo.srcpge,
		request->pageinfo.secinfo,
		request->pageinfo.secs,
	};

	relay_write("leaf");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		relay_write(" ");
		relay_write_number(numbers[i]);
	}
	relay_write(" ");
	relay_write_bytes(info, INFO_BYTES);
	relay_write(" ");
	relay_write_bytes(data, DATA_BYTES);
	relay_write("\n");
}

/* Writes what the leaf has written: to memory for EWB, to RBX for EDBGRD. */
static void outputs_write(const struct request *request, struct trap_frame *frame, uint64_t linaddr)
{
	const struct leaf_pageinfo *pageinfo = &request->pageinfo;

	if (request->operands.is_out) {
		((struct leaf_pageinfo *)at(request->rbx))->linaddr = linaddr;
		bytes_copy((uint8_t *)at(pageinfo->secinfo), info, INFO_BYTES);
		bytes_copy((uint8_t *)at(pageinfo->srcpge), data, DATA_BYTES);
	}
	if (request->instruction == LEAF_ENCLS && request->rax == LEAF_EDBGRD)
		bytes_copy((uint8_t *)&frame->rbx, data, WORD_BYTES);
}

/* ZF or CF for a code: SDM, each leaf's "Flags Affected". */
static bool code_is_carry(const struct request *request, uint64_t code)
{
	if (request->rax == LEAF_EWB)
		return code == 12;
	return request->rax == LEAF_EBLOCK && (code == 3 || code == 5 || code == 18);
}

static void code_set(const struct request *request, struct trap_frame *frame, uint64_t code)
{
	frame->rax = code;
	frame->rflags &= ~(uint64_t)(RFLAGS_OTHERS | RFLAGS_ZF | RFLAGS_CF);
	if (code)
		frame->rflags |= code_is_carry(request, code) ? RFLAGS_CF : RFLAGS_ZF;
}

static void answer_apply(const struct request *request, struct trap_frame *frame)
{
	char kind[8];
	uint64_t result, linaddr;

	relay_read_word(kind, sizeof(kind));
	result = relay_read_number();
	if (kind[0] == 'e') {
		frame->rax = LEAF_NOT_EXECUTED | result;
		return;
	}
	linaddr = relay_read_number();
	relay_read_bytes(info, INFO_BYTES);
	relay_read_bytes(data, DATA_BYTES);
	if (result & LEAF_FAULT) {
		frame->rax = result;
		return;
	}
	outputs_write(request, frame, linaddr);
	if (request->operands.has_code)
		code_set(request, frame, result);
	if (request->instruction == LEAF_ENCLU && request->rax == LEAF_EENTER) {
		entered_tcs = frame->rbx;
		entered_secs = frame->rdx;
	}
}

bool leaf_emulate(struct trap_frame *frame)
{
	const uint8_t *code = at(frame->rip);
	struct request request = { .instruction = LEAF_ENCLS,
				   .rax = frame->rax & UINT32_MAX,
				   .rbx = frame->rbx,
				   .rcx = frame->rcx,
				   .rdx = frame->rdx };

	if (code[0] != 0x0f || code[1] != 0x01 || (code[2] != 0xcf && code[2] != 0xd7) ||
	    !relay_begin())
		return false;
	for (size_t i = 0; i < DATA_BYTES; i++)
		data[i] = 0;
	for (size_t i = 0; i < INFO_BYTES; i++)
		info[i] = 0;
	if (code[2] == 0xd7) {
		request.instruction = LEAF_ENCLU;
		enclu_collect(&request);
	} else {
		encls_collect(&request);
	}
	request_send(&request);
	answer_apply(&request, frame);
	frame->rip += INSTRUCTION_BYTES;
	return true;
}
