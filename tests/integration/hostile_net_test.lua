-- SPDX-License-Identifier: MIT
-- Guests that send what no honest program sends, against the firewall of their network: under addresses of others, in
-- pieces, behind extension headers. What must not pass is sent first, then something that may, on the same way: when
-- that has come, the rest would have come before it.

local t = dofile "tests/integration/harness.lua"
local net = dofile "tests/integration/net.lua"(t)
local S = require "syscall"
local check = require "netns.check"
local link_local = require("netns.firewall_parts").link_local
local nl = require "netns"

local apart, test, checksum, no_dad, outside = net.apart, net.apart.test, net.traffic.checksum, net.no_dad, net.outside

-- ---- frames ----

local function ip_bytes(text) return check.parse_ip(text).bytes end
local function mac_bytes(text) return check.mac(text) end

local ETHER = { ip = 0x0800, ip6 = 0x86dd, arp = 0x0806 }

local function frame(to, from, type, payload)
  return mac_bytes(to) .. mac_bytes(from) .. (">I2"):pack(ETHER[type]) .. payload
end

-- IPv4. more: { protocol, options, fragment = the field of flags and offset }
local function ip4(from, to, payload, more)
  more = more or {}
  local options = more.options or ""
  local head = (">BBI2I2I2BBI2"):pack(0x45 + #options // 4, 0, 20 + #options + #payload, more.id or 7, more.fragment or 0, 64,
    more.protocol or 17, 0) .. ip_bytes(from) .. ip_bytes(to) .. options
  return head:sub(1, 10) .. (">I2"):pack(checksum(head)) .. head:sub(13) .. payload
end

