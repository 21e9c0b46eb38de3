/* SPDX-License-Identifier: MIT */
/* epcctl doctor: the machine that the daemon and the VMs are on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ctl/doctor.h"

#define LIBVIRT_CONF "/etc/libvirt/qemu.conf"

static bool is_at_least(unsigned int major, unsigned int minor, unsigned int want_major,
			unsigned int want_minor)
{
	return major > want_major || (major == want_major && minor >= want_minor);
}

void doctor_check_kernel(struct doctor *doctor)
{
	unsigned int major, minor;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return;
	if (!is_at_least(major, minor, 5, 15))
		doctor_add(doctor, "kernel", DOCTOR_PROBLEM, "boot Linux 5.15 or later",
			   "Linux %s is older than epcd was made for", name.release);
	else if (!is_at_least(major, minor, 6, 13))
		doctor_add(doctor, "kernel", DOCTOR_NOTE,
			   "none needed; Linux 6.13 and later do it faster",
			   "Linux %s: the cgroup of each fault is read from /proc", name.release);
	else
		doctor_add(doctor, "kernel", DOCTOR_OK, NULL, "Linux %s", name.release);
}

void doctor_check_fuse(struct doctor *doctor)
{
	if (access("/dev/fuse", F_OK))
		doctor_add(doctor, "fuse", DOCTOR_PROBLEM,
			   "modprobe fuse; in a container, give it the device /dev/fuse",
			   "/dev/fuse: %s, epcd cannot serve anything", strerror(errno));
	else if (access("/dev/fuse", R_OK | W_OK))
		doctor_add(doctor, "fuse", DOCTOR_NOTE,
			   "chmod 0666 /dev/fuse if ordinary users shall use `epcd run`",
			   "/dev/fuse: %s: you cannot start epcd, only use one", strerror(errno));
	else
		doctor_add(doctor, "fuse", DOCTOR_OK, NULL, "/dev/fuse can be used");
}

static bool has_cgroup2(void)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	bool found = false;
	char *line = NULL;
	size_t size = 0;

	while (mounts && !found && getline(&line, &size, mounts) > 0)
		found = strstr(line, " - cgroup2 ");
	free(line);
	if (mounts)
		fclose(mounts);
	return found;
}

void doctor_check_cgroup2(struct doctor *doctor)
{
	if (has_cgroup2())
		doctor_add(doctor, "cgroup2", DOCTOR_OK, NULL, "cgroup v2 is mounted");
	else
		doctor_add(doctor, "cgroup2", DOCTOR_WARNING,
			   "mount -t cgroup2 none /sys/fs/cgroup, or a directory below it where "
			   "v1 is in use",
			   "no cgroup v2: all VMs share one account, only the EPC's size limits");
}

/* Whether the file has a line that is no comment with both words in it. */
static bool has_setting(FILE *file, const char *one, const char *other)
{
	bool is_in_list = false, found = false;
	char *line = NULL;
	size_t size = 0;

	rewind(file);
	while (!found && getline(&line, &size, file) > 0) {
		const char *at = line + strspn(line, " \t");

		if (*at == '#')
			continue;
		if (strncmp(at, one, strlen(one)) == 0)
			is_in_list = true;
		found = is_in_list && strstr(at, other);
		if (strchr(at, ']'))
			is_in_list = false;
	}
	free(line);
	return found;
}

void doctor_check_libvirt(struct doctor *doctor)
{
	static const char remedy[] = "add \"" DOCTOR_NODE "\" to cgroup_device_acl in " LIBVIRT_CONF
				     ", restart libvirtd, "
				     "and remove /var/cache/libvirt/qemu/capabilities/*.xml, "
				     "which may remember a QEMU without it";
	FILE *conf;

	if (access(LIBVIRT_CONF, F_OK) && errno == ENOENT)
		return;
	conf = fopen(LIBVIRT_CONF, "re");
	if (!conf) {
		doctor_add(doctor, "libvirt", DOCTOR_NOTE, "be root for this check",
			   LIBVIRT_CONF ": %s", strerror(errno));
		return;
	}
	if (has_setting(conf, "cgroup_device_acl", "\"" DOCTOR_NODE "\"") ||
	    (has_setting(conf, "namespaces", "[]") || has_setting(conf, "namespaces", "[ ]"))) {
		doctor_add(doctor, "libvirt", DOCTOR_OK, NULL, "VMs of libvirt get " DOCTOR_NODE);
	} else {
		doctor_add(doctor, "libvirt", DOCTOR_WARNING, remedy,
			   "VMs of libvirt have a private /dev without " DOCTOR_NODE);
		doctor_seen_as(doctor, "invalid object type: memory-backend-epc");
	}
	fclose(conf);
}
