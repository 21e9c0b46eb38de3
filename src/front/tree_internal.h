/* SPDX-License-Identifier: MIT */
/*
 * What the files of the control tree share. tree.c has the root and debug/, tree_instance.c the
 * instances, tree_node.c nodes and their attributes, tree_file.c files that are a text,
 * tree_cgroup.c the mirror of the hierarchy. Nobody else includes this.
 */
#ifndef EPCD_FRONT_TREE_INTERNAL_H
#define EPCD_FRONT_TREE_INTERNAL_H

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "front/daemon.h"
#include "front/misc.h"

struct tree_node;

/*
 * What a node is. attr: NULL, or changes the attributes that it gets (mode, the daemon's owner);
 * an error says that what it stands for is gone. make: the text of a file, a new string; the errors
 * are those of the read. write: NULL, or a whole write; the errors are the write's. command: the
 * same for what takes long: whatever is written begins it, and when it ends it answers that size
 * bytes have been written; or an error, and req is not answered. A file that has it is not read.
 */
struct tree_kind {
	const struct node_ops *ops;
	mode_t mode; /* with its type */
	int (*attr)(struct daemon *daemon, const struct tree_node *node, struct stat *attr);
	int (*make)(struct daemon *daemon, const struct tree_node *node, char **text, size_t *size);
	int (*write)(struct daemon *daemon, const struct tree_node *node, const char *bytes,
		     size_t size);
	int (*command)(struct daemon *daemon, const struct tree_node *node, fuse_req_t req,
		       size_t size);
};

struct tree_node {
	struct node node; /* first */
	const struct tree_kind *kind;
	uint64_t st_ino;     /* of its key: the same when the node was forgotten and comes again */
	uint64_t id;	     /* instance or cgroup */
	char *path;	     /* cgroup: raw; else NULL */
	enum misc_file file; /* cgroup files */
};

/* An open file or directory of the tree; file->fh points to it. */
struct tree_open {
	struct tree_open *next, *prev; /* the tree's list */
	pthread_mutex_t lock;
	char *text; /* as made by the last read at offset 0; NULL: none yet */
	size_t size;
	DIR *dir;	/* cgroup directories: the real one, NULL: none */
	bool has_limit; /* cgroup directories: the files of a limit are shown */
};

struct tree {
	struct tree_node root; /* first */
	struct timespec made_at;
	pthread_mutex_t lock;
	struct tree_open opens; /* head of a ring: what the end of the connection left open */
};

struct tree_dir {
	fuse_req_t req;
	char *bytes;
	size_t size, used;
};

struct tree *tree_of(struct daemon *daemon);
struct tree_node *tree_node_of(struct node *node);

/* tree_node.c: answers a look-up with the node of this key, made if it is not there. */
struct tree_key {
	const char *key;
	const struct tree_kind *kind;
	uint64_t id;
	const char *path; /* borrowed; NULL: none */
	enum misc_file file;
};
void tree_reply_node(struct daemon *daemon, fuse_req_t req, const struct tree_key *key);
uint64_t tree_ino_of_key(const char *key);
void tree_getattr(struct daemon *daemon, fuse_req_t req, struct node *node);
void tree_node_free(struct daemon *daemon, struct node *node);

/* tree_node.c: entries of a directory; false: it is full. */
int tree_dir_begin(struct tree_dir *dir, fuse_req_t req, size_t size);
bool tree_dir_add(struct tree_dir *dir, const char *name, uint64_t ino, mode_t mode,
		  off_t next_offset);
void tree_dir_end(struct tree_dir *dir);

/* tree_file.c: operations of the text files. An open is on the tree's list until it is freed; NULL:
 * no memory. */
extern const struct node_ops tree_file_ops;
struct tree_open *tree_open_new(struct daemon *daemon);
void tree_open_free(struct daemon *daemon, struct tree_open *open);
struct tree_open *tree_open_of(const struct fuse_file_info *file);

/* tree_instance.c: the directory instances/. */
extern const struct tree_kind tree_instances_kind;

/* tree_cgroup.c: the directory of the root of the hierarchy. */
extern const struct tree_kind tree_cgroup_kind;
#define TREE_CGROUP_KEY "/cgroup"

#endif
