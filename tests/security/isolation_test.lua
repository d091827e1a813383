-- SPDX-License-Identifier: MIT
-- The default profile's promises: nothing of the host but what is named, nobody's root, no power.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

-- ---- files ----

A.each("a file of the host is not there unless it is named", function(side)
  local path = side:file("secret", "of the host", "0644")
  t.equal(side:try({ mounts = ("bind { %q, '/s' },"):format(path) }, "read", "/s").data, "of the host")
  A.refused(side:try({}, "read", path), "ENOENT")
  for _, name in ipairs { "/etc/shadow", "/etc/ssh", "/var/log", "/var/lib", "/boot", "/srv", "/root/.ssh", "/home" } do
    A.refused(side:try({}, "stat", name), "ENOENT")
  end
end)

A.each("what is named read-only stays as it is", function(side)
  local dir = side:folder("dir", "0777")
  side:file("dir/file", "as before", "0666")
  local function mounts(more) return ("bind { %q, '/d'%s },"):format(dir, more) end
  A.works(side:try({ mounts = mounts ", rw = true" }, "create", "/d/new"))
  S.unlink(dir .. "/new")
  for _, probe in ipairs { { "create", "/d/new" }, { "write", "/d/file", "x" }, { "unlink", "/d/file" },
    { "mkdir", "/d/new" }, { "symlink", "/d/file", "/d/new" }, { "chmod", "/d/file", "0600" },
    { "mknod", "/d/new", "p" } } do
    A.refused(side:try({ mounts = mounts "" }, table.unpack(probe)), "EROFS")
    A.works(side:try({ mounts = mounts ", overlay = 'discard'" }, table.unpack(probe)), table.concat(probe, " "))
  end
  t.equal(S.dir(dir), { "file" })
  t.equal(t.read(dir .. "/file"), "as before")
  for _, path in ipairs { "/usr/new", "/bin/new", "/etc/new", "/new", "/proc/sys/kernel/new", "/sys/new" } do
    t.ok(side:try({}, "create", path).result < 0, path)
  end
end)

A.root("files of root that others may not read stay closed under root = \"/\"", function(side)
  local path = side:file("private", "for root", "0600")
  S.chmod(side.dir, "0755")
  local closed = "/var/luge-test-private"
  t.write(closed, "for root", "0600")
  local ok, err = pcall(function()
    t.equal(side:try({ fields = 'root = "/", id_map = "host", capabilities = { "dac_override" }' }, "read", closed).data,
      "for root")
    A.refused(side:try({ fields = 'root = "/"' }, "read", closed), "EACCES")
    A.refused(side:try({ fields = 'root = "/"' }, "read", path))
    A.refused(side:try({ fields = 'root = "/"' }, "write", "/etc/passwd", "x"))
  end)
  S.unlink(closed)
  if not ok then error(err, 0) end
end)

-- The caller's own home is hidden wherever it lies: the container of an ordinary user has his id.
A.each("the caller's home is not shown under root = \"/\"", function(side)
  t.needs_root() -- to make a home outside /home and /tmp
  local parent = "/var/luge-test-homes"
  t.must(S.mkdir(parent, "0755"))
  local home = parent .. "/somebody"
  local ok, err = pcall(function()
    t.must(S.mkdir(home, "0755"))
    t.write(home .. "/private", "in the home", "0600")
    if side.uid then t.must(S.chown(home .. "/private", side.uid, side.uid)) end
    local profile = t.write(side.dir .. "/whole.lua", 'return container { profile "default", root = "/", id_map = "self" }')
    local function cat(HOME)
      return side:run({ profile = profile, env = { HOME = HOME } }, "/bin/cat", home .. "/private").stdout
    end
    t.equal(cat(side.dir), "in the home")
    t.equal(cat(home), "")
  end)
  t.remove_tree(parent)
  if not ok then error(err, 0) end
end)

-- ---- processes, network, IPC, keys ----

A.each("processes of the host are out of reach", function(side)
  local other = t.start { side.guest, "sleep", "60", uid = side.uid }
  local host = "namespaces = { pid = 'host' }"
  if side.is_root then host = host .. ", id_map = 'host'" end
  -- An own procfs needs an own pid namespace.
  local reached = side:try({ fields = host, mounts = "remove '/proc'," }, "kill", tostring(other.pid), "0")
  local refused = side:try({}, "kill", tostring(other.pid), "9")
  local everybody = side:try({}, "kill", "-1", "9")
  other:kill()
  t.equal(other:wait().signal, 9)
  A.works(reached, "in the host's pid namespace")
  A.refused(refused, "ESRCH")
  A.refused(everybody, "ESRCH")
end)

