-- SPDX-License-Identifier: MIT
-- sandbox.container.list: the containers of a state directory: those that run, told by the locks, and the detached ones
-- that have ended, told by their records.
--
-- A lock that is held belongs to a luge that lives; its file says which process that is, which profile it runs, which
-- cgroups it made, and what a detached container is (sandbox.container.record): one read for each that runs, of a
-- thousand. No luge is asked: one that is stopped itself would not answer.

local S = require "syscall"
local must = require "sandbox.must"
local layout = require "sandbox.plan.cgroup_layout"
local processes = require "sandbox.container.processes"
local record = require "sandbox.container.record"
local vitals = require "sandbox.container.vitals"

local M = {}

-- Shared, so that two listings do not see each other as holders. nil and the error where the kernel does not say.
local function is_held(fd)
  local ok, err = S.flock(fd, "sh, nb")
  if ok then S.flock(fd, "un") end
  if not ok and not err.AGAIN then return nil, err end
  return not ok
end

local LOCK_MOST, LOCK_USUAL = 65536, 2048

local function read_open(fd)
  local held, err = is_held(fd)
  local text
  if held then text, err = S.pread(fd, LOCK_USUAL, 0) end
  if text and #text == LOCK_USUAL then text, err = S.pread(fd, LOCK_MOST, 0) end
  if held == false then
    local st
    st, err = S.fstat(fd)
    if st then return nil, st.type ~= "file" and "it is a " .. st.type or nil end
  end
  return text, not text and tostring(err) or nil
end

-- What a lock says while it is held; nil when nobody holds it, and words where that cannot be told. directory: an open one.
local function read_lock(directory, name)
  local fd, err = S.openat(directory, name .. ".lock", "rdonly, nofollow, nonblock, cloexec")
  if not fd then return nil, not err.NOENT and (err.LOOP and "it is a symbolic link" or tostring(err)) or nil end
  local text, wrong = read_open(fd)
  fd:close()
  return text, wrong
end

local function lock_time(directory, name)
  local st = S.lstat(("%s/%s.lock"):format(directory, name))
  return st and st.mtime or S.clock_gettime "realtime"
end

