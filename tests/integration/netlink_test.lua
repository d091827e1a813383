-- SPDX-License-Identifier: MIT
-- Networks by S.nl: what is asked for by plain data is what `ip` finds. Each test has network namespaces of its own.

local t = dofile "tests/integration/harness.lua"
local apart = dofile "tests/integration/apart.lua"(t)
local S = require "syscall"
local nl = require "netns"

local test = apart.test

local function ip_link(name, namespace)
  local words = { "link", "show", "dev", name }
  return (namespace and apart.ip_in(namespace, table.unpack(words)) or apart.ip(table.unpack(words)))[1]
end

local function raises(text, f, ...)
  local ok, message = pcall(f, ...)
  t.equal(ok, false, "wrong use of " .. text)
  t.contains(message, text)
end

-- ---- links ----

test("a veth has its peer in another namespace from the start", function()
  local there = apart.namespace()
  t.ok(nl.veth { name = "lg0", mtu = 1400, mac = "02:00:00:00:00:01", up = true,
    peer = { name = "eth0", netns = there, mac = "02:00:00:00:00:02", mtu = 1300 } })
  local one, other = ip_link "lg0", ip_link("eth0", there)
  t.equal({ one.mtu, one.address, one.linkinfo.info_kind }, { 1400, "02:00:00:00:00:01", "veth" })
  t.equal({ other.mtu, other.address, other.linkinfo.info_kind }, { 1300, "02:00:00:00:00:02", "veth" })
  t.equal(nl.link("eth0", there).is_up, false)
  t.ok(nl.up("eth0", there))
  t.equal({ nl.link("lg0").is_running, nl.link("eth0", there).is_up }, { true, true })
  t.fails("NODEV", nl.link "eth0")
  t.fails("EXIST", nl.veth { name = "lg1", peer = { name = "eth0", netns = there } })
  t.fails("NODEV", nl.link "lg1")
  t.fails("EXIST", nl.veth { name = "lg0", peer = "lg2" })
  t.ok(nl.delete "lg0")
  t.fails("NODEV", nl.link("eth0", there))
end)

