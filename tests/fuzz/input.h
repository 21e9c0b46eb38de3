/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share: bytes become choices, one at a time, and a broken promise ends the
 * process. When the bytes are used up every choice is 0.
 */
#ifndef EPCD_FUZZ_INPUT_H
#define EPCD_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct input {
	const uint8_t *at, *end;
};

static inline uint8_t input_byte(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

#define MUST(condition, text)                                          \
	do {                                                           \
		if (!(condition)) {                                    \
			fprintf(stderr, "broken promise: " text "\n"); \
			abort();                                       \
		}                                                      \
	} while (0)

/* libFuzzer calls it with each input; it has no header of its own in C. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
