-- SPDX-License-Identifier: MIT
-- Limits of cgroups hold on this host, whatever version its controllers are of; the report tells how it ended; nothing is
-- left, not even of a killed luge.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"
local layout = require "sandbox.plan.cgroup_layout".gather()

-- Leaves a test that wants a controller which this host has not, or does not let this user have.
local function needs(controller)
  local hierarchy = layout:find(controller)
  if not hierarchy then t.skip("no-" .. controller .. ": no cgroup hierarchy has that controller") end
  if not layout:place(hierarchy, nil, S.geteuid()) then t.needs_root() end
  return hierarchy
end

local function limited(limits, how)
  how.body = (how.body or "") .. "limits = { " .. limits .. " }"
  how.report = true
  return box.run(how)
end

local function rows(report, field)
  local found = {}
  for _, row in ipairs(report.receipt) do
    if row.field == field then
      found[#found + 1] = row
      t.ok(row.ok, ("%s: asked %s, got %s"):format(field, row.asked, row.got))
    end
  end
  t.ok(#found > 0, "no row " .. field)
  return found
end

local function event(report, name)
  for _, e in ipairs(report.events) do
    if e.event == name then return e.count end
  end
end

-- The container's cgroups of this name, where luge's own go: other luges' containers may be there too.
local function cgroups_of(name)
  local found = {}
  for _, controller in ipairs { "memory", "pids", "cpu", "cpuacct", "cpuset", "io", "hugetlb", "devices" } do
    local hierarchy = layout:find(controller)
    local place = hierarchy and layout:place(hierarchy, nil, S.geteuid())
    local path = place and place.top .. "/" .. name
    if path and S.stat(path) then found[#found + 1] = path end
  end
  return found
end

-- Whether somebody is in the cgroup.
local function is_inhabited(path)
  return path and (S.readfile(path .. "/cgroup.procs") or ""):find "%d" ~= nil
end

-- ---- memory ----

t.test("memory that is used up ends the command: 137, the reason, the words", function()
  needs "memory"
  for _, body in ipairs { "", "init = false, " } do
    for _ = 1, t.soak and 200 or 5 do
      local r = limited("memory = '32M'", { "eat", "200", body = body })
      t.equal({ r.code, r.report.reason, r.report.exit_code, r.report.signal }, { 137, "memory", 137, 9 }, body)
      t.contains(r.stderr, "limits.memory: the kernel ended the command")
      t.ok(event(r.report, "oom_kill") >= 1)
      t.ok(r.report.figures.memory_peak_bytes <= 32 << 20)
      t.ok(r.report.figures.memory_peak_bytes > 30 << 20)
      rows(r.report, "limits.memory")
    end
  end
end)

t.test("a killed child that the command survives is an event", function()
  needs "memory"
  local r = limited("memory = '32M'", { shell = "/guest eat 200; echo $?" })
  t.equal({ r.code, r.stdout:match "(%d+)\n$", r.report.reason, event(r.report, "oom_kill") }, { 0, "137", "exit", 1 })
  r = limited("memory = '32M'", { shell = "/guest eat 200; exit 137" })
  t.equal({ r.code, r.report.reason }, { 137, "exit" })
end)

t.test("who ends himself by KILL after that was not ended by the kernel", function()
  needs "memory"
  if not S.open("/dev/kmsg", "rdonly") then t.needs_root() end
  for _ = 1, t.soak and 200 or 5 do
    local r = limited("memory = '32M'", { shell = "/guest eat 200; kill -9 $$" })
    t.equal({ r.code, r.report.reason, r.report.signal, event(r.report, "oom_kill") }, { 137, "signal", 9, 1 })
  end
  local r = limited("memory = '64M'", { shell = "kill -9 $$" })
  t.equal({ r.report.reason, event(r.report, "oom_kill") }, { "signal" })
end)

t.test("memory that is enough; files in memory count", function()
  needs "memory"
  local r = limited("memory = '64M'", { "eat", "20" })
  t.equal({ r.code, r.report.reason, r.report.events }, { 0, "exit", {} })
  r = limited("memory = '32M'", { shell = "head -c 100M /dev/zero > /tmp/x" })
  t.ok(r.report.reason == "memory" or event(r.report, "oom_kill"), r.report.reason)
end)

t.test("time that is up before memory is, says so", function()
  needs "memory"
  local r = limited("memory = '64M', wall = '300ms'", { "sleep", "1000" })
  t.equal({ r.code, r.report.reason }, { 124, "wall" })
end)

-- ---- processes ----

t.test("a fork beyond pids is refused and counted", function()
  needs "pids"
  local r = limited("pids = 5", { "fork", "20" })
  t.equal(r.report.reason, "exit", "the container goes on: " .. r.stderr)
  t.ok((event(r.report, "pids_refused") or 0) > 0, "refused forks: " .. t.json.encode(r.report.events))
  t.equal(r.report.figures.pids_peak, 5)
  rows(r.report, "limits.pids")
  r = limited("pids = 30", { "fork", "20" })
  t.equal({ r.code, event(r.report, "pids_refused") }, { 0 })
end)

t.test("a fork bomb does not get beyond it", function()
  needs "pids"
  local r = limited("pids = 50, wall = '5s'", { shell = "f() { f | f & }; f; sleep 1000", timeout = 60,
    body = "stop = { grace = '500ms' }, " })
  t.ok(r.code == 124 or r.report.reason == "exit", r.code .. " " .. r.report.reason)
  t.equal(r.report.figures.pids_peak, 50)
end)

t.test("1024 unless somebody says otherwise", function()
  needs "pids"
  local r = box.run { "exit", "0", report = true }
  t.equal(rows(r.report, "limits.pids")[1].asked, "pids.max 1025")
  r = limited("pids = false", { "exit", "0" })
  for _, row in ipairs(r.report.receipt) do t.ok(row.field ~= "limits.pids") end
end)

-- ---- processors ----

t.test("cpus: who spins is throttled", function()
  needs "cpu"
  local r = limited("cpus = 0.2, wall = '1s'", { "spin", body = "stop = { grace = '100ms' }, " })
  t.equal(r.report.reason, "wall")
  t.ok(r.report.figures.nr_throttled > 0, "throttled periods")
  t.ok(r.report.figures.throttled_s > 0, "throttled time")
  t.ok(r.report.figures.user_s + r.report.figures.sys_s < 0.8, "used " .. r.report.figures.user_s)
  rows(r.report, "limits.cpus")
end)

t.test("cpu_weight is what the kernel has", function()
  needs "cpu"
  rows(limited("cpu_weight = 50", { "exit", "0" }).report, "limits.cpu_weight")
end)

t.test("cpuset: no affinity leads out of it", function()
  needs "cpuset"
  local r = limited("cpuset = '0'", { shell = "grep Cpus_allowed_list /proc/self/status; taskset -c 0,1 true; "
    .. "taskset -c 0,1 grep Cpus_allowed_list /proc/self/status" })
  t.equal(r.report.reason, "exit")
  for list in r.stdout:gmatch "Cpus_allowed_list:%s*(%S+)" do t.equal(list, "0") end
  rows(r.report, "limits.cpuset")
  box.refused({ "exit", "0", body = "limits = { cpuset = '900' }" }, "limits.cpuset: CPU 900 is not among those of this host")
end)

-- ---- disks, huge pages ----

t.test("io: the kernel has the rates for the disk under a directory", function()
  needs "io"
  local facts = require "sandbox.plan.facts".gather()
  if not facts:disk(t.top) then t.skip("no-disk: the file system of the tree lies on none") end
  local r = limited(("io = { [%q] = { write = '1M', read_ops = 100 } }"):format(t.top), { "exit", "0" })
  for _, row in ipairs(rows(r.report, "limits.io")) do t.contains(row.got, facts:disk(t.top)) end
  box.refused({ "exit", "0", body = "limits = { io = { ['/proc'] = { read = 1 } } }" }, "limits.io: /proc lies on no disk")
  box.refused({ "exit", "0", body = "limits = { io = { ['/no/such'] = { read = 1 } } }" }, "/no/such does not exist")
end)

t.test("pressure: who waits for its share of the processor is seen to wait", function()
  needs "cpu"
  -- Only version 2 counts it; a machine may have it switched off (psi=0).
  if layout:find "cpu".version == 1 or not S.readfile "/proc/pressure/cpu" then return end
  local r = limited("cpus = 0.1", { "spin", options = { "--timeout", "1s" } })
  t.equal(r.report.reason, "wall")
  t.ok(r.report.figures.pressure.cpu.some_s > 0, "seconds in which some of it waited")
end)

t.test("hugetlb: both what is reserved and what is touched", function()
  needs "hugetlb"
  t.equal(#rows(limited("hugetlb = { ['2M'] = '4M' }", { "exit", "0" }).report, "limits.hugetlb"), 2)
  box.refused({ "exit", "0", body = "limits = { hugetlb = { ['3M'] = '6M' } }" }, "has no huge pages of 3M")
end)

-- ---- devices ----

t.test("a device that may only be read", function()
  t.needs_root()
  if not (layout.v1.devices or layout.v2) then t.skip("no-cgroup: no hierarchy is mounted here") end
  local r = box.run { report = true, body = "devices = { device { '/dev/zero', access = 'r' }, device { '/dev/full', access = 'w' } }",
    shell = "head -c 3 /dev/zero | wc -c; echo x > /dev/zero || echo refused; echo x > /dev/null && echo written; "
      .. "head -c 1 /dev/full > /dev/null || echo unreadable" }
  t.equal(r.stdout, "3\nrefused\nwritten\nunreadable\n")
  rows(r.report, "devices")
  box.refused({ "exit", "0", body = "devices = { device { '/dev/zero', access = 'r' } }, mounts = { bind { '/tmp', dev = true } }" },
    "would close the devices of /tmp, which has dev = true")
end)

t.test("who could make nodes finds them closed", function()
  t.needs_root()
  if not (layout.v1.devices or layout.v2) then t.skip("no-cgroup: no hierarchy is mounted here") end
  local r = box.run { report = true, shell = "mknod /tmp/kmem c 1 1 && head -c 1 /tmp/kmem; mknod /tmp/n c 1 3 && echo made; ls /tmp",
    body = "id_map = 'host', capabilities = { 'mknod' }, seccomp = { allow = { 'mknod', 'mknodat' } }" }
  t.equal(r.stdout, "made\nn\n", r.stderr)
  rows(r.report, "capabilities")
end)

t.test("an ordinary user cannot have that", function()
  t.needs_user()
  box.refused({ "exit", "0", body = "devices = { device { '/dev/zero', access = 'r' } }" }, "devices: only a cgroup can hold access")
end)

-- ---- figures ----

t.test("the report's figures are the whole container's", function()
  needs "memory"
  local r = box.run { shell = "(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done) & /guest eat 50; wait", report = true }
  local figures = r.report.figures
  t.ok(figures.memory_peak_bytes > 50 << 20, "memory_peak_bytes is " .. figures.memory_peak_bytes)
  t.ok(figures.pids_peak >= 3, "pids_peak is " .. figures.pids_peak)
  t.ok(figures.user_s > 0.01, "user_s is " .. figures.user_s)
end)

-- ---- what is left ----

t.test("nothing is left, however it ends", function()
  needs "pids"
  local limits = "name = 'cgleft', limits = { pids = 20, wall = '5s' }"
  for _, how in ipairs { { "exit", "0" }, { "raise", "KILL" }, { words = { "/no/such" } } } do
    how.body = limits
    box.run(how)
    t.equal(cgroups_of "cgleft", {})
  end
  box.run { "exit", "0", body = limits .. ", cwd = '/no/such'" }
  t.equal(cgroups_of "cgleft", {})
end)

t.test("in the host's pid namespace what escaped its parent is killed too", function()
  needs "pids"
  t.needs_root()
  local r = box.run { shell = "setsid sleep 1000 & echo $!", body = "name = 'cghost', namespaces = { pid = 'host' }" }
  t.equal(cgroups_of "cghost", {})
  t.ok(not S.kill(tonumber(r.stdout:match "%d+"), 0), "it is gone")
end)

t.test("after a SIGKILL of luge the next start removes them", function()
  needs "pids"
  local p = box.start { "sleep", "1000", body = "name = 'cgkilled'" }
  t.until_true("a process in the cgroup", function() return is_inhabited(cgroups_of "cgkilled"[1]) end)
  p:kill()
  p:wait()
  t.ok(#cgroups_of "cgkilled" > 0, "they stay")
  t.until_true("the end of the container, which is the test's child now", function()
    local _, err = S.wait4(-1, "nohang")
    return err and err.CHILD
  end)
  t.until_true("a start that removes them", function()
    box.run { "exit", "0" }
    return #cgroups_of "cgkilled" == 0
  end)
end)

-- A cgroup as a killed luge leaves it, with a process in it; returns its path, its inode and the process.
local function leftover(name)
  local path = needs "pids".mount .. "/luge/" .. name
  local ino = t.must(S.make_cgroup(path, { above = true }))
  local pid = t.must(S.fork())
  if pid == 0 then
    S.execve("/bin/sleep", { "sleep", "1000" }, {})
    S.exit(1)
  end
  t.must(S.writefile(path .. "/cgroup.procs", pid .. "\n"))
  return path, ino, pid
end

local function note(name, ino, path)
  t.write(("%s/%s.lock"):format(box.state, name), ("luge 999999\ncgroup - above %s\ncgroup %s above %s\n"):format(path, ino, path))
end

t.test("what outlived a killed luge is killed by the next start, by what its lock's file says", function()
  needs "pids"
  t.needs_root()
  local path, ino, pid = leftover "cgorphan"
  note("cgorphan", ino, path)
  t.succeed(box.words { "exit", "0" })
  local status = S.waitid("pid", pid, "exited")
  t.equal({ status.code, status.status }, { "killed", 9 })
  t.succeed(box.words { "exit", "0" }) -- the one before does not wait for the end of it
  t.ok(not S.stat(path), "the cgroup is gone")
  box.nothing_left()
end)

t.test("another container's cgroup of the same name is left alone", function()
  needs "pids"
  t.needs_root()
  local path, ino, pid = leftover "cgother"
  note("cgother", ino + 1, path)
  t.succeed(box.words { "exit", "0" })
  t.ok(S.stat(path), "it is still there")
  t.ok(S.kill(pid, 0), "and so is its process")
  t.equal(S.dir(box.state), {}, "the note is not")
  local r = t.run(box.words { "exit", "0", body = "name = 'cgother'" })
  t.equal(r.code, 125)
  t.contains(r.stderr, "a cgroup of this name is there and holds processes")
  t.contains(r.stderr, "choose another --name")
  S.kill(pid, "kill")
  S.waitid("pid", pid, "exited")
  t.must(S.remove_cgroup(path, { above = true }))
  box.nothing_left()
end)

t.test("many at once make and remove the directory above theirs", function()
  needs "pids"
  local running = {}
  for i = 1, 12 do running[i] = box.start { "exit", "0", body = "limits = { pids = 9, memory = optional('64M') }" } end
  for _, p in ipairs(running) do
    local r = p:wait()
    t.equal(r.code, 0, r.stderr)
  end
  box.nothing_left()
end)

-- ---- all of a container at once ----

t.test("frozen, let go on, killed: in the version 2 hierarchy and in the freezer's", function()
  t.needs_root()
  local cgroup = require "sandbox.container.cgroup"
  -- The kernel freezes in its own time.
  local function frozen(cg, wanted)
    t.until_true("the state", function() return t.must(cgroup.set_frozen(cg, wanted)) end)
  end
  local tried = 0
  for name, hierarchy in pairs { base = layout.v2, freezer = layout.v1.freezer } do
    local path = hierarchy.mount .. "/luge-test-freeze"
    t.must(S.make_cgroup(path))
    local cg = { dirs = { [name] = { version = hierarchy.version, path = path } } }
    local r, w = S.pipe()
    local pid = t.must(S.fork())
    if pid == 0 then
      while true do S.write(w, "x") S.nanosleep(0.001) end
    end
    t.must(S.writefile(path .. "/cgroup.procs", pid .. "\n"))
    frozen(cg, true)
    S.fcntl(r, "setfl", "nonblock")
    while S.read(r, 4096) do end
    S.nanosleep(0.05)
    local none, err = S.read(r, 1)
    t.ok(none == nil and err.AGAIN, "a frozen process wrote")
    frozen(cg, false)
    S.fcntl(r, "setfl", 0)
    t.equal(S.read(r, 1), "x")
    t.must(cgroup.kill(cg))
    t.equal(S.waitid("pid", pid, "exited").status, 9)
    t.must(S.remove_cgroup(path))
    tried = tried + 1
  end
  if tried == 0 then t.skip("no-freezer: neither version 2 nor the freezer is mounted") end
  t.equal(cgroup.set_frozen({ dirs = {} }, true), nil)
  t.ok(not cgroup.kill { dirs = {} })
end)

-- ---- where ----

t.test("limits.parent", function()
  local memory = needs "memory"
  t.needs_root()
  box.refused({ "exit", "0", body = "limits = { memory = '64M', parent = '/luge-test' }" },
    "has no luge-test: there limits.parent for the memory controller would be", "mkdir " .. memory.mount .. "/luge-test")
  local mounts = {}
  for _, controller in ipairs { "memory", "pids" } do
    local at = layout:find(controller).mount .. "/luge-test"
    if not mounts[at] then t.must(S.mkdir(at, "0755")) end
    mounts[at] = true
  end
  local p = box.start { "sleep", "1000", body = "name = 'cgparent', limits = { memory = '64M', parent = '/luge-test' }" }
  local at = memory.mount .. "/luge-test/cgparent"
  t.until_true("a process in the cgroup", function() return is_inhabited(at) end)
  t.equal(tonumber(S.readfile(at .. (memory.version == 1 and "/memory.limit_in_bytes" or "/memory.max"))), 64 << 20)
  p:signal "term"
  p:wait()
  for path in pairs(mounts) do t.must(S.rmdir(path)) end
  box.nothing_left()
end)

t.test("an ordinary user to whom nothing was given", function()
  t.needs_user()
  local memory = layout:find "memory"
  if memory and layout:place(memory, nil, S.geteuid()) then t.needs_root() end -- something was given to this one
  box.refused({ "exit", "0", body = "limits = { memory = '64M' }" }, "limits.memory: the memory controller is ", "optional(")
  box.refused({ "exit", "0", body = "limits = { pids = 20 }" }, "limits.pids: the pids controller is ")
  t.equal(box.run { "exit", "3", body = "limits = { memory = optional('64M') }" }.code, 3)
  local r = box.run { "exit", "0", report = true, body = "limits = { memory = optional('64M') }" }
  t.contains(rows(r.report, "limits.memory")[1].got, "none: the memory controller is on cgroup v")
end)

-- A directory of version 2 with a controller, given to uid 65534: runs luge alone in it, with a limit that needs the
-- controller. look(result, run) may run luge there again; then the directory is as it was.
local function in_given_scope(words, look)
  t.needs_root()
  local v2 = layout.v2
  local controllers = v2 and layout:read(v2.mount .. "/cgroup.controllers") or ""
  local name = controllers:match "hugetlb" or controllers:match "pids"
  if not name then t.skip("no-v2-controller: cgroup v2 has neither hugetlb nor pids here") end
  t.must(S.writefile(v2.mount .. "/cgroup.subtree_control", "+" .. name))
  local scope = v2.mount .. "/luge-test.scope"
  t.must(S.mkdir(scope, "0755"))
  for _, file in ipairs { "", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads" } do
    t.must(S.chown(scope .. file, 65534, 65534))
  end
  local home = t.dir "0777"
  local function run(command)
    command.env = { HOME = home, LUGE_STATE = home .. "/state" }
    command.before = function()
      S.writefile(scope .. "/cgroup.procs", "0")
      S.setgroups {}
      S.setresgid(65534, 65534, 65534)
      S.setresuid(65534, 65534, 65534)
    end
    return t.run(command)
  end
  local limit = name == "pids" and "pids = 20" or "hugetlb = { ['2M'] = '4M' }"
  local report = home .. "/report.json"
  local command = { "luge", "run", "--report", report, "--set", "limits={ " .. limit .. " }" }
  local ok, err = pcall(look, run(table.move(words, 1, #words, #command + 1, command)), run)
  local control, left = S.readfile(scope .. "/cgroup.subtree_control"), {}
  for _, entry in ipairs(S.dir(scope)) do
    if S.stat(scope .. "/" .. entry).type == "directory" then left[#left + 1] = entry end
  end
  local text = t.read(report)
  t.must(S.remove_cgroup(scope))
  if not ok then error(err, 0) end
  t.ok(not control:find "%w", "no controller is given any more")
  t.equal(left, {}, "as it was before")
  rows(t.json.decode(text), "limits." .. name)
end

t.test("a user in a cgroup that was given to him: luge steps aside and comes back", function()
  in_given_scope({ "default", "--", "cat", "/proc/self/cgroup" }, function(r)
    t.equal(r.code, 0, r.stderr)
    t.matches(r.stdout, "0::/\n")
  end)
end)

t.test("in the background too, with the luge that waits for the start", function()
  in_given_scope({ "-d", "--name", "given", "default", "--", "sleep", "1000" }, function(r, run)
    t.equal({ r.code, r.stdout }, { 0, "given\n" }, r.stderr)
    t.equal(run({ "luge", "rm", "-f", "given" }).code, 0)
  end)
end)

t.test("the plan shows each call", function()
  needs "memory"
  local r = t.succeed { "luge", "plan", "--set", "limits.memory=64M", "default", "--", "true" }
  t.matches(r.stdout, 'S%.make_cgroup%("[^"]*/%${name}"')
  t.matches(r.stdout, 'S%.writefile%("[^"]*/memory%.[%w_]+", "67108864"%)')
end)
