/* SPDX-License-Identifier: MIT */
/*
 * The kernel as libvepc sees it: open, mmap, ioctl, madvise; and a way to have a page come that
 * answers with an error where an access would answer with SIGBUS. Decides nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vepc/internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static int device_open(void *context, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)context;
	return fd < 0 ? -errno : fd;
}

static void device_close(void *context, int fd)
{
	(void)context;
	close(fd);
}

static int device_map(void *context, int fd, uint64_t size_bytes, void **address)
{
	void *mapped = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)context;
	if (mapped == MAP_FAILED)
		return -errno;
	/* The kernel's device has both by itself; where they are not possible nothing is lost. */
	madvise(mapped, size_bytes, MADV_DONTFORK);
	madvise(mapped, size_bytes, MADV_DONTDUMP);
	*address = mapped;
	return 0;
}

static void device_unmap(void *context, void *address, uint64_t size_bytes)
{
	(void)context;
	munmap(address, size_bytes);
}

static int device_ioctl(void *context, int fd, unsigned long request, void *argument)
{
	int saved = errno;
	int value = ioctl(fd, request, argument);

	(void)context;
	if (value < 0)
		value = -errno;
	errno = saved;
	return value;
}

static int device_populate(void *context, void *address, uint64_t size_bytes)
{
	(void)context;
	return madvise(address, size_bytes, MADV_POPULATE_WRITE) ? -errno : 0;
}

/*
 * The futex that adds 0 to a word: the kernel itself writes, content stays even if the guest
 * writes at the same time, and a page that is refused is EFAULT instead of a signal. Nothing in it
 * minds a PFN mapping as that of the kernel's vEPC, which MADV_POPULATE_WRITE refuses to look at,
 * or that EPC swallows the write. Nobody waits at that word.
 */
static int device_touch(void *context, void *page)
{
	const unsigned int add_zero = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);

	(void)context;
	return syscall(SYS_futex, page, FUTEX_WAKE_OP_PRIVATE, 0, NULL, page, add_zero) < 0 ?
		       -errno :
		       0;
}

const struct vepc_device_ops vepc_device_real = {
	.open = device_open,
	.close = device_close,
	.map = device_map,
	.unmap = device_unmap,
	.ioctl = device_ioctl,
	.populate = device_populate,
	.touch = device_touch,
};
