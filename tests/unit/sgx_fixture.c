/* SPDX-License-Identifier: MIT */
/* See sgx_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sgx_fixture.h"

#define SECTION_PAGES 16u /* of the first; the second has the rest */

static void *fix_alloc(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

static void fix_free(void *context, void *memory, size_t size)
{
	(void)context;
	(void)size;
	free(memory);
}

void fix_config(struct sgx_config *config, bool is_metadata_only)
{
	*config = (struct sgx_config){
		.is_metadata_only = is_metadata_only,
		.seed = { 1, 2, 3 },
		.alloc_fn = fix_alloc,
		.free_fn = fix_free,
	};
	sgx_cpu_default(&config->cpu);
}

static void new_processor(struct fix *f)
{
	const struct sgx_section sections[] = {
		{ SECTION_PAGES, f->bytes[0] },
		{ FIX_NR_PAGES - SECTION_PAGES, f->bytes[SECTION_PAGES] },
	};

	f->config.sections = sections;
	f->config.nr_sections = 2;
	assert_int_equal(sgx_new(&f->config, &f->sgx), 0);
	f->config.sections = NULL;
}

/* The enclaves of the head of sgx_fixture.h. */
static void build(struct fix *f)
{
	fix_ecreate(f, SECS, BASE, ATTRIBUTES_DEBUG | SGX_ATTR_KSS);
	fix_eadd(f, SECS, REG, LIN(1), FLAGS_REG_RW);
	fix_eadd_tcs(f, SECS, TCS, LIN(2));
	fix_eadd(f, SECS, INFO, LIN(3), FLAGS_REG_RW);
	fix_eadd(f, SECS, SPARE, LIN(5), TYPE(SGX_PT_REG) | SGX_SECINFO_RWX);
	fix_eadd(f, SECS, BUFFER, LIN(6), FLAGS_REG_RW);
	fix_einit(f, SECS);
	fix_eaug(f, SECS, PENDING, LIN(4));
	assert_int_equal(sgx_epa(f->sgx, SGX_PT_VA, EPC(VA)), 0);
	assert_int_equal(sgx_epa(f->sgx, SGX_PT_VA, EPC(VA2)), 0);
	fix_ecreate(f, OTHER, OTHER_BASE, SGX_ATTR_MODE64BIT);
	fix_eadd(f, OTHER, OTHER_REG, OTHER_BASE + SGX_PAGE_SIZE, FLAGS_REG_RW);
	fix_ecreate(f, ALONE, ALONE_BASE, ATTRIBUTES_DEBUG);
	fix_einit(f, ALONE);
}

struct fix *fix_open_with(const struct sgx_config *config)
{
	struct fix *f = aligned_alloc(SGX_PAGE_SIZE,
				      (sizeof(*f) + SGX_PAGE_SIZE - 1) & ~(SGX_PAGE_SIZE - 1ul));

	assert_non_null(f);
	memset(f, 0, sizeof(*f));
	f->config = *config;
	f->bytes = aligned_alloc(SGX_PAGE_SIZE, FIX_NR_PAGES * SGX_PAGE_SIZE);
	assert_non_null(f->bytes);
	memset(f->bytes, 0xa5, FIX_NR_PAGES * SGX_PAGE_SIZE);
	new_processor(f);
	build(f);
	return f;
}

struct fix *fix_open(bool is_metadata_only)
{
	struct sgx_config config;

	fix_config(&config, is_metadata_only);
	return fix_open_with(&config);
}

void fix_reopen(struct fix *f)
{
	sgx_free(f->sgx);
	new_processor(f);
	build(f);
}

void fix_close(struct fix *f)
{
	const char *why = "";

	if (!sgx_is_valid(f->sgx, &why))
		fail_msg("not valid: %s", why);
	sgx_free(f->sgx);
	for (uint32_t page = 0; page < FIX_NR_PAGES; page++)
		measurement_fini(&f->measurements[page]);
	free(f->bytes);
	free(f);
}

struct sgx_epcm fix_epcm(const struct fix *f, uint32_t page)
{
	struct sgx_epcm epcm = { 0 };

	sgx_epcm(f->sgx, page, &epcm);
	return epcm;
}

static bool is_same_entry(const struct sgx_epcm *a, const struct sgx_epcm *b)
{
	if (!a->is_valid || !b->is_valid)
		return a->is_valid == b->is_valid;
	return a->type == b->type && a->is_readable == b->is_readable &&
	       a->is_writable == b->is_writable && a->is_executable == b->is_executable &&
	       a->is_blocked == b->is_blocked && a->is_pending == b->is_pending &&
	       a->is_modified == b->is_modified && a->is_restricted == b->is_restricted &&
	       a->secs == b->secs && a->linaddr == b->linaddr;
}

void fix_before(struct fix *f, const char *leaf)
{
	if (f->leaf)
		fail_msg("TRY() twice in one test");
	f->leaf = leaf;
	for (uint32_t page = 0; page < FIX_NR_PAGES; page++)
		f->before.epcm[page] = fix_epcm(f, page);
	memcpy(f->before.bytes, f->bytes, sizeof(f->before.bytes));
}

/* Counts, identity and epochs of an enclave are in its SECS, its threads are in TCS pages. */
int fix_after(struct fix *f, int result)
{
	if (result == SGX_SUCCESS || result == SGX_VA_SLOT_OCCUPIED)
		return result;
	for (uint32_t page = 0; page < FIX_NR_PAGES; page++) {
		struct sgx_epcm now = fix_epcm(f, page);

		if (!is_same_entry(&f->before.epcm[page], &now))
			fail_msg("result %#x, yet the EPCM of page %u has changed",
				 (unsigned int)result, page);
		if (now.is_valid &&
		    memcmp(f->before.bytes[page], f->bytes[page], SGX_PAGE_SIZE) != 0)
			fail_msg("result %#x, yet the bytes of page %u have changed",
				 (unsigned int)result, page);
	}
	return result;
}

struct sgx_pageinfo *fix_info(struct fix *f, uint32_t secs, uint64_t linaddr, uint64_t flags)
{
	f->secinfo = (struct sgx_secinfo){ .flags = flags };
	f->info = (struct sgx_pageinfo){
		.address = 0x1000,
		.linaddr = linaddr,
		.srcpge = { 0x2000, f->source },
		.secinfo = { 0x3000, &f->secinfo },
		.secs = EPC(secs),
	};
	for (uint32_t i = 0; i < SGX_PAGE_SIZE; i++)
		f->source[i] = (uint8_t)(i * 7 + linaddr / SGX_PAGE_SIZE);
	return &f->info;
}

struct sgx_secs *fix_source_secs(struct fix *f)
{
	return (struct sgx_secs *)(void *)f->source;
}

struct sgx_tcs *fix_source_tcs(struct fix *f)
{
	return (struct sgx_tcs *)(void *)f->source;
}

struct sgx_pageinfo *fix_info_secs(struct fix *f, uint64_t base, uint64_t attributes)
{
	fix_info(f, 0, 0, TYPE(SGX_PT_SECS));
	f->info.secs = NONE;
	memset(f->source, 0, SGX_PAGE_SIZE);
	*fix_source_secs(f) = (struct sgx_secs){
		.size = FIX_ELRANGE,
		.base = base,
		.ssa_frame_pages = 1,
		.attributes = { attributes, SGX_XFRM_LEGACY },
	};
	return &f->info;
}

struct sgx_pageinfo *fix_info_tcs(struct fix *f, uint32_t secs, uint64_t linaddr)
{
	fix_info(f, secs, linaddr, FLAGS_TCS);
	memset(f->source, 0, SGX_PAGE_SIZE);
	*fix_source_tcs(f) = (struct sgx_tcs){
		.ossa = SGX_PAGE_SIZE,
		.nssa = 2,
		.oentry = 0x40,
		.fslimit = 0xffffffff,
		.gslimit = 0xffffffff,
	};
	return &f->info;
}

struct sgx_pageinfo *fix_info_eaug(struct fix *f, uint32_t secs, uint64_t linaddr)
{
	fix_info(f, secs, linaddr, 0);
	f->info.srcpge = NO_MEMORY;
	f->info.secinfo = NO_MEMORY;
	return &f->info;
}

struct sgx_pageinfo *fix_info_out(struct fix *f, struct fix_blob *blob)
{
	fix_info(f, 0, 0, 0);
	f->info.secs = NONE;
	f->info.srcpge.bytes = blob->bytes;
	f->info.secinfo.bytes = &blob->pcmd;
	return &f->info;
}

struct sgx_pageinfo *fix_info_in(struct fix *f, struct fix_blob *blob, struct sgx_epc secs)
{
	fix_info_out(f, blob);
	f->info.linaddr = blob->linaddr;
	f->info.secs = secs;
	return &f->info;
}

struct sgx_memory fix_secinfo(struct fix *f, uint64_t flags)
{
	f->secinfo = (struct sgx_secinfo){ .flags = flags };
	return (struct sgx_memory){ 0x3000, &f->secinfo };
}

struct sgx_memory fix_token(struct fix *f)
{
	return (struct sgx_memory){ 0x5000, &f->token };
}

struct sgx_memory fix_sign(struct fix *f)
{
	signer_sign(&f->sigstruct);
	return (struct sgx_memory){ 0x4000, &f->sigstruct };
}

struct sgx_memory fix_sigstruct(struct fix *f, uint32_t secs)
{
	signer_defaults(&f->sigstruct);
	if (f->config.is_metadata_only)
		return (struct sgx_memory){ 0x4000, &f->sigstruct };
	measurement_hash(&f->measurements[secs], f->sigstruct.enclave_hash);
	return fix_sign(f);
}

struct sgx_epc fix_at(struct fix *f, uint32_t page, uint64_t offset)
{
	return (struct sgx_epc){ fix_epcm(f, page).linaddr + offset, page };
}

struct sgx_epc fix_in(struct fix *f, uint32_t page)
{
	return fix_at(f, page, 0);
}

struct sgx_epc fix_in_secinfo(struct fix *f, uint64_t flags)
{
	const struct sgx_secinfo secinfo = { .flags = flags };

	memcpy(f->bytes[INFO], &secinfo, sizeof(secinfo));
	return fix_in(f, INFO);
}

struct sgx_epc fix_slot(uint32_t page, uint32_t slot)
{
	struct sgx_epc epc = EPC(page);

	epc.address += slot * 8u;
	return epc;
}

void fix_ecreate(struct fix *f, uint32_t page, uint64_t base, uint64_t attributes)
{
	assert_int_equal(sgx_ecreate(f->sgx, fix_info_secs(f, base, attributes), EPC(page)), 0);
	measurement_ecreate(&f->measurements[page], 1, FIX_ELRANGE);
}

static uint64_t offset_in(const struct fix *f, uint32_t secs, uint64_t linaddr)
{
	struct sgx_secs visible;

	sgx_secs_identity(f->sgx, secs, &visible);
	return linaddr - visible.base;
}

void fix_eadd(struct fix *f, uint32_t secs, uint32_t page, uint64_t linaddr, uint64_t flags)
{
	assert_int_equal(sgx_eadd(f->sgx, fix_info(f, secs, linaddr, flags), EPC(page)), 0);
	measurement_eadd(&f->measurements[secs], offset_in(f, secs, linaddr), flags);
}

void fix_eadd_tcs(struct fix *f, uint32_t secs, uint32_t page, uint64_t linaddr)
{
	assert_int_equal(sgx_eadd(f->sgx, fix_info_tcs(f, secs, linaddr), EPC(page)), 0);
	measurement_eadd(&f->measurements[secs], offset_in(f, secs, linaddr), FLAGS_TCS);
}

void fix_einit(struct fix *f, uint32_t secs)
{
	struct sgx_memory sigstruct = fix_sigstruct(f, secs);

	memset(&f->token, 0, sizeof(f->token));
	assert_int_equal(sgx_einit(f->sgx, sigstruct, EPC(secs), fix_token(f)), 0);
}

void fix_eaug(struct fix *f, uint32_t secs, uint32_t page, uint64_t linaddr)
{
	assert_int_equal(sgx_eaug(f->sgx, fix_info_eaug(f, secs, linaddr), EPC(page)), 0);
}

void fix_emodt(struct fix *f, uint32_t page, enum sgx_page_type type)
{
	assert_int_equal(sgx_emodt(f->sgx, fix_secinfo(f, TYPE(type)), EPC(page)), 0);
}

void fix_emodpr(struct fix *f, uint32_t page, uint64_t permissions)
{
	struct sgx_memory secinfo = fix_secinfo(f, TYPE(SGX_PT_REG) | permissions);

	assert_int_equal(sgx_emodpr(f->sgx, secinfo, EPC(page)), 0);
}

void fix_etrack(struct fix *f, uint32_t secs)
{
	assert_int_equal(sgx_etrack(f->sgx, EPC(secs)), 0);
}

void fix_eblock(struct fix *f, uint32_t page)
{
	assert_int_equal(sgx_eblock(f->sgx, EPC(page)), 0);
}

void fix_eaccept(struct fix *f, uint32_t page, uint64_t flags)
{
	struct sgx_epc secinfo = fix_in_secinfo(f, flags);

	assert_int_equal(sgx_eaccept(f->sgx, SECS, secinfo, fix_in(f, page)), 0);
}

/* Slot: of the page VA. */
void fix_evict(struct fix *f, uint32_t page, uint32_t slot, struct fix_blob *blob)
{
	struct sgx_epcm epcm = fix_epcm(f, page);

	if (epcm.type != SGX_PT_SECS && epcm.type != SGX_PT_VA) {
		fix_eblock(f, page);
		fix_etrack(f, epcm.secs);
	}
	assert_int_equal(sgx_ewb(f->sgx, fix_info_out(f, blob), EPC(page), fix_slot(VA, slot)), 0);
	blob->linaddr = f->info.linaddr;
}

void fix_trim(struct fix *f, uint32_t page)
{
	fix_emodt(f, page, SGX_PT_TRIM);
	fix_etrack(f, SECS);
	fix_eaccept(f, page, FLAGS_TRIM | SGX_SECINFO_MODIFIED);
}

/* One run of a row: a test of cmocka. */
struct run {
	const struct fix_row *row;
	bool is_metadata_only;
};

static void run_row(void **state)
{
	const struct run *run = *state;
	const struct fix_row *row = run->row;
	struct fix *f = fix_open(run->is_metadata_only);
	int result = row->test_fn(f);

	if (!f->leaf || strcmp(f->leaf, row->leaf) != 0)
		fail_msg("%s tries %s", row->name, f->leaf ? f->leaf : "nothing");
	if (result != row->outcome)
		fail_msg("%s (%s)%s: %#x, not %#x", row->name, row->cause,
			 run->is_metadata_only ? ", metadata only" : "", (unsigned int)result,
			 (unsigned int)row->outcome);
	fix_close(f);
}

int fix_run_rows(const char *group, const struct fix_row *rows, size_t nr_rows, bool has_metadata)
{
	size_t nr_runs = has_metadata ? 2 * nr_rows : nr_rows;
	struct run *runs = calloc(nr_runs, sizeof(*runs));
	struct CMUnitTest *tests = calloc(nr_runs, sizeof(*tests));
	int nr_failed;

	assert_non_null(runs);
	assert_non_null(tests);
	for (size_t i = 0; i < nr_runs; i++) {
		runs[i] = (struct run){ &rows[i % nr_rows], i >= nr_rows };
		tests[i] = (struct CMUnitTest){ .name = runs[i].row->name,
						.test_func = run_row,
						.initial_state = &runs[i] };
	}
	nr_failed = _cmocka_run_group_tests(group, tests, nr_runs, NULL, NULL);
	free(tests);
	free(runs);
	return nr_failed;
}
