-- SPDX-License-Identifier: MIT
-- In the network of another container, by its name: nothing else of that one is seen. (A path of a network namespace, such
-- as /run/netns/blue, does as well.)
--
--   $ luge run -d --name net-web examples/net-veth.lua -- sleep 1000
--   net-web
--   $ luge run examples/net-join.lua
--   lo
--   eth0
--   $ luge rm -f net-web
return container {
  command = { "sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '" },
  network = { join = "net-web" },
}
