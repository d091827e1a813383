-- SPDX-License-Identifier: MIT
-- Attacks by what a container leaves to be copied out: links, sizes, names, bits, files that are not its own.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

local function keeping(side, script, how)
  how = how or {}
  local out = side:folder("out", "0755")
  how.fields = ("keep = { artifacts = { '/tmp/o', '/tmp/*.x', '/tmp/link/file', '/d' }, to = %q }, %s")
    :format(out, how.fields or "")
  how.timeout = 30
  return side:run(how, "/bin/sh", "-c", "mkdir /tmp/o; " .. script), out
end

A.each("links lead to no file outside", function(side)
  local victim = side:file("victim", "of the host", "0644")
  local r, out = keeping(side, ("ln -s %s /tmp/o/a; ln -s /etc/passwd /tmp/b.x; ln -s /etc /tmp/link; ln -s / /tmp/o/root; "
    .. "ln /tmp/o/a /tmp/o/hard; echo ok >/tmp/o/ok"):format(victim))
  t.equal(r.code, 0, r.stderr)
  t.equal(S.dir(out), { "o" })
  t.equal(S.dir(out .. "/o"), { "ok" })
end)

A.each("a link where the copies go leads nowhere", function(side)
  local other = side:folder("other", "0777")
  local out = side:folder("out", "0755")
  t.must(S.symlink(other, out .. "/o"))
  local how = { fields = ("keep = { artifacts = { '/tmp/o' }, to = %q }"):format(out) }
  side:run(how, "/bin/sh", "-c", "mkdir /tmp/o; echo evil >/tmp/o/f")
  t.equal(S.dir(other), {})
end)

A.each("a file of holes takes no time and no disk", function(side)
  local r, out = keeping(side, "truncate -s 500G /tmp/o/big; echo end >>/tmp/o/big")
  t.equal(r.code, 0, r.stderr)
  local st = S.stat(out .. "/o/big")
  t.equal(st.size, 500 * 2 ^ 30 // 1 + 4)
  t.ok(st.blocks < 10000, "it took " .. st.blocks .. " blocks")
end)

A.each("names reach no terminal as they are", function(side)
  local out = side:folder("out", "0755")
  local name = "\27[31mred\27]0;title\7.x"
  t.write(out .. "/" .. name, "there already")
  local how = { fields = ("keep = { artifacts = { '/tmp/*.x' }, to = %q }"):format(out) }
  local r = side:run(how, "/bin/sh", "-c", "printf x >'/tmp/" .. name .. "'")
  t.contains(r.stderr, "red")
  t.lacks(r.stderr, "\27")
  t.lacks(r.stderr, "\7")
end)

A.each("no set-id bit, device or pipe comes out, and the copies are the caller's", function(side)
  local r, out = keeping(side, "cp /guest /tmp/o/set; chmod 6777 /tmp/o/set; mkfifo /tmp/o/pipe", { fields = "seccomp = false" })
  t.equal(r.code, 0, r.stderr)
  t.equal(S.dir(out .. "/o"), { "set" })
  t.equal(S.stat(out .. "/o/set").perm, 493)
  t.equal(S.stat(out .. "/o/set").uid, S.stat(out).uid)
end)

-- Where the copies and the report go may lie in what the container can write.
A.each("a link put there meanwhile leads nowhere", function(side)
  local work, other = side:folder("work", "0755"), side:folder("other", "0777")
  local mounts = ("bind { %q, '/w', rw = true },"):format(work)
  local fields = ("keep = { artifacts = { '/tmp/evil.x' }, to = %q }"):format(work .. "/out")
  local swap = ("cd /w; mkdir -p out rep; mv out a; mv rep b; ln -s %s out; ln -s %s rep; echo evil >/tmp/evil.x")
    :format(other, other)
  t.must(S.mkdir(work .. "/rep", "0755"))
  if side.uid then S.chown(work .. "/rep", side.uid, side.uid) end
  local r = side:run({ mounts = mounts, fields = fields, options = { "--report", work .. "/rep/report.json" } },
    "/bin/sh", "-c", swap)
  t.equal(r.code, 0, r.stderr)
  t.equal(S.readlink(work .. "/out"), other, "the attack itself")
  t.equal(S.dir(other), {})
  t.equal(S.dir(work .. "/a"), { "evil.x" })
  t.equal(S.dir(work .. "/b"), { "report.json" })
end)

A.each("nor does one that an earlier run left", function(side)
  local work, other = side:folder("work", "0755"), side:folder("other", "0777")
  local mounts = ("bind { %q, '/w', rw = true },"):format(work)
  local fields = ("keep = { artifacts = { '/tmp/evil.x' }, to = %q },"):format(work .. "/deep/out")
  local swap = "cd /w; mv %s a; ln -s %s %s; echo evil >/tmp/evil.x; exit 1"
  side:folder "work/deep"
  for name, target in pairs { ["deep/out"] = other, deep = side.dir } do
    local r = side:run({ mounts = mounts, fields = fields .. "restart = { on = 'failure', max = 1, delay = '1ms' }" },
      "/bin/sh", "-c", swap:format(name, target, name))
    t.equal(r.code, 125, r.stderr)
    t.contains(r.stderr, "keep.to")
    t.equal(S.readlink(work .. "/" .. name), target, "the attack itself")
    t.equal(side:run({ mounts = mounts, fields = fields }, "/bin/sh", "-c", "echo evil >/tmp/evil.x").code, 125)
    t.equal({ S.dir(other), (S.stat(side.dir .. "/out")) }, { {} })
    t.must(S.unlink(work .. "/" .. name))
    t.must(S.rename(work .. "/a", work .. "/" .. name))
  end
  -- Where nothing of it is a link it is as before.
  t.remove_tree(work .. "/deep/out")
  t.equal(side:run({ mounts = mounts, fields = fields }, "/bin/sh", "-c", "echo good >/tmp/evil.x").code, 0)
  t.equal(t.read(work .. "/deep/out/evil.x"), "good\n")
end)

-- What luge could read and the command could not does not come out.
A.root("files of the host's root in a bind stay there", function(side)
  local dir = side:folder("dir", "0777")
  t.must(S.chown(dir, 4321, 4321))
  t.write(dir .. "/roots", "of root", "0600")
  t.write(dir .. "/all", "for all", "0644")
  local bind = ("bind { %q, '/d', rw = true, id_map = false },"):format(dir)
  local r, out = keeping(side, "true", { mounts = bind })
  t.equal(r.code, 0, r.stderr)
  t.equal(t.read(out .. "/d/all"), "for all")
  t.equal(t.read(out .. "/d/roots"), nil)
end)
