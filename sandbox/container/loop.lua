-- SPDX-License-Identifier: MIT
-- sandbox.container.loop: what waits for several descriptors at once: an epoll and a handler for each. The monitor, `exec`
-- and `attach` are loops; what passes data on (output, terminal) is given one.

local S = require "syscall"
local must = require "sandbox.must"

local Loop = {}
Loop.__index = Loop

--- Makes an object a loop: poll, handlers = { [number] = handler }.
function Loop.begin(self)
  self.poll, self.handlers = must("waiting for events", S.epoll_create()), {}
end

--- Has `handler(loop, event)` called when `fd` is ready for reading. true, or nil and the error.
function Loop:try_listen(fd, handler)
  local ok, err = S.epoll_ctl(self.poll, "add", fd, "in")
  if ok then self.handlers[fd:getfd()] = handler end
  return ok, err
end

--- The same for what the loop cannot do without.
function Loop:listen(fd, handler) must("waiting for events", Loop.try_listen(self, fd, handler)) end

--- Nothing is heard of `fd` any more.
function Loop:forget(fd)
  self.handlers[fd:getfd()] = nil
  S.epoll_ctl(self.poll, "del", fd)
end

--- Waits for events, at most so many milliseconds where they are given, and handles them. Returns how many there were.
function Loop:dispatch(milliseconds)
  local events = S.epoll_wait(self.poll, 16, milliseconds) or {}
  for _, event in ipairs(events) do
    local handler = self.handlers[event.fd]
    if handler then handler(self, event) end
  end
  return #events
end

return Loop
