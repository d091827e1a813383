-- SPDX-License-Identifier: MIT
-- Limits of each process, as `ulimit` knows them: open files, and the size of one file. Who writes beyond that is ended
-- by the kernel's signal.
--
--   $ luge run examples/limits-files.lua
--   16 descriptors
--   [exit code 153, reason signal]
return container {
  command = { "sh", "-c", "echo $(ulimit -n) descriptors; exec head -c 2M /dev/zero > /tmp/big" },
  limits  = { open_files = 16, file_size = "1M" },
}
