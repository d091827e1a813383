-- SPDX-License-Identifier: MIT
-- netns.plan_bridge: a wire to a bridge as steps; see netns.plan_interfaces, which calls it. The bridge's networks are the
-- same for all its containers: the first one's profile says which, or which number of a range they have.

local check = require "netns.check"
local pool = require "netns.pool"

local M = {}

-- The networks of the bridge, by family: { base =, prefix =, wants_host = }, and the choice where it is luge's.
local function networks_of(c, why, interface, common)
  local families = common.wants_auto(interface) or {}
  local by, chosen = {}, nil
  local wanted = { inet = families.inet and not interface.subnet or nil, inet6 = families.inet6 and not interface.subnet6 or nil }
  if next(wanted) then
    chosen = pool.choose(pool.BRIDGE, c.facts.host_networks, wanted)
    if not chosen then
      common.no_range(c, why)
      return nil
    end
  end
  for _, f in ipairs(common.FAMILIES) do
    local subnet = interface[f.subnet]
    if wanted[f.family] then
      by[f.family] = { base = f.family == "inet" and chosen.base or pool.BRIDGE.base6, prefix = pool.BRIDGE[f.prefix],
        is_chosen = true }
    elseif subnet then
      by[f.family] = { base = subnet, prefix = check.parse_cidr(subnet).prefix }
    end
  end
  return by, chosen
end

-- What the first user gives the bridge: the host's address of each network whose gateway it is.
local function wish(interface, by, chosen, common)
  local rows = {}
  for _, f in ipairs(common.FAMILIES) do
    local network = by[f.family]
    if network and interface[f.gateway] == "auto" then
      rows[#rows + 1] = chosen and (network.is_chosen and { base = network.base, prefix = network.prefix }
        or { address = M.first_of(network) }) or M.first_of(network)
    end
  end
  return { networks = #rows > 0 and rows or nil, count = chosen and chosen.pool.count, avoid = chosen and chosen.pool.avoid }
end

function M.first_of(network)
  return ("%s/%d"):format(require("netns").subnet(network.base, network.prefix, 0, 1), network.prefix)
end

-- How many containers a network of this width has room for, beside the host.
local function room(by)
  local count = 65533
  for _, network in pairs(by) do
    if network.prefix > 16 and network.prefix <= 32 then count = math.min(count, (1 << 32 - network.prefix) - 3) end
  end
  return math.max(count, 1)
end

-- The ends of one family; adds the steps that find what is "auto".
local function family_ends(c, why, interface, f, network)
  local steps, name = c.steps, interface.name
  local own, gateway = interface[f.key], interface[f.gateway]
  if not own then return nil end
  local number = network and network.is_chosen and "$bridge." .. name or 0
  local result = { own = own, address = own:match "^[^/]+", gateway = gateway or nil }
  local function nth(what, host)
    steps:add("host", why, "nl.subnet", { network.base, network.prefix, number, host }, { save = ("$%s.%s"):format(what, name) })
    return ("${%s.%s}"):format(what, name)
  end
  if own == "auto" then
    result.address = nth(f.key, "$port." .. name)
    result.own = result.address .. "/" .. network.prefix
  end
  if gateway == "auto" then result.gateway = nth(f.gateway, 1) end
  return result
end

-- Two containers with one address on a bridge would take turns to have it.
local function take_addresses(c, why, interface, by, common)
  local steps, base = c.steps, "${ranges}/port.${netns}." .. interface.bridge .. "."
  if common.wants_auto(interface) then
    steps:add("host", why, "take_slot", { base, { first = 2, step = 1, count = room(by) } },
      { save = "$port." .. interface.name, undo = { "unlink", { ("%s${port.%s}"):format(base, interface.name) } } })
  end
  for _, f in ipairs(common.FAMILIES) do
    local own, network = interface[f.key], by[f.family]
    if own and own ~= "auto" then
      local what = own:match "^[^/]+" .. ".0" -- locks are known by the digit at their end
      -- By its number, as those that are "auto", where the network is known.
      if network and f.family == "inet" then
        what = tostring((">I4"):unpack(check.parse_cidr(own).bytes) & (1 << 32 - network.prefix) - 1)
      end
      steps:add("host", ("%s.%s"):format(why, f.key), "take_lock", { base .. what },
        { save = ("$lock.%s.%s"):format(f.key, interface.name), undo = { "unlink", { base .. what } } })
    end
  end
end

--- The steps of one; returns its ends as the others do.
function M.plan(c, why, interface, new_link, peer_of)
  local common = require "netns.plan_interfaces"
  common.needs_host(c, why, "a bridge is the host's")
  local by, chosen = networks_of(c, why, interface, common)
  if not by then return {} end
  local steps, name, bridge = c.steps, interface.name, interface.bridge
  local lock = ("${ranges}/bridge.%s.${netns}"):format(bridge)
  steps:add("host", why, "nl.hold_bridge", { lock, bridge, wish(interface, by, chosen, common) },
    { save = "$bridge." .. name, undo = { "nl.leave_bridge", { lock } } })
  take_addresses(c, why, interface, by, common)
  local ends = {}
  for _, f in ipairs(common.FAMILIES) do ends[f.family] = family_ends(c, why, interface, f, by[f.family]) end
  local link = new_link(c, why, interface)
  steps:add("attach", why, "nl.veth", { { name = link, mtu = interface.mtu, master = bridge, peer = peer_of(interface) } })
  common.set_up(c, why, interface)
  if interface.isolated then steps:add("attach", why, "nl.port", { link, { isolated = true } }) end
  steps:add("attach", why, "nl.set", { link, { up = true, link_local = false } })
  if ends.inet6 and interface.gateway6 == "auto" then common.known(c, why, interface, bridge, ends.inet6.address) end
  return ends
end

return M
