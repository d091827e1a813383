-- SPDX-License-Identifier: MIT
-- sandbox.container.copies: copies of a container's output for who comes and goes with `luge attach`; the monitor's side.
--
-- Each attached luge has a pipe for each stream, which nobody ever waits for: what does not fit is dropped for it alone,
-- counted and told. So no terminal that is slow, or was stopped, holds up the container, the log or another terminal.
-- Of a container's terminal it gets both ends: what is typed goes straight in, in the order in which it comes from all
-- who are attached, and the size is that of whoever said one last.

local S = require "syscall"
local json = require "luge.json"

local M = {}

local MOST = 16 -- at once
local ROOM = 256 << 10 -- bytes of a pipe
local PAUSE = 0.5 -- seconds between two words about losses

local Copy = {}
Copy.__index = Copy

-- In this very moment there is room, and may not be for the next word.
local function tell(self)
  local now = S.clock_gettime "monotonic"
  if self.told == self.lost or now - self.told_at < PAUSE then return end
  local message = { v = require("sandbox.container.control").VERSION, ok = true, lost = self.lost }
  if S.sendmsg(self.socket, { data = json.encode(message), flags = "dontwait" }) then
    self.told, self.told_at = self.lost, now
  end
end

--- What came from a stream.
function Copy:give(number, data)
  local pipe = self.pipes[number]
  if not pipe then return end
  local n, err = S.write(pipe, data)
  if not n and not err.AGAIN then return self:close(number) end
  self.lost = self.lost + #data - (n or 0)
  if n then tell(self) end
end

--- Nothing more comes from a stream.
function Copy:close(number)
  local pipe = self.pipes[number]
  self.pipes[number] = nil
  if pipe then pipe:close() end
end

--- Nobody is attached there any more.
function Copy:stop()
  for number in pairs { true, true } do self:close(number) end
  local left = {}
  for _, copy in ipairs(self.output.copies) do
    if copy ~= self then left[#left + 1] = copy end
  end
  self.output.copies = left
end

local function new_copy(output, socket)
  local self = setmetatable({ output = output, socket = socket, pipes = {}, readers = {}, lost = 0, told = 0, told_at = 0 }, Copy)
  for number = 1, 2 do
    local stream = output.streams[number]
    if stream and stream.state ~= "closed" then
      local reader, writer = S.pipe()
      if not reader then
        for i, pipe in pairs(self.pipes) do
          pipe:close()
          self.readers[i]:close()
        end
        return nil, tostring(writer)
      end
      S.fcntl(writer, "setfl", "nonblock")
      S.fcntl(writer, "setpipe_sz", ROOM) -- what the kernel gives a user has an end, and less will do
      self.pipes[number], self.readers[#self.readers + 1] = writer, reader
    end
  end
  output.copies = table.move(output.copies, 1, #output.copies, 1, {})
  table.insert(output.copies, self)
  return self
end

--- The reply for a client on `socket`, with copy = what it gets from now on, and the descriptors that go with it: the pipe
-- of each of reply.streams, then both ends of the terminal where reply.terminal; nil and words.
function M.open(watch, socket)
  local run = watch.run
  if not run.detached then
    return nil, "it runs in the foreground, on the terminal of its luge: only one that was started with run -d is attached to"
  end
  if watch.gone then return { ok = true, streams = json.array {} } end
  if not watch.started then return nil, "it is starting: try again in a moment" end
  if not run.output then return nil, "what it writes goes nowhere (log = false), and it has no terminal" end
  if #run.output.copies >= MOST then return nil, ("%d are attached to it already"):format(MOST) end
  local copy, words = new_copy(run.output, socket)
  if not copy then return nil, words end
  local streams, fds = json.array {}, table.move(copy.readers, 1, #copy.readers, 1, {})
  for number = 1, 2 do
    if copy.pipes[number] then streams[#streams + 1] = number end
  end
  local terminal = watch.has_terminal and run.terminal
  if terminal and terminal.slave then table.move({ terminal.master, terminal.slave }, 1, 2, #fds + 1, fds) end
  return { ok = true, streams = streams, terminal = terminal and terminal.slave ~= nil or false, copy = copy }, fds
end

return M
