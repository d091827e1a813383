-- SPDX-License-Identifier: MIT
-- sandbox.container.hooks: the scripts that run while a container does and after it.
--
-- guest is a step like others; prepare, too, but beside it luge answers (sandbox.container.hook_loop). Those of `started` run
-- beside the monitor's loop, which waits for nobody; the start is over when the last of them is. Those of `stopped` are the
-- last thing before what the host steps made is undone, and what goes wrong in one of them is told, and changes nothing.

local S = require "syscall"
local Steps = require "sandbox.plan.steps"
local must = require "sandbox.must"

local M = {}

local function steps_of(run, place)
  local list = {}
  for index, step in ipairs(run.steps) do
    if step.where == place then list[#list + 1] = index end
  end
  return list
end

local function keep(run, index, ok, err)
  run.hooks_ended = run.hooks_ended or {}
  run.hooks_ended[index] = { ok = ok == true, text = not ok and rawget(err, "text") or nil }
end

local function note(run, index, ok, err)
  local step = run.steps[index]
  keep(run, index, ok, err)
  run.events { event = "hook", hook = step.why:match("[^.]*$"), script = run.symbols[step.args[1]:sub(2)].path, ok = ok == true,
    message = not ok and (rawget(err, "text") or tostring(err)) or nil }
end

-- ---- prepare ----

--- Takes a step of `prepare`.
function M.prepare(run, index, symbols)
  local ok, err = require "sandbox.container.hook_loop"(run, run.steps[index], symbols)
  keep(run, index, ok, err)
  return ok, err
end

-- ---- started ----

local next_script

local function failed(watch, index, err)
  watch.setup = watch.setup or { failed = true, index = index, err = err, step = watch.run.steps[index] }
  watch.hook = nil
  watch:stop("stopped")
end

local function close(watch)
  watch:forget(watch.hook.pidfd)
  local ok, err = S.end_script(watch.hook)
  watch.hook = nil
  if watch.run.hook_output then watch.run.hook_output:read() end
  return ok, err
end

local function over(watch, list, n, done)
  local ok, err = close(watch)
  note(watch.run, list[n], ok, err)
  if not ok then return failed(watch, list[n], err) end
  next_script(watch, list, n + 1, done)
end

function next_script(watch, list, n, done)
  if not list[n] then return done() end
  local args = Steps.resolve(watch.run.steps[list[n]].args, watch.run.symbols)
  local running, err = S.start_script(args[1], args[2])
  if not running then
    note(watch.run, list[n], nil, err)
    return failed(watch, list[n], err)
  end
  watch.hook, watch.hook_index = running, list[n]
  watch:listen(running.pidfd, function() over(watch, list, n, done) end)
end

--- The command runs: done() is called when the scripts were well.
function M.started(watch, done)
  next_script(watch, steps_of(watch.run, "started"), 1, done)
end

--- Somebody ends the container, by a signal of that number, and so the script that runs.
function M.cut(watch, number)
  local index, err = watch.hook_index, require("sandbox.container.ending").stopped_error(number)
  close(watch)
  note(watch.run, index, nil, err)
  watch.hook_cut = { step = watch.run.steps[index], err = err }
end

local SIGINT, SIGTERM = 2, 15

--- The container has ended, and its start may not be over. Of one that somebody ended nobody waits for that.
function M.finish(watch)
  while watch.hook and not (watch.given_up or watch.asked or watch.stopping or watch.final) do watch:round() end
  if watch.hook then M.cut(watch, watch.interrupts and SIGINT or SIGTERM) end
end

-- ---- stopped ----

local function tell_outcome(symbols, outcome)
  local usage = outcome.rusage or {}
  local known = { reason = outcome.reason_name or "setup", exit_code = outcome.exit_code or must.FAILED, signal = outcome.signal,
    wall_s = outcome.wall_s, user_s = usage.utime, sys_s = usage.stime }
  for _, name in ipairs { "reason", "exit_code", "signal", "wall_s", "user_s", "sys_s" } do
    symbols["outcome." .. name] = known[name] or false
  end
  symbols.child = symbols.child or false
end

--- After the end, whatever it was. What goes wrong is in outcome.hooks = { words … }, and an event of the report.
function M.stopped(run, symbols, outcome)
  local list = steps_of(run, "stopped")
  if #list == 0 then return end
  tell_outcome(symbols, outcome)
  outcome.hooks = {}
  local cut
  for _, index in ipairs(list) do
    local ok, err
    if cut then
      ok, err = nil, { text = "not run: " .. cut }
    else
      ok, err = require "sandbox.container.hook_loop"(run, run.steps[index], symbols)
    end
    if not ok and rawget(err, "stopped_by") then
      if run.watch then run.watch.final = true end
      err.text = require("sandbox.container.explain").cut_words(run, { step = run.steps[index], err = err })
      cut = err.text
    end
    note(run, index, ok, err)
    if not ok then
      local words = rawget(err, "text") or tostring(err)
      table.insert(outcome.hooks, words)
      outcome.events = outcome.events or {}
      table.insert(outcome.events, { event = "hook_failed", hook = "stopped", message = words })
    end
  end
end

-- ---- the report ----

--- A row for each script; those of prepare and guest ended well where the command was executed.
function M.rows(run, rows)
  for index, step in ipairs(run.steps) do
    if step.op == "run_script" then
      local ended = run.hooks_ended and run.hooks_ended[index]
      local ok = ended and ended.ok or not ended and run.watch ~= nil and run.watch.started ~= nil
        and (step.where == "host" or step.where == "guest")
      local script = run.symbols[step.args[1]:sub(2)]
      rows[#rows + 1] = { field = step.why, asked = script and script.path or "",
        got = ended and ended.text or ok and "ended well" or "not run", ok = ok }
    end
  end
end

return M
