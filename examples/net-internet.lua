-- SPDX-License-Identifier: MIT
-- The internet and nothing else: not the host, not a private network, not what a cloud tells of the machine. Names are
-- asked of the host's own servers; addresses are translated, and the host forwards packets as long as somebody needs it, but
-- only those of containers: it does not become a router, and ip_forward stays what it was.
--
--   $ cat /proc/sys/net/ipv4/ip_forward
--   0
--   $ luge run examples/net-internet.lua
--   10.213.…
--   $ luge plan examples/net-internet.lua | grep -o 'hold_forwarding(.*"inet")'
--   hold_forwarding("${ranges}/sysctl.forwarding.inet.${netns}", "inet")…
--   $ cat /proc/sys/net/ipv4/ip_forward
--   0
return container {
  command = { "sh", "-c", "awk '/^10/ { print $1 }' /etc/hosts" },
  network = "internet",
}
