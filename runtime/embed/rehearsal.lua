-- SPDX-License-Identifier: MIT
-- rehearsal.lua: two runs of luge with a kernel that only nods: no process begins, and nothing is made but what names and
-- locks a container, and directories, in the directory LUGE_STATE.
--
-- The build runs it to see what a start uses (runtime/pack.c). `luge lua` runs it too; its exit code is that of the runs.

local S = require "syscall"
local C = require "luge.stage"
local Steps = require "sandbox.plan.steps"
local cli = require "sandbox.cli"
local launch = require "sandbox.container.launch"
local state = require "sandbox.container.state"

local STATE = assert(os.getenv "LUGE_STATE", "LUGE_STATE names no directory")
local NOBODY = 1 << 22 -- the number of no process: PID_MAX_LIMIT of the kernel

-- Code that is read is touched as code that runs is.
local function read_through(f) pcall(string.dump, f, true) end -- refuses what is written in C

-- The steps that are taken; what any other gives is a descriptor on which nothing happens.
local nodding = { umask = S.umask, ensure_directory = S.ensure_directory, take_lock = S.take_lock, note_lock = S.note_lock,
  ensure_free = S.ensure_free, listen_at = S.listen_at, take_slot = S.take_slot, unlink = S.unlink }
local nothing = assert(S.eventfd(0, "cloexec"))
local function nod() return nothing:getfd() end

-- Of a cgroup the directories are made, like any others.
local CGROUP = STATE .. "/cgroup"
function nodding.make_cgroup(_, how) return S.make_cgroup(CGROUP .. "/own", how) end

setmetatable(nodding, { __index = function(_, op)
  read_through(assert(Steps.operation(S, op), op))
  return nod
end })
local run_step, undo_step = Steps.run, Steps.undo
function Steps.run(_, step, symbols) return run_step(nodding, step, symbols) end
function Steps.undo(_, undo, symbols) return undo_step(nodding, undo, symbols) end

read_through(state.ranges) -- to run it would make the place of a user's locks
function state.ranges() return STATE end

-- The stage's words, as if it had run, and the end of its process.
local function say(descriptor, kind)
  for number, name in pairs(C.messages) do
    if name == kind then assert(S.write(descriptor, ("<i4i4i4i4"):pack(number, 0, 0, 0))) end
  end
end

local status
local channels = launch.channels
function launch.channels(...)
  local c = channels(...)
  status = c.status_write
  return c
end

function S.clone3_exec()
  say(status, "started")
  say(status, "exit")
  local process, other = S.pipe "cloexec"
  other:close()
  return NOBODY, process
end
S.clone3 = S.clone3_exec -- where the stage alone cannot do it, a copy of luge would
function S.clone3_executed() return true end
function S.pidfd_send_signal() return true end
function S.waitid() return { pid = NOBODY, code = "exited", status = 0, rusage = S.getrusage "self" } end

-- A root file system with nothing in it but the places of mounts, and the profile of a container on it.
local ROOT, PROFILE = STATE .. "/root", STATE .. "/profile.lua"
local places = { ROOT, ROOT .. "/proc", ROOT .. "/sys", ROOT .. "/dev", ROOT .. "/tmp", ROOT .. "/etc" }
for _, place in ipairs(places) do
  local made, err = S.mkdir(place, "0755")
  assert(made or err.EXIST, err)
end
local file = assert(io.open(PROFILE, "w"))
file:write(("return container { root = %q, command = { '/bin/true' } }\n"):format(ROOT))
file:close()
local code = cli.main { "run", "default", "--", "true" }
if code == 0 then code = cli.main { "run", PROFILE } end
S.unlink(PROFILE)
S.rmdir(CGROUP .. "/own")
S.rmdir(CGROUP)
for i = #places, 1, -1 do S.rmdir(places[i]) end
S.exit(code)
