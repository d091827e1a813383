/* SPDX-License-Identifier: MIT */
/* seal.c – the stage: runs luge's orders, one system call after the other, up to the command
 *
 * Runs after pivot_root, or from the birth of the container's first process on where it furnishes the container
 * too (guest.c), executed from a sealed memfd: it opens no path but those the orders name and trusts no file. It starts with the privilege of the container's
 * root and gives away what the orders say. Whatever fails is reported and ends it: a half-sealed process
 * must never go on.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/signal.h>

#include "seal.h"
#include "sys.h"

enum {
	EXIT_LUGE_FAILED = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
	PATH_SIZE = 4096, /* getcwd gives no more: a page */
	SIGNAL_COUNT = 64,
};

struct stage stage;

_Noreturn void stage_exit(int code)
{
	for (;;) {
		(void)sys(exit_group, code);
		__builtin_trap(); /* a filter of the profile refused even that */
	}
}

long stage_send(int32_t kind, int32_t a, int32_t b, int32_t c)
{
	struct stage_message message = {kind, a, b, c};
	long rc;

	/* A word that is lost is one that luge waits for. */
	do
		rc = sys(write, stage.header.status, &message, sizeof(message));
	while (rc == -EINTR);
	return rc;
}

int stage_exit_code(int32_t reason)
{
	if (reason == STAGE_NOT_FOUND)
		return EXIT_NOT_FOUND;
	if (reason == STAGE_NOT_EXECUTABLE || reason == STAGE_NO_INTERPRETER)
		return EXIT_NOT_EXECUTABLE;
	return EXIT_LUGE_FAILED;
}

_Noreturn void stage_fail(long error, int32_t reason)
{
	int32_t step = (int32_t)stage.step;

	if (stage.forked) /* the profile's filters may refuse the child's write: PID 1 sends it */
		stage.error = (struct stage_message){STAGE_ERROR, step, (int32_t)error, reason};
	else
		(void)stage_send(STAGE_ERROR, step, (int32_t)error,
				 reason); /* the exit code says it too */
	stage_exit(stage_exit_code(reason));
}

/* Handlers end with execve, ignored signals do not: luge and its callers may ignore some. */
static void reset_signals(void)
{
	struct sigaction action;
	uint64_t none = 0;

	__builtin_memset(&action, 0, sizeof(action));
	long rc = sys(rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof(none));

	for (int n = 1; n <= SIGNAL_COUNT && rc >= 0; n++)
		if (n != SIGKILL && n != SIGSTOP) /* which refuse */
			rc = sys(rt_sigaction, n, &action, 0, sizeof(none));
	if (rc < 0)
		stage_fail(-rc, STAGE_FAILED);
}

/* A directory above the root would let the command walk out of the container (CVE-2024-21626). */
static void check_cwd(void)
{
	char path[PATH_SIZE];
	long rc = sys(getcwd, path, sizeof(path));

	if (rc < 0)
		stage_fail(-rc, STAGE_FAILED);
	if (path[0] != '/') /* the kernel says "(unreachable)" */
		stage_fail(0, STAGE_OUTSIDE);
}

/* The parent-death signal holds only from when it was set: luge may have died before. */
static void check_lifeline(void)
{
	struct pollfd poll = {.fd = stage.header.lifeline};
	long now[2] = {0, 0};
	long rc = sys(ppoll, &poll, 1, now, 0, sizeof(uint64_t));

	if (rc < 0)
		stage_fail(-rc, STAGE_FAILED);
	if (poll.revents)
		stage_exit(EXIT_LUGE_FAILED);
}

static void wait_for_go(void)
{
	char byte;

	long rc = stage_send(STAGE_SEALED, 0, 0, 0);

	/* A luge that did not hear would never answer. */
	if (rc >= 0)
		rc = sys(read, stage.header.go, &byte, 1);
	if (rc != 1)
		stage_fail(rc < 0 ? -rc : 0, STAGE_NO_GO);
}

