-- SPDX-License-Identifier: MIT
-- sandbox.container.terminal: luge between its own terminal and the container's.
--
-- The container's terminal lies in its own devpts (sandbox.plan.terminal); luge has the master. What is typed goes in
-- as it is: luge's terminal is raw, so that ^C and ^Z act on the container's jobs, by its own terminal. What comes out
-- is the affair of sandbox.container.output, which counts it. One chunk waits in each direction at most: who does not
-- read makes the other side wait.
--
-- luge's terminal gets its modes back on every way out, and when luge is stopped. Nobody can do that for a luge that
-- is ended by KILL or SIGSEGV: `stty sane` does.

local S = require "syscall"
local loop = require "sandbox.container.loop"
local must = require "sandbox.must"

local M = {}

local CHUNK = 65536

-- ---- luge's own terminal ----

local Modes = {}
Modes.__index = Modes

--- The modes of the terminal `fd`, for raw() and restore().
function M.modes(fd)
  local saved = S.tcgetattr(fd)
  return saved and setmetatable({ fd = fd, saved = saved, wanted = S.cfmakeraw(saved), is_raw = false }, Modes)
end

--- The same, but raw() only has each key given at once and not shown: signals come from the keyboard as before.
function M.key_modes(fd)
  local self, flags = M.modes(fd), S.c
  if self then
    self.wanted = { lflag = self.saved.lflag & ~(flags.LFLAG.ICANON | flags.LFLAG.ECHO),
      iflag = self.saved.iflag & ~flags.IFLAG.IXON }
  end
  return self
end

-- In the background the terminal is another job's: its modes are not ours to set (SIGTTOU).
local function in_foreground(fd)
  local group = S.tcgetpgrp(fd)
  return group == nil or group == S.getpgrp()
end

function Modes:raw()
  if in_foreground(self.fd) then self.is_raw = S.tcsetattr(self.fd, "now", self.wanted) == true end
end

function Modes:restore()
  if not self.is_raw then return end
  self.is_raw = false
  if in_foreground(self.fd) then S.tcsetattr(self.fd, "now", self.saved) end
end

--- Runs f(…) while others have luge's terminal, who may leave it in any mode and be killed: it has its own again then. Returns
-- what f does.
function M.lent(f, ...)
  local fd
  for number = 2, 0, -1 do fd = S.isatty(number) and number or fd end
  local modes = fd and M.modes(fd)
  if not modes then return f(...) end
  modes.is_raw = true
  local results = table.pack(f(...))
  modes:restore()
  return table.unpack(results, 1, results.n)
end

-- ---- keys ----

