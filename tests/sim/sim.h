/* SPDX-License-Identifier: MIT */
/*
 * The simulator: plays the kernel, its clients and the administrator to the product's own core,
 * from one seed, and knows from a slow and obvious model what must come out.
 *
 * Glossary
 *   episode    the life of one world, seeded by (seed, number of the episode).
 *   step       one call of the core.
 *   slot       a page index that the model knows: pages 0.. of an instance and a few far ones.
 *   stamp      the number that fills a page: every store of a client has one of its own; 0: zero.
 *   ones       the stamp of a page that the processor hides: every byte of it reads as 0xff.
 *   VM         the instances that were opened beside each other; has a number of its own.
 *   wire       a write on its way from the kernel's page cache to the core.
 *   chase      a script that brings about one race on purpose.
 *
 * Who does what: world.c builds and ends a world, client.c is the clients, guest.c the guests,
 * kernel.c the page cache and its traffic, operation.c ioctl and fallocate, admin.c the cgroups,
 * effect.c takes the core's effects, content.c, charge.c, enclave.c and leaf.c are the model,
 * schedule.c draws the steps, chase*.c are the scripts, main.c the options. All of it is test code:
 * a failure ends the process with 1.
 */
#ifndef EPCD_SIM_H
#define EPCD_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/epc.h"
#include "guest_leaf.h"
#include "random.h"

#define SIM_NR_INSTANCES 8
#define SIM_NR_CGROUPS 9   /* the root is number 0 */
#define SIM_NR_NEAR 600	   /* slots from index 0 on */
#define SIM_NR_FAR_AREAS 3 /* far areas of SIM_NR_FAR slots each */
#define SIM_NR_FAR 16
#define SIM_NR_SLOTS (SIM_NR_NEAR + SIM_NR_FAR_AREAS * SIM_NR_FAR)
#define SIM_NR_READS 96
#define SIM_NR_OPERATIONS 12
#define SIM_NR_WIRES 96
#define SIM_NR_UNMAPS 512
#define SIM_NR_REFUSALS 64 /* records of one call */
#define SIM_STAMPS_MAX 24
#define SIM_CLUSTER_MAX 256 /* FUSE's 1 MiB */
#define SIM_NR_ENCLAVES 24
#define SIM_NR_LEAVES 12
#define SIM_NR_BLOBS 8
#define SIM_ONES UINT64_MAX
#define SIM_NOBODY (-1)

enum sim_cache {
	SIM_ABSENT,
	SIM_READING, /* locked by a READ in flight */
	SIM_PRESENT,
};

/* A value that a client may see, and when it was stored. */
struct sim_stamp {
	uint64_t value;
	uint64_t time;
};

/* What the model knows a page to be to the processor. */
enum sim_kind {
	SIM_PLAIN,
	SIM_SECS,
	SIM_CHILD,
	SIM_VA,
};

struct sim_place {
	int instance, slot;
};

/* One page of one instance: the kernel's side and the model's. */
struct sim_page {
	enum sim_cache cache;
	bool is_dirty;
	bool is_in_writeback;	 /* a wire carries it */
	bool is_laundered;	 /* locked by an unmapping, which writes it */
	unsigned int nr_waiting; /* client threads that wait for the page's lock */
	uint64_t cached;

	struct sim_stamp allowed[SIM_STAMPS_MAX];
	unsigned int nr_allowed;
	bool allows_any; /* more values than there is room for */
	bool is_owned;	 /* as of the last look */
	bool is_kept;	 /* a fault or a write has proved it used: nobody may take it */
	int payer;
	uint64_t read_time; /* when last a READ of it was sent or answered */
	uint64_t write_time;
	uint64_t answered_time;	    /* when last a READ of it was answered with 0 */
	uint64_t acknowledged_time; /* when last epc_delivered() covered it */
	uint64_t refused_ns;	    /* of the last refusal, its repeats left out; 0: none */
	uint64_t refused_number;    /* which of its instance's pages that were refused, from 1 on */
	bool is_incident;	    /* that refusal was recorded */

