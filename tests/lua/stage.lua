-- SPDX-License-Identifier: MIT
-- A stage to look at: takes steps as sandbox.container.orders encodes them, without a container around it.

local S = require "syscall"
local orders = require "sandbox.container.orders"
local embedded = require "luge.embedded"

local STATUS, LIFELINE, GO, ORDERS = 200, 201, 202, 203
local PATH = "PATH=/usr/bin:/bin:/usr/sbin:/sbin"

return function(t)
  local M = {}

  local function sealed(name, bytes)
    local fd = t.must(S.memfd_create(name, "allow_sealing"))
    while #bytes > 0 do bytes = bytes:sub(t.must(S.write(fd, bytes)) + 1) end
    t.must(S.fcntl(fd, "add_seals", "write, shrink, grow, seal"))
    return fd
  end

  local Stage = {}
  Stage.__index = Stage

  local function become(stage, program, list)
    S.dup3(stage.out_w, 1)
    S.dup3(stage.status_w, STATUS)
    S.dup3(stage.lifeline_r, LIFELINE)
    S.dup3(stage.go_r, GO)
    S.dup3(list, ORDERS)
    if stage.before then stage.before() end
    S.execveat(program, "", orders.argv(ORDERS), {}, "empty_path")
    S.exit(99)
  end

  --- A stage that takes the steps. options: flags (namespaces), before (a function for the child), encoders and numbers of
  -- sandbox.container.furnish.
  function M.start(steps, options)
    local stage = setmetatable({ output = "", before = options and options.before }, Stage)
    local list = sealed("orders", orders.encode(steps, { status = STATUS, lifeline = LIFELINE, go = GO,
      encoders = options and options.encoders, numbers = options and options.numbers }))
    local program = sealed("stage", embedded "stage")
    stage.out_r, stage.out_w = S.pipe()
    stage.status_r, stage.status_w = S.pipe()
    stage.lifeline_r, stage.lifeline_w = S.pipe()
    stage.go_r, stage.go_w = S.pipe()
    io.stdout:flush()
    local pid, pidfd
    if options and options.flags then
      pid, pidfd = S.clone3 { flags = options.flags, pidfd = true }
      t.must(pid, pidfd)
    else
      pid = t.must(S.fork()) -- a filter may have no clone3
      pidfd = pid > 0 and t.must(S.pidfd_open(pid))
    end
    if pid == 0 then become(stage, program, list) end
    for _, name in ipairs { "out_w", "status_w", "lifeline_r", "go_r" } do stage[name]:close() end
    stage.pid, stage.pidfd = pid, pidfd
    return stage
  end

  M.STATUS, M.LIFELINE, M.PATH = STATUS, LIFELINE, PATH

  local function ready(fd, seconds) return #t.must(S.poll({ { fd, "in" } }, seconds * 1000)) > 0 end

  -- The next message, or nil at the end of the status.
  function Stage:message()
    if not ready(self.status_r, 20) then self:kill() error("no message in 20 s", 2) end
    local bytes = t.must(S.read(self.status_r, orders.MESSAGE_SIZE))
    return bytes ~= "" and t.ok(orders.decode_status(bytes), "a message") or nil
  end

  function Stage:shut(name)
    if self[name] then self[name]:close() end
    self[name] = nil
  end

  function Stage:kill() S.pidfd_send_signal(self.pidfd, "kill") end

  -- Reads the output until it has the pattern.
  function Stage:await(pattern)
    while not self.output:find(pattern) do
      if not ready(self.out_r, 60) then self:kill() error(pattern .. " never came: " .. self.output, 2) end
      local data = t.must(S.read(self.out_r))
      if data == "" then error(pattern .. " never came: " .. self.output, 2) end
      self.output = self.output .. data
    end
    return self.output:match(pattern)
  end

  -- The end: all messages, the output and how the stage's process ended.
  function Stage:finish()
    local messages = {}
    for message in function() return self:message() end do messages[#messages + 1] = message end
    while true do
      local data = S.read(self.out_r)
      if not data or data == "" then break end
      self.output = self.output .. data
    end
    if not ready(self.pidfd, 20) then self:kill() error("it does not end", 2) end
    local ending = t.must(S.waitid("pidfd", self.pidfd))
    for _, name in ipairs { "out_r", "status_r", "lifeline_w", "go_w", "pidfd" } do self:shut(name) end
    return { messages = messages, output = self.output, ending = ending,
      code = ending.code == "exited" and ending.status }
  end

  --- The step that executes a script.
  function M.sh(script) return { op = "exec", args = { { "sh", "-c", script }, { PATH, "A=b" } } } end

  --- Takes the steps to their end; what Stage:finish says.
  function M.run(steps, options) return M.start(steps, options):finish() end

  --- Takes the steps, then the script; returns what it printed.
  function M.output_of(steps, script)
    local all = table.move(steps, 1, #steps, 1, {})
    all[#all + 1] = M.sh(script)
    local r = M.run(all)
    t.equal(r.messages, {})
    t.equal(r.code, 0, r.output)
    return r.output
  end

  return M
end
