/* SPDX-License-Identifier: MIT */
/* attacks.c – attacks of more than one call: on luge's own processes, the filter, set-id files
 *
 * Each is a probe like those of probes.c: it does what it says where nothing stops it, and its result is
 * that of the step that matters.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "guest.h"

static const char mark[] = "overwritten";

static unsigned long number(const char *text)
{
	return strtoul(text, NULL, 0);
}

/* Holds the file that runs as process PID open, and writes into it once nobody executes it any more
 * (CVE-2019-5736). Until then the kernel says ETXTBSY. */
static long attack_overwrite(int argc, char **argv)
{
	char path[64];

	(void)argc;
	snprintf(path, sizeof(path), "/proc/%s/exe", argv[0]);
	int held = open(path, O_RDONLY | O_CLOEXEC);
	if (held < 0)
		return -1;
	fputs("held\n", stderr);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
	for (int i = 0; i < 1500; i++) {
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd >= 0)
			return write(fd, mark, sizeof(mark));
		if (errno != ETXTBSY)
			return -1;
		usleep(10000);
	}
	return -1;
}

/* A file below a directory that is open as descriptor FD. */
static long attack_read_below(int argc, char **argv)
{
	char data[64];
	int fd = openat((int)number(argv[0]), argv[1], O_RDONLY | O_CLOEXEC);

	(void)argc;
	return fd < 0 ? -1 : read(fd, data, sizeof(data));
}

static long reap(long pid)
{
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, __WALL);
	return pid;
}

/* FLAGS may have bits above the 32 that the kernel looks at. */
static long attack_clone(int argc, char **argv)
{
	(void)argc;
	return reap(syscall(SYS_clone, number(argv[0]) | SIGCHLD, 0, 0, 0, 0));
}

static long attack_clone3(int argc, char **argv)
{
	struct clone_args args = {.flags = number(argv[0]), .exit_signal = SIGCHLD};

	(void)argc;
	return reap(syscall(SYS_clone3, &args, sizeof(args)));
}

static long attack_ptrace_child(int argc, char **argv)
{
	pid_t pid = fork();

	(void)argc;
	(void)argv;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	long rc = ptrace(PTRACE_SEIZE, pid, NULL, NULL);
	int error = errno;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	errno = error;
	return rc;
}

/* An ioctl REQUEST on a pseudo terminal that this process made itself the controlling one, so that
 * nothing but a filter says no. HIGH goes into the upper half of the request. */
static long attack_own_terminal(int argc, char **argv)
{
	unsigned long high = argc > 1 ? number(argv[1]) << 32 : 0;
	int master = open("/dev/ptmx", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (master < 0 || unlockpt(master) != 0)
		return -1;
	(void)setsid(); /* it may lead one already */
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR);

	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) != 0)
		return -1;
	return syscall(SYS_ioctl, slave, high | number(argv[0]), "x");
}

/* Changes a file through a shared mapping, which leaves a set-id bit alone. */
static long attack_map_write(int argc, char **argv)
{
	int fd = open(argv[0], O_RDWR | O_CLOEXEC);
	char *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)argc;
	if (p == MAP_FAILED)
		return -1;
	memcpy(p, mark, sizeof(mark));
	return msync(p, 4096, MS_SYNC);
}

/* Gives a file the right to read everybody's files. */
static long attack_set_capability(int argc, char **argv)
{
	struct vfs_cap_data cap = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0].permitted = 1U << CAP_DAC_OVERRIDE,
	};

	(void)argc;
	return setxattr(argv[0], "security.capability", &cap, sizeof(cap), 0);
}

static long attack_openat2(int argc, char **argv)
{
	struct open_how how = {.flags = O_CREAT | O_WRONLY, .mode = strtoul(argv[1], NULL, 8)};

	(void)argc;
	return syscall(SYS_openat2, AT_FDCWD, argv[0], &how, sizeof(how));
}

static long attack_mknod_file(int argc, char **argv)
{
	(void)argc;
	return mknod(argv[0], S_IFREG | (mode_t)strtoul(argv[1], NULL, 8), 0);
}

static long attack_fchmodat2(int argc, char **argv)
{
	(void)argc;
	return syscall(452, AT_FDCWD, argv[0], strtoul(argv[1], NULL, 8), 0);
}

const struct probe guest_attacks[] = {
	{"overwrite", "PID", 1, attack_overwrite},
	{"read-below", "FD PATH", 2, attack_read_below},
	{"clone", "FLAGS", 1, attack_clone},
	{"clone3", "FLAGS", 1, attack_clone3},
	{"ptrace-child", "", 0, attack_ptrace_child},
	{"own-terminal", "REQUEST [HIGH]", 1, attack_own_terminal},
	{"map-write", "PATH", 1, attack_map_write},
	{"set-capability", "PATH", 1, attack_set_capability},
	{"openat2", "PATH MODE", 2, attack_openat2},
	{"mknod-file", "PATH MODE", 2, attack_mknod_file},
	{"fchmodat2", "PATH MODE", 2, attack_fchmodat2},
	{"lurk", "STOP", 1, lurk},
	{NULL, NULL, 0, NULL},
};
