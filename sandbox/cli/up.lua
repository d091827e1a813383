-- SPDX-License-Identifier: MIT
-- sandbox.cli.up: `luge up`: the containers of a group, detached, in the order of their needs. What runs already is left; a
-- start that fails, or is interrupted, takes back what this one started.

local S = require "syscall"
local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local control = require "sandbox.container.control"
local describe = require "sandbox.container.describe"
local group_cli = require "sandbox.cli.group"
local group_lock = require "sandbox.container.group_lock"
local json = require "luge.json"
local life = require "sandbox.container.life"
local list = require "sandbox.container.list"
local monitor = require "sandbox.container.monitor"
local request = require "sandbox.cli.request"

local M = {}

local FAILED = containers.FAILED

-- ---- what is there ----

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- Whether a container that runs is another than its profile says by now. One that does not answer is left as it is.
local function has_changed(up, full, spec)
  local reply, fds = life.ask(up.directory, full, { op = "describe" })
  local facts = reply and not reply.ended and describe.read_raw(fds)
  return facts and not same(facts.spec, json.decode(json.encode(describe.plain(spec))))
end

-- Those that need it want no more than its end.
local function is_job(group, one)
  for _, other in ipairs(one.needed_by) do
    if group.members[other].needs[one.name] ~= "done" then return false end
  end
  return one.needed_by[1] ~= nil
end

-- Whether one is to be started anew since this `up` starts one that it needs: it knew another. Without --replace it is said
-- only. is: what it does, or did, by now.
local function stale(up, one, full, is)
  for _, name in ipairs(up.group.order) do
    if one.needs[name] and up.decided[name] ~= "leave" then
      if up.replace then return true end
      cli.complain(("%s %s before %s, which it needs, is started again"):format(full, is, group_cli.name_of(up.group, name)),
        "luge up --replace starts it anew")
      return false
    end
  end
end

-- What is to be done with one: "leave", "start" or "replace"; nil after the message. Those that it needs are decided.
local function decide(up, one, full)
  local known = list.one(up.directory, full)
  if not known then return "start" end
  if known.group ~= up.group.name then
    cli.complain(("%s: the name '%s' has a container that is none of this group"):format(one.name, full),
      ("luge rm -f %s, or another name: luge up --name NAME"):format(full))
    return nil
  end
  if not containers.RUNS[known.state] then
    if not (known.state == "ended" and known.exit_code == 0 and is_job(up.group, one)) then return "replace" end
    return stale(up, one, full, "was done") and "replace" or "leave"
  end
  local changed = has_changed(up, full, one.spec)
  if changed and up.replace then return "replace" end
  if changed then cli.complain(full .. " runs, and its profile says something else by now", "luge up --replace starts it anew") end
  return stale(up, one, full, "runs since") and "replace" or "leave"
end

-- The same of all, as up.decided; false after the messages.
local function decide_all(up)
  up.decided = {}
  for _, name in ipairs(up.group.order) do
    up.decided[name] = decide(up, up.group.members[name], group_cli.name_of(up.group, name))
    if not up.decided[name] then return false end
  end
  return true
end

-- ---- waiting ----

local STOPS = { int = true, term = true, hup = true, quit = true }

-- Waits until `fd` can be read (nil: for nothing else), at most so many milliseconds (nil: without end); true where a signal
-- came that ends luge.
local function is_interrupted(up, fd, milliseconds)
  local deadline = milliseconds and S.clock_gettime("monotonic") + milliseconds / 1000
  while true do
    local left = deadline and math.max(0, math.ceil((deadline - S.clock_gettime("monotonic")) * 1000))
    local ready = S.poll({ { fd = up.signals, events = "in" }, fd and { fd = fd, events = "in" } }, left) or {}
    local info = S.signalfd_read(up.signals)
    if info and STOPS[info.name] then
      up.interrupted = up.interrupted or info.name
      return true
    end
    if not info and #ready > 0 or left == 0 then return false end
  end
end

-- The reply of a container's luge, or nil, words; "interrupted" where a signal came first.
local function ask(up, full, message)
  local socket, text, kind = control.send(up.directory, full, message)
  if not socket then return nil, text, kind end
  if not is_interrupted(up, socket) then return control.receive(socket, math.huge) end
  socket:close()
  return nil, "interrupted", "interrupted"
end

local waits = {}

-- What `up` has come to here was started; it may be gone since.
function waits.started(up, full)
  local known = list.one(up.directory, full)
  if known and (containers.RUNS[known.state] or known.state == "unknown") then return true end
  return nil, known and known.exit_code and ("has ended with exit code %d since"):format(known.exit_code) or "has ended since"
end

function waits.healthy(up, full)
  local reply, text, kind = ask(up, full, { op = "wait", condition = "healthy" })
  if reply and reply.holds then return true end
  if reply and not reply.ended then return nil, "is " .. tostring(reply.health) end
  if reply or kind == "gone" or kind == "absent" then return nil, "has ended" end
  return nil, text
end

