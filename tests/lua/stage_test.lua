-- SPDX-License-Identifier: MIT
-- The stage by the orders that sandbox.container.orders encodes: what each step does, how the command starts and
-- ends, and what PID 1 does meanwhile. The tests of PID 1 make a pid namespace; `make check` leaves them out.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local orders = require "sandbox.container.orders"
local Stage = dofile "tests/lua/stage.lua"(t)

local start, run, output_of, sh = Stage.start, Stage.run, Stage.output_of, Stage.sh
local STATUS, LIFELINE, PATH = Stage.STATUS, Stage.LIFELINE, Stage.PATH

local function status_field(name) return ("sed -n 's/^%s:\t*//p' /proc/self/status"):format(name) end

-- ---- the encoder ----

t.test("a command is looked for in the places of PATH", function()
  local function places(...) return { orders.places(...) } end
  t.equal(places("ls", "/a:/b"), { { "/a/ls", "/b/ls" }, true })
  t.equal(places("ls", ":/b:"), { { "./ls", "/b/ls", "./ls" }, true })
  t.equal(places("ls", ""), { { "./ls" }, true })
  t.equal(places("./ls", "/a"), { { "./ls" }, false })
  t.equal(places("", "/a"), { {}, false })
  t.equal(orders.places("ls")[1], "/usr/local/sbin/ls")
end)

t.test("messages are decoded", function()
  t.equal(orders.decode_status(("<i4i4i4i4"):pack(4, 7, 0, 0)), { kind = "exit", code = 7 })
  t.equal(orders.decode_status(("<i4i4i4i4"):pack(5, 6, 1, 0)), { kind = "signal", signal = 6, core = true })
  t.equal(orders.decode_status(("<i4i4i4i4"):pack(3, 2, 13, 2)),
    { kind = "error", index = 2, errno = 13, reason = "not_executable", exit_code = 126 })
  t.equal(orders.decode_status(("<i4i4i4i4"):pack(99, 0, 0, 0)), nil)
  t.equal(orders.decode_status "short", nil)
end)

t.test("wrong steps raise", function()
  local function fails(step, text)
    local ok, err = pcall(orders.encode, { step }, { status = STATUS, lifeline = LIFELINE })
    t.equal(ok, false)
    t.contains(err, text)
  end
  fails({ op = "mount" }, "step 1, mount: the stage knows no 'mount'")
  fails({ op = "setresuid", args = { "$uid" } }, "step 1, setresuid: an integer expected, got $uid")
  fails({ op = "prctl", args = { "set_nonsense" } }, "set_nonsense")
  fails({ op = "exec", args = { {} } }, "empty command")
  fails({ op = "exec", args = { { "a\0b" } } }, "NUL")
  fails({ op = "seccomp_load", args = { "1234567" } }, "filter")
  fails({ op = "wait" }, "no descriptor to wait for")
  fails({ op = "close", args = { "$fd" } }, "a descriptor expected")
end)

-- ---- steps, without privilege ----

