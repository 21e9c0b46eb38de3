/* SPDX-License-Identifier: MIT */
/*
 * Goal: a VM that asks for many unmappings delays itself, and others only by one each. Method: the
 * queue alone, with instances of three VMs of a real EPC.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "front/unmap_queue.h"

#define NR_VMS 3

static void *allocate(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

static void deallocate(void *context, void *memory, size_t size)
{
	(void)context;
	(void)size;
	free(memory);
}

static void turns(void **state)
{
	static char bytes[4096] __attribute__((aligned(4096)));
	struct epc_section_config section = { .nr_pages = 1, .bytes = bytes };
	struct epc_config config = {
		.sections = &section,
		.nr_sections = 1,
		.allocator = { allocate, deallocate, NULL },
	};
	struct epc_instance *instances[NR_VMS];
	struct epc_unmap unmaps[8] = { 0 };
	struct unmap_queue queue;
	struct epc *epc;

	(void)state;
	assert_int_equal(epc_new(&config, &epc), 0);
	for (int i = 0; i < NR_VMS; i++)
		assert_int_equal(epc_open(epc, epc_cgroup_root(epc), NULL, NULL, &instances[i]), 0);
	unmap_queue_init(&queue);
	assert_null(unmap_queue_take(&queue));

	/* 0 to 4 of the first VM, then two of the second, one of the third */
	for (int i = 0; i < 8; i++) {
		unmaps[i].instance = instances[i < 5 ? 0 : i < 7 ? 1 : 2];
		unmap_queue_add(&queue, &unmaps[i]);
	}
	assert_ptr_equal(unmap_queue_take(&queue), &unmaps[0]);
	assert_ptr_equal(unmap_queue_take(&queue), &unmaps[5]);
	assert_ptr_equal(unmap_queue_take(&queue), &unmaps[7]);
	assert_ptr_equal(unmap_queue_take(&queue), &unmaps[1]);
	unmap_queue_done(&queue, &unmaps[5]);
	assert_ptr_equal(unmap_queue_take(&queue), &unmaps[6]);
	unmap_queue_done(&queue, &unmaps[6]);
	unmap_queue_done(&queue, &unmaps[7]);
	/* the first VM has three at a time, and never the last unmapper */
	assert_ptr_equal(unmap_queue_take(&queue), &unmaps[2]);
	assert_null(unmap_queue_take(&queue));
	unmap_queue_add(&queue, &unmaps[7]);
	assert_ptr_equal(unmap_queue_take(&queue), &unmaps[7]);
	unmap_queue_done(&queue, &unmaps[0]);
	assert_ptr_equal(unmap_queue_take(&queue), &unmaps[3]);
	epc_free(epc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
