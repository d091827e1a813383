-- SPDX-License-Identifier: MIT
-- What `keep` copies out of a container that has ended.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

-- A profile in a directory of its own that runs `script` and keeps `artifacts` in kept/.
local function profile(script, artifacts)
  local dir = t.dir()
  t.write(dir .. "/p.lua", ("return container { command = { 'sh', '-c', %q }, keep = { artifacts = %s, to = 'kept' } }")
    :format(script, artifacts))
  return dir .. "/p.lua", dir .. "/kept"
end

t.test("files and directories come out beside the profile, by their last name", function()
  local path, kept = profile("mkdir -p /tmp/o/sub; echo 1 >/tmp/o/a.log; echo 2 >/tmp/o/sub/b; echo 3 >/run/r.xml",
    "{ '/tmp/o', '/run/*.xml' }")
  local r = t.run { t.luge, "run", path }
  t.equal(r.code, 0)
  t.equal(S.readfile(kept .. "/o/a.log"), "1\n")
  t.equal(S.readfile(kept .. "/o/sub/b"), "2\n")
  t.equal(S.readfile(kept .. "/r.xml"), "3\n")
  t.equal(S.stat(kept .. "/r.xml").uid, S.geteuid())
end)

t.test("they come out when the command failed or was killed, too", function()
  local path, kept = profile("echo 1 >/tmp/log; kill -9 $$", "{ '/tmp/log' }")
  local r = t.run { t.luge, "run", path }
  t.equal(r.code, 137)
  t.equal(S.readfile(kept .. "/log"), "1\n")
end)

t.test("links, FIFOs and set-uid bits stay behind", function()
  local path, kept = profile("mkdir /tmp/o; ln -s /etc/passwd /tmp/o/l; mkfifo /tmp/o/f; ln -s /etc /tmp/e; "
    .. "echo x >/tmp/o/s; chmod 0755 /tmp/o/s", "{ '/tmp/o', '/tmp/e/passwd', '/tmp/e' }")
  local r = t.run { t.luge, "run", path }
  t.equal(r.code, 0)
  t.equal(table.concat(S.dir(kept), " "), "o")
  t.equal(table.concat(S.dir(kept .. "/o"), " "), "s")
  t.equal(S.stat(kept .. "/o/s").perm, tonumber("755", 8))
end)

t.test("a name that is there already is kept, and said", function()
  local path, kept = profile("echo new >/tmp/f", "{ '/tmp/f' }")
  t.equal(t.run({ t.luge, "run", path }).code, 0)
  t.write(kept .. "/f", "old")
  local r = t.run { t.luge, "run", path }
  t.equal(r.code, 0)
  t.contains(r.stderr, "keep: f: it is there already, and stays")
  t.equal(S.readfile(kept .. "/f"), "old")
end)

t.test("a path may be longer than the kernel takes at once", function()
  local name = ("d"):rep(200)
  local path, kept = profile(("mkdir /tmp/o; cd /tmp/o; for i in $(seq 30); do mkdir %s; cd -P %s; done; echo deep >f"):format(name, name),
    "{ '/tmp/o' }")
  local r = t.run { t.luge, "run", path }
  t.equal({ r.code, r.stderr }, { 0, "" })
  local dirs = { t.must(S.open(kept .. "/o", "rdonly, directory")) }
  for i = 1, 30 do dirs[i + 1] = t.must(S.openat(dirs[i], name, "rdonly, directory")) end
  t.equal(S.read(t.must(S.openat(dirs[31], "f", "rdonly")), 100), "deep\n")
  t.must(S.unlinkat(dirs[31], "f"))
  for i = 30, 1, -1 do t.must(S.unlinkat(dirs[i], name, "removedir")) end
end)

t.test("a name with a newline is told on one line", function()
  local path, kept = profile("touch '/tmp/a\nluge: all is well\n'", "{ '/tmp/a*' }")
  t.must(S.mkdir(kept, "0755"))
  t.write(kept .. "/a\nluge: all is well\n", "old")
  t.equal(t.run({ t.luge, "run", path }).stderr, "luge: keep: a?luge: all is well?: it is there already, and stays: remove it first, or choose another `to`\n")
end)

t.test("a link in the place of the directory is not followed out", function()
  local path, kept = profile("mkdir /tmp/o; echo new >/tmp/o/f", "{ '/tmp/o' }")
  local other = t.dir()
  assert(S.mkdir(kept, "0755") and S.symlink(other, kept .. "/o"))
  local r = t.run { t.luge, "run", path }
  t.contains(r.stderr, "keep: ")
  t.equal(#S.dir(other), 0)
end)

t.test("keep needs both of its fields, and paths of the container", function()
  local dir = t.dir()
  t.write(dir .. "/p.lua", "return container { command = { 'true' }, keep = { artifacts = { '*.log' } } }")
  local r = t.run { t.luge, "check", dir .. "/p.lua" }
  t.equal(r.code, 1)
  t.contains(r.stderr, "keep.artifacts[1]")
  t.contains(r.stderr, "keep: needs to")
end)

t.test("a place that cannot be made stops the start", function()
  local dir = t.dir()
  t.write(dir .. "/p.lua",
    "return container { command = { 'touch', '/tmp/ran' }, keep = { artifacts = { '/tmp/ran' }, to = 'no/such/place' } }")
  local r = t.run { t.luge, "run", dir .. "/p.lua" }
  t.equal(r.code, 125)
  t.contains(r.stderr, "p.lua:1: keep.to")
  t.contains(r.stderr, "the directory above it does not exist")
end)

t.test("a file that has no size is kept with what is in it", function()
  local path, kept = profile("true", "{ '/proc/version' }")
  t.equal(t.run({ t.luge, "run", path }).code, 0)
  t.equal(S.readfile(kept .. "/version"), S.readfile "/proc/version")
end)

t.test("a pattern that matches nothing is said", function()
  local path, kept = profile("echo 1 >/tmp/a.log", "{ '/tmp/*.log', '/tmp/*.xml' }")
  local r = t.run { t.luge, "run", path }
  t.equal(r.code, 0)
  t.contains(r.stderr, "keep: /tmp/*.xml: nothing in the container is called so")
  t.equal(S.readfile(kept .. "/a.log"), "1\n")
end)
