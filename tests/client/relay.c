/* SPDX-License-Identifier: MIT */
/*
 * relay PID SOCKET BASE SIZE [BASE SIZE]...: executes ENCLS and ENCLU for the guest of the QEMU
 * with that PID, as a hypervisor would that intercepts them. The guest sends them over its second
 * serial port, which QEMU has as the unix socket SOCKET; tests/guest/relay.h says what is sent.
 * BASE and SIZE are the guest physical place of each section, in the order in which QEMU opened
 * them.
 *
 * QEMU's own descriptors are taken over (pidfd_getfd), since to open the node once more would be
 * another instance. So its instances live as long as this process, which ends with the socket.
 * What a leaf makes is charged to the cgroup that this process is in: start it in QEMU's.
 *
 * A hypervisor's exits take a thread out of its enclave; nobody tells the relay of those. So a
 * guest must have left its enclaves (EEXIT) when it is reset, or QEMU's reset finds EBUSY.
 *
 * Says "relay: ready" when it is. Exit code 0: QEMU has closed the socket; 1: said on stderr.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "epc/abi.h"

#define NR_SECTIONS_MAX 8u
#define NR_FILES_MAX 4096u
#define NODE_NAME "/sgx_vepc"
#define NR_WORDS 12u /* of a request */

#define LEAF_EINIT 2u
#define LEAF_EDBGRD 4u
#define LEAF_EWB 11u
#define LEAF_EACCEPT 5u /* ENCLU, and the first whose RBX is in the enclave */

struct section {
	int file;
	uint64_t id;
	uint64_t base, size;
};

struct relay {
	struct section sections[NR_SECTIONS_MAX];
	size_t nr_sections;
	FILE *in, *out;
};

static int failed(const char *what)
{
	fprintf(stderr, "relay: cannot %s: %s\n", what, strerror(errno));
	return -1;
}

/* Whether that descriptor of the process is open on the node, which may be unlinked by now. */
static bool is_node(int directory, const char *name)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(directory, name, target, sizeof(target) - 1);
	const char *end;

	if (length < 0)
		return false;
	target[length] = '\0';
	end = strstr(target, NODE_NAME);
	return end && (!end[strlen(NODE_NAME)] || !strcmp(end + strlen(NODE_NAME), " (deleted)"));
}

static int number_compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* The numbers of the process' descriptors of the node, in their order; how many, at most max. */
static int nodes_find(const char *pid, int *numbers, size_t max)
{
	char path[64];
	size_t count = 0;
	DIR *files;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	files = opendir(path);
	if (!files)
		return failed("list QEMU's files");
	for (size_t i = 0; i < NR_FILES_MAX; i++) {
		struct dirent *entry = readdir(files);

		if (!entry)
			break;
		if (is_node(dirfd(files), entry->d_name) && count < max)
			numbers[count++] = (int)strtol(entry->d_name, NULL, 10);
	}
	closedir(files);
	qsort(numbers, count, sizeof(numbers[0]), number_compare);
	return (int)count;
}

static int section_take(struct section *section, int pidfd, int number)
{
	struct epc_vepc_info info;

	section->file = pidfd_getfd(pidfd, number, 0);
	if (section->file < 0)
		return failed("take QEMU's file");
	if (ioctl(section->file, EPC_IOC_VEPC_INFO, &info))
		return failed("ask for the number of the instance");
	section->id = info.id;
	return 0;
}

static int sections_take(struct relay *relay, const char *pid)
{
	int numbers[NR_SECTIONS_MAX];
	int count = nodes_find(pid, numbers, NR_SECTIONS_MAX);
	int pidfd, result = 0;

	if (count < 0)
		return -1;
	if ((size_t)count != relay->nr_sections) {
		fprintf(stderr, "relay: QEMU has %d sections, not %zu\n", count,
			relay->nr_sections);
		return -1;
	}
	pidfd = pidfd_open((pid_t)strtol(pid, NULL, 10), 0);
	if (pidfd < 0)
		return failed("open QEMU's pidfd");
	for (int i = 0; i < count && !result; i++)
		result = section_take(&relay->sections[i], pidfd, numbers[i]);
	close(pidfd);
	return result;
}

static int line_connect(struct relay *relay, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (line < 0 || strlen(path) >= sizeof(address.sun_path))
		return failed("make a socket");
	memcpy(address.sun_path, path, strlen(path));
	if (connect(line, (const struct sockaddr *)&address, sizeof(address)))
		return failed("connect to QEMU");
	relay->in = fdopen(line, "r");
	relay->out = fdopen(dup(line), "w");
	return relay->in && relay->out ? 0 : failed("use the socket");
}

