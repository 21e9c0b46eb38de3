/* SPDX-License-Identifier: MIT */
/* The journal: the queue between the engine's lock and the thread that writes; see journal.h. */
#include "front/journal_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "front/instance.h"

#define LOG_WAIT_MS 100 /* then it is asked whether it is time to stop */

struct refusal {
	uint64_t instance_id; /* 0: a free slot */
	char *line;	      /* without its newline */
};

/*
 * An entry is queued, then its line is written into the book, by the thread or by a reader who
 * must not miss it, at last its sentence is logged, by the thread alone: stderr may be a pipe that
 * nobody empties.
 */
struct journal {
	pthread_mutex_t queue_lock;
	pthread_cond_t wake;
	struct journal_entry *queue; /* a ring of JOURNAL_NR_QUEUED */
	unsigned int first, nr_queued;
	unsigned int nr_written; /* the first of the queue: only to be logged */
	uint64_t nr_dropped;	 /* since the last entry that was queued */
	bool stops;

	pthread_t thread;
	bool is_started;

	pthread_mutex_t write_lock; /* taken before queue_lock and the book's */
	uint64_t seq;
	struct refusal refusals[JOURNAL_NR_REFUSALS];
	unsigned int next_refusal;

	struct journal_book book;
};

struct journal_book *journal_book_of(struct journal *journal)
{
	return &journal->book;
}

int journal_new(struct journal **result)
{
	struct journal *journal = calloc(1, sizeof(*journal));

	if (!journal)
		return -ENOMEM;
	journal->queue = calloc(JOURNAL_NR_QUEUED, sizeof(*journal->queue));
	if (!journal->queue) {
		free(journal);
		return -ENOMEM;
	}
	pthread_mutex_init(&journal->queue_lock, NULL);
	pthread_cond_init(&journal->wake, NULL);
	pthread_mutex_init(&journal->write_lock, NULL);
	journal_book_init(&journal->book);
	*result = journal;
	return 0;
}

static void entry_fini(struct journal_entry *entry)
{
	free(entry->cgroup);
	free(entry->refuser);
}

/* ---- into the queue ---- */

/* With queue_lock, and room. */
static void queue_push(struct journal *journal, const struct journal_entry *entry)
{
	journal->queue[(journal->first + journal->nr_queued) % JOURNAL_NR_QUEUED] = *entry;
	if (journal->nr_queued++ == 0)
		pthread_cond_signal(&journal->wake);
}

/* Those that were dropped become an entry. With queue_lock, and room. */
static void queue_push_lost(struct journal *journal)
{
	struct journal_entry lost = { .kind = JOURNAL_LOST };

	lost.record.nr_pages = journal->nr_dropped;
	clock_gettime(CLOCK_REALTIME, &lost.time);
	queue_push(journal, &lost);
	journal->nr_dropped = 0;
}

/* Takes the entry's strings, in any case. */
static void queue_add(struct journal *journal, struct journal_entry *entry)
{
	bool has_room;

	clock_gettime(CLOCK_REALTIME, &entry->time);
	pthread_mutex_lock(&journal->queue_lock);
	has_room = journal->nr_queued + (journal->nr_dropped != 0) < JOURNAL_NR_QUEUED;
	if (has_room && journal->nr_dropped)
		queue_push_lost(journal);
	if (has_room)
		queue_push(journal, entry);
	else
		journal->nr_dropped++;
	pthread_mutex_unlock(&journal->queue_lock);
	if (!has_room)
		entry_fini(entry);
}

static char *cgroup_text(const struct mirror_cgroup *cgroup)
{
	char *path, *text = NULL;

	path = text_escape_string_new(cgroup->path);
	if (!path || !mirror_is_removed(cgroup))
		return path;
	if (asprintf(&text, "%s (removed)", path) < 0)
		text = NULL;
	free(path);
	return text;
}

static void instance_copy(struct journal_entry *entry, const struct instance *instance)
{
	entry->is_enclave = instance->enclave != NULL;
	entry->pid = instance->pid;
	snprintf(entry->command, sizeof(entry->command), "%s", instance->command);
}

