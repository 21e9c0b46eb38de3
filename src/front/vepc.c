/* SPDX-License-Identifier: MIT */
/* Instances of virtual EPC; see vepc.h. */
#include "front/vepc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/text.h"
#include "front/describe.h"
#include "front/mirror.h"
#include "front/parked.h"
#include "front/requester.h"

#define CLUSTER_BYTES_MAX ((size_t)EPC_CLUSTER_PAGES_MAX * EPC_PAGE_SIZE)
#define WRITE_PIECE_BYTES ((size_t)16 * EPC_PAGE_SIZE) /* one hold of the lock: some 10 us */
#define NR_WATCHED_AT_ONCE 64u
#define NR_SHOWN_MIN 64u
#define OFFSET_END ((off_t)(EPC_NR_INDICES << EPC_PAGE_SHIFT))

enum request_kind {
	REQUEST_READ,
	REQUEST_IOCTL,
	REQUEST_FALLOCATE,
};

/* One request that the core has. */
struct vepc_request {
	struct epc_request core;
	enum request_kind kind;
	fuse_req_t req;
	struct instance *instance;
	struct parked parked;
	struct vepc_request *next, *prev; /* of the table, under the engine's lock */
	char buffer[];			  /* READ: the bytes */
};

struct instance {
	struct vepc vepc; /* first: the core's cookie points to it */
	fuse_ino_t ino;
	struct mirror_cgroup *opener; /* a reference; NULL once released */
	/* under the engine's lock */
	uint64_t nr_undelivered; /* READs that the core has, or whose delivery it does not know */
	bool is_released;
	struct instance *next, *prev;
};

struct vepc_table {
	struct daemon *daemon;
	struct parked_table *parked;
	char *zeros; /* CLUSTER_BYTES_MAX, never written to: the kernel's zero page many times */
	/* under the engine's lock */
	struct instance **shown; /* those that had a page, by id; room for all that there are */
	size_t nr_shown, nr_shown_max, nr_instances;
	/* under the engine's lock; heads of rings */
	struct instance instances;
	struct vepc_request requests;
};

static struct instance *instance_of(struct vepc *vepc)
{
	return (struct instance *)vepc;
}

