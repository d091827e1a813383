-- SPDX-License-Identifier: MIT
-- The firewall of a container's network in real traffic. Each test has a host of its own (the namespace it runs in), an
-- outside world (192.0.2.9, 2001:db8::9) and guests, which are hostile where it says so.

local t = dofile "tests/integration/harness.lua"
local net = dofile "tests/integration/net.lua"(t)
local S = require "syscall"
local nl = require "netns"
local firewall = require "netns.firewall_tables"

local apart, test = net.apart, net.apart.test

-- ---- a world ----

local MAC = "02:00:00:00:01:%02x"

-- The host routes between its guests and the outside.
local function world()
  t.must(nl.up "lo")
  net.no_dad()
  local outside = net.outside("169.254.169.254/32", "10.99.0.1/32", "198.51.100.1/32", "8.8.8.8/32", "192.0.0.7/32",
    "192.0.0.192/32", "2600::1/128", "fd99::1/128", "3fff::1/128", "5f00::1/128")
  net.way_out()
  net.set_sysctl("ipv4/ip_forward", "1")
  net.set_sysctl("ipv6/conf/all/forwarding", "1")
  return outside
end

-- A guest with a wire: 10.213.0.N*4+2, fd6c:N::2.
local function guest(n)
  local there, link, mac = apart.namespace(), "lg" .. n, MAC:format(n)
  t.must(nl.veth { name = link, up = true, peer = { name = "eth0", netns = there, mac = mac } })
  t.must(nl.up("eth0", there))
  local host, own = ("10.213.0.%d"):format(n * 4 + 1), ("10.213.0.%d"):format(n * 4 + 2)
  t.must(nl.address(link, host .. "/30"))
  t.must(nl.address(link, ("fd6c:%d::1/64"):format(n), "nodad"))
  t.must(nl.address("eth0", own .. "/30", { netns = there }))
  t.must(nl.address("eth0", ("fd6c:%d::2/64"):format(n), { netns = there, flags = "nodad" }))
  t.must(nl.route { to = "default", via = host, netns = there })
  t.must(nl.route { to = "default", via = ("fd6c:%d::1"):format(n), netns = there })
  return { ns = there, link = link, own = own, own6 = ("fd6c:%d::2"):format(n), host = host, host6 = ("fd6c:%d::1"):format(n),
    described = { link = link, mac = mac, addresses = { own, ("fd6c:%d::2"):format(n) }, nat = true,
      subnets = { ("10.213.0.%d/30"):format(n * 4), ("fd6c:%d::/64"):format(n) } } }
end

local function put(g, more)
  local d = { table = "luge-" .. g.link, links = { g.described }, egress = { allow = {} } }
  for key, value in pairs(more or {}) do d[key] = value end
  t.must(nl.firewall(d))
  return d
end

local function to_loopback(g)
  net.set_sysctl(("ipv4/conf/%s/route_localnet"):format(g.link), "1")
  t.must(nl.route { to = "::1/128", type = "local", dev = g.link, table = "local", metric = 4096 })
end

local keep = {} -- sockets that must not be collected

