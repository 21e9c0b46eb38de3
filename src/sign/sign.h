/* SPDX-License-Identifier: MIT */
/*
 * Making SIGSTRUCTs: what the signer of an enclave does, with a key of his own. What a processor
 * makes of one is in sgx/sigstruct.h.
 *
 *   sign_defaults     a SIGSTRUCT that lacks ENCLAVEHASH and a signature
 *   sign_sigstruct    signs one that is filled in
 *   sign_key_*        keys: RSA of 3072 bits with exponent 3, as PEM files
 */
#ifndef EPCD_SIGN_SIGN_H
#define EPCD_SIGN_SIGN_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "sgx/arch.h"

/*
 * Fills in the headers, and: any vendor but Intel, no date, ATTRIBUTES = MODE64BIT and XFRM = 3;
 * masks that leave DEBUG, and the features of XFRM beyond x87 and SSE, to whoever creates the
 * enclave, and nothing else; the rest 0.
 */
void sign_defaults(struct sgx_sigstruct *sigstruct);

/*
 * Fills in MODULUS, EXPONENT, SIGNATURE, Q1 and Q2 over the rest, whatever that is: also over what
 * no processor will take. key is borrowed. The same fields and key give the same bytes.
 * Errors, with sigstruct as it was: -EINVAL: not a key as above; -EACCES: it has no private part;
 * -ENOMEM; -EIO: libcrypto failed otherwise.
 */
int sign_sigstruct(struct sgx_sigstruct *sigstruct, EVP_PKEY *key);

/* Whether it is RSA of 3072 bits with exponent 3, which is all that a processor takes. */
bool sign_key_is_right(const EVP_PKEY *key);

/* A new key, which takes a second or so; NULL: libcrypto failed. EVP_PKEY_free() takes it back. */
EVP_PKEY *sign_key_new(void);

/* The private key in a PEM file. Errors: -EBADMSG: there is none in it; -errno of opening it. */
int sign_key_read(const char *path, EVP_PKEY **key);

/*
 * Writes it unencrypted as PEM into a new file that only its owner may read. Errors: -EEXIST: the
 * file is there already and stays as it is; -errno; -EIO. Half a file is removed.
 */
int sign_key_write(const char *path, const EVP_PKEY *key);

#endif
