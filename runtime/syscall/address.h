/* SPDX-License-Identifier: MIT */
/* address.h – socket addresses: tables in Lua, struct sockaddr in the kernel */
#ifndef LUGE_ADDRESS_H
#define LUGE_ADDRESS_H

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <lua.h>

struct address {
	socklen_t size; /* of the part of u that counts; 0: none */
	union {
		struct sockaddr any;
		struct sockaddr_un unix_path; /* "unix" is a macro of the compiler */
		struct sockaddr_in inet;
		struct sockaddr_in6 inet6;
		struct sockaddr_nl netlink;
		struct sockaddr_storage storage;
	} u;
};

/* The table at arg; raises for an unknown family, a path that is too long, a text that is no
 * address. */
void address_check(lua_State *L, int arg, struct address *ret_address);
/* Pushes the table, or nil when size is 0. */
void address_push(lua_State *L, const struct address *address);

#endif
