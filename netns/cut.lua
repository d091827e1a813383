-- SPDX-License-Identifier: MIT
-- netns.cut: a wire is cut, and joined again: one end is set down, so that the other has no carrier. What the kernel
-- takes away from a link that goes down, IPv6 addresses, routes by it, those of the loopback's published ports among them,
-- and neighbours that were written, is noted and put back.

local check = require "netns.check"
local nl = require "netns"

local KERNEL = { kernel = true, ra = true, redirect = true }
local FIELDS = { "to", "via", "metric", "family", "table", "type", "src", "onlink", "protocol", "scope" }

--- nl.cut(name [, netns]) -> state
-- Sets a link down. state: { addresses = { "ADDRESS/WIDTH"… }, routes = { fields of nl.route… }, neighbours = {
-- those of nl.neighbour… } } for nl.mend. Errors: NODEV, PERM.
function nl.cut(name, netns)
  name = check.name(name, "#1")
  local addresses, err, errno = nl.addresses { dev = name, netns = netns }
  if not addresses then return nil, err, errno end
  local routes
  routes, err, errno = nl.routes { dev = name, table = "all", netns = netns }
  if not routes then return nil, err, errno end
  local state = { addresses = {}, routes = {}, neighbours = {} }
  for _, address in ipairs(addresses) do
    if address.scope == "global" then
      state.addresses[#state.addresses + 1] = ("%s/%d"):format(address.address, address.prefix)
    end
  end
  for _, route in ipairs(routes) do
    if not KERNEL[route.protocol] then
      local kept = {}
      for _, field in ipairs(FIELDS) do kept[field] = route[field] end
      state.routes[#state.routes + 1] = kept
    end
  end
  local neighbours
  neighbours, err, errno = nl.neighbours { dev = name, netns = netns }
  if not neighbours then return nil, err, errno end
  for _, neighbour in ipairs(neighbours) do
    if neighbour.state[1] == "permanent" then
      state.neighbours[#state.neighbours + 1] = { to = neighbour.to, mac = neighbour.mac }
    end
  end
  local ok
  ok, err, errno = nl.down(name, netns)
  if not ok then return nil, err, errno end
  return state
end

--- nl.mend(name, state [, netns]) -> true
-- Sets a link up that nl.cut has set down, with its addresses and routes. Errors: NODEV, PERM.
function nl.mend(name, state, netns)
  name = check.name(name, "#1")
  local ok, err, errno = nl.up(name, netns)
  if not ok then return nil, err, errno end
  for _, cidr in ipairs(state.addresses) do
    local is_inet6 = cidr:find(":", 1, true)
    ok, err, errno = nl.address(name, cidr, { flags = is_inet6 and "nodad" or nil, replace = true, netns = netns })
    if not ok then return nil, err, errno end
  end
  for _, neighbour in ipairs(state.neighbours) do
    ok, err, errno = nl.neighbour { to = neighbour.to, mac = neighbour.mac, dev = name, replace = true, netns = netns }
    if not ok then return nil, err, errno end
  end
  for _, route in ipairs(state.routes) do
    local again = { dev = name, netns = netns, append = route.family == "inet6" or nil } -- ::1 has a route of the kernel's, too
    for _, field in ipairs(FIELDS) do again[field] = route[field] end
    ok, err, errno = nl.route(again)
    if not ok and not err.EXIST then return nil, err, errno end
  end
  return true
end
