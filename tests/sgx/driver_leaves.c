/* SPDX-License-Identifier: MIT */
/*
 * See driver.h: how operands are drawn. They are good first, so that enclaves live; then one time
 * in a few something is spoilt, so that every check is met, also two at once.
 */
#include <string.h>

#include "driver.h"
#include "driver_operands.h"

static void draw_ecreate(struct driver *driver)
{
	struct sgx_epc rcx = operand_page(driver, pick_page(driver, page_is_free));
	struct sgx_secs *secs = (struct sgx_secs *)(void *)driver->source;
	int got;

	operand_info(driver, SGX_PAGE_OUTSIDE, 0, 0);
	memset(driver->source, 0, SGX_PAGE_SIZE);
	secs->size = UINT64_C(0x8000) << draw_below(&driver->draw, 2);
	secs->base = UINT64_C(0x10000000) + draw_below(&driver->draw, 4) * UINT64_C(0x100000);
	secs->ssa_frame_pages = 1;
	secs->isv_prod_id = (uint16_t)driver->nr_steps; /* which ECREATE does not take */
	secs->isv_svn = (uint16_t)driver->nr_steps;
	secs->attributes.flags = SGX_ATTR_MODE64BIT;
	if (!draw_chance(&driver->draw, 3))
		secs->attributes.flags |= SGX_ATTR_DEBUG;
	if (draw_chance(&driver->draw, 4))
		secs->attributes.flags |= SGX_ATTR_KSS;
	if (draw_chance(&driver->draw, 6))
		secs->attributes.flags &= ~SGX_ATTR_MODE64BIT;
	secs->attributes.xfrm = SGX_XFRM_LEGACY;
	if (draw_chance(&driver->draw, 4))
		secs->attributes.xfrm = driver->model.cpu.xfrm;
	if (is_spoilt(driver))
		spoil_secs(driver, secs);
	spoil_info_and_page(driver, &rcx);
	got = sgx_ecreate(driver->sgx, &driver->info, rcx);
	driver_result(driver, "ecreate", rcx.page, got,
		      model_ecreate(&driver->model, &driver->info, rcx));
}

static void fill_source(struct driver *driver)
{
	memset(driver->source, (int)draw_below(&driver->draw, 256), SGX_PAGE_SIZE);
	driver->source[draw_below(&driver->draw, SGX_PAGE_SIZE)] = 1;
}

static void tcs_source(struct driver *driver)
{
	struct sgx_tcs *tcs = (struct sgx_tcs *)(void *)driver->source;

	/* One by one: the order in an initialiser is the compiler's. */
	memset(driver->source, 0, SGX_PAGE_SIZE);
	tcs->state = draw_below(&driver->draw, 2);
	tcs->flags = draw_below(&driver->draw, 2);
	tcs->ossa = SGX_PAGE_SIZE;
	tcs->nssa = 1 + draw_below(&driver->draw, 3);
	tcs->fslimit = 0xffffffff;
	tcs->gslimit = 0xffffffff;
	if (is_spoilt(driver))
		driver->source[draw_below(&driver->draw, SGX_PAGE_SIZE)] ^= 8;
	if (is_spoilt(driver))
		driver->source[draw_below(&driver->draw, SGX_TCS_LIMIT)] ^= 8;
}

static void draw_eadd(struct driver *driver)
{
	struct sgx_epc rcx = operand_page(driver, pick_page(driver, page_is_free));
	uint32_t secs = pick_page(driver, page_is_building);
	bool is_tcs = draw_chance(&driver->draw, 3);
	uint64_t flags = SGX_SECINFO_R | draw_below(&driver->draw, 8);
	int got;

	operand_info(driver, secs, operand_linaddr(driver, secs),
		     flags | (uint64_t)(is_tcs ? SGX_PT_TCS : SGX_PT_REG) << 8);
	if (is_tcs)
		tcs_source(driver);
	else if (!driver->model.is_metadata_only)
		fill_source(driver);
	spoil_info_and_page(driver, &rcx);
	got = sgx_eadd(driver->sgx, &driver->info, rcx);
	driver_result(driver, "eadd", rcx.page, got,
		      model_eadd(&driver->model, &driver->info, rcx));
}

