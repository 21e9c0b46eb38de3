/* SPDX-License-Identifier: MIT */
/*
 * The floor that epcd is measured against: a FUSE server that knows nothing. Every look-up in its
 * root is a fresh file of 2^47 bytes, every read is answered with one constant page, repeated;
 * writes are accepted and dropped; ioctl 0xA404 is the bare invalidation of the whole file, one
 * call, on a thread that serves no requests. The connection's options are those of epcd.
 * What does not belong here: anything that an EPC does.
 *
 * usage: null_server MOUNTPOINT    prints "ready" once it is mounted, ends on SIGTERM
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define NR_PAGES_READ_MAX 256u /* FUSE sends reads of up to 1 MiB */
#define FILE_BYTES (INT64_C(1) << 47)
#define IOC_REMOVE_ALL 0xA404u
#define NR_JOBS_MAX 16u

/* One invalidation that an ioctl waits for. */
struct job {
	fuse_req_t req;
	fuse_ino_t ino;
};

/* The whole server. jobs is a ring, under the lock. */
struct server {
	struct fuse_session *session;
	_Atomic uint64_t next_ino;
	uint8_t page[PAGE_BYTES];
	struct iovec page_vec[NR_PAGES_READ_MAX];
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job jobs[NR_JOBS_MAX];
	unsigned int first_job, nr_jobs;
	bool is_ending;
};

static struct server *server_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static void attr_fill(struct stat *attr, fuse_ino_t ino)
{
	memset(attr, 0, sizeof(*attr));
	attr->st_ino = ino;
	attr->st_nlink = 1;
	attr->st_uid = getuid();
	attr->st_gid = getgid();
	attr->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0660;
	attr->st_size = ino == FUSE_ROOT_ID ? 0 : FILE_BYTES;
}

static void null_init(void *context, struct fuse_conn_info *connection)
{
	(void)context;
	connection->want &= ~(unsigned int)FUSE_CAP_ASYNC_READ;
	connection->max_readahead = 0;
	connection->max_background = USHRT_MAX;
	connection->congestion_threshold = USHRT_MAX;
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { 0 };

	(void)name;
	if (parent != FUSE_ROOT_ID) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	entry.ino = atomic_fetch_add(&server_of(req)->next_ino, 1);
	attr_fill(&entry.attr, entry.ino);
	fuse_reply_entry(req, &entry);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct stat attr;

	(void)file;
	attr_fill(&attr, ino);
	fuse_reply_attr(req, &attr, 0);
}

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	fuse_reply_open(req, file);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *file)
{
	size_t count = size / PAGE_BYTES;

	(void)ino;
	(void)offset;
	(void)file;
	if (count == 0 || count > NR_PAGES_READ_MAX)
		fuse_reply_err(req, EIO);
	else
		fuse_reply_iov(req, server_of(req)->page_vec, (int)count);
}

static void null_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
		       struct fuse_file_info *file)
{
	(void)ino;
	(void)bytes;
	(void)offset;
	(void)file;
	fuse_reply_write(req, size);
}

static void null_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
		       struct fuse_file_info *file, unsigned int flags, const void *in_bytes,
		       size_t in_size, size_t out_size)
{
	struct server *server = server_of(req);
	bool is_queued = false;

	(void)arg;
	(void)file;
	(void)flags;
	(void)in_bytes;
	(void)in_size;
	(void)out_size;
	if (cmd != IOC_REMOVE_ALL) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	pthread_mutex_lock(&server->lock);
	if (server->nr_jobs < NR_JOBS_MAX && !server->is_ending) {
		unsigned int slot = (server->first_job + server->nr_jobs++) % NR_JOBS_MAX;

		server->jobs[slot] = (struct job){ .req = req, .ino = ino };
		pthread_cond_signal(&server->wake);
		is_queued = true;
	}
	pthread_mutex_unlock(&server->lock);
	if (!is_queued)
		fuse_reply_err(req, EBUSY);
}

/* Performs the invalidations: never on a thread that has requests to serve, it would deadlock. */
static void *invalidator_main(void *argument)
{
	struct server *server = argument;

	pthread_mutex_lock(&server->lock);
	for (;;) {
		struct job job;

		while (server->nr_jobs == 0 && !server->is_ending)
			pthread_cond_wait(&server->wake, &server->lock);
		if (server->nr_jobs == 0)
			break;
		job = server->jobs[server->first_job];
		server->first_job = (server->first_job + 1) % NR_JOBS_MAX;
		server->nr_jobs--;
		pthread_mutex_unlock(&server->lock);

		fuse_lowlevel_notify_inval_inode(server->session, job.ino, 0, 0);
		fuse_reply_ioctl(job.req, 0, NULL, 0);

		pthread_mutex_lock(&server->lock);
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

static void invalidator_end(struct server *server, pthread_t thread)
{
	pthread_mutex_lock(&server->lock);
	server->is_ending = true;
	pthread_cond_signal(&server->wake);
	pthread_mutex_unlock(&server->lock);
	pthread_join(thread, NULL);
}

static int server_serve(struct server *server, const char *mountpoint)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	pthread_t thread;
	int status = 1;

	if (config == NULL)
		return 1;
	if (fuse_set_signal_handlers(server->session) != 0)
		goto free_config;
	if (fuse_session_mount(server->session, mountpoint) != 0)
		goto remove_handlers;
	if (pthread_create(&thread, NULL, invalidator_main, server) != 0)
		goto unmount;
	puts("ready");
	fflush(stdout);
	/* a signal ends the loop with its number: that is the ordinary end */
	status = fuse_session_loop_mt(server->session, config) < 0;
	invalidator_end(server, thread);
unmount:
	fuse_session_unmount(server->session);
remove_handlers:
	fuse_remove_signal_handlers(server->session);
free_config:
	fuse_loop_cfg_destroy(config);
	return status;
}

int main(int argc, char **argv)
{
	static const struct fuse_lowlevel_ops ops = {
		.init = null_init,
		.lookup = null_lookup,
		.getattr = null_getattr,
		.open = null_open,
		.read = null_read,
		.write = null_write,
		.ioctl = null_ioctl,
	};
	static struct server server = {
		.next_ino = FUSE_ROOT_ID + 1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wake = PTHREAD_COND_INITIALIZER,
	};
	char *fuse_argv[] = { argv[0], "-o", "fsname=epcd-bench-null,default_permissions", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, fuse_argv);
	int status;

	if (argc != 2) {
		fputs("usage: null_server MOUNTPOINT\n", stderr);
		return 2;
	}
	memset(server.page, 0x5a, sizeof(server.page));
	for (unsigned int i = 0; i < NR_PAGES_READ_MAX; i++)
		server.page_vec[i] =
			(struct iovec){ .iov_base = server.page, .iov_len = PAGE_BYTES };
	server.session = fuse_session_new(&args, &ops, sizeof(ops), &server);
	if (server.session == NULL)
		return 1;
	status = server_serve(&server, argv[1]);
	fuse_session_destroy(server.session);
	fuse_opt_free_args(&args);
	return status;
}
