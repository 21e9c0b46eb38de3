/* SPDX-License-Identifier: MIT */
/*
 * The ioctls that an sgx_vepc of epcd has besides SGX_IOC_VEPC_REMOVE_ALL, which is the kernel's
 * own (asm/sgx.h) and works as there. A device that is not epcd's answers them with ENOTTY.
 *
 * All structures are the same for 32 and 64 bits, have no pointer, and are copied in and out by
 * the kernel: an argument that cannot be read is EFAULT before anything happens, one whose memory
 * never comes (userfaultfd) makes its caller wait, and nobody else. Whatever is reserved must be
 * 0, or EINVAL: so a later version can give it a meaning.
 *
 * A VM is all instances that one process has open. An instance is named by its id, which
 * EPC_IOC_VEPC_INFO tells, `epcctl ls` shows, and which is never used again.
 */
#ifndef EPC_ABI_H
#define EPC_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define EPC_IOC_MAGIC 0xEC

/* What this daemon can; a client asks for bits, not for versions. */
#define EPC_CAP_RESET_VM (1u << 0) /* EPC_IOC_VEPC_RESET_VM */
#define EPC_CAP_LIMIT (1u << 1)	   /* EPC_IOC_VEPC_SET_LIMIT */
#define EPC_CAP_REFUSAL (1u << 2)  /* EPC_IOC_VEPC_REFUSAL */
#define EPC_CAP_LEAF (1u << 3)	   /* EPC_IOC_VEPC_LEAF */

#define EPC_UNLIMITED (~(__u64)0)

struct epc_vepc_info {
	__u64 id;
	__u32 capabilities;
	__u32 nr_instances;  /* of this VM, this one included */
	__u64 charged_bytes; /* its pages, SECS and pages that no one uses yet included */
	__u64 limit_bytes;   /* its own limit; EPC_UNLIMITED: none */
	__u64 nr_secs;	     /* SECS pages in it */
	__u64 reserved[3];
};
/* Errors: none of its own. The instance has its id from then on, also if it has no page yet. */
#define EPC_IOC_VEPC_INFO _IOR(EPC_IOC_MAGIC, 0, struct epc_vepc_info)

/*
 * Resets all sections of the VM in one call: as SGX_IOC_VEPC_REMOVE_ALL on each of them, children
 * first and SECS after. Returns the number of SECS pages that remain, which is 0 unless somebody
 * builds enclaves meanwhile. EBUSY: a thread is inside of an enclave (earlier pages are removed). A
 * VMM whose guest may have been inside says EEXIT for those threads first: on hardware the exit of
 * a virtual processor is an AEX, here nobody else can know of it.
 */
#define EPC_IOC_VEPC_RESET_VM _IO(EPC_IOC_MAGIC, 1)

struct epc_vepc_limit {
	__u64 limit_bytes; /* acts as rounded down to pages; EPC_UNLIMITED: none */
	__u64 reserved[3];
};
/*
 * This instance's own limit, besides those of the cgroups. It may be below what is charged: then
 * new pages are refused, nothing is taken.
 */
#define EPC_IOC_VEPC_SET_LIMIT _IOW(EPC_IOC_MAGIC, 2, struct epc_vepc_limit)

#define EPC_REFUSED_BY_CGROUP 1u   /* its misc.max */
#define EPC_REFUSED_BY_CAPACITY 2u /* the EPC is full */
#define EPC_REFUSED_BY_INSTANCE 3u /* the limit of EPC_IOC_VEPC_SET_LIMIT */

/* The last page that this instance was refused: what a SIGBUS handler wants to know. */
struct epc_vepc_refusal {
	__u64 nr_refusals; /* of this instance so far; 0: none, and nothing below counts */
	__u64 offset;	   /* of the page in the section */
	__u64 limit_bytes, usage_bytes, wanted_bytes;
	__u32 reason; /* EPC_REFUSED_BY_... */
	__u32 reserved;
	char cgroup[256]; /* whose limit, path from the hierarchy's root; cut short with "..." */
};
#define EPC_IOC_VEPC_REFUSAL _IOR(EPC_IOC_MAGIC, 3, struct epc_vepc_refusal)

/* A page of a section of this VM, or a place in it. id 0: no such operand (a pointer of 0). */
struct epc_place {
	__u64 id;     /* of the instance: EPERM unless it is this VM's, EINVAL if there is none */
	__u64 offset; /* bytes; EINVAL at 2^47 and above */
};

#define EPC_INSTRUCTION_ENCLS 0u
#define EPC_INSTRUCTION_ENCLU 1u /* EENTER, EEXIT, EACCEPT, EACCEPTCOPY, EMODPE */

