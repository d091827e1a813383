-- SPDX-License-Identifier: MIT
-- Rates of links by S.nl: what `tc` finds of them, and what passes.

local t = dofile "tests/integration/harness.lua"
local apart = dofile "tests/integration/apart.lua"(t)
local S = require "syscall"
local nl = require "netns"

local test = apart.test

-- What `tc -j -s` says: our oracle.
local function tc(...)
  local r = t.run { "/usr/sbin/tc", "-j", "-s", ... }
  if r.code ~= 0 then error(table.concat({ "tc", ... }, " ") .. ": " .. r.stderr, 2) end
  return t.ok(t.json.decode(r.stdout), "no JSON: " .. r.stdout)
end

local function pair()
  local there = apart.namespace()
  t.must(nl.veth { name = "lg0", up = true, peer = { name = "eth0", netns = there } })
  t.must(nl.up("eth0", there))
  t.must(nl.address("lg0", "10.0.0.1/24"))
  t.must(nl.address("eth0", "10.0.0.2/24", { netns = there }))
  return there
end

local function raises(text, f, ...)
  local ok, message = pcall(f, ...)
  t.ok(not ok, "was accepted")
  t.contains(message, text)
end

test("tbf is what tc would have made", function()
  pair()
  t.must(nl.qdisc { link = "lg0", kind = "tbf", rate = "8mbit", burst = 20000, latency = 0.1 })
  local seen = tc("qdisc", "show", "dev", "lg0")[1]
  t.equal({ seen.kind, seen.root, seen.options.rate, seen.options.burst }, { "tbf", true, 1000000, 20000 })
  local ours = t.must(nl.qdiscs { link = "lg0" })[1]
  t.equal({ ours.kind, ours.parent, ours.rate, ours.burst, ours.limit }, { "tbf", "root", 1000000, 20000, 120000 })
  t.contains(tostring(ours), "tbf " .. ours.handle .. " dev lg0 parent root rate 8mbit burst 20000 sent ")
  t.must(nl.qdisc { link = "lg0", kind = "tbf", rate = 250000 }) -- in place of the first
  t.equal(tc("qdisc", "show", "dev", "lg0")[1].options.rate, 250000)
  t.must(nl.qdisc { link = "lg0", kind = "tbf", rate = "80gbit" }) -- more than 32 bits of bytes
  t.equal({ tc("qdisc", "show", "dev", "lg0")[1].options.rate, nl.qdiscs({ link = "lg0" })[1].rate }, { 10000000000, 10000000000 })
  t.must(nl.qdisc { link = "lg0", kind = "tbf", rate = "9tbit" }) -- and of what comes in 4 ms
  t.equal(nl.qdiscs({ link = "lg0" })[1].rate, 1125000000000)
  t.must(nl.delqdisc { link = "lg0" })
  t.equal(tc("qdisc", "show", "dev", "lg0")[1].kind, "noqueue")
  local ok, err = nl.delqdisc { link = "lg0" }
  t.ok(not ok and (err.NOENT or err.INVAL), tostring(err))
end)

