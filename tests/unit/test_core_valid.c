/* SPDX-License-Identifier: MIT */
/*
 * epc_is_valid(): each invariant is broken in turn, by hand, and must be told by its name. Method:
 * an EPC in the middle of everything (a fault parked, a take back and a reset in flight, an
 * operation queued, a release under way), one field made wrong and right again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/internal.h"
#include "core_fixture.h"

struct world {
	struct fixture f;
	struct epc_cgroup *limited;
	struct epc_instance *taken;    /* its speculative pages are taken back */
	struct epc_instance *reset;    /* an unmapping of its reset is in flight */
	struct epc_instance *queued;   /* an operation of it is queued */
	struct epc_instance *released; /* its release has work to do */
	struct epc_instance *probe;    /* has never had a page */
	struct epc_request parked, running, waiting;
};

static void begin(struct world *w)
{
	struct fixture *f = &w->f;

	memset(w, 0, sizeof(*w));
	fixture_begin(f, 128);
	w->limited = cgroup_with_max(f, f->root, 30 * PAGE);
	w->taken = instance_in(f, w->limited);
	w->reset = instance_in(f, f->root);
	w->queued = instance_in(f, f->root);
	w->released = instance_in(f, f->root);
	w->probe = instance_in(f, f->root);
	assert_int_equal(read_pages(f, w->taken, w->limited, 0, 30), 0);
	assert_int_equal(read_send(f, &w->parked, w->taken, w->limited, 60, 1), PENDING);
	fixture_run(f);
	assert_int_equal(f->nr_unmaps, 1);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(read_pages(f, w->reset, f->root, i, 1), 0);
	write_byte(f, w->reset, 0, 'b');
	operation_send(f, &w->running, w->reset, 0, 4, false);
	fixture_run(f);
	assert_int_equal(f->nr_unmaps, 2);
	assert_int_equal(read_pages(f, w->queued, f->root, 0, 1), 0);
	operation_send(f, &w->waiting, w->queued, 0, 1, false);
	epc_unmapped(f->epc, f->unmaps[--f->nr_unmaps]); /* its end is still to be seen */
	fixture_take(f);
	assert_int_equal(read_pages(f, w->released, f->root, 0, 1), 0);
	epc_release(f->epc, w->released);
	fixture_take(f);
}

static void must_be(const struct world *w, const char *expected)
{
	const char *why = NULL;

	assert_false(epc_is_valid(w->f.epc, &why));
	assert_string_equal(why, expected);
	assert_false(epc_is_valid(w->f.epc, NULL));
}

static void must_be_right(const struct world *w)
{
	const char *why;

	if (!epc_is_valid(w->f.epc, &why))
		fail_msg("epc_is_valid(): %s", why);
}

/* One more than right, and right again. */
#define WRONG(w, field, expected)     \
	do {                          \
		(field)++;            \
		must_be(w, expected); \
		(field)--;            \
		must_be_right(w);     \
	} while (0)

/* Another value, and the right one again. */
#define REPLACED(w, field, value, expected)        \
	do {                                       \
		__typeof__(field) right = (field); \
		(field) = (value);                 \
		must_be(w, expected);              \
		(field) = right;                   \
		must_be_right(w);                  \
	} while (0)

/* The same for a page's fields, which are bits. */
#define PAGE_REPLACED(w, page, field, value, expected) \
	do {                                           \
		struct epc_page right = *(page);       \
		(page)->field = (value);               \
		must_be(w, expected);                  \
		*(page) = right;                       \
		must_be_right(w);                      \
	} while (0)

static struct epc_page *page_of(const struct world *w, const struct epc_instance *instance,
				uint64_t index)
{
	return page_find(w->f.epc, instance, index);
}

static struct epc_page *free_page(const struct world *w)
{
	return &w->f.epc->pages[w->f.epc->nr_pages - 1];
}

