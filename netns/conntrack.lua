-- SPDX-License-Identifier: MIT
-- netns.conntrack: the connections that the kernel keeps in mind for its firewall, and how they are forgotten. What was
-- decided at a connection's first packet, where it is led and that it may go on, holds for all that follow: a rule that is
-- made later changes nothing about it. Source: linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_netlink.c.
--
-- Whether there are any that a container has to have forgotten is read from /proc, in a quarter of a millisecond: most often
-- none are. Those of one IPv4 address the kernel finds itself since Linux 6.11. Others, and those on older kernels, are listed
-- by netlink, which takes 10 ms where many fit in, for it locks each of their places, empty ones as well, whatever it is told to
-- choose by; and taken away one by one. Asked for one IPv6 address, it chooses all but that one (ctnetlink_filter_match_tuple of
-- 5.8 to 6.18 at least).

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"
local sysctl = require "netns.sysctl"

local CTA, MSG, NFNL, IPS = S.c.CTA, S.c.CT_MSG, S.c.NFNL, S.c.IPS
local HEADER = "BB>I2" -- struct nfgenmsg: family, version, resource
local HEADER_SIZE = string.packsize(HEADER)
local FAMILY, NAME = { inet = S.c.NFPROTO.IPV4, inet6 = S.c.NFPROTO.IPV6 }, {}
for name, number in pairs(FAMILY) do NAME[number] = name end

-- The parts of an end that a filter of the kernel's asks for (CTA_FILTER_F_* of its nf_internals.h).
local BY_FROM, BY_TO, BY_PROTO, BY_TO_PORT = 1 << 0, 1 << 1, 1 << 3, 1 << 5
-- Up to so many connections are all looked at; from more the kernel is asked to choose, which costs it a walk each time.
local FEW = 2000

local PROTO = { tcp = S.c.IPPROTO.TCP, udp = S.c.IPPROTO.UDP, icmp = S.c.IPPROTO.ICMP, icmpv6 = S.c.IPPROTO.ICMPV6,
  sctp = 132 }
local PROTO_NAME = {}
for name, number in pairs(PROTO) do PROTO_NAME[number] = name end

local TCP_STATE = check.names_of(S.c.TCP_CONNTRACK)

-- ---- what is asked for ----

local function proto(value, what)
  return PROTO[value] and value or check.fail(what, "\"tcp\", \"udp\", \"icmp\", \"icmpv6\" or \"sctp\"", value)
end

local function to(value, what) return value == "local" and value or check.cidr(value, what) end

local FIELDS = { family = check.family, from = check.cidr, to = to, answers = check.cidr, proto = proto, port = check.u16 }
local ENDS = { "from", "to", "answers" }

local function family_of(t)
  for _, key in ipairs(ENDS) do
    if type(t[key]) == "table" then return t[key].family end
  end
  return t.family and check.family_name(t.family)
end

-- An end of a filter, where the kernel can choose by it.
local function one_address(ip)
  return type(ip) == "table" and ip.family == "inet" and ip.prefix == 32 and ip or nil
end

-- The host's own addresses, by their text.
local function own_addresses(netns)
  local list, err, errno = nl.addresses { netns = netns }
  if not list then return nil, err, errno end
  local own = {}
  for _, address in ipairs(list) do own[address.address] = true end
  return own
end

-- One end of a connection; returns the flags of what stands in it.
local function put_end(m, attribute, from, into, t)
  local flags = 0
  m:nest(attribute)
  if from or into then
    m:nest(CTA.TUPLE_IP):bytes(from and CTA.IP_V4_SRC or CTA.IP_V4_DST, (from or into).bytes):done()
    flags = from and BY_FROM or BY_TO
  end
  if t.proto then
    m:nest(CTA.TUPLE_PROTO):u8(CTA.PROTO_NUM, PROTO[t.proto])
    if t.port then m:be16(CTA.PROTO_DST_PORT, t.port) end
    m:done()
    flags = flags | BY_PROTO | (t.port and BY_TO_PORT or 0)
  end
  m:done()
  return flags
end

