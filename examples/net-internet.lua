-- SPDX-License-Identifier: MIT
-- The internet and nothing else: not the host, not a private network, not what a cloud tells of the machine. Names are
-- asked of the host's own servers; addresses are translated, and the host forwards packets as long as somebody needs it.
--
--   $ cat /proc/sys/net/ipv4/ip_forward
--   0
--   $ luge run examples/net-internet.lua
--   10.213.…
--   $ luge plan examples/net-internet.lua | grep -o 'hold_sysctl(.*ip_forward.*)'
--   hold_sysctl("${ranges}/sysctl.net.ipv4.ip_forward.${netns}", "net/ipv4/ip_forward", "1")…
--   $ cat /proc/sys/net/ipv4/ip_forward
--   0
return container {
  command = { "sh", "-c", "awk '/^10/ { print $1 }' /etc/hosts" },
  network = "internet",
}
