/* SPDX-License-Identifier: MIT */
/*
 * The core: an EPC, the instances that use it and the cgroups that pay for it.
 *
 * It is a deterministic state machine. Requests go down as calls, effects come up through
 * epc_effect_next(). It has no thread, lock, clock, file or signal of its own: the caller
 * serialises the calls, brings the time (epc_tick) and performs the effects. The same calls give
 * the same effects, always; that is what the simulator and the fuzzers stand on.
 *
 * Glossary
 *   EPC page     4096 bytes of a section. Its descriptor is struct epc_page.
 *   section      a contiguous piece of EPC on one NUMA node.
 *   instance     one open of a device node: the virtual EPC (vEPC) of one VM section.
 *   index        the number of a page inside its instance: file offset / 4096.
 *   cgroup       mirrors one cgroup v2 directory; has a limit, pays for pages.
 *   payer        the cgroup that a request's pages are charged to, and so are all its ancestors.
 *   stake        the pages of one instance that one cgroup pays for.
 *   fault        a READ of one page; it may be parked until a page comes free.
 *   incident     a refused fault: the second refusal of one page, its repeats are none.
 *   cluster      a READ of several pages, which the host's kernel sends to read ahead. It is never
 *                parked: it gets pages that nobody else needs, or EIO.
 *   speculative  a page that came with a cluster, or alone to an instance that reads ahead, and of
 *                which nobody knows that it is used.
 *   take back    to unmap a speculative page and free it, unless it proves to be in use: dirty
 *                bytes come with the unmapping, or a read.
 *   parked       a request that waits in the queue of the cgroup that refused its page.
 *   VM           the instances that belong together: their enclaves may spread over all of them.
 *   leaf         an instruction of SGX, executed for a guest on pages of its VM (sgx/sgx.h).
 *   remove       EREMOVE: a page of an enclave becomes plain memory again. Children are an
 *                enclave's pages, its SECS can only be removed when they are.
 *   zombie       a SECS page of a released instance that still has children in another one.
 *   enclave      of a host process: an instance of the other kind, one open of sgx_enclave. Its
 *                index counts from linear address 0. It has pages in the EPC and evicted ones.
 *   evict, load  EWB and ELDU: a page leaves the EPC, sealed, and comes back at a fault.
 *   swap slot    where an evicted page is: its sealed bytes are the caller's, the rest is ours.
 *   active       mapped, or may be. inactive: still in the EPC, unmapped: a touch maps it again.
 *   reclaim      active pages become inactive by an unmapping, inactive ones are evicted.
 *   hidden       a page that the processor keeps from everybody: SECS, TCS, VA, and what is
 *                blocked or trimmed. It reads as all ones and drops what is written, as the abort
 *                page does.
 *
 * Every call does at most EPC_STEP_PAGES pages of work, whatever is left is done by epc_step().
 * After each call, and before the next one, the caller takes all effects.
 */
#ifndef EPCD_CORE_EPC_H
#define EPCD_CORE_EPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sgx/sgx.h"

#define EPC_PAGE_SHIFT 12
#define EPC_PAGE_SIZE 4096u
#define EPC_NR_SECTIONS_MAX 8u		   /* as the kernel: CPUID 0x12 has so many leaves */
#define EPC_NR_INDICES (UINT64_C(1) << 35) /* an instance reaches to offset 2^47 */
#define EPC_STEP_PAGES 512u		   /* most pages that one call works on */
#define EPC_CLUSTER_PAGES_MAX 512u	   /* largest READ: FUSE sends up to 256 */
#define EPC_MAX_UNLIMITED UINT64_MAX	   /* misc.max "max" */
#define EPC_REFUSAL_REPEAT_NS UINT64_C(1000000000)  /* repeats of one refused fault */
#define EPC_REFUSAL_SECOND_NS UINT64_C(30000000000) /* from its first READ to its second */

struct epc;
struct epc_instance;
struct epc_cgroup;
struct epc_vm;

