/* SPDX-License-Identifier: MIT */
/* signal.c – masks, dispositions, signalfd
 *
 * Lua code never runs in a signal handler: whoever wants to hear a signal blocks it and reads a
 * signalfd, or waits with sigtimedwait. Sending to others is in process.c. Needs no privilege.
 */
#include "bind.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"

enum { LAST_SIGNAL = 64 };

/* ---- sets ---- */

static void add_number(lua_State *L, int arg, sigset_t *set, lua_Integer number)
{
	if (number < 1 || number > LAST_SIGNAL || sigaddset(set, (int)number) != 0)
		luaL_argerror(L, arg, lua_pushfstring(L, "%I is no signal", number));
}

/* One word of a string: a name with or without SIG, a number, or "all". */
static void add_word(lua_State *L, int arg, sigset_t *set, const char *word)
{
	char *end;
	long number = strtol(word, &end, 10);
	const char *name = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;

	if (isdigit((unsigned char)*word) && !*end) {
		add_number(L, arg, set, number);
		return;
	}
	if (strcasecmp(word, "all") == 0) {
		(void)sigfillset(set); /* cannot fail */
		return;
	}
	for (const struct bind_const *c = bind_set_SIG.consts; *c->name; c++) {
		if (strcasecmp(c->name, name) == 0) {
			add_number(L, arg, set, (lua_Integer)c->value);
			return;
		}
	}
	bind_raise(L, arg, "names of signals expected", word, bind_nearest(&bind_set_SIG, name));
}

static void add_string(lua_State *L, int arg, sigset_t *set, const char *s)
{
	while (*s) {
		s += strspn(s, " ,|\t\n");
		size_t len = strcspn(s, " ,|\t\n");

		if (len) {
			add_word(L, arg, set, lua_pushlstring(L, s, len));
			lua_pop(L, 1);
		}
		s += len;
	}
}

static void add_value(lua_State *L, int index, int arg, sigset_t *set)
{
	if (lua_isinteger(L, index))
		add_number(L, arg, set, lua_tointeger(L, index));
	else if (lua_type(L, index) == LUA_TSTRING)
		add_string(L, arg, set, lua_tostring(L, index));
	else
		bind_raise(L, arg, "names of signals expected", luaL_typename(L, index), NULL);
}

/* "int, term", "all", "", a number, or a list of names and numbers. */
static void check_sigset(lua_State *L, int arg, sigset_t *ret_set)
{
	(void)sigemptyset(ret_set); /* cannot fail */
	if (!lua_istable(L, arg)) {
		add_value(L, arg, arg, ret_set);
		return;
	}
	for (lua_Integer i = 1; lua_geti(L, arg, i) != LUA_TNIL; i++) {
		add_value(L, -1, arg, ret_set);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void push_signal(lua_State *L, int number)
{
	const char *name = bind_const_name(&bind_set_SIG, (uint64_t)number);

	if (name)
		lua_pushstring(L, name);
	else
		lua_pushinteger(L, number);
}

static void push_sigset(lua_State *L, const sigset_t *set)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (int number = 1; number <= LAST_SIGNAL; number++) {
		if (sigismember(set, number) != 1)
			continue;
		push_signal(L, number);
		lua_seti(L, -2, ++n);
	}
}

static int check_signal(lua_State *L, int arg)
{
	lua_Integer number = (lua_Integer)bind_check_const(L, arg, &bind_set_SIG);

	if (number < 1 || number > LAST_SIGNAL)
		luaL_argerror(L, arg, lua_pushfstring(L, "%I is no signal", number));
	return (int)number;
}

/* ---- masks ---- */

/*** S.sigprocmask(how, set) -> list of the signals blocked before
 * how: "block", "unblock" or "setmask"; set: names ("int, term"), "all", numbers, or a list of
 * them. Without arguments only reads. KILL and STOP are never blocked, and asking for it is no
 * error. The mask is inherited by children and kept by execve. Source: sigprocmask(2).
 */
static int l_sigprocmask(lua_State *L)
{
	bool change = !lua_isnoneornil(L, 1) || !lua_isnoneornil(L, 2);
	sigset_t set, old;
	int how = SIG_BLOCK;

	if (change) {
		how = (int)bind_check_const(L, 1, &bind_set_SIGPM);
		check_sigset(L, 2, &set);
	}
	long rc = sys_result(sigprocmask(how, change ? &set : NULL, &old));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	push_sigset(L, &old);
	return 1;
}

/*** S.sigpending() -> list of the signals that wait because they are blocked
 * Source: sigpending(2).
 */
static int l_sigpending(lua_State *L)
{
	sigset_t set;
	long rc = sys_result(sigpending(&set));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	push_sigset(L, &set);
	return 1;
}

/*** S.sigaction(signal, action) -> what was set before
 * action and result: "default" or "ignore"; the result is "handler" where C code catches it.
 * Without action only reads. Ignored signals stay ignored over execve; Lua code cannot be a handler
 * (use signalfd). Errors: INVAL for KILL and STOP. Source: sigaction(2).
 */
static int l_sigaction(lua_State *L)
{
	static const char *const actions[] = {"default", "ignore", NULL};
	int number = check_signal(L, 1);
	bool change = !lua_isnoneornil(L, 2);
	struct sigaction action = {.sa_handler = SIG_DFL}, old;

	if (change && luaL_checkoption(L, 2, NULL, actions) == 1)
		action.sa_handler = SIG_IGN;
	long rc = sys_result(sigaction(number, change ? &action : NULL, &old));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushstring(L, old.sa_handler == SIG_DFL   ? "default"
			  : old.sa_handler == SIG_IGN ? "ignore"
						      : "handler");
	return 1;
}

/*** S.raise(signal) -> true
 * Sends a signal to the calling thread itself. Source: raise(3), tgkill(2).
 */
static int l_raise(lua_State *L)
{
	int number = check_signal(L, 1);

	return bind_return_ok(L, sys_result(syscall(SYS_tgkill, getpid(), gettid(), number)));
}

/* ---- receiving ---- */

struct received {
	int signo, code, status;
	uint32_t pid, uid;
};

/* {signo, name, code, pid, uid, status}: the code of a child's change has its own names. */
static void push_received(lua_State *L, const struct received *r)
{
	const struct bind_set *codes =
		r->signo == SIGCHLD && r->code > 0 ? &bind_set_CLD : &bind_set_SI;
	const char *code = bind_const_name(codes, (uint64_t)(int64_t)r->code);

	lua_createtable(L, 0, 6);
	bind_set_int(L, "signo", r->signo);
	push_signal(L, r->signo);
	lua_setfield(L, -2, "name");
	if (code)
		bind_set_string(L, "code", code);
	else
		bind_set_int(L, "code", r->code);
	bind_set_int(L, "pid", r->pid);
	bind_set_int(L, "uid", r->uid);
	if (r->signo == SIGCHLD)
		bind_set_int(L, "status", r->status);
}

/*** S.signalfd(set [, flags]) -> fd
 * A descriptor from which the signals of set are read; block them with sigprocmask first. flags:
 * "nonblock". Always close-on-exec. Source: signalfd(2).
 */
static int l_signalfd(lua_State *L)
{
	sigset_t set;

	check_sigset(L, 1, &set);
	int flags = (int)bind_opt_flags(L, 2, &bind_set_SFD, 0);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(signalfd(-1, &set, flags | SFD_CLOEXEC)));
}

