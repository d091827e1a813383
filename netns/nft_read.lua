-- SPDX-License-Identifier: MIT
-- netns.nft_read: what the kernel says of tables: their names, counters, and what sets hold. Rules are never read back
-- to be understood: luge knows what it wrote.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"
local expr = require "netns.nft_expr"
local nft_set = require "netns.nft_set"
local types = require "netns.nft_types"

local A, NFT, MSG, NFNL = S.c.NFTA, S.c.NFT, S.c.NFT_MSG, S.c.NFNL

local M = {}

local HEADER = 4 -- struct nfgenmsg

local FAMILY = types.FAMILY
local FAMILY_NAME = {}
for name, number in pairs(FAMILY) do FAMILY_NAME[number] = name end

local function family_number(family)
  return FAMILY[family] or error(("no family '%s' of tables"):format(tostring(family)), 3)
end

-- The replies to a dump, each as its attributes by type and its family's name. fill puts what is asked for.
local function dump(type, family, fill, namespace)
  local m = nl.message(NFNL.SUBSYS_NFTABLES << 8 | type, "dump", ("BB>I2"):pack(family, 0, 0))
  if fill then fill(m) end
  local replies, err, errno = nl.request(m, namespace, "dump", "netfilter")
  if not replies then return nil, err, errno end
  local list = {}
  for i, reply in ipairs(replies) do
    local _, by_type = nl.attributes(reply.data, HEADER)
    list[i] = { by_type, FAMILY_NAME[reply.data:byte(1)] }
  end
  return list
end

-- ---- each prints in a line ----

local function count_text(t) return t.packets and (" packets %d bytes %d"):format(t.packets, t.bytes) or "" end

local Table = { __tostring = function(t) return ("table %s %s"):format(t.family, t.table) end }

local Rule = { __tostring = function(rule)
  return ("chain %s handle %d%s%s"):format(rule.chain, rule.handle, count_text(rule),
    rule.comment and (" comment %q"):format(rule.comment) or "")
end }

local Element = { __tostring = function(element)
  local function time(key) return element[key] and (" %s %gs"):format(key, element[key]) or "" end
  return tostring(element.key) .. time "timeout" .. time "expires" .. count_text(element)
    .. (element.value ~= nil and " : " .. tostring(element.value) or "")
end }

local Counters = { __tostring = function(counters)
  local lines = check.sorted_keys(counters)
  for i, name in ipairs(lines) do lines[i] = "counter " .. name .. count_text(counters[name]) end
  return table.concat(lines, "\n")
end }

local function text_of(bytes) return ("z"):unpack(bytes) end

--- nl.nft.tables([namespace]) -> list of {family=, table=}
-- The tables of a network namespace. Source: nft(8), list tables.
function M.tables(namespace)
  local list, err, errno = dump(MSG.GETTABLE, 0, nil, namespace)
  if not list then return nil, err, errno end
  for i, entry in ipairs(list) do list[i] = setmetatable({ family = entry[2], table = text_of(entry[1][A.TABLE_NAME]) }, Table) end
  return setmetatable(list, check.list_meta)
end

local function counter_of(data)
  local _, c = nl.attributes(data)
  if not c[A.COUNTER_PACKETS] then return nil end
  return { packets = (">I8"):unpack(c[A.COUNTER_PACKETS]), bytes = (">I8"):unpack(c[A.COUNTER_BYTES]) }
end

-- The kernel says of a table that is not there that nothing is in it: `empty` where it is there.
local function told(empty, family, name, namespace)
  local all, err, errno = M.tables(namespace)
  if not all then return nil, err, errno end
  for _, known in ipairs(all) do
    if known.family == family and known.table == name then return empty end
  end
  return S.failure("NOENT", ("no table %s %s"):format(family, name))
end

--- nl.nft.counters(family, table [, namespace]) -> {[name]={packets=, bytes=}}
-- The counters with a name of a table. Errors: NOENT. Source: nft(8), list counters.
function M.counters(family, name, namespace)
  local list, err, errno = dump(MSG.GETOBJ, family_number(family), function(m)
    m:string(A.OBJ_TABLE, name):be32(A.OBJ_TYPE, NFT.OBJECT_COUNTER)
  end, namespace)
  if not list then return nil, err, errno end
  local counters = setmetatable({}, Counters)
  for _, entry in ipairs(list) do
    local a = entry[1]
    counters[text_of(a[A.OBJ_NAME])] = counter_of(a[A.OBJ_DATA])
  end
  if next(counters) then return counters end
  return told(counters, family, name, namespace)
end

-- The counter among a rule's or an element's expressions.
local function find_counter(data)
  for _, element in ipairs((nl.attributes(data))) do
    local _, e = nl.attributes(element.data)
    if e[A.EXPR_NAME] and text_of(e[A.EXPR_NAME]) == "counter" then return counter_of(e[A.EXPR_DATA]) end
  end
end

local function comment_of(data)
  if not data or data:byte(1) ~= 0 or #data < 3 then return nil end
  return ("z"):unpack(data:sub(3) .. "\0")
end

