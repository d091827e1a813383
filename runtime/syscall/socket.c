/* SPDX-License-Identifier: MIT */
/* socket.c – sockets: making, connecting, plain sending and receiving
 *
 * Passing of descriptors is in message.c, options in sockopt.c, addresses in address.c. Every
 * socket is close-on-exec; a send to a closed peer is the error PIPE, never the signal. Privilege
 * only as the kernel asks it: ports below 1024, raw sockets.
 */
#include "socket.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "bind.h"

enum { RECEIVE_DEFAULT = 65536, RECEIVE_MAX = 1 << 30 };

static int opt_protocol(lua_State *L, int arg, int domain)
{
	const struct bind_set *set = domain == AF_NETLINK ? &bind_set_NETLINK : &bind_set_IPPROTO;

	return lua_isnoneornil(L, arg) ? 0 : (int)bind_check_const(L, arg, set);
}

/*** S.socket(domain, type [, protocol]) -> fd
 * domain: "unix", "inet", "inet6", "netlink"…; type: "stream", "dgram", "seqpacket", "raw", with
 * "nonblock"; protocol: a name such as "tcp", for netlink "route" or "netfilter". Always
 * close-on-exec. Source: socket(2).
 */
static int l_socket(lua_State *L)
{
	int domain = (int)bind_check_const(L, 1, &bind_set_AF);
	int type = (int)bind_check_flags(L, 2, &bind_set_SOCK);
	int protocol = opt_protocol(L, 3, domain);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(socket(domain, type | SOCK_CLOEXEC, protocol)));
}

/*** S.socketpair(domain, type [, protocol]) -> fd, fd
 * Two sockets connected with each other; arguments as of socket, domain in practice "unix".
 * Source: socketpair(2).
 */
static int l_socketpair(lua_State *L)
{
	int domain = (int)bind_check_const(L, 1, &bind_set_AF);
	int type = (int)bind_check_flags(L, 2, &bind_set_SOCK);
	int protocol = opt_protocol(L, 3, domain);
	int *a = bind_new_fd(L), *b = bind_new_fd(L), pair[2];
	long rc = sys_result(socketpair(domain, type | SOCK_CLOEXEC, protocol, pair));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	*a = pair[0];
	*b = pair[1];
	return 2;
}

/*** S.bind(fd, addr) -> true
 * addr: {family="unix", path=} ('@' first: abstract; no path: the kernel chooses), {family="inet",
 * addr="127.0.0.1", port=}, {family="inet6", addr=, port=, scope=}, {family="netlink", pid=,
 * groups=}. Errors: ADDRINUSE, ACCES. Source: bind(2), unix(7).
 */
static int l_bind(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	struct address a;

	address_check(L, 2, &a);
	return bind_return_ok(L, sys_result(bind(fd, &a.u.any, a.size)));
}

/*** S.connect(fd, addr) -> true
 * addr as of bind; {family="unspec"} dissolves a datagram socket's association. Errors:
 * CONNREFUSED, NOENT, INPROGRESS on a "nonblock" socket (then wait for "out" and read the option
 * "error"). Source: connect(2).
 */
static int l_connect(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	struct address a;

	address_check(L, 2, &a);
	return bind_return_ok(L, sys_result(connect(fd, &a.u.any, a.size)));
}

/*** S.listen(fd [, backlog]) -> true
 * backlog: connections that may wait to be accepted (128). Source: listen(2).
 */
static int l_listen(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int backlog = lua_isnoneornil(L, 2) ? 128 : (int)bind_check_range(L, 2, 0, 65535);

	return bind_return_ok(L, sys_result(listen(fd, backlog)));
}

/*** S.accept4(fd [, flags]) -> fd, addr
 * The next connection and its peer's address. flags: "nonblock"; always close-on-exec.
 * Errors: AGAIN when none waits on a "nonblock" socket. Source: accept4(2).
 */
static int l_accept4(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int flags = (int)bind_opt_flags(L, 2, &bind_set_SOCK, 0);
	struct address a = {.size = sizeof(a.u)};
	int *slot = bind_new_fd(L);
	long rc = sys_retry(accept4(fd, &a.u.any, &a.size, flags | SOCK_CLOEXEC));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	*slot = (int)rc;
	address_push(L, &a);
	return 2;
}

/*** S.send(fd, data [, flags]) -> bytes sent
 * May be less than #data on a stream. flags: "dontwait, eor, more"…; NOSIGNAL is always set: a
 * closed peer is the error PIPE. Source: send(2).
 */
static int l_send(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);
	int flags = (int)bind_opt_flags(L, 3, &bind_set_MSG, 0);

	return bind_return_int(L, sys_retry(send(fd, data, len, flags | MSG_NOSIGNAL)));
}

/*** S.sendto(fd, data, flags, addr) -> bytes sent
 * As send, to an address (as of bind). Source: sendto(2).
 */
static int l_sendto(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);
	int flags = (int)bind_opt_flags(L, 3, &bind_set_MSG, 0);
	struct address a;

	address_check(L, 4, &a);
	return bind_return_int(
		L, sys_retry(sendto(fd, data, len, flags | MSG_NOSIGNAL, &a.u.any, a.size)));
}

