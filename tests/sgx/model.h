/* SPDX-License-Identifier: MIT */
/*
 * The processor once more, slow and obvious, to compare src/sgx with: written after the manual,
 * with no line in common. Nothing is counted or remembered that can be looked up by a walk over
 * everything: children are pages that name the SECS, tracking asks the list of threads, and a page
 * comes back only if its blob is one of those that EWB has written and nobody has loaded.
 *
 * It has no cryptography: whoever drives it says whether a SIGSTRUCT is signed, and what EWB wrote
 * is recognised by its bytes. Leaves get the operands of sgx/sgx.h and return what the processor
 * must return.
 */
#ifndef EPCD_TESTS_SGX_MODEL_H
#define EPCD_TESTS_SGX_MODEL_H

#include "measurement.h"
#include "sgx/sgx.h"

#define MODEL_NR_PAGES 24u
#define MODEL_NR_BLOBS 32u   /* that the model knows again: the last ones */
#define MODEL_NR_THREADS 24u /* one for each page */
#define MODEL_NR_HOLDS 4u

/* Ways in which the model can be made wrong, each of which must be noticed: BREAK(name, text). */
/* clang-format off */
#define MODEL_BREAKS(BREAK)                                                                        \
	BREAK(EREMOVE_CHILDREN, "EREMOVE of a SECS does not look for children")                    \
	BREAK(EREMOVE_THREADS, "EREMOVE does not look for threads")                                \
	BREAK(EREMOVE_TRIM, "EREMOVE of an accepted TRIM page waits for threads")                  \
	BREAK(EWB_NO_ETRACK, "EWB needs no ETRACK")                                                \
	BREAK(EWB_THREADS, "EWB needs ETRACK, but waits for no thread")                            \
	BREAK(EWB_NEW_THREADS, "EWB waits for threads that came after ETRACK")                     \
	BREAK(EWB_SLOT, "EWB into an occupied slot leaves the page")                               \
	BREAK(EWB_SECS, "EWB of a SECS does not look for children")                                \
	BREAK(ETRACK_TWICE, "ETRACK waits for no thread")                                          \
	BREAK(EVICT_TRACKS, "evicting threads is an ETRACK too")                                   \
	BREAK(ELD_SLOT, "ELDU does not empty the slot")                                            \
	BREAK(ELD_SECS, "ELDU takes the SECS of any enclave")                                      \
	BREAK(ELD_LINADDR, "ELDU takes any address")                                               \
	BREAK(ELDB_BLOCKED, "ELDB does not block")                                                 \
	BREAK(EADD_INIT, "EADD is possible after EINIT")                                           \
	BREAK(EADD_RANGE, "EADD takes the first address above the enclave")                        \
	BREAK(EAUG_PENDING, "a page of EAUG is not PENDING")                                       \
	BREAK(EAUG_UNINIT, "EAUG is possible before EINIT")                                        \
	BREAK(EMODPR_ORDER, "EMODPR looks at the type before PENDING and MODIFIED")                \
	BREAK(EMODPR_ADDS, "EMODPR gives the permissions it names")                                \
	BREAK(EMODT_PERMISSIONS, "EMODT leaves the permissions")                                   \
	BREAK(EMODT_TRACKING, "EMODT begins no tracking")                                          \
	BREAK(EACCEPT_PR, "EACCEPT leaves PR")                                                     \
	BREAK(EACCEPTCOPY_RWX, "EACCEPTCOPY leaves the permissions")                               \
	BREAK(EMODPE_REPLACES, "EMODPE takes permissions away")                                    \
	BREAK(AEX_CSSA, "AEX leaves CSSA")                                                         \
	BREAK(EBLOCK_AGAIN, "EBLOCK of a blocked page begins tracking anew")                       \
	BREAK(EBLOCK_TYPES, "EBLOCK takes SECS and VA pages for the same")                         \
	BREAK(EDBGWR_TCS, "EDBGWR writes anywhere in a TCS")                                       \
	BREAK(HOLD_SHARED, "who shares a page is in nobody's way")
/* clang-format on */

enum model_break {
	MODEL_BREAK_NONE,
#define BREAK(name, text) MODEL_BREAK_##name,
	MODEL_BREAKS(BREAK)
#undef BREAK
	MODEL_NR_BREAKS,
};

/* What is in a SECS page. */
struct model_secs {
	uint64_t id, base, size;
	struct sgx_attributes attributes;
	uint32_t miscselect;
	uint64_t epoch;
	uint8_t mrenclave[32]; /* after EINIT */
	uint16_t isv_prod_id, isv_svn;
	/* Of an enclave that is not initialised; owned by whoever has this SECS. */
	struct measurement measurement;
};