	enum sim_kind kind;
	int enclave;				/* SECS and children */
	bool is_hidden;				/* reads as ones, and drops what is written */
	bool is_tcs;				/* hidden for good, not only while it is blocked */
	struct sim_stamp under[SIM_STAMPS_MAX]; /* of a blocked page: what it held */
	unsigned int nr_under;
	bool is_inside; /* a TCS with a thread */
	uint64_t linaddr;
};

struct sim_enclave {
	bool has_secs;
	struct sim_place secs;
	unsigned int nr_children, nr_inside;
	uint64_t nr_ever; /* children: for linear addresses */
	bool is_initialised;
	bool is_loose; /* children were in an instance that is released: when they go is unknown */
};

enum sim_life {
	SIM_UNUSED,
	SIM_OPEN,
	SIM_DYING,    /* closed or killed, something is outstanding */
	SIM_RELEASED, /* the core's until EPC_EFFECT_GONE */
};

struct sim_instance {
	enum sim_life life;
	struct epc_instance *instance;
	uint64_t serial; /* never used again */
	uint64_t vm;
	uint64_t max_bytes, ceiling_bytes; /* of its own limit, as a cgroup's */
	bool has_told_zombies;
	uint64_t id; /* the core's, 0 until EPC_RECORD_STARTED */
	int opener;  /* cgroup */
	int payer;
	bool has_closed;
	unsigned int nr_outstanding; /* requests and wires: they forbid release */
	uint64_t nr_faults, nr_clusters, nr_resets, nr_refused, nr_pages_refused, peak_pages;
	struct sim_page pages[SIM_NR_SLOTS];
};

struct sim_cgroup {
	struct epc_cgroup *cgroup; /* NULL: unused */
	int parent;
	uint64_t max_bytes;
	uint64_t ceiling_bytes; /* usage that a lowered limit found; only goes down */
	uint64_t peak_bytes;
	uint64_t nr_refused, nr_refused_local;
};

enum sim_read_phase {
	SIM_READ_UNUSED,
	SIM_READ_IN_CORE, /* parked, once the call is over */
	SIM_READ_REPLIED, /* the daemon has the answer */
	SIM_READ_GOT,	  /* the kernel has it, epc_delivered() is still to come */
};

struct sim_read {
	struct epc_request request;
	enum sim_read_phase phase;
	int instance, payer;
	int slot; /* SIM_NOBODY: a range that the model does not know */
	uint64_t sent_step;
	uint64_t nr_failures; /* of the allocator, when it was sent */
	bool is_interrupted;
	bool was_owned;	     /* every page of it, when it was sent */
	bool was_unmapping;  /* one of its pages, when it was sent */
	bool was_waited_for; /* somebody waited at the payer or above it */
	unsigned char *buffer;
};

enum sim_operation_kind {
	SIM_REMOVE_ALL,
	SIM_ZERO_RANGE,
	SIM_PUNCH_HOLE,
	SIM_BAD_RESET,
	SIM_BAD_PUNCH,
	SIM_RESET_VM,
	SIM_LOSE_VM, /* nobody's ioctl: it holds no file */
};

enum sim_operation_phase {
	SIM_OPERATION_UNUSED,
	SIM_OPERATION_FLUSHING, /* fallocate: the kernel writes the range back first */
	SIM_OPERATION_IN_CORE,
	SIM_OPERATION_REPLIED,
	SIM_OPERATION_TRUNCATING, /* fallocate: the kernel drops the range from its cache */
};

struct sim_operation {
	struct epc_request request;
	enum sim_operation_kind kind;
	enum sim_operation_phase phase;
	int instance;
	int cursor; /* slot */
	uint64_t time;
	uint64_t vm;
	uint64_t sent_step;
	bool is_to_check; /* it was answered by this call */
	bool is_alone;	  /* no leaf, close or open in its VM so far: all of its outcome is known */
	bool may_be_busy; /* a thread was inside of an enclave of the VM */
};

