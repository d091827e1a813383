/* SPDX-License-Identifier: MIT */
/* process.c – make processes, replace their program, wait for them, signal them
 *
 * fork and clone3 copy the whole process: the child goes on in Lua where the call returned 0, and
 * has to end with S.exit or S.execve. Children that share memory are not offered: two processes
 * cannot run one Lua state. Namespace flags of clone3 need what namespaces(7) asks for; nothing
 * else here needs privilege.
 */
#include "proc.h"
#include "process.h"

#include "heap.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { SIGNAL_MAX = 64 };

int proc_check_signal(lua_State *L, int arg)
{
	uint64_t number = bind_check_const(L, arg, &bind_set_SIG);

	if (number > SIGNAL_MAX)
		luaL_argerror(L, arg, "a signal's name or number expected");
	return (int)number;
}

/* ---- making processes ---- */

/* A copy that an interrupt ended by an error would go on where the error is caught: beside the original, at its prompt. */
static void note_copy(long rc)
{
	bool is_copy = rc == 0;

	if (rc < 0)
		return;
	heap_turn_page(is_copy);
	bind_place++;
	if (is_copy)
		interrupt_off(SIGINT);
}

/*** S.fork() -> pid in the parent, 0 in the child
 * A copy of the process; its exit signal is CHLD. Buffered output of Lua's io is copied too: flush
 * first. SIGINT, an error at the prompt and in scripts, ends the copy. Errors: EAGAIN (a limit on processes), ENOMEM. fork(2). */
static int l_fork(lua_State *L)
{
	long rc = sys_result(fork());

	note_copy(rc);
	return bind_return_int(L, rc);
}

/* The raw call: libc has no wrapper. In the child libc's cached thread id is the parent's; nothing
 * that a single-threaded process calls depends on it. */
static long process_clone3(struct clone_args *args)
{
	return sys_result(syscall(SYS_clone3, args, sizeof(*args)));
}

static const char *const clone3_fields[] = {"flags", "exit_signal", "pidfd", "cgroup", NULL};

void process_check_clone3(lua_State *L, struct clone_args *args, bool *ret_pidfd)
{
	const uint64_t shared = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_SETTLS |
				CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;

	bind_check_fields(L, 1, clone3_fields);
	args->flags = bind_field_flags64(L, 1, "flags", &bind_set_CLONE, 0);
	if (args->flags & shared)
		luaL_argerror(L, 1,
			      "field 'flags': the child is a copy: no vm, thread, sighand, "
			      "settls or *_settid");
	args->exit_signal = bind_field_flags64(L, 1, "exit_signal", &bind_set_SIG, SIGCHLD);
	if (args->exit_signal > SIGNAL_MAX)
		luaL_argerror(L, 1, "field 'exit_signal': a signal's name or number expected");
	*ret_pidfd = bind_field_bool(L, 1, "pidfd", false) || (args->flags & CLONE_PIDFD);
	if (*ret_pidfd)
		args->flags |= CLONE_PIDFD;
	int cgroup = bind_field_fd(L, 1, "cgroup", -1);

	if (cgroup >= 0) {
		args->flags |= CLONE_INTO_CGROUP;
		args->cgroup = (uint64_t)cgroup;
	}
}

/*** S.clone3{ flags=, exit_signal="chld", pidfd=bool, cgroup=fd } -> pid, pidfd | 0 in the child
 * A copy of the process (as fork), in the new namespaces that flags name ("newuser, newpid"),
 * born in the cgroup-v2 directory `cgroup`. exit_signal 0: the parent gets none. The pidfd comes
 * when asked for, close-on-exec. Errors: EPERM (namespaces without newuser), ENOSPC (a limit on
 * namespaces), EBUSY and EACCES (cgroup). clone(2). */
static int l_clone3(lua_State *L)
{
	struct clone_args args = {0};
	bool pidfd;

	process_check_clone3(L, &args, &pidfd);
	int number = -1;
	int *slot = pidfd ? bind_new_fd(L) : NULL;

	args.pidfd = (uint64_t)(uintptr_t)(slot ? slot : &number);
	long rc = process_clone3(&args);

	note_copy(rc);
	if (rc <= 0) {
		if (slot)
			*slot = -1; /* the parent's number means nothing in the child */
		return bind_return_int(L, rc);
	}
	lua_pushinteger(L, rc);
	if (!slot)
		return 1;
	lua_insert(L, -2);
	return 2;
}

/* ---- the program ---- */

/* argv at arg, envp (nil: this process's) at arg + 1; both lists stay on the stack. */
static void exec_check(lua_State *L, int arg, const char ***ret_argv, const char ***ret_envp)
{
	*ret_argv = bind_push_strings(L, arg);
	if (!(*ret_argv)[0])
		luaL_argerror(L, arg, "argv starts with the program's name; the list is empty");
	*ret_envp = lua_isnoneornil(L, arg + 1) ? (const char **)environ
						: bind_push_strings(L, arg + 1);
}

