/* SPDX-License-Identifier: MIT */
/* Instances: their table, open and close, and what is told of them; see instance.h. */
#include "front/instance_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/text.h"
#include "front/describe.h"
#include "front/enclave.h"
#include "front/journal.h"
#include "front/requester.h"

#define NR_SHOWN_MIN 64u

int instance_table_new(struct daemon *daemon, int wake_fd, struct instance_table **table)
{
	struct instance_table *new = calloc(1, sizeof(*new));
	int error;

	if (!new)
		return -ENOMEM;
	new->daemon = daemon;
	new->instances.next = new->instances.prev = &new->instances;
	new->requests.next = new->requests.prev = &new->requests;
	error = parked_table_new(wake_fd, &new->parked);
	if (error)
		goto free_table;
	new->zeros = mmap(NULL, INSTANCE_CLUSTER_BYTES_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
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

void instance_table_stop(struct instance_table *table)
{
	for (struct instance_request *request = table->requests.next; request != &table->requests;
	     request = request->next)
		instance_request_abandon(table->daemon, request);
	for (struct instance *instance = table->instances.next; instance != &table->instances;
	     instance = instance->next)
		if (instance->opener) {
			mirror_put(table->daemon->mirror, instance->opener);
			instance->opener = NULL;
		}
}

/* Where the first one with an id above after_id stands; nr_shown: there is none. */
static size_t shown_find(const struct instance_table *table, uint64_t after_id)
{
	size_t first = 0, end = table->nr_shown;

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (table->shown[middle]->id > after_id)
			end = middle;
		else
			first = middle + 1;
	}
	return first;
}

/* Room for one instance more, so that it can be shown once it has a page. */
static int shown_reserve(struct instance_table *table)
{
	size_t nr_max = table->nr_shown_max ? 2 * table->nr_shown_max : NR_SHOWN_MIN;
	struct instance **shown;

	if (table->nr_instances < table->nr_shown_max)
		return 0;
	shown = reallocarray(table->shown, nr_max, sizeof(*shown));
	if (!shown)
		return -ENOMEM;
	table->shown = shown;
	table->nr_shown_max = nr_max;
	return 0;
}

static void shown_remove(struct instance_table *table, const struct instance *instance)
{
	size_t at = shown_find(table, instance->id - 1);

	memmove(&table->shown[at], &table->shown[at + 1],
		(--table->nr_shown - at) * sizeof(table->shown[0]));
}

static void instance_free(struct instance_table *table, struct instance *instance)
{
	instance->next->prev = instance->prev;
	instance->prev->next = instance->next;
	table->nr_instances--;
	if (instance->id)
		shown_remove(table, instance);
	instance_vm_put(instance);
	enclave_free(instance->enclave);
	free(instance->cmdline);
	free(instance->cgroup_path);
	free(instance);
}

void instance_table_free(struct instance_table *table)
{
	if (!table)
		return;
	while (table->requests.next != &table->requests)
		instance_request_free(table->requests.next);
	while (table->instances.next != &table->instances)
		instance_free(table, table->instances.next);
	free(table->shown);
	munmap(table->zeros, INSTANCE_CLUSTER_BYTES_MAX);
	parked_table_free(table->parked);
	free(table);
}

static void opener_describe(struct instance *instance, const struct fuse_ctx *task)
{
	struct requester requester;

	requester_read(task->pid, &requester);
	instance->pid = requester.pid;
	instance->start_time = requester.start_time;
	instance->uid = task->uid;
	_Static_assert(sizeof(instance->command) >= sizeof(requester.command), "fits");
	memcpy(instance->command, requester.command, sizeof(requester.command));
}

/* Under the engine's lock. On failure there is nothing to undo but what new has of its own. */
static int instance_add(struct instance_table *table, struct epc *epc, struct instance *new)
{
	struct instance *sibling;
	int error;

	new->cgroup_path = text_escape_string_new(new->opener->path);
	if (!new->cgroup_path || shown_reserve(table) != 0 || !instance_vm_join(table, new))
		return -ENOMEM;
	sibling = instance_vm_sibling(new);
	if (new->enclave)
		error = epc_open_enclave(epc, new->opener->cgroup, new, &new->core);
	else
		error = epc_open(epc, new->opener->cgroup, sibling ? sibling->core : NULL, new,
				 &new->core);
	if (error) {
		instance_vm_leave(table, new);
		instance_vm_put(new);
		return error;
	}
	new->prev = table->instances.prev;
	new->next = &table->instances;
	new->prev->next = new;
	table->instances.prev = new;
	table->nr_instances++;
	return 0;
}

int instance_open(struct daemon *daemon, fuse_req_t req, fuse_ino_t ino, enum instance_kind kind,
		  struct instance **instance)
{
	const struct fuse_ctx *task = fuse_req_ctx(req);
	struct instance *new = calloc(1, sizeof(*new));
	struct timespec now;
	int error = -ENOMEM;

	if (!new)
		return -ENOMEM;
	if (kind == INSTANCE_ENCLAVE) {
		new->enclave = enclave_new();
		if (!new->enclave)
			goto free_instance;
	}
	new->ino = ino;
	opener_describe(new, task);
	new->opener = mirror_of_task(daemon->mirror, task->pid);
	if (!new->opener)
		new->opener = mirror_root(daemon->mirror);
	clock_gettime(CLOCK_MONOTONIC, &now);
	new->opened_ns = (uint64_t)now.tv_sec *UINT64_C(1000000000) + (uint64_t)now.tv_nsec;

	error = instance_add(daemon->instances, engine_lock(daemon->engine), new);
	engine_unlock(daemon->engine);
	if (error)
		goto put_opener;
	*instance = new;
	return 0;
put_opener:
	mirror_put(daemon->mirror, new->opener);
	free(new->cgroup_path);
	enclave_free(new->enclave);
free_instance:
	free(new);
	return error;
}

void instance_release(struct daemon *daemon, struct instance *instance)
{
	struct epc *epc = engine_lock_for_long(daemon->engine);
	struct mirror_cgroup *opener = instance->opener;

	instance->opener = NULL;
	instance->is_released = true;
	instance_vm_leave(daemon->instances, instance);
	/* Else instance_replied() does it: the kernel closes when the last answer is there. */
	if (!instance->nr_undelivered)
		epc_release(epc, instance->core);
	engine_unlock(daemon->engine);
	mirror_put(daemon->mirror, opener);
}

void instance_gone(void *context, void *instance_cookie)
{
	struct daemon *daemon = context;

	instance_free(daemon->instances, instance_cookie);
}

void instance_note_started(struct daemon *daemon, const struct epc_record *record)
{
	struct instance_table *table = daemon->instances;
	struct instance *instance = record->instance_cookie;

	/* The core numbers them as they start. */
	instance->id = record->instance_id;
	table->shown[table->nr_shown++] = instance;
	describer_ask(daemon->describer, instance);
}

/* Told in the words of the ABI: a path that does not fit ends with dots. */
static void refuser_copy(struct epc_vepc_refusal *refusal, const char *path)
{
	int size = snprintf(refusal->cgroup, sizeof(refusal->cgroup), "%s", path);

	if (size >= (int)sizeof(refusal->cgroup))
		memcpy(refusal->cgroup + sizeof(refusal->cgroup) - sizeof("..."), "...",
		       sizeof("..."));
}

void instance_note_refused(const struct epc_record *record)
{
	struct instance *instance = record->instance_cookie;
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

struct instance *instance_next(struct daemon *daemon, uint64_t after_id)
{
	const struct instance_table *table = daemon->instances;
	size_t at = shown_find(table, after_id);

	return at < table->nr_shown ? table->shown[at] : NULL;
}

struct instance *instance_find(const struct instance_table *table, uint64_t id)
{
	size_t at = id ? shown_find(table, id - 1) : table->nr_shown;

	return at < table->nr_shown && table->shown[at]->id == id ? table->shown[at] : NULL;
}

int instance_max(struct daemon *daemon, uint64_t id, uint64_t *max_bytes)
{
	const struct instance *instance;
	struct epc_instance_report report;

	engine_lock(daemon->engine);
	instance = instance_find(daemon->instances, id);
	if (instance)
		epc_instance_report(instance->core, &report);
	engine_unlock(daemon->engine);
	if (!instance)
		return -ENOENT;
	*max_bytes = report.max_bytes;
	return 0;
}

int instance_set_max(struct daemon *daemon, uint64_t id, uint64_t max_bytes)
{
	struct epc *epc = engine_lock(daemon->engine);
	struct instance *instance = instance_find(daemon->instances, id);

	if (instance)
		instance_set_max_locked(daemon, epc, instance, max_bytes);
	engine_unlock(daemon->engine);
	return instance ? 0 : -ENOENT;
}

char *instance_describe(struct daemon *daemon, uint64_t id, char *cmdline)
{
	struct instance *instance;

	engine_lock(daemon->engine);
	instance = instance_find(daemon->instances, id);
	if (instance && !instance->cmdline) {
		instance->cmdline = cmdline;
		cmdline = NULL;
	}
	engine_unlock(daemon->engine);
	return cmdline;
}
