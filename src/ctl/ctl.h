/* SPDX-License-Identifier: MIT */
/*
 * epcctl: what all verbs share. epcctl talks to the daemon through the files in its run directory
 * and nothing else; it knows their format and none of the daemon's code.
 */
#ifndef EPCD_CTL_CTL_H
#define EPCD_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_WAIT_MS 10000	/* a daemon on a busy machine answers in far less */
#define CTL_WAIT_LONG_MS 120000 /* for what the daemon works on: EPC of a large server is lost */

enum ctl_exit {
	CTL_EXIT_OK = 0,
	CTL_EXIT_PROBLEM = 1, /* doctor found one, or the daemon is not there */
	CTL_EXIT_USAGE = 2,
};

struct ctl {
	const char *run_dir;
	bool is_json;	    /* --json */
	const char *cgroup; /* --cgroup, NULL: not given */
	bool is_all;	    /* --all */
	char *const *words; /* behind the verb */
	int nr_words;
	int wait_ms; /* the verb's */
};

/* A verb: does its work, prints, returns an enum ctl_exit. */
struct ctl_verb {
	const char *name;
	const char *arguments; /* for the help */
	const char *help;
	int (*run)(const struct ctl *ctl);
	int nr_words_max;
	bool has_targets; /* takes --cgroup and --all */
	int wait_ms;	  /* 0: as long as it likes: it waits for what will happen */
};

/* verb_*.c */
int verb_status(const struct ctl *ctl);
int verb_ls(const struct ctl *ctl);
int verb_limit(const struct ctl *ctl);
int verb_lose(const struct ctl *ctl);
int verb_events(const struct ctl *ctl);
int verb_doctor(const struct ctl *ctl);

/* One line on stderr. The arguments are escaped where others chose them (ctl_show). */
void ctl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says on stderr what it means that a file of the run directory gave this (positive) errno. */
void ctl_error_file(const struct ctl *ctl, const char *name, int error);

/* From now on, when that takes ctl->wait_ms, says that the daemon does not answer and ends. */
void ctl_watch(const struct ctl *ctl);

/* Opens RUN_DIR/name for reading: a descriptor, or -errno. */
int ctl_file_open(const struct ctl *ctl, const char *name);

/* Writes text to RUN_DIR/name with one write(2). 0, or -errno. */
int ctl_file_write(const struct ctl *ctl, const char *name, const char *text);

/*
 * The number of an instance, as its directory is called, or 0 and an error is said. Whatever such
 * a directory is asked for: -ENOENT says that there is no such instance, or no daemon;
 * ctl_error_instance() says which.
 */
uint64_t ctl_instance_parse(const char *word);
void ctl_error_instance(const struct ctl *ctl, uint64_t id, const char *file, int error);

/* All of RUN_DIR/name as JSON, a new reference. NULL: *error is -errno, -EPROTO: no JSON. */
json_t *ctl_file_json(const struct ctl *ctl, const char *name, int *error);

/* Members of JSON objects; what is not there, or of another type, is 0 or "". Borrowed. */
uint64_t ctl_member_number(const json_t *object, const char *name);
const char *ctl_member_text(const json_t *object, const char *name);

/* Prints text that somebody else chose, so that it stays on its line. Pads to width (0: not). */
void ctl_show(const char *text, size_t width);
/* How many columns ctl_show() takes without padding (one for each code point). */
size_t ctl_show_width(const char *text);

/* Prints a JSON value and a newline; takes the reference. Returns an enum ctl_exit. */
int ctl_print_json(json_t *value);

#endif
