/* SPDX-License-Identifier: MIT */
/*
 * The directory cgroup/: the real hierarchy, with the misc controller's files for EPC in it. A node
 * stands for one real directory, by path and id: when that is removed and made again, the new one
 * is another node, and what was open of the old one says ENODEV, as the kernel's files do.
 */
#include "front/tree_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/instance.h"
#include "front/journal.h"
#include "front/mirror.h"
#include "front/place.h"

#define OFFSET_FILES 2 /* after . and .. */
#define OFFSET_LOSE (OFFSET_FILES + MISC_NR_FILES)
#define LOSE_NAME "epc.lose"
#define SHOWN_NAME_MAX 1024u /* FUSE_NAME_MAX: one longer name would be EIO for the whole list */
#define OFFSET_REAL 16	     /* offsets of the real directory begin here */

static const struct tree_kind cgroup_file_kind;
static const struct tree_kind cgroup_max_kind;

static bool is_root(const char *path)
{
	return strcmp(path, "/") == 0;
}

/* Whether a directory has this file; has_limit: it is not the root, and pays itself. */
static bool has_file(bool is_of_root, bool has_limit, enum misc_file file)
{
	if (is_of_root)
		return file == MISC_FILE_CAPACITY || file == MISC_FILE_CURRENT ||
		       file == MISC_FILE_PEAK;
	return has_limit && file != MISC_FILE_CAPACITY;
}

/* The mirror's cgroup of a node, with a reference. Errors: -ENODEV (it is gone), -ENOMEM, ... */
static int cgroup_get(struct daemon *daemon, const struct tree_node *node,
		      struct mirror_cgroup **cgroup)
{
	*cgroup = mirror_of_path(daemon->mirror, node->path);
	if (!*cgroup)
		return errno == ENOENT || errno == EOPNOTSUPP ? -ENODEV : -errno;
	if ((*cgroup)->id == node->id)
		return 0;
	mirror_put(daemon->mirror, *cgroup);
	return -ENODEV;
}

/* The id of a directory; the root is there without a hierarchy too. */
static int directory_id(struct daemon *daemon, const char *path, uint64_t *id)
{
	struct mirror_cgroup *root;
	struct stat attr;
	int error;

	if (!is_root(path)) {
		error = mirror_stat(daemon->mirror, path, &attr);
		*id = attr.st_ino;
		return error;
	}
	root = mirror_root(daemon->mirror);
	*id = root->id;
	mirror_put(daemon->mirror, root);
	return 0;
}

/* ---- the files ---- */

static int file_make(struct daemon *daemon, const struct tree_node *node, char **text, size_t *size)
{
	struct epc_cgroup_report report;
	struct mirror_cgroup *cgroup;
	struct epc_report whole;
	struct epc *epc;
	uint64_t value = 0;
	int error = cgroup_get(daemon, node, &cgroup);

	if (error)
		return error;
	epc = engine_lock(daemon->engine);
	epc_cgroup_report(cgroup->cgroup, &report);
	epc_report(epc, &whole);
	engine_unlock(daemon->engine);
	mirror_put(daemon->mirror, cgroup);
	switch (node->file) {
	case MISC_FILE_CAPACITY:
		value = whole.nr_pages * EPC_PAGE_SIZE;
		break;
	case MISC_FILE_MAX:
		value = report.max_bytes;
		break;
	case MISC_FILE_CURRENT:
		value = report.usage_bytes;
		break;
	case MISC_FILE_PEAK:
		value = report.peak_bytes;
		break;
	case MISC_FILE_EVENTS:
		value = report.nr_refused;
		break;
	case MISC_FILE_EVENTS_LOCAL:
		value = report.nr_refused_local;
		break;
	case MISC_NR_FILES:
		return -EINVAL;
	}
	*text = malloc(MISC_LINE_SIZE);
	if (!*text)
		return -ENOMEM;
	*size = misc_format(node->file, value, *text);
	return 0;
}

static int max_write(struct daemon *daemon, const struct tree_node *node, const char *bytes,
		     size_t size)
{
	uint64_t max_bytes, old_max_bytes, usage_bytes;
	struct mirror_cgroup *cgroup;
	int error = misc_parse_max(bytes, size, &max_bytes);

	if (error)
		return error;
	error = cgroup_get(daemon, node, &cgroup);
	if (error)
		return error;
	mirror_set_max(daemon->mirror, cgroup, max_bytes, &old_max_bytes, &usage_bytes);
	journal_add_limit(daemon->journal, cgroup->path, old_max_bytes, max_bytes, usage_bytes);
	mirror_put(daemon->mirror, cgroup);
	return 0;
}

