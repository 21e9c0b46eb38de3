/* SPDX-License-Identifier: MIT */
/*
 * libvepc: the virtual EPC of one VM, for the program that runs it (the VMM). It works with the
 * kernel's /dev/sgx_vepc and with epcd's; what only epcd can do is asked of the device, and done
 * without where the device cannot.
 *
 *   vepc_vm_new, vepc_vm_free           a VM without sections; its end
 *   vepc_section_open, _adopt           a section: from a device's path, from a descriptor
 *   vepc_section_get                    where it is
 *   vepc_vm_place, vepc_vm_cpuid        in guest physical memory; what CPUID tells the guest
 *   vepc_vm_preallocate                 EPC for all sections now instead of at the first touch
 *   vepc_vm_reset                       the reset of a VM: no enclave is left in any section
 *   vepc_vm_guard, vepc_vm_unguard      a refused page becomes a sentence, or a call of the VMM's
 *   vepc_refusal_get, _format           the same for who does it himself (KVM_RUN: EFAULT)
 *   vepc_section_info, _set_limit       epcd only: what is charged; a limit of the section's own
 *
 * What does not belong here: the guest's instructions (EPC_IOC_VEPC_LEAF of epc/abi.h), the rest of
 * CPUID 12H, ACPI and NUMA.
 *
 * Units: every size, offset and address is in bytes. A section's number is its place in the order
 * of opening, from 0. Errors: 0, or a negative errno whose causes stand with each function; nothing
 * touches errno. Ownership: a vepc_vm owns its descriptors and mappings; nothing that it returns
 * is freed by the caller.
 *
 * Threads: calls for one VM are not to overlap, except vepc_refusal_get(). Different VMs are
 * independent.
 */
#ifndef EPC_VEPC_H
#define EPC_VEPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VEPC_API __attribute__((visibility("default")))

#define VEPC_DEVICE "/dev/sgx_vepc"
#define VEPC_PAGE_BYTES 4096u
#define VEPC_NR_SECTIONS_MAX 8u /* Linux looks at sub-leaves 2 to 9 of CPUID 12H, no further */
#define VEPC_UNLIMITED (~(uint64_t)0) /* no limit */

struct vepc_vm;

/* ---- Sections ------------------------------------------------------------------------------- */

struct vepc_section {
	void *address; /* of its mapping in this process, size_bytes long, readable, writable */
	uint64_t size_bytes;
	uint64_t guest_base; /* guest physical address; 0 until vepc_vm_place() */
	int fd;		     /* the VM's: not to be closed */
};

/* A VM without sections. -ENOMEM. */
VEPC_API int vepc_vm_new(struct vepc_vm **vm);

/*
 * Takes vm: unguards, unmaps and closes all sections; the device gets their EPC back when no other
 * process has them open. No thread may touch a section any more. NULL: nothing.
 */
VEPC_API void vepc_vm_free(struct vepc_vm *vm);

VEPC_API unsigned int vepc_vm_nr_sections(const struct vepc_vm *vm);

/*
 * Opens device (NULL: VEPC_DEVICE), which makes a new instance of virtual EPC, and maps size_bytes
 * of it, shared, not inherited by fork(), not part of core dumps. *number (may be NULL): of the
 * section. No EPC is taken yet.
 *
 * -EINVAL   the size is 0, not a multiple of a page, or above 2^51
 * -E2BIG    there are VEPC_NR_SECTIONS_MAX sections
 * -EBUSY    the VM is guarded: open all sections before; or from the device: it is not ready
 * -ENOENT   no such device: no SGX, a kernel without CONFIG_X86_SGX_KVM, and no epcd
 * -EACCES   the device is not for this user; -EPERM the same, by a cgroup's device list
 * -ENOTCONN the epcd behind the device has ended
 * -ENOMEM   no memory, or no room for the mapping
 * and what else open(2) and mmap(2) know.
 */
VEPC_API int vepc_section_open(struct vepc_vm *vm, const char *device, uint64_t size_bytes,
			       unsigned int *number);

/*
 * The same with an open descriptor of a vEPC device, for a VMM whose sandbox has no /dev. Each
 * section needs an instance, so an open(2), of its own. Takes fd if it succeeds, else it stays the
 * caller's. Errors: as vepc_section_open(), without those of open(2); -EBADF.
 */
VEPC_API int vepc_section_adopt(struct vepc_vm *vm, int fd, uint64_t size_bytes,
				unsigned int *number);

/* -EINVAL: no section has this number. */
VEPC_API int vepc_section_get(const struct vepc_vm *vm, unsigned int number,
			      struct vepc_section *section);

/* ---- In the guest --------------------------------------------------------------------------- */

struct vepc_cpuid {
	uint32_t eax, ebx, ecx, edx;
};

