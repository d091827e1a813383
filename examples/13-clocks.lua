-- SPDX-License-Identifier: MIT
-- A machine that has been up for a year: the clocks since boot have offsets of their own. The time of day is the
-- kernel's and everybody's.
--
--   $ luge run examples/13-clocks.lua
--   up for a year
return container {
  namespaces = { time = { boottime = "8760h", monotonic = "8760h" } },
  command    = { "sh", "-c", [[
    read up rest < /proc/uptime
    if [ "${up%.*}" -ge 31536000 ]; then echo up for a year; else echo up for $up s; fi
  ]] },
}
