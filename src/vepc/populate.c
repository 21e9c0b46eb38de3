/* SPDX-License-Identifier: MIT */
/*
 * Preallocation: every page of every section comes now, or somebody says why not. Interface:
 * epc/vepc.h.
 */
#include <errno.h>

#include "vepc/internal.h"

#define PIECE_BYTES (UINT64_C(4) << 20) /* some 50 ms between two calls of progress */
#define NR_TRIES_MAX 1000u		/* EAGAIN and EINTR: the kernel was busy with the mapping */

struct populating {
	struct vepc_vm *vm;
	unsigned int section;
	char *address;
	uint64_t offset; /* in the section; all before it is there */
	bool is_by_page; /* the kernel cannot do it at once here */
};

static int touch_page(const struct populating *populating, char *page)
{
	const struct vepc_vm *vm = populating->vm;
	int error = -EAGAIN;

	for (unsigned int i = 0; i < NR_TRIES_MAX && (error == -EAGAIN || error == -EINTR); i++)
		error = vm->ops->touch(vm->ops_context, page);
	return error;
}

/* -EFAULT: offset is that of the page that was refused. */
static int touch_pages(struct populating *populating, uint64_t size_bytes)
{
	for (uint64_t done = 0; done < size_bytes; done += VEPC_PAGE_BYTES) {
		int error = touch_page(populating, populating->address + populating->offset);

		if (error)
			return error;
		populating->offset += VEPC_PAGE_BYTES;
	}
	return 0;
}

static int populate_piece(struct populating *populating, uint64_t size_bytes)
{
	const struct vepc_vm *vm = populating->vm;
	char *address = populating->address + populating->offset;
	int error = populating->is_by_page ? -EINVAL : -EAGAIN;

	for (unsigned int i = 0; i < NR_TRIES_MAX && (error == -EAGAIN || error == -EINTR); i++)
		error = vm->ops->populate(vm->ops_context, address, size_bytes);
	if (!error)
		populating->offset += size_bytes;
	if (error != -EINVAL && error != -EFAULT)
		return error;
	/* After EFAULT only to find out which page it was: what is there already costs little. */
	if (error == -EINVAL)
		populating->is_by_page = true;
	return touch_pages(populating, size_bytes);
}

static int populate_section(struct populating *populating, vepc_progress_fn *progress,
			    void *context, uint64_t before_bytes, uint64_t total_bytes)
{
	uint64_t size_bytes = populating->vm->parts[populating->section].section.size_bytes;

	while (populating->offset < size_bytes) {
		uint64_t left_bytes = size_bytes - populating->offset;
		int error = populate_piece(populating,
					   left_bytes < PIECE_BYTES ? left_bytes : PIECE_BYTES);

		if (error)
			return error;
		if (progress && progress(context, before_bytes + populating->offset, total_bytes))
			return -ECANCELED;
	}
	return 0;
}

int vepc_vm_preallocate(struct vepc_vm *vm, vepc_progress_fn *progress, void *context,
			struct vepc_refusal *refusal)
{
	struct populating populating = { .vm = vm };
	uint64_t before_bytes = 0, total_bytes = 0;

	if (!vm->nr_sections)
		return -ENXIO;
	for (unsigned int i = 0; i < vm->nr_sections; i++)
		total_bytes += vm->parts[i].section.size_bytes;
	for (unsigned int i = 0; i < vm->nr_sections; i++) {
		int error;

		populating.section = i;
		populating.address = vm->parts[i].section.address;
		populating.offset = 0;
		error = populate_section(&populating, progress, context, before_bytes, total_bytes);
		if (error == -EFAULT && refusal)
			vepc_refusal_get(vm, i, populating.offset, refusal);
		if (error)
			return error == -EFAULT ? -ENOSPC : error;
		before_bytes += vm->parts[i].section.size_bytes;
	}
	return 0;
}
