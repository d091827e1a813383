-- SPDX-License-Identifier: MIT
-- sandbox.cli.logs: `luge logs`: what a detached container wrote: its stdout on stdout, its stderr on stderr, as it was.

local S = require "syscall"
local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local json = require "luge.json"
local list = require "sandbox.container.list"
local lines = require "sandbox.container.log_lines"

local M = {}

local STATES = { running = true, paused = true, restarting = true, ended = true, lost = true, unknown = true }
local STREAMS = setmetatable({ ["!"] = "luge" }, { __index = lines.STREAMS })

-- ---- what is asked ----

-- --since in nanoseconds, false without it; nil after the message was printed.
local function since_of(text)
  if not text then return false end
  local duration = require("sandbox.profile.values").duration(text)
  local ns = duration and S.clock_gettime_ns "realtime" - math.floor(duration * 1e9) or lines.parse_time(text)
  if ns then return ns end
  cli.complain(("--since %s: a duration or a time expected"):format(text), "as 10m, 2h, 2026-01-31 or 2026-01-31T12:00:00Z")
end

-- -n, false without it; nil after the message was printed.
local function number_of(text)
  if not text then return false end
  local number = text:find("^%d+$") and math.tointeger(tonumber(text))
  if number then return number end
  cli.complain(("-n %s: a number of lines expected"):format(text), "as -n 20")
end

-- The one container that is meant, with a log; nil and the exit code after the message was printed.
local function container_of(directory, names)
  if #names > 1 then return nil, cli.complain("one container at a time", "luge logs " .. names[1]) end
  local found, code = containers.named(directory, {}, names, STATES)
  if not found then return nil, code end
  local container = found[1]
  if container.state == "unknown" then return nil, cli.complain(containers.says(container), container.message) end
  if not container.detached then
    return nil, cli.complain(("container '%s' has no log: it runs in the foreground"):format(container.name),
      "its output is where its luge's own goes; run -d writes a log")
  elseif not container.log then
    return nil, cli.complain(("container '%s' has no log: log = false"):format(container.name), "leave log out of its profile")
  elseif container.log == "journald" then
    return nil, cli.complain(("the log of container '%s' is in the journal"):format(container.name),
      "journalctl LUGE_CONTAINER=" .. container.name)
  end
  return container
end

-- The pidfd of the luge that writes, nil when it is gone. The number may be another's since: it is not as long as the lock
-- names it.
local function writer_of(directory, container)
  if not containers.RUNS[container.state] then return nil end
  local pidfd = S.pidfd_open(container.luge)
  local still = pidfd and list.one(directory, container.name)
  return still and still.luge == container.luge and pidfd or nil
end

-- ---- what is shown ----

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
    elseif not err.INTR then
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

local function json_line(kind, time, text, whole)
  local row = { time = lines.time(time), stream = STREAMS[kind] }
  if utf8.len(text) then row.text = text else row.base64 = lines.base64(text) end
  if not whole then row.partial = true end
  return json.encode(row) .. "\n"
end

-- Each is given a record's kind, time and the part of its data that is wanted.
local shows = {}

function shows.plain(out)
  return function(kind, _, data) out:put(kind == "1" and 1 or 2, data) end
end

function shows.timestamps(out)
  out.lines = lines.lines(function(kind, time, text, whole)
    out:put(kind == "1" and 1 or 2, ("%s %s%s"):format(lines.time(time), text, whole and "\n" or ""))
  end)
  return function(...) out.lines:add(...) end
end

function shows.json(out)
  out.lines = lines.lines(function(...) out:put(1, json_line(...)) end)
  return function(...) out.lines:add(...) end
end

local function loss(out, record, wanted, options)
  local count, why = record.data:match("^(%d+) (.*)$")
  count = math.tointeger(tonumber(count)) or 0
  out.told = out.told + count
  if not wanted then return end
  if options.json then
    out:put(1, json.encode { time = lines.time(record.time), stream = STREAMS["!"], lost_bytes = count, text = why } .. "\n")
  else
    out:complain(("%d bytes of the output were lost here: %s"):format(count, why or "?"))
  end
end

-- Two halves of lines are no line.
local function gap(out, record)
  if out.lines then out.lines:finish() end
  out:complain(("%d files of the log were gone before they could be shown"):format(record.count),
    "a larger log.size, or more log.files, gives the reader more time")
end

local function new_out(options)
  local out = setmetatable({ told = 0, code = 0, number = 1, waiting = {}, size = 0 }, Out)
  out.show = shows[options.json and "json" or options.timestamps and "timestamps" or "plain"](out)
  return out
end

-- ---- the command ----

-- What could not be shown, in words.
local function confess(out, reader, container)
  for _, text in ipairs(reader.damaged) do cli.complain(text) end
  local lost = (container and container.log_lost_bytes or 0) - out.told
  if lost > 0 then cli.complain(("%d bytes of the output were lost, and could not be noted where"):format(lost)) end
  if container and container.state == "lost" then cli.complain("the log ends where the luge that wrote it was killed") end
end

local function show_all(out, reader, gate, options)
  repeat
    local ended = reader:ended()
    reader:look(ended)
    for record in reader.next, reader do
      if record.kind == "gap" then
        gap(out, record)
      elseif record.kind == "!" then
        loss(out, record, record.time >= gate.since and gate.left == 0, options)
      else
        local data = gate:pass(record)
        if data ~= "" then out.show(record.kind, record.time, data) end
      end
      if out.stopped then return end
    end
    out:flush()
    if not ended then reader:wait() end
  until ended
  reader:finish()
  if out.lines then out.lines:finish() end
  out:flush()
end

local function gate_of(reader, since, number)
  if not number then
    reader.once = true
    return lines.gate(since or nil)
  end
  reader:look(false)
  local count = lines.count(function() return reader:next() end, since or nil)
  reader:rewind()
  return lines.gate(since or nil, math.max(0, count - number))
end

function M.run(options, names)
  local since, number = since_of(options.since), number_of(options.lines)
  if since == nil or number == nil then return containers.FAILED end
  local directory = containers.directory()
  if not directory then return containers.FAILED end
  local container, code = container_of(directory, names)
  if not container then return code end
  local reader, err = require("sandbox.container.log_reader").open(container.log)
  if not reader then return cli.complain(("the log %s: %s"):format(container.log, tostring(err))) end
  local writer = options.follow and writer_of(directory, container)
  if writer then reader:follow(writer) end
  local out = new_out(options)
  show_all(out, reader, gate_of(reader, since, number), options)
  -- What its record says now, for it may have ended meanwhile.
  if not out.stopped then confess(out, reader, list.one(directory, container.name)) end
  return out.code
end

return M