void journal_add(struct journal *journal, const struct epc_record *record)
{
	const struct instance *instance = record->instance_cookie;
	struct journal_entry entry = { .kind = JOURNAL_RECORD, .record = *record };

	instance_copy(&entry, instance);
	if (record->payer_cookie)
		entry.cgroup = cgroup_text(record->payer_cookie);
	else if (instance->cgroup_path)
		entry.cgroup = strdup(instance->cgroup_path);
	if (record->refuser_cookie)
		entry.refuser = cgroup_text(record->refuser_cookie);
	queue_add(journal, &entry);
}

void journal_add_limit(struct journal *journal, const char *cgroup_path, uint64_t old_max_bytes,
		       uint64_t max_bytes, uint64_t usage_bytes)
{
	struct journal_entry entry = { .kind = JOURNAL_LIMIT, .old_max_bytes = old_max_bytes };

	entry.record.limit_bytes = max_bytes;
	entry.record.usage_bytes = usage_bytes;
	entry.cgroup = text_escape_string_new(cgroup_path);
	queue_add(journal, &entry);
}

void journal_add_own_limit(struct journal *journal, const struct instance *instance,
			   const struct epc_instance_report *report, uint64_t max_bytes)
{
	struct journal_entry entry = {
		.kind = JOURNAL_OWN_LIMIT,
		.old_max_bytes = report->max_bytes,
		.record = {
			.instance_id = report->id,
			.limit_bytes = max_bytes,
			.usage_bytes = report->nr_pages << EPC_PAGE_SHIFT,
		},
	};

	instance_copy(&entry, instance);
	entry.cgroup = instance->cgroup_path ? strdup(instance->cgroup_path) : NULL;
	queue_add(journal, &entry);
}

/* ---- into the book; with write_lock ---- */

static void keep_refusal(struct journal *journal, uint64_t instance_id, const char *line)
{
	char *copy = strndup(line, strcspn(line, "\n"));
	unsigned int slot;

	for (slot = 0; slot < JOURNAL_NR_REFUSALS; slot++)
		if (journal->refusals[slot].instance_id == instance_id)
			break;
	if (slot == JOURNAL_NR_REFUSALS) {
		slot = journal->next_refusal;
		journal->next_refusal = (slot + 1) % JOURNAL_NR_REFUSALS;
	}
	free(journal->refusals[slot].line);
	journal->refusals[slot] = (struct refusal){ instance_id, copy };
}

static void line_write(struct journal *journal, const struct journal_entry *entry)
{
	char *line = journal_line(entry, ++journal->seq);

	if (!line)
		return;
	if (entry->kind == JOURNAL_RECORD && entry->record.kind == EPC_RECORD_REFUSED)
		keep_refusal(journal, entry->record.instance_id, line);
	journal_book_add(&journal->book, line);
}

/* The next entry without a line, which stays in the queue; nr_done are written before. */
static const struct journal_entry *queue_next(struct journal *journal, unsigned int nr_done)
{
	const struct journal_entry *entry = NULL;

	pthread_mutex_lock(&journal->queue_lock);
	journal->nr_written += nr_done;
	if (journal->nr_written < journal->nr_queued)
		entry = &journal->queue[(journal->first + journal->nr_written) % JOURNAL_NR_QUEUED];
	pthread_mutex_unlock(&journal->queue_lock);
	return entry;
}

static void lines_write(struct journal *journal)
{
	const struct journal_entry *entry = queue_next(journal, 0);

	for (unsigned int i = 0; entry && i < JOURNAL_NR_QUEUED; i++) {
		line_write(journal, entry);
		entry = queue_next(journal, 1);
	}
}

void journal_catch_up(struct journal *journal)
{
	pthread_mutex_lock(&journal->write_lock);
	lines_write(journal);
	pthread_mutex_unlock(&journal->write_lock);
}

/* ---- into the log ---- */

