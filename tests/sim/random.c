/* SPDX-License-Identifier: MIT */
/*
 * The simulator's only source of chance: one 64-bit state, so that a seed replays exactly.
 */
#include "sim.h"

/* A counter that is scrambled by two multiplications; the constants are odd and have no pattern. */
static uint64_t scramble(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x9fb21c651e98df25);
	x ^= x >> 29;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ (x >> 32);
}

uint64_t sim_random(struct sim *sim)
{
	sim->random += UINT64_C(0x9e3779b97f4a7c15);
	return scramble(sim->random);
}

uint64_t sim_below(struct sim *sim, uint64_t limit)
{
	return limit ? sim_random(sim) % limit : 0;
}

bool sim_chance(struct sim *sim, unsigned int one_in)
{
	return sim_below(sim, one_in) == 0;
}

uint64_t sim_seed_mix(uint64_t seed, uint64_t number)
{
	return scramble(scramble(seed + 1) + number * UINT64_C(0x9e3779b97f4a7c15));
}
