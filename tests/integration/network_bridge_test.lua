-- SPDX-License-Identifier: MIT
-- Containers on bridges, in real traffic: who reaches whom, addresses that nobody had before, and what becomes of the bridge.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local net = dofile "tests/integration/net.lua"(t, box)
local S = require "syscall"
local nl = require "netns"

local traffic, test, body, client = net.traffic, net.test, net.wired, net.wired_client
local start, stop = net.hold, net.let_go

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
  box.refused({ "exit", "0", body = body 'bridge { "mine" }' }, "the bridge mine: ", "luge chooses no subnet and no subnet6 for it",
    "write its subnet and subnet6, or address = false and address6 = false; or choose another name")
  box.refused({ "exit", "0", body = body 'bridge { "mine", subnet = "10.50.0.0/24", gateway = "auto" }' }, "luge chooses no subnet6 for it",
    "write its subnet6, or address6 = false; or")
  assert(nl.delete "mine" and nl.veth { name = "mine", peer = "yours" })
  box.refused({ "exit", "0", body = body 'bridge { "mine", address = "10.6.0.2/24" }' }, "which is no bridge",
    'choose another name; macvlan { "mine" } has an interface on that link itself')
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

test("a mac that another container on the bridge has, and the end of an isolated one's", function()
  local one = start 'bridge { "lab", mac = "02:00:00:00:00:07" }'
  local isolated = start 'bridge { "lab", mac = "02:00:00:00:00:08", isolated = true }'
  local function run(text) return t.run(box.words { "exit", "0", body = body(text) }) end
  for text, hint in pairs { ['bridge { "lab", mac = "02:00:00:00:00:07" }'] = "another container on that bridge has that mac: take another",
    ['bridge { "lab", mac = "02:00:00:00:00:08", isolated = true }'] = "another container on that bridge has that mac: take another",
    ['bridge { "lab2", mac = "02:01:00:00:00:08", isolated = true }'] = "another isolated port's mac has the same last four bytes" } do
    local r = run(text)
    t.equal(r.code, 125)
    t.contains(r.stderr, "network.interfaces[1].mac: 02:0")
    t.contains(r.stderr, "Device or resource busy: held by process ")
    t.contains(r.stderr, hint)
  end
  for _, text in ipairs { 'bridge { "lab2", mac = "02:00:00:00:00:07" }', 'bridge { "lab", mac = "02:01:00:00:00:08" }',
    'veth { mac = "02:00:00:00:00:07" }' } do
    t.equal(run(text).code, 0, text)
  end
  stop(isolated)
  stop(one)
  stop(start 'bridge { "lab", mac = "02:00:00:00:00:08", isolated = true }')
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
    if not nl.link "lab" and not net.lock_left({}, 50) then break end -- another luge that starts meanwhile may do it
    S.nanosleep(0.01)
  end
  t.ok(not nl.link "lab" and old, "the bridge goes with the next one")
  t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
end)

-- Where luge has its locks of this network, of which it is the last part of the name.
local function lock_of(name) return ("/run/luge/bridge.%s.%d"):format(name, S.stat("/proc/self/ns/net").ino) end

test("the last user gives up the name at once, and nothing of its own is held meanwhile", function()
  local path = lock_of "lab"
  for _ = 1, 3 do
    local r, w = S.pipe()
    t.equal(t.must(nl.hold_bridge(path, "lab", { networks = { "10.5.0.1/24", "fd05::1/64" } })), 0)
    local mac = nl.link("lab").mac
    t.must(nl.leave_bridge(path))
    w:close()
    t.equal(S.read(r, 1), "", "whoever reads what the caller wrote hears of its end")
    r:close()
    t.ok(not nl.link "lab" and not S.lstat(path))
    for _, link in ipairs(nl.interfaces()) do -- it may be there for a moment yet
      t.ok(link.mac ~= mac or #link.addresses == 0 and not link.is_up, tostring(link))
    end
    t.ok(not S.waitid("all", nil, "exited, nohang"), "it is no child of ours")
  end
end)

test("a removal that was killed is left for gc", function()
  local name = t.must(nl.link_name "lg")
  local lock = t.must(S.take_lock(lock_of(name)))
  t.must(nl.bridge { name = name, mac = "02:00:00:00:00:77" })
  t.must(S.note_lock(lock, ("bridge %s 02:00:00:00:00:77\n"):format(name)))
  t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
  t.ok(nl.link(name), "somebody has the lock")
  lock:close()
  for _ = 1, 500 do
    t.succeed { "luge", "gc", env = { LUGE_STATE = box.state } }
    if not S.lstat(lock_of(name)) then break end -- another luge that starts meanwhile may be about it
    S.nanosleep(0.01)
  end
  t.ok(not nl.link(name) and not S.lstat(lock_of(name)))
end)

test("many at once on one bridge: each an address of its own", function()
  local all = {}
  for i = 1, 6 do all[i] = start 'bridge { "lab", subnet = "10.5.0.0/28", subnet6 = "fd05::/64" }' end
  t.equal(#nl.interfaces(), 8)
  for i = 1, 6 do stop(all[i]) end
end)

net.test_detached("who comes with an address that another had is reached by who knew that one", function(d)
  local function start_on_lab(name, interface) d.start(name, { shell = "exec sleep 1000", body = body(interface) }) end
  local function by_neighbour(address)
    return (d.ok("exec", "det-knower", "/luge", "lua", "/traffic.lua", "tcp", address, "9", "3"):gsub("\n", ""))
  end
  start_on_lab("det-knower", 'bridge { "lab", address = "10.5.0.9/24", address6 = "fd05::9/64" }')
  local seen = {}
  for _, row in ipairs { { "10.5.0.2", "fd05::2" }, { "10.5.0.3", "fd05::3" }, { false, "fd05::4" }, { false, "fd05::5" } } do
    local own = ('bridge { "lab", address = %s, address6 = %q, subnet6 = "fd05::/64", gateway6 = "auto", %s }'):format(
      row[1] and ('"%s/24"'):format(row[1]) or "false", row[2] .. "/64",
      row[1] and 'subnet = "10.5.0.0/24", gateway = "auto"' or "")
    local first
    for run = 1, 2 do
      start_on_lab("det-again", own)
      for i = row[1] and 1 or 2, 2 do
        t.equal({ traffic.ask("tcp", row[i], 9), by_neighbour(row[i]) }, { "refused", "refused" }, ("%s, run %d"):format(row[i], run))
      end
      local mac = t.must(nl.link("eth0", d.seen "det-again".pid)).mac
      t.ok(first and mac == first or not first and not seen[mac], ("%s, run %d: %s"):format(own, run, mac))
      first, seen[mac] = mac, true
      d.ok("rm", "-f", "-t", "0s", "det-again")
    end
  end
end)
