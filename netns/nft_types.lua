-- SPDX-License-Identifier: MIT
-- netns.nft_types: what nftables compares, as text and as the bytes that the kernel holds.
--
-- A type is { name =, id =, size = in bytes, host = true for a number in this machine's order, bits = true where a value
-- is a mask, parse = value → bytes, format = bytes → value }. The ids are those of nftables, which writes them into sets
-- so that listings read well; the kernel does not look at them.

local S = require "syscall"
local check = require "netns.check"

local M = {}

--- The families of tables.
M.FAMILY = { inet = S.c.NFPROTO.INET, ip = S.c.NFPROTO.IPV4, ip6 = S.c.NFPROTO.IPV6, arp = S.c.NFPROTO.ARP,
  bridge = S.c.NFPROTO.BRIDGE, netdev = S.c.NFPROTO.NETDEV }

local PRIORITY = { raw = -300, mangle = -150, dstnat = -100, filter = 0, security = 50, srcnat = 100 }
local BRIDGE_PRIORITY = { dstnat = -300, filter = -200, out = 100, srcnat = 300 }

--- The number that a chain's priority is, "filter" if not given.
function M.priority(family, value)
  local names = family == "bridge" and BRIDGE_PRIORITY or PRIORITY
  return names[value or "filter"] or math.type(value) and math.tointeger(value)
    or error(("no priority '%s'"):format(tostring(value)), 0)
end

local function bad(type, value)
  error(("%s is no %s"):format(math.type(value) and value or ("'%s'"):format(tostring(value)), type.name), 0)
end

local function upside_down(map)
  local names = {}
  for name, number in pairs(map) do names[number] = names[number] or name end
  return names
end

-- Numbers of `size` bytes, with names for some.
local function number(name, id, size, options)
  local type = { name = name, id = id, size = size, host = options.host, bits = options.bits }
  local names, format = options.names or {}, (options.host and "=I" or ">I") .. size
  local texts = upside_down(names)
  function type.parse(value)
    local n = names[value] or math.tointeger(tonumber(value))
    if not n or n < 0 or n >= 1 << size * 8 then bad(type, value) end
    return format:pack(n)
  end
  function type.format(bytes)
    local n = format:unpack(bytes)
    return texts[n] or n
  end
  -- The same in the order in which the kernel compares bytes.
  if options.host and size > 1 then type.network = number(name, id, size, { names = names }) end
  return type
end

local function address(name, id, size, family)
  local type = { name = name, id = id, size = size }
  function type.parse(value)
    return _G.type(value) == "string" and S.inet_pton(family, value) or bad(type, value)
  end
  function type.format(bytes) return S.inet_ntop(family, bytes) end
  return type
end

local ether = { name = "ether_addr", id = 9, size = 6 }
function ether.parse(value)
  local parts = { tostring(value):match("^" .. ("(%x%x):"):rep(5) .. "(%x%x)$") }
  if #parts ~= 6 then bad(ether, value) end
  for i, part in ipairs(parts) do parts[i] = tonumber(part, 16) end
  return string.char(table.unpack(parts))
end
ether.format = check.mac_text

