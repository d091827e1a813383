-- SPDX-License-Identifier: MIT
-- netns.bridge_removal: a bridge is removed, and nobody waits for that, neither its last user nor who makes the next of its name.
--
-- To delete one takes 30 ms: twice the kernel waits until what anybody has freed is free, the first time with all networks locked
-- (br_multicast_dev_del). A bridge stays in the namespace it was made in, and so cannot go with another one. So its name is given
-- up: it gets one that nobody has, without addresses and down, and a process that nobody waits for deletes it. That holds the lock
-- of the new name, which notes what goes: killed at any moment, it leaves to `luge gc` what any luge leaves.

local S = require "syscall"
local nl = require "netns"
local shared = require "netns.shared"

local M = {}

-- The bridge under a name of its own: that, the path and the descriptor of its lock; nil where that cannot be.
local function take_aside(path, name, mac)
  local directory, ino = path:match("^(.*/)bridge%.[^/]+%.(%d+)$")
  local new = directory and nl.link_name "lg"
  if not new then return nil end
  local aside = ("%sbridge.%s.%s"):format(directory, new, ino)
  local fd, how = shared.lock(aside)
  if fd and how == "ex" and S.note_lock(fd, ("bridge %s %s\n"):format(new, mac))
    and nl.set(name, { name = new, up = false }) then
    for _, address in ipairs(nl.addresses { dev = new } or {}) do
      nl.deladdress(new, ("%s/%d"):format(address.address, address.prefix))
    end
    return new, aside, fd
  end
  if fd then
    S.unlink(aside)
    fd:close()
  end
  return nil
end

-- In a copy of the process: nothing of the caller's stays open but the lock, and no signal of its group or session is ours.
local function let_go(lock)
  nl.keep(false)
  local number = lock:getfd()
  S.sigprocmask("block", "int, term, hup, quit")
  if number > 0 then S.close_range(0, number - 1) end
  S.close_range(number + 1, 0xffffffff)
  S.setsid()
end

-- Has f() done by a process that is nobody's child; lock: the descriptor that it keeps. Whether there is one.
local function by_another(lock, f)
  local pid = S.fork()
  if pid == 0 then
    local ok, child = pcall(function()
      collectgarbage "stop" -- it would close numbers that are others' now
      let_go(lock)
      return S.fork()
    end)
    if ok and child == 0 then pcall(f) end
    S.exit(ok and child and 0 or 1)
  end
  local status = pid and S.waitid("pid", pid, "exited")
  return status and status.code == "exited" and status.status == 0
end

--- Removes the bridge of that name and Ethernet address, whose lock is the caller's alone, and is the file `path`. When this
-- returns the name is free.
function M.remove(path, name, mac)
  local new, aside, lock = take_aside(path, name, mac)
  if not new then return nl.delete(name) end
  local function delete()
    nl.delete(new)
    S.unlink(aside)
  end
  if not by_another(lock, delete) then delete() end
  lock:close()
  return true
end

return M
