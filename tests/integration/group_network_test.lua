-- SPDX-License-Identifier: MIT
-- Networks of groups, in real traffic: a private one, pods, wires and routers, cut and joined; as root and as an ordinary user.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local groups = dofile "tests/integration/groups.lua"(t, box)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local group = groups.path
local SERVER = "'/luge', 'lua', '/traffic.lua', 'serve', '::', '80'"
local ASK = "ask() { /luge lua /traffic.lua $1 $2 80 $3; }; "

local function words(...)
  local list = {}
  for i, word in ipairs { ... } do list[i] = ("%q"):format(word) end
  return table.concat(list, ", ")
end

local function with(command, more) return ("container { command = { %s }, %s, %s }"):format(command, net.MOUNTS, more or "") end

local function sh(script, more) return with(words("/bin/sh", "-c", ASK .. script), more) end

local function run(fields, containers) return groups.run("main = 'main', " .. fields, containers) end

local function refused(fields, ...) groups.refused("main = 'main', " .. fields, ...) end

local function says(fields, containers)
  local r = run(fields, containers)
  t.equal(r.code, 0, r.stderr)
  return r.stdout
end

-- A server may be started before it listens.
local AWAIT = "for i in 1 2 3 4 5 6 7 8 9 10; do test \"$(ask tcp %s 1)\" = HELLO && break; sleep 0.2; done; "

local function links()
  local names = {}
  for _, name in ipairs(S.dir "/sys/class/net") do names[name] = true end
  return names
end

-- Other tests of the machine make links as well, which have other names than those of a hub.
local function no_link_of_ours(before)
  for name in pairs(links()) do
    if not before[name] then t.ok(name ~= "hub" and not name:find "^lg", "a link on the host: " .. name) end
  end
end

-- ---- a group's own ----

t.test("private: members reach each other by name, TCP and UDP, of both families", function()
  local before = links()
  local out = says("network = 'private', ", { db = with(SERVER), main = sh(AWAIT:format "10.215.0.2"
    .. "cat /etc/hosts; for a in 10.215.0.2 fd6c:7567:6502::2; do ask tcp $a; ask udp $a; done; ip route; ip -6 route; "
    .. "getent ahostsv4 db | head -n 1; getent ahostsv6 db | head -n 1", "needs = { db = 'started' }") })
  t.contains(out, "\n10.215.0.2\tdb\nfd6c:7567:6502::2\tdb\n")
  t.matches(out, "\n10%.215%.0%.3\tprofile%-%w+%-main main\n")
  t.contains(out, "HELLO\nHELLO\nHELLO\nHELLO\n10.215.0.0/16 dev eth0")
  t.lacks(out, "default")
  t.matches(out, "\n10%.215%.0%.2 +STREAM db\n")
  t.matches(out, "\nfd6c:7567:6502::2 +STREAM db\n")
  no_link_of_ours(before)
end)

t.test("private: the host and other groups are not there", function()
  local first = t.start { "luge", "run", group("network = 'private', ", { db = with(SERVER) }), env = { LUGE_STATE = box.state } }
  first:await "ready"
  t.differs(net.traffic.ask("tcp", "10.215.0.2", 80, 0.5), "HELLO", "from the host")
  local out = t.run { "luge", "run", group("network = 'private', main = 'main', ", { db = sh "sleep 1000",
    main = sh("ask tcp 10.215.0.2 0.5; ask tcp 10.215.0.1 0.5; ip neigh", "needs = { db = 'started' }") }), env = { LUGE_STATE = box.state } }
  t.equal(out.code, 0, out.stderr)
  t.lacks(out.stdout, "HELLO")
  first:signal "term"
  first:wait()
  box.nothing_left()
end)

t.test("private: a member that says another network is not in it", function()
  local out = says("network = 'private', ", { db = with(SERVER, "network = 'none'"), open = with(SERVER, "network = { interfaces = {} }"),
    main = sh("cat /etc/hosts; ip -o link | wc -l; ask tcp 10.215.0.2 0.3; ask tcp 10.215.0.4 0.3", "needs = { db = 'started', open = 'started' }") })
  t.contains(out, "\n2\n")
  t.lacks(out, "\tdb\n")
  t.lacks(out, "HELLO")
end)

