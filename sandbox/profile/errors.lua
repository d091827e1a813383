-- SPDX-License-Identifier: MIT
-- sandbox.profile.errors: what goes wrong, said well: the nearest name, the exact line, the text of all faults.
-- Loaded only when there is something to say.

local cage = require "luge.cage"
local schema = require "sandbox.profile.schema"
local values = require "sandbox.profile.values"

local M = {}

-- Who makes more faults than these has made one mistake in a loop.
M.MOST_FAULTS = 100

-- A longer text is not searched for the place of a fault; the line of the constructor is known all the same.
local TEXT_LIMIT = 128 * 1024

-- The name of `list` (or key of a set) that `name` was meant to be, or nil: a slip of a letter or two, or its start.
function M.nearest(name, list)
  if type(name) ~= "string" then return nil end
  local names, starts = {}, nil
  for key, value in pairs(list) do
    local candidate = type(key) == "string" and key or value
    if type(candidate) == "string" then
      names[#names + 1] = candidate
      if #name >= 3 and candidate:sub(1, #name) == name:lower() and (not starts or candidate < starts) then
        starts = candidate
      end
    end
  end
  return cage.nearest(name, names) or cage.nearest(name:lower(), names) or starts
end

-- "mounts[2].sise" of { "mounts", 2, "sise" }.
function M.path_text(keys)
  local out = {}
  for i, key in ipairs(keys) do
    if math.type(key) == "integer" then
      out[i] = "[" .. key .. "]"
    elseif type(key) == "string" and #key <= 60 and key:find "^[%a_][%w_*-]*$" then
      out[i] = i > 1 and "." .. key or key
    else
      out[i] = "[" .. values.show(key) .. "]"
    end
  end
  return table.concat(out)
end

-- "a tmpfs takes: target, size, …"; a longer list is help's.
local function takes(rec, names)
  local article = rec.name:find "^[aeiou]" and "an " or "a "
  if not schema.kinds[rec.name] and rec ~= schema.container and rec ~= schema.group then article = "" end
  if #names > 16 then return "luge help " .. rec.name .. " lists the fields" end
  if #names == 0 then return article .. rec.name .. " takes no fields" end
  return article .. rec.name .. " takes: " .. table.concat(names, ", ")
end

-- The field that a record lacks and the one that was meant: its name, or nil, and a hint.
function M.meant(record, name, names, hint)
  local elsewhere = require "sandbox.profile.elsewhere"
  local near, text = elsewhere.field(schema, record, name)
  if near or text then return near, text or hint end
  near = M.nearest(name, names)
  local foreign = not near and M.nearest(name, elsewhere.names(record))
  if foreign then near, text = elsewhere.field(schema, record, foreign) end
  return near, text or hint
end

-- What a profile may ask instead of Lua's own libraries.
local LUA = {
  os = "host.env.NAME is a variable of luge's environment; host has cwd home user uid gid arch cpus memory kernel",
  io = "a file's text comes in by bind { … } or secret { … }, a Lua file's by require",
  dofile = "require \"NAME\", for a file beside it",
  loadfile = "require \"NAME\", for a file beside it", env = "host.env.NAME", arg = "param.NAME, of -D NAME=VALUE",
  import = "require \"NAME\", or profile \"NAME\" for a parent", include = "require \"NAME\", or profile \"NAME\" for a parent",
}

--- The way out of an error of the Lua code, or nil.
function M.lua_hint(message, line)
  if message:find "a function is no data$" then return "a constructor is called, with braces: NAME { … }" end
  local name = message:match "^no variable '([^']+)'"
  if name then return LUA[name] end
  if message:find "^host has no field '[^']+'$" then return "it has: cwd home user uid gid arch cpus memory kernel env" end
  local field = message:match "nil value %(field '([^']+)'%)"
  if field and line and line:find("param." .. field, 1, true) then
    return ("give it: -D %s=VALUE; or write (param.%s or \"…\")"):format(field, field)
  end
  if field and line and line:find("host.env." .. field, 1, true) then
    return ("the variable is not set here; write (host.env.%s or \"…\")"):format(field)
  end
end

-- Adds a fault of the field where validation is (ctx). `more`: hint; near, or names = { written, list } to find it in;
-- key and raw, of the value meant, below the present one; record, whose fields are the hint; part ("key" or "value").
function M.add(ctx, message, more)
  if #ctx.faults >= M.MOST_FAULTS then return end
  local keys, at = table.move(ctx.keys, 1, ctx.n, 1, {}), table.move(ctx.at, 1, ctx.n, 1, {})
  local raw = table.move(ctx.raw, 0, ctx.n, 0, {})
  keys[#keys + 1], at[#at + 1], raw[ctx.n + 1] = more.key, more.key, more.raw
  local near, hint = more.near, more.hint
  if more.names then near = M.nearest(more.names[1], more.names[2]) end
  if more.record then
    local names = {}
    for i, f in ipairs(more.record) do names[i] = f[1] end
    hint = takes(more.record, names)
    if more.part == "key" then near, hint = M.meant(more.record, more.key, names, hint) end
    if more.key == "profile" and more.record == schema.container then
      near, hint = nil, "a parent is written without =: profile \"NAME\""
    end
  end
  ctx.faults[#ctx.faults + 1] = { path = M.path_text(keys), keys = keys, at = at, message = message,
    near = near, hint = hint, part = more.part or "value", layer = ctx.layer, raw = raw }
end

-- Where a fault or a value is: { file, line, column, last, text = the line } as far as that can be told. The line of
-- the innermost table that a constructor made is known; from there the source itself is read.
function M.locate(where)
  local layer = where.layer
  if not layer then return { file = where.file, line = where.line } end
  if layer.name then return { name = layer.name } end
  local origin, depth = layer.origin, 0
  for n = #where.at, 1, -1 do
    local raw = where.raw[n]
    local found = type(raw) == "table" and layer.origins[raw]
    if found then origin, depth = found, n break end
  end
  local place = { file = origin.file, line = origin.line, chain = origin.chain }
  local text = origin.file and layer.text[origin.file]
  if not text or not origin.line or #text > TEXT_LIMIT then return place end
  local keys = depth == 0 and layer.prefix and table.move(layer.prefix, 1, #layer.prefix, 1, {}) or {}
  table.move(where.at, depth + 1, #where.at, #keys + 1, keys)
  local constructor = type(where.raw[depth]) == "table" and where.raw[depth].type or nil
  local line, column, last =
    require "sandbox.profile.source".locate(text, origin.line, keys, where.part, constructor)
  if line then place.line, place.column, place.last = line, column, last end
  local number = 0
  for source_line in (text .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    if number == place.line then place.text = source_line break end
  end
  return place
end

-- In the order of the files' lines; what comes from the command line is last.
function M.sort(faults)
  for i, fault in ipairs(faults) do
    fault.origin = fault.origin or M.locate(fault)
    fault.rank = { fault.layer and fault.layer.index or 0, fault.origin.line or 0, fault.origin.column or 0,
      fault.path or "", i }
  end
  table.sort(faults, function(a, b)
    for i = 1, 5 do
      if a.rank[i] ~= b.rank[i] then return a.rank[i] < b.rank[i] end
    end
    return false
  end)
  return faults
end

-- Names and texts come from whoever wrote the profile: nothing of them may act on the terminal, or look like a line
-- of ours. The second range is the same control characters' longer form in UTF-8.
local function clean(text)
  return (text:gsub("\r?\n", "\n      "):gsub("[%c\127]", function(c) return c == "\n" and c or c == "\t" and " " or "?" end)
    :gsub("\xc2[\x80-\x9f]", "?"))
end

local LINE_LIMIT = 160 -- bytes of a source line that are shown

-- The part of a long line around the columns, and the columns in it; both ends at characters.
local function window(text, column, last)
  if #text <= LINE_LIMIT then return text, column, last end
  local first = math.max(1, (column or 1) - LINE_LIMIT // 2)
  while first > 1 and text:find("^[\x80-\xbf]", first) do first = first - 1 end
  local final = math.min(#text, first + LINE_LIMIT)
  while final < #text and text:find("^[\x80-\xbf]", final + 1) do final = final + 1 end
  local left = first > 1 and "..." or ""
  local shift = #left - first + 1
  local shown = left .. text:sub(first, final) .. (final < #text and "..." or "")
  return shown, column and column + shift, last and math.min(last, final) + shift
end

-- How many columns a terminal needs for it.
local function columns(text)
  return utf8.len(text) or #text
end

local function snippet(place, out, paint)
  local text, column, last = window(place.text, place.column, place.last or place.column)
  out[#out + 1] = ("%5d"):format(place.line) .. " | " .. clean(text)
  if column and column <= #text then
    local width = math.max(1, columns(text:sub(column, last)))
    out[#out + 1] = "      | " .. (" "):rep(columns(text:sub(1, column - 1)))
      .. paint("1;31", "^" .. ("~"):rep(width - 1))
  end
end

-- All faults as text, the last line their number.
function M.format(faults, options)
  local function paint(code, text)
    return options and options.color and "\27[" .. code .. "m" .. text .. "\27[0m" or text
  end
  local out = {}
  for _, fault in ipairs(M.sort(faults)) do
    local place = fault.origin
    local where = place.name or place.file and place.file .. (place.line and ":" .. place.line or "")
    local head = paint("1", clean(where or "luge") .. ":") .. " "
    if fault.path and fault.path ~= "" then head = head .. clean(fault.path) .. ": " end
    out[#out + 1] = head .. clean(fault.message) .. (fault.near and " (did you mean '" .. fault.near .. "'?)" or "")
    if place.text then snippet(place, out, paint) end
    for _, line in ipairs(place.chain or fault.chain or {}) do out[#out + 1] = "      = called at " .. clean(line) end
    if fault.hint then out[#out + 1] = "      = " .. clean(fault.hint) end
  end
  out[#out + 1] = #faults == 1 and "1 error; nothing was started." or #faults .. " errors; nothing was started."
  return table.concat(out, "\n") .. "\n"
end

return M
