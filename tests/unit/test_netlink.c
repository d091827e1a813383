/* SPDX-License-Identifier: MIT */
/* test_netlink.c – netlink messages and requests, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(netlink, links_are_described)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "assert(S.nl == nl)\n"
		 "local lo, err = nl.link('lo')\n"
		 "if not lo then skip('no-loopback: ' .. tostring(err)) end\n"
		 "assert(lo.index >= 1 and lo.name == 'lo' and math.type(lo.mtu) == 'integer')\n"
		 "assert(type(lo.is_up) == 'boolean')\n"
		 "fails('NODEV', nl.link('luge-no-link'))\n"
		 "raises('no name of a link', nl.link, ('x'):rep(16))\n"
		 "raises('no name of a link', nl.link, 'a/b')\n"
		 "raises('no name of a link', nl.link, '')\n"
		 "raises('got nil', nl.up)\n");
}

Test(netlink, a_socket_may_have_any_number)
{
	test_lua(test_state(), "local nl = require 'netns'\n"
			       "child(function()\n"
			       "  S.close(0)\n"
			       "  nl.keep(true)\n"
			       "  local one = assert(nl.open())\n"
			       "  assert(one:getfd() == 0)\n"
			       "  one:close()\n"
			       "  assert(assert(nl.open()):getfd() == 0)\n"
			       "  nl.keep(false)\n"
			       "end)\n");
}

Test(netlink, up_needs_privilege)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "child(function()\n"
		 "  assert(S.capset { effective = {}, permitted = {}, inheritable = {} })\n"
		 "  fails('PERM', nl.up('lo'))\n"
		 "end)\n");
}

Test(netlink, a_helper_that_cannot_be_started_leaves_nothing, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local nl = require 'netns'\n"
		 "local own = assert(S.open('/proc/self/ns/net', 'rdonly'))\n"
		 "local function start()\n"
		 "  return nl.helper { backend = 'slirp4netns', path = '/bin/false', netns = own,\n"
		 "    name = 'lg0', api = 'api', publish = { { port = 1, guest = 1 } } }\n"
		 "end\n"
		 "start()\n"
		 "collectgarbage()\n"
		 "local first = assert(S.dup(own)):getfd()\n"
		 "collectgarbage()\n"
		 "child(function()\n"
		 "  local errors = {}\n"
		 "  for limit = first, first + 16 do\n"
		 "    assert(S.setrlimit('nofile', limit, 1024))\n"
		 "    local helper, err = start()\n"
		 "    assert(not helper)\n"
		 "    errors[err.name] = true\n"
		 "    fails('NOENT', S.lstat('api'))\n"
		 "    collectgarbage()\n"
		 "  end\n"
		 "  assert(errors.mfile and errors.child)\n"
		 "end)\n");
}

Test(netlink_netns, up_sets_lo_up)
{
	test_lua(test_state(), "local nl = require 'netns'\n"
			       "userns(function()\n"
			       "  assert(S.unshare('newnet'))\n"
			       "  assert(nl.link('lo').is_up == false)\n"
			       "  assert(nl.up('lo') == true)\n"
			       "  assert(nl.link('lo').is_up == true)\n"
			       "  assert(nl.up('lo'))\n"
			       "  assert(nl.down('lo') and not nl.link('lo').is_up)\n"
			       "  fails('NODEV', nl.up('nothing'))\n"
			       "end)\n");
}

Test(netlink_netns, errors_bring_the_kernels_words)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "userns(function()\n"
		 "  assert(S.unshare('newnet'))\n"
		 "  local socket = assert(nl.open())\n"
		 "  local route = ('I1I1I1I1I1I1I1I1I4'):pack(2, 24, 0, 0, 254, 4, 0, 1, 0)\n"
		 "  local message = nl.message('newroute', 'create, excl', route)\n"
		 "    :bytes(1, '\\10\\1\\2\\0'):bytes(5, '\\10\\9\\9\\9')\n"
		 "  local answer, err = socket:request(message)\n"
		 "  assert(answer == nil and err.NETUNREACH)\n"
		 "  assert(err.text == 'Nexthop has invalid gateway', err.text)\n"
		 "  assert(tostring(err):find(err.text, 1, true))\n"
		 "  assert(#socket:request(nl.message('newlink', nil, ('I1xI2i4I4I4'):pack(0, 0, "
		 "1, 1, 1))) == 0)\n"
		 "  assert(nl.link('lo').is_up)\n"
		 "end)\n");
}

Test(netlink, dumps_come_whole)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "local socket = assert(nl.open('route'))\n"
		 "local header = ('I1xI2i4I4I4'):pack(0, 0, 0, 0, 0)\n"
		 "for _ = 1, 2 do -- the second one finds the socket clean\n"
		 "  local links = assert(socket:request(nl.message('getlink', 'dump', header)))\n"
		 "  assert(#links >= 1)\n"
		 "  local list, by_type = nl.attributes(links[1].data, #header)\n"
		 "  assert(links[1].type == S.c.RTM.NEWLINK and #list > 5)\n"
		 "  assert(by_type[S.c.IFLA.IFNAME] == 'lo\\0')\n"
		 "end\n"
		 "assert(socket:close())\n"
		 "raises('16 bits', nl.message, 1 << 16)\n"
		 "raises('16 bits', nl.message, 'getlink', 1 << 16)\n"
		 "raises('closed', socket.request, socket, nl.message('getlink', 'dump', "
		 "header))\n");
}

Test(netlink, messages_are_laid_out_as_the_kernel_reads_them)
{
	test_lua(test_state(), "local nl = require 'netns'\n"
			       "local message = nl.message('newlink', 'create', 'head'):u8(1, "
			       "255):u16(2, 0x1234):u32(3, -1)\n"
			       "  :u64(4, 1):be16(5, 0x1234):be32(6, 1):be64(7, 1):string(8, "
			       "'lo'):bytes(9, 'a\\0b'):flag(10)\n"
			       "  :nest(11):u8(1, 1):nest(2):done():done()\n"
			       "local bytes = message:tobytes()\n"
			       "local size, type, flags = ('I4I2I2'):unpack(bytes)\n"
			       "assert(size == #bytes and type == S.c.RTM.NEWLINK)\n"
			       "assert(flags == S.c.NLM_F.REQUEST | S.c.NLM_F.CREATE and "
			       "bytes:sub(17, 20) == 'head')\n"
			       "local list, a = nl.attributes(bytes:sub(17), 4)\n"
			       "assert(#list == 11 and list[3].type == 3)\n"
			       "assert(a[1] == '\\255' and ('I2'):unpack(a[2]) == 0x1234 and a[3] "
			       "== '\\255\\255\\255\\255')\n"
			       "assert(('I8'):unpack(a[4]) == 1 and a[5] == '\\x12\\x34' and a[6] "
			       "== '\\0\\0\\0\\1')\n"
			       "assert(a[7] == '\\0\\0\\0\\0\\0\\0\\0\\1' and a[8] == 'lo\\0' and "
			       "a[9] == 'a\\0b' and a[10] == '')\n"
			       "local inner = nl.attributes(a[11])\n"
			       "assert(#inner == 2 and inner[1].data == '\\1' and inner[2].type == "
			       "2 and inner[2].data == '')\n");
}

Test(netlink, messages_grow)
{
	test_lua(test_state(), "local nl = require 'netns'\n"
			       "local message = nl.message(16, nil, '')\n"
			       "for i = 1, 500 do message:bytes(i, ('x'):rep(i)) end\n"
			       "local list = nl.attributes(message:tobytes():sub(17))\n"
			       "assert(#list == 500)\n"
			       "for i = 1, 500 do assert(list[i].type == i and list[i].data == "
			       "('x'):rep(i)) end\n");
}

Test(netlink, wrong_messages_raise)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "local message = nl.message('newlink')\n"
		 "raises(\"did you mean 'newlink'\", nl.message, 'newlnk')\n"
		 "raises('S.c.NLM_F', nl.message, 'newlink', 'creat')\n"
		 "raises('not within', message.u8, message, 1, 256)\n"
		 "raises('not within', message.u8, message, 16384, 1)\n"
		 "raises('NUL', message.string, message, 1, 'a\\0b')\n"
		 "raises('more bytes', message.bytes, message, 1, ('x'):rep(65536))\n"
		 "raises('no nested attribute', message.done, message)\n"
		 "message:nest(1)\n"
		 "raises('still open', function() nl.open():request(message) end)\n"
		 "raises('deep', function() while true do message:nest(1) end end)\n"
		 "raises('S.c.NETLINK', nl.open, 'rote')\n"
		 "assert(not nl.open(31)) -- a seccomp filter may answer before the kernel does\n");
}

Test(netlink, attributes_that_lie_end_the_list)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "assert(#nl.attributes('') == 0 and #nl.attributes('\\0\\0\\0\\0') == 0)\n"
		 "assert(#nl.attributes('\\255\\255\\1\\0abcd') == 0 and "
		 "#nl.attributes('\\8\\0\\1\\0abc') == 0)\n"
		 "assert(#nl.attributes('\\5\\0\\1\\0a\\0\\0\\0\\4\\0\\2\\0') == 2)\n"
		 "assert(#nl.attributes('\\5\\0\\1\\0a', 4000) == 0)\n"
		 "local two = "
		 "'head\\5\\0\\1\\0a\\0\\0\\0\\6\\0\\2\\128bc\\0\\0\\5\\0\\2\\0d\\0\\0\\0'\n"
		 "assert(nl.attribute(two, 4, 1) == 'a' and nl.attribute(two, 4, 2) == 'bc')\n"
		 "assert(nl.attribute(two, 4, 3) == nil and nl.attribute(two, 8, 1) == nil)\n"
		 "assert(nl.attribute('\\9\\0\\1\\0abcd', 0, 1) == nil)\n");
}

/* A veth needs neither address nor name of its other end. */
static const char *const veths =
	"nl = require 'netns'\n"
	"function veth(name)\n"
	"  return nl.message('newlink', 'create, excl', ('I1xI2i4I4I4'):pack(0, 0, 0, 0, 0))\n"
	"    :string(S.c.IFLA.IFNAME, name):nest(S.c.IFLA.LINKINFO):string(1, 'veth'):done()\n"
	"end\n"
	"function links(socket)\n"
	"  return #assert(socket:dump(nl.message('getlink', nil, ('I1xI2i4I4I4'):pack(0, 0, 0, 0, "
	"0))))\n"
	"end\n";

