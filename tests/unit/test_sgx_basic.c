/* SPDX-License-Identifier: MIT */
/*
 * The life of an enclave in short, with no fixture: built, launched, paged out and in, removed.
 * Method: the smallest EPC that does it, with and without contents, and after each step
 * sgx_is_valid(). Every code and fault has its row in test_sgx_rows_*.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sgx/internal.h"

#define NR_PAGES 12u
#define BASE UINT64_C(0x10000)
#define SIZE UINT64_C(0x10000)

/* Which page is what; PAGE_SECOND is in the second section. */
enum {
	PAGE_VA,
	PAGE_SECS,
	PAGE_TCS,
	PAGE_REG,
	PAGE_SPARE,
	PAGE_SECOND = 8
};

struct world {
	uint8_t *bytes;
	uint8_t *page; /* a source, or what EWB wrote */
	struct sgx *sgx;
	struct sgx_secinfo secinfo;
	struct sgx_pcmd pcmd;
	size_t allocated, nr_allocations_left;
};

static void *world_alloc(void *context, size_t size)
{
	struct world *w = context;

	if (w->nr_allocations_left == 0)
		return NULL;
	w->nr_allocations_left--;
	w->allocated += size;
	return calloc(1, size);
}

static void world_free(void *context, void *memory, size_t size)
{
	struct world *w = context;

	w->allocated -= size;
	free(memory);
}

static int world_new(struct world *w, bool is_metadata_only)
{
	const struct sgx_section sections[] = {
		{ .nr_pages = PAGE_SECOND, .bytes = w->bytes },
		{ .nr_pages = NR_PAGES - PAGE_SECOND,
		  .bytes = w->bytes + (size_t)PAGE_SECOND * SGX_PAGE_SIZE },
	};
	struct sgx_config config = {
		.sections = sections,
		.nr_sections = 2,
		.is_metadata_only = is_metadata_only,
		.alloc_fn = world_alloc,
		.free_fn = world_free,
		.context = w,
	};

	sgx_cpu_default(&config.cpu);
	return sgx_new(&config, &w->sgx);
}

/* Whatever was there before must not matter, so everything is full of ones. */
static void world_begin(struct world *w, bool is_metadata_only)
{
	memset(w, 0, sizeof(*w));
	w->bytes = aligned_alloc(SGX_PAGE_SIZE, (size_t)NR_PAGES * SGX_PAGE_SIZE);
	w->page = aligned_alloc(SGX_PAGE_SIZE, SGX_PAGE_SIZE);
	assert_non_null(w->bytes);
	assert_non_null(w->page);
	memset(w->bytes, 0xff, (size_t)NR_PAGES * SGX_PAGE_SIZE);
	w->nr_allocations_left = 2;
	assert_int_equal(world_new(w, is_metadata_only), 0);
}

static void world_end(struct world *w)
{
	sgx_free(w->sgx);
	assert_int_equal(w->allocated, 0);
	free(w->bytes);
	free(w->page);
}

static void must_be_valid(const struct world *w)
{
	const char *why = NULL;

	if (!sgx_is_valid(w->sgx, &why))
		fail_msg("%s", why);
}

static struct sgx_epc at(uint32_t page)
{
	return (struct sgx_epc){ .address = (uint64_t)page * SGX_PAGE_SIZE, .page = page };
}

static struct sgx_epc va_slot(uint32_t slot)
{
	return (struct sgx_epc){ .address = (uint64_t)slot * 8, .page = PAGE_VA };
}

static struct sgx_pageinfo info(struct world *w, uint64_t linaddr, uint64_t flags)
{
	memset(&w->secinfo, 0, sizeof(w->secinfo));
	w->secinfo.flags = flags;
	return (struct sgx_pageinfo){
		.linaddr = linaddr,
		.srcpge.bytes = w->page,
		.secinfo.bytes = &w->secinfo,
		.secs = at(PAGE_SECS),
	};
}

static void create(struct world *w)
{
	struct sgx_pageinfo rbx = info(w, 0, 0);
	struct sgx_secs secs = {
		.size = SIZE,
		.base = BASE,
		.ssa_frame_pages = 1,
		.attributes = { SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG, SGX_XFRM_LEGACY },
	};

	rbx.secs = (struct sgx_epc){ .page = SGX_PAGE_OUTSIDE };
	memset(w->page, 0, SGX_PAGE_SIZE);
	memcpy(w->page, &secs, sizeof(secs));
	assert_int_equal(sgx_ecreate(w->sgx, &rbx, at(PAGE_SECS)), 0);
	must_be_valid(w);
}

