/* SPDX-License-Identifier: MIT */
/* test_socket.c – sockets through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(socket, pair_carries_both_ways)
{
	test_lua(test_state(), "local a, b = assert(S.socketpair('unix', 'stream'))\n"
			       "assert(S.send(a, 'to b') == 4 and S.recv(b) == 'to b')\n"
			       "assert(S.send(b, 'to a', 'more') == 4 and S.recv(a, 2) == 'to' and "
			       "S.recv(a) == ' a')\n"
			       "S.send(a, 'peek')\n"
			       "assert(S.recv(b, 9, 'peek') == 'peek' and S.recv(b) == 'peek')\n"
			       "fails('AGAIN', S.recv(b, 9, 'dontwait'))\n"
			       "assert(S.shutdown(a, 'wr'))\n"
			       "assert(S.recv(b) == '')\n"
			       "fails('PIPE', S.send(a, 'x')) -- and no signal\n"
			       "fails('OPNOTSUPP', S.socketpair('inet', 'stream'))\n");
}

Test(socket, descriptors_are_close_on_exec)
{
	test_lua(test_state(), "local a, b = S.socketpair('unix', 'dgram, nonblock')\n"
			       "for _, fd in ipairs { a, b, S.socket('unix', 'stream') } do\n"
			       "  local flags\n"
			       "  for line in io.lines('/proc/self/fdinfo/' .. fd:getfd()) do\n"
			       "    flags = flags or line:match('^flags:%s*(%d+)')\n"
			       "  end\n"
			       "  assert(tonumber(flags, 8) & S.c.O.CLOEXEC ~= 0)\n"
			       "end\n"
			       "fails('AGAIN', S.recv(a))\n");
}

Test(socket, wrong_arguments_raise)
{
	test_lua(test_state(), "raises(\"did you mean 'unix'\", S.socket, 'unx', 'stream')\n"
			       "raises(\"did you mean 'stream'\", S.socket, 'unix', 'streem')\n"
			       "raises('S.c.IPPROTO', S.socket, 'inet', 'stream', 'route')\n"
			       "raises('S.c.NETLINK', S.socket, 'netlink', 'raw', 'tcp')\n"
			       "raises('string expected', S.send, 0, {})\n"
			       "raises('a descriptor expected', S.recv, 'x')\n"
			       "raises('not within', S.recv, 0, -1)\n"
			       "raises('S.c.SHUT', S.shutdown, 0, 'both')\n"
			       "raises('S.c.MSG', S.send, 0, '', 'peak')\n"
			       "fails('NOTSOCK', S.send(assert(S.eventfd()), 'x'))\n"
			       "fails('PROTONOSUPPORT', S.socket('unix', 'stream', 250))\n");
}

Test(socket, unix_streams_by_abstract_name)
{
	test_lua(test_state(),
		 "local name = '@luge-test-' .. S.getpid()\n"
		 "local server = assert(S.socket('unix', 'stream'))\n"
		 "fails('CONNREFUSED', S.connect(S.socket('unix', 'stream'), { family = 'unix', "
		 "path = name }))\n"
		 "assert(S.bind(server, { family = 'unix', path = name }) and S.listen(server))\n"
		 "fails('ADDRINUSE', S.bind(S.socket('unix', 'stream'), { family = 'unix', path = "
		 "name }))\n"
		 "assert(S.getsockname(server).path == name)\n"
		 "local client = assert(S.socket('unix', 'stream'))\n"
		 "fails('NOTCONN', S.getpeername(client))\n"
		 "assert(S.connect(client, { family = 'unix', path = name }))\n"
		 "local peer, from = assert(S.accept4(server, 'nonblock'))\n"
		 "assert(from.family == 'unix' and from.path == nil)\n"
		 "assert(S.getpeername(client).path == name)\n"
		 "fails('AGAIN', S.recv(peer))\n"
		 "S.send(client, 'hello')\n"
		 "assert(S.recv(peer) == 'hello')\n"
		 "local creds = assert(S.getsockopt(peer, 'socket', 'peercred'))\n"
		 "assert(creds.pid == S.getpid() and creds.uid == S.geteuid() and creds.gid == "
		 "S.getegid())\n");
}

Test(socket, unix_datagrams_by_path)
{
	test_lua(test_state(),
		 "local path = os.tmpname()\n"
		 "os.remove(path)\n"
		 "local server, client = S.socket('unix', 'dgram'), S.socket('unix', 'dgram')\n"
		 "assert(S.bind(server, { family = 'unix', path = path }))\n"
		 "assert(S.getsockname(server).path == path)\n"
		 "assert(S.bind(client, { family = 'unix' })) -- autobind\n"
		 "local own = S.getsockname(client).path\n"
		 "assert(own:match('^@%x%x%x%x%x$'), own)\n"
		 "assert(S.sendto(client, 'data', nil, { family = 'unix', path = path }) == 4)\n"
		 "local data, from = assert(S.recvfrom(server))\n"
		 "assert(data == 'data' and from.path == own)\n"
		 "S.sendto(client, 'data', nil, { family = 'unix', path = path })\n"
		 "assert(S.recv(server, 2) == 'da')\n"
		 "S.sendto(client, 'data', nil, { family = 'unix', path = path })\n"
		 "assert(S.recv(server, 2, 'trunc') == 'da')\n"
		 "os.remove(path)\n"
		 "fails('NOENT', S.connect(client, { family = 'unix', path = path }))\n");
}

Test(socket, internet_addresses)
{
	test_lua(test_state(),
		 "local server = assert(S.socket('inet', 'stream', 'tcp'))\n"
		 "local ok, err = S.bind(server, { family = 'inet', addr = '127.0.0.1' })\n"
		 "if not ok then skip('no-loopback: ' .. tostring(err)) end\n"
		 "assert(S.listen(server, 5))\n"
		 "local own = S.getsockname(server)\n"
		 "assert(own.family == 'inet' and own.addr == '127.0.0.1' and own.port > 0)\n"
		 "local client = S.socket('inet', 'stream')\n"
		 "assert(S.connect(client, own))\n"
		 "local peer, from = assert(S.accept4(server))\n"
		 "assert(from.port == S.getsockname(client).port)\n"
		 "assert(S.send(peer, 'x') == 1 and S.recv(client) == 'x')\n"
		 "assert(S.setsockopt(client, 'tcp', 'nodelay', true))\n"
		 "assert(S.getsockopt(client, 'tcp', 'nodelay') ~= 0)\n"
		 "assert(#S.getsockopt(client, 'tcp', 'congestion') > 0)\n"
		 "assert(S.getsockopt(client, 'tcp', 'nodelay', 4) ~= ('\\0'):rep(4))\n");
}

Test(socket, internet6_addresses)
{
	test_lua(test_state(), "local s, err = S.socket('inet6', 'dgram')\n"
			       "if not s then skip('no-ipv6: ' .. tostring(err)) end\n"
			       "local ok\n"
			       "ok, err = S.bind(s, { family = 'inet6', addr = '::1', port = 0 })\n"
			       "if not ok then skip('no-ipv6: ' .. tostring(err)) end\n"
			       "local own = S.getsockname(s)\n"
			       "assert(own.family == 'inet6' and own.addr == '::1' and own.port > "
			       "0 and own.scope == 0)\n"
			       "assert(S.connect(s, own))\n"
			       "assert(S.getpeername(s).port == own.port)\n"
			       "assert(S.connect(s, { family = 'unspec' }))\n"
			       "fails('NOTCONN', S.getpeername(s))\n");
}

Test(socket, netlink_addresses)
{
	test_lua(test_state(),
		 "local s = assert(S.socket('netlink', 'raw', 'route'))\n"
		 "assert(S.bind(s, { family = 'netlink', groups = 1 }))\n"
		 "local own = S.getsockname(s)\n"
		 "assert(own.family == 'netlink' and own.groups == 1 and own.pid ~= 0)\n");
}

Test(socket, wrong_addresses_raise)
{
	test_lua(test_state(),
		 "local s = S.socket('unix', 'stream')\n"
		 "raises(\"needs its 'family'\", S.bind, s, { path = 'x' })\n"
		 "raises(\"did you mean 'inet6'\", S.bind, s, { family = 'inett6' })\n"
		 "raises(\"did you mean 'path'\", S.bind, s, { family = 'unix', pat = 'x' })\n"
		 "raises('at most 107', S.bind, s, { family = 'unix', path = ('x'):rep(108) })\n"
		 "raises('NUL', S.bind, s, { family = 'unix', path = 'a\\0b' })\n"
		 "raises('an IPv4 address expected', S.bind, s, { family = 'inet', addr = "
		 "'300.1.1.1' })\n"
		 "raises('an IPv6 address expected', S.bind, s, { family = 'inet6', addr = "
		 "'127.0.0.1' })\n"
		 "raises('port 65536', S.bind, s, { family = 'inet', addr = '127.0.0.1', port = "
		 "65536 })\n"
		 "raises(\"field 'port'\", S.bind, s, { family = 'inet', addr = '127.0.0.1', port "
		 "= 'http' })\n"
		 "raises('table expected', S.connect, s, '/path')\n");
}

Test(socket, longest_names)
{
	test_lua(test_state(),
		 "local path = '@' .. ('x'):rep(106 - #tostring(S.getpid())) .. S.getpid()\n"
		 "local s = S.socket('unix', 'stream')\n"
		 "assert(#path == 107 and S.bind(s, { family = 'unix', path = path }))\n"
		 "assert(S.getsockname(s).path == path)\n"
		 "local zero = S.socket('unix', 'stream')\n"
		 "path = '@a\\0b' .. S.getpid()\n"
		 "assert(S.bind(zero, { family = 'unix', path = path }) and "
		 "S.getsockname(zero).path == path)\n");
}

Test(socket, messages_carry_descriptors)
{
	test_lua(test_state(),
		 "local a, b = S.socketpair('unix', 'seqpacket')\n"
		 "local e = S.eventfd(5)\n"
		 "assert(S.sendmsg(a, { data = 'take', fds = { e, a:getfd() } }) == 4)\n"
		 "local got = assert(S.recvmsg(b))\n"
		 "assert(got.data == 'take' and #got.fds == 2 and #got.flags == 0 and got.creds == "
		 "nil)\n"
		 "assert(got.fds[1]:getfd() ~= e:getfd())\n"
		 "assert(S.eventfd_read(got.fds[1]) == 5)\n"
		 "assert(S.send(got.fds[2], 'from the copy') and S.recv(b) == 'from the copy')\n"
		 "local flags\n"
		 "for line in io.lines('/proc/self/fdinfo/' .. got.fds[1]:getfd()) do\n"
		 "  flags = flags or line:match('^flags:%s*(%d+)')\n"
		 "end\n"
		 "assert(tonumber(flags, 8) & S.c.O.CLOEXEC ~= 0)\n");
}

Test(socket, no_more_descriptors_than_asked_for)
{
	test_lua(test_state(), "local function open_count()\n"
			       "  collectgarbage()\n"
			       "  collectgarbage()\n"
			       "  local n = 0\n"
			       "  for fd = 0, 1023 do\n"
			       "    local file = io.open('/proc/self/fdinfo/' .. fd)\n"
			       "    if file then n = n + 1 end\n"
			       "    if file then file:close() end\n"
			       "  end\n"
			       "  return n\n"
			       "end\n"
			       "local a, b = S.socketpair('unix', 'seqpacket')\n"
			       "local before = open_count()\n"
			       "for max = 0, 3 do\n"
			       "  local e = S.eventfd()\n"
			       "  assert(S.sendmsg(a, { data = 'x', fds = { e, e, e, e } }))\n"
			       "  local got = assert(S.recvmsg(b, { max_fds = max }))\n"
			       "  assert(#got.fds == max and got.flags[1] == 'ctrunc', max)\n"
			       "end\n"
			       "assert(open_count() == before)\n");
}

Test(socket, many_descriptors_at_once)
{
	test_lua(test_state(), "local a, b = S.socketpair('unix', 'stream')\n"
			       "local fds = {}\n"
			       "for i = 1, 253 do fds[i] = b end\n"
			       "assert(S.sendmsg(a, { data = 'x', fds = fds }) == 1)\n"
			       "assert(#S.recvmsg(b, { max_fds = 253 }).fds == 253)\n"
			       "fds[254] = b\n"
			       "raises('at most 253', S.sendmsg, a, { data = 'x', fds = fds })\n");
}

Test(socket, messages_say_what_was_cut)
{
	test_lua(test_state(),
		 "local a, b = S.socketpair('unix', 'dgram')\n"
		 "assert(S.sendmsg(a, { data = 'long', flags = 'dontwait' }))\n"
		 "local got = assert(S.recvmsg(b, { size = 2 }))\n"
		 "assert(got.data == 'lo' and got.flags[1] == 'trunc' and #got.fds == 0)\n"
		 "fails('AGAIN', S.recvmsg(b, { flags = 'dontwait' }))\n"
		 "assert(S.sendmsg(a, {}) == 0 and S.recvmsg(b).data == '')\n");
}

Test(socket, messages_carry_credentials)
{
	test_lua(test_state(), "local a, b = S.socketpair('unix', 'stream')\n"
			       "assert(S.getsockopt(b, 'socket', 'passcred') == false)\n"
			       "assert(S.setsockopt(b, 'socket', 'passcred', true))\n"
			       "assert(S.getsockopt(b, 'socket', 'passcred') == true)\n"
			       "S.send(a, 'x')\n"
			       "local creds = assert(S.recvmsg(b, { max_fds = 0 }).creds)\n"
			       "assert(creds.pid == S.getpid() and creds.uid == S.getuid() and "
			       "creds.gid == S.getgid())\n"
			       "S.sendmsg(a, { data = 'x', fds = { a } })\n"
			       "local got = S.recvmsg(b, { max_fds = 1 })\n"
			       "assert(got.creds and #got.fds == 1)\n");
}

/* Load the first byte; take all of it if that is 'y', else nothing. */
Test(socket, a_filter_decides_what_comes_in)
{
	test_lua(test_state(),
		 "local a, b = S.socketpair('unix', 'dgram')\n"
		 "local function op(...) return ('=I2BBI4'):pack(...) end\n"
		 "assert(S.socket_filter(b, op(0x30, 0, 0, 0) .. op(0x15, 0, 1, 0x79) .. op(6, 0, "
		 "0, 0xffffffff) .. "
		 "op(6, 0, 0, 0)))\n"
		 "for _, word in ipairs { 'no', 'yes', 'never' } do S.send(a, word) end\n"
		 "assert(S.recv(b, 10) == 'yes')\n"
		 "fails('AGAIN', S.recv(b, 10, 'dontwait'))\n"
		 "fails('INVAL', S.socket_filter(b, op(0xffff, 0, 0, 0)))\n"
		 "raises('instructions', S.socket_filter, b, '')\n"
		 "raises('instructions', S.socket_filter, b, 'nine byte')\n"
		 "raises('instructions', S.socket_filter, b, op(6, 0, 0, 0):rep(4097))\n");
}

