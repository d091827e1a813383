-- SPDX-License-Identifier: MIT
-- netns.nft_statements: what a rule does with a packet, verdicts apart: each as its expressions.
--
-- A function gets the compiler (netns.nft_rule) and the statement, a list with named fields.

local S = require "syscall"
local fields = require "netns.nft_fields"
local types = require "netns.nft_types"

local NFT, RANGE, NFPROTO = S.c.NFT, S.c.NF_NAT_RANGE, S.c.NFPROTO

local M = {}

local REG = NFT.REG32_00
local PORT_REG = REG + 4 -- an address has four registers at most

-- Named fields of a statement that nobody knows are mistakes.
local function check(statement, words, names)
  for key in pairs(statement) do
    local known = math.type(key) and key <= words + 1
    for name in names:gmatch "%g+" do known = known or key == name end
    if not known then error(("no such field '%s' (it takes: %s)"):format(tostring(key), names), 0) end
  end
end

-- ---- counting and telling ----

--- "counter", or { "counter", NAME } of the table's counters.
function M.counter(compiler, statement)
  check(statement, 1, "")
  if statement[2] then
    compiler:add { kind = "objref", type = NFT.OBJECT_COUNTER, name = statement[2] }
  else
    compiler:add { kind = "counter", packets = 0, bytes = 0 }
  end
end

local UNITS = { second = 1, minute = 60, hour = 3600, day = 86400, week = 604800 }

-- { "limit", rate = 10, per = "second", burst = 5, bytes = true, over = true }
local function limit_of(statement)
  check(statement, 0, "rate per burst bytes over")
  local unit = UNITS[statement.per or "second"]
  if not unit then error("per is one of second, minute, hour, day, week", 0) end
  if math.type(statement.rate) ~= "integer" or statement.rate < 1 then error("rate is a number from 1 on", 0) end
  return { kind = "limit", rate = statement.rate, unit = unit, burst = statement.burst or (statement.bytes and 0 or 5),
    type = statement.bytes and NFT.LIMIT_PKT_BYTES or NFT.LIMIT_PKTS, flags = statement.over and NFT.LIMIT_F_INV or 0 }
end

--- The rule goes on for so many packets (bytes) a time; over: for those beyond.
function M.limit(compiler, statement) compiler:add(limit_of(statement)) end

local LEVELS = { emerg = 0, alert = 1, crit = 2, err = 3, warn = 4, notice = 5, info = 6, debug = 7 }

--- { "log", prefix = "…", level = "info" } or group = for a reader of nfnetlink, with snaplen = bytes of the packet.
function M.log(compiler, statement)
  check(statement, 0, "prefix level group snaplen")
  local level = statement.level and (LEVELS[statement.level] or error("no log level '" .. statement.level .. "'", 0))
  compiler:add { kind = "log", prefix = statement.prefix, level = level, group = statement.group,
    snaplen = statement.snaplen }
end

--- The connection is not tracked.
function M.notrack(compiler, statement)
  check(statement, 0, "")
  compiler:add { kind = "notrack" }
end

--- { "fwd", LINK }: the packet goes out by another link instead, or into an ifb, which brings it back. Tables of netdev.
function M.fwd(compiler, statement)
  check(statement, 1, "")
  compiler.is_own = true -- the number is that of a link of today
  compiler:add { kind = "immediate", dreg = REG, data = ("=I4"):pack(compiler.index_of(statement[2])) }
  compiler:add { kind = "fwd", dev = REG }
end

-- ---- refusing ----

-- The codes of each table's ICMP.
local ICMP = { ["net-unreachable"] = 0, ["host-unreachable"] = 1, ["proto-unreachable"] = 2, ["port-unreachable"] = 3,
  ["admin-prohibited"] = 13 }
local ICMPV6 = { ["no-route"] = 0, ["admin-prohibited"] = 1, ["addr-unreachable"] = 3, ["port-unreachable"] = 4 }
local ICMPX = { ["no-route"] = NFT.REJECT_ICMPX_NO_ROUTE, ["port-unreachable"] = NFT.REJECT_ICMPX_PORT_UNREACH,
  ["host-unreachable"] = NFT.REJECT_ICMPX_HOST_UNREACH, ["admin-prohibited"] = NFT.REJECT_ICMPX_ADMIN_PROHIBITED }

--- "reject" (port-unreachable), or with "admin-prohibited", "host-unreachable", "no-route", "tcp reset"…
function M.reject(compiler, statement)
  check(statement, 1, "")
  local how = statement[2] or "port-unreachable"
  if how == "tcp reset" then
    compiler:need_l4 "tcp"
    return compiler:add { kind = "reject", type = NFT.REJECT_TCP_RST, code = 0 }
  end
  local codes = compiler.family == "ip" and ICMP or compiler.family == "ip6" and ICMPV6 or ICMPX
  compiler:add { kind = "reject", type = codes == ICMPX and NFT.REJECT_ICMPX_UNREACH or NFT.REJECT_ICMP_UNREACH,
    code = codes[how] or error("no reject '" .. how .. "'", 0) }
end

-- ---- changing ----

