-- SPDX-License-Identifier: MIT
-- netns.inhabited: who is in a network namespace.

local S = require "syscall"

local M = {}

-- A process may end, or be another's, before it is looked at.
local function is_closed(err) return err.NOENT or err.SRCH or err.ACCES or err.PERM end

--- A process in the network namespace with this name, "net:[4026531833]": its number, or false where none is that we may see.
-- Errors: as of S.dir and S.readlink.
function M.process_in(namespace)
  local names, err, errno = S.dir "/proc"
  if not names then return nil, err, errno end
  for _, name in ipairs(names) do
    if name:find "^%d+$" then
      local its
      its, err, errno = S.readlink(("/proc/%s/ns/net"):format(name))
      if its == namespace then return tonumber(name) end
      if not its and not is_closed(err) then return nil, err, errno end
    end
  end
  return false
end

return M
