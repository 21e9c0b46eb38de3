/* SPDX-License-Identifier: MIT */
/* What the files of the model share (model.c). */
#ifndef EPCD_TESTS_SGX_MODEL_PARTS_H
#define EPCD_TESTS_SGX_MODEL_PARTS_H

#include "model.h"

#define PF_RBX SGX_PF(SGX_OPERAND_RBX)
#define PF_RCX SGX_PF(SGX_OPERAND_RCX)
#define PF_RDX SGX_PF(SGX_OPERAND_RDX)
#define PF_SECS SGX_PF(SGX_OPERAND_SECS)
#define PF_SRCPGE SGX_PF(SGX_OPERAND_SRCPGE)
#define PF_SECINFO SGX_PF(SGX_OPERAND_SECINFO)

bool is_broken(const struct model *model, enum model_break how);
bool is_multiple(uint64_t address, uint64_t of);
bool is_all_zero(const void *bytes, size_t size);
/* Addresses of 48 bits, sign-extended. */
bool is_sign_extended(uint64_t address);
bool is_epc(struct sgx_epc operand);
/* The page, if it is valid. */
struct model_page *valid_page(struct model *model, struct sgx_epc operand);
/* The page, if it is a valid SECS. */
struct model_page *valid_secs(struct model *model, struct sgx_epc operand);
/* The page, if something can be put there. */
struct model_page *empty_page(struct model *model, struct sgx_epc operand);
bool is_child_type(enum sgx_page_type type);
bool is_in_range(const struct model_secs *enclave, uint64_t address);
/* Of an operand: its page is not held so, by its number. */
bool is_free_for_all(const struct model *model, struct sgx_epc operand); /* Exclusive can be had */
bool is_shareable(const struct model *model, struct sgx_epc operand);
bool is_held_as(const struct model *model, uint32_t page, enum sgx_hold kind);

bool secinfo_is_clean(const struct sgx_secinfo *secinfo, uint64_t flags);
enum sgx_page_type type_of(uint64_t flags);
uint64_t flags_of(const struct model_page *page);
/* W without R. */
bool is_write_only(uint64_t flags);
/* Makes it valid, of that type, with those permissions, and nothing else. */
void make_child(struct model_page *page, uint32_t secs, uint64_t linaddr, uint64_t flags);
void make_parentless(struct model_page *page, enum sgx_page_type type);
void drop_page(struct model *model, uint32_t page);

void begin_tracking(struct model *model, struct model_page *page);
bool is_tracked(const struct model *model, const struct model_page *page);
/* A thread that counts, of that enclave, which entered in that epoch or before. */
bool has_thread_since(const struct model *model, uint32_t secs, uint64_t epoch);
struct sgx_tcs tcs_in(const struct model_page *page);
void put_tcs(struct model_page *page, const struct sgx_tcs *tcs);

#endif
