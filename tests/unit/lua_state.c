/* SPDX-License-Identifier: MIT */
/* lua_state.c – the Lua state that unit tests of the syscall layer run in
 *
 * Each test of Criterion is a process of its own, so a state is never closed and a test may leave
 * its process changed; what would disturb Criterion itself (ids, namespaces) belongs in child().
 */
#include "lua_state.h"

#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <lauxlib.h>

#include "state.h"

static const char helpers[] =
	"S = require 'syscall'\n"
	"function fails(name, value, err, errno)\n"
	"  if value then error('expected ' .. name .. ', got ' .. tostring(value), 2) end\n"
	"  if not err[name] then error('expected ' .. name .. ', got ' .. err.name, 2) end\n"
	"  if err.errno ~= errno then error('the number is not the error\\'s', 2) end\n"
	"end\n"
	"function raises(text, f, ...)\n"
	"  local ok, message = pcall(f, ...)\n"
	"  if ok then error('expected an error: ' .. text, 2) end\n"
	"  if not tostring(message):find(text, 1, true) then\n"
	"    error('expected an error: ' .. text .. '\\n got: ' .. tostring(message), 2)\n"
	"  end\n"
	"end\n"
	"function skip(reason) error({ skip = reason }, 0) end\n"
	"local function finish(f)\n"
	"  local ok, message = xpcall(f, function(m)\n"
	"    return type(m) == 'table' and m.skip and m or debug.traceback(tostring(m))\n"
	"  end)\n"
	"  if ok then S.exit(0) end\n"
	"  io.stderr:write('in the child: ', type(message) == 'table' and message.skip or message, "
	"'\\n')\n"
	"  S.exit(type(message) == 'table' and 77 or 1)\n"
	"end\n"
	"function child(f)\n"
	"  local pid = assert(S.fork())\n"
	"  if pid == 0 then finish(f) end\n"
	"  local ended = assert(S.waitid('pid', pid))\n"
	"  if ended.code == 'exited' and ended.status == 77 then skip('said above') end\n"
	"  if ended.code ~= 'exited' or ended.status ~= 0 then\n"
	"    error('the child ' .. ended.code .. ' ' .. ended.status, 2)\n"
	"  end\n"
	"end\n"
	"function stopped(f)\n"
	"  local pid = assert(S.fork())\n"
	"  if pid == 0 then\n"
	"    S.prctl('set_pdeathsig', 'kill')\n"
	"    if f then f() end\n"
	"    while true do S.kill(S.getpid(), 'stop') end\n"
	"  end\n"
	"  assert(S.waitid('pid', pid, 'stopped'))\n"
	"  return pid, assert(S.pidfd_open(pid))\n"
	"end\n"
	"local function write(path, text)\n"
	"  local file = assert(io.open(path, 'w'))\n"
	"  assert(file:write(text))\n"
	"  assert(file:close())\n"
	"end\n"
	"function userns(f)\n"
	"  child(function()\n"
	"    local uid, gid = S.geteuid(), S.getegid()\n"
	"    local ok, err = S.unshare('newuser')\n"
	"    if not ok then skip('no-userns: unshare(newuser): ' .. tostring(err)) end\n"
	"    write('/proc/self/setgroups', 'deny')\n"
	"    write('/proc/self/uid_map', '0 ' .. uid .. ' 1')\n"
	"    write('/proc/self/gid_map', '0 ' .. gid .. ' 1')\n"
	"    f()\n"
	"  end)\n"
	"end\n";

lua_State *test_state(void)
{
	lua_State *L = state_new();

	if (!L)
		cr_fatal("no memory for Lua");
	if (luaL_loadbuffer(L, helpers, strlen(helpers), "=lua_state.c") != LUA_OK ||
	    lua_pcall(L, 0, 0, 0) != LUA_OK)
		cr_fatal("%s", lua_tostring(L, -1));
	return L;
}

static int traceback(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING)
		luaL_traceback(L, L, lua_tostring(L, 1), 1);
	return 1;
}

void test_lua(lua_State *L, const char *chunk)
{
	lua_settop(L, 0);
	lua_pushcfunction(L, traceback);
	int rc = luaL_loadbuffer(L, chunk, strlen(chunk), "=chunk");

	if (rc == LUA_OK)
		rc = lua_pcall(L, 0, LUA_MULTRET, 1);
	if (rc == LUA_OK) {
		if (lua_gettop(L) > 1 && !lua_toboolean(L, 2))
			cr_fatal("the chunk returned %s", luaL_tolstring(L, 2, NULL));
		return;
	}
	if (lua_istable(L, -1) && lua_getfield(L, -1, "skip") == LUA_TSTRING)
		cr_skip("%s", lua_tostring(L, -1));
	cr_fatal("%s", luaL_tolstring(L, -1, NULL));
}
