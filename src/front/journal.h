/* SPDX-License-Identifier: MIT */
/*
 * The journal: what the core records becomes a sentence in the log, a JSON line for `events` and
 * an entry of `history`. Records arrive under the engine's lock and are only queued there; the
 * journal's own thread formats them, or a reader does, who sees every record that came before his
 * read. Only the thread writes to the log.
 *
 * In JSON, too, the names of cgroups and commands are escaped for showing (base/text.h): what a
 * reader prints cannot hurt him, and a name is the same text in the log and in the record.
 *
 * Locking: the journal's locks are innermost, nothing else is taken inside them.
 */
#ifndef EPCD_FRONT_JOURNAL_H
#define EPCD_FRONT_JOURNAL_H

#include "core/epc.h"
#include "front/mirror.h"
#include "front/node.h"

#define JOURNAL_NR_HISTORY 1000u  /* also what a slow reader of `events` may be behind */
#define JOURNAL_NR_QUEUED 4096u	  /* more are dropped, counted, and the drop is itself a record */
#define JOURNAL_NR_REFUSALS 1024u /* instances whose last refusal is kept */
#define JOURNAL_NR_READERS_MAX 1024u /* open streams, and reads that wait in them */

struct journal;

/*
 * journal_start() starts the thread. journal_stop() writes what is queued and answers all readers;
 * they read the end from then on. Errors: -ENOMEM, -EAGAIN (no thread).
 */
int journal_new(struct journal **journal);
int journal_start(struct journal *journal);
void journal_stop(struct journal *journal);
void journal_free(struct journal *journal);

/*
 * Under the engine's lock, never blocks: copies what it needs of the record, of the VM (the
 * record's instance_cookie is a struct instance) and of the cgroups (struct mirror_cgroup).
 */
void journal_add(struct journal *journal, const struct epc_record *record);

/* Somebody wrote misc.max; bytes UINT64_MAX: max. The path is raw. Any thread, no lock. */
void journal_add_limit(struct journal *journal, const char *cgroup_path, uint64_t old_max_bytes,
		       uint64_t max_bytes, uint64_t usage_bytes);

/*
 * The same for the own limit of an instance; report is of before. Under the engine's lock, as
 * journal_add().
 */
struct instance;
void journal_add_own_limit(struct journal *journal, const struct instance *instance,
			   const struct epc_instance_report *report, uint64_t max_bytes);

/*
 * The last refusal of an instance as its JSON record without a newline, a new string that the
 * caller frees; NULL: none, older than those of JOURNAL_NR_REFUSALS other instances, or no memory.
 */
char *journal_last_refusal(struct journal *journal, uint64_t instance_id);

/* All of history as JSON lines, a new string (caller frees), *size its length; NULL: no memory. */
char *journal_history(struct journal *journal, size_t *size);

/*
 * The `events` stream. Opening gives a position; reading gives whole lines (of a line longer than
 * size a piece, the rest comes next) or parks req until the next record; an interrupt answers
 * EINTR, O_NONBLOCK EAGAIN. Who is too slow loses the oldest and reads {"kind":"lost","count":N} in
 * their place. Closing forgets the reader.
 */
void journal_stream_open(struct journal *journal, fuse_req_t req, struct fuse_file_info *file);
void journal_stream_read(struct journal *journal, fuse_req_t req, size_t size,
			 struct fuse_file_info *file);
void journal_stream_release(struct journal *journal, fuse_req_t req, struct fuse_file_info *file);

#endif
