/* SPDX-License-Identifier: MIT */
/* Chance from one 64-bit state, so that a seed replays exactly. */
#ifndef EPCD_SIM_RANDOM_H
#define EPCD_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit); /* 0 for 0 */
bool random_chance(uint64_t *state, unsigned int one_in);
/* A state for the number-th run of a seed. */
uint64_t random_mix(uint64_t seed, uint64_t number);

#endif
