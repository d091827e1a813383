-- SPDX-License-Identifier: MIT
-- A network given as a table reaches nothing outside but what egress allows: on IPv4 and IPv6, whatever the program does
-- with its packets. The host and 169.254.169.254, where clouds tell secrets, have to be named one by one. What is denied is
-- refused at once, counted, and with `log` told.
--
--   $ luge run examples/net-egress.lua
--   bash: connect: Connection refused
--   bash: line 1: /dev/tcp/10.9.0.1/22: Connection refused
--   luge: egress: 10.9.0.1:22 denied (examples/net-egress.lua:15)
--   [exit code 1]
return container {
  command = { "bash", "-c", "exec 3<>/dev/tcp/10.9.0.1/22" },
  network = {
    interfaces = { veth { address = "10.9.0.2/24", nat = true } },
    egress = { log = true, allow = { { cidr = "198.51.100.0/24", port = 443, proto = "tcp" }, { cidr = "2001:db8::/32" } } },
  },
}
