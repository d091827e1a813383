-- SPDX-License-Identifier: MIT
-- sandbox.container.health: `health`: whether what runs in a container works, asked by the luge that watches it.
--
-- A check is `luge exec` in a process of its own: the command joins under the container's protection, as anybody's would,
-- and the loop only hears of its end. What it prints is read, and the first of it kept to be shown. Or the container's command
-- says by itself that it is ready, by a newline on a descriptor that it was given.
--
-- "starting" becomes "healthy" with the first good word, "unhealthy" after so many bad ones in a row; then a policy of
-- restarts ends this run.

local S = require "syscall"
local loop = require "sandbox.container.loop"
local must = require "sandbox.must"
local vitals = require "sandbox.container.vitals"

local M = {}

local KEPT = 512 -- bytes of a check's output
local CHUNK = 16384
local OFTEN = 1 -- seconds between checks at most, as long as it starts
local PATIENCE = 5 -- seconds for luge exec itself, beside the check's timeout

local Health = {}
Health.__index = Health

local function now() return S.clock_gettime "monotonic" end

-- ---- states ----

local function printable(text)
  text = text:gsub("%s+$", ""):gsub("%c+", " ")
  return utf8.len(text) and text or text:gsub("[\128-\255]", "?")
end

-- A new state, and what was found.
local function become(self, state, found)
  self.found = found
  if state == self.state then return end
  local run = self.watch.run
  self.state, run.health_state = state, state
  vitals.write(run)
  run.events { event = "health", state = state, exit_code = found.exit_code, output = found.output }
  if run.server then require("sandbox.container.control").changed(self.watch) end
  run.last_health = found
  if state == "unhealthy" and run.spec.restart then self.watch:stop("unhealthy") end
end

local function in_start_period(self)
  return self.state == "starting" and now() - self.began < self.spec.start_period
end

local function judge(self, found)
  local starts = in_start_period(self)
  if found.exit_code == 0 then
    self.failures = 0
    become(self, "healthy", found)
  elseif not starts then
    self.failures = self.failures + 1
    become(self, self.failures >= self.spec.retries and "unhealthy" or self.state, found)
  else
    self.found = found
  end
  loop.arm(self.timer, in_start_period(self) and math.min(self.spec.interval, OFTEN) or self.spec.interval)
end

-- ---- a check ----

-- Never returns.
local function become_exec(self, writer)
  local run = self.watch.run
  local words = { "luge", "exec", "--timeout", ("%.3f"):format(self.spec.timeout), run.name, "--" }
  table.move(self.spec.command, 1, #self.spec.command, #words + 1, words)
  local null = S.open("/dev/null", "rdonly, cloexec")
  if null then S.dup3(null, 0) end
  for number = 1, 2 do S.dup3(writer, number) end
  S.prctl("set_pdeathsig", "kill")
  S.sigprocmask("setmask", "")
  local _, err = S.execve("/proc/self/exe", words, { "LUGE_STATE=" .. run.state, "PATH=/usr/bin:/bin" })
  S.write(2, "luge exec: " .. tostring(err))
  S.exit(must.FAILED)
end

local function read_output(self, check)
  local data = S.read(check.reader, CHUNK)
  if not data then return false end
  if data == "" then
    S.epoll_ctl(self.watch.poll, "del", check.reader)
    check.closed = true
  elseif #check.output < KEPT then
    check.output = (check.output .. data):sub(1, KEPT)
  end
  return data ~= ""
end

local function end_check(self)
  local check, watch = self.check, self.watch
  self.check = nil
  local status = S.waitid("pidfd", check.pidfd, "exited") or { code = "exited", status = must.FAILED }
  -- Whatever it left running may hold the pipe, and go on.
  for _ = 1, 8 do
    if check.closed or not read_output(self, check) then break end
  end
  for _, fd in ipairs { check.pidfd, check.reader } do
    watch.handlers[fd:getfd()] = nil
    fd:close()
  end
  return { exit_code = status.code == "exited" and status.status or 128 + status.status, output = printable(check.output),
    checked = S.clock_gettime "realtime" }
end

local function check_ended(self)
  local found, watch = end_check(self), self.watch
  if watch.gone or watch.stopping then return end
  -- It stood still as well.
  if watch.paused or self.was_paused then return loop.arm(self.timer, self.spec.interval) end
  judge(self, found)
end

local function begin_check(self)
  local watch = self.watch
  local reader, writer = S.pipe()
  local pid, err
  if reader then pid, err = S.fork() else err = writer end
  if pid == 0 then become_exec(self, writer) end
  if writer and reader then writer:close() end
  local pidfd = pid and S.pidfd_open(pid)
  if not pidfd then
    if reader then reader:close() end
    return judge(self, { exit_code = must.FAILED, output = tostring(err) })
  end
  S.fcntl(reader, "setfl", "nonblock")
  local check = { pidfd = pidfd, reader = reader, output = "" }
  self.check, self.was_paused = check, false
  watch:listen(reader, function() read_output(self, check) end)
  watch:listen(pidfd, function() check_ended(self) end)
  loop.arm(self.timer, self.spec.timeout + PATIENCE)
end

-- ---- a descriptor ----

local function ready_readable(self)
  local data = S.read(self.ready, CHUNK)
  if data and data ~= "" and not data:find("\n", 1, true) then return end
  S.epoll_ctl(self.watch.poll, "del", self.ready)
  self.over = true
  if self.watch.gone or self.watch.stopping then return end
  if data and data ~= "" then
    become(self, "healthy", {})
  else
    become(self, "unhealthy", { output = ("descriptor %d was closed without a newline"):format(self.spec.fd) })
  end
end

-- ---- the timer ----

local function timer_expired(self)
  local watch = self.watch
  if watch.gone or watch.stopping or self.over then return end
  if watch.paused then
    self.was_paused = true
    loop.arm(self.timer, math.min(self.spec.interval, OFTEN))
  elseif self.spec.fd then
    become(self, "unhealthy", { output = ("no newline on descriptor %d in %gs"):format(self.spec.fd, self.spec.start_period) })
  elseif self.check then
    S.pidfd_send_signal(self.check.pidfd, "kill")
  else
    begin_check(self)
  end
end

--- The container's command was executed: begins to ask, in the loop of `watch`.
function M.start(watch)
  local self = setmetatable({ watch = watch, spec = watch.run.spec.health, state = "starting", failures = 0,
    began = now(), found = {}, ready = watch.run.ready }, Health)
  watch.run.health_state = "starting"
  vitals.write(watch.run)
  self.timer = loop.new_timer(watch, function() timer_expired(self) end)
  if self.ready then watch:listen(self.ready, function() ready_readable(self) end) end
  loop.arm(self.timer, self.spec.fd and self.spec.start_period or 0)
  return self
end

--- The container has ended. luge exec sees that too, and reaps what is its own; killed, it would leave that to others.
function Health:finish()
  if self.check then
    if #(S.poll({ { fd = self.check.pidfd, events = "in" } }, PATIENCE * 1000) or {}) == 0 then
      S.pidfd_send_signal(self.check.pidfd, "kill")
    end
    end_check(self)
  end
  for _, fd in ipairs { self.timer, self.ready } do
    self.watch.handlers[fd:getfd()] = nil
    fd:close()
  end
  self.watch.run.ready = nil
end

--- What is known: { state =, failures = in a row, exit_code =, output =, checked = seconds of the epoch }.
function Health:facts()
  return { state = self.state, failures = self.failures, exit_code = self.found.exit_code, output = self.found.output,
    checked = self.found.checked }
end

return M
