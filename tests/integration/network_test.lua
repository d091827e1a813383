-- SPDX-License-Identifier: MIT
-- Containers with interfaces, in real traffic. Each test plays the host in a network namespace of its own (apart.lua); what
-- luge made there has to be gone at its end. An ordinary user has no power over a host's network.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local apart = dofile "tests/integration/apart.lua"(t)
local traffic = dofile "tests/integration/traffic.lua"
local S = require "syscall"
local nl = require "netns"

local CLIENT = t.top .. "/tests/integration/traffic.lua"

-- Links of luge's own go a moment after the container; nothing else may be there.
local function nothing_left(before)
  for _ = 1, 2500 do
    local left = {}
    for _, link in ipairs(nl.interfaces()) do
      if not before[link.name] then left[#left + 1] = link.name end
    end
    if #left == 0 then return end
    S.nanosleep(0.002)
  end
  error("a link was left behind:\n" .. tostring(nl.interfaces()), 2)
end

local function locks()
  local list = {}
  local uid = S.geteuid()
  for _, dir in ipairs { "/run/luge", "/run/user/" .. uid .. "/luge", "/tmp/luge-" .. uid } do
    for _, name in ipairs(S.dir(dir) or {}) do
      local ino = S.stat("/proc/self/ns/net").ino
      if (name .. "."):find("." .. ino .. ".", 1, true) then list[#list + 1] = name end
    end
  end
  return list
end

local function test(name, body)
  t.test(name, function()
    t.needs_root()
    apart.run(function()
      assert(nl.up "lo")
      local before, others = nl.interfaces(), locks() -- numbers of namespaces are given again
      body()
      nothing_left(before)
      for _, link in ipairs(nl.interfaces()) do t.equal(#link.addresses, #before[link.name].addresses, link.name) end
      t.equal(locks(), others, "locks")
      box.nothing_left()
    end)
  end)
end

-- The profile's text: interfaces, and luge itself as the client.
local function body(interfaces, more)
  return ("network = { interfaces = { %s }, egress = false, %s }, mounts = { bind { %q, '/luge' }, bind { %q, '/traffic.lua' } }")
    :format(interfaces, more or "", t.luge, CLIENT)
end

-- The last line of a container's output; others may run beside it.
local function run_text(text, shell)
  local r = t.run(box.words { words = type(shell) == "table" and shell or { "/bin/sh", "-c", shell }, body = text })
  t.equal(r.code, 0, r.stderr)
  return (r.stdout:gsub("\n$", ""))
end

local function client(interfaces, ...)
  return run_text(body(interfaces), { "/luge", "lua", "/traffic.lua", ... })
end

-- A container that goes on until it is told to end by the end of its input.
local function start(interfaces, how)
  how = how or {}
  local process = box.start { words = { "/bin/sh", "-c", "echo ready; read line" }, stdin = "", keep_input = true,
    body = body(interfaces, how.more) .. (how.body or ""), options = how.options }
  process:await "ready\n"
  return process
end

local function stop(process)
  process:close_input()
  local r = process:wait()
  t.equal(r.code, 1, r.stderr)
end

-- ---- ordinary users ----

t.test("an ordinary user has interfaces only where no host is needed", function()
  t.needs_user()
  t.equal(box.says { shell = "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '", body = "network = { interfaces = {} }" }, "lo")
  box.refused({ "exit", "0", body = "network = { interfaces = { veth { } } }" }, "the other end of a veth is made on the host",
    "run luge as root, or leave the interface out")
  box.refused({ "exit", "0", body = "network = { join = '/proc/self/ns/net' }" }, "an ordinary user may not enter it")
end)

-- ---- a wire to the host ----

test("a veth: TCP, UDP and ICMP, of both families", function()
  local interfaces = 'veth { address = "10.5.0.2/24", address6 = "fd05::2/64" }'
  local container = start(interfaces)
  t.equal({ traffic.ping "10.5.0.2", traffic.ping "fd05::2", traffic.ping("10.5.0.2", 5, 3000) }, { true, true, true })
  stop(container)
  -- The host's end has its address once there is a container; so a server listens on any.
  for address, any in pairs { ["10.5.0.1"] = "0.0.0.0", ["fd05::1"] = "::" } do
    local server = traffic.start_server(any, 7000)
    t.equal({ client(interfaces, "tcp", address, "7000"), client(interfaces, "udp", address, "7000") }, { "HELLO", "HELLO" })
    traffic.stop_server(server)
    t.equal(client(interfaces, "tcp", address, "7000"), "refused")
  end
end)

test("the host reaches a server of the container", function()
  local process = box.start { words = { "/luge", "lua", "/traffic.lua", "serve", "::", "80" }, body = body
    'veth { address = "10.5.0.2/24", address6 = "fd05::2/64" }' }
  process:await "ready\n"
  for _, address in ipairs { "10.5.0.2", "fd05::2" } do
    t.equal({ traffic.ask("tcp", address, 80), traffic.ask("udp", address, 80) }, { "HELLO", "HELLO" }, address)
    t.equal(traffic.ask("tcp", address, 81), "refused")
  end
  S.kill(process.pid, "term")
  process:wait()
end)

test("addresses that nobody has, the host as the way out, and the name in /etc/hosts", function()
  local text = box.succeed({ shell = "cat /etc/hosts /etc/resolv.conf; ip -br address; ip route; ip -6 route",
    body = body("veth { }", 'hosts = { db = "192.0.2.9", v6 = "fd00::9" }, dns = { "192.0.2.53", "fd00::53" }')
      .. ', hostname = "box"' }).stdout
  local v4 = t.matches(text, "\n(10%.213%.%d+%.%d+)\tbox\n")
  local v6 = t.matches(text, "\n(fd6c:7567:6500:[%x:]+)\tbox\n")
  t.contains(text, "127.0.0.1\tlocalhost\n::1\tlocalhost\n")
  t.contains(text, "192.0.2.9\tdb\nfd00::9\tv6\n")
  t.contains(text, "nameserver 192.0.2.53\nnameserver fd00::53\n")
  t.matches(text, "eth0@if%d+ +%u+ +" .. v4 .. "/30 " .. v6 .. "/64 ")
  local host = v4:gsub("%d+$", function(last) return tostring(tonumber(last) - 1) end)
  t.contains(text, "default via " .. host .. " dev eth0")
  local subnet = v6:match "^%x+:%x+:%x+:%x+"
  t.contains(text, "default via " .. subnet:gsub(":0$", "") .. "::1 dev eth0")
end)

test("\"auto\" keeps off what the host has routes to", function()
  -- All of the first range but one part, and the second range of a VPN that takes everything in halves.
  assert(nl.veth { name = "vpn", peer = "other", up = true })
  assert(nl.up "other" and nl.address("vpn", "10.213.255.1/16") and nl.address("vpn", "192.0.2.1/24"))
  assert(nl.route { to = "0.0.0.0/1", via = "192.0.2.9" } and nl.route { to = "128.0.0.0/1", via = "192.0.2.9" })
  t.matches(box.says { shell = "ip -4 -br address show dev eth0", body = body "veth { address6 = false }" }, " 172%.29%.%d+%.%d+/30")
  assert(nl.address("vpn", "172.29.0.1/16") and nl.address("vpn", "192.168.0.1/16"))
  box.refused({ "exit", "0", body = body "veth { }" }, "every range that luge takes addresses from meets a route of this host",
    'write them: address = ')
  t.equal(box.says { shell = "ip -4 -br address show dev eth0 | wc -l", body = body 'veth { address = "10.9.0.2/30" }' }, "1")
  assert(nl.delete "vpn")
end)

test("what the host knows of a container is not what the container says", function()
  local container = start 'veth { address = "10.5.0.2/24", address6 = "fd05::2/64" }'
  local link
  for _, one in ipairs(nl.interfaces()) do
    if one.name:find "^lg" then link = one end
  end
  local function conf(v, name) return S.readfile(("/proc/sys/net/ipv%d/conf/%s/%s"):format(v, link.name, name)) end
  t.equal({ conf(6, "accept_ra"), conf(6, "accept_redirects"), conf(4, "rp_filter"), conf(4, "accept_redirects") },
    { "0\n", "0\n", "1\n", "0\n" })
  t.equal(#link.addresses, 2, "the host's addresses of the wire, no link-local one")
  stop(container)
end)

test("mtu, mac, several interfaces, routes", function()
  local text = box.succeed({ shell = "ip -o link; ip route; ip -6 route",
    body = body [[veth { address = "10.5.0.2/24", mtu = 1400, mac = "02:00:00:00:00:07" },
      veth { name = "lan", address = "10.6.0.2/24", address6 = false,
        routes = { { "10.7.0.0/16", "10.6.0.9" }, { to = "10.8.0.0/16", metric = 7 } } },
      veth { gateway = false, gateway6 = false, address = "10.9.0.2/24", address6 = "fd09::2/64",
        routes = { { "default6", "fd09::9", metric = 5 } } }]] }).stdout
  t.matches(text, "eth0@if%d+: <[^\n]*> mtu 1400 [^\n]* link/ether 02:00:00:00:00:07 ")
  t.matches(text, "lan@if%d+: <[^\n]*> mtu 1500 ")
  t.lacks(box.says { shell = "ip -6 address show dev eth0", body = body "veth { address6 = false }" }, "inet6")
  t.matches(text, "eth2@if%d+: ")
  t.contains(text, "default via 10.5.0.1 dev eth0 ")
  t.contains(text, "default via 10.6.0.1 dev lan metric 200")
  t.contains(text, "10.7.0.0/16 via 10.6.0.9 dev lan")
  t.contains(text, "10.8.0.0/16 dev lan scope link metric 7")
  t.contains(text, "default via fd09::9 dev eth2 metric 5")
  t.lacks(text, "dev eth2 metric 200", "no gateway, no way out")
end)

test("a route that cannot be is told in the kernel's words", function()
  for _, more in ipairs { "", "mounts = { file { '/etc/group', text = 'root:x:0:\\nnogroup:x:65534:\\n' } }," } do
    local r = box.run { "exit", "0", body = more .. [[ network = { egress = false, interfaces = { veth { address = "10.5.0.2/24",
      routes = { { to = "10.7.0.0/16", via = "10.9.9.9" } } } } } ]] }
    t.equal(r.code, 125)
    t.contains(r.stderr, "network.interfaces[1].routes[1]: 10.9.9.9: Network is unreachable: Nexthop has invalid gateway")
  end
end)

test("an address that another container has", function()
  local container = start 'veth { address = "10.5.0.2/24" }'
  local r = t.run(box.words { "exit", "0", body = body 'veth { address = "10.5.0.2/24" }' })
  t.equal(r.code, 125)
  t.contains(r.stderr, "network.interfaces[1].address: 10.5.0.2/24: Device or resource busy: held by process ")
  t.contains(r.stderr, "another container of this machine has that address")
  stop(container)
  assert(nl.veth { name = "lan", peer = "far", up = true } and nl.up "far" and nl.address("lan", "10.5.0.9/24"))
  box.refused({ "exit", "0", body = body 'veth { address = "10.5.0.2/24" }' },
    "10.5.0.2/24 meets the host's own network 10.5.0.0/24 (lan)", "take a network that the host has not")
  assert(nl.delete "lan")
end)

test("a network of another width that the host is in, or goes out by, is the host's", function()
  assert(nl.veth { name = "lan", peer = "far", up = true } and nl.up "far" and nl.address("lan", "10.5.0.7/24"))
  assert(nl.route { to = "default", via = "10.5.0.1" } and nl.route { to = "192.0.2.9/32", via = "198.51.100.1", dev = "lan", onlink = true })
  assert(nl.address("lan", "fd05::7/64", "nodad"))
  -- The host's end would be 10.5.0.1, its own way out.
  for interface, words in pairs {
    ['veth { address = "10.5.0.2/30" }'] = "interfaces[1].address: 10.5.0.2/30 meets the host's own network 10.5.0.0/24 (lan)",
    ['veth { address = "10.5.1.2/16" }'] = "interfaces[1].address: 10.5.1.2/16 meets the host's own network 10.5.0.0/24 (lan)",
    ['veth { address = "198.51.100.2/30" }'] = "198.51.100.2/30 meets the host's own network 198.51.100.1 (lan)",
    ['veth { address6 = "fd05::2/126" }'] = "interfaces[1].address6: fd05::2/126 meets the host's own network fd05::/64 (lan)",
    ['bridge { "lab", subnet = "10.5.0.0/28", gateway = "auto" }'] =
      "interfaces[1].subnet: 10.5.0.1/28 meets the host's own network 10.5.0.0/24 (lan)",
  } do
    box.refused({ "exit", "0", body = body(interface) }, words)
  end
  local out = nl.routes { family = "inet" }[1]
  t.equal({ out.to, out.via }, { "default", "10.5.0.1" })
  assert(nl.delete "lan")
end)

test("\"auto\" keeps off what a table of a VPN's own leads to", function()
  assert(nl.veth { name = "vpn", peer = "other", up = true } and nl.up "other")
  assert(nl.route { to = "10.213.0.0/17", dev = "vpn", table = 52 } and nl.route { to = "10.213.128.0/17", dev = "vpn", table = 52 })
  assert(nl.route { to = "fd00::/8", dev = "vpn", table = 1052 } and nl.rule { table = 52, priority = 100 })
  local text = box.says { shell = "ip -br address show dev eth0", body = body "veth { }" }
  t.matches(text, " 172%.29%.%d+%.%d+/30 fc6c:7567:6500:[%x:]+/64")
  -- What is written may be a part of it: the rest still leads there.
  t.matches(box.says { shell = "ip -br -4 address show dev eth0", body = body 'veth { address = "10.213.9.2/24" }' }, " 10%.213%.9%.2/24")
  box.refused({ "exit", "0", body = body 'veth { address = "10.213.9.2/17" }' }, "meets the host's own network 10.213.0.0/17 (vpn)")
  assert(nl.delrule { table = 52, priority = 100 } and nl.delete "vpn")
end)

test("a wire's network is one container's, however it is written", function()
  local container = start 'veth { address = "10.9.0.2/24", address6 = "fd09::2/64" }'
  for interface, words in pairs {
    ['veth { address = "10.9.0.6/24" }'] = "10.9.0.6/24: Device or resource busy: held by process ",
    ['veth { address6 = "fd09::6/64" }'] = "fd09::6/64: Device or resource busy: held by process ",
  } do
    local r = t.run(box.words { "exit", "0", body = body(interface) })
    t.equal(r.code, 125)
    t.contains(r.stderr, words)
    t.contains(r.stderr, "another container's wire is in that network: take a network of its own, or a bridge { } for both")
  end
  local r = t.run(box.words { "exit", "0", body = body 'veth { address6 = "fd09:0:0::0002/64" }' })
  t.contains(r.stderr, "fd09:0:0::0002/64: Device or resource busy: held by process ")
  t.contains(r.stderr, "another container of this machine has that address")
  t.succeed(box.words { "exit", "0", body = body 'veth { address = "10.9.1.2/24" }' })
  stop(container)
end)

test("a wire of two addresses: the host has the other one", function()
  local server = traffic.start_server("::", 7000)
  for interface, host in pairs { ['veth { address = "10.5.0.3/31" }'] = "10.5.0.2", ['veth { address = "10.5.0.2/31" }'] = "10.5.0.3",
    ['veth { address6 = "fd05::1/127" }'] = "fd05::" } do
    t.equal(client(interface, "tcp", host, "7000"), "HELLO", interface)
  end
  traffic.stop_server(server)
end)

test("networks that a container routes for are reached by it", function()
  local more = ("network = { interfaces = { veth { address = '10.5.0.2/24', address6 = 'fd05::2/64', behind = { '10.6.0.0/16', 'fd06::/64' } } }, "
    .. "egress = false }, capabilities = { 'net_admin' }, mounts = { bind { %q, '/luge' }, bind { %q, '/traffic.lua' } }")
    :format(t.luge, CLIENT)
  local process = box.start { words = { "/bin/sh", "-c",
    "ip address add 10.6.0.1/32 dev lo && ip address add fd06::1/128 dev lo && exec /luge lua /traffic.lua serve :: 80" }, body = more }
  process:await "ready\n"
  for _, address in ipairs { "10.6.0.1", "fd06::1" } do t.equal(traffic.ask("tcp", address, 80), "HELLO", address) end
  local r = t.run(box.words { "exit", "0", body = body 'veth { behind = { "10.6.0.0/16" } }' })
  t.equal(r.code, 125)
  t.contains(r.stderr, "network.interfaces[1].behind[1]: 10.6.0.0/16: File exists")
  t.contains(r.stderr, "another container routes for that network")
  S.kill(process.pid, "term")
  process:wait()
  t.equal(#nl.routes(), 0, tostring(nl.routes()))
  assert(nl.veth { name = "lan", peer = "far", up = true } and nl.up "far" and nl.address("lan", "10.6.7.1/24"))
  box.refused({ "exit", "0", body = body 'veth { behind = { "10.0.0.0/8", "0.0.0.0/0" } }' },
    "network.interfaces[1].behind[1]: 10.0.0.0/8 meets the host's own network 10.6.7.0/24 (lan)",
    "network.interfaces[1].behind[2]: 0.0.0.0/0 is everywhere, the host's own way out as well")
  box.refused({ "exit", "0", body = body 'veth { address6 = false, behind = { "fd06::/64" } }' },
    "network.interfaces[1].behind[1]: the host has no address on the wire to reach fd06::/64 by")
  assert(nl.delete "lan")
end)

test("hundreds of entries of allow, and dozens of wires", function()
  local allow, wires = {}, {}
  for i = 1, 400 do allow[i] = ("{ cidr = '198.18.%d.%d', port = %d }"):format(i // 250, i % 250 + 1, 1000 + i) end
  for i = 1, 40 do wires[i] = "veth { }" end
  t.equal(box.says { shell = "ls /sys/class/net | wc -l", body = ("network = { interfaces = { %s }, egress = { allow = { %s } } }")
    :format(table.concat(wires, ", "), table.concat(allow, ", ")) }, "41")
end)

-- ---- bridges ----

test("containers on a bridge reach each other, and go with it", function()
  local one = start 'bridge { "lab", address = "10.5.0.2/24", address6 = "fd05::2/64" }'
  t.equal(nl.link("lab").kind, "bridge")
  local interfaces = 'bridge { "lab", address = "10.5.0.3/24", address6 = "fd05::3/64" }'
  for _, address in ipairs { "10.5.0.2", "fd05::2" } do
    t.equal({ client(interfaces, "tcp", address, "9", "10"), client(interfaces, "udp", address, "9", "10") },
      { "refused", "refused" }, "they answer")
  end
  t.equal(traffic.ping("10.5.0.2", 0.3), false, "the host is not on it")
  t.ok(nl.link "lab", "somebody uses it still")
  stop(one)
  t.ok(select(2, nl.link "lab").NODEV, "the last one took it away")
end)

test("isolated ports do not reach each other, but those that are not", function()
  local free = start 'bridge { "lab", address = "10.5.0.2/24", address6 = "fd05::2/64" }'
  local isolated = start 'bridge { "lab", address = "10.5.0.3/24", address6 = "fd05::3/64", isolated = true }'
  local interfaces = 'bridge { "lab", address = "10.5.0.4/24", address6 = "fd05::4/64", isolated = true }'
  for number, expected in pairs { [2] = "refused", [3] = "timeout or unreachable" } do
    for _, base in ipairs { "10.5.0.", "fd05::" } do
      local got = client(interfaces, "udp", base .. number, "9", "0.5")
      t.equal(got == "refused", expected == "refused", base .. number .. ": " .. got)
    end
  end
  stop(isolated)
  stop(free)
end)

test("a bridge with addresses that nobody has, the host as the way out", function()
  local server = traffic.start_server("::", 7000)
  local one = start 'bridge { "lab", gateway = "auto", gateway6 = "auto" }'
  local lab = nl.interfaces().lab
  t.equal({ #lab.addresses, lab.addresses[1].prefix, lab.addresses[2].prefix }, { 2, 24, 64 })
  for _, address in ipairs(lab.addresses) do
    t.equal(client('bridge { "lab", gateway = "auto", gateway6 = "auto" }', "tcp", address.address, "7000"), "HELLO")
  end
  stop(one)
  traffic.stop_server(server)
  t.matches(box.says { shell = "ip -4 -br address show dev eth0", body = body 'bridge { "lab", subnet = "10.5.0.0/29" }' },
    " 10%.5%.0%.[2-6]/29")
end)

test("a bridge that was there before stays", function()
  assert(nl.bridge { name = "mine", up = true } and nl.address("mine", "10.5.0.1/24"))
  t.equal(client('bridge { "mine", address = "10.5.0.2/24", address6 = false, gateway = "10.5.0.1" }', "udp", "10.5.0.1", "9"), "refused")
  t.equal(nl.interfaces().mine.addresses[1].address, "10.5.0.1")
  box.refused({ "exit", "0", body = body 'bridge { "mine" }' }, "the bridge mine: ", "the bridge is another's: write the addresses",
    "address6 (false for none)")
  assert(nl.delete "mine" and nl.veth { name = "mine", peer = "yours" })
  box.refused({ "exit", "0", body = body 'bridge { "mine", address = "10.6.0.2/24" }' }, "which is no bridge", "choose another name")
  assert(nl.delete "mine")
end)

test("an address that another container on the bridge has", function()
  local container = start 'bridge { "lab", address = "10.5.0.2/24", address6 = "fd05::a/64" }'
  for text, what in pairs { ['address = "10.5.0.2/24", address6 = false'] = "10.5.0.2/24: ",
    ['address = false, address6 = "fd05::a/64"'] = "fd05::a/64: " } do
    local r = t.run(box.words { "exit", "0", body = body(('bridge { "lab", %s }'):format(text)) })
    t.equal(r.code, 125)
    t.contains(r.stderr, what .. "Device or resource busy: held by process ")
    t.contains(r.stderr, "another container of this machine has that address")
  end
  stop(container)
end)

test("another's bridge keeps its addresses, and none of luge's", function()
  local function addresses()
    local list = {}
    for _, address in ipairs(nl.interfaces().mine.addresses) do list[#list + 1] = address.address .. "/" .. address.prefix end
    table.sort(list)
    return table.concat(list, " ")
  end
  assert(nl.bridge { name = "mine", up = true } and nl.set("mine", { link_local = false }) and nl.address("mine", "10.6.0.1/24"))
  for _, address in ipairs(nl.addresses { dev = "mine" }) do
    if address.address ~= "10.6.0.1" then assert(nl.deladdress("mine", address.address .. "/" .. address.prefix)) end
  end
  local both = 'bridge { "mine", subnet = "10.6.0.0/24", gateway = "auto", subnet6 = "fd06::/64", gateway6 = "auto" }'
  local one = start 'bridge { "mine", subnet = "10.6.0.0/24", gateway = "auto", address6 = false }'
  local two = start(both)
  t.equal(addresses(), "10.6.0.1/24 fd06::1/64")
  stop(two)
  t.equal(addresses(), "10.6.0.1/24 fd06::1/64", "one of them runs")
  stop(one)
  t.equal(addresses(), "10.6.0.1/24")
  local killed = start 'bridge { "mine", subnet = "10.6.1.0/24", gateway = "auto", subnet6 = "fd06::/64", gateway6 = "auto" }'
  t.equal(addresses(), "10.6.0.1/24 10.6.1.1/24 fd06::1/64")
  S.kill(killed.pid, "kill")
  killed:wait()
  for _ = 1, 500 do -- until its processes let go of the lock
    t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
    if addresses() == "10.6.0.1/24" then break end
    S.nanosleep(0.01)
  end
  t.equal(addresses(), "10.6.0.1/24")
  assert(nl.delete "mine")
end)

test("what is \"auto\" on a bridge is never what somebody wrote", function()
  -- Room for five, of which one is written; each of them says its addresses and stays.
  local own = { start 'bridge { "lab", address = "10.5.0.2/24", address6 = "fd05::3/64" }' }
  local auto = 'bridge { "lab", subnet = "10.5.0.0/29", subnet6 = "fd05::/64" }'
  local seen = { ["10.5.0.2"] = true, ["fd05::3"] = true }
  for _ = 1, 4 do
    local process = box.start { words = { "/bin/sh", "-c", "ip -br address show dev eth0; read line" }, stdin = "", keep_input = true,
      body = body(auto) }
    own[#own + 1] = process
    for _, address in ipairs { process:await "(10%.5%.0%.%d+)/29 fd05::%x+/64", process:await "10%.5%.0%.%d+/29 (fd05::%x+)/64" } do
      t.ok(not seen[address], address .. " twice")
      seen[address] = true
    end
  end
  t.contains(t.run(box.words { "exit", "0", body = body(auto) }).stderr, "every address there is in use")
  for _, text in ipairs { 'address = "10.5.0.4/24", address6 = false', 'address = false, address6 = "fd05:0::0003/64", subnet6 = "fd05::/64"' } do
    t.contains(t.run(box.words { "exit", "0", body = body(('bridge { "lab", %s }'):format(text)) }).stderr,
      "another container of this machine has that address")
  end
  for _, process in ipairs(own) do stop(process) end
end)

test("a bridge whose maker was killed is made anew", function()
  local container = start 'bridge { "lab", gateway = "auto" }'
  local old = nl.link "lab"
  S.kill(container.pid, "kill")
  container:wait()
  for _ = 1, 500 do -- until its processes let go of the lock
    local r = t.run(box.words { "exit", "0", body = body 'bridge { "lab", gateway = "auto" }' })
    t.equal(r.code, 0, r.stderr)
    if not nl.link "lab" and #locks() == 0 then break end -- another luge that starts meanwhile may do it
    S.nanosleep(0.01)
  end
  t.ok(not nl.link "lab" and old, "the bridge goes with the next one")
  t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
end)

test("many at once on one bridge: each an address of its own", function()
  local all = {}
  for i = 1, 6 do all[i] = start 'bridge { "lab", subnet = "10.5.0.0/28", subnet6 = "fd05::/64" }' end
  t.equal(#nl.interfaces(), 8)
  for i = 1, 6 do stop(all[i]) end
end)

-- ---- devices, wires ----

test("a macvlan is in the network that its device is in", function()
  -- "uplink" is the host's device; what is behind it is another machine.
  local outside = apart.namespace()
  assert(nl.veth { name = "uplink", up = true, peer = { name = "out", netns = outside } })
  assert(nl.address("out", "10.5.0.1/24", { netns = outside }) and nl.address("out", "fd05::1/64", { flags = "nodad", netns = outside }))
  assert(nl.up("out", outside))
  local server = apart.inside(outside, traffic.start_server, "::", 7000)
  for _, address in ipairs { "10.5.0.1", "fd05::1" } do
    t.equal(client('macvlan { "uplink", address = "10.5.0.2/24", address6 = "fd05::2/64" }', "tcp", address, "7000"), "HELLO")
  end
  traffic.stop_server(server)
  box.refused({ "exit", "0", body = body 'macvlan { "nothing" }' }, "network.interfaces[1]: nothing: No such device",
    "the host has no device nothing")
  assert(nl.delete "uplink")
end)

-- With containers in the background, which end with the test, however that ends.
local function test_detached(name, f)
  t.test(name, function()
    t.needs_root()
    apart.run(function()
      local detached = dofile "tests/integration/detached.lua"(t, box)
      local ok, err = pcall(f, detached)
      detached.luge("rm", "--force", "--all", "-t", "1s")
      if not ok then error(err, 0) end
      detached.nothing_left()
    end)
  end)
end

test_detached("a wire to another container", function(detached)
  detached.start("det-router", { shell = "while :; do sleep 1; done", body = body "" })
  local name = detached.own "det-router"
  t.equal(detached.json("inspect", "det-router").containers[1].network, nil, "none of its own yet")
  local wire = ([[link { %q, address = "10.5.0.2/24", address6 = "fd05::2/64",
    peer = { name = "eth5", address = "10.5.0.1/24", address6 = "fd05::1/64" } }]]):format(name)
  for _, address in ipairs { "10.5.0.1", "fd05::1" } do
    t.equal(client(wire, "udp", address, "9"), "refused")
  end
  t.equal(#nl.interfaces(), 1, "the host has no end of it")
  local r = t.run(box.words { "exit", "0", body = body((wire:gsub(name:gsub("%-", "%%-"), "nobody"))) })
  t.contains(r.stderr, "the container 'nobody': No such file or directory")
end)

-- ---- networks of others ----

test_detached("join: the network of a container, or of a path", function(detached)
  detached.start("det-web", { shell = "while :; do sleep 1; done", body = body 'veth { address = "10.5.0.2/24" }' })
  local web = detached.seen "det-web"
  local row = detached.json("inspect", "det-web").containers[1].network[1]
  t.equal({ row.name, row.kind, row.address }, { "eth0", "veth", "10.5.0.2/24" })
  t.matches(row.address6, "^fd6c:7567:6500:[%x:]+/64$")
  t.ok(nl.link(row.link), "the host's end")
  local its = S.readlink(("/proc/%d/ns/net"):format(web.pid))
  local joined = ("network = { join = %q }"):format(detached.own "det-web")
  t.equal(run_text(joined, "readlink /proc/self/ns/net"), its)
  t.equal(detached.ok("exec", "det-web", "--", "readlink", "/proc/self/ns/net"), its .. "\n")
  t.equal(run_text(joined, "echo $(ls /sys/class/net); ls /sys/fs/cgroup | wc -l"), "eth0 lo\n0", "its links, and not the host's")
  t.equal(run_text(joined .. ", id_map = 'host'", "echo $(ls /sys/class/net)"), "eth0 lo")
  local r = t.run(box.words { shell = "true", body = joined .. ', sysctl = { ["net.ipv4.ip_forward"] = 1 }' })
  t.contains(r.stderr, "would change the host: namespaces.net is not the container's own")
  detached.ok("rm", "-f", "-t", "1s", "det-web")
  t.contains(t.run(box.words { shell = "true", body = joined }).stderr, "start it first, with -d")
  -- A path, and a namespace of another kind.
  local there = apart.namespace()
  local path = ("/proc/%d/fd/%d"):format(S.getpid(), there:getfd())
  t.equal(run_text(("network = { join = %q }"):format(path), "readlink /proc/self/ns/net"), S.readlink(path))
  t.contains(t.run(box.words { shell = "true", body = 'network = { join = "/proc/self/ns/mnt" }' }).stderr,
    "it is no network namespace")
  -- Nobody is waited for at a pipe's other end.
  local pipe = ("/tmp/luge-pipe-%d"):format(S.getpid())
  t.must(S.mknod(pipe, "0600", "fifo"))
  for _, what in ipairs { ("network = { join = %q }"):format(pipe), ("namespaces = { uts = %q }"):format(pipe) } do
    local stopped = t.run(box.words { shell = "true", body = what })
    t.equal(stopped.code, 125)
    t.contains(stopped.stderr, "it is no n")
  end
  S.unlink(pipe)
end)

-- The owner's end takes its firewall along: whoever is in its network yet has none, so it has no wire either.
local function outlives(detached, how)
  local bridge = 'bridge { "lab", subnet = "10.5.0.0/24", gateway = "auto" }'
  local server, holder = traffic.start_server("0.0.0.0", 7000), start(bridge)
  detached.start("det-owner", { shell = "while :; do sleep 1; done", body = body(bridge, "egress = {}") })
  detached.start("det-joined", { shell = "while :; do sleep 1; done", body = ("network = { join = %q }, mounts = { bind { %q, '/luge' }, "
    .. "bind { %q, '/traffic.lua' } }"):format(detached.own "det-owner", t.luge, CLIENT) })
  local function ask() return detached.luge("exec", "det-joined", "/luge", "lua", "/traffic.lua", "tcp", "10.5.0.1", "7000", "0.3").stdout end
  t.equal(ask(), "refused\n")
  how(detached.seen("det-owner").pid)
  local after = ask()
  t.lacks(after, "HELLO")
  t.differs(after, "", "an answer of the client")
  stop(holder)
  traffic.stop_server(server)
end

test_detached("join: who outlives the network's owner reaches nothing by it", function(detached)
  outlives(detached, function() detached.ok("rm", "-f", "-t", "1s", "det-owner") end)
end)

test_detached("join: nor after gc, where the owner's luge was killed", function(detached)
  outlives(detached, function(pid)
    local luge = tonumber(S.readfile(("/proc/%d/status"):format(pid)):match "PPid:%s*(%d+)")
    S.kill(luge, "kill")
    for _ = 1, 500 do
      if detached.gc():find "owner" then return end
      S.nanosleep(0.01)
    end
    error "gc found nothing"
  end)
end)

t.test("a pod: one network, as long as one of its containers runs", function()
  t.needs_root()
  apart.run(function()
    local pod = ("network = { pod = 'pod%d' }"):format(S.getpid())
    local first = box.start { words = { "/bin/sh", "-c", "readlink /proc/self/ns/net; read line" }, stdin = "", keep_input = true,
      body = pod }
    local its = first:await "(net:%S+)\n"
    local second = box.start { words = { "/bin/sh", "-c", "readlink /proc/self/ns/net; read line" }, stdin = "", keep_input = true,
      body = pod }
    t.equal(second:await "(net:%S+)\n", its)
    stop(first)
    t.equal(run_text(pod, "readlink /proc/self/ns/net"), its, "the second holds it")
    t.equal(run_text(pod, "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '; ls /sys/class/net"), "lo\nlo")
    stop(second)
    t.differs(its, S.readlink "/proc/self/ns/net")
    box.nothing_left()
  end)
end)

-- ---- what is said of it ----

test("the report reads links and addresses back", function()
  local dir = t.dir()
  box.succeed { "exit", "0", options = { "--report", dir .. "/report" },
    body = body 'veth { address = "10.5.0.2/24", address6 = "fd05::2/64" }, bridge { "lab", address = "10.6.0.2/24" }' }
  local rows = {}
  for _, row in ipairs(t.json.decode(t.read(dir .. "/report")).receipt) do rows[row.field] = row end
  t.equal({ rows.network.got, rows.network.ok }, { "lo eth0 eth1", true })
  t.equal({ rows["network.interfaces[1]"].got, rows["network.interfaces[1]"].ok }, { "eth0 10.5.0.2/24 fd05::2/64", true })
  t.matches(rows["network.interfaces[2]"].got, "^eth1 10%.6%.0%.2/24 fd6c:7567:6501:%x*:?:%x+/64$")
end)

test("the plan names each step by its interface", function()
  local text = box.run({ verb = "plan", body = body 'veth { }, bridge { "lab", isolated = true }' }).stdout
  for _, part in ipairs { "S.nl.veth({ name = $link.eth0, peer = { mac = $mac.eth0, name = \"eth0\", netns = $child } })",
    "S.nl.address(\"eth0\", \"${address.eth0}/30\")", "S.nl.port($link.eth1, { isolated = true })",
    "S.nl.address(\"eth0\", \"${address6.eth0}/64\", \"nodad\")" } do
    t.contains(text, part)
  end
  t.contains(text, "network.interfaces[2] ")
end)

-- ---- ends ----

test("a luge that was killed leaves nothing, once gc was there", function()
  local one = start 'bridge { "lab", gateway = "auto" }, veth { }'
  local two = start 'bridge { "lab", gateway = "auto" }, veth { address = "10.5.0.2/24" }'
  S.kill(one.pid, "kill")
  one:wait()
  t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
  t.ok(nl.link "lab", "another uses it still")
  S.kill(two.pid, "kill")
  two:wait()
  for _ = 1, 500 do -- the kernel takes the locks from the containers' processes a moment later
    t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
    if not nl.link "lab" and #locks() == 0 then break end -- another luge that starts meanwhile may do it
    S.nanosleep(0.01)
  end
  t.ok(not nl.link "lab", "the bridge")
end)

-- Wherever it is at that moment.
test("killed while it starts: gc finds all of it", function()
  for i = 0, 14 do
    local process = box.start { words = { "/bin/sleep", "1000" }, body = body 'bridge { "lab", gateway = "auto" }, veth { }' }
    S.nanosleep(i * 0.002)
    S.kill(process.pid, "kill")
    process:wait()
    for _ = 1, 500 do
      t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
      if not nl.link "lab" and #S.dir(box.state) == 0 and #locks() == 0 then break end
      S.nanosleep(0.01) -- the container's processes end, and let go of the locks
    end
    t.equal(S.dir(box.state), {}, "after " .. i * 2 .. " ms")
    t.ok(not nl.link "lab", "the bridge, after " .. i * 2 .. " ms")
  end
end)

test("a network without interfaces is none, and names may be given", function()
  t.contains(box.says { shell = "cat /etc/hosts", body = "network = { interfaces = {}, hosts = { db = '192.0.2.1' } }" },
    "192.0.2.1\tdb")
end)
