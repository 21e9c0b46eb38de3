/* SPDX-License-Identifier: MIT */
/*
 * The store of sealed pages; see swap_store.h. Slot n is at (n + 1) * 4096, behind a page that says
 * whose file it is.
 *
 * Slots that are dropped are given back to the system by a thread of their own, in groups: when
 * nothing in a group is needed any more, or half of it is not. That takes longer than a call of the
 * core may, and the core uses again what came free last: so it is done a while later, and only with
 * what is still not needed then.
 */
#include "front/swap_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/size.h"
#include "front/daemon.h"

#define GROUP_SLOTS 64u
#define NR_STALE_MAX 32
#define TRIM_DELAY_NS 100000000
#define NS_PER_S 1000000000
#define GROUP_NONE UINT32_MAX
#define SWAP_EPC_TIMES 4u
#define NR_SLOTS_MAX (UINT32_MAX / 2)

static const char mark[] = "epcd swap 1\n";

/* A bit for each slot. Under the store's lock. */
struct group {
	uint64_t filled; /* takes room */
	uint64_t live;	 /* holds a page; those that do are filled */
	uint32_t next;	 /* to be trimmed */
	bool is_queued;
	bool is_trimming; /* now: whoever wants to fill a slot waits */
};

struct swap_store {
	int fd;
	bool punches; /* the file system can give back; the trimmer's own */
	uint32_t nr_slots;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct group *groups;
	uint32_t first, last; /* the queue of groups to be trimmed, GROUP_NONE: it is empty */
	uint64_t nr_filled;
	bool is_ending;
	pthread_t trimmer;
};

static size_t groups_bytes(uint32_t nr_slots)
{
	return ((size_t)nr_slots / GROUP_SLOTS + 1) * sizeof(struct group);
}

static off_t offset_of(uint32_t slot)
{
	return ((off_t)slot + 1) * EPC_PAGE_SIZE;
}

static void punch(struct swap_store *store, uint32_t slot, unsigned int count)
{
	if (!store->punches)
		return;
	if (fallocate(store->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset_of(slot),
		      (off_t)count * EPC_PAGE_SIZE) < 0 &&
	    errno == EOPNOTSUPP)
		store->punches = false;
}

/* Run by run. */
static void stale_punch(struct swap_store *store, uint32_t first_slot, uint64_t stale)
{
	while (stale) {
		unsigned int first = (unsigned int)__builtin_ctzll(stale);
		uint64_t rest = ~(stale >> first);
		unsigned int count = rest ? (unsigned int)__builtin_ctzll(rest) : GROUP_SLOTS;

		punch(store, first_slot + first, count);
		stale &= first + count < GROUP_SLOTS ? ~UINT64_C(0) << (first + count) : 0;
	}
}

static bool is_worth_it(const struct group *group)
{
	return group->filled &&
	       (!group->live || __builtin_popcountll(group->filled & ~group->live) > NR_STALE_MAX);
}

/* The first of the queue, with the lock, which it lets go meanwhile. */
static void group_trim(struct swap_store *store)
{
	struct group *group = &store->groups[store->first];
	uint32_t first_slot = store->first * GROUP_SLOTS;
	uint64_t stale = group->filled & ~group->live;
	bool is_all = !group->live;

	store->first = group->next;
	group->is_queued = false;
	if (!is_worth_it(group))
		return;
	group->is_trimming = true;
	group->filled = group->live;
	pthread_mutex_unlock(&store->lock);
	/* In one call if it can be. */
	if (is_all)
		punch(store, first_slot, GROUP_SLOTS);
	else
		stale_punch(store, first_slot, stale);
	pthread_mutex_lock(&store->lock);
	store->nr_filled -= (unsigned int)__builtin_popcountll(stale);
	group->is_trimming = false;
	pthread_cond_broadcast(&store->changed);
}

