/* SPDX-License-Identifier: MIT */
/*
 * libvepc's SIGBUS handler, with real signals: pages of a section behind the end of its file. Each
 * test's body is a child, whose end and stderr are looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vepc_fixture.h"

#define NR_PAGES 4u
#define SURVIVED 42
#define CAUGHT 43

static const char sentence[] = "libvepc: section 1 was refused EPC at offset 8192: cgroup /vm is "
			       "at its limit: misc.max "
			       "8192, used 8192, 4096 more bytes were wanted\n";

/* A VM of two sections that have one page each, and the rest refused. In the child alone. */
struct bench {
	struct false_kernel kernel;
	struct vepc_vm *vm;
	struct vepc_section sections[2];
	struct vepc_refusal seen;
	unsigned int nr_calls;
	enum vepc_answer answer;
	bool gives_pages;
};

/* What a handler of the test's own needs: it has no argument. */
static struct {
	sigjmp_buf back;
	void *address;
	volatile int nr_calls, code, was_blocked;
	volatile bool returns;
} caught;

static void bench_init(struct bench *bench)
{
	memset(bench, 0, sizeof(*bench));
	false_init(&bench->kernel);
	false_refuse(&bench->kernel, 2 * PAGE);
	bench->kernel.backed_bytes = PAGE;
	bench->vm = false_vm(&bench->kernel, 2, NR_PAGES * PAGE);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(vepc_section_get(bench->vm, i, &bench->sections[i]), 0);
}

static void set_handler(void (*action)(int, siginfo_t *, void *), int flags, int masked)
{
	struct sigaction new = { .sa_sigaction = action, .sa_flags = flags };

	sigemptyset(&new.sa_mask);
	if (masked)
		sigaddset(&new.sa_mask, masked);
	assert_int_equal(sigaction(SIGBUS, &new, NULL), 0);
}

/* Also for SIG_DFL and SIG_IGN. */
static void set_plain(void (*handler)(int))
{
	struct sigaction new = { .sa_handler = handler };

	sigemptyset(&new.sa_mask);
	assert_int_equal(sigaction(SIGBUS, &new, NULL), 0);
}

static void touch(const struct bench *bench, unsigned int section, uint64_t page)
{
	*((volatile char *)bench->sections[section].address + page * PAGE + 5) = 1;
}

/* A page of nobody's section that cannot come. */
static char *foreign_page(void)
{
	int fd = memfd_create("foreign", MFD_CLOEXEC);
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(page != MAP_FAILED);
	return page;
}

static void touch_foreign(void)
{
	*(volatile char *)foreign_page() = 1;
}

static enum vepc_answer refused(void *context, const struct vepc_refusal *refusal)
{
	struct bench *bench = context;

	bench->seen = *refusal;
	bench->nr_calls++;
	errno = EDOM;
	if (bench->gives_pages)
		(void)!ftruncate(bench->sections[refusal->section].fd, NR_PAGES * PAGE);
	return bench->answer;
}

