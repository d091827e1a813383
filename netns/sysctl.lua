-- SPDX-License-Identifier: MIT
-- netns.sysctl: a setting of the host's network that several processes need otherwise than it was. The first one changes
-- it and writes down what it was, the last one puts that back; who is killed leaves it to `luge gc`.
--
-- Who needs it has a shared lock on the file that says so; who could have an exclusive one is alone. All of it happens
-- under one more lock, so that nobody puts back what another has just found as he wants it.

local S = require "syscall"
local nl = require "netns"

local M = {}

local held = {} -- path → descriptor

local function read_value(name)
  local text, err, errno = S.readfile("/proc/sys/" .. name)
  if not text then return nil, err, errno end
  return (text:gsub("%s+$", ""))
end

-- Waits for the lock of all settings, an instant each.
local function alone(path)
  local fd, err, errno = S.open(path:match "^(.*/)" .. "sysctl.lock", "creat, rdwr, nofollow, cloexec", "0600")
  if not fd then return nil, err, errno end
  local ok
  ok, err, errno = S.flock(fd, "ex")
  if not ok then return nil, err, errno end
  return fd
end

local function under_lock(path, f, ...)
  local lock, err, errno = alone(path)
  if not lock then return nil, err, errno end
  local results = table.pack(pcall(f, path, ...))
  lock:close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- What the file says: the setting, what it was, what it was made.
local function parse(text) return text:match "^sysctl (%S+) (%S+) (%S+)\n" end

--- Puts back what a file's text says, unless somebody changed it since. Nobody may need it any more.
function M.restore(text)
  local name, was, made = parse(text)
  if name and read_value(name) == made then S.writefile("/proc/sys/" .. name, was) end
end

local function hold(path, name, value)
  local fd, err, errno = S.open(path, "creat, rdwr, nofollow, cloexec", "0600")
  if not fd then return nil, err, errno end
  local said = S.pread(fd, 4096, 0) or ""
  if S.flock(fd, "ex, nb") and parse(said) then
    M.restore(said) -- its users were killed
    S.ftruncate(fd, 0)
    said = ""
  end
  local ok = true
  if not parse(said) then
    local was
    was, err, errno = read_value(name)
    if not was or was == value then -- nothing to do: not here, or so already
      S.unlink(path)
      fd:close()
      if was then return true end
      return nil, err, errno
    end
    S.pwrite(fd, ("sysctl %s %s %s\n"):format(name, was, value), 0)
    ok, err, errno = S.writefile("/proc/sys/" .. name, value)
  end
  if not ok then
    S.unlink(path)
    fd:close()
    return nil, err, errno
  end
  S.flock(fd, "sh")
  held[path] = fd
  return true
end

local function leave(path)
  local fd = held[path]
  held[path] = nil
  if fd and S.flock(fd, "ex, nb") then
    M.restore(S.pread(fd, 4096, 0) or "")
    S.unlink(path)
  end
  if fd then fd:close() end
  return true
end

--- nl.hold_sysctl(path, "net/ipv4/ip_forward", "1") -> true
-- Sets a value below /proc/sys until nl.leave_sysctl by all who asked for it; path: the file that they share, in a
-- directory of luge's. Errors: NOENT, PERM, ROFS.
function nl.hold_sysctl(path, name, value)
  if held[path] then return true end
  return under_lock(path, hold, name, value)
end

--- nl.leave_sysctl(path) -> true
-- The end of nl.hold_sysctl; the last one puts back what was there before the first.
function nl.leave_sysctl(path)
  if not held[path] then return true end
  return under_lock(path, leave)
end

return M
