-- SPDX-License-Identifier: MIT
-- Attacks from beside: what somebody else prepared where luge keeps its state, and hostile words: arguments,
-- environment, working directory, names.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

-- ---- the state directory (CVE-2015-1331) ----

-- The run, and whether it took the directory for its own.
local function with_state(side, path)
  return side:run({ env = { LUGE_STATE = path } }, "/guest", "print", "ran")
end

local function refused_state(r, word)
  t.equal(r.code, 125)
  t.equal(r.stdout, "")
  t.contains(r.stderr, "state directory")
  t.contains(r.stderr, word)
end

A.each("a state directory that others have a hand in is refused", function(side)
  local good = side:folder("good", "0700")
  t.equal(with_state(side, good).stdout, "ran\n")
  side:file("good/mine", "precious")
  t.must(S.symlink(good, side.dir .. "/link"))
  refused_state(with_state(side, side.dir .. "/link"), "is no directory")
  refused_state(with_state(side, side:folder("open", "0777")), "written by others")
  refused_state(with_state(side, side:folder("group", "0770")), "written by others")
  refused_state(with_state(side, side:file("file", "")), "is no directory")
  if t.root then
    local foreign = side:folder("foreign", "0755")
    t.must(S.chown(foreign, 4321, 4321))
    refused_state(with_state(side, foreign), "belongs to user 4321")
  end
end)

A.each("only locks are cleared away in it", function(side)
  local state = side:folder("mine", "0700")
  for _, name in ipairs { "precious", "x.lock.txt", "range.x", ".lock", "flake.lock", "range.7", "app.sock", "app.json.new" } do
    side:file("mine/" .. name, name)
  end
  side:file("mine/app.lock", "4711")
  side:file("mine/empty.lock", "")
  t.must(S.mknod(state .. "/pipe.lock", "0644", "fifo"))
  t.must(S.symlink("precious", state .. "/link.lock"))
  side:file("mine/left.lock", "luge 12345\n")
  t.equal(side:run({ env = { LUGE_STATE = state }, timeout = 20 }, "/guest", "print", "ran").stdout, "ran\n")
  local left = table.concat(S.dir(state), " ")
  for _, name in ipairs { "precious", "x.lock.txt", "range.x", "pipe.lock", "link.lock", "flake.lock", "range.7", "app.sock",
    "app.json.new", "app.lock", "empty.lock" } do t.contains(left, name) end
  t.lacks(left, "left.lock")
end)

-- Each is user 0, and the name under /tmp must not be the same.
t.test("roots of two user namespaces have a state directory each", function()
  t.needs_root()
  local dir = t.dir "0755"
  local luge = t.write(dir .. "/luge", t.read(t.luge), "0755")
  for _, uid in ipairs { 61234, 61235 } do
    local path = "/tmp/luge-0." .. uid
    t.remove_tree(path)
    local r = t.run { "/usr/bin/unshare", "-Urm", luge, "run", "default", "--", "/bin/echo", "ran", uid = uid, cwd = dir,
      env = { LUGE_STATE = false, XDG_RUNTIME_DIR = false, HOME = dir } }
    local st = S.stat(path)
    t.remove_tree(path)
    t.equal({ r.code, r.stdout, st and st.uid }, { 0, "ran\n", uid }, r.stderr)
  end
end)

-- A user without a runtime directory: the name under /tmp is predictable.
t.test("a prepared /tmp/luge-UID is refused", function()
  t.needs_root()
  local uid = 61234
  local path = "/tmp/luge-" .. uid
  local dir = t.dir "0755"
  local luge = t.write(dir .. "/luge", t.read(t.luge), "0755")
  local function run()
    return t.run { luge, "run", "default", "--", "/bin/echo", "ran", uid = uid, cwd = dir,
      env = { LUGE_STATE = false, XDG_RUNTIME_DIR = false, HOME = dir } }
  end
  local function attempt(prepare, clean, word)
    prepare()
    local ok, err = pcall(function() refused_state(run(), word) end)
    clean(path)
    if not ok then error(err, 0) end
  end
  t.remove_tree(path)
  attempt(function() S.mkdir(path, "0755") S.chown(path, 4321, 4321) end, S.rmdir, "belongs to user 4321")
  attempt(function() S.mkdir(path, "0777") S.chmod(path, "0777") S.chown(path, uid, uid) end, S.rmdir, "written by others")
  local trap = t.dir "0700"
  S.chown(trap, uid, uid)
  attempt(function() S.symlink(trap, path) end, S.unlink, "is no directory")
  t.equal(S.dir(trap), {})
  local r = run()
  local made = S.lstat(path)
  t.remove_tree(path)
  t.equal(r.stdout, "ran\n")
  t.equal({ made.uid, made.perm }, { uid, 448 })
end)

