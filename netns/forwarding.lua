-- SPDX-License-Identifier: MIT
-- netns.forwarding: the host forwards packets for containers, and for nobody else.
--
-- A host that is no router would become one between all of its links, a laptop between its LAN and its VPN, were the kernel's
-- switch just set. So two things are done for as long as a container needs it:
--
-- IPv4 is switched link by link (conf/LINK/forwarding, and conf/default for links to come) and net.ipv4.ip_forward stays 0.
-- The kernel asks the link that a packet came in by, and nothing else (ip_route_input_slow of its route.c), so this does as much;
-- but the host's own word stays what it was. Who wants a router, as Docker, libvirt or a hotspot, finds 0 and writes 1, and by
-- that is known here: nothing is taken back from him at the end, and the guard (below) goes at once. Had luge written the 1, he
-- would find it, rely on it, and lose it with the last container.
-- IPv6 before Linux 6.17 knows one switch for all links, so that is set; who makes the host a router says so by IPv4's as well.
--
-- The guard is a table for each family that drops what is forwarded between two links neither of which is a veth or a bridge:
-- a guest's end, luge's or anybody's. By the kind of link, because bridges have any name, may be another's, and come and go:
-- nothing has to be listed, marked, or kept in step, and what other programs lay to their guests works as if there were no
-- table. But the host's own way out may be one of them, a bridge, or a veth as inside another container: those that its default
-- routes lead by when the first container comes are uplinks, which the table knows by their names as no guest's. (What comes in
-- by a bridge and goes out by it is let go on: with br_netfilter its own frames pass here.) The price: a veth or a bridge that
-- leads the host to some networks only, or becomes its way out later, is taken for a guest's.
-- A host that forwarded before, also by one link alone, is its owner's business: there is no guard.
--
-- Weighed and left: to drop only between links that were there before (a VPN comes later, a hotspot joins old ones); a group or a
-- mark for luge's links (another's bridge has its own); forwarding on luge's links alone (answers come in by the host's).

local S = require "syscall"
local check = require "netns.check"
local nft = require "netns.nft"
local nl = require "netns"
local sysctl = require "netns.sysctl"

local M = {}

local RTM = S.c.RTM
local ROUTER = "net/ipv4/ip_forward"

-- whole: whether the host is a router; set: what is set instead, and then each link's own if by link; all: where those are; alone:
-- their name where a link can forward alone by another than `forwarding`; table: the guard's.
local FAMILIES = {
  inet = { number = S.c.AF.INET, whole = ROUTER, set = "net/ipv4/conf/default/forwarding", is_by_link = true,
    all = "net/ipv4/conf", nft = "ip", table = "luge-forward" },
  inet6 = { number = S.c.AF.INET6, whole = "net/ipv6/conf/all/forwarding", set = "net/ipv6/conf/all/forwarding",
    all = "net/ipv6/conf", alone = "force_forwarding", nft = "ip6", table = "luge-forward6" },
}

local held = {} -- path → family, of this process

-- ---- the guard ----

