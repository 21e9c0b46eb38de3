/* SPDX-License-Identifier: MIT */
/*
 * Goal: enclaves of host processes keep every byte, whatever is evicted, loaded, removed or closed
 * meanwhile. Method: a seeded driver over the core with a small EPC and real contents: it plays the
 * kernel's page cache (stores, write-backs, drops, unmappings that are performed late and out of
 * order), knows from a model what each page must contain, lets allocations and the swap fail, and
 * asserts epc_is_valid() after each step.
 *
 * paging [--seed N] [--steps N] [--mutant NAME]: a seed replays exactly
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/epc.h"
#include "core/mutants.h"
#include "random.h"

#define NR_ENCLAVES 4
#define NR_PAGES 40 /* of an enclave, from its base on */
#define NR_READS 24
#define NR_UNMAPS 16
#define NR_SWAP_SLOTS 120
#define ENCLAVE_SIZE (UINT64_C(1) << 20)
#define STEPS_OF_A_WORLD 4000

enum life {
	CLOSED,
	OPEN,
	CREATED,
	INITIALISED,
	LOST,
	CLOSING,
};

struct page {
	bool exists, is_trimmed, is_cached, is_dirty, is_reading;
	uint64_t value; /* what the daemon has, or will have when the dirty bytes are written */
	uint64_t cached;
};

struct enclave {
	enum life life;
	struct epc_instance *instance;
	uint64_t base;
	unsigned int nr_outstanding;
	struct page pages[NR_PAGES];
};

struct read {
	struct epc_request request;
	bool is_used, is_answered;
	bool was_sent_before; /* its enclave lost its EPC */
	unsigned int enclave, page;
	uint64_t buffer[512];
};

struct world {
	uint64_t random, seed, step;
	struct epc *epc;
	char *bytes;
	struct epc_cgroup *groups[3];
	struct enclave enclaves[NR_ENCLAVES];
	struct read reads[NR_READS];
	struct epc_unmap *unmaps[NR_UNMAPS];
	struct epc_leaf leaves[2]; /* ioctls: the second one while the first is kept waiting */
	bool is_leaf_out[2];
	unsigned int at;	  /* the one that is used now */
	struct epc_cgroup *payer; /* of all, or NULL: any */
	bool holds_reads;	  /* answers are not delivered */
	struct epc_request loss;
	bool is_loss_out;
	uint8_t info[128] __attribute__((aligned(8)));
	uint64_t data[512];
	uint64_t next_value, now_ns;
	uint64_t nr_allocated;
	unsigned int fail_in, swap_fail_in;
	bool has_failed;
	uint8_t swap[NR_SWAP_SLOTS][4096];
	bool is_stored[NR_SWAP_SLOTS];
	uint64_t nr_faults, nr_evictions;
	bool is_metadata_only; /* INIT takes anything there: such worlds have live enclaves */
	unsigned int mutant;
};

static void fail(const struct world *w, const char *text)
{
	fprintf(stderr, "paging: FAILED at seed %llu, step %llu: %s\n", (unsigned long long)w->seed,
		(unsigned long long)w->step, text);
	exit(1);
}

#define MUST(w, condition, text)         \
	do {                             \
		if (!(condition))        \
			fail((w), text); \
	} while (0)

static uint64_t below(struct world *w, uint64_t end)
{
	return random_below(&w->random, end);
}

static bool happens(unsigned int *countdown)
{
	return *countdown && !--*countdown;
}

static void *allocate(void *context, size_t size)
{
	struct world *w = context;

	if (happens(&w->fail_in)) {
		w->has_failed = true;
		return NULL;
	}
	w->nr_allocated++;
	return calloc(1, size);
}

static void deallocate(void *context, void *memory, size_t size)
{
	(void)size;
	((struct world *)context)->nr_allocated--;
	free(memory);
}

