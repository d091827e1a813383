-- SPDX-License-Identifier: MIT
-- sandbox.plan.exec: what a running container's luge says of it becomes the steps by which one more command joins.
--
-- A pure function, as sandbox.plan. The sealing steps are the container's own, in another order: a process that joins
-- a pid namespace stays outside of it, and only its child is born inside. So everything that takes privilege is done
-- out of sight, and last of all comes `enter`: what the container's processes see of it is sealed as they are.

local Steps = require "sandbox.plan.steps"
local terminal = require "sandbox.plan.terminal"

local M = {}

local CLONE = { user = "newuser", mnt = "newns", pid = "newpid", net = "newnet", ipc = "newipc", uts = "newuts",
  cgroup = "newcgroup", time = "newtime" }

--- The kinds of namespaces, as /proc/PID/ns names them, in the order they are shown.
M.KINDS = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time" }

-- ---- outside ----

-- Born in its cgroup of version 2, before anything else into those of version 1 (as cgroups.enter): nothing of it is ever
-- outside of them.
local function clone(steps, facts)
  local into
  for i, cgroup in ipairs(facts.cgroups) do
    if cgroup.version == 2 then into = "$cgroup." .. i end
  end
  steps:add("clone", "limits", "clone3", { { exit_signal = "chld", pidfd = true, cgroup = into } }, { save = "$child" })
  for i, cgroup in ipairs(facts.cgroups) do
    if cgroup.version == 1 then
      steps:add("guest", "limits", "writefile", { ("/proc/self/fd/${cgroup.%d}/tasks"):format(i), "0" })
    end
  end
  for _, step in ipairs(facts.attach) do
    steps:add("attach", step.why, step.op, step.args, { optional = step.optional })
  end
end

-- ---- joining ----

