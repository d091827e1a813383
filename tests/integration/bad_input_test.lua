-- SPDX-License-Identifier: MIT
-- Bad input: one clear message that names field, cause and way out, the right code, nothing started and nothing left behind.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

local function profile_of(text, perm)
  return t.write(t.dir() .. "/p.lua", text, perm or "0644")
end

-- A profile that is refused by run and plan with 125, by check with 1, each with the same words.
local function faulty(text, ...)
  local path = profile_of(text)
  for verb, code in pairs { run = 125, plan = 125, check = 1 } do
    local r = box.run { verb = verb, profile = path, timeout = 60 }
    t.equal(r.code, code, verb .. ": " .. r.stderr)
    t.equal(r.stdout, "")
    t.lacks(r.stderr, "traceback")
    t.lacks(r.stderr, "internal error")
    for _, part in ipairs { ... } do t.contains(r.stderr, part, verb) end
  end
end

t.test("a profile that is no Lua", function()
  faulty("return container {", "p.lua:", "1 error; nothing was started.")
  faulty("this is no lua", "p.lua:1")
  faulty("\27Lua\x53binary", "p.lua")
  faulty("", "p.lua", "returns")
  faulty("return 7", "p.lua")
  faulty("return { a = 1 }", "p.lua")
  faulty("return nil", "p.lua")
  faulty(("x"):rep(2 * 1024 * 1024), "longer than 1 MiB")
end)

t.test("a profile that uses what is not there", function()
  faulty("return container { command = { os.getenv 'HOME' } }", "p.lua:1", "os")
  faulty("x = 1\nreturn container {}", "p.lua:1", "x")
  faulty("return contaner {}", "p.lua:1", "did you mean 'container'?")
  faulty("error 'my own words'", "p.lua:1: my own words")
  faulty("return container { profile 'no-such-parent' }", "no profile 'no-such-parent'")
  faulty("require 'no_such_module'", "no_such_module")
  faulty("return container { hostname = host.nope }", "p.lua:1")
end)