local function listen(family, address)
  local socket = t.must(S.socket(family, "stream, cloexec"))
  t.must(S.bind(socket, address))
  t.must(S.listen(socket, 4))
  return socket
end

-- CVE-2020-15257: an abstract socket belongs to the network namespace, not to the file tree.
A.each("abstract and internet sockets of the host are out of reach", function(side)
  local name = ("@luge-test-%d"):format(S.getpid())
  local abstract = listen("unix", { family = "unix", path = name })
  local tcp = listen("inet", { family = "inet", addr = "127.0.0.1", port = 0 })
  local port = tostring(S.getsockname(tcp).port)
  local host = { fields = "network = 'host'" }
  A.works(side:try(host, "connect-unix", name))
  A.works(side:try(host, "connect", "127.0.0.1", port))
  A.refused(side:try({}, "connect-unix", name), "ECONNREFUSED")
  A.refused(side:try({}, "connect", "127.0.0.1", port), "ECONNREFUSED")
  A.refused(side:try({}, "connect", "192.0.2.1", "80"), "ENETUNREACH")
  t.equal(side:facts({}).links, { "lo" })
  abstract:close()
  tcp:close()
end)

A.each("shared memory of the host is out of reach", function(side)
  local shmget, shmctl = tostring(S.seccomp_resolve "shmget"), tostring(S.seccomp_resolve "shmctl")
  local key = tostring(0x4c554745 + S.getpid())
  local id = A.works(side:try_outside({}, "syscall", shmget, key, "4096", "0x3b6")).result
  local host = "namespaces = { ipc = 'host' }"
  local found = side:try({ fields = host }, "syscall", shmget, key, "0", "0")
  local hidden = side:try({}, "syscall", shmget, key, "0", "0")
  side:try_outside({}, "syscall", shmctl, tostring(id), "0", "0")
  A.works(found, "in the host's ipc namespace")
  A.refused(hidden, "ENOENT")
end)

A.each("keys of the caller are out of reach", function(side)
  local add, request, keyctl = tostring(S.seccomp_resolve "add_key"), tostring(S.seccomp_resolve "request_key"),
    tostring(S.seccomp_resolve "keyctl")
  local name = "s:luge-test-" .. S.getpid()
  -- In the user's own keyring, which every process of that user has.
  local id = A.works(side:try_outside({}, "syscall", add, "s:user", name, "s:secret", "6", "-4")).result
  local outside = side:try_outside({}, "syscall", keyctl, "10", "-4", "s:user", name, "0")
  local inside = side:try({ fields = "seccomp = false" }, "syscall", request, "s:user", name, "0", "0")
  local searched = side:try({ fields = "seccomp = false" }, "syscall", keyctl, "10", "-4", "s:user", name, "0")
  local read = side:try({ fields = "seccomp = false" }, "syscall", keyctl, "11", tostring(id), "0", "0")
  side:try_outside({}, "syscall", keyctl, "9", tostring(id), "-4")
  A.works(outside, "on the host")
  A.refused(inside, "ENOKEY")
  A.refused(searched)
  A.refused(read)
end)

-- ---- ids and power ----

A.root("host uid 0 is nobody inside", function(side)
  local function maps(how)
    local facts = side:facts(how)
    return t.matches(facts.uid_map, "^%s*0%s+(%d+)%s+(%d+)"), t.matches(facts.gid_map, "^%s*0%s+(%d+)")
  end
  t.equal(maps { fields = 'id_map = "self"' }, "0")
  local uid, gid = maps {}
  t.ok(tonumber(uid) >= 65536 and tonumber(gid) >= 65536)

  -- Two at once do not share a range.
  local first = side:start({}, "/bin/sh", "-c", "cat /proc/self/uid_map; read line")
  local second = side:start({ stdin = nil }, "/bin/sh", "-c", "cat /proc/self/uid_map; sleep 0.2")
  t.differs(first:await "0%s+(%d+)", second:await "0%s+(%d+)")
  first:kill()
  first:wait()
  second:wait()
  side:collect()
end)

