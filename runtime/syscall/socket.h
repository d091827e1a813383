/* SPDX-License-Identifier: MIT */
/* socket.h – the functions of the socket area that live in files of their own */
#ifndef LUGE_SOCKET_H
#define LUGE_SOCKET_H

#include <lauxlib.h>

extern const luaL_Reg socket_message_functions[]; /* message.c */
extern const luaL_Reg socket_option_functions[];  /* sockopt.c */

#endif
