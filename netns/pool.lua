-- SPDX-License-Identifier: MIT
-- netns.pool: ranges of private addresses, and which of their parts a host's own networks leave free. A part is known by
-- its number, which a lock holds (S.take_slot), so that two containers never have the same.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"

local M = {}

-- From each range a wire to the host takes /30s, a bridge /24s. Several, for routes of the host's may cover one whole.
-- Those of IPv6 are said by the same number: fd6c:7567:65 is "luge" (RFC 4193), and so is fc6c:7567:65, in the half of those
-- addresses that nobody gives.
M.WIRE = { prefix = 30, prefix6 = 64, count = 16384, bases = { "10.213.0.0/16", "172.29.0.0/16", "192.168.0.0/16" },
  bases6 = { "fd6c:7567:6500::/48", "fc6c:7567:6500::/48" } }
M.BRIDGE = { prefix = 24, prefix6 = 64, count = 256, bases = { "10.214.0.0/16", "172.30.0.0/16", "192.168.0.0/16" },
  bases6 = { "fd6c:7567:6501::/48", "fc6c:7567:6501::/48" } }

--- The ranges that luge takes networks from where the host's leave them, those of groups' own (netns.plan_shared) among them.
M.OWN = { M.WIRE.bases[1], M.BRIDGE.bases[1], "10.215.0.0/16", "fd6c:7567:6500::/46", "fc6c:7567:6500::/46" }

local function number4(bytes) return (">I4"):unpack(bytes) end

-- Which parts of `base` a network covers: first and count, or nil. Both as of check.parse_cidr.
local function covered4(base, prefix, network)
  local size, width = 1 << 32 - prefix, 1 << 32 - base.prefix
  local start = number4(base.bytes)
  local first = number4(network.bytes) & ~((1 << 32 - network.prefix) - 1)
  local last = first + (1 << 32 - network.prefix) - 1
  first, last = math.max(first, start), math.min(last, start + width - 1)
  if first > last then return nil end
  return (first - start) // size, (last - start) // size - (first - start) // size + 1
end