local function starts_with(path, mount) return path:sub(1, #mount + 1) == mount .. "/" end

-- controller → { version =, path = } for the directories that a lock notes.
local function cgroups_of(text, host)
  local dirs = {}
  for path in text:gmatch("cgroup %d+ %l+ (/[^\n]+)\n") do
    for name, hierarchy in pairs(host.v1) do
      if starts_with(path, hierarchy.mount) then dirs[name == "blkio" and "io" or name] = { version = 1, path = path } end
    end
    if host.v2 and starts_with(path, host.v2.mount) then
      dirs.base = { version = 2, path = path }
      for name in (S.readfile(path .. "/cgroup.controllers") or ""):gmatch("%S+") do dirs[name] = dirs.base end
    end
  end
  return dirs
end

-- Luge's own PID 1, which no figure counts; a command that is PID 1 itself does not have that name.
local function has_init(pid)
  return (S.readfile(("/proc/%d/comm"):format(pid)) or "") == "luge-init\n"
end

local function words_of(pid)
  local argv = {}
  for word in (S.readfile(("/proc/%d/cmdline"):format(pid)) or ""):gmatch("([^%z]*)%z") do argv[#argv + 1] = word end
  return argv
end

-- The command of a container in the foreground, as the kernel has it.
local function command_of(pid)
  return words_of(has_init(pid) and processes.first_child(pid) or pid)
end

-- What is known of a detached one that runs: from its lock, or from the record that the same luge wrote.
local function known_of(directory, name, luge, text)
  local noted = record.noted(text)
  if noted and noted.argv then return noted end
  local known = record.read(directory, name)
  return known and known.luge == luge and known or noted
end

-- What the line of a lock that begins so has next: its place is looked for as plain text, which is quick.
local function noted(text, key, pattern)
  local at = text:find(key, 1, true)
  return at and text:match(pattern, at + #key)
end

-- The interfaces of one that runs that `luge network cut` has cut.
local function cut_of(text)
  return text:find("\ncut ", 1, true) and require("sandbox.container.network").noted(text) or {}
end

-- One that runs; nil while its luge is between two of its steps.
local function running(directory, name, text)
  local luge = tonumber(text:match("^luge (%d+)\n"))
  local life = text:find("\nlife ", 1, true) and vitals.parse(text) or {}
  local known = luge and known_of(directory, name, luge, text)
  local pid = luge and not life.restarting
    and (tonumber(noted(text, "\nprocess ", "^%d+") or nil) or known and known.pid or processes.first_child(luge)) or nil
  if not pid and not life.restarting then return nil end
  local state = life.restarting and "restarting" or known and known.state == "paused" and "paused" or "running"
  return { name = name, state = state, luge = luge, pid = pid, profile = noted(text, "\nprofile ", "^%S+"),
    argv = known and known.argv or pid and command_of(pid) or {}, detached = known ~= nil,
    created = known and known.created or lock_time(directory, name), log = known and known.log, note = text,
    restarts = life.restarts, health = life.health, cut = cut_of(text), group = noted(text, "\ngroup ", "^%S+"),
    needs = known and known.needs }
end

--- The container of that name, whatever its state, or nil: { name =, state = "running", "restarting", "paused", "ended", "lost"
-- or "unknown", profile =, argv =, created =, detached =, luge = and pid = processes of one that runs; ended =, exit_code =,
-- signal =, reason =, message =, may_run = of an unknown one, log_lost_bytes = of one that has ended, log = as in its record,
-- restarts =, health =, cut = interfaces, group =, needs = }.
function M.one(directory, name)
  local dir = must(directory, S.open(directory, "path, directory, cloexec"))
  local text, wrong = read_lock(dir, name)
  dir:close()
  return M.of(directory, name, text, wrong)
end

--- The same, where its lock was read: the text, or nil where nobody holds it, and words where that cannot be told.
function M.of(directory, name, text, unread)
  if text then return running(directory, name, text) end
  if unread then
    return { name = name, state = "unknown", argv = {}, may_run = true, message = ("its lock %s.lock: %s"):format(name, unread) }
  end
  local known, wrong = record.read(directory, name)
  if not known then
    if not wrong then return nil end
    return { name = name, state = "unknown", argv = {}, message = ("its record %s.json: %s"):format(name, wrong) }
  end
  known.detached = true
  if known.state ~= "ended" then
    known.state, known.message = "lost", "the luge that watched it was killed; how it ended is not known"
  end
  return known
end

-- The names in an open state directory.
local function names_in(dir)
  local list, seen = {}, {}
  for _, file in ipairs(must("the state directory", S.names(dir, { ".lock", ".json" }))) do
    local name = file:sub(1, -6)
    if not seen[name] and name:find("^[%w_.-]+$") then
      seen[name], list[#list + 1] = true, name
    end
  end
  table.sort(list)
  return list
end

--- All containers of a state directory, by name.
function M.all(directory)
  local dir, list = must(directory, S.open(directory, "rdonly, directory, cloexec")), {}
  for _, name in ipairs(names_in(dir)) do list[#list + 1] = M.of(directory, name, read_lock(dir, name)) end
  dir:close()
  return list
end

--- What sandbox.container.cgroup reads of a container that runs. host: a layout, gathered once for many.
function M.cgroup(container, host)
  return { dirs = cgroups_of(container.note, host), init = has_init(container.pid) }
end

--- The containers that run, by name: what M.one says, and cgroup = what sandbox.container.cgroup reads.
function M.running(directory)
  local host, list = layout.gather(), {}
  for _, container in ipairs(M.all(directory)) do
    if container.pid and container.note then
      container.cgroup = M.cgroup(container, host)
      list[#list + 1] = container
    end
  end
  return list
end

return M
