/* SPDX-License-Identifier: MIT */
/*
 * A processor with two small sections and a few enclaves, for the tests of src/sgx. Every test of
 * a row (sgx_rows.h) gets a fresh one, in which all operands are good; it spoils one and tries the
 * leaf with TRY(). No expectation belongs here but one: a leaf that is refused changes nothing.
 *
 *   page        what it is at first
 *   SECS        an enclave that is initialised, for debugging, with KSS; it has
 *     REG         page 1 of it, RW                  INFO      page 3, RW: for operands
 *     TCS         page 2, of 2 frames, idle         PENDING   page 4, from EAUG
 *     SPARE       page 5, RWX                       BUFFER    page 6, RW: for operands
 *   VA, VA2     VA pages, empty
 *   OTHER       an enclave that is not initialised, not for debugging, without KSS; it has
 *     OTHER_REG   page 1 of it, RW
 *   ALONE       an enclave that is initialised and has no child
 *   FREE, FREE2, FREE3 and above: not valid
 */
#ifndef EPCD_SGX_FIXTURE_H
#define EPCD_SGX_FIXTURE_H

#include "../sgx/measurement.h"
#include "../sgx/signer.h"
#include "sgx/sgx.h"

enum fix_page {
	SECS,
	REG,
	TCS,
	INFO,
	PENDING,
	SPARE,
	BUFFER,
	VA,
	VA2,
	OTHER,
	OTHER_REG,
	ALONE,
	FREE,
	FREE2,
	FREE3,
	FIX_NR_PAGES = 24,
};

#define FIX_EPC_BASE UINT64_C(0x7f0000000000) /* where the EPC is mapped for whoever calls ENCLS */
#define FIX_ELRANGE UINT64_C(0x200000)	      /* SIZE of every enclave */
#define BASE UINT64_C(0x10000000)	      /* BASEADDR of the one in SECS */
#define OTHER_BASE UINT64_C(0x20000000)
#define ALONE_BASE UINT64_C(0x30000000)
#define LIN(number) (BASE + (uint64_t)(number)*SGX_PAGE_SIZE)

#define TYPE(type) ((uint64_t)(type) << SGX_SECINFO_TYPE_SHIFT)
#define FLAGS_REG_RW (TYPE(SGX_PT_REG) | SGX_SECINFO_R | SGX_SECINFO_W)
#define FLAGS_TCS TYPE(SGX_PT_TCS)
#define FLAGS_TRIM TYPE(SGX_PT_TRIM)
#define ATTRIBUTES_DEBUG (SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG)

/* Operands in the EPC: by page, or none of it. */
#define EPC(number) ((struct sgx_epc){ FIX_EPC_BASE + (uint64_t)(number)*SGX_PAGE_SIZE, (number) })
#define OUTSIDE ((struct sgx_epc){ 0x7000, SGX_PAGE_OUTSIDE })
#define UNBACKED ((struct sgx_epc){ FIX_EPC_BASE, SGX_PAGE_UNBACKED })
#define NONE ((struct sgx_epc){ 0, SGX_PAGE_OUTSIDE })
#define NO_MEMORY ((struct sgx_memory){ 0, NULL })

/* What EWB wrote, and the operands that read it again. */
struct fix_blob {
	_Alignas(SGX_PAGE_SIZE) uint8_t bytes[SGX_PAGE_SIZE];
	struct sgx_pcmd pcmd;
	uint64_t linaddr;
};

struct fix_before {
	struct sgx_epcm epcm[FIX_NR_PAGES];
	uint8_t bytes[FIX_NR_PAGES][SGX_PAGE_SIZE];
};

struct fix {
	struct sgx *sgx;
	struct sgx_config config;
	uint8_t (*bytes)[SGX_PAGE_SIZE];	       /* of the EPC, by page */
	struct measurement measurements[FIX_NR_PAGES]; /* of the enclaves, by page of the SECS */

	/* Operands, see fix_info(). */
	struct sgx_pageinfo info;
	_Alignas(64) struct sgx_secinfo secinfo;
	_Alignas(SGX_PAGE_SIZE) uint8_t source[SGX_PAGE_SIZE];
	_Alignas(SGX_PAGE_SIZE) struct sgx_sigstruct sigstruct;
	_Alignas(512) struct sgx_einittoken token;
	struct fix_blob blob;

	/* What TRY() leaves. */
	const char *leaf; /* NULL: it has not been used */
	struct fix_before before;
};

