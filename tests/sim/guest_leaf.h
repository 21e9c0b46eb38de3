/* SPDX-License-Identifier: MIT */
/*
 * Leaves as a well-behaved guest would send them: all operands that a leaf needs, and nothing else.
 * For whoever tests or measures the core with enclaves in it; who executes them, and when, is the
 * caller's. Each function fills in everything but request.instance and request.payer.
 */
#ifndef EPCD_GUEST_LEAF_H
#define EPCD_GUEST_LEAF_H

#include "core/epc.h"

#define GUEST_REG_RW \
	(SGX_SECINFO_R | SGX_SECINFO_W | (uint64_t)SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT)
#define GUEST_TCS ((uint64_t)SGX_PT_TCS << SGX_SECINFO_TYPE_SHIFT)
#define GUEST_TRIM ((uint64_t)SGX_PT_TRIM << SGX_SECINFO_TYPE_SHIFT)

struct guest_leaf {
	struct epc_leaf leaf; /* first: a reply leads here */
	_Alignas(64) uint8_t info[128];
	_Alignas(64) uint8_t data[EPC_PAGE_SIZE];
};

static inline struct epc_leaf_place guest_place(struct epc_instance *instance, uint64_t index)
{
	return (struct epc_leaf_place){ instance, index * EPC_PAGE_SIZE };
}

/* A debug enclave of 64 bits; size: a power of two, base a multiple of it. */
void guest_ecreate(struct guest_leaf *guest, struct epc_leaf_place rcx, uint64_t base,
		   uint64_t size);
/* REG pages get what data holds, TCS pages a TCS that threads can enter. */
void guest_eadd(struct guest_leaf *guest, struct epc_leaf_place rcx, struct epc_leaf_place secs,
		uint64_t linaddr, uint64_t flags);
void guest_eaug(struct guest_leaf *guest, struct epc_leaf_place rcx, struct epc_leaf_place secs,
		uint64_t linaddr);
/* Without a signature: it is for an EPC of metadata only. */
void guest_einit(struct guest_leaf *guest, struct epc_leaf_place secs);
void guest_epa(struct guest_leaf *guest, struct epc_leaf_place rcx);
/* What needs no more than its page: EREMOVE, EBLOCK, ETRACK, EDBGRD, EDBGWR. */
void guest_simple(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx);
void guest_eextend(struct guest_leaf *guest, struct epc_leaf_place rcx, struct epc_leaf_place secs);
void guest_ewb(struct guest_leaf *guest, struct epc_leaf_place rcx, struct epc_leaf_place slot);
/* info and data stay as EWB has left them, and so does leaf.linaddr. */
void guest_eld(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx,
	       struct epc_leaf_place slot, struct epc_leaf_place secs);
void guest_modify(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx,
		  uint64_t flags);
/* EENTER, EEXIT */
void guest_thread(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place tcs);
/* EACCEPT, EMODPE: the SECINFO lies in a page of the enclave, at a linear address. */
void guest_inside(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx,
		  uint64_t linaddr, struct epc_leaf_place secs, struct epc_leaf_place secinfo,
		  uint64_t secinfo_linaddr);
void guest_copy(struct guest_leaf *guest, struct epc_leaf_place source, uint64_t source_linaddr);

#endif