struct model_page {
	bool is_valid;
	enum sgx_page_type type;
	bool r, w, x, is_blocked, is_pending, is_modified, is_restricted;
	uint32_t secs; /* of children */
	uint64_t linaddr;
	/* The last EBLOCK, EMODPR or EMODT since the page came, and in which epoch that was. */
	bool is_tracking;
	uint64_t tracking_epoch;

	struct model_secs enclave;	 /* of a SECS */
	uint64_t slots[SGX_NR_VA_SLOTS]; /* of a VA page: versions of blobs, 0: empty */
	uint8_t bytes[SGX_PAGE_SIZE];	 /* of a TCS; of REG and TRIM pages if there are contents */
};

/* Somebody is inside of the TCS in that page, or was driven out and has not said so. */
struct model_thread {
	bool is_there, is_evicted;
	uint32_t tcs, secs;
	uint64_t entry_epoch;
};

/* What EWB wrote, and what it was. */
struct model_blob {
	uint64_t version;
	uint64_t owner; /* the enclave's id, 0 for SECS and VA pages */
	struct model_page page;
	struct sgx_pcmd pcmd;
	uint8_t bytes[SGX_PAGE_SIZE];
};

struct model_hold {
	bool is_there;
	uint32_t page;
	enum sgx_hold kind;
};

struct model {
	struct sgx_cpu cpu;
	bool is_metadata_only;
	enum model_break broken;
	struct model_page pages[MODEL_NR_PAGES];
	struct model_thread threads[MODEL_NR_THREADS];
	struct model_blob blobs[MODEL_NR_BLOBS];
	struct model_hold holds[MODEL_NR_HOLDS];
	uint64_t nr_enclaves, nr_versions; /* ever */
	/* Set by a leaf that wrote something else than it must. */
	const char *complaint;
};

/* What nobody but the one who made a SIGSTRUCT knows of it. */
struct model_signed {
	bool is_well_formed, is_signed;
};

void model_init(struct model *model, const struct sgx_cpu *cpu, bool is_metadata_only);
void model_fini(struct model *model);

uint32_t model_nr_children(const struct model *model, uint32_t secs);
uint32_t model_nr_inside(const struct model *model, uint32_t secs);
bool model_has_bytes(const struct model *model, enum sgx_page_type type);
bool model_is_initialised(const struct model *model, uint32_t secs);

/* model_build.c */
int model_ecreate(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx);
int model_eadd(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx);
int model_eextend(struct model *model, struct sgx_epc rbx, struct sgx_epc rcx);
int model_einit(struct model *model, struct sgx_memory rbx, struct sgx_epc rcx,
		struct sgx_memory rdx, struct model_signed is);

/* model_page.c */
int model_eremove(struct model *model, struct sgx_epc rcx);
/* rbx: what EDBGRD gave. */
int model_edbgrd(struct model *model, uint64_t rbx, struct sgx_epc rcx);
int model_edbgwr(struct model *model, uint64_t rbx, struct sgx_epc rcx);
int model_epa(struct model *model, uint64_t rbx, struct sgx_epc rcx);
int model_eblock(struct model *model, struct sgx_epc rcx);
int model_etrack(struct model *model, struct sgx_epc rcx);
/* asked: as EWB got it; rbx: as it left it. */
int model_ewb(struct model *model, const struct sgx_pageinfo *asked, const struct sgx_pageinfo *rbx,
	      struct sgx_epc rcx, struct sgx_epc rdx);
int model_eld(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
	      struct sgx_epc rdx, bool is_eldb);

/* model_change.c */
int model_eaug(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx);
int model_emodpr(struct model *model, struct sgx_memory rbx, struct sgx_epc rcx);
int model_emodt(struct model *model, struct sgx_memory rbx, struct sgx_epc rcx);
int model_eaccept(struct model *model, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx);
int model_eacceptcopy(struct model *model, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx,
		      struct sgx_epc rdx);
int model_emodpe(struct model *model, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx);

/* model_thread.c */
int model_eenter(struct model *model, struct sgx_epc rbx);
int model_eresume(struct model *model, struct sgx_epc rbx);
int model_leave(struct model *model, struct sgx_epc tcs, bool is_aex);
void model_evict_threads(struct model *model, uint32_t secs);

/* Enclave code writes to a REG page. */
void model_store(struct model *model, uint32_t page, uint32_t offset, const void *bytes,
		 uint32_t size);
/* False: there are too many already. */
bool model_hold(struct model *model, uint32_t page, enum sgx_hold kind);
void model_unhold(struct model *model, uint32_t page, enum sgx_hold kind);

#endif
