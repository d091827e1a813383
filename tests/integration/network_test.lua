-- SPDX-License-Identifier: MIT
-- Containers with wires to the host, in real traffic: their addresses, routes and names; what is said of networks, and what is
-- left of them when luge is killed. Each test plays the host in a network namespace of its own (apart.lua); what luge made there
-- has to be gone at its end. An ordinary user has no power over a host's network. Bridges: network_bridge_test.lua; networks
-- of other containers: network_join_test.lua.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local traffic, test, body, client = net.traffic, net.test, net.wired, net.wired_client
local start, stop = net.hold, net.let_go

-- ---- ordinary users ----

t.test("an ordinary user has interfaces only where no host is needed", function()
  t.needs_user()
  t.equal(box.says { shell = "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '", body = "network = { interfaces = {} }" }, "lo")
  box.refused({ "exit", "0", body = "network = { interfaces = { veth { } } }" }, "the other end of a veth is made on the host",
    "run luge as root; an ordinary user has network = \"user\"")
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
  local process = box.start { words = net.SERVER, body = body
    'veth { address = "10.5.0.2/24", address6 = "fd05::2/64" }' }
  process:await "ready\n"
  for _, address in ipairs { "10.5.0.2", "fd05::2" } do
    t.equal({ traffic.ask("tcp", address, 80), traffic.ask("udp", address, 80) }, { "HELLO", "HELLO" }, address)
    t.equal(traffic.ask("tcp", address, 81), "refused")
  end
  S.kill(process.pid, "term")
  process:wait()
end)

test("an mtu that is too small for IPv6, of every kind of interface that the host has a part in", function()
  t.must(nl.veth { name = "uplink", up = true, peer = "other" })
  t.must(nl.up "other")
  net.address("other", "10.5.0.1/24")
  for interface, peer in pairs { ["veth { address = '10.5.1.2/24', %s }"] = "10.5.1.1",
    ["bridge { 'lab', address = '10.5.1.2/24', subnet = '10.5.1.0/24', gateway = 'auto', %s }"] = "10.5.1.1",
    ["macvlan { 'uplink', address = '10.5.0.2/24', %s }"] = "10.5.0.1" } do
    for _, mtu in ipairs { 1279, 68 } do
      for _, more in ipairs { "", interface:find "^macvlan" and "" or "bandwidth = { down = '10mbit', up = '10mbit' }" } do
        local own = interface:format(("address6 = false, mtu = %d"):format(mtu))
        t.equal(net.says { words = { "/luge", "lua", "/traffic.lua", "tcp", peer, "9" }, body = net.wired(own, more) }, "refused",
          own .. more)
        t.equal(box.says { shell = "cat /sys/class/net/eth0/mtu", body = net.wired(own, more) }, tostring(mtu))
      end
    end
  end
  t.must(nl.delete "uplink")
end)

-- What a network without IPv6 leaves of one, and what is said of an address that was written.
for _, setting in ipairs { "default", "all" } do
  test(("a host whose conf.%s.disable_ipv6 is set: what nobody wrote is none"):format(setting), function()
    net.set_sysctl(("ipv6/conf/%s/disable_ipv6"):format(setting), "1")
    local says = { shell = "cat /etc/hosts; ip -o -6 address show dev eth0 scope global; ip -o -4 address show dev eth0" }
    for network, has6 in pairs { ['"internet"'] = false, ["{ interfaces = { veth { } } }"] = false,
      ['{ interfaces = { bridge { "lab", gateway = "auto", gateway6 = "auto" } } }'] = false,
      ["{ interfaces = { veth { gateway6 = false } } }"] = true, ['{ interfaces = { bridge { "lab" } } }'] = true } do
      says.body = "network = " .. network
      local text = box.says(says)
      t.matches(text, "inet 10%.21[34]%.", network)
      t.equal({ text:find "inet6 fd" ~= nil, text:find "\nfd6c:" ~= nil }, { has6, has6 }, network)
    end
    box.refused({ "exit", "0", body = body 'veth { address6 = "fd05::2/64" }' }, "IPv6 is switched off here: address6 = false")
    net.set_sysctl("ipv6/conf/default/disable_ipv6", "1")
    t.must(nl.bridge { name = "mine", up = true })
    net.set_sysctl("ipv6/conf/mine/disable_ipv6", "0")
    t.contains(box.says { shell = "ip -6 route", body = body [[bridge { "mine", address = false, subnet6 = "fd05::/64", gateway6 = "auto" }]] },
      "default via fd05::1 ")
    t.must(nl.delete "mine")
    net.set_sysctl(("ipv6/conf/%s/disable_ipv6"):format(setting), "0")
  end)
end