-- A network that the container joined is of another user namespace than its own, over which we have power only before we
-- are in that; unless it was born in the one that it shares.
local function join(steps, differ, facts)
  local flags = {}
  local before = differ.net and not facts.shared and (facts.spec.network.join or facts.spec.network.pod)
  if before then steps:add("guest", "network", "setns", { "$pidfd", "newnet" }) end
  for _, kind in ipairs(M.KINDS) do
    if differ[kind] and not (kind == "net" and before) then flags[#flags + 1] = CLONE[kind] end
  end
  if #flags > 0 then steps:add("guest", "namespaces", "setns", { "$pidfd", table.concat(flags, ", ") }) end
end

-- As users.become_root: whoever has no root to become keeps what sealing takes through the ambient set.
local function become_root(steps, facts, host)
  if not host.differ.user then return end
  local uid = host.maps_root.uid and 0 or facts.user.uid
  local gid = host.maps_root.gid and 0 or facts.user.gid
  steps:add("guest", "id_map", "setresgid", { gid, gid, gid })
  steps:add("guest", "id_map", "setresuid", { uid, uid, uid })
  if uid == 0 then return end
  local all = host.capabilities
  steps:add("guest", "id_map", "capset", { { effective = all, permitted = all, inheritable = all } })
  steps:add("guest", "id_map", "cap_ambient_raise", { all })
end

-- ---- sealing ----

-- The tiers that allow what follows `enter`: prctl, ppoll, and clone and write before it. A profile's own words may
-- not.
local OPEN_TIERS = { default = true, ci = true, strict = true }
local NEEDED = { clone = true, prctl = true, ppoll = true, write = true }
local NEEDED_ON_TERMINAL = setmetatable({ setsid = true, ioctl = true }, { __index = NEEDED })

-- Whether the filters can be loaded before the process is seen inside: with others it loads them right after, and is
-- without them for a moment; its ids and capabilities are the container's by then.
local function filters_before(seccomp, on_terminal)
  local needed = on_terminal and NEEDED_ON_TERMINAL or NEEDED
  if not seccomp then return true end
  if not OPEN_TIERS[seccomp.base or ""] then return false end
  for _, name in ipairs(seccomp.deny or {}) do
    if needed[name] then return false end
  end
  for _, rule in ipairs(seccomp.rules or {}) do
    if needed[rule.call] then return false end
  end
  return true
end

-- Words of the container's luge are final: a "$" in them is no symbol.
local function literal(value)
  if type(value) == "string" then return Steps.text(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = literal(item) end
  return copy
end

local function is_pdeathsig(step) return step.op == "prctl" and step.args[1] == "set_pdeathsig" end

-- What has another place or another form here. PID 1, the receipt's wait, the container's terminal (ioctl, its only one
-- among these steps) and health.fd (dup3) are not wanted.
local OTHERWISE = { init = true, wait = true, lifeline = true, reset_signals = true, close_range = true, chdir = true,
  exec = true, setsid = true, ioctl = true, dup3 = true }

local KEPT = { keyctl_join_session = true, setrlimit = true, prlimit = true, setpriority = true, sched_setaffinity = true,
  sched_setscheduler = true, cap_bounding_drop = true, prctl = true, setgroups = true, setresgid = true, setresuid = true,
  capset = true, cap_ambient_clear = true, cap_ambient_raise = true, seccomp_load = true, umask = true }

-- The first of two capset steps leaves PID 1 what it needs to signal the command: here is no PID 1.
local function last_capset(seal)
  local last
  for i, step in ipairs(seal) do
    if step.op == "capset" then last = i end
  end
  return last
end

-- The container's steps that are kept, those of the filters apart, unless they come before the ids as they do without
-- no_new_privs; nil and an operation that is not known here.
local function sorted(seal)
  local kept, filters, capset, has_ids = {}, {}, last_capset(seal), false
  for i, step in ipairs(seal) do
    has_ids = has_ids or step.op == "setresuid"
    if step.op == "seccomp_load" and has_ids then
      filters[#filters + 1] = step
    elseif KEPT[step.op] and not is_pdeathsig(step) and (step.op ~= "capset" or i == capset) then
      kept[#kept + 1] = step
    elseif not KEPT[step.op] and not OTHERWISE[step.op] then
      return nil, step.op
    end
  end
  return kept, filters
end

local OTHER_USER = { setgroups = { "$user.groups" }, setresgid = { "$user.gid", "$user.gid", "$user.gid" },
  setresuid = { "$user.uid", "$user.uid", "$user.uid" } }

local function add_all(steps, list, want)
  for _, step in ipairs(list) do
    local args = want.user and OTHER_USER[step.op] or literal(step.args)
    steps:add("seal", step.why, step.op, args, { optional = step.optional })
  end
end

local function seal(steps, facts, want)
  local kept, filters = sorted(facts.seal)
  if not kept then return nil, filters end
  local before = filters_before(facts.spec.seccomp, want.terminal)
  steps:add("seal", "terminal", "setsid", {}, { optional = 1 })
  add_all(steps, kept, want)
  steps:add("seal", "cwd", "chdir", { { literal = want.cwd or facts.spec.cwd } })
  steps:add("seal", "command", "reset_signals", {})
  steps:add("seal", "command", "close_range", { { 0, 1, 2 } })
  if before then add_all(steps, filters, want) end
  steps:add("seal", "namespaces.pid", "enter", {})
  steps:add("seal", "terminal", "setsid", {}, { optional = true })
  if want.terminal then steps:add("seal", "terminal", "ioctl", { 1, "tiocsctty", 0 }) end
  steps:add("seal", "namespaces", "prctl", { "set_pdeathsig", "kill" })
  steps:add("seal", "namespaces", "lifeline", {})
  if not before then add_all(steps, filters, want) end
  steps:add("seal", "command", "exec", { "$argv", "$environment" })
  return true
end

--- The steps by which a command joins.
-- facts: of sandbox.container.describe. host: { differ = kinds of namespaces that are not ours, maps_root = { uid =, gid = }
-- whether the container has an id 0, capabilities = all names }. want: { user = of the command line, cwd =, terminal =
-- whether it gets one of its own }.
---@return table|nil steps  or nil
---@return string|nil op  a sealing step that this luge does not know how to repeat
function M.compile(facts, host, want)
  local steps = Steps.new()
  clone(steps, facts)
  steps:add("guest", "command", "close_range", { 3, 0xffffffff, "cloexec" })
  steps:add("guest", "command", "prctl", { "set_dumpable", 0 })
  join(steps, host.differ, facts)
  become_root(steps, facts, host)
  if want.user then steps:add("guest", "user", "lookup_user", { "/", want.user }, { save = "$user" }) end
  if want.terminal then
    local master, slave = terminal.make(steps, want.user and "$user.uid" or facts.user.uid)
    terminal.hand_over(steps, master, slave, 0)
  end
  local ok, op = seal(steps, facts, want)
  if not ok then return nil, op end
  return steps.list
end

return M
