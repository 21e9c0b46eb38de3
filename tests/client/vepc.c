/* SPDX-License-Identifier: MIT */
/*
 * A client of the vEPC node that tests drive: one command a line on stdin, one line of answer on
 * stdout. S is a slot (one open file and one mapping of it), FIRST and LAST are pages, LAST
 * included; numbers are decimal or 0x...
 *
 *   pid                          pid N
 *   open S PATH                  opened S
 *   mmap S NR_PAGES              mapped S           (shared, readable, writable, from offset 0)
 *   hugepage S                   advised S          (MADV_HUGEPAGE)
 *   random S                     advised S          (MADV_RANDOM: no reading ahead)
 *   populate S FIRST LAST        populated S        (MADV_POPULATE_WRITE)
 *   write S FIRST LAST SEED      wrote S | sigbus PAGE
 *   verify S FIRST LAST SEED     verified S | bad page P offset O: got X want Y | sigbus PAGE
 *   zero S FIRST LAST            clean S | bad page ... | sigbus PAGE
 *   touch S FIRST LAST           touched S | sigbus PAGE
 *   ioctl S NUMBER ARGUMENT      returned N
 *   punch S FIRST LAST           punched S          (FALLOC_FL_PUNCH_HOLE)
 *   reset S FIRST LAST           reset S            (FALLOC_FL_ZERO_RANGE)
 *   truncate S BYTES             truncated S
 *   crew S NR_THREADS FIRST LAST SEED   crew S      (they write; returns at once)
 *   join                         joined, W written, R refused
 *   fork S FIRST LAST SEED       child exit N | child signal N  (the child writes the pages)
 *   alarms MICROSECONDS          alarms N           (SIGALRM that often, 0: none; N: how many came)
 *   unmap S / close S            unmapped S / closed S
 *   reopen S PATH                reopened S         (unmaps, closes, opens and maps as before)
 *   hunger NR_PAGES PATH         hungry N           (a thread opens, maps and touches: hunger.h)
 *   fast NR_OPENS                fasted N           (until it has opened so many times more)
 *   sate                         sated, O opens, E eaten, R refused
 *
 * What fails is answered with "error ERRNO text". How memory is touched is guard.c's.
 */
#include "guard.h"
#include "hunger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_SLOTS 64u
#define NR_WORDS_MAX 6u
#define LINE_BYTES 4608u
#define NR_THREADS_MAX 1024u

struct slot {
	int file;
	void *memory;
	uint64_t nr_pages;
};

struct command {
	const char *words[NR_WORDS_MAX];
	uint64_t numbers[NR_WORDS_MAX]; /* of the words that are one */
	size_t nr_words;
	struct slot *slot;	    /* the first number's */
	struct pattern_range range; /* of the two numbers after range_at */
};

/* range_at: where FIRST stands among the words, 0: nowhere. has_slot: the second word is S. */
struct verb {
	const char *name;
	size_t nr_words;
	size_t range_at;
	bool has_slot;
	void (*run)(struct command *command);
};

struct check {
	const struct command *command;
	struct pattern_difference difference;
	bool is_same;
};

static struct slot slots[NR_SLOTS];
static struct crew *the_crew;
static struct hunger *the_hunger;
static volatile sig_atomic_t nr_alarms;

static void error_write(int error)
{
	printf("error %d %s\n", error, strerror(error));
}

/* The answer to a call that returns -1 and errno. */
static void result_write(int result, const struct command *command, const char *word)
{
	if (result)
		error_write(errno);
	else
		printf("%s %" PRIu64 "\n", word, command->numbers[1]);
}

static void pid_run(struct command *command)
{
	(void)command;
	printf("pid %d\n", (int)getpid());
}

static void open_run(struct command *command)
{
	if (command->slot->file >= 0) {
		error_write(EEXIST);
		return;
	}
	command->slot->file = open(command->words[2], O_RDWR | O_CLOEXEC);
	result_write(command->slot->file < 0, command, "opened");
}

static void mmap_run(struct command *command)
{
	struct slot *slot = command->slot;
	void *memory = mmap(NULL, command->numbers[2] * PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED, slot->file, 0);

	if (memory == MAP_FAILED) {
		error_write(errno);
		return;
	}
	slot->memory = memory;
	slot->nr_pages = command->numbers[2];
	result_write(0, command, "mapped");
}

static void unmap_run(struct command *command)
{
	struct slot *slot = command->slot;

	result_write(munmap(slot->memory, slot->nr_pages * PAGE_BYTES), command, "unmapped");
	slot->memory = NULL;
	slot->nr_pages = 0;
}

static void close_run(struct command *command)
{
	int result = close(command->slot->file);

	command->slot->file = -1;
	result_write(result, command, "closed");
}

