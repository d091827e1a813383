-- SPDX-License-Identifier: MIT
-- sandbox.cli.logs_out: how `luge logs` shows what it reads: as it was, or line by line, with times, as JSON, with names.

local S = require "syscall"
local cli = require "sandbox.cli"
local json = require "luge.json"
local lines = require "sandbox.container.log_lines"

local M = {}

local STREAMS = setmetatable({ ["!"] = "luge" }, { __index = lines.STREAMS })

-- ---- words on their way ----

local Out = {}
Out.__index = Out

local FULL = 65536

-- Writes to a descriptor: all of it, unless its reader has gone or the disk is full.
local function write_all(self, number, text)
  while text ~= "" and not self.stopped do
    local n, err = S.write(number, text)
    if n then
      text = text:sub(n + 1)
    elseif err.AGAIN then -- somebody made our stdout nonblocking
      S.poll { { fd = number, events = "out" } }
    else
      self.stopped = true
      local stream = number == 1 and "standard output: " or "standard error: "
      if not err.PIPE then self.code = cli.complain(stream .. tostring(err)) end -- a closed pipe is no error
    end
  end
end

function Out:flush()
  local text = table.concat(self.waiting)
  self.waiting, self.size = {}, 0
  write_all(self, self.number, text)
end

--- Text for stdout or stderr, in their order.
function Out:put(number, text)
  if number ~= self.number or self.size >= FULL then self:flush() end
  self.number, self.size = number, self.size + #text
  self.waiting[#self.waiting + 1] = text
end

--- Words of luge's own.
function Out:complain(...)
  self:flush()
  cli.complain(...)
end

-- ---- one container: the order of its log ----

-- A line as JSON; container: its name, where there may be several.
local function json_line(kind, time, text, whole, container)
  local row = { container = container, time = lines.time(time), stream = STREAMS[kind] }
  if utf8.len(text) then row.text = text else row.base64 = lines.base64(text) end
  if not whole then row.partial = true end
  return json.encode(row) .. "\n"
end

local function number_of(kind) return kind == "1" and 1 or 2 end

-- Each is given a record's kind, time and the part of its data that is wanted.
local shows = {}

function shows.plain(out)
  return function(kind, _, data) out:put(number_of(kind), data) end
end

function shows.timestamps(out)
  out.lines = lines.lines(function(kind, time, text, whole)
    out:put(number_of(kind), ("%s %s%s"):format(lines.time(time), text, whole and "\n" or ""))
  end)
  return function(...) out.lines:add(...) end
end

function shows.json(out)
  out.lines = lines.lines(function(...) out:put(1, json_line(...)) end)
  return function(...) out.lines:add(...) end
end

-- ---- several: lines, each with its container's name ----

--- A line of the container `name`; prefix: what is before it.
function Out:named_line(name, prefix, kind, time, text, whole)
  if self.options.json then return self:put(1, json_line(kind, time, text, whole, name)) end
  -- Half a line is one as well: another container's may follow.
  self:put(number_of(kind), ("%s%s%s\n"):format(prefix, self.options.timestamps and lines.time(time) .. " " or "", text))
end

-- ---- what is not there ----

--- Says where so many bytes of the output of `name` (nil: of the only container) were lost.
function Out:loss(record, name)
  local count, why = M.lost(record)
  if self.options.json then
    self:put(1, json.encode { container = name, time = lines.time(record.time), stream = STREAMS["!"], lost_bytes = count,
      text = why } .. "\n")
  else
    self:complain(("%s%d bytes of the output were lost here: %s"):format(name and name .. ": " or "", count, why or "?"))
  end
end

--- Says that files went before they could be read.
function Out:gap(record, name)
  self:complain(("%s%d files of the log were gone before they could be shown"):format(name and name .. ": " or "", record.count),
    "a larger log.size, or more log.files, gives the reader more time")
end

--- The bytes that a record of a loss counts, and why.
function M.lost(record)
  local count, why = record.data:match("^(%d+) (.*)$")
  return math.tointeger(tonumber(count)) or 0, why
end

--- Says what could not be shown, when all is. told: bytes whose loss was; container: as it is by now, or nil.
function M.confess(reader, container, told, name)
  local prefix = name and name .. ": " or ""
  for _, text in ipairs(reader.damaged) do cli.complain(text) end
  local lost = (container and container.log_lost_bytes or 0) - told
  if lost > 0 then cli.complain(("%s%d bytes of the output were lost, and could not be noted where"):format(prefix, lost)) end
  if container and container.state == "lost" then
    cli.complain(prefix .. "the log ends where the luge that wrote it was killed")
  end
end

--- options: json, timestamps.
function M.new(options)
  local out = setmetatable({ options = options, code = 0, number = 1, waiting = {}, size = 0 }, Out)
  out.show = shows[options.json and "json" or options.timestamps and "timestamps" or "plain"](out)
  return out
end

return M
