/* SPDX-License-Identifier: MIT */
/*
 * The engine; see engine.h.
 *
 * The lock is two mutexes. `turn` keeps the order: who holds it is the next to get `lock`. So the
 * stepper, which gives the lock back and wants it again at once, cannot starve the requests that
 * came meanwhile.
 */
#include "front/engine.h"
#include "front/pool.h"
#include "front/unmap_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#define NR_EFFECTS_MAX (UINT64_C(1) << 32) /* of one call: more is a bug of the core */

struct engine {
	pthread_mutex_t turn;
	pthread_mutex_t lock;
	struct pool *pool; /* the core's memory, under lock */
	struct epc *epc;
	const struct engine_ops *ops;
	void *context;
	struct epc_section_config sections[EPC_NR_SECTIONS_MAX];
	unsigned int nr_sections;

	/* under lock */
	struct unmap_queue unmaps;
	unsigned int nr_looking; /* unmappers that take one before they wait again */
	pthread_cond_t unmaps_came;
	pthread_cond_t step_is_due;
	bool is_stepping; /* the stepper has work, nobody else need look */
	bool is_stopping;
	uint64_t locked_ns, locked_cpu_ns;
	bool measures_cpu; /* of the present holder */

	pthread_mutex_t hold_lock;
	pthread_cond_t hold_changed;
	bool is_held; /* under hold_lock */
	bool is_hold_over;

