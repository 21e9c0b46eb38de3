/* SPDX-License-Identifier: MIT */
/*
 * epcctl ls: a line for each instance (a section of virtual EPC, or an enclave of a host process),
 * below it how an enclave pages, and why it was refused EPC the last time it was. A refusal mostly
 * ends the VM, so the last ones of instances that have ended follow.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "ctl/ctl.h"

#define CELL_MAX 64u
#define NR_ENDED_MAX 8u /* refusals of ended instances that are shown */

/* A column shows one member, as a number, a text, a size, or a size that may be "max". */
struct column {
	const char *title;
	const char *member;
	enum {
		CELL_NUMBER,
		CELL_TEXT,
		CELL_SIZE,
		CELL_LIMIT
	} kind;
};

static const struct column columns[] = {
	{ "PID", "pid", CELL_NUMBER },
	{ "COMMAND", "command", CELL_TEXT },
	{ "CGROUP", "cgroup", CELL_TEXT },
	{ "INSTANCE", "id", CELL_NUMBER },
	{ "TOUCHED", "touched_bytes", CELL_SIZE },
	{ "OWNED", "owned_bytes", CELL_SIZE },
	{ "RESIDENT", "resident_bytes", CELL_SIZE },
	{ "LIMIT", "limit_bytes", CELL_LIMIT },
	{ "SECS", "nr_secs", CELL_NUMBER },
	{ "KIND", "kind", CELL_TEXT },
};

#define NR_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* The text of a cell: in buffer, or borrowed from instance. */
static const char *cell_text(const struct column *column, const json_t *instance,
			     char buffer[CELL_MAX])
{
	uint64_t value = ctl_member_number(instance, column->member);

	switch (column->kind) {
	case CELL_TEXT:
		return ctl_member_text(instance, column->member);
	case CELL_LIMIT:
		if (!json_is_integer(json_object_get(instance, column->member)))
			return "max";
		return size_format(buffer, CELL_MAX, value);
	case CELL_SIZE:
		if (!json_is_integer(json_object_get(instance, column->member)))
			return "-"; /* an enclave is touched by address */
		return size_format(buffer, CELL_MAX, value);
	case CELL_NUMBER:
	default:
		snprintf(buffer, CELL_MAX, "%" PRIu64, value);
		return buffer;
	}
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

/* The numbers in a directory, ascending; *ids is the caller's to free. Returns how many, -errno. */
static ssize_t ids_list(DIR *list, uint64_t **ids)
{
	size_t nr_ids = 0, room = 0;
	struct dirent *entry;

	*ids = NULL;
	while ((entry = readdir(list))) {
		char *end;
		uint64_t id = strtoull(entry->d_name, &end, 10);

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || *end)
			continue;
		if (nr_ids == room) {
			uint64_t *more;

			room = room ? 2 * room : 64;
			more = reallocarray(*ids, room, sizeof(**ids));
			if (!more) {
				free(*ids);
				*ids = NULL;
				return -ENOMEM;
			}
			*ids = more;
		}
		(*ids)[nr_ids++] = id;
	}
	if (nr_ids)
		qsort(*ids, nr_ids, sizeof(**ids), compare_ids);
	return (ssize_t)nr_ids;
}

