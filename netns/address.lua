-- SPDX-License-Identifier: MIT
-- netns.address: the addresses of links, IPv4 and IPv6. Source: rtnetlink(7), RTM_NEWADDR; ip-address(8).

local S = require "syscall"
local check = require "netns.check"
local links = require "netns.link"
local nl = require "netns"

local M = {}

local IFA, IFA_F, RTM = S.c.IFA, S.c.IFA_F, S.c.RTM
local HEADER = "I1 I1 I1 I1 I4" -- struct ifaddrmsg: family, prefix, flags, scope, index
local FOREVER = 0xffffffff

local SCOPE = {}
for name, value in pairs(S.c.RT_SCOPE) do SCOPE[value] = name == "UNIVERSE" and "global" or name:lower() end

local function scope(value, what)
  for number, name in pairs(SCOPE) do
    if name == value then return number end
  end
  check.fail(what, "\"global\", \"link\", \"host\" or \"site\"", value)
end

local OPTIONS = { flags = function(value, what) return check.flags(value, what, "IFA_F") end, peer = check.cidr,
  broadcast = check.ip, label = check.name, scope = scope, valid = check.u32, preferred = check.u32, netns = check.netns,
  replace = check.boolean }

-- The message for an address of the link `index`.
local function compose(index, type, flags, ip, t)
  local family, at = check.FAMILY[ip.family], t.peer or ip
  local scoped = t.scope or ip.family == "inet" and ip.bytes:byte() == 127 and S.c.RT_SCOPE.HOST or 0
  local bits = t.flags or 0
  local message = nl.message(type, flags, HEADER:pack(family, at.prefix, bits & 0xff, scoped, index))
    :bytes(IFA.LOCAL, ip.bytes):bytes(IFA.ADDRESS, at.bytes)
  if bits > 0 then message:u32(IFA.FLAGS, bits) end
  if t.broadcast then message:bytes(IFA.BROADCAST, t.broadcast.bytes) end
  if t.label then message:string(IFA.LABEL, t.label) end
  if t.valid or t.preferred then
    message:bytes(IFA.CACHEINFO, ("I4I4I4I4"):pack(t.preferred or t.valid, t.valid or FOREVER, 0, 0))
  end
  return message
end

-- An IPv4 network of more than two addresses has one for all of them, its last.
local function broadcast_of(ip)
  if ip.family ~= "inet" or ip.prefix > 30 then return nil end
  local number = (">I4"):unpack(ip.bytes) | (1 << 32 - ip.prefix) - 1
  return { bytes = (">I4"):pack(number) }
end

-- What is asked for, checked: the namespace, and f, … for the message, f(the link's index, …).
local function wanted(cidr, options)
  local ip = check.cidr(cidr, "#2")
  if type(options) ~= "table" then options = { flags = options } end
  local t = check.fields(options, "#3", OPTIONS)
  if not t.broadcast and not t.peer then t.broadcast = broadcast_of(ip) end
  if t.peer and t.peer.family ~= ip.family then check.fail("'peer'", "an address of the same family", t.peer.text) end
  local how = t.replace and "create, replace" or "create, excl"
  return t.netns, compose, RTM.NEWADDR, how, ip, t
end

--- What nl.address asks for, checked: the link's name, the namespace, and f, … for the message, f(the link's index, …).
function M.asked(link, cidr, options) return check.name(link, "#1"), wanted(cidr, options) end

local function made(index, _, f, ...) return f(index, ...) end

--- The message that gives the link `index` an address; given: "10.0.0.2/24", or { "10.0.0.2/24", what else nl.address takes }.
function M.message(index, given)
  if type(given) == "table" then return made(index, wanted(given[1], given[2])) end
  return made(index, wanted(given))
end

--- nl.address(link, "10.0.0.2/24" [, flags or { flags=, peer=, broadcast=, label=, scope=, valid=s, preferred=s, replace=,
--- netns= }]) -> true
-- Gives a link an address. flags: names of S.c.IFA_F; "nodad": an IPv6 address is ready at once, without a look whether
-- another has it; "noprefixroute": no route to its network. broadcast: the last address of an IPv4 network if not given.
-- Errors: EXIST, NODEV, PERM; ACCES for IPv6 where it is switched off.
function nl.address(link, cidr, options) return links.send_about(M.asked(link, cidr, options)) end

