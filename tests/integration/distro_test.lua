-- SPDX-License-Identifier: MIT
-- A Debian root file system as debootstrap makes it, under profiles/distro.lua: its package manager, its perl, its su,
-- the host's compiler, a long pipeline; as root, and as an ordinary user with one mapped id and with a range.
--
-- The tree is made once, in build/rootfs, from the host's own suite and mirror. That takes root, and so does a copy
-- that belongs to somebody else: the ordinary user of these tests is a uid that root's tests change to.

local S = require "syscall"
local t = dofile "tests/integration/harness.lua"

local NOBODY = 65534
local TREES = (t.luge:match "^(.*)/[^/]*$") .. "/rootfs"

-- ---- the tree ----

-- The first mirror of the host that has its suite, in either form of apt's lists.
local function mirror_of(suite)
  local paths = { "/etc/apt/sources.list" }
  for _, name in ipairs(S.dir "/etc/apt/sources.list.d" or {}) do paths[#paths + 1] = "/etc/apt/sources.list.d/" .. name end
  for _, path in ipairs(paths) do
    local text = "\n" .. (t.read(path) or ""):gsub("\n#[^\n]*", "")
    for line in text:gmatch "[^\n]+" do
      local uri, found = line:match "^deb%s+(https?://%S+)%s+(%S+)"
      if not uri then uri, found = line:match "^deb%s+%[[^]]*%]%s+(https?://%S+)%s+(%S+)" end
      if found == suite then return uri end
    end
    for stanza in (text .. "\n\n"):gmatch "(.-)\n%s*\n" do
      local uri = stanza:match "\nURIs:%s*(https?://%S+)"
      if uri and (" " .. (stanza:match "\nSuites:([^\n]*)" or "") .. " "):find("%s" .. suite .. "%s") then return uri end
    end
  end
end

local unreachable -- why there is no tree: asked once

-- Its mounts are made where they go when it is killed.
local function in_own_mounts()
  assert(S.unshare "newns")
  assert(S.mount { target = "/", flags = "rec, private" })
end

local function debootstrap(suite, mirror, path)
  local r = t.run { "debootstrap", "--variant=minbase", suite, path, mirror, timeout = 600, before = in_own_mounts,
    env = { http_proxy = os.getenv "http_proxy", https_proxy = os.getenv "https_proxy" } }
  if r.code == 0 then return end
  t.remove_tree(path)
  local said = r.stdout .. r.stderr
  if said:find "Failed getting release file" or said:find "Couldn't download" then
    unreachable = ("no-mirror: %s gave no %s"):format(mirror, suite)
    t.skip(unreachable)
  end
  error("debootstrap: " .. said:sub(-1000))
end

local made

local function tree()
  t.needs_root()
  if made then return made end
  if unreachable then t.skip(unreachable) end
  local suite = t.must(t.read "/etc/os-release"):match "\nVERSION_CODENAME=(%w+)" or "bookworm"
  local path = TREES .. "/" .. suite
  if not S.stat(path) then
    local mirror = mirror_of(suite) or t.skip("no-mirror: the host's lists name none for " .. suite)
    S.mkdir(TREES, "0755")
    t.remove_tree(path .. ".new")
    debootstrap(suite, mirror, path .. ".new")
    t.must(S.rename(path .. ".new", path))
  end
  made = path
  return path
end

-- ---- what is done in it ----

-- A package of one file. With an owner, its script gives that file away.
local function package(owner)
  local dir = t.dir()
  for _, name in ipairs { "/tiny", "/tiny/DEBIAN", "/tiny/opt" } do t.must(S.mkdir(dir .. name, "0755")) end
  t.write(dir .. "/tiny/opt/tiny", "from the package\n")
  t.write(dir .. "/tiny/DEBIAN/control", "Package: tiny\nVersion: 1.0\nArchitecture: all\n" ..
    "Maintainer: Nobody <nobody@example.org>\nDescription: a package of one file\n")
  local change = owner and ("chown %s /opt/tiny\n"):format(owner) or ""
  t.write(dir .. "/tiny/DEBIAN/postinst", "#!/bin/sh\nset -e\n" .. change .. "echo configured >> /opt/tiny\n", "0755")
  t.succeed { "dpkg-deb", "--root-owner-group", "--build", dir .. "/tiny", dir .. "/tiny.deb" }
  return dir
end

-- The host's /usr at /tmp/host, where its compiler finds its own libraries: the suite is the same. Below /tmp all
-- mount points are made, even where the tree itself is written to.
local function host_usr()
  local mounts = { 'bind { "/usr", "/tmp/host/usr" }' }
  for _, name in ipairs { "lib", "lib32", "lib64" } do
    local to = S.readlink("/" .. name)
    if to then mounts[#mounts + 1] = ('symlink { "/tmp/host/%s", %q }'):format(name, to) end
  end
  return table.concat(mounts, ", ")
end

-- Runs commands in `root`, each as a shell's; options: uid and before as t.run takes them, luge, more (profile text).
-- Returns what each printed and its exit code.
local function run(root, options, scripts)
  local source = t.dir()
  t.write(source .. "/program.c", '#include <stdio.h>\nint main(void) { return puts("compiled here") < 0; }\n')
  local profile = t.profile(([[return container {
    profile "distro",
    mounts = { bind { %q, "/tmp/src" }, bind { %q, "/tmp/deb" }, %s },
    %s
  }]]):format(source, package(options.owner), host_usr(), options.more or ""))
  local results = {}
  for i, script in ipairs(scripts) do
    results[i] = t.run { options.luge or "luge", "run", "-D", "ROOT=" .. root, profile, "--", "sh", "-c", "exec 2>&1\n" .. script,
      uid = options.uid, before = options.before, timeout = 120, env = options.env }
  end
  return results
end

local PIPELINE = [[line='echo through'; n=0
while [ $n -lt 200 ]; do line="$line | cat"; n=$((n + 1)); done
eval "$line"]]

-- The compiler and its linker run on the host's libraries, what they made on the tree's.
local COMPILE = ([[PATH=/tmp/host/usr/bin:$PATH LD_LIBRARY_PATH=/tmp/host/usr/lib/%s \
  gcc --sysroot=/tmp/host -o /tmp/program /tmp/src/program.c && /tmp/program]])
  :format(t.succeed { "gcc", "-print-multiarch" }.stdout:match "[%w_-]*")

local function good(result, pattern)
  t.equal(result.code, 0, result.stdout .. result.stderr)
  t.matches(result.stdout, pattern)
end

-- What works whatever ids are mapped, and needs no change of the tree's own files.
local function try_programs(root, options)
  local r = run(root, options, { "apt-get --version", "dpkg -l", "perl -e 'print 6 * 7'", COMPILE, PIPELINE })
  good(r[1], "^apt %d")
  good(r[2], "\nii +apt +")
  good(r[3], "^42$")
  good(r[4], "^compiled here\n$")
  good(r[5], "^through\n$")
end

local function try_install(root, options)
  local apt = options.apt or "apt-get"
  local r = run(root, options, { "dpkg -i /tmp/deb/tiny.deb && cat /opt/tiny && stat -c %U /opt/tiny",
    ("%s install -y /tmp/deb/tiny.deb && %s remove -y tiny && ! test -e /opt/tiny && dpkg --audit"):gsub("%%s", apt),
    "cat /opt/tiny" })
  good(r[1], "from the package\nconfigured\n" .. (options.owner or "root") .. "\n$")
  good(r[2], "Removing tiny")
  t.equal(r[3].code, 1, "what was installed is forgotten")
end

local function try_users(root, options)
  local r = run(root, options, { "su nobody -s /bin/sh -c id",
    "useradd -m someone && su someone -c 'touch ~/x; stat -c %U ~/x'" })
  good(r[1], "^uid=65534%(nobody%)")
  good(r[2], "^someone\n$")
end

-- ---- as root ----

t.test("root: programs, a compiler, a pipeline", function() try_programs(tree(), {}) end)
t.test("root: packages are installed and removed", function() try_install(tree(), { owner = "nobody" }) end)
t.test("root: su and new users", function() try_users(tree(), {}) end)

t.test("root: what is installed in a writable tree is there afterwards", function()
  local root = t.dir "0700"
  t.succeed { "cp", "-a", tree() .. "/.", root .. "/tree" }
  local r = run(root .. "/tree", { owner = "nobody", more = ("root = { %q, rw = true }"):format(root .. "/tree") },
    { "dpkg -i /tmp/deb/tiny.deb" })
  good(r[1], "Setting up tiny")
  t.equal(t.read(root .. "/tree/opt/tiny"), "from the package\nconfigured\n")
  t.equal(S.stat(root .. "/tree/opt/tiny").uid, NOBODY, "ids of a root directory are the container's own")
end)

-- ---- as an ordinary user ----

-- luge where the user can execute it, with a home and a state of his own, and a copy of the tree: his, unless the
-- owner is to stay.
local function as_user(owner)
  local dir = t.dir()
  t.write(dir .. "/luge", t.read(t.luge), "0755")
  t.must(S.mkdir(dir .. "/home", "0700"))
  t.must(S.chown(dir .. "/home", NOBODY, NOBODY))
  t.succeed { "cp", "-a", tree(), dir .. "/tree" }
  if owner ~= "root" then t.succeed { "chown", "-R", NOBODY .. ":" .. NOBODY, dir .. "/tree" } end
  return dir .. "/tree", { luge = dir .. "/luge", uid = NOBODY,
    env = { HOME = dir .. "/home", USER = "nobody", LOGNAME = "nobody", XDG_RUNTIME_DIR = false, LUGE_STATE = false } }
end

t.test("user, one id: a tree of his own, but no other users", function()
  local root, options = as_user()
  try_programs(root, options)
  options.apt = "apt-get -o APT::Sandbox::User=root" -- apt becomes the user _apt to fetch, and there is none to become
  try_install(root, options)

  -- The kernel lets an ordinary user map himself alone: nobody else can be become, or be given a file.
  options.owner = "nobody"
  local r = run(root, options, { "su nobody -s /bin/sh -c id", "dpkg -i /tmp/deb/tiny.deb" })
  t.differs(r[1].code, 0)
  t.contains(r[1].stdout, "Operation not permitted")
  t.differs(r[2].code, 0)
  t.contains(r[2].stdout, "changing ownership of '/opt/tiny': Invalid argument")
end)

-- Another's files can be read and executed as their modes say; that the tree is copied on write changes no owner.
t.test("user, one id: a tree of root's is for looking", function()
  local root, options = as_user "root"
  local r = run(root, options, { "dpkg -l && perl -e 'print 6 * 7'", "dpkg -i /tmp/deb/tiny.deb" })
  good(r[1], "42$")
  t.differs(r[2].code, 0)
end)

-- The names of /etc/subuid are for newuidmap alone: seen in a mount namespace of the test's own.
local function with_subordinate_ids(options)
  local list = t.write(t.dir() .. "/subid", "nobody:200000:65536\n", "0644")
  local uid = options.uid
  options.uid = nil
  options.more = 'id_map = "auto",'
  function options.before()
    in_own_mounts()
    for _, path in ipairs { "/etc/subuid", "/etc/subgid" } do
      assert(S.mount { source = list, target = path, flags = "bind" })
    end
    assert(S.setgroups {} and S.setresgid(uid, uid, uid) and S.setresuid(uid, uid, uid))
  end
end

t.test("user, subordinate ids: everything", function()
  local root, options = as_user()
  with_subordinate_ids(options)
  try_programs(root, options)
  try_users(root, options)
  options.owner = "nobody"
  try_install(root, options)
end)