/* body's end as waitpid() has it; what it wrote to stderr is in text. */
static int child_status(void (*body)(struct bench *), char *text, size_t size)
{
	size_t length = 0;
	ssize_t nr_read;
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct bench bench;

		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		set_plain(SIG_DFL);
		bench_init(&bench);
		body(&bench);
		_exit(SURVIVED);
	}
	close(ends[1]);
	while ((nr_read = read(ends[0], text + length, size - 1 - length)) > 0)
		length += (size_t)nr_read;
	text[length] = 0;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void dies_of_sigbus(void (*body)(struct bench *), const char *said)
{
	char text[4096];
	int status = child_status(body, text, sizeof(text));

	assert_string_equal(text, said);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void exits_with(int code, void (*body)(struct bench *))
{
	char text[4096];
	int status = child_status(body, text, sizeof(text));

	assert_string_equal(text, "");
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

/* ---- A page of a section ---- */

static void die_alone(struct bench *bench)
{
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	touch(bench, 1, 0);
	touch(bench, 1, 2);
}

static void die_by_answer(struct bench *bench)
{
	bench->answer = VEPC_DIE;
	assert_int_equal(vepc_vm_guard(bench->vm, refused, bench), 0);
	touch(bench, 1, 2);
}

static void die_without_stderr(struct bench *bench)
{
	close(STDERR_FILENO);
	die_alone(bench);
}

static void die_of_kernel_device(struct bench *bench)
{
	bench->kernel.is_epcd = false;
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	touch(bench, 0, 3);
}

static void a_sentence_and_the_end(void **state)
{
	(void)state;
	dies_of_sigbus(die_alone, sentence);
	dies_of_sigbus(die_by_answer, sentence);
	dies_of_sigbus(die_without_stderr, "");
	dies_of_sigbus(die_of_kernel_device, "libvepc: section 0 was refused EPC at offset 12288: "
					     "the device does not say "
					     "why (no EPC is free, or a cgroup is at its misc.max "
					     "for sgx_epc)\n");
}

static void retry(struct bench *bench)
{
	bench->answer = VEPC_RETRY;
	bench->gives_pages = true;
	assert_int_equal(vepc_vm_guard(bench->vm, refused, bench), 0);
	errno = ERANGE;
	touch(bench, 1, 2);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(bench->nr_calls, 1);
	assert_int_equal(bench->seen.section, 1);
	assert_int_equal(bench->seen.offset, 2 * PAGE);
	assert_int_equal(bench->seen.reason, VEPC_REASON_CGROUP);
	assert_int_equal(bench->seen.limit_bytes, 8192);
	assert_int_equal(bench->seen.wanted_bytes, 4096);
	assert_string_equal(bench->seen.cgroup, "/vm");
	assert_int_equal(((char *)bench->sections[1].address)[2 * PAGE + 5], 1);
	touch(bench, 0, 3);
	assert_int_equal(bench->nr_calls, 2);
	assert_int_equal(bench->seen.section, 0);
	false_vm_free(&bench->kernel, bench->vm);
}

static enum vepc_answer refused_and_left(void *context, const struct vepc_refusal *refusal)
{
	refused(context, refusal);
	siglongjmp(caught.back, 1);
}

/* Twice: the first one has left nothing behind that keeps the second. */
static void leave(struct bench *bench)
{
	assert_int_equal(vepc_vm_guard(bench->vm, refused_and_left, bench), 0);
	for (unsigned int page = 1; page < 3; page++)
		if (sigsetjmp(caught.back, 1) == 0)
			touch(bench, 0, page);
	assert_int_equal(bench->nr_calls, 2);
	assert_int_equal(bench->seen.offset, 2 * PAGE);
	false_vm_free(&bench->kernel, bench->vm);
}

/* One of several threads that touch the same pages, each a byte of its own. */
struct toucher {
	const struct bench *bench;
	pthread_t thread;
	unsigned int byte;
};

static void *touch_in_thread(void *argument)
{
	const struct toucher *toucher = argument;

	for (unsigned int page = 0; page < NR_PAGES; page++) {
		const struct vepc_section *section = &toucher->bench->sections[page % 2];

		*((volatile char *)section->address + page * PAGE + toucher->byte) = 1;
	}
	return NULL;
}

static enum vepc_answer refused_in_thread(void *context, const struct vepc_refusal *refusal)
{
	const struct bench *bench = context;

	(void)!ftruncate(bench->sections[refusal->section].fd, NR_PAGES * PAGE);
	return VEPC_RETRY;
}

/* While other VMs come and go: the table is read without a lock. */
static void many_threads(struct bench *bench)
{
	struct toucher touchers[4];
	struct false_kernel kernel;

	assert_int_equal(vepc_vm_guard(bench->vm, refused_in_thread, bench), 0);
	for (unsigned int i = 0; i < 4; i++) {
		touchers[i].bench = bench;
		touchers[i].byte = i;
		assert_int_equal(pthread_create(&touchers[i].thread, NULL, touch_in_thread,
						&touchers[i]),
				 0);
	}
	for (unsigned int i = 0; i < 100; i++) {
		struct vepc_vm *vm;

		false_init(&kernel);
		vm = false_vm(&kernel, 3, PAGE);
		assert_int_equal(vepc_vm_guard(vm, NULL, NULL), 0);
		false_vm_free(&kernel, vm);
	}
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(touchers[i].thread, NULL), 0);
	assert_int_equal(((char *)bench->sections[1].address)[(NR_PAGES - 1) * PAGE + 3], 1);
	false_vm_free(&bench->kernel, bench->vm);
}

static void the_vmm_s_answers(void **state)
{
	(void)state;
	exits_with(SURVIVED, retry);
	exits_with(SURVIVED, leave);
	exits_with(SURVIVED, many_threads);
}

/* ---- Every other SIGBUS ---- */

static void note_caught(int number, siginfo_t *info, void *ucontext)
{
	sigset_t mask;

	(void)number;
	(void)ucontext;
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	caught.was_blocked = 2 * sigismember(&mask, SIGUSR1) + sigismember(&mask, SIGBUS);
	caught.address = info->si_addr;
	caught.code = info->si_code;
	caught.nr_calls++;
	if (!caught.returns)
		siglongjmp(caught.back, 1);
}

static void exit_caught(int number)
{
	_exit(number == SIGBUS ? CAUGHT : 0);
}

static void foreign_to_siginfo(struct bench *bench)
{
	char *page = foreign_page();

	set_handler(note_caught, SA_SIGINFO, SIGUSR1);
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	if (sigsetjmp(caught.back, 1) == 0)
		*(volatile char *)(page + 9) = 1;
	assert_int_equal(caught.nr_calls, 1);
	assert_ptr_equal(caught.address, page + 9);
	assert_int_equal(caught.code, BUS_ADRERR);
	assert_int_equal(caught.was_blocked, 3);
}

/* The pages before and behind a section are not its. */
static void neighbours(struct bench *bench)
{
	struct false_kernel kernel;
	char *pages = mmap(NULL, 6 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("neighbour", MFD_CLOEXEC);
	struct vepc_vm *vm;

	false_init(&kernel);
	kernel.map_at = pages + PAGE;
	kernel.backed_bytes = 0;
	vm = false_vm(&kernel, 1, NR_PAGES * PAGE);
	for (unsigned int i = 0; i < 6; i += 5)
		assert_true(mmap(pages + i * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
				 0) == pages + i * PAGE);
	set_handler(note_caught, SA_SIGINFO, 0);
	assert_int_equal(vepc_vm_guard(vm, refused_and_left, bench), 0);
	for (unsigned int i = 0; i < 6; i++)
		if (sigsetjmp(caught.back, 1) == 0)
			(void)*(volatile char *)(pages + i * PAGE + (i ? 0 : PAGE - 1));
	assert_int_equal(caught.nr_calls, 2);
	assert_int_equal(bench->nr_calls, NR_PAGES);
}

static void foreign_to_nodefer(struct bench *bench)
{
	set_handler(note_caught, SA_SIGINFO | SA_NODEFER, 0);
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	caught.returns = true;
	raise(SIGBUS);
	assert_int_equal(caught.nr_calls, 1);
	assert_int_equal(caught.was_blocked, 0);
}

static void foreign_to_plain(struct bench *bench)
{
	set_plain(exit_caught);
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	touch_foreign();
}

static void foreign_to_default(struct bench *bench)
{
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	touch_foreign();
}

static void foreign_to_ignored(struct bench *bench)
{
	set_plain(SIG_IGN);
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	touch_foreign();
}

static void foreign_once(struct bench *bench)
{
	set_handler(note_caught, SA_SIGINFO | (int)SA_RESETHAND, 0);
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	caught.returns = true;
	raise(SIGBUS);
	assert_int_equal(caught.nr_calls, 1);
	raise(SIGBUS);
}

static void sent_to_ignored(struct bench *bench)
{
	set_plain(SIG_IGN);
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	raise(SIGBUS);
}

static void sent_to_default(struct bench *bench)
{
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	raise(SIGBUS);
}

/* A memory error in a section is no refusal. It is queued, as nothing else can make one. */
static void memory_error(struct bench *bench)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AR };

	set_handler(note_caught, SA_SIGINFO, 0);
	assert_int_equal(vepc_vm_guard(bench->vm, refused, bench), 0);
	caught.returns = true;
	info.si_addr = bench->sections[0].address;
	assert_int_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info), 0);
	assert_int_equal(caught.nr_calls, 1);
	assert_int_equal(caught.code, BUS_MCEERR_AR);
	assert_int_equal(bench->nr_calls, 0);
}