--- A filter of what is typed that finds `keys`, by which one leaves an attached container: a function of the data that
-- returns what is to be passed on, and true once they were typed. What may be their beginning waits for the next key.
function M.key_filter(keys)
  local held = ""
  return function(data)
    data = held .. data
    held = ""
    local at = data:find(keys, 1, true)
    if at then return data:sub(1, at - 1), true end
    for length = math.min(#keys - 1, #data), 0, -1 do
      if data:sub(#data - length + 1) == keys:sub(1, length) then
        held = data:sub(#data - length + 1)
        return data:sub(1, #data - length), false
      end
    end
  end
end

-- ---- what is typed ----

local Input = {}
Input.__index = Input

local FIRST_LOOK, LONGEST_PAUSE = 0.02, 5

-- A description of our own, which may become nonblocking; sockets and files are read when they are ready.
function M.source(number)
  local st = S.fstat(number)
  if not st then return number end
  if st.type ~= "fifo" and not S.isatty(number) then return number end
  return S.open("/proc/self/fd/" .. number, "rdonly, nonblock, noctty, cloexec") or number
end

-- Waits for a key, or for the container to take the last ones, or for neither.
function Input:turn(to)
  local from, poll = self.state, self.watch.poll
  if from == to then return end
  self.state = to
  if from == "read" then S.epoll_ctl(poll, "del", self.from) end
  if from == "write" then S.epoll_ctl(poll, "del", self.to) end
  if to == "read" then S.epoll_ctl(poll, "add", self.from, "in") end
  if to == "write" then S.epoll_ctl(poll, "add", self.to, "out") end
end

function Input:close()
  if self.state == "closed" then return end
  self:turn "closed"
  self.pending = ""
  local handlers = self.watch.handlers
  handlers[loop.number_of(self.from)], handlers[self.to:getfd()] = nil, nil
  if self.timer then
    handlers[self.timer:getfd()] = nil
    self.timer:close()
  end
  self.to:close()
  if type(self.from) ~= "number" then self.from:close() end
end

-- Luge's stdin has ended; a terminal has no end. The character for it counts as one only for a reader who is there:
-- who sets the terminal's modes later would find a NUL instead. So there is one whenever nothing else waits to be
-- read, as a pipe at its end tells so everybody who reads.
function Input:give_end()
  local waiting = S.poll({ { fd = self.slave, events = "in" } }, 0)
  if not waiting or #waiting == 0 then
    local attributes = S.tcgetattr(self.to)
    -- Raw, a program would read it as a character.
    local eof = attributes and attributes.lflag & S.c.LFLAG.ICANON ~= 0 and attributes.cc.eof or 0
    if eof ~= 0 then S.write(self.to, string.char(eof)) end
  end
  self.pause = math.min(self.pause * 2, LONGEST_PAUSE)
  loop.arm(self.timer, self.pause)
end

function Input:ended()
  self:turn "ended"
  self.pause = FIRST_LOOK
  self.timer = loop.new_timer(self.watch, function() self:give_end() end)
  loop.arm(self.timer, self.pause)
end

-- A terminal has hung up when whoever has its other side closed that. EIO alone may also mean that nobody could bring
-- luge to its foreground again.
local function is_hung_up(fd)
  local ready = S.poll({ { fd = fd, events = "in" } }, 0)
  return ready and ready[1] and ready[1].events.hup
end

-- Gives the container what waits, as far as it takes it.
function Input:push()
  while self.pending ~= "" do
    local n, err = S.write(self.to, self.pending)
    if n then
      self.pending = self.pending:sub(n + 1)
    elseif err.AGAIN then
      return self:turn "write"
    else
      return self:close()
    end
  end
  self:turn(self.is_polled and "read" or "write")
end

function Input:pull()
  local data, err = S.read(self.from, CHUNK)
  if not data and err.AGAIN then return end
  if not data or data == "" then
    -- Where SIGTTIN is blocked; to the foreground one comes by SIGCONT.
    if self.is_terminal and not in_foreground(self.from) then return self:turn "waiting" end
    if self.is_terminal and is_hung_up(self.from) then return self.on_hangup() end
    if self.stays_open then return self:turn "ended" end
    return self:ended()
  end
  if self.filter then
    local detached
    data, detached = self.filter(data)
    if detached then self.on_detach() end
  end
  self.pending = data
  self:push()
end

function Input:taken()
  if self.pending ~= "" then self:push() else self:pull() end
end

-- options: on_hangup, filter (of M.key_filter), on_detach, stays_open: the end of luge's stdin is not the terminal's.
local function start_input(watch, master, slave, options)
  local self = setmetatable({ watch = watch, from = M.source(0), to = must("the terminal", S.dup(master)), slave = slave,
    pending = "", is_terminal = S.isatty(0) == true, on_hangup = options.on_hangup, filter = options.filter,
    on_detach = options.on_detach, stays_open = options.stays_open }, Input)
  watch.handlers[loop.number_of(self.from)] = function() self:pull() end
  watch.handlers[self.to:getfd()] = function() self:taken() end
  -- A file cannot be waited for (EPERM): it is read as fast as the container takes it.
  self.is_polled = S.epoll_ctl(watch.poll, "add", self.from) == true
  if self.is_polled then S.epoll_ctl(watch.poll, "del", self.from) end
  self:turn(self.is_polled and "read" or "write")
  return self
end

-- ---- both together ----

local Terminal = {}
Terminal.__index = Terminal

local function first_terminal()
  for number = 0, 2 do
    if S.isatty(number) then return number end
  end
end

--- Before the container is made: the modes and the size that its terminal begins with, as the symbols $terminal.modes
-- and $terminal.size. log: where what it writes goes instead of luge's stdout. Returns what the loop needs, and the output.
function M.open(run, symbols, log)
  local own = first_terminal()
  local self = setmetatable({ run = run, own = own }, Terminal)
  symbols["terminal.size"] = own and S.tcgetwinsize(own) or { rows = 24, cols = 80 }
  symbols["terminal.modes"] = own and S.tcgetattr(own) or {}
  if own == 0 and run.spec.stdin == "inherit" then self.modes = M.modes(0) end
  return self, require("sandbox.container.output").of_terminal(run.spec.limits.output, log)
end

-- The child ran in the container's tree when it opened it.
local function is_master(fd)
  local st, fs = S.fstat(fd), S.fstatfs(fd)
  return st and fs and st.type == "char" and st.rdev.major == 5 and st.rdev.minor == 2
    and fs.type == S.c.MAGIC.DEVPTS_SUPER_MAGIC
end

--- Has luge's terminal raw, and its modes given back while luge is stopped (from outside: from a raw keyboard the
-- container's jobs are); resumed() is called when it goes on. `stays`: it does not stop. Returns the descriptor of the
-- signals, which are blocked.
function M.stop_and_go(watch, modes, resumed, stays)
  local signals = must("the signals of jobs", S.signalfd("tstp, cont", "nonblock"))
  S.sigprocmask("block", "tstp, cont")
  watch:listen(signals, function()
    local info = S.signalfd_read(signals)
    if info and info.name == "tstp" then
      if stays then return end
      modes:restore()
      S.kill(S.getpid(), "stop")
    elseif info then
      modes:raw()
      resumed()
    end
  end)
  modes:raw()
  return signals
end

local function no_terminal()
  local err = S.error(S.c.E.NODEV)
  err.text = "what the container's /dev/pts gave is no terminal"
  return nil, err
end

local function join(self, watch)
  local function resumed()
    self:resize()
    if self.input and self.input.state == "waiting" then self.input:turn "read" end
  end
  if self.modes then self.signals = M.stop_and_go(watch, self.modes, resumed, self.run and self.run.stays) end
  self:resize()
end

--- The container's terminal is there. Returns nil and an error when it is none.
function Terminal:begin(watch, master, slave)
  if not is_master(master) then return no_terminal() end
  self.master, self.slave = master, slave
  self.run.output:add_terminal(master, slave, function() self:finish() end)
  local on_end = { on_hangup = function() self.run.output:hang_up() end }
  if self.run.spec.stdin == "inherit" and not self.run.detached then self.input = start_input(watch, master, slave, on_end) end
  join(self, watch)
  return true
end

--- Joins luge's terminal to one that was there before and stays: what is typed and the sizes go in, what it writes comes
-- another way. options: on_hangup, filter, on_detach. nil and an error when it is none.
function M.join(watch, master, slave, options)
  if not is_master(master) then return no_terminal() end
  local own = first_terminal()
  local self = setmetatable({ own = own, master = master, slave = slave, modes = own == 0 and M.modes(0) or nil }, Terminal)
  options.stays_open = true
  self.input = start_input(watch, master, slave, options)
  join(self, watch)
  return self
end

--- Has a program that draws on the whole terminal draw all of it: what is on luge's is older, or has gaps.
function Terminal:redraw()
  local size = self.slave and S.tcgetwinsize(self.slave)
  if not size or size.rows < 2 then return end
  S.tcsetwinsize(self.slave, { rows = size.rows - 1, cols = size.cols })
  S.tcsetwinsize(self.slave, { rows = size.rows, cols = size.cols })
end

--- Luge's terminal may have another size now.
function Terminal:resize()
  local size = self.slave and self.own and S.tcgetwinsize(self.own)
  if size then S.tcsetwinsize(self.slave, size) end
end

local SIGINT = 2

--- What Ctrl-C on the container's terminal would do.
function Terminal:interrupt()
  return self.slave and S.ioctl(self.master, "tiocsig", SIGINT)
end

--- The container has ended, or nobody reads what it writes: nothing goes in any more.
function Terminal:finish()
  if self.input then self.input:close() end
  if self.slave then self.slave:close() end
  self.input, self.slave = nil, nil
end

--- Gives luge's terminal back. The last thing, whatever happened before.
function Terminal:close()
  if not self.modes then return end
  self.modes:restore()
  if self.signals then S.sigprocmask("unblock", "tstp, cont") end
end

return M
