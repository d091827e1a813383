/* SPDX-License-Identifier: MIT */
/* test_docs.c – every function of the syscall layer is documented */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(docs, every_function_is_documented)
{
	test_lua(test_state(),
		 "local docs = require 'syscall.docs'\n"
		 "local nl = require 'netns'\n"
		 "local missing = {}\n"
		 "for name, value in pairs(S) do\n"
		 "  if type(value) == 'function' and not docs[name] then missing[#missing + 1] = "
		 "'S.' .. name end\n"
		 "end\n"
		 "for name, value in pairs(nl) do\n"
		 "  if type(value) == 'function' and not docs['nl.' .. name] then\n"
		 "    missing[#missing + 1] = 'nl.' .. name\n"
		 "  end\n"
		 "end\n"
		 "local function all_of(prefix, functions)\n"
		 "  for name, value in pairs(functions) do\n"
		 "    if type(value) == 'function' and not docs[prefix .. name] then\n"
		 "      missing[#missing + 1] = prefix .. name\n"
		 "    end\n"
		 "  end\n"
		 "end\n"
		 "for name in pairs(nl.themes) do all_of('nl.', { [name] = nl[name] }) end\n"
		 "all_of('link:', require('netns.link').methods)\n"
		 "all_of('socket:', debug.getmetatable(nl.open()).__index)\n"
		 "for _, name in ipairs { 'tables', 'counters', 'rules', 'elements', 'describe', "
		 "'apply' } do\n"
		 "  all_of('nl.nft.', { [name] = nl.nft[name] })\n"
		 "end\n"
		 "table.sort(missing)\n"
		 "assert(#missing == 0, 'not documented: ' .. table.concat(missing, ', '))\n");
}

Test(docs, nothing_else_is_documented)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "for name in pairs(require 'syscall.docs') do\n"
		 "  local value = name:find('^nl%.') and nl or S\n"
		 "  local type_name, method = name:match('^(%a+):(.*)')\n"
		 "  local methods = type_name and (type_name == 'link' and "
		 "require('netns.link').methods\n"
		 "    or debug.getmetatable(nl.open()).__index)\n"
		 "  if methods then value, name = methods, method end\n"
		 "  for part in name:gsub('^nl%.', ''):gmatch('[^.]+') do value = value[part] end\n"
		 "  local called = getmetatable(value) and getmetatable(value).__call\n"
		 "  assert(type(value) == 'function' or called, name .. ' is documented, but no "
		 "function')\n"
		 "end\n");
}

Test(docs, texts_begin_with_the_call)
{
	test_lua(test_state(),
		 "for name, text in pairs(require 'syscall.docs') do\n"
		 "  local call = (name:find('^nl%.') or name:find(':')) and name or 'S.' .. name\n"
		 "  assert(text:find(call, 1, true), name)\n"
		 "  assert(not text:find('^%s') and not text:find('%*/'), name)\n"
		 "end\n");
}
