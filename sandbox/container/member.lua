-- SPDX-License-Identifier: MIT
-- sandbox.container.member: one container of a group in the foreground: a luge of its own, a child of the group's.
--
-- A socket is between the two. The member's luge tells what happens, as JSON, the events of --status-fd; the group's asks it
-- to stop: "stop SECONDS", the grace, or "stop" for the profile's; to halt as a job does, and to go on. The socket's end
-- says that the group's luge is gone: then the container is killed, and its luge takes away all of it before it ends itself.

local S = require "syscall"
local json = require "luge.json"
local must = require "sandbox.must"

local M = {}

local FAILED = must.FAILED
local ORDER_MAX = 64

-- ---- the member's luge ----

local function obey(watch, channel)
  local order = S.recv(channel, ORDER_MAX, "dontwait")
  if not order or order == "" then
    watch:stop("stopped", 0)
    S.epoll_ctl(watch.poll, "del", channel)
  elseif order == "halt" then
    if watch.process then require("sandbox.container.halt").stop(watch) end
  elseif order == "go" then
    if watch.paused == "halted" then watch:thaw() end
  else
    watch:stop("stopped", tonumber(order:match("^stop (%S+)")))
  end
end

-- Its session is its own, so that a Ctrl-C comes to the group's luge alone, and no terminal stops it for reading.
local function leave_group(how)
  S.setsid()
  if how.stdin == "null" then
    local null = assert(S.open("/dev/null", "rdonly, cloexec"))
    assert(S.dup3(null, 0))
    null:close()
  end
  for number, fd in pairs(how.output) do assert(S.dup3(fd, number)) end
  for _, fd in ipairs(how.others) do fd:close() end
end

local function follow(run, channel)
  local tell = run.events
  -- Each start and each pause has a loop of its own.
  function run.attend(watch) watch:listen(channel, function() obey(watch, channel) end) end
  run.events = function(event)
    tell(event)
    -- The group's luge may stand still: our container's limits hold all the same.
    S.send(channel, json.encode(event), event.event == "ended" and "nosignal" or "nosignal, dontwait")
  end
end

-- Never returns.
local function child(run, how, channel)
  local ok, code = xpcall(function()
    leave_group(how)
    follow(run, channel)
    run.finished = how.report and function(outcome)
      S.pwrite(how.report, json.encode(require("sandbox.container.report").document(run, outcome)), 0)
    end
    return how.perform(run)
  end, debug.traceback)
  if not ok then
    io.stderr:write("luge: internal error: ", tostring(code), "\n")
    code = FAILED
  end
  S.exit(code)
end

-- ---- the group's luge ----

--- Starts a container. how: perform(run) → exit code; output = { [1] =, [2] = descriptors } that replace luge's own; stdin = "null"
-- or nil; others = descriptors of the group's that are not the member's; report = a file in memory, or nil. The signals that
-- the group's luge has blocked stay so, for the member to read. Returns { channel =, pidfd =, pid = }, or nil and the error.
function M.start(run, how)
  local here, there = S.socketpair("unix", "seqpacket")
  if not here then return nil, there end
  io.stdout:flush()
  local pid, err = S.fork()
  if not pid then return nil, err end
  if pid == 0 then
    here:close()
    child(run, how, there)
  end
  there:close()
  local pidfd
  pidfd, err = S.pidfd_open(pid)
  if pidfd then return { channel = here, pidfd = pidfd, pid = pid } end
  here:close() -- it stops
  S.waitid("pid", pid, "exited")
  return nil, err
end

--- The next event of a member, or nil when there is none yet, or false when there will be none.
function M.hear(member)
  local text, err = S.recv(member.channel, 65536, "dontwait")
  if not text then return not err.AGAIN and false or nil end
  if text == "" then return false end
  return json.decode(text)
end

--- Asks it to stop. grace: seconds, or nil for the profile's.
function M.stop(member, grace)
  S.send(member.channel, grace and ("stop %g"):format(grace) or "stop", "nosignal, dontwait")
end

--- Has it stand still, or go on.
function M.halt(member, wanted) S.send(member.channel, wanted and "halt" or "go", "nosignal, dontwait") end

--- Ends what its luge waits for beside the container, and hears nothing meanwhile: hooks, copies, a reader of its output.
function M.hurry(member) S.pidfd_send_signal(member.pidfd, "term") end

return M
