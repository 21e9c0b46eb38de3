/* SPDX-License-Identifier: MIT */
/*
 * The mirror over a false hierarchy and a false /proc with hostile names in them: who pays, what is
 * made, what is kept and what goes. The core and the engine are the real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "front/mirror.h"
#include "front/place.h"

#define TID 4242
#define NR_MANY 2000u /* more than one sweep looks at */
#define NR_THREADS 4u
#define NR_ROUNDS 300u

struct world {
	char directory[64], cgroup_root[96], proc_root[96];
	struct engine *engine;
	struct mirror *mirror;
};

/* ---- the false world ---- */

static int remove_one(const char *path, const struct stat *attr, int type, struct FTW *where)
{
	(void)attr;
	(void)type;
	(void)where;
	return remove(path);
}

static int world_make(void **state)
{
	static const struct engine_ops no_ops = { 0 };
	const struct epc_section_config section = { .nr_pages = 16 };
	struct world *world = calloc(1, sizeof(*world));
	struct mirror_config config = { 0 };
	int has_cgroup2;

	assert_non_null(world);
	snprintf(world->directory, sizeof(world->directory), "/tmp/epcd-mirror-XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	snprintf(world->cgroup_root, sizeof(world->cgroup_root), "%s/cgroup", world->directory);
	snprintf(world->proc_root, sizeof(world->proc_root), "%s/proc", world->directory);
	assert_int_equal(mkdir(world->cgroup_root, 0755), 0);
	assert_int_equal(mkdir(world->proc_root, 0755), 0);
	assert_int_equal(engine_new(&section, 1, NULL, &no_ops, NULL, &world->engine), 0);
	config.cgroup_root = world->cgroup_root;
	config.proc_root = world->proc_root;
	assert_int_equal(mirror_new_with(world->engine, &config, &world->mirror, &has_cgroup2), 0);
	assert_int_equal(has_cgroup2, 1);
	*state = world;
	return 0;
}

static int world_end(void **state)
{
	struct world *world = *state;
	const char *why = NULL;
	struct epc *epc = engine_lock(world->engine);

	assert_true(epc_is_valid(epc, &why));
	engine_unlock(world->engine);
	mirror_free(world->mirror);
	engine_free(world->engine);
	nftw(world->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(world);
	return 0;
}

static void write_file(const char *directory, const char *name, const void *bytes, size_t size)
{
	char path[PLACE_PATH_MAX + 128];
	int fd;

	snprintf(path, sizeof(path), "%s%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	close(fd);
}

static void make(const struct world *world, const char *path)
{
	char whole[PLACE_PATH_MAX + 128];

	snprintf(whole, sizeof(whole), "%s%s", world->cgroup_root, path);
	assert_int_equal(mkdir(whole, 0755), 0);
}

static void remove_directory(const struct world *world, const char *path)
{
	char whole[PLACE_PATH_MAX + 128];

	snprintf(whole, sizeof(whole), "%s%s", world->cgroup_root, path);
	assert_int_equal(rmdir(whole), 0);
}

/* The false task TID is in this cgroup. */
static void place_task(const struct world *world, const char *path)
{
	char text[PLACE_PATH_MAX + 256], name[32];
	int size;

	snprintf(name, sizeof(name), "/%d", TID);
	snprintf(text, sizeof(text), "%s%s", world->proc_root, name);
	(void)mkdir(text, 0755);
	size = snprintf(text, sizeof(text), "9:name=systemd:/0::/no\n4:memory:/elsewhere\n0::%s\n",
			path);
	snprintf(name, sizeof(name), "/%d/cgroup", TID);
	write_file(world->proc_root, name, text, (size_t)size);
}

static void expect_payer(const struct world *world, const char *path)
{
	struct mirror_cgroup *cgroup = mirror_of_task(world->mirror, TID);

	assert_non_null(cgroup);
	assert_string_equal(cgroup->path, path);
	assert_non_null(cgroup->cgroup);
	mirror_put(world->mirror, cgroup);
}

static uint64_t id_of(const struct world *world, const char *path)
{
	struct mirror_cgroup *cgroup = mirror_of_path(world->mirror, path);
	uint64_t id;

	assert_non_null(cgroup);
	assert_string_equal(cgroup->path, path);
	id = cgroup->id;
	mirror_put(world->mirror, cgroup);
	return id;
}

static void expect_none(const struct world *world, const char *path, int error)
{
	errno = 0;
	assert_null(mirror_of_path(world->mirror, path));
	assert_int_equal(errno, error);
}

/* The limit of a cgroup, as the core has it. */
static uint64_t max_of(const struct world *world, const char *path)
{
	struct mirror_cgroup *cgroup = mirror_of_path(world->mirror, path);
	struct epc_cgroup_report report;

	assert_non_null(cgroup);
	engine_lock(world->engine);
	epc_cgroup_report(cgroup->cgroup, &report);
	engine_unlock(world->engine);
	mirror_put(world->mirror, cgroup);
	return report.max_bytes;
}

static uint64_t set_max(const struct world *world, const char *path, uint64_t max_bytes)
{
	struct mirror_cgroup *cgroup = mirror_of_path(world->mirror, path);
	uint64_t old_max_bytes, usage_bytes;

	assert_non_null(cgroup);
	mirror_set_max(world->mirror, cgroup, max_bytes, &old_max_bytes, &usage_bytes);
	mirror_put(world->mirror, cgroup);
	return old_max_bytes;
}

/* Enough sweeps for every entry to be seen twice. */
static void sweep_all(const struct world *world, size_t nr_entries)
{
	for (size_t i = 0; i < 2 * (nr_entries / MIRROR_NR_SWEPT + 1); i++)
		mirror_sweep(world->mirror);
}

/* ---- tests ---- */

static void a_task_pays_through_its_own_cgroup(void **state)
{
	struct world *world = *state;

	make(world, "/a");
	make(world, "/a/b");
	place_task(world, "/a/b");
	expect_payer(world, "/a/b");
	place_task(world, "/a");
	expect_payer(world, "/a");
	place_task(world, "/");
	expect_payer(world, "/");
	assert_true(id_of(world, "/a") != id_of(world, "/a/b"));
}

static void hostile_names_are_names(void **state)
{
	static const char *const paths[] = {
		"/a b",	    "/0::", "/x (deleted)", "/back\\slash\\040", "/\xff\xfe\x80",
		"/\x1b[2J", "/..x", "/...",	    "/%s%n%d",		 "/tab\there",
	};
	struct world *world = *state;
	char longest[NAME_MAX + 2];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		make(world, paths[i]);
		place_task(world, paths[i]);
		expect_payer(world, paths[i]);
	}
	memset(longest, 'n', sizeof(longest));
	longest[0] = '/';
	longest[NAME_MAX + 1] = '\0';
	make(world, longest);
	place_task(world, longest);
	expect_payer(world, longest);

	/* The kernel makes no cgroup with a newline in its name, but one may be asked for. */
	make(world, "/new\nline");
	assert_true(id_of(world, "/new\nline") != 0);
}

static void a_task_outside_has_no_place(void **state)
{
	static const char *const outside[] = { "/..",	"/../b",   "/../../a",
					       "/gone", "/a/gone", "/a (deleted)" };
	struct world *world = *state;

	make(world, "/a");
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		place_task(world, outside[i]);
		assert_null(mirror_of_task(world->mirror, TID));
	}
	assert_null(mirror_of_task(world->mirror, 0));
	assert_null(mirror_of_task(world->mirror, -1));
	assert_null(mirror_of_task(world->mirror, TID + 1));
	write_file(world->proc_root, "/4242/cgroup", "1:cpu:/\n0:", 10);
	assert_null(mirror_of_task(world->mirror, TID));
	write_file(world->proc_root, "/4242/cgroup", "", 0);
	assert_null(mirror_of_task(world->mirror, TID));
}

static void what_is_no_directory_of_the_hierarchy_is_not_there(void **state)
{
	struct world *world = *state;
	char link[128];

	make(world, "/a");
	write_file(world->cgroup_root, "/file", "", 0);
	snprintf(link, sizeof(link), "%s/link", world->cgroup_root);
	assert_int_equal(symlink("a", link), 0);
	snprintf(link, sizeof(link), "%s/out", world->cgroup_root);
	assert_int_equal(symlink("/", link), 0);
	expect_none(world, "/file", ENOENT);
	expect_none(world, "/file/x", ENOENT);
	expect_none(world, "/link", ENOENT);
	expect_none(world, "/out", ENOENT);
	expect_none(world, "/out/tmp", ENOENT);
	expect_none(world, "/gone", ENOENT);
}

static void a_directory_made_again_is_a_new_cgroup(void **state)
{
	struct world *world = *state;
	struct mirror_cgroup *old;

	make(world, "/keeps-the-inode-number");
	make(world, "/a");
	set_max(world, "/a", 4096);
	old = mirror_of_path(world->mirror, "/a");
	assert_non_null(old);
	remove_directory(world, "/a");
	expect_none(world, "/a", ENOENT);
	make(world, "/b"); /* a file system that gives the number again gives it to this one */
	make(world, "/a");
	if (id_of(world, "/a") != old->id) {
		assert_true(max_of(world, "/a") == EPC_MAX_UNLIMITED);
		mirror_sweep(world->mirror);
		assert_true(mirror_is_removed(old));
	}
	mirror_put(world->mirror, old);
	sweep_all(world, 8);
	place_task(world, "/a");
	expect_payer(world, "/a");
}

static void a_threaded_cgroup_has_its_domain_pay(void **state)
{
	struct world *world = *state;

	make(world, "/domain");
	make(world, "/domain/t");
	make(world, "/domain/t/u");
	write_file(world->cgroup_root, "/domain/cgroup.type", "domain threaded\n", 16);
	write_file(world->cgroup_root, "/domain/t/cgroup.type", "threaded\n", 9);
	write_file(world->cgroup_root, "/domain/t/u/cgroup.type", "threaded\n", 9);
	place_task(world, "/domain/t/u");
	expect_payer(world, "/domain");
	place_task(world, "/domain/t");
	expect_payer(world, "/domain");
	expect_none(world, "/domain/t", EOPNOTSUPP);

	/* One that becomes threaded later is seen by the sweep. */
	make(world, "/late");
	place_task(world, "/late");
	expect_payer(world, "/late");
	write_file(world->cgroup_root, "/late/cgroup.type", "threaded\n", 9);
	mirror_sweep(world->mirror);
	expect_payer(world, "/");
}

static void what_is_too_deep_pays_above(void **state)
{
	struct world *world = *state;
	char path[4 * MIRROR_DEPTH_MAX] = "", above[4 * MIRROR_DEPTH_MAX];

	for (unsigned int i = 0; i < MIRROR_DEPTH_MAX + 9; i++) {
		snprintf(path + 2 * (size_t)i, 3, "/d");
		make(world, path);
		if (i + 1 == MIRROR_DEPTH_MAX)
			snprintf(above, sizeof(above), "%s", path);
	}
	place_task(world, path);
	expect_payer(world, above);
	expect_none(world, path, EOPNOTSUPP);
	place_task(world, above);
	expect_payer(world, above);
	sweep_all(world, 2 * MIRROR_DEPTH_MAX);
	place_task(world, path);
	expect_payer(world, above);
}

/* The kernel shows the first 4,095 bytes of a longer path: here that is in the middle of a name. */
static void what_is_too_long_pays_above(void **state)
{
	struct world *world = *state;
	char path[PLACE_PATH_MAX + 64] = "/deep";

	make(world, path);
	for (size_t size = strlen(path); size < PLACE_PATH_MAX; size++)
		path[size] = size % 200 == 5 ? '/' : 'n';
	path[PLACE_PATH_MAX - 1] = '\0';
	place_task(world, path);
	assert_null(mirror_of_task(world->mirror, TID)); /* nothing of it is there */
	memset(path + 5, 'n', PLACE_PATH_MAX - 6);
	path[5] = '/';
	place_task(world, path);
	expect_payer(world, "/deep");
}

static void a_limit_on_an_idle_cgroup_is_kept(void **state)
{
	struct world *world = *state;
	char path[160];

	make(world, "/idle");
	make(world, "/idle/child");
	assert_true(set_max(world, "/idle/child", 12345) == EPC_MAX_UNLIMITED);
	snprintf(path, sizeof(path), "%s/idle/child", world->cgroup_root);
	(void)removexattr(path, MIRROR_MAX_ATTRIBUTE); /* so that it is not merely read again */
	for (unsigned int i = 0; i < 5; i++)
		mirror_sweep(world->mirror);
	assert_true(max_of(world, "/idle/child") == 12345);
	assert_true(set_max(world, "/idle/child", EPC_MAX_UNLIMITED) == 12345);
}

static void a_limit_outlives_the_mirror(void **state)
{
	const struct epc_section_config section = { .nr_pages = 16 };
	static const struct engine_ops no_ops = { 0 };
	struct world *world = *state, again = *world;
	struct mirror_config config = { world->cgroup_root, world->proc_root, false };
	char path[160], value[64];
	int has_cgroup2;

	make(world, "/a");
	make(world, "/a/b");
	set_max(world, "/a", 8192);
	snprintf(path, sizeof(path), "%s/a", world->cgroup_root);
	if (getxattr(path, MIRROR_MAX_ATTRIBUTE, value, sizeof(value)) < 0) {
		print_message("[  SKIPPED ] trusted attributes are not permitted here\n");
		skip();
	}
	assert_int_equal(engine_new(&section, 1, NULL, &no_ops, NULL, &again.engine), 0);
	assert_int_equal(mirror_new_with(again.engine, &config, &again.mirror, &has_cgroup2), 0);
	place_task(&again, "/a/b");
	expect_payer(&again, "/a/b");
	assert_true(max_of(&again, "/a") == 8192);
	assert_true(max_of(&again, "/a/b") == EPC_MAX_UNLIMITED);
	mirror_free(again.mirror);
	engine_free(again.engine);

	set_max(world, "/a", EPC_MAX_UNLIMITED);
	assert_true(getxattr(path, MIRROR_MAX_ATTRIBUTE, value, sizeof(value)) < 0);
	assert_int_equal(setxattr(path, MIRROR_MAX_ATTRIBUTE, "garbage", 7, 0), 0);
	assert_true(max_of(world, "/a") == EPC_MAX_UNLIMITED);
}

/* The sweep frees what was only looked at: a new entry then has the attribute's limit. */
static void idle_cgroups_go(void **state)
{
	struct world *world = *state;
	char path[160], name[32];

	for (unsigned int i = 0; i < NR_MANY; i++) {
		snprintf(name, sizeof(name), "/%u", i);
		make(world, name);
		id_of(world, name);
	}
	snprintf(path, sizeof(path), "%s/7", world->cgroup_root);
	if (setxattr(path, MIRROR_MAX_ATTRIBUTE, "sgx_epc 777\n", 12, 0) != 0)
		skip();
	assert_true(max_of(world, "/7") == EPC_MAX_UNLIMITED);
	sweep_all(world, NR_MANY);
	assert_true(max_of(world, "/7") == 777);
}

static void no_hierarchy_is_only_a_root(void **state)
{
	struct world *world = *state;
	struct mirror_config config = { NULL, world->proc_root, false };
	struct mirror_cgroup *cgroup;
	struct mirror *mirror;
	char self[128];
	int has_cgroup2 = 7;

	snprintf(self, sizeof(self), "%s/self", world->proc_root);
	assert_int_equal(mkdir(self, 0755), 0);
	write_file(self, "/mountinfo", "1 2 0:3 / / rw - ext4 x rw\n31 30 0:28 / /x rw - cgroup\n",
		   56);
	mirror_free(world->mirror);
	assert_int_equal(mirror_new_with(world->engine, &config, &mirror, &has_cgroup2), 0);
	world->mirror = mirror;
	assert_int_equal(has_cgroup2, 0);
	cgroup = mirror_of_task(mirror, TID);
	assert_non_null(cgroup);
	assert_string_equal(cgroup->path, "/");
	mirror_put(mirror, cgroup);
	expect_none(world, "/a", ENOENT);
	mirror_sweep(mirror);
}

static void a_wrong_root_is_an_error(void **state)
{
	struct world *world = *state;
	struct mirror_config config = { "/nowhere/at/all", world->proc_root, false };
	struct mirror *mirror;
	int has_cgroup2;

	assert_int_equal(mirror_new_with(world->engine, &config, &mirror, &has_cgroup2), -ENOENT);
}

static void paths_below_a_place(void **state)
{
	static const struct {
		const char *above, *path, *below;
	} rows[] = {
		{ "", "/", "/" },	{ "", "/a/b", "/a/b" },	  { "", "/..", NULL },
		{ "", "/../a", NULL },	{ "", "/..a", "/..a" },	  { "/a", "/a", "/" },
		{ "/a", "/a/b", "/b" }, { "/a", "/ab", NULL },	  { "/a", "/", NULL },
		{ "/a", "/b/a", NULL }, { "/..", "/../a", "/a" }, { "/..", "/../..", NULL },
		{ "/..", "/a", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct place place = { .above = strdup(rows[i].above) };
		const char *below = place_below(&place, rows[i].path);

		if (rows[i].below) {
			assert_non_null(below);
			assert_string_equal(below, rows[i].below);
		} else {
			assert_null(below);
		}
		place_fini(&place);
	}
}

/* ---- threads: look-ups, limits, removals and sweeps at once; for the sanitizers ---- */

static void *look_up(void *argument)
{
	struct world *world = argument;
	char path[16];

	for (unsigned int i = 0; i < NR_ROUNDS; i++) {
		struct mirror_cgroup *cgroup;
		uint64_t old_max_bytes, usage_bytes;

		snprintf(path, sizeof(path), "/%u/x", i % 8);
		cgroup = mirror_of_path(world->mirror, path);
		if (cgroup) {
			mirror_set_max(world->mirror, cgroup,
				       i % 3 ? EPC_MAX_UNLIMITED : (uint64_t)i * 4096,
				       &old_max_bytes, &usage_bytes);
			mirror_put(world->mirror, cgroup);
		}
		cgroup = mirror_of_task(world->mirror, TID);
		if (cgroup)
			mirror_put(world->mirror, cgroup);
	}
	return NULL;
}

static void *make_and_remove(void *argument)
{
	struct world *world = argument;
	char path[128];

	for (unsigned int i = 0; i < NR_ROUNDS; i++) {
		snprintf(path, sizeof(path), "%s/%u/x", world->cgroup_root, i % 8);
		(void)mkdir(path, 0755);
		snprintf(path, sizeof(path), "%s/%u/x", world->cgroup_root, (i + 3) % 8);
		(void)rmdir(path);
		mirror_sweep(world->mirror);
	}
	return NULL;
}

static void many_threads(void **state)
{
	struct world *world = *state;
	pthread_t threads[NR_THREADS];
	char path[16];

	for (unsigned int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		make(world, path);
	}
	place_task(world, "/3");
	assert_int_equal(mirror_start(world->mirror), 0);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, i ? look_up : make_and_remove, world), 0);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	expect_payer(world, "/3");
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_make, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(a_task_pays_through_its_own_cgroup),
		IN_WORLD(hostile_names_are_names),
		IN_WORLD(a_task_outside_has_no_place),
		IN_WORLD(what_is_no_directory_of_the_hierarchy_is_not_there),
		IN_WORLD(a_directory_made_again_is_a_new_cgroup),
		IN_WORLD(a_threaded_cgroup_has_its_domain_pay),
		IN_WORLD(what_is_too_deep_pays_above),
		IN_WORLD(what_is_too_long_pays_above),
		IN_WORLD(a_limit_on_an_idle_cgroup_is_kept),
		IN_WORLD(a_limit_outlives_the_mirror),
		IN_WORLD(idle_cgroups_go),
		IN_WORLD(no_hierarchy_is_only_a_root),
		IN_WORLD(a_wrong_root_is_an_error),
		cmocka_unit_test(paths_below_a_place),
		IN_WORLD(many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