t.test("plain steps do what they say", function()
  t.equal(output_of({ { op = "umask", args = { "027" } } }, "umask"), "0027\n")
  t.equal(output_of({ { op = "setrlimit", args = { "nofile", 60, 90 } } }, "ulimit -Sn; ulimit -Hn"), "60\n90\n")
  t.equal(output_of({ { op = "setrlimit", args = { "core", 0 } } }, "ulimit -Hc"), "0\n")
  t.equal(output_of({ { op = "chdir", args = { "/usr" } } }, "pwd"), "/usr\n")
  t.equal(output_of({ { op = "prctl", args = { "set_no_new_privs", true } } }, status_field "NoNewPrivs"), "1\n")
  t.equal(output_of({ { op = "setpriority", args = { "process", 0, 19 } } }, "cut -d' ' -f19 /proc/self/stat"), "19\n")
  t.equal(output_of({ { op = "sched_setaffinity", args = { 0, { 0 } } } }, status_field "Cpus_allowed_list"), "0\n")
  t.equal(output_of({ { op = "sched_setscheduler", args = { 0, "batch", 0 } } },
    "cut -d' ' -f41 /proc/self/stat"), "3\n")
  t.equal(output_of({ { op = "ioprio_set", args = { "process", 0, "idle", 0 } } }, "true"), "")
  t.equal(output_of({ { op = "personality", args = { "addr_no_randomize" } } }, "cat /proc/self/personality"),
    "00040000\n")
  t.equal(output_of({ { op = "setsid" } }, "test $(cut -d' ' -f6 /proc/$$/stat) = $$"), "")
  t.equal(output_of({ { op = "write", args = { 1, "by the stage\n" } } }, "echo $A"), "by the stage\nb\n")
  t.equal(output_of({ { op = "keyctl_join_session", args = {}, optional = true } }, "true"), "")
  t.equal(output_of({ { op = "prctl", args = { "set_pdeathsig", "kill" } }, { op = "lifeline" } }, "true"), "")
end)

t.test("descriptors are closed, but for those to keep", function()
  local before = function()
    S.dup3(1, 107)
    S.dup3(1, 109)
    S.dup3(1, 150)
    S.dup3(1, 300)
  end
  local list = { { op = "close_range", args = { { 0, 1, 2, 109, 300 } } }, sh "echo $(ls /proc/self/fd)" }
  local r = run(list, { before = before })
  t.equal(r.output, "0 1 109 2 3 300\n") -- 3 is the directory that ls reads
  r = run({ { op = "close_range", args = { { 1 } } }, sh "ls /proc/$$/fd" })
  t.equal(r.output, "1\n")
  r = run({ { op = "dup3", args = { 1, 12 } }, { op = "fcntl", args = { 1, "setfd", "cloexec" } },
    sh "test ! -e /proc/self/fd/1 && echo out > /proc/self/fd/12" })
  t.equal(r.output, "out\n")
end)

t.test("signals are reset", function()
  local before = function()
    S.sigaction("pipe", "ignore")
    S.sigaction("usr1", "ignore")
    S.sigprocmask("block", "term, usr2")
  end
  local show = sh(status_field "Sig\\(Blk\\|Ign\\)")
  t.differs(run({ show }, { before = before }).output, ("0"):rep(16) .. "\n" .. ("0"):rep(16) .. "\n")
  t.equal(run({ { op = "reset_signals" }, show }, { before = before }).output,
    ("0"):rep(16) .. "\n" .. ("0"):rep(16) .. "\n")
  local grep = { op = "exec", args = { { "grep", "SigBlk", "/proc/self/status" }, { PATH } } } -- dash unblocks all
  t.equal(run({ { op = "sigprocmask", args = { "setmask", "usr1" } }, grep }).output,
    "SigBlk:\t" .. ("0"):rep(13) .. "200\n")
end)

t.test("filters are loaded, and hold for the command", function()
  local filter = t.must(S.seccomp_filter { default = "allow", rules = { { "mkdir", action = "errno EXDEV" },
    { "mkdirat", action = "errno EXDEV" } } })
  local steps = { { op = "prctl", args = { "set_no_new_privs", 1 } }, { op = "seccomp_load", args = { filter } },
    { op = "seccomp_load", args = { filter } } }
  local own = tonumber(S.readfile("/proc/self/status"):match "Seccomp_filters:%s*(%d+)") -- those of a container
  t.contains(output_of(steps, status_field "Seccomp_filters" .. "; mkdir /tmp/never 2>&1; true"), own + 2 .. "\n")
  t.contains(output_of(steps, "LC_ALL=C mkdir /tmp/never 2>&1; true"), "cross-device")
end)

