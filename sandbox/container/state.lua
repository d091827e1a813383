-- SPDX-License-Identifier: MIT
-- sandbox.container.state: where a running container leaves its name, and names for those without one.

local S = require "syscall"

local M = {}

-- The names in it decide what luge locks and removes, so that nobody else may have a hand in it: not whoever
-- prepared a predictable path (CVE-2015-1331), not through a symbolic link.
local function private(path, uid, called)
  called = called or "the state directory"
  S.mkdir(path, "0700")
  local st, err = S.lstat(path)
  if not st then return nil, ("%s %s: %s"):format(called, path, tostring(err)) end
  local what
  if st.type ~= "directory" then
    what = "is no directory"
  elseif st.uid ~= uid then
    what = ("belongs to user %d"):format(st.uid)
  elseif st.perm & 18 ~= 0 then
    what = ("can be written by others (mode %04o)"):format(st.perm)
  else
    return path
  end
  return nil, ("%s %s %s"):format(called, path, what)
end

--- The directory `path`, made unless it is there, or nil and words that begin with what it is called.
M.private = private

-- Where nobody chose: a place that does not depend on the environment.
local function fixed(facts)
  if facts.uid == 0 and facts.initial_userns then return private("/run/luge", 0) end
  local user = "/run/user/" .. facts.uid
  local st = S.lstat(user)
  if st and st.uid == facts.uid then return private(user .. "/luge", facts.uid) end
  return private("/tmp/luge-" .. facts.uid, facts.uid)
end

--- The directory of the locks on ranges of ids: one for all of a user's luges, whatever LUGE_STATE each has, or two
-- containers could get the same range.
---@return string|nil path
---@return string|nil why not
M.ranges = fixed

--- The state directory, made unless it is there, and ours alone.
---@return string|nil path
---@return string|nil why not
function M.directory(facts)
  local chosen = facts.env.LUGE_STATE
  if chosen and chosen ~= "" then
    -- A luge in the background leaves the caller's directory.
    return private(chosen:sub(1, 1) == "/" and chosen or facts.cwd .. "/" .. chosen, facts.uid)
  end
  local runtime = facts.env.XDG_RUNTIME_DIR
  local is_machines = facts.uid == 0 and facts.initial_userns
  if not is_machines and runtime and runtime:sub(1, 1) == "/" and S.access(runtime, "w") then
    return private(runtime .. "/luge", facts.uid)
  end
  return fixed(facts)
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

-- Only what luge itself makes: LUGE_STATE may name a directory that holds other things as well. Numbers of ranges of ids
-- and of networks, addresses of a wire and on a bridge, bridges, pods, groups.
local LOCKS = { "^[%w_.-]+%.lock$", "^range%.%d+$", "^net%.%d+$", "^address%.[%x.:]+%.%d+$",
  "^port%.%d+%.[%w_.-]+%.[%x.:]+$", "^bridge%.[%w_.-]+%.%d+$", "^pod%.[%w_.-]+%.0$", "^users%.0$", "^private%.[%w_.-]+%.0$",
  "^sysctl%.[%w_.-]+%.%d+$", "^[%w_.-]+:group$" }

local function is_lock(name)
  for _, form in ipairs(LOCKS) do
    if name:find(form) then return true end
  end
end

-- The cgroups that a luge noted in its lock's file (sandbox.plan.cgroups): they have no tie to it and stay when it is
-- killed. Nobody else writes there; the inode tells a cgroup from one that another container made since under the same
-- name. What does not go at once is left for the next start: a start waits for no other container's end.
local function remove_cgroups(text, wait)
  local gone, inodes = true, {}
  for ino, path in text:gmatch("cgroup (%d+) %l+ (/[^\n]+)\n") do
    inodes[path] = tonumber(ino)
    -- What version 1 has frozen does not even die.
    local st = S.lstat(path)
    if st and st.ino == inodes[path] then S.writefile(path .. "/freezer.state", "THAWED") end
  end
  for ino, top, path in text:gmatch("cgroup ([%d-]+) (%l+) (/[^\n]+)\n") do
    if ino == "-" and not inodes[path] then
      S.rmdir(path) -- nobody was put into it yet
      if top == "above" then S.rmdir(path:match("^(.*)/")) end
    elseif ino ~= "-" then
      gone = S.remove_cgroup(path, { ino = inodes[path], above = top == "above", wait = wait }) and gone
    end
  end
  return gone
end

local function kill_one(pid, age, boot)
  local fd = S.process_age(pid) == age and S.boot_id() == boot and S.pidfd_open(pid)
  if not fd then return end
  if S.process_age(pid) == age then S.pidfd_send_signal(fd, "kill") end
  fd:close()
end

-- The first process of a killed luge's container, and its network's helper, where they may have outlived that
-- (S.note_process). The number may be another's by now: the age tells, looked at once more when the pidfd holds the process.
local function kill_processes(text)
  for _, word in ipairs { "process", "helper" } do
    for pid, age, boot in text:gmatch("\n" .. word .. " (%d+) (%d+) (%S+)") do kill_one(tonumber(pid), tonumber(age), boot) end
  end
end