t.test("private: a member that switches IPv6 off is there without it", function()
  local out = says("network = 'private', ", { db = with(SERVER), main = sh(AWAIT:format "10.215.0.2" .. "ask tcp 10.215.0.2; "
    .. "cat /etc/hosts; ip -o address", "needs = { db = 'started' }, sysctl = { ['net.ipv6.conf.all.disable_ipv6'] = 1 }") })
  t.matches(out, "^HELLO\n")
  t.contains(out, " 10.215.0.3/16 ")
  t.lacks(out, "fd6c:7567:6502::3")
end)

t.test("private: odd names are names", function()
  local out = says("network = 'private', ", { ["a.b-c_d"] = with(SERVER), ["0"] = with(SERVER), main = sh(AWAIT:format "a.b-c_d"
    .. "for n in a.b-c_d 0; do getent hosts $n | wc -l; done; ask tcp $(getent ahostsv4 a.b-c_d | head -n 1 | cut -d' ' -f1)",
    "needs = { ['a.b-c_d'] = 'started', ['0'] = 'started' }") })
  t.contains(out, "1\n1\nHELLO\n")
end)

t.test("private: one container of it by itself, and none of a group", function()
  local path = group("network = 'private', ", { db = with(words("/bin/sh", "-c", "ip -o -4 addr show eth0 | grep -c 10.215.0.2/16")) })
  t.equal(t.succeed({ "luge", "run", path .. ":db", env = { LUGE_STATE = box.state } }).stdout, "1\n")
  box.nothing_left()
  box.refused({ "exit", "0", body = "network = 'private'" }, '"private" is the network of a group')
end)

t.test("private: a hub that is crowded, all at once", function()
  local containers, needs = {}, {}
  for i = 1, 12 do
    containers["n" .. i] = with(SERVER)
    needs[i] = ("n%d = 'started'"):format(i)
  end
  containers.main = sh("for n in 1 2 3 4 5 6 7 8 9 10 11 12; do a=$(getent ahostsv4 n$n | head -n 1 | cut -d' ' -f1); "
    .. "for i in 1 2 3 4 5; do test \"$(ask tcp $a 2)\" = HELLO && echo yes && break; sleep 0.3; done; done", "needs = { " .. table.concat(needs, ", ") .. " }")
  t.equal(says("network = 'private', ", containers), ("yes\n"):rep(12))
end)

-- ---- a member's own name ----

-- What main, db and the host name of each stand for, in main.
local OWN = "for n in main db $(cat /proc/sys/kernel/hostname); do getent ahostsv4 $n | head -n 1 | cut -d' ' -f1; "
  .. "getent ahostsv6 $n | head -n 1 | cut -d' ' -f1; done; "

t.test("a member finds itself by the name that others have for it, by both families", function()
  local db = "fd6c:7567:6502::2"
  t.equal(says("network = 'private', ", { db = with(SERVER), main = sh(OWN, "needs = { db = 'started' }") }),
    ("10.215.0.3\n%s\n10.215.0.2\n%s\n10.215.0.3\n%s\n"):format(db:gsub("2$", "3"), db, (db:gsub("2$", "3"))))
  -- A container in a pod, without a network, with one that has no address, and with the same host name.
  for _, network in ipairs { "network = { pod = 'gn' }", "network = 'none'", "network = { interfaces = {} }", "hostname = 'main'" } do
    local out = says("", { main = sh("cat /etc/hosts", network) })
    t.matches(out, "127%.0%.0%.1\tlocalhost [%w -]*main\n::1\tlocalhost [%w -]*main\n")
    t.lacks(out, " main main")
  end
end)