static void add(struct world *w, uint32_t page, enum sgx_page_type type, uint64_t permissions)
{
	struct sgx_pageinfo rbx = info(w, BASE + (uint64_t)page * SGX_PAGE_SIZE,
				       (uint64_t)type << SGX_SECINFO_TYPE_SHIFT | permissions);
	struct sgx_tcs tcs = { .state = 1, .flags = SGX_TCS_DBGOPTIN, .nssa = 1 };

	if (type == SGX_PT_TCS) {
		memset(w->page, 0, SGX_PAGE_SIZE);
		memcpy(w->page, &tcs, sizeof(tcs));
	} else {
		memset(w->page, (int)page, SGX_PAGE_SIZE);
	}
	assert_int_equal(sgx_eadd(w->sgx, &rbx, at(page)), 0);
	for (uint32_t i = 0; i < SGX_PAGE_SIZE / SGX_CHUNK_SIZE; i++) {
		struct sgx_epc chunk = at(page);

		chunk.address += i * SGX_CHUNK_SIZE;
		assert_int_equal(sgx_eextend(w->sgx, at(PAGE_SECS), chunk), 0);
	}
	must_be_valid(w);
}

static int init(struct world *w)
{
	struct sgx_sigstruct sigstruct = { .isv_svn = 7 };
	struct sgx_einittoken token = { .valid = 0 };
	struct sgx_memory rbx = { .bytes = &sigstruct };
	struct sgx_memory rdx = { .bytes = &token };

	return sgx_einit(w->sgx, rbx, at(PAGE_SECS), rdx);
}

static void build(struct world *w)
{
	create(w);
	add(w, PAGE_TCS, SGX_PT_TCS, 0);
	add(w, PAGE_REG, SGX_PT_REG, SGX_SECINFO_R | SGX_SECINFO_W);
	add(w, PAGE_SECOND, SGX_PT_REG, SGX_SECINFO_R | SGX_SECINFO_X);
}

static void remove_all(struct world *w)
{
	assert_int_equal(sgx_eremove(w->sgx, at(PAGE_SECS)), SGX_CHILD_PRESENT);
	for (uint32_t page = NR_PAGES; page-- > 0;)
		if (page != PAGE_SECS)
			assert_int_equal(sgx_eremove(w->sgx, at(page)), SGX_SUCCESS);
	must_be_valid(w);
	assert_int_equal(sgx_eremove(w->sgx, at(PAGE_SECS)), SGX_SUCCESS);
	assert_int_equal(sgx_eremove(w->sgx, at(PAGE_SECS)), SGX_SUCCESS);
	must_be_valid(w);
	for (uint32_t page = 0; page < NR_PAGES; page++) {
		struct sgx_epcm epcm;

		sgx_epcm(w->sgx, page, &epcm);
		assert_false(epcm.is_valid);
	}
}

static void test_no_memory(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, false);
	for (size_t nr = 0; nr < 2; nr++) {
		struct sgx *sgx = w.sgx;
		size_t allocated = w.allocated;

		w.nr_allocations_left = nr;
		assert_int_equal(world_new(&w, false), -1);
		assert_int_equal(w.allocated, allocated);
		w.sgx = sgx;
	}
	world_end(&w);
}

static void test_launch(void **state)
{
	struct sgx_secs visible;
	struct world w;

	(void)state;
	world_begin(&w, true);
	build(&w);
	assert_int_equal(sgx_eenter(w.sgx, at(PAGE_TCS)), SGX_GP);
	assert_int_equal(init(&w), SGX_SUCCESS);
	assert_int_equal(init(&w), SGX_GP);
	must_be_valid(&w);
	sgx_secs_identity(w.sgx, PAGE_SECS, &visible);
	assert_int_equal(visible.isv_svn, 7);
	assert_int_equal(sgx_secs_nr_children(w.sgx, PAGE_SECS), 3);
	assert_int_equal(sgx_eenter(w.sgx, at(PAGE_TCS)), 0);
	must_be_valid(&w);
	assert_int_equal(sgx_secs_nr_inside(w.sgx, PAGE_SECS), 1);
	assert_int_equal(sgx_eremove(w.sgx, at(PAGE_REG)), SGX_ENCLAVE_ACT);
	assert_int_equal(sgx_eexit(w.sgx, at(PAGE_TCS)), 0);
	assert_int_equal(sgx_eexit(w.sgx, at(PAGE_TCS)), SGX_GP);
	remove_all(&w);
	world_end(&w);
}

