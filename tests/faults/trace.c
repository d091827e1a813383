/* SPDX-License-Identifier: MIT */
/* trace.c – runs a command and meddles with one of its system calls, or lists all of them
 *
 *   trace [OPTION…] -- COMMAND…
 *     --out FILE                     what was seen, a line each:
 *                                      call ROLE INDEX NUMBER RESULT ARG ARG ARG    (with --list)
 *                                      hit ROLE INDEX NUMBER                        the call meddled with
 *                                      hung ROLE INDEX NUMBER                       what ran when time was up
 *                                      ended CODE                                   the command, 128+n for a signal
 *     --list                         of every call, when it is over
 *     --kill ROLE INDEX entry|exit   SIGKILL before the call, or after it
 *     --errno ROLE INDEX NUMBER      the call is not made and returns that error
 *     --root-only                    end with the command, not with the last of its descendants
 *     --seconds N                    then everything is killed (default 30)
 *     --uid N                        the command runs as that user, with no group but that
 *
 * A role names a process by its descent, the same in every run of a command that does the same: "0" the command before
 * it is executed, "x" added by each execution, ".N" for the N-th child. "0x.1x" is the first child of the command,
 * after it has executed a program itself. Indices count from 1 with each execution.
 *
 * Every process is traced from its birth, wherever it is: no privilege is checked then (ptrace(2), PTRACE_O_TRACECLONE).
 * Once the one call was met they are followed without stops at calls. What is left when the tracer ends runs on untraced.
 */
#include <elf.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES_MAX = 256, ROLE_MAX = 128, SECONDS = 30, FAILED = 99 };

enum action { NOTHING, KILL_ENTRY, KILL_EXIT, ERRNO };

struct process {
	pid_t pid; /* 0: a free place */
	char role[ROLE_MAX];
	unsigned index, children;
	int stopped; /* its first stop came before its parent's word of it */
	unsigned long number, args[3];
	int forged; /* the call is being left out */
	struct user_regs_struct saved;
};

static struct process processes[PROCESSES_MAX];
static FILE *out;

static struct {
	enum action action;
	const char *role;
	unsigned index;
	int error;
	int list, root_only;
	uid_t uid;
	unsigned seconds;
	char **command;
} job = {.uid = (uid_t)-1, .seconds = SECONDS};

static int done; /* the one call was met */
static volatile sig_atomic_t time_is_up;

static void fail(const char *what)
{
	fprintf(stderr, "trace: %s: %s\n", what, strerror(errno));
	_exit(FAILED);
}

/* ---- processes ---- */

static struct process *find(pid_t pid)
{
	for (int i = 0; i < PROCESSES_MAX; i++)
		if (processes[i].pid == pid)
			return &processes[i];
	return NULL;
}

static struct process *add(pid_t pid)
{
	struct process *p = find(0);

	if (!p) {
		errno = ENOSPC;
		fail("processes");
	}
	*p = (struct process){.pid = pid};
	return p;
}

/* Lets it run to its next stop. A process that was killed is gone already. */
static void resume(const struct process *p, int sig)
{
	(void)ptrace(done ? PTRACE_CONT : PTRACE_SYSCALL, p->pid, 0, (long)sig);
}

/* ---- system calls ---- */

/* Another call is made in its place, a ppoll(2) of too many descriptors, which does nothing: a filter is asked after us.
 * It would take the number -1 for one of a foreign ABI, and that of PID 1 allows little else. No timeout, which would
 * be written to, and no signal mask. */
#if defined(__x86_64__)
static int get_registers(const struct process *p, struct user_regs_struct *ret)
{
	return (int)ptrace(PTRACE_GETREGS, p->pid, 0, ret);
}

static void set_registers(const struct process *p, struct user_regs_struct *regs)
{
	(void)ptrace(PTRACE_SETREGS, p->pid, 0, regs);
}

static void skip_call(struct process *p)
{
	if (get_registers(p, &p->saved) != 0)
		return;
	struct user_regs_struct regs = p->saved;

	regs.orig_rax = __NR_ppoll;
	regs.rsi = (unsigned long)-1;
	regs.rdx = regs.r10 = 0;
	set_registers(p, &regs);
}

