/* SPDX-License-Identifier: MIT */
/*
 * OpenMetrics text; see metrics.h. A family is one name with its type, unit and help, and then its
 * samples; the samples of a counter end in _total; the last line is # EOF.
 */
#include "front/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "front/daemon.h"
#include "front/mirror.h"
#include "front/swap_store.h"

struct family {
	const char *name;
	bool is_counter;
	bool is_bytes; /* the value is pages, what is told bytes */
	const char *help;
};

/* One sample each, of a member of struct epc_report. */
static const struct {
	struct family family;
	size_t offset;
} figures[] = {
#define GAUGE_PAGES(name, member, help)                                                           \
	{                                                                                         \
		{ "epcd_" name "_bytes", false, true, help }, offsetof(struct epc_report, member) \
	}
#define GAUGE(name, member, help)                                                         \
	{                                                                                 \
		{ "epcd_" name, false, false, help }, offsetof(struct epc_report, member) \
	}
#define COUNTER(name, member, help)                                                      \
	{                                                                                \
		{ "epcd_" name, true, false, help }, offsetof(struct epc_report, member) \
	}
	GAUGE_PAGES("epc", nr_pages, "EPC in all sections."),
	GAUGE_PAGES("epc_free", nr_free, "EPC that nobody has."),
	GAUGE_PAGES("epc_speculative", nr_speculative, "EPC read ahead and not known to be used."),
	GAUGE_PAGES("epc_active", nr_active, "Pages of enclaves that may be mapped."),
	GAUGE_PAGES("epc_inactive", nr_inactive, "Pages of enclaves that leave next."),
	GAUGE_PAGES("epc_low", low_pages, "Background reclaim begins with less free EPC."),
	GAUGE_PAGES("epc_high", high_pages, "Background reclaim ends with more free EPC."),
	GAUGE_PAGES("swap_used", nr_evicted, "Pages of enclaves that are out of the EPC."),
	GAUGE("instances", nr_instances, "Open devices that have or had a page."),
	GAUGE("parked", nr_parked, "Requests that wait for EPC."),
	GAUGE("unmaps", nr_unmaps, "Unmappings in flight."),
	GAUGE("secs_pages", nr_secs, "SECS pages in the EPC."),
	GAUGE("zombie_secs_pages", nr_zombies, "SECS pages of closed sections."),
	COUNTER("faults", nr_faults, "Page faults."),
	COUNTER("soft_faults", nr_soft_faults, "Page faults on inactive pages."),
	COUNTER("clusters", nr_clusters, "Reads ahead."),
	COUNTER("refusals", nr_refusals, "Pages refused."),
	COUNTER("resets", nr_resets, "Resets of a section."),
	COUNTER("taken_back_pages", nr_taken_back, "Speculative pages taken back."),
	COUNTER("leaves", nr_leaves, "SGX instructions executed for guests."),
	COUNTER("evictions", nr_evictions, "Pages that left the EPC."),
	COUNTER("loads", nr_loads, "Pages that came back to the EPC."),
	COUNTER("refaults", nr_refaults, "Pages that came back soon."),
};

#define NR_FIGURES (sizeof(figures) / sizeof(figures[0]))

static void family_print(FILE *out, const struct family *family)
{
	fprintf(out, "# TYPE %s %s\n", family->name, family->is_counter ? "counter" : "gauge");
	if (family->is_bytes)
		fprintf(out, "# UNIT %s bytes\n", family->name);
	fprintf(out, "# HELP %s %s\n", family->name, family->help);
}

static void epc_print(FILE *out, struct daemon *daemon)
{
	struct epc_report report;

	epc_report(engine_lock(daemon->engine), &report);
	engine_unlock(daemon->engine);
	for (size_t i = 0; i < NR_FIGURES; i++) {
		const struct family *family = &figures[i].family;
		uint64_t value;

		memcpy(&value, (const char *)&report + figures[i].offset, sizeof(value));
		family_print(out, family);
		fprintf(out, "%s%s %" PRIu64 "\n", family->name, family->is_counter ? "_total" : "",
			family->is_bytes ? value * EPC_PAGE_SIZE : value);
	}
}

