-- SPDX-License-Identifier: MIT
-- What a program may use up. When the time is over it is asked to end, after stop.grace it is killed, and luge ends
-- with 124; --report FILE tells it to programs.
--
--   $ luge run examples/09-limits.lua
--   16 descriptors
--   head: error writing 'standard output': File too large
--   luge: examples/09-limits.lua:20: limits.wall: time was up after 1s; the container was stopped
--   [exit code 124]
return container {
  command = { "sh", "-c", [[
    echo $(ulimit -n) descriptors
    trap '' XFSZ                                   # else the signal ends head
    head -c 2M /dev/zero > /tmp/big
    exec sleep 60
  ]] },
  limits  = {
    open_files = 16,
    file_size  = "1M",
    wall       = "1s",
    processes  = 20,
  },
  stop    = { grace = "2s" },
}