-- The search for a free range starts at a place that the pid decides, the same for every 4000th: the lock must be
-- one that every luge sees.
t.test("luges with state directories of their own share no range", function()
  t.needs_root()
  local dir = t.dir "0755"
  local function held()
    local locks = {}
    for _, name in ipairs(S.dir "/run/luge" or {}) do
      if name:find "^range%." then locks[#locks + 1] = name end
    end
    return locks
  end
  local p = t.start { "luge", "run", "default", "--", "/bin/sh", "-c", "cat /proc/self/uid_map; sleep 30",
    env = { LUGE_STATE = dir .. "/a" } }
  local range = p:await "0%s+(%d+)%s"
  local locks = table.concat(held(), " ")
  p:signal "term"
  p:wait()
  t.contains(locks, "range." .. range)
end)

-- Ranges that /etc/subuid gives to somebody: he can become every user in them.
t.test("a private range is nobody's subordinate range", function()
  t.needs_root()
  local dir = t.dir "0755"
  t.must(S.mkdir(dir .. "/etc", "0755"))
  t.write(dir .. "/etc/subuid", "somebody:524288:1000000000\n")
  local function range(command)
    local text = t.run { "unshare", "-m", "sh", "-c", command, "sh", t.luge, dir .. "/etc" }.stdout
    return tonumber(t.matches(text, "0%s+(%d+)%s"))
  end
  local run = '"$1" run default -- cat /proc/self/uid_map'
  t.ok(range(run) < 2000000000)
  t.ok(range('mount -t overlay -o "lowerdir=$2:/etc" none /etc && ' .. run) >= 524288 + 1000000000)
end)

A.each("a name is no path", function(side)
  for _, name in ipairs { "../x", "a/b", ".", "..", "/tmp/x", "x\n", "", ("x"):rep(300), "$name", "a b" } do
    local r = side:run({ options = { "--name", name } }, "/guest", "print", "ran")
    t.equal(r.code, 125, name)
    t.equal(r.stdout, "", name)
  end
end)

-- ---- words with a meaning to luge ----

local HOSTILE = { "$keep", "${child}", "${name}", "$argv", "%s%n", "a\nb", "\27[31m", "; touch x", "$(touch x)", "../..",
  "-rf", "--", "\255\254", "'", '"', "\\", "a b" }

A.each("hostile arguments and variables come in as they are", function(side)
  local words = table.move(HOSTILE, 1, #HOSTILE, 2, { "print" })
  t.equal(side:run({}, "/guest", table.unpack(words)).stdout, table.concat(HOSTILE, "\n") .. "\n")
  local long = ("x"):rep(100000)
  t.equal(side:run({}, "/guest", "print", long).stdout, long .. "\n")
  local options = {}
  for i, value in ipairs(HOSTILE) do
    options[#options + 1] = "-e"
    options[#options + 1] = ("V%d=%s"):format(i, value)
  end
  local r = side:run({ options = options }, "/usr/bin/env", "-0")
  for i, value in ipairs(HOSTILE) do t.contains("\0" .. r.stdout, ("\0V%d=%s\0"):format(i, value)) end
end)

A.each("a hostile name in a message reaches no terminal", function(side)
  local r = side:run({}, "/none/\27]0;title\7\27[31m")
  t.equal(r.code, 127)
  t.contains(r.stderr, "title")
  t.lacks(r.stderr, "\27")
  t.lacks(r.stderr, "\7")
end)

A.each("a hostile working directory is bound as it is", function(side)
  for i, name in ipairs(HOSTILE) do
    if not name:find("/", 1, true) then
      local dir = side:folder("w" .. i)
      dir = dir .. "/" .. name
      t.must(S.mkdir(dir, "0755"))
      t.write(dir .. "/here", "found")
      local profile = t.write(side.dir .. "/p.lua", ([[return container { profile "default", name = "x",
        mounts = { bind { host.cwd, "/src" }, bind { host.cwd .. "/here", host.cwd .. "/again" }, bind { %q, "/guest" } } }]])
        :format(side.guest))
      local r = side:run({ profile = profile, cwd = dir }, "/bin/sh", "-c", 'cat /src/here "$1"', "sh", dir .. "/again")
      t.equal(r.stdout, "foundfound", name .. ": " .. r.stderr)
    end
  end
end)

A.each("the name of a variable of the plan in a path leads nowhere else", function(side)
  -- The directory that "${name}" would become belongs to somebody who waits for it.
  local dir, trap = side.dir .. "/${name}", side.dir .. "/known"
  t.must(S.mkdir(dir, "0755"))
  t.must(S.mkdir(trap, "0755"))
  t.write(dir .. "/file", "mine")
  t.write(trap .. "/file", "trap")
  local options = { "--name", "known", "--bind", dir .. ":/d" }
  t.equal(side:try({ options = options }, "read", "/d/file").data, "mine")
  local mounts = [[tmpfs { "/t${name}" }, file { "/f$child", text = "$keep" }, symlink { "/l${state}", "$argv" },
    dir { "/d$1" }, secret { "/s${range}", env = "TOKEN" },]]
  local r = side:run({ mounts = mounts, env = { TOKEN = "${child}" }, options = { "--name", "known" } }, "/bin/sh", "-c",
    [[ls -d '/t${name}' '/d$1'; cat '/f$child'; readlink '/l${state}'; cat '/s${range}']])
  t.equal(r.stdout, "/d$1\n/t${name}\n$keep$argv\n${child}", r.stderr)
end)

A.each("a working directory that is gone does no harm", function(side)
  local dir = side:folder "gone"
  local r = side:run({ cwd = dir, before = function() S.rmdir(dir) S.unlink(dir) end }, "/guest", "print", "ran")
  t.ok(r.stdout == "ran\n" or r.code == 125, r.stderr)
end)

-- ---- luge's own file ----

-- A copy of the program in whose frozen state everything is different but what it begins with.
local function forged_program(side)
  local program = t.read(side.luge)
  local at = 1
  repeat at = program:find("FHGL", at + 1, true) until at % 4096 == 1
  at = at - 1
  local head, forged = 8192, ("A"):rep(65536)
  return side:file("forged", program:sub(1, at + head) .. forged .. program:sub(at + head + #forged + 1), "0755")
end

A.each("what somebody put in place of /proc is not luge's memory", function(side)
  local forged = forged_program(side)
  -- It would not be luge any more.
  t.differs(t.run({ forged, "version", uid = side.uid, cwd = side.dir }).code, 0)
  local r = t.run { "unshare", "-rm", "sh", "-c",
    'mount -t tmpfs none /proc && mkdir /proc/self && cp "$0" /proc/self/exe && exec "$1" version', forged, side.luge,
    uid = side.uid, cwd = side.dir }
  t.equal({ r.code, r.stderr }, { 0, "" })
  t.matches(r.stdout, "^luge %d")
end)

-- ---- the environment ----

A.each("variables of the caller change nothing and do not come in", function(side)
  local evil = side:file("evil.lua", "io.stderr:write 'evil code ran\\n' os.exit(99)", "0644")
  local vars = { LUA_INIT = "@" .. evil, LUA_INIT_5_3 = "@" .. evil, LUA_PATH = side.dir .. "/?.lua",
    LUA_PATH_5_3 = side.dir .. "/?.lua", LUA_CPATH = side.dir .. "/?.so", LD_PRELOAD = side.dir .. "/none.so",
    LD_LIBRARY_PATH = side.dir, LD_AUDIT = side.dir .. "/none.so",
    BASH_ENV = evil, ENV = evil, IFS = "/", TMPDIR = side.dir .. "/none", GCONV_PATH = side.dir,
    LOCPATH = side.dir, PATH = side.dir .. ":/bin", HOME = side.dir, SHELL = evil, LISTEN_FDS = "7", NOTIFY_SOCKET = "/x" }
  -- They would have: LUA_INIT is what the ordinary interpreter runs.
  local interpreter = S.access("/usr/bin/lua5.3", "x") and "/usr/bin/lua5.3"
  if interpreter then
    t.contains(t.run({ interpreter, "-e", "", env = { LUA_INIT = vars.LUA_INIT } }).stderr, "evil code ran")
  end
  t.write(side.dir .. "/syscall.lua", t.read(evil))
  for _, module in ipairs { "json", "luge", "sandbox" } do t.write(side.dir .. "/" .. module .. ".lua", t.read(evil)) end
  local r = side:run({ env = vars }, "/guest", "facts")
  t.equal(r.code, 0, r.stderr)
  t.lacks(r.stderr, "evil code ran")
  local inside = t.json.decode(r.stdout).env
  for name in pairs(vars) do
    if name ~= "PATH" and name ~= "HOME" then t.equal(inside[name], nil, name) end
  end
  t.lacks(inside.PATH, side.dir)
end)

A.each("LUGE_LUA_DIR counts only as a directory of the caller's own", function(side)
  local function run(dir)
    return t.run { side.luge, "version", uid = side.uid, cwd = side.dir, env = { LUGE_LUA_DIR = dir } }
  end
  local function tree(name, perm)
    local dir = side:folder(name)
    side:folder(name .. "/sandbox")
    side:folder(name .. "/sandbox/cli")
    side:file(name .. "/sandbox/cli/init.lua", "io.stderr:write 'other code ran' return { main = function() return 77 end }")
    S.chmod(dir, perm)
    return dir
  end
  t.contains(run(tree("own", "0755")).stderr, "other code ran")
  t.equal(run(tree("writable", "0777")).code, 0)
  t.equal(run(tree("group", "0775")).code, 0)
  if t.root then
    local foreign = tree("foreign", "0755")
    t.must(S.chown(foreign, 4321, 4321))
    t.equal(run(foreign).code, 0)
  end
end)

-- ---- secrets ----

A.each("a secret is in no file, list or environment but its own", function(side)
  local token = "s3cret-" .. S.getpid()
  local how = { mounts = 'secret { "/run/token", env = "TOKEN" },', env = { TOKEN = token }, report = true,
    fields = "seccomp = false", options = { "-e", "PLAIN=" .. token .. "-plain" } }
  local r = side:run(how, "/bin/sh", "-c",
    "cat /run/token; echo; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'")
  t.matches(r.stdout, "^" .. token:gsub("%-", "%%-") .. "\n")
  -- What is set with -e is seen there: the look itself works.
  t.contains(r.stdout, "PLAIN=" .. token .. "-plain")
  t.lacks(r.stdout:sub(#token + 1), "TOKEN=")
  t.lacks(t.json.encode(r.report), token)

  local p = side:start({ mounts = how.mounts, env = how.env }, "/bin/sh", "-c", "echo ready; sleep 30")
  p:await "ready"
  local found = {}
  for _, name in ipairs(S.dir(side.state)) do found[#found + 1] = t.read(side.state .. "/" .. name) end
  -- The whole container, from outside, with all of luge's rights.
  local children = t.read(("/proc/%d/task/%d/children"):format(p.pid, p.pid))
  for pid in (children or ""):gmatch "%d+" do
    found[#found + 1] = t.read("/proc/" .. pid .. "/environ") or ""
    found[#found + 1] = t.read("/proc/" .. pid .. "/cmdline") or ""
  end
  p:kill()
  p:wait()
  side:collect()
  for _, text in ipairs(found) do t.lacks(text, token) end
  local plan = t.run { side.luge, "plan", "--json", side:profile(how), "--", "/guest", uid = side.uid, cwd = side.dir,
    env = { TOKEN = token, LUGE_STATE = side.state } }
  t.equal(plan.code, 0, plan.stderr)
  t.lacks(plan.stdout, token)
end)
