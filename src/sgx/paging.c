/* SPDX-License-Identifier: MIT */
/*
 * Pages leave the EPC and come back: EBLOCK, ETRACK, EWB, ELDB, ELDU. The cipher is seal.c's. A
 * VA slot holds the version of the page that left with it, and 0 is no version.
 */
#include <string.h>

#include "sgx/internal.h"

/* What the MAC covers besides contents and version. The order is hidden, this is the model's. */
struct mac_header {
	uint64_t enclave_id; /* of children; of SECS and VA pages 0 */
	uint64_t linaddr;
	struct sgx_secinfo secinfo;
	uint8_t reserved[40]; /* PCMD's */
	uint8_t zero[8];
};
_Static_assert(sizeof(struct mac_header) == 128, "SDM: MAC header");

int sgx_eblock(struct sgx *sgx, struct sgx_epc rcx)
{
	struct epcm_entry *entry;

	if (!is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_share(sgx, rcx))
		return SGX_EPC_PAGE_CONFLICT;
	entry = epcm_valid(sgx, rcx);
	if (!entry)
		return SGX_PG_INVLD;
	if (entry->type == SGX_PT_SECS)
		return SGX_PG_IS_SECS;
	if (entry->type == SGX_PT_VA)
		return SGX_NOTBLOCKABLE;
	if (!can_track(sgx, entry->secs))
		return SGX_ENTRYEPOCH_LOCKED;
	if (entry->is_blocked)
		return SGX_BLKSTATE;

	entry->is_blocked = true;
	epcm_begin_tracking(sgx, entry);
	return SGX_SUCCESS;
}

int sgx_etrack(struct sgx *sgx, struct sgx_epc rcx)
{
	struct secs_page *secs;

	if (!is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_share(sgx, rcx) || !can_track(sgx, rcx.page))
		return SGX_GP;
	secs = secs_at(sgx, rcx);
	if (!secs)
		return SGX_PF(SGX_OPERAND_RCX);
	if (secs->nr_previous != 0)
		return SGX_PREV_TRK_INCMPL;

	secs->nr_previous = secs->nr_current;
	secs->nr_current = 0;
	secs->epoch++;
	return SGX_SUCCESS;
}

/* The slot, or NULL where its page is no valid VA page. */
static uint64_t *va_slot(const struct sgx *sgx, struct sgx_epc rdx)
{
	const struct epcm_entry *entry = epcm_valid(sgx, rdx);

	if (!entry || entry->type != SGX_PT_VA)
		return NULL;
	return (uint64_t *)(bytes_of(sgx, rdx.page) + (rdx.address & (SGX_PAGE_SIZE - 1)));
}

/* Pages without memory behind them have one number, and different addresses. */
static bool is_same_page(struct sgx_epc one, struct sgx_epc other)
{
	if (one.page != other.page)
		return false;
	return one.page != SGX_PAGE_UNBACKED ||
	       one.address / SGX_PAGE_SIZE == other.address / SGX_PAGE_SIZE;
}

/* What EWB and ELD ask of their operands first. */
static int paging_operands(const struct sgx *sgx, const struct sgx_pageinfo *rbx,
			   struct sgx_epc rcx, struct sgx_epc rdx)
{
	if (!is_aligned(rbx->address, 32) || !is_aligned(rcx.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!is_aligned(rdx.address, 8))
		return SGX_GP;
	if (!in_epc(sgx, rdx))
		return SGX_PF(SGX_OPERAND_RDX);
	return 0;
}

static bool paging_memory_is_aligned(const struct sgx_pageinfo *rbx)
{
	return is_aligned(rbx->secinfo.address, 128) &&
	       is_aligned(rbx->srcpge.address, SGX_PAGE_SIZE);
}

static int ewb_operands(const struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
			struct sgx_epc rdx)
{
	int result = paging_operands(sgx, rbx, rcx, rdx);

