/* SPDX-License-Identifier: MIT */
/* Sizes as people write and read them; see size.h. */
#include "base/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define KIB_SHIFT 10u
#define MIB_SHIFT 20u
#define GIB_SHIFT 30u

static unsigned int suffix_shift(char suffix)
{
	switch (suffix) {
	case 'K':
	case 'k':
		return KIB_SHIFT;
	case 'M':
	case 'm':
		return MIB_SHIFT;
	case 'G':
	case 'g':
		return GIB_SHIFT;
	default:
		return 0;
	}
}

int size_parse_prefix(const char *text, uint64_t *bytes, const char **end)
{
	uint64_t value = 0;
	const char *at = text;
	unsigned int shift;

	if (*at < '0' || *at > '9')
		return -EINVAL;
	for (; *at >= '0' && *at <= '9'; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	shift = suffix_shift(*at);
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = value << shift;
	*end = shift ? at + 1 : at;
	return 0;
}

int size_parse(const char *text, uint64_t *bytes)
{
	const char *end;
	uint64_t value;
	int error = size_parse_prefix(text, &value, &end);

	if (error)
		return error;
	if (*end)
		return -EINVAL;
	*bytes = value;
	return 0;
}

char *size_format(char *out, size_t out_size, uint64_t bytes)
{
	static const struct {
		unsigned int shift;
		const char *name;
	} units[] = { { GIB_SHIFT, "GiB" }, { MIB_SHIFT, "MiB" }, { KIB_SHIFT, "KiB" } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t whole = bytes >> units[i].shift;
		uint64_t rest = bytes & ((UINT64_C(1) << units[i].shift) - 1);
		uint64_t tenths = (rest * 10) >> units[i].shift;

		if (!whole)
			continue;
		if (tenths)
			snprintf(out, out_size, "%" PRIu64 ".%" PRIu64 " %s", whole, tenths,
				 units[i].name);
		else
			snprintf(out, out_size, "%" PRIu64 " %s", whole, units[i].name);
		return out;
	}
	snprintf(out, out_size, "%" PRIu64 " %s", bytes, bytes == 1 ? "byte" : "bytes");
	return out;
}
