/* SPDX-License-Identifier: MIT */
/* A SIGSTRUCT in words, and what a processor would say of it. Nothing is changed here. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "sgx/sigstruct.h"
#include "sign/tool.h"

#define HEX_MAX 32u /* bytes of the longest string of hex digits */
#define NAMES_MAX 64u

/* What is not in the SIGSTRUCT itself but follows from it. */
struct finding {
	uint8_t mrsigner[32];
	bool is_well_formed, is_signed;
};

static const char *hex(const uint8_t *bytes, size_t size, char text[2 * HEX_MAX + 1])
{
	for (size_t i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return text;
}

static void line_hex(const char *name, const uint8_t *bytes, size_t size)
{
	char text[2 * HEX_MAX + 1];

	printf("%-13s %s\n", name, hex(bytes, size, text));
}

static void line_masked(const char *name, uint64_t value, uint64_t mask, const char *names)
{
	printf("%-13s 0x%" PRIx64 "%s%s%s, mask 0x%" PRIx64 "\n", name, value, *names ? " (" : "",
	       names, *names ? ")" : "", mask);
}

static int show_text(const struct sgx_sigstruct *s, const struct finding *finding)
{
	char names[NAMES_MAX];

	line_hex("MRENCLAVE", s->enclave_hash, sizeof(s->enclave_hash));
	line_hex("MRSIGNER", finding->mrsigner, sizeof(finding->mrsigner));
	printf("%-13s %s\n", "form",
	       finding->is_well_formed ? "right" : "wrong: EINIT gives SGX_INVALID_SIG_STRUCT");
	printf("%-13s %s\n", "signature",
	       finding->is_signed ? "right" : "wrong: EINIT gives SGX_INVALID_SIGNATURE");
	line_masked("ATTRIBUTES", s->attributes.flags, s->attribute_mask.flags,
		    value_attribute_names(s->attributes.flags, names, sizeof(names)));
	line_masked("XFRM", s->attributes.xfrm, s->attribute_mask.xfrm, "");
	line_masked("MISCSELECT", s->miscselect, s->miscmask, "");
	line_masked("CET", s->cet[0], s->cet[1], "");
	printf("%-13s %u\n", "ISVPRODID", s->isv_prod_id);
	printf("%-13s %u\n", "ISVSVN", s->isv_svn);
	line_hex("ISVFAMILYID", s->isv_family_id, sizeof(s->isv_family_id));
	line_hex("ISVEXTPRODID", s->isv_ext_prod_id, sizeof(s->isv_ext_prod_id));
	printf("%-13s 0x%x\n", "VENDOR", s->vendor);
	printf("%-13s %04x-%02x-%02x\n", "DATE", s->date >> 16, s->date >> 8 & 0xff,
	       s->date & 0xff);
	printf("%-13s 0x%x\n", "SWDEFINED", s->swdefined);
	return 0;
}

/* json_object_set_new() with its answer added up: 0 as long as all went well. */
static int set_hex(json_t *object, const char *name, const uint8_t *bytes, size_t size)
{
	char text[2 * HEX_MAX + 1];

	return json_object_set_new(object, name, json_string(hex(bytes, size, text)));
}

/* As text: JSON's readers differ in what they make of 64 bits. */
static int set_bits(json_t *object, const char *name, uint64_t value)
{
	return json_object_set_new(object, name, json_sprintf("0x%" PRIx64, value));
}

/* 0, or not: no memory. */
static int json_fill(json_t *object, const struct sgx_sigstruct *s, const struct finding *finding)
{
	return set_hex(object, "mrenclave", s->enclave_hash, sizeof(s->enclave_hash)) |
	       set_hex(object, "mrsigner", finding->mrsigner, sizeof(finding->mrsigner)) |
	       json_object_set_new(object, "is_well_formed",
				   json_boolean(finding->is_well_formed)) |
	       json_object_set_new(object, "is_signed", json_boolean(finding->is_signed)) |
	       set_bits(object, "attributes", s->attributes.flags) |
	       set_bits(object, "attribute_mask", s->attribute_mask.flags) |
	       set_bits(object, "xfrm", s->attributes.xfrm) |
	       set_bits(object, "xfrm_mask", s->attribute_mask.xfrm) |
	       set_bits(object, "misc", s->miscselect) |
	       set_bits(object, "misc_mask", s->miscmask) | set_bits(object, "cet", s->cet[0]) |
	       set_bits(object, "cet_mask", s->cet[1]) |
	       json_object_set_new(object, "prod_id", json_integer(s->isv_prod_id)) |
	       json_object_set_new(object, "svn", json_integer(s->isv_svn)) |
	       set_hex(object, "family_id", s->isv_family_id, sizeof(s->isv_family_id)) |
	       set_hex(object, "ext_prod_id", s->isv_ext_prod_id, sizeof(s->isv_ext_prod_id)) |
	       set_bits(object, "vendor", s->vendor) |
	       json_object_set_new(object, "date",
				   json_sprintf("%04x-%02x-%02x", s->date >> 16,
						s->date >> 8 & 0xff, s->date & 0xff)) |
	       set_bits(object, "swdefined", s->swdefined);
}

static int show_json(const struct sgx_sigstruct *s, const struct finding *finding)
{
	json_t *object = json_object();
	int error = json_fill(object, s, finding);

	if (error)
		errno = ENOMEM;
	else
		error = json_dumpf(object, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF;
	json_decref(object);
	return error;
}

/* Exactly the 1808 bytes. Returns an enum tool_exit. */
static int sigstruct_read(const char *path, struct sgx_sigstruct *sigstruct)
{
	FILE *file = fopen(path, "re");
	size_t size;
	int result = TOOL_EXIT_OK;

	if (!file)
		return tool_error_file(path, "%s", strerror(errno));
	size = fread(sigstruct, 1, sizeof(*sigstruct), file);
	if (ferror(file))
		result = tool_error_file(path, "%s", strerror(errno));
	else if (size < sizeof(*sigstruct))
		result = tool_error_file(path, "it has %zu bytes, a SIGSTRUCT has %zu", size,
					 sizeof(*sigstruct));
	else if (fgetc(file) != EOF)
		result = tool_error_file(path, "it has more than the %zu bytes of a SIGSTRUCT",
					 sizeof(*sigstruct));
	fclose(file);
	return result;
}

int show_file(const char *path, bool is_json)
{
	uint8_t padding[SGX_PADDING_SIZE];
	struct sgx_sigstruct sigstruct;
	struct finding finding;
	int result = sigstruct_read(path, &sigstruct);

	if (result != TOOL_EXIT_OK)
		return result;
	sigstruct_signer(&sigstruct, finding.mrsigner);
	finding.is_well_formed = sigstruct_is_well_formed(&sigstruct);
	finding.is_signed = sigstruct_is_signed(&sigstruct, padding);
	result = is_json ? show_json(&sigstruct, &finding) : show_text(&sigstruct, &finding);
	if (result != 0 || fflush(stdout) != 0 || ferror(stdout)) {
		tool_error("cannot write to the standard output: %s", strerror(errno));
		return TOOL_EXIT_PROBLEM;
	}
	return finding.is_well_formed && finding.is_signed ? TOOL_EXIT_OK : TOOL_EXIT_PROBLEM;
}
