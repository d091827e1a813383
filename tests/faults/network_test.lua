-- SPDX-License-Identifier: MIT
-- SIGKILL and errors at the system calls of runs with networks: a wire with all that a firewall does, a bridge, a wire to
-- another container, another's network, a pod. Afterwards `luge gc` leaves no link, address, route, table, reservation or
-- setting changed, and a run that succeeded had its rules in force. The host is the script's own network namespace.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local nl = require "netns"
local f = dofile "tests/faults/faults.lua"(t)
local kill = dofile "tests/faults/kill.lua"(t, f)
local fail = dofile "tests/faults/errno.lua"(t, f)

-- What steps of networks call; what else a run calls is tried without one (kill_test.lua, errno_test.lua).
local ONLY = {}
for name in ([[socket bind getsockname setsockopt sendto sendmsg recvmsg recvfrom setns unshare flock open openat write
  pwrite64 ftruncate unlink clone3 pidfd_open]]):gmatch "%S+" do ONLY[name] = true end

-- The world outside: a link that is up, with a way to everywhere.
local function uplink()
  if nl.link "up0" then return end
  t.must(nl.up "lo")
  t.must(S.writefile("/proc/sys/net/ipv6/conf/default/accept_dad", "0"))
  t.must(nl.veth { name = "up0", up = true, peer = "up1" } and nl.up "up1")
  t.must(nl.address("up0", "192.0.2.1/24") and nl.address("up0", "2001:db8::1/64", "nodad"))
  t.must(nl.route { to = "default", via = "192.0.2.9" } and nl.route { to = "default", via = "2001:db8::9" })
  for _ = 1, 2000 do -- the kernel gives links addresses of its own when it has got round to it
    if #nl.addresses { dev = "up0", family = "inet6" } == 2 and #nl.addresses { dev = "up1", family = "inet6" } == 1 then return end
    S.nanosleep(0.002)
  end
  error "the uplink has no link-local address"
end

local RULES = [[publish = { { "127.0.0.1:8080", 80 }, { 5353, 53, proto = "udp" } }, bandwidth = { down = "10mbit", up = "8mbit" },
  egress = { log = true, allow = { { "198.51.100.0/24", 443 }, { "2001:db8:1::/48", 443 } } }]]

-- Beside luge's own: the process that removes a bridge in its place, and the one between; another may have been forked before.
local REMOVAL = { ["0x.2"] = "parting", ["0x.2.1"] = "remover", ["0x.3"] = "parting", ["0x.3.1"] = "remover" }
for role, name in pairs(f.RUN) do REMOVAL[role] = name end

local NETWORKS = {
  { name = "veth", network = ("{ interfaces = { veth { nat = true } }, %s }"):format(RULES), most = 40,
    rows = { "network", "network.interfaces[1]", "network.egress", "network.publish[1]", "network.publish[2]", "network.bandwidth.up" },
    left = { "net", "sysctl", "link", "table" } },
  { name = "bridge", network = ('{ interfaces = { bridge { "lab", gateway = "auto", gateway6 = "auto", nat = true, isolated = true } }, %s }')
    :format(RULES), more = ", capabilities = { 'net_admin' }", most = 25,
    rows = { "network.egress", "network.publish[1]", "network.bandwidth.up" },
    left = { "bridge", "port", "sysctl", "link", "table" }, roles = REMOVAL, others = { "parting", "remover" } },
  { name = "link", other = true, most = 15, network = [[{ interfaces = { link { "$other", address = "10.5.0.2/24", address6 = "fd05::2/64",
    peer = { name = "eth5", address = "10.5.0.1/24", address6 = "fd05::1/64" } } } }]], rows = { "network.interfaces[1]" } },
  { name = "join", other = true, most = 15, network = '{ join = "$other" }' },
  { name = "pod", most = 15, network = "{ pod = 'faults' }", left = { "pod" } },
}

-- A container that this one is joined to runs at each attempt, and is as it was when that is over.
local function beside(s)
  local other, plain = s.container .. "-other", f.profile(s.name .. "-other.lua", ", network = { interfaces = {} }")
  local pid
  s.other = other
  function s.before()
    local r = s:luge("run", "-d", "--name", other, plain, "--", "/guest", "sleep", "100000")
    t.equal({ r.code, r.stderr }, { 0, "" })
    pid = t.json.decode(s:luge("inspect", "--json", other).stdout).containers[1].pid
  end
  function s.after()
    s:luge "gc"
    local left
    for _ = 1, 5000 do -- a wire ends a moment after the namespace of its other end
      left = t.must(nl.interfaces(pid))
      if #left == 1 then break end
      S.nanosleep(0.002)
    end
    s:luge("rm", "-f", "-t", "0s", other)
    t.equal(#left, 1, "links of the other: " .. tostring(left))
  end
  return other
end

local function scenario(what, words, more)
  local s = f.scenario { name = what.name, roles = what.roles or f.RUN, network = true, only = ONLY, rows = what.rows }
  for key, value in pairs(more or {}) do s[key] = value end
  local network = what.network:gsub("%$other", what.other and beside(s) or "")
  s.words = { "run", "--name", "$name" }
  if s.report then table.move({ "--report", s.report }, 1, 2, 4, s.words) end
  table.move({ f.profile(what.name .. ".lua", (what.more or "") .. ", network = " .. network), "--", "/guest", table.unpack(words) }, 1, 3 + #words,
    #s.words + 1, s.words)
  return s
end

for _, what in ipairs(NETWORKS) do
  t.test("killed: " .. what.name, function()
    t.needs_root()
    local s = scenario(what, { "exit", "0" })
    uplink()
    kill(s, f.ALL, what.most)
    local tried = s.tried
    if what.others then kill(s, what.others, 12) end
    t.ok(not what.others or s.tried > tried, "none of its other processes was there")
    s:all_left(what.left or {})
  end)
  t.test("errors: " .. what.name, function()
    t.needs_root()
    uplink()
    fail(scenario(what, { "facts" }, { report = f.scratch .. "/report.json" }), f.ALL, what.most)
  end)
end