static int swap_store(void *context, uint32_t slot, const void *bytes)
{
	struct world *w = context;

	if (happens(&w->swap_fail_in))
		return -ENOSPC;
	MUST(w, !w->is_stored[slot], "a swap slot is used twice");
	memcpy(w->swap[slot], bytes, 4096);
	w->is_stored[slot] = true;
	return 0;
}

static int swap_load(void *context, uint32_t slot, void *bytes)
{
	struct world *w = context;

	MUST(w, w->is_stored[slot], "a swap slot is read that holds nothing");
	memcpy(bytes, w->swap[slot], 4096);
	return 0;
}

static void swap_drop(void *context, uint32_t slot)
{
	((struct world *)context)->is_stored[slot] = false;
}

static void world_begin(struct world *w)
{
	bool is_script = w->seed % 16 == 1;
	uint64_t nr_pages = is_script ? 24 : 24 + below(w, 60);
	struct epc_section_config section = { .nr_pages = nr_pages };
	struct epc_config config = {
		.sections = &section,
		.nr_sections = 1,
		.allocator = { allocate, deallocate, w },
		.nr_swap_slots = below(w, 3) ? NR_SWAP_SLOTS : 4 + (uint32_t)below(w, 12),
		.swap = { swap_store, swap_load, swap_drop, w },
	};

	if (is_script)
		config.nr_swap_slots = 4;
	w->is_metadata_only = below(w, 4) == 0;
	config.is_metadata_only = w->is_metadata_only;
	config.mutant = w->mutant;
	if (posix_memalign((void **)&w->bytes, 4096, nr_pages * 4096))
		abort();
	section.bytes = w->bytes;
	memset(w->bytes, 0xa5, nr_pages * 4096);
	MUST(w, epc_new(&config, &w->epc) == 0, "epc_new() fails");
	w->groups[0] = epc_cgroup_root(w->epc);
	for (int i = 1; i < 3; i++)
		MUST(w,
		     epc_cgroup_new(w->epc, w->groups[i - 1], (uint64_t)i, NULL, &w->groups[i]) ==
			     0,
		     "epc_cgroup_new() fails");
	w->next_value = 1;
	for (unsigned int i = 0; i < NR_ENCLAVES; i++)
		w->enclaves[i].base = (UINT64_C(1) << 40) + i * ENCLAVE_SIZE;
}

static void reply(struct world *w, struct epc_request *request)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (w->is_leaf_out[i] && request == &w->leaves[i].request) {
			w->is_leaf_out[i] = false;
			return;
		}
	}
	if (w->is_loss_out && request == &w->loss)
		w->is_loss_out = false;
	else
		((struct read *)request)->is_answered = true;
}

static void take_effects(struct world *w)
{
	struct epc_effect effect;
	const char *why;
	unsigned int i;

	while (epc_effect_next(w->epc, &effect)) {
		switch (effect.kind) {
		case EPC_EFFECT_RECORD:
			break;
		case EPC_EFFECT_UNMAP:
			for (i = 0; i < NR_UNMAPS && w->unmaps[i]; i++)
				;
			MUST(w, i < NR_UNMAPS, "too many unmappings");
			w->unmaps[i] = effect.unmap;
			break;
		case EPC_EFFECT_REPLY:
			reply(w, effect.reply);
			break;
		case EPC_EFFECT_GONE:
			((struct enclave *)effect.gone_cookie)->life = CLOSED;
			break;
		}
	}
	if (!epc_is_valid(w->epc, &why))
		fail(w, why);
}

static struct epc_cgroup *any_group(struct world *w)
{
	return w->payer ? w->payer : w->groups[below(w, 3)];
}

static void open_one(struct world *w, struct enclave *enclave)
{
	int error;

	if (enclave->life != CLOSED)
		return;
	error = epc_open_enclave(w->epc, any_group(w), enclave, &enclave->instance);
	MUST(w, !error || w->has_failed, "an open fails");
	if (error)
		return;
	memset(enclave->pages, 0, sizeof(enclave->pages));
	enclave->life = OPEN;
}

