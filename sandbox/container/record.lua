-- SPDX-License-Identifier: MIT
-- sandbox.container.record: what a detached container leaves for others to read, NAME.json in the state directory.
--
-- Its luge writes it, whole or not at all, when the container is there, when it is paused, and when it has ended; `rm`,
-- or the end with --rm, removes it. That a container runs is never read from here but from the lock that its luge
-- holds: a record that says so without one is of a container that was lost, whose luge was killed.
--
--   { schema = 1, name, profile, argv = {}, state = "running"|"restarting"|"paused"|"ended", rm = boolean, created,
--     ended = seconds of the epoch, pid = of PID 1, luge = pid, exit_code, signal, reason, message, wall_s, user_s, sys_s,
--     log = its directory, "journald" or null, log_lost_bytes = of the output, when it has ended, restarts,
--     group = its name, needs = names of containers, which it is stopped before }

local S = require "syscall"
local json = require "luge.json"

local M = {}

local SCHEMA = 1

-- ---- in the lock of one that runs ----

-- "detached CREATED PID LOG WORD…" and "state running" or "state paused ", of one length, so that one replaces the other.
-- What is no letter of a word in a line is %XX, an empty word "%".
local function word_of(text)
  return text == "" and "%" or (text:gsub("[%s%c%%]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function text_of(word)
  if not word:find("%", 1, true) then return word end
  return word == "%" and "" or (word:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local WORDS_MOST = 16384 -- a longer command is read from the record, and so is one of a group

--- The lines for the lock of one that runs. The last is the state.
function M.note(record)
  local words = {}
  for i, text in ipairs(record.argv) do words[i] = word_of(text) end
  local argv = table.concat(words, " ")
  if #argv > WORDS_MOST or record.needs then argv = "" end
  return ("detached %.6f %d %s %s\nstate running\n"):format(record.created, record.pid, word_of(record.log or ""), argv)
end

M.STATES = { running = "running\n", paused = "paused \n" }

--- What the text of a held lock says of a detached container: { created =, pid =, log =, argv = or nil, state = }, or nil.
function M.noted(text)
  local at = text:find("\ndetached ", 1, true)
  if not at then return nil end
  local created, pid, log, argv, state = text:match("^\ndetached (%S+) (%d+) (%S+) ([^\n]*)\nstate (%l+)", at)
  if not created then return nil end
  local words
  for word in argv:gmatch("%S+") do
    words = words or {}
    words[#words + 1] = text_of(word)
  end
  log = text_of(log)
  return { created = tonumber(created), pid = tonumber(pid), log = log ~= "" and log or nil, argv = words, state = state }
end

-- ---- the file ----

local SIZE_USUAL, SIZE_MAX = 2048, 1 << 20

local MORE = 4096 -- bytes by which the record of the end may be longer than the first

--- Room for the record of the end, which must be told on a disk that is full by then: a file without a name, which goes with
-- its luge. nil where the file system has no such files; nil and the error where there is no room.
function M.reserve(directory, record)
  local fd = S.open(directory, "tmpfile, rdwr, cloexec", "0600")
  if not fd then return nil end
  local room = ("\0"):rep(#json.encode(record) + MORE)
  local n, err = S.pwrite(fd, room, 0)
  if n == #room then return fd end
  fd:close()
  return nil, err or S.error(S.c.E.NOSPC)
end

-- Writes into what was reserved, and gives it the name.
local function put_reserved(dirfd, file, text, reserved)
  local temporary = file .. ".new"
  S.unlinkat(dirfd, temporary) -- a killed one's
  local ok = S.pwrite(reserved, text, 0) == #text and S.ftruncate(reserved, #text) and S.fsync(reserved)
    and S.linkat(nil, "/proc/self/fd/" .. reserved:getfd(), dirfd, temporary, "symlink_follow")
    and S.renameat2(dirfd, temporary, dirfd, file)
  return ok and S.fsync(dirfd)
end

--- Writes a record; the caller holds the lock of its name. That of one that has ended is there after a loss of power
-- too: who waits is told of the end later. reserved: of M.reserve, for that. true, or nil and the error.
function M.write(directory, record, reserved)
  local dirfd, err = S.open(directory, "rdonly, directory, cloexec")
  if not dirfd then return nil, err end
  record.schema = SCHEMA
  local file, text, ok = record.name .. ".json", json.encode(record) .. "\n", nil
  if reserved then ok = put_reserved(dirfd, file, text, reserved) end
  if not ok then ok, err = S.replacefile(dirfd, file, text, "0600", record.state == "ended", file .. ".new") end
  if not ok and record.message then -- the exit code counts
    record.message = nil
    dirfd:close()
    return M.write(directory, record, reserved)
  end
  dirfd:close()
  return ok, err
end

-- The fields that others count on; a record with others is none.
local TYPES = { name = "string", profile = "string", argv = "table", state = "string", created = "number", pid = "number",
  luge = "number", exit_code = "number", ended = "number", signal = "number", reason = "string", message = "string",
  restarts = "number", group = "string", needs = "table" }
local REQUIRED = { "name", "argv", "state", "created", "luge" }

local function check(record, name)
  if type(record) ~= "table" then return nil, "it is no JSON object" end
  if record.schema ~= SCHEMA then return nil, "another version of luge wrote it" end
  for field, wanted in pairs(TYPES) do
    local value = record[field]
    if value == json.null then
      record[field] = nil
    elseif value ~= nil and type(value) ~= wanted then
      return nil, ("'%s' is no %s"):format(field, wanted)
    end
  end
  for _, field in ipairs(REQUIRED) do
    if record[field] == nil then return nil, ("'%s' is missing"):format(field) end
  end
  for i, word in ipairs(record.argv) do
    if type(word) ~= "string" then return nil, ("argv[%d] is no string"):format(i) end
  end
  if record.name ~= name then return nil, "it has another's name in it" end
  return record
end

--- The record of a name, or nil and, unless there is none, words that say what is wrong with it.
---@return table|nil
---@return string|nil
function M.read(directory, name)
  local fd, err = S.open(("%s/%s.json"):format(directory, name), "rdonly, nofollow, nonblock, cloexec")
  if not fd then return nil, not err.NOENT and tostring(err) or nil end
  -- Of a FIFO or a directory this reads nothing. Nobody but us may make files here (sandbox.container.state).
  local text
  text, err = S.pread(fd, SIZE_USUAL, 0)
  if text and #text == SIZE_USUAL then text, err = S.pread(fd, SIZE_MAX, 0) end
  fd:close()
  if not text then return nil, tostring(err) end
  local record, message = json.decode(text)
  if not record then return nil, message end
  return check(record, name)
end

function M.remove(directory, name)
  local ok, err = S.unlink(("%s/%s.json"):format(directory, name))
  return ok or err.NOENT, err
end

return M
