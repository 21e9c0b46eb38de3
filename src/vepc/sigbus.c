/* SPDX-License-Identifier: MIT */
/*
 * The SIGBUS handler: finds the section that a fault was in, has the device asked why, and calls
 * the VMM or ends the process; hands every other SIGBUS to whoever had it before. What the sentence
 * says is refusal.c's. Interface and rules: epc/vepc.h.
 *
 * A signal handler has no argument of its own, so its table is one for the process: the only
 * variable of this library. It is read by the handler without a lock and changed under one, slot by
 * slot: a slot's sequence is odd while it changes, and a reader that sees another one afterwards
 * than before takes what he read for nothing. That cannot hide a fault: a section's slot only
 * changes while no thread may touch the section.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vepc/internal.h"

#define EXIT_BY_SIGBUS (128 + SIGBUS) /* as shells have it; if even the default action fails */

/* One guarded section. */
struct slot {
	atomic_uint sequence;
	atomic_uintptr_t begin; /* address; 0: the slot is free */
	atomic_size_t size_bytes;
	atomic_int owner; /* the process: a child has the table too, but not the mapping */
	atomic_int fd;
	atomic_uint section;
	_Atomic(const struct vepc_device_ops *) ops;
	_Atomic(void *) ops_context;
	_Atomic(vepc_refused_fn *) refused;
	_Atomic(void *) context;
};

/* A handler that was there before ours. Never freed: some thread may be about to call it. */
struct previous {
	struct sigaction action;
	atomic_bool is_spent; /* SA_RESETHAND: it has had its call */
	struct previous *older;
};

struct guard_table {
	pthread_mutex_t lock; /* around changes */
	unsigned int nr_guarded;
	bool is_installed;
	_Atomic(struct previous *) previous; /* the one to call */
	struct previous *known;		     /* all that there were, each once */
	struct slot slots[VEPC_NR_GUARDED_MAX];
};

static struct guard_table guards = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What the handler takes out of a slot. */
struct guarded {
	struct vepc_asked asked;
	uint64_t offset;
	pid_t owner;
	vepc_refused_fn *refused;
	void *context;
};

/* Acquires, so that the last look at sequence is not taken before them. */
#define LOAD(slot, field) atomic_load_explicit(&(slot)->field, memory_order_acquire)

static bool slot_read(struct slot *slot, uintptr_t address, struct guarded *guarded)
{
	unsigned int sequence = LOAD(slot, sequence);
	uintptr_t begin = LOAD(slot, begin);

	if (sequence % 2 || !begin || address < begin || address - begin >= LOAD(slot, size_bytes))
		return false;
	guarded->offset = address - begin;
	guarded->owner = LOAD(slot, owner);
	guarded->refused = LOAD(slot, refused);
	guarded->context = LOAD(slot, context);
	guarded->asked.ops = LOAD(slot, ops);
	guarded->asked.ops_context = LOAD(slot, ops_context);
	guarded->asked.fd = LOAD(slot, fd);
	guarded->asked.section = LOAD(slot, section);
	return LOAD(slot, sequence) == sequence;
}

static bool table_find(uintptr_t address, struct guarded *guarded)
{
	for (unsigned int i = 0; i < VEPC_NR_GUARDED_MAX; i++)
		if (slot_read(&guards.slots[i], address, guarded))
			return guarded->owner == getpid();
	return false;
}

/* Under the lock. part NULL: the slot becomes free. */
static void slot_write(struct slot *slot, const struct vepc_vm *vm, const struct vepc_part *part,
		       vepc_refused_fn *refused, void *context)
{
	/* Sequentially consistent all along: changes are rare, and the order is the point. */
	atomic_fetch_add(&slot->sequence, 1);
	atomic_store(&slot->begin, part ? (uintptr_t)part->section.address : 0);
	atomic_store(&slot->size_bytes, part ? part->section.size_bytes : 0);
	atomic_store(&slot->owner, getpid());
	atomic_store(&slot->fd, part ? part->section.fd : -1);
	atomic_store(&slot->section, part ? (unsigned int)(part - vm->parts) : 0);
	atomic_store(&slot->ops, part ? vm->ops : NULL);
	atomic_store(&slot->ops_context, part ? vm->ops_context : NULL);
	atomic_store(&slot->refused, refused);
	atomic_store(&slot->context, context);
	atomic_fetch_add(&slot->sequence, 1);
}

static void set_mask(int how, int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	pthread_sigmask(how, &set, NULL);
}

/* The end that a SIGBUS has when nobody handles it. */
static void die(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
	set_mask(SIG_UNBLOCK, SIGBUS);
	raise(SIGBUS);
	_exit(EXIT_BY_SIGBUS);
}

static void say(const struct vepc_refusal *refusal)
{
	static const char prefix[] = "libvepc: ";
	char text[sizeof(prefix) + VEPC_SENTENCE_MAX];
	size_t length = sizeof(prefix) - 1;
	const char *rest = text;

	memcpy(text, prefix, length);
	length += vepc_refusal_format(refusal, text + length, VEPC_SENTENCE_MAX);
	text[length++] = '\n';
	while (length) {
		ssize_t written = write(STDERR_FILENO, rest, length);

		if (written <= 0 && errno != EINTR)
			return; /* there is nobody to tell it to either */
		if (written > 0) {
			rest += written;
			length -= (size_t)written;
		}
	}
}