static void host_begin(struct world *w, struct enclave *enclave, enum epc_host_op op)
{
	memset(&w->leaves[w->at], 0, sizeof(w->leaves[w->at]));
	memset(w->info, 0, sizeof(w->info));
	w->leaves[w->at].request.instance = enclave->instance;
	w->leaves[w->at].request.payer = any_group(w);
	w->leaves[w->at].rcx.instance = enclave->instance;
	w->leaves[w->at].host_op = op;
	w->leaves[w->at].info = w->info;
	w->leaves[w->at].data = (uint8_t *)w->data;
}

static void host_send(struct world *w, struct enclave *enclave)
{
	w->is_leaf_out[w->at] = true;
	enclave->nr_outstanding++;
	epc_host(w->epc, &w->leaves[w->at]);
	take_effects(w);
}

static void unmap_one(struct world *w);
static void deliver_one(struct world *w);

/* Until the ioctl is answered: the client does nothing else meanwhile. */
static int host_end(struct world *w, struct enclave *enclave)
{
	for (unsigned int turns = 0; w->is_leaf_out[w->at]; turns++) {
		MUST(w, turns < 100000, "an ioctl is never answered");
		if (turns > 50000)
			epc_interrupt(w->epc, &w->leaves[w->at].request);
		epc_step(w->epc);
		take_effects(w);
		deliver_one(w);
		unmap_one(w);
	}
	enclave->nr_outstanding--;
	return w->leaves[w->at].request.result;
}

static void create(struct world *w, struct enclave *enclave)
{
	struct sgx_secs *secs = (struct sgx_secs *)w->data;
	int result;

	if (enclave->life != OPEN)
		return;
	host_begin(w, enclave, EPC_HOST_CREATE);
	memset(w->data, 0, sizeof(w->data));
	secs->size = ENCLAVE_SIZE;
	secs->base = enclave->base;
	secs->ssa_frame_pages = 1;
	secs->attributes.flags = SGX_ATTR_MODE64BIT;
	secs->attributes.xfrm = SGX_XFRM_LEGACY;
	host_send(w, enclave);
	result = host_end(w, enclave);
	MUST(w, !result || result == -ENOMEM, "CREATE fails");
	if (!result)
		enclave->life = CREATED;
}

static void add_send(struct world *w, struct enclave *enclave, unsigned int page)
{
	struct sgx_secinfo *secinfo = (struct sgx_secinfo *)w->info;

	host_begin(w, enclave, EPC_HOST_ADD);
	w->leaves[w->at].rcx.offset = enclave->base + page * 4096u;
	w->leaves[w->at].rbx = below(w, 8) == 0;
	secinfo->flags = SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT | SGX_SECINFO_R | SGX_SECINFO_W;
	for (int i = 0; i < 512; i++)
		w->data[i] = w->next_value;
	host_send(w, enclave);
}

static void add(struct world *w, struct enclave *enclave, unsigned int page)
{
	bool exists = enclave->pages[page].exists;
	int result;

	if (enclave->life != CREATED || enclave->pages[page].is_reading)
		return;
	add_send(w, enclave, page);
	result = host_end(w, enclave);
	MUST(w, exists ? result == -EBUSY : !result || result == -ENOMEM,
	     "ADD gives something else");
	if (result)
		return;
	enclave->pages[page] = (struct page){ .exists = true, .value = w->next_value++ };
}

/* With contents the processor wants a signature, which is tested elsewhere. */
static void init(struct world *w, struct enclave *enclave)
{
	int result;

	if (enclave->life != CREATED)
		return;
	host_begin(w, enclave, EPC_HOST_INIT);
	memset(w->data, 0, sizeof(w->data));
	host_send(w, enclave);
	result = host_end(w, enclave);
	MUST(w, result == (w->is_metadata_only ? 0 : -EPERM), "INIT gives something else");
	if (!result)
		enclave->life = INITIALISED;
}