/* All instances, a JSON array; NULL: *error is -errno. One that ends meanwhile is left out. */
static json_t *instances_read(const struct ctl *ctl, int *error)
{
	int fd = ctl_file_open(ctl, "instances");
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	json_t *instances = NULL;
	uint64_t *ids = NULL;
	ssize_t nr_ids;

	if (!list) {
		*error = fd < 0 ? fd : -errno;
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	nr_ids = ids_list(list, &ids);
	closedir(list);
	*error = nr_ids < 0 ? (int)nr_ids : -ENOMEM;
	if (nr_ids >= 0)
		instances = json_array();
	for (ssize_t i = 0; instances && i < nr_ids; i++) {
		char name[CELL_MAX];
		json_t *instance;

		snprintf(name, sizeof(name), "instances/%" PRIu64 "/info", ids[i]);
		instance = ctl_file_json(ctl, name, error);
		if (instance) {
			json_array_append_new(instances, instance);
		} else if (*error != -ENOENT) {
			json_decref(instances);
			instances = NULL;
		}
	}
	free(ids);
	return instances;
}

static void widths_find(const json_t *instances, size_t widths[NR_COLUMNS])
{
	char buffer[CELL_MAX];
	json_t *instance;
	size_t i;

	for (size_t c = 0; c < NR_COLUMNS; c++) {
		widths[c] = strlen(columns[c].title);
		json_array_foreach(instances, i, instance) {
			size_t width = ctl_show_width(cell_text(&columns[c], instance, buffer));

			if (width > widths[c])
				widths[c] = width;
		}
	}
}

static void row_print(const json_t *instance, const size_t widths[NR_COLUMNS])
{
	char buffer[CELL_MAX];

	for (size_t c = 0; c < NR_COLUMNS; c++) {
		const char *text = instance ? cell_text(&columns[c], instance, buffer) :
					      columns[c].title;
		bool is_last = c + 1 == NR_COLUMNS;

		ctl_show(text, is_last ? 0 : widths[c]);
		fputs(is_last ? "\n" : "  ", stdout);
	}
}

static void refusal_print(const json_t *refusal)
{
	fputs("  ", stdout);
	ctl_show(ctl_member_text(refusal, "time"), 0);
	fputs(" ", stdout);
	ctl_show(ctl_member_text(refusal, "text"), 0);
	putchar('\n');
}

/* A section that is closed stays while others have children of its SECS pages. */
static void closed_print(const json_t *instance)
{
	uint64_t nr_zombies = ctl_member_number(instance, "nr_zombies");

	if (!json_is_true(json_object_get(instance, "is_released")))
		return;
	if (nr_zombies)
		printf("  closed, %" PRIu64 " zombie SECS page%s: their enclaves have pages in "
		       "other sections\n",
		       nr_zombies, nr_zombies == 1 ? "" : "s");
	else
		puts("  closed, its pages are on their way out");
}

/* What it is to its process, and how it pages. */
static void enclave_print(const json_t *instance)
{
	const json_t *enclave = json_object_get(instance, "enclave");
	const json_t *counters = json_object_get(instance, "counters");
	char size[SIZE_TEXT_MAX], inactive[SIZE_TEXT_MAX], evicted[SIZE_TEXT_MAX],
		va[SIZE_TEXT_MAX];

	if (!json_is_object(enclave))
		return;
	size_format(size, sizeof(size), ctl_member_number(enclave, "size"));
	size_format(inactive, sizeof(inactive), ctl_member_number(enclave, "inactive_bytes"));
	size_format(evicted, sizeof(evicted), ctl_member_number(enclave, "evicted_bytes"));
	size_format(va, sizeof(va), ctl_member_number(enclave, "va_bytes"));
	printf("  enclave of %s at %#" PRIx64 ", %s: %s inactive, %s swapped, %s of VA pages; "
	       "%" PRIu64 " loads, %" PRIu64 " soft faults, %" PRIu64 " refaults, %" PRIu64 " pages"
	       " lost"
	       "\n",
	       size, ctl_member_number(enclave, "base"),
	       json_is_true(json_object_get(enclave, "is_initialised")) ? "initialised" :
									  "being built",
	       inactive, evicted, va, ctl_member_number(counters, "loads"),
	       ctl_member_number(counters, "soft_faults"), ctl_member_number(counters, "refaults"),
	       ctl_member_number(counters, "lost"));
}

static void table_print(const json_t *instances)
{
	size_t widths[NR_COLUMNS];
	json_t *instance;
	size_t i;

	widths_find(instances, widths);
	row_print(NULL, widths);
	json_array_foreach(instances, i, instance) {
		json_t *refusal = json_object_get(instance, "last_refusal");

		row_print(instance, widths);
		enclave_print(instance);
		closed_print(instance);
		if (json_is_object(refusal))
			refusal_print(refusal);
	}
}

/* Whether the record is a refusal of an instance that is not among these. */
static bool is_ended_refusal(const json_t *record, const json_t *instances)
{
	json_t *instance;
	size_t i;

	if (strcmp(ctl_member_text(record, "kind"), "refused") != 0)
		return false;
	json_array_foreach(instances, i, instance)
		if (ctl_member_number(instance, "id") == ctl_member_number(record, "instance"))
			return false;
	return true;
}

/* The last refusals of ended instances, oldest first: a new array, empty if history tells none. */
static json_t *ended_read(const struct ctl *ctl, const json_t *instances)
{
	int fd = ctl_file_open(ctl, "history");
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	json_t *ended = json_array();
	char *line = NULL;
	size_t size = 0;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return ended;
	}
	while (getline(&line, &size, stream) > 0) {
		json_t *record = json_loads(line, 0, NULL);

		if (is_ended_refusal(record, instances))
			json_array_append(ended, record);
		if (json_array_size(ended) > NR_ENDED_MAX)
			json_array_remove(ended, 0);
		json_decref(record);
	}
	free(line);
	fclose(stream);
	return ended;
}

static void ended_print(const struct ctl *ctl, const json_t *instances)
{
	json_t *ended = ended_read(ctl, instances);
	json_t *refusal;
	size_t i;

	if (json_array_size(ended))
		puts("\nRefused EPC, and ended since:");
	json_array_foreach(ended, i, refusal)
		refusal_print(refusal);
	json_decref(ended);
}

int verb_ls(const struct ctl *ctl)
{
	int error;
	json_t *instances = instances_read(ctl, &error);

	if (!instances) {
		ctl_error_file(ctl, "instances", -error);
		return CTL_EXIT_PROBLEM;
	}
	if (ctl->is_json)
		return ctl_print_json(instances);
	table_print(instances);
	ended_print(ctl, instances);
	json_decref(instances);
	return fflush(stdout) ? CTL_EXIT_PROBLEM : CTL_EXIT_OK;
}
