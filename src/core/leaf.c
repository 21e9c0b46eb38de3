/* SPDX-License-Identifier: MIT */
/*
 * Leaves of SGX, executed for a guest on pages of its VM. The pages whose bytes count are unmapped
 * first, so that the last of them have arrived; a page that the leaf makes is allocated and charged
 * as by a fault. Then the processor (src/sgx) does the whole leaf at once, or nothing.
 */
#include "core/internal.h"

#include <errno.h>
#include <string.h>

#define EPC_ADDRESS (UINT64_C(1) << 46) /* the linear address of an operand that has none */

struct leaf_kind {
	bool is_known;
	bool makes_page;    /* rcx: it is there afterwards */
	bool unmaps_rcx;    /* its bytes are read, written, or hidden by the leaf */
	bool is_in_enclave; /* rdx and the SECINFO lie in the enclave: they are read */
};

static const struct leaf_kind encls_kinds[] = {
	[SGX_ECREATE] = { .is_known = true, .makes_page = true, .unmaps_rcx = true },
	[SGX_EADD] = { .is_known = true, .makes_page = true, .unmaps_rcx = true },
	[SGX_EINIT] = { .is_known = true },
	[SGX_EREMOVE] = { .is_known = true, .unmaps_rcx = true },
	[SGX_EDBGRD] = { .is_known = true, .unmaps_rcx = true },
	[SGX_EDBGWR] = { .is_known = true, .unmaps_rcx = true },
	[SGX_EEXTEND] = { .is_known = true, .unmaps_rcx = true },
	[SGX_ELDB] = { .is_known = true, .makes_page = true, .unmaps_rcx = true },
	[SGX_ELDU] = { .is_known = true, .makes_page = true, .unmaps_rcx = true },
	[SGX_EBLOCK] = { .is_known = true, .unmaps_rcx = true },
	[SGX_EPA] = { .is_known = true, .makes_page = true, .unmaps_rcx = true },
	[SGX_EWB] = { .is_known = true, .unmaps_rcx = true },
	[SGX_ETRACK] = { .is_known = true },
	[SGX_EAUG] = { .is_known = true, .makes_page = true, .unmaps_rcx = true },
	[SGX_EMODPR] = { .is_known = true },
	[SGX_EMODT] = { .is_known = true, .unmaps_rcx = true },
};

static const struct leaf_kind enclu_kinds[] = {
	[SGX_EENTER] = { .is_known = true },
	[SGX_EEXIT] = { .is_known = true },
	[SGX_EACCEPT] = { .is_known = true, .is_in_enclave = true },
	[SGX_EMODPE] = { .is_known = true, .is_in_enclave = true },
	[SGX_EACCEPTCOPY] = { .is_known = true, .unmaps_rcx = true, .is_in_enclave = true },
};

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static struct leaf_kind kind_of(const struct epc_leaf *leaf)
{
	if (!leaf->is_enclu && leaf->leaf < NR(encls_kinds))
		return encls_kinds[leaf->leaf];
	if (leaf->is_enclu && leaf->leaf < NR(enclu_kinds))
		return enclu_kinds[leaf->leaf];
	return (struct leaf_kind){ 0 };
}

#define NR_PLACES 4

static void places_of(struct epc_leaf *leaf, struct epc_leaf_place *places[NR_PLACES])
{
	places[0] = &leaf->rcx;
	places[1] = &leaf->rdx;
	places[2] = &leaf->secs;
	places[3] = &leaf->rbx_place;
}

static struct epc_page *page_at(const struct epc *epc, const struct epc_leaf_place *place)
{
	return place->instance ? page_find(epc, place->instance, place->offset >> EPC_PAGE_SHIFT) :
				 NULL;
}

static void leaf_done(struct epc *epc, struct epc_leaf *leaf, int result)
{
	struct epc_leaf_place *places[NR_PLACES];

	places_of(leaf, places);
	for (unsigned int i = 0; i < NR_PLACES; i++) {
		struct epc_instance *instance = places[i]->instance;

		if (!instance)
			continue;
		instance->nr_pins--;
		if (instance->is_releasing)
			operation_queue(epc, instance);
	}
	epc_reply(epc, &leaf->request, result);
}

