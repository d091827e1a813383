-- SPDX-License-Identifier: MIT
-- The second half of the test of a loss of power: the machine is up again with the disk of power_off.lua. What it says
-- of containers is not believed, since no lock is held and it is another boot; what was promised is there.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

local STATE = "/power"

local function luge(...)
  local words = { "luge", ... }
  words.env = { LUGE_STATE = STATE }
  return t.run(words)
end

local function rows()
  local found = {}
  for _, row in ipairs(t.json.decode(luge("ps", "-a", "--json").stdout).containers) do found[row.name] = row end
  return found
end

t.test("after a loss of power nothing runs, and what was promised is there", function()
  t.equal(luge("ps", "-q").stdout, "", "what runs")
  local found = rows()
  t.equal({ found.ended.state, found.ended.exit_code, luge("wait", "ended").code }, { "ended", 7, 7 })
  for _, name in ipairs { "running", "paused", "passing" } do
    t.equal({ found[name].state, found[name].pid, found[name].luge }, { "lost", t.json.null, t.json.null }, name)
    t.equal(luge("wait", name).code, 125)
    for _, command in ipairs { "stop", "kill", "pause", "resume", "top" } do t.equal(luge(command, name).code, 125, command) end
    t.equal(luge("exec", name, "true").code, 125)
  end
  t.contains(luge("logs", "running").stdout, "begun\n")
end)

t.test("no process of this boot is taken for one of the last", function()
  -- A process with the number that a lock of the last boot notes.
  local victim = t.start { "sleep", "1000" }
  local lock = t.must(S.open(STATE .. "/running.lock", "rdwr, cloexec"))
  local _, age, boot = t.matches(S.pread(lock, 65536, 0), "process (%d+) (%d+) (%S+)\n")
  t.differs(boot, S.boot_id())
  t.must(S.note_lock(lock, ("process %d %d %s\n"):format(victim.pid, S.process_age(victim.pid), boot)))
  lock:close()
  t.ok(tonumber(age) > 0)
  t.equal(luge("gc").code, 0)
  t.equal(S.kill(victim.pid, 0), true, "killed by what another boot noted")
  victim:kill()
  victim:wait()
end)

t.test("gc and rm leave nothing, and the names are free", function()
  local gc = luge "gc"
  t.equal({ gc.code, gc.stderr }, { 0, "" })
  t.equal(rows().passing, nil, "with --rm nobody asks for its record")
  for name in pairs(rows()) do t.equal(luge("rm", name).code, 0, name) end
  t.equal(luge("gc").code, 0)
  t.equal(S.dir(STATE), {})
  t.equal(S.dir "/sys/fs/cgroup/luge", nil, "cgroups of the last boot")
  t.equal(luge("run", "--name", "running", "default", "--", "sh", "-c", "exit 3").code, 3)
  t.equal(S.dir(STATE), {})
end)
