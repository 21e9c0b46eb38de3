/* SPDX-License-Identifier: MIT */
/*
 * Goal: enclaves of host processes give the errors that enum epc_host_op names, page when the EPC
 * is full, and lose no more than what was altered. Method: a small EPC of metadata only (INIT takes
 * any SIGSTRUCT there) or with contents, a swap in an array, all effects taken after each call.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/internal.h"

#define BASE (UINT64_C(1) << 40)
#define SIZE (UINT64_C(1) << 20)
#define FIRST (BASE >> 12)
#define NR_SLOTS 64u

struct host_fixture {
	struct epc *epc;
	struct epc_instance *instance;
	char *bytes;
	uint8_t swap[NR_SLOTS][4096];
	struct epc_unmap *unmaps[16];
	unsigned int nr_unmaps;
	unsigned int nr_lost, nr_refused;
	bool is_answered, fails;
	struct epc_leaf leaf;
	uint8_t info[128] __attribute__((aligned(8)));
	uint64_t data[512];
};

static void *allocate(void *context, size_t size)
{
	(void)context;
	return calloc(1, size);
}

static void deallocate(void *context, void *memory, size_t size)
{
	(void)context;
	(void)size;
	free(memory);
}

static int slot_store(void *context, uint32_t slot, const void *bytes)
{
	struct host_fixture *f = context;

	if (f->fails)
		return -ENOSPC;
	memcpy(f->swap[slot], bytes, 4096);
	return 0;
}

static int slot_load(void *context, uint32_t slot, void *bytes)
{
	memcpy(bytes, ((struct host_fixture *)context)->swap[slot], 4096);
	return 0;
}

static void take(struct host_fixture *f)
{
	struct epc_effect effect;
	const char *why = NULL;

	while (epc_effect_next(f->epc, &effect)) {
		if (effect.kind == EPC_EFFECT_REPLY)
			f->is_answered = true;
		if (effect.kind == EPC_EFFECT_UNMAP)
			f->unmaps[f->nr_unmaps++] = effect.unmap;
		if (effect.kind != EPC_EFFECT_RECORD)
			continue;
		f->nr_lost += effect.record.kind == EPC_RECORD_PAGE_LOST;
		f->nr_refused += effect.record.kind == EPC_RECORD_REFUSED;
	}
	if (!epc_is_valid(f->epc, &why))
		fail_msg("%s", why);
}

/* Performs everything until the request is answered. */
static void until_answered(struct host_fixture *f)
{
	for (int turns = 0; !f->is_answered; turns++) {
		assert_true(turns < 1000);
		epc_step(f->epc);
		take(f);
		while (f->nr_unmaps) {
			epc_unmapped(f->epc, f->unmaps[--f->nr_unmaps]);
			take(f);
		}
	}
}

static void begin(struct host_fixture *f, uint64_t nr_pages, bool is_metadata_only,
		  uint32_t nr_slots)
{
	struct epc_section_config section = { .nr_pages = nr_pages };
	struct epc_config config = {
		.sections = &section,
		.nr_sections = 1,
		.allocator = { allocate, deallocate, NULL },
		.is_metadata_only = is_metadata_only,
		.nr_swap_slots = nr_slots,
		.swap = { slot_store, slot_load, NULL, f },
	};

	memset(f, 0, sizeof(*f));
	assert_int_equal(posix_memalign((void **)&f->bytes, 4096, nr_pages * 4096), 0);
	section.bytes = f->bytes;
	assert_int_equal(epc_new(&config, &f->epc), 0);
	assert_int_equal(epc_open_enclave(f->epc, epc_cgroup_root(f->epc), f, &f->instance), 0);
}

/* Closes the enclave: whatever it had is free again. */
static void end(struct host_fixture *f)
{
	struct epc_report report;

	epc_release(f->epc, f->instance);
	while (epc_step(f->epc))
		;
	take(f);
	epc_report(f->epc, &report);
	assert_int_equal(report.nr_free, report.nr_pages);
	assert_int_equal(report.nr_evicted, 0);
	epc_free(f->epc);
	free(f->bytes);
}

