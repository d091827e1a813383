-- SPDX-License-Identifier: MIT
-- netns.shared: the lock of what several processes use, each for as long as it lives: who uses it has a shared lock on a
-- file, who could have an exclusive one is alone with it, the first or the last.

local S = require "syscall"

local M = {}

local WAIT = 0.002 -- seconds: another makes or removes it

--- The size of a descriptor's file, unless it has no name any more. Nobody gives one of these files a second name.
function M.size(fd)
  local here = S.fstat(fd)
  return here and here.nlink > 0 and here.size or nil
end

--- The file, made unless it is there, and locked: fd, "ex" for whoever is alone with it, else "sh", and its size.
function M.lock(path)
  for _ = 1, 5000 do
    local fd, err, errno = S.open(path, "creat, rdwr, nofollow, cloexec", "0600")
    if not fd then return nil, err, errno end
    for _, how in ipairs { "ex", "sh" } do
      if S.flock(fd, how .. ", nb") then
        local size = M.size(fd)
        if size then return fd, how, size end
        break
      end
    end
    fd:close()
    S.nanosleep(WAIT)
  end
  return S.failure("BUSY", "another process is making or removing it")
end

return M
