-- SPDX-License-Identifier: MIT
-- sandbox.plan.cgroups: the container's cgroups: which it gets, where, what is written into them, how it enters them.
--
-- On version 2 the container is born in its cgroup (CLONE_INTO_CGROUP); on version 1 the child goes there before it
-- does anything else. Luge itself stays where it is, but for the one case that leave() tells. Only what a limit, or
-- the report, needs is made: each directory costs its making, an attachment and its removal.

local M = {}

-- ---- faults ----

local function version_of(hierarchy) return "cgroup v" .. hierarchy.version end

local function user_of(c) return c.facts.uid == 0 and "root, as luge runs here," or "user " .. c.facts.user end

local SCOPE = "systemd-run --user --scope -p Delegate=yes luge run …"

local whys = {}

function whys.missing(c, _, controller, top)
  c.fault_words = { ("%s has no %s: there limits.parent for the %s controller would be"):format(
    top:match("^(.*)/[^/]*$"), top:match("[^/]*$"), controller), "make it first: mkdir " .. top }
end

function whys.closed(c, hierarchy, controller, dir)
  local where = ("the %s controller is on %s at %s, where %s may not make a cgroup"):format(controller,
    version_of(hierarchy), hierarchy.mount, user_of(c))
  if hierarchy.version == 2 then
    c.fault_words = { where .. (" (luge's own, %s, is not delegated)"):format(dir), "start luge in a scope of your own: "
      .. SCOPE .. ", or run it as root" }
  else
    c.fault_words = { where, "run luge as root, or name a cgroup that was given to you: limits.parent" }
  end
end

function whys.lacks(c, _, controller, dir)
  c.fault_words = { ("%s does not have the %s controller to give"):format(dir, controller),
    ("enable it above: echo +%s > …/cgroup.subtree_control (systemd: Delegate=%s)"):format(controller, controller) }
end

function whys.occupied(c, _, controller, dir)
  c.fault_words = { ("%s holds other processes beside luge, and a cgroup with processes gives its children no %s controller")
    :format(dir, controller), "start luge alone in its own scope: " .. SCOPE .. ", or name another cgroup: limits.parent" }
end

local function nowhere(c, controller)
  local text = c.facts.cgroups:kind() == "none" and "no cgroup hierarchy is mounted here"
    or "no hierarchy that is mounted here has it"
  c.fault_words = { ("the %s controller is missing: %s"):format(controller, text),
    "the kernel needs it built in, and not switched off at boot (luge doctor shows where each controller is)" }
end

-- A limit that cannot be had: a fault, or, where optional(…) accepts it, a row of the receipt that says so.
local function refuse(c, row)
  local why, words = "limits." .. row.field, c.fault_words
  if c.spec.optional[why] then
    c.cgroup.checks[#c.cgroup.checks + 1] = { field = why, asked = tostring(c.spec.limits[row.field]),
      got = "none: " .. words[1] }
  else
    c:fault(why, words[1], (words[2] and words[2] .. ", " or "") .. "or write optional(…)")
  end
end

-- ---- which cgroups ----

-- The cgroup of a hierarchy, as far as it is planned: { hierarchy =, top =, path =, made =, controllers = {}, rows = {} }.
local function group_of(c, hierarchy)
  local known = c.cgroup.groups[hierarchy.mount]
  if known then return known end
  local place, why, dir = c.facts.cgroups:place(hierarchy, c.spec.limits.parent or nil, c.facts.uid)
  if not place then return nil, why, dir end
  known = { hierarchy = hierarchy, place = place, path = place.top .. "/${name}", controllers = {}, writes = {} }
  c.cgroup.groups[hierarchy.mount] = known
  return known
end

