-- SPDX-License-Identifier: MIT
-- sandbox.plan.process: what the command's process is: limits, ids, capabilities, filters; then exec.
--
-- These are the sealing steps, which the stage executes. Those before `init` hold for PID 1 as well.

local list = require "sandbox.plan.list"
local seccomp = require "sandbox.plan.seccomp"
local users = require "sandbox.plan.users"

local M = {}

local RLIMITS = { "open_files", "file_size", "core", "stack", "address_space", "locked_memory" }
local RLIMIT_NAMES = { open_files = "nofile", file_size = "fsize", core = "core", stack = "stack",
  address_space = "as", locked_memory = "memlock", processes = "nproc" }

-- A limit above luge's own hard one: only the machine's root may give it, from outside.
local function is_raise(c, name, value)
  local hard = c.facts:rlimit(name).hard
  if hard == "unlimited" then return false end
  return value == "unlimited" or value > hard, hard
end

local function limit(c, field, value, why)
  local name = RLIMIT_NAMES[field]
  local raise, hard = is_raise(c, name, value)
  if not raise then
    c.steps:add("seal", why, "setrlimit", { name, value, value })
  elseif c.facts.sys_resource then
    c.steps:add("attach", why, "prlimit", { "$child", name, value, value })
  elseif c.spec.optional[why] then
    c.steps:add("seal", why, "setrlimit", { name, hard, hard })
  elseif value ~= "unlimited" or c.spec.limits[field] then
    local with_init = field == "processes" and c.spec.init and value ~= "unlimited"
    c:fault(why, ("%s%s is above the hard limit of %s that luge runs under"):format(value,
      with_init and ", luge's PID 1 included," or "", hard),
      "raise it for luge (ulimit -H, or root with CAP_SYS_RESOURCE), or ask for less")
  end
end

-- Processes and threads of the user in its namespace. Where nobody wrote a number, this stands in for the pids
-- limit; luge's own PID 1 does not count.
local function processes(c)
  local limits = c.spec.limits
  local value, why = limits.processes, "limits.processes"
  if value == nil and not c.cgroup.dirs.pids then value, why = limits.pids, "limits.pids" end
  if not value then return end
  if value == "unlimited" then return why == "limits.processes" and limit(c, "processes", value, why) end
  -- RLIMIT_NPROC does not bind the first user of the machine (kernel/fork.c, INIT_USER).
  if why == "limits.processes" and c.facts.initial_userns and c.ids:host_uid(c.user.uid) == 0 and not c.spec.optional[why] then
    c:fault(why, "the kernel does not limit the processes of the host's root, who this user is",
      "leave id_map out, choose another user, or write optional(…)")
  end
  value = value + (c.spec.init and 1 or 0)
  if why == "limits.pids" then
    -- A default that is above the hard limit leaves that one in force, which is stricter.
    local hard = c.facts:rlimit("nproc").hard
    if math.type(hard) == "integer" then value = math.min(value, hard) end
    c.steps:add("seal", why, "setrlimit", { "nproc", value, value })
    c.cgroup.pids_instead = value
  else
    limit(c, "processes", value, why)
  end
end

-- What luge watches is the container's sum (sandbox.container.cpu_time). This bounds each process besides, a little later:
-- SIGXCPU, and KILL after the grace.
local function cpu_time(c, value)
  local hard = c.facts:rlimit("cpu").hard
  local function within(seconds)
    seconds = math.ceil(seconds) + 1
    return hard == "unlimited" and seconds or math.min(seconds, hard)
  end
  c.steps:add("seal", "limits.cpu_time", "setrlimit", { "cpu", within(value), within(value + c.spec.stop.grace) })
end

-- Limits of the process, set while they may still be raised up to the hard limit.
local function limits(c)
  local asked = c.spec.limits
  for _, field in ipairs(RLIMITS) do
    local value = asked[field]
    if value == nil and field == "core" then value = 0 end
    if value then limit(c, field, value, "limits." .. field) end
  end
  if asked.cpu_time then cpu_time(c, asked.cpu_time) end
  if asked.nice or asked.affinity or asked.scheduler or asked.oom_score then
    require("sandbox.plan.priority").add(c, asked)
  end
end