#define EPC_LEAF_TOKEN_OFFSET 2048u /* of EINITTOKEN in a leaf's data, behind SIGSTRUCT */

/* Linked into one list at a time; the node is embedded, so that queueing cannot fail. */
struct epc_list {
	struct epc_list *next, *prev;
};

/*
 * Memory other than EPC. alloc_fn returns zeroed memory of size bytes, or NULL, which becomes
 * ENOMEM for one client; free_fn takes back what alloc_fn gave, with the same size.
 */
struct epc_allocator {
	void *(*alloc_fn)(void *context, size_t size);
	void (*free_fn)(void *context, void *memory, size_t size);
	void *context;
};

/*
 * bytes: nr_pages * 4096 bytes of memory for the contents, page aligned, borrowed until epc_free(),
 * any content, never read before it is written (so an untouched page costs nothing).
 */
struct epc_section_config {
	uint64_t nr_pages;
	int node;
	void *bytes;
};

/*
 * Where sealed pages are kept: slots of 4096 bytes, numbers from 0 on. store_fn and load_fn return
 * 0 or -errno; a page that cannot be stored stays where it is, one that cannot be loaded is lost.
 * drop_fn: the bytes are not needed any more. All of them must not take long.
 */
struct epc_swap_ops {
	int (*store_fn)(void *context, uint32_t slot, const void *bytes);
	int (*load_fn)(void *context, uint32_t slot, void *bytes);
	void (*drop_fn)(void *context, uint32_t slot);
	void *context;
};

struct epc_config {
	const struct epc_section_config *sections; /* borrowed during epc_new() only */
	unsigned int nr_sections;
	struct epc_allocator allocator;
	/* Only SECS, TCS and VA pages have contents, all others read as zero: struct sgx_config. */
	bool is_metadata_only;
	uint32_t nr_swap_slots; /* 0: nothing is ever evicted */
	struct epc_swap_ops swap;
	uint8_t seed[32];    /* the processor's keys come from it */
	unsigned int mutant; /* test builds: which planted bug is on, enum epc_mutant; 0: none */
};

/*
 * READ, RESET, PUNCH and LOSE. The caller owns the memory, embeds this in a structure of its own
 * and keeps it until the request has come back as EPC_EFFECT_REPLY; then it is the caller's again.
 */
struct epc_request {
	/* set by the caller */
	struct epc_instance *instance;
	struct epc_cgroup *payer; /* READ: who pays for new pages */
	uint64_t first;		  /* page index */
	uint64_t count;		  /* pages, not 0 */
	void *buffer;		  /* READ: count * 4096 bytes, or NULL (no bytes are wanted) */

	/* set by the core before the reply */
	int result;   /* 0; EIO, ENOMEM, EINTR, EINVAL, EBUSY negated; or SECS pages that remain */
	bool is_zero; /* READ, result 0: all pages are zero and buffer was not written */

	/* the core's own while it has the request */
	struct epc_list node;
	struct epc_list parked_node; /* a READ: of its instance, while it is parked */
	struct epc_cgroup *waits_at; /* parked: in whose queue; else NULL */
	struct epc_leaf *leaf;	     /* it is the READ of a leaf that needs a page */
	struct epc_list vm_node;     /* of the whole VM: in the VM's queue */
	bool is_vm_wide;
	bool is_loss;		/* threads inside of enclaves are thrown out */
	bool gives_back;	/* PUNCH */
	bool is_second;		/* pass: only SECS pages, whose children are gone now */
	uint64_t cursor;	/* next index to work on */
	uint64_t first_skipped; /* SECS page of this pass that had children */
	uint64_t nr_skipped;
	int error; /* -EBUSY: a thread is inside of an enclave */
	uint64_t began_ns;
	uint64_t nr_done;  /* pages that were reset */
	uint64_t vm_round; /* stamp of the instances that it has seen */
};

enum epc_unmap_kind {
	EPC_UNMAP_TAKE_BACK,
	EPC_UNMAP_RESET,   /* and punch, and loss */
	EPC_UNMAP_LEAF,	   /* one page, so that its last bytes are there */
	EPC_UNMAP_RECLAIM, /* active pages that become inactive */
};

