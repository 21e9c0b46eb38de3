/* SPDX-License-Identifier: MIT */
/*
 * Enclaves of host processes: what the kernel's driver does with one page of them (facts: Linux,
 * arch/x86/kernel/cpu/sgx), and what a fault on them needs. A request that needs several pages, the
 * SECS, a VA page, the page itself, gets one after the other; each is a state of its own, so a
 * request that is refused half way has nothing to undo.
 */
#include "core/internal.h"

#include <errno.h>
#include <string.h>

#define ADDRESS UINT64_C(4096) /* an aligned linear address: only that counts */
#define NR_CHUNKS (EPC_PAGE_SIZE / SGX_CHUNK_SIZE)
#define SIGSTRUCT_ADDRESS UINT64_C(4096)
#define TOKEN_ADDRESS UINT64_C(8192)

struct host *host_new(struct epc *epc)
{
	struct host *host = epc_alloc(epc, sizeof(*host));

	if (!host)
		return NULL;
	list_init(&host->va_pages);
	host->next_va = INDEX_VA;
	return host;
}

bool host_free_va_pages(struct epc *epc, struct host *host, uint32_t count_max)
{
	for (; count_max && !list_is_empty(&host->va_pages); count_max--) {
		struct va_page *va = LIST_ENTRY(host->va_pages.next, struct va_page, node);

		list_remove(&va->node);
		epc_dealloc(epc, va, sizeof(*va));
		host->nr_va_pages--;
	}
	return list_is_empty(&host->va_pages);
}

void host_free(struct epc *epc, struct host *host)
{
	(void)host_free_va_pages(epc, host, UINT32_MAX);
	epc_dealloc(epc, host, sizeof(*host));
}

static struct epc_page *secs_page(const struct epc *epc, const struct epc_instance *instance)
{
	return page_find(epc, instance, INDEX_SECS);
}

static struct sgx_epc operand(const struct epc *epc, const struct epc_page *page)
{
	return (struct sgx_epc){ .address = ADDRESS, .page = page_pfn(epc, page) };
}

static bool is_there(const struct epc_instance *instance, uint64_t index)
{
	return index_find(&instance->index, index) != PFN_NONE;
}

static bool is_inside(const struct host *host, uint64_t index)
{
	uint64_t linaddr = index << EPC_PAGE_SHIFT;

	return linaddr >= host->base && linaddr - host->base < host->size;
}

int host_fault_check(const struct epc_instance *instance, uint64_t index)
{
	const struct host *host = instance->host;

	if (host->is_lost)
		return -EIO;
	if (swap_is_lost(instance->epc, instance, index))
		return -EIO;
	if (is_there(instance, index))
		return 0;
	return host->is_initialised && is_inside(host, index) ? 0 : -EIO;
}

uint64_t host_missing(struct epc *epc, const struct epc_request *request)
{
	const struct epc_instance *instance = request->instance;
	const struct host *host = instance->host;
	bool is_new = request->first != INDEX_SECS && !is_there(instance, request->first);

	if (host->is_created && !secs_page(epc, instance))
		return INDEX_SECS;
	if (host->nr_va_pages * SGX_NR_VA_SLOTS < host->nr_children + is_new + 1)
		return host->next_va;
	return page_find(epc, instance, request->first) ? INDEX_NONE : request->first;
}

static int va_fill(struct epc *epc, struct epc_instance *instance, struct epc_page *page)
{
	struct va_page *va = epc_alloc(epc, sizeof(*va));

	if (!va)
		return -ENOMEM;
	sgx_epa(epc->sgx, SGX_PT_VA, operand(epc, page));
	va->index = page->index;
	va->pfn = page_pfn(epc, page);
	list_init(&va->node);
	list_add_tail(instance->host->va_pages.next, &va->node);
	instance->host->nr_va_pages++;
	instance->host->next_va++;
	return 0;
}

/* A page that nobody has added comes to be by a fault (SGX2): EAUG. */
static int augment(struct epc *epc, struct epc_instance *instance, struct epc_page *page)
{
	struct sgx_pageinfo info = {
		.address = ADDRESS,
		.linaddr = (uint64_t)page->index << EPC_PAGE_SHIFT,
		.secs = operand(epc, secs_page(epc, instance)),
	};

	if (sgx_eaug(epc->sgx, &info, operand(epc, page)))
		return -EFAULT;
	page->max_rwx = SGX_SECINFO_RWX;
	instance->host->nr_children++;
	return 0;
}

int host_page_fill(struct epc *epc, struct epc_request *request, struct epc_page *page,
		   uint32_t slot)
{
	struct epc_instance *instance = request->instance;
	struct sgx_epcm nothing = { 0 };
	bool is_child = page->index < INDEX_SECS;
	int error = 0;

	if (slot != PFN_NONE)
		error = swap_load(epc, page, slot);
	else if (page->index >= INDEX_VA)
		error = va_fill(epc, instance, page);
	else if (is_child && !request->leaf)
		error = augment(epc, instance, page);
	if (error && slot != PFN_NONE) {
		/* Whatever was out there is lost. Without its SECS all of the enclave is. */
		instance->host->is_lost |= !is_child;
		page_free_evicted(epc, page, slot);
		return error;
	}
	if (error) {
		page_free(epc, page);
		return error;
	}
	page_note_change(epc, page, &nothing, 0);
	if (is_child && !request->leaf)
		reclaim_note_fault(page->stake->cgroup, false);
	return 0;
}

