/* SPDX-License-Identifier: MIT */
/* See driver_operands.h. */
#include <string.h>

#include "driver_operands.h"
#include "signer.h"

#define EPC_BASE UINT64_C(0x7f0000000000)
#define NR_SLOTS_USED 4u /* of a VA page, so that they are occupied soon */
#define SPOILT_ONE_IN 24u

static const struct model_page *page_of(const struct driver *driver, uint32_t page)
{
	return &driver->model.pages[page];
}

bool page_is_valid(const struct driver *driver, uint32_t page)
{
	return page_of(driver, page)->is_valid;
}

bool page_is_free(const struct driver *driver, uint32_t page)
{
	return !page_is_valid(driver, page);
}

static bool has_type(const struct driver *driver, uint32_t page, enum sgx_page_type type)
{
	return page_is_valid(driver, page) && page_of(driver, page)->type == type;
}

bool page_is_secs(const struct driver *driver, uint32_t page)
{
	return has_type(driver, page, SGX_PT_SECS);
}

bool page_is_va(const struct driver *driver, uint32_t page)
{
	return has_type(driver, page, SGX_PT_VA);
}

bool page_is_tcs(const struct driver *driver, uint32_t page)
{
	return has_type(driver, page, SGX_PT_TCS);
}

bool page_is_building(const struct driver *driver, uint32_t page)
{
	return page_is_secs(driver, page) && !model_is_initialised(&driver->model, page);
}

bool page_is_initialised(const struct driver *driver, uint32_t page)
{
	return page_is_secs(driver, page) && model_is_initialised(&driver->model, page);
}

bool page_is_parentless(const struct driver *driver, uint32_t page)
{
	return page_is_secs(driver, page) || page_is_va(driver, page);
}

bool page_is_child(const struct driver *driver, uint32_t page)
{
	return page_is_valid(driver, page) && !page_is_parentless(driver, page);
}

bool page_is_added(const struct driver *driver, uint32_t page)
{
	return page_is_child(driver, page) && page_is_building(driver, page_of(driver, page)->secs);
}

bool page_is_blocked(const struct driver *driver, uint32_t page)
{
	return page_is_child(driver, page) && page_of(driver, page)->is_blocked;
}

bool page_is_changed(const struct driver *driver, uint32_t page)
{
	const struct model_page *child = page_of(driver, page);

	return page_is_child(driver, page) && !child->is_blocked &&
	       (child->is_pending || child->is_modified || child->is_restricted);
}

bool page_is_busy(const struct driver *driver, uint32_t page)
{
	return driver->model.threads[page].is_there;
}

/* ERESUME can go on with it. */
bool page_is_interrupted(const struct driver *driver, uint32_t page)
{
	struct sgx_tcs tcs;

	memcpy(&tcs, page_of(driver, page)->bytes, sizeof(tcs));
	return page_is_tcs(driver, page) && tcs.cssa > 0 && tcs.state == 0;
}

bool page_is_data(const struct driver *driver, uint32_t page)
{
	const struct model_page *child = page_of(driver, page);

	return has_type(driver, page, SGX_PT_REG) && !child->is_pending && !child->is_blocked;
}

/* And the enclave has a page for a SECINFO. */
bool page_is_acceptable(const struct driver *driver, uint32_t page)
{
	if (!page_is_changed(driver, page))
		return false;
	for (uint32_t data = 0; data < MODEL_NR_PAGES; data++)
		if (page_is_data(driver, data) && page_of(driver, data)->r &&
		    page_of(driver, data)->secs == page_of(driver, page)->secs)
			return true;
	return false;
}

uint32_t pick_page(struct driver *driver, page_is_fn *is_fitting)
{
	uint32_t pages[MODEL_NR_PAGES], nr = 0;

	for (uint32_t page = 0; page < MODEL_NR_PAGES; page++)
		if (is_fitting(driver, page))
			pages[nr++] = page;
	if (nr == 0)
		return draw_below(&driver->draw, MODEL_NR_PAGES);
	return pages[draw_below(&driver->draw, nr)];
}

uint32_t owner_of(struct driver *driver, uint32_t page)
{
	if (page_is_child(driver, page))
		return page_of(driver, page)->secs;
	return pick_page(driver, page_is_secs);
}

uint32_t secs_with_id(struct driver *driver, uint64_t id)
{
	for (uint32_t page = 0; page < MODEL_NR_PAGES; page++)
		if (page_is_secs(driver, page) && page_of(driver, page)->enclave.id == id)
			return page;
	return pick_page(driver, page_is_secs);
}

uint32_t data_page_of(struct driver *driver, uint32_t secs)
{
	uint32_t start = draw_below(&driver->draw, MODEL_NR_PAGES);

	for (uint32_t i = 0; i < MODEL_NR_PAGES; i++) {
		uint32_t page = (start + i) % MODEL_NR_PAGES;

		if (page_is_data(driver, page) && page_of(driver, page)->secs == secs &&
		    page_of(driver, page)->r)
			return page;
	}
	return start;
}

