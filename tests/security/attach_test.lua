-- SPDX-License-Identifier: MIT
-- luge attach hands out a container's terminal: nobody gets it but the user who runs the container, outside of it.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

local count = 0

local function luge(side, words, uid)
  local command = { side.luge, table.unpack(words) }
  command.uid, command.cwd = uid or side.uid, side.dir
  command.env = { HOME = side.dir, LUGE_STATE = side.state, XDG_RUNTIME_DIR = false }
  return t.run(command)
end

-- A shell on a terminal of its own, in the background; its name.
local function shell(side, how)
  count = count + 1
  local name = ("att%d-%d"):format(S.getpid(), count)
  local r = luge(side, { "run", "-d", "-t", "--name", name, side:profile(how or {}), "--", "/bin/sh", "-i" })
  t.equal({ r.code, r.stdout }, { 0, name .. "\n" }, r.stderr)
  return name
end

local function over(side, name) t.equal(luge(side, { "rm", "-f", "-t", "0", name }).code, 0) end

A.root("another user's container is not attached to", function(side)
  local name = shell(side)
  local r = luge(side, { "attach", name }, A.NOBODY)
  t.equal(r.code, 125)
  t.contains(r.stderr, "state directory")
  -- The directory's mode is not all that protects it.
  t.must(S.chmod(side.state, "0755"))
  t.must(S.chmod(("%s/%s.sock"):format(side.state, name), "0777"))
  local script = side:file("ask.lua", ([[
    local S = require "syscall"
    local socket = assert(S.connect_at(%q))
    S.sendmsg(socket, { data = '{"v":1,"op":"attach"}' })
    local reply = S.recvmsg(socket, { size = 4096, max_fds = 8 })
    print(#(reply.fds or {}), reply.data)
  ]]):format(side.state .. "/" .. name .. ".sock"))
  r = luge(side, { "lua", script }, A.NOBODY)
  t.contains(r.stdout, "0\t")
  t.contains(r.stdout, "only the user who started the container")
  r = luge(side, { "lua", script })
  t.matches(r.stdout, "^3\t", "the one who may gets a pipe and both ends: " .. r.stderr)
  t.must(S.chmod(side.state, "0700"))
  over(side, name)
end)

A.each("nobody inside a container gets a terminal, by the socket of its own luge or of another", function(side)
  local name = shell(side)
  local script = side:file("inside.lua", ([[
    local S = require "syscall"
    local socket = assert(S.connect_at "/state/%s.sock")
    S.sendmsg(socket, { data = '{"v":1,"op":"attach"}' })
    local reply = S.recvmsg(socket, { size = 4096, max_fds = 8 })
    print(#(reply.fds or {}), reply.data)
  ]]):format(name))
  local r = side:run({ mounts = ("bind { %q, '/state', rw = true }, bind { %q, '/luge' }, bind { %q, '/inside.lua' },"):format(side.state,
    side.luge, script) }, "/luge", "lua", "/inside.lua")
  t.matches(r.stdout, "^0\t.*outside of containers", r.stderr)
  over(side, name)
end)

-- What is attached is a terminal of the container's, with which its processes can do as they like: nothing of it reaches
-- the terminal that luge attach runs on but bytes.
A.each("a hostile terminal is no way to the one that attaches", function(side)
  local name = shell(side)
  local master, slave = S.openpty()
  t.must(master, slave)
  local before = S.tcgetattr(slave)
  local command = { side.luge, "attach", name, uid = side.uid, cwd = side.dir,
    env = { HOME = side.dir, LUGE_STATE = side.state, XDG_RUNTIME_DIR = false }, before = function()
      S.setsid()
      S.ioctl(slave, "tiocsctty", 0)
      for number = 0, 2 do S.dup3(slave, number) end
    end }
  local process = t.start(command)
  S.fcntl(master, "setfl", "nonblock")
  local said, deadline = "", S.clock_gettime "monotonic" + 30
  local function expect(words)
    while not said:find(words, 1, true) do
      t.ok(S.clock_gettime "monotonic" < deadline, words .. " never came: " .. said)
      S.poll({ { fd = master, events = "in" } }, 100)
      said = said .. (S.read(master, 65536) or "")
    end
  end
  S.write(master, "stty raw -echo; stty rows 3 cols 7; echo chan''ged\r")
  expect "changed"
  S.write(master, "exit 3\n")
  local r = process:wait()
  t.equal(r.code, 3, said)
  t.equal(S.tcgetattr(slave), before, "its modes")
  t.equal(S.tcgetwinsize(slave).rows, 0, "its size")
  t.equal(#S.poll({ { fd = slave, events = "in" } }, 0), 0, "what was typed into it")
  master:close()
  slave:close()
  over(side, name)
end)