/* As a VMM would that has no other reset: nothing is done between but what must be. */
static void reopen_run(struct command *command)
{
	struct slot *slot = command->slot;
	uint64_t nr_pages = slot->nr_pages;

	if (munmap(slot->memory, nr_pages * PAGE_BYTES) || close(slot->file)) {
		error_write(errno);
		return;
	}
	slot->nr_pages = 0;
	slot->file = open(command->words[2], O_RDWR | O_CLOEXEC);
	slot->memory = mmap(NULL, nr_pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			    slot->file, 0);
	if (slot->memory != MAP_FAILED)
		slot->nr_pages = nr_pages;
	result_write(slot->memory == MAP_FAILED, command, "reopened");
}

static void advise(const struct command *command, int advice)
{
	const struct slot *slot = command->slot;

	result_write(madvise(slot->memory, slot->nr_pages * PAGE_BYTES, advice), command,
		     "advised");
}

static void hugepage_run(struct command *command)
{
	advise(command, MADV_HUGEPAGE);
}

static void random_run(struct command *command)
{
	advise(command, MADV_RANDOM);
}

static void populate_run(struct command *command)
{
	char *first = (char *)command->slot->memory + command->range.first * PAGE_BYTES;
	uint64_t nr_pages = command->range.last - command->range.first + 1;

	result_write(madvise(first, nr_pages * PAGE_BYTES, MADV_POPULATE_WRITE), command,
		     "populated");
}

static void check_write(void *context)
{
	const struct check *check = context;

	pattern_write(&check->command->range, check->command->numbers[4]);
}

static void check_verify(void *context)
{
	struct check *check = context;

	check->is_same = pattern_verify(&check->command->range, check->command->numbers[4],
					&check->difference);
}

static void check_zero(void *context)
{
	struct check *check = context;

	check->is_same = pattern_is_zero(&check->command->range, &check->difference);
}

static void check_touch(void *context)
{
	const struct check *check = context;

	(void)pattern_touch(&check->command->range);
}

static void check_run(struct command *command, void (*work)(void *context), const char *word)
{
	struct check check = { .command = command, .is_same = true };
	uint64_t page = guard_run(&command->range, work, &check);

	if (page != GUARD_NO_PAGE)
		printf("sigbus %" PRIu64 "\n", page);
	else if (check.is_same)
		result_write(0, command, word);
	else
		printf("bad page %" PRIu64 " offset %" PRIu64 ": got 0x%016" PRIx64 " want "
		       "0x%016" PRIx64 "\n",
		       check.difference.page, check.difference.offset, check.difference.got,
		       check.difference.want);
}

static void write_run(struct command *command)
{
	check_run(command, check_write, "wrote");
}

static void verify_run(struct command *command)
{
	check_run(command, check_verify, "verified");
}

static void zero_run(struct command *command)
{
	check_run(command, check_zero, "clean");
}

static void touch_run(struct command *command)
{
	check_run(command, check_touch, "touched");
}

static void ioctl_run(struct command *command)
{
	int result = ioctl(command->slot->file, command->numbers[2], command->numbers[3]);

	if (result < 0)
		error_write(errno);
	else
		printf("returned %d\n", result);
}

static int slot_fallocate(const struct command *command, int mode)
{
	off_t first = (off_t)(command->range.first * PAGE_BYTES);
	uint64_t nr_pages = command->range.last - command->range.first + 1;

	return fallocate(command->slot->file, mode | FALLOC_FL_KEEP_SIZE, first,
			 (off_t)(nr_pages * PAGE_BYTES));
}

static void punch_run(struct command *command)
{
	result_write(slot_fallocate(command, FALLOC_FL_PUNCH_HOLE), command, "punched");
}

static void reset_run(struct command *command)
{
	result_write(slot_fallocate(command, FALLOC_FL_ZERO_RANGE), command, "reset");
}

static void truncate_run(struct command *command)
{
	result_write(ftruncate(command->slot->file, (off_t)command->numbers[2]), command,
		     "truncated");
}

static void crew_run(struct command *command)
{
	uint64_t nr_threads = command->numbers[2];

	if (the_crew || nr_threads == 0 || nr_threads > NR_THREADS_MAX) {
		error_write(EINVAL);
		return;
	}
	the_crew = crew_new(&command->range, command->numbers[5], nr_threads);
	errno = ENOMEM;
	result_write(!the_crew, command, "crew");
}

static void join_run(struct command *command)
{
	uint64_t nr_written, nr_refused;

	(void)command;
	if (!the_crew) {
		error_write(EINVAL);
		return;
	}
	crew_free(the_crew, &nr_written, &nr_refused);
	the_crew = NULL;
	printf("joined, %" PRIu64 " written, %" PRIu64 " refused\n", nr_written, nr_refused);
}

static void hunger_run(struct command *command)
{
	if (the_hunger || !command->numbers[1]) {
		error_write(EINVAL);
		return;
	}
	the_hunger = hunger_new(command->words[2], command->numbers[1]);
	errno = ENOMEM;
	result_write(!the_hunger, command, "hungry");
}

static void fast_run(struct command *command)
{
	errno = EINVAL;
	if (the_hunger)
		hunger_wait(the_hunger, command->numbers[1]);
	result_write(!the_hunger, command, "fasted");
}