A.each("no capability, none to be had", function(side)
  local function sets(how)
    local status = side:facts(how).status
    return status.CapEff, status.CapPrm, status.CapBnd, status.CapInh, status.CapAmb
  end
  t.differs((sets { fields = 'capabilities = { "chown" }' }), "0000000000000000")
  for _, set in ipairs { sets {} } do t.equal(set, "0000000000000000") end
  t.equal(side:facts({}).status.NoNewPrivs, "1")
  A.refused(side:try({ fields = "seccomp = false" }, "chroot", "/tmp"), "EPERM")
  A.refused(side:try({ fields = "seccomp = false" }, "sethostname", "x"), "EPERM")
  A.refused(side:try({ fields = "seccomp = false" }, "mount", "none", "/tmp", "tmpfs"), "EPERM")
  A.refused(side:try({ fields = "seccomp = false" }, "umount", "/proc"), "EPERM")
  A.works(side:try({ fields = 'capabilities = { "sys_chroot" }' }, "chroot", "/tmp"))
end)

-- Like sudo: a set-user-id program in the container's own root file system.
A.root("a set-user-id program gives nothing", function(side)
  local root = side:rootfs "root"
  S.chmod(root .. "/guest", "4755")
  local text = 'return container { profile "default", root = %q, user = "1000:1000", %s }'
  local without = t.write(side.dir .. "/without.lua",
    text:format(root, 'no_new_privs = false, seccomp = false, capabilities = { "chown" }'))
  local with = t.write(side.dir .. "/with.lua", text:format(root, ""))
  t.equal(side:facts({ profile = without }).uid[2], 0)
  t.equal(side:facts({ profile = with }).uid, { 1000, 1000, 1000 })
  A.refused(side:try({ profile = with }, "setuid", "0"), "EPERM")
end)

A.root("no device node works", function(side)
  local host = 'id_map = "host", capabilities = { "mknod" }, '
  A.works(side:try({ fields = host .. "seccomp = false" }, "mknod", "/tmp/null", "c", "1", "3"))
  A.refused(side:try({ fields = 'capabilities = { "mknod" }, seccomp = false' }, "mknod", "/tmp/null", "c", "1", "3"), "EPERM")
  A.refused(side:try({ fields = 'id_map = "host"' }, "mknod", "/tmp/null", "c", "1", "3"), "EPERM")
  -- One that is there already, in a directory of the host, opens nothing.
  local dir = side:folder("dir", "0755")
  t.must(S.mknod(dir .. "/null", "0666", "char", { major = 1, minor = 3 }))
  local r = side:try({ mounts = ("bind { %q, '/d', dev = true },"):format(dir) }, "read", "/d/null")
  A.works(r, "with dev = true")
  A.refused(side:try({ mounts = ("bind { %q, '/d' },"):format(dir) }, "read", "/d/null"), "EACCES")
end)

-- ---- /proc, /sys, cgroups (CVE-2022-0492, CVE-2023-25809) ----

local KNOBS = { "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/modprobe" }

