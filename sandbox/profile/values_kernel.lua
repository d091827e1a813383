-- SPDX-License-Identifier: MIT
-- sandbox.profile.values_kernel: the types of the schema that name what the kernel has, in the form of sandbox.profile.values:
-- users and ids, CPUs, devices, namespaces, signals, capabilities, system calls, mount flags, parameters, cgroups.

local capabilities = require "sandbox.profile.capabilities"
local values = require "sandbox.profile.values"

local M = {}
local show, no = values.show, values.no

-- Users --------------------------------------------------------------------------------------------------

-- Numbers of users and groups: 2^32-1 means "unchanged" to the kernel.
function M.id(v)
  local n = values.integer(v)
  if not n or n < 0 or n > 4294967294 then return no(v, "id (a number from 0 to 4294967294)") end
  return n
end

M.user_name = values.pattern("name of a user", "^[%a_][%w_.-]*%$?$", 256)

-- Returns { name or uid, gid or group_name }; a number alone is both user and group.
function M.user(v)
  if math.type(v) == "integer" then v = tostring(v) end
  local user, group = tostring(v):match "^([^:]+):?([^:]*)$"
  if type(v) ~= "string" or not user or (group == "" and v:find(":", 1, true)) then
    return no(v, 'user (write "name", "uid:gid" or { uid = 1000, gid = 1000 })')
  end
  local spec = {}
  if user:find "^%d+$" then
    spec.uid = M.id(tonumber(user))
    if not spec.uid then return no(v, "user (ids go from 0 to 4294967294)") end
    spec.gid = group == "" and spec.uid or nil
  elseif M.user_name(user) then
    spec.name = user
  else
    return no(v, "user")
  end
  if group:find "^%d+$" then
    spec.gid = M.id(tonumber(group))
    if not spec.gid then return no(v, "user (ids go from 0 to 4294967294)") end
  elseif group ~= "" then
    if not M.user_name(group) then return no(v, "user") end
    spec.group_name = group
  end
  return spec
end

function M.id_range(v)
  local from, to, count
  if type(v) == "table" then
    from, to, count = v[1] or v.inside, v[2] or v.outside, v[3] or v.count
  end
  from, to, count = M.id(from), M.id(to), values.integer(count)
  if not (from and to and count) or count < 1
    or from + count > 4294967295 or to + count > 4294967295 then
    return nil, "a range is { inside, outside, count }: whole numbers, all of its ids below 4294967295, count at least 1",
      "for example { 0, 100000, 65536 }"
  end
  return { from, to, count }
end

-- CPUs, devices, namespaces ------------------------------------------------------------------------------

function M.cpu(v)
  local n = values.integer(v)
  if not n or n < 0 or n > 8191 then return no(v, "number of a CPU") end
  return n
end

