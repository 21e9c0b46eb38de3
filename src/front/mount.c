/* SPDX-License-Identifier: MIT */
/* The mount; see mount.h. */
#include "front/mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"

#define KERNEL_MAJOR_MIN 5u
#define KERNEL_MINOR_MIN 15u
#define NR_LOCK_TRIES 16u /* another daemon that ends removes the lock file between two steps */
#define NR_STALE_MOUNTS_MAX 8u /* one on top of the other */

static int kernel_check(void)
{
	struct utsname name;
	unsigned int major = 0, minor = 0;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return 0; /* nothing is known against it */
	if (major > KERNEL_MAJOR_MIN || (major == KERNEL_MAJOR_MIN && minor >= KERNEL_MINOR_MIN))
		return 0;
	log_error("Linux %s is too old: epcd needs %u.%u or later", name.release, KERNEL_MAJOR_MIN,
		  KERNEL_MINOR_MIN);
	return -ENOSYS;
}

/*
 * The absolute name without links and dots: what umount2() takes, and one name, so one lock, for
 * each directory. It need not be there, or is a mount whose daemon is dead.
 */
static int dir_resolve(const char *run_dir, char dir[PATH_MAX])
{
	char given[PATH_MAX];
	const char *parent = ".", *name = given;
	size_t length = strlen(run_dir);
	char *slash;

	while (length > 1 && run_dir[length - 1] == '/')
		length--;
	if (length >= sizeof(given))
		return -ENAMETOOLONG;
	memcpy(given, run_dir, length);
	given[length] = '\0';
	if (realpath(given, dir))
		return 0;
	slash = strrchr(given, '/');
	if (slash) {
		parent = slash == given ? "/" : given;
		name = slash + 1;
		*slash = '\0';
	}
	if (!*name || !realpath(parent, dir))
		return *name ? -errno : -ENOENT;
	length = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
	if (length + 1 + strlen(name) >= PATH_MAX)
		return -ENAMETOOLONG;
	dir[length] = '/';
	memcpy(dir + length + 1, name, strlen(name) + 1);
	return 0;
}

static int names_make(struct mount_point *point, const char *run_dir)
{
	size_t length;
	int error = dir_resolve(run_dir, point->dir);

	if (error)
		return error;
	length = strlen(point->dir);
	if (length == 1)
		return -EBUSY; /* the root directory */
	/* Room for what is appended below. */
	if (length > sizeof(point->dir) - sizeof("/dev/sgx_vepc"))
		return -ENAMETOOLONG;
	memcpy(point->lock_path, point->dir, length);
	memcpy(point->lock_path + length, ".lock", sizeof(".lock"));
	memcpy(point->link_target, point->dir, length);
	memcpy(point->link_target + length, "/dev/sgx_vepc", sizeof("/dev/sgx_vepc"));
	return 0;
}

static void lock_holder_log(const struct mount_point *point, int fd)
{
	char pid[32] = "";
	ssize_t size = pread(fd, pid, sizeof(pid) - 1, 0);

	if (size > 0)
		pid[strcspn(pid, "\n")] = '\0';
	log_error("%s is in use by another epcd (pid %s): stop that one, or give this one another "
		  "--run-dir",
		  point->dir, size > 0 ? pid : "not known");
}

/* Whether the file that is open and locked is still the one of that name. */
static bool lock_is_current(const struct mount_point *point, int fd)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && stat(point->lock_path, &named) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static int lock_take(struct mount_point *point)
{
	char pid[32];
	int size;

	for (unsigned int i = 0; i < NR_LOCK_TRIES; i++) {
		/* Whoever could read it could lock it, and keep every daemon out. */
		int fd = open(point->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0) {
			int error = errno;

			log_error("%s cannot be made (%s): the directory that --run-dir is in must "
				  "exist and be writable",
				  point->lock_path, strerror(error));
			return -error;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			lock_holder_log(point, fd);
			close(fd);
			return -EBUSY;
		}
		if (!lock_is_current(point, fd)) {
			close(fd);
			continue;
		}
		point->lock_fd = fd;
		size = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
		if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)size, 0) < 0)
			log_warning("%s cannot be written: %m", point->lock_path);
		return 0;
	}
	log_error("%s comes and goes: another epcd is starting and ending; try again",
		  point->lock_path);
	return -EBUSY;
}

