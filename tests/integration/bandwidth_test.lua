-- SPDX-License-Identifier: MIT
-- What a container sends is held back on its way to the host, where neither it nor who joins its network can reach, and which goes
-- when nobody holds it. Each test plays the host in a network namespace of its own.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local apart = net.apart
local S = require "syscall"
local nl = require "netns"

local function test(name, body)
  t.test(name, function()
    t.needs_root()
    apart.run(function()
      t.must(nl.up "lo")
      body()
      box.nothing_left()
    end)
  end)
end

-- 1000 bytes a second: what passes of a burst is the same on a machine that is a minute late.
local BODY = [[network = { interfaces = { veth { address = "10.9.0.2/24", address6 = false } },
  bandwidth = { up = "8kbit", burst = "4K" }, egress = { allow = { { "10.9.0.1" } } } },
  mounts = { bind { %q, "/luge" }, bind { %q, "/guest.lua" } }, capabilities = { %s },
  seccomp = false]]

-- What it does to its end, and a hundred datagrams of 1000 bytes after that.
local GUEST = [[
local S = require "syscall"
local nl = S.nl
local function try(ok, err) print(ok and "done" or err.PERM and "refused" or err.NOENT and "none" or tostring(err)) end
try(nl.delqdisc { link = "eth0" })
try(nl.qdisc { link = "eth0", kind = "tbf", rate = "1gbit" })
try(nl.down "eth0")
nl.up "eth0"
try(S.socket("packet", "raw"))
local fd = assert(S.socket("inet", "dgram"))
local function send(data) fd:sendto(data, nil, { family = "inet", addr = "10.9.0.1", port = 9 }) end
-- Until the host has answered: the other end of a link that was down hears of it when the kernel has got round to it.
local function is_known()
  for _, one in ipairs(nl.neighbours { dev = "eth0" } or {}) do
    if one.to == "10.9.0.1" and one.mac then return true end
  end
end
for i = 0, 2500 do
  if is_known() then break end
  if i % 250 == 0 then send "?" end
  S.nanosleep(0.002)
end
for _ = 1, 100 do send(("x"):rep(1000)) end
]]

local function receiver()
  local fd = t.must(S.socket("inet", "dgram"))
  t.must(fd:bind { family = "inet", port = 9 })
  t.must(fd:setsockopt("socket", "rcvbuf", 200000))
  return fd
end

local function received(fd)
  local count = 0
  local data = fd:recv(2000, "dontwait")
  while data do
    if #data == 1000 then count = count + 1 end
    data = fd:recv(2000, "dontwait")
  end
  return count
end

