/* SPDX-License-Identifier: MIT */
/*
 * The architecture's numbers and structures, as the SDM (volume 3D) has them: no function, no
 * state. Everything is little-endian. Structures that the manual leaves open (the hidden part of
 * a SECS, the EPCM) are the model's own and are not here but in internal.h.
 */
#ifndef EPCD_SGX_ARCH_H
#define EPCD_SGX_ARCH_H

#include <stdint.h>

#define SGX_PAGE_SIZE 4096u
#define SGX_CHUNK_SIZE 256u  /* what one EEXTEND measures */
#define SGX_NR_VA_SLOTS 512u /* of 8 bytes, in a VA page */

/* ENCLS leaves: EAX. */
enum sgx_encls_leaf {
	SGX_ECREATE = 0x00,
	SGX_EADD = 0x01,
	SGX_EINIT = 0x02,
	SGX_EREMOVE = 0x03,
	SGX_EDBGRD = 0x04,
	SGX_EDBGWR = 0x05,
	SGX_EEXTEND = 0x06,
	SGX_ELDB = 0x07,
	SGX_ELDU = 0x08,
	SGX_EBLOCK = 0x09,
	SGX_EPA = 0x0a,
	SGX_EWB = 0x0b,
	SGX_ETRACK = 0x0c,
	SGX_EAUG = 0x0d,
	SGX_EMODPR = 0x0e,
	SGX_EMODT = 0x0f,
};

/* ENCLU leaves: EAX. */
enum sgx_enclu_leaf {
	SGX_EREPORT = 0x00,
	SGX_EGETKEY = 0x01,
	SGX_EENTER = 0x02,
	SGX_ERESUME = 0x03,
	SGX_EEXIT = 0x04,
	SGX_EACCEPT = 0x05,
	SGX_EMODPE = 0x06,
	SGX_EACCEPTCOPY = 0x07,
};

/* What a leaf returns in RAX. All but those of EBLOCK 3, 5, 18 and EWB 12 (CF) set ZF. */
enum sgx_code {
	SGX_SUCCESS = 0,
	SGX_INVALID_SIG_STRUCT = 1,
	SGX_INVALID_ATTRIBUTE = 2,
	SGX_BLKSTATE = 3,
	SGX_INVALID_MEASUREMENT = 4,
	SGX_NOTBLOCKABLE = 5,
	SGX_PG_INVLD = 6,
	SGX_EPC_PAGE_CONFLICT = 7,
	SGX_INVALID_SIGNATURE = 8,
	SGX_MAC_COMPARE_FAIL = 9,
	SGX_PAGE_NOT_BLOCKED = 10,
	SGX_NOT_TRACKED = 11,
	SGX_VA_SLOT_OCCUPIED = 12, /* the page is evicted all the same */
	SGX_CHILD_PRESENT = 13,
	SGX_ENCLAVE_ACT = 14,
	SGX_ENTRYEPOCH_LOCKED = 15,
	SGX_INVALID_EINITTOKEN = 16,
	SGX_PREV_TRK_INCMPL = 17,
	SGX_PG_IS_SECS = 18,
	SGX_PAGE_ATTRIBUTES_MISMATCH = 19,
	SGX_PAGE_NOT_MODIFIABLE = 20,
	SGX_PAGE_NOT_DEBUGGABLE = 21,
	SGX_INVALID_CPUSVN = 32,
	SGX_INVALID_ISVSVN = 64,
	SGX_UNMASKED_EVENT = 128,
	SGX_INVALID_KEYNAME = 256,
};

enum sgx_page_type {
	SGX_PT_SECS = 0,
	SGX_PT_TCS = 1,
	SGX_PT_REG = 2,
	SGX_PT_VA = 3,
	SGX_PT_TRIM = 4,
};

