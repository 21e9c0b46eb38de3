/* SPDX-License-Identifier: MIT */
/*
 * Nodes: what a FUSE inode number stands for. Numbers count up and are never used again. A node
 * is embedded in a structure of its kind (device.c, tree.c), whose operations answer the request
 * themselves: session.c only routes.
 */
#ifndef EPCD_FRONT_NODE_H
#define EPCD_FRONT_NODE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <stdint.h>
#include <sys/stat.h>

struct daemon;
struct node;

/*
 * Each operation answers req exactly once, now or later. An absent one is answered by session.c
 * with the errno that a file without it has (ENOTDIR, ENOTTY, EOPNOTSUPP, EPERM, ...). lookup
 * finds the child called name and answers with session_reply_entry(). free gets the node when the
 * kernel has forgotten it (may be NULL for static nodes).
 */
struct node_ops {
	void (*lookup)(struct daemon *daemon, fuse_req_t req, struct node *dir, const char *name);
	void (*getattr)(struct daemon *daemon, fuse_req_t req, struct node *node);
	void (*setattr)(struct daemon *daemon, fuse_req_t req, struct node *node,
			const struct stat *attr, int to_set);
	void (*opendir)(struct daemon *daemon, fuse_req_t req, struct node *node,
			struct fuse_file_info *file);
	void (*readdir)(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
			off_t offset, struct fuse_file_info *file);
	void (*releasedir)(struct daemon *daemon, fuse_req_t req, struct node *node,
			   struct fuse_file_info *file);
	void (*open)(struct daemon *daemon, fuse_req_t req, struct node *node,
		     struct fuse_file_info *file);
	void (*read)(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
		     off_t offset, struct fuse_file_info *file);
	void (*write)(struct daemon *daemon, fuse_req_t req, struct node *node, const char *bytes,
		      size_t size, off_t offset, struct fuse_file_info *file);
	void (*ioctl)(struct daemon *daemon, fuse_req_t req, struct node *node, unsigned int cmd,
		      const void *arg, const void *in, size_t in_size, size_t out_size);
	void (*fallocate)(struct daemon *daemon, fuse_req_t req, struct node *node, int mode,
			  off_t offset, off_t length, struct fuse_file_info *file);
	void (*release)(struct daemon *daemon, fuse_req_t req, struct node *node,
			struct fuse_file_info *file);
	void (*free)(struct daemon *daemon, struct node *node);
};

struct node {
	const struct node_ops *ops;
	uint64_t ino;	     /* node_table's */
	uint64_t nr_lookups; /* node_table's */
	char *key; /* node_table's: set: found again under this name, one node; NULL: a fresh one */
	struct node *next_by_ino, *next_by_key; /* node_table's */
};

struct node_table;

int node_table_new(struct node_table **table);
void node_table_free(struct node_table *table, struct daemon *daemon);

/*
 * Adds a node with one look-up, takes it (it goes through ops->free at last). key: NULL, or the
 * name under which node_get() finds it again (copied). The first node added has FUSE_ROOT_ID.
 * -EEXIST: a node of that key is there already. -ENOMEM.
 */
int node_add(struct node_table *table, struct node *node, const char *key);

/* The node of that key with one more look-up, or NULL. */
struct node *node_get(struct node_table *table, const char *key);

/* The node of an inode number that the kernel uses: always there while it does. */
struct node *node_find(struct node_table *table, fuse_ino_t ino);

/* What the node of any number does, or NULL: there is no such node. */
const struct node_ops *node_ops_of(struct node_table *table, uint64_t ino);

/* The kernel forgets nr_lookups of its look-ups. */
void node_forget(struct node_table *table, struct daemon *daemon, fuse_ino_t ino,
		 uint64_t nr_lookups);

#endif
