-- SPDX-License-Identifier: MIT
-- The socket of a container's luge: what it says, and that no client holds it up, fills it, or asks without right.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"
local control = require "sandbox.container.control"
local describe = require "sandbox.container.describe"

local SLEEP = { "sleep", "1000" }

-- A container, body(row, path of its socket), and its end.
local function with_container(how, body)
  d.start("det-c", how)
  local ok, err = pcall(body, d.seen "det-c", box.state .. d.own "/det-c.sock")
  local stopped = d.luge("rm", "-f", "det-c")
  if not ok then error(err, 0) end
  t.equal({ stopped.code, stopped.stderr }, { 0, "" })
  d.nothing_left()
end

-- One message and the reply as text, "" at its end.
local function exchange(path, message)
  local socket = t.must(S.connect_at(path))
  t.must(S.send(socket, message))
  t.equal(#S.poll({ { fd = socket, events = "in" } }, 20000), 1, "an answer in time")
  local reply = S.recv(socket)
  socket:close()
  return reply
end

d.test("describe brings facts, the pidfd and the cgroups' directories", function()
  with_container({ "sleep", "1000", body = "annotations = { bytes = 'x', hex = 'y' }",
    options = { "-e", "A=\255b", "-e", "bytes=61" } }, function(row)
    local reply, fds = control.request(box.state, d.own "det-c", { op = "describe" }, 20)
    t.equal({ reply.ok, reply.v }, { true, 1 })
    local facts = t.ok(describe.read(fds))
    t.equal({ d.plain(facts.name), facts.state, facts.pid, facts.luge, facts.detached }, { "det-c", "running", row.pid, row.luge, true })
    t.equal(facts.argv, { "/guest", "sleep", "1000" })
    t.equal({ facts.environment.A, facts.environment.bytes }, { "\255b", "61" })
    t.equal(facts.spec.annotations, { bytes = "x", hex = "y" })
    t.equal(facts.seal[#facts.seal].op, "exec")
    local filters = 0
    for _, step in ipairs(facts.seal) do
      if step.op == "seccomp_load" then
        filters = filters + 1
        t.ok(#step.args[1] > 0 and #step.args[1] % 8 == 0, "a filter's instructions")
      end
    end
    t.equal(filters, 2)
    t.ok(S.pidfd_send_signal(fds[2], 0), "the pidfd")
    t.equal(#fds, 2 + #facts.cgroups)
    for i, cgroup in ipairs(facts.cgroups) do
      local here, there = S.fstat(fds[2 + i]), S.stat(cgroup.path)
      t.equal({ here.dev, here.ino }, { there.dev, there.ino }, cgroup.path)
    end
    t.equal(S.pwrite(fds[1], "x", 0), nil, "the facts are sealed")
  end)
end)

d.test("the socket is only its user's", function()
  with_container(SLEEP, function(_, path)
    t.equal({ S.lstat(path).type, S.lstat(path).perm }, { "socket", tonumber("600", 8) })
  end)
end)

d.test("a bad message gets an error, and the next a good answer", function()
  with_container(SLEEP, function(_, path)
    for _, message in ipairs { "x", "{", "[]", "null", "5", '"stop"', "{}", '{"v":2,"op":"stop"}', '{"v":1}', '{"v":1,"op":5}',
      '{"v":1,"op":"__index"}', '{"v":1,"op":"kill"}', '{"v":1,"op":"kill","signal":9}', '{"v":1,"op":"kill","signal":"9"}',
      '{"v":1,"op":"stop","grace":-1}', '{"v":1,"op":"stop","grace":"1"}', '{"v":1,"op":"stop","grace":1e300}',
      ('{"v":1,"op":"%s"}'):format(("x"):rep(5000)), ('{"v":'):rep(200), "\0\255" } do
      local reply = t.json.decode(exchange(path, message))
      t.equal({ reply.v, type(reply.error), reply.ok }, { 1, "string", nil }, message:sub(1, 40))
    end
    t.equal(t.json.decode(exchange(path, '{"v":1,"op":"kill","signal":"WINCH"}')).ok, true)
    t.equal(d.seen("det-c").state, "running")
  end)
end)

d.test("descriptors that a message brings are not kept", function()
  with_container(SLEEP, function(row, path)
    local function open_ones() return #t.must(S.dir(("/proc/%d/fd"):format(row.luge))) end
    local before = open_ones()
    local socket = t.must(S.connect_at(path))
    t.must(S.sendmsg(socket, { data = '{"v":1,"op":"kill","signal":"WINCH"}', fds = { 0, 1, 2 } }))
    t.equal(t.json.decode(S.recv(socket)).ok, true)
    socket:close()
    t.ok(t.json.decode(exchange(path, '{"v":1,"op":"kill","signal":"WINCH"}')).ok)
    for _, number in ipairs(S.dir(("/proc/%d/fd"):format(row.luge))) do
      t.ok(tonumber(number) > 2 or S.readlink(("/proc/%d/fd/%s"):format(row.luge, number)) == "/dev/null")
    end
    d.until_true("an end of its descriptors", function() return open_ones() <= before end)
  end)
end)

d.test("clients that say nothing, or never read, hold nobody up", function()
  with_container(SLEEP, function(row, path)
    local silent = {}
    for i = 1, 100 do silent[i] = t.must(S.connect_at(path)) end
    local deaf = t.must(S.connect_at(path))
    S.fcntl(deaf, "setfl", "nonblock")
    for _ = 1, 2000 do
      if not S.send(deaf, '{"v":1,"op":"kill","signal":"WINCH"}') then break end
    end
    t.equal(d.ok("kill", "-s", "WINCH", "det-c"), "")
    t.ok(#S.dir(("/proc/%d/fd"):format(row.luge)) < 100, "no more than so many at once")
    local fast = t.start { "luge", "stop", d.own "det-c", env = { LUGE_STATE = box.state }, timeout = 30 }
    t.equal(fast:wait().code, 0)
    for _, socket in ipairs(silent) do socket:close() end
    deaf:close()
  end)
end)

d.test("those who wait are bounded, and told when there is no room", function()
  with_container(SLEEP, function(_, path)
    local waiting = {}
    for i = 1, 64 do
      waiting[i] = t.must(S.connect_at(path))
      t.must(S.send(waiting[i], '{"v":1,"op":"wait"}'))
    end
    local reply
    d.until_true("no more room", function()
      reply = t.json.decode(exchange(path, '{"v":1,"op":"kill","signal":"WINCH"}'))
      return reply.error
    end)
    t.contains(reply.error, "64 others wait")
    waiting[1]:close()
    d.until_true("room again", function() return t.json.decode(exchange(path, '{"v":1,"op":"kill","signal":"WINCH"}')).ok end)
    for i = 2, 64 do waiting[i]:close() end
  end)
end)

d.test("another user is not answered", function()
  t.needs_root()
  with_container(SLEEP, function(row, path)
    local r, w = S.pipe()
    t.must(S.chmod(box.state, "0711"))
    t.must(S.chmod(path, "0666"))
    local pid = t.must(S.fork())
    if pid == 0 then
      S.setresuid(65534, 65534, 65534)
      local socket = S.connect_at(path)
      S.send(socket, '{"v":1,"op":"stop"}')
      S.write(w, S.recv(socket) or "none")
      S.exit(0)
    end
    w:close()
    local said = S.read(r)
    S.wait4(pid)
    S.chmod(box.state, "0700")
    t.contains(t.json.decode(said).error, "only the user who started the container")
    t.ok(S.kill(row.luge, 0))
  end)
end)

d.test("a process in a container with the same uid is not answered", function()
  t.needs_user()
  local server = t.start { "luge", "run", "--name", d.own "det-c", t.profile(box.text("command = { '/guest', 'sleep', '1000' }")),
    env = { LUGE_STATE = box.state } }
  d.until_true("the container", function() return d.seen "det-c" end)
  local inside = t.run { "luge", "run", "--name", d.own "det-in", "--bind", box.state .. ":/state:rw", "--bind", t.luge .. ":/luge",
    "-e", "LUGE_STATE=/state", t.profile(box.text(("command = { '/luge', 'stop', %q }, mounts = { bind { %q } }")
      :format(d.own "det-c", t.luge))), env = { LUGE_STATE = t.dir "0700" } }
  t.differs(inside.code, 0)
  t.contains(d.plain(inside.stderr), "det-c")
  t.equal(d.seen("det-c").state, "running")
  d.ok("stop", "det-c")
  t.equal(server:wait().code, 143)
  d.nothing_left()
end)

d.test("a luge that does not listen yet, or no more, is told of in words", function()
  local dir = t.dir "0700"
  local lock = t.must(S.take_lock(dir .. "/x.lock"))
  local function luge(words)
    return t.run { "luge", env = { LUGE_STATE = dir }, timeout = 30, table.unpack(words) }
  end
  for _, words in ipairs { { "network", "cut", "x", "eth0" }, { "network", "reload", "x" }, { "kill", "x" }, { "attach", "x" } } do
    local r = luge(words)
    t.equal({ r.code, r.stdout }, { 125, "" })
    t.contains(r.stderr, "x: it has ended, or only begins to start")
  end
  t.equal(luge { "network", "reload" }.code, 0)
  lock:close()
end)
