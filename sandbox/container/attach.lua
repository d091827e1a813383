-- SPDX-License-Identifier: MIT
-- sandbox.container.attach: this luge's side of `luge attach`: its streams and a detached container's.
--
-- The container's own luge sends copies of what comes out, and both ends of the terminal where there is one
-- (sandbox.container.copies); this one passes the copies on to its stdout and stderr, and puts what is typed into the
-- terminal. Whatever becomes of this luge, the container goes on: it may be left by keys, hung up or killed. Without a
-- terminal of the container nothing goes in; what is typed is looked through for the keys.

local S = require "syscall"
local control = require "sandbox.container.control"
local loop = require "sandbox.container.loop"
local monitor = require "sandbox.container.monitor"
local terminal = require "sandbox.container.terminal"

local M = {}

local ANSWER = 10 -- seconds
local HUNG_UP = 128 + 1

local Session = setmetatable({}, { __index = loop })
Session.__index = Session

-- ---- signals ----

function Session:ask(message) control.say(self.socket, message) end

-- As of a run: the first Ctrl-C is passed on, the second stops, the third kills; from a raw terminal none comes here.
function Session:interrupt()
  self.interrupts = (self.interrupts or 0) + 1
  if self.interrupts == 1 then
    if not (self.terminal and self.terminal:interrupt()) then self:ask { op = "kill", signal = "INT" } end
  elseif self.interrupts == 2 then
    self:ask { op = "stop" }
  else
    self:ask { op = "kill", signal = "KILL" }
  end
end

function Session:signal_arrived()
  local info = S.signalfd_read(self.signals)
  if not info then return end
  if self.ended then
    self.given_up = true
  elseif info.name == "winch" then
    if self.terminal then self.terminal:resize() end
  elseif info.name == "hup" then
    self.left = HUNG_UP -- the container has no part in this terminal's end
  elseif info.name == "int" then
    self:interrupt()
  else
    self:ask { op = "kill", signal = monitor.signal_name(info) }
  end
end

-- ---- words of the container's luge ----

function Session:told()
  local reply, _, kind = control.hear(self.socket, 0)
  if reply and reply.ended then
    self.ended = reply
  elseif reply and reply.lost then
    if self.terminal then self.terminal:redraw() end
  elseif not reply and kind ~= "refused" then -- what was asked for came too late
    self.ended = { gone = true }
  end
  self.lost = reply and reply.lost or self.lost
  if self.ended then self:forget(self.socket) end
end

-- ---- both directions ----

-- Nobody reads what comes on stdout: there is nothing left to do.
local function closed(self, stream)
  if stream.is_unread and stream.number == 1 then self.left = self.left or 0 end
end

local function join_output(self, streams, fds)
  local readers = {}
  for i, number in ipairs(streams) do readers[number] = fds[i] end
  self.output = require("sandbox.container.output").of_readers(readers, function(stream) closed(self, stream) end)
  self.output:attach(self)
end

-- The keys alone are wanted, and only of a terminal whose jobs we are.
local function watch_keys(self, filter)
  local group = S.isatty(0) and S.tcgetpgrp(0)
  if not filter or not group or group ~= S.getpgrp() then return end
  self.modes = terminal.key_modes(0)
  terminal.stop_and_go(self, self.modes, function() end)
  local from = terminal.source(0)
  self.handlers[loop.number_of(from)] = function()
    local data = S.read(from, 4096)
    local _, detached = filter(data or "")
    if data == "" then S.epoll_ctl(self.poll, "del", from) end
    if detached then self.left = 0 end
  end
  S.epoll_ctl(self.poll, "add", from, "in")
end

local function join_input(self, has_terminal, fds, keys)
  local filter = keys ~= "" and terminal.key_filter(keys) or nil
  if not has_terminal then return watch_keys(self, filter) end
  local err
  self.terminal, err = terminal.join(self, fds[#fds - 1], fds[#fds], { filter = filter,
    on_detach = function() self.left = 0 end, on_hangup = function() self.left = HUNG_UP end })
  if not self.terminal then return nil, tostring(err) end
  self.modes = self.terminal.modes
  self.terminal:redraw()
end

-- Until the container has ended or is left.
local function pass_on(self)
  repeat self:round() until self.ended or self.left
  if self.terminal then self.terminal:finish() end
  if not self.left then self.output:finish(self) end
end

--- Attaches to a container of sandbox.container.list until it ends or is left. keys: bytes; "" for none.
---@return table|nil outcome { left = exit code, or ended = { exit_code =, message =, gone = }, lost = bytes, errors = {} }
---@return string|nil words  why not
function M.run(directory, name, keys)
  local signals = monitor.block_signals()
  local socket, words = control.send(directory, name, { op = "attach" })
  if not socket then return nil, words end
  local reply, fds = control.hear(socket, ANSWER)
  if not reply then return nil, fds end
  local self = setmetatable({ socket = socket, signals = signals }, Session)
  loop.begin(self)
  self:listen(signals, self.signal_arrived)
  self:listen(socket, self.told)
  -- A bug of ours must not leave the terminal raw.
  local ok, err = pcall(function()
    join_output(self, reply.streams, fds or {})
    local _, why = join_input(self, reply.terminal, fds, keys)
    if why then return why end
    pass_on(self)
  end)
  if self.modes then self.modes:restore() end
  if not ok then error(err, 0) end
  if err then return nil, err end
  return { left = self.left, ended = self.ended, lost = self.lost or 0, errors = self.output.errors }
end

return M
