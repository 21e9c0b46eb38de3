/* SPDX-License-Identifier: MIT */
/* See model.h: what all leaves need. */
#include <string.h>

#include "model_parts.h"

void model_init(struct model *model, const struct sgx_cpu *cpu, bool is_metadata_only)
{
	memset(model, 0, sizeof(*model));
	model->cpu = *cpu;
	model->is_metadata_only = is_metadata_only;
}

void model_fini(struct model *model)
{
	for (uint32_t i = 0; i < MODEL_NR_PAGES; i++)
		measurement_fini(&model->pages[i].enclave.measurement);
	for (uint32_t i = 0; i < MODEL_NR_BLOBS; i++)
		measurement_fini(&model->blobs[i].page.enclave.measurement);
}

bool is_broken(const struct model *model, enum model_break how)
{
	return model->broken == how;
}

bool is_multiple(uint64_t address, uint64_t of)
{
	return address % of == 0;
}

bool is_all_zero(const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < size; i++)
		if (byte[i] != 0)
			return false;
	return true;
}

bool is_sign_extended(uint64_t address)
{
	uint64_t high = address >> 47;

	return high == 0 || high == 0x1ffff;
}

bool is_epc(struct sgx_epc operand)
{
	return operand.page != SGX_PAGE_OUTSIDE;
}

struct model_page *valid_page(struct model *model, struct sgx_epc operand)
{
	if (operand.page >= MODEL_NR_PAGES)
		return NULL;
	return model->pages[operand.page].is_valid ? &model->pages[operand.page] : NULL;
}

struct model_page *valid_secs(struct model *model, struct sgx_epc operand)
{
	struct model_page *page = valid_page(model, operand);

	return page && page->type == SGX_PT_SECS ? page : NULL;
}

struct model_page *empty_page(struct model *model, struct sgx_epc operand)
{
	if (operand.page >= MODEL_NR_PAGES || model->pages[operand.page].is_valid)
		return NULL;
	return &model->pages[operand.page];
}

bool is_child_type(enum sgx_page_type type)
{
	return type == SGX_PT_REG || type == SGX_PT_TCS || type == SGX_PT_TRIM;
}

bool is_in_range(const struct model_secs *enclave, uint64_t address)
{
	return address >= enclave->base && address - enclave->base < enclave->size;
}

bool model_is_initialised(const struct model *model, uint32_t secs)
{
	return model->pages[secs].enclave.attributes.flags & SGX_ATTR_INIT;
}

bool is_held_as(const struct model *model, uint32_t page, enum sgx_hold kind)
{
	for (uint32_t i = 0; i < MODEL_NR_HOLDS; i++)
		if (model->holds[i].is_there && model->holds[i].page == page &&
		    model->holds[i].kind == kind)
			return true;
	return false;
}

bool is_shareable(const struct model *model, struct sgx_epc operand)
{
	return !is_held_as(model, operand.page, SGX_HOLD_EXCLUSIVE);
}

bool is_free_for_all(const struct model *model, struct sgx_epc operand)
{
	if (is_held_as(model, operand.page, SGX_HOLD_SHARED) &&
	    !is_broken(model, MODEL_BREAK_HOLD_SHARED))
		return false;
	return is_shareable(model, operand);
}

bool model_hold(struct model *model, uint32_t page, enum sgx_hold kind)
{
	for (uint32_t i = 0; i < MODEL_NR_HOLDS; i++) {
		if (model->holds[i].is_there)
			continue;
		model->holds[i] = (struct model_hold){ true, page, kind };
		return true;
	}
	return false;
}

void model_unhold(struct model *model, uint32_t page, enum sgx_hold kind)
{
	for (uint32_t i = 0; i < MODEL_NR_HOLDS; i++) {
		struct model_hold *hold = &model->holds[i];

		if (!hold->is_there || hold->page != page || hold->kind != kind)
			continue;
		hold->is_there = false;
		return;
	}
}

uint32_t model_nr_children(const struct model *model, uint32_t secs)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < MODEL_NR_PAGES; i++) {
		const struct model_page *page = &model->pages[i];

		if (page->is_valid && is_child_type(page->type) && page->secs == secs)
			nr++;
	}
	return nr;
}

uint32_t model_nr_inside(const struct model *model, uint32_t secs)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < MODEL_NR_THREADS; i++) {
		const struct model_thread *thread = &model->threads[i];

		if (thread->is_there && !thread->is_evicted && thread->secs == secs)
			nr++;
	}
	return nr;
}