/* Zap this range of the instance's file from all its mappings and from the page cache. */
struct epc_unmap {
	struct epc_list node; /* the caller's between EPC_EFFECT_UNMAP and epc_unmapped() */
	struct epc_instance *instance;
	void *cookie; /* the instance's */
	uint64_t first;
	uint32_t count;
	enum epc_unmap_kind kind;
};

/* A place in an instance. instance NULL: there is no such operand. */
struct epc_leaf_place {
	struct epc_instance *instance;
	uint64_t offset; /* bytes, below EPC_NR_INDICES pages */
};

/*
 * What the kernel's ioctls on sgx_enclave do to one page. rcx is the page: its instance, and its
 * linear address as the offset (CREATE and INIT: the instance alone). Each loads and makes what it
 * needs (SECS, VA page, the page itself), charged to the payer, and may be parked for it.
 *
 *   CREATE    data: SECS                           -EIO: ECREATE faults
 *   ADD       data: contents; info: SECINFO;       -EBUSY: there is a page; -EIO: EADD or EEXTEND
 *             rbx: not 0, it is measured
 *   INIT      data: SIGSTRUCT                      -EIO: fault; -EPERM: outcome says why
 *   RESTRICT  rbx: permissions that stay, R W X    -EFAULT: no such page, or outcome; -EINVAL: no
 *                                                  REG page
 *   MODIFY    rbx: page type, TCS or TRIM          -EFAULT; -EINVAL: from what it is; -EPERM: REG
 *                                                  to TCS needs R and W
 *   REMOVE                                         -EFAULT; -EPERM: no TRIM, or not accepted
 *
 * Errors of all: -ENOMEM (refused: nothing can be reclaimed, or other memory), -EINTR, -EINVAL
 * (released meanwhile, or the enclave is in the wrong state), -EIO (its EPC was lost).
 */
enum epc_host_op {
	EPC_HOST_NONE, /* a guest's leaf */
	EPC_HOST_CREATE,
	EPC_HOST_ADD,
	EPC_HOST_INIT,
	EPC_HOST_RESTRICT,
	EPC_HOST_MODIFY,
	EPC_HOST_REMOVE,
};

/*
 * One leaf for a guest; what goes where is told in include/epc/abi.h, whose fields have the same
 * names. The caller owns the memory until the request comes back as EPC_EFFECT_REPLY.
 */
struct epc_leaf {
	/* request: set instance (whose VM it is), payer (of a page that the leaf makes). First. */
	struct epc_request request;
	enum epc_host_op host_op; /* else: */
	bool is_enclu;		  /* else ENCLS */
	uint32_t leaf;
	struct epc_leaf_place rcx, rdx, secs, rbx_place;
	uint64_t rbx, linaddr, rdx_linaddr, srcpge, secinfo;
	uint8_t *info; /* 128 bytes, borrowed; aligned to 8 */
	uint8_t *data; /* 4096 bytes, borrowed; aligned to 8 */

	/* set by the core before a reply with result 0 */
	int outcome; /* of the leaf: a code, or a fault (sgx/sgx.h) */

	/* the core's own while it has the request */
	struct epc_vm *vm;
	struct epc_list wait_node; /* of the VM, while it waits for anything */
	struct epc_unmap unmap;
	bool is_unmapping;
	bool has_page;		/* ADD: the page is there, and its own */
	unsigned int nr_unmaps; /* so far */
};

enum epc_record_kind {
	EPC_RECORD_STARTED,   /* an instance has its first page */
	EPC_RECORD_REFUSED,   /* a fault was refused: no page */
	EPC_RECORD_RESET,     /* REMOVE_ALL or ZERO_RANGE has ended */
	EPC_RECORD_PUNCHED,   /* PUNCH_HOLE has ended */
	EPC_RECORD_LOST,      /* an instance has lost all content */
	EPC_RECORD_PAGE_LOST, /* an evicted page did not come back: index */
	EPC_RECORD_ZOMBIES,   /* a released instance keeps SECS pages: children are elsewhere */
	EPC_RECORD_CLOSED,    /* an instance that had pages has given back the last */
};