t.test("whoever writes a name of his own in `hosts` is believed", function()
  local out = says("", { main = sh("cat /etc/hosts", "network = { hosts = { main = '10.1.2.3' } }") })
  t.contains(out, "10.1.2.3\tmain\n")
  t.lacks(out, "-main main")
end)

-- ---- pods ----

t.test("a pod: localhost is shared, processes and files are not; its names are localhost", function()
  local out = says("", { db = with(SERVER, "network = { pod = 'gn' }"), other = with(SERVER, "network = { pod = 'gn2' }"),
    main = sh(AWAIT:format "127.0.0.1" .. "ask tcp ::1; ask udp 127.0.0.1; getent hosts db | wc -l; getent hosts other | wc -l; "
    .. "tail -n +3 /proc/net/dev | wc -l; ps ax | grep -c '[t]raffic.lua serve'; true", "network = { pod = 'gn' }, needs = { db = 'started' }") })
  t.equal(out, "HELLO\nHELLO\n1\n0\n1\n0\n")
end)

t.test("a member of one pod sees nothing of another", function()
  local out = says("", { db = with(SERVER, "network = { pod = 'gn' }"),
    main = sh("sleep 0.5; ask tcp 127.0.0.1; ask tcp ::1; ss -ltn | tail -n +2 | wc -l; grep -c : /proc/net/dev",
      "network = { pod = 'gn3' }, needs = { db = 'started' }") })
  t.equal(out, "refused\nrefused\n0\n1\n")
end)

t.test("join knows the members of its group, which start before, and each is the other's localhost", function()
  local db, joins = with(SERVER, "network = { interfaces = { veth { } } }"), "network = { join = 'db' }"
  if not t.root then return refused("", { db = with(SERVER), main = sh("true", joins) }, "an ordinary user may not enter it") end
  net.apart.run(function()
    local out = says("", { db = db, main = sh("echo $(ls /sys/class/net); " .. AWAIT:format "127.0.0.1"
      .. "for a in db ::1; do ask tcp $(getent ahosts $a | head -n 1 | cut -d' ' -f1); done; grep -c 'db$' /etc/hosts", joins) })
    t.equal(out, "eth0 lo\nHELLO\nHELLO\n2\n")
    local name = ("gn%d"):format(S.getpid())
    local function luge(...) return t.run { "luge", env = { LUGE_STATE = box.state }, ... } end
    local r = luge("up", "--name", name, group("", { db = db, main = with("'sleep', '1000'", joins) }))
    t.equal(r.code, 0, r.stderr)
    local function its(member) return luge("exec", name .. "-" .. member, "readlink", "/proc/self/ns/net").stdout end
    t.equal(its "main", its "db")
    luge("down", "-t", "0s", name)
    d.reap()
    box.nothing_left()
  end)
end)

d.test("a pod lives as long as any of its containers", function()
  local body = ("network = { pod = 'gn%d' }"):format(S.getpid())
  local function netns(name) return d.ok("exec", name, "readlink", "/proc/self/ns/net") end
  d.start("det-one", { shell = "exec sleep 1000", body = body })
  d.start("det-two", { shell = "exec sleep 1000", body = body })
  local its = netns "det-one"
  t.equal(netns "det-two", its)
  d.lose "det-one"
  d.ok "gc"
  d.ok("rm", "det-one")
  t.equal(netns "det-two", its)
  d.start("det-three", { shell = "exec sleep 1000", body = body })
  t.equal(netns "det-three", its, "found through the one that is left")
  d.ok("rm", "-f", "det-two", "det-three")
  d.start("det-one", { shell = "exec sleep 1000", body = body })
  d.ok("rm", "-f", "det-one")
  d.nothing_left()
end)

t.test("an ordinary user's shared network is root's of one namespace", function()
  t.needs_user()
  box.refused({ "exit", "0", body = "network = { pod = 'gn' }, user = '1000:1000'" }, "only as root of one user namespace",
    'user = "0:0", or run luge as root')
end)

-- ---- wires and routers ----

