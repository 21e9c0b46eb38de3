/* SPDX-License-Identifier: MIT */
/*
 * The leaves that enclave code executes: EACCEPT, EACCEPTCOPY, EMODPE, EREPORT, EGETKEY. Here are
 * the checks of their operands; how keys are derived is keys.c's.
 *
 * secs: the enclave that executes. Operands are linear addresses in its ELRANGE.
 */
#include <string.h>

#include "sgx/internal.h"

#define FLAGS_REG ((uint64_t)SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT)
#define FLAGS_RW (SGX_SECINFO_R | SGX_SECINFO_W)

/* #GP of an operand of any kind; no SECS, no enclave code. */
static bool is_inside(const struct sgx *sgx, uint32_t secs, struct sgx_epc operand,
		      uint64_t alignment)
{
	return secs_at(sgx, (struct sgx_epc){ .page = secs }) &&
	       is_aligned(operand.address, alignment) &&
	       in_elrange(secs_of(sgx, secs), operand.address);
}

/* Whether the entry is of this enclave, and for this address. */
static bool belongs_to(const struct epcm_entry *entry, uint32_t secs, struct sgx_epc operand)
{
	return entry->secs == secs && entry->linpage == operand.address / SGX_PAGE_SIZE;
}

/* Whether enclave code can read it (SGX_SECINFO_R) or write it (SGX_SECINFO_W). */
static bool is_accessible(const struct sgx *sgx, uint32_t secs, struct sgx_epc operand,
			  uint64_t access)
{
	const struct epcm_entry *entry = epcm_valid(sgx, operand);

	return entry && entry->type == SGX_PT_REG && (epcm_flags(entry) & access) == access &&
	       !entry->is_blocked && !entry->is_pending && !entry->is_modified &&
	       belongs_to(entry, secs, operand);
}

/* An operand that holds data. 0 or a fault. */
static int data_check(const struct sgx *sgx, uint32_t secs, struct sgx_epc operand,
		      uint64_t alignment, uint64_t access, enum sgx_operand name)
{
	if (!is_inside(sgx, secs, operand, alignment))
		return SGX_GP;
	if (!in_epc(sgx, operand) || !is_accessible(sgx, secs, operand, access))
		return SGX_PF(name);
	return 0;
}

/* An operand that names a page; the leaf has its own view of what the page must be. */
static int page_check(const struct sgx *sgx, uint32_t secs, struct sgx_epc operand,
		      enum sgx_operand name)
{
	if (!is_inside(sgx, secs, operand, SGX_PAGE_SIZE))
		return SGX_GP;
	return in_epc(sgx, operand) ? 0 : SGX_PF(name);
}

/* Of a data operand: its bytes. */
static uint8_t *data_of(const struct sgx *sgx, struct sgx_epc operand)
{
	return bytes_of(sgx, operand.page) + (operand.address & (SGX_PAGE_SIZE - 1));
}

/* A SECINFO lies in RBX. */
static int secinfo_check(const struct sgx *sgx, uint32_t secs, struct sgx_epc rbx)
{
	return data_check(sgx, secs, rbx, 64, SGX_SECINFO_R, SGX_OPERAND_RBX);
}

/*
 * Copies it; false: something reserved is in it. Without contents nobody knows what it says: it
 * says fitting, which is what is right for the leaf and its target.
 */
static bool secinfo_load(const struct sgx *sgx, struct sgx_epc rbx, uint64_t fitting,
			 struct sgx_secinfo *secinfo)
{
	*secinfo = (struct sgx_secinfo){ .flags = fitting };
	if (has_contents(sgx, SGX_PT_REG))
		memcpy(secinfo, data_of(sgx, rbx), sizeof(*secinfo));
	return !secinfo_has_reserved(secinfo, SECINFO_ALL);
}

/* What EACCEPT can be asked for: {REG, PENDING or PR}, {TCS or TRIM, MODIFIED}. */
static bool is_acceptable(const struct sgx_secinfo *secinfo)
{
	const uint64_t asked = SGX_SECINFO_PENDING | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR;
	uint64_t flags = secinfo->flags & asked;

	if (secinfo_type(secinfo) == SGX_PT_REG)
		return flags != 0 && !(flags & SGX_SECINFO_MODIFIED);
	return (secinfo_type(secinfo) == SGX_PT_TCS || secinfo_type(secinfo) == SGX_PT_TRIM) &&
	       flags == SGX_SECINFO_MODIFIED;
}