static struct sgx_epc operand(const struct epc *epc, const struct epc_leaf_place *place,
			      uint64_t linaddr)
{
	const struct epc_page *page = page_at(epc, place);

	if (!place->instance)
		return (struct sgx_epc){ .address = linaddr, .page = SGX_PAGE_OUTSIDE };
	return (struct sgx_epc){
		.address = linaddr ? linaddr : EPC_ADDRESS + place->offset,
		.page = page ? page_pfn(epc, page) : SGX_PAGE_UNBACKED,
	};
}

static struct sgx_memory memory(uint64_t address, void *bytes)
{
	return (struct sgx_memory){ .address = address, .bytes = address ? bytes : NULL };
}

static int execute_encls(struct epc *epc, struct epc_leaf *leaf)
{
	struct sgx *sgx = epc->sgx;
	struct sgx_epc rcx = operand(epc, &leaf->rcx, 0), rdx = operand(epc, &leaf->rdx, 0);
	struct sgx_pageinfo info = {
		.address = leaf->rbx,
		.linaddr = leaf->linaddr,
		.srcpge = memory(leaf->srcpge, leaf->data),
		.secinfo = memory(leaf->secinfo, leaf->info),
		.secs = operand(epc, &leaf->secs, 0),
	};
	uint64_t word;
	int outcome;

	switch ((enum sgx_encls_leaf)leaf->leaf) {
	case SGX_ECREATE:
		return sgx_ecreate(sgx, &info, rcx);
	case SGX_EADD:
		return sgx_eadd(sgx, &info, rcx);
	case SGX_EINIT:
		return sgx_einit(sgx, memory(leaf->rbx, leaf->data), rcx,
				 memory(leaf->rdx_linaddr, leaf->data + EPC_LEAF_TOKEN_OFFSET));
	case SGX_EREMOVE:
		return sgx_eremove(sgx, rcx);
	case SGX_EDBGRD:
		outcome = sgx_edbgrd(sgx, &word, rcx);
		if (!outcome)
			memcpy(leaf->data, &word, sizeof(word));
		return outcome;
	case SGX_EDBGWR:
		memcpy(&word, leaf->data, sizeof(word));
		return sgx_edbgwr(sgx, word, rcx);
	case SGX_EEXTEND:
		return sgx_eextend(sgx, info.secs, rcx);
	case SGX_ELDB:
		return sgx_eldb(sgx, &info, rcx, rdx);
	case SGX_ELDU:
		return sgx_eldu(sgx, &info, rcx, rdx);
	case SGX_EBLOCK:
		return sgx_eblock(sgx, rcx);
	case SGX_EPA:
		return sgx_epa(sgx, leaf->rbx, rcx);
	case SGX_EWB:
		outcome = sgx_ewb(sgx, &info, rcx, rdx);
		leaf->linaddr = info.linaddr;
		return outcome;
	case SGX_ETRACK:
		return sgx_etrack(sgx, rcx);
	case SGX_EAUG:
		return sgx_eaug(sgx, &info, rcx);
	case SGX_EMODPR:
		return sgx_emodpr(sgx, memory(leaf->rbx, leaf->info), rcx);
	case SGX_EMODT:
		return sgx_emodt(sgx, memory(leaf->rbx, leaf->info), rcx);
	}
	return SGX_GP;
}

