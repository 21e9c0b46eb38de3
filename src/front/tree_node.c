/* SPDX-License-Identifier: MIT */
/* Nodes of the control tree: made at a look-up, their attributes, entries of directories. */
#include "front/tree_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NR_TRIES 64u

struct tree_node *tree_node_of(struct node *node)
{
	return (struct tree_node *)(void *)node;
}

struct tree *tree_of(struct daemon *daemon)
{
	return (struct tree *)(void *)node_find(daemon->nodes, FUSE_ROOT_ID);
}

/* FNV-1a, kept clear of the small numbers that the nodes of dev/ show. */
uint64_t tree_ino_of_key(const char *key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const unsigned char *byte = (const unsigned char *)key; *byte; byte++)
		hash = (hash ^ *byte) * UINT64_C(0x100000001b3);
	return (hash >> 1) | UINT64_C(1) << 62;
}

static int tree_attr(struct daemon *daemon, const struct tree_node *node, struct stat *attr)
{
	*attr = (struct stat){
		.st_ino = node->st_ino,
		.st_mode = node->kind->mode,
		.st_nlink = 1, /* of a directory: nobody counts its subdirectories */
		.st_uid = geteuid(),
		.st_gid = getegid(),
		.st_blksize = EPC_PAGE_SIZE,
	};
	attr->st_atim = attr->st_mtim = attr->st_ctim = tree_of(daemon)->made_at;
	return node->kind->attr ? node->kind->attr(daemon, node, attr) : 0;
}

void tree_getattr(struct daemon *daemon, fuse_req_t req, struct node *node)
{
	struct stat attr;
	int error = tree_attr(daemon, tree_node_of(node), &attr);

	if (error)
		fuse_reply_err(req, -error);
	else
		fuse_reply_attr(req, &attr, 0);
}

void tree_node_free(struct daemon *daemon, struct node *node)
{
	struct tree_node *tree_node = tree_node_of(node);

	(void)daemon;
	free(tree_node->path);
	free(tree_node);
}

static struct tree_node *node_make(const struct tree_key *key)
{
	struct tree_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->node.ops = key->kind->ops;
	node->kind = key->kind;
	node->st_ino = tree_ino_of_key(key->key);
	node->id = key->id;
	node->file = key->file;
	node->path = key->path ? strdup(key->path) : NULL;
	if (key->path && !node->path) {
		free(node);
		return NULL;
	}
	return node;
}

/* The node of a key with one more look-up, or NULL: no memory. */
static struct tree_node *node_of_key(struct daemon *daemon, const struct tree_key *key)
{
	int error = -EEXIST;

	/* Others may make the node, or forget it, between two steps here. */
	for (unsigned int i = 0; error == -EEXIST && i < NR_TRIES; i++) {
		struct node *found = node_get(daemon->nodes, key->key);
		struct tree_node *node;

		if (found)
			return tree_node_of(found);
		node = node_make(key);
		if (!node)
			return NULL;
		error = node_add(daemon->nodes, &node->node, key->key);
		if (!error)
			return node;
		tree_node_free(daemon, &node->node);
	}
	return NULL;
}

void tree_reply_node(struct daemon *daemon, fuse_req_t req, const struct tree_key *key)
{
	struct tree_node *node = node_of_key(daemon, key);
	struct stat attr;
	int error;

	if (!node) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	error = tree_attr(daemon, node, &attr);
	if (error) {
		node_forget(daemon->nodes, daemon, node->node.ino, 1);
		fuse_reply_err(req, -error);
		return;
	}
	session_reply_entry(req, &node->node, &attr);
}

/* ---- entries of directories ---- */

int tree_dir_begin(struct tree_dir *dir, fuse_req_t req, size_t size)
{
	*dir = (struct tree_dir){ .req = req, .size = size, .bytes = malloc(size ? size : 1) };
	if (dir->bytes)
		return 0;
	fuse_reply_err(req, ENOMEM);
	return -ENOMEM;
}

bool tree_dir_add(struct tree_dir *dir, const char *name, uint64_t ino, mode_t mode,
		  off_t next_offset)
{
	const struct stat attr = { .st_ino = ino, .st_mode = mode };
	size_t room = dir->size - dir->used;
	size_t needed =
		fuse_add_direntry(dir->req, dir->bytes + dir->used, room, name, &attr, next_offset);

	if (needed > room)
		return false;
	dir->used += needed;
	return true;
}

void tree_dir_end(struct tree_dir *dir)
{
	fuse_reply_buf(dir->req, dir->bytes, dir->used);
	free(dir->bytes);
}
