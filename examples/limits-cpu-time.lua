-- SPDX-License-Identifier: MIT
-- The processor time of all processes together: waiting is free, and two at once use it up in half the time.
--
--   $ luge run examples/limits-cpu-time.lua
--   waited
--   luge: examples/limits-cpu-time.lua:14: limits.cpu_time: 0.5s of CPU time were used up; the container was stopped
--   [exit code 124, reason cpu_time]
return container {
  command = { "sh", "-c", [[
    sleep 1; echo waited
    while :; do :; done &
    while :; do :; done
  ]] },
  limits  = { cpu_time = "500ms" },
}
