/* SPDX-License-Identifier: MIT */
/* epcsign: the command line, and what is done for it. Fields of the SIGSTRUCT are a table. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "sgx/sigstruct.h"
#include "sign/sign.h"
#include "sign/tool.h"

/* Beyond every character, so that optopt tells them from a short option, of which there is none. */
enum {
	OPTION_KEY = 256,
	OPTION_NEW_KEY,
	OPTION_HASH,
	OPTION_PAGES,
	OPTION_OUT,
	OPTION_SHOW,
	OPTION_JSON,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_ATTRIBUTES, /* from here on: fields */
	OPTION_ATTRIBUTE_MASK,
	OPTION_XFRM,
	OPTION_XFRM_MASK,
	OPTION_MISC,
	OPTION_MISC_MASK,
	OPTION_PROD_ID,
	OPTION_SVN,
	OPTION_FAMILY_ID,
	OPTION_EXT_PROD_ID,
	OPTION_VENDOR,
	OPTION_DATE,
	OPTION_SWDEFINED,
};

static const struct option long_options[] = {
	{ "key", required_argument, NULL, OPTION_KEY },
	{ "new-key", required_argument, NULL, OPTION_NEW_KEY },
	{ "hash", required_argument, NULL, OPTION_HASH },
	{ "pages", required_argument, NULL, OPTION_PAGES },
	{ "out", required_argument, NULL, OPTION_OUT },
	{ "show", required_argument, NULL, OPTION_SHOW },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "attributes", required_argument, NULL, OPTION_ATTRIBUTES },
	{ "attribute-mask", required_argument, NULL, OPTION_ATTRIBUTE_MASK },
	{ "xfrm", required_argument, NULL, OPTION_XFRM },
	{ "xfrm-mask", required_argument, NULL, OPTION_XFRM_MASK },
	{ "misc", required_argument, NULL, OPTION_MISC },
	{ "misc-mask", required_argument, NULL, OPTION_MISC_MASK },
	{ "prod-id", required_argument, NULL, OPTION_PROD_ID },
	{ "svn", required_argument, NULL, OPTION_SVN },
	{ "family-id", required_argument, NULL, OPTION_FAMILY_ID },
	{ "ext-prod-id", required_argument, NULL, OPTION_EXT_PROD_ID },
	{ "vendor", required_argument, NULL, OPTION_VENDOR },
	{ "date", required_argument, NULL, OPTION_DATE },
	{ "swdefined", required_argument, NULL, OPTION_SWDEFINED },
	{ NULL, 0, NULL, 0 },
};

enum field_kind {
	FIELD_NUMBER,
	FIELD_ATTRIBUTES,
	FIELD_DATE,
	FIELD_HEX,
};

/* Where an option's value goes. */
static const struct field {
	int option;
	enum field_kind kind;
	size_t offset, size;
} fields[] = {
#define FIELD(option, kind, member)                                   \
	{                                                             \
		option, kind, offsetof(struct sgx_sigstruct, member), \
			sizeof(((struct sgx_sigstruct *)0)->member)   \
	}
	FIELD(OPTION_ATTRIBUTES, FIELD_ATTRIBUTES, attributes.flags),
	FIELD(OPTION_ATTRIBUTE_MASK, FIELD_ATTRIBUTES, attribute_mask.flags),
	FIELD(OPTION_XFRM, FIELD_NUMBER, attributes.xfrm),
	FIELD(OPTION_XFRM_MASK, FIELD_NUMBER, attribute_mask.xfrm),
	FIELD(OPTION_MISC, FIELD_NUMBER, miscselect),
	FIELD(OPTION_MISC_MASK, FIELD_NUMBER, miscmask),
	FIELD(OPTION_PROD_ID, FIELD_NUMBER, isv_prod_id),
	FIELD(OPTION_SVN, FIELD_NUMBER, isv_svn),
	FIELD(OPTION_FAMILY_ID, FIELD_HEX, isv_family_id),
	FIELD(OPTION_EXT_PROD_ID, FIELD_HEX, isv_ext_prod_id),
	FIELD(OPTION_VENDOR, FIELD_NUMBER, vendor),
	FIELD(OPTION_DATE, FIELD_DATE, date),
	FIELD(OPTION_SWDEFINED, FIELD_NUMBER, swdefined),
#undef FIELD
};

