/* SPDX-License-Identifier: MIT */
/* The journal: the queue between the engine's lock and the thread that writes; see journal.h. */
#include "front/journal_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "front/daemon.h"

struct refusal {
	uint64_t instance_id; /* 0: a free slot */
	char *line;	      /* without its newline */
};

struct journal {
	pthread_mutex_t queue_lock;
	pthread_cond_t wake;
	struct journal_entry *queue; /* a ring of JOURNAL_NR_QUEUED */
	unsigned int first, nr_queued;
	uint64_t nr_dropped; /* since the last entry that was queued */
	bool stops;

	pthread_t thread;
	bool is_started;
	uint64_t seq; /* the thread's */

	pthread_mutex_t refusal_lock;
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
	pthread_mutex_init(&journal->refusal_lock, NULL);
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

/* Takes the entry's strings, in any case. */
static void queue_add(struct journal *journal, struct journal_entry *entry)
{
	unsigned int slot;

	clock_gettime(CLOCK_REALTIME, &entry->time);
	pthread_mutex_lock(&journal->queue_lock);
	if (journal->nr_queued == JOURNAL_NR_QUEUED) {
		journal->nr_dropped++;
		pthread_mutex_unlock(&journal->queue_lock);
		entry_fini(entry);
		return;
	}
	entry->nr_lost_before = journal->nr_dropped;
	journal->nr_dropped = 0;
	slot = (journal->first + journal->nr_queued) % JOURNAL_NR_QUEUED;
	journal->queue[slot] = *entry;
	if (journal->nr_queued++ == 0)
		pthread_cond_signal(&journal->wake);
	pthread_mutex_unlock(&journal->queue_lock);
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

void journal_add(struct journal *journal, const struct epc_record *record)
{
	const struct vepc *vepc = record->instance_cookie;
	struct journal_entry entry = { .kind = JOURNAL_RECORD, .record = *record };

	entry.pid = vepc->pid;
	snprintf(entry.command, sizeof(entry.command), "%s", vepc->command);
	if (record->payer_cookie)
		entry.cgroup = cgroup_text(record->payer_cookie);
	else if (vepc->cgroup_path)
		entry.cgroup = strdup(vepc->cgroup_path);
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

/* ---- out of the queue ---- */

static struct journal_entry lost(uint64_t nr_records)
{
	struct journal_entry entry = { .kind = JOURNAL_LOST };

	entry.record.nr_pages = nr_records;
	clock_gettime(CLOCK_REALTIME, &entry.time);
	return entry;
}

/* Waits for the next entry, which the caller then owns; false: the end. */
static bool queue_take(struct journal *journal, struct journal_entry *entry)
{
	bool has_entry = true;

	pthread_mutex_lock(&journal->queue_lock);
	while (!journal->nr_queued && !journal->nr_dropped && !journal->stops)
		pthread_cond_wait(&journal->wake, &journal->queue_lock);
	if (journal->nr_queued) {
		*entry = journal->queue[journal->first];
		journal->first = (journal->first + 1) % JOURNAL_NR_QUEUED;
		journal->nr_queued--;
	} else if (journal->nr_dropped) { /* and none came after them */
		*entry = lost(journal->nr_dropped);
		journal->nr_dropped = 0;
	} else {
		has_entry = false;
	}
	pthread_mutex_unlock(&journal->queue_lock);
	return has_entry;
}

static void keep_refusal(struct journal *journal, uint64_t instance_id, const char *line)
{
	char *copy = strndup(line, strcspn(line, "\n"));
	unsigned int slot;

	pthread_mutex_lock(&journal->refusal_lock);
	for (slot = 0; slot < JOURNAL_NR_REFUSALS; slot++)
		if (journal->refusals[slot].instance_id == instance_id)
			break;
	if (slot == JOURNAL_NR_REFUSALS) {
		slot = journal->next_refusal;
		journal->next_refusal = (slot + 1) % JOURNAL_NR_REFUSALS;
	}
	free(journal->refusals[slot].line);
	journal->refusals[slot] = (struct refusal){ instance_id, copy };
	pthread_mutex_unlock(&journal->refusal_lock);
}

static enum log_level level_of(const struct journal_entry *entry)
{
	if (entry->kind == JOURNAL_LOST)
		return LOG_LEVEL_WARNING;
	if (entry->kind == JOURNAL_RECORD &&
	    (entry->record.kind == EPC_RECORD_RESET || entry->record.kind == EPC_RECORD_PUNCHED))
		return LOG_LEVEL_DEBUG;
	return LOG_LEVEL_INFO;
}

/* Readers first: stderr may be a pipe that nobody empties. */
static void entry_write(struct journal *journal, const struct journal_entry *entry)
{
	char *sentence = journal_sentence(entry);
	char *line = journal_line(entry, ++journal->seq);

	if (line && entry->kind == JOURNAL_RECORD && entry->record.kind == EPC_RECORD_REFUSED)
		keep_refusal(journal, entry->record.instance_id, line);
	if (line)
		journal_book_add(&journal->book, line);
	if (sentence)
		log_write(level_of(entry), "%s", sentence);
	free(sentence);
}

static void *journal_thread(void *argument)
{
	struct journal *journal = argument;
	struct journal_entry entry;

	while (queue_take(journal, &entry)) {
		if (entry.nr_lost_before) {
			struct journal_entry before = lost(entry.nr_lost_before);

			entry_write(journal, &before);
		}
		entry_write(journal, &entry);
		entry_fini(&entry);
	}
	return NULL;
}

int journal_start(struct journal *journal)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&journal->thread, NULL, journal_thread, journal);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
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
	pthread_mutex_destroy(&journal->refusal_lock);
	pthread_cond_destroy(&journal->wake);
	pthread_mutex_destroy(&journal->queue_lock);
	free(journal->queue);
	free(journal);
}

/* ---- looking back ---- */

char *journal_last_refusal(struct journal *journal, uint64_t instance_id)
{
	char *line = NULL;

	pthread_mutex_lock(&journal->refusal_lock);
	for (unsigned int i = 0; i < JOURNAL_NR_REFUSALS; i++)
		if (journal->refusals[i].instance_id == instance_id && journal->refusals[i].line)
			line = strdup(journal->refusals[i].line);
	pthread_mutex_unlock(&journal->refusal_lock);
	return line;
}

char *journal_history(struct journal *journal, size_t *size)
{
	return journal_book_history(&journal->book, size);
}