	if (result)
		return result;
	if (is_same_page(rcx, rdx))
		return SGX_GP;
	if (rbx->linaddr != 0 || rbx->secs.address != 0)
		return SGX_GP;
	if (!paging_memory_is_aligned(rbx))
		return SGX_GP;
	return can_own(sgx, rcx) && can_share(sgx, rdx) ? 0 : SGX_GP;
}

/* Whether the page may leave now. */
static int ewb_state(const struct sgx *sgx, uint32_t page, const struct epcm_entry *entry)
{
	if (is_child(entry->type)) {
		if (!entry->is_blocked)
			return SGX_PAGE_NOT_BLOCKED;
		if (!epcm_is_tracked(sgx, entry))
			return SGX_NOT_TRACKED;
	}
	if (entry->type == SGX_PT_SECS && secs_of(sgx, page)->nr_children > 0)
		return SGX_CHILD_PRESENT;
	return 0;
}

/* Encrypts the page out of the EPC. */
static void ewb_seal(struct sgx *sgx, uint32_t page, const struct epcm_entry *entry,
		     uint64_t version, void *out, struct sgx_pcmd *pcmd)
{
	struct mac_header header = {
		.linaddr = (uint64_t)entry->linpage << 12,
		.secinfo.flags = epcm_flags(entry),
	};

	memset(pcmd, 0, sizeof(*pcmd));
	pcmd->secinfo = header.secinfo;
	if (is_child(entry->type))
		header.enclave_id = secs_of(sgx, entry->secs)->enclave_id;
	pcmd->enclave_id = entry->type == SGX_PT_SECS ? secs_of(sgx, page)->enclave_id :
							header.enclave_id;
	if (sgx->is_metadata_only) {
		if (has_contents(sgx, entry->type))
			memcpy(out, bytes_of(sgx, page), SGX_PAGE_SIZE);
		seal_header(&sgx->seal, version, (const uint8_t *)&header, pcmd->mac);
	} else {
		seal_encrypt(&sgx->seal, version, (const uint8_t *)&header, bytes_of(sgx, page),
			     out, pcmd->mac);
	}
}

int sgx_ewb(struct sgx *sgx, struct sgx_pageinfo *rbx, struct sgx_epc rcx, struct sgx_epc rdx)
{
	const struct epcm_entry *entry;
	struct sgx_pcmd pcmd;
	uint64_t *slot;
	int result;

	result = ewb_operands(sgx, rbx, rcx, rdx);
	if (result)
		return result;
	entry = epcm_valid(sgx, rcx);
	if (!entry)
		return SGX_PF(SGX_OPERAND_RCX);
	slot = va_slot(sgx, rdx);
	if (!slot)
		return SGX_PF(SGX_OPERAND_RDX);
	if (!rbx->srcpge.bytes && has_contents(sgx, entry->type))
		return SGX_PF(SGX_OPERAND_SRCPGE);
	if (!rbx->secinfo.bytes)
		return SGX_PF(SGX_OPERAND_SECINFO);
	result = ewb_state(sgx, rcx.page, entry);
	if (result)
		return result;

	ewb_seal(sgx, rcx.page, entry, sgx->next_version, rbx->srcpge.bytes, &pcmd);
	memcpy(rbx->secinfo.bytes, &pcmd, sizeof(pcmd));
	rbx->linaddr = (uint64_t)entry->linpage << 12;
	result = *slot ? SGX_VA_SLOT_OCCUPIED : SGX_SUCCESS;
	*slot = sgx->next_version;
	sgx->next_version += SGX_VERSION_STEP;
	epcm_remove(sgx, rcx.page);
	return result;
}

/* PAGEINFO.SECS, as the type in the PCMD asks for it; *secs: NULL for SECS and VA pages. */
static int eld_secs(const struct sgx *sgx, const struct sgx_pageinfo *rbx,
		    const struct sgx_pcmd *pcmd, const struct secs_page **secs)
{
	enum sgx_page_type type = secinfo_type(&pcmd->secinfo);

	*secs = NULL;
	if (type == SGX_PT_SECS || type == SGX_PT_VA)
		return rbx->secs.address == 0 ? 0 : SGX_GP;
	if (!is_child(type) || !is_aligned(rbx->secs.address, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rbx->secs))
		return SGX_PF(SGX_OPERAND_SECS);
	if (!can_share(sgx, rbx->secs))
		return SGX_GP;
	*secs = secs_at(sgx, rbx->secs);
	return *secs ? 0 : SGX_PF(SGX_OPERAND_SECS);
}

/* Decrypts the page into the EPC; false: not what EWB wrote last with this version. */
static bool eld_unseal(struct sgx *sgx, const struct sgx_pageinfo *rbx, const struct sgx_pcmd *pcmd,
		       const struct secs_page *secs, uint64_t version, void *page)
{
	struct mac_header header = {
		.enclave_id = secs ? secs->enclave_id : 0,
		.linaddr = rbx->linaddr,
		.secinfo = pcmd->secinfo,
	};
	uint8_t mac[16];

	if (version == 0)
		return false;
	memcpy(header.reserved, pcmd->reserved, sizeof(header.reserved));
	if (!sgx->is_metadata_only)
		return seal_decrypt(&sgx->seal, version, (const uint8_t *)&header,
				    rbx->srcpge.bytes, pcmd->mac, page);
	seal_header(&sgx->seal, version, (const uint8_t *)&header, mac);
	if (memcmp(mac, pcmd->mac, sizeof(mac)) != 0)
		return false;
	if (has_contents(sgx, secinfo_type(&pcmd->secinfo)))
		memcpy(page, rbx->srcpge.bytes, SGX_PAGE_SIZE);
	return true;
}

static void eld_commit(struct sgx *sgx, const struct sgx_pageinfo *rbx, const struct sgx_pcmd *pcmd,
		       uint32_t page, bool is_blocked)
{
	enum sgx_page_type type = secinfo_type(&pcmd->secinfo);
	struct epcm_entry *entry;

	if (!is_child(type)) {
		epcm_add_parentless(sgx, page, type);
		return;
	}
	entry = epcm_add_child(sgx, page, rbx->secs.page, pcmd->secinfo.flags, rbx->linaddr);
	if (is_blocked) {
		entry->is_blocked = true;
		epcm_begin_tracking(sgx, entry);
	}
}

static int eld(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
	       struct sgx_epc rdx, bool is_blocked)
{
	const struct secs_page *secs;
	struct sgx_pcmd pcmd;
	uint64_t *slot;
	int result;

