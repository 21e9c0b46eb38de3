/* SPDX-License-Identifier: MIT */
/*
 * What the files of the journal share: an entry on its way from the core (journal.c) to its texts
 * (journal_format.c), and the book of lines that readers follow (journal_stream.c). Nobody else
 * includes this, but tests.
 */
#ifndef EPCD_FRONT_JOURNAL_INTERNAL_H
#define EPCD_FRONT_JOURNAL_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "front/journal.h"

enum journal_kind {
	JOURNAL_RECORD,	   /* of the core: record.kind says which */
	JOURNAL_LIMIT,	   /* record.limit_bytes, old_max_bytes, record.usage_bytes */
	JOURNAL_OWN_LIMIT, /* the same, of record.instance_id */
	JOURNAL_LOST,	   /* record.nr_pages records were dropped */
};

struct journal_entry {
	enum journal_kind kind;
	struct epc_record record; /* its cookies are not valid any more */
	uint64_t old_max_bytes;
	struct timespec time; /* of day */
	bool is_enclave;      /* of a process, else of a VM */
	int pid;
	char command[64]; /* escaped, as what follows */
	char *cgroup;	  /* who pays: of the task, else of the opener; NULL: no memory for it */
	char *refuser;	  /* REFUSED only */
};

/* The sentence for people, or NULL: no memory. Not for JOURNAL_RECORD kinds without one. */
char *journal_sentence(const struct journal_entry *entry);

/* The JSON line with its newline, or NULL: no memory. */
char *journal_line(const struct journal_entry *entry, uint64_t seq);

/* The lines, and who follows them. */
struct journal_reader {
	uint64_t next; /* the line that is read next */
	char *rest;    /* of a line that was longer than the read: a new string */
	size_t rest_at;
	struct journal_reader *older, *newer; /* the book's list */
};

struct journal_wait {
	uint64_t key; /* what the interrupt callback has: a wait may be gone when it comes */
	fuse_req_t req;
	struct journal_reader *reader;
	size_t size;
	bool is_parked; /* else its read handler still has it */
	bool is_interrupted;
	char *reply; /* once it is taken off the list: what to answer */
	size_t reply_size;
	int error;
	struct journal_wait *next;
};

struct journal_book {
	pthread_mutex_t lock;
	char *lines[JOURNAL_NR_HISTORY]; /* line n is in slot n % JOURNAL_NR_HISTORY */
	uint64_t nr_lines;		 /* since the start */
	struct journal_wait *waits;
	struct journal_reader *newest; /* of the readers */
	uint64_t next_key;
	unsigned int nr_readers, nr_waits;
	bool is_closed; /* nothing more comes */
};

void journal_book_init(struct journal_book *book);
void journal_book_fini(struct journal_book *book);
/* Adds a line, which it takes, and answers who waits for it. */
void journal_book_add(struct journal_book *book, char *line);
/* Answers everybody: the end. */
void journal_book_close(struct journal_book *book);
char *journal_book_history(struct journal_book *book, size_t *size);
struct journal_book *journal_book_of(struct journal *journal);

/* journal.c: before a reader looks: writes the lines of all records that came before the call. */
void journal_catch_up(struct journal *journal);

#endif