/* VA pages that are not needed any more and hold no version go back. */
static void va_give_back(struct epc *epc, struct epc_instance *instance)
{
	struct host *host = instance->host;
	struct epc_list *node = host->va_pages.next;
	unsigned int nr_looked_at = 0;

	while (node != &host->va_pages && nr_looked_at++ < RECLAIM_PAGES &&
	       (host->nr_va_pages - 1) * SGX_NR_VA_SLOTS >= host->nr_children + 1) {
		struct va_page *va = LIST_ENTRY(node, struct va_page, node);
		struct epc_page *page = &epc->pages[va->pfn];

		node = node->next;
		if (va->nr_used)
			continue;
		page_remove(epc, page, false);
		page_free(epc, page);
		list_remove(&va->node);
		epc_dealloc(epc, va, sizeof(*va));
		host->nr_va_pages--;
	}
}

void host_forget(struct epc *epc, struct epc_instance *instance, uint64_t index)
{
	swap_drop(epc, swap_find(epc, instance, index));
	index_remove(&instance->index, &epc->allocator, index);
}

/* The page of an operation: it is there, and in the EPC. */
static struct epc_page *page_of(const struct epc *epc, const struct epc_leaf *leaf)
{
	return page_find(epc, leaf->request.instance, leaf->request.first);
}

static int create(struct epc *epc, struct epc_leaf *leaf)
{
	struct epc_instance *instance = leaf->request.instance;
	struct host *host = instance->host;
	struct epc_page *page = page_of(epc, leaf);
	struct sgx_secinfo secinfo = { 0 };
	struct sgx_pageinfo info = {
		.address = ADDRESS,
		.srcpge = { .address = ADDRESS, .bytes = leaf->data },
		.secinfo = { .address = ADDRESS, .bytes = &secinfo },
	};
	struct sgx_epcm nothing = { 0 };
	struct sgx_secs secs;

	leaf->outcome = sgx_ecreate(epc->sgx, &info, operand(epc, page));
	if (leaf->outcome) {
		page_free(epc, page);
		return -EIO;
	}
	page_note_change(epc, page, &nothing, 0);
	sgx_secs_identity(epc->sgx, page_pfn(epc, page), &secs);
	host->base = secs.base;
	host->size = secs.size;
	host->is_created = true;
	return 0;
}

static int measure(struct epc *epc, struct epc_instance *instance, const struct epc_page *page)
{
	struct sgx_epc secs = operand(epc, secs_page(epc, instance));
	struct sgx_epc chunk = operand(epc, page);

	for (unsigned int i = 0; i < NR_CHUNKS; i++, chunk.address += SGX_CHUNK_SIZE) {
		if (sgx_eextend(epc->sgx, secs, chunk))
			return -EIO;
	}
	return 0;
}

static int add(struct epc *epc, struct epc_leaf *leaf)
{
	struct epc_instance *instance = leaf->request.instance;
	struct epc_page *page = page_of(epc, leaf);
	struct sgx_pageinfo info = {
		.address = ADDRESS,
		.linaddr = leaf->rcx.offset,
		.srcpge = { .address = ADDRESS, .bytes = leaf->data },
		.secinfo = { .address = ADDRESS, .bytes = leaf->info },
		.secs = operand(epc, secs_page(epc, instance)),
	};
	struct sgx_epcm nothing = { 0 };
	struct sgx_secinfo secinfo;

	leaf->outcome = sgx_eadd(epc->sgx, &info, operand(epc, page));
	if (leaf->outcome) {
		page_free(epc, page);
		return -EIO;
	}
	page_note_change(epc, page, &nothing, 0);
	if (leaf->rbx && measure(epc, instance, page)) {
		page_remove(epc, page, false);
		page_free(epc, page);
		return -EIO;
	}
	memcpy(&secinfo, leaf->info, sizeof(secinfo));
	page->max_rwx = secinfo.flags & SGX_SECINFO_RWX;
	if ((secinfo.flags & SGX_SECINFO_TYPE_MASK) >> SGX_SECINFO_TYPE_SHIFT == SGX_PT_TCS)
		page->max_rwx = SGX_SECINFO_R | SGX_SECINFO_W;
	instance->host->nr_children++;
	return 0;
}

