/* SPDX-License-Identifier: MIT */
/* The real directories behind the mirror, and the limits that they keep as attributes. */
#include "front/mirror_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "front/misc.h"

#define TYPE_THREADED "threaded\n"

bool mirror_is_threaded(int fd)
{
	char type[sizeof(TYPE_THREADED) - 1];
	int type_fd = openat(fd, "cgroup.type", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t size;

	if (type_fd < 0)
		return false;
	size = read(type_fd, type, sizeof(type));
	close(type_fd);
	return size == (ssize_t)sizeof(type) && memcmp(type, TYPE_THREADED, sizeof(type)) == 0;
}

/* The limit that a daemon before us left in the directory's attribute. */
uint64_t mirror_attribute_read(int fd)
{
	char value[MISC_LINE_SIZE];
	uint64_t max_bytes = MISC_MAX;
	ssize_t size = fgetxattr(fd, MIRROR_MAX_ATTRIBUTE, value, sizeof(value));

	if (size > 0 && misc_parse_max(value, (size_t)size, &max_bytes) != 0)
		log_debug("an attribute " MIRROR_MAX_ATTRIBUTE " is no limit and is ignored");
	return max_bytes;
}

void mirror_attribute_write(struct mirror *mirror, const struct mirror_cgroup *cgroup,
			    uint64_t max_bytes)
{
	char line[MISC_LINE_SIZE], name[128];
	int fd, error = 0;

	fd = mirror_open(mirror, cgroup->path);
	if (fd >= 0) {
		struct stat attr;
		size_t size = misc_format(MISC_FILE_MAX, max_bytes, line);

		if (fstat(fd, &attr) != 0 || attr.st_ino != cgroup->id)
			error = ENOENT;
		else if (max_bytes == MISC_MAX)
			error = fremovexattr(fd, MIRROR_MAX_ATTRIBUTE) && errno != ENODATA ? errno :
											     0;
		else
			error = fsetxattr(fd, MIRROR_MAX_ATTRIBUTE, line, size, 0) ? errno : 0;
		close(fd);
	} else {
		error = -fd;
	}
	if (error) {
		text_escape(name, sizeof(name), cgroup->path, strlen(cgroup->path));
		log_debug("the limit of cgroup %s will not outlive the daemon: %s", name,
			  strerrordesc_np(error));
	}
}

/* Opens the child called name (name_size bytes) of a real directory, if it is of the hierarchy. */
int mirror_child_open(const struct mirror *mirror, int fd, const char *name, size_t name_size,
		      struct stat *attr)
{
	char copy[PLACE_PATH_MAX]; /* cgroup v2 takes longer names than NAME_MAX */
	int child_fd;

	if (name_size >= sizeof(copy))
		return -ENAMETOOLONG;
	memcpy(copy, name, name_size);
	copy[name_size] = '\0';
	child_fd = openat(fd, copy, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (child_fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -ENOENT : -errno;
	if (fstat(child_fd, attr) == 0 && attr->st_dev == mirror->root_dev)
		return child_fd;
	close(child_fd);
	return -ENOENT;
}

/* What to give to the *at() calls for a path of ours. */
static const char *relative(const char *path)
{
	return path[1] ? path + 1 : ".";
}

int mirror_open(struct mirror *mirror, const char *path)
{
	struct stat attr;
	int fd;

	if (mirror->root_fd < 0)
		return -ENOENT;
	fd = openat(mirror->root_fd, relative(path),
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -ENOENT : -errno;
	if (fstat(fd, &attr) == 0 && attr.st_dev == mirror->root_dev)
		return fd;
	close(fd);
	return -ENOENT;
}

int mirror_stat(struct mirror *mirror, const char *path, struct stat *attr)
{
	if (mirror->root_fd < 0)
		return -ENOENT;
	if (fstatat(mirror->root_fd, relative(path), attr, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	return S_ISDIR(attr->st_mode) && attr->st_dev == mirror->root_dev ? 0 : -ENOENT;
}