local function link(name, number, peer, more)
  return ("link { %q, address = '10.1.%d.2/24', address6 = 'fd01:%d::2/64', gateway = '10.1.%d.1', gateway6 = 'fd01:%d::1', %s"
    .. " peer = { name = %q, address = '10.1.%d.1/24', address6 = 'fd01:%d::1/64' } }"):format(name, number, number, number, number, more or "",
      peer, number, number)
end

local function network(...) return ("network = { interfaces = { %s }, egress = false }, "):format(table.concat({ ... }, ", ")) end

local ROUTES = "sysctl = { ['net.ipv4.ip_forward'] = 1, ['net.ipv6.conf.all.forwarding'] = 1 }, "

local function lab(server, client)
  return { router = with("'sleep', '1000'", network() .. ROUTES), server = server or with(SERVER, network(link("router", 1, "right"))),
    main = client }
end

t.test("two hosts and a router, which forwards both families; a wire needs its other end", function()
  local client = sh(AWAIT:format "10.1.1.2" .. "cat /etc/hosts; for a in 10.1.1.2 fd01:1::2; do ask tcp $a; ask udp $a; done",
    network(link("router", 2, "left")) .. "needs = { server = 'started' }")
  local out = says("", lab(nil, client))
  t.contains(out, "10.1.1.2\tserver\nfd01:1::2\tserver\n")
  t.contains(out, "\nHELLO\nHELLO\nHELLO\nHELLO\n")
end)

t.test("a wire whose mtu is too small for IPv6", function()
  local out = says("", { server = with(SERVER, network()), main = sh("for i in 1 2 3 4 5 6 7 8 9 10; do test \"$(ask tcp 10.1.1.1 1)\" = "
    .. "HELLO && echo yes && break; sleep 0.2; done; cat /sys/class/net/eth0/mtu", network("link { 'server', address = '10.1.1.2/24', "
    .. "mtu = 576, peer = { name = 'eth1', address = '10.1.1.1/24' } }") .. "needs = { server = 'started' }") })
  t.equal(out, "yes\n576\n")
end)

t.test("a router that does not forward", function()
  local containers = lab(nil, sh("sleep 0.3; ask tcp 10.1.1.2 0.5; ask tcp 10.1.2.1 0.5",
    network(link("router", 2, "left")) .. "needs = { server = 'started' }"))
  containers.router = with("'sleep', '1000'", network())
  local out = says("", containers)
  t.lacks(out, "HELLO")
  t.contains(out, "refused\n", "the router itself")
end)

t.test("wires that wait for each other are a fault, and so is an end that nobody has", function()
  refused("", { main = sh("true", network(link("db", 1, "a"))), db = sh("true", network(link("main", 2, "b"))) }, "they wait for each other")
  local r = run("", { main = sh("true", network(link("nobody", 1, "a"))) })
  t.equal(r.code, 125)
  t.contains(r.stderr, "nobody")
end)

t.test("a wire to a container that is in no group is root's, and an ordinary user is told", function()
  t.needs_user()
  d.start("det-alone", { shell = "exec sleep 1000", body = "network = { interfaces = {} }" })
  local r = t.run(box.words { shell = "true", body = network(link(d.own "det-alone", 1, "eth5")) })
  t.equal(r.code, 125)
  t.contains(r.stderr, ("network.interfaces[1]: the network of '%s': Operation not permitted"):format(d.own "det-alone"))
  t.contains(r.stderr, "outside of a group a wire is root's: put both into one group, or run luge as root")
  d.ok("rm", "-f", "-t", "0s", "det-alone")
  d.nothing_left()
end)

-- ---- cut and joined ----

local function luge(...)
  local list = { "luge", ... }
  list.env = { LUGE_STATE = box.state }
  return t.run(list)
end

-- A group that is up while body runs; its name is the script's own, as cgroups are the machine's.
local function up(fields, containers, body)
  local path, name = group(fields, containers), ("gn%d"):format(S.getpid())
  local r = luge("up", "--name", name, path)
  t.equal(r.code, 0, r.stderr)
  local ok, err = xpcall(body, debug.traceback, name, path)
  local down = luge("down", "-t", "0s", name)
  if not ok then error(err, 0) end
  t.equal(down.code, 0, down.stderr)
  d.reap()
  box.nothing_left()
