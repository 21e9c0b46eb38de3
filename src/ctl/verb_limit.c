/* SPDX-License-Identifier: MIT */
/* epcctl limit: the own limit of an instance, from and to the file instances/ID/limit. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/text.h"
#include "ctl/ctl.h"

#define NAME_MAX_SIZE 64u

static int limit_set(const struct ctl *ctl, uint64_t id, const char *word)
{
	char name[NAME_MAX_SIZE], text[NAME_MAX_SIZE] = "max";
	uint64_t bytes;
	char *shown;
	int error;

	if (strcmp(word, "max") != 0) {
		if (size_parse(word, &bytes) != 0) {
			shown = text_escape_string_new(word);
			ctl_error("not a size: %s; give bytes, or with K, M or G, or max",
				  shown ? shown : "?");
			free(shown);
			return CTL_EXIT_USAGE;
		}
		snprintf(text, sizeof(text), "%" PRIu64, bytes);
	}
	snprintf(name, sizeof(name), "instances/%" PRIu64 "/limit", id);
	error = ctl_file_write(ctl, name, text);
	if (!error)
		return CTL_EXIT_OK;
	ctl_error_instance(ctl, id, "limit", -error);
	return CTL_EXIT_PROBLEM;
}

/* The limit and the usage of an instance, as the file info has them. */
static void limit_print(const json_t *info, uint64_t id)
{
	uint64_t limit = ctl_member_number(info, "limit_bytes");
	uint64_t usage = ctl_member_number(info, "owned_bytes");
	bool has_limit = json_is_integer(json_object_get(info, "limit_bytes"));
	char text[SIZE_TEXT_MAX];

	printf("instance %" PRIu64 ": limit %s", id,
	       has_limit ? size_format(text, sizeof(text), limit) : "max");
	printf(", used %s", size_format(text, sizeof(text), usage));
	puts(has_limit && usage > limit ? ": no new page until it is below" : "");
}

static int limit_show(const struct ctl *ctl, uint64_t id)
{
	char name[NAME_MAX_SIZE];
	int error;
	json_t *info, *shown;

	snprintf(name, sizeof(name), "instances/%" PRIu64 "/info", id);
	info = ctl_file_json(ctl, name, &error);
	if (!info) {
		ctl_error_instance(ctl, id, "info", -error);
		return CTL_EXIT_PROBLEM;
	}
	if (!ctl->is_json) {
		limit_print(info, id);
		json_decref(info);
		return fflush(stdout) ? CTL_EXIT_PROBLEM : CTL_EXIT_OK;
	}
	shown = json_pack("{s:I, s:O, s:O}", "instance", (json_int_t)id, "limit_bytes",
			  json_object_get(info, "limit_bytes"), "owned_bytes",
			  json_object_get(info, "owned_bytes"));
	json_decref(info);
	return ctl_print_json(shown);
}

int verb_limit(const struct ctl *ctl)
{
	uint64_t id;
	int exit_code = CTL_EXIT_OK;

	if (!ctl->nr_words) {
		ctl_error("of which instance? `epcctl limit INSTANCE [SIZE|max]`; `epcctl ls` "
			  "shows their numbers");
		return CTL_EXIT_USAGE;
	}
	id = ctl_instance_parse(ctl->words[0]);
	if (!id)
		return CTL_EXIT_USAGE;
	if (ctl->nr_words > 1)
		exit_code = limit_set(ctl, id, ctl->words[1]);
	return exit_code ? exit_code : limit_show(ctl, id);
}
