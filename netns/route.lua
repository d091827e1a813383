-- SPDX-License-Identifier: MIT
-- netns.route: routes, IPv4 and IPv6, as plain data. Source: rtnetlink(7), RTM_NEWROUTE; ip-route(8).

local S = require "syscall"
local check = require "netns.check"
local links = require "netns.link"
local nl = require "netns"

local RTA, RTN, RTM, SCOPE = S.c.RTA, S.c.RTN, S.c.RTM, S.c.RT_SCOPE
-- struct rtmsg: family, width of destination and source, tos, table, protocol, scope, type, flags
local HEADER = "I1 I1 I1 I1 I1 I1 I1 I1 I4"
local MAIN = S.c.RT_TABLE.MAIN
local TABLE_BYTE, TYPE_BYTE = 5, 8

local M = {}

local TYPE, PROTOCOL = check.names_of(RTN), check.names_of(S.c.RTPROT)
--- What tables are called, by number.
M.TABLE = { [253] = "default", [254] = "main", [255] = "local" }

--- A table of routes: a number, "main", "local" or "default".
M.table_number = check.const "RT_TABLE"

local function destination(value, what)
  if value == "default" then return "default" end
  return check.cidr(value, what)
end

local FIELDS = { to = destination, via = check.ip, dev = check.name, metric = check.u32, table = M.table_number,
  src = check.ip, type = check.const("RTN", 255), onlink = check.boolean, scope = check.const("RT_SCOPE", 255),
  protocol = check.const("RTPROT", 255), mtu = check.u32, family = check.family, replace = check.boolean, append = check.boolean,
  netns = check.netns }

-- An IPv4 route may have an IPv6 gateway: what it is about decides.
local function family_of(t)
  local is_said = t.family or type(t.to) == "table" or t.src
  return check.family_of(t, is_said and { "to", "src" } or { "via" })
end

local NOWHERE = { [RTN.BLACKHOLE] = true, [RTN.UNREACHABLE] = true, [RTN.PROHIBIT] = true, [RTN.THROW] = true }

-- The narrowest scope that is right, as ip(8) chooses it.
local function scope_of(t, kind)
  if t.scope then return t.scope end
  if kind == RTN.LOCAL then return SCOPE.HOST end
  if kind == RTN.UNICAST and not t.via and t.family ~= S.c.AF.INET6 then return SCOPE.LINK end
  return SCOPE.UNIVERSE
end

local function put_gateway(message, t, family)
  if not t.via then return end
  if check.FAMILY[t.via.family] == family then
    message:bytes(RTA.GATEWAY, t.via.bytes)
  else
    message:bytes(RTA.VIA, ("I2"):pack(check.FAMILY[t.via.family]) .. t.via.bytes)
  end
end

local function compose(index, type, flags, t)
  local family, kind, table_number = family_of(t), t.type or RTN.UNICAST, t.table or MAIN
  t.family = family
  local to = t.to ~= "default" and t.to or nil
  local is_new = type == RTM.NEWROUTE
  local header = HEADER:pack(family, to and to.prefix or 0, 0, 0, table_number < 256 and table_number or 0,
    t.protocol or is_new and S.c.RTPROT.BOOT or 0, is_new and scope_of(t, kind) or t.scope or SCOPE.NOWHERE,
    (is_new or t.type) and kind or 0, t.onlink and S.c.RTNH_F.ONLINK or 0)
  local message = nl.message(type, flags, header)
  if to then message:bytes(RTA.DST, to.bytes) end
  put_gateway(message, t, family)
  if index then message:u32(RTA.OIF, index) end
  if t.metric then message:u32(RTA.PRIORITY, t.metric) end
  if t.src then message:bytes(RTA.PREFSRC, t.src.bytes) end
  if table_number > 255 then message:u32(RTA.TABLE, table_number) end
  if t.mtu then message:nest(RTA.METRICS):u32(S.c.RTAX.MTU, t.mtu):done() end
  return message
end

local function send(link, netns, f, ...)
  if link then return links.send_about(link, netns, f, ...) end
  return links.done(nl.request(f(nil, ...), netns))
end

--- What nl.route asks for, checked: the link's name where it is of one, the namespace, and f, … for the message, f(the
-- link's index, …).
function M.asked(route)
  local t = check.fields(route, "#1", FIELDS)
  check.need(t, "to", "\"default\" or a network")
  if not t.via and not t.dev and not NOWHERE[t.type or RTN.UNICAST] then
    check.fail("'via'", "a gateway, or the 'dev' of a link", nil)
  end
  local how = t.replace and "create, replace" or t.append and "create, append" or "create, excl"
  return t.dev, t.netns, compose, RTM.NEWROUTE, how, t
end

--- nl.route{ to="default" or "10.1.0.0/16", via=, dev=, metric=, table=, src=, type="unicast", onlink=, scope=, protocol=,
--- mtu=, family=, replace=, append=, netns= } -> true
-- Adds a route. type: a name of S.c.RTN, "unreachable", "blackhole", "prohibit" among them, which need no way; onlink: the
-- gateway is on the link, whatever its address; family: of a "default" without an address. replace: instead of one with the
-- same destination and metric; append: beside it, if it leads elsewhere. Errors: EXIST, NETUNREACH (no link reaches the
-- gateway), NODEV, NETDOWN, PERM.
function nl.route(route) return send(M.asked(route)) end

--- nl.delroute{ to=, … } -> true
-- Removes the first route that has all that is given; fields of nl.route. Errors: SRCH.
function nl.delroute(route)
  local t = check.fields(route, "#1", FIELDS)
  check.need(t, "to", "\"default\" or a network")
  return send(t.dev, t.netns, compose, RTM.DELROUTE, nil, t)
