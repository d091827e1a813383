-- SPDX-License-Identifier: MIT
-- luge exec: one more command in a container that runs, with the protection of the container's own.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local SLEEP = { "sleep", "1000" }

local function exec(...) return d.luge("exec", ...) end

-- `luge exec WORDS…` that goes on beside.
local function beside(...)
  local words = { "luge", "exec", ... }
  for i, word in ipairs(words) do words[i] = d.own(word) end
  words.env = { LUGE_STATE = box.state }
  return t.start(words)
end

local function refused(words, code, ...)
  local r = exec(table.unpack(words))
  t.equal({ r.code, r.stdout }, { code, "" }, r.stderr)
  for _, part in ipairs { ... } do t.contains(r.stderr, part) end
  t.lacks(r.stderr, "traceback")
  return r
end

-- A container whose command first writes down what it is itself.
local NOTES_ITSELF = "/guest facts > /tmp/own.new; mv /tmp/own.new /tmp/own; exec /guest sleep 1000"

local function start_noted(name, body)
  d.start(name, { shell = NOTES_ITSELF, body = body })
  d.until_true("the command's notes", function() return exec(name, "/bin/sh", "-c", "test -e /tmp/own").code == 0 end)
end

-- A test that fails takes its containers away all the same: the next one may have their names.
local function test(name, body)
  t.test(name, function()
    local ok, err = xpcall(body, function(e) return type(e) == "string" and debug.traceback(e, 2) or e end)
    if not ok then
      d.luge("rm", "-f", "-t", "0", "-a")
      error(err, 0)
    end
  end)
end

test("a container with a terminal: the command has luge's own streams, not that terminal", function()
  d.start("det-tty", { "sleep", "1000", options = { "-t" } })
  t.equal(exec("det-tty", "/bin/sh", "-c", "tty; (: </dev/tty) 2>/dev/null || echo none").stdout, "not a tty\nnone\n")
  d.ok("rm", "-f", "det-tty")
end)

-- ---- how it ends ----

test("exit codes and signals are those of a run", function()
  d.start("det-x", SLEEP)
  for _, code in ipairs { 0, 1, 7, 124, 125, 255 } do
    local r = exec("det-x", "/guest", "exit", tostring(code))
    t.equal({ r.code, r.stdout, r.stderr }, { code, "", "" })
  end
  for _, number in ipairs { 1, 9, 11, 15, 34 } do
    local r = exec("det-x", "--", "/guest", "raise", tostring(number))
    t.equal({ r.code, r.signal, r.stderr }, { 128 + number, nil, "" })
  end
  refused({ "det-x", "no-such-command" }, 127, "no-such-command: not found in the container", "PATH in the container is")
  refused({ "det-x", "/etc/passwd" }, 126, "cannot be executed", "Permission denied")
  refused({ "det-x", "/no/such" }, 127, "/no/such: not found")
  d.ok("rm", "-f", "det-x")
  d.nothing_left()
end)

test("words, standard input and output pass", function()
  d.start("det-w", SLEEP)
  local r = t.run { "luge", "exec", d.own "det-w", "--", "/guest", "copy", stdin = "a\0b\n", env = { LUGE_STATE = box.state } }
  t.equal({ r.code, r.stdout }, { 0, "a\0b\n" })
  local words = { "a b", "", "$HOME", "${user.uid}", "$argv", "--", "-x", "\xff" }
  t.equal(exec("det-w", "--", "/guest", "print", table.unpack(words)).stdout, exec("det-w", "/guest", "print", table.unpack(words)).stdout)
  t.contains(exec("det-w", "/guest", "print", table.unpack(words)).stdout, "${user.uid}")
  r = exec("det-w", "/bin/sh", "-c", "echo out; echo err >&2")
  t.equal({ r.stdout, r.stderr }, { "out\n", "err\n" })
  d.ok("rm", "-f", "det-w")
  d.nothing_left()
end)