static void test_build_with_contents(void **state)
{
	struct world w;
	uint64_t value;

	(void)state;
	world_begin(&w, false);
	build(&w);
	assert_int_equal(sgx_edbgrd(w.sgx, &value, at(PAGE_SECOND)), SGX_SUCCESS);
	assert_int_equal(value, UINT64_C(0x0101010101010101) * PAGE_SECOND);
	assert_int_equal(sgx_edbgrd(w.sgx, &value, at(PAGE_TCS)), SGX_SUCCESS);
	assert_int_equal(value, 0); /* EADD has made it idle */
	assert_int_equal(init(&w), SGX_INVALID_SIG_STRUCT);
	must_be_valid(&w);
	remove_all(&w);
	world_end(&w);
}

/* A thread inside when the page is blocked holds EWB up, whether it is told or driven out. */
static void test_tracking(void **state)
{
	struct sgx_pageinfo rbx;
	struct world w;

	(void)state;
	world_begin(&w, true);
	build(&w);
	assert_int_equal(init(&w), SGX_SUCCESS);
	assert_int_equal(sgx_epa(w.sgx, SGX_PT_VA, at(PAGE_VA)), 0);
	assert_int_equal(sgx_eenter(w.sgx, at(PAGE_TCS)), 0);
	for (uint32_t page = PAGE_REG; page <= PAGE_SECOND; page += PAGE_SECOND - PAGE_REG) {
		rbx = info(&w, 0, 0);
		rbx.secs.address = 0;
		rbx.secinfo.bytes = &w.pcmd;
		assert_int_equal(sgx_eblock(w.sgx, at(page)), SGX_SUCCESS);
		assert_int_equal(sgx_ewb(w.sgx, &rbx, at(page), va_slot(page)), SGX_NOT_TRACKED);
		assert_int_equal(sgx_etrack(w.sgx, at(PAGE_SECS)), SGX_SUCCESS);
		assert_int_equal(sgx_ewb(w.sgx, &rbx, at(page), va_slot(page)), SGX_NOT_TRACKED);
		assert_int_equal(sgx_etrack(w.sgx, at(PAGE_SECS)), SGX_PREV_TRK_INCMPL);
		if (page == PAGE_REG) {
			assert_int_equal(sgx_aex(w.sgx, at(PAGE_TCS)), 0);
			assert_int_equal(sgx_eenter(w.sgx, at(PAGE_TCS)), SGX_GP); /* no frame */
			assert_int_equal(sgx_eresume(w.sgx, at(PAGE_TCS)), 0);
		} else {
			sgx_evict_threads(w.sgx, PAGE_SECS);
		}
		must_be_valid(&w);
		assert_int_equal(sgx_ewb(w.sgx, &rbx, at(page), va_slot(page)), SGX_SUCCESS);
		must_be_valid(&w);
	}
	assert_int_equal(sgx_secs_nr_inside(w.sgx, PAGE_SECS), 0);
	assert_int_equal(sgx_aex(w.sgx, at(PAGE_TCS)), 0);
	must_be_valid(&w);
	remove_all(&w);
	world_end(&w);
}

/* A TCS that is trimmed under a thread: the thread leaves, and only then it can be accepted. */
static void test_trimmed_tcs(void **state)
{
	struct sgx_secinfo trim = { .flags = (uint64_t)SGX_PT_TRIM << SGX_SECINFO_TYPE_SHIFT };
	struct sgx_memory rbx = { .bytes = &trim };
	struct sgx_epc operand = { .address = BASE + PAGE_REG * SGX_PAGE_SIZE, .page = PAGE_REG };
	struct sgx_epc tcs = { .address = BASE + PAGE_TCS * SGX_PAGE_SIZE, .page = PAGE_TCS };
	struct world w;

	(void)state;
	world_begin(&w, true);
	build(&w);
	assert_int_equal(init(&w), SGX_SUCCESS);
	assert_int_equal(sgx_eenter(w.sgx, tcs), 0);
	assert_int_equal(sgx_emodt(w.sgx, rbx, tcs), SGX_SUCCESS);
	must_be_valid(&w);
	assert_int_equal(sgx_etrack(w.sgx, at(PAGE_SECS)), SGX_SUCCESS);
	assert_int_equal(sgx_eaccept(w.sgx, PAGE_SECS, operand, tcs), SGX_NOT_TRACKED);
	assert_int_equal(sgx_aex(w.sgx, tcs), 0);
	assert_int_equal(sgx_aex(w.sgx, tcs), SGX_GP);
	must_be_valid(&w);
	assert_int_equal(sgx_eaccept(w.sgx, PAGE_SECS, operand, tcs), SGX_SUCCESS);
	assert_int_equal(sgx_emodt(w.sgx, rbx, operand), SGX_SUCCESS);
	assert_int_equal(sgx_eexit(w.sgx, operand),
			 SGX_GP); /* never was a TCS, whatever is in it */
	must_be_valid(&w);
	remove_all(&w);
	world_end(&w);
}

