/* SPDX-License-Identifier: MIT */
/*
 * What a run used of its EPC. A child reads it from the run directory, so that the parent does not
 * hang when the daemon does not answer; the parent takes the child's output apart.
 */
#include "front/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/size.h"
#include "base/text.h"

#define REPORT_BYTES_MAX (4u << 20) /* 1,000 records of history, a few hundred bytes each */
#define REPORT_MS 2000
#define NR_SENTENCES_SHOWN 8u
#define COUNT_SIZE 40u /* of a number and a word */

struct run_report {
	json_t *status;
	json_t *sentences; /* array of strings, each once */
};

/* The child's side: a file's bytes, then a NUL. */
static void file_send(const char *path, int out_fd)
{
	char bytes[16384];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		return;
	while ((size = read(fd, bytes, sizeof(bytes))) > 0)
		if (write(out_fd, bytes, (size_t)size) != size)
			_exit(1);
	close(fd);
	if (write(out_fd, "", 1) != 1)
		_exit(1);
}

static pid_t reader_start(struct run *run, int *fd)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid == 0) {
		file_send(RUN_DIR "/status", ends[1]);
		file_send(RUN_DIR "/history", ends[1]);
		_exit(0);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -1;
	}
	run_child_init(&run->reader, pid);
	run->has_children = true;
	*fd = ends[0];
	return pid;
}

/* All that comes until the end of file; bytes has room for size. */
static size_t reader_receive(struct run *run, int fd, char *bytes, size_t size)
{
	uint64_t deadline_ns = run_deadline_ns(REPORT_MS);
	size_t received = 0;

	while (received < size && !run->is_daemon_dead) {
		unsigned int events = run_wait(run, fd, deadline_ns);
		ssize_t got;

		if (!events)
			break;
		if (!(events & RUN_EVENT_FD))
			continue;
		got = read(fd, bytes + received, size - received);
		if (got <= 0)
			break;
		received += (size_t)got;
	}
	run_child_signal(&run->reader, SIGKILL);
	return received;
}

static bool has_sentence(const json_t *sentences, const char *text)
{
	json_t *sentence;
	size_t i;

	json_array_foreach(sentences, i, sentence)
		if (strcmp(json_string_value(sentence), text) == 0)
			return true;
	return false;
}

