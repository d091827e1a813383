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
-- table. The price: a host whose own way out is a bridge, or a veth as inside another container, is not guarded there.
-- A host that forwarded before, also by one link alone, is its owner's business: there is no guard.
--
-- Weighed and left: to drop only between links that were there before (a VPN comes later, a hotspot joins old ones); a group or a
-- mark for luge's links (another's bridge has its own); forwarding on luge's links alone (answers come in by the host's).

local S = require "syscall"
local nft = require "netns.nft"
local nl = require "netns"
local sysctl = require "netns.sysctl"

local M = {}

local ROUTER = "net/ipv4/ip_forward"

-- whole: whether the host is a router; set: what is set instead, and then each link's own if by link; all: where those are; alone:
-- their name where a link can forward alone by another than `forwarding`; table: the guard's.
local FAMILIES = {
  inet = { whole = ROUTER, set = "net/ipv4/conf/default/forwarding", is_by_link = true, all = "net/ipv4/conf", nft = "ip",
    table = "luge-forward" },
  inet6 = { whole = "net/ipv6/conf/all/forwarding", set = "net/ipv6/conf/all/forwarding", all = "net/ipv6/conf",
    alone = "force_forwarding", nft = "ip6", table = "luge-forward6" },
}

local held = {} -- path → family, of this process

-- What is so already needs no leave.
local function write(name, value)
  if sysctl.read(name) == value then return true end
  return S.writefile("/proc/sys/" .. name, value)
end

-- ---- the guard ----

local function guard(family, is_fresh)
  local chain = { hook = "forward", priority = "filter" }
  for _, kind in ipairs { "veth", "bridge" } do
    for _, side in ipairs { "meta iifkind", "meta oifkind" } do chain[#chain + 1] = { { side, kind }, "accept" } end
  end
  chain[#chain + 1] = { "drop" }
  return { family = family.nft, table = family.table, chains = { forward = chain }, fresh = is_fresh }
end

-- Once, when the program is built: a start pays for the kernel's part of it only.
for _, family in pairs(FAMILIES) do
  family.fresh, family.gone = nft.bytes(guard(family, true)), nft.bytes { family = family.nft, table = family.table, gone = true }
end

local function noted_guard(family) return ("guard %s\n"):format(family.table) end

-- In place, whether or not it was.
local function put(family)
  if nl.request(family.fresh, nil, "batch", "netfilter") then return true end
  return nft.apply(guard(family))
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

-- Lines for the links' own settings of a name that are on.
local function those_on(base, name)
  local lines = {}
  each_link(base, name, function(setting, value)
    if value ~= "0" then lines[#lines + 1] = ("also %s %s\n"):format(setting, value) end
  end)
  return table.concat(lines)
end

-- Links come and go meanwhile: one that is gone needs nothing.
local function write_links(base, value_of)
  local failed
  each_link(base, "forwarding", function(setting, value)
    local wanted = value_of(setting, value)
    if value == wanted then return end
    local ok, err, errno = S.writefile("/proc/sys/" .. setting, wanted)
    if not ok and not err.NOENT then failed = failed or { err, errno } end
  end)
  if failed then return nil, failed[1], failed[2] end
  return true
end

-- IPv4's default first: a link that comes between has it.
local function switch(family)
  local ok, err, errno = write(family.set, "1")
  if ok and family.is_by_link then ok, err, errno = write_links(family.all, function() return "1" end) end
  return ok, err, errno
end

local function change(name, note)
  local family = FAMILIES[name]
  local now, err, errno = sysctl.read(family.whole)
  local was, ok
  if now then was, err, errno = sysctl.read(family.set) end
  if not was then return nil, err, errno end
  if now ~= "0" then return true, false end
  local on = those_on(family.all, "forwarding")
  local alone = family.alone and those_on(family.all, family.alone) or on
  local is_guarded = sysctl.read(ROUTER) == "0" and alone == ""
  ok, err, errno = note(("forwarding %s %s\n"):format(name, was) .. (is_guarded and noted_guard(family) or "") .. on)
  if ok and is_guarded then ok, err, errno = put(family) end
  if ok then ok, err, errno = switch(family) end
  if not ok then return nil, err, errno end
  return true, true
end

-- Of IPv4 the links that were switched on, unless all of them are to forward now; of IPv6 those that the one switch set with it.
-- It may have begun before, and been killed.
local function switch_back(family, was, text)
  if family.is_by_link and sysctl.read(family.whole) ~= "0" then return end
  local noted = sysctl.others(text)
  if sysctl.read(family.set) == "1" then write(family.set, was) end
  write_links(family.all, function(setting, value)
    if family.is_by_link then return noted[setting] and value or "0" end
    return noted[setting] or value
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

--- nl.hold_forwarding(path, "inet") -> true
-- Has the host forward for containers, "inet" or "inet6", until nl.leave_forwarding by all who asked for it; path: the file that
-- they share. What is not a guest's it forwards no more than before. Errors: NOENT without the family, PERM, ROFS; of nl.nft.
function nl.hold_forwarding(path, family)
  local known = FAMILIES[family] or error('bad argument #2: "inet" or "inet6" expected', 2)
  local ok, err, errno = sysctl.hold(path, function(note) return change(family, note) end)
  if ok and sysctl.noted(path) then held[path] = known end
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
    local is_due = sysctl.read(ROUTER) == "0" and sysctl.noted(path):find(noted_guard(family), 1, true)
    local ok, err, errno = true, nil, nil
    if is_due then ok, err, errno = nft.apply(guard(family)) end
    if not ok then return nil, err, errno end
  end
  return true
end

return M