static int execute_enclu(struct epc *epc, struct epc_leaf *leaf)
{
	struct sgx *sgx = epc->sgx;
	struct sgx_epc tcs = operand(epc, &leaf->rcx, 0);
	struct sgx_epc rbx = operand(epc, &leaf->rbx_place, leaf->rbx);
	struct sgx_epc rcx = operand(epc, &leaf->rcx, leaf->linaddr);
	struct sgx_epc rdx = operand(epc, &leaf->rdx, leaf->rdx_linaddr);
	const struct epc_page *secs = page_at(epc, &leaf->secs);
	uint32_t enclave;

	if (leaf->leaf == SGX_EENTER)
		return sgx_eenter(sgx, tcs);
	if (leaf->leaf == SGX_EEXIT)
		return sgx_eexit(sgx, tcs);
	if (!secs || !page_is_secs(epc, secs))
		return SGX_PF(SGX_OPERAND_SECS);
	enclave = page_pfn(epc, secs);
	if (leaf->leaf == SGX_EACCEPT)
		return sgx_eaccept(sgx, enclave, rbx, rcx);
	if (leaf->leaf == SGX_EMODPE)
		return sgx_emodpe(sgx, enclave, rbx, rcx);
	return sgx_eacceptcopy(sgx, enclave, rbx, rcx, rdx);
}

void page_note_change(struct epc *epc, struct epc_page *page, const struct sgx_epcm *before,
		      int outcome)
{
	struct sgx_epcm after;

	sgx_epcm(epc->sgx, page_pfn(epc, page), &after);
	if (!before->is_valid && after.is_valid) {
		if (!MUTANT(epc, LEAF_KEEPS_SPECULATIVE))
			page_set_used(epc, page);
		page->stake->instance->nr_with_bytes += !page->has_bytes;
		page->has_bytes = true;
		if (after.type == SGX_PT_SECS)
			page_count_secs(epc, page, 1);
	} else if (before->is_valid && !after.is_valid) {
		page_drop_bytes(epc, page);
		if (before->type == SGX_PT_SECS)
			page_count_secs(epc, page, -1);
		else if (before->secs != SGX_PAGE_OUTSIDE)
			secs_child_gone(epc, before->secs);
	} else if (outcome == SGX_MAC_COMPARE_FAIL) {
		page_drop_bytes(epc, page); /* what came out of a wrong page is nobody's */
	}
}

static void leaf_execute(struct epc *epc, struct epc_leaf *leaf)
{
	struct epc_page *page = page_at(epc, &leaf->rcx);
	struct sgx_epcm before = { 0 };

	if (page)
		sgx_epcm(epc->sgx, page_pfn(epc, page), &before);
	leaf->outcome = leaf->is_enclu ? execute_enclu(epc, leaf) : execute_encls(epc, leaf);
	if (page)
		page_note_change(epc, page, &before, leaf->outcome);
	epc->nr_leaves++;
	if (leaf->rcx.instance)
		leaf->rcx.instance->nr_leaves++;
	leaf_done(epc, leaf, 0);
}

static void wait(struct epc_leaf *leaf)
{
	list_add_tail(&leaf->vm->leaves, &leaf->wait_node);
	leaf->vm->nr_leaves++;
}

static void wait_over(struct epc_leaf *leaf)
{
	list_remove(&leaf->wait_node);
	leaf->vm->nr_leaves--;
}

enum coherence {
	IS_COHERENT, /* unmapped: what the daemon has is the page */
	WAITS,
	TOUCHED_TOO_OFTEN,
};

static enum coherence make_coherent(struct epc *epc, struct epc_leaf *leaf,
				    const struct epc_leaf_place *place)
{
	struct epc_page *page = page_at(epc, place);
	struct epc_instance *instance = place->instance;
	enum page_class was;

	if (!page || page->state == PAGE_INACTIVE || MUTANT(epc, LEAF_NOT_COHERENT))
		return IS_COHERENT;
	if (page->state == PAGE_ACTIVE) {
		if (leaf->nr_unmaps++ == LEAF_UNMAPS_MAX)
			return TOUCHED_TOO_OFTEN;
		was = page_class(page);
		page->state = PAGE_UNMAPPING;
		page->is_for_leaf = true;
		page_reclass(epc, page, was);
		leaf->is_unmapping = true;
		unmap_begin(epc, &leaf->unmap, instance, page->index, 1, EPC_UNMAP_LEAF);
	}
	wait(leaf);
	return WAITS;
}

