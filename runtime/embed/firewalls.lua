-- SPDX-License-Identifier: MIT
-- firewalls.lua: a build step, for filters.lua: two modules of what the firewalls of containers have in common
--
-- netns.firewall_forms: usual ones, each compiled once, of names and addresses that nothing else in its messages is, and what
-- lies between them; netns.firewall_form puts a container's own there. netns.nft_known: statements of all, which
-- netns.nft_rule does not read again.

local known = {}
package.preload["netns.nft_known"] = function() return known end

local S = require "syscall"
local firewall = require "netns.firewall_tables"
local form = require "netns.firewall_form"
local nft = require "netns.nft"

local M = {}

local HEAD = 20 -- struct nlmsghdr and struct nfgenmsg; then comes the table's name
local SETS = 0x5bd10000 -- numbers that nothing else in a message is
local NEWSET = S.c.NFT_MSG.NEWSET

-- Names and addresses, the entries that rules are kept of, and how much is let out.
local ADDRESSES = { "10.213.94.173", "fd6c:7567:6500:9d3b:a1b2:c3d4:e5f6:789a" }
local SUBNETS = { { "10.213.94.172/30", "fd6c:7567:6500:9d3b::/64" }, { "192.168.94.172/30", "fd6c:7567:6500:9d3b::/64" } }
local OUTSIDE = { "192.77.93.181", "2a07:9d3b:a1b2:c3d4:e5f6:789a:8b9c:adbe" }
local PORT, TO_PORT, COMMENT = 0xb7c9, 0xc9b7, "why"
local LINKS = { { nat = true }, {}, { bridge = "lbQWXYZUIOPASDF" }, { bridge = "lbQWXYZUIOPASDF", isolated = true } }
local EGRESS = { { open = true }, {}, { log = true }, { internet = true }, { internet = true, log = true } }

local function description(families, own, egress, subnets)
  return { table = "luge-form", publish = {}, egress = { open = egress.open, log = egress.log, internet = egress.internet,
    allow = {} }, links = { { link = "lgQWXYZUIO", mac = "02:a5:5a:c3:3c:99", nat = own.nat, bridge = own.bridge,
      isolated = own.isolated, subnets = subnets, addresses = table.move(ADDRESSES, 1, families, 1, {}) } } }
end

-- ---- messages as forms ----

local texts, messages = {}, {} -- what is the same, and forms, once each, by their numbers

