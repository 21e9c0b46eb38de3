/* SPDX-License-Identifier: MIT */
/* See model.h: EENTER, ERESUME, EEXIT, AEX. */
#include "model_parts.h"

static bool is_enterable(const struct model_secs *enclave, const struct sgx_tcs *tcs)
{
	uint64_t base = enclave->base;

	if (!is_multiple(tcs->ossa, 4096) || !is_multiple(tcs->ofsbasgx, 4096) ||
	    !is_multiple(tcs->ogsbasgx, 4096))
		return false;
	if ((tcs->flags & ~SGX_TCS_DBGOPTIN) != 0)
		return false;
	if (!(enclave->attributes.flags & SGX_ATTR_INIT))
		return false;
	if (!(enclave->attributes.flags & SGX_ATTR_MODE64BIT))
		return true;
	return is_sign_extended(base + tcs->ofsbasgx) && is_sign_extended(base + tcs->ogsbasgx) &&
	       is_sign_extended(base + tcs->oentry);
}

static int enter_check(struct model *model, struct sgx_epc rbx)
{
	const struct model_page *page = valid_page(model, rbx);
	struct sgx_tcs tcs;

	if (!is_multiple(rbx.address, 4096))
		return SGX_GP;
	if (!is_epc(rbx))
		return PF_RBX;
	if (!is_shareable(model, rbx))
		return SGX_GP;
	if (!page || page->type != SGX_PT_TCS || page->is_blocked || page->is_pending ||
	    page->is_modified)
		return PF_RBX;
	tcs = tcs_in(page);
	return is_enterable(&model->pages[page->secs].enclave, &tcs) && tcs.state == 0 ? 0 : SGX_GP;
}

static void enter(struct model *model, uint32_t page)
{
	struct sgx_tcs tcs = tcs_in(&model->pages[page]);
	uint32_t secs = model->pages[page].secs;

	tcs.state = 1;
	put_tcs(&model->pages[page], &tcs);
	model->threads[page] = (struct model_thread){
		.is_there = true,
		.tcs = page,
		.secs = secs,
		.entry_epoch = model->pages[secs].enclave.epoch,
	};
}

int model_eenter(struct model *model, struct sgx_epc rbx)
{
	struct sgx_tcs tcs;
	int result = enter_check(model, rbx);

	if (result)
		return result;
	tcs = tcs_in(&model->pages[rbx.page]);
	if (tcs.cssa >= tcs.nssa)
		return SGX_GP;
	enter(model, rbx.page);
	return 0;
}

int model_eresume(struct model *model, struct sgx_epc rbx)
{
	struct sgx_tcs tcs;
	int result = enter_check(model, rbx);

	if (result)
		return result;
	tcs = tcs_in(&model->pages[rbx.page]);
	if (tcs.cssa == 0)
		return SGX_GP;
	tcs.cssa--;
	put_tcs(&model->pages[rbx.page], &tcs);
	enter(model, rbx.page);
	return 0;
}

int model_leave(struct model *model, struct sgx_epc operand, bool is_aex)
{
	struct model_page *page = valid_page(model, operand);
	struct sgx_tcs tcs;

	if (!page || !model->threads[operand.page].is_there)
		return SGX_GP;
	model->threads[operand.page].is_there = false;
	tcs = tcs_in(page);
	tcs.state = 0;
	if (is_aex && !is_broken(model, MODEL_BREAK_AEX_CSSA))
		tcs.cssa++;
	put_tcs(page, &tcs);
	return 0;
}

void model_evict_threads(struct model *model, uint32_t secs)
{
	for (uint32_t i = 0; i < MODEL_NR_THREADS; i++)
		if (model->threads[i].is_there && model->threads[i].secs == secs)
			model->threads[i].is_evicted = true;
	if (is_broken(model, MODEL_BREAK_EVICT_TRACKS))
		model->pages[secs].enclave.epoch += 2;
}
