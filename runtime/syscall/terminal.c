/* SPDX-License-Identifier: MIT */
/* terminal.c – terminals: attributes, sizes, pseudo-terminals
 *
 * Needs no privilege. Pseudo-terminals are opened through their master (TIOCGPTPEER), because the
 * name of the slave means something else in another mount namespace.
 */
#include "bind.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* ---- attributes ---- */

static void push_termios(lua_State *L, const struct termios *t)
{
	lua_createtable(L, 0, 5);
	bind_set_int(L, "iflag", t->c_iflag);
	bind_set_int(L, "oflag", t->c_oflag);
	bind_set_int(L, "cflag", t->c_cflag);
	bind_set_int(L, "lflag", t->c_lflag);
	lua_newtable(L);
	for (const struct bind_const *c = bind_set_CC.consts; *c->name; c++)
		bind_set_int(L, c->name, t->c_cc[c->value]);
	lua_setfield(L, -2, "cc");
}

/* The control characters of the table at the top of the stack, over those of t. */
static void merge_cc(lua_State *L, int arg, struct termios *t)
{
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		lua_pushvalue(L, -2);
		const char *name = luaL_checkstring(L, -1);
		const struct bind_const *c = bind_set_CC.consts;

		while (*c->name && strcmp(c->name, name) != 0)
			c++;
		if (!*c->name)
			bind_raise(L, arg, "field 'cc': a name of S.c.CC expected", name,
				   bind_nearest(&bind_set_CC, name));
		lua_Integer value = lua_tointeger(L, -2);

		if (!lua_isinteger(L, -2) || value < 0 || value > UCHAR_MAX)
			luaL_argerror(L, arg, "field 'cc': numbers within 0 and 255 expected");
		t->c_cc[c->value] = (cc_t)value;
		lua_pop(L, 2);
	}
}

/* What the table at arg says, over what t says already. */
static void merge_termios(lua_State *L, int arg, struct termios *t)
{
	static const char *const fields[] = {"iflag", "oflag", "cflag", "lflag", "cc", NULL};

	bind_check_fields(L, arg, fields);
	t->c_iflag = (tcflag_t)bind_field_flags(L, arg, "iflag", &bind_set_IFLAG, t->c_iflag);
	t->c_oflag = (tcflag_t)bind_field_flags(L, arg, "oflag", &bind_set_OFLAG, t->c_oflag);
	t->c_cflag = (tcflag_t)bind_field_flags(L, arg, "cflag", &bind_set_CFLAG, t->c_cflag);
	t->c_lflag = (tcflag_t)bind_field_flags(L, arg, "lflag", &bind_set_LFLAG, t->c_lflag);
	int type = lua_getfield(L, arg, "cc");

	if (type == LUA_TTABLE)
		merge_cc(L, arg, t);
	else if (type != LUA_TNIL)
		bind_raise(L, arg, "field 'cc': a table expected", luaL_typename(L, -1), NULL);
	lua_pop(L, 1);
}

/*** S.isatty(fd) -> true
 * nil and ENOTTY when it is no terminal. isatty(3) */
static int terminal_isatty(lua_State *L)
{
	int fd = bind_check_fd(L, 1);

	return bind_return_ok(L, isatty(fd) ? 0 : -errno);
}

/*** S.tcgetattr(fd) -> {iflag=, oflag=, cflag=, lflag=, cc={intr=3…}}
 * Flags are integers: bits of S.c.IFLAG, OFLAG, CFLAG, LFLAG. cc: names of S.c.CC. termios(3) */
static int terminal_tcgetattr(lua_State *L)
{
	struct termios t;
	long rc = sys_result(tcgetattr(bind_check_fd(L, 1), &t));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	push_termios(L, &t);
	return 1;
}

/*** S.tcsetattr(fd, when, {iflag=, oflag=, cflag=, lflag=, cc={…}}) -> true
 * when: "now", "drain", "flush". Flags are integers or names; fields and characters that are left
 * out stay as they are. A stopped background process gets SIGTTOU. termios(3) */
static int terminal_tcsetattr(lua_State *L)
{
	struct termios t;
	int fd = bind_check_fd(L, 1);
	uint64_t when = bind_check_const(L, 2, &bind_set_TCSA);
	long rc = sys_result(tcgetattr(fd, &t));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	merge_termios(L, 3, &t);
	return bind_return_ok(L, sys_result(tcsetattr(fd, (int)when, &t)));
}

/*** S.cfmakeraw(attributes) -> attributes
 * A copy of what tcgetattr() gave, without any processing of input and output. termios(3) */
static int terminal_cfmakeraw(lua_State *L)
{
	struct termios t = {0};

	merge_termios(L, 1, &t);
	cfmakeraw(&t);
	push_termios(L, &t);
	return 1;
}

/* ---- sizes ---- */

/*** S.tcgetwinsize(fd) -> {rows=, cols=, xpixel=, ypixel=}
 * TIOCGWINSZ: ioctl_tty(2) */