local function compose_gone(index, list)
  local messages = {}
  for i, ip in ipairs(list) do messages[i] = compose(index, RTM.DELADDR, nil, ip, {}) end
  return messages
end

--- nl.deladdress(link, "10.0.0.2/24" or a list of them [, netns]) -> true
-- Takes addresses away, of a list each that is there. Errors: ADDRNOTAVAIL, NODEV, PERM.
function nl.deladdress(link, cidrs, netns)
  link = check.name(link, "#1")
  local list = {}
  for i, cidr in ipairs(type(cidrs) == "table" and cidrs or { cidrs }) do list[i] = check.cidr(cidr, "#2") end
  if not list[1] then check.cidr(nil, "#2") end
  if netns then check.netns(netns, "#3") end
  return links.send_about(link, netns, compose_gone, list)
end

local meta = {}
meta.__index = meta

-- As `ip address` shows one.
function meta:__tostring()
  local words = { self.family, self.peer and ("%s peer %s/%d"):format(self.address, self.peer, self.prefix)
    or ("%s/%d"):format(self.address, self.prefix) }
  if self.broadcast then words[#words + 1] = "brd " .. self.broadcast end
  words[#words + 1] = "scope " .. tostring(self.scope)
  words[#words + 1] = #self.flags > 0 and table.concat(self.flags, " ") or nil
  words[#words + 1] = self.label
  return table.concat(words, " ")
end

local function lifetime(seconds) return seconds ~= FOREVER and seconds or nil end

local function decode(data)
  local family, prefix, bits, scoped, index = HEADER:unpack(data)
  local _, a = nl.attributes(data, string.packsize(HEADER))
  local name, own = check.family_name(family), a[IFA.LOCAL] or a[IFA.ADDRESS]
  if not name or not own then return nil end
  if a[IFA.FLAGS] then bits = ("I4"):unpack(a[IFA.FLAGS]) end
  local address = { family = name, index = index, address = check.ip_text(name, own), prefix = prefix, bytes = own,
    peer = a[IFA.ADDRESS] and a[IFA.ADDRESS] ~= own and check.ip_text(name, a[IFA.ADDRESS]) or nil,
    broadcast = a[IFA.BROADCAST] and check.ip_text(name, a[IFA.BROADCAST]),
    label = a[IFA.LABEL] and ("z"):unpack(a[IFA.LABEL]), scope = SCOPE[scoped] or scoped,
    flags = check.flag_names(bits & ~IFA_F.PERMANENT, IFA_F) }
  if a[IFA.CACHEINFO] then
    local preferred, valid = ("I4I4"):unpack(a[IFA.CACHEINFO])
    address.preferred, address.valid = lifetime(preferred), lifetime(valid)
  end
  return setmetatable(address, meta)
end

--- nl.addresses([{ dev=, family="inet" or "inet6", netns= }]) -> list
-- The addresses of all links, or of one: { family=, index= of the link, address=, prefix=, peer=, broadcast=, label=, scope=,
-- flags= names, valid=s, preferred=s } each. Errors: NODEV.
function nl.addresses(filter)
  local t = check.fields(filter or {}, "#1", { dev = check.name, family = check.family, netns = check.netns })
  local index, err, errno = 0, nil, nil
  if t.dev then index, err, errno = links.index(t.dev, t.netns) end
  if not index then return nil, err, errno end
  local replies
  replies, err, errno = nl.request(nl.message(RTM.GETADDR, nil, HEADER:pack(t.family or 0, 0, 0, 0, index)), t.netns, "dump")
  if not replies then return nil, err, errno end
  local list = setmetatable({}, check.list_meta)
  for _, reply in ipairs(replies) do
    local address = decode(reply.data)
    if address and (index == 0 or address.index == index) then list[#list + 1] = address end
  end
  return list
end

return M
