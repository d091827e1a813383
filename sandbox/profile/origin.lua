-- SPDX-License-Identifier: MIT
-- sandbox.profile.origin: where the fields of a spec were written. Loaded when somebody asks.
--
-- `known` is what sandbox.profile keeps of a spec: { origins = layers in the spec's shape, places = where entries of
-- lists are from, layers }.

local errors = require "sandbox.profile.errors"

local M = {}

-- Of the layers below a field that several have written, the last one.
local function last_layer(node)
  if type(node) ~= "table" or node.index then return node end
  local last
  for _, inner in next, node do
    local layer = last_layer(inner)
    if not last or layer.index > last.index then last = layer end
  end
  return last
end

-- The layer that says the field at `keys`, or what lies below it; nil for a default.
function M.layer_of(known, keys)
  local node = known.origins
  for _, key in ipairs(keys) do
    if type(node) ~= "table" or node.index then break end
    node = node[key]
  end
  return last_layer(node)
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

-- What errors.locate finds the place of the field by, or nil for a default.
local function where_is(known, spec, keys)
  local first = spec[keys[1]]
  local item = type(first) == "table" and keys[2] and first[keys[2]]
  local where = type(item) == "table" and known.places[item]
  if where then return where end
  local layer = M.layer_of(known, keys)
  return layer and { layer = layer, at = keys, raw = { [0] = layer.raw } }
end

-- "ci.lua:14", "--timeout", or "default".
function M.origin(known, spec, path)
  -- What is mounted without a word of the profile; its own mounts are "mounts[1]" and so on.
  if path == "mounts" then return "default" end
  local where = known and where_is(known, spec, keys_of(path))
  if not where then return "default" end
  local place = errors.locate(where)
  return place.name or (place.file or "?") .. (place.line and ":" .. place.line or "")
end

-- Gives faults that only name the field of a finished spec { path, message, hint } the place where it was written.
function M.place(known, spec, faults)
  for _, fault in ipairs(faults) do
    local where = known and (fault.item and known.places[fault.item] or where_is(known, spec, keys_of(fault.path)))
    if where then
      fault.layer, fault.at, fault.raw, fault.part = where.layer, where.at, where.raw, "value"
    end
  end
  return faults
end

return M
