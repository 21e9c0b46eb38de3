/* SPDX-License-Identifier: MIT */
/* The figures of all processes, summed and printed. See epcload.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "epcload.h"

#define NR_IN_POWER 16u /* buckets for each power of two */

struct load_process *load_process(struct load *load, unsigned int number)
{
	char *processes = (char *)load->processes;

	return (struct load_process *)(void *)(processes + number * load->process_bytes);
}

static size_t load_bytes(const struct load_options *options)
{
	return sizeof(struct load) +
	       options->nr_processes * (sizeof(struct load_process) +
					options->nr_threads * sizeof(struct load_figures));
}

int load_new(const struct load_options *options, struct load **load)
{
	void *memory = mmap(NULL, load_bytes(options), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*load = memory;
	(*load)->options = *options;
	(*load)->process_bytes =
		sizeof(struct load_process) + options->nr_threads * sizeof(struct load_figures);
	return 0;
}

void load_free(struct load *load)
{
	munmap(load, load_bytes(&load->options));
}

/* Below NR_IN_POWER each value has its own; then 16 for each power of two. */
static unsigned int bucket_of(uint64_t value)
{
	unsigned int power;

	if (value < NR_IN_POWER)
		return (unsigned int)value;
	power = 63 - (unsigned int)__builtin_clzll(value);
	return (power - 3) * NR_IN_POWER + (unsigned int)(value >> (power - 4) & (NR_IN_POWER - 1));
}

/* The least value of a bucket. */
static uint64_t bucket_start(unsigned int bucket)
{
	const unsigned int power = bucket / NR_IN_POWER + 3;

	if (bucket < NR_IN_POWER)
		return bucket;
	return (uint64_t)(NR_IN_POWER + bucket % NR_IN_POWER) << (power - 4);
}

void load_histogram_add(struct load_histogram *histogram, uint64_t value)
{
	histogram->counts[bucket_of(value)]++;
	if (value > histogram->max)
		histogram->max = value;
}

static uint64_t quantile(const struct load_histogram *histogram, double part)
{
	uint64_t sum = 0, seen = 0;

	for (unsigned int i = 0; i < LOAD_NR_BUCKETS; i++)
		sum += histogram->counts[i];
	for (unsigned int i = 0; i < LOAD_NR_BUCKETS; i++) {
		seen += histogram->counts[i];
		if (seen && (double)seen >= part * (double)sum)
			return bucket_start(i);
	}
	return 0;
}

static void figures_add(struct load_figures *sum, const struct load_figures *figures)
{
	for (unsigned int i = 0; i < LOAD_NR_BUCKETS; i++)
		sum->latencies.counts[i] += figures->latencies.counts[i];
	if (figures->latencies.max > sum->latencies.max)
		sum->latencies.max = figures->latencies.max;
	if (!sum->nr_sigbus)
		sum->sigbus_address = figures->sigbus_address;
	sum->nr_touches += figures->nr_touches;
	sum->nr_writes += figures->nr_writes;
	sum->nr_faults += figures->nr_faults;
	sum->nr_minor += figures->nr_minor;
	sum->nr_major += figures->nr_major;
	sum->nr_sigbus += figures->nr_sigbus;
	sum->nr_wrong += figures->nr_wrong;
	sum->nr_forks += figures->nr_forks;
	sum->nr_children_killed += figures->nr_children_killed;
	sum->nr_restricted += figures->nr_restricted;
	sum->nr_trimmed += figures->nr_trimmed;
}

static void process_sum(const struct load *load, const struct load_process *process,
			struct load_figures *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (unsigned int i = 0; i < load->options.nr_threads; i++)
		figures_add(sum, &process->figures[i]);
}

static void load_sum(struct load *load, struct load_figures *sum)
{
	struct load_figures one;

	memset(sum, 0, sizeof(*sum));
	for (unsigned int i = 0; i < load->options.nr_processes; i++) {
		process_sum(load, load_process(load, i), &one);
		figures_add(sum, &one);
	}
}

bool load_is_right(struct load *load)
{
	struct load_figures sum;

	load_sum(load, &sum);
	for (unsigned int i = 0; i < load->options.nr_processes; i++) {
		if (load_process(load, i)->status)
			return false;
	}
	return sum.nr_wrong == 0;
}

void load_report_progress(struct load *load, uint64_t elapsed_ns)
{
	struct load_figures sum;
	unsigned int nr_building = 0;

	if (load->options.is_quiet)
		return;
	for (unsigned int i = 0; i < load->options.nr_processes; i++)
		nr_building += atomic_load(&load_process(load, i)->state) == LOAD_BUILDING;
	load_sum(load, &sum);
	fprintf(stderr,
		"epcload: %" PRIu64 " s: %" PRIu64 " touches, %" PRIu64 " faults, %" PRIu64 " SIGBU"
		"S",
		elapsed_ns / 1000000000, sum.nr_touches, sum.nr_faults, sum.nr_sigbus);
	fprintf(stderr, nr_building ? ", %u enclaves not built yet\n" : "\n", nr_building);
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static double rate(uint64_t count, uint64_t ns)
{
	return ns ? (double)count / seconds(ns) : 0;
}

static void number_print_json(const char *name, uint64_t number)
{
	printf("\"%s\": %" PRIu64 ", ", name, number);
}

/* What processes and the sum have in common. */
static void figures_print_json(const struct load_figures *figures)
{
	number_print_json("touches", figures->nr_touches);
	number_print_json("writes", figures->nr_writes);
	number_print_json("faults", figures->nr_faults);
	number_print_json("minor_faults", figures->nr_minor);
	number_print_json("major_faults", figures->nr_major);
	number_print_json("sigbus", figures->nr_sigbus);
	number_print_json("sigbus_address", figures->sigbus_address);
	number_print_json("wrong", figures->nr_wrong);
	number_print_json("forks", figures->nr_forks);
	number_print_json("children_killed", figures->nr_children_killed);
	number_print_json("restricted", figures->nr_restricted);
	number_print_json("trimmed", figures->nr_trimmed);
	number_print_json("p50_ns", quantile(&figures->latencies, 0.5));
	number_print_json("p99_ns", quantile(&figures->latencies, 0.99));
	number_print_json("max_ns", figures->latencies.max);
}

static void process_print_json(const struct load *load, const struct load_process *process)
{
	const int status = process->status;
	struct load_figures figures;

	process_sum(load, process, &figures);
	printf("{");
	figures_print_json(&figures);
	number_print_json("pid", (uint64_t)process->pid);
	number_print_json("signal", WIFSIGNALED(status) ? (uint64_t)WTERMSIG(status) : 0);
	number_print_json("error", (uint64_t)-process->error);
	number_print_json("base", process->base);
	printf("\"exit\": %d, ", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	printf("\"build_seconds\": %.6f, ", seconds(process->build_ns));
	printf("\"seconds\": %.6f, ", seconds(process->run_ns));
	printf("\"touches_per_second\": %.0f}", rate(figures.nr_touches, process->run_ns));
}

static void end_print_json(struct load *load, const struct load_figures *sum)
{
	printf("{");
	figures_print_json(sum);
	number_print_json("pages", load->options.nr_pages);
	printf("\"right\": %s, \"processes\": [", load_is_right(load) ? "true" : "false");
	for (unsigned int i = 0; i < load->options.nr_processes; i++) {
		printf("%s", i ? ", " : "");
		process_print_json(load, load_process(load, i));
	}
	printf("]}\n");
}

static void process_print(const struct load *load, unsigned int number,
			  const struct load_process *process)
{
	struct load_figures figures;

	process_sum(load, process, &figures);
	printf("process %u (%d): %" PRIu64 " touches in %.2f s, %.0f a second, %" PRIu64 " faults, "
	       "%" PRIu64 " SIGBUS",
	       number, (int)process->pid, figures.nr_touches, seconds(process->run_ns),
	       rate(figures.nr_touches, process->run_ns), figures.nr_faults, figures.nr_sigbus);
	if (WIFSIGNALED(process->status))
		printf(", ended by signal %d\n", WTERMSIG(process->status));
	else if (process->error)
		printf(", failed: %s\n", strerror(-process->error));
	else
		printf("\n");
}

static void end_print(struct load *load, const struct load_figures *sum)
{
	for (unsigned int i = 0; i < load->options.nr_processes; i++)
		process_print(load, i, load_process(load, i));
	printf("%" PRIu64 " touches, %" PRIu64 " writes among them; %" PRIu64 " took more than %u "
	       "us: "
	       "median %.1f us, 99 of 100 below %.1f us, longest %.1f us\n",
	       sum->nr_touches, sum->nr_writes, sum->nr_faults, LOAD_FAULT_NS / 1000,
	       (double)quantile(&sum->latencies, 0.5) / 1000,
	       (double)quantile(&sum->latencies, 0.99) / 1000, (double)sum->latencies.max / 1000);
	printf("%" PRIu64 " faults that read, %" PRIu64 " others; %" PRIu64 " SIGBUS",
	       sum->nr_major, sum->nr_minor, sum->nr_sigbus);
	if (sum->nr_sigbus)
		printf(", the first at 0x%" PRIx64, sum->sigbus_address);
	if (sum->nr_wrong)
		printf("\nwords were WRONG\n");
	else
		printf("\n%s\n", load_is_right(load) ? "every word was right" :
						       "not all came to their end; no word was "
						       "wrong");
}

void load_report_end(struct load *load)
{
	struct load_figures sum;

	load_sum(load, &sum);
	if (load->options.is_json)
		end_print_json(load, &sum);
	else
		end_print(load, &sum);
}