static void draw_eextend(struct driver *driver)
{
	uint32_t page = pick_page(driver, page_is_added);
	struct sgx_epc rcx = operand_page(driver, page);
	struct sgx_epc rbx = operand_page(driver, owner_of(driver, page));
	int got;

	rcx.address += 256 * draw_below(&driver->draw, 16);
	if (is_spoilt(driver))
		spoil_page(driver, &rcx);
	if (is_spoilt(driver))
		spoil_page(driver, &rbx);
	got = sgx_eextend(driver->sgx, rbx, rcx);
	driver_result(driver, "eextend", rcx.page, got, model_eextend(&driver->model, rbx, rcx));
}

static void draw_einit(struct driver *driver)
{
	struct sgx_epc rcx = operand_page(driver, pick_page(driver, page_is_building));
	struct sgx_memory rbx = { 0x4000, &driver->sigstruct }, rdx = { 0x5000, &driver->token };
	struct model_signed is = operand_sigstruct(driver, rcx.page);
	int got;

	if (is_spoilt(driver))
		spoil_page(driver, &rcx);
	if (is_spoilt(driver))
		spoil_memory(driver, &rbx);
	if (is_spoilt(driver))
		spoil_memory(driver, &rdx);
	got = sgx_einit(driver->sgx, rbx, rcx, rdx);
	driver_result(driver, "einit", rcx.page, got,
		      model_einit(&driver->model, rbx, rcx, rdx, is));
}

static struct sgx_epc draw_page(struct driver *driver, page_is_fn *is_fitting)
{
	struct sgx_epc rcx = operand_page(driver, pick_page(driver, is_fitting));

	if (is_spoilt(driver))
		spoil_page(driver, &rcx);
	return rcx;
}

static void draw_eremove(struct driver *driver)
{
	struct sgx_epc rcx = draw_page(driver, page_is_valid);
	int got = sgx_eremove(driver->sgx, rcx);

	driver_result(driver, "eremove", rcx.page, got, model_eremove(&driver->model, rcx));
}

static struct sgx_epc draw_debug(struct driver *driver)
{
	struct sgx_epc rcx = draw_page(driver, page_is_valid);

	rcx.address += 8 * (draw_chance(&driver->draw, 2) ? draw_below(&driver->draw, 512) :
							    draw_below(&driver->draw, 12));
	return rcx;
}

static void draw_edbgrd(struct driver *driver)
{
	struct sgx_epc rcx = draw_debug(driver);
	uint64_t rbx = 0;
	int got = sgx_edbgrd(driver->sgx, &rbx, rcx);

	driver_result(driver, "edbgrd", rcx.page, got, model_edbgrd(&driver->model, rbx, rcx));
}

static void draw_edbgwr(struct driver *driver)
{
	uint64_t rbx = draw_below(&driver->draw, 4);
	struct sgx_epc rcx = draw_debug(driver);
	int got = sgx_edbgwr(driver->sgx, rbx, rcx);

	driver_result(driver, "edbgwr", rcx.page, got, model_edbgwr(&driver->model, rbx, rcx));
}

static void draw_epa(struct driver *driver)
{
	uint64_t rbx = is_spoilt(driver) ? draw_below(&driver->draw, 5) : SGX_PT_VA;
	struct sgx_epc rcx = draw_page(driver, page_is_free);
	int got = sgx_epa(driver->sgx, rbx, rcx);

	driver_result(driver, "epa", rcx.page, got, model_epa(&driver->model, rbx, rcx));
}

static void draw_eblock(struct driver *driver)
{
	struct sgx_epc rcx = draw_page(driver, page_is_child);
	int got = sgx_eblock(driver->sgx, rcx);

	driver_result(driver, "eblock", rcx.page, got, model_eblock(&driver->model, rcx));
}

static void draw_etrack(struct driver *driver)
{
	struct sgx_epc rcx = draw_page(driver, page_is_secs);
	int got = sgx_etrack(driver->sgx, rcx);

	driver_result(driver, "etrack", rcx.page, got, model_etrack(&driver->model, rcx));
}

static void draw_ewb(struct driver *driver)
{
	uint32_t page = pick_page(driver, draw_chance(&driver->draw, 6) ? page_is_parentless :
									  page_is_blocked);
	struct driver_saved *saved = &driver->saved[driver->nr_saved % DRIVER_NR_SAVED];
	struct sgx_epc rcx = operand_page(driver, page), rdx = operand_slot(driver);
	struct sgx_pageinfo asked;
	int got, expected;

	operand_info(driver, SGX_PAGE_OUTSIDE, 0, 0);
	driver->info.srcpge.bytes = saved->bytes;
	driver->info.secinfo.bytes = &saved->pcmd;
	spoil_info_and_page(driver, &rcx);
	if (is_spoilt(driver))
		spoil_page(driver, &rdx);
	asked = driver->info;
	saved->owner = driver->model.pages[page].is_valid && page_is_child(driver, page) ?
			       driver->model.pages[driver->model.pages[page].secs].enclave.id :
			       0;
	got = sgx_ewb(driver->sgx, &driver->info, rcx, rdx);
	expected = model_ewb(&driver->model, &asked, &driver->info, rcx, rdx);
	driver_result(driver, "ewb", rcx.page, got, expected);
	if (got != SGX_SUCCESS && got != SGX_VA_SLOT_OCCUPIED)
		return;
	saved->linaddr = driver->info.linaddr;
	saved->slot = rdx;
	driver->nr_saved++;
}

