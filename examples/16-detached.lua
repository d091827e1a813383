-- SPDX-License-Identifier: MIT
-- A container in the background. There is no daemon: the luge that would have stayed in the foreground watches it. It
-- is stopped as the profile says, here by INT and with two seconds until KILL, and keeps its exit code until somebody
-- removes it.
--
--   $ luge run -d --name napper examples/16-detached.lua
--   napper
--   $ luge ps --filter name=napper -q
--   napper
--   $ luge run -d --name napper examples/16-detached.lua
--   luge: --name: name: the name 'napper': Device or resource busy: held by process …
--         = choose another --name, stop it (luge stop), or say --replace
--   [exit code 125]
--   $ luge stop napper
--   $ luge wait napper
--   [exit code 3]
--   $ luge rm napper
return container {
  command = { "sh", "-c", "trap 'exit 3' INT; while :; do sleep 0.1; done" },
  stop    = { signal = "INT", grace = "2s" },
}
