-- SPDX-License-Identifier: MIT
-- sandbox.container.log_lines: from the records of a log to the lines that are asked for. No system call is made here.
--
-- Each stream has lines of its own: what one writes in the midst of the other's line does not cut it. A line's time is
-- that of the record in which it begins.

local M = {}

--- The streams of a log: the container's two, and what hooks print.
M.STREAMS = { ["1"] = "stdout", ["2"] = "stderr", h = "hook" }

-- ---- which ----

local Gate = {}
Gate.__index = Gate

--- Lets through, of each stream, from the first line on that begins at `since` (nanoseconds) or later, when `skip` such
-- lines have begun before it.
function M.gate(since, skip)
  return setmetatable({ since = since or 0, left = skip or 0, open = {}, inside = {} }, Gate)
end

--- The part of a record's data that is let through, perhaps "".
function Gate:pass(record)
  local stream, data = record.kind, record.data
  if self.open[stream] then return data end
  local from = 1
  if self.inside[stream] then from = (data:find("\n", 1, true) or #data) + 1 end
  if data ~= "" then self.inside[stream] = data:byte(-1) ~= 10 end
  if record.time < self.since then return "" end
  while from <= #data do
    if self.left == 0 then
      self.open[stream] = true
      return data:sub(from)
    end
    self.left = self.left - 1
    from = (data:find("\n", from, true) or #data) + 1
  end
  return ""
end

--- How many lines begin in the records that next() gives and the gate of `since` lets through.
function M.count(next_record, since)
  local gate = M.gate(since, math.maxinteger)
  for record in next_record do
    if M.STREAMS[record.kind] then gate:pass(record) end
  end
  return math.maxinteger - gate.left
end

-- ---- whole ----

-- A container may never end its line: a reader that follows it does not hold all of it.
M.LINE_MAX = 16 << 20

local Lines = {}
Lines.__index = Lines

--- Puts lines together and gives each to emit(stream, time, text, whole): without its newline; whole = false for one that
-- has none.
function M.lines(emit)
  return setmetatable({ emit = emit, parts = { ["1"] = {}, ["2"] = {}, h = {} } }, Lines)
end

local function flush(self, stream, parts, whole)
  local text = table.concat(parts)
  self.parts[stream] = {}
  self.emit(stream, parts.time, text, whole)
end

local function add(parts, time, text)
  if not parts.time then parts.time, parts.size = time, 0 end
  parts[#parts + 1] = text
  parts.size = parts.size + #text
end

function Lines:add(stream, time, data)
  local from = 1
  while from <= #data do
    local stop = data:find("\n", from, true)
    local parts, text = self.parts[stream], data:sub(from, (stop or #data + 1) - 1)
    if stop and not parts.time then
      self.emit(stream, time, text, true)
    else
      add(parts, time, text)
      if stop or parts.size >= M.LINE_MAX then flush(self, stream, parts, stop ~= nil) end
    end
    from = (stop or #data) + 1
  end
end

--- What follows does not go on with what has come: gives what has no newline.
function Lines:finish()
  for _, stream in ipairs { "1", "2", "h" } do
    if self.parts[stream].time then flush(self, stream, self.parts[stream], false) end
  end
end

-- ---- words ----

local known, known_text -- a second, and how it is written: that of most lines is the one of the line before

--- Nanoseconds of the epoch as 2026-01-31T12:00:00.000000000Z.
function M.time(ns)
  local second = ns // 1000000000
  if second ~= known then known, known_text = second, os.date("!%Y-%m-%dT%H:%M:%S", second) end
  return ("%s.%09dZ"):format(known_text, ns % 1000000000)
end

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function letter(n)
  n = n % 64 + 1
  return LETTERS:sub(n, n)
end

--- RFC 4648.
function M.base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    out[#out + 1] = letter(bits >> 18) .. letter(bits >> 12) .. (b and letter(bits >> 6) or "=") .. (c and letter(bits) or "=")
  end
  return table.concat(out)
end

-- Days since the epoch of a day of the proleptic Gregorian calendar, counted in years that begin in March.
local function days_of(year, month, day)
  year = month > 2 and year or year - 1
  local of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + day - 1
  local era = year // 400
  local in_era = year - era * 400
  return era * 146097 + in_era * 365 + in_era // 4 - in_era // 100 + of_year - 719468
end

local function in_range(n, low, high) return n and n >= low and n <= high end

local DAYS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- The clock part: seconds of the day and nanoseconds, and what follows it.
local function clock_of(text)
  if text == "" then return 0, 0, "" end
  local hour, minute, rest = text:match("^[T ](%d%d):(%d%d)(.*)$")
  if not hour then return nil end
  local second, more = rest:match("^:(%d%d)(.*)$")
  local fraction, zone = (more or rest):match("^%.(%d+)(.*)$")
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second or 0)
  if not (in_range(hour, 0, 24) and in_range(minute, 0, 59) and in_range(second, 0, 60)) then return nil end
  if fraction and not more then return nil end
  local ns = fraction and tonumber((fraction .. "000000000"):sub(1, 9)) or 0
  return hour * 3600 + minute * 60 + second, ns, zone or more or rest
end

-- Seconds east of Greenwich; nil where the text is no zone, false for the local one.
local function zone_of(text)
  if text == "" then return false end
  if text == "Z" then return 0 end
  local sign, hours, minutes = text:match("^([+-])(%d%d):?(%d%d)$")
  if not sign or tonumber(hours) > 14 or tonumber(minutes) > 59 then return nil end
  return (tonumber(hours) * 3600 + tonumber(minutes) * 60) * (sign == "-" and -1 or 1)
end

--- A date, with a time and a zone or without (ISO 8601: 2026-01-31, 2026-01-31T12:00, 2026-01-31T12:00:00.5+01:00), in
-- nanoseconds of the epoch; nil for anything else. Without a zone it is local time.
function M.parse_time(text)
  local year, month, day, rest = text:match("^(%d%d%d%d)-(%d%d)-(%d%d)(.*)$")
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if not year or not in_range(month, 1, 12) or not in_range(day, 1, DAYS[month]) then return nil end
  local seconds, ns, tail = clock_of(rest)
  local zone = seconds and zone_of(tail)
  if zone == nil or not seconds then return nil end
  local total
  if zone then
    total = days_of(year, month, day) * 86400 + seconds - zone
  else
    total = os.time { year = year, month = month, day = day, hour = 0, sec = seconds }
  end
  if not total then return nil end
  return total < math.maxinteger // 1000000000 and total * 1000000000 + ns or math.maxinteger -- in the year 2262
end

return M
