-- SPDX-License-Identifier: MIT
-- The mounts of a profile: what is seen, whose it is, what can be changed, and that the host keeps its files.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

-- A directory of the host with a file; owner: another user's, where root runs the tests.
local function source(owner)
  local dir = t.dir()
  t.write(dir .. "/file", "content\n", "0644")
  t.must(S.mkdir(dir .. "/sub", "0755"))
  t.write(dir .. "/sub/deep", "deep\n", "0644")
  if owner then
    for _, name in ipairs { "", "/file", "/sub", "/sub/deep" } do t.must(S.chown(dir .. name, owner, owner)) end
  end
  return dir
end

local function mounts(text, ...)
  return "mounts = { " .. text:format(...) .. " }"
end

local function mount_at(facts, target)
  for i = #facts.mounts, 1, -1 do
    if facts.mounts[i].target == target then return facts.mounts[i] end
  end
end

local function has(options, name)
  return ("," .. options .. ","):find("," .. name .. ",", 1, true) ~= nil
end

t.test("a bind is read-only, nosuid and nodev; what is written stays impossible", function()
  local dir = source()
  local facts = box.facts { "/w", "/w/file", body = mounts("bind { %q, '/w' }", dir) }
  t.equal(facts.writable, { ["/w"] = "EROFS", ["/w/file"] = "EROFS" })
  local options = mount_at(facts, "/w").options
  for _, name in ipairs { "ro", "nosuid", "nodev" } do t.ok(has(options, name), name .. " in " .. options) end
  t.ok(not has(options, "noexec"))
end)

t.test("exec, suid and dev say otherwise", function()
  local dir = source()
  local options = mount_at(box.facts { body = mounts("bind { %q, '/w', exec = false, suid = true, dev = true }", dir) },
    "/w").options
  t.equal({ has(options, "noexec"), has(options, "nosuid"), has(options, "nodev") },
    { true, false, false }, options)
end)

t.test("a bind without a target appears where it is", function()
  local dir = source()
  t.equal(box.says { shell = "cat " .. dir .. "/file", body = mounts("bind { %q }", dir) }, "content")
end)

t.test("a relative source starts beside the profile, with --bind in the current directory", function()
  local dir = source()
  t.write(dir .. "/p.lua", box.text 'mounts = { bind { "sub", "/w" } }', "0644")
  t.equal(box.says { shell = "cat /w/deep", profile = dir .. "/p.lua" }, "deep")
  t.equal(box.says { shell = "cat /w/deep", options = { "--bind", "sub:/w" }, cwd = dir }, "deep")
  t.equal(box.facts({ "/w", options = { "--bind", "sub:/w" }, cwd = dir }).writable["/w"], "EROFS")
  t.equal(box.facts({ "/w", options = { "--bind", "sub:/w:rw" }, cwd = dir }).writable["/w"], true)
end)

t.test("a file is bound as a file", function()
  local dir = source()
  t.equal(box.says { shell = "cat /f; test -f /f && echo file", body = mounts("bind { %q, '/f' }", dir .. "/file") },
    "content\nfile")
  box.says { shell = "echo new > /f", body = mounts("bind { %q, '/f', rw = true }", dir .. "/file") }
  t.equal(t.read(dir .. "/file"), "new\n")
end)

t.test("with rw, new files belong to the source's owner", function()
  local owner = t.root and 4321 or S.geteuid()
  local dir = source(t.root and owner or nil)
  t.equal(box.says { shell = "stat -c %u:%g /w /w/file; "
    .. "echo x > /w/new; mkdir /w/made; rm /w/file; mv /w/sub /w/moved; stat -c %u /w/new",
    body = mounts("bind { %q, '/w', rw = true }", dir) }, "0:0\n0:0\n0")
  for _, name in ipairs { "new", "made" } do
    local st = t.must(S.lstat(dir .. "/" .. name))
    t.equal({ st.uid, st.gid }, { owner, t.root and owner or S.getegid() }, name)
  end
  t.equal(S.lstat(dir .. "/file"), nil)
  t.equal(t.read(dir .. "/moved/deep"), "deep\n")
end)

