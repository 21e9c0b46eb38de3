/* SPDX-License-Identifier: MIT */
/* See model.h: EREMOVE, EDBGRD, EDBGWR, EPA; EBLOCK, ETRACK, EWB, ELDB, ELDU. */
#include <string.h>

#include "model_parts.h"

int model_eremove(struct model *model, struct sgx_epc rcx)
{
	struct model_page *page = valid_page(model, rcx);
	bool has_to_wait;

	if (!is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_free_for_all(model, rcx))
		return SGX_GP;
	if (!page)
		return SGX_SUCCESS;
	if (page->type == SGX_PT_SECS && model_nr_children(model, rcx.page) > 0 &&
	    !is_broken(model, MODEL_BREAK_EREMOVE_CHILDREN))
		return SGX_CHILD_PRESENT;
	has_to_wait = page->type == SGX_PT_REG || page->type == SGX_PT_TCS ||
		      (page->type == SGX_PT_TRIM &&
		       (page->is_modified || is_broken(model, MODEL_BREAK_EREMOVE_TRIM)));
	if (has_to_wait && model_nr_inside(model, page->secs) > 0 &&
	    !is_broken(model, MODEL_BREAK_EREMOVE_THREADS))
		return SGX_ENCLAVE_ACT;
	drop_page(model, rcx.page);
	return SGX_SUCCESS;
}

static bool is_for_debugging(const struct model *model, const struct model_page *page)
{
	return model->pages[page->secs].enclave.attributes.flags & SGX_ATTR_DEBUG;
}

/* What EDBGRD must give; false: nobody can know. */
static bool debug_value(const struct model *model, const struct model_page *page, uint32_t offset,
			uint64_t *value)
{
	if (page->type == SGX_PT_VA) {
		*value = page->slots[offset / 8] ? UINT64_MAX : 0;
		return true;
	}
	memcpy(value, page->bytes + offset, sizeof(*value));
	return model_has_bytes(model, page->type);
}

int model_edbgrd(struct model *model, uint64_t rbx, struct sgx_epc rcx)
{
	const struct model_page *page = valid_page(model, rcx);
	uint32_t offset = rcx.address % 4096;
	uint64_t value;

	if (!is_multiple(rcx.address, 8))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_shareable(model, rcx))
		return SGX_GP;
	if (!page || page->type == SGX_PT_SECS || page->type == SGX_PT_TRIM)
		return PF_RCX;
	if (page->is_pending || page->is_modified)
		return SGX_PAGE_NOT_DEBUGGABLE;
	if (page->type == SGX_PT_TCS && offset >= 72)
		return SGX_GP;
	if (page->type != SGX_PT_VA && !is_for_debugging(model, page))
		return SGX_GP;
	if (debug_value(model, page, offset, &value) && value != rbx)
		model->complaint = "EDBGRD gives another value";
	return SGX_SUCCESS;
}

int model_edbgwr(struct model *model, uint64_t rbx, struct sgx_epc rcx)
{
	struct model_page *page = valid_page(model, rcx);
	uint32_t offset = rcx.address % 4096;

	if (!is_multiple(rcx.address, 8))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_shareable(model, rcx))
		return SGX_GP;
	if (!page || (page->type != SGX_PT_REG && page->type != SGX_PT_TCS))
		return PF_RCX;
	if (page->is_pending || page->is_modified)
		return SGX_PAGE_NOT_DEBUGGABLE;
	if (page->type == SGX_PT_TCS && offset != 8 && !is_broken(model, MODEL_BREAK_EDBGWR_TCS))
		return SGX_GP;
	if (!is_for_debugging(model, page))
		return SGX_GP;
	memcpy(page->bytes + offset, &rbx, sizeof(rbx));
	return SGX_SUCCESS;
}

int model_epa(struct model *model, uint64_t rbx, struct sgx_epc rcx)
{
	struct model_page *page = empty_page(model, rcx);

	if (rbx != SGX_PT_VA || !is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_free_for_all(model, rcx))
		return SGX_GP;
	if (!page)
		return PF_RCX;
	make_parentless(page, SGX_PT_VA);
	memset(page->slots, 0, sizeof(page->slots));
	return 0;
}

int model_eblock(struct model *model, struct sgx_epc rcx)
{
	struct model_page *page = valid_page(model, rcx);

	if (!is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_shareable(model, rcx))
		return SGX_EPC_PAGE_CONFLICT;
	if (!page)
		return SGX_PG_INVLD;
	if (page->type == SGX_PT_SECS)
		return SGX_PG_IS_SECS;
	if (page->type == SGX_PT_VA)
		return is_broken(model, MODEL_BREAK_EBLOCK_TYPES) ? SGX_PG_IS_SECS :
								    SGX_NOTBLOCKABLE;
	if (is_held_as(model, page->secs, SGX_HOLD_TRACK))
		return SGX_ENTRYEPOCH_LOCKED;
	if (page->is_blocked) {
		if (is_broken(model, MODEL_BREAK_EBLOCK_AGAIN))
			begin_tracking(model, page);
		return SGX_BLKSTATE;
	}
	page->is_blocked = true;
	begin_tracking(model, page);
	return SGX_SUCCESS;
}