test("environment, directory and user can be others", function()
  d.start("det-e", { "sleep", "1000", body = "env = { A = '1', B = '$x' }, cwd = '/usr'" })
  local function says(...)
    local r = exec(...)
    t.equal({ r.code, r.stderr }, { 0, "" })
    return r.stdout
  end
  local SHOW = { "/bin/sh", "-c", "echo $A $B $C; pwd" }
  t.equal(says("det-e", table.unpack(SHOW)), "1 $x\n/usr\n")
  t.equal(says("-e", "A=2", "-e", "C=c c", "-w", "/tmp", "det-e", table.unpack(SHOW)), "2 $x c c\n/tmp\n")
  local r = t.run { "luge", "exec", "-e", "GIVEN", d.own "det-e", "/bin/sh", "-c", "echo $GIVEN $NOT", env = { GIVEN = "g", NOT = "n",
    LUGE_STATE = box.state } }
  t.equal(r.stdout, "g\n", "nothing of luge's own environment but what is named")
  refused({ "-e", "ABSENT_HERE", "det-e", "true" }, 125, "the variable is not set here")
  refused({ "-w", "usr", "det-e", "true" }, 125, "absolute")
  refused({ "-w", "/no/such", "det-e", "true" }, 125, "/no/such", "does not exist in the container")
  refused({ "-u", "nobody:nowhere", "det-e", "true" }, 125, "no group 'nowhere'")
  refused({ "-u", "stranger", "det-e", "true" }, 125, "no user 'stranger'")
  refused({ "-u", "x:y:z", "det-e", "true" }, 125, "--user")
  refused({ "-u", "70000", "det-e", "true" }, 125, "id_map")
  if t.root then
    t.equal(says("-u", "nobody", "det-e", "/bin/sh", "-c", "id -u; id -g; echo $USER $HOME"), "65534\n65534\nnobody /nonexistent\n")
    t.equal(says("-u", "5:6", "det-e", "/bin/sh", "-c", "id -u; id -g; id -G"), "5\n6\n6\n")
  end
  d.ok("rm", "-f", "det-e")
  d.nothing_left()
end)

test("the user is the one whom the container's own files named when it began", function()
  t.needs_root()
  local dir = t.dir()
  t.write(dir .. "/passwd", "root:x:0:0::/root:/bin/sh\nnobody:x:41:42::/tmp:/bin/sh\n", "0644")
  d.start("det-u", { "sleep", "1000", body = ("user = 'nobody', mounts = { bind { %q, '/etc/passwd' } }"):format(dir .. "/passwd") })
  t.equal(exec("det-u", "/bin/sh", "-c", "echo $(id -u) $(id -g)").stdout, "41 42\n")
  d.ok("rm", "-f", "det-u")
  d.nothing_left()
end)

-- ---- the same protection ----

-- What is not the container's but each command's own.
local OWN = { "fds", "pid", "ppid", "sid", "pgid", "status", "parent_death_signal", "env", "init" }

local SAME = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Groups",
  "Cpus_allowed_list", "Umask", "SigBlk", "SigIgn" }

local function compare(name, body)
  start_noted(name, body)
  local own = d.json("exec", name, "/bin/sh", "-c", "while read -r line; do echo \"$line\"; done < /tmp/own")
  local joined = d.json("exec", name, "/guest", "facts")
  t.ok(own.status and joined.status, body)
  for _, field in ipairs(SAME) do t.equal(joined.status[field], own.status[field], body .. ": " .. field) end
  for name_of, value in pairs(own.env) do
    if name_of ~= "PWD" and name_of ~= "_" and name_of ~= "OLDPWD" and name_of ~= "SHLVL" then
      t.equal(joined.env[name_of], value, body .. ": " .. name_of)
    end
  end
  for _, field in ipairs(OWN) do own[field], joined[field] = nil, nil end
  for field, value in pairs(own) do t.equal(joined[field], value, body .. ": " .. field) end
  d.ok("rm", "-f", "-t", "0", name)
  d.nothing_left()
end

local BODIES = { "", "init = false", "seccomp = 'ci'", "seccomp = false", "no_new_privs = false", "network = 'host'",
  "namespaces = { uts = 'host', ipc = 'host' }", "namespaces = { pid = 'host' }",
  "namespaces = { time = { monotonic = 1000, boottime = 2000 } }", "umask = '077', limits = { open_files = 77, core = 0, nice = 3, oom_score = 900 }",
  "capabilities = { 'chown', 'kill' }", "capabilities = { ambient = { 'chown' }, bounding = { 'chown', 'setuid' } }",
  "capabilities = { 'sys_admin' }", "seccomp = { base = 'default', deny = { 'clone3', 'ppoll' } }", "limits = { affinity = { 0 } }",
  "user = '0:0', id_map = 'self'" }