end

local function ask(name, address, seconds)
  local r = luge("exec", name, "/luge", "lua", "/traffic.lua", "tcp", address, "80", seconds or "1")
  return (r.stdout:gsub("\n", ""))
end

local function until_answer(name, address)
  for _ = 1, 60 do
    if ask(name, address) == "HELLO" then return end
  end
  error(address .. " never answered", 2)
end

local function state_of(name, at)
  local r = luge("inspect", name)
  return t.json.decode(r.stdout).containers[1].network[at or 1].state
end

local function cut_and_joined(from, addresses, name, interface, owner)
  for _, address in ipairs(addresses) do until_answer(from, address) end
  t.equal(state_of(owner), "joined")
  t.equal({ luge("network", "cut", name, interface).stderr, state_of(owner) }, { "", "cut" })
  for _, address in ipairs(addresses) do t.differs(ask(from, address, "0.5"), "HELLO", address) end
  t.contains(luge("network", "cut", name, interface).stderr, "is cut already")
  t.equal({ luge("network", "join", name, interface).stderr, state_of(owner) }, { "", "joined" })
  for _, address in ipairs(addresses) do until_answer(from, address) end
  t.contains(luge("network", "join", name, interface).stderr, "is joined already")
end

t.test("three nodes, one of them cut off and joined again", function()
  up("network = 'private', ", { a = with(SERVER), b = with(SERVER), c = with(SERVER) }, function(name)
    cut_and_joined(name .. "-a", { "10.215.0.4", "fd6c:7567:6502::4" }, name .. "-c", "eth0", name .. "-c")
    luge("network", "cut", name .. "-c", "eth0")
    t.equal(ask(name .. "-a", "10.215.0.3"), "HELLO", "the others are together")
    t.contains(luge("network", "cut", name .. "-c", "eth1").stderr, "it has no interface 'eth1', did you mean 'eth0'?")
    t.equal(luge("network", "cut", name .. "-c").code, 125)
    t.equal(luge("network", "cut", "nobody", "eth0").code, 125)
  end)
end)

t.test("a member that is started again is reached by who knew it before", function()
  local server = with(SERVER, "restart = { on = 'always', delay = '10ms' }")
  up("network = 'private', ", { a = with(SERVER), c = server }, function(name)
    for _, address in ipairs { "10.215.0.3", "fd6c:7567:6502::3" } do until_answer(name .. "-a", address) end
    local function row() return t.json.decode(luge("inspect", name .. "-c").stdout).containers[1] end
    local first = row().pid
    t.must(S.kill(first, "kill"))
    t.until_true("another run", function() return row().state == "running" and row().pid ~= first end)
    t.contains(luge("exec", name .. "-a", "ip", "neigh").stdout, "10.215.0.3 dev eth0 lladdr")
    local its = luge("exec", name .. "-c", "cat", "/sys/class/net/eth0/address").stdout:gsub("%s", "")
    local known = luge("exec", name .. "-a", "ip", "neigh").stdout
    for line in known:gmatch "[^\n]*lladdr[^\n]*" do t.contains(line, its) end
    for _, address in ipairs { "10.215.0.3", "fd6c:7567:6502::3" } do t.equal(ask(name .. "-a", address, "3"), "HELLO") end
  end)
end)

t.test("a wire of a lab, by the names of both its ends; addresses and routes come back", function()
  local containers = lab(nil, with("'sleep', '1000'", network(link("router", 2, "left", "routes = { { '10.9.0.0/16', '10.1.2.1' } },"))
    .. "needs = { server = 'started' }"))
  up("", containers, function(name)
    for _, end_ in ipairs { { "-server", "eth0", "-server" }, { "-router", "right", "-server" }, { "-router", "left", "-main" } } do
      cut_and_joined(name .. "-main", { "10.1.1.2", "fd01:1::2" }, name .. end_[1], end_[2], name .. end_[3])
    end
    t.contains(luge("exec", name .. "-main", "ip", "route").stdout, "10.9.0.0/16 via 10.1.2.1")
  end)
end)