/* All the pages whose bytes count, one after the other, until none is mapped. */
static enum coherence make_all_coherent(struct epc *epc, struct epc_leaf *leaf)
{
	struct leaf_kind kind = kind_of(leaf);
	enum coherence coherence = IS_COHERENT;

	if (leaf->host_op)
		return host_unmaps(leaf) ? make_coherent(epc, leaf, &leaf->rcx) : IS_COHERENT;

	if (kind.unmaps_rcx)
		coherence = make_coherent(epc, leaf, &leaf->rcx);
	if (coherence == IS_COHERENT && kind.is_in_enclave)
		coherence = make_coherent(epc, leaf, &leaf->rdx);
	if (coherence == IS_COHERENT && kind.is_in_enclave)
		coherence = make_coherent(epc, leaf, &leaf->rbx_place);
	return coherence;
}

static bool is_released(struct epc_leaf *leaf)
{
	struct epc_leaf_place *places[NR_PLACES];
	bool is = false;

	places_of(leaf, places);
	for (unsigned int i = 0; i < NR_PLACES; i++)
		is |= places[i]->instance && places[i]->instance->is_releasing;
	return is;
}

static bool needs_page(struct epc *epc, const struct epc_leaf *leaf)
{
	if (leaf->host_op)
		return host_missing(epc, &leaf->request) != INDEX_NONE;
	return leaf->rcx.instance && !page_at(epc, &leaf->rcx) && kind_of(leaf).makes_page;
}

static void leaf_go_on(struct epc *epc, struct epc_leaf *leaf)
{
	struct epc_vm *vm = leaf->vm;

	if (is_released(leaf)) {
		leaf_done(epc, leaf, -EINVAL);
		return;
	}
	if (vm->nr_losses && !MUTANT(epc, LEAF_DURING_LOSS)) {
		wait(leaf);
		return;
	}
	if (leaf->host_op && host_check(leaf)) {
		leaf_done(epc, leaf, host_check(leaf));
		return;
	}
	if (needs_page(epc, leaf)) {
		wait(leaf);
		fault_for_page(epc, &leaf->request);
		return;
	}
	switch (make_all_coherent(epc, leaf)) {
	case IS_COHERENT:
		if (leaf->host_op)
			leaf_done(epc, leaf, host_execute(epc, leaf));
		else
			leaf_execute(epc, leaf);
		break;
	case WAITS:
		break;
	case TOUCHED_TOO_OFTEN:
		leaf_done(epc, leaf, -EBUSY);
		break;
	}
}

void leaf_allocated(struct epc *epc, struct epc_leaf *leaf, int result)
{
	wait_over(leaf);
	leaf->has_page = true;
	if (!result)
		leaf_go_on(epc, leaf);
	else if (leaf->host_op && result == -EIO)
		leaf_done(epc, leaf, -ENOMEM); /* refused, as the kernel's ioctls say it */
	else
		leaf_done(epc, leaf, result);
}

void leaf_unmapped(struct epc *epc, struct epc_unmap *unmap)
{
	struct epc_leaf *leaf = LIST_ENTRY(unmap, struct epc_leaf, unmap);
	struct epc_page *page = page_find(epc, unmap->instance, unmap->first);

	page_unmapping_over(epc, page);
	if (unmap->instance->is_releasing)
		operation_release_page(epc, page);
	leaf->is_unmapping = false;
	wait_over(leaf);
	leaf_go_on(epc, leaf);
}

static bool can_go_on(const struct epc_leaf *leaf)
{
	return !leaf->is_unmapping && !leaf->request.waits_at;
}

void leaf_wake(struct epc *epc, struct epc_vm *vm)
{
	vm->nr_to_wake = vm->nr_leaves;
	if (vm->nr_to_wake && list_is_empty(&vm->wake_node))
		list_add_tail(&epc->leaf_wakes, &vm->wake_node);
}