struct sgx_epc operand_page(struct driver *driver, uint32_t page)
{
	(void)driver;
	return (struct sgx_epc){ EPC_BASE + page * UINT64_C(4096), page };
}

struct sgx_epc operand_slot(struct driver *driver)
{
	struct sgx_epc slot = operand_page(driver, pick_page(driver, page_is_va));

	slot.address += 8 * draw_below(&driver->draw, NR_SLOTS_USED);
	return slot;
}

void operand_info(struct driver *driver, uint32_t secs, uint64_t linaddr, uint64_t flags)
{
	driver->secinfo = (struct sgx_secinfo){ .flags = flags };
	driver->info = (struct sgx_pageinfo){
		.address = 0x1000,
		.linaddr = linaddr,
		.srcpge = { 0x2000, driver->source },
		.secinfo = { 0x3000, &driver->secinfo },
		.secs = { 0, SGX_PAGE_OUTSIDE },
	};
	if (secs != SGX_PAGE_OUTSIDE)
		driver->info.secs = operand_page(driver, secs);
}

uint64_t operand_linaddr(struct driver *driver, uint32_t secs)
{
	const struct model_secs *enclave = &page_of(driver, secs)->enclave;
	uint64_t nr_pages = enclave->size / SGX_PAGE_SIZE;

	if (is_spoilt(driver))
		return enclave->base - SGX_PAGE_SIZE;
	if (is_spoilt(driver))
		return enclave->base + enclave->size;
	return enclave->base + draw_below(&driver->draw, 16) % (nr_pages ? nr_pages : 1) * 4096;
}

/* Without contents no signature is looked at. */
static void sign(struct driver *driver)
{
	if (!driver->model.is_metadata_only)
		signer_sign(&driver->sigstruct);
}

static void spoil_signed_fields(struct driver *driver)
{
	struct sgx_sigstruct *sigstruct = &driver->sigstruct;

	switch (draw_below(&driver->draw, 6)) {
	case 0:
		sigstruct->enclave_hash[draw_below(&driver->draw, 32)] ^= 1;
		break;
	case 1:
		sigstruct->isv_family_id[0] = 1;
		break;
	case 2:
		sigstruct->isv_ext_prod_id[15] = 1;
		break;
	case 3:
		sigstruct->attributes.flags = SGX_ATTR_DEBUG;
		sigstruct->attribute_mask.flags = SGX_ATTR_DEBUG;
		break;
	case 4:
		sigstruct->attributes.xfrm = 4;
		sigstruct->attribute_mask.xfrm = 4;
		break;
	default:
		sigstruct->miscselect = 1;
		sigstruct->miscmask = 1;
		break;
	}
}

static void spoil_token(struct driver *driver)
{
	struct sgx_einittoken *token = &driver->token;

	token->valid = 1;
	switch (draw_below(&driver->draw, 4)) {
	case 0:
		token->masked_attributes_le.flags = SGX_ATTR_DEBUG;
		break;
	case 1:
		token->reserved4[23] = 1;
		break;
	case 2:
		memset(token->cpu_svn_le, 0xff, sizeof(token->cpu_svn_le));
		break;
	default: /* the MAC is wrong anyway */
		break;
	}
}

static const struct measurement *measurement_of(const struct driver *driver, uint32_t secs)
{
	return &page_of(driver, secs)->enclave.measurement;
}

struct model_signed operand_sigstruct(struct driver *driver, uint32_t secs)
{
	struct model_signed is = { true, true };

	memset(&driver->token, 0, sizeof(driver->token));
	signer_defaults(&driver->sigstruct);
	if (!driver->model.is_metadata_only && page_is_building(driver, secs))
		measurement_hash(measurement_of(driver, secs), driver->sigstruct.enclave_hash);
	if (is_spoilt(driver) || is_spoilt(driver))
		spoil_signed_fields(driver);
	sign(driver);
	if (is_spoilt(driver)) {
		driver->sigstruct.signature[draw_below(&driver->draw, 384)] ^= 1;
		is.is_signed = false;
	}
	if (is_spoilt(driver)) {
		driver->sigstruct.header[draw_below(&driver->draw, 16)] ^= 1;
		is.is_well_formed = false;
		is.is_signed = false;
	}
	if (is_spoilt(driver) || is_spoilt(driver))
		spoil_token(driver);
	return is;
}

struct sgx_epc operand_inside(struct driver *driver, uint32_t page)
{
	return (struct sgx_epc){ page_of(driver, page)->linaddr, page };
}

struct sgx_epc operand_secinfo(struct driver *driver, uint32_t secs, uint64_t flags)
{
	uint32_t page = data_page_of(driver, secs);
	uint32_t offset = 64 * draw_below(&driver->draw, 64);
	struct sgx_epc rbx = operand_inside(driver, page);

	rbx.address += offset;
	driver->secinfo = (struct sgx_secinfo){ .flags = flags };
	if (is_spoilt(driver))
		spoil_secinfo(driver, &driver->secinfo);
	if (driver->model.is_metadata_only || !page_is_data(driver, page))
		return rbx;
	memcpy(driver->bytes[page] + offset, &driver->secinfo, sizeof(driver->secinfo));
	model_store(&driver->model, page, offset, &driver->secinfo, sizeof(driver->secinfo));
	return rbx;
}

