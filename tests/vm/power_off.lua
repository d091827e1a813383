-- SPDX-License-Identifier: MIT
-- The first half of the test of a loss of power, run by tests/vm/run: containers in every state, then the machine goes,
-- without a word to its disk. power_on.lua looks at what is left.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

local STATE = "/power"
t.must(S.mkdir(STATE, "0700"))

local function words(...)
  local list = { "luge", ... }
  list.env = { LUGE_STATE = STATE }
  return list
end

local function luge(...) return t.succeed(words(...)).stdout end

luge("run", "-d", "--name", "ended", "default", "--", "sh", "-c", "echo last words; exit 7")
t.equal(t.run(words("wait", "ended")).code, 7)
t.must(S.writefile("/proc/sys/kernel/sysrq", "1"))

-- Until here it may be on the disk or not; of these it is told that they run.
luge("run", "-d", "--name", "running", "--set", "limits.memory=64M", "default", "--", "sh", "-c", "echo begun; exec sleep 1000")
luge("run", "-d", "--rm", "--name", "passing", "default", "--", "sleep", "1000")
luge("run", "-d", "--name", "paused", "default", "--", "sleep", "1000")
luge("pause", "paused")
local foreground = t.start(words("run", "--name", "foreground", "default", "--", "sh", "-c", "echo ready; exec sleep 1000"))
foreground:await "ready"
while not luge("logs", "running"):find "begun" do S.nanosleep(0.05) end
-- What is known of them is on the disk, as it is after some seconds.
local function save(path)
  local fd = S.open(path, "rdonly, nonblock, cloexec")
  if not fd then return end -- a socket
  for _, name in ipairs(S.fstat(fd).type == "directory" and S.dir(path) or {}) do save(path .. "/" .. name) end
  t.must(S.fsync(fd))
end
save(STATE)
luge("run", "-d", "--name", "unsaved", "default", "--", "sleep", "1000")
S.writefile("/proc/sysrq-trigger", "b")
S.nanosleep(60)
error "the machine is still there"
