/* SPDX-License-Identifier: MIT */
/* epcctl: reading the run directory's files, printing; see ctl.h. */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define FILE_BYTES_MAX (16u << 20) /* no file of a daemon is near this */
#define FILE_BYTES_FIRST 16384u
#define ID_DIGITS_MAX 19u

void ctl_error(const char *format, ...)
{
	va_list arguments;

	fputs("epcctl: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

void ctl_error_file(const struct ctl *ctl, const char *name, int error)
{
	char *run_dir = text_escape_string_new(ctl->run_dir);
	const char *dir = run_dir ? run_dir : "?";

	switch (error) {
	case ENOENT:
	case ENOTDIR:
		ctl_error("no epcd serves %s; start it, or name its directory with --run-dir", dir);
		break;
	case ENOTCONN:
	case ECONNABORTED:
		ctl_error("the epcd of %s is gone; if the mount is still there, `umount -l %s`, "
			  "and start epcd again",
			  dir, dir);
		break;
	case EACCES:
	case EPERM:
		ctl_error("%s/%s: %s; be root, or the user that epcd runs as", dir, name,
			  strerror(error));
		break;
	case EPROTO:
		ctl_error("%s/%s has no JSON in it; are epcd and epcctl of one version?", dir,
			  name);
		break;
	default:
		ctl_error("%s/%s: %s; `epcctl doctor` looks for the cause", dir, name,
			  strerror(error));
		break;
	}
	free(run_dir);
}

/* Whoever waits for an answer of a daemon that stands gets no signal handled: so another thread. */
static void *watch_main(void *argument)
{
	const struct ctl *ctl = argument;
	char *run_dir = text_escape_string_new(ctl->run_dir);
	const char *dir = run_dir ? run_dir : "?";

	poll(NULL, 0, ctl->wait_ms);
	ctl_error("the epcd of %s has not answered for %d s; if its process is stopped, let it go "
		  "on "
		  "(kill -CONT); if it hangs, its VMs are lost: kill -KILL, `umount -l %s`, and "
		  "start epcd again",
		  dir, ctl->wait_ms / 1000, dir);
	_exit(CTL_EXIT_PROBLEM);
}

void ctl_watch(const struct ctl *ctl)
{
	pthread_t thread;

	/* Without it all is well as long as the daemon answers. */
	if (pthread_create(&thread, NULL, watch_main, (void *)(uintptr_t)ctl) == 0)
		pthread_detach(thread);
}

static int file_open(const struct ctl *ctl, const char *name, int flags)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", ctl->run_dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int ctl_file_open(const struct ctl *ctl, const char *name)
{
	return file_open(ctl, name, O_RDONLY);
}

int ctl_file_write(const struct ctl *ctl, const char *name, const char *text)
{
	int fd = file_open(ctl, name, O_WRONLY), error = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

uint64_t ctl_instance_parse(const char *word)
{
	size_t nr_digits = strspn(word, "0123456789");
	uint64_t id = 0;
	char *shown;

	if (nr_digits && !word[nr_digits] && nr_digits <= ID_DIGITS_MAX)
		id = strtoull(word, NULL, 10);
	if (id)
		return id;
	shown = text_escape_string_new(word);
	ctl_error("not the number of an instance: %s; `epcctl ls` shows them as INSTANCE",
		  shown ? shown : "?");
	free(shown);
	return 0;
}

void ctl_error_instance(const struct ctl *ctl, uint64_t id, const char *file, int error)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "instances/%" PRIu64 "/%s", id, file);
	if (error == ENOENT) {
		fd = ctl_file_open(ctl, "instances");
		if (fd >= 0) {
			close(fd);
			ctl_error("there is no instance %" PRIu64 "; `epcctl ls` shows those that "
				  "there are",
				  id);
			return;
		}
	}
	ctl_error_file(ctl, name, error);
}

/* Reads to the end; a new string that the caller frees. NULL: *error is -errno. */
static char *file_bytes(int fd, size_t *size, int *error)
{
	size_t room = FILE_BYTES_FIRST;
	char *bytes = malloc(room);
	ssize_t got;

	*size = 0;
	*error = -ENOMEM;
	while (bytes) {
		got = read(fd, bytes + *size, room - *size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			return bytes;
		*error = got < 0 ? -errno : -EFBIG;
		if (got < 0)
			break;
		*size += (size_t)got;
		if (*size == room) {
			char *more = room < FILE_BYTES_MAX ? realloc(bytes, 2 * room) : NULL;

			if (!more)
				break;
			bytes = more;
			room *= 2;
		}
	}
	free(bytes);
	return NULL;
}

json_t *ctl_file_json(const struct ctl *ctl, const char *name, int *error)
{
	json_t *value = NULL;
	size_t size;
	char *bytes;
	int fd = ctl_file_open(ctl, name);

	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	bytes = file_bytes(fd, &size, error);
	close(fd);
	if (!bytes)
		return NULL;
	value = json_loadb(bytes, size, 0, NULL);
	free(bytes);
	*error = value ? 0 : -EPROTO;
	return value;
}

uint64_t ctl_member_number(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

const char *ctl_member_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* Code points, which is what most terminals make columns of. */
static size_t points_of(const char *text)
{
	size_t nr_points = 0;

	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80)
			nr_points++;
	return nr_points;
}

void ctl_show(const char *text, size_t width)
{
	char *shown = text_show_new(text);
	size_t used = shown ? points_of(shown) : 1;

	fputs(shown ? shown : "?", stdout);
	free(shown);
	printf("%*s", width > used ? (int)(width - used) : 0, "");
}

size_t ctl_show_width(const char *text)
{
	char *shown = text_show_new(text);
	size_t width = shown ? points_of(shown) : 1;

	free(shown);
	return width;
}

int ctl_print_json(json_t *value)
{
	int failed = !value || json_dumpf(value, stdout, JSON_INDENT(2));

	json_decref(value);
	if (failed || putchar('\n') == EOF || fflush(stdout)) {
		ctl_error("cannot write to the standard output: %s", strerror(errno));
		return CTL_EXIT_PROBLEM;
	}
	return CTL_EXIT_OK;
}