t.test("with rw, the container's user is the owner, whoever that is", function()
  local owner = t.root and 4321 or S.geteuid()
  local dir = source(t.root and owner or nil)
  t.equal(box.says { shell = "id -u; stat -c %u /w; echo x > /w/new; stat -c %u /w/new",
    body = 'user = "1234:1234", ' .. mounts("bind { %q, '/w', rw = true }", dir) }, "1234\n1234\n1234")
  t.equal(S.lstat(dir .. "/new").uid, owner)
end)

t.test("with rw, files of others are nobody's, and cannot be taken", function()
  t.needs_root()
  local dir = source(4321)
  t.write(dir .. "/private", "secret", "0600") -- the host root's
  local r = box.run { shell = "stat -c %u /w/private; cat /w/private; chown 5:5 /w/file || echo refused; chmod 4755 /w/file; true",
    body = 'capabilities = "all", ' .. mounts("bind { %q, '/w', rw = true }", dir) }
  t.equal(r.stdout, "65534\nrefused\n", r.stderr)
  t.lacks(r.stdout, "secret")
end)

t.test("no set-user-id file of the host's root is made through a writable bind", function()
  t.needs_root()
  local dir = source()
  local body = mounts("bind { %q, '/w', rw = true }", dir)
  t.equal(box.try({ "chmod", "/w/file", "4755" }, { body = body }).errno, "EPERM")
  t.equal(box.try({ "chmod", "/w/file", "2755" }, { body = body }).errno, "EPERM")
  t.equal(box.try({ "chmod", "/w/file", "0755" }, { body = body }).result, 0)
  t.equal(box.try({ "create", "/w/new", "4755" }, { body = body }).errno, "EPERM")
  t.equal(S.stat(dir .. "/file").perm, 493)
  -- Without a filter only a closed directory above keeps the host from them.
  box.refused({ "exit", "0", body = "seccomp = false, " .. body }, "set-user-id", "keep seccomp", "chmod 700")
  local closed = t.dir "0700"
  t.must(S.mkdir(closed .. "/in", "0755"))
  t.equal(box.run({ "exit", "6", body = "seccomp = false, " .. mounts("bind { %q, '/w', rw = true }", closed .. "/in") }).code, 6)
end)

t.test("a discarded overlay takes all writes and forgets them", function()
  for _, owner in ipairs(t.root and { 4321, 0 } or { false }) do
    local dir = source(owner or nil)
    local body = mounts("bind { %q, '/w', overlay = 'discard' }", dir)
    local said = box.says { shell = [[cd /w && echo x > file && echo y > new && mkdir d && mv new d/ && rm sub/deep &&
      chmod 700 sub && ln -s /etc/passwd link && stat -c %u:%g . file d d/new && cat file]], body = body }
    t.equal(said, "0:0\n0:0\n0:0\n0:0\nx")
    t.equal(t.read(dir .. "/file"), "content\n")
    t.equal(t.read(dir .. "/sub/deep"), "deep\n")
    t.equal(S.dir(dir), { "file", "sub" })
    t.equal(S.stat(dir .. "/sub").perm, 493)
  end
end)

t.test("an overlay over a file is refused", function()
  box.refused({ "exit", "0", body = mounts("bind { %q, '/w', overlay = 'discard' }", source() .. "/file") }, "overlay needs a directory")
end)

t.test("in a discarded overlay a directory of the host can be renamed", function()
  t.needs_root()
  local dir = source(4321)
  t.equal(box.says { shell = "cd /w && mv sub other && cat other/deep", body = mounts("bind { %q, '/w', overlay = 'discard' }",
    dir) }, "deep")
end)

t.test("a discarded overlay's size is a limit", function()
  local dir = source()
  local r = box.run { shell = "dd if=/dev/zero of=/w/big bs=64k count=64 2>&1 | grep -o 'No space left'; stat -c %s /w/big",
    body = mounts("bind { %q, '/w', overlay = 'discard', size = '1M' }", dir) }
  t.contains(r.stdout, "No space left")
  t.ok(tonumber(r.stdout:match "%d+") <= 1048576)
end)

t.test("a kept overlay shows its changes to the next run", function()
  local dir, kept = source(t.root and 4321 or nil), t.dir()
  local body = mounts("bind { %q, '/w', overlay = %q }", dir, kept)
  box.says { shell = "echo changed > /w/file; echo new > /w/new; rm /w/sub/deep; mkdir /w/sub/d", body = body }
  t.equal(box.says { shell = "cat /w/file /w/new; ls /w/sub", body = body }, "changed\nnew\nd")
  t.equal(t.read(dir .. "/file"), "content\n")
  t.equal(t.read(dir .. "/sub/deep"), "deep\n")
  t.ok(S.stat(kept .. "/upper/new"), "the change is in the directory")
end)