if t.root then
  for _, body in ipairs { "id_map = 'host'", "root = '/'", "user = '5:6'", "user = { uid = 5, gid = 6, groups = { 7, 8 } }", "id_map = 'self', user = '9:9'",
    "id_map = { uids = { { 0, 200000, 50 } }, gids = { { 0, 200000, 50 } } }",
    "id_map = { uids = { { 7, 200000, 50 } }, gids = { { 7, 200000, 50 } } }, user = '7:7'",
    "id_map = 'host', namespaces = { pid = 'host' }", "limits = { memory = '64M', pids = 20, cpus = 1 }" } do
    BODIES[#BODIES + 1] = body
  end
else
  BODIES[#BODIES + 1] = "user = '9:9'"
end

for _, body in ipairs(BODIES) do
  test("the protection is the container's own: " .. (body == "" and "by default" or body), function() compare("det-p", body) end)
end

test("tiers that allow no fork: the filters come with the command all the same", function()
  for _, tier in ipairs { "strict", "compute" } do
    d.start("det-t", { "sleep", "1000", body = ("seccomp = %q"):format(tier) })
    t.equal(exec("det-t", "/guest", "exit", "3").code, 3)
    local r = exec("det-t", "/guest", "try", "ptrace")
    t.lacks(r.stdout, '"errno":null')
    d.ok("rm", "-f", "det-t")
  end
  d.nothing_left()
end)

test("a root directory and an empty root take commands", function()
  for _, body in ipairs { ("root = %q"):format(t.rootfs()), "root = empty {}" } do
    d.start("det-r", { "sleep", "1000", body = body })
    t.equal(exec("det-r", "/guest", "exit", "4").code, 4, body)
    refused({ "det-r", "/bin/sh" }, 127, "not found")
    d.ok("rm", "-f", "det-r")
  end
  d.nothing_left()
end)

test("every process of it is in the container's cgroups", function()
  t.needs_root()
  d.start("det-c", { "sleep", "1000", body = "limits = { pids = 8, memory = '64M' }" })
  local row = d.seen("det-c")
  local own = S.readfile(("/proc/%d/cgroup"):format(row.pid))
  t.contains(own, d.own "/luge/det-c")
  local p = beside("det-c", "/guest", "sleep", "1000")
  local joined = d.until_true("the command", function()
    for pid in (S.readfile(("/proc/%d/task/%d/children"):format(p.pid, p.pid)) or ""):gmatch("%d+") do
      if (S.readlink(("/proc/%s/exe"):format(pid)) or ""):find("guest", 1, true) then return pid end
    end
  end)
  t.equal(S.readfile(("/proc/%s/cgroup"):format(joined)), own)
  t.contains(d.ok("top", "det-c"), "/guest sleep 1000")
  p:signal "term"
  p:wait()
  -- Its own limit of processes binds who joins, too.
  local r = exec("det-c", "/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2 & done; wait")
  t.differs(r.code, 0)
  d.ok("rm", "-f", "det-c")
  d.nothing_left()
end)

-- ---- its life ----

test("the command is luge's own child, and ends with it", function()
  d.start("det-l", SLEEP)
  local p = beside("det-l", "/bin/sh", "-c", "echo ready; exec sleep 1000")
  p:await "ready"
  local pid = d.until_true("the child", function() return (S.readfile(("/proc/%d/task/%d/children"):format(p.pid, p.pid)) or ""):match("^(%d+) $") end)
  t.equal(#d.json("top", "--json", "det-l").containers[1].processes, t.root and 2 or 1)
  p:kill()
  t.equal(p:wait().signal, 9)
  -- Its new parent is this test. It is reaped here, or the container could not end.
  t.equal(t.must(S.waitid("pid", tonumber(pid), "exited")).signal, "kill")
  d.ok("rm", "-f", "det-l")
  d.nothing_left()
end)

test("it ends with its container, and says so", function()
  for _, body in ipairs { "", "init = false", "namespaces = { pid = 'host' }" } do
    d.start("det-m", { "sleep", "1000", body = body })
    local p = beside("det-m", "/bin/sh", "-c", "echo ready; exec sleep 1000")
    p:await "ready"
    d.ok("stop", "-t", "0", "det-m")
    local r = p:wait()
    t.equal({ r.code, d.plain(r.stderr) }, { 137, "luge: the container 'det-m' has ended\n" }, body)
    d.ok("rm", "det-m")
  end
  d.nothing_left()
end)

test("what it leaves behind lives in the container, and no longer", function()
  for _, body in ipairs { "", "namespaces = { pid = 'host' }" } do
    d.start("det-b", { "sleep", "1000", body = body })
    t.equal(exec("det-b", "/bin/sh", "-c", "sleep 1234 >/dev/null 2>&1 & exit 3").code, 3)
    d.ok("rm", "-f", "det-b")
  end
  d.nothing_left()
end)

test("--timeout and two Ctrl-C: whichever ends it first", function()
  for grace, expected in pairs { ["50ms"] = 137, ["60s"] = 124 } do
    d.start("det-t", { shell = "exec sleep 1000", body = ("stop = { grace = %q }"):format(grace) })
    local p = beside("--timeout", expected == 137 and "60s" or "2s", "det-t", "/bin/sh", "-c",
      "trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 0.02; done")
    for word in ("ready int term"):gmatch "%a+" do
      pcall(p.await, p, word) -- on a busy machine the 2 s may be over by now
      if word ~= "term" then p:signal "int" end
    end
    t.equal(p:wait().code, expected, grace)
    d.ok("rm", "-f", "-t", "0", "det-t")
  end
end)

test("signals are passed on; the first Ctrl-C is, the second stops, the third kills", function()
  d.start("det-s", { "sleep", "1000", body = "stop = { grace = '60s' }" })
  for _, signal in ipairs { "hup", "term", "usr1", "usr2", "quit", "winch" } do
    local p = beside("det-s", "/bin/sh", "-c", ("trap 'exit 9' %s; echo ready; while :; do sleep 0.02; done"):format(signal:upper()))
    p:await "ready"
    p:signal(signal)
    t.equal(p:wait().code, 9, signal)
  end
  local p = beside("det-s", "/bin/sh", "-c", "trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 0.02; done")
  p:await "ready"
  p:signal "int"
  p:await "int"
  p:signal "int"
  p:await "term"
  p:signal "int"
  t.equal(p:wait().code, 137)
  p = beside("det-s", "/bin/sh", "-c", "echo ready; sleep 0.3; exit 5")
  p:await "ready"
  p:signal "tstp"
  t.equal(p:wait().code, 5, "it is not stopped: the container's end waits for who reaps")
  d.ok("rm", "-f", "det-s")
  d.nothing_left()
end)

test("many at once, each with its own exit code", function()
  d.start("det-n", SLEEP)
  local running = {}
  for i = 1, 100 do running[i] = beside("det-n", "/guest", "exit", tostring(i)) end
  for i, p in ipairs(running) do
    local r = p:wait()
    t.equal({ r.code, r.stderr }, { i, "" })
  end
  d.ok("rm", "-f", "det-n")
  d.nothing_left()
end)

-- ---- refusals ----

test("a user that nobody has in there", function()
  d.start("det-u", SLEEP)
  refused({ "-u", "nosuch", "det-u", "/guest", "exit", "0" }, 125, "user: nosuch: no user 'nosuch' in its /etc/passwd\n      = write \"uid:gid\"")
  d.ok("rm", "-f", "-t", "0", "det-u")
  d.nothing_left()
end)

test("a paused container says so", function()
  t.needs_root()
  d.start("det-f", SLEEP)
  t.equal(exec("det-f", "/guest", "exit", "0").code, 0) -- what its luge wrote down for this one does not say it
  d.ok("pause", "det-f")
  refused({ "det-f", "/guest", "exit", "0" }, 125, "it is paused", "luge resume det-f")
  d.ok("resume", "det-f")
  t.equal(exec("det-f", "/guest", "exit", "0").code, 0)
  d.ok("rm", "-f", "det-f")
  d.nothing_left()
end)

test("containers that are not there, have ended, or are gone meanwhile", function()
  d.start("det-g", SLEEP)
  refused({ "det-h", "true" }, 125, "no container 'det-h'", "did you mean det-g?")
  refused({ "../det-g", "true" }, 125, "no container")
  refused({}, 125, "which container?")
  refused({ "det-g" }, 125, "no command")
  refused({ "det-g", "-t", "true" }, 125, "options go before NAME")
  d.ok("stop", "det-g")
  refused({ "det-g", "true" }, 125, "has ended", "only one that runs")
  d.ok("rm", "det-g")
  -- One that ends at any moment: a command's code, the end of the container, or no container; never a hang.
  for i = 1, 12 do
    d.start("det-g", SLEEP)
    local running = {}
    for n = 1, 4 do running[n] = beside("det-g", "/guest", "sleep", "1000") end
    S.nanosleep(i * 0.004)
    d.ok("rm", "-f", "-t", "0", "det-g")
    for _, p in ipairs(running) do
      local r = p:wait()
      t.ok(r.code == 137 or r.code == 125, r.code .. r.stderr)
      t.lacks(r.stderr, "traceback")
      t.ok(r.stderr:find("ended", 1, true) or r.stderr:find("no container", 1, true) or r.stderr:find("stopped", 1, true), r.stderr)
    end
  end
  d.nothing_left()
end)

test("a container in the foreground takes commands as well", function()
  local p = t.start(d.words { "sleep", "1000", options = { "--name", "det-v" } })
  d.until_true("the container", function() return exec("det-v", "/guest", "exit", "6").code == 6 end)
  p:signal "term"
  p:wait()
  d.nothing_left()
end)
