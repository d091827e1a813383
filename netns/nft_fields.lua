-- SPDX-License-Identifier: MIT
-- netns.nft_fields: what of a packet a rule can look at, under the names that nft(8) has for it.
--
-- A field is { name =, type =, load = { kind = of expression, attributes }, l3 =, l4 =, l2 = } where l3 and l4 are the
-- protocols without which it is not there, l2 a link of Ethernet: a rule checks them first, by itself.

local S = require "syscall"
local types = require "netns.nft_types"

local NFT, FIB = S.c.NFT, S.c.NFTA_FIB

local M = {}

local by_name = {}

local function add(name, type, load, l3, l4)
  by_name[name] = { name = name, type = types.get(type) or type, load = load, l3 = l3, l4 = l4 }
end

local function meta(name, type, key) add(name, type, { kind = "meta", key = NFT["META_" .. key] }) end

meta("iifname", "ifname", "IIFNAME")
meta("oifname", "ifname", "OIFNAME")
meta("iif", "iface_index", "IIF")
meta("oif", "iface_index", "OIF")
meta("iifgroup", "devgroup", "IIFGROUP")
meta("oifgroup", "devgroup", "OIFGROUP")
meta("meta iifkind", "ifname", "IIFKIND")
meta("meta oifkind", "ifname", "OIFKIND")
meta("meta iiftype", types.integer(2, true), "IIFTYPE")
meta("meta length", types.integer(4, true), "LEN")
meta("meta protocol", "ether_type", "PROTOCOL")
meta("meta nfproto", "nf_proto", "NFPROTO")
meta("meta l4proto", "inet_proto", "L4PROTO")
meta("meta mark", "mark", "MARK")
meta("meta priority", types.integer(4, true), "PRIORITY")
meta("meta skuid", "uid", "SKUID")
meta("meta skgid", "gid", "SKGID")
meta("meta pkttype", "pkt_type", "PKTTYPE")
meta("meta nftrace", types.integer(1, true), "NFTRACE")
meta("meta cgroup", types.integer(4, true), "CGROUP")
meta("meta cpu", types.integer(4, true), "CPU")

-- dir: of the connection that is looked at.
local function ct(name, type, key, dir)
  add(name, type, { kind = "ct", key = NFT["CT_" .. key], direction = dir })
end

ct("ct state", "ct_state", "STATE")
ct("ct status", "ct_status", "STATUS")
ct("ct direction", "ct_dir", "DIRECTION")
ct("ct mark", "mark", "MARK")
for dir, direction in pairs { [0] = "original", [1] = "reply" } do
  ct(("ct %s ip saddr"):format(direction), "ipv4_addr", "SRC_IP", dir)
  ct(("ct %s ip daddr"):format(direction), "ipv4_addr", "DST_IP", dir)
  ct(("ct %s ip6 saddr"):format(direction), "ipv6_addr", "SRC_IP6", dir)
  ct(("ct %s ip6 daddr"):format(direction), "ipv6_addr", "DST_IP6", dir)
  ct(("ct %s protocol"):format(direction), "inet_proto", "PROTOCOL", dir)
  ct(("ct %s proto-src"):format(direction), "inet_service", "PROTO_SRC", dir)
  ct(("ct %s proto-dst"):format(direction), "inet_service", "PROTO_DST", dir)
end

local BASES = { ll = NFT.PAYLOAD_LL_HEADER, nh = NFT.PAYLOAD_NETWORK_HEADER, th = NFT.PAYLOAD_TRANSPORT_HEADER }

local function payload(name, type, base, offset, l3, l4)
  type = types.get(type) or type
  add(name, type, { kind = "payload", base = BASES[base], offset = offset, len = type.size }, l3, l4)
end

local u8, u16, u32 = types.integer(1), types.integer(2), types.integer(4)

payload("ether daddr", "ether_addr", "ll", 0)
payload("ether saddr", "ether_addr", "ll", 6)
payload("ether type", "ether_type", "ll", 12)
for _, name in ipairs { "daddr", "saddr", "type" } do by_name["ether " .. name].l2 = true end

payload("arp htype", u16, "nh", 0, "arp")
payload("arp ptype", "ether_type", "nh", 2, "arp")
payload("arp operation", "arp_op", "nh", 6, "arp")
payload("arp saddr ether", "ether_addr", "nh", 8, "arp")
payload("arp saddr ip", "ipv4_addr", "nh", 14, "arp")
payload("arp daddr ether", "ether_addr", "nh", 18, "arp")
payload("arp daddr ip", "ipv4_addr", "nh", 24, "arp")

