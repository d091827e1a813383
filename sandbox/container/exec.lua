-- SPDX-License-Identifier: MIT
-- sandbox.container.exec: one more command in a container that runs.
--
-- The container's own luge says what it is (sandbox.container.describe) and hands over the pidfd of its PID 1, by which
-- a child of ours joins: that number is nobody else's. The child takes the steps of sandbox.plan.exec and executes the
-- stage, out of the container's sight; what the stage brings forth inside is our child too, and ends with us.

local S = require "syscall"
local Steps = require "sandbox.plan.steps"
local describe = require "sandbox.container.describe"
local guest = require "sandbox.container.guest"
local launch = require "sandbox.container.launch"
local life = require "sandbox.container.life"
local loop = require "sandbox.container.loop"
local monitor = require "sandbox.container.monitor"
local must = require "sandbox.must"
local orders = require "sandbox.container.orders"
local plan = require "sandbox.plan.exec"

local M = {}

local FAILED, TIMED_OUT = must.FAILED, 124
local ENDED = "it has ended meanwhile"

-- ---- which container ----

-- A luge that has many to answer lets go of one: asked again, as long as the container is there.
local ATTEMPTS, PAUSE = 50, 0.02

local function ask(directory, name)
  local reply, fds, kind
  for _ = 1, ATTEMPTS do
    reply, fds, kind = life.ask(directory, name, { op = "describe", lasting = true })
    if reply or kind ~= "gone" then break end
    S.nanosleep(PAUSE)
  end
  if reply and not reply.ended then return fds, reply.state end
  return nil, (reply or kind == "absent" or kind == "gone") and ENDED or fds
end

-- A zombie can be signalled still; its pidfd says that it has ended.
local function is_alive(pidfd) return #(S.poll({ { fd = pidfd, events = "in" } }, 0) or {}) == 0 end

local function status_field(pid, name)
  return tonumber((S.readfile(("/proc/%d/status"):format(pid)) or ""):match("\n" .. name .. ":%s*(%d+)"))
end

local FLAGS, PF_EXITING = 9, 4 -- of proc(5)

-- PID 1 takes its whole namespace along before it can be waited for itself.
local function container_ends(target)
  local fields = require("sandbox.container.processes").fields(target.pid)
  return not is_alive(target.pidfd) or not fields or fields[FLAGS] & PF_EXITING ~= 0
end

-- Nobody's word is taken for which process that is: the pidfd's own number, a child of the luge that holds the name.
local function verify(container, facts, pidfd)
  local pid = tonumber((S.readfile("/proc/self/fdinfo/" .. pidfd:getfd()) or ""):match("\nPid:%s*(%-?%d+)"))
  if not pid then return nil, "what came as the pidfd of its first process is none" end
  if pid < 1 then return nil, ENDED end
  local parent = status_field(pid, "PPid")
  if not is_alive(pidfd) then return nil, ENDED end
  if pid ~= facts.pid or facts.luge ~= container.luge or parent ~= container.luge then
    return nil, ("process %d is no child of process %d, the luge that holds the name"):format(pid, container.luge)
  end
  return pid
end

local STATES = {
  starting = { "it is starting", "try again in a moment" },
  stopping = { "it is being stopped" },
  ended = { ENDED },
  paused = { "it is paused: a command that joins would stand still", "luge resume %s" },
}

