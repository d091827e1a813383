-- SPDX-License-Identifier: MIT
-- sandbox.profile.finish_network: what only the fields of a network together can show to be wrong, and the names of
-- interfaces that have none.

local check = require "netns.check"
local pool = require "netns.pool"

local M = {}

local FAMILIES = { { "address", "gateway", "subnet", "inet" }, { "address6", "gateway6", "subnet6", "inet6" } }

-- Loopback, groups and what is nobody's: no address of an interface.
local function is_special(cidr)
  local ip = check.parse_cidr(cidr)
  local first = ip.bytes:byte()
  if ip.family == "inet" then return first == 127 or first == 0 or first >= 224 end
  return first == 255 or ip.bytes:sub(1, 15) == ("\0"):rep(15)
end

-- "10.0.5.0/24" and its first and last address are nobody's.
local function usable(cidr)
  local ip = check.parse_cidr(cidr)
  if ip.family ~= "inet" or ip.prefix > 30 then return true end
  local host = (">I4"):unpack(ip.bytes) & (1 << 32 - ip.prefix) - 1
  return host ~= 0 and host ~= (1 << 32 - ip.prefix) - 1
end

-- Where the host has no end, luge has no network to choose from, and no address of the host's.
local HAS_HOST = { veth = true, bridge = true }

local function router(own, gateway, field, say)
  if check.parse_ip(gateway).bytes == check.parse_cidr(own).bytes then
    say(field, gateway .. " is the interface's own address")
  elseif not usable(gateway .. own:match "/.*") then
    say(field, gateway .. " is the network's own, and no router's")
  end
end

-- The other end of a link.
local function peer_address(interface, names, say)
  local own, its = interface[names[1]], interface.peer[names[1]]
  if own and its and check.parse_cidr(own).bytes == check.parse_cidr(its).bytes then
    say("peer", ("its %s, %s, is that of this end, too"):format(names[1], its))
  end
end

local function address(interface, names, say)
  local own, gateway, subnet = interface[names[1]], interface[names[2]], interface[names[3]]
  for i = 1, not HAS_HOST[interface.type] and 2 or 0 do
    if interface[names[i]] == "auto" then
      return say(names[i], ("\"auto\" is for a veth or a bridge, a %s's is written"):format(interface.type),
        "write it, or false for none")
    end
  end
  if own == "auto" and interface.type == "veth" and gateway and gateway ~= "auto" then
    say(names[2], ("is no neighbour of an %s that is \"auto\""):format(names[1]), "leave it out, or write the address as well")
  elseif not own and gateway and gateway ~= "auto" then
    say(names[2], "needs an " .. names[1] .. " to be reached from", "leave it out, or write the address as well")
  elseif own and own ~= "auto" then
    if is_special(own) then
      say(names[1], own .. " is no address that an interface can have")
    elseif not usable(own) then say(names[1], ("%s is the network's own, not one of it"):format(own)) end
    if gateway and gateway ~= "auto" and not pool.contains(own, gateway) then
      say(names[2], ("%s is not in the network of %s"):format(gateway, own))
    elseif gateway and gateway ~= "auto" then
      router(own, gateway, names[2], say)
    end
    if subnet and not pool.contains(subnet, own:match "^[^/]+") then
      say(names[1], ("%s is not in %s, %s"):format(own, names[3], subnet))
    elseif subnet and gateway == "auto" and pool.contains(own:match "^[^/]+", pool.neighbour_of(subnet)) then
      say(names[1], ("%s is the host's own: %s is \"auto\""):format(own, names[2]), "take another, or write the gateway's address")
    end
    if interface.type == "veth" and gateway == "auto" and not pool.neighbour_of(own) then
      say(names[1], ("%s is a network of one address: there is none for the host"):format(own),
        ("write a wider one, or %s = false"):format(names[2]))
    end
  end
  if gateway == "auto" and interface.type == "bridge" and own ~= "auto" and not subnet and own then
    say(names[2], "needs the bridge's " .. names[3], ("write %s = %q, or the gateway's address"):format(names[3],
      names[4] == "inet" and "10.0.5.0/24" or "fd00:5::/64"))
  end
end

-- What an interface and the other end of a link have alike.
local function addresses_and_routes(interface, say)
  for _, names in ipairs(FAMILIES) do address(interface, names, say) end
  for i, route in ipairs(interface.routes or {}) do
    local to = route.to == "default" and "inet" or route.to == "default6" and "inet6" or check.parse_cidr(route.to).family
    if route.via and check.parse_ip(route.via).family ~= to then
      say("routes", ("[%d]: %s is no address of the family of %s"):format(i, route.via, route.to))
    elseif not interface[to == "inet" and "address" or "address6"] then
      say("routes", ("[%d]: %s needs an %s"):format(i, route.to, to == "inet" and "address" or "address6"))
    end
  end
