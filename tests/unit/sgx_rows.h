/* SPDX-License-Identifier: MIT */
/*
 * What every leaf can give, line by line: ROW(name, leaf, outcome, cause), within a leaf in the
 * order of the architecture's checks. A row is the name of a test (test_sgx_rows_*.c), so that a
 * row without a test does not compile. At the end a second list, of (leaf, outcome) pairs as the
 * manual's tables have them, each of which must be the outcome of some row (test_sgx_rows.c).
 *
 * Not here: SGX_UNMASKED_EVENT of EINIT. The model has no interrupts, so nothing can give it.
 */
#ifndef EPCD_SGX_ROWS_H
#define EPCD_SGX_ROWS_H

#include "sgx/sgx.h"

#define PF_RBX SGX_PF(SGX_OPERAND_RBX)
#define PF_RCX SGX_PF(SGX_OPERAND_RCX)
#define PF_RDX SGX_PF(SGX_OPERAND_RDX)
#define PF_SECS SGX_PF(SGX_OPERAND_SECS)
#define PF_SRCPGE SGX_PF(SGX_OPERAND_SRCPGE)
#define PF_SECINFO SGX_PF(SGX_OPERAND_SECINFO)

/* clang-format off */
#define SGX_ROWS_ECREATE(ROW)                                                                      \
	ROW(ecreate_rbx_unaligned, ecreate, SGX_GP, "PAGEINFO is not aligned to 32")               \
	ROW(ecreate_rcx_unaligned, ecreate, SGX_GP, "RCX is not aligned to 4096")                  \
	ROW(ecreate_rcx_outside, ecreate, PF_RCX, "RCX is not EPC")                                \
	ROW(ecreate_srcpge_unaligned, ecreate, SGX_GP, "SRCPGE is not aligned to 4096")            \
	ROW(ecreate_secinfo_unaligned, ecreate, SGX_GP, "SECINFO is not aligned to 64")            \
	ROW(ecreate_linaddr, ecreate, SGX_GP, "LINADDR is not 0")                                  \
	ROW(ecreate_secs, ecreate, SGX_GP, "SECS is not 0")                                        \
	ROW(ecreate_secinfo_unreadable, ecreate, PF_SECINFO, "SECINFO cannot be read")             \
	ROW(ecreate_secinfo_flags, ecreate, SGX_GP, "a reserved bit of SECINFO.FLAGS")             \
	ROW(ecreate_secinfo_reserved, ecreate, SGX_GP, "a reserved byte of SECINFO")               \
	ROW(ecreate_secinfo_type, ecreate, SGX_GP, "SECINFO says PT_REG")                          \
	ROW(ecreate_rcx_held, ecreate, SGX_GP, "another leaf shares the page")                     \
	ROW(ecreate_rcx_valid, ecreate, PF_RCX, "the page is valid")                               \
	ROW(ecreate_srcpge_unreadable, ecreate, PF_SRCPGE, "SRCPGE cannot be read")                \
	ROW(ecreate_xfrm_legacy, ecreate, SGX_GP, "XFRM[1:0] is not 3")                            \
	ROW(ecreate_xfrm_unknown, ecreate, SGX_GP, "XFRM has what the processor has not")          \
	ROW(ecreate_miscselect, ecreate, SGX_GP, "MISCSELECT has what the processor has not")      \
	ROW(ecreate_ssaframesize, ecreate, SGX_GP, "no room in a frame for XSAVE and GPRs")        \
	ROW(ecreate_base_not_canonical, ecreate, SGX_GP, "64 bits, BASEADDR is not canonical")     \
	ROW(ecreate_base_above_4g, ecreate, SGX_GP, "32 bits, BASEADDR is above 4 GiB")            \
	ROW(ecreate_size_above_64, ecreate, SGX_GP, "64 bits, SIZE is too large")                  \
	ROW(ecreate_size_above_32, ecreate, SGX_GP, "32 bits, SIZE is too large")                  \
	ROW(ecreate_size_below, ecreate, SGX_GP, "SIZE is less than two pages")                    \
	ROW(ecreate_size_no_power, ecreate, SGX_GP, "SIZE is not a power of two")                  \
	ROW(ecreate_base_unaligned, ecreate, SGX_GP, "BASEADDR is not aligned to SIZE")            \
	ROW(ecreate_attributes, ecreate, SGX_GP, "ATTRIBUTES has what the processor has not")      \
	ROW(ecreate_attributes_init, ecreate, SGX_GP, "ATTRIBUTES.INIT")                           \
	ROW(ecreate_reserved, ecreate, SGX_GP, "a reserved byte in the named part")                \
	ROW(ecreate_reserved_tail, ecreate, SGX_GP, "the last byte of the page")                   \
	ROW(ecreate_cet, ecreate, SGX_GP, "CET_ATTRIBUTES, without CET")                           \
	ROW(ecreate_config_id, ecreate, SGX_GP, "CONFIGID without KSS")                            \
	ROW(ecreate_config_svn, ecreate, SGX_GP, "CONFIGSVN without KSS")                          \
	ROW(ecreate_success, ecreate, SGX_SUCCESS, "a SECS")                                       \
	ROW(ecreate_success_kss, ecreate, SGX_SUCCESS, "CONFIGID and CONFIGSVN with KSS")          \
	ROW(ecreate_success_largest, ecreate, SGX_SUCCESS, "SIZE is the largest")

#define SGX_ROWS_EADD(ROW)                                                                         \
	ROW(eadd_rbx_unaligned, eadd, SGX_GP, "PAGEINFO is not aligned to 32")                     \
	ROW(eadd_rcx_unaligned, eadd, SGX_GP, "RCX is not aligned to 4096")                        \
	ROW(eadd_rcx_outside, eadd, PF_RCX, "RCX is not EPC")                                      \
	ROW(eadd_srcpge_unaligned, eadd, SGX_GP, "SRCPGE is not aligned to 4096")                  \
	ROW(eadd_secs_unaligned, eadd, SGX_GP, "SECS is not aligned to 4096")                      \
	ROW(eadd_secinfo_unaligned, eadd, SGX_GP, "SECINFO is not aligned to 64")                  \
	ROW(eadd_linaddr_unaligned, eadd, SGX_GP, "LINADDR is not aligned to 4096")                \
	ROW(eadd_secs_outside, eadd, PF_SECS, "SECS is not EPC")                                   \
	ROW(eadd_secinfo_unreadable, eadd, PF_SECINFO, "SECINFO cannot be read")                   \
	ROW(eadd_secinfo_flags, eadd, SGX_GP, "a reserved bit of SECINFO.FLAGS")                   \
	ROW(eadd_secinfo_pending, eadd, SGX_GP, "SECINFO.PENDING")                                 \
	ROW(eadd_secinfo_reserved, eadd, SGX_GP, "a reserved byte of SECINFO")                     \
	ROW(eadd_type_secs, eadd, SGX_GP, "PT_SECS")                                               \
	ROW(eadd_type_va, eadd, SGX_GP, "PT_VA")                                                   \
	ROW(eadd_type_trim, eadd, SGX_GP, "PT_TRIM")                                               \
	ROW(eadd_type_unknown, eadd, SGX_GP, "a type that there is not")                           \
	ROW(eadd_rcx_held, eadd, SGX_GP, "another leaf shares the page")                           \
	ROW(eadd_rcx_valid, eadd, PF_RCX, "the page is valid")                                     \
	ROW(eadd_secs_held, eadd, SGX_GP, "another leaf has the SECS for itself")                  \
	ROW(eadd_secs_invalid, eadd, PF_SECS, "the SECS is not valid")                             \
	ROW(eadd_secs_unbacked, eadd, PF_SECS, "the SECS was never used")                          \
	ROW(eadd_secs_type, eadd, PF_SECS, "the SECS is a VA page")                                \
	ROW(eadd_srcpge_unreadable, eadd, PF_SRCPGE, "SRCPGE cannot be read")                      \
	ROW(eadd_tcs_reserved, eadd, SGX_GP, "a TCS whose last byte is not 0")                     \
	ROW(eadd_tcs_fslimit, eadd, SGX_GP, "32 bits, FSLIMIT does not end in fff")                \
	ROW(eadd_tcs_gslimit, eadd, SGX_GP, "32 bits, GSLIMIT does not end in fff")                \
	ROW(eadd_w_without_r, eadd, SGX_GP, "W without R")                                         \
	ROW(eadd_linaddr_below, eadd, SGX_GP, "LINADDR is below the enclave")                      \
	ROW(eadd_linaddr_above, eadd, SGX_GP, "LINADDR is the end of the enclave")                 \
	ROW(eadd_secs_measured, eadd, SGX_GP, "another leaf measures into the SECS")               \
	ROW(eadd_secs_initialised, eadd, SGX_GP, "after EINIT")                                    \
	ROW(eadd_success, eadd, SGX_SUCCESS, "a REG page")                                         \
	ROW(eadd_success_tcs, eadd, SGX_SUCCESS, "a TCS page: no permissions, idle")               \
	ROW(eadd_success_same_linaddr, eadd, SGX_SUCCESS, "two pages with one address")            \
	ROW(eadd_success_secs_shared, eadd, SGX_SUCCESS, "another leaf shares the SECS")

