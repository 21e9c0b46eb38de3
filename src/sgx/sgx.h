/* SPDX-License-Identifier: MIT */
/*
 * A processor with SGX, in software: the EPC, the EPCM, and one function for each leaf of ENCLS
 * and ENCLU. Each function makes the architecture's checks in the architecture's order and gives
 * its codes and faults. It knows no cgroup, no process and no errno, has no lock, clock or
 * randomness of its own, and chooses nothing: whoever calls it decides which page is used for what.
 *
 * It is exact, and it is no security boundary: keys and contents lie in ordinary memory.
 *
 * Words
 *   page        the number of an EPC page, counted over all sections in their order.
 *   leaf        one function of ENCLS or ENCLU. It is atomic: on a fault, and on every code but
 *               SGX_VA_SLOT_OCCUPIED, nothing has changed (contents of a page whose VALID is 0 and
 *               memory that the leaf would have written may have).
 *   fault       #GP or #PF instead of a code; a #PF names the operand that it is for.
 *   held        another logical processor is in the middle of a leaf on that page: the
 *               concurrency rules of SDM 3D, chapter "SGX instruction references". The caller of
 *               this model serialises the leaves, so a page is held only if sgx_hold() says so.
 */
#ifndef EPCD_SGX_SGX_H
#define EPCD_SGX_SGX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sgx/arch.h"

struct sgx;

#define SGX_NR_SECTIONS_MAX 8u
#define SGX_NR_PAGES_MAX UINT32_C(0xfffffff0)

#define SGX_PAGE_OUTSIDE UINT32_MAX	   /* the address is not one of the EPC */
#define SGX_PAGE_UNBACKED (UINT32_MAX - 1) /* it is, but the page has never been used: VALID 0 */

/*
 * An operand that must be an EPC address, and what it translates to. Its low 12 bits count; for
 * the leaves that enclave code executes (from sgx_eaccept() on) all of it.
 */
struct sgx_epc {
	uint64_t address; /* linear */
	uint32_t page;	  /* or SGX_PAGE_OUTSIDE, SGX_PAGE_UNBACKED */
};

/* An operand in ordinary memory. */
struct sgx_memory {
	uint64_t address; /* linear; checked for its alignment only */
	void *bytes;	  /* borrowed for the call; NULL: cannot be accessed, #PF */
};

/* PAGEINFO, with its pointers followed. A pointer of 0 has address 0. */
struct sgx_pageinfo {
	uint64_t address; /* of the PAGEINFO itself */
	uint64_t linaddr; /* EWB writes it */
	struct sgx_memory srcpge;
	struct sgx_memory secinfo; /* SECINFO, or PCMD for EWB, ELDB and ELDU */
	struct sgx_epc secs;
};

/*
 * What a leaf gives: a code of enum sgx_code, or a fault. The number of a fault is Linux'
 * convention for ENCLS, 0x40000000 | vector; above it, for a #PF, which operand.
 */
#define SGX_FAULT_FLAG 0x40000000
#define SGX_GP (SGX_FAULT_FLAG | 13)
#define SGX_PF(operand) (SGX_FAULT_FLAG | 14 | (int)(operand) << 8)

enum sgx_operand {
	SGX_OPERAND_RBX = 1,
	SGX_OPERAND_RCX,
	SGX_OPERAND_RDX,
	SGX_OPERAND_SECS,   /* PAGEINFO.SECS */
	SGX_OPERAND_SRCPGE, /* PAGEINFO.SRCPGE */
	SGX_OPERAND_SECINFO,
};

static inline bool sgx_is_fault(int result)
{
	return result & SGX_FAULT_FLAG;
}

static inline int sgx_fault_vector(int result)
{
	return result & 0xff;
}

static inline enum sgx_operand sgx_fault_operand(int result)
{
	return (enum sgx_operand)(result >> 8 & 0xff);
}