int model_etrack(struct model *model, struct sgx_epc rcx)
{
	struct model_page *secs = valid_secs(model, rcx);

	if (!is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_shareable(model, rcx) || is_held_as(model, rcx.page, SGX_HOLD_TRACK))
		return SGX_GP;
	if (!secs)
		return PF_RCX;
	if (has_thread_since(model, rcx.page, secs->enclave.epoch - 1) &&
	    !is_broken(model, MODEL_BREAK_ETRACK_TWICE))
		return SGX_PREV_TRK_INCMPL;
	secs->enclave.epoch++;
	return SGX_SUCCESS;
}

/* What EWB and ELD ask of registers. */
static int swap_registers(const struct sgx_pageinfo *rbx, struct sgx_epc rcx, struct sgx_epc rdx)
{
	if (!is_multiple(rbx->address, 32) || !is_multiple(rcx.address, 4096))
		return SGX_GP;
	if (!is_epc(rcx))
		return PF_RCX;
	if (!is_multiple(rdx.address, 8))
		return SGX_GP;
	return is_epc(rdx) ? 0 : PF_RDX;
}

static bool are_aligned(const struct sgx_pageinfo *rbx)
{
	return is_multiple(rbx->secinfo.address, 128) && is_multiple(rbx->srcpge.address, 4096);
}

static bool is_same_page(struct sgx_epc a, struct sgx_epc b)
{
	return a.page == b.page && a.address / 4096 == b.address / 4096;
}

/* Whether the page may go. */
static int ewb_page(const struct model *model, uint32_t number)
{
	const struct model_page *page = &model->pages[number];

	if (is_child_type(page->type) && !page->is_blocked)
		return SGX_PAGE_NOT_BLOCKED;
	if (is_child_type(page->type) && !is_tracked(model, page))
		return SGX_NOT_TRACKED;
	if (page->type == SGX_PT_SECS && model_nr_children(model, number) > 0 &&
	    !is_broken(model, MODEL_BREAK_EWB_SECS))
		return SGX_CHILD_PRESENT;
	return 0;
}

static int ewb_check(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
		     struct sgx_epc rdx)
{
	const struct model_page *page = valid_page(model, rcx), *va = valid_page(model, rdx);
	int result = swap_registers(rbx, rcx, rdx);

	if (result)
		return result;
	if (is_same_page(rcx, rdx) || rbx->linaddr != 0 || rbx->secs.address != 0 ||
	    !are_aligned(rbx))
		return SGX_GP;
	if (!is_free_for_all(model, rcx) || !is_shareable(model, rdx))
		return SGX_GP;
	if (!page)
		return PF_RCX;
	if (!va || va->type != SGX_PT_VA)
		return PF_RDX;
	if (!rbx->srcpge.bytes && (page->type == SGX_PT_SECS || page->type == SGX_PT_VA ||
				   model_has_bytes(model, page->type)))
		return PF_SRCPGE;
	if (!rbx->secinfo.bytes)
		return PF_SECINFO;
	return ewb_page(model, rcx.page);
}

/* What EWB wrote, as far as it can be known. */
static void check_written(struct model *model, const struct model_blob *blob,
			  const struct sgx_pageinfo *rbx)
{
	const struct model_page *page = &blob->page;
	uint64_t id = page->type == SGX_PT_SECS ? page->enclave.id : blob->owner;

	if (blob->pcmd.secinfo.flags != flags_of(page))
		model->complaint = "EWB writes another SECINFO";
	if (!is_all_zero(blob->pcmd.secinfo.reserved, sizeof(blob->pcmd.secinfo.reserved)) ||
	    !is_all_zero(blob->pcmd.reserved, sizeof(blob->pcmd.reserved)))
		model->complaint = "EWB writes into what is reserved";
	if (blob->pcmd.enclave_id != id)
		model->complaint = "EWB writes another ENCLAVEID";
	if (rbx->linaddr != page->linaddr)
		model->complaint = "EWB writes another LINADDR";
}

int model_ewb(struct model *model, const struct sgx_pageinfo *asked, const struct sgx_pageinfo *rbx,
	      struct sgx_epc rcx, struct sgx_epc rdx)
{
	struct model_page *page = valid_page(model, rcx);
	struct model_blob *blob;
	uint64_t *slot;
	int result = ewb_check(model, asked, rcx, rdx);

	if (result)
		return result;
	slot = &model->pages[rdx.page].slots[rdx.address % 4096 / 8];
	result = *slot ? SGX_VA_SLOT_OCCUPIED : SGX_SUCCESS;
	if (result && is_broken(model, MODEL_BREAK_EWB_SLOT))
		return result;