Test(socket, messages_go_to_addresses)
{
	test_lua(
		test_state(),
		"local name = '@luge-test-msg-' .. S.getpid()\n"
		"local a, b = S.socket('unix', 'dgram'), S.socket('unix', 'dgram')\n"
		"assert(S.bind(b, { family = 'unix', path = name }))\n"
		"assert(S.bind(a, { family = 'unix' }))\n"
		"assert(S.sendmsg(a, { data = 'x', to = { family = 'unix', path = name } }) == 1)\n"
		"local got = S.recvmsg(b)\n"
		"assert(got.data == 'x' and got.from.path == S.getsockname(a).path)\n");
}

Test(socket, wrong_messages_raise)
{
	test_lua(test_state(),
		 "local a = S.socketpair('unix', 'stream')\n"
		 "local function made_up(f) return setmetatable({}, { __index = f }) end\n"
		 "local lazy = made_up(function(_, key)\n"
		 "  if key == 'data' then return ('x'):rep(100000) end\n"
		 "  collectgarbage()\n"
		 "end)\n"
		 "raises('without __index', S.sendmsg, a, lazy)\n"
		 "local t = { data = ('x'):rep(100000) }\n"
		 "t.flags = made_up(function() t.data = nil; collectgarbage() end)\n"
		 "raises('without __index', S.sendmsg, a, t)\n"
		 "t.data, t.flags = ('x'):rep(100000), nil\n"
		 "t.fds = setmetatable({ 1 }, { __index = function() end })\n"
		 "raises('without __index', S.sendmsg, a, t)\n"
		 "raises('without __index', S.execve, '/nothing', made_up(print))\n"
		 "raises(\"did you mean 'data'\", S.sendmsg, a, { dat = 'x' })\n"
		 "raises(\"field 'data': a string expected\", S.sendmsg, a, { data = {} })\n"
		 "raises(\"field 'fds': a list\", S.sendmsg, a, { fds = 1 })\n"
		 "raises('a descriptor expected', S.sendmsg, a, { fds = { 'x' } })\n"
		 "raises(\"needs its 'family'\", S.sendmsg, a, { data = 'x', to = {} })\n"
		 "raises(\"field 'max_fds'\", S.recvmsg, a, { max_fds = 254 })\n"
		 "raises(\"field 'size'\", S.recvmsg, a, { size = -1 })\n"
		 "raises('S.c.MSG', S.recvmsg, a, { flags = 'nonblock' })\n"
		 "fails('BADF', S.sendmsg(a, { data = 'x', fds = { 9999 } }))\n");
}

