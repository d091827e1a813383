-- SPDX-License-Identifier: MIT
-- A directory of the host that may be written to, and stays as it is: the writes lie in memory, over it, and go with
-- the container. What builds and tests leave behind needs no cleaning.
--
--   $ luge run examples/03-overlay.lua
--   changed
--   $ head -n 1 LICENSE
--   MIT License
return container {
  mounts  = { bind { "..", "/src", overlay = "discard", size = "64M" } },
  cwd     = "/src",
  command = { "sh", "-c", "echo changed > LICENSE; cat LICENSE" },
}
