/* SPDX-License-Identifier: MIT */
/*
 * libvepc over a false kernel: sections, their place, CPUID, the rounds of a reset, preallocation,
 * and the sentence of a refusal. The SIGBUS handler is test_vepc_sigbus.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vepc_fixture.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void sections_open_and_end(void **state)
{
	struct false_kernel kernel;
	struct vepc_section section;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	vm = false_vm(&kernel, 2, 2 * PAGE);
	assert_int_equal(vepc_vm_nr_sections(vm), 2);
	assert_int_equal(vepc_section_get(vm, 1, &section), 0);
	assert_int_equal(section.size_bytes, 2 * PAGE);
	assert_int_equal(section.fd, kernel.fds[1]);
	assert_int_equal(section.guest_base, 0);
	memset(section.address, 7, section.size_bytes);
	assert_int_equal(vepc_section_get(vm, 2, &section), -EINVAL);
	false_vm_free(&kernel, vm);
	vepc_vm_free(NULL);
}

static void sections_that_cannot_be(void **state)
{
	struct false_kernel kernel;
	struct vepc_vm *vm;
	int fd = memfd_create("adopted", MFD_CLOEXEC);

	(void)state;
	false_init(&kernel);
	vm = false_vm(&kernel, 0, 0);
	assert_int_equal(vepc_section_open(vm, NULL, 0, NULL), -EINVAL);
	assert_int_equal(vepc_section_open(vm, NULL, PAGE + 1, NULL), -EINVAL);
	assert_int_equal(vepc_section_open(vm, NULL, UINT64_C(1) << 52, NULL), -EINVAL);
	kernel.open_error = -EACCES;
	assert_int_equal(vepc_section_open(vm, NULL, PAGE, NULL), -EACCES);
	assert_int_equal(kernel.nr_opens, 0);
	kernel.open_error = 0;
	/* What was opened is closed again, what was given stays its owner's. */
	kernel.map_error = -ENOMEM;
	assert_int_equal(vepc_section_open(vm, NULL, PAGE, NULL), -ENOMEM);
	assert_int_equal(kernel.nr_closes, 1);
	assert_int_equal(vepc_section_adopt(vm, fd, PAGE, NULL), -ENOMEM);
	assert_int_equal(kernel.nr_closes, 1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(vepc_vm_nr_sections(vm), 0);
	false_vm_free(&kernel, vm);
}

static void nine_sections_are_too_many(void **state)
{
	struct false_kernel kernel;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	vm = false_vm(&kernel, VEPC_NR_SECTIONS_MAX, PAGE);
	assert_int_equal(vepc_section_open(vm, NULL, PAGE, NULL), -E2BIG);
	assert_int_equal(vepc_section_adopt(vm, 0, PAGE, NULL), -E2BIG);
	assert_int_equal(vepc_vm_nr_sections(vm), VEPC_NR_SECTIONS_MAX);
	false_vm_free(&kernel, vm);
}

static void cpuid_is(const struct vepc_vm *vm, uint32_t subleaf, uint32_t eax, uint32_t ebx,
		     uint32_t ecx, uint32_t edx)
{
	struct vepc_cpuid cpuid;

	memset(&cpuid, 0xff, sizeof(cpuid));
	assert_int_equal(vepc_vm_cpuid(vm, subleaf, &cpuid), 0);
	assert_int_equal(cpuid.eax, eax);
	assert_int_equal(cpuid.ebx, ebx);
	assert_int_equal(cpuid.ecx, ecx);
	assert_int_equal(cpuid.edx, edx);
}