static int host(struct host_fixture *f, enum epc_host_op op, uint64_t page, uint64_t rbx)
{
	f->leaf = (struct epc_leaf){
		.request = { .instance = f->instance, .payer = epc_cgroup_root(f->epc) },
		.host_op = op,
		.rcx = { f->instance, BASE + page * 4096 },
		.rbx = rbx,
		.info = f->info,
		.data = (uint8_t *)f->data,
	};
	f->is_answered = false;
	epc_host(f->epc, &f->leaf);
	take(f);
	until_answered(f);
	return f->leaf.request.result;
}

static int create(struct host_fixture *f, uint64_t size)
{
	struct sgx_secs *secs = (struct sgx_secs *)f->data;

	memset(f->data, 0, sizeof(f->data));
	secs->size = size;
	secs->base = BASE;
	secs->ssa_frame_pages = 1;
	secs->attributes.flags = SGX_ATTR_MODE64BIT;
	secs->attributes.xfrm = SGX_XFRM_LEGACY;
	return host(f, EPC_HOST_CREATE, 0, 0);
}

static int add(struct host_fixture *f, uint64_t page, uint64_t flags, uint64_t value)
{
	memset(f->info, 0, sizeof(f->info));
	((struct sgx_secinfo *)f->info)->flags = flags;
	memset(f->data, 0, sizeof(f->data));
	/* A TCS has rules of its own, a REG page has none. */
	for (int i = 0; i < 512 && value; i++)
		f->data[i] = value;
	return host(f, EPC_HOST_ADD, page, 0);
}

#define REG_RW (SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT | SGX_SECINFO_R | SGX_SECINFO_W)
#define REG_R (SGX_PT_REG << SGX_SECINFO_TYPE_SHIFT | SGX_SECINFO_R)
#define TCS (SGX_PT_TCS << SGX_SECINFO_TYPE_SHIFT)

/* A fault that is answered and delivered: its result, and the first word. */
static int touch(struct host_fixture *f, uint64_t page, uint64_t *word)
{
	static uint64_t buffer[512];
	struct epc_request request = {
		.instance = f->instance,
		.payer = epc_cgroup_root(f->epc),
		.first = FIRST + page,
		.count = 1,
		.buffer = buffer,
	};

	f->is_answered = false;
	epc_read(f->epc, &request);
	take(f);
	until_answered(f);
	if (!request.result)
		epc_delivered(f->epc, f->instance, FIRST + page, 1);
	take(f);
	*word = request.is_zero ? 0 : buffer[0];
	return request.result;
}

static void states_of_an_enclave(void **state)
{
	struct host_fixture f;
	uint64_t word;

	(void)state;
	begin(&f, 64, true, NR_SLOTS);
	assert_int_equal(add(&f, 0, REG_RW, 0), -EINVAL);
	assert_int_equal(host(&f, EPC_HOST_INIT, 0, 0), -EINVAL);
	assert_int_equal(create(&f, SIZE - 4096), -EIO); /* no power of two; all is undone */
	assert_int_equal(create(&f, SIZE), 0);
	assert_int_equal(create(&f, SIZE), -EINVAL);
	assert_int_equal(add(&f, SIZE / 4096, REG_RW, 0), -EINVAL);
	assert_int_equal(add(&f, 0, SGX_PT_VA << SGX_SECINFO_TYPE_SHIFT, 0), -EIO);
	assert_int_equal(add(&f, 0, REG_RW, 0), 0);
	assert_int_equal(add(&f, 0, REG_RW, 0), -EBUSY);
	assert_int_equal(touch(&f, 0, &word), 0);
	assert_int_equal(touch(&f, 1, &word), -EIO); /* never added */
	assert_int_equal(host(&f, EPC_HOST_RESTRICT, 0, SGX_SECINFO_R), -EINVAL);
	assert_int_equal(host(&f, EPC_HOST_INIT, 0, 0), 0);
	assert_int_equal(host(&f, EPC_HOST_INIT, 0, 0), -EINVAL);
	assert_int_equal(add(&f, 1, REG_RW, 0), -EINVAL);
	assert_int_equal(touch(&f, 1, &word), 0); /* EAUG */
	assert_int_equal(touch(&f, SIZE / 4096, &word), -EIO);
	end(&f);
}

