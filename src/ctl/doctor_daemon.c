/* SPDX-License-Identifier: MIT */
/* epcctl doctor: the daemon, its mount, and what the daemon says of itself. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ctl/doctor.h"

void doctor_check_daemon(struct doctor *doctor)
{
	const char *dir = doctor->ctl->run_dir;
	int error;

	doctor->status = ctl_file_json(doctor->ctl, "status", &error);
	if (doctor->status) {
		doctor_add(doctor, "daemon", DOCTOR_OK, NULL,
			   "epcd %s with pid %" PRIu64 " serves %s",
			   ctl_member_text(doctor->status, "version"),
			   ctl_member_number(doctor->status, "pid"), dir);
		return;
	}
	switch (-error) {
	case ENOTCONN:
	case ECONNABORTED:
		doctor_add(doctor, "daemon", DOCTOR_PROBLEM,
			   "umount -l RUN_DIR, then start epcd again",
			   "%s is the mount of an epcd that is dead", dir);
		doctor_seen_as(doctor, "Transport endpoint is not connected");
		break;
	case ENOENT:
	case ENOTDIR:
		doctor_add(doctor, "daemon", DOCTOR_PROBLEM,
			   "start epcd, or name its directory with --run-dir", "no epcd serves %s",
			   dir);
		break;
	case EACCES:
	case EPERM:
		doctor_add(doctor, "daemon", DOCTOR_WARNING,
			   "be root, or the user that epcd runs as", "%s/status: %s", dir,
			   strerror(-error));
		break;
	default:
		doctor_add(doctor, "daemon", DOCTOR_PROBLEM, "see the log of epcd", "%s/status: %s",
			   dir, strerror(-error));
		break;
	}
}

/* The number in /sys/class/bdi/MAJOR:MINOR/name, or -errno. */
static int bdi_number(dev_t device, const char *name)
{
	char path[PATH_MAX];
	FILE *file;
	int value, error = 0;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/%s", major(device), minor(device), name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (fscanf(file, "%d", &value) != 1)
		error = -EPROTO;
	fclose(file);
	return error ? error : value;
}

void doctor_check_bdi(struct doctor *doctor)
{
	int strict_limit, max_ratio;
	struct stat dir;

	if (!doctor->status || stat(doctor->ctl->run_dir, &dir))
		return;
	strict_limit = bdi_number(dir.st_dev, "strict_limit");
	max_ratio = bdi_number(dir.st_dev, "max_ratio");
	if (strict_limit < 0 || max_ratio < 0)
		doctor_add(doctor, "bdi", DOCTOR_NOTE,
			   "none from here; Linux 6.2 and later have both settings, in /sys",
			   "cannot tell how writes to EPC are throttled: /sys/class/bdi/%u:%u: %s",
			   major(dir.st_dev), minor(dir.st_dev),
			   strerror(strict_limit < 0 ? -strict_limit : -max_ratio));
	else if (strict_limit || max_ratio < 100)
		doctor_add(doctor, "bdi", DOCTOR_WARNING,
			   "as root, write 0 to strict_limit and 100 to max_ratio there; epcd does "
			   "when it runs as root",
			   "VMs that write to much EPC are slowed down: strict_limit %d, max_ratio "
			   "%d in /sys/class/bdi/%u:%u",
			   strict_limit, max_ratio, major(dir.st_dev), minor(dir.st_dev));
	else
		doctor_add(doctor, "bdi", DOCTOR_OK, NULL, "writes to EPC are not throttled");
}

void doctor_check_reports(struct doctor *doctor)
{
	json_t *counters = json_object_get(doctor->status, "counters");
	uint64_t nr_refusals = ctl_member_number(counters, "refusals");
	json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(doctor->status, "warnings"), i, warning)
		doctor_add(doctor, "reports", DOCTOR_WARNING,
			   "if no finding above says more: start epcd as root, with cgroup v2 "
			   "mounted",
			   "epcd says: %s",
			   json_is_string(warning) ? json_string_value(warning) : "?");
	if (!nr_refusals)
		return;
	doctor_add(doctor, "reports", DOCTOR_NOTE,
		   "`epcctl ls` says who and why; raise misc.max of the cgroup that it names, or "
		   "start epcd with more EPC",
		   "VMs were refused EPC %" PRIu64 " times", nr_refusals);
	doctor_seen_as(doctor, "preallocating memory failed: Bad address");
	doctor_seen_as(doctor, "kvm run failed Bad address");
	doctor_seen_as(doctor, "Bus error");
}