static uint64_t eaccept_fitting(const struct epcm_entry *entry)
{
	if (!entry || entry->type == SGX_PT_REG)
		return (entry ? epcm_flags(entry) : FLAGS_REG) | SGX_SECINFO_PR;
	return epcm_flags(entry) | SGX_SECINFO_MODIFIED;
}

/* What the enclave made, or the system kept, of a page that is to be a TCS. */
static bool tcs_is_acceptable(const struct tcs_page *page)
{
	const struct sgx_tcs *tcs = &page->visible;

	return bytes_are_zero((const uint8_t *)page + sizeof(*tcs), SGX_PAGE_SIZE - sizeof(*tcs)) &&
	       !(tcs->flags & SGX_TCS_DBGOPTIN) && tcs->cssa < tcs->nssa && tcs->aep == 0 &&
	       tcs->state == 0;
}

int sgx_eaccept(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx)
{
	struct epcm_entry *entry = epcm_valid(sgx, rcx);
	struct sgx_secinfo secinfo;
	int result;

	result = secinfo_check(sgx, secs, rbx);
	if (result)
		return result;
	if (!secinfo_load(sgx, rbx, eaccept_fitting(entry), &secinfo))
		return SGX_GP;
	result = page_check(sgx, secs, rcx, SGX_OPERAND_RCX);
	if (result)
		return result;
	if (!is_acceptable(&secinfo))
		return SGX_GP;
	if (!entry || entry->is_blocked || !is_child(entry->type) || entry->secs != secs)
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_share(sgx, rcx) || !can_modify(sgx, rcx))
		return SGX_GP;
	/* All must be as asked for; only PR need not. */
	if (!belongs_to(entry, secs, rcx) ||
	    (epcm_flags(entry) | SGX_SECINFO_PR) != (secinfo.flags | SGX_SECINFO_PR))
		return SGX_PAGE_ATTRIBUTES_MISMATCH;
	if (!epcm_is_tracked(sgx, entry))
		return SGX_NOT_TRACKED;
	if (entry->type == SGX_PT_TCS &&
	    !tcs_is_acceptable((const struct tcs_page *)bytes_of(sgx, rcx.page)))
		return SGX_GP;

	entry->is_pending = false;
	entry->is_modified = false;
	entry->is_restricted = false;
	return SGX_SUCCESS;
}

/* A page that waits to be filled, as EAUG left it. */
static bool is_copy_target(const struct epcm_entry *entry, uint32_t secs, struct sgx_epc rcx)
{
	return entry && !entry->is_blocked &&
	       epcm_flags(entry) == (FLAGS_REG | FLAGS_RW | SGX_SECINFO_PENDING) &&
	       belongs_to(entry, secs, rcx);
}

int sgx_eacceptcopy(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx,
		    struct sgx_epc rdx)
{
	struct epcm_entry *entry = epcm_valid(sgx, rcx);
	struct sgx_secinfo secinfo;
	int result;

	result = secinfo_check(sgx, secs, rbx);
	if (result)
		return result;
	if (!is_inside(sgx, secs, rcx, SGX_PAGE_SIZE) || !is_inside(sgx, secs, rdx, SGX_PAGE_SIZE))
		return SGX_GP;
	if (!in_epc(sgx, rcx))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!in_epc(sgx, rdx))
		return SGX_PF(SGX_OPERAND_RDX);
	if (!secinfo_load(sgx, rbx, FLAGS_REG | SGX_SECINFO_RWX, &secinfo))
		return SGX_GP;
	if (secinfo_type(&secinfo) != SGX_PT_REG || (secinfo.flags & FLAGS_RW) == SGX_SECINFO_W)
		return SGX_GP;
	if (!is_accessible(sgx, secs, rdx, SGX_SECINFO_R))
		return SGX_PF(SGX_OPERAND_RDX);
	if (!is_copy_target(entry, secs, rcx))
		return SGX_PAGE_ATTRIBUTES_MISMATCH;
	if (!can_modify(sgx, rcx))
		return SGX_GP;

	if (has_contents(sgx, SGX_PT_REG))
		memcpy(bytes_of(sgx, rcx.page), bytes_of(sgx, rdx.page), SGX_PAGE_SIZE);
	entry->r = (secinfo.flags & SGX_SECINFO_R) != 0;
	entry->w = (secinfo.flags & SGX_SECINFO_W) != 0;
	entry->x = (secinfo.flags & SGX_SECINFO_X) != 0;
	entry->is_pending = false;
	return SGX_SUCCESS;
}

