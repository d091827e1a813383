-- SPDX-License-Identifier: MIT
-- Each system call of a run fails with ENOSPC, EMFILE, ENOMEM, EINTR, EPERM, EIO in turn: either the container is all
-- that was asked for, or luge says what failed, with its exit code, and nothing is left. Never does it hang, and never
-- does a command run that finds less protection around it than without the fault.
--
-- The guest program is the command: the facts that it finds are compared with those of a run without faults.

local t = dofile "tests/integration/harness.lua"
local f = dofile "tests/faults/faults.lua"(t)
local sweep = dofile "tests/faults/errno.lua"(t, f)

local RUN, ALL, profile = f.RUN, f.ALL, f.profile
local PLAIN = profile "plain.lua"
local WHOLE = t.root and profile("whole.lua", ", limits = { memory = '64M', pids = 32 }") or PLAIN

t.test("a run in the foreground", function()
  sweep(f.scenario { name = "run", roles = RUN, words = { "run", "--name", "$name", WHOLE, "--", "/guest", "facts" } }, ALL, 240)
end)

t.test("a run with a report", function()
  local report = f.scratch .. "/report.json"
  sweep(f.scenario { name = "report", roles = RUN, report = report,
    words = { "run", "--report", report, "--name", "$name", WHOLE, "--", "/guest", "facts" } }, ALL, 160)
end)

t.test("a run as an ordinary user", function()
  t.needs_root()
  sweep(f.scenario { name = "user", uid = 65534, roles = RUN, words = { "run", "--name", "$name", PLAIN, "--", "/guest", "facts" } },
    ALL, 120)
end)

t.test("a run in the background", function()
  sweep(f.scenario { name = "background", detached = true, roles = f.DETACHED,
    words = { "run", "-d", "--name", "$name", WHOLE, "--", "/guest", "facts" } },
    { "caller", "monitor", "child", "stage", "command" }, 140)
end)
