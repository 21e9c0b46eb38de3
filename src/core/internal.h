/* SPDX-License-Identifier: MIT */
/*
 * The core's own structures, for src/core only. Invariants stand beside the fields as equations;
 * valid.c states them as code.
 */
#ifndef EPCD_CORE_INTERNAL_H
#define EPCD_CORE_INTERNAL_H

#include "core/epc.h"
#include "core/index.h"
#include "core/list.h"
#include "core/mutants.h"

#define PFN_NONE UINT32_MAX
#define NR_PAGES_MAX (UINT64_C(0xffffffff) - 1)
#define NR_STAKE_BUCKETS 4096u	  /* one instance, one cgroup: found in one step usually */
#define NR_REFUSALS_KNOWN 128u	  /* per instance: threads that may be refused at the same time */
#define NR_RECORDS_QUEUED 256u	  /* one call makes a few; the caller takes them after each call */
#define CLUSTER_RESERVE_PAGES 64u /* left free by clusters, as the kernel's high watermark */
#define TAKE_BACK_PAGES_MIN 16u	  /* the kernel's reclaim batch */
#define WAITERS_PER_STEP 32u
#define RECLAIM_PAGES 16u     /* a batch, as the kernel's SGX_NR_TO_SCAN */
#define NR_RECLAIM_BATCHES 4u /* unmappings in flight: as many as there are unmappers */
#define SWAP_RETRY_NS UINT64_C(1000000000)
#define INDEX_SECS EPC_NR_INDICES /* an enclave's SECS and VA pages, beyond all addresses */
#define INDEX_VA (EPC_NR_INDICES + 1)
#define INDEX_LAST (2 * EPC_NR_INDICES - 1)
#define INDEX_NONE UINT64_MAX
#define LEAF_UNMAPS_MAX 16u /* times that a leaf unmaps a page that is touched again */

/*
 * ACTIVE: mapped, or may be. UNMAPPING: an unmapping that covers it is in flight; nobody may free
 * it until that is acknowledged, a fault is answered all the same (the kernel holds the page's
 * lock until then, and the unmapping waits for that lock). INACTIVE: owned, known to be unmapped.
 */
enum page_state {
	PAGE_FREE,
	PAGE_ACTIVE,
	PAGE_UNMAPPING,
	PAGE_INACTIVE,
};

/* What a page promises to somebody who waits for one; a function of the page's state: page.c. */
enum page_class {
	CLASS_NONE,	/* it stays where it is */
	CLASS_TAKEABLE, /* it can be taken back */
	CLASS_LEAVING,	/* it will come free or prove its use soon, by itself */
	CLASS_ACTIVE,	/* an enclave's, on the active list of its cgroup */
	CLASS_INACTIVE, /* an enclave's, on the inactive list: it can be evicted */
	CLASS_ISOLATED, /* an enclave's, on no list for a moment */
};

/* The descriptor of an EPC page; 24 bytes. It says whose the page is, its EPCM entry (src/sgx, 16
 * bytes) what it is to an enclave: whatever else knows of a page could be rebuilt from the two. */
struct epc_page {
	struct epc_stake *stake; /* whose it is and who pays; NULL: free */
	uint64_t index : 36;
	uint64_t state : 3;
	uint64_t is_speculative : 1;
	uint64_t is_alone : 1; /* came with a READ of one page: perhaps a fault, taken back last */
	uint64_t is_filling : 1;     /* a READ of it is answered but not delivered */
	uint64_t is_zombie : 1;	     /* SECS of a released instance, children are elsewhere */
	uint64_t has_bytes : 1;	     /* else it reads as zero */
	uint64_t is_reset : 1;	     /* UNMAPPING: for a reset or punch */
	uint64_t is_for_reclaim : 1; /* UNMAPPING: to become inactive */
	uint64_t is_for_leaf : 1;    /* UNMAPPING: for a leaf. Neither: to take it back */
	uint64_t is_touched : 1;     /* UNMAPPING: a fault of it was answered meanwhile */
	uint64_t is_written : 1;     /* UNMAPPING: dirty bytes came with it */
	uint64_t gives_back : 1;     /* UNMAPPING: for a punch */
	uint64_t max_rwx : 3;	     /* an enclave's: permissions that it was added with */
	uint32_t next, prev; /* free list (next only), takeable list of the stake, LRU list */
};