static void cpuid_tells_the_sections(void **state)
{
	struct false_kernel kernel;
	struct vepc_section section;
	struct vepc_cpuid cpuid;
	struct vepc_vm *vm;
	uint64_t end;

	(void)state;
	false_init(&kernel);
	vm = false_vm(&kernel, 1, 3 * PAGE);
	assert_int_equal(vepc_section_open(vm, NULL, 5 * GIB, NULL), 0);
	assert_int_equal(vepc_section_open(vm, NULL, PAGE, NULL), 0);
	assert_int_equal(vepc_vm_cpuid(vm, 2, &cpuid), -ENXIO);
	assert_int_equal(vepc_section_get(vm, 0, &section), 0);
	assert_int_equal(section.guest_base, 0);
	assert_int_equal(vepc_vm_place(vm, 4 * GIB, &end), 0);
	assert_int_equal(end, 9 * GIB + 4 * PAGE);
	cpuid_is(vm, 2, 0x00000001, 0x1, 0x00003001, 0);
	cpuid_is(vm, 3, 0x00003001, 0x1, 0x40000001, 0x1);
	cpuid_is(vm, 4, 0x40003001, 0x2, 0x00001001, 0);
	cpuid_is(vm, 5, 0, 0, 0, 0);
	cpuid_is(vm, 0xffffffff, 0, 0, 0, 0);
	assert_int_equal(vepc_vm_cpuid(vm, 1, &cpuid), -EINVAL);
	assert_int_equal(vepc_vm_cpuid(vm, 0, &cpuid), -EINVAL);
	assert_int_equal(vepc_section_get(vm, 2, &section), 0);
	assert_int_equal(section.guest_base, 9 * GIB + 3 * PAGE);
	/* One more has no place yet, and where it will be is not said before. */
	assert_int_equal(vepc_section_open(vm, NULL, PAGE, NULL), 0);
	assert_int_equal(vepc_vm_cpuid(vm, 2, &cpuid), -ENXIO);
	assert_int_equal(vepc_section_get(vm, 0, &section), 0);
	assert_int_equal(section.guest_base, 0);
	false_vm_free(&kernel, vm);
}

static void places_that_cannot_be(void **state)
{
	const uint64_t last = (UINT64_C(1) << 52) - 2 * PAGE;
	struct false_kernel kernel;
	struct vepc_vm *vm;
	uint64_t end;

	(void)state;
	false_init(&kernel);
	vm = false_vm(&kernel, 0, 0);
	assert_int_equal(vepc_vm_place(vm, 0, &end), -ENXIO);
	cpuid_is(vm, 2, 0, 0, 0, 0);
	false_vm_free(&kernel, vm);
	false_init(&kernel);
	vm = false_vm(&kernel, 2, PAGE);
	assert_int_equal(vepc_vm_place(vm, 0x800, &end), -EINVAL);
	assert_int_equal(vepc_vm_place(vm, last + PAGE, &end), -ERANGE);
	assert_int_equal(vepc_vm_place(vm, UINT64_MAX - PAGE + 1, &end), -ERANGE);
	assert_int_equal(vepc_vm_place(vm, last, &end), 0);
	assert_int_equal(end, UINT64_C(1) << 52);
	cpuid_is(vm, 3, 0xfffff001, 0xfffff, 0x1001, 0);
	false_vm_free(&kernel, vm);
}

static void round_two_is_for_those_that_reported(void **state)
{
	struct false_kernel kernel;
	struct vepc_reset reset;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	kernel.removes[0][0] = 2;
	kernel.removes[2][0] = 1;
	vm = false_vm(&kernel, 3, PAGE);
	assert_int_equal(vepc_vm_reset(vm, &reset), 0);
	assert_string_equal(kernel.order, "01202");
	assert_int_equal(reset.nr_calls, 5);
	assert_false(reset.is_one_call);
	/* Nothing in it: one round. */
	assert_int_equal(vepc_vm_reset(vm, NULL), 0);
	assert_string_equal(kernel.order, "01202012");
	false_vm_free(&kernel, vm);
}

static void what_remains_has_a_number(void **state)
{
	struct false_kernel kernel;
	struct vepc_reset reset;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	kernel.removes[1][0] = 5;
	kernel.removes[1][1] = 3;
	kernel.removes[2][0] = 1;
	kernel.removes[2][1] = 1;
	vm = false_vm(&kernel, 3, PAGE);
	assert_int_equal(vepc_vm_reset(vm, &reset), -ENOTEMPTY);
	assert_int_equal(reset.section, 1);
	assert_int_equal(reset.nr_remaining, 3);
	/* The others are tried nevertheless, and there is no round three. */
	assert_string_equal(kernel.order, "01212");
	false_vm_free(&kernel, vm);
}

