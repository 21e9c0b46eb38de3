/* SPDX-License-Identifier: MIT */
/*
 * Other processors, by INIT and SIPI to all of them. See smp.h.
 */
#include "smp.h"

#include <stddef.h>

#define APIC_COMMAND 0xfee00300u
#define APIC_INIT_OTHERS 0x000c4500u
#define APIC_START_OTHERS 0x000c4600u /* and the number of the page to begin at */
#define PROCESSOR_CODE 0x8000u	      /* boot.S is assembled for that place */
#define NR_PAUSES 10000u

struct job {
	void (*work)(void *context, uint32_t number);
	void *context;
	uint32_t nr_others;
};

void smp_main(uint32_t ticket);

extern const char processor_code[], processor_code_end[];

uint32_t smp_nr_begun; /* boot.S draws numbers from it */
static uint32_t nr_done;
static struct job job;

static void apic_command(uint32_t command)
{
	*(volatile uint32_t *)(uintptr_t)APIC_COMMAND = command;
}

/* boot.S calls it, once on each of the other processors. */
void smp_main(uint32_t ticket)
{
	if (ticket >= job.nr_others)
		return;
	job.work(job.context, ticket + 1);
	__atomic_fetch_add(&nr_done, 1, __ATOMIC_RELEASE);
}

void smp_begin(uint32_t nr_others, void (*work)(void *context, uint32_t number), void *context)
{
	volatile char *place = (volatile char *)(uintptr_t)PROCESSOR_CODE;

	job = (struct job){ .work = work, .context = context, .nr_others = nr_others };
	nr_done = 0;
	__atomic_store_n(&smp_nr_begun, 0, __ATOMIC_SEQ_CST);
	if (!nr_others)
		return;
	for (ptrdiff_t i = 0; i < processor_code_end - processor_code; i++)
		place[i] = processor_code[i];
	apic_command(APIC_INIT_OTHERS);
	/* One that has not seen the INIT yet, or runs already, ignores it: so say it again. */
	while (__atomic_load_n(&smp_nr_begun, __ATOMIC_SEQ_CST) < nr_others) {
		apic_command(APIC_START_OTHERS | PROCESSOR_CODE >> 12);
		for (uint32_t i = 0; i < NR_PAUSES; i++)
			__asm__ volatile("pause");
	}
}

void smp_finish(void)
{
	job.work(job.context, 0);
	while (__atomic_load_n(&nr_done, __ATOMIC_ACQUIRE) < job.nr_others)
		__asm__ volatile("pause");
}
