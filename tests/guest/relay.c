/* SPDX-License-Identifier: MIT */
/*
 * Words on COM2. See relay.h.
 */
#include "relay.h"

#include "serial.h"

#define WORD_BYTES 16

/* In .bss: a guest that was reset knows nothing of what the line was in the middle of. */
static bool is_synced;
static bool is_at_end; /* of the answer's line */

static bool is_synced_word(const char *word)
{
	const char *wanted = "synced";

	for (; *wanted && *word == *wanted; word++, wanted++)
		;
	return !*word && !*wanted;
}

bool relay_begin(void)
{
	char word[WORD_BYTES];

	if (!serial_is_there(SERIAL_COM2))
		return false;
	is_at_end = false;
	if (is_synced)
		return true;
	serial_init(SERIAL_COM2, false);
	relay_write("\nsync\n");
	do {
		is_at_end = false;
		relay_read_word(word, sizeof(word));
	} while (!is_at_end || !is_synced_word(word));
	is_at_end = false;
	is_synced = true;
	return true;
}

void relay_write(const char *text)
{
	for (; *text; text++)
		serial_write(SERIAL_COM2, *text);
}

static void digit_write(uint64_t digit)
{
	serial_write(SERIAL_COM2, "0123456789abcdef"[digit & 0xf]);
}

void relay_write_number(uint64_t number)
{
	int shift = 60;

	while (shift > 0 && !(number >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		digit_write(number >> shift);
}

void relay_write_bytes(const uint8_t *bytes, size_t size)
{
	while (size && !bytes[size - 1])
		size--;
	if (!size)
		serial_write(SERIAL_COM2, '-');
	for (size_t i = 0; i < size; i++) {
		digit_write(bytes[i] >> 4);
		digit_write(bytes[i]);
	}
}

/* The next byte of the word, '\0' at its end. */
static char word_byte(void)
{
	char byte = is_at_end ? '\n' : serial_read(SERIAL_COM2);

	is_at_end = byte == '\n';
	return byte == '\n' || byte == ' ' ? '\0' : byte;
}

void relay_read_word(char *word, size_t size)
{
	size_t length = 0;
	char byte;

	for (byte = word_byte(); byte; byte = word_byte()) {
		if (length + 1 < size)
			word[length++] = byte;
	}
	word[length] = '\0';
}

static uint8_t digit_value(char digit)
{
	return (uint8_t)(digit >= 'a' ? digit - 'a' + 10 : digit - '0');
}

uint64_t relay_read_number(void)
{
	uint64_t number = 0;
	char byte;

	for (byte = word_byte(); byte; byte = word_byte())
		number = number << 4 | digit_value(byte);
	return number;
}

void relay_read_bytes(uint8_t *bytes, size_t size)
{
	size_t length = 0;
	char byte;

	for (byte = word_byte(); byte && byte != '-'; byte = word_byte()) {
		uint8_t high = digit_value(byte);

		if (length < size)
			bytes[length++] = (uint8_t)(high << 4 | digit_value(word_byte()));
	}
	if (byte)
		(void)word_byte();
	for (; length < size; length++)
		bytes[length] = 0;
}
