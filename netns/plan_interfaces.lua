-- SPDX-License-Identifier: MIT
-- netns.plan_interfaces: the interfaces of a container as steps. On the host: names and addresses that nobody has. In
-- attach, by the parent: links, made with their end in the container at once. In the guest: what the container's root may
-- do in its own namespace, addresses, routes, up. Nothing waits for an address to be tried: "nodad".
--
-- Links die with the namespace: none is removed. What the host's end is given it loses at the end, or the route of a link
-- that is about to go would be in the way of the next container with that address.

local check = require "netns.check"
local pool = require "netns.pool"
local reach = require "netns.plan_reach"

local M = {}

local function shared() return require "netns.plan_shared" end
local function between() return require "netns.plan_between" end

local FAMILIES = {
  { key = "address", gateway = "gateway", subnet = "subnet", family = "inet", prefix = "prefix", base = "base" },
  { key = "address6", gateway = "gateway6", subnet = "subnet6", family = "inet6", prefix = "prefix6", base = "base6" },
}

local function flags_of(f) return f.family == "inet6" and "nodad" or nil end

local function address_args(link, cidr, f)
  local flags = flags_of(f)
  return flags and { link, cidr, flags } or { link, cidr }
end

-- ---- what the host gives ----

--- A fault where the caller has no power over the host's network.
function M.needs_host(c, why, what)
  if c.facts.net_admin then return end
  c:fault(why, what .. ", which takes CAP_NET_ADMIN there",
    c.facts.uid == 0 and "this root has it not, as inside a container: network = { interfaces = {} } needs none"
    or "run luge as root; an ordinary user has network = \"user\" (the outside world) and, in a group, network = \"private\"")
end

-- Whether IPv6 is there: in the container's network, and on the host's link where that is the router.
local function has_ipv6(c, interface)
  for _, link in ipairs { "all", "default", interface.name } do
    if tostring(c.spec.sysctl[("net.ipv6.conf.%s.disable_ipv6"):format(link)]) == "1" then return false end
  end
  return c.facts.ipv6 and (interface.gateway6 ~= "auto" or c.facts:link_ipv6(interface.bridge or "default"))
end

-- The interface as this host can have it: an address of IPv6 that nobody wrote is none where there is no IPv6.
local function as_can_be(c, interface)
  local is_written = interface.address6 ~= "auto" and interface.type ~= "private"
  if is_written or not interface.address6 or has_ipv6(c, interface) then return interface end
  local copy = {}
  for key, value in pairs(interface) do copy[key] = value end
  copy.address6, copy.gateway6 = false, false
  return copy
end

local function wants_auto(interface)
  local families = { inet = interface.address == "auto" or nil, inet6 = interface.address6 == "auto" or nil }
  return next(families) and families
end

local function no_range(c, why)
  c:fault(why, "every range that luge takes addresses from meets a route of this host",
    'write them: address = "10.1.2.2/30", address6 = "fd00:1::2/64"')
end

-- A wire's addresses: the number of a part that nobody has, the second address for the container, the first for the host. Of
-- IPv6 the container's is one that nobody had before either: the kernel has no connections of it (netns.plan_firewall).
local function take_wire(c, why, interface)
  local families = wants_auto(interface)
  if not families then return end
  local kind, name = pool.WIRE, interface.name
  local chosen = pool.choose(kind, c.facts.host_networks, families)
  if not chosen then return no_range(c, why) end
  local steps = c.steps
  steps:add("host", why, "take_slot", { "${ranges}/net.", chosen.pool },
    { save = "$subnet." .. name, undo = { "unlink", { ("${ranges}/net.${subnet.%s}"):format(name) } } })
  for _, f in ipairs(FAMILIES) do
    if families[f.family] then
      local base = chosen[f.base]
      local function nth(what, host)
        steps:add("host", why, "nl.subnet", { base, kind[f.prefix], "$subnet." .. name, host },
          { save = ("$%s.%s"):format(what, name) })
      end
      if f.family == "inet6" then
        steps:add("host", why, "nl.new_host_id", {}, { save = "$host_id." .. name })
        c.new_addresses = c.new_addresses or {}
        c.new_addresses[("${%s.%s}"):format(f.key, name)] = true
      end
      nth(f.key, f.family == "inet6" and "$host_id." .. name or 2)
      if interface[f.gateway] then nth(f.gateway, 1) end
    end
  end
end

-- ---- addresses of an interface ----