/*** S.signalfd_read(fd) -> {signo, name, code, pid, uid, status}
 * One signal. name: "term"; code: "user" (kill), "kernel", "tkill"…, for chld "exited", "killed",
 * "dumped", "stopped", "continued"; pid and uid: the sender or the child, as seen from here;
 * status, for chld only: the exit code or the signal's number. Errors: AGAIN when none waits on a
 * "nonblock" descriptor.
 */
static int l_signalfd_read(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	struct signalfd_siginfo info;
	long rc = sys_result(read(fd, &info, sizeof(info)));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	if (rc != (long)sizeof(info))
		return bind_error(L, EBADMSG);
	push_received(L, &(struct received){
				 .signo = (int)info.ssi_signo,
				 .code = info.ssi_code,
				 .status = info.ssi_status,
				 .pid = info.ssi_pid,
				 .uid = info.ssi_uid,
			 });
	return 1;
}

/*** S.sigtimedwait(set [, seconds]) -> {signo, name, code, pid, uid, status}
 * Takes one pending signal of set, waiting for it at most that long (for ever without seconds);
 * block the signals first. Result as of signalfd_read. Errors: AGAIN when time is up, INTR. Source:
 * sigtimedwait(2).
 */
static int l_sigtimedwait(lua_State *L)
{
	bool bounded = !lua_isnoneornil(L, 2);
	struct timespec limit = {0};
	siginfo_t info = {0};
	sigset_t set;

	check_sigset(L, 1, &set);
	if (bounded)
		limit = clock_check_seconds(L, 2, 2, "seconds");
	long rc = sys_result(sigtimedwait(&set, &info, bounded ? &limit : NULL));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	push_received(L, &(struct received){
				 .signo = info.si_signo,
				 .code = info.si_code,
				 .status = info.si_status,
				 .pid = (uint32_t)info.si_pid,
				 .uid = info.si_uid,
			 });
	return 1;
}

static const luaL_Reg functions[] = {
	{"sigprocmask", l_sigprocmask},	  {"sigpending", l_sigpending},
	{"sigaction", l_sigaction},	  {"raise", l_raise},
	{"signalfd", l_signalfd},	  {"signalfd_read", l_signalfd_read},
	{"sigtimedwait", l_sigtimedwait}, {NULL, NULL},
};

void syscall_signal(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
