-- SPDX-License-Identifier: MIT
-- sandbox.container.output: luge reads what the container writes, counts it and passes it on: for `limits.output`, for a
-- terminal, and for the log of a detached container.
--
-- Without any of these the container has luge's own stdout and stderr. A pipe stands for each, one for both where they
-- are one file, so that the order stays; a terminal for both; a log keeps the pipes apart, and never waits. Nothing is
-- read while what was read before waits for its reader, which is how the container comes to wait as well; no reader
-- holds up the other stream, a timer or a signal. A reader that is gone closes the pipe: the container's next write
-- then ends in SIGPIPE, as it does without luge; on a terminal the command gets HUP. Bytes beyond the limit are read
-- and dropped, so that a handler of TERM that still writes is not held up by a full pipe.

local S = require "syscall"
local loop = require "sandbox.container.loop"

local M = {}

local CHUNK, LOG_CHUNK = 65536, 32768 -- a record of the log
-- As much is asked for first: most writes are small, and a large buffer is garbage at once.
local FIRST_CHUNK = 4096
-- What a pipe that is ready takes without waiting, unless somebody else fills it in that very moment (PIPE_BUF).
local ATOMIC = 4096
-- More than a terminal gives at once (N_TTY_BUF_SIZE).
local TERMINAL_CHUNK = 8192

local Output = {}
Output.__index = Output

local NONE = {} -- of `copies`: those for attached terminals (sandbox.container.copies), given (number, data) and closed

local function is_one_file()
  local a, b = S.fstat(1), S.fstat(2)
  return a and b and a.dev == b.dev and a.ino == b.ino
end

--- Makes the pipes, whose ends for the container become the symbols $output.stdout and $output.stderr. limit: of bytes,
-- or none; log: where they go (sandbox.container.log) instead of luge's own.
function M.open(limit, log, symbols)
  local self = setmetatable({ left = limit or math.huge, log = log, streams = {}, writers = {}, errors = {},
    copies = NONE }, Output)
  for number, name in ipairs { "stdout", "stderr" } do
    if number == 1 or log or not is_one_file() then
      local reader, writer = S.pipe()
      if not reader then return nil, writer end
      self.streams[number] = { number = number, name = name, reader = reader, pending = "", chunk = FIRST_CHUNK }
      self.writers[number] = writer
    end
    symbols["output." .. name] = self.writers[number] or self.writers[1]
  end
  return self
end

--- The same for a container with a terminal, which comes later (add_terminal).
function M.of_terminal(limit, log)
  return setmetatable({ left = limit or math.huge, log = log, streams = {}, writers = {}, errors = {}, copies = NONE }, Output)
end

--- The same for what another luge passes on: readers by the number of their stream.
function M.of_readers(readers, on_close)
  local self = M.of_terminal()
  for number, reader in pairs(readers) do
    self.streams[number] = { number = number, name = number == 1 and "stdout" or "stderr", reader = reader, pending = "",
      chunk = FIRST_CHUNK, on_close = on_close }
  end
  return self
end

--- The container has its ends: what luge itself kept open would hide the end of the output.
function Output:release()
  for _, writer in ipairs(self.writers) do writer:close() end
  self.writers = {}
end

--- What is behind the container's stdout, as the kernel shows it in /proc/PID/fd.
function Output:shown()
  local stream = self.streams[1]
  return S.readlink("/proc/self/fd/" .. (stream.slave or stream.reader):getfd())
end

-- Luge's own descriptor is shared with other processes and must not become nonblocking: one of our own for the same
-- pipe or terminal may. Where it cannot be had, a pipe gets no more than it has room for; files never wait.
local function destination(number)
  local st = S.fstat(number)
  local kind = st and st.type
  if kind == "socket" then return { fd = number, is_socket = true } end
  if kind ~= "fifo" and not S.isatty(number) then return { fd = number } end
  local own = S.open("/proc/self/fd/" .. number, "wronly, nonblock, noctty, cloexec")
  return { fd = own or number, most = not own and ATOMIC or nil }
end

local function put(to, data)
  if to.is_socket then return S.send(to.fd, data, "dontwait, nosignal") end
  return S.write(to.fd, to.most and data:sub(1, to.most) or data)
end

--- The same for others who pass on output: { fd =, is_socket =, most = }, and a write to it.
M.destination, M.put = destination, put

-- Reads from the stream, or waits for its reader, or neither any more.
function Output:turn(stream, to)
  if stream.state == to then return end
  local poll, from = self.watch.poll, stream.state
  stream.state = to
  if from == "read" then S.epoll_ctl(poll, "del", stream.reader) end
  if to == "read" then S.epoll_ctl(poll, "add", stream.reader, "in") end
  if stream.polled then S.epoll_ctl(poll, "mod", stream.to.fd, to == "write" and "out" or nil) end
end

function Output:close(stream)
  if stream.state == "closed" then return end
  self:turn(stream, "closed")
  if stream.polled then S.epoll_ctl(self.watch.poll, "del", stream.to.fd) end
  self.watch.handlers[stream.reader:getfd()] = nil
  stream.reader:close()
  stream.pending = ""
  for _, copy in ipairs(self.copies) do copy:close(stream.number) end
  if stream.on_close then stream.on_close(stream) end