Test(netlink_netns, batches_tell_which_message_failed)
{
	lua_State *L = test_state();

	test_lua(L, veths);
	test_lua(L, "userns(function()\n"
		    "  assert(S.unshare('newnet'))\n"
		    "  local socket, many, same = assert(nl.open()), {}, {}\n"
		    "  local none = links(socket)\n"
		    "  assert(socket:batch { veth 'one' } == true)\n"
		    "  local ok, err, number, index = socket:batch { veth 'two', veth 'one', veth "
		    "'three', veth '' }\n"
		    "  assert(not ok and err.EXIST and number == S.c.E.EXIST and index == 2)\n"
		    "  assert(links(socket) == none + 6) -- the third was made all the same\n"
		    "  for i = 1, 100 do many[i] = veth('many' .. i) end\n"
		    "  assert(socket:batch(many))\n"
		    "  for i = 1, 1024 do same[i] = veth(i == 1 and 'last' or 'one') end\n"
		    "  ok, err, number, index = socket:batch(same)\n"
		    "  assert(not ok and err.EXIST and index == 2) -- more answers than find room\n"
		    "  assert(links(socket) == none + 208)\n"
		    "end)\n");
}

Test(netlink, forms_are_filled)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "local mark, forms = { false, false, 'mark' }, {\n"
		 "  { 10, 'head', 'a', 'x', 'b', 'y', 'c' }, { 20, 'head', 's', 'set', '', is_set "
		 "= true, has_comment = true } }\n"
		 "local function fill(values) return nl.fill({ mark, forms[1], forms[2], mark }, "
		 "values) end\n"
		 "local values = { table = 'tab', comment = 'words', sets = 6, x = 'X', y = '' }\n"
		 "assert(fill(values) == 'mark' .. ('I4'):pack(13) .. 'headtabaXbc' .. "
		 "('I4'):pack(28) .. 'headtabs\\0\\0\\0\\7words' .. 'mark')\n"
		 "assert(values.sets == 7 and nl.fill({}, {}) == '')\n"
		 "values.x = nil\n"
		 "raises('without its part 4', fill, values)\n"
		 "raises('list of forms', nl.fill, { 'x' }, {})\n");
}

