-- SPDX-License-Identifier: MIT
-- What a network's fields mean before anything is made: addresses that nobody has, and what does not go together.

local t = dofile "tests/integration/harness.lua"
local p = dofile "tests/lua/profile.lua"
local check = require "netns.check"
local nl = require "netns"
local pool = require "netns.pool"

local function networks(...)
  local list = {}
  for i, text in ipairs { ... } do
    list[i] = check.parse_cidr(text)
    list[i].text = text
  end
  return list
end

local BOTH = { inet = true, inet6 = true }

t.test("addresses are counted in parts of a range", function()
  t.equal(nl.subnet("10.213.0.0/16", 30, 0, 1), "10.213.0.1")
  t.equal(nl.subnet("10.213.0.0/16", 30, 16383, 2), "10.213.255.254")
  t.equal(nl.subnet("10.214.0.0/16", 24, 12, 200), "10.214.12.200")
  t.equal(nl.subnet("fd6c:7567:6500::/48", 64, 1, 2), "fd6c:7567:6500:1::2")
  t.equal(nl.subnet("fd6c:7567:6500::/48", 64, 65535, 1), "fd6c:7567:6500:ffff::1")
  t.equal({ pool.neighbour_of "10.5.0.2/24", pool.neighbour_of "10.5.0.1/24", pool.neighbour_of "10.5.0.130/25" },
    { "10.5.0.1", "10.5.0.2", "10.5.0.129" })
  t.equal({ pool.neighbour_of "fd05::2/64", pool.neighbour_of "fd05::1/64", pool.neighbour_of "fd05::7:2/112" },
    { "fd05::1", "fd05::2", "fd05::7:1" })
  t.equal({ pool.neighbour_of "10.5.0.3/31", pool.neighbour_of "10.5.0.2/31", pool.neighbour_of "fd05::1/127" },
    { "10.5.0.2", "10.5.0.3", "fd05::" })
  t.equal({ pool.neighbour_of "10.5.0.3/32", pool.neighbour_of "fd05::1/128" }, {})
  t.equal({ pool.contains("10.5.0.0/23", "10.5.1.9"), pool.contains("10.5.0.0/23", "10.5.2.9"),
    pool.contains("fd05::/12", "fd0f::1"), pool.contains("fd05::/64", "10.5.0.1") }, { true, false, true, false })
end)

t.test("an Ethernet address that goes with an address, and with no other in that place", function()
  t.equal(nl.mac_of("lab", "10.5.0.2"), nl.mac_of("lab", "10.5.0.2"))
  t.equal(nl.mac_of("lab", "fd05::2"), nl.mac_of("lab", "fd05:0::0002"))
  local seen, tails = {}, {}
  for _, place in ipairs { "lab", "bal", "lab2" } do
    for i = 0, 999 do
      for family, address in pairs { inet = ("10.5.%d.%d"):format(i >> 4, i & 15), inet6 = ("fd05::%x:%x"):format(i >> 4, i & 15) } do
        local mac = nl.mac_of(place, address)
        t.equal(check.mac_text(check.mac(mac)), mac)
        t.equal(check.mac(mac):byte() & 3, 2, "locally administered, of one")
        t.ok(not seen[mac], mac)
        seen[mac] = true
        if family == "inet" then
          t.ok(not tails[mac:sub(-11)], mac)
          tails[mac:sub(-11)] = true
        end
      end
    end
  end
end)

