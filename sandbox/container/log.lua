-- SPDX-License-Identifier: MIT
-- sandbox.container.log: what a detached container writes, stdout and stderr apart, with times, in files that rotate.
--
-- A log is a directory (sandbox.container.log_place) whose files have numbers that only grow: when one is full the next
-- is made, and the oldest goes. None is ever renamed, so that a reader at the end of one finds what follows under the
-- next number (sandbox.container.log_reader). A file, version 1, is lines of text around bytes of any kind:
--
--   luge-log 1 NUMBER NAME STATE-DIRECTORY
--   KIND TIME LENGTH          then LENGTH bytes and a newline, again and again
--
-- KIND is 1 for stdout, 2 for stderr, h for what hooks print, and ! for a loss, whose bytes are "COUNT WHY". TIME is in
-- nanoseconds of the epoch. A record is what one read(2) gave, at most RECORD_MAX bytes: a line may lie in several, several
-- lines in one. Files are only added to, so that a crash spoils no more than the last record.
--
-- Nothing here waits, and nothing ends the container: what cannot be written is dropped and counted; the count is a
-- record as soon as there is room, and in the container's record (sandbox.container.record) at the end.

local S = require "syscall"
local log_place = require "sandbox.container.log_place"

local M = {}

M.VERSION = 1
M.RECORD_MAX = 32768

local Log = {}
Log.__index = Log

-- A short write does not say why: the next one does. Half a record would hide what comes behind it; should the cut fail
-- as well, the next record is written over it, for `at` has not moved.
local function write_whole(file, text, at)
  local done = 0
  while done < #text do
    local n, err = S.pwrite(file, done == 0 and text or text:sub(done + 1), at + done)
    if not n then
      if done > 0 then S.ftruncate(file, at) end
      return nil, err
    end
    done = done + n
  end
  return true
end

-- Makes the file `number`, and goes on in it.
function Log:begin(number)
  local name = tostring(number)
  local file, err = S.openat(self.dir, name, "creat, excl, wronly, nofollow, cloexec", "0600")
  if not file then return nil, err end
  local head = ("luge-log %d %d %s %s\n"):format(M.VERSION, number, self.name, (self.state:gsub("\n", "?")))
  local ok
  ok, err = write_whole(file, head, 0)
  if not ok then
    file:close()
    S.unlinkat(self.dir, name)
    return nil, err
  end
  if self.file then self.file:close() end
  self.file, self.number, self.at = file, number, #head
  return true
end

-- The oldest goes first, where another stays: on a full disk that is the room for the new one.
function Log:rotate()
  local oldest = tostring(self.number + 1 - self.files)
  if self.files > 1 then S.unlinkat(self.dir, oldest) end
  local ok, err = self:begin(self.number + 1)
  if ok and self.files == 1 then S.unlinkat(self.dir, oldest) end
  return ok, err
end

function Log:write(kind, data)
  -- Put together in one piece: a buffer that grows leaves several times its size as garbage.
  local text = ("%s %d %d\n"):format(kind, S.clock_gettime_ns "realtime", #data) .. data .. "\n"
  local ok, err = true, nil
  if self.at + #text > self.size then ok, err = self:rotate() end
  if ok then ok, err = write_whole(self.file, text, self.at) end
  if ok then self.at = self.at + #text end
  return ok, err
end

-- A loss is told before anything else is.
function Log:tell()
  if self.untold == 0 then return true end
  local ok, err = self:write("!", ("%d %s"):format(self.untold, self.why))
  if ok then self.untold = 0 end
  return ok, err
end

--- Writes what came from a stream, 1, 2 or "h", or counts it as lost.
function Log:append(stream, data)
  for from = 1, #data, M.RECORD_MAX do
    local part = #data <= M.RECORD_MAX and data or data:sub(from, from + M.RECORD_MAX - 1)
    local ok, err = self:tell()
    if ok then ok, err = self:write(stream, part) end
    if ok then
      self.written = self.written + #part
    else
      self.lost, self.untold, self.why = self.lost + #part, self.untold + #part, tostring(err)
    end
  end
end

--- Nothing more comes.
function Log:finish() self:tell() end

--- The container leaves nothing.
function Log:remove() log_place.remove_own(self.dir, self.path) end

--- The log is somebody else's now.
function Log:close()
  self.file:close()
  self.dir:close()
end

--- Begins the log of a container. how: { place = directory of logs, name =, state =, size =, files = }.
---@return table|nil log  with path, written and lost (bytes)
---@return table|nil err
function M.open(how)
  local dir, path = log_place.make(how.place, how.name)
  if not dir then return nil, path end
  local self = setmetatable({ dir = dir, path = path, name = how.name, state = how.state, size = how.size,
    files = how.files, written = 0, lost = 0, untold = 0 }, Log)
  local ok, err = self:begin(1)
  if ok then return self end
  self:remove()
  dir:close()
  return nil, err
end

return M
