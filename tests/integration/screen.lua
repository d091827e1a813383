-- SPDX-License-Identifier: MIT
-- A terminal for luge, whose other side the test has: it types, and reads what is on the screen.
--
--   local screens = dofile "tests/integration/screen.lua"(t, box)
--   local s = screens.new(24, 80)

local S = require "syscall"

return function(t, box)
  local M = {}

  local Screen = {}
  Screen.__index = Screen

  -- A terminal whose modes differ from a new one's, of rows × cols.
  function M.new(rows, cols)
    local master, slave = S.openpty()
    t.must(master, slave)
    t.must(S.tcsetwinsize(slave, { rows = rows or 30, cols = cols or 100 }))
    t.must(S.tcsetattr(slave, "now", { cc = { erase = 8, intr = 3 } }))
    S.fcntl(master, "setfl", "nonblock")
    return setmetatable({ master = master, slave = slave, text = "", modes = S.tcgetattr(slave) }, Screen)
  end

  -- Reads what is there, or waits for it; false when nothing came.
  function Screen:pump(seconds)
    local ready = t.must(S.poll({ { fd = self.master, events = "in" } }, math.max(0, math.floor(seconds * 1000))))
    if #ready == 0 then return false end
    local data = S.read(self.master, 65536)
    if not data then return false end
    self.text = self.text .. data
    return true
  end

  function Screen:fail(what)
    if self.process then self.process:kill() end
    error(("%s; on the screen: %q"):format(what, self.text), 3)
  end

  -- Waits until the pattern is on the screen; what came up to its end is taken off. Returns its captures.
  function Screen:expect(pattern)
    local deadline = S.clock_gettime "monotonic" + 30
    while true do
      local first, last = self.text:find(pattern)
      if first then
        local found = { self.text:match(pattern) }
        self.text = self.text:sub(last + 1)
        return table.unpack(found)
      end
      if S.clock_gettime "monotonic" > deadline then self:fail(pattern .. " never came") end
      self:pump(0.1)
    end
  end

  function Screen:type(text)
    while text ~= "" do
      local n = S.write(self.master, text)
      if n then text = text:sub(n + 1) else self:pump(0.1) end
    end
  end

  -- In a child: its streams and, unless told otherwise, its controlling terminal.
  function Screen:give(streams, controlling)
    S.setsid()
    if controlling ~= false then S.ioctl(self.slave, "tiocsctty", 0) end
    for _, number in ipairs(streams) do S.dup3(self.slave, number) end
  end

  -- Starts luge on it. how: as of box.words, and streams (those that are the terminal: { 0, 1, 2 }),
  -- controlling = false.
  function Screen:start(how)
    how.env = how.env or {}
    how.env.TERM = how.env.TERM or "vt100"
    return self:start_words(box.words(how), how)
  end

  -- The same for words of t.start.
  function Screen:start_words(words, how)
    how = how or {}
    words.before = function() self:give(how.streams or { 0, 1, 2 }, how.controlling) end
    self.process = t.start(words)
    return self.process
  end

  -- Until luge has ended: its result; all it wrote is on the screen. Nothing is left of it, unless `others` run.
  function Screen:finish(others)
    local process, deadline = self.process, S.clock_gettime "monotonic" + 30
    repeat
      self:pump(0.05)
      if S.clock_gettime "monotonic" > deadline then self:fail "luge did not end" end
      local ended = S.poll({ { fd = process.pidfd, events = "in" } }, 0)
    until ended and #ended > 0
    while self:pump(0) do end
    local result = process:wait()
    if not others then box.nothing_left() end
    return result
  end

  -- The modes are what they were, and the terminal is closed.
  function Screen:restored(what)
    t.equal(S.tcgetattr(self.slave), self.modes, what or "the modes of luge's terminal")
    self.master:close()
    self.slave:close()
  end

  function M.is_raw(modes)
    return modes.lflag & (S.c.LFLAG.ICANON | S.c.LFLAG.ECHO | S.c.LFLAG.ISIG) == 0
  end

  --- Waits until luge has made it raw.
  function M.until_raw(s)
    local deadline = S.clock_gettime "monotonic" + 30
    while not M.is_raw(S.tcgetattr(s.slave)) do
      if S.clock_gettime "monotonic" > deadline then s:fail "never raw" end
      s:pump(0.02)
    end
  end

  return M
end
