-- SPDX-License-Identifier: MIT
-- sandbox.container.detach: `run -d`: the luge that would have stayed in the foreground goes on in the background.
--
-- It forks before it makes anything, since the container dies with the process that cloned it. The caller returns when
-- the command was executed, or with what went wrong; should it be killed before, the start is given up. From then on
-- nobody reads what luge says: how the container ends is written into its record.

local S = require "syscall"
local json = require "luge.json"
local must = require "sandbox.must"
local record = require "sandbox.container.record"

local M = {}

local FAILED = must.FAILED

-- ---- the background ----

--- The descriptors above stderr that came with the process: their numbers. To be asked before luge opens its own.
function M.inherited()
  local fd, list = S.open("/proc/self/fd", "rdonly, directory, cloexec"), {}
  for _, entry in ipairs(fd and S.getdents(fd) or {}) do
    local number = tonumber(entry.name)
    if number and number > 2 and number ~= fd:getfd() then list[#list + 1] = number end
  end
  if fd then fd:close() end
  return list
end

-- Nothing of the caller's stays: not its terminal and session, not its descriptors, but those for the container and for
-- events. stderr is kept for what may go wrong before the container runs.
local function leave_caller(run)
  must("a session of its own", S.setsid())
  local wanted = { [run.status or 0] = true }
  for _, number in ipairs(run.keep) do wanted[number] = true end
  for _, number in ipairs(run.inherited) do
    if not wanted[number] then S.close(number) end
  end
  for _, fd in ipairs(run.others or {}) do fd:close() end
  local stderr = S.fcntl(2, "dupfd_cloexec", 3)
  local null = must("/dev/null", S.open("/dev/null", "rdwr, cloexec"))
  for number = 0, 2 do must("/dev/null", S.dup3(null, number)) end
  null:close()
  return stderr
end

local function first_record(run)
  return { name = run.name, profile = run.spec.profile_name, argv = json.array(run.argv), state = "running", rm = run.detached.rm,
    created = S.clock_gettime "realtime", pid = run.watch.process.pid, luge = S.getpid(),
    log = run.log and run.log.writer.path, group = run.group, needs = run.needs }
end

-- What the record says of a container that is started again.
local function note(run, state)
  local known = run.detached.record
  known.state, known.restarts, known.pid = state, run.restarts, run.watch.process and run.watch.process.pid
  record.write(run.state, known) -- only what `ps` shows
end

-- The same in short, in the lock, for `ps`; the state comes last.
local function note_in_lock(run)
  local lock, text = run.symbols["lock.name"], record.note(run.detached.record)
  local ok, err = S.note_lock(lock, text)
  local size
  if ok then size, err = S.lseek(lock, 0, "end") end
  if not size then return nil, err end
  run.detached.state_at = size - #record.STATES.running
  return true
end

-- The container is there, and PID 1 about to be sealed.
local function created(run)
  local own = run.detached
  if own.record then
    note(run, "running")
    return note_in_lock(run) -- which has forgotten all of the last run
  end
  own.record = first_record(run)
  local ok, err = record.write(run.state, own.record)
  if ok then own.reserved, err = record.reserve(run.state, own.record) end
  ok = ok and not err
  if ok then ok, err = note_in_lock(run) end
  if not ok then
    own.record = nil
    run.watch.setup = { failed = true, index = 0, err = { text = ("the record %s.json: %s"):format(run.name, tostring(err)) } }
    S.pidfd_send_signal(run.watch.process.pidfd, "kill")
  end
end

-- The caller is gone before it was told: what it waits for is given up, also where the command is executed meanwhile.
local function attend(run, watch)
  local own = run.detached
  local caller = own.caller
  if not caller then return end
  watch:listen(caller, function()
    S.epoll_ctl(watch.poll, "del", caller)
    own.given_up = true
    watch:stop("stopped")
  end)
end

-- What the start needed and nobody needs any more. No collection: it would write to more than it frees (monitor.lua).
local function forget(run)
  local own = run.detached
  if own.caller and not own.given_up then S.epoll_ctl(run.watch.poll, "del", own.caller) end
  for _, name in ipairs { "caller", "stderr" } do
    if own[name] then own[name]:close() end
    own[name] = nil
  end
  for _, number in ipairs(run.spec.restart and {} or run.keep) do
    if number > 2 and number ~= run.status then S.close(number) end
  end
  -- The mounts that the child was sent.
  for name, value in pairs(run.symbols) do
    if name:find("^fd%.") and type(value) == "userdata" then
      value:close()
      run.symbols[name] = nil
    end
  end
  S.chdir "/"
end

local function started(run)
  local caller = run.detached.caller
  if caller and not run.detached.given_up then
    run.watch.handlers[caller:getfd()] = nil
    S.send(caller, "started")
  end
  forget(run)
end

-- Follows what happens, by the events that --status-fd gets too.
local function follow(run)
  local tell = run.events
  run.events = function(event)
    if event.event == "created" then created(run) elseif event.event == "started" then started(run) end
    if event.event == "restarting" then note(run, "restarting") end
    tell(event)
  end
  run.attend = function(watch) attend(run, watch) end
  run.changed = function(state)
    local own = run.detached
    own.record.state = state
    record.write(run.state, own.record) -- only what `ps` shows
    if own.state_at then S.pwrite(run.symbols["lock.name"], record.STATES[state], own.state_at) end
  end
end

--- The container has ended, and its name is still ours: what remains of it. Without an outcome, which a bug of luge's
-- cost it, what was written so far remains, and `ps` shows it as lost.
function M.ended(run, outcome)
  -- One that never ran leaves nothing, as in the foreground: its caller has heard why.
  local own, log = run.detached, run.log and run.log.writer
  local leaves = own.record and not own.rm and not own.caller and not own.given_up
  if log and not leaves then log:remove() end
  if log then log:close() end -- while the name is ours: then whoever has it may remove the log
  if not leaves then
    if own.record then record.remove(run.state, run.name) end
    return
  elseif not outcome then
    return
  end
  local final, usage = own.record, outcome.rusage or {}
  final.state, final.ended = "ended", S.clock_gettime "realtime"
  final.exit_code, final.signal, final.reason = outcome.exit_code or FAILED, outcome.signal, outcome.reason_name or "setup"
  final.wall_s, final.user_s, final.sys_s = outcome.wall_s, usage.utime, usage.stime
  final.log_lost_bytes = log and log.lost
  final.restarts = run.restarts
  final.message = require("sandbox.container.explain").message(run, outcome)
  local function add(text) final.message = (final.message and final.message .. "\n" or "") .. "luge: " .. text end
  for _, text in ipairs(outcome.kept and outcome.kept.failed or {}) do add("keep: " .. text) end
  for _, text in ipairs(outcome.hooks or {}) do add("hooks.stopped: " .. text) end
  record.write(run.state, final, own.reserved)
end

-- Never returns: what went wrong before the container ran is said to the caller, then to nobody.
local function background(run, perform)
  local own = run.detached
  follow(run)
  local ok, code = xpcall(function()
    own.stderr = leave_caller(run)
    return perform(run, function()
      if not own.stderr then return end
      S.dup3(own.stderr, 2)
      if run.hook_output then io.stderr:write(run.hook_output:tail()) end
    end)
  end, function(raised) return must.words(raised) or "internal error: " .. debug.traceback(tostring(raised), 2) end)
  if not ok then
    if own.stderr then S.dup3(own.stderr, 2) end
    code = require("sandbox.cli").complain(code)
  end
  if own.caller then S.send(own.caller, tostring(code)) end
  S.exit(code)
end

-- ---- the caller ----

local function report(name, message)
  if message == "started" then
    io.write(name, "\n")
    return 0
  end
  local code = tonumber(message)
  if code then return code end
  return require("sandbox.cli").complain("the start was cut off: the luge in the background was killed",
    "luge gc takes away what it left")
end

-- The signals that end a start, but for those that somebody had ignored: blocked, and a descriptor of them. The background
-- blocks the same ones, by itself.
local function block_ends()
  local names = {}
  for _, name in ipairs { "hup", "int", "quit", "term" } do
    if S.sigaction(name) ~= "ignore" then names[#names + 1] = name end
  end
  local wanted = table.concat(names, ", ")
  must("luge's own signals", S.sigprocmask("block", wanted))
  return must("luge's own signals", S.signalfd(wanted, "nonblock"))
end

--- Runs a container in the background as M.run does; a signal that ends this luge ends the start. Returns the exit code.
function M.run_alone(run, perform, options)
  local signals = block_ends()
  run.others = { signals }
  local asked
  local code = M.run(run, perform, options, function(answer)
    while true do
      local ready = S.poll { { fd = signals, events = "in" }, { fd = answer, events = "in" } } or {}
      local info = S.signalfd_read(signals)
      if info then
        asked = asked or info.name:upper()
        return true
      end
      if #ready > 0 then return false end
    end
  end)
  if not asked then return code end
  if code == 0 then require("sandbox.container.life").stop_and_remove(run.state, run.name) end -- it was up just before
  return 128 + S.c.SIG[asked]
end

--- Runs a container in the background; perform(run, before_words) runs it to its end, calls before_words before it says
-- something, and returns the exit code. run.others: descriptors of the caller's that the background must not hold.
-- is_interrupted(fd), of a caller that has blocked its signals: waits until `fd` can be read; true for a signal, which ends
-- the start. Returns the caller's exit code, when the container runs or could not be started.
function M.run(run, perform, options, is_interrupted)
  local here, there = S.socketpair("unix", "seqpacket")
  if not here then return require("sandbox.cli").complain("run -d: " .. tostring(there)) end
  io.stdout:flush()
  local pid, err = S.fork()
  if not pid then return require("sandbox.cli").complain("run -d: " .. tostring(err)) end
  run.detached = { rm = options.rm == true }
  if pid == 0 then
    here:close()
    run.detached.caller = there
    background(run, perform)
  end
  there:close()
  local interrupted = false
  while is_interrupted(here) do
    S.kill(pid, "term")
    interrupted = true
  end
  local message = S.recv(here, 64)
  if interrupted and message == "started" then return 0 end -- it is not announced: nobody wants it any more
  return report(run.name, message)
end

return M
