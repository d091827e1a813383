-- SPDX-License-Identifier: MIT
-- The tests' harness: run a program, look at what came out, compare. Written on luge's own syscall layer.
--
--   local t = dofile "tests/integration/harness.lua"
--   t.test("the exit code passes", function()
--     local r = t.run { "luge", "run", profile, stdin = "text", timeout = 20 }
--     t.equal(r.code, 7)
--   end)
--
-- Each test adds a line to the file that LUGE_TEST_TALLY names. Directories made by t.dir() go with their test.

local S = require "syscall"
local json = require "luge.json"

local M = {}

local BUILD = os.getenv "BUILD" or "build"
local TOP = S.getcwd()
local build = BUILD:sub(1, 1) == "/" and BUILD or TOP .. "/" .. BUILD

M.top = TOP
M.luge = build .. "/luge"
M.guest = build .. "/tests/guest"
-- Root with root's privilege: in a container that took the capabilities away uid 0 is an ordinary user.
M.root = S.geteuid() == 0 and S.cap_mask(S.capget().effective) & S.cap_mask { "sys_admin", "chown" } ~= 0
M.json = json
M.soak = os.getenv "LUGE_SOAK" ~= nil -- the long form of a test

-- ---- what a test asserts ----

local function describe(value)
  if type(value) == "string" then return string.format("%q", value):gsub("\\\n", "\\n") .. "" end
  if type(value) ~= "table" then return tostring(value) end
  local ok, text = pcall(json.encode, value)
  return ok and text or tostring(value)
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function fail(what, format, ...)
  error((what and what .. ": " or "") .. string.format(format, ...), 3)
end

-- Tables are compared by their contents.
function M.equal(got, expected, what)
  if not same(got, expected) then fail(what, "got %s, expected %s", describe(got), describe(expected)) end
end

function M.differs(got, other, what)
  if same(got, other) then fail(what, "got %s on both sides", describe(got)) end
end

function M.ok(value, what)
  if not value then fail(nil, "%s", what or "is " .. tostring(value)) end
  return value
end

function M.contains(text, part, what)
  if type(text) ~= "string" or not text:find(part, 1, true) then
    fail(what, "%s does not contain %s", describe(text), describe(part))
  end
end

function M.lacks(text, part, what)
  if type(text) ~= "string" or text:find(part, 1, true) then
    fail(what, "%s contains %s", describe(text), describe(part))
  end
end

-- A Lua pattern; returns its captures.
function M.matches(text, pattern, what)
  if type(text) ~= "string" or not text:find(pattern) then
    fail(what, "%s does not match %s", describe(text), describe(pattern))
  end
  return text:match(pattern)
end

-- A failure of the layer: what its function returned is that error, with its number.
function M.fails(name, value, err, number)
  M.equal(value, nil, "a failure")
  M.ok(err[name], ("%s expected, got %s"):format(name, tostring(err)))
  M.equal(number, S.c.E[name])
end

-- The errors of a call of S must not be lost: `t.must(S.open(…))`.
function M.must(value, err)
  if value == nil then error(tostring(err), 2) end
  return value
end

--- Waits until `look` gives a value, and returns it; fails where it does not within `seconds` (20 unless given).
function M.until_true(what, look, seconds)
  local deadline = S.clock_gettime "monotonic" + (seconds or 20)
  while true do
    local value = look()
    if value then return value end
    if S.clock_gettime "monotonic" > deadline then error(what .. " never came", 2) end
    S.nanosleep(0.002)
  end
end

-- ---- files ----

local temporary = {} -- directories to remove at the end of the test, the newest last

-- Removes what lies below an open directory; links are not followed, other file systems not entered.
local function empty(dirfd, dev)
  for _, entry in ipairs(S.getdents(dirfd) or {}) do
    local name = entry.name
    if name ~= "." and name ~= ".." and not S.unlinkat(dirfd, name) then
      S.fchmodat(dirfd, name, "0700")
      local sub = S.openat(dirfd, name, "rdonly, directory, nofollow, cloexec")
      if sub then
        if S.fstat(sub).dev == dev then empty(sub, dev) end
        sub:close()
      end
      S.unlinkat(dirfd, name, "removedir")
    end
  end
