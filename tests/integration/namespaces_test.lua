-- SPDX-License-Identifier: MIT
-- Namespaces: which are new, the host's or joined; clocks, names, the loopback, kernel parameters.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

local KINDS = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup" }

local function own(kind)
  return tonumber(S.readlink("/proc/self/ns/" .. kind):match "%d+")
end

t.test("all are new but time", function()
  local namespaces = box.facts({}).namespaces
  for _, kind in ipairs(KINDS) do t.differs(namespaces[kind], own(kind), kind) end
  t.equal(namespaces.time, own "time")
end)

-- ---- luge in a user namespace of somebody else's ----

-- A run of a profile's body where `unshare FLAGS` has put luge.
local function below(flags, body)
  local profile = t.profile(("return container { command = { 'cat', '/proc/self/uid_map' }, %s }"):format(body or ""))
  return t.run { "/usr/bin/unshare", flags, t.luge, "run", profile, env = { LUGE_STATE = t.dir(), PATH = os.getenv "PATH" } }
end

-- Where such a root keeps its locks on ranges and networks; outside = its id on the machine.
local function forget_locks(outside) t.remove_tree("/tmp/luge-0." .. outside) end

local function refused(r, ...)
  t.equal({ r.code, r.stdout }, { 125, "" }, r.stderr)
  for _, part in ipairs { ... } do t.contains(r.stderr, part) end
end

t.test("luge runs where unshare -r has put it, with mounts of its own and without", function()
  for _, flags in ipairs { "-Ur", "-Urm", "-Urmn" } do
    local r = below(flags)
    t.equal(r.code, 0, flags .. ": " .. r.stderr)
    t.matches(r.stdout, "^ *0 +0 +1\n$")
    refused(below(flags, "id_map = 'auto'"), "the user namespace that luge runs in has 1 in all", 'id_map = "self"')
    refused(below(flags, "id_map = { uids = { { 0, 0, 1 }, { 1, 100, 5 } }, gids = { { 0, 0, 1 } } }"),
      "uids: 100 is none of the user namespace that luge runs in", "/proc/self/uid_map")
  end
end)

t.test("below unshare -r the host's ids and networks are had where luge has power over them", function()
  refused(below("-Ur", "id_map = 'host'"), "power over the mounts that luge sees", "unshare -rm")
  local r = below("-Urm", "id_map = 'host'")
  t.equal(r.code, 0, r.stderr)
  refused(below("-Urm", "id_map = 'host', user = '7:7'"), "7:7 is not in the user namespace that luge runs in")
  local wire = "network = { interfaces = { veth { address = '10.99.0.2/24' } } }"
  refused(below("-Urm", wire), "is made on the host, which takes CAP_NET_ADMIN there")
  r = below("-Urmn", wire)
  forget_locks(S.geteuid())
  t.equal(r.code, 0, r.stderr)
end)

t.test("below unshare -r luge doctor says what can be had there", function()
  local r = t.run { "/usr/bin/unshare", "-Ur", t.luge, "doctor", env = { LUGE_STATE = t.dir() } }
  t.matches(r.stdout, "user namespaces +yes")
  t.matches(r.stdout, "id_map auto +%- +not here: the user namespace that luge runs in has too few ids")
end)

t.test("luge does not go by another pid namespace's /proc", function()
  refused(below "-Urmpf", "/proc belongs to another pid namespace", "--mount-proc")
end)

t.test("without /proc luge says what is missing, and only that", function()
  t.needs_root()
  local root = t.rootfs()
  t.write(root .. "/luge", t.read(t.luge), "0755")
  local script = ([[mkdir %q/usr; mount --bind /usr %q/usr; for l in bin sbin lib lib64; do ln -s usr/$l %q/$l; done
    LUGE_STATE=/run/own chroot %q /luge run default -- true]]):gsub("%%q", root)
  refused(t.run { "/usr/bin/unshare", "-m", "/bin/sh", "-c", script }, "namespaces: /proc is not mounted here",
    "mount -t proc proc /proc", "1 error; nothing was started")
end)

-- Roots that have more ids than a system takes give ranges of their own away.
t.test("a root of many ids below the machine's gives each container a private range", function()
  t.needs_root()
  local FIRST, COUNT = 1000000, 400000
  local state, ready, go = t.dir "0755", S.pipe "cloexec"
  t.must(S.chown(state, FIRST, FIRST))
  local profile = t.profile "return container { id_map = 'auto', command = { 'cat', '/proc/self/uid_map' } }"
  local r = t.run { "luge", "run", profile, env = { LUGE_STATE = state }, before = function()
    local mapped = t.must(S.fork()) -- writes the maps of its parent
    if mapped == 0 then
      S.read(ready, 1)
      for _, kind in ipairs { "uid", "gid" } do
        S.writefile(("/proc/%d/%s_map"):format(S.getppid(), kind), ("0 %d %d\n"):format(FIRST, COUNT))
      end
      S.exit(0)
    end
    t.must(S.unshare "newuser, newns")
    S.write(go, "x")
    S.wait4(mapped)
    t.must(S.setresgid(0, 0, 0))
    t.must(S.setresuid(0, 0, 0))
  end }
  forget_locks(FIRST)
  t.equal(r.code, 0, r.stderr)
  local inside, first, count = t.matches(r.stdout, "^ *(%d+) +(%d+) +(%d+)\n$")
  t.equal({ inside, count }, { "0", "65536" })
  t.ok(tonumber(first) >= 65536 and tonumber(first) + 65536 <= COUNT, first)
end)

