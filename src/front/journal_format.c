/* SPDX-License-Identifier: MIT */
/* The texts of the journal: a record as a sentence, and as a JSON line. */
#include "front/journal_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_SIZE 40u

static const char *shown(const char *text)
{
	return text ? text : "?";
}

static const char *max_text(uint64_t max_bytes, char text[32])
{
	if (max_bytes == EPC_MAX_UNLIMITED)
		return "max";
	snprintf(text, 32, "%" PRIu64, max_bytes);
	return text;
}

static bool is_root(const char *escaped_path)
{
	return escaped_path && strcmp(escaped_path, "/") == 0;
}

/* Whose limit it was, and which. A new string; NULL: no memory. */
static char *refuser_text(const struct journal_entry *entry)
{
	const char *cgroup = shown(entry->cgroup), *refuser = shown(entry->refuser);
	bool is_of_payer = strcmp(cgroup, refuser) == 0;
	char *text = NULL;
	int size;

	if (entry->record.is_own_limit)
		size = asprintf(&text, "its instance %" PRIu64 " is at its own limit:",
				entry->record.instance_id);
	else if (is_root(entry->refuser))
		size = asprintf(&text, "the EPC is full: capacity");
	else
		size = asprintf(&text, "cgroup %s%s%s%s is at its limit: misc.max", refuser,
				is_of_payer ? "" : ", above its own ", is_of_payer ? "" : cgroup,
				is_of_payer ? "" : ",");
	return size < 0 ? NULL : text;
}

static const char *who(const struct journal_entry *entry)
{
	return entry->is_enclave ? "process" : "VM";
}

/* "VM 4242 (qemu-system-x86) was refused EPC: ..." names the limit that it was, and whose. */
static char *refusal_sentence(const struct journal_entry *entry)
{
	const struct epc_record *record = &entry->record;
	char *where = refuser_text(entry), *text = NULL;
	int size;

	if (!where)
		return NULL;
	size = asprintf(&text,
			"%s %d (%s) was refused EPC: %s %" PRIu64 ", used %" PRIu64 ", %" PRIu64
			" more bytes were wanted",
			who(entry), entry->pid, entry->command, where, record->limit_bytes,
			record->usage_bytes, record->wanted_bytes);
	free(where);
	return size < 0 ? NULL : text;
}

static char *limit_sentence(const struct journal_entry *entry)
{
	char now[32], before[32], *text;
	int size;

	if (entry->kind == JOURNAL_OWN_LIMIT)
		size = asprintf(&text,
				"%s %d (%s), instance %" PRIu64 ", has a new limit of its own: %s, "
				"was %s, used %" PRIu64,
				who(entry), entry->pid, entry->command, entry->record.instance_id,
				max_text(entry->record.limit_bytes, now),
				max_text(entry->old_max_bytes, before), entry->record.usage_bytes);
	else
		size = asprintf(&text,
				"cgroup %s has a new limit: misc.max %s, was %s, used %" PRIu64,
				shown(entry->cgroup), max_text(entry->record.limit_bytes, now),
				max_text(entry->old_max_bytes, before), entry->record.usage_bytes);
	return size < 0 ? NULL : text;
}

static char *record_sentence(const struct journal_entry *entry)
{
	const struct epc_record *record = &entry->record;
	char *what = NULL, *text = NULL;
	int size = -1;

	switch (record->kind) {
	case EPC_RECORD_REFUSED:
		return refusal_sentence(entry);
	case EPC_RECORD_STARTED:
		size = asprintf(&what, "begins to use EPC, in cgroup %s", shown(entry->cgroup));
		break;
	case EPC_RECORD_RESET:
		size = asprintf(&what, "was reset: %" PRIu64 " pages in %" PRIu64 " us",
				record->nr_pages, record->took_ns / 1000);
		break;
	case EPC_RECORD_PUNCHED:
		size = asprintf(&what, "gave back %" PRIu64 " pages in %" PRIu64 " us",
				record->nr_pages, record->took_ns / 1000);
		break;
	case EPC_RECORD_LOST:
		size = asprintf(&what, "has lost its content: %" PRIu64 " pages in %" PRIu64 " us",
				record->nr_pages, record->took_ns / 1000);
		break;
	case EPC_RECORD_PAGE_LOST:
		size = asprintf(&what,
				"has lost its page at %#" PRIx64 ": what came back from swap is "
				"not "
				"what went there",
				record->index << EPC_PAGE_SHIFT);
		break;
	case EPC_RECORD_ZOMBIES:
		size = asprintf(&what,
				"is closed, but keeps %" PRIu64 " SECS page%s: their enclaves have "
				"pages in other instances",
				record->nr_pages, record->nr_pages == 1 ? "" : "s");
		break;
	case EPC_RECORD_CLOSED:
		size = asprintf(&what, "is closed, the most it had were %" PRIu64 " bytes",
				record->usage_bytes);
		break;
	}
	if (size < 0)
		return NULL;
	size = asprintf(&text, "%s %d (%s), instance %" PRIu64 ", %s", who(entry), entry->pid,
			entry->command, record->instance_id, what);
	free(what);
	return size < 0 ? NULL : text;
}

char *journal_sentence(const struct journal_entry *entry)
{
	char *text = NULL;

	switch (entry->kind) {
	case JOURNAL_RECORD:
		return record_sentence(entry);
	case JOURNAL_LIMIT:
	case JOURNAL_OWN_LIMIT:
		return limit_sentence(entry);
	case JOURNAL_LOST:
		if (asprintf(&text, "%" PRIu64 " records were lost, too many came at once",
			     entry->record.nr_pages) < 0)
			return NULL;
		return text;
	}
	return NULL;
}