local ifname = { name = "ifname", id = 41, size = 16 }
function ifname.parse(value)
  if type(value) ~= "string" or value == "" or #value > 15 then bad(ifname, value) end
  return value .. ("\0"):rep(16 - #value)
end
function ifname.format(bytes) return ("z"):unpack(bytes .. "\0") end

local boolean = { name = "boolean", id = 39, size = 1 }
function boolean.parse(value)
  if type(value) ~= "boolean" then bad(boolean, value) end
  return value and "\1" or "\0"
end
function boolean.format(bytes) return bytes ~= "\0" end

-- A route is there or not: the same in 32 bits.
local presence = { name = "presence", id = 39, size = 4 }
function presence.parse(value) return ("=I4"):pack(boolean.parse(value):byte()) end
function presence.format(bytes) return bytes ~= "\0\0\0\0" end

local PROTOCOLS = { icmp = 1, igmp = 2, tcp = 6, udp = 17, dccp = 33, ah = 51, esp = 50, icmpv6 = 58, comp = 108,
  udplite = 136, sctp = 132 }
local ETHERTYPES = { ip = 0x0800, arp = 0x0806, ip6 = 0x86dd, vlan = 0x8100 }

local ALL = {
  address("ipv4_addr", 7, 4, "inet"), address("ipv6_addr", 8, 16, "inet6"), ether, ifname, presence, boolean,
  number("inet_proto", 12, 1, { names = PROTOCOLS }),
  number("inet_service", 13, 2, {}),
  number("ether_type", 10, 2, { names = ETHERTYPES }),
  number("nf_proto", 2, 1, { host = true, names = { ipv4 = S.c.NFPROTO.IPV4, ipv6 = S.c.NFPROTO.IPV6 } }),
  number("mark", 19, 4, { host = true }),
  number("iface_index", 20, 4, { host = true }),
  number("uid", 24, 4, { host = true }),
  number("gid", 25, 4, { host = true }),
  number("pkt_type", 31, 1, { host = true, names = { host = 0, unicast = 0, broadcast = 1, multicast = 2, other = 3 } }),
  number("devgroup", 35, 4, { host = true, names = { default = 0 } }),
  number("ct_state", 26, 4, { host = true, bits = true,
    names = { invalid = 1, established = 2, related = 4, new = 8, untracked = 64 } }),
  number("ct_status", 28, 4, { host = true, bits = true,
    names = { expected = 1, ["seen-reply"] = 2, assured = 4, confirmed = 8, snat = 16, dnat = 32, dying = 512 } }),
  number("ct_dir", 27, 1, { host = true, names = { original = 0, reply = 1 } }),
  number("tcp_flag", 15, 1, { bits = true,
    names = { fin = 1, syn = 2, rst = 4, psh = 8, ack = 16, urg = 32, ecn = 64, cwr = 128 } }),
  number("icmp_type", 14, 1, { names = { ["echo-reply"] = 0, ["destination-unreachable"] = 3, redirect = 5,
    ["echo-request"] = 8, ["router-advertisement"] = 9, ["router-solicitation"] = 10, ["time-exceeded"] = 11,
    ["parameter-problem"] = 12 } }),
  number("icmpv6_type", 29, 1, { names = { ["destination-unreachable"] = 1, ["packet-too-big"] = 2,
    ["time-exceeded"] = 3, ["parameter-problem"] = 4, ["echo-request"] = 128, ["echo-reply"] = 129,
    ["mld-listener-query"] = 130, ["mld-listener-report"] = 131, ["mld-listener-done"] = 132,
    ["nd-router-solicit"] = 133, ["nd-router-advert"] = 134, ["nd-neighbor-solicit"] = 135,
    ["nd-neighbor-advert"] = 136, ["nd-redirect"] = 137, ["mld2-listener-report"] = 143 } }),
  number("arp_op", 11, 2, { names = { request = 1, reply = 2 } }),
  number("fib_addrtype", 38, 4, { host = true, names = { unspec = 0, unicast = 1, ["local"] = 2, broadcast = 3,
    anycast = 4, multicast = 5, blackhole = 6, unreachable = 7, prohibit = 8 } }),
}

local by_name, by_id = {}, {}
for _, type in ipairs(ALL) do by_name[type.name], by_id[type.id] = type, type end

--- A number without names, of `size` bytes in the order of the network or (host) of the machine.
function M.integer(size, host)
  return number("integer", 4, size, { host = host })
end

--- The types of "ipv4_addr . inet_service", in order.
function M.parse(text)
  local types = {}
  for name in (text .. " . "):gmatch "(.-) %. " do
    types[#types + 1] = by_name[name] or error(("no type '%s'"):format(name), 0)
  end
  return types
end

-- nftables puts the types of a concatenation side by side in one number, six bits each.
local TYPE_BITS = 6

--- The number that sets are marked with.
function M.to_id(list)
  local id = 0
  for _, type in ipairs(list) do id = id << TYPE_BITS | type.id end
  return id
end

--- The types of such a number, in order.
function M.from_id(id)
  local list = {}
  while id > 0 do
    local type = by_id[id & (1 << TYPE_BITS) - 1] or error(("no type %d"):format(id), 0)
    table.insert(list, 1, type)
    id = id >> TYPE_BITS
  end
  return list
end

--- The type itself.
function M.get(name) return by_name[name] end

-- ---- one value or many of them ----

--- The parts of "10.0.0.1 . 80", of which there must be `count`.
function M.split(value, count)
  local parts = {}
  for part in (tostring(value) .. " . "):gmatch "(.-) %. " do parts[#parts + 1] = part end
  if #parts ~= count then error(("'%s' has %d parts; %d are compared"):format(tostring(value), #parts, count), 0) end
  return parts
end

local function is_address(type) return type.name == "ipv4_addr" or type.name == "ipv6_addr" end

-- The lowest and the highest address of a prefix.
local function prefix_range(type, bytes, length)
  local low, high = {}, {}
  for i = 1, type.size do
    local bits = math.min(math.max(length - (i - 1) * 8, 0), 8)
    local mask = 0xff << 8 - bits & 0xff
    low[i] = bytes:byte(i) & mask
    high[i] = bytes:byte(i) | ~mask & 0xff
  end
  return string.char(table.unpack(low)), string.char(table.unpack(high))
end

--- The bytes of the lowest and the highest value: "10.0.0.0/8", "1000-2000", or one value, which is both.
--- The third result is the prefix's length where it is one.
function M.range(type, value)
  if math.type(value) == nil and _G.type(value) == "string" then
    local base, length = value:match "^(.*)/(%d+)$"
    if base and is_address(type) then
      length = math.tointeger(tonumber(length))
      if length > type.size * 8 then bad(type, value) end
      local low, high = prefix_range(type, type.parse(base), length)
      return low, high, length
    end
    local from, to = value:match "^([%x.:]+)%-([%x.:]+)$"
    if from and not type.bits and type.name ~= "ifname" then
      local low, high = type.parse(from), type.parse(to)
      if low > high then error(("'%s' ends before it starts"):format(value), 0) end
      return low, high
    end
  end
  local bytes = type.parse(value)
  return bytes, bytes
end

--- A range as text again; nil where the low end is the high end.
function M.range_text(type, low, high)
  if low == high then return nil end
  if is_address(type) then
    for length = 0, type.size * 8 do
      local from, to = prefix_range(type, low, length)
      if from == low and to == high then return ("%s/%d"):format(type.format(low), length) end
    end
  end
  return ("%s-%s"):format(type.format(low), type.format(high))
end

--- The mask that a list of names of a type of bits is.
function M.mask(type, names)
  local format, mask = (type.host and "=I" or ">I") .. type.size, 0
  for _, name in ipairs(names) do mask = mask | format:unpack(type.parse(name)) end
  return format:pack(mask)
end

--- Big-endian bytes plus one, or nil after the last number.
function M.next(bytes)
  for i = #bytes, 1, -1 do
    local byte = bytes:byte(i)
    if byte < 255 then return bytes:sub(1, i - 1) .. string.char(byte + 1) .. ("\0"):rep(#bytes - i) end
  end
end

return M
