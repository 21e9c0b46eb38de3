/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as /proc/TID/cgroup and as /proc/self/mountinfo, in a false /proc of our own: what is
 * found is what a slow and obvious model finds, and the parts of a path fit together. The first
 * byte says which file the others are; in mountinfo the byte 1 stands for a real mount of cgroup2
 * (where there is one), in the cgroup file for a name that is longer than most.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front/place.h"
#include "input.h"

#define TEXT_SIZE_MAX (32u << 10)
#define LONG_NAME_SIZE 1500u
#define STAND_IN 1
#define TID 1

static char proc_root[] = "/tmp/epcd-fuzz-place-XXXXXX";
static int mountinfo_fd, cgroup_fd; /* the files' contents, in memory: a disk takes longer */
static char *real_mount;	    /* NULL: this machine has none */

/* libFuzzer calls it once, before the inputs. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char *proc_path(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", proc_root, name);
	return path;
}

static void proc_remove(void)
{
	static const char *const names[] = { "/self/mountinfo", "/1/cgroup", "/self", "/1", "" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)remove(proc_path(names[i]));
	free(real_mount);
}

/* A file that is in memory, whose name leads there; its file descriptor. */
static int file_make(const char *name)
{
	int fd = memfd_create("fuzz_place", MFD_CLOEXEC);
	char target[64];

	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	MUST(fd >= 0 && symlink(target, proc_path(name)) == 0, "no file in memory");
	return fd;
}

static void file_write(int fd, const char *text, size_t size)
{
	MUST(ftruncate(fd, 0) == 0 && pwrite(fd, text, size, 0) == (ssize_t)size, "a file in "
										  "memory is not "
										  "written to");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct place place;

	(void)argc;
	(void)argv;
	MUST(mkdtemp(proc_root), "no directory in /tmp");
	MUST(mkdir(proc_path("/self"), 0700) == 0, "no directory in /tmp");
	MUST(mkdir(proc_path("/1"), 0700) == 0, "no directory in /tmp");
	mountinfo_fd = file_make("/self/mountinfo");
	cgroup_fd = file_make("/1/cgroup");
	if (place_find("/proc", &place) == 0) {
		real_mount = strdup(place.path);
		place_fini(&place);
	}
	(void)atexit(proc_remove);
	return 0;
}

/* The text with what stands for the byte STAND_IN in its place: a new string. */
static char *text_new(struct input *input, const char *stands_in, size_t *size)
{
	char *text = malloc(TEXT_SIZE_MAX + 1);
	size_t stand_in_size = strlen(stands_in);

	MUST(text, "the fuzzer itself has no memory");
	for (*size = 0; input->at < input->end && *size < TEXT_SIZE_MAX - stand_in_size;) {
		uint8_t byte = input_byte(input);

		if (byte == STAND_IN) {
			memcpy(text + *size, stands_in, stand_in_size);
			*size += stand_in_size;
		} else {
			text[(*size)++] = (char)byte;
		}
	}
	text[*size] = '\0';
	return text;
}

/* The whole path of the first line "0::/...", or NULL; the file ends at a NUL. Changes the text. */
static const char *model_path(char *text)
{
	char *line = text;

	while (line) {
		char *end = strchr(line, '\n');

		if (end)
			*end++ = '\0';
		if (strncmp(line, "0::/", 4) == 0)
			return line + 3;
		line = end;
	}
	return NULL;
}

static void fuzz_task_path(struct input *input)
{
	char name[LONG_NAME_SIZE + 1], path[PLACE_PATH_MAX];
	const char *expected;
	bool is_cut = false;
	size_t size;
	char *text;
	int error;

	memset(name, 'x', LONG_NAME_SIZE);
	name[LONG_NAME_SIZE] = '\0';
	text = text_new(input, name, &size);
	file_write(cgroup_fd, text, size);
	error = place_task_path(proc_root, TID, path, &is_cut);
	expected = model_path(text);
	MUST(error == (expected ? 0 : -ENOENT), "another error than the model's");
	if (expected && strlen(expected) < PLACE_PATH_MAX - 1) {
		MUST(!is_cut && strcmp(path, expected) == 0, "another path than the model's");
	} else if (expected) {
		size = strlen(path);
		MUST(is_cut, "a long path is not said to be cut");
		MUST(size < PLACE_PATH_MAX && strncmp(path, expected, size) == 0 &&
			     expected[size] == '/',
		     "a cut path is not an ancestor's");
		MUST(place_task_path(proc_root, TID, path, NULL) == -ENAMETOOLONG, "a long path "
										   "for one who "
										   "does not ask "
										   "for a cut one");
	}
	free(text);
}

/* What is above and what is below make the path again. */
static void check_below(const struct place *place)
{
	char path[3 * PLACE_PATH_MAX];
	const char *below;
	size_t size = strlen(place->above);

	if (size && (place->above[0] != '/' || place->above[size - 1] == '/'))
		return; /* the kernel tells no such path */
	snprintf(path, sizeof(path), "%s/a/b", place->above);
	below = place_below(place, path);
	MUST(below && strcmp(below, "/a/b") == 0, "a path below the place is not found");
	snprintf(path, sizeof(path), "%s/../b", place->above);
	MUST(!place_below(place, path), "a path that climbs is taken for one below");
	if (!size)
		return;
	below = place_below(place, place->above);
	MUST(below && strcmp(below, "/") == 0, "the place is not its own root");
	snprintf(path, sizeof(path), "%sx", place->above);
	MUST(!place_below(place, path), "a neighbour is taken for one below");
}

static void fuzz_mountinfo(struct input *input)
{
	struct place place;
	size_t size;
	char *text = text_new(input, real_mount ? real_mount : "/", &size);
	int error;

	file_write(mountinfo_fd, text, size);
	free(text);
	error = place_find(proc_root, &place);
	MUST(error == 0 || error == -ENOENT, "a strange error");
	if (!error) {
		MUST(real_mount && place.is_cgroup2, "a mount where there is none");
		MUST(strcmp(place.above, "/") != 0, "a place below the root is not written so");
		check_below(&place);
	}
	place_fini(&place);
	error = place_of_directory(proc_root, real_mount ? real_mount : "/", &place);
	MUST(error == 0 && place.is_cgroup2 == (real_mount != NULL), "a directory is no place");
	check_below(&place);
	place_fini(&place);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { bytes, bytes + size };

	if (input_byte(&input) % 2)
		fuzz_mountinfo(&input);
	else
		fuzz_task_path(&input);
	return 0;
}