/* A child has the handler and the table, but another mapping at the section's address. */
static void child_of_the_vmm(struct bench *bench)
{
	pid_t child;
	int status;

	set_plain(exit_caught);
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	child = fork();
	if (child == 0) {
		int fd = memfd_create("other", MFD_CLOEXEC);

		(void)!mmap(bench->sections[0].address, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd, 0);
		touch(bench, 0, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), CAUGHT);
}

static void every_other_sigbus(void **state)
{
	(void)state;
	exits_with(SURVIVED, foreign_to_siginfo);
	exits_with(SURVIVED, neighbours);
	exits_with(SURVIVED, foreign_to_nodefer);
	exits_with(CAUGHT, foreign_to_plain);
	dies_of_sigbus(foreign_to_default, "");
	dies_of_sigbus(foreign_to_ignored, "");
	dies_of_sigbus(foreign_once, "");
	exits_with(SURVIVED, sent_to_ignored);
	dies_of_sigbus(sent_to_default, "");
	exits_with(SURVIVED, memory_error);
	exits_with(SURVIVED, child_of_the_vmm);
}

/* ---- Guarding and its end ---- */

static bool is_handler(void (*handler)(int))
{
	struct sigaction now;

	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	return !(now.sa_flags & SA_SIGINFO) && now.sa_handler == handler;
}

