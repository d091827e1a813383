-- SPDX-License-Identifier: MIT
-- sandbox.container.collect: takes away what killed luges left, by what the files of their locks say.
--
-- A lock is removed when all that it notes is gone, and not before: without it nobody would know of the rest. So where
-- the kernel does not answer, or the file cannot be read as a whole, the lock stays, and whoever asked hears why.

local S = require "syscall"
local must = require "sandbox.must"

local M = {}

-- Only what luge itself makes: LUGE_STATE may name a directory that holds other things as well, so that a name alone says
-- nothing, and a file is believed whose content begins as all of S.take_lock do. Names, numbers of ranges of ids and of networks,
-- addresses and networks of a wire, addresses on a bridge, groups.
local LOCKS = { "^[%w_.-]+%.lock$", "^range%.%d+$", "^net%.%d+$", "^address%.[%x.:]+%.%d+$", "^network%.[%x.:]+%.%d+$",
  "^port%.%d+%.[%w_.-]+%.[%x.:]+$", "^[%w_.-]+:group$" }

-- Of netns.shared and netns.pod, whose file may be empty: bridges, pods, settings.
local SHARED = { "^bridge%.[%w_.-]+%.%d+$", "^pod%.[%w_.-]+%.0$", "^users%.0$", "^private%.[%w_.-]+%.0$",
  "^sysctl%.[%w_.-]+%.%d+$" }

local function has_form(forms, name)
  for _, form in ipairs(forms) do
    if name:find(form) then return true end
  end
end

local function is_lock(name) return has_form(LOCKS, name) or has_form(SHARED, name) end

-- The value, or nil where the thing that was asked about is gone; raises where the kernel did not answer.
local function unless_gone(what, value, err)
  if value == nil and not (err and (err.NOENT or err.SRCH or err.NODEV)) then must.fail(what, err or "no answer") end
  return value
end

-- ---- the notes ----

local function remove_empty(path)
  local ok, err = S.rmdir(path)
  -- Others may be in it: it is theirs then.
  if not ok and not (err.NOENT or err.BUSY or err.NOTEMPTY) then must.fail(path, err) end
end

-- The cgroups that a luge noted in its lock's file (sandbox.plan.cgroups): they have no tie to it and stay when it is
-- killed. Nobody else writes there; the inode tells a cgroup from one that another container made since under the same
-- name. What does not go at once is left for the next start: a start waits for no other container's end.
local function remove_cgroups(text, wait)
  local left, inodes = nil, {}
  for ino, path in text:gmatch("cgroup (%d+) %l+ (/[^\n]+)\n") do
    inodes[path] = tonumber(ino)
    -- What version 1 has frozen does not even die.
    local st = unless_gone(path, S.lstat(path))
    if st and st.ino == inodes[path] then S.writefile(path .. "/freezer.state", "THAWED") end
  end
  for ino, top, path in text:gmatch("cgroup ([%d-]+) (%l+) (/[^\n]+)\n") do
    if ino == "-" and not inodes[path] then
      remove_empty(path) -- nobody was put into it yet
      if top == "above" then remove_empty(path:match("^(.*)/")) end
    elseif ino ~= "-" then
      local ok, err = S.remove_cgroup(path, { ino = inodes[path], above = top == "above", wait = wait })
      if not ok then left = left or ("%s: %s"):format(path, tostring(err)) end
    end
  end
  return left
end

local function kill_one(pid, age, boot)
  local what = "process " .. pid
  local same = must("the boot's name", S.boot_id()) == boot and unless_gone(what, S.process_age(pid)) == age
  local fd = same and unless_gone(what, S.pidfd_open(pid))
  if not fd then return end
  if unless_gone(what, S.process_age(pid)) == age then unless_gone(what, S.pidfd_send_signal(fd, "kill")) end
  fd:close()
end

-- The first process of a killed luge's container, and its network's helper, where they may have outlived that
-- (S.note_process). The number may be another's by now: the age tells, looked at once more when the pidfd holds the process.
local function kill_processes(text)
  for _, word in ipairs { "process", "helper" } do
    for pid, age, boot in text:gmatch("\n" .. word .. " (%d+) (%d+) (%S+)") do kill_one(tonumber(pid), tonumber(age), boot) end
  end
end

-- A descriptor of the network namespace with this number, by a process that is in it. What others' are in is not shown.
local function find_netns(want)
  local pid = must("who is in " .. want, require("netns.inhabited").process_in(want))
  local path = pid and ("/proc/%d/ns/net"):format(pid)
  return path and unless_gone(path, S.open(path, "rdonly, cloexec"))
end

-- Calls f with what the functions of S.nl take as the network namespace with this number, nil for our own; not at all
-- where nobody is in it any more: it is gone, and all that was in it.
local function in_netns(ino, f)
  local want = ("net:[%s]"):format(ino)
  if must("the network namespace", S.readlink("/proc/self/ns/net")) == want then return f(nil) end
  local there = find_netns(want)
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

-- Links of a container and tables of its firewall (netns.plan_firewall), in this order: a link may be in use yet, by others in
-- its network. And a setting that its last user changed; a network namespace's own settings are written from inside.
local function remove_network(text, path)
  for ino, name in text:gmatch "link (%d+) ([^\n]+)\n" do
    in_netns(ino, function(there) unless_gone(name, require("netns").delete(name, there)) end)
  end
  for ino, name in text:gmatch "tables (%d+) ([^\n]+)\n" do
    in_netns(ino, function(there) unless_gone(name, require("netns").delfirewall { table = name, netns = there }) end)
  end
  local ino = path:match "/sysctl%.[^/]*%.(%d+)$"
  if ino then in_netns(ino, function(there) require("netns.sysctl").restore(text, there) end) end
