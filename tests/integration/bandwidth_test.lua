-- SPDX-License-Identifier: MIT
-- What a container sends is held back at its own end, which goes with its namespace, or, where it has power over that, at an ifb
-- of the host's. Each test plays the host in a network namespace of its own.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local apart = dofile "tests/integration/apart.lua"(t)
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
for _ = 1, 100 do fd:sendto(("x"):rep(1000), nil, { family = "inet", addr = "10.9.0.1", port = 9 }) end
]]

local function ifbs()
  local names = {}
  for _, link in ipairs(t.must(nl.interfaces())) do
    if link.kind == "ifb" then names[#names + 1] = link.name end
  end
  return names
end

local function receiver()
  local fd = t.must(S.socket("inet", "dgram"))
  t.must(fd:bind { family = "inet", port = 9 })
  t.must(fd:setsockopt("socket", "rcvbuf", 200000))
  return fd
end

local function received(fd)
  local count = 0
  while fd:recv(2000, "dontwait") do count = count + 1 end
  return count
end

-- What the attempts came to, how many datagrams arrived, and the receipt's row.
local function send(capabilities)
  local path, fd = t.dir "0777" .. "/report", receiver()
  local script = t.write(t.dir() .. "/guest.lua", GUEST)
  local r = t.run(box.words { words = { "/luge", "lua", "/guest.lua" }, options = { "--report", path },
    body = BODY:format(t.luge, script, capabilities) })
  t.equal({ r.code, r.stderr }, { 0, "" })
  t.equal(ifbs(), {}, "when luge has ended")
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

test("one that has power over its end is held back on the host", function()
  t.equal(send "'net_admin'", { "none", "done", "done", "refused" })
  -- What a packet socket sends may go past its own end's queue.
  t.equal(send "'net_raw'", { "refused", "refused", "refused", "done" })
end)

-- The steps of a plan that ask for the limit.
local function steps_of(capabilities)
  local r = t.run(box.words { verb = "plan", options = { "--json" }, words = { "true" }, body = BODY:format(t.luge, t.luge, capabilities) })
  t.equal(r.code, 0, r.stderr)
  local list = {}
  for _, step in ipairs(t.json.decode(r.stdout).steps) do
    if step.why:find("network.bandwidth", 1, true) then list[#list + 1] = step end
  end
  return list
end

test("nobody waits for a link to be deleted at the end, but where the container has power over its own", function()
  local inside = steps_of ""
  t.equal(#inside, 1)
  t.equal({ inside[1].op, inside[1].where, inside[1].args[1].link, inside[1].args[1].netns, inside[1].undo },
    { "nl.qdisc", "attach", "eth0", "$child" })
  for _, name in ipairs { "net_admin", "net_raw" } do
    local undone = {}
    for _, step in ipairs(steps_of(("%q"):format(name))) do
      if step.undo and step.undo ~= t.json.null then undone[#undone + 1] = step.undo end
    end
    t.equal(#undone, 1, name)
    t.contains(t.json.encode(undone[1]), "nl.delete")
  end
end)

test("a wire that was cut is held back as before when it is joined", function()
  local name = "bandwidth-" .. S.getpid()
  local process = box.start { "sleep", "100000", options = { "--name", name }, body = BODY:format(t.luge, t.luge, "") }
  local env, pid = { LUGE_STATE = box.state }, nil
  for _ = 1, 2500 do
    local r = t.run { "luge", "inspect", "--json", name, env = env }
    pid = r.code == 0 and t.json.decode(r.stdout).containers[1].pid
    if pid and nl.link("eth0", pid) and nl.link("eth0", pid).is_running then break end
    S.nanosleep(0.002)
  end
  for _, verb in ipairs { "cut", "join" } do t.succeed { "luge", "network", verb, name, "eth0", env = env } end
  local q = t.must(nl.qdiscs { link = "eth0", netns = pid })
  t.equal({ #q, q[1].kind, q[1].rate, q[1].burst }, { 1, "tbf", 1000, 4096 })
  S.kill(process.pid, "term")
  process:wait()
end)