static void busy_sections(void **state)
{
	struct false_kernel kernel;
	struct vepc_reset reset;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	kernel.removes[0][0] = -EBUSY;
	kernel.removes[1][0] = 1;
	kernel.removes[1][2] = -EBUSY;
	kernel.removes[1][3] = -EBUSY;
	vm = false_vm(&kernel, 2, PAGE);
	/* Busy in round one only: no failure. */
	assert_int_equal(vepc_vm_reset(vm, &reset), 0);
	assert_string_equal(kernel.order, "0101");
	assert_int_equal(vepc_vm_reset(vm, &reset), -EBUSY);
	assert_string_equal(kernel.order, "0101011");
	assert_int_equal(reset.section, 1);
	assert_int_equal(reset.nr_remaining, 0);
	false_vm_free(&kernel, vm);
}

static void devices_without_a_reset(void **state)
{
	struct false_kernel kernel;
	struct vepc_reset reset;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	kernel.removes[1][0] = -ENOTTY;
	vm = false_vm(&kernel, 3, PAGE);
	assert_int_equal(vepc_vm_reset(vm, &reset), -ENOTTY);
	assert_int_equal(reset.section, 1);
	assert_string_equal(kernel.order, "012");
	kernel.nr_interruptions = 3;
	assert_int_equal(vepc_vm_reset(vm, &reset), 0);
	kernel.nr_interruptions = 1000000;
	assert_int_equal(vepc_vm_reset(vm, &reset), -EINTR);
	kernel.nr_interruptions = 0;
	false_vm_free(&kernel, vm);
	false_init(&kernel);
	vm = false_vm(&kernel, 0, 0);
	assert_int_equal(vepc_vm_reset(vm, &reset), -ENXIO);
	false_vm_free(&kernel, vm);
}

static struct vepc_vm *epcd_vm(struct false_kernel *kernel, uint32_t nr_instances)
{
	false_init(kernel);
	kernel->is_epcd = true;
	kernel->info.capabilities = EPC_CAP_RESET_VM;
	kernel->info.nr_instances = nr_instances;
	return false_vm(kernel, 2, PAGE);
}

static void one_call_for_all(void **state)
{
	struct false_kernel kernel;
	struct vepc_reset reset;
	struct vepc_vm *vm = epcd_vm(&kernel, 2);

	(void)state;
	assert_int_equal(vepc_vm_reset(vm, &reset), 0);
	assert_string_equal(kernel.order, "v");
	assert_true(reset.is_one_call);
	assert_int_equal(reset.nr_calls, 0);
	/* What it leaves is for the rounds. */
	kernel.reset_vm = 4;
	kernel.removes[1][0] = 4;
	kernel.removes[1][1] = 4;
	assert_int_equal(vepc_vm_reset(vm, &reset), -ENOTEMPTY);
	assert_string_equal(kernel.order, "vv011");
	assert_int_equal(reset.section, 1);
	assert_false(reset.is_one_call);
	kernel.reset_vm = -EBUSY;
	kernel.removes[0][1] = -EBUSY;
	kernel.removes[0][2] = -EBUSY;
	assert_int_equal(vepc_vm_reset(vm, &reset), -EBUSY);
	assert_string_equal(kernel.order, "vv011v010");
	assert_int_equal(reset.section, 0);
	kernel.reset_vm = -ENOTTY;
	assert_int_equal(vepc_vm_reset(vm, &reset), 0);
	assert_string_equal(kernel.order, "vv011v010v01");
	false_vm_free(&kernel, vm);
}

/* The call would reset more than this VM, or it cannot be known: never. */
static void no_call_for_what_is_not_this_vm(void **state)
{
	struct false_kernel kernel;
	struct vepc_vm *vm = epcd_vm(&kernel, 3);
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(vepc_vm_reset(vm, NULL), 0);
	kernel.info.nr_instances = 2;
	kernel.info.capabilities = EPC_CAP_LIMIT;
	assert_int_equal(vepc_vm_reset(vm, NULL), 0);
	assert_string_equal(kernel.order, "0101");
	kernel.info.capabilities = EPC_CAP_RESET_VM;
	child = fork();
	if (child == 0)
		_exit(vepc_vm_reset(vm, NULL) || kernel.nr_reset_vms);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	false_vm_free(&kernel, vm);

	vm = epcd_vm(&kernel, 3);
	kernel.fds[kernel.nr_opens++] = memfd_create("adopted", MFD_CLOEXEC);
	assert_int_equal(vepc_section_adopt(vm, kernel.fds[2], PAGE, NULL), 0);
	assert_int_equal(vepc_vm_reset(vm, NULL), 0);
	assert_string_equal(kernel.order, "012");
	false_vm_free(&kernel, vm);
}

