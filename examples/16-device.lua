-- SPDX-License-Identifier: MIT
-- A device of the host that may be read and not written. A cgroup holds that, which only root can make; access = "rw",
-- as it is without a word, needs none.
--
--   $ luge run examples/16-device.lua
--    00 00
--   sh: 1: cannot create /dev/zero: Operation not permitted
--   [exit code 2]
return container {
  command = { "sh", "-c", "head -c 2 /dev/zero | od -An -tx1; echo > /dev/zero" },
  devices = { device { "/dev/zero", access = "r" } },
}