static void bound(uint64_t mask)
{
	for (int cap = 0; cap < 64; cap++) {
		long rc = mask >> cap & 1 ? sys(prctl, PR_CAPBSET_DROP, cap) : 0;

		if (rc < 0)
			stage_fail(-rc, STAGE_FAILED);
	}
}

/* Whether the result is an error that ends the stage. */
static void judge(const struct stage_record *r, long rc)
{
	if (rc < 0 && rc >= -4095 && r->tolerate != STAGE_ANY_ERRNO && r->tolerate != -rc)
		stage_fail(-rc, STAGE_FAILED);
}

static long make_call(const struct stage_record *r)
{
	const uint64_t *a = r->args;

	return sys6((long)(uint32_t)r->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3],
		    (long)a[4], (long)a[5]);
}

static void make_whole_call(const struct stage_record *r)
{
	long rc = make_call(r);

	judge(r, rc);
	if (rc >= 0 && (uint64_t)rc != r->args[2])
		stage_fail(0, STAGE_SHORT);
}

/* What takes more than a call to furnish a container. */
static long furnish(const struct stage_record *r)
{
	const uint64_t *a = r->args;
	int number = (int)(r->nr >> 32);

	switch (r->kind) {
	case STAGE_OPEN:
		return guest_number((uint32_t)r->nr == __NR_openat2
					    ? sys_openat2((long)a[0], (const char *)a[1],
							  (const struct open_how *)a[2])
					    : make_call(r),
				    number);
	case STAGE_HEAR:
		guest_hear();
		return 0;
	case STAGE_TAKE:
		return guest_take((int)a[0], (int)a[1]);
	case STAGE_IN_ROOT:
		return guest_number(guest_open((int)a[0], (const char *)a[1], (unsigned)a[2]),
				    number);
	case STAGE_COPY:
		return guest_copy((int)a[0], (int)a[1]);
	case STAGE_DEVICE:
		return guest_expect_device((int)a[0], (unsigned)a[1], (unsigned)a[2],
					   (unsigned)a[3]);
	case STAGE_LINK:
		return link_tell(r);
	default:
		return guest_expect_bare_root();
	}
}

static void run_record(const struct stage_record *record)
{
	stage.step = record->step;
	switch (record->kind) {
	case STAGE_CALL:
		judge(record, make_call(record));
		break;
	case STAGE_CALL_ALL:
		make_whole_call(record);
		break;
	case STAGE_SIGNALS:
		reset_signals();
		break;
	case STAGE_CWD:
		check_cwd();
		break;
	case STAGE_LIFELINE:
		check_lifeline();
		break;
	case STAGE_INIT:
		if (stage.forked)
			stage_fail(0, STAGE_BAD_ORDERS);
		init_fork();
	case STAGE_ENTER:
		if (stage.forked)
			stage_fail(0, STAGE_BAD_ORDERS);
		enter_fork();
	case STAGE_WAIT:
		wait_for_go();
		break;
	case STAGE_BOUND:
		bound(record->args[0]);
		break;
	case STAGE_EXEC:
		exec_command(record);
	case STAGE_OPEN:
	case STAGE_HEAR:
	case STAGE_TAKE:
	case STAGE_IN_ROOT:
	case STAGE_COPY:
	case STAGE_DEVICE:
	case STAGE_BARE:
	case STAGE_LINK:
		judge(record, furnish(record));
		break;
	default:
		stage_fail(0, STAGE_BAD_ORDERS);
	}
}

_Noreturn void stage_run(void)
{
	const struct stage_record *records = (const void *)(stage.image + stage.header.records);

	while (stage.next < stage.header.record_count)
		run_record(&records[stage.next++]);
	stage_fail(0, STAGE_BAD_ORDERS); /* the last record is STAGE_EXEC, which does not return */
}

