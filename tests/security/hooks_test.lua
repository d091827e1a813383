-- SPDX-License-Identifier: MIT
-- Hooks are trusted code: whose files they are, what of luge they get, and that the guest's sees the container alone.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

local NOTE = "io.stderr:write('the hook ran\\n')"

local function fields(path) return { fields = ("hooks = { prepare = %q }"):format(path) } end

local function runs(side, path)
  local r = side:run(fields(path), "/guest", "exit", "0")
  t.equal({ r.code, r.stderr }, { 0, "the hook ran\n" }, path)
end

local function refused(side, path, word)
  local r = side:run(fields(path), "/guest", "exit", "0")
  t.equal(r.code, 125, path)
  t.lacks(r.stderr, "the hook ran")
  t.contains(r.stderr, "is refused: ")
  t.contains(r.stderr, word)
  t.contains(r.stderr, "root runs only what nobody else can change")
end

A.root("a file that somebody else could change is refused, like modules", function(side)
  local good = side:file("good.lua", NOTE)
  runs(side, good)
  refused(side, side:file("open.lua", NOTE, "0666"), "can be written by everyone")
  local group = side:file("group.lua", NOTE, "0664")
  t.must(S.chown(group, 0, 4321))
  refused(side, group, "can be written by group 4321")
  local foreign = side:file("foreign.lua", NOTE)
  t.must(S.chown(foreign, A.NOBODY, A.NOBODY))
  refused(side, foreign, "belongs to uid 65534")
  side:folder("anyone", "0777")
  refused(side, side:file("anyone/hook.lua", NOTE), "can be written by everyone")
  t.must(S.symlink(foreign, side.dir .. "/link.lua"))
  refused(side, side.dir .. "/link.lua", "belongs to uid 65534")
  -- Whoever wrote the profile that root named has its say.
  local profile = side:profile { fields = ("hooks = { prepare = %q }"):format(foreign) }
  t.must(S.chown(profile, A.NOBODY, A.NOBODY))
  t.equal(side:run({ profile = profile }, "/guest", "exit", "0").stderr, "the hook ran\n")
end)

A.each("no hook has a descriptor of luge's but the standard streams", function(side)
  local script = side:file("fds.lua", [[
    local S = require "syscall"
    local dir = S.open("/proc/self/fd", "rdonly, directory, cloexec")
    local words = {}
    for _, entry in ipairs(S.getdents(dir)) do
      local number = tonumber(entry.name)
      if number and number > 2 and number ~= dir:getfd() then
        words[#words + 1] = number .. ":" .. (S.readlink("/proc/self/fd/" .. number) or "?"):match "^%a+"
      end
    end
    table.sort(words)
    local stdin = S.fstat(0)
    io.stderr:write(container.hook, " ", table.concat(words, " "), " ", stdin.type, " ", stdin.rdev.minor, "\n")
  ]])
  local all = "hooks = { prepare = %q, guest = %q, started = %q, stopped = %q }"
  local secret = t.must(S.open(side:file("secret", "precious"), "rdonly"))
  local r = side:run({ fields = all:format(script, script, script, script), stdin = "input", fds = { [7] = secret },
    options = { "--pass-fd", "7" } }, "/guest", "sleep", "1")
  t.equal(r.code, 0, r.stderr)
  local seen = {}
  for line in r.stderr:gmatch "[^\n]+" do seen[#seen + 1] = line end
  table.sort(seen)
  -- 3 is the pipe for its words; standard input is /dev/null.
  t.equal(seen, { "guest 3:pipe char 3", "prepare 3:pipe char 3", "started 3:pipe char 3", "stopped 3:pipe char 3" })
end)

A.each("the guest's sees nothing of the host: files, processes, environment", function(side)
  local file = side:file("of-the-host", "precious")
  local script = side:file("look.lua", ([[
    local S = require "syscall"
    local found = {}
    local function look(what, value) if value then found[#found + 1] = what end end
    look("the file", S.stat %q)
    look("its directory", S.stat %q)
    look("through PID 1", S.stat("/proc/1/root" .. %q))
    look("through itself", S.stat("/proc/self/root" .. %q))
    look("the environment", os.getenv "OF_THE_HOST" or os.getenv "HOME")
    look("the text of the environment", (S.readfile "/proc/self/environ" or ""):find("OF_THE_HOST=precious%%z") and os.getenv "PATH")
    look("processes", #S.dir "/proc" > 0 and S.stat("/proc/" .. tostring(container.pid or "none")))
    look("its parent", S.getppid() ~= 0)
    look("mounts", (S.readfile "/proc/self/mountinfo" or ""):find("of-the-host", 1, true))
    print("found: " .. table.concat(found, ", "))
  ]]):format(file, side.dir, file, file))
  local r = side:run({ fields = ("hooks = { guest = %q }"):format(script), env = { OF_THE_HOST = "precious" } }, "/guest", "exit", "0")
  t.equal({ r.code, r.stdout, r.stderr }, { 0, "found: \n", "" })
end)

A.each("what the guest's started is gone before the command is there", function(side)
  local script = side:file("stay.lua", [[
    local S = require "syscall"
    for _ = 1, 3 do
      if S.fork() == 0 then
        S.setsid()
        if S.fork() == 0 then while true do S.nanosleep(1000) end end
        S.exit(0)
      end
    end
  ]])
  -- luge's PID 1 gets its own filter when the command is there, a moment later.
  for _, more in ipairs { "", ", init = false", ", namespaces = { pid = 'host' }" } do
    local r = side:run({ fields = ("hooks = { guest = %q }%s"):format(script, more) }, "/bin/sh", "-c",
      "for p in /proc/[0-9]*; do [ $p = /proc/1 ] && continue; grep -q '^Seccomp:.0' $p/status && grep -q '^NSpid:.*' $p/status && cat $p/comm; done; echo looked")
    t.equal(r.code, 0, r.stderr)
    if more ~= ", namespaces = { pid = 'host' }" then t.lacks(r.stdout, "luge", more) end
    t.contains(r.stdout, "looked")
  end
end)
