/* SPDX-License-Identifier: MIT */
/* Command lines of clients; see describe.h. */
#include "front/describe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "front/instance.h"
#include "front/requester.h"

struct question {
	uint64_t instance_id;
	uint64_t start_time;
	int pid;
};

struct describer {
	/* Held while the daemon is used; taken before the engine's lock. */
	pthread_mutex_t use_lock;
	struct daemon *daemon; /* NULL: it has ended */

	/* Taken after the engine's lock. */
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct question questions[DESCRIBE_NR_QUEUED]; /* a ring */
	unsigned int first, nr;
	bool is_ending;
	unsigned int nr_users; /* the owner and the thread; the last one frees */
};

static void describer_put(struct describer *describer)
{
	bool is_last;

	pthread_mutex_lock(&describer->lock);
	is_last = --describer->nr_users == 0;
	pthread_mutex_unlock(&describer->lock);
	if (!is_last)
		return;
	pthread_cond_destroy(&describer->came);
	pthread_mutex_destroy(&describer->lock);
	pthread_mutex_destroy(&describer->use_lock);
	free(describer);
}

static ssize_t file_read(int dir_fd, const char *name, char *bytes, size_t size)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -1;
	length = read(fd, bytes, size);
	close(fd);
	return length;
}

/* The arguments with spaces between, escaped: a new string; NULL: there is none, or no more. */
static char *cmdline_read(const struct question *question)
{
	char bytes[DESCRIBE_BYTES_MAX];
	char path[32];
	char *text = NULL;
	uint64_t start_time;
	ssize_t length;
	int dir_fd;

	/* The directory stays that of the process that it was opened for. */
	snprintf(path, sizeof(path), "/proc/%d", question->pid);
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return NULL;
	length = file_read(dir_fd, "stat", bytes, sizeof(bytes) - 1);
	if (length <= 0)
		goto close_dir;
	bytes[length] = '\0';
	if (requester_stat_field(bytes, REQUESTER_START_TIME, &start_time) != 0 ||
	    start_time != question->start_time)
		goto close_dir;
	length = file_read(dir_fd, "cmdline", bytes, sizeof(bytes));
	while (length > 0 && bytes[length - 1] == '\0')
		length--;
	if (length <= 0)
		goto close_dir;
	for (ssize_t i = 0; i < length; i++)
		if (bytes[i] == '\0')
			bytes[i] = ' ';
	text = text_escape_new(bytes, (size_t)length);
close_dir:
	close(dir_fd);
	return text;
}

/* Waits for the next question; false: the end. */
static bool question_take(struct describer *describer, struct question *question)
{
	bool has_one;

	pthread_mutex_lock(&describer->lock);
	while (!describer->nr && !describer->is_ending)
		pthread_cond_wait(&describer->came, &describer->lock);
	has_one = !describer->is_ending;
	if (has_one) {
		*question = describer->questions[describer->first];
		describer->first = (describer->first + 1) % DESCRIBE_NR_QUEUED;
		describer->nr--;
	}
	pthread_mutex_unlock(&describer->lock);
	return has_one;
}

static void *describer_main(void *argument)
{
	struct describer *describer = argument;
	struct question question;

	while (question_take(describer, &question)) {
		char *text = cmdline_read(&question);

		pthread_mutex_lock(&describer->use_lock);
		if (text && describer->daemon)
			text = instance_describe(describer->daemon, question.instance_id, text);
		pthread_mutex_unlock(&describer->use_lock);
		free(text);
	}
	describer_put(describer);
	return NULL;
}

int describer_new(struct daemon *daemon, struct describer **describer)
{
	struct describer *new = calloc(1, sizeof(*new));
	pthread_t thread;

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->use_lock, NULL);
	pthread_mutex_init(&new->lock, NULL);
	pthread_cond_init(&new->came, NULL);
	new->daemon = daemon;
	new->nr_users = 2;
	if (pthread_create(&thread, NULL, describer_main, new) != 0) {
		new->nr_users = 1;
		describer_put(new);
		return -EAGAIN;
	}
	pthread_detach(thread);
	*describer = new;
	return 0;
}

void describer_free(struct describer *describer)
{
	if (!describer)
		return;
	pthread_mutex_lock(&describer->use_lock);
	describer->daemon = NULL;
	pthread_mutex_unlock(&describer->use_lock);
	pthread_mutex_lock(&describer->lock);
	describer->is_ending = true;
	pthread_cond_signal(&describer->came);
	pthread_mutex_unlock(&describer->lock);
	describer_put(describer);
}

void describer_ask(struct describer *describer, const struct instance *instance)
{
	if (!describer || instance->pid <= 0 || !instance->start_time)
		return;
	pthread_mutex_lock(&describer->lock);
	if (describer->nr < DESCRIBE_NR_QUEUED) {
		unsigned int next = (describer->first + describer->nr++) % DESCRIBE_NR_QUEUED;

		describer->questions[next] = (struct question){
			.instance_id = instance->id,
			.start_time = instance->start_time,
			.pid = instance->pid,
		};
		pthread_cond_signal(&describer->came);
	}
	pthread_mutex_unlock(&describer->lock);
}
