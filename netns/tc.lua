-- SPDX-License-Identifier: MIT
-- netns.tc: how fast links send: queueing disciplines (tbf, htb with classes, ingress), and the filters that send what
-- comes in to another link, where it can be held back. A rate is words of bits ("10mbit") or bytes a second, a burst
-- bytes. Handles are as tc(8) writes them: "1:", "1:10", hexadecimal. Source: tc(8), and the kernel's sch_*.c.

local S = require "syscall"
local check = require "netns.check"
local links = require "netns.link"
local nl = require "netns"
local rates = require "netns.rate"

local TCA, TC, TC_H, RTM = S.c.TCA, S.c.TC, S.c.TC_H, S.c.RTM

-- struct tcmsg: family, index of the link, handle, parent, info
local HEADER = "I1 x I2 i4 I4 I4 I4"
local HEADER_SIZE = string.packsize(HEADER)
-- struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate. With a link layer the kernel computes by
-- itself what older ones took from tables.
local RATE = "I1 I1 I2 i2 I2 I4"
-- Times in tbf's and htb's structures are in units of 64 ns (PSCHED_SHIFT; /proc/net/psched shows them).
local TICK = 64e-9
local U32 = 0xffffffff
local ETH_P_ALL, FILTERS_OF_INGRESS = 3, 0xffff0000

-- ---- arguments ----

local SPECIAL = { root = TC_H.ROOT, ingress = TC_H.INGRESS }

local function handle(value, what)
  if SPECIAL[value] then return SPECIAL[value] end
  local major, minor = tostring(value):match "^(%x*):(%x*)$"
  major, minor = tonumber("0" .. (major or "x"), 16), tonumber("0" .. (minor or "x"), 16)
  if not major or not minor or major > 0xffff or minor > 0xffff then
    check.fail(what, "a handle such as \"1:\" or \"1:10\", or \"root\"", value)
  end
  return major << 16 | minor
end

local function handle_text(number)
  for name, special in pairs(SPECIAL) do
    if number == special then return name end
  end
  local minor = number & 0xffff
  return ("%x:%s"):format(number >> 16, minor > 0 and ("%x"):format(minor) or "")
end

local function rate(value, what)
  return rates.parse(value) or check.fail(what, "a rate such as \"10mbit\", or bytes a second", value)
end

local function seconds(value, what)
  if type(value) ~= "number" or value <= 0 or value > 3600 then check.fail(what, "a number of seconds", value) end
  return value
end

local PLACE = { link = check.name, netns = check.netns }

-- The message about a thing of a link; nil, err where there is no such link.
local function message(type, flags, t, numbers)
  check.need(t, "link", "the name of a link")
  local index, err, errno = links.index(t.link, t.netns)
  if not index then return nil, err, errno end
  return nl.message(type, flags, HEADER:pack(0, 0, index, numbers.handle or 0, numbers.parent or 0, numbers.info or 0))
end

local function ratespec(bytes)
  return RATE:pack(0, TC.LINKLAYER_ETHERNET, 0, -1, 0, math.min(bytes, U32))
end

local function ticks(bytes, speed) return math.min(math.ceil(bytes / speed / TICK), U32) end

