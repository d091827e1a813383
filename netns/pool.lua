-- SPDX-License-Identifier: MIT
-- netns.pool: ranges of private addresses, and which of their parts a host's own networks leave free. A part is known by
-- its number, which a lock holds (S.take_slot), so that two containers never have the same.

local check = require "netns.check"
local nl = require "netns"

local M = {}

-- From each range a wire to the host takes /30s, a bridge /24s. Several, for a route of the host's may cover one whole.
-- The one of IPv6 is said by the same number: fd6c:7567:65 is "luge" (RFC 4193).
M.WIRE = { prefix = 30, prefix6 = 64, base6 = "fd6c:7567:6500::/48", count = 16384,
  bases = { "10.213.0.0/16", "172.29.0.0/16", "192.168.0.0/16" } }
M.BRIDGE = { prefix = 24, prefix6 = 64, base6 = "fd6c:7567:6501::/48", count = 256,
  bases = { "10.214.0.0/16", "172.30.0.0/16", "192.168.0.0/16" } }

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

-- A default route says nothing of what is in use, nor do the two halves that a VPN makes of one.
local function is_default(network) return network.prefix < 2 end

--- The first range of `kind` (M.WIRE, M.BRIDGE) that the host's networks ({ family =, bytes =, prefix = } each) leave
-- something of: { base =, pool = as S.take_slot takes it }; nil when there is none. families: { inet =, inet6 = } that are
-- wanted.
function M.choose(kind, networks, families)
  local base6, taken6 = check.parse_cidr(kind.base6), {}
  for _, network in ipairs(networks) do
    if families.inet6 and network.family == "inet6" and not is_default(network) then
      local first, count = covered6(base6, network, kind.count)
      if first == 0 and count >= kind.count then return nil end
      if first then taken6[#taken6 + 1] = { first = first, count = count } end
    end
  end
  for _, text in ipairs(kind.bases) do
    local base, avoid, whole = check.parse_cidr(text), table.move(taken6, 1, #taken6, 1, {}), false
    for _, network in ipairs(networks) do
      if families.inet and network.family == "inet" and not is_default(network) then
        local first, count = covered4(base, kind.prefix, network)
        if first then avoid[#avoid + 1] = { first = first, count = count } end
        whole = whole or first == 0 and count >= kind.count
      end
    end
    if not whole then
      return { base = text, pool = { first = 0, step = 1, count = kind.count, avoid = avoid } }
    end
  end
end

--- The networks that the host has routes to or addresses of, as M.choose takes them. Errors: as of nl.routes.
function M.host_networks()
  local routes, err, errno = nl.routes()
  if not routes then return nil, err, errno end
  local list = {}
  for _, route in ipairs(routes) do
    if route.type == "unicast" and route.bytes then
      list[#list + 1] = { family = route.family, bytes = route.bytes, prefix = route.prefix, text = route.to, dev = route.dev }
    end
  end
  return list
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
  elseif math.type(host) ~= "integer" or host < 0 or most == 32 and host >> 32 - prefix ~= 0 then
    check.fail("#4", "a number within the part", host)
  end
  if range.family == "inet" then
    return check.ip_text("inet", (">I4"):pack(number4(range.bytes) + (number << 32 - prefix) + host))
  end
  local high, low = (">i8i8"):unpack(range.bytes)
  return check.ip_text("inet6", (">i8i8"):pack(high + (number << 64 - prefix), low + host))
end

--- The first address of a network that is not `other` (both text); for the end that no profile names.
function M.neighbour_of(cidr)
  local ip = check.parse_cidr(cidr)
  for host = 1, 2 do
    local text
    if ip.family == "inet" then
      text = check.ip_text("inet", (">I4"):pack((number4(ip.bytes) & ~((1 << 32 - ip.prefix) - 1)) + host))
    else
      local high, low = (">i8i8"):unpack(ip.bytes)
      local mask_high = ip.prefix >= 64 and -1 or ~((1 << 64 - ip.prefix) - 1)
      local mask_low = ip.prefix <= 64 and 0 or ip.prefix == 128 and -1 or ~((1 << 128 - ip.prefix) - 1)
      text = check.ip_text("inet6", (">i8i8"):pack(high & mask_high, (low & mask_low) + host))
    end
    if check.parse_ip(text).bytes ~= ip.bytes then return text end
  end
end

--- The network of an address and its width: "10.6.0.0/16" of "10.6.7.8/16".
function M.network_of(cidr)
  local ip = check.parse_cidr(cidr)
  local bytes = {}
  for at = 1, #ip.bytes do
    local bits = math.max(0, math.min(8, ip.prefix - (at - 1) * 8))
    bytes[at] = string.char(ip.bytes:byte(at) & 0xff << 8 - bits & 0xff)
  end
  return ("%s/%d"):format(check.ip_text(ip.family, table.concat(bytes)), ip.prefix)
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
  local S = require "syscall"
  if type(prefix) ~= "string" or not nl.is_link_name(prefix .. ("x"):rep(8)) then
    check.fail("#1", "at most 7 characters of a link's name", prefix)
  end
  local fd, err, errno = S.open("/dev/urandom", "rdonly, cloexec")
  if not fd then return nil, err, errno end
  local bytes = fd:read(8)
  fd:close()
  local letters = "abcdefghijklmnopqrstuvwxyz0123456789"
  return prefix .. bytes:gsub(".", function(byte)
    local at = byte:byte() % #letters + 1
    return letters:sub(at, at)
  end)
end

return M