/* Gone with its directory. */
static int directory_attr(struct daemon *daemon, const struct tree_node *node, struct stat *attr)
{
	uint64_t id = 0;
	int error = directory_id(daemon, node->path, &id);

	(void)attr;
	if (!error && id != node->id)
		error = -ENOENT;
	return error;
}

/* Who divides a resource sets the shares: the limit is the business of the parent's owner. */
static int max_attr(struct daemon *daemon, const struct tree_node *node, struct stat *attr)
{
	char parent[PLACE_PATH_MAX];
	const char *last = strrchr(node->path, '/');
	struct stat real;
	int error = directory_attr(daemon, node, attr);

	if (error)
		return error;
	snprintf(parent, sizeof(parent), "%.*s", last == node->path ? 1 : (int)(last - node->path),
		 node->path);
	error = mirror_stat(daemon->mirror, parent, &real);
	if (error)
		return error;
	attr->st_uid = real.st_uid;
	attr->st_gid = real.st_gid;
	return 0;
}

static const struct tree_kind cgroup_file_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0444,
	.attr = directory_attr,
	.make = file_make,
};

static const struct tree_kind cgroup_max_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0644,
	.attr = max_attr,
	.make = file_make,
	.write = max_write,
};

/* EPC loss of all VMs for one of whose pages the cgroup, or one below it, pays. */
static int lose(struct daemon *daemon, const struct tree_node *node, fuse_req_t req, size_t size)
{
	struct mirror_cgroup *cgroup;
	int error;

	if (is_root(node->path)) {
		instance_lose_below(daemon, req, size, NULL);
		return 0;
	}
	error = cgroup_get(daemon, node, &cgroup);
	if (error)
		return error;
	instance_lose_below(daemon, req, size, cgroup);
	mirror_put(daemon->mirror, cgroup);
	return 0;
}

/* The VMs are not the limit's, so the file stays the daemon's. */
static const struct tree_kind cgroup_lose_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0200,
	.attr = directory_attr,
	.command = lose,
};

/* ---- directories ---- */

/* Whether the directory is one that pays for its tasks itself, so that a limit has a meaning. */
static bool pays_itself(struct daemon *daemon, const char *path)
{
	struct mirror_cgroup *cgroup = mirror_of_path(daemon->mirror, path);

	if (cgroup)
		mirror_put(daemon->mirror, cgroup);
	return cgroup != NULL;
}

/* Key and inode number of a directory are of its path and id: "/cgroup", "/cgroup/a/b:17". */
static void directory_key(char key[PLACE_PATH_MAX + 64], const char *path, uint64_t id)
{
	if (is_root(path))
		snprintf(key, PLACE_PATH_MAX + 64, TREE_CGROUP_KEY);
	else
		snprintf(key, PLACE_PATH_MAX + 64, TREE_CGROUP_KEY "%s:%" PRIu64, path, id);
}

/* A file of this name; made has its kind. */
static void lookup_file(struct daemon *daemon, fuse_req_t req, const struct tree_node *dir,
			const char *name, struct tree_key *made)
{
	char key[PLACE_PATH_MAX + 128], dir_key[PLACE_PATH_MAX + 64];

	directory_key(dir_key, dir->path, dir->id);
	snprintf(key, sizeof(key), "%s:%s", name, dir_key);
	made->key = key;
	made->id = dir->id;
	made->path = dir->path;
	tree_reply_node(daemon, req, made);
}

/* Whether the directory has a file of this name; then made says what it is. */
static bool find_file(struct daemon *daemon, const struct tree_node *dir, const char *name,
		      struct tree_key *made)
{
	bool is_of_root = is_root(dir->path);

	*made = (struct tree_key){ 0 };
	for (enum misc_file file = 0; file < MISC_NR_FILES; file++)
		if (strcmp(name, misc_file_name(file)) == 0 && has_file(is_of_root, true, file)) {
			made->kind = file == MISC_FILE_MAX ? &cgroup_max_kind : &cgroup_file_kind;
			made->file = file;
		}
	if (strcmp(name, LOSE_NAME) == 0)
		made->kind = &cgroup_lose_kind;
	return made->kind && pays_itself(daemon, dir->path);
}

static void directory_lookup(struct daemon *daemon, fuse_req_t req, struct node *node,
			     const char *name)
{
	const struct tree_node *dir = tree_node_of(node);
	char path[PLACE_PATH_MAX], key[PLACE_PATH_MAX + 64];
	struct tree_key made;
	int size, error;

	if (find_file(daemon, dir, name, &made)) {
		lookup_file(daemon, req, dir, name, &made);
		return;
	}
	made = (struct tree_key){ .key = key, .kind = &tree_cgroup_kind, .path = path };
	size = snprintf(path, sizeof(path), "%s/%s", is_root(dir->path) ? "" : dir->path, name);
	if (size >= (int)sizeof(path)) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	error = directory_id(daemon, path, &made.id);
	if (error) {
		fuse_reply_err(req, -error);
		return;
	}
	directory_key(key, path, made.id);
	tree_reply_node(daemon, req, &made);
}