end

local meta = {}
meta.__index = meta

-- As `ip route` shows one.
function meta:__tostring()
  local words = {}
  if self.type ~= "unicast" then words[1] = self.type end
  words[#words + 1] = self.to
  for _, key in ipairs { "via", "dev", "table", "protocol", "scope", "src", "metric" } do
    local value = self[key]
    if value and not (key == "table" and value == "main") and not (key == "scope" and value == "universe") then
      words[#words + 1] = (key == "protocol" and "proto" or key) .. " " .. tostring(value)
    end
  end
  if self.onlink then words[#words + 1] = "onlink" end
  for _, hop in ipairs(self.hops or {}) do
    words[#words + 1] = ("nexthop %sdev %s weight %d"):format(hop.via and ("via %s "):format(hop.via) or "", hop.dev, hop.weight)
  end
  return table.concat(words, " ")
end

local function gateway_of(a, name)
  if a[RTA.GATEWAY] then return check.ip_text(name, a[RTA.GATEWAY]) end
  local via = a[RTA.VIA]
  return via and check.ip_text((("I2"):unpack(via)), via:sub(3))
end

-- struct rtnexthop: its length with the attributes that follow, flags, the weight less one, the link.
local HOP = "I2BBi4"

-- The ways of a route that has several; those of links that are gone, it has no more.
local function hops_of(data, name, names)
  local list, at, size = {}, 1, string.packsize(HOP)
  while at + size - 1 <= #data do
    local length, _, more, index = HOP:unpack(data, at)
    if length < size then break end
    local _, a = nl.attributes(data:sub(at, at + length - 1), size)
    if names[index] then
      list[#list + 1] = { via = gateway_of(a, name), index = index, dev = names[index], weight = more + 1 }
    end
    at = at + (length + 3 & ~3)
  end
  return list
end

local SCOPE_NAME = check.names_of(SCOPE)

local function decode(data, names)
  local family, width, _, _, table_number, protocol, scope, kind, flags = HEADER:unpack(data)
  local _, a = nl.attributes(data, string.packsize(HEADER))
  local name = check.family_name(family)
  if not name then return nil end
  local function u32(type) return a[type] and ("I4"):unpack(a[type]) end
  table_number = u32(RTA.TABLE) or table_number
  local to = a[RTA.DST] and check.ip_text(name, a[RTA.DST]) or name == "inet" and "0.0.0.0" or "::"
  local index = u32(RTA.OIF)
  if index and not names[index] then return nil end -- gone with its link
  return setmetatable({ family = name, to = width == 0 and "default" or ("%s/%d"):format(to, width), prefix = width,
    bytes = a[RTA.DST], via = gateway_of(a, name), index = index, dev = index and names[index],
    src = a[RTA.PREFSRC] and check.ip_text(name, a[RTA.PREFSRC]), metric = u32(RTA.PRIORITY),
    table = M.TABLE[table_number] or table_number, type = TYPE[kind] or kind, protocol = PROTOCOL[protocol] or protocol,
    scope = SCOPE_NAME[scope] or scope, onlink = flags & S.c.RTNH_F.ONLINK ~= 0 or nil,
    hops = a[RTA.MULTIPATH] and hops_of(a[RTA.MULTIPATH], name, names) }, meta)
end

-- The names of links by index, as they were at first and, where one is missing, as they are by now; false for a link that is gone.
local function link_names(netns)
  local names, err, errno = links.names(netns)
  if not names then return nil, err, errno end
  return setmetatable(names, { __index = function(known, index)
    local now = links.names(netns) or {}
    for i, name in pairs(now) do known[i] = name end
    known[index] = now[index] or false
    return known[index]
  end })
end

--- nl.routes([{ family=, table="main" or "all", type=, dev=, netns= }]) -> list
-- The routes of a table, of one type if it is given, IPv4 and IPv6 if not given otherwise: { family=, to=, via=, dev=, index=,
-- src=, metric=, table=, type=, protocol=, scope=, onlink=, hops= } each; hops: in place of via, dev and index, the ways of one
-- that has several, { via=, dev=, index=, weight= } each. dev: those by that link alone. The list prints as `ip route` does.
function nl.routes(filter)
  local t = check.fields(filter or {}, "#1", { family = check.family, dev = check.name, netns = check.netns, type = FIELDS.type,
    table = function(value, what) return value == "all" and value or M.table_number(value, what) end })
  local names, err, errno = link_names(t.netns)
  if not names then return nil, err, errno end
  local number = t.table ~= "all" and (t.table or MAIN) or nil
  local wanted = number and (M.TABLE[number] or number)
  local list = setmetatable({}, check.list_meta)
  for _, family in ipairs(t.family and { t.family } or { S.c.AF.INET, S.c.AF.INET6 }) do
    local replies
    -- Most routes are the table "local"'s, of types of its own: the kernel leaves them out, where it looks at either (4.20).
    local header = HEADER:pack(family, 0, 0, 0, number and number < 256 and number or 0, 0, 0, t.type or 0, 0)
    replies, err, errno = nl.request(nl.message(RTM.GETROUTE, nil, header), t.netns, "dump")
    if not replies and number and err.NOENT then replies = {} end -- no table of this number yet
    if not replies then return nil, err, errno end
    for _, reply in ipairs(replies) do
      local is_other = number and number < 256 and reply.data:byte(TABLE_BYTE) ~= number
        or t.type and reply.data:byte(TYPE_BYTE) ~= t.type
      local route = not is_other and decode(reply.data, names)
      if route and (not wanted or route.table == wanted) and (not t.dev or route.dev == t.dev) then list[#list + 1] = route end
    end
  end
  return list
end

return M