#define SGX_ROWS_EEXTEND(ROW)                                                                      \
	ROW(eextend_rbx_unaligned, eextend, SGX_GP, "RBX is not aligned to 4096")                  \
	ROW(eextend_rbx_outside, eextend, PF_RBX, "RBX is not EPC")                                \
	ROW(eextend_rcx_unaligned, eextend, SGX_GP, "RCX is not aligned to 256")                   \
	ROW(eextend_rcx_outside, eextend, PF_RCX, "RCX is not EPC")                                \
	ROW(eextend_rcx_held, eextend, SGX_GP, "another leaf has the page for itself")             \
	ROW(eextend_rcx_invalid, eextend, PF_RCX, "the page is not valid")                         \
	ROW(eextend_rcx_unbacked, eextend, PF_RCX, "the page was never used")                      \
	ROW(eextend_rcx_secs, eextend, PF_RCX, "the page is a SECS")                               \
	ROW(eextend_rcx_va, eextend, PF_RCX, "the page is a VA page")                              \
	ROW(eextend_rbx_other, eextend, SGX_GP, "RBX is the SECS of another enclave")              \
	ROW(eextend_rbx_type, eextend, SGX_GP, "RBX is no SECS")                                   \
	ROW(eextend_secs_measured, eextend, SGX_GP, "another leaf measures into the SECS")         \
	ROW(eextend_secs_initialised, eextend, SGX_GP, "after EINIT")                              \
	ROW(eextend_success, eextend, SGX_SUCCESS, "a chunk")

#define SGX_ROWS_EINIT(ROW)                                                                        \
	ROW(einit_rbx_unaligned, einit, SGX_GP, "SIGSTRUCT is not aligned to 4096")                \
	ROW(einit_rcx_unaligned, einit, SGX_GP, "RCX is not aligned to 4096")                      \
	ROW(einit_rdx_unaligned, einit, SGX_GP, "EINITTOKEN is not aligned to 512")                \
	ROW(einit_rcx_outside, einit, PF_RCX, "RCX is not EPC")                                    \
	ROW(einit_rbx_unreadable, einit, PF_RBX, "SIGSTRUCT cannot be read")                       \
	ROW(einit_rdx_unreadable, einit, PF_RDX, "EINITTOKEN cannot be read")                      \
	ROW(einit_header, einit, SGX_INVALID_SIG_STRUCT, "HEADER")                                 \
	ROW(einit_vendor, einit, SGX_INVALID_SIG_STRUCT, "VENDOR")                                 \
	ROW(einit_header2, einit, SGX_INVALID_SIG_STRUCT, "HEADER2")                               \
	ROW(einit_exponent, einit, SGX_INVALID_SIG_STRUCT, "EXPONENT")                             \
	ROW(einit_reserved, einit, SGX_INVALID_SIG_STRUCT, "any reserved byte")                    \
	ROW(einit_signature, einit, SGX_INVALID_SIGNATURE, "SIGNATURE")                            \
	ROW(einit_signed_field, einit, SGX_INVALID_SIGNATURE, "a signed field was changed")        \
	ROW(einit_q1, einit, SGX_INVALID_SIGNATURE, "Q1")                                          \
	ROW(einit_q2, einit, SGX_INVALID_SIGNATURE, "Q2")                                          \
	ROW(einit_rcx_held, einit, SGX_GP, "another leaf has the SECS for itself")                 \
	ROW(einit_rcx_invalid, einit, PF_RCX, "the SECS is not valid")                             \
	ROW(einit_rcx_unbacked, einit, PF_RCX, "the SECS was never used")                          \
	ROW(einit_rcx_type, einit, PF_RCX, "the SECS is a REG page")                               \
	ROW(einit_family_id, einit, SGX_INVALID_SIG_STRUCT, "ISVFAMILYID without KSS")             \
	ROW(einit_ext_prod_id, einit, SGX_INVALID_SIG_STRUCT, "ISVEXTPRODID without KSS")          \
	ROW(einit_rcx_measured, einit, SGX_GP, "another leaf measures into the SECS")              \
	ROW(einit_again, einit, SGX_GP, "after EINIT")                                             \
	ROW(einit_hash, einit, SGX_INVALID_MEASUREMENT, "ENCLAVEHASH is not MRENCLAVE")            \
	ROW(einit_token_key, einit, SGX_INVALID_ATTRIBUTE, "EINITTOKENKEY, not the right signer")  \
	ROW(einit_attributes, einit, SGX_INVALID_ATTRIBUTE, "ATTRIBUTES.FLAGS under the mask")     \
	ROW(einit_xfrm, einit, SGX_INVALID_ATTRIBUTE, "ATTRIBUTES.XFRM under the mask")            \
	ROW(einit_miscselect, einit, SGX_INVALID_ATTRIBUTE, "MISCSELECT under the mask")           \
	ROW(einit_no_token, einit, SGX_INVALID_EINITTOKEN, "no token, not the right signer")       \
	ROW(einit_token_debug, einit, SGX_INVALID_EINITTOKEN, "a token from a debug enclave")      \
	ROW(einit_token_reserved, einit, SGX_INVALID_EINITTOKEN, "a reserved byte of the token")   \
	ROW(einit_token_cpu_svn, einit, SGX_INVALID_CPUSVN, "CPUSVNLE is not had yet")             \
	ROW(einit_token_mac, einit, SGX_INVALID_EINITTOKEN, "the token's MAC")                     \
	ROW(einit_token_mrenclave, einit, SGX_INVALID_MEASUREMENT, "a token for another enclave")  \
	ROW(einit_token_mrsigner, einit, SGX_INVALID_MEASUREMENT, "a token for another signer")    \
	ROW(einit_token_attributes, einit, SGX_INVALID_ATTRIBUTE, "a token for other attributes")  \
	ROW(einit_success, einit, SGX_SUCCESS, "without token")                                    \
	ROW(einit_success_token, einit, SGX_SUCCESS, "with a token")                               \
	ROW(einit_success_kss, einit, SGX_SUCCESS, "ISVFAMILYID and ISVEXTPRODID with KSS")

