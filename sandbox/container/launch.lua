-- SPDX-License-Identifier: MIT
-- sandbox.container.launch: takes the steps of a plan, in the parent.
--
-- host steps, the clone, attach steps, the descriptors to the child, then the monitor until the end. Undo is
-- taken backwards for every host step that was taken, whatever happened after it.

local S = require "syscall"
local guest = require "sandbox.container.guest"
local Steps = require "sandbox.plan.steps"
local ending = require "sandbox.container.ending"
local embedded = require "luge.embedded"
local furnish = require "sandbox.container.furnish"
local must = require "sandbox.must"
local nl = require "netns"
local orders = require "sandbox.container.orders"
local monitor = require "sandbox.container.monitor"

local M = {}

--- The stage, as a file that nobody can write again.
function M.stage_file() return S.sealed_file("luge-init", embedded("stage")) end

-- It went by itself: a file, a link with its namespace, an address or a route with its link.
local function is_gone(err) return err.NOENT or err.NODEV or err.ADDRNOTAVAIL or err.SRCH end

--- Takes the steps of an undo journal backwards; returns what could not be taken back, in words.
function M.undo_all(undo, symbols)
  local left = {}
  for i = #undo, 1, -1 do
    local step = undo[i]
    -- The lock's file stays then: by it `luge gc` knows of the rest.
    if #left == 0 or step.op ~= "take_lock" then
      -- Wrong use is a bug of ours, which must not keep the rest.
      local called, ok, err = pcall(Steps.undo, S, step.undo, symbols)
      if not called then ok, err = nil, ok end
      if ok == nil and not is_gone(err) then left[#left + 1] = ("%s: %s"):format(step.undo[1], tostring(err)) end
    end
  end
  return left
end

-- Takes the steps of one place; returns nil, index, err at the first that fails. after(step): called after each.
local function take(run, place, symbols, undo, after)
  for index, step in ipairs(run.steps) do
    if step.where == place then
      if step.undo then undo[#undo + 1] = step end
      local ok, err
      if step.op == "run_script" then
        ok, err = require("sandbox.container.hooks").prepare(run, index, symbols)
      else
        ok, err = Steps.run(S, step, symbols)
      end
      if ok == nil and not Steps.accepts(step, err) then
        -- A step that failed has nothing to undo: what is there belongs to somebody else.
        if step.undo then undo[#undo] = nil end
        return nil, index, err
      end
      if after then after(step) end
    end
  end
  return true
end

-- The names of the descriptors that attach steps make for the child, "$fd.…", in order: both sides know it from
-- the plan.
local function passed_names(steps)
  local names = {}
  for _, step in ipairs(steps) do
    if step.where == "attach" and step.save and step.save:match("^%$fd%.") then names[#names + 1] = step.save:sub(2) end
  end
  return names
end

-- One message carries 250 descriptors at most (SCM_MAX_FD is 253).
local function send_descriptors(channel, names, symbols)
  local fds = {}
  for _, name in ipairs(names) do
    fds[#fds + 1] = symbols[name]
    if #fds == 250 then
      local ok, err = S.sendmsg(channel, { data = "fds", fds = fds })
      if not ok then return nil, err end
      fds = {}
    end
  end
  return S.sendmsg(channel, { data = "go", fds = #fds > 0 and fds or nil })
end

--- The descriptors between luge and its child.
function M.channels(with_report)
  local c = {}
  c.here, c.there = must("the channel to the child", S.socketpair("unix", "seqpacket"))
  c.status_read, c.status_write = must("a pipe from the stage", S.pipe())
  c.lifeline_read, c.lifeline_write = must("a pipe to the stage", S.pipe())
  if with_report then c.go_read, c.go_write = must("a pipe to the stage", S.pipe()) end
  return c
end

-- Descriptors of luge's that the sealing steps use lie above this: below it the profile chooses (health.fd).
local CHOSEN_MAX = 63

local function moved_up(fd)
  local up = must("a descriptor above those that health.fd may choose (more than 64 files: ulimit -n)",
    S.fcntl(fd, "dupfd_cloexec", CHOSEN_MAX + 1))
  fd:close()
  return up
end

-- The pipe on which the container's command says that it is ready. By number, as both sides use it.
local function open_ready(run, c, symbols)
  local reader, writer = must("the pipe of health.fd", S.pipe())
  run.ready, c.ready_write = reader, moved_up(writer)
  must("the pipe of health.fd", S.fcntl(reader, "setfl", "nonblock"))
  symbols.ready = c.ready_write:getfd()
  for _, name in ipairs { "status_write", "lifeline_read", "go_read" } do
    if c[name] then c[name] = moved_up(c[name]) end
  end
end

local function clone_step(steps)
  for index, step in ipairs(steps) do
    if step.where == "clone" then return step, index end
  end
end

-- Whether one of the steps says when the child may go on.
local function lets_go(steps)
  for _, step in ipairs(steps) do
    if step.releases then return true end
  end
end

-- Never returns: an error that left this function would go on as a second luge, which undid what the first one made.
local function child(run, c, symbols, names)
  local ok, message = pcall(function()
    c.here:close()
    c.status_read:close()
    c.lifeline_write:close()
    if c.go_write then c.go_write:close() end
    guest.run(run, c.there, symbols, names)
  end)
  if not ok then guest.fail(c.there, 0, (must.words(message) or "internal error: " .. tostring(message))) end
  S.exit(must.FAILED)
end

local function setup_failure(index, err, steps)
  return ending.judge_failure { failed = true, index = index, err = err, step = steps[index] }
end

--- Opens the log of a run that has one; nil and the failure.
function M.open_log(run)
  if run.log.writer then return true end -- a container that is started again goes on with its log
  local log = require(run.log.place and "sandbox.container.log" or "sandbox.container.log_journal")
  local writer, err = log.open(run.log)
  run.log.writer = writer
  if writer then return true end
  return nil, { failed = true, index = 0, err = err, step = { op = "open_log", why = "log",
    args = { run.log.place and ("%s/%s.log"):format(run.log.place, run.name) or "journald" } } }
end

-- The pipes or the terminal that stand for stdout and stderr, and where they lead, of a run that has them; nil and the
-- failure.
local function open_output(run, symbols)
  local ok, err
  if run.log then
    ok, err = M.open_log(run)
    if not ok then return nil, err end
  end
  if run.terminal then
    run.terminal, run.output = require("sandbox.container.terminal").open(run, symbols, run.log and run.log.writer)
    return run.output
  end
  run.output, err = require("sandbox.container.output").open(run.spec.limits.output, run.log and run.log.writer, symbols)
  return run.output, not run.output and setup_failure(0, err, run.steps) or nil
end

-- Kills the container of a start, or of a watch, that failed; nothing where there is none.
local function end_process(run)
  local process = run.process
  if not process then return end
  run.process = nil
  S.pidfd_send_signal(process.pidfd, "kill")
  S.clone3_executed() -- so that nobody asks for it later
  S.waitid("pidfd", process.pidfd, "exited")
end

-- The child may be gone already, and then says why on the same channel.
local function tell(sent, err)
  if not sent and not (err.PIPE or err.CONNRESET) then must("what luge says to its child", sent, err) end
end

-- Whether the start came as far as the first script, whose counterpart is to hear of the end.
local function came_to_hooks(steps, failed_at)
  if not failed_at then return true end
  return steps[failed_at].op == "run_script"
end

-- The orders of a stage that is executed meanwhile; nil and the failure, where the command is too long for them.
local function write_orders(run, symbols, names)
  local ok, file = pcall(furnish.orders, run, symbols, names)
  if ok then return file end
  return nil, setup_failure(0, { text = must.words(file) or tostring(file) }, run.steps)
end

-- The ends of the channels that are the child's.
local function close_theirs(c)
  for _, name in ipairs { "there", "status_write", "lifeline_read", "go_read", "ready_write" } do
    if c[name] then c[name]:close() end
  end
end

-- The child, in its namespaces: the stage (is_stage), whose orders the process has then, or a copy of luge; nil and the
-- failure. The stage may not be executed yet (check_birth).
local function make_child(run, c, symbols, names)
  local clone, index = clone_step(run.steps)
  local args = Steps.resolve(clone.args, symbols)
  local is_stage = clone.op == "clone3" and furnish.can_all(run, symbols, names)
  local pid, pidfd
  if is_stage then
    pid, pidfd = S.clone3_exec(args[1], run.stage, orders.argv(c.there), furnish.kept(run, symbols))
  else
    pid, pidfd = S[clone.op](table.unpack(args))
  end
  if not pid then return nil, setup_failure(index, pidfd, run.steps) end
  if pid == 0 then child(run, c, symbols, names) end
  close_theirs(c)
  symbols.child = pid
  run.process = { pid = pid, pidfd = pidfd, channels = c, is_stage = is_stage }
  if not is_stage then return run.process end
  local file, failure = write_orders(run, symbols, names)
  run.process.orders = file
  if file then return run.process end
  end_process(run)
  return nil, failure
end

-- The child's first word: the id maps are written. With it the stage gets its orders.
local function release(process)
  local file = process.orders
  tell(S.sendmsg(process.channels.here, { data = "maps", fds = file and { file } }))
  if file then file:close() end
  process.orders = nil
end

-- Whether the stage could be executed, which takes as long as the attach steps; nil and the failure.
local function check_birth(run)
  local executed, err = S.clone3_executed()
  if executed then return true end
  local _, index = clone_step(run.steps)
  return nil, setup_failure(index, err, run.steps)
end

-- What luge does for its child, from the clone on: the attach steps, and their descriptors to it. Returns the process, or nil
-- and the failure.
local function attach(run, process, names, symbols, undo)
  local channel, steps, is_fed = process.channels.here, run.steps, false
  local function feed() tell(send_descriptors(channel, names, symbols)) end
  if not lets_go(steps) then release(process) end
  local ok, index, err = take(run, "attach", symbols, undo, function(step)
    if step.releases then release(process) end
    -- What a copy of luge does for the container is the profile's, scripts among it, and waits for all of it.
    if step.feeds and process.is_stage then
      feed()
      is_fed = true
    end
  end)
  if run.output then run.output:release() end
  local born, failure = check_birth(run)
  if ok and born then
    if is_fed then tell(S.send(channel, "all")) else feed() end
    if not process.is_stage then tell(S.sendmsg(channel, guest.expected_orders(run, symbols))) end
    return process
  end
  end_process(run)
  -- What the child did first says more than what then failed here.
  return nil, failure or monitor.child_failure(process, steps) or monitor.last_word(process, steps)
    or setup_failure(index, err, steps)
end

local function start(run, symbols, undo)
  local steps = run.steps
  local ok, index, err = take(run, "host", symbols, undo)
  run.hooked = run.spec.hooks and run.spec.hooks.stopped and came_to_hooks(steps, not ok and index or nil)
  if not ok then return nil, setup_failure(index, err, steps) end
  run.stage, err = M.stage_file()
  if not run.stage then return nil, setup_failure(0, err, steps) end
  if run.terminal or run.spec.limits.output or run.log then
    local output, failure = open_output(run, symbols)
    if not output then return nil, failure end
  end
  local c = M.channels(run.report)
  if run.spec.health and run.spec.health.fd then open_ready(run, c, symbols) end
  -- By number, since both sides write orders with them.
  run.descriptors = { status = c.status_write:getfd(), lifeline = c.lifeline_read:getfd(), channel = c.there:getfd(),
    go = c.go_read and c.go_read:getfd(), ready = c.ready_write and symbols.ready }
  local names = passed_names(steps)
  local process, failure = make_child(run, c, symbols, names)
  if not process then return nil, failure end
  return attach(run, process, names, symbols, undo)
end

--- From the first host step to the end of the container and of what is kept of it.
function M.supervise(run, symbols, undo, signals)
  local keep = run.spec.keep and require "sandbox.container.keep"
  local to = keep and keep.open(run.spec.keep, run.keep_crossing)
  if to and not to.fd then return keep.failure(run.spec.keep, to) end
  local cgroup = (run.report or run.cgroup.dirs.memory) and require "sandbox.container.cgroup"
  local counted = cgroup and cgroup.begin(run, symbols)
  nl.keep(true)
  local process, outcome = start(run, symbols, undo)
  nl.keep(false)
  if process then outcome = monitor.watch(run, process, signals) end
  if run.spec.namespaces.pid == "host" then S.end_orphans() end
  if counted and process and not outcome.failed then cgroup.finish(counted, outcome) end
  if run.firewall and process and not outcome.failed then require("sandbox.container.egress").finish(run, outcome) end
  if keep and process and not outcome.failed then
    outcome.kept = keep.copy(run.spec.keep, to, symbols, signals, run.kept_files)
    run.kept_files = outcome.kept.made
  elseif keep then
    keep.forget(run.spec.keep, to)
  end
  if run.hooked then require("sandbox.container.hooks").stopped(run, symbols, outcome) end
  return outcome
end

-- Before anything is said, and while the name is still ours.
local function close(run, outcome)
  if type(run.terminal) == "table" then run.terminal:close() end -- raw, it would garble the words
  if run.detached then require("sandbox.container.detach").ended(run, outcome) end
end

-- What its scripts print goes to its log.
local function open_hook_output(run)
  if not (run.detached and run.spec.hooks.timeout) then return end
  run.hook_output = run.hook_output or must("a pipe from the hooks", require("sandbox.container.hook_output").open(run))
  return run.hook_output.writer
end

--- What a run knows before its first step.
function M.symbols_of(run)
  local symbols = { name = run.name, hostname = run.spec.hostname == "$name" and run.name or run.spec.hostname,
    state = run.state, ranges = run.ranges, keep = run.keep, caller = run.detached and S.getppid(), signals = run.signals,
    ["hooks.output"] = open_hook_output(run) }
  for name, value in pairs(run.constants) do symbols[name] = value end
  return symbols
end

-- Every run of it; undo is the journal of what the last one left.
local function all_runs(run, undo, signals)
  local plan = { terminal = run.terminal }
  local outcome = M.supervise(run, run.symbols, undo, signals)
  if not run.spec.restart then return outcome end
  return require("sandbox.container.restart").loop(run, outcome, undo, signals, plan)
end

--- Runs a container to its end.
-- run: spec, steps, constants, cgroup, terminal (it gets one), name, state, ranges, argv, keep, term, home, report, events
-- (a function that hears of things as they happen), log: { place =, name =, state =, size =, files = } where the output is
-- logged.
---@return table outcome  of the monitor, or { failed = true, index, err, step }
function M.run(run)
  local signals = monitor.block_signals()
  run.signals = signals
  run.symbols = M.symbols_of(run)
  -- Without a pid namespace the end of the first process ends no other: they are left to luge then (S.end_orphans).
  if run.spec.namespaces.pid == "host" then S.prctl("set_child_subreaper", 1) end
  local undo = {}
  -- A bug of ours must leave nothing behind either; it goes on to the cli.
  local ok, outcome = pcall(all_runs, run, undo, signals)
  if not ok then
    pcall(end_process, run)
    local words = must.words(outcome)
    if words then ok, outcome = true, { failed = true, index = 0, err = { text = words }, reason_name = "setup" } end
  end
  local closed, why = pcall(close, run, ok and outcome or nil)
  local left = M.undo_all(undo, run.symbols)
  if not ok or not closed then error(ok and why or outcome, 0) end
  outcome.exit_code, outcome.left = outcome.exit_code or must.FAILED, left
  -- Who waits for the end hears of it when nothing is left.
  require("sandbox.container.control").ended(run, outcome)
  return outcome
end

return M
