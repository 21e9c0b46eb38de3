/* SPDX-License-Identifier: MIT */
/* See signer.h. */
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "sign/sign.h"
#include "signer.h"

#define NR_REMEMBERED 256u /* a power of two */

/* RSA, 3072 bits, exponent 3. Made for these tests; it protects nothing. */
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MIIG/gIBADANBgkqhkiG9w0BAQEFAASCBugwggbkAgEAAoIBgQDAYrU06BuCOiqM\n"
			      "8ff+qgATwa1oP1DYBi+GBmPN7A4jQhy72SZbqhQF8HDS+q4Wq0C4I5gvu641nKaw\n"
			      "GHAOtfaZ7NSlPZlFhsuZeY2WYm68+TD3vFQTqsK0Mfwci8rJ1++cYLS75ITsNE7V\n"
			      "ejWiTmOVWI7VMgaRMRIyRUglarM8G/sJTaVFNjh74gU/TWIy2CUILVJ40sWZYnAG\n"
			      "s/dBeQg174UPR+kWnpi0Q1/U2Uem06pnRaL+B3TEJQA3Q555sZL+Aze1Fe6p1k1G\n"
			      "uArH9VBIfBTvB2eLCWnv1t6Qcxh0jk5PC7SgIitLZlNBN1XHf82ItwN+7/Ll+Hc6\n"
			      "xjYEKd1Rk0KmqLPeBRyBRIO0kNVF1d0mA/t3JtQ3AYB502jcj2AbXclADC7Y11Bm\n"
			      "QUu8yMmrqxgG3hfLhF9SnXU1GZqMHQHp/JXle6/gffdafIyWOsFT7bVHv5oF/92R\n"
			      "0MJnHyf4x9rEyhLNNBPfYWkbQI0a83yiHyqQ/20+2okPZzNMRQ8CAQMCggGBAIBB\n"
			      "ziNFZ6wmxwihT/8cAA0ryPAqNeVZdQQEQolICWzWvdKQxD0cDVlK9eH8dA8c1dAX\n"
			      "usp9Hs5obyAQSrR5TxFIjcN+Zi5Z3RD7s7mW9H37dfp9jWJx1yLL/WhdMdvlSmhA\n"
			      "eH1DA0gi3zj8I8GJl7jltI4hWbYgtswuMBjxzNK9UgYzw4N5ev1BWNTeQXc6w1rI\n"
			      "4aXh2RDsSq8ipNZQsCP1A1+FRg8UZc2CP+M7hRnicZoubKlaTdgYqs+CaaZ2YNYJ\n"
			      "hibrpDE4Mm2O7nntu/GP7l3vdwzdde9zD3B5uhGPKw5lLug7cEpQn4kTZ0+kaZCV\n"
			      "BnMrAYhigQh5V0XdD9BNxivlr25r5O1RdJn07/pq72fUN6XxLMEwJUMHjzPeF9Tj\n"
			      "Lo1iVVkJai+YnjFzfplRrw8p4XS8bY/0jFwPfy7ZZSVoodHonW0dR3linmhjENJ0\n"
			      "vbJkfqsm4f9JAruP3jUH/pMDYfqJLQ55HSwHI5yLQ/taxEtMlTu7iTLiUWu5KwKB\n"
			      "wQDuKQmDV5c5igD0xznTMLP196nqlWxbwQxbHju/Uus04+fwj3HGsEK/U+f1jueo\n"
			      "ee9AWyQsv/1aMqgi6L1BoseGMqmFjSlgK24EzeSTE7dXdRGtVazP83Z17lJCvhQt\n"
			      "TtN/cK9k0e4qjWUkCrDMIXVZY3ssUuyU7YWEEPlGeDaHKmHEuwPD9Y92rp94leLF\n"
			      "S+mluB2cYGMhsuSFarAiO+ql5x4wpnoFtakNDh2XQe77nHv390jmII0I2l948EUZ\n"
			      "Ry8CgcEAzsvk91zhJngArZprPeACaCyFd4rIm/wsrYwLqGmWJVOlyOR8fRjAHJl7\n"
			      "/gtTJ48/73xVpW9zPzINiyd12bt+Euvv30MDWDfXGHxwOo219sBkXO/7Lkman0r2\n"
			      "Uon94XNo3JhUBybAqLvL+tGtpnoWbE0WQ8xZB3w1dp2pZIolPqyIbSSfZqk0RiNs\n"
			      "q9K8NFo+coZ7H8h445KmDXiOK4twA1S+t56Fz7CnPJ2fwfPotIYasR+7OewAXGbb\n"
			      "yiN0EWghAoHBAJ7GBlePuiZcAKMve+Igd/lPxpxjnZKAsudpfSo3R3iX7/W09oR1\n"
			      "gdTimqO0mnBRSirnbXMqqObMcBdF04EXL67McQOzcOrHnq3emGINJOT4tnOOczVM\n"
			      "+aP0NtcpYsjfN6pLH5iL9BxeQ21cdd1ro5Ds/Mg3SGNJA61gpi76zwTG69h8rS1O\n"
			      "X6R0alBj7IOH8RklaRLq7MEh7a5HIBbSnG6aFCBu/APOcLNevmTWn1JoUqVPhe7A\n"
			      "XgXm6lCgLhDaHwKBwQCJ3UNPk0DEUABzvEd+lVbwHa5PsdsSqB3JCAfFm7luN8Pb\n"
			      "Qv2ouyq9u6f+sjdvtNVKUuPDn6IqIV5cxPk70lQMnUqU11eQJToQUvV8XnlPKu2T\n"
			      "Sqd0MRG/h07hsVProkXoZY1aGdXF0of8i8kZprmdiLmCiDtaUs5PE8ZDBsN/HbBI\n"
			      "wxTvG3guwkhyjH14PCmhrvy/2vtCYcQI+wlyXPVXjdR6aa6KdcTTE7/WopsjBBHL\n"
			      "anzRSAA9mefcF6K2RWsCgcEAtROgHv/QWY5rWp8l0SUXQpNtjiubmJFiaTMBq19w\n"
			      "8bJbr2VFisoNQJy1Oxo/CA86zyNtf9WHhroKsXztpRryNkRrcrEY7/k1mHHT9Hcc\n"
			      "t02Xo8uvE2/4L0DKAKOxnhyl1RqNUxM6J0xagZwId6hEsApEOYD+9tqH93p577zq\n"
			      "z9LL/gDNv6ubUew5do4XpxkFbUC5Jpu5xGKwu2jNA8u51chqAMSfseoXxNJRgfeV\n"
			      "wHSCrQjRY1RR9sBl/clKqWza\n"
			      "-----END PRIVATE KEY-----\n";

