/* SPDX-License-Identifier: MIT */
/*
 * The journal: sentences and JSON lines by a table, the stream against a false libfuse (that has
 * the real one's locking), slow readers, small reads, interrupts at every moment, too many records.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "front/instance.h"
#include "front/journal_internal.h"

#define NR_ROUNDS 2000u
#define READ_SIZE 65536u
#define NR_FLOOD (4 * JOURNAL_NR_QUEUED)

/* ---- the false libfuse ---- */

struct fuse_req {
	pthread_mutex_t lock; /* held while the interrupt callback runs, as in libfuse */
	bool was_interrupted;
	fuse_interrupt_func_t callback;
	void *callback_data;
	struct daemon *daemon;

	pthread_mutex_t reply_lock;
	pthread_cond_t replied;
	unsigned int nr_replies;
	int error;
	char *bytes;
	size_t size;
};

static void replied(fuse_req_t req, int error, const char *bytes, size_t size)
{
	pthread_mutex_lock(&req->reply_lock);
	req->nr_replies++;
	req->error = error;
	free(req->bytes);
	req->bytes = strndup(bytes ? bytes : "", size);
	req->size = size;
	pthread_cond_broadcast(&req->replied);
	pthread_mutex_unlock(&req->reply_lock);
}

int fuse_reply_err(fuse_req_t req, int err)
{
	replied(req, err, NULL, 0);
	return 0;
}

int fuse_reply_buf(fuse_req_t req, const char *buf, size_t size)
{
	replied(req, 0, buf, size);
	return 0;
}

int fuse_reply_open(fuse_req_t req, const struct fuse_file_info *fi)
{
	(void)fi;
	replied(req, 0, NULL, 0);
	return 0;
}

void *fuse_req_userdata(fuse_req_t req)
{
	return req->daemon;
}

void fuse_req_interrupt_func(fuse_req_t req, fuse_interrupt_func_t func, void *data)
{
	pthread_mutex_lock(&req->lock);
	req->callback = func;
	req->callback_data = data;
	if (req->was_interrupted)
		func(req, data);
	pthread_mutex_unlock(&req->lock);
}

static void interrupt(fuse_req_t req)
{
	pthread_mutex_lock(&req->lock);
	req->was_interrupted = true;
	if (req->callback)
		req->callback(req, req->callback_data);
	pthread_mutex_unlock(&req->lock);
}

/* ---- the world ---- */

struct world {
	struct daemon daemon;
	struct instance instance;
	struct mirror_cgroup own, above, root;
	bool is_flooded; /* atomic */
};

bool mirror_is_removed(const struct mirror_cgroup *cgroup)
{
	return cgroup->is_removed != 0;
}

static int world_make(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	log_set_level(LOG_LEVEL_ERROR);
	world->instance.pid = 4242;
	snprintf(world->instance.command, sizeof(world->instance.command), "qemu-system-x86");
	world->instance.cgroup_path = strdup("/a/b");
	world->own.path = "/a/b";
	world->above.path = "/a";
	world->root.path = "/";
	assert_int_equal(journal_new(&world->daemon.journal), 0);
	assert_int_equal(journal_start(world->daemon.journal), 0);
	*state = world;
	return 0;
}

static int world_end(void **state)
{
	struct world *world = *state;

	journal_stop(world->daemon.journal);
	journal_free(world->daemon.journal);
	free(world->instance.cgroup_path);
	free(world);
	return 0;
}

static fuse_req_t request_new(struct world *world)
{
	fuse_req_t req = calloc(1, sizeof(*req));

	assert_non_null(req);
	pthread_mutex_init(&req->lock, NULL);
	pthread_mutex_init(&req->reply_lock, NULL);
	pthread_cond_init(&req->replied, NULL);
	req->daemon = &world->daemon;
	return req;
}

static void request_wait(fuse_req_t req)
{
	pthread_mutex_lock(&req->reply_lock);
	while (!req->nr_replies)
		pthread_cond_wait(&req->replied, &req->reply_lock);
	pthread_mutex_unlock(&req->reply_lock);
}

static unsigned int nr_replies(fuse_req_t req)
{
	unsigned int nr;

	pthread_mutex_lock(&req->reply_lock);
	nr = req->nr_replies;
	pthread_mutex_unlock(&req->reply_lock);
	return nr;
}

/* Once answered, and never twice. */
static void request_free(fuse_req_t req)
{
	assert_int_equal(nr_replies(req), 1);
	free(req->bytes);
	pthread_cond_destroy(&req->replied);
	pthread_mutex_destroy(&req->reply_lock);
	pthread_mutex_destroy(&req->lock);
	free(req);
}