/* "2026-11-24T05:40:26.123Z" */
static void time_text(const struct timespec *time, char text[TIME_SIZE])
{
	struct tm tm;
	size_t size;

	gmtime_r(&time->tv_sec, &tm);
	size = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + size, TIME_SIZE - size, ".%03dZ", (int)(time->tv_nsec / 1000000));
}

static json_t *number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *max_number(uint64_t max_bytes)
{
	return max_bytes == EPC_MAX_UNLIMITED ? json_null() : number(max_bytes);
}

/* Escaped text is UTF-8; what is not there, or is not (never), is null. */
static json_t *string(const char *text)
{
	json_t *json = text ? json_string(text) : NULL;

	return json ? json : json_null();
}

static const char *limit_name(const struct journal_entry *entry)
{
	if (entry->record.is_own_limit)
		return "own";
	return is_root(entry->refuser) ? "capacity" : "misc.max";
}

static int add_refusal(json_t *line, const struct journal_entry *entry)
{
	const struct epc_record *record = &entry->record;
	char *sentence = journal_sentence(entry);
	int error = 0;

	error |= json_object_set_new(line, "limit_cgroup", string(entry->refuser));
	error |= json_object_set_new(line, "limit", json_string(limit_name(entry)));
	error |= json_object_set_new(line, "limit_bytes", max_number(record->limit_bytes));
	error |= json_object_set_new(line, "usage_bytes", number(record->usage_bytes));
	error |= json_object_set_new(line, "wanted_bytes", number(record->wanted_bytes));
	error |= json_object_set_new(line, "offset", number(record->index * EPC_PAGE_SIZE));
	error |= json_object_set_new(line, "text", string(sentence));
	free(sentence);
	return error;
}

static int add_record(json_t *line, const struct journal_entry *entry)
{
	const struct epc_record *record = &entry->record;
	int error = 0;

	switch (record->kind) {
	case EPC_RECORD_STARTED:
		break;
	case EPC_RECORD_REFUSED:
		error = add_refusal(line, entry);
		break;
	case EPC_RECORD_RESET:
	case EPC_RECORD_PUNCHED:
	case EPC_RECORD_LOST:
		error |= json_object_set_new(line, "pages", number(record->nr_pages));
		error |= json_object_set_new(line, "took_us", number(record->took_ns / 1000));
		break;
	case EPC_RECORD_PAGE_LOST:
		error |= json_object_set_new(line, "address",
					     number(record->index << EPC_PAGE_SHIFT));
		break;
	case EPC_RECORD_ZOMBIES:
		error |= json_object_set_new(line, "secs", number(record->nr_pages));
		break;
	case EPC_RECORD_CLOSED:
		error |= json_object_set_new(line, "peak_bytes", number(record->usage_bytes));
		break;
	}
	return error;
}

static const char *kind_name(const struct journal_entry *entry)
{
	static const char *const names[] = {
		[EPC_RECORD_STARTED] = "started", [EPC_RECORD_REFUSED] = "refused",
		[EPC_RECORD_RESET] = "reset",	  [EPC_RECORD_PUNCHED] = "punched",
		[EPC_RECORD_LOST] = "epc-lost",	  [EPC_RECORD_ZOMBIES] = "zombies",
		[EPC_RECORD_CLOSED] = "closed",	  [EPC_RECORD_PAGE_LOST] = "page-lost",
	};

	if (entry->kind == JOURNAL_LIMIT || entry->kind == JOURNAL_OWN_LIMIT)
		return "limit";
	return entry->kind == JOURNAL_LOST ? "lost" : names[entry->record.kind];
}

static int add_fields(json_t *line, const struct journal_entry *entry, uint64_t seq)
{
	bool is_of_vm = entry->kind == JOURNAL_RECORD || entry->kind == JOURNAL_OWN_LIMIT;
	const struct epc_record *record = &entry->record;
	char time[TIME_SIZE];
	int error = 0;

	time_text(&entry->time, time);
	error |= json_object_set_new(line, "seq", number(seq));
	error |= json_object_set_new(line, "time", json_string(time));
	error |= json_object_set_new(line, "kind", json_string(kind_name(entry)));
	error |= json_object_set_new(line, "instance",
				     is_of_vm ? number(record->instance_id) : json_null());
	error |=
		json_object_set_new(line, "pid", is_of_vm ? json_integer(entry->pid) : json_null());
	error |= json_object_set_new(line, "command", string(is_of_vm ? entry->command : NULL));
	error |= json_object_set_new(line, "cgroup", string(entry->cgroup));
	switch (entry->kind) {
	case JOURNAL_RECORD:
		error |= add_record(line, entry);
		break;
	case JOURNAL_LIMIT:
	case JOURNAL_OWN_LIMIT:
		error |= json_object_set_new(line, "limit_bytes", max_number(record->limit_bytes));
		error |= json_object_set_new(line, "old_limit_bytes",
					     max_number(entry->old_max_bytes));
		error |= json_object_set_new(line, "usage_bytes", number(record->usage_bytes));
		break;
	case JOURNAL_LOST:
		error |= json_object_set_new(line, "count", number(record->nr_pages));
		break;
	}
	return error;
}

char *journal_line(const struct journal_entry *entry, uint64_t seq)
{
	json_t *line = json_object();
	char *text = NULL, *dumped;

	if (!line)
		return NULL;
	dumped = add_fields(line, entry, seq) ? NULL : json_dumps(line, JSON_COMPACT);
	json_decref(line);
	if (dumped && asprintf(&text, "%s\n", dumped) < 0)
		text = NULL;
	free(dumped);
	return text;
}