static void sate_run(struct command *command)
{
	struct hunger_meal meal;

	(void)command;
	if (!the_hunger) {
		error_write(EINVAL);
		return;
	}
	hunger_free(the_hunger, &meal);
	the_hunger = NULL;
	printf("sated, %" PRIu64 " opens, %" PRIu64 " eaten, %" PRIu64 " refused\n", meal.nr_opens,
	       meal.nr_eaten, meal.nr_refused);
}

static void fork_run(struct command *command)
{
	struct check check = { .command = command };
	int status;
	pid_t pid = fork();

	if (pid < 0) {
		error_write(errno);
		return;
	}
	if (pid == 0)
		_exit(guard_run(&command->range, check_write, &check) != GUARD_NO_PAGE);
	if (waitpid(pid, &status, 0) < 0)
		error_write(errno);
	else if (WIFSIGNALED(status))
		printf("child signal %d\n", WTERMSIG(status));
	else
		printf("child exit %d\n", WEXITSTATUS(status));
}

static void alarm_handle(int signal_number)
{
	(void)signal_number;
	nr_alarms++;
}

static void alarms_run(struct command *command)
{
	struct sigaction action = { .sa_handler = alarm_handle, .sa_flags = SA_RESTART };
	struct timeval interval = { .tv_sec = (time_t)(command->numbers[1] / 1000000),
				    .tv_usec = (suseconds_t)(command->numbers[1] % 1000000) };
	struct itimerval timer = { .it_interval = interval, .it_value = interval };

	sigemptyset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	printf("alarms %d\n", (int)nr_alarms);
}

static const struct verb verbs[] = {
	{ "pid", 1, 0, false, pid_run },	  { "open", 3, 0, true, open_run },
	{ "mmap", 3, 0, true, mmap_run },	  { "hugepage", 2, 0, true, hugepage_run },
	{ "populate", 4, 2, true, populate_run }, { "write", 5, 2, true, write_run },
	{ "verify", 5, 2, true, verify_run },	  { "zero", 4, 2, true, zero_run },
	{ "touch", 4, 2, true, touch_run },	  { "ioctl", 4, 0, true, ioctl_run },
	{ "punch", 4, 2, true, punch_run },	  { "reset", 4, 2, true, reset_run },
	{ "truncate", 3, 0, true, truncate_run }, { "crew", 6, 3, true, crew_run },
	{ "join", 1, 0, false, join_run },	  { "fork", 5, 2, true, fork_run },
	{ "alarms", 2, 0, false, alarms_run },	  { "unmap", 2, 0, true, unmap_run },
	{ "close", 2, 0, true, close_run },	  { "random", 2, 0, true, random_run },
	{ "reopen", 3, 0, true, reopen_run },	  { "hunger", 3, 0, false, hunger_run },
	{ "fast", 2, 0, false, fast_run },	  { "sate", 1, 0, false, sate_run },
};

static const struct verb *verb_find(const struct command *command)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (command->nr_words == verbs[i].nr_words &&
		    !strcmp(command->words[0], verbs[i].name))
			return &verbs[i];
	}
	return NULL;
}

static bool has_path(const char *verb)
{
	return !strcmp(verb, "open") || !strcmp(verb, "reopen") || !strcmp(verb, "hunger");
}

/* Cuts the line into words, in place; the last word may have spaces in it (a path). */
static void command_split(struct command *command, char *line)
{
	char *rest = line;

	line[strcspn(line, "\n")] = '\0';
	command->nr_words = 0;
	while (rest && command->nr_words < NR_WORDS_MAX) {
		char *word = rest;

		if (command->nr_words == 2 && has_path(command->words[0]))
			rest = NULL;
		else
			strsep(&rest, " ");
		command->numbers[command->nr_words] = strtoull(word, NULL, 0);
		command->words[command->nr_words++] = word;
	}
}

static void command_run(struct command *command)
{
	const struct verb *verb = verb_find(command);

	if (!verb) {
		error_write(ENOSYS);
		return;
	}
	if (verb->has_slot && command->numbers[1] >= NR_SLOTS) {
		error_write(EBADF);
		return;
	}
	if (verb->has_slot)
		command->slot = &slots[command->numbers[1]];
	if (verb->range_at) {
		command->range.words = command->slot->memory;
		command->range.section = command->numbers[1];
		command->range.first = command->numbers[verb->range_at];
		command->range.last = command->numbers[verb->range_at + 1];
		if (command->range.last >= command->slot->nr_pages ||
		    command->range.first > command->range.last) {
			error_write(ERANGE);
			return;
		}
	}
	verb->run(command);
}

int main(void)
{
	char line[LINE_BYTES];

	for (size_t i = 0; i < NR_SLOTS; i++)
		slots[i].file = -1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	guard_init();
	while (fgets(line, sizeof(line), stdin)) {
		struct command command = { .nr_words = 0 };

		command_split(&command, line);
		command_run(&command);
	}
	return 0;
}
