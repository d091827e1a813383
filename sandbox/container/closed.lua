-- SPDX-License-Identifier: MIT
-- sandbox.container.closed: why this host gives no user namespaces, and what opens them.

local S = require "syscall"

local M = {}

local CAUSES = {
  { "kernel/unprivileged_userns_clone", "0",
    "this host closes user namespaces to ordinary users: sysctl kernel.unprivileged_userns_clone=1, or run luge as root" },
  { "kernel/apparmor_restrict_unprivileged_userns", "1",
    "AppArmor closes user namespaces to this program: sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
      .. "or a profile that allows userns" },
  { "user/max_user_namespaces", "0", "there may be no user namespaces: sysctl user.max_user_namespaces=10000" },
}

--- The cause and the way out, in one line.
function M.way_out()
  for _, cause in ipairs(CAUSES) do
    local text = S.readfile("/proc/sys/" .. cause[1])
    if text and text:match("%S+") == cause[2] then return cause[3] end
  end
  return "user namespaces are closed here: luge runs in a chroot, or in a container that forbids them"
end

return M
