/* SPDX-License-Identifier: MIT */
/* sockopt.c – getsockopt and setsockopt
 *
 * Most options are integers; the few of another shape are listed in shape_of(), and any option can
 * be read and written as bytes.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/filter.h>

#include "bind.h"
#include "clock.h"
#include "socket.h"

enum { BYTES_MAX = 65536 };

enum shape {
	SHAPE_INT,
	SHAPE_BOOL,
	SHAPE_SECONDS, /* struct timeval */
	SHAPE_LINGER,
	SHAPE_CREDS,
	SHAPE_TEXT,
};

static enum shape shape_of(int level, int option)
{
	if (level == IPPROTO_TCP && option == TCP_CONGESTION)
		return SHAPE_TEXT;
	if (level != SOL_SOCKET)
		return SHAPE_INT;
	switch (option) {
	case SO_RCVTIMEO:
	case SO_SNDTIMEO:
		return SHAPE_SECONDS;
	case SO_LINGER:
		return SHAPE_LINGER;
	case SO_PEERCRED:
		return SHAPE_CREDS;
	case SO_BINDTODEVICE:
	case SO_PEERSEC:
		return SHAPE_TEXT;
	case SO_PASSCRED:
	case SO_REUSEADDR:
	case SO_REUSEPORT:
	case SO_KEEPALIVE:
	case SO_BROADCAST:
	case SO_ACCEPTCONN:
	case SO_OOBINLINE:
	case SO_DONTROUTE:
	case SO_DEBUG:
	case SO_PASSSEC:
		return SHAPE_BOOL;
	default:
		return SHAPE_INT;
	}
}

static int check_level(lua_State *L, int arg)
{
	return (int)bind_check_const(L, arg, &bind_set_SOL);
}

static int check_option(lua_State *L, int arg, int level)
{
	const struct bind_set *set = level == SOL_SOCKET     ? &bind_set_SO
				     : level == IPPROTO_TCP  ? &bind_set_TCP
				     : level == IPPROTO_IP   ? &bind_set_IP
				     : level == IPPROTO_IPV6 ? &bind_set_IPV6
				     : level == SOL_NETLINK  ? &bind_set_NETLINKOPT
							     : NULL;

	return set ? (int)bind_check_const(L, arg, set)
		   : (int)bind_check_range(L, arg, INT_MIN, INT_MAX);
}

/* ---- reading ---- */

static int get_bytes(lua_State *L, int fd, int level, int option, socklen_t size)
{
	char *bytes = lua_newuserdata(L, size ? size : 1);
	socklen_t asked = size;
	/* Some options say how much there is, not how much was written: libc's function is left out, for the sanitizer believes
	 * that it was. */
	long rc = sys_result(syscall(SYS_getsockopt, fd, level, option, bytes, &size));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushlstring(L, bytes, size < asked ? size : asked);
	return 1;
}

static int get_text(lua_State *L, int fd, int level, int option)
{
	char text[4096] = "";
	socklen_t size = sizeof(text) - 1;
	long rc = sys_result(getsockopt(fd, level, option, text, &size));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushstring(L, text);
	return 1;
}

/* The shapes that are a struct; all of them fit here. */
static int get_struct(lua_State *L, int fd, int level, int option, enum shape shape)
{
	union {
		struct timeval time;
		struct linger linger;
		struct ucred creds;
	} value = {0};
	socklen_t size = shape == SHAPE_SECONDS	 ? sizeof(value.time)
			 : shape == SHAPE_LINGER ? sizeof(value.linger)
						 : sizeof(value.creds);
	long rc = sys_result(getsockopt(fd, level, option, &value, &size));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	switch (shape) {
	case SHAPE_SECONDS:
		lua_pushnumber(L, (double)value.time.tv_sec + (double)value.time.tv_usec / 1e6);
		break;
	case SHAPE_LINGER:
		if (value.linger.l_onoff)
			lua_pushinteger(L, value.linger.l_linger);
		else
			lua_pushboolean(L, 0);
		break;
	default:
		lua_createtable(L, 0, 3);
		bind_set_int(L, "pid", value.creds.pid);
		bind_set_int(L, "uid", (lua_Integer)value.creds.uid);
		bind_set_int(L, "gid", (lua_Integer)value.creds.gid);
	}
	return 1;
}

static int get_int(lua_State *L, int fd, int level, int option, bool as_bool)
{
	int value = 0;
	socklen_t size = sizeof(value);
	long rc = sys_result(getsockopt(fd, level, option, &value, &size));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	if (as_bool)
		lua_pushboolean(L, value);
	else
		lua_pushinteger(L, value);
	return 1;
}

