-- SPDX-License-Identifier: MIT
-- sandbox.profile.overrides: what the command line says of a field becomes a last layer over the profile.

local schema = require "sandbox.profile.schema"

local M = {}

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

-- The way out where a text is no Lua: the field's example, as it is typed.
local function as_lua(keys)
  local rec, f = schema.container, nil
  for _, key in ipairs(keys) do
    f = rec and schema.field(rec, key)
    local type_ = f and f[2]
    rec = type(type_) == "table" and (type_.kind == "record" and type_ or type_.table) or nil
  end
  return f and f.example and ("a table is written as Lua: --set '%s=%s'"):format(table.concat(keys, "."), f.example)
end

-- The layer that one override is: { field =, text = or value = or append =, origin = }; or nil and a fault.
function M.layer(override, places, request)
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
    local hint = rec and "luge help " .. (bad > 1 and keys[bad - 1] or "container") .. " lists the fields"
    local near
    if not rec and bad > 1 then
      local above = table.concat(keys, ".", 1, bad - 1)
      return wrong("has no fields that are set alone",
        { hint = ("%s is set whole, as Lua: --set '%s={ … }'"):format(above, above) })
    end
    if rec then near, hint = require "sandbox.profile.errors".meant(rec, keys[bad], names, hint) end
    return wrong("no such field", { near = near, hint = hint })
  end
  local value = override.value
  if override.append ~= nil then
    value = { override.append }
    if type_.kind == "list" and not type_.merge then value.type = "append" end
  elseif override.text then
    local message
    value, message = parse(type_, override.text, override.origin or "--set", request)
    if value == nil then return wrong(message or "no value", { hint = as_lua(keys) }) end
  end
  for i = 1, #keys - 1 do
    raw[keys[i]] = {}
    raw = raw[keys[i]]
  end
  raw[keys[#keys]] = value
  return layer
end

return M
