-- SPDX-License-Identifier: MIT
-- Many containers at once, for a test and for the benchmark: started, counted, measured, stopped.
--
--   local crowd = dofile "tests/integration/crowd.lua"
--   local c = crowd.start(luge, "profile.lua", 1000, { "LUGE_STATE=/tmp/state" })
--   crowd.stop(c)

local S = require "syscall"
local json = require "luge.json"

local M = {}

-- More at once would only wait for each other's turn on the processors.
local AT_ONCE = 16
local PATIENCE = 600 -- seconds for all of them

local function spawn(c, i)
  local pid = assert(S.fork())
  if pid ~= 0 then return pid end
  S.dup3(c.null, 0)
  S.dup3(c.null, 1)
  S.fcntl(c.events_w, "setfd", 0)
  S.execve(c.luge, { "luge", "run", "--name", "crowd-" .. i, "--status-fd", tostring(c.events_w:getfd()), c.profile }, c.env)
  S.exit(127)
end

-- Lines of JSON from all of them, each written at once and so never mixed.
local function read_events(c, seconds)
  if #assert(S.poll({ { fd = c.events_r, events = "in" } }, math.floor(seconds * 1000))) == 0 then return false end
  local text = c.rest .. assert(S.read(c.events_r, 65536))
  c.rest = text:match("[^\n]*$")
  for line in text:gmatch("([^\n]+)\n") do
    local event = assert(json.decode(line))
    c.seen[event.event] = (c.seen[event.event] or 0) + 1
    if event.event == "ended" then c.codes[event.exit_code] = (c.codes[event.exit_code] or 0) + 1 end
  end
  return true
end

local function since(time) return S.clock_gettime "monotonic" - time end

--- Starts `count` containers of a profile whose command never ends by itself, and waits until all of them run.
-- Returns { started_s =, pids = of the luges, seen = event → how many, codes = exit code → how many }.
function M.start(luge, profile, count, env)
  local c = { luge = luge, profile = profile, env = env, pids = {}, seen = {}, codes = {}, rest = "",
    null = assert(S.open("/dev/null", "rdwr, cloexec")) }
  c.events_r, c.events_w = S.pipe "cloexec"
  local began = S.clock_gettime "monotonic"
  while (c.seen.started or 0) < count and not c.seen.ended and since(began) < PATIENCE do
    while #c.pids < count and #c.pids - (c.seen.started or 0) < AT_ONCE do c.pids[#c.pids + 1] = spawn(c, #c.pids + 1) end
    read_events(c, 1)
  end
  c.started_s = since(began)
  return c
end

--- Asks all of them to stop and waits for their ends; sets stopped_s. Who does not end in time is killed.
function M.stop(c)
  local began = S.clock_gettime "monotonic"
  for _, pid in ipairs(c.pids) do S.kill(pid, "term") end
  while (c.seen.ended or 0) < #c.pids and since(began) < PATIENCE do read_events(c, 1) end
  for _, pid in ipairs(c.pids) do
    if (c.seen.ended or 0) < #c.pids then S.kill(pid, "kill") end
    S.wait4(pid)
  end
  c.stopped_s = since(began)
  c.events_r:close()
  c.events_w:close()
  c.null:close()
end

--- Runs the words, a command line of luge's; returns its process when `beside`, else its exit code and seconds.
function M.luge(luge, words, env, beside)
  local began = S.clock_gettime "monotonic"
  local null = assert(S.open("/dev/null", "rdwr, cloexec"))
  local pid = assert(S.fork())
  if pid == 0 then
    for number = 0, 1 do S.dup3(null, number) end
    S.execve(luge, { "luge", table.unpack(words) }, env)
    S.exit(127)
  end
  null:close()
  if beside then return pid end
  local _, status = S.wait4(pid)
  return status.status, since(began)
end

--- Starts `count` detached containers, crowd-1 and on; returns how many runs succeeded, and the seconds that it took.
-- options(i): what the command line of one has before the profile.
function M.detached(luge, profile, count, env, options)
  local began, running, good = S.clock_gettime "monotonic", {}, 0
  for i = 1, count do
    local words = { "run", "-d", "--name", "crowd-" .. i, table.unpack(options and options(i) or {}) }
    words[#words + 1] = profile
    running[#running + 1] = M.luge(luge, words, env, true)
    if #running == AT_ONCE or i == count then
      for _, pid in ipairs(running) do
        local _, status = S.wait4(pid)
        if status.code == "exited" and status.status == 0 then good = good + 1 end
      end
      running = {}
    end
  end
  return good, since(began)
end

return M