/* Everything leaves the EPC, children first, and comes back into other pages. */
static void page_round_trip(bool is_metadata_only)
{
	static const uint32_t pages[] = { PAGE_REG, PAGE_TCS, PAGE_SECOND, PAGE_SECS };
	uint8_t out[4][SGX_PAGE_SIZE];
	struct sgx_pageinfo rbx[4];
	struct sgx_pcmd pcmd[4];
	struct world w;
	uint64_t value;

	world_begin(&w, is_metadata_only);
	build(&w);
	assert_int_equal(sgx_epa(w.sgx, SGX_PT_VA, at(PAGE_VA)), 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(sgx_eblock(w.sgx, at(pages[i])), SGX_SUCCESS);
	assert_int_equal(sgx_etrack(w.sgx, at(PAGE_SECS)), SGX_SUCCESS);
	for (unsigned int i = 0; i < 4; i++) {
		rbx[i] = (struct sgx_pageinfo){ .srcpge.bytes = out[i], .secinfo.bytes = &pcmd[i] };
		assert_int_equal(sgx_ewb(w.sgx, &rbx[i], at(pages[i]), va_slot(i)), SGX_SUCCESS);
		assert_int_equal(rbx[i].linaddr, i == 3 ? 0 : BASE + pages[i] * SGX_PAGE_SIZE);
		assert_int_equal(pcmd[i].enclave_id, 1);
		assert_int_equal(sgx_edbgrd(w.sgx, &value, va_slot(i)), SGX_SUCCESS);
		assert_true(value == UINT64_MAX);
		must_be_valid(&w);
	}
	for (unsigned int i = 4; i-- > 0;) {
		if (i != 3)
			rbx[i].secs = at(PAGE_SPARE + 3);
		pcmd[i].mac[15] ^= 1;
		assert_int_equal(sgx_eldu(w.sgx, &rbx[i], at(PAGE_SPARE + i), va_slot(i)),
				 SGX_MAC_COMPARE_FAIL);
		pcmd[i].mac[15] ^= 1;
		assert_int_equal(sgx_eldu(w.sgx, &rbx[i], at(PAGE_SPARE + i), va_slot(i)),
				 SGX_SUCCESS);
		assert_int_equal(sgx_eldu(w.sgx, &rbx[i], at(PAGE_SECOND), va_slot(i)),
				 SGX_MAC_COMPARE_FAIL);
		must_be_valid(&w);
	}
	assert_int_equal(sgx_secs_nr_children(w.sgx, PAGE_SPARE + 3), 3);
	assert_int_equal(sgx_edbgrd(w.sgx, &value, at(PAGE_SPARE)), SGX_SUCCESS);
	assert_int_equal(value, is_metadata_only ? 0 : UINT64_C(0x0101010101010101) * PAGE_REG);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(sgx_eremove(w.sgx, at(PAGE_SPARE + i)), SGX_SUCCESS);
	must_be_valid(&w);
	world_end(&w);
}

static void test_paging(void **state)
{
	(void)state;
	page_round_trip(false);
}

static void test_paging_of_metadata(void **state)
{
	(void)state;
	page_round_trip(true);
}

/* sgx_is_valid() itself: what it must find. */
static void test_invalid_is_seen(void **state)
{
	struct secs_page *secs;
	const char *why;
	struct world w;

	(void)state;
	world_begin(&w, true);
	build(&w);
	secs = secs_of(w.sgx, PAGE_SECS);
	secs->nr_children++;
	assert_false(sgx_is_valid(w.sgx, &why));
	assert_string_equal(why, "children are miscounted");
	secs->nr_children--;
	secs->nr_current++;
	assert_false(sgx_is_valid(w.sgx, &why));
	assert_string_equal(why, "a thread is inside of what is not initialised");
	secs->nr_current--;
	w.sgx->epcm[PAGE_REG].secs = PAGE_REG;
	assert_false(sgx_is_valid(w.sgx, &why));
	assert_string_equal(why, "a child names no valid SECS");
	w.sgx->epcm[PAGE_REG].secs = PAGE_SECS;
	assert_int_equal(init(&w), SGX_SUCCESS);
	secs->nr_previous++;
	assert_false(sgx_is_valid(w.sgx, &why));
	assert_string_equal(why, "threads are miscounted");
	secs->nr_previous--;
	must_be_valid(&w);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),	    cmocka_unit_test(test_launch),
		cmocka_unit_test(test_build_with_contents), cmocka_unit_test(test_tracking),
		cmocka_unit_test(test_trimmed_tcs),	    cmocka_unit_test(test_paging),
		cmocka_unit_test(test_paging_of_metadata),  cmocka_unit_test(test_invalid_is_seen),
	};

	return cmocka_run_group_tests_name("sgx_basic", tests, NULL, NULL);
}