static void what_only_epcd_can(void **state)
{
	struct false_kernel kernel;
	struct vepc_info info;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	vm = false_vm(&kernel, 1, PAGE);
	assert_int_equal(vepc_section_info(vm, 0, &info), -EOPNOTSUPP);
	assert_int_equal(vepc_section_set_limit(vm, 0, PAGE), -EOPNOTSUPP);
	kernel.is_epcd = true;
	kernel.info = (struct epc_vepc_info){
		.id = 9, .charged_bytes = 8192, .limit_bytes = EPC_UNLIMITED, .nr_secs = 4
	};
	assert_int_equal(vepc_section_info(vm, 0, &info), 0);
	assert_int_equal(info.id, 9);
	assert_int_equal(info.charged_bytes, 8192);
	assert_true(info.limit_bytes == VEPC_UNLIMITED);
	assert_int_equal(info.nr_secs, 4);
	assert_int_equal(vepc_section_set_limit(vm, 0, 3 * PAGE), 0);
	assert_int_equal(kernel.limit_bytes, 3 * PAGE);
	assert_int_equal(vepc_section_info(vm, 1, &info), -EINVAL);
	assert_int_equal(vepc_section_set_limit(vm, 1, PAGE), -EINVAL);
	false_vm_free(&kernel, vm);
}

static void says(const struct vepc_vm *vm, uint64_t offset, const char *sentence)
{
	char text[VEPC_SENTENCE_MAX];
	struct vepc_refusal refusal;
	size_t length;

	memset(&refusal, 0xff, sizeof(refusal));
	assert_int_equal(vepc_refusal_get(vm, 0, offset, &refusal), 0);
	length = vepc_refusal_format(&refusal, text, sizeof(text));
	assert_int_equal(length, strlen(text));
	assert_string_equal(text, sentence);
}

static void sentences_of_refusals(void **state)
{
	struct false_kernel kernel;
	struct vepc_refusal refusal;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	vm = false_vm(&kernel, 1, PAGE);
	says(vm, 0,
	     "section 0 was refused EPC at offset 0: the device does not say why (no EPC is "
	     "free, or a cgroup is at its misc.max for sgx_epc)");
	false_refuse(&kernel, 4096);
	says(vm, 4097,
	     "section 0 was refused EPC at offset 4096: cgroup /vm is at its limit: "
	     "misc.max 8192, used 8192, 4096 more bytes were wanted");
	says(vm, 8192,
	     "section 0 was refused EPC at offset 8192: cgroup /vm is at its limit: "
	     "misc.max 8192, used 8192, 4096 more bytes were wanted (at offset 4096, the "
	     "last one refused)");
	kernel.refusal.reason = EPC_REFUSED_BY_CAPACITY;
	says(vm, 4096,
	     "section 0 was refused EPC at offset 4096: the EPC is full: capacity 8192, "
	     "used 8192, 4096 more bytes were wanted");
	kernel.refusal.reason = EPC_REFUSED_BY_INSTANCE;
	kernel.refusal.limit_bytes = 0;
	kernel.refusal.usage_bytes = UINT64_MAX;
	says(vm, 4096,
	     "section 0 was refused EPC at offset 4096: the section is at its own limit: "
	     "limit 0, used 18446744073709551615, 4096 more bytes were wanted");
	kernel.refusal.reason = 77; /* of a later epcd */
	assert_int_equal(vepc_refusal_get(vm, 0, 0, &refusal), 0);
	assert_int_equal(refusal.reason, VEPC_REASON_UNKNOWN);
	assert_int_equal(refusal.usage_bytes, 0);
	false_refuse(&kernel, 4096);
	kernel.refusal.nr_refusals = 0; /* then nothing else counts */
	assert_int_equal(vepc_refusal_get(vm, 0, 0, &refusal), 0);
	assert_int_equal(refusal.reason, VEPC_REASON_UNKNOWN);
	kernel.refusal_error = -ENOTCONN;
	says(vm, 0,
	     "section 0 was refused EPC at offset 0: the device is gone, and all content of "
	     "the section with it");
	assert_int_equal(vepc_refusal_get(vm, 1, 0, &refusal), -EINVAL);
	false_vm_free(&kernel, vm);
}