int sgx_emodpe(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx)
{
	struct epcm_entry *entry = epcm_valid(sgx, rcx);
	struct sgx_secinfo secinfo;
	int result;

	result = secinfo_check(sgx, secs, rbx);
	if (result)
		return result;
	result = page_check(sgx, secs, rcx, SGX_OPERAND_RCX);
	if (result)
		return result;
	if (!secinfo_load(sgx, rbx, FLAGS_REG | SGX_SECINFO_RWX, &secinfo))
		return SGX_GP;
	if (!is_accessible(sgx, secs, rcx, 0))
		return SGX_PF(SGX_OPERAND_RCX);
	if (!can_modify(sgx, rcx))
		return SGX_GP;
	if (((epcm_flags(entry) | secinfo.flags) & FLAGS_RW) == SGX_SECINFO_W)
		return SGX_GP;

	entry->r = entry->r || secinfo.flags & SGX_SECINFO_R;
	entry->w = entry->w || secinfo.flags & SGX_SECINFO_W;
	entry->x = entry->x || secinfo.flags & SGX_SECINFO_X;
	return 0;
}

static bool targetinfo_has_reserved(const struct sgx_targetinfo *target)
{
	return target->reserved1 || !bytes_are_zero(target->reserved2, sizeof(target->reserved2)) ||
	       !bytes_are_zero(target->reserved3, sizeof(target->reserved3));
}

int sgx_ereport(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx,
		struct sgx_epc rdx)
{
	struct sgx_targetinfo target;
	struct sgx_report report;
	uint8_t report_data[64];
	int result;

	result = data_check(sgx, secs, rbx, 512, SGX_SECINFO_R, SGX_OPERAND_RBX);
	if (result)
		return result;
	result = data_check(sgx, secs, rcx, 128, SGX_SECINFO_R, SGX_OPERAND_RCX);
	if (result)
		return result;
	result = data_check(sgx, secs, rdx, 512, SGX_SECINFO_W, SGX_OPERAND_RDX);
	if (result)
		return result;
	if (!has_contents(sgx, SGX_PT_REG))
		return 0;
	memcpy(&target, data_of(sgx, rbx), sizeof(target));
	if (targetinfo_has_reserved(&target))
		return SGX_GP;

	memcpy(report_data, data_of(sgx, rcx), sizeof(report_data));
	key_report(sgx, secs_of(sgx, secs), &target, report_data, &report);
	memcpy(data_of(sgx, rdx), &report, sizeof(report));
	return 0;
}

int sgx_egetkey(struct sgx *sgx, uint32_t secs, struct sgx_epc rbx, struct sgx_epc rcx)
{
	struct sgx_keyrequest request;
	uint8_t key[16];
	int result;

	result = data_check(sgx, secs, rbx, 512, SGX_SECINFO_R, SGX_OPERAND_RBX);
	if (result)
		return result;
	result = data_check(sgx, secs, rcx, 16, SGX_SECINFO_W, SGX_OPERAND_RCX);
	if (result)
		return result;
	if (!has_contents(sgx, SGX_PT_REG))
		return SGX_SUCCESS;
	memcpy(&request, data_of(sgx, rbx), sizeof(request));
	result = key_get(sgx, secs_of(sgx, secs), &request, key);
	if (result == SGX_SUCCESS)
		memcpy(data_of(sgx, rcx), key, sizeof(key));
	return result;
}
