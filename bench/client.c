/* SPDX-License-Identifier: MIT */
/*
 * The measuring client: does with device files what a VM does, and prints what it took as one
 * line of JSON. It does not know that epcd answers one of them and the null server the other.
 * Where the work can be cut, it takes turns: a slice on one file, the same on the other, so that
 * what else the machine does meets both.
 * What does not belong here: starting servers, repeating, judging; bench/run does that.
 *
 * usage: client VERB BYTES PATH [FLOOR-PATH]
 *   touch             first touch of every page, one by one, in random order; both files
 *   populate          MADV_HUGEPAGE, MADV_POPULATE_WRITE, as QEMU; both files
 *   rewrite           passes of writes, against anonymous shared memory
 *   remove-all-clean  the ioctl on memory that was only read
 *   remove-all-dirty  the ioctl on memory that was written to
 *   large             populates in clusters without keeping host memory, resets, closes
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES ((size_t)4096)
#define IOC_REMOVE_ALL 0xA404u
#define NR_ROUNDS_MAX 10u /* of REMOVE_ALL, while SECS pages remain; QEMU does 2 */
#define NR_PASSES 3u
#define WINDOW_BYTES ((size_t)256 << 20)
#define NR_TOUCHED_PAGES ((size_t)64)	   /* a slice of touch */
#define POPULATED_BYTES ((size_t)32 << 20) /* a slice of populate */
#define REWRITTEN_BYTES ((size_t)16 << 20) /* a slice of rewrite */

/* An open device file with its mapping. */
struct device {
	int fd;
	size_t size;
	volatile uint8_t *bytes;
};

struct verb {
	const char *name;
	int nr_paths;
	int (*run_fn)(size_t size, const char *const paths[2]);
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Says what failed, with errno's text, and returns -errno. */
static int failed(const char *what)
{
	int error = errno;

	fprintf(stderr, "client: %s: %s\n", what, strerror(error));
	return error != 0 ? -error : -EIO;
}

static int device_open(struct device *device, const char *path, size_t size)
{
	void *bytes;

	device->fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->fd < 0)
		return failed(path);
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, 0);
	if (bytes == MAP_FAILED) {
		int error = failed("mmap of the device");

		close(device->fd);
		return error;
	}
	device->bytes = bytes;
	device->size = size;
	return 0;
}

static int device_remove_all(struct device *device)
{
	for (unsigned int round = 0; round < NR_ROUNDS_MAX; round++) {
		int remaining = ioctl(device->fd, IOC_REMOVE_ALL, 0);

		if (remaining < 0)
			return failed("REMOVE_ALL");
		if (remaining == 0)
			return 0;
	}
	errno = EBUSY;
	return failed("REMOVE_ALL leaves pages");
}

/* Resets before it closes, or the kernel would write back what nobody wants, into the next run. */
static int device_close(struct device *device)
{
	int error = device_remove_all(device);

	munmap((void *)device->bytes, device->size);
	close(device->fd);
	return error;
}

static int populate(volatile uint8_t *bytes, size_t size, int advice)
{
	if (madvise((void *)bytes, size, MADV_HUGEPAGE) != 0)
		return failed("MADV_HUGEPAGE");
	if (madvise((void *)bytes, size, advice) != 0)
		return failed("MADV_POPULATE");
	return 0;
}

/* xorshift64*: any order will do, but it must be the same in each run. */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545F4914F6CDD1D);
}

