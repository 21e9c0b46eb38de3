/* SPDX-License-Identifier: MIT */
/* See random.h. */
#include "random.h"

/* A counter that is scrambled by two multiplications; the constants are odd and have no pattern. */
static uint64_t scramble(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x9fb21c651e98df25);
	x ^= x >> 29;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ (x >> 32);
}

uint64_t random_next(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return scramble(*state);
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return limit ? random_next(state) % limit : 0;
}

bool random_chance(uint64_t *state, unsigned int one_in)
{
	return random_below(state, one_in) == 0;
}

uint64_t random_mix(uint64_t seed, uint64_t number)
{
	return scramble(scramble(seed + 1) + number * UINT64_C(0x9e3779b97f4a7c15));
}
