-- SPDX-License-Identifier: MIT
-- netns.plan_firewall: what is let in and out of a container's network, and how fast, as steps. The tables are in place
-- before a packet can be sent: the container's end comes up after them.
--
-- What dies with the links needs no undo: rates, and the settings of a link. What does not (tables, settings of the host) is
-- noted in the lock of the name, or has a file of its own, for `luge gc`.

local between = require "netns.plan_between"
local check = require "netns.check"

local M = {}

local PRIVILEGED = { "net_admin", "net_raw" }

local function symbol(what, interface) return ("${%s.%s}"):format(what, interface.name) end

-- The capabilities that the container keeps by which it could undo, or get round, what its own network does.
local function powers(c)
  local kept = {}
  for _, name in ipairs(PRIVILEGED) do
    for _, bounding in ipairs(c.spec.capabilities.bounding) do
      if bounding == name then kept[#kept + 1] = name end
    end
  end
  return kept
end

-- ---- the description ----

-- The networks of the container's other interfaces: who is there would be answered by those, and not by the host that he asked.
local function near(c, all_ends, i)
  local list = {}
  for j = 1, c.spec.network.publish[1] and #c.spec.network.interfaces or 0 do
    for _, family in ipairs { "inet", "inet6" } do
      local e = j ~= i and all_ends[j] and all_ends[j][family]
      if e then list[#list + 1] = e.own end
    end
  end
  return list[1] and list
end

-- Neighbours of a container that ask a published port by the host's address must be answered by the host: those of its
-- network, said by the container's own address and its width.
local function link_of(c, all_ends, i)
  local interface, ends = c.spec.network.interfaces[i], all_ends[i]
  local addresses, subnets = {}, {}
  for _, family in ipairs { "inet", "inet6" } do
    local e = ends[family]
    if e then
      addresses[#addresses + 1] = e.address
      subnets[#subnets + 1] = e.own
    end
  end
  return { link = symbol("link", interface), mac = interface.mac or symbol("mac", interface), addresses = addresses,
    subnets = subnets, near = near(c, all_ends, i), bridge = interface.bridge, isolated = interface.isolated or nil,
    nat = interface.nat or nil, behind = interface.behind,
    between = between.namespace(c, interface) or nil }
end

local function wants_loopback(entry) return not entry.host.address or check.is_loopback(entry.host.address) end

-- Whether another interface, written before, is the container's way to everywhere.
local function is_aside(all_ends, to)
  for i = 1, to.interface - 1 do
    local e = all_ends[i] and all_ends[i][to.family]
    if e and e.gateway then return true end
  end
end

-- Calls f with each published port and each place it leads to that there is: why, entry, to, the interface's end, and a
-- name for the pair.
local function each_published(c, all_ends, f)
  for i, entry in ipairs(c.spec.network.publish) do
    for j, to in ipairs(entry.to) do
      local e = all_ends[to.interface] and all_ends[to.interface][to.family]
      if e then f(("network.publish[%d]"):format(i), entry, to, e, ("%d.%d"):format(i, j)) end
    end
  end
end

local function published(c, all_ends, numbers)
  local list = {}
  each_published(c, all_ends, function(why, entry, to, e)
    local is_bridge = c.spec.network.interfaces[to.interface].bridge ~= nil
    list[#list + 1] = { proto = entry.proto, address = entry.host.address, port = entry.host.port, to = e.address,
      on_bridge = is_bridge and to.family == "inet6" and wants_loopback(entry) or nil,
      to_port = entry.guest, link = numbers[to.interface], aside = is_aside(all_ends, to), why = why }
  end)
  return list
end

-- Name servers may be asked, whoever wrote them.
local function allowed(c)
  local egress = c.spec.network.egress
  if not egress then return { open = true, allow = {} } end
  local list = {}
  for i, entry in ipairs(egress.allow or {}) do
    list[i] = { cidr = entry.cidr, port = entry.port, proto = entry.proto, why = ("network.egress.allow[%d]"):format(i) }
  end
  for _, server in ipairs(require("netns.plan").name_servers(c)) do
    list[#list + 1] = { cidr = server, port = 53, why = "network.dns" }
  end
  return { allow = list, internet = egress.internet or nil, log = egress.log or nil }
end

-- ---- the host's settings ----

local function hold(c, why, name, value)
  local path = ("${ranges}/sysctl.%s.${netns}"):format((name:gsub("/", ".")))
  c.steps:add("host", why, "nl.hold_sysctl", { path, name, value }, { undo = { "nl.leave_sysctl", { path } } })
end

-- The host forwards packets (netns.forwarding). On IPv6 a host that does believes no routers any more unless it is told to (2),
-- and would lose its own route by what it learned from one.
local function forward(c, why, families)
  for _, link in ipairs(families.inet6 and c.facts.router_links or {}) do
    hold(c, why, ("net/ipv6/conf/%s/accept_ra"):format(link), "2")
  end
  for _, family in ipairs { "inet", "inet6" } do
    local path, uplinks = ("${ranges}/sysctl.forwarding.%s.${netns}"):format(family), c.facts.host_networks.uplinks
    if families[family] then
      local args = { path, family, uplinks and uplinks[1] and uplinks }
      c.steps:add("host", why, "nl.hold_forwarding", args, { undo = { "nl.leave_forwarding", { path } } })
    end
  end
end

-- Who needs it: nat, and a port that others than the host's loopback ask for.
local function forward_for(c, all_ends)
  local why, families = nil, {}
  local function want(place, family)
    why = why or place
    families[family] = true
  end
  for i, interface in ipairs(c.spec.network.interfaces) do
    for family in pairs(interface.nat and all_ends[i] or {}) do want(("network.interfaces[%d].nat"):format(i), family) end
  end
  each_published(c, all_ends, function(place, entry, to)
    if not (entry.host.address and check.is_loopback(entry.host.address)) then want(place, to.family) end
  end)
  if why then forward(c, why, families) end
end

-- ---- published ports ----

local ANY = { inet = "0.0.0.0", inet6 = "::" }

-- Who was led to the container by datagrams is led nowhere when it has ended: the tables are gone by then, for this is taken
-- back after them. Of TCP the kernel knows itself when something begins anew.
local function hold_ports(c, all_ends)
  each_published(c, all_ends, function(why, entry, to, e, name)
    c.steps:add("host", why, "nl.hold_port", { entry.proto, entry.host.address or ANY[to.family], entry.host.port },
      { save = "$published." .. name,
        undo = entry.proto == "udp" and { "nl.delconntracks", { { { answers = e.address, proto = "udp" } } } } or nil })
  end)
end

-- Neither what a container before had begun from the addresses, or was led to them, may go on; nor is who asked a port before
-- led past the container for as long as he goes on asking. Most often nothing of them is there, which is seen on a kernel too
-- that can be told to forget none; who was led by datagrams is to be forgotten at the end (hold_ports), so that has to be possible.
local function forget(c, links, all_ends)
  local filters, by_datagrams = {}, nil
  for _, link in ipairs(links) do
    for _, list in ipairs { link.addresses, link.behind or {} } do
      for _, address in ipairs(list) do
        -- To look for those of an IPv6 address the kernel has to list all.
        if not (c.new_addresses and c.new_addresses[address]) then
          filters[#filters + 1] = { from = address }
          filters[#filters + 1] = { answers = address }
        end
      end
    end
  end
  each_published(c, all_ends, function(why, entry, to)
    if entry.proto ~= "udp" then return end
    by_datagrams = by_datagrams or why
    filters[#filters + 1] = { proto = "udp", to = entry.host.address or "local", port = entry.host.port, family = to.family }
  end)
  if by_datagrams then c.steps:add("attach", by_datagrams, "nl.conntrack_count", {}, { beside = true }) end
  if filters[1] then c.steps:add("attach", "network", "nl.delconntracks", { filters }, { beside = true }) end
end

-- Packets of the host's loopback leave it by the container's link, and its answers come back there: the kernel has to be
-- told that this is no forgery. What anybody sends to the loopback ends at the link (netns.firewall_tables). A bridge is shared
-- with others and may be somebody else's: no route of ours leads by it, but one to what stands for ::1 there
-- (netns.firewall_bridge), by the port.
local function lead_loopback(c, all_ends)
  local done = {}
  each_published(c, all_ends, function(why, entry, to)
    local interface = c.spec.network.interfaces[to.interface]
    local device = interface.bridge or symbol("link", interface)
    if not wants_loopback(entry) or done[to.family .. device] then return end
    done[to.family .. device] = true
    if to.family == "inet6" then
      local address = interface.bridge and require("netns.firewall_bridge").STAND_IN or "::1"
      c.steps:add("attach", why, "nl.route", { { to = address .. "/128", type = "local", dev = symbol("link", interface),
        table = "local", metric = 4096, append = true } })
    elseif interface.bridge then
      hold(c, why, ("net/ipv4/conf/%s/route_localnet"):format(device), "1")
    else
      c.steps:add("attach", why, "writefile", { ("/proc/sys/net/ipv4/conf/%s/route_localnet"):format(device), "1" })
    end
  end)
end

-- ---- rates ----

local function note(c, why, text) c.steps:add("host", why, "note_lock", { "$lock.name", text }) end

-- Tokens at the host's end hold back what the container receives; of what it sends netns.plan_between does.
local function limit(c, interface)
  local rates, why = c.spec.network.bandwidth, "network.bandwidth"
  if rates and rates.down then
    c.steps:add("attach", why, "nl.qdisc",
      { { link = symbol("link", interface), kind = "tbf", rate = rates.down, burst = rates.burst, mtu = interface.mtu } })
  end
end

-- ---- all of it ----

-- The host has an end, or nobody but another container is at the other one.
local INSIDE = { veth = true, bridge = true, link = true }

local OWN_TABLE = "luge"

--- Where the host has no end, the container's own network has to do it, and the container must have no power over that.
function M.guard(c)
  local egress, outside, why = allowed(c), {}, "network.egress"
  for _, interface in ipairs(c.spec.network.interfaces) do
    if not INSIDE[interface.type] then outside[#outside + 1] = interface.name end
  end
  if egress.open or not outside[1] then return end
  for _, name in ipairs(powers(c)) do
    c:fault(why, ("holds in the container's own network here, where %s would undo it"):format(name),
      "leave the capability out, or use a veth or a bridge, or write egress = false")
  end
  egress.host = c.facts.host_addresses -- a helper's packets come from the host itself, a macvlan's by a router
  c.steps:add("guest", why, "nl.ownfirewall", { { table = OWN_TABLE, egress = egress, outside = outside } })
  c.own_firewall = { table = OWN_TABLE, hosts = egress.host, netns = "$child",
    user = not c.facts.privileged and (c.shared and c.shared.user or "$net.userns") or nil }
end

--- all_ends: the ends of each interface, as netns.plan_interfaces has them.
function M.plan(c, all_ends)
  local links, numbers = {}, {}
  hold_ports(c, all_ends)
  for i, interface in ipairs(c.spec.network.interfaces) do
    if interface.type == "veth" or interface.type == "bridge" then
      limit(c, interface)
      links[#links + 1] = link_of(c, all_ends, i)
      numbers[i] = #links
    end
  end
  if #links == 0 then return end
  forward_for(c, all_ends)
  lead_loopback(c, all_ends)
  local name = "luge-${name}-" .. links[1].link
  local notes, names = { ("tables ${netns} %s\n"):format(name) }, {}
  for i, link in ipairs(links) do
    notes[#notes + 1], names[i] = ("link ${netns} %s\n"):format(link.link), link.link
  end
  note(c, "network", table.concat(notes))
  c.firewall = { table = name, links = links, publish = published(c, all_ends, numbers), egress = allowed(c) }
  c.steps:add("attach", "network", "nl.remember", { "$child" }, { save = "$net.inside", beside = true })
  c.steps:add("attach", "network", "nl.firewall", { c.firewall },
    { beside = true, undo = { "nl.delfirewall", { { table = name, links = names, inside = "$net.inside" } } } })
  for i, interface in ipairs(c.spec.network.interfaces) do
    if all_ends[i] and between.namespace(c, interface) then between.open(c, ("network.interfaces[%d]"):format(i), interface) end
  end
  forget(c, links, all_ends)
end

return M