static void types_and_permissions(void **state)
{
	struct host_fixture f;

	(void)state;
	begin(&f, 64, true, NR_SLOTS);
	assert_int_equal(create(&f, SIZE), 0);
	assert_int_equal(add(&f, 0, TCS, 0), 0);
	assert_int_equal(add(&f, 1, REG_RW, 0), 0);
	assert_int_equal(add(&f, 2, REG_R, 0), 0);
	assert_int_equal(host(&f, EPC_HOST_INIT, 0, 0), 0);
	assert_int_equal(host(&f, EPC_HOST_RESTRICT, 9, SGX_SECINFO_R), -EFAULT);
	assert_int_equal(host(&f, EPC_HOST_RESTRICT, 0, SGX_SECINFO_R), -EINVAL);
	assert_int_equal(host(&f, EPC_HOST_RESTRICT, 1, SGX_SECINFO_R), 0);
	assert_int_equal(host(&f, EPC_HOST_MODIFY, 2, SGX_PT_TCS), -EPERM); /* not writable */
	assert_int_equal(host(&f, EPC_HOST_MODIFY, 0, SGX_PT_TCS), -EINVAL);
	assert_int_equal(host(&f, EPC_HOST_REMOVE, 1, 0), -EPERM);
	assert_int_equal(host(&f, EPC_HOST_MODIFY, 1, SGX_PT_TRIM), 0);
	assert_int_equal(host(&f, EPC_HOST_MODIFY, 1, SGX_PT_TRIM), -EINVAL);
	assert_int_equal(host(&f, EPC_HOST_REMOVE, 1, 0), -EPERM); /* not accepted */
	assert_int_equal(host(&f, EPC_HOST_RESTRICT, 1, SGX_SECINFO_R), -EINVAL);
	assert_int_equal(host(&f, EPC_HOST_REMOVE, 9, 0), -EFAULT);
	end(&f);
}

static struct sgx_epc place(const struct host_fixture *f, uint64_t page)
{
	return (struct sgx_epc){
		.address = BASE + page * 4096,
		.page = page_pfn(f->epc, page_find(f->epc, f->instance, FIRST + page)),
	};
}

/* What is accepted goes for good, and VA pages that are not needed any more go too. */
static void removed_pages_give_va_pages_back(void **state)
{
	const uint64_t nr_pages = 600; /* more than one VA page's slots */
	struct epc_instance_report report;
	struct host_fixture f;
	uint32_t secs;

	(void)state;
	begin(&f, 700, true, NR_SLOTS);
	assert_int_equal(create(&f, UINT64_C(4) << 20), 0);
	for (uint64_t page = 0; page < nr_pages; page++)
		assert_int_equal(add(&f, page, REG_RW, 0), 0);
	assert_int_equal(host(&f, EPC_HOST_INIT, 0, 0), 0);
	epc_instance_report(f.instance, &report);
	assert_int_equal(report.nr_va_pages, 2);
	secs = page_pfn(f.epc, page_find(f.epc, f.instance, INDEX_SECS));
	for (uint64_t page = 1; page < nr_pages; page++) {
		assert_int_equal(host(&f, EPC_HOST_MODIFY, page, SGX_PT_TRIM), 0);
		assert_int_equal(sgx_eaccept(f.epc->sgx, secs, place(&f, 0), place(&f, page)), 0);
		assert_int_equal(host(&f, EPC_HOST_REMOVE, page, 0), 0);
	}
	epc_instance_report(f.instance, &report);
	assert_int_equal(report.nr_va_pages, 1);
	assert_int_equal(report.nr_pages, 3); /* SECS, VA, the one page */
	end(&f);
}

