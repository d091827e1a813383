-- SPDX-License-Identifier: MIT
-- sandbox.profile.capabilities: the names that the kernel has, the presets, and the five sets that a profile means.

local M = {}

-- In the kernel's order (linux/capability.h).
M.NAMES = {
  "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
  "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
  "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
  "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
  "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
  "checkpoint_restore",
}

M.PRESETS = {
  all = M.NAMES,
  oci = { "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service",
    "net_raw", "sys_chroot", "mknod", "audit_write", "setfcap" },
}

local function ordered(names)
  local set, out = {}, {}
  for _, name in ipairs(names) do set[name] = true end
  for _, name in ipairs(M.NAMES) do
    if set[name] then out[#out + 1] = name end
  end
  return out
end

local function missing_from(whole, part)
  local set = {}
  for _, name in ipairs(whole) do set[name] = true end
  for _, name in ipairs(part) do
    if not set[name] then return name end
  end
end

-- To root execve(2) gives again what the sets before it left out: then they would say what does not hold.
local function check_root(sets, spec, complain)
  local user = spec.user
  if user.uid ~= 0 and user.name ~= "root" then return end
  local name = missing_from(sets.effective, sets.permitted)
  if name then
    complain({ "capabilities", "effective" }, ("from execve(2) on root has all of the permitted set in force, %s too"):format(name),
      "leave effective out, or choose another user")
  end
  name = not spec.no_new_privs and missing_from(sets.permitted, sets.bounding)
  if name then
    complain({ "capabilities", "permitted" },
      ("without no_new_privs execve(2) gives root all of the bounding set, %s too"):format(name),
      "leave it out of bounding, or choose another user")
  end
end

-- A list means: kept. For a user other than root that takes the ambient set, which exec leaves alone. `c` is a list or
-- a table of sets; returns all five sets.
function M.sets(c, spec, complain)
  if c.op or c[1] then
    local names = ordered(c)
    local ambient = spec.user.uid == 0 and {} or names
    return { bounding = names, permitted = names, effective = names, inheritable = ambient, ambient = ambient }
  end
  local ambient = c.ambient or {}
  local bounding = c.bounding or c.permitted or c.effective or ambient
  local out = { bounding = bounding, permitted = c.permitted or bounding, inheritable = c.inheritable or ambient,
    ambient = ambient }
  out.effective = c.effective or out.permitted
  for _, pair in ipairs { { "permitted", "bounding" }, { "effective", "permitted" }, { "inheritable", "bounding" },
    { "ambient", "permitted" }, { "ambient", "inheritable" } } do
    local name = missing_from(out[pair[2]], out[pair[1]])
    if name then
      complain({ "capabilities", pair[1] }, name .. " is not in the " .. pair[2] .. " set", "add it there")
    end
  end
  check_root(out, spec, complain)
  for key, names in next, out do out[key] = ordered(names) end
  return out
end

return M
