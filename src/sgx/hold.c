/* SPDX-License-Identifier: MIT */
/*
 * Holds: other processors in the middle of a leaf, and what they leave to this one (SDM 3D, the
 * concurrency tables). What a conflict then means is each leaf's own. Mostly there is no hold.
 */
#include <assert.h>

#include "sgx/internal.h"

static bool is_held(const struct sgx *sgx, uint32_t page, enum sgx_hold kind)
{
	for (unsigned int i = 0; i < sgx->nr_holds; i++) {
		if (sgx->holds[i].page == page && sgx->holds[i].kind == kind)
			return true;
	}
	return false;
}

bool can_own(const struct sgx *sgx, struct sgx_epc operand)
{
	return can_share(sgx, operand) && !is_held(sgx, operand.page, SGX_HOLD_SHARED);
}

bool can_share(const struct sgx *sgx, struct sgx_epc operand)
{
	return !is_held(sgx, operand.page, SGX_HOLD_EXCLUSIVE);
}

bool can_measure(const struct sgx *sgx, uint32_t secs)
{
	return !is_held(sgx, secs, SGX_HOLD_MEASURE);
}

bool can_track(const struct sgx *sgx, uint32_t secs)
{
	return !is_held(sgx, secs, SGX_HOLD_TRACK);
}

bool can_modify(const struct sgx *sgx, struct sgx_epc operand)
{
	return !is_held(sgx, operand.page, SGX_HOLD_MODIFY);
}

void sgx_hold(struct sgx *sgx, uint32_t page, enum sgx_hold hold)
{
	assert(page < sgx->nr_pages && sgx->nr_holds < SGX_NR_HOLDS_MAX);
	sgx->holds[sgx->nr_holds++] = (struct hold){ .page = page, .kind = hold };
}

void sgx_unhold(struct sgx *sgx, uint32_t page, enum sgx_hold hold)
{
	unsigned int i = 0;

	while (i < sgx->nr_holds && (sgx->holds[i].page != page || sgx->holds[i].kind != hold))
		i++;
	assert(i < sgx->nr_holds);
	sgx->holds[i] = sgx->holds[--sgx->nr_holds];
}
