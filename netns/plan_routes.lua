-- SPDX-License-Identifier: MIT
-- netns.plan_routes: the routes of a container as steps of the guest; netns.plan_interfaces calls it for each interface.

local FAMILIES = { { family = "inet", base = 0 }, { family = "inet6", base = 1024 } } -- base: of a route without a metric

local KEYS = { inet = "address", inet6 = "address6" }

local M = {}

local function is_published(c, interface, family)
  for _, entry in ipairs(c.spec.network.publish) do
    for _, to in ipairs(entry.to) do
      if to.family == family and c.spec.network.interfaces[to.interface].name == interface.name then return true end
    end
  end
end

-- Whether another interface may be the way to somebody.
local function is_one_of_several(c, interface, family)
  for _, other in ipairs(c.spec.network.interfaces) do
    if other.name ~= interface.name and other[KEYS[family]] then return true end
  end
end

local PRIORITY = 1000 -- before the main table's rule, 32766

-- Who asks a published port is answered by the way that he came: to his own network, or to everywhere, another interface may be
-- nearer, and what is sent there under this one's address ends at its link.
local function answer_by(c, why, interface, e, number)
  local function add(op, args) c.steps:add("guest", why, op, { args }) end
  add("nl.rule", { from = e.address, to = e.own, table = "main", priority = PRIORITY })
  add("nl.rule", { from = e.address, table = number, priority = PRIORITY + 1 })
  add("nl.route", { to = "default", via = e.gateway, dev = interface.name, table = number })
end

-- A route of a profile as nl.route takes it.
local function of_profile(route, dev, netns)
  local family = route.to == "default6" and "inet6" or nil
  return { to = family and "default" or route.to, via = route.via, dev = dev, metric = route.metric, family = family,
    netns = netns }
end

--- The routes of an interface. ends: as netns.plan_interfaces has them; number: which of those with a router it is.
-- Of several ways to everywhere the first one written counts; the others are there when it is not.
function M.add(c, why, interface, ends, number)
  local steps = c.steps
  for _, f in ipairs(FAMILIES) do
    local e = ends[f.family]
    if e and e.gateway then
      local metric = number > 1 and f.base + 100 * number or nil
      steps:add("guest", why, "nl.route", { { to = "default", via = e.gateway, dev = interface.name, metric = metric } })
      if is_published(c, interface, f.family) and is_one_of_several(c, interface, f.family) then
        answer_by(c, why, interface, e, 100 * number)
      end
    end
  end
  for i, route in ipairs(interface.routes or {}) do
    steps:add("guest", ("%s.routes[%d]"):format(why, i), "nl.route", { of_profile(route, interface.name) })
  end
end

--- Those of a link's other end, in the network `there`, once it is up. They go with the link.
function M.add_there(c, why, there, peer)
  local function add(field, route)
    require("netns.plan_shared").add(c, ("%s.peer.%s"):format(why, field), there, "nl.route", function(netns)
      return { of_profile(route, peer.name, netns) }
    end)
  end
  if peer.gateway then add("gateway", { to = "default", via = peer.gateway }) end
  if peer.gateway6 then add("gateway6", { to = "default6", via = peer.gateway6 }) end
  for i, route in ipairs(peer.routes or {}) do add(("routes[%d]"):format(i), route) end
end

return M
