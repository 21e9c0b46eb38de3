/* SPDX-License-Identifier: MIT */
/* The false kernel of libvepc's tests; see vepc_fixture.h. */
#include "vepc_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <asm/sgx.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned int section_of(const struct false_kernel *kernel, int fd)
{
	for (unsigned int i = 0; i < kernel->nr_opens; i++)
		if (kernel->fds[i] == fd)
			return i;
	fail_msg("descriptor %d is of no section", fd);
	return 0;
}

static int false_open(void *context, const char *path)
{
	struct false_kernel *kernel = context;
	int fd;

	assert_string_equal(path, VEPC_DEVICE);
	if (kernel->open_error)
		return kernel->open_error;
	fd = memfd_create("section", MFD_CLOEXEC);
	assert_true(fd >= 0);
	kernel->fds[kernel->nr_opens++] = fd;
	return fd;
}

static void false_close(void *context, int fd)
{
	struct false_kernel *kernel = context;

	kernel->nr_closes++;
	assert_int_equal(close(fd), 0);
}

static int false_map(void *context, int fd, uint64_t size_bytes, void **address)
{
	struct false_kernel *kernel = context;
	int error;
	uint64_t backed_bytes = kernel->backed_bytes < size_bytes ? kernel->backed_bytes :
								    size_bytes;

	if (kernel->map_error)
		return kernel->map_error;
	assert_int_equal(ftruncate(fd, (off_t)backed_bytes), 0);
	error = vepc_device_real.map(NULL, fd, size_bytes, address);
	if (error || !kernel->map_at)
		return error;
	*address = mremap(*address, size_bytes, size_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
			  kernel->map_at);
	return *address == kernel->map_at ? 0 : -ENOMEM;
}

static void false_unmap(void *context, void *address, uint64_t size_bytes)
{
	struct false_kernel *kernel = context;

	kernel->nr_unmaps++;
	vepc_device_real.unmap(NULL, address, size_bytes);
}

static void note_order(struct false_kernel *kernel, char what)
{
	size_t length = strlen(kernel->order);

	assert_true(length + 1 < sizeof(kernel->order));
	kernel->order[length] = what;
}

static int false_remove_all(struct false_kernel *kernel, unsigned int section, void *argument)
{
	unsigned int call = kernel->nr_removes[section]++;

	assert_null(argument);
	note_order(kernel, (char)('0' + section));
	return call < 4 ? kernel->removes[section][call] : 0;
}

static int false_epcd(struct false_kernel *kernel, unsigned long request, void *argument)
{
	if (!kernel->is_epcd)
		return -ENOTTY;
	switch (request) {
	case EPC_IOC_VEPC_INFO:
		memcpy(argument, &kernel->info, sizeof(kernel->info));
		return 0;
	case EPC_IOC_VEPC_RESET_VM:
		assert_null(argument);
		kernel->nr_reset_vms++;
		note_order(kernel, 'v');
		return kernel->reset_vm;
	case EPC_IOC_VEPC_SET_LIMIT:
		kernel->limit_bytes = ((struct epc_vepc_limit *)argument)->limit_bytes;
		return 0;
	case EPC_IOC_VEPC_REFUSAL:
		memcpy(argument, &kernel->refusal, sizeof(kernel->refusal));
		return kernel->refusal_error;
	default:
		return -ENOTTY;
	}
}

static int false_ioctl(void *context, int fd, unsigned long request, void *argument)
{
	struct false_kernel *kernel = context;
	unsigned int section = section_of(kernel, fd);

	if (kernel->nr_interruptions > 0) {
		kernel->nr_interruptions--;
		return -EINTR;
	}
	if (request == SGX_IOC_VEPC_REMOVE_ALL)
		return false_remove_all(kernel, section, argument);
	return false_epcd(kernel, request, argument);
}

/* All or nothing: libvepc must not rely on where the kernel stopped. */
static int false_populate(void *context, void *address, uint64_t size_bytes)
{
	struct false_kernel *kernel = context;

	assert_non_null(address);
	kernel->nr_populates++;
	if (kernel->nr_again > 0) {
		kernel->nr_again--;
		return -EAGAIN;
	}
	if (kernel->populate_error)
		return kernel->populate_error;
	if (size_bytes / PAGE > kernel->nr_pages_left)
		return -EFAULT;
	kernel->nr_pages_left -= size_bytes / PAGE;
	return 0;
}

static int false_touch(void *context, void *page)
{
	struct false_kernel *kernel = context;

	assert_int_equal((uintptr_t)page % PAGE, 0);
	kernel->nr_touches++;
	if (!kernel->nr_pages_left)
		return -EFAULT;
	kernel->nr_pages_left--;
	return 0;
}

const struct vepc_device_ops false_ops = {
	.open = false_open,
	.close = false_close,
	.map = false_map,
	.unmap = false_unmap,
	.ioctl = false_ioctl,
	.populate = false_populate,
	.touch = false_touch,
};

void false_init(struct false_kernel *kernel)
{
	memset(kernel, 0, sizeof(*kernel));
	kernel->backed_bytes = UINT64_MAX;
	kernel->nr_pages_left = UINT64_MAX;
}

struct vepc_vm *false_vm(struct false_kernel *kernel, unsigned int nr_sections, uint64_t size_bytes)
{
	struct vepc_vm *vm = NULL;
	unsigned int number;

	assert_int_equal(vepc_vm_new_over(&false_ops, kernel, &vm), 0);
	for (unsigned int i = 0; i < nr_sections; i++) {
		assert_int_equal(vepc_section_open(vm, NULL, size_bytes, &number), 0);
		assert_int_equal(number, i);
	}
	return vm;
}

void false_vm_free(struct false_kernel *kernel, struct vepc_vm *vm)
{
	unsigned int nr_sections = vepc_vm_nr_sections(vm);
	unsigned int nr_unmaps = kernel->nr_unmaps;

	vepc_vm_free(vm);
	assert_int_equal(kernel->nr_closes, kernel->nr_opens);
	assert_int_equal(kernel->nr_unmaps - nr_unmaps, nr_sections);
}

void false_refuse(struct false_kernel *kernel, uint64_t offset)
{
	kernel->is_epcd = true;
	kernel->refusal = (struct epc_vepc_refusal){
		.nr_refusals = 1,
		.offset = offset,
		.limit_bytes = 8192,
		.usage_bytes = 8192,
		.wanted_bytes = 4096,
		.reason = EPC_REFUSED_BY_CGROUP,
		.cgroup = "/vm",
	};
}
