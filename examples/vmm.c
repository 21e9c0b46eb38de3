/* SPDX-License-Identifier: MIT */
/*
 * The virtual EPC of a VMM, with libvepc: its sections, what its guest is told of them, and a loop
 * in which lines of stdin stand for what happens to a VM:
 *
 *   write SECTION PAGE    the guest writes to a page of EPC
 *   prealloc              all EPC now
 *   limit SECTION BYTES   this section gets no more than that (epcd only)
 *   inform                refused pages are the guest's to know from here on
 *   reset                 the reset of the VM
 *   quit
 *
 *   cc vmm.c $(pkg-config --cflags --libs libvepc) -o vmm && ./vmm /dev/sgx_vepc 4194304 2097152
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <epc/vepc.h>

#define GUEST_RAM_END (UINT64_C(4) << 30) /* where a guest of little RAM has its EPC */

struct vmm {
	struct vepc_vm *vm;
	sigjmp_buf guest_exit; /* out of the guest, as a vCPU leaves it for a fault */
	bool informs_guest;
	struct vepc_refusal refusal;
};

/* In the SIGBUS handler: either the guest is told, or the VMM ends with libvepc's sentence. */
static enum vepc_answer on_refused(void *context, const struct vepc_refusal *refusal)
{
	struct vmm *vmm = context;

	if (!vmm->informs_guest)
		return VEPC_DIE;
	vmm->refusal = *refusal;
	siglongjmp(vmm->guest_exit, 1);
}

static void say(const char *what, const struct vepc_refusal *refusal)
{
	char sentence[VEPC_SENTENCE_MAX];

	vepc_refusal_format(refusal, sentence, sizeof(sentence));
	printf("%s: %s\n", what, sentence);
}

static void guest_write(struct vmm *vmm, unsigned int number, uint64_t page)
{
	struct vepc_section section;

	if (vepc_section_get(vmm->vm, number, &section) ||
	    page >= section.size_bytes / VEPC_PAGE_BYTES) {
		puts("no such page");
	} else if (sigsetjmp(vmm->guest_exit, 1)) {
		say("machine check for the guest", &vmm->refusal);
	} else {
		((volatile char *)section.address)[page * VEPC_PAGE_BYTES] = 1;
		printf("wrote page %" PRIu64 " of section %u\n", page, number);
	}
}

static int on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	(void)context;
	return printf("%" PRIu64 " of %" PRIu64 " bytes\n", done_bytes, total_bytes) < 0;
}

static void preallocate(struct vmm *vmm)
{
	int error = vepc_vm_preallocate(vmm->vm, on_progress, NULL, &vmm->refusal);

	if (error == -ENOSPC)
		say("cannot preallocate", &vmm->refusal);
	else
		printf("preallocate: %s\n", strerror(-error));
}

static void reset(struct vmm *vmm)
{
	struct vepc_reset how;
	int error = vepc_vm_reset(vmm->vm, &how);

	if (error)
		printf("reset: section %u: %s, %" PRIu64 " SECS pages remain\n", how.section,
		       strerror(-error), how.nr_remaining);
	else
		printf("reset: done, %s\n", how.is_one_call ? "in one call" : "in rounds");
}

static int set_up(struct vmm *vmm, const char *device, char **sizes, int nr_sizes)
{
	int error = vepc_vm_new(&vmm->vm);

	for (int i = 0; !error && i < nr_sizes; i++)
		error = vepc_section_open(vmm->vm, device, strtoull(sizes[i], NULL, 0), NULL);
	error = error ? error : vepc_vm_place(vmm->vm, GUEST_RAM_END, NULL);
	error = error ? error : vepc_vm_guard(vmm->vm, on_refused, vmm);
	for (uint32_t i = 2; !error && i < 3 + (uint32_t)nr_sizes; i++) {
		struct vepc_cpuid regs;

		error = vepc_vm_cpuid(vmm->vm, i, &regs);
		printf("CPUID 12H.%u: %08x %08x %08x %08x\n", i, regs.eax, regs.ebx, regs.ecx,
		       regs.edx);
	}
	return error;
}

static void run(struct vmm *vmm)
{
	unsigned int section;
	uint64_t number;
	char line[128];

	while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "write %u %" SCNu64, &section, &number) == 2)
			guest_write(vmm, section, number);
		else if (sscanf(line, "limit %u %" SCNu64, &section, &number) == 2)
			printf("limit: %s\n",
			       strerror(-vepc_section_set_limit(vmm->vm, section, number)));
		else if (strcmp(line, "prealloc\n") == 0)
			preallocate(vmm);
		else if (strcmp(line, "reset\n") == 0)
			reset(vmm);
		else if (strcmp(line, "inform\n") == 0)
			vmm->informs_guest = true;
		else if (strcmp(line, "quit\n") == 0)
			break;
		else
			puts("unknown");
	}
}

int main(int argc, char **argv)
{
	struct vmm vmm = { 0 };
	int error = set_up(&vmm, argc > 1 ? argv[1] : NULL, argv + 2, argc > 2 ? argc - 2 : 0);

	if (error)
		fprintf(stderr, "vmm: no virtual EPC: %s\n", strerror(-error));
	else
		run(&vmm);
	vepc_vm_free(vmm.vm);
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