struct section {
	uint32_t first_pfn;
	uint32_t nr_pages;
	uint32_t nr_free;     /* = length of the free list + pages never used */
	uint32_t free_head;   /* last in, first out */
	uint32_t next_unused; /* pages from here to the end have never been used */
	int node;
	char *bytes;
};

/* What valid.c counts anew, to hold it against the counters that are kept. */
struct tally {
	uint64_t nr_pages, nr_takeable, nr_leaving;
	uint64_t nr_stakes, nr_instances, nr_children, nr_payers;
	uint64_t nr_reclaimable;
	uint64_t nr_secs, nr_zombies;
};

/* The pages of one instance that one cgroup pays for; there while it has pages. */
struct epc_stake {
	struct epc_instance *instance;
	struct epc_cgroup *cgroup;
	struct epc_stake *next_in_bucket;
	struct epc_list instance_node;
	struct epc_list takeable_node;	/* on its cgroup's list while nr_takeable != 0 */
	struct epc_list own_limit_node; /* on its instance's own limit's, likewise */
	uint64_t nr_pages;		/* = number of descriptors that name it */
	uint64_t nr_takeable;		/* = pages of CLASS_TAKEABLE = length of the list */
	uint64_t nr_leaving;		/* = pages of CLASS_LEAVING */
	uint64_t nr_reclaimable; /* = pages of CLASS_ACTIVE, CLASS_INACTIVE, CLASS_ISOLATED */
	uint32_t takeable_head;	 /* clusters' pages, newest first, then those that came alone */
	uint32_t takeable_tail;
	bool is_doomed;	   /* its instance is being released: all its pages leave */
	struct tally seen; /* valid.c's scratch */
};

/* A page that was refused lately; time_ns is the last time, 0: the slot is empty. */
struct refusal {
	uint64_t index;
	uint64_t time_ns;
	bool is_incident; /* recorded; else it was refused once */
};

/* Pages in the order of their coming: the oldest at the tail. */
struct lru_list {
	uint32_t head, tail;
	uint64_t nr_pages;
};

/*
 * A cgroup; and the own limit of an instance, which is like one that has no directory: it is
 * charged besides the payer and its ancestors, refuses, and has a queue.
 */
struct epc_cgroup {
	struct epc_cgroup *parent;
	uint64_t id;
	void *cookie;
	struct epc_list node; /* on epc->cgroups */
	bool is_own_limit;
	uint64_t max_bytes, max_pages;
	uint64_t usage_pages; /* = own stakes' pages + children's usage */
	uint64_t peak_pages;
	uint64_t nr_takeable; /* = own stakes' + children's */
	uint64_t nr_leaving;  /* = own stakes' + children's */
	uint64_t nr_refused, nr_refused_local;
	uint64_t nr_children, nr_instances, nr_stakes;
	uint64_t nr_payers;  /* parked requests that it would pay for */
	uint64_t nr_waiters; /* = length of waiters */
	struct epc_list waiters;
	struct epc_list waiting_node; /* on epc->waiting while somebody waits here */
	struct epc_list wake_node;    /* on epc->wakes: its waiters are to be looked at */
	struct epc_list takeable_stakes;
	struct epc_list takeable_children; /* children with nr_takeable != 0 */
	struct epc_list takeable_node;
	uint64_t nr_reclaimable;				/* = own stakes' + children's */
	struct epc_list reclaimable_children, reclaimable_node; /* those with nr_reclaimable != 0 */
	bool is_own_turn;					/* of it and its children */
	struct lru_list active, inactive;
	uint32_t nr_soft_lately, nr_hard_lately; /* faults, halved now and then */
	struct epc_unmap unmap; /* one take back at a time on behalf of its waiters */
	bool is_taking;
	uint32_t take_back_pages; /* size of the next one */
	struct tally seen;	  /* valid.c's scratch */
};

