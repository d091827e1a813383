-- SPDX-License-Identifier: MIT
-- The root of a container: the host's programs, a directory as it is, with changes kept or forgotten, layers, nothing, the host.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

-- A root directory with the guest; names that lead out of it where `hostile`.
local function tree(owner)
  local root = t.rootfs()
  t.write(root .. "/etc/passwd", "root:x:0:0::/root:/bin/sh\nbuild:x:1000:1000::/home/build:/bin/sh\n", "0644")
  t.write(root .. "/etc/motd", "as it was\n", "0644")
  if owner then
    for _, name in ipairs { "", "/etc", "/etc/motd", "/etc/passwd", "/root", "/guest" } do t.must(S.chown(root .. name, owner,
      owner)) end
  end
  return root
end

local function listing(root)
  local names = {}
  for _, name in ipairs(S.dir(root)) do
    names[#names + 1] = name
    local st = S.lstat(root .. "/" .. name)
    if st.type == "directory" then
      for _, inner in ipairs(S.dir(root .. "/" .. name)) do names[#names + 1] = name .. "/" .. inner end
    end
  end
  return table.concat(names, " ")
end

local function body(text, ...) return "root = " .. text:format(...) end

local function inside(how, ...)
  how.guest = false
  return box.facts(how, ...)
end

t.test("system: programs of the host, and nothing else of it", function()
  local facts = box.facts { "/", "/usr", "/etc" }
  local allowed = { guest = 1, bin = 1, sbin = 1, lib = 1, lib32 = 1, lib64 = 1, libx32 = 1, usr = 1, opt = 1, etc = 1, proc = 1,
    sys = 1,
    dev = 1, tmp = 1, run = 1, var = 1, root = 1 }
  for name in pairs(facts.root) do t.ok(allowed[name], "/" .. name .. " is in the root") end
  t.equal(facts.writable, { ["/"] = "EROFS", ["/usr"] = "EROFS", ["/etc"] = "EROFS" })
  t.equal(box.says { shell = "ls /var /root /tmp /run | tr '\\n' ' '; test ! -e /home" }, "/root:  /run:  /tmp:  /var: tmp ")
  local etc = box.says { shell = "ls /etc" }
  t.lacks(etc, "shadow")
  t.equal(box.says { shell = "cat /etc/passwd /etc/group" },
    "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/sh\n"
    .. "root:x:0:\nnogroup:x:65534:\ntty:x:5:")
end)

t.test("system: the caller's files are not there", function()
  local dir = t.dir()
  t.write(dir .. "/f", "x")
  t.equal(box.says { shell = ("test -e %s || echo hidden; "
    .. "ls -d /proc/1/cwd/home /mnt /srv /boot 2>/dev/null | wc -l"):format(dir) }, "hidden\n0")
end)

t.test("a directory is read-only, its root the container's root", function()
  local root = tree()
  local facts = inside { "/", "/etc", "/etc/motd", "/root", "/tmp", body = body("%q", root) }
  t.equal(facts.writable, { ["/"] = "EROFS", ["/etc"] = "EROFS", ["/etc/motd"] = "EROFS", ["/root"] = "EROFS", ["/tmp"] = true })
  t.equal({ facts.root.guest.uid, facts.root.etc.uid }, { 0, 0 })
end)

t.test("a mount point that is missing is made in the view only", function()
  local root = tree(t.root and nil)
  S.rmdir(root .. "/proc")
  S.rmdir(root .. "/dev")
  local before = listing(root)
  local facts = inside { "/", body = body("%q, mounts = { tmpfs { '/a/b/c' }, file { '/etc/new', text = 'x' }, dir { '/d' } }",
    root) }
  t.equal({ facts.root.a.type, facts.root.d.type, facts.root.proc.type }, { "directory", "directory", "directory" })
  t.equal(facts.writable["/"], "EROFS")
  t.equal(listing(root), before)
end)

t.test("overlay = discard: everything can be changed, nothing is", function()
  local root = tree()
  local before = listing(root)
  local facts = inside { "/", "/etc", "/etc/motd", body = body("{ %q, overlay = 'discard' }", root) }
  t.equal(facts.writable, { ["/"] = true, ["/etc"] = true, ["/etc/motd"] = true })
  t.equal(box.try({ "unlink", "/etc/motd" }, { guest = false, body = body("{ %q, overlay = 'discard' }", root) }).result, 0)
  t.equal(listing(root), before)
  t.equal(t.read(root .. "/etc/motd"), "as it was\n")
end)

t.test("overlay = a directory: changes are there the next time", function()
  local root, kept = tree(), t.dir()
  local text = body("{ %q, overlay = %q }", root, kept)
  t.equal(box.try({ "mkdir", "/etc/made" }, { guest = false, body = text }).result, 0)
  t.equal(box.try({ "unlink", "/etc/motd" }, { guest = false, body = text }).result, 0)
  t.equal(box.try({ "stat", "/etc/made" }, { guest = false, body = text }).uid, 0)
  t.equal(box.try({ "stat", "/etc/motd" }, { guest = false, body = text }).errno, "ENOENT")
  t.equal(t.read(root .. "/etc/motd"), "as it was\n")
  t.ok(S.lstat(kept .. "/upper/etc/made"))
end)

t.test("rw: the files themselves change", function()
  local root = tree()
  local text = body("{ %q, rw = true }", root)
  t.equal(box.try({ "mkdir", "/etc/made" }, { guest = false, body = text }).result, 0)
  local st = t.must(S.lstat(root .. "/etc/made"))
  t.equal({ st.uid, st.gid }, { S.geteuid(), S.getegid() })
  t.equal(box.try({ "stat", "/etc/made" }, { guest = false, body = text }).uid, 0)
end)

t.test("rw: a mount point that is missing is an error", function()
  local root = tree()
  S.rmdir(root .. "/sys")
  box.refused({ "exit", "0", guest = false, body = body("{ %q, rw = true }", root) }, "/sys does not exist in " .. root,
    "create it")
end)

t.test("layers", function()
  local lower, upper = tree(), t.dir()
  t.must(S.mkdir(upper .. "/etc", "0755"))
  t.write(upper .. "/etc/motd", "from above\n", "0644")
  t.write(upper .. "/etc/passwd", "root:x:0:0::/:/bin/sh\nnew:x:77:77::/n:/bin/sh\n", "0644")
  t.equal(box.try({ "read", "/etc/motd" }, { guest = false, body = body("layers { %q, %q }", lower, upper) }).data,
    "from above\n")
  t.equal(inside({ "/", body = body("layers { %q, %q }", lower, upper) }).writable["/"], "EROFS")
  t.equal(inside({ "/etc", body = body("layers { %q, %q, upper = 'discard' }", lower, upper) }).writable["/etc"], true)
  t.equal(inside({ body = body("layers { %q, %q }, user = 'new'", lower, upper) }).uid[1], 77)
  local kept = t.dir()
  local text = body("layers { %q, %q, upper = %q }", lower, upper, kept)
  t.equal(box.try({ "mkdir", "/kept" }, { guest = false, body = text }).result, 0)
  t.equal(box.try({ "stat", "/kept" }, { guest = false, body = text }).result, 0)
  t.ok(not S.lstat(lower .. "/kept") and not S.lstat(upper .. "/kept"))
end)

t.test("empty: the guest alone", function()
  local facts = box.facts { "/", "/tmp", body = body "empty {}" }
  local names = {}
  for name in pairs(facts.root) do names[#names + 1] = name end
  table.sort(names)
  t.equal(table.concat(names, " "), "dev guest proc sys tmp")
  t.equal(facts.writable, { ["/"] = "EROFS", ["/tmp"] = true })
end)

t.test("the whole host, when it is said", function()
  local facts = box.facts { "/", "/etc", "/tmp", "/run", "/var/tmp", "/usr", body = body '"/"'
    .. ", mounts = { remove '/guest' }", guest = true,
    profile = t.profile("return container { root = '/', mounts = { bind { " .. ("%q"):format(t.guest)
      .. ", '/tmp/guest' } }, entrypoint = { '/tmp/guest' } }"),
    words = { "facts", "/", "/etc", "/tmp", "/run", "/var/tmp", "/usr" } }
  t.equal(facts.writable["/tmp"], true)
  for _, path in ipairs { "/", "/etc", "/usr" } do
    t.ok(facts.writable[path] == "EROFS" or facts.writable[path] == "EACCES", path .. ": " .. tostring(facts.writable[path]))
  end
  t.equal(box.says { shell = "ls -A /tmp /run /home /root 2>&1 | grep -v : | grep -v '^$' | grep -v guest | wc -l", guest = false,
    body = body '"/"' }, "0")
  t.equal(box.says { shell = "head -1 /etc/passwd", guest = false, body = body '"/"' }, (t.read "/etc/passwd"):match "[^\n]*")
  local plan = box.succeed { verb = "plan", "true", guest = false, body = body '"/"' }
  t.contains(plan.stdout, "world-readable")
end)

t.test("a root that is not there, or is no directory", function()
  local dir = t.dir()
  t.write(dir .. "/file", "")
  box.refused({ "exit", "0", guest = false, body = body("%q", dir .. "/none") }, "root", dir .. "/none does not exist")
  box.refused({ "exit", "0", guest = false, body = body("%q", dir .. "/file") }, "root", "is no directory")
  box.refused({ "exit", "0", guest = false, body = body("layers { %q, %q }", dir, dir .. "/none") }, "does not exist")
end)

t.test("a root that luge may not enter", function()
  t.needs_user()
  box.refused({ "exit", "0", guest = false, body = body '"/root/x"' }, "root", "/root/x")
end)

t.test("names of a hostile root lead nowhere else", function()
  local outside = t.dir "0777"
  t.write(outside .. "/victim", "untouched", "0666")
  for _, name in ipairs { "proc", "sys", "dev", "tmp", "etc" } do
    for _, target in ipairs { outside, "/", "../../../../../.." .. outside, "/proc/self/root" .. outside } do
      local root = t.rootfs()
      t.remove_tree(root .. "/" .. name)
      t.must(S.symlink(target, root .. "/" .. name))
      for _, how in ipairs { "%q", "{ %q, overlay = 'discard' }", "{ %q, rw = true }" } do
        local r = box.run { "try", "stat", "/guest", guest = false, body = body(how, root)
          .. ", mounts = { file { '/etc/x', text = 'y' }, dir { '/tmp/d' } }" }
        t.ok(r.code == 0 or r.code == 125, r.code .. r.stderr)
        t.lacks(r.stderr, "internal")
        t.equal(S.dir(outside), { "victim" }, name .. " -> " .. target)
        t.equal(S.lstat(root .. "/" .. name).type, "symlink")
      end
    end
  end
  t.equal(t.read(outside .. "/victim"), "untouched")
  t.equal(S.stat(outside).perm, 511)
end)

t.test("modes of directories are not set through a link of the root", function()
  local outside = t.dir "0777"
  local root = t.rootfs()
  t.must(S.symlink(outside, root .. "/work"))
  box.run { "exit", "0", guest = false, body = body("%q, mounts = { dir { '/work', mode = '0700' } }", root) }
  box.run { "exit", "0", guest = false, body = body("{ %q, overlay = 'discard' }, mounts = { dir { '/work', mode = '0700' } }",
    root) }
  t.equal(S.stat(outside).perm, 511)
end)

t.test("the working directory cannot lie outside", function()
  local root = t.rootfs()
  t.must(S.symlink("/proc/self/fd/3", root .. "/out"))
  t.must(S.symlink("/proc/1/root/..", root .. "/up"))
  for _, cwd in ipairs { "/out", "/up", "/proc/self/fd/3", "/proc/1/cwd", "/proc/self/cwd/.." } do
    local r = box.run { "facts", guest = false, body = body("%q, cwd = %q", root, cwd) }
    if r.code == 0 then
      t.matches(t.json.decode(r.stdout).cwd, "^/", cwd)
    else
      t.equal(r.code, 125, r.stderr)
    end
  end
end)

t.test("the working directory above the root by dots is refused", function()
  box.refused({ "facts", guest = false, body = body("%q, cwd = '/../../..'", t.rootfs()) }, "cwd", '".."')
end)

t.test("an ordinary user is told that \"/\" takes no new mount point", function()
  local r = t.run { t.luge, "run", "--set", "root=/", "--bind", "/etc:/no/such/place", "default", "--", "true", uid = 65534 }
  t.equal(r.code, 125)
  t.contains(r.stderr, "does not exist on this host")
  t.contains(r.stderr, "below /tmp")
end)
