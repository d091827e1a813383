-- SPDX-License-Identifier: MIT
-- netns.firewall_form: the transactions of usual firewalls, which were written out when the program was built
--
-- A container with one wire or one bridge, whose rules name nobody but itself, has the same messages as any other such
-- container, but for names and addresses. The build compiles them once (runtime/embed/firewalls.lua), and keeps the bytes
-- between these. To compile them again took twice as long as the kernel takes to do what they say.

local S = require "syscall"
local check = require "netns.check"

local M = {}

local NAME_SIZE = 16 -- IFNAMSIZ: a name in a register

local function padded(text, size) return text .. ("\0"):rep(size - #text) end

-- The attribute that says in each message which table it is about.
local function table_attribute(name)
  return padded(("=I2I2"):pack(4 + #name + 1, S.c.NFTA.TABLE_NAME) .. name, 4 + (#name + 4) // 4 * 4)
end

-- The address that IPv6 makes of an Ethernet address (netns.firewall.link_local), as bytes.
local function link_local(mac)
  local a, b, c, d, e, f = mac:byte(1, 6)
  return string.char(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ~ 2, b, c, 0xff, 0xfe, d, e, f)
end

--- The bytes of what a description (netns.firewall.tables) names, by what it is; nil where its messages hold more of them, or
-- anything else.
function M.values(d)
  local link, egress = d.links[1], d.egress
  if #d.links ~= 1 or d.publish[1] or egress.allow[1] or egress.host[1] or link.ifb
    or link.behind and link.behind[1] then
    return nil
  end
  local values = { table = table_attribute(d.table), link = link.link, mac = check.mac(link.mac, "'mac'"),
    bridge = link.bridge and padded(link.bridge, NAME_SIZE) }
  for _, address in ipairs(link.addresses) do
    local ip = check.parse_ip(address)
    if not ip or values[ip.family] then return nil end
    values[ip.family] = ip.bytes
  end
  if values.inet6 then values.link_local = link_local(values.mac) end
  return values
end

--- What else the messages depend on, as one text. values: the description's.
function M.shape(d, values)
  local egress = d.egress
  local words = { #values.link }
  local function add(word, is_so)
    if is_so then words[#words + 1] = word end
  end
  add("inet", values.inet)
  add("inet6", values.inet6)
  add("bridge", values.bridge)
  add("nat", d.links[1].nat)
  add("open", egress.open)
  add("internet", egress.internet)
  add("log", egress.log)
  return table.concat(words, " ")
end

local LENGTH = "=I4" -- the first field of struct nlmsghdr

--- The messages that make a description's tables where none of the name is, as socket:batch takes them; nil where the build
-- kept no form of them: a list of what is the same for all, and by the places between the name of a value, or a message's
-- length but for that of the table's name.
function M.bytes(d)
  local values = M.values(d)
  local form = values and require("netns.firewall_forms")[M.shape(d, values)]
  if not form then return nil end
  local parts, length = table.move(form.same, 1, #form.same, 1, {}), #values.table
  for i, what in next, form.values do parts[i] = values[what] or LENGTH:pack(what + length) end
  return table.concat(parts)
end

return M