/*
 * Places all sections in guest physical memory, one after the other in the order of opening, from
 * guest_base on. QEMU has them above 4 GiB, behind the RAM that is there. *guest_end (may be NULL):
 * the first address behind them; whether the guest's physical addresses are that wide (CPUID
 * 80000008H) is the caller's to know. It is the caller who maps them there, and marks them
 * reserved in the memory map (E820).
 *
 * -EINVAL   guest_base is not page aligned
 * -ENXIO    there is no section
 * -ERANGE   they reach beyond 2^52, the end of what CPUID 12H can say
 */
VEPC_API int vepc_vm_place(struct vepc_vm *vm, uint64_t guest_base, uint64_t *guest_end);

/*
 * What CPUID 12H answers for a sub-leaf from 2 on (SDM volume 3D, SGX resource enumeration):
 * section i in sub-leaf 2 + i (EAX 3:0 = 1: an EPC section; EAX 31:12 and EBX 19:0 its base; ECX
 * 3:0 = 1: confidential and integrity protected; ECX 31:12 and EDX 19:0 its size), and all zeros,
 * an invalid one, for every sub-leaf behind the last section.
 *
 * -EINVAL   subleaf is 0 or 1: those tell of the processor, not of sections
 * -ENXIO    a section has no place: vepc_vm_place() was not called after the last one was opened
 */
VEPC_API int vepc_vm_cpuid(const struct vepc_vm *vm, uint32_t subleaf, struct vepc_cpuid *cpuid);

/* ---- Refused pages -------------------------------------------------------------------------- */

enum vepc_reason {
	VEPC_REASON_UNKNOWN = 0,  /* it cannot be said, as the kernel's */
	VEPC_REASON_CGROUP = 1,	  /* misc.max of the cgroup that is named */
	VEPC_REASON_CAPACITY = 2, /* the EPC is full */
	VEPC_REASON_INSTANCE = 3, /* the section's own limit, vepc_section_set_limit() */
	VEPC_REASON_GONE = 4,	  /* what served the device has ended, and all content is lost */
};

/*
 * Why a page was not given. Of reason CGROUP, CAPACITY and INSTANCE the values are the device's,
 * from the moment of its last refusal in this section; otherwise they are 0.
 */
struct vepc_refusal {
	unsigned int section;
	enum vepc_reason reason;
	uint64_t offset;      /* in the section, of the page that was touched */
	uint64_t told_offset; /* of the page it is told of: another one if threads compete */
	uint64_t limit_bytes, usage_bytes, wanted_bytes;
	char cgroup[256]; /* CGROUP: path from the root of the hierarchy; may end in "..." */
};

/*
 * Asks the device why section refused the page at offset: for a VMM that learns of it otherwise
 * than by SIGBUS (KVM_RUN that fails with EFAULT, a read(2) into the section that does). It may be
 * called from a signal handler. The answer is always written; the device's silence is a reason.
 * -EINVAL: no such section.
 */
VEPC_API int vepc_refusal_get(const struct vepc_vm *vm, unsigned int section, uint64_t offset,
			      struct vepc_refusal *refusal);

#define VEPC_SENTENCE_MAX 1536 /* the longest sentence and its NUL fit */

/*
 * The sentence for people: "section 1 was refused EPC at offset 4096: cgroup /vm is at its limit:
 * misc.max 5242880, used 5242880, 4096 more bytes were wanted". No newline; bytes of the cgroup's
 * name that are not printable ASCII become \xNN. Writes at most size bytes with the NUL and returns
 * the length without it. Async-signal-safe.
 */
VEPC_API size_t vepc_refusal_format(const struct vepc_refusal *refusal, char *text, size_t size);

enum vepc_answer {
	VEPC_DIE,   /* the sentence goes to stderr, the process ends by SIGBUS */
	VEPC_RETRY, /* the access is done again; if it is refused again, the VMM is called again */
};

/*
 * The VMM's say in a refused page. It runs in a SIGBUS handler, on the thread that touched the page
 * and with SIGBUS blocked: only async-signal-safe functions (signal-safety(7)), and no section may
 * be touched. It may free EPC (punch a hole, raise a limit), wait for someone who does, or leave
 * with siglongjmp() to where sigsetjmp(..., 1) was: to give its guest a machine check, for example.
 */
typedef enum vepc_answer vepc_refused_fn(void *context, const struct vepc_refusal *refusal);

/*
 * From now on a SIGBUS for a page of vm that could not be given (BUS_ADRERR in one of its sections)
 * asks the device why, and calls refused(context, why), or, if refused is NULL, takes VEPC_DIE for
 * an answer. Every other SIGBUS goes to whoever handled it before, with its flags and mask, the
 * default action included; among them those that somebody sent, and memory errors (BUS_MCEERR_AR
 * and _AO) wherever they are.
 *
 * The handler is the process's: it is installed by the first VM that is guarded, with SA_ONSTACK,
 * and needs 4 KiB of stack besides what refused needs. Who sets another one later replaces it, and
 * may call it as this one calls its predecessor. It takes no lock and allocates nothing.
 * Borrows context until vepc_vm_unguard().
 *
 * -ENXIO    there is no section
 * -EALREADY vm is guarded
 * -ENOSPC   too many sections in this process (VEPC_NR_GUARDED_MAX)
 * -ENOMEM
 */