payload("ip length", u16, "nh", 2, "ip")
payload("ip id", u16, "nh", 4, "ip")
payload("ip frag-off", u16, "nh", 6, "ip") -- the flags are its upper three bits
payload("ip ttl", u8, "nh", 8, "ip")
payload("ip protocol", "inet_proto", "nh", 9, "ip")
payload("ip saddr", "ipv4_addr", "nh", 12, "ip")
payload("ip daddr", "ipv4_addr", "nh", 16, "ip")

payload("ip6 length", u16, "nh", 4, "ip6")
payload("ip6 nexthdr", "inet_proto", "nh", 6, "ip6")
payload("ip6 hoplimit", u8, "nh", 7, "ip6")
payload("ip6 saddr", "ipv6_addr", "nh", 8, "ip6")
payload("ip6 daddr", "ipv6_addr", "nh", 24, "ip6")

-- th: of any transport; the rule has to know that the packet is of one with ports.
payload("th sport", "inet_service", "th", 0)
payload("th dport", "inet_service", "th", 2)
for _, l4 in ipairs { "tcp", "udp", "sctp" } do
  payload(l4 .. " sport", "inet_service", "th", 0, nil, l4)
  payload(l4 .. " dport", "inet_service", "th", 2, nil, l4)
end
payload("tcp sequence", u32, "th", 4, nil, "tcp")
payload("tcp flags", "tcp_flag", "th", 13, nil, "tcp")
payload("tcp window", u16, "th", 14, nil, "tcp")
payload("udp length", u16, "th", 4, nil, "udp")
payload("icmp type", "icmp_type", "th", 0, nil, "icmp")
payload("icmp code", u8, "th", 1, nil, "icmp")
payload("icmpv6 type", "icmpv6_type", "th", 0, nil, "icmpv6")
payload("icmpv6 code", u8, "th", 1, nil, "icmpv6")
payload("icmpv6 taddr", "ipv6_addr", "th", 8, nil, "icmpv6") -- who is asked for, or told of

-- Whether an extension header of IPv6 is there: true or false.
for name, header in pairs { hbh = "HOPOPTS", rt = "ROUTING", frag = "FRAGMENT", dst = "DSTOPTS", mh = "MH" } do
  add("exthdr " .. name, "boolean", { kind = "exthdr", type = S.c.IPPROTO[header], offset = 0, len = 1,
    flags = NFT.EXTHDR_F_PRESENT, op = NFT.EXTHDR_OP_IPV6 }, "ip6")
end

-- What the routes say of an address.
for _, side in ipairs { "saddr", "daddr" } do
  local flag = FIB[side:upper()]
  add(("fib %s type"):format(side), "fib_addrtype", { kind = "fib", result = NFT.FIB_RESULT_ADDRTYPE, flags = flag })
  add(("fib %s . iif type"):format(side), "fib_addrtype",
    { kind = "fib", result = NFT.FIB_RESULT_ADDRTYPE, flags = flag | FIB.IIF })
  add(("fib %s . iif oif"):format(side), "presence", -- whether a route leads back by the link it came from
    { kind = "fib", result = NFT.FIB_RESULT_OIF, flags = flag | FIB.IIF | FIB.PRESENT })
end

-- "@nh,8,16": bits from a header, whole bytes.
local function raw(name)
  local base, offset, len = name:match "^@(%a%a),(%d+),(%d+)$"
  base, offset, len = BASES[base], math.tointeger(tonumber(offset)), math.tointeger(tonumber(len))
  if not base or offset % 8 ~= 0 or len % 8 ~= 0 or len == 0 or len > 64 then return nil end
  return { name = name, type = types.integer(len // 8),
    load = { kind = "payload", base = base, offset = offset // 8, len = len // 8 } }
end

local function neighbours(name)
  local group, list = tostring(name):match "^%S+", {}
  for known in pairs(by_name) do
    if known:match "^%S+" == group then list[#list + 1] = known end
  end
  table.sort(list)
  return #list > 0 and " (there are: " .. table.concat(list, ", ") .. ")" or ""
end

--- The field of that name; raises the text of an error.
function M.get(name)
  return by_name[name] or (type(name) == "string" and raw(name))
    or error(("no field '%s'%s"):format(tostring(name), neighbours(name)), 0)
end

--- The fields of "ip daddr . tcp dport", in order.
function M.list(names)
  local whole, fields = by_name[names], {} -- "fib saddr . iif oif" is one field
  if whole then return { whole } end
  for name in (tostring(names) .. " . "):gmatch "(.-) %. " do fields[#fields + 1] = M.get(name) end
  return fields
end

return M
