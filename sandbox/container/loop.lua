-- SPDX-License-Identifier: MIT
-- sandbox.container.loop: what waits for several descriptors at once: an epoll and a handler for each. The monitor, `exec`
-- and `attach` are loops; what passes data on (output, terminal) is given one.

local S = require "syscall"
local heap = require "luge.heap"
local must = require "sandbox.must"

local Loop = {}
Loop.__index = Loop

--- Makes an object a loop: poll, handlers = { [number] = handler }.
function Loop.begin(self)
  self.poll, self.handlers = must("waiting for events", S.epoll_create()), {}
end

--- The number of a descriptor, which may be one.
function Loop.number_of(fd) return type(fd) == "number" and fd or fd:getfd() end

--- Has `handler(loop, event)` called when `fd` is ready for reading, or for other events. true, or nil and the error.
function Loop:try_listen(fd, handler, events)
  local ok, err = S.epoll_ctl(self.poll, "add", fd, events or "in")
  if ok then self.handlers[Loop.number_of(fd)] = handler end
  return ok, err
end

--- The same for what the loop cannot do without.
function Loop:listen(fd, handler) must("waiting for events", Loop.try_listen(self, fd, handler)) end

--- What is heard of `fd` from now on.
function Loop:change(fd, events) S.epoll_ctl(self.poll, "mod", fd, events) end

--- Nothing is heard of `fd` any more.
function Loop:forget(fd)
  self.handlers[Loop.number_of(fd)] = nil
  S.epoll_ctl(self.poll, "del", fd)
end

--- A timer, for arm(), at whose time handler(loop) is called.
function Loop:new_timer(handler)
  local timer = must("the timer", S.timerfd_create("monotonic", "nonblock"))
  Loop.listen(self, timer, function()
    S.timerfd_read(timer)
    handler(self)
  end)
  return timer
end

--- Sets a timer to go off once, in so many seconds; what is past is now.
function Loop.arm(timer, seconds)
  must("the timer", S.timerfd_settime(timer, nil, { value = math.max(seconds, 0.000001) }))
end

-- Who has waited so long, or has been asked for so long, goes on for longer: the memory that made the start quick goes back,
-- once.
local PATIENCE, LONG = 200, 0.5 -- milliseconds, seconds
local began, rests

local function wait(self, milliseconds)
  if rests then return S.epoll_wait(self.poll, 16, milliseconds) end
  local now = S.clock_gettime "monotonic"
  began = began or now
  if now - began < LONG then
    local first = math.min(milliseconds or PATIENCE, PATIENCE)
    local events, err = S.epoll_wait(self.poll, 16, first)
    if not events or #events > 0 or first == milliseconds then return events, err end
    milliseconds = milliseconds and milliseconds - first
  end
  rests = true
  heap.rest()
  return S.epoll_wait(self.poll, 16, milliseconds)
end

--- Waits for events, at most so many milliseconds where they are given, and handles them. Returns how many there were.
function Loop:round(milliseconds)
  local events = wait(self, milliseconds) or {}
  for _, event in ipairs(events) do
    local handler = self.handlers[event.fd]
    if handler then handler(self, event) end
  end
  return #events
end

return Loop
