/* SPDX-License-Identifier: MIT */
/*
 * Measures the core alone, metadata only: no thread, no FUSE, no lock. Prints one line of JSON.
 * Time is the processor's (CLOCK_THREAD_CPUTIME_ID): what is asked is the core's work, and another
 * program on the machine must not count.
 * What does not belong here: what the front end adds; bench/client.c measures the whole.
 *
 * usage: measure_core alloc-free PAGES    allocates by faults, frees by release, charges go up
 *                                         four cgroups and the root; several rounds
 *        measure_core calls PAGES         populates in clusters, resets, releases: the longest call
 *        measure_core remove-all PAGES    resets an instance full of enclaves, all pages mapped
 *
 * The core is deterministic: the n-th call of one run does the same work as the n-th of the next.
 * So the least time of each call over several runs is the call's own, without what a virtual
 * machine loses to its host now and then (milliseconds), and the longest of those is the answer.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/epc.h"

#define NR_DEEP 4u
#define NR_CLUSTER_PAGES 256u
#define NR_PAGES_MEASURED_MIN UINT64_C(2000000) /* a round is repeated until so many are done */
#define NR_UNMAPS_MAX 4096u
#define NR_CALL_RUNS 5u
#define NR_CALLS_MAX (1u << 20)
#define STEPS_MAX UINT64_C(1000000000)
#define NR_REMOVE_RUNS 3u
#define ENCLAVE_PAGES 16384u /* SECS included */
#define ENCLAVE_BASE (UINT64_C(1) << 46)
#define PAGEINFO_ADDRESS 0x1000 /* in the guest; only the alignment of such addresses counts */
#define SRCPGE_ADDRESS 0x2000
#define SECINFO_ADDRESS 0x3000

/* One call of the core, with its effects taken. */
struct call {
	const char *name;
	uint64_t least_ns; /* 0: not made yet */
};

/* The EPC, the cgroup that pays, and the clock that the core is told. */
struct measure {
	struct epc *epc;
	struct epc_section_config section;
	struct epc_cgroup *payer;
	uint64_t tick_ns;
	struct epc_unmap *unmaps[NR_UNMAPS_MAX];
	unsigned int nr_unmaps;
	unsigned int nr_replies, nr_gone;
	int result;	    /* of the last reply */
	struct call *calls; /* NR_CALLS_MAX, or NULL: not wanted */
	unsigned int nr_calls;
};

