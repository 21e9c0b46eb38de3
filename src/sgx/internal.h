/* SPDX-License-Identifier: MIT */
/*
 * The processor's own structures, for src/sgx only: the EPCM, the hidden part of a SECS, and what
 * the files of this room offer each other (sigstruct.h has what others need as well).
 */
#ifndef EPCD_SGX_INTERNAL_H
#define EPCD_SGX_INTERNAL_H

#include "sgx/sgx.h"
#include "sgx/sigstruct.h"

/*
 * One entry of the EPCM: 16 bytes. blk_epoch is the low half of the epoch of the last EBLOCK,
 * EMODPR or EMODT; should the whole one have gone round meanwhile the page is taken for not yet
 * tracked, and one more ETRACK cures that.
 */
struct epcm_entry {
	uint64_t is_valid : 1;
	uint64_t type : 3; /* enum sgx_page_type */
	uint64_t r : 1;
	uint64_t w : 1;
	uint64_t x : 1;
	uint64_t is_blocked : 1;
	uint64_t is_pending : 1;
	uint64_t is_modified : 1;
	uint64_t is_restricted : 1; /* PR */
	uint64_t was_tcs : 1;	    /* TRIM: a thread may still have to leave it */
	uint64_t linpage : 52;	    /* ENCLAVEADDRESS / 4096 */
	uint32_t secs;		    /* children: page of the SECS; else SGX_PAGE_OUTSIDE */
	uint32_t blk_epoch;
};
#define EPCM_LINPAGE_MASK ((UINT64_C(1) << 52) - 1)
_Static_assert(sizeof(struct epcm_entry) == 16, "an EPC of 512 GiB has 134 million of them");

/*
 * A SECS page as it lies in the EPC: all of an enclave's state, so that EWB and ELDU carry it.
 * What is hidden has no offsets in the manual; these are the model's. Before EINIT, MRENCLAVE
 * holds the chaining words of SHA-256.
 *
 * nr_children = number of EPCM entries that name this page; epoch, nr_current and nr_previous are
 * the tracking of SDM EWB/ETRACK: threads that entered in this epoch, and in the one before.
 */
struct secs_page {
	struct sgx_secs visible;
	uint8_t padding1[2];
	uint64_t enclave_id;
	uint64_t nr_children;
	uint64_t nr_measured_blocks; /* of 64 bytes */
	uint64_t epoch;		     /* from 1 on */
	uint64_t nr_current, nr_previous;
	uint64_t nr_evictions; /* of all threads at once */
	uint8_t isv_family_id[16];
	uint8_t isv_ext_prod_id[16];
	uint8_t padding[352]; /* PADDING, of the signature, for key derivation */
	/* 0 but while sgx_is_valid() counts what it finds. */
	uint64_t nr_children_found, nr_current_found, nr_previous_found;
	uint8_t unused[3368];
};
_Static_assert(sizeof(struct secs_page) == SGX_PAGE_SIZE, "a SECS is one page");

/* A TCS page as it lies in the EPC. */
struct tcs_page {
	struct sgx_tcs visible;
	uint8_t reserved[4008];
	/* Hidden, reserved at EADD: the SECS's epoch and nr_evictions when the thread entered. */
	uint64_t entry_epoch, entry_eviction;
};
_Static_assert(sizeof(struct tcs_page) == SGX_PAGE_SIZE, "a TCS is one page");

/* Of versions: EDBGRD tells an occupied slot by its bits 63:3. */
#define SGX_VERSION_STEP 8u

/* Whether the thread in a busy TCS counts: it was not driven out by sgx_evict_threads(). */
static inline bool tcs_counts(const struct secs_page *secs, const struct tcs_page *tcs)
{
	return tcs->entry_eviction == secs->nr_evictions;
}

struct hold {
	uint32_t page;
	enum sgx_hold kind;
};

/* AES-128-GCM for pages: seal.c. */
struct seal {
	void *encrypt, *decrypt; /* EVP_CIPHER_CTX, the key schedule is set up once */
};

struct section {
	uint32_t first_page, nr_pages;
	uint8_t *bytes;
};

struct sgx {
	struct section sections[SGX_NR_SECTIONS_MAX];
	unsigned int nr_sections;
	uint32_t nr_pages;
	struct epcm_entry *epcm;
	bool is_metadata_only;
	struct sgx_cpu cpu;
	uint64_t next_enclave_id; /* from 1 on, never used again */
	uint64_t next_version;	  /* CR_PAGING_VERSION, never 0 and never used again */
	struct seal seal;
	uint8_t seed[32];
	struct hold holds[SGX_NR_HOLDS_MAX];
	unsigned int nr_holds;
	void *(*alloc_fn)(void *context, size_t size);
	void (*free_fn)(void *context, void *memory, size_t size);
	void *context;
};

/* measure.c: MRENCLAVE (SDM "ENCLAVE BUILD", facts in the functions). offset: from BASEADDR. */
void measure_begin(struct secs_page *secs); /* and absorbs the block of ECREATE */
void measure_eadd(struct secs_page *secs, uint64_t offset, const struct sgx_secinfo *secinfo);
void measure_eextend(struct secs_page *secs, uint64_t offset, const void *chunk);
void measure_end(const struct secs_page *secs, uint8_t mrenclave[32]);

