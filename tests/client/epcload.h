/* SPDX-License-Identifier: MIT */
/*
 * epcload: a load of enclaves. What its parts tell each other; what it is for stands in epcload.c.
 *
 *   load_options_*   the command line
 *   load_key_*       a signer's key; SIGSTRUCTs
 *   load_enclave_*   an enclave, built through the kernel's ioctls
 *   load_memory_*    its pages, with what must be in each of them kept outside
 *   load_pattern_*   which page is touched next
 *   load_process_*   one process of the load, with its threads
 *   load_report_*    figures and how they are printed
 *
 * Errors are -errno.
 */
#ifndef EPCD_CLIENT_EPCLOAD_H
#define EPCD_CLIENT_EPCLOAD_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define LOAD_PAGE_BYTES 4096u
#define LOAD_PAGE_WORDS (LOAD_PAGE_BYTES / 8)
#define LOAD_NR_PROCESSES_MAX 4096u
#define LOAD_NR_THREADS_MAX 256u
#define LOAD_NR_SPARE_PAGES 16u /* behind the others, only with --sgx2-every: they are trimmed */
#define LOAD_FAULT_NS 5000u	/* a touch that took longer was a fault */

/* Options. */

enum load_kind {
	LOAD_SEQUENTIAL,
	LOAD_RANDOM,
	LOAD_ZIPF,
	LOAD_PHASED
};

struct load_options {
	const char *device;
	const char *key_path;	/* NULL: a key of its own */
	const char *trace_path; /* NULL: no trace */
	uint64_t nr_pages;
	uint64_t nr_touches; /* of each process, 0: until the time is over */
	uint64_t seconds;    /* 0: no end but nr_touches */
	uint64_t seed;
	uint64_t fork_every, sgx2_every; /* touches of a process's first thread, 0: never */
	unsigned int nr_processes, nr_threads;
	enum load_kind kind;
	double zipf_s;
	unsigned int writes_percent;
	bool is_enclave; /* else any file that can be mapped */
	bool is_measured, is_json, is_quiet;
	bool is_sigbus_fatal;
	bool verifies_all; /* reads every page once more at the end */
};

/* 0; 1: --help, all is said; -EINVAL, and stderr says why. */
int load_options_parse(struct load_options *options, int nr_arguments, char **arguments);

/* Enclaves. */

struct load_key;

struct load_enclave {
	int file;
	uint64_t base, size; /* of the enclave: a power of two */
	uint64_t nr_pages;
	unsigned char *memory; /* where its first page is mapped */
};

/* Fills in the first contents of a page. */
typedef void load_fill_fn(void *context, uint64_t page, uint64_t *words);

/* A key is one of RSA with 3072 bits and exponent 3: the one in a PEM file, or a new one. */
int load_key_new(const char *path, struct load_key **key);
void load_key_free(struct load_key *key);

/* A SIGSTRUCT over mrenclave, for attributes MODE64BIT and XFRM 3. */
#define LOAD_SIGSTRUCT_BYTES 1808u
int load_key_sign(struct load_key *key, const unsigned char mrenclave[32],
		  unsigned char sigstruct[LOAD_SIGSTRUCT_BYTES]);

/*
 * Builds, initialises and maps an enclave of options->nr_pages pages (and the spare ones), or only
 * maps the device if none is wanted. On an error *step says what failed.
 */
int load_enclave_build(const struct load_options *options, struct load_key *key, load_fill_fn *fill,
		       void *context, struct load_enclave *enclave, const char **step);
void load_enclave_close(struct load_enclave *enclave);

/* SGX2 ioctls on pages [first, first + count): all of them again and again while EAGAIN. */
int load_enclave_restrict(const struct load_enclave *enclave, uint64_t first, uint64_t count);
int load_enclave_trim(const struct load_enclave *enclave, uint64_t page);
int load_enclave_remove(const struct load_enclave *enclave, uint64_t page);

/* Memory. */