struct verb {
	const char *name;
	int (*run_fn)(uint64_t nr_pages);
};

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void *memory_alloc(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

static void memory_free(void *context, void *memory, size_t size)
{
	(void)context;
	(void)size;
	free(memory);
}

static int cgroups_new(struct measure *measure)
{
	measure->payer = epc_cgroup_root(measure->epc);
	for (uint64_t id = 2; id < 2 + NR_DEEP; id++) {
		int error = epc_cgroup_new(measure->epc, measure->payer, id, NULL, &measure->payer);

		if (error != 0)
			return error;
	}
	return 0;
}

/* Of the contents only those of SECS pages are ever touched: the others cost no memory. */
static int section_init(struct epc_section_config *section, uint64_t nr_pages)
{
	void *bytes = mmap(NULL, nr_pages * EPC_PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*section = (struct epc_section_config){ .nr_pages = nr_pages, .bytes = bytes };
	return bytes == MAP_FAILED ? -errno : 0;
}

static void section_fini(struct epc_section_config *section)
{
	munmap(section->bytes, section->nr_pages * EPC_PAGE_SIZE);
}

static int measure_init(struct measure *measure, uint64_t nr_pages)
{
	struct epc_config config = {
		.sections = &measure->section,
		.nr_sections = 1,
		.allocator = { .alloc_fn = memory_alloc, .free_fn = memory_free },
		.is_metadata_only = true,
	};
	int error;

	memset(measure, 0, sizeof(*measure));
	error = section_init(&measure->section, nr_pages);
	if (error != 0)
		return error;
	error = epc_new(&config, &measure->epc);
	if (error != 0)
		goto section_fini;
	error = cgroups_new(measure);
	if (error == 0)
		return 0;
	epc_free(measure->epc);
section_fini:
	section_fini(&measure->section);
	return error;
}

static void measure_fini(struct measure *measure)
{
	epc_free(measure->epc);
	section_fini(&measure->section);
}

/* As the caller must after each call. */
static void effects_take(struct measure *measure)
{
	struct epc_effect effect;

	while (epc_effect_next(measure->epc, &effect)) {
		switch (effect.kind) {
		case EPC_EFFECT_RECORD:
			break;
		case EPC_EFFECT_UNMAP:
			assert(measure->nr_unmaps < NR_UNMAPS_MAX);
			measure->unmaps[measure->nr_unmaps++] = effect.unmap;
			break;
		case EPC_EFFECT_REPLY:
			measure->nr_replies++;
			measure->result = effect.reply->result;
			break;
		case EPC_EFFECT_GONE:
			measure->nr_gone++;
			break;
		}
	}
}

static uint64_t call_began(const struct measure *measure)
{
	return measure->calls ? cpu_ns() : 0;
}

static void call_note(struct measure *measure, const char *name, uint64_t began_ns)
{
	struct call *call;
	uint64_t took_ns;

	if (!measure->calls)
		return;
	took_ns = cpu_ns() - began_ns;
	assert(measure->nr_calls < NR_CALLS_MAX);
	call = &measure->calls[measure->nr_calls++];
	call->name = name;
	if (call->least_ns == 0 || took_ns < call->least_ns)
		call->least_ns = took_ns;
}

/* One READ; the replies of reads that need not wait are there at once. */
static int pages_read(struct measure *measure, struct epc_instance *instance, uint64_t first,
		      uint64_t count)
{
	struct epc_request request = {
		.instance = instance,
		.payer = measure->payer,
		.first = first,
		.count = count,
	};
	unsigned int nr_replies = measure->nr_replies;

	epc_tick(measure->epc, ++measure->tick_ns);
	epc_read(measure->epc, &request);
	effects_take(measure);
	if (measure->nr_replies != nr_replies + 1)
		return -EIO;
	if (measure->result != 0)
		return measure->result;
	epc_delivered(measure->epc, instance, first, count);
	effects_take(measure);
	return 0;
}

static void unmaps_acknowledge(struct measure *measure)
{
	while (measure->nr_unmaps != 0) {
		uint64_t began_ns = call_began(measure);

		epc_unmapped(measure->epc, measure->unmaps[--measure->nr_unmaps]);
		effects_take(measure);
		call_note(measure, "epc_unmapped", began_ns);
	}
}

/* Steps and acknowledges until *counter (of replies or of instances gone) has moved. */
static int work_until(struct measure *measure, const unsigned int *counter, unsigned int before)
{
	for (uint64_t step = 0; *counter == before; step++) {
		uint64_t began_ns = call_began(measure);

		if (step == STEPS_MAX)
			return -EIO;
		epc_step(measure->epc);
		effects_take(measure);
		call_note(measure, "epc_step", began_ns);
		unmaps_acknowledge(measure);
	}
	return 0;
}

static int instance_release(struct measure *measure, struct epc_instance *instance)
{
	unsigned int nr_gone = measure->nr_gone;
	uint64_t began_ns = call_began(measure);

	epc_tick(measure->epc, ++measure->tick_ns);
	epc_release(measure->epc, instance);
	effects_take(measure);
	call_note(measure, "epc_release", began_ns);
	return work_until(measure, &measure->nr_gone, nr_gone);
}

static int instance_reset(struct measure *measure, struct epc_instance *instance)
{
	struct epc_request request = { .instance = instance, .count = EPC_NR_INDICES };
	unsigned int nr_replies = measure->nr_replies;
	uint64_t began_ns = call_began(measure);

	epc_tick(measure->epc, ++measure->tick_ns);
	epc_reset(measure->epc, &request);
	effects_take(measure);
	call_note(measure, "epc_reset", began_ns);
	return work_until(measure, &measure->nr_replies, nr_replies);
}

/* An instance gets nr_pages pages, one by one, and is closed. */
static int round_run(struct measure *measure, uint64_t nr_pages, uint64_t *alloc_ns,
		     uint64_t *free_ns)
{
	struct epc_instance *instance;
	uint64_t began_ns = cpu_ns(), allocated_ns;
	int error = epc_open(measure->epc, measure->payer, NULL, measure, &instance);

	if (error != 0)
		return error;
	for (uint64_t index = 0; index < nr_pages && error == 0; index++)
		error = pages_read(measure, instance, index, 1);
	allocated_ns = cpu_ns();
	if (error == 0)
		error = instance_release(measure, instance);
	*alloc_ns += allocated_ns - began_ns;
	*free_ns += cpu_ns() - allocated_ns;
	return error;
}

/* The first round is not counted: it brings in the descriptors' memory, once in a daemon's life. */
static int run_alloc_free(uint64_t nr_pages)
{
	uint64_t nr_rounds = (NR_PAGES_MEASURED_MIN + nr_pages - 1) / nr_pages;
	uint64_t alloc_ns = 0, free_ns = 0;
	struct measure measure;
	int error = measure_init(&measure, nr_pages);

	if (error != 0)
		return error;
	for (uint64_t round = 0; round <= nr_rounds && error == 0; round++) {
		if (round == 1)
			alloc_ns = free_ns = 0;
		error = round_run(&measure, nr_pages, &alloc_ns, &free_ns);
	}
	measure_fini(&measure);
	printf("{\"alloc_ns\": %" PRIu64 ", \"free_ns\": %" PRIu64 ", \"pages\": %" PRIu64 "}\n",
	       alloc_ns, free_ns, nr_pages * nr_rounds);
	return error;
}

static int populate(struct measure *measure, struct epc_instance *instance, uint64_t nr_pages)
{
	for (uint64_t first = 0; first < nr_pages; first += NR_CLUSTER_PAGES) {
		uint64_t began_ns = call_began(measure);
		int error = pages_read(measure, instance, first, NR_CLUSTER_PAGES);

		if (error != 0)
			return error;
		call_note(measure, "epc_read", began_ns);
	}
	return 0;
}

/* One life of a large instance, its calls noted. */
static int life_run(struct call *calls, uint64_t nr_pages)
{
	struct epc_instance *instance;
	struct measure measure;
	/* clusters leave some free */
	int error = measure_init(&measure, nr_pages + nr_pages / 16 + NR_CLUSTER_PAGES);

	if (error != 0)
		return error;
	measure.calls = calls;
	error = epc_open(measure.epc, measure.payer, NULL, &measure, &instance);
	if (error == 0)
		error = populate(&measure, instance, nr_pages);
	if (error == 0)
		error = instance_reset(&measure, instance);
	if (error == 0)
		error = instance_release(&measure, instance);
	measure_fini(&measure);
	return error;
}

/* ECREATE or EADD of a page. The core answers at once: nobody has mapped it. */
static int leaf_run(struct measure *measure, struct epc_leaf *leaf, uint32_t number,
		    enum sgx_page_type type)
{
	unsigned int nr_replies = measure->nr_replies;
	struct sgx_secinfo secinfo = { .flags = (uint64_t)type << SGX_SECINFO_TYPE_SHIFT };

	if (type == SGX_PT_REG)
		secinfo.flags |= SGX_SECINFO_R | SGX_SECINFO_W;
	memcpy(leaf->info, &secinfo, sizeof(secinfo));
	leaf->request.instance = leaf->rcx.instance;
	leaf->request.payer = measure->payer;
	leaf->leaf = number;
	leaf->rbx = PAGEINFO_ADDRESS;
	leaf->srcpge = SRCPGE_ADDRESS;
	leaf->secinfo = SECINFO_ADDRESS;
	epc_leaf(measure->epc, leaf);
	effects_take(measure);
	return measure->nr_replies == nr_replies + 1 && leaf->outcome == 0 ? 0 : -EIO;
}

/* Enclaves one behind the other. The SECS comes first: its reset needs the second pass. */
static int enclaves_build(struct measure *measure, struct epc_instance *instance, uint64_t nr_pages)
{
	_Alignas(64) uint8_t info[128] = { 0 }, data[EPC_PAGE_SIZE] = { 0 };
	struct sgx_secs secs = {
		.size = ENCLAVE_PAGES * (uint64_t)EPC_PAGE_SIZE,
		.base = ENCLAVE_BASE,
		.ssa_frame_pages = 1,
		.attributes = { SGX_ATTR_MODE64BIT, SGX_XFRM_LEGACY },
	};
	struct epc_leaf leaf = { .info = info, .data = data };
	int error = 0;

	memcpy(data, &secs, sizeof(secs));
	for (uint64_t index = 0; index < nr_pages && error == 0; index++) {
		uint64_t in_enclave = index % ENCLAVE_PAGES;

		leaf.rcx = (struct epc_leaf_place){ instance, index * EPC_PAGE_SIZE };
		leaf.linaddr = 0;
		leaf.secs.instance = NULL;
		if (in_enclave == 0) {
			error = leaf_run(measure, &leaf, SGX_ECREATE, SGX_PT_SECS);
			continue;
		}
		leaf.linaddr = ENCLAVE_BASE + in_enclave * EPC_PAGE_SIZE;
		leaf.secs = leaf.rcx;
		leaf.secs.offset -= in_enclave * EPC_PAGE_SIZE;
		error = leaf_run(measure, &leaf, SGX_EADD, SGX_PT_REG);
	}
	return error;
}

/* An instance full of enclaves is mapped and reset, acknowledged at once. */
static int remove_run(struct call *calls, uint64_t nr_pages, uint64_t *took_ns)
{
	struct epc_instance *instance;
	struct measure measure;
	uint64_t began_ns = 0;
	int error = measure_init(&measure, nr_pages);

	if (error != 0)
		return error;
	error = epc_open(measure.epc, measure.payer, NULL, &measure, &instance);
	if (error == 0)
		error = enclaves_build(&measure, instance, nr_pages);
	if (error == 0)
		error = populate(&measure, instance, nr_pages);
	measure.calls = calls;
	began_ns = cpu_ns();
	if (error == 0)
		error = instance_reset(&measure, instance);
	*took_ns = cpu_ns() - began_ns;
	if (error == 0 && measure.result != 0)
		error = -EBUSY; /* SECS pages remain */
	measure_fini(&measure);
	return error;
}

/* The first run of each size is without the clock around each call. */
static int run_remove_all(uint64_t nr_pages)
{
	struct call *calls = calloc(NR_CALLS_MAX, sizeof(*calls));
	const struct call *longest = calls;
	uint64_t least_ns = 0;
	int error = calls != NULL ? 0 : -ENOMEM;

	for (unsigned int run = 0; run < 2 * NR_REMOVE_RUNS && error == 0; run++) {
		uint64_t took_ns;

		error = remove_run(run % 2 ? calls : NULL, nr_pages, &took_ns);
		if (run % 2 == 0 && (least_ns == 0 || took_ns < least_ns))
			least_ns = took_ns;
	}
	for (unsigned int i = 0; i < NR_CALLS_MAX && error == 0; i++)
		if (calls[i].least_ns > longest->least_ns)
			longest = &calls[i];
	if (error == 0)
		printf("{\"ns\": %" PRIu64 ", \"longest_ns\": %" PRIu64 ", \"call\": \"%s\", "
		       "\"pages\": %" PRIu64 "}\n",
		       least_ns, longest->least_ns, longest->name, nr_pages);
	free(calls);
	return error;
}

static int run_calls(uint64_t nr_pages)
{
	struct call *calls = calloc(NR_CALLS_MAX, sizeof(*calls));
	const struct call *longest = calls;
	int error = calls != NULL ? 0 : -ENOMEM;

	for (unsigned int run = 0; run < NR_CALL_RUNS && error == 0; run++)
		error = life_run(calls, nr_pages);
	for (unsigned int i = 0; i < NR_CALLS_MAX && error == 0; i++)
		if (calls[i].least_ns > longest->least_ns)
			longest = &calls[i];
	if (error == 0)
		printf("{\"longest_ns\": %" PRIu64 ", \"call\": \"%s\", \"pages\": %" PRIu64 "}\n",
		       longest->least_ns, longest->name, nr_pages);
	free(calls);
	return error;
}

int main(int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "alloc-free", run_alloc_free },
		{ "calls", run_calls },
		{ "remove-all", run_remove_all },
	};
	char *end = NULL;
	uint64_t nr_pages = argc == 3 ? strtoull(argv[2], &end, 10) : 0;

	/* As the daemon's pool: what was freed is kept, not given back inside a call. */
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	if (argc != 3 || *end != '\0' || nr_pages == 0) {
		fputs("usage: measure_core VERB PAGES\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0) {
			int error = verbs[i].run_fn(nr_pages);

			if (error != 0)
				fprintf(stderr, "measure_core: %s\n", strerror(-error));
			return error == 0 ? 0 : 1;
		}
	}
	fprintf(stderr, "measure_core: no verb %s\n", argv[1]);
	return 2;
}
