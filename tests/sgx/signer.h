/* SPDX-License-Identifier: MIT */
/*
 * A signer of enclaves for tests, with a key that is in signer.c for everybody to see.
 */
#ifndef EPCD_TESTS_SGX_SIGNER_H
#define EPCD_TESTS_SGX_SIGNER_H

#include "sgx/arch.h"

/* Everything but ENCLAVEHASH and the signature; masks that take any attributes. */
void signer_defaults(struct sgx_sigstruct *sigstruct);
/* Signs what is filled in. Remembers what it signed last, since a signature takes milliseconds. */
void signer_sign(struct sgx_sigstruct *sigstruct);

#endif