-- An address is one container's, and the network, where the host is in it, one wire's: the host has one way there.
local function take_locks(c, why, name, own, has_host)
  local ip = check.parse_cidr(own)
  local function take(kind, text)
    local lock = ("${ranges}/%s.%s.${netns}"):format(kind, text)
    c.steps:add("host", why, "take_lock", { lock }, { save = ("$lock.%s.%s"):format(kind, name), undo = { "unlink", { lock } } })
  end
  take("address", check.ip_text(ip.family, ip.bytes))
  if has_host then take("network", pool.network_of(own):match "^[^/]+") end
end

-- What both ends get, by family: { own = "ADDRESS/WIDTH", address = text, gateway = text, host = "ADDRESS/WIDTH" }.
local function wire_ends(c, why, interface)
  local ends = {}
  for _, f in ipairs(FAMILIES) do
    local own, gateway = interface[f.key], interface[f.gateway]
    if own == "auto" then
      local width = pool.WIRE[f.prefix]
      local address, other = ("${%s.%s}"):format(f.key, interface.name), ("${%s.%s}"):format(f.gateway, interface.name)
      ends[f.family] = { own = address .. "/" .. width, address = address, gateway = gateway and other,
        host = gateway and other .. "/" .. width }
    elseif own then
      if gateway == "auto" then gateway = pool.neighbour_of(own) end
      reach.check_free(c, ("%s.%s"):format(why, f.key), own)
      ends[f.family] = { own = own, address = own:match "^[^/]+", gateway = gateway,
        host = gateway and gateway .. "/" .. check.parse_cidr(own).prefix }
      take_locks(c, ("%s.%s"):format(why, f.key), ("%s.%s"):format(f.key, interface.name), own, gateway)
    end
  end
  return ends
end

-- Written by hand, of a network that others know.
local function given_ends(interface)
  local ends = {}
  for _, f in ipairs(FAMILIES) do
    local own = interface[f.key]
    if own then
      ends[f.family] = { own = own, address = own:match "^[^/]+", gateway = interface[f.gateway] or nil }
    end
  end
  return ends
end

-- ---- the guest ----

-- Without an IPv6 address there is no link-local one either.
local function up(address6, netns)
  local changes = { up = true, netns = netns }
  if not address6 then changes.link_local = false end
  return changes
end


-- Addresses and routes; up, where the parent has not done it.
local function guest(c, why, interface, ends, number)
  local steps, name = c.steps, interface.name
  local waits = { waits = true }
  for _, f in ipairs(FAMILIES) do
    local e = ends[f.family]
    if e then
      steps:add("guest", why, "nl.address", address_args(name, e.own, f), waits)
      waits = nil
    end
  end
  if interface.type == "macvlan" then steps:add("guest", why, "nl.set", { name, up(interface.address6) }, waits) end
  require("netns.plan_routes").add(c, why, interface, ends, number)
end

-- ---- kinds ----

-- The name of the host's end.
local function new_link(c, why, interface)
  local link = "$link." .. interface.name
  c.steps:add("host", why, "nl.link_name", { "lg" }, { save = link })
  return link
end

-- The Ethernet address of the container's end, which the firewall has to know. Where others are, in `place`, they remember for
-- tens of seconds which one an address had: so it goes with the address. On a wire only the host is, who forgets it with the link.
local function new_mac(c, why, interface, place, address)
  if interface.mac then return interface.mac end
  local mac = "$mac." .. interface.name
  c.steps:add("host", why, address and "nl.mac_of" or "nl.new_mac", address and { place, address } or {}, { save = mac })
  return mac
end

local function end_of(interface)
  local mac = interface.mac or interface.type ~= "link" and "$mac." .. interface.name or nil
  return { name = interface.name, netns = "$child", mac = mac, mtu = interface.mtu }
end

-- A wire whose other end is the host's, `link`. The container's end is set up before it: the end that is second works at once, the
-- first one when the kernel has got round to it, for which a look at the link makes it hurry (Linux 6.2), and giving it an
-- address takes one. It is up as soon as it is there, but where it has to be told first that it gets no address of its own making.
local function wire(c, why, interface, link)
  local own = end_of(interface)
  own.into, own.netns = own.netns, nil
  own.up = interface.address6 and true or nil
  local is_limited = between().namespace(c, interface)
  own.peer = is_limited and between().lay(c, why, interface, link) or { name = link, mtu = interface.mtu }
  c.steps:add("attach", why, "nl.veth", { own })
  if not own.up then c.steps:add("attach", why, "nl.set", { interface.name, up(false, "$child") }) end
  if is_limited then between().set_up(c, why, interface) end
