/* SPDX-License-Identifier: MIT */
/*
 * The sweep: goes round the entries of the mirror, a bounded number a second, marks those whose
 * directory is gone and frees those that nothing needs.
 */
#include "front/mirror_internal.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

/* Picks the next entries of the ring, each with a reference. */
static size_t sweep_pick(struct mirror *mirror)
{
	size_t nr_picked = 0;

	pthread_mutex_lock(&mirror->lock);
	while (nr_picked < MIRROR_NR_SWEPT && nr_picked < mirror->nr_entries) {
		mirror->swept[nr_picked++] = mirror_entry_get(mirror->hand);
		mirror->hand = mirror->hand->next;
	}
	pthread_mutex_unlock(&mirror->lock);
	return nr_picked;
}

/* Looks at the real directory: is it still that one, and does it still pay for itself? */
static void sweep_look(struct mirror *mirror, struct mirror_entry *entry)
{
	struct stat attr;
	int fd;

	if (mirror_is_removed(&entry->shown) || !entry->shown.path[0])
		return;
	fd = mirror_open(mirror, entry->shown.path);
	if (fd == -ENOENT || (fd >= 0 && (fstat(fd, &attr) != 0 || attr.st_ino != entry->shown.id)))
		__atomic_store_n(&entry->shown.is_removed, 1, __ATOMIC_RELAXED);
	else if (fd >= 0 && entry->payer == entry && mirror_is_threaded(fd)) {
		pthread_mutex_lock(&mirror->lock);
		entry->payer = entry->parent->payer;
		pthread_mutex_unlock(&mirror->lock);
	}
	if (fd >= 0)
		close(fd);
}

/* Whether the core lets go of the entry's cgroup, if it has one and nothing must be remembered. */
static bool sweep_unbind(struct mirror *mirror, struct mirror_entry *entry)
{
	struct epc_cgroup_report report;
	struct epc *epc;
	bool is_free;

	if (!entry->shown.cgroup)
		return true;
	epc = engine_lock(mirror->engine);
	epc_cgroup_report(entry->shown.cgroup, &report);
	is_free = (mirror_is_removed(&entry->shown) ||
		   (report.max_bytes == EPC_MAX_UNLIMITED && report.peak_bytes == 0 &&
		    report.nr_refused == 0)) &&
		  epc_cgroup_free(epc, entry->shown.cgroup) == 0;
	engine_unlock(mirror->engine);
	return is_free;
}

static void sweep_drop(struct mirror *mirror, struct mirror_entry *entry)
{
	bool is_idle, was_used;

	pthread_mutex_lock(&mirror->lock);
	mirror_entry_put(entry);
	was_used = __atomic_exchange_n(&entry->was_used, 0, __ATOMIC_RELAXED) != 0;
	is_idle = entry != mirror->root && !was_used && !mirror_entry_is_referenced(entry) &&
		  sweep_unbind(mirror, entry);
	if (is_idle) {
		mirror_table_remove(mirror, entry);
		mirror_entry_put(entry->parent);
	}
	pthread_mutex_unlock(&mirror->lock);
	if (is_idle)
		mirror_entry_free(entry);
}

void mirror_sweep(struct mirror *mirror)
{
	size_t nr_picked;

	if (mirror->root_fd < 0)
		return;
	pthread_mutex_lock(&mirror->sweep_lock);
	nr_picked = sweep_pick(mirror);
	for (size_t i = 0; i < nr_picked; i++)
		if (mirror->swept[i] != mirror->root)
			sweep_look(mirror, mirror->swept[i]);
	for (size_t i = nr_picked; i-- > 0;) /* children came after their parents */
		sweep_drop(mirror, mirror->swept[i]);
	pthread_mutex_unlock(&mirror->sweep_lock);
}

static void *sweep_thread(void *argument)
{
	struct mirror *mirror = argument;
	struct timespec next;

	pthread_mutex_lock(&mirror->thread_lock);
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!mirror->stops) {
		next.tv_sec += (time_t)(MIRROR_SWEEP_NS / 1000000000);
		while (!mirror->stops && pthread_cond_timedwait(&mirror->thread_wake,
								&mirror->thread_lock, &next) == 0)
			continue;
		if (mirror->stops)
			break;
		pthread_mutex_unlock(&mirror->thread_lock);
		mirror_sweep(mirror);
		pthread_mutex_lock(&mirror->thread_lock);
		clock_gettime(CLOCK_MONOTONIC, &next);
	}
	pthread_mutex_unlock(&mirror->thread_lock);
	return NULL;
}

int mirror_start(struct mirror *mirror)
{
	int error = pthread_create(&mirror->thread, NULL, sweep_thread, mirror);

	mirror->is_started = !error;
	return -error;
}

void mirror_stop(struct mirror *mirror)
{
	if (!mirror->is_started)
		return;
	pthread_mutex_lock(&mirror->thread_lock);
	mirror->stops = true;
	pthread_cond_signal(&mirror->thread_wake);
	pthread_mutex_unlock(&mirror->thread_lock);
	pthread_join(mirror->thread, NULL);
	mirror->is_started = false;
}
