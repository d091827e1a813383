-- SPDX-License-Identifier: MIT
-- sandbox.container.explain: why a container did not start, or was ended, in words: field, cause, way out.
--
-- Loaded only when there is something to say.

local profile = require "sandbox.profile"
local way_out = require "sandbox.container.way_out"

local M = {}

local REASONS = {
  not_found = "not found in the container",
  not_executable = "cannot be executed",
  no_interpreter = "exists, but the interpreter or loader it asks for does not",
  outside_root = "lies outside the container's root",
}

-- An error of luge's own has all it says in its text.
local OWN_WORDS = { spawn = true, getenv = true, read_bounded = true, read_script = true, run_script = true, lookup_user = true,
  ["nl.helper"] = true }

local function error_text(err, op)
  if op == "ensure_free" and err.EXIST then return "a container that has ended has it still" end
  if OWN_WORDS[op] and rawget(err, "text") then return rawget(err, "text") end
  local text = rawget(err, "errno") and tostring(err) or rawget(err, "text")
  return text or "failed"
end

local function as_text(text)
  return function() return text end
end

local function locked_name(_, run) return "the name '" .. run.name .. "'" end

-- A path of the container relative to its root.
local function in_root(step)
  local path = step.args[2]
  return type(path) == "string" and path ~= "" and "/" .. path
end

-- What these do to a mount of the profile they do at its target.
local AT_TARGET = { open_in_root = true, put_file = true, put_symlink = true, mount = true, new_mount = true, move_mount = true,
  mount_setattr = true }

-- What a step was about, by its function, each given step and run. Of others, and where it says nothing, it is a path that they
-- are given.
local subjects = {
  exec = function(_, run) return run.argv[1] end,
  spawn = function(step) return tostring(step.args[1][1]):match "[^/]*$" end,
  getenv = function(step) return step.args[1] end,
  lookup_user = function(step) return tostring(step.args[2].name or step.args[2].uid) end,
  mkdirat = in_root,
  mknodat = in_root,
  ensure_free = locked_name,
  take_lock = function(step, run)
    if not step.why:find "^network" then return locked_name(step, run) end
    -- The address that the profile writes, for a lock's name need not show it.
    local index, key = step.why:match "^network%.interfaces%[(%d+)%]%.(%w+)$"
    local interface = index and run.spec.network.interfaces[tonumber(index)]
    return interface and interface[key] or step.op
  end,
  open_noted = function(step) return "the container '" .. tostring(step.args[1]):match "([^/]+)%.lock$" .. "'" end,
  -- The container that a wire leads to, as the profile calls it.
  within = function(step, run)
    local index = step.why:match "^network%.interfaces%[(%d+)%]"
    local interface = index and run.spec.network.interfaces[tonumber(index)]
    return interface and interface.to and ("the network of '%s'"):format(interface.to) or step.args[2]
  end,
  ["nl.helper"] = function(step) return step.args[1].backend end,
  ["nl.macvlan"] = function(step) return step.args[1].link end,
  ["nl.route"] = function(step)
    local route = step.args[1]
    return not step.why:find "%.behind" and route.via or route.to
  end,
  ["nl.veth"] = function(step) return way_out.is_elsewhere(step.args[1].into) and step.args[1].name or "a veth" end,
  ["nl.address"] = function(step) return tostring(step.args[2]) end,
  ["nl.hold_bridge"] = function(step) return "the bridge " .. step.args[2] end,
  ["nl.hold_port"] = function(step) return ("%s %s port %d"):format(table.unpack(step.args)) end,
  ["nl.hold_sysctl"] = function(step) return step.args[2] end,
  ["nl.hold_forwarding"] = as_text "the host's forwarding",
  ["nl.firewall"] = as_text "the firewall",
  ["nl.ownfirewall"] = as_text "the firewall",
  ["nl.delconntracks"] = as_text "connections of the same addresses",
  ["nl.conntrack_count"] = as_text "connections",
}

local function subject(run, step)
  local named = subjects[step.op] and subjects[step.op](step, run)
  if named then return named end
  for _, arg in ipairs(step.args) do
    if type(arg) == "string" and arg:match("^/[^$]*$") and not arg:match("^/proc/") then return arg end
    if type(arg) == "table" and arg.literal and arg.literal:match("^/") and #arg.literal < 200 then return arg.literal end
    if type(arg) == "table" and arg.target and not arg.target:find("$", 1, true) then return arg.target end
  end
  local index = AT_TARGET[step.op] and step.why:match "^mounts%[(%d+)%]$"
  local mount = index and run.spec.mounts[tonumber(index)]
  return mount and mount.target or step.op
