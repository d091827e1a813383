/* SPDX-License-Identifier: MIT */
/* probes.c – what an attacker would try: one call each, its result reported
 *
 * A probe that succeeds does what it says: run it only in a container, or where the test wants to
 * show that the attack works without the protection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest.h"

static long number(const char *text)
{
	return (long)strtoull(text, NULL, 0);
}

/* The first bytes of what was read are printed as "data". */
static long probe_read(int argc, char **argv)
{
	static char data[65536];
	int fd = open(argv[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data) - 1);

	(void)argc;
	if (n >= 0) {
		data[n] = '\0';
		json_string("data", data);
	}
	return n;
}

static long probe_write(int argc, char **argv)
{
	int fd = open(argv[0], O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	const char *text = argc > 1 ? argv[1] : "";

	return fd < 0 ? -1 : write(fd, text, strlen(text));
}

static long probe_create(int argc, char **argv)
{
	return open(argv[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    argc > 1 ? (mode_t)strtoul(argv[1], NULL, 8) : 0600);
}

static long probe_unlink(int argc, char **argv)
{
	(void)argc;
	return remove(argv[0]);
}

static long probe_mkdir(int argc, char **argv)
{
	(void)argc;
	return mkdir(argv[0], 0755);
}

static long probe_symlink(int argc, char **argv)
{
	(void)argc;
	return symlink(argv[0], argv[1]);
}

static long probe_stat(int argc, char **argv)
{
	struct stat st;
	long rc = lstat(argv[0], &st);

	(void)argc;
	if (rc == 0) {
		json_number("mode", st.st_mode);
		json_number("uid", st.st_uid);
		json_number("gid", st.st_gid);
		json_number("size", st.st_size);
	}
	return rc;
}

static long probe_chmod(int argc, char **argv)
{
	(void)argc;
	return chmod(argv[0], (mode_t)strtoul(argv[1], NULL, 8));
}

static long probe_chown(int argc, char **argv)
{
	(void)argc;
	return lchown(argv[0], (uid_t)number(argv[1]), (gid_t)number(argv[2]));
}

static long probe_mknod(int argc, char **argv)
{
	mode_t type = argv[1][0] == 'c' ? S_IFCHR : argv[1][0] == 'b' ? S_IFBLK : S_IFIFO;
	dev_t dev = argc > 3 ? makedev((unsigned)number(argv[2]), (unsigned)number(argv[3])) : 0;

	return mknod(argv[0], type | 0666, dev);
}

static long probe_mount(int argc, char **argv)
{
	return mount(argv[0], argv[1], argv[2], argc > 3 ? (unsigned long)number(argv[3]) : 0,
		     argc > 4 ? argv[4] : NULL);
}

static long probe_umount(int argc, char **argv)
{
	(void)argc;
	return umount2(argv[0], MNT_DETACH);
}

static long probe_chroot(int argc, char **argv)
{
	(void)argc;
	return chroot(argv[0]);
}

static long probe_pivot_root(int argc, char **argv)
{
	(void)argc;
	return syscall(SYS_pivot_root, argv[0], argv[1]);
}

static long probe_unshare(int argc, char **argv)
{
	(void)argc;
	return unshare((int)number(argv[0]));
}

static long probe_setns(int argc, char **argv)
{
	int fd = open(argv[0], O_RDONLY | O_CLOEXEC);

	(void)argc;
	return fd < 0 ? -1 : setns(fd, 0);
}

static long probe_ptrace(int argc, char **argv)
{
	(void)argc;
	return ptrace(PTRACE_SEIZE, (pid_t)number(argv[0]), NULL, NULL);
}

static long probe_kill(int argc, char **argv)
{
	(void)argc;
	return kill((pid_t)number(argv[0]), (int)number(argv[1]));
}

static long probe_setuid(int argc, char **argv)
{
	uid_t id = (uid_t)number(argv[0]);

	(void)argc;
	return setresuid(id, id, id);
}

static long probe_setgroups(int argc, char **argv)
{
	gid_t id = (gid_t)number(argv[0]);

	(void)argc;
	return setgroups(1, &id);
}

static long probe_sethostname(int argc, char **argv)
{
	(void)argc;
	return sethostname(argv[0], strlen(argv[0]));
}

static long probe_socket(int argc, char **argv)
{
	(void)argc;
	return socket((int)number(argv[0]), (int)number(argv[1]) | SOCK_CLOEXEC,
		      (int)number(argv[2]));
}

/* "@name" is an abstract socket. */
static long probe_connect_unix(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = strnlen(argv[0], sizeof(a.sun_path) - 1);

	(void)argc;
	if (fd < 0)
		return -1;
	memcpy(a.sun_path, argv[0], n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	return connect(fd, (struct sockaddr *)&a,
		       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

static long probe_connect(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)number(argv[1]))};
	struct timeval patience = {.tv_sec = 2};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)argc;
	if (fd < 0)
		return -1;
	if (inet_pton(AF_INET, argv[0], &a.sin_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

/* Pushes a character into the input of the controlling terminal. The request's upper 32 bits are
 * chosen too: the kernel looks at the lower ones only, and a filter that compares all 64 is passed
 * by (CVE-2023-28100). */
static long probe_tiocsti(int argc, char **argv)
{
	unsigned long high = argc > 0 ? (unsigned long)number(argv[0]) << 32 : 0;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);

	return syscall(SYS_ioctl, fd < 0 ? 0 : fd, high | TIOCSTI, "x");
}

/* syscall NR ARG…: numbers, or s:TEXT for a pointer to a string. */
static long probe_syscall(int argc, char **argv)
{
	long a[6] = {0};

	for (int i = 1; i < argc && i <= 6; i++)
		a[i - 1] = strncmp(argv[i], "s:", 2) == 0 ? (long)(argv[i] + 2) : number(argv[i]);
	return syscall(number(argv[0]), a[0], a[1], a[2], a[3], a[4], a[5]);
}

#if defined(__x86_64__)
/* The 32-bit gate: numbers of i386, reached by int 0x80 from a 64-bit program. */
static long probe_int80(int argc, char **argv)
{
	long rc;

	__asm__ volatile("int $0x80"
			 : "=a"(rc)
			 : "a"(number(argv[0])), "b"(argc > 1 ? number(argv[1]) : 0), "c"(0L),
			   "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	if (rc >= 0)
		return rc;
	errno = (int)-rc;
	return -1;
}
#endif

const struct probe guest_probes[] = {
	{"read", "PATH", 1, probe_read},
	{"write", "PATH [TEXT]", 1, probe_write},
	{"create", "PATH [MODE]", 1, probe_create},
	{"unlink", "PATH", 1, probe_unlink},
	{"mkdir", "PATH", 1, probe_mkdir},
	{"symlink", "TO PATH", 2, probe_symlink},
	{"stat", "PATH", 1, probe_stat},
	{"chmod", "PATH MODE", 2, probe_chmod},
	{"chown", "PATH UID GID", 3, probe_chown},
	{"mknod", "PATH c|b|p [MAJOR MINOR]", 2, probe_mknod},
	{"mount", "SOURCE TARGET TYPE [FLAGS] [DATA]", 3, probe_mount},
	{"umount", "PATH", 1, probe_umount},
	{"chroot", "PATH", 1, probe_chroot},
	{"pivot_root", "NEW OLD", 2, probe_pivot_root},
	{"unshare", "FLAGS", 1, probe_unshare},
	{"setns", "PATH", 1, probe_setns},
	{"ptrace", "PID", 1, probe_ptrace},
	{"kill", "PID SIGNAL", 2, probe_kill},
	{"setuid", "UID", 1, probe_setuid},
	{"setgroups", "GID", 1, probe_setgroups},
	{"sethostname", "NAME", 1, probe_sethostname},
	{"socket", "DOMAIN TYPE PROTOCOL", 3, probe_socket},
	{"connect-unix", "PATH", 1, probe_connect_unix},
	{"connect", "ADDRESS PORT", 2, probe_connect},
	{"tiocsti", "[HIGH]", 0, probe_tiocsti},
	{"syscall", "NR [ARG...]", 1, probe_syscall},
#if defined(__x86_64__)
	{"int80", "NR [ARG]", 1, probe_int80},
#endif
	{NULL, NULL, 0, NULL},
};
