-- SPDX-License-Identifier: MIT
-- Reading and writing of a disk, in bytes and operations in a second. A device is named, or a directory: then its disk
-- is meant. What the kernel caches costs nothing, so a limit of writes shows when the cache is written back (cgroup v2),
-- or with direct writes (cgroup v1). The report's receipt has what was asked for and what the kernel says.
--
--   $ luge run -D DISK=$PWD --report build/limits-io.json examples/limits-io.lua
--   $ grep -c 20971520 build/limits-io.json
--   2
return container {
  command = { "true" },
  limits  = { io = { [param.DISK or "/"] = { write = "20M" } } },
}