t.test("fields: all faults at once, in order, with the line and a suggestion", function()
  local path = profile_of("return container {\n  comand = { 'x' },\n  limits = { wall = '10 m', opn_files = 3 },\n"
    .. "  umask = 22,\n  mounts = { tmpfs { sise = 1 } },\n}\n")
  local r = box.run { profile = path }
  t.equal(r.code, 125)
  local at = {}
  for line in r.stderr:gmatch "p%.lua:(%d+):" do at[#at + 1] = tonumber(line) end
  t.equal(at, { 2, 3, 3, 4, 5, 5 }, r.stderr)
  for _, part in ipairs { "did you mean 'command'?", "limits.wall", "did you mean 'open_files'?", "umask", "did you mean 'size'?",
    "6 errors; nothing was started." } do t.contains(r.stderr, part) end
end)

t.test("words that belong to later versions are refused, not ignored", function()
  for _, body in ipairs { "landlock = { read = { '/' } }", "seccomp = { log = { 'mount' } }", "seccomp = { notify = { 'mount' } }" } do
    faulty("return container { " .. body .. " }", "not enforced by this version", "p.lua:1")
  end
end)

t.test("profiles that do not end are ended", function()
  for _, text in ipairs { "while true do end", "local s = 'x' while true do s = s .. s end",
    "local function f() return f() + 1 end f()",
    "string.rep('x', 1e10)", "return container { command = setmetatable({}, { __index = function() while true do end end }) }",
    "('a'):rep(100000):find(('.-'):rep(40) .. 'b')" } do
    local r = box.run { profile = profile_of(text), timeout = 60 }
    t.equal(r.code, 125, text .. ": " .. r.stderr)
    t.matches(r.stderr, "%S")
    t.lacks(r.stderr, "internal error")
  end
end)

-- The caps of a profile are over when luge looks at what it says. Processor time, which a busy machine does not use up.
t.test("what a profile says takes luge no longer than the profile itself", function()
  for _, case in ipairs {
    { "local l = {} for i = 1, 10000 do l[i] = rule { 'ioctl', { 1, '==', 1000 + i } } end "
      .. "return container { seccomp = { deny = { 'ioctl' }, rules = l } }", "10000 rules are more than a filter takes" },
    { "local l = {} for i = 1, 30000 do l[i] = 'read' end return container { seccomp = { deny = l } }", "100 errors" },
    { "local c = {} for i = 1, 10000 do c['c' .. i] = container { command = { 'true' } } end return group { containers = c }",
      "10000 are more than a group may have" },
    { "local l = {} for i = 1, 30000 do l[i] = { 1 + i, 80 } end "
      .. "return container { network = { interfaces = { veth {} }, publish = l } }" },
    { "return container { network = { interfaces = { veth {} }, bandwidth = { down = ('1'):rep(4000000) } } }", "is no rate" },
    { "return container { [('a'):rep(4000000)] = 1 }", '"aaa' },
  } do
    local r = t.run { "/bin/sh", "-c", 'ulimit -t 6; exec "$@"', "sh", t.luge, "check", profile_of(case[1]) }
    t.equal(r.code, case[2] and 1 or 0, case[1] .. ": " .. r.stderr:sub(1, 1000))
    t.contains(r.stderr, case[2] or "")
    t.ok(#r.stderr < 100000, "a flood")
  end
end)

t.test("files that are no profile", function()
  local dir = t.dir()
  t.must(S.mkdir(dir .. "/d.lua", "0755"))
  t.must(S.mknod(dir .. "/f.lua", "0666", "fifo"))
  t.must(S.symlink("l.lua", dir .. "/l.lua"))
  box.refused({ profile = dir .. "/none.lua" }, "luge: cannot read " .. dir .. "/none.lua: No such file or directory")
  box.refused({ profile = dir .. "/d.lua" }, "is a directory, not a Lua file")
  box.refused({ profile = dir .. "/f.lua", timeout = 10 }, "is a FIFO, not a Lua file")
  box.refused({ profile = dir .. "/l.lua" }, "cannot read")
  box.refused({ profile = "/dev/zero" }, "is a device, not a Lua file")
  box.refused({ profile = dir .. "/" }, "directory")
  box.refused({ profile = "./" .. ("x"):rep(5000) .. ".lua" }, "File name too long")
  box.refused({ profile = "" }, "no name of a profile")
end)

t.test("a profile that luge may not read", function()
  t.needs_user()
  box.refused({ profile = profile_of("return container {}", "0000") }, "Permission denied")
end)

t.test("a group, and a container that is not in it", function()
  local path = profile_of "return group { containers = { a = container { command = { 'true' } }, b = container {} } }"
  t.equal(box.run({ profile = path .. ":a" }).code, 0)
  box.refused({ profile = path .. ":c" }, "c")
  t.equal(box.run({ profile = path }).code, 125)
end)

t.test("texts of a profile do not act on the terminal", function()
  local r = box.run { profile = profile_of "return container { ['\\27]0;title\\7'] = 1, hostname = '\\27[31mred' }" }
  t.equal(r.code, 125)
  t.lacks(r.stderr, "\27")
  t.lacks(r.stderr, "\7")
end)

t.test("a state directory that cannot be used", function()
  local dir = t.dir()
  t.write(dir .. "/file", "")
  box.refused({ "print", "ran", env = { LUGE_STATE = dir .. "/file" } }, "luge: ")
  box.refused({ "print", "ran", env = { LUGE_STATE = dir .. "/none/deeper" } }, "luge: ", "No such file or directory")
  t.must(S.mkdir(dir .. "/open", "0777"))
  S.chmod(dir .. "/open", "0777")
  box.refused({ "print", "ran", env = { LUGE_STATE = dir .. "/open" } }, "luge: ")
  t.equal(S.dir(dir), { "file", "open" })
  t.equal(S.dir(dir .. "/open"), {})
end)

t.test("no user namespaces left: the limit is named", function()
  t.needs_root()
  -- In a user namespace of its own, so that the host's limit stays.
  local words = box.words { "exit", "0" }
  words.before = function()
    t.must(S.unshare "newuser, newns")
    S.writefile("/proc/self/setgroups", "deny")
    S.writefile("/proc/self/uid_map", "0 0 1")
    S.writefile("/proc/self/gid_map", "0 0 1")
    S.writefile("/proc/sys/user/max_user_namespaces", "0")
  end
  local r = t.run(words)
  t.equal(r.code, 125, r.stdout)
  t.contains(r.stderr, "No space left on device")
  t.contains(r.stderr, "user.max_user_namespaces")
end)

t.test("limits of luge's own that are too low for it are told, and nothing stays", function()
  local function limited(name, value)
    return function() S.setrlimit(name, value, S.getrlimit(name).hard) end
  end
  for _, size in ipairs { 0, 4096 } do
    box.refused({ "exit", "0", before = limited("fsize", size) }, "File too large", size == 0 and "ulimit -f" or nil)
  end
  box.refused({ "exit", "0", body = "health = { fd = 3 }", before = limited("nofile", 60) }, "health.fd", "ulimit -n")
  local r = box.run { shell = "head -c 8192 /dev/zero > /tmp/x; echo $?", before = limited("fsize", 1 << 20),
    body = "limits = { file_size = 4096 }, mounts = { tmpfs { '/tmp' } }" }
  t.equal(r.stdout, "153\n", "the command gets its default for XFSZ back")
end)

t.test("no process left: the limit is named", function()
  t.needs_user()
  box.refused({ "exit", "0", before = function() S.setrlimit("nproc", 1, 1) end }, "Resource temporarily unavailable",
    "ulimit -u")
end)

t.test("every kind of failed start leaves nothing: files, processes, mounts", function()
  local dir, kept = t.dir(), t.dir()
  t.write(dir .. "/file", "")
  local bodies = {
    "cwd = '/none'", "user = 'no-such-user'", "root = '/no/such'", "mounts = { bind { '/no/such' } }",
    ("mounts = { bind { %q, '/a', overlay = %q } }, cwd = '/none'"):format(dir, kept),
    ("mounts = { bind { %q, '/a', overlay = 'discard' } }, cwd = '/none'"):format(dir),
    ("mounts = { bind { %q, '/etc/passwd/x' } }"):format(dir), "mounts = { tmpfs { '/etc/passwd/x' } }",
    "mounts = { file { '/proc/self/x', text = 'x' } }",
      "mounts = { tmpfs { '/t', inodes = 1 }, file { '/t/a' }, file { '/t/b' } }",
    "sysctl = { ['net.no.such'] = 1 }", "namespaces = { ipc = '/etc/passwd' }", "mounts = { secret { '/s', env = 'NO_SUCH' } }",
    "limits = { scheduler = { 'fifo', priority = 1000 } }", ("mounts = { tmpfs { %q } }"):format("/" .. ("x"):rep(300)),
    ("mounts = { tmpfs { %q } }"):format(("/x"):rep(3000)),
  }
  for _, body in ipairs(bodies) do
    local r = box.run { "print", "ran", body = body, timeout = 30 }
    t.equal({ r.code, r.stdout }, { 125, "" }, body .. r.stderr)
    t.matches(r.stderr, "%S", body)
    t.lacks(r.stderr, "internal error", body)
    t.lacks(r.stderr, "traceback", body)
  end
  t.equal(S.dir(dir), { "file" })
end)

t.test("messages of failed steps name what they were about", function()
  box.refused({ "exit", "0", body = "mounts = { tmpfs { '/etc/passwd/x' } }" }, "mounts[2]", "/etc/passwd/x",
    "/etc/passwd is a file")
  box.refused({ "exit", "0", body = ("mounts = { tmpfs { %q } }"):format("/" .. ("x"):rep(300)) }, "mounts[2]: /"
    .. ("x"):rep(300),
    "File name too long")
  box.refused({ "exit", "0", body = "cwd = '/none'" }, "cwd: /none: No such file or directory", "dir { … }")
end)
