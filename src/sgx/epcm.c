/* SPDX-License-Identifier: MIT */
/*
 * Operands, EPCM entries, contents, and the checks that many leaves share (internal.h has the
 * list). What one leaf does alone is in the file of that leaf, holds are in hold.c.
 */
#include <string.h>

#include "sgx/internal.h"

bool in_epc(const struct sgx *sgx, struct sgx_epc operand)
{
	return operand.page < sgx->nr_pages || operand.page == SGX_PAGE_UNBACKED;
}

struct epcm_entry *epcm_valid(const struct sgx *sgx, struct sgx_epc operand)
{
	if (operand.page >= sgx->nr_pages || !sgx->epcm[operand.page].is_valid)
		return NULL;
	return &sgx->epcm[operand.page];
}

bool epcm_is_vacant(const struct sgx *sgx, struct sgx_epc operand)
{
	return operand.page < sgx->nr_pages && !sgx->epcm[operand.page].is_valid;
}

struct secs_page *secs_at(const struct sgx *sgx, struct sgx_epc operand)
{
	const struct epcm_entry *entry = epcm_valid(sgx, operand);

	return entry && entry->type == SGX_PT_SECS ? secs_of(sgx, operand.page) : NULL;
}

struct secs_page *secs_of(const struct sgx *sgx, uint32_t page)
{
	return (struct secs_page *)bytes_of(sgx, page);
}

uint8_t *bytes_of(const struct sgx *sgx, uint32_t page)
{
	const struct section *section = sgx->sections;

	while (page - section->first_page >= section->nr_pages)
		section++;
	return section->bytes + (size_t)(page - section->first_page) * SGX_PAGE_SIZE;
}

bool has_contents(const struct sgx *sgx, enum sgx_page_type type)
{
	return !sgx->is_metadata_only || (type != SGX_PT_REG && type != SGX_PT_TRIM);
}

bool is_child(enum sgx_page_type type)
{
	return type == SGX_PT_TCS || type == SGX_PT_REG || type == SGX_PT_TRIM;
}

struct epcm_entry *epcm_add_child(struct sgx *sgx, uint32_t page, uint32_t secs, uint64_t flags,
				  uint64_t linaddr)
{
	struct secs_page *owner = secs_of(sgx, secs);
	struct epcm_entry *entry = &sgx->epcm[page];
	uint64_t linpage = linaddr / SGX_PAGE_SIZE;

	*entry = (struct epcm_entry){
		.is_valid = true,
		.type = flags >> SGX_SECINFO_TYPE_SHIFT & 7,
		.r = (flags & SGX_SECINFO_R) != 0,
		.w = (flags & SGX_SECINFO_W) != 0,
		.x = (flags & SGX_SECINFO_X) != 0,
		.is_pending = (flags & SGX_SECINFO_PENDING) != 0,
		.is_modified = (flags & SGX_SECINFO_MODIFIED) != 0,
		.is_restricted = (flags & SGX_SECINFO_PR) != 0,
		.linpage = linpage & EPCM_LINPAGE_MASK,
		.secs = secs,
		/* No thread can have known the page before: two epochs ago is always tracked. */
		.blk_epoch = (uint32_t)owner->epoch - 2,
	};
	owner->nr_children++;
	return entry;
}

void epcm_add_parentless(struct sgx *sgx, uint32_t page, enum sgx_page_type type)
{
	sgx->epcm[page] = (struct epcm_entry){
		.is_valid = true,
		.type = type & 7,
		.secs = SGX_PAGE_OUTSIDE,
	};
}

void epcm_remove(struct sgx *sgx, uint32_t page)
{
	struct epcm_entry *entry = &sgx->epcm[page];

	if (is_child(entry->type))
		secs_of(sgx, entry->secs)->nr_children--;
	entry->is_valid = false;
}

/* One that EMODT has just made of a REG page is none before EACCEPT has looked into it. */
bool epcm_is_tcs(const struct epcm_entry *entry)
{
	return entry->type == SGX_PT_TCS ? !entry->is_modified : entry->was_tcs;
}

