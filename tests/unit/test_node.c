/* SPDX-License-Identifier: MIT */
/* The table of nodes: numbers, keys, look-ups. By nodes that count how often they are freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "front/node.h"

struct counted {
	struct node node;
	unsigned int nr_freed;
};

static void count_free(struct daemon *daemon, struct node *node)
{
	(void)daemon;
	((struct counted *)node)->nr_freed++;
}

static const struct node_ops counted_ops = { .free = count_free };
static const struct node_ops static_ops = { .free = NULL };

static struct node_table *table_new(void)
{
	struct node_table *table = NULL;

	assert_int_equal(node_table_new(&table), 0);
	return table;
}

/* The first is the root, every other one has a larger number than all before it. */
static void numbers_count_up(void **state)
{
	struct counted root = { .node.ops = &counted_ops };
	struct counted nodes[8];
	struct node_table *table = table_new();
	uint64_t last_ino = FUSE_ROOT_ID;

	(void)state;
	assert_int_equal(node_add(table, &root.node, NULL), 0);
	assert_true(root.node.ino == FUSE_ROOT_ID);
	for (unsigned int i = 0; i < 8; i++) {
		memset(&nodes[i], 0, sizeof(nodes[i]));
		nodes[i].node.ops = &counted_ops;
		assert_int_equal(node_add(table, &nodes[i].node, NULL), 0);
		assert_true(nodes[i].node.ino > last_ino);
		last_ino = nodes[i].node.ino;
		assert_ptr_equal(node_find(table, last_ino), &nodes[i].node);
		node_forget(table, NULL, last_ino, 1);
		assert_int_equal(nodes[i].nr_freed, 1);
		assert_null(node_find(table, last_ino));
	}
	node_table_free(table, NULL);
	assert_int_equal(root.nr_freed, 1);
}

/* Two nodes in one bucket: the middle, the first and the last of a chain can go. */
static void numbers_that_collide(void **state)
{
	static struct counted nodes[3 * 4096];
	struct node_table *table = table_new();

	(void)state;
	memset(nodes, 0, sizeof(nodes));
	for (unsigned int i = 0; i < 3 * 4096; i++) {
		nodes[i].node.ops = &counted_ops;
		assert_int_equal(node_add(table, &nodes[i].node, NULL), 0);
	}
	node_forget(table, NULL, nodes[4096].node.ino, 1);
	assert_ptr_equal(node_find(table, nodes[0].node.ino), &nodes[0].node);
	assert_ptr_equal(node_find(table, nodes[8192].node.ino), &nodes[8192].node);
	node_forget(table, NULL, nodes[0].node.ino, 1);
	assert_ptr_equal(node_find(table, nodes[8192].node.ino), &nodes[8192].node);
	node_table_free(table, NULL);
	for (unsigned int i = 0; i < 3 * 4096; i++)
		assert_int_equal(nodes[i].nr_freed, 1);
}

/* A key finds the one node, counts a look-up, and is free again when the node is forgotten. */
static void keys(void **state)
{
	struct counted first = { .node.ops = &counted_ops };
	struct counted second = { .node.ops = &counted_ops };
	struct node_table *table = table_new();

	(void)state;
	assert_null(node_get(table, "a"));
	assert_int_equal(node_add(table, &first.node, "a"), 0);
	assert_int_equal(node_add(table, &second.node, "a"), -EEXIST);
	assert_ptr_equal(node_get(table, "a"), &first.node);
	assert_null(node_get(table, "b"));
	node_forget(table, NULL, first.node.ino, 1);
	assert_int_equal(first.nr_freed, 0);
	node_forget(table, NULL, first.node.ino, 1);
	assert_int_equal(first.nr_freed, 1);
	assert_null(node_get(table, "a"));
	assert_int_equal(node_add(table, &second.node, "a"), 0);
	assert_ptr_equal(node_get(table, "a"), &second.node);
	node_table_free(table, NULL);
	assert_int_equal(second.nr_freed, 1);
}

/* What cannot come from a sound kernel does no harm; a static node outlives its look-ups. */
static void forgets_too_many(void **state)
{
	struct counted counted = { .node.ops = &counted_ops };
	struct counted unfreed = { .node.ops = &static_ops };
	struct node_table *table = table_new();

	(void)state;
	assert_int_equal(node_add(table, &counted.node, NULL), 0);
	assert_int_equal(node_add(table, &unfreed.node, "static"), 0);
	node_forget(table, NULL, 12345, 1);
	node_forget(table, NULL, counted.node.ino, UINT64_MAX);
	assert_int_equal(counted.nr_freed, 1);
	node_forget(table, NULL, unfreed.node.ino, 1);
	assert_null(node_get(table, "static"));
	assert_null(unfreed.node.key);
	node_table_free(table, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_count_up),
		cmocka_unit_test(numbers_that_collide),
		cmocka_unit_test(keys),
		cmocka_unit_test(forgets_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
