/* SPDX-License-Identifier: MIT */
/* The directory dev/ and its nodes; see device.h. */
#include "front/device.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "front/enclave.h"
#include "front/instance.h"

#define DIR_KEY "dev"
#define INO_UNKNOWN 0xffffffffu	   /* what libfuse uses for it in directory entries */
#define NR_SECOND_OPENS_LOGGED 16u /* a client can try as often as it likes */

enum device_kind {
	DEVICE_SGX_ENCLAVE,
	DEVICE_SGX_VEPC,
	DEVICE_SGX_PROVISION,
	NR_DEVICE_KINDS,
};

static const char *const device_names[NR_DEVICE_KINDS] = {
	[DEVICE_SGX_ENCLAVE] = "sgx_enclave",
	[DEVICE_SGX_VEPC] = "sgx_vepc",
	[DEVICE_SGX_PROVISION] = "sgx_provision",
};

/* Owner and mode belong to the name: there is a fresh inode for each look-up. */
struct device_owner {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

struct device {
	struct node dir; /* static: one look-up is its own, so the kernel never forgets it all */
	struct timespec made_at;
	pthread_mutex_t lock;
	struct device_owner owners[NR_DEVICE_KINDS]; /* under lock */
	atomic_uint nr_second_opens;
};

struct device_node {
	struct node node;
	enum device_kind kind;
	bool is_open;			     /* under the device's lock */
	_Atomic(struct instance *) instance; /* while it is open */
};

static const struct node_ops dir_ops;
static const struct node_ops enclave_node_ops;
static const struct node_ops vepc_node_ops;
static const struct node_ops provision_node_ops;

int device_new(struct daemon *daemon, struct device **device)
{
	struct device *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->dir.ops = &dir_ops;
	clock_gettime(CLOCK_REALTIME, &new->made_at);
	pthread_mutex_init(&new->lock, NULL);
	for (unsigned int kind = 0; kind < NR_DEVICE_KINDS; kind++)
		new->owners[kind] = (struct device_owner){
			.mode = 0660,
			.uid = geteuid(),
			.gid = getegid(),
		};
	(void)daemon;
	*device = new;
	return 0;
}

void device_free(struct device *device)
{
	if (!device)
		return;
	pthread_mutex_destroy(&device->lock);
	free(device);
}

struct node *device_dir_get(struct daemon *daemon)
{
	struct node *node = node_get(daemon->nodes, DIR_KEY);