static void directory_open(struct daemon *daemon, fuse_req_t req, struct node *node,
			   struct fuse_file_info *file)
{
	const struct tree_node *dir = tree_node_of(node);
	struct tree_open *open;
	struct stat attr;
	int error = directory_attr(daemon, dir, &attr), fd;

	open = error ? NULL : tree_open_new(daemon);
	if (!open) {
		fuse_reply_err(req, error ? -error : ENOMEM);
		return;
	}
	open->has_limit = pays_itself(daemon, dir->path);
	fd = mirror_open(daemon->mirror, dir->path);
	open->dir = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !open->dir)
		close(fd);
	file->fh = (uint64_t)(uintptr_t)open;
	if (fuse_reply_open(req, file) == -ENOENT)
		tree_open_free(daemon, open);
}

static bool is_directory(DIR *dir, const struct dirent *entry)
{
	struct stat attr;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dirfd(dir), entry->d_name, &attr, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(attr.st_mode);
}

/* A real child is listed; its inode number is found by a look-up, not here. */
static bool add_child(struct tree_dir *list, const struct tree_node *dir, const char *name,
		      uint64_t id, off_t next_offset)
{
	char path[PLACE_PATH_MAX], key[PLACE_PATH_MAX + 64];

	if (snprintf(path, sizeof(path), "%s/%s", is_root(dir->path) ? "" : dir->path, name) >=
	    (int)sizeof(path))
		return true;
	directory_key(key, path, id);
	return tree_dir_add(list, name, tree_ino_of_key(key), S_IFDIR, next_offset);
}

static void add_children(struct tree_dir *list, const struct tree_node *dir, DIR *real,
			 off_t offset)
{
	const struct dirent *entry;

	seekdir(real, offset > OFFSET_REAL ? offset - OFFSET_REAL : 0);
	while ((entry = readdir(real))) {
		off_t next = entry->d_off <= INT64_MAX - OFFSET_REAL ? entry->d_off + OFFSET_REAL :
								       INT64_MAX;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    strlen(entry->d_name) > SHOWN_NAME_MAX || !is_directory(real, entry))
			continue;
		if (!add_child(list, dir, entry->d_name, entry->d_ino, next))
			return;
	}
}

/* False: the list is full. */
static bool add_own(struct tree_dir *list, const struct tree_node *dir, bool has_limit,
		    off_t offset)
{
	for (off_t i = offset; i < OFFSET_LOSE; i++) {
		enum misc_file file = (enum misc_file)(i - OFFSET_FILES);

		if (i < OFFSET_FILES) {
			if (!tree_dir_add(list, i ? ".." : ".", dir->st_ino, S_IFDIR, i + 1))
				return false;
		} else if (has_file(is_root(dir->path), has_limit, file)) {
			if (!tree_dir_add(list, misc_file_name(file), dir->st_ino ^ (1u + file),
					  S_IFREG, i + 1))
				return false;
		}
	}
	return offset > OFFSET_LOSE || (!has_limit && !is_root(dir->path)) ||
	       tree_dir_add(list, LOSE_NAME, dir->st_ino ^ (1u + MISC_NR_FILES), S_IFREG,
			    OFFSET_LOSE + 1);
}

static void directory_read(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
			   off_t offset, struct fuse_file_info *file)
{
	const struct tree_node *dir = tree_node_of(node);
	struct tree_open *open = tree_open_of(file);
	struct tree_dir list;

	(void)daemon;
	if (tree_dir_begin(&list, req, size) != 0)
		return;
	pthread_mutex_lock(&open->lock);
	if (offset >= 0 && add_own(&list, dir, open->has_limit, offset) && open->dir)
		add_children(&list, dir, open->dir, offset);
	pthread_mutex_unlock(&open->lock);
	tree_dir_end(&list);
}

static void directory_close(struct daemon *daemon, fuse_req_t req, struct node *node,
			    struct fuse_file_info *file)
{
	(void)node;
	tree_open_free(daemon, tree_open_of(file));
	fuse_reply_err(req, 0);
}

static const struct node_ops directory_ops = {
	.lookup = directory_lookup,
	.getattr = tree_getattr,
	.opendir = directory_open,
	.readdir = directory_read,
	.releasedir = directory_close,
	.free = tree_node_free,
};

const struct tree_kind tree_cgroup_kind = {
	.ops = &directory_ops,
	.mode = S_IFDIR | 0555,
	.attr = directory_attr,
};