static void touch(struct world *w, unsigned int number, unsigned int page)
{
	struct enclave *enclave = &w->enclaves[number];
	struct read *read;
	unsigned int i;

	if (enclave->life == CLOSED || enclave->life == OPEN || enclave->life == CLOSING ||
	    enclave->pages[page].is_cached || enclave->pages[page].is_reading)
		return;
	for (i = 0; i < NR_READS && w->reads[i].is_used; i++)
		;
	if (i == NR_READS)
		return;
	read = &w->reads[i];
	*read = (struct read){ .is_used = true, .enclave = number, .page = page };
	read->request.instance = enclave->instance;
	read->request.payer = any_group(w);
	read->request.first = (enclave->base >> 12) + page;
	read->request.count = 1;
	read->request.buffer = read->buffer;
	enclave->pages[page].is_reading = true;
	enclave->nr_outstanding++;
	w->nr_faults++;
	epc_read(w->epc, &read->request);
	take_effects(w);
}

/* The kernel gets one of the answers, whichever. */
static void deliver_one(struct world *w)
{
	struct read *read = &w->reads[below(w, NR_READS)];
	struct enclave *enclave = &w->enclaves[read->enclave];
	struct page *page = &enclave->pages[read->page];
	uint64_t value;

	if (!read->is_used || !read->is_answered || w->holds_reads)
		return;
	if (read->request.result) {
		MUST(w,
		     !page->exists || read->request.result == -EINTR || w->has_failed ||
			     read->request.result == -EIO,
		     "a fault ends in something else");
	} else {
		MUST(w, page->exists || enclave->life == INITIALISED || read->was_sent_before,
		     "a page that nobody added is there");
		MUST(w, enclave->life != LOST || read->was_sent_before, "a lost page is there");
		page->exists = true; /* by EAUG */
		value = read->request.is_zero ? 0 : read->buffer[below(w, 512)];
		if (w->is_metadata_only)
			value = page->value;
		MUST(w, value == page->value, "a page has other bytes than were stored");
		page->is_cached = true;
		page->is_dirty = false;
		page->cached = value;
		epc_delivered(w->epc, enclave->instance, read->request.first, 1);
	}
	page->is_reading = false;
	enclave->nr_outstanding--;
	read->is_used = false;
	take_effects(w);
}

static void write_back(struct world *w, struct enclave *enclave, unsigned int number)
{
	struct page *page = &enclave->pages[number];
	uint64_t bytes[512];

	if (!page->is_cached || !page->is_dirty)
		return;
	for (int i = 0; i < 512; i++)
		bytes[i] = page->cached;
	epc_write(w->epc, enclave->instance, enclave->base + number * 4096u, bytes, sizeof(bytes));
	page->is_dirty = false;
	take_effects(w);
}

static void store(struct world *w, struct enclave *enclave)
{
	unsigned int first = (unsigned int)below(w, NR_PAGES);

	for (unsigned int i = first; i < NR_PAGES && i < first + 4; i++) {
		struct page *page = &enclave->pages[i];

		if (!page->is_cached)
			continue;
		page->cached = page->value = w->next_value++;
		page->is_dirty = true;
	}
}

static void drop(struct world *w, struct enclave *enclave)
{
	unsigned int number = (unsigned int)below(w, NR_PAGES);

	write_back(w, enclave, number);
	enclave->pages[number].is_cached = false;
}

