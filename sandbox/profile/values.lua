-- SPDX-License-Identifier: MIT
-- sandbox.profile.values: one function for each scalar type of the schema. It gets what a profile says and the
-- layer that says it, and returns what luge works with, or nil, a message and perhaps a hint.

-- Here are the plain ones: text, numbers, sizes, durations, paths, names. Those of the kernel's things and of networks are
-- looked up when one is met.

local OTHERS = { "sandbox.profile.values_kernel", "sandbox.profile.values_network" }

local M = setmetatable({}, { __index = function(M, name)
  for _, module in ipairs(OTHERS) do
    local parse = require(module)[name]
    if parse then
      M[name] = parse
      return parse
    end
  end
end })

-- A value as an error message shows it: strings quoted, without control characters, and not endless.
function M.show(v)
  if type(v) == "table" then return type(v.type) == "string" and "a " .. v.type or "a table" end
  if type(v) == "function" then return "a function" end
  if type(v) ~= "string" then return tostring(v) end
  if #v > 60 then v = v:sub(1, 57) .. "..." end
  return '"' .. v:gsub('[%c"\\]', { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n" }):gsub("%c", "?") .. '"'
end
local show = M.show

function M.no(v, what, hint)
  return nil, show(v) .. " is no " .. what, hint
end
local no = M.no

function M.any(v) return v end

function M.boolean(v)
  if type(v) ~= "boolean" then return no(v, "boolean (write true or false)") end
  return v
end

-- Any text without a zero byte, which no string of the kernel can hold.
function M.text(v)
  if type(v) ~= "string" then return no(v, "text") end
  if v:find("\0", 1, true) then return nil, show(v) .. " holds a zero byte" end
  return v
end

-- A word of a command or an environment: numbers are taken, as ("-j" .. 4) and 4 mean the same there.
function M.word(v)
  if math.type(v) == "integer" then return tostring(v) end
  if type(v) == "number" then return ("%.14g"):format(v) end
  if type(v) == "boolean" then return no(v, "text", 'write "1" or "true"') end
  return M.text(v)
end

function M.integer(v)
  local n = math.type(v) == "integer" and v or math.type(v) == "float" and math.tointeger(v)
  if not n then return no(v, "whole number", tonumber(v) and "a number has no quotes" or nil) end
  return n
end

function M.number(v)
  if type(v) ~= "number" or v ~= v then return no(v, "number") end
  return v
end

local SIZES = { [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40, P = 1 << 50 }
function M.size(v)
  local n = v
  if type(v) == "string" then
    local digits, unit = v:match "^(%d+%.?%d*)([KMGTP]?)$"
    n = digits and (tonumber(digits) + 0.0) * SIZES[unit]
  end
  if type(n) ~= "number" or not (n >= 0 and n < 2^63) then
    return no(v, "size (write 2G, 512M or a number of bytes)", require "sandbox.profile.elsewhere".size(v))
  end
  return math.floor(n)
end

local SECONDS = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }

-- "1m30s", each unit smaller than the one before; digits alone, as the command line has them, are seconds.
local function seconds(text)
  if text:find "^%d+%.?%d*$" then return tonumber(text) end
  local sum, at, last = 0, 1, math.huge
  repeat
    local digits, unit, after = text:match("^(%d+%.?%d*)(%a+)()", at)
    local each = SECONDS[unit]
    if not each or each >= last then return nil end
    sum, at, last = sum + tonumber(digits) * each, after, each
  until at > #text
  return sum
end

function M.duration(v)
  local n = v
  if type(v) == "string" then n = seconds(v) end
  -- Longer than a century is a slip, and overflows what timers take.
  if type(n) ~= "number" or not (n >= 0 and n <= 3155760000) then
    return no(v, "duration (write 500ms, 30s, 10m, 2h or a number of seconds)", require "sandbox.profile.elsewhere".duration(v))
  end
  return math.tointeger(n) or n
end

function M.offset(v)
  if type(v) == "string" and v:byte() == 45 then
    local n = M.duration(v:sub(2))
    if n then return -n end
  elseif type(v) == "number" and v < 0 and v >= -3155760000 then
    return v
  end
  return M.duration(v)
end

local function rlimit(of)
  return function(v)
    if v == "unlimited" then return v end
    local n, message, hint = M[of](v)
    if n and n < 0 then return no(v, "limit") end
    return n, message, hint
  end
end
M.rlimit_size, M.rlimit_count = rlimit "size", rlimit "integer"

function M.mode(v)
  if type(v) == "number" then
    return nil, show(v) .. ' is no mode: write it as a string ("0755"), Lua has no octal numbers'
  end
  if type(v) ~= "string" or not v:find "^[0-7][0-7][0-7][0-7]?$" then return no(v, 'mode (write "0755")') end
  return tonumber(v, 8)
end

-- Paths --------------------------------------------------------------------------------------------------

-- Without empty, "." and (when they are to go) ".." parts; the path is absolute.
local function tidy(path)
  if not path:find("/[/.]") and path:byte(-1) ~= 47 then return path end
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return "/" .. table.concat(parts, "/")
end

function M.path(v)
  if type(v) ~= "string" or v == "" then return no(v, 'path (write "/src")') end
  if v:byte() ~= 47 then
    return nil, show(v) .. " is not absolute", "paths in the container start with /: write " .. show("/" .. v)
  end
  if v:find("\0", 1, true) or #v > 4095 then return no(v, "path") end
  if (v .. "/"):find("/../", 1, true) then
    return nil, show(v) .. ' goes through ".."', "write the path in the container that it means"
  end
  return tidy(v)
end

-- ".." is taken by the letter, as a shell's cd does, so that the profile means the same everywhere.
function M.hostpath(v, layer)
  if type(v) ~= "string" or v == "" then return no(v, "path of the host") end
  if v:find("\0", 1, true) or #v > 4095 then return no(v, "path") end
  local first = v:byte()
  if first == 126 and v:find "^~/?" then
    return nil, show(v) .. " is not expanded", 'write host.home .. "' .. v:sub(2) .. '"'
  end
  if first ~= 47 then v = layer.dir .. "/" .. v end
  return tidy(v)
end

-- Names --------------------------------------------------------------------------------------------------

--- A type: text of a form (a pattern), at most so long.
function M.pattern(what, form, most)
  return function(v)
    if type(v) ~= "string" or not v:find(form) or #v > most then return no(v, what) end
    return v
  end
end

M.name = M.pattern("name (letters, digits, _ . -, 64 at most)", "^[%w][%w_.-]*$", 64)
M.hostname = M.pattern("host name (letters, digits, . -, 64 at most)", "^%w[%w.-]*$", 64)

function M.env_name(v)
  if type(v) ~= "string" or v == "" or #v > 4096 or v:find "[=%z*]" then return no(v, "name of a variable") end
  return v
end

return M
