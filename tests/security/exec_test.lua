-- SPDX-License-Identifier: MIT
-- Attacks on luge exec: from inside, on the process that joins; from outside, on whom it believes.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

-- `luge WORDS…` as the side's user.
local function luge(side, words, how)
  local command = { side.luge, table.unpack(words) }
  for key, value in pairs(how or {}) do command[key] = value end
  command.uid, command.cwd = side.uid, side.dir
  command.env = { HOME = side.dir, LUGE_STATE = side.state, XDG_RUNTIME_DIR = false, USER = false, LOGNAME = false,
    HOST_SECRET = "HOST_SECRET" }
  return command
end

local function running(side, name)
  local found = t.decoded(luge(side, { "ps", "--json" })).containers
  for _, row in ipairs(found) do
    if row.name == name then return row end
  end
end

-- A container in which somebody lies in wait, while `act` brings processes in. Returns what he saw.
local function lurked(side, fields, act)
  local p = side:start({ fields = fields, options = { "--name", "sec-lurk" }, timeout = 200 }, "/guest", "try", "lurk", "/tmp/stop")
  local function exec(...) return t.run(luge(side, { "exec", "sec-lurk", "--", ... })) end
  p:await("lurking", "stderr")
  act(running(side, "sec-lurk"), exec)
  exec("/guest", "try", "mkdir", "/tmp/stop") -- the container may end before it does
  local r = p:wait()
  t.equal(r.code, 0, r.stderr)
  return t.json.decode(r.stdout)
end

-- What a simple tool does: joins, forks, and becomes the command.
local NAIVE = [[
  local S = require "syscall"
  local pidfd = S.pidfd_open(%d)
  assert(S.setns(pidfd, "%snewns, newpid, newnet, newipc, newuts"))
  local pid = S.fork()
  if pid == 0 then
    S.nanosleep(0.1)
    S.execve("/guest", { "guest", "exit", "0" }, {})
    S.exit(1)
  end
  S.waitid("pid", pid, "exited")
]]

local PROFILES = { "seccomp = 'ci'", "seccomp = false", "seccomp = 'ci', init = false" }

local ENOUGH, ROUNDS, COMMANDS = 20, 10, 25

-- Who lies in wait samples, and on a busy machine it misses some: commands come in until it has seen enough of them.
-- check(got): of each round.
local function lurk_enough(side, fields, check)
  local seen = 0
  for _ = 1, ROUNDS do
    local got = lurked(side, fields, function(_, exec)
      for i = 1, COMMANDS do t.equal(exec("/guest", "exit", tostring(i)).code, i) end
    end)
    check(got)
    seen = seen + got.seen
    if seen > ENOUGH then return end
  end
  error(("%s: of %d commands it saw only %d"):format(fields, ROUNDS * COMMANDS, seen), 2)
end

-- Nobody's capability or filter is missing; what holds those of the container and nothing else is not undressed.
local function check_dressed(got, fields)
  t.lacks(got.reasons, "has not ours", fields)
  t.lacks(got.reasons, "environment", fields)
  t.lacks(got.reasons, "/luge", fields)
  t.lacks(got.reasons, " /dev", fields)
end

A.each("nobody who joins is ever seen without the container's protection", function(side)
  local got = lurked(side, PROFILES[1], function(row)
    local script = side:file("naive.lua", NAIVE:format(row.pid, "newuser, "))
    t.succeed(luge(side, { "lua", script }))
  end)
  A.works(got)
  t.ok(got.result > 0, "the attack sees nothing where nothing protects")
  t.contains(got.reasons, "Seccomp_filters")

  for _, fields in ipairs(PROFILES) do
    lurk_enough(side, fields, function(one) t.equal({ one.result, one.reasons }, { 0, "" }, fields) end)
  end
end)

-- Whoever may trace everything inside sees the stage between its birth and the command's execve, as it sees PID 1:
-- a sealed file, and the container's own rights.
A.each("nor by somebody who may trace every process inside", function(side)
  for _, fields in ipairs { "seccomp = 'ci', capabilities = { 'sys_ptrace' }", "seccomp = 'default', capabilities = { 'sys_ptrace' }" } do
    lurk_enough(side, fields, function(got) check_dressed(got, fields) end)
  end
end)

A.root("nor with the host's own ids", function(side)
  lurk_enough(side, "seccomp = 'ci', id_map = 'host'", function(got) t.equal({ got.result, got.reasons }, { 0, "" }) end)
end)

-- ---- what it brings along ----

-- A container that sleeps, for body(exec, row); exec(how, WORDS…).
local function with_container(side, how, body)
  how.options = { "--name", "sec-exec" }
  local p = side:start(how, "/guest", "sleep", "1000")
  for i = 1, 500 do
    if t.run(luge(side, { "exec", "sec-exec", "/guest", "exit", "9" })).code == 9 then break end
    t.ok(i < 500, "the container never began")
  end
  local ok, err = pcall(body, function(with, ...) return t.run(luge(side, { "exec", ... }, with)) end, running(side, "sec-exec"))
  p:signal "term"
  p:wait()
  if not ok then error(err, 0) end