-- IPv6; next: the first header after it.
local function ip6(from, to, next, payload, hops)
  return (">I4I2BB"):pack(0x60000000, #payload, next, hops or 64) .. ip_bytes(from) .. ip_bytes(to) .. payload
end

local function udp4(port, text) return (">I2I2I2I2"):pack(4000, port, 8 + #text, 0) .. text end

local function sum6(from, to, protocol, body)
  return checksum(ip_bytes(from) .. ip_bytes(to) .. (">I4I4"):pack(#body, protocol) .. body)
end

local function udp6(from, to, port, text)
  local body = (">I2I2I2I2"):pack(4000, port, 8 + #text, 0) .. text
  return body:sub(1, 6) .. (">I2"):pack(sum6(from, to, 17, body)) .. body:sub(9)
end

local function icmp6(from, to, kind, rest, code)
  local body = (">BBI2"):pack(kind, code or 0, 0) .. rest
  return body:sub(1, 2) .. (">I2"):pack(sum6(from, to, 58, body)) .. body:sub(5)
end

local function arp(op, from_mac, from, to_mac, to)
  return (">I2I2BBI2"):pack(1, 0x0800, 6, 4, op) .. mac_bytes(from_mac) .. ip_bytes(from) .. mac_bytes(to_mac) .. ip_bytes(to)
end

-- ---- a world: guests on a bridge or with a wire each ----

local BROADCAST = "ff:ff:ff:ff:ff:ff"

local function guest(n, bridge)
  local there, link, mac = apart.namespace(), "lg" .. n, ("02:00:00:00:01:%02x"):format(n)
  apart.inside(there, no_dad)
  t.must(nl.veth { name = link, up = true, master = bridge, peer = { name = "eth0", netns = there, mac = mac } })
  t.must(nl.up("eth0", there))
  local own, own6 = ("10.5.0.%d"):format(n), ("fd05::%d"):format(n)
  t.must(nl.address("eth0", own .. "/24", { netns = there }))
  t.must(nl.address("eth0", own6 .. "/64", { netns = there, flags = "nodad" }))
  t.must(nl.route { to = "default", via = "10.5.0.1", netns = there })
  t.must(nl.route { to = "default", via = "fd05::1", netns = there })
  return { ns = there, link = link, mac = mac, own = own, own6 = own6, described = { link = link, bridge = bridge, mac = mac,
    addresses = { own, own6 }, subnets = { "10.5.0.0/24", "fd05::/64" }, nat = true } }
end

-- The host has the first address, on the bridge or on the only wire.
local function host_on(link)
  t.must(nl.address(link, "10.5.0.1/24"))
  t.must(nl.address(link, "fd05::1/64", "nodad"))
  net.set_sysctl("ipv4/ip_forward", "1")
  net.set_sysctl("ipv6/conf/all/forwarding", "1")
end

local function bridge()
  t.must(nl.up "lo")
  no_dad()
  t.must(nl.bridge { name = "lab", up = true, mac = "02:00:00:00:00:fe" })
  host_on "lab"
end

local function wire(n)
  t.must(nl.up "lo")
  no_dad()
  local g = guest(n)
  host_on(g.link)
  return g
end

local function put(g, more)
  local d = { table = "luge-" .. g.link, links = { g.described }, egress = { allow = {} } }
  for key, value in pairs(more or {}) do d[key] = value end
  t.must(nl.firewall(d))
end

local function spoofed(g) return t.must(nl.nft.counters("netdev", "luge-" .. g.link)).spoofed.packets end
local function denied(g) return t.must(nl.nft.counters("inet", "luge-" .. g.link)).denied.packets end

-- A raw socket at the guest's link, and a function that sends frames by it.
local function sender(g)
  local socket = apart.inside(g.ns, function()
    local index = t.must(nl.link "eth0").index
    local s = t.must(S.socket("packet", "raw", 0))
    t.must(S.bind(s, { family = "packet", data = ("=I2i4I2BB"):pack(0x0300, index, 0, 0, 0) .. ("\0"):rep(8) }))
    return s
  end)
  return function(...)
    for _, data in ipairs { ... } do t.equal(t.must(S.write(socket, data)), #data) end
  end
end

local function receiver(ns, family, port, address)
  return apart.inside(ns, function()
    local s = t.must(S.socket(family, "dgram, nonblock"))
    if family == "inet6" then t.must(S.setsockopt(s, "ipv6", "v6only", 1)) end
    t.must(S.bind(s, { family = family, addr = address or (family == "inet6" and "::" or "0.0.0.0"), port = port }))
    return s
  end)
end

-- Everything that came, in order, up to the text that ends it.
local function received(socket, last)
  local list = {}
  repeat
    local ready = t.must(S.poll({ { fd = socket, events = "in" } }, 20000))
    t.ok(#ready > 0, "the last one never came: " .. table.concat(list, ","))
    list[#list + 1] = t.must(S.recv(socket, 2000))
  until list[#list] == last
  return list
end

local function here() return t.must(S.open("/proc/self/ns/net", "rdonly, cloexec")) end

-- ---- addresses of others ----

-- Sends under every address but its own to a receiver of its neighbour; only "honest" may come.
local function lies(liar, to, mac)
  local send = sender(liar)
  local r4, r6 = receiver(to.ns, "inet", 7), receiver(to.ns, "inet6", 7)
  send(frame(to.mac or mac, liar.mac, "ip", ip4("10.5.0.77", to.own, udp4(7, "address"))),
    frame(to.mac or mac, "02:00:00:00:01:77", "ip", ip4(liar.own, to.own, udp4(7, "mac"))),
    frame(to.mac or mac, liar.mac, "ip", ip4("0.0.0.0", to.own, udp4(7, "nobody"))),
    frame(to.mac or mac, liar.mac, "ip", ip4(liar.own, to.own, udp4(7, "options"), { options = "\x83\7\4" .. ip_bytes "192.0.2.9" .. "\0" })),
    frame(to.mac or mac, liar.mac, "ip", ip4(liar.own, to.own, udp4(7, "honest"))))
  t.equal(received(r4, "honest"), { "honest" })
  local function six(from, text) return ip6(from, to.own6, 17, udp6(from, to.own6, 7, text)) end
  send(frame(to.mac or mac, liar.mac, "ip6", six("fd05::77", "address")),
    frame(to.mac or mac, liar.mac, "ip6", six("fe80::77", "link-local")),
    frame(to.mac or mac, "02:00:00:00:01:77", "ip6", six(liar.own6, "mac")),
    frame(to.mac or mac, liar.mac, "ip6", six("::1", "loopback")),
    frame(to.mac or mac, liar.mac, "ip6", six(liar.own6, "honest")))
  t.equal(received(r6, "honest"), { "honest" })
  t.equal(spoofed(liar), 8)
end

test("on a bridge nobody sends under another's address", function()
  bridge()
  local liar, victim = guest(2, "lab"), guest(3, "lab")
  put(liar)
  put(victim)
  lies(liar, victim)
end)

test("on a wire to the host nobody does either", function()
  local liar = wire(2)
  put(liar, { egress = { allow = { { cidr = "10.5.0.1" }, { cidr = "fd05::1" } } } })
  lies(liar, { ns = here(), own = "10.5.0.1", own6 = "fd05::1" }, t.must(nl.link(liar.link)).mac)
end)

local function neighbour(ns, address)
  for _, entry in ipairs(t.must(nl.neighbours { netns = ns })) do
    if entry.address == address or entry.to == address or entry.ip == address then return entry.mac end
  end
end

test("ARP and neighbour discovery tell nothing of others", function()
  bridge()
  local liar, victim, third = guest(2, "lab"), guest(3, "lab"), guest(4, "lab")
  for _, g in ipairs { liar, victim, third } do put(g) end
  -- The victim knows the truth.
  local r4, r6 = receiver(third.ns, "inet", 8), receiver(third.ns, "inet6", 8)
  local from_victim = receiver(victim.ns, "inet", 9)
  local from_victim6 = receiver(victim.ns, "inet6", 9)
  S.sendto(from_victim, "x", nil, { family = "inet", addr = third.own, port = 8 })
  S.sendto(from_victim6, "x", nil, { family = "inet6", addr = third.own6, port = 8 })
  received(r4, "x")
  received(r6, "x")
  local send = sender(liar)
  local function advert(from, target, to)
    local rest = ("\x60\0\0\0"):gsub("\x60", "\xa0") .. ip_bytes(target) .. "\2\1" .. mac_bytes(liar.mac)
    return frame(victim.mac, liar.mac, "ip6", ip6(from, to, 58, icmp6(from, to, 136, rest), 255))
  end
  send(frame(victim.mac, liar.mac, "arp", arp(2, liar.mac, third.own, victim.mac, victim.own)),
    frame(BROADCAST, liar.mac, "arp", arp(1, liar.mac, third.own, "00:00:00:00:00:00", third.own)),
    frame(victim.mac, liar.mac, "arp", arp(2, third.mac, third.own, victim.mac, victim.own)),
    advert(liar.own6, third.own6, victim.own6), advert(third.own6, third.own6, victim.own6),
    -- It says that it is a router.
    frame(victim.mac, liar.mac, "ip6", ip6(link_local(liar.mac), "ff02::1", 58, icmp6(link_local(liar.mac), "ff02::1",
      134, "\64\0\7\8\0\0\0\0\0\0\0\0"), 255)),
    frame(victim.mac, liar.mac, "ip", ip4(liar.own, victim.own, udp4(9, "end"))))
  received(from_victim, "end")
  t.equal(spoofed(liar), 6)
  t.equal({ neighbour(victim.ns, third.own), neighbour(victim.ns, third.own6) }, { third.mac, third.mac })
end)

test("the host's loopback is not reached where a port is published on it", function()
  local g = wire(2)
  put(g, { publish = { { proto = "udp", port = 70, to = g.own, to_port = 7, link = 1 } }, egress = { allow = { { cidr = "127.0.0.1" },
    { cidr = "::1" }, { cidr = "10.5.0.1" }, { cidr = "fd05::1" } } } })
  net.set_sysctl("ipv4/conf/lg2/route_localnet", "1")
  t.must(nl.route { to = "::1/128", type = "local", dev = "lg2", table = "local", metric = 4096 })
  local r4, r6 = receiver(here(), "inet", 7), receiver(here(), "inet6", 7)
  local mac, send = t.must(nl.link "lg2").mac, sender(g)
  send(frame(mac, g.mac, "ip", ip4(g.own, "127.0.0.1", udp4(7, "loopback"))),
    frame(mac, g.mac, "ip", ip4("127.0.0.1", "127.0.0.1", udp4(7, "both"))),
    frame(mac, g.mac, "ip", ip4(g.own, "10.5.0.1", udp4(7, "honest"))),
    frame(mac, g.mac, "ip6", ip6(g.own6, "::1", 17, udp6(g.own6, "::1", 7, "loopback"))),
    frame(mac, g.mac, "ip6", ip6("::1", "::1", 17, udp6("::1", "::1", 7, "both"))),
    frame(mac, g.mac, "ip6", ip6(g.own6, "fd05::1", 17, udp6(g.own6, "fd05::1", 7, "honest"))))
  t.equal({ received(r4, "honest"), received(r6, "honest") }, { { "honest" }, { "honest" } })
end)

test("what stands for ::1 where a port of a bridge is published on it leads nobody else to the loopback", function()
  bridge()
  local g, there, address = guest(2, "lab"), outside(), require("netns.firewall_bridge").STAND_IN
  put(g, { publish = { { proto = "udp", port = 70, to = g.own6, to_port = 7, link = 1, on_bridge = true } }, egress = { open = true } })
  t.must(nl.route { to = address .. "/128", type = "local", dev = "lg2", table = "local", metric = 4096 })
  local at_host = receiver(here(), "inet6", 7)
  for _, stranger in ipairs { { ns = there, mac = t.must(nl.link("eth0", there)).mac, own6 = "2001:db8::9", host = "2001:db8::1", link = "up0" },
    { ns = g.ns, mac = g.mac, own6 = g.own6, host = "fd05::1", link = "lab" } } do
    local mac, send = t.must(nl.link(stranger.link)).mac, sender(stranger)
    local function six(to, text)
      return frame(mac, stranger.mac, "ip6", ip6(stranger.own6, to, 17, udp6(stranger.own6, to, 7, text)))
    end
    send(six(address, "stand-in"), six(stranger.host, "honest"))
    t.equal(received(at_host, "honest"), { "honest" }, stranger.link)
  end
end)

-- A frame may say that it is for the loopback, from any wire; what leads a port on elsewhere comes before the kernel would mind.
test("a port that is published on the loopback is not reached from outside", function()
  local g, there = wire(2), outside()
  put(g, { publish = { { proto = "udp", address = "127.0.0.1", port = 70, to = g.own, to_port = 7, link = 1 },
    { proto = "udp", port = 80, to = g.own, to_port = 7, link = 1 } } })
  net.set_sysctl("ipv4/conf/lg2/route_localnet", "1")
  local inside = receiver(g.ns, "inet", 7)
  local stranger = { ns = there, mac = t.must(nl.link("eth0", there)).mac }
  local mac, send = t.must(nl.link "up0").mac, sender(stranger)
  send(frame(mac, stranger.mac, "ip", ip4("192.0.2.9", "127.0.0.1", udp4(70, "loopback"))),
    frame(mac, stranger.mac, "ip", ip4("192.0.2.9", "127.0.0.1", udp4(80, "every address"))),
    frame(mac, stranger.mac, "ip", ip4("192.0.2.9", "192.0.2.1", udp4(80, "honest"))))
  t.equal(received(inside, "honest"), { "honest" })
  -- The host itself does.
  local own = t.must(S.socket("inet", "dgram"))
  t.must(S.sendto(own, "host", nil, { family = "inet", addr = "127.0.0.1", port = 70 }))
  received(inside, "host")
end)

test("a network that it routes for has no more rights than itself", function()
  bridge()
  local g, there = guest(2, "lab"), outside()
  g.described.behind = { "10.6.0.0/16", "fd06::/64" }
  put(g, { egress = { allow = { { cidr = "10.5.0.1", port = 7 }, { cidr = "fd05::1", port = 7 } } } })
  t.must(nl.route { to = "10.6.0.0/16", via = g.own })
  t.must(nl.route { to = "fd06::/64", via = g.own6 })
  local r4, r6 = receiver(here(), "inet", 9), receiver(here(), "inet6", 9)
  local out, last4, last6 = receiver(there, "inet", 9), receiver(here(), "inet", 7), receiver(here(), "inet6", 7)
  local mac, send = "02:00:00:00:00:fe", sender(g)
  send(frame(mac, g.mac, "ip", ip4("10.6.0.5", "10.5.0.1", udp4(9, "host"))),
    frame(mac, g.mac, "ip", ip4("10.6.0.5", "192.0.2.9", udp4(9, "outside"))),
    frame(mac, g.mac, "ip6", ip6("fd06::5", "fd05::1", 17, udp6("fd06::5", "fd05::1", 9, "host"))),
    frame(mac, g.mac, "ip", ip4("10.6.0.5", "10.5.0.1", udp4(7, "end"))),
    frame(mac, g.mac, "ip6", ip6("fd06::5", "fd05::1", 17, udp6("fd06::5", "fd05::1", 7, "end"))))
  t.equal({ received(last4, "end"), received(last6, "end") }, { { "end" }, { "end" } })
  t.equal({ S.recv(r4, 100) or "nothing", S.recv(r6, 100) or "nothing", S.recv(out, 100) or "nothing" }, { "nothing", "nothing", "nothing" })
  t.equal(denied(g), 3)
end)

-- ---- what is said about connections ----

-- An error of ICMP about a datagram that was sent: nobody is at that port.
local function nobody_at(from, to, sent_from, sent_to, port, to_port)
  local ports = (">I2I2I2I2"):pack(port, to_port, 8, 0)
  if from:find(":", 1, true) then
    return ip6(from, to, 58, icmp6(from, to, 1, "\0\0\0\0" .. ip6(sent_from, sent_to, 17, ports), 4))
  end
  local body = (">BBI2I4"):pack(3, 3, 0, 0) .. ip4(sent_from, sent_to, ports)
  return ip4(from, to, body:sub(1, 2) .. (">I2"):pack(checksum(body)) .. body:sub(5), { protocol = 1 })
end

-- A socket that has sent something from a port to another's.
local function asking(ns, port, address, to_port)
  local family = address:find(":", 1, true) and "inet6" or "inet"
  local s = receiver(ns, family, port)
  t.must(S.connect(s, { family = family, addr = address, port = to_port }))
  t.must(S.send(s, "question"))
  return s
end

-- What its socket hears, within a while that nothing good comes near.
local function hears(socket)
  S.poll({ { fd = socket, events = "in" } }, 20000)
  local _, err = S.recv(socket, 100)
  socket:close()
  return err and err.CONNREFUSED and "refused" or tostring(err)
end

local function heard_nothing(socket, what)
  local data, err = S.recv(socket, 100)
  t.ok(not data and err.AGAIN, ("socket %d: %s"):format(what, tostring(err)))
end

for _, open in ipairs { false, true } do
  test("nobody says what has become of others' connections, egress = " .. (open and "false" or "{ }"), function()
    local liar, victim, there = wire(2), guest(3), outside()
    host_on(victim.link)
    t.must(nl.route { to = victim.own .. "/32", dev = victim.link })
    t.must(nl.route { to = victim.own6 .. "/128", dev = victim.link })
    put(victim, { egress = { open = true } })
    put(liar, { egress = { open = open or nil, allow = { { cidr = "10.5.0.1", port = 7 }, { cidr = "fd05::1", port = 7 },
      { cidr = "192.0.2.9", port = 53 }, { cidr = "2001:db8::9", port = 53 } } } })
    local r4, r6 = receiver(there, "inet", 53), receiver(there, "inet6", 53)
    local last4, last6 = receiver(here(), "inet", 7), receiver(here(), "inet6", 7)
    local asked = { asking(here(), 6666, "192.0.2.9", 53), asking(here(), 6666, "2001:db8::9", 53),
      asking(victim.ns, 7777, "192.0.2.9", 53), asking(victim.ns, 7777, "2001:db8::9", 53) }
    for _, r in ipairs { r4, r6, r4, r6 } do received(r, "question") end
    local mac, send = t.must(nl.link "lg2").mac, sender(liar)
    for _, port in ipairs { 6666, 7777 } do -- the victim's is the host's own outside
      send(frame(mac, liar.mac, "ip", nobody_at(liar.own, "192.0.2.1", "192.0.2.1", "192.0.2.9", port, 53)),
        frame(mac, liar.mac, "ip6", nobody_at(liar.own6, "2001:db8::1", "2001:db8::1", "2001:db8::9", port, 53)))
    end
    send(frame(mac, liar.mac, "ip", ip4(liar.own, "10.5.0.1", udp4(7, "end"))),
      frame(mac, liar.mac, "ip6", ip6(liar.own6, "fd05::1", 17, udp6(liar.own6, "fd05::1", 7, "end"))))
    received(last4, "end")
    received(last6, "end")
    for i, socket in ipairs(asked) do heard_nothing(socket, i) end
    t.equal(denied(liar), 4)
  end)
end

test("what is said about its own connections comes and goes", function()
  local g, there, far = wire(2), outside(), apart.namespace()
  apart.inside(far, no_dad)
  -- A router with a narrow way behind it.
  t.must(nl.veth { name = "far0", mtu = 1300, netns = there, up = true, peer = { name = "eth0", netns = far, mtu = 1300 } })
  t.must(nl.up("eth0", far))
  t.must(nl.address("eth0", "198.51.100.2/24", { netns = far }))
  t.must(nl.address("eth0", "2001:db8:5::2/64", { netns = far, flags = "nodad" }))
  t.must(nl.address("far0", "198.51.100.1/24", { netns = there }))
  t.must(nl.address("far0", "2001:db8:5::1/64", { netns = there, flags = "nodad" }))
  apart.inside(there, function()
    net.set_sysctl("ipv4/ip_forward", "1")
    net.set_sysctl("ipv6/conf/all/forwarding", "1")
  end)
  t.must(nl.route { to = "198.51.100.0/24", via = "192.0.2.9" })
  t.must(nl.route { to = "2001:db8:5::/64", via = "2001:db8::9" })
  put(g, { publish = { { proto = "udp", port = 80, to = g.own, to_port = 81, link = 1 }, { proto = "udp", port = 80, to = g.own6,
    to_port = 81, link = 1 } }, egress = { allow = { { cidr = "192.0.2.9" }, { cidr = "2001:db8::9" }, { cidr = "198.51.100.2" },
    { cidr = "2001:db8:5::2" }, { cidr = "10.5.0.1" }, { cidr = "fd05::1" } } } })
  -- To it, of what it asked: by the one who was asked, the host, and a router on the way.
  for _, address in ipairs { "192.0.2.9", "2001:db8::9", "10.5.0.1", "fd05::1" } do
    t.equal(hears(asking(g.ns, 5000, address, 9)), "refused", address)
  end
  for _, row in ipairs { { "inet", "ip", "198.51.100.2" }, { "inet6", "ipv6", "2001:db8:5::2" } } do
    local s = receiver(g.ns, row[1], 5001)
    t.must(S.connect(s, { family = row[1], addr = row[3], port = 9 }))
    t.must(S.send(s, ("x"):rep(1400)))
    for _ = 1, 1000 do
      if S.getsockopt(s, row[2], "mtu") == 1300 then break end
      S.nanosleep(0.002)
    end
    t.equal(S.getsockopt(s, row[2], "mtu"), 1300, row[3])
  end
  -- By it, of what it was asked, from outside and by the host.
  for _, row in ipairs { { there, "192.0.2.1", 80 }, { there, "2001:db8::1", 80 }, { here(), g.own, 82 }, { here(), g.own6, 82 } } do
    t.equal(hears(asking(row[1], 5002, row[2], row[3])), "refused", row[2])
  end
  t.equal(denied(g), 0)
end)

-- ---- round egress ----

-- A datagram in two pieces of IPv4; the first has so many bytes.
local function pieces(from, to, id, body, first)
  return ip4(from, to, body:sub(1, first), { id = id, fragment = 0x2000 }),
    ip4(from, to, body:sub(first + 1), { id = id, fragment = first // 8 })
end

test("fragments do not get round egress", function()
  local g = wire(2)
  local there = outside()
  put(g, { egress = { allow = { { cidr = "192.0.2.0/24", port = 7, proto = "udp" }, { cidr = "2001:db8::/64", port = 7, proto = "udp" } } } })
  local mac, send = t.must(nl.link "lg2").mac, sender(g)
  local allowed, forbidden = receiver(there, "inet", 7), receiver(there, "inet", 9)
  local body = udp4(9, "forbidden-in-pieces!!")
  local a, b = pieces(g.own, "192.0.2.9", 50, body, 16)
  local tiny, rest = pieces(g.own, "192.0.2.9", 51, body, 8)
  -- The second piece first; pieces that lie over each other and would change the port.
  local honest, over = ip4(g.own, "192.0.2.9", udp4(7, "xxxxxxxx"), { id = 52, fragment = 0x2000 }), ip4(g.own, "192.0.2.9",
    udp4(9, "overlapping!"), { id = 52, fragment = 0 })
  for _, packet in ipairs { a, b, tiny, rest, b, a, honest, over } do send(frame(mac, g.mac, "ip", packet)) end
  -- What is allowed passes in pieces as well.
  local first, second = pieces(g.own, "192.0.2.9", 60, udp4(7, "allowed-in-pieces!!!!"), 16)
  for _, packet in ipairs { first, second, ip4(g.own, "192.0.2.9", udp4(7, "end")) } do send(frame(mac, g.mac, "ip", packet)) end
  t.equal(received(allowed, "end"), { "allowed-in-pieces!!!!", "end" })
  t.equal(S.recv(forbidden, 100), nil, "nothing came to the other port")
  t.ok(denied(g) >= 3, "counted")
end)

-- Extension headers: hop-by-hop, destination options, routing (type 0, segments left), fragment.
local function ext(next, data) return ("BB"):pack(next, (#data + 2) // 8 - 1) .. data end
local PADDING = "\1\4\0\0\0\0"

test("extension headers do not get round egress", function()
  local g = wire(2)
  local there = outside()
  put(g, { egress = { allow = { { cidr = "2001:db8::9", port = 7, proto = "udp" } } } })
  local mac, send = t.must(nl.link "lg2").mac, sender(g)
  local allowed, forbidden = receiver(there, "inet6", 7), receiver(there, "inet6", 9)
  local to = "2001:db8::9"
  local function six(first, payload) return frame(mac, g.mac, "ip6", ip6(g.own6, to, first, payload)) end
  local bad = udp6(g.own6, to, 9, "forbidden")
  local fragment = (">BBI2I4"):pack(17, 0, 0, 99)
  send(six(0, ext(17, PADDING) .. bad), six(60, ext(17, PADDING) .. bad), six(0, ext(60, PADDING) .. ext(17, PADDING) .. bad),
    six(44, fragment .. bad), six(0, ext(44, PADDING) .. fragment .. bad),
    six(43, ext(17, "\0\1\0\0\0\0" .. ip_bytes(to)) .. udp6(g.own6, to, 9, "routed")),
    six(253, bad), six(59, bad), six(60, ext(253, PADDING) .. bad))
  -- In two pieces, the port in the second.
  local whole = ext(17, PADDING) .. bad
  send(six(44, (">BBI2I4"):pack(60, 0, 1, 100) .. whole:sub(1, 8)), six(44, (">BBI2I4"):pack(60, 0, 8, 100) .. whole:sub(9)))
  local good = udp6(g.own6, to, 7, "allowed")
  send(six(0, ext(17, PADDING) .. good), six(60, ext(17, PADDING) .. good), six(17, udp6(g.own6, to, 7, "end")))
  t.equal(received(allowed, "end"), { "allowed", "allowed", "end" })
  t.equal(S.recv(forbidden, 100), nil, "nothing came to the other port")
  t.ok(denied(g) >= 8, "counted: " .. denied(g))
end)

test("what tells secrets in a cloud is reached by no other name", function()
  local g = wire(2)
  local there = outside()
  local secret = { "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "64:ff9b::6464:64c8", "fd20:ce::254", "fd00:ec2::254" }
  for _, address in ipairs(secret) do
    t.must(nl.address("eth0", address .. "/128", { netns = there, flags = "nodad" }))
    t.must(nl.route { to = address .. "/128", via = "2001:db8::9" })
  end
  put(g, { egress = { allow = { { cidr = "::/0" } } } })
  local mac, send, r = t.must(nl.link "lg2").mac, sender(g), receiver(there, "inet6", 7)
  for _, to in ipairs(secret) do send(frame(mac, g.mac, "ip6", ip6(g.own6, to, 17, udp6(g.own6, to, 7, to)))) end
  local to = "2001:db8::9"
  send(frame(mac, g.mac, "ip6", ip6(g.own6, to, 17, udp6(g.own6, to, 7, "end"))))
  t.equal(received(r, "end"), { "end" })
  t.equal(denied(g), #secret)
end)

test("a limit on what it sends does not open the way for lies", function()
  local g = wire(2)
  t.must(nl.create { kind = "ifb", name = "ifb-2", up = true })
  t.must(nl.qdisc { link = "ifb-2", kind = "tbf", rate = "100mbit" })
  g.described.ifb = "ifb-2"
  put(g, { egress = { allow = { { cidr = "10.5.0.1" }, { cidr = "fd05::1" } } } })
  lies(g, { ns = here(), own = "10.5.0.1", own6 = "fd05::1" }, t.must(nl.link(g.link)).mac)
  t.ok(t.must(nl.qdiscs { link = "ifb-2" })[1].packets >= 2, "it went by the ifb")
end)

test("a router sends for the networks behind it, and for no others", function()
  bridge()
  local router, host = guest(2, "lab"), guest(3, "lab")
  router.described.behind = { "10.6.0.0/16", "fd06::/64" }
  put(router)
  put(host)
  local send = sender(router)
  local r4, r6 = receiver(host.ns, "inet", 7), receiver(host.ns, "inet6", 7)
  local function four(from, text) return frame(host.mac, router.mac, "ip", ip4(from, host.own, udp4(7, text))) end
  local function six(from, text) return frame(host.mac, router.mac, "ip6", ip6(from, host.own6, 17, udp6(from, host.own6, 7, text))) end
  apart.inside(host.ns, function()
    for _, name in ipairs { "all", "eth0" } do S.writefile(("/proc/sys/net/ipv4/conf/%s/rp_filter"):format(name), "0") end
  end)
  send(four("10.7.0.1", "other"), four("10.6.1.1", "behind"), four(router.own, "own"), six("fd07::1", "other"), six("fd06::1", "behind"),
    six(router.own6, "own"))
  t.equal({ received(r4, "own"), received(r6, "own") }, { { "behind", "own" }, { "behind", "own" } })
  t.equal(spoofed(router), 2)
  -- What it sends for them is under its egress too.
  local there = outside()
  t.must(nl.route { to = "10.6.0.0/16", via = router.own })
  local far, at_host = receiver(there, "inet", 7), receiver(here(), "inet", 7)
  put(router, { egress = { allow = { { cidr = "10.5.0.1" }, { cidr = "192.0.2.9", port = 8 } } } })
  send(frame("02:00:00:00:00:fe", router.mac, "ip", ip4("10.6.1.1", "192.0.2.9", udp4(7, "out"))),
    frame("02:00:00:00:00:fe", router.mac, "ip", ip4("10.6.1.1", "192.0.2.1", udp4(7, "host"))),
    frame("02:00:00:00:00:fe", router.mac, "ip", ip4(router.own, "10.5.0.1", udp4(7, "end"))))
  t.equal(received(at_host, "end"), { "end" })
  t.equal(S.recv(far, 100), nil)
  t.equal(denied(router), 2)
end)

test("isolated ports of a bridge do not meet by way of the host", function()
  bridge()
  local one, other = guest(2, "lab"), guest(3, "lab")
  for _, g in ipairs { one, other } do
    g.described.isolated = true
    t.must(nl.port(g.link, { isolated = true }))
    put(g, { egress = { allow = { { cidr = "10.5.0.1" }, { cidr = "10.5.0.0/24" }, { cidr = "0.0.0.0/0" } } } })
  end
  local r, at_host = receiver(other.ns, "inet", 7), receiver(here(), "inet", 7)
  -- To the host's own Ethernet address, which routes.
  -- What the bridge filters is no business of the host's tables, whether or not it asks them.
  S.writefile("/proc/sys/net/bridge/bridge-nf-call-iptables", "1")
  sender(one)(frame("02:00:00:00:00:fe", one.mac, "ip", ip4(one.own, other.own, udp4(7, "routed"))),
    frame("02:00:00:00:00:fe", one.mac, "ip", ip4(one.own, "10.5.0.1", udp4(7, "end"))))
  received(at_host, "end")
  t.equal(S.recv(r, 100), nil)
  t.equal(t.must(nl.nft.counters("inet", "luge-lg3")).blocked.packets, 1)
end)

test("neighbours on a bridge meet, whether or not the host filters bridges", function()
  bridge()
  local one, isolated = guest(2, "lab"), guest(3, "lab")
  isolated.described.isolated = true
  t.must(nl.port(isolated.link, { isolated = true }))
  for _, g in ipairs { one, isolated } do put(g) end
  local r4, r6 = receiver(isolated.ns, "inet", 7), receiver(isolated.ns, "inet6", 7)
  local from4, from6 = receiver(one.ns, "inet", 7), receiver(one.ns, "inet6", 7)
  for _, value in ipairs { "0", "1" } do
    for _, kind in ipairs { "ip", "ip6" } do
      S.writefile(("/proc/sys/net/bridge/bridge-nf-call-%stables"):format(kind), value)
    end
    S.sendto(from4, value, nil, { family = "inet", addr = isolated.own, port = 7 })
    S.sendto(from6, value, nil, { family = "inet6", addr = isolated.own6, port = 7 })
    t.equal({ received(r4, value), received(r6, value) }, { { value }, { value } })
  end
end)