/* Performs one unmapping as the kernel does, unless a READ in flight locks one of its pages. */
static void unmap_one(struct world *w)
{
	unsigned int at = (unsigned int)below(w, NR_UNMAPS);
	struct epc_unmap *unmap = w->unmaps[at];
	struct enclave *enclave;

	if (!unmap)
		return;
	enclave = unmap->cookie;
	for (uint64_t i = 0; i < unmap->count; i++) {
		uint64_t page = unmap->first + i - (enclave->base >> 12);

		MUST(w, page < NR_PAGES, "a strange unmapping");
		if (enclave->pages[page].is_reading)
			return;
	}
	for (uint64_t i = 0; i < unmap->count; i++) {
		unsigned int page = (unsigned int)(unmap->first + i - (enclave->base >> 12));

		write_back(w, enclave, page);
		enclave->pages[page].is_cached = false;
	}
	w->unmaps[at] = NULL;
	epc_unmapped(w->epc, unmap);
	take_effects(w);
}

/* All content of one enclave is gone, while its READs are in flight. */
static void lose(struct world *w, struct enclave *enclave)
{
	if (enclave->life != CREATED && enclave->life != INITIALISED)
		return;
	memset(&w->loss, 0, sizeof(w->loss));
	w->loss.instance = enclave->instance;
	w->is_loss_out = true;
	enclave->life = LOST;
	for (int i = 0; i < NR_READS; i++)
		w->reads[i].was_sent_before |= w->reads[i].is_used &&
					       &w->enclaves[w->reads[i].enclave] == enclave;
	epc_lose_vm(w->epc, &w->loss);
	take_effects(w);
	for (unsigned int turns = 0; w->is_loss_out; turns++) {
		MUST(w, turns < 100000, "a loss never ends");
		epc_step(w->epc);
		take_effects(w);
		deliver_one(w);
		unmap_one(w);
	}
}

static void close_one(struct world *w, struct enclave *enclave)
{
	if (enclave->life == CLOSED || enclave->life == CLOSING)
		return;
	for (int i = 0; i < NR_READS; i++) {
		if (w->reads[i].is_used && &w->enclaves[w->reads[i].enclave] == enclave)
			epc_interrupt(w->epc, &w->reads[i].request);
	}
	take_effects(w);
	if (enclave->nr_outstanding)
		return;
	for (unsigned int i = 0; i < NR_PAGES; i++)
		enclave->pages[i].is_cached = false;
	enclave->life = CLOSING;
	epc_release(w->epc, enclave->instance);
	take_effects(w);
}

static void set_limit(struct world *w)
{
	uint64_t max = below(w, 2) ? EPC_MAX_UNLIMITED : 4096 * (4 + below(w, 40));

	epc_cgroup_set_max(w->epc, any_group(w), max);
}

static void one_step(struct world *w)
{
	unsigned int number = (unsigned int)below(w, NR_ENCLAVES);
	struct enclave *enclave = &w->enclaves[number];
	uint64_t draw = below(w, 1000);

	w->now_ns += below(w, 20000000);
	epc_tick(w->epc, w->now_ns);
	if (draw < 20)
		open_one(w, enclave);
	else if (draw < 40)
		create(w, enclave);
	else if (draw < 190)
		add(w, enclave, (unsigned int)below(w, NR_PAGES));
	else if (draw < 193)
		init(w, enclave);
	else if (draw < 500)
		touch(w, number, (unsigned int)below(w, NR_PAGES));
	else if (draw < 600)
		deliver_one(w);
	else if (draw < 700)
		store(w, enclave);
	else if (draw < 740)
		write_back(w, enclave, (unsigned int)below(w, NR_PAGES));
	else if (draw < 780)
		drop(w, enclave);
	else if (draw < 860)
		unmap_one(w);
	else if (draw < 863)
		close_one(w, enclave);
	else if (draw < 864)
		lose(w, enclave);
	else if (draw < 867)
		w->fail_in = 1 + (unsigned int)below(w, 6);
	else if (draw < 868)
		w->swap_fail_in = 1 + (unsigned int)below(w, 6);
	else if (draw < 880)
		set_limit(w);
	else
		epc_step(w->epc);
	take_effects(w);
}

/*
 * A script: somebody waits at a limit for pages that cannot leave yet, their faults are not
 * delivered; then others fill the swap, and what he waits for cannot leave at all.
 */
