-- SPDX-License-Identifier: MIT
-- netns.sysctl: a setting of the host's network that several processes need otherwise than it was. The first one changes
-- it and writes down what it was, the last one puts that back; who is killed leaves it to `luge gc`.

local S = require "syscall"
local nl = require "netns"
local shared = require "netns.shared"

local M = {}

local MOST = 65536 -- bytes of a file that are read
local held = {} -- path → descriptor

-- Those of a network are short, and told at once.
local function read_value(name)
  local fd, err, errno = S.open("/proc/sys/" .. name, "rdonly")
  if not fd then return nil, err, errno end
  local text
  text, err, errno = S.read(fd, 256)
  fd:close()
  if not text then return nil, err, errno end
  return text:match "^(.-)%s*$"
end

-- What the file says: the setting, what it was, what it was made.
local function parse(text) return text:match "^sysctl (%S+) (%S+) (%S+)\n" end

-- The kernel's switch between a host and a router sets more than itself: by IPv4 the host believes redirects again when it is
-- none, whatever it did before, and each link's own switch goes with the one for all.
local SWITCHES = { ["net/ipv4/ip_forward"] = "net/ipv4/conf", ["net/ipv6/conf/all/forwarding"] = "net/ipv6/conf" }
local FAMILY = { ["net/ipv4/conf"] = S.c.AF.INET, ["net/ipv6/conf"] = S.c.AF.INET6 }
local ALL, DEFAULT = -1, -2 -- NETCONFA_IFINDEX_*

-- The switches of links that are not as `was` says, name → value; all are told by one message. rtnetlink's NETCONFA_FORWARDING.
local function other_switches(base, was)
  local ask = nl.message(S.c.RTM.GETNETCONF, nil, ("B"):pack(FAMILY[base]))
  local replies, err, errno = nl.request(ask, nil, "dump")
  if not replies then return nil, err, errno end
  local found, names = {}, nil
  for _, reply in ipairs(replies) do
    local index = ("i4"):unpack(nl.attribute(reply.data, 1, S.c.NETCONFA.IFINDEX))
    local now = tostring((("i4"):unpack(nl.attribute(reply.data, 1, S.c.NETCONFA.FORWARDING))))
    if now ~= was and index ~= ALL then
      names = names or require("netns.link").names() or {}
      local link = index == DEFAULT and "default" or names[index]
      if link then found[link] = now end -- else it has just gone
    end
  end
  return found
end

-- Lines for what would not be as it is now once a switch has been set and set back to `was`.
local function companions(name, was)
  local base, lines = SWITCHES[name], {}
  if not base then return "" end
  if base == "net/ipv4/conf" then
    local redirects = base .. "/all/accept_redirects"
    local now = read_value(redirects)
    if now and now ~= (was == "0" and "1" or "0") then lines[1] = ("also %s %s\n"):format(redirects, now) end
  end
  local others, err, errno = other_switches(base, was)
  if not others then return nil, err, errno end
  for link, now in pairs(others) do lines[#lines + 1] = ("also %s/%s/forwarding %s\n"):format(base, link, now) end
  return table.concat(lines)
end

-- Puts it back, and what the kernel changed with it.
local function write_back(name, was, text)
  if not S.writefile("/proc/sys/" .. name, was) then return end
  for what, value in text:gmatch "\nalso (%S+) (%S+)%f[\n]" do
    if read_value(what) ~= value then S.writefile("/proc/sys/" .. what, value) end
  end
end

--- Puts back what a file's text says, unless somebody changed it since. Nobody may need it any more. there: the network
-- namespace it is of, a descriptor, nil for our own: /proc/sys/net shows that of the reader.
function M.restore(text, there)
  local name, was, made = parse(text)
  if not name then return end
  local own = there and S.open("/proc/self/ns/net", "rdonly, cloexec")
  if there and not (own and S.setns(there, "newnet")) then return end
  if read_value(name) == made then write_back(name, was, text) end
  if own then
    assert(S.setns(own, "newnet")) -- else we would go on in the wrong network
    own:close()
  end
end

-- Alone with the file, which has `size` bytes: what a killed one left is put back first. True, and whether there is something
-- to hold.
local function change(fd, size, name, value)
  if size > 0 then
    M.restore(S.pread(fd, MOST, 0) or "")
    S.ftruncate(fd, 0)
  end
  local was, err, errno = read_value(name)
  if not was then return nil, err, errno end
  if was == value then return true, false end
  local ok, also
  also, err, errno = companions(name, was)
  if also then ok, err, errno = S.pwrite(fd, ("sysctl %s %s %s\n"):format(name, was, value) .. also, 0) end
  if ok then ok, err, errno = S.writefile("/proc/sys/" .. name, value) end
  if not ok then return nil, err, errno end
  return true, true
end

--- nl.hold_sysctl(path, "net/ipv4/ip_forward", "1") -> true
-- Sets a value below /proc/sys until nl.leave_sysctl by all who asked for it; path: the file that they share, in a
-- directory of luge's. Errors: NOENT, PERM, ROFS.
function nl.hold_sysctl(path, name, value)
  while not held[path] do
    local fd, how, size = shared.lock(path)
    if not fd then return nil, how, size end
    local ok, is_changed, errno
    if how == "ex" then
      ok, is_changed, errno = change(fd, size, name, value)
      if not ok or not is_changed then S.unlink(path) end
      if not ok then return nil, is_changed, errno end
      if not is_changed then
        fd:close()
        return true
      end
      S.flock(fd, "sh") -- for an instant there is no lock, and who clears up may come in between
    end
    if shared.size(fd) and (how == "ex" or parse(S.pread(fd, MOST, 0) or "")) then
      held[path] = fd
    else
      fd:close()
    end
  end
  return true
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
