-- SPDX-License-Identifier: MIT
-- luge run: how a command ends, what it is given: words, standard input, environment, directory, umask, limits.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

t.test("the command's own exit codes pass", function()
  for _, code in ipairs { 0, 1, 2, 124, 125, 126, 127, 128, 255 } do
    for _, body in ipairs { "", "init = false" } do
      local r = box.run { "exit", tostring(code), body = body }
      t.equal(r.code, code, body)
      t.equal(r.stderr, "")
    end
  end
end)

t.test("a signal gives 128 and its number", function()
  for _, number in ipairs { 1, 2, 6, 9, 11, 13, 15, 34, 64 } do
    local r = box.run { "raise", tostring(number) }
    t.equal(r.code, 128 + number)
    t.equal(r.signal, nil, "luge itself exits")
  end
end)

t.test("a signal without init, too", function()
  -- A PID 1 without a handler gets no signal of its own namespace but those of faults.
  local r = box.run { shell = "echo $$", body = "init = false" }
  t.equal(r.stdout, "1\n")
  local p = box.start { "sleep", "60", body = "init = false", options = { "--timeout", "300ms" } }
  t.equal(p:wait().code, 124)
  box.nothing_left()
end)

t.test("a command that is not there is 127", function()
  local r = box.refused({ words = { "no-such-command" }, code = 127 }, "no-such-command: not found in the container",
    "PATH in the container is")
  t.matches(r.stderr, "^luge: ")
  box.refused({ words = { "/no/such/path" }, code = 127 }, "/no/such/path: not found", "luge plan")
  box.refused({ words = { "" }, code = 127 }, "not found")
  box.refused({ words = { "echo hello" }, code = 127 }, "echo hello: not found", "one word", "sh -c 'echo hello'")
end)

t.test("a command that cannot be executed is 126", function()
  box.refused({ words = { "/etc/passwd" }, code = 126 }, "/etc/passwd: cannot be executed: Permission denied")
  box.refused({ words = { "/tmp" }, code = 126 }, "/tmp: cannot be executed")
  box.refused({ words = { "/x" }, code = 126, body = 'mounts = { file { "/x", text = "\\1\\2\\3", mode = "0755" } }' },
    "Exec format error", "#! line")
  box.refused({ words = { "/x" }, code = 126,
    body = 'mounts = { file { "/x", text = "#!/no/such/interpreter\\n", mode = "0755" } }' }, "interpreter")
  box.refused({ words = { "/w/x" }, code = 126, body = 'mounts = { bind { "w", "/w", exec = false } }',
    profile = (function()
      local dir = t.dir()
      t.must(S.mkdir(dir .. "/w", "0755"))
      t.write(dir .. "/w/x", "#!/bin/sh\n", "0755")
      return t.write(dir .. "/p.lua", box.text 'mounts = { bind { "w", "/w", exec = false } }')
    end)() }, "Permission denied", "noexec")
end)

t.test("words reach the command as they are", function()
  local words = { "a b", "", "*", "$HOME", "'\"\\", "--", "-x", "\u{e9}\n!", ("long"):rep(10000), "\xff\xfe", "${range}",
    "$argv" }
  local r = box.succeed { "print", table.unpack(words) }
  t.equal(r.stdout, table.concat(words, "\n") .. "\n")
end)

t.test("words that start with a dash need no --", function()
  local profile = t.profile(box.text())
  local r = t.succeed { "luge", "run", profile, "/guest", "print", "-x", "--name", "--", env = { LUGE_STATE = box.state } }
  t.equal(r.stdout, "-x\n--name\n--\n")
end)

t.test("a command line that is too long for execve is refused", function()
  local r = box.run { "print", ("x"):rep(131071), body = "" }
  t.equal(r.code, 0)
  -- The limit of one word is 128 KiB with its NUL (MAX_ARG_STRLEN): execve's E2BIG, made in the profile.
  r = box.run { body = 'command = { "/guest", "print", ("x"):rep(131072) }' }
  t.equal(r.code, 126)
  t.contains(r.stderr, "Argument list too long")
end)

t.test("a command that is too long for luge as well is told without luge's own places", function()
  box.refused({ body = 'command = { "/guest", ("x"):rep(20 << 20) }' }, "luge: the start failed: the command and its environment are too long")
end)

t.test("entrypoint stays, words replace the command", function()
  local body = 'entrypoint = { "/guest", "print", "in" }, command = { "own", "words" }'
  t.equal(box.says { body = body }, "in\nown\nwords")
  t.equal(box.says { body = body, words = { "given" } }, "in\ngiven")
end)