bool has_thread_since(const struct model *model, uint32_t secs, uint64_t epoch)
{
	for (uint32_t i = 0; i < MODEL_NR_THREADS; i++) {
		const struct model_thread *thread = &model->threads[i];

		if (thread->is_there && !thread->is_evicted && thread->secs == secs &&
		    thread->entry_epoch <= epoch)
			return true;
	}
	return false;
}

bool model_has_bytes(const struct model *model, enum sgx_page_type type)
{
	return type == SGX_PT_TCS || !model->is_metadata_only;
}

bool secinfo_is_clean(const struct sgx_secinfo *secinfo, uint64_t flags)
{
	return (secinfo->flags & flags) == secinfo->flags &&
	       is_all_zero(secinfo->reserved, sizeof(secinfo->reserved));
}

enum sgx_page_type type_of(uint64_t flags)
{
	return (enum sgx_page_type)(flags >> 8 & 0xff);
}

uint64_t flags_of(const struct model_page *page)
{
	uint64_t flags = (uint64_t)page->type * 256;

	flags += page->r ? 1 : 0;
	flags += page->w ? 2 : 0;
	flags += page->x ? 4 : 0;
	flags += page->is_pending ? 8 : 0;
	flags += page->is_modified ? 16 : 0;
	flags += page->is_restricted ? 32 : 0;
	return flags;
}

bool is_write_only(uint64_t flags)
{
	return flags & SGX_SECINFO_W && !(flags & SGX_SECINFO_R);
}

static void forget_state(struct model_page *page)
{
	page->is_valid = true;
	page->r = page->w = page->x = false;
	page->is_blocked = page->is_pending = page->is_modified = page->is_restricted = false;
	page->is_tracking = false;
	page->linaddr = 0;
	page->secs = SGX_PAGE_OUTSIDE;
}

void make_child(struct model_page *page, uint32_t secs, uint64_t linaddr, uint64_t flags)
{
	forget_state(page);
	page->type = type_of(flags);
	page->secs = secs;
	page->linaddr = linaddr;
	page->r = flags & SGX_SECINFO_R;
	page->w = flags & SGX_SECINFO_W;
	page->x = flags & SGX_SECINFO_X;
	page->is_pending = flags & SGX_SECINFO_PENDING;
	page->is_modified = flags & SGX_SECINFO_MODIFIED;
	page->is_restricted = flags & SGX_SECINFO_PR;
}

void make_parentless(struct model_page *page, enum sgx_page_type type)
{
	forget_state(page);
	page->type = type;
}

/* Who was driven out of it has nothing to come back to. */
void drop_page(struct model *model, uint32_t page)
{
	model->pages[page].is_valid = false;
	measurement_fini(&model->pages[page].enclave.measurement);
	for (uint32_t i = 0; i < MODEL_NR_THREADS; i++)
		if (model->threads[i].tcs == page)
			model->threads[i].is_there = false;
}

void begin_tracking(struct model *model, struct model_page *page)
{
	page->is_tracking = true;
	page->tracking_epoch = model->pages[page->secs].enclave.epoch;
}

/* ETRACK has come since, and nobody who was inside then still is. */
bool is_tracked(const struct model *model, const struct model_page *page)
{
	uint64_t until = page->tracking_epoch;

	if (!page->is_tracking || is_broken(model, MODEL_BREAK_EWB_NO_ETRACK))
		return true;
	if (model->pages[page->secs].enclave.epoch <= until)
		return false;
	if (is_broken(model, MODEL_BREAK_EWB_THREADS))
		return true;
	if (is_broken(model, MODEL_BREAK_EWB_NEW_THREADS))
		until = UINT64_MAX;
	return !has_thread_since(model, page->secs, until);
}

struct sgx_tcs tcs_in(const struct model_page *page)
{
	struct sgx_tcs tcs;

	memcpy(&tcs, page->bytes, sizeof(tcs));
	return tcs;
}

void put_tcs(struct model_page *page, const struct sgx_tcs *tcs)
{
	memcpy(page->bytes, tcs, sizeof(*tcs));
}

void model_store(struct model *model, uint32_t page, uint32_t offset, const void *bytes,
		 uint32_t size)
{
	memcpy(model->pages[page].bytes + offset, bytes, size);
}
