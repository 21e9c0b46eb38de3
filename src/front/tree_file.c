/* SPDX-License-Identifier: MIT */
/*
 * Files of the control tree whose content is a text that is made when it is read, and whose writes
 * are commands: as cgroup files, a write is taken as a whole, whatever its offset. Reading from
 * offset 0 makes the text anew, reading on goes on in the same one.
 */
#include "front/tree_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* What open(O_TRUNC) and touch set of a file that has no size and no times. */
#define TO_SET_HARMLESS                                                                         \
	(FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME | \
	 FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)

struct tree_open *tree_open_of(const struct fuse_file_info *file)
{
	return (struct tree_open *)(uintptr_t)file->fh;
}

struct tree_open *tree_open_new(struct daemon *daemon)
{
	struct tree *tree = tree_of(daemon);
	struct tree_open *open = calloc(1, sizeof(*open));

	if (!open)
		return NULL;
	pthread_mutex_init(&open->lock, NULL);
	pthread_mutex_lock(&tree->lock);
	open->next = &tree->opens;
	open->prev = tree->opens.prev;
	open->prev->next = open;
	tree->opens.prev = open;
	pthread_mutex_unlock(&tree->lock);
	return open;
}

void tree_open_free(struct daemon *daemon, struct tree_open *open)
{
	struct tree *tree = tree_of(daemon);

	/*
	 * A reader answers under the lock. The client may have its answer, close, and its release
	 * be here on another thread, before the reader has let the lock go.
	 */
	pthread_mutex_lock(&open->lock);
	pthread_mutex_unlock(&open->lock);
	pthread_mutex_lock(&tree->lock);
	open->next->prev = open->prev;
	open->prev->next = open->next;
	pthread_mutex_unlock(&tree->lock);
	if (open->dir)
		closedir(open->dir);
	free(open->text);
	pthread_mutex_destroy(&open->lock);
	free(open);
}

static bool is_writable(const struct tree_kind *kind)
{
	return kind->write || kind->command;
}

static void file_open(struct daemon *daemon, fuse_req_t req, struct node *node,
		      struct fuse_file_info *file)
{
	const struct tree_kind *kind = tree_node_of(node)->kind;
	struct tree_open *open;

	/* The mode says so too, but root passes that. */
	if (((file->flags & O_ACCMODE) != O_RDONLY && !is_writable(kind)) ||
	    ((file->flags & O_ACCMODE) != O_WRONLY && !kind->make)) {
		fuse_reply_err(req, EACCES);
		return;
	}
	open = tree_open_new(daemon);
	if (!open) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	file->fh = (uint64_t)(uintptr_t)open;
	file->direct_io = 1;
	if (fuse_reply_open(req, file) == -ENOENT) /* interrupted: no release will come */
		tree_open_free(daemon, open);
}

static void file_read(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
		      off_t offset, struct fuse_file_info *file)
{
	const struct tree_node *tree_node = tree_node_of(node);
	struct tree_open *open = tree_open_of(file);
	int error = 0;

	pthread_mutex_lock(&open->lock);
	if (offset == 0 || !open->text) {
		free(open->text);
		open->text = NULL;
		error = tree_node->kind->make(daemon, tree_node, &open->text, &open->size);
	}
	if (error)
		fuse_reply_err(req, -error);
	else if (offset < 0 || (uint64_t)offset >= open->size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, open->text + offset,
			       size < open->size - (size_t)offset ? size :
								    open->size - (size_t)offset);
	pthread_mutex_unlock(&open->lock);
}

static void file_write(struct daemon *daemon, fuse_req_t req, struct node *node, const char *bytes,
		       size_t size, off_t offset, struct fuse_file_info *file)
{
	const struct tree_node *tree_node = tree_node_of(node);
	const struct tree_kind *kind = tree_node->kind;
	int error = -EINVAL;

	(void)offset;
	(void)file;
	if (kind->command)
		error = kind->command(daemon, tree_node, req, size);
	else if (kind->write)
		error = kind->write(daemon, tree_node, bytes, size);
	if (error)
		fuse_reply_err(req, -error);
	else if (!kind->command)
		fuse_reply_write(req, size);
}

static void file_setattr(struct daemon *daemon, fuse_req_t req, struct node *node,
			 const struct stat *attr, int to_set)
{
	(void)attr;
	if (!is_writable(tree_node_of(node)->kind) || (to_set & ~TO_SET_HARMLESS))
		fuse_reply_err(req, EPERM);
	else
		tree_getattr(daemon, req, node);
}

static void file_release(struct daemon *daemon, fuse_req_t req, struct node *node,
			 struct fuse_file_info *file)
{
	(void)node;
	tree_open_free(daemon, tree_open_of(file));
	fuse_reply_err(req, 0);
}

const struct node_ops tree_file_ops = {
	.getattr = tree_getattr,
	.setattr = file_setattr,
	.open = file_open,
	.read = file_read,
	.write = file_write,
	.release = file_release,
	.free = tree_node_free,
};