/* What happened, with the figures of that moment. Bytes are bytes, times are the core's. */
struct epc_record {
	enum epc_record_kind kind;
	uint64_t time_ns;
	uint64_t instance_id;
	void *instance_cookie;
	void *payer_cookie;    /* REFUSED: the cgroup that would have paid */
	void *refuser_cookie;  /* REFUSED: whose limit it was; the root: the EPC is full */
	bool is_own_limit;     /* REFUSED: it was the instance's own, refuser_cookie is NULL */
	uint64_t index;	       /* REFUSED: the page */
	uint64_t limit_bytes;  /* REFUSED: misc.max of the refuser, or the capacity */
	uint64_t usage_bytes;  /* REFUSED: of the refuser; CLOSED: the instance's peak */
	uint64_t wanted_bytes; /* REFUSED */
	uint64_t nr_pages;     /* RESET, PUNCHED, LOST: pages done; ZOMBIES: how many */
	uint64_t took_ns;      /* RESET, PUNCHED, LOST */
};

enum epc_effect_kind {
	EPC_EFFECT_RECORD,
	EPC_EFFECT_UNMAP, /* perform it, then epc_unmapped() */
	EPC_EFFECT_REPLY, /* answer it; after a READ with result 0 then epc_delivered() */
	EPC_EFFECT_GONE,  /* a released instance is gone, its cookie is the caller's again */
};

struct epc_effect {
	enum epc_effect_kind kind;
	union {
		struct epc_record record;
		struct epc_unmap *unmap;
		struct epc_request *reply;
		void *gone_cookie;
	};
};

/*
 * Makes an EPC. Errors: EINVAL (no section, too many, one without pages, more than 2^32 - 2 pages
 * in all), ENOMEM. epc_free() may be called at any time: it drops everything, without effects.
 */
int epc_new(const struct epc_config *config, struct epc **epc);
void epc_free(struct epc *epc);

/* The present time, monotonic; before each request. */
void epc_tick(struct epc *epc, uint64_t now_ns);

/* Takes the next effect: records first, then unmappings, replies, instances gone. */
bool epc_effect_next(struct epc *epc, struct epc_effect *effect);

/*
 * Does one bounded piece of the work that waits: operations on many pages, parked faults that can
 * go on. Returns true while there is more to do now.
 */
bool epc_step(struct epc *epc);

/*
 * Instances. cgroup is the opener's, borrowed; sibling is another instance of the same VM, or
 * NULL: the first; the cookie comes back with effects and records. ENOMEM is the one error.
 * epc_release() is the last close: no request of the instance may be outstanding (the kernel
 * holds the file until they are answered), but those of the whole VM may, and leaves that name a
 * place in it, and unmappings. The instance then belongs to the core, EPC_EFFECT_GONE is the end
 * of its cookie.
 */
int epc_open(struct epc *epc, struct epc_cgroup *cgroup, struct epc_instance *sibling, void *cookie,
	     struct epc_instance **instance);
void epc_release(struct epc *epc, struct epc_instance *instance);

/* The same for a host process's enclave. It is a VM of its own. */
int epc_open_enclave(struct epc *epc, struct epc_cgroup *cgroup, void *cookie,
		     struct epc_instance **instance);

/* Gives the instance its id, and EPC_RECORD_STARTED, even if it has no page yet. */
void epc_start(struct epc *epc, struct epc_instance *instance);
bool epc_is_same_vm(const struct epc_instance *a, const struct epc_instance *b);

/*
 * A limit of the instance's own, in bytes, besides the cgroups' (mission V11). As that of a cgroup
 * it may be below the usage: then only new pages are refused. It is rounded down to pages.
 */
void epc_instance_set_max(struct epc *epc, struct epc_instance *instance, uint64_t max_bytes);