t.test("no part that a route of the host meets", function()
  local first = pool.WIRE.bases[1]
  t.equal(pool.choose(pool.WIRE, {}, BOTH).pool.avoid, {})
  -- Default routes, and what a VPN makes of one.
  t.equal(pool.choose(pool.WIRE, networks("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "8000::/1"), BOTH).pool.avoid, {})
  local some = pool.choose(pool.WIRE, networks("10.213.0.0/24", "10.213.1.4/30", "10.213.2.9/32", "192.0.2.0/24"), BOTH)
  t.equal({ some.base, some.pool.avoid },
    { first, { { first = 0, count = 64 }, { first = 65, count = 1 }, { first = 130, count = 1 } } })
  local six = pool.choose(pool.WIRE, networks("fd6c:7567:6500:10::/60", "fd6c:7567:6500:30::7/128", "fd00::/64"), BOTH)
  t.equal(six.pool.avoid, { { first = 16, count = 16 }, { first = 48, count = 1 } })
end)

t.test("another range where one is covered, and none where all are", function()
  t.equal(pool.choose(pool.WIRE, networks "10.0.0.0/8", BOTH).base, pool.WIRE.bases[2])
  t.equal(pool.choose(pool.WIRE, networks("10.0.0.0/8", "172.16.0.0/12"), BOTH).base, pool.WIRE.bases[3])
  local all = networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
  t.equal(pool.choose(pool.WIRE, networks("10.213.0.0/17", "10.213.128.0/17"), BOTH).base, pool.WIRE.bases[2], "in two halves")
  t.equal(pool.choose(pool.WIRE, networks("10.213.0.0/17", "fd6c:7567:6500:2000::/51", "fd6c:7567:6500::/51"), BOTH).base,
    pool.WIRE.bases[1])
  t.equal(pool.choose(pool.WIRE, networks "fd00::/8", BOTH).base6, pool.WIRE.bases6[2])
  t.equal(pool.choose(pool.WIRE, all, BOTH), nil)
  t.ok(pool.choose(pool.WIRE, all, { inet6 = true }), "IPv4 is not asked for")
  t.equal(pool.choose(pool.WIRE, networks "fc00::/7", BOTH), nil)
  t.ok(pool.choose(pool.WIRE, networks "fc00::/7", { inet = true }), "IPv6 is not asked for")
  t.equal(pool.choose(pool.BRIDGE, networks "10.214.0.0/16", BOTH).base, pool.BRIDGE.bases[2])
end)

t.test("interfaces are named by their place", function()
  local list = p.spec('network = { interfaces = { veth { }, veth { name = "lan" }, bridge { "lab" } } }').network.interfaces
  t.equal({ list[1].name, list[2].name, list[3].name }, { "eth0", "lan", "eth2" })
  t.equal({ list[1].address, list[1].gateway, list[3].gateway, list[3].bridge }, { "auto", "auto", false, "lab" })
end)

local WRONG = {
  { "veth { }, veth { name = 'eth0' }", "network.interfaces[2]: eth0 is interfaces[1] already [give it another name]" },
  { "veth { name = 'lo' }", '"lo" is no name that a link can be given' },
  { "veth { name = 'all' }", 'network.interfaces[1].name: "all" is no name that a link can be given' },
  { "veth { name = 'default' }", '"default" is no name that a link can be given' },
  { "veth { address = '10.5.0.2' }", 'network.interfaces[1].address: "10.5.0.2" does not say how wide its network is [write "10.5.0.2/24"]' },
  { "veth { address = 'fd00::1/64' }", '"fd00::1/64" is no IPv4 address with a width' },
  { "veth { address = '10.5.0.0/24' }", "10.5.0.0/24 is the network's own, not one of it" },
  { "veth { address = '10.5.0.255/24' }", "10.5.0.255/24 is the network's own, not one of it" },
  { "veth { address = '127.0.0.2/8' }", "127.0.0.2/8 is no address that an interface can have" },
  { "veth { address6 = 'ff02::1/64' }", "ff02::1/64 is no address that an interface can have" },
  { "veth { address6 = '::1/64' }", "::1/64 is no address that an interface can have" },
  { "veth { gateway = '10.5.0.1' }", 'is no neighbour of an address that is "auto"' },
  { "veth { address = false, gateway = '10.5.0.1' }", "needs an address to be reached from" },
  { "veth { address = '10.5.0.2/24', gateway = '10.6.0.1' }", "10.6.0.1 is not in the network of 10.5.0.2/24" },
  { "veth { address = '10.5.0.2/24', gateway = '10.5.0.2' }",
    "network.interfaces[1].gateway: 10.5.0.2 is the interface's own address" },
  { "bridge { 'lab', address6 = 'fd05::2/64', gateway6 = 'fd05:0::0002' }", "gateway6: fd05:0::0002 is the interface's own address" },
  { "veth { address = '10.5.0.2/24', gateway = '10.5.0.0' }", "gateway: 10.5.0.0 is the network's own, and no router's" },
  { "veth { address = '10.5.0.2/24', gateway = '10.5.0.255' }", "gateway: 10.5.0.255 is the network's own, and no router's" },
  { "link { 'x', address = '10.5.0.2/24', peer = { name = 'eth1', address = '10.5.0.2/24' } }",
    "network.interfaces[1].peer: its address, 10.5.0.2/24, is that of this end, too" },
  { "link { 'x', address6 = 'fd05::2/64', peer = { name = 'eth1', address6 = 'fd05::0:2/64' } }",
    "peer: its address6, fd05::0:2/64, is that of this end, too" },
  { "veth { address = '10.5.0.2/24' }, veth { address = '10.5.0.3/24' }",
    "network.interfaces[2].address: 10.5.0.3/24 is in the network of interfaces[1], by which the host reaches it [take another network, "
      .. "or a bridge { } for both]" },
  { "veth { address6 = 'fd05::2/64' }, veth { address6 = 'fd05::3/64' }", "network.interfaces[2].address6: fd05::3/64 is in the network" },
  { "veth { address = '10.5.0.2/24' }, veth { address = '10.5.0.2/30', gateway = false }",
    "network.interfaces[2].address: 10.5.0.2/30 is the address of interfaces[1]" },
  { "bridge { 'lab', address = '10.5.0.2/24' }, bridge { 'lab', address = '10.5.0.2/24' }",
    "network.interfaces[2].address: 10.5.0.2/24 is the address of interfaces[1]" },
  { "veth { mtu = 1000 }", "network.interfaces[1].mtu: IPv6 needs 1280 bytes" },
  { "link { 'x', mtu = 1000, peer = { name = 'eth1', address6 = 'fd00::1/64' } }",
    "network.interfaces[1].mtu: IPv6 needs 1280 bytes, and peer has an address6 [leave that out, or write a larger one]" },
  { "veth { mtu = 20 }", "20 is out of bounds (68 to 65535)" },
  { "veth { mac = '03:00:00:00:00:01' }", "is the address of a group [its second digit must be even]" },
  { "veth { mac = '00:00:00:00:00:00' }", '"00:00:00:00:00:00" is nobody\'s address' },
  { "veth { mac = '3:0:0:0:0:1' }", "is no Ethernet address" },
  { "veth { name = 'a b' }", "is no name of an interface" },
  { "bridge { 'lab', nat = true }", "is for what goes by the host, and this interface has another router" },
  { "veth { routes = { { '10.0.0.0/8', 'fd00::1' } } }", "[1]: fd00::1 is no address of the family of 10.0.0.0/8" },
  { "veth { address6 = false, routes = { { 'fd00::/8' } } }", "[1]: fd00::/8 needs an address6" },
  { "veth { behind = { '10.6.0.0/16', 'fd06::/64', '10.6.7.8/16' } }",
    "network.interfaces[1].behind[3]: 10.6.7.8/16 is interfaces[1].behind[1] already [write it once]" },
  { "veth { behind = { '10.6.0.0/16' } }, veth { behind = { '10.6.0.0/16' } }",
    "network.interfaces[2].behind[1]: 10.6.0.0/16 is interfaces[1].behind[1] already" },
  { "bridge { 'lab', mac = '02:00:00:00:00:0A' }, bridge { 'lab', mac = '02:00:00:00:00:0a' }",
    "network.interfaces[2].mac: 02:00:00:00:00:0a is interfaces[1]'s on that bridge [take another, or leave it out]" },
  { "bridge { }", "needs bridge" },
  { "bridge { 'all' }", '"all" is no name that a link can be given' },
  { "bridge { 'lab', subnet = '10.5.0.0/24', address = '10.6.0.2/24' }", "10.6.0.2/24 is not in subnet, 10.5.0.0/24" },
  { "bridge { 'lab', address = '10.5.0.2/24', gateway = 'auto' }", "needs the bridge's subnet" },
  { "bridge { 'lab', subnet = '10.5.0.200/24' }",
    '"10.5.0.200/24" is an address in a network, not the network\'s own [write "10.5.0.0/24"]' },
  { "bridge { 'lab', subnet6 = 'fd05::9/64' }", '[write "fd05::/64"]' },
  { "bridge { 'lab', subnet = '10.5.0.0/24', address = '10.5.0.1/24', gateway = 'auto' }",
    'network.interfaces[1].address: 10.5.0.1/24 is the host\'s own: gateway is "auto"' },
  { "bridge { 'lab', subnet6 = 'fd05::/64', address6 = 'fd05::0:1/64', gateway6 = 'auto' }", "is the host's own" },
  { "veth { address = '10.5.0.3/32' }", "10.5.0.3/32 is a network of one address: there is none for the host" },
  { "veth { address6 = 'fd05::1/128' }", "write a wider one, or gateway6 = false" },
  { "bridge { 'lab', subnet = '10.5.0.0/31' }", "is no network of IPv4, 8 to 30 bits wide" },
  { "macvlan { 'e0', mode = 'bridged' }", "did you mean 'bridge'?" },
  { "link { 'x' }", "needs peer" },
  { "link { 'x', address = 'auto', gateway = 'auto', peer = { name = 'e' } }",
    'network.interfaces[1].address: "auto" is for a veth or a bridge, a link\'s is written [write it, or false for none]' },
  { "macvlan { 'e0', address6 = 'fd05::2/64', gateway6 = 'auto' }", "network.interfaces[1].gateway6: \"auto\" is for a veth or a bridge" },
  { "link { 'x', peer = { name = 'e', gateway = '10.5.0.1' } }", "network.interfaces[1].peer.gateway: needs an address to be reached from" },
  { "link { 'x', peer = { name = 'e', address = '10.5.0.1/24', gateway = '10.6.0.1' } }", "10.6.0.1 is not in the network of 10.5.0.1/24" },
  { "link { 'x', peer = { name = 'e', address = '127.0.0.2/8' } }", "127.0.0.2/8 is no address that an interface can have" },
  { "link { 'x', peer = { name = 'e', routes = { { 'default6', 'fd00::1' } } } }",
    "network.interfaces[1].peer.routes: [1]: default6 needs an address6" },
  { "link { 'x', peer = { name = 'e', address = '10.5.0.1/24', routes = { { '10.0.0.0/8', 'fd00::1' } } } }",
    "network.interfaces[1].peer.routes: [1]: fd00::1 is no address of the family of 10.0.0.0/8" },
  { "link { 'x', peer = { name = 'e', address = '10.5.0.1/24', gateway = 'auto' } }", "is no IPv4 address" },
  { "{ type = 'user', backend = 'passt' }", "is not one of" },
  { "{ type = 'wifi' }", "is no interface" },
  { "veth { address = '10.0.0.2\\0x/30' }", "is no IPv4 address with a width" },
  { "veth { address = '10.0.0.2/30', gateway = '10.0.0.1\\0' }", "is no IPv4 address" },
  { "veth { routes = { { '10.0.0.0\\0/8' } } }", "is no network" },
}

for _, row in ipairs(WRONG) do
  t.test("wrong: " .. row[1], function()
    local faults = p.faults(("network = { interfaces = { %s } }"):format(row[1]))
    t.equal(#faults, 1, t.json.encode(faults))
    t.contains(faults[1], row[2])
  end)
end

t.test("what looks like it and is not wrong", function()
  for _, interfaces in ipairs { "veth { address = '10.5.0.2/24' }, veth { address = '10.5.0.3/24', gateway = false }",
    "veth { address = '10.5.0.2/24' }, veth { address = '10.5.1.2/24' }, veth { }, veth { }",
    "bridge { 'lab', address = '10.5.0.2/24' }, bridge { 'lab', address = '10.5.0.3/24' }, bridge { 'bal', address = '10.5.0.2/24' }",
    "veth { address = '10.5.0.2/31', gateway = '10.5.0.3' }, veth { address6 = 'fd05::2/64', gateway6 = 'fd05::' }",
    "link { 'x', address = '10.5.0.2/24', peer = { name = 'eth1', address = '10.5.0.1/24' } }" } do
    t.equal(p.faults(("network = { interfaces = { %s } }"):format(interfaces)), {}, interfaces)
  end
end)

t.test("no NUL gets into resolv.conf or hosts", function()
  local line = "10.0.0.1\\0\\nnameserver 192.0.2.6"
  t.contains(p.faults("network = { interfaces = { veth { } }, dns = { '" .. line .. "' } }")[1], "is no address")
  t.contains(p.faults("network = { interfaces = { veth { } }, hosts = { db = '" .. line .. "' } }")[1], "is no address")
end)

t.test("a burst has room for a packet, with its header, of each interface", function()
  local function faults(mtu, burst)
    return p.faults(("network = { interfaces = { veth { }, veth { mtu = %s } }, bandwidth = { up = '10mbit', burst = %q } }"):format(mtu, burst))
  end
  t.equal({ faults("9000", "9018"), faults("nil", "2K"), faults("2030", "2048") }, { {}, {}, {} })
  local got = faults("9000", "9017")
  t.equal(#got, 1)
  t.contains(got[1], "network.bandwidth.burst: 9017 bytes are less than a packet of interfaces[2], whose mtu is 9000")
  t.contains(got[1], "write 9018, with the header of its link, or more")
end)

t.test("a burst is what the kernel has 32 bits for", function()
  t.contains(p.faults("network = { interfaces = { veth { } }, bandwidth = { up = '1gbit', burst = '4G' } }")[1],
    "network.bandwidth.burst: \"4G\" is out of bounds (2048 to 4294967295)")
end)

t.test("the internet is reached by a wire to the host, or by a helper where luge has no power over the host's network", function()
  for power, kind in pairs { [true] = "veth", [false] = "user" } do
    local network = p.spec("network = 'internet'", { facts = p.facts_with { net_admin = power } }).network
    t.equal({ network.interfaces[1].type, network.interfaces[1].name, network.egress.internet }, { kind, "eth0", true })
  end
end)

t.test("join and pod take a network as it is", function()
  t.contains(p.faults("network = { join = '/run/netns/x', interfaces = { veth { } } }")[1],
    "network.interfaces: excludes join, which takes a network as it is")
  t.contains(p.faults("network = { pod = 'x', join = 'y' }")[1], "network.pod: excludes join")
  t.contains(p.faults("network = { pod = 'x', publish = { { 80 } } }")[1], "publish in one container that has interfaces, and join = its name")
  t.equal(p.faults("network = { join = 'web', hosts = { db = '192.0.2.1' } }"), {})
  t.contains(p.faults("network = { join = 'web' }, namespaces = { net = true }")[1], "namespaces.net: disagrees with network")
end)