Test(socket, options_have_their_shapes)
{
	test_lua(test_state(), "local a, b = S.socketpair('unix', 'stream')\n"
			       "assert(S.getsockopt(a, 'socket', 'rcvtimeo') == 0)\n"
			       "assert(S.setsockopt(a, 'socket', 'rcvtimeo', 0.02))\n"
			       "fails('AGAIN', S.recv(a))\n"
			       "assert(b) -- not collected before\n"
			       "assert(S.setsockopt(a, 'socket', 'sndtimeo', 1e-9) and "
			       "S.getsockopt(a, 'socket', 'sndtimeo') > 0)\n"
			       "assert(S.getsockopt(a, 'socket', 'linger') == false)\n"
			       "assert(S.setsockopt(a, 'socket', 'linger', 7) and S.getsockopt(a, "
			       "'socket', 'linger') == 7)\n"
			       "assert(S.setsockopt(a, 'socket', 'linger', false))\n"
			       "assert(S.getsockopt(a, 'socket', 'type') == S.c.SOCK.STREAM)\n"
			       "assert(S.getsockopt(a, 'socket', 'error') == 0)\n"
			       "assert(#S.getsockopt(a, 'socket', 'linger', 8) == 8)\n"
			       "local n = S.socket('netlink', 'raw', 'route')\n"
			       "assert(S.bind(n, { family = 'netlink', groups = 1 }))\n"
			       "assert(#S.getsockopt(n, 'netlink', 9, 0) == 0) -- the kernel: 8\n"
			       "assert(#S.getsockopt(n, 'netlink', 9, 4) == 4)\n"
			       "assert(S.setsockopt(a, 'socket', 'linger', ('i4i4'):pack(1, 3)))\n"
			       "assert(S.getsockopt(a, 'socket', 'linger') == 3)\n"
			       "fails('OPNOTSUPP', S.setsockopt(a, 'tcp', 'nodelay', 1))\n"
			       "raises(\"did you mean 'passcred'\", S.setsockopt, a, 'socket', "
			       "'passcreds', true)\n"
			       "raises('S.c.TCP', S.getsockopt, a, 'tcp', 'reuseaddr')\n"
			       "raises('value', S.setsockopt, a, 'socket', 'passcred')\n"
			       "raises('S.c.SOL', S.getsockopt, a, 'sockets', 'type')\n");
}