static void eld_both(struct driver *driver, struct sgx_epc rcx, struct sgx_epc rdx, bool is_eldb)
{
	int got = is_eldb ? sgx_eldb(driver->sgx, &driver->info, rcx, rdx) :
			    sgx_eldu(driver->sgx, &driver->info, rcx, rdx);

	driver_result(driver, is_eldb ? "eldb" : "eldu", rcx.page, got,
		      model_eld(&driver->model, &driver->info, rcx, rdx, is_eldb));
}

/* A bit of the blob is another one for this leaf. */
static void draw_eld_flipped(struct driver *driver, struct driver_saved *saved, struct sgx_epc rcx,
			     struct sgx_epc rdx, bool is_eldb)
{
	uint8_t bit = (uint8_t)(1u << draw_below(&driver->draw, 8));
	uint8_t *byte = (uint8_t *)&saved->pcmd + draw_below(&driver->draw, sizeof(saved->pcmd));

	/* Without contents, ciphertext is nothing that a MAC covers. */
	if (!driver->model.is_metadata_only && draw_chance(&driver->draw, 2))
		byte = saved->bytes + draw_below(&driver->draw, SGX_PAGE_SIZE);
	*byte ^= bit;
	eld_both(driver, rcx, rdx, is_eldb);
	*byte ^= bit;
}

static void draw_eld(struct driver *driver)
{
	struct driver_saved *saved = &driver->saved[draw_below(&driver->draw, DRIVER_NR_SAVED)];
	struct sgx_epc rcx = operand_page(driver, pick_page(driver, page_is_free));
	struct sgx_epc rdx = saved->slot;
	bool is_eldb = draw_chance(&driver->draw, 4);

	operand_info(driver, secs_with_id(driver, saved->owner), saved->linaddr, 0);
	if (!saved->owner)
		driver->info.secs = (struct sgx_epc){ 0, SGX_PAGE_OUTSIDE };
	driver->info.srcpge.bytes = saved->bytes;
	driver->info.secinfo.bytes = &saved->pcmd;
	spoil_info_and_page(driver, &rcx);
	if (is_spoilt(driver))
		spoil_page(driver, &rdx);
	if (is_spoilt(driver))
		rdx = operand_slot(driver);
	if (is_spoilt(driver))
		draw_eld_flipped(driver, saved, rcx, rdx, is_eldb);
	else
		eld_both(driver, rcx, rdx, is_eldb);
}

static void draw_eaug(struct driver *driver)
{
	struct sgx_epc rcx = operand_page(driver, pick_page(driver, page_is_free));
	uint32_t secs = pick_page(driver, page_is_initialised);
	int got;

	operand_info(driver, secs, operand_linaddr(driver, secs), 0);
	driver->info.srcpge = (struct sgx_memory){ 0, NULL };
	driver->info.secinfo = (struct sgx_memory){ 0, NULL };
	spoil_info_and_page(driver, &rcx);
	got = sgx_eaug(driver->sgx, &driver->info, rcx);
	driver_result(driver, "eaug", rcx.page, got,
		      model_eaug(&driver->model, &driver->info, rcx));
}

static struct sgx_memory draw_secinfo(struct driver *driver, uint64_t flags)
{
	struct sgx_memory rbx = { 0x3000, &driver->secinfo };

	driver->secinfo = (struct sgx_secinfo){ .flags = flags };
	if (is_spoilt(driver))
		spoil_secinfo(driver, &driver->secinfo);
	if (is_spoilt(driver))
		spoil_memory(driver, &rbx);
	return rbx;
}

static void draw_emodpr(struct driver *driver)
{
	uint64_t flags = (uint64_t)SGX_PT_REG << 8 | draw_below(&driver->draw, 8);
	struct sgx_memory rbx = draw_secinfo(driver, flags);
	struct sgx_epc rcx = draw_page(driver, page_is_child);
	int got = sgx_emodpr(driver->sgx, rbx, rcx);

	driver_result(driver, "emodpr", rcx.page, got, model_emodpr(&driver->model, rbx, rcx));
}