/*** S.execve(path, argv, envp) -> does not return, or nil, err
 * argv: list of strings, the first is argv[0]; envp: list of "NAME=value", nil keeps the
 * environment. No search of PATH. Errors: ENOENT, EACCES, ENOEXEC, E2BIG … execve(2). */
static int l_execve(lua_State *L)
{
	const char **argv, **envp;
	const char *path = bind_check_path(L, 1);

	lua_settop(L, 3);
	exec_check(L, 2, &argv, &envp);
	return bind_return_ok(L, sys_result(syscall(SYS_execve, path, argv, envp)));
}

static const struct bind_const execveat_names[] = {
	{"empty_path", AT_EMPTY_PATH},
	{"symlink_nofollow", AT_SYMLINK_NOFOLLOW},
	{"", 0},
};

static const struct bind_set execveat_flags = {"AT", execveat_names};

/*** S.execveat(dirfd, path, argv, envp, flags) -> does not return, or nil, err
 * As execve, path taken from dirfd (nil: cwd); with path "" and flags "empty_path" the program is
 * the open file dirfd itself; "symlink_nofollow" refuses a link. A script behind a close-on-exec
 * descriptor is ENOENT. execveat(2). */
static int l_execveat(lua_State *L)
{
	const char **argv, **envp;
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 5, &execveat_flags, 0);

	lua_settop(L, 5);
	exec_check(L, 3, &argv, &envp);
	return bind_return_ok(L, sys_result(syscall(SYS_execveat, dirfd, path, argv, envp, flags)));
}

/*** S.exit(code=0) -> does not return
 * Ends the process at once: nothing is flushed, no finalizer runs. code: 0 to 255. _exit(2). */
static int l_exit(lua_State *L)
{
	_exit(lua_isnoneornil(L, 1) ? 0 : (int)bind_check_range(L, 1, 0, 255));
}

/* ---- waiting ---- */

/* Pushes { code = "exited", status = 0, … }; a signal number in status also comes as its name. */
static void push_ending(lua_State *L, int code, int status)
{
	lua_createtable(L, 0, 6);
	bind_set_string(L, "code", bind_const_name(&bind_set_CLD, (uint64_t)code));
	bind_set_int(L, "status", status);
	if (code != CLD_EXITED)
		bind_set_string(L, "signal", bind_const_name(&bind_set_SIG, (uint64_t)status));
}

/* The raw call: libc's drops the usage. */
static long process_waitid(int type, int id, int options, siginfo_t *ret_info,
			   struct rusage *ret_usage)
{
	/* __WALL: also children whose exit signal is not CHLD. */
	return sys_retry(syscall(SYS_waitid, type, id, ret_info, options | __WALL, ret_usage));
}

/*** S.waitid(idtype, id, options="exited") -> { pid, uid, code, status, signal, rusage } | false
 * idtype: "pid", "pgid", "pidfd" (id: a descriptor) or "all" (id nil). options: S.c.W, "exited,
 * nohang". code: "exited" (status is the exit code) or "killed", "dumped", "stopped", "trapped",
 * "continued" (status and signal say which). false: nohang, and none has changed. Errors: ECHILD,
 * EAGAIN (nonblock pidfd). waitid(2). */
static int l_waitid(lua_State *L)
{
	int type = (int)bind_check_const(L, 1, &bind_set_P);
	uint64_t options = bind_opt_flags(L, 3, &bind_set_W, WEXITED);
	siginfo_t info = {0};
	struct rusage usage;
	int id = 0;

	if (!(options & (WEXITED | WSTOPPED | WCONTINUED)))
		options |= WEXITED; /* "nohang" alone: the kernel wants to be told of what */
	if (type == P_PIDFD)
		id = bind_check_fd(L, 2);
	else if (type != P_ALL)
		id = (int)bind_check_range(L, 2, 0, INT32_MAX);
	long rc = process_waitid(type, id, (int)options, &info, &usage);

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushboolean(L, 0);
	if (info.si_pid == 0)
		return 1;
	push_ending(L, info.si_code, info.si_status);
	bind_set_int(L, "pid", info.si_pid);
	bind_set_int(L, "uid", info.si_uid);
	proc_push_rusage(L, &usage);
	lua_setfield(L, -2, "rusage");
	return 1;
}

/* What a wait status says, in the terms of waitid. */
static void status_decode(int word, int *ret_code, int *ret_status)
{
	if (WIFEXITED(word)) {
		*ret_code = CLD_EXITED;
		*ret_status = WEXITSTATUS(word);
	} else if (WIFSIGNALED(word)) {
		*ret_code = WCOREDUMP(word) ? CLD_DUMPED : CLD_KILLED;
		*ret_status = WTERMSIG(word);
	} else if (WIFSTOPPED(word)) {
		*ret_code = CLD_STOPPED;
		*ret_status = WSTOPSIG(word);
	} else {
		*ret_code = CLD_CONTINUED;
		*ret_status = SIGCONT;
	}
}

