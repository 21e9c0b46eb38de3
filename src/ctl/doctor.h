/* SPDX-License-Identifier: MIT */
/*
 * epcctl doctor: checks look at one thing each and add what they found. A finding has a cause and,
 * unless all is well, a remedy; texts are written for the administrator who reads only that line.
 */
#ifndef EPCD_CTL_DOCTOR_H
#define EPCD_CTL_DOCTOR_H

#include "ctl/ctl.h"

#define DOCTOR_NODE "/dev/sgx_vepc" /* QEMU opens literally this */

enum doctor_severity {
	DOCTOR_OK,
	DOCTOR_NOTE,	/* works, but somebody may miss something */
	DOCTOR_WARNING, /* works less well than it could */
	DOCTOR_PROBLEM, /* VMs get no EPC, or will not */
};

struct doctor {
	const struct ctl *ctl;
	json_t *findings;
	json_t *status; /* of the daemon, NULL: it did not answer */
	bool has_problem;
};

/* remedy NULL: none is needed; RUN_DIR in it becomes the directory. cause is a format string. */
void doctor_add(struct doctor *doctor, const char *check, enum doctor_severity severity,
		const char *remedy, const char *cause, ...) __attribute__((format(printf, 5, 6)));

/* What users see on their screens: adds it to the finding added last. */
void doctor_seen_as(struct doctor *doctor, const char *symptom);

/* doctor_host.c: kernel, FUSE, cgroup2, libvirt */
void doctor_check_kernel(struct doctor *doctor);
void doctor_check_fuse(struct doctor *doctor);
void doctor_check_cgroup2(struct doctor *doctor);
void doctor_check_libvirt(struct doctor *doctor);

/* doctor_daemon.c: the daemon, its mount and what it says itself; sets doctor->status */
void doctor_check_daemon(struct doctor *doctor);
void doctor_check_bdi(struct doctor *doctor);
void doctor_check_reports(struct doctor *doctor);

/* doctor_node.c: /dev/sgx_vepc */
void doctor_check_node(struct doctor *doctor);
void doctor_check_permissions(struct doctor *doctor);

/* Whether something is mounted on exactly this path, in our mount namespace. */
bool doctor_is_mount_point(const char *path);

/* doctor_symptoms.c: texts that users meet, and where they come from; a new JSON array. */
json_t *doctor_symptoms(void);

#endif
