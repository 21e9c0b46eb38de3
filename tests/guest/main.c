/* SPDX-License-Identifier: MIT */
/*
 * The test guest: takes one command a line from the serial line and answers each with one line.
 *
 *   hello                        hello, N sections
 *   map N BASE SIZE              mapped N: P pages at BASE
 *   write N FIRST LAST SEED      wrote N FIRST LAST SEED
 *   verify N FIRST LAST SEED     verified N FIRST LAST SEED | bad page P offset O: got X want Y
 *   zero N FIRST LAST            clean N FIRST LAST | bad page ...
 *   touch N FIRST LAST           touched N FIRST LAST
 *   hammer N FIRST LAST SEED CPUS ROUNDS   "hammering", then hammered N FIRST ... | bad page ...
 *                                (CPUS processors write and verify the pages, ROUNDS times)
 *
 * and, where somebody executes ENCLS for it (relay.h), with E the number of an enclave:
 *
 *   enclave E SN SP N FIRST COUNT   built E ... (SECS: page SP of section SN; see enclave.h)
 *   remove E                        removed E
 *   leaf INSTRUCTION RAX RBX RCX RDX   leaf RAX RBX zf Z cf C  (see leaf.h for what RAX can be)
 *   poke ADDRESS A B C D            poked ADDRESS ...  (four words of 8 bytes)
 *   peek ADDRESS                    peeked ADDRESS WORD
 *
 * N is the number of a section, FIRST and LAST are pages of it, LAST included. Anything else is
 * answered with "error: ...". How pages are filled is pattern.c's.
 */
#include "console.h"
#include "enclave.h"
#include "leaf.h"
#include "pattern.h"
#include "smp.h"
#include "trap.h"

#define NR_SECTIONS_MAX 8u
#define NR_ENCLAVES_MAX 64u
#define NR_WORDS_MAX 8u
#define LINE_BYTES 128u
#define MAPPED_BYTES (UINT64_C(64) << 30) /* boot.S maps so much */

struct section {
	uint64_t base;
	uint64_t nr_pages;
};

struct enclave {
	uint64_t secs, first, nr_pages; /* nr_pages 0: there is none of that number */
};

/* A command: its words, and the numbers that the words after the first are. */
struct command {
	const char *words[NR_WORDS_MAX];
	uint64_t numbers[NR_WORDS_MAX];
	size_t nr_words;
};

struct verb {
	const char *name;
	size_t nr_words;
	void (*run)(const struct command *command);
};

void guest_main(void);

static struct section sections[NR_SECTIONS_MAX];
static struct enclave enclaves[NR_ENCLAVES_MAX];

static bool text_equals(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a == *b;
}

/* The value of a digit, or base and more when it is none. */
static uint64_t digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return (uint64_t)(digit - '0');
	if (digit >= 'a' && digit <= 'f')
		return (uint64_t)(digit - 'a') + 10;
	return UINT64_MAX;
}

/* Decimal, or hexadecimal with 0x. */
static bool number_parse(const char *text, uint64_t *number)
{
	uint64_t base = 10;

	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	*number = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		uint64_t value = digit_value(*text);

		if (value >= base || *number > (UINT64_MAX - value) / base)
			return false;
		*number = *number * base + value;
	}
	return true;
}

/* Cuts the line at its spaces, in place. */
static void command_split(struct command *command, char *line)
{
	command->nr_words = 0;
	while (command->nr_words < NR_WORDS_MAX) {
		while (*line == ' ')
			*line++ = '\0';
		if (!*line)
			return;
		command->words[command->nr_words++] = line;
		while (*line && *line != ' ')
			line++;
	}
}

static void error_write(const char *text)
{
	console_write("error: ");
	console_write(text);
	console_write("\n");
}

/* The answer is the word and the command's numbers again. */
static void answer_write(const char *word, const struct command *command)
{
	console_write(word);
	for (size_t i = 1; i < command->nr_words; i++) {
		console_write(" ");
		console_write_number(command->numbers[i]);
	}
	console_write("\n");
}

static void difference_write(const struct pattern_difference *difference)
{
	console_write("bad page ");
	console_write_number(difference->page);
	console_write(" offset ");
	console_write_number(difference->offset);
	console_write(": got ");
	console_write_hex(difference->got);
	console_write(" want ");
	console_write_hex(difference->want);
	console_write("\n");
}

