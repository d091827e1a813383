-- SPDX-License-Identifier: MIT
-- sandbox.profile.finish_firewall: what is let in and out of a network, once its fields are put together; and the network
-- "internet", which is one of them.

local rate = require "netns.rate"

local M = {}

--- The table that network = "internet" stands for: a wire to the host, or a helper for whoever has no power over the host's
-- network.
function M.internet(facts, complain)
  if facts.net_admin == false then
    local finish_network = require "sandbox.profile.finish_network"
    local network = finish_network.expand { egress = { internet = true, allow = {} } }
    finish_network.finish(network, complain)
    network.word = "internet"
    return network
  end
  return { type = "table", word = "internet", hosts = {}, dns = {}, publish = {},
    interfaces = { { type = "veth", name = "eth0", address = "auto", address6 = "auto", gateway = "auto", gateway6 = "auto",
      nat = true } },
    egress = { allow = {}, internet = true, log = false } }
end

local KEYS = { inet = "address", inet6 = "address6" }

-- The first interface that the host's packets of a family get to: one that has an end there, and the host an address.
local function reachable(network, family)
  for i, interface in ipairs(network.interfaces) do
    local gateway = interface[family == "inet" and "gateway" or "gateway6"]
    local has_host = interface.type == "veth" or interface.type == "bridge" and gateway == "auto"
    if has_host and gateway and interface[KEYS[family]] then return i end
  end
end

local function meets(a, b)
  if a.proto ~= b.proto or a.host.port ~= b.host.port then return false end
  if a.host.family and b.host.family and a.host.family ~= b.host.family then return false end
  return not a.host.address or not b.host.address or a.host.address == b.host.address
end

-- Where no interface has an end on the host, its helper publishes (netns.plan_user).
local function by_helper(network)
  for _, interface in ipairs(network.interfaces) do
    if interface.type == "user" then return true end
  end
end

-- publish[i].to = { { family =, interface = index }… }: where each leads.
local function publish(network, complain)
  local of_port = {} -- port → the numbers of its entries: a profile may publish all there are
  for i, entry in ipairs(network.publish) do
    local keys = { "network", "publish", i }
    entry.guest, entry.proto = entry.guest or entry.host.port, entry.proto or "tcp"
    entry.to = {}
    for _, family in ipairs { "inet", "inet6" } do
      local at = (not entry.host.family or entry.host.family == family) and reachable(network, family)
      if at then entry.to[#entry.to + 1] = { family = family, interface = at } end
    end
    if #entry.to == 0 and not by_helper(network) then
      complain(keys, "no interface has an address that the host reaches" .. (entry.host.family and (" by IPv%d"):format(
        entry.host.family == "inet" and 4 or 6) or ""), 'interfaces = { veth { } }, or a bridge with gateway = "auto"')
    end
    local others = of_port[entry.host.port] or {}
    of_port[entry.host.port] = others
    for _, j in ipairs(others) do
      if meets(entry, network.publish[j]) then
        complain(keys, ("%s port %d of the host is publish[%d]'s already"):format(entry.proto, entry.host.port, j))
      end
    end
    others[#others + 1] = i
  end
end

local function nat(network, complain)
  for i, interface in ipairs(network.interfaces) do
    if interface.nat and interface.gateway ~= "auto" and interface.gateway6 ~= "auto" and interface.type == "bridge" then
      complain({ "network", "interfaces", i, "nat" }, "is for what goes by the host, and this interface has another router",
        'write gateway = "auto"')
    end
  end
end

local function bandwidth(network, complain)
  local b = network.bandwidth
  if not b then return end
  for i, interface in ipairs(network.interfaces) do
    if interface.type ~= "veth" and interface.type ~= "bridge" then
      complain({ "network", "bandwidth" }, ("interfaces[%d], a %s, has no end on the host at which to hold it back"):format(i,
        interface.type), "limit it on a veth or a bridge")
    end
    local packet = rate.packet(interface.mtu)
    if b.burst and b.burst < packet then
      complain({ "network", "bandwidth", "burst" },
        ("%d bytes are less than a packet of interfaces[%d], whose mtu is %d: none so large would pass"):format(b.burst, i,
          interface.mtu or 1500), ("write %d, with the header of its link, or more"):format(packet))
    end
  end
end

--- network: spec.network, a table's; complain as of sandbox.profile.finish.
function M.finish(network, complain)
  local egress = network.egress
  if (network.join or network.pod) and egress and ((egress.allow or {})[1] or egress.internet or egress.log) then
    complain({ "network", "egress" }, "is for interfaces of its own, and this network is another's", "write it there")
  end
  nat(network, complain)
  publish(network, complain)
  bandwidth(network, complain)
end

return M