/* The first leaves of one VM look again; those that wait on are behind the others then. */
void leaf_step(struct epc *epc)
{
	struct epc_vm *vm;

	if (list_is_empty(&epc->leaf_wakes))
		return;
	vm = LIST_ENTRY(epc->leaf_wakes.next, struct epc_vm, wake_node);
	if (vm->nr_to_wake > vm->nr_leaves)
		vm->nr_to_wake = vm->nr_leaves; /* some are answered meanwhile */
	for (unsigned int i = 0; i < WAITERS_PER_STEP && vm->nr_to_wake; i++) {
		struct epc_leaf *leaf = LIST_ENTRY(vm->leaves.next, struct epc_leaf, wait_node);

		vm->nr_to_wake--;
		wait_over(leaf);
		if (can_go_on(leaf))
			leaf_go_on(epc, leaf);
		else
			wait(leaf);
	}
	list_remove(&vm->wake_node);
	if (vm->nr_to_wake)
		list_add_tail(&epc->leaf_wakes, &vm->wake_node);
}

void leaf_instance_released(struct epc *epc, struct epc_instance *instance)
{
	struct epc_vm *vm = instance->vm;
	struct epc_list *node = vm->leaves.next;

	while (node != &vm->leaves) {
		struct epc_leaf *leaf = LIST_ENTRY(node, struct epc_leaf, wait_node);

		node = node->next;
		if (leaf->request.waits_at && leaf->request.instance == instance)
			fault_cancel(epc, &leaf->request, -EINVAL);
	}
	leaf_wake(epc, vm);
}

/* 0, or why the request cannot be. */
static int leaf_check(const struct epc_instance *instance, struct epc_leaf *leaf, bool any_vm)
{
	struct epc_leaf_place *places[NR_PLACES];

	if (!kind_of(leaf).is_known)
		return -EINVAL;
	places_of(leaf, places);
	for (unsigned int i = 0; i < NR_PLACES; i++) {
		if (!places[i]->instance)
			continue;
		if (places[i]->instance->vm != instance->vm && !any_vm)
			return -EPERM;
		if (places[i]->offset >> EPC_PAGE_SHIFT >= EPC_NR_INDICES)
			return -EINVAL;
	}
	return 0;
}

static void leaf_begin(struct epc *epc, struct epc_leaf *leaf, int error)
{
	struct epc_instance *instance = leaf->request.instance;
	struct epc_leaf_place *places[NR_PLACES];

	list_init(&leaf->request.node);
	list_init(&leaf->request.parked_node);
	list_init(&leaf->wait_node);
	leaf->request.waits_at = NULL;
	leaf->request.leaf = leaf;
	leaf->request.count = 1;
	leaf->request.buffer = NULL;
	leaf->vm = instance->vm;
	leaf->is_unmapping = false;
	leaf->has_page = false;
	leaf->nr_unmaps = 0;
	leaf->outcome = 0;
	if (error) {
		epc_reply(epc, &leaf->request, error);
		return;
	}
	places_of(leaf, places);
	for (unsigned int i = 0; i < NR_PLACES; i++) {
		if (places[i]->instance)
			places[i]->instance->nr_pins++;
	}
	if (leaf->rcx.instance) {
		leaf->request.instance = leaf->rcx.instance;
		leaf->request.first = leaf->rcx.offset >> EPC_PAGE_SHIFT;
	}
	leaf_go_on(epc, leaf);
}

void epc_leaf(struct epc *epc, struct epc_leaf *leaf)
{
	int error = leaf_check(leaf->request.instance, leaf, MUTANT(epc, LEAF_ON_OTHER_VM));

	leaf->host_op = EPC_HOST_NONE;
	leaf_begin(epc, leaf, error);
}

void epc_host(struct epc *epc, struct epc_leaf *leaf)
{
	uint64_t offset = leaf->rcx.offset;

	leaf->rdx = leaf->secs = leaf->rbx_place = (struct epc_leaf_place){ 0 };
	if (leaf->host_op == EPC_HOST_CREATE || leaf->host_op == EPC_HOST_INIT)
		leaf->rcx.offset = INDEX_SECS << EPC_PAGE_SHIFT;
	leaf_begin(epc, leaf, offset >> EPC_PAGE_SHIFT < EPC_NR_INDICES ? 0 : -EINVAL);
}
