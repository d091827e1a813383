-- SPDX-License-Identifier: MIT
-- sandbox.container.guest: the child's part of a run, from its birth to the stage.
--
-- It runs as a copy of luge inside the new namespaces, waits until the parent has written the id maps and sent
-- the mount sources, takes the guest steps, and then executes the stage. Whatever fails is sent to the parent
-- and ends the child: nothing is tried twice. Where the stage itself can take all of these steps, it does
-- (sandbox.container.furnish).

local S = require "syscall"
local Steps = require "sandbox.plan.steps"
local json = require "luge.json"
local must = require "sandbox.must"
local orders = require "sandbox.container.orders"

local M = {}

local FAILED = must.FAILED

--- Tells the parent which step failed, and ends.
function M.fail(channel, index, err)
  local text = type(err) == "string" and err or rawget(err, "text") or ""
  local number = type(err) == "string" and 0 or err.errno
  S.send(channel, ("<i4i4s4"):pack(index, number, text))
  S.exit(FAILED)
end

--- The next message of the parent; without one luge is gone, and so is the reason to go on.
function M.hear(channel)
  local message, err = S.recvmsg(channel, { size = 4096, max_fds = 250 })
  if not message then M.fail(channel, 0, "what luge says to its child: " .. tostring(err)) end
  if message.data == "" then S.exit(FAILED) end
  return message
end

-- The descriptors of the attach steps, in their order. They are waited for only when the first is needed, so that
-- both sides work at once; `complete` waits for the word that every attach step was taken.
local function expect(channel, symbols, names)
  local got, done = 0, false
  local function complete()
    while not done do
      local message = M.hear(channel)
      for _, fd in ipairs(message.fds or {}) do
        got = got + 1
        rawset(symbols, names[got], fd)
      end
      done = message.data == "go"
    end
  end
  setmetatable(symbols, { __index = function(_, name)
    complete()
    return rawget(symbols, name)
  end })
  return complete
end

--- The variables that tell who one is.
function M.user_variables(user)
  local name = user.name or tostring(user.uid)
  return { HOME = user.home, USER = name, LOGNAME = name }
end

-- What the command finds in its environment beside what the profile set.
local function environment(run, user)
  local env = M.user_variables(user)
  if run.term then env.TERM = run.term end
  for name, value in pairs(run.spec.env) do env[name] = value end
  return env
end

-- What the sealing steps say of the user, as symbols.
local function add_user(run, symbols, user)
  symbols["user.uid"], symbols["user.gid"], symbols["user.groups"] = user.uid, user.gid, user.groups
  if run.home then user.home = run.home end
  symbols.argv = run.argv
  symbols.environment = environment(run, user)
  symbols.keep = run.keep
  local ready = run.spec.health and run.spec.health.fd
  if ready then symbols.keep = table.move(run.keep, 1, #run.keep, 2, { ready }) end
  return symbols
end

--- The sealing steps with their symbols resolved: a list of { op =, args =, optional =, why =, index = in the plan }.
function M.sealing(run, symbols)
  local sealing = {}
  for index, step in ipairs(run.steps) do
    if step.where == "seal" then
      sealing[#sealing + 1] = { op = step.op, args = Steps.resolve(step.args, symbols), optional = step.optional,
        why = step.why, index = index }
    end
  end
  return sealing
end

--- An image of orders in a file that nobody can write again.
function M.order_file(image)
  return must("the stage's orders", S.sealed_file("luge-orders", image))
end

--- The stage's orders.
function M.write_orders(run, symbols)
  local own = run.descriptors
  return M.order_file(orders.encode(M.sealing(run, symbols), { status = own.status, lifeline = own.lifeline, go = own.go }))
end

local function identity(user)
  local groups = type(user.groups) == "table" and table.concat(user.groups, ",") or user.groups
  return ("%s %d:%d %s %s"):format(user.name, user.uid, user.gid, groups, user.home)
end

--- The symbols of a run with those of the user whom the plan expects, or whom the child found, and that user.
function M.expected(run, symbols)
  local user = run.found_user or { name = run.user.name, uid = run.user.uid, gid = run.user.gid, home = run.user.home,
    groups = run.user.groups or run.spec.user.groups or {} }
  return add_user(run, setmetatable({}, { __index = symbols }), user), user
end

--- The message with the orders for the user whom the plan expects, for the child; the parent has time to write them
-- while the child mounts. Without descriptor where the steps need what only the child knows.
function M.expected_orders(run, symbols)
  local known, user = M.expected(run, symbols)
  local ok, file = pcall(M.write_orders, run, known)
  return { data = "orders " .. identity(user), fds = ok and { file } or nil }
end

-- The parent's orders, where the container's own files name the user it expected.
local function orders_file(run, channel, symbols)
  local message = M.hear(channel)
  local file = message.fds and message.fds[1]
  if file and message.data == "orders " .. identity(symbols.user) then return file end
  -- Whoever asks luge later for the container's protection is told of this one.
  must("who the user is", S.send(channel, "user " .. json.encode(symbols.user)))
  return M.write_orders(run, symbols)
end

-- The descriptors that must survive the execution of the stage.
local function inherit(...)
  for _, fd in ipairs { ... } do must("what the stage inherits", S.fcntl(fd, "setfd", 0)) end
end

--- Executes the stage with these orders. It does not return, but raises.
function M.execute_stage(run, file)
  local own = run.descriptors
  inherit(file, own.status, own.lifeline)
  inherit(own.go or own.ready, own.ready)
  local _, err = S.execveat(run.stage, "", orders.argv(file), {}, "empty_path")
  error("the stage cannot be executed: " .. tostring(err))
end

local function take_steps(run, channel, symbols, complete)
  for index, step in ipairs(run.steps) do
    if step.where == "guest" then
      if step.waits then complete() end
      if step.op == "run_script" then S.send(channel, "hook " .. index, "nosignal") end
      local ok, err = Steps.run(S, step, symbols)
      if step.op == "run_script" then S.send(channel, "hook ", "nosignal") end
      if ok == nil and not Steps.accepts(step, err) then M.fail(channel, index, err) end
      if step.save == "$user" then add_user(run, symbols, symbols.user) end
    end
  end
  complete()
  M.execute_stage(run, orders_file(run, channel, symbols))
end

--- Never returns. run: spec, steps, user, stage, descriptors { status, lifeline, go }, argv, keep, term.
function M.run(run, channel, symbols, received)
  M.hear(channel) -- the id maps are written
  symbols.channel = channel
  local complete = expect(channel, symbols, received)
  local ok, message = pcall(take_steps, run, channel, symbols, complete)
  if not ok then M.fail(channel, 0, tostring(message)) end
  S.exit(FAILED)
end

return M
