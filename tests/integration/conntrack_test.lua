-- SPDX-License-Identifier: MIT
-- Connections that the kernel keeps in mind: how they are read and forgotten, and that no container has anything of those of
-- another one before it. Each test plays the host in a network namespace of its own.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local apart, traffic = net.apart, net.traffic
local serve, stop, ask, family_of = net.serve, net.stop, net.client, traffic.family_of

-- A host that keeps track of connections, as any does that filters: the kernel leaves it where nothing asks for it.
local function track()
  t.must(nl.up "lo")
  net.no_dad()
  t.must(nl.nft { family = "inet", table = "host", chains = { input = { hook = "input", priority = "filter",
    { { "ct state", "established" }, "accept" } } } })
end

local function client(address, port, own)
  local s = t.must(S.socket(family_of(address), "dgram"))
  if own then t.must(S.bind(s, { family = family_of(address), port = own })) end
  t.must(S.connect(s, { family = family_of(address), addr = address, port = port }))
  S.send(s, "hello")
  return s
end

local function answer(s)
  local ok, why = S.send(s, "hello") -- it tells what became of the one before
  if not ok then return tostring(why) end
  local ready = t.must(S.poll({ { fd = s, events = "in" } }, 5000))
  if #ready == 0 then return "nothing" end
  local data, err = S.recv(s, 100)
  return data or tostring(err)
end