/* A leaf that the core has. */
struct sim_leaf {
	struct guest_leaf guest;
	bool is_used;
	int caller; /* instance that the ioctl came through */
	struct sim_place rcx;
	int payer, enclave, blob;
	uint64_t stamp; /* what EADD puts into the page */
	uint64_t nr_failures;
	unsigned int nr_unmaps;
	bool is_foreign; /* names another VM's page */
	bool is_bad;	 /* is no leaf, or a place is outside */
	bool is_interrupted;
	bool is_overtaken; /* an operation in its VM has ended meanwhile */
};

/* A page that EWB has put out. */
struct sim_blob {
	bool is_used;
	uint8_t info[128], data[EPC_PAGE_SIZE];
	uint64_t linaddr;
	uint64_t vm;
	struct sim_place va;
	uint64_t slot; /* of the VA page, in bytes */
	int enclave;
	struct sim_stamp allowed[SIM_STAMPS_MAX];
	unsigned int nr_allowed;
	bool is_tcs;
};

/* A write on its way to the core, one or more neighbouring pages. */
struct sim_wire {
	bool is_used;
	bool is_launder; /* of an unmapping: the page is dropped when it has arrived */
	int instance, slot, count;
	uint64_t values[SIM_CLUSTER_MAX];
};

struct sim_unmap {
	struct epc_unmap *unmap; /* NULL: unused */
	int instance;
	uint64_t first, count;
	enum epc_unmap_kind kind;
	bool has_flushed; /* its dirty pages were written by one pass in front */
	int cursor;	  /* slot */
};

struct sim_options {
	uint64_t seed, nr_seeds;
	uint64_t nr_steps; /* of all seeds together */
	unsigned int mutant;
	bool is_verbose;
	bool has_progress;
	uint64_t only_episode; /* UINT64_MAX: all */
	const char *only_chase;
};

/* How often each kind of step is drawn; drawn anew for each episode. */
enum sim_step_kind {
	SIM_STEP_OPEN,
	SIM_STEP_FAULT,
	SIM_STEP_CLUSTER,
	SIM_STEP_STRANGE_READ,
	SIM_STEP_STORE,
	SIM_STEP_LOAD,
	SIM_STEP_FLUSH,
	SIM_STEP_DROP,
	SIM_STEP_WIRE,
	SIM_STEP_DELIVER,
	SIM_STEP_ACKNOWLEDGE,
	SIM_STEP_UNMAP,
	SIM_STEP_OPERATION,
	SIM_STEP_OPERATION_GO,
	SIM_STEP_CLOSE,
	SIM_STEP_KILL,
	SIM_STEP_INTERRUPT,
	SIM_STEP_REAP,
	SIM_STEP_LEAF,
	SIM_STEP_VM_OPERATION,
	SIM_STEP_OWN_LIMIT,
	SIM_STEP_LIMIT,
	SIM_STEP_CGROUP_NEW,
	SIM_STEP_CGROUP_FREE,
	SIM_STEP_MOVE,
	SIM_STEP_FAIL_ALLOCATION,
	SIM_STEP_CORE,
	SIM_STEP_TICK,
	SIM_STEP_QUIESCE,
	SIM_NR_STEP_KINDS,
};

struct sim_figures {
	uint64_t nr_reads, nr_read_ok, nr_eio, nr_enomem, nr_eintr, nr_parked, nr_cluster_ok;
	uint64_t nr_cluster_eio, nr_unmaps, nr_taken_back, nr_kept, nr_operations, nr_released;
	uint64_t nr_stores, nr_wires, nr_quiesces, nr_alloc_failures, nr_woken;
	uint64_t nr_leaves, nr_leaf_ok, nr_leaf_errors, nr_zombies;
};