/* The pages that the command names, or an answer that says why there are none. */
static bool command_range(const struct command *command, struct pattern_range *range)
{
	const struct section *section;

	if (command->numbers[1] >= NR_SECTIONS_MAX) {
		error_write("no such section");
		return false;
	}
	section = &sections[command->numbers[1]];
	range->section = command->numbers[1];
	range->words = (volatile uint64_t *)section->base;
	range->first = command->numbers[2];
	range->last = command->numbers[3];
	if (range->last >= section->nr_pages || range->first > range->last) {
		error_write("no such pages, or not mapped");
		return false;
	}
	return true;
}

static void hello_run(const struct command *command)
{
	uint64_t nr_sections = 0;

	(void)command;
	for (size_t i = 0; i < NR_SECTIONS_MAX; i++)
		nr_sections += sections[i].nr_pages != 0;
	console_write("hello, ");
	console_write_number(nr_sections);
	console_write(" sections\n");
}

static void map_run(const struct command *command)
{
	uint64_t base = command->numbers[2], size = command->numbers[3];

	if (command->numbers[1] >= NR_SECTIONS_MAX) {
		error_write("no such section");
		return;
	}
	if (base % PAGE_BYTES || base > MAPPED_BYTES || size > MAPPED_BYTES - base) {
		error_write("not in the first 64 GiB, or no multiple of a page");
		return;
	}
	sections[command->numbers[1]].base = base;
	sections[command->numbers[1]].nr_pages = size / PAGE_BYTES;
	console_write("mapped ");
	console_write_number(command->numbers[1]);
	console_write(": ");
	console_write_number(size / PAGE_BYTES);
	console_write(" pages at ");
	console_write_hex(base);
	console_write("\n");
}

static void write_run(const struct command *command)
{
	struct pattern_range range;

	if (!command_range(command, &range))
		return;
	pattern_write(&range, command->numbers[4]);
	answer_write("wrote", command);
}

static void verify_run(const struct command *command)
{
	struct pattern_range range;
	struct pattern_difference difference;

	if (!command_range(command, &range))
		return;
	if (pattern_verify(&range, command->numbers[4], &difference))
		answer_write("verified", command);
	else
		difference_write(&difference);
}

static void zero_run(const struct command *command)
{
	struct pattern_range range;
	struct pattern_difference difference;

	if (!command_range(command, &range))
		return;
	if (pattern_is_zero(&range, &difference))
		answer_write("clean", command);
	else
		difference_write(&difference);
}

static void touch_run(const struct command *command)
{
	struct pattern_range range;

	if (!command_range(command, &range))
		return;
	(void)pattern_touch(&range);
	answer_write("touched", command);
}

struct hammer {
	struct pattern_range range;
	uint64_t seed;
	uint64_t nr_rounds;
	uint64_t nr_processors;
	struct pattern_difference differences[SMP_NR_PROCESSORS_MAX + 1];
	bool differs[SMP_NR_PROCESSORS_MAX + 1];
};

/* One processor's share: every nr_processors'th page. */
static void hammer_share(void *context, uint32_t number)
{
	struct hammer *hammer = context;
	struct pattern_range page = hammer->range;

	for (uint64_t i = 0; i < hammer->nr_rounds; i++) {
		for (uint64_t index = hammer->range.first + number; index <= hammer->range.last;
		     index += hammer->nr_processors) {
			page.first = index;
			page.last = index;
			pattern_write(&page, hammer->seed + i);
			if (!pattern_verify(&page, hammer->seed + i,
					    &hammer->differences[number])) {
				hammer->differs[number] = true;
				return;
			}
		}
	}
}

static void hammer_run(const struct command *command)
{
	struct hammer hammer;

	if (!command_range(command, &hammer.range))
		return;
	hammer.seed = command->numbers[4];
	hammer.nr_processors = command->numbers[5];
	hammer.nr_rounds = command->numbers[6];
	if (!hammer.nr_processors || hammer.nr_processors > SMP_NR_PROCESSORS_MAX + 1) {
		error_write("not so many processors");
		return;
	}
	for (uint32_t i = 0; i < hammer.nr_processors; i++)
		hammer.differs[i] = false;
	smp_begin((uint32_t)hammer.nr_processors - 1, hammer_share, &hammer);
	console_write("hammering\n");
	smp_finish();
	for (uint32_t i = 0; i < hammer.nr_processors; i++) {
		if (hammer.differs[i]) {
			difference_write(&hammer.differences[i]);
			return;
		}
	}
	answer_write("hammered", command);
}

