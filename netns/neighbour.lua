-- SPDX-License-Identifier: MIT
-- netns.neighbour: which hardware address an address of the link has. Source: rtnetlink(7), RTM_NEWNEIGH; ip-neighbour(8).

local S = require "syscall"
local check = require "netns.check"
local links = require "netns.link"
local nl = require "netns"

local NDA, NTF, NUD, RTM = S.c.NDA, S.c.NTF, S.c.NUD, S.c.RTM
local HEADER = "I1 xxx i4 I2 I1 I1" -- struct ndmsg: family, index, state, flags, type

local function state(value, what) return check.flags(value, what, "NUD") end

local M = {}

local FIELDS = { to = check.ip, dev = check.name, mac = check.mac, state = state, proxy = check.boolean,
  router = check.boolean, replace = check.boolean, netns = check.netns }

local function compose(index, type, flags, t)
  local bits = (t.proxy and NTF.PROXY or 0) | (t.router and NTF.ROUTER or 0)
  local message = nl.message(type, flags, HEADER:pack(check.FAMILY[t.to.family], index, t.state or NUD.PERMANENT, bits, 0))
    :bytes(NDA.DST, t.to.bytes)
  if t.mac then message:bytes(NDA.LLADDR, t.mac) end
  return message
end

--- The message that says where on the link `index` an address is; entry: as nl.neighbour takes it, without dev.
function M.message(index, entry)
  local t = check.fields(entry, "#2", FIELDS)
  check.need(t, "to", "an IPv4 or IPv6 address")
  check.need(t, "mac", "an Ethernet address")
  return compose(index, RTM.NEWNEIGH, t.replace and "create, replace" or "create, excl", t)
end

local function send(type, flags, entry)
  local t = check.fields(entry, "#1", FIELDS)
  check.need(t, "to", "an IPv4 or IPv6 address")
  check.need(t, "dev", "the name of a link")
  if type == RTM.NEWNEIGH and not t.proxy then check.need(t, "mac", "an Ethernet address") end
  return links.send_about(t.dev, t.netns, compose, type, flags, t)
end

--- nl.neighbour{ to=address, dev=, mac=, state="permanent", proxy=, router=, replace=, netns= } -> true
-- Says where on a link an address is. proxy: we answer for it ourselves. state: names of S.c.NUD. Errors: EXIST, NODEV, PERM.
function nl.neighbour(entry)
  return send(RTM.NEWNEIGH, type(entry) == "table" and entry.replace and "create, replace" or "create, excl", entry)
end

--- nl.delneighbour{ to=, dev=, proxy=, netns= } -> true
-- Forgets one. Errors: NOENT, NODEV.
function nl.delneighbour(entry)
  return send(RTM.DELNEIGH, nil, entry)
end

local meta = {}
meta.__index = meta

-- As `ip neighbour` shows one.
function meta:__tostring()
  return ("%s dev %s%s %s"):format(self.to, self.dev, self.mac and " lladdr " .. self.mac or "", self.proxy and "proxy"
    or table.concat(self.state, ","):upper())
end

local function decode(data, names)
  local family, index, bits, flags = HEADER:unpack(data)
  local _, a = nl.attributes(data, string.packsize(HEADER))
  local name = check.family_name(family)
  if not name or not a[NDA.DST] then return nil end
  local mac = a[NDA.LLADDR]
  return setmetatable({ family = name, index = index, dev = names[index] or index, to = check.ip_text(name, a[NDA.DST]),
    mac = mac and #mac == 6 and check.mac_text(mac) or nil,
    state = check.flag_names(bits, NUD), proxy = flags & NTF.PROXY ~= 0 or nil }, meta)
end

--- nl.neighbours([{ family=, dev=, proxy=, netns= }]) -> list
-- Those known: { family=, to=, dev=, index=, mac=, state= names } each, without the ones that need no asking (multicast, lo);
-- proxy: those we answer for instead. The list prints as `ip neighbour` does.
function nl.neighbours(filter)
  local t = check.fields(filter or {}, "#1", { family = check.family, dev = check.name, proxy = check.boolean,
    netns = check.netns })
  local names, err, errno = links.names(t.netns)
  if not names then return nil, err, errno end
  local message = nl.message(RTM.GETNEIGH, nil, HEADER:pack(t.family or 0, 0, 0, t.proxy and NTF.PROXY or 0, 0))
  local replies
  replies, err, errno = nl.request(message, t.netns, "dump")
  if not replies then return nil, err, errno end
  local list = setmetatable({}, check.list_meta)
  for _, reply in ipairs(replies) do
    local entry = decode(reply.data, names)
    if entry and entry.state[1] ~= "noarp" and (not t.dev or entry.dev == t.dev) then list[#list + 1] = entry end
  end
  return list
end

return M