/* What a row is: its test makes everything ready and returns what TRY() did. */
struct fix_row {
	const char *name;
	const char *leaf;
	int outcome;
	const char *cause;
	int (*test_fn)(struct fix *f);
};

/*
 * Runs one test for each row, or two: with contents, and with metadata only where that is the
 * same (has_metadata). Returns what main() returns.
 */
int fix_run_rows(const char *group, const struct fix_row *rows, size_t nr_rows, bool has_metadata);

/* What a test file of rows consists of: declarations of all tests, and the table. */
#define FIX_DECLARE(name, leaf, outcome, cause) static int name(struct fix *f);
#define FIX_ROW(name, leaf, outcome, cause) { #name, #leaf, (int)(outcome), cause, name },

/*
 * Executes the leaf of the row, once in a test, and checks that it was all or nothing. f is the
 * fixture.
 */
#define TRY(leaf, ...) (fix_before(f, #leaf), fix_after(f, sgx_##leaf(f->sgx, __VA_ARGS__)))
void fix_before(struct fix *f, const char *leaf);
int fix_after(struct fix *f, int result);

/* Takes and gives back all that a fixture has. fix_open_with(): as config says. */
struct fix *fix_open(bool is_metadata_only);
void fix_config(struct sgx_config *config, bool is_metadata_only);
struct fix *fix_open_with(const struct sgx_config *config);
void fix_close(struct fix *f);
/* The processor anew, as f->config says now, with the enclaves from above. */
void fix_reopen(struct fix *f);

/* Operands that are good, in f->info; returns it. */
struct sgx_pageinfo *fix_info(struct fix *f, uint32_t secs, uint64_t linaddr, uint64_t flags);
struct sgx_pageinfo *fix_info_secs(struct fix *f, uint64_t base, uint64_t attributes);
struct sgx_pageinfo *fix_info_tcs(struct fix *f, uint32_t secs, uint64_t linaddr);
struct sgx_pageinfo *fix_info_eaug(struct fix *f, uint32_t secs, uint64_t linaddr);
struct sgx_pageinfo *fix_info_out(struct fix *f, struct fix_blob *blob);
struct sgx_pageinfo *fix_info_in(struct fix *f, struct fix_blob *blob, struct sgx_epc secs);
struct sgx_secs *fix_source_secs(struct fix *f);
struct sgx_tcs *fix_source_tcs(struct fix *f);
struct sgx_memory fix_secinfo(struct fix *f, uint64_t flags);
struct sgx_memory fix_token(struct fix *f);
/* A SIGSTRUCT that is right for the enclave as it is now; fix_sign(): once more, when changed. */
struct sgx_memory fix_sigstruct(struct fix *f, uint32_t secs);
struct sgx_memory fix_sign(struct fix *f);
/* The address that the EPCM has, and the page: for enclave code. offset: into it. */
struct sgx_epc fix_in(struct fix *f, uint32_t page);
struct sgx_epc fix_at(struct fix *f, uint32_t page, uint64_t offset);
/* Writes a SECINFO into the page INFO, as enclave code would. Returns the operand. */
struct sgx_epc fix_in_secinfo(struct fix *f, uint64_t flags);
struct sgx_epc fix_slot(uint32_t page, uint32_t slot);

/* Leaves that must succeed. */
void fix_ecreate(struct fix *f, uint32_t page, uint64_t base, uint64_t attributes);
void fix_eadd(struct fix *f, uint32_t secs, uint32_t page, uint64_t linaddr, uint64_t flags);
void fix_eadd_tcs(struct fix *f, uint32_t secs, uint32_t page, uint64_t linaddr);
void fix_einit(struct fix *f, uint32_t secs);
void fix_eaug(struct fix *f, uint32_t secs, uint32_t page, uint64_t linaddr);
void fix_emodt(struct fix *f, uint32_t page, enum sgx_page_type type);
void fix_emodpr(struct fix *f, uint32_t page, uint64_t permissions);
void fix_etrack(struct fix *f, uint32_t secs);
void fix_eblock(struct fix *f, uint32_t page);
void fix_eaccept(struct fix *f, uint32_t page, uint64_t flags);
void fix_evict(struct fix *f, uint32_t page, uint32_t slot, struct fix_blob *blob);
/* EMODT, ETRACK and EACCEPT: a TRIM page, accepted. */
void fix_trim(struct fix *f, uint32_t page);

struct sgx_epcm fix_epcm(const struct fix *f, uint32_t page);

#endif