t.test("connections are listed as they are, and forgotten by what is said of them", function()
  apart.run(function()
    track()
    local kept = {}
    for i = 1, 3 do
      for _, address in ipairs { "127.0.0.1", "127.0.0.2", "::1" } do kept[#kept + 1] = client(address, 9000 + i) end
    end
    local function ports(...)
      local found = {}
      for i, entry in ipairs(t.must(nl.conntracks(...))) do found[i] = entry.to .. " " .. entry.to_port end
      table.sort(found)
      return found
    end
    t.equal(#ports(), 9)
    t.equal(ports { to = "127.0.0.2", port = 9002 }, { "127.0.0.2 9002" })
    t.equal(ports { proto = "udp", port = 9001, to = "local" }, { "127.0.0.1 9001", "127.0.0.2 9001", "::1 9001" })
    t.equal(ports { { answers = "::1" }, { from = "::1", port = 9003 } }, { "::1 9001", "::1 9002", "::1 9003" })
    t.equal({ ports { proto = "tcp" }, ports { from = "10.0.0.0/8" }, ports { family = "inet", port = 9001, to = "127.0.0.0/8" } },
      { {}, {}, { "127.0.0.1 9001", "127.0.0.2 9001" } })
    local one = t.must(nl.conntracks { to = "::1", port = 9001 })
    t.equal({ one[1].family, one[1].proto, one[1].from, one[1].seen_reply, one[1].dnat, one[1].reply.from, one[1].reply.from_port },
      { "inet6", "udp", "::1", false, false, "::1", 9001 })
    t.matches(tostring(one), "^udp %[::1%]:%d+ > %[::1%]:9001, answered %[::1%]:9001 > %[::1%]:%d+, unreplied, %d+ s$")
    t.must(nl.delconntracks { { to = "127.0.0.2" }, { answers = "::1", port = 9001 } })
    t.equal(ports(), { "127.0.0.1 9001", "127.0.0.1 9002", "127.0.0.1 9003", "::1 9002", "::1 9003" })
    t.must(nl.delconntracks { { proto = "udp", port = 9002, to = "local" }, { from = "127.0.0.0/30" } })
    t.equal(ports(), { "::1 9003" })
    t.must(nl.delconntracks { from = "2001:db8::1" })
    t.equal(#ports(), 1, "another's")
    t.contains(select(2, pcall(nl.delconntracks, { to = "nowhere" })), "bad argument 'to'")
    t.contains(select(2, pcall(nl.conntracks, { ports = 1 })), "did you mean 'port'")
  end)
end)

-- From here on this process has no netlink, as on a kernel that does not tell of connections.
local function without_netlink()
  t.must(S.prctl("set_no_new_privs", 1))
  t.must(S.seccomp_load(S.seccomp_filter { default = "allow", rules = {
    { "socket", action = "errno EOPNOTSUPP", { 0, "masked_eq", 0xffffffff, S.c.AF.NETLINK } } } }))
end

t.test("where none of them is there the kernel is not asked to forget any, and where one may be it has to be", function()
  apart.run(function()
    t.must(nl.up "lo")
    track()
    client("127.0.0.2", 9001)
    client("::1", 9002)
    -- What is there in no one's stead: addresses that only begin so, other ports, other ends.
    local absent = { { from = "127.0.0.20" }, { from = "::" }, { answers = "127.0.0.22" }, { to = "::12" },
      { proto = "udp", to = "local", port = 900 }, { proto = "udp", to = "local", port = 19001, family = "inet" } }
    local present = { { from = "127.0.0.1" }, { answers = "127.0.0.2" }, { to = "127.0.0.2" }, { from = "0:0::1" }, { answers = "::1" },
      { to = "::1" }, { from = "::1/128" }, { from = "127.0.0.0/8" }, { proto = "udp", to = "local", port = 9002 } }
    local is_told = S.access("/proc/thread-self/net/nf_conntrack", "r") -- else it may be any
    without_netlink()
    t.equal(nl.delconntracks(absent) == true, is_told == true)
    for i, filter in ipairs(present) do
      local ok, err = nl.delconntracks { filter }
      t.ok(not ok and err.OPNOTSUPP, "of number " .. i)
    end
  end)
end)

t.test("where /proc has no number of them they are forgotten all the same", function()
  apart.run(function()
    track()
    client("127.0.0.2", 9001)
    t.must(S.unshare "newns" and S.mount { target = "/", flags = "rec, private" })
    t.must(S.mount { source = "tmpfs", target = "/proc/sys/net", type = "tmpfs" })
    t.equal(#t.must(nl.conntracks { to = "127.0.0.2" }), 1)
    t.must(nl.delconntracks { to = "127.0.0.2" })
    t.equal(#t.must(nl.conntracks { to = "127.0.0.2" }), 0)
  end)
end)

-- More than are listed without asking the kernel to choose.
t.test("of many connections the kernel chooses", function()
  apart.run(function()
    track()
    local s = t.must(S.socket("inet", "dgram"))
    for i = 1, 2100 do S.sendto(s, "x", nil, { family = "inet", addr = "127.0.0.1", port = 10000 + i }) end
    local other = client("127.0.0.3", 10007)
    t.equal(#t.must(nl.conntracks { { to = "127.0.0.3" }, { proto = "udp", port = 10007, family = "inet" } }), 2)
    t.must(nl.delconntracks { { proto = "udp", port = 10007, to = "local" } })
    t.equal(#t.must(nl.conntracks { to = "127.0.0.1" }), 2099)
    other:close()
  end)
end)

-- ---- containers ----

local function test(name, body)
  net.test(name, function()
    track()
    body()
  end)
end

test("who asked a published port before there was a container gets it, as soon as there is one", function()
  local there = net.outside()
  local far = net.server(there)
  local clients = {}
  for _, address in ipairs { "127.0.0.1", "::1", "192.0.2.1" } do clients[address] = client(address, 5353) end
  for _, address in ipairs { "192.0.2.1", "2001:db8::1" } do
    clients["from outside, " .. address] = apart.inside(there, client, address, 5353)
  end
  for name, s in pairs(clients) do t.equal(answer(s), "Connection refused", name) end
  for _, s in pairs(clients) do S.recv(s, 100, "dontwait") end
  local server = serve "{ interfaces = { veth { } }, publish = { { 5353, 80, proto = 'udp' } } }"
  for name, s in pairs(clients) do t.equal(answer(s), "HELLO", name) end
  stop(server)
  -- And nobody is led to one that has ended, or to the next that has its address.
  for name, s in pairs(clients) do t.equal(answer(s), "Connection refused", "afterwards, " .. name) end
  server = serve "{ interfaces = { veth { } }, publish = { { '127.0.0.1:5353', 80, proto = 'udp' } } }"
  t.equal({ answer(clients["127.0.0.1"]), answer(clients["192.0.2.1"]) }, { "HELLO", "Connection refused" })
  stop(server)
  traffic.stop_server(far)
  t.must(nl.delete "up0")
end)

test("an address that is used again has no connections of the container before", function()
  local far = net.server(net.outside())
  local wire = '{ interfaces = { veth { address = "10.9.0.2/24", address6 = "fd09::2/64", nat = true } }, egress = { allow = { %s } }, %s }'
  local allowed = '{ "192.0.2.9", 7000, proto = "udp" }, { "2001:db8::9", 7000, proto = "udp" }'
  for _, address in ipairs { "192.0.2.9", "2001:db8::9" } do
    t.equal(ask(wire:format(allowed, ""), "udp", address, "7000", "5", "4000"), "HELLO", address)
    -- From its port, to its destination, but not allowed any more.
    t.equal(ask(wire:format("", ""), "udp", address, "7000", "5", "4000"), "unreachable", address)
  end
  -- Nor is it reached by who was led to the one before.
  local server = serve(wire:format("", 'publish = { { "192.0.2.1:5354", 80, proto = "udp" } }'))
  local s = client("192.0.2.1", 5354) -- those that are masqueraded go with the link
  t.equal({ S.recv(s, 100), answer(s) }, { "HELLO", "HELLO" })
  S.kill(server.pid, "kill") -- which takes nothing back
  server:wait()
  t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
  t.equal(#t.must(nl.conntracks { answers = "10.9.0.2" }), 1)
  server = serve(wire:format("", ""))
  t.equal(#t.must(nl.conntracks { answers = "10.9.0.2" }), 0)
  stop(server)
  traffic.stop_server(far)
  t.must(nl.delete "up0")
end)
