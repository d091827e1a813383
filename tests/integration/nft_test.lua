-- SPDX-License-Identifier: MIT
-- Tables of nftables from descriptions: nft(8) reads from the kernel what it would have made itself of the same words,
-- and packets meet them.

local S = require "syscall"
local nl = require "netns"
local t = dofile "tests/integration/harness.lua"
local apart = dofile "tests/integration/apart.lua"(t)

local nft = nl.nft

local function in_netns(f)
  apart.run(function()
    t.must(nl.up "lo")
    f()
  end)
end

local function list(...)
  return t.succeed({ "/usr/sbin/nft", ... }).stdout
end

-- What nft lists as JSON, without what differs from one making to the next.
local function plain(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do
    if key ~= "handle" and key ~= "metainfo" then copy[key] = plain(item) end
  end
  return copy
end

local function listed()
  local objects = t.json.decode(list("-j", "list", "ruleset")).nftables
  local kept = {}
  for _, object in ipairs(objects) do
    if not object.metainfo then kept[#kept + 1] = plain(object) end
  end
  return kept
end

local function same_lines(ours, theirs)
  local lines = {}
  for line in theirs:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local i = 0
  for line in ours:gmatch "[^\n]+" do
    i = i + 1
    t.equal(line, lines[i], "line " .. i)
  end
  t.equal(i, #lines, "lines")
end

-- The same table made by luge and, of its text, by nft: both must read the same, as JSON and as bytecode.
local function same_as_nft(description)
  in_netns(function()
    t.must(nft(description))
    local text = tostring(nft.describe(description))
    local ours, ours_text = listed(), list("list", "ruleset")
    t.must(nft { family = description.family, table = description.table, gone = true })
    t.equal(list("list", "ruleset"), "", "what is left")
    local r = t.run { "/usr/sbin/nft", "-f", "-", stdin = text, timeout = 20 }
    if r.code ~= 0 then error("nft does not take:\n" .. text .. r.stderr) end
    same_lines(ours_text, list("list", "ruleset"))
    t.equal(ours, listed(), text)
  end)
end

local function table_of(rules, more)
  rules.hook = rules.hook or "input"
  local description = { family = "inet", table = "luge-test", chains = { input = rules, other = { { "accept" } } } }
  for key, value in pairs(more or {}) do description[key] = value end
  return description
end

t.test("matches are nft's own", function()
  same_as_nft(table_of {
    { { "iifname", "eth0" }, { "oifname", "!=", "eth*" }, "accept" },
    { { "ip saddr", "10.0.0.1" }, { "ip daddr", "!=", "10.0.0.0/8" }, "drop" },
    { { "ip saddr", "10.1.0.0/17" }, { "ip daddr", "10.0.0.1-10.0.0.9" }, "continue" },
    { { "ip6 saddr", "fd00::/8" }, { "ip6 daddr", "fd00::1" }, "return" },
    { { "ip6 daddr", "fd00::/61" }, { "jump", "other" } },
    { { "tcp dport", 80 }, { "tcp sport", "1024-65535" }, { "goto", "other" } },
    { { "udp dport", "!=", "1000-2000" }, "drop" },
    { { "meta l4proto", { "tcp", "udp" } }, { "th dport", 53 }, "accept" },
    { { "meta l4proto", "icmp" }, { "icmp type", "echo-request" }, "accept" },
    { { "ct state", { "established", "related" } }, "accept" },
    { { "ct state", "invalid" }, "drop" },
    { { "ct status", "dnat" }, { "ct direction", "original" }, "accept" },
    { { "ct original ip daddr", "10.0.0.1" }, { "meta l4proto", "tcp" }, { "ct original proto-dst", 8080 }, "accept" },
    { { "tcp flags", { "syn", "ack" } }, "drop" },
    { { "meta mark", 5 }, { "meta mark", "16-32" }, { "meta length", ">", 100 }, "drop" },
    { { "meta skuid", 1000 }, "drop" },
    { { "meta iifkind", "veth" }, { "meta oifkind", "!=", "bridge" }, "drop" },
    { { "ip frag-off", "&", 8191, "!=", 0 }, "drop" },
    { { "fib daddr type", "local" }, { "fib saddr . iif oif", false }, "drop" },
    { { "ip protocol", 47 }, { "ip ttl", "<", 5 }, "drop" },
    { { "meta nfproto", "ipv6" }, { "exthdr frag", true }, { "exthdr hbh", false }, "drop" },
  })
end)

t.test("statements are nft's own", function()
  same_as_nft(table_of({
    { "counter", "accept", comment = "why not" },
    { { "counter", "seen" }, { "limit", rate = 10 }, "accept" },
    { { "limit", rate = 3, per = "minute", burst = 7, over = true }, "drop" },
    { { "limit", rate = 1000, per = "hour", bytes = true }, "drop" },
    { { "log", prefix = "luge: ", level = "info" }, "drop" },
    { { "log", prefix = "x", group = 3, snaplen = 64 } },
    { { "tcp dport", 1 }, { "reject", "tcp reset" } },
    { "reject" },
    { { "reject", "admin-prohibited" } },
    { { "set", "meta mark", 7 }, { "set", "ct mark", 8 } },
    { { "ip saddr", "10.0.0.1" }, { "set", "ip daddr", "10.0.0.9" } },
    { { "set", "ip6 saddr", "fd00::9" } },
    { { "set", "ip daddr", { "ct original ip daddr" } } }, { { "set", "ip6 daddr", { "ip6 saddr" } } },
    { { "ip daddr", "10.0.0.1" }, { "add", "@seen", "ip daddr . meta l4proto" } },
    { { "ip saddr", "10.0.0.1" }, { "update", "@from", "ip saddr", timeout = 5 } },
    { { "ip saddr", "10.0.0.2" }, { "add", "@each", "ip saddr", limit = { rate = 10 } }, "accept" },
    { { "vmap", "tcp dport", { { 80, "accept" }, { 81, "jump other" } } } },
  }, { counters = { "seen" }, sets = { seen = { type = "ipv4_addr . inet_proto", dynamic = true, size = 100 },
    from = { type = "ipv4_addr", dynamic = true, timeout = 60, size = 10 }, each = { type = "ipv4_addr", dynamic = true,
    size = 10 } } }))
end)

t.test("addresses are translated as nft does it", function()
  same_as_nft { family = "inet", table = "luge-nat", chains = {
    pre = { hook = "prerouting", type = "nat", priority = "dstnat",
      { { "meta nfproto", "ipv4" }, { "meta l4proto", "tcp" }, { "dnat", "10.0.0.1", 80 } },
      { { "tcp dport", 8080 }, { "ip6 daddr", "fd00::1" }, { "dnat", "fd00::2", "80-90" } },
      { { "ip daddr", "10.0.0.3" }, { "dnat", "10.0.1.1-10.0.1.9", persistent = true } },
      { { "meta nfproto", "ipv4" }, { "dnat", { "tcp dport", "@to" }, family = "ip" } },
      { { "tcp dport", 53 }, { "redirect", 5353 } } },
    post = { hook = "postrouting", type = "nat", priority = "srcnat",
      { { "ip saddr", "10.1.0.0/16" }, "masquerade" },
      { { "meta l4proto", { "tcp", "udp" } }, { "masquerade", "1024-65535", random = true } },
      { { "ip6 saddr", "fd00::/64" }, { "snat", "fd01::1" } } },
  }, sets = { to = { type = "inet_service", map = "ipv4_addr", elements = { { 80, "10.0.0.1" }, { 81, "10.0.0.2" } } } } }
end)

t.test("sets, intervals, concatenations and maps are nft's own", function()
  same_as_nft(table_of({
    { { "tcp dport", { 80, 443, "1000-2000" } }, "accept" },
    { { "ip daddr", { "10.0.0.0/8", "192.168.0.0/16" } }, { "ip saddr", "!=", { "10.0.0.1", "10.0.0.2" } }, "drop" },
    { { "ip daddr . tcp dport", { "10.0.0.1 . 80", "10.0.0.2 . 81" } }, "accept" },
    { { "ip6 daddr . udp dport", "@both" }, "accept" },
    { { "vmap", "ip saddr", "@verdicts" } },
    { { "iifname", { "eth0", "eth1" } }, "accept" },
    { { "ct state . meta mark", { "new . 5" } }, "drop" },
  }, { sets = {
    plain = { type = "ipv4_addr", elements = { "10.0.0.1", "10.0.0.2" } },
    timed = { type = "ipv4_addr", timeout = 3600 },
    ranges = { type = "ipv4_addr", elements = { "0.0.0.0/8", "10.0.0.1-10.0.0.9", "255.0.0.0/8" } },
    six = { type = "ipv6_addr", elements = { "::1", "fd00::/8", "ff00::/8" } },
    both = { type = "ipv6_addr . inet_service", elements = { "fd00::/8 . 80-90", "fd00::1 . 5" } },
    verdicts = { type = "ipv4_addr", map = "verdict",
      elements = { { "10.0.0.0/24", "accept" }, { "10.0.1.0/24", "jump other" }, { "10.0.4.1", "drop" } } },
    marks = { type = "inet_service", map = "mark", elements = { { 80, 1 } } },
    links = { type = "ifname", elements = { "eth0" } },
    macs = { type = "ether_addr . ipv4_addr", elements = { "02:00:00:00:00:01 . 10.0.0.1" } },
  } }))
end)

t.test("every family has its tables", function()
  for _, family in ipairs { "ip", "ip6" } do
    same_as_nft { family = family, table = "luge-" .. family, chains = { out = { hook = "output", priority = -5,
      policy = "drop", { { "meta l4proto", "tcp" }, "reject" }, { { family .. " daddr", family == "ip" and "10.0.0.1" or "fd00::1" },
        { "reject", "admin-prohibited" } } },
      route = { hook = "output", type = "route", priority = "mangle", { { "set", "meta mark", 3 } } } } }
  end
  same_as_nft { family = "arp", table = "luge-arp", chains = { input = { hook = "input",
    { { "arp operation", "request" }, { "arp saddr ether", "02:00:00:00:00:01" }, { "arp saddr ip", "10.0.0.1" }, "accept" } } } }
  same_as_nft { family = "bridge", table = "luge-bridge", chains = { forward = { hook = "forward",
    { { "ether saddr", "02:00:00:00:00:01" }, { "ether type", "arp" }, "drop" } } } }
  same_as_nft { family = "netdev", table = "luge-dev", chains = {
    ingress = { hook = "ingress", device = "lo", priority = 0, { { "meta protocol", "ip" }, { "ip saddr", "10.0.0.1" }, "drop" },
      { { "ether saddr", "!=", "02:00:00:00:00:01" }, "drop" }, { { "fwd", "lo" } } },
    egress = { hook = "egress", device = "lo", priority = 0, { { "meta protocol", { "arp", "ip6" } }, "accept" } } } }
end)

t.test("a table is replaced whole, and only where all of it can be", function()
  in_netns(function()
    t.must(nft { family = "ip", table = "luge-a", chains = { one = { { "accept" } } } })
    t.must(nft { family = "ip", table = "luge-a", chains = { two = { { "drop" } } } })
    local text = list("list", "ruleset")
    t.contains(text, "chain two")
    t.lacks(text, "chain one")
    local ok, err = nft { { family = "ip", table = "luge-b", chains = { x = {} } }, { family = "ip", table = "luge-a", chains = {
      three = { { "accept" }, { "accept", { "jump", "nowhere" } } } } } }
    t.ok(not ok and err.NOENT)
    t.contains(tostring(err), "table ip luge-a: chain three: rule 2")
    t.equal(list("list", "ruleset"), text, "nothing of it was done")
    t.must(nft { family = "ip", table = "luge-a", keep = true, chains = { four = { { "accept" } } } })
    t.contains(list("list", "ruleset"), "chain two")
    t.equal(nft.tables(), { { family = "ip", table = "luge-a" } })
    local fresh = { { family = "ip", table = "luge-c", fresh = true }, { family = "ip", table = "luge-a", fresh = true } }
    ok, err = nft(fresh)
    t.ok(not ok and err.EXIST, "one is there")
    t.equal(nft.tables(), { { family = "ip", table = "luge-a" } }, "and so none is made")
    for _ = 1, 2 do t.must(nft { family = "ip", table = "luge-a", gone = true }) end
    t.equal(nft.tables(), {})
  end)
end)

-- Statements that many rules have are kept as bytes, by their text: no other may be taken for one.
t.test("what is kept of a statement is that statement's", function()
  local rule = require "netns.nft_rule"
  local function bytes(statement) return rule.compile("inet", { statement }, { keeps = true }) end
  local statements = { { "oifname", "!=", "lg1" }, { "oifname", "!=\1lg1" }, { "oifname", "lg1" }, { "iifname", "lg1" },
    { "meta mark", 5 }, { "meta mark", 53 }, { "meta l4proto", "tcp" }, { "meta l4proto", "!=", "tcp" }, "accept", { "accept" }, "drop" }
  local first, of = {}, {}
  for i, statement in ipairs(statements) do first[i] = bytes(statement) end
  for i, statement in ipairs(statements) do
    t.equal(bytes(statement), first[i], "again")
    if of[first[i]] then t.equal({ of[first[i]], i }, { 9, 10 }, "the same bytes") end
    of[first[i]] = i
  end
  -- By what the rule has said before: a port without a protocol is one, after a protocol it is not looked for again.
  local port = { "tcp dport", 80 }
  local alone, after = rule.compile("inet", { port }, {}), rule.compile("inet", { { "meta l4proto", "tcp" }, port }, { keeps = true })
  t.equal(rule.compile("inet", { port }, { keeps = true }), alone)
  t.equal(rule.compile("inet", { port }, { keeps = true }), alone, "again")
  t.equal(after, alone, "said by itself or by the rule")
end)

t.test("mistakes name the place", function()
  local function mistake(description, ...)
    local ok, message = pcall(nft, description)
    t.ok(not ok, "was accepted")
    for _, part in ipairs { ... } do t.contains(message, part) end
  end
  local T = { family = "inet", table = "x" }
  local function rule(...) return { family = "inet", table = "x", chains = { c = { { "accept" }, { ... } } } } end
  mistake({ family = "inets", table = "x" }, "no family 'inets'")
  mistake({ family = "inet", table = "x", chain = {} }, "no such field 'chain'")
  mistake(rule({ "ip dadr", "10.0.0.1" }), "table inet x: chain c: rule 2: statement 1 (ip dadr): no field 'ip dadr'", "ip daddr")
  mistake(rule({ "ip daddr", "10.0.0.256" }), "'10.0.0.256' is no ipv4_addr")
  mistake(rule({ "ip daddr", "10.0.0.0/33" }), "'10.0.0.0/33' is no ipv4_addr")
  mistake(rule({ "tcp dport", 65536 }), "65536 is no inet_service")
  mistake(rule({ "tcp dport", "20-10" }), "ends before it starts")
  mistake(rule({ "tcp dport", 1 }, { "udp dport", 1 }), "never both tcp and udp")
  mistake(rule({ "ip saddr", "10.0.0.1" }, { "ip6 saddr", "fd00::1" }), "never both ip and ip6")
  mistake(rule("acept"), "statement 1 (acept): no such statement")
  mistake(rule({ "limit", rate = 1, brust = 2 }), "no such field 'brust'")
  mistake(rule({ "ip daddr . tcp dport", "10.0.0.1" }), "has 1 parts; 2 are compared")
  mistake({ family = "inet", table = "x", chains = { c = { hook = "inputs" } } }, "no hook 'inputs'")
  mistake({ family = "inet", table = "x", sets = { s = { type = "ip" } } }, "table inet x: set s: no type 'ip'")
  mistake({ family = "inet", table = "x", sets = { s = { type = "inet_service", map = "verdict",
    elements = { { "1-5", "drop" }, { "5-9", "accept" } } } } }, "overlap")
  T.chains = { c = { policy = "perhaps", hook = "input" } }
  mistake(T, "a policy is accept or drop")
end)

t.test("without privilege it is refused", function()
  if t.root then
    local pid = t.must(S.fork())
    if pid == 0 then
      t.must(S.capset { effective = {}, permitted = {}, inheritable = {} })
      local ok, err = nft { family = "ip", table = "luge-no" }
      S.exit(not ok and err.PERM and 0 or 1)
    end
    t.equal(S.waitid("pid", pid, "exited").status, 0)
  else
    local ok, err = nft { family = "ip", table = "luge-no" }
    t.ok(not ok and err.PERM, tostring(err))
  end
end)

-- ---- packets ----

local function udp(addr, port, text)
  local socket = t.must(S.socket(addr:find ":" and "inet6" or "inet", "dgram, nonblock"))
  local to = { family = addr:find ":" and "inet6" or "inet", addr = addr, port = port }
  t.must(S.connect(socket, to))
  S.send(socket, text or "x")
  return socket
end

-- The counters once so many packets were counted: where the kernel is busy, it hands on what loopback carries after the
-- sender has gone on.
local function counters_of(packets)
  return t.until_true(packets .. " packets", function()
    local counters, counted = t.must(nft.counters("inet", "luge-test")), 0
    for _, counter in pairs(counters) do counted = counted + counter.packets end
    return counted >= packets and counters
  end)
end

-- The result of a connect that ends at once on loopback.
local function connects(addr, port)
  local socket = t.must(S.socket(addr:find ":" and "inet6" or "inet", "stream"))
  local ok, err = S.connect(socket, { family = addr:find ":" and "inet6" or "inet", addr = addr, port = port })
  socket:close()
  return ok and "yes" or err.CONNREFUSED and "refused" or err.ACCES and "prohibited" or err.HOSTUNREACH and "unreachable"
    or tostring(err)
end

local function listen(addr, port)
  local socket = t.must(S.socket(addr:find ":" and "inet6" or "inet", "stream"))
  t.must(S.bind(socket, { family = addr:find ":" and "inet6" or "inet", addr = addr, port = port }))
  t.must(S.listen(socket, 5))
  return socket
end

t.test("packets are counted, and what a set holds is read", function()
  in_netns(function()
    t.must(nft(table_of({
      { { "udp dport", 7 }, { "counter", "sevens" }, { "update", "@seen", "ip daddr . meta l4proto . th dport" }, "counter",
        comment = "seven" },
      { { "ip6 daddr", "::1" }, { "udp dport", 8 }, { "add", "@six", "ip6 daddr" } },
    }, { counters = { "sevens", "none" }, sets = {
      seen = { type = "ipv4_addr . inet_proto . inet_service", dynamic = true, timeout = 60, size = 10 },
      six = { type = "ipv6_addr", dynamic = true, size = 10 },
      ranges = { type = "ipv4_addr", elements = { "10.0.0.0/8", "12.0.0.0-12.0.0.5", "12.0.0.6", "255.255.255.255" } },
      map = { type = "inet_service", map = "verdict", elements = { { "80-90", "accept" }, { 91, "jump other" } } } } })))
    for _ = 1, 3 do udp("127.0.0.1", 7, "four"):close() end
    udp("::1", 8):close()
    t.until_true("the last packet", function() return t.must(nft.elements("inet", "luge-test", "six"))[1] end)
    t.equal(counters_of(3), { sevens = { packets = 3, bytes = 3 * 32 }, none = { packets = 0, bytes = 0 } })
    local rules = t.must(nft.rules("inet", "luge-test"))
    t.equal({ rules[1].chain, rules[1].comment, rules[1].packets, rules[1].bytes }, { "input", "seven", 3, 96 })
    local seen = t.must(nft.elements("inet", "luge-test", "seen"))
    t.equal({ #seen, seen[1].key }, { 1, "127.0.0.1 . udp . 7" })
    t.ok(seen[1].expires > 50 and seen[1].expires <= 60)
    t.equal(nft.elements("inet", "luge-test", "six"), { { key = "::1" } })
    t.equal(nft.elements("inet", "luge-test", "ranges"), { { key = "10.0.0.0/8" }, { key = "12.0.0.0-12.0.0.6" },
      { key = "255.255.255.255" } })
    t.equal(nft.elements("inet", "luge-test", "map"), { { key = "80-90", value = "accept" }, { key = 91, value = "jump other" } })
    t.equal(tostring(nft.elements("inet", "luge-test", "map")), "80-90 : accept\n91 : jump other")
    t.matches(tostring(seen), "^127%.0%.0%.1 %. udp %. 7 .*expires %d[%d.]*s")
    t.equal(tostring(nft.counters("inet", "luge-test")), "counter none packets 0 bytes 0\ncounter sevens packets 3 bytes 96")
    t.matches(tostring(rules), "^chain input handle %d+ packets 3 bytes 96 comment \"seven\"")
    t.contains(tostring(nft.tables()), "table inet luge-test")
    for _, read in ipairs { nft.counters, nft.rules } do
      local ok, err = read("inet", "luge-nothing")
      t.ok(not ok and err.NOENT, tostring(err))
    end
    local ok, err = nft.elements("inet", "luge-test", "nothing")
    t.ok(not ok and err.NOENT, tostring(err))
  end)
end)

t.test("packets are refused and sent elsewhere", function()
  in_netns(function()
    local open, open6 = listen("127.0.0.1", 80), listen("::1", 80)
    t.equal({ connects("127.0.0.1", 80), connects("::1", 80), connects("127.0.0.1", 81) }, { "yes", "yes", "refused" })
    t.must(nft { { family = "inet", table = "luge-test", chains = {
      input = { hook = "input", { { "tcp dport", 82 }, { "reject", "host-unreachable" } },
        { { "tcp dport", 83 }, { "reject", "tcp reset" } } } } },
      { family = "inet", table = "luge-nat", chains = { out = { hook = "output", type = "nat", priority = "dstnat",
        { { "ip daddr", "127.0.0.0/8" }, { "tcp dport", 84 }, { "dnat", "127.0.0.1", 80 } },
        { { "ip6 daddr", "::1" }, { "tcp dport", 84 }, { "dnat", "::1", 80 } },
        { { "tcp dport", 85 }, { "redirect", 80 } } } } } })
    t.equal({ connects("127.0.0.1", 82), connects("127.0.0.1", 83), connects("::1", 82) }, { "unreachable", "refused", "unreachable" })
    t.equal({ connects("127.0.0.1", 84), connects("::1", 84), connects("127.0.0.1", 85) }, { "yes", "yes", "yes" })
    open:close()
    open6:close()
  end)
end)

t.test("a limit lets through its burst and no more", function()
  in_netns(function()
    t.must(nft(table_of({
      { { "udp dport", 7 }, { "limit", rate = 1, per = "week", burst = 4 }, { "counter", "passed" }, "accept" },
      { { "udp dport", 7 }, { "counter", "over" }, "drop" },
    }, { counters = { "passed", "over" } })))
    for _ = 1, 10 do udp("127.0.0.1", 7):close() end
    local counters = counters_of(10)
    t.equal({ counters.passed.packets, counters.over.packets }, { 4, 6 })
  end)
end)

t.test("a table of another namespace is made through its descriptor", function()
  in_netns(function()
    local there = apart.namespace()
    t.must(nft({ family = "ip", table = "luge-there" }, there))
    t.equal(nft.tables(), {})
    t.equal(nft.tables(there), { { family = "ip", table = "luge-there" } })
  end)
end)