-- Adds a controller to the plan; returns the group, or nil, a function of `whys` and its arguments. quiet: not at the
-- price of moving luge.
local function add(c, controller, quiet)
  local layout = c.facts.cgroups
  local hierarchy = layout:find(controller)
  if not hierarchy then return nil end
  local group, why, dir = group_of(c, hierarchy)
  if not group then return nil, why, hierarchy, dir end
  if hierarchy.version == 2 then
    local names = table.move(group.controllers, 1, #group.controllers, 1, {})
    names[#names + 1] = controller
    local enable, reason, at = layout:enable(group.place, names)
    if not enable then return nil, reason, hierarchy, at end
    if quiet and enable.leave and not (group.enable and group.enable.leave) then return nil, "quiet", hierarchy end
    group.controllers, group.enable = names, enable
  end
  group.used = true
  c.cgroup.dirs[controller] = { version = hierarchy.version, path = group.path }
  return group
end

local function put_into(c, row, group)
  local why = "limits." .. row.field
  return function(file, text, how)
    group.why = group.why or why
    group.writes[#group.writes + 1] = { why = why, path = group.path .. "/" .. file, text = text,
      optional = how and how.optional }
    c.cgroup.checks[#c.cgroup.checks + 1] = { field = why, path = group.path .. "/" .. file, asked = text,
      optional = how and how.optional }
  end
end

local function apply(c, row, value)
  local group, why, hierarchy, dir = add(c, row.controller)
  if not group then
    if why then whys[why](c, hierarchy, row.controller, dir) else nowhere(c, row.controller) end
    return refuse(c, row)
  end
  local _, message, hint = row.files(c, value, group.hierarchy.version, put_into(c, row, group))
  if message then
    c.fault_words = { message, hint }
    refuse(c, row)
  end
end

-- The default of pids is no reason to move luge, nor to refuse a start: then RLIMIT_NPROC stands in for it.
local function default_pids(c)
  if require("sandbox.profile").origin(c.spec, "limits.pids") ~= "default" then return false end
  local row = require("sandbox.plan.cgroup_limits").pids
  local group = add(c, "pids", true)
  if not group then return true end
  row.files(c, c.spec.limits.pids, group.hierarchy.version, put_into(c, row, group))
  return true
end

-- What the report's figures are read from, where it costs nobody a limit.
local FIGURES = { "memory", "pids", "cpuacct", "io" }

local function for_figures(c)
  local report = c.options.report
  if not report and not c.spec.limits.cpu_time then return end
  for _, controller in ipairs(report and FIGURES or { "cpuacct" }) do
    if not c.cgroup.dirs[controller] then add(c, controller, true) end
  end
  -- Version 2 counts processor time in every cgroup, whatever its controllers.
  local v2 = c.facts.cgroups.v2
  local group = v2 and not c.cgroup.dirs.cpuacct and group_of(c, v2)
  if group then
    group.used, group.enable = true, group.enable or { list = {} }
    c.cgroup.dirs.base = { version = 2, path = group.path }
  end
end

-- The devices controller of version 1 is a list, version 2 has a program instead, which only root may load.
local function for_devices(c)
  local devices = require "sandbox.plan.devices"
  local why = devices.asks(c)
  if not why then return end
  local layout = c.facts.cgroups
  local hierarchy = layout.v1.devices or layout.v2
  local group = hierarchy and (hierarchy.version == 1 or c.facts.privileged) and group_of(c, hierarchy)
  if not group then
    if why == "devices" then
      c:fault("devices", 'only a cgroup can hold access other than "rw", and luge may not give this container one with devices',
        'run luge as root where cgroups are mounted (luge doctor), write "rw", or leave the device out')
    end
    return
  end
  group.used, group.why, group.devices = true, group.why or why, { why = why, rules = devices.rules(c) }
  c.cgroup.dirs.devices = { version = hierarchy.version, path = group.path }
end

-- A detached container can be paused: by the freezer of version 1, or in any cgroup of version 2. Without either it
-- runs all the same, and `luge pause` says why not.
local function for_pause(c)
  if not c.options.detach then return end
  for _, group in pairs(c.cgroup.groups) do
    if group.used and group.hierarchy.version == 2 then return end
  end
  if add(c, "freezer", true) or not c.facts.cgroups.v2 then return end
  local group = group_of(c, c.facts.cgroups.v2)
  if not group then return end
  group.used, group.enable = true, group.enable or { list = {} }
  c.cgroup.dirs.base = { version = 2, path = group.path }
end

local function decide(c)
  local asked = c.spec.limits
  local pids_done = asked.pids and default_pids(c)
  for _, row in ipairs(require("sandbox.plan.cgroup_limits").list) do
    local value = asked[row.field]
    if value and value ~= "unlimited" and not (row.field == "pids" and pids_done) then apply(c, row, value) end
  end
  for_devices(c)
  for_figures(c)
  for_pause(c)
end

-- ---- steps ----

local function record(group, ino)
  return ("cgroup %s %s %s\n"):format(ino, group.place.made and "above" or "only", group.path)
end

-- Luge alone in a delegated cgroup steps aside into a leaf, so that the cgroup may give its controllers to others; it
-- comes back in the end.
local function leave(c, group)
  local steps, dir = c.steps, group.enable.leave
  local why, words, away = group.why or "limits", {}, {}
  for _, entry in ipairs(group.enable.list) do
    if entry.dir == dir then
      for i, name in ipairs(entry.controllers) do words[i], away[i] = "+" .. name, "-" .. name end
    end
  end
  steps:add("host", why, "make_cgroup", { dir .. "/luge" }, { undo = { "rmdir", { dir .. "/luge" } } })
  steps:add("host", why, "writefile", { dir .. "/luge/cgroup.procs", "0" },
    { undo = { "writefile", { dir .. "/cgroup.procs", "0" } } })
  -- Of a detached start, whoever waits for it to run.
  if c.options.detach then steps:add("host", why, "writefile", { dir .. "/luge/cgroup.procs", "${caller}\n" }) end
  steps:add("host", why, "writefile", { dir .. "/cgroup.subtree_control", table.concat(words, " ") },
    { undo = { "writefile", { dir .. "/cgroup.subtree_control", table.concat(away, " ") } } })
end

local function how_to_make(group)
  local how = { above = group.place.made, cpuset = group.cpuset }
  for _, entry in ipairs(group.enable and group.enable.list or {}) do
    if entry.dir ~= group.enable.leave then
      how.give = how.give or {}
      how.give[#how.give + 1] = entry
    end
  end
  return how
end

-- Before the child is in it. The program goes with its cgroup.
local function restrict_devices(c, group)
  local devices, steps, why = require "sandbox.plan.devices", c.steps, group.devices.why
  if group.hierarchy.version == 1 then
    local lines = {}
    steps:add("host", why, "writefile", { group.path .. "/devices.deny", "a" })
    for i, rule in ipairs(group.devices.rules) do
      lines[i] = devices.line(rule)
      steps:add("host", why, "writefile", { group.path .. "/devices.allow", lines[i] })
    end
    c.cgroup.checks[#c.cgroup.checks + 1] = { field = why, path = group.path .. "/devices.list",
      asked = table.concat(lines, "\n") }
    return
  end
  c.constants["devices.program"] = devices.program(group.devices.rules)
  steps:add("host", why, "open", { group.path, "rdonly, directory, cloexec" }, { save = "$devices.cgroup" })
  steps:add("host", why, "bpf_prog_load", { { type = "cgroup_device", insns = "$devices.program", name = "luge_devices" } },
    { save = "$devices.fd" })
  steps:add("host", why, "bpf_prog_attach", { "$devices.cgroup", "$devices.fd", "cgroup_device" })
  c.cgroup.checks[#c.cgroup.checks + 1] = { field = why, program = "$devices.cgroup", asked = "1 program" }
end

local function make(c, group, index)
  local steps, why = c.steps, group.why or "limits"
  local place = { above = group.place.made }
  if group.enable and group.enable.leave then leave(c, group) end
  steps:add("host", why, "make_cgroup", { group.path, how_to_make(group) },
    { save = "$cgroup.ino" .. index, undo = { "remove_cgroup", { group.path, place } } })
  for _, write in ipairs(group.writes) do
    steps:add("host", write.why, "writefile", { write.path, write.text }, { optional = write.optional })
  end
  if group.devices then restrict_devices(c, group) end
end

local function enter(c, group)
  if group.hierarchy.version == 2 then
    c.cgroup.fd = "$cgroup.directory"
    c.steps:add("host", group.why or "limits", "open", { group.path, "path, directory, cloexec" }, { save = c.cgroup.fd })
  else
    c.cgroup.attached = true
  end
end

local function used_groups(c)
  local list = {}
  for _, group in pairs(c.cgroup.groups) do
    if group.used then list[#list + 1] = group end
  end
  table.sort(list, function(a, b) return a.path < b.path end)
  for _, group in ipairs(list) do
    group.cpuset = group.hierarchy.version == 1 and group.hierarchy == c.facts.cgroups.v1.cpuset or nil
  end
  return list
end

--- Decides c.cgroup and adds the host steps: { dirs = controller → { version =, path = }, checks = what the receipt
-- compares, fd = symbol of the version 2 directory, attached = whether version 1 ones are entered later }.
function M.plan(c)
  c.cgroup = { groups = {}, dirs = {}, checks = {} }
  decide(c)
  if #c.faults > 0 then return end
  local groups = used_groups(c)
  c.cgroup.list = groups
  if #groups == 0 then return end
  -- What a killed luge leaves is found by what its lock's file says. Until the inode is known, only an empty
  -- directory is removed.
  local before, after = {}, {}
  for i, group in ipairs(groups) do
    before[i], after[i] = record(group, "-"), record(group, ("${cgroup.ino%d}"):format(i))
  end
  c.steps:add("host", "limits", "note_lock", { "$lock.name", table.concat(before) })
  for i, group in ipairs(groups) do make(c, group, i) end
  c.steps:add("host", "limits", "note_lock", { "$lock.name", table.concat(after) })
  for _, group in ipairs(groups) do enter(c, group) end
end

--- The child enters its cgroups of version 1 itself, before anything else, through the files that luge opened. To put a
-- process there by its number takes the lock of the whole machine's threads for writing, which waits for a grace period
-- of RCU, some 10 ms, unless somebody has just done it; a thread that moves itself needs none (cgroup_procs_write_start()
-- in kernel/cgroup/cgroup.c).
function M.enter(c)
  for i, group in ipairs(c.cgroup.list or {}) do
    if group.hierarchy.version == 1 then
      local why, tasks = group.why or "limits", "$cgroup.tasks" .. i
      c.steps:add("host", why, "open", { group.path .. "/tasks", "wronly, cloexec" }, { save = tasks })
      c.steps:add("guest", why, "write", { tasks, "0" })
    end
  end
end

return M