#define EPC_LEAF_FAULT 0x40000000u /* flag of result; below it the vector: 13 #GP, 14 #PF */
#define EPC_LEAF_OPERAND_SHIFT 8   /* #PF: which operand, EPC_OPERAND_... */

#define EPC_OPERAND_RBX 1u
#define EPC_OPERAND_RCX 2u
#define EPC_OPERAND_RDX 3u
#define EPC_OPERAND_SECS 4u
#define EPC_OPERAND_SRCPGE 5u
#define EPC_OPERAND_SECINFO 6u

/*
 * Executes one leaf for a guest, as a hypervisor would that intercepts ENCLS. Operands in the EPC
 * are places; operands in the guest's memory are copied into data and info by the caller, together
 * with the linear address that they had, of which only the alignment counts.
 *
 *   leaf            rbx          rcx           rdx        linaddr secs  data           info
 *   ECREATE, EADD   &PAGEINFO    target page   -          yes     yes   SRCPGE         SECINFO
 *   EAUG            &PAGEINFO    target page   -          yes     yes   -              SECINFO
 *   EINIT           &SIGSTRUCT   SECS          &TOKEN     -       -     SIGSTRUCT, and -
 *                                                                       TOKEN at 2048
 *   EREMOVE, EBLOCK -            page          -          -       -     -              -
 *   EDBGRD          -            place         -          -       -     out: 8 bytes   -
 *   EDBGWR          -            place         -          -       -     8 bytes        -
 *   EEXTEND         -            chunk         -          -       SECS  -              -
 *   EPA             3            page          -          -       -     -              -
 *   ETRACK          -            SECS          -          -       -     -              -
 *   EWB             &PAGEINFO    page          VA slot    out     yes   out: SRCPGE    out: PCMD
 *   ELDB, ELDU      &PAGEINFO    target page   VA slot    yes     yes   SRCPGE         PCMD
 *   EMODPR, EMODT   &SECINFO     page          -          -       -     -              SECINFO
 *   ENCLU EENTER, EEXIT          TCS           -          -       -     -              -
 *   ENCLU EACCEPT, EMODPE        page, linaddr -          yes     SECS  -              -
 *   ENCLU EACCEPTCOPY            page, linaddr source     yes     SECS  -              -
 *
 * For ENCLU linaddr is the linear address of rcx (and rdx_linaddr that of rdx), secs the enclave
 * that executes it, rbx_place where its SECINFO lies in the enclave, at the linear address rbx.
 *
 * Before the leaf, the page that rcx names is unmapped from everybody, so that its last bytes
 * count (for ENCLU those of rdx and rbx_place too), and it is there afterwards, charged to the
 * caller's cgroup, if the leaf makes a page.
 * Pages of an enclave that are not REG read as all ones, and what is written to them is dropped
 * (who has such a page mapped sees what he wrote until the next unmapping, nobody else does).
 *
 * 0: the leaf was executed, result says how it ended. Errors: EINVAL (reserved, an unknown leaf or
 * instruction, a place that cannot be), EPERM (a place of another VM), EIO (no EPC page for rcx:
 * EPC_IOC_VEPC_REFUSAL), ENOMEM, EBUSY (somebody touches the page again and again), EINTR. After
 * any of them nothing has changed, as after a code or a fault; but a page that was allocated for
 * rcx stays the instance's, as a page that was touched does. EFAULT from the kernel when the answer
 * cannot be written: then the leaf has been executed.
 */
struct epc_vepc_leaf {
	__u32 instruction; /* EPC_INSTRUCTION_... */
	__u32 leaf;	   /* EAX */
	__u32 result;	   /* out: code of the SDM, or EPC_LEAF_FAULT | vector | operand << 8 */
	__u32 reserved;
	struct epc_place rcx, rdx, secs;
	__u64 rbx;	   /* linear address or value, see above */
	__u64 linaddr;	   /* PAGEINFO.LINADDR */
	__u64 rdx_linaddr; /* EINIT: address of the token; EACCEPTCOPY: of the source page */
	__u64 srcpge;	   /* PAGEINFO.SRCPGE: 0, or the address that data is a copy of */
	__u64 secinfo;	   /* PAGEINFO.SECINFO or PCMD: 0, or the address of info */
	struct epc_place rbx_place; /* ENCLU only */
	__u64 reserved2[3];
	__u8 info[128];
	__u8 data[4096];
};
#define EPC_IOC_VEPC_LEAF _IOWR(EPC_IOC_MAGIC, 4, struct epc_vepc_leaf)

#endif
