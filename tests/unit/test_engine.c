/* SPDX-License-Identifier: MIT */
/*
 * The engine over the real core, with operations that count: answers come outside of the lock and
 * once, unmappings on threads of their own, steps are made to the end, holding unmappings holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "front/engine.h"

#define NR_PAGES 4096u
#define NR_THREADS 4u
#define NR_ROUNDS 200u

/* What the operations saw, under lock. The test's thread waits for it to change. */
struct world {
	struct engine *engine;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int nr_replies, nr_replied, nr_unmaps, nr_gone, nr_started, nr_closed;
};

static void count(struct world *world, unsigned int *counter)
{
	pthread_mutex_lock(&world->lock);
	(*counter)++;
	pthread_cond_broadcast(&world->changed);
	pthread_mutex_unlock(&world->lock);
}

static void wait_for(struct world *world, const unsigned int *counter, unsigned int value)
{
	pthread_mutex_lock(&world->lock);
	while (*counter < value)
		pthread_cond_wait(&world->changed, &world->lock);
	pthread_mutex_unlock(&world->lock);
}

static unsigned int value_of(struct world *world, const unsigned int *counter)
{
	unsigned int value;

	pthread_mutex_lock(&world->lock);
	value = *counter;
	pthread_mutex_unlock(&world->lock);
	return value;
}

static void count_unmap(void *context, const struct epc_unmap *unmap)
{
	struct world *world = context;

	(void)unmap;
	/* Without the lock: a write-back would come now. */
	epc_report(engine_lock(world->engine), &(struct epc_report){ 0 });
	engine_unlock(world->engine);
	count(world, &world->nr_unmaps);
}

static bool count_reply(void *context, struct epc_request *request)
{
	struct world *world = context;

	(void)request;
	count(world, &world->nr_replies);
	return true;
}

static void count_replied(void *context, struct epc *epc, struct epc_request *request)
{
	struct world *world = context;

	if (request->buffer && !request->result)
		epc_delivered(epc, request->instance, request->first, request->count);
	free(request->buffer);
	free(request);
	count(world, &world->nr_replied);
}

static void count_gone(void *context, void *instance_cookie)
{
	struct world *world = context;

	(void)instance_cookie;
	count(world, &world->nr_gone);
}

static void count_record(void *context, const struct epc_record *record)
{
	struct world *world = context;

	if (record->kind == EPC_RECORD_STARTED)
		count(world, &world->nr_started);
	if (record->kind == EPC_RECORD_CLOSED)
		count(world, &world->nr_closed);
}

static const struct engine_ops count_ops = {
	.unmap = count_unmap,
	.reply = count_reply,
	.replied = count_replied,
	.gone = count_gone,
	.record = count_record,
};

static void world_init(struct world *world)
{
	const struct epc_section_config section = { .nr_pages = NR_PAGES };

	memset(world, 0, sizeof(*world));
	pthread_mutex_init(&world->lock, NULL);
	pthread_cond_init(&world->changed, NULL);
	assert_int_equal(engine_new(&section, 1, NULL, &count_ops, world, &world->engine), 0);
	assert_int_equal(engine_start(world->engine), 0);
}

static void world_fini(struct world *world)
{
	const char *why = "";
	bool is_valid = epc_is_valid(engine_lock(world->engine), &why);

	engine_unlock(world->engine);
	if (!is_valid)
		fail_msg("%s", why);
	engine_stop(world->engine);
	engine_free(world->engine);
	pthread_cond_destroy(&world->changed);
	pthread_mutex_destroy(&world->lock);
}

static struct epc_instance *instance_open(struct world *world)
{
	struct epc *epc = engine_lock(world->engine);
	struct epc_instance *instance = NULL;
	int error = epc_open(epc, epc_cgroup_root(epc), NULL, world, &instance);

	engine_unlock(world->engine);
	assert_int_equal(error, 0);
	return instance;
}

static void instance_close(struct world *world, struct epc_instance *instance)
{
	epc_release(engine_lock_for_long(world->engine), instance);
	engine_unlock(world->engine);
}

static void read_pages(struct world *world, struct epc_instance *instance, uint64_t first,
		       uint64_t nr_pages)
{
	struct epc_request *request = calloc(1, sizeof(*request));
	struct epc *epc;

	assert_non_null(request);
	request->instance = instance;
	request->first = first;
	request->count = nr_pages;
	request->buffer = calloc(nr_pages, EPC_PAGE_SIZE);
	epc = engine_lock(world->engine);
	request->payer = epc_cgroup_root(epc);
	epc_read(epc, request);
	engine_unlock(world->engine);
}

static void reset_all(struct world *world, struct epc_instance *instance)
{
	struct epc_request *request = calloc(1, sizeof(*request));

	assert_non_null(request);
	request->instance = instance;
	request->count = EPC_NR_INDICES;
	epc_reset(engine_lock_for_long(world->engine), request);
	engine_unlock(world->engine);
}