/* The texts of the refusals in history, which is JSON lines. */
static void sentences_collect(json_t *sentences, char *history)
{
	char *save = NULL;

	for (char *line = strtok_r(history, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		json_t *record = json_loads(line, 0, NULL);
		const char *kind = json_string_value(json_object_get(record, "kind"));
		const char *text = json_string_value(json_object_get(record, "text"));

		if (kind && text && strcmp(kind, "refused") == 0 && !has_sentence(sentences, text))
			json_array_append_new(sentences, json_string(text));
		json_decref(record);
	}
}

void run_report_free(struct run_report *report)
{
	if (!report)
		return;
	json_decref(report->status);
	json_decref(report->sentences);
	free(report);
}

static struct run_report *report_parse(char *bytes, size_t size)
{
	struct run_report *report = calloc(1, sizeof(*report));
	char *status_end = memchr(bytes, '\0', size);

	if (!report || !status_end)
		goto fail;
	bytes[size] = '\0'; /* room for one more was asked for */
	report->status = json_loads(bytes, 0, NULL);
	report->sentences = json_array();
	if (!report->status || !report->sentences)
		goto fail;
	if (status_end + 1 < bytes + size)
		sentences_collect(report->sentences, status_end + 1);
	return report;
fail:
	run_report_free(report);
	return NULL;
}

struct run_report *run_report_new(struct run *run)
{
	struct run_report *report = NULL;
	char *bytes = malloc(REPORT_BYTES_MAX + 1);
	int fd;

	if (bytes && reader_start(run, &fd) > 0) {
		size_t size = reader_receive(run, fd, bytes, REPORT_BYTES_MAX);

		close(fd);
		report = report_parse(bytes, size);
	}
	free(bytes);
	return report;
}

static uint64_t count_of(const struct run_report *report, const char *name)
{
	json_t *counters = json_object_get(report->status, "counters");

	return (uint64_t)json_integer_value(json_object_get(counters, name));
}

static uint64_t peak_of(const struct run_report *report)
{
	return (uint64_t)json_integer_value(json_object_get(report->status, "peak_bytes"));
}

static uint64_t total_of(const struct run_report *report)
{
	json_t *epc = json_object_get(report->status, "epc");

	return (uint64_t)json_integer_value(json_object_get(epc, "total_bytes"));
}

/* "1 fault", "3 faults". Returns text. */
static const char *count_text(char text[COUNT_SIZE], uint64_t count, const char *one)
{
	snprintf(text, COUNT_SIZE, "%" PRIu64 " %s%s", count, one, count == 1 ? "" : "s");
	return text;
}

static void report_log(const struct run_report *report)
{
	char peak[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX];
	char faults[COUNT_SIZE], refusals[COUNT_SIZE], resets[COUNT_SIZE];
	size_t nr_sentences = json_array_size(report->sentences);

	log_info("run: EPC used: peak %s of %s, %s, %s, %s",
		 size_format(peak, sizeof(peak), peak_of(report)),
		 size_format(total, sizeof(total), total_of(report)),
		 count_text(faults, count_of(report, "faults"), "fault"),
		 count_text(refusals, count_of(report, "refusals"), "refusal"),
		 count_text(resets, count_of(report, "resets"), "reset"));
	for (size_t i = 0; i < nr_sentences && i < NR_SENTENCES_SHOWN; i++)
		log_info("run: %s", json_string_value(json_array_get(report->sentences, i)));
	if (nr_sentences > NR_SENTENCES_SHOWN)
		log_info("run: %s more",
			 count_text(refusals, nr_sentences - NR_SENTENCES_SHOWN, "refusal"));
}

static json_t *summary_json(const struct run *run, const struct run_report *report, int exit_code)
{
	static const char *const counters[] = { "faults", "clusters", "refusals", "resets",
						"taken_back" };
	json_t *summary = json_object();
	char *cgroup = run->cgroup.dir_fd < 0 ? NULL : text_escape_string_new(run->cgroup.path);

	json_object_set_new(summary, "version", json_string(EPCD_VERSION));
	json_object_set_new(summary, "exit_code", json_integer(exit_code));
	json_object_set_new(summary, "daemon_died", json_boolean(run->is_daemon_dead));
	json_object_set_new(summary, "cgroup", cgroup ? json_string(cgroup) : json_null());
	json_object_set_new(summary, "max_bytes",
			    run->max_bytes == EPC_MAX_UNLIMITED ?
				    json_null() :
				    json_integer((json_int_t)run->max_bytes));
	json_object_set_new(summary, "total_bytes",
			    report ? json_integer((json_int_t)total_of(report)) : json_null());
	json_object_set_new(summary, "peak_bytes",
			    report ? json_integer((json_int_t)peak_of(report)) : json_null());
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		json_object_set_new(
			summary, counters[i],
			report ? json_integer((json_int_t)count_of(report, counters[i])) :
				 json_null());
	json_object_set_new(summary, "refusal_texts",
			    report ? json_incref(report->sentences) : json_array());
	free(cgroup);
	return summary;
}

void run_report_show(struct run *run, const struct run_report *report, int exit_code)
{
	json_t *summary;

	if (report)
		report_log(report);
	else if (!run->is_daemon_dead)
		log_warning("run: the daemon did not say what was used");
	if (run->summary_fd < 0)
		return;
	summary = summary_json(run, report, exit_code);
	if (json_dumpfd(summary, run->summary_fd, JSON_INDENT(1)) ||
	    write(run->summary_fd, "\n", 1) != 1)
		log_warning("run: --summary %s: %m", run->summary_path);
	json_decref(summary);
}
