-- SPDX-License-Identifier: MIT
-- netns.firewall_ranges: addresses that are not of the internet at large, and those at which clouds tell secrets.

local M = {}

-- Where a machine in a cloud asks who it is, and gets the keys that go with it: the address that all share, with the
-- rest of its range, and those of Azure, Alibaba, Oracle and, on IPv6, Amazon and Google; by NAT64 (RFC 6052) as well.
M.metadata = {
  ip = { "169.254.0.0/16", "168.63.129.16", "100.100.100.200", "192.0.0.192" },
  ip6 = { "fd00:ec2::254", "fd20:ce::254", "fe80::/10", "64:ff9b::a9fe:0/112", "64:ff9b::a83f:8110", "64:ff9b::6464:64c8",
    "64:ff9b::c000:c0" },
}

-- RFC 6890 and its registry: this network, private, shared (RFC 6598), loopback, link-local, protocol assignments,
-- documentation, 6to4 relays, benchmarks, multicast, reserved.
local V4 = { "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16", "169.254.0.0/16", "172.16.0.0/12",
  "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
  "224.0.0.0/3" }

-- Loopback and compatible, mapped, local NAT64, discard-only, Teredo and others of its block, documentation (and RFC 9637),
-- 6to4, segments (RFC 9602), private, link-local, site-local, multicast.
local V6 = { "::/64", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
  "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8" }

-- NAT64 (RFC 6052) leads to any address of IPv4: those above are not reached by it either.
for _, cidr in ipairs(V4) do
  local a, b, c, d, width = cidr:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)/?(%d*)$"
  V6[#V6 + 1] = ("64:ff9b::%x:%x/%d"):format(a << 8 | b, c << 8 | d, 96 + (tonumber(width) or 32))
end

M.private = { ip = V4, ip6 = V6 }

return M