static void shuffle(uint32_t *order, size_t count)
{
	uint64_t state = 20210719;

	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (size_t i = count - 1; i > 0; i--) {
		size_t other = random_next(&state) % (i + 1);
		uint32_t kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
}

static int devices_open(struct device devices[2], const char *const paths[2], size_t size)
{
	int error = device_open(&devices[0], paths[0], size);

	if (error != 0)
		return error;
	error = device_open(&devices[1], paths[1], size);
	if (error != 0)
		device_close(&devices[0]);
	return error;
}

static int devices_close(struct device devices[2])
{
	int error = device_close(&devices[0]);
	int floor_error = device_close(&devices[1]);

	return error != 0 ? error : floor_error;
}

static uint64_t touch_ns(const struct device *device, const uint32_t *order, size_t count)
{
	uint64_t began_ns = now_ns();

	for (size_t i = 0; i < count; i++)
		(void)device->bytes[order[i] * PAGE_BYTES];
	return now_ns() - began_ns;
}

/* Prints a slice: what it took on the device, and on the floor. */
static void slice_print(size_t number, uint64_t ns, uint64_t floor_ns)
{
	printf("%s[%" PRIu64 ", %" PRIu64 "]", number == 0 ? "" : ", ", ns, floor_ns);
}

static int run_touch(size_t size, const char *const paths[2])
{
	size_t nr_pages = size / PAGE_BYTES;
	uint32_t *order = calloc(nr_pages, sizeof(*order));
	struct device devices[2];
	int error;

	if (order == NULL)
		return failed("memory");
	shuffle(order, nr_pages);
	error = devices_open(devices, paths, size);
	if (error != 0)
		goto free_order;
	printf("{\"slice_pages\": %zu, \"slices\": [", NR_TOUCHED_PAGES);
	for (size_t slice = 0; slice < nr_pages / NR_TOUCHED_PAGES; slice++) {
		const uint32_t *part = &order[slice * NR_TOUCHED_PAGES];
		uint64_t ns = touch_ns(&devices[0], part, NR_TOUCHED_PAGES);

		slice_print(slice, ns, touch_ns(&devices[1], part, NR_TOUCHED_PAGES));
	}
	puts("]}");
	error = devices_close(devices);
free_order:
	free(order);
	return error;
}

static int populate_slice(const struct device *device, size_t offset, uint64_t *took_ns)
{
	uint64_t began_ns = now_ns();
	int error = populate(device->bytes + offset, POPULATED_BYTES, MADV_POPULATE_WRITE);

	*took_ns = now_ns() - began_ns;
	return error;
}

static int run_populate(size_t size, const char *const paths[2])
{
	struct device devices[2];
	int error, close_error;

	error = devices_open(devices, paths, size);
	if (error != 0)
		return error;
	printf("{\"slice_pages\": %zu, \"slices\": [", POPULATED_BYTES / PAGE_BYTES);
	for (size_t slice = 0; slice < size / POPULATED_BYTES && error == 0; slice++) {
		uint64_t ns, floor_ns = 0;

		error = populate_slice(&devices[0], slice * POPULATED_BYTES, &ns);
		if (error == 0)
			error = populate_slice(&devices[1], slice * POPULATED_BYTES, &floor_ns);
		slice_print(slice, ns, floor_ns);
	}
	puts("]}");
	close_error = devices_close(devices);
	return error != 0 ? error : close_error;
}

/* One word a page: what is wanted is the price of the access, not of the memory's bandwidth. */
static uint64_t write_ns(volatile uint8_t *bytes, size_t size, uint8_t value)
{
	uint64_t began_ns = now_ns();

	for (size_t offset = 0; offset < size; offset += PAGE_BYTES)
		*(volatile uint64_t *)(bytes + offset) = value;
	return now_ns() - began_ns;
}

/* The first of two slices finds the caches as the last one left them: they change places. */
static void rewrite_passes(volatile uint8_t *bytes, volatile uint8_t *floor_bytes, size_t size)
{
	size_t number = 0;

	for (unsigned int pass = 1; pass <= NR_PASSES; pass++) {
		for (size_t offset = 0; offset < size; offset += REWRITTEN_BYTES) {
			bool is_floor_first = offset / REWRITTEN_BYTES % 2 == pass % 2;
			uint64_t ns = 0, floor_ns;

			if (!is_floor_first)
				ns = write_ns(bytes + offset, REWRITTEN_BYTES, (uint8_t)pass);
			floor_ns = write_ns(floor_bytes + offset, REWRITTEN_BYTES, (uint8_t)pass);
			if (is_floor_first)
				ns = write_ns(bytes + offset, REWRITTEN_BYTES, (uint8_t)pass);
			/* the first pass made everything resident */
			if (pass > 1)
				slice_print(number++, ns, floor_ns);
		}
	}
}

static int run_rewrite(size_t size, const char *const paths[2])
{
	struct device device;
	void *anonymous;
	int error, close_error;

	anonymous = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (anonymous == MAP_FAILED)
		return failed("mmap of anonymous memory");
	error = device_open(&device, paths[0], size);
	if (error != 0)
		goto unmap;
	error = populate(device.bytes, size, MADV_POPULATE_WRITE);
	if (error == 0)
		error = populate(anonymous, size, MADV_POPULATE_WRITE);
	if (error == 0) {
		printf("{\"slice_pages\": %zu, \"slices\": [", REWRITTEN_BYTES / PAGE_BYTES);
		rewrite_passes(device.bytes, anonymous, size);
		puts("]}");
	}
	close_error = device_close(&device);
	error = error != 0 ? error : close_error;
unmap:
	munmap(anonymous, size);
	return error;
}

static int run_remove_all(const char *path, size_t size, int advice)
{
	struct device device;
	uint64_t began_ns, took_ns;
	int error, close_error;

	error = device_open(&device, path, size);
	if (error != 0)
		return error;
	error = populate(device.bytes, size, advice);
	if (error == 0) {
		began_ns = now_ns();
		error = device_remove_all(&device);
		took_ns = now_ns() - began_ns;
		printf("{\"ns\": %" PRIu64 ", \"pages\": %zu}\n", took_ns, size / PAGE_BYTES);
	}
	close_error = device_close(&device);
	return error != 0 ? error : close_error;
}

static int run_remove_all_clean(size_t size, const char *const paths[2])
{
	return run_remove_all(paths[0], size, MADV_POPULATE_READ);
}

static int run_remove_all_dirty(size_t size, const char *const paths[2])
{
	return run_remove_all(paths[0], size, MADV_POPULATE_WRITE);
}

/*
 * A window at a time: clean pages may be dropped by the host whenever it likes, their owner stays
 * the instance. So an instance can be larger than the memory of the machine.
 */
static int populate_window(int fd, size_t offset, size_t size)
{
	int error;
	void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	if (bytes == MAP_FAILED)
		return failed("mmap of a window");
	error = populate(bytes, size, MADV_POPULATE_READ);
	munmap(bytes, size);
	if (error == 0 && posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED) != 0)
		error = failed("POSIX_FADV_DONTNEED");
	return error;
}

