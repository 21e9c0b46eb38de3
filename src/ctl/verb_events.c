/* SPDX-License-Identifier: MIT */
/* epcctl events: follows the stream of records until the daemon ends or the reader is stopped. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "ctl/ctl.h"

#define STREAM_BYTES 65536u /* the daemon gives whole lines: room for the longest */

/* Fills a size in; null, which is what a limit of "max" is in JSON, as that word. */
static const char *limit_text(const json_t *record, const char *name, char text[SIZE_TEXT_MAX])
{
	if (json_is_null(json_object_get(record, name)))
		return "max";
	return size_format(text, SIZE_TEXT_MAX, ctl_member_number(record, name));
}

static void vm_print(const json_t *record)
{
	printf("VM %" PRIu64 " (", ctl_member_number(record, "pid"));
	ctl_show(ctl_member_text(record, "command"), 0);
	fputs(")", stdout);
}

static void started_print(const json_t *record)
{
	uint64_t id = ctl_member_number(record, "instance");

	vm_print(record);
	printf(" uses EPC as instance %" PRIu64 ", in cgroup ", id);
	ctl_show(ctl_member_text(record, "cgroup"), 0);
}

static void refused_print(const json_t *record)
{
	ctl_show(ctl_member_text(record, "text"), 0);
}

static void pages_print(const json_t *record)
{
	bool is_reset = strcmp(ctl_member_text(record, "kind"), "reset") == 0;

	vm_print(record);
	printf(" %s %" PRIu64 " pages in %" PRIu64 " us", is_reset ? "was reset:" : "gave back",
	       ctl_member_number(record, "pages"), ctl_member_number(record, "took_us"));
}

static void epc_lost_print(const json_t *record)
{
	vm_print(record);
	printf(" lost the content of instance %" PRIu64 ": %" PRIu64 " pages in %" PRIu64 " us",
	       ctl_member_number(record, "instance"), ctl_member_number(record, "pages"),
	       ctl_member_number(record, "took_us"));
}

static void zombies_print(const json_t *record)
{
	vm_print(record);
	printf(" closed instance %" PRIu64 ", which keeps SECS pages of enclaves that are not "
	       "gone: %" PRIu64,
	       ctl_member_number(record, "instance"), ctl_member_number(record, "secs"));
}

static void closed_print(const json_t *record)
{
	char peak[SIZE_TEXT_MAX];

	vm_print(record);
	printf(" closed instance %" PRIu64 ", peak %s", ctl_member_number(record, "instance"),
	       size_format(peak, sizeof(peak), ctl_member_number(record, "peak_bytes")));
}

static void limit_print(const json_t *record)
{
	char old[SIZE_TEXT_MAX], new[SIZE_TEXT_MAX], usage[SIZE_TEXT_MAX];

	if (json_is_integer(json_object_get(record, "instance"))) {
		vm_print(record);
		printf(": the limit of instance %" PRIu64, ctl_member_number(record, "instance"));
	} else {
		fputs("the limit of cgroup ", stdout);
		ctl_show(ctl_member_text(record, "cgroup"), 0);
	}
	printf(" went from %s to %s, used %s", limit_text(record, "old_limit_bytes", old),
	       limit_text(record, "limit_bytes", new),
	       size_format(usage, sizeof(usage), ctl_member_number(record, "usage_bytes")));
}

static void lost_print(const json_t *record)
{
	printf("%" PRIu64 " records are missing here: they came too fast",
	       ctl_member_number(record, "count"));
}

static const struct kind {
	const char *name;
	void (*print)(const json_t *record);
} kinds[] = {
	{ "started", started_print }, { "refused", refused_print },   { "reset", pages_print },
	{ "punched", pages_print },   { "closed", closed_print },     { "limit", limit_print },
	{ "lost", lost_print },	      { "epc-lost", epc_lost_print }, { "zombies", zombies_print },
};

/* A kind of a later daemon, or no JSON: the line as it is. */
static void line_print(const char *line)
{
	json_t *record = json_loads(line, 0, NULL);
	const char *name = ctl_member_text(record, "kind");
	const struct kind *kind = NULL;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
			kind = &kinds[i];
	if (kind) {
		const char *time = ctl_member_text(record, "time");

		ctl_show(*time ? time : "-", 0); /* what was lost has no time */
		putchar(' ');
		kind->print(record);
	} else {
		ctl_show(line, 0);
	}
	putchar('\n');
	json_decref(record);
}

int verb_events(const struct ctl *ctl)
{
	int fd = ctl_file_open(ctl, "events");
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	int error;

	if (!stream) {
		ctl_error_file(ctl, "events", fd < 0 ? -fd : errno);
		if (fd >= 0)
			close(fd);
		return CTL_EXIT_PROBLEM;
	}
	setvbuf(stream, NULL, _IOFBF, STREAM_BYTES);
	errno = 0;
	while ((length = getline(&line, &size, stream)) > 0) {
		if (line[length - 1] == '\n')
			line[length - 1] = '\0';
		if (ctl->is_json)
			puts(line);
		else
			line_print(line);
		if (fflush(stdout))
			break; /* nobody reads any more */
		errno = 0;
	}
	error = errno;
	if (ferror(stdout))
		ctl_error("cannot write to the standard output: %s", strerror(error));
	else
		ctl_error_file(ctl, "events", error ? error : ENOTCONN);
	free(line);
	fclose(stream);
	return CTL_EXIT_PROBLEM;
}
