/* SPDX-License-Identifier: MIT */
/*
 * The guest's other processors, started for one piece of work and stopped after it. What work that
 * is does not belong here.
 */
#ifndef EPCD_GUEST_SMP_H
#define EPCD_GUEST_SMP_H

#include <stdint.h>

#define SMP_NR_PROCESSORS_MAX 16u /* besides the first; boot.S has stacks for so many */

/*
 * Starts nr_others processors, which there must be, and returns when all of them run. Number 1 to
 * nr_others call work(context, number).
 */
void smp_begin(uint32_t nr_others, void (*work)(void *context, uint32_t number), void *context);

/* Does the work of number 0 and waits for the others. */
void smp_finish(void);

#endif