/* The instances of one virtual machine; gone with the last of them. */
struct epc_vm {
	struct epc_list
		instances; /* epc_instance.vm_node; those already seen by a round at the end */
	struct epc_list requests;  /* of the whole VM, the first one is being done */
	struct epc_list leaves;	   /* that wait: for a page, an unmapping, the end of a loss */
	uint64_t nr_leaves;	   /* = length of leaves */
	uint64_t nr_to_wake;	   /* of them, the first ones: they are to look again */
	struct epc_list wake_node; /* on epc->leaf_wakes while nr_to_wake != 0 */
	uint64_t nr_losses;	   /* LOSE among its requests */
	uint64_t nr_open;	   /* instances that are not released */
};

/*
 * A VA page of an enclave. There are always slots enough for all its pages and its SECS to be out,
 * so that eviction needs no page: nr_va_pages * 512 >= nr_children + 1.
 */
struct va_page {
	struct epc_list node; /* on host->va_pages, those with free slots first */
	uint64_t index;
	uint32_t pfn;
	uint32_t nr_used;
	uint64_t used[SGX_NR_VA_SLOTS / 64];
};

/* An enclave of a host process. Its pages are at their linear address / 4096 in the index. */
struct host {
	bool is_created, is_initialised, is_lost;
	uint64_t base, size;
	uint64_t nr_children; /* in the EPC and out */
	uint64_t nr_evicted;  /* the SECS too */
	struct epc_list va_pages;
	uint64_t nr_va_pages;
	uint64_t next_va; /* index of the next one: INDEX_VA and above */
	uint64_t nr_inactive;
	uint64_t nr_loads, nr_soft_faults, nr_refaults, nr_lost;
};

/* A page that is out: its index entry is epc->nr_pages + the number of its swap slot. */
struct evicted {
	struct epc_instance *instance; /* NULL: the slot is free */
	uint64_t index;
	uint64_t nr_evictions; /* of the whole EPC, at that time */
	struct va_page *va;
	uint16_t va_slot;
	uint8_t max_rwx;
	bool is_lost;  /* it did not come back and never does; if forgotten it would be new */
	uint32_t next; /* free slots */
	struct sgx_pcmd pcmd;
};

/* One unmapping of reclaim. */
struct reclaim_batch {
	struct epc_unmap unmap;
	bool is_used;
};

struct epc_instance {
	struct epc *epc;
	struct epc_vm *vm;
	struct epc_list vm_node;
	uint64_t vm_round; /* of the last request of the whole VM that has seen it */
	struct epc_cgroup *cgroup;
	struct epc_cgroup own_limit;
	void *cookie;
	uint64_t id; /* 0: has never had a page */
	struct index index;
	struct epc_list node;		/* on epc->instances */
	struct epc_list operation_node; /* on epc->operations while there is something to do now */
	struct epc_list requests;	/* RESET, PUNCH, LOSE, first come first served */
	struct epc_list parked;		/* READs of it that are parked */
	struct epc_list stakes;
	struct epc_unmap unmap; /* the running operation's */
	bool is_unmapping;	/* that one is in flight */
	bool is_stalled;	/* the operation waits for a take back in its way */
	bool is_releasing;
	bool is_doomed; /* releasing: all stakes are doomed */
	bool has_told_zombies;
	uint64_t release_cursor;
	uint64_t nr_unmaps;	 /* in flight, of any kind */
	uint64_t nr_undelivered; /* READ replies on their way */
	uint64_t nr_pins;	 /* operands of leaves that the core has */
	uint64_t nr_secs;	 /* SECS pages in it */
	uint64_t nr_zombies;	 /* of them */
	uint64_t nr_pages;	 /* = sum of its stakes' */
	uint64_t nr_speculative, nr_with_bytes, peak_pages, end_index;
	uint64_t nr_faults, nr_clusters, nr_refusals, nr_resets, nr_leaves;
	struct host *host; /* of an enclave of a host process; NULL: virtual EPC */
	struct refusal refusals[NR_REFUSALS_KNOWN];
	unsigned int next_refusal;
};

