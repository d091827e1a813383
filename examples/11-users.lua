-- SPDX-License-Identifier: MIT
-- Who the program is, and what it may do besides. Nobody here is anybody on the host: the user's ids are mapped to a
-- private range as root, to the caller's own otherwise. A capability holds over the container's own things only.
--
--   $ luge run examples/11-users.lua
--   1000:1000, umask 0077
--   CapEff:	0000000000000400
--   $ luge run --user 0:0 --set capabilities=false examples/11-users.lua
--   0:0, umask 0077
--   CapEff:	0000000000000000
return container {
  user         = "1000:1000",
  umask        = "077",
  capabilities = { "net_bind_service" },
  command      = { "sh", "-c", "echo $(id -u):$(id -g), umask $(umask); grep CapEff /proc/self/status" },
}