/* Names that break lines, names without an end, rooms that are too small. */
static void sentences_of_hostile_names(void **state)
{
	struct vepc_refusal refusal = { .reason = VEPC_REASON_CGROUP, .cgroup = "/a\n\x1b[2J\xff" };
	char text[VEPC_SENTENCE_MAX];
	struct false_kernel kernel;
	struct vepc_vm *vm;

	(void)state;
	vepc_refusal_format(&refusal, text, sizeof(text));
	assert_non_null(strstr(text, "cgroup /a\\x0a\\x1b[2J\\xff is at"));
	assert_int_equal(vepc_refusal_format(&refusal, text, 0), 0);
	assert_int_equal(vepc_refusal_format(&refusal, text, 8), 7);
	assert_string_equal(text, "section");

	false_init(&kernel);
	vm = false_vm(&kernel, 1, PAGE);
	false_refuse(&kernel, UINT64_MAX);
	memset(kernel.refusal.cgroup, 0x80, sizeof(kernel.refusal.cgroup));
	kernel.refusal.limit_bytes = kernel.refusal.usage_bytes = UINT64_MAX;
	kernel.refusal.wanted_bytes = UINT64_MAX;
	assert_int_equal(vepc_refusal_get(vm, 0, 0, &refusal), 0);
	assert_int_equal(strlen(refusal.cgroup), sizeof(refusal.cgroup) - 1);
	refusal.section = UINT32_MAX;
	refusal.offset = UINT64_MAX - 1;
	assert_true(vepc_refusal_format(&refusal, text, sizeof(text)) < sizeof(text) - 1);
	assert_non_null(strstr(text, "the last one refused)"));
	false_vm_free(&kernel, vm);
}

struct steps {
	unsigned int nr;
	uint64_t done_bytes[8], total_bytes, stop_at_bytes;
};

static int step(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct steps *steps = context;

	assert_in_range(steps->nr, 0, 7);
	steps->done_bytes[steps->nr++] = done_bytes;
	steps->total_bytes = total_bytes;
	return done_bytes == steps->stop_at_bytes;
}

static void preallocation_in_pieces(void **state)
{
	struct steps steps = { 0 };
	struct false_kernel kernel;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	kernel.nr_again = 2;
	vm = false_vm(&kernel, 2, 5 * MIB);
	assert_int_equal(vepc_vm_preallocate(vm, step, &steps, NULL), 0);
	assert_int_equal(kernel.nr_populates, 4 + 2);
	assert_int_equal(kernel.nr_touches, 0);
	assert_int_equal(steps.nr, 4);
	assert_int_equal(steps.total_bytes, 10 * MIB);
	assert_int_equal(steps.done_bytes[0], 4 * MIB);
	assert_int_equal(steps.done_bytes[1], 5 * MIB);
	assert_int_equal(steps.done_bytes[3], 10 * MIB);
	steps = (struct steps){ .stop_at_bytes = 5 * MIB };
	assert_int_equal(vepc_vm_preallocate(vm, step, &steps, NULL), -ECANCELED);
	assert_int_equal(steps.nr, 2);
	assert_int_equal(vepc_vm_preallocate(vm, NULL, NULL, NULL), 0);
	kernel.populate_error = -ENOMEM;
	assert_int_equal(vepc_vm_preallocate(vm, NULL, NULL, NULL), -ENOMEM);
	false_vm_free(&kernel, vm);
	false_init(&kernel);
	vm = false_vm(&kernel, 0, 0);
	assert_int_equal(vepc_vm_preallocate(vm, NULL, NULL, NULL), -ENXIO);
	false_vm_free(&kernel, vm);
}

