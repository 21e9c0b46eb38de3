/* SPDX-License-Identifier: MIT */
/*
 * The book of lines and those who follow it: `history` and the `events` stream.
 *
 * libfuse calls the interrupt callback with the request's lock held, at any time between
 * fuse_req_interrupt_func() and the reply, so that function must be called without the book's lock
 * and before others may answer the request. A read is therefore put on the list first, not parked
 * yet: a callback that comes now only leaves its mark. What the callback has is a key, not a
 * pointer: by the time it has the lock, the wait may have been answered and freed.
 */
#include "front/journal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/daemon.h"

#define LOST_LINE_SIZE 64u

void journal_book_init(struct journal_book *book)
{
	pthread_mutex_init(&book->lock, NULL);
	book->next_key = 1;
}

static void reader_free(struct journal_reader *reader)
{
	free(reader->rest);
	free(reader);
}

/* Readers are left when the connection was ended under them: no release comes then. */
void journal_book_fini(struct journal_book *book)
{
	while (book->newest) {
		struct journal_reader *reader = book->newest;

		book->newest = reader->older;
		reader_free(reader);
	}
	for (unsigned int i = 0; i < JOURNAL_NR_HISTORY; i++)
		free(book->lines[i]);
	pthread_mutex_destroy(&book->lock);
}

static uint64_t oldest(const struct journal_book *book)
{
	return book->nr_lines > JOURNAL_NR_HISTORY ? book->nr_lines - JOURNAL_NR_HISTORY : 0;
}

static const char *line_of(const struct journal_book *book, uint64_t number)
{
	return book->lines[number % JOURNAL_NR_HISTORY];
}

/* ---- what a reader gets; with the book's lock ---- */

struct piece {
	char *bytes;
	size_t size, room;
};

/* Appends a line if it fits as a whole. */
static bool piece_add(struct piece *piece, const char *line)
{
	size_t size = strlen(line);

	if (size > piece->room - piece->size)
		return false;
	memcpy(piece->bytes + piece->size, line, size);
	piece->size += size;
	return true;
}

/* Fills the piece with what is left of a line that was longer than a read. */
static void piece_add_rest(struct piece *piece, struct journal_reader *reader)
{
	size_t size = strlen(reader->rest + reader->rest_at);

	if (size > piece->room)
		size = piece->room;
	memcpy(piece->bytes, reader->rest + reader->rest_at, size);
	piece->size = size;
	reader->rest_at += size;
	if (reader->rest[reader->rest_at] == '\0') {
		free(reader->rest);
		reader->rest = NULL;
	}
}

/* Adds the line, or makes it the reader's rest and adds its beginning if nothing else is there. */
static bool reader_give(struct journal_reader *reader, struct piece *piece, const char *line)
{
	if (piece_add(piece, line))
		return true;
	if (piece->size)
		return false;
	reader->rest = strdup(line);
	reader->rest_at = 0;
	if (reader->rest)
		piece_add_rest(piece, reader);
	return piece->size != 0;
}

static bool reader_has_lines(const struct journal_book *book, const struct journal_reader *reader)
{
	return reader->rest || reader->next < book->nr_lines;
}

/* What the wait is answered with: there are lines, or the book is closed. */
static void wait_fill(struct journal_book *book, struct journal_wait *wait)
{
	struct journal_reader *reader = wait->reader;
	struct piece piece = { .room = wait->size };
	char lost[LOST_LINE_SIZE];

	piece.bytes = malloc(piece.room ? piece.room : 1);
	if (!piece.bytes) {
		wait->error = ENOMEM;
		return;
	}
	if (reader->rest)
		piece_add_rest(&piece, reader);
	if (!reader->rest && reader->next < oldest(book)) {
		snprintf(lost, sizeof(lost), "{\"kind\":\"lost\",\"count\":%" PRIu64 "}\n",
			 oldest(book) - reader->next);
		if (reader_give(reader, &piece, lost))
			reader->next = oldest(book);
	}
	while (!reader->rest && reader->next >= oldest(book) && reader->next < book->nr_lines &&
	       reader_give(reader, &piece, line_of(book, reader->next)))
		reader->next++;
	wait->reply = piece.bytes;
	wait->reply_size = piece.size;
}

/* ---- waits ---- */

static void wait_unlink(struct journal_book *book, struct journal_wait *wait)
{
	struct journal_wait **link = &book->waits;

	while (*link != wait)
		link = &(*link)->next;
	*link = wait->next;
	book->nr_waits--;
}

/* Without the lock: the reader may be released as soon as this is sent. */
static void wait_answer(struct journal_wait *wait)
{
	if (wait->error)
		fuse_reply_err(wait->req, wait->error);
	else
		fuse_reply_buf(wait->req, wait->reply, wait->reply_size);
	free(wait->reply);
	free(wait);
}

/* Takes all that are parked off the list and fills them; with the lock. */
static struct journal_wait *waits_take(struct journal_book *book)
{
	struct journal_wait **link = &book->waits, *taken = NULL;

	while (*link) {
		struct journal_wait *wait = *link;

		if (!wait->is_parked) {
			link = &wait->next;
			continue;
		}
		*link = wait->next;
		book->nr_waits--;
		wait_fill(book, wait);
		wait->next = taken;
		taken = wait;
	}
	return taken;
}

static void waits_answer(struct journal_wait *taken)
{
	while (taken) {
		struct journal_wait *next = taken->next;

		wait_answer(taken);
		taken = next;
	}
}