-- What the kernel can choose by: whether that is an address, and all that is asked for.
local function put_filter(m, t)
  local from, into, answers = one_address(t.from), one_address(t.to), one_address(t.answers)
  if not family_of(t) or not (from or into or answers or t.proto) then return false end
  local begun, answered = 0, 0
  if from or into or t.proto then begun = put_end(m, CTA.TUPLE_ORIG, from, not from and into, t) end
  if answers then answered = put_end(m, CTA.TUPLE_REPLY, answers, nil, {}) end
  m:nest(CTA.FILTER):u32(CTA.FILTER_ORIG_FLAGS, begun):u32(CTA.FILTER_REPLY_FLAGS, answered):done()
  return (from or into or answers) and t.from == from and t.to == into and t.answers == answers and not (from and into)
    and (t.proto or not t.port)
end

local function is_meant(entry, t, own)
  local function within(key, address)
    local network = t[key]
    return not network or require("netns.pool").contains(("%s/%d"):format(network.text, network.prefix), address)
  end
  if t.to == "local" then
    if not (own[entry.to] or check.is_loopback(entry.to)) then return false end
  elseif not within("to", entry.to) then
    return false
  end
  return within("from", entry.from) and within("answers", entry.reply.from) and (not t.proto or entry.proto == t.proto)
    and (not t.port or entry.to_port == t.port) and (not t.family or entry.family == check.family_name(t.family))
end

-- ---- what the kernel says ----

local meta = {}
meta.__index = meta