struct sim {
	struct sim_options options;
	uint64_t random;
	uint64_t episode;
	uint64_t nr_steps;	  /* of the episode */
	uint64_t nr_steps_before; /* of the episodes before it */
	const char *chase;	  /* the script of this episode, or NULL */
	uint64_t time;		  /* of the model: counts everything */
	uint64_t now_ns;
	uint64_t hash; /* of all effects */
	uint64_t next_stamp;
	const char *doing; /* for the failure report */

	struct epc *epc;
	unsigned int nr_sections;
	void *section_bytes[EPC_NR_SECTIONS_MAX];
	uint64_t section_pages[EPC_NR_SECTIONS_MAX];
	uint64_t nr_pages;
	bool is_metadata_only;
	unsigned int walk_period;

	uint64_t fail_countdown; /* the n-th allocation from now fails; 0: none */
	uint64_t nr_failures;
	uint64_t allocated_bytes, nr_allocated;

	struct sim_instance instances[SIM_NR_INSTANCES];
	struct sim_cgroup cgroups[SIM_NR_CGROUPS];
	struct sim_read reads[SIM_NR_READS];
	struct sim_operation operations[SIM_NR_OPERATIONS];
	struct sim_leaf leaves[SIM_NR_LEAVES];
	struct sim_enclave enclaves[SIM_NR_ENCLAVES];
	struct sim_blob blobs[SIM_NR_BLOBS];
	struct epc_request *raw; /* a chase's own request, outside of the page cache */
	bool is_raw_answered;
	struct sim_wire wires[SIM_NR_WIRES];
	struct sim_unmap unmaps[SIM_NR_UNMAPS];
	struct epc_record refusals[SIM_NR_REFUSALS];
	unsigned int nr_refusals;
	uint64_t nr_pages_answered; /* by this call */
	bool has_refused_leaf;	    /* likewise */
	uint64_t next_serial;
	struct epc_report counted; /* the counts that the core must report */

	unsigned int weights[SIM_NR_STEP_KINDS];
	unsigned int slots_in_use; /* near slots that this episode plays with */
	struct sim_figures figures;
};

