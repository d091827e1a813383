-- SPDX-License-Identifier: MIT
-- A wire to the host: addresses of both families that nobody has, the host at the other end as the way out. The link is
-- made by root with its end in the container at once, and goes with it. Names are the container's own.
--
--   $ luge run examples/net-veth.lua
--   10.213.…	box
--   fd6c:7567:6500:…	box
--   192.0.2.7	db
--   nameserver 192.0.2.53
return container {
  hostname = "box",
  command  = { "sh", "-c", "grep -v localhost /etc/hosts; cat /etc/resolv.conf" },
  network  = {
    interfaces = { veth { } },
    hosts = { db = "192.0.2.7" },
    dns   = { "192.0.2.53" },
  },
}
