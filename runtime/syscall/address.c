/* SPDX-License-Identifier: MIT */
/* address.c – socket addresses: {family="unix", path=}, {family="inet", addr=, port=} and others
 *
 * Used by every call of socket.c and message.c that takes or gives an address. unix: a path that
 * starts with '@' is a name of the abstract namespace, no path at all lets the kernel choose one
 * (autobind).
 */
#include "address.h"

#include <arpa/inet.h>
#include <string.h>

#include "bind.h"

static const char *const fields[] = {"family", "path", "addr",	 "port", "flowinfo",
				     "scope",  "pid",  "groups", "data", NULL};

static void set_unix(lua_State *L, int arg, struct address *a)
{
	size_t len = 0;
	const char *path = NULL;
	struct sockaddr_un *un = &a->u.unix_path;

	lua_getfield(L, arg, "path");
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TSTRING)
			bind_raise(L, arg, "field 'path': a string expected", luaL_typename(L, -1),
				   NULL);
		path = lua_tolstring(L, -1, &len);
	}
	if (len >= sizeof(un->sun_path))
		luaL_argerror(L, arg,
			      lua_pushfstring(L, "a path of %d bytes; a socket's has at most %d",
					      (int)len, (int)sizeof(un->sun_path) - 1));
	bool abstract = len > 0 && path[0] == '@';

	if (len > 0 && !abstract && strlen(path) != len)
		luaL_argerror(L, arg, "the path has a NUL byte inside");
	if (len > 0)
		memcpy(un->sun_path, path, len);
	if (abstract)
		un->sun_path[0] = '\0';
	/* An abstract name is as long as its bytes; a path brings its NUL. */
	a->size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (len > 0 && !abstract));
	lua_pop(L, 1);
}

static in_port_t field_port(lua_State *L, int arg)
{
	lua_Integer port = bind_field_int(L, arg, "port", 0);

	if (port < 0 || port > 65535)
		luaL_argerror(L, arg,
			      lua_pushfstring(L, "port %I is not within 0 and 65535", port));
	return htons((uint16_t)port);
}

static void field_ip(lua_State *L, int arg, int family, void *ret_ip)
{
	const char *text = bind_field_string(L, arg, "addr", family == AF_INET ? "0.0.0.0" : "::");

	if (inet_pton(family, text, ret_ip) != 1)
		bind_raise(L, arg,
			   family == AF_INET ? "field 'addr': an IPv4 address expected"
					     : "field 'addr': an IPv6 address expected",
			   text, NULL);
}

static void set_inet(lua_State *L, int arg, struct address *a)
{
	a->size = sizeof(a->u.inet);
	a->u.inet.sin_port = field_port(L, arg);
	field_ip(L, arg, AF_INET, &a->u.inet.sin_addr);
}

static void set_inet6(lua_State *L, int arg, struct address *a)
{
	a->size = sizeof(a->u.inet6);
	a->u.inet6.sin6_port = field_port(L, arg);
	a->u.inet6.sin6_flowinfo = htonl((uint32_t)bind_field_int(L, arg, "flowinfo", 0));
	a->u.inet6.sin6_scope_id = (uint32_t)bind_field_int(L, arg, "scope", 0);
	field_ip(L, arg, AF_INET6, &a->u.inet6.sin6_addr);
}

/* Any other family: its bytes after the family, as address_push gives them. */
static void set_bytes(lua_State *L, int arg, struct address *a)
{
	size_t len = 0, room = sizeof(a->u.storage) - sizeof(sa_family_t);

	lua_getfield(L, arg, "data");
	const char *data = lua_tolstring(L, -1, &len);

	if (len > room)
		luaL_argerror(L, arg, "field 'data': more bytes than an address holds");
	if (len > 0)
		memcpy((char *)&a->u.storage + sizeof(sa_family_t), data, len);
	a->size = (socklen_t)(sizeof(sa_family_t) + len);
	lua_pop(L, 1);
}

void address_check(lua_State *L, int arg, struct address *ret_address)
{
	struct address *a = ret_address;

	bind_check_fields(L, arg, fields);
	uint64_t family = bind_field_flags(L, arg, "family", &bind_set_AF, UINT64_MAX);

	if (family > UINT16_MAX)
		luaL_argerror(L, arg,
			      "an address needs its 'family': \"unix\", \"inet\", \"inet6\", "
			      "\"netlink\"");
	memset(a, 0, sizeof(*a));
	a->u.any.sa_family = (sa_family_t)family;
	switch (family) {
	case AF_UNIX:
		set_unix(L, arg, a);
		break;
	case AF_INET:
		set_inet(L, arg, a);
		break;
	case AF_INET6:
		set_inet6(L, arg, a);
		break;
	case AF_NETLINK:
		a->size = sizeof(a->u.netlink);
		a->u.netlink.nl_pid = (uint32_t)bind_field_int(L, arg, "pid", 0);
		a->u.netlink.nl_groups = (uint32_t)bind_field_int(L, arg, "groups", 0);
		break;
	default:
		set_bytes(L, arg, a);
	}
}

/* Unnamed sockets have no path; the kernel counts a path's NUL or not, depending on who bound it.
 */
static void push_unix(lua_State *L, const struct address *a)
{
	size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t len = a->size > head ? a->size - head : 0;
	const char *path = a->u.unix_path.sun_path;

	if (len == 0)
		return;
	if (path[0] != '\0') {
		lua_pushlstring(L, path, strnlen(path, len));
	} else {
		lua_pushliteral(L, "@");
		lua_pushlstring(L, path + 1, len - 1);
		lua_concat(L, 2);
	}
	lua_setfield(L, -2, "path");
}

static void push_ip(lua_State *L, int family, const void *ip, in_port_t port)
{
	char text[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(family, ip, text, sizeof(text)); /* the buffer is large enough */
	bind_set_string(L, "addr", text);
	bind_set_int(L, "port", ntohs(port));
}

void address_push(lua_State *L, const struct address *a)
{
	if (a->size < sizeof(sa_family_t)) {
		lua_pushnil(L);
		return;
	}
	const char *family = bind_const_name(&bind_set_AF, a->u.any.sa_family);

	lua_createtable(L, 0, 3);
	if (family)
		bind_set_string(L, "family", family);
	else
		bind_set_int(L, "family", a->u.any.sa_family);
	switch (a->u.any.sa_family) {
	case AF_UNIX:
		push_unix(L, a);
		break;
	case AF_INET:
		push_ip(L, AF_INET, &a->u.inet.sin_addr, a->u.inet.sin_port);
		break;
	case AF_INET6:
		push_ip(L, AF_INET6, &a->u.inet6.sin6_addr, a->u.inet6.sin6_port);
		bind_set_int(L, "flowinfo", ntohl(a->u.inet6.sin6_flowinfo));
		bind_set_int(L, "scope", a->u.inet6.sin6_scope_id);
		break;
	case AF_NETLINK:
		bind_set_int(L, "pid", a->u.netlink.nl_pid);
		bind_set_int(L, "groups", a->u.netlink.nl_groups);
		break;
	default:
		lua_pushlstring(L, (const char *)&a->u.storage + sizeof(sa_family_t),
				a->size - sizeof(sa_family_t));
		lua_setfield(L, -2, "data");
	}
}
