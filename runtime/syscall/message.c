/* SPDX-License-Identifier: MIT */
/* message.c – sendmsg and recvmsg: data with descriptors and credentials
 *
 * Received descriptors are owned by a userdata of Lua's from the moment the kernel makes them, so
 * that an error of Lua's between the call and the last descriptor object leaks none.
 */
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "bind.h"
#include "socket.h"

#define RECEIVED_TYPE "syscall.received_fds"

enum { FDS_MAX = 253 /* SCM_MAX_FD of the kernel */, FDS_DEFAULT = 16, SIZE_DEFAULT = 65536 };

/* ---- sending ---- */

/* The descriptors of field "fds" of the table at arg. */
static size_t check_fds(lua_State *L, int arg, int fds[static FDS_MAX])
{
	int type = lua_getfield(L, arg, "fds");

	if (type == LUA_TNIL) {
		lua_pop(L, 1);
		return 0;
	}
	if (type != LUA_TTABLE)
		bind_raise(L, arg, "field 'fds': a list of descriptors expected",
			   luaL_typename(L, -1), NULL);
	bind_check_plain(L, -1, arg);
	size_t n = lua_rawlen(L, -1);

	if (n > FDS_MAX)
		luaL_argerror(L, arg, "field 'fds': one message carries at most 253 descriptors");
	/* The check reads an argument: each descriptor takes the table's place for a moment. */
	lua_pushvalue(L, arg);
	for (size_t i = 0; i < n; i++) {
		lua_geti(L, -2, (lua_Integer)i + 1);
		lua_replace(L, arg);
		fds[i] = bind_check_fd(L, arg);
	}
	lua_replace(L, arg);
	lua_pop(L, 1);
	return n;
}

static const char *check_data(lua_State *L, int arg, size_t *ret_len)
{
	int type = lua_getfield(L, arg, "data");

	if (type == LUA_TNIL) {
		lua_pop(L, 1);
		*ret_len = 0;
		return "";
	}
	if (type != LUA_TSTRING)
		bind_raise(L, arg, "field 'data': a string expected", luaL_typename(L, -1), NULL);
	const char *data = lua_tolstring(L, -1, ret_len);

	lua_pop(L, 1); /* stays in the table */
	return data;
}

static void check_to(lua_State *L, int arg, struct address *ret_to)
{
	ret_to->size = 0;
	if (lua_getfield(L, arg, "to") != LUA_TNIL) {
		lua_pushvalue(L, arg);
		lua_insert(L, -2);
		lua_replace(L, arg);
		address_check(L, arg, ret_to);
		lua_replace(L, arg);
		return;
	}
	lua_pop(L, 1);
}

static long message_send(int fd, const struct msghdr *message, const int *fds, size_t n, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr m = *message;

	if (n > 0) {
		memset(&control, 0, CMSG_SPACE(n * sizeof(int)));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	return sys_retry(sendmsg(fd, &m, flags | MSG_NOSIGNAL));
}

/*** S.sendmsg(fd, {data=, fds={...}, to=addr, flags=}) -> bytes sent
 * Sends data with up to 253 descriptors, which stay open here too. A stream needs at least one byte
 * of data to carry descriptors. to: an address as of bind; flags as of send. Errors: PIPE, AGAIN,
 * BADF, TOOMANYREFS. Source: sendmsg(2), unix(7).
 */
static int l_sendmsg(lua_State *L)
{
	static const char *const fields[] = {"data", "fds", "to", "flags", NULL};
	int fd = bind_check_fd(L, 1);
	struct iovec data;
	struct address to;
	int fds[FDS_MAX];

	bind_check_fields(L, 2, fields);
	lua_settop(L, 2);
	int flags = (int)bind_field_flags(L, 2, "flags", &bind_set_MSG, 0);

	data.iov_base = (void *)check_data(L, 2, &data.iov_len);
	size_t n = check_fds(L, 2, fds);

	check_to(L, 2, &to);
	struct msghdr m = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_name = to.size ? &to.u : NULL,
		.msg_namelen = to.size,
	};

	return bind_return_int(L, message_send(fd, &m, fds, n, flags));
}

/* ---- receiving ---- */

/* What a message brought, outside its data. Descriptors not yet handed on have next <= i < count.
 */
struct received {
	int next, count, fds[FDS_MAX];
	bool has_creds;
	struct ucred creds;
};

static int received_gc(lua_State *L)
{
	struct received *r = luaL_checkudata(L, 1, RECEIVED_TYPE);

	for (; r->next < r->count; r->next++)
		(void)close(r->fds[r->next]); /* nobody is left to hear of it */
	return 0;
}

static struct received *new_received(lua_State *L)
{
	struct received *r = lua_newuserdata(L, sizeof(*r));