static void lock_drop(struct mount_point *point)
{
	if (point->lock_fd < 0)
		return;
	/* While it is locked: whoever waits for it sees that the name has gone. */
	unlink(point->lock_path);
	close(point->lock_fd);
	point->lock_fd = -1;
}

/* Takes away mounts whose daemon died. The lock says that no living one is there. */
static void stale_mounts_remove(const struct mount_point *point)
{
	struct stat unused;

	for (unsigned int i = 0; i < NR_STALE_MOUNTS_MAX; i++) {
		if (stat(point->dir, &unused) == 0 ||
		    (errno != ENOTCONN && errno != ECONNABORTED && errno != EIO))
			return;
		log_info("unmounting %s, which a dead daemon left", point->dir);
		if (umount2(point->dir, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return;
	}
}

static bool dir_is_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool is_empty = true;

	if (!dir)
		return false;
	while (is_empty && (entry = readdir(dir)))
		is_empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	closedir(dir);
	return is_empty;
}

static int dir_prepare(struct mount_point *point)
{
	struct stat attr;
	int error;

	stale_mounts_remove(point);
	if (mkdir(point->dir, 0755) == 0) {
		point->made_dir = true;
		/* Whatever the umask is. */
		if (chmod(point->dir, 0755) == 0)
			return 0;
	}
	error = errno;
	if (error != EEXIST) {
		log_error("%s cannot be made: %s; choose another --run-dir", point->dir,
			  strerror(error));
		return -error;
	}
	if (stat(point->dir, &attr) < 0 || !S_ISDIR(attr.st_mode)) {
		log_error("%s is not a directory; choose another --run-dir", point->dir);
		return -ENOTDIR;
	}
	if (!dir_is_empty(point->dir)) {
		log_error("%s is not empty, and what is mounted on it would hide its files; choose "
			  "another --run-dir",
			  point->dir);
		return -ENOTEMPTY;
	}
	return 0;
}

static int fuse_open(struct mount_point *point)
{
	int error;

	point->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (point->fuse_fd >= 0)
		return 0;
	error = errno;
	if (error == ENOENT || error == ENODEV || error == ENXIO)
		log_error("there is no /dev/fuse: load the kernel module (modprobe fuse), or give "
			  "the container the device");
	else
		log_error("/dev/fuse cannot be opened (%s): run as root, or make it accessible "
			  "(mode 0666, as on an ordinary Debian)",
			  strerror(error));
	return -error;
}

/* Ours, from a daemon that lives no more: it points to the same place, or into a void like ours. */
static bool link_is_ours(const struct mount_point *point)
{
	static const char suffix[] = "/dev/sgx_vepc";
	char target[PATH_MAX];
	struct stat unused;
	ssize_t length = readlink(MOUNT_LINK, target, sizeof(target) - 1);

	if (length < 0)
		return false;
	target[length] = '\0';
	if (strcmp(target, point->link_target) == 0)
		return true;
	return (size_t)length >= sizeof(suffix) - 1 &&
	       strcmp(target + length - (sizeof(suffix) - 1), suffix) == 0 &&
	       stat(MOUNT_LINK, &unused) < 0;
}

static int link_check(const struct mount_point *point)
{
	struct stat attr;

	if (lstat(MOUNT_LINK, &attr) < 0)
		return 0;
	if (S_ISLNK(attr.st_mode)) {
		if (link_is_ours(point))
			return 0;
		log_error(MOUNT_LINK " is a link of somebody else: remove it, or do without "
				     "--link-dev and bind %s/dev",
			  point->dir);
		return -EEXIST;
	}
	if (S_ISCHR(attr.st_mode))
		log_error(MOUNT_LINK " is a device already (this machine has SGX?): do without "
				     "--link-dev, and give VMs %s/dev in a /dev of their own "
				     "(epcd run)",
			  point->dir);
	else
		log_error(MOUNT_LINK " exists and is not a link: remove it, or do without "
				     "--link-dev");
	return -EEXIST;
}

int mount_prepare(struct mount_point *point, const char *run_dir, bool links_dev)
{
	int error;

	memset(point, 0, sizeof(*point));
	point->lock_fd = point->fuse_fd = -1;
	error = kernel_check();
	if (error)
		return error;
	error = names_make(point, run_dir);
	if (error) {
		log_error("%s cannot be the run directory (%s): choose another --run-dir", run_dir,
			  strerror(-error));
		return error;
	}
	error = lock_take(point);
	if (error)
		return error;
	error = fuse_open(point);
	if (!error)
		error = dir_prepare(point);
	if (!error && links_dev)
		error = link_check(point);
	if (error)
		mount_down(point);
	return error;
}

int mount_up(struct mount_point *point)
{
	char options[128];
	int fd = point->fuse_fd;

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other", fd,
		 (unsigned int)geteuid(), (unsigned int)getegid());
	if (mount("epcd", point->dir, MOUNT_FS_TYPE, MS_NOSUID | MS_NODEV, options) < 0) {
		int error = errno;

		log_error("%s cannot be mounted on (%s): run as root, or use `epcd run`, which "
			  "makes "
			  "a user namespace",
			  point->dir, strerror(error));
		return -error;
	}
	point->is_mounted = true;
	point->fuse_fd = -1;
	return fd;
}

