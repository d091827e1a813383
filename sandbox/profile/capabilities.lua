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

-- A list means: kept. For a user other than root that takes the ambient set, which exec leaves alone. `c` is a list or
-- a table of sets; returns all five sets.
function M.sets(c, user, complain)
  if c.op or c[1] then
    local names = ordered(c)
    local ambient = user.uid == 0 and {} or names
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
  for key, names in next, out do out[key] = ordered(names) end
  return out
end

return M