static void set_result(struct process *p, int error)
{
	p->saved.rax = (unsigned long)-(long)error;
	set_registers(p, &p->saved);
}
#elif defined(__aarch64__)
static int get_registers(const struct process *p, struct user_regs_struct *ret)
{
	struct iovec iov = {ret, sizeof(*ret)};

	return (int)ptrace(PTRACE_GETREGSET, p->pid, NT_PRSTATUS, &iov);
}

static void set_registers(const struct process *p, struct user_regs_struct *regs)
{
	struct iovec iov = {regs, sizeof(*regs)};

	(void)ptrace(PTRACE_SETREGSET, p->pid, NT_PRSTATUS, &iov);
}

static void skip_call(struct process *p)
{
	int number = __NR_ppoll;
	struct iovec iov = {&number, sizeof(number)};

	if (get_registers(p, &p->saved) != 0)
		return;
	struct user_regs_struct regs = p->saved;

	regs.regs[1] = (unsigned long)-1;
	regs.regs[2] = regs.regs[3] = 0;
	set_registers(p, &regs);
	(void)ptrace(PTRACE_SETREGSET, p->pid, NT_ARM_SYSTEM_CALL, &iov);
}

static void set_result(struct process *p, int error)
{
	p->saved.regs[0] = (unsigned long)-(long)error;
	set_registers(p, &p->saved);
}
#else
#error "trace knows x86_64 and aarch64"
#endif

static int is_met(const struct process *p)
{
	return !done && job.action != NOTHING && p->index == job.index &&
	       strcmp(p->role, job.role) == 0;
}

static void note_hit(const struct process *p)
{
	fprintf(out, "hit %s %u %lu\n", p->role, p->index, p->number);
}

static void entered(struct process *p, const struct __ptrace_syscall_info *info)
{
	p->index++;
	p->number = info->entry.nr;
	for (int i = 0; i < 3; i++)
		p->args[i] = info->entry.args[i];
	if (!is_met(p))
		return;
	if (job.action == KILL_ENTRY) {
		note_hit(p);
		(void)kill(p->pid, SIGKILL);
		done = 1;
	} else if (job.action == ERRNO) {
		note_hit(p);
		skip_call(p);
		p->forged = 1;
	}
}

static void left(struct process *p, const struct __ptrace_syscall_info *info)
{
	if (job.list)
		fprintf(out, "call %s %u %lu %ld %lx %lx %lx\n", p->role, p->index, p->number,
			(long)info->exit.rval, p->args[0], p->args[1], p->args[2]);
	if (p->forged) {
		set_result(p, job.error);
		p->forged = 0;
		done = 1;
	} else if (is_met(p) && job.action == KILL_EXIT) {
		note_hit(p);
		(void)kill(p->pid, SIGKILL);
		done = 1;
	}
}

static void syscall_stop(struct process *p)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		entered(p, &info);
	else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
		left(p, &info);
}

/* ---- stops ---- */

static void born(struct process *parent)
{
	unsigned long pid = 0;

	if (ptrace(PTRACE_GETEVENTMSG, parent->pid, 0, &pid) != 0)
		return;
	struct process *p = find((pid_t)pid);

	if (!p)
		p = add((pid_t)pid);
	(void)snprintf(p->role, sizeof(p->role), "%.100s.%u", parent->role, ++parent->children);
	if (p->stopped)
		resume(p, 0);
	p->stopped = 0;
}

static void event_stop(struct process *p, int event, int sig)
{
	if (event == PTRACE_EVENT_STOP) {
		if (!p->role[0]) {
			p->stopped = 1;
			return;
		}
		/* Stopped by a signal it stays stopped, and is told of what wakes it. */
		if (sig != SIGTRAP) {
			(void)ptrace(PTRACE_LISTEN, p->pid, 0, 0);
			return;
		}
	} else if (event == PTRACE_EVENT_EXEC) {
		size_t length = strlen(p->role);

		if (length + 1 < sizeof(p->role))
			memcpy(p->role + length, "x", 2);
		p->index = 0;
	} else {
		born(p);
	}
	resume(p, 0);
}

static void stopped(pid_t pid, int status)
{
	struct process *p = find(pid);
	int sig = WSTOPSIG(status), event = status >> 16;

	if (!p)
		p = add(pid);
	if (event) {
		event_stop(p, event, sig);
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		syscall_stop(p);
		sig = 0;
	}
	resume(p, sig);
}