local function guard(family, is_fresh, uplinks)
  local chain = { hook = "forward", priority = "filter" }
  for _, name in ipairs(uplinks) do
    chain[#chain + 1] = { { "meta iifkind", "bridge" }, { "iifname", name }, { "oifname", name }, "accept" }
  end
  for _, kind in ipairs { "veth", "bridge" } do
    for _, side in ipairs { "iif", "oif" } do
      local rule = { { ("meta %skind"):format(side), kind } }
      for _, name in ipairs(uplinks) do rule[#rule + 1] = { side .. "name", "!=", name } end
      rule[#rule + 1] = "accept"
      chain[#chain + 1] = rule
    end
  end
  chain[#chain + 1] = { "drop" }
  return { family = family.nft, table = family.table, chains = { forward = chain }, fresh = is_fresh }
end

-- Once, when the program is built: a start pays for the kernel's part of it only.
for _, family in pairs(FAMILIES) do
  family.fresh = nft.bytes(guard(family, true, {}))
  family.gone = nft.bytes { family = family.nft, table = family.table, gone = true }
end

local function noted_guard(family) return ("guard %s\n"):format(family.table) end

-- A link's name has neither a space nor the end of a line in it.
local function noted_uplinks(uplinks) return uplinks[1] and ("uplinks %s\n"):format(table.concat(uplinks, " ")) or "" end

local function uplinks_of(text)
  local list = {}
  for name in (text:match "\nuplinks ([^\n]+)\n" or ""):gmatch "%S+" do list[#list + 1] = name end
  return list
end

-- In place, whether or not it was.
local function put(family, uplinks)
  if not uplinks[1] and nl.request(family.fresh, nil, "batch", "netfilter") then return true end
  return nft.apply(guard(family, false, uplinks))
end

-- Whether or not it is there.
local function remove(family) return nl.request(family.gone, nil, "batch", "netfilter") end

-- ---- the switches ----

-- Calls f(setting, value) with each link's own.
local function each_link(base, name, f)
  for _, link in ipairs(S.dir("/proc/sys/" .. base) or {}) do
    local setting = ("%s/%s/%s"):format(base, link, name)
    local value = link ~= "all" and link ~= "default" and sysctl.read(setting)
    if value then f(setting, value) end
  end
end

-- The links' own settings of a name that are on, with their values, and how many are off.
local function those_on(base, name)
  local on, off = {}, 0
  each_link(base, name, function(setting, value)
    if value ~= "0" then on[setting] = value else off = off + 1 end
  end)
  return on, off
end

--- How a family is switched, read file by file: { whole =, set =, on = settings of links that are on, with their values, off = how
--- many links are off }; whole and set as of FAMILIES. Errors: NOENT without the family, PERM.
function M.read(name)
  local family, now = FAMILIES[name], {}
  for _, key in ipairs { "whole", "set" } do
    local value, err, errno = sysctl.read(family[key])
    if not value then return nil, err, errno end
    now[key] = value
  end
  now.on, now.off = those_on(family.all, "forwarding")
  return now
end

local NETCONFA = S.c.NETCONFA
local HEADER_SIZE = 1 -- struct netconfmsg: family
local FOR_ALL, COMING = -1, -2 -- NETCONFA_IFINDEX_ALL, NETCONFA_IFINDEX_DEFAULT

-- The value of an attribute, and that of the index.
local function told_of(data)
  local value = nl.attribute(data, HEADER_SIZE, NETCONFA.FORWARDING)
  return value and ("%d"):format(("i4"):unpack(value)), ("i4"):unpack(nl.attribute(data, HEADER_SIZE, NETCONFA.IFINDEX))
end

--- The same, told by the kernel in one answer. Errors: OPNOTSUPP where it does not tell (before 3.10, or without the family).
-- Source: RTM_GETNETCONF of linux/netconf.h.
function M.told(name)
  local family = FAMILIES[name]
  local replies, err, errno = nl.request(nl.message(RTM.GETNETCONF, nil, ("B"):pack(family.number)), nil, "dump")
  if not replies then return nil, err, errno end
  local by_index, now, names = {}, { on = {}, off = 0 }, nil
  for _, reply in ipairs(replies) do
    local value, index = told_of(reply.data)
    by_index[index] = value
    if index > 0 and value == "0" then now.off = now.off + 1 end
  end
  now.whole, now.set = by_index[FOR_ALL], by_index[family.is_by_link and COMING or FOR_ALL]
  if not (now.whole and now.set) then return S.failure("OPNOTSUPP", "the kernel does not tell how it forwards") end
  for index, value in pairs(by_index) do
    if index > 0 and value ~= "0" then
      names = names or require("netns.link").names() or {}
      -- One without a name has gone meanwhile.
      if names[index] then now.on[("%s/%s/forwarding"):format(family.all, names[index])] = value end
    end
  end
  return now
end

-- Lines for settings that are on.
local function lines_of(on)
  local lines = {}
  for setting, value in pairs(on) do lines[#lines + 1] = ("also %s %s\n"):format(setting, value) end
  table.sort(lines)
  return table.concat(lines)
end

-- Links come and go meanwhile: one that is gone needs nothing.
local function write_link(setting, value)
  local ok, err, errno = S.writefile("/proc/sys/" .. setting, value)
  if ok or err.NOENT then return true end
  return nil, err, errno
end

-- All links but those that are on; true, or the first failure, after all of them.
local function switch_links(family, on)
  local failed
  for _, link in ipairs(S.dir("/proc/sys/" .. family.all) or {}) do
    local setting = ("%s/%s/forwarding"):format(family.all, link)
    if link ~= "all" and link ~= "default" and not on[setting] then
      local ok, err, errno = write_link(setting, "1")
      if not ok then failed = failed or { err, errno } end
    end
  end
  if failed then return nil, failed[1], failed[2] end
  return true
end

-- What is so already needs no leave. IPv4's default first: a link that comes between has it.
local function switch(family, now)
  local ok, err, errno = true, nil, nil
  if now.set ~= "1" then ok, err, errno = S.writefile("/proc/sys/" .. family.set, "1") end
  if ok and family.is_by_link and (now.set ~= "1" or now.off > 0) then ok, err, errno = switch_links(family, now.on) end
  return ok, err, errno
end

local function change(name, uplinks, note)
  local family = FAMILIES[name]
  local now, err, errno = M.told(name)
  if not now then now, err, errno = M.read(name) end
  if not now then return nil, err, errno end
  if now.whole ~= "0" then return true, false end
  -- Of what lets a link forward alone netlink tells nothing.
  local alone = family.alone and those_on(family.all, family.alone) or now.on
  local is_router = family.whole ~= ROUTER and sysctl.read(ROUTER) ~= "0"
  local is_guarded = not is_router and not next(alone)
  local ok
  ok, err, errno = note(("forwarding %s %s\n"):format(name, now.set)
    .. (is_guarded and noted_guard(family) .. noted_uplinks(uplinks) or "") .. lines_of(now.on))
  if ok and is_guarded then ok, err, errno = put(family, uplinks) end
  if ok then ok, err, errno = switch(family, now) end
  if not ok then return nil, err, errno end
  return true, true
end

-- Of IPv4 the links that were switched on, unless all of them are to forward now; of IPv6 those that the one switch set with it.
-- It may have begun before, and been killed.
local function switch_back(family, was, text)
  if family.is_by_link and sysctl.read(family.whole) ~= "0" then return end
  local noted = sysctl.others(text)
  if sysctl.read(family.set) == "1" and was ~= "1" then S.writefile("/proc/sys/" .. family.set, was) end
  each_link(family.all, "forwarding", function(setting, value)
    local wanted = noted[setting] or value
    if family.is_by_link then wanted = noted[setting] and value or "0" end
    if wanted ~= value then write_link(setting, wanted) end
  end)
end

--- Puts back what a file of nl.hold_forwarding says, in the caller's own network; false where it is no such file's.
function M.restore(text)
  local name, was = text:match "^forwarding (%S+) (%S+)\n"
  local family = FAMILIES[name]
  if not family then return false end
  switch_back(family, was, text)
  if text:find(noted_guard(family), 1, true) then remove(family) end
  return true
end

--- nl.hold_forwarding(path, "inet" [, uplinks]) -> true
-- Has the host forward for containers, "inet" or "inet6", until nl.leave_forwarding by all who asked for it; path: the file that
-- they share. What is not a guest's it forwards no more than before; uplinks: names of veths and bridges that are none (of whoever
-- comes first). Errors: NOENT without the family, PERM, ROFS; of nl.nft.
function nl.hold_forwarding(path, family, uplinks)
  local known = FAMILIES[family] or error('bad argument #2: "inet" or "inet6" expected', 2)
  for _, name in ipairs(uplinks or {}) do check.name(name, "#3") end
  local ok, err, errno = sysctl.hold(path, function(note) return change(family, uplinks or {}, note) end)
  if ok and sysctl.holds(path) then held[path] = known end
  return ok, err, errno
end

--- nl.leave_forwarding(path) -> true
-- The end of nl.hold_forwarding; the last one puts back what was there before the first.
function nl.leave_forwarding(path)
  held[path] = nil
  return nl.leave_sysctl(path)
end

-- ---- meanwhile ----

local NETCONF = 1 << 23 -- RTNLGRP_IPV4_NETCONF
local ALL = 0xffffffff -- NETCONFA_IFINDEX_ALL
local INDEX = 24 -- where a message has that: after struct nlmsghdr, struct netconfmsg with its padding, and an attribute's head

-- Classic BPF: a 32-bit word loaded, compared, and all or nothing taken. Of one link's settings the kernel tells a thousand times.
local ONLY_ALL = ("=I2BBI4"):rep(4):pack(0x20, 0, 0, INDEX, 0x15, 0, 1, ALL, 0x06, 0, 0, 0xffffffff, 0x06, 0, 0, 0)

--- Whether this process has the host forward.
function M.is_held() return next(held) ~= nil end

--- A socket that can be read when a setting of IPv4 for all links was changed. Errors: of S.socket, S.bind.
function M.listen()
  local socket, err, errno = S.socket("netlink", "raw, nonblock", "route")
  if not socket then return nil, err, errno end
  local ok
  ok, err, errno = S.socket_filter(socket, ONLY_ALL)
  if ok then ok, err, errno = S.bind(socket, { family = "netlink", groups = NETCONF }) end
  if not ok then return nil, err, errno end
  return socket
end

--- Takes the guards away where somebody made the host a router.
function M.yield()
  if sysctl.read(ROUTER) ~= "1" then return true end
  for _, family in pairs(held) do
    local ok, err, errno = remove(family)
    if not ok then return nil, err, errno end
  end
  return true
end

--- Puts the guards of what this process holds in place again. Errors: of nl.nft.
function M.reload()
  for path, family in pairs(held) do
    local text = sysctl.noted(path)
    local is_due = sysctl.read(ROUTER) == "0" and text:find(noted_guard(family), 1, true)
    local ok, err, errno = true, nil, nil
    if is_due then ok, err, errno = nft.apply(guard(family, false, uplinks_of(text))) end
    if not ok then return nil, err, errno end
  end
  return true
end

return M
