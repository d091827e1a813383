-- SPDX-License-Identifier: MIT
-- sandbox.container.state: where a running container leaves its name, and names for those without one.

local S = require "syscall"

local M = {}

-- A private directory of our own under /tmp, for users without a runtime directory.
local function private_tmp(uid)
  local path = "/tmp/luge-" .. uid
  S.mkdir(path, "0700")
  local st = S.lstat(path)
  if st and st.type == "directory" and st.uid == uid and st.perm & 63 == 0 then return path end
  return nil, path .. " is not a private directory of ours"
end

--- The state directory; its last component may have to be made.
---@return string|nil path
---@return string|nil why not
function M.directory(facts)
  local chosen = facts.env.LUGE_STATE
  if chosen and chosen ~= "" then return chosen end
  if facts.uid == 0 and facts.initial_userns then return "/run/luge" end
  local runtime = facts.env.XDG_RUNTIME_DIR
  if runtime and runtime:sub(1, 1) == "/" and S.access(runtime, "w") then return runtime .. "/luge" end
  local user = "/run/user/" .. facts.uid
  local st = S.lstat(user)
  if st and st.uid == facts.uid then return user .. "/luge" end
  return private_tmp(facts.uid)
end

--- A name that nobody has: the profile's and four characters.
function M.generate_name(base)
  local fd = S.open("/dev/urandom", "rdonly")
  local bytes = fd and S.read(fd, 4) or ("I4"):pack(S.getpid())
  if fd then fd:close() end
  local letters = "abcdefghijklmnopqrstuvwxyz0123456789"
  local tail = bytes:gsub(".", function(byte)
    local i = byte:byte() % #letters + 1
    return letters:sub(i, i)
  end)
  return base .. "-" .. tail
end

--- Removes what luges that were killed left in the state directory: files whose lock nobody holds. Looks at
-- no more than `most` of them, so that a start stays cheap.
function M.collect(directory, most)
  local removed = 0
  for i, name in ipairs(S.dir(directory) or {}) do
    if i > most then break end
    local path = directory .. "/" .. name
    local fd = S.open(path, "rdonly, nofollow")
    if fd and S.flock(fd, "ex, nb") then
      local here, there = S.fstat(fd), S.lstat(path)
      if here and there and here.ino == there.ino and here.type == "file" and S.unlink(path) then removed = removed + 1 end
    end
    if fd then fd:close() end
  end
  return removed
end

return M