static void draw_emodt(struct driver *driver)
{
	uint64_t type = draw_chance(&driver->draw, 3) ? SGX_PT_TCS : SGX_PT_TRIM;
	struct sgx_memory rbx = draw_secinfo(driver, type << 8);
	struct sgx_epc rcx = draw_page(driver, page_is_child);
	int got = sgx_emodt(driver->sgx, rbx, rcx);

	driver_result(driver, "emodt", rcx.page, got, model_emodt(&driver->model, rbx, rcx));
}

static void draw_eaccept(struct driver *driver)
{
	uint32_t page = pick_page(driver, draw_chance(&driver->draw, 5) ? page_is_child :
									  page_is_acceptable);
	uint32_t secs = owner_of(driver, page);
	struct sgx_epc rcx = operand_inside(driver, page);
	struct sgx_epc rbx = operand_secinfo(driver, secs, request_for(driver, page));
	int got;

	spoil_inside(driver, &secs, &rbx);
	spoil_inside(driver, &secs, &rcx);
	got = sgx_eaccept(driver->sgx, secs, rbx, rcx);
	driver_result(driver, "eaccept", rcx.page, got,
		      model_eaccept(&driver->model, secs, rbx, rcx));
}

static void draw_eacceptcopy(struct driver *driver)
{
	uint64_t flags = (uint64_t)SGX_PT_REG << 8 | SGX_SECINFO_R | draw_below(&driver->draw, 8);
	uint32_t page = pick_page(driver, page_is_acceptable);
	uint32_t secs = owner_of(driver, page);
	struct sgx_epc rcx = operand_inside(driver, page);
	struct sgx_epc rdx = operand_inside(driver, data_page_of(driver, secs));
	struct sgx_epc rbx = operand_secinfo(driver, secs, flags);
	int got;

	spoil_inside(driver, &secs, &rbx);
	spoil_inside(driver, &secs, &rcx);
	spoil_inside(driver, &secs, &rdx);
	got = sgx_eacceptcopy(driver->sgx, secs, rbx, rcx, rdx);
	driver_result(driver, "eacceptcopy", rcx.page, got,
		      model_eacceptcopy(&driver->model, secs, rbx, rcx, rdx));
}

static void draw_emodpe(struct driver *driver)
{
	uint64_t flags = (uint64_t)SGX_PT_REG << 8 | draw_below(&driver->draw, 8);
	uint32_t page = pick_page(driver, page_is_child);
	uint32_t secs = owner_of(driver, page);
	struct sgx_epc rcx = operand_inside(driver, page);
	struct sgx_epc rbx = operand_secinfo(driver, secs, flags);
	int got;

	spoil_inside(driver, &secs, &rbx);
	spoil_inside(driver, &secs, &rcx);
	got = sgx_emodpe(driver->sgx, secs, rbx, rcx);
	driver_result(driver, "emodpe", rcx.page, got,
		      model_emodpe(&driver->model, secs, rbx, rcx));
}

static void draw_eenter(struct driver *driver)
{
	struct sgx_epc rbx = draw_page(driver, page_is_tcs);
	int got = sgx_eenter(driver->sgx, rbx);

	driver_result(driver, "eenter", rbx.page, got, model_eenter(&driver->model, rbx));
}

static void draw_eresume(struct driver *driver)
{
	struct sgx_epc rbx = draw_page(driver, page_is_interrupted);
	int got = sgx_eresume(driver->sgx, rbx);

	driver_result(driver, "eresume", rbx.page, got, model_eresume(&driver->model, rbx));
}

static void draw_eexit(struct driver *driver)
{
	struct sgx_epc tcs = draw_page(driver, page_is_busy);
	int got = sgx_eexit(driver->sgx, tcs);

	driver_result(driver, "eexit", tcs.page, got, model_leave(&driver->model, tcs, false));
}

static void draw_aex(struct driver *driver)
{
	struct sgx_epc tcs = draw_page(driver, page_is_busy);
	int got = sgx_aex(driver->sgx, tcs);

	driver_result(driver, "aex", tcs.page, got, model_leave(&driver->model, tcs, true));
}

