-- SPDX-License-Identifier: MIT
-- A wire between two containers, which the host is not on: the second one is made with both ends.
--
--   $ luge run -d --name net-router examples/01-hello.lua -- sleep 1000
--   net-router
--   $ luge run examples/net-link.lua
--   …Connection refused
--   $ luge exec net-router -- sh -c "until grep -c : /proc/net/dev | grep -qx 1; do sleep 0.1; done; echo the wire is gone"
--   the wire is gone
--   $ luge rm -f net-router
return container {
  command = { "bash", "-c", "(exec 3<>/dev/tcp/10.56.0.1/9) 2>&1 | tail -n 1" },
  network = { interfaces = {
    link { "net-router", address = "10.56.0.2/30", peer = { name = "eth5", address = "10.56.0.1/30" } },
  } },
}
