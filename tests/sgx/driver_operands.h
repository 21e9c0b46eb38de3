/* SPDX-License-Identifier: MIT */
/* What the leaves of the driver are drawn with (driver_leaves.c, driver_operands.c). */
#ifndef EPCD_TESTS_SGX_DRIVER_OPERANDS_H
#define EPCD_TESTS_SGX_DRIVER_OPERANDS_H

#include "driver.h"

typedef bool page_is_fn(const struct driver *driver, uint32_t page);

page_is_fn page_is_valid, page_is_free, page_is_secs, page_is_building, page_is_initialised;
page_is_fn page_is_child, page_is_parentless, page_is_added, page_is_blocked, page_is_changed;
page_is_fn page_is_tcs, page_is_busy, page_is_interrupted, page_is_data, page_is_va;
page_is_fn page_is_acceptable;

/* One for which it is so, if there is any; else any page. */
uint32_t pick_page(struct driver *driver, page_is_fn *is_fitting);
/* The SECS of a child; else any page. */
uint32_t owner_of(struct driver *driver, uint32_t page);
/* Of that id, if it is in the EPC; else any SECS. */
uint32_t secs_with_id(struct driver *driver, uint64_t id);
/* A page that the enclave can read; else any page. */
uint32_t data_page_of(struct driver *driver, uint32_t secs);

struct sgx_epc operand_page(struct driver *driver, uint32_t page);
struct sgx_epc operand_slot(struct driver *driver);
/* driver->info, with the source. secs: SGX_PAGE_OUTSIDE for none. */
void operand_info(struct driver *driver, uint32_t secs, uint64_t linaddr, uint64_t flags);
/* In the enclave, or near it. */
uint64_t operand_linaddr(struct driver *driver, uint32_t secs);
/* driver->sigstruct and driver->token. */
struct model_signed operand_sigstruct(struct driver *driver, uint32_t secs);
/* For enclave code: by the address in the EPCM. */
struct sgx_epc operand_inside(struct driver *driver, uint32_t page);
/* A SECINFO that the enclave has written somewhere in a page of its own. */
struct sgx_epc operand_secinfo(struct driver *driver, uint32_t secs, uint64_t flags);
/* What EACCEPT must be asked for, mostly. */
uint64_t request_for(struct driver *driver, uint32_t page);

/* Whether this operand is to be spoilt. */
bool is_spoilt(struct driver *driver);
void spoil_page(struct driver *driver, struct sgx_epc *operand);
void spoil_memory(struct driver *driver, struct sgx_memory *memory);
void spoil_secinfo(struct driver *driver, struct sgx_secinfo *secinfo);
void spoil_secs(struct driver *driver, struct sgx_secs *secs);
/* These two decide by themselves whether. */
void spoil_info_and_page(struct driver *driver, struct sgx_epc *rcx);
void spoil_inside(struct driver *driver, uint32_t *secs, struct sgx_epc *operand);

#endif