static int init(struct epc *epc, struct epc_leaf *leaf)
{
	static const struct sgx_einittoken no_token;
	struct host *host = leaf->request.instance->host;
	struct sgx_memory sigstruct = { .address = SIGSTRUCT_ADDRESS, .bytes = leaf->data };
	/* Borrowed, and only read. */
	struct sgx_memory token = { .address = TOKEN_ADDRESS,
				    .bytes = (void *)(uintptr_t)&no_token };

	leaf->outcome = sgx_einit(epc->sgx, sigstruct, operand(epc, page_of(epc, leaf)), token);
	if (sgx_is_fault(leaf->outcome))
		return -EIO;
	if (leaf->outcome)
		return -EPERM;
	host->is_initialised = true;
	return 0;
}

static int track(struct epc *epc, struct epc_instance *instance)
{
	return sgx_etrack(epc->sgx, operand(epc, secs_page(epc, instance))) ? -EFAULT : 0;
}

static struct sgx_memory secinfo_memory(struct sgx_secinfo *secinfo)
{
	return (struct sgx_memory){ .address = ADDRESS, .bytes = secinfo };
}

static int restrict_permissions(struct epc *epc, struct epc_leaf *leaf)
{
	struct sgx_secinfo secinfo = { .flags = leaf->rbx };
	struct epc_page *page = page_of(epc, leaf);
	struct sgx_epcm epcm;

	sgx_epcm(epc->sgx, page_pfn(epc, page), &epcm);
	if (epcm.type != SGX_PT_REG)
		return -EINVAL;
	leaf->outcome = sgx_emodpr(epc->sgx, secinfo_memory(&secinfo), operand(epc, page));
	return leaf->outcome ? -EFAULT : track(epc, leaf->request.instance);
}

static int modify(struct epc *epc, struct epc_leaf *leaf)
{
	struct sgx_secinfo secinfo = { .flags = leaf->rbx << SGX_SECINFO_TYPE_SHIFT };
	struct epc_page *page = page_of(epc, leaf);
	struct sgx_epcm epcm;

	sgx_epcm(epc->sgx, page_pfn(epc, page), &epcm);
	if (leaf->rbx == SGX_PT_TCS) {
		if (epcm.type != SGX_PT_REG)
			return -EINVAL;
		if (~page->max_rwx & (SGX_SECINFO_R | SGX_SECINFO_W))
			return -EPERM;
	} else if (epcm.type != SGX_PT_REG && epcm.type != SGX_PT_TCS) {
		return -EINVAL;
	}
	leaf->outcome = sgx_emodt(epc->sgx, secinfo_memory(&secinfo), operand(epc, page));
	if (leaf->outcome)
		return -EFAULT;
	if (leaf->rbx == SGX_PT_TCS)
		page->max_rwx = SGX_SECINFO_R | SGX_SECINFO_W;
	return track(epc, leaf->request.instance);
}

/* Only what the enclave has accepted to lose. */
static int remove_page(struct epc *epc, struct epc_leaf *leaf)
{
	struct epc_instance *instance = leaf->request.instance;
	struct epc_page *page = page_of(epc, leaf);
	struct sgx_epcm epcm;

	sgx_epcm(epc->sgx, page_pfn(epc, page), &epcm);
	if (epcm.type != SGX_PT_TRIM || epcm.is_modified)
		return -EPERM;
	if (page_remove(epc, page, false))
		return -EFAULT;
	page_free(epc, page);
	instance->host->nr_children--;
	va_give_back(epc, instance);
	return 0;
}

int host_execute(struct epc *epc, struct epc_leaf *leaf)
{
	switch (leaf->host_op) {
	case EPC_HOST_CREATE:
		return create(epc, leaf);
	case EPC_HOST_ADD:
		return add(epc, leaf);
	case EPC_HOST_INIT:
		return init(epc, leaf);
	case EPC_HOST_RESTRICT:
		return restrict_permissions(epc, leaf);
	case EPC_HOST_MODIFY:
		return modify(epc, leaf);
	case EPC_HOST_REMOVE:
		return remove_page(epc, leaf);
	case EPC_HOST_NONE:
		break;
	}
	return -EINVAL;
}

int host_check(const struct epc_leaf *leaf)
{
	const struct epc_instance *instance = leaf->request.instance;
	const struct host *host = instance->host;
	uint64_t index = leaf->request.first;

	if (host->is_lost)
		return -EIO;
	if (leaf->host_op == EPC_HOST_CREATE)
		return host->is_created ? -EINVAL : 0;
	if (!host->is_created)
		return -EINVAL;
	if (leaf->host_op == EPC_HOST_INIT)
		return host->is_initialised ? -EINVAL : 0;
	if (!is_inside(host, index))
		return -EINVAL;
	if (leaf->host_op == EPC_HOST_ADD) {
		if (host->is_initialised)
			return -EINVAL;
		/* The one that this request has made itself is no page of the enclave yet. */
		return is_there(instance, index) && !leaf->has_page ? -EBUSY : 0;
	}
	if (!host->is_initialised)
		return -EINVAL;
	return is_there(instance, index) ? 0 : -EFAULT;
}

bool host_unmaps(const struct epc_leaf *leaf)
{
	return leaf->host_op == EPC_HOST_RESTRICT || leaf->host_op == EPC_HOST_MODIFY ||
	       leaf->host_op == EPC_HOST_REMOVE;
}
