/* SPDX-License-Identifier: MIT */
/* Instances of virtual EPC: their table, open and close, and what is told of them; see vepc.h. */
#include "front/vepc_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/text.h"
#include "front/describe.h"
#include "front/journal.h"
#include "front/requester.h"

#define NR_SHOWN_MIN 64u

static struct vepc_instance *instance_of(struct vepc *vepc)
{
	return (struct vepc_instance *)vepc;
}

int vepc_table_new(struct daemon *daemon, int wake_fd, struct vepc_table **table)
{
	struct vepc_table *new = calloc(1, sizeof(*new));
	int error;

	if (!new)
		return -ENOMEM;
	new->daemon = daemon;
	new->instances.next = new->instances.prev = &new->instances;
	new->requests.next = new->requests.prev = &new->requests;
	error = parked_table_new(wake_fd, &new->parked);
	if (error)
		goto free_table;
	new->zeros =
		mmap(NULL, VEPC_CLUSTER_BYTES_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (new->zeros == MAP_FAILED) {
		error = -ENOMEM;
		goto free_parked;
	}
	*table = new;
	return 0;
free_parked:
	parked_table_free(new->parked);
free_table:
	free(new);
	return error;
}

void vepc_table_stop(struct vepc_table *table)
{
	for (struct vepc_request *request = table->requests.next; request != &table->requests;
	     request = request->next)
		vepc_request_abandon(table->daemon, request);
	for (struct vepc_instance *instance = table->instances.next; instance != &table->instances;
	     instance = instance->next)
		if (instance->opener) {
			mirror_put(table->daemon->mirror, instance->opener);
			instance->opener = NULL;
		}
}

/* Where the first one with an id above after_id stands; nr_shown: there is none. */
static size_t shown_find(const struct vepc_table *table, uint64_t after_id)
{
	size_t first = 0, end = table->nr_shown;

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (table->shown[middle]->vepc.id > after_id)
			end = middle;
		else
			first = middle + 1;
	}
	return first;
}

/* Room for one instance more, so that it can be shown once it has a page. */
static int shown_reserve(struct vepc_table *table)
{
	size_t nr_max = table->nr_shown_max ? 2 * table->nr_shown_max : NR_SHOWN_MIN;
	struct vepc_instance **shown;

	if (table->nr_instances < table->nr_shown_max)
		return 0;
	shown = reallocarray(table->shown, nr_max, sizeof(*shown));
	if (!shown)
		return -ENOMEM;
	table->shown = shown;
	table->nr_shown_max = nr_max;
	return 0;
}

static void shown_remove(struct vepc_table *table, const struct vepc_instance *instance)
{
	size_t at = shown_find(table, instance->vepc.id - 1);

	memmove(&table->shown[at], &table->shown[at + 1],
		(--table->nr_shown - at) * sizeof(table->shown[0]));
}

static void instance_free(struct vepc_table *table, struct vepc_instance *instance)
{
	instance->next->prev = instance->prev;
	instance->prev->next = instance->next;
	table->nr_instances--;
	if (instance->vepc.id)
		shown_remove(table, instance);
	vepc_vm_put(instance);
	free(instance->vepc.cmdline);
	free(instance->vepc.cgroup_path);
	free(instance);
}

void vepc_table_free(struct vepc_table *table)
{
	if (!table)
		return;
	while (table->requests.next != &table->requests)
		vepc_request_free(table->requests.next);
	while (table->instances.next != &table->instances)
		instance_free(table, table->instances.next);
	free(table->shown);
	munmap(table->zeros, VEPC_CLUSTER_BYTES_MAX);
	parked_table_free(table->parked);
	free(table);
}

static void instance_describe(struct vepc_instance *instance, const struct fuse_ctx *task)
{
	struct vepc *vepc = &instance->vepc;
	struct requester requester;

	requester_read(task->pid, &requester);
	vepc->pid = requester.pid;
	vepc->start_time = requester.start_time;
	vepc->uid = task->uid;
	_Static_assert(sizeof(vepc->command) >= sizeof(requester.command), "fits");
	memcpy(vepc->command, requester.command, sizeof(requester.command));
}

/* Under the engine's lock. On failure there is nothing to undo but what new has of its own. */
static int instance_add(struct vepc_table *table, struct epc *epc, struct vepc_instance *new)
{
	struct vepc_instance *sibling;
	int error;

	new->vepc.cgroup_path = text_escape_string_new(new->opener->path);
	if (!new->vepc.cgroup_path || shown_reserve(table) != 0 || !vepc_vm_join(table, new))
		return -ENOMEM;
	sibling = vepc_vm_sibling(new);
	error = epc_open(epc, new->opener->cgroup, sibling ? sibling->vepc.instance : NULL,
			 &new->vepc, &new->vepc.instance);
	if (error) {
		vepc_vm_leave(table, new);
		vepc_vm_put(new);
		return error;
	}
	new->prev = table->instances.prev;
	new->next = &table->instances;
	new->prev->next = new;
	table->instances.prev = new;
	table->nr_instances++;
	return 0;
}