struct epc {
	struct section sections[EPC_NR_SECTIONS_MAX];
	unsigned int nr_sections;
	struct epc_page *pages;
	struct sgx *sgx;
	bool is_metadata_only;
	uint64_t nr_pages, nr_free;
	struct epc_allocator allocator;
	uint64_t now_ns;
	struct epc_cgroup root;
	struct epc_list cgroups, instances;
	struct epc_list operations;	       /* instances with work to do now, round robin */
	struct epc_list leaf_wakes;	       /* VMs whose leaves are to look again */
	struct epc_list waiting;	       /* cgroups at which somebody waits */
	struct epc_list wakes;		       /* cgroups whose waiters are to be looked at */
	struct epc_list replies, unmaps, gone; /* effects to be taken */
	struct epc_record records[NR_RECORDS_QUEUED];
	unsigned int first_record, nr_records;
	struct epc_stake *stakes[NR_STAKE_BUCKETS];
	uint32_t nr_swap_slots, nr_swap_free;
	uint64_t swap_retry_ns; /* a page could not be stored: no other is before that time */
	uint32_t swap_head, swap_unused; /* free slots; slots from there on were never used */
	struct epc_swap_ops swap;
	struct evicted *evicted;
	uint8_t sealed[EPC_PAGE_SIZE]; /* on its way to swap or from there */
	struct reclaim_batch batches[NR_RECLAIM_BATCHES];
	bool is_reclaiming; /* in the background, until nr_free is at the high mark */
	uint64_t nr_allocated, rate_from_ns, rate_from_nr, rate_pages;
	uint64_t nr_active, nr_inactive, nr_evicted;
	uint64_t nr_evictions, nr_loads, nr_soft_faults, nr_refaults, nr_swap_failures;
	uint64_t next_instance_id, next_vm_round;
	uint64_t nr_secs, nr_zombies, nr_leaves;
	uint64_t nr_speculative, nr_parked, nr_unmaps, nr_started;
	uint64_t nr_faults, nr_clusters, nr_refusals, nr_resets, nr_taken_back;
#ifdef EPC_MUTANTS
	enum epc_mutant mutant;
#endif
};

/* effect.c */
void *epc_alloc(struct epc *epc, size_t size);
void epc_dealloc(struct epc *epc, void *memory, size_t size);
void epc_record_add(struct epc *epc, const struct epc_record *record);
void epc_reply(struct epc *epc, struct epc_request *request, int result);
void unmap_begin(struct epc *epc, struct epc_unmap *unmap, struct epc_instance *instance,
		 uint64_t first, uint32_t count, enum epc_unmap_kind kind);

/* page.c: descriptors */
uint32_t page_pfn(const struct epc *epc, const struct epc_page *page);
struct epc_page *page_find(const struct epc *epc, const struct epc_instance *instance,
			   uint64_t index);
struct section *page_section(struct epc *epc, uint32_t pfn);
char *page_bytes(struct epc *epc, const struct epc_page *page);
enum page_class page_class(const struct epc_page *page);
/* Puts the page where its class says, after a change; was: its class before it. */
void page_reclass(struct epc *epc, struct epc_page *page, enum page_class was);
/* A free page, charged already, becomes the instance's. -ENOMEM: index. -EBUSY: none is free. */
int page_assign(struct epc *epc, struct epc_stake *stake, uint64_t index, bool is_speculative,
		bool is_alone);
/* Frees an owned page that no unmapping covers: uncharges, wakes who waits. */
void page_free(struct epc *epc, struct epc_page *page);
/* The same for a page that is evicted: the index has its swap slot. */
void page_free_evicted(struct epc *epc, struct epc_page *page, uint32_t slot);
void page_set_used(struct epc *epc, struct epc_page *page); /* not speculative any more */
void page_drop_bytes(struct epc *epc, struct epc_page *page);
/* The unmapping of the page is acknowledged. Returns whether it was touched meanwhile. */
bool page_unmapping_over(struct epc *epc, struct epc_page *page);

