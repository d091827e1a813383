-- SPDX-License-Identifier: MIT
-- Memory of the container as a whole, what its programs cache and what lies in tmpfs included. The kernel ends what
-- goes beyond it; luge then ends with 137 and says why, --report FILE has the reason "memory". Swap is none unless
-- limits.swap adds some.
--
--   $ luge run --report build/limits-memory.json examples/limits-memory.lua
--   luge: examples/limits-memory.lua:16: limits.memory: the kernel ended the command, which needed more memory than 33554432 bytes
--         = files in tmpfs count too; write a larger limits.memory, or limits.swap
--   [exit code 137]
--   $ grep reason build/limits-memory.json
--     "reason": "memory",
--   $ luge run examples/limits-memory.lua -- echo enough
--   enough
return container {
  command = { "tail", "/dev/zero" },   -- keeps the last line, which never ends
  limits  = { memory = "32M" },
}
