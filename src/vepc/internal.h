/* SPDX-License-Identifier: MIT */
/*
 * What the files of libvepc share. The public interface is epc/vepc.h.
 *
 *   vm.c        sections, their place, CPUID
 *   device.c    all that goes to the kernel, behind vepc_device_ops, so that tests have a false one
 *   reset.c     the reset
 *   populate.c  preallocation
 *   refusal.c   why a page was refused, and the sentence
 *   sigbus.c    the SIGBUS handler and its table
 */
#ifndef EPCD_VEPC_INTERNAL_H
#define EPCD_VEPC_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "epc/vepc.h"

#define VEPC_SIZE_MAX (UINT64_C(1) << 51) /* half of what CPUID can say, so that sums do not wrap */
#define VEPC_GUEST_END (UINT64_C(1) << 52)

/*
 * The kernel. All return -errno. ioctl() and what it needs are async-signal-safe. context is the
 * tests'.
 */
struct vepc_device_ops {
	int (*open)(void *context, const char *path); /* the descriptor */
	void (*close)(void *context, int fd);
	int (*map)(void *context, int fd, uint64_t size_bytes, void **address);
	void (*unmap)(void *context, void *address, uint64_t size_bytes);
	int (*ioctl)(void *context, int fd, unsigned long request, void *argument); /* its value */
	/* Has pages come to be written to. -EINVAL: not in this way; -EFAULT: one was refused. */
	int (*populate)(void *context, void *address, uint64_t size_bytes);
	/* The same for one page and in another way. -EFAULT: refused. */
	int (*touch)(void *context, void *page);
};

extern const struct vepc_device_ops vepc_device_real;

struct vepc_part {
	struct vepc_section section;
	bool is_own; /* opened by this process: so it is an instance of the VM of vepc_vm.opener */
};

struct vepc_vm {
	const struct vepc_device_ops *ops;
	void *ops_context;
	unsigned int nr_sections; /* <= VEPC_NR_SECTIONS_MAX */
	pid_t opener;		  /* of the sections that are own; 0: none yet */
	bool is_placed, is_guarded;
	struct vepc_part parts[VEPC_NR_SECTIONS_MAX];
};

/* vepc_vm_new() over another kernel; borrows ops and ops_context. */
int vepc_vm_new_over(const struct vepc_device_ops *ops, void *ops_context, struct vepc_vm **vm);

/* An ioctl on a section; what it returns. EINTR is tried again. Async-signal-safe. */
int vepc_section_ioctl(const struct vepc_vm *vm, unsigned int section, unsigned long request,
		       void *argument);

/* What a refusal needs to know of a section, copied for the handler. */
struct vepc_asked {
	const struct vepc_device_ops *ops;
	void *ops_context;
	int fd;
	unsigned int section;
};

/* vepc_refusal_get() for a copy of the section. Async-signal-safe. */
void vepc_refusal_ask(const struct vepc_asked *asked, uint64_t offset,
		      struct vepc_refusal *refusal);

#endif