/* cgroup.c */
void cgroup_init(struct epc_cgroup *cgroup, struct epc_cgroup *parent, uint64_t id, void *cookie);
/*
 * Charges nr_pages to the instance's own limit, the payer and its ancestors, or to none of them:
 * NULL, or who refused.
 */
struct epc_cgroup *cgroup_charge(struct epc *epc, struct epc_cgroup *payer,
				 struct epc_instance *instance, uint64_t nr_pages);
/* The pages of the charge are there: a charge that is undone again is no peak. */
void cgroup_note_peak(struct epc *epc, struct epc_cgroup *payer);
void cgroup_uncharge(struct epc *epc, struct epc_cgroup *payer, struct epc_instance *instance,
		     uint64_t nr_pages);
/* The nearest limit above the request at which somebody waits, or NULL. */
struct epc_cgroup *cgroup_waited_at(const struct epc_request *request);
void cgroup_wake(struct epc *epc, struct epc_cgroup *cgroup);
void cgroup_wake_up(struct epc *epc, struct epc_cgroup *cgroup); /* it and its ancestors */
void cgroup_wake_all(struct epc *epc);
bool cgroup_is_below(const struct epc_cgroup *cgroup, const struct epc_cgroup *ancestor);

/* stake.c */
struct epc_stake *stake_find(const struct epc *epc, const struct epc_instance *instance,
			     const struct epc_cgroup *cgroup);
struct epc_stake *stake_get(struct epc *epc, struct epc_instance *instance,
			    struct epc_cgroup *cgroup);
void stake_put(struct epc *epc, struct epc_stake *stake); /* frees it when it has no pages */
void stake_count(struct epc *epc, struct epc_stake *stake, enum page_class class, int64_t delta);
void stake_doom(struct epc *epc, struct epc_stake *stake);

/* fault.c */
void fault_serve_waiters(struct epc *epc);
void fault_for_page(struct epc *epc, struct epc_request *request); /* the page is not there */
void fault_cancel(struct epc *epc, struct epc_request *request, int error); /* it is parked */
void instance_started(struct epc *epc, struct epc_instance *instance);

/* enclave.c: what pages are to the processor */
/* Whether the page reads as all ones and drops what is written to it. */
bool page_is_hidden(const struct epc *epc, const struct epc_page *page);
bool page_is_secs(const struct epc *epc, const struct epc_page *page);
/*
 * EREMOVE: 0, SGX_CHILD_PRESENT, or SGX_ENCLAVE_ACT unless is_forced. A zombie whose last child
 * this was is freed.
 */
int page_remove(struct epc *epc, struct epc_page *page, bool is_forced);
/* A page has become, or was, a SECS. */
void page_count_secs(struct epc *epc, const struct epc_page *page, int64_t delta);
/* Frees the SECS if it is a zombie without children. */
void secs_child_gone(struct epc *epc, uint32_t secs);
void page_set_zombie(struct epc *epc, struct epc_page *page);

/* leaf.c */
void leaf_allocated(struct epc *epc, struct epc_leaf *leaf, int result);
void leaf_unmapped(struct epc *epc, struct epc_unmap *unmap);
/* All leaves of the VM that wait look again, a few with each step. */
void leaf_wake(struct epc *epc, struct epc_vm *vm);
void leaf_step(struct epc *epc);
void leaf_instance_released(struct epc *epc, struct epc_instance *instance);

/* vm.c: instances that belong together, and requests that go over all of them */
struct epc_vm *vm_get(struct epc *epc, struct epc_instance *sibling); /* NULL: no memory */
void vm_join(struct epc_vm *vm, struct epc_instance *instance);
void vm_leave(struct epc *epc, struct epc_instance *instance); /* perhaps the last */
/* A request of the whole VM is through with one instance: on to the next. */
void vm_request_next(struct epc *epc, struct epc_vm *vm);
void vm_instance_released(struct epc *epc, struct epc_instance *instance);

