-- SPDX-License-Identifier: MIT
-- netns.check: what arguments must be. Wrong use raises in the caller's line, naming the argument; kernel failures
-- come as nil, err.

local S = require "syscall"
local netlink = require "netns.netlink"
local arguments = require "syscall.arguments"

local M = {}

local blame, called = arguments.blame, arguments.called
M.fail, M.string, M.table = arguments.fail, arguments.string, arguments.table

-- ---- values: each takes the value and what it is called, and returns it as messages want it ----

function M.name(value, what)
  if type(value) == "table" and value.index then value = value.name end -- a link, as nl.link gives it
  if type(value) ~= "string" then M.fail(what, "the name of a link", value) end
  if not S.nl.is_link_name(value) then
    blame(("bad argument %s ('%s' is no name of a link: 1 to 15 characters, no / or space)"):format(called(what), value))
  end
  return value
end

function M.boolean(value, what)
  if type(value) ~= "boolean" then M.fail(what, "true or false", value) end
  return value
end

local function integer(max)
  return function(value, what)
    local number = type(value) == "number" and math.tointeger(value)
    if not number or number < 0 or number > max then M.fail(what, "an integer from 0 to " .. max, value) end
    return number
  end
end

M.u8, M.u16, M.u32, M.u31 = integer(0xff), integer(0xffff), integer(0xffffffff), integer(0x7fffffff)

--- Seconds, as hundredths.
function M.seconds(value, what)
  if type(value) ~= "number" or value < 0 or value > 1e7 then M.fail(what, "a number of seconds", value) end
  return math.floor(value * 100 + 0.5)
end

--- "02:00:00:00:00:01" as 6 bytes.
function M.mac(value, what)
  return netlink.parse_mac(value) or M.fail(what, "an Ethernet address such as 02:00:00:00:00:01", value)
end

--- 6 bytes as "02:00:00:00:00:01".
function M.mac_text(bytes) return ("%02x:%02x:%02x:%02x:%02x:%02x"):format(bytes:byte(1, 6)) end

--- A namespace: a descriptor object, or a pid.
function M.netns(value, what)
  if type(value) == "userdata" and pcall(value.getfd, value) then return value end
  if math.type(value) == "integer" and value > 0 then return value end
  M.fail(what, "a network namespace (a descriptor object, or a pid)", value)
end

--- A name of S.c[set], or a number.
function M.const(set, max)
  return function(value, what)
    if math.type(value) == "integer" and value >= 0 and value <= (max or 0xffffffff) then return value end
    local number = type(value) == "string" and S.c[set][value:upper()]
    if number then return number end
    local names = {}
    for name in pairs(S.c[set]) do names[#names + 1] = name:lower() end
    local near = type(value) == "string" and require("luge.cage").nearest(value, names)
    if near then
      blame(("bad argument %s (a name of S.c.%s expected, got '%s', did you mean '%s'?)"):format(called(what), set, value, near))
    end
    M.fail(what, "a name of S.c." .. set, value)
  end
end

--- "a, b", or a list of names, as bits of S.c[set].
function M.flags(value, what, set)
  if math.type(value) == "integer" then return value end
  local alone = type(value) == "string" and S.c[set][value:upper()]
  if alone then return alone end
  local one, bits, words = M.const(set), 0, value
  if type(value) == "string" then
    words = {}
    for word in value:gmatch "[^%s,|]+" do words[#words + 1] = word end
  elseif type(value) ~= "table" then
    M.fail(what, "names of S.c." .. set, value)
  end
  for _, word in ipairs(words) do bits = bits | one(word, what) end
  return bits
end

--- The names in a set of S.c that bits have, in lower case and in order.
function M.flag_names(bits, set)
  local names = {}
  for name, bit in pairs(set) do
    if bits & bit ~= 0 then names[#names + 1] = name:lower() end
  end
  table.sort(names)
  return names
end

--- The names of a set of S.c by their values, in lower case.
function M.names_of(set)
  local names = {}
  for name, value in pairs(set) do names[value] = name:lower() end
  return names
end

-- ---- addresses ----

M.FAMILY = { inet = S.c.AF.INET, inet6 = S.c.AF.INET6, bridge = S.c.AF.BRIDGE }

--- The name of a family's number, or nil.
function M.family_name(number)
  for name, value in pairs(M.FAMILY) do
    if value == number then return name end
  end
end

function M.family(value, what)
  local number = M.FAMILY[value]
  if not number then M.fail(what, "\"inet\" or \"inet6\"", value) end
  return number
end

--- "10.0.0.1" or "fd00::1", and "10.0.0.1/24", as { family = "inet" or "inet6", bytes =, text =, prefix = }, or nil.
M.parse_ip, M.parse_cidr = netlink.parse_ip, netlink.parse_cidr

function M.ip(value, what)
  return M.parse_ip(value) or M.fail(what, "an IPv4 or IPv6 address", value)
end

function M.cidr(value, what)
  return M.parse_cidr(value) or M.fail(what, "an address such as 10.0.0.1/24 or fd00::1/64", value)
end

--- Whether an address, as text, is one of the loopback's.
function M.is_loopback(text) return text == "::1" or text:find "^127%." ~= nil end

--- The text of an address in an answer's bytes; family: its name or number.
function M.ip_text(family, bytes)
  return S.inet_ntop(M.family_name(family) or family, bytes)
end

--- Lists of what the kernel answered print one a line.
M.list_meta = { __tostring = function(list)
  local lines = {}
  for i, entry in ipairs(list) do lines[i] = tostring(entry) end
  return table.concat(lines, "\n")
end }

--- The number of the family of checked fields: what `family` says, which the addresses of `keys` must have, or theirs.
function M.family_of(t, keys)
  local family = M.family_name(t.family)
  for _, key in ipairs(keys) do
    local ip = t[key]
    if type(ip) == "table" then
      family = family or ip.family
      if ip.family ~= family then M.fail(("'%s'"):format(key), "an address of the family " .. family, ip.text) end
    end
  end
  return M.FAMILY[family or "inet"]
end

-- ---- tables ----

local function no_field(key, what, ...)
  local names = {}
  for _, checks in ipairs { ... } do
    for name in pairs(checks) do names[#names + 1] = name end
  end
  local near = type(key) == "string" and require("luge.cage").nearest(key, names)
  blame(("bad argument %s (no field '%s' is known%s)"):format(called(what), tostring(key),
    near and (", did you mean '%s'?"):format(near) or ""))
end

--- The keys of a map, nil for none, in order.
function M.sorted_keys(map)
  local keys = {}
  for key in pairs(map or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local NONE = {}

--- Checks the fields of an argument: each has its check in one of the tables, up to four; a field that none has raises.
-- Returns the checked values.
function M.fields(t, what, a, b, c, d)
  M.table(t, what)
  local checked = {}
  b, c, d = b or NONE, c or NONE, d or NONE
  for key, value in next, t do
    local check = a[key] or b[key] or c[key] or d[key] or no_field(key, what, a, b, c, d)
    checked[key] = check(value, key)
  end
  return checked
end

--- Raises unless the field is there.
function M.need(checked, key, expected)
  if type(checked) ~= "table" or checked[key] == nil then M.fail(("'%s'"):format(key), expected, nil) end
end

return M
