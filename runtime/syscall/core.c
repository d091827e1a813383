/* SPDX-License-Identifier: MIT */
/* core.c – the module "syscall.core": every area's functions, the constants, the descriptors' methods
 *
 * init.lua makes S of it.
 */
#include "bind.h"
#include "object.h"

#include <ctype.h>
#include <string.h>

/* Makes t.TITLE = { NAME = value… } for one set, on first use: most programs name few constants. */
static int constants_index(lua_State *L)
{
	const char *title = luaL_checkstring(L, 2);

	for (const struct bind_set *const *set = bind_all_sets; *set; set++) {
		if (strcmp((*set)->title, title) != 0)
			continue;
		lua_newtable(L);
		for (const struct bind_const *c = (*set)->consts; *c->name; c++) {
			luaL_Buffer b;

			luaL_buffinit(L, &b);
			for (const char *p = c->name; *p; p++)
				luaL_addchar(&b, (char)toupper((unsigned char)*p));
			luaL_pushresult(&b);
			lua_pushinteger(L, (lua_Integer)c->value);
			lua_rawset(L, -3);
		}
		lua_pushvalue(L, 2);
		lua_pushvalue(L, -2);
		lua_rawset(L, 1);
		return 1;
	}
	return 0;
}

extern void (*const syscall_areas[])(lua_State *L);

/* S.core: the functions of every area, S.c the constants, S.fd_methods what init.lua extends. */
int luaopen_syscall_core(lua_State *L)
{
	lua_newtable(L);
	for (size_t i = 0; syscall_areas[i]; i++)
		syscall_areas[i](L);
	object_functions(L);
	object_metatables(L);
	lua_setfield(L, -2, "fd_methods");

	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, constants_index);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_setfield(L, -2, "c");
	return 1;
}