end

local function one(interface, say, say_of_peer)
  addresses_and_routes(interface, say)
  if interface.mtu and interface.mtu < 1280 and interface.address6 then
    say("mtu", "IPv6 needs 1280 bytes", "write address6 = false, or a larger one")
  elseif interface.mtu and interface.mtu < 1280 and interface.peer and interface.peer.address6 then
    say("mtu", "IPv6 needs 1280 bytes, and peer has an address6", "leave that out, or write a larger one")
  end
  if not interface.peer then return end
  for _, names in ipairs(FAMILIES) do peer_address(interface, names, say) end
  addresses_and_routes(interface.peer, say_of_peer)
end

-- A network is behind one of them: a veth's is a route of the host, which has one to each. places: network → where it was
-- written, of the host's routes.
local function behind(interface, places, complain, keys)
  local own = interface.type == "veth" and places or {}
  for i, cidr in ipairs(interface.behind or {}) do
    local network = pool.network_of(cidr)
    if own[network] then
      complain({ keys[1], keys[2], keys[3], "behind", i }, ("%s is %s already"):format(cidr, own[network]), "write it once")
    end
    own[network] = own[network] or ("interfaces[%d].behind[%d]"):format(keys[3], i)
  end
end

-- A bridge sends each frame to one of its ports, by the mac.
local function mac(interface, macs, say, number)
  local key = interface.mac and interface.bridge and interface.bridge .. " " .. interface.mac
  if not key then return end
  if macs[key] then
    say("mac", ("%s is interfaces[%d]'s on that bridge"):format(interface.mac, macs[key]), "take another, or leave it out")
  end
  macs[key] = macs[key] or number
end

-- What only one interface of luge's can have: an address on the host's wires or on a bridge, and a network of a wire whose host's
-- end is in it. has: key → the interface that has it.
local function alone(interface, place, has, say)
  local near = interface.type == "veth" and "" or interface.type == "bridge" and interface.bridge
  if not near then return end
  for _, names in ipairs(FAMILIES) do
    local own = interface[names[1]]
    local written = own and own ~= "auto"
    local ip = written and ("%s %s"):format(near, check.parse_cidr(own).bytes)
    local network = written and near == "" and interface[names[2]] and pool.network_of(own):match "^[^/]+"
    if ip and has[ip] then
      say(names[1], ("%s is the address of %s"):format(own, has[ip]))
    elseif network and has[network] then
      say(names[1], ("%s is in the network of %s, by which the host reaches it"):format(own, has[network]),
        "take another network, or a bridge { } for both")
    end
    if ip then has[ip] = has[ip] or place end
    if network then has[network] = has[network] or place end
  end
end

--- { type = "user", … } as the network that it is short for.
function M.expand(network)
  return { type = "table", publish = network.publish or {}, egress = network.egress or false,
    hosts = network.hosts or {}, dns = network.dns or {},
    interfaces = { { type = "user", backend = network.backend, name = network.name, mtu = network.mtu, mac = network.mac } } }
end

--- A group's own network: one interface, whose addresses are those of the container's place among the others.
function M.private(network, complain)
  if not network.place then
    complain({ "network" }, '"private" is the network of a group, and this is none',
      'return group { network = "private", containers = { … } }, or write network = { interfaces = {} }')
  end
  local addresses = require("netns.plan_shared").addresses(network.place or 1)
  return { type = "table", private = true, publish = {}, egress = false, hosts = {}, dns = {}, interfaces = {
    { type = "private", name = "eth0", address = addresses.address, address6 = addresses.address6 } } }
end

--- network: spec.network, a table's; complain as of sandbox.profile.finish.
function M.finish(network, complain)
  local taken, places, macs, has = {}, {}, {}, {}
  for i, interface in ipairs(network.interfaces) do
    interface.name = interface.name or "eth" .. i - 1
    local keys = { "network", "interfaces", i }
    local function say(field, message, hint)
      complain({ keys[1], keys[2], i, field }, message, hint)
    end
    local function say_of_peer(field, message, hint)
      complain({ keys[1], keys[2], i, "peer", field }, message, hint)
    end
    if taken[interface.name] then
      complain(keys, ("%s is %s already"):format(interface.name, taken[interface.name]), "give it another name")
    end
    taken[interface.name] = ("interfaces[%d]"):format(i)
    one(interface, say, say_of_peer)
    behind(interface, places, complain, keys)
    mac(interface, macs, say, i)
    alone(interface, taken[interface.name], has, say)
  end
  require "sandbox.profile.finish_firewall".finish(network, complain)
end

return M