t.test("each can be the host's", function()
  for field, kind in pairs { pid = "pid", ipc = "ipc", uts = "uts", cgroup = "cgroup" } do
    local namespaces = box.facts({ body = ("namespaces = { %s = 'host' }"):format(field) }).namespaces
    for _, other in ipairs(KINDS) do
      if other == kind then t.equal(namespaces[other], own(other), other) else t.differs(namespaces[other], own(other), other) end
    end
  end
end)

t.test("the host's network, when network says so", function()
  local facts = box.facts { body = "network = 'host'" }
  t.equal(facts.namespaces.net, own "net")
  table.sort(facts.links)
  t.equal(facts.links, S.dir "/sys/class/net")
end)

t.test("lo is up, and alone", function()
  local facts = box.facts {}
  t.equal(facts.links, { "lo" })
  t.equal(box.try({ "connect", "127.0.0.1", "1" }).errno, "ECONNREFUSED")
  t.equal(box.try({ "connect", "192.0.2.1", "1" }).errno, "ENETUNREACH")
  t.equal(box.says { shell = "cat /sys/class/net/lo/operstate; cat /proc/net/if_inet6 | cut -c1-32" },
    "unknown\n00000000000000000000000000000001")
end)

t.test("a port below 1024 needs no privilege in an own network", function()
  t.equal(box.says { shell = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start" }, "0")
end)

t.test("the pid namespace: luge's PID 1 and the command", function()
  t.equal(box.says { shell = "ls /proc | grep -c '^[0-9]'; cat /proc/1/comm; echo $$" }, "4\nluge-init\n2")
  local facts = box.facts { "/proc/sys/kernel/domainname", body = "namespaces = { pid = 'host' }" }
  t.ok(facts.pid > 2)
  t.differs(facts.writable["/proc/sys/kernel/domainname"], true)
  t.equal(box.says { shell = "cat /proc/1/comm; ls -A /proc/acpi /proc/scsi 2>/dev/null | grep -v '^/\\|^$' | wc -l",
    body = "namespaces = { pid = 'host' }" },
    (t.read "/proc/1/comm") .. "0")
end)

t.test("the host name", function()
  t.matches(box.facts({ options = { "--name", "this-name" } }).hostname, "^this%-name$")
  t.equal(box.facts({ body = "hostname = 'builder.example'" }).hostname, "builder.example")
  t.matches(box.facts({}).hostname, "^profile%-%w%w%w%w$")
  t.equal(box.facts({ body = "namespaces = { uts = 'host' }" }).hostname, S.uname().nodename)
  box.refused({ "facts", body = "hostname = 'x', namespaces = { uts = 'host' }" }, "hostname", "would rename the host")
end)

t.test("clocks with offsets", function()
  local now = S.clock_gettime "boottime"
  local up = tonumber((box.says { shell = "cut -d' ' -f1 /proc/uptime",
    body = "namespaces = { time = { boottime = '1000h', monotonic = '2000h' } }" }))
  t.ok(up > now + 3600 * 999 and up < now + 3600 * 1001, ("%s is not 1000 hours after %s"):format(up, now))
  local facts = box.facts { body = "namespaces = { time = { boottime = '1000h' } }" }
  t.differs(facts.namespaces.time, own "time")
  t.differs(box.facts({ body = "namespaces = { time = true }" }).namespaces.time, own "time")
  up = tonumber((box.says { shell = "cut -d' ' -f1 /proc/uptime", body = "namespaces = { time = { boottime = '-10s' } }" }))
  t.ok(up < S.clock_gettime "boottime" - 5)
  box.refused({ "facts", body = "namespaces = { time = { boottime = '-9000h' } }" }, "namespaces.time", "has been up for")
end)

t.test("a namespace by path is joined", function()
  local holder = box.start { shell = "echo ready; read x", stdin = "", keep_input = true,
    body = "hostname = 'joined'" .. (t.root and "" or ", id_map = 'self'") }
  holder:await "ready"
  local pid = t.must(S.readfile(("/proc/%d/task/%d/children"):format(holder.pid, holder.pid))):match "%d+"
  for _, kind in ipairs(t.root and { "uts", "ipc" } or {}) do
    local path = ("/proc/%s/ns/%s"):format(pid, kind)
    local r = t.run(box.words { "facts", body = ("id_map = 'host', namespaces = { %s = %q }"):format(kind, path) })
    t.equal(r.code, 0, r.stderr)
    local facts = t.json.decode(r.stdout)
    t.equal(facts.namespaces[kind], tonumber(S.readlink(path):match "%d+"), kind)
    if kind == "uts" then t.equal(facts.hostname, "joined") end
  end
  holder:close_input()
  holder:wait()
  box.nothing_left()
end)

t.test("a path that is no namespace, or not there", function()
  box.refused({ "facts", body = "namespaces = { ipc = '/no/such/ns' }" }, "namespaces.ipc", "/no/such/ns", "/proc/PID/ns/ipc")
  box.refused({ "facts", body = "namespaces = { ipc = '/etc/passwd' }" }, "namespaces.ipc")
  box.refused({ "facts", body = "namespaces = { ipc = '/proc/self/ns/uts' }" }, "namespaces.ipc", "no namespace of that kind")
  box.refused({ "facts", body = "namespaces = { ipc = '/proc/self/ns/ipc' }" }, "namespaces.ipc", "id_map = \"host\"")
  box.refused({ "facts", body = "namespaces = { pid = '/proc/self/ns/pid' }" }, "the user namespace that owns", "id_map = \"host\"")
end)

t.test("user and mount namespaces are not joined", function()
  box.refused({ "facts", body = "namespaces = { user = '/proc/self/ns/user' }" }, "namespaces.user", "leave it out")
  box.refused({ "facts", body = "namespaces = { mount = '/proc/self/ns/mnt' }" }, "namespaces.mount")
  box.refused({ "facts", body = "namespaces = { user = 'host' }" }, "namespaces.user", "id_map = \"host\"")
  box.refused({ "facts", body = "namespaces = { net = 'host' }" }, "namespaces.net", "network")
end)

t.test("kernel parameters of its namespaces", function()
  local body = 'sysctl = { ["kernel.shmmax"] = 1048576, ["net.ipv4.ip_forward"] = 1, ["fs.mqueue.msg_max"] = 5 }'
  t.equal(box.says { shell = "cat /proc/sys/kernel/shmmax /proc/sys/net/ipv4/ip_forward /proc/sys/fs/mqueue/msg_max",
    body = body },
    "1048576\n1\n5")
  t.differs(t.read "/proc/sys/kernel/shmmax", "1048576\n")
end)

t.test("kernel parameters of the host, and wrong ones", function()
  box.refused({ "facts", body = "sysctl = { ['net.ipv4.ip_local_port_range'] = '1 5' }" }, "the kernel does not take this value")
  box.refused({ "facts", body = "sysctl = { ['kernel.hostname'] = 'x' }" }, "hostname = \"…\"")
  box.refused({ "facts", body = 'sysctl = { ["kernel.panic"] = 1 }' }, "belongs to the whole host")
  box.refused({ "facts", body = 'sysctl = { ["net.ipv4.ip_forward"] = 1 }, network = "host"' }, "would change the host")
  box.refused({ "facts", body = 'sysctl = { ["net.no.such"] = 1 }' }, 'sysctl["net.no.such"]')
  box.refused({ "facts", body = 'sysctl = { ["net.ipv4.ip_forward"] = "many" }' }, 'sysctl["net.ipv4.ip_forward"]')
  box.refused({ "facts", body = 'sysctl = { ["net/../../../etc/x"] = 1 }' }, "sysctl")
  box.refused({ "facts", body = 'sysctl = { ["net....etc"] = 1 }' }, "sysctl")
end)

-- luge inside a container of luge's: the outer profile has to allow what the inner one does.
local function nested(body)
  return box.run { words = { "/luge", "run", "default", "--", "/bin/sh", "-c", "echo inside; exit 7" },
    body = ("container { mounts = { bind { %q, '/luge' } } }, %s"):format(t.luge, body) }
end

t.test("what forbids a container inside a container is said", function()
  local r = nested ""
  t.equal(r.code, 125)
  t.contains(r.stderr, "a filter hides clone3")
  r = nested "user = '1000:1000', seccomp = false"
  t.equal(r.code, 125)
  t.contains(r.stderr, "masked, as in a nested container")
  if t.root then
    r = nested "seccomp = false"
    t.equal(r.code, 125)
    t.contains(r.stderr, "run luge as another user there")
  end
end)

t.test("a cgroup namespace hides where the container is", function()
  local facts = box.facts {}
  for line in facts.cgroup:gmatch "[^\n]+" do t.matches(line, ":/$") end
end)

t.test("in the host's pid namespace nothing outlives the container", function()
  if not t.root then return end
  local r = t.run { t.luge, "run", "--set", "id_map=host", "--set", "namespaces={ pid = 'host' }", "--timeout", "500ms",
    "default", "--", "sh", "-c", "(setsid sleep 71.25 &); sleep 71.25 & sleep 50", timeout = 20 }
  t.equal(r.code, 124, r.stderr)
  for _, name in ipairs(S.dir("/proc")) do
    local words = name:match("^%d+$") and S.readfile("/proc/" .. name .. "/cmdline") or ""
    t.lacks(words, "71.25")
  end
end)
