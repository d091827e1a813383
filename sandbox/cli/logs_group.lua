-- SPDX-License-Identifier: MIT
-- sandbox.cli.logs_group: `luge logs --group`: the logs of several containers as one, line by line, in the order of the times at
-- which the lines began.
--
-- A line that has not ended yet waits for its end, and so for its place, only as long as its log goes on without one.

local lines = require "sandbox.container.log_lines"
local log_reader = require "sandbox.container.log_reader"
local logs_out = require "sandbox.cli.logs_out"

local M = {}

local Source = {}
Source.__index = Source

local function queue(self, time, show)
  self.queue[#self.queue + 1] = { time = time, show = show }
end

-- What has to be shown of one record; a gap comes before all that follows it.
function Source:take(out, record)
  local name = self.container.name
  if record.kind == "gap" then
    self.lines:finish()
    queue(self, 0, function() out:gap(record, name) end)
  elseif record.kind == "!" then
    self.told = self.told + logs_out.lost(record)
    if record.time >= self.gate.since and self.gate.left == 0 then
      queue(self, record.time, function() out:loss(record, name) end)
    end
  else
    local data = self.gate:pass(record)
    if data ~= "" then self.lines:add(record.kind, record.time, data) end
  end
end

-- The time of the next that there is to show, or nil where there is nothing yet, or nothing more.
function Source:head(out)
  while not self.queue[self.first] do
    if self.first > 1 then self.queue, self.first = {}, 1 end
    local record = self.reader:next()
    if record then
      self:take(out, record)
    elseif self.ended and not self.finished then
      self.finished = true
      self.reader:finish()
      self.lines:finish()
    else
      return nil
    end
  end
  return self.queue[self.first].time
end

-- Shows all that there is.
local function drain(out, sources)
  while not out.stopped do
    local earliest, at
    for _, source in ipairs(sources) do
      local time = source:head(out)
      if time and (not at or time < at) then earliest, at = source, time end
    end
    if not earliest then break end
    earliest.queue[earliest.first].show()
    earliest.queue[earliest.first], earliest.first = false, earliest.first + 1
  end
  out:flush()
end

--- Shows what sources have, { container =, reader =, gate = } each, and goes on as long as their writers live that are followed.
function M.show(out, sources)
  local width = 0
  for _, source in ipairs(sources) do width = math.max(width, #source.container.name) end
  for _, source in ipairs(sources) do
    local name = source.container.name
    local prefix = name .. (" "):rep(width - #name) .. " | "
    setmetatable(source, Source)
    source.queue, source.first, source.told = {}, 1, 0
    source.lines = lines.lines(function(kind, time, text, whole)
      queue(source, time, function() out:named_line(name, prefix, kind, time, text, whole) end)
    end)
  end
  local followed
  repeat
    followed = {}
    for _, source in ipairs(sources) do
      if not source.ended then
        source.ended = source.reader:ended()
        source.reader:look(source.ended)
      end
      if not source.ended then followed[#followed + 1] = source.reader end
    end
    drain(out, sources)
    if followed[1] and not out.stopped then out.stopped = log_reader.wait(followed) end
  until not followed[1] or out.stopped
end

return M