#define SGX_ROWS_EREMOVE(ROW)                                                                      \
	ROW(eremove_unaligned, eremove, SGX_GP, "RCX is not aligned to 4096")                      \
	ROW(eremove_outside, eremove, PF_RCX, "RCX is not EPC")                                    \
	ROW(eremove_held, eremove, SGX_GP, "another leaf shares the page")                         \
	ROW(eremove_child_present, eremove, SGX_CHILD_PRESENT, "a SECS with children")             \
	ROW(eremove_active, eremove, SGX_ENCLAVE_ACT, "a thread is inside")                        \
	ROW(eremove_active_trim, eremove, SGX_ENCLAVE_ACT, "a TRIM page that is not accepted")     \
	ROW(eremove_success_invalid, eremove, SGX_SUCCESS, "a page that is not valid")             \
	ROW(eremove_success_unbacked, eremove, SGX_SUCCESS, "a page that was never used")          \
	ROW(eremove_success_va, eremove, SGX_SUCCESS, "a VA page")                                 \
	ROW(eremove_success_trim, eremove, SGX_SUCCESS, "an accepted TRIM page, thread inside")    \
	ROW(eremove_success_secs, eremove, SGX_SUCCESS, "a SECS without children")                 \
	ROW(eremove_success, eremove, SGX_SUCCESS, "a child, nobody inside")

#define SGX_ROWS_EDBGRD(ROW)                                                                       \
	ROW(edbgrd_unaligned, edbgrd, SGX_GP, "RCX is not aligned to 8")                           \
	ROW(edbgrd_outside, edbgrd, PF_RCX, "RCX is not EPC")                                      \
	ROW(edbgrd_held, edbgrd, SGX_GP, "another leaf has the page for itself")                   \
	ROW(edbgrd_invalid, edbgrd, PF_RCX, "the page is not valid")                               \
	ROW(edbgrd_unbacked, edbgrd, PF_RCX, "the page was never used")                            \
	ROW(edbgrd_secs, edbgrd, PF_RCX, "the page is a SECS")                                     \
	ROW(edbgrd_trim, edbgrd, PF_RCX, "the page is a TRIM page")                                \
	ROW(edbgrd_pending, edbgrd, SGX_PAGE_NOT_DEBUGGABLE, "PENDING")                            \
	ROW(edbgrd_modified, edbgrd, SGX_PAGE_NOT_DEBUGGABLE, "MODIFIED")                          \
	ROW(edbgrd_tcs_limit, edbgrd, SGX_GP, "a TCS from byte 72 on")                             \
	ROW(edbgrd_no_debug, edbgrd, SGX_GP, "not an enclave for debugging")                       \
	ROW(edbgrd_success, edbgrd, SGX_SUCCESS, "a REG page")                                     \
	ROW(edbgrd_success_tcs, edbgrd, SGX_SUCCESS, "the last word of a TCS")                     \
	ROW(edbgrd_success_va, edbgrd, SGX_SUCCESS, "a VA slot: all ones when it is used")

#define SGX_ROWS_EDBGWR(ROW)                                                                       \
	ROW(edbgwr_unaligned, edbgwr, SGX_GP, "RCX is not aligned to 8")                           \
	ROW(edbgwr_outside, edbgwr, PF_RCX, "RCX is not EPC")                                      \
	ROW(edbgwr_held, edbgwr, SGX_GP, "another leaf has the page for itself")                   \
	ROW(edbgwr_invalid, edbgwr, PF_RCX, "the page is not valid")                               \
	ROW(edbgwr_unbacked, edbgwr, PF_RCX, "the page was never used")                            \
	ROW(edbgwr_secs, edbgwr, PF_RCX, "the page is a SECS")                                     \
	ROW(edbgwr_va, edbgwr, PF_RCX, "the page is a VA page")                                    \
	ROW(edbgwr_trim, edbgwr, PF_RCX, "the page is a TRIM page")                                \
	ROW(edbgwr_pending, edbgwr, SGX_PAGE_NOT_DEBUGGABLE, "PENDING")                            \
	ROW(edbgwr_modified, edbgwr, SGX_PAGE_NOT_DEBUGGABLE, "MODIFIED")                          \
	ROW(edbgwr_tcs_offset, edbgwr, SGX_GP, "a TCS at another byte than 8")                     \
	ROW(edbgwr_no_debug, edbgwr, SGX_GP, "not an enclave for debugging")                       \
	ROW(edbgwr_success, edbgwr, SGX_SUCCESS, "a REG page, whatever its permissions")           \
	ROW(edbgwr_success_tcs, edbgwr, SGX_SUCCESS, "TCS.FLAGS")

#define SGX_ROWS_EBLOCK(ROW)                                                                       \
	ROW(eblock_unaligned, eblock, SGX_GP, "RCX is not aligned to 4096")                        \
	ROW(eblock_outside, eblock, PF_RCX, "RCX is not EPC")                                      \
	ROW(eblock_held, eblock, SGX_EPC_PAGE_CONFLICT, "another leaf has the page for itself")    \
	ROW(eblock_invalid, eblock, SGX_PG_INVLD, "the page is not valid")                         \
	ROW(eblock_unbacked, eblock, SGX_PG_INVLD, "the page was never used")                      \
	ROW(eblock_secs, eblock, SGX_PG_IS_SECS, "a SECS")                                         \
	ROW(eblock_va, eblock, SGX_NOTBLOCKABLE, "a VA page")                                      \
	ROW(eblock_tracked, eblock, SGX_ENTRYEPOCH_LOCKED, "ETRACK is under way on the SECS")      \
	ROW(eblock_blocked, eblock, SGX_BLKSTATE, "blocked before")                                \
	ROW(eblock_success, eblock, SGX_SUCCESS, "a child")

#define SGX_ROWS_EPA(ROW)                                                                          \
	ROW(epa_rbx, epa, SGX_GP, "RBX is not PT_VA")                                              \
	ROW(epa_unaligned, epa, SGX_GP, "RCX is not aligned to 4096")                              \
	ROW(epa_outside, epa, PF_RCX, "RCX is not EPC")                                            \
	ROW(epa_held, epa, SGX_GP, "another leaf shares the page")                                 \
	ROW(epa_valid, epa, PF_RCX, "the page is valid")                                           \
	ROW(epa_success, epa, SGX_SUCCESS, "a VA page of empty slots")

#define SGX_ROWS_ETRACK(ROW)                                                                       \
	ROW(etrack_unaligned, etrack, SGX_GP, "RCX is not aligned to 4096")                        \
	ROW(etrack_outside, etrack, PF_RCX, "RCX is not EPC")                                      \
	ROW(etrack_held, etrack, SGX_GP, "another leaf has the SECS for itself")                   \
	ROW(etrack_tracked, etrack, SGX_GP, "another ETRACK is under way on it")                   \
	ROW(etrack_invalid, etrack, PF_RCX, "the page is not valid")                               \
	ROW(etrack_unbacked, etrack, PF_RCX, "the page was never used")                            \
	ROW(etrack_type, etrack, PF_RCX, "the page is no SECS")                                    \
	ROW(etrack_incomplete, etrack, SGX_PREV_TRK_INCMPL, "a thread of the last cycle is in")    \
	ROW(etrack_success, etrack, SGX_SUCCESS, "a new cycle")

