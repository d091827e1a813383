-- SPDX-License-Identifier: MIT
-- Processes and threads of the container, whoever starts them: a fork beyond is refused, and what runs goes on. The
-- report counts the refusals ("pids_refused"). Unwritten it is 1024; luge's own PID 1 does not count.
--
--   $ luge run examples/limits-pids.lua
--   a fork was refused
return container {
  command = { "sh", "-c", [[
    (for i in 1 2 3 4 5 6 7 8; do sleep 1 & done) 2>/dev/null || echo a fork was refused
  ]] },
  limits  = { pids = 5 },
}
