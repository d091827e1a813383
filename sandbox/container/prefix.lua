-- SPDX-License-Identifier: MIT
-- sandbox.container.prefix: the output of several containers on luge's own stdout and stderr, line by line, each with its
-- container's name before it.
--
-- A line is written whole, whoever else writes. Nothing here waits: while the reader of luge's output does not read, so
-- much is kept and then no more is read of the containers, which is how they come to wait as well. A reader that is gone
-- closes their pipes: the next write there ends in SIGPIPE, as without luge.

local S = require "syscall"
local loop = require "sandbox.container.loop"
local output = require "sandbox.container.output"

local M = {}

local CHUNK, LINE_MAX = 65536, 65536
local KEPT_MAX = 1 << 18 -- bytes that wait for a reader; then nothing more is read

local Mux = {}
Mux.__index = Mux

--- watch: the loop that it is a part of.
function M.new(watch)
  return setmetatable({ loop = watch, to = {}, sources = {}, errors = {} }, Mux)
end

-- luge's stdout or stderr, connected when it is first needed.
local function destination(self, number)
  local to = self.to[number]
  if to then return to end
  to = output.destination(number)
  to.number, to.pending = number, ""
  self.to[number] = to
  -- A file cannot be waited for, and need not be. Asked for nothing, a pipe still tells that its reader went.
  to.polled = self.loop:try_listen(to.fd, function(_, event)
    if to.pending ~= "" then self:push(to) elseif event.events.err or event.events.hup then self:lose(to) end
  end, "")
  return to
end

-- Reads of those who write there, or does not.
local function turn_sources(self, to, on)
  for _, source in ipairs(self.sources) do
    if source.to == to and source.reader and source.on ~= on then
      source.on = on
      -- Left in the loop, one whose writer is gone would wake it again and again.
      if on then self.loop:listen(source.reader, source.handler) else self.loop:forget(source.reader) end
    end
  end
end

local function close_source(self, source)
  if not source.reader then return end
  if source.on then self.loop:forget(source.reader) end
  source.reader:close()
  source.reader = nil
end

-- Nobody reads any more.
function Mux:lose(to)
  if to.lost then return end
  to.lost, to.pending = true, ""
  if to.polled then self.loop:forget(to.fd) end
  for _, source in ipairs(self.sources) do
    if source.to == to then close_source(self, source) end
  end
end

--- Writes what waits, as far as it goes.
function Mux:push(to)
  local waits
  while to.pending ~= "" and not to.lost and not waits do
    local n, err = output.put(to, to.pending)
    if n then
      to.pending = to.pending:sub(n + 1)
      waits = to.most and to.pending ~= ""
    elseif err.AGAIN then
      waits = true
    else
      if not (err.PIPE or err.CONNRESET or err.IO) then
        self.errors[#self.errors + 1] = ("%s: %s"):format(to.number == 1 and "stdout" or "stderr", tostring(err))
      end
      self:lose(to)
    end
  end
  if to.lost then return end
  if to.polled then self.loop:change(to.fd, waits and "out" or "") end
  turn_sources(self, to, #to.pending < KEPT_MAX)
end

--- Words of luge's own, on stderr.
function Mux:say(text)
  local to = destination(self, 2)
  if to.lost then return end
  to.pending = to.pending .. text
  self:push(to)
end

-- The complete lines of what was read, each with the prefix; the beginning of the next one waits.
local function add_lines(source, data)
  local rest, out, from = source.rest .. data, {}, 1
  -- The end of what was cut just there is no line.
  if source.is_cut and rest:byte() == 10 then from = 2 end
  source.is_cut = false
  while true do
    local stop = rest:find("\n", from, true)
    if not stop and #rest - from + 1 < LINE_MAX then break end
    local last = math.min(stop and stop - 1 or #rest, from + LINE_MAX - 1)
    out[#out + 1] = source.prefix .. rest:sub(from, last) .. "\n"
    from = last + 1
    if from == stop then from = from + 1 end
    source.is_cut = from ~= (stop or 0) + 1
  end
  source.rest = rest:sub(from)
  source.is_cut = source.is_cut and source.rest == ""
  return table.concat(out)
end

local function pull(self, source)
  local data = S.read(source.reader, CHUNK)
  if not data then return false end
  local text
  if data == "" then
    text = source.rest ~= "" and source.prefix .. source.rest .. "\n" or ""
    close_source(self, source)
  else
    text = add_lines(source, data)
  end
  if text ~= "" and not source.to.lost then
    source.to.pending = source.to.pending .. text
    self:push(source.to)
  end
  return data ~= ""
end

--- Passes on what comes from a pipe to luge's stdout (1) or stderr (2).
function Mux:add(prefix, reader, number)
  local source = { prefix = prefix, reader = reader, to = destination(self, number), rest = "", on = true }
  if source.to.lost then
    reader:close()
    return
  end
  S.fcntl(reader, "setfl", "nonblock")
  self.sources[#self.sources + 1] = source
  source.handler = function() pull(self, source) end
  self.loop:listen(reader, source.handler)
  return source
end

local PIPE_MAX = 1 << 20

--- A container has ended: what lies in its pipe is passed on. Whoever holds the pipe open is not waited for.
function Mux:finish(source)
  local left = PIPE_MAX
  while source.reader and left > 0 and pull(self, source) do left = left - CHUNK end
  if not source.reader then return end
  if source.rest ~= "" and not source.to.lost then
    source.to.pending = source.to.pending .. source.prefix .. source.rest .. "\n"
    self:push(source.to)
  end
  close_source(self, source)
end

--- Whether something waits for a reader.
function Mux:waits()
  for _, to in pairs(self.to) do
    if to.pending ~= "" then return true end
  end
  return false
end

--- The descriptors of luge's that a child must close: objects.
function Mux:descriptors()
  local list = {}
  for _, source in ipairs(self.sources) do list[#list + 1] = source.reader end
  for _, to in pairs(self.to) do
    if loop.number_of(to.fd) > 2 then list[#list + 1] = to.fd end
  end
  return list
end

return M