	atomic_uint_fast64_t longest_hold_ns, longest_hold_cpu_ns;
	pthread_t stepper;
	pthread_t unmappers[NR_UNMAPPERS];
	unsigned int nr_unmappers;
	bool has_stepper;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void queue_init(struct epc_list *head)
{
	head->next = head->prev = head;
}

static void queue_add(struct epc_list *head, struct epc_list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static struct epc_list *queue_take(struct epc_list *head)
{
	struct epc_list *node = head->next;

	if (node == head)
		return NULL;
	head->next = node->next;
	node->next->prev = head;
	queue_init(node); /* as the core gave it */
	return node;
}

static struct epc_request *request_of(struct epc_list *node)
{
	return (struct epc_request *)((char *)node - offsetof(struct epc_request, node));
}

/* Reserves the memory of the contents: address space now, pages when they are written to. */
static int sections_map(struct engine *engine)
{
	for (unsigned int i = 0; i < engine->nr_sections; i++) {
		struct epc_section_config *section = &engine->sections[i];
		size_t size = (size_t)section->nr_pages * EPC_PAGE_SIZE;
		void *bytes;

		if (section->nr_pages > SIZE_MAX / EPC_PAGE_SIZE)
			return -EINVAL;
		bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (bytes == MAP_FAILED)
			return -ENOMEM;
		section->bytes = bytes;
		/* Advice: nothing is wrong where it is not taken. */
		(void)madvise(bytes, size, MADV_HUGEPAGE);
		(void)madvise(bytes, size, MADV_DONTDUMP);
	}
	return 0;
}

static void sections_unmap(struct engine *engine)
{
	for (unsigned int i = 0; i < engine->nr_sections; i++)
		if (engine->sections[i].bytes)
			munmap(engine->sections[i].bytes,
			       (size_t)engine->sections[i].nr_pages * EPC_PAGE_SIZE);
}

static void locks_init(struct engine *engine)
{
	pthread_mutex_init(&engine->turn, NULL);
	pthread_mutex_init(&engine->lock, NULL);
	pthread_mutex_init(&engine->hold_lock, NULL);
	pthread_cond_init(&engine->unmaps_came, NULL);
	pthread_cond_init(&engine->step_is_due, NULL);
	pthread_cond_init(&engine->hold_changed, NULL);
}

static void locks_fini(struct engine *engine)
{
	pthread_cond_destroy(&engine->hold_changed);
	pthread_cond_destroy(&engine->step_is_due);
	pthread_cond_destroy(&engine->unmaps_came);
	pthread_mutex_destroy(&engine->hold_lock);
	pthread_mutex_destroy(&engine->lock);
	pthread_mutex_destroy(&engine->turn);
}

int engine_new(const struct epc_section_config *sections, unsigned int nr_sections,
	       const struct engine_swap *swap, const struct engine_ops *ops, void *context,
	       struct engine **engine)
{
	struct epc_config config = { .nr_sections = nr_sections };
	struct engine *new;
	int error;

	if (nr_sections > EPC_NR_SECTIONS_MAX)
		return -EINVAL;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->ops = ops;
	new->context = context;
	new->nr_sections = nr_sections;
	for (unsigned int i = 0; i < nr_sections; i++) {
		new->sections[i] = sections[i];
		new->sections[i].bytes = NULL;
	}
	unmap_queue_init(&new->unmaps);
	locks_init(new);
	error = pool_new(&new->pool);
	if (error)
		goto free_engine;
	error = sections_map(new);
	if (error)
		goto free_engine;
	error = -EIO;
	/* So few bytes come at once or not at all (getrandom(2)). */
	if (getrandom(config.seed, sizeof(config.seed), 0) != sizeof(config.seed))
		goto free_engine;
	config.sections = new->sections;
	if (swap) {
		config.nr_swap_slots = swap->nr_slots;
		config.swap = swap->ops;
	}
	config.allocator = pool_allocator(new->pool);
	error = epc_new(&config, &new->epc);
	if (error)
		goto free_engine;
	*engine = new;
	return 0;
free_engine:
	sections_unmap(new);
	pool_free(new->pool);
	locks_fini(new);
	free(new);
	return error;
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	epc_free(engine->epc);
	sections_unmap(engine);
	pool_free(engine->pool);
	locks_fini(engine);
	free(engine);
}

/* lock alone: for the engine's own queues, without a call of the core. */
static void lock_take(struct engine *engine)
{
	pthread_mutex_lock(&engine->turn);
	pthread_mutex_lock(&engine->lock);
	pthread_mutex_unlock(&engine->turn);
}

static void hold_begin(struct engine *engine)
{
	engine->locked_ns = clock_ns(CLOCK_MONOTONIC);
	engine->measures_cpu = false;
	epc_tick(engine->epc, engine->locked_ns);
}

static void hold_begin_cpu(struct engine *engine)
{
	engine->measures_cpu = true;
	engine->locked_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

struct epc *engine_lock(struct engine *engine)
{
	lock_take(engine);
	hold_begin(engine);
	return engine->epc;
}

struct epc *engine_lock_for_long(struct engine *engine)
{
	lock_take(engine);
	hold_begin(engine);
	hold_begin_cpu(engine);
	return engine->epc;
}

static void keep_longest(atomic_uint_fast64_t *longest, uint64_t ns)
{
	/* Written under the lock only; read by whoever reports. */
	if (ns > atomic_load_explicit(longest, memory_order_relaxed))
		atomic_store_explicit(longest, ns, memory_order_relaxed);
}

static void hold_measure(struct engine *engine)
{
	keep_longest(&engine->longest_hold_ns, clock_ns(CLOCK_MONOTONIC) - engine->locked_ns);
	if (engine->measures_cpu)
		keep_longest(&engine->longest_hold_cpu_ns,
			     clock_ns(CLOCK_THREAD_CPUTIME_ID) - engine->locked_cpu_ns);
}

static void unmap_queue(struct engine *engine, struct epc_unmap *unmap)
{
	unmap_queue_add(&engine->unmaps, unmap);
	if (engine->unmaps.nr_waiting > engine->nr_looking)
		pthread_cond_signal(&engine->unmaps_came);
}

/* Takes all effects of the last call: performs or queues what is quick, the replies wait. */
static void effects_take(struct engine *engine, struct epc_list *replies)
{
	struct epc_effect effect;

	for (uint64_t i = 0; i < NR_EFFECTS_MAX && epc_effect_next(engine->epc, &effect); i++) {
		switch (effect.kind) {
		case EPC_EFFECT_RECORD:
			engine->ops->record(engine->context, &effect.record);
			break;
		case EPC_EFFECT_UNMAP:
			unmap_queue(engine, effect.unmap);
			break;
		case EPC_EFFECT_REPLY:
			queue_add(replies, &effect.reply->node);
			break;
		case EPC_EFFECT_GONE:
			engine->ops->gone(engine->context, effect.gone_cookie);
			break;
		}
	}
}

/*
 * The core does not say whether a call left work. A short one is asked by one step, usually there
 * is nothing; after a long one the stepper looks.
 */
static void step_or_wake(struct engine *engine, struct epc_list *replies)
{
	if (engine->is_stepping)
		return;
	engine->is_stepping = engine->measures_cpu || epc_step(engine->epc);
	effects_take(engine, replies);
	if (engine->is_stepping)
		pthread_cond_signal(&engine->step_is_due);
}

/*
 * Lets the lock go, then answers. What was answered is told to the core under the lock again, which
 * may bring further answers: a loop, where calls of each other could nest without bound.
 */
static void effects_perform(struct engine *engine, struct epc_list *replies)
{
	struct epc_list sent;
	struct epc_list *node;

	do {
		hold_measure(engine);
		pthread_mutex_unlock(&engine->lock);
		queue_init(&sent);
		while ((node = queue_take(replies)))
			if (engine->ops->reply(engine->context, request_of(node)))
				queue_add(&sent, node);
		if (sent.next == &sent)
			return;
		engine_lock(engine);
		while ((node = queue_take(&sent))) {
			engine->ops->replied(engine->context, engine->epc, request_of(node));
			effects_take(engine, replies);
		}
		step_or_wake(engine, replies);
	} while (true);
}

void engine_unlock(struct engine *engine)
{
	struct epc_list replies;

	queue_init(&replies);
	effects_take(engine, &replies);
	step_or_wake(engine, &replies);
	effects_perform(engine, &replies);
}

static void *stepper_main(void *argument)
{
	struct engine *engine = argument;
	struct epc_list replies;
	bool is_stopping;

	do {
		queue_init(&replies);
		lock_take(engine);
		while (!engine->is_stepping && !engine->is_stopping)
			pthread_cond_wait(&engine->step_is_due, &engine->lock);
		is_stopping = engine->is_stopping;
		hold_begin(engine);
		hold_begin_cpu(engine);
		if (!is_stopping) {
			engine->is_stepping = epc_step(engine->epc);
			effects_take(engine, &replies);
		}
		effects_perform(engine, &replies);
	} while (!is_stopping);
	return NULL;
}

static void hold_wait(struct engine *engine)
{
	pthread_mutex_lock(&engine->hold_lock);
	while (engine->is_held && !engine->is_hold_over)
		pthread_cond_wait(&engine->hold_changed, &engine->hold_lock);
	pthread_mutex_unlock(&engine->hold_lock);
}

/* The next unmapping to perform, or NULL: it is time to stop. */
static struct epc_unmap *unmap_wait(struct engine *engine, bool is_looking)
{
	struct epc_unmap *unmap = NULL;

	lock_take(engine);
	engine->nr_looking -= is_looking;
	while (!engine->is_stopping && !(unmap = unmap_queue_take(&engine->unmaps)))
		pthread_cond_wait(&engine->unmaps_came, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
	return unmap;
}

/*
 * Tells the core, and takes the step that comes next if the stepper is not at it: a reset goes on
 * from piece to piece on one thread. To wake the stepper and to be woken by it again took longer
 * than the unmapping. Returns whether the caller is counted as looking for an unmapping.
 */
static bool unmap_done(struct engine *engine, struct epc_unmap *unmap)
{
	struct epc_list replies;
	struct epc *epc;
	bool steps;

	queue_init(&replies);
	epc = engine_lock_for_long(engine);
	unmap_queue_done(&engine->unmaps, unmap);
	epc_unmapped(epc, unmap);
	effects_take(engine, &replies);
	steps = !engine->is_stepping;
	engine->is_stepping = true;
	effects_perform(engine, &replies);
	if (!steps)
		return false;

	engine_lock_for_long(engine);
	engine->nr_looking++;
	engine->is_stepping = epc_step(engine->epc);
	effects_take(engine, &replies);
	if (engine->is_stepping)
		pthread_cond_signal(&engine->step_is_due);
	effects_perform(engine, &replies);
	return true;
}

static void *unmapper_main(void *argument)
{
	struct engine *engine = argument;
	struct epc_unmap *unmap;
	bool is_looking = false;

	while ((unmap = unmap_wait(engine, is_looking))) {
		hold_wait(engine);
		engine->ops->unmap(engine->context, unmap);
		is_looking = unmap_done(engine, unmap);
	}
	return NULL;
}

int engine_start(struct engine *engine)
{
	if (pthread_create(&engine->stepper, NULL, stepper_main, engine) != 0)
		return -EAGAIN;
	engine->has_stepper = true;
	for (unsigned int i = 0; i < NR_UNMAPPERS; i++) {
		if (pthread_create(&engine->unmappers[i], NULL, unmapper_main, engine) != 0) {
			engine_stop(engine);
			return -EAGAIN;
		}
		engine->nr_unmappers++;
	}
	return 0;
}

void engine_stop(struct engine *engine)
{
	pthread_mutex_lock(&engine->hold_lock);
	engine->is_hold_over = true;
	pthread_cond_broadcast(&engine->hold_changed);
	pthread_mutex_unlock(&engine->hold_lock);

	lock_take(engine);
	engine->is_stopping = true;
	pthread_cond_broadcast(&engine->unmaps_came);
	pthread_cond_broadcast(&engine->step_is_due);
	pthread_mutex_unlock(&engine->lock);

	for (; engine->nr_unmappers; engine->nr_unmappers--)
		pthread_join(engine->unmappers[engine->nr_unmappers - 1], NULL);
	if (engine->has_stepper)
		pthread_join(engine->stepper, NULL);
	engine->has_stepper = false;
}

uint64_t engine_longest_hold_ns(struct engine *engine)
{
	return atomic_load_explicit(&engine->longest_hold_ns, memory_order_relaxed);
}

uint64_t engine_longest_hold_cpu_ns(struct engine *engine)
{
	return atomic_load_explicit(&engine->longest_hold_cpu_ns, memory_order_relaxed);
}

void engine_hold_unmaps(struct engine *engine, bool is_held)
{
	pthread_mutex_lock(&engine->hold_lock);
	engine->is_held = is_held;
	pthread_cond_broadcast(&engine->hold_changed);
	pthread_mutex_unlock(&engine->hold_lock);
}

bool engine_unmaps_held(struct engine *engine)
{
	bool is_held;

	pthread_mutex_lock(&engine->hold_lock);
	is_held = engine->is_held;
	pthread_mutex_unlock(&engine->hold_lock);
	return is_held;
}
