-- SPDX-License-Identifier: MIT
-- netns.nft_text: descriptions of tables in the words of nft(8), to read and to compare: `nft -f` takes them.

local check = require "netns.check"
local nft_set = require "netns.nft_set"
local types = require "netns.nft_types"

local M = {}

local function quote(text) return '"' .. tostring(text):gsub('"', "") .. '"' end

local NEED_QUOTES = { iifname = true, oifname = true, ["meta iifkind"] = true, ["meta oifkind"] = true }

local function value_text(field, value)
  if type(value) == "table" then
    local parts = {}
    for i, item in ipairs(value) do
      parts[i] = type(item) == "table" and ("%s : %s"):format(item.key or item[1], item.value or item[2])
        or value_text(field, item)
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
  end
  if value == true then return "exists" elseif value == false then return "missing" end
  return NEED_QUOTES[field] and tostring(value):sub(1, 1) ~= "@" and quote(value) or tostring(value)
end

local BITS = { ["ct state"] = true, ["ct status"] = true, ["tcp flags"] = true }

local function match_text(s)
  local field, count = s[1], #s
  if count == 5 then return ("%s & %s %s %s"):format(field, s[3], s[4], s[5]) end
  local op = count == 3 and s[2] ~= "==" and s[2] .. " " or ""
  local value = s[count]
  if BITS[field] and type(value) == "table" then return field .. " " .. op .. table.concat(value, ",") end
  return field .. " " .. op .. value_text(field, value)
end

local function to(family, address, port)
  if type(address) == "table" then return ("%s to %s map %s"):format(family, address[1], address[2]) end
  if port and address:find(":", 1, true) then address = "[" .. address .. "]" end
  return ("%s to %s%s"):format(family, address, port and ":" .. port or "")
end

local function flags(s)
  return (s.random and " random" or "") .. (s.fully_random and " fully-random" or "") .. (s.persistent and " persistent" or "")
end

local function limit(s)
  local burst = s.burst and (" burst %d %s"):format(s.burst, s.bytes and "bytes" or "packets") or ""
  return ("limit rate %s%d%s/%s%s"):format(s.over and "over " or "", s.rate, s.bytes and " bytes" or "", s.per or "second",
    burst)
end

local function nat(s)
  local family = s.family or (tostring(s[2]):find(":", 1, true) and "ip6" or "ip")
  return s[1] .. " " .. to(family, s[2], s[3]) .. flags(s)
end

local function own(s) return s[1] .. (s[2] and " to :" .. s[2] or "") .. flags(s) end

local ICMP_TABLES = { ip = "icmp ", ip6 = "icmpv6 " }

local function dynset(s)
  local inner = s.timeout and (" timeout %dms"):format(math.floor(s.timeout * 1000)) or ""
  inner = inner .. (s.limit and " " .. limit(s.limit) or s.counter and " counter" or "")
  return ("%s %s { %s%s }"):format(s[1], s[2], s[3], inner)
end

local STATEMENTS = {
  counter = function(s) return "counter" .. (s[2] and " name " .. quote(s[2]) or "") end,
  limit = limit,
  log = function(s)
    return "log" .. (s.prefix and " prefix " .. quote(s.prefix) or "") .. (s.level and " level " .. s.level or "")
      .. (s.group and " group " .. s.group or "") .. (s.snaplen and " snaplen " .. s.snaplen or "")
  end,
  reject = function(s, family)
    if not s[2] then return "reject" end
    if s[2] == "tcp reset" then return "reject with tcp reset" end
    return "reject with " .. (ICMP_TABLES[family] or "icmpx ") .. s[2]
  end,
  set = function(s)
    local value = type(s[3]) == "table" and table.concat(s[3], " map ") or tostring(s[3])
    return ("%s set %s"):format(s[2], value)
  end,
  snat = nat, dnat = nat, masquerade = own, redirect = own,
  add = dynset, update = dynset, delete = dynset,
  vmap = function(s) return ("%s vmap %s"):format(s[2], value_text(s[2], s[3])) end,
  fwd = function(s) return "fwd to " .. quote(s[2]) end,
  jump = function(s) return "jump " .. s[2] end,
  ["goto"] = function(s) return "goto " .. s[2] end,
}

--- A rule in one line.
function M.rule(rule, family)
  local parts = {}
  for i, s in ipairs(rule) do
    if type(s) ~= "table" then
      parts[i] = s
    else
      local f = STATEMENTS[s[1]]
      parts[i] = f and f(s, family) or #s == 1 and s[1] or match_text(s)
    end
  end
  if rule.comment then parts[#parts + 1] = "comment " .. quote(rule.comment:sub(1, 127)) end
  return table.concat(parts, " ")
end

local function element_text(set, element)
  if type(element) ~= "table" then return tostring(element) end
  local text = tostring(element.key or element[1])
  if element.timeout then text = ("%s timeout %dms"):format(text, math.floor(element.timeout * 1000)) end
  return set.map and ("%s : %s"):format(text, element.value or element[2]) or text
end

local function set_lines(add, name, set)
  add(1, ("%s %s {"):format(set.map and "map" or "set", name))
  add(2, ("type %s%s"):format(set.type, set.map and " : " .. set.map or ""))
  if set.size then add(2, "size " .. set.size) end
  local words, has_timeouts = {}, set.timeout
  for _, element in ipairs(set.elements or {}) do
    has_timeouts = has_timeouts or type(element) == "table" and element.timeout
  end
  if set.dynamic then words[#words + 1] = "dynamic" end
  if nft_set.read(set).interval then words[#words + 1] = "interval" end
  if has_timeouts then words[#words + 1] = "timeout" end
  if #words > 0 then add(2, "flags " .. table.concat(words, ",")) end
  if set.timeout then add(2, ("timeout %dms"):format(math.floor(set.timeout * 1000))) end
  if set.counter then add(2, "counter") end
  local elements = {}
  for i, element in ipairs(set.elements or {}) do elements[i] = element_text(set, element) end
  if #elements > 0 then add(2, "elements = { " .. table.concat(elements, ", ") .. " }") end
  add(1, "}")
end

local function chain_lines(add, family, name, chain)
  add(1, ("chain %s {"):format(name))
  if chain.hook then
    local device = chain.device and (" device %s"):format(quote(chain.device)) or ""
    if chain.devices then
      local names = {}
      for i, link in ipairs(chain.devices) do names[i] = quote(link) end
      device = " devices = { " .. table.concat(names, ", ") .. " }"
    end
    -- As a number: nft has names for some places only.
    add(2, ("type %s hook %s%s priority %d; policy %s;"):format(chain.type or "filter", chain.hook, device,
      types.priority(family, chain.priority), chain.policy or "accept"))
  end
  for _, rule in ipairs(chain) do add(2, M.rule(rule, family)) end
  add(1, "}")
end

--- A table in the words of nft(8).
function M.table(description)
  local lines = {}
  local function add(depth, text) lines[#lines + 1] = ("\t"):rep(depth) .. text end
  if description.gone then return ("delete table %s %s"):format(description.family, description.table) end
  add(0, ("table %s %s {"):format(description.family, description.table))
  for _, name in ipairs(description.counters or {}) do add(1, ("counter %s { }"):format(name)) end
  for _, name in ipairs(check.sorted_keys(description.sets)) do set_lines(add, name, description.sets[name]) end
  for _, name in ipairs(check.sorted_keys(description.chains)) do
    chain_lines(add, description.family, name, description.chains[name])
  end
  add(0, "}")
  return table.concat(lines, "\n") .. "\n"
end

return M
