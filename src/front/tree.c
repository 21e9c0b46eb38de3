/* SPDX-License-Identifier: MIT */
/*
 * The root of the mount and what is in it: status, metrics, version, events, history, debug/. The
 * control interface is files and nothing else: what an administrator can ask for is a read, a
 * command is a write. dev/ is device.c's, cgroup/ tree_cgroup.c's, instances/ tree_instance.c's.
 */
#include "front/tree_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/journal.h"
#include "front/metrics.h"
#include "front/mirror.h"
#include "front/report.h"

#define NR_DOTS 2

/* ---- plain files ---- */

static int text_copy(const char *from, char **text, size_t *size)
{
	*text = strdup(from);
	*size = strlen(from);
	return *text ? 0 : -ENOMEM;
}

static int status_make(struct daemon *daemon, const struct tree_node *node, char **text,
		       size_t *size)
{
	(void)node;
	return report_status(daemon, text, size);
}

static int metrics_file_make(struct daemon *daemon, const struct tree_node *node, char **text,
			     size_t *size)
{
	(void)node;
	return metrics_make(daemon, text, size);
}

static int version_make(struct daemon *daemon, const struct tree_node *node, char **text,
			size_t *size)
{
	(void)daemon;
	(void)node;
	return text_copy(EPCD_VERSION "\n", text, size);
}

static int history_make(struct daemon *daemon, const struct tree_node *node, char **text,
			size_t *size)
{
	(void)node;
	*text = journal_history(daemon->journal, size);
	return *text ? 0 : -ENOMEM;
}

static const struct tree_kind status_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0444,
	.make = status_make,
};
static const struct tree_kind metrics_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0444,
	.make = metrics_file_make,
};
static const struct tree_kind version_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0444,
	.make = version_make,
};
static const struct tree_kind history_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0444,
	.make = history_make,
};

/* ---- events ---- */

static void events_open(struct daemon *daemon, fuse_req_t req, struct node *node,
			struct fuse_file_info *file)
{
	(void)node;
	if ((file->flags & O_ACCMODE) != O_RDONLY)
		fuse_reply_err(req, EACCES);
	else
		journal_stream_open(daemon->journal, req, file);
}

static void events_read(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
			off_t offset, struct fuse_file_info *file)
{
	(void)node;
	(void)offset;
	journal_stream_read(daemon->journal, req, size, file);
}

static void events_release(struct daemon *daemon, fuse_req_t req, struct node *node,
			   struct fuse_file_info *file)
{
	(void)node;
	journal_stream_release(daemon->journal, req, file);
}

static const struct node_ops events_ops = {
	.getattr = tree_getattr,
	.open = events_open,
	.read = events_read,
	.release = events_release,
	.free = tree_node_free,
};
static const struct tree_kind events_kind = { .ops = &events_ops, .mode = S_IFREG | 0444 };

/* ---- debug/ ---- */

/* "0" or "1", with white space behind it or not. */
static int switch_parse(const char *bytes, size_t size, bool *is_on)
{
	if (size == 0 || (bytes[0] != '0' && bytes[0] != '1') ||
	    (size > 1 && (size > 2 || bytes[1] != '\n')))
		return -EINVAL;
	*is_on = bytes[0] == '1';
	return 0;
}

static int hold_make(struct daemon *daemon, const struct tree_node *node, char **text, size_t *size)
{
	(void)node;
	return text_copy(engine_unmaps_held(daemon->engine) ? "1\n" : "0\n", text, size);
}

static int hold_write(struct daemon *daemon, const struct tree_node *node, const char *bytes,
		      size_t size)
{
	bool is_on;
	int error = switch_parse(bytes, size, &is_on);

	(void)node;
	if (!error)
		engine_hold_unmaps(daemon->engine, is_on);
	return error;
}

static int ask_make(struct daemon *daemon, const struct tree_node *node, char **text, size_t *size)
{
	(void)node;
	return text_copy(mirror_asks_proc(daemon->mirror) ? "1\n" : "0\n", text, size);
}

static int ask_write(struct daemon *daemon, const struct tree_node *node, const char *bytes,
		     size_t size)
{
	bool is_on;
	int error = switch_parse(bytes, size, &is_on);

	(void)node;
	if (!error)
		mirror_ask_proc(daemon->mirror, is_on);
	return error;
}

static const struct tree_kind hold_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0600,
	.make = hold_make,
	.write = hold_write,
};
static const struct tree_kind ask_kind = {
	.ops = &tree_file_ops,
	.mode = S_IFREG | 0600,
	.make = ask_make,
	.write = ask_write,
};

/* ---- directories with a fixed list of names ---- */

struct fixed_entry {
	const char *name;
	const struct tree_kind *kind; /* NULL: dev/ */
	const char *key;
	bool needs_debug;
};

static const struct tree_kind debug_kind;

static const struct fixed_entry root_entries[] = {
	{ "dev", NULL, NULL, false },
	{ "cgroup", &tree_cgroup_kind, TREE_CGROUP_KEY, false },
	{ "instances", &tree_instances_kind, "/instances", false },
	{ "status", &status_kind, "/status", false },
	{ "events", &events_kind, "/events", false },
	{ "history", &history_kind, "/history", false },
	{ "metrics", &metrics_kind, "/metrics", false },
	{ "version", &version_kind, "/version", false },
	{ "debug", &debug_kind, "/debug", true },
	{ 0 },
};

