-- SPDX-License-Identifier: MIT
-- sandbox.profile: from a profile's source to a spec: complete, checked, the same on the same facts.

local schema = require "sandbox.profile.schema"
local validate = require "sandbox.profile.validate"
local merge = require "sandbox.profile.merge"
local finish = require "sandbox.profile.finish"

local M = {}

-- What profile.origin needs to know of a spec, kept beside it so that the spec stays plain data.
local provenance = setmetatable({}, { __mode = "k" })

-- Overrides ----------------------------------------------------------------------------------------------

-- The type of the field at `keys`, or nil and how many of the keys are good.
local function find_type(keys)
  local type_ = schema.container
  for i, key in ipairs(keys) do
    local rec = type_
    if rec.kind == "either" then rec = rec.table end
    if type(rec) == "table" and rec.kind == "record" then
      local f = schema.field(rec, key)
      if not f then return nil, i, rec end
      type_ = f[2]
    elseif type(type_) == "table" and (type_.kind == "map" or type_.kind == "env") then
      type_ = type_.of or "word"
    else
      return nil, i
    end
  end
  return type_
end

-- "env.CC" and 'sysctl["net.core.somaxconn"]'; of a map all that follows is one name, as they hold dots.
local function split(field)
  local keys = {}
  for key in field:gmatch "[^.]+" do keys[#keys + 1] = key end
  local first = schema.field(schema.container, keys[1] or "")
  local kind = first and type(first[2]) == "table" and first[2].kind
  if #keys > 2 and (kind == "map" or kind == "env") then keys = { keys[1], table.concat(keys, ".", 2) } end
  return keys
end

local NUMBERS = { integer = true, number = true, rlimit_count = true, any = true }

-- Text of the command line as a value of the type: a Lua expression where the type has tables, as it stands otherwise.
local function parse(type_, text, label, request)
  if text == "false" or text == "true" then return text == "true" end
  if type(type_) == "string" then
    if NUMBERS[type_] and tonumber(text) then return tonumber(text) end
    if type_ ~= "any" then return text end
  end
  local kind = type(type_) == "table" and type_.kind
  local is_word = kind == "either" or kind == "choice" or kind == "typed"
  if is_word and not text:find "^%s*[%a_]*%s*{" and not text:find "^%s*[%a_]+%s*%(" then return text end
  local load = require "sandbox.profile.load"
  local value, origins = load.expression(text, label, { facts = request.facts, params = request.params,
    constructors = schema.constructors(), exit_code = request.exit_code })
  return value, value == nil and origins[1].message
end

local function override_layer(override, places, request)
  local keys = split(override.field)
  local layer = { name = override.origin, origin = {}, origins = {}, places = places, dir = request.facts.cwd }
  local raw = {}
  layer.raw = raw
  local function wrong(message, more)
    return nil, { path = override.field, keys = keys, at = keys, raw = { [0] = raw }, layer = layer,
      message = message,
      near = more and more.near, hint = more and more.hint }
  end
  local type_, bad, rec = find_type(keys)
  if not type_ then
    local names = {}
    for i, f in ipairs(rec or {}) do names[i] = f[1] end
    return wrong("no such field", { near = require "sandbox.profile.errors".nearest(keys[bad], names),
      hint = rec and "luge help " .. (bad > 1 and keys[bad - 1] or "container") .. " lists the fields" })
  end
  local value = override.value
  if override.append ~= nil then
    value = { override.append }
    if type_.kind == "list" and not type_.merge then value.type = "append" end
  elseif override.text then
    local message
    value, message = parse(type_, override.text, override.origin or "--set", request)
    if value == nil then return wrong(message or "no value") end
  end
  for i = 1, #keys - 1 do
    raw[keys[i]] = {}
    raw = raw[keys[i]]
  end
  raw[keys[#keys]] = value
  return layer
end

-- Loading ------------------------------------------------------------------------------------------------

local function one_fault(message, hint, place)
  return nil, { { path = "", message = message, hint = hint, origin = place or {} } }
end

-- The container of a group, or what the profile itself is.
local function pick(value, origins, name)
  local place = type(value) == "table" and origins[value] or {}
  if type(value) ~= "table" or value.type ~= "container" and value.type ~= "group" then
    return one_fault("a profile returns container { … }, this one returns "
      .. (value == nil and "nothing" or validate.show(value)), nil, place)
  end
  if value.type == "container" then
    if name then return one_fault("this is one container, not a group with a '" .. name .. "'", "leave :" .. name
      .. " out", place) end
    return value
  end
  local names = {}
  for key in next, type(value.containers) == "table" and value.containers
    or {} do names[#names + 1] = tostring(key) end
  table.sort(names)
  if not name then
    return one_fault("a whole group is not run by this version of luge", "name one of its containers: FILE.lua:"
      .. (names[1] or "NAME"), place)
  end
  local faults = {}
  local layer = { origin = place, origins = origins, dir = "/", places = {}, index = 0, text = {} }
  validate.layer(layer, schema.group, value, faults)
  if #faults > 0 then return nil, faults end
  local found = value.containers[name]
  if type(found) ~= "table" or found.type ~= "container" then
    local errors = require "sandbox.profile.errors"
    return nil, { { path = "containers", message = "no container '" .. name .. "' in this group",
      near = errors.nearest(name, names),
      hint = "it has: " .. table.concat(names, ", "), origin = place } }
  end
  return found
end

-- "ci" of "/etc/luge/profiles/ci.lua": what generated names start with.
local function base_name(label, container)
  local name = label:match "([^/:]*)%.lua$" or label:match "([^/:]*)$"
  name = name:gsub("[^%w_.-]", "-"):gsub("^[^%w]+", "")
  return (name == "" and "profile" or name):sub(1, 40) .. (container and "-" .. container or "")
end

-- Checks, merges and finishes what load.evaluate gives. Returns the spec, or nil and all faults.
function M.build(value, origins, info, request)
  local facts = request.facts
  local raw, faults = pick(value, origins, request.container)
  if not raw then return nil, faults end
  faults = {}
  local places = setmetatable({}, { __mode = "k" })
  local extra = {}
  for _, override in ipairs(request.overrides or {}) do
    local layer, fault = override_layer(override, places, request)
    if layer then extra[#extra + 1] = layer else faults[#faults + 1] = fault end
  end
  local source = { raw = raw, origins = origins, places = places, text = info.text, dir = info.directory }
  local merged = merge.merge(source, extra, faults)
  if #faults > 0 then return nil, faults end
  local known = { origins = merged.origins, places = places, layers = merged.layers }
  local function complain(keys, message, hint)
    local layer = M.layer_of(known, keys) or merged.layers[#merged.layers]
    faults[#faults + 1] = { path = validate.path_text(keys), keys = keys, at = keys, raw = { [0] = layer.raw },
      layer = layer,
      message = message, hint = hint }
  end
  local spec = finish.finish(merged, base_name(info.main, request.container), facts, complain)
  if #faults > 0 then return nil, faults end
  if facts.debug then spec = finish.freeze(spec) end
  provenance[spec] = known
  return spec
end

-- request: { source = { path = } or { name = } or { stdin = true } or { text =, label = }, container = name in a group,
-- params = {}, overrides = { { field =, text = or value = or append =, origin = "--timeout" } }, facts = }
-- Returns the spec, or nil and the faults (M.format makes text of them).
function M.load(request)
  local load = require "sandbox.profile.load"
  local value, origins, info = load.evaluate { source = request.source, params = request.params,
    facts = request.facts,
    constructors = schema.constructors(), exit_code = request.exit_code }
  if not value then return nil, origins end
  return M.build(value, origins, info, request)
end

-- What faults say, for a terminal: options { color = boolean }.
function M.format(faults, options)
  return require "sandbox.profile.errors".format(faults, options)
end

-- Origins ------------------------------------------------------------------------------------------------

-- The layer that says the field at `keys`, or the nearest around it; nil for a default.
function M.layer_of(known, keys)
  local node = known.origins
  for _, key in ipairs(keys) do
    if type(node) ~= "table" or node.index then break end
    node = node[key]
  end
  while type(node) == "table" and not node.index do node = select(2, next(node)) end
  return node
end

-- { "mounts", 2, "source" } of "mounts[2].source"; a name with dots stands in ["…"].
local function keys_of(path)
  local keys, at = {}, 1
  while at <= #path do
    local quoted, after = path:match('^%["(.-)"%]()', at)
    if not quoted then quoted, after = path:match("^%[(%d+)%]()", at) end
    if not after then
      local name, next_at = path:match("^%.?([^.%[]+)()", at)
      if not name then break end
      keys[#keys + 1], at = name, next_at
    else
      keys[#keys + 1], at = math.tointeger(tonumber(quoted)) or quoted, after
    end
  end
  return keys
end

-- Where a field of a spec was written: "ci.lua:14", "--timeout", or "default".
function M.origin(spec, path)
  local known = provenance[spec]
  local keys = keys_of(path)
  local first = spec[keys[1]]
  local item = type(first) == "table" and keys[2] and first[keys[2]]
  local where = known and type(item) == "table" and known.places[item]
  if known and not where then
    local layer = M.layer_of(known, keys)
    where = layer and { layer = layer, at = keys, raw = { [0] = layer.raw } }
  end
  if not where then return "default" end
  local place = require "sandbox.profile.errors".locate(where)
  return place.name or (place.file or "?") .. (place.line and ":" .. place.line or "")
end

return M
