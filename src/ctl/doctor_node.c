/* SPDX-License-Identifier: MIT */
/* epcctl doctor: /dev/sgx_vepc, as QEMU meets it. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ctl/doctor.h"

#define FUSE_SUPER_MAGIC 0x65735546 /* include/uapi/linux/magic.h */

static const char symptom_type[] = "invalid object type: memory-backend-epc";
static const char symptom_open[] = "failed to open /dev/sgx_vepc to alloc SGX EPC: Device or "
				   "resource busy";
static const char remedy_link[] = "start epcd with --link-dev, or `ln -s "
				  "RUN_DIR/dev/sgx_vepc " DOCTOR_NODE "`, "
				  "or start the VM with `epcd run`";

bool doctor_is_mount_point(const char *path)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	bool found = false;
	char *line = NULL;
	size_t size = 0;

	/* "36 35 0:42 /root /mount/point rw ..."; ours has no space that would be written \040 */
	while (mounts && !found && getline(&line, &size, mounts) > 0) {
		char *save = NULL, *field = strtok_r(line, " ", &save);

		for (unsigned int i = 1; field && i < 5; i++)
			field = strtok_r(NULL, " ", &save);
		found = field && strcmp(field, path) == 0;
	}
	free(line);
	if (mounts)
		fclose(mounts);
	return found;
}

static void node_add_missing(struct doctor *doctor, int error)
{
	doctor_add(doctor, "node", DOCTOR_PROBLEM, remedy_link, DOCTOR_NODE ": %s",
		   strerror(error));
	doctor_seen_as(doctor, symptom_type);
}

static void node_add_bound(struct doctor *doctor)
{
	doctor_add(doctor, "node", DOCTOR_PROBLEM,
		   "bind the directory RUN_DIR, never the file, "
		   "and make " DOCTOR_NODE " a symbolic link into it",
		   DOCTOR_NODE " is bind-mounted: every open of it is the same one, "
			       "so that a second section cannot be opened");
	doctor_seen_as(doctor, symptom_open);
}

/* A symbolic link that leads somewhere else than into the run directory is no problem of itself. */
static void link_check(struct doctor *doctor)
{
	char target[PATH_MAX], expected[PATH_MAX], real[PATH_MAX], real_expected[PATH_MAX];
	ssize_t size = readlink(DOCTOR_NODE, target, sizeof(target) - 1);

	if (size < 0)
		return;
	target[size] = '\0';
	snprintf(expected, sizeof(expected), "%s/dev/sgx_vepc", doctor->ctl->run_dir);
	if (!doctor->status || !realpath(DOCTOR_NODE, real) || !realpath(expected, real_expected) ||
	    strcmp(real, real_expected) == 0)
		return;
	doctor_add(doctor, "node", DOCTOR_WARNING,
		   "name that epcd's directory with --run-dir, or make the link anew",
		   DOCTOR_NODE " leads to %s, which is not the epcd looked at", target);
}

/* The node is a file that opens; is it one of epcd's? */
static void file_check(struct doctor *doctor)
{
	struct statfs where;

	if (statfs(DOCTOR_NODE, &where) == 0 && where.f_type == FUSE_SUPER_MAGIC) {
		doctor_add(doctor, "node", DOCTOR_OK, NULL, DOCTOR_NODE " can be opened");
		link_check(doctor);
		return;
	}
	doctor_add(doctor, "node", DOCTOR_PROBLEM, remedy_link,
		   DOCTOR_NODE " is an ordinary file; remove it");
}

static void open_check(struct doctor *doctor)
{
	int fd = open(DOCTOR_NODE, O_RDWR | O_CLOEXEC); /* as QEMU does when it starts */
	int error = errno;

	if (fd >= 0) {
		close(fd);
		file_check(doctor);
		return;
	}
	switch (error) {
	case EACCES:
	case EPERM:
		doctor_add(doctor, "node", DOCTOR_PROBLEM,
			   "let the VM's user in: chgrp and chmod RUN_DIR/dev/sgx_vepc, and the "
			   "group for the user; in a container, look at its device rules",
			   DOCTOR_NODE ": %s for user %u", strerror(error), geteuid());
		doctor_seen_as(doctor, symptom_type);
		break;
	case ENOTCONN:
	case ECONNABORTED:
		doctor_add(doctor, "node", DOCTOR_PROBLEM,
			   "umount -l RUN_DIR, then start epcd again",
			   DOCTOR_NODE " belongs to an epcd that is dead");
		doctor_seen_as(doctor, symptom_type);
		break;
	default:
		doctor_add(doctor, "node", DOCTOR_PROBLEM, "see the log of epcd",
			   DOCTOR_NODE ": %s", strerror(error));
		doctor_seen_as(doctor, symptom_type);
		break;
	}
}

void doctor_check_node(struct doctor *doctor)
{
	struct stat link, node;

	if (lstat(DOCTOR_NODE, &link)) {
		node_add_missing(doctor, errno);
		return;
	}
	if (doctor_is_mount_point(DOCTOR_NODE)) {
		node_add_bound(doctor);
		return;
	}
	if (stat(DOCTOR_NODE, &node)) {
		if (errno != ENOENT) {
			open_check(doctor);
			return;
		}
		doctor_add(doctor, "node", DOCTOR_PROBLEM,
			   "start epcd again with --link-dev, or remove the link",
			   DOCTOR_NODE " is a link that leads nowhere: its epcd has ended");
		doctor_seen_as(doctor, symptom_type);
		return;
	}
	if (S_ISCHR(node.st_mode)) {
		doctor_add(doctor, "node", DOCTOR_PROBLEM,
			   "use the hardware's EPC; or start the VM with `epcd run`, which has a "
			   "/dev of its own",
			   DOCTOR_NODE " is a real SGX device: VMs get hardware EPC, not epcd's");
		return;
	}
	open_check(doctor);
}

/* Who beside root may open the node: the file in the run directory decides. */
void doctor_check_permissions(struct doctor *doctor)
{
	char path[PATH_MAX];
	const struct group *group;
	const char *name;
	struct stat node;

	snprintf(path, sizeof(path), "%s/dev/sgx_vepc", doctor->ctl->run_dir);
	if (!doctor->status || stat(path, &node))
		return;
	group = getgrgid(node.st_gid);
	name = group ? group->gr_name : "that has no name here";
	if ((node.st_mode & 0006) == 0006)
		doctor_add(doctor, "permissions", DOCTOR_OK, NULL, "every user may use EPC");
	else if (node.st_gid == 0 || (node.st_mode & 0060) != 0060)
		doctor_add(doctor, "permissions", DOCTOR_NOTE,
			   "chgrp kvm and chmod 0660 RUN_DIR/dev/sgx_vepc, if VMs run as another "
			   "user (those of libvirt do)",
			   "only user %u and group %u (%s) may use EPC: mode %04o", node.st_uid,
			   node.st_gid, name, (unsigned int)(node.st_mode & 07777));
	else
		doctor_add(doctor, "permissions", DOCTOR_OK, NULL,
			   "only user %u and group %u (%s) may use EPC: mode %04o", node.st_uid,
			   node.st_gid, name, (unsigned int)(node.st_mode & 07777));
}