t.test("an error names its step and its errno, and nothing after it happens", function()
  local r = run { { op = "umask", args = { 0 } }, { op = "chdir", args = { "/no/such/place" } },
    { op = "write", args = { 1, "never" } }, sh "echo never" }
  t.equal(r.messages, { { kind = "error", index = 2, errno = S.c.E.NOENT, reason = "failed", exit_code = 125 } })
  t.equal(r.code, 125)
  t.equal(r.output, "")
  r = run { { op = "chdir", args = { "/no/such/place" }, optional = S.c.E.NOENT },
    { op = "chdir", args = { "/no/such/place" }, optional = true }, sh "echo on" }
  t.equal(r.output, "on\n")
end)

t.test("a missing command, and one that cannot be executed", function()
  local function outcome(argv, env)
    local r = run { { op = "exec", args = { argv, env } } }
    local e = t.ok(r.messages[1], "a message")
    t.equal(r.code, e.exit_code)
    return { e.reason, e.exit_code, e.errno }
  end
  local dir = t.dir()
  t.write(dir .. "/no-loader", "#!/no/such/interpreter\n", "0755")
  t.write(dir .. "/plain", "text\n", "0644")
  t.equal(outcome({ "no-such-command" }, { PATH }), { "not_found", 127, S.c.E.NOENT })
  t.equal(outcome({ "no-such-command" }, {}), { "not_found", 127, S.c.E.NOENT })
  t.equal(outcome({ "" }, { PATH }), { "not_found", 127, S.c.E.NOENT })
  t.equal(outcome({ "no-loader" }, { PATH = "/usr/bin:" .. dir }), { "no_interpreter", 126, S.c.E.NOENT })
  t.equal(outcome({ "plain" }, { PATH = dir .. ":/usr/bin" }), { "not_executable", 126, S.c.E.ACCES })
  t.equal(outcome({ dir }, { PATH }), { "not_executable", 126, S.c.E.ACCES })
  local here = { op = "exec", args = { { "true" }, { "PATH=:/no" } } }
  t.equal(run({ { op = "chdir", args = { "/usr/bin" } }, here }).code, 0)
  t.equal(run({ { op = "exec", args = { { "true" }, {} } } }).code, 0, "the default places")
end)