/* What the guest's physical address is; an address outside of the EPC has no instance. */
static struct epc_place place_of(const struct relay *relay, uint64_t address)
{
	for (size_t i = 0; i < relay->nr_sections; i++) {
		const struct section *section = &relay->sections[i];

		if (address >= section->base && address - section->base < section->size)
			return (struct epc_place){ section->id, address - section->base };
	}
	return (struct epc_place){ 0, 0 };
}

/* Hexadecimal bytes; what is missing is zero. */
static void bytes_parse(const char *word, __u8 *bytes, size_t size)
{
	memset(bytes, 0, size);
	for (size_t i = 0; i < size; i++) {
		if (sscanf(word + 2 * i, "%2hhx", &bytes[i]) != 1)
			return;
	}
}

static void bytes_write(FILE *out, const __u8 *bytes, size_t size)
{
	while (size && !bytes[size - 1])
		size--;
	fputs(size ? " " : " -", out);
	for (size_t i = 0; i < size; i++)
		fprintf(out, "%02x", bytes[i]);
}

static int request_parse(const struct relay *relay, char *line, struct epc_vepc_leaf *leaf)
{
	const char *words[NR_WORDS];
	uint64_t numbers[NR_WORDS] = { 0 };

	for (size_t i = 0; i < NR_WORDS; i++) {
		words[i] = strsep(&line, " ");
		if (!words[i])
			return -EINVAL;
		numbers[i] = strtoull(words[i], NULL, 16);
	}
	if (line || strcmp(words[0], "leaf") != 0)
		return -EINVAL;
	memset(leaf, 0, sizeof(*leaf));
	leaf->instruction = (__u32)numbers[1];
	leaf->leaf = (__u32)numbers[2];
	leaf->rbx = numbers[3];
	if (leaf->instruction == EPC_INSTRUCTION_ENCLU && leaf->leaf >= LEAF_EACCEPT)
		leaf->rbx_place = place_of(relay, numbers[3]);
	leaf->rcx = place_of(relay, numbers[4]);
	if (leaf->instruction != EPC_INSTRUCTION_ENCLS || leaf->leaf != LEAF_EINIT)
		leaf->rdx = place_of(relay, numbers[5]);
	leaf->rdx_linaddr = numbers[5];
	leaf->linaddr = numbers[6];
	leaf->srcpge = numbers[7];
	leaf->secinfo = numbers[8];
	leaf->secs = place_of(relay, numbers[9]);
	bytes_parse(words[10], leaf->info, sizeof(leaf->info));
	bytes_parse(words[11], leaf->data, sizeof(leaf->data));
	return 0;
}

/* The others leave info and data as they were, and the line to the guest is slow. */
static bool is_writing(const struct epc_vepc_leaf *leaf)
{
	return leaf->instruction == EPC_INSTRUCTION_ENCLS &&
	       (leaf->leaf == LEAF_EDBGRD || leaf->leaf == LEAF_EWB);
}

static void leaf_answer(struct relay *relay, char *line)
{
	struct epc_vepc_leaf leaf;
	int error = request_parse(relay, line, &leaf);

	if (!error && ioctl(relay->sections[0].file, EPC_IOC_VEPC_LEAF, &leaf))
		error = -errno;
	if (error) {
		fprintf(relay->out, "error %x\n", -error);
		return;
	}
	fprintf(relay->out, "result %x %" PRIx64, leaf.result, (uint64_t)leaf.linaddr);
	bytes_write(relay->out, leaf.info, is_writing(&leaf) ? sizeof(leaf.info) : 0);
	bytes_write(relay->out, leaf.data, is_writing(&leaf) ? sizeof(leaf.data) : 0);
	fputc('\n', relay->out);
}

static void serve(struct relay *relay)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, relay->in) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "sync"))
			fputs("synced\n", relay->out);
		else if (*line)
			leaf_answer(relay, line);
		if (fflush(relay->out))
			break;
	}
	free(line);
}

int main(int argc, char **argv)
{
	struct relay relay = { .nr_sections = 0 };

	if (argc < 5 || argc % 2 == 0 || argc > (int)(3 + 2 * NR_SECTIONS_MAX)) {
		fprintf(stderr, "usage: relay PID SOCKET BASE SIZE [BASE SIZE]...\n");
		return 1;
	}
	for (int i = 3; i < argc; i += 2) {
		struct section *section = &relay.sections[relay.nr_sections++];

		section->base = strtoull(argv[i], NULL, 0);
		section->size = strtoull(argv[i + 1], NULL, 0);
	}
	if (sections_take(&relay, argv[1]) || line_connect(&relay, argv[2]))
		return 1;
	signal(SIGPIPE, SIG_IGN); /* QEMU may end before its answer */
	puts("relay: ready");
	fflush(stdout);
	serve(&relay);
	return 0;
}
