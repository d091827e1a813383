-- SPDX-License-Identifier: MIT
-- The report: its form, every ending, and a receipt in which all holds. Events on a descriptor while it runs.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"
local json = t.json

local KEYS = { "events", "exit_code", "figures", "name", "reason", "receipt", "schema", "signal" }
local FIGURES = { "involuntary_switches", "io_read_bytes", "io_write_bytes", "memory_peak_bytes", "nr_throttled", "pids_peak",
  "pressure", "processes_peak", "sys_s", "throttled_s", "user_s", "voluntary_switches", "wall_s" }

-- Whether a controller is there and luge, as it runs here, may use it.
local function usable(controller)
  local layout = require("sandbox.plan.cgroup_layout").gather()
  local hierarchy = layout:find(controller)
  return hierarchy and layout:place(hierarchy, nil, S.geteuid()) ~= nil
end

local function keys(map)
  local list = {}
  for key in pairs(map) do
    if key ~= "message" then list[#list + 1] = key end
  end
  table.sort(list)
  return list
end

local function reported(how)
  how.report = true
  local r = box.run(how)
  t.ok(r.report, "no report: " .. r.stderr)
  t.equal(keys(r.report), KEYS)
  t.equal(keys(r.report.figures), FIGURES)
  t.equal(r.report.schema, 1)
  t.equal(r.report.exit_code, r.code)
  return r.report, r
end

local row = t.row

local function all_ok(report)
  t.ok(#report.receipt > 10, "rows: " .. #report.receipt)
  for _, r in ipairs(report.receipt) do
    t.equal(keys(r), { "asked", "field", "got", "ok" })
    t.equal(r.ok, true, r.field .. ": asked " .. r.asked .. ", got " .. r.got)
  end
end

t.test("every ending has its report", function()
  local cases = {
    { { "exit", "0" }, "exit", 0 }, { { "exit", "9" }, "exit", 9 }, { { "raise", "9" }, "signal", 137, 9 },
    { { "raise", "15" }, "signal", 143, 15 }, { { "sleep", "60",
      body = "limits = { wall = '200ms' }, stop = { grace = '200ms' }" }, "wall", 124 },
    { { words = { "no-such" } }, "setup", 127 }, { { words = { "/etc/passwd" } }, "setup", 126 },
    { { "exit", "0", body = "cwd = '/none'" }, "setup", 125 }, { { "exit", "0", body = "cwd = 'none'" }, "setup", 125 },
    { { "exit", "0", body = "root = '/no/such'" }, "setup", 125 }, { {}, "setup", 125 },
  }
  for _, case in ipairs(cases) do
    -- PID 1 cannot be ended by a signal of its own namespace.
    for _, init in ipairs(case[2] == "signal" and { "" } or { "", "init = false, " }) do
      case[1].body = init .. (case[1].body or "")
      local report = reported(case[1])
      t.equal({ report.reason, report.exit_code }, { case[2], case[3] })
      if case[2] ~= "wall" then t.equal(report.signal, case[4] or json.null) end
    end
    case[1].body = nil
  end
end)

t.test("what the kernel did not say is null, never 0", function()
  local report = reported { "exit", "0" }
  t.equal(report.figures.processes_peak, json.null, "no kernel counts it apart from threads")
  for name, controller in pairs { memory_peak_bytes = "memory", pids_peak = "pids", io_read_bytes = "io",
    io_write_bytes = "io" } do
    if usable(controller) then
      t.equal(math.type(report.figures[name]), "integer", name)
    else
      t.equal(report.figures[name], json.null, name)
    end
  end
  t.ok(report.figures.wall_s > 0)
  report = reported { "exit", "0", body = "root = '/no/such'" }
  t.equal({ report.figures.wall_s, report.figures.user_s, report.name }, { json.null, json.null, json.null })
end)

t.test("processor time is that of the container", function()
  local report = reported { shell = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done" }
  t.ok(report.figures.user_s > 0.05, "user_s is " .. report.figures.user_s)
end)

t.test("the receipt of the default profile, of the others, of none of the protections", function()
  all_ok((reported { "exit", "0" }))
  all_ok((reported { "exit", "0", body = "init = false" }))
  for _, name in ipairs { "ci", "strict", "default" } do
    local report = reported { "exit", "0", body = ("profile %q"):format(name) }
    all_ok(report)
    t.matches(row(report, "seccomp").got, "^mode 2")
  end
  local report = reported { "exit", "0", body = "seccomp = false, no_new_privs = false" }
  all_ok(report)
  for _, r in ipairs(report.receipt) do t.ok(r.field ~= "seccomp" and r.field ~= "no_new_privs", r.field) end
end)

t.test("the receipt tells of mounts, limits, ids and namespaces", function()
  local dir = t.dir()
  local report = reported { "exit", "0",
    body = ([[mounts = { bind { %q, '/a' }, bind { %q, '/b', rw = true }, tmpfs { '/c' }, mask { '/proc/sys/net' },
    optional(bind { '/no/such', '/d' }) }, limits = { open_files = 99, nice = 3, affinity = { 0 }, processes = 30 }, hostname = 'h',
    namespaces = { time = { boottime = '1h' } } ]]):format(dir, dir) }
  all_ok(report)
  t.contains(row(report, "limits.open_files").got, "99")
  t.equal(row(report, "limits.nice").got, "3")
  t.contains(row(report, "mounts./sys").got, "ro")
  t.contains(row(report, "mounts./proc/sys").got, "ro")
  t.contains(row(report, "mounts./proc: hidden").got, "timer_list")
  t.contains(row(report, "mounts./sys: hidden").got, "firmware")
  t.equal(row(report, "network").got, "lo")
  t.equal(row(report, "namespaces.time").asked, "new")
  local text = json.encode(report.receipt)
  t.contains(text, "/d ro,nosuid,nodev (optional)")
end)

t.test("the receipt's mounts have the numbers and the flags that the profile wrote", function()
  local dir = t.dir "0755"
  local report = reported { "exit", "0", guest = false, words = { "true" },
    body = ([[mounts = { tmpfs { '/z', flags = 'noexec' }, tmpfs { '/y', flags = 'ro, suid, dev' }, mask { '/proc/version' },
    bind { %q, '/a', exec = false } }]]):format(dir) }
  all_ok(report)
  t.equal(row(report, "mounts[1]").asked, "tmpfs noexec,nosuid,nodev")
  t.equal(row(report, "mounts[2]").asked, "tmpfs ro")
  t.equal(row(report, "mounts[3]").asked, "ro")
  t.equal(row(report, "mounts[4]").asked, "/a ro,nosuid,nodev,noexec")
  -- What luge or the profile puts below a bind is not the bind's.
  all_ok(reported { "exit", "0", guest = false, words = { "true" }, body = "mounts = { bind { '/var' }, tmpfs { '/var/lib' } }" })
  all_ok(reported { "exit", "0", guest = false, words = { "true" }, body = "mounts = { bind { '/etc' }, bind { '/dev', dev = true, id_map = false } }" })
end)

t.test("the receipt tells who the command is, and of the kernel's settings in its namespaces", function()
  local report = reported { "exit", "0", body = 'user = "nobody", sysctl = { ["net.ipv4.ip_default_ttl"] = "77" }' }
  all_ok(report)
  t.equal(row(report, "user"), { field = "user", asked = "65534:65534", got = "65534:65534", ok = true })
  t.equal(row(report, 'sysctl["net.ipv4.ip_default_ttl"]').got, "77")
  t.matches(row(report, 'sysctl["net.ipv4.ip_unprivileged_port_start"]').got, "^0$")
  report = reported { "exit", "0" }
  t.equal(row(report, "user").asked, "0:0")
  t.contains(row(report, "user").got, "0:0")
  if t.root then
    report = reported { "exit", "0", body = "user = { uid = 1000, gid = 1000, groups = { 7, 5, 5 } }" }
    all_ok(report)
    t.equal(row(report, "user").got, "1000:1000, groups 5 5 7")
  end
  local root = t.rootfs()
  t.write(root .. "/etc/passwd", "root:x:0:0::/:/bin/sh\nann:x:7:8::/:/bin/sh\n", "0644")
  t.write(root .. "/etc/group", "root:x:0:\nann:x:8:\ntools:x:9:ann\n", "0644")
  report = reported { "exit", "0", guest = false, body = ("root = %q, user = 'ann'"):format(root) }
  if t.root then t.contains(row(report, "user").got, "7:8") end
end)

t.test("groups of the caller's that luge may not take away are told", function()
  t.needs_root()
  local state, path = t.dir "0777", t.dir "0777" .. "/report"
  local words = box.words { "exit", "0", options = { "--report", path }, env = { LUGE_STATE = state .. "/own" } }
  words.before = function()
    t.must(S.setgroups { 4321, 4322 })
    t.must(S.setresgid(61234, 61234, 61234))
    t.must(S.setresuid(61234, 61234, 61234))
  end
  local r = t.run(words)
  t.equal(r.code, 0, r.stderr)
  t.equal(row(t.json.decode(t.read(path)), "user"),
    { field = "user", asked = "0:0", got = "0:0, and 2 of the caller's groups", ok = true })
end)

t.test("where no cgroup counts processes, the limit of the user's stands in, and is shown", function()
  local hidden = "limits = { parent = '/sys/fs/cgroup/none' }"
  local pids = row(reported { "exit", "0", body = hidden }, "limits.pids")
  t.equal({ pids.asked, pids.got, pids.ok }, { "1024: RLIMIT_NPROC 1025 (by default)", "1025", true })
  pids = row(reported { "exit", "0", body = "limits = { pids = optional(100), parent = '/sys/fs/cgroup/none' }" }, "limits.pids")
  t.matches(pids.asked, "^100: RLIMIT_NPROC 101 %(none: .*%)$")
  t.equal({ pids.got, pids.ok }, { "101", true })
end)

t.test("the receipt of root directories", function()
  local root = t.rootfs()
  for _, how in ipairs { "%q", "{ %q, overlay = 'discard' }", "{ %q, rw = true }" } do
    local report = reported { "exit", "0", guest = false, body = "root = " .. how:format(root) }
    all_ok(report)
  end
end)

t.test("an optional protection that could not be had is in the receipt", function()
  t.needs_user()
  local report = reported { "exit", "0", body = "limits = { nice = optional(-5) }" }
  local r = row(report, "limits.nice")
  t.equal({ r.asked, r.got, r.ok }, { "-5 (optional)", "0", true })
end)

t.test("with the report the command waits for the receipt, with nothing else changed", function()
  local facts = json.decode(select(2, reported { "facts" }).stdout)
  local numbers = {}
  for number in pairs(facts.fds) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  t.equal(numbers, { "0", "1", "2" })
end)

t.test("the report is written whole, over what was there, links not followed", function()
  local dir = t.dir()
  t.write(dir .. "/target", "untouched")
  t.must(S.symlink("target", dir .. "/link"))
  box.run { "exit", "0", options = { "--report", dir .. "/link" } }
  t.equal(t.read(dir .. "/target"), "untouched")
  t.equal(S.lstat(dir .. "/link").type, "file")
  t.equal(json.decode(t.read(dir .. "/link")).reason, "exit")
  box.run { "exit", "3", options = { "--report", dir .. "/link" } }
  t.equal(json.decode(t.read(dir .. "/link")).exit_code, 3)
  t.equal(S.dir(dir), { "link", "target" }, "no temporary file is left")
  box.run { "exit", "0", options = { "--report", "here.json" }, cwd = dir }
  t.ok(t.read(dir .. "/here.json"))
end)

t.test("what is no file is written into, never replaced, and others' files are left alone", function()
  local dir = t.dir()
  t.must(S.mknod(dir .. "/fifo", "0600", "fifo"))
  local reader = t.must(S.open(dir .. "/fifo", "rdonly, nonblock"))
  box.run { "exit", "3", options = { "--report", dir .. "/fifo" } }
  t.equal(S.lstat(dir .. "/fifo").type, "fifo")
  t.equal(json.decode(S.read(reader, 65536)).exit_code, 3)
  reader:close()
  t.contains(box.run({ "exit", "0", options = { "--report", dir .. "/fifo" } }).stderr, "nobody reads it")
  t.must(S.symlink("/dev/null", dir .. "/null"))
  box.succeed { "exit", "0", options = { "--report", dir .. "/null" } }
  t.equal(S.readlink(dir .. "/null"), "/dev/null")
  t.must(S.symlink("/proc/self/fd/1", dir .. "/stdout"))
  local r = box.succeed { "print", "said", options = { "--report", dir .. "/stdout" } }
  t.equal(json.decode(t.matches(r.stdout, "^said\n(.*)$")).reason, "exit")
  local out = t.must(S.open(dir .. "/out", "creat, rdwr"))
  box.succeed { "print", "said", options = { "--report", dir .. "/stdout" }, fds = { [1] = out } }
  t.matches(t.read(dir .. "/out"), "^said\n{")
  t.equal(S.readlink(dir .. "/stdout"), "/proc/self/fd/1")
  if t.root and S.mknod(dir .. "/device", "0600", "char", { 1, 3 }) then
    box.succeed { "exit", "0", options = { "--report", dir .. "/device" } }
    t.equal(S.lstat(dir .. "/device").type, "char")
  end
  t.write(dir .. "/mine.json.new", "mine")
  box.succeed { "exit", "0", options = { "--report", dir .. "/mine.json" } }
  t.equal({ t.read(dir .. "/mine.json.new"), json.decode(t.read(dir .. "/mine.json")).exit_code }, { "mine", 0 })
end)

t.test("a report that cannot be written is said before anything runs", function()
  local dir = t.dir()
  box.refused({ "print", "ran", options = { "--report", dir .. "/none/r.json" } }, "--report " .. dir .. "/none/r.json",
    "No such file")
  box.refused({ "print", "ran", options = { "--report", dir } }, "it is a directory")
  box.refused({ "print", "ran", options = { "--report", dir .. "/" } }, "it is a directory")
end)

-- ---- events ----

local function events(how)
  local read, write = S.pipe()
  how.fds = { [9] = write }
  how.options = { "--status-fd", "9", table.unpack(how.options or {}) }
  local r = box.run(how)
  write:close()
  local list, text = {}, S.read(read, 65536) or ""
  read:close()
  for line in text:gmatch "[^\n]+" do list[#list + 1] = t.ok(json.decode(line), line) end
  return list, r
end

t.test("events come as lines of JSON", function()
  local list, r = events { "exit", "4", options = { "--name", "eventful" } }
  t.equal(r.code, 4)
  local names = {}
  for i, event in ipairs(list) do
    names[i] = event.event
    t.equal(event.name, "eventful")
  end
  t.equal(names, { "created", "started", "ended" })
  t.ok(list[1].pid > 1)
  t.equal({ list[3].reason, list[3].exit_code, list[3].signal }, { "exit", 4 })
end)

t.test("a start that fails has an end and no start", function()
  local list = events { words = { "no-such" } }
  t.equal({ list[1].event, list[#list].event, list[#list].reason, list[#list].exit_code }, { "created", "ended", "setup", 127 })
  for _, event in ipairs(list) do t.ok(event.event ~= "started") end
  list = events { "raise", "9" }
  t.equal({ list[#list].reason, list[#list].signal }, { "signal", 9 })
end)

t.test("the command does not see the descriptor of events", function()
  local _, r = events { "facts" }
  t.equal(json.decode(r.stdout).fds["9"], nil)
end)

t.test("a reader that is gone is no error", function()
  local read, write = S.pipe()
  read:close()
  local r = box.run { "exit", "6", options = { "--status-fd", "9" }, fds = { [9] = write } }
  t.equal(r.code, 6, r.stderr)
  write:close()
end)

-- A pipe without room, and both of its ends.
local function full_pipe()
  local read, write = S.pipe()
  S.fcntl(write, "setfl", "nonblock")
  while S.write(write, ("x"):rep(4096)) do end
  S.fcntl(write, "setfl", 0)
  return read, write
end

t.test("nobody reads the events: every limit holds, and what was lost is told", function()
  local read, write = full_pipe()
  local r = box.run { "sleep", "1000", body = "limits = { wall = '300ms' }, stop = { grace = '100ms' }",
    options = { "--status-fd", "9" }, fds = { [9] = write } }
  t.equal(r.code, 124, r.stderr)
  local tell = require "sandbox.container.tell"
  local say = tell.events(write:getfd(), "n")
  for i = 1, 5 do say { event = "health", number = i } end
  S.fcntl(read, "setfl", "nonblock")
  while S.read(read, 65536) do end
  say { event = "health", number = 6 }
  local said = {}
  for line in S.read(read, 65536):gmatch "[^\n]+" do said[#said + 1] = json.decode(line) end
  t.equal(said, { { event = "health", number = 1, name = "n" }, { event = "lost", count = 4, name = "n" },
    { event = "health", number = 6, name = "n" } })
  read:close()
  write:close()
end)

t.test("nobody reads what luge says: the container is started again all the same", function()
  local read, write = full_pipe()
  local r = box.run { "exit", "3", body = "restart = { on = 'failure', max = 2, delay = '10ms' }", fds = { [2] = write } }
  t.equal(r.code, 3)
  read:close()
  write:close()
end)

-- ---- descriptors that are passed on ----

t.test("passed descriptors keep their number, and are the only ones", function()
  local file = t.must(S.open("/etc/passwd", "rdonly"))
  local facts = box.facts { options = { "--pass-fd", "7", "--pass-fd=33" }, fds = { [7] = file, [8] = file, [33] = file } }
  t.equal({ facts.fds["7"], facts.fds["8"], facts.fds["33"] }, { "/etc/passwd", nil, "/etc/passwd" })
  facts = box.facts { body = "init = false", options = { "--pass-fd", "7" }, fds = { [7] = file } }
  t.equal(facts.fds["7"], "/etc/passwd")
end)

t.test("a passed pipe carries data both ways", function()
  local read, write = S.pipe()
  box.succeed { shell = "echo through >&5", options = { "--pass-fd", "5" }, fds = { [5] = write } }
  write:close()
  t.equal(S.read(read, 100), "through\n")
end)

t.test("low and high numbers that luge itself uses", function()
  local file = t.must(S.open("/etc/passwd", "rdonly"))
  for number = 3, 40 do
    if number % 6 == 3 then
      local facts = box.facts { options = { "--pass-fd", tostring(number) }, fds = { [number] = file } }
      t.equal(facts.fds[tostring(number)], "/etc/passwd", "descriptor " .. number)
    end
  end
end)

t.test("descriptors that are not open, or no numbers", function()
  for _, option in ipairs { "--pass-fd", "--status-fd" } do
    box.refused({ "exit", "0", options = { option, "99" } }, option .. " 99: that descriptor is not open")
    box.refused({ "exit", "0", options = { option, "x" } }, option .. " x: the number of a descriptor expected")
    box.refused({ "exit", "0", options = { option, "-1" } }, option)
    box.refused({ "exit", "0", options = { option, "1.5" } }, option)
    box.refused({ "exit", "0", options = { option, "99999999999999999999" } }, option)
  end
end)