Test(netlink, wrong_batches_raise)
{
	test_lua(test_state(), "local nl = require 'netns'\n"
			       "local socket, open = nl.open(), nl.message('getlink')\n"
			       "raises('1 to 1024', socket.batch, socket, {})\n"
			       "raises('table expected', socket.batch, socket, 1)\n"
			       "for _, s in ipairs { '', 'x', open:tobytes() .. 'x', "
			       "open:tobytes():sub(1, -2) } do\n"
			       "  raises('one after the other', socket.batch, socket, s)\n"
			       "end\n"
			       "raises('messages[2]', socket.batch, socket, { open, 'x' })\n"
			       "raises('still open', socket.batch, socket, { open:nest(1) })\n");
}

Test(netlink_netns, sockets_belong_to_the_namespace_they_are_opened_in)
{
	lua_State *L = test_state();

	test_lua(L, veths);
	test_lua(L, "userns(function()\n"
		    "  assert(S.unshare('newnet'))\n"
		    "  local first = assert(S.open('/proc/self/ns/net', 'rdonly'))\n"
		    "  assert(nl.open():batch { veth 'one' })\n"
		    "  assert(S.unshare('newnet'))\n"
		    "  local own, other = assert(nl.open()), assert(nl.open('route', first))\n"
		    "  assert(links(other) == links(own) + 2)\n"
		    "  assert(links(nl.open()) == links(own), 'we are back')\n"
		    "  assert(other:batch { veth 'two' })\n"
		    "  assert(links(other) == links(own) + 4)\n"
		    "  fails('INVAL', nl.open('route', S.open('/proc/self/ns/mnt', 'rdonly')))\n"
		    "  raises('descriptor', nl.open, 'route', 'x')\n"
		    "end)\n");
}

Test(netlink, objects_that_are_gone_are_said_to_be)
{
	test_lua(test_state(),
		 "local nl = require 'netns'\n"
		 "local m, socket, fd = nl.message('getlink'), nl.open(), S.eventfd()\n"
		 "for _, object in ipairs { m, socket, fd } do\n"
		 "  assert(getmetatable(object) == false)\n"
		 "end\n"
		 "debug.getmetatable(m).__gc(m)\n"
		 "debug.getmetatable(socket).__gc(socket)\n"
		 "debug.getmetatable(fd).__gc(fd)\n"
		 "raises('the message is gone', m.tobytes, m)\n"
		 "raises('of 16836052 bytes', function() local whole = ('x'):rep(65000)\n"
		 "  local long = nl.message('getlink')\n"
		 "  for _ = 1, 300 do long:bytes(1, whole) end end)\n"
		 "raises('the message is gone', m.u8, m, 1, 1)\n"
		 "raises('the netlink socket is closed', socket.getfd, socket)\n"
		 "raises('the descriptor is closed', fd.getfd, fd)\n");
}
