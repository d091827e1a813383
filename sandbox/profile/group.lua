-- SPDX-License-Identifier: MIT
-- sandbox.profile.group: a profile that is a group of containers: one of them (FILE.lua:NAME), or all with their order.

local schema = require "sandbox.profile.schema"
local networks = require "sandbox.profile.group_network"
local validate = require "sandbox.profile.validate"

local M = {}

-- ---- the group itself ----

local function one_fault(message, hint, place)
  return nil, { { path = "", message = message, hint = hint, origin = place or {} } }
end

-- A fault at the keys of the group's own table.
local function add_fault(layer, value, faults, keys, message, more)
  local raw, at = { [0] = value }, value
  for i, key in ipairs(keys) do
    at = type(at) == "table" and at[key] or nil
    raw[i] = at
  end
  faults[#faults + 1] = { path = require "sandbox.profile.errors".path_text(keys), keys = keys, at = keys, raw = raw, layer = layer,
    message = message, near = more and more.near, hint = more and more.hint, part = "value" }
end

local function sorted(map)
  local names = {}
  for name in next, map do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Each of them is told of all others: twice as many are four times the work, and a profile may be anybody's.
local MOST_CONTAINERS = 500

-- The group's own fields, { containers = name → raw container, main =, network =, parallel =, name = }, nil where there are
-- too many; faults are added.
local function check(value, origins, text, faults)
  local place = origins[value] or {}
  local layer = { origin = place, origins = origins, dir = "/", places = {}, index = 0, text = text }
  local own = validate.layer(layer, schema.group, value, faults) or {}
  own.network = own.network or { type = "none" }
  own.containers = own.containers or {}
  for name, raw in next, own.containers do
    if raw == false then -- condition and container { … }
      own.containers[name] = nil
    elseif type(raw) ~= "table" or raw.type ~= "container" then
      add_fault(layer, value, faults, { "containers", name }, validate.show(raw) .. " is no container",
        { hint = "write " .. name .. " = container { … }" })
      own.containers[name] = nil
    end
  end
  own.network.places = sorted(own.containers)
  local function complain(...) add_fault(layer, value, faults, ...) end
  local count = #own.network.places
  if count > MOST_CONTAINERS then
    complain({ "containers" }, ("%d are more than a group may have, which is %d"):format(count, MOST_CONTAINERS))
    return nil, complain
  end
  return own, complain
end

--- The container of a group, or what the profile itself is, and its group's network; nil and faults. text: of the files by name.
function M.pick(value, origins, name, text)
  local place = type(value) == "table" and origins[value] or {}
  if type(value) ~= "table" or value.type ~= "container" and value.type ~= "group" then
    return one_fault("a profile returns container { … }, this one returns "
      .. (value == nil and "nothing" or validate.show(value)), nil, place)
  end
  if value.type == "container" then
    if not name then return value end
    return one_fault("this is one container, not a group with a '" .. name .. "'", "leave :" .. name .. " out", place)
  end
  local faults = {}
  local own = check(value, origins, text or {}, faults)
  if not own then return nil, faults end
  local names = sorted(own.containers)
  if not name then
    return one_fault("this is a group, and one container is meant here",
      "name one of them: FILE.lua:" .. (names[1] or "NAME"), place)
  end
  if #faults > 0 then return nil, faults end
  local found = own.containers[name]
  if found then return found, nil, own.network end
  return nil, { { path = "containers", message = "no container '" .. name .. "' in this group",
    near = require "sandbox.profile.errors".nearest(name, names), hint = "it has: " .. table.concat(names, ", "), origin = place } }
end

-- ---- needs ----

local NAME_MAX = 64

-- What one container's needs say that the others do not hold.
local function check_needs(member, group, complain)
  local names = sorted(group.members)
  for _, needed in ipairs(sorted(member.needs)) do
    local other, kind, keys = group.members[needed], member.needs[needed], { "needs", needed }
    if not other then
      complain(keys, "no container '" .. needed .. "' in this group", "it has: " .. table.concat(names, ", "),
        require "sandbox.profile.errors".nearest(needed, names))
    elseif kind == "healthy" and not other.spec.health and not other.faulty then
      complain(keys, ("'%s' has no health that could say so"):format(needed), 'write health in it, or "started" here')
    elseif kind == "done" and other.spec.restart and other.spec.restart.on == "always" then
      complain(keys, ("'%s' is always started again, and never done"):format(needed), 'write restart = "failure" in it')
    end
  end
end

