-- SPDX-License-Identifier: MIT
-- Processor time: at most cpus × 100 ms in each 100 ms, on however many CPUs; who wants more waits, and the report says
-- how often ("nr_throttled"). cpu_weight counts only when CPUs are short: 100 is what everybody else has.
--
--   $ luge run --report build/limits-cpus.json examples/limits-cpus.lua
--   done
--   $ grep nr_throttled build/limits-cpus.json
--       "nr_throttled": …,
return container {
  command = { "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo done" },
  limits  = { cpus = 0.2, cpu_weight = 50 },
}