local function listen(ns, addr, port, kind)
  apart.inside(ns, function()
    local family = net.traffic.family_of(addr)
    local s = t.must(S.socket(family, (kind or "stream") .. ", nonblock"))
    S.setsockopt(s, "socket", "reuseaddr", 1)
    if family == "inet6" then t.must(S.setsockopt(s, "ipv6", "v6only", 1)) end
    t.must(S.bind(s, { family = family, addr = addr, port = port }))
    if kind ~= "dgram" then t.must(S.listen(s, 50)) end
    keep[#keep + 1] = s
  end)
  return keep[#keep]
end

local own = nil
local function here()
  own = own or t.must(S.open("/proc/self/ns/net", "rdonly, cloexec"))
  return own
end

local function wait_for(s, events)
  local ready = t.must(S.poll({ { fd = s, events = events } }, 20000))
  return #ready > 0
end

-- "yes", or how it was refused. No test waits for a packet that is dropped.
local function connect(ns, addr, port)
  return apart.inside(ns, function()
    local family = net.traffic.family_of(addr)
    local s = t.must(S.socket(family, "stream, nonblock"))
    local ok, err = S.connect(s, { family = family, addr = addr, port = port })
    if not ok and err.INPROGRESS then
      if not wait_for(s, "out") then return "nothing" end
      local number = t.must(S.getsockopt(s, "socket", "error"))
      ok, err = number == 0, S.error(number == 0 and 1 or number)
    end
    s:close()
    return ok and "yes" or err.CONNREFUSED and "refused" or (err.HOSTUNREACH or err.ACCES) and "prohibited" or tostring(err)
  end)
end

-- A datagram and its answer by a server that tells who asked.
local function ask(ns, addr, port, server)
  local s
  apart.inside(ns, function()
    s = t.must(S.socket(net.traffic.family_of(addr), "dgram, nonblock"))
    t.must(S.connect(s, { family = net.traffic.family_of(addr), addr = addr, port = port }))
    S.send(s, "?")
  end)
  local events = t.must(S.poll({ { fd = server, events = "in" }, { fd = s, events = "in" } }, 20000))
  t.ok(#events > 0, "nothing came")
  local data, from = S.recvfrom(server, 100)
  if not data then
    local _, err = S.recv(s, 100)
    return err and (err.CONNREFUSED and "refused" or (err.HOSTUNREACH or err.ACCES) and "prohibited") or tostring(err)
  end
  S.sendto(server, "!", nil, from)
  t.ok(wait_for(s, "in"), "no answer")
  t.equal(S.recv(s, 100), "!")
  return from.addr
end

local function counter(g, name, family)
  return t.must(nl.nft.counters(family or "inet", "luge-" .. g.link))[name].packets
end

-- ---- tests ----

test("nothing goes out but what is allowed, on IPv4 and IPv6", function()
  local outside, g = world(), guest(1)
  for _, port in ipairs { 80, 443 } do
    listen(outside, "0.0.0.0", port)
    listen(outside, "::", port)
    listen(here(), "0.0.0.0", port)
    listen(here(), "::", port)
  end
  put(g)
  for _, addr in ipairs { "192.0.2.9", "2001:db8::9", g.host, g.host6, "192.0.2.1", "2001:db8::1", "169.254.169.254" } do
    t.equal(connect(g.ns, addr, 80), "refused", addr)
  end
  t.equal(counter(g, "denied"), 7)
  put(g, { egress = { allow = { { cidr = "192.0.2.0/24", port = 443, proto = "tcp" }, { cidr = "2001:db8::9", port = "400-500" },
    { cidr = "10.0.0.0/8" } } } })
  for addr, ports in pairs { ["192.0.2.9"] = { 443, 80 }, ["2001:db8::9"] = { 443, 80 } } do
    t.equal({ connect(g.ns, addr, ports[1]), connect(g.ns, addr, ports[2]) }, { "yes", "refused" }, addr)
  end
  t.equal(connect(g.ns, "10.99.0.1", 80), "yes")
  t.equal(connect(g.ns, "198.51.100.1", 443), "refused")
end)

test("a network that is allowed is never the host, nor what tells secrets", function()
  local outside, g = world(), guest(1)
  listen(outside, "0.0.0.0", 80)
  listen(outside, "::", 80)
  listen(here(), "0.0.0.0", 80)
  listen(here(), "::", 80)
  put(g, { egress = { allow = { { cidr = "0.0.0.0/0" }, { cidr = "::/0" } } } })
  for _, addr in ipairs { "192.0.2.1", g.host, "2001:db8::1", g.host6, "169.254.169.254" } do
    t.equal(connect(g.ns, addr, 80), "refused", addr)
  end
  for _, addr in ipairs { "192.0.2.9", "2001:db8::9", "10.99.0.1", "fd99::1" } do t.equal(connect(g.ns, addr, 80), "yes", addr) end
  put(g, { egress = { allow = { { cidr = "192.0.2.1/32" }, { cidr = g.host6, port = 80, proto = "tcp" }, { cidr = "169.254.169.254" } } } })
  for _, addr in ipairs { "192.0.2.1", g.host6, "169.254.169.254" } do t.equal(connect(g.ns, addr, 80), "yes", addr) end
  t.equal({ connect(g.ns, g.host, 80), connect(g.ns, "2001:db8::1", 80) }, { "refused", "refused" })
end)

test("the internet is neither the host nor anything private", function()
  local outside, g = world(), guest(1)
  listen(outside, "0.0.0.0", 80)
  listen(outside, "::", 80)
  listen(here(), "0.0.0.0", 80)
  put(g, { egress = { internet = true, allow = { { cidr = "10.99.0.1", port = 80, proto = "tcp" } } } })
  for _, addr in ipairs { "8.8.8.8", "2600::1", "10.99.0.1" } do t.equal(connect(g.ns, addr, 80), "yes", addr) end
  for _, addr in ipairs { "192.0.2.1", "192.0.2.9", "169.254.169.254", "fd99::1", "2001:db8::9", "3fff::1",
    "5f00::1", "192.0.0.192", g.host, g.host6, "10.99.0.2" } do
    t.equal(connect(g.ns, addr, 80), "refused", addr)
  end
end)

test("where clouds tell secrets is reached only where it is named", function()
  local outside, g = world(), guest(1)
  listen(outside, "0.0.0.0", 80)
  put(g, { egress = { allow = { { cidr = "192.0.0.0/24" }, { cidr = "169.254.0.0/16" } } } })
  t.equal(connect(g.ns, "192.0.0.7", 80), "yes")
  for _, addr in ipairs { "192.0.0.192", "169.254.169.254" } do t.equal(connect(g.ns, addr, 80), "refused", addr) end
  put(g, { egress = { allow = { { cidr = "192.0.0.192" } } } })
  t.equal(connect(g.ns, "192.0.0.192", 80), "yes")
end)

test("datagrams and pings are asked about too", function()
  local outside, g = world(), guest(1)
  local server, server6 = listen(outside, "0.0.0.0", 53, "dgram"), listen(outside, "::", 53, "dgram")
  put(g, { egress = { allow = { { cidr = "192.0.2.9", port = 53, proto = "udp" }, { cidr = "2001:db8::9", port = 53, proto = "udp" } } } })
  t.equal(ask(g.ns, "192.0.2.9", 53, server), "192.0.2.1", "under the host's address")
  t.equal(ask(g.ns, "2001:db8::9", 53, server6), "2001:db8::1")
  t.equal(ask(g.ns, "198.51.100.1", 53, server), "prohibited")
  t.equal(ask(g.ns, "2600::1", 53, server6), "prohibited")
  t.equal(connect(g.ns, "192.0.2.9", 53), "refused", "another protocol")
end)

test("what was denied is told once, by address, protocol and port", function()
  local outside, g = world(), guest(1)
  local server = listen(outside, "0.0.0.0", 53, "dgram")
  put(g, { egress = { log = true, allow = {} } })
  for _ = 1, 3 do connect(g.ns, "192.0.2.9", 443) end
  connect(g.ns, "2001:db8::9", 80)
  ask(g.ns, "192.0.2.9", 53, server)
  local raw = apart.inside(g.ns, function()
    local s = S.socket("inet", "raw", S.c.IPPROTO.ICMP)
    if s then S.sendto(s, "\8\0\xf7\xff\0\0\0\0", nil, { family = "inet", addr = "192.0.2.9" }) end
    return s
  end)
  local found = {}
  for _, set in ipairs(firewall.DENIED) do
    for _, element in ipairs(t.must(nl.nft.elements("inet", "luge-lg1", set))) do found[#found + 1] = element.key end
  end
  table.sort(found)
  local expected = { "192.0.2.9 . tcp . 443", "192.0.2.9 . udp . 53", "2001:db8::9 . tcp . 80" }
  if raw then table.insert(expected, 1, "192.0.2.9 . icmp") end
  t.equal(found, expected)
end)

test("a published port is reached from everywhere, by loopback too", function()
  local outside, g, other = world(), guest(1), guest(2)
  listen(g.ns, "0.0.0.0", 80)
  listen(g.ns, "::", 80)
  local server, server6 = listen(g.ns, "0.0.0.0", 53, "dgram"), listen(g.ns, "::", 53, "dgram")
  to_loopback(g)
  put(g, { publish = { { proto = "tcp", port = 8080, to = g.own, to_port = 80, link = 1 },
    { proto = "tcp", port = 8080, to = g.own6, to_port = 80, link = 1 },
    { proto = "tcp", address = "127.0.0.1", port = 8081, to = g.own, to_port = 80, link = 1 },
    { proto = "tcp", address = "::1", port = 8081, to = g.own6, to_port = 80, link = 1 },
    { proto = "udp", port = 5353, to = g.own, to_port = 53, link = 1 },
    { proto = "udp", port = 5353, to = g.own6, to_port = 53, link = 1 } } })
  put(other, { egress = { allow = { { cidr = "192.0.2.1", port = 8080 }, { cidr = "2001:db8::1", port = 8080 }, { cidr = "0.0.0.0/0" },
    { cidr = "::/0" } } } })
  for _, addr in ipairs { "127.0.0.1", "127.0.0.9", "192.0.2.1", "::1", "2001:db8::1" } do
    t.equal(connect(here(), addr, 8080), "yes", "from the host, " .. addr)
  end
  for _, addr in ipairs { "127.0.0.1", "::1" } do t.equal(connect(here(), addr, 8081), "yes", addr) end
  t.equal({ connect(here(), "192.0.2.1", 8081), connect(here(), "2001:db8::1", 8081) }, { "refused", "refused" })
  for _, addr in ipairs { "192.0.2.1", "2001:db8::1" } do
    t.equal(connect(outside, addr, 8080), "yes", "from outside, " .. addr)
    t.equal(connect(outside, addr, 8081), "refused", "only on the loopback, " .. addr)
    t.equal(connect(other.ns, addr, 8080), "yes", "from another container, " .. addr)
    t.equal(connect(other.ns, addr, 8081), "refused")
  end
  put(other, { egress = { allow = { { cidr = "0.0.0.0/0" }, { cidr = "::/0" } } } })
  for _, addr in ipairs { "192.0.2.1", "2001:db8::1" } do
    t.equal(connect(other.ns, addr, 8080), "refused", "the host was not named, " .. addr)
  end
  t.equal(ask(outside, "192.0.2.1", 5353, server), "192.0.2.9", "who asks is told")
  t.equal(ask(outside, "2001:db8::1", 5353, server6), "2001:db8::9")
  t.equal(ask(here(), "127.0.0.1", 5353, server), g.host, "the loopback becomes the host")
  t.equal(ask(here(), "::1", 5353, server6), g.host6)
  -- Its own published port, by the host's address, if it may.
  t.equal(connect(g.ns, "192.0.2.1", 8080), "refused")
  put(g, { publish = { { proto = "tcp", port = 8080, to = g.own, to_port = 80, link = 1 } },
    egress = { allow = { { cidr = "192.0.2.1", port = 8080 } } } })
  t.equal(connect(g.ns, "192.0.2.1", 8080), "yes", "from itself")
end)

test("no container reaches another, nor anybody outside one", function()
  local outside, a, b = world(), guest(1), guest(2)
  listen(a.ns, "0.0.0.0", 80)
  listen(a.ns, "::", 80)
  put(a)
  put(b, { egress = { allow = { { cidr = "0.0.0.0/0" }, { cidr = "::/0" }, { cidr = a.own }, { cidr = a.own6 } } } })
  t.must(nl.route { to = "10.213.0.0/16", via = "192.0.2.1", netns = outside })
  t.must(nl.route { to = "fd6c::/16", via = "2001:db8::1", netns = outside })
  for _, ns in ipairs { b.ns, outside } do
    t.equal({ connect(ns, a.own, 80), connect(ns, a.own6, 80) }, { "refused", "refused" })
  end
  t.equal(counter(a, "blocked"), 4)
  t.equal({ connect(here(), a.own, 80), connect(here(), a.own6, 80) }, { "yes", "yes" }, "the host reaches its own")
end)

test("the tables go as they came, and a foreign flush is repaired", function()
  local outside, g = world(), guest(1)
  listen(outside, "0.0.0.0", 80)
  local d = put(g)
  t.equal(#nl.nft.tables(), 2)
  t.succeed { "/usr/sbin/nft", "flush", "ruleset" }
  t.must(nl.firewall(d))
  t.equal(connect(g.ns, "192.0.2.9", 80), "refused")
  for _ = 1, 2 do
    t.must(nl.delfirewall { table = d.table })
    t.equal(nl.nft.tables(), {})
  end
end)

-- A process in a namespace, or in a new one.
local function sleeper(prepare)
  local r, w = S.pipe "cloexec"
  local pid = t.must(S.fork())
  if pid == 0 then
    S.prctl("set_pdeathsig", "kill")
    if prepare then prepare() end
    w:write "."
    S.nanosleep(100000)
    S.exit(0)
  end
  t.equal(r:read(1), ".")
  return pid
end

local function finish(pid)
  S.kill(pid, "kill")
  S.waitid("pid", pid, "exited")
end

test("where somebody is behind them links go before the tables do", function()
  world()
  for i, stays in ipairs { true, false } do
    local g = guest(i)
    local d, pid = put(g), apart.inside(g.ns, sleeper)
    local place = t.must(nl.remember(pid))
    if not stays then finish(pid) end
    t.must(nl.delfirewall { table = d.table, links = { g.link }, inside = place })
    t.equal({ nl.link(g.link) == nil, nl.nft.tables() }, { stays, {} })
    if stays then finish(pid) end
  end
end)

test("nobody is in a namespace that has ended, whoever runs on the machine", function()
  local inhabited = require "netns.inhabited"
  local pid = sleeper(function() t.must(S.unshare "newnet") end)
  local place = t.must(nl.remember(pid))
  t.equal(inhabited.is_inhabited(place), pid)
  finish(pid)
  t.equal(inhabited.is_inhabited(place), false)
  if not place.handle then return end -- before Linux 6.18
  local look, looks = inhabited.process_in, 0
  function inhabited.process_in() looks = looks + 1 return false end
  for _ = 1, 5000 do -- it ends in its own time
    looks = 0
    t.equal(inhabited.is_inhabited(place), false)
    if looks == 0 then break end
    S.nanosleep(0.002)
  end
  inhabited.process_in = look
  t.equal(looks, 0)
end)

test("nft takes the tables as they are printed", function()
  world()
  local g = guest(1)
  t.must(nl.create { kind = "ifb", name = "ifb-x" })
  g.described.ifb, g.described.behind = "ifb-x", { "10.6.0.0/16" }
  local d = put(g, { publish = { { proto = "tcp", port = 8080, to = g.own, to_port = 80, link = 1, why = "network.publish[1]" } },
    egress = { log = true, internet = true, allow = { { cidr = "10.0.0.0/8", port = 443, proto = "tcp", why = "network.egress.allow[1]" } } } })
  local function list() return t.succeed({ "/usr/sbin/nft", "list", "table", "inet", d.table }).stdout end
  local ours = list()
  t.must(nl.delfirewall { table = d.table })
  -- The other table asks for who is told of by neighbours, which nft 1.0.6 has no word for.
  t.succeed { "/usr/sbin/nft", "-f", "-", stdin = tostring(nl.nft.describe(firewall.tables(d)[2])) }
  t.equal(list(), ours)
  t.contains(ours, 'comment "network.egress.allow[1]"')
end)
