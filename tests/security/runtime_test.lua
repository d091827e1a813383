-- SPDX-License-Identifier: MIT
-- Attacks on luge's own processes from inside: its binary, its descriptors, PID 1.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

-- ---- the binary (CVE-2019-5736) ----

A.each("the runtime's binary cannot be held open through /proc/PID/exe", function(side)
  local victim = side:file("runtime", t.read(side.guest), "0755")
  local runtime = t.start { victim, "sleep", "2", uid = side.uid }
  -- Until it has executed the victim it is a process of another user's making, whose /proc is closed to the attack.
  for _ = 1, 200 do
    if S.readlink(("/proc/%d/exe"):format(runtime.pid)) == victim then break end
    S.nanosleep(0.01)
  end
  A.works(side:try_outside({}, "overwrite", tostring(runtime.pid)), "an unprotected runtime")
  runtime:kill()
  runtime:wait()
  t.equal(t.read(victim):sub(1, 11), "overwritten")

  local before = t.read(side.luge)
  A.refused(side:try({}, "overwrite", "1"), "EACCES")
  A.refused(side:try({ fields = "seccomp = false" }, "overwrite", "1"), "EACCES")
  t.ok(t.read(side.luge) == before, "luge's binary has changed")
end)

A.each("#!/proc/self/exe runs a harmless stage, not luge", function(side)
  local script = side:file("script", "#!/proc/self/exe\n", "0755")
  -- From luge itself the trick works: it runs again, with the script as its word.
  local trick = side:file("trick.lua", ("require('syscall').execve(%q, { %q }, {})"):format(script, script))
  t.contains(t.run({ side.luge, "lua", trick, uid = side.uid }).stderr, "no command")

  for _, init in ipairs { "true", "false" } do
    local r = side:run({ mounts = ("bind { %q, '/script' },"):format(script), fields = "init = " .. init }, "/script")
    t.equal(r.code, 125)
    t.lacks(r.stdout .. r.stderr, "no command")
  end
end)

A.each("no program inside is luge's, nor can PID 1's be run", function(side)
  local r = side:run({}, "/bin/sh", "-c", "for p in /proc/[0-9]*; do readlink $p/exe; done; exec /proc/1/exe")
  t.lacks(r.stdout, "luge")
  t.equal(r.code, 126)
end)

-- ---- descriptors and the working directory (CVE-2024-21626, CVE-2016-9962) ----

A.each("a leaked descriptor does not come in", function(side)
  local outside = side:folder("outside")
  t.write(outside .. "/file", "of the host", "0644")
  local dir = t.must(S.open(outside, "rdonly, directory, cloexec"))
  local fds = { [7] = dir, [900] = dir }
  A.works(side:try_outside({ fds = fds }, "read-below", "7", "file"))
  A.works(side:try({ fds = fds, options = { "--pass-fd", "7" } }, "read-below", "7", "file"), "--pass-fd")

  A.refused(side:try({ fds = fds }, "read-below", "7", "file"), "EBADF")
  for _, how in ipairs { { fds = fds }, { fds = fds, report = true }, { fds = fds, fields = "init = false" },
    { fds = fds, options = { "--status-fd", "7" } } } do
    local facts = side:facts(how)
    for number in pairs(facts.fds) do t.ok(tonumber(number) <= 2, "descriptor " .. number .. " came in") end
  end
  dir:close()
end)

A.each("a standard stream is no directory", function(side)
  local outside = side:folder("outside")
  t.write(outside .. "/file", "of the host", "0644")
  local dir = t.must(S.open(outside, "rdonly, directory, cloexec"))
  for number, name in pairs { [0] = "input", [1] = "output", [2] = "error" } do
    local fds = { [number] = dir }
    local r = side:run({ fds = fds, report = true }, "/guest", "try", "create", "/proc/self/fd/" .. number .. "/made")
    t.equal({ r.code, r.report.reason }, { 125, "setup" }, name)
    if number ~= 2 then t.contains(r.stderr, ("standard %s is a directory"):format(name)) end
    t.equal(S.dir(outside), { "file" })
  end
  dir:close()
end)

A.each("the working directory cannot lie outside", function(side)
  local outside = side:folder("outside")
  local dir = t.must(S.open(outside, "rdonly, directory, cloexec"))
  for _, options in ipairs { {}, { "--pass-fd", "7" } } do
    local words = table.move(options, 1, #options, 1, {})
    words[#words + 1] = "-w"
    words[#words + 1] = "/proc/self/fd/7"
    local r = side:run({ fds = { [7] = dir }, options = words }, "/guest", "print", "ran")
    t.equal(r.code, 125)
    t.equal(r.stdout, "")
  end
  -- Every number, as the attack on another runtime tried them.
  for number = 3, 12 do
    local r = side:run({ options = { "-w", "/proc/self/fd/" .. number } }, "/guest", "print", "ran")
    t.equal(r.code, 125, "descriptor " .. number)
  end
  dir:close()
end)

A.each("closed standard descriptors are not filled with luge's own", function(side)
  for _, closed in ipairs { { 0 }, { 1 }, { 2 }, { 0, 1, 2 } } do
    local out = side:folder("out" .. closed[#closed] .. #closed, "0777")
    side:run({ mounts = ("bind { %q, '/out', rw = true },"):format(out),
      before = function() for _, fd in ipairs(closed) do S.close(fd) end end },
      "/bin/sh", "-c", "for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done >/out/list")
    local list = t.ok(t.read(out .. "/list"), "it did not run with " .. #closed .. " closed")
    for _, word in ipairs { "memfd", "socket:", "luge", "eventpoll" } do t.lacks(list, word) end
  end
end)

-- ---- PID 1 ----

A.each("PID 1 cannot be traced, read or killed", function(side)
  A.works(side:try({ fields = "seccomp = 'ci'" }, "ptrace-child"), "tracing another")
  A.works(side:try({}, "read", "/proc/self/environ"))

  A.refused(side:try({ fields = "seccomp = 'ci'" }, "ptrace", "1"), "EPERM")
  A.refused(side:try({ fields = "seccomp = false" }, "ptrace", "1"), "EPERM")
  for _, name in ipairs { "mem", "environ", "maps", "auxv", "fd/0", "fd/1", "fd/2" } do
    A.refused(side:try({ fields = "seccomp = false" }, "read", "/proc/1/" .. name), "EACCES", "EPERM")
  end
  local r = side:run({ fields = "seccomp = false" }, "/bin/sh", "-c",
    "trap : SEGV; kill -9 1; kill -STOP 1; kill -SEGV 1; sleep 0.05; echo still; exit 3")
  t.equal(r.code, 3)
  t.equal(r.stdout, "still\n")
end)

A.each("no descriptor of PID 1 or of luge is to be seen", function(side)
  local r = side:run({ fields = "seccomp = false" }, "/bin/sh", "-c",
    "for p in /proc/[0-9]*; do for f in $p/fd/*; do readlink $f; done; done 2>/dev/null; true")
  for _, word in ipairs { "memfd", "luge-orders", side.dir } do t.lacks(r.stdout, word) end
end)
