/* SPDX-License-Identifier: MIT */
/* message.h – between message.c, parse.c and netlink.c */
#ifndef LUGE_MESSAGE_H
#define LUGE_MESSAGE_H

#include <stddef.h>

#include <linux/netlink.h>

#include <lauxlib.h>
#include <lua.h>

#define MESSAGE_TYPE "netns.message"

enum { NEST_MAX = 16 };

struct message {
	size_t size; /* of the buffer; what is used stands in head->nlmsg_len */
	struct nlmsghdr *head;
	uint32_t nests[NEST_MAX]; /* offsets of the attributes that are still open */
	unsigned depth;
};

/* Raises for anything but a message. */
struct message *message_check(lua_State *L, int arg);
/* The same for one with an attribute that is still open. */
struct message *message_check_complete(lua_State *L, int arg);
/* Adds nl.message and nl.attributes to the table at the top of the stack. */
void message_functions(lua_State *L);
/* parse.c: adds nl.parse_ip, nl.parse_cidr and nl.parse_mac. */
void parse_functions(lua_State *L);
/* A metatable with methods and a collector. */
void netlink_make_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);

#endif