t.test("tmpfs: size, mode, inodes, flags", function()
  local facts = box.facts { "/t", body = mounts "tmpfs { '/t', size = '1M', mode = '0750', inodes = 10, flags = 'noexec' }" }
  local m = mount_at(facts, "/t")
  t.equal(m.type, "tmpfs")
  for _, name in ipairs { "nosuid", "nodev", "noexec" } do t.ok(has(m.options, name), m.options) end
  t.equal(facts.root.t.mode, 488)
  t.equal(facts.writable["/t"], true)
  t.matches(box.says { shell = "dd if=/dev/zero of=/t/f bs=64k count=64 2>&1; stat -c %s /t/f",
    body = mounts "tmpfs { '/t', size = '1M' }" },
    "No space left")
  t.equal(box.says { shell = "for i in 1 2 3 4 5 6 7 8 9 a b c; do touch /t/$i || break; done 2>/dev/null; ls /t | wc -l",
    body = mounts "tmpfs { '/t', inodes = 5 }" }, "4")
  t.equal(box.run({ shell = "echo '#!/bin/sh' > /t/x; chmod 755 /t/x; /t/x",
    body = mounts "tmpfs { '/t', flags = 'noexec' }" }).code, 126)
end)

t.test("a tmpfs that is read-only holds what the profile puts there, and no more", function()
  for _, body in ipairs { "", "limits = { disk = '1M' }," } do
    local r = box.succeed { guest = false, shell = "cat /t/f /t/m/f; ! touch /t/x 2>/dev/null; touch /t/m/x; grep ' /t ' /proc/mounts",
      body = body .. "mounts = { tmpfs { '/t', flags = 'ro, noexec', size = '64K', mode = '0755' }, file { '/t/f', text = 'one' }, "
        .. "tmpfs { '/t/m' }, file { '/t/m/f', text = 'two' } }" }
    t.matches(r.stdout, "^onetwotmpfs /t tmpfs ro,nosuid,nodev,noexec,")
    t.contains(r.stdout, "size=64k")
  end
end)

t.test("dir, file and symlink", function()
  local body = mounts [[dir { '/d/e', mode = '0700' }, file { '/d/e/f', text = "t${range}$x\n", mode = '0640' },
    file { '/empty' }, symlink { '/l', 'd/e/f' }, symlink { '/out', '/nowhere${range}' }]]
  t.equal(box.says { shell = "stat -c %a:%F /d/e /d/e/f /empty; cat /l; readlink /out", body = body },
    "700:directory\n640:regular file\n644:regular empty file\nt${range}$x\n/nowhere${range}")
end)

t.test("files of the profile are the container user's", function()
  local who = t.root and "1234:1234" or "1234:1234"
  t.equal(box.says { shell = "stat -c %u /f; cat /s", body = 'user = "1234:1234", '
    .. mounts "file { '/f', text = 'x', mode = '0600' }, secret { '/s', env = 'TOKEN' }",
    env = { TOKEN = "hush" } }, "1234\nhush", who)
end)

t.test("mask hides directories and files", function()
  local dir = source()
  t.equal(box.says { shell = "ls -A /w/sub | wc -l; wc -c < /w/file; touch /w/sub/x || echo refused",
    body = mounts("bind { %q, '/w' }, mask { '/w/sub' }, mask { '/w/file' }", dir) }, "0\n0\nrefused")
  t.equal(box.says { shell = "ls -A /proc/sys | wc -l", body = mounts "mask { '/proc/sys' }" }, "0")
end)

t.test("a mask hides what luge itself would have put there", function()
  local r = box.succeed { guest = false, shell = "ls -A /etc/ssl; cat /etc/hosts /etc/mtab; echo end",
    body = "mounts = { mask { '/etc/ssl' }, mask { '/etc/hosts' }, mask { '/etc/mtab' } }" }
  t.equal(r.stdout, "end\n")
  t.equal(box.says { guest = false, shell = "ls /etc", body = "mounts = { mask { '/etc' } }" }, "")
end)