-- What the attempts came to, how many datagrams arrived, and the receipt's row.
local function send(capabilities)
  local path, fd = t.dir "0777" .. "/report", receiver()
  local script = t.write(t.dir() .. "/guest.lua", GUEST)
  local r = t.run(box.words { words = { "/luge", "lua", "/guest.lua" }, options = { "--report", path },
    body = BODY:format(t.luge, script, capabilities) })
  t.equal({ r.code, r.stderr }, { 0, "" })
  local words = {}
  for word in r.stdout:gmatch "[^\n]+" do words[#words + 1] = word end
  local row = t.row(t.json.decode(t.read(path)), "network.bandwidth.up")
  t.equal({ row.asked, row.got, row.ok }, { "1000", "1000", true })
  local count = received(fd)
  fd:close()
  t.ok(count >= 1 and count < 50, count .. " of 100 datagrams came")
  return words
end

test("a container has no power over the limit on what it sends", function()
  t.equal(send "", { "refused", "refused", "refused", "refused" })
end)

test("one that has power over its end is held back beyond it", function()
  t.equal(send "'net_admin'", { "none", "done", "done", "refused" })
  -- What a packet socket sends may go past its own end's queue.
  t.equal(send "'net_raw'", { "refused", "refused", "refused", "done" })
end)

-- Says how long the one datagram is that comes back for its own.
local ECHO = [[
local S = require "syscall"
local fd = assert(S.socket("inet", "dgram"))
assert(fd:connect { family = "inet", addr = "10.9.0.1", port = 9 })
assert(fd:setsockopt("socket", "rcvtimeo", 20))
assert(fd:send(("x"):rep(tonumber(arg[1]))))
print(#(fd:recv(100000) or ""))
]]

test("a packet as large as the interface carries passes, however slow it is", function()
  local script = t.write(t.dir() .. "/echo.lua", ECHO)
  for mtu, rates in pairs { [65535] = "", [32000] = "burst = '32018'", [9000] = "burst = '64K'" } do
    for _, kind in ipairs { "veth { ", "bridge { 'lab', subnet = '10.9.0.0/24', gateway = 'auto', " } do
      local fd, size = receiver(), mtu - 28
      t.must(fd:setsockopt("socket", "rcvtimeo", 20))
      local process = t.start(box.words { words = { "/luge", "lua", "/echo.lua", tostring(size) }, body = ([[network = { interfaces = {
        %s address = "10.9.0.2/24", address6 = false, mtu = %d } }, egress = false, bandwidth = { up = "1mbit", down = "1mbit", %s } },
        mounts = { bind { %q, "/luge" }, bind { %q, "/echo.lua" } }]]):format(kind, mtu, rates, t.luge, script) })
      local data, from = fd:recvfrom(100000)
      t.equal(#(data or ""), size, ("%s mtu %d: what it sends"):format(kind, mtu))
      if kind:find "^bridge" then t.must(nl.set("lab", { mtu = mtu })) end
      t.must(fd:sendto(data, nil, from))
      local r = process:wait()
      t.equal({ r.code, r.stdout, r.stderr }, { 0, size .. "\n", "" }, ("%s mtu %d: what it receives"):format(kind, mtu))
      fd:close()
    end
  end
end)

test("nobody waits for a link to be deleted at the end", function()
  for _, capabilities in ipairs { "", "'net_admin'", "'net_raw'" } do
    local r = t.run(box.words { verb = "plan", options = { "--json" }, words = { "true" }, body = BODY:format(t.luge, t.luge, capabilities) })
    t.equal(r.code, 0, r.stderr)
    local limits = 0
    for _, step in ipairs(t.json.decode(r.stdout).steps) do
      if step.undo and step.undo ~= t.json.null then t.lacks(t.json.encode(step.undo), "nl.delete") end
      if step.op == "nl.qdisc" then limits = limits + 1 end
    end
    t.equal(limits, 1)
  end
end)

local function in_background(name, body)
  net.test_detached(name, function(d)
    local script, fd = t.write(t.dir() .. "/guest.lua", GUEST), receiver()
    d.start("det-bandwidth", { shell = "exec sleep 100000", body = BODY:format(t.luge, script, "") })
    body(d, script)
    local count = received(fd)
    fd:close()
    t.ok(count >= 1 and count < 50, count .. " of 100 datagrams came")
    d.ok("rm", "-f", "-t", "0s", "det-bandwidth")
  end)
end

-- Root of the host has all power over what a namespace of the host's owns, without any capability.
in_background("who joins its network with power over it does not lift the limit", function(d, script)
  local r = t.run(box.words { words = { "/luge", "lua", "/guest.lua" }, options = { "--set", "id_map=host" }, body = ([[network = {
    join = %q }, mounts = { bind { %q, "/luge" }, bind { %q, "/guest.lua" } }, capabilities = { },
    seccomp = false]]):format(d.own "det-bandwidth", t.luge, script) })
  t.equal({ r.code, r.stdout, r.stderr }, { 0, "none\ndone\ndone\ndone\n", "" })
end)

in_background("a wire that was cut is held back as before when it is joined, and its end hears of both", function(d)
  local pid = t.json.decode(d.ok("inspect", "--json", "det-bandwidth")).containers[1].pid
  local function is_running(wanted)
    for _ = 1, 2500 do
      if nl.link("eth0", pid).is_running == wanted then return true end
      S.nanosleep(0.002)
    end
  end
  d.ok("network", "cut", "det-bandwidth", "eth0")
  t.ok(is_running(false), "it has no carrier")
  d.ok("network", "join", "det-bandwidth", "eth0")
  t.ok(is_running(true), "it has its carrier again")
  t.equal(d.ok("exec", "det-bandwidth", "/luge", "lua", "/guest.lua"), ("refused\n"):rep(4))
end)