end

A.each("a leaked descriptor does not come in by exec, nor does a directory outside", function(side)
  local outside = side:folder("outside")
  t.write(outside .. "/file", "of the host", "0644")
  local dir = t.must(S.open(outside, "rdonly, directory, cloexec"))
  local fds = { [7] = dir, [900] = dir }
  A.works(side:try_outside({ fds = fds }, "read-below", "7", "file"))
  with_container(side, {}, function(exec)
    local got = t.json.decode(exec({ fds = fds }, "sec-exec", "/guest", "try", "read-below", "7", "file").stdout)
    A.refused(got, "EBADF")
    local facts = t.json.decode(exec({ fds = fds }, "sec-exec", "/guest", "facts").stdout)
    for number in pairs(facts.fds) do t.ok(tonumber(number) <= 2, "descriptor " .. number .. " came in") end
    t.equal(facts.env.HOST_SECRET, nil)
    local r = exec({ fds = fds }, "-w", "/proc/self/fd/7", "sec-exec", "/guest", "print", "ran")
    t.equal({ r.code, r.stdout }, { 125, "" })
    r = exec({ fds = { [0] = dir } }, "sec-exec", "/guest", "try", "read-below", "0", "file")
    t.equal({ r.code, r.stdout }, { 125, "" })
    t.contains(r.stderr, "standard input is a directory")
  end)
  dir:close()
end)

A.each("#!/proc/self/exe executes nothing of luge's", function(side)
  local script = side:file("script", "#!/proc/self/exe\n", "0755")
  with_container(side, { mounts = ("bind { %q, '/script' },"):format(script) }, function(exec)
    local before = t.read(side.luge)
    local r = exec({}, "sec-exec", "/script")
    t.equal(r.code, 125)
    t.lacks(r.stdout .. r.stderr, "no command")
    t.ok(t.read(side.luge) == before)
  end)
end)

A.each("hostile accounts do not hold it up, and lead nowhere", function(side)
  local root = side:rootfs("root")
  for _, name in ipairs { "etc", "proc", "dev", "tmp", "sys" } do side:folder("root/" .. name) end
  t.must(S.mknod(root .. "/etc/passwd", "0666", "fifo"))
  t.must(S.symlink("/../../../../../../etc/group", root .. "/etc/group"))
  with_container(side, { fields = ("root = %q"):format(root) }, function(exec)
    local r = exec({}, "-u", "anyone", "sec-exec", "/guest", "exit", "0")
    t.equal(r.code, 125)
    t.contains(r.stderr, "it has no readable /etc/passwd")
    r = exec({}, "-u", "0:root", "sec-exec", "/guest", "exit", "0")
    t.equal(r.code, 125, "the host's /etc/group has a root")
  end)
end)

-- ---- whom it believes ----

-- Holds the name's lock and answers at its socket as a luge would, with any process as PID 1.
local FORGER = [[
  local S = require "syscall"
  local json = require "luge.json"
  local state, victim = %q, %d
  local lock = S.take_lock(state .. "/sec-forged.lock", "profile x\nprocess " .. victim .. " 1 x\n")
  local socket = S.listen_at(state .. "/sec-forged.sock")
  print "ready"
  io.stdout:flush()
  S.poll({ { fd = socket, events = "in" } }, 20000)
  local client = S.accept4(socket, "")
  S.recvmsg(client, { size = 4096, max_fds = 0 })
  local file = S.memfd_create("facts", "")
  S.write(file, json.encode { state = "running", pid = victim, luge = S.getpid(), cgroups = {}, attach = {}, environment = {},
    user = { uid = 0, gid = 0 }, spec = { cwd = "/", env = {}, stop = { signal = "TERM", grace = 1 } },
    seal = { { op = "umask", args = { "022" }, why = "umask" } } })
  S.sendmsg(client, { data = json.encode { v = 1, ok = true }, fds = { file, S.pidfd_open(victim) } })
  S.poll({ { fd = client, events = "in" } }, 20000)
  S.unlink(state .. "/sec-forged.sock")
  S.unlink(state .. "/sec-forged.lock")
]]

A.each("a process that is not the luge's own is not joined, whoever says so", function(side)
  local victim = t.start { side.guest, "sleep", "100", uid = side.uid }
  local script = side:file("forger.lua", FORGER:format(side.state, victim.pid))
  local forger = t.start(luge(side, { "lua", script }))
  forger:await "ready"
  local r = t.run(luge(side, { "exec", "sec-forged", "/guest", "exit", "0" }))
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, ("process %d is no child of process %d"):format(victim.pid, forger.pid))
  forger:wait()
  victim:kill()
  victim:wait()
end)

A.root("a container of another user's is not entered", function(side)
  S.chown(side.state, A.NOBODY, A.NOBODY)
  local r = t.run(luge(side, { "exec", "any", "/guest", "exit", "0" }))
  t.equal(r.code, 125)
  t.contains(r.stderr, "belongs to user 65534")
end)