static void stream_open(struct world *world, struct fuse_file_info *file, int flags)
{
	fuse_req_t req = request_new(world);

	*file = (struct fuse_file_info){ .flags = flags };
	journal_stream_open(world->daemon.journal, req, file);
	assert_int_equal(req->error, 0);
	assert_true(file->direct_io && file->nonseekable);
	request_free(req);
}

static void stream_close(struct world *world, struct fuse_file_info *file)
{
	fuse_req_t req = request_new(world);

	journal_stream_release(world->daemon.journal, req, file);
	assert_int_equal(req->error, 0);
	request_free(req);
}

static fuse_req_t stream_read(struct world *world, struct fuse_file_info *file, size_t size)
{
	fuse_req_t req = request_new(world);

	journal_stream_read(world->daemon.journal, req, size, file);
	return req;
}

static void add_limit(struct world *world, const char *path, uint64_t max_bytes)
{
	journal_add_limit(world->daemon.journal, path, EPC_MAX_UNLIMITED, max_bytes, 0);
}

/* ---- texts ---- */

static struct journal_entry refusal(const char *own, const char *refuser)
{
	struct journal_entry entry = {
		.kind = JOURNAL_RECORD,
		.record = { .kind = EPC_RECORD_REFUSED,
			    .instance_id = 3,
			    .index = 256,
			    .limit_bytes = 1048576,
			    .usage_bytes = 1048576,
			    .wanted_bytes = 4096 },
		.time = { .tv_sec = 1795498826, .tv_nsec = 123999999 },
		.pid = 4242,
		.command = "qemu-system-x86",
	};

	entry.cgroup = (char *)(uintptr_t)own;
	entry.refuser = (char *)(uintptr_t)refuser;
	return entry;
}

#define VM "VM 4242 (qemu-system-x86) was refused EPC: "
#define FIGURES " 1048576, used 1048576, 4096 more bytes were wanted"