static void handle(const struct guarded *guarded)
{
	struct vepc_refusal refusal;

	vepc_refusal_ask(&guarded->asked, guarded->offset, &refusal);
	if (guarded->refused && guarded->refused(guarded->context, &refusal) == VEPC_RETRY)
		return;
	say(&refusal);
	die();
}

/* What the kernel would do without us. It restores the mask when our handler returns. */
static void call_previous(int number, siginfo_t *info, void *ucontext)
{
	struct previous *previous = atomic_load(&guards.previous);
	const struct sigaction *action = &previous->action;
	bool is_info = action->sa_flags & SA_SIGINFO;

	if (!is_info && action->sa_handler == SIG_IGN) {
		/* A fault is not ignored: the access would be done again and again. */
		if (info->si_code > 0 && info->si_code != BUS_MCEERR_AO)
			die();
		return;
	}
	if (!is_info && action->sa_handler == SIG_DFL)
		die();
	if ((action->sa_flags & (int)SA_RESETHAND) && atomic_exchange(&previous->is_spent, true))
		die();
	pthread_sigmask(SIG_BLOCK, &action->sa_mask, NULL);
	if (action->sa_flags & SA_NODEFER)
		set_mask(SIG_UNBLOCK, SIGBUS);
	if (is_info)
		action->sa_sigaction(number, info, ucontext);
	else
		action->sa_handler(number);
}

static void on_sigbus(int number, siginfo_t *info, void *ucontext)
{
	struct guarded guarded;
	int saved = errno;

	if (info->si_code == BUS_ADRERR && table_find((uintptr_t)info->si_addr, &guarded))
		handle(&guarded);
	else
		call_previous(number, info, ucontext);
	errno = saved;
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_sigbus;
}

static bool is_same(const struct sigaction *one, const struct sigaction *other)
{
	if (one->sa_flags != other->sa_flags || one->sa_handler != other->sa_handler)
		return false;
	for (int number = 1; number < NSIG; number++)
		if (sigismember(&one->sa_mask, number) != sigismember(&other->sa_mask, number))
			return false;
	return true;
}

/* Under the lock. -ENOMEM. */
static int remember(const struct sigaction *action)
{
	struct previous *previous = guards.known;

	while (previous && !is_same(&previous->action, action))
		previous = previous->older;
	if (!previous) {
		previous = calloc(1, sizeof(*previous));
		if (!previous)
			return -ENOMEM;
		previous->action = *action;
		previous->older = guards.known;
		guards.known = previous;
	}
	atomic_store(&previous->is_spent, false);
	atomic_store(&guards.previous, previous);
	return 0;
}

/*
 * Under the lock. Once: if somebody has put his handler over ours, he may well call ours, and ours
 * over his would call his: for ever.
 */
static int install(void)
{
	struct sigaction ours = { .sa_sigaction = on_sigbus }, before;
	int error;

	if (guards.is_installed)
		return 0;
	/* Known before it is needed. */
	sigaction(SIGBUS, NULL, &before);
	error = remember(&before);
	if (error)
		return error;
	sigemptyset(&ours.sa_mask);
	ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & SA_RESTART);
	sigaction(SIGBUS, &ours, NULL);
	guards.is_installed = true;
	return 0;
}

/* Under the lock. */
static void restore(void)
{
	struct previous *previous = atomic_load(&guards.previous);
	struct sigaction now;

	sigaction(SIGBUS, NULL, &now);
	if (!is_ours(&now))
		return;
	sigaction(SIGBUS, &previous->action, NULL);
	guards.is_installed = false;
}

/* Under the lock. Frees, too, what vm has in the table. */
static void table_remove(const struct vepc_vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_sections; i++)
		for (unsigned int j = 0; j < VEPC_NR_GUARDED_MAX; j++) {
			struct slot *slot = &guards.slots[j];

			if (atomic_load(&slot->begin) == (uintptr_t)vm->parts[i].section.address) {
				slot_write(slot, NULL, NULL, NULL, NULL);
				guards.nr_guarded--;
			}
		}
}

/* Under the lock; there is room. */
static void table_add(const struct vepc_vm *vm, vepc_refused_fn *refused, void *context)
{
	unsigned int section = 0;

	for (unsigned int j = 0; j < VEPC_NR_GUARDED_MAX && section < vm->nr_sections; j++)
		if (!atomic_load(&guards.slots[j].begin)) {
			slot_write(&guards.slots[j], vm, &vm->parts[section++], refused, context);
			guards.nr_guarded++;
		}
}

int vepc_vm_guard(struct vepc_vm *vm, vepc_refused_fn *refused, void *context)
{
	int error = 0;

	if (!vm->nr_sections)
		return -ENXIO;
	if (vm->is_guarded)
		return -EALREADY;
	pthread_mutex_lock(&guards.lock);
	if (vm->nr_sections > VEPC_NR_GUARDED_MAX - guards.nr_guarded)
		error = -ENOSPC;
	if (!error)
		error = install();
	if (!error) {
		table_add(vm, refused, context);
		vm->is_guarded = true;
	}
	pthread_mutex_unlock(&guards.lock);
	return error;
}

void vepc_vm_unguard(struct vepc_vm *vm)
{
	if (!vm->is_guarded)
		return;
	pthread_mutex_lock(&guards.lock);
	table_remove(vm);
	vm->is_guarded = false;
	if (!guards.nr_guarded)
		restore();
	pthread_mutex_unlock(&guards.lock);
}
