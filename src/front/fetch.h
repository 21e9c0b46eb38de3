/* SPDX-License-Identifier: MIT */
/*
 * Reading of clients' memory, and the threads for the requests that need it. Such a read can hang
 * for as long as the client likes: on memory that is served by a program of the client's own
 * (userfaultfd, another FUSE), behind a lock of its address space. So it is done by threads that do
 * nothing else, never under the engine's lock, and can be given up: the thread is then left to its
 * fate, and whatever it brings back one day is thrown away.
 *
 * How much harm is there to do: of one process one job is run at a time, so one thread can hang for
 * each process, of one user FETCH_NR_OF_USER_MAX. Threads are added as jobs wait, up to
 * FETCH_NR_THREADS_MAX. When all of them hang, further jobs wait until a process that has one is
 * gone, which ends what its memory is waited for.
 *
 * What a job is for does not belong here (enclave.c).
 */
#ifndef EPCD_FRONT_FETCH_H
#define EPCD_FRONT_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FETCH_NR_THREADS 4u /* kept without work */
#define FETCH_NR_THREADS_MAX 64u
#define FETCH_NR_OF_USER_MAX (FETCH_NR_THREADS_MAX / 2)
#define FETCH_BYTES_MAX 4096u

struct fetch_pool;
struct fetcher; /* one of its threads */

/* Embedded in whatever needs memory read. The rings are the pool's. */
struct fetch_job {
	/*
	 * On a thread of the pool, and on no other before it returns. The job may be submitted
	 * again, or freed, from within it.
	 */
	void (*run)(struct fetch_job *job, struct fetcher *fetcher);
	pid_t process; /* its jobs take turns */
	uid_t uid;
	struct fetch_job *next, *prev;
	struct fetch_job *followers; /* those that wait for the same process, the first of a ring */
};

/* Errors: -ENOMEM, -EAGAIN (threads). */
int fetch_pool_new(struct fetch_pool **pool);
/*
 * From now on no job is run, and none is running. Jobs that were submitted are forgotten. Threads
 * that hang may outlive it, the pool itself is freed by the last.
 */
void fetch_pool_free(struct fetch_pool *pool);

void fetch_submit(struct fetch_pool *pool, struct fetch_job *job);
/* Whether the job is the caller's again: it waits or hangs, and its run() goes on no more. */
bool fetch_cancel(struct fetch_pool *pool, struct fetch_job *job);

/*
 * Around whatever can hang: between the two the job may be cancelled, nothing of it may be touched.
 * False: the job is somebody else's now, run() must return at once and leave it alone.
 */
bool fetch_begin(struct fetcher *fetcher);
bool fetch_end(struct fetcher *fetcher);

/* A mapping of a client, as far as it is known. */
struct fetch_mapping {
	dev_t not_of;	     /* set by the caller: a mapping of a file on this device is none */
	uint64_t start, end; /* addresses that may be executed, both 0: none is known */
};

/*
 * Copies size bytes at the address of the task's process, FETCH_BYTES_MAX at most. mapping: NULL,
 * or they must be in memory that may be executed (Linux: VM_MAYEXEC). *bytes are the thread's and
 * valid until its next call. Errors: -EFAULT, -EACCES (no such right), -ECANCELED (false above).
 */
int fetch_memory(struct fetcher *fetcher, pid_t tid, uint64_t address, size_t size,
		 struct fetch_mapping *mapping, const void **bytes);

/* fetch_mapping.c: 0 and the mapping around the address, -EFAULT, -EACCES. May hang. */
int fetch_mapping_find(pid_t tid, uint64_t address, struct fetch_mapping *mapping);

#endif