/*
 * A page fault (count 1) or a cluster. Reply: 0 and the bytes; -EIO when refused; -ENOMEM when
 * other memory is short; -EINVAL for a range outside EPC_NR_INDICES or larger than
 * EPC_CLUSTER_PAGES_MAX; -EINTR after epc_interrupt().
 */
void epc_read(struct epc *epc, struct epc_request *request);

/* The reply of this READ has reached the kernel: its pages may be taken back from now on. */
void epc_delivered(struct epc *epc, struct epc_instance *instance, uint64_t first, uint64_t count);

/*
 * The kernel writes dirty bytes back. size + offset % 4096 is at most EPC_STEP_PAGES pages. Bytes
 * of a page that is not the instance's any more, or that is being reset, are dropped: that is no
 * error, the page went while they were on their way.
 */
void epc_write(struct epc *epc, struct epc_instance *instance, uint64_t offset, const void *bytes,
	       size_t size);

/*
 * RESET: SGX_IOC_VEPC_REMOVE_ALL (first 0, count EPC_NR_INDICES) and FALLOC_FL_ZERO_RANGE: the
 * pages of the range are zero afterwards, and stay owned and charged (mission V3, V7).
 * PUNCH: FALLOC_FL_PUNCH_HOLE: the pages are given back.
 * Pages of enclaves are removed, children first and SECS after, in one call whatever their order
 * (V4). A SECS with children outside of the range stays as it is; the result is their number. A
 * thread inside of an enclave stops it: -EBUSY, what came before is done. Operations of one
 * instance are done in the order of their coming. -EINVAL: a bad range.
 */
void epc_reset(struct epc *epc, struct epc_request *request);
void epc_punch(struct epc *epc, struct epc_request *request);

/*
 * RESET of all instances of request->instance's VM, two rounds over them inside one request (V5);
 * first and count do not matter. Those of one VM are done one after the other.
 * LOSE: EPC loss, as on suspend or migration (V10): the same, but threads inside are thrown out,
 * so it leaves nothing; leaves of the VM wait until it is over. An enclave of a host process gives
 * back all its pages, what was evicted too; every touch and operation is -EIO until it is closed.
 * The VM's instances may be released meanwhile, request->instance's too.
 */
void epc_reset_vm(struct epc *epc, struct epc_request *request);
void epc_lose_vm(struct epc *epc, struct epc_request *request);

/*
 * Executes a leaf. Reply: 0 and the outcome; else nothing has changed: -EPERM (a place in another
 * VM), -EINVAL (an unknown leaf; a place outside; or its instance is released meanwhile), -EIO
 * (refused: no page for rcx), -ENOMEM, -EINTR, -EBUSY (somebody touched the page again each time
 * it had been unmapped).
 */
void epc_leaf(struct epc *epc, struct epc_leaf *leaf);

/* One page of an ioctl on an enclave of a host process: enum epc_host_op. */
void epc_host(struct epc *epc, struct epc_leaf *leaf);

/* Ends a parked READ or leaf with -EINTR. Any other request goes on to its own end. */
void epc_interrupt(struct epc *epc, struct epc_request *request);

/* The unmapping has been performed: nothing maps the range, its dirty bytes have been written. */
void epc_unmapped(struct epc *epc, struct epc_unmap *unmap);

/*
 * Cgroups. The root is there from the start. id is the caller's (the directory's inode number).
 * epc_cgroup_free(): EBUSY while it has charge, children, instances or waiters.
 */
struct epc_cgroup *epc_cgroup_root(struct epc *epc);
int epc_cgroup_new(struct epc *epc, struct epc_cgroup *parent, uint64_t id, void *cookie,
		   struct epc_cgroup **cgroup);
int epc_cgroup_free(struct epc *epc, struct epc_cgroup *cgroup);
void epc_cgroup_set_cookie(struct epc_cgroup *cgroup, void *cookie);

