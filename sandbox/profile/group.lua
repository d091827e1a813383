-- SPDX-License-Identifier: MIT
-- sandbox.profile.group: which container of a profile is meant: FILE.lua:NAME of a group, or the only one.

local schema = require "sandbox.profile.schema"
local validate = require "sandbox.profile.validate"

local M = {}

local function one_fault(message, hint, place)
  return nil, { { path = "", message = message, hint = hint, origin = place or {} } }
end

-- The container of a group, or what the profile itself is.
function M.pick(value, origins, name)
  local place = type(value) == "table" and origins[value] or {}
  if type(value) ~= "table" or value.type ~= "container" and value.type ~= "group" then
    return one_fault("a profile returns container { … }, this one returns "
      .. (value == nil and "nothing" or validate.show(value)), nil, place)
  end
  if value.type == "container" then
    if not name then return value end
    return one_fault("this is one container, not a group with a '" .. name .. "'", "leave :" .. name .. " out", place)
  end
  local names = {}
  local containers = type(value.containers) == "table" and value.containers or {}
  for key in next, containers do names[#names + 1] = tostring(key) end
  table.sort(names)
  if not name then
    return one_fault("a whole group is not run by this version of luge", "name one of its containers: FILE.lua:"
      .. (names[1] or "NAME"), place)
  end
  local faults = {}
  local layer = { origin = place, origins = origins, dir = "/", places = {}, index = 0, text = {} }
  validate.layer(layer, schema.group, value, faults)
  if #faults > 0 then return nil, faults end
  local found = containers[name]
  if type(found) ~= "table" or found.type ~= "container" then
    local errors = require "sandbox.profile.errors"
    return nil, { { path = "containers", message = "no container '" .. name .. "' in this group",
      near = errors.nearest(name, names),
      hint = "it has: " .. table.concat(names, ", "), origin = place } }
  end
  return found
end

return M
