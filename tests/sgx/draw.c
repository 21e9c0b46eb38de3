/* SPDX-License-Identifier: MIT */
/* See draw.h. */
#include "draw.h"

/* A counter that is scrambled by two multiplications; the constants are odd and have no pattern. */
static uint64_t scramble(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd2b74407b1ce6e93);
	x ^= x >> 29;
	x *= UINT64_C(0xca5a826395121157);
	return x ^ (x >> 32);
}

void draw_from_seed(struct draw *draw, uint64_t seed)
{
	*draw = (struct draw){ .state = scramble(seed + 1) };
}

void draw_from_bytes(struct draw *draw, const uint8_t *bytes, size_t size)
{
	static const uint8_t nothing[1];

	if (!size)
		bytes = nothing;
	*draw = (struct draw){ .at = bytes, .end = bytes + size };
}

bool draw_is_over(const struct draw *draw)
{
	return draw->at && draw->at == draw->end;
}

static uint8_t next_byte(struct draw *draw)
{
	return draw->at < draw->end ? *draw->at++ : 0;
}

uint32_t draw_below(struct draw *draw, uint32_t limit)
{
	uint32_t number;

	if (draw->at) {
		number = next_byte(draw);
		if (limit > 256)
			number = number << 8 | next_byte(draw);
		return number % limit;
	}
	draw->state += UINT64_C(0x9e3779b97f4a7c15);
	number = (uint32_t)(scramble(draw->state) >> 32);
	return (uint32_t)((uint64_t)number * limit >> 32);
}

/* With bytes, 0 says no: what is over, or small, is what happens mostly. */
bool draw_chance(struct draw *draw, uint32_t one_in)
{
	return draw_below(draw, one_in) == one_in - 1;
}