static EVP_PKEY *key(void)
{
	static EVP_PKEY *key;

	if (!key) {
		BIO *bio = BIO_new_mem_buf(key_pem, -1);

		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
		BIO_free(bio);
	}
	return key;
}

void signer_defaults(struct sgx_sigstruct *sigstruct)
{
	sign_defaults(sigstruct);
	sigstruct->attribute_mask = (struct sgx_attributes){ 0 };
	sigstruct->miscmask = 0;
}

static size_t place_of(const struct sgx_sigstruct *sigstruct)
{
	size_t place = 0;

	for (size_t i = 0; i < sizeof(sigstruct->enclave_hash); i++)
		place = place * 31 + sigstruct->enclave_hash[i];
	return place % NR_REMEMBERED;
}

void signer_sign(struct sgx_sigstruct *sigstruct)
{
	static struct {
		struct sgx_sigstruct unsigned_, signed_;
	} remembered[NR_REMEMBERED];
	size_t place = place_of(sigstruct);

	memset(sigstruct->modulus, 0, sizeof(sigstruct->modulus));
	memset(sigstruct->signature, 0, sizeof(sigstruct->signature));
	memset(sigstruct->q1, 0, sizeof(sigstruct->q1));
	memset(sigstruct->q2, 0, sizeof(sigstruct->q2));
	if (memcmp(&remembered[place].unsigned_, sigstruct, sizeof(*sigstruct)) == 0) {
		*sigstruct = remembered[place].signed_;
		return;
	}
	remembered[place].unsigned_ = *sigstruct;
	if (sign_sigstruct(sigstruct, key()) != 0)
		abort();
	remembered[place].signed_ = *sigstruct;
}
