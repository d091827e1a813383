-- SPDX-License-Identifier: MIT
-- sandbox.cli.logs: `luge logs`: what a detached container wrote: its stdout on stdout, its stderr on stderr, as it was.

local S = require "syscall"
local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local list = require "sandbox.container.list"
local lines = require "sandbox.container.log_lines"
local logs_out = require "sandbox.cli.logs_out"

local M = {}

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

-- Why a container has no log that could be shown, and the way out; nothing where it has one.
local function lack_of(container)
  if container.state == "unknown" then
    return containers.says(container), container.message
  elseif not container.detached then
    return ("container '%s' has no log: it runs in the foreground"):format(container.name),
      "its output is where its luge's own goes; run -d writes a log"
  elseif not container.log then
    return ("container '%s' has no log: log = false"):format(container.name), "leave log out of its profile"
  elseif container.log == "journald" then
    return ("the log of container '%s' is in the journal"):format(container.name), "journalctl LUGE_CONTAINER=" .. container.name
  end
end

-- The one container that is meant, with a log, in a list; nil and the exit code after the message was printed.
local function one_of(directory, names)
  if #names > 1 then return nil, cli.complain("one container at a time", "luge logs " .. names[1]) end
  local found, code = containers.named(directory, {}, names, containers.STATES)
  if not found then return nil, code end
  local words, hint = lack_of(found[1])
  if words then return nil, cli.complain(words, hint) end
  return found
end

-- The containers of a group that have a log: the others are told. nil and the exit code after the message was printed.
local function group_of(directory, group, names)
  if names[1] then return nil, cli.complain("--group, or a container's name", "luge logs --group " .. group) end
  local found, there = {}, false
  for _, container in ipairs(list.all(directory)) do
    if container.group == group then
      there = true
      local words, hint = lack_of(container)
      if words then cli.complain(words, hint) else found[#found + 1] = container end
    end
  end
  if found[1] then return found end
  if there then return nil, containers.FAILED end
  return nil, containers.no_such_group(directory, group)
end

-- The pidfd of the luge that writes, nil when it is gone. The number may be another's since: it is not as long as the lock
-- names it.
local function writer_of(directory, container)
  if not containers.RUNS[container.state] then return nil end
  local pidfd = S.pidfd_open(container.luge)
  local still = pidfd and list.one(directory, container.name)
  return still and still.luge == container.luge and pidfd or nil
end

-- ---- the command ----

local function show_all(out, source)
  local reader, gate = source.reader, source.gate
  source.told = 0
  repeat
    local ended = reader:ended()
    reader:look(ended)
    for record in reader.next, reader do
      if record.kind == "gap" then
        if out.lines then out.lines:finish() end -- two halves of lines are no line
        out:gap(record)
      elseif record.kind == "!" then
        source.told = source.told + logs_out.lost(record)
        if record.time >= gate.since and gate.left == 0 then out:loss(record) end
      else
        local data = gate:pass(record)
        if data ~= "" then out.show(record.kind, record.time, data) end
      end
      if out.stopped then return end
    end
    out:flush()
    if not ended and reader:wait() then
      out.stopped = true
      return
    end
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

-- What is to be read of each: { container =, reader =, gate = }; nil and the exit code after the message was printed.
local function open_all(directory, found, options, since, number)
  local sources = {}
  for i, container in ipairs(found) do
    local reader, err = require("sandbox.container.log_reader").open(container.log)
    if not reader then return nil, cli.complain(("the log %s: %s"):format(container.log, tostring(err))) end
    local writer = options.follow and writer_of(directory, container)
    if writer then reader:follow(writer) end
    sources[i] = { container = container, reader = reader, gate = gate_of(reader, since, number) }
  end
  return sources
end

function M.run(options, names)
  local since, number = since_of(options.since), number_of(options.lines)
  if since == nil or number == nil then return containers.FAILED end
  local directory = containers.directory()
  if not directory then return containers.FAILED end
  local found, sources, code
  if options.group then
    found, code = group_of(directory, options.group, names)
  else
    found, code = one_of(directory, names)
  end
  if found then sources, code = open_all(directory, found, options, since, number) end
  if not sources then return code end
  local out = logs_out.new(options)
  if options.group then require("sandbox.cli.logs_group").show(out, sources) else show_all(out, sources[1]) end
  for _, source in ipairs(out.stopped and {} or sources) do
    -- What its record says now, for it may have ended meanwhile.
    local known = list.one(directory, source.container.name)
    logs_out.confess(source.reader, known, source.told, options.group and source.container.name or nil)
  end
  return out.code
end

return M