	r->next = r->count = 0;
	r->has_creds = false;
	if (luaL_newmetatable(L, RECEIVED_TYPE)) {
		lua_pushcfunction(L, received_gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	return r;
}

/* Takes at most max descriptors: where no credentials came, their room may have let more in. */
static void take_fds(const struct cmsghdr *c, int max, struct received *r, struct msghdr *m)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (r->count < max) {
			r->fds[r->count++] = fd;
		} else {
			(void)close(fd); /* as the kernel does with what finds no room */
			m->msg_flags |= MSG_CTRUNC;
		}
	}
}

static long message_receive(int fd, struct msghdr *m, int max_fds, int flags, struct received *r)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;

	/* The kernel cuts the list of descriptors where the buffer ends, closing the rest
	 * (MSG_CTRUNC). */
	m->msg_control = &control;
	m->msg_controllen = CMSG_SPACE(sizeof(struct ucred));
	if (max_fds > 0)
		m->msg_controllen += CMSG_LEN((size_t)max_fds * sizeof(int));
	long rc = sys_retry(recvmsg(fd, m, flags | MSG_CMSG_CLOEXEC));

	if (rc < 0)
		return rc;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			take_fds(c, max_fds, r, m);
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&r->creds, CMSG_DATA(c), sizeof(r->creds));
			r->has_creds = true;
		}
	}
	m->msg_control = NULL; /* ends with this frame */
	return rc;
}

static void push_received(lua_State *L, struct received *r)
{
	lua_createtable(L, r->count, 0);
	for (int i = 0; i < r->count; i++) {
		int *slot = bind_new_fd(L);

		*slot = r->fds[r->next++];
		lua_seti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "fds");
	if (!r->has_creds)
		return;
	lua_createtable(L, 0, 3);
	bind_set_int(L, "pid", r->creds.pid);
	bind_set_int(L, "uid", r->creds.uid);
	bind_set_int(L, "gid", r->creds.gid);
	lua_setfield(L, -2, "creds");
}

/*** S.recvmsg(fd [, {size=, max_fds=, flags=}]) -> {data, fds, creds, flags, from}
 * At most size (65536) bytes and max_fds (16) descriptors, further ones are closed and flags has
 * "ctrunc". fds: list of descriptor objects, close-on-exec; creds: {pid, uid, gid} with the option
 * "passcred"; flags: list of names
 * ("trunc": data was cut); from: the sender's address or nil. data is "" at the end of a stream.
 * Errors: AGAIN, CONNRESET. Source: recvmsg(2), unix(7).
 */
static int l_recvmsg(lua_State *L)
{
	static const char *const fields[] = {"size", "max_fds", "flags", NULL};
	int fd = bind_check_fd(L, 1);

	lua_settop(L, 2);
	if (lua_isnil(L, 2)) {
		lua_newtable(L);
		lua_replace(L, 2);
	}
	bind_check_fields(L, 2, fields);
	lua_Integer size = bind_field_int(L, 2, "size", SIZE_DEFAULT);
	lua_Integer max_fds = bind_field_int(L, 2, "max_fds", FDS_DEFAULT);
	int flags = (int)bind_field_flags(L, 2, "flags", &bind_set_MSG, 0);

	if (size < 0 || size > INT_MAX)
		luaL_argerror(L, 2, "field 'size': a number of bytes expected");
	if (max_fds < 0 || max_fds > FDS_MAX)
		luaL_argerror(L, 2, "field 'max_fds': a number within 0 and 253 expected");
	struct address from;
	/* Of the buffers of small messages a monitor would make garbage. */
	char small[4096];
	void *space = (size_t)size <= sizeof(small) ? small : lua_newuserdata(L, (size_t)size);
	struct iovec data = {space, (size_t)size};
	struct received *r = new_received(L);
	struct msghdr m = {.msg_iov = &data,
			   .msg_iovlen = 1,
			   .msg_name = &from.u,
			   .msg_namelen = sizeof(from.u)};
	long rc = message_receive(fd, &m, (int)max_fds, flags, r);

	if (rc < 0)
		return bind_error(L, (int)-rc);
	from.size = m.msg_namelen;
	lua_createtable(L, 0, 5);
	push_received(L, r);
	lua_pushlstring(L, data.iov_base, rc < size ? (size_t)rc : (size_t)size);
	lua_setfield(L, -2, "data");
	bind_push_flags(L, &bind_set_MSG, (uint64_t)(m.msg_flags & ~MSG_CMSG_CLOEXEC));
	lua_setfield(L, -2, "flags");
	address_push(L, &from);
	lua_setfield(L, -2, "from");
	return 1;
}

const luaL_Reg socket_message_functions[] = {
	{"sendmsg", l_sendmsg},
	{"recvmsg", l_recvmsg},
	{NULL, NULL},
};
