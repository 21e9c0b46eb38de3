/* SPDX-License-Identifier: MIT */
/*
 * epcload: a load of enclaves. Each of its processes builds a signed enclave through the kernel's
 * interface, touches its pages in a pattern, writes some of them, and verifies every word against
 * what it keeps outside of the enclave. --help tells the options.
 *
 * No code of an enclave is executed: pages are touched through the mapping, which epcd answers as
 * the enclave's own code would be answered.
 *
 * What does not belong here: starting daemons and judging figures. This file starts the processes,
 * lets all begin at once, and waits for their end; SIGINT and SIGTERM end the load early, with a
 * report.
 */
#include "epcload.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRESS_MS 2000

static struct load *the_load;

/* Pipes: a byte of each process that is ready; and the end of the other one starts them all. */
struct gate {
	int ready[2], go[2];
};

static void stop_handle(int signal_number)
{
	(void)signal_number;
	atomic_store(&the_load->is_stopping, true);
}

static void stop_init(void)
{
	struct sigaction action = { .sa_handler = stop_handle, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int process_start(unsigned int number, struct load_key *key,
			 const struct load_pattern *pattern, const struct gate *gate)
{
	struct load_process *process = load_process(the_load, number);
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* Nobody reports what is done without the first process. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(gate->ready[0]);
		close(gate->go[1]);
		_exit(load_process_run(the_load, number, key, pattern, gate->ready[1],
				       gate->go[0]));
	}
	process->pid = pid;
	return 0;
}

/* Until all are ready or have ended: the pipe has no writer then. */
static void gate_open(struct gate *gate, uint64_t began_ns)
{
	struct pollfd poll_fd = { .fd = gate->ready[0], .events = POLLIN };
	char bytes[LOAD_PAGE_BYTES];

	close(gate->ready[1]);
	close(gate->go[0]);
	for (;;) {
		int result = poll(&poll_fd, 1, PROGRESS_MS);

		if (result == 0)
			load_report_progress(the_load, load_now_ns() - began_ns);
		else if (result > 0 && read(gate->ready[0], bytes, sizeof(bytes)) == 0)
			break;
	}
	close(gate->ready[0]);
	close(gate->go[1]);
}

static void process_wait(struct load_process *process, uint64_t began_ns)
{
	static uint64_t said_ns; /* when the last progress was reported */
	int file = pidfd_open(process->pid, 0);
	struct pollfd poll_fd = { .fd = file, .events = POLLIN };

	if (file < 0)
		return;
	while (poll(&poll_fd, 1, PROGRESS_MS) <= 0) {
		const uint64_t now_ns = load_now_ns();

		if (now_ns - said_ns < UINT64_C(1000000) * PROGRESS_MS)
			continue;
		said_ns = now_ns;
		load_report_progress(the_load, now_ns - began_ns);
	}
	close(file);
	waitpid(process->pid, &process->status, 0);
}

static int load_run(const struct load_options *options, struct load_key *key,
		    const struct load_pattern *pattern)
{
	const uint64_t began_ns = load_now_ns();
	struct gate gate;

	if (pipe(gate.ready) || pipe(gate.go))
		return -errno;
	for (unsigned int i = 0; i < options->nr_processes; i++) {
		int error = process_start(i, key, pattern, &gate);

		if (error) {
			fprintf(stderr, "epcload: fork: %s\n", strerror(-error));
			return error; /* those that are there end with this process */
		}
	}
	gate_open(&gate, began_ns);
	for (unsigned int i = 0; i < options->nr_processes; i++)
		process_wait(load_process(the_load, i), began_ns);
	return 0;
}

int main(int argc, char **argv)
{
	struct load_options options;
	struct load_key *key = NULL;
	struct load_pattern *pattern;
	int error = load_options_parse(&options, argc, argv);

	if (error)
		return error < 0 ? 2 : 0;
	if (options.is_enclave) {
		error = load_key_new(options.key_path, &key);
		if (error) {
			fprintf(stderr, "epcload: the key: %s\n", strerror(-error));
			return 1;
		}
	}
	pattern = load_pattern_new(&options);
	if (!pattern || load_new(&options, &the_load)) {
		fputs("epcload: no memory\n", stderr);
		return 1;
	}
	stop_init();
	error = load_run(&options, key, pattern);
	if (!error)
		load_report_end(the_load);
	error = error || !load_is_right(the_load);
	load_free(the_load);
	load_pattern_free(pattern);
	if (key)
		load_key_free(key);
	return error;
}