local function end_text(address, port)
  if not port then return address end
  return (address:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(address, port)
end

--- Prints one a line: "udp 10.0.0.2:5000 > 192.0.2.1:53, answered 10.213.0.2:53 > 10.0.0.2:5000, unreplied, 29 s".
function meta:__tostring()
  local words = { ("%s %s > %s"):format(self.proto, end_text(self.from, self.from_port), end_text(self.to, self.to_port)),
    ("answered %s > %s"):format(end_text(self.reply.from, self.reply.from_port), end_text(self.reply.to, self.reply.to_port)) }
  words[#words + 1] = self.state
  if not self.seen_reply then words[#words + 1] = "unreplied" end
  if self.timeout then words[#words + 1] = self.timeout .. " s" end
  return table.concat(words, ", ")
end

local function decode_end(data, family)
  local _, a = nl.attributes(data or "")
  local _, ip = nl.attributes(a[CTA.TUPLE_IP] or "")
  local _, p = nl.attributes(a[CTA.TUPLE_PROTO] or "")
  local from, into = ip[CTA.IP_V4_SRC] or ip[CTA.IP_V6_SRC], ip[CTA.IP_V4_DST] or ip[CTA.IP_V6_DST]
  if not from or not into or not p[CTA.PROTO_NUM] then return nil end
  local function port(type) return p[type] and (">I2"):unpack(p[type]) end
  local number = p[CTA.PROTO_NUM]:byte()
  return { proto = PROTO_NAME[number] or tostring(number), from = check.ip_text(family, from), to = check.ip_text(family, into),
    from_port = port(CTA.PROTO_SRC_PORT), to_port = port(CTA.PROTO_DST_PORT) }
end

local function decode(data)
  local family = NAME[data:byte()]
  local _, a = nl.attributes(data, HEADER_SIZE)
  local entry, reply = decode_end(a[CTA.TUPLE_ORIG], family), decode_end(a[CTA.TUPLE_REPLY], family)
  if not family or not entry or not reply then return nil end
  local function be32(type) return a[type] and (">I4"):unpack(a[type]) end
  local status = be32(CTA.STATUS) or 0
  local _, info = nl.attributes(a[CTA.PROTOINFO] or "")
  local _, tcp = nl.attributes(info[CTA.PROTOINFO_TCP] or "")
  entry.family, entry.reply, entry.timeout, entry.mark = family, reply, be32(CTA.TIMEOUT), be32(CTA.MARK)
  entry.state = tcp[CTA.PROTOINFO_TCP_STATE] and TCP_STATE[tcp[CTA.PROTOINFO_TCP_STATE]:byte()]
  entry.seen_reply, entry.dnat = status & IPS.SEEN_REPLY ~= 0, status & IPS.DST_NAT ~= 0
  entry.snat, entry.assured = status & IPS.SRC_NAT ~= 0, status & IPS.ASSURED ~= 0
  entry.raw = { family = data:byte(), orig = a[CTA.TUPLE_ORIG], id = a[CTA.ID], zone = a[CTA.ZONE] }
  return setmetatable(entry, meta)
end

local function message(type, family)
  return nl.message(NFNL.SUBSYS_CTNETLINK << 8 | type, nil, HEADER:pack(family or 0, 0, 0))
end

-- A kernel without this part of nfnetlink says INVAL to whatever it is asked.
local function ask(m, netns, how)
  local replies, err, errno = nl.request(m, netns, how, "netfilter")
  if replies or not err.INVAL then return replies, err, errno end
  return S.failure("OPNOTSUPP", "the kernel does not tell of connections (CONFIG_NF_CT_NETLINK)")
end

--- nl.conntrack_count([netns]) -> number
-- How many connections the kernel keeps track of there. Errors: PERM, OPNOTSUPP (a kernel that tells of none).
function nl.conntrack_count(netns)
  local replies, err, errno = ask(message(MSG.GET_STATS), netns)
  if not replies then return nil, err, errno end
  local _, a = nl.attributes(replies[1].data, HEADER_SIZE)
  return (">I4"):unpack(a[CTA.STATS_GLOBAL_ENTRIES])
end

-- Whether the bytes of an answer can be one that is meant, which costs little to see.
local function may_be(data, t)
  for _, key in ipairs(ENDS) do
    local ip = t[key]
    if type(ip) == "table" and ip.prefix == #ip.bytes * 8 and not data:find(ip.bytes, HEADER_SIZE, true) then return false end
  end
  return true
end

-- ---- what is there at all ----

-- An address as /proc has it: of IPv6 with every digit.
local function told_address(ip)
  if ip.family == "inet" then return check.ip_text("inet", ip.bytes) end
  return (ip.bytes:gsub("..", function(two) return (":%02x%02x"):format(two:byte(1, 2)) end):sub(2))
end

-- Whether one of the connections that a text tells of can be meant: only what it has no word of is not.
local function can_be(text, t)
  local function is_told(key, word)
    local ip = t[key]
    return type(ip) ~= "table" or ip.prefix ~= #ip.bytes * 8 or text:find(word .. told_address(ip) .. " ", 1, true)
  end
  return is_told("from", "src=") and is_told("answers", "src=") and is_told("to", "dst=")
    and (not t.port or text:find(("dport=%d "):format(t.port), 1, true))
end

-- The filters by which there may be something, as far as that is known without netlink: in the caller's own namespace, of few
-- connections, and where the kernel tells of them there (CONFIG_NF_CONNTRACK_PROCFS). A text without a word is believed only
-- where there are none: something else may have been mounted there.
local function likely(filters)
  local number = tonumber((sysctl.read "net/netfilter/nf_conntrack_count")) -- not with the error, as its base
  if number == 0 then return {} end
  local text = number and number <= FEW and S.readfile "/proc/thread-self/net/nf_conntrack" or ""
  if text == "" then return filters end
  local left = {}
  for _, t in ipairs(filters) do
    if can_be(text, t) then left[#left + 1] = t end
  end
  return left
end

-- Calls f with each that one of the filters means, once; true. number: how many there are.
local function each(filters, number, netns, f)
  local own, err, errno = own_addresses(netns)
  if not own then return nil, err, errno end
  local is_many, told = number > FEW, {}
  for _, asked in ipairs(is_many and filters or { {} }) do
    local m = message(MSG.GET, FAMILY[family_of(asked)])
    put_filter(m, asked)
    local replies
    replies, err, errno = ask(m, netns, "dump")
    if not replies then return nil, err, errno end
    for _, reply in ipairs(replies) do
      local entry
      for _, t in ipairs(is_many and { asked } or filters) do
        if may_be(reply.data, t) then
          entry = entry or decode(reply.data)
          if entry and not told[entry.raw.orig] and is_meant(entry, t, own) then
            told[entry.raw.orig] = true
            f(entry)
          end
        end
      end
    end
  end
  return true
end

local function read(filters, what)
  if type(filters) ~= "table" then check.fail(what, "a table", filters) end
  if next(filters) == nil or filters[1] == nil then filters = { filters } end
  local read_ones = {}
  for i, filter in ipairs(filters) do read_ones[i] = check.fields(filter, what, FIELDS) end
  return read_ones
end

-- ---- what is called ----

--- nl.conntracks([filters [, netns]]) -> list
-- The connections that the kernel keeps track of: { family=, proto=, from=, from_port=, to=, to_port=, reply = { from=, from_port=,
-- to=, to_port= }, state= (TCP), seen_reply=, assured=, dnat=, snat=, timeout=s, mark= } each; reply is what an answer looks like,
-- before it is translated back. filters: a list, or one, of { from=, to=, proto=, port=, answers=, family= }: who began it, to
-- whom ("local": any address of the host's), by which protocol and to which port, and who answers. The list prints readably.
-- Errors: PERM, OPNOTSUPP (a kernel without CONFIG_NF_CT_NETLINK). Source: conntrack(8).
function nl.conntracks(filters, netns)
  local list = setmetatable({}, check.list_meta)
  local ok
  local number, err, errno = nl.conntrack_count(netns)
  if not number then return nil, err, errno end
  if number == 0 then return list end
  ok, err, errno = each(read(filters or {}, "#1"), number, netns, function(entry) list[#list + 1] = entry end)
  if not ok then return nil, err, errno end
  return list
end

-- Before 5.8 the kernel does not look at a filter, and forgets all that it knows; from there to 6.11 it refuses.
local function takes_filters()
  local major, minor = S.uname().release:match "^(%d+)%.(%d+)"
  major, minor = tonumber(major) or 0, tonumber(minor) or 0
  return major > 6 or major == 6 and minor >= 11
end

-- What the kernel did not take away by a filter, or false.
local function delete_by_filter(filter, netns)
  local m = message(MSG.DELETE, FAMILY[family_of(filter)])
  if not put_filter(m, filter) then return filter end
  local ok, err, errno = ask(m, netns)
  if ok then return false end
  if err.OPNOTSUPP then return filter end
  return nil, err, errno
end

local function delete_one(entry, netns)
  local raw = entry.raw
  local m = message(MSG.DELETE, raw.family):bytes(CTA.TUPLE_ORIG, raw.orig)
  if raw.zone then m:bytes(CTA.ZONE, raw.zone) end
  if raw.id then m:bytes(CTA.ID, raw.id) end
  local ok, err, errno = ask(m, netns)
  if ok or err.NOENT then return true end -- it ended by itself
  return nil, err, errno
end

--- nl.delconntracks(filters [, netns]) -> true
-- Has the kernel forget those that nl.conntracks lists: what is done with them is decided anew with their next packet. Errors:
-- PERM, OPNOTSUPP; neither where /proc tells that there are none.
function nl.delconntracks(filters, netns)
  local wanted = read(filters, "#1")
  if not netns then wanted = likely(wanted) end
  if not wanted[1] then return true end
  local rest, is_quick = {}, takes_filters()
  local number, err, errno = nl.conntrack_count(netns)
  if not number then return nil, err, errno end
  if number == 0 then return true end
  for _, filter in ipairs(wanted) do
    local left = filter
    if is_quick then left, err, errno = delete_by_filter(filter, netns) end
    if left == nil then return nil, err, errno end
    if left then rest[#rest + 1] = left end
  end
  if not rest[1] then return true end
  local found = {}
  local ok
  ok, err, errno = each(rest, number, netns, function(entry) found[#found + 1] = entry end)
  for _, entry in ipairs(ok and found or {}) do
    if ok then ok, err, errno = delete_one(entry, netns) end
  end
  if not ok then return nil, err, errno end
  return true
end
