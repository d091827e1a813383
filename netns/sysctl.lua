-- SPDX-License-Identifier: MIT
-- netns.sysctl: a setting of the host's network that several processes need otherwise than it was. The first one changes
-- it and writes down what it was, the last one puts that back; who is killed leaves it to `luge gc`.

local S = require "syscall"
local nl = require "netns"
local check = require "netns.check"
local shared = require "netns.shared"

local M = {}

local MOST = 65536 -- bytes of a file that are read
local held = {} -- path → descriptor

--- The value of a setting, "net/ipv4/ip_forward". Errors: NOENT, PERM.
function M.read(name)
  local fd, err, errno = S.open("/proc/sys/" .. name, "rdonly")
  if not fd then return nil, err, errno end
  local text
  text, err, errno = S.read(fd, 256) -- those of a network are short, and told at once
  fd:close()
  if not text then return nil, err, errno end
  return text:match "^(.-)%s*$"
end

local function is_noted(text) return text:find "^%l+ [^\n]*\n" ~= nil end

-- What the file says: the setting, what it was, what it was made.
local function parse(text) return text:match "^sysctl (%S+) (%S+) (%S+)\n" end

--- Other settings that are noted beside it, and what they were: those that would not be so by themselves.
function M.others(text)
  local values = {}
  for name, value in text:gmatch "\nalso (%S+) (%S+)%f[\n]" do values[name] = value end
  return values
end

local function restore_here(text)
  if require("netns.forwarding").restore(text) then return end
  local name, was, made = parse(text)
  if M.read(name) ~= made or not S.writefile("/proc/sys/" .. name, was) then return end
  for other, value in pairs(M.others(text)) do S.writefile("/proc/sys/" .. other, value) end
end

--- Puts back what a file's text says, unless somebody changed it since. Nobody may need it any more. there: the network
-- namespace it is of, a descriptor, nil for our own: /proc/sys/net shows that of the reader.
function M.restore(text, there)
  if not is_noted(text) then return end
  local own = there and S.open("/proc/self/ns/net", "rdonly, cloexec")
  if there and not (own and S.setns(there, "newnet")) then return end
  restore_here(text)
  if own then
    assert(S.setns(own, "newnet")) -- else we would go on in the wrong network
    own:close()
  end
end

-- Alone with the file, which has `size` bytes: what a killed one left is put back first. True, and whether there is something
-- to hold.
local function alone(fd, size, path, change)
  if size > 0 then
    M.restore(S.pread(fd, MOST, 0) or "")
    S.ftruncate(fd, 0)
  end
  local ok, is_changed, errno = change(function(text) return S.pwrite(fd, text, 0) end)
  if not ok then M.restore(S.pread(fd, MOST, 0) or "") end
  if not ok or not is_changed then S.unlink(path) end
  return ok, is_changed, errno
end

--- Has change(note) done by the first who comes, and undone by M.restore when the last one has left; path: as nl.hold_sysctl's.
-- change writes down with note(text) what M.restore needs, does it, and returns true and whether there is something to put
-- back; or nil, err, errno.
function M.hold(path, change)
  while not held[path] do
    local fd, how, size = shared.lock(path)
    if not fd then return nil, how, size end
    if how == "ex" then
      local ok, is_changed, errno = alone(fd, size, path, change)
      if not ok then return nil, is_changed, errno end
      if not is_changed then
        fd:close()
        return true
      end
      S.flock(fd, "sh") -- for an instant there is no lock, and who clears up may come in between
    end
    if shared.size(fd) and (how == "ex" or is_noted(S.pread(fd, MOST, 0) or "")) then
      held[path] = fd
    else
      fd:close()
    end
  end
  return true
end

--- Whether this process holds the file.
function M.holds(path) return held[path] ~= nil end

--- What those noted whose file it is, where this process holds it, else nil.
function M.noted(path) return held[path] and S.pread(held[path], MOST, 0) end

--- nl.hold_sysctl(path, "net/ipv6/conf/eth0/accept_ra", "2") -> true
-- Sets a value below /proc/sys until nl.leave_sysctl by all who asked for it; path: the file that they share, in a
-- directory of luge's. Errors: NOENT, PERM, ROFS.
function nl.hold_sysctl(path, name, value)
  check.string(path, "#1")
  check.string(name, "#2")
  check.string(value, "#3")
  return M.hold(path, function(note)
    local was, err, errno = M.read(name)
    if not was then return nil, err, errno end
    if was == value then return true, false end
    local ok
    ok, err, errno = note(("sysctl %s %s %s\n"):format(name, was, value))
    if ok then ok, err, errno = S.writefile("/proc/sys/" .. name, value) end
    if not ok then return nil, err, errno end
    return true, true
  end)
end

--- nl.leave_sysctl(path) -> true
-- The end of nl.hold_sysctl; the last one puts back what was there before the first.
function nl.leave_sysctl(path)
  local fd = held[path]
  held[path] = nil
  if fd and S.flock(fd, "ex, nb") and shared.size(fd) then
    M.restore(S.pread(fd, MOST, 0) or "")
    S.unlink(path)
  end
  if fd then fd:close() end
  return true
end

return M
