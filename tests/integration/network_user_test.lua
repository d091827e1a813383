-- SPDX-License-Identifier: MIT
-- The outside world by pasta and slirp4netns, in real traffic: the test plays the host and the world in network namespaces of its own.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local apart, traffic = net.apart, net.traffic

local NOBODY = 65534
local BACKENDS = {}

for _, name in ipairs { "pasta", "slirp4netns" } do
  t.test(name .. " is there", function()
    if not require("sandbox.plan.facts").gather().helpers[name] then t.skip(("no-%s: it is not installed"):format(name)) end
    BACKENDS[#BACKENDS + 1] = name
  end)
end
if not BACKENDS[1] then return end

-- The "host" is where the body runs: up0, 192.0.2.2, with the world behind 192.0.2.1; its own loopback has 192.0.2.77 too.
local function world()
  net.open_tun()
  assert(nl.up "lo")
  net.no_dad()
  local outside = net.machine("up0", { "192.0.2.1/24", "2001:db8::1/64" }, { "192.0.2.2/24", "2001:db8::2/64" })
  net.address("lo", "198.51.100.1/32", outside)
  net.address("lo", "2001:db8:5::1/128", outside)
  assert(nl.route { to = "default", via = "192.0.2.1" } and nl.route { to = "default", via = "2001:db8::1" })
  return outside
end

local function network_of(backend, more) return ("{ type = 'user', backend = %q, %s }"):format(backend, more or "") end

-- What runs inside; how: uid, options, more.
local function words(network, list, how)
  local command = box.words { words = list, body = net.body(network, how.more), options = how.options, uid = how.uid, stdin = "",
    keep_input = true }
  if how.uid then
    how.state = t.dir "0700"
    t.must(S.chown(how.state, how.uid, how.uid))
    command.env.LUGE_STATE = how.state
  end
  return command
end

local function state_of(how) return how.state or box.state end

local function inside(network, how, ...)
  local r = t.run(words(network, { ... }, how))
  t.equal(r.code, 0, r.stderr)
  t.equal(S.dir(state_of(how)), {}, "files of state")
  return (r.stdout:gsub("\n$", ""))
end

local function client(network, how, ...) return inside(network, how, "/luge", "lua", "/traffic.lua", ...) end

-- Processes of the helpers, which are in no other container than the test's.
local function helpers()
  local found = {}
  for _, pid in ipairs(S.dir "/proc") do
    local name = pid:find "^%d+$" and (S.readfile("/proc/" .. pid .. "/comm") or ""):match "^(passt%S*)\n" or
      pid:find "^%d+$" and (S.readfile("/proc/" .. pid .. "/comm") or ""):match "^(pasta%S*)\n" or
      pid:find "^%d+$" and (S.readfile("/proc/" .. pid .. "/comm") or ""):match "^(slirp4netns)\n"
    -- The helper's own network is the one that this test is in.
    if name and S.readlink("/proc/" .. pid .. "/ns/net") == S.readlink "/proc/self/ns/net" then found[#found + 1] = tonumber(pid) end
  end
  return found
end

local function no_helpers(what)
  for _ = 1, 2500 do
    if #helpers() == 0 then return end
    S.nanosleep(0.002)
  end
  error(what .. ": a helper is left: " .. table.concat(helpers(), " "), 2)
end

-- What lost its luge is ours by now.
local function reap()
  for _ = 1, 2500 do
    local pid, err = S.wait4(-1, "nohang")
    if not pid and err and err.CHILD then return end -- neither: it runs
    S.nanosleep(0.002)
  end
  error("a process runs on", 2)
end

-- A test for each helper, as root and as an ordinary user.
local function test(name, run)
  for _, backend in ipairs(BACKENDS) do
    for _, uid in ipairs { 0, NOBODY } do
      t.test(("%s: %s, %s"):format(backend, name, uid == 0 and "root" or "an ordinary user"), function()
        t.needs_root()
        apart.run(function()
          local outside = world()
          run(backend, { uid = uid ~= 0 and uid or nil }, outside)
          no_helpers(name)
          if uid == 0 then box.nothing_left() end
        end)
        reap()
      end)
    end
  end
end

local function in_the_world(outside, address, port)
  return apart.inside(outside, traffic.start_server, address, port)
end

test("TCP and UDP to the world, of both families", function(backend, how, outside)
  local v4, v6 = in_the_world(outside, "198.51.100.1", 7000), in_the_world(outside, "2001:db8:5::1", 7000)
  local network = network_of(backend)
  t.equal({ client(network, how, "tcp", "198.51.100.1", "7000"), client(network, how, "udp", "198.51.100.1", "7000") }, { "HELLO", "HELLO" })
  -- slirp4netns announces its IPv6 network, which takes a moment.
  local ask = "for i in 1 2 3 4 5 6 7 8 9; do test -n \"$(ip -6 route show default)\" && break; sleep 0.5; done; " ..
    "/luge lua /traffic.lua tcp 2001:db8:5::1 7000; /luge lua /traffic.lua udp 2001:db8:5::1 7000"
  t.equal(inside(network, how, "/bin/sh", "-c", ask), "HELLO\nHELLO")
  t.differs(client(network, how, "tcp", "198.51.100.1", "7001", "0.5"), "HELLO")
  traffic.stop_server(v4)
  traffic.stop_server(v6)
end)

test("the host's loopback is not reached, by no address", function(backend, how)
  local v4, v6 = traffic.start_server("127.0.0.1", 7100), traffic.start_server("::1", 7100)
  local network = network_of(backend)
  for _, address in ipairs { "127.0.0.1", "192.0.2.1", "10.0.2.2", "10.0.2.3", "169.254.1.1", "::1", "2001:db8::1", "fd00::2", "fd00::3" } do
    for _, proto in ipairs { "tcp", "udp" } do
      t.differs(client(network, how, proto, address, "7100", "0.5"), "HELLO", proto .. " " .. address)
    end
  end
  traffic.stop_server(v4)
  traffic.stop_server(v6)
end)

test("the host's own addresses are reached only where egress names them", function(backend, how)
  assert(nl.veth { name = "up1", peer = "out1", up = true })
  assert(nl.up "out1")
  assert(nl.address("up1", "8.8.8.1/24") and nl.address("up1", "2600::1/64", "nodad"))
  local server = traffic.start_server("8.8.8.1", 7100)
  local server6 = traffic.start_server("2600::1", 7100)
  for _, egress in ipairs { "internet = true", "allow = { { '0.0.0.0/0' }, { '::/0' } }" } do
    local network = network_of(backend, ("egress = { %s }"):format(egress))
    t.differs(client(network, how, "tcp", "8.8.8.1", "7100", "0.5"), "HELLO", egress)
    t.differs(client(network, how, "tcp", "2600::1", "7100", "0.5"), "HELLO", egress)
  end
  t.equal(client(network_of(backend, "egress = { allow = { { '8.8.8.1', 7100 } } }"), how, "tcp", "8.8.8.1", "7100"), "HELLO")
  traffic.stop_server(server)
  traffic.stop_server(server6)
  assert(nl.delete "up1")
end)

test("addresses that the host gets later are its own as well", function(backend, how)
  local process = t.start(words(network_of(backend, "egress = { internet = true }"), { "/bin/sh", "-c", "echo ready; while read address; do "
    .. 'while [ "$(/luge lua /traffic.lua tcp $address 7100 3)" = HELLO ]; do :; done; echo denied; done' }, how))
  process:await "ready\n"
  assert(nl.veth { name = "up1", peer = "out1", up = true } and nl.up "out1")
  local servers = {}
  -- slirp4netns announces its IPv6 network late.
  for i, address in ipairs { "8.8.4.99", backend == "pasta" and "2600:7::99" or nil } do
    assert(nl.address("up1", address .. (i == 1 and "/24" or "/64"), i == 2 and "nodad" or nil))
    servers[i] = traffic.start_server(address, 7100)
    local open = t.run(words(network_of(backend, "egress = false"), { "/luge", "lua", "/traffic.lua", "tcp", address, "7100" }, how))
    t.equal(open.stdout, "HELLO\n", address)
    process.input = address .. "\n"
    process:await(("denied\n"):rep(i))
  end
  process:signal "term"
  process:wait()
  for _, pid in ipairs(servers) do traffic.stop_server(pid) end
  assert(nl.delete "up1")
end)

test("egress holds in the container's own network", function(backend, how, outside)
  local allowed, other = in_the_world(outside, "198.51.100.1", 7000), in_the_world(outside, "198.51.100.1", 7001)
  local host = traffic.start_server("192.0.2.2", 7001)
  local network = ("{ interfaces = { { type = 'user', backend = %q } }, egress = { allow = { { cidr = '198.51.100.1/32', port = 7000, "
    .. "proto = 'tcp' } } } }"):format(backend)
  t.equal(client(network, how, "tcp", "198.51.100.1", "7000"), "HELLO")
  for _, words_of in ipairs { { "tcp", "198.51.100.1", "7001" }, { "udp", "198.51.100.1", "7000" }, { "tcp", "192.0.2.2", "7001" } } do
    t.differs(client(network, how, table.unpack(table.move({ "0.5" }, 1, 1, 4, words_of))), "HELLO", table.concat(words_of, " "))
  end
  for _, pid in ipairs { allowed, other, host } do traffic.stop_server(pid) end
end)

test("published ports lead in, and no others", function(backend, how)
  -- Of UDP each loses something that luge refuses to begin with.
  local guest, address = backend == "pasta" and 8081 or 80, backend == "pasta" and "127.0.0.1" or "192.0.2.2"
  local publish = ("publish = { { host = '127.0.0.1:8080', guest = %d }, { host = 8082, guest = %d }, "
    .. "{ host = '%s:8081', guest = %d, proto = 'udp' } }"):format(guest, guest, address, guest)
  local process = t.start(words(network_of(backend, publish), { "/luge", "lua", "/traffic.lua", "serve", "0.0.0.0", guest .. "" }, how))
  process:await "ready\n"
  t.equal({ traffic.ask("tcp", "127.0.0.1", 8080), traffic.ask("tcp", "127.0.0.1", 8082), traffic.ask("tcp", "192.0.2.2", 8082) },
    { "HELLO", "HELLO", "HELLO" })
  t.equal(traffic.ask("udp", address, 8081), "HELLO", "UDP")
  t.equal({ traffic.ask("tcp", "192.0.2.2", 8080), traffic.ask("tcp", "127.0.0.1", 80), traffic.ask("tcp", "127.0.0.1", 8081),
    traffic.ask("udp", "127.0.0.1", 8080) }, { "refused", "refused", "refused", "refused" })
  process:signal "term"
  process:wait()
  t.equal(S.dir(state_of(how)), {}, "files of state")
end)

test("cut, nothing comes through it, and joined everything again", function(backend, how, outside)
  local server, name = in_the_world(outside, "198.51.100.1", 7000), "cut-" .. S.getpid()
  how.options = { "--name", name }
  local process = t.start(words(network_of(backend, "publish = { { host = '127.0.0.1:8080', guest = 80 } }"),
    { "/luge", "lua", "/traffic.lua", "serve", "0.0.0.0", "80" }, how))
  process:await "ready\n"
  local function luge(...)
    local list = { "luge", ... }
    list.env, list.uid = { LUGE_STATE = state_of(how) }, how.uid
    return t.succeed(list)
  end
  local function asks()
    local r = t.run { "luge", "exec", name, "/luge", "lua", "/traffic.lua", "tcp", "198.51.100.1", "7000", "0.1",
      env = { LUGE_STATE = state_of(how) }, uid = how.uid }
    return r.stdout == "HELLO\n", traffic.ask("tcp", "127.0.0.1", 8080, 0.1) == "HELLO"
  end
  local function both(wanted)
    for _ = 1, 50 do
      local out, into = asks()
      if out == wanted and into == wanted then return end
      if not wanted then error("something came through: " .. tostring(out) .. " " .. tostring(into)) end
    end
    error "nothing comes through"
  end
  both(true)
  luge("network", "cut", name, "eth0")
  both(false)
  luge("network", "join", name, "eth0")
  both(true)
  process:signal "term"
  process:wait()
  traffic.stop_server(server)
end)

t.test("what a helper would publish in vain is a fault", function()
  t.needs_root()
  for text, said in pairs { ["backend = 'slirp4netns', publish = { { host = '[::1]:80', guest = 80 } }"] = "on IPv4 addresses only",
    ["backend = 'slirp4netns', publish = { { host = '127.0.0.1:80', guest = 80, proto = 'udp' } }"] = "on the loopback are lost",
    ["backend = 'slirp4netns', publish = { { host = 8080, proto = 'udp' } }"] = "on the loopback are lost",
    ["backend = 'slirp4netns', publish = { { host = '0.0.0.0:8080', proto = 'udp' } }"] = "on the loopback are lost",
    ["backend = 'pasta', publish = { { '127.0.0.1:8066', 80 }, { '[::1]:8066', 80 } }"] = "network.publish[2]: pasta publishes a port of the "
      .. "host on one address or on all, and tcp 8066 is publish[1]'s",
    ["backend = 'pasta', publish = { { host = 8081, guest = 80, proto = 'udp' } }"] = "where the ports differ" } do
    apart.run(function()
      net.open_tun()
      box.refused({ words = { "true" }, body = "network = { type = 'user', " .. text .. " }" }, said)
    end)
  end
end)

test("a port that is taken is an error, with nothing left", function(backend, how)
  local server = traffic.listen("0.0.0.0", 8080)
  local r = t.run(words(network_of(backend, "publish = { { host = '127.0.0.1:8080', guest = 80 } }"), { "/bin/true" }, how))
  t.equal(r.code, 125, r.stderr)
  t.contains(r.stderr, backend .. ": ")
  t.contains(r.stderr, "is the port of the host free")
  t.equal(S.dir(state_of(how)), {}, "files of state")
  server.tcp:close()
  server.udp:close()
end)

test("names are asked for by the helper's own server", function(backend, how)
  local network = network_of(backend)
  t.equal(inside(network, how, "cat", "/etc/resolv.conf"), "nameserver " .. (backend == "pasta" and "169.254.1.1" or "10.0.2.3"))
  t.equal(inside(network_of(backend, "dns = { '192.0.2.53' }"), how, "cat", "/etc/resolv.conf"), "nameserver 192.0.2.53")
end)

test("the helper has little, and ends with its container", function(backend, how)
  local process = t.start(words(network_of(backend), { "/bin/sh", "-c", "echo ready; read line" }, how))
  process:await "ready\n"
  local pid = helpers()[1]
  local status = t.read(("/proc/%d/status"):format(pid))
  t.contains(status, "NoNewPrivs:\t1")
  t.equal(tonumber(t.matches(status, "Uid:\t(%d+)")) == 0, false, "the host's root")
  t.equal(S.readfile(("/proc/%d/environ"):format(pid)), "")
  -- Of capabilities it keeps none over the host's namespaces.
  t.differs(S.readlink(("/proc/%d/ns/user"):format(pid)), S.readlink "/proc/self/ns/user")
  for _, number in ipairs(S.dir(("/proc/%d/fd"):format(pid))) do
    t.lacks(S.readlink(("/proc/%d/fd/%s"):format(pid, number)) or "", "/.luge", "a descriptor of luge's")
    t.lacks(S.readlink(("/proc/%d/fd/%s"):format(pid, number)) or "", ".lock", "a descriptor of luge's")
  end
  process:signal "term"
  process:wait()
end)

test("its end is told, and the container goes on", function(backend, how)
  local events = t.dir "0777" .. "/report.json"
  how.options = { "--report", events }
  local process = t.start(words(network_of(backend), { "/bin/sh", "-c", "echo ready; read line; echo over" }, how))
  process:await "ready\n"
  for _, pid in ipairs(helpers()) do S.kill(pid, "kill") end
  process:await("goes on without that network", "stderr")
  process:signal "term"
  local r = process:wait()
  t.contains(r.stderr, backend .. " ended")
  local report = t.json.decode(t.read(events))
  t.equal({ report.events[1].event, report.events[1].state, report.events[1].backend }, { "network", "lost", backend })
end)

test("killed, luge takes the helper along, and gc finds nothing", function(backend, how)
  local process = t.start(words(network_of(backend), { "/bin/sh", "-c", "echo ready; sleep 1000" }, how))
  process:await "ready\n"
  t.ok(#helpers() > 0)
  process:kill()
  process:wait()
  no_helpers "after SIGKILL"
  t.succeed { "luge", "gc", env = { LUGE_STATE = state_of(how) }, uid = how.uid }
  t.equal(S.dir(state_of(how)), {}, "files of state")
end)

t.test("a helper that outlives its luge is ended by gc", function()
  t.needs_root()
  local lock = t.must(S.take_lock(box.state .. "/gone.lock", "profile x\n"))
  local sleeper = t.start { "sleep", "1000" }
  t.must(S.note_process(lock, sleeper.pid, "helper"))
  lock:close()
  t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
  t.equal(sleeper:wait().signal, 9)
  box.nothing_left()
end)

t.test("another user's id inside, and none of a user namespace", function()
  t.needs_root()
  apart.run(function()
    local outside = world()
    local server = in_the_world(outside, "198.51.100.1", 7000)
    for _, backend in ipairs(BACKENDS) do
      t.equal(client(network_of(backend), { uid = NOBODY, more = "user = '1000:1000'" }, "tcp", "198.51.100.1", "7000"), "HELLO", backend)
      t.equal(client(network_of(backend), { more = "id_map = 'host'" }, "tcp", "198.51.100.1", "7000"), "HELLO", backend)
    end
    traffic.stop_server(server)
    no_helpers "ids"
  end)
end)

t.test("the default is what is installed", function()
  local r = t.run { "luge", "plan", "--json", t.profile "return container { network = 'user', command = { 'true' } }" }
  if r.code == 0 then t.contains(r.stdout, "/usr/bin/" .. BACKENDS[1]) else t.contains(r.stderr, "/dev/net/tun") end
end)

t.test("a closed device, and a world that is not there", function()
  t.needs_root()
  apart.run(function()
    net.open_tun()
    local r = t.run(words(network_of(BACKENDS[1]), { "/bin/true" }, { uid = NOBODY }))
    t.equal(r.code, 125)
    t.contains(r.stderr, "luge's own network has no default route")
    S.chmod("/dev/net/tun", "0600")
    for _, backend in ipairs(BACKENDS) do
      r = t.run(words(network_of(backend), { "/bin/true" }, { uid = NOBODY }))
      t.equal(r.code, 125)
      t.contains(r.stderr, ("/dev/net/tun is closed to nobody, and %s needs it"):format(backend))
      t.contains(r.stderr, "chmod 0666 /dev/net/tun")
    end
    r = t.run { "luge", "doctor", uid = NOBODY }
    t.contains(r.stdout, "closed to nobody")
    t.equal(client(network_of "slirp4netns", {}, "tcp", "198.51.100.1", "1", "0.2"):find "HELLO", nil, "root may open it")
  end)
end)
