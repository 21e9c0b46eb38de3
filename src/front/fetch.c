/* SPDX-License-Identifier: MIT */
/* The threads that read clients' memory; see fetch.h. */
#include "front/fetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>

struct fetcher {
	struct fetch_pool *pool;
	/* under the pool's lock */
	struct fetch_job *job; /* that it runs; NULL: none, or it was given up */
	bool is_running;       /* a job, given up or not: then */
	bool is_reading;       /* between fetch_begin() and fetch_end() */
	pid_t process;
	uid_t uid;
	struct fetch_job *waiting; /* those that its end lets go on, the first of a ring */
	struct fetcher *next;
	/* its thread's own */
	_Alignas(8) char buffer[FETCH_BYTES_MAX];
};

struct fetch_pool {
	pthread_mutex_t lock;
	pthread_cond_t came;	 /* jobs, or the end */
	pthread_cond_t stopped;	 /* a fetcher runs no more, or hangs */
	struct fetch_job *queue; /* the first of a ring */
	unsigned int nr_queued, nr_idle;
	struct fetcher *fetchers;
	unsigned int nr_fetchers; /* with the owner while it is not ending: the last one frees */
	bool is_ending;
};

static void ring_add(struct fetch_job **first, struct fetch_job *job)
{
	if (!*first) {
		*first = job->next = job->prev = job;
		return;
	}
	job->next = *first;
	job->prev = (*first)->prev;
	job->prev->next = job;
	(*first)->prev = job;
}

static void ring_remove(struct fetch_job **first, struct fetch_job *job)
{
	if (*first == job)
		*first = job->next == job ? NULL : job->next;
	job->next->prev = job->prev;
	job->prev->next = job->next;
	job->next = job->prev = NULL;
}

static void queue_add(struct fetch_pool *pool, struct fetch_job *job)
{
	ring_add(&pool->queue, job);
	pool->nr_queued++;
}

/* The first of those that waited goes on, the others follow it. */
static void waiting_go_on(struct fetch_pool *pool, struct fetch_job **waiting)
{
	struct fetch_job *job = *waiting;

	if (!job)
		return;
	ring_remove(waiting, job);
	job->followers = *waiting;
	*waiting = NULL;
	queue_add(pool, job);
}

/* Whom the job has to wait for, or NULL. */
static struct fetcher *blocker_of(const struct fetch_pool *pool, const struct fetch_job *job)
{
	unsigned int nr_of_user = 0;

	for (struct fetcher *fetcher = pool->fetchers; fetcher; fetcher = fetcher->next) {
		if (!fetcher->is_running)
			continue;
		nr_of_user += fetcher->uid == job->uid;
		if (fetcher->process == job->process || nr_of_user == FETCH_NR_OF_USER_MAX)
			return fetcher;
	}
	return NULL;
}

/* The first job that can be run now; those in front of it wait elsewhere from now on. */
static struct fetch_job *job_take(struct fetch_pool *pool)
{
	struct fetch_job *job, *follower;
	struct fetcher *blocker;

	while ((job = pool->queue)) {
		ring_remove(&pool->queue, job);
		pool->nr_queued--;
		blocker = blocker_of(pool, job);
		if (!blocker)
			return job;
		ring_add(&blocker->waiting, job);
		while ((follower = job->followers)) {
			ring_remove(&job->followers, follower);
			ring_add(&blocker->waiting, follower);
		}
	}
	return NULL;
}

static void fetcher_run(struct fetcher *fetcher, struct fetch_job *job)
{
	struct fetch_pool *pool = fetcher->pool;

	fetcher->job = job;
	fetcher->is_running = true;
	fetcher->process = job->process;
	fetcher->uid = job->uid;
	fetcher->waiting = job->followers;
	job->followers = NULL;
	pthread_mutex_unlock(&pool->lock);
	job->run(job, fetcher);
	pthread_mutex_lock(&pool->lock);
	fetcher->job = NULL;
	fetcher->is_running = false;
	waiting_go_on(pool, &fetcher->waiting);
	if (pool->is_ending)
		pthread_cond_signal(&pool->stopped);
}

/* With the lock, which it lets go. */
static void pool_put(struct fetch_pool *pool)
{
	bool is_last = --pool->nr_fetchers == 0;

	pthread_mutex_unlock(&pool->lock);
	if (!is_last)
		return;
	pthread_cond_destroy(&pool->stopped);
	pthread_cond_destroy(&pool->came);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void *fetcher_main(void *argument)
{
	struct fetcher *fetcher = argument;
	struct fetch_pool *pool = fetcher->pool;
	struct fetcher **link = &pool->fetchers;
	struct fetch_job *job;

	pthread_mutex_lock(&pool->lock);
	while (!pool->is_ending) {
		job = job_take(pool);
		if (job) {
			fetcher_run(fetcher, job);
			continue;
		}
		if (pool->nr_idle == FETCH_NR_THREADS)
			break;
		pool->nr_idle++;
		pthread_cond_wait(&pool->came, &pool->lock);
		pool->nr_idle--;
	}
	while (*link != fetcher)
		link = &(*link)->next;
	*link = fetcher->next;
	free(fetcher);
	pool_put(pool);
	return NULL;
}

/* With the lock. */
static int fetcher_start(struct fetch_pool *pool)
{
	struct fetcher *new = calloc(1, sizeof(*new));
	pthread_t thread;

	if (!new)
		return -ENOMEM;
	new->pool = pool;
	if (pthread_create(&thread, NULL, fetcher_main, new) != 0) {
		free(new);
		return -EAGAIN;
	}
	pthread_detach(thread);
	new->next = pool->fetchers;
	pool->fetchers = new;
	pool->nr_fetchers++;
	return 0;
}

int fetch_pool_new(struct fetch_pool **pool)
{
	struct fetch_pool *new = calloc(1, sizeof(*new));
	int error = 0;

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->lock, NULL);
	pthread_cond_init(&new->came, NULL);
	pthread_cond_init(&new->stopped, NULL);
	new->nr_fetchers = 1;
	pthread_mutex_lock(&new->lock);
	for (unsigned int i = 0; i < FETCH_NR_THREADS && !error; i++)
		error = fetcher_start(new);
	pthread_mutex_unlock(&new->lock);
	if (error)
		fetch_pool_free(new);
	else
		*pool = new;
	return error;
}