/*
 * Sets the limit in bytes. It may be below the usage: then only new pages are refused. A limit that
 * is no multiple of 4096 acts as rounded down, and reads back as written (misc.max). The root's is
 * for a caller that cannot make cgroups; it acts besides the capacity.
 */
void epc_cgroup_set_max(struct epc *epc, struct epc_cgroup *cgroup, uint64_t max_bytes);

/* Figures. Pages are pages, counts are since the start. */
struct epc_report {
	uint64_t nr_pages, nr_free, nr_speculative;
	uint64_t nr_instances; /* that have or had a page */
	uint64_t nr_parked;    /* READs that wait now */
	uint64_t nr_unmaps;    /* unmappings in flight now */
	uint64_t nr_faults, nr_clusters, nr_refusals, nr_resets, nr_taken_back;
	uint64_t nr_secs, nr_zombies; /* now; zombies are SECS pages too */
	uint64_t nr_leaves;
	uint64_t nr_active, nr_inactive; /* pages of enclaves on the two lists */
	uint64_t nr_evicted;		 /* pages that are out now */
	uint64_t nr_evictions, nr_loads, nr_soft_faults, nr_refaults;
	uint64_t low_pages, high_pages; /* marks of background reclaim now */
};

struct epc_section_report {
	int node;
	uint64_t nr_pages, nr_free;
};

struct epc_instance_report {
	uint64_t id; /* counts up from 1, never used again */
	uint64_t nr_pages, nr_speculative, peak_pages;
	uint64_t nr_pages_with_bytes; /* that have bytes of their own in the daemon */
	uint64_t end_index;	      /* one past the highest index ever had: the size touched */
	uint64_t nr_faults, nr_clusters, nr_refusals, nr_resets, nr_leaves;
	uint64_t max_bytes; /* its own limit */
	uint64_t nr_secs, nr_zombies;
	uint64_t nr_in_vm; /* instances of its VM, released ones left out */
	bool is_released;  /* only zombies are left of it, or soon nothing */
	/* enclaves */
	bool is_enclave, is_initialised;
	uint64_t base, size; /* linear address and bytes, 0 before CREATE */
	uint64_t nr_evicted, nr_va_pages, nr_inactive;
	uint64_t nr_loads, nr_soft_faults, nr_refaults, nr_lost;
};

struct epc_cgroup_report {
	uint64_t id;
	uint64_t max_bytes, usage_bytes, peak_bytes;
	uint64_t nr_refused;	   /* misc.events: here and below */
	uint64_t nr_refused_local; /* misc.events.local */
	uint64_t nr_parked;
};

void epc_report(const struct epc *epc, struct epc_report *report);
unsigned int epc_nr_sections(const struct epc *epc);
void epc_section_report(const struct epc *epc, unsigned int section,
			struct epc_section_report *report);
void epc_instance_report(const struct epc_instance *instance, struct epc_instance_report *report);
void epc_cgroup_report(const struct epc_cgroup *cgroup, struct epc_cgroup_report *report);

/* The pages of an instance that a cgroup pays for (a stake). */
uint64_t epc_stake_pages(const struct epc *epc, const struct epc_instance *instance,
			 const struct epc_cgroup *cgroup);

/* Whether a cgroup, or one below it, pays for a page of the instance. */
bool epc_has_stake_below(const struct epc_instance *instance, const struct epc_cgroup *cgroup);

/* What a test may ask about one page of an instance. */
struct epc_page_report {
	bool is_owned, is_speculative, has_bytes, is_unmapping, is_zombie;
	struct sgx_epcm epcm; /* of an owned page */
	const struct epc_cgroup *payer;
	unsigned int section;
};
void epc_page_report(const struct epc *epc, const struct epc_instance *instance, uint64_t index,
		     struct epc_page_report *report);

/* Whether an enclave has a page at that index, in the EPC or evicted. */
bool epc_has_page(const struct epc_instance *instance, uint64_t index);

/*
 * Every invariant as code; walks everything. On false, *why says which one, if why is not NULL.
 */
bool epc_is_valid(const struct epc *epc, const char **why);

#endif
