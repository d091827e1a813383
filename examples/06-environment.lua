-- SPDX-License-Identifier: MIT
-- The environment starts empty: names are inherited one by one, or set. A secret does not belong there, where every
-- child and every listing shows it: it becomes a file that only the container's user reads.
--
--   $ GREETING=hi TOKEN=s3cret luge run examples/06-environment.lua
--   GREETING=hi EDITOR=ed TOKEN=
--   -r-------- /run/secrets/token: 6 bytes
return container {
  env     = { "GREETING", EDITOR = "ed" },
  mounts  = { secret { "/run/secrets/token", env = "TOKEN" } },
  command = { "sh", "-c", [[
    echo GREETING=$GREETING EDITOR=$EDITOR TOKEN=$TOKEN
    stat -c '%A %n: %s bytes' /run/secrets/token
  ]] },
}
