/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a sequence of leaves with good and bad operands: the processor does what the model
 * of it does (tests/sgx/driver.h has how bytes become leaves). The first byte says whether there
 * are contents.
 */
#include <stdbool.h>

#include "../sgx/driver.h"
#include "input.h"

#define STEPS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct driver_figures figures = { .nr_leaves = 0 };
	struct driver *driver;
	bool has_contents;
	struct draw draw;

	draw_from_bytes(&draw, bytes, size);
	has_contents = draw_chance(&draw, 4);
	driver = driver_new(draw, !has_contents, MODEL_BREAK_NONE, &figures);
	for (unsigned int i = 0; i < STEPS_MAX && !draw_is_over(&driver->draw); i++) {
		if (driver_step(driver))
			continue;
		fprintf(stderr, "after %s: %s\n", driver->leaf, driver->complaint);
		MUST(false, "processor and model differ");
	}
	driver_free(driver);
	return 0;
}