/* In memory that a process shares with its children. Who is not its holder does not write. */
struct load_page {
	_Atomic int32_t holder; /* thread, 0: nobody */
	uint32_t generation;	/* of the content */
	bool is_torn;		/* a write was cut: each word is of this generation or the next */
};

struct load_memory {
	unsigned char *bytes;
	struct load_page *pages;
	uint64_t nr_pages;
	uint64_t owner; /* is part of what pages hold */
};

struct load_touch {
	uint64_t page;
	bool is_write;

	/* the answer */
	bool is_sigbus, is_wrong;
	uint64_t took_ns; /* of the first access */
	uint64_t address; /* SIGBUS */
	unsigned int word;
	uint64_t got, want;
};

uint64_t load_now_ns(void);
int load_memory_init(struct load_memory *memory, uint64_t nr_pages, uint64_t owner);
void load_memory_fini(struct load_memory *memory);

/* A load_fill_fn: generation 0; context is the memory. */
void load_memory_fill(void *context, uint64_t page, uint64_t *words);

/*
 * One access that may fault, then all words are verified, and, if it is a write, written with the
 * next generation. self is the caller's thread id. load_memory_guard() must have been called.
 */
void load_memory_touch(struct load_memory *memory, int32_t self, struct load_touch *touch);

/* SIGBUS in a touch is an answer from now on. */
void load_memory_guard(void);

/* Patterns. */

struct load_pattern;

struct load_cursor {
	const struct load_pattern *pattern;
	uint64_t random;
	uint64_t next;		       /* LOAD_SEQUENTIAL */
	uint64_t window, nr_in_window; /* LOAD_PHASED */
};

/* What all threads share; NULL: no memory. */
struct load_pattern *load_pattern_new(const struct load_options *options);
void load_pattern_free(struct load_pattern *pattern);

void load_cursor_init(struct load_cursor *cursor, const struct load_pattern *pattern, uint64_t seed,
		      uint64_t first);
uint64_t load_cursor_next(struct load_cursor *cursor);
uint64_t load_random(uint64_t *state);

/* Figures. */

#define LOAD_NR_BUCKETS 1024u

struct load_histogram {
	uint64_t counts[LOAD_NR_BUCKETS]; /* 16 for each power of two */
	uint64_t max;
};

/* Of one thread, which alone writes it, in memory that all processes share. */
struct load_figures {
	struct load_histogram latencies; /* ns of touches that faulted */
	uint64_t nr_touches, nr_writes, nr_faults;
	uint64_t nr_minor, nr_major; /* of the kernel */
	uint64_t nr_sigbus, sigbus_address;
	uint64_t nr_wrong;
	uint64_t nr_forks, nr_children_killed;
	uint64_t nr_restricted, nr_trimmed;
};

enum load_state {
	LOAD_BUILDING,
	LOAD_RUNNING,
	LOAD_DONE,
	LOAD_FAILED
};

struct load_process {
	pid_t pid;
	int status; /* of waitpid() */
	_Atomic int state;
	int error; /* LOAD_FAILED */
	uint64_t base;
	uint64_t build_ns, run_ns;
	struct load_figures figures[]; /* of each thread */
};

/* All that is shared by the processes. */
struct load {
	struct load_options options;
	_Atomic bool is_stopping;
	size_t process_bytes; /* of one struct load_process */
	struct load_process processes[];
};

struct load_process *load_process(struct load *load, unsigned int number);
int load_new(const struct load_options *options, struct load **load);
void load_free(struct load *load);

void load_histogram_add(struct load_histogram *histogram, uint64_t value);
void load_report_progress(struct load *load, uint64_t elapsed_ns);
void load_report_end(struct load *load);
bool load_is_right(struct load *load); /* everything that was touched, and every process's end */

/* Processes. */

/*
 * All that one process does: builds, writes a byte to ready, waits for the end of go, touches.
 * Returns the exit code.
 */
int load_process_run(struct load *load, unsigned int number, struct load_key *key,
		     const struct load_pattern *pattern, int ready, int go);

#endif