local function missing_from(wanted, all)
  local kept, missing = {}, {}
  for _, name in ipairs(wanted) do kept[name] = true end
  for _, name in ipairs(all) do
    if not kept[name] then missing[#missing + 1] = name end
  end
  return missing
end

-- PID 1 passes signals on to a command that may have become another user: CAP_KILL is for that.
local function init_needs_kill(spec)
  return spec.init and (list.has(spec.capabilities.bounding, "setuid") or not spec.no_new_privs)
end

local function with_kill(caps)
  local permitted = table.move(caps.permitted, 1, #caps.permitted, 1, {})
  if not list.has(permitted, "kill") then permitted[#permitted + 1] = "kill" end
  return { effective = permitted, permitted = permitted, inheritable = caps.inheritable }
end

-- In a user namespace of its own the container's root starts with all of them; on the host's ids with luge's own.
local function within_own(c)
  if c.ids.userns or not c.facts.privileged then return end
  local caps = c.spec.capabilities
  local lacking = {}
  for _, name in ipairs(caps.bounding) do
    local wanted = list.has(caps.permitted, name) or list.has(caps.inheritable, name)
    if wanted and not list.has(c.facts.own_capabilities, name) then lacking[#lacking + 1] = name end
  end
  if #lacking == 0 then return end
  c:fault("capabilities", ("luge itself lacks %s, and on the host's ids a container has no more than luge"):format(
    table.concat(lacking, ", ")), "leave them out, give luge these capabilities, or leave id_map = \"host\" out")
end

local function ids_and_bounding(c)
  local spec, steps = c.spec, c.steps
  local caps = spec.capabilities
  local dropped = missing_from(caps.bounding, c.facts.capabilities)
  if #dropped > 0 then steps:add("seal", "capabilities", "cap_bounding_drop", { dropped }) end
  local keeps = #caps.permitted > 0 or init_needs_kill(spec)
  if keeps then steps:add("seal", "capabilities", "prctl", { "set_keepcaps", 1 }) end
  if users.sets_groups(c) then steps:add("seal", "user", "setgroups", { "$user.groups" }) end
  steps:add("seal", "user", "setresgid", { "$user.gid", "$user.gid", "$user.gid" })
  steps:add("seal", "user", "setresuid", { "$user.uid", "$user.uid", "$user.uid" })
  if init_needs_kill(spec) then steps:add("seal", "init", "capset", { with_kill(caps) }) end
end

local function capabilities(c)
  local steps, caps = c.steps, c.spec.capabilities
  steps:add("seal", "capabilities", "capset",
    { { effective = caps.effective, permitted = caps.permitted, inheritable = caps.inheritable } })
  steps:add("seal", "capabilities", "cap_ambient_clear", {})
  if #caps.ambient > 0 then steps:add("seal", "capabilities", "cap_ambient_raise", { caps.ambient }) end
end

local function filters(c)
  local spec = c.spec.seccomp
  if not spec then return end
  c.filters = seccomp.filters(spec, { caps = c.spec.capabilities.bounding, setid_guard = c.setid_guard })
  for _, filter in ipairs(c.filters) do
    c.constants["filter." .. filter.name] = filter.bpf
    c.steps:add("seal", "seccomp", "seccomp_load", { "$filter." .. filter.name })
  end
end

-- Without no_new_privs the kernel takes filters only from a process with CAP_SYS_ADMIN over its user namespace, so
-- they are loaded before the capabilities go, and must let the rest of the seal through.
local function filters_first(c)
  local spec = c.spec
  if spec.no_new_privs or not spec.seccomp then return false end
  local base = spec.seccomp.base
  if base == "strict" or base == "compute" then
    c:fault("no_new_privs", ("false does not go with the tier '%s', which forbids what setting ids takes"):format(base),
      "leave no_new_privs out, or choose seccomp = \"default\"")
  end
  return true
end

-- Whoever has a descriptor can open its file anew by /proc/self/fd, for writing too where the file lets him: a file is
-- opened through a mount that is read-only. With the ids of others a user's container cannot make one of his file.
local function open_input(c, from, type)
  local steps, place, path = c.steps, "attach", nil
  if type == "file" and (c.facts.privileged or c.ids:host_uid(0) == c.facts.uid) then
    place = c.facts.privileged and "attach" or "guest"
    local tree = steps:open(place, "stdin", "input", "open_tree",
      { "fdcwd", require("sandbox.plan.reach").path(c, place, "stdin", from), "clone, cloexec" })
    steps:add(place, "stdin", "mount_setattr", { tree, "", "empty_path", { attr_set = "rdonly" } })
    path = "/proc/self/fd/${" .. tree:sub(2) .. "}"
  end
  path = path or require("sandbox.plan.reach").path(c, place, "stdin", from)
  local fd = steps:open(place, "stdin", "stdin", "open", { path, "rdonly, nonblock, noctty, cloexec" })
  steps:add(place, "stdin", "fcntl", { fd, "setfl", 0 })
  return fd
end

--- Standard input from elsewhere: a host file is opened by luge itself, with its caller's rights. A FIFO that nobody
-- writes to must not hold luge up, so none is waited for.
function M.stdin(c)
  local steps, from = c.steps, c.spec.stdin
  if from == "inherit" then return end
  local fd
  if from == "null" then
    fd = steps:open("guest", "stdin", "stdin", "open", { "/dev/null", "rdonly, cloexec" })
  else
    local st = c.facts:stat(from)
    if not st then
      return c:fault("stdin", ("%s does not exist"):format(from), "name a file, or write \"null\" or \"inherit\"")
    elseif st.type == "directory" or st.type == "socket" then
      return c:fault("stdin", ("%s is a %s"):format(from, st.type), "name a file that can be read")
    end
    fd = open_input(c, from, st.type)
  end
  steps:add("guest", "stdin", "dup3", { fd, 0 })
end

local JOURNAL = "/run/systemd/journal/socket"

--- With a limit of output, or a log, the container writes into pipes of luge's (sandbox.container.output), or into its
-- terminal, which luge reads anyway. The pipes are the container user's, or it could not open its own /dev/stdout.
function M.output(c)
  local steps, log = c.steps, c.options.detach and c.spec.log
  local why = c.spec.limits.output and "limits.output" or log and "log"
  if not why then return end
  if log == "journald" and not c.facts:stat(JOURNAL) then
    c:fault("log", ("no journald answers on this host: there is no %s"):format(JOURNAL),
      'write log = { size = "10M", files = 3 } for files of luge\'s own, or false')
  end
  if c.terminal then return end
  for number, name in ipairs { "stdout", "stderr" } do
    local pipe = "$output." .. name
    local uid, gid = c.ids:host_uid(c.user.uid), c.ids:host_gid(c.user.gid)
    if c.facts.privileged and uid then steps:add("attach", why, "fchown", { pipe, uid, gid or -1 }) end
    steps:add("guest", why, "dup3", { pipe, number })
  end
end

-- The command leads a session of its own: a terminal that came with it is nobody's to control, the container's own is
-- the command's.
local function command_session(c)
  c.steps:add("seal", "terminal", "setsid", {}, { optional = 1 })
  if c.terminal then c.steps:add("seal", "terminal", "ioctl", { 1, "tiocsctty", 0 }) end
end

--- Adds the sealing steps.
function M.seal(c)
  local spec, steps = c.spec, c.steps
  steps:add("seal", "namespaces", "keyctl_join_session", {}, { optional = 38 })
  if spec.init then steps:add("seal", "terminal", "setsid", {}, { optional = 1 }) else command_session(c) end
  limits(c)
  local early = filters_first(c)
  if early then filters(c) end
  within_own(c)
  ids_and_bounding(c)
  if not init_needs_kill(spec) then capabilities(c) end
  steps:add("seal", "namespaces", "prctl", { "set_pdeathsig", "kill" })
  steps:add("seal", "namespaces", "lifeline", {})
  if spec.no_new_privs then steps:add("seal", "no_new_privs", "prctl", { "set_no_new_privs", 1 }) end
  if spec.init then
    steps:add("seal", "init", "init", {})
    command_session(c)
  end
  if init_needs_kill(spec) then capabilities(c) end
  processes(c)
  steps:add("seal", "umask", "umask", { spec.umask })
  steps:add("seal", "command", "reset_signals", {})
  if spec.health and spec.health.fd then steps:add("seal", "health.fd", "dup3", { "$ready", spec.health.fd }) end
  steps:add("seal", "command", "close_range", { "$keep" })
  -- /proc/self/fd leads to nothing of luge's any more.
  steps:add("seal", "cwd", "chdir", { { literal = spec.cwd } })
  if not early then filters(c) end
  if c.options.report then steps:add("seal", "command", "wait", {}) end
  steps:add("seal", "command", "exec", { "$argv", "$environment" })
end

return M
