-- SPDX-License-Identifier: MIT
-- sandbox.container.log_place: where logs are: made, found, locked, removed.
--
-- The log of NAME is the directory NAME.log (0700) in /var/log/luge for the machine's root, in $XDG_STATE_HOME/luge or
-- ~/.local/state/luge for others, and in $LUGE_STATE where that is set. The luge that writes it holds a lock on the
-- directory. What is in it: sandbox.container.log.

local S = require "syscall"
local state = require "sandbox.container.state"

local M = {}

-- ---- the directory of all logs ----

-- The path, and the mode of directories above it that are missing: for a user the one that the XDG base directory
-- specification wants.
local function path_of(facts)
  local env = facts.env
  local chosen, state_home = env.LUGE_STATE, env.XDG_STATE_HOME
  -- The luge in the background leaves this working directory.
  if chosen and chosen ~= "" then return chosen:sub(1, 1) == "/" and chosen or facts.cwd .. "/" .. chosen, "0700" end
  if facts.uid == 0 and facts.initial_userns then return "/var/log/luge", "0755" end
  if state_home and state_home:sub(1, 1) == "/" then return state_home .. "/luge", "0700" end
  return facts.home .. "/.local/state/luge", "0700"
end

local HINT = "choose another place (XDG_STATE_HOME, LUGE_STATE), or write log = false"

--- The directory of the logs, made and found to be ours alone.
---@return string|nil path
---@return string|nil why not
---@return string|nil hint
function M.directory(facts)
  local path, above = path_of(facts)
  for at in path:gmatch("()/[^/]") do
    local parent = path:sub(1, at - 1)
    local ok, err = S.ensure_directory(parent == "" and "/" or parent, above)
    if not ok then return nil, ("the directory of logs %s: %s: %s"):format(path, parent, tostring(err)), HINT end
  end
  local found, message = state.private(path, facts.uid, "the directory of logs")
  if not found then return nil, message, HINT end
  local ok, err = S.access(path, "w, x")
  if not ok then return nil, ("the directory of logs %s: %s"):format(path, tostring(err)), HINT end
  return path
end

-- ---- one log ----

--- Opens a log's directory, which must be the caller's own and no link.
function M.open(path)
  local dir, err = S.open(path, "rdonly, directory, nofollow, cloexec")
  if not dir then return nil, err end
  local st
  st, err = S.fstat(dir)
  if not st then return nil, err end
  if st.uid == S.geteuid() and st.perm & 18 == 0 then return dir end
  dir:close()
  return nil, (select(2, S.failure("PERM", "it is not this user's alone")))
end

--- The numbers of the files in an open log, in order; nil and the error where it cannot be read.
function M.numbers(dir)
  local numbers = {}
  local ok, err = S.lseek(dir, 0, "set")
  local entries
  if ok then entries, err = S.getdents(dir) end
  if not entries then return nil, err end
  for _, entry in ipairs(entries) do
    if entry.name:find("^[1-9]%d*$") then numbers[#numbers + 1] = math.tointeger(tonumber(entry.name)) end
  end
  table.sort(numbers)
  return numbers
end

local function empty(dir)
  local numbers, err = M.numbers(dir)
  for _, number in ipairs(numbers or {}) do
    local ok, why = S.unlinkat(dir, tostring(number))
    if not ok and not why.NOENT then err = why end
  end
  return not err or nil, err
end

--- Makes a log that is empty and locked, in the directory `place`: its descriptor and path, or nil and the error. What is
-- left of an earlier one that nobody writes goes; one that is written is BUSY.
function M.make(place, name)
  local path = ("%s/%s.log"):format(place, name)
  for _ = 1, 100 do
    local made, err = S.mkdir(path, "0700")
    if not made and not err.EXIST then return nil, err end
    local dir
    dir, err = M.open(path)
    if not dir and not err.NOENT then return nil, err end
    if dir then
      local locked, here, there
      locked, err = S.flock(dir, "ex, nb")
      if locked then here, err = S.fstat(dir) end
      if here then there, err = S.lstat(path) end
      if there and there.ino == here.ino then -- else `luge gc` was quicker
        local emptied
        emptied, err = empty(dir)
        if emptied then return dir, path end
        dir:close()
        return nil, err
      end
      dir:close()
      if not locked and err.AGAIN then return nil, (select(2, S.failure("BUSY", "another luge writes it"))) end
      if not there and not err.NOENT then return nil, err end
    end
  end
  return nil, (select(2, S.failure("BUSY", "it comes and goes")))
end

local PAUSE, ROUNDS = 0.002, 500

--- Removes a log that nobody writes; one that is gone is no error. wait: for the end of a writer that is about to end.
function M.remove(path, wait)
  local dir, err = M.open(path)
  if not dir then return err.NOENT or nil, err end
  local ok
  for _ = 1, wait and ROUNDS or 1 do
    ok, err = S.flock(dir, "ex, nb")
    if ok or not err.AGAIN then break end
    if wait then S.nanosleep(PAUSE) end
  end
  if ok then ok, err = empty(dir) end
  if ok then ok, err = S.rmdir(path) end
  dir:close()
  return ok, err
end

--- Removes a log by its writer, whose lock this is.
function M.remove_own(dir, path)
  empty(dir)
  S.rmdir(path)
end

-- ---- what was left ----

-- The state directory that the files of a log name as theirs; "" where none does yet, since its luge was killed before;
-- false where what is there is no log, nil and the error where it cannot be read.
local function owner(dir)
  local numbers, err = M.numbers(dir)
  if not numbers then return nil, err end
  if not numbers[1] then return "" end
  local fd, head
  fd, err = S.openat(dir, tostring(numbers[1]), "rdonly, nofollow, nonblock, cloexec")
  if not fd then return not err.LOOP and nil, err end
  head, err = S.read(fd, 8192)
  fd:close()
  if not head then return nil, err end
  return head == "" and "" or head:match("^luge%-log %d+ %d+ %S+ ([^\n]*)\n") or false
end

-- Removes a log that has no record: true; nil where it is not this state directory's or is written; nil and the error.
local function remove_unrecorded(path, record, directory)
  local there, err = S.lstat(record)
  if there then return nil end
  if not err.NOENT then return nil, err end
  local dir
  dir, err = M.open(path)
  if not dir then return nil, not (err.NOENT or err.NOTDIR or err.LOOP or err.PERM) and err or nil end
  local whose
  whose, err = owner(dir)
  dir:close()
  if whose == nil then return nil, err end
  -- One that nobody has written to is nobody's yet, or never was.
  if whose ~= "" and whose ~= directory then return nil end
  local ok
  ok, err = M.remove(path)
  return ok, not ok and not err.AGAIN and err or nil
end

--- Removes the logs of containers that left no record, as a luge does that is killed at its start. Returns the names, and
-- those that stay, with why.
function M.collect(facts, directory)
  local removed, left = {}, {}
  local at = path_of(facts)
  local there, err = S.lstat(at) -- looking makes none
  if not there then return {}, not err.NOENT and { ("%s: %s"):format(at, tostring(err)) } or {} end
  local place, words = M.directory(facts)
  local files
  if place then files, err = S.dir(place) end
  if not files then return {}, { words or ("%s: %s"):format(place, tostring(err)) } end
  for _, file in ipairs(files) do
    local name = file:match("^([%w_.-]+)%.log$")
    local gone, why
    if name then gone, why = remove_unrecorded(place .. "/" .. file, ("%s/%s.json"):format(directory, name), directory) end
    if gone then removed[#removed + 1] = file elseif why then left[#left + 1] = ("%s: %s"):format(file, tostring(why)) end
  end
  return removed, left
end

return M
