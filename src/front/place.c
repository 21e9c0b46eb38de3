/* SPDX-License-Identifier: MIT */
/* Where cgroup v2 is mounted, and in which cgroup a task is; see place.h. */
#include "front/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Newer than this system's headers (Linux 6.9 and 6.13): include/uapi/linux/pidfd.h. */
#define PLACE_PIDFD_THREAD O_EXCL
#define PLACE_INFO_CGROUPID (UINT64_C(1) << 2)

struct place_pidfd_info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t ids[11]; /* pid, tgid, ppid and the eight user and group ids */
	int32_t exit_code;
};

#define PLACE_PIDFD_GET_INFO _IOWR(0xFF, 11, struct place_pidfd_info)

/* PROC/TID/cgroup has a line for each hierarchy, each path of at most PATH_MAX. */
#define CGROUP_FILE_MAX (64u << 10)

/* Undoes the octal escapes of mountinfo (\040 is a space), in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
		    from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

struct mount_line {
	char *root, *point;
};

/*
 * One line of mountinfo, cut up in place: "30 22 0:27 ROOT POINT options [tags] - TYPE ...". False
 * unless it is a mount of cgroup2.
 */
static bool mount_line_parse(char *line, struct mount_line *mount)
{
	char *rest = line, *field, *type;

	type = strstr(line, " - ");
	if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
		return false;
	for (unsigned int i = 0; (field = strsep(&rest, " ")) && i < 5; i++) {
		if (i == 3)
			mount->root = field;
		if (i == 4)
			mount->point = field;
	}
	if (!field)
		return false;
	unescape(mount->root);
	unescape(mount->point);
	return true;
}

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static int place_set(struct place *place, const char *path, const char *above)
{
	if (strcmp(above, "/") == 0)
		above = "";
	place->path = strdup(path);
	place->above = strdup(above);
	if (!place->path || !place->above) {
		place_fini(place);
		return -ENOMEM;
	}
	return 0;
}

void place_fini(struct place *place)
{
	free(place->path);
	free(place->above);
	*place = (struct place){ 0 };
}

static FILE *open_mountinfo(const char *proc_root)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/self/mountinfo", proc_root) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return fopen(path, "re");
}

/* The first mount that shows the whole hierarchy, else the first that can be reached at all. */
int place_find(const char *proc_root, struct place *place)
{
	FILE *mountinfo = open_mountinfo(proc_root);
	struct mount_line mount;
	char *line = NULL;
	size_t line_size = 0;
	int error = -ENOENT;

	*place = (struct place){ 0 };
	if (!mountinfo)
		return -errno;
	while (getline(&line, &line_size, mountinfo) >= 0) {
		bool is_whole;

		if (!mount_line_parse(line, &mount) || !is_cgroup2(mount.point))
			continue;
		is_whole = strcmp(mount.root, "/") == 0;
		if (place->path && !is_whole)
			continue;
		place_fini(place);
		error = place_set(place, mount.point, mount.root);
		place->is_cgroup2 = !error;
		if (error || is_whole)
			break;
	}
	free(line);
	fclose(mountinfo);
	return error;
}

/* Whether point is path or a directory above it; *rest is then what comes after, "" or "/a". */
static bool is_above(const char *point, const char *path, const char **rest)
{
	size_t size = strlen(point);

	if (size == 1)
		size = 0; /* "/" */
	if (strncmp(point, path, size) != 0 || (path[size] != '/' && path[size] != '\0'))
		return false;
	*rest = path + size;
	return true;
}

int place_of_directory(const char *proc_root, const char *directory, struct place *place)
{
	char resolved[PATH_MAX], above[2 * PATH_MAX] = "";
	struct mount_line mount;
	FILE *mountinfo;
	char *line = NULL;
	size_t line_size = 0, longest = 0;
	int error;

	*place = (struct place){ 0 };
	if (!realpath(directory, resolved))
		return -errno;
	if (!is_cgroup2(resolved))
		return place_set(place, resolved, "");

	mountinfo = open_mountinfo(proc_root);
	if (!mountinfo)
		return -errno;
	while (getline(&line, &line_size, mountinfo) >= 0) {
		const char *rest;

		if (!mount_line_parse(line, &mount) || !is_above(mount.point, resolved, &rest) ||
		    strlen(mount.point) < longest)
			continue;
		longest = strlen(mount.point);
		snprintf(above, sizeof(above), "%s%s",
			 strcmp(mount.root, "/") == 0 ? "" : mount.root, rest);
	}
	free(line);
	fclose(mountinfo);
	error = place_set(place, resolved, above);
	place->is_cgroup2 = !error;
	return error;
}

int place_task_id(pid_t tid, uint64_t *id)
{
	struct place_pidfd_info info = { .mask = PLACE_INFO_CGROUPID };
	int fd, error = 0;

	fd = (int)syscall(SYS_pidfd_open, tid, PLACE_PIDFD_THREAD);
	/* EINVAL: a kernel without PIDFD_THREAD; EPERM: a container's system call filter. */
	if (fd < 0)
		return errno == EINVAL || errno == EPERM ? -ENOSYS : -errno;
	if (ioctl(fd, PLACE_PIDFD_GET_INFO, &info) != 0)
		error = errno == ENOTTY || errno == EINVAL ? -ENOSYS : -errno;
	else if (!(info.mask & PLACE_INFO_CGROUPID))
		error = -ENOSYS;
	*id = info.cgroupid;
	close(fd);
	return error;
}

/* Reads the whole of a small file, NUL at its end. */
static int read_file(const char *path, char *buffer, size_t buffer_size)
{
	size_t size = 0;
	int fd, error = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	while (size < buffer_size - 1) {
		ssize_t got = read(fd, buffer + size, buffer_size - 1 - size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			error = -errno;
		if (got <= 0)
			break;
		size += (size_t)got;
	}
	buffer[size] = '\0';
	close(fd);
	return error;
}

int place_task_path(const char *proc_root, pid_t tid, char path[PLACE_PATH_MAX], bool *is_cut)
{
	char file[PATH_MAX], *text, *line, *rest;
	bool cut;
	int error;

	if (snprintf(file, sizeof(file), "%s/%d/cgroup", proc_root, tid) >= (int)sizeof(file))
		return -ENAMETOOLONG;
	text = malloc(CGROUP_FILE_MAX);
	if (!text)
		return -ENOMEM;
	error = read_file(file, text, CGROUP_FILE_MAX);
	if (error)
		goto free_text;

	/* The kernel lets no newline into the name of a cgroup, so that lines are lines. */
	error = -ENOENT;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		snprintf(path, PLACE_PATH_MAX, "%s", line + 3);
		cut = strlen(path) == PLACE_PATH_MAX - 1;
		if (cut) /* the last name may be a part of one */
			*strrchr(path, '/') = '\0';
		error = cut && !is_cut ? -ENAMETOOLONG : 0;
		if (is_cut)
			*is_cut = cut;
		break;
	}
free_text:
	free(text);
	return error;
}

/* Outside of this cgroup namespace the kernel shows a path that climbs: "/../other". */
static bool climbs(const char *path)
{
	return strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == '\0');
}

const char *place_below(const struct place *place, const char *path)
{
	const char *rest;

	if (!is_above(place->above, path, &rest) || climbs(rest))
		return NULL;
	return *rest ? rest : "/";
}