/*** S.getsockopt(fd, level, option [, size]) -> value
 * level: "socket", "tcp", "ip", "ipv6", "netlink"; option: a name of that level. An integer, or:
 * "passcred" and other switches a boolean; "rcvtimeo", "sndtimeo" seconds; "linger" seconds or
 * false; "peercred" {pid, uid, gid}; "error" the pending errno. With size: at most as many raw bytes.
 * Source: getsockopt(2), socket(7).
 */
static int l_getsockopt(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int level = check_level(L, 2);
	int option = check_option(L, 3, level);

	if (!lua_isnoneornil(L, 4))
		return get_bytes(L, fd, level, option,
				 (socklen_t)bind_check_range(L, 4, 0, BYTES_MAX));
	enum shape shape = shape_of(level, option);

	switch (shape) {
	case SHAPE_TEXT:
		return get_text(L, fd, level, option);
	case SHAPE_INT:
	case SHAPE_BOOL:
		return get_int(L, fd, level, option, shape == SHAPE_BOOL);
	default:
		return get_struct(L, fd, level, option, shape);
	}
}

/* ---- writing ---- */

static int return_set(lua_State *L, int level, int option, const void *value, size_t size)
{
	int fd = bind_check_fd(L, 1);

	return bind_return_ok(L, sys_result(setsockopt(fd, level, option, value, (socklen_t)size)));
}

/*** S.setsockopt(fd, level, option, value) -> true
 * As getsockopt; value: an integer, a boolean, seconds for "rcvtimeo" and "sndtimeo" (0: for ever),
 * seconds or false for "linger", or a string of raw bytes. Errors: NOPROTOOPT, PERM. Source:
 * setsockopt(2), socket(7).
 */
static int l_setsockopt(lua_State *L)
{
	(void)bind_check_fd(L, 1);
	int level = check_level(L, 2);
	int option = check_option(L, 3, level);
	enum shape shape = shape_of(level, option);

	luaL_checkany(L, 4);
	if (lua_type(L, 4) == LUA_TSTRING) {
		size_t size;
		const char *bytes = lua_tolstring(L, 4, &size);

		return return_set(L, level, option, bytes, size);
	}
	if (shape == SHAPE_SECONDS) {
		struct timespec t = clock_check_seconds(L, 4, 4, "value");
		/* A positive time below a microsecond must not become 0, which is no limit at all.
		 */
		struct timeval v = {t.tv_sec, (t.tv_nsec + 999) / 1000};

		if (v.tv_usec == 1000000)
			v = (struct timeval){t.tv_sec + 1, 0};
		return return_set(L, level, option, &v, sizeof(v));
	}
	if (shape == SHAPE_LINGER) {
		struct linger v = {0};

		if (lua_toboolean(L, 4))
			v = (struct linger){1, (int)bind_check_range(L, 4, 0, 1 << 20)};
		return return_set(L, level, option, &v, sizeof(v));
	}
	int value = lua_isboolean(L, 4) ? lua_toboolean(L, 4)
					: (int)bind_check_range(L, 4, INT32_MIN, UINT32_MAX);

	return return_set(L, level, option, &value, sizeof(value));
}

/*** S.socket_filter(fd, program) -> true
 * Has the socket take only what a program of classic BPF lets in. program: its instructions, each a
 * struct sock_filter ("=I2 B B I4" of string.pack), 4096 at most. Errors: INVAL, NOMEM. Source:
 * SO_ATTACH_FILTER, socket(7).
 */
static int l_socket_filter(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	size_t size;
	const char *bytes = luaL_checklstring(L, 2, &size);
	size_t count = size / sizeof(struct sock_filter);

	luaL_argcheck(L,
		      count > 0 && count <= BPF_MAXINSNS && size % sizeof(struct sock_filter) == 0,
		      2, "1 to 4096 instructions expected");
	struct sock_filter *program =
		lua_newuserdata(L, size); /* aligned, which a string need not be */

	memcpy(program, bytes, size);
	struct sock_fprog filter = {.len = (unsigned short)count, .filter = program};

	return bind_return_ok(L, sys_result(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
						       sizeof(filter))));
}

const luaL_Reg socket_option_functions[] = {
	{"getsockopt", l_getsockopt},
	{"setsockopt", l_setsockopt},
	{"socket_filter", l_socket_filter},
	{NULL, NULL},
};