-- host1 – one – two – three – host2: the wires are made from the right, and each tells the other container its ways to the right.
local function wire(to, number, right, more)
  return ("link { %q, name = 'left', address = '10.2.%d.2/24', address6 = 'fd02:%d::2/64', gateway = '10.2.%d.1', gateway6 = 'fd02:%d::1', "
    .. "peer = { name = %q, address = '10.2.%d.1/24', address6 = 'fd02:%d::1/64', %s } }"):format(to, number, number, number, number, right,
      number, number, more or "")
end

local function router(...) return with("'sleep', '1000'", network(...) .. ROUTES) end

local function chain()
  local function beyond(number) -- by a network, or by the way to everywhere
    return ("routes = { { '10.2.4.0/24', '10.2.%d.2' }, { 'fd02:4::/64', 'fd02:%d::2', metric = 50 } }"):format(number, number)
  end
  return { host1 = with("'sleep', '1000'", network()),
    one = router(wire("host1", 1, "eth0", "gateway = '10.2.1.2', gateway6 = 'fd02:1::2'")),
    two = router(wire("one", 2, "right", beyond(2))), three = router(wire("two", 3, "right", beyond(3))),
    host2 = with(SERVER, network(wire("three", 4, "right"))) }
end

t.test("a chain of three routers: each wire has routes at both ends, which come back when it is joined", function()
  up("", chain(), function(name)
    cut_and_joined(name .. "-host1", { "10.2.4.2", "fd02:4::2" }, name .. "-three", "left", name .. "-three")
    cut_and_joined(name .. "-host1", { "10.2.4.2", "fd02:4::2" }, name .. "-host1", "eth0", name .. "-one")
    local function ways(...) return luge("exec", name .. "-" .. ..., "ip", select(2, ...)).stdout end
    t.contains(ways("host1", "route"), "default via 10.2.1.2 dev eth0")
    t.contains(ways("one", "route"), "10.2.4.0/24 via 10.2.2.2 dev right")
    t.contains(ways("one", "-6", "route"), "fd02:4::/64 via fd02:2::2 dev right metric 50")
    luge("stop", "-t", "0s", name .. "-two")
    for _ = 1, 100 do -- its end goes when the kernel has got round to it
      if not ways("one", "route"):find "10.2.4.0" then return end
      S.nanosleep(0.02)
    end
    t.lacks(ways("one", "route"), "10.2.4.0", "they go with the link")
  end)
end)

t.test("a way that the other container has already is a fault with a way out", function()
  local r = run("", { router = with("'sleep', '1000'", network()), main = sh("true", network(
    "link { 'router', address = '10.2.1.2/24', peer = { name = 'a', address = '10.2.1.1/24', gateway = '10.2.1.2', "
      .. "routes = { { 'default', '10.2.1.2' } } } }")) })
  t.equal(r.code, 125)
  t.contains(r.stderr, "network.interfaces[1].peer.routes[1]:")
  t.contains(r.stderr, "the other container has a route there already")
end)

t.test("who has power over his end of the wire does not join it", function()
  local admin = with(SERVER, "capabilities = { 'net_admin' }, ")
  up("network = 'private', ", { a = with(SERVER), c = admin }, function(name)
    until_answer(name .. "-a", "10.215.0.3")
    luge("network", "cut", name .. "-c", "eth0")
    local tried = luge("exec", name .. "-c", "/bin/sh", "-c", "ip link set eth0 down && ip link set eth0 up && ip link set eth0 address 02:00:00:00:00:09; "
      .. "ip address add 10.215.0.9/16 dev eth0; ip neigh add 10.215.0.2 lladdr 02:00:00:00:00:01 dev eth0; cat /sys/class/net/eth0/carrier")
    t.equal(tried.stdout, "0\n", tried.stderr)
    for _, address in ipairs { "10.215.0.3", "10.215.0.9" } do t.differs(ask(name .. "-a", address, "0.5"), "HELLO") end
  end)
end)