/* Four times as many pages as there is EPC: each has its bytes, the SECS of an idle one leaves. */
static void pages_come_back(void **state)
{
	struct epc_report report;
	struct host_fixture f;
	uint64_t word;

	(void)state;
	begin(&f, 16, false, NR_SLOTS);
	assert_int_equal(create(&f, SIZE), 0);
	for (uint64_t page = 0; page < 56; page++)
		assert_int_equal(add(&f, page, REG_RW, 100 + page), 0);
	for (int round = 0; round < 3; round++) {
		for (uint64_t page = 0; page < 56; page++) {
			assert_int_equal(touch(&f, page, &word), 0);
			assert_int_equal(word, 100 + page);
		}
	}
	epc_report(f.epc, &report);
	assert_true(report.nr_evictions > 3 * 30);
	assert_int_equal(report.nr_refaults, 0); /* they would not fit into twice the EPC either */
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(touch(&f, i % 20, &word), 0);
	epc_report(f.epc, &report);
	assert_true(report.nr_refaults > 0);
	end(&f);
}

/* No room, no swap: refused in words; with a swap that fails: the same, and nothing is lost. */
static void nothing_can_leave(void **state)
{
	struct host_fixture f;
	uint64_t word;

	(void)state;
	for (int has_swap = 0; has_swap < 2; has_swap++) {
		begin(&f, 8, false, has_swap ? NR_SLOTS : 0);
		assert_int_equal(create(&f, SIZE), 0);
		for (uint64_t page = 0; page < 6; page++)
			assert_int_equal(add(&f, page, REG_RW, 100 + page), 0);
		f.fails = has_swap;
		if (!has_swap) {
			assert_int_equal(add(&f, 6, REG_RW, 7), -ENOMEM);
			assert_int_equal(f.nr_refused, 1);
		}
		for (uint64_t page = 0; page < 6; page++) {
			assert_int_equal(touch(&f, page, &word), 0);
			assert_int_equal(word, 100 + page);
		}
		end(&f);
	}
}

/* One bit of a sealed page is wrong: that page is lost, in words, and no other. */
static void altered_page_is_lost_alone(void **state)
{
	struct host_fixture f;
	unsigned int nr_failed = 0;
	uint64_t word;

	(void)state;
	begin(&f, 16, false, NR_SLOTS);
	assert_int_equal(create(&f, SIZE), 0);
	for (uint64_t page = 0; page < 40; page++)
		assert_int_equal(add(&f, page, REG_RW, 100 + page), 0);
	f.swap[5][77] ^= 0x10;
	for (uint64_t page = 0; page < 40; page++) {
		int result = touch(&f, page, &word);

		nr_failed += result != 0;
		assert_true(result ? result == -EIO : word == 100 + page);
	}
	assert_int_equal(nr_failed, 1);
	assert_int_equal(f.nr_lost, 1);
	end(&f);
}

static void lost_enclave(void **state)
{
	struct epc_request loss = { 0 };
	struct epc_report report;
	struct host_fixture f;
	uint64_t word;

	(void)state;
	begin(&f, 16, false, NR_SLOTS);
	assert_int_equal(create(&f, SIZE), 0);
	for (uint64_t page = 0; page < 40; page++)
		assert_int_equal(add(&f, page, REG_RW, 100 + page), 0);
	for (uint64_t page = 0; page < 4; page++)
		assert_int_equal(touch(&f, page, &word), 0);
	loss.instance = f.instance;
	f.is_answered = false;
	epc_lose_vm(f.epc, &loss);
	take(&f);
	until_answered(&f);
	epc_report(f.epc, &report);
	assert_int_equal(report.nr_free, report.nr_pages);
	assert_int_equal(report.nr_evicted, 0);
	assert_int_equal(touch(&f, 0, &word), -EIO);
	assert_int_equal(add(&f, 50, REG_RW, 1), -EIO);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_of_an_enclave),
		cmocka_unit_test(types_and_permissions),
		cmocka_unit_test(removed_pages_give_va_pages_back),
		cmocka_unit_test(pages_come_back),
		cmocka_unit_test(nothing_can_leave),
		cmocka_unit_test(altered_page_is_lost_alone),
		cmocka_unit_test(lost_enclave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