int vepc_open(struct daemon *daemon, fuse_req_t req, fuse_ino_t ino, struct vepc **vepc)
{
	const struct fuse_ctx *task = fuse_req_ctx(req);
	struct vepc_instance *new = calloc(1, sizeof(*new));
	struct timespec now;
	int error;

	if (!new)
		return -ENOMEM;
	new->ino = ino;
	instance_describe(new, task);
	new->opener = mirror_of_task(daemon->mirror, task->pid);
	if (!new->opener)
		new->opener = mirror_root(daemon->mirror);
	clock_gettime(CLOCK_MONOTONIC, &now);
	new->vepc.opened_ns = (uint64_t)now.tv_sec *UINT64_C(1000000000) + (uint64_t)now.tv_nsec;

	error = instance_add(daemon->vepcs, engine_lock(daemon->engine), new);
	engine_unlock(daemon->engine);
	if (error) {
		mirror_put(daemon->mirror, new->opener);
		free(new->vepc.cgroup_path);
		free(new);
		return error;
	}
	*vepc = &new->vepc;
	return 0;
}

void vepc_release(struct daemon *daemon, struct vepc *vepc)
{
	struct vepc_instance *instance = instance_of(vepc);
	struct epc *epc = engine_lock_for_long(daemon->engine);
	struct mirror_cgroup *opener = instance->opener;

	instance->opener = NULL;
	instance->is_released = true;
	vepc_vm_leave(daemon->vepcs, instance);
	/* Else vepc_replied() does it: the kernel closes when the last answer is there. */
	if (!instance->nr_undelivered)
		epc_release(epc, vepc->instance);
	engine_unlock(daemon->engine);
	mirror_put(daemon->mirror, opener);
}

void vepc_gone(void *context, void *instance_cookie)
{
	struct daemon *daemon = context;

	instance_free(daemon->vepcs, instance_of(instance_cookie));
}

void vepc_started(struct daemon *daemon, const struct epc_record *record)
{
	struct vepc_table *table = daemon->vepcs;
	struct vepc_instance *instance = instance_of(record->instance_cookie);

	/* The core numbers them as they start. */
	instance->vepc.id = record->instance_id;
	table->shown[table->nr_shown++] = instance;
	describer_ask(daemon->describer, &instance->vepc);
}

/* Told in the words of the ABI: a path that does not fit ends with dots. */
static void refuser_copy(struct epc_vepc_refusal *refusal, const char *path)
{
	int size = snprintf(refusal->cgroup, sizeof(refusal->cgroup), "%s", path);

	if (size >= (int)sizeof(refusal->cgroup))
		memcpy(refusal->cgroup + sizeof(refusal->cgroup) - sizeof("..."), "...",
		       sizeof("..."));
}

void vepc_refused(const struct epc_record *record)
{
	struct vepc_instance *instance = instance_of(record->instance_cookie);
	const struct mirror_cgroup *refuser = record->refuser_cookie;
	struct epc_vepc_refusal told = {
		.nr_refusals = instance->refusal.nr_refusals + 1,
		.offset = record->index * EPC_PAGE_SIZE,
		.limit_bytes = record->limit_bytes,
		.usage_bytes = record->usage_bytes,
		.wanted_bytes = record->wanted_bytes,
		.reason = EPC_REFUSED_BY_CGROUP,
	};

	if (record->is_own_limit)
		told.reason = EPC_REFUSED_BY_INSTANCE;
	else if (strcmp(refuser->path, "/") == 0)
		told.reason = EPC_REFUSED_BY_CAPACITY;
	if (!record->is_own_limit)
		refuser_copy(&told, refuser->path);
	instance->refusal = told;
}

struct vepc *device_vepc_next(struct daemon *daemon, uint64_t after_id)
{
	const struct vepc_table *table = daemon->vepcs;
	size_t at = shown_find(table, after_id);

	return at < table->nr_shown ? &table->shown[at]->vepc : NULL;
}

struct vepc_instance *vepc_find(const struct vepc_table *table, uint64_t id)
{
	size_t at = id ? shown_find(table, id - 1) : table->nr_shown;

	return at < table->nr_shown && table->shown[at]->vepc.id == id ? table->shown[at] : NULL;
}

int vepc_max(struct daemon *daemon, uint64_t id, uint64_t *max_bytes)
{
	const struct vepc_instance *instance;
	struct epc_instance_report report;

	engine_lock(daemon->engine);
	instance = vepc_find(daemon->vepcs, id);
	if (instance)
		epc_instance_report(instance->vepc.instance, &report);
	engine_unlock(daemon->engine);
	if (!instance)
		return -ENOENT;
	*max_bytes = report.max_bytes;
	return 0;
}

int vepc_set_max(struct daemon *daemon, uint64_t id, uint64_t max_bytes)
{
	struct epc *epc = engine_lock(daemon->engine);
	struct vepc_instance *instance = vepc_find(daemon->vepcs, id);

	if (instance)
		vepc_set_max_locked(daemon, epc, &instance->vepc, max_bytes);
	engine_unlock(daemon->engine);
	return instance ? 0 : -ENOENT;
}

char *vepc_describe(struct daemon *daemon, uint64_t id, char *cmdline)
{
	struct vepc_instance *instance;

	engine_lock(daemon->engine);
	instance = vepc_find(daemon->vepcs, id);
	if (instance && !instance->vepc.cmdline) {
		instance->vepc.cmdline = cmdline;
		cmdline = NULL;
	}
	engine_unlock(daemon->engine);
	return cmdline;
}