/* Gives up what hangs. Whether a job is running that will end by itself. */
static bool is_running(struct fetch_pool *pool)
{
	bool is = false;

	for (struct fetcher *fetcher = pool->fetchers; fetcher; fetcher = fetcher->next) {
		if (fetcher->is_reading)
			fetcher->job = NULL;
		is |= fetcher->is_running && !fetcher->is_reading;
		fetcher->waiting = NULL;
	}
	return is;
}

void fetch_pool_free(struct fetch_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_ending = true;
	pool->queue = NULL;
	pthread_cond_broadcast(&pool->came);
	while (is_running(pool))
		pthread_cond_wait(&pool->stopped, &pool->lock);
	pool_put(pool);
}

void fetch_submit(struct fetch_pool *pool, struct fetch_job *job)
{
	job->followers = NULL;
	pthread_mutex_lock(&pool->lock);
	if (!pool->is_ending) {
		queue_add(pool, job);
		/* One more than there are does no harm: it waits for one of them. */
		if (pool->nr_queued > pool->nr_idle && pool->nr_fetchers <= FETCH_NR_THREADS_MAX)
			(void)fetcher_start(pool);
		pthread_cond_signal(&pool->came);
	}
	pthread_mutex_unlock(&pool->lock);
}

/* Takes it out of a ring that it may be in. */
static bool ring_take(struct fetch_job **first, const struct fetch_job *job)
{
	struct fetch_job *each = *first;

	while (each && each != job)
		each = each->next == *first ? NULL : each->next;
	if (each)
		ring_remove(first, each);
	return each != NULL;
}

bool fetch_cancel(struct fetch_pool *pool, struct fetch_job *job)
{
	bool is_ours = false;

	pthread_mutex_lock(&pool->lock);
	if (ring_take(&pool->queue, job)) {
		pool->nr_queued--;
		waiting_go_on(pool, &job->followers);
		is_ours = true;
	}
	for (struct fetch_job *each = pool->queue; each && !is_ours;
	     each = each->next == pool->queue ? NULL : each->next)
		is_ours = ring_take(&each->followers, job);
	for (struct fetcher *fetcher = pool->fetchers; fetcher && !is_ours;
	     fetcher = fetcher->next) {
		is_ours = ring_take(&fetcher->waiting, job);
		if (fetcher->job == job && fetcher->is_reading) {
			fetcher->job = NULL;
			is_ours = true;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return is_ours;
}

bool fetch_begin(struct fetcher *fetcher)
{
	struct fetch_pool *pool = fetcher->pool;
	bool is_ours;

	pthread_mutex_lock(&pool->lock);
	is_ours = !pool->is_ending;
	fetcher->is_reading = is_ours;
	pthread_mutex_unlock(&pool->lock);
	return is_ours;
}

bool fetch_end(struct fetcher *fetcher)
{
	struct fetch_pool *pool = fetcher->pool;
	bool is_ours;

	pthread_mutex_lock(&pool->lock);
	fetcher->is_reading = false;
	is_ours = fetcher->job != NULL;
	pthread_mutex_unlock(&pool->lock);
	return is_ours;
}

/* May hang. All of it or -EFAULT. */
static int memory_read(pid_t tid, uint64_t address, size_t size, void *bytes)
{
	struct iovec local = { .iov_base = bytes, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = size };

	if (tid <= 0 || process_vm_readv(tid, &local, 1, &remote, 1, 0) != (ssize_t)size)
		return -EFAULT;
	return 0;
}

int fetch_memory(struct fetcher *fetcher, pid_t tid, uint64_t address, size_t size,
		 struct fetch_mapping *mapping, const void **bytes)
{
	struct fetch_mapping found = { 0 };
	int error = 0;

	if (mapping)
		found = *mapping;
	if (!fetch_begin(fetcher))
		return -ECANCELED;
	if (mapping && (address < found.start || address >= found.end))
		error = fetch_mapping_find(tid, address, &found);
	if (!error)
		error = memory_read(tid, address, size, fetcher->buffer);
	if (!fetch_end(fetcher))
		return -ECANCELED;
	if (mapping)
		*mapping = found;
	*bytes = fetcher->buffer;
	return error;
}
