-- SPDX-License-Identifier: MIT
-- The host forwards for its containers and for nobody else, by `luge run`; and what is left of it. Each test plays the host
-- in a network namespace of its own, between a "lan" and a "vpn".

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local apart, traffic, sysctl, set = net.apart, net.traffic, net.sysctl, net.set_sysctl

local NAT = "{ interfaces = { veth { nat = true } }, egress = false, publish = { { 8080, 80 }, { 8080, 80, proto = 'udp' } } }"
local GUARDS = { "ip luge-forward", "ip6 luge-forward6" }

-- What is a luge's of the host: its switches, its guards.
local function switches()
  local list = {}
  for i, name in ipairs { "ipv4/ip_forward", "ipv4/conf/default/forwarding", "ipv4/conf/lan0/forwarding", "ipv4/conf/vpn0/forwarding",
    "ipv6/conf/all/forwarding" } do list[i] = sysctl(name) end
  return table.concat(list, " ")
end

local OFF, HELD = "0 0 0 0 0", "0 1 1 1 1"

local function guards()
  local list = {}
  for _, one in ipairs(nl.nft.tables()) do
    if one.table:find "^luge%-forward" then list[#list + 1] = one.family .. " " .. one.table end
  end
  table.sort(list)
  return list
end

-- ---- the world ----

-- The host's link, NAME0, to the end that is eth0 there, by its kind.
local make_link = {}

-- A guard takes no macvlan for a guest's.
function make_link.macvlan(name, there)
  t.must(nl.veth { name = name .. "9", up = true, peer = { name = "eth0", netns = there } })
  set(("ipv4/conf/%s9/arp_ignore"):format(name), "8") -- it is only what the other link is on
  t.must(nl.macvlan { name = name .. "0", link = name .. "9", mode = "bridge" })
end

-- As a container has.
function make_link.veth(name, there)
  t.must(nl.veth { name = name .. "0", up = true, peer = { name = "eth0", netns = there } })
end

-- As a host of virtual machines has.
function make_link.bridge(name, there)
  t.must(nl.bridge { name = name .. "0", up = true })
  t.must(nl.veth { name = name .. "9", master = name .. "0", up = true, peer = { name = "eth0", netns = there } })
end

-- A host beyond: 192.0.2.9, 2001:db8:2::9 for number 2, a server at 7000.
local function beyond(name, v4, v6, kind)
  local there = apart.namespace()
  apart.inside(there, net.no_dad)
  make_link[kind or "macvlan"](name, there)
  t.must(nl.up(name .. "0") and nl.up("eth0", there))
  t.must(nl.address(name .. "0", v4 .. ".1/24") and nl.address(name .. "0", v6 .. "::1/64", "nodad"))
  t.must(nl.address("eth0", v4 .. ".9/24", { netns = there }))
  t.must(nl.address("eth0", v6 .. "::9/64", { netns = there, flags = "nodad" }))
  apart.inside(there, function()
    t.must(nl.route { to = "default", via = v4 .. ".1" } and nl.route { to = "default", via = v6 .. "::1" })
  end)
  local ip, ip6 = v4 .. ".9", v6 .. "::9"
  return { netns = there, ip = ip, ip6 = ip6, host = v4 .. ".1", host6 = v6 .. "::1",
    server = apart.inside(there, traffic.start_server, "::", 7000) }
end

-- Counts what of the lan, or `from`, comes for the vpn, and what goes on to it.
local function count_between(vpn, to, from)
  local came, went = { hook = "prerouting", priority = "raw" }, { hook = "postrouting", priority = "filter" }
  for family, address in pairs { ip = vpn.ip, ip6 = vpn.ip6 } do
    came[#came + 1] = { { "iifname", from or "lan0" }, { family .. " daddr", address }, { "udp dport", 9 }, { "counter", "came" } }
    went[#went + 1] = { { "oifname", to or "vpn0" }, { family .. " daddr", address }, { "udp dport", 9 }, { "counter", "went" } }
  end
  t.must(nl.nft { family = "inet", table = "watcher", counters = { "came", "went" }, chains = { came = came, went = went } })
end

local function counted()
  local found = {}
  for name, counter in pairs(t.must(nl.nft.counters("inet", "watcher"))) do found[name] = counter.packets end
  return found
end

local EACH = 3

local function send(lan, vpn)
  apart.inside(lan.netns, function()
    for family, address in pairs { inet = vpn.ip, inet6 = vpn.ip6 } do
      local s = t.must(S.socket(family, "dgram"))
      for _ = 1, EACH do t.must(S.sendto(s, "x", nil, { family = family, addr = address, port = 9 })) end
      s:close()
    end
  end)
end

-- What goes on of datagrams of both families that the lan sends to the vpn by the host. They are through when all of them have
-- come, and an answer of the host's own after that.
local function forwarded(lan, vpn)
  local function answered() return { traffic.ping(lan.host), traffic.ping(lan.host6) } end
  local before = counted()
  t.equal(apart.inside(lan.netns, answered), { true, true }, "the host itself answers")
  send(lan, vpn)
  for _ = 1, 2500 do
    if counted().came - before.came == 2 * EACH then break end
    S.nanosleep(0.002)
  end
  t.equal(counted().came - before.came, 2 * EACH, "the host is asked")
  t.equal(apart.inside(lan.netns, answered), { true, true })
  return counted().went - before.went
end

-- ---- containers ----

local running = {} -- pid → process

local function serve(network)
  local process = net.serve(network)
  running[process.pid] = process
  return process
end

local function stop(process)
  running[process.pid] = nil
  net.stop(process)
end

-- A test that fails leaves no container behind either.
local function test(name, body)
  t.test(name, function()
    t.needs_root()
    apart.run(function()
      t.must(nl.up "lo")
      net.no_dad()
      set("ipv4/conf/default/forwarding", "0") -- of a luge on the machine itself: a namespace has what that has
      local lan, vpn = beyond("lan", "192.0.2", "2001:db8:2"), beyond("vpn", "198.51.100", "2001:db8:3")
      count_between(vpn)
      local ok, err = xpcall(body, debug.traceback, lan, vpn)
      for _, process in pairs(running) do stop(process) end
      if not ok then error(err, 0) end
      traffic.stop_server(lan.server)
      traffic.stop_server(vpn.server)
      box.nothing_left()
    end)
  end)
end

-- ---- what works ----

-- From a container to both, and from both to its port.
local function container_works(lan, vpn, network)
  local script = {}
  for _, one in ipairs { lan, vpn } do
    for _, address in ipairs { one.ip, one.ip6 } do
      script[#script + 1] = ("/luge lua /traffic.lua tcp %s 7000; /luge lua /traffic.lua udp %s 7000"):format(address, address)
    end
  end
  local r = t.run(box.words { words = { "/bin/sh", "-c", table.concat(script, "; ") },
    body = net.body(network) })
  t.equal(r.stdout, ("HELLO\n"):rep(8), r.stderr)
end

local function port_works(one)
  apart.inside(one.netns, function()
    for _, proto in ipairs { "tcp", "udp" } do
      t.equal({ traffic.ask(proto, one.host, 8080), traffic.ask(proto, one.host6, 8080) }, { "HELLO", "HELLO" }, proto)
    end
  end)
end

local CLIENT_OF = { veth = "{ interfaces = { veth { nat = true } }, egress = false }",
  bridge = "{ interfaces = { bridge { 'lab', subnet = '10.9.8.0/24', gateway = 'auto', subnet6 = 'fd09:8::/64', gateway6 = 'auto', nat = true } }, egress = false }" }

for _, kind in ipairs { "veth", "bridge" } do
  test("what is not a container's is forwarded no more than before: " .. kind, function(lan, vpn)
    t.equal(switches(), OFF)
    t.equal(forwarded(lan, vpn), 0, "before")
    local server = serve(NAT)
    t.equal(switches(), HELD)
    t.equal(guards(), GUARDS)
    t.equal(forwarded(lan, vpn), 0, "meanwhile")
    port_works(lan)
    port_works(vpn)
    container_works(lan, vpn, CLIENT_OF[kind])
    t.equal(guards(), GUARDS, "the first one needs them")
    t.equal(forwarded(lan, vpn), 0, "and after the other one")
    stop(server)
    t.equal(switches(), OFF)
    t.equal(guards(), {})
    t.equal(forwarded(lan, vpn), 0, "after")
  end)
end

test("a bridge that is another's, and was there before", function(lan, vpn)
  t.must(nl.bridge { name = "lab" })
  t.must(nl.up "lab")
  container_works(lan, vpn, CLIENT_OF.bridge)
  t.equal(switches(), OFF)
  t.must(nl.delete "lab")
end)

test("a link that comes later is guarded, and leads to containers", function(lan)
  local server = serve(NAT)
  local late = beyond("late", "203.0.113", "2001:db8:4")
  t.equal(sysctl "ipv4/conf/late0/forwarding", "1")
  count_between(late, "late0")
  t.equal(forwarded(lan, late), 0)
  port_works(late)
  stop(server)
  t.equal(sysctl "ipv4/conf/late0/forwarding", "0")
  traffic.stop_server(late.server)
end)

-- ---- what is set ----

-- As each file says by itself, lines "SETTING VALUE".
local function by_files(family, base)
  local lines = {}
  for _, link in ipairs(t.must(S.dir("/proc/sys/net/" .. base))) do
    local setting = ("%s/%s/forwarding"):format(base, link)
    if link ~= "all" and link ~= "default" and sysctl(setting) ~= "0" then
      lines[#lines + 1] = ("net/%s %s"):format(setting, sysctl(setting))
    end
  end
  table.sort(lines)
  lines[#lines + 1] = sysctl(family == "inet" and "ipv4/ip_forward" or "ipv6/conf/all/forwarding")
  lines[#lines + 1] = sysctl(family == "inet" and "ipv4/conf/default/forwarding" or "ipv6/conf/all/forwarding")
  return lines
end

local function as_lines(now)
  local lines = {}
  for setting, value in pairs(now.on) do lines[#lines + 1] = setting .. " " .. value end
  table.sort(lines)
  return table.move({ now.whole, now.set }, 1, 2, #lines + 1, lines)
end

test("what the kernel tells of its switches at once is what their files say", function()
  local forwarding = require "netns.forwarding"
  t.must(nl.veth { name = "dot.ted0", peer = { name = "dot.ted1" } })
  for _, changes in ipairs { {}, { "ipv4/conf/lan0/forwarding", "1" }, { "ipv6/conf/vpn0/forwarding", "1" },
    { "ipv4/conf/dot.ted0/forwarding", "2" }, { "ipv4/conf/default/forwarding", "1" }, { "ipv6/conf/all/forwarding", "1" },
    { "ipv6/conf/lan0/forwarding", "0" }, { "ipv4/ip_forward", "1" }, { "ipv4/conf/vpn0/forwarding", "0" } } do
    if changes[1] then set(changes[1], changes[2]) end
    for family, base in pairs { inet = "ipv4/conf", inet6 = "ipv6/conf" } do
      local told, read = t.must(forwarding.told(family)), t.must(forwarding.read(family))
      t.equal(told, read, changes[1])
      t.equal(as_lines(told), by_files(family, base), changes[1])
    end
  end
end)

-- ---- others ----

test("a host that forwarded before keeps forwarding", function(lan, vpn)
  set("ipv4/ip_forward", "1")
  set("ipv6/conf/all/forwarding", "1")
  local before = switches()
  t.equal(forwarded(lan, vpn), 6)
  local server = serve(NAT)
  t.equal(guards(), {})
  t.equal(forwarded(lan, vpn), 6)
  port_works(lan)
  stop(server)
  t.equal(switches(), before)
end)

test("a link that forwarded alone goes on, and its setting stays", function(lan, vpn)
  set("ipv4/conf/lan0/forwarding", "1")
  local server = serve(NAT)
  t.equal(guards(), { GUARDS[2] })
  t.equal(apart.inside(lan.netns, traffic.ask, "tcp", vpn.ip, 7000), "HELLO")
  stop(server)
  t.equal(switches(), "0 0 1 0 0")
end)

-- The first words of a guard's end come when the kernel has told luge's.
local function guards_gone()
  for _ = 1, 2500 do
    if #guards() == 0 then return end
    S.nanosleep(0.002)
  end
  t.equal(guards(), {}, "somebody made it a router")
end

test("whoever makes the host a router meanwhile has one, and keeps it", function(lan, vpn)
  local one, two = serve(NAT), serve "{ interfaces = { veth { nat = true } } }"
  set("ipv4/ip_forward", "1")
  guards_gone()
  t.equal(forwarded(lan, vpn), 6)
  port_works(lan)
  t.succeed { "luge", "network", "reload", env = { LUGE_STATE = box.state } }
  t.equal(guards(), {}, "after a reload")
  local third = serve "{ interfaces = { veth { nat = true } } }"
  t.equal(guards(), {}, "with another one")
  for _, process in ipairs { one, two, third } do stop(process) end
  t.equal(switches(), "1 1 1 1 0", "what was his stays")
  t.equal(apart.inside(lan.netns, traffic.ask, "tcp", vpn.ip, 7000), "HELLO")
end)

test("guests of other programs are led on, by a veth or a bridge", function(lan)
  local server = serve(NAT)
  local guest = apart.namespace()
  t.must(nl.bridge { name = "docker9" } and nl.up "docker9")
  t.must(nl.address("docker9", "172.31.7.1/24"))
  t.must(nl.veth { name = "tap9", up = true, peer = { name = "eth0", netns = guest } })
  t.must(nl.set("tap9", { master = "docker9" }) and nl.up("eth0", guest))
  t.must(nl.address("eth0", "172.31.7.2/24", { netns = guest }))
  apart.inside(guest, function() t.must(nl.route { to = "default", via = "172.31.7.1" }) end)
  t.equal(apart.inside(guest, traffic.ask, "tcp", lan.ip, 7000), "HELLO")
  stop(server)
  t.must(nl.delete "docker9")
end)

-- ---- the end ----

local function collect()
  for _ = 1, 100 do
    t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
    if switches() == OFF and #guards() == 0 then return end
  end
end

test("killed, gc puts all of it back", function(lan, vpn)
  local process = serve(NAT)
  running[process.pid] = nil
  S.kill(process.pid, "kill")
  process:wait()
  t.equal(guards(), GUARDS)
  t.equal(forwarded(lan, vpn), 0, "meanwhile")
  collect()
  t.equal(switches(), OFF)
  t.equal(guards(), {})
end)

test("killed while it puts it back, gc goes on with the rest", function()
  local process = serve(NAT)
  set("ipv4/conf/default/forwarding", "0") -- the first that is put back
  running[process.pid] = nil
  S.kill(process.pid, "kill")
  process:wait()
  collect()
  t.equal(switches(), OFF)
end)

test("a foreign flush takes the guards, and luge network reload brings them back", function(lan, vpn)
  local server = serve(NAT)
  local function rules()
    local text = ""
    for _, name in ipairs(GUARDS) do text = text .. t.succeed({ "/usr/sbin/nft", "list", "table", name:match "^%S+", name:match "%S+$" }).stdout end
    return text
  end
  local before = rules()
  t.contains(before, 'meta iifkind "veth" accept')
  t.succeed { "/usr/sbin/nft", "flush", "ruleset" }
  t.equal(guards(), {})
  for _ = 1, 2 do
    t.succeed { "luge", "network", "reload", env = { LUGE_STATE = box.state } }
    t.equal(rules(), before)
  end
  count_between(vpn)
  t.equal(forwarded(lan, vpn), 0)
  port_works(lan)
  stop(server)
  t.equal(guards(), {})
end)

-- ---- the host's own way out, of a guest's kind ----

-- A machine on the bridge of a host that has frames go by its firewall asks what is beyond.
local function bridged_works(bridge, up)
  if S.lstat "/proc/sys/net/bridge/bridge-nf-call-iptables" then set("bridge/bridge-nf-call-iptables", "1") end
  local guest = apart.namespace()
  t.must(nl.veth { name = "tap9", master = bridge, up = true, peer = { name = "eth0", netns = guest } })
  t.must(nl.up("eth0", guest) and nl.address("eth0", "203.0.113.7/24", { netns = guest }))
  t.equal(apart.inside(guest, traffic.ask, "tcp", up.ip, 7000), "HELLO", "on the bridge")
end

for _, kind in ipairs { "veth", "bridge" } do
  test("a host whose way out is a " .. kind .. " is no router between that and others", function(lan, vpn)
    local up = beyond("up", "203.0.113", "2001:db8:4", kind)
    -- One of them by two ways, as hosts with several routers have it.
    local second = kind == "veth" and { ["-4"] = "203.0.113.77", ["-6"] = "2001:db8:4::77" } or {}
    for family, router in pairs { ["-4"] = up.ip, ["-6"] = up.ip6 } do
      t.succeed { "ip", family, "route", "add", "default", "nexthop", "via", router,
        table.unpack(second[family] and { "nexthop", "via", second[family] } or {}) }
    end
    local server = serve(NAT)
    t.equal(guards(), GUARDS)
    count_between(vpn, "vpn0", "up0")
    t.equal(forwarded(up, vpn), 0, "in by the way out")
    count_between(up, "up0", "lan0")
    t.equal(forwarded(lan, up), 0, "out by it")
    port_works(up)
    container_works(up, vpn, CLIENT_OF.veth)
    container_works(up, lan, CLIENT_OF.bridge)
    if kind == "bridge" then bridged_works("up0", up) end
    t.succeed { "/usr/sbin/nft", "flush", "ruleset" }
    t.succeed { "luge", "network", "reload", env = { LUGE_STATE = box.state } }
    count_between(vpn, "vpn0", "up0")
    t.equal(forwarded(up, vpn), 0, "after a reload")
    running[server.pid] = nil
    S.kill(server.pid, "kill")
    server:wait()
    collect()
    t.equal({ switches(), guards() }, { OFF, {} })
    traffic.stop_server(up.server)
    if kind == "bridge" then t.must(nl.delete "up0") end
  end)
end
