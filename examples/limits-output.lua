-- SPDX-License-Identifier: MIT
-- What it writes to stdout and stderr: so many bytes are passed on, then it is stopped.
--
--   $ luge run examples/limits-output.lua
--   yes
--   yes
--   yes
--   luge: examples/limits-output.lua:10: limits.output: it wrote more than 12 bytes; the container was stopped
--   [exit code 124, reason output]
return container { command = { "yes", "yes" }, limits = { output = 12 } }