	if (node)
		return node;
	/* That look-up is the directory's own, the next one the caller's. Two may come here. */
	if (node_add(daemon->nodes, &daemon->device->dir, DIR_KEY) == -ENOMEM)
		return NULL;
	return node_get(daemon->nodes, DIR_KEY);
}

static struct device_node *device_node_of(struct node *node)
{
	return (struct device_node *)node;
}

static void times_fill(const struct device *device, struct stat *attr)
{
	attr->st_atim = attr->st_mtim = attr->st_ctim = device->made_at;
	attr->st_blksize = EPC_PAGE_SIZE;
}

static void node_attr(struct daemon *daemon, struct device_node *device_node, struct stat *attr)
{
	struct device *device = daemon->device;
	struct device_owner owner;

	pthread_mutex_lock(&device->lock);
	owner = device->owners[device_node->kind];
	pthread_mutex_unlock(&device->lock);
	memset(attr, 0, sizeof(*attr));
	attr->st_ino = device_node->node.ino;
	attr->st_mode = S_IFREG | owner.mode;
	attr->st_nlink = 1;
	attr->st_uid = owner.uid;
	attr->st_gid = owner.gid;
	attr->st_size = DEVICE_SIZE_BYTES;
	times_fill(device, attr);
}

static void dir_getattr(struct daemon *daemon, fuse_req_t req, struct node *node)
{
	struct stat attr = {
		.st_ino = node->ino,
		.st_mode = S_IFDIR | 0755,
		.st_nlink = 2,
		.st_uid = geteuid(),
		.st_gid = getegid(),
	};

	times_fill(daemon->device, &attr);
	fuse_reply_attr(req, &attr, 0);
}

static const struct node_ops *const kind_ops[NR_DEVICE_KINDS] = {
	[DEVICE_SGX_ENCLAVE] = &enclave_node_ops,
	[DEVICE_SGX_VEPC] = &vepc_node_ops,
	[DEVICE_SGX_PROVISION] = &provision_node_ops,
};

static void dir_lookup(struct daemon *daemon, fuse_req_t req, struct node *dir, const char *name)
{
	struct device_node *new;
	unsigned int kind;
	struct stat attr;

	(void)dir;
	for (kind = 0; kind < NR_DEVICE_KINDS; kind++)
		if (strcmp(name, device_names[kind]) == 0)
			break;
	if (kind == NR_DEVICE_KINDS) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	new = calloc(1, sizeof(*new));
	if (!new) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	new->kind = kind;
	new->node.ops = kind_ops[kind];
	if (node_add(daemon->nodes, &new->node, NULL) != 0) {
		free(new);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	node_attr(daemon, new, &attr);
	session_reply_entry(req, &new->node, &attr);
}

/* All entries fit into the smallest buffer that the kernel brings. */
static void dir_readdir(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
			off_t offset, struct fuse_file_info *file)
{
	static const char *const dots[] = { ".", ".." };
	const off_t nr_dots = 2, nr_entries = nr_dots + NR_DEVICE_KINDS;
	char buffer[1024];
	size_t room = size < sizeof(buffer) ? size : sizeof(buffer);
	size_t used = 0;

	(void)daemon;
	(void)node;
	(void)file;
	for (off_t i = offset; i >= 0 && i < nr_entries; i++) {
		bool is_dot = i < nr_dots;
		struct stat attr = {
			.st_ino = INO_UNKNOWN,
			.st_mode = is_dot ? S_IFDIR : S_IFREG,
		};
		size_t entry = fuse_add_direntry(req, buffer + used, room - used,
						 is_dot ? dots[i] : device_names[i - nr_dots],
						 &attr, i + 1);

		if (entry > room - used)
			break;
		used += entry;
	}
	fuse_reply_buf(req, buffer, used);
}

static void node_getattr(struct daemon *daemon, fuse_req_t req, struct node *node)
{
	struct stat attr;

	node_attr(daemon, device_node_of(node), &attr);
	fuse_reply_attr(req, &attr, 0);
}

/* A size is accepted and ignored: QEMU may truncate. The kernel checked the permissions. */
static void node_setattr(struct daemon *daemon, fuse_req_t req, struct node *node,
			 const struct stat *attr, int to_set)
{
	struct device *device = daemon->device;
	struct device_owner *owner = &device->owners[device_node_of(node)->kind];

	pthread_mutex_lock(&device->lock);
	if (to_set & FUSE_SET_ATTR_MODE)
		owner->mode = attr->st_mode & 07777;
	if (to_set & FUSE_SET_ATTR_UID)
		owner->uid = attr->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		owner->gid = attr->st_gid;
	pthread_mutex_unlock(&device->lock);
	node_getattr(daemon, req, node);
}

/* Whether the caller is the one who has it open now. */
static bool node_claim(struct device *device, struct device_node *device_node)
{
	bool was_open;

	pthread_mutex_lock(&device->lock);
	was_open = device_node->is_open;
	device_node->is_open = true;
	pthread_mutex_unlock(&device->lock);
	return !was_open;
}

static void node_unclaim(struct device *device, struct device_node *device_node)
{
	pthread_mutex_lock(&device->lock);
	device_node->is_open = false;
	pthread_mutex_unlock(&device->lock);
}

static void node_close(struct daemon *daemon, struct device_node *device_node)
{
	struct instance *instance = atomic_exchange(&device_node->instance, NULL);

	if (instance)
		instance_release(daemon, instance);
	node_unclaim(daemon->device, device_node);
}

/* A worker that waits for the reader of the log would stop all clients. */
static void second_open_log(struct daemon *daemon, enum device_kind kind, pid_t tid)
{
	if (!log_is_writable(0) ||
	    atomic_fetch_add(&daemon->device->nr_second_opens, 1) >= NR_SECOND_OPENS_LOGGED)
		return;
	log_warning("a second open of one inode of %s by task %d is refused: opens of a "
		    "file that is bind-mounted share one page cache; bind-mount the directory "
		    "%s/dev instead of the file",
		    device_names[kind], (int)tid, daemon->options.run_dir);
}

static void node_open(struct daemon *daemon, fuse_req_t req, struct node *node,
		      struct fuse_file_info *file)
{
	struct device_node *device_node = device_node_of(node);
	struct instance *instance;
	int error;

	if (!node_claim(daemon->device, device_node)) {
		second_open_log(daemon, device_node->kind, fuse_req_ctx(req)->pid);
		fuse_reply_err(req, EBUSY);
		return;
	}
	error = instance_open(daemon, req, node->ino,
			      device_node->kind == DEVICE_SGX_ENCLAVE ? INSTANCE_ENCLAVE :
									INSTANCE_VEPC,
			      &instance);
	if (error) {
		node_unclaim(daemon->device, device_node);
		fuse_reply_err(req, -error);
		return;
	}
	atomic_store(&device_node->instance, instance);
	/* The kernel does not close what it does not know as open: the opener was interrupted. */
	if (fuse_reply_open(req, file) == -ENOENT)
		node_close(daemon, device_node);
}

static void node_release(struct daemon *daemon, fuse_req_t req, struct node *node,
			 struct fuse_file_info *file)
{
	(void)file;
	node_close(daemon, device_node_of(node));
	fuse_reply_err(req, 0);
}

/* The instance behind an open node. NULL, and the request is answered: there is none. */
static struct instance *node_instance(fuse_req_t req, struct node *node)
{
	struct instance *instance = atomic_load(&device_node_of(node)->instance);

	if (!instance)
		fuse_reply_err(req, EBADF);
	return instance;
}

static void node_read(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
		      off_t offset, struct fuse_file_info *file)
{
	struct instance *instance = node_instance(req, node);

	(void)file;
	if (instance)
		instance_read(daemon, req, instance, size, offset);
}

static void node_write(struct daemon *daemon, fuse_req_t req, struct node *node, const char *bytes,
		       size_t size, off_t offset, struct fuse_file_info *file)
{
	struct instance *instance = node_instance(req, node);

	if (instance)
		instance_write(daemon, req, instance, bytes, size, offset, file->writepage);
}

static void vepc_node_ioctl(struct daemon *daemon, fuse_req_t req, struct node *node,
			    unsigned int cmd, const void *arg, const void *in, size_t in_size,
			    size_t out_size)
{
	struct instance *instance = node_instance(req, node);

	if (instance)
		vepc_ioctl(daemon, req, instance, cmd, arg, in, in_size, out_size);
}

static void enclave_node_ioctl(struct daemon *daemon, fuse_req_t req, struct node *node,
			       unsigned int cmd, const void *arg, const void *in, size_t in_size,
			       size_t out_size)
{
	struct instance *instance = node_instance(req, node);

	if (instance)
		enclave_ioctl(daemon, req, instance, cmd, arg, in, in_size, out_size);
}

static void node_fallocate(struct daemon *daemon, fuse_req_t req, struct node *node, int mode,
			   off_t offset, off_t length, struct fuse_file_info *file)
{
	struct instance *instance = node_instance(req, node);

	(void)file;
	if (instance)
		instance_fallocate(daemon, req, instance, mode, offset, length);
}

static void provision_open(struct daemon *daemon, fuse_req_t req, struct node *node,
			   struct fuse_file_info *file)
{
	(void)daemon;
	(void)node;
	fuse_reply_open(req, file);
}

bool device_is_provision(struct daemon *daemon, pid_t tid, unsigned int fd)
{
	struct statx file;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)tid, fd);
	/* What the kernel knows by itself: a file system that does not answer keeps nobody. */
	if (tid <= 0 || statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &file) != 0)
		return false;
	return makedev(file.stx_dev_major, file.stx_dev_minor) == daemon->device_number &&
	       node_ops_of(daemon->nodes, file.stx_ino) == &provision_node_ops;
}

static void node_free(struct daemon *daemon, struct node *node)
{
	(void)daemon;
	free(device_node_of(node));
}

static const struct node_ops dir_ops = {
	.lookup = dir_lookup,
	.getattr = dir_getattr,
	.readdir = dir_readdir,
};

static const struct node_ops enclave_node_ops = {
	.getattr = node_getattr,
	.setattr = node_setattr,
	.open = node_open,
	.read = node_read,
	.write = node_write,
	.ioctl = enclave_node_ioctl,
	.release = node_release,
	.free = node_free,
};

static const struct node_ops vepc_node_ops = {
	.getattr = node_getattr,
	.setattr = node_setattr,
	.open = node_open,
	.read = node_read,
	.write = node_write,
	.ioctl = vepc_node_ioctl,
	.fallocate = node_fallocate,
	.release = node_release,
	.free = node_free,
};

/* It opens, that is all: its descriptor lets an enclave have the provisioning key. */
static const struct node_ops provision_node_ops = {
	.getattr = node_getattr,
	.setattr = node_setattr,
	.open = provision_open,
	.free = node_free,
};