static void preallocation_page_by_page(void **state)
{
	struct steps steps = { 0 };
	struct false_kernel kernel;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	kernel.populate_error = -EINVAL;
	vm = false_vm(&kernel, 2, 5 * MIB);
	assert_int_equal(vepc_vm_preallocate(vm, step, &steps, NULL), 0);
	assert_int_equal(kernel.nr_populates, 1); /* it does not ask again */
	assert_int_equal(kernel.nr_touches, 10 * MIB / PAGE);
	assert_int_equal(steps.nr, 4);
	false_vm_free(&kernel, vm);
}

static void preallocation_refused(void **state)
{
	struct vepc_refusal refusal;
	struct false_kernel kernel;
	struct vepc_vm *vm;

	(void)state;
	false_init(&kernel);
	false_refuse(&kernel, 7 * PAGE);
	kernel.nr_pages_left = 16 + 7;
	vm = false_vm(&kernel, 2, 16 * PAGE);
	assert_int_equal(vepc_vm_preallocate(vm, NULL, NULL, &refusal), -ENOSPC);
	assert_int_equal(refusal.section, 1);
	assert_int_equal(refusal.offset, 7 * PAGE);
	assert_int_equal(refusal.reason, VEPC_REASON_CGROUP);
	assert_string_equal(refusal.cgroup, "/vm");
	assert_int_equal(vepc_vm_preallocate(vm, NULL, NULL, NULL), -ENOSPC);
	false_vm_free(&kernel, vm);
}

/* The real kernel: both ways bring pages, keep content, and know one that cannot come. */
static void pages_come_without_a_signal(void **state)
{
	const struct vepc_device_ops *ops = &vepc_device_real;
	int fd = memfd_create("section", MFD_CLOEXEC);
	unsigned char resident[4];
	void *address;
	char *bytes;

	(void)state;
	assert_int_equal(ftruncate(fd, 3 * PAGE), 0);
	assert_int_equal(ops->map(NULL, fd, 4 * PAGE, &address), 0);
	bytes = address;
	bytes[0] = 42;
	assert_int_equal(ops->touch(NULL, bytes), 0);
	assert_int_equal(bytes[0], 42);
	assert_int_equal(ops->touch(NULL, bytes + PAGE), 0);
	assert_int_equal(mincore(bytes, 3 * PAGE, resident), 0);
	assert_true(resident[0] & resident[1] & ~resident[2] & 1);
	assert_int_equal(ops->populate(NULL, bytes, 3 * PAGE), 0);
	assert_int_equal(mincore(bytes, 3 * PAGE, resident), 0);
	assert_true(resident[0] & resident[1] & resident[2] & 1);
	assert_int_equal(bytes[0], 42);
	assert_int_equal(ops->touch(NULL, bytes + 3 * PAGE), -EFAULT);
	assert_int_equal(ops->populate(NULL, bytes, 4 * PAGE), -EFAULT);
	ops->unmap(NULL, address, 4 * PAGE);
	ops->close(NULL, fd);
	assert_int_equal(ops->open(NULL, "/proc/self/nothing"), -ENOENT);
	assert_int_equal(ops->map(NULL, -1, PAGE, &address), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_open_and_end),
		cmocka_unit_test(sections_that_cannot_be),
		cmocka_unit_test(nine_sections_are_too_many),
		cmocka_unit_test(cpuid_tells_the_sections),
		cmocka_unit_test(places_that_cannot_be),
		cmocka_unit_test(round_two_is_for_those_that_reported),
		cmocka_unit_test(what_remains_has_a_number),
		cmocka_unit_test(busy_sections),
		cmocka_unit_test(devices_without_a_reset),
		cmocka_unit_test(one_call_for_all),
		cmocka_unit_test(no_call_for_what_is_not_this_vm),
		cmocka_unit_test(what_only_epcd_can),
		cmocka_unit_test(sentences_of_refusals),
		cmocka_unit_test(sentences_of_hostile_names),
		cmocka_unit_test(preallocation_in_pieces),
		cmocka_unit_test(preallocation_page_by_page),
		cmocka_unit_test(preallocation_refused),
		cmocka_unit_test(pages_come_without_a_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
