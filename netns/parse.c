/* SPDX-License-Identifier: MIT */
/* parse.c – addresses as people write them: of IPv4 and IPv6, of Ethernet
 *
 * Every request names some, and a container's network a dozen: that is why they are read here. What is none gives nil;
 * who asked says so. Nothing here asks the kernel anything.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "bind.h"
#include "message.h"

enum { MAC_LENGTH = 6, WIDTH_DIGITS = 3 };

/* An address of `len` bytes of text; its family, or 0. What follows a NUL would not be seen, but where the text goes. */
static int parse_address(const char *text, size_t len, unsigned char ret_bytes[16])
{
	char copy[INET6_ADDRSTRLEN];
	int family = memchr(text, ':', len) ? AF_INET6 : AF_INET;

	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return 0;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(family, copy, ret_bytes) == 1 ? family : 0;
}

/* A width of one to three digits, at most `most`; or -1. */
static int parse_width(const char *text, size_t len, int most)
{
	int width = 0;

	if (len < 1 || len > WIDTH_DIGITS)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -1;
		width = width * 10 + text[i] - '0';
	}
	return width <= most ? width : -1;
}

/* Pushes { family =, bytes =, text =, prefix = }, or nil. */
static int push_ip(lua_State *L, bool has_width)
{
	size_t len, rest = 0;
	unsigned char bytes[16];

	if (lua_type(L, 1) != LUA_TSTRING)
		return lua_pushnil(L), 1;
	const char *text = lua_tolstring(L, 1, &len);
	const char *slash = has_width ? memchr(text, '/', len) : NULL;

	if (slash) {
		rest = len - (size_t)(slash + 1 - text);
		len = (size_t)(slash - text);
	}
	int family = parse_address(text, len, bytes), most = family == AF_INET ? 32 : 128;
	int prefix = slash ? parse_width(slash + 1, rest, most) : most;

	if (!family || prefix < 0)
		return lua_pushnil(L), 1;
	lua_createtable(L, 0, 4);
	bind_set_string(L, "family", family == AF_INET ? "inet" : "inet6");
	bind_set_int(L, "prefix", prefix);
	lua_pushlstring(L, (const char *)bytes, (size_t)most / 8);
	lua_setfield(L, -2, "bytes");
	lua_pushlstring(L, text, len);
	lua_setfield(L, -2, "text");
	return 1;
}

/*** nl.parse_ip(text) -> { family="inet" or "inet6", bytes=, text=, prefix=32 or 128 }, or nil
 * An address as it is written, "10.0.0.1" or "fd00::1". Source: inet_pton(3). */
static int l_parse_ip(lua_State *L)
{
	return push_ip(L, false);
}

/*** nl.parse_cidr(text) -> { family=, bytes=, text= without the width, prefix= }, or nil
 * The same with its network's width, "10.0.0.1/24"; without one it is an address alone. */
static int l_parse_cidr(lua_State *L)
{
	return push_ip(L, true);
}

static int digit_of(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/*** nl.parse_mac(text) -> bytes, or nil
 * An Ethernet address, "02:00:00:00:00:01", as its 6 bytes. */
static int l_parse_mac(lua_State *L)
{
	size_t len = 0;
	const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &len) : "";
	char bytes[MAC_LENGTH];
	bool is_one = len == 3 * MAC_LENGTH - 1;

	for (size_t i = 0; is_one && i < len; i++)
		is_one = i % 3 == 2 ? text[i] == ':' : isxdigit((unsigned char)text[i]) != 0;
	if (!is_one)
		return lua_pushnil(L), 1;
	for (size_t i = 0; i < MAC_LENGTH; i++)
		bytes[i] = (char)(digit_of(text[3 * i]) << 4 | digit_of(text[3 * i + 1]));
	lua_pushlstring(L, bytes, sizeof(bytes));
	return 1;
}

static const luaL_Reg functions[] = {
	{"parse_ip", l_parse_ip},
	{"parse_cidr", l_parse_cidr},
	{"parse_mac", l_parse_mac},
	{NULL, NULL},
};

void parse_functions(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