t.test("many arguments arrive", function()
  local argv = { "sh", "-c", "echo $# ${1} ${30000}", "sh" }
  for i = 1, 30000 do argv[#argv + 1] = tostring(i) end
  t.equal(run({ { op = "exec", args = { argv, { PATH } } } }).output, "30000 1 30000\n")
end)

t.test("a sealed stage waits for one byte", function()
  local steps = { { op = "wait" }, sh "echo gone" }
  local stage = start(steps)
  t.equal(stage:message(), { kind = "sealed" })
  t.equal(#S.poll({ { stage.out_r, "in" } }, 50), 0)
  S.write(stage.go_w, "g")
  local r = stage:finish()
  t.equal(r.output, "gone\n")
  t.equal(r.messages, {})

  stage = start(steps)
  t.equal(stage:message(), { kind = "sealed" })
  stage:shut "go_w"
  r = stage:finish()
  t.equal(r.messages[1].reason, "no_go")
  t.equal(r.code, 125)
end)

t.test("without luge nothing starts", function()
  local r = run({ { op = "lifeline" }, sh "echo never" }, { before = function()
    local reader = S.pipe() -- its writer goes with the execve
    S.dup3(reader, LIFELINE)
  end })
  t.equal(r.code, 125)
  t.equal(r.output, "")
end)

-- ---- with privilege ----

if not os.getenv "LUGE_CHECK" and t.root then
  t.test("ids, groups and capabilities", function()
    local ids = { { op = "setgroups", args = { { 1, 70000 } } }, { op = "setresgid", args = { 12, 12, 12 } },
      { op = "setresuid", args = { 34, 34, 34 } } }
    t.equal(output_of(ids, "id -u; id -g; " .. status_field "Groups"), "34\n12\n1 70000 \n")
    t.equal(output_of({ { op = "setgroups", args = { {} } } }, "id -G"), "0\n")

    local bounding = { { op = "cap_bounding_drop", args = { "sys_boot" } },
      { op = "cap_bounding_drop", args = { { "sys_time", "mknod" } } } }
    local mask = S.cap_mask(S.cap_bounding_read()) & ~S.cap_mask { "sys_boot", "sys_time", "mknod" }
    t.equal(output_of(bounding, status_field "CapBnd"), ("%016x\n"):format(mask))

    local keep = { "net_raw", "checkpoint_restore" }
    local sets = { { op = "prctl", args = { "set_securebits", "noroot, noroot_locked" } },
      { op = "capset", args = { { effective = keep, permitted = keep, inheritable = keep } } },
      { op = "cap_ambient_clear" }, { op = "cap_ambient_raise", args = { { "net_raw" } } } }
    local want = ("%016x"):format(S.cap_mask { "net_raw" })
    local all = ("%016x"):format(S.cap_mask(keep))
    t.equal(output_of(sets, status_field "Cap\\(Inh\\|Prm\\|Eff\\|Amb\\)"),
      all .. "\n" .. want .. "\n" .. want .. "\n" .. want .. "\n")
  end)
end

if not os.getenv "LUGE_CHECK" and t.root then
  t.test("a working directory above the root is refused", function()
    local root = t.dir()
    local before = function()
      local outside = S.open("/", "path, directory")
      S.chroot(root)
      S.fchdir(outside)
    end
    local chdir = { op = "chdir", args = { "." } }
    for _, steps in ipairs { { sh "true" }, { chdir, sh "true" } } do
      local r = run(steps, { before = before })
      t.equal(r.messages[1].reason, "outside_root")
      t.equal(r.code, 125)
    end
  end)
end

-- ---- PID 1 ----

local NAMESPACES = t.root and "newpid" or "newuser, newpid"
local BEFORE = { { op = "setsid" }, { op = "prctl", args = { "set_pdeathsig", "kill" } }, { op = "lifeline" },
  { op = "init" }, { op = "setsid" }, { op = "reset_signals" } }

local function contained(...)
  local all = table.move(BEFORE, 1, #BEFORE, 1, {})
  for _, step in ipairs { ... } do all[#all + 1] = step end
  return start(all, { flags = NAMESPACES })
end

local function proc(stage, name) return t.must(t.read(("/proc/%d/%s"):format(stage.pid, name))) end

local function in_pid_namespace()
  t.test("PID 1 reports how the command ended", function()
    for _, code in ipairs { 0, 1, 255 } do
      local r = contained(sh("exit " .. code)):finish()
      t.equal(r.messages, { { kind = "started" }, { kind = "exit", code = code } })
      t.equal(r.code, code)
    end
    for _, signal in ipairs { "KILL", "TERM", "SEGV" } do
      local number = S.c.SIG[signal]
      local r = contained({ op = "setrlimit", args = { "core", 0 } }, sh(("kill -%s $$"):format(signal))):finish()
      t.equal(r.messages, { { kind = "started" }, { kind = "signal", signal = number, core = false } })
      t.equal(r.code, 128 + number)
    end
  end)

  t.test("a core dump is reported", function()
    local dir = t.dir "0777"
    local function dumps()
      local pid = t.must(S.fork())
      if pid == 0 then
        S.chdir(dir)
        S.execve("/bin/sh", { "sh", "-c", "ulimit -c unlimited; kill -ABRT $$" }, {})
        S.exit(99)
      end
      local _, ending = S.wait4(pid)
      return ending.code == "dumped"
    end
    local r = contained({ op = "chdir", args = { dir } }, sh "ulimit -c unlimited; kill -ABRT $$"):finish()
    t.equal(r.messages[2], { kind = "signal", signal = 6, core = dumps() })
  end)

  t.test("PID 1 says why nothing started", function()
    local r = contained({ op = "exec", args = { { "no-such-command" }, { PATH } } }):finish()
    t.equal(r.messages, { { kind = "error", index = #BEFORE + 1, errno = S.c.E.NOENT, reason = "not_found",
      exit_code = 127 } })
    t.equal(r.code, 127)
    r = contained({ op = "chdir", args = { "/no/such/place" } }, sh "true"):finish()
    t.equal(r.messages, { { kind = "error", index = #BEFORE + 1, errno = S.c.E.NOENT, reason = "failed",
      exit_code = 125 } })
    -- and when the profile's filter refuses the child's own writing and its end
    local filter = t.must(S.seccomp_filter { default = "allow", rules = {
      { "write", action = "errno EPERM" }, { "exit_group", action = "errno EPERM" } } })
    r = contained({ op = "prctl", args = { "set_no_new_privs", 1 } }, { op = "seccomp_load", args = { filter } },
      { op = "exec", args = { { "/no/such/command" }, {} } }):finish()
    t.equal(#r.messages, 1)
    t.equal(r.messages[1].reason, "not_found")
    t.equal(r.code, 127)
  end)

  t.test("a killed start is no start", function()
    local filter = t.must(S.seccomp_filter { default = "allow", rules = { { "umask", action = "kill_process" } } })
    local r = contained({ op = "prctl", args = { "set_no_new_privs", 1 } }, { op = "seccomp_load", args = { filter } },
      { op = "umask", args = { 0 } }, sh "true"):finish()
    t.equal(#r.messages, 1)
    t.equal(r.messages[1].kind, "signal")
    t.equal(r.messages[1].signal, S.c.SIG.SYS)
  end)

  t.test("orphans are reaped", function()
    local stage = contained(sh [[
      i=0; while [ $i -lt 1000 ]; do (sleep 0.01 &); i=$((i+1)); done
      echo made; sleep 1000]])
    t.equal(stage:message(), { kind = "started" })
    stage:await "made"
    local children = ("task/%d/children"):format(stage.pid)
    t.until_true("1000 orphans are gone", function() return select(2, proc(stage, children):gsub("%d+", "")) == 1 end)
    stage:kill()
    t.equal(stage:finish().ending.signal, "kill")
  end)

  t.test("signals reach the command, and only it", function()
    local numbers = { 1, 2, 3, 10, 12, 14, 15, 18, 20, 28, 34, 40, 64 }
    local stage = contained(sh([[for s in ]] .. table.concat(numbers, " ") .. [[; do trap "echo got-$s." $s; done
      (trap '' 15; while :; do sleep 1; done) & echo ready; while :; do sleep 0.02; done]]))
    stage:await "ready"
    for _, number in ipairs(numbers) do
      t.must(S.pidfd_send_signal(stage.pidfd, number))
      stage:await("got%-" .. number .. "%.")
    end
    t.equal(select(2, stage.output:gsub("got", "")), #numbers)
    t.must(S.pidfd_send_signal(stage.pidfd, "kill"))
    t.equal(stage:finish().ending.signal, "kill")
  end)

  t.test("the command's own stop and continue break nothing", function()
    local stage = contained(sh "echo ready; kill -STOP $$; echo back; exit 4")
    stage:await "ready"
    S.nanosleep(0.05)
    t.must(S.pidfd_send_signal(stage.pidfd, "cont"))
    local r = stage:finish()
    t.contains(r.output, "back")
    t.equal(r.code, 4)
    -- PID 1 itself, stopped and continued from outside
    stage = contained(sh "echo ready; sleep 0.3; exit 6")
    stage:await "ready"
    t.must(S.pidfd_send_signal(stage.pidfd, "stop"))
    S.nanosleep(0.02)
    t.must(S.pidfd_send_signal(stage.pidfd, "cont"))
    t.equal(stage:finish().code, 6)
  end)

  t.test("tight limits leave PID 1 alone", function()
    local limits = { { op = "setrlimit", args = { "nofile", 4 } }, { op = "setrlimit", args = { "stack", 131072 } },
      { op = "setrlimit", args = { "fsize", 0 } }, { op = "setrlimit", args = { "as", 8 << 20 } } }
    local all = table.move(BEFORE, 1, #BEFORE, #limits + 1, limits)
    all[#all + 1] = sh "exit 5"
    t.equal(start(all, { flags = NAMESPACES }):finish().messages, { { kind = "started" }, { kind = "exit", code = 5 } })
  end)

  t.test("without luge everything in the container ends", function()
    local stage = contained(sh [[trap '' HUP INT TERM; (trap '' HUP TERM; setsid sleep 1000 &) ; echo ready
      while :; do sleep 1; done]])
    stage:await "ready"
    stage:shut "lifeline_w"
    local r = stage:finish() -- its status and output end, so nobody holds them any more
    t.equal(r.code, 137)
    t.equal(r.messages, { { kind = "started" } })
  end)

  t.test("nothing is left when the command ends", function()
    local stage = contained(sh "setsid sleep 1000 & echo started; exit 0")
    local r = stage:finish() -- sleep held the output
    t.equal(r.code, 0)
  end)

  t.test("PID 1 keeps three descriptors, a filter, CAP_KILL at most, and few pages", function()
    local stage = contained({ op = "close_range", args = { { 0, 1, 2 } } }, sh "echo ready; sleep 1000")
    stage:await "ready"
    t.equal(stage:message(), { kind = "started" })
    t.until_true("PID 1 is at rest", function() return proc(stage, "status"):find "Seccomp:\t2" end)
    local status = proc(stage, "status")
    t.contains(status, "Name:\tluge-init\n")
    t.contains(status, "NoNewPrivs:\t1\n")
    t.contains(status, "CapInh:\t0000000000000000\n")
    t.contains(status, "CapAmb:\t0000000000000000\n")
    local kept = tonumber(status:match "CapPrm:\t(%x+)", 16)
    t.equal(kept & ~S.cap_mask { "kill" }, 0)
    if t.root then t.equal(#S.dir(("/proc/%d/fd"):format(stage.pid)), 3) end
    local maps = proc(stage, "maps")
    t.lacks(maps, "orders")
    local kib = tonumber(proc(stage, "smaps_rollup"):match "Rss:%s+(%d+) kB")
    print(("PID 1 at rest: %d KiB resident"):format(kib))
    t.ok(kib <= 64, kib .. " KiB")
    stage:kill()
    stage:finish()
  end)

  t.test("a command that is executed as the stage does nothing", function()
    local dir = t.dir()
    t.write(dir .. "/again", "#!/proc/self/exe\n", "0755")
    local r = contained({ op = "exec", args = { { dir .. "/again" }, { PATH } } }):finish()
    t.equal(r.code, 125)
    t.equal(r.messages, { { kind = "started" }, { kind = "exit", code = 125 } })
  end)

  -- Both run as the same user, so that only the dumpable flag stands between them.
  t.test("the command cannot look into PID 1", function()
    t.needs_root()
    local ids = { { op = "setresgid", args = { 65534, 65534, 65534 } },
      { op = "setresuid", args = { 65534, 65534, 65534 } } }
    local all = table.move(BEFORE, 1, #BEFORE, 3, ids)
    all[#all + 1] = sh [[for p in 1 $$; do
      for f in exe environ maps; do (cat /proc/$p/$f) >/dev/null 2>&1 && echo read $f of $p; done
      ls /proc/$p/fd/ >/dev/null 2>&1 && echo listed $p; (: >/proc/$p/mem) 2>/dev/null && echo opened $p
    done | sed "s/ $$\$/ own/"]]
    local stage = start(all, { flags = "newpid, newns", before = function()
      S.mount { target = "/", flags = "rec, private" }
      S.mount { source = "proc", target = "/proc", type = "proc" }
    end })
    t.equal(stage:finish().output,
      "read exe of own\nread environ of own\nread maps of own\nlisted own\nopened own\n")
  end)
end

if not os.getenv "LUGE_CHECK" then in_pid_namespace() end
