-- SPDX-License-Identifier: MIT
-- Where packets go, by S.nl: routes, rules and neighbours are what `ip` finds. Each test has network namespaces of its own.

local t = dofile "tests/integration/harness.lua"
local apart = dofile "tests/integration/apart.lua"(t)
local nl = require "netns"

local test = apart.test

-- The routes that ip finds, without those that the kernel makes by itself.
local function ip_routes(family, ...)
  local list = {}
  for _, route in ipairs(apart.ip(family, "route", "show", ...)) do
    if route.protocol ~= "kernel" then list[#list + 1] = route end
  end
  return list
end

test("routes of both families", function()
  t.ok(nl.veth { name = "one", peer = "two", up = true } and nl.up "two" and nl.up "lo")
  t.ok(nl.address("one", "10.0.0.1/24") and nl.address("one", "fd00::1/64", "nodad"))
  t.ok(nl.route { to = "default", via = "10.0.0.254", mtu = 1300 })
  t.ok(nl.route { to = "10.5.0.0/16", dev = "one", metric = 50, src = "10.0.0.1" })
  t.ok(nl.route { to = "10.6.0.0/16", type = "blackhole" } and nl.route { to = "10.7.0.0/16", type = "unreachable", metric = 9 })
  t.ok(nl.route { to = "10.8.0.0/16", via = "192.0.2.1", dev = "one", onlink = true })
  t.ok(nl.route { to = "10.9.0.0/16", via = "10.0.0.9", table = 1234 })
  t.ok(nl.route { to = "default", via = "fd00::fe", dev = "one", metric = 5 })
  t.ok(nl.route { to = "fd01::/64", type = "unreachable" } and nl.route { to = "fd02::1", dev = "one", protocol = "static" })
  t.ok(nl.route { to = "10.10.0.0/16", via = "fd00::7", dev = "one" })
  local by = {}
  for _, route in ipairs(ip_routes "-4") do by[route.dst] = route end
  t.equal({ by.default.gateway, by.default.dev, by.default.metrics[1].mtu }, { "10.0.0.254", "one", 1300 })
  t.equal({ by["10.5.0.0/16"].metric, by["10.5.0.0/16"].prefsrc, by["10.5.0.0/16"].scope }, { 50, "10.0.0.1", "link" })
  t.equal({ by["10.6.0.0/16"].type, by["10.7.0.0/16"].type, by["10.7.0.0/16"].metric }, { "blackhole", "unreachable", 9 })
  t.equal({ by["10.8.0.0/16"].gateway, by["10.8.0.0/16"].flags[1] }, { "192.0.2.1", "onlink" })
  t.ok(nl.route { to = "default", family = "inet", via = "fd00::7", dev = "one", table = 1235 })
  t.equal(ip_routes("-4", "table", "1235")[1].via, { family = "inet6", host = "fd00::7" })
  t.equal(by["10.10.0.0/16"].via, { family = "inet6", host = "fd00::7" })
  t.equal(ip_routes("-4", "table", "1234")[1].gateway, "10.0.0.9")
  by = {}
  for _, route in ipairs(ip_routes "-6") do by[route.dst] = route end
  t.equal({ by.default.gateway, by.default.dev, by.default.metric }, { "fd00::fe", "one", 5 })
  t.equal({ by["fd01::/64"].type, by["fd02::1"].protocol }, { "unreachable", "static" })

  local own = {}
  for _, route in ipairs(nl.routes()) do own[route.family .. " " .. route.to] = route end
  t.equal({ own["inet default"].via, own["inet6 default"].via, own["inet6 default"].metric }, { "10.0.0.254", "fd00::fe", 5 })
  t.equal({ own["inet 10.10.0.0/16"].via, own["inet 10.8.0.0/16"].onlink }, { "fd00::7", true })
  t.equal(tostring(nl.routes { table = 1234 }), "10.9.0.0/16 via 10.0.0.9 dev one table 1234 proto boot")
  t.contains(tostring(nl.routes { family = "inet" }), "default via 10.0.0.254 dev one proto boot\n")
  t.contains(tostring(nl.routes()), "unreachable 10.7.0.0/16 proto boot metric 9")
  t.equal(tostring(nl.routes { table = "all", type = "unreachable", family = "inet" }), "unreachable 10.7.0.0/16 proto boot metric 9")
  t.equal(#nl.routes { dev = "two", family = "inet" }, 0)
  t.succeed { "ip", "route", "add", "10.11.0.0/16", "nexthop", "via", "10.0.0.9", "weight", "3", "nexthop", "dev", "one" }
  t.succeed { "ip", "-6", "route", "add", "fd03::/64", "nexthop", "via", "fd00::9", "nexthop", "via", "fd00::8" }
  for _, route in ipairs(nl.routes()) do own[route.family .. " " .. route.to] = route end
  local index = nl.link("one").index
  t.equal(own["inet 10.11.0.0/16"].hops, { { via = "10.0.0.9", dev = "one", index = index, weight = 3 },
    { dev = "one", index = index, weight = 1 } })
  t.equal(own["inet6 fd03::/64"].hops[2], { via = "fd00::8", dev = "one", index = index, weight = 1 })
  t.equal(tostring(own["inet 10.11.0.0/16"]), "10.11.0.0/16 proto boot nexthop via 10.0.0.9 dev one weight 3 nexthop dev one weight 1")

  t.ok(nl.up "two")
  local beside = { to = "::1/128", type = "local", dev = "one", table = "local", metric = 4096, append = true }
  t.ok(nl.route(beside))
  beside.dev = "two"
  t.ok(nl.route(beside), "another link's stays")
  local devices = {}
  for _, route in ipairs(nl.routes { family = "inet6", table = "local" }) do
    if route.to == "::1/128" and route.metric == 4096 then devices[#devices + 1] = route.dev end
  end
  table.sort(devices)
  t.equal(devices, { "one", "two" })
  t.fails("EXIST", nl.route { to = "default", via = "10.0.0.253" })
  t.ok(nl.route { to = "default", via = "10.0.0.253", replace = true })
  t.equal(ip_routes("-4", "default")[1].gateway, "10.0.0.253")
  t.ok(nl.delroute { to = "default" } and nl.delroute { to = "default", family = "inet6" } and nl.delroute { to = "10.6.0.0/16" })
  t.ok(nl.delroute { to = "10.9.0.0/16", table = 1234 })
  t.fails("SRCH", nl.delroute { to = "default" })
  local nothing, err = nl.route { to = "10.20.0.0/16", via = "192.0.2.9" }
  t.ok(not nothing and err.NETUNREACH)
  t.contains(tostring(err), "Nexthop has invalid gateway", "the kernel's own words")
end)

test("rules choose tables", function()
  t.ok(nl.rule { from = "10.1.0.0/16", table = 100, priority = 50 })
  t.ok(nl.rule { to = "10.2.0.0/16", action = "unreachable", priority = 51 })
  t.ok(nl.rule { fwmark = "7/0xff", iif = "lo", table = 5000, priority = 52, invert = true })
  t.ok(nl.rule { from = "fd00::/64", table = 100, priority = 53 })
  t.ok(nl.rule { table = "main", suppress_prefix = 0, priority = 54, family = "inet6" })
  local rules = {}
  for _, family in ipairs { "-4", "-6" } do
    for _, rule in ipairs(apart.ip(family, "rule")) do rules[rule.priority] = rule end
  end
  t.equal({ rules[50].src, rules[50].srclen, rules[50].table }, { "10.1.0.0", 16, "100" })
  t.equal({ rules[51].dst, rules[51].action }, { "10.2.0.0", "unreachable" })
  t.equal({ rules[52].fwmark, rules[52].fwmask, rules[52].iif, rules[52].table }, { "0x7", "0xff", "lo", "5000" })
  t.equal({ rules[53].src, rules[54].suppress_prefixlen }, { "fd00::", 0 })
  t.contains(tostring(nl.rules { family = "inet" }), "50: from 10.1.0.0/16 lookup 100\n51: from all to 10.2.0.0/16 unreachable\n")
  t.equal({ nl.rules { family = "inet6" }[3].suppress_prefix, nl.rules { family = "inet" }[1].suppress_prefix }, { 0 })
  t.contains(tostring(nl.rules { family = "inet6" }), "54: from all lookup main suppress_prefixlength 0")
  t.ok(nl.delrule { priority = 50 } and nl.delrule { priority = 53, family = "inet6" })
  t.equal(#nl.rules { family = "inet6" }, 3)
  t.equal(nl.delrule { priority = 50 }, nil)
end)

test("neighbours", function()
  t.ok(nl.veth { name = "one", peer = "two", up = true } and nl.up "two")
  t.ok(nl.address("one", "10.0.0.1/24") and nl.address("one", "fd00::1/64", "nodad"))
  t.ok(nl.neighbour { to = "10.0.0.2", dev = "one", mac = "02:00:00:00:00:02" })
  t.ok(nl.neighbour { to = "fd00::2", dev = "one", mac = "02:00:00:00:00:03", state = "reachable" })
  t.ok(nl.neighbour { to = "10.0.0.3", dev = "one", proxy = true })
  local seen = {}
  for _, entry in ipairs(apart.ip("neighbour")) do seen[entry.dst] = entry end
  t.equal({ seen["10.0.0.2"].lladdr, seen["10.0.0.2"].state[1] }, { "02:00:00:00:00:02", "PERMANENT" })
  t.equal({ seen["fd00::2"].lladdr, seen["fd00::2"].state[1] }, { "02:00:00:00:00:03", "REACHABLE" })
  t.equal(apart.ip("neighbour", "show", "proxy")[1].dst, "10.0.0.3")
  t.equal(tostring(nl.neighbours { family = "inet" }), "10.0.0.2 dev one lladdr 02:00:00:00:00:02 PERMANENT")
  t.equal(nl.neighbours({ proxy = true, family = "inet" })[1].to, "10.0.0.3")
  t.fails("EXIST", nl.neighbour { to = "10.0.0.2", dev = "one", mac = "02:00:00:00:00:09" })
  t.ok(nl.delneighbour { to = "10.0.0.2", dev = "one" })
end)
