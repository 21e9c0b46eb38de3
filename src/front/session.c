/* SPDX-License-Identifier: MIT */
/* The FUSE session; see session.h. */
#include "front/session.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/*
 * Nothing in a handler waits, so one worker per CPU is enough; the kernel wakes those that wait in
 * turn, and with more of them a fault often wakes one whose CPU is busy (measured on 2 CPUs under
 * load, 4 workers: the median fault takes 1.5 times as long).
 */
#define NR_WORKERS_MIN 2
#define NR_WORKERS_MAX 16
#define INTERRUPT_SIGNAL SIGUSR1
#define INTERRUPT_NS 100000000
#define NS_PER_S 1000000000
#define WRITE_BYTES_MAX (1u << 20) /* the most that FUSE sends: 256 pages */
#define BACKGROUND_MAX 65535u

struct session {
	struct fuse_session *fuse;
	int ended_fd;
	pthread_t workers[NR_WORKERS_MAX];
	unsigned int nr_workers;
};

static struct daemon *daemon_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return node_find(daemon_of(req)->nodes, ino);
}

/*
 * Asynchronous reads, buffered or direct, could stop the write-backs that an unmapping waits for:
 * with them off, and with room for all write-backs, it cannot. The page cache is the mapping: so it
 * must neither be dropped for its age nor be filled before it is asked for.
 */
static void session_init(void *userdata, struct fuse_conn_info *connection)
{
	(void)userdata;
	connection->want = connection->capable & FUSE_CAP_PARALLEL_DIROPS;
	connection->max_readahead = 0;
	connection->max_background = BACKGROUND_MAX;
	connection->congestion_threshold = BACKGROUND_MAX;
	connection->max_write = WRITE_BYTES_MAX;
}

void session_reply_entry(fuse_req_t req, const struct node *node, const struct stat *attr)
{
	struct daemon *daemon = daemon_of(req);
	fuse_ino_t ino = node->ino;
	struct fuse_entry_param entry = {
		.ino = ino,
		.attr = *attr,
	};

	/* Whoever asked is gone: the kernel does not know of this look-up. */
	if (fuse_reply_entry(req, &entry) == -ENOENT)
		node_forget(daemon->nodes, daemon, ino, 1);
}

static void route_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *node = node_of(req, parent);

	if (node && node->ops->lookup)
		node->ops->lookup(daemon_of(req), req, node, name);
	else
		fuse_reply_err(req, node ? ENOTDIR : ESTALE);
}

static void route_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nr_lookups)
{
	node_forget(daemon_of(req)->nodes, daemon_of(req), ino, nr_lookups);
	fuse_reply_none(req);
}

static void route_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(daemon_of(req)->nodes, daemon_of(req), forgets[i].ino,
			    forgets[i].nlookup);
	fuse_reply_none(req);
}

static void route_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	(void)file;
	if (node && node->ops->getattr)
		node->ops->getattr(daemon_of(req), req, node);
	else
		fuse_reply_err(req, node ? EIO : ESTALE);
}

static void route_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
			  struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	(void)file;
	if (node && node->ops->setattr)
		node->ops->setattr(daemon_of(req), req, node, attr, to_set);
	else
		fuse_reply_err(req, node ? EPERM : ESTALE);
}

static void route_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	if (node && node->ops->opendir)
		node->ops->opendir(daemon_of(req), req, node, file);
	else if (node && node->ops->readdir)
		fuse_reply_open(req, file);
	else
		fuse_reply_err(req, node ? ENOTDIR : ESTALE);
}

static void route_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			  struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	if (node && node->ops->readdir)
		node->ops->readdir(daemon_of(req), req, node, size, offset, file);
	else
		fuse_reply_err(req, node ? ENOTDIR : ESTALE);
}

static void route_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	if (node && node->ops->releasedir)
		node->ops->releasedir(daemon_of(req), req, node, file);
	else
		fuse_reply_err(req, 0);
}

static void route_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	if (node && node->ops->open)
		node->ops->open(daemon_of(req), req, node, file);
	else
		fuse_reply_err(req, node ? EACCES : ESTALE);
}

static void route_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	if (node && node->ops->read)
		node->ops->read(daemon_of(req), req, node, size, offset, file);
	else
		fuse_reply_err(req, node ? EINVAL : ESTALE);
}

static void route_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size,
			off_t offset, struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	if (node && node->ops->write)
		node->ops->write(daemon_of(req), req, node, bytes, size, offset, file);
	else
		fuse_reply_err(req, node ? EINVAL : ESTALE);
}

static void route_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
			struct fuse_file_info *file, unsigned int flags, const void *in,
			size_t in_size, size_t out_size)
{
	struct node *node = node_of(req, ino);

	(void)flags;
	(void)file;
	if (node && node->ops->ioctl)
		node->ops->ioctl(daemon_of(req), req, node, cmd, arg, in, in_size, out_size);
	else
		fuse_reply_err(req, node ? ENOTTY : ESTALE);
}

static void route_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			    struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	if (node && node->ops->fallocate)
		node->ops->fallocate(daemon_of(req), req, node, mode, offset, length, file);
	else
		fuse_reply_err(req, node ? EOPNOTSUPP : ESTALE);
}