void journal_book_add(struct journal_book *book, char *line)
{
	struct journal_wait *taken;
	char **slot;

	pthread_mutex_lock(&book->lock);
	slot = &book->lines[book->nr_lines % JOURNAL_NR_HISTORY];
	free(*slot);
	*slot = line;
	book->nr_lines++;
	taken = waits_take(book);
	pthread_mutex_unlock(&book->lock);
	waits_answer(taken);
}

void journal_book_close(struct journal_book *book)
{
	struct journal_wait *taken;

	pthread_mutex_lock(&book->lock);
	book->is_closed = true;
	taken = waits_take(book);
	pthread_mutex_unlock(&book->lock);
	waits_answer(taken);
}

char *journal_book_history(struct journal_book *book, size_t *size)
{
	size_t at = 0, total = 0;
	char *text;

	pthread_mutex_lock(&book->lock);
	for (uint64_t i = oldest(book); i < book->nr_lines; i++)
		total += strlen(line_of(book, i));
	text = malloc(total + 1);
	for (uint64_t i = oldest(book); text && i < book->nr_lines; i++) {
		size_t line_size = strlen(line_of(book, i));

		memcpy(text + at, line_of(book, i), line_size);
		at += line_size;
	}
	pthread_mutex_unlock(&book->lock);
	if (text)
		text[at] = '\0';
	*size = at;
	return text;
}

/* ---- the stream ---- */

void journal_stream_open(struct journal *journal, fuse_req_t req, struct fuse_file_info *file)
{
	struct journal_book *book = journal_book_of(journal);
	struct journal_reader *reader = calloc(1, sizeof(*reader));
	int error = reader ? 0 : ENOMEM;

	journal_catch_up(journal);
	pthread_mutex_lock(&book->lock);
	if (!error && book->nr_readers >= JOURNAL_NR_READERS_MAX)
		error = ENFILE;
	if (!error) {
		book->nr_readers++;
		reader->next = book->nr_lines;
		reader->older = book->newest;
		if (book->newest)
			book->newest->newer = reader;
		book->newest = reader;
	}
	pthread_mutex_unlock(&book->lock);
	if (error) {
		free(reader);
		fuse_reply_err(req, error);
		return;
	}
	file->fh = (uint64_t)(uintptr_t)reader;
	file->direct_io = 1;
	file->nonseekable = 1;
	if (fuse_reply_open(req, file) == -ENOENT) /* interrupted: no release will come */
		journal_stream_release(journal, NULL, file);
}

/* The reader's process has a signal. The request's lock is held, so it is still there. */
static void stream_interrupted(fuse_req_t req, void *data)
{
	struct daemon *daemon = fuse_req_userdata(req);
	struct journal_book *book = journal_book_of(daemon->journal);
	uint64_t key = (uint64_t)(uintptr_t)data;
	struct journal_wait *wait;

	pthread_mutex_lock(&book->lock);
	for (wait = book->waits; wait && wait->key != key;)
		wait = wait->next;
	if (wait && wait->is_parked) {
		wait_unlink(book, wait);
		wait->error = EINTR;
	} else if (wait) {
		wait->is_interrupted = true;
		wait = NULL;
	}
	pthread_mutex_unlock(&book->lock);
	if (wait)
		wait_answer(wait);
}

/* The first look: an answer if there is one, else the wait goes on the list, not parked yet. */
static bool wait_enlist(struct journal_book *book, struct journal_wait *wait, bool may_wait)
{
	bool has_answer = true;

	pthread_mutex_lock(&book->lock);
	if (book->is_closed || reader_has_lines(book, wait->reader)) {
		wait_fill(book, wait);
	} else if (!may_wait) {
		wait->error = EAGAIN;
	} else if (book->nr_waits >= JOURNAL_NR_READERS_MAX) {
		wait->error = ENOMEM;
	} else {
		has_answer = false;
		wait->key = book->next_key++;
		wait->next = book->waits;
		book->waits = wait;
		book->nr_waits++;
	}
	pthread_mutex_unlock(&book->lock);
	return has_answer;
}

void journal_stream_read(struct journal *journal, fuse_req_t req, size_t size,
			 struct fuse_file_info *file)
{
	struct journal_book *book = journal_book_of(journal);
	struct journal_wait *wait = calloc(1, sizeof(*wait));
	bool has_answer;

	if (!wait) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	wait->req = req;
	wait->size = size;
	wait->reader = (struct journal_reader *)(uintptr_t)file->fh;
	journal_catch_up(journal);
	if (wait_enlist(book, wait, !(file->flags & O_NONBLOCK))) {
		wait_answer(wait);
		return;
	}
	fuse_req_interrupt_func(req, stream_interrupted, (void *)(uintptr_t)wait->key);

	pthread_mutex_lock(&book->lock);
	has_answer = wait->is_interrupted || book->is_closed ||
		     reader_has_lines(book, wait->reader);
	wait->is_parked = !has_answer;
	if (has_answer) {
		wait_unlink(book, wait);
		if (wait->is_interrupted)
			wait->error = EINTR;
		else
			wait_fill(book, wait);
	}
	pthread_mutex_unlock(&book->lock);
	if (has_answer)
		wait_answer(wait);
}

void journal_stream_release(struct journal *journal, fuse_req_t req, struct fuse_file_info *file)
{
	struct journal_book *book = journal_book_of(journal);
	struct journal_reader *reader = (struct journal_reader *)(uintptr_t)file->fh;

	pthread_mutex_lock(&book->lock);
	book->nr_readers--;
	if (reader->newer)
		reader->newer->older = reader->older;
	else
		book->newest = reader->older;
	if (reader->older)
		reader->older->newer = reader->newer;
	pthread_mutex_unlock(&book->lock);
	reader_free(reader);
	if (req)
		fuse_reply_err(req, 0);
}