-- The ways from a container back to itself along the needs, each a list of names that begins and ends with it.
local function find_cycles(group)
  local cycles, state, path = {}, {}, {}
  local function visit(name)
    state[name], path[#path + 1] = "open", name
    for _, needed in ipairs(sorted(group.members[name].needs)) do
      if state[needed] == "open" then
        local from = 1
        while path[from] ~= needed do from = from + 1 end
        local cycle = table.move(path, from, #path, 1, {})
        cycle[#cycle + 1] = needed
        cycles[#cycles + 1] = cycle
      elseif group.members[needed] and not state[needed] then
        visit(needed)
      end
    end
    state[name], path[#path] = "closed", nil
  end
  for _, name in ipairs(sorted(group.members)) do
    if not state[name] then visit(name) end
  end
  return cycles
end

-- The names in the order of the start: each after those that it needs, those first that need least.
local function start_order(group)
  local order, placed, left = {}, {}, sorted(group.members)
  while #left > 0 do
    local later, round = {}, {}
    for _, name in ipairs(left) do
      local ready = true
      for needed in next, group.members[name].needs do ready = ready and placed[needed] end
      table.insert(ready and round or later, name)
    end
    for _, name in ipairs(round) do placed[name], order[#order + 1] = true, name end
    left = later
  end
  return order
end

-- Who needs whom, and which run as long as the others do: services.
local function link(group)
  for _, name in ipairs(group.order) do
    for needed, kind in next, group.members[name].needs do
      local other = group.members[needed]
      other.needed_by[#other.needed_by + 1] = name
      if kind ~= "done" then other.service = true end
    end
  end
end

local function check_main(own, group, complain, value)
  local names = sorted(own.containers)
  if own.main and not own.containers[own.main] then
    complain({ "main" }, "no container '" .. own.main .. "' in this group", { hint = "it has: " .. table.concat(names, ", "),
      near = require "sandbox.profile.errors".nearest(own.main, names) })
  elseif #names == 0 and value.containers then
    complain({ "containers" }, "the group has no container", nil)
  end
  for _, name in ipairs(names) do
    if #group.name + 1 + #name > NAME_MAX then
      complain({ "containers", name }, ("'%s-%s' is longer than a name may be: %d bytes"):format(group.name, name, NAME_MAX), nil)
    end
  end
end

-- --name is the group's, not its main container's.
local function drop_name(request)
  local overrides = request.overrides or {}
  for i = #overrides, 1, -1 do
    if overrides[i].origin == "--name" then table.remove(overrides, i) end
  end
end

-- A group's overrides are its main container's.
local function takes_overrides(own, request)
  local overrides = request.overrides or {}
  if own.main or not overrides[1] then return true end
  return false, { { path = "", message = overrides[1].origin .. ": this group has no main container that it could be for",
    hint = "of one container: FILE.lua:" .. (sorted(own.containers)[1] or "NAME"), origin = {} } }
end

local function build_members(own, group, build, faults)
  for _, name in ipairs(sorted(own.containers)) do
    local spec, wrong, known = build(own.containers[name], { extra = name == own.main, network = own.network, member = name })
    for _, fault in ipairs(wrong) do
      fault.path = ("%s: %s"):format(name, fault.path)
      faults[#faults + 1] = fault
    end
    local needs = {}
    for needed, kind in pairs(type(spec.needs) == "table" and spec.needs or {}) do needs[needed] = kind or nil end
    group.members[name] = { name = name, spec = spec, known = known, needs = needs, needed_by = {}, faulty = #wrong > 0 }
  end
end

-- A fault of a container's that others are part of, at its line.
local function complainer(member, faults)
  return function(keys, message, hint, near)
    local fault = { path = require "sandbox.profile.errors".path_text(keys), message = message, hint = hint, near = near }
    require "sandbox.profile.origin".place(member.known, member.spec, { fault })
    fault.path = ("%s: %s"):format(member.name, fault.path)
    faults[#faults + 1] = fault
  end
end

--- A whole group: { type = "group", name =, main =, parallel =, order = the names as they start, members = name →
-- { name =, spec =, needs = name → kind, needed_by = names, service = whether another needs it while it runs } }, or nil and the
-- faults of all of it. build(raw, how) makes a spec of one container.
function M.build(value, origins, base, build, request, text)
  local faults = {}
  local own, complain = check(value, origins, text, faults)
  if not own then return nil, faults end
  drop_name(request)
  local takes, why = takes_overrides(own, request)
  if not takes then return nil, why end
  local group = { type = "group", name = own.name or base, main = own.main, parallel = own.parallel, members = {} }
  check_main(own, group, complain, value)
  build_members(own, group, build, faults)
  if #faults == 0 then
    networks.needs(group.members, sorted(group.members), function(name, needed) group.members[name].needs[needed] = "started" end)
    networks.check_restarts(group.members, sorted(group.members), function(name) return complainer(group.members[name], faults) end)
  end
  for _, name in ipairs(sorted(group.members)) do
    check_needs(group.members[name], group, complainer(group.members[name], faults))
  end
  for _, cycle in ipairs(find_cycles(group)) do
    complainer(group.members[cycle[1]], faults)({ "needs", cycle[2] }, "they wait for each other: " .. table.concat(cycle, " → "),
      "one of them must start without the next")
  end
  if #faults > 0 then return nil, faults end
  group.shares = networks.shares(group.members)
  for _, name in ipairs(sorted(group.members)) do
    group.members[name].peers = networks.peers(group.members, sorted(group.members), name)
  end
  group.order = start_order(group)
  link(group)
  return group
end

return M