/* host.c: enclaves of host processes */
/* What a request on the enclave needs next and is not in the EPC: an index, or INDEX_NONE. */
uint64_t host_missing(struct epc *epc, const struct epc_request *request);
/* 0; -EIO: there is no such page, and none can come to be by a fault. */
int host_fault_check(const struct epc_instance *instance, uint64_t index);
/*
 * A new page is made what it is to be; slot: where it is, or PFN_NONE. Errors, and it is freed:
 * -EFAULT (it is lost, or cannot be), -ENOMEM.
 */
int host_page_fill(struct epc *epc, struct epc_request *request, struct epc_page *page,
		   uint32_t slot);
int host_execute(struct epc *epc, struct epc_leaf *leaf); /* 0, or the errno of enum epc_host_op */
int host_check(const struct epc_leaf *leaf);		  /* what can be said before it */
bool host_unmaps(const struct epc_leaf *leaf);
struct host *host_new(struct epc *epc);
void host_free(struct epc *epc, struct host *host);
/* No version is needed any more. Returns whether all are gone. */
bool host_free_va_pages(struct epc *epc, struct host *host, uint32_t count_max);
/* An evicted page is not needed any more. */
void host_forget(struct epc *epc, struct epc_instance *instance, uint64_t index);

/* leaf.c: what a leaf has made of the page; before is its EPCM entry of then. */
void page_note_change(struct epc *epc, struct epc_page *page, const struct sgx_epcm *before,
		      int outcome);

/* swap.c: pages leave the EPC and come back */
bool swap_has_room(const struct epc *epc);
/* The page's swap slot, or PFN_NONE: it is not out. */
uint32_t swap_find(const struct epc *epc, const struct epc_instance *instance, uint64_t index);
/* Whether it is out, and did not come back when it was asked for. */
bool swap_is_lost(const struct epc *epc, const struct epc_instance *instance, uint64_t index);
/* EWB of a page that is blocked and tracked, or a SECS: it is freed. False: it stays. */
bool swap_evict(struct epc *epc, struct epc_page *page);
/* ELDU into the page, which is the instance's at that index now. -EIO: it is lost. */
int swap_load(struct epc *epc, struct epc_page *page, uint32_t slot);
void swap_drop(struct epc *epc, uint32_t slot);

/* reclaim.c */
void lru_add(struct epc *epc, struct lru_list *list, struct epc_page *page);
void lru_remove(struct epc *epc, struct lru_list *list, struct epc_page *page);
/* In the subtree: true when pages were freed at once, else unmappings are in flight, or nothing. */
bool reclaim_for(struct epc *epc, struct epc_cgroup *cgroup);
bool reclaim_in_background(struct epc *epc); /* whether there is more to do now */
void reclaim_unmapped(struct epc *epc, struct epc_unmap *unmap);
void reclaim_note_fault(struct epc_cgroup *cgroup, bool is_soft);
void reclaim_marks(const struct epc *epc, uint64_t *low_pages, uint64_t *high_pages);

/* takeback.c */
/* Takes pages back in the subtree: true when it freed some at once or an unmapping is in flight. */
bool takeback_begin(struct epc *epc, struct epc_cgroup *cgroup);
void takeback_unmapped(struct epc *epc, struct epc_unmap *unmap);

/* operation.c */
void operation_queue(struct epc *epc, struct epc_instance *instance);
void operation_step(struct epc *epc);
void operation_unmapped(struct epc *epc, struct epc_unmap *unmap);
/* A request of the whole VM, at this instance now. */
void operation_add(struct epc *epc, struct epc_instance *instance, struct epc_request *request);
/* Frees one page of a released instance that no unmapping covers, or makes it a zombie. */
void operation_release_page(struct epc *epc, struct epc_page *page);

#endif
