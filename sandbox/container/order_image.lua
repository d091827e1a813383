-- SPDX-License-Identifier: MIT
-- sandbox.container.order_image: what the stage's orders are put together from: the image, and arguments as numbers
--
-- Used by those who say which calls a step is: sandbox.container.orders and sandbox.container.furnish.

local S = require "syscall"
local C = require "luge.stage"

local M = {}

-- ---- the image ----

-- Adds bytes to the data; returns the address they will have.
local function put_bytes(image, bytes)
  local at = image.size
  image.data[#image.data + 1] = bytes
  image.size = at + #bytes
  return C.base + at
end

local PADDING = {}
for i = 0, 7 do PADDING[i] = ("\0"):rep(i) end

-- The same, aligned for any type.
local function put(image, bytes)
  local padding = -image.size % 8
  return put_bytes(image, PADDING[padding] .. bytes) + padding
end

local function check_string(text)
  if type(text) ~= "string" or text:find("\0", 1, true) then
    error("a string without NUL bytes expected", 0)
  end
  return text
end

-- Each text once: nothing writes to the image.
local function put_string(image, text)
  local known = image.strings[text]
  if known then return known end
  local at = put_bytes(image, check_string(text) .. "\0")
  image.strings[text] = at
  return at
end

-- A NULL-ended vector of pointers to strings.
local function put_vector(image, list)
  local words, address = {}, C.base + image.size
  for i, text in ipairs(list) do
    words[i] = ("<i8"):pack(address)
    address = address + #check_string(text) + 1
  end
  put_bytes(image, table.concat(list, "\0") .. "\0")
  words[#words + 1] = PADDING[7] .. "\0"
  return put(image, table.concat(words))
end

-- A record; the arguments are integers.
local kinds, calls, pack_words = C.kinds, C.calls, string.pack

local function add(image, kind, number, a, b, c, d, e)
  local records = image.records
  records[#records + 1] = pack_words("<I2I2I4i8i8i8i8i8i8i8", kinds[kind], image.tolerate, image.step, number or 0,
    a or 0, b or 0, c or 0, d or 0, e or 0, 0)
end

local function call(image, name, ...) add(image, "call", calls[name], ...) end

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

M.PADDING, M.put, M.put_string, M.put_vector, M.add, M.call = PADDING, put, put_string, put_vector, add, call
M.int, M.fd, M.mode, M.id, M.constant, M.flags = int, fd, mode, id, constant, flags
M.list, M.mask_of, M.limit, M.pack = list, mask_of, limit, pack

return M