static void delay(struct swap_store *store)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TRIM_DELAY_NS;
	until.tv_sec += until.tv_nsec / NS_PER_S;
	until.tv_nsec %= NS_PER_S;
	while (!store->is_ending &&
	       pthread_cond_timedwait(&store->changed, &store->lock, &until) == 0)
		;
}

static void *trimmer_main(void *argument)
{
	struct swap_store *store = argument;

	pthread_mutex_lock(&store->lock);
	while (!store->is_ending) {
		if (store->first == GROUP_NONE) {
			pthread_cond_wait(&store->changed, &store->lock);
			continue;
		}
		delay(store);
		while (!store->is_ending && store->first != GROUP_NONE)
			group_trim(store);
	}
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

static int slot_store(void *context, uint32_t slot, const void *bytes)
{
	struct swap_store *store = context;
	struct group *group = &store->groups[slot / GROUP_SLOTS];
	uint64_t bit = UINT64_C(1) << (slot % GROUP_SLOTS);

	pthread_mutex_lock(&store->lock);
	while (group->is_trimming)
		pthread_cond_wait(&store->changed, &store->lock);
	store->nr_filled += !(group->filled & bit);
	group->filled |= bit;
	group->live |= bit;
	pthread_mutex_unlock(&store->lock);
	/* Of a page that could not be written the core drops nothing. */
	if (pwrite(store->fd, bytes, EPC_PAGE_SIZE, offset_of(slot)) == EPC_PAGE_SIZE)
		return 0;
	pthread_mutex_lock(&store->lock);
	group->live &= ~bit;
	pthread_mutex_unlock(&store->lock);
	return -EIO;
}

static int slot_load(void *context, uint32_t slot, void *bytes)
{
	const struct swap_store *store = context;

	if (pread(store->fd, bytes, EPC_PAGE_SIZE, offset_of(slot)) != EPC_PAGE_SIZE)
		return -EIO;
	return 0;
}

static void slot_drop(void *context, uint32_t slot)
{
	struct swap_store *store = context;
	uint32_t number = slot / GROUP_SLOTS;
	struct group *group = &store->groups[number];

	pthread_mutex_lock(&store->lock);
	group->live &= ~(UINT64_C(1) << (slot % GROUP_SLOTS));
	if (!group->is_queued && is_worth_it(group)) {
		group->is_queued = true;
		group->next = GROUP_NONE;
		if (store->first == GROUP_NONE) {
			store->first = number;
			pthread_cond_signal(&store->changed);
		} else {
			store->groups[store->last].next = number;
		}
		store->last = number;
	}
	pthread_mutex_unlock(&store->lock);
}

/* Whether it may be overwritten: nothing in it, or our mark. */
static bool file_is_ours(int fd)
{
	char found[sizeof(mark)] = "";
	struct stat attr;

	if (fstat(fd, &attr) < 0 || !S_ISREG(attr.st_mode))
		return false;
	if (!attr.st_size)
		return true;
	return pread(fd, found, sizeof(mark) - 1, 0) == (ssize_t)sizeof(mark) - 1 &&
	       strcmp(found, mark) == 0;
}

static int file_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	int error;

	if (fd < 0) {
		error = -errno;
		log_error("--swap %s: %m; name a file that can be written", path);
		return error;
	}
	error = -EBUSY;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		log_error("--swap %s: it is in use by another epcd; name another file", path);
		goto close_file;
	}
	error = -EEXIST;
	if (!file_is_ours(fd)) {
		log_error("--swap %s: it is no file of epcd's and not empty; name another", path);
		goto close_file;
	}
	error = -EIO;
	if (ftruncate(fd, 0) < 0 || pwrite(fd, mark, sizeof(mark) - 1, 0) < 0) {
		log_error("--swap %s: %m; name a file that can be written", path);
		goto close_file;
	}
	return fd;
close_file:
	close(fd);
	return error;
}

