/* SPDX-License-Identifier: MIT */
/*
 * Why a page was refused: asked of the device, and put into a sentence. Everything here is
 * async-signal-safe: no allocation, no lock, no stdio. Interface: epc/vepc.h.
 */
#include <errno.h>
#include <string.h>

#include "epc/abi.h"
#include "vepc/internal.h"

#define CGROUP_BYTES sizeof(((struct vepc_refusal *)NULL)->cgroup)

_Static_assert(sizeof(((struct epc_vepc_refusal *)NULL)->cgroup) == CGROUP_BYTES, "same size");

/* A device whose server is away answers one of these (FUSE: ended, aborted). */
static bool is_gone(int error)
{
	return error == -ENOTCONN || error == -ECONNABORTED;
}

static enum vepc_reason reason_of(const struct epc_vepc_refusal *told)
{
	if (!told->nr_refusals)
		return VEPC_REASON_UNKNOWN;
	switch (told->reason) {
	case EPC_REFUSED_BY_CGROUP:
		return VEPC_REASON_CGROUP;
	case EPC_REFUSED_BY_CAPACITY:
		return VEPC_REASON_CAPACITY;
	case EPC_REFUSED_BY_INSTANCE:
		return VEPC_REASON_INSTANCE;
	default:
		return VEPC_REASON_UNKNOWN; /* of a later epcd */
	}
}

void vepc_refusal_ask(const struct vepc_asked *asked, uint64_t offset, struct vepc_refusal *refusal)
{
	struct epc_vepc_refusal told;
	int error;

	memset(&told, 0, sizeof(told));
	memset(refusal, 0, sizeof(*refusal));
	refusal->section = asked->section;
	refusal->offset = offset - offset % VEPC_PAGE_BYTES;
	refusal->told_offset = refusal->offset;
	error = asked->ops->ioctl(asked->ops_context, asked->fd, EPC_IOC_VEPC_REFUSAL, &told);
	if (error) {
		refusal->reason = is_gone(error) ? VEPC_REASON_GONE : VEPC_REASON_UNKNOWN;
		return;
	}
	refusal->reason = reason_of(&told);
	if (refusal->reason == VEPC_REASON_UNKNOWN)
		return;
	refusal->told_offset = told.offset;
	refusal->limit_bytes = told.limit_bytes;
	refusal->usage_bytes = told.usage_bytes;
	refusal->wanted_bytes = told.wanted_bytes;
	memcpy(refusal->cgroup, told.cgroup, CGROUP_BYTES);
	refusal->cgroup[CGROUP_BYTES - 1] = 0;
}

int vepc_refusal_get(const struct vepc_vm *vm, unsigned int section, uint64_t offset,
		     struct vepc_refusal *refusal)
{
	struct vepc_asked asked = { .ops = vm->ops, .ops_context = vm->ops_context };

	if (section >= vm->nr_sections)
		return -EINVAL;
	asked.fd = vm->parts[section].section.fd;
	asked.section = section;
	vepc_refusal_ask(&asked, offset, refusal);
	return 0;
}

/* A text that is being written; length counts what fits, without the NUL. */
struct writer {
	char *text;
	size_t size, length;
};

static void put(struct writer *writer, const char *text)
{
	for (; *text; text++)
		if (writer->length + 1 < writer->size)
			writer->text[writer->length++] = *text;
}

static void put_number(struct writer *writer, uint64_t number)
{
	char digits[21];
	size_t at = sizeof(digits) - 1;

	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	put(writer, &digits[at]);
}

/* A name that somebody chose must not move a cursor or begin a line. */
static void put_escaped(struct writer *writer, const char *name)
{
	static const char hex[] = "0123456789abcdef";

	for (; *name; name++) {
		unsigned char byte = (unsigned char)*name;
		char shown[5] = { *name };

		if (byte < 0x20 || byte > 0x7e) {
			shown[0] = '\\';
			shown[1] = 'x';
			shown[2] = hex[byte >> 4];
			shown[3] = hex[byte & 15];
		}
		put(writer, shown);
	}
}

static void put_limit(struct writer *writer, const struct vepc_refusal *refusal)
{
	if (refusal->reason == VEPC_REASON_CGROUP) {
		put(writer, "cgroup ");
		put_escaped(writer, refusal->cgroup);
		put(writer, " is at its limit: misc.max ");
	} else if (refusal->reason == VEPC_REASON_CAPACITY) {
		put(writer, "the EPC is full: capacity ");
	} else {
		put(writer, "the section is at its own limit: limit ");
	}
	put_number(writer, refusal->limit_bytes);
	put(writer, ", used ");
	put_number(writer, refusal->usage_bytes);
	put(writer, ", ");
	put_number(writer, refusal->wanted_bytes);
	put(writer, " more bytes were wanted");
	if (refusal->told_offset != refusal->offset) {
		put(writer, " (at offset ");
		put_number(writer, refusal->told_offset);
		put(writer, ", the last one refused)");
	}
}

size_t vepc_refusal_format(const struct vepc_refusal *refusal, char *text, size_t size)
{
	struct writer writer = { .text = text, .size = size };

	if (!size)
		return 0;
	put(&writer, "section ");
	put_number(&writer, refusal->section);
	put(&writer, " was refused EPC at offset ");
	put_number(&writer, refusal->offset);
	put(&writer, ": ");
	switch (refusal->reason) {
	case VEPC_REASON_CGROUP:
	case VEPC_REASON_CAPACITY:
	case VEPC_REASON_INSTANCE:
		put_limit(&writer, refusal);
		break;
	case VEPC_REASON_GONE:
		put(&writer, "the device is gone, and all content of the section with it");
		break;
	case VEPC_REASON_UNKNOWN:
	default:
		put(&writer, "the device does not say why (no EPC is free, or a cgroup is at its "
			     "misc.max for sgx_epc)");
		break;
	}
	text[writer.length] = 0;
	return writer.length;
}
