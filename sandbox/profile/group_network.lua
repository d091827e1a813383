-- SPDX-License-Identifier: MIT
-- sandbox.profile.group_network: the networks of a group's containers: which one a container has that says none, what names
-- its others have for it, and whom its wires make it wait for.

local M = {}

local copy = require "sandbox.profile.finish".copy

--- Gives a container of a group the group's network, unless it says its own. value: the merged container, not finished
-- yet; network: the group's, checked, or what it is without a word, with places = the containers' names in order; name: its own.
function M.join(value, network, name)
  if value.network == nil then
    value.network = copy(network)
    value.network.places = nil
  end
  if value.network.type ~= "private" then return end
  for place, other in ipairs(network.places or {}) do
    if other == name then value.network.place = place end
  end
end

-- The addresses by which a container is known to those that are in a network with it, by their families.
local function addresses_of(network)
  local found = {}
  for _, interface in ipairs(network.interfaces or {}) do
    for _, key in ipairs { "address", "address6" } do
      local text = interface[key]
      if text and text ~= "auto" and not found[key] then
        found[key] = true
        found[#found + 1] = text:match "^[^/]+"
      end
    end
  end
  return found
end

local LOOPBACK = { "127.0.0.1", "::1" }

--- What /etc/hosts of one member says of the others: a list of { address, name }. members: name → { spec = }; names: in order.
function M.peers(members, names, own)
  local network, list = members[own].spec.network, {}
  for _, name in ipairs(names) do
    local other = members[name].spec.network
    local is_same = network.pod and network.pod == other.pod or network.join == name or other.join == own
    if name ~= own and (is_same or not network.private == not other.private) then
      for _, address in ipairs(is_same and LOOPBACK or addresses_of(other)) do list[#list + 1] = { address, name } end
    end
  end
  return list
end

--- Each run of a container has a network of its own: what others laid to the one before is gone with it, and nobody would say so.
-- complain_of(name): a function that takes a fault of that member.
function M.check_restarts(members, names, complain_of)
  for _, name in ipairs(names) do
    local network = members[name].spec.network
    local function check(other, what)
      if not (other and members[other] and members[other].spec.restart) then return end
      complain_of(other)({ "restart" }, ("'%s' %s: that would end with its first run"):format(name, what),
        ("let '%s' lay the wire to it (link), join by a pod, or leave restart out"):format(other))
    end
    check(network.join, "joins its network")
    for _, interface in ipairs(network.interfaces or {}) do
      check(interface.type == "link" and interface.to, "lays a link to it")
    end
  end
end

--- A wire needs its other end, and who joins a network its container, which run before; where a profile does not say so this
-- does. add(name, needed).
function M.needs(members, names, add)
  for _, name in ipairs(names) do
    local function need(other)
      if other and members[other] and not members[name].needs[other] then add(name, other) end
    end
    local network = members[name].spec.network
    need(network.join)
    for _, interface in ipairs(network.interfaces or {}) do need(interface.type == "link" and interface.to) end
  end
end

--- Whether the containers of an ordinary user have to be in one user namespace for their networks.
function M.shares(members)
  for _, one in pairs(members) do
    local network = one.spec.network
    if network.private or network.pod then return true end
    for _, interface in ipairs(network.interfaces or {}) do
      if interface.type == "link" then return true end
    end
  end
  return false
end

return M