-- ---- ends ----

t.test("killed one by one, gc leaves nothing of a lab, a hub and a pod", function()
  local containers = lab(nil, with("'sleep', '1000'", network(link("router", 2, "left"))))
  containers.a, containers.b = with(SERVER, "network = 'private'"), with(SERVER, "network = 'private'")
  containers.p, containers.q = with(SERVER, "network = { pod = 'gn9' }"), with("'sleep', '1000'", "network = { pod = 'gn9' }")
  local name = ("gn%d"):format(S.getpid())
  t.equal(luge("up", "--name", name, group("", containers)).code, 0)
  for _, member in ipairs { "server", "a", "router", "p", "main", "b", "q" } do
    local row = t.json.decode(luge("ps", "-a", "--json", "--filter", "name=" .. name .. "-" .. member).stdout).containers[1]
    S.kill(row.luge, "kill")
    for _ = 1, 2500 do
      if not S.kill(row.luge, 0) or d.is_zombie(row.luge) then break end
      S.nanosleep(0.002)
    end
    t.equal(luge("gc").code, 0)
    luge("rm", name .. "-" .. member)
  end
  d.reap()
  for _ = 1, 50 do -- a lock goes with the last process that was born with it
    luge "gc"
    if #S.dir(box.state) == 0 then break end
    S.nanosleep(0.05)
  end
  box.nothing_left()
end)

-- ---- the layer below ----

t.test("S.within: results and errors come back, and wrong use raises", function()
  t.needs_user()
  local path = box.state .. "/users.0"
  local users = t.must(nl.hold_users(path))
  local pod = t.must(nl.hold_pod(box.state .. "/pod.within.0", users))
  t.equal(S.within({ user = users, net = pod }, "nl.bridge", { name = "br0" }), true)
  local value, err, number = S.within({ user = users, net = pod }, "nl.bridge", { name = "br0" })
  t.equal({ value == nil, err.EXIST, number }, { true, true, S.c.E.EXIST })
  value, err = S.within({ net = pod }, "nl.up", "lo")
  t.equal({ value == nil, err.PERM }, { true, true })
  t.equal(pcall(S.within, { user = users }, "nl.up", {}), false)
  local pid, pidfd = S.clone_within({ user = users, net = pod }, { flags = "newpid, newns" })
  if pid == 0 then S.exit(S.getpid() == 1 and S.geteuid() == 0 and 7 or 8) end
  local status = S.waitid("pidfd", pidfd, "exited")
  t.equal({ status.status, status.code }, { 7, "exited" })
  pid, err = S.clone_within({ net = pod }, { flags = "" })
  t.equal({ pid == nil, err.PERM }, { true, true })
  nl.leave_pod(box.state .. "/pod.within.0")
  nl.leave_pod(path)
  box.nothing_left()
end)

t.test("a pod outlasts thousands of its containers", function()
  local path, hold = box.state .. "/pod.many", t.root and nl.hold_pod or nl.hold_users
  local pod = t.must(hold(path))
  local own = t.must(S.readfile(path))
  t.must(S.writefile(path, ("pod 4194303 1 3\n"):rep(5000) .. own))
  local child = t.must(S.fork())
  if child == 0 then
    local same = hold(path)
    local inode = same and S.fstat(same).ino
    local lines = S.readfile(path)
    nl.leave_pod(path)
    S.exit(inode == S.fstat(pod).ino and lines:match "^pod %d+ %d+ %d+\n(.*)$" == own
      and 7 or 8)
  end
  t.equal(S.waitid("pid", child, "exited").status, 7)
  t.equal(S.readfile(path), own, "who left is not named")
  nl.leave_pod(path)
  box.nothing_left()
end)
