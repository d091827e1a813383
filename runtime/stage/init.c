/* SPDX-License-Identifier: MIT */
/* init.c – PID 1 of the container: reaps, forwards signals, ends with the command or with luge
 *
 * Runs beside the command for the container's whole life. It keeps no privilege but CAP_KILL, if it has
 * that (the command may have changed its uid), three descriptors, a few pages, and a filter that allows
 * the six calls of its loop. Signals go to the command alone, not to its process group: the command knows
 * its children best. When PID 1 ends, the kernel kills what is left in the namespace.
 *
 * What it must not do: touch a path, allocate, trust a signal's sender. Any process of the container that
 * runs as the same user can signal PID 1; that does no more than signalling the command.
 */
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/signalfd.h>
#include <linux/wait.h>

#include "seal.h"
#include "sys.h"

enum {
	LIFELINE_FD = 0,
	STATUS_FD = 1,
	SIGNALS_FD = 2,
	FIRST_FREE_FD = 3,
	CORE_BIT = 0x80,
	EXIT_KILLED = 137,
};

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#else
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field)    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_##action)
/* To instruction `to` when the loaded word is `value`, else to the next; `at` is where this one stands. */
#define IF(at, value, to)     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, (to) - (at)-1, 0)
#define UNLESS(at, value, to) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, (to) - (at)-1)

static const struct sock_filter filter[] = {
	[0] = LOAD(arch),
	[1] = UNLESS(1, NATIVE_ARCH, 14),
	[2] = LOAD(nr),
	[3] = IF(3, __NR_ppoll, 13),
	[4] = IF(4, __NR_wait4, 13),
	[5] = IF(5, __NR_kill, 13),
	[6] = IF(6, __NR_exit_group, 13),
	[7] = IF(7, __NR_write, 11),
	[8] = UNLESS(8, __NR_read, 14),
	[9] = LOAD(args[0]), /* the low half: both architectures are little-endian */
	[10] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SIGNALS_FD, 2, 3),
	[11] = LOAD(args[0]),
	[12] = UNLESS(12, STATUS_FD, 14),
	[13] = RETURN(ALLOW),
	[14] = RETURN(KILL_PROCESS),
};

static void need(long rc)
{
	if (rc < 0)
		stage_fail(-rc, STAGE_SETUP);
}

/* Moves what the loop needs to 0, 1 and 2 and closes the rest, the command's stdout above all. It takes no
 * number above 2: the profile's limit on open files may be that low. */
static void keep_descriptors(void)
{
	/* All of them: a fault of our own kills, blocked or not, and is never read here. */
	uint64_t mask = ~0ULL;

	need(sys(dup3, stage.header.lifeline, LIFELINE_FD, O_CLOEXEC));
	need(sys(dup3, stage.header.status, STATUS_FD, O_CLOEXEC));
	stage.header.status = STATUS_FD;
	(void)sys(close, SIGNALS_FD); /* the lowest free number is then this one */
	need(sys(signalfd4, -1, &mask, sizeof(mask), O_CLOEXEC | O_NONBLOCK));
	need(sys(close_range, FIRST_FREE_FD, ~0U, 0));
}

static void keep_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	need(sys(capget, &header, data));
	data[0].permitted &= 1U << CAP_KILL;
	data[0].effective = data[0].permitted;
	data[0].inheritable = 0;
	data[1].permitted = data[1].effective = data[1].inheritable = 0;
	need(sys(capset, &header, data));
	need(sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL));
}

static void lock_down(void)
{
	const struct sock_filter *code = filter;

	/* clang would copy the program from a constant that holds this address, and nobody relocates the stage. */
	__asm__("" : "+r"(code));
	struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = (struct sock_filter *)code,
	};

	keep_descriptors();
	keep_capabilities();
	need(sys(prctl, PR_SET_NO_NEW_PRIVS, 1));
	need(sys(seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

_Noreturn static void report_end(int status)
{
	int signal = status & 0x7f;

	if (signal) {
		(void)stage_send(STAGE_KILLED, signal, (status & CORE_BIT) != 0, 0);
		stage_exit(128 + signal);
	}
	(void)stage_send(STAGE_EXITED, (status >> 8) & 0xff, 0, 0);
	stage_exit((status >> 8) & 0xff);
}

static void reap(long command)
{
	int status;
	long pid;

	while ((pid = sys(wait4, -1, &status, WNOHANG | __WALL)) > 0)
		if (pid == command)
			report_end(status);
	if (pid < 0 && pid != -ECHILD) /* or the command's end would never be heard of */
		stage_exit(EXIT_KILLED);
}

static void take_signal(long command)
{
	struct signalfd_siginfo info;

	if (sys(read, SIGNALS_FD, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		reap(command);
	else
		(void)sys(kill, command, info.ssi_signo); /* it may be gone, or not ours any more */
}

_Noreturn static void serve(long command)
{
	struct pollfd polls[] = {{.fd = LIFELINE_FD}, {.fd = SIGNALS_FD, .events = POLLIN}};

	for (;;) {
		long rc = sys(ppoll, polls, 2, 0, 0, 0);

		if (rc < 0 && rc != -EINTR && rc != -ENOMEM)
			stage_exit(EXIT_KILLED);
		if (rc > 0 && polls[0].revents) /* luge is gone */
			stage_exit(EXIT_KILLED);
		if (rc > 0 && polls[1].revents)
			take_signal(command);
	}
}

/* PID 1, when the command runs or its start has failed. */
_Noreturn static void init_main(long command)
{
	struct stage_message *e = &stage.error;

	stage.forked = 0;
	stage.step = (uint32_t)e->a;
	if (e->kind)
		stage_fail(e->b, e->c);
	(void)sys(munmap, stage.image, stage.size);
	lock_down();
	/* Of a command that luge did not hear of nobody would know how it began. */
	if (stage.executing)
		need(stage_send(STAGE_STARTED, 0, 0, 0));
	serve(command);
}

/*
 * The child shares our memory and we sleep until it has executed the command or ended (CLONE_VFORK): no
 * page is copied, and we know what became of it without a further descriptor. It also uses our stack, so
 * nothing may be kept in this frame but what both sides only read, and neither side may return.
 * A child that shares memory cannot unshare its user namespace: that comes before STAGE_INIT.
 */
__attribute__((noinline)) _Noreturn void init_fork(void)
{
	static const uint64_t all = ~0ULL;
	struct sigaction action;

	/* An ignored SIGCHLD, inherited, would have the kernel reap for us and tell us nothing. */
	__builtin_memset(&action, 0, sizeof(action));
	need(sys(rt_sigaction, SIGCHLD, &action, 0, sizeof(all)));
	need(sys(rt_sigprocmask, SIG_SETMASK, &all, &stage.signals, sizeof(all)));
	/* By it others tell that the command is another process: from the first moment that there is one. */
	(void)sys(prctl, PR_SET_NAME, "luge-init");
	stage.forked = 1;
	long pid = sys(clone, CLONE_VM | CLONE_VFORK | SIGCHLD);

	if (pid == 0) {
		(void)sys(rt_sigprocmask, SIG_SETMASK, &stage.signals, 0, sizeof(all));
		stage_run();
	}
	if (pid < 0) {
		stage.forked = 0;
		stage_fail(-pid, STAGE_FAILED);
	}
	init_main(pid);
}
