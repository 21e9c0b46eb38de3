/* SPDX-License-Identifier: MIT */
/* The JSON texts of status and instances; see report.h. */
#include "front/report.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "front/instance.h"
#include "front/journal.h"
#include "front/swap_store.h"

/* json_object_set_new() and others take NULL for "no memory came before" and fail: one check. */
struct object {
	json_t *json;
	bool has_failed;
};

static void set(struct object *object, const char *name, json_t *value)
{
	if (json_object_set_new(object->json, name, value) != 0)
		object->has_failed = true;
}

static void set_number(struct object *object, const char *name, uint64_t value)
{
	set(object, name, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

static void set_pages(struct object *object, const char *name, uint64_t nr_pages)
{
	set_number(object, name, nr_pages * EPC_PAGE_SIZE);
}

/* Text that is escaped already; NULL: null. */
static void set_text(struct object *object, const char *name, const char *text)
{
	set(object, name, text ? json_string(text) : json_null());
}

static void set_object(struct object *object, const char *name, struct object *value)
{
	object->has_failed |= value->has_failed;
	set(object, name, value->json);
}

/* Makes the line and drops the object. */
static int finish(struct object *object, char **text, size_t *size)
{
	char *line = object->has_failed ? NULL : json_dumps(object->json, JSON_COMPACT);
	char *grown = NULL;

	json_decref(object->json);
	if (line) {
		*size = strlen(line) + 1;
		grown = realloc(line, *size + 1);
	}
	if (!grown) {
		free(line);
		return -ENOMEM;
	}
	grown[*size - 1] = '\n';
	grown[*size] = '\0';
	*text = grown;
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint64_t ms_since(uint64_t then_ns)
{
	uint64_t now = now_ns();

	return now > then_ns ? (now - then_ns) / 1000000 : 0;
}

/* ---- status ---- */

struct status {
	struct epc_report epc;
	struct epc_cgroup_report root;
	struct epc_section_report sections[EPC_NR_SECTIONS_MAX];
	unsigned int nr_sections;
};

static void status_copy(struct daemon *daemon, struct status *status)
{
	struct epc *epc = engine_lock(daemon->engine);

	epc_report(epc, &status->epc);
	epc_cgroup_report(epc_cgroup_root(epc), &status->root);
	status->nr_sections = epc_nr_sections(epc);
	for (unsigned int i = 0; i < status->nr_sections; i++)
		epc_section_report(epc, i, &status->sections[i]);
	engine_unlock(daemon->engine);
}

static struct object sections_object(const struct status *status)
{
	struct object list = { .json = json_array() };

	for (unsigned int i = 0; i < status->nr_sections; i++) {
		const struct epc_section_report *section = &status->sections[i];
		struct object object = { .json = json_object() };

		set(&object, "node", json_integer(section->node));
		set_pages(&object, "total_bytes", section->nr_pages);
		set_pages(&object, "free_bytes", section->nr_free);
		list.has_failed |= object.has_failed;
		list.has_failed |= json_array_append_new(list.json, object.json) != 0;
	}
	return list;
}

static struct object epc_object(const struct status *status)
{
	struct object object = { .json = json_object() };
	struct object sections = sections_object(status);

	set_pages(&object, "total_bytes", status->epc.nr_pages);
	set_pages(&object, "free_bytes", status->epc.nr_free);
	set_pages(&object, "used_bytes", status->epc.nr_pages - status->epc.nr_free);
	set_pages(&object, "speculative_bytes", status->epc.nr_speculative);
	set_pages(&object, "active_bytes", status->epc.nr_active);
	set_pages(&object, "inactive_bytes", status->epc.nr_inactive);
	set_pages(&object, "low_bytes", status->epc.low_pages);
	set_pages(&object, "high_bytes", status->epc.high_pages);
	set_object(&object, "sections", &sections);
	return object;
}

static struct object status_counters(const struct status *status)
{
	struct object object = { .json = json_object() };

	set_number(&object, "faults", status->epc.nr_faults);
	set_number(&object, "clusters", status->epc.nr_clusters);
	set_number(&object, "refusals", status->epc.nr_refusals);
	set_number(&object, "resets", status->epc.nr_resets);
	set_number(&object, "taken_back", status->epc.nr_taken_back);
	set_number(&object, "leaves", status->epc.nr_leaves);
	set_number(&object, "evictions", status->epc.nr_evictions);
	set_number(&object, "loads", status->epc.nr_loads);
	set_number(&object, "soft_faults", status->epc.nr_soft_faults);
	set_number(&object, "refaults", status->epc.nr_refaults);
	return object;
}

/* resident: what the store takes, which gives back in larger pieces. */
static struct object swap_object(const struct daemon *daemon, const struct status *status)
{
	struct object object = { .json = json_object() };

	set_pages(&object, "total_bytes", daemon->nr_swap_slots);
	set_pages(&object, "used_bytes", status->epc.nr_evicted);
	set_number(&object, "resident_bytes", swap_store_bytes(daemon->swap));
	set_text(&object, "kind", daemon->options.swap_path ? "file" : "memory");
	return object;
}

static struct object lock_object(struct daemon *daemon)
{
	struct object object = { .json = json_object() };

	set_number(&object, "longest_hold_ns", engine_longest_hold_ns(daemon->engine));
	set_number(&object, "longest_hold_cpu_ns", engine_longest_hold_cpu_ns(daemon->engine));
	return object;
}

static struct object warnings_object(const struct daemon *daemon)
{
	struct object list = { .json = json_array() };

	for (unsigned int i = 0; i < daemon->nr_warnings; i++) {
		const char *warning = daemon->warnings[i];
		char *text = text_to_utf8_new(warning, strlen(warning));

		list.has_failed |= json_array_append_new(list.json, json_string(text)) != 0;
		free(text);
	}
	return list;
}

int report_status(struct daemon *daemon, char **text, size_t *size)
{
	struct object object = { .json = json_object() };
	struct object epc, swap, counters, lock, warnings;
	char *run_dir = text_escape_string_new(daemon->options.run_dir);
	struct status status;

	status_copy(daemon, &status);
	epc = epc_object(&status);
	swap = swap_object(daemon, &status);
	counters = status_counters(&status);
	lock = lock_object(daemon);
	warnings = warnings_object(daemon);
	set_text(&object, "version", EPCD_VERSION);
	set_number(&object, "pid", (uint64_t)getpid());
	set_number(&object, "uptime_ms", ms_since(daemon->started_ns));
	set_text(&object, "run_dir", run_dir);
	set_object(&object, "epc", &epc);
	set_object(&object, "swap", &swap);
	set_number(&object, "instances", status.epc.nr_instances);
	set_number(&object, "parked", status.epc.nr_parked);
	set_number(&object, "unmaps", status.epc.nr_unmaps);
	set_number(&object, "nr_secs", status.epc.nr_secs);
	set_number(&object, "nr_zombies", status.epc.nr_zombies);
	set_object(&object, "counters", &counters);
	set_number(&object, "peak_bytes", status.root.peak_bytes);
	set_object(&object, "lock", &lock);
	set_object(&object, "warnings", &warnings);
	free(run_dir);
	return finish(&object, text, size);
}

/* ---- instances ---- */

struct shown {
	struct instance instance; /* its strings are copies */
	struct epc_instance_report report;
};

static struct instance *instance_find(struct daemon *daemon, uint64_t id)
{
	struct instance *instance = id ? instance_next(daemon, id - 1) : NULL;

	return instance && instance->id == id ? instance : NULL;
}

bool report_has_instance(struct daemon *daemon, uint64_t id)
{
	bool is_there;

	engine_lock(daemon->engine);
	is_there = instance_find(daemon, id) != NULL;
	engine_unlock(daemon->engine);
	return is_there;
}

uint64_t report_next_instance(struct daemon *daemon, uint64_t after_id)
{
	struct instance *instance;
	uint64_t id;

	engine_lock(daemon->engine);
	instance = instance_next(daemon, after_id);
	id = instance ? instance->id : 0;
	engine_unlock(daemon->engine);
	return id;
}

static bool instance_copy(struct daemon *daemon, uint64_t id, struct shown *copy)
{
	struct instance *instance;

	engine_lock(daemon->engine);
	instance = instance_find(daemon, id);
	if (instance) {
		copy->instance = *instance;
		copy->instance.cmdline = instance->cmdline ? strdup(instance->cmdline) : NULL;
		copy->instance.cgroup_path = instance->cgroup_path ? strdup(instance->cgroup_path) :
								     NULL;
		epc_instance_report(instance->core, &copy->report);
	}
	engine_unlock(daemon->engine);
	return instance != NULL;
}

static struct object instance_counters(const struct epc_instance_report *report)
{
	struct object object = { .json = json_object() };

	set_number(&object, "faults", report->nr_faults);
	set_number(&object, "clusters", report->nr_clusters);
	set_number(&object, "refusals", report->nr_refusals);
	set_number(&object, "resets", report->nr_resets);
	set_number(&object, "leaves", report->nr_leaves);
	if (!report->is_enclave)
		return object;
	set_number(&object, "loads", report->nr_loads);
	set_number(&object, "soft_faults", report->nr_soft_faults);
	set_number(&object, "refaults", report->nr_refaults);
	set_number(&object, "lost", report->nr_lost);
	return object;
}

/* Of the other kind it is null. */
static void set_enclave(struct object *object, const struct epc_instance_report *report)
{
	struct object enclave = { .json = json_object() };

	set_number(&enclave, "base", report->base);
	set_number(&enclave, "size", report->size);
	set(&enclave, "is_initialised", json_boolean(report->is_initialised));
	set_pages(&enclave, "inactive_bytes", report->nr_inactive);
	set_pages(&enclave, "evicted_bytes", report->nr_evicted);
	set_pages(&enclave, "va_bytes", report->nr_va_pages);
	set_object(object, "enclave", &enclave);
}

/* What it is to its VM and its enclaves, and its own limit: null is none. */
static void set_vm(struct object *object, const struct epc_instance_report *report)
{
	set_number(object, "nr_in_vm", report->nr_in_vm);
	set_number(object, "nr_secs", report->nr_secs);
	set_number(object, "nr_zombies", report->nr_zombies);
	set(object, "is_released", json_boolean(report->is_released));
	if (report->max_bytes == EPC_MAX_UNLIMITED)
		set(object, "limit_bytes", json_null());
	else
		set_number(object, "limit_bytes", report->max_bytes);
}

static json_t *last_refusal(struct daemon *daemon, uint64_t id)
{
	char *line = journal_last_refusal(daemon->journal, id);
	json_t *record = line ? json_loads(line, 0, NULL) : json_null();

	free(line);
	return record;
}

int report_instance(struct daemon *daemon, uint64_t id, char **text, size_t *size)
{
	struct object object = { 0 }, counters;
	struct shown copy;

	if (!instance_copy(daemon, id, &copy))
		return -ENOENT;
	object.json = json_object();
	counters = instance_counters(&copy.report);
	set_number(&object, "id", id);
	set_text(&object, "device", copy.report.is_enclave ? "sgx_enclave" : "sgx_vepc");
	set_text(&object, "kind", copy.report.is_enclave ? "enclave" : "vepc");
	set(&object, "pid", json_integer(copy.instance.pid));
	set_number(&object, "start_time", copy.instance.start_time);
	set_number(&object, "uid", copy.instance.uid);
	set_text(&object, "command", copy.instance.command);
	set_text(&object, "cmdline", copy.instance.cmdline);
	set_text(&object, "cgroup", copy.instance.cgroup_path);
	set_number(&object, "opened_ms_ago", ms_since(copy.instance.opened_ns));
	if (copy.report.is_enclave)
		set(&object, "touched_bytes", json_null());
	else
		set_pages(&object, "touched_bytes", copy.report.end_index);
	set_pages(&object, "owned_bytes", copy.report.nr_pages);
	set_pages(&object, "resident_bytes", copy.report.nr_pages_with_bytes);
	set_pages(&object, "speculative_bytes", copy.report.nr_speculative);
	set_pages(&object, "peak_bytes", copy.report.peak_pages);
	set_vm(&object, &copy.report);
	if (copy.report.is_enclave)
		set_enclave(&object, &copy.report);
	else
		set(&object, "enclave", json_null());
	set_object(&object, "counters", &counters);
	set(&object, "last_refusal", last_refusal(daemon, id));
	free(copy.instance.cmdline);
	free(copy.instance.cgroup_path);
	return finish(&object, text, size);
}