/* What CPUID leaf 12H and the MSRs of the processor say. */
struct sgx_cpu {
	uint64_t attributes;	    /* 12H.1: the FLAGS that ECREATE takes; INIT is not in it */
	uint64_t xfrm;		    /* 12H.1: the XFRM that it takes, 3 at least */
	uint32_t miscselect;	    /* 12H.0 EBX */
	uint8_t size_log2_32;	    /* 12H.0 EDX 7:0: largest enclave of 32 bits */
	uint8_t size_log2_64;	    /* 12H.0 EDX 15:8 */
	uint8_t cpu_svn[16];	    /* current CPUSVN */
	uint8_t le_pubkey_hash[32]; /* IA32_SGXLEPUBKEYHASH */
	bool has_any_signer;	    /* as under Linux: the hash is the signer's */
	/* Where the XSAVE area ends with each feature of XFRM, in bytes; CPUID 0DH. */
	uint32_t xsave_end[64];
};

/* Fills in what a server of today has (SGX1, SGX2, KSS, launch control open, x87 to AVX-512). */
void sgx_cpu_default(struct sgx_cpu *cpu);

/*
 * bytes: nr_pages * 4096 bytes of memory, page aligned, any content, borrowed until sgx_free().
 * Memory that nobody has touched costs nothing (mmap, MAP_NORESERVE).
 */
struct sgx_section {
	uint32_t nr_pages;
	void *bytes;
};

struct sgx_config {
	const struct sgx_section *sections; /* borrowed during sgx_new() only */
	unsigned int nr_sections;
	/*
	 * Contents of REG and TRIM pages are neither read nor written (SECS, TCS and VA pages are
	 * the processor's own and have theirs), and the memory that would be copied to or from them
	 * may be NULL. What lies in a REG page is taken to be right: a SECINFO fits its leaf and
	 * target (EACCEPTCOPY and EMODPE: REG with R, W and X), a page that EMODT makes a TCS is an
	 * idle one with NSSA 1, EREPORT and EGETKEY succeed. Nothing is measured or verified:
	 * MRENCLAVE and MRSIGNER are 0, EINIT takes any SIGSTRUCT and token whose masked ATTRIBUTES
	 * and MISCSELECT match (all zero is one), the MAC of EWB covers header and version only.
	 */
	bool is_metadata_only;
	struct sgx_cpu cpu;
	uint8_t seed[32]; /* all keys come from it */
	/*
	 * Memory for the processor itself: alloc_fn gives zeroed memory or NULL, free_fn takes it
	 * back with the size it was asked for. (libcrypto's contexts are libcrypto's own.)
	 */
	void *(*alloc_fn)(void *context, size_t size);
	void (*free_fn)(void *context, void *memory, size_t size);
	void *context;
};

/* 0; -1: no memory, or no section, too many, too many pages. No entry of the EPCM is valid. */
int sgx_new(const struct sgx_config *config, struct sgx **sgx);
void sgx_free(struct sgx *sgx);

/* ENCLS. What each returns is in the SDM, and in tests/unit/sgx_rows.h line by line. */
int sgx_ecreate(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx);
int sgx_eadd(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx);
int sgx_eextend(struct sgx *sgx, struct sgx_epc rbx, struct sgx_epc rcx);
int sgx_einit(struct sgx *sgx, struct sgx_memory rbx, struct sgx_epc rcx, struct sgx_memory rdx);
int sgx_eremove(struct sgx *sgx, struct sgx_epc rcx);
int sgx_edbgrd(struct sgx *sgx, uint64_t *rbx, struct sgx_epc rcx);
int sgx_edbgwr(struct sgx *sgx, uint64_t rbx, struct sgx_epc rcx);
int sgx_eblock(struct sgx *sgx, struct sgx_epc rcx);
int sgx_epa(struct sgx *sgx, uint64_t rbx, struct sgx_epc rcx);
int sgx_ewb(struct sgx *sgx, struct sgx_pageinfo *rbx, struct sgx_epc rcx, struct sgx_epc rdx);
int sgx_eldb(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
	     struct sgx_epc rdx);
