/* SPDX-License-Identifier: MIT */
/* The keys of signers: made, judged, read from and written to PEM files. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <unistd.h>

#include "sign/sign.h"

#define KEY_BITS 3072
#define EXPONENT 3u

bool sign_key_is_right(const EVP_PKEY *key)
{
	BIGNUM *exponent = NULL;
	bool is_right = EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) == KEY_BITS &&
			EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
			BN_is_word(exponent, EXPONENT);

	BN_free(exponent);
	ERR_clear_error();
	return is_right;
}

EVP_PKEY *sign_key_new(void)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *exponent = BN_new();
	EVP_PKEY *key = NULL;

	if (context && exponent && BN_set_word(exponent, EXPONENT) &&
	    EVP_PKEY_keygen_init(context) == 1 &&
	    EVP_PKEY_CTX_set_rsa_keygen_bits(context, KEY_BITS) == 1 &&
	    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent) == 1)
		EVP_PKEY_generate(context, &key);
	BN_free(exponent);
	EVP_PKEY_CTX_free(context);
	ERR_clear_error();
	return key;
}

int sign_key_read(const char *path, EVP_PKEY **key)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	*key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	ERR_clear_error();
	return *key ? 0 : -EBADMSG;
}

/* 0 or -errno; takes file. */
static int key_write_file(FILE *file, const EVP_PKEY *key)
{
	int error = 0;

	if (PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1)
		error = -EIO;
	errno = EIO;
	if (fclose(file) != 0)
		error = -errno;
	ERR_clear_error();
	return error;
}

int sign_key_write(const char *path, const EVP_PKEY *key)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *file;
	int error;

	if (fd < 0)
		return -errno;
	file = fdopen(fd, "w");
	if (file) {
		error = key_write_file(file, key);
	} else {
		error = -errno;
		close(fd);
	}
	if (error)
		unlink(path);
	return error;
}
