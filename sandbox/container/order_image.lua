-- SPDX-License-Identifier: MIT
-- sandbox.container.order_image: what the stage's orders are put together from: the image (runtime/order_image.c), and
-- arguments as numbers.
--
-- Used by those who say which calls a step is: sandbox.container.orders and sandbox.container.furnish.

local S = require "syscall"
local C = require "luge.stage"

-- Over the bytes: new, put, put_string, put_vector, add, call, step, tolerate, tobytes.
local M = require "luge.order_image"(C.kinds, C.calls)

-- ---- arguments ----

local function int(value)
  if value == nil then return 0 end
  if value == true then return 1 end
  if value == false then return 0 end
  return type(value) == "number" and math.tointeger(value)
    or error(("an integer expected, got %s"):format(tostring(value)), 0)
end

local function fd(value)
  if math.type(value) == "integer" then return value end
  if type(value) == "userdata" then return value:getfd() end
  error(("a descriptor expected, got %s"):format(tostring(value)), 0)
end

-- "022" is octal, a number is what it is.
local function mode(value)
  return type(value) == "string" and value:match "^[0-7]+$" and tonumber(value, 8) or int(value)
end

-- nil and -1 leave an id as it is.
local function id(value) return value == nil and -1 or int(value) end

-- The sets that a usual container's steps name, by their names in lower case: made when luge is built.
local numbers = {}
for _, set in ipairs { "AT", "CAP", "CLONE", "MNT", "MOUNT_ATTR", "MOVE_MOUNT", "MS", "O", "OPEN_TREE", "PR", "RLIMIT", "SIG" } do
  numbers[set] = {}
  for name, number in pairs(S.c[set]) do numbers[set][name:lower()] = number end
end

-- A name of S.c[set], or an integer.
local function constant(set, value)
  local known = numbers[set] and numbers[set][value]
  if known then return known end
  if math.type(value) == "integer" then return value end
  local values, name = S.c[set], type(value) == "string" and value:upper()
  local number = name and (values[name] or values[name:gsub("^" .. set .. "_?", "")])
  return number or error(("no %s is called '%s'"):format(set, tostring(value)), 0)
end

-- What texts of flags are, found once a text.
local combined = {}

-- "a, b", a list of names, an integer or nil.
local function flags(set, value)
  if value == nil then return 0 end
  if math.type(value) == "integer" then return value end
  local number = 0
  if type(value) == "string" then
    local known = combined[set]
    if not known then
      known = {}
      combined[set] = known
    end
    if known[value] then return known[value] end
    for name in value:gmatch("[^%s,|]+") do number = number | constant(set, name) end
    known[value] = number
  else
    for _, name in ipairs(value) do number = number | constant(set, name) end
  end
  return number
end

local function list(value) return type(value) == "table" and value or { value } end

local function mask_of(set, names)
  local mask = 0
  for _, name in ipairs(names) do mask = mask | 1 << constant(set, name) end
  return mask
end

local function limit(value)
  return (value == nil or value == "unlimited") and -1 or int(value)
end

local function pack(format, values)
  return ("<" .. format:rep(#values)):pack(table.unpack(values))
end

M.int, M.fd, M.mode, M.id, M.constant, M.flags = int, fd, mode, id, constant, flags
M.list, M.mask_of, M.limit, M.pack = list, mask_of, limit, pack

return M
