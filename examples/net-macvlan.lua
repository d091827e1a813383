-- SPDX-License-Identifier: MIT
-- A device of the container's own in the network that one of the host's is in, beside the host, with an Ethernet address
-- and routes by a router there. (Here a wire plays that device.)
--
--   $ ip link add uplink type veth peer name outside
--   $ luge run examples/net-macvlan.lua
--   192.0.2.7
--   02:00:00:00:00:07
--   $ ip link delete uplink
return container {
  command = { "sh", "-c", "grep -o '192[.]0[.]2[.]7$' /proc/net/fib_trie | uniq; cat /sys/class/net/lan/address" },
  network = { interfaces = {
    macvlan { "uplink", name = "lan", mac = "02:00:00:00:00:07", address = "192.0.2.7/24", gateway = "192.0.2.1",
      routes = { { "198.51.100.0/24", "192.0.2.9" } } },
  } },
}