function waits.done(up, full)
  local reply, text, kind = ask(up, full, { op = "wait" })
  if not reply and (kind == "gone" or kind == "absent") then reply = list.one(up.directory, full) end
  if not reply or not reply.exit_code then return nil, text or "was lost" end
  if reply.exit_code == 0 then return true end
  return nil, ("ended with exit code %d"):format(reply.exit_code)
end

-- What one needs, in the order of the group; that others run still is looked at when nothing is waited for any more.
local function needs_of(up, one)
  local first, last = {}, {}
  for _, name in ipairs(up.group.order) do
    if one.needs[name] then table.insert(one.needs[name] == "started" and last or first, name) end
  end
  return table.move(last, 1, #last, #first + 1, first)
end

-- Waits until all holds that one needs; false after the message.
local function wait_for_needs(up, one)
  for _, name in ipairs(needs_of(up, one)) do
    local kind, full = one.needs[name], group_cli.name_of(up.group, name)
    local ok, words = waits[kind](up, full)
    if not ok then
      if not up.interrupted then
        cli.complain(('%s: not started: it needs %s = "%s", but %s %s'):format(one.name, name, kind, full, words),
          "luge logs " .. full)
      end
      return false
    end
  end
  return true
end

-- ---- starting ----

local function start(up, one, full)
  local run_cli = require "sandbox.cli.run"
  local run = run_cli.prepare(one.spec, up.plans[one.name], up.host, up.options, { name = full, keep = { 0, 1, 2 } })
  if not run then return false end
  run.inherited, run.group, run.needs, run.others = up.inherited, up.group.name, json.array {}, { up.lock.fd, up.signals }
  for needed in pairs(one.needs) do table.insert(run.needs, group_cli.name_of(up.group, needed)) end
  table.sort(run.needs)
  return require("sandbox.container.detach").run(run, run_cli.perform, up.options,
    function(answer) return is_interrupted(up, answer) end) == 0
end

-- Removes one that is replaced, and before it those that need it, which are as well; false after the message.
local function remove(up, one)
  for i = #up.group.order, 1, -1 do
    local other = up.group.members[up.group.order[i]]
    if other.needs[one.name] and up.decided[other.name] == "replace" and not remove(up, other) then return false end
  end
  up.decided[one.name] = "start"
  local full = group_cli.name_of(up.group, one.name)
  local ok, text = life.stop_and_remove(up.directory, full)
  if not ok then cli.complain(("%s: %s"):format(full, text)) end
  return ok
end

local function bring(up, one)
  if is_interrupted(up, nil, 0) then return false end
  local full = group_cli.name_of(up.group, one.name)
  if up.decided[one.name] == "leave" then return true end
  if not wait_for_needs(up, one) or up.interrupted then return false end
  if up.decided[one.name] == "replace" and not remove(up, one) then return false end
  if not start(up, one, full) then return false end
  up.started[#up.started + 1] = full
  return not up.interrupted
end

local function take_back(up)
  for i = #up.started, 1, -1 do
    local ok, text = life.stop_and_remove(up.directory, up.started[i])
    if not ok then cli.complain(("%s: %s"):format(up.started[i], text)) end
  end
  if #up.started > 0 then cli.complain("what was started is stopped and removed again: " .. table.concat(up.started, ", ")) end
end

-- Brings all, while no other luge does so with this group.
local function bring_all(up)
  local lock, err = group_lock.take(up.directory, up.group.name,
    function(milliseconds) return is_interrupted(up, nil, milliseconds) end)
  if not lock then return err and cli.complain(("up %s: %s"):format(up.group.name, tostring(err))) or FAILED end
  up.lock = lock
  local is_decided = decide_all(up)
  local code = is_decided and 0 or FAILED
  for _, member in ipairs(is_decided and up.group.order or {}) do
    if not bring(up, up.group.members[member]) then
      take_back(up)
      code = FAILED
      break
    end
  end
  group_lock.free(lock)
  return code
end

function M.run(options, words)
  local inherited = require("sandbox.container.detach").inherited()
  if not words[1] then return cli.complain("which group?", "luge up FILE.lua") end
  options.detach = true
  local group, host = request.load(words[1], options, {}, nil, true)
  if not group then return host end
  if group.type ~= "group" then return cli.complain(words[1] .. ": this is one container, no group", "luge run -d " .. words[1]) end
  local name, code = group_cli.settle_name(group, options)
  if not name then return code end
  options.group = name
  for _, one in pairs(group.members) do request.settle_stdin(one.spec, group.source, options) end
  local plans
  plans, code = group_cli.plans(group, host, options)
  local directory = plans and containers.directory()
  if not directory then return code or FAILED end
  local up = { group = group, host = host, plans = plans, options = options, directory = directory, inherited = inherited,
    started = {}, replace = options.replace }
  options.replace = nil
  up.signals = monitor.block_signals()
  io.stdout:setvbuf "line" -- each name when it runs, however long the others take
  code = bring_all(up)
  return up.interrupted and 128 + S.c.SIG[up.interrupted:upper()] or code
end

return M
