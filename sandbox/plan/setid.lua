-- SPDX-License-Identifier: MIT
-- sandbox.plan.setid: no way to root through a file that the container leaves behind.
--
-- A writable idmapped mount over files of the host's root lets the container's root make files that are root's
-- on the host: with a set-user-id bit, whoever runs one there is root. Nobody can where a directory above is
-- closed (0700). Else a filter refuses the bits, and what no filter sees is an error: file capabilities, whose
-- bytes lie behind a pointer, and set-id files that are there already, since a write through a shared mapping
-- leaves them their bit.

local list = require "sandbox.plan.list"

local M = {}

local function kept_upper(mount)
  local dir = mount.upper or mount.overlay
  if dir and dir ~= "discard" then return dir end
end

-- The fault when nothing above the mount is closed: what would go through, and how to do without it.
local function opening(c, sources)
  if not c.spec.seccomp then
    return "without seccomp a program could leave a set-user-id one in it", "keep seccomp"
  elseif list.has(c.spec.capabilities.bounding, "setfcap") then
    return "with the capability setfcap a program could leave one with capabilities in it", "leave setfcap out"
  end
  for _, source in ipairs(sources) do
    local found = c.facts:setid_below(source)
    if found then
      return ("%s is set-user-id or set-group-id, and a program could change what it does"):format(found),
        "take its bit away"
    end
  end
end

--- Sees to it that a mount whose files belong to the host's root can do no harm on the host.
function M.guard(c, mount)
  local upper = kept_upper(mount)
  if not mount.rw and not upper then return end
  local sources = mount.lower or { mount.source }
  -- A new upper directory is made closed.
  if upper and not c.facts:stat(upper) or c.facts:closed_above(upper and upper .. "/upper" or mount.source) then
    return
  end
  c.setid_guard = true
  local message, hint = opening(c, sources)
  if message then
    c:fault(mount.why, ("%s is writable, and its files are root's on the host: %s"):format(upper or mount.source, message),
      hint .. ", or put it below a directory that only root can enter (chmod 700)")
  end
end

return M
