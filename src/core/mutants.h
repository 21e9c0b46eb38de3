/* SPDX-License-Identifier: MIT */
/*
 * Planted bugs, for the simulator to catch: one for each invariant and each protection. They exist
 * only in the test build (EPC_MUTANTS) and are off there unless epc_config.mutant names one.
 */
#ifndef EPCD_CORE_MUTANTS_H
#define EPCD_CORE_MUTANTS_H

#define EPC_MUTANT_LIST(X)                                                                      \
	X(NONE)                                                                                 \
	X(CHARGE_FORGETS_PARENT)   /* only the payer is charged */                              \
	X(CHARGE_UNDO_FORGOTTEN)   /* a refused charge stays on the levels below */             \
	X(CHARGE_IGNORES_ANCESTOR) /* only the payer's own limit refuses */                     \
	X(CHARGE_OFF_BY_ONE)	   /* one page more than the limit */                           \
	X(UNCHARGE_FORGOTTEN)	   /* a freed page stays charged */                             \
	X(PEAK_FORGOTTEN)                                                                       \
	X(MAX_ROUNDS_UP)	    /* 4,095 bytes more are a page more */                      \
	X(RAISE_FORGETS_WAITERS)    /* a raised limit wakes nobody */                           \
	X(UNCHARGE_FORGETS_WAITERS) /* a freed page wakes nobody */                             \
	X(REFUSE_WHILE_LEAVING)	    /* refused although pages are on their way */               \
	X(REFUSE_WHILE_TAKEABLE)    /* refused although pages could be taken back */            \
	X(REFUSAL_AT_ONCE)	    /* the first refusal of a page is an incident already */    \
	X(READ_AHEAD_IS_DEMAND)	    /* one page READ is a fault, in spite of clusters */        \
	X(REFUSAL_COUNTED_AGAIN)    /* the kernel's repeats are incidents of their own */       \
	X(QUEUE_JUMPED)		    /* a new fault does not queue behind the parked ones */     \
	X(CLUSTER_PARKED)	    /* a cluster waits as a fault does */                       \
	X(CLUSTER_TAKES_RESERVE)    /* a cluster takes the last free pages */                   \
	X(CLUSTER_NOT_SPECULATIVE)                                                              \
	X(CLUSTER_ANSWERS_UNMAPPING) /* a cluster reads pages that are being unmapped */        \
	X(CLUSTER_UNDO_FORGOTTEN)    /* a cluster that fails half way keeps its pages */        \
	X(TAKE_BACK_FILLING)	     /* takes a page whose fault is not delivered */            \
	X(TAKE_BACK_ALONE_FIRST)     /* a page just faulted in is the first to be taken back */ \
	X(TAKE_BACK_USED)	     /* frees a page although dirty bytes came with it */       \
	X(TAKE_BACK_TOUCHED)	     /* frees a page although it was read meanwhile */          \
	X(TAKE_BACK_DEMANDED)	     /* a fault leaves the page speculative */                  \
	X(TAKE_BACK_OTHER_SUBTREE)   /* takes pages outside of the refuser's subtree */         \
	X(WRITE_LEAVES_SPECULATIVE)  /* a write-back does not prove use */                      \
	X(WRITE_PARTIAL_KEEPS_STALE) /* the rest of a page's first partial write is stale */    \
	X(WRITE_AFTER_RESET_KEPT)    /* old bytes that arrive during a reset are kept */        \
	X(WRITE_NEW_DROPPED)	     /* new bytes that arrive during a reset are dropped */     \
	X(RESET_KEEPS_BYTES)	     /* a reset page keeps its bytes */                         \
	X(RESET_TOUCHED_KEEPS_BYTES) /* a page read during its reset shows old bytes */         \
	X(RESET_FORGETS_TOUCHED)     /* a page written anew during its reset loses the bytes */ \
	X(RESET_GIVES_BACK)	     /* a reset frees its pages */                              \
	X(RESET_SKIPS_INACTIVE)                                                                 \
	X(RESET_STALLED_FORGOTTEN) /* an operation behind a take back never goes on */          \
	X(RESET_ENDS_EARLY)	   /* the last page of the range is left out */                 \
	X(PUNCH_KEEPS_PAGES)                                                                    \
	X(FREE_TWICE)                                                                           \
	X(FREE_KEEPS_BYTES)	    /* the next owner sees the last one's bytes */              \
	X(FREE_KEEPS_INDEX)	    /* the index still has the freed page */                    \
	X(RELEASE_BEFORE_UNMAPPED)  /* the instance goes while an unmapping is in flight */     \
	X(RELEASE_BEFORE_DELIVERED) /* the instance goes while a reply is on its way */         \
	X(RELEASE_LEAKS_UNMAPPING)  /* pages being unmapped at the release stay owned */        \
	X(RELEASE_FORGETS_STAKE)    /* pages of a released instance can still be taken back */  \
	X(INTERRUPT_FORGETS_QUEUE)  /* an interrupted request stays in the queue */             \
	X(READ_PARKED_DURING_UNMAP) /* a fault on a page being unmapped waits for it */         \
	X(UNMAP_RUN_TOO_LONG)	    /* an unmapping covers a page that is not owned */          \
	X(STAKE_LEAKED)		    /* an empty stake stays */                                  \
	X(SECTION_COUNT_WRONG)	    /* a section's free pages are miscounted */                 \
	X(REPLY_STALE_ZERO)	    /* a page with bytes is answered as zero */                 \
	X(STEP_UNBOUNDED)	    /* an operation does everything at once */                  \
	X(WAITERS_STARVED)	    /* parked faults wait until no operation is left */         \
	X(RELEASE_DOOMS_LATE)	    /* a released instance's pages are not leaving at once */   \
	X(PEAK_OF_UNDONE)	    /* a charge that is undone leaves a peak */                 \
	X(FULL_FOUND_LATE)	    /* a full EPC is found after charging: endless wake-ups */  \
	X(CGROUP_FREED_WITH_PAYERS) /* a cgroup goes that a parked fault would charge */        \
	X(NO_MEMORY_STAYS_CHARGED)  /* ENOMEM keeps the charge */                               \
	X(QUEUE_LAST_FIRST)	    /* who came last is served first */                         \
	X(REFUSAL_FORGETS_PARENT)   /* ancestors do not count the refusal */                    \
	X(REFUSAL_BLAMES_PAYER)	    /* the record names the payer, not who refused */           \
	X(DELIVERED_FORGOTTEN)	    /* a delivered page never becomes takeable */               \
	X(ASSIGN_STAYS_FREE)	    /* an owned page is in the state of a free one */           \
	X(FREE_FORGETS_TOTAL)	    /* the sum of the free pages is not kept */                 \
	X(STAKE_FORGETS_PAGE)	    /* a stake does not count its pages */                      \
	X(FREE_FORGETS_BYTES)	    /* pages with bytes are not counted down */                 \
	X(TAKEABLE_LIST_TORN)	    /* a takeable list has no way back */                       \
	X(MARKS_STAY)		    /* marks of an unmapping that is over */                    \
	X(PARKED_ELSEWHERE)	    /* a parked request is in another queue than it says */     \
	X(PARKED_WITHOUT_HOPE)	    /* parked although nothing will come free */                \
	X(STAKE_NOT_FOUND)	    /* a stake is in no bucket */                               \
	X(LEAVING_FORGETS_PARENT)   /* ancestors do not know of leaving pages */                \
	X(OWN_LIMIT_IGNORED)	    /* an instance's own limit refuses nothing */               \
	X(NO_SECOND_PASS)	    /* a SECS whose children came later stays */                \
	X(NO_SECOND_ROUND)	    /* a SECS whose children were elsewhere stays */            \
	X(ZOMBIE_FORGOTTEN)	    /* a zombie stays when its last child goes */               \
	X(CHILD_MISCOUNTED)	    /* a zombie goes one child too early */                     \
	X(RELEASE_FREES_SECS)	    /* a released SECS is freed although it has children */     \
	X(HIDDEN_READABLE)	    /* a SECS can be read */                                    \
	X(HIDDEN_WRITTEN)	    /* a SECS can be overwritten */                             \
	X(LEAF_NOT_COHERENT)	    /* a leaf works on a page that is mapped */                 \
	X(LEAF_DURING_LOSS)	    /* a leaf builds on while everything is being lost */       \
	X(LEAF_ON_OTHER_VM)	    /* a leaf may name another VM's page */                     \
	X(LEAF_NOT_WOKEN)	    /* a leaf waits for an unmapping that is over */            \
	X(LEAF_IGNORES_TOUCH)	    /* a page touched while it is unmapped is none to a leaf */ \
	X(LEAF_KEEPS_SPECULATIVE)   /* an enclave's page can be taken back */                   \
	X(LOSS_SPARES_THREADS)	    /* a loss or a close leaves threads inside */               \
	X(RELEASE_BEFORE_LEAF)	    /* an instance goes while a leaf names it */                \
	X(RELEASE_STOPS_VM_REQUEST) /* a VM's request ends with the instance that it is at */   \
	X(GONE_STAYS_QUEUED)	    /* an instance that is gone has work to do */               \
	X(ZOMBIES_UNTOLD)	    /* a released instance keeps zombies in silence */          \
	X(OWN_LIMIT_NOT_WOKEN)	    /* who waits at an own limit does not hear of free pages */ \
	X(PARKED_NOT_ANSWERED)	    /* a READ stays parked for a page that came otherwise */    \
	X(EVICT_UNDELIVERED)	    /* a page whose fault is not delivered can be unmapped */   \
	X(INACTIVE_STAYS)	    /* a touch leaves a page on the inactive list */            \
	X(SWAP_DROPPED_EARLY)	    /* a swap slot is given up before it is read */             \
	X(VERSION_SHARED)	    /* two evicted pages have one version slot */               \
	X(ISOLATED_FORGOTTEN)	    /* nobody looks again when a page can leave */              \
	X(SWAP_FULL_FORGOTTEN)	    /* nobody looks again when nothing can leave */             \
	X(EVICT_WITHOUT_TRACK)	    /* EWB without ETRACK */                                    \
	X(COUNT)

enum epc_mutant {
#define X(name) EPC_MUTANT_##name,
	EPC_MUTANT_LIST(X)
#undef X
};

#ifdef EPC_MUTANTS
#define MUTANT(epc, name) ((epc)->mutant == EPC_MUTANT_##name)
#else
#define MUTANT(epc, name) ((void)(epc), false)
#endif

#endif