-- What a burst needs at least: a packet, and what comes in between two interrupts of a slow timer (1/250 s).
local function burst_for(speed, mtu) return math.min(math.max(speed // 250, 16384, rates.packet(mtu)), U32) end

-- ---- queueing disciplines ----

local KINDS = {}

-- A packet waits until there are tokens for it: rate bytes of them a second, burst at most. What would wait for longer
-- than latency is dropped.
function KINDS.tbf(m, t)
  check.need(t, "rate", "a rate such as \"10mbit\"")
  local burst = t.burst or burst_for(t.rate, t.mtu)
  local limit = t.limit or math.min(math.floor(t.rate * (t.latency or 0.05)) + burst, U32)
  m:string(TCA.KIND, "tbf"):nest(TCA.OPTIONS)
  m:bytes(TCA.TBF_PARMS, ratespec(t.rate) .. ratespec(0) .. ("I4I4I4"):pack(limit, ticks(burst, t.rate), 0))
  m:u32(TCA.TBF_BURST, burst)
  if t.rate > U32 then m:u64(TCA.TBF_RATE64, t.rate) end
  m:done()
end

-- Classes share the link; what no filter puts in one goes to `default`, the minor number of a class.
function KINDS.htb(m, t)
  m:string(TCA.KIND, "htb"):nest(TCA.OPTIONS)
  m:bytes(TCA.HTB_INIT, ("I4I4I4I4I4"):pack(3, 10, t.default or 0, 0, 0)):done()
end

-- No queue: a place for filters on what comes in.
function KINDS.ingress(m) m:string(TCA.KIND, "ingress"):nest(TCA.OPTIONS):done() end

local function kind(value, what)
  return KINDS[value] and value or check.fail(what, "\"tbf\", \"htb\" or \"ingress\"", value)
end

local function minor(value, what)
  local number = tonumber(tostring(value):match "^%x+$" or "x", 16)
  return number and number <= 0xffff and number or check.fail(what, "the minor number of a class, such as \"10\"", value)
end

local QDISC = { kind = kind, parent = handle, handle = handle, rate = rate, burst = check.u32, limit = check.u32, mtu = check.u31,
  latency = seconds, default = minor }

--- nl.qdisc{ link=, kind="tbf", rate=, burst=, mtu=1500, latency=0.05 | limit=bytes, parent="root", handle=,
--- netns= } -> true
-- Sets how a link sends, in place of what it did: kind "tbf" (one rate), "htb" (classes; default= one of them), "ingress"
-- (filters on what comes in). Without burst it is 4 ms of the rate, at least 16 KiB and a packet of mtu, which is the link's:
-- what is larger is dropped. Errors: NODEV, PERM; NOENT where the kernel has no such kind. Source: tc-tbf(8), tc-htb(8).
function nl.qdisc(what)
  local t = check.fields(what, "#1", PLACE, QDISC)
  check.need(t, "kind", "\"tbf\", \"htb\" or \"ingress\"")
  local is_ingress = t.kind == "ingress"
  local m, err, errno = message(RTM.NEWQDISC, is_ingress and "create, excl" or "create, replace", t, {
    handle = is_ingress and FILTERS_OF_INGRESS or t.handle, parent = is_ingress and TC_H.INGRESS or t.parent or TC_H.ROOT })
  if not m then return nil, err, errno end
  KINDS[t.kind](m, t)
  return links.done(nl.request(m, t.netns))
end

--- nl.delqdisc{ link=, parent="root" or "ingress", netns= } -> true
-- The link sends as it did at first; classes and filters go too. Errors: NODEV; NOENT or INVAL where there is none.
function nl.delqdisc(what)
  local t = check.fields(what, "#1", PLACE, { parent = handle })
  local m, err, errno = message(RTM.DELQDISC, nil, t, { parent = t.parent or TC_H.ROOT })
  if not m then return nil, err, errno end
  return links.done(nl.request(m, t.netns))
end

-- ---- classes ----

local CLASS = { parent = handle, id = handle, rate = rate, ceil = rate, burst = check.u32, cburst = check.u32,
  prio = check.u8, quantum = check.u32 }

--- nl.class{ link=, parent="1:", id="1:10", rate=, ceil=rate, burst=, cburst=, prio=, quantum=, netns= } -> true
-- A class of htb, made or changed: it has rate for sure and up to ceil of what others leave. Source: tc-htb(8).
function nl.class(what)
  local t = check.fields(what, "#1", PLACE, CLASS)
  check.need(t, "id", "a handle such as \"1:10\"")
  check.need(t, "rate", "a rate such as \"10mbit\"")
  local m, err, errno = message(RTM.NEWTCLASS, "create", t, { handle = t.id, parent = t.parent or t.id & 0xffff0000 })
  if not m then return nil, err, errno end
  local ceil = t.ceil or t.rate
  m:string(TCA.KIND, "htb"):nest(TCA.OPTIONS)
  m:bytes(TCA.HTB_PARMS, ratespec(t.rate) .. ratespec(ceil) .. ("I4I4I4I4I4"):pack(
    ticks(t.burst or burst_for(t.rate), t.rate), ticks(t.cburst or burst_for(ceil), ceil), t.quantum or 0, 0, t.prio or 0))
  if t.rate > U32 then m:u64(TCA.HTB_RATE64, t.rate) end
  if ceil > U32 then m:u64(TCA.HTB_CEIL64, ceil) end
  return links.done(nl.request(m:done(), t.netns))
end

--- nl.delclass{ link=, id="1:10", netns= } -> true
-- Errors: NOENT; BUSY while filters or classes below it need it.
function nl.delclass(what)
  local t = check.fields(what, "#1", PLACE, { id = handle })
  check.need(t, "id", "a handle such as \"1:10\"")
  local m, err, errno = message(RTM.DELTCLASS, nil, t, { handle = t.id })
  if not m then return nil, err, errno end
  return links.done(nl.request(m, t.netns))
end

-- ---- filters ----

local PROTOCOL = { all = ETH_P_ALL, ip = 0x0800, ip6 = 0x86dd, arp = 0x0806 }

local function protocol(value, what)
  return PROTOCOL[value] or check.fail(what, "\"all\", \"ip\", \"ip6\" or \"arp\"", value)
end

-- { { offset =, value =, mask = } }: 32 bits each, from the network header on; none is any packet.
local function keys(value, what)
  if type(value) ~= "table" then check.fail(what, "a list of { offset =, value =, mask = }", value) end
  for _, key in ipairs(value) do
    check.fields(key, what, { offset = check.u16, value = check.u32, mask = check.u32 })
    check.need(key, "offset", "a place from the network header on")
    check.need(key, "value", "32 bits")
  end
  return value
end

local FILTER = { parent = handle, protocol = protocol, prio = check.u16, match = keys, class = handle, redirect = check.name }

-- Where a filter is: of what comes in, if not told otherwise.
local function place_of(t) return t.parent ~= TC_H.INGRESS and t.parent or FILTERS_OF_INGRESS end

-- struct tc_u32_sel and its keys. A filter without any would match nothing.
local function selector(match)
  local list = { ("I1I1I1x I2I2i2 i2 I4"):pack(TC.U32_TERMINAL, 0, math.max(#match, 1), 0, 0, 0, 0, 0) }
  for i, key in ipairs(#match > 0 and match or { { offset = 0, value = 0, mask = 0 } }) do
    list[i + 1] = (">I4>I4=i4i4"):pack(key.mask or U32, key.value & (key.mask or U32), key.offset, 0)
  end
  return table.concat(list)
end

--- nl.filter{ link=, parent="ingress" or "1:", prio=1, protocol="all", match={ { offset=, value=, mask= } }, class="1:10" |
--- redirect=link, netns= } -> true
-- A filter of kind u32: packets that match (all, without match; offsets from the network header, 32 bits each) go to a
-- class, or away to another link as if it sent them, an ifb for one. Errors: NODEV; NOENT where parent is not there;
-- INVAL. Source: tc-u32(8), tc-mirred(8).
function nl.filter(what)
  local t = check.fields(what, "#1", PLACE, FILTER)
  if not t.class and not t.redirect and not t.match then
    check.need(t, "class", "a class, a link as 'redirect', or what 'match' lets by")
  end
  local parent = place_of(t)
  local info = (t.prio or 1) << 16 | ("=I2"):unpack((">I2"):pack(t.protocol or ETH_P_ALL))
  local target, err, errno
  if t.redirect then
    target, err, errno = links.index(t.redirect, t.netns)
    if not target then return nil, err, errno end
  end
  local m
  m, err, errno = message(RTM.NEWTFILTER, "create, excl", t, { parent = parent, info = info })
  if not m then return nil, err, errno end
  m:string(TCA.KIND, "u32"):nest(TCA.OPTIONS)
  if t.class then m:u32(TCA.U32_CLASSID, t.class) end
  m:bytes(TCA.U32_SEL, selector(t.match or {}))
  if target then
    -- struct tc_mirred: index, capabilities, what becomes of the packet here, two counts, what is done, the link
    m:nest(TCA.U32_ACT):nest(1):string(TCA.ACT_KIND, "mirred"):nest(TCA.ACT_OPTIONS)
    m:bytes(TCA.MIRRED_PARMS, ("I4I4i4i4i4i4I4"):pack(0, 0, TC.ACT_STOLEN, 0, 0, TCA.EGRESS_REDIR, target))
    m:done():done():done()
  end
  return links.done(nl.request(m:done(), t.netns))
end

--- nl.delfilter{ link=, parent="ingress" or "1:", prio=, netns= } -> true
-- All filters of that priority, or, without one, all of that parent. Errors: NODEV; NOENT or INVAL where there is none.
function nl.delfilter(what)
  local t = check.fields(what, "#1", PLACE, { parent = handle, prio = check.u16 })
  local parent = place_of(t)
  local m, err, errno = message(RTM.DELTFILTER, nil, t, { parent = parent, info = (t.prio or 0) << 16 })
  if not m then return nil, err, errno end
  return links.done(nl.request(m, t.netns))
end

-- ---- reading ----

local function rate_of(spec, wide)
  if wide then return ("I8"):unpack(wide) end
  return (select(6, RATE:unpack(spec)))
end

local function read_options(kind_name, options, t)
  local _, o = nl.attributes(options)
  if kind_name == "tbf" and o[TCA.TBF_PARMS] then
    t.rate = rate_of(o[TCA.TBF_PARMS], o[TCA.TBF_RATE64])
    local limit, buffer = ("I4I4"):unpack(o[TCA.TBF_PARMS], 2 * RATE:packsize() + 1)
    t.limit, t.burst = limit, math.floor(buffer * TICK * t.rate + 0.5)
  elseif kind_name == "htb" and o[TCA.HTB_PARMS] then
    t.rate = rate_of(o[TCA.HTB_PARMS], o[TCA.HTB_RATE64])
    t.ceil = rate_of(o[TCA.HTB_PARMS]:sub(RATE:packsize() + 1), o[TCA.HTB_CEIL64])
    t.prio = select(5, ("I4I4I4I4I4"):unpack(o[TCA.HTB_PARMS], 2 * RATE:packsize() + 1))
  elseif kind_name == "htb" and o[TCA.HTB_INIT] then
    t.default = ("%x"):format((select(3, ("I4I4I4"):unpack(o[TCA.HTB_INIT]))))
  end
end

local function read_statistics(data, t)
  local _, s = nl.attributes(data)
  if s[TCA.STATS_BASIC] then t.bytes, t.packets = ("I8I4"):unpack(s[TCA.STATS_BASIC]) end
  if s[TCA.STATS_QUEUE] then
    t.queued, t.backlog, t.drops, t.requeues, t.overlimits = ("I4I4I4I4I4"):unpack(s[TCA.STATS_QUEUE])
  end
end

local Entry = { __tostring = function(t)
  local words = { t.kind, t.handle, "dev " .. tostring(t.link), "parent " .. t.parent }
  if t.rate then words[#words + 1] = "rate " .. rates.text(t.rate) end
  if t.ceil then words[#words + 1] = "ceil " .. rates.text(t.ceil) end
  if t.burst then words[#words + 1] = ("burst %d"):format(t.burst) end
  if t.class then words[#words + 1] = "class " .. t.class end
  if t.redirect then words[#words + 1] = "redirect " .. t.redirect end
  if t.packets then words[#words + 1] = ("sent %d bytes %d packets dropped %d"):format(t.bytes, t.packets, t.drops or 0) end
  return table.concat(words, " ")
end }

-- The things of one type that a link (or every one) has.
local function list(type, what, parent)
  local t = check.fields(what or {}, "#1", PLACE, { parent = handle })
  local index = 0
  if t.link then
    local err, errno
    index, err, errno = links.index(t.link, t.netns)
    if not index then return nil, err, errno end
  end
  local names, err, errno = links.names(t.netns)
  if not names then return nil, err, errno end
  local replies
  replies, err, errno = nl.request(nl.message(type, "dump", HEADER:pack(0, 0, index, 0, parent and parent(t) or 0, 0)),
    t.netns, "dump")
  if not replies then return nil, err, errno end
  local found = {}
  for _, reply in ipairs(replies) do
    local _, _, of, number, above, info = HEADER:unpack(reply.data)
    local _, a = nl.attributes(reply.data, HEADER_SIZE)
    if index == 0 or of == index then -- queueing disciplines come of every link
      local entry = setmetatable({ kind = ("z"):unpack(a[TCA.KIND]), link = names[of], handle = handle_text(number),
        parent = handle_text(above), info = info }, Entry)
      if a[TCA.OPTIONS] then read_options(entry.kind, a[TCA.OPTIONS], entry) end
      if a[TCA.STATS2] then read_statistics(a[TCA.STATS2], entry) end
      found[#found + 1] = { entry, a }
    end
  end
  return found, names
end

local function entries(found, err, errno)
  if not found then return nil, err, errno end
  for i, pair in ipairs(found) do
    found[i] = pair[1]
    found[i].info = nil
  end
  return setmetatable(found, check.list_meta)
end

--- nl.qdiscs{ link=, netns= } -> list of { kind=, handle=, parent=, link=, rate=, burst=, limit=, bytes=, packets=, drops=,
--- overlimits=, backlog=, queued= }
-- How links send, and what they have sent: rates in bytes a second. Each prints in a line. Errors: NODEV.
function nl.qdiscs(what) return entries(list(RTM.GETQDISC, what)) end

--- nl.classes{ link=, netns= } -> list of { handle=, parent=, rate=, ceil=, prio=, bytes=, packets=, … }
-- The classes of a link. Errors: NODEV.
function nl.classes(what)
  check.need(what, "link", "the name of a link")
  return entries(list(RTM.GETTCLASS, what))
end

-- The class a filter sends to, or the link.
local function read_filter(entry, a, names)
  local _, o = nl.attributes(a[TCA.OPTIONS])
  if o[TCA.U32_CLASSID] then entry.class = handle_text(("I4"):unpack(o[TCA.U32_CLASSID])) end
  local _, first = nl.attributes(o[TCA.U32_ACT] or "")
  local _, act = nl.attributes(first[1] or "")
  local _, mirred = nl.attributes(act[TCA.ACT_OPTIONS] or "")
  if mirred[TCA.MIRRED_PARMS] then
    entry.redirect = names[select(7, ("I4I4i4i4i4i4I4"):unpack(mirred[TCA.MIRRED_PARMS]))]
  end
  entry.has_selector = o[TCA.U32_SEL] ~= nil
end

--- nl.filters{ link=, parent="ingress" or "1:", netns= } -> list of { kind=, prio=, protocol=, class=, redirect= }
-- The filters of a link at one place. Errors: NODEV.
function nl.filters(what)
  check.need(what, "link", "the name of a link")
  local found, names, errno = list(RTM.GETTFILTER, what, place_of)
  if not found then return nil, names, errno end
  local filters = setmetatable({}, check.list_meta)
  for _, pair in ipairs(found) do
    local entry, a = pair[1], pair[2]
    if a[TCA.OPTIONS] then
      read_filter(entry, a, names)
      entry.prio, entry.protocol = entry.info >> 16, (">I2"):unpack(("=I2"):pack(entry.info & 0xffff))
      for name, number in pairs(PROTOCOL) do
        if number == entry.protocol then entry.protocol = name end
      end
      if entry.has_selector then filters[#filters + 1] = entry end -- hash tables come too
      entry.has_selector, entry.info = nil, nil
    end
  end
  return filters
end

return {}