-- Loads a value, what another field has ({ FIELD }), or a map has for it ({ FIELD, "@MAP" }), into a register.
local function load_value(compiler, value, type, register)
  if _G.type(value) ~= "table" then
    return compiler:add { kind = "immediate", dreg = register, data = type.parse(value) }
  end
  local list = fields.list(value[1])
  if not value[2] then
    if list[2] or list[1].type.size ~= type.size then error(value[1] .. " does not fit", 0) end
    return compiler:load_all(list)
  end
  local set, id = compiler:set(value[2], list, { type })
  compiler:add { kind = "lookup", sreg = compiler:load_all(list), dreg = register, set = set, set_id = id }
end

--- { "set", FIELD, VALUE } for marks and other metadata, and for addresses of the packet; VALUE may be { FIELD }
--- or { FIELD, "@MAP" }.
function M.set(compiler, statement)
  check(statement, 2, "")
  local field = fields.get(statement[2])
  local kind, change = field.load.kind, { sreg = REG }
  if kind ~= "meta" and kind ~= "ct" and not field.sums then error(statement[2] .. " cannot be set", 0) end
  compiler:need(field)
  load_value(compiler, statement[3], field.type, REG)
  for _, given in ipairs { field.load, field.sums } do
    for key, value in pairs(given) do change[key] = value end
  end
  compiler:add(change)
end

local function flags_of(statement)
  local flags = (statement.random and RANGE.PROTO_RANDOM or 0) | (statement.persistent and RANGE.PERSISTENT or 0)
    | (statement.fully_random and RANGE.PROTO_RANDOM_FULLY or 0)
  return flags ~= 0 and flags or nil
end

-- A port, or a range of them, in PORT_REG and the next; what masquerade and redirect have as well.
local function load_ports(compiler, port, expression)
  if port == nil then return end
  local low, high = types.range(types.get "inet_service", port)
  compiler:add { kind = "immediate", dreg = PORT_REG, data = low }
  expression.proto_min = PORT_REG
  if high ~= low then
    compiler:add { kind = "immediate", dreg = PORT_REG + 1, data = high }
    expression.proto_max = PORT_REG + 1
  end
end

local FLAGS = "random fully_random persistent"

-- { "dnat", "10.0.0.2", 80 }: address, port, each one or a range; or { "dnat", { FIELD, "@MAP" }, family = "ip" }.
local function nat(compiler, statement, type)
  check(statement, 2, FLAGS .. " family")
  local address, port = statement[2], statement[3]
  local family = statement.family or (tostring(address):find(":", 1, true) and "ip6" or "ip")
  if family ~= "ip" and family ~= "ip6" then error("family is ip or ip6", 0) end
  compiler:need_l3(family)
  local expression = { kind = "nat", type = type, family = family == "ip" and NFPROTO.IPV4 or NFPROTO.IPV6,
    addr_min = REG }
  local address_type = types.get(family == "ip" and "ipv4_addr" or "ipv6_addr")
  if _G.type(address) == "table" then
    load_value(compiler, address, address_type, REG)
  else
    local low, high = types.range(address_type, address)
    compiler:add { kind = "immediate", dreg = REG, data = low }
    if high ~= low then
      compiler:add { kind = "immediate", dreg = REG + 8, data = high }
      expression.addr_max = REG + 8
    end
  end
  load_ports(compiler, port, expression)
  expression.flags = flags_of(statement)
  compiler:add(expression)
end

function M.snat(compiler, statement) nat(compiler, statement, NFT.NAT_SNAT) end
function M.dnat(compiler, statement) nat(compiler, statement, NFT.NAT_DNAT) end

-- { "masquerade", "1024-65535", random = true }: the ports may be left out.
local function to_own_address(kind)
  return function(compiler, statement)
    check(statement, 1, FLAGS)
    local expression = { kind = kind }
    load_ports(compiler, statement[2], expression)
    expression.flags = flags_of(statement)
    compiler:add(expression)
  end
end

M.masquerade = to_own_address "masq"
M.redirect = to_own_address "redir"

-- ---- sets ----

local DYNSET = { add = NFT.DYNSET_OP_ADD, update = NFT.DYNSET_OP_UPDATE, delete = NFT.DYNSET_OP_DELETE }

-- { "add", "@SET", "ip daddr . tcp dport", timeout = seconds, counter = true, limit = { rate = … } }
for word, op in pairs(DYNSET) do
  M[word] = function(compiler, statement)
    check(statement, 2, "timeout counter limit")
    local list = fields.list(statement[3])
    local set, id = compiler:set(statement[2], list)
    compiler:load_all(list)
    local inner = statement.limit and limit_of(statement.limit)
      or statement.counter and { kind = "counter", packets = 0, bytes = 0 } or nil
    compiler:add { kind = "dynset", set = set, set_id = id, op = op, sreg = REG, expr = inner,
      timeout = statement.timeout and math.floor(statement.timeout * 1000) or nil }
  end
end

--- { "vmap", FIELD, "@MAP" }, or a list of { value, verdict } for the map: the verdict that the map has for the field.
function M.vmap(compiler, statement)
  check(statement, 2, "")
  local list = fields.list(statement[2])
  compiler:load_all(list)
  local set, id = compiler:set(statement[3], list, "verdict")
  compiler:add { kind = "lookup", sreg = REG, dreg = NFT.REG_VERDICT, set = set, set_id = id }
end

return M
