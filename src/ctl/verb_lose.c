/* SPDX-License-Identifier: MIT */
/*
 * epcctl lose: EPC loss, as on suspend or migration of a host: a write to instances/ID/lose or
 * cgroup/PATH/epc.lose, which comes back when all is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "ctl/ctl.h"

static int instance_lose(const struct ctl *ctl, const char *word)
{
	uint64_t id = ctl_instance_parse(word);
	char name[64];
	int error;

	if (!id)
		return CTL_EXIT_USAGE;
	snprintf(name, sizeof(name), "instances/%" PRIu64 "/lose", id);
	error = ctl_file_write(ctl, name, "1");
	if (!error)
		return CTL_EXIT_OK;
	ctl_error_instance(ctl, id, "lose", -error);
	return CTL_EXIT_PROBLEM;
}

/* Whether there is a daemon: then what is not there is the cgroup. */
static bool is_served(const struct ctl *ctl)
{
	int error;
	json_t *status = ctl_file_json(ctl, "status", &error);

	json_decref(status);
	return status != NULL;
}

static void cgroup_error(const struct ctl *ctl, const char *path, const char *name, int error)
{
	char *shown = text_escape_string_new(path);

	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENODEV:
		if (is_served(ctl)) {
			ctl_error("there is no cgroup %s that pays for EPC; give its path as "
				  "`epcctl ls` shows it, of a threaded cgroup that of its domain",
				  shown ? shown : "?");
			break;
		}
		ctl_error_file(ctl, name, error);
		break;
	default:
		ctl_error_file(ctl, "cgroup/.../epc.lose", error);
		break;
	}
	free(shown);
}

static int cgroup_lose(const struct ctl *ctl, const char *path)
{
	char name[PATH_MAX];
	int error = -ENAMETOOLONG;

	if (snprintf(name, sizeof(name), "cgroup/%s/epc.lose", path) < (int)sizeof(name))
		error = ctl_file_write(ctl, name, "1");
	if (!error)
		return CTL_EXIT_OK;
	cgroup_error(ctl, path, name, -error);
	return CTL_EXIT_PROBLEM;
}

static int all_lose(const struct ctl *ctl)
{
	int error = ctl_file_write(ctl, "cgroup/epc.lose", "1");

	if (!error)
		return CTL_EXIT_OK;
	ctl_error_file(ctl, "cgroup/epc.lose", -error);
	return CTL_EXIT_PROBLEM;
}

int verb_lose(const struct ctl *ctl)
{
	if (ctl->nr_words + (ctl->cgroup != NULL) + ctl->is_all != 1) {
		ctl_error("whose EPC? one of `epcctl lose INSTANCE`, `--cgroup PATH`, `--all`; "
			  "`epcctl ls` shows instances and cgroups");
		return CTL_EXIT_USAGE;
	}
	if (ctl->is_all)
		return all_lose(ctl);
	return ctl->cgroup ? cgroup_lose(ctl, ctl->cgroup) : instance_lose(ctl, ctl->words[0]);
}