/* The sentence, and the name of the limit in JSON. */
static void sentences(void **state)
{
	static const struct {
		const char *own, *refuser, *limit, *text;
	} rows[] = {
		{ "/vm1", "/vm1", "misc.max", "cgroup /vm1 is at its limit: misc.max" },
		{ "/a/b", "/a", "misc.max",
		  "cgroup /a, above its own /a/b, is at its limit: misc.max" },
		{ "/a/b", "/", "capacity", "the EPC is full: capacity" },
		{ "/", "/", "capacity", "the EPC is full: capacity" },
		{ NULL, NULL, "misc.max", "cgroup ? is at its limit: misc.max" },
		{ "/a", NULL, "own", "its instance 3 is at its own limit:" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_entry entry = refusal(rows[i].own, rows[i].refuser);
		char *text, *line, wanted[256];
		json_t *json;

		entry.record.is_own_limit = strcmp(rows[i].limit, "own") == 0;
		text = journal_sentence(&entry);
		line = journal_line(&entry, 1);
		json = json_loads(line, 0, NULL);
		snprintf(wanted, sizeof(wanted), VM "%s" FIGURES, rows[i].text);
		assert_string_equal(text, wanted);
		assert_string_equal(json_string_value(json_object_get(json, "limit")),
				    rows[i].limit);
		json_decref(json);
		free(line);
		free(text);
	}
}

static void a_refusal_as_json(void **state)
{
	struct journal_entry entry = refusal("/a/b", "/a");
	char *line = journal_line(&entry, 17);

	(void)state;
	assert_string_equal(line, "{\"seq\":17,\"time\":\"2026-11-24T05:40:26.123Z\",\"kind\":"
				  "\"refused\","
				  "\"instance\":3,\"pid\":4242,\"command\":\"qemu-system-x86\","
				  "\"cgroup\":\"/a/b\","
				  "\"limit_cgroup\":\"/"
				  "a\",\"limit\":\"misc.max\",\"limit_bytes\":1048576,"
				  "\"usage_bytes\":1048576,\"wanted_bytes\":4096,\"offset\":"
				  "1048576,"
				  "\"text\":\"VM 4242 (qemu-system-x86) was refused EPC: cgroup "
				  "/a, above its own "
				  "/a/b, is at its limit: misc.max 1048576, used 1048576, 4096 "
				  "more bytes were "
				  "wanted\"}\n");
	free(line);
}

/* A new own limit is told of with its instance, that of a cgroup without one. */
static void limits_and_whose_they_are(void **state)
{
	struct world *world = *state;
	const struct epc_instance_report report = { .id = 3, .max_bytes = 8192, .nr_pages = 2 };
	json_t *json;
	size_t size;
	char *history;

	add_limit(world, "/a", 4096);
	journal_add_own_limit(world->daemon.journal, &world->instance, &report, EPC_MAX_UNLIMITED);
	history = journal_history(world->daemon.journal, &size);
	json = json_loads(strchr(history, '\n') + 1, 0, NULL);
	assert_non_null(strstr(history, "\"kind\":\"limit\",\"instance\":null"));
	assert_int_equal(json_integer_value(json_object_get(json, "instance")), 3);
	assert_int_equal(json_integer_value(json_object_get(json, "old_limit_bytes")), 8192);
	assert_true(json_is_null(json_object_get(json, "limit_bytes")));
	json_decref(json);
	free(history);
}

static void every_kind_has_its_fields(void **state)
{
	static const struct {
		enum epc_record_kind kind;
		const char *name, *field;
	} rows[] = {
		{ EPC_RECORD_STARTED, "started", "pid" },
		{ EPC_RECORD_RESET, "reset", "took_us" },
		{ EPC_RECORD_PUNCHED, "punched", "pages" },
		{ EPC_RECORD_LOST, "epc-lost", "took_us" },
		{ EPC_RECORD_ZOMBIES, "zombies", "secs" },
		{ EPC_RECORD_CLOSED, "closed", "peak_bytes" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_entry entry = refusal("/a/b", NULL);
		char *line, *sentence;
		json_t *json;

		entry.record.kind = rows[i].kind;
		line = journal_line(&entry, 1);
		sentence = journal_sentence(&entry);
		json = json_loads(line, 0, NULL);
		assert_non_null(json);
		assert_non_null(sentence);
		assert_string_equal(json_string_value(json_object_get(json, "kind")), rows[i].name);
		assert_true(json_is_integer(json_object_get(json, rows[i].field)));
		json_decref(json);
		free(sentence);
		free(line);
	}
}

/* ---- the stream ---- */

static void a_reader_gets_what_comes_after_it(void **state)
{
	struct world *world = *state;
	struct fuse_file_info file;
	fuse_req_t req;

	add_limit(world, "/before", 4096);
	stream_open(world, &file, O_RDONLY);
	req = stream_read(world, &file, READ_SIZE);
	assert_int_equal(nr_replies(req), 0);
	add_limit(world, "/a b\nc\xff", EPC_MAX_UNLIMITED);
	request_wait(req);
	assert_null(strstr(req->bytes, "/before"));
	assert_non_null(strstr(req->bytes, "\"kind\":\"limit\""));
	assert_non_null(strstr(req->bytes, "\"cgroup\":\"/a b\\\\nc\\\\xff\""));
	assert_non_null(strstr(req->bytes, "\"limit_bytes\":null"));
	assert_ptr_equal(strchr(req->bytes, '\n'), req->bytes + req->size - 1);
	request_free(req);
	stream_close(world, &file);
}

static void no_waiting_with_nonblock(void **state)
{
	struct world *world = *state;
	struct fuse_file_info file;
	fuse_req_t req;

	stream_open(world, &file, O_RDONLY | O_NONBLOCK);
	req = stream_read(world, &file, READ_SIZE);
	assert_int_equal(req->error, EAGAIN);
	request_free(req);
	add_limit(world, "/a", 1);
	req = stream_read(world, &file, READ_SIZE);
	assert_int_equal(req->error, 0);
	assert_true(req->size > 0);
	request_free(req);
	stream_close(world, &file);
}

/* Reads of every size give the same text, whole lines where they fit. */
static void small_reads_lose_nothing(void **state)
{
	struct world *world = *state;
	size_t history_size;
	char *history;

	for (size_t size = 1; size < 400; size += size < 8 ? 1 : 61) {
		struct fuse_file_info file;
		char text[2048] = "";
		size_t text_size = 0;

		stream_open(world, &file, O_RDONLY | O_NONBLOCK);
		add_limit(world, "/first", 1);
		add_limit(world, "/second", 2);
		for (;;) {
			fuse_req_t req = stream_read(world, &file, size);
			int error = req->error;

			assert_true(req->size <= size);
			assert_true(req->size < sizeof(text) - text_size);
			memcpy(text + text_size, req->bytes, req->size + 1);
			text_size += req->size;
			request_free(req);
			if (error)
				break;
		}
		history = journal_history(world->daemon.journal, &history_size);
		assert_string_equal(text, history + history_size - text_size);
		assert_int_equal(strncmp(text, "{\"seq\":", 7), 0);
		assert_non_null(strstr(text, "/first"));
		free(history);
		stream_close(world, &file);
	}
}

/* Nobody waits for the journal's thread: what was added before a read is in what is read. */
static void a_reader_sees_what_was_before(void **state)
{
	struct world *world = *state;
	struct fuse_file_info file;
	fuse_req_t req;

	for (unsigned int i = 0; i < NR_ROUNDS; i++) {
		char seq[32], *history;
		size_t size;

		stream_open(world, &file, O_RDONLY | O_NONBLOCK);
		add_limit(world, "/a", i);
		snprintf(seq, sizeof(seq), "{\"seq\":%u,", 2 * i + 1);
		req = stream_read(world, &file, READ_SIZE);
		assert_int_equal(req->error, 0);
		assert_int_equal(strncmp(req->bytes, seq, strlen(seq)), 0);
		request_free(req);
		stream_close(world, &file);

		add_limit(world, "/b", i);
		snprintf(seq, sizeof(seq), "{\"seq\":%u,", 2 * i + 2);
		history = journal_history(world->daemon.journal, &size);
		assert_non_null(strstr(history, seq));
		free(history);
	}
	add_limit(world, "/before", 0);
	stream_open(world, &file, O_RDONLY | O_NONBLOCK);
	add_limit(world, "/after", 0);
	req = stream_read(world, &file, READ_SIZE);
	assert_null(strstr(req->bytes, "/before"));
	assert_non_null(strstr(req->bytes, "/after"));
	request_free(req);
	stream_close(world, &file);
}

static void a_slow_reader_loses_the_oldest(void **state)
{
	struct world *world = *state;
	struct fuse_file_info file;
	fuse_req_t req;

	stream_open(world, &file, O_RDONLY);
	for (unsigned int i = 0; i < JOURNAL_NR_HISTORY + 5; i++)
		add_limit(world, "/a", i);
	req = stream_read(world, &file, 1u << 20);
	assert_int_equal(strncmp(req->bytes, "{\"kind\":\"lost\",\"count\":5}\n{\"seq\":6,", 35),
			 0);
	request_free(req);
	stream_close(world, &file);
}

static void history_is_bounded(void **state)
{
	struct world *world = *state;
	unsigned int nr_lines = 0;
	size_t size;
	char *history;

	history = journal_history(world->daemon.journal, &size);
	assert_int_equal(size, 0);
	free(history);
	for (unsigned int i = 0; i < JOURNAL_NR_HISTORY + 50; i++)
		add_limit(world, "/a", i);
	history = journal_history(world->daemon.journal, &size);
	assert_int_equal(strncmp(history, "{\"seq\":51,", 10), 0);
	for (size_t i = 0; i < size; i++)
		nr_lines += history[i] == '\n';
	assert_int_equal(nr_lines, JOURNAL_NR_HISTORY);
	free(history);
}

static void an_interrupt_ends_a_parked_read(void **state)
{
	struct world *world = *state;
	struct fuse_file_info file;
	fuse_req_t req;

	stream_open(world, &file, O_RDONLY);
	req = stream_read(world, &file, READ_SIZE);
	interrupt(req);
	assert_int_equal(req->error, EINTR);
	request_free(req);

	/* It may be there before the read is. */
	req = request_new(world);
	interrupt(req);
	journal_stream_read(world->daemon.journal, req, READ_SIZE, &file);
	assert_int_equal(req->error, EINTR);
	request_free(req);
	stream_close(world, &file);
}

static void *interrupt_thread(void *argument)
{
	interrupt(argument);
	return NULL;
}

static void interrupts_against_records(void **state)
{
	struct world *world = *state;
	struct fuse_file_info file;

	stream_open(world, &file, O_RDONLY);
	for (unsigned int i = 0; i < NR_ROUNDS; i++) {
		fuse_req_t req = request_new(world);
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, interrupt_thread, req), 0);
		if (i % 2)
			add_limit(world, "/a", i);
		journal_stream_read(world->daemon.journal, req, READ_SIZE, &file);
		request_wait(req);
		pthread_join(thread, NULL);
		assert_true(req->error == EINTR || (req->error == 0 && req->size > 0));
		request_free(req);
	}
	stream_close(world, &file);
}

