-- SPDX-License-Identifier: MIT
-- sandbox.profile.validate: checks one layer (what one `container { … }` says) against the schema and returns it
-- in the form that luge works with. It goes on after a fault: a profile's author gets all of them at once.
--
-- A fault is { path, message, near, hint, layer, keys, at = the keys as written (a positional field's is its
-- number), raw = the values on the way, the container first, at index 0 }.

local cage = require "luge.cage"
local schema = require "sandbox.profile.schema"
local values = require "sandbox.profile.values"

local M = {}
local show, field_of = values.show, schema.field
local walk = {}

-- `more` as errors.add says.
local function fault(ctx, message, more)
  require "sandbox.profile.errors".add(ctx, message, more or {})
end

-- Notes the present field in a set of the layer.
local function mark(ctx, set)
  local keys = table.move(ctx.keys, 1, ctx.n, 1, {})
  set[require "sandbox.profile.errors".path_text(keys)] = keys
end

-- An index of a list: a key like 2^40 is none, so that nobody counts up to it.
local function is_index(key)
  return math.type(key) == "integer" and key >= 1 and key <= 100000
end

-- How many positional entries there are, holes included: `#` may stop at any hole.
local function length(v)
  local n = 0
  for key in next, v do
    if is_index(key) and key > n then n = key end
  end
  return n
end
M.length, M.show = length, show

local function check(ctx, type_, v)
  if type(type_) == "string" then
    local value, message, hint, names = values[type_](v, ctx.layer)
    if value == nil then fault(ctx, message, { hint = hint, names = names }) end
    return value
  end
  return walk[type_.kind](ctx, type_, v)
end

local function check_at(ctx, key, type_, v)
  local n = ctx.n + 1
  ctx.n, ctx.keys[n], ctx.at[n], ctx.raw[n] = n, key, key, v
  local value = check(ctx, type_, v)
  ctx.n = n - 1
  return value
end

-- optional(x) is { type = "optional", value = x }, remove(x) likewise.
local function unwrap(v)
  if type(v) == "table" and v.type == "optional" then return v.value or false, true end
  return v, false
end

local function describe(ctx, v)
  local last = ctx.keys[ctx.n]
  if type(v) == "string" or type(v) == "boolean" then return last .. " = " .. show(v) end
  return tostring(last)
end

local function is_enforced(f, value)
  if f.enforced == nil then return true end
  return f.enforced and (value == nil or f.enforced(value))
end

local function field_value(ctx, f, v, is_optional)
  local type_ = f[2]
  if v == false and type_ ~= "boolean" then
    if f.off then return false end
    local kind = type_.kind
    if kind == "list" or kind == "map" or kind == "env" then return {} end
  end
  local value = check(ctx, type_, v)
  if type(value) == "number" and (f.min and value < f.min or f.max and value > f.max) then
    local bounds = f.max and f.min .. " to " .. f.max or f.min .. " or more"
    fault(ctx, show(v) .. " is out of bounds (" .. bounds .. ")", { hint = f.off and not f.max
      and "write false for no limit" or nil })
  end
  if is_enforced(f, value) then return value end
  if is_optional then
    mark(ctx, ctx.layer.unenforced)
    return nil
  end
  fault(ctx, describe(ctx, v) .. " is not enforced by this version of luge", { hint = f.because })
end

local function check_field(ctx, f, v, position)
  local n = ctx.n + 1
  local is_optional
  v, is_optional = unwrap(v)
  ctx.n, ctx.keys[n], ctx.at[n], ctx.raw[n] = n, f[1], position or f[1], v
  if is_optional and not f.protection then
    fault(ctx, "optional() is for protections and mounts", { hint = "leave optional() out" })
  end
  local value = field_value(ctx, f, v, is_optional)
  if is_optional and value ~= nil then mark(ctx, ctx.layer.optional) end
  ctx.n = n - 1
  return value
end

local function positional(ctx, rec, v, out)
  local names = rec.positional or {}
  local count = length(v)
  local rest = names.rest and names[#names]
  local last = rest and #names - 1 or #names
  for i = 1, math.min(count, last) do
    if v[i] ~= nil and v[names[i]] ~= nil then
      fault(ctx, names[i] .. " is given twice", { key = i })
    elseif v[i] ~= nil then
      out[names[i]] = check_field(ctx, field_of(rec, names[i]), v[i], i)
    end
  end
  if rest and count > last and v[rest] == nil then
    out[rest] = check_field(ctx, field_of(rec, rest), table.move(v, last + 1, count, 1, {}))
  elseif count > last then
    fault(ctx, show(v[count]) .. " has no place here", { key = count, record = rec })
  end
end

-- What a record's fields say together: required ones, and its own check when each of them is good (there were
-- `before` faults when the record began).
local function whole_record(ctx, rec, v, out, kind, before)
  for i = 1, #rec do
    local f = rec[i]
    local name = f[1]
    if f.required and out[name] == nil and v[name] == nil then
      local given = false
      for p, positional_name in ipairs(rec.positional or {}) do
        given = given or positional_name == name and v[p] ~= nil
      end
      if not given then fault(ctx, "needs " .. name, { hint = rec.example and "for example " .. rec.example }) end
    elseif out[name] == nil and f.default ~= nil and kind then
      out[name] = f.default
    end
  end
  if rec.check and #ctx.faults == before then
    local key, message, hint = rec.check(out)
    if message then fault(ctx, message, { key = key, hint = hint }) end
  end