#define NR_FIELDS (sizeof(fields) / sizeof(fields[0]))

struct command {
	const char *key, *new_key, *hash, *pages, *out, *show;
	bool is_json, has_field;
	struct sgx_sigstruct sigstruct;
};

void tool_error(const char *format, ...)
{
	va_list arguments;

	fputs("epcsign: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

int tool_error_file(const char *path, const char *format, ...)
{
	char *shown = text_escape_string_new(path);
	va_list arguments;

	fprintf(stderr, "epcsign: %s: ", shown ? shown : "?");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	free(shown);
	return TOOL_EXIT_PROBLEM;
}

static void help_print(void)
{
	puts("usage: epcsign --key KEY.pem (--hash HEX | --pages FILE) [FIELD]... --out FILE\n"
	     "       epcsign --new-key KEY.pem [(--hash HEX | --pages FILE) [FIELD]... --out "
	     "FILE]\n"
	     "       epcsign --show FILE [--json]\n"
	     "\n"
	     "  --key KEY.pem       the private key to sign with: RSA-3072, exponent 3\n"
	     "  --new-key KEY.pem   make such a key first\n"
	     "  --hash HEX          MRENCLAVE of the enclave, 64 digits\n"
	     "  --pages FILE        or what it is computed from: the measured blocks (SGXS)\n"
	     "  --out FILE          where the SIGSTRUCT goes, 1808 bytes\n"
	     "  --show FILE         print a SIGSTRUCT, and whether a processor takes it\n"
	     "  --json              as JSON\n"
	     "  --version, --help\n"
	     "\n"
	     "fields, as decimal or 0x numbers; ~ before one inverts it:\n"
	     "  --attributes FLAGS, --attribute-mask FLAGS    (default mode64bit and ~debug)\n"
	     "                      or names: debug,mode64bit,provisionkey,einittokenkey,kss\n"
	     "  --xfrm BITS, --xfrm-mask BITS                 (default 3 and ~0x602e4)\n"
	     "  --misc BITS, --misc-mask BITS                 (default 0 and ~0)\n"
	     "  --prod-id N, --svn N                          (default 0)\n"
	     "  --family-id HEX, --ext-prod-id HEX            (default 0; for enclaves with KSS)\n"
	     "  --vendor N, --swdefined N                     (default 0)\n"
	     "  --date YYYY-MM-DD                             (default today, UTC)");
}

static int usage(const char *what, const char *word)
{
	char *shown = text_escape_string_new(word);

	tool_error("%s%s; see `epcsign --help`", what, shown ? shown : "");
	free(shown);
	return TOOL_EXIT_USAGE;
}

/* What getopt_long() found wrong: optopt is a character, a long option's number, or 0. */
static int option_usage(int option, char **argv)
{
	char short_option[] = { '-', (char)optopt, '\0' };

	if (option == ':')
		return usage("a value is missing after ", argv[optind - 1]);
	if (optopt >= OPTION_KEY)
		return usage("no value belongs to ", argv[optind - 1]);
	return usage("no such option: ", optopt ? short_option : argv[optind - 1]);
}

static const char *option_name(int option)
{
	size_t i = 0;

	while (long_options[i].val != option)
		i++;
	return long_options[i].name;
}

/* Says what a field's value ought to be. */
static int field_usage(const struct field *field, const char *text, int error)
{
	char *shown = text_escape_string_new(text);
	const char *name = option_name(field->option), *value = shown ? shown : "?";

	if (error == -ERANGE)
		tool_error("--%s %s is too large: it has %zu bits", name, value, 8 * field->size);
	else if (field->kind == FIELD_HEX)
		tool_error("--%s takes %zu hexadecimal digits, not %s", name, 2 * field->size,
			   value);
	else if (field->kind == FIELD_DATE)
		tool_error("--%s takes a date as 2024-01-31, not %s", name, value);
	else if (field->kind == FIELD_ATTRIBUTES)
		tool_error("--%s takes a number or names (debug,mode64bit,provisionkey,"
			   "einittokenkey,kss), not %s",
			   name, value);
	else
		tool_error("--%s takes a number such as 3, 0x3 or ~0x3, not %s", name, value);
	free(shown);
	return TOOL_EXIT_USAGE;
}

static int field_set(struct command *command, const struct field *field, const char *text)
{
	uint8_t *place = (uint8_t *)&command->sigstruct + field->offset;
	uint64_t value = 0;
	uint32_t date = 0;
	int error = 0;

	switch (field->kind) {
	case FIELD_NUMBER:
		error = value_number(text, UINT64_MAX >> (64 - 8 * field->size), &value);
		break;
	case FIELD_ATTRIBUTES:
		error = value_attributes(text, &value);
		break;
	case FIELD_DATE:
		error = value_date(text, &date);
		value = date;
		break;
	case FIELD_HEX:
		error = value_hex(text, place, field->size);
		break;
	}
	if (error)
		return field_usage(field, text, error);
	if (field->kind != FIELD_HEX)
		memcpy(place, &value, field->size);
	command->has_field = true;
	return TOOL_EXIT_OK;
}

/* An option with a value; each may be given once. */
static int option_set(struct command *command, int option, const char *text)
{
	const char **place = NULL;

	for (size_t i = 0; i < NR_FIELDS; i++)
		if (fields[i].option == option)
			return field_set(command, &fields[i], text);
	switch (option) {
	case OPTION_KEY:
		place = &command->key;
		break;
	case OPTION_NEW_KEY:
		place = &command->new_key;
		break;
	case OPTION_HASH:
		place = &command->hash;
		break;
	case OPTION_PAGES:
		place = &command->pages;
		break;
	case OPTION_OUT:
		place = &command->out;
		break;
	default:
		place = &command->show;
		break;
	}
	if (*place)
		return usage("given twice: --", option_name(option));
	*place = text;
	return TOOL_EXIT_OK;
}

/* What no enclave can be built to. */
static int fields_check(const struct sgx_sigstruct *sigstruct)
{
	struct sgx_attributes mask = sigstruct->attribute_mask;
	static const uint8_t zero[16];

	if (!sigstruct_is_well_formed(sigstruct)) /* all but VENDOR is from sign_defaults() */
		return usage("--vendor must be 0, or 0x8086 for Intel", "");
	if (sigstruct->attributes.flags & mask.flags & SGX_ATTR_INIT)
		return usage("--attributes with bit 0: no enclave has INIT before EINIT; "
			     "leave it out",
			     "");
	if ((~sigstruct->attributes.xfrm & mask.xfrm & SGX_XFRM_LEGACY) != 0)
		return usage("--xfrm without bits 0 and 1: every enclave has x87 and SSE; add 3",
			     "");
	if (~sigstruct->attributes.flags & mask.flags & SGX_ATTR_KSS &&
	    (memcmp(sigstruct->isv_family_id, zero, sizeof(zero)) != 0 ||
	     memcmp(sigstruct->isv_ext_prod_id, zero, sizeof(zero)) != 0))
		return usage("--family-id and --ext-prod-id are for enclaves with KSS; "
			     "add --attributes mode64bit,kss",
			     "");
	return TOOL_EXIT_OK;
}

static int command_check(const struct command *command)
{
	bool signs = command->hash || command->pages || command->out || command->has_field;

	if (command->show)
		return signs || command->key || command->new_key ?
			       usage("--show goes with --json only", "") :
			       TOOL_EXIT_OK;
	if (command->is_json)
		return usage("--json is for --show", "");
	if (command->key && command->new_key)
		return usage("--key has a key, --new-key makes one; give one of them", "");
	if (!command->key && !command->new_key)
		return usage(signs ? "no key; give --key, or make one with --new-key" :
				     "nothing to do; give --key, --new-key or --show",
			     "");
	if (!signs && command->new_key)
		return TOOL_EXIT_OK;
	if (!command->hash == !command->pages)
		return usage("which enclave? give --hash or --pages, one of them", "");
	if (!command->out)
		return usage("no --out, where the SIGSTRUCT goes", "");
	return fields_check(&command->sigstruct);
}

/* DATE when nothing is said: today, or what SOURCE_DATE_EPOCH says, so that builds repeat. */
static uint32_t date_default(void)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	time_t now = time(NULL);
	uint64_t seconds;
	uint32_t date = 0;
	struct tm utc;
	char text[16];

	if (epoch && value_number(epoch, INT64_MAX, &seconds) == 0)
		now = (time_t)seconds;
	if (gmtime_r(&now, &utc) && strftime(text, sizeof(text), "%Y%m%d", &utc) == 8)
		value_date(text, &date);
	return date;
}

static int key_get(const struct command *command, EVP_PKEY **key)
{
	const char *path = command->new_key ? command->new_key : command->key;
	int error;

	if (command->key) {
		error = sign_key_read(path, key);
		if (error == -EBADMSG)
			return tool_error_file(path, "no private key in PEM format; "
						     "--new-key makes one");
		return error ? tool_error_file(path, "%s", strerror(-error)) : TOOL_EXIT_OK;
	}
	*key = sign_key_new();
	if (!*key) {
		tool_error("libcrypto could not make a key of RSA-3072 with exponent 3");
		return TOOL_EXIT_PROBLEM;
	}
	error = sign_key_write(path, *key);
	if (error == -EEXIST)
		return tool_error_file(path, "it is there already, and stays; "
					     "sign with --key, or name another file");
	return error ? tool_error_file(path, "%s", strerror(-error)) : TOOL_EXIT_OK;
}

static int out_write(const char *path, const struct sgx_sigstruct *sigstruct)
{
	FILE *file = fopen(path, "we");
	bool is_written;

	if (!file)
		return tool_error_file(path, "%s", strerror(errno));
	is_written = fwrite(sigstruct, sizeof(*sigstruct), 1, file) == 1;
	if (fclose(file) != 0 || !is_written)
		return tool_error_file(path, "not written: %s", strerror(errno));
	return TOOL_EXIT_OK;
}

static int sign_with(struct command *command, EVP_PKEY *key)
{
	int error = sign_sigstruct(&command->sigstruct, key);

	if (error == -EINVAL)
		return tool_error_file(command->key, "not a key of RSA-3072 with exponent 3, which "
						     "is all that SGX takes; --new-key makes one");
	if (error) {
		tool_error("cannot sign: %s", strerror(-error));
		return TOOL_EXIT_PROBLEM;
	}
	return out_write(command->out, &command->sigstruct);
}

static int command_run(struct command *command)
{
	struct sgx_sigstruct *sigstruct = &command->sigstruct;
	EVP_PKEY *key = NULL;
	int result = TOOL_EXIT_OK;

	if (command->show)
		return show_file(command->show, command->is_json);
	if (command->hash &&
	    value_hex(command->hash, sigstruct->enclave_hash, sizeof(sigstruct->enclave_hash)) != 0)
		return usage("--hash takes the 64 hexadecimal digits of MRENCLAVE, not ",
			     command->hash);
	if (command->pages)
		result = stream_measure(command->pages, sigstruct->enclave_hash);
	if (result == TOOL_EXIT_OK)
		result = key_get(command, &key);
	if (result == TOOL_EXIT_OK && command->out)
		result = sign_with(command, key);
	EVP_PKEY_free(key);
	return result;
}

int main(int argc, char **argv)
{
	struct command command = { .key = NULL };
	int option, result;

	sign_defaults(&command.sigstruct);
	command.sigstruct.date = date_default();
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		switch (option) {
		case OPTION_JSON:
			command.is_json = true;
			break;
		case OPTION_VERSION:
			puts("epcsign " EPCSIGN_VERSION);
			return TOOL_EXIT_OK;
		case OPTION_HELP:
			help_print();
			return TOOL_EXIT_OK;
		case ':':
		case '?':
			return option_usage(option, argv);
		default:
			result = option_set(&command, option, optarg);
			if (result != TOOL_EXIT_OK)
				return result;
		}
	}
	if (optind < argc)
		return usage("one word too many: ", argv[optind]);
	result = command_check(&command);
	return result == TOOL_EXIT_OK ? command_run(&command) : result;
}
