/* SPDX-License-Identifier: MIT */
/* epcctl status: the daemon and its EPC, from the file status. */
#include <inttypes.h>
#include <stdio.h>

#include "base/size.h"
#include "ctl/ctl.h"

#define MS_PER_S 1000u
#define S_PER_MINUTE 60u
#define S_PER_HOUR 3600u
#define S_PER_DAY 86400u

static void uptime_print(uint64_t uptime_ms)
{
	uint64_t s = uptime_ms / MS_PER_S;

	if (s >= S_PER_DAY)
		printf("%" PRIu64 " days ", s / S_PER_DAY);
	printf("%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s % S_PER_DAY / S_PER_HOUR,
	       s % S_PER_HOUR / S_PER_MINUTE, s % S_PER_MINUTE);
}

/* A size by the name of its member. One buffer each, so that several can be in one printf. */
static const char *size_of(const json_t *object, const char *name, char text[SIZE_TEXT_MAX])
{
	return size_format(text, SIZE_TEXT_MAX, ctl_member_number(object, name));
}

static void epc_print(const json_t *status)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], c[SIZE_TEXT_MAX], d[SIZE_TEXT_MAX];
	const json_t *epc = json_object_get(status, "epc");
	json_t *section;
	size_t i;

	printf("EPC: %s, %s used (%s of it speculative), %s free", size_of(epc, "total_bytes", a),
	       size_of(epc, "used_bytes", b), size_of(epc, "speculative_bytes", c),
	       size_of(epc, "free_bytes", d));
	printf(", peak %s\n", size_of(status, "peak_bytes", a));
	json_array_foreach(json_object_get(epc, "sections"), i, section)
		printf("  section %zu on node %" PRIu64 ": %s, %s free\n", i,
		       ctl_member_number(section, "node"), size_of(section, "total_bytes", a),
		       size_of(section, "free_bytes", b));
}

/* Pages of enclaves of host processes: where they are, and how they come and go. */
static void paging_print(const json_t *status)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], c[SIZE_TEXT_MAX], d[SIZE_TEXT_MAX];
	const json_t *epc = json_object_get(status, "epc");
	const json_t *swap = json_object_get(status, "swap");
	const json_t *counters = json_object_get(status, "counters");

	printf("pages of enclaves: %s active, %s inactive, %s of %s swapped (in ",
	       size_of(epc, "active_bytes", a), size_of(epc, "inactive_bytes", b),
	       size_of(swap, "used_bytes", c), size_of(swap, "total_bytes", d));
	ctl_show(ctl_member_text(swap, "kind"), 0);
	printf("); since the start %" PRIu64 " evictions, %" PRIu64 " loads, %" PRIu64 " soft "
	       "faults, "
	       "%" PRIu64 " refaults\n",
	       ctl_member_number(counters, "evictions"), ctl_member_number(counters, "loads"),
	       ctl_member_number(counters, "soft_faults"), ctl_member_number(counters, "refaults"));
}

static void status_print(const json_t *status)
{
	const json_t *counters = json_object_get(status, "counters");
	json_t *warning;
	size_t i;

	fputs("epcd ", stdout);
	ctl_show(ctl_member_text(status, "version"), 0);
	printf(", pid %" PRIu64 ", up ", ctl_member_number(status, "pid"));
	uptime_print(ctl_member_number(status, "uptime_ms"));
	fputs(", serves ", stdout);
	ctl_show(ctl_member_text(status, "run_dir"), 0);
	putchar('\n');
	epc_print(status);
	printf("instances: %" PRIu64 ", parked requests: %" PRIu64 ", unmappings: %" PRIu64 "\n",
	       ctl_member_number(status, "instances"), ctl_member_number(status, "parked"),
	       ctl_member_number(status, "unmaps"));
	printf("enclaves: %" PRIu64 " SECS pages, %" PRIu64 " of them zombies of closed sections\n",
	       ctl_member_number(status, "nr_secs"), ctl_member_number(status, "nr_zombies"));
	paging_print(status);
	printf("since the start: %" PRIu64 " faults, %" PRIu64 " clusters, %" PRIu64 " refusals, "
	       "%" PRIu64 " resets, %" PRIu64 " pages taken back, %" PRIu64 " leaves of SGX "
	       "executed\n",
	       ctl_member_number(counters, "faults"), ctl_member_number(counters, "clusters"),
	       ctl_member_number(counters, "refusals"), ctl_member_number(counters, "resets"),
	       ctl_member_number(counters, "taken_back"), ctl_member_number(counters, "leaves"));
	json_array_foreach(json_object_get(status, "warnings"), i, warning) {
		fputs("warning: ", stdout);
		ctl_show(json_is_string(warning) ? json_string_value(warning) : "?", 0);
		putchar('\n');
	}
}

int verb_status(const struct ctl *ctl)
{
	int error;
	json_t *status = ctl_file_json(ctl, "status", &error);

	if (!status) {
		ctl_error_file(ctl, "status", -error);
		return CTL_EXIT_PROBLEM;
	}
	if (ctl->is_json)
		return ctl_print_json(status);
	status_print(status);
	json_decref(status);
	return fflush(stdout) ? CTL_EXIT_PROBLEM : CTL_EXIT_OK;
}
