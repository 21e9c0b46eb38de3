/* SPDX-License-Identifier: MIT */
/*
 * The directory instances/: one for each section of virtual EPC that has an id, and in it what is
 * known of it (info), its own limit (limit), and EPC loss on command (lose).
 */
#include "front/tree_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/instance.h"
#include "front/report.h"

#define NR_DOTS 2
#define ID_DIGITS_MAX 19u /* an offset of the directory has room for so many */
#define KEY_SIZE 64u

/* ---- the files ---- */

static int instance_attr(struct daemon *daemon, const struct tree_node *node, struct stat *attr)
{
	(void)attr;
	return report_has_instance(daemon, node->id) ? 0 : -ENOENT;
}

static int info_make(struct daemon *daemon, const struct tree_node *node, char **text, size_t *size)
{
	return report_instance(daemon, node->id, text, size);
}

static int limit_make(struct daemon *daemon, const struct tree_node *node, char **text,
		      size_t *size)
{
	uint64_t max_bytes;
	int error = instance_max(daemon, node->id, &max_bytes);

	if (error)
		return error;
	*text = malloc(MISC_LINE_SIZE);
	if (!*text)
		return -ENOMEM;
	*size = misc_format_own_max(max_bytes, *text);
	return 0;
}

static int limit_write(struct daemon *daemon, const struct tree_node *node, const char *bytes,
		       size_t size)
{
	uint64_t max_bytes;
	int error = misc_parse_own_max(bytes, size, &max_bytes);

	return error ? error : instance_set_max(daemon, node->id, max_bytes);
}

static int lose(struct daemon *daemon, const struct tree_node *node, fuse_req_t req, size_t size)
{
	return instance_lose(daemon, req, size, node->id);
}

static const struct tree_kind info_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0444,
	.attr = instance_attr,
	.make = info_make,
};
static const struct tree_kind limit_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0644,
	.attr = instance_attr,
	.make = limit_make,
	.write = limit_write,
};
static const struct tree_kind lose_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0200,
	.attr = instance_attr,
	.command = lose,
};

static const struct {
	const char *name;
	const struct tree_kind *kind;
} files[] = {
	{ "info", &info_kind },
	{ "limit", &limit_kind },
	{ "lose", &lose_kind },
};

#define NR_FILES (sizeof(files) / sizeof(files[0]))

/* ---- the directory of one ---- */

static void file_key(char key[KEY_SIZE], uint64_t id, const char *name)
{
	snprintf(key, KEY_SIZE, "/instances/%" PRIu64 "/%s", id, name);
}

static void instance_lookup(struct daemon *daemon, fuse_req_t req, struct node *node,
			    const char *name)
{
	struct tree_key key = { .id = tree_node_of(node)->id };
	char text[KEY_SIZE];

	for (size_t i = 0; i < NR_FILES; i++)
		if (strcmp(name, files[i].name) == 0)
			key.kind = files[i].kind;
	if (!key.kind) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	file_key(text, key.id, name);
	key.key = text;
	tree_reply_node(daemon, req, &key);
}

static void instance_readdir(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
			     off_t offset, struct fuse_file_info *file)
{
	const struct tree_node *dir = tree_node_of(node);
	struct tree_dir list;
	bool has_room = true;

	(void)daemon;
	(void)file;
	if (tree_dir_begin(&list, req, size) != 0)
		return;
	for (off_t i = offset < 0 ? 0 : offset; has_room && i < (off_t)NR_FILES + NR_DOTS; i++) {
		const char *name = i < NR_DOTS ? (i ? ".." : ".") : files[i - NR_DOTS].name;
		char key[KEY_SIZE];

		file_key(key, dir->id, name);
		has_room = tree_dir_add(&list, name,
					i < NR_DOTS ? dir->st_ino : tree_ino_of_key(key),
					i < NR_DOTS ? S_IFDIR : S_IFREG, i + 1);
	}
	tree_dir_end(&list);
}

static const struct node_ops instance_ops = {
	.lookup = instance_lookup,
	.getattr = tree_getattr,
	.readdir = instance_readdir,
	.free = tree_node_free,
};
static const struct tree_kind instance_kind = {
	.ops = &instance_ops,
	.mode = S_IFDIR | 0555,
	.attr = instance_attr,
};

/* ---- instances/ ---- */

/* The one way to write a number: digits, no zero before them. 0: it is none. */
static uint64_t id_parse(const char *name)
{
	size_t size = strspn(name, "0123456789");

	if (size == 0 || size > ID_DIGITS_MAX || name[size] != '\0' || name[0] == '0')
		return 0;
	return strtoull(name, NULL, 10);
}

static void instances_lookup(struct daemon *daemon, fuse_req_t req, struct node *node,
			     const char *name)
{
	struct tree_key key = { .kind = &instance_kind, .id = id_parse(name) };
	char text[64];

	(void)node;
	if (!key.id) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	snprintf(text, sizeof(text), "/instances/%" PRIu64, key.id);
	key.key = text;
	tree_reply_node(daemon, req, &key);
}

/* The offset after an entry is its id, after the two dots. */
static void instances_readdir(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
			      off_t offset, struct fuse_file_info *file)
{
	const struct tree_node *dir = tree_node_of(node);
	struct tree_dir list;
	bool has_room = true;
	uint64_t id;

	(void)file;
	if (tree_dir_begin(&list, req, size) != 0)
		return;
	for (off_t i = offset < 0 ? 0 : offset; has_room && i < NR_DOTS; i++)
		has_room = tree_dir_add(&list, i ? ".." : ".", dir->st_ino, S_IFDIR, i + 1);
	id = offset > NR_DOTS ? (uint64_t)offset - NR_DOTS : 0;
	while (has_room && (id = report_next_instance(daemon, id))) {
		char name[32], key[64];

		snprintf(name, sizeof(name), "%" PRIu64, id);
		snprintf(key, sizeof(key), "/instances/%" PRIu64, id);
		has_room = tree_dir_add(&list, name, tree_ino_of_key(key), S_IFDIR,
					(off_t)id + NR_DOTS);
	}
	tree_dir_end(&list);
}

static const struct node_ops instances_ops = {
	.lookup = instances_lookup,
	.getattr = tree_getattr,
	.readdir = instances_readdir,
	.free = tree_node_free,
};
const struct tree_kind tree_instances_kind = { .ops = &instances_ops, .mode = S_IFDIR | 0555 };
