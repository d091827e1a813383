-- SPDX-License-Identifier: MIT
-- How fast output passes: 100 MB of `yes` through a terminal of luge's and through script(1)'s, in turn, into /dev/null.
-- Usage: terminal.lua LUGE

local S = require "syscall"

local luge = arg[1]
local COMMAND, BYTES, ROUNDS, GOAL = "yes | head -c 100000000", 100e6, 3, 0.5

local function seconds(words)
  local null = assert(S.open("/dev/null", "rdwr"))
  local began = S.clock_gettime "monotonic"
  local pid = assert(S.fork())
  if pid == 0 then
    S.dup3(null, 0)
    S.dup3(null, 1)
    S.execve(words[1], words, { "PATH=/usr/bin:/bin", "HOME=/", "SHELL=/bin/sh" })
    S.exit(127)
  end
  local status = S.waitid("pid", pid, "exited")
  null:close()
  if status.status ~= 0 then return nil end
  return S.clock_gettime "monotonic" - began
end

local best = {}
for _ = 1, ROUNDS do
  for name, words in pairs { script = { "/usr/bin/script", "-qec", COMMAND, "/dev/null" },
    luge = { luge, "run", "-t", "default", "--", "/bin/sh", "-c", COMMAND } } do
    local took = seconds(words)
    if took then best[name] = math.min(best[name] or took, took) end
  end
end

if best.luge and best.script then
  local ratio = best.script / best.luge
  print(("%-52s %.0f MB/s, script(1) %.0f MB/s"):format("output through a terminal", BYTES / best.luge / 1e6,
    BYTES / best.script / 1e6))
  print(("%-52s %.2f (goal: >= %.2f) %s"):format("luge's rate / script(1)'s", ratio, GOAL, ratio >= GOAL and "reached" or "missed"))
else
  print("left out: output through a terminal: " .. (best.luge and "script" or "luge") .. " did not run")
end
