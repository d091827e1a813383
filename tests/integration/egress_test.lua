-- SPDX-License-Identifier: MIT
-- Containers behind their firewall, by `luge run`: what is published, allowed, denied and told; and what is left of it.
-- Each test plays the host in a network namespace of its own.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local apart, traffic = net.apart, net.traffic
local body, serve, stop = net.body, net.serve, net.stop
local links_gone, no_dad, sysctl = net.links_gone, net.no_dad, net.sysctl

local found_before = {}

local function nothing_left(before)
  links_gone(before)
  t.equal(nl.nft.tables(), {}, "tables")
  t.equal({ sysctl "ipv4/ip_forward", sysctl "ipv4/conf/default/forwarding", sysctl "ipv6/conf/all/forwarding" }, { "0", "0", "0" },
    "settings of the host")
  t.equal(net.lock_left(found_before), nil, "a lock was left")
end

-- Another luge of this machine may be clearing up the same at that moment, and gc leaves it to that.
local function collect()
  for _ = 1, 100 do
    t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
    if not net.lock_left(found_before, 1) then return end
  end
end

local function test(name, f)
  t.test(name, function()
    t.needs_root()
    apart.run(function()
      t.must(nl.up "lo")
      no_dad()
      net.set_sysctl("ipv4/conf/default/forwarding", "0") -- a new namespace has what the first one has
      found_before = net.locks() -- of a namespace that had this number
      local before = nl.interfaces()
      f()
      if not nl.link "up0" then nothing_left(before) end
      box.nothing_left()
    end)
  end)
end

-- The world beyond: 192.0.2.9, 2001:db8::9, 8.8.8.8 and others; servers at 7000.
local function outside()
  local there = net.outside("169.254.169.254/32", "8.8.8.8/32", "2600::1/128")
  net.way_out()
  return there, net.server(there)
end

local function leave(server, before)
  traffic.stop_server(server)
  t.must(nl.delete "up0")
  nothing_left(before)
end