end

-- That nobody reads any more is the reader's choice, or that of a terminal that hung up; anything else is told.
local function is_gone(stream, err)
  return err.PIPE or err.CONNRESET or err.IO and S.isatty(stream.number)
end

-- Writes what waits, as far as it goes.
function Output:push(stream)
  while stream.pending ~= "" do
    local n, err = put(stream.to, stream.pending)
    if n then
      stream.pending = stream.pending:sub(n + 1)
    elseif err.AGAIN then
      return self:turn(stream, "write")
    else
      if not is_gone(stream, err) then self.errors[#self.errors + 1] = stream.name .. ": " .. tostring(err) end
      stream.is_unread = true
      return self:close(stream)
    end
    if stream.to.most and stream.pending ~= "" then return self:turn(stream, "write") end
  end
  self:turn(stream, "read")
end

-- A terminal gives a little at a time: what is there already is passed on in one piece.
local function read_terminal(master)
  local data, err = S.read(master, TERMINAL_CHUNK)
  if not data then return err.IO and "" or nil end -- EIO: nobody has the other end open
  local parts, size = { data }, #data
  while size < CHUNK do
    local more = S.read(master, TERMINAL_CHUNK)
    if not more or more == "" then break end
    parts[#parts + 1] = more
    size = size + #more
  end
  return #parts == 1 and data or table.concat(parts)
end

-- Takes what the container wrote; true when there may be more.
function Output:pull(stream)
  local data
  if stream.slave then data = read_terminal(stream.reader) else data = S.read(stream.reader, stream.chunk) end
  if not data then return false end
  if data == "" then
    self:close(stream)
    return false
  end
  stream.chunk = #data == stream.chunk and (self.log and LOG_CHUNK or CHUNK) or FIRST_CHUNK
  local allowed = #data <= self.left and data or data:sub(1, self.left)
  self.left = self.left - #allowed
  for _, copy in ipairs(self.copies) do copy:give(stream.number, allowed) end
  if self.log then
    self.log:append(stream.number, allowed)
  else
    stream.pending = allowed
    self:push(stream)
  end
  if #allowed < #data then self.watch:stop("output") end
  return stream.state == "read", #data
end

function Output:destination_ready(stream, events)
  if stream.pending ~= "" then
    self:push(stream)
  elseif events.err or events.hup then
    stream.is_unread = true
    self:close(stream)
  end
end

-- Where the stream goes to, unless that is the log.
function Output:connect(stream)
  local poll, handlers = self.watch.poll, self.watch.handlers
  stream.to = destination(stream.number)
  -- A file cannot be waited for (EPERM), and need not be. Asked for nothing, a pipe still tells that its reader went.
  stream.polled = S.epoll_ctl(poll, "add", stream.to.fd)
  handlers[loop.number_of(stream.to.fd)] = function(_, event) self:destination_ready(stream, event.events) end
end

local function begin(self, stream)
  local watch = self.watch
  S.fcntl(stream.reader, "setfl", "nonblock")
  watch.handlers[stream.reader:getfd()] = function() self:pull(stream) end
  if not self.log then self:connect(stream) end
  self:turn(stream, "read")
end

--- Begins to pass the output on, in the loop of `watch`.
function Output:attach(watch)
  self.watch = watch
  -- Every chunk is garbage at once. A detached container may write next to nothing (monitor.lua, collect_later).
  if not self.log then collectgarbage "restart" end
  for _, stream in pairs(self.streams) do begin(self, stream) end
end

--- What the container writes to its terminal goes to stdout. With the slave open here too, the master does not fail
-- (EIO) while a program has closed its own for a moment. `on_close` is called when nobody reads any more.
function Output:add_terminal(master, slave, on_close)
  local stream = { number = 1, name = "stdout", reader = master, slave = slave, pending = "", chunk = FIRST_CHUNK,
    on_close = on_close }
  self.streams[1] = stream
  begin(self, stream)
end

local function is_waiting(streams)
  for _, stream in pairs(streams) do
    if stream.pending ~= "" then return true end
  end
end

--- Nobody will read any more.
function Output:hang_up()
  for _, stream in pairs(self.streams) do self:close(stream) end
end

-- What the container wrote is in the pipe, which holds no more than this without privilege (pipe-max-size). Whoever has
-- outlived it may fill the pipe for ever.
local PIPE_MAX = 1 << 20

local function drain(self, stream)
  local left, more = PIPE_MAX, stream.state == "read"
  while more and left > 0 do
    local size
    more, size = self:pull(stream)
    left = left - (size or 0)
  end
end

--- The container has ended: passes on what it still wrote. Whoever holds a pipe open is not waited for, a slow reader
-- is, as long as `watch` says.
function Output:finish(watch)
  for _, stream in pairs(self.streams) do drain(self, stream) end
  while is_waiting(self.streams) and not watch.given_up do
    watch:round()
    for _, stream in pairs(self.streams) do drain(self, stream) end
  end
  self:hang_up()
  if self.log then self.log:finish() end
end

return M