/* Both forms of receiving; a buffer of Lua's, so that nothing is lost when a later allocation
 * fails. */
static int receive(lua_State *L, struct address *ret_from)
{
	int fd = bind_check_fd(L, 1);
	size_t size = lua_isnoneornil(L, 2) ? RECEIVE_DEFAULT
					    : (size_t)bind_check_range(L, 2, 0, RECEIVE_MAX);
	int flags = (int)bind_opt_flags(L, 3, &bind_set_MSG, 0);
	char *data = lua_newuserdata(L, size ? size : 1);
	long rc = sys_retry(recvfrom(fd, data, size, flags, &ret_from->u.any, &ret_from->size));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	/* With MSG_TRUNC the result counts bytes that did not fit. */
	lua_pushlstring(L, data, (size_t)rc < size ? (size_t)rc : size);
	return 1;
}

/*** S.recv(fd [, size [, flags]]) -> data
 * At most size bytes (65536); "" when the peer of a stream has closed, and for an empty datagram.
 * flags: "peek, dontwait, waitall"… Errors: AGAIN, CONNRESET. Source: recv(2).
 */
static int l_recv(lua_State *L)
{
	struct address from = {.size = sizeof(from.u)};

	return receive(L, &from);
}

/*** S.recvfrom(fd [, size [, flags]]) -> data, addr
 * As recv, with the sender's address, nil where the socket has no such thing. Source: recvfrom(2).
 */
static int l_recvfrom(lua_State *L)
{
	struct address from = {.size = sizeof(from.u)};
	int results = receive(L, &from);

	if (results != 1)
		return results;
	address_push(L, &from);
	return 2;
}

static int return_address(lua_State *L, long rc, const struct address *a)
{
	if (rc < 0)
		return bind_error(L, (int)-rc);
	address_push(L, a);
	return 1;
}

/*** S.getsockname(fd) -> addr
 * The socket's own address, shaped as of bind. Source: getsockname(2).
 */
static int l_getsockname(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	struct address a = {.size = sizeof(a.u)};

	return return_address(L, sys_result(getsockname(fd, &a.u.any, &a.size)), &a);
}

/*** S.getpeername(fd) -> addr
 * The address of the peer. Errors: NOTCONN. Source: getpeername(2).
 */
static int l_getpeername(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	struct address a = {.size = sizeof(a.u)};

	return return_address(L, sys_result(getpeername(fd, &a.u.any, &a.size)), &a);
}

/*** S.shutdown(fd, how) -> true
 * how: "rd", "wr" or "rdwr". Errors: NOTCONN. Source: shutdown(2).
 */
static int l_shutdown(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int how = (int)bind_check_const(L, 2, &bind_set_SHUT);

	return bind_return_ok(L, sys_result(shutdown(fd, how)));
}

static int check_ip_family(lua_State *L, int arg)
{
	int family = (int)bind_check_const(L, arg, &bind_set_AF);

	luaL_argcheck(L, family == AF_INET || family == AF_INET6, arg,
		      "\"inet\" or \"inet6\" expected");
	return family;
}

/*** S.inet_pton(family, text) -> bytes
 * The 4 or 16 bytes of an address; family: "inet", "inet6". A text that is none is INVAL.
 * Source: inet_pton(3).
 */
static int l_inet_pton(lua_State *L)
{
	int family = check_ip_family(L, 1);
	size_t len;
	const char *text = luaL_checklstring(L, 2, &len);
	char bytes[sizeof(struct in6_addr)];

	/* What follows a NUL would not be seen here, but where the text goes. */
	if (strlen(text) != len || inet_pton(family, text, bytes) != 1)
		return bind_error(L, EINVAL);
	lua_pushlstring(L, bytes, family == AF_INET ? 4 : 16);
	return 1;
}

/*** S.inet_ntop(family, bytes) -> text
 * The text of an address of 4 or 16 bytes. Source: inet_ntop(3).
 */
static int l_inet_ntop(lua_State *L)
{
	int family = check_ip_family(L, 1);
	char text[INET6_ADDRSTRLEN] = "";
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);

	luaL_argcheck(L, len == (family == AF_INET ? 4 : 16), 2, "4 or 16 bytes expected");
	(void)inet_ntop(family, bytes, text, sizeof(text)); /* the buffer is large enough */
	lua_pushstring(L, text);
	return 1;
}

static const luaL_Reg functions[] = {
	{"inet_pton", l_inet_pton},
	{"inet_ntop", l_inet_ntop},
	{"socket", l_socket},
	{"socketpair", l_socketpair},
	{"bind", l_bind},
	{"connect", l_connect},
	{"listen", l_listen},
	{"accept4", l_accept4},
	{"send", l_send},
	{"sendto", l_sendto},
	{"recv", l_recv},
	{"recvfrom", l_recvfrom},
	{"getsockname", l_getsockname},
	{"getpeername", l_getpeername},
	{"shutdown", l_shutdown},
	{NULL, NULL},
};

void syscall_socket(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
	luaL_setfuncs(L, socket_message_functions, 0);
	luaL_setfuncs(L, socket_option_functions, 0);
}