int sgx_eldu(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
	     struct sgx_epc rdx);
int sgx_etrack(struct sgx *sgx, struct sgx_epc rcx);
int sgx_eaug(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx);
int sgx_emodpr(struct sgx *sgx, struct sgx_memory rbx, struct sgx_epc rcx);
int sgx_emodt(struct sgx *sgx, struct sgx_memory rbx, struct sgx_epc rcx);

/*
 * Entering and leaving an enclave, as far as tracking and SGX_ENCLAVE_ACT need it: no register
 * and no SSA frame. EENTER: 0 or a fault. EEXIT and AEX of a TCS that nobody is in: #GP.
 */
int sgx_eenter(struct sgx *sgx, struct sgx_epc rbx);
int sgx_eresume(struct sgx *sgx, struct sgx_epc rbx);
int sgx_eexit(struct sgx *sgx, struct sgx_epc tcs);
int sgx_aex(struct sgx *sgx, struct sgx_epc tcs);

/*
 * The leaves that enclave code executes. secs: page of the SECS of the enclave that it runs in;
 * #GP where that is no valid SECS. All operands are linear addresses inside of the enclave and
 * what they translate to.
 */
int sgx_eaccept(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx);
int sgx_eacceptcopy(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx,
		    struct sgx_epc rdx);
int sgx_emodpe(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx);
int sgx_ereport(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx,
		struct sgx_epc rdx);
int sgx_egetkey(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx);

/* One EPCM entry, for whoever has to know what a page is. */
struct sgx_epcm {
	bool is_valid; /* else nothing below counts */
	enum sgx_page_type type;
	bool is_readable, is_writable, is_executable;
	bool is_blocked, is_pending, is_modified, is_restricted; /* PR */
	uint32_t secs;	  /* children: the SECS's page; else SGX_PAGE_OUTSIDE */
	uint64_t linaddr; /* ENCLAVEADDRESS */
};
void sgx_epcm(const struct sgx *sgx, uint32_t page, struct sgx_epcm *epcm);

/* Of a valid SECS page. */
uint64_t sgx_secs_nr_children(const struct sgx *sgx, uint32_t secs);
uint64_t sgx_secs_nr_inside(const struct sgx *sgx, uint32_t secs); /* threads */
uint64_t sgx_secs_enclave_id(const struct sgx *sgx, uint32_t secs);
void sgx_secs_identity(const struct sgx *sgx, uint32_t secs, struct sgx_secs *visible);

/*
 * All threads leave the enclave at once, by AEX, and none of them counts any more: what unmapping
 * an enclave's pages from every processor does. Their TCS stay busy until they are told so by
 * sgx_aex() or sgx_eexit(), which then changes no count.
 */
void sgx_evict_threads(struct sgx *sgx, uint32_t secs);

enum sgx_hold {
	SGX_HOLD_SHARED,    /* base mode Shared */
	SGX_HOLD_EXCLUSIVE, /* base mode Exclusive */
	SGX_HOLD_MEASURE,   /* group B of a SECS: EADD, EEXTEND, EINIT */
	SGX_HOLD_TRACK,	    /* group T of a SECS: ETRACK */
	SGX_HOLD_MODIFY,    /* group A of a page: EACCEPT, EACCEPTCOPY, EMODPE, EMODPR, EMODT */
};
#define SGX_NR_HOLDS_MAX 16u

/* Another processor begins, and ends, a leaf on the page. At most SGX_NR_HOLDS_MAX at a time. */
void sgx_hold(struct sgx *sgx, uint32_t page, enum sgx_hold hold);
void sgx_unhold(struct sgx *sgx, uint32_t page, enum sgx_hold hold);

/*
 * Every invariant of the EPCM as code: children are counted right, ENCLAVESECS names a valid SECS,
 * no thread is inside of what is not initialised. Walks everything. On false *why says which.
 */
bool sgx_is_valid(const struct sgx *sgx, const char **why);

#endif