--- nl.nft.rules(family, table [, namespace]) -> list of {chain=, handle=, comment=, packets=, bytes=}
-- The rules of a table in their order: packets and bytes of a rule's own counter. Errors: NOENT. Source: nft(8).
function M.rules(family, name, namespace)
  local list, err, errno = dump(MSG.GETRULE, family_number(family), function(m) m:string(A.RULE_TABLE, name) end, namespace)
  if not list then return nil, err, errno end
  setmetatable(list, check.list_meta)
  if not list[1] then return told(list, family, name, namespace) end
  for i, entry in ipairs(list) do
    local a = entry[1]
    local counter = a[A.RULE_EXPRESSIONS] and find_counter(a[A.RULE_EXPRESSIONS]) or {}
    list[i] = setmetatable({ chain = text_of(a[A.RULE_CHAIN]), handle = (">I8"):unpack(a[A.RULE_HANDLE]),
      comment = comment_of(a[A.RULE_USERDATA]), packets = counter.packets, bytes = counter.bytes }, Rule)
  end
  return list
end

local function data_value(data, list)
  local _, d = nl.attributes(data)
  if d[A.DATA_VERDICT] then
    local _, v = nl.attributes(d[A.DATA_VERDICT])
    local chain = v[A.VERDICT_CHAIN]
    return expr.verdict_text((">I4"):unpack(v[A.VERDICT_CODE]), chain and text_of(chain))
  end
  return list and nft_set.text(list, d[A.DATA_VALUE]) or d[A.DATA_VALUE]
end

local function bytes_of(data)
  local _, d = nl.attributes(data)
  return d[A.DATA_VALUE]
end

local function seconds(bytes) return bytes and (">I8"):unpack(bytes) / 1000 end

local function element_of(e, list, data)
  local low, high = bytes_of(e[A.SET_ELEM_KEY]), e[A.SET_ELEM_KEY_END] and bytes_of(e[A.SET_ELEM_KEY_END])
  local counter = e[A.SET_ELEM_EXPR] and find_counter(("I2I2"):pack(#e[A.SET_ELEM_EXPR] + 4, 1) .. e[A.SET_ELEM_EXPR]) or {}
  return { low = low, high = high, key = nft_set.text(list, low, high), timeout = seconds(e[A.SET_ELEM_TIMEOUT]),
    expires = seconds(e[A.SET_ELEM_EXPIRATION]), packets = counter.packets, bytes = counter.bytes,
    is_end = e[A.SET_ELEM_FLAGS] and (">I4"):unpack(e[A.SET_ELEM_FLAGS]) & NFT.SET_ELEM_INTERVAL_END ~= 0,
    value = e[A.SET_ELEM_DATA] and data_value(e[A.SET_ELEM_DATA], data) }
end

-- The number before big-endian bytes.
local function before(bytes)
  for i = #bytes, 1, -1 do
    local byte = bytes:byte(i)
    if byte > 0 then return bytes:sub(1, i - 1) .. string.char(byte - 1) .. ("\255"):rep(#bytes - i) end
  end
end

-- Starts and ends as ranges.
local function join_ranges(list, entries)
  table.sort(entries, function(a, b) return a.low < b.low or a.low == b.low and a.is_end and not b.is_end end)
  local ranges = {}
  for i, entry in ipairs(entries) do
    if not entry.is_end then
      local following = entries[i + 1]
      entry.high = following and before(following.low) or ("\255"):rep(#entry.low)
      entry.key = nft_set.text(list, entry.low, entry.high)
      ranges[#ranges + 1] = entry
    end
  end
  return ranges
end

-- The types of a set's keys and values, by the numbers that were written with it.
local function types_of(family, name, set, namespace)
  local m = nl.message(NFNL.SUBSYS_NFTABLES << 8 | MSG.GETSET, nil, ("BB>I2"):pack(family_number(family), 0, 0))
    :string(A.SET_TABLE, name):string(A.SET_NAME, set)
  local replies, err, errno = nl.request(m, namespace, "request", "netfilter")
  if not replies then return nil, err, errno end
  local _, a = nl.attributes(replies[1].data, HEADER)
  local data = a[A.SET_DATA_TYPE] and (">I4"):unpack(a[A.SET_DATA_TYPE])
  return { types.from_id((">I4"):unpack(a[A.SET_KEY_TYPE])), data and data ~= NFT.DATA_VERDICT and types.from_id(data) or nil }
end

--- nl.nft.elements(family, table, set [, namespace]) -> list of {key=, value=, timeout=, expires=, packets=, bytes=}
-- What a set or map holds; keys and values are text as in a description. Times are seconds. Errors: NOENT.
-- Source: nft(8), list set.
function M.elements(family, name, set, namespace)
  local known, wrong, number = types_of(family, name, set, namespace)
  if not known then return nil, wrong, number end
  local list, data = known[1], known[2]
  local replies, err, errno = dump(MSG.GETSETELEM, family_number(family), function(m)
    m:string(A.SET_ELEM_LIST_TABLE, name):string(A.SET_ELEM_LIST_SET, set)
  end, namespace)
  if not replies then return nil, err, errno end
  local entries, has_ends = {}, false
  for _, reply in ipairs(replies) do
    for _, item in ipairs(reply[1][A.SET_ELEM_LIST_ELEMENTS] and nl.attributes(reply[1][A.SET_ELEM_LIST_ELEMENTS]) or {}) do
      local _, e = nl.attributes(item.data)
      local entry = element_of(e, list, data)
      has_ends = has_ends or entry.is_end
      entries[#entries + 1] = entry
    end
  end
  if has_ends then entries = join_ranges(list, entries) end
  for _, entry in ipairs(entries) do
    entry.low, entry.high, entry.is_end = nil, nil, nil
    setmetatable(entry, Element)
  end
  return setmetatable(entries, check.list_meta)
end

return M