static void swap_print(FILE *out, struct daemon *daemon)
{
	static const struct family total = { "epcd_swap_bytes", false, true,
					     "What may be out of the EPC." };
	static const struct family resident = { "epcd_swap_resident_bytes", false, true,
						"What the store of those pages takes." };

	family_print(out, &total);
	fprintf(out, "%s %" PRIu64 "\n", total.name,
		(uint64_t)daemon->nr_swap_slots * EPC_PAGE_SIZE);
	family_print(out, &resident);
	fprintf(out, "%s %" PRIu64 "\n", resident.name, swap_store_bytes(daemon->swap));
}

/* ---- cgroups ---- */

static const struct family cgroup_families[] = {
	{ "epcd_cgroup_usage_bytes", false, true, "EPC charged to the cgroup and those below." },
	{ "epcd_cgroup_peak_bytes", false, true, "The most that it ever was." },
	{ "epcd_cgroup_max_bytes", false, true, "Its limit, where it has one." },
	{ "epcd_cgroup_refusals", true, false, "Pages refused by its limit or one below." },
	{ "epcd_cgroup_parked", false, false, "Requests that wait at its limit." },
};

#define NR_CGROUP_FAMILIES (sizeof(cgroup_families) / sizeof(cgroup_families[0]))

static uint64_t cgroup_value(const struct epc_cgroup_report *report, size_t family)
{
	const uint64_t values[NR_CGROUP_FAMILIES] = {
		report->usage_bytes, report->peak_bytes, report->max_bytes,
		report->nr_refused,  report->nr_parked,
	};

	return values[family];
}

/* As in a text of JSON, but for the quotation mark a label needs a backslash of its own. */
static void label_print(FILE *out, const char *path)
{
	char *text = text_escape_string_new(path);

	for (const char *at = text ? text : "?"; *at; at++) {
		if (*at == '"' || *at == '\\')
			putc('\\', out);
		putc(*at, out);
	}
	free(text);
}

static void sample_print(FILE *out, size_t family, const char *path,
			 const struct epc_cgroup_report *report)
{
	fprintf(out, "%s%s{cgroup=\"", cgroup_families[family].name,
		cgroup_families[family].is_counter ? "_total" : "");
	label_print(out, path);
	fprintf(out, "\"} %" PRIu64 "\n", cgroup_value(report, family));
}

/* Once round all cgroups for each family: its samples stand together. */
static void cgroups_print(FILE *out, struct daemon *daemon, size_t family)
{
	struct mirror_cgroup *cgroup = mirror_next(daemon->mirror, NULL);

	family_print(out, &cgroup_families[family]);
	for (; cgroup; cgroup = mirror_next(daemon->mirror, cgroup)) {
		struct epc_cgroup_report report = { 0 };

		engine_lock(daemon->engine);
		if (cgroup->cgroup)
			epc_cgroup_report(cgroup->cgroup, &report);
		engine_unlock(daemon->engine);
		/* One that is removed may have the path of one that is there now. */
		if (!cgroup->cgroup || mirror_is_removed(cgroup) ||
		    cgroup_value(&report, family) == EPC_MAX_UNLIMITED)
			continue;
		sample_print(out, family, cgroup->path, &report);
	}
}

int metrics_make(struct daemon *daemon, char **text, size_t *size)
{
	FILE *out = open_memstream(text, size);

	if (!out)
		return -ENOMEM;
	epc_print(out, daemon);
	swap_print(out, daemon);
	for (size_t i = 0; i < NR_CGROUP_FAMILIES; i++)
		cgroups_print(out, daemon, i);
	fputs("# EOF\n", out);
	if (fclose(out) == 0)
		return 0;
	free(*text);
	*text = NULL;
	return -ENOMEM;
}