static void fill_swap_while_one_waits(struct world *w)
{
	struct enclave *waits = &w->enclaves[0], *fills = &w->enclaves[1];
	unsigned int page;

	epc_cgroup_set_max(w->epc, w->groups[2], UINT64_C(8) * 4096);
	w->payer = w->groups[2];
	open_one(w, waits);
	create(w, waits);
	for (page = 0; page < 6; page++)
		add(w, waits, page);
	w->holds_reads = true;
	for (page = 0; page < 6; page++)
		touch(w, 0, page);
	add_send(w, waits, page);

	w->at = 1;
	w->payer = w->groups[0];
	open_one(w, fills);
	create(w, fills);
	for (page = 0; page < NR_PAGES; page++)
		add(w, fills, page);

	w->at = 0;
	w->payer = NULL;
	(void)host_end(w, waits);
	w->holds_reads = false;
	epc_cgroup_set_max(w->epc, w->groups[2], EPC_MAX_UNLIMITED);
}

/* Everything ends: no page, no slot, no memory is left. */
static void world_end(struct world *w)
{
	struct epc_report report;
	bool is_open = true;

	w->fail_in = w->swap_fail_in = 0;
	for (unsigned int turns = 0; is_open; turns++) {
		MUST(w, turns < 1000000, "the world does not end");
		is_open = false;
		for (unsigned int i = 0; i < NR_ENCLAVES; i++) {
			close_one(w, &w->enclaves[i]);
			is_open |= w->enclaves[i].life != CLOSED;
		}
		epc_step(w->epc);
		take_effects(w);
		deliver_one(w);
		unmap_one(w);
	}
	epc_report(w->epc, &report);
	w->nr_evictions += report.nr_evictions;
	MUST(w, report.nr_free == report.nr_pages, "pages are left");
	MUST(w, !report.nr_evicted && !report.nr_parked && !report.nr_unmaps, "something is left");
	for (unsigned int i = 0; i < NR_SWAP_SLOTS; i++)
		MUST(w, !w->is_stored[i], "a swap slot is left");
	epc_free(w->epc);
	MUST(w, !w->nr_allocated, "memory is left");
	free(w->bytes);
}

static unsigned int parse_mutant(const char *text)
{
	static const char *const names[] = {
#define X(name) #name,
		EPC_MUTANT_LIST(X)
#undef X
	};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], text) == 0)
			return i;
	fprintf(stderr, "paging: no mutant is named %s\n", text);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "steps", required_argument, NULL, 'n' },
		{ "mutant", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	bool is_long = getenv("EPCD_LONG");
	uint64_t seed = (uint64_t)time(NULL), nr_steps = is_long ? 1000000 : 200000;
	uint64_t nr_faults = 0, nr_evictions = 0;
	unsigned int mutant = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (option == 'n')
			nr_steps = strtoull(optarg, NULL, 0);
		else if (option == 'm')
			mutant = parse_mutant(optarg);
		else
			return 2;
	}
	printf("paging: --seed %llu --steps %llu\n", (unsigned long long)seed,
	       (unsigned long long)nr_steps);
	for (uint64_t done = 0; done < nr_steps; seed++) {
		struct world *w = calloc(1, sizeof(*w));

		if (!w)
			return 1;
		w->seed = seed;
		w->random = random_mix(seed, 0);
		w->mutant = mutant;
		world_begin(w);
		if (w->seed % 16 == 1)
			fill_swap_while_one_waits(w);
		for (; w->step < STEPS_OF_A_WORLD && done < nr_steps; w->step++, done++)
			one_step(w);
		world_end(w);
		nr_faults += w->nr_faults;
		nr_evictions += w->nr_evictions;
		free(w);
	}
	printf("paging: %llu faults, %llu evictions, all bytes right\n",
	       (unsigned long long)nr_faults, (unsigned long long)nr_evictions);
	return 0;
}
