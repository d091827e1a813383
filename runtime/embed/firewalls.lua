-- SPDX-License-Identifier: MIT
-- firewalls.lua: a build step, for filters.lua: two modules of what the firewalls of containers have in common
--
-- netns.firewall_forms: usual ones, each compiled once, of names and addresses that nothing else in its messages is, and what
-- lies between them; netns.firewall_form puts a container's own there. netns.nft_known: statements of all, which
-- netns.nft_rule does not read again.

local known = {}
package.preload["netns.nft_known"] = function() return known end

local firewall = require "netns.firewall"
local form = require "netns.firewall_form"
local nft = require "netns.nft"

local M = {}

local HEAD = 20 -- struct nlmsghdr and struct nfgenmsg; then comes the table's name

-- Names and addresses, and how much is let out.
local ADDRESSES = { "10.213.94.173", "fd6c:7567:6500:9d3b:a1b2:c3d4:e5f6:789a" }
local LINKS = { { nat = true }, {}, { bridge = "lbQWXYZUIOPASDF" } }
local EGRESS = { { open = true }, {}, { log = true }, { internet = true }, { internet = true, log = true } }

local function each_description(f)
  for families = 1, 2 do
    for _, own in ipairs(LINKS) do
      for _, egress in ipairs(EGRESS) do
        egress.allow, egress.host = {}, {}
        f { table = "luge-form", publish = {}, egress = egress, links = { { link = "lgQWXYZUIO", mac = "02:a5:5a:c3:3c:99",
          addresses = table.move(ADDRESSES, 1, families, 1, {}), nat = own.nat, bridge = own.bridge } } }
      end
    end
  end
end

-- The first of the values in a text from a place on: its name, where it begins and where it ends.
local function first_of(values, text, from)
  local name, first, last
  for key, value in pairs(values) do
    local a, b = text:find(value, from, true)
    if a and (not first or a < first) then name, first, last = key, a, b end
  end
  return name, first, last
end

-- A form that is being made: the numbers of its texts in `texts`, in order, and 0 where a value stands.
local function new_form(texts)
  local made = { same = {}, values = {} }
  function made.add(text, what)
    if text ~= "" then
      if not texts[text] then
        texts[#texts + 1] = text
        texts[text] = #texts
      end
      table.insert(made.same, texts[text])
    end
    if what then
      table.insert(made.same, 0)
      made.values[#made.same] = what
    end
  end
  return made
end

local function add_message(made, bytes, values)
  local start = HEAD + 1
  if bytes:sub(start, start + #values.table - 1) == values.table then
    made.add("", #bytes - #values.table)
    made.add(bytes:sub(5, HEAD), "table")
    start = start + #values.table
  else
    made.add(bytes:sub(1, HEAD)) -- one of the marks
  end
  for name, first, last in function() return first_of(values, bytes, start) end do
    made.add(bytes:sub(start, first - 1), name)
    start = last + 1
  end
  made.add(bytes:sub(start))
end

local function form_text(made)
  local same, values = {}, {}
  for i, number in ipairs(made.same) do same[i] = number == 0 and "false" or ("t[%d]"):format(number) end
  for i = 1, #made.same do
    local what = made.values[i]
    if what then values[#values + 1] = ("[%d] = %s"):format(i, math.type(what) and what or ("%q"):format(what)) end
  end
  return ("{\n  same = { %s },\n  values = { %s },\n}"):format(table.concat(same, ", "), table.concat(values, ", "))
end

local function forms_text()
  local texts, forms = {}, {}
  each_description(function(d)
    local values, made = form.values(d), new_form(texts)
    for _, message in ipairs((nft.compile(firewall.anew(d, true)))) do add_message(made, message:tobytes(), values) end
    forms[#forms + 1] = ("M[%q] = %s\n"):format(form.shape(d, values), form_text(made))
  end)
  for i, text in ipairs(texts) do texts[i] = ("%q,\n"):format(text) end
  return ("local t = {\n%s}\nlocal M = {}\n%sreturn M\n"):format(table.concat(texts), table.concat(forms))
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
