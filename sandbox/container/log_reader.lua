-- SPDX-License-Identifier: MIT
-- sandbox.container.log_reader: reads a log of sandbox.container.log, also while it is written and its files rotate.
--
-- A reader opens every file that is there and keeps what it has not read yet open, so that rotation takes nothing away
-- from it that it has seen. Files that came and went between two looks are missing, and counted. It holds no lock: any
-- number may read, and none holds up the writer.

local S = require "syscall"
local log = require "sandbox.container.log"
local log_place = require "sandbox.container.log_place"

local M = {}

local BLOCK = 262144
local HEAD_MAX = 8192 -- of a file's first line: a path is in it
local RECORD_HEAD_MAX = 40

local Reader = {}
Reader.__index = Reader

-- ---- files ----

-- Where the records of a file begin; nil where its first line is not there, or another version's.
local function first_record(fd)
  local version, from = (S.pread(fd, HEAD_MAX, 0) or ""):match("^luge%-log (%d+) [^\n]*\n()")
  if not version then return nil, "it is no log of luge's" end
  if tonumber(version) ~= log.VERSION then return nil, ("it has version %s of the format"):format(version) end
  return from - 1
end

-- A file that has come, so many after the one before it; what cannot be read as one is told in `damaged`.
function Reader:open_file(number, gap)
  local fd, err = S.openat(self.dir, tostring(number), "rdonly, nofollow, nonblock, cloexec")
  if not fd then return not err.NOENT and self:complain(number, tostring(err)) or nil end
  local start, message = first_record(fd)
  if not start then
    fd:close()
    return self:complain(number, message)
  end
  self.files[#self.files + 1] = { number = number, fd = fd, start = start, at = start, text = "", pos = 1, gap = gap }
end

function Reader:complain(number, message)
  self.damaged[#self.damaged + 1] = ("%s/%d: %s"):format(self.path, number, message)
end

--- Looks for files that have come since. The newest may not have its first line yet: it is left for the next look, unless
-- nobody writes any more.
function Reader:look(ended)
  local numbers, err = log_place.numbers(self.dir)
  -- Removed with its container; what was seen of it is still open.
  if not numbers and err.NOENT then return end
  if not numbers then return self:complain(self.last, tostring(err)) end
  for i, number in ipairs(numbers) do
    if number > self.last then
      if i == #numbers and not ended and not self:has_head(number) then return end
      local gap = self.last > 0 and number - self.last - 1 or 0
      self.missing, self.last = self.missing + gap, number
      self:open_file(number, gap)
    end
  end
end

function Reader:has_head(number)
  local fd = S.openat(self.dir, tostring(number), "rdonly, nofollow, nonblock, cloexec")
  local there = fd and (S.pread(fd, HEAD_MAX, 0) or ""):find("\n", 1, true)
  if fd then fd:close() end
  return there
end

-- ---- records ----

-- The next record of one file; nil and "end", or nil and "torn" where a record is not whole: not yet, or never.
local function next_record(file)
  while true do
    local kind, time, length, from = file.text:match("^([12h!]) (%d+) (%d+)\n()", file.pos)
    length = tonumber(length)
    if from and length <= log.RECORD_MAX then
      local stop = from + length
      if stop <= #file.text then
        if file.text:byte(stop) ~= 10 then return nil, "torn" end
        file.pos = stop + 1
        return { kind = kind, time = math.tointeger(tonumber(time)) or 0, data = file.text:sub(from, stop - 1) }
      end
    elseif from or #file.text - file.pos >= RECORD_HEAD_MAX then
      return nil, "torn"
    end
    local more = S.pread(file.fd, BLOCK, file.at) or ""
    if more == "" then
      -- The writer may take half a record back: the next time it is read anew.
      local rest = #file.text - file.pos + 1
      file.at, file.text, file.pos = file.at - rest, "", 1
      return nil, rest > 0 and "torn" or "end"
    end
    file.text, file.pos, file.at = file.text:sub(file.pos) .. more, 1, file.at + #more
  end
end

local TORN = "its last record is torn; it was left out"

local function leave(self, file, state)
  if self.once then
    if state == "torn" then self:complain(file.number, TORN) end
    file.fd:close()
  end
  self.index = self.index + 1
end

--- The next record, { kind = "1", "2", "h" or "!", time = nanoseconds, data = }; nil at the end of what is there. Where files
-- are missing comes { kind = "gap", count = files }.
function Reader:next()
  while true do
    local file, following = self.files[self.index], self.files[self.index + 1]
    if not file then return nil end
    if file.gap > 0 then
      local count = file.gap
      file.gap = 0
      return { kind = "gap", count = count }
    end
    local record, state = next_record(file)
    if record then return record end
    -- Its writer was done with it before it made the next one, which we knew of before this look.
    if not following then
      self.torn = state == "torn"
      return nil
    end
    leave(self, file, state)
  end
end

--- Nobody writes any more: what is torn now stays so.
function Reader:finish()
  local file = self.files[self.index]
  if file and self.torn then self:complain(file.number, TORN) end
end

--- Begins anew, for the last time: what has been read is not kept (`once`).
function Reader:rewind()
  for _, file in ipairs(self.files) do file.at, file.text, file.pos = file.start, "", 1 end
  self.index, self.once = 1, true
end

-- ---- following ----

local UNNOTIFIED = 200 -- milliseconds between two looks, where the user's inotify instances are used up

--- Follows the writer, by the pidfd of its luge, from now on.
function Reader:follow(pidfd)
  self.writer = pidfd
  self.inotify = S.inotify_init "nonblock"
  if self.inotify and not S.inotify_add_watch(self.inotify, "/proc/self/fd/" .. self.dir:getfd(), "modify, create") then
    self.inotify:close()
    self.inotify = nil
  end
end

--- Whether the writer is gone. Asked before a look, the look sees all that it wrote.
function Reader:ended()
  return not self.writer or #(S.poll({ { fd = self.writer, events = "in" } }, 0) or {}) > 0
end

--- Waits until there may be more for one of several that follow their writers, or one of these is gone. True when nobody reads
-- what is shown on stdout any more: a silent log would never find out.
function M.wait(readers)
  local list, notified = { { fd = 1, events = "" } }, true
  for _, reader in ipairs(readers) do
    list[#list + 1] = { fd = reader.writer, events = "in" }
    if reader.inotify then list[#list + 1] = { fd = reader.inotify, events = "in" } else notified = false end
  end
  local ready = S.poll(list, notified and -1 or UNNOTIFIED) or {}
  for _, reader in ipairs(readers) do
    if reader.inotify then S.inotify_read(reader.inotify) end
  end
  return ready[1] ~= nil and ready[1].fd == 1 and ready[1].events.err == true
end

--- The same for one.
function Reader:wait() return M.wait { self } end

--- Opens a log. The reader has damaged = words about what could not be read, missing = files that it never saw.
---@return table|nil reader
---@return table|nil err
function M.open(path)
  local dir, err = log_place.open(path)
  if not dir then return nil, err end
  local self = setmetatable({ dir = dir, path = path, files = {}, index = 1, last = 0, missing = 0, damaged = {} }, Reader)
  return self
end

return M
