-- SPDX-License-Identifier: MIT
-- Containers that name the same pod share one network: each reaches the others as localhost, nobody else is there. The
-- first one makes it, and it is there as long as one of them runs.
--
--   $ luge run -d --name net-first examples/net-pod.lua -- sleep 1000
--   net-first
--   $ test "$(luge run examples/net-pod.lua)" = "$(luge exec net-first -- readlink /proc/self/ns/net)"
--   $ luge rm -f net-first
return container {
  command = { "readlink", "/proc/self/ns/net" },
  network = { pod = "net-example" },
}