static int run_large(size_t size, const char *const paths[2])
{
	struct device device;
	uint64_t began_ns = now_ns(), populated_ns, reset_ns;
	int error = device_open(&device, paths[0], PAGE_BYTES);

	if (error != 0)
		return error;
	for (size_t offset = 0; offset < size && error == 0; offset += WINDOW_BYTES) {
		size_t rest = size - offset;

		error = populate_window(device.fd, offset,
					rest < WINDOW_BYTES ? rest : WINDOW_BYTES);
	}
	populated_ns = now_ns();
	if (error == 0)
		error = device_remove_all(&device);
	reset_ns = now_ns();
	munmap((void *)device.bytes, device.size);
	close(device.fd);
	printf("{\"populate_ns\": %" PRIu64 ", \"reset_ns\": %" PRIu64 ", \"close_ns\": %" PRIu64
	       ", \"pages\": %zu}\n",
	       populated_ns - began_ns, reset_ns - populated_ns, now_ns() - reset_ns,
	       size / PAGE_BYTES);
	return error;
}

int main(int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "touch", 2, run_touch },
		{ "populate", 2, run_populate },
		{ "rewrite", 1, run_rewrite },
		{ "remove-all-clean", 1, run_remove_all_clean },
		{ "remove-all-dirty", 1, run_remove_all_dirty },
		{ "large", 1, run_large },
	};
	const char *paths[2] = { argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL };
	char *end = NULL;
	size_t size = argc > 2 ? strtoull(argv[2], &end, 10) : 0;

	if (argc < 4 || *end != '\0' || size == 0 || size % PAGE_BYTES != 0) {
		fputs("usage: client VERB BYTES PATH [FLOOR-PATH] (BYTES in whole pages)\n",
		      stderr);
		return 2;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == 3 + verbs[i].nr_paths)
			return verbs[i].run_fn(size, paths) == 0 ? 0 : 1;
	fprintf(stderr, "client: no verb %s with so many paths\n", argv[1]);
	return 2;
}