static int terminal_tcgetwinsize(lua_State *L)
{
	struct winsize size;
	long rc = sys_result(ioctl(bind_check_fd(L, 1), TIOCGWINSZ, &size));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_createtable(L, 0, 4);
	bind_set_int(L, "rows", size.ws_row);
	bind_set_int(L, "cols", size.ws_col);
	bind_set_int(L, "xpixel", size.ws_xpixel);
	bind_set_int(L, "ypixel", size.ws_ypixel);
	return 1;
}

static unsigned short field_short(lua_State *L, int arg, const char *key)
{
	lua_Integer value = bind_field_int(L, arg, key, 0);

	luaL_argcheck(L, value >= 0 && value <= USHRT_MAX, arg, "sizes are within 0 and 65535");
	return (unsigned short)value;
}

/*** S.tcsetwinsize(fd, {rows=, cols=, xpixel=0, ypixel=0}) -> true
 * The foreground processes get SIGWINCH when it changed. TIOCSWINSZ: ioctl_tty(2) */
static int terminal_tcsetwinsize(lua_State *L)
{
	static const char *const fields[] = {"rows", "cols", "xpixel", "ypixel", NULL};
	struct winsize size;
	int fd = bind_check_fd(L, 1);

	bind_check_fields(L, 2, fields);
	size.ws_row = field_short(L, 2, "rows");
	size.ws_col = field_short(L, 2, "cols");
	size.ws_xpixel = field_short(L, 2, "xpixel");
	size.ws_ypixel = field_short(L, 2, "ypixel");
	return bind_return_ok(L, sys_result(ioctl(fd, TIOCSWINSZ, &size)));
}

/* ---- job control ---- */

/*** S.tcgetpgrp(fd) -> process group in the foreground
 * ENOTTY when it is not the caller's controlling terminal. tcgetpgrp(3) */
static int terminal_tcgetpgrp(lua_State *L)
{
	return bind_return_int(L, sys_result(tcgetpgrp(bind_check_fd(L, 1))));
}

/*** S.tcsetpgrp(fd, process group) -> true
 * From the background it stops the caller by SIGTTOU unless that is blocked or ignored.
 * tcsetpgrp(3) */
static int terminal_tcsetpgrp(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	pid_t group = (pid_t)bind_check_range(L, 2, 1, INT_MAX);

	return bind_return_ok(L, sys_result(tcsetpgrp(fd, group)));
}

/*** S.tcgetsid(fd) -> session whose terminal it is
 * tcgetsid(3). A session leader takes a terminal by S.ioctl(fd, "tiocsctty"). */
static int terminal_tcgetsid(lua_State *L)
{
	return bind_return_int(L, sys_result(tcgetsid(bind_check_fd(L, 1))));
}

/* ---- pseudo-terminals ---- */

/*** S.posix_openpt(flags="rdwr, noctty") -> fd
 * The master of a new pseudo-terminal, from /dev/ptmx; locked until unlockpt(). posix_openpt(3) */
static int terminal_posix_openpt(lua_State *L)
{
	uint64_t flags = bind_opt_flags(L, 1, &bind_set_O, O_RDWR | O_NOCTTY);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(open("/dev/ptmx", (int)flags | O_CLOEXEC)));
}

/*** S.unlockpt(fd) -> true
 * Lets the slave of this master be opened. TIOCSPTLCK: ioctl_tty(2) */
static int terminal_unlockpt(lua_State *L)
{
	int unlock = 0;

	return bind_return_ok(L, sys_result(ioctl(bind_check_fd(L, 1), TIOCSPTLCK, &unlock)));
}

/*** S.ptsname(fd) -> "/dev/pts/N"
 * The slave's name where the master's devpts is mounted on /dev/pts. TIOCGPTN: ioctl_tty(2) */
static int terminal_ptsname(lua_State *L)
{
	unsigned number;
	long rc = sys_result(ioctl(bind_check_fd(L, 1), TIOCGPTN, &number));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushfstring(L, "/dev/pts/%I", (LUAI_UACINT)number);
	return 1;
}

/*** S.ptpeer(fd, flags="rdwr, noctty") -> fd
 * The slave of this master, whatever is mounted on /dev/pts. EIO while locked. TIOCGPTPEER:
 * ioctl_tty(2) */
static int terminal_ptpeer(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_O, O_RDWR | O_NOCTTY);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(ioctl(fd, TIOCGPTPEER, (int)flags | O_CLOEXEC)));
}

static const luaL_Reg functions[] = {
	{"isatty", terminal_isatty},
	{"tcgetattr", terminal_tcgetattr},
	{"tcsetattr", terminal_tcsetattr},
	{"cfmakeraw", terminal_cfmakeraw},
	{"tcgetwinsize", terminal_tcgetwinsize},
	{"tcsetwinsize", terminal_tcsetwinsize},
	{"tcgetpgrp", terminal_tcgetpgrp},
	{"tcsetpgrp", terminal_tcsetpgrp},
	{"tcgetsid", terminal_tcgetsid},
	{"posix_openpt", terminal_posix_openpt},
	{"unlockpt", terminal_unlockpt},
	{"ptsname", terminal_ptsname},
	{"ptpeer", terminal_ptpeer},
	{NULL, NULL},
};

void syscall_terminal(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
