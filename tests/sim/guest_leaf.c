/* SPDX-License-Identifier: MIT */
/* See guest_leaf.h. */
#include <string.h>

#include "guest_leaf.h"

/* Addresses in the guest's memory: only their alignment counts. */
#define PAGEINFO_ADDRESS UINT64_C(0x1000)
#define SRCPGE_ADDRESS UINT64_C(0x10000)
#define SECINFO_ADDRESS UINT64_C(0x20000)
#define SIGSTRUCT_ADDRESS UINT64_C(0x30000)
#define TOKEN_ADDRESS UINT64_C(0x31000)

static void begin(struct guest_leaf *guest, bool is_enclu, uint32_t leaf, struct epc_leaf_place rcx)
{
	struct epc_request request = {
		.instance = guest->leaf.request.instance,
		.payer = guest->leaf.request.payer,
	};

	memset(&guest->leaf, 0, sizeof(guest->leaf));
	guest->leaf.request = request;
	guest->leaf.is_enclu = is_enclu;
	guest->leaf.leaf = leaf;
	guest->leaf.rcx = rcx;
	guest->leaf.info = guest->info;
	guest->leaf.data = guest->data;
}

/* With a PAGEINFO that has both pointers. */
static void begin_pageinfo(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx)
{
	begin(guest, false, leaf, rcx);
	guest->leaf.rbx = PAGEINFO_ADDRESS;
	guest->leaf.srcpge = SRCPGE_ADDRESS;
	guest->leaf.secinfo = SECINFO_ADDRESS;
}

static void put_secinfo(struct guest_leaf *guest, uint64_t flags)
{
	struct sgx_secinfo secinfo = { .flags = flags };

	memcpy(guest->info, &secinfo, sizeof(secinfo));
}

void guest_ecreate(struct guest_leaf *guest, struct epc_leaf_place rcx, uint64_t base,
		   uint64_t size)
{
	struct sgx_secs secs = {
		.size = size,
		.base = base,
		.ssa_frame_pages = 1,
		.attributes = { SGX_ATTR_DEBUG | SGX_ATTR_MODE64BIT, SGX_XFRM_LEGACY },
	};

	begin_pageinfo(guest, SGX_ECREATE, rcx);
	put_secinfo(guest, (uint64_t)SGX_PT_SECS << SGX_SECINFO_TYPE_SHIFT);
	memset(guest->data, 0, sizeof(guest->data));
	memcpy(guest->data, &secs, sizeof(secs));
}

static void put_tcs(struct guest_leaf *guest)
{
	struct sgx_tcs tcs = {
		.ossa = EPC_PAGE_SIZE,
		.nssa = 2,
		.fslimit = UINT32_MAX,
		.gslimit = UINT32_MAX,
	};

	memset(guest->data, 0, sizeof(guest->data));
	memcpy(guest->data, &tcs, sizeof(tcs));
}

void guest_eadd(struct guest_leaf *guest, struct epc_leaf_place rcx, struct epc_leaf_place secs,
		uint64_t linaddr, uint64_t flags)
{
	begin_pageinfo(guest, SGX_EADD, rcx);
	guest->leaf.secs = secs;
	guest->leaf.linaddr = linaddr;
	put_secinfo(guest, flags);
	if (flags == GUEST_TCS)
		put_tcs(guest);
}

void guest_eaug(struct guest_leaf *guest, struct epc_leaf_place rcx, struct epc_leaf_place secs,
		uint64_t linaddr)
{
	begin_pageinfo(guest, SGX_EAUG, rcx);
	guest->leaf.secs = secs;
	guest->leaf.linaddr = linaddr;
	guest->leaf.srcpge = 0;
	guest->leaf.secinfo = 0;
}

void guest_einit(struct guest_leaf *guest, struct epc_leaf_place secs)
{
	begin(guest, false, SGX_EINIT, secs);
	guest->leaf.rbx = SIGSTRUCT_ADDRESS;
	guest->leaf.rdx_linaddr = TOKEN_ADDRESS;
	memset(guest->data, 0, sizeof(guest->data));
}

void guest_epa(struct guest_leaf *guest, struct epc_leaf_place rcx)
{
	begin(guest, false, SGX_EPA, rcx);
	guest->leaf.rbx = SGX_PT_VA;
}

void guest_simple(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx)
{
	begin(guest, false, leaf, rcx);
}

void guest_eextend(struct guest_leaf *guest, struct epc_leaf_place rcx, struct epc_leaf_place secs)
{
	begin(guest, false, SGX_EEXTEND, rcx);
	guest->leaf.secs = secs;
}

void guest_ewb(struct guest_leaf *guest, struct epc_leaf_place rcx, struct epc_leaf_place slot)
{
	begin_pageinfo(guest, SGX_EWB, rcx);
	guest->leaf.rdx = slot;
}

void guest_eld(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx,
	       struct epc_leaf_place slot, struct epc_leaf_place secs)
{
	uint64_t linaddr = guest->leaf.linaddr;

	begin_pageinfo(guest, leaf, rcx);
	guest->leaf.rdx = slot;
	guest->leaf.secs = secs;
	guest->leaf.linaddr = linaddr;
}

void guest_modify(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx,
		  uint64_t flags)
{
	begin(guest, false, leaf, rcx);
	guest->leaf.rbx = SECINFO_ADDRESS;
	put_secinfo(guest, flags);
}

void guest_thread(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place tcs)
{
	begin(guest, true, leaf, tcs);
}

void guest_inside(struct guest_leaf *guest, uint32_t leaf, struct epc_leaf_place rcx,
		  uint64_t linaddr, struct epc_leaf_place secs, struct epc_leaf_place secinfo,
		  uint64_t secinfo_linaddr)
{
	begin(guest, true, leaf, rcx);
	guest->leaf.linaddr = linaddr;
	guest->leaf.secs = secs;
	guest->leaf.rbx_place = secinfo;
	guest->leaf.rbx = secinfo_linaddr;
}

void guest_copy(struct guest_leaf *guest, struct epc_leaf_place source, uint64_t source_linaddr)
{
	guest->leaf.rdx = source;
	guest->leaf.rdx_linaddr = source_linaddr;
}