#define SGX_ROWS_EWB(ROW)                                                                          \
	ROW(ewb_rbx_unaligned, ewb, SGX_GP, "PAGEINFO is not aligned to 32")                       \
	ROW(ewb_rcx_unaligned, ewb, SGX_GP, "RCX is not aligned to 4096")                          \
	ROW(ewb_rcx_outside, ewb, PF_RCX, "RCX is not EPC")                                        \
	ROW(ewb_rdx_unaligned, ewb, SGX_GP, "RDX is not aligned to 8")                             \
	ROW(ewb_rdx_outside, ewb, PF_RDX, "RDX is not EPC")                                        \
	ROW(ewb_same_page, ewb, SGX_GP, "the slot is in the page itself")                          \
	ROW(ewb_linaddr, ewb, SGX_GP, "LINADDR is not 0")                                          \
	ROW(ewb_secs, ewb, SGX_GP, "SECS is not 0")                                                \
	ROW(ewb_pcmd_unaligned, ewb, SGX_GP, "PCMD is not aligned to 128")                         \
	ROW(ewb_srcpge_unaligned, ewb, SGX_GP, "SRCPGE is not aligned to 4096")                    \
	ROW(ewb_rcx_held, ewb, SGX_GP, "another leaf shares the page")                             \
	ROW(ewb_rdx_held, ewb, SGX_GP, "another leaf has the VA page for itself")                  \
	ROW(ewb_rcx_invalid, ewb, PF_RCX, "the page is not valid")                                 \
	ROW(ewb_rcx_unbacked, ewb, PF_RCX, "the page was never used")                              \
	ROW(ewb_rdx_invalid, ewb, PF_RDX, "the VA page is not valid")                              \
	ROW(ewb_rdx_unbacked, ewb, PF_RDX, "the VA page was never used")                           \
	ROW(ewb_rdx_type, ewb, PF_RDX, "the VA page is a REG page")                                \
	ROW(ewb_srcpge_unwritable, ewb, PF_SRCPGE, "SRCPGE cannot be written")                     \
	ROW(ewb_pcmd_unwritable, ewb, PF_SECINFO, "PCMD cannot be written")                        \
	ROW(ewb_not_blocked, ewb, SGX_PAGE_NOT_BLOCKED, "a child that is not blocked")             \
	ROW(ewb_no_track, ewb, SGX_NOT_TRACKED, "EBLOCK, no ETRACK since")                         \
	ROW(ewb_thread_inside, ewb, SGX_NOT_TRACKED, "ETRACK, a thread of before is inside")       \
	ROW(ewb_child_present, ewb, SGX_CHILD_PRESENT, "a SECS with children")                     \
	ROW(ewb_slot_occupied, ewb, SGX_VA_SLOT_OCCUPIED, "the slot is used: it goes yet")         \
	ROW(ewb_success, ewb, SGX_SUCCESS, "a child")                                              \
	ROW(ewb_success_new_thread, ewb, SGX_SUCCESS, "a thread that came after ETRACK")           \
	ROW(ewb_success_secs, ewb, SGX_SUCCESS, "a SECS without children")                         \
	ROW(ewb_success_va, ewb, SGX_SUCCESS, "a VA page into another")

