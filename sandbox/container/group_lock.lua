-- SPDX-License-Identifier: MIT
-- sandbox.container.group_lock: one `luge up` or `luge down` of a group at a time: two at once would take back and remove what
-- the other one counts on.
--
-- A file NAME:group beside the containers' locks, which no container's name can be; that of a killed luge is nobody's, and
-- `luge gc` takes it away.

local S = require "syscall"

local M = {}

local PAUSE = 50 -- milliseconds between two looks

--- Takes the lock of a group, however long another luge has it, which is said. given_up(milliseconds): waits so long, true to
-- give up. Returns the lock, for M.free; nil and the error; nil where it was given up.
function M.take(directory, name, given_up)
  local path, told = ("%s/%s:group"):format(directory, name), false
  while true do
    local fd, err = S.take_lock(path)
    if fd then return { fd = fd, path = path } end
    if not err.BUSY then return nil, err end
    if not told then
      require("sandbox.cli").complain(("the group '%s' is another luge's at the moment: %s"):format(name, rawget(err, "text")),
        "it is waited for")
    end
    told = true
    if given_up(PAUSE) then return nil end
  end
end

--- Frees it; the file goes.
function M.free(lock)
  S.unlink(lock.path)
  lock.fd:close()
end

return M
