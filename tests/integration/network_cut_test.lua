-- SPDX-License-Identifier: MIT
-- `luge network cut` and `join` in real traffic, on each kind of interface: the test plays the host, and the world behind it.
-- Those of groups and labs are in group_network_test.lua.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local apart, traffic = net.apart, net.traffic
local function test(name, body) net.test_detached(name, body, net.no_dad) end

local function serve(d, name, network, more)
  d.start(name, { words = net.SERVER, body = net.body(network, more) })
end

-- From inside, "HELLO" or what came of it.
local function from(d, name, proto, address, port, seconds)
  return (d.luge("exec", name, "/luge", "lua", "/traffic.lua", proto, address, port, seconds or "3").stdout:gsub("\n$", ""))
end

-- Nothing is told when a server listens.
local function until_hello(ask, what)
  for _ = 1, 100 do
    if ask(1) == "HELLO" then return end
    S.nanosleep(0.02)
  end
  error("no answer: " .. what, 2)
end

local function state_of(d, name, at) return d.json("inspect", name).containers[1].network[at or 1].state end

-- asks: what → function that says "HELLO" while the wire is whole.
local function cut_and_joined(d, name, interface, asks, at)
  for what, ask in pairs(asks) do until_hello(ask, what) end
  t.equal(state_of(d, name, at), "joined")
  t.contains(d.luge("network", "join", name, interface).stderr, interface .. " is joined already")
  d.ok("network", "cut", name, interface)
  t.equal(state_of(d, name, at), "cut")
  t.contains(d.luge("network", "cut", name, interface).stderr, interface .. " is cut already")
  for what, ask in pairs(asks) do t.differs(ask(0.1), "HELLO", what) end
  d.ok("network", "join", name, interface)
  for what, ask in pairs(asks) do until_hello(ask, what) end
end

local function to(proto, address, port) return function(seconds) return traffic.ask(proto, address, port, seconds) end end

test("a veth: from the host, from outside, from inside and by published ports", function(d)
  local there = net.outside()
  local server = net.server(there)
  serve(d, "det-veth", [[{ interfaces = { veth { address = "10.5.0.2/24", address6 = "fd05::2/64", nat = true } }, egress = false,
    publish = { { 8080, 80 }, { 8080, 80, proto = "udp" }, { "127.0.0.1:8081", 80 }, { "[::1]:8081", 80 } } }]])
  local asks = { v4 = to("tcp", "10.5.0.2", 80), v6 = to("udp", "fd05::2", 80), loopback = to("tcp", "127.0.0.1", 8081),
    loopback6 = to("tcp", "::1", 8081), both = to("udp", "::1", 8080) }
  for _, address in ipairs { "192.0.2.9", "2001:db8::9" } do
    asks["out, " .. address] = function(seconds) return from(d, "det-veth", "tcp", address, "7000", tostring(seconds)) end
  end
  for _, address in ipairs { "192.0.2.1", "2001:db8::1" } do
    asks["in, " .. address] = function(seconds) return apart.inside(there, traffic.ask, "tcp", address, 8080, seconds) end
  end
  cut_and_joined(d, "det-veth", "eth0", asks)
  traffic.stop_server(server)
end)

test("one of two wires: the other carries on", function(d)
  serve(d, "det-two", '{ interfaces = { veth { address = "10.5.0.2/24" }, veth { name = "lan", address = "10.6.0.2/24" } }, egress = false }')
  until_hello(to("tcp", "10.5.0.2", 80), "the first")
  cut_and_joined(d, "det-two", "lan", { second = to("tcp", "10.6.0.2", 80) }, 2)
  d.ok("network", "cut", "det-two", "lan")
  t.equal({ traffic.ask("tcp", "10.5.0.2", 80), state_of(d, "det-two", 1), state_of(d, "det-two", 2) }, { "HELLO", "joined", "cut" })
  t.contains(d.ok "ps", "running, lan cut, for ")
  t.equal(d.seen "det-two".cut, { "lan" })
  d.ok("network", "join", "det-two", "lan")
  t.lacks(d.ok "ps", "cut")
  t.equal(d.seen "det-two".cut, {})
end)