	*slot = ++model->nr_versions;
	blob = &model->blobs[*slot % MODEL_NR_BLOBS];
	measurement_fini(&blob->page.enclave.measurement);
	blob->version = *slot;
	blob->page = *page;
	blob->owner = is_child_type(page->type) ? model->pages[page->secs].enclave.id : 0;
	memcpy(&blob->pcmd, rbx->secinfo.bytes, sizeof(blob->pcmd));
	if (!model->is_metadata_only)
		memcpy(blob->bytes, rbx->srcpge.bytes, SGX_PAGE_SIZE);
	check_written(model, blob, rbx);
	page->enclave.measurement = (struct measurement){ 0 }; /* it is the blob's now */
	drop_page(model, rcx.page);
	return result;
}

/* PAGEINFO.SECS, which the type decides on. */
static int eld_secs(struct model *model, const struct sgx_pageinfo *rbx, enum sgx_page_type type)
{
	if (type == SGX_PT_SECS || type == SGX_PT_VA)
		return rbx->secs.address ? SGX_GP : 0;
	if (!is_child_type(type))
		return SGX_GP;
	if (!is_multiple(rbx->secs.address, 4096))
		return SGX_GP;
	if (!is_epc(rbx->secs))
		return PF_SECS;
	if (!is_shareable(model, rbx->secs))
		return SGX_GP;
	return valid_secs(model, rbx->secs) ? 0 : PF_SECS;
}

static int eld_check(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
		     struct sgx_epc rdx)
{
	const struct model_page *va = valid_page(model, rdx);
	const struct sgx_pcmd *pcmd = rbx->secinfo.bytes;
	int result = swap_registers(rbx, rcx, rdx);
	enum sgx_page_type type;

	if (result)
		return result;
	if (!are_aligned(rbx))
		return SGX_GP;
	if (!is_free_for_all(model, rcx) || !is_shareable(model, rdx))
		return SGX_GP;
	if (!empty_page(model, rcx))
		return PF_RCX;
	if (!va || va->type != SGX_PT_VA)
		return PF_RDX;
	if (!pcmd)
		return PF_SECINFO;
	type = type_of(pcmd->secinfo.flags);
	result = eld_secs(model, rbx, type);
	if (result)
		return result;
	if (!rbx->srcpge.bytes && (!is_child_type(type) || model_has_bytes(model, type)))
		return PF_SRCPGE;
	return 0;
}

/* The blob that belongs to this version, if these are its bytes. */
static struct model_blob *find_blob(struct model *model, const struct sgx_pageinfo *rbx,
				    uint64_t version)
{
	struct model_blob *blob = NULL;
	struct sgx_pcmd pcmd;
	uint64_t owner = 0;

	for (uint32_t i = 0; version && i < MODEL_NR_BLOBS; i++)
		if (model->blobs[i].version == version)
			blob = &model->blobs[i];
	if (!blob)
		return NULL;
	memcpy(&pcmd, rbx->secinfo.bytes, sizeof(pcmd));
	pcmd.enclave_id = blob->pcmd.enclave_id; /* that is nobody's concern */
	if (memcmp(&pcmd, &blob->pcmd, sizeof(pcmd)) != 0)
		return NULL;
	if (!model->is_metadata_only && memcmp(blob->bytes, rbx->srcpge.bytes, SGX_PAGE_SIZE) != 0)
		return NULL;
	if (rbx->linaddr != blob->page.linaddr && !is_broken(model, MODEL_BREAK_ELD_LINADDR))
		return NULL;
	if (is_child_type(type_of(pcmd.secinfo.flags)))
		owner = model->pages[rbx->secs.page].enclave.id;
	return owner == blob->owner || is_broken(model, MODEL_BREAK_ELD_SECS) ? blob : NULL;
}

/* A TCS that was busy when it left comes back busy, though nobody counts. */
static void restore_thread(struct model *model, uint32_t page, uint32_t secs)
{
	const struct model_page *tcs = &model->pages[page];

	if (tcs->type != SGX_PT_TCS || tcs->is_modified || !tcs_in(tcs).state)
		return;
	model->threads[page] = (struct model_thread){
		.is_there = true,
		.is_evicted = true,
		.tcs = page,
		.secs = secs,
	};
}

int model_eld(struct model *model, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
	      struct sgx_epc rdx, bool is_eldb)
{
	struct model_page *page = empty_page(model, rcx);
	struct model_blob *blob;
	uint64_t *slot;
	int result = eld_check(model, rbx, rcx, rdx);

	if (result)
		return result;
	slot = &model->pages[rdx.page].slots[rdx.address % 4096 / 8];
	blob = find_blob(model, rbx, *slot);
	if (!blob)
		return SGX_MAC_COMPARE_FAIL;

	if (!is_broken(model, MODEL_BREAK_ELD_SLOT))
		*slot = 0;
	*page = blob->page;
	page->is_valid = true;
	page->is_blocked = false;
	page->is_tracking = false;
	blob->page.enclave.measurement = (struct measurement){ 0 };
	if (is_child_type(page->type)) {
		page->secs = rbx->secs.page;
		if (is_eldb) {
			page->is_blocked = !is_broken(model, MODEL_BREAK_ELDB_BLOCKED);
			begin_tracking(model, page);
		}
		restore_thread(model, rcx.page, page->secs);
	}
	return SGX_SUCCESS;
}