#define SGX_ROWS_ELD(ROW, leaf)                                                                    \
	ROW(leaf##_rbx_unaligned, leaf, SGX_GP, "PAGEINFO is not aligned to 32")                   \
	ROW(leaf##_rcx_unaligned, leaf, SGX_GP, "RCX is not aligned to 4096")                      \
	ROW(leaf##_rcx_outside, leaf, PF_RCX, "RCX is not EPC")                                    \
	ROW(leaf##_rdx_unaligned, leaf, SGX_GP, "RDX is not aligned to 8")                         \
	ROW(leaf##_rdx_outside, leaf, PF_RDX, "RDX is not EPC")                                    \
	ROW(leaf##_pcmd_unaligned, leaf, SGX_GP, "PCMD is not aligned to 128")                     \
	ROW(leaf##_srcpge_unaligned, leaf, SGX_GP, "SRCPGE is not aligned to 4096")                \
	ROW(leaf##_rcx_held, leaf, SGX_GP, "another leaf shares the page")                         \
	ROW(leaf##_rdx_held, leaf, SGX_GP, "another leaf has the VA page for itself")              \
	ROW(leaf##_rcx_valid, leaf, PF_RCX, "the page is valid")                                   \
	ROW(leaf##_rdx_invalid, leaf, PF_RDX, "the VA page is not valid")                          \
	ROW(leaf##_rdx_unbacked, leaf, PF_RDX, "the VA page was never used")                       \
	ROW(leaf##_rdx_type, leaf, PF_RDX, "the VA page is a REG page")                            \
	ROW(leaf##_pcmd_unreadable, leaf, PF_SECINFO, "PCMD cannot be read")                       \
	ROW(leaf##_type, leaf, SGX_GP, "PCMD has a type that there is not")                        \
	ROW(leaf##_secs_unaligned, leaf, SGX_GP, "a child, SECS is not aligned to 4096")           \
	ROW(leaf##_secs_outside, leaf, PF_SECS, "a child, SECS is not EPC")                        \
	ROW(leaf##_secs_held, leaf, SGX_GP, "a child, another leaf has the SECS for itself")       \
	ROW(leaf##_secs_invalid, leaf, PF_SECS, "a child, the SECS is not valid")                  \
	ROW(leaf##_secs_unbacked, leaf, PF_SECS, "a child, the SECS was never used")               \
	ROW(leaf##_secs_type, leaf, PF_SECS, "a child, the SECS is a VA page")                     \
	ROW(leaf##_secs_of_secs, leaf, SGX_GP, "a SECS, SECS is not 0")                            \
	ROW(leaf##_secs_of_va, leaf, SGX_GP, "a VA page, SECS is not 0")                           \
	ROW(leaf##_srcpge_unreadable, leaf, PF_SRCPGE, "SRCPGE cannot be read")                    \
	ROW(leaf##_mac, leaf, SGX_MAC_COMPARE_FAIL, "another MAC")                                 \
	ROW(leaf##_permissions, leaf, SGX_MAC_COMPARE_FAIL, "other permissions")                   \
	ROW(leaf##_pcmd_reserved, leaf, SGX_MAC_COMPARE_FAIL, "a reserved byte of PCMD")           \
	ROW(leaf##_linaddr, leaf, SGX_MAC_COMPARE_FAIL, "another address")                         \
	ROW(leaf##_secs_other, leaf, SGX_MAC_COMPARE_FAIL, "the SECS of another enclave")          \
	ROW(leaf##_slot_empty, leaf, SGX_MAC_COMPARE_FAIL, "an empty slot")                        \
	ROW(leaf##_slot_other, leaf, SGX_MAC_COMPARE_FAIL, "the slot of another page")             \
	ROW(leaf##_again, leaf, SGX_MAC_COMPARE_FAIL, "the same once more")                        \
	ROW(leaf##_older, leaf, SGX_MAC_COMPARE_FAIL, "an older version of the page")              \
	ROW(leaf##_success, leaf, SGX_SUCCESS, "a child, whatever ENCLAVEID in PCMD")              \
	ROW(leaf##_success_secs, leaf, SGX_SUCCESS, "a SECS, into another page")                   \
	ROW(leaf##_success_va, leaf, SGX_SUCCESS, "a VA page")

#define SGX_ROWS_EAUG(ROW)                                                                         \
	ROW(eaug_rbx_unaligned, eaug, SGX_GP, "PAGEINFO is not aligned to 32")                     \
	ROW(eaug_rcx_unaligned, eaug, SGX_GP, "RCX is not aligned to 4096")                        \
	ROW(eaug_rcx_outside, eaug, PF_RCX, "RCX is not EPC")                                      \
	ROW(eaug_secinfo_unaligned, eaug, SGX_GP, "SECINFO is not aligned to 64")                  \
	ROW(eaug_secs_unaligned, eaug, SGX_GP, "SECS is not aligned to 4096")                      \
	ROW(eaug_linaddr_unaligned, eaug, SGX_GP, "LINADDR is not aligned to 4096")                \
	ROW(eaug_srcpge, eaug, SGX_GP, "SRCPGE is not 0")                                          \
	ROW(eaug_secs_outside, eaug, PF_SECS, "SECS is not EPC")                                   \
	ROW(eaug_rcx_held, eaug, SGX_GP, "another leaf shares the page")                           \
	ROW(eaug_rcx_valid, eaug, PF_RCX, "the page is valid")                                     \
	ROW(eaug_secinfo_unreadable, eaug, PF_SECINFO, "a SECINFO that cannot be read")            \
	ROW(eaug_secinfo, eaug, SGX_GP, "a SECINFO, which only shadow stacks have")                \
	ROW(eaug_secs_held, eaug, SGX_GP, "another leaf has the SECS for itself")                  \
	ROW(eaug_secs_invalid, eaug, PF_SECS, "the SECS is not valid")                             \
	ROW(eaug_secs_unbacked, eaug, PF_SECS, "the SECS was never used")                          \
	ROW(eaug_secs_type, eaug, PF_SECS, "the SECS is a VA page")                                \
	ROW(eaug_secs_uninitialised, eaug, SGX_GP, "before EINIT")                                 \
	ROW(eaug_linaddr_below, eaug, SGX_GP, "LINADDR is below the enclave")                      \
	ROW(eaug_linaddr_above, eaug, SGX_GP, "LINADDR is the end of the enclave")                 \
	ROW(eaug_success, eaug, SGX_SUCCESS, "a page of zeros, PENDING, RW")

#define SGX_ROWS_EMODPR(ROW)                                                                       \
	ROW(emodpr_rbx_unaligned, emodpr, SGX_GP, "SECINFO is not aligned to 64")                  \
	ROW(emodpr_rcx_unaligned, emodpr, SGX_GP, "RCX is not aligned to 4096")                    \
	ROW(emodpr_rcx_outside, emodpr, PF_RCX, "RCX is not EPC")                                  \
	ROW(emodpr_rbx_unreadable, emodpr, PF_RBX, "SECINFO cannot be read")                       \
	ROW(emodpr_flags, emodpr, SGX_GP, "a reserved bit of SECINFO.FLAGS")                       \
	ROW(emodpr_reserved, emodpr, SGX_GP, "a reserved byte of SECINFO")                         \
	ROW(emodpr_w_without_r, emodpr, SGX_GP, "W without R")                                     \
	ROW(emodpr_held, emodpr, SGX_GP, "another leaf has the page for itself")                   \
	ROW(emodpr_invalid, emodpr, PF_RCX, "the page is not valid")                               \
	ROW(emodpr_unbacked, emodpr, PF_RCX, "the page was never used")                            \
	ROW(emodpr_modified_by_other, emodpr, SGX_EPC_PAGE_CONFLICT, "another leaf modifies it")   \
	ROW(emodpr_pending, emodpr, SGX_PAGE_NOT_MODIFIABLE, "PENDING")                            \
	ROW(emodpr_modified, emodpr, SGX_PAGE_NOT_MODIFIABLE, "MODIFIED, not even a REG page")     \
	ROW(emodpr_type, emodpr, PF_RCX, "the page is a TCS")                                      \
	ROW(emodpr_uninitialised, emodpr, SGX_GP, "before EINIT")                                  \
	ROW(emodpr_success, emodpr, SGX_SUCCESS, "fewer permissions, PR")

#define SGX_ROWS_EMODT(ROW)                                                                        \
	ROW(emodt_rbx_unaligned, emodt, SGX_GP, "SECINFO is not aligned to 64")                    \
	ROW(emodt_rcx_unaligned, emodt, SGX_GP, "RCX is not aligned to 4096")                      \
	ROW(emodt_rcx_outside, emodt, PF_RCX, "RCX is not EPC")                                    \
	ROW(emodt_rbx_unreadable, emodt, PF_RBX, "SECINFO cannot be read")                         \
	ROW(emodt_flags, emodt, SGX_GP, "a reserved bit of SECINFO.FLAGS")                         \
	ROW(emodt_reserved, emodt, SGX_GP, "a reserved byte of SECINFO")                           \
	ROW(emodt_to_reg, emodt, SGX_GP, "to PT_REG")                                              \
	ROW(emodt_to_secs, emodt, SGX_GP, "to PT_SECS")                                            \
	ROW(emodt_held, emodt, SGX_EPC_PAGE_CONFLICT, "another leaf shares the page")              \
	ROW(emodt_invalid, emodt, PF_RCX, "the page is not valid")                                 \
	ROW(emodt_unbacked, emodt, PF_RCX, "the page was never used")                              \
	ROW(emodt_modified_by_other, emodt, SGX_EPC_PAGE_CONFLICT, "another leaf modifies it")     \
	ROW(emodt_tcs_to_tcs, emodt, PF_RCX, "TCS to TCS")                                         \
	ROW(emodt_trim_to_trim, emodt, PF_RCX, "TRIM to TRIM")                                     \
	ROW(emodt_trim_to_tcs, emodt, PF_RCX, "TRIM to TCS")                                       \
	ROW(emodt_secs_to_trim, emodt, PF_RCX, "SECS to TRIM")                                     \
	ROW(emodt_va_to_trim, emodt, PF_RCX, "VA to TRIM")                                         \
	ROW(emodt_pending, emodt, SGX_PAGE_NOT_MODIFIABLE, "PENDING")                              \
	ROW(emodt_modified, emodt, SGX_PAGE_NOT_MODIFIABLE, "MODIFIED")                            \
	ROW(emodt_uninitialised, emodt, SGX_GP, "before EINIT")                                    \
	ROW(emodt_success_reg_trim, emodt, SGX_SUCCESS, "REG to TRIM")                             \
	ROW(emodt_success_reg_tcs, emodt, SGX_SUCCESS, "REG to TCS")                               \
	ROW(emodt_success_tcs_trim, emodt, SGX_SUCCESS, "TCS to TRIM")

/* The checks of an operand of enclave code: a REG page of the enclave, as EPCM has it. */
#define SGX_ROWS_OPERAND(ROW, leaf, operand, PF)                                                   \
	ROW(leaf##_##operand##_unaligned, leaf, SGX_GP, #operand " is not aligned")                \
	ROW(leaf##_##operand##_outside_elrange, leaf, SGX_GP, #operand " is not in the enclave")   \
	ROW(leaf##_##operand##_outside, leaf, PF, #operand " is not EPC")                          \
	ROW(leaf##_##operand##_unbacked, leaf, PF, #operand " was never used")                     \
	ROW(leaf##_##operand##_invalid, leaf, PF, #operand " is not valid")                        \
	ROW(leaf##_##operand##_no_access, leaf, PF, #operand " has not R (W where it is written)") \
	ROW(leaf##_##operand##_pending, leaf, PF, #operand " is PENDING")                          \
	ROW(leaf##_##operand##_modified, leaf, PF, #operand " is MODIFIED")                        \
	ROW(leaf##_##operand##_blocked, leaf, PF, #operand " is BLOCKED")                          \
	ROW(leaf##_##operand##_type, leaf, PF, #operand " is a TCS")                               \
	ROW(leaf##_##operand##_other, leaf, PF, #operand " is of another enclave")                 \
	ROW(leaf##_##operand##_elsewhere, leaf, PF, #operand " has another address")

#define SGX_ROWS_EACCEPT(ROW)                                                                      \
	SGX_ROWS_OPERAND(ROW, eaccept, rbx, PF_RBX)                                                \
	ROW(eaccept_secinfo_flags, eaccept, SGX_GP, "a reserved bit of SECINFO.FLAGS")             \
	ROW(eaccept_secinfo_reserved, eaccept, SGX_GP, "a reserved byte of SECINFO")               \
	ROW(eaccept_rcx_unaligned, eaccept, SGX_GP, "RCX is not aligned to 4096")                  \
	ROW(eaccept_rcx_outside_elrange, eaccept, SGX_GP, "RCX is not in the enclave")             \
	ROW(eaccept_rcx_outside, eaccept, PF_RCX, "RCX is not EPC")                                \
	ROW(eaccept_reg_modified, eaccept, SGX_GP, "the request: REG, MODIFIED")                   \
	ROW(eaccept_reg_nothing, eaccept, SGX_GP, "the request: REG, nothing to accept")           \
	ROW(eaccept_trim_restricted, eaccept, SGX_GP, "the request: TRIM, PR")                     \
	ROW(eaccept_trim_pending, eaccept, SGX_GP, "the request: TRIM, PENDING")                   \
	ROW(eaccept_tcs_nothing, eaccept, SGX_GP, "the request: TCS, not MODIFIED")                \
	ROW(eaccept_request_secs, eaccept, SGX_GP, "the request: SECS")                            \
	ROW(eaccept_rcx_unbacked, eaccept, PF_RCX, "the page was never used")                      \
	ROW(eaccept_rcx_invalid, eaccept, PF_RCX, "the page is not valid")                         \
	ROW(eaccept_rcx_blocked, eaccept, PF_RCX, "the page is BLOCKED")                           \
	ROW(eaccept_rcx_type, eaccept, PF_RCX, "the page is a VA page")                            \
	ROW(eaccept_rcx_other, eaccept, PF_RCX, "the page is of another enclave")                  \
	ROW(eaccept_held, eaccept, SGX_GP, "another leaf has the page for itself")                 \
	ROW(eaccept_modified_by_other, eaccept, SGX_GP, "another leaf modifies it")                \
	ROW(eaccept_address, eaccept, SGX_PAGE_ATTRIBUTES_MISMATCH, "another address")             \
	ROW(eaccept_pending, eaccept, SGX_PAGE_ATTRIBUTES_MISMATCH, "PENDING differs")             \
	ROW(eaccept_modified, eaccept, SGX_PAGE_ATTRIBUTES_MISMATCH, "MODIFIED differs")           \
	ROW(eaccept_readable, eaccept, SGX_PAGE_ATTRIBUTES_MISMATCH, "R differs")                  \
	ROW(eaccept_writable, eaccept, SGX_PAGE_ATTRIBUTES_MISMATCH, "W differs")                  \
	ROW(eaccept_executable, eaccept, SGX_PAGE_ATTRIBUTES_MISMATCH, "X differs")                \
	ROW(eaccept_type, eaccept, SGX_PAGE_ATTRIBUTES_MISMATCH, "the type differs")               \
	ROW(eaccept_no_track, eaccept, SGX_NOT_TRACKED, "EMODT, no ETRACK since")                  \
	ROW(eaccept_no_track_pr, eaccept, SGX_NOT_TRACKED, "EMODPR, no ETRACK since")              \
	ROW(eaccept_thread_inside, eaccept, SGX_NOT_TRACKED, "ETRACK, a thread of before is in")   \
	ROW(eaccept_tcs_reserved, eaccept, SGX_GP, "a TCS with a reserved byte")                   \
	ROW(eaccept_tcs_dbgoptin, eaccept, SGX_GP, "a TCS with DBGOPTIN")                          \
	ROW(eaccept_tcs_cssa, eaccept, SGX_GP, "a TCS whose CSSA is NSSA")                         \
	ROW(eaccept_tcs_aep, eaccept, SGX_GP, "a TCS with an AEP")                                 \
	ROW(eaccept_tcs_state, eaccept, SGX_GP, "a TCS that is busy")                              \
	ROW(eaccept_success, eaccept, SGX_SUCCESS, "a page of EAUG, which needs no ETRACK")        \
	ROW(eaccept_success_pr, eaccept, SGX_SUCCESS, "a page of EMODPR")                          \
	ROW(eaccept_success_trim, eaccept, SGX_SUCCESS, "a page of EMODT to TRIM")                 \
	ROW(eaccept_success_tcs, eaccept, SGX_SUCCESS, "a page of EMODT to TCS")

#define SGX_ROWS_EACCEPTCOPY(ROW)                                                                  \
	SGX_ROWS_OPERAND(ROW, eacceptcopy, rbx, PF_RBX)                                            \
	ROW(eacceptcopy_rcx_unaligned, eacceptcopy, SGX_GP, "RCX is not aligned to 4096")          \
	ROW(eacceptcopy_rcx_outside_elrange, eacceptcopy, SGX_GP, "RCX is not in the enclave")     \
	ROW(eacceptcopy_rcx_outside, eacceptcopy, PF_RCX, "RCX is not EPC")                        \
	SGX_ROWS_OPERAND(ROW, eacceptcopy, rdx, PF_RDX)                                            \
	ROW(eacceptcopy_secinfo_flags, eacceptcopy, SGX_GP, "a reserved bit of SECINFO.FLAGS")     \
	ROW(eacceptcopy_secinfo_reserved, eacceptcopy, SGX_GP, "a reserved byte of SECINFO")       \
	ROW(eacceptcopy_secinfo_type, eacceptcopy, SGX_GP, "SECINFO says TCS")                     \
	ROW(eacceptcopy_w_without_r, eacceptcopy, SGX_GP, "W without R")                           \
	ROW(eacceptcopy_dest_invalid, eacceptcopy, SGX_PAGE_ATTRIBUTES_MISMATCH, "not valid")      \
	ROW(eacceptcopy_dest_unbacked, eacceptcopy, SGX_PAGE_ATTRIBUTES_MISMATCH, "never used")    \
	ROW(eacceptcopy_dest_accepted, eacceptcopy, SGX_PAGE_ATTRIBUTES_MISMATCH, "not PENDING")   \
	ROW(eacceptcopy_dest_modified, eacceptcopy, SGX_PAGE_ATTRIBUTES_MISMATCH, "MODIFIED")      \
	ROW(eacceptcopy_dest_blocked, eacceptcopy, SGX_PAGE_ATTRIBUTES_MISMATCH, "BLOCKED")        \
	ROW(eacceptcopy_dest_other, eacceptcopy, SGX_PAGE_ATTRIBUTES_MISMATCH, "other enclave")    \
	ROW(eacceptcopy_dest_address, eacceptcopy, SGX_PAGE_ATTRIBUTES_MISMATCH, "other address")  \
	ROW(eacceptcopy_modified_by_other, eacceptcopy, SGX_GP, "another leaf modifies it")        \
	ROW(eacceptcopy_success, eacceptcopy, SGX_SUCCESS, "the copy, with SECINFO's permissions")

#define SGX_ROWS_EMODPE(ROW)                                                                       \
	SGX_ROWS_OPERAND(ROW, emodpe, rbx, PF_RBX)                                                 \
	ROW(emodpe_rcx_unaligned, emodpe, SGX_GP, "RCX is not aligned to 4096")                    \
	ROW(emodpe_rcx_outside_elrange, emodpe, SGX_GP, "RCX is not in the enclave")               \
	ROW(emodpe_rcx_outside, emodpe, PF_RCX, "RCX is not EPC")                                  \
	ROW(emodpe_secinfo_flags, emodpe, SGX_GP, "a reserved bit of SECINFO.FLAGS")               \
	ROW(emodpe_secinfo_reserved, emodpe, SGX_GP, "a reserved byte of SECINFO")                 \
	ROW(emodpe_rcx_unbacked, emodpe, PF_RCX, "the page was never used")                        \
	ROW(emodpe_rcx_invalid, emodpe, PF_RCX, "the page is not valid")                           \
	ROW(emodpe_rcx_pending, emodpe, PF_RCX, "the page is PENDING")                             \
	ROW(emodpe_rcx_modified, emodpe, PF_RCX, "the page is MODIFIED")                           \
	ROW(emodpe_rcx_blocked, emodpe, PF_RCX, "the page is BLOCKED")                             \
	ROW(emodpe_rcx_type, emodpe, PF_RCX, "the page is a TCS")                                  \
	ROW(emodpe_rcx_other, emodpe, PF_RCX, "the page is of another enclave")                    \
	ROW(emodpe_rcx_elsewhere, emodpe, PF_RCX, "the page has another address")                  \
	ROW(emodpe_modified_by_other, emodpe, SGX_GP, "another leaf modifies it")                  \
	ROW(emodpe_w_without_r, emodpe, SGX_GP, "the result would be W without R")                 \
	ROW(emodpe_success, emodpe, SGX_SUCCESS, "more permissions")

#define SGX_ROWS_ENTER(ROW, leaf)                                                                  \
	ROW(leaf##_unaligned, leaf, SGX_GP, "RBX is not aligned to 4096")                          \
	ROW(leaf##_outside, leaf, PF_RBX, "RBX is not EPC")                                        \
	ROW(leaf##_held, leaf, SGX_GP, "another leaf has the TCS for itself")                      \
	ROW(leaf##_invalid, leaf, PF_RBX, "the page is not valid")                                 \
	ROW(leaf##_unbacked, leaf, PF_RBX, "the page was never used")                              \
	ROW(leaf##_blocked, leaf, PF_RBX, "BLOCKED")                                               \
	ROW(leaf##_type, leaf, PF_RBX, "a REG page")                                               \
	ROW(leaf##_modified, leaf, PF_RBX, "MODIFIED")                                             \
	ROW(leaf##_ossa, leaf, SGX_GP, "OSSA is not aligned to 4096")                              \
	ROW(leaf##_ofsbase, leaf, SGX_GP, "OFSBASGX is not aligned to 4096")                       \
	ROW(leaf##_ogsbase, leaf, SGX_GP, "OGSBASGX is not aligned to 4096")                       \
	ROW(leaf##_flags, leaf, SGX_GP, "a reserved flag of the TCS")                              \
	ROW(leaf##_uninitialised, leaf, SGX_GP, "before EINIT")                                    \
	ROW(leaf##_cssa, leaf, SGX_GP, "EENTER: CSSA is NSSA; ERESUME: CSSA is 0")                 \
	ROW(leaf##_busy, leaf, SGX_GP, "a thread is inside")                                       \
	ROW(leaf##_success, leaf, SGX_SUCCESS, "a thread more is inside")

#define SGX_ROWS_LEAVE(ROW, leaf)                                                                  \
	ROW(leaf##_idle, leaf, SGX_GP, "nobody is inside")                                         \
	ROW(leaf##_type, leaf, SGX_GP, "no TCS")                                                   \
	ROW(leaf##_success, leaf, SGX_SUCCESS, "one less inside")                                  \
	ROW(leaf##_success_evicted, leaf, SGX_SUCCESS, "evicted before: idle, no count changes")

#define SGX_ROWS_EREPORT(ROW)                                                                      \
	SGX_ROWS_OPERAND(ROW, ereport, rbx, PF_RBX)                                                \
	SGX_ROWS_OPERAND(ROW, ereport, rcx, PF_RCX)                                                \
	SGX_ROWS_OPERAND(ROW, ereport, rdx, PF_RDX)                                                \
	ROW(ereport_success, ereport, SGX_SUCCESS, "a report that its target can verify")

#define SGX_ROWS_EGETKEY(ROW)                                                                      \
	SGX_ROWS_OPERAND(ROW, egetkey, rbx, PF_RBX)                                                \
	SGX_ROWS_OPERAND(ROW, egetkey, rcx, PF_RCX)                                                \
	ROW(egetkey_reserved, egetkey, SGX_GP, "a reserved byte of KEYREQUEST")                    \
	ROW(egetkey_policy, egetkey, SGX_GP, "a reserved bit of KEYPOLICY")                        \
	ROW(egetkey_policy_kss, egetkey, SGX_GP, "a bit of KEYPOLICY that needs KSS")              \
	ROW(egetkey_config_svn_kss, egetkey, SGX_GP, "CONFIGSVN without KSS")                      \
	ROW(egetkey_name, egetkey, SGX_INVALID_KEYNAME, "a key that there is not")                 \
	ROW(egetkey_token, egetkey, SGX_INVALID_ATTRIBUTE, "EINITTOKEN without the attribute")     \
	ROW(egetkey_provision, egetkey, SGX_INVALID_ATTRIBUTE, "PROVISION without the attribute")  \
	ROW(egetkey_provision_seal, egetkey, SGX_INVALID_ATTRIBUTE, "PROVISION_SEAL, the same")    \
	ROW(egetkey_cpu_svn, egetkey, SGX_INVALID_CPUSVN, "CPUSVN is not had yet")                 \
	ROW(egetkey_isv_svn, egetkey, SGX_INVALID_ISVSVN, "ISVSVN is above the enclave's")         \
	ROW(egetkey_config_svn, egetkey, SGX_INVALID_ISVSVN, "CONFIGSVN is above the enclave's")   \
	ROW(egetkey_success_seal, egetkey, SGX_SUCCESS, "SEAL")                                    \
	ROW(egetkey_success_report, egetkey, SGX_SUCCESS, "REPORT")                                \
	ROW(egetkey_success_token, egetkey, SGX_SUCCESS, "EINITTOKEN with the attribute")          \
	ROW(egetkey_success_provision, egetkey, SGX_SUCCESS, "PROVISION* with the attribute")

/* By the file that has their tests. */
#define SGX_ROWS_BUILD(ROW) SGX_ROWS_ECREATE(ROW) SGX_ROWS_EADD(ROW) SGX_ROWS_EEXTEND(ROW)
#define SGX_ROWS_PAGE(ROW)                                                                         \
	SGX_ROWS_EREMOVE(ROW) SGX_ROWS_EDBGRD(ROW) SGX_ROWS_EDBGWR(ROW) SGX_ROWS_EBLOCK(ROW)       \
	SGX_ROWS_EPA(ROW) SGX_ROWS_ETRACK(ROW)
#define SGX_ROWS_SWAP(ROW) SGX_ROWS_EWB(ROW) SGX_ROWS_ELD(ROW, eldb) SGX_ROWS_ELD(ROW, eldu)
#define SGX_ROWS_MODIFY(ROW) SGX_ROWS_EAUG(ROW) SGX_ROWS_EMODPR(ROW) SGX_ROWS_EMODT(ROW)
#define SGX_ROWS_INSIDE(ROW) SGX_ROWS_EACCEPT(ROW) SGX_ROWS_EACCEPTCOPY(ROW) SGX_ROWS_EMODPE(ROW)
#define SGX_ROWS_THREAD(ROW)                                                                       \
	SGX_ROWS_ENTER(ROW, eenter) SGX_ROWS_ENTER(ROW, eresume)                                   \
	SGX_ROWS_LEAVE(ROW, eexit) SGX_ROWS_LEAVE(ROW, aex)
#define SGX_ROWS_KEY(ROW) SGX_ROWS_EREPORT(ROW) SGX_ROWS_EGETKEY(ROW)

#define SGX_ROWS(ROW)                                                                              \
	SGX_ROWS_BUILD(ROW) SGX_ROWS_EINIT(ROW) SGX_ROWS_PAGE(ROW) SGX_ROWS_SWAP(ROW)              \
	SGX_ROWS_MODIFY(ROW) SGX_ROWS_INSIDE(ROW) SGX_ROWS_THREAD(ROW) SGX_ROWS_KEY(ROW)

/* The manual's table of error codes, by code: every leaf that we have and that can give it. */
#define SGX_PAIRS_CODES(PAIR)                                                                      \
	PAIR(einit, SGX_INVALID_SIG_STRUCT)                                                        \
	PAIR(einit, SGX_INVALID_ATTRIBUTE) PAIR(egetkey, SGX_INVALID_ATTRIBUTE)                    \
	PAIR(eblock, SGX_BLKSTATE)                                                                 \
	PAIR(einit, SGX_INVALID_MEASUREMENT)                                                       \
	PAIR(eblock, SGX_NOTBLOCKABLE)                                                             \
	PAIR(eblock, SGX_PG_INVLD)                                                                 \
	PAIR(eblock, SGX_EPC_PAGE_CONFLICT) PAIR(emodpr, SGX_EPC_PAGE_CONFLICT)                    \
	PAIR(emodt, SGX_EPC_PAGE_CONFLICT)                                                         \
	PAIR(einit, SGX_INVALID_SIGNATURE)                                                         \
	PAIR(eldb, SGX_MAC_COMPARE_FAIL) PAIR(eldu, SGX_MAC_COMPARE_FAIL)                          \
	PAIR(ewb, SGX_PAGE_NOT_BLOCKED)                                                            \
	PAIR(ewb, SGX_NOT_TRACKED) PAIR(eaccept, SGX_NOT_TRACKED)                                  \
	PAIR(ewb, SGX_VA_SLOT_OCCUPIED)                                                            \
	PAIR(ewb, SGX_CHILD_PRESENT) PAIR(eremove, SGX_CHILD_PRESENT)                              \
	PAIR(eremove, SGX_ENCLAVE_ACT)                                                             \
	PAIR(eblock, SGX_ENTRYEPOCH_LOCKED)                                                        \
	PAIR(einit, SGX_INVALID_EINITTOKEN)                                                        \
	PAIR(etrack, SGX_PREV_TRK_INCMPL)                                                          \
	PAIR(eblock, SGX_PG_IS_SECS)                                                               \
	PAIR(eaccept, SGX_PAGE_ATTRIBUTES_MISMATCH)                                                \
	PAIR(eacceptcopy, SGX_PAGE_ATTRIBUTES_MISMATCH)                                            \
	PAIR(emodpr, SGX_PAGE_NOT_MODIFIABLE) PAIR(emodt, SGX_PAGE_NOT_MODIFIABLE)                 \
	PAIR(edbgrd, SGX_PAGE_NOT_DEBUGGABLE) PAIR(edbgwr, SGX_PAGE_NOT_DEBUGGABLE)                \
	PAIR(einit, SGX_INVALID_CPUSVN) PAIR(egetkey, SGX_INVALID_CPUSVN)                          \
	PAIR(egetkey, SGX_INVALID_ISVSVN)                                                          \
	PAIR(egetkey, SGX_INVALID_KEYNAME)

/* And the faults: the leaf's operands that must be EPC, or that are read and written. */
#define SGX_PAIRS_FAULTS(PAIR)                                                                     \
	PAIR(ecreate, SGX_GP) PAIR(ecreate, PF_RCX) PAIR(ecreate, PF_SRCPGE)                       \
	PAIR(ecreate, PF_SECINFO)                                                                  \
	PAIR(eadd, SGX_GP) PAIR(eadd, PF_RCX) PAIR(eadd, PF_SECS) PAIR(eadd, PF_SRCPGE)            \
	PAIR(eadd, PF_SECINFO)                                                                     \
	PAIR(eextend, SGX_GP) PAIR(eextend, PF_RBX) PAIR(eextend, PF_RCX)                          \
	PAIR(einit, SGX_GP) PAIR(einit, PF_RBX) PAIR(einit, PF_RCX) PAIR(einit, PF_RDX)            \
	PAIR(eremove, SGX_GP) PAIR(eremove, PF_RCX)                                                \
	PAIR(edbgrd, SGX_GP) PAIR(edbgrd, PF_RCX) PAIR(edbgwr, SGX_GP) PAIR(edbgwr, PF_RCX)        \
	PAIR(eblock, SGX_GP) PAIR(eblock, PF_RCX)                                                  \
	PAIR(epa, SGX_GP) PAIR(epa, PF_RCX)                                                        \
	PAIR(etrack, SGX_GP) PAIR(etrack, PF_RCX)                                                  \
	PAIR(ewb, SGX_GP) PAIR(ewb, PF_RCX) PAIR(ewb, PF_RDX) PAIR(ewb, PF_SRCPGE)                 \
	PAIR(ewb, PF_SECINFO)                                                                      \
	PAIR(eldb, SGX_GP) PAIR(eldb, PF_RCX) PAIR(eldb, PF_RDX) PAIR(eldb, PF_SECS)               \
	PAIR(eldb, PF_SRCPGE) PAIR(eldb, PF_SECINFO)                                               \
	PAIR(eldu, SGX_GP) PAIR(eldu, PF_RCX) PAIR(eldu, PF_RDX) PAIR(eldu, PF_SECS)               \
	PAIR(eldu, PF_SRCPGE) PAIR(eldu, PF_SECINFO)                                               \
	PAIR(eaug, SGX_GP) PAIR(eaug, PF_RCX) PAIR(eaug, PF_SECS) PAIR(eaug, PF_SECINFO)           \
	PAIR(emodpr, SGX_GP) PAIR(emodpr, PF_RBX) PAIR(emodpr, PF_RCX)                             \
	PAIR(emodt, SGX_GP) PAIR(emodt, PF_RBX) PAIR(emodt, PF_RCX)                                \
	PAIR(eaccept, SGX_GP) PAIR(eaccept, PF_RBX) PAIR(eaccept, PF_RCX)                          \
	PAIR(eacceptcopy, SGX_GP) PAIR(eacceptcopy, PF_RBX) PAIR(eacceptcopy, PF_RCX)              \
	PAIR(eacceptcopy, PF_RDX)                                                                  \
	PAIR(emodpe, SGX_GP) PAIR(emodpe, PF_RBX) PAIR(emodpe, PF_RCX)                             \
	PAIR(ereport, SGX_GP) PAIR(ereport, PF_RBX) PAIR(ereport, PF_RCX) PAIR(ereport, PF_RDX)    \
	PAIR(egetkey, SGX_GP) PAIR(egetkey, PF_RBX) PAIR(egetkey, PF_RCX)                          \
	PAIR(eenter, SGX_GP) PAIR(eenter, PF_RBX) PAIR(eresume, SGX_GP) PAIR(eresume, PF_RBX)      \
	PAIR(eexit, SGX_GP) PAIR(aex, SGX_GP)

/* Every leaf that sgx.h has, all of which can succeed. */
#define SGX_PAIRS_SUCCESS(PAIR)                                                                    \
	PAIR(ecreate, 0) PAIR(eadd, 0) PAIR(eextend, 0) PAIR(einit, 0) PAIR(eremove, 0)            \
	PAIR(edbgrd, 0) PAIR(edbgwr, 0) PAIR(eblock, 0) PAIR(epa, 0) PAIR(ewb, 0) PAIR(eldb, 0)    \
	PAIR(eldu, 0) PAIR(etrack, 0) PAIR(eaug, 0) PAIR(emodpr, 0) PAIR(emodt, 0)                 \
	PAIR(eenter, 0) PAIR(eresume, 0) PAIR(eexit, 0) PAIR(aex, 0) PAIR(eaccept, 0)              \
	PAIR(eacceptcopy, 0) PAIR(emodpe, 0) PAIR(ereport, 0) PAIR(egetkey, 0)
/* clang-format on */

#endif