static void failure_write(const struct enclave_failure *failure)
{
	console_write("error: ");
	console_write(failure->leaf);
	console_write(" of page ");
	console_write_hex(failure->page);
	console_write(" gave ");
	console_write_hex(failure->result);
	console_write("\n");
}

/* The enclave that the command names, or an answer and NULL. */
static struct enclave *command_enclave(const struct command *command)
{
	if (command->numbers[1] < NR_ENCLAVES_MAX)
		return &enclaves[command->numbers[1]];
	error_write("no such enclave");
	return NULL;
}

static bool is_in_section(uint64_t section, uint64_t first, uint64_t count)
{
	return section < NR_SECTIONS_MAX && first < sections[section].nr_pages && count &&
	       count <= sections[section].nr_pages - first;
}

static void enclave_run(const struct command *command)
{
	const uint64_t *numbers = command->numbers;
	struct enclave *enclave = command_enclave(command);
	struct enclave_failure failure;

	if (!enclave)
		return;
	if (!is_in_section(numbers[2], numbers[3], 1) ||
	    !is_in_section(numbers[4], numbers[5], numbers[6])) {
		error_write("no such pages, or not mapped");
		return;
	}
	enclave->secs = sections[numbers[2]].base + numbers[3] * PAGE_BYTES;
	enclave->first = sections[numbers[4]].base + numbers[5] * PAGE_BYTES;
	enclave->nr_pages = numbers[6];
	if (enclave_build(enclave->secs, enclave->first, enclave->nr_pages, &failure))
		answer_write("built", command);
	else
		failure_write(&failure);
}

static void remove_run(const struct command *command)
{
	struct enclave *enclave = command_enclave(command);
	struct enclave_failure failure;

	if (!enclave)
		return;
	if (!enclave->nr_pages) {
		error_write("no such enclave");
		return;
	}
	if (!enclave_remove(enclave->secs, enclave->first, enclave->nr_pages, &failure)) {
		failure_write(&failure);
		return;
	}
	enclave->nr_pages = 0;
	answer_write("removed", command);
}

static void leaf_run(const struct command *command)
{
	struct leaf_registers registers = { .rax = command->numbers[2],
					    .rbx = command->numbers[3],
					    .rcx = command->numbers[4],
					    .rdx = command->numbers[5] };

	leaf_execute(command->numbers[1] ? LEAF_ENCLU : LEAF_ENCLS, &registers);
	console_write("leaf ");
	console_write_hex(registers.rax);
	console_write(" ");
	console_write_hex(registers.rbx);
	console_write(registers.is_zero ? " zf 1" : " zf 0");
	console_write(registers.is_carry ? " cf 1\n" : " cf 0\n");
}

static void poke_run(const struct command *command)
{
	volatile uint64_t *words = (volatile uint64_t *)command->numbers[1];

	for (size_t i = 0; i < 4; i++)
		words[i] = command->numbers[2 + i];
	answer_write("poked", command);
}

static void peek_run(const struct command *command)
{
	console_write("peeked ");
	console_write_hex(command->numbers[1]);
	console_write(" ");
	console_write_hex(*(volatile uint64_t *)command->numbers[1]);
	console_write("\n");
}

static const struct verb verbs[] = {
	{ "hello", 1, hello_run },   { "map", 4, map_run },	    { "write", 5, write_run },
	{ "verify", 5, verify_run }, { "zero", 4, zero_run },	    { "touch", 4, touch_run },
	{ "hammer", 7, hammer_run }, { "enclave", 7, enclave_run }, { "remove", 2, remove_run },
	{ "leaf", 6, leaf_run },     { "poke", 6, poke_run },	    { "peek", 2, peek_run },
};

static void command_run(struct command *command)
{
	const struct verb *verb = NULL;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]) && !verb; i++) {
		if (command->nr_words && text_equals(command->words[0], verbs[i].name))
			verb = &verbs[i];
	}
	if (!verb) {
		error_write("no such command");
		return;
	}
	if (command->nr_words != verb->nr_words) {
		error_write("wrong number of words");
		return;
	}
	for (size_t i = 1; i < command->nr_words; i++) {
		if (!number_parse(command->words[i], &command->numbers[i])) {
			error_write("not a number");
			return;
		}
	}
	verb->run(command);
}

void guest_main(void)
{
	char line[LINE_BYTES];
	struct command command;

	trap_init();
	console_init();
	console_write("guest: ready\n");
	for (;;) {
		console_read_line(line, sizeof(line));
		command_split(&command, line);
		command_run(&command);
	}
}