/* A read is answered before engine_unlock() returns, and told to the core. */
static void a_read(void **state)
{
	struct epc_instance *instance;
	struct world world;

	(void)state;
	world_init(&world);
	instance = instance_open(&world);
	read_pages(&world, instance, 7, 1);
	assert_int_equal(value_of(&world, &world.nr_replies), 1);
	assert_int_equal(value_of(&world, &world.nr_replied), 1);
	assert_int_equal(value_of(&world, &world.nr_started), 1);
	instance_close(&world, instance);
	wait_for(&world, &world.nr_gone, 1);
	assert_int_equal(value_of(&world, &world.nr_closed), 1);
	assert_true(engine_longest_hold_ns(world.engine) > 0);
	world_fini(&world);
}

/* An operation of many unmappings runs to its end by the engine's own threads. */
static void a_reset(void **state)
{
	struct epc_instance *instance;
	struct world world;

	(void)state;
	world_init(&world);
	instance = instance_open(&world);
	for (uint64_t first = 0; first < 2048; first += 256)
		read_pages(&world, instance, first, 256);
	assert_int_equal(value_of(&world, &world.nr_replies), 8);
	reset_all(&world, instance);
	wait_for(&world, &world.nr_replied, 9);
	assert_true(value_of(&world, &world.nr_unmaps) > 0);
	instance_close(&world, instance);
	wait_for(&world, &world.nr_gone, 1);
	world_fini(&world);
}

/* While unmappings are held a reset does not end, and a read of another instance does not wait. */
static void unmaps_held(void **state)
{
	struct epc_instance *instance, *other;
	struct world world;

	(void)state;
	world_init(&world);
	instance = instance_open(&world);
	other = instance_open(&world);
	read_pages(&world, instance, 0, 1);
	engine_hold_unmaps(world.engine, true);
	assert_true(engine_unmaps_held(world.engine));
	reset_all(&world, instance);
	read_pages(&world, other, 0, 1);
	assert_int_equal(value_of(&world, &world.nr_replies), 2);
	assert_int_equal(value_of(&world, &world.nr_unmaps), 0);
	engine_hold_unmaps(world.engine, false);
	assert_false(engine_unmaps_held(world.engine));
	wait_for(&world, &world.nr_replied, 3);
	instance_close(&world, instance);
	instance_close(&world, other);
	wait_for(&world, &world.nr_gone, 2);
	world_fini(&world);
}

/* The end does not wait for what is held. */
static void stop_while_held(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	read_pages(&world, instance_open(&world), 0, 1);
	engine_hold_unmaps(world.engine, true);
	engine_stop(world.engine);
	engine_free(world.engine);
}

static void *reader_main(void *argument)
{
	struct world *world = argument;

	for (unsigned int round = 0; round < NR_ROUNDS; round++) {
		struct epc_instance *instance = instance_open(world);

		for (uint64_t index = 0; index < 8; index++)
			read_pages(world, instance, index * 64, 64);
		instance_close(world, instance);
	}
	return NULL;
}

/* Threads that open, read and close at the same time leave nothing behind. */
static void many_threads(void **state)
{
	pthread_t threads[NR_THREADS];
	struct epc_report report;
	struct world world;

	(void)state;
	world_init(&world);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &world), 0);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	wait_for(&world, &world.nr_gone, NR_THREADS * NR_ROUNDS);
	epc_report(engine_lock(world.engine), &report);
	engine_unlock(world.engine);
	assert_true(report.nr_free == NR_PAGES);
	assert_true(report.nr_parked == 0);
	assert_int_equal(world.nr_replies, NR_THREADS * NR_ROUNDS * 8);
	assert_int_equal(world.nr_replied, NR_THREADS * NR_ROUNDS * 8);
	world_fini(&world);
}

/* What cannot be an EPC is refused. */
static void bad_sections(void **state)
{
	const struct epc_section_config empty = { .nr_pages = 0 };
	const struct epc_section_config huge = { .nr_pages = UINT64_MAX / 2 };
	struct epc_section_config many[EPC_NR_SECTIONS_MAX + 1];
	struct engine *engine;

	(void)state;
	memset(many, 0, sizeof(many));
	assert_int_not_equal(engine_new(&empty, 1, NULL, &count_ops, NULL, &engine), 0);
	assert_int_equal(engine_new(&huge, 1, NULL, &count_ops, NULL, &engine), -EINVAL);
	assert_int_equal(engine_new(many, EPC_NR_SECTIONS_MAX + 1, NULL, &count_ops, NULL, &engine),
			 -EINVAL);
	assert_int_equal(engine_new(many, 0, NULL, &count_ops, NULL, &engine), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read),	cmocka_unit_test(a_reset),
		cmocka_unit_test(unmaps_held),	cmocka_unit_test(stop_while_held),
		cmocka_unit_test(many_threads), cmocka_unit_test(bad_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
