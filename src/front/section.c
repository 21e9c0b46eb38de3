/* SPDX-License-Identifier: MIT */
/* The option --epc; see section.h. */
#include "front/section.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/size.h"

#define NODE_MAX 1023 /* CONFIG_NODES_SHIFT is at most 10 on x86-64 */

/* "@NODE", or nothing: node 0. */
static int node_parse(const char *text, int *node)
{
	unsigned long number;
	char *end;

	*node = 0;
	if (!*text)
		return 0;
	if (text[0] != '@' || text[1] < '0' || text[1] > '9')
		return -EINVAL;
	errno = 0;
	number = strtoul(text + 1, &end, 10);
	if (errno || *end || number > NODE_MAX)
		return -EINVAL;
	*node = (int)number;
	return 0;
}

int section_option_add(struct daemon_options *options, const char *text)
{
	struct epc_section_config *section = &options->sections[options->nr_sections];
	const char *rest;
	uint64_t bytes;

	if (options->nr_sections == EPC_NR_SECTIONS_MAX) {
		log_error("--epc %s: there are at most %u sections; leave some out", text,
			  EPC_NR_SECTIONS_MAX);
		return -E2BIG;
	}
	if (size_parse_prefix(text, &bytes, &rest) || (*rest && *rest != '@')) {
		log_error("--epc %s: not a size; say bytes, or K, M or G after a number, such as "
			  "64M or 64M@1",
			  text);
		return -EINVAL;
	}
	if (!bytes || bytes % EPC_PAGE_SIZE) {
		log_error("--epc %s: a section is a multiple of 4096 bytes and not empty", text);
		return -EINVAL;
	}
	if (node_parse(rest, &section->node)) {
		log_error("--epc %s: after the @ stands a NUMA node, 0 to %d", text, NODE_MAX);
		return -EINVAL;
	}
	section->nr_pages = bytes >> EPC_PAGE_SHIFT;
	options->nr_sections++;
	return 0;
}