-- One word for each question { proto, address, port }, by one container.
local function asks(network, questions, how)
  local script = {}
  for i, q in ipairs(questions) do script[i] = ("/luge lua /traffic.lua %s %s %d"):format(q[1], q[2], q[3] or 7000) end
  how = how or {}
  how.words, how.body = { "/bin/sh", "-c", table.concat(script, "; ") }, body(network)
  local r = t.run(box.words(how))
  t.equal(r.code, 0, r.stderr)
  local words = {}
  for word in r.stdout:gmatch "[^\n]+" do words[#words + 1] = word end
  return words, r
end

-- ---- egress ----

test("a network given as a table reaches nothing but what egress allows", function()
  local before = nl.interfaces()
  local _, server = outside()
  local all = { { "tcp", "192.0.2.9" }, { "udp", "192.0.2.9" }, { "tcp", "2001:db8::9" }, { "tcp", "192.0.2.1" }, { "tcp", "169.254.169.254" } }
  t.equal(asks("{ interfaces = { veth { nat = true } } }", all), { "refused", "unreachable", "refused", "refused", "refused" })
  local words, r = asks([[{ interfaces = { veth { nat = true } }, egress = { log = true,
    allow = { { cidr = "0.0.0.0/0", port = 7000, proto = "tcp" }, { cidr = "2001:db8::9" } } } }]], all)
  t.equal(words, { "HELLO", "unreachable", "HELLO", "refused", "refused" })
  for _, line in ipairs { "luge: egress: 192.0.2.9:7000/udp denied (", "luge: egress: 192.0.2.1:7000 denied (",
    "luge: egress: 169.254.169.254:7000 denied (" } do t.contains(r.stderr, line) end
  t.matches(r.stderr, "denied %(%S*profile%.lua:%d+%)\n")
  t.equal(select(2, r.stderr:gsub("denied", "")), 3, "each once")
  leave(server, before)
end)

test("the internet is neither the host nor private, and names are asked of the host's servers", function()
  local before = nl.interfaces()
  local _, server = outside()
  t.equal(asks('"internet"', { { "tcp", "8.8.8.8" }, { "tcp", "2600::1" }, { "tcp", "192.0.2.9" }, { "tcp", "192.0.2.1" },
    { "tcp", "169.254.169.254" } }), { "HELLO", "HELLO", "refused", "refused", "refused" })
  local servers = {}
  for address in ("\n" .. (S.readfile "/etc/resolv.conf" or "")):gmatch "\nnameserver%s+([%x.:]+)" do
    if not address:find "^127" and address ~= "::1" and not address:find "^fe80" then servers[#servers + 1] = address end
  end
  local r = t.run(box.words { shell = "grep nameserver /etc/resolv.conf | cut -d' ' -f2", body = body '"internet"' })
  if servers[1] then t.equal(r.stdout, table.concat(servers, "\n") .. "\n") end
  leave(server, before)
end)

test("in the background it is told in the log", function()
  local before = nl.interfaces()
  local _, far = outside()
  local detached = dofile "tests/integration/detached.lua"(t, box)
  detached.start("det-egress", { body = body('{ interfaces = { veth { nat = true } }, egress = { log = true } }'),
    shell = "/luge lua /traffic.lua tcp 192.0.2.9 7000; sleep 0.1" })
  detached.ok("wait", "det-egress")
  t.contains(detached.luge("logs", "det-egress").stderr, "luge: egress: 192.0.2.9:7000 denied (")
  detached.ok("rm", "det-egress")
  leave(far, before)
  detached.nothing_left()
end)

test("what was stopped is in the report, and what holds is read back", function()
  local before = nl.interfaces()
  local _, far = outside()
  local path = t.dir "0777" .. "/report"
  asks([[{ interfaces = { veth { nat = true } }, publish = { { "127.0.0.1:8080", 80 }, { 5353, proto = "udp" } },
    bandwidth = { down = "10mbit", up = "8mbit" }, dns = { "192.0.2.53" },
    egress = { allow = { { "198.51.100.0/24", 443 } } } }]], { { "tcp", "192.0.2.9" } }, { options = { "--report", path } })
  local report = t.json.decode(t.read(path))
  local events = {}
  for _, event in ipairs(report.events) do events[event.event] = event.count end
  t.ok(events.egress_denied and events.egress_denied >= 1)
  local function got(field)
    local row = t.row(report, field)
    t.ok(row.ok, field .. ": " .. row.got)
    return row.got
  end
  t.matches(got "network.publish[1]", "^tcp 127%.0%.0%.1:8080 to 10%.213%.%d+%.%d+:80$")
  t.matches(got "network.publish[2]", "^udp %*:5353 to 10%.213%.%d+%.%d+:5353, udp %*:5353 to fd6c:[%x:]+:5353$")
  t.equal(got "network.egress", "198.51.100.0/24:443 192.0.2.53:53")
  t.equal({ got "network.bandwidth.down", got "network.bandwidth.up" }, { "1250000", "1000000" })
  leave(far, before)
end)

test("a rate that one of several links has not is told", function()
  local function rows()
    local found = {}
    require("sandbox.container.receipt_network").read(function(field, asked, got, ok)
      if field:find "bandwidth" then found[#found + 1] = { asked, got, ok } end
    end, { spec = { network = { bandwidth = { down = 1000000 } } },
      firewall = { table = "none", publish = {}, egress = { allow = {} }, links = { { link = "one" }, { link = "two" } } } }, {})
    return found
  end
  t.must(nl.veth { name = "one", peer = "two" })
  t.must(nl.qdisc { link = "one", kind = "tbf", rate = 1000000 })
  t.equal(rows(), { { "1000000", "1000000 0", false } })
  t.must(nl.qdisc { link = "two", kind = "tbf", rate = 1000000 })
  t.equal(rows(), { { "1000000", "1000000 1000000", true } })
  t.must(nl.delete "one")
end)

test("a macvlan is held in the container's own network, where it keeps no power", function()
  local server = net.server(net.uplink())
  local network = [[{ interfaces = { macvlan { "uplink", address = "10.5.0.2/24", address6 = "fd05::2/64" } }, egress = { allow = { %s } } }]]
  t.equal(asks(network:format "", { { "tcp", "10.5.0.1" }, { "tcp", "fd05::1" } }), { "refused", "refused" })
  t.equal(asks(network:format '{ "10.5.0.1", 7000 }, { "fd05::/64" }', { { "tcp", "10.5.0.1" }, { "tcp", "fd05::1" } }),
    { "HELLO", "HELLO" })
  traffic.stop_server(server)
  box.refused({ "exit", "0", body = body(network:format "", 'capabilities = { "net_raw" },') },
    "network.egress: holds in the container's own network here, where net_raw would undo it", "or use a veth or a bridge")
  t.must(nl.delete "uplink")
end)

test("what a container with a macvlan forwards for a neighbour is asked about as its own", function()
  local there = net.uplink()
  for _, route in ipairs { { to = "10.1.0.0/24", via = "10.5.0.2" }, { to = "fd01::/64", via = "fd05::2" } } do
    route.netns = there
    t.must(nl.route(route))
  end
  local server = net.server(there)
  local detached = dofile "tests/integration/detached.lua"(t, box)
  local router = [[{ interfaces = { macvlan { "uplink", address = "10.5.0.2/24", address6 = "fd05::2/64" } }, egress = { allow = { %s } } }]]
  local wire = ([[{ interfaces = { link { %q, address = "10.1.0.2/24", address6 = "fd01::2/64", gateway = "10.1.0.1", gateway6 = "fd01::1",
    peer = { name = "eth1", address = "10.1.0.1/24", address6 = "fd01::1/64" } } }, egress = false }]]):format(detached.own "det-router")
  local function through(allowed)
    detached.start("det-router", { words = { "/luge", "lua", "/traffic.lua", "serve", "::", "7000" }, body = body(router:format(allowed),
      "sysctl = { ['net.ipv4.ip_forward'] = 1, ['net.ipv6.conf.all.forwarding'] = 1, ['net.ipv6.conf.default.accept_dad'] = 0 }, ") })
    local words = asks(wire, { { "tcp", "10.5.0.1" }, { "tcp", "fd05::1" }, { "tcp", "10.1.0.1" }, { "tcp", "fd01::1" } })
    detached.ok("rm", "-f", "-t", "0s", "det-router")
    return words
  end
  t.equal(through "", { "refused", "refused", "HELLO", "HELLO" })
  t.equal(through '{ "10.5.0.1", 7000 }, { "fd05::/64" }', { "HELLO", "HELLO", "HELLO", "HELLO" })
  traffic.stop_server(server)
  t.must(nl.delete "uplink")
  detached.nothing_left()
end)

test("a container with a macvlan reaches its neighbours on a wire", function()
  t.must(nl.veth { name = "uplink", up = true, peer = "out" })
  local detached = dofile "tests/integration/detached.lua"(t, box)
  detached.start("det-near", { words = { "/luge", "lua", "/traffic.lua", "serve", "::", "7000" }, body = body "{ interfaces = {} }" })
  t.equal(asks(([[{ interfaces = { macvlan { "uplink", address = "10.5.0.2/24" }, link { %q, address = "10.1.0.2/24",
    peer = { name = "eth1", address = "10.1.0.1/24" } } } }]]):format(detached.own "det-near"), { { "tcp", "10.1.0.1" }, { "udp", "10.1.0.1" } }),
    { "HELLO", "HELLO" })
  detached.ok("rm", "-f", "-t", "0s", "det-near")
  t.must(nl.delete "uplink")
  detached.nothing_left()
end)

-- ---- ordinary users ----

t.test("an ordinary user publishes nothing, and is told why", function()
  t.needs_user()
  box.refused({ "exit", "0", body = "network = { interfaces = { veth { } } }" }, "the other end of a veth is made on the host",
    "run luge as root")
  box.refused({ "exit", "0", body = "network = { interfaces = { veth { } }, publish = { { 8080, 80 } } }" },
    "the other end of a veth is made on the host", "run luge as root")
end)

-- ---- published ports ----

test("a published port is reached by loopback, by the host's address, from outside and from containers", function()
  local before = nl.interfaces()
  local there, far = outside()
  local server = serve [[{ interfaces = { veth { } }, publish = { { 8080, 80 }, { 8080, 80, proto = "udp" }, { "127.0.0.1:8081", 80 },
    { "[::1]:8081", 80 } } }]]
  for _, address in ipairs { "127.0.0.1", "::1", "192.0.2.1", "2001:db8::1" } do
    for _, proto in ipairs { "tcp", "udp" } do t.equal(traffic.ask(proto, address, 8080), "HELLO", proto .. " " .. address) end
  end
  t.equal({ traffic.ask("tcp", "127.0.0.1", 8081), traffic.ask("tcp", "::1", 8081), traffic.ask("tcp", "192.0.2.1", 8081) },
    { "HELLO", "HELLO", "refused" })
  apart.inside(there, function()
    for _, address in ipairs { "192.0.2.1", "2001:db8::1" } do
      t.equal({ traffic.ask("tcp", address, 8080), traffic.ask("udp", address, 8080), traffic.ask("tcp", address, 8081) },
        { "HELLO", "HELLO", "refused" }, "from outside, " .. address)
    end
  end)
  local ask = { { "tcp", "192.0.2.1", 8080 }, { "tcp", "2001:db8::1", 8080 }, { "udp", "192.0.2.1", 8080 } }
  t.equal(asks('{ interfaces = { veth { } }, egress = { allow = { { "192.0.2.1", 8080 }, { "2001:db8::1", 8080 } } } }', ask),
    { "HELLO", "HELLO", "HELLO" })
  t.equal(asks('{ interfaces = { veth { } }, egress = { allow = { { "0.0.0.0/0" }, { "::/0" } } } }', ask),
    { "refused", "refused", "unreachable" })
  stop(server)
  leave(far, before)
end)

test("ports of a container on a bridge are published too", function()
  local server = serve '{ interfaces = { bridge { "lab", gateway = "auto", gateway6 = "auto" } }, publish = { { 8080, 80 } } }'
  t.equal({ traffic.ask("tcp", "127.0.0.1", 8080), traffic.ask("tcp", "::1", 8080) }, { "HELLO", "HELLO" })
  t.equal(sysctl "ipv4/conf/lab/route_localnet", "1")
  -- A neighbour asks by the host's address on the bridge, and is answered by it.
  local host = nl.interfaces().lab.addresses[1].address
  t.equal(asks(('{ interfaces = { bridge { "lab", gateway = "auto" } }, egress = { allow = { { %q, 8080 } } } }'):format(host),
    { { "tcp", host, 8080 } }), { "HELLO" })
  stop(server)
  server = serve '{ interfaces = { bridge { "lab", gateway6 = "auto" }, veth { } }, publish = { { "[0:0::1]:8080", 80 }, { "127.0.0.1:8080", 80 } } }'
  t.equal({ traffic.ask("tcp", "::1", 8080), traffic.ask("tcp", "127.0.0.1", 8080) }, { "HELLO", "HELLO" }, "one by the bridge, one by the veth")
  stop(server)
  -- A bridge that was there before is as it was.
  t.must(nl.bridge { name = "mine", up = true } and nl.address("mine", "10.5.0.1/24"))
  server = serve '{ interfaces = { bridge { "mine", address = "10.5.0.2/24", gateway = "auto", subnet = "10.5.0.0/24", address6 = false } }, publish = { { 8080, 80 } } }'
  t.equal(traffic.ask("tcp", "127.0.0.1", 8080), "HELLO")
  stop(server)
  t.equal(sysctl "ipv4/conf/mine/route_localnet", "0")
  t.must(nl.delete "mine")
end)

-- A datagram that is sent in pieces, asked and answered: its checksum is looked at, which is not where one end of a wire trusts the
-- other one.
local function ask_in_pieces(address, port)
  local s, text = t.must(S.socket("inet6", "dgram")), ("x"):rep(4000)
  t.must(s:connect { family = "inet6", addr = address, port = port })
  t.must(s:send(text))
  local is_answered = #t.must(S.poll({ { fd = s, events = "in" } }, 20000)) > 0
  local answer = is_answered and s:recv(5000)
  s:close()
  return answer == text:upper()
end

-- Whether both are answered who ask ::1 at once from one port, by the loopback and by another address of the host's.
local function ask_twice(kind, other, port, to)
  local sockets, answers = {}, {}
  for i, own in ipairs { "::1", other } do
    local s = t.must(S.socket("inet6", kind))
    t.must(s:bind { family = "inet6", addr = own, port = port })
    t.must(s:connect { family = "inet6", addr = "::1", port = to })
    sockets[i] = s
  end
  for i, s in ipairs(sockets) do
    local text = ("x"):rep(6 + i)
    t.must(s:send(text))
    local is_answered = #t.must(S.poll({ { fd = s, events = "in" } }, 20000)) > 0
    answers[i] = is_answered and s:recv(100) == text:upper()
    s:close()
  end
  return answers
end

test("::1 leads to a container on a bridge, whether or not the host filters bridges", function()
  local server = serve [[{ interfaces = { bridge { "lab", gateway6 = "auto" } }, publish = { { "[::1]:8080", 80 },
    { "[::1]:8080", 80, proto = "udp" }, { "[::1]:8081", 81, proto = "udp" }, { "[::1]:8082", 81 } } }]]
  local host = nl.interfaces().lab.addresses[1].address
  for _, filters in ipairs { "0", "1" } do
    S.writefile("/proc/sys/net/bridge/bridge-nf-call-ip6tables", filters) -- there with br_netfilter only
    t.equal({ traffic.ask("tcp", "::1", 8080), traffic.ask("udp", "::1", 8080) }, { "HELLO", "HELLO" }, "filters " .. filters)
    t.equal({ traffic.ask("udp", "::1", 8081), traffic.ask("tcp", "::1", 8082) }, { "refused", "refused" }, "errors come back")
    t.ok(ask_in_pieces("::1", 8080), "in pieces")
    -- Who has the host's address, and the same port, is another.
    local port = 5000 + tonumber(filters)
    for _, kind in ipairs { "dgram", "stream" } do t.equal(ask_twice(kind, host, port, 8080), { true, true }, kind) end
  end
  t.equal(traffic.ask("tcp", host, 8080), "refused", "only the loopback")
  t.equal(asks(('{ interfaces = { bridge { "lab" } }, egress = { allow = { { %q }, { "::1" } } } }'):format(host),
    { { "tcp", host, 8080 } }), { "refused" })
  stop(server)
  t.equal({ traffic.ask("tcp", "::1", 8080), traffic.ask("udp", "::1", 8080) }, { "refused", "refused" })
end)

test("an isolated port of a bridge reaches what another one publishes, whether or not the host filters bridges", function()
  local interfaces = 'interfaces = { bridge { "lab", gateway = "auto", gateway6 = "auto", isolated = true } }'
  local server = serve(("{ %s, publish = { { 8080, 80 }, { 8080, 80, proto = 'udp' } } }"):format(interfaces))
  local questions, allowed = {}, {}
  for _, address in ipairs(nl.interfaces().lab.addresses) do
    allowed[#allowed + 1] = ("{ %q }"):format(address.address)
    for _, proto in ipairs { "tcp", "udp" } do questions[#questions + 1] = { proto, address.address, 8080 } end
    questions[#questions + 1] = { "tcp", address.address, 80 }
  end
  for _, filters in ipairs { "0", "1" } do
    for _, kind in ipairs { "ip", "ip6" } do S.writefile(("/proc/sys/net/bridge/bridge-nf-call-%stables"):format(kind), filters) end
    t.equal(asks(("{ %s, egress = { allow = { %s } } }"):format(interfaces, table.concat(allowed, ", ")), questions),
      { "HELLO", "HELLO", "refused", "HELLO", "HELLO", "refused" }, "filters " .. filters)
  end
  stop(server)
end)

test("a published port that is denied refuses at once, whether or not the host filters bridges", function()
  local bridge = 'interfaces = { bridge { "lab", gateway = "auto", gateway6 = "auto" } }'
  local server = serve "{ interfaces = { veth {} }, publish = { { 8080, 80 } } }"
  local keeper = serve(("{ %s }"):format(bridge))
  local questions, expected = {}, {}
  for _, address in ipairs(nl.interfaces().lab.addresses) do
    questions[#questions + 1], expected[#expected + 1] = { "tcp", address.address, 8080 }, "refused"
  end
  t.equal(#questions, 2)
  for _, filters in ipairs { "0", "1" } do
    for _, kind in ipairs { "ip", "ip6" } do S.writefile(("/proc/sys/net/bridge/bridge-nf-call-%stables"):format(kind), filters) end
    t.equal(asks(("{ %s, egress = { allow = { { '192.0.2.77' } } } }"):format(bridge), questions), expected, "filters " .. filters)
  end
  stop(keeper)
  stop(server)
end)

test("a published port is answered by the way it was asked at, whichever other interfaces there are", function()
  local before = nl.interfaces()
  local there, far = outside()
  local detached = dofile "tests/integration/detached.lua"(t, box)
  detached.start("det-way", { words = { "/luge", "lua", "/traffic.lua", "serve", "::", "7000" }, body = body "{ interfaces = {} }" })
  local bridge = 'bridge { "lab", gateway = "auto", gateway6 = "auto" }'
  local wire = ([[link { %q, address = "10.1.0.2/24", address6 = "fd01::2/64", gateway = "10.1.0.1", gateway6 = "fd01::1",
    peer = { name = "eth1", address = "10.1.0.1/24", address6 = "fd01::1/64" } }]]):format(detached.own "det-way")
  for _, interfaces in ipairs { bridge .. ", veth { }", "veth { }, " .. bridge, wire .. ", veth { }" } do
    local server = serve(("{ interfaces = { %s }, publish = { { 8080, 80 }, { 8080, 80, proto = 'udp' } } }"):format(interfaces))
    for _, address in ipairs { "192.0.2.1", "2001:db8::1" } do
      for _, proto in ipairs { "tcp", "udp" } do
        local what = ("%s %s: %s"):format(proto, address, interfaces)
        t.equal(traffic.ask(proto, address, 8080), "HELLO", what)
        t.equal(apart.inside(there, traffic.ask, proto, address, 8080), "HELLO", "from outside, " .. what)
      end
    end
    t.equal(asks(("{ interfaces = { %s }, egress = { allow = { { '192.0.2.1' }, { '2001:db8::1' } } } }"):format(bridge),
      { { "tcp", "192.0.2.1", 8080 }, { "udp", "192.0.2.1", 8080 }, { "tcp", "2001:db8::1", 8080 }, { "udp", "2001:db8::1", 8080 } }),
      { "HELLO", "HELLO", "HELLO", "HELLO" }, "from a bridge, " .. interfaces)
    stop(server)
  end
  detached.ok("rm", "-f", "-t", "0s", "det-way")
  leave(far, before)
  detached.nothing_left()
end)

test("from outside IPv6 is led to a container that has said nothing yet", function()
  local before = nl.interfaces()
  local there, far = outside()
  for _, interface in ipairs { "veth { }", 'bridge { "lab", gateway = "auto", gateway6 = "auto" }' } do
    local server = serve(("{ interfaces = { %s }, publish = { { 8080, 80 } } }"):format(interface))
    t.equal(apart.inside(there, traffic.ask, "tcp", "2001:db8::1", 8080), "HELLO", interface)
    stop(server)
  end
  leave(far, before)
end)

test("a port that somebody has is not published again", function()
  local server = serve '{ interfaces = { veth { } }, publish = { { "127.0.0.1:8080", 80 } } }'
  local function refused(network, ...)
    local r = t.run(box.words { "exit", "0", body = body(network) })
    t.equal(r.code, 125)
    for _, part in ipairs { ... } do t.contains(r.stderr, part) end
  end
  refused('{ interfaces = { veth { } }, publish = { { 8080, 80 } } }', "network.publish[1]: tcp 0.0.0.0 port 8080: Address already in use",
    "or publishes it")
  t.ok(not S.bind(S.socket("inet", "stream"), { family = "inet", addr = "127.0.0.1", port = 8080 }), "nor by anybody else")
  stop(server)
  local own = traffic.listen("127.0.0.1", 8081)
  refused('{ interfaces = { veth { } }, publish = { { "127.0.0.1:8081", 80, proto = "udp" } } }', "udp 127.0.0.1 port 8081: Address already in use")
  refused('{ interfaces = { veth { } }, publish = { { "192.0.2.77:80" } } }', "Cannot assign requested address", "the host has no such address")
  own.tcp:close()
  own.udp:close()
end)

test("many publish at once, and of one port only one does", function()
  local count, started = t.soak and 50 or 6, {}
  for i = 1, count do
    -- The second port is its own: who let go of the first for want of another would have kept it from both.
    local network = ("{ interfaces = { veth { } }, publish = { { %d, 80 }, { %d, 90 } } }"):format(8100 + (i - 1) // 2, 9000 + i)
    if i % 2 == 1 then network = ("{ interfaces = { veth { } }, publish = { { %d, 80 } } }"):format(8100 + (i - 1) // 2) end
    started[i] = box.start { words = net.SERVER, body = body(network) }
  end
  -- Two want each port: one of them has it.
  for i = 1, count, 2 do
    local pair, ready, refused = { started[i], started[i + 1] }, nil, nil
    while not (ready and refused) do
      for _, process in ipairs(pair) do
        process:pump(0.05)
        if process.stdout:find "ready" then ready = process end
        if process.stderr:find "Address already in use" then refused = process end
      end
      t.ok(S.clock_gettime "monotonic" < pair[1].deadline, pair[1].stderr .. pair[2].stderr)
    end
    t.ok(ready ~= refused)
    for _, address in ipairs { "127.0.0.1", "::1" } do
      t.equal(traffic.ask("tcp", address, 8100 + (i - 1) // 2), "HELLO", address)
    end
    t.equal(refused:wait().code, 125)
    started[i], started[i + 1] = ready, nil
  end
  for i = 1, count, 2 do stop(started[i]) end
end)

test("no container reaches another's ports that are not published", function()
  local server = serve '{ interfaces = { veth { address = "10.9.0.2/24", address6 = "fd09::2/64", nat = true } } }'
  t.equal(asks('{ interfaces = { veth { nat = true } }, egress = false }', { { "tcp", "10.9.0.2", 80 }, { "udp", "10.9.0.2", 80 },
    { "tcp", "fd09::2", 80 } }), { "refused", "unreachable", "refused" })
  t.equal(traffic.ask("tcp", "10.9.0.2", 80), "HELLO", "the host does")
  stop(server)
end)

-- ---- the host's settings ----

test("settings of the host are changed as long as somebody needs them", function()
  t.must(nl.veth { name = "eth7", up = true, peer = "eth8" })
  net.set_sysctl("ipv6/conf/eth7/accept_ra", "1")
  local function all() return { sysctl "ipv4/conf/eth7/forwarding", sysctl "ipv6/conf/all/forwarding", sysctl "ipv6/conf/eth7/accept_ra" } end
  local loopback = serve '{ interfaces = { veth { } }, publish = { { "127.0.0.1:8080", 80 } } }'
  t.equal(all(), { "0", "0", "1" }, "for the loopback the host need not forward")
  stop(loopback)
  local one = serve '{ interfaces = { veth { } }, publish = { { 8081, 80 } } }'
  local two = serve '{ interfaces = { veth { nat = true } } }'
  t.equal(all(), { "1", "1", "2" })
  stop(one)
  t.equal(all(), { "1", "1", "2" }, "the other one needs them")
  S.kill(two.pid, "kill")
  two:wait()
  t.equal(all(), { "1", "1", "2" })
  t.ok(#nl.nft.tables() > 0)
  collect()
  t.equal(all(), { "0", "0", "1" }, "gc puts back what a killed one changed")
  t.equal(nl.nft.tables(), {})
  -- What somebody else has changed since stays as he left it.
  one = serve '{ interfaces = { veth { address6 = false, nat = true } } }'
  net.set_sysctl("ipv4/ip_forward", "1")
  net.set_sysctl("ipv4/ip_forward", "0")
  stop(one)
  t.equal(all(), { "0", "0", "1" })
  net.set_sysctl("ipv4/ip_forward", "1")
  stop(serve '{ interfaces = { veth { address6 = false, nat = true } } }')
  t.equal(sysctl "ipv4/ip_forward", "1", "it was so before")
  net.set_sysctl("ipv4/ip_forward", "0")
  t.must(nl.delete "eth7")
end)

test("what the kernel changes together with a setting is put back too", function()
  t.must(nl.veth { name = "eth7", up = true, peer = "eth8" })
  local own = { "ipv4/conf/all/accept_redirects", "ipv4/conf/eth7/forwarding", "ipv6/conf/eth7/forwarding", "ipv4/conf/eth8/forwarding" }
  local function all()
    local list = {}
    for i, name in ipairs(own) do list[i] = sysctl(name) end
    return list
  end
  for i, value in ipairs { "0", "1", "1" } do t.must(S.writefile("/proc/sys/net/" .. own[i], value)) end
  local before = all()
  t.equal(before, { "0", "1", "1", "0" })
  stop(serve '{ interfaces = { veth { nat = true } } }')
  t.equal(all(), before)
  local killed = serve '{ interfaces = { veth { nat = true } } }'
  S.kill(killed.pid, "kill")
  killed:wait()
  collect()
  t.equal(all(), before, "after gc")
  t.must(nl.delete "eth7")
end)

test("luge network reload puts back what a foreign flush took", function()
  local name = "flushed-" .. S.getpid()
  local server = serve('{ interfaces = { veth { } }, publish = { { 8080, 80 } } }', { options = { "--name", name } })
  t.equal(traffic.ask("tcp", "127.0.0.1", 8080), "HELLO")
  local function rules()
    local text, tables = t.succeed({ "/usr/sbin/nft", "list", "ruleset" }).stdout:gsub("packets %d+ bytes %d+", ""), {}
    for one in text:gmatch "table .-\n}\n" do tables[#tables + 1] = one end
    table.sort(tables) -- they come by age
    return table.concat(tables)
  end
  local before = rules()
  t.succeed { "/usr/sbin/nft", "flush", "ruleset" }
  t.equal(traffic.ask("tcp", "127.0.0.1", 8080), "refused")
  local env = { LUGE_STATE = box.state }
  t.succeed { "luge", "network", "reload", name, env = env }
  t.equal(rules(), before)
  t.equal(traffic.ask("tcp", "127.0.0.1", 8080), "HELLO")
  t.succeed { "luge", "network", "reload", env = env }
  t.equal(rules(), before, "all of them, twice")
  t.contains(t.run({ "luge", "network", "reload", "nobody", env = env }).stderr, "no container 'nobody'")
  t.contains(t.run({ "luge", "network", "relod", env = env }).stderr, "network: no 'relod'")
  local seen = t.json.decode(t.succeed({ "luge", "inspect", name, env = env }).stdout).containers[1].firewall
  t.equal({ seen.published[1].proto, seen.published[1].port, seen.published[1].guest_port, seen.denied, seen.blocked, seen.spoofed },
    { "tcp", 8080, 80, 0, 0, 0 })
  stop(server)
end)

test("killed at any step, gc leaves no table, link, port or setting", function()
  local network = [[{ interfaces = { veth { nat = true } }, publish = { { 8080, 80 } }, bandwidth = { up = "10mbit", down = "10mbit" } }]]
  local before = nl.interfaces()
  for i = 1, t.soak and 100 or 12 do
    local process = box.start { "sleep", "5", body = body(network) }
    S.nanosleep(i % 12 * 0.004)
    S.kill(process.pid, "kill")
    process:wait()
    collect()
    nothing_left(before)
  end
end)

-- ---- rates ----

test("what a container carries is held back both ways", function()
  local server = serve [[{ interfaces = { veth { address = "10.9.0.2/24" } }, publish = { { 8080, 80 } }, bandwidth = { down = "80kbit", up = "80kbit", burst = "4K" } }]]
  t.equal(traffic.ask("tcp", "127.0.0.1", 8080), "HELLO")
  -- 100 datagrams of 1000 bytes at once: 4096 bytes pass, the queue holds as much and half a second's; the rest is dropped.
  local link
  for _, l in ipairs(nl.interfaces()) do
    if l.name:find "^lg" and l.kind == "veth" then link = l.name end
  end
  local s = t.must(S.socket("inet", "dgram"))
  for _ = 1, 100 do S.sendto(s, ("x"):rep(1000), nil, { family = "inet", addr = "10.9.0.2", port = 9 }) end
  local q = t.must(nl.qdiscs { link = link })[1]
  t.equal({ q.kind, q.rate, q.burst }, { "tbf", 10000, 4096 })
  t.ok(q.drops > 50, tostring(q))
  stop(server)
end)
