/* SPDX-License-Identifier: MIT */
/* Parked READs and their requesters: keys, interrupts that come late, SIGKILL seen in /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/parked.h"
#include "front/requester.h"

static uint64_t woken(int wake_fd)
{
	uint64_t count = 0;

	return read(wake_fd, &count, sizeof(count)) < 0 ? 0 : count;
}

static void note_seen(void *context, struct parked *parked)
{
	*(struct parked **)context = parked;
}

/* An interrupt finds its request by key, wakes, and finds nothing once that is answered. */
static void interrupts_by_key(void **state)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct parked first = { 0 }, second = { 0 };
	struct parked *seen = NULL;
	struct parked_table *table;
	struct parked_ref refs[4];
	uint64_t first_key;

	(void)state;
	assert_int_equal(parked_table_new(wake_fd, &table), 0);
	parked_remove(table, &first); /* was never there: nothing */
	parked_add(table, &first, 11);
	parked_add(table, &second, 22);
	first_key = first.key;
	assert_true(second.key > first_key);
	assert_int_equal(parked_interrupted(table, 0, refs, 4), 0);

	parked_interrupt(table, second.key);
	assert_int_equal(woken(wake_fd), 1);
	assert_int_equal(parked_interrupted(table, 0, refs, 4), 1);
	assert_int_equal(refs[0].tid, 22);
	assert_int_equal(parked_interrupted(table, refs[0].key, refs, 4), 0);

	parked_remove(table, &first);
	parked_interrupt(table, first_key);
	assert_int_equal(woken(wake_fd), 0);
	parked_with(table, first_key, note_seen, &seen);
	assert_null(seen);
	parked_with(table, second.key, note_seen, &seen);
	assert_ptr_equal(seen, &second);
	parked_remove(table, &second);
	parked_table_free(table);
	close(wake_fd);
}

/* More interrupted requests than one look takes are all seen, in order. */
static void interrupted_in_turns(void **state)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct parked parked[10];
	struct parked_table *table;
	struct parked_ref refs[4];
	uint64_t after_key = 0;
	unsigned int nr_seen = 0, nr;

	(void)state;
	memset(parked, 0, sizeof(parked));
	assert_int_equal(parked_table_new(wake_fd, &table), 0);
	for (unsigned int i = 0; i < 10; i++) {
		parked_add(table, &parked[i], (pid_t)i);
		parked_interrupt(table, parked[i].key);
	}
	while ((nr = parked_interrupted(table, after_key, refs, 4))) {
		for (unsigned int i = 0; i < nr; i++)
			assert_int_equal(refs[i].tid, (pid_t)nr_seen++);
		after_key = refs[nr - 1].key;
	}
	assert_int_equal(nr_seen, 10);
	parked_table_free(table);
	close(wake_fd);
}

static void stat_fields(void **state)
{
	static const char stat[] = "7 (a) R 1 (b\n) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 "
				   "21 22 23 24 25 26 27 28 29 30 256 32";
	uint64_t value;

	(void)state;
	assert_int_equal(requester_stat_field(stat, 4, &value), 0);
	assert_true(value == 4);
	assert_int_equal(requester_stat_field(stat, 31, &value), 0);
	assert_true(value == 256);
	assert_int_equal(requester_stat_field(stat, 33, &value), -EINVAL);
	assert_int_equal(requester_stat_field("7 (a", 4, &value), -EINVAL);
	assert_int_equal(requester_stat_field("7 (a) S x", 4, &value), -EINVAL);
	assert_int_equal(requester_stat_field("", 4, &value), -EINVAL);
}

/* What /proc says of this process; of a process that is gone; of none. */
static void requesters(void **state)
{
	struct requester requester;
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(prctl(PR_SET_NAME, "a) R\n\x80"), 0);
	requester_read(getpid(), &requester);
	assert_int_equal(requester.pid, getpid());
	assert_true(requester.start_time > 0);
	assert_string_equal(requester.command, "a) R\\n\\x80");
	assert_false(requester_is_killed(getpid()));
	assert_true(requester_is_killed(0));

	requester_read(0, &requester);
	assert_int_equal(requester.pid, 0);
	assert_string_equal(requester.command, "?");

	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pause();
		_exit(0);
	}
	kill(child, SIGUSR1);
	assert_int_equal(waitpid(child, &status, 0), child);
	/* It is gone: nobody waits for an answer. */
	assert_true(requester_is_killed(child));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupts_by_key),
		cmocka_unit_test(interrupted_in_turns),
		cmocka_unit_test(stat_fields),
		cmocka_unit_test(requesters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
