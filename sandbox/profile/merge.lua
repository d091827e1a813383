-- SPDX-License-Identifier: MIT
-- sandbox.profile.merge: parents first, then the container itself: layer upon layer becomes one table, beside a
-- second one of the same shape that says which layer each value is from.

local schema = require "sandbox.profile.schema"
local validate = require "sandbox.profile.validate"

local M = {}
local field_of = schema.field
local merge_record

local function is_list(v)
  return v.op ~= nil or v[1] ~= nil or next(v) == nil
end

-- A plain list replaces; append { … } adds, without { … } takes away.
local function merge_list(old, new)
  if new.op == nil then return new end
  local out = {}
  if new.op == "append" then
    table.move(old, 1, #old, 1, out)
    return table.move(new, 1, #new, #out + 1, out)
  end
  local gone = {}
  for _, item in ipairs(new) do gone[item] = true end
  for _, item in ipairs(old) do
    if not gone[item] then out[#out + 1] = item end
  end
  return out
end

-- Mounts and devices: one for each target; a removal stays, as it also holds for what is there by default.
local function merge_keyed(old, new, by)
  local out, index = {}, {}
  for _, item in ipairs(old) do
    out[#out + 1] = item
    index[item.removed or item[by]] = #out
  end
  for _, item in ipairs(new) do
    local key = item.removed or item[by]
    if key ~= nil then
      local i = index[key] or #out + 1
      if item.removed then item.found = out[i] ~= nil and (not out[i].removed or out[i].found) end
      out[i], index[key] = item, i
    end
  end
  return out
end

local function merge_map(old, new, origins, layer)
  for key, value in next, new do
    old[key], origins[key] = value, layer
  end
  return old
end

-- Returns the merged value and its origin: the layer, or a table of origins for what merges key by key.
local function merge_value(type_, old, new, origin, layer, complain)
  if type(type_) == "string" or type(new) ~= "table" then return new, layer end
  local kind, rec = type_.kind, type_
  if type_.merge == "target" or type_.merge == "path" then
    return merge_keyed(old or {}, new, type_.merge), layer
  elseif kind == "either" and type_.merge ~= "replace" then
    if type_.list and (not type_.table or is_list(new)) then
      if type(old) == "table" and new.op and not is_list(old) then
        return complain "the inherited value is a table of lists: say which of them is changed"
      end
      return merge_list(type(old) == "table" and old or {}, new), layer
    end
    rec, kind = type_.table, "record"
    if type(old) == "table" and is_list(old) then old = nil end
  elseif kind == "list" then
    return merge_list(old or {}, new), layer
  end
  if kind == "record" or kind == "map" or kind == "env" then
    -- A table after a value of another kind (seccomp = false) starts anew.
    if type(old) ~= "table" then old, origin = {}, {} end
    if kind == "record" then
      merge_record(rec, old, new, origin, layer, complain)
    else
      merge_map(old, new, origin, layer)
    end
    return old, origin
  end
  return new, layer
end

function merge_record(rec, old, new, origins, layer, complain)
  for key, value in next, new do
    local merged, origin = merge_value(field_of(rec, key)[2], old[key], value, origins[key], layer, complain)
    if origin then old[key], origins[key] = merged, origin end
  end
end

local function writes(value, keys)
  for _, key in ipairs(keys) do
    if type(value) ~= "table" then return value ~= nil end
    value = value[key]
  end
  return value ~= nil
end

-- What was optional is no longer so once a later layer writes the field itself.
local function merge_marks(marks, value, added)
  for path, keys in next, marks do
    if writes(value, keys) then marks[path] = nil end
  end
  for path, keys in next, added do marks[path] = keys end
end

-- What one container says. A plain table as parent (entry `i` of its child) has no line of its own: it is found from
-- the child's.
local function new_layer(source, raw, child, i)
  local origin, prefix = source.origins[raw], nil
  if not origin and child then
    origin, prefix = child.origin, table.move(child.prefix or {}, 1, #(child.prefix or {}), 1, {})
    prefix[#prefix + 1] = i
  end
  origin = origin or {}
  local layer = { origin = origin, prefix = prefix, origins = source.origins, text = source.text,
    places = source.places }
  layer.dir = source.dir[origin.file]
  return layer
end

-- Adds the parents of `raw`, then itself, to the list of layers.
local function unfold(source, raw, child, at, layers, faults)
  local layer = new_layer(source, raw, child, at)
  for i = 1, validate.length(raw) do
    local parent = raw[i]
    if type(parent) == "table" and (parent.type == nil or parent.type == "container") then
      unfold(source, parent, layer, i, layers, faults)
    elseif parent then
      local what = validate.show(parent)
      faults[#faults + 1] = { path = "[" .. i .. "]", keys = { i }, at = { i }, layer = layer, raw = { [0] = raw,
        parent },
        message = what .. " is no parent", hint = type(parent) == "string" and "write profile " .. what
          or "parents are profile \"name\" or tables; mounts go into mounts = { … }" }
    end
  end
  layer.raw = raw
  layers[#layers + 1] = layer
end

-- `source` is { raw, origins, text and dir by file, places }; `extra` are layers { raw, name, dir, origins } that
-- come last. Returns { value, origins, optional, unenforced, layers }; faults are added.
function M.merge(source, extra, faults)
  local layers = {}
  unfold(source, source.raw, nil, nil, layers, faults)
  for _, layer in ipairs(extra) do layers[#layers + 1] = layer end
  local merged = { value = {}, origins = {}, optional = {}, unenforced = {}, layers = layers }
  for i, layer in ipairs(layers) do
    layer.index = i
    local value = validate.layer(layer, schema.container, layer.raw, faults)
    local function complain(message)
      faults[#faults + 1] = { path = "capabilities", keys = { "capabilities" }, at = { "capabilities" },
        layer = layer,
        raw = { [0] = layer.raw }, message = message }
    end
    if value then
      merge_marks(merged.optional, value, layer.optional)
      merge_marks(merged.unenforced, value, layer.unenforced)
      merge_record(schema.container, merged.value, value, merged.origins, layer, complain)
    end
  end
  return merged
end

return M