function M.cpus(v)
  if math.type(v) == "integer" then v = tostring(v) end
  local cpus = {}
  for part in (type(v) == "string" and v or ""):gmatch "[^,]*" do
    local from, to = part:match "^(%d+)%-?(%d*)$"
    from, to = tonumber(from), tonumber(to ~= "" and to or from)
    if not from or from > to or to > 8191 or #cpus + to - from > 8191 then cpus = {} break end
    for cpu = from, to do cpus[#cpus + 1] = cpu end
  end
  if #cpus == 0 then return no(v, 'list of CPUs (write "0-3" or { 0, 1 })') end
  return cpus
end

function M.device_path(v)
  if type(v) == "string" and v:find "^[%w_-]" then v = "/dev/" .. v end
  if type(v) == "string" and v:find(":/", 1, true) then
    return nil, show(v) .. " is two paths: a device has the same one on both sides", "write " .. show(v:match "^(.-):/")
  end
  local path, message, hint = values.path(v)
  if path and not path:find "^/dev/." then return no(v, 'device (write "kvm" or "/dev/kvm")') end
  return path, message, hint
end

function M.namespace(v)
  if v == true or v == "host" then return v end
  if v == false then return "host" end
  if type(v) == "string" and v:byte() == 47 then return values.hostpath(v) end
  return no(v, 'namespace (write true, "host" or the absolute path of one)')
end

-- Signals, capabilities, system calls --------------------------------------------------------------------

local SIGNALS = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP"
  .. " TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS "
function M.signal(v)
  local name = type(v) == "string" and v:upper():gsub("^SIG", "")
  if name and name:find "^%u[%u%d]+$" and SIGNALS:find(name .. " ", 1, true)
    and (" " .. SIGNALS):find(" " .. name .. " ", 1, true) then return name end
  local n = name and tonumber(name:match "^RTMIN%+(%d+)$")
  if n and n <= 30 then return name end
  return no(v, 'signal (write "TERM")')
end

local known_caps
function M.capability(v)
  if not known_caps then
    known_caps = {}
    for i, name in ipairs(capabilities.NAMES) do known_caps[name] = i end
  end
  local name = type(v) == "string" and v:lower():gsub("^cap_", "")
  if known_caps[name] then return name end
  return nil, show(v) .. " is no capability", nil, { name, capabilities.NAMES }
end

function M.capability_preset(v)
  if capabilities.PRESETS[v] then return table.move(capabilities.PRESETS[v], 1, 64, 1, {}) end
  return nil, show(v) .. " is no preset of capabilities", 'write "oci", "all" or a list: { "chown" }'
end

-- The names that libseccomp knows, for whatever machine; without the library every well-formed name is taken.
local resolve, all_calls
function M.syscall(v)
  if type(v) ~= "string" or not v:find "^[%l_][%l%d_]*$" then return no(v, "name of a system call") end
  if resolve == nil then
    local ok, S = pcall(require, "syscall")
    resolve = ok and S.seccomp_resolve or false
    all_calls = ok and S.seccomp_syscalls
  end
  if not resolve or resolve(v) ~= nil then return v end
  local names = all_calls and all_calls()
  return nil, show(v) .. " is no system call", nil, type(names) == "table" and { v, names } or nil
end

local OPERATORS = { ["=="] = true, ["!="] = true, ["<"] = true, ["<="] = true, [">"] = true, [">="] = true,
  ["&"] = true, masked_eq = true }
-- { number, operator, value } or { number, "masked_eq", mask, value }; returned as { n, op, value, mask }.
function M.comparison(v)
  if type(v) ~= "table" then return no(v, 'comparison (write { 0, "==", "AF_UNIX" })') end
  local n, op, value, mask = v[1] or v.n, v[2] or v.op, v[3] or v.value, v.mask
  if op == "masked_eq" and v[4] then value, mask = v[4], v[3] end
  local function good(x)
    return math.type(x) == "integer" or type(x) == "string" and x:find "^%u[%u%d_]*$"
  end
  if math.type(n) ~= "integer" or n < 0 or n > 5 then return nil, show(n) .. " is no argument's number (0 to 5)" end
  if not OPERATORS[op] then return nil, show(op) .. ' is no operator (write == != < <= > >= & or "masked_eq")' end
  if not good(value) or (op == "masked_eq") ~= (mask ~= nil) or mask ~= nil and not good(mask) then
    return nil, 'a comparison is { number, operator, value } or { number, "masked_eq", mask, value }'
  end
  return { n, op, value, mask }
end

-- Mount flags, parameters, cgroups -----------------------------------------------------------------------

local FLAGS = { exec = true, noexec = true, suid = true, nosuid = true, dev = true, nodev = true, ro = true,
  noatime = true }
-- Given as "noexec, ro" or { "noexec", "ro" }; nosuid and nodev hold unless suid and dev are said.
function M.mount_flags(v)
  if type(v) == "table" then
    for i = 1, #v do
      if type(v[i]) ~= "string" then return no(v[i], "mount flag here") end
    end
    v = table.concat(v, ",")
  end
  if type(v) ~= "string" then return no(v, "list of mount flags") end
  local set, out = {}, {}
  for flag in v:gmatch "[^,%s]+" do
    if not FLAGS[flag] then return nil, show(flag) .. " is no mount flag here", nil, { flag, FLAGS } end
    set[flag] = true
  end
  for _, flag in ipairs { "ro", "noatime", "noexec" } do
    if set[flag] then out[#out + 1] = flag end
  end
  if not set.suid then out[#out + 1] = "nosuid" end
  if not set.dev then out[#out + 1] = "nodev" end
  return table.concat(out, ",")
end

function M.sysctl_name(v)
  if type(v) ~= "string" or not v:find "^[%w_]+%.[%w_.-]+$" then
    return no(v, 'kernel parameter (write ["kernel.shmmax"])')
  end
  return v
end

function M.sysctl(v)
  if type(v) == "boolean" then return no(v, "value of a kernel parameter", "write 1 or 0") end
  return values.word(v)
end

--- A path in a cgroup hierarchy, from its mount on.
function M.cgroup_path(v)
  if type(v) ~= "string" or not v:find "^/[%w_.@:\\/-]*$" or ("/" .. v .. "/"):find("/../", 1, true) then
    return no(v, 'cgroup (write a path from the top of the hierarchy, like "/ci")')
  end
  v = v:gsub("/+", "/"):gsub("(.)/$", "%1")
  return v
end

return M