--- Finds out about a container of sandbox.container.list that runs. Returns { facts =, pid =, pidfd =, cgroups = descriptors },
-- or nil, words and a hint.
function M.find(directory, container)
  local fds, state = ask(directory, container.name)
  if not fds then return nil, state end
  local facts, words = describe.read(fds)
  if not facts then return nil, words end
  local wrong = STATES[state or facts.state]
  if wrong then return nil, wrong[1], wrong[2] and wrong[2]:format(container.name) end
  local pidfd = fds[2]
  local pid
  pid, words = verify(container, facts, pidfd)
  if not pid then return nil, words end
  if #fds ~= 2 + #facts.cgroups then return nil, "its cgroups did not come with the answer" end
  return { name = container.name, facts = facts, pid = pid, pidfd = pidfd, cgroups = table.move(fds, 3, #fds, 1, {}) }
end

-- ---- the plan ----

local function maps_root(pid, kind)
  local text = S.readfile(("/proc/%d/%s_map"):format(pid, kind)) or ""
  return ("\n" .. text):find("\n%s*0%s") ~= nil
end

-- What the kernel says of the first process; nil and words where it may not be looked at.
local function host_facts(target)
  local pid, differ = target.pid, {}
  for _, kind in ipairs(plan.KINDS) do
    local own = S.readlink("/proc/self/ns/" .. kind)
    local theirs, err = S.readlink(("/proc/%d/ns/%s"):format(pid, kind))
    if own and not theirs then
      return nil, container_ends(target) and ENDED or ("its %s namespace: %s"):format(kind, tostring(err))
    end
    differ[kind] = own ~= theirs
  end
  local host = { differ = differ, capabilities = require("sandbox.plan.facts").gather().capabilities,
    maps_root = { uid = maps_root(pid, "uid"), gid = maps_root(pid, "gid") } }
  if not is_alive(target.pidfd) then return nil, ENDED end
  return host
end

-- The container's environment; another user's home and name where the profile wrote none.
local function environment(run, symbols)
  local env, user = {}, symbols.user
  for name, value in pairs(run.facts.environment) do env[name] = value end
  for name, value in pairs(user and guest.user_variables(user) or {}) do
    if not run.facts.spec.env[name] then env[name] = value end
  end
  -- A program that has a terminal finds its name, also where luge has none to pass on.
  if run.terminal and not run.facts.spec.env.TERM then env.TERM = os.getenv "TERM" or "xterm" end
  for name, value in pairs(run.env) do env[name] = value end
  return env
end

-- ---- the child ----

local function take_steps(run, channel, symbols)
  for index, step in ipairs(run.steps) do
    if step.where == "guest" then
      local ok, err = Steps.run(S, step, symbols)
      if ok == nil then guest.fail(channel, index, err) end
      local user = step.save == "$user" and symbols.user
      if user then symbols["user.uid"], symbols["user.gid"], symbols["user.groups"] = user.uid, user.gid, user.groups end
    end
  end
  symbols.argv, symbols.environment = run.argv, environment(run, symbols)
  guest.execute_stage(run, guest.write_orders(run, symbols))
end

-- Never returns.
local function child(run, c, symbols)
  c.here:close()
  c.status_read:close()
  c.lifeline_write:close()
  symbols.channel = c.there
  guest.hear(c.there) -- it is in its cgroups
  local ok, message = pcall(take_steps, run, c.there, symbols)
  if not ok then guest.fail(c.there, 0, tostring(message)) end
  S.exit(FAILED)
end

-- ---- the start ----

local function failure(steps, index, err)
  return { failed = true, err = err, step = steps[index] }
end

local function give_up(joining, failed)
  S.pidfd_send_signal(joining.pidfd, "kill")
  S.waitid("pidfd", joining.pidfd, "exited")
  return nil, failed
end

-- The child that joins, with the steps from outside taken and let go: { pidfd =, channels = } or nil and the outcome.
local function start(run, symbols)
  local steps, c = run.steps, launch.channels()
  local err
  run.stage, err = launch.stage_file()
  if not run.stage then return nil, failure(steps, 0, err) end
  run.descriptors = { status = c.status_write:getfd(), lifeline = c.lifeline_read:getfd() }
  local pid, pidfd = S.clone3(Steps.resolve(steps[1].args[1], symbols))
  if not pid then return nil, failure(steps, 1, pidfd) end
  if pid == 0 then child(run, c, symbols) end
  c.there:close()
  c.status_write:close()
  c.lifeline_read:close()
  symbols.child = pid
  local joining = { pidfd = pidfd, channels = c }
  for index, step in ipairs(steps) do
    if step.where == "attach" then
      local ok
      ok, err = Steps.run(S, step, symbols)
      if ok == nil and not Steps.accepts(step, err) then return give_up(joining, failure(steps, index, err)) end
    end
  end
  local sent, why = S.send(c.here, "go")
  if not sent and not (why.PIPE or why.CONNRESET) then must("what luge says to its child", sent, why) end
  return joining
end

-- ---- until the end ----

local Watch = setmetatable({}, { __index = loop })
Watch.__index = Watch

-- What comes before the command is there waits for it; a second time it is not waited for.
function Watch:signal(name)
  if self.command then
    S.pidfd_send_signal(self.command, name)
  elseif self.pending then
    self.given_up = self.given_up or name
    S.pidfd_send_signal(self.joining.pidfd, "kill")
  else
    self.pending = name
  end
end

-- As of a run: the first Ctrl-C is passed on, the second stops, the third kills.
function Watch:interrupt()
  self.interrupts = (self.interrupts or 0) + 1
  local stop = self.run.facts.spec.stop
  if self.interrupts == 1 or not self.command then
    if not (self.run.terminal and self.run.terminal:interrupt()) then self:signal("int") end
  elseif self.interrupts == 2 then
    self:signal(require("sandbox.container.ending").signal_number(stop.signal))
    self.deadline = math.min(self.deadline or math.huge, S.clock_gettime("monotonic") + stop.grace)
  else
    self:signal("kill")
  end
end

function Watch:signal_arrived()
  local info = S.signalfd_read(self.signals)
  if not info then return end
  if info.name == "winch" and self.run.terminal then
    self.run.terminal:resize()
  elseif info.name == "int" then
    self:interrupt()
  else
    self:signal(info.name)
  end
end

-- The child has made its terminal.
local function take_terminal(self)
  local ends = self.joining.terminal
  local ok, err = self.run.terminal:begin(self, ends[1], ends[2])
  if ok then return end
  self.setup = { failed = true, err = err, step = { op = "ptpeer", why = "terminal", args = {} } }
  S.pidfd_send_signal(self.joining.pidfd, "kill")
end

-- The end of file says that the child became the stage.
function Watch:channel_readable()
  local said = monitor.hear_child(self.joining, self.run.steps)
  if said == false then return take_terminal(self) end
  self.setup = said or self.setup
  self.stage = true
  self:forget(self.joining.channels.here)
end

function Watch:status_readable()
  local data = S.read(self.joining.channels.status_read, orders.MESSAGE_SIZE)
  local message = data and orders.decode_status(data)
  if not data or data == "" then
    self.silent = true
    self:forget(self.joining.channels.status_read)
    -- The stage has done its part, or was killed, and ends.
    S.waitid("pidfd", self.joining.pidfd, "exited")
  elseif message and message.kind == "error" then
    self.setup = monitor.stage_failure(self.run.steps, message)
  elseif message and message.kind == "started" then
    -- Our own child, and not waited for yet: the number is its.
    self.command = must("the command's pidfd", S.pidfd_open(message.pid))
    self:listen(self.command, function()
      self.ended = true
      self:forget(self.command)
    end)
    if self.pending then self:signal(self.pending) end
  end
end

-- Where there is no pid namespace, nobody else ends the command with its container.
function Watch:container_ended()
  self.gone = true
  self:forget(self.run.target.pidfd)
  if not self.ended then S.pidfd_send_signal(self.command or self.joining.pidfd, "kill") end
end

local function milliseconds(deadline)
  return deadline and math.max(0, math.ceil((deadline - S.clock_gettime("monotonic")) * 1000)) or -1
end

function Watch:round()
  loop.round(self, milliseconds(self.deadline))
  local now = S.clock_gettime "monotonic"
  if not self.deadline or now < self.deadline then return end
  self.timed_out = self.timed_out or self.timeout ~= nil and now >= self.timeout -- not the grace of a stop
  self:signal("kill")
  -- Should it not be there yet, and not come either, it is given up.
  self.deadline = not self.command and now + 1 or nil
end

local KILL = 9

local function ending(self)
  local status = must("the command's end", S.waitid("pidfd", self.command, "exited"))
  if status.code == "exited" then return { exit_code = status.status } end
  local outcome = { exit_code = 128 + status.status, signal = status.status }
  outcome.container_ended = status.status == KILL and (self.gone or container_ends(self.run.target))
  return outcome
end

local function watch(run, joining, signals)
  local self = setmetatable({ run = run, joining = joining, signals = signals }, Watch)
  loop.begin(self)
  self:listen(signals, self.signal_arrived)
  self:listen(joining.channels.here, self.channel_readable)
  self:listen(joining.channels.status_read, self.status_readable)
  self:listen(run.target.pidfd, self.container_ended)
  if run.output then run.output:attach(self) end
  self.timeout = run.timeout and S.clock_gettime("monotonic") + run.timeout
  self.deadline = self.timeout
  -- What the stage says of the command may come after its end.
  repeat self:round() until self.stage and self.silent and (self.ended or not self.command) or self.given_up
  if run.output then
    run.terminal:finish()
    run.output:finish(self)
  end
  if self.timed_out and (self.given_up or self.command) then
    if self.command then ending(self) end
    return { exit_code = TIMED_OUT }
  end
  if self.given_up then return { exit_code = 128 + S.c.SIG[self.given_up:upper()] } end
  local outcome = self.command and ending(self)
  return self.setup or outcome or { failed = true, err = { text = "the stage ended without a word" } }
end

-- Whether the command gets a terminal of its own; false and words where it cannot have the one that was asked for.
local function wants_terminal(spec, asked)
  local can = require("sandbox.plan.terminal").own_devpts(spec)
  if asked and not can then return false, "-t: the container has no /dev/pts of its own to make a terminal in" end
  return asked or can and S.isatty(0) and S.isatty(1) and S.isatty(2) or false
end

--- Runs a command in the container `target` (of M.find) to its end. how: argv, env = { NAME = value } over the container's,
-- cwd, user (of the type in the schema), timeout = seconds or none, terminal: true, or nil for "where luge's streams are one".
---@return table outcome { exit_code =, signal =, container_ended =, failed =, err =, step =, reason = }
---@return table run  what sandbox.container.explain takes
function M.run(target, how)
  -- Stopped, it would hold up the container's end (below).
  local run = { stays = true, name = target.name, target = target, facts = target.facts, argv = how.argv, env = how.env,
    timeout = how.timeout,
    spec = setmetatable({ env = setmetatable(how.env, { __index = target.facts.environment }), stdin = "inherit", limits = {} },
      { __index = target.facts.spec }) }
  local host, words = host_facts(target)
  if not host then return { failed = true, exit_code = FAILED, err = { text = words } }, run end
  how.terminal, words = wants_terminal(target.facts.spec, how.terminal)
  if words then return { failed = true, exit_code = FAILED, err = { text = words } }, run end
  run.steps, words = plan.compile(target.facts, host, how)
  if not run.steps then
    words = ("its sealing step '%s' is unknown here: it was started by another luge"):format(words)
    return { failed = true, exit_code = FAILED, err = { text = words } }, run
  end
  local symbols = { pidfd = target.pidfd }
  for i, fd in ipairs(target.cgroups) do symbols["cgroup." .. i] = fd end
  local signals = monitor.block_signals()
  -- While we are stopped nobody reaps our child, and no pid namespace ends before its last process was reaped.
  must("luge's own signals", S.sigprocmask("block", "tstp, ttin, ttou"))
  if not host.differ.pid then S.prctl("set_child_subreaper", 1) end
  if how.terminal then run.terminal, run.output = require("sandbox.container.terminal").open(run, symbols) end
  -- A bug of ours must not leave the terminal raw.
  local ok, joining, outcome = pcall(start, run, symbols)
  if ok and joining then ok, outcome = pcall(watch, run, joining, signals) end
  if run.terminal then run.terminal:close() end
  if not ok then error(outcome or joining, 0) end
  if not host.differ.pid then S.end_orphans() end
  outcome.exit_code = outcome.exit_code or FAILED
  -- Whatever failed then, that is why.
  if outcome.failed and container_ends(target) then outcome.container_ended = true end
  return outcome, run
end

return M