local function once(list, text)
  if not list[text] then
    list[#list + 1] = text
    list[text] = #list
  end
  return list[text]
end

local function quoted(text) return ("t[%d]"):format(once(texts, text)) end

-- The first of the values in a text from a place on: its name, where it begins and where it ends.
local function first_of(values, text, from)
  local name, first, last
  for key, value in pairs(values) do
    local a, b = text:find(value, from, true)
    if a and (not first or a < first) then name, first, last = key, a, b end
  end
  return name, first, last
end

-- The number of a message's form.
local function form_of(bytes, values)
  local words, more, start, stop = {}, "", HEAD + 1, #bytes
  local in_messages = values.table and bytes:sub(start, start + #values.table - 1) == values.table
  if not in_messages then return once(messages, ("{ false, false, %s }"):format(quoted(bytes))) end -- one of the marks
  start = start + #values.table
  local length = #bytes - #values.table
  if values.comment and bytes:sub(-#values.comment) == values.comment then
    more, stop, length = more .. ", has_comment = true", stop - #values.comment, length - #values.comment
  end
  if bytes:byte(5) == NEWSET then more = more .. ", is_set = true" end
  words[1], words[2] = length, quoted(bytes:sub(5, HEAD))
  local searched = {}
  for name, value in pairs(values) do
    if name ~= "table" and name ~= "comment" then searched[name] = value end
  end
  local body = bytes:sub(1, stop)
  for name, first, last in function() return first_of(searched, body, start) end do
    words[#words + 1], words[#words + 2] = quoted(body:sub(start, first - 1)), ("%q"):format(name)
    start = last + 1
  end
  words[#words + 1] = quoted(body:sub(start))
  return once(messages, ("{ %s%s }"):format(table.concat(words, ", "), more))
end

-- Calls f(number of the form, label) with each message of tables.
local function each_form(tables, values, f)
  local sets = SETS
  local list, labels = nft.compile(tables, nil, nil, SETS)
  for i, message in ipairs(list) do
    local bytes = message:tobytes()
    if bytes:byte(5) == NEWSET and bytes:byte(6) == S.c.NFNL.SUBSYS_NFTABLES then sets = sets + 1 end
    values.set, values.set_before = (">I4"):pack(sets), (">I4"):pack(sets - 1)
    f(form_of(bytes, values), labels[i])
  end
end

-- ---- tables, and the places of rules in them ----

local function shape_text(d)
  local values, rules, places, seen = form.values(d), firewall.varied(d), {}, {}
  local numbers, list = {}, {} -- of messages since the last place, and what stands before that
  local tables = firewall.anew(d, true)
  for _, one in ipairs(tables) do
    for name, chain in pairs(one.chains or {}) do
      for i, rule in ipairs(chain) do
        local label = ("table %s %s: chain %s: rule %d"):format(one.family, one.table, name, i)
        if rule.slot then places[label] = name .. " " .. rule.slot end
      end
    end
  end
  each_form(tables, values, function(number, label)
    local place = places[label]
    if not place then
      numbers[#numbers + 1] = ("m[%d]"):format(number)
    elseif not seen[place] then
      seen[place] = true
      list[#list + 1] = ("{ %s }, %q"):format(table.concat(numbers, ", "), place)
      numbers = {}
    end
  end)
  list[#list + 1] = ("{ %s }"):format(table.concat(numbers, ", "))
  return ("[%q] = { %s }"):format(form.shape(d, values, rules), table.concat(list, ", "))
end

-- With one entry for each kind of rule; which of the chains of published ports there are is a matter of what is published.
local function shapes()
  local lines = {}
  for families = 1, 2 do
    for _, own in ipairs(LINKS) do
      for _, egress in ipairs(EGRESS) do
        for _, address in ipairs { "none", "127.0.0.1", false } do
          local d = description(families, own, egress)
          if not egress.open then d.egress.allow[1] = { cidr = OUTSIDE[1], why = COMMENT } end
          if address ~= "none" then
            d.publish[1] = { proto = "tcp", address = address or nil, port = 80, to = ADDRESSES[1], to_port = 80, link = 1 }
          end
          if not own.bridge or address == "none" then lines[#lines + 1] = shape_text(d) end
        end
      end
    end
  end
  return lines
end

-- ---- rules ----

-- Adds the forms of the rules of a description, which has one entry.
local function add_rules(lines, d)
  for place, rules in pairs(firewall.varied(d)) do
    local chain, values, numbers = place:match "^%S+", form.values(d), {}
    local key = assert(form.key(place, rules[1], d, values), place)
    local made = { hook = chain ~= "host" and chain ~= "egress" and "output" or nil, rules[1] }
    each_form({ family = "inet", table = d.table, keep = true, chains = { [chain] = made } }, values, function(number, label)
      if label and label:find ": rule 1$" then numbers[#numbers + 1] = ("m[%d]"):format(number) end
    end)
    lines[key] = table.concat(numbers, ", ")
  end
end

local function each_publish(f)
  for i, to in ipairs(ADDRESSES) do
    for _, proto in ipairs { "tcp", "udp" } do
      for _, address in ipairs { OUTSIDE[i], "any" } do
        f { proto = proto, address = address == OUTSIDE[i] and address or nil, port = PORT, to = to, to_port = TO_PORT, link = 1,
          why = COMMENT }
      end
    end
  end
end

local function each_allowed(f)
  for _, cidr in ipairs(OUTSIDE) do
    for _, proto in ipairs { "any", "tcp", "udp", "icmp" } do
      for _, port in ipairs { 0, PORT } do
        if proto ~= "icmp" or port == 0 then
          f { cidr = cidr, proto = proto ~= "any" and proto or nil, port = port > 0 and port or nil, why = COMMENT }
        end
      end
    end
  end
end

local function rules()
  local lines, list = {}, {}
  for _, subnets in ipairs(SUBNETS) do
    each_publish(function(p)
      local d = description(2, LINKS[1], EGRESS[1], subnets)
      d.publish[1] = p
      add_rules(lines, d)
    end)
  end
  each_allowed(function(entry)
    local d = description(2, LINKS[1], EGRESS[2])
    d.egress.allow[1] = entry
    add_rules(lines, d)
  end)
  for key, numbers in pairs(lines) do list[#list + 1] = ("[%q] = { %s }"):format(key, numbers) end
  table.sort(list)
  return list
end

local function forms_text()
  local all_shapes, all_rules = shapes(), rules()
  local strings, tables = {}, {}
  for i, text in ipairs(texts) do strings[i] = ("%q"):format(text) end
  for i, text in ipairs(messages) do tables[i] = text end
  return ("local t = {\n%s }\nlocal m = {\n%s }\nreturn { shapes = {\n%s }, rules = {\n%s } }\n"):format(
    table.concat(strings, ",\n"), table.concat(tables, ",\n"), table.concat(all_shapes, ",\n"), table.concat(all_rules, ",\n"))
end

-- ---- statements ----

local function learn()
  local link = { link = "lg00000000", mac = "02:00:00:00:00:00", addresses = { "10.213.0.2", "fd6c:7567:6500::2" }, nat = true,
    subnets = { "10.213.0.0/30", "fd6c:7567:6500::/64" } }
  local on_bridge = { bridge = "lg", link = link.link, mac = link.mac, addresses = link.addresses }
  local publish = { { proto = "tcp", port = 80, to = link.addresses[1], to_port = 80, link = 1 },
    { proto = "udp", port = 80, to = link.addresses[2], to_port = 80, link = 1 } }
  for _, egress in ipairs { { open = true }, { log = true }, { internet = true } } do
    nft.learn(firewall.tables { table = "luge", links = { link }, publish = publish, egress = egress })
    nft.learn(firewall.tables { table = "luge", links = { on_bridge }, egress = egress })
  end
end

local function known_text()
  local keys, lines = {}, {}
  for text in pairs(known) do keys[#keys + 1] = text end
  table.sort(keys)
  for i, text in ipairs(keys) do
    local one, words = known[text], {}
    for _, field in ipairs { "bytes", "l3", "l4" } do
      if one[field] then words[#words + 1] = ("%s = %q"):format(field, one[field]) end
    end
    if one.ether then words[#words + 1] = "ether = true" end
    lines[i] = ("[%q] = { %s },\n"):format(text, table.concat(words, ", "))
  end
  return ("return {\n%s}\n"):format(table.concat(lines))
end

--- Both, as { name, text }.
function M.modules()
  learn()
  return { { "netns.firewall_forms", forms_text() }, { "netns.nft_known", known_text() } }
end

return M
