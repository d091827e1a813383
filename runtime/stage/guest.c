/* SPDX-License-Identifier: MIT */
/* guest.c – steps of the plan that furnish the container, where the stage takes them itself
 *
 * Most are one system call each (seal.c). Here is what takes more: luge's word and its descriptors, names below a root
 * that somebody else may have filled with traps, and the copy of a file. A descriptor has the number that the orders
 * give it, so that they can name it before it is there.
 *
 * What it does not do: decide. It runs before anything of the container does, and ends at the first failure.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/socket.h>
#include <linux/stat.h>
#include <linux/uio.h>

#include "seal.h"
#include "sys.h"

/* The kernel's own, without a C library's headers. */
struct msghdr {
	void *name;
	int name_length;
	struct iovec *parts;
	size_t part_count;
	void *control;
	size_t control_size;
	unsigned flags;
};

struct cmsghdr {
	size_t length;
	int level, type;
};

enum {
	FDS_MAX = 253, /* SCM_MAX_FD */
	SCM_RIGHTS = 1,
	SOL_SOCKET = 1,
	MSG_CMSG_CLOEXEC = 0x40000000,
	LUGE_IS_GONE = 125,
	PATH_SIZE = 4096,
	COPY_SIZE = 1 << 20,
};

long guest_number(long fd, int number)
{
	if (fd < 0 || fd == number)
		return fd;
	long rc = sys(dup3, fd, number, O_CLOEXEC);

	(void)sys(close, fd);
	return rc;
}

/* ---- what luge says ---- */

struct word {
	char text[8];
	struct {
		struct cmsghdr head;
		int fds[FDS_MAX + 1];
	} control;
	size_t fd_count;
};

/* The result of recvmsg: 0 where luge is gone. */
static long receive(int channel, struct word *word)
{
	struct iovec part = {word->text, sizeof(word->text)};
	struct msghdr message = {
		.parts = &part,
		.part_count = 1,
		.control = &word->control,
		.control_size = sizeof(word->control),
	};
	long rc;

	do
		rc = sys(recvmsg, channel, &message, MSG_CMSG_CLOEXEC);
	while (rc == -EINTR);
	word->fd_count = 0;
	if (rc > 0 && message.control_size >= sizeof(word->control.head) &&
	    word->control.head.level == SOL_SOCKET && word->control.head.type == SCM_RIGHTS)
		word->fd_count =
			(word->control.head.length - sizeof(word->control.head)) / sizeof(int);
	return rc;
}

/* Whoever hears nothing has no luge any more, and no reason to go on. */
static void hear(struct word *word)
{
	long rc = receive(stage.header.channel, word);

	if (rc < 0)
		stage_fail(-rc, STAGE_SETUP);
	if (rc == 0)
		stage_exit(LUGE_IS_GONE);
}

void guest_hear(void)
{
	struct word word;

	hear(&word);
}

long guest_hear_orders(int channel)
{
	struct word word;
	long rc = receive(channel, &word);

	if (rc == 0)
		stage_exit(LUGE_IS_GONE);
	return rc < 0 ? rc : word.fd_count == 1 ? word.control.fds[0] : -EBADMSG;
}

/* The descriptors of the attach steps, in their order, until luge says that these are all. */
long guest_take(int first, int count)
{
	struct word word;

	do {
		hear(&word);
		for (size_t i = 0; i < word.fd_count; i++, first++, count--) {
			if (count <= 0 || word.control.fds[i] >= first)
				stage_fail(0, STAGE_BAD_ORDERS);
			long rc = guest_number(word.control.fds[i], first);

			if (rc < 0)
				return rc;
		}
	} while (word.text[0] != 'g' || word.text[1] != 'o');
	if (count)
		stage_fail(0, STAGE_BAD_ORDERS);
	return 0;
}

/* ---- names below a root ---- */

static long find(long root, const char *path)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return sys_openat2(root, path, &how);
}

static long make(long parent, const char *name, unsigned mode)
{
	if ((mode & S_IFMT) == S_IFDIR) {
		long rc = sys(mkdirat, parent, name, mode & ~S_IFMT);

		return rc == -EEXIST ? 0 : rc;
	}
	long fd = sys(openat, parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
		      mode & ~S_IFMT);

	return fd < 0 ? fd : sys(close, fd);
}

/* Finds path, or makes it where it is missing; what is made has no link in it. */
static long find_or_make(long root, const char *path, const char *name, unsigned mode)
{
	long fd = find(root, path);

	if (fd != -ENOENT)
		return fd;
	/* The directory above was found or made just before. */
	char above[PATH_SIZE];
	size_t length = (size_t)(name - path);

	__builtin_memcpy(above, path, length);
	above[length] = '\0';
	long parent = find(root, length ? above : "/");

	if (parent < 0)
		return parent;
	long rc = make(parent, name, mode);

	(void)sys(close, parent);
	return rc < 0 ? rc : find(root, path);
}

long guest_open(int root, const char *path, unsigned mode)
{
	long fd = find(root, path);
	char part[PATH_SIZE];
	size_t start = 0, end = 0;

	if (fd != -ENOENT || !mode)
		return fd;
	for (;;) {
		while (path[end] == '/')
			end++;
		if (!path[end])
			return fd;
		for (start = end; path[end] && path[end] != '/';)
			end++;
		if (end >= PATH_SIZE)
			return -ENAMETOOLONG;
		if (fd >= 0)
			(void)sys(close, fd);
		__builtin_memcpy(part, path, end);
		part[end] = '\0';
		fd = find_or_make(root, part, part + start, path[end] ? S_IFDIR | 0755 : mode);
		if (fd < 0)
			return fd;
	}
}

/* ---- files ---- */

long guest_copy(int to, int from)
{
	long rc;

	do
		rc = sys(sendfile, to, from, 0, COPY_SIZE);
	while (rc > 0);
	return rc;
}

long guest_expect_device(int fd, unsigned type, unsigned major, unsigned minor)
{
	struct statx st;
	long rc = sys(statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st);

	if (rc < 0)
		return rc;
	return (st.stx_mode & S_IFMT) == type && st.stx_rdev_major == major &&
			       st.stx_rdev_minor == minor
		       ? 0
		       : -ENODEV;
}

/* A lookup of "/" stays below a mount over the root directory, one of "/.." steps onto it: see S.expect_bare_root. */
long guest_expect_bare_root(void)
{
	struct statx root, over;
	const unsigned mask = STATX_BASIC_STATS | STATX_MNT_ID;
	long rc = sys(statx, AT_FDCWD, "/", 0, mask, &root);

	if (rc == 0)
		rc = sys(statx, AT_FDCWD, "/..", 0, mask, &over);
	if (rc < 0)
		return rc;
	return root.stx_mnt_id == over.stx_mnt_id && root.stx_ino == over.stx_ino ? 0 : -EBUSY;
}