static void sums_of_pages(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	struct epc *epc = w.f.epc;

	WRONG(&w, epc->sections[0].nr_free, "a section's free pages are miscounted");
	WRONG(&w, epc->nr_free, "the sections' free pages do not add up");
	REPLACED(&w, epc->nr_pages, epc->nr_pages - 1, "free + used is not all pages");
	WRONG(&w, epc->nr_speculative, "speculative pages are miscounted");
	REPLACED(&w, epc->sections[0].free_head, 0, "a page is free and owned");
	REPLACED(&w, epc->sections[0].free_head, 127, "a free list leads out of its section");
	fixture_end(&w.f);
}

static void states_of_pages(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	struct epc_page *owned = page_of(&w, w.queued, 0);
	struct epc_page *unmapping = page_of(&w, w.reset, 1);

	PAGE_REPLACED(&w, free_page(&w), has_bytes, 1, "a free page is not clean");
	PAGE_REPLACED(&w, free_page(&w), is_speculative, 1, "a free page is not clean");
	PAGE_REPLACED(&w, owned, state, PAGE_FREE, "an owned page is free");
	PAGE_REPLACED(&w, owned, index, 99, "an owned page is not in its instance's index");
	PAGE_REPLACED(&w, owned, is_touched, 1, "a page has marks of an unmapping that is over");
	PAGE_REPLACED(&w, owned, is_written, 1, "a page has marks of an unmapping that is over");
	PAGE_REPLACED(&w, owned, is_reset, 1, "a page has marks of an unmapping that is over");
	PAGE_REPLACED(&w, owned, gives_back, 1, "a page has marks of an unmapping that is over");
	PAGE_REPLACED(&w, owned, state, PAGE_UNMAPPING, "a page is UNMAPPING without an unmapping");
	PAGE_REPLACED(&w, unmapping, is_reset, 0, "an unmapping covers a page of another state");
	fixture_end(&w.f);
}

static void unmappings(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	REPLACED(&w, w.limited->unmap.kind, EPC_UNMAP_RESET,
		 "an unmapping has changed its purpose");
	REPLACED(&w, w.reset->unmap.kind, EPC_UNMAP_TAKE_BACK,
		 "an unmapping has changed its purpose");
	REPLACED(&w, w.reset->unmap.first, 1,
		 "an unmapping covers a page that is not the instance's");
	REPLACED(&w, w.reset->is_unmapping, false, "a page is UNMAPPING without an unmapping");
	REPLACED(&w, w.limited->is_taking, false, "a page is UNMAPPING without an unmapping");
	fixture_end(&w.f);
}

static void stakes(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	struct epc_stake *stake = stake_find(w.f.epc, w.taken, w.limited);
	struct epc_page *head = &w.f.epc->pages[stake->takeable_head];

	WRONG(&w, stake->nr_pages, "a stake's pages are miscounted");
	WRONG(&w, stake->nr_takeable, "a stake's takeable pages are miscounted");
	WRONG(&w, stake->nr_leaving, "a stake's leaving pages are miscounted");
	REPLACED(&w, stake->nr_pages, 0, "a stake has no pages");
	REPLACED(&w, head->prev, 3, "a takeable list is torn");
	REPLACED(&w, stake->takeable_head, head->next, "a takeable list is torn");
	WRONG(&w, stake->takeable_tail, "a takeable list has another end");
	list_remove(&stake->takeable_node);
	must_be(&w, "a stake is on its cgroup's takeable list, or is not, wrongly");
	list_add_tail(&w.limited->takeable_stakes, &stake->takeable_node);
	list_remove(&w.limited->takeable_node);
	must_be(&w, "a cgroup is on its parent's takeable list, or is not, wrongly");
	list_add_tail(&w.f.root->takeable_children, &w.limited->takeable_node);
	must_be_right(&w);
	fixture_end(&w.f);
}

static void instances(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	WRONG(&w, w.reset->nr_pages, "an instance's pages are miscounted");
	WRONG(&w, w.taken->nr_speculative, "an instance's speculative pages are miscounted");
	WRONG(&w, w.reset->nr_with_bytes, "an instance's pages with bytes are miscounted");
	REPLACED(&w, w.reset->peak_pages, 3, "an instance's peak is below its pages");
	REPLACED(&w, w.probe->index.height, 1, "an index is torn");
	REPLACED(&w, w.probe->is_stalled, true, "an operation waits for nothing");
	list_remove(&w.queued->operation_node);
	must_be(&w, "an operation is forgotten");
	list_add_tail(&w.f.epc->operations, &w.queued->operation_node);
	list_remove(&w.released->operation_node);
	must_be(&w, "a release is forgotten");
	list_add_tail(&w.f.epc->operations, &w.released->operation_node);
	REPLACED(&w, w.queued->is_releasing, true, "a released instance has requests");
	fixture_end(&w.f);
}