static void draw_evict(struct driver *driver)
{
	uint32_t secs = pick_page(driver, page_is_secs);

	if (!page_is_secs(driver, secs))
		return;
	sgx_evict_threads(driver->sgx, secs);
	model_evict_threads(&driver->model, secs);
	driver_result(driver, "evict_threads", secs, 0, 0);
}

static void draw_hold(struct driver *driver)
{
	uint32_t page = draw_below(&driver->draw, MODEL_NR_PAGES);
	enum sgx_hold kind = (enum sgx_hold)draw_below(&driver->draw, SGX_HOLD_MODIFY + 1);

	if (draw_chance(&driver->draw, 2))
		page = pick_page(driver, page_is_secs);
	if (model_hold(&driver->model, page, kind))
		sgx_hold(driver->sgx, page, kind);
}

/* Other processors do not take long. */
static void release_holds(struct driver *driver)
{
	for (uint32_t i = 0; i < MODEL_NR_HOLDS; i++) {
		struct model_hold hold = driver->model.holds[i];

		if (!hold.is_there || !draw_chance(&driver->draw, 6))
			continue;
		sgx_unhold(driver->sgx, hold.page, hold.kind);
		model_unhold(&driver->model, hold.page, hold.kind);
	}
}

/* Enclave code writes to a page of its own. */
static void draw_store(struct driver *driver)
{
	uint32_t page = pick_page(driver, page_is_data);
	uint32_t offset = 8 * draw_below(&driver->draw, 512);
	uint64_t word = draw_below(&driver->draw, 3);

	if (driver->model.is_metadata_only || !page_is_data(driver, page))
		return;
	memcpy(driver->bytes[page] + offset, &word, sizeof(word));
	model_store(&driver->model, page, offset, &word, sizeof(word));
}

/* A page that EMODT can make a TCS of. */
static void draw_store_tcs(struct driver *driver)
{
	uint32_t page = pick_page(driver, page_is_data);

	if (driver->model.is_metadata_only || !page_is_data(driver, page))
		return;
	tcs_source(driver);
	memset(driver->source, 0, 16);
	memcpy(driver->bytes[page], driver->source, SGX_PAGE_SIZE);
	model_store(&driver->model, page, 0, driver->source, SGX_PAGE_SIZE);
}

/* A leaf, the page that it needs to make sense, and how often it is drawn. */
struct choice {
	void (*draw_fn)(struct driver *driver);
	page_is_fn *needs;
	uint32_t weight;
};

static const struct choice choices[] = {
	{ draw_ecreate, page_is_free, 3 },  { draw_eadd, page_is_free, 10 },
	{ draw_eextend, page_is_added, 3 }, { draw_einit, page_is_building, 3 },
	{ draw_eremove, page_is_valid, 7 }, { draw_edbgrd, page_is_valid, 3 },
	{ draw_edbgwr, page_is_valid, 3 },  { draw_eblock, page_is_child, 8 },
	{ draw_epa, page_is_free, 2 },	    { draw_ewb, page_is_va, 14 },
	{ draw_eld, page_is_free, 16 },	    { draw_etrack, page_is_secs, 10 },
	{ draw_eaug, page_is_free, 7 },	    { draw_emodpr, page_is_child, 6 },
	{ draw_emodt, page_is_child, 6 },   { draw_eaccept, page_is_acceptable, 12 },
	{ draw_emodpe, page_is_child, 4 },  { draw_eacceptcopy, page_is_acceptable, 5 },
	{ draw_eenter, page_is_tcs, 9 },    { draw_eresume, page_is_interrupted, 5 },
	{ draw_eexit, page_is_busy, 4 },    { draw_aex, page_is_busy, 5 },
	{ draw_evict, page_is_busy, 1 },    { draw_hold, page_is_valid, 3 },
	{ draw_store, page_is_data, 2 },    { draw_store_tcs, page_is_data, 2 },
};

static bool makes_sense(const struct driver *driver, const struct choice *choice)
{
	for (uint32_t page = 0; page < MODEL_NR_PAGES; page++)
		if (choice->needs(driver, page))
			return true;
	return false;
}

void driver_draw_leaf(struct driver *driver)
{
	const size_t nr_choices = sizeof(choices) / sizeof(choices[0]);
	uint32_t total = 0, number;
	size_t i = 0;

	for (size_t k = 0; k < nr_choices; k++)
		total += choices[k].weight;
	release_holds(driver);
	for (number = draw_below(&driver->draw, total); number >= choices[i].weight; i++)
		number -= choices[i].weight;
	if (makes_sense(driver, &choices[i]) || is_spoilt(driver))
		choices[i].draw_fn(driver);
}