/* "luge-init 7" is 7; anything else is -1. */
static int orders_number(const char *word)
{
	const char *prefix = STAGE_ARGV0;
	int n = 0;

	while (*prefix)
		if (*word++ != *prefix++)
			return -1;
	if (!*word)
		return -1;
	for (; *word; word++) {
		if (*word < '0' || *word > '9' || n > 100000)
			return -1;
		n = n * 10 + (*word - '0');
	}
	return n;
}

/* Maps the image; false when it is none or could change under us. */
static int orders_map(int fd)
{
	long seals = sys(fcntl, fd, F_GET_SEALS);
	long size = sys(lseek, fd, 0, 2 /* SEEK_END */);

	if (seals < 0 || (seals & SEALS) != SEALS || size < STAGE_HEADER_SIZE ||
	    size > STAGE_SIZE_MAX)
		return 0;
	long address =
		sys(mmap, STAGE_BASE, size, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0);

	if (address != STAGE_BASE)
		return 0;
	stage.image = (const unsigned char *)address;
	stage.size = (size_t)size;
	stage.header = *(const struct stage_header *)stage.image;
	return 1;
}

/* channel: where the orders came from, or 0. */
static int header_valid(int channel)
{
	const struct stage_header *h = &stage.header;
	uint64_t records_end = h->records + (uint64_t)h->record_count * STAGE_RECORD_SIZE;

	return h->magic == STAGE_MAGIC && h->size == stage.size && !stage.image[stage.size - 1] &&
	       h->records % 8 == 0 && records_end <= h->size && h->status > 2 && h->lifeline > 2 &&
	       (h->go == -1 || h->go > 2) && h->channel == channel;
}

/* Says over the channel, as a copy of luge would, that no step could be taken. */
static _Noreturn void orders_refuse(int channel, long error)
{
	const int32_t word[3] = {0, (int32_t)error, 0};

	if (channel)
		(void)sys(write, channel, word, sizeof(word));
	stage_exit(EXIT_LUGE_FAILED);
}

/* Maps the orders; returns the channel that they came over, or 0 where number is their file's. */
static int orders_get(int number, int *ret_file)
{
	int channel = sys(fcntl, number, F_GET_SEALS) == -EINVAL ? number : 0;
	long file = channel ? guest_hear_orders(channel) : number;

	if (file < 0)
		orders_refuse(channel, -file);
	if (!orders_map((int)file) || !header_valid(channel))
		orders_refuse(channel, EBADMSG);
	*ret_file = (int)file;
	return channel;
}

/* The stage's own descriptors end at the command's execve; the orders end here. */
static void own_descriptors(int orders)
{
	const int own[] = {stage.header.status, stage.header.lifeline, stage.header.go,
			   stage.header.channel};

	(void)sys(close, orders);
	for (int i = 0; i < 4; i++) {
		long rc = own[i] <= 0 ? 0 : sys(fcntl, own[i], F_SETFD, FD_CLOEXEC);

		if (rc < 0)
			stage_fail(-rc, STAGE_SETUP);
	}
}

__attribute__((used)) _Noreturn void stage_main(long *stack)
{
	char **argv = (char **)(stack + 1);
	int number = stack[0] == 1 ? orders_number(argv[0]) : -1, orders;

	if (number < 3)
		stage_exit(EXIT_LUGE_FAILED);
	/* From here on no process of the container can read or trace the stage, nor open its /proc/PID/exe. One that
	 * furnishes the container needs its own /proc/self for that, which it would not have: the orders say when. */
	long rc = orders_get(number, &orders) ? 0 : sys(prctl, PR_SET_DUMPABLE, 0);

	if (rc < 0)
		stage_fail(-rc, STAGE_SETUP);
	own_descriptors(orders);
	stage_run();
}

/* The kernel starts a program with argc, argv, envp on the stack, and no frame below. */
#if defined(__x86_64__)
__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call stage_main\n"
	"	hlt\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl stage_main\n"
	"	brk #1\n");
#endif