static void route_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct node *node = node_of(req, ino);

	if (node && node->ops->release)
		node->ops->release(daemon_of(req), req, node, file);
	else
		fuse_reply_err(req, 0);
}

/* Nobody makes or removes names here: cgroups are made in the real hierarchy. */
static void refuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent;
	(void)name;
	(void)mode;
	fuse_reply_err(req, EPERM);
}

static void refuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
			 dev_t device)
{
	(void)device;
	refuse_mkdir(req, parent, name, mode);
}

static void refuse_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
			  struct fuse_file_info *file)
{
	(void)file;
	refuse_mkdir(req, parent, name, mode);
}

static void refuse_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	refuse_mkdir(req, parent, name, 0);
}

static void refuse_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	refuse_mkdir(req, parent, name, 0);
}

static void refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	refuse_mkdir(req, parent, name, 0);
}

static void refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
			  fuse_ino_t new_parent, const char *new_name, unsigned int flags)
{
	(void)new_parent;
	(void)new_name;
	(void)flags;
	refuse_mkdir(req, parent, name, 0);
}

/*
 * No extended attributes at all: libvirt takes a half of them for a failure. flush and fsync are
 * absent too: the kernel then stops asking.
 */
static const struct fuse_lowlevel_ops session_ops = {
	.init = session_init,
	.lookup = route_lookup,
	.forget = route_forget,
	.forget_multi = route_forget_multi,
	.getattr = route_getattr,
	.setattr = route_setattr,
	.opendir = route_opendir,
	.readdir = route_readdir,
	.releasedir = route_releasedir,
	.open = route_open,
	.read = route_read,
	.write = route_write,
	.ioctl = route_ioctl,
	.fallocate = route_fallocate,
	.release = route_release,
	.mkdir = refuse_mkdir,
	.mknod = refuse_mknod,
	.create = refuse_create,
	.unlink = refuse_remove,
	.rmdir = refuse_remove,
	.symlink = refuse_symlink,
	.link = refuse_link,
	.rename = refuse_rename,
};

int session_new(struct daemon *daemon, int fuse_fd, struct session **session)
{
	char *argv[] = { "epcd", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct session *new = calloc(1, sizeof(*new));
	char mounted[32];

	if (!new) {
		close(fuse_fd);
		return -ENOMEM;
	}
	new->ended_fd = -1;
	new->fuse = fuse_session_new(&args, &session_ops, sizeof(session_ops), daemon);
	fuse_opt_free_args(&args);
	if (!new->fuse) {
		close(fuse_fd);
		free(new);
		return -ENOMEM;
	}
	/* libfuse's way to say that it is mounted already. */
	snprintf(mounted, sizeof(mounted), "/dev/fd/%d", fuse_fd);
	if (fuse_session_mount(new->fuse, mounted) != 0) {
		fuse_session_destroy(new->fuse);
		close(fuse_fd);
		free(new);
		return -EIO;
	}
	daemon->session = new->fuse;
	*session = new;
	return 0;
}

static void *worker_main(void *argument)
{
	const uint64_t one = 1;
	struct session *session = argument;
	struct fuse_buf buffer = { .mem = NULL };

	while (!fuse_session_exited(session->fuse)) {
		int size = fuse_session_receive_buf(session->fuse, &buffer);

		if (size == -EINTR || size == -EAGAIN)
			continue;
		if (size <= 0)
			break;
		fuse_session_process_buf(session->fuse, &buffer);
	}
	fuse_session_exit(session->fuse);
	free(buffer.mem);
	if (write(session->ended_fd, &one, sizeof(one)) < 0)
		log_debug("a worker's end could not be told: %m");
	return NULL;
}

int session_start(struct session *session, int ended_fd)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	if (nr < NR_WORKERS_MIN)
		nr = NR_WORKERS_MIN;
	if (nr > NR_WORKERS_MAX)
		nr = NR_WORKERS_MAX;
	session->ended_fd = ended_fd;
	for (long i = 0; i < nr; i++) {
		int error = pthread_create(&session->workers[i], NULL, worker_main, session);

		if (error)
			return -error;
		session->nr_workers++;
	}
	return 0;
}

static void interrupt_ignore(int number)
{
	(void)number;
}

void session_join(struct session *session)
{
	const struct sigaction ignore = { .sa_handler = interrupt_ignore }; /* no SA_RESTART */
	struct timespec until;

	sigaction(INTERRUPT_SIGNAL, &ignore, NULL);
	fuse_session_exit(session->fuse);
	while (session->nr_workers) {
		pthread_t worker = session->workers[session->nr_workers - 1];

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += INTERRUPT_NS;
		until.tv_sec += until.tv_nsec / NS_PER_S;
		until.tv_nsec %= NS_PER_S;
		/* Again each time: a signal before the read(2) is lost. */
		if (pthread_timedjoin_np(worker, NULL, &until) == 0)
			session->nr_workers--;
		else
			pthread_kill(worker, INTERRUPT_SIGNAL);
	}
}

void session_free(struct session *session)
{
	if (!session)
		return;
	fuse_session_destroy(session->fuse);
	free(session);
}
