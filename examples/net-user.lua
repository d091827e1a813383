-- SPDX-License-Identifier: MIT
-- The outside world for an ordinary user: pasta or slirp4netns, whichever is installed, carries what the container sends. It is
-- started, watched and ended by luge; the host's loopback is not reached through it. A port of the host may lead in.
--
--   $ luge run examples/net-user.lua
--   10.0.2.2
--   nameserver 10.0.2.3
return container {
  command = { "sh", "-c", "ip route | awk '/default/ { print $3 }'; cat /etc/resolv.conf" },
  network = { type = "user", backend = "slirp4netns", publish = { { host = "127.0.0.1:8765", guest = 80 } } },
}
