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
      by[f.family] = { base = chosen[f.base], prefix = pool.BRIDGE[f.prefix],
        is_chosen = true }
    elseif subnet then
      by[f.family] = { base = subnet, prefix = check.parse_cidr(subnet).prefix }
    end
  end
  return by, chosen
end

-- What the first user gives the bridge: the host's address of each network whose gateway it is.
local function wish(interface, by, chosen, common)
  local rows, lacks = {}, {}
  for _, f in ipairs(common.FAMILIES) do
    local network = by[f.family]
    if network and network.is_chosen then lacks[#lacks + 1] = f.subnet end
    if network and interface[f.gateway] == "auto" then
      rows[#rows + 1] = chosen and (network.is_chosen and { base = network.base, prefix = network.prefix }
        or { address = M.first_of(network) }) or M.first_of(network)
    end
  end
  return { networks = #rows > 0 and rows or nil, count = chosen and chosen.pool.count, avoid = chosen and chosen.pool.avoid,
    lacks = chosen and lacks }
end

function M.first_of(network)
  return ("%s/%d"):format(require("netns").subnet(network.base, network.prefix, 0, 1), network.prefix)
end

-- Where a lock says which address it is: the name's last part is the number of the last 32 bits, as S.take_slot takes it, so
-- that one that was written meets one that is "auto". Those of a network that luge chooses are known by their place in it.
local function place_of(address)
  local bytes = check.parse_cidr(address).bytes
  local above = bytes:sub(1, -5):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  return (above == "" and "4" or above) .. ".", (">I4"):unpack(bytes, #bytes - 3)
end

-- How many containers a network of this width has room for, beside the host.
local function room(network) return network.prefix > 16 and network.prefix <= 30 and (1 << 32 - network.prefix) - 3 or 65533 end

-- Takes an address that nobody has; the steps that make its text of the number.
local function take_any(c, why, interface, f, network, nth)
  local place, number = f.family == "inet" and "4." or "6.", 0
  if not network.is_chosen then place, number = place_of(network.base) end
  local base = ("${ranges}/port.${netns}.%s.%s"):format(interface.bridge, place)
  local symbol = ("port.%s.%s"):format(f.key, interface.name)
  c.steps:add("host", why, "take_slot", { base, { first = number + 2, step = 1, count = room(network) } },
    { save = "$" .. symbol, undo = { "unlink", { ("%s${%s}"):format(base, symbol) } } })
  local origin = network.base
  if not network.is_chosen then
    local bytes = check.parse_cidr(origin).bytes:sub(1, -5) .. "\0\0\0\0"
    origin = ("%s/%d"):format(check.ip_text(f.family, bytes), network.prefix)
  end
  return nth(f.key, "$" .. symbol, origin)
end

-- Two containers with one address on a bridge would take turns to have it.
local function take_own(c, why, interface, f)
  local place, number = place_of(interface[f.key])
  local lock = ("${ranges}/port.${netns}.%s.%s%d"):format(interface.bridge, place, number)
  c.steps:add("host", ("%s.%s"):format(why, f.key), "take_lock", { lock },
    { save = ("$lock.%s.%s"):format(f.key, interface.name), undo = { "unlink", { lock } } })
end

-- Two containers with one mac on a bridge would steal each other's frames; isolated ports, on any bridge, are told apart by the
-- end of theirs (netns.firewall_bridge). "-" is no bridge's name. Macs that luge makes meet none.
local function take_mac(c, why, interface)
  if not interface.mac then return end
  local function take(bridge, mac)
    local lock = ("${ranges}/port.${netns}.%s.%s"):format(bridge, mac)
    c.steps:add("host", why .. ".mac", "take_lock", { lock },
      { save = ("$lock.mac%s.%s"):format(bridge == "-" and "_end" or "", interface.name), undo = { "unlink", { lock } } })
  end
  take(interface.bridge, interface.mac)
  if interface.isolated then take("-", interface.mac:sub(-11)) end
end

-- The ends of one family; adds the steps that find what is "auto".
local function family_ends(c, why, interface, f, network)
  local steps, name = c.steps, interface.name
  local own, gateway = interface[f.key], interface[f.gateway]
  if not own then return nil end
  local result = { own = own, address = own:match "^[^/]+", gateway = gateway or nil }
  local function nth(what, host, base)
    local number = network.is_chosen and "$bridge." .. name or 0
    steps:add("host", why, "nl.subnet", { base or network.base, network.prefix, number, host },
      { save = ("$%s.%s"):format(what, name) })
    return ("${%s.%s}"):format(what, name)
  end
  if own == "auto" then
    result.address = take_any(c, why, interface, f, network, nth)
    result.own = result.address .. "/" .. network.prefix
  else
    take_own(c, why, interface, f)
  end
  if gateway == "auto" then result.gateway = nth(f.gateway, 1) end
  return result
end

--- The steps of one; returns its ends as the others do.
function M.plan(c, why, interface, new_link, new_mac)
  local common = require "netns.plan_interfaces"
  common.needs_host(c, why, "a bridge is the host's")
  local by, chosen = networks_of(c, why, interface, common)
  if not by then return {} end
  local steps, name, bridge = c.steps, interface.name, interface.bridge
  local lock = ("${ranges}/bridge.%s.${netns}"):format(bridge)
  steps:add("host", why, "nl.hold_bridge", { lock, bridge, wish(interface, by, chosen, common) },
    { save = "$bridge." .. name, undo = { "nl.leave_bridge", { lock } } })
  local ends = {}
  for _, f in ipairs(common.FAMILIES) do
    local network = by[f.family]
    if interface[f.gateway] == "auto" and network and not network.is_chosen then
      require("netns.plan_reach").check_free(c, ("%s.%s"):format(why, f.subnet), M.first_of(network), bridge)
    end
  end
  for _, f in ipairs(common.FAMILIES) do ends[f.family] = family_ends(c, why, interface, f, by[f.family]) end
  take_mac(c, why, interface)
  local link, first = new_link(c, why, interface), ends.inet or ends.inet6
  new_mac(c, why, interface, bridge, first and first.address)
  common.wire(c, why, interface, link)
  steps:add("attach", why, "nl.set", { link, { master = bridge, link_local = false, up = not interface.isolated or nil } })
  if interface.isolated then
    steps:add("attach", why, "nl.port", { link, { isolated = true } })
    steps:add("attach", why, "nl.set", { link, { up = true } })
  end
  if ends.inet6 and interface.gateway6 == "auto" then common.known(c, why, interface, bridge, ends.inet6.address) end
  return ends
end

return M
