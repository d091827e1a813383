-- SPDX-License-Identifier: MIT
-- sandbox.plan.namespaces: which are new, which are joined, and what is set inside them.

local network = require "netns.plan"
local text = require("sandbox.plan.steps").text

local M = {}

-- The order of joining: a mount namespace or user namespace by path is refused by the schema's checks.
local KINDS = { "ipc", "uts", "net", "pid", "cgroup", "mount" }
local CLONE = { user = "newuser", mount = "newns", pid = "newpid", net = "newnet", ipc = "newipc", uts = "newuts",
  cgroup = "newcgroup" }

local function is_path(value)
  return type(value) == "string" and value:sub(1, 1) == "/"
end

-- A process's children are born in its pid namespace: joining one happens before the clone.
local function join(c, kind, path)
  local why = "namespaces." .. kind
  local fd = c.steps:open("host", why, "ns", "open", { text(path), "rdonly, nonblock, cloexec" })
  c.steps:add(kind == "pid" and "host" or "guest", why, "setns", { fd, CLONE[kind] })
end

-- The kernel's names of the kinds, in /proc/PID/ns.
local FILE = { mount = "mnt" }

-- A kernel may be built without a kind: a fault, unless the profile accepts that.
local function has_kind(c, kind)
  if c.facts:link("/proc/self/ns/" .. (FILE[kind] or kind)) or c.facts.no_proc then return true end
  if not c.spec.optional["namespaces." .. kind] then
    c:fault("namespaces." .. kind, "this kernel has no such namespaces",
      ("write namespaces = { %s = optional(true) }"):format(kind))
  end
  return false
end

--- The clone step. The child is a copy of luge, in the new namespaces.
function M.clone(c)
  local namespaces = c.spec.namespaces
  network.clone(c)
  local flags = {}
  if c.ids.userns and not c.shared then flags[1] = CLONE.user end
  for _, kind in ipairs(KINDS) do
    local value = namespaces[kind]
    if kind == "net" and not is_path(value) then value = network.is_own(c.spec.network) or "host" end
    if is_path(value) then
      c.joins = c.joins or {}
      c.joins[#c.joins + 1] = { kind, value }
      if kind == "pid" then join(c, kind, value) end
    elseif value ~= "host" and value ~= false and has_kind(c, kind) then
      -- A version 1 cgroup is entered after the clone, and a namespace made before would show its path.
      if kind == "cgroup" and c.cgroup.attached then
        c.unshare_cgroup = true
      else
        flags[#flags + 1] = CLONE[kind]
      end
      if kind == "net" then c.new_net = true end
      if kind == "uts" then c.new_uts = true end
      if kind == "pid" then c.new_pid = true end
    end
  end
  local how = { flags = table.concat(flags, ", "), cgroup = c.cgroup.fd }
  if c.shared then
    c.steps:add("clone", "namespaces", "clone_within", { c.shared, how }, { save = "$child" })
  else
    how.exit_signal, how.pidfd = "chld", true
    c.steps:add("clone", "namespaces", "clone3", { how }, { save = "$child" })
  end
end

--- Joins other than of the pid namespace.
function M.join(c)
  for _, pair in ipairs(c.joins or {}) do
    if pair[1] ~= "pid" then join(c, pair[1], pair[2]) end
  end
end

-- The clocks of a time namespace can be set only before anybody is in it, and clone3 puts the child in at once:
-- so the child makes one for its children, sets it, and joins it itself.
local function set_clocks(c)
  local time = c.spec.namespaces.time
  if not time or time == "host" then return end
  local steps, why = c.steps, "namespaces.time"
  if is_path(time) then
    local fd = steps:open("host", why, "ns", "open", { text(time), "rdonly, nonblock, cloexec" })
    steps:add("guest", why, "setns", { fd, "newtime" })
    return
  end
  if not has_kind(c, "time") then return end
  steps:add("guest", why, "unshare", { "newtime" })
  for _, clock in ipairs { "monotonic", "boottime" } do
    local offset = type(time) == "table" and time[clock]
    if offset then
      local seconds = math.floor(offset)
      local nanoseconds = math.floor((offset - seconds) * 1000000000)
      steps:add("guest", why, "writefile",
        { "/proc/self/timens_offsets", ("%s %d %d\n"):format(clock, seconds, nanoseconds) })
    end
  end
  local fd = steps:open("guest", why, "time", "open", { "/proc/self/ns/time_for_children", "rdonly, cloexec" })
  steps:add("guest", why, "setns", { fd, "newtime" })
end

--- What is set inside the new namespaces, while the host's /proc is still in sight.
function M.settings(c)
  local spec, steps = c.spec, c.steps
  if c.unshare_cgroup then steps:add("guest", "namespaces.cgroup", "unshare", { "newcgroup" }) end
  set_clocks(c)
  if c.new_uts then steps:add("guest", "hostname", "sethostname", { "${hostname}" }) end
  network.plan(c)
  local names = {}
  for name in pairs(spec.sysctl) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = "/proc/sys/" .. name:gsub("%.", "/")
    local value = tostring(spec.sysctl[name])
    -- The default opens the low ports; where /proc/sys is closed, as in a nested container, there are none.
    local is_default = name == "net.ipv4.ip_unprivileged_port_start" and value == "0"
    steps:add("guest", "sysctl[\"" .. name .. "\"]", "writefile", { text(path), text(value) }, { optional = is_default or nil })
  end
end

return M
