-- SPDX-License-Identifier: MIT
-- sandbox.container.tell: what luge itself has to say while it watches a container: to stderr, and events to --status-fd.
--
-- Whoever watches must not wait for a reader: every limit, and `stop`, would wait with it, and a container can cause
-- things to be said. What finds no room is dropped and counted, and the count is told as soon as there is room again.
-- A line that went half stays whole: its rest comes before anything else.

local S = require "syscall"
local output = require "sandbox.container.output"

local M = {}

-- At the end a slow reader is waited for, so many milliseconds.
local PATIENCE = 1000

local Teller = {}
Teller.__index = Teller

--- A writer of lines to a descriptor; to: as output.destination makes it. lost(count): the words for so many lines dropped.
function M.to(to, lost) return setmetatable({ to = to, rest = "", lost = lost, dropped = 0 }, Teller) end

local function has_room(to, patience)
  local ready = S.poll({ { fd = to.fd, events = "out" } }, patience)
  return not ready or #ready > 0
end

-- Writes the rest as far as it goes; patience: of milliseconds without progress. True when all of it went; nil and the error.
function Teller:push(patience)
  while self.rest ~= "" do
    if not has_room(self.to, patience) then return false end
    local n, err = output.put(self.to, self.rest)
    if n then
      self.rest = self.rest:sub(n + 1)
    elseif err.AGAIN and patience == 0 then
      return false
    elseif not err.AGAIN then
      self.rest = ""
      return nil, err
    end
  end
  return true
end

--- Writes a line, or drops it. patience: milliseconds to wait for room, 0 unless given. True when all of it went, false
-- where it did not, nil and the error.
function Teller:write(line, patience)
  patience = patience or 0
  if self:push(patience) == false then
    self.dropped = self.dropped + 1
    return false
  end
  self.rest = (self.dropped > 0 and self.lost(self.dropped) or "") .. line
  self.dropped = 0
  return self:push(patience)
end

local stderr

--- Says something on stderr.
function M.stderr(text)
  stderr = stderr or M.to(output.destination(2), function(count)
    return ("luge: %d messages were lost: nobody read them\n"):format(count)
  end)
  stderr:write(text)
end

--- The same as luge's complaints look (sandbox.cli).
function M.complain(message, hint) M.stderr(require("sandbox.cli").complaint(message, hint)) end

--- What is left to say on stderr, when the container has ended.
function M.finish()
  if not stderr then return end
  if stderr.dropped > 0 then stderr:write("", PATIENCE) else stderr:push(PATIENCE) end
end

--- A function that writes events, a line of JSON each, to a descriptor; that of the end waits a little for its reader.
function M.events(fd, name)
  local json = require "luge.json"
  local teller
  local function text(event)
    event.name = name
    return json.encode(event) .. "\n"
  end
  return function(event)
    teller = teller or M.to(output.destination(fd), function(count) return text { event = "lost", count = count } end)
    teller:write(text(event), event.event == "ended" and PATIENCE or 0)
  end
end

return M