/* ---- the whole ---- */

static void on_alarm(int sig)
{
	(void)sig;
	time_is_up = 1;
}

/* The call that a process is in; -1 where it runs. */
static long current_call(pid_t pid)
{
	char path[64];
	long number = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	FILE *file = fopen(path, "re");

	if (file && fscanf(file, "%ld", &number) != 1)
		number = -1;
	if (file)
		(void)fclose(file);
	return number;
}

static void kill_all(void)
{
	done = 1;
	for (int i = 0; i < PROCESSES_MAX; i++) {
		const struct process *p = &processes[i];

		if (p->pid == 0)
			continue;
		fprintf(out, "hung %s %u %ld\n", p->role, p->index, current_call(p->pid));
		(void)kill(p->pid, SIGKILL);
	}
}

static int code_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int any_left(void)
{
	for (int i = 0; i < PROCESSES_MAX; i++)
		if (processes[i].pid != 0)
			return 1;
	return 0;
}

/* Until the command has ended, and what else is traced; its code. */
static int follow(pid_t root)
{
	int status, code = -1, killed = 0;

	while (code < 0 || (!job.root_only && any_left())) {
		pid_t pid = waitpid(-1, &status, __WALL);

		if (time_is_up && !killed++)
			kill_all();
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			break;
		if (WIFSTOPPED(status)) {
			stopped(pid, status);
			continue;
		}
		if (pid == root)
			code = code_of(status);
		struct process *p = find(pid);

		if (p)
			p->pid = 0;
	}
	return code;
}

static void become_command(int go)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(FAILED);
	(void)close(go);
	if (job.uid != (uid_t)-1 &&
	    (setgroups(0, NULL) != 0 || setresgid(job.uid, job.uid, job.uid) != 0 ||
	     setresuid(job.uid, job.uid, job.uid) != 0))
		fail("setresuid");
	execvp(job.command[0], job.command);
	fail(job.command[0]);
}

static pid_t start(void)
{
	int go[2];

	if (pipe(go) != 0)
		fail("pipe");
	pid_t pid = fork();

	if (pid == 0) {
		(void)close(go[1]);
		become_command(go[0]);
	}
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, options) != 0)
		fail("ptrace");
	(void)snprintf(add(pid)->role, ROLE_MAX, "0");
	/* Without a stop it would run to its execution unseen, which is what is wanted; PTRACE_SYSCALL needs one. */
	(void)ptrace(PTRACE_INTERRUPT, pid, 0, 0);
	if (write(go[1], "g", 1) != 1)
		fail("write");
	(void)close(go[0]);
	(void)close(go[1]);
	return pid;
}

static void parse(char **argv)
{
	const char *path = "/dev/stdout";

	for (argv++; *argv && strcmp(*argv, "--") != 0; argv++) {
		if (strcmp(*argv, "--list") == 0) {
			job.list = 1;
		} else if (strcmp(*argv, "--root-only") == 0) {
			job.root_only = 1;
		} else if (strcmp(*argv, "--out") == 0) {
			path = *++argv;
		} else if (strcmp(*argv, "--seconds") == 0) {
			job.seconds = (unsigned)atoi(*++argv);
		} else if (strcmp(*argv, "--uid") == 0) {
			job.uid = (uid_t)atoi(*++argv);
		} else {
			int kills = strcmp(*argv, "--kill") == 0;

			job.role = *++argv;
			job.index = (unsigned)atoi(*++argv);
			argv++;
			job.action = !kills			   ? ERRNO
				     : strcmp(*argv, "entry") == 0 ? KILL_ENTRY
								   : KILL_EXIT;
			job.error = atoi(*argv);
		}
	}
	job.command = *argv ? argv + 1 : argv;
	out = fopen(path, "we");
	if (!out)
		fail(path);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_alarm};

	(void)argc;
	parse(argv);
	if (!job.command[0])
		return FAILED;
	(void)sigaction(SIGALRM, &action, NULL);
	(void)alarm(job.seconds);
	int code = follow(start());

	fprintf(out, "ended %d\n", code);
	if (fclose(out) != 0)
		return FAILED;
	return code < 0 ? FAILED : code;
}
