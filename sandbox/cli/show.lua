-- SPDX-License-Identifier: MIT
-- sandbox.cli.show: values as one would write them: tables with sorted keys, on one line where they
-- fit.

local M = {}

local WIDTH = 80
local DEPTH_MAX = 8
local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch("%a+") do KEYWORDS[word] = true end

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

local function quote(s)
  s = s:gsub('[%c"\\\127]', function(c) return ESCAPES[c] or ("\\x%02X"):format(c:byte()) end)
  -- What is no UTF-8 is shown byte by byte: a terminal would garble it.
  if not utf8.len(s) then
    s = s:gsub("[\128-\255]", function(c) return ("\\x%02X"):format(c:byte()) end)
  end
  return '"' .. s .. '"'
end

local RANKS = { number = 1, string = 2 }

-- Numbers first, then strings, then the rest by their text: one order whatever the table's history.
local function before(a, b)
  local ra, rb = RANKS[type(a)] or 3, RANKS[type(b)] or 3
  if ra ~= rb then return ra < rb end
  if ra == 3 then return tostring(a) < tostring(b) end
  return a < b
end

local function sorted_keys(t)
  local keys, length = {}, rawlen(t)
  for key in next, t do
    local in_list = math.type(key) == "integer" and key >= 1 and key <= length
    if not in_list then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys, length
end

local render

local function render_key(key, seen)
  if type(key) == "string" and key:find("^[%a_][%w_]*$") and not KEYWORDS[key] then return key end
  return "[" .. render(key, "", seen) .. "]"
end

local function render_table(t, indent, seen)
  if seen[t] then return "{ already shown }" end
  if seen.depth >= DEPTH_MAX then return "{ deeper }" end
  seen[t], seen.depth = true, seen.depth + 1
  local parts, inner = {}, indent .. "  "
  local keys, length = sorted_keys(t)
  for i = 1, length do parts[i] = render(rawget(t, i), inner, seen) end
  for _, key in ipairs(keys) do
    parts[#parts + 1] = render_key(key, seen) .. " = " .. render(rawget(t, key), inner, seen)
  end
  -- Only a table inside itself would never end; the same one beside itself is shown again.
  seen[t], seen.depth = nil, seen.depth - 1
  if #parts == 0 then return "{}" end
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  local fits = #indent + (utf8.len(line) or #line) <= WIDTH and not line:find("\n", 1, true)
  if fits then return line end
  return "{\n" .. inner .. table.concat(parts, ",\n" .. inner) .. "\n" .. indent .. "}"
end

function render(value, indent, seen)
  if type(value) == "string" then return quote(value) end
  local meta = debug.getmetatable(value)
  if meta and meta.__name == "syscall.error" then
    return ("%s (E%s)"):format(value, value.name:upper())
  end
  if type(value) ~= "table" or (meta and meta.__tostring) then return tostring(value) end
  return render_table(value, indent, seen)
end

--- One value as text, over several lines where it is a large table.
function M.value(value)
  return render(value, "", { depth = 0 })
end

--- The results of a call: `nil, err, errno` without the number, which err's name says better.
function M.results(...)
  local n = select("#", ...)
  local first, err = ...
  local meta = debug.getmetatable(err)
  if n == 3 and first == nil and meta and meta.__name == "syscall.error" then n = 2 end
  local texts = {}
  for i = 1, n do texts[i] = M.value((select(i, ...))) end
  return table.concat(texts, ", ")
end

return M
