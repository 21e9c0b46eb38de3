/* SPDX-License-Identifier: MIT */
/* See driver.h: the two EPCs side by side. Which leaves are drawn is in driver_leaves.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define FIRST_SECTION 15u /* pages; the second section has the rest */
#define CLOSE_LOOK 64u	  /* steps between two of them */

static void *driver_alloc(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

static void driver_dealloc(void *context, void *memory, size_t size)
{
	(void)context;
	(void)size;
	free(memory);
}

static void *must_have(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void new_processor(struct driver *driver, bool is_metadata_only)
{
	const struct sgx_section sections[] = {
		{ FIRST_SECTION, driver->bytes[0] },
		{ MODEL_NR_PAGES - FIRST_SECTION, driver->bytes[FIRST_SECTION] },
	};
	struct sgx_config config = {
		.sections = sections,
		.nr_sections = 2,
		.is_metadata_only = is_metadata_only,
		.seed = { 7 },
		.alloc_fn = driver_alloc,
		.free_fn = driver_dealloc,
	};

	sgx_cpu_default(&config.cpu);
	if (sgx_new(&config, &driver->sgx) != 0)
		abort();
	model_init(&driver->model, &config.cpu, is_metadata_only);
}

struct driver *driver_new(struct draw draw, bool is_metadata_only, enum model_break broken,
			  struct driver_figures *figures)
{
	size_t size = (sizeof(struct driver) + SGX_PAGE_SIZE - 1) & ~(SGX_PAGE_SIZE - 1ul);
	struct driver *driver = must_have(aligned_alloc(SGX_PAGE_SIZE, size));

	memset(driver, 0, sizeof(*driver));
	driver->bytes = must_have(aligned_alloc(SGX_PAGE_SIZE, MODEL_NR_PAGES * SGX_PAGE_SIZE));
	memset(driver->bytes, 0x5a, MODEL_NR_PAGES * SGX_PAGE_SIZE);
	driver->draw = draw;
	driver->figures = figures;
	new_processor(driver, is_metadata_only);
	driver->model.broken = broken;
	return driver;
}

void driver_free(struct driver *driver)
{
	model_fini(&driver->model);
	sgx_free(driver->sgx);
	free(driver->bytes);
	free(driver);
}

/* The first complaint counts. */
__attribute__((format(printf, 2, 3))) static void complain(struct driver *driver,
							   const char *format, ...)
{
	va_list arguments;

	if (driver->complaint[0])
		return;
	va_start(arguments, format);
	vsnprintf(driver->complaint, sizeof(driver->complaint), format, arguments);
	va_end(arguments);
}

static void count(struct driver_figures *figures, const char *leaf, int outcome)
{
	figures->nr_leaves++;
	figures->hash = (figures->hash ^ (uint32_t)outcome) * UINT64_C(0x100000001b3);
	figures->nr_successes += outcome == 0;
	figures->nr_faults += sgx_is_fault(outcome);
	figures->nr_codes += outcome != 0 && !sgx_is_fault(outcome);
	for (size_t i = 0; i < sizeof(figures->outcomes) / sizeof(figures->outcomes[0]); i++) {
		if (!figures->outcomes[i].leaf) {
			figures->outcomes[i].leaf = leaf;
			figures->outcomes[i].outcome = outcome;
		}
		if (figures->outcomes[i].leaf != leaf || figures->outcomes[i].outcome != outcome)
			continue;
		figures->outcomes[i].nr++;
		return;
	}
}

static void compare_entry(struct driver *driver, uint32_t number)
{
	const struct model_page *page = &driver->model.pages[number];
	struct sgx_epcm epcm;
	bool is_same;

	sgx_epcm(driver->sgx, number, &epcm);
	if (!epcm.is_valid && !page->is_valid)
		return;
	is_same = epcm.is_valid == page->is_valid && epcm.type == page->type &&
		  epcm.is_readable == page->r && epcm.is_writable == page->w &&
		  epcm.is_executable == page->x && epcm.is_blocked == page->is_blocked &&
		  epcm.is_pending == page->is_pending && epcm.is_modified == page->is_modified &&
		  epcm.is_restricted == page->is_restricted && epcm.secs == page->secs &&
		  epcm.linaddr == page->linaddr;
	if (!is_same)
		complain(driver,
			 "page %u: valid %d/%d type %d/%d blocked %d/%d pending %d/%d modified "
			 "%d/%d restricted %d/%d rwx %d%d%d/%d%d%d secs %d/%d linaddr %llx/%llx",
			 number, epcm.is_valid, page->is_valid, (int)epcm.type, (int)page->type,
			 epcm.is_blocked, page->is_blocked, epcm.is_pending, page->is_pending,
			 epcm.is_modified, page->is_modified, epcm.is_restricted,
			 page->is_restricted, epcm.is_readable, epcm.is_writable,
			 epcm.is_executable, page->r, page->w, page->x, (int)epcm.secs,
			 (int)page->secs, (unsigned long long)epcm.linaddr,
			 (unsigned long long)page->linaddr);
}

static void compare_counts(struct driver *driver, uint32_t number)
{
	uint64_t children = sgx_secs_nr_children(driver->sgx, number);
	uint64_t inside = sgx_secs_nr_inside(driver->sgx, number);
	uint64_t id = sgx_secs_enclave_id(driver->sgx, number);

	if (children != model_nr_children(&driver->model, number))
		complain(driver, "SECS %u: %llu children, not %u", number,
			 (unsigned long long)children, model_nr_children(&driver->model, number));
	if (inside != model_nr_inside(&driver->model, number))
		complain(driver, "SECS %u: %llu threads inside, not %u", number,
			 (unsigned long long)inside, model_nr_inside(&driver->model, number));
	if (id != driver->model.pages[number].enclave.id)
		complain(driver, "SECS %u: another enclave's id", number);
}

static void compare_identity(struct driver *driver, uint32_t number)
{
	const struct model_secs *enclave = &driver->model.pages[number].enclave;
	struct sgx_secs visible;

	sgx_secs_identity(driver->sgx, number, &visible);
	if (visible.base != enclave->base || visible.size != enclave->size ||
	    visible.attributes.flags != enclave->attributes.flags ||
	    visible.attributes.xfrm != enclave->attributes.xfrm ||
	    visible.miscselect != enclave->miscselect ||
	    visible.isv_prod_id != enclave->isv_prod_id || visible.isv_svn != enclave->isv_svn)
		complain(driver, "SECS %u: another identity", number);
	if (model_is_initialised(&driver->model, number) &&
	    memcmp(visible.mrenclave, enclave->mrenclave, 32) != 0)
		complain(driver, "SECS %u: another MRENCLAVE", number);
}

/* Of a TCS what software can see; a TRIM page's contents are nobody's. */
static void compare_bytes(struct driver *driver, uint32_t number)
{
	const struct model_page *page = &driver->model.pages[number];
	size_t size = 0;

	if (page->is_valid && page->type == SGX_PT_TCS)
		size = SGX_TCS_LIMIT;
	if (page->is_valid && page->type == SGX_PT_REG &&
	    model_has_bytes(&driver->model, SGX_PT_REG))
		size = SGX_PAGE_SIZE;
	if (memcmp(page->bytes, driver->bytes[number], size) != 0)
		complain(driver, "page %u: other contents", number);
}

static void compare(struct driver *driver)
{
	bool is_close = driver->nr_steps % CLOSE_LOOK == 0;
	const char *why = "";

	for (uint32_t number = 0; number < MODEL_NR_PAGES; number++) {
		const struct model_page *page = &driver->model.pages[number];

		compare_entry(driver, number);
		if (driver->complaint[0])
			return;
		if (page->is_valid && page->type == SGX_PT_SECS) {
			compare_counts(driver, number);
			if (is_close || driver->page == number)
				compare_identity(driver, number);
		}
		if (is_close || driver->page == number || page->type == SGX_PT_TCS)
			compare_bytes(driver, number);
	}
	if (is_close && !sgx_is_valid(driver->sgx, &why))
		complain(driver, "not valid: %s", why);
}

void driver_result(struct driver *driver, const char *leaf, uint32_t page, int got, int expected)
{
	driver->leaf = leaf;
	driver->page = page;
	driver->got = got;
	driver->expected = expected;
	count(driver->figures, leaf, got);
	if (driver->is_verbose)
		printf("%llu: %s of page %d: %#x\n", (unsigned long long)driver->nr_steps, leaf,
		       (int)page, (unsigned int)got);
	if (got != expected)
		complain(driver, "%s of page %d: %#x, not %#x", leaf, (int)page, (unsigned int)got,
			 (unsigned int)expected);
	if (driver->model.complaint)
		complain(driver, "%s of page %d: %s", leaf, (int)page, driver->model.complaint);
}

bool driver_step(struct driver *driver)
{
	driver->nr_steps++;
	driver->leaf = "nothing";
	driver->page = SGX_PAGE_OUTSIDE;
	driver_draw_leaf(driver);
	if (!driver->complaint[0])
		compare(driver);
	return !driver->complaint[0];
}
