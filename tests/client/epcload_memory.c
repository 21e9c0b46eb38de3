/* SPDX-License-Identifier: MIT */
/*
 * What is in each page, known outside of the enclave, and one touch of a page. See epcload.h.
 *
 * Word 0 is the page's number, word 1 the generation, word 2 the owner, so that a wrong page says
 * where it comes from; the others depend on all three and on their place.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "epcload.h"

#define NR_YIELDS 256u /* between two looks whether a holder lives */
#define NR_WORDS_NAMED 3u

static _Thread_local sigjmp_buf touch_return;
static _Thread_local volatile sig_atomic_t is_touching;
static _Thread_local void *volatile sigbus_address;

static void sigbus_handle(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	if (!is_touching) {
		signal(signal_number, SIG_DFL);
		raise(signal_number);
		return;
	}
	sigbus_address = info->si_addr;
	siglongjmp(touch_return, 1);
}

void load_memory_guard(void)
{
	/* SA_NODEFER: the mask needs no restoring, so a touch costs no system call. */
	struct sigaction action = { .sa_sigaction = sigbus_handle,
				    .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

uint64_t load_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int load_memory_init(struct load_memory *memory, uint64_t nr_pages, uint64_t owner)
{
	memory->nr_pages = nr_pages;
	memory->owner = owner;
	memory->pages = mmap(NULL, nr_pages * sizeof(memory->pages[0]), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return memory->pages == MAP_FAILED ? -errno : 0;
}

void load_memory_fini(struct load_memory *memory)
{
	munmap(memory->pages, memory->nr_pages * sizeof(memory->pages[0]));
}

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* All words of a page in some generation follow from its first three. */
struct content {
	uint64_t named[NR_WORDS_NAMED];
	uint64_t base;
};

static void content_init(struct content *content, const struct load_memory *memory, uint64_t page,
			 uint32_t generation)
{
	content->named[0] = page;
	content->named[1] = generation;
	content->named[2] = memory->owner;
	content->base = mix(memory->owner ^ mix(page ^ mix(generation)));
}

static uint64_t content_word(const struct content *content, unsigned int word)
{
	return word < NR_WORDS_NAMED ? content->named[word] :
				       content->base + word * UINT64_C(0x9e3779b97f4a7c15);
}

void load_memory_fill(void *context, uint64_t page, uint64_t *words)
{
	struct content content;

	content_init(&content, context, page, 0);
	for (unsigned int i = 0; i < LOAD_PAGE_WORDS; i++)
		words[i] = content_word(&content, i);
}

/* Waits for the page; takes it from a process that died with it, perhaps in a write. */
static void page_hold(struct load_page *page, int32_t self)
{
	for (unsigned int i = 1;; i++) {
		int32_t holder = 0;

		if (atomic_compare_exchange_weak(&page->holder, &holder, self))
			return;
		if (i % NR_YIELDS == 0 && holder && kill(holder, 0) && errno == ESRCH &&
		    atomic_compare_exchange_strong(&page->holder, &holder, self)) {
			page->is_torn = true;
			return;
		}
		sched_yield();
	}
}

static void page_verify(const struct load_memory *memory, struct load_touch *touch,
			const volatile uint64_t *words)
{
	const struct load_page *page = &memory->pages[touch->page];
	struct content now, next;

	content_init(&now, memory, touch->page, page->generation);
	content_init(&next, memory, touch->page, page->generation + 1);
	for (unsigned int i = 0; i < LOAD_PAGE_WORDS; i++) {
		const uint64_t got = words[i], want = content_word(&now, i);

		if (got != want && !(page->is_torn && got == content_word(&next, i))) {
			touch->is_wrong = true;
			touch->word = i;
			touch->got = got;
			touch->want = want;
			return;
		}
	}
}

/* Cut anywhere, it leaves a torn page: words of this generation, or already of the next. */
static void page_write(const struct load_memory *memory, struct load_touch *touch,
		       volatile uint64_t *words)
{
	struct load_page *page = &memory->pages[touch->page];
	struct content next;

	content_init(&next, memory, touch->page, page->generation + 1);
	page->is_torn = true;
	atomic_signal_fence(memory_order_seq_cst);
	for (unsigned int i = 0; i < LOAD_PAGE_WORDS; i++)
		words[i] = content_word(&next, i);
	atomic_signal_fence(memory_order_seq_cst);
	page->generation++;
	page->is_torn = false;
}

/* The page's words change only while it is held, but for the first one, which never changes. */
static void touch_do(struct load_memory *memory, int32_t self, struct load_touch *touch)
{
	struct load_page *page = &memory->pages[touch->page];
	void *bytes = memory->bytes + touch->page * LOAD_PAGE_BYTES;
	_Atomic uint64_t *first = bytes;
	uint64_t began_ns = load_now_ns();

	/* A write that changes nothing: the fault is a write's from the start. */
	if (touch->is_write)
		atomic_fetch_add(first, 0);
	else
		(void)atomic_load(first);
	touch->took_ns = load_now_ns() - began_ns;
	page_hold(page, self);
	page_verify(memory, touch, bytes);
	if (touch->is_write && !touch->is_wrong)
		page_write(memory, touch, bytes);
	atomic_store(&page->holder, 0);
}

void load_memory_touch(struct load_memory *memory, int32_t self, struct load_touch *touch)
{
	touch->is_sigbus = false;
	touch->is_wrong = false;
	touch->took_ns = 0;
	is_touching = 1;
	if (sigsetjmp(touch_return, 0) == 0) {
		touch_do(memory, self, touch);
	} else {
		struct load_page *page = &memory->pages[touch->page];
		int32_t holder = self;

		touch->is_sigbus = true;
		touch->address = (uint64_t)(uintptr_t)sigbus_address;
		atomic_compare_exchange_strong(&page->holder, &holder, 0);
	}
	is_touching = 0;
}