#define VEPC_NR_GUARDED_MAX 256u
VEPC_API int vepc_vm_guard(struct vepc_vm *vm, vepc_refused_fn *refused, void *context);

/*
 * The end of that; no thread may touch a section any more. When no VM of the process is guarded,
 * the handler that was there before is put back, unless somebody has replaced ours meanwhile.
 */
VEPC_API void vepc_vm_unguard(struct vepc_vm *vm);

/* ---- Preallocation -------------------------------------------------------------------------- */

/* done_bytes of total_bytes are there. Anything but 0 stops: -ECANCELED. */
typedef int vepc_progress_fn(void *context, uint64_t done_bytes, uint64_t total_bytes);

/*
 * Has the device give all pages of all sections, so that a guest cannot be refused one later.
 * Content stays as it is. Goes by pieces of some MiB, with progress(context, ...) after each (NULL:
 * none), by MADV_POPULATE_WRITE, or page by page where the kernel has none for this device (before
 * Linux 5.14; the kernel's own vEPC).
 *
 * -ENOSPC   a page was refused; *refusal (may be NULL) says which and why. The pages before it
 *           stay, as all of a section does until it is closed
 * -ENXIO    there is no section
 * -ECANCELED by progress
 * -ENOMEM   no memory, which is not EPC
 */
VEPC_API int vepc_vm_preallocate(struct vepc_vm *vm, vepc_progress_fn *progress, void *context,
				 struct vepc_refusal *refusal);

/* ---- Reset ---------------------------------------------------------------------------------- */

/* How a reset went; of a failed one, where and with what. */
struct vepc_reset {
	bool is_one_call;      /* the device did it at once, and there was no round */
	unsigned int nr_calls; /* of SGX_IOC_VEPC_REMOVE_ALL */
	unsigned int section;  /* the first one that failed */
	uint64_t nr_remaining; /* -ENOTEMPTY: SECS pages that are left in it */
};

/*
 * To be called when the VM is reset, with all its vCPUs stopped: no page of it belongs to an
 * enclave afterwards, whatever its guest left behind and over whatever sections that is spread.
 * The EPC itself stays with the VM, so that nobody else can get it meanwhile.
 *
 * If the device has EPC_IOC_VEPC_RESET_VM, this VM's sections were all opened in this process by
 * vepc_section_open(), and they are all the instances it has, that one call does it. Else the
 * kernel's protocol ("Virtual EPC" in Documentation/arch/x86/sgx.rst): in round one
 * SGX_IOC_VEPC_REMOVE_ALL on all sections, which leaves only SECS pages whose children were in a
 * section that came later; in round two again on those that reported any, or were busy. What the
 * one call does not finish is left to the rounds, which know the section.
 *
 * The first failure of round two, all others having been tried, is the result; *reset (may be NULL)
 * has the section:
 * -EBUSY     a thread was in one of the guest's enclaves (a vCPU was not stopped), or another
 *            instance with pages of the same enclaves was reset or closed at the same time
 * -ENOTEMPTY SECS pages are left: their children are in an instance that is not a section of vm
 * -ENOTTY    the device is no vEPC, or that of a kernel before 5.16, which has no reset: close and
 *            open again
 * -ENOTCONN  the epcd behind the device has ended
 * -ENXIO     there is no section
 */
VEPC_API int vepc_vm_reset(struct vepc_vm *vm, struct vepc_reset *reset);

/* ---- What only epcd can do ------------------------------------------------------------------ */

struct vepc_info {
	uint64_t id; /* of the instance: epcctl ls shows it */
	uint64_t charged_bytes;
	uint64_t limit_bytes;  /* its own; VEPC_UNLIMITED: none */
	uint64_t nr_secs;      /* SECS pages in it */
	uint32_t capabilities; /* EPC_CAP_... of epc/abi.h */
	uint32_t nr_instances; /* that the process has open which opened this one */
};

/* -EINVAL: no such section. -EOPNOTSUPP: not epcd's device. -ENOTCONN: epcd has ended. */
VEPC_API int vepc_section_info(const struct vepc_vm *vm, unsigned int section,
			       struct vepc_info *info);

/*
 * A limit for this section alone, besides those of its cgroups; rounded down to pages,
 * VEPC_UNLIMITED: none. It may be below what is charged: then nothing is taken, new pages are
 * refused. Async-signal-safe. Errors: as vepc_section_info().
 */
VEPC_API int vepc_section_set_limit(const struct vepc_vm *vm, unsigned int section,
				    uint64_t limit_bytes);

#ifdef __cplusplus
}
#endif

#endif