t.test("without a command nothing starts", function()
  box.refused({ body = "" }, "the profile has no command", "luge run PROFILE -- COMMAND")
end)

t.test("standard input passes through, byte for byte", function()
  local text = ("0123456789abcdef\0\n"):rep(20000)
  t.equal(box.succeed({ "copy", stdin = text }).stdout, text)
  t.equal(box.succeed({ "copy", stdin = "" }).stdout, "")
  t.equal(box.succeed({ "copy", stdin = text, body = "init = false" }).stdout, text)
end)

t.test("standard input from nowhere or a file", function()
  t.equal(box.succeed({ "copy", stdin = "unseen", body = 'stdin = "null"' }).stdout, "")
  local dir = t.dir()
  t.write(dir .. "/in", "from a file\n", "0644")
  t.write(dir .. "/p.lua", box.text 'stdin = "in"')
  t.equal(box.succeed({ "copy", stdin = "unseen", profile = dir .. "/p.lua" }).stdout, "from a file\n")
  t.equal(box.succeed({ "copy", stdin = "unseen", profile = dir .. "/p.lua", body = "" }).stdout, "from a file\n")
  local facts = box.facts { body = 'stdin = "null"' }
  t.matches(facts.fds["0"], "null$")
end)

t.test("a file for standard input is opened with the caller's rights, and for reading only", function()
  local dir = t.dir "0700"
  t.write(dir .. "/in", "closed to others\n", "0600")
  t.write(dir .. "/p.lua", box.text 'stdin = "in", user = "1000:1000"', "0644")
  t.equal(box.succeed({ "copy", profile = dir .. "/p.lua" }).stdout, "closed to others\n")
  -- Nor does /proc give the container's root, who may be the caller himself, another way to it.
  t.must(S.chmod(dir .. "/in", "0666"))
  local says = box.says { shell = "cat; echo more 2>/dev/null >/proc/self/fd/0 || echo closed", body = ('stdin = %q'):format(dir .. "/in") }
  t.equal({ says, t.read(dir .. "/in") }, { "closed to others\nclosed", "closed to others\n" })
  box.refused({ "copy", body = ('stdin = %q'):format(dir .. "/none") }, "stdin", "does not exist")
  box.refused({ "copy", body = ('stdin = %q'):format(dir) }, "stdin", "is a directory")
end)

t.test("a FIFO that nobody writes to does not hold luge up", function()
  local dir = t.dir()
  t.must(S.mknod(dir .. "/fifo", "0666", "fifo"))
  t.equal(box.succeed({ "copy", body = ('stdin = %q'):format(dir .. "/fifo"), timeout = 10 }).stdout, "")
end)

t.test("a profile from standard input leaves none for the command", function()
  local r = box.run { profile = "-", stdin = box.text 'command = { "/guest", "copy" }' }
  t.equal(r.code, 0, r.stderr)
  t.equal(r.stdout, "")
  r = box.run { profile = "-", "facts", stdin = box.text() }
  t.matches(t.json.decode(r.stdout).fds["0"], "null$")
end)

t.test("luge's own standard descriptors may be closed", function()
  local r = t.run { "/bin/sh", "-c", ('exec %q run %q -- /guest exit 3 <&- 2>&-'):format(t.luge, t.profile(box.text())),
    env = { LUGE_STATE = box.state } }
  t.equal(r.code, 3, r.stderr)
  r = t.run { "/bin/sh", "-c", ('exec %q run %q -- /guest exit 4 >&-'):format(t.luge, t.profile(box.text())),
    env = { LUGE_STATE = box.state } }
  t.equal(r.code, 4, r.stderr)
  box.nothing_left()
end)

t.test("a reader that goes away is no error of luge", function()
  local r = t.run { "/bin/sh", "-c", ('%q run %q -- /guest flood 10000000 | head -c 1; echo done'):format(t.luge,
    t.profile(box.text())), env = { LUGE_STATE = box.state } }
  t.equal(r.stdout, "xdone\n")
  t.equal(r.stderr, "")
  box.nothing_left()
end)

t.test("nothing of the caller's environment gets in", function()
  local env = box.facts({ env = { SECRET = "x", LD_PRELOAD = "/evil.so", HOME = "/caller", USER = "caller",
    LUA_INIT = "os.exit(99)" } }).env
  t.equal(env, { PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG = "C.UTF-8",
    container = "luge", HOME = "/root", USER = "root", LOGNAME = "root" })
end)

