-- SPDX-License-Identifier: MIT
-- Many containers at once: each is there, counted, limited, stopped, and nothing of any is left.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local crowd = dofile "tests/integration/crowd.lua"
local S = require "syscall"

local COUNT = t.soak and 1000 or 40

t.test("a crowd of containers with limits of memory and processes", function()
  local limits = t.root and "limits = { memory = '32M', pids = 16 }," or ""
  local profile = t.profile(box.text(limits .. "command = { '/guest', 'sleep', '1000' }"))
  local env = { "LUGE_STATE=" .. box.state, "PATH=" .. os.getenv "PATH" }
  local c = crowd.start(t.luge, profile, COUNT, env)
  local seen = t.decoded { "luge", "stats", "--once", "--json", env = { LUGE_STATE = box.state } }
  crowd.stop(c)
  t.equal(#seen.containers, COUNT)
  local names = {}
  for _, row in ipairs(seen.containers) do
    names[row.name] = true
    t.equal(row.pids, 1, row.name)
    if t.root then t.equal({ row.memory_limit_bytes, row.pids_limit }, { 32 << 20, 16 }, row.name) end
  end
  for i = 1, COUNT do t.ok(names["crowd-" .. i], "crowd-" .. i) end
  t.equal(c.codes, { [128 + 15] = COUNT }, "every one was ended by TERM")
  box.nothing_left()
  for _, at in ipairs(S.dir "/sys/fs/cgroup" or {}) do
    for _, name in ipairs(S.dir("/sys/fs/cgroup/" .. at .. "/luge") or {}) do
      t.lacks(name, "crowd-", "a cgroup is left in " .. at)
    end
  end
end)