#define SGX_SECINFO_R UINT64_C(0x01)
#define SGX_SECINFO_W UINT64_C(0x02)
#define SGX_SECINFO_X UINT64_C(0x04)
#define SGX_SECINFO_RWX UINT64_C(0x07)
#define SGX_SECINFO_PENDING UINT64_C(0x08)
#define SGX_SECINFO_MODIFIED UINT64_C(0x10)
#define SGX_SECINFO_PR UINT64_C(0x20)
#define SGX_SECINFO_TYPE_SHIFT 8
#define SGX_SECINFO_TYPE_MASK UINT64_C(0xff00)

#define SGX_ATTR_INIT UINT64_C(0x01)
#define SGX_ATTR_DEBUG UINT64_C(0x02)
#define SGX_ATTR_MODE64BIT UINT64_C(0x04)
#define SGX_ATTR_PROVISIONKEY UINT64_C(0x10)
#define SGX_ATTR_EINITTOKENKEY UINT64_C(0x20)
#define SGX_ATTR_KSS UINT64_C(0x80)

#define SGX_MISC_EXINFO 0x01u
#define SGX_XFRM_LEGACY UINT64_C(0x03) /* x87 and SSE, always there */

/* 64 bytes, aligned to 64. */
struct sgx_secinfo {
	uint64_t flags;
	uint8_t reserved[56];
};

/* 128 bytes, aligned to 128. */
struct sgx_pcmd {
	struct sgx_secinfo secinfo;
	uint64_t enclave_id;
	uint8_t reserved[40];
	uint8_t mac[16];
};

struct sgx_attributes {
	uint64_t flags;
	uint64_t xfrm;
};

/* The first 262 bytes of a SECS page; the rest must be zero at ECREATE and is hidden then. */
struct sgx_secs {
	uint64_t size; /* bytes, a power of two */
	uint64_t base; /* linear address, aligned to size */
	uint32_t ssa_frame_pages;
	uint32_t miscselect;
	uint8_t cet[24]; /* CET_LEG_BITMAP_OFFSET, CET_ATTRIBUTES and reserved: no CET here, so 0 */
	struct sgx_attributes attributes;
	uint8_t mrenclave[32];
	uint8_t reserved1[32];
	uint8_t mrsigner[32];
	uint8_t reserved2[32];
	uint8_t config_id[64];
	uint16_t isv_prod_id;
	uint16_t isv_svn;
	uint16_t config_svn;
} __attribute__((packed));

/* The first 72 bytes of a TCS page; the rest is reserved. */
struct sgx_tcs {
	uint64_t state; /* 1: a thread is inside */
	uint64_t flags;
	uint64_t ossa;
	uint32_t cssa;
	uint32_t nssa;
	uint64_t oentry;
	uint64_t aep;
	uint64_t ofsbasgx;
	uint64_t ogsbasgx;
	uint32_t fslimit;
	uint32_t gslimit;
};

#define SGX_TCS_DBGOPTIN UINT64_C(0x01)
#define SGX_TCS_LIMIT 72u /* what EDBGRD may read */

/* 1808 bytes, aligned to 4096. Signed: bytes 0 to 127 and 900 to 1027. */
struct sgx_sigstruct {
	uint8_t header[16];
	uint32_t vendor;
	uint32_t date; /* BCD, yyyymmdd */
	uint8_t header2[16];
	uint32_t swdefined;
	uint8_t reserved1[84];
	uint8_t modulus[384];
	uint32_t exponent;
	uint8_t signature[384];
	uint32_t miscselect;
	uint32_t miscmask;
	uint8_t cet[2];
	uint8_t reserved2[2];
	uint8_t isv_family_id[16];
	struct sgx_attributes attributes;
	struct sgx_attributes attribute_mask;
	uint8_t enclave_hash[32];
	uint8_t reserved3[16];
	uint8_t isv_ext_prod_id[16];
	uint16_t isv_prod_id;
	uint16_t isv_svn;
	uint8_t reserved4[12];
	uint8_t q1[384];
	uint8_t q2[384];
} __attribute__((packed));

