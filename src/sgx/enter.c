/* SPDX-License-Identifier: MIT */
/*
 * Threads enter and leave enclaves: EENTER, ERESUME, EEXIT, AEX, as far as TCS, tracking and
 * SGX_ENCLAVE_ACT need them. Registers, SSA frames and what enclave code does are not here.
 */
#include "sgx/internal.h"

/* What EENTER reads out of a TCS: offsets, flags, limits. */
static bool tcs_is_enterable(const struct secs_page *secs, const struct sgx_tcs *tcs)
{
	uint64_t base = secs->visible.base;
	bool is_64 = secs->visible.attributes.flags & SGX_ATTR_MODE64BIT;

	if (!is_aligned(tcs->ossa, SGX_PAGE_SIZE) || !is_aligned(tcs->ofsbasgx, SGX_PAGE_SIZE) ||
	    !is_aligned(tcs->ogsbasgx, SGX_PAGE_SIZE))
		return false;
	if (is_64 && (!is_canonical(base + tcs->ofsbasgx) || !is_canonical(base + tcs->ogsbasgx)))
		return false;
	if (tcs->flags & ~SGX_TCS_DBGOPTIN)
		return false;
	if (!is_initialised(secs))
		return false;
	return !is_64 || is_canonical(base + tcs->oentry);
}

/* What EENTER and ERESUME check alike. *tcs and *secs are set on 0 only. */
static int enter_check(const struct sgx *sgx, struct sgx_epc rbx, struct tcs_page **tcs,
		       struct secs_page **secs)
{
	const struct epcm_entry *entry;

	if (!is_aligned(rbx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rbx))
		return SGX_PF(SGX_OPERAND_RBX);
	if (!can_share(sgx, rbx))
		return SGX_GP;
	entry = epcm_valid(sgx, rbx);
	if (!entry || entry->is_blocked || entry->type != SGX_PT_TCS || entry->is_pending ||
	    entry->is_modified)
		return SGX_PF(SGX_OPERAND_RBX);
	*tcs = (struct tcs_page *)bytes_of(sgx, rbx.page);
	*secs = secs_of(sgx, entry->secs);
	return tcs_is_enterable(*secs, &(*tcs)->visible) ? 0 : SGX_GP;
}

static void enter(struct secs_page *secs, struct tcs_page *tcs)
{
	tcs->visible.state = 1;
	tcs->entry_epoch = secs->epoch;
	tcs->entry_eviction = secs->nr_evictions;
	secs->nr_current++;
}

int sgx_eenter(struct sgx *sgx, struct sgx_epc rbx)
{
	struct secs_page *secs;
	struct tcs_page *tcs;
	int result;

	result = enter_check(sgx, rbx, &tcs, &secs);
	if (result)
		return result;
	if (tcs->visible.cssa >= tcs->visible.nssa)
		return SGX_GP;
	if (tcs->visible.state)
		return SGX_GP;

	enter(secs, tcs);
	return 0;
}

int sgx_eresume(struct sgx *sgx, struct sgx_epc rbx)
{
	struct secs_page *secs;
	struct tcs_page *tcs;
	int result;

	result = enter_check(sgx, rbx, &tcs, &secs);
	if (result)
		return result;
	if (tcs->visible.cssa == 0)
		return SGX_GP;
	if (tcs->visible.state)
		return SGX_GP;

	tcs->visible.cssa--;
	enter(secs, tcs);
	return 0;
}

/*
 * The TCS that a thread is inside of, or NULL. Its page may have been blocked or trimmed since it
 * entered, but cannot have gone while it counts: EWB and EACCEPT wait for it, EREMOVE refuses.
 */
static struct tcs_page *busy_tcs(const struct sgx *sgx, struct sgx_epc operand)
{
	const struct epcm_entry *entry = epcm_valid(sgx, operand);
	struct tcs_page *tcs;

	if (!entry || !epcm_is_tcs(entry))
		return NULL;
	tcs = (struct tcs_page *)bytes_of(sgx, operand.page);
	return tcs->visible.state ? tcs : NULL;
}

static void leave(struct secs_page *secs, struct tcs_page *tcs)
{
	if (tcs_counts(secs, tcs)) {
		if (tcs->entry_epoch == secs->epoch)
			secs->nr_current--;
		else
			secs->nr_previous--;
	}
	tcs->visible.state = 0;
}

int sgx_eexit(struct sgx *sgx, struct sgx_epc tcs)
{
	struct tcs_page *page = busy_tcs(sgx, tcs);

	if (!page)
		return SGX_GP;
	leave(secs_of(sgx, sgx->epcm[tcs.page].secs), page);
	return 0;
}

int sgx_aex(struct sgx *sgx, struct sgx_epc tcs)
{
	struct tcs_page *page = busy_tcs(sgx, tcs);

	if (!page)
		return SGX_GP;
	leave(secs_of(sgx, sgx->epcm[tcs.page].secs), page);
	page->visible.cssa++;
	return 0;
}

/* No ETRACK is in it: a page that was blocked before still needs one. */
void sgx_evict_threads(struct sgx *sgx, uint32_t secs)
{
	struct secs_page *page = secs_of(sgx, secs);

	page->nr_current = 0;
	page->nr_previous = 0;
	page->nr_evictions++;
}