/* seal.c. -1: no memory. header: 128 bytes of additional data. version: not 0. */
int seal_init(struct seal *seal, const uint8_t key[16]);
void seal_fini(struct seal *seal);
void seal_encrypt(struct seal *seal, uint64_t version, const uint8_t header[128], const void *page,
		  void *out, uint8_t mac[16]);
/* False: the MAC is wrong, out may hold anything. */
bool seal_decrypt(struct seal *seal, uint64_t version, const uint8_t header[128], const void *page,
		  const uint8_t mac[16], void *out);
/* The same without contents: a MAC over header and version, for metadata only. */
void seal_header(struct seal *seal, uint64_t version, const uint8_t header[128], uint8_t mac[16]);

/* keys.c: derivation (SDM EGETKEY), and AES-CMAC. name: of one master key made from the seed. */
void key_master(const struct sgx *sgx, const char *name, uint8_t key[16]);
void key_cmac(const uint8_t key[16], const void *bytes, size_t size, uint8_t mac[16]);
/* EINIT: whether the token's CMAC is right under the key that its launch enclave would derive. */
bool key_token_is_right(const struct sgx *sgx, const struct sgx_einittoken *token);
/* Whether the processor's CPUSVN is that much, component by component: it is no number. */
bool cpu_svn_is_reached(const struct sgx_cpu *cpu, const uint8_t cpu_svn[16]);
/* EREPORT and EGETKEY, once all operands are checked; secs: of the enclave that asks. */
void key_report(const struct sgx *sgx, const struct secs_page *secs,
		const struct sgx_targetinfo *target, const uint8_t report_data[64],
		struct sgx_report *report);
/* 0, or a code of EGETKEY, or SGX_GP; key is written with 0 only. */
int key_get(const struct sgx *sgx, const struct secs_page *secs,
	    const struct sgx_keyrequest *request, uint8_t key[16]);

static inline bool is_aligned(uint64_t address, uint64_t alignment)
{
	return (address & (alignment - 1)) == 0;
}

/* epcm.c: operands, entries, contents, and the checks that many leaves share. */

/* Whether an operand resolves to the EPC at all. */
bool in_epc(const struct sgx *sgx, struct sgx_epc operand);
/* The entry, or NULL where VALID is 0. */
struct epcm_entry *epcm_valid(const struct sgx *sgx, struct sgx_epc operand);
/* Whether the page can be filled: VALID is 0, and there is memory behind it. */
bool epcm_is_vacant(const struct sgx *sgx, struct sgx_epc operand);
/* The SECS, or NULL where VALID is 0 or PT is another. */
struct secs_page *secs_at(const struct sgx *sgx, struct sgx_epc operand);

struct secs_page *secs_of(const struct sgx *sgx, uint32_t page); /* of a valid SECS page */
uint8_t *bytes_of(const struct sgx *sgx, uint32_t page);
/* Whether the model keeps the contents of pages of this type: not of an enclave's own, at times. */
bool has_contents(const struct sgx *sgx, enum sgx_page_type type);

/* TCS, REG and TRIM: what belongs to an enclave and counts as a child of its SECS. */
bool is_child(enum sgx_page_type type);
/* Makes a vacant page valid, and a child counted. flags: as SECINFO.FLAGS. Tracked already. */
struct epcm_entry *epcm_add_child(struct sgx *sgx, uint32_t page, uint32_t secs, uint64_t flags,
				  uint64_t linaddr);
void epcm_add_parentless(struct sgx *sgx, uint32_t page, enum sgx_page_type type);
void epcm_remove(struct sgx *sgx, uint32_t page);
/* Whether the contents are a TCS that threads may enter, or have entered before EMODT. */
bool epcm_is_tcs(const struct epcm_entry *entry);
/* As SECINFO.FLAGS has it. */
uint64_t epcm_flags(const struct epcm_entry *entry);
/* From now on no thread may be left that entered before; is_tracked() once that is known. */
void epcm_begin_tracking(const struct sgx *sgx, struct epcm_entry *entry);
bool epcm_is_tracked(const struct sgx *sgx, const struct epcm_entry *entry);

bool is_initialised(const struct secs_page *secs);
bool in_elrange(const struct secs_page *secs, uint64_t address);
bool is_canonical(uint64_t address);
bool bytes_are_zero(const void *bytes, size_t size);

/* Copies it once, so that nobody changes it after the checks. False: it cannot be read. */
bool secinfo_read(struct sgx_memory operand, struct sgx_secinfo *secinfo);
/* Whether there is anything but these flags. */
bool secinfo_has_reserved(const struct sgx_secinfo *secinfo, uint64_t flags);
enum sgx_page_type secinfo_type(const struct sgx_secinfo *secinfo);
#define SECINFO_ALL                                                                      \
	(SGX_SECINFO_RWX | SGX_SECINFO_PENDING | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR | \
	 SGX_SECINFO_TYPE_MASK)

/* hold.c: what the holds of other processors leave to this one. */
bool can_own(const struct sgx *sgx, struct sgx_epc operand);	/* base mode Exclusive */
bool can_share(const struct sgx *sgx, struct sgx_epc operand);	/* base mode Shared */
bool can_measure(const struct sgx *sgx, uint32_t secs);		/* group B */
bool can_track(const struct sgx *sgx, uint32_t secs);		/* group T */
bool can_modify(const struct sgx *sgx, struct sgx_epc operand); /* group A */

#endif