/* 304 bytes, aligned to 512. The MAC covers the first 192. */
struct sgx_einittoken {
	uint32_t valid; /* bit 0 */
	uint8_t reserved1[44];
	struct sgx_attributes attributes;
	uint8_t mrenclave[32];
	uint8_t reserved2[32];
	uint8_t mrsigner[32];
	uint8_t reserved3[32];
	uint8_t cpu_svn_le[16];
	uint16_t isv_prod_id_le;
	uint16_t isv_svn_le;
	uint8_t reserved4[24];
	uint32_t masked_miscselect_le;
	struct sgx_attributes masked_attributes_le;
	uint8_t key_id[32];
	uint8_t mac[16];
} __attribute__((packed));

/* 432 bytes, aligned to 512. The MAC covers the first 384. */
struct sgx_report {
	uint8_t cpu_svn[16];
	uint32_t miscselect;
	uint8_t cet_attributes;
	uint8_t reserved1[11];
	uint8_t isv_ext_prod_id[16];
	struct sgx_attributes attributes;
	uint8_t mrenclave[32];
	uint8_t reserved2[32];
	uint8_t mrsigner[32];
	uint8_t reserved3[32];
	uint8_t config_id[64];
	uint16_t isv_prod_id;
	uint16_t isv_svn;
	uint16_t config_svn;
	uint8_t reserved4[42];
	uint8_t isv_family_id[16];
	uint8_t report_data[64];
	uint8_t key_id[32];
	uint8_t mac[16];
} __attribute__((packed));

/* 512 bytes, aligned to 512. */
struct sgx_targetinfo {
	uint8_t measurement[32];
	struct sgx_attributes attributes;
	uint8_t cet_attributes;
	uint8_t reserved1;
	uint16_t config_svn;
	uint32_t miscselect;
	uint8_t reserved2[8];
	uint8_t config_id[64];
	uint8_t reserved3[384];
} __attribute__((packed));

enum sgx_key_name {
	SGX_KEY_EINITTOKEN = 0,
	SGX_KEY_PROVISION = 1,
	SGX_KEY_PROVISION_SEAL = 2,
	SGX_KEY_REPORT = 3,
	SGX_KEY_SEAL = 4,
};

#define SGX_KEYPOLICY_MRENCLAVE 0x01u
#define SGX_KEYPOLICY_MRSIGNER 0x02u
#define SGX_KEYPOLICY_NOISVPRODID 0x04u
#define SGX_KEYPOLICY_CONFIGID 0x08u
#define SGX_KEYPOLICY_ISVFAMILYID 0x10u
#define SGX_KEYPOLICY_ISVEXTPRODID 0x20u

/* 512 bytes, aligned to 512. */
struct sgx_keyrequest {
	uint16_t key_name;
	uint16_t key_policy;
	uint16_t isv_svn;
	uint8_t cet_attributes_mask;
	uint8_t reserved1;
	uint8_t cpu_svn[16];
	struct sgx_attributes attribute_mask;
	uint8_t key_id[32];
	uint32_t miscmask;
	uint16_t config_svn;
	uint8_t reserved2[434];
} __attribute__((packed));

_Static_assert(sizeof(struct sgx_secinfo) == 64, "SDM: SECINFO");
_Static_assert(sizeof(struct sgx_pcmd) == 128, "SDM: PCMD");
_Static_assert(sizeof(struct sgx_secs) == 262, "SDM: SECS");
_Static_assert(sizeof(struct sgx_tcs) == 72, "SDM: TCS");
_Static_assert(sizeof(struct sgx_sigstruct) == 1808, "SDM: SIGSTRUCT");
_Static_assert(sizeof(struct sgx_einittoken) == 304, "SDM: EINITTOKEN");
_Static_assert(sizeof(struct sgx_report) == 432, "SDM: REPORT");
_Static_assert(sizeof(struct sgx_targetinfo) == 512, "SDM: TARGETINFO");
_Static_assert(sizeof(struct sgx_keyrequest) == 512, "SDM: KEYREQUEST");

#endif
