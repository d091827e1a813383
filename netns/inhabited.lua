-- SPDX-License-Identifier: MIT
-- netns.inhabited: who is in a network namespace, and whether it is there at all.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"

local M = {}

-- A process may end, or be another's, before it is looked at.
local function is_closed(err) return err.NOENT or err.SRCH or err.ACCES or err.PERM end

--- nl.remember(pid) -> { name = "net:[…]", handle = bytes }
-- The network namespace of a process, to be known again without being held; handle: since Linux 6.18, and where the kernel lets
-- us. Errors: NOENT.
function nl.remember(pid)
  local path = ("/proc/%d/ns/net"):format(check.u31(pid, "#1"))
  local name, err, errno = S.readlink(path)
  if not name then return nil, err, errno end
  return { name = name, handle = S.name_to_handle_at(nil, path, "symlink_follow") or nil }
end

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

-- Whether it has ended, as far as can be told.
local function has_ended(handle)
  local own = S.open("/proc/self/ns/net", "rdonly, cloexec")
  if not own then return false end
  local there, err = S.open_by_handle_at(own, handle)
  own:close()
  if there then there:close() end
  return not there and err.STALE
end

--- Whether a process is in the namespace that nl.remember told of; it takes a look at each of the machine, but where the kernel
--- knows that the namespace has ended. Errors: as of process_in.
function M.is_inhabited(place)
  if place.handle and has_ended(place.handle) then return false end
  return M.process_in(place.name)
end

return M