end

-- The host believes nothing that comes from the container: no routers it announces, no sources but its own. A machine
-- without IPv6, or with /proc/sys closed, has nothing to be told.
local function distrust(c, why, interface)
  local base = ("/proc/sys/net/ipv%%d/conf/${link.%s}/%%s"):format(interface.name)
  for _, row in ipairs { { 6, "accept_ra", "0" }, { 6, "accept_redirects", "0" }, { 4, "accept_redirects", "0" },
    { 4, "rp_filter", "1" } } do
    c.steps:add("attach", why, "writefile", { base:format(row[1], row[2]), row[3] }, { optional = true })
  end
end

-- Where the container is, on IPv6: of what it forwards the host could not ask, having no link-local address there.
local function place_of(interface, address, dev)
  return { to = address, dev = dev, mac = interface.mac or "$mac." .. interface.name, replace = true }
end

-- The same on a link that stays.
local function known(c, why, interface, link, address)
  local entry = place_of(interface, address, link)
  c.steps:add("attach", why, "nl.neighbour", { entry }, { undo = { "nl.delneighbour", { { to = address, dev = link } } } })
end

-- What the host's end of a wire gets, all at once.
local function host_end(c, why, interface, link, ends)
  local changes, own = { up = true, link_local = false }, {}
  for _, f in ipairs(FAMILIES) do
    local e = ends[f.family]
    if e and e.host then
      changes.addresses = changes.addresses or {}
      table.insert(changes.addresses, flags_of(f) and { e.host, flags_of(f) } or e.host)
      own[#own + 1] = e.host
    end
  end
  if ends.inet6 and ends.inet6.host then changes.neighbours = { place_of(interface, ends.inet6.address) } end
  c.steps:add("attach", why, "nl.set", { link, changes }, { undo = own[1] and { "nl.deladdress", { link, own } } })
end

local kinds = {}

function kinds.veth(c, why, interface)
  M.needs_host(c, why, "the other end of a veth is made on the host")
  take_wire(c, why, interface)
  local ends, link = wire_ends(c, why, interface), new_link(c, why, interface)
  new_mac(c, why, interface)
  wire(c, why, interface, link)
  distrust(c, why, interface)
  host_end(c, why, interface, link, ends)
  reach.lead_behind(c, why, interface, ends, link)
  return ends
end

function kinds.bridge(c, why, interface)
  return require("netns.plan_bridge").plan(c, why, interface, new_link, new_mac)
end

-- When it comes up its neighbours hear that its addresses are here, who remember for tens of seconds where they were before.
-- Its mac could not go with the address, as that of a bridge's port does: the device takes none twice, and a network that has
-- ended keeps its links for a moment.
local function announce(c, why, interface)
  for _, row in ipairs { { 4, "arp_notify" }, { 6, "ndisc_notify" } } do
    c.steps:add("attach", why, "within", { { net = "$child" }, "writefile",
      ("/proc/sys/net/ipv%d/conf/%s/%s"):format(row[1], interface.name, row[2]), "1" }, { optional = true })
  end
end

function kinds.macvlan(c, why, interface)
  M.needs_host(c, why, "a macvlan is made on a device of the host")
  c.steps:add("attach", why, "nl.macvlan", { { name = interface.name, link = interface.parent, mode = interface.mode,
    mac = interface.mac, mtu = interface.mtu, into = "$child" } })
  announce(c, why, interface)
  return given_ends(interface)
end

-- Both ends are made where they belong; the host never has one. The other end is in the way of another wire of that name
-- until the kernel has got round to removing it: so it loses its name at once.
function kinds.link(c, why, interface)
  if not c.shared then M.needs_host(c, why, "a wire to another container is made by the host") end
  local spare = new_link(c, why, interface)
  local steps, there, peer = c.steps, "$there." .. interface.name, interface.peer
  steps:add("host", why, "open_noted", { ("${state}/%s.lock"):format(shared().full_name(c, interface.to)), "net" },
    { save = there })
  local function add(...) shared().add(c, why, ...) end
  add(there, "nl.veth", function(netns)
    return { { name = peer.name, into = netns, mac = peer.mac, mtu = interface.mtu, peer = end_of(interface) } }
  end, { "nl.set", function(netns)
    return { peer.name, { name = spare, up = false, netns = netns } }
  end })
  for _, f in ipairs(FAMILIES) do
    local address = peer[f.key]
    if address then
      add(there, "nl.address", function(netns) return { peer.name, address, { flags = flags_of(f), netns = netns } } end)
    end
  end
  if interface.address6 then shared().without_dad(c, why, "$child", interface.name) end
  if peer.address6 then shared().without_dad(c, why, there, peer.name) end
  add("$child", "nl.set", function(netns) return { interface.name, up(interface.address6, netns) } end)
  add(there, "nl.set", function(netns) return { peer.name, up(peer.address6, netns) } end)
  shared().look(c, why, "$child", interface.name)
  shared().look(c, why, there, peer.name)
  require("netns.plan_routes").add_there(c, why, there, peer)
  return given_ends(interface)
end

-- To the hub of a group, whose address each of them has by its place among their names.
function kinds.private(c, why, interface)
  local ends, link = given_ends(interface), new_link(c, why, interface)
  shared().private(c, why, interface, link, new_mac(c, why, interface, "private", (ends.inet or ends.inet6).address))
  return ends
end

function kinds.user(c, why, interface) return require("netns.plan_user").plan(c, why, interface) end

-- ---- all of them ----

-- The end of each that `luge network cut` sets down: { link =, netns =, user = the namespace that it takes power in }.
local function wire_of(c, interface)
  local name, user = interface.name, c.shared and c.shared.user
  if interface.type == "veth" or interface.type == "bridge" then
    local there = between().namespace(c, interface)
    return { link = there and between().IN or ("${link.%s}"):format(name), netns = there or nil }
  end
  if interface.type == "link" then return { link = interface.peer.name, netns = "$there." .. name, user = user } end
  if interface.type == "private" then return { link = ("${link.%s}"):format(name), netns = "$net.hub", user = user } end
  return { link = name, netns = "$child", user = not c.facts.privileged and (user or "$net.userns") or nil }
end

--- The steps of every interface, in the order of the profile. c.network: what the container's luge knows of each,
-- { name =, kind =, link = of the host, address =, address6 = }, with symbols.
function M.plan(c)
  local routers = 0
  c.network = {}
  -- Names and addresses are a network namespace's own: another one's container may have the same.
  c.constants.netns = c.facts.netns
  local firewall, all_ends = require "netns.plan_firewall", {}
  firewall.guard(c)
  for i, interface in ipairs(c.spec.network.interfaces) do
    local why = ("network.interfaces[%d]"):format(i)
    interface = as_can_be(c, interface)
    if interface.behind then require("netns.plan_behind").check(c, why, interface, reach.met) end
    local ends = kinds[interface.type](c, why, interface)
    all_ends[i] = ends
    local has_gateway = false
    for _, e in pairs(ends or {}) do has_gateway = has_gateway or e.gateway end
    if has_gateway then routers = routers + 1 end
    -- What a helper makes it makes whole.
    if ends then guest(c, why, interface, ends, routers) else ends = {} end
    c.network[i] = { name = interface.name, kind = interface.type,
      link = (interface.type == "veth" or interface.type == "bridge") and ("${link.%s}"):format(interface.name) or nil,
      address = ends.inet and ends.inet.own, address6 = ends.inet6 and ends.inet6.own, wire = wire_of(c, interface),
      peer = interface.type == "link" and { container = shared().full_name(c, interface.to), name = interface.peer.name } or nil }
  end
  firewall.plan(c, all_ends)
end

-- The text of an interface's address in /etc/hosts: what is "auto" is known when the container starts.
local function host_text(interface, key)
  local own = interface[key]
  if own == "auto" then return ("${%s.%s}"):format(key, interface.name) end
  return own and own:match "^[^/]+"
end

--- The lines of /etc/hosts: the container's names stand for its first address, which others know it by.
function M.hosts(c)
  local lines, named, names = { "127.0.0.1\tlocalhost\n", "::1\tlocalhost\n" }, {}, require("netns.plan").own_names(c)
  for _, interface in ipairs(c.spec.network.interfaces) do
    interface = as_can_be(c, interface)
    for _, key in ipairs { "address", "address6" } do
      local text = not named[key] and host_text(interface, key)
      if text then
        named[key] = true
        lines[#lines + 1] = ("%s\t%s\n"):format(text, names)
      end
    end
  end
  if not next(named) then
    for i, line in ipairs(lines) do lines[i] = line:gsub("\n", " " .. names .. "\n") end
  end
  return lines
end

M.FAMILIES, M.wants_auto, M.no_range, M.wire, M.known = FAMILIES, wants_auto, no_range, wire, known

return M