test("links are changed by functions and by methods", function()
  t.ok(nl.veth { name = "one", peer = "two" })
  local links = nl.interfaces()
  t.equal(#links, 3)
  t.equal(links.one:up():setmtu(1280):setmac "02:00:00:00:00:0a", links.one, "each returns the link")
  local seen = ip_link "one"
  t.equal({ seen.mtu, seen.address }, { 1280, "02:00:00:00:00:0a" })
  t.ok(links.one:refresh())
  t.equal({ links.one.mtu, links.one.mac, links.one.is_up, links.one.kind }, { 1280, "02:00:00:00:00:0a", true, "veth" })
  t.ok(links.one:down() and links.one:rename "three")
  t.equal(links.one.name, "three")
  t.fails("NODEV", nl.link "one")
  t.ok(links.two:set { name = "four", alias = "x", queue = 17, arp = false, promisc = true })
  seen = ip_link "four"
  t.equal({ seen.ifalias, seen.txqlen, seen.promiscuity }, { "x", 17, 1 })
  t.contains(t.json.encode(seen.flags), "NOARP")
  t.ok(nl.set("three", { up = true }) and nl.set("three", { name = "five", up = false }), "down before it is renamed")
  t.ok(nl.rename("five", "three"))
  t.equal(links.lo:delete(), nil)
  t.ok(nl.set("one", { up = true, link_local = false }) == nil, "three is its name")
  t.ok(nl.set("three", { up = true, link_local = false }) and nl.set("four", { up = true, link_local = true, arp = true }))
  for _ = 1, 2500 do
    if #nl.addresses { dev = "four" } > 0 then break end
    S.nanosleep(0.002)
  end
  t.equal({ #nl.addresses { dev = "three" }, #nl.addresses { dev = "four" } }, { 0, 1 })
  local there = apart.namespace()
  t.ok(nl.move("three", there))
  t.fails("NODEV", nl.link "three")
  t.equal(ip_link("three", there).ifname, "three")
  -- By the pid of who is in it, and out of another namespace than ours.
  t.ok(nl.move("three", S.getpid(), there))
  t.ok(nl.link "three" and nl.delete "three")
  t.fails("NODEV", nl.link "four")
end)

test("links print as ip shows them", function()
  t.ok(nl.veth { name = "one", peer = "two" } and nl.up "lo" and nl.up "two")
  t.ok(nl.address("one", "10.0.0.1/24") and nl.address("one", "fd00::1/64", "nodad") and nl.up "one")
  for _ = 1, 2000 do -- the kernel notes a carrier a moment later
    if nl.link("one").state == "UP" and nl.link("two").state == "UP" then break end
    S.nanosleep(0.002)
  end
  local text = tostring(nl.interfaces())
  t.contains(text, "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 state UNKNOWN\n    link/loopback 00:00:00:00:00:00\n")
  t.contains(text, "inet 127.0.0.1/8 scope host lo")
  t.matches(text, "%d: one@if%d: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP\n    link/ether [%x:]+ veth\n")
  t.contains(text, "inet 10.0.0.1/24 brd 10.0.0.255 scope global one")
  t.contains(tostring(nl.addresses()), "\ninet 10.0.0.1/24 brd 10.0.0.255 scope global one\n")
  t.contains(text, "inet6 fd00::1/64 scope global nodad")
  for _, link in ipairs(apart.ip "address") do
    local own = nl.interfaces()[link.ifname]
    t.equal({ own.index, own.mtu, own.mac, own.state, own.type }, { link.ifindex, link.mtu, link.address, link.operstate,
      link.link_type })
    t.equal(#own.addresses, #link.addr_info)
    for i, address in ipairs(link.addr_info) do
      t.equal({ own.addresses[i].address, own.addresses[i].prefix, own.addresses[i].scope, own.addresses[i].family },
        { address["local"], address.prefixlen, address.scope, address.family })
    end
  end
end)

test("a bridge and its ports", function()
  t.ok(nl.bridge { name = "br0", stp = true, forward_delay = 4, hello_time = 1.5, ageing = 60, priority = 4096, up = true })
  local data = ip_link("br0").linkinfo.info_data
  t.equal({ data.stp_state, data.forward_delay, data.hello_time, data.ageing_time, data.priority }, { 1, 400, 150, 6000, 4096 })
  t.ok(nl.veth { name = "one", master = "br0", peer = "two" })
  t.contains(tostring(nl.link "one"), " master br0 ")
  t.ok(nl.port("one", { isolated = true, hairpin = true, learning = false, flood = false, guard = true, cost = 7, priority = 9 }))
  local port = ip_link("one").linkinfo
  t.equal(port.info_slave_kind, "bridge")
  port = port.info_slave_data
  t.equal({ port.isolated, port.hairpin, port.learning, port.flood, port.guard, port.cost, port.priority },
    { true, true, false, false, true, 7, 9 })
  local link = nl.link "one"
  t.equal(link.master_index, nl.link("br0").index)
  t.ok(link:port { isolated = false } and link:master(false))
  t.equal(ip_link("one").master, nil)
  t.ok(nl.interfaces().two:master "br0")
  t.equal(ip_link("two").master, "br0")
  t.fails("NODEV", nl.set("one", { master = "br1" }))
  t.equal(nl.port("one", { isolated = true }), nil)
end)

-- What this kernel may lack is tried in the machine of `make vm`, which has all of them.
for kind, try in pairs {
  macvlan = function()
    t.ok(nl.macvlan { name = "new", link = "two", mac = "02:00:00:00:00:0c" })
    t.equal(ip_link("new").linkinfo, { info_kind = "macvlan", info_data = ip_link("new").linkinfo.info_data })
    t.equal(ip_link("new").linkinfo.info_data.mode, "bridge")
    t.ok(nl.delete "new" and nl.macvlan { name = "new", link = "two", mode = "private" })
    t.equal({ ip_link("new").linkinfo.info_data.mode, ip_link("new").link }, { "private", "two" })
    -- Made into another namespace, on a link of ours.
    local there = apart.namespace()
    t.ok(nl.macvlan { name = "far", link = "two", into = there })
    t.equal(ip_link("far", there).linkinfo.info_kind, "macvlan")
  end,
  vlan = function()
    t.ok(nl.vlan { name = "new", link = "two", id = 4094 })
    t.equal({ ip_link("new").linkinfo.info_data.id, ip_link("new").linkinfo.info_data.protocol }, { 4094, "802.1Q" })
    t.ok(nl.delete "new" and nl.vlan { name = "new", link = "two", id = 5, protocol = "802.1ad" })
    t.equal({ ip_link("new").linkinfo.info_data.id, ip_link("new").linkinfo.info_data.protocol }, { 5, "802.1ad" })
    t.fails("EXIST", nl.vlan { name = "new2", link = "two", id = 5, protocol = "802.1ad" })
  end,
  dummy = function()
    t.ok(nl.dummy { name = "new", up = true, mtu = 9000 })
    t.equal({ ip_link("new").linkinfo.info_kind, ip_link("new").mtu }, { "dummy", 9000 })
    t.ok(nl.address("new", "10.3.0.1/24"))
    t.equal(nl.link("new").kind, "dummy")
  end,
  vxlan = function()
    t.ok(nl.vxlan { name = "new", id = 42, remote = "10.0.0.9", ["local"] = "10.0.0.1", link = "one", ttl = 5, learning = false })
    local data = ip_link("new").linkinfo.info_data
    t.equal({ data.id, data.remote, data["local"], data.link, data.port, data.ttl, data.learning },
      { 42, "10.0.0.9", "10.0.0.1", "one", 4789, 5, false })
    t.ok(nl.delete "new" and nl.vxlan { name = "new", id = 43, remote = "fd00::9", port = 9999 })
    data = ip_link("new").linkinfo.info_data
    t.equal({ data.remote6, data.port }, { "fd00::9", 9999 })
  end,
  ifb = function()
    t.ok(nl.create { kind = "ifb", name = "new", up = true })
    t.equal(ip_link("new").linkinfo.info_kind, "ifb")
  end,
} do
  t.test(kind, function()
    local missing = t.dir() .. "/missing"
    apart.run(function()
      t.ok(nl.veth { name = "one", peer = "two", up = true } and nl.up "two" and nl.address("one", "10.0.0.1/24"))
      local probe = { name = "probe", link = kind ~= "dummy" and kind ~= "ifb" and "two" or nil,
        id = (kind == "vlan" or kind == "vxlan") and 9 or nil, kind = kind == "ifb" and kind or nil }
      local ok, err = nl[kind == "ifb" and "create" or kind](probe)
      if not ok and err.OPNOTSUPP then return t.write(missing, tostring(err)) end
      t.ok(ok, tostring(err))
      t.ok(nl.delete "probe")
      try()
    end)
    local text = t.read(missing)
    if text then t.skip(("no-link-kind: the kernel makes no %s: %s"):format(kind, text)) end
  end)
end

-- A message that reached a descriptor, or nil after 5 s; what else is on the link is passed over.
local function read_packet(fd, wanted)
  for _ = 1, 100 do
    local ready = S.poll({ { fd = fd, events = "in" } }, 5000)
    local data = ready and S.read(fd, 2048)
    if data and data:find(wanted, 1, true) then return data end
  end
end

t.test("packets of a tun go through its descriptor", function()
  local closed = t.dir() .. "/closed"
  apart.run(function()
    local fd, name = nl.tuntap { mode = "tun", name = "wire%d" }
    if not fd and (name.NOENT or name.ACCES or name.PERM) then return t.write(closed, tostring(name)) end
    t.equal(name, "wire0")
    t.equal(ip_link("wire0").linkinfo.info_data.type, "tun")
    t.ok(nl.address(name, "10.7.0.1/24") and nl.up(name))
    local socket = t.must(S.socket("inet", "dgram"))
    t.must(socket:sendto("through the tun", nil, { family = "inet", addr = "10.7.0.9", port = 99 }))
    local packet = t.ok(read_packet(fd, "through the tun"), "no packet came")
    t.equal(packet:sub(17, 20), "\10\7\0\9", "to")
    t.ok(nl.tuntap { mode = "tap", name = "tap0", owner = 0 })
    fd:close()
    t.fails("NODEV", nl.link "wire0")
    local there = apart.namespace()
    local other = t.ok(nl.tuntap { mode = "tap", name = "far0", netns = there })
    t.equal(ip_link("far0", there).ifname, "far0")
    t.fails("NODEV", nl.link "far0")
    other:close()
  end)
  local text = t.read(closed)
  if text then t.skip("no-tun: /dev/net/tun: " .. text) end
end)

-- ---- addresses ----

test("addresses of both families, with their flags", function()
  t.ok(nl.veth { name = "one", peer = "two", up = true } and nl.up "two")
  t.ok(nl.address("one", "10.0.0.1/24"))
  t.ok(nl.address("one", "10.1.0.1/32", { peer = "10.1.0.2/32", label = "one:x" }))
  t.ok(nl.address("one", "192.168.3.4/28", { broadcast = "192.168.3.9", flags = "noprefixroute" }))
  t.ok(nl.address("one", "fd00::1/64", "nodad"))
  t.ok(nl.address("one", "fd00::2/128", { flags = { "nodad", "noprefixroute" }, valid = 1000, preferred = 500 }))
  local found = {}
  for _, a in ipairs(apart.ip("address", "show", "dev", "one")[1].addr_info) do found[a["local"]] = a end
  t.equal({ found["10.0.0.1"].prefixlen, found["10.0.0.1"].broadcast }, { 24, "10.0.0.255" })
  t.equal({ found["10.1.0.1"].address, found["10.1.0.1"].label }, { "10.1.0.2", "one:x" })
  t.equal({ found["192.168.3.4"].broadcast, found["192.168.3.4"].noprefixroute }, { "192.168.3.9", true })
  t.equal({ found["fd00::1"].nodad, found["fd00::1"].tentative }, { true })
  t.ok(found["fd00::2"].valid_life_time > 900 and found["fd00::2"].preferred_life_time <= 500)
  local own = {}
  for _, a in ipairs(nl.addresses { dev = "one" }) do own[a.address] = a end
  t.equal({ own["10.1.0.1"].peer, own["192.168.3.4"].broadcast, own["fd00::2"].prefix }, { "10.1.0.2", "192.168.3.9", 128 })
  t.equal(#nl.addresses { dev = "one", family = "inet" }, 3)
  t.fails("EXIST", nl.address("one", "10.0.0.1/24"))
  t.ok(nl.address("one", "10.0.0.1/24", { replace = true }))
  t.ok(nl.deladdress("one", "10.0.0.1/24") and nl.deladdress("one", "fd00::1/64"))
  t.fails("ADDRNOTAVAIL", nl.deladdress("one", "10.0.0.1/24"))
  t.ok(nl.interfaces().one:address("10.0.0.5/24") and nl.interfaces().one:deladdress "10.0.0.5/24")
  t.fails("NODEV", nl.address("none", "10.0.0.1/24"))
  t.fails("NODEV", nl.addresses { dev = "none" })
end)

test("a link is set up, and given what it has, in one request", function()
  t.ok(nl.veth { name = "one", peer = "two", up = true })
  local mac = "02:00:00:00:00:07"
  t.ok(nl.set("two", { up = true, link_local = false, addresses = { "10.0.0.1/24", { "fd00::1/64", "nodad" },
    { "10.1.0.1/32", { label = "two:x" } } }, neighbours = { { to = "fd00::7", mac = mac }, { to = "10.0.0.7", mac = mac } } }))
  local found = {}
  for _, a in ipairs(apart.ip("address", "show", "dev", "two")[1].addr_info) do
    found[#found + 1] = ("%s %d %s"):format(a["local"], a.prefixlen, a.tentative)
  end
  table.sort(found)
  t.equal(found, { "10.0.0.1 24 nil", "10.1.0.1 32 nil", "fd00::1 64 nil" })
  local places = {}
  for _, entry in ipairs(apart.ip("neighbour", "show", "dev", "two")) do
    if entry.state[1] == "PERMANENT" then places[#places + 1] = entry.dst .. " " .. entry.lladdr end
  end
  table.sort(places)
  t.equal(places, { "10.0.0.7 " .. mac, "fd00::7 " .. mac })
  local ok, err = nl.set("two", { addresses = { "10.0.0.1/24", "10.2.0.1/24" } })
  t.equal({ ok, err.EXIST }, { nil, true })
  t.ok(nl.deladdress("two", { "10.0.0.1/24", "fd00::1/64", "10.2.0.1/24" }))
  t.fails("ADDRNOTAVAIL", nl.deladdress("two", { "10.0.0.1/24", "10.1.0.1/32" }))
  t.equal(nl.addresses { dev = "two" }, {}, "what can be taken away is")
end)

test("addresses as they are written", function()
  local v4, v6 = "\10\0\0\1", "\xfd" .. ("\0"):rep(14) .. "\1"
  t.equal(nl.parse_ip "10.0.0.1", { family = "inet", bytes = v4, text = "10.0.0.1", prefix = 32 })
  t.equal(nl.parse_ip "fd00::1", { family = "inet6", bytes = v6, text = "fd00::1", prefix = 128 })
  t.equal(nl.parse_cidr "10.0.0.1/024", { family = "inet", bytes = v4, text = "10.0.0.1", prefix = 24 })
  t.equal(nl.parse_cidr "fd00::1/0", { family = "inet6", bytes = v6, text = "fd00::1", prefix = 0 })
  t.equal(nl.parse_cidr "10.0.0.1", nl.parse_ip "10.0.0.1")
  for _, text in ipairs { "", "/", "10.0.0", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/+1", "10.0.0.1/ 1", "10.0.0.1/1/1",
    "10.0.0.1/0001", "fd00::1/129", "10.0.0.1\0", "10.0.0.1/8\0", "fd00::1%lo", ("0"):rep(99) .. ":", "::ffff:10.0.0.1.1" } do
    t.equal(nl.parse_cidr(text), nil, text)
    t.equal(nl.parse_ip(text), nil, text)
  end
  t.equal({ nl.parse_ip "10.0.0.1/24", nl.parse_ip(10), nl.parse_cidr {} }, {})
  t.equal(nl.parse_mac "02:aB:00:09:fF:10", "\x02\xab\0\x09\xff\x10")
  for _, text in ipairs { "", "02:00:00:00:00", "02:00:00:00:00:1", "02:00:00:00:00:0g", "02-00-00-00-00-00", "02:00:00:00:00:00:" } do
    t.equal(nl.parse_mac(text), nil, text)
  end
end)

-- ---- who answers ----

test("the kernel is believed, and nobody else", function()
  local forger = t.must(S.socket("netlink", "raw", "route"))
  t.must(S.bind(forger, { family = "netlink" }))
  -- NLMSG_ERROR, "Operation not supported", of the first request's number: what a root of the namespace would send.
  local forged = ("=I4 I2 I2 I4 I4 i4 I4 I2 I2 I4 I4"):pack(36, 2, 0, 1, 0, -S.c.E.OPNOTSUPP, 16, 0, 0, 1, 0)
  local function ask(prepare)
    local socket = t.must(nl.open())
    local to = t.must(S.getsockname(socket:getfd()))
    prepare(socket)
    local sent, err = S.sendto(forger, forged, nil, { family = "netlink", pid = to.pid })
    local index = t.must(socket:index "lo")
    t.ok(socket:batch { nl.message(S.c.RTM.NEWLINK, nil, ("I1 x I2 i4 I4 I4"):pack(0, 0, index, 0, 0)) })
    socket:close()
    return index, sent, err
  end
  local index, sent, err = ask(function() end)
  t.equal({ index, sent, err and err.CONNREFUSED }, { 1, nil, true }, "a connected socket takes nothing from others")
  -- As in the moment before it is connected.
  index, sent = ask(function(socket) t.must(S.connect(socket:getfd(), { family = "unspec" })) end)
  t.equal({ index, sent }, { 1, #forged })
end)

-- ---- sockets that are kept ----

local function inode(socket) return t.must(S.readlink("/proc/self/fd/" .. socket:getfd())) end

-- The inode of a socket of a protocol that was opened and closed.
local function passing(protocol)
  local socket = t.must(nl.open(protocol))
  local number = inode(socket)
  socket:close()
  return number
end

test("a kept socket serves the next of its kind, in its own namespace and process alone", function()
  local first = passing "route"
  t.differs(passing "route", first, "nothing is kept unless it is asked for")
  t.ok(nl.keep(true))
  first = passing "route"
  local filter = passing "netfilter"
  t.differs(filter, first)
  t.equal({ passing "route", passing "netfilter" }, { first, filter })
  local one = t.must(nl.open())
  t.equal(inode(one), first)
  local other = t.must(nl.open())
  t.differs(inode(other), first, "two at once are two")
  one:close()
  other:close()
  t.equal(passing "route", first)
  t.must(nl.up "lo")
  t.equal(passing "route", first, "after a request")
  t.fails("NODEV", nl.up "nobody")
  local failed = passing "route"
  t.differs(failed, first, "after one that failed there may be more to read")
  local r, w = S.pipe()
  local pid = t.must(S.fork())
  if pid == 0 then
    S.write(w, passing "route")
    S.exit(0)
  end
  S.wait4(pid)
  w:close()
  t.differs(S.read(r), failed, "a copy of the process has its own")
  failed = passing "route"
  t.must(S.unshare "newnet")
  t.differs(passing "route", failed, "another namespace")
  t.equal(#nl.interfaces(), 1, "that is where it asks")
  local last = passing "route"
  t.ok(nl.keep(false))
  for _, name in ipairs(t.must(S.dir "/proc/self/fd")) do
    local to = S.readlink("/proc/self/fd/" .. name)
    t.ok(to ~= last and to ~= filter, "what was kept is closed")
  end
end)

test("the index of a link is asked for again once a link has changed", function()
  t.ok(nl.keep(true))
  t.must(nl.veth { name = "one", peer = "two" })
  t.must(nl.address("one", "10.1.0.1/24"))
  t.must(nl.address("one", "10.1.1.1/24"))
  t.must(nl.rename("one", "three"))
  t.must(nl.rename("two", "one"))
  t.must(nl.address("one", "10.2.0.1/24"))
  local function addresses(name)
    local list = {}
    for i, address in ipairs(t.must(nl.addresses { dev = name, family = "inet" })) do list[i] = address.address end
    return list
  end
  t.equal({ addresses "three", addresses "one" }, { { "10.1.0.1", "10.1.1.1" }, { "10.2.0.1" } })
  t.must(nl.delete "one")
  t.fails("NODEV", nl.address("one", "10.3.0.1/24"))
  t.ok(nl.keep(false))
end)

-- ---- wrong use ----

test("a socket that is left is closed, and its descriptor is free", function()
  local function count() return #S.dir "/proc/self/fd" end
  local before = count()
  for _ = 1, 20 do
    local socket = t.must(nl.open "netfilter")
    t.ok(socket:leave())
    raises("the netlink socket is closed", socket.getfd, socket)
  end
  t.equal(count(), before)
  -- Where there is no room for what it takes, it is closed as any.
  local socket = t.must(nl.open "netfilter")
  local full = {}
  t.must(S.setrlimit("nofile", 64, 64))
  repeat
    full[#full + 1] = S.open("/dev/null", "rdonly, cloexec")
  until not S.open("/dev/null", "rdonly, cloexec")
  t.ok(socket:leave())
  for _, fd in ipairs(full) do fd:close() end
end)

test("wrong use raises, naming the argument", function()
  raises("no field 'nam' is known, did you mean 'name'?", nl.veth, { nam = "x" })
  raises("bad argument 'mtu' (an integer", nl.veth, { name = "x", mtu = "big" })
  raises("bad argument 'peer' (no field 'up'", nl.veth, { name = "x", peer = { up = true } })
  raises("bad argument 'name' ('a/b' is no name of a link", nl.bridge { name = "br0" } and nl.bridge, { name = "a/b" })
  raises("bad argument 'mac' (an Ethernet address", nl.set, "lo", { mac = "02:00" })
  raises("bad argument #2 (an address", nl.address, "lo", "10.0.0.300/8")
  raises("bad argument #2 (an address", nl.address, "lo", "10.0.0.3/33")
  raises("(a name of S.c.IFA_F expected, got 'nodat', did you mean 'nodad'?)", nl.address, "lo", "10.0.0.3/8", "nodat")
  raises("bad argument 'peer' (an address of the same family", nl.address, "lo", "10.0.0.1/8", { peer = "fd00::1" })
  raises("bad argument 'via' (a gateway", nl.route, { to = "default" })
  raises("bad argument 'via' (an IPv4 or IPv6 address", nl.route, { to = "default", via = "gateway" })
  raises("bad argument 'src' (an address of the family inet", nl.route, { to = "10.0.0.0/8", src = "fd00::1", dev = "lo" })
  raises("bad argument 'to' (an address of the family inet6", nl.route, { to = "10.0.0.0/8", family = "inet6", dev = "lo" })
  raises("bad argument 'to' (an address of the family inet ", nl.delroute, { to = "fd00::/8", family = "inet", dev = "lo" })
  raises("bad argument 'from' (an address of the family inet6", nl.rule, { from = "10.0.0.0/8", family = "inet6", table = 9 })
  raises("bad argument 'to' (an address of the family inet ", nl.delrule, { from = "10.0.0.0/8", to = "fd00::/8" })
  raises("did you mean 'unreachable'", nl.route, { to = "10.0.0.0/8", type = "unreachabel" })
  raises("bad argument 'id' (a number from 1 to 4094", nl.vlan, { name = "v", link = "lo", id = 4095 })
  raises("bad argument 'link' (the name of the link", nl.macvlan, { name = "v" })
  raises("a network namespace", nl.move, "lo", "1")
  raises("a network namespace", nl.up, "lo", -1)
  raises("bad argument 'mac' (an Ethernet", nl.neighbour, { to = "10.0.0.1", dev = "lo" })
  raises("bad argument 'table'", nl.rule, { from = "10.0.0.0/8" })
  raises("bad argument #1 (a table of nftables, or a list of them", nl.nft)
  raises("bad argument #1 (a table of nftables, or a list of them", nl.nft, { 5 })
  raises("bad argument #1 (a table", nl.firewall)
  raises("bad argument 'table' (the name of the tables", nl.firewall, {})
  raises("bad argument 'links' (a table", nl.firewall, { table = "x", links = 1 })
  raises("bad argument #1 (a table", nl.ownfirewall)
  raises("bad argument 'outside' (the names of links", nl.ownfirewall, { table = "x" })
  raises("bad argument #2 (what nl.cut returned", nl.mend, "lo")
  local lo = t.must(nl.link "lo")
  raises("bad argument #1 (a table", lo.set, lo)
  raises("bad argument #1 (\"tcp\" or \"udp\"", nl.hold_port, "sctp", "127.0.0.1", 80)
  raises("bad argument #2 (an IPv4 or IPv6", nl.hold_port, "tcp", "localhost", 80)
  raises("bad argument #3 (an integer from 0 to 65535", nl.hold_port, "tcp", "127.0.0.1", 65536)
  raises("bad argument #1 (at most 7 characters", nl.link_name, "averyverylongprefix")
  raises("bad argument #2 (a width from 16 to 32", nl.subnet, "10.213.0.0/16", 300, 0, 1)
  raises("bad argument #2 (a width from 48 to 64", nl.subnet, "fd00::/48", 65, 0, 1)
  raises("bad argument #3 (a part of the range", nl.subnet, "10.213.0.0/16", 30, 16384, 1)
  raises("bad argument #3 (a part of the range", nl.subnet, "10.213.0.0/16", 30, -1, 1)
  raises("bad argument #4 (a number that leads to an address", nl.subnet, "10.213.0.0/16", 30, 1, 0xffffffff)
  raises("bad argument 'mode'", nl.tuntap, { name = "x" })
  local _, message = pcall(function() nl.veth { name = "x", mtu = -1 } end)
  t.contains(message, "netlink_test.lua:", "the caller's line is blamed")
end)

test("a function that another process asks for: its pid is a namespace", function()
  local there = apart.namespace()
  local r, w = S.pipe "cloexec"
  local pid = t.must(S.fork())
  if pid == 0 then
    S.setns(there, "newnet")
    S.write(w, "x")
    while true do S.nanosleep(100) end
  end
  S.read(r, 1)
  t.ok(nl.veth { name = "lg0", peer = { name = "eth0", netns = pid } })
  t.ok(nl.address("eth0", "10.0.0.2/24", { netns = pid }) and nl.up("eth0", pid))
  t.equal(nl.interfaces(pid).eth0.addresses[1].address, "10.0.0.2")
  S.kill(pid, "kill")
  S.waitid("pid", pid, "exited")
  t.fails("SRCH", nl.up("eth0", pid))
end)

-- ---- as nobody ----

t.test("without privilege the kernel refuses", function()
  if t.root then
    -- In a child that gave up all.
    apart.run(function()
      t.must(S.capset { effective = {}, permitted = {}, inheritable = {} })
      t.fails("PERM", nl.veth { name = "x" })
      t.fails("PERM", nl.address("lo", "10.0.0.1/8"))
      t.fails("PERM", nl.route { to = "10.0.0.0/8", dev = "lo" })
    end)
  else
    t.fails("PERM", nl.veth { name = "x" })
    t.fails("PERM", nl.address("lo", "10.0.0.1/8"))
  end
  t.ok(#nl.interfaces() >= 1 and nl.routes() and nl.rules() and nl.neighbours(), "everybody may look")
end)

t.test("root of a user namespace has all of its own networks", function()
  apart.run(function()
    local there = apart.namespace()
    t.ok(nl.veth { name = "lg0", up = true, peer = { name = "eth0", netns = there } })
    t.ok(nl.address("eth0", "fd00::2/64", { flags = "nodad", netns = there }) and nl.up("eth0", there))
    t.equal(nl.interfaces(there).eth0.addresses[1].flags[1], "nodad")
  end, true)
end)