	result = paging_operands(sgx, rbx, rcx, rdx);
	if (result)
		return result;
	if (!paging_memory_is_aligned(rbx))
		return SGX_GP;
	if (!can_own(sgx, rcx) || !can_share(sgx, rdx))
		return SGX_GP;
	if (!epcm_is_vacant(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	slot = va_slot(sgx, rdx);
	if (!slot)
		return SGX_PF(SGX_OPERAND_RDX);
	if (!rbx->secinfo.bytes)
		return SGX_PF(SGX_OPERAND_SECINFO);
	memcpy(&pcmd, rbx->secinfo.bytes, sizeof(pcmd));
	result = eld_secs(sgx, rbx, &pcmd, &secs);
	if (result)
		return result;
	if (!rbx->srcpge.bytes && has_contents(sgx, secinfo_type(&pcmd.secinfo)))
		return SGX_PF(SGX_OPERAND_SRCPGE);
	if (!eld_unseal(sgx, rbx, &pcmd, secs, *slot, bytes_of(sgx, rcx.page)))
		return SGX_MAC_COMPARE_FAIL;

	*slot = 0;
	eld_commit(sgx, rbx, &pcmd, rcx.page, is_blocked);
	return SGX_SUCCESS;
}

int sgx_eldb(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
	     struct sgx_epc rdx)
{
	return eld(sgx, rbx, rcx, rdx, true);
}

int sgx_eldu(struct sgx *sgx, const struct sgx_pageinfo *rbx, struct sgx_epc rcx,
	     struct sgx_epc rdx)
{
	return eld(sgx, rbx, rcx, rdx, false);
}