test("htb shares a link among classes", function()
  pair()
  t.must(nl.qdisc { link = "lg0", kind = "htb", handle = "1:", default = "20" })
  t.must(nl.class { link = "lg0", id = "1:1", rate = "100mbit" })
  t.must(nl.class { link = "lg0", parent = "1:1", id = "1:10", rate = "10mbit", ceil = "100mbit", prio = 1 })
  t.must(nl.class { link = "lg0", parent = "1:1", id = "1:20", rate = "20mbit", burst = 30000 })
  t.must(nl.filter { link = "lg0", parent = "1:", protocol = "ip", prio = 3, class = "1:10",
    match = { { offset = 16, value = 0x0a000002, mask = 0xffffffff } } })
  local seen = tc("qdisc", "show", "dev", "lg0")[1]
  t.equal({ seen.kind, seen.handle, seen.options.default }, { "htb", "1:", "0x20" })
  -- tc 6.1 has no JSON of classes.
  local text = t.succeed({ "/usr/sbin/tc", "class", "show", "dev", "lg0" }).stdout
  t.contains(text, "class htb 1:10 parent 1:1 prio 1 rate 10Mbit ceil 100Mbit")
  t.contains(text, "class htb 1:20 parent 1:1 prio 0 rate 20Mbit ceil 20Mbit burst 30000b")
  t.contains(t.succeed({ "/usr/sbin/tc", "filter", "show", "dev", "lg0" }).stdout, "match 0a000002/ffffffff at 16")
  local by = {}
  for _, class in ipairs(t.must(nl.classes { link = "lg0" })) do by[class.handle] = class end
  t.equal({ by["1:10"].parent, by["1:10"].rate, by["1:10"].ceil, by["1:10"].prio }, { "1:1", 1250000, 12500000, 1 })
  local filters = t.must(nl.filters { link = "lg0", parent = "1:" })
  t.equal({ #filters, filters[1].kind, filters[1].prio, filters[1].protocol, filters[1].class }, { 1, "u32", 3, "ip", "1:10" })
  local socket = t.must(S.socket("inet", "dgram"))
  for _ = 1, 5 do t.must(S.sendto(socket, ("x"):rep(100), nil, { family = "inet", addr = "10.0.0.2", port = 7 })) end
  S.sendto(socket, "x", nil, { family = "inet", addr = "10.0.0.9", port = 7 })
  for _, class in ipairs(t.must(nl.classes { link = "lg0" })) do by[class.handle] = class end
  t.equal({ by["1:10"].packets, by["1:10"].bytes }, { 5, 5 * 142 }, "what the filter sent there")
  t.matches(tostring(filters), "^u32 %S+ dev lg0 parent 1: class 1:10")
  t.contains(tostring(nl.classes { link = "lg0" }), "htb 1:10 dev lg0")
  t.contains(tostring(nl.qdiscs { link = "lg0" }), "htb 1: dev lg0 parent root")
  raises("bad argument 'class' (a class, a link as 'redirect'", nl.filter, { link = "lg0", parent = "1:" })
  t.must(nl.delfilter { link = "lg0", parent = "1:", prio = 3 })
  t.equal(nl.filters { link = "lg0", parent = "1:" }, {})
  t.must(nl.delclass { link = "lg0", id = "1:20" })
  t.lacks(t.succeed({ "/usr/sbin/tc", "class", "show", "dev", "lg0" }).stdout, "1:20")
end)

test("what comes in goes by an ifb, where it is held back", function()
  local there = pair()
  t.must(nl.create { kind = "ifb", name = "ifb-x", up = true })
  t.must(nl.qdisc { link = "ifb-x", kind = "tbf", rate = "8kbit", burst = 20000 })
  t.must(nl.qdisc { link = "lg0", kind = "ingress" })
  t.must(nl.filter { link = "lg0", redirect = "ifb-x" })
  local filters = t.must(nl.filters { link = "lg0" })
  t.equal({ #filters, filters[1].redirect, filters[1].protocol, filters[1].prio }, { 1, "ifb-x", "all", 1 })
  local text = t.succeed({ "/usr/sbin/tc", "filter", "show", "dev", "lg0", "ingress" }).stdout
  t.contains(text, "mirred (Egress Redirect to device ifb-x) stolen")
  t.contains(text, "match 00000000/00000000 at 0")
  -- 200 kB at once: the bucket holds 20, the queue as much, and a second adds 1. The rest is dropped on the ifb.
  local receiver = t.must(S.socket("inet", "dgram, nonblock"))
  t.must(S.bind(receiver, { family = "inet", addr = "10.0.0.1", port = 7 }))
  apart.inside(there, function()
    local socket = t.must(S.socket("inet", "dgram"))
    for _ = 1, 200 do S.sendto(socket, ("x"):rep(1000), nil, { family = "inet", addr = "10.0.0.1", port = 7 }) end
  end)
  local held = t.must(nl.qdiscs { link = "ifb-x" })[1]
  t.ok(held.drops > 100 and held.drops < 190, tostring(held))
  t.equal(tc("qdisc", "show", "dev", "ifb-x")[1].drops >= held.drops, true)
  t.must(nl.delqdisc { link = "lg0", parent = "ingress" })
  t.lacks(t.succeed({ "/usr/sbin/tc", "qdisc", "show", "dev", "lg0" }).stdout, "ingress")
end)

test("mistakes and refusals", function()
  raises("a rate such as", nl.qdisc, { link = "lo", kind = "tbf", rate = "10mb" })
  raises("'rate'", nl.qdisc, { link = "lo", kind = "tbf" })
  raises("\"tbf\"", nl.qdisc, { link = "lo", kind = "tfb" })
  raises("'kind'", nl.qdisc, { link = "lo" })
  raises("did you mean 'rate'", nl.qdisc, { link = "lo", kind = "tbf", rat = 1 })
  raises("a handle such as", nl.class, { link = "lo", id = "1-10", rate = "1mbit" })
  raises("'link'", nl.qdiscs and nl.classes, {})
  raises("bad argument 'link' (the name of a link", nl.classes)
  raises("bad argument 'link' (the name of a link", nl.filters)
  t.equal(select(3, nl.filters { link = "none" }), S.c.E.NODEV)
  raises("bad argument 'value' (32 bits", nl.filter, { link = "lo", match = { { offset = 0 } }, class = "1:1" })
  raises("bad argument 'offset' (a place", nl.filter, { link = "lo", match = { { value = 0 } }, class = "1:1" })
  raises("the minor number of a class", nl.qdisc, { link = "lo", kind = "htb", default = "-1" })
  for _, call in ipairs { function() return nl.qdisc { link = "none", kind = "tbf", rate = "1mbit" } end,
    function() return nl.filters { link = "none" } end, function() return nl.filter { link = "lo", redirect = "none" } end } do
    local ok, err = call()
    t.ok(not ok and err.NODEV, tostring(err))
  end
  local ok, err = nl.filter { link = "lo", class = "1:1", parent = "7:" }
  t.ok(not ok and err, "a filter of a discipline that is not there")
end)