int mount_link(struct mount_point *point)
{
	int error;

	/* What was checked may have changed: an unlink of a device would be no small harm. */
	if (link_is_ours(point))
		unlink(MOUNT_LINK);
	if (symlink(point->link_target, MOUNT_LINK) == 0) {
		point->has_link = true;
		return 0;
	}
	error = errno;
	log_error(MOUNT_LINK " cannot be made: %s; do without --link-dev", strerror(error));
	return -error;
}

/* Without asking the file system: nobody serves it yet. */
int mount_device_number(const struct mount_point *point, dev_t *number)
{
	struct statx attr;

	if (statx(AT_FDCWD, point->dir, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, 0, &attr) < 0)
		return -errno;
	*number = makedev(attr.stx_dev_major, attr.stx_dev_minor);
	return 0;
}

static int setting_write(dev_t device, const char *name, const char *value)
{
	char path[128];
	int error = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/%s", major(device), minor(device), name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		error = -errno;
	close(fd);
	return error;
}

int mount_lift_dirty_limits(const struct mount_point *point, const char **why)
{
	dev_t device;
	int error;

	*why = "max_ratio of its bdi (the mount's device number is not known)";
	error = mount_device_number(point, &device);
	if (error)
		return error;
	*why = "max_ratio of its bdi in /sys/class/bdi";
	error = setting_write(device, "max_ratio", "100");
	if (error)
		return error;
	*why = "strict_limit of its bdi in /sys/class/bdi (Linux 6.2)";
	return setting_write(device, "strict_limit", "0");
}

static void link_remove(struct mount_point *point)
{
	char target[PATH_MAX];
	ssize_t length = readlink(MOUNT_LINK, target, sizeof(target) - 1);

	point->has_link = false;
	if (length < 0)
		return;
	target[length] = '\0';
	if (strcmp(target, point->link_target) == 0)
		unlink(MOUNT_LINK);
}

void mount_down(struct mount_point *point)
{
	if (point->has_link)
		link_remove(point);
	if (point->is_mounted) {
		/*
		 * MNT_FORCE ends the connection, clients that still have it mapped or wait for an
		 * answer go on (with SIGBUS, ENOTCONN); then the name goes, whoever holds it.
		 */
		if (umount2(point->dir, MNT_FORCE | UMOUNT_NOFOLLOW) < 0 &&
		    umount2(point->dir, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
			log_warning("%s cannot be unmounted: %m", point->dir);
		point->is_mounted = false;
	}
	if (point->made_dir)
		rmdir(point->dir);
	point->made_dir = false;
	lock_drop(point);
	if (point->fuse_fd >= 0)
		close(point->fuse_fd);
	point->fuse_fd = -1;
}