-- A descriptor of the network namespace with this number, by a process that is in it.
local function find_netns(ino)
  local want = ("net:[%s]"):format(ino)
  for _, pid in ipairs(S.dir("/proc") or {}) do
    local path = pid:find("^%d+$") and ("/proc/%s/ns/net"):format(pid)
    if path and S.readlink(path) == want then return S.open(path, "rdonly, cloexec") end
  end
end

-- Calls f with what the functions of S.nl take as the network namespace with this number, nil for our own; not at all
-- where nobody is in it any more: it is gone, and all that was in it.
local function in_netns(ino, f)
  if S.readlink("/proc/self/ns/net") == ("net:[%s]"):format(ino) then return f(nil) end
  local there = find_netns(ino)
  if there then
    f(there)
    there:close()
  end
end

-- The bridge that its last user made and did not remove.
local function remove_bridge(text, path)
  local ino = path:match("/bridge%.[^/]*%.(%d+)$")
  if not ino then return end
  require("netns")
  in_netns(ino, function(there) require("netns.bridge").remove_noted(text, there) end)
end

-- Tables of a firewall and links of a container (netns.plan_firewall), and a setting that its last user changed; a network
-- namespace's own settings are written from inside.
local function remove_network(text, path)
  for ino, name in text:gmatch "tables (%d+) ([^\n]+)\n" do
    in_netns(ino, function(there) require("netns").delfirewall(name, there) end)
  end
  for ino, name in text:gmatch "link (%d+) ([^\n]+)\n" do
    in_netns(ino, function(there) require("netns").delete(name, there) end)
  end
  local ino = path:match "/sysctl%.[^/]*%.(%d+)$"
  if ino then in_netns(ino, function(there) require("netns.sysctl").restore(text, there) end) end
end

local function remove_rest(text, wait, path)
  kill_processes(text)
  remove_bridge(text, path)
  remove_network(text, path)
  return remove_cgroups(text, wait)
end

local function has_ended(pid)
  return (S.readfile(("/proc/%d/stat"):format(pid)) or ") X"):find("^.*%) [ZX]") ~= nil
end

local MOMENTS, MOMENT = 100, 0.002

-- Locks what a killed luge left. What that had just forked, a check or a script's keeper, holds its lock for a moment yet.
local function lock_left(fd, wait)
  for _ = 1, wait and MOMENTS or 1 do
    if S.flock(fd, "ex, nb") then return true end
    local pid = wait and tonumber((S.pread(fd, 32, 0) or ""):match "^%d+")
    if not pid or not has_ended(pid) then return false end
    S.nanosleep(MOMENT)
  end
  return false
end

-- Removes a lock that nobody holds, after what its holder left. wait: until that is gone, else what goes at once.
local function remove_unlocked(path, wait)
  local fd = S.open(path, "rdonly, nofollow, nonblock, cloexec")
  if not fd then return nil end
  local here, removed = S.fstat(fd), nil
  if here.type == "file" and lock_left(fd, wait) then
    local there = S.lstat(path)
    if there and here.ino == there.ino then
      removed = remove_rest(S.pread(fd, 65536, 0) or "", wait, path)
      -- While we hold the lock: then nobody else has the name.
      local name = path:match("^(.*)%.lock$")
      for _, ending in ipairs(name and { ".sock", ".json.new" } or {}) do S.unlink(name .. ending) end
      if name and S.lstat(name .. ".api") then require("netns.helper").remove_socket(name .. ".api") end
      removed = removed and S.unlink(path)
    end
  end
  fd:close()
  return removed
end

--- Removes what a killed luge left under this name, so that the name is free. wait: until it is gone; false where it
-- does not go.
function M.collect_name(directory, name, wait)
  return remove_unlocked(("%s/%s.lock"):format(directory, name), wait or false)
end

local ENDINGS = { ".lock", ":group", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" }

-- The names of all locks; of `most`, where that is given, beginning at another one each time. What a luge makes here it
-- keeps as long as it watches its container (monitor.lua): of thousands of files it makes no list.
local function locks_in(directory, most)
  local dir, locks = S.open(directory, "rdonly, directory, cloexec"), {}
  for _, name in pairs(dir and S.names(dir, ENDINGS, most and S.getpid() * most, most) or {}) do
    if is_lock(name) then locks[#locks + 1] = name end
  end
  if dir then dir:close() end
  return locks
end

--- Removes what luges that were killed left in the state directory: locks that nobody holds. Looks at no more
-- than `most` of them, so that a start stays cheap, and not always at the same ones where there are more.
function M.collect(directory, most)
  local removed = 0
  for _, name in ipairs(locks_in(directory, most)) do
    if remove_unlocked(directory .. "/" .. name, false) then removed = removed + 1 end
  end
  return removed
end

--- The same for all of them, and until it is done: the names of the files that were removed, and of those whose rest is
-- still there.
function M.collect_all(directory)
  local removed, left = {}, {}
  local locks = locks_in(directory)
  table.sort(locks)
  for _, name in ipairs(locks) do
    local done = remove_unlocked(directory .. "/" .. name, true)
    if done then removed[#removed + 1] = name elseif done == false then left[#left + 1] = name end
  end
  return removed, left
end

return M