/*** S.wait4(pid=-1, options) -> pid, { code, status, signal }, rusage | false
 * pid: -1 any child, 0 of this group, < -1 of group -pid. options: "nohang, untraced, continued".
 * false: nohang, and none has changed. rusage as S.getrusage. Errors: ECHILD. wait4(2). */
static int l_wait4(lua_State *L)
{
	int pid = lua_isnoneornil(L, 1) ? -1 : (int)bind_check_range(L, 1, -INT32_MAX, INT32_MAX);
	uint64_t options = bind_opt_flags(L, 2, &bind_set_W, 0);
	struct rusage usage;
	int word = 0, code, status;
	long rc = sys_retry(wait4(pid, &word, (int)options | __WALL, &usage));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	if (rc == 0) {
		lua_pushboolean(L, 0);
		return 1;
	}
	status_decode(word, &code, &status);
	lua_pushinteger(L, rc);
	push_ending(L, code, status);
	proc_push_rusage(L, &usage);
	return 3;
}

/* ---- signalling ---- */

/*** S.kill(pid, sig) -> true
 * pid: > 0 a process, 0 this group, -1 all that may be signalled, < -1 group -pid. sig: "term",
 * "SIGTERM", a number; 0 only asks whether it is there. Errors: ESRCH, EPERM. kill(2). */
static int l_kill(lua_State *L)
{
	int pid = (int)bind_check_range(L, 1, -INT32_MAX, INT32_MAX);

	return bind_return_ok(L, sys_result(kill(pid, proc_check_signal(L, 2))));
}

/*** S.pidfd_open(pid, flags) -> fd
 * A descriptor that means this process for ever, close-on-exec, readable once it has ended. flags:
 * S.c.PIDFD
 * ("nonblock"). Safe only for a child not yet waited for. Errors: ESRCH, EINVAL. pidfd_open(2). */
static int l_pidfd_open(lua_State *L)
{
	int pid = (int)bind_check_range(L, 1, 1, INT32_MAX);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_PIDFD, 0);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(syscall(SYS_pidfd_open, pid, flags)));
}

/*** S.pidfd_send_signal(fd, sig) -> true
 * kill for the process of a pidfd, free of the race for its number. Errors: ESRCH (it is gone),
 * EPERM. pidfd_send_signal(2). */
static int l_pidfd_send_signal(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int sig = proc_check_signal(L, 2);

	return bind_return_ok(L, sys_result(syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0)));
}

/*** S.pidfd_getfd(fd, number) -> fd
 * A copy, close-on-exec, of descriptor `number` of the process of a pidfd; needs what ptrace needs.
 * Errors: EPERM, EBADF (it has no such descriptor), ESRCH. pidfd_getfd(2). */
static int l_pidfd_getfd(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int number = (int)bind_check_range(L, 2, 0, INT32_MAX);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(syscall(SYS_pidfd_getfd, fd, number, 0)));
}

/* ---- who am I ---- */

/*** S.environ() -> { NAME = value }
 * The environment luge was started with; of a name that is there twice the first, as getenv(3) has it. */
static int l_environ(lua_State *L)
{
	lua_newtable(L);
	for (char **entry = environ; entry && *entry; entry++) {
		const char *equals = strchr(*entry, '=');

		if (!equals || equals == *entry)
			continue;
		lua_pushlstring(L, *entry, (size_t)(equals - *entry));
		lua_pushvalue(L, -1);
		if (lua_rawget(L, -3) != LUA_TNIL) {
			lua_pop(L, 2);
			continue;
		}
		lua_pop(L, 1);
		lua_pushstring(L, equals + 1);
		lua_rawset(L, -3);
	}
	return 1;
}

/*** S.getpid() -> number, in the process's own pid namespace. getpid(2). */
static int l_getpid(lua_State *L)
{
	lua_pushinteger(L, getpid());
	return 1;
}

/*** S.getppid() -> number; 0 when the parent is outside the pid namespace. getppid(2). */
static int l_getppid(lua_State *L)
{
	lua_pushinteger(L, getppid());
	return 1;
}

/*** S.gettid() -> number of the thread; the pid, here. gettid(2). */
static int l_gettid(lua_State *L)
{
	lua_pushinteger(L, syscall(SYS_gettid)); /* libc's may be cached from before a clone3 */
	return 1;
}

static const luaL_Reg functions[] = {
	{"fork", l_fork},
	{"clone3", l_clone3},
	{"execve", l_execve},
	{"execveat", l_execveat},
	{"exit", l_exit},
	{"waitid", l_waitid},
	{"wait4", l_wait4},
	{"kill", l_kill},
	{"pidfd_open", l_pidfd_open},
	{"pidfd_send_signal", l_pidfd_send_signal},
	{"pidfd_getfd", l_pidfd_getfd},
	{"environ", l_environ},
	{"getpid", l_getpid},
	{"getppid", l_getppid},
	{"gettid", l_gettid},
	{NULL, NULL},
};

void syscall_process(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