static enum log_level level_of(const struct journal_entry *entry)
{
	if (entry->kind == JOURNAL_LOST)
		return LOG_LEVEL_WARNING;
	if (entry->kind == JOURNAL_RECORD &&
	    (entry->record.kind == EPC_RECORD_RESET || entry->record.kind == EPC_RECORD_PUNCHED))
		return LOG_LEVEL_DEBUG;
	return LOG_LEVEL_INFO;
}

/* Waits until something is queued; false: the end. */
static bool queue_wait(struct journal *journal)
{
	bool has_entry;

	pthread_mutex_lock(&journal->queue_lock);
	while (!journal->nr_queued && !journal->nr_dropped && !journal->stops)
		pthread_cond_wait(&journal->wake, &journal->queue_lock);
	if (!journal->nr_queued && journal->nr_dropped) /* and none came after them */
		queue_push_lost(journal);
	has_entry = journal->nr_queued != 0;
	pthread_mutex_unlock(&journal->queue_lock);
	return has_entry;
}

/* Takes the first entry, whose line is written; the caller owns its strings then. */
static struct journal_entry queue_take(struct journal *journal)
{
	struct journal_entry entry;

	pthread_mutex_lock(&journal->queue_lock);
	entry = journal->queue[journal->first];
	journal->first = (journal->first + 1) % JOURNAL_NR_QUEUED;
	journal->nr_queued--;
	journal->nr_written--;
	pthread_mutex_unlock(&journal->queue_lock);
	return entry;
}

/* Waits until the log has room; at the end it does not, or a full pipe would hold the daemon. */
static bool log_has_room(struct journal *journal)
{
	bool stops, has_room;

	do {
		pthread_mutex_lock(&journal->queue_lock);
		stops = journal->stops;
		pthread_mutex_unlock(&journal->queue_lock);
		has_room = log_is_writable(stops ? 0 : LOG_WAIT_MS);
	} while (!has_room && !stops);
	return has_room;
}

static void *journal_thread(void *argument)
{
	struct journal *journal = argument;

	while (queue_wait(journal)) {
		struct journal_entry entry;
		char *sentence;

		journal_catch_up(journal);
		entry = queue_take(journal);
		sentence = journal_sentence(&entry);
		if (sentence && log_has_room(journal))
			log_write(level_of(&entry), "%s", sentence);
		free(sentence);
		entry_fini(&entry);
	}
	return NULL;
}

int journal_start(struct journal *journal)
{
	int error = pthread_create(&journal->thread, NULL, journal_thread, journal);

	journal->is_started = !error;
	return -error;
}

void journal_stop(struct journal *journal)
{
	pthread_mutex_lock(&journal->queue_lock);
	journal->stops = true;
	pthread_cond_signal(&journal->wake);
	pthread_mutex_unlock(&journal->queue_lock);
	if (journal->is_started)
		pthread_join(journal->thread, NULL);
	journal->is_started = false;
	journal_book_close(&journal->book);
}

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	for (; journal->nr_queued; journal->nr_queued--) {
		entry_fini(&journal->queue[journal->first]);
		journal->first = (journal->first + 1) % JOURNAL_NR_QUEUED;
	}
	for (unsigned int i = 0; i < JOURNAL_NR_REFUSALS; i++)
		free(journal->refusals[i].line);
	journal_book_fini(&journal->book);
	pthread_mutex_destroy(&journal->write_lock);
	pthread_cond_destroy(&journal->wake);
	pthread_mutex_destroy(&journal->queue_lock);
	free(journal->queue);
	free(journal);
}

/* ---- looking back ---- */

char *journal_last_refusal(struct journal *journal, uint64_t instance_id)
{
	char *line = NULL;

	pthread_mutex_lock(&journal->write_lock);
	lines_write(journal);
	for (unsigned int i = 0; i < JOURNAL_NR_REFUSALS && !line; i++)
		if (journal->refusals[i].instance_id == instance_id && journal->refusals[i].line)
			line = strdup(journal->refusals[i].line);
	pthread_mutex_unlock(&journal->write_lock);
	return line;
}

char *journal_history(struct journal *journal, size_t *size)
{
	journal_catch_up(journal);
	return journal_book_history(&journal->book, size);
}