static int memory_open(void)
{
	int fd = memfd_create("epcd-swap", MFD_CLOEXEC);

	if (fd >= 0)
		return fd;
	log_error("no memory can be had for swap: %m; do without it: --swap-max 0");
	return -errno;
}

static void locks_init(struct swap_store *store)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&store->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&store->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static void memory_free(struct swap_store *store)
{
	pthread_cond_destroy(&store->changed);
	pthread_mutex_destroy(&store->lock);
	munmap(store->groups, groups_bytes(store->nr_slots));
	free(store);
}

/* NULL: there is none. Address space now, memory as it is used. */
static struct swap_store *memory_new(uint32_t nr_slots)
{
	struct swap_store *new = calloc(1, sizeof(*new));

	if (!new)
		return NULL;
	new->groups = mmap(NULL, groups_bytes(nr_slots), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (new->groups == MAP_FAILED) {
		free(new);
		return NULL;
	}
	new->nr_slots = nr_slots;
	new->punches = true;
	new->first = GROUP_NONE;
	locks_init(new);
	return new;
}

int swap_store_new(const char *path, uint32_t nr_slots, struct swap_store **store)
{
	struct swap_store *new = memory_new(nr_slots);
	int error;

	if (!new)
		return -ENOMEM;
	new->fd = path ? file_open(path) : memory_open();
	error = new->fd;
	if (new->fd < 0)
		goto free_memory;
	error = -EAGAIN;
	if (pthread_create(&new->trimmer, NULL, trimmer_main, new) != 0)
		goto close_file;
	*store = new;
	return 0;
close_file:
	close(new->fd);
free_memory:
	memory_free(new);
	return error;
}

void swap_store_free(struct swap_store *store)
{
	if (!store)
		return;
	pthread_mutex_lock(&store->lock);
	store->is_ending = true;
	pthread_cond_broadcast(&store->changed);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->trimmer, NULL);
	/* Nobody can read it any more: the keys are gone. */
	if (ftruncate(store->fd, 0) < 0)
		log_debug("swap cannot be emptied: %m");
	close(store->fd);
	memory_free(store);
}

struct epc_swap_ops swap_store_ops(struct swap_store *store)
{
	return (struct epc_swap_ops){
		.store_fn = slot_store,
		.load_fn = slot_load,
		.drop_fn = slot_drop,
		.context = store,
	};
}

uint64_t swap_store_bytes(struct swap_store *store)
{
	uint64_t nr_filled;

	if (!store)
		return 0;
	pthread_mutex_lock(&store->lock);
	nr_filled = store->nr_filled;
	pthread_mutex_unlock(&store->lock);
	return nr_filled * EPC_PAGE_SIZE;
}

int swap_max_option_take(struct daemon_options *options, const char *text)
{
	uint64_t bytes;

	if (size_parse(text, &bytes) != 0 || bytes / EPC_PAGE_SIZE > NR_SLOTS_MAX) {
		log_error("--swap-max %s: not a size of at most 8191G; say bytes, or K, M or G "
			  "after a number",
			  text);
		return -EINVAL;
	}
	options->swap_max_bytes = bytes;
	options->has_swap_max = true;
	return 0;
}

int swap_option_take(struct daemon_options *options, const char *text)
{
	uint64_t bytes;

	if (!*text) {
		log_error("--swap: name a file, or say a size");
		return -EINVAL;
	}
	if (size_parse(text, &bytes) == 0)
		return swap_max_option_take(options, text);
	options->swap_path = text;
	return 0;
}

uint32_t swap_option_nr_slots(const struct daemon_options *options)
{
	uint64_t nr_slots = 0;

	if (options->has_swap_max)
		return (uint32_t)(options->swap_max_bytes / EPC_PAGE_SIZE);
	for (unsigned int i = 0; i < options->nr_sections; i++)
		nr_slots += options->sections[i].nr_pages * SWAP_EPC_TIMES;
	return nr_slots > NR_SLOTS_MAX ? NR_SLOTS_MAX : (uint32_t)nr_slots;
}