static const struct fixed_entry debug_entries[] = {
	{ "hold-unmaps", &hold_kind, "/debug/hold-unmaps", true },
	{ "ask-proc", &ask_kind, "/debug/ask-proc", true },
	{ 0 },
};

static const struct fixed_entry *entries_of(const struct tree_node *dir)
{
	return dir->kind == &debug_kind ? debug_entries : root_entries;
}

static void lookup_dev(struct daemon *daemon, fuse_req_t req)
{
	struct node *dev = device_dir_get(daemon);
	struct stat attr = { .st_mode = S_IFDIR | 0755, .st_nlink = 2 };

	if (!dev) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	attr.st_ino = dev->ino;
	attr.st_uid = geteuid();
	attr.st_gid = getegid();
	session_reply_entry(req, dev, &attr);
}

/* cgroup/ is known by the id of the hierarchy's root. */
static uint64_t fixed_id(struct daemon *daemon, const struct tree_kind *kind)
{
	struct mirror_cgroup *root;
	uint64_t id;

	if (kind != &tree_cgroup_kind)
		return 0;
	root = mirror_root(daemon->mirror);
	id = root->id;
	mirror_put(daemon->mirror, root);
	return id;
}

static void fixed_lookup(struct daemon *daemon, fuse_req_t req, struct node *node, const char *name)
{
	const struct fixed_entry *entry = entries_of(tree_node_of(node));
	struct tree_key key;

	while (entry->name && (strcmp(entry->name, name) != 0 ||
			       (entry->needs_debug && !daemon->options.is_debug)))
		entry++;
	if (!entry->name) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (!entry->kind) {
		lookup_dev(daemon, req);
		return;
	}
	key = (struct tree_key){ .key = entry->key, .kind = entry->kind };
	key.id = fixed_id(daemon, entry->kind);
	key.path = entry->kind == &tree_cgroup_kind ? "/" : NULL;
	tree_reply_node(daemon, req, &key);
}

static void fixed_readdir(struct daemon *daemon, fuse_req_t req, struct node *node, size_t size,
			  off_t offset, struct fuse_file_info *file)
{
	const struct tree_node *dir = tree_node_of(node);
	const struct fixed_entry *entries = entries_of(dir);
	struct tree_dir list;
	bool has_room = true;

	(void)file;
	if (tree_dir_begin(&list, req, size) != 0)
		return;
	for (off_t i = offset < 0 ? 0 : offset; has_room && i < NR_DOTS; i++)
		has_room = tree_dir_add(&list, i ? ".." : ".", dir->st_ino, S_IFDIR, i + 1);
	for (off_t i = 0; has_room && entries[i].name; i++) {
		const struct tree_kind *kind = entries[i].kind;

		if (i + NR_DOTS < offset || (entries[i].needs_debug && !daemon->options.is_debug))
			continue;
		has_room = tree_dir_add(&list, entries[i].name,
					kind ? tree_ino_of_key(entries[i].key) : UINT32_MAX,
					kind ? kind->mode : S_IFDIR, i + NR_DOTS + 1);
	}
	tree_dir_end(&list);
}

/* ---- the root ---- */

/* The end of all: whatever is still open will not be released, its connection is gone. */
static void root_free(struct daemon *daemon, struct node *node)
{
	struct tree *tree = (struct tree *)(void *)tree_node_of(node);

	(void)daemon;
	while (tree->opens.next != &tree->opens) {
		struct tree_open *open = tree->opens.next;

		tree->opens.next = open->next;
		if (open->dir)
			closedir(open->dir);
		free(open->text);
		pthread_mutex_destroy(&open->lock);
		free(open);
	}
	pthread_mutex_destroy(&tree->lock);
	free(tree);
}

static const struct node_ops debug_ops = {
	.lookup = fixed_lookup,
	.getattr = tree_getattr,
	.readdir = fixed_readdir,
	.free = tree_node_free,
};
static const struct tree_kind debug_kind = { .ops = &debug_ops, .mode = S_IFDIR | 0500 };

static const struct node_ops root_ops = {
	.lookup = fixed_lookup,
	.getattr = tree_getattr,
	.readdir = fixed_readdir,
	.free = root_free,
};
static const struct tree_kind root_kind = { .ops = &root_ops, .mode = S_IFDIR | 0555 };

int tree_init(struct daemon *daemon)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	int error;

	if (!tree)
		return -ENOMEM;
	tree->root.node.ops = &root_ops;
	tree->root.kind = &root_kind;
	tree->root.st_ino = FUSE_ROOT_ID;
	clock_gettime(CLOCK_REALTIME, &tree->made_at);
	pthread_mutex_init(&tree->lock, NULL);
	tree->opens.next = tree->opens.prev = &tree->opens;
	error = node_add(daemon->nodes, &tree->root.node, "/");
	if (error)
		root_free(daemon, &tree->root.node);
	return error;
}