A.root("the kernel's knobs cannot be turned", function(side)
  local knobs = {}
  for _, path in ipairs(KNOBS) do
    if S.access(path, "f") then knobs[#knobs + 1] = path end
  end
  local outside = t.decoded { side.guest, "facts", table.unpack(knobs) }
  local host = side:facts({ fields = 'id_map = "host"' }, table.unpack(knobs))
  local inside = side:facts({}, table.unpack(knobs))
  for _, path in ipairs(knobs) do
    t.equal(outside.writable[path], true, path)
    t.ok(inside.writable[path] ~= true, path)
    t.ok(host.writable[path] ~= true, path .. " as the host's root")
  end
end)

A.each("what /proc tells of the host is hidden", function(side)
  for _, name in ipairs { "keys", "timer_list", "interrupts", "vmallocinfo", "kcore" } do
    if S.access("/proc/" .. name, "f") then
      local got = side:try({}, "read", "/proc/" .. name)
      t.ok(got.result <= 0, name)
    end
  end
  t.equal(side:try({ fields = "seccomp = false" }, "read", "/proc/keys").data, "")
  A.refused(side:try({}, "create", "/proc/keys"))
end)

A.root("no release_agent, no cgroup of the host", function(side)
  local hierarchy
  for line in t.read("/proc/self/mountinfo"):gmatch "[^\n]+" do
    hierarchy = hierarchy or line:match "^%d+ %d+ %S+ / (%S+) .* %- cgroup %S+ %S*memory" or
      line:match "^%d+ %d+ %S+ / (%S+) .* %- cgroup "
  end
  if hierarchy then
    t.equal(t.decoded({ side.guest, "facts", hierarchy .. "/release_agent" }).writable[hierarchy .. "/release_agent"], true)
  end
  -- Even where the whole of the host's /sys is shown, for want of an own network namespace.
  for _, fields in ipairs { "", "network = 'host'", "namespaces = { cgroup = 'host' }", "network = 'host', seccomp = false" } do
    local facts = side:facts({ fields = fields }, hierarchy and hierarchy .. "/release_agent" or "/sys/fs/cgroup")
    t.ok(next(facts.writable), "no answer")
    for path, answer in pairs(facts.writable) do t.ok(answer ~= true, path) end
    for _, name in ipairs { "memory", "unified", "cgroup.procs", "cpu" } do
      A.refused(side:try({ fields = fields }, "stat", "/sys/fs/cgroup/" .. name), "ENOENT")
    end
  end
  for _, kind in ipairs { "cgroup", "cgroup2" } do
    A.refused(side:try({ fields = "seccomp = false" }, "mount", "none", "/tmp", kind, "0", kind == "cgroup" and "memory" or ""),
      "EPERM")
  end
end)

A.user("no cgroup of the host", function(side)
  for _, fields in ipairs { "", "network = 'host'" } do
    for _, mount in ipairs(side:facts({ fields = fields }).mounts) do
      if mount.type:find "^cgroup" then t.contains(mount.options, "ro,") end
    end
    A.refused(side:try({ fields = fields }, "create", "/sys/fs/cgroup/made"))
  end
end)

-- ---- groups (CVE-2014-8989) ----

-- A file that denies a group what it gives to all: who can drop the group can read it.
t.test("a group that denies cannot be dropped by an ordinary user's container", function()
  t.needs_root()
  local dir = t.dir "0755"
  local luge, guest = t.write(dir .. "/luge", t.read(t.luge), "0755"), t.write(dir .. "/guest", t.read(t.guest), "0755")
  local file = t.write(dir .. "/file", "denied", "0604")
  t.must(S.chown(file, 0, 1234))
  local state = dir .. "/state"
  t.must(S.mkdir(state, "0700"))
  t.must(S.chown(state, A.NOBODY, A.NOBODY))
  local as = { "setpriv", "--reuid=65534", "--regid=65534" }
  local function run(groups, ...)
    local words = table.pack(table.unpack(as))
    words[#words + 1] = groups
    for _, word in ipairs { ... } do words[#words + 1] = word end
    words.cwd, words.env = dir, { LUGE_STATE = state, HOME = dir, XDG_RUNTIME_DIR = false }
    return t.decoded(words)
  end
  A.works(run("--clear-groups", guest, "try", "read", file))
  A.refused(run("--groups=1234", guest, "try", "read", file), "EACCES")
  local bind = ("%s:/file"):format(file)
  local inside = { luge, "run", "--bind", bind, "--bind", guest .. ":/guest", "--set", "seccomp=false" }
  local function try(...)
    local words = table.move(inside, 1, #inside, 1, {})
    for _, word in ipairs { "default", "--", "/guest", "try", ... } do words[#words + 1] = word end
    return run("--groups=1234", table.unpack(words))
  end
  A.refused(try("read", "/file"), "EACCES")
  A.refused(try("setgroups", "0"), "EPERM")
  t.equal(try("read", "/proc/self/setgroups").data, "deny\n")
end)

-- ---- joining (CVE-2022-31214, CVE-2022-47952) ----

A.each("luge has no power of its own to lend", function(side)
  local st = t.must(S.stat(t.luge))
  t.equal(st.perm & 3072, 0)
  t.ok(not S.getxattr(t.luge, "security.capability"))
  -- What is not the caller's to enter, luge does not enter for him.
  local r = side:run({ fields = "namespaces = { net = '/proc/1/ns/net' }" }, "/guest", "print", "ran")
  if not side.is_root then
    t.equal(r.code, 125)
    t.equal(r.stdout, "")
  end
end)
