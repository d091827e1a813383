-- SPDX-License-Identifier: MIT
-- netns.firewall_form: the transactions of usual firewalls, which were written out when the program was built
--
-- A container with one wire or one bridge has the same messages as any other such container, but for names, addresses and
-- the rules of what it publishes and may reach; and these are alike, too. The build compiles them once
-- (runtime/embed/firewalls.lua), and keeps the bytes between what differs. To compile them again took longer than the kernel
-- takes to do what they say. What is anything else, no form is kept of.

local S = require "syscall"
local bridges = require "netns.firewall_bridge"
local check = require "netns.check"
local nl = require "netns"
local parts = require "netns.firewall_parts"

local M = {}

local NAME_SIZE = 16 -- IFNAMSIZ: a name in a register

local function padded(text, size) return text .. ("\0"):rep(size - #text) end

local function attribute(type, value) return padded(("=I2I2"):pack(4 + #value, type) .. value, 4 + (#value + 3) // 4 * 4) end

--- The bytes of what a description (netns.firewall_tables.tables) names, by what it is; nil where its messages hold more of
-- them, or anything else.
function M.values(d)
  local link = d.links[1]
  if #d.links ~= 1 or d.egress.host or link.ifb or link.near or link.behind and link.behind[1] then return nil end
  local values = { table = attribute(S.c.NFTA.TABLE_NAME, d.table .. "\0"), link = link.link, mac = check.mac(link.mac, "'mac'"),
    bridge = link.bridge and padded(link.bridge, NAME_SIZE) }
  for _, address in ipairs(link.addresses) do
    local ip = check.parse_ip(address)
    if not ip or values[ip.family] then return nil end
    values[ip.family] = ip.bytes
    if link.isolated then values[ip.family .. "_mark"] = ("=I4"):pack(bridges.mark(link, ip.family)) end
  end
  if values.inet6 then values.link_local = parts.link_local_bytes(values.mac) end
  return values
end

--- What else the messages depend on, as one text. values: the description's; rules: as of netns.firewall_tables.varied.
function M.shape(d, values, rules)
  local egress = d.egress
  local words = { #values.link }
  local function add(word, is_so)
    if is_so then words[#words + 1] = word end
  end
  add("inet", values.inet)
  add("inet6", values.inet6)
  add("bridge", values.bridge)
  add("isolated", d.links[1].isolated)
  add("nat", d.links[1].nat)
  add("open", egress.open)
  add("internet", egress.internet)
  add("log", egress.log)
  add("output", rules["output publish"])
  add("prerouting", rules["prerouting publish"])
  return table.concat(words, " ")
end

-- ---- rules of entries: each has a key, what its form is called, and values of its own, put into `values` ----

local function put_port(values, name, port)
  if math.type(port) ~= "integer" then return nil end
  values[name] = (">I2"):pack(port)
  return true
end

local function put_comment(values, text)
  values.comment = attribute(S.c.NFTA.RULE_USERDATA, require("netns.nft").comment_data(text))
end

-- A published port.
local function publish_key(place, p, d, values)
  local to = check.parse_ip(p.to)
  local address = p.address and check.parse_ip(p.address)
  if not to or values[to.family] ~= to.bytes or p.address and not address or d.links[1].bridge then return nil end
  if not p.why or p.aside then return nil end
  values.address = address and address.bytes
  put_comment(values, p.why)
  if not (put_port(values, "port", p.port) and put_port(values, "to_port", p.to_port)) then return nil end
  return ("%s %s %s %s"):format(place, to.family, p.proto, address and "address" or "any")
end

-- The first address of a network, and the first after it.
local function bounds(network)
  local low, after, last, width = {}, {}, (network.prefix + 7) // 8, #network.bytes
  for i = 1, width do
    local bits = math.max(0, math.min(8, network.prefix - 8 * (i - 1)))
    low[i] = network.bytes:byte(i) & 0xff << 8 - bits & 0xff
    after[i] = low[i]
  end
  local carry = 1 << 8 * last - network.prefix
  for i = last, 1, -1 do
    after[i] = after[i] + carry
    carry, after[i] = after[i] >> 8, after[i] & 0xff
  end
  return string.char(table.unpack(low)), string.char(table.unpack(after))
end

-- Its answers; between the loopback and the container's network in the order of their addresses.
local function hairpin_key(place, p, d, values)
  local family, network = check.parse_ip(p.to).family, nil
  for _, cidr in ipairs(d.links[1].subnets or {}) do
    local ip = check.parse_cidr(cidr)
    if ip.family == family and network then return nil end
    network = ip.family == family and ip or network
  end
  local first = network and network.bytes:byte()
  -- Others meet the loopback, or are one address.
  if not network or first < 2 or first > 0xfd or first >= 0x7e and first <= 0x80 and family == "inet"
    or network.prefix < 8 or network.prefix >= #network.bytes * 8 then return nil end
  values.low, values.after = bounds(network)
  return ("%s %s %s"):format(place, family, family == "inet" and first > 0x7f and "after" or "before")
end

-- One address that may be reached.
local function one_key(place, entry, _, values)
  local ip = check.parse_cidr(entry.cidr)
  if not entry.why then return nil end
  values.one = ip.bytes
  put_comment(values, entry.why)
  if entry.port and not put_port(values, "port", entry.port) then return nil end
  return ("%s %s %s %s"):format(place, ip.family, entry.proto or "any", entry.port and "port" or "all")
end

local KEYS = { publish = publish_key, hairpin = hairpin_key, one = one_key }

--- The key of a rule at a place (netns.firewall_tables.varied), whose values are put into `values`; nil where there is none.
function M.key(place, rule, d, values) return KEYS[rule.slot](place, rule.of, d, values) end

-- ---- filling ----

local function append_rules(bytes, rules, place, d, values, forms)
  for _, rule in ipairs(rules[place] or {}) do
    local key = M.key(place, rule, d, values)
    local list = key and forms.rules[key]
    if not list then return nil end
    bytes[#bytes + 1] = nl.fill(list, values)
  end
  return true
end

--- The messages that make a description's tables where none of the name is, as socket:batch takes them; nil where the build
-- kept no form of them. rules: netns.firewall_tables.varied of it.
function M.bytes(d, rules)
  local values, forms = M.values(d), require "netns.firewall_forms"
  local list = values and rules and forms.shapes[M.shape(d, values, rules)]
  if not list then return nil end
  local bytes = {}
  values.sets = 0
  -- Messages, the place of rules, messages…
  for _, one in ipairs(list) do
    if type(one) == "table" then
      bytes[#bytes + 1] = nl.fill(one, values)
    elseif not append_rules(bytes, rules, one, d, values, forms) then
      return nil
    end
  end
  return bytes[2] and table.concat(bytes) or bytes[1]
end

return M