test("a container whose own sysctl switches IPv6 off has no address of it that nobody wrote", function()
  for _, name in ipairs { "all", "default" } do
    local text = box.says { shell = "cat /etc/hosts; ip -br address show dev eth0",
      body = ('network = "internet", sysctl = { ["net.ipv6.conf.%s.disable_ipv6"] = 1 }'):format(name) }
    t.matches(text, " 10%.213%.[%d.]+/30 ?$", name)
    t.lacks(text, "fd6c:")
  end
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

test("what is the host's, everybody's own and other containers' is behind none", function()
  for cidr, message in pairs { ["169.254.169.254"] = "169.254.169.254 is link-local", ["127.0.0.0/8"] = "is the loopback's",
    ["224.0.0.0/4"] = "224.0.0.0/4 is addresses of groups (multicast)", ["224.0.0.0/3"] = "224.0.0.0/3 has 224.0.0.0/4 in it: addresses of groups",
    ["::1"] = "is the loopback's", ["fe80::/64"] = "link-local", ["ff02::/16"] = "(multicast)", ["::ffff:10.6.0.0/112"] = "of IPv4",
    ["10.213.0.0/16"] = "meets 10.213.0.0/16, of which luge gives other containers their networks", ["10.213.7.0/24"] = "10.213.7.0/24 meets",
    ["10.208.0.0/12"] = "10.208.0.0/12 meets 10.21", ["10.214.5.1"] = "meets 10.214.0.0/16", ["10.215.0.0/24"] = "meets 10.215.0.0/16",
    ["fd6c:7567:6500:7::/64"] = "meets fd6c:7567:6500::/46", ["fd6c:7567:6502::/64"] = "meets fd6c:7567:6500::/46" } do
    for _, interface in ipairs { "veth { behind = { %q } }", "bridge { 'lab', subnet = '10.5.0.0/24', address6 = false, behind = { %q } }" } do
      box.refused({ "exit", "0", body = body(interface:format(cidr)) }, "network.interfaces[1].behind[1]: ", message)
    end
  end
  -- The first range is the host's: the second one's parts are in use.
  assert(nl.veth { name = "lan", peer = "far", up = true } and nl.up "far" and nl.address("lan", "10.213.0.1/16"))
  local process = net.hold "veth { }"
  t.matches(t.run(box.words { "exit", "0", body = body 'veth { behind = { "172.29.0.0/16" } }' }).stderr,
    "172%.29%.0%.0/16 meets 172%.29%.%d+%.%d+/30, of which luge")
  net.let_go(process)
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
  local more = body "veth { address = '10.5.0.2/24', address6 = 'fd05::2/64', behind = { '10.6.0.0/16', 'fd06::/64' } }"
    .. ", capabilities = { 'net_admin' }"
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

test("the neighbours of a macvlan hear who has an address now", function()
  local there = net.uplink()
  for run = 1, 3 do
    local container = start 'macvlan { "uplink", address = "10.5.0.2/24", address6 = "fd05::2/64" }'
    for _, address in ipairs { "10.5.0.2", "fd05::2" } do
      t.equal(net.apart.inside(there, traffic.ask, "tcp", address, 9, 3), "refused", ("%s, run %d"):format(address, run))
    end
    stop(container)
  end
  t.must(nl.delete "uplink")
end)

test("a macvlan is in the network that its device is in", function()
  -- "uplink" is the host's device; what is behind it is another machine.
  local server = net.server(net.uplink())
  for _, address in ipairs { "10.5.0.1", "fd05::1" } do
    t.equal(client('macvlan { "uplink", address = "10.5.0.2/24", address6 = "fd05::2/64" }', "tcp", address, "7000"), "HELLO")
  end
  traffic.stop_server(server)
  box.refused({ "exit", "0", body = body 'macvlan { "nothing" }' }, "network.interfaces[1]: nothing: No such device",
    "the host has no device nothing")
  assert(nl.delete "uplink")
end)

-- ---- what is said of it ----

test("a network without interfaces is none, and names may be given", function()
  t.contains(box.says { shell = "cat /etc/hosts", body = "network = { interfaces = {}, hosts = { db = '192.0.2.1' } }" },
    "192.0.2.1\tdb")
end)

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
  for _, part in ipairs { "S.nl.veth({ into = $child, mac = $mac.eth0, name = \"eth0\", peer = { name = $link.eth0 }, up = true })",
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
    if not nl.link "lab" and #net.locks() == 0 then break end -- another luge that starts meanwhile may do it
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
      if not nl.link "lab" and #S.dir(box.state) == 0 and #net.locks() == 0 then break end
      S.nanosleep(0.01) -- the container's processes end, and let go of the locks
    end
    t.equal(S.dir(box.state), {}, "after " .. i * 2 .. " ms")
    t.ok(not nl.link "lab", "the bridge, after " .. i * 2 .. " ms")
  end
end)
