/* SPDX-License-Identifier: MIT */
/*
 * sgx_is_valid(): the invariants of the EPCM as code. For tests: it walks everything, and nothing
 * here mends what it finds.
 */
#include <string.h>

#include "sgx/internal.h"

/* SECS and VA pages belong to nobody, and nobody but the processor gets at them. */
static const char *check_parentless(const struct epcm_entry *entry)
{
	if (entry->secs != SGX_PAGE_OUTSIDE)
		return "a SECS or VA page names a SECS";
	if (entry->linpage != 0 || entry->r || entry->w || entry->x)
		return "a SECS or VA page has an address or permissions";
	if (entry->is_blocked || entry->is_pending || entry->is_modified || entry->is_restricted)
		return "a SECS or VA page has a state that only children have";
	return NULL;
}

static const char *check_secs(const struct sgx *sgx, const struct secs_page *secs)
{
	const struct sgx_secs *visible = &secs->visible;

	if (visible->size < 2 * SGX_PAGE_SIZE || (visible->size & (visible->size - 1)) != 0)
		return "SIZE is not a power of two, or too small";
	if (!is_aligned(visible->base, visible->size))
		return "BASEADDR is no multiple of SIZE";
	if (secs->enclave_id == 0 || secs->enclave_id >= sgx->next_enclave_id)
		return "an enclave has an id that was never given";
	if (secs->epoch == 0)
		return "an epoch is 0";
	if (!is_initialised(secs) && secs->nr_current + secs->nr_previous > 0)
		return "a thread is inside of what is not initialised";
	return NULL;
}

static const char *check_va(const struct sgx *sgx, uint32_t page)
{
	const uint64_t *slots = (const uint64_t *)bytes_of(sgx, page);

	for (unsigned int i = 0; i < SGX_NR_VA_SLOTS; i++) {
		if (slots[i] >= sgx->next_version || slots[i] % SGX_VERSION_STEP != 0)
			return "a slot holds a version that was never given";
	}
	return NULL;
}

static const char *check_child_state(const struct epcm_entry *entry)
{
	bool is_reg = entry->type == SGX_PT_REG;

	if (entry->w && !entry->r)
		return "a page can be written to and not read";
	if (!is_reg && (entry->r || entry->w || entry->x))
		return "a TCS or TRIM page has permissions";
	if (!is_reg && (entry->is_pending || entry->is_restricted))
		return "a page that is not REG is PENDING or PR";
	if (is_reg && entry->is_modified)
		return "a REG page is MODIFIED";
	if (entry->is_pending && entry->is_restricted)
		return "a page is PENDING and PR";
	if (entry->was_tcs && entry->type != SGX_PT_TRIM)
		return "a page was a TCS and is not TRIM";
	return NULL;
}

static const char *check_child(const struct sgx *sgx, const struct epcm_entry *entry)
{
	struct sgx_epc parent = { .page = entry->secs };
	const struct secs_page *secs = secs_at(sgx, parent);

	if (!secs)
		return "a child names no valid SECS";
	if (!in_elrange(secs, (uint64_t)entry->linpage << 12))
		return "a child is outside of ELRANGE";
	if (!is_initialised(secs) && (entry->type == SGX_PT_TRIM || entry->is_pending ||
				      entry->is_modified || entry->is_restricted))
		return "a page was added or changed before EINIT";
	return check_child_state(entry);
}

static const char *check_entry(const struct sgx *sgx, uint32_t page)
{
	const struct epcm_entry *entry = &sgx->epcm[page];
	const char *wrong;

	if (!entry->is_valid)
		return NULL;
	if (is_child(entry->type))
		return check_child(sgx, entry);
	wrong = check_parentless(entry);
	if (wrong)
		return wrong;
	if (entry->type == SGX_PT_SECS)
		return check_secs(sgx, secs_of(sgx, page));
	return entry->type == SGX_PT_VA ? check_va(sgx, page) : "PT is no type of page";
}

/* Begins, and ends, the counting in all SECS pages: they have room for it, and memory costs. */
static void found_reset(const struct sgx *sgx)
{
	for (uint32_t page = 0; page < sgx->nr_pages; page++) {
		struct secs_page *secs = secs_at(sgx, (struct sgx_epc){ .page = page });

		if (!secs)
			continue;
		secs->nr_children_found = 0;
		secs->nr_current_found = 0;
		secs->nr_previous_found = 0;
	}
}

/* Counts a child, and the thread in it. */
static void found_count(const struct sgx *sgx, uint32_t page)
{
	const struct epcm_entry *entry = &sgx->epcm[page];
	const struct tcs_page *tcs;
	struct secs_page *secs;

	if (!entry->is_valid || !is_child(entry->type))
		return;
	secs = secs_of(sgx, entry->secs);
	secs->nr_children_found++;
	if (!epcm_is_tcs(entry))
		return;
	tcs = (const struct tcs_page *)bytes_of(sgx, page);
	if (!tcs->visible.state || !tcs_counts(secs, tcs))
		return;
	if (tcs->entry_epoch == secs->epoch)
		secs->nr_current_found++;
	else
		secs->nr_previous_found++;
}

static const char *check_counts(const struct sgx *sgx, uint32_t page)
{
	const struct secs_page *secs = secs_at(sgx, (struct sgx_epc){ .page = page });

	if (!secs)
		return NULL;
	if (secs->nr_children != secs->nr_children_found)
		return "children are miscounted";
	if (secs->nr_current != secs->nr_current_found ||
	    secs->nr_previous != secs->nr_previous_found)
		return "threads are miscounted";
	return NULL;
}

bool sgx_is_valid(const struct sgx *sgx, const char **why)
{
	const char *wrong = NULL;

	for (uint32_t page = 0; page < sgx->nr_pages && !wrong; page++)
		wrong = check_entry(sgx, page);
	if (!wrong) {
		found_reset(sgx);
		for (uint32_t page = 0; page < sgx->nr_pages; page++)
			found_count(sgx, page);
		for (uint32_t page = 0; page < sgx->nr_pages && !wrong; page++)
			wrong = check_counts(sgx, page);
		found_reset(sgx);
	}
	*why = wrong;
	return !wrong;
}
