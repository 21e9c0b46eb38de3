/* SPDX-License-Identifier: MIT */
/*
 * What a processor finds in a SIGSTRUCT by itself, without an enclave: also for tools that make
 * and show them. What EINIT compares with the enclave does not belong here.
 */
#ifndef EPCD_SGX_SIGSTRUCT_H
#define EPCD_SGX_SIGSTRUCT_H

#include <stdbool.h>
#include <stdint.h>

#include "sgx/arch.h"

#define SGX_PADDING_SIZE 352u /* EM is PADDING and a digest: PKCS #1 v1.5 with SHA-256 */

/* The only HEADER and HEADER2 that there are. */
extern const uint8_t sigstruct_header[16], sigstruct_header2[16];

/*
 * HEADER, VENDOR, HEADER2, EXPONENT and what is reserved; else EINIT gives
 * SGX_INVALID_SIG_STRUCT. sigstruct: a copy that nobody else can change.
 */
bool sigstruct_is_well_formed(const struct sgx_sigstruct *sigstruct);

/*
 * RSA-3072 with exponent 3, by Q1 and Q2 as the processor does; else EINIT gives
 * SGX_INVALID_SIGNATURE. Without memory nothing is signed. padding: top 352 bytes of EM, written
 * only when the result is true.
 */
bool sigstruct_is_signed(const struct sgx_sigstruct *sigstruct, uint8_t padding[352]);

/* MRSIGNER: SHA-256 of MODULUS as it lies there. */
void sigstruct_signer(const struct sgx_sigstruct *sigstruct, uint8_t mrsigner[32]);

/* What is signed: SHA-256 of bytes 0 to 127 and 900 to 1027. */
void sigstruct_digest(const struct sgx_sigstruct *sigstruct, uint8_t digest[32]);

#endif