t.test("named variables are inherited, written ones set", function()
  local body = 'env = { "WANTED", "CI_*", "MISSING", EMPTY = "", ODD = "a=b $HOME ${range}\\n\\200", PATH = "/bin", LANG = false }'
  local env = box.facts({ body = body, env = { WANTED = "yes", CI_ONE = "1", CI_TWO = "2", OTHER = "no" } }).env
  t.equal({ env.WANTED, env.CI_ONE, env.CI_TWO, env.OTHER, env.EMPTY, env.PATH, env.LANG, env.MISSING },
    { "yes", "1", "2", nil, "", "/bin", nil, nil })
  t.equal(box.says { shell = 'printf %s "$ODD" | od -An -tx1 | tr -d " \\n"', body = body },
    (("a=b $HOME ${range}\n\200"):gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
  env = box.facts({ options = { "-e", "A=1", "--env", "B=", "-e", "WANTED" }, env = { WANTED = "yes" } }).env
  t.equal({ env.A, env.B, env.WANTED }, { "1", "", "yes" })
end)

t.test("HOME, USER and LOGNAME are the container user's, unless set", function()
  local env = box.facts({ body = 'user = "nobody"' }).env
  t.equal({ env.HOME, env.USER, env.LOGNAME }, { "/nonexistent", "nobody", "nobody" })
  env = box.facts({ body = 'user = "nobody", env = { HOME = "/tmp", USER = "me" }' }).env
  t.equal({ env.HOME, env.USER, env.LOGNAME }, { "/tmp", "me", "nobody" })
end)

t.test("the working directory", function()
  t.equal(box.facts({}).cwd, "/")
  t.equal(box.facts({ body = 'cwd = "/usr/bin"' }).cwd, "/usr/bin")
  t.equal(box.facts({ options = { "-w", "/tmp" } }).cwd, "/tmp")
  box.refused({ "facts", body = 'cwd = "/none"' }, "cwd", "/none", "does not exist in the container")
  box.refused({ "facts", body = 'cwd = "/etc/passwd"' }, "cwd", "Not a directory")
end)

t.test("the umask is the profile's, not the caller's", function()
  local before = function() S.umask(63) end -- 077
  t.equal(box.facts({ before = before }).umask, 18)
  t.equal(box.facts({ before = before, body = 'umask = "007"' }).umask, 7)
  -- What luge makes itself does not depend on it.
  t.equal(box.says { shell = "stat -c %a /tmp /etc/passwd /run", before = before }, "1777\n644\n755")
end)

t.test("limits of the process", function()
  local limits = box.facts({ body = [[limits = { open_files = 100, file_size = "1M", core = 0, stack = "4M",
    address_space = "1G", locked_memory = 0 }]] }).limits
  t.equal({ limits.open_files, limits.file_size, limits.core, limits.stack, limits.address_space, limits.locked_memory },
    { { 100, 100 }, { 1048576, 1048576 }, { 0, 0 }, { 4194304, 4194304 }, { 1073741824, 1073741824 }, { 0, 0 } })
  limits = box.facts({}).limits
  t.equal(limits.core, { 0, 0 })
  -- A cgroup holds the default of 1024, or else this limit does; luge's PID 1 does not count.
  local layout = require("sandbox.plan.cgroup_layout").gather()
  local pids = layout:find "pids"
  local own = S.getrlimit("nproc")
  local expected = pids and layout:place(pids, nil, S.geteuid()) and { own.soft, own.hard } or { 1025, 1025 }
  t.equal(limits.processes, expected)
end)

t.test("the limit of open files may be as low as three", function()
  local r = box.run { "exit", "5", body = "limits = { open_files = 3 }" }
  t.equal(r.code, 5, r.stderr)
end)

t.test("niceness, processors and policy", function()
  local facts = box.facts { body = 'limits = { nice = 7, affinity = { 0 }, scheduler = "batch" }' }
  t.equal(facts.nice, 7)
  t.equal(box.says { shell = "grep Cpus_allowed_list /proc/self/status | tr -dc 0-9,-", body = "limits = { affinity = { 0 } }" },
    "0")
  t.equal(box.says { shell = "cat /proc/self/oom_score_adj", body = "limits = { oom_score = 321 }" }, "321")
  t.equal(box.says { shell = "sed 's/.*) //' /proc/self/stat | cut -d' ' -f39", body = 'limits = { scheduler = "batch" }' }, "3")
end)

t.test("policies and processors that cannot be had", function()
  box.refused({ "facts", body = "limits = { affinity = { 4095 } }" }, "limits.affinity: luge itself may not run on CPU 4095")
  local r = box.run { shell = "sed 's/.*) //' /proc/self/stat | cut -d' ' -f39", body = 'limits = { scheduler = "fifo" }' }
  t.ok(r.stdout == "1\n" or r.code == 125 and r.stderr:find("CAP_SYS_NICE", 1, true), r.stdout .. r.stderr)
end)

t.test("luge can be started where its directory is gone", function()
  local dir = t.dir()
  t.must(S.mkdir(dir .. "/gone", "0755"))
  local before = function()
    S.chdir(dir .. "/gone")
    S.rmdir(dir .. "/gone")
  end
  t.equal(box.facts({ before = before }).cwd, "/")
  t.must(S.mkdir(dir .. "/gone", "0755"))
  box.refused({ profile = "./x.lua", before = before }, "cannot read ./x.lua")
end)

t.test("a limit above luge's own is refused, unless optional", function()
  local lower = function() S.setrlimit("nofile", 200, 200) end
  local may_raise = table.concat(S.capget().effective, " "):find("sys_resource", 1, true)
  if may_raise then
    t.equal(box.facts({ body = "limits = { open_files = 300 }", before = lower }).limits.open_files, { 300, 300 })
  else
    box.refused({ "facts", body = "limits = { open_files = 300 }", before = lower }, "limits.open_files",
      "above the hard limit of 200")
    t.equal(box.facts({ body = "limits = { open_files = optional(300) }", before = lower }).limits.open_files, { 200, 200 })
  end
end)

t.test("a luge that may open too few files says so", function()
  for _, limit in ipairs { 8, 13, 16, 19, 22 } do
    box.refused({ "facts", before = function() S.setrlimit("nofile", limit, limit) end }, "Too many open files", "ulimit -n")
  end
end)

t.test("privilege that a limit needs is a clear error, or optional", function()
  t.needs_user()
  box.refused({ "facts", body = "limits = { nice = -5 }" }, "limits.nice")
  t.equal(box.facts({ body = "limits = { nice = optional(-5) }" }).nice, 0)
end)

t.test("no signal is blocked or ignored inside, whatever luge was given", function()
  local facts = box.facts { before = function()
    S.sigaction("int", "ignore")
    S.sigaction("chld", "ignore")
    S.sigprocmask("block", "usr1, term")
  end }
  t.equal({ facts.status.SigIgn, facts.status.SigBlk }, { "0000000000000000", "0000000000000000" })
end)

t.test("only the standard descriptors are open inside", function()
  local file = t.must(S.open("/etc/passwd", "rdonly"))
  local facts = box.facts { fds = { [7] = file, [200] = file } }
  local numbers = {}
  for number in pairs(facts.fds) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  t.equal(numbers, { "0", "1", "2" })
end)

t.test("the command is in a session of its own, PID 1 reaps orphans", function()
  local facts = box.facts {}
  t.equal({ facts.pid, facts.ppid, facts.sid, facts.has_tty }, { 2, 1, 2, false })
  t.equal(t.json.decode(box.succeed({ "orphan" }).stdout).reaped, true)
  t.equal(box.facts({ body = "init = false" }).pid, 1)
  t.equal(box.says { shell = "cat /proc/1/comm" }, "luge-init", "the name, whenever it is looked at")
end)

t.test("children that are left end with the container", function()
  local r = box.run { shell = "sleep 1000 & sleep 1000 & setsid sleep 1000 & exit 9", timeout = 20 }
  t.equal(r.code, 9)
  t.equal(r.held, nil)
  r = box.run { "fork", "20" }
  t.equal(t.json.decode(r.stdout).forked, 20)
end)

t.test("the limit of processes holds", function()
  local forked = t.json.decode(box.succeed({ "fork", "100", body = 'user = "1000:1000", limits = { processes = 20 }' }).stdout)
  t.equal(forked.errno, "EAGAIN")
  t.ok(forked.forked < 20 and forked.forked >= 10, "made " .. forked.forked)
end)

t.test("PID 1 keeps the right to signal a command that becomes another user", function()
  t.needs_root()
  -- PID 1 gives the rest away beside the command's first steps.
  local status = box.says { shell = "sleep 0.3; grep CapEff /proc/1/status", body = 'capabilities = { "setuid", "setgid" }' }
  t.matches(status, "0000000000000020$")
  t.matches(box.says { shell = "grep CapPrm /proc/self/status", body = 'capabilities = { "setuid", "setgid" }' },
    "00000000000000c0$")
  t.matches(box.says { shell = "grep CapEff /proc/1/status" }, "0000000000000000$")
  local p = box.start { words = { "/usr/bin/setpriv", "--reuid=77", "--clear-groups", "/bin/sh", "-c",
    "trap 'exit 12' TERM; echo ready; while :; do sleep 0.05; done" }, body = 'capabilities = { "setuid", "setgid" }' }
  p:await "ready"
  p:signal "term"
  t.equal(p:wait().code, 12)
  box.nothing_left()
end)

t.test("two containers of one name cannot run at once", function()
  local p = box.start { shell = "echo ready; read x", body = 'name = "only"', stdin = "", keep_input = true }
  p:await "ready"
  local r = t.run(box.words { "exit", "0", body = 'name = "only"' })
  t.equal(r.code, 125)
  t.contains(r.stderr, "the name 'only'")
  t.contains(r.stderr, "held by process " .. p.pid)
  t.equal(t.run(box.words({ "exit", "0", options = { "--name", "other" } })).code, 0)
  p:close_input()
  p:wait()
  t.equal(box.run({ "exit", "0", body = 'name = "only"' }).code, 0)
end)

t.test("nobody reading the events is no reason to end", function()
  local fifo = t.dir() .. "/fifo"
  local r = t.run { "/bin/sh", "-c", ('mkfifo %s; (: <%s) & exec 3>%s; wait; exec %q run --status-fd 3 %q -- /guest exit 5')
    :format(fifo, fifo, fifo, t.luge, t.profile(box.text())), env = { LUGE_STATE = box.state, PATH = "/usr/bin:/bin" } }
  t.equal(r.code, 5, r.stderr)
  box.nothing_left()
end)

t.test("a group by name is the container's, and one that is not there is an error", function()
  t.equal(box.says { shell = "id -g", body = 'user = "root:tty"' }, "5")
  box.refused({ "facts", body = 'user = "root:nobodys"' }, "user", "no group 'nobodys'")
end)

t.test("a limit of processes that would not hold for the host's root is an error", function()
  if S.geteuid() ~= 0 then return end
  for _, map in ipairs { "self", "host" } do
    box.refused({ "facts", body = ('id_map = %q, limits = { processes = 5 }'):format(map) }, "limits.processes", "host's root")
  end
  box.succeed { "facts", body = 'id_map = "host", limits = { processes = 5 }, user = "1000:1000"' }
end)

t.test("on the host's ids nobody gets a capability that luge lacks", function()
  if S.geteuid() ~= 0 then return end
  local function run(capabilities)
    local words = box.words { "exit", "7", body = "id_map = 'host', capabilities = " .. capabilities }
    table.move({ "/usr/bin/setpriv", "--bounding-set=-sys_time,-syslog", t.luge }, 1, 3, 1, table.move(words, 2, #words, 4))
    return t.run(words)
  end
  local r = run "{ 'chown', 'sys_time', 'syslog' }"
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "capabilities: luge itself lacks sys_time, syslog")
  t.matches(r.stderr, "profile.lua:%d")
  t.equal(run("{ 'chown' }").code, 7)
  t.equal(box.run({ "exit", "7", body = "id_map = 'self', capabilities = 'all'" }).code, 7)
  box.nothing_left()
end)

t.test("a real-time signal stops as well as another", function()
  local r = box.run { "sleep", "60", body = 'stop = { signal = "RTMIN+3" }', options = { "--timeout", "300ms" } }
  t.equal(r.code, 124, r.stderr)
end)

t.test("an ordinary user may map himself alone, in so many words", function()
  local uid, gid = S.geteuid(), S.getegid()
  if uid == 0 then return end
  local body = ("id_map = { uids = { { 7, %d, 1 } }, gids = { { 8, %d, 1 } } }, user = '7:8'"):format(uid, gid)
  t.equal(box.facts({ body = body }).uid, { 7, 7, 7 })
end)

t.test("what the build rehearses is a whole run, and makes nothing", function()
  local dir = t.dir()
  local r = t.run { "luge", "lua", "runtime/embed/rehearsal.lua", env = { LUGE_STATE = dir } }
  t.equal({ r.code, r.stdout, r.stderr }, { 0, "", "" })
  t.equal(t.run({ "ls", "-A", dir }).stdout, "")
  box.nothing_left()
end)