static void the_end_answers_everybody(void **state)
{
	struct world *world = *state;
	struct fuse_file_info files[3];
	fuse_req_t reqs[3];

	for (unsigned int i = 0; i < 3; i++) {
		stream_open(world, &files[i], O_RDONLY);
		reqs[i] = stream_read(world, &files[i], READ_SIZE);
	}
	journal_stop(world->daemon.journal);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(reqs[i]->error, 0);
		assert_int_equal(reqs[i]->size, 0);
		request_free(reqs[i]);
		reqs[i] = stream_read(world, &files[i], READ_SIZE);
		assert_int_equal(reqs[i]->size, 0);
		request_free(reqs[i]);
		if (i) /* the first is left open: the connection may end under it */
			stream_close(world, &files[i]);
	}
}

/* ---- records of the core ---- */

static void refused(struct world *world, uint64_t instance_id, struct mirror_cgroup *refuser)
{
	struct epc_record record = { .kind = EPC_RECORD_REFUSED,
				     .instance_id = instance_id,
				     .instance_cookie = &world->instance,
				     .payer_cookie = &world->own,
				     .refuser_cookie = refuser,
				     .limit_bytes = 4096,
				     .usage_bytes = 4096,
				     .wanted_bytes = 4096 };

	journal_add(world->daemon.journal, &record);
}