-- The same of IPv6, whose parts are /64s of a /48.
local function covered6(base, network, count)
  local shared = math.min(base.prefix, network.prefix)
  for at = 1, shared // 8 do
    if base.bytes:byte(at) ~= network.bytes:byte(at) then return nil end
  end
  local rest = shared % 8
  if rest > 0 and base.bytes:byte(shared // 8 + 1) >> 8 - rest ~= network.bytes:byte(shared // 8 + 1) >> 8 - rest then
    return nil
  end
  if network.prefix <= base.prefix then return 0, count end
  local number = (">I2"):unpack(network.bytes, 7)
  if network.prefix >= 64 then return number, 1 end
  local width = 1 << 64 - network.prefix
  return number & ~(width - 1), width
end

--- A default route says nothing of what is in use, nor do the two halves that a VPN makes of one.
function M.is_default(network) return network.prefix < 2 end

-- The parts of a range that the host's networks cover.
local function taken_of(kind, base, networks)
  local taken, range = {}, check.parse_cidr(base)
  for _, network in ipairs(networks) do
    local first, count
    if network.family == range.family and not M.is_default(network) then
      if range.family == "inet" then
        first, count = covered4(range, kind.prefix, network)
      else
        first, count = covered6(range, network, kind.count)
      end
    end
    if first then taken[#taken + 1] = { first = first, count = count } end
  end
  return taken
end

-- Whether ranges leave none of the numbers from 0 on, all of them together.
local function is_whole(taken, count)
  local sorted = table.move(taken, 1, #taken, 1, {})
  table.sort(sorted, function(a, b) return a.first < b.first end)
  local free = 0
  for _, range in ipairs(sorted) do
    if range.first > free then return false end
    free = math.max(free, range.first + range.count)
  end
  return free >= count
end

--- Whether a network of the host's, as of M.host_networks, is a wire's that luge has chosen.
function M.is_of_luge(network)
  if not tostring(network.dev):find "^lg%w%w%w%w%w%w%w%w$" then return false end
  for _, base in ipairs(M.WIRE.bases) do
    if M.contains(base, network.text:match "^[^/]+") then return true end
  end
  return false
end

--- The first ranges of `kind` (M.WIRE, M.BRIDGE) that the host's networks ({ family =, bytes =, prefix = } each) leave
-- something of: { base =, base6 =, pool = as S.take_slot takes it }; nil when there are none. families: { inet =, inet6 = }
-- that are wanted.
function M.choose(kind, networks, families)
  for _, base6 in ipairs(kind.bases6) do
    local taken6 = families.inet6 and taken_of(kind, base6, networks) or {}
    for _, base in ipairs(kind.bases) do
      local avoid = families.inet and taken_of(kind, base, networks) or {}
      table.move(taken6, 1, #taken6, #avoid + 1, avoid)
      if not is_whole(avoid, kind.count) then
        return { base = base, base6 = base6, pool = { first = 0, step = 1, count = kind.count, avoid = avoid } }
      end
    end
  end
end

local GUESTS = { veth = true, bridge = true }

-- The ways of a route: { via =, dev = } each.
local function ways_of(route) return route.hops or { route } end

-- The links that the host goes out by and that are of a guest's kind, by their names.
local function uplinks_of(routes)
  local names, list = {}, {}
  for _, route in ipairs(routes) do
    for _, way in ipairs(M.is_default(route) and ways_of(route) or {}) do
      if way.dev then names[way.dev] = true end
    end
  end
  for _, name in ipairs(check.sorted_keys(names)) do
    if GUESTS[require("netns.link").kind(name)] then list[#list + 1] = name end
  end
  return list
end

--- The networks that the host has routes to, in any table, for a VPN has its own, and the routers that it sends by, as
-- M.choose takes them: { family =, bytes =, prefix =, text =, dev =, is_far = whether the host is not itself in it } each; and
-- as `uplinks` the names of veths and bridges that lead it to everywhere (netns.forwarding). Errors: as of nl.routes.
function M.host_networks()
  local routes, err, errno = nl.routes { table = "all", type = "unicast" }
  if not routes then return nil, err, errno end
  local list, routers = {}, {}
  local function add(to, ip, prefix, text, dev, is_far)
    to[#to + 1] = { family = ip.family, bytes = ip.bytes, prefix = prefix, text = text, dev = dev, is_far = is_far }
  end
  for _, route in ipairs(routes) do
    if route.bytes then add(list, route, route.prefix, route.to, route.dev, route.protocol ~= "kernel") end
    for _, way in ipairs(ways_of(route)) do
      local router = way.via and check.parse_ip(way.via)
      if router then add(routers, router, router.prefix, way.via, way.dev) end
    end
  end
  list.uplinks = uplinks_of(routes)
  return table.move(routers, 1, #routers, #list + 1, list)
end

--- nl.subnet(base, prefix, number, host) -> text
-- Address `host` (0: the network's own) of the part `number`, prefix bits wide, of a range: nl.subnet("10.213.0.0/16", 30,
-- 1, 2) is "10.213.0.6". IPv6 takes parts of 64 bits.
function nl.subnet(base, prefix, number, host)
  local range = check.cidr(base, "#1")
  local most = range.family == "inet" and 32 or 64
  if math.type(prefix) ~= "integer" or prefix < range.prefix or prefix > most then
    check.fail("#2", ("a width from %d to %d"):format(range.prefix, most), prefix)
  elseif math.type(number) ~= "integer" or number >> prefix - range.prefix ~= 0 then
    check.fail("#3", "a part of the range", number)
  elseif math.type(host) ~= "integer" or host < 0
    or most == 32 and number4(range.bytes) + (number << 32 - prefix) + host > 0xffffffff then
    check.fail("#4", "a number that leads to an address", host)
  end
  if range.family == "inet" then
    return check.ip_text("inet", (">I4"):pack(number4(range.bytes) + (number << 32 - prefix) + host))
  end
  local high, low = (">i8i8"):unpack(range.bytes)
  return check.ip_text("inet6", (">i8i8"):pack(high + (number << 64 - prefix), low + host))
end

-- Bytes as an address whose bits after the first `prefix` are gone.
local function masked(bytes, prefix)
  local result = {}
  for at = 1, #bytes do
    local bits = math.max(0, math.min(8, prefix - (at - 1) * 8))
    result[at] = string.char(bytes:byte(at) & 0xff << 8 - bits & 0xff)
  end
  return table.concat(result)
end

--- The first address of a network that is not the given one (text both), for the end that no profile names; of a network of
-- two addresses (RFC 3021, RFC 6164) the other one, nil in one of a single address.
function M.neighbour_of(cidr)
  local ip = check.parse_cidr(cidr)
  local low, rest = masked(ip.bytes, ip.prefix), #ip.bytes * 8 - ip.prefix
  local first = rest == 1 and 0 or 1
  for host = first, rest > 0 and first + 1 or 0 do
    local bytes = low:sub(1, -2) .. string.char(low:byte(-1) + host)
    if bytes ~= ip.bytes then return check.ip_text(ip.family, bytes) end
  end
end

--- The network of an address and its width: "10.6.0.0/16" of "10.6.7.8/16".
function M.network_of(cidr)
  local ip = check.parse_cidr(cidr)
  return ("%s/%d"):format(check.ip_text(ip.family, masked(ip.bytes, ip.prefix)), ip.prefix)
end

--- Whether two networks (text both, or one an address) have an address in common.
function M.meet(one, other)
  return M.contains(one, other:match "^[^/]+") or M.contains(other, one:match "^[^/]+")
end

--- Whether an address lies in a network (text both).
function M.contains(cidr, address)
  local network, ip = check.parse_cidr(cidr), check.parse_ip(address)
  if not ip or ip.family ~= network.family then return false end
  local whole, rest = network.prefix // 8, network.prefix % 8
  if network.bytes:sub(1, whole) ~= ip.bytes:sub(1, whole) then return false end
  return rest == 0 or network.bytes:byte(whole + 1) >> 8 - rest == ip.bytes:byte(whole + 1) >> 8 - rest
end

--- nl.link_name(prefix) -> text
-- A name for a link that nobody has had: the prefix, of at most 7 characters, and eight more.
function nl.link_name(prefix)
  if type(prefix) ~= "string" or not nl.is_link_name(prefix .. "xxxxxxxx") then
    check.fail("#1", "at most 7 characters of a link's name", prefix)
  end
  local name, err, errno = S.random_name(8)
  if not name then return nil, err, errno end
  return prefix .. name
end

return M
