-- SPDX-License-Identifier: MIT
-- netns.nft_set: sets and maps of nftables, and their elements, as messages.
--
-- { type = "ipv4_addr . inet_service", elements = { "10.0.0.1 . 80" } }; with `map` = a type or "verdict" the elements
-- are { key, value }. Fields: interval (found from the elements where it is not said), timeout (seconds, of every
-- element), dynamic (rules add to it), size, counter (one for each element).

local S = require "syscall"
local expr = require "netns.nft_expr"
local types = require "netns.nft_types"

local A, NFT, MSG = S.c.NFTA, S.c.NFT, S.c.NFT_MSG

local M = {}

-- A nest has less than 64 KiB, an element at most about 150 bytes.
local ELEMENTS = 400

local function padded(size) return (size + 3) // 4 * 4 end

local function pad(bytes) return bytes .. ("\0"):rep(padded(#bytes) - #bytes) end

local function id_and_len(list)
  local len = 0
  for _, type in ipairs(list) do len = len + (list[2] and padded(type.size) or type.size) end
  return types.to_id(list), len
end

--- The low and the high end of what an element's key is, all fields together.
local function key_range(list, value)
  if not list[2] then return types.range(list[1], value) end
  local low, high = {}, {}
  for i, part in ipairs(types.split(value, #list)) do
    local from, to = types.range(list[i], part)
    low[i], high[i] = pad(from), pad(to)
  end
  return table.concat(low), table.concat(high)
end

-- An element as { low =, high =, value =, timeout = }.
local function read_element(set, element)
  local key, value, timeout = element, nil, nil
  if type(element) == "table" then
    key, value, timeout = element.key or element[1], element.value or element[2], element.timeout
  end
  local low, high = key_range(set.types, key)
  local entry = { low = low, high = high, timeout = timeout }
  if set.data == "verdict" then
    entry.verdict = expr.verdict(value) or error(("'%s' is no verdict"):format(tostring(value)), 0)
  elseif set.data then
    local _, parts = nil, set.data[2] and types.split(value, #set.data) or { value }
    for i, part in ipairs(parts) do parts[i] = set.data[2] and pad(set.data[i].parse(part)) or set.data[i].parse(part) end
    entry.data = table.concat(parts)
  end
  return entry
end

-- Ranges of one field that overlap or touch are one range; with values they must not overlap.
local function merge(set, entries)
  table.sort(entries, function(a, b) return a.low < b.low end)
  local merged = {}
  for _, entry in ipairs(entries) do
    local last = merged[#merged]
    local after = last and types.next(last.high)
    if not last or after and entry.low > after or set.data and entry.low == after then
      merged[#merged + 1] = entry
    elseif set.data then
      error(("the ranges of %s overlap"):format(set.types[1].format(entry.low)), 0)
    elseif entry.high > last.high then
      last.high = entry.high
    end
  end
  return merged
end

-- What a tree of intervals holds: where each starts, and where it is over.
local function with_ends(entries)
  local list = {}
  for _, entry in ipairs(entries) do
    local after = types.next(entry.high)
    list[#list + 1] = entry
    if after then list[#list + 1] = { low = after, is_end = true } end
  end
  return list
end

local function is_interval(set, entries)
  for _, entry in ipairs(entries) do
    if entry.low ~= entry.high then return true end
  end
  return set.interval == true
end

--- A set as it is written, with its types and elements read. Raises the text of an error.
function M.read(set)
  local known = { type = 1, map = 1, elements = 1, interval = 1, timeout = 1, dynamic = 1, size = 1, counter = 1 }
  for key in pairs(set) do
    if not known[key] then error(("no such field '%s' of a set"):format(tostring(key)), 0) end
  end
  local read = { types = types.parse(set.type), interval = set.interval, timeout = set.timeout, dynamic = set.dynamic,
    size = set.size, counter = set.counter }
  if set.map then read.data = set.map == "verdict" and "verdict" or types.parse(set.map) end
  return M.fill(read, set.elements or {})
end

--- Gives elements to { types =, data = }.
function M.fill(set, elements)
  local entries = {}
  for i, element in ipairs(elements) do
    local ok, entry = pcall(read_element, set, element)
    if not ok then error(("element %d: %s"):format(i, entry), 0) end
    entries[i] = entry
  end
  set.interval = is_interval(set, entries)
  if set.interval and not set.types[2] then
    if set.types[1].host then error("a set of " .. set.types[1].name .. " holds no ranges", 0) end
    entries = with_ends(merge(set, entries))
  end
  set.entries = entries
  return set
end

local function flags_of(set)
  return (set.anonymous and NFT.SET_ANONYMOUS | NFT.SET_CONSTANT or 0) | (set.interval and NFT.SET_INTERVAL or 0)
    | (set.data and NFT.SET_MAP or 0) | (set.interval and set.types[2] and NFT.SET_CONCAT or 0)
    | ((set.timeout or set.has_timeouts) and NFT.SET_TIMEOUT or 0) | (set.dynamic and NFT.SET_EVAL or 0)
end

-- What nftables keeps beside a set to read its keys again: entries of type, length, value. 1 is this machine's order,
-- 2 the network's.
local function user_data(set)
  local function order(list) return list[2] == nil and (list[1].host or list[1].name == "ifname") and 1 or 2 end
  local data = ("BB=I4"):pack(0, 4, order(set.types))
  if set.data and set.data ~= "verdict" then data = data .. ("BB=I4"):pack(1, 4, order(set.data)) end
  return data
end

local function put_description(m, set, count)
  local size = set.size or set.anonymous and count
  if not size and not (set.interval and set.types[2]) then return end
  m:nest(A.SET_DESC)
  if size then m:be32(A.SET_DESC_SIZE, size) end
  if set.interval and set.types[2] then
    m:nest(A.SET_DESC_CONCAT)
    for _, type in ipairs(set.types) do m:nest(A.LIST_ELEM):be32(A.SET_FIELD_LEN, type.size):done() end
    m:done()
  end
  m:done()
end

local function new_set(t, name, set, id)
  local m = t:message(MSG.NEWSET, "create")
  local key_id, key_len = id_and_len(set.types)
  m:string(A.SET_TABLE, t.table):string(A.SET_NAME, name):be32(A.SET_FLAGS, flags_of(set))
  m:be32(A.SET_KEY_TYPE, key_id):be32(A.SET_KEY_LEN, key_len):be32(A.SET_ID, id)
  if set.data == "verdict" then
    m:be32(A.SET_DATA_TYPE, NFT.DATA_VERDICT):be32(A.SET_DATA_LEN, 16)
  elseif set.data then
    local data_id, data_len = id_and_len(set.data)
    m:be32(A.SET_DATA_TYPE, data_id):be32(A.SET_DATA_LEN, data_len)
  end
  if set.timeout then m:be64(A.SET_TIMEOUT, math.floor(set.timeout * 1000)) end
  put_description(m, set, #set.entries)
  m:bytes(A.SET_USERDATA, user_data(set))
  if set.counter then m:bytes(A.SET_EXPR, expr.bytes { kind = "counter", packets = 0, bytes = 0 }) end
end

local function put_element(m, set, entry)
  m:nest(A.LIST_ELEM)
  if entry.is_end then m:be32(A.SET_ELEM_FLAGS, NFT.SET_ELEM_INTERVAL_END) end
  expr.put_data(m, A.SET_ELEM_KEY, entry.low)
  if set.interval and set.types[2] then expr.put_data(m, A.SET_ELEM_KEY_END, entry.high) end
  if entry.verdict then
    expr.put_data(m, A.SET_ELEM_DATA, nil, entry.verdict)
  elseif entry.data then
    expr.put_data(m, A.SET_ELEM_DATA, entry.data)
  end
  if entry.timeout then m:be64(A.SET_ELEM_TIMEOUT, math.floor(entry.timeout * 1000)) end
  m:done()
end

--- Puts a set's elements into the transaction t.
function M.elements(t, name, set, id)
  for first = 1, #set.entries, ELEMENTS do
    local m = t:message(MSG.NEWSETELEM, "create")
    m:string(A.SET_ELEM_LIST_TABLE, t.table):string(A.SET_ELEM_LIST_SET, name)
    if id then m:be32(A.SET_ELEM_LIST_SET_ID, id) end
    m:nest(A.SET_ELEM_LIST_ELEMENTS)
    for i = first, math.min(first + ELEMENTS - 1, #set.entries) do put_element(m, set, set.entries[i]) end
    m:done()
  end
end

--- Puts a set into the transaction t: the set. Its elements are put later, those of a verdict map after the chains.
function M.create(t, name, set, id)
  for _, entry in ipairs(set.entries) do set.has_timeouts = set.has_timeouts or entry.timeout ~= nil end
  new_set(t, name, set, id)
end

--- The value that a key or its data is, of bytes.
function M.text(list, low, high)
  if not list[2] then
    return high and types.range_text(list[1], low, high) or list[1].format(low:sub(1, list[1].size))
  end
  local parts, at = {}, 1
  for i, type in ipairs(list) do
    local from, to = low:sub(at, at + type.size - 1), high and high:sub(at, at + type.size - 1)
    parts[i] = to and types.range_text(type, from, to) or tostring(type.format(from))
    at = at + padded(type.size)
  end
  return table.concat(parts, " . ")
end

return M
