-- SPDX-License-Identifier: MIT
-- sandbox.container.group: the containers of a group in the foreground, each watched by a luge of its own (member.lua).
--
-- One loop hears of what happens to each, starts those whose needs hold, and at the end stops those that run: none before
-- those that need it. Signals come here; killed, this luge takes the others along, which take away their containers.

local S = require "syscall"
local json = require "luge.json"
local loop = require "sandbox.container.loop"
local member = require "sandbox.container.member"
local monitor = require "sandbox.container.monitor"
local must = require "sandbox.must"

local M = {}

local FAILED = must.FAILED

local Group = setmetatable({}, { __index = loop })
Group.__index = Group

function Group:say(...) self.mux:say("luge: " .. require("sandbox.cli").printable((...):format(select(2, ...))) .. "\n") end

-- ---- what each need says ----

local function how_it_ended(one)
  local ended = one.ended
  if not ended then return "was not started" end
  if ended.reason == "setup" then return "could not be started" end
  return ("ended with exit code %d%s"):format(ended.exit_code, ended.reason ~= "exit" and " (" .. ended.reason .. ")" or "")
end

-- true: it holds; nil: not yet; false and words: it will not.
local holds = {}

function holds.started(one)
  if one.started then return true end
  if one.state == "ended" or one.state == "skipped" then return false, how_it_ended(one) end
end

function holds.healthy(one)
  if one.health == "healthy" and one.state == "running" then return true end
  if one.state == "ended" or one.state == "skipped" then return false, how_it_ended(one) end
  if one.health == "unhealthy" and not one.spec.restart then return false, "is unhealthy" end
end

function holds.done(one)
  if one.state == "skipped" then return false, how_it_ended(one) end
  if one.state ~= "ended" then return nil end
  if one.ended.exit_code == 0 then return true end
  return false, how_it_ended(one)
end

-- The same of all that one needs, with the name and the kind of the one that will not.
local function needs_hold(self, one)
  local all = true
  for _, name in ipairs(self.order) do
    local kind = one.needs[name]
    if kind then
      local ok, words = holds[kind](self.members[name])
      if ok == false then return false, words, name, kind end
      all = all and ok
    end
  end
  return all
end

-- ---- starting ----

local function is_over(one) return one.state == "ended" or one.state == "skipped" end

-- How many of `parallel` are taken: of jobs those that run; beside a main those that are on their way.
local function busy(self)
  local count = 0
  for _, one in pairs(self.members) do
    local on_its_way = not one.started or one.awaits_health and one.health == nil
    if one.state == "running" and (self.main and on_its_way or not self.main and not one.service) then count = count + 1 end
  end
  return count
end

-- Where a container's output goes: luge's own for main; else pipes, and of each pipe the reading end for us.
local function open_output(self, one)
  if one.name == self.main then return {}, {} end
  local readers, writers = {}, {}
  for number = 1, 2 do
    readers[number], writers[number] = S.pipe()
    if not readers[number] then return nil, writers[number] end
  end
  return writers, readers
end

