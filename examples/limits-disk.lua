-- SPDX-License-Identifier: MIT
-- What it keeps in /tmp, /run, its home, /dev/shm and discarded overlays, together: a write beyond it fails, and the
-- exit code is the command's own.
--
--   $ luge run examples/limits-disk.lua
--   head: error writing 'standard output': No space left on device
--   524288 bytes fitted beside the first
--   luge: examples/limits-disk.lua:16: limits.disk: all 1048576 bytes were in use when the command failed
--   [exit code 3, reason disk]
return container {
  command = { "sh", "-c", [[
    head -c 512K /dev/zero > /run/first
    head -c 2M /dev/zero > /tmp/second || echo $(stat -c %s /tmp/second) bytes fitted beside the first
    exit 3
  ]] },
  limits  = { disk = "1M" },
}