static void the_last_refusal_is_kept(void **state)
{
	struct world *world = *state;
	char *line;
	json_t *json;

	assert_null(journal_last_refusal(world->daemon.journal, 7));
	refused(world, 7, &world->above);
	refused(world, 8, &world->root);
	world->own.is_removed = 1;
	refused(world, 7, &world->own);
	line = journal_last_refusal(world->daemon.journal, 7);
	json = json_loads(line, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "limit_cgroup")), "/a/b "
										      "(removed)");
	json_decref(json);
	free(line);
	line = journal_last_refusal(world->daemon.journal, 8);
	assert_non_null(strstr(line, "\"limit\":\"capacity\""));
	free(line);
	for (unsigned int i = 0; i < JOURNAL_NR_REFUSALS; i++)
		refused(world, 100 + i, &world->above);
	assert_null(journal_last_refusal(world->daemon.journal, 7));
}

static void *flood(void *argument)
{
	struct world *world = argument;

	for (unsigned int i = 0; i < NR_FLOOD; i++)
		refused(world, 1 + i % 5, &world->above);
	__atomic_store_n(&world->is_flooded, true, __ATOMIC_RELEASE);
	return NULL;
}

struct tally {
	uint64_t nr_seen, nr_lost;
	bool skipped_lines; /* this reader was too slow */
	bool is_over;	    /* the sentinel came */
};

static void tally_add(struct tally *tally, const char *line)
{
	json_t *json = json_loads(line, 0, NULL);
	const char *kind = json_string_value(json_object_get(json, "kind"));

	assert_non_null(kind);
	if (strcmp(kind, "limit") == 0)
		tally->is_over = true;
	else if (strcmp(kind, "refused") == 0)
		tally->nr_seen++;
	else
		tally->nr_lost += (uint64_t)json_integer_value(json_object_get(json, "count"));
	if (!json_object_get(json, "seq"))
		tally->skipped_lines = true;
	json_decref(json);
}

/* Nothing is lost silently: what was written and what was counted as lost are all there were. */
static void too_many_records_are_counted(void **state)
{
	struct world *world = *state;
	struct fuse_file_info file;
	struct tally tally = { 0 };
	pthread_t thread;

	stream_open(world, &file, O_RDONLY | O_NONBLOCK);
	assert_int_equal(pthread_create(&thread, NULL, flood, world), 0);
	while (!tally.is_over) {
		fuse_req_t req = stream_read(world, &file, 1u << 20);
		char *rest = req->bytes, *line;

		while ((line = strsep(&rest, "\n")) && *line)
			tally_add(&tally, line);
		if (req->error && __atomic_load_n(&world->is_flooded, __ATOMIC_ACQUIRE))
			add_limit(world, "/over", 0); /* may be dropped too: again then */
		request_free(req);
	}
	pthread_join(thread, NULL);
	print_message("%" PRIu64 " seen, %" PRIu64 " lost\n", tally.nr_seen, tally.nr_lost);
	assert_true(tally.skipped_lines || tally.nr_seen + tally.nr_lost >= NR_FLOOD);
	stream_close(world, &file);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_make, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentences),
		cmocka_unit_test(a_refusal_as_json),
		cmocka_unit_test(every_kind_has_its_fields),
		IN_WORLD(limits_and_whose_they_are),
		IN_WORLD(a_reader_gets_what_comes_after_it),
		IN_WORLD(no_waiting_with_nonblock),
		IN_WORLD(small_reads_lose_nothing),
		IN_WORLD(a_reader_sees_what_was_before),
		IN_WORLD(a_slow_reader_loses_the_oldest),
		IN_WORLD(history_is_bounded),
		IN_WORLD(an_interrupt_ends_a_parked_read),
		IN_WORLD(interrupts_against_records),
		IN_WORLD(the_end_answers_everybody),
		IN_WORLD(the_last_refusal_is_kept),
		IN_WORLD(too_many_records_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
