#!/boot/luge lua
-- SPDX-License-Identifier: MIT
-- PID 1 of the machine of `make vm`: makes it one like any other, runs the tests of /luge/build/suite, says on the
-- second serial port how they went, and turns the machine off.
--
-- With "luge.script=PATH" on the kernel's command line that script, as root, is all it runs.
--
-- What it says: a line that starts with "= " is one of a tally (see tests/run), "= end" is the last; others are for
-- people to read. The first serial port is the kernel's console.

local S = require "syscall"

local TREE, USER_TREE, HOME = "/luge", "/home/user/luge", "/home/user"
local SCRIPT_LIMIT, NOBODY = 600, 65534
local ENVIRONMENT = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "BUILD=build",
  "TMPDIR=/tmp" }
local VARIABLES = {
  root = { "HOME=/root", "USER=root", "LOGNAME=root" },
  user = { "HOME=" .. HOME, "USER=nobody", "LOGNAME=nobody" },
}

local port

local function must(value, err)
  if not value then error(tostring(err), 2) end
  return value
end

local function say(format, ...)
  if port then port:write(format:format(...), "\n") port:flush() end
end

-- ---- programs ----

local function environment(who, variables)
  local list = { table.unpack(ENVIRONMENT) }
  for _, more in ipairs { VARIABLES[who], variables or {} } do table.move(more, 1, #more, #list + 1, list) end
  return list
end

-- The ordinary user's part of the cgroups, as systemd delegates one to each session.
local DELEGATED, SESSION = "/sys/fs/cgroup/user", "/sys/fs/cgroup/user/session"

local function delegate()
  for _, dir in ipairs { DELEGATED, SESSION } do
    must(S.mkdir(dir, "0755"))
    for _, name in ipairs { "", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads" } do
      must(S.chown(dir .. name, NOBODY, NOBODY))
    end
  end
end

local function become_user()
  must(S.writefile(SESSION .. "/cgroup.procs", "0"))
  must(S.setgroups {})
  must(S.setresgid(NOBODY, NOBODY, NOBODY))
  must(S.setresuid(NOBODY, NOBODY, NOBODY))
end

-- Starts a program; returns its pid.
local function start(words, who, dir, log, variables)
  local pid = must(S.fork())
  if pid == 0 then
    local out = must(S.open(log, "wronly, creat, trunc, cloexec", "0644"))
    local null = must(S.open("/dev/null", "rdonly, cloexec"))
    S.dup3(null, 0)
    S.dup3(out, 1)
    S.dup3(out, 2)
    must(S.chdir(dir))
    if who == "user" then become_user() end
    S.execve(words[1], words, environment(who, variables))
    S.exit(127)
  end
  return pid
end

-- The next of our children to end, orphans that became ours among them: its pid and code, 128+n for a signal.
local function wait()
  local pid, status = S.wait4(-1)
  if pid then return pid, status.code == "exited" and status.status or 128 + status.status end
  error(tostring(status))
end

local function sh(script)
  local pid = start({ "/bin/sh", "-ec", script }, "root", "/", "/dev/console")
  local ended, code
  repeat ended, code = wait() until ended == pid
  if code ~= 0 then error(("%s: ended with %d"):format(script, code)) end
end

-- ---- the machine ----

local function mount(type, target, data, flags)
  S.mkdir(target, "0755")
  must(S.mount { source = type, target = target, type = type, data = data, flags = flags })
end

local function load_modules()
  for path in io.lines "/boot/modules/order" do
    local fd, err = S.open(path, "rdonly, cloexec")
    local ok
    if fd then ok, err = S.finit_module(fd) end
    if not ok and not err.EXIST then error(path .. ": " .. tostring(err)) end
  end
end

-- A root file system on a disk, as machines have it: the initial one can be neither left by pivot_root(2) nor, before
-- Linux 6.3, be mounted with an id map.
local function switch_root()
  mount("devtmpfs", "/dev")
  load_modules()
  for _ = 1, 100 do
    if S.stat "/dev/vda" then break end
    S.nanosleep(0.05)
  end
  must(S.mkdir "/new")
  must(S.mount { source = "/dev/vda", target = "/new", type = "ext4" })
  sh "cd / && for name in *; do case $name in dev | new) ;; *) cp -a $name /new/ ;; esac; done; mkdir -p /new/dev"
  must(S.mount { source = "/dev", target = "/new/dev", flags = "move" })
  must(S.chdir "/new")
  must(S.mount { source = ".", target = "/", flags = "move" })
  must(S.chroot ".")
  must(S.chdir "/")
end

local function mount_all()
  mount("proc", "/proc", nil, "nosuid, nodev, noexec")
  mount("sysfs", "/sys", nil, "nosuid, nodev, noexec")
  mount("tmpfs", "/run", "mode=0755", "nosuid, nodev")
  mount("devpts", "/dev/pts", "mode=0620,gid=5,ptmxmode=0666", "nosuid, noexec")
  mount("tmpfs", "/dev/shm", "mode=1777", "nosuid, nodev")
  mount("mqueue", "/dev/mqueue", nil, "nosuid, nodev, noexec")
  for name, target in pairs { fd = "", stdin = "/0", stdout = "/1", stderr = "/2" } do
    S.symlink("/proc/self/fd" .. target, "/dev/" .. name)
  end
  must(S.chmod("/dev/net/tun", "0666")) -- as udev does
  mount("cgroup2", "/sys/fs/cgroup", nil, "nosuid, nodev, noexec")
  for name in must(S.readfile "/sys/fs/cgroup/cgroup.controllers"):gmatch "%S+" do
    must(S.writefile("/sys/fs/cgroup/cgroup.subtree_control", "+" .. name))
  end
end

local function set_up()
  switch_root()
  mount_all()
  delegate()
  must(S.sethostname "luge-vm")
  must(require("netns").up "lo")
  sh(("mkdir -p %s && cp -a %s %s && chown -R %d:%d %s"):format(HOME, TREE, USER_TREE, NOBODY, NOBODY, HOME))
end

-- ---- tests ----

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local jobs = {} -- running, by pid

local function start_job(number, who, script)
  local job = { who = who, script = script, began = S.clock_gettime "monotonic", log = ("/run/log%d"):format(number),
    tally = ("/run/tally%d"):format(number) }
  must(S.open(job.tally, "wronly, creat, excl, cloexec", "0666")):close()
  must(S.chmod(job.tally, "0666"))
  local words = { "/usr/bin/timeout", "-s", "KILL", tostring(SCRIPT_LIMIT), TREE .. "/build/luge", "lua", script }
  jobs[start(words, who, who == "user" and USER_TREE or TREE, job.log, { "LUGE_TEST_TALLY=" .. job.tally })] = job
end

-- As run_scripts of tests/run does it.
local function end_job(job, code)
  local count, tally = { pass = 0, fail = 0, skip = 0, none = 0 }, lines_of(must(S.readfile(job.tally)))
  for _, line in ipairs(tally) do
    local outcome = line:match "^%l+"
    count[outcome] = count[outcome] + 1
  end
  if code ~= 0 and count.fail == 0 then
    tally[#tally + 1] = ("fail %s ended with code %d"):format(job.script, code)
    count.fail = 1
  end
  say("%-50s %d passed%s%s, %.1f s", job.script .. (job.who == "user" and " (user)" or ""), count.pass,
    count.fail > 0 and (", %d FAILED"):format(count.fail) or "",
    count.skip > 0 and (", %d skipped"):format(count.skip) or "", S.clock_gettime "monotonic" - job.began)
  for _, line in ipairs(lines_of(must(S.readfile(job.log)))) do say("%s", line) end
  for _, line in ipairs(tally) do say("= %s", (line:gsub("^(%l+) ", "%1 " .. job.who .. ":"))) end
end

-- All of them, as many at once as there are processors.
local function run_jobs(lines)
  local next_line, running, slots = 1, 0, #S.sched_getaffinity(0)
  while next_line <= #lines or running > 0 do
    if next_line <= #lines and running < slots then
      start_job(next_line, lines[next_line]:match "^(%l+) (.*)$")
      next_line, running = next_line + 1, running + 1
    else
      local pid, code = wait()
      local job = jobs[pid]
      if job then
        jobs[pid], running = nil, running - 1
        end_job(job, code)
      end
    end
  end
end

local function main()
  local started = S.clock_gettime "boottime"
  set_up()
  port = assert(io.open("/dev/ttyS1", "w"))
  say("Linux %s: started after %.1f s, ready after %.1f s", S.uname().release, started, S.clock_gettime "boottime")
  local script = must(S.readfile "/proc/cmdline"):match "luge%.script=(%S+)"
  run_jobs(script and { "root " .. script } or lines_of(must(S.readfile(TREE .. "/build/suite"))))
  say "= end"
end

local ok, err = xpcall(main, debug.traceback)
if not ok then
  io.stderr:write("init: ", err, "\n")
  say("init: %s", err)
end
if port then port:close() end
S.reboot "power_off"
