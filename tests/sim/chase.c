/* SPDX-License-Identifier: MIT */
#include "sim.h"
const struct sim_chase sim_chases[] = {
	{ 0 },
};
const unsigned int sim_nr_chases = 0;