static void cgroups(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	struct epc_cgroup *root = w.f.root;

	WRONG(&w, w.limited->usage_pages, "a cgroup's usage is not its pages");
	WRONG(&w, root->nr_takeable, "takeable pages are miscounted");
	WRONG(&w, root->nr_leaving, "leaving pages are miscounted");
	WRONG(&w, root->nr_stakes, "a cgroup's stakes are miscounted");
	WRONG(&w, root->nr_instances, "openers are miscounted");
	WRONG(&w, root->nr_children, "children are miscounted");
	WRONG(&w, w.limited->nr_payers, "payers are miscounted");
	REPLACED(&w, root->peak_pages, 1, "a peak is below the usage");
	fixture_end(&w.f);
}

static void queues(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	WRONG(&w, w.limited->nr_waiters, "a queue is miscounted");
	WRONG(&w, w.f.epc->nr_parked, "parked requests are miscounted");
	WRONG(&w, w.parked.count, "a cluster is parked");
	REPLACED(&w, w.parked.waits_at, w.f.root, "a parked request is in the wrong queue");
	REPLACED(&w, w.parked.payer, w.f.root,
		 "a parked request waits at a limit that it is not under");
	fixture_end(&w.f);
}

/* What enclaves add: SECS pages, zombies, limits of an instance's own. */
static void enclaves(void **state)
{
	struct fixture *f;
	struct world w;

	(void)state;
	begin(&w);
	f = &w.f;
	struct epc_instance *first = instance_in(f, f->root), *second = instance_beside(f, first);
	struct epc_instance *stranger = w.queued;
	struct epc_leaf_place secs = guest_place(first, 0), child = guest_place(second, 1);

	make_secs(f, secs, 0);
	make_page(f, child, secs, 0, GUEST_REG_RW);
	epc_release(f->epc, first);
	while (!nr_zombies(f)) {
		epc_step(f->epc);
		fixture_take(f);
	}
	struct epc_page *page = page_of(&w, second, 1);

	WRONG(&w, first->nr_secs, "an instance's SECS pages are miscounted");
	WRONG(&w, first->nr_zombies, "an instance's SECS pages are miscounted");
	WRONG(&w, f->epc->nr_secs, "SECS pages are miscounted");
	WRONG(&w, f->epc->nr_zombies, "SECS pages are miscounted");
	PAGE_REPLACED(&w, page, is_zombie, 1, "a zombie is no SECS, or has no children");
	PAGE_REPLACED(&w, page, has_bytes, 0, "a page of an enclave has no content");
	PAGE_REPLACED(&w, page, is_speculative, 1, "a page of an enclave could be taken back");
	REPLACED(&w, first->is_releasing, false, "a zombie is no SECS, or has no children");
	REPLACED(&w, second->vm, stranger->vm, "an enclave is in two VMs");
	WRONG(&w, second->own_limit.usage_pages, "an own limit's usage is not its pages");
	WRONG(&w, second->own_limit.nr_takeable,
	      "an own limit's takeable or leaving pages are miscounted");
	WRONG(&w, second->own_limit.nr_leaving,
	      "an own limit's takeable or leaving pages are miscounted");
	PAGE_REPLACED(&w, page, is_for_leaf, 1, "a page has marks of an unmapping that is over");
	must_be_right(&w);
	fixture_end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_of_pages), cmocka_unit_test(states_of_pages),
		cmocka_unit_test(unmappings),	 cmocka_unit_test(stakes),
		cmocka_unit_test(instances),	 cmocka_unit_test(cgroups),
		cmocka_unit_test(queues),	 cmocka_unit_test(enclaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
