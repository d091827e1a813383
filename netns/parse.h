/* SPDX-License-Identifier: MIT */
/* parse.h – between parse.c and netlink.c */
#ifndef LUGE_PARSE_H
#define LUGE_PARSE_H

#include <lua.h>

/* Adds nl.parse_ip, nl.parse_cidr and nl.parse_mac to the table at the top of the stack. */
void parse_functions(lua_State *L);

#endif