test("a bridge: the one that is cut, and no other", function(d)
  local wire = '{ interfaces = { bridge { "lab", address = "10.5.0.%d/24", address6 = "fd05::%d/64", subnet = "10.5.0.0/24", '
    .. 'subnet6 = "fd05::/64", gateway = "auto", gateway6 = "auto", %s } }, egress = false }'
  for i, name in ipairs { "det-a", "det-b", "det-c" } do serve(d, name, wire:format(i + 1, i + 1, "")) end
  local function ask(name, address)
    return function(seconds) return from(d, name, "tcp", address, "80", tostring(seconds)) end
  end
  cut_and_joined(d, "det-b", "eth0", { v4 = ask("det-a", "10.5.0.3"), v6 = ask("det-a", "fd05::3"), out = ask("det-b", "10.5.0.2"),
    host = to("tcp", "10.5.0.3", 80), host6 = to("tcp", "fd05::3", 80) })
  d.ok("network", "cut", "det-b", "eth0")
  t.equal({ ask("det-a", "10.5.0.4")(3), ask("det-c", "fd05::2")(3) }, { "HELLO", "HELLO" })
end)

test("a macvlan, with its addresses and routes", function(d)
  local there = net.uplink("198.51.100.1/32", "2001:db8:5::1/128")
  local server = net.server(there)
  serve(d, "det-mac", [[{ interfaces = { macvlan { "uplink", address = "10.5.0.2/24", address6 = "fd05::2/64", gateway = "10.5.0.1",
    gateway6 = "fd05::1", routes = { { "10.9.0.0/16", "10.5.0.1", metric = 7 } } } }, egress = false }]])
  local function routes() return d.ok("exec", "det-mac", "/bin/sh", "-c", "ip route; ip -6 route; ip -br address show dev eth0") end
  local asks = { ["in"] = function(seconds) return apart.inside(there, traffic.ask, "tcp", "10.5.0.2", 80, seconds) end,
    in6 = function(seconds) return apart.inside(there, traffic.ask, "tcp", "fd05::2", 80, seconds) end }
  for _, address in ipairs { "10.5.0.1", "fd05::1", "198.51.100.1", "2001:db8:5::1" } do
    asks["out, " .. address] = function(seconds) return from(d, "det-mac", "tcp", address, "7000", tostring(seconds)) end
  end
  local before = routes()
  cut_and_joined(d, "det-mac", "eth0", asks)
  t.equal(routes(), before)
  traffic.stop_server(server)
  d.ok("rm", "-f", "-t", "1s", "det-mac")
  t.must(nl.delete "uplink")
end)

for _, backend in ipairs { "pasta", "slirp4netns" } do
  test("a world by " .. backend, function(d)
    net.open_tun()
    local server = net.server(net.outside())
    net.way_out()
    serve(d, "det-user", ("{ type = 'user', backend = %q, publish = { { host = '127.0.0.1:8080', guest = 80 } } }"):format(backend))
    local asks = { published = to("tcp", "127.0.0.1", 8080) }
    -- slirp4netns announces its IPv6 network, which takes seconds.
    for _, address in ipairs { "192.0.2.9", backend == "pasta" and "2001:db8::9" or nil } do
      asks["out, " .. address] = function(seconds) return from(d, "det-user", "tcp", address, "7000", tostring(seconds)) end
    end
    cut_and_joined(d, "det-user", "eth0", asks)
    traffic.stop_server(server)
  end)
end

test("a container that is started again has its wires whole", function(d)
  serve(d, "det-again", '{ interfaces = { veth { address = "10.5.0.2/24" } }, egress = false }',
    "restart = { on = 'always', delay = '10ms' }")
  until_hello(to("tcp", "10.5.0.2", 80), "before")
  d.ok("network", "cut", "det-again", "eth0")
  local first = d.seen("det-again").pid
  t.must(S.kill(first, "kill"))
  d.until_true("another run", function()
    local row = d.seen "det-again"
    return row.state == "running" and row.pid ~= first
  end)
  until_hello(to("tcp", "10.5.0.2", 80), "after")
  t.equal({ state_of(d, "det-again"), d.seen "det-again".cut }, { "joined", {} })
  d.ok("network", "cut", "det-again", "eth0")
  t.differs(traffic.ask("tcp", "10.5.0.2", 80, 0.2), "HELLO")
end)