end

-- `kind` is the type of a typed table: it is complete by itself, so its defaults go in here.
function walk.record(ctx, rec, v, kind)
  if type(v) ~= "table" then
    local hint = require "sandbox.profile.elsewhere".text(rec.name, v)
    return fault(ctx, show(v) .. " is no table", { hint = hint, record = not hint and rec or nil })
  end
  if v.type and v.type ~= (kind or rec.name) then
    return fault(ctx, show(v) .. " has no place here", { record = rec })
  end
  local out, before = {}, #ctx.faults
  if v[1] ~= nil or length(v) > 0 then positional(ctx, rec, v, out) end
  for key, value in next, v do
    if type(key) == "string" and key ~= "type" then
      local f = field_of(rec, key)
      if f then
        out[key] = check_field(ctx, f, value)
      else
        fault(ctx, "no such field", { key = key, record = rec, part = "key" })
      end
    elseif not is_index(key) and key ~= "type" then
      fault(ctx, "no such field", { key = key, record = rec })
    end
  end
  whole_record(ctx, rec, v, out, kind, before)
  return out
end

-- A table whose `type` says which record it is.
function walk.typed(ctx, node, v)
  local words = node.words or {}
  if type(v) == "string" then
    local is_word = false
    for _, word in ipairs(words) do is_word = is_word or word == v end
    if is_word then return { type = v } end
    local near = #words > 0 and not v:find("/", 1, true) and cage.nearest(v, words) or nil
    if not node.expand or near then
      return fault(ctx, show(v) .. " is no " .. node.name, { near = near,
        hint = require "sandbox.profile.elsewhere".text(node.name, v) or node.expand and "a directory of that name is "
        .. show("./" .. v) or "it takes: " .. table.concat(#words > 0 and words or node.takes, ", ") })
    end
    v = node.expand(v)
  end
  if type(v) ~= "table" then
    return fault(ctx, show(v) .. " is no " .. node.name, { hint = require "sandbox.profile.elsewhere".text(node.name, v)
      or "it takes: " .. table.concat(node.takes, ", ") })
  end
  local kind = v.type or node.table or node.other
  if not kind and node.name == "device" then kind = "device" end
  local known = false
  for _, name in ipairs(node.takes) do known = known or name == kind end
  if not known then
    return fault(ctx, (kind and show(v) or "a table") .. " is no " .. node.name,
      { names = kind and { kind, node.takes }, hint = "it takes: " .. table.concat(node.takes, ", ") })
  end
  local rec = node.takes.record(kind)
  local out = walk.record(ctx, rec, v, kind)
  if out then out.type = kind end
  return out
end

local function note_place(ctx, i, v, item)
  ctx.layer.places[item] = { layer = ctx.layer, at = { ctx.keys[ctx.n], i }, raw = { [0] = ctx.raw[0], [2] = v } }
end

local function list_item(ctx, node, i, v, out)
  local is_optional
  v, is_optional = unwrap(v)
  if node.merge and type(v) == "table" and v.type == "remove" then
    local key = values[node.merge == "path" and "device_path" or "path"](v.value, ctx.layer)
    if not key then return fault(ctx, show(v.value) .. " is no target to remove", { key = i }) end
    out[#out + 1] = { removed = key, optional = is_optional or nil }
    return note_place(ctx, i, v, out[#out])
  end
  local item = check_at(ctx, i, node.of, v)
  if item == nil then return end
  out[#out + 1] = item
  if is_optional then
    if node.merge then item.optional = true else fault(ctx, "optional() is for protections and mounts",
      { key = i }) end
  end
  if node.merge then note_place(ctx, i, v, item) end
end

local function whole_mount(ctx, place, item)
  local i, raw = place.at[2], place.raw[2]
  if item.type == "bind" and item.target == "same" then item.target = item.source end
  if item.target == nil and item.type == "layers" then
    fault(ctx, "needs target", { key = i, raw = raw,
      hint = "a root has none, a mount says where it appears: target = \"/opt\"" })
  elseif item.target == "/" then
    fault(ctx, "/ is the root: no mount can lie there", { key = i, raw = raw, hint = "write root = …" })
  end
end

-- Merged lists: what each entry is known by, said once.
local function keyed(ctx, node, out)
  local seen = {}
  for _, item in ipairs(out) do
    if not item.removed then
      local place = ctx.layer.places[item]
      if node.merge == "target" then whole_mount(ctx, place, item) end
      local key = item[node.merge]
      if key and seen[key] then
        fault(ctx, key .. " is already the " .. node.merge .. " of " .. ctx.keys[ctx.n] .. "[" .. seen[key] .. "]",
          { key = place.at[2], raw = place.raw[2] })
      elseif key then
        seen[key] = place.at[2]
      end
    end
  end
end

-- A list, or what changes an inherited one: then `op` is "append" or "without".
function walk.list(ctx, node, v)
  if type(v) ~= "table" or v.type and v.type ~= "append" and v.type ~= "without" then
    local what = show(v) .. " is no list"
    if type(v) == "string" and (ctx.keys[ctx.n] == "command" or ctx.keys[ctx.n] == "entrypoint") then
      return fault(ctx, what, { hint = 'write { "program", "argument" } or { "sh", "-c", ' .. show(v) .. " }" })
    end
    return fault(ctx, what, { hint = "write { " .. show(v):gsub("^a .*", "…") .. " }" })
  end
  local out = {}
  for i = 1, length(v) do
    local item = v[i] -- false is a hole too: `condition and bind { … }`
    if item and v.type == "without" and node.merge and type(item) == "string" then
      list_item(ctx, node, i, { type = "remove", value = item }, out)
    elseif item then
      list_item(ctx, node, i, item, out)
    end
  end
  for key in next, v do
    if not is_index(key) and key ~= "type" and key ~= "n" then
      fault(ctx, "no such field", { key = key, hint = "this is a list: its entries have no names" })
    end
  end
  if node.merge then keyed(ctx, node, out) else out.op = v.type end
  return out
end

function walk.map(ctx, node, v)
  if type(v) ~= "table" or v.type and v.type ~= nil and type(v.type) ~= "string" then
    return fault(ctx, show(v) .. " is no table", { hint = "write { name = value }" })
  end
  local out = {}
  for key, value in next, v do
    local name, message
    if is_index(key) and type(value) == "table" and value.type == "remove" then
      name, value = value.value, false
    elseif node.key then
      name, message = values[node.key](key, ctx.layer)
    else
      name = key
    end
    if name == nil then
      fault(ctx, is_index(key) and show(value) .. " has no name here" or message, { key = key,
        hint = is_index(key) and "an entry is written NAME = VALUE" or nil })
    elseif value == false then
      out[name] = false
    else
      out[name] = check_at(ctx, key, node.of, (unwrap(value)))
    end
  end
  return out
end

-- NAME = text is set, NAME = false left out, a positional "NAME" or "CI_*" (true here) inherited.
local function env_entry(ctx, key, value, out)
  if not is_index(key) then
    local name = values.env_name(key)
    if not name then return fault(ctx, show(key) .. " is no name of a variable", { key = key }) end
    out[name] = value ~= false and check_at(ctx, key, "word", value)
  elseif type(value) == "table" and value.type == "remove" then
    out[tostring(value.value)] = false
  elseif type(value) ~= "string" or value == "" then
    if value then fault(ctx, show(value) .. " is no name of a variable", { key = key,
      hint = 'write "NAME" or NAME = "value"' }) end
  elseif value:find("=", 1, true) then
    local name, text = value:match "^([^=]*)=(.*)$"
    fault(ctx, show(value) .. " is no name of a variable", { key = key,
      hint = "write " .. name .. " = " .. show(text) })
  else
    out[value] = true
  end
end

function walk.env(ctx, _, v)
  if type(v) ~= "table" then
    return fault(ctx, show(v) .. " is no table", { hint = 'write { "INHERITED", NAME = "value" }' })
  end
  local out = {}
  for i = 1, length(v) do
    if v[i] then env_entry(ctx, i, v[i], out) end
  end
  for key, value in next, v do
    if not is_index(key) and not (key == "type" and type(value) == "string" and v[1] == nil
      and (value == "append" or value == "without")) then
      env_entry(ctx, key, value, out)
    end
  end
  return out
end

function walk.choice(ctx, node, v)
  local words = {}
  for i = 1, #node do
    if node[i] == v then return v end
    words[i] = show(node[i])
  end
  local near = type(v) == "string" and not v:find("/", 1, true) and cage.nearest(v, node) or nil
  if node.other and type(v) == "string" and not near then return check(ctx, node.other, v) end
  if node.other then words[#words + 1] = "a path" end
  fault(ctx, show(v) .. " is not one of " .. table.concat(words, ", "), { near = near,
    hint = not near and require "sandbox.profile.elsewhere".text(ctx.keys[ctx.n], v) or nil })
end

local function looks_like_list(v)
  return v.type == "append" or v.type == "without" or v[1] ~= nil or next(v) == nil or length(v) > 0
end

function walk.either(ctx, node, v)
  if type(v) ~= "table" then
    local value = check(ctx, node.scalar, v)
    if node.wrap and value ~= nil then return { [node.wrap] = value } end
    return value
  end
  if node.list and (not node.table or looks_like_list(v)) then return check(ctx, node.list, v) end
  return check(ctx, node.table, v)
end

-- `layer` is { dir, places, … } and gets optional and unenforced, the keys of fields by their path. Returns the
-- checked fields; faults are added to the list.
function M.layer(layer, rec, raw, faults)
  layer.optional, layer.unenforced = {}, {}
  local ctx = { layer = layer, faults = faults, keys = {}, at = {}, raw = { [0] = raw }, n = 0 }
  local own = {}
  for key, value in next, raw do
    if not is_index(key) then own[key] = value end
  end
  return walk.record(ctx, rec, own)
end

return M