end

local KINDS = {}
for kind in ([[profile group life detached state cgroup process helper tables link
  bridge address number sysctl also forwarding guard uplinks pod]]):gmatch "%l+" do
  KINDS[kind] = true
end

-- Words where the text has a line of a kind that is none of ours: what it notes cannot be taken away here. A last line that
-- has no end was not written as a whole, and so what it was to note was never made.
local function unknown_line(text)
  local first = true
  for line in text:gmatch "([^\n]*)\n" do
    local kind = line:match "^(%l+) "
    if not (first and line:find "^luge %d*$" or KINDS[kind]) then
      return ("notes %q, which this luge does not know: the one that wrote it may"):format(line:sub(1, 40))
    end
    first = false
  end
end

local function remove_rest(text, wait, path)
  kill_processes(text)
  remove_bridge(text, path)
  remove_network(text, path)
  return remove_cgroups(text, wait)
end

-- ---- locks ----

local TEXT_MOST = 65536

-- What is noted in a lock that we hold goes, and then what has its name; words where it does not.
local function take_away(fd, path, wait)
  local text = must("what it notes", S.pread(fd, TEXT_MOST, 0))
  local words = #text == TEXT_MOST and "is longer than any lock" or unknown_line(text) or remove_rest(text, wait, path)
  if words then return words end
  -- While we hold the lock: then nobody else has the name.
  local name = path:match("^(.*)%.lock$")
  for _, ending in ipairs(name and { ".sock", ".json.new" } or {}) do unless_gone(ending, S.unlink(name .. ending)) end
  if name and S.lstat(name .. ".api") then require("netns.helper").remove_socket(name .. ".api") end
  unless_gone("its file", S.unlink(path))
end

local function has_ended(pid)
  return (S.readfile(("/proc/%d/stat"):format(pid)) or ") X"):find("^.*%) [ZX]") ~= nil
end

local MOMENTS, MOMENT = 100, 0.002

-- Locks what a killed luge left. What that had just forked, a check or a script's keeper, holds its lock for a moment yet.
local function lock_left(fd, wait)
  for _ = 1, wait and MOMENTS or 1 do
    local locked, err = S.flock(fd, "ex, nb")
    if locked then return true end
    if not err.AGAIN then must.fail("whether it is held", err) end
    local pid = wait and tonumber((S.pread(fd, 32, 0) or ""):match "^luge (%d+)")
    if not pid or not has_ended(pid) then return false end
    S.nanosleep(MOMENT)
  end
  return false
end

local function remove_open(fd, path, wait)
  local here = must("its file", S.fstat(fd))
  if here.type ~= "file" then return false, "is a " .. here.type end
  if not has_form(SHARED, path:match "[^/]*$")
    and must("what it notes", S.pread(fd, #S.LOCK_BEGINS, 0)) ~= S.LOCK_BEGINS then return nil end
  if not lock_left(fd, wait) then return nil end
  local there = unless_gone("its file", S.lstat(path))
  if not there or here.ino ~= there.ino then return nil end
  local words = take_away(fd, path, wait)
  return not words, words
end

-- Removes a lock that nobody holds, after what its holder left. wait: until that is gone, else what goes at once. nil where
-- there is nothing to remove, false and words where it stays.
local function remove_unlocked(path, wait)
  local fd, err = S.open(path, "rdonly, nofollow, nonblock, cloexec")
  if not fd then
    if err.NOENT then return nil end
    return false, err.LOOP and "is a symbolic link" or tostring(err)
  end
  -- A text that a luge never wrote may be anything, also what the syscall layer does not take.
  local ok, removed, words = pcall(remove_open, fd, path, wait)
  fd:close()
  if ok then return removed, words end
  return false, must.words(removed) or "cannot be read: " .. tostring(removed):gsub("^[^:]*:%d+: ", "")
end

--- Removes what a killed luge left under this name, so that the name is free. wait: until it is gone. false and words where
-- it stays.
function M.name(directory, name, wait)
  local removed, words = remove_unlocked(("%s/%s.lock"):format(directory, name), wait or false)
  return removed, words and ("%s.lock: %s"):format(name, words)
end

local ENDINGS = { ".lock", ":group", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" }

-- The names of all locks; of `most`, where that is given, beginning at another one each time. What a luge makes here it
-- keeps as long as it watches its container (monitor.lua): of thousands of files it makes no list.
local function locks_in(directory, most)
  local locks = {}
  local dir = must(directory, S.open(directory, "rdonly, directory, cloexec"))
  for _, name in pairs(must(directory, S.names(dir, ENDINGS, most and S.getpid() * most, most))) do
    if is_lock(name) then locks[#locks + 1] = name end
  end
  dir:close()
  return locks
end

--- Removes what luges that were killed left in the state directory: locks that nobody holds. Looks at no more
-- than `most` of them, so that a start stays cheap, and not always at the same ones where there are more.
function M.some(directory, most)
  local removed = 0
  for _, name in ipairs(locks_in(directory, most)) do
    if remove_unlocked(directory .. "/" .. name, false) then removed = removed + 1 end
  end
  return removed
end

--- The same for all of them, and until it is done: the names of the files that were removed, and of those that stay, with
-- why: "NAME: words".
function M.all(directory)
  local removed, left = {}, {}
  local locks = locks_in(directory)
  table.sort(locks)
  for _, name in ipairs(locks) do
    local done, words = remove_unlocked(directory .. "/" .. name, true)
    if done then removed[#removed + 1] = name elseif done == false then left[#left + 1] = ("%s: %s"):format(name, words) end
  end
  return removed, left
end

return M
