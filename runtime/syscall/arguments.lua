-- SPDX-License-Identifier: MIT
-- syscall.arguments: what the functions that are written in Lua must be given. Wrong use raises in the caller's line, naming
-- the argument; what the kernel refuses comes as nil, err.

local M = {}

--- Raises in the first line outside of this layer and of netns, which is its other half.
function M.blame(message)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    local from = info and info.short_src
    if not from or from:find "test" or not (from:find "netns[/.]%w+" or from:find "runtime/syscall/") then break end
    level = level + 1
  end
  error(message, level)
end

local function got(value)
  return type(value) == "string" and ("'%s'"):format(value) or type(value) == "number" and tostring(value) or type(value)
end

--- An argument as it is told: "#1", and a field, "mtu", as "'mtu'".
function M.called(what) return what:find "^[#']" and what or ("'%s'"):format(what) end

--- Raises: what: "#1", or "mtu" for a field.
function M.fail(what, expected, value)
  M.blame(("bad argument %s (%s expected, got %s)"):format(M.called(what), expected, got(value)))
end

-- ---- values: each takes the value and what it is called, and returns it ----

function M.string(value, what)
  if type(value) ~= "string" or value:find("\0", 1, true) then M.fail(what, "a string", value) end
  return value
end

--- Bytes, whatever they are.
function M.text(value, what)
  if type(value) ~= "string" then M.fail(what, "a string", value) end
  return value
end

function M.table(value, what)
  if type(value) ~= "table" then M.fail(what, "a table", value) end
  return value
end

--- A table that may be left out.
function M.options(value, what)
  if value == nil then return {} end
  return M.table(value, what)
end

function M.integer(value, what)
  if math.type(value) ~= "integer" then M.fail(what, "an integer", value) end
  return value
end

function M.number(value, what)
  if type(value) ~= "number" or value ~= value then M.fail(what, "a number", value) end
  return value
end

return M