-- What a child of ours must not hold: the ends of others' pipes and sockets.
local function own_descriptors(self, own, readers)
  local list = self.mux:descriptors()
  for _, reader in pairs(readers) do list[#list + 1] = reader end
  for _, one in pairs(self.members) do
    if one.luge then table.move({ one.luge.channel, one.luge.pidfd }, 1, 2, #list + 1, list) end
    if one ~= own then list[#list + 1] = one.report end
  end
  return table.move({ self.signals, self.poll, self.job_signals }, 1, 3, #list + 1, list)
end

local function start(self, one)
  local writers, readers = open_output(self, one)
  local luge, err = nil, readers
  if writers then
    if self.report then one.report = S.memfd_create("luge-report") end
    luge, err = member.start(one.run, { perform = self.perform, output = writers, stdin = one.name ~= self.main and "null" or nil,
      others = own_descriptors(self, one, readers), report = one.report })
    for _, writer in pairs(writers) do writer:close() end
  end
  if not luge then
    one.state, one.ended = "ended", { reason = "setup", exit_code = FAILED }
    return self:say("%s: %s", one.name, tostring(err))
  end
  one.state, one.luge, one.sources = "running", luge, {}
  for number, reader in pairs(readers) do
    one.sources[number] = self.mux:add(one.prefix, reader, self.main and 2 or number)
  end
  self:listen(luge.channel, function() self:hear(one) end)
  self:listen(luge.pidfd, function() self:gone(one) end)
end

local function skip(self, one, words, needed, kind)
  one.state = "skipped"
  one.why = ('%s = "%s", but %s %s'):format(needed, kind, needed, words)
  self:say("%s: not started: it needs %s", one.name, one.why)
end

-- Starts and skips what can be by now.
local function advance(self)
  repeat
    local changed = false
    for _, name in ipairs(self.order) do
      local one = self.members[name]
      if one.state == "waiting" then
        local ok, words, needed, kind = needs_hold(self, one)
        if ok == false then
          skip(self, one, words, needed, kind)
          changed = true
        elseif ok and (not self.parallel or one.service and not self.main or busy(self) < self.parallel) then
          start(self, one)
          changed = true
        end
      end
    end
  until not changed
end

-- ---- events ----

local events = {}

function events.created(_, one) one.created = true end
function events.started(_, one) one.started = true end
function events.health(self, one, event)
  one.health = event.state
  if event.state == "unhealthy" then self:say("%s is unhealthy%s", one.name, event.output and ": " .. event.output or "") end
end
function events.restarting(_, one) one.created, one.started, one.health = false, false, nil end
function events.ended(_, one, event) one.ended = event end

function Group:hear(one)
  local event = member.hear(one.luge)
  while event do
    local handler = events[event.event]
    if handler then handler(self, one, event) end
    event = member.hear(one.luge)
  end
  if event == false and not one.deaf then
    one.deaf = true
    self:forget(one.luge.channel)
  end
end

-- Its luge has ended.
function Group:gone(one)
  if not one.deaf then self:hear(one) end
  if not one.deaf then self:forget(one.luge.channel) end
  self:forget(one.luge.pidfd)
  local status = S.waitid("pidfd", one.luge.pidfd, "exited")
  for _, source in pairs(one.sources) do self.mux:finish(source) end
  one.luge.channel:close()
  one.luge.pidfd:close()
  if not one.ended then -- it was killed, or what failed came before its container
    one.ended = { reason = "setup", exit_code = status.code == "exited" and status.status or FAILED }
    if status.code ~= "exited" then self:say("%s: its luge was killed; luge gc takes away what it left", one.name) end
  end
  one.state, one.luge = "ended", nil
  local failed = one.ended.exit_code ~= 0 and not one.stopped
  if failed and one.name ~= self.main then self:say("%s %s", one.name, how_it_ended(one)) end
end

-- ---- the end ----

-- The end of a group: main's, or that of all that no other needs while it runs.
local function is_done(self)
  if self.main then return is_over(self.members[self.main]) end
  for _, one in pairs(self.members) do
    if not one.service and not is_over(one) then return false end
  end
  return true
end

-- Stops what runs, each when nothing that needs it runs any more. grace: of all, or nil.
local function stop_in_order(self)
  for _, name in ipairs(self.order) do
    local one, needed = self.members[name], false
    for _, other in ipairs(one.needed_by) do needed = needed or self.members[other].state == "running" end
    if one.state == "running" and not one.stopped and not needed then
      one.stopped = true
      member.stop(one.luge)
      if not one.created then member.hurry(one.luge) end
    end
  end
end

local function kill_all(self)
  for _, one in pairs(self.members) do
    if one.state == "running" then
      one.stopped = true
      member.stop(one.luge, 0)
      member.hurry(one.luge)
    end
  end
end

local ENDING = { int = true, term = true, hup = true, quit = true }

local function halt_all(self, wanted)
  for _, one in pairs(self.members) do
    if one.luge then member.halt(one.luge, wanted) end
  end
end

-- Ctrl-Z: all stand still, and this luge stops as by default, until somebody has it go on. Where no shell could, for nobody is
-- in charge of this process group, the kernel stops nothing.
local function halt(self)
  S.signalfd_read(self.job_signals)
  halt_all(self, true)
  S.kill(S.getpid(), "tstp")
  S.sigprocmask("unblock", "tstp") -- here
  S.sigprocmask("block", "tstp")
  halt_all(self, false)
end

-- The first Ctrl-C stops all in order, the second kills, and each one more ends what is waited for then.
function Group:signal_arrived()
  local info = S.signalfd_read(self.signals)
  if not info or not ENDING[info.name] then return end
  if self.asked then
    kill_all(self)
    self.given_up = true
  end
  self.asked = self.asked or info.name:upper()
  self.stopping = true
end

local function still_runs(self)
  for _, one in pairs(self.members) do
    if one.state == "running" then return true end
  end
end

local function exit_code(self)
  local main = self.main and self.members[self.main]
  if main and main.ended then return main.ended.exit_code end
  if self.asked then return 128 + S.c.SIG[self.asked] end
  if main then return FAILED end
  for _, one in pairs(self.members) do
    if one.state == "skipped" or one.ended and one.ended.exit_code ~= 0 and not one.stopped then return 1 end
  end
  return 0
end

-- ---- the report ----

local function report_of(one)
  local text = one.report and S.pread(one.report, 1 << 22, 0)
  local document = text and text ~= "" and json.decode(text)
  if document then return document end
  return { schema = 1, name = one.run.name, reason = one.state == "ended" and "setup" or "not started",
    exit_code = one.ended and one.ended.exit_code or json.null, message = one.why, events = json.array {}, receipt = json.array {} }
end

--- The report of a whole group, a table for JSON.
function M.document(self, code)
  local containers = {}
  for name, one in pairs(self.members) do containers[name] = report_of(one) end
  local main = self.main and self.members[self.main]
  local reason = main and main.ended and main.ended.reason or self.asked and "stopped" or main and "setup" or "exit"
  return { schema = 1, group = self.name, main = self.main or json.null, exit_code = code, reason = reason,
    containers = containers }
end

-- ---- all of it ----

local function width_of(order, main)
  local width = 0
  for _, name in ipairs(order) do
    if name ~= main then width = math.max(width, #name) end
  end
  return width
end

--- Runs a group to its end. group: of sandbox.profile.group, with a name of its own; runs: name → a run as of sandbox.cli.run;
-- perform(run) → exit code; report: whether containers' reports are wanted. Returns the exit code, and the group for M.document.
function M.run(group, runs, perform, report)
  local self = setmetatable({ name = group.name, main = group.main, parallel = group.parallel, order = group.order, members = {},
    perform = perform, report = report }, Group)
  loop.begin(self)
  local width = width_of(group.order, group.main)
  for name, known in pairs(group.members) do
    self.members[name] = { name = name, spec = known.spec, needs = known.needs, needed_by = known.needed_by,
      service = known.service, run = runs[name], state = "waiting", prefix = name .. (" "):rep(width - #name) .. " | " }
  end
  for _, one in pairs(self.members) do
    for needed, kind in pairs(one.needs) do
      if kind == "healthy" then self.members[needed].awaits_health = true end
    end
  end
  self.signals = monitor.block_signals()
  S.sigaction("pipe", "ignore")
  self.mux = require("sandbox.container.prefix").new(self)
  self:listen(self.signals, self.signal_arrived)
  if S.sigaction "tstp" ~= "ignore" then
    S.sigprocmask("block", "tstp")
    self.job_signals = S.signalfd("tstp", "nonblock")
    self:listen(self.job_signals, halt)
  end
  collectgarbage "restart"
  while true do
    if not self.stopping then advance(self) end
    if is_done(self) then self.stopping = true end
    if self.stopping then
      if not still_runs(self) then break end
      if not self.given_up then stop_in_order(self) end
    end
    self:round()
  end
  while self.mux:waits() and not self.given_up do self:round() end
  for _, text in ipairs(self.mux.errors) do require("sandbox.cli").complain(text) end
  return exit_code(self), self
end

return M