end

local function place(run, why)
  local origin = profile.origin(run.spec, why)
  return origin == "default" and why or origin .. ": " .. why
end

local function files_hint(err)
  return rawget(err, "errno") and err.MFILE and "      = luge itself may open too few files: raise ulimit -n" or nil
end

local function setup_lines(run, outcome)
  local step = outcome.step
  if not step then return { "luge: the start failed: " .. error_text(outcome.err), files_hint(outcome.err) } end
  -- A script says itself which one it is, and at which line.
  if step.op == "run_script" and rawget(outcome.err, "text") then
    return { ("luge: %s: %s"):format(place(run, step.why), rawget(outcome.err, "text")) }
  end
  local what = REASONS[outcome.reason]
  local message = what or error_text(outcome.err, step.op)
  if outcome.reason == "not_executable" then message = what .. ": " .. error_text(outcome.err) end
  local lines = { ("luge: %s: %s: %s"):format(place(run, step.why), subject(run, step), message) }
  local hint = what and way_out.of_command(run, outcome)
  if not hint and rawget(outcome.err, "errno") then hint = way_out.of_step(step, outcome.err, run) end
  lines[2] = hint and "      = " .. hint or files_hint(outcome.err)
  return lines
end

local function duration(seconds)
  if seconds % 60 == 0 and seconds >= 60 then return ("%dm"):format(seconds // 60) end
  return ("%gs"):format(seconds)
end

local endings = {}

function endings.wall(run)
  return { ("luge: %s: time was up after %s; the container was stopped"):format(place(run, "limits.wall"),
    duration(run.spec.limits.wall)) }
end

function endings.memory(run)
  local limit = run.spec.limits.memory
  return { ("luge: %s: the kernel ended the command, which needed more memory than %s"):format(
    place(run, "limits.memory"), limit and limit .. " bytes" or "there was"),
    limit and "      = files in tmpfs count too; write a larger limits.memory, or limits.swap" or nil }
end

function endings.cpu_time(run)
  return { ("luge: %s: %s of CPU time were used up; the container was stopped"):format(place(run, "limits.cpu_time"),
    duration(run.spec.limits.cpu_time)) }
end

function endings.disk(run)
  return { ("luge: %s: all %d bytes were in use when the command failed"):format(place(run, "limits.disk"),
    run.spec.limits.disk) }
end

function endings.output(run)
  return { ("luge: %s: it wrote more than %d bytes; the container was stopped"):format(place(run, "limits.output"),
    run.spec.limits.output) }
end

function endings.unhealthy(run)
  local found = run.last_health
  return { ("luge: %s: it was unhealthy, and was stopped%s"):format(place(run, "health"),
    found and found.output and found.output ~= "" and ": " .. found.output or "") }
end

function endings.seccomp(run)
  return { ("luge: %s: SIGSYS ended the command: the kernel's for a system call of a foreign ABI, or somebody's"):format(
      place(run, "seccomp")),
    "      = 32-bit programs and x32 do not run under a filter; luge plan --seccomp shows what is allowed" }
end

--- What somebody's stop ended: { step = of the hook, or none, err = as of monitor.stopped_error }, in words.
function M.cut_words(run, cut)
  if not cut.step then return cut.err.text .. " before its command ran" end
  local hook = cut.step.why:match("[^.]*$")
  return ("%s while its %s hook ran (%s)"):format(cut.err.text, hook, profile.origin(run.spec, cut.step.why))
end

--- How a container ended, where that needs words: also outcome.message.
function M.message(run, outcome)
  local lines
  if outcome.cut then
    lines = { "luge: " .. M.cut_words(run, outcome.cut) }
  elseif outcome.failed then
    lines = setup_lines(run, outcome)
  elseif endings[outcome.reason_name] then
    lines = endings[outcome.reason_name](run)
  end
  outcome.message = lines and table.concat(lines, "\n") or nil
  return outcome.message
end

--- Says it on stderr; write: what writes there, or nil.
function M.show(run, outcome, write)
  local message = M.message(run, outcome)
  write = write or function(text) io.stderr:write(text) end
  if message then write(require("sandbox.cli").printable(message) .. "\n") end
end

return M
