-- SPDX-License-Identifier: MIT
-- Many containers with networks at once: on one bridge, each reaches whom it may and nobody else; with a published port
-- each, every port leads to its container. Nothing of any is left on the host, which is a network namespace of the test's.
-- 40 and 12 of them; in a soak 200 and 50.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local crowd = dofile "tests/integration/crowd.lua"
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local apart, traffic = net.apart, net.traffic

local ON_BRIDGE, PUBLISHED = t.soak and 200 or 40, t.soak and 50 or 12
local ENV = { "LUGE_STATE=" .. box.state, "PATH=" .. os.getenv "PATH" }
local PATIENCE = 30000 -- ms: nothing that ends well comes near it

-- ---- the host ----

-- What somebody else has on this machine is there before and after, or comes and goes: `net.` and `range.` numbers are one
-- pool for all of it, whose files say nothing of whom they are. Those that nobody holds are looked at.
local function unheld_slots()
  local list = {}
  for _, name in ipairs(S.dir "/run/luge" or {}) do
    local fd = name:find "^net%.%d+$" and S.open("/run/luge/" .. name, "rdonly, cloexec")
    if fd and S.flock(fd, "ex, nb") and S.lstat("/run/luge/" .. name) then list[#list + 1] = name end
    if fd then fd:close() end
  end
  return list
end

-- Links, addresses, routes, tables and settings: text that is the same before and after.
local function host()
  local lines = { "ip_forward " .. S.readfile "/proc/sys/net/ipv4/conf/default/forwarding",
    "forwarding " .. S.readfile "/proc/sys/net/ipv6/conf/all/forwarding" }
  for _, link in ipairs(nl.interfaces()) do
    lines[#lines + 1] = "link " .. link.name
    for _, address in ipairs(link.addresses) do lines[#lines + 1] = ("address %s %s"):format(link.name, tostring(address)) end
  end
  for _, route in ipairs(nl.routes()) do lines[#lines + 1] = "route " .. tostring(route) end
  for _, one in ipairs(nl.nft.tables()) do lines[#lines + 1] = ("table %s %s"):format(one.family, one.table) end
  for _, name in ipairs(net.locks()) do lines[#lines + 1] = "lock " .. name end
  for _, name in ipairs(unheld_slots()) do lines[#lines + 1] = "slot " .. name end
  return table.concat(lines, "\n")
end

local function test(name, body)
  t.test(name, function()
    t.needs_root()
    apart.run(function()
      t.must(nl.up "lo")
      net.no_dad()
      local before = host()
      local ok, err = pcall(body)
      local r = t.run { "luge", "rm", "--force", "--all", "-t", "0s", env = { LUGE_STATE = box.state }, timeout = 300 }
      if not ok then error(err, 0) end
      t.equal({ r.code, r.stderr }, { 0, "" })
      repeat
        local pid, why = S.wait4(-1)
      until pid == nil and why.CHILD
      for _ = 1, 5000 do -- links end a moment after their namespace
        if host() == before then break end
        S.nanosleep(0.002)
      end
      t.equal(host(), before)
      box.nothing_left()
    end)
  end)
end

-- Starts them; name → { pid =, network = } as inspect has it, in the order of their numbers.
local function start(text, count, options)
  t.equal(crowd.detached(t.luge, t.profile(text), count, ENV, options), count, "all of them run")
  local rows, list = {}, {}
  local seen = t.decoded { "luge", "inspect", "--all", "--json", env = { LUGE_STATE = box.state }, timeout = 120 }
  for _, row in ipairs(seen.containers) do rows[row.name] = row end
  for i = 1, count do list[i] = t.ok(rows["crowd-" .. i], "crowd-" .. i) end
  return list
end

-- ---- pings from everybody to everybody ----

local FAMILIES = {
  { name = "inet", key = "address", protocol = "icmp", ask = 8, answer = 0, width = 32 },
  { name = "inet6", key = "address6", protocol = "icmpv6", ask = 128, answer = 129, width = 128 },
}

-- An echo whose sequence number says whom it goes to.
local function echo(family, id, sequence)
  local packet = (">BBI2I2I2"):pack(family.ask, 0, 0, id, sequence)
  if family.name == "inet6" then return packet end -- the kernel adds the sum
  return (">BBI2I2I2"):pack(family.ask, 0, traffic.checksum(packet), id, sequence)
end

-- The sequence number of an answer to us, or nil for another packet.
local function answered(family, id, packet)
  local at = family.name == "inet" and (packet:byte(1) & 15) * 4 or 0
  if packet:byte(at + 1) ~= family.answer then return nil end
  local its_id, sequence = (">I2I2"):unpack(packet, at + 5)
  return its_id == id and sequence or nil
end

-- Pings a list of addresses (number → text) from a socket, `silent` before the others: a bridge carries a packet before the
-- one after it, so once all that must answer have, what has not will not. The numbers of those that answered.
local function ping_all(socket, family, id, silent, loud)
  for _, list in ipairs { silent, loud } do
    for number, address in pairs(list) do
      t.must(S.sendto(socket, echo(family, id, number), nil, { family = family.name, addr = address, port = 0 }))
    end
  end
  local got, missing = {}, 0
  for _ in pairs(loud) do missing = missing + 1 end
  while missing > 0 and #t.must(S.poll({ { fd = socket, events = "in" } }, PATIENCE)) > 0 do
    local number = answered(family, id, t.must(S.recv(socket, 2000)))
    if number and not got[number] then
      got[number] = true
      if loud[number] then missing = missing - 1 end
    end
  end
  return got
end

-- Where everybody's addresses are is told beforehand: the kernel has 1024 places for what it finds out itself, for all
-- namespaces together, and a hostile guest needs no answer to its question either.
local function introduce(containers, family)
  for i, one in ipairs(containers) do
    apart.inside(one.namespace, function()
      for j, other in ipairs(containers) do
        if i ~= j then t.must(nl.neighbour { to = other[family.name], dev = "eth0", mac = other.mac, replace = true }) end
      end
    end)
  end
end

-- What each gets an answer from: the gateway, number 0, and whoever is not isolated as itself.
local function check_all(containers, family, gateway)
  for i, one in ipairs(containers) do
    local silent, loud = {}, { [0] = gateway }
    for j, other in ipairs(containers) do
      if i ~= j then (one.isolated and other.isolated and silent or loud)[j] = other[family.name] end
    end
    local socket = apart.inside(one.namespace, function() return t.must(S.socket(family.name, "raw", family.protocol)) end)
    S.setsockopt(socket, "socket", "rcvbuf", 1 << 20)
    local got = ping_all(socket, family, i, silent, loud)
    socket:close()
    for j in pairs(loud) do t.ok(got[j], ("%d does not reach %d, %s"):format(i, j, family.name)) end
    for j in pairs(silent) do t.ok(not got[j], ("%d, isolated, reaches %d, %s"):format(i, j, family.name)) end
  end
end

-- One that is found by asking, both ways: the next but one is of the same kind.
local function check_ring(containers, family)
  for i, one in ipairs(containers) do
    local other = containers[(i % #containers) + 1]
    local socket = apart.inside(one.namespace, function() return t.must(S.socket(family.name, "raw", family.protocol)) end)
    t.ok(ping_all(socket, family, i, {}, { [1] = other[family.name] })[1], ("%d does not find its neighbour, %s"):format(i, family.name))
    socket:close()
  end
end

test("a crowd on one bridge: each reaches whom it may", function()
  local text = box.text([[network = { interfaces = { bridge { "lab", subnet = "10.5.0.0/24", subnet6 = "fd05::/64", gateway = "auto",
    gateway6 = "auto", isolated = param.isolated == "yes" } }, egress = false }, command = { "/guest", "sleep", "100000" }]])
  local containers = start(text, ON_BRIDGE, function(i) return { "-D", "isolated=" .. (i % 2 == 0 and "yes" or "no") } end)
  local seen = {}
  for i, one in ipairs(containers) do
    one.isolated = i % 2 == 0
    one.namespace = t.must(S.open(("/proc/%d/ns/net"):format(one.pid), "rdonly, cloexec"))
    one.mac = t.must(nl.link("eth0", one.namespace)).mac
    for _, family in ipairs(FAMILIES) do
      one[family.name] = one.network[1][family.key]:match "^[^/]+"
      t.ok(not seen[one[family.name]], one[family.name] .. " is given twice")
      seen[one[family.name]] = true
    end
  end
  t.equal(#nl.interfaces(), ON_BRIDGE + 2, "one link each, the bridge and lo")
  for _, family in ipairs(FAMILIES) do
    check_ring(containers, family)
    introduce(containers, family)
    check_all(containers, family, family.name == "inet" and "10.5.0.1" or "fd05::1")
  end
end)

-- ---- published ports ----

local PORT = 8000

local function asked(from, addresses, count)
  for _, address in ipairs(addresses) do
    for i = 1, count do
      for _, proto in ipairs { "tcp", "udp" } do
        local answer = apart.inside(from, traffic.ask, proto, address, PORT + i)
        t.equal(answer, "HELLO", ("%s %s port %d"):format(proto, address, PORT + i))
      end
    end
  end
end

test("a crowd with a published port each, TCP and UDP", function()
  local here, outside = t.must(S.open("/proc/self/ns/net", "rdonly, cloexec")), net.outside()
  local text = ([[return container { %s,
    network = { interfaces = { veth { } }, publish = { { tonumber(param.port), 80 }, { tonumber(param.port), 80, proto = "udp" } } },
    command = { "/luge", "lua", "/traffic.lua", "serve", "::", "80" } }]]):format(net.MOUNTS)
  local containers = start(text, PUBLISHED, function(i) return { "-D", ("port=%d"):format(PORT + i) } end)
  for _, one in ipairs(containers) do
    for _ = 1, 15000 do -- its server says so when it listens
      if t.succeed({ "luge", "logs", one.name, env = { LUGE_STATE = box.state } }).stdout == "ready\n" then break end
      S.nanosleep(0.002)
    end
  end
  asked(here, { "127.0.0.1", "::1", "192.0.2.1", "2001:db8::1" }, PUBLISHED)
  asked(outside, { "192.0.2.1", "2001:db8::1" }, PUBLISHED)
  local before = #nl.nft.tables()
  local r = t.run { "luge", "run", "-D", ("port=%d"):format(PORT + PUBLISHED), t.profile(text), env = { LUGE_STATE = box.state } }
  t.equal(r.code, 125)
  t.contains(r.stderr, "network.publish[1]: ")
  t.contains(r.stderr, ("%d: Address already in use"):format(PORT + PUBLISHED))
  t.equal({ #nl.nft.tables(), #nl.interfaces() }, { before, PUBLISHED + 2 }, "the one that was refused left nothing")
  asked(here, { "127.0.0.1" }, 1)
  t.must(nl.delete "up0")
end)