static void guard_and_unguard(struct bench *bench)
{
	struct false_kernel kernel;
	struct vepc_vm *other;

	set_plain(exit_caught);
	false_init(&kernel);
	other = false_vm(&kernel, 0, 0);
	assert_int_equal(vepc_vm_guard(other, NULL, NULL), -ENXIO);
	assert_true(is_handler(exit_caught));
	assert_int_equal(vepc_section_open(other, NULL, PAGE, NULL), 0);
	assert_int_equal(vepc_vm_guard(bench->vm, refused, bench), 0);
	assert_int_equal(vepc_vm_guard(bench->vm, refused, bench), -EALREADY);
	assert_int_equal(vepc_section_open(bench->vm, NULL, PAGE, NULL), -EBUSY);
	assert_int_equal(vepc_vm_guard(other, NULL, NULL), 0);
	vepc_vm_unguard(bench->vm);
	vepc_vm_unguard(bench->vm);
	assert_false(is_handler(exit_caught));
	false_vm_free(&kernel, other);
	assert_true(is_handler(exit_caught));
	/* And once more. */
	bench->answer = VEPC_RETRY;
	bench->gives_pages = true;
	assert_int_equal(vepc_vm_guard(bench->vm, refused, bench), 0);
	touch(bench, 0, 1);
	assert_int_equal(bench->nr_calls, 1);
	vepc_vm_unguard(bench->vm);
	touch(bench, 1, 1); /* now it is the other one's */
}

/* Who came over ours stays; ours is not put over his, which may call ours. */
static void replaced_handler(struct bench *bench)
{
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	set_plain(exit_caught);
	vepc_vm_unguard(bench->vm);
	assert_true(is_handler(exit_caught));
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), 0);
	assert_true(is_handler(exit_caught));
}

static void full_table(struct bench *bench)
{
	static struct vepc_vm *vms[VEPC_NR_GUARDED_MAX / 8];
	struct false_kernel kernel;

	for (unsigned int i = 0; i < VEPC_NR_GUARDED_MAX / 8; i++) {
		false_init(&kernel);
		vms[i] = false_vm(&kernel, 8, PAGE);
		assert_int_equal(vepc_vm_guard(vms[i], NULL, NULL), 0);
	}
	assert_int_equal(vepc_vm_guard(bench->vm, NULL, NULL), -ENOSPC);
	assert_int_equal(vepc_section_open(bench->vm, NULL, PAGE, NULL), 0);
	vepc_vm_unguard(vms[3]);
	assert_int_equal(vepc_vm_guard(bench->vm, refused, bench), 0);
	bench->answer = VEPC_RETRY;
	bench->gives_pages = true;
	touch(bench, 1, 2);
	assert_int_equal(bench->nr_calls, 1);
}

static void guards_begin_and_end(void **state)
{
	(void)state;
	exits_with(CAUGHT, guard_and_unguard);
	exits_with(SURVIVED, replaced_handler);
	exits_with(SURVIVED, full_table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sentence_and_the_end),
		cmocka_unit_test(the_vmm_s_answers),
		cmocka_unit_test(every_other_sigbus),
		cmocka_unit_test(guards_begin_and_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