static struct vepc_request *request_of(struct epc_request *core)
{
	return (struct vepc_request *)core;
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
	new->zeros = mmap(NULL, CLUSTER_BYTES_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
		if (request->req) {
			fuse_reply_err(request->req, EIO);
			request->req = NULL;
		}
	for (struct instance *instance = table->instances.next; instance != &table->instances;
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

static void shown_remove(struct vepc_table *table, const struct instance *instance)
{
	size_t at = shown_find(table, instance->vepc.id - 1);

	memmove(&table->shown[at], &table->shown[at + 1],
		(--table->nr_shown - at) * sizeof(table->shown[0]));
}

static void instance_free(struct vepc_table *table, struct instance *instance)
{
	instance->next->prev = instance->prev;
	instance->prev->next = instance->next;
	table->nr_instances--;
	if (instance->vepc.id)
		shown_remove(table, instance);
	free(instance->vepc.cmdline);
	free(instance->vepc.cgroup_path);
	free(instance);
}

static void request_free(struct vepc_request *request)
{
	request->next->prev = request->prev;
	request->prev->next = request->next;
	free(request);
}

void vepc_table_free(struct vepc_table *table)
{
	if (!table)
		return;
	while (table->requests.next != &table->requests)
		request_free(table->requests.next);
	while (table->instances.next != &table->instances)
		instance_free(table, table->instances.next);
	free(table->shown);
	munmap(table->zeros, CLUSTER_BYTES_MAX);
	parked_table_free(table->parked);
	free(table);
}

static void instance_describe(struct instance *instance, const struct fuse_ctx *task)
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

int vepc_open(struct daemon *daemon, fuse_req_t req, fuse_ino_t ino, struct vepc **vepc)
{
	const struct fuse_ctx *task = fuse_req_ctx(req);
	struct vepc_table *table = daemon->vepcs;
	struct instance *new = calloc(1, sizeof(*new));
	struct timespec now;
	struct epc *epc;
	int error = -ENOMEM;

	if (!new)
		return -ENOMEM;
	new->ino = ino;
	instance_describe(new, task);
	new->opener = mirror_of_task(daemon->mirror, task->pid);
	if (!new->opener)
		new->opener = mirror_root(daemon->mirror);
	clock_gettime(CLOCK_MONOTONIC, &now);
	new->vepc.opened_ns = (uint64_t)now.tv_sec *UINT64_C(1000000000) + (uint64_t)now.tv_nsec;

	epc = engine_lock(daemon->engine);
	new->vepc.cgroup_path = text_escape_string_new(new->opener->path);
	if (new->vepc.cgroup_path)
		error = shown_reserve(table);
	if (!error)
		error = epc_open(epc, new->opener->cgroup, &new->vepc, &new->vepc.instance);
	if (!error) {
		new->prev = table->instances.prev;
		new->next = &table->instances;
		new->prev->next = new;
		table->instances.prev = new;
		table->nr_instances++;
	}
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
	struct instance *instance = instance_of(vepc);
	struct epc *epc = engine_lock_for_long(daemon->engine);
	struct mirror_cgroup *opener = instance->opener;

	instance->opener = NULL;
	instance->is_released = true;
	/* Else vepc_replied() does it: the kernel closes when the last answer is there. */
	if (!instance->nr_undelivered)
		epc_release(epc, vepc->instance);
	engine_unlock(daemon->engine);
	mirror_put(daemon->mirror, opener);
}

/* NULL: no memory. size: of the buffer. */
static struct vepc_request *request_new(fuse_req_t req, struct instance *instance,
					enum request_kind kind, size_t size)
{
	struct vepc_request *request = malloc(sizeof(*request) + size);

	if (!request)
		return NULL;
	memset(request, 0, sizeof(*request));
	request->kind = kind;
	request->req = req;
	request->instance = instance;
	request->core.instance = instance->vepc.instance;
	return request;
}

/* Under the engine's lock. */
static void request_link(struct vepc_table *table, struct vepc_request *request)
{
	request->prev = table->requests.prev;
	request->next = &table->requests;
	request->prev->next = request;
	table->requests.prev = request;
}

/* libfuse's, on any thread, perhaps while the request is being answered: only the key is used. */
static void read_interrupted(fuse_req_t req, void *key)
{
	struct daemon *daemon = fuse_req_userdata(req);

	parked_interrupt(daemon->vepcs->parked, (uintptr_t)key);
}

void vepc_read(struct daemon *daemon, fuse_req_t req, struct vepc *vepc, size_t size, off_t offset)
{
	struct instance *instance = instance_of(vepc);
	struct vepc_table *table = daemon->vepcs;
	pid_t tid = fuse_req_ctx(req)->pid;
	struct mirror_cgroup *payer;
	struct vepc_request *request;
	struct epc *epc;

	/* The page cache asks for whole pages; O_DIRECT may ask for anything. */
	if (size == 0 || size > CLUSTER_BYTES_MAX || size % EPC_PAGE_SIZE || offset < 0 ||
	    offset % EPC_PAGE_SIZE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	request = request_new(req, instance, REQUEST_READ, size);
	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->core.first = (uint64_t)offset >> EPC_PAGE_SHIFT;
	request->core.count = size >> EPC_PAGE_SHIFT;
	request->core.buffer = request->buffer;
	payer = mirror_of_task(daemon->mirror, tid);

	epc = engine_lock(daemon->engine);
	request->core.payer = payer ? payer->cgroup : instance->opener->cgroup;
	request_link(table, request);
	instance->nr_undelivered++;
	epc_read(epc, &request->core);
	if (request->core.waits_at) {
		/* Nobody can answer it before the lock is let go. */
		parked_add(table->parked, &request->parked, tid);
		fuse_req_interrupt_func(req, read_interrupted,
					(void *)(uintptr_t)request->parked.key);
	}
	engine_unlock(daemon->engine);
	/* Where it waits, the core keeps its cgroup. */
	if (payer)
		mirror_put(daemon->mirror, payer);
}

void vepc_write(struct daemon *daemon, fuse_req_t req, struct vepc *vepc, const char *bytes,
		size_t size, off_t offset, bool is_writeback)
{
	size_t done = 0;

	/* The kernel's device has no write(2). */
	if (!is_writeback || offset < 0 || offset > OFFSET_END ||
	    size > (uint64_t)(OFFSET_END - offset)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	while (done < size) {
		size_t piece = size - done < WRITE_PIECE_BYTES ? size - done : WRITE_PIECE_BYTES;

		epc_write(engine_lock(daemon->engine), vepc->instance, (uint64_t)offset + done,
			  bytes + done, piece);
		engine_unlock(daemon->engine);
		done += piece;
	}
	fuse_reply_write(req, size);
}

static void operation_submit(struct daemon *daemon, struct vepc_request *request, bool is_punch)
{
	struct epc *epc = engine_lock_for_long(daemon->engine);

	request_link(daemon->vepcs, request);
	if (is_punch)
		epc_punch(epc, &request->core);
	else
		epc_reset(epc, &request->core);
	engine_unlock(daemon->engine);
}

void vepc_ioctl(struct daemon *daemon, fuse_req_t req, struct vepc *vepc, unsigned int cmd,
		const void *arg)
{
	struct vepc_request *request;

	if (cmd != SGX_IOC_VEPC_REMOVE_ALL) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	if (arg) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	request = request_new(req, instance_of(vepc), REQUEST_IOCTL, 0);
	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->core.first = 0;
	request->core.count = EPC_NR_INDICES;
	operation_submit(daemon, request, false);
}

/* 0, or the errno that it gets. */
static int fallocate_check(int mode, off_t offset, off_t length)
{
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE &&
	    mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return EOPNOTSUPP;
	if (offset < 0 || length <= 0 || offset % EPC_PAGE_SIZE || length % EPC_PAGE_SIZE)
		return EINVAL;
	if (offset > OFFSET_END || length > OFFSET_END - offset)
		return EINVAL;
	return 0;
}

void vepc_fallocate(struct daemon *daemon, fuse_req_t req, struct vepc *vepc, int mode,
		    off_t offset, off_t length)
{
	int error = fallocate_check(mode, offset, length);
	struct vepc_request *request;

	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	request = request_new(req, instance_of(vepc), REQUEST_FALLOCATE, 0);
	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->core.first = (uint64_t)offset >> EPC_PAGE_SHIFT;
	request->core.count = (uint64_t)length >> EPC_PAGE_SHIFT;
	operation_submit(daemon, request, mode & FALLOC_FL_PUNCH_HOLE);
}

void vepc_unmap(void *context, const struct epc_unmap *unmap)
{
	struct daemon *daemon = context;
	const struct instance *instance = unmap->cookie;

	/* An error means that the inode is gone, and so is what it mapped. */
	(void)fuse_lowlevel_notify_inval_inode(daemon->session, instance->ino,
					       (off_t)(unmap->first << EPC_PAGE_SHIFT),
					       (off_t)unmap->count << EPC_PAGE_SHIFT);
}

static void read_answer(struct vepc_table *table, struct vepc_request *request)
{
	parked_remove(table->parked, &request->parked);
	if (request->core.result)
		fuse_reply_err(request->req, -request->core.result);
	else
		fuse_reply_buf(request->req, request->core.is_zero ? table->zeros : request->buffer,
			       (size_t)request->core.count << EPC_PAGE_SHIFT);
}

bool vepc_reply(void *context, struct epc_request *core)
{
	struct daemon *daemon = context;
	struct vepc_request *request = request_of(core);
	int result = core->result;

	switch (request->kind) {
	case REQUEST_READ:
		read_answer(daemon->vepcs, request);
		break;
	case REQUEST_IOCTL:
		if (result < 0)
			fuse_reply_err(request->req, -result);
		else
			fuse_reply_ioctl(request->req, result, NULL, 0);
		break;
	case REQUEST_FALLOCATE:
		fuse_reply_err(request->req, result < 0 ? -result : 0);
		break;
	}
	return true;
}

void vepc_replied(void *context, struct epc *epc, struct epc_request *core)
{
	struct vepc_request *request = request_of(core);
	struct instance *instance = request->instance;

	(void)context;
	if (request->kind == REQUEST_READ) {
		if (!core->result)
			epc_delivered(epc, core->instance, core->first, core->count);
		instance->nr_undelivered--;
		if (instance->is_released && !instance->nr_undelivered)
			epc_release(epc, core->instance);
	}
	request_free(request);
}

void vepc_gone(void *context, void *instance_cookie)
{
	struct daemon *daemon = context;

	instance_free(daemon->vepcs, instance_of(instance_cookie));
}

void vepc_started(struct daemon *daemon, const struct epc_record *record)
{
	struct vepc_table *table = daemon->vepcs;
	struct instance *instance = instance_of(record->instance_cookie);

	/* The core numbers them as they start. */
	instance->vepc.id = record->instance_id;
	table->shown[table->nr_shown++] = instance;
	describer_ask(daemon->describer, &instance->vepc);
}

struct vepc *device_vepc_next(struct daemon *daemon, uint64_t after_id)
{
	const struct vepc_table *table = daemon->vepcs;
	size_t at = shown_find(table, after_id);

	return at < table->nr_shown ? &table->shown[at]->vepc : NULL;
}

char *vepc_describe(struct daemon *daemon, uint64_t id, char *cmdline)
{
	struct vepc *vepc;

	engine_lock(daemon->engine);
	vepc = device_vepc_next(daemon, id - 1);
	if (vepc && vepc->id == id && !vepc->cmdline) {
		vepc->cmdline = cmdline;
		cmdline = NULL;
	}
	engine_unlock(daemon->engine);
	return cmdline;
}

static void read_interrupt(void *context, struct parked *parked)
{
	struct vepc_request *request =
		(struct vepc_request *)((char *)parked - offsetof(struct vepc_request, parked));

	/* Not parked any more: its answer is on the way. */
	if (request->core.waits_at)
		epc_interrupt(context, &request->core);
}

bool vepc_watch(struct daemon *daemon)
{
	struct parked_table *parked = daemon->vepcs->parked;
	struct parked_ref refs[NR_WATCHED_AT_ONCE];
	uint64_t after_key = 0;
	bool has_left = false;
	unsigned int nr;

	do {
		nr = parked_interrupted(parked, after_key, refs, NR_WATCHED_AT_ONCE);
		for (unsigned int i = 0; i < nr; i++) {
			after_key = refs[i].key;
			if (!requester_is_killed(refs[i].tid)) {
				has_left = true;
				continue;
			}
			parked_with(parked, refs[i].key, read_interrupt,
				    engine_lock(daemon->engine));
			engine_unlock(daemon->engine);
		}
	} while (nr == NR_WATCHED_AT_ONCE);
	return has_left;
}
