/* SPDX-License-Identifier: MIT */
/* Values on the command line of epcsign, read whole or not at all. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sign/tool.h"

struct attribute {
	const char *name;
	uint64_t flag;
};

static const struct attribute attributes[] = {
	{ "debug", SGX_ATTR_DEBUG },
	{ "mode64bit", SGX_ATTR_MODE64BIT },
	{ "provisionkey", SGX_ATTR_PROVISIONKEY },
	{ "einittokenkey", SGX_ATTR_EINITTOKENKEY },
	{ "kss", SGX_ATTR_KSS },
};

#define NR_ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

int value_number(const char *text, uint64_t max, uint64_t *value)
{
	bool is_inverted = *text == '~';
	const char *digits = is_inverted ? text + 1 : text;
	bool is_hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	uint64_t number;
	char *end;

	/* strtoull() would also take signs and blanks. */
	if (is_hex ? !isxdigit((unsigned char)digits[2]) : !isdigit((unsigned char)digits[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(digits, &end, is_hex ? 16 : 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE || number > max)
		return -ERANGE;
	*value = is_inverted ? ~number & max : number;
	return 0;
}

static int attribute_find(const char *name, size_t length, uint64_t *flag)
{
	for (size_t i = 0; i < NR_ATTRIBUTES; i++) {
		if (strlen(attributes[i].name) == length &&
		    memcmp(attributes[i].name, name, length) == 0) {
			*flag = attributes[i].flag;
			return 0;
		}
	}
	return -EINVAL;
}

int value_attributes(const char *text, uint64_t *flags)
{
	bool is_inverted = *text == '~';
	const char *name = is_inverted ? text + 1 : text;
	uint64_t all = 0;

	if (!isalpha((unsigned char)*name))
		return value_number(text, UINT64_MAX, flags);
	while (name) {
		const char *comma = strchr(name, ',');
		size_t length = comma ? (size_t)(comma - name) : strlen(name);
		uint64_t flag;

		if (attribute_find(name, length, &flag) != 0)
			return -EINVAL;
		all |= flag;
		name = comma ? comma + 1 : NULL;
	}
	*flags = is_inverted ? ~all : all;
	return 0;
}

const char *value_attribute_names(uint64_t flags, char *names, size_t names_size)
{
	size_t used = 0;

	names[0] = '\0';
	for (size_t i = 0; i < NR_ATTRIBUTES && used < names_size; i++)
		if (flags & attributes[i].flag)
			used += (size_t)snprintf(names + used, names_size - used, "%s%s",
						 used ? "," : "", attributes[i].name);
	return names;
}

int value_date(const char *text, uint32_t *bcd)
{
	bool has_dashes = strlen(text) == 10 && text[4] == '-' && text[7] == '-';
	uint32_t date = 0, month, day;

	if (!has_dashes && strlen(text) != 8)
		return -EINVAL;
	for (size_t i = 0; text[i]; i++) {
		if (has_dashes && (i == 4 || i == 7))
			continue;
		if (!isdigit((unsigned char)text[i]))
			return -EINVAL;
		date = date << 4 | (uint32_t)(text[i] - '0');
	}
	month = date >> 8 & 0xff;
	day = date & 0xff;
	if (month < 1 || month > 0x12 || day < 1 || day > 0x31)
		return -EINVAL;
	*bcd = date;
	return 0;
}

static int digit(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	if (character >= 'A' && character <= 'F')
		return character - 'A' + 10;
	return -1;
}

int value_hex(const char *text, uint8_t *bytes, size_t size)
{
	if (strlen(text) != 2 * size)
		return -EINVAL;
	for (size_t i = 0; i < 2 * size; i++)
		if (digit(text[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	return 0;
}