uint64_t request_for(struct driver *driver, uint32_t number)
{
	const struct model_page *page = page_of(driver, number);
	uint64_t flags = (uint64_t)page->type << 8;

	flags |= page->r ? SGX_SECINFO_R : 0;
	flags |= page->w ? SGX_SECINFO_W : 0;
	flags |= page->x ? SGX_SECINFO_X : 0;
	flags |= page->is_pending ? SGX_SECINFO_PENDING : 0;
	flags |= page->is_modified ? SGX_SECINFO_MODIFIED : 0;
	flags |= page->is_restricted ? SGX_SECINFO_PR : 0;
	return flags;
}

bool is_spoilt(struct driver *driver)
{
	return draw_chance(&driver->draw, SPOILT_ONE_IN);
}

void spoil_page(struct driver *driver, struct sgx_epc *operand)
{
	switch (draw_below(&driver->draw, 6)) {
	case 0:
		operand->address += 8u << draw_below(&driver->draw, 9);
		break;
	case 1:
		operand->address += 4;
		break;
	case 2:
		operand->page = SGX_PAGE_OUTSIDE;
		break;
	case 3:
		operand->page = SGX_PAGE_UNBACKED;
		break;
	default:
		*operand = operand_page(driver, draw_below(&driver->draw, MODEL_NR_PAGES));
		break;
	}
}

void spoil_memory(struct driver *driver, struct sgx_memory *memory)
{
	if (draw_chance(&driver->draw, 2))
		memory->bytes = NULL;
	else
		memory->address += 16u << draw_below(&driver->draw, 8);
}

void spoil_secinfo(struct driver *driver, struct sgx_secinfo *secinfo)
{
	switch (draw_below(&driver->draw, 4)) {
	case 0:
		secinfo->flags ^= UINT64_C(1) << draw_below(&driver->draw, 64);
		break;
	case 1:
		secinfo->reserved[draw_below(&driver->draw, 56)] = 1;
		break;
	default:
		secinfo->flags ^= UINT64_C(1) << draw_below(&driver->draw, 11);
		break;
	}
}

void spoil_secs(struct driver *driver, struct sgx_secs *secs)
{
	uint8_t *page = driver->source;

	switch (draw_below(&driver->draw, 8)) {
	case 0:
		secs->attributes.flags ^= UINT64_C(1) << draw_below(&driver->draw, 64);
		break;
	case 1:
		secs->attributes.xfrm ^= UINT64_C(1) << draw_below(&driver->draw, 64);
		break;
	case 2:
		secs->size = UINT64_C(1) << draw_below(&driver->draw, 64);
		break;
	case 3:
		secs->base ^= UINT64_C(1) << draw_below(&driver->draw, 64);
		break;
	case 4:
		secs->miscselect = UINT32_C(1) << draw_below(&driver->draw, 32);
		break;
	case 5:
		secs->ssa_frame_pages = draw_below(&driver->draw, 3);
		break;
	case 6:
		secs->size += SGX_PAGE_SIZE;
		break;
	default:
		page[draw_below(&driver->draw, SGX_PAGE_SIZE)] ^= 1;
		break;
	}
}

static void spoil_info(struct driver *driver)
{
	struct sgx_pageinfo *info = &driver->info;

	switch (draw_below(&driver->draw, 8)) {
	case 0:
		info->address += 16;
		break;
	case 1:
		info->linaddr += 8u << draw_below(&driver->draw, 12);
		break;
	case 2:
		spoil_memory(driver, &info->srcpge);
		break;
	case 3:
		spoil_memory(driver, &info->secinfo);
		break;
	case 4:
		if (info->secinfo.bytes == &driver->secinfo)
			spoil_secinfo(driver, &driver->secinfo);
		break;
	case 5:
		info->secs = operand_page(driver, pick_page(driver, page_is_secs));
		break;
	default:
		spoil_page(driver, &info->secs);
		break;
	}
}

void spoil_info_and_page(struct driver *driver, struct sgx_epc *rcx)
{
	for (uint32_t i = 0; i < 3; i++)
		if (is_spoilt(driver))
			spoil_info(driver);
	if (is_spoilt(driver))
		spoil_page(driver, rcx);
}

void spoil_inside(struct driver *driver, uint32_t *secs, struct sgx_epc *operand)
{
	if (!is_spoilt(driver))
		return;
	switch (draw_below(&driver->draw, 6)) {
	case 0:
		operand->address += 4u << draw_below(&driver->draw, 14);
		break;
	case 1:
		operand->page = SGX_PAGE_OUTSIDE;
		break;
	case 2:
		operand->page = SGX_PAGE_UNBACKED;
		break;
	case 3:
		*secs = pick_page(driver, page_is_secs);
		break;
	case 4:
		operand->address ^= UINT64_C(1) << draw_below(&driver->draw, 64);
		break;
	default:
		*operand = operand_inside(driver, draw_below(&driver->draw, MODEL_NR_PAGES));
		break;
	}
}
