-- SPDX-License-Identifier: MIT
-- The time that passes. Then TERM, after stop.grace KILL.
--
--   $ luge run examples/limits-wall.lua
--   at work
--   luge: examples/limits-wall.lua:11: limits.wall: time was up after 0.5s; the container was stopped
--   [exit code 124, reason wall]
return container {
  command = { "sh", "-c", "echo at work; exec sleep 60" },
  stop    = { grace = "2s" },
  limits  = { wall = "500ms" },
}
