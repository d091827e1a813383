-- SPDX-License-Identifier: MIT
-- netns.shared: the lock of what several processes use, each for as long as it lives: who uses it has a shared lock on a
-- file, who could have an exclusive one is alone with it, the first or the last.

local S = require "syscall"

local M = {}

local WAIT = 0.002 -- seconds: another makes or removes it

--- Whether a descriptor is still the file of that name.
function M.is_there(fd, path)
  local here, there = S.fstat(fd), S.lstat(path)
  return here and there and here.ino == there.ino
end

--- The file, made unless it is there, and locked: fd, and "ex" for whoever is alone with it, else "sh".
function M.lock(path)
  for _ = 1, 5000 do
    local fd, err, errno = S.open(path, "creat, rdwr, nofollow, cloexec", "0600")
    if not fd then return nil, err, errno end
    for _, how in ipairs { "ex", "sh" } do
      if S.flock(fd, how .. ", nb") then
        if M.is_there(fd, path) then return fd, how end
        break
      end
    end
    fd:close()
    S.nanosleep(WAIT)
  end
  return S.failure("BUSY", "another process is making or removing it")
end

return M