/* main.c: prints seed, episode, step and why; ends the process with 1 */
_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void sim_trace(const struct sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The only source of chance. */
static inline uint64_t sim_below(struct sim *sim, uint64_t limit)
{
	return random_below(&sim->random, limit);
}

static inline bool sim_chance(struct sim *sim, unsigned int one_in)
{
	return random_chance(&sim->random, one_in);
}

/* world.c: an EPC of one section, or what the seed says */
void sim_world_new(struct sim *sim, uint64_t nr_pages);
void sim_world_new_kind(struct sim *sim, uint64_t nr_pages, bool is_metadata_only);
void sim_world_random(struct sim *sim);
/* Closes everything, checks that nothing is left, frees the EPC. */
void sim_world_end(struct sim *sim);
/* Frees the EPC in the middle of whatever is going on. */
void sim_world_drop(struct sim *sim);

/* content.c */
uint64_t sim_slot_index(int slot);
int sim_index_slot(uint64_t index); /* SIM_NOBODY: none */
void sim_stamp_fill(unsigned char *page, uint64_t value);
uint64_t sim_stamp_read(const struct sim *sim, const unsigned char *page);
void sim_content_reset(struct sim_page *page);
bool sim_content_can_store(const struct sim *sim, int instance, int slot);
void sim_content_store(struct sim *sim, int instance, int slot, uint64_t value);
/* A leaf has made the page hold this, whatever was there. */
void sim_content_set(struct sim *sim, int instance, int slot, uint64_t value);
/* A client sees this value now. */
void sim_content_seen(struct sim *sim, int instance, int slot, uint64_t value, const char *how);
bool sim_content_is_allowed(const struct sim_page *page, uint64_t value);
void sim_content_allow(const struct sim *sim, struct sim_page *page, uint64_t value);
void sim_content_operation_begins(struct sim *sim, const struct sim_operation *operation);
void sim_content_operation_ends(struct sim *sim, const struct sim_operation *operation);
bool sim_operation_covers(const struct sim_operation *operation, uint64_t index);
/* It works on pages of that instance. */
bool sim_operation_concerns(const struct sim *sim, const struct sim_operation *operation,
			    int instance);
/* An operation of that page is outstanding, from the client's point of view. */
bool sim_content_is_in_operation(const struct sim *sim, int instance, int slot);
bool sim_content_is_in_fallocate(const struct sim *sim, int instance, int slot);
bool sim_content_is_in_punch(const struct sim *sim, int instance, int slot);

/* charge.c */
void sim_charge_look(struct sim *sim, int instance, int slot);
bool sim_cgroup_is_under(const struct sim *sim, int cgroup, int ancestor);
void sim_check_call(struct sim *sim);
void sim_check_all(struct sim *sim);
/* Somebody is parked at the instance's own limit, at the cgroup or above it. */
bool sim_is_waited_for(const struct sim *sim, int instance, int cgroup);
/* After epc_step() has nothing more to do: nobody waits at a limit that has room. */
void sim_check_waiters(struct sim *sim);
void sim_check_cluster(struct sim *sim, const struct sim_read *read);
void sim_check_taken_back(struct sim *sim, const struct sim_unmap *unmap);
void sim_check_refusal(struct sim *sim, const struct sim_read *read);
void sim_check_leaf_refusal(struct sim *sim, const struct sim_leaf *leaf);
void sim_check_refused_record(struct sim *sim, const struct epc_record *record);

/* enclave.c: which pages belong to which enclave */
void sim_enclave_look(struct sim *sim, int instance, int slot,
		      const struct epc_page_report *report);
/* The page is plain now. */
void sim_enclave_forget(struct sim *sim, int instance, int slot);
void sim_enclave_released(struct sim *sim, int instance);
bool sim_is_hidden(const struct epc_page_report *report);
bool sim_vm_has_threads(const struct sim *sim, uint64_t vm);
/* A reset or loss of some of its pages is going on. */
bool sim_vm_is_in_operation(const struct sim *sim, uint64_t vm);
/* Something happens in the VM beside its operations. */
void sim_vm_disturbed(struct sim *sim, uint64_t vm);
/* What an operation has left, when nothing disturbed it. */
void sim_enclave_check_operation(struct sim *sim, const struct sim_operation *operation);

/* guest.c: the next leaf of some VM */
void sim_leaf_random(struct sim *sim);

/* leaf.c: leaves that the core has, and their replies */
void sim_leaf_replied(struct sim *sim, struct sim_leaf *leaf);
bool sim_leaf_interrupt(struct sim *sim, struct sim_leaf *leaf);
/*
 * A leaf that is not answered: it has an operand in that instance; is on this page; and is one that
 * makes, or has made, it.
 */
bool sim_leaf_names(const struct sim_leaf *leaf, const struct epc_instance *instance);
bool sim_leaf_is_on(const struct sim *sim, int instance, int slot);
bool sim_leaf_pays(const struct sim *sim, int instance, int slot, const struct epc_cgroup *payer);
/* An unmapping for a leaf: somebody must have asked for it. */
void sim_leaf_unmaps(struct sim *sim, const struct sim_unmap *unmap);

/* effect.c: after every call of the core: takes the effects, checks */
void sim_after(struct sim *sim, const char *doing);

/* kernel.c */
struct sim_read *sim_read_send(struct sim *sim, int instance, uint64_t first, uint64_t count,
			       int payer);
void sim_read_deliver(struct sim *sim, struct sim_read *read);
void sim_read_acknowledge(struct sim *sim, struct sim_read *read);
/* false: nothing is dirty there, or too many writes are on their way */
bool sim_flush(struct sim *sim, int instance, int slot, int count_max);
bool sim_wire_send(struct sim *sim, int instance, int slot, int count, bool is_launder);
void sim_wire_arrive(struct sim *sim, struct sim_wire *wire);
bool sim_drop(struct sim *sim, int instance, int slot);
/* Moves an unmapping on by one page; false: it waits for something, or has been acknowledged. */
bool sim_unmap_go(struct sim *sim, struct sim_unmap *unmap);
bool sim_unmap_is_performed(const struct sim_unmap *unmap);
void sim_unmap_acknowledge(struct sim *sim, struct sim_unmap *unmap);
/* Everything outstanding is brought to its end; fails when something cannot end. */
void sim_quiesce(struct sim *sim);
bool sim_core_step(struct sim *sim);
void sim_core_run(struct sim *sim); /* until there is no more to do now */
/* Writes arrive, replies are delivered and acknowledged. Unmappings are performed. */
bool sim_settle_transport(struct sim *sim);
bool sim_settle_unmaps(struct sim *sim);

/* client.c */
int sim_open(struct sim *sim, int cgroup);
int sim_open_beside(struct sim *sim, int cgroup, int sibling); /* SIM_NOBODY: a VM of its own */
void sim_fault(struct sim *sim, int instance, int slot);
void sim_cluster(struct sim *sim, int instance, int slot, int count);
bool sim_store(struct sim *sim, int instance, int slot);
void sim_load(struct sim *sim, int instance, int slot);
void sim_close(struct sim *sim, int instance);
void sim_kill(struct sim *sim, int instance);
/* Releases a dying instance when nothing is outstanding any more. */
bool sim_reap(struct sim *sim, int instance);
bool sim_interrupt(struct sim *sim, struct sim_read *read);

/* operation.c */
struct sim_operation *sim_operation_begin(struct sim *sim, int instance,
					  enum sim_operation_kind kind, uint64_t first,
					  uint64_t count);
/* Moves it on; false: it waits for something. */
bool sim_operation_go(struct sim *sim, struct sim_operation *operation);
void sim_operation_replied(struct sim *sim, struct sim_operation *operation);
void sim_operation_check(struct sim *sim, struct sim_operation *operation);

/* admin.c */
int sim_cgroup_new(struct sim *sim, int parent);
bool sim_cgroup_free(struct sim *sim, int cgroup);
void sim_cgroup_set_max(struct sim *sim, int cgroup, uint64_t max_bytes);
int sim_cgroup_random(struct sim *sim);
void sim_own_limit(struct sim *sim, int instance, uint64_t max_bytes);
void sim_tick(struct sim *sim, uint64_t ns);

/* schedule.c */
void sim_schedule_draw(struct sim *sim);
void sim_schedule_step(struct sim *sim);

/*
 * chase.c has the scripts of faults and limits, chase_reset.c those of resets and writes,
 * chase_leaf.c those of enclaves and own limits. must()
 * fails when its condition does not hold; touch() faults pages one by one, with delivery.
 */
void sim_must(const struct sim *sim, bool holds, const char *what);
void sim_touch(struct sim *sim, int instance, int slot, int count);
unsigned int sim_nr_parked(const struct sim *sim);
void sim_chase_reset_touched(struct sim *sim);
void sim_chase_reset_undelivered(struct sim *sim);
void sim_chase_reset_large(struct sim *sim);
void sim_chase_reset_endless(struct sim *sim);
void sim_chase_write_after_punch(struct sim *sim);
void sim_chase_write_partial(struct sim *sim);
void sim_chase_punch_for_waiter(struct sim *sim);
void sim_chase_punch_inactive_for_waiter(struct sim *sim);
void sim_chase_release_unmapping(struct sim *sim);
void sim_chase_guests_reset(struct sim *sim);
void sim_chase_guests_close(struct sim *sim);
void sim_chase_own_limit(struct sim *sim);
void sim_chase_leaf_touched(struct sim *sim);
void sim_chase_leaf_parked(struct sim *sim);
typedef void (*sim_chase_fn)(struct sim *sim);
struct sim_chase {
	const char *name;
	sim_chase_fn run;
};
extern const struct sim_chase sim_chases[];
extern const unsigned int sim_nr_chases;

#endif