end

function M.remove_tree(path)
  local fd = S.open(path, "rdonly, directory, nofollow, cloexec")
  if fd then
    empty(fd, S.fstat(fd).dev)
    fd:close()
    S.rmdir(path)
  else
    S.unlink(path)
  end
end

local counter = 0

-- A new directory, gone at the end of the test. perm: octal text.
function M.dir(perm)
  local path, made, err
  repeat -- a script that was killed and had our pid may have left some
    counter = counter + 1
    path = string.format("%s/luge-test-%d-%d", os.getenv "TMPDIR" or "/tmp", S.getpid(), counter)
    made, err = S.mkdir(path, perm or "0755")
  until made or not err.EXIST
  M.must(made, err)
  S.chmod(path, perm or "0755")
  temporary[#temporary + 1] = path
  return path
end

--- Removes what t.dir() made since the last time.
local function remove_dirs()
  for i = #temporary, 1, -1 do M.remove_tree(temporary[i]) end
  temporary = {}
end

--- Runs f in a forked copy of the test, whose directories are its own.
function M.with_own_dirs(f)
  temporary = {}
  local ok, err = xpcall(f, debug.traceback)
  remove_dirs()
  if not ok then error(err, 0) end
end

function M.write(path, text, perm)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  if perm then M.must(S.chmod(path, perm)) end
  return path
end

function M.read(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

-- A profile in a directory of its own: the path of the file that holds `text`.
function M.profile(text)
  return M.write(M.dir() .. "/profile.lua", text, "0644")
end

-- A root directory with nothing but the guest, as /guest, and the directories every system has.
function M.rootfs()
  local root = M.dir()
  for _, name in ipairs { "proc", "sys", "dev", "tmp", "run", "etc", "root" } do
    M.must(S.mkdir(root .. "/" .. name, "0755"))
  end
  M.write(root .. "/guest", M.read(M.guest), "0755")
  return root
end

-- ---- programs ----

local function environment(given)
  local env = { PATH = os.getenv "PATH", HOME = os.getenv "HOME", LANG = "C.UTF-8", TMPDIR = os.getenv "TMPDIR" }
  for _, name in ipairs { "LUGE_STATE", "ASAN_OPTIONS", "UBSAN_OPTIONS", "XDG_RUNTIME_DIR", "USER", "LOGNAME" } do
    env[name] = os.getenv(name)
  end
  for name, value in pairs(given or {}) do env[name] = value or nil end
  local list = {}
  for name, value in pairs(env) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return list
end

local function find_program(name)
  if M[name] and (name == "luge" or name == "guest") then return M[name] end
  if name:find "/" then return name end
  for dir in (os.getenv "PATH" or "/usr/bin:/bin"):gmatch "[^:]+" do
    if S.access(dir .. "/" .. name, "x") then return dir .. "/" .. name end
  end
  error("no program " .. name, 3)
end

-- In the child: never returns.
local function become(command, path, stdin, stdout, stderr)
  S.dup3(stdin, 0)
  S.dup3(stdout, 1)
  S.dup3(stderr, 2)
  for number, fd in pairs(command.fds or {}) do
    if not S.dup3(fd, number) then S.fcntl(number, "setfd", 0) end -- it has that number already
  end
  if command.cwd then S.chdir(command.cwd) end
  if command.uid then
    S.setgroups {}
    S.setresgid(command.uid, command.uid, command.uid)
    S.setresuid(command.uid, command.uid, command.uid)
  end
  if command.before then command.before() end
  local _, err = S.execve(path, command, environment(command.env))
  S.write(2, string.format("harness: cannot execute %s: %s\n", path, tostring(err)))
  S.exit(127)
end

local Process = {}
Process.__index = Process

-- Starts a program: the words are the list part; fields: stdin = text (default: /dev/null), env = { NAME = value or
-- false }, keep_input = true (not closed after the text), cwd, uid, fds = { [number] = fd }, before = function run in the
-- child. Returns a process; see t.run.
function M.start(command)
  local path = find_program(command[1])
  local out_r, out_w = S.pipe "cloexec"
  local err_r, err_w = S.pipe "cloexec"
  local in_r, in_w
  if command.stdin then
    in_r, in_w = S.pipe "cloexec"
  else
    in_r = M.must(S.open("/dev/null", "rdonly, cloexec"))
  end
  io.stdout:flush()
  local pid = M.must(S.fork())
  if pid == 0 then become(command, path, in_r, out_w, err_w) end
  in_r:close()
  out_w:close()
  err_w:close()
  local self = setmetatable({
    pid = pid, pidfd = M.must(S.pidfd_open(pid)), words = table.concat(command, " "),
    deadline = S.clock_gettime "monotonic" + (command.timeout or 60),
    stdout = "", stderr = "", open = { stdout = out_r, stderr = err_r }, input = command.stdin, in_w = in_w,
  }, Process)
  if in_w then S.fcntl(in_w, "setfl", "nonblock") end
  self.keep_input = command.keep_input
  if command.stdin == "" and not command.keep_input then self:close_input() end
  return self
end

function Process:close_input()
  if self.in_w then self.in_w:close() end
  self.in_w = nil
end

function Process:feed()
  local n, err = S.write(self.in_w, self.input)
  if n then
    self.input = self.input:sub(n + 1)
  elseif not err.AGAIN then
    self.input = "" -- nobody reads any more
  end
  if self.input == "" and not self.keep_input then self:close_input() end
end

function Process:drain(name)
  local data = S.read(self.open[name], 65536)
  if data and data ~= "" then
    self[name] = self[name] .. data
  else
    self.open[name]:close()
    self.open[name] = nil
  end
end

-- One round: what can be read is read, what can be written is written. False when nothing came in time.
function Process:pump(seconds)
  local list, names = {}, {}
  local function watch(name, fd, events)
    list[#list + 1] = { fd = fd, events = events }
    names[fd:getfd()] = name
  end
  if not self.ended then watch("pidfd", self.pidfd, "in") end
  for name, fd in pairs(self.open) do watch(name, fd, "in") end
  if self.in_w and self.input ~= "" then watch("input", self.in_w, "out") end
  local ready = M.must(S.poll(list, math.max(0, math.floor(seconds * 1000))))
  for _, r in ipairs(ready) do
    local name = names[type(r.fd) == "number" and r.fd or r.fd:getfd()]
    if name == "pidfd" then
      self.ended = true
    elseif name == "input" then
      self:feed()
    else
      self:drain(name)
    end
  end
  return #ready > 0
end

-- Waits until the output so far has the pattern; raises when the program ends or time is up first.
function Process:await(pattern, stream)
  stream = stream or "stdout"
  while not self[stream]:find(pattern) do
    local left = self.deadline - S.clock_gettime "monotonic"
    if left <= 0 or (self.ended and not next(self.open)) then
      self:kill()
      error(string.format("%s: %s never came on %s: %s%s", self.words, pattern, stream, self.stdout, self.stderr), 2)
    end
    self:pump(self.ended and 0.2 or left)
  end
  return self[stream]:match(pattern)
end

function Process:signal(name)
  return S.pidfd_send_signal(self.pidfd, name)
end

function Process:kill()
  S.pidfd_send_signal(self.pidfd, "kill")
end

-- Until the program has ended and its output is read: { code, signal, stdout, stderr, timed_out, held }.
-- held: something that the program left behind still held its output open.
function Process:wait()
  local held
  while not self.ended or next(self.open) do
    local left = self.deadline - S.clock_gettime "monotonic"
    if left <= 0 and not self.ended then
      self.timed_out = true
      self:kill()
      self.deadline = S.clock_gettime "monotonic" + 10
    elseif not self.ended then
      self:pump(left)
    elseif not self:pump(2) then
      held = true
      break
    end
  end
  self:close_input()
  for _, fd in pairs(self.open) do fd:close() end
  local _, status, usage = S.wait4(self.pid)
  self.pidfd:close()
  local killed = status.code ~= "exited"
  return {
    code = killed and 128 + status.status or status.status, signal = killed and status.status or nil,
    stdout = self.stdout, stderr = self.stderr, timed_out = self.timed_out, held = held, usage = usage,
  }
end

-- Runs a program to its end. report = true adds `--report` after `luge run` and decodes it into result.report.
function M.run(command)
  local words, report_path = command, nil
  if command.report then
    report_path = M.dir "0777" .. "/report.json"
    words = table.move(command, 1, #command, 1, {})
    for k, v in pairs(command) do
      if type(k) == "string" then words[k] = v end
    end
    table.insert(words, 3, "--report")
    table.insert(words, 4, report_path)
  end
  local result = M.start(words):wait()
  if report_path then
    local text = M.read(report_path)
    result.report = text and assert(json.decode(text))
  end
  if result.timed_out then
    error(string.format("%s: not over in time: %s%s", table.concat(command, " "), result.stdout, result.stderr), 2)
  end
  return result
end

-- Runs it, expects exit code 0, and returns the result.
function M.succeed(command)
  local r = M.run(command)
  if r.code ~= 0 then
    error(string.format("%s ended with %d: %s%s", table.concat(command, " "), r.code, r.stdout, r.stderr), 2)
  end
  return r
end

-- The row of a field in a report's receipt.
function M.row(report, field)
  for _, r in ipairs(report.receipt) do
    if r.field == field then return r end
  end
  error("no row " .. field, 2)
end

-- The JSON that a program prints: the facts of the guest, a plan.
function M.decoded(command)
  local r = M.succeed(command)
  local value, err = json.decode(r.stdout)
  if not value then error(err .. ": " .. r.stdout, 2) end
  return value
end

-- ---- tests ----

local SKIP = {}
local script = arg and (arg[0] or ""):match "([^/]*)%.lua$" or "?"

-- Leaves the test; the reason starts with a key ("no-mirror: debootstrap found none"), which LUGE_MUST_RUN=1 wants
-- to find in tests/impossible.txt.
function M.skip(reason)
  error(setmetatable({ reason = reason }, SKIP), 0)
end

-- Leaves a test that means nothing for an ordinary user (or for root): that is no skip.
function M.needs_root()
  if not M.root then error(setmetatable({}, SKIP), 0) end
end

function M.needs_user()
  if S.geteuid() == 0 then error(setmetatable({}, SKIP), 0) end
end

-- Leaves a test of the 32-bit gate where the kernel has none: there int 0x80 is a fault, with or without a filter.
function M.needs_ia32()
  local getpid, sigsegv = "20", 11
  if M.run { "guest", "try", "int80", getpid }.signal == sigsegv then
    M.skip "no-ia32: int 0x80 is a fault: a kernel without IA-32 emulation"
  end
end

local function note(outcome, name)
  local path = os.getenv "LUGE_TEST_TALLY"
  if path then
    local file = assert(io.open(path, "a"))
    file:write(outcome, " ", name, "\n")
    file:close()
  end
end

local function message(err)
  if getmetatable(err) == SKIP then return err end
  local text = debug.traceback(tostring(err), 2)
  -- Frames of the harness and of luge below the test's own say nothing.
  return (text:gsub("\n%s*tests/integration/harness%.lua:%d+: in field 'test'.*", ""))
end

-- The exit code says it, too, when the script is over.
local verdict = setmetatable({}, { __gc = function(self) if self.failed then os.exit(1) end end })

function M.test(name, body)
  local ok, err = xpcall(body, message)
  remove_dirs()
  if ok then
    note("pass", script .. "::" .. name)
    if os.getenv "V" then print("ok      " .. name) end
  elseif getmetatable(err) == SKIP and not err.reason then
    note("none", script .. "::" .. name)
  elseif getmetatable(err) == SKIP then
    note("skip", script:gsub(" ", "-") .. "::" .. name:gsub(" ", "-") .. " " .. err.reason)
    print("skipped " .. name .. ": " .. err.reason)
  else
    verdict.failed = true
    note("fail", script .. "::" .. name)
    print("FAILED  " .. name .. ": " .. err)
  end
end

return M
