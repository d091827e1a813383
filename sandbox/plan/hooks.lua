-- SPDX-License-Identifier: MIT
-- sandbox.plan.hooks: `hooks`: scripts of the profile's author, each a step in its place.
--
-- All are read on the host before anything of the container is made: the guest's is then in the memory of the child, which
-- sees no file of the host any more. Each runs in a process and a Lua state of its own (S.run_script), so that nothing it
-- does to its state is done to luge's. What a script is told of the container are the step's own arguments.

local Steps = require "sandbox.plan.steps"

local M = {}

local GUEST_MEMORY = 64 << 20

-- Text and lists of the profile's, in which a "$" is no symbol.
local function literal(list)
  local copy = {}
  for i, text in ipairs(list) do copy[i] = Steps.text(text) end
  return copy
end

local function argv_of(spec)
  local argv = table.move(spec.entrypoint, 1, #spec.entrypoint, 1, {})
  return table.move(spec.command, 1, #spec.command, #argv + 1, argv)
end

local function cgroups_of(c)
  local paths = {}
  for controller, dir in pairs(c.cgroup.dirs) do paths[controller] = dir.path end
  return paths
end

-- What is known at every place.
local function facts(c, hook)
  local spec, user = c.spec, c.user
  return { hook = hook, name = "$name", hostname = "$hostname", profile = Steps.text(spec.profile_name),
    argv = literal(argv_of(spec)),
    user = { uid = user.uid, gid = user.gid, name = Steps.text(user.name) }, uids = c.ids.uids, gids = c.ids.gids,
    cgroups = cgroups_of(c) }
end

local more = {}

function more.started(known, c)
  known.pid, known.root, known.network = "$child", "/proc/${child}/root", c.network
end

function more.stopped(known)
  known.pid = "$child"
  for _, name in ipairs { "reason", "exit_code", "signal", "wall_s", "user_s", "sys_s" } do known[name] = "$outcome." .. name end
end

local WHERE = { prepare = "host", guest = "guest", started = "started", stopped = "stopped" }

--- Reads every script, and runs each in its place. To be planned when all steps on the host are there, and the guest's up to
-- its user and terminal.
function M.plan(c)
  local hooks, steps, runs = c.spec.hooks, c.steps, {}
  for _, hook in ipairs { "prepare", "guest", "started", "stopped" } do
    local why = "hooks." .. hook
    for i, path in ipairs(hooks[hook] or {}) do
      local message, hint = c.facts:hook_fault(path, c.options.trusted or { [0] = true })
      if message then c:fault(why, message, hint) end
      local symbol = ("$hook.%s%d"):format(hook, i)
      steps:add("host", why, "read_script", { Steps.text(path) }, { save = symbol })
      runs[#runs + 1] = { hook = hook, why = why, symbol = symbol }
    end
  end
  for _, run in ipairs(runs) do
    local known = facts(c, run.hook)
    if more[run.hook] then more[run.hook](known, c) end
    -- A detached container's luge has no stderr that lasts (sandbox.container.hook_output).
    local how = { timeout = hooks.timeout, facts = known, output = c.options.detach and "$hooks.output" or nil }
    if run.hook == "guest" then
      how.contained, how.memory, how.umask = true, GUEST_MEMORY, c.spec.umask
    else
      how.signals, how.umask = "$signals", "$umask"
    end
    steps:add(WHERE[run.hook], run.why, "run_script", { run.symbol, how })
  end
end

return M