uint64_t epcm_flags(const struct epcm_entry *entry)
{
	return (entry->r ? SGX_SECINFO_R : 0) | (entry->w ? SGX_SECINFO_W : 0) |
	       (entry->x ? SGX_SECINFO_X : 0) | (entry->is_pending ? SGX_SECINFO_PENDING : 0) |
	       (entry->is_modified ? SGX_SECINFO_MODIFIED : 0) |
	       (entry->is_restricted ? SGX_SECINFO_PR : 0) |
	       (uint64_t)entry->type << SGX_SECINFO_TYPE_SHIFT;
}

void epcm_begin_tracking(const struct sgx *sgx, struct epcm_entry *entry)
{
	entry->blk_epoch = (uint32_t)secs_of(sgx, entry->secs)->epoch;
}

/*
 * Threads that were inside when tracking of the page began are those of its epoch and of the one
 * before. The next ETRACK makes them "previous", and the one after that waits for them.
 */
bool epcm_is_tracked(const struct sgx *sgx, const struct epcm_entry *entry)
{
	const struct secs_page *secs = secs_of(sgx, entry->secs);
	uint32_t nr_epochs = (uint32_t)secs->epoch - entry->blk_epoch;

	return nr_epochs >= 2 || (nr_epochs == 1 && secs->nr_previous == 0);
}

bool is_initialised(const struct secs_page *secs)
{
	return secs->visible.attributes.flags & SGX_ATTR_INIT;
}

/* BASEADDR is a multiple of SIZE, so no sum overflows. */
bool in_elrange(const struct secs_page *secs, uint64_t address)
{
	return address - secs->visible.base < secs->visible.size;
}

/* With four levels of page tables. */
bool is_canonical(uint64_t address)
{
	return address < UINT64_C(1) << 47 || address >= -(UINT64_C(1) << 47);
}

/* memcmp() of the bytes with themselves, one further: the fastest there is in plain C. */
bool bytes_are_zero(const void *bytes, size_t size)
{
	const uint8_t *first = bytes;

	return size == 0 || (first[0] == 0 && memcmp(first, first + 1, size - 1) == 0);
}

bool secinfo_read(struct sgx_memory operand, struct sgx_secinfo *secinfo)
{
	if (!operand.bytes)
		return false;
	memcpy(secinfo, operand.bytes, sizeof(*secinfo));
	return true;
}

bool secinfo_has_reserved(const struct sgx_secinfo *secinfo, uint64_t flags)
{
	return secinfo->flags & ~flags ||
	       !bytes_are_zero(secinfo->reserved, sizeof(secinfo->reserved));
}

enum sgx_page_type secinfo_type(const struct sgx_secinfo *secinfo)
{
	return (enum sgx_page_type)((secinfo->flags & SGX_SECINFO_TYPE_MASK) >>
				    SGX_SECINFO_TYPE_SHIFT);
}

void sgx_epcm(const struct sgx *sgx, uint32_t page, struct sgx_epcm *epcm)
{
	const struct epcm_entry *entry = epcm_valid(sgx, (struct sgx_epc){ .page = page });

	*epcm = (struct sgx_epcm){ .secs = SGX_PAGE_OUTSIDE };
	if (!entry)
		return;
	*epcm = (struct sgx_epcm){
		.is_valid = true,
		.type = entry->type,
		.is_readable = entry->r,
		.is_writable = entry->w,
		.is_executable = entry->x,
		.is_blocked = entry->is_blocked,
		.is_pending = entry->is_pending,
		.is_modified = entry->is_modified,
		.is_restricted = entry->is_restricted,
		.secs = entry->secs,
		.linaddr = (uint64_t)entry->linpage << 12,
	};
}

uint64_t sgx_secs_nr_children(const struct sgx *sgx, uint32_t secs)
{
	return secs_of(sgx, secs)->nr_children;
}

uint64_t sgx_secs_nr_inside(const struct sgx *sgx, uint32_t secs)
{
	const struct secs_page *page = secs_of(sgx, secs);

	return page->nr_current + page->nr_previous;
}

uint64_t sgx_secs_enclave_id(const struct sgx *sgx, uint32_t secs)
{
	return secs_of(sgx, secs)->enclave_id;
}

void sgx_secs_identity(const struct sgx *sgx, uint32_t secs, struct sgx_secs *visible)
{
	*visible = secs_of(sgx, secs)->visible;
}