t.test("a secret is nowhere but in its file", function()
  local word = "S3CRET" .. S.getpid()
  local dir = t.dir()
  t.write(dir .. "/token", word .. "F", "0600")
  local body = mounts("secret { '/run/a', env = 'TOKEN' }, secret { '/run/b', file = %q, mode = '0440' }", dir .. "/token")
  local env = { TOKEN = word }
  local r = box.run { shell = "cat /run/a /run/b; stat -c ' %a' /run/a /run/b; env; cat /proc/1/environ | tr '\\0' '\\n'",
    body = body,
    env = env, report = true }
  t.equal(r.code, 0, r.stderr)
  t.contains(r.stdout, word .. word .. "F 400\n 440\n")
  t.lacks(r.stdout:sub(#word * 2 + 2), word)
  t.lacks(t.json.encode(r.report), word)
  for _, options in ipairs { {}, { "--json" }, { "--origins" } } do
    local plan = box.succeed { verb = "plan", options = options, "true", body = body, env = env }
    t.lacks(plan.stdout .. plan.stderr, word)
    t.contains(plan.stdout, "/run/a")
  end
  -- Nor where the start fails after it was read.
  r = box.refused({ "exit", "0", body = 'cwd = "/none", ' .. body, env = env }, "cwd")
  t.lacks(r.stderr, word)
end)

t.test("a secret's file is read as far as it goes, from a pipe too, and nothing else is waited for", function()
  local dir = t.dir()
  t.must(S.mknod(dir .. "/fifo", "0600", "fifo"))
  t.write(dir .. "/long", "")
  t.must(S.truncate(dir .. "/long", (1 << 20) + 1))
  for path, words in pairs { ["/dev/zero"] = "no regular file and no pipe", [dir .. "/fifo"] = "nobody writes",
    [dir .. "/long"] = "longer than 1024 KiB" } do
    box.refused({ "exit", "0", body = mounts("secret { '/s', file = %q }", path) }, "mounts[2]", words)
  end
  local read, write = S.pipe()
  t.must(S.write(write, "from a pipe"))
  write:close()
  t.equal(box.says { shell = "cat /s", body = mounts "secret { '/s', file = '/proc/self/fd/9' }", fds = { [9] = read } }, "from a pipe")
  read:close()
end)

t.test("a secret that is not there is refused", function()
  box.refused({ "exit", "0", body = mounts "secret { '/s', env = 'NO_SUCH_TOKEN' }" }, "mounts[2]", "NO_SUCH_TOKEN")
  box.refused({ "exit", "0", body = mounts "secret { '/s', file = '/no/such/file' }" }, "mounts[2]", "/no/such/file")
  box.refused({ "exit", "0", body = "env = { 'TOKEN' }, " .. mounts "secret { '/s', env = 'TOKEN' }", env = { TOKEN = "x" } },
    "would show in the plan")
end)

t.test("a source below a closed directory is not called missing", function()
  t.needs_user()
  local dir = t.dir()
  t.must(S.mkdir(dir .. "/closed", "0700"))
  t.must(S.mkdir(dir .. "/closed/in", "0755"))
  t.must(S.chmod(dir .. "/closed", "0"))
  box.refused({ "exit", "0", body = mounts("bind { %q, '/w' }", dir .. "/closed/in") }, "closed/in cannot be reached",
    "Permission denied", "closed to this user")
  t.must(S.chmod(dir .. "/closed", "0700"))
end)

t.test("a source that is missing: refused, optional, or made", function()
  local dir = t.dir()
  box.refused({ "exit", "0", body = mounts("bind { %q, '/w' }", dir .. "/none") }, "does not exist", "create = true", "optional(")
  t.equal(box.says { shell = "test -e /w || echo absent", body = mounts("optional(bind { %q, '/w' })", dir .. "/none") },
    "absent")
  t.equal(S.lstat(dir .. "/none"), nil, "nothing was made")
  box.says { shell = "echo x > /w/new", body = mounts("bind { %q, '/w', rw = true, create = true }", dir .. "/made") }
  t.equal(t.read(dir .. "/made/new"), "x\n")
  box.refused({ "exit", "0", body = mounts("bind { %q, '/w', create = true }", dir .. "/a/b") }, dir .. "/a/b")
end)

t.test("a source that luge cannot reach is refused", function()
  t.needs_user()
  box.refused({ "exit", "0", body = mounts "bind { '/root', '/w' }, bind { '/proc/1/root', '/x' }" }, "mounts[")
end)

t.test("a mount point is made in the view only, for each kind of mount", function()
  local dir = source(t.root and 4321 or nil)
  local body = mounts([[bind { %q, '/w' }, bind { '/usr/lib', '/w/a/b' }, tmpfs { '/w/t' },
    dir { '/w/d' }, file { '/w/f', text = 'f' },
    symlink { '/w/l', 'f' }, mask { '/w/m' }, bind { '/etc/passwd', '/w/sub/passwd' }]], dir)
  t.equal(box.says { shell = "test -d /w/a/b/. && ls /w; "
    .. "cat /w/l /w/sub/deep /w/file; head -c4 /w/sub/passwd; touch /w/new || echo ro",
    body = body }, "a\nd\nf\nfile\nl\nm\nsub\nt\nfdeep\ncontent\nrootro")
  t.equal(S.dir(dir), { "file", "sub" })
  t.equal(S.dir(dir .. "/sub"), { "deep" })
end)

t.test("nor in a writable bind: there it is an error", function()
  local dir = source()
  box.refused({ "exit", "0", body = mounts("bind { %q, '/w', rw = true }, tmpfs { '/w/none' }", dir) }, "/w/none does not exist",
    "leave out rw")
  t.equal(S.dir(dir), { "file", "sub" })
  t.equal(box.says { shell = "ls /w/sub | wc -l; cat /w/file", body = mounts("bind { %q, '/w', rw = true }, tmpfs { '/w/sub' }",
    dir) }, "0\ncontent")
  t.equal(box.says { shell = "cat /w/file", body = mounts("bind { %q, '/w', rw = true }, file { '/w/file', text = 'over' }",
    dir) }, "over")
  t.equal(t.read(dir .. "/file"), "content\n")
end)

t.test("mounts are taken in path order, whatever their order in the list", function()
  local dir = source()
  t.equal(box.says { shell = "cat /w/sub/x/deep; ls /w/sub",
    body = mounts("bind { %q, '/w/sub/x' }, tmpfs { '/w/sub' }, bind { %q, '/w' }",
    dir .. "/sub", dir) }, "deep\nx")
end)

t.test("what is mounted below a source comes with it, or not", function()
  t.needs_root()
  local dir = source()
  local function inside(recursive)
    local words = box.words { "facts", "/w", "/w/sub", body = mounts("bind { %q, '/w', recursive = %s }", dir,
      tostring(recursive)) }
    words.before = function()
      S.unshare "newns"
      S.mount { target = "/", flags = "rec, private" }
      S.mount { source = "tmpfs", target = dir .. "/sub", type = "tmpfs" }
      S.writefile(dir .. "/sub/marker", "")
      local f = S.open(dir .. "/sub/marker", "creat, wronly", "0644")
      f:close()
    end
    local r = t.run(words)
    t.equal(r.code, 0, r.stderr)
    return t.json.decode(r.stdout)
  end
  local facts = inside(true)
  t.ok(mount_at(facts, "/w/sub"))
  t.equal(facts.writable["/w/sub"], "EROFS", "what lies below is read-only too")
  t.equal(mount_at(inside(false), "/w/sub"), nil)
end)

t.test("a target through a symbolic link of the tree stays inside", function()
  local dir = t.dir()
  t.must(S.mkdir(dir .. "/tree", "0755"))
  t.must(S.symlink(dir .. "/outside", dir .. "/tree/link"))
  t.must(S.mkdir(dir .. "/outside", "0777"))
  for _, mount in ipairs { "tmpfs { '/w/link/x' }", "file { '/w/link/x', text = 'x' }", "dir { '/w/link/x' }",
    "bind { '/etc/passwd', '/w/link/x' }", "symlink { '/w/link/x', 'y' }" } do
    local r = box.run { "exit", "0", body = mounts("bind { %q, '/w' }, %s", dir .. "/tree", mount) }
    t.ok(r.code == 0 or r.code == 125, r.stderr)
    t.equal(S.dir(dir .. "/outside"), {}, mount)
    t.equal(S.dir(dir .. "/tree"), { "link" }, mount)
  end
end)

t.test("nothing can be mounted through a link that luge makes", function()
  local dir = t.dir "0777"
  box.refused({ "exit", "0", body = mounts("symlink { '/a', %q }, dir { '/a/b' }", dir) }, "/a is a symbolic link to " .. dir)
  t.equal(S.dir(dir), {})
  if S.readlink "/bin" then box.refused({ "exit", "0", body = mounts "bind { '/etc/passwd', '/bin/x' }" },
    "/bin is a symbolic link") end
end)

t.test("standard mounts: what is there, and how", function()
  local facts = box.facts { "/tmp", "/run", "/var/tmp", "/dev/shm", "/", "/usr", "/etc", "/sys", "/root" }
  t.equal(facts.writable, { ["/tmp"] = true, ["/run"] = true, ["/var/tmp"] = true, ["/dev/shm"] = true, ["/"] = "EROFS",
    ["/usr"] = "EROFS", ["/etc"] = "EROFS", ["/sys"] = "EROFS", ["/root"] = true })
  t.equal({ mount_at(facts, "/proc").type, mount_at(facts, "/sys").type, mount_at(facts, "/dev/pts").type },
    { "proc", "sysfs", "devpts" })
  t.ok(has(mount_at(facts, "/proc/sys").options, "ro"))
  local expected = { null = "1:3", zero = "1:5", full = "1:7", random = "1:8", urandom = "1:9", tty = "5:0" }
  for name, rdev in pairs(expected) do t.equal(facts.dev[name] and facts.dev[name].rdev, rdev, name) end
  local names = {}
  for name in pairs(facts.dev) do names[#names + 1] = name end
  table.sort(names)
  t.equal(table.concat(names, " "), "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero")
  t.equal(box.says { shell = "echo x > /dev/null && head -c 2 /dev/zero | wc -c && echo y > /dev/full || echo full" }, "2\nfull")
end)

t.test("standard mounts can be replaced and removed", function()
  local facts = box.facts { "/tmp", body = mounts "remove '/sys', tmpfs { '/tmp', size = '1M', mode = '0700' }, remove '/run'" }
  t.equal(mount_at(facts, "/sys"), nil)
  t.equal(facts.root.tmp.mode, 448)
  t.equal(mount_at(facts, "/run"), nil)
  facts = box.facts { body = mounts "tmpfs { '/dev/shm', size = '64K' }" }
  t.matches(mount_at(facts, "/dev/shm").super, "size=64k")
end)

t.test("devpts, mqueue, proc and sysfs of one's own", function()
  local facts = box.facts { body = mounts "mqueue {}, proc { '/p' }, sysfs { '/s' }, devpts { '/pts' }" }
  t.equal({ mount_at(facts, "/dev/mqueue").type, mount_at(facts, "/p").type, mount_at(facts, "/s").type, mount_at(facts,
    "/pts").type },
    { "mqueue", "proc", "sysfs", "devpts" })
  t.ok(has(mount_at(facts, "/p/sys").options, "ro"))
  t.ok(has(mount_at(facts, "/s").options, "ro"))
end)

t.test("layers: the first is lowest, writes as upper says", function()
  local one, two = source(), t.dir()
  t.write(two .. "/file", "upper\n", "0644")
  t.write(two .. "/two", "2\n", "0644")
  local body = mounts("layers { %q, %q, target = '/w' }", one, two)
  t.equal(box.says { shell = "cat /w/file /w/two /w/sub/deep; touch /w/x || echo ro", body = body }, "upper\n2\ndeep\nro")
  body = mounts("layers { %q, %q, target = '/w', upper = 'discard' }", one, two)
  t.equal(box.says { shell = "echo x > /w/new && cat /w/new /w/file", body = body }, "x\nupper")
  t.equal(S.dir(two), { "file", "two" })
end)

t.test("layers that are missing or none: each a fault before anything starts", function()
  local dir = t.dir "0755"
  t.write(dir .. "/file", "")
  box.refused({ "facts", body = ("mounts = { layers { %q, '/no/such', target = '/l' }, layers { %q, target = '/m' } }"):format(dir,
    dir .. "/file") }, "mounts[2]: source /no/such does not exist", "optional(layers { … })",
    ("mounts[3]: %s/file is no directory"):format(dir), "2 errors; nothing was started.")
  t.equal(box.says { shell = "ls /l 2>&1 || echo none",
    body = ("mounts = { optional(layers { %q, '/no/such', target = '/l' }) }"):format(dir) }:match "%S+$", "none")
  box.refused({ "facts", body = ("mounts = { layers { %q, %q, target = '/l', upper = 'discard' } }"):format(dir, dir) },
    "mounts[2]: /l: ", "its directories overlap")
end)

t.test("what cannot be mounted where it is meant to be says so", function()
  box.refused({ "facts", body = "mounts = { tmpfs { '/proc/x' } }" }, "mounts[2]: /proc/x: ", "nothing can be made there")
  box.refused({ "facts", body = "mounts = { file { '/proc/x' } }" }, "mounts[2]: /proc/x: ", "nothing can be made there")
  box.refused({ "facts", body = "mounts = { tmpfs { '/proc/version' } }" }, "mounts[2]: /proc/version: Not a directory",
    "mount elsewhere")
  if t.root then return end
  box.refused({ "facts", body = "mounts = { bind { '/', '/host', recursive = false } }" }, "leave recursive = false out")
end)

t.test("names that are hard to write", function()
  local dir = t.dir()
  for _, name in ipairs { "with space", "quote'\"", "back\\slash", "new\nline", "colon:comma,", "${range}", "$x", "\u{e9}",
    "\xff" } do
    local path = dir .. "/" .. name
    t.must(S.mkdir(path, "0755"))
    t.write(path .. "/f", "here", "0644")
    for _, how in ipairs { "", ", rw = true", ", overlay = 'discard'" } do
      local r = box.run { shell = 'cat "$W/f"', body = ("env = { W = %q }, "):format("/w/" .. name) .. mounts("bind { %q, %q%s }",
        path, "/w/" .. name, how) }
      t.equal(r.stdout, "here", name .. how .. ": " .. r.stderr)
    end
  end
end)

t.test("a file is no place for what luge puts below it", function()
  box.refused({ "exit", "0", body = "mounts = { bind { '/etc/hostname', '/etc' } }" }, "mounts[2]: /etc would be a file, and luge puts /etc/",
    "choose another target", "1 error")
end)

t.test("a removal of what is not there is a fault, for it would leave in what it was to take out", function()
  local parent = "{ mounts = { bind { '/etc/hostname', '/y/host' } } }, "
  local r = box.refused({ "exit", "0", body = parent .. "mounts = {\n remove '/y/hots' }" }, 'mounts: remove "/y/hots": nothing is mounted there',
    "did you mean /y/host?", "optional(remove …)")
  t.contains(r.stderr, ":3: mounts")
  box.succeed { "exit", "0", body = parent .. [[mounts = { remove "/y/host", remove "/tmp", remove "/lib32", remove "/proc/kcore",
    optional(remove "/y/hots") }]] }
  box.succeed { "exit", "0", body = parent .. [[{ mounts = { remove "/y/host" } }, mounts = { remove "/y/host" } ]] }
end)

t.test("a current directory that was removed is no source", function()
  for _, from in ipairs { ".", "below" } do
    local dir = t.dir()
    local r = t.run { "/bin/sh", "-c", ('cd "$1" && rmdir "$1" && exec "$2" run --bind %s:/w default -- true'):format(from), "sh", dir, t.luge }
    t.equal(r.code, 125, r.stderr)
    t.contains(r.stderr, "the current directory was removed")
    t.contains(r.stderr, "nothing was started")
  end
end)

t.test("nothing is made below a file", function()
  box.refused({ "exit", "0", body = mounts "bind { '/etc/hostname', '/usr/bin/env/x' }" }, "/usr/bin/env/x cannot be made: /usr/bin/env is a file")
end)

t.test("devices of the host", function()
  local facts = box.facts { body = 'devices = { device { "/dev/fuse" }, remove "full" }' }
  t.equal(facts.dev.fuse.rdev, "10:229")
  t.equal(facts.dev.full, nil)
  if S.stat "/dev/net/tun" then
    t.equal(box.says { shell = "stat -c %F:%t:%T /dev/net/tun", body = 'devices = { "net/tun" }' }, "character special file:a:c8")
  end
  box.refused({ "exit", "0", body = mounts "mask { '/dev/null' }" }, "/dev/null is one of the container's devices", 'remove "null"')
  box.refused({ "exit", "0", body = 'devices = { "no-such-device" }' }, "/dev/no-such-device does not exist", "optional(")
  t.equal(box.facts({ body = 'devices = { optional(device { "/dev/no-such-device" }) }' }).dev["no-such-device"], nil)
  -- As root it holds (cgroups_test.lua).
  if not t.root then
    box.refused({ "exit", "0", body = 'devices = { device { "/dev/fuse", access = "r" } }' }, "only a cgroup can hold access")
  end
end)

t.test("what the host mounts later does not appear in a bind", function()
  if S.geteuid() ~= 0 then return end
  local dir = t.dir()
  local script = ("mount -t tmpfs x %s && mount --make-shared %s && exec %s run %s -- /guest facts"):format(dir, dir, t.luge,
    t.profile(box.text(mounts("bind { %q, '/w' }", dir))))
  local r = t.run { "/usr/bin/unshare", "-m", "/bin/sh", "-c", script, env = { LUGE_STATE = box.state, PATH = "/usr/bin:/bin:/sbin" } }
  t.equal(r.code, 0, r.stderr)
  t.ok(not r.stdout:find("shared:", 1, true), r.stdout)
end)

t.test("the host's device nodes keep their modes, whoever the user is", function()
  if S.geteuid() ~= 0 then return end
  local dir = t.dir()
  t.must(S.mknod(dir .. "/n", "0600", "char", { major = 1, minor = 3 }))
  local mode = S.stat("/dev/null").perm
  for _, map in ipairs { "self", "host" } do
    local r = box.run { shell = "for f in /proc/*; do [ -c $f ] && chmod 0600 $f; done; echo x >/dev/null",
      body = ('id_map = %q'):format(map) }
    t.equal(S.stat("/dev/null").perm, mode, r.stderr)
    S.chmod("/dev/null", mode)
    t.equal(r.code, 0, r.stderr)
  end
end)

t.test("a secret over a writable tree is the user's as well", function()
  if S.geteuid() ~= 0 then return end
  local dir = source(1000)
  t.write(dir .. "/s", "", "0644")
  local body = mounts("bind { %q, '/w', rw = true }, secret { '/w/s', env = 'WORD' }", dir) .. ', user = "1000:1000"'
  t.equal(box.says { shell = "cat /w/s", body = body, env = { WORD = "told" } }, "told")
end)

t.test("a mask hides a file of /proc", function()
  t.equal(box.says { shell = "cat /proc/version; echo end", body = mounts("mask { '/proc/version' }") }, "end")
end)

t.test("an /etc that the profile brings is whole: luge adds who the users are, and nothing of the host's", function()
  local dir = t.dir "0755"
  for _, name in ipairs { "timezone", "ld.so.cache", "passwd", "group", "hosts", "nsswitch.conf" } do
    t.write(dir .. "/" .. name, "brought " .. name .. "\n", "0644")
  end
  t.must(S.symlink("nowhere", dir .. "/localtime"))
  local function look(options)
    local body = ("mounts = { bind { %q, '/etc'%s } }"):format(dir, options)
    -- Twice: nothing stays of the first.
    for _ = 1, 2 do
      local r = box.run { shell = "cat /etc/timezone /etc/ld.so.cache; readlink /etc/localtime; head -c 6 /etc/passwd; ls -d /etc/m*", body = body }
      t.equal({ r.stdout, r.code }, { "brought timezone\nbrought ld.so.cache\nnowhere\nroot:x", 2 }, options .. r.stderr)
    end
  end
  look ""
  look ", rw = true"
  look ", overlay = 'discard'"
  t.equal(t.read(dir .. "/passwd"), "brought passwd\n")
end)

t.test("the host's /etc, as it is and to be written to: luge's files replace those there, an ordinary user's too", function()
  for _, options in ipairs { "", ", overlay = 'discard'" } do
    local r = box.run { shell = "grep -c . /etc/passwd; grep -c localhost /etc/hosts", body = ("mounts = { bind { '/etc'%s } }"):format(options) }
    t.equal({ r.stdout, r.code }, { "2\n2\n", 0 }, options .. r.stderr)
  end
end)
