-- SPDX-License-Identifier: MIT
-- netns.nft_rule: a rule, as one writes it, as the kernel's expressions.
--
-- A rule is a list of statements, each a word or a list whose first item says what it is:
--
--   { { "iifname", "veth0" }, { "ip daddr", "!=", "10.0.0.0/8" }, { "tcp dport", { 80, 443 } }, "counter", "accept" }
--
-- A match is { FIELD, VALUE }, { FIELD, OPERATOR, VALUE } or { FIELD, "&", MASK, OPERATOR, VALUE }; a value is one, a range
-- ("1000-2000", "10.0.0.0/8"), a list of them, or "@SET"; a field may be several, "ip daddr . tcp dport", with values
-- "10.0.0.1 . 80". What a field cannot be without (ip, tcp) is checked first, as nft(8) does it. `comment` of the rule
-- is kept by the kernel.

local S = require "syscall"
local expr = require "netns.nft_expr"
local fields = require "netns.nft_fields"
local statements = require "netns.nft_statements"
local types = require "netns.nft_types"

local NFT = S.c.NFT
local concat, next, type_of = table.concat, next, type

local M = {}

local REG = NFT.REG32_00 -- sixteen registers of 4 bytes from here on

local ARPHRD_ETHER = 1 -- linux/if_arp.h

local OPS = { ["=="] = NFT.CMP_EQ, ["!="] = NFT.CMP_NEQ, ["<"] = NFT.CMP_LT, ["<="] = NFT.CMP_LTE, [">"] = NFT.CMP_GT,
  [">="] = NFT.CMP_GTE }

local Compiler = {}
Compiler.__index = Compiler

function Compiler:add(expression) self.list[#self.list + 1] = expression end

-- ---- what a field needs ----

local NFPROTO = { ip = S.c.NFPROTO.IPV4, ip6 = S.c.NFPROTO.IPV6 }
local FIXED = { ip = "ip", ip6 = "ip6", arp = "arp" } -- a table of these sees nothing else

function Compiler:need_l3(l3)
  if not l3 or self.l3 == l3 then return end
  if self.l3 then error(("a packet is never both %s and %s"):format(self.l3, l3), 0) end
  local field = self.family == "inet" and "meta nfproto" or "meta protocol"
  if self.family == "inet" and not NFPROTO[l3] then error("inet tables see no " .. l3, 0) end
  local type = fields.get(field).type
  local value = type.parse(field == "meta protocol" and l3 or l3 == "ip" and "ipv4" or "ipv6")
  self:load(fields.get(field), REG)
  self:add { kind = "cmp", sreg = REG, op = NFT.CMP_EQ, data = value }
  self.l3 = l3
end

function Compiler:need_l4(l4)
  if not l4 or self.l4 == l4 then return end
  if self.l4 then error(("a packet is never both %s and %s"):format(self.l4, l4), 0) end
  self:load(fields.get "meta l4proto", REG)
  self:add { kind = "cmp", sreg = REG, op = NFT.CMP_EQ, data = types.get("inet_proto").parse(l4) }
  self.l4 = l4
end

-- Links without Ethernet's header have no addresses of it; the ports of a bridge all have it.
function Compiler:need_ether()
  if self.ether or self.family == "bridge" then return end
  local field = fields.get "meta iiftype"
  self:load(field, REG)
  self:add { kind = "cmp", sreg = REG, op = NFT.CMP_EQ, data = field.type.parse(ARPHRD_ETHER) }
  self.ether = true
end

function Compiler:need(field)
  if field.l2 then self:need_ether() end
  self:need_l3(field.l3)
  self:need_l4(field.l4)
end

-- What the rule has said itself by now.
function Compiler:learn(field, bytes)
  local name, value = field.name, field.type.format(bytes)
  if name == "meta nfproto" then
    self.l3 = value == "ipv4" and "ip" or "ip6"
  elseif name == "meta protocol" or name == "ether type" then
    self.l3 = type_of(value) == "string" and value or self.l3
  elseif name == "meta l4proto" or name == "ip protocol" then
    self.l4 = type_of(value) == "string" and value or self.l4
  end
end

-- ---- loading and comparing ----

local function load_of(field, register, len)
  local expression = { dreg = register }
  for key, value in pairs(field.load) do expression[key] = value end
  expression.len = len or expression.len
  return expression
end

function Compiler:load(field, register)
  if register ~= REG then return self:add(load_of(field, register)) end
  field.loaded = field.loaded or expr.element(load_of(field, REG))
  self:add(field.loaded)
end

--- Loads the fields one after the other; returns the register of the first.
function Compiler:load_all(list)
  for _, field in ipairs(list) do self:need(field) end
  local register = REG
  for _, field in ipairs(list) do
    self:load(field, register)
    register = register + (field.type.size + 3) // 4
  end
  if register > REG + 16 then error("these fields together have more than 64 bytes", 0) end
  return REG
end

function Compiler:cmp(op, data) self:add { kind = "cmp", sreg = REG, op = op, data = data } end

function Compiler:mask(mask, xor)
  self:add { kind = "bitwise", sreg = REG, dreg = REG, len = #mask, mask = mask, xor = xor or ("\0"):rep(#mask) }
end

-- Bytes compare as numbers in network order only.
function Compiler:to_network(type)
  if not type.network then return type end
  self:add { kind = "byteorder", sreg = REG, dreg = REG, op = NFT.BYTEORDER_HTON, len = type.size, size = type.size }
  return type.network
end

function Compiler:match_prefix(field, op, low, length)
  local whole, rest = length // 8, length % 8
  if rest == 0 and whole > 0 and field.load.kind == "payload" then -- the leading bytes alone, as nft does it
    self.list[#self.list] = load_of(field, REG, whole)
    self:cmp(op, low:sub(1, whole))
  else
    local mask = ("\255"):rep(whole) .. (rest > 0 and string.char(0xff << 8 - rest & 0xff) or "")
    self:mask(mask .. ("\0"):rep(#low - #mask))
    self:cmp(op, low)
  end
end

function Compiler:match_value(field, op, value)
  local type = field.type
  local wild = type.name == "ifname" and tostring(value):match "^(.+)%*$"
  if wild then return self:cmp(op, wild) end
  if op ~= NFT.CMP_EQ and op ~= NFT.CMP_NEQ then
    return self:cmp(op, self:to_network(type).parse(value))
  end
  local network = type.network or type
  local low, high, length = types.range(network, value)
  if low == high then
    local bytes = type.parse(length and network.format(low) or value)
    self:cmp(op, bytes)
    if op == NFT.CMP_EQ then self:learn(field, bytes) end
  elseif length then
    self:match_prefix(field, op, low, length)
  else
    self:to_network(type)
    self:add { kind = "range", sreg = REG, op = op == NFT.CMP_EQ and NFT.RANGE_EQ or NFT.RANGE_NEQ, from = low, to = high }
  end
end

-- Any of the bits: { "ct state", { "established", "related" } }, as well as with one: a state has only one.
function Compiler:match_bits(field, op, names)
  self:mask(types.mask(field.type, names))
  self:cmp(op == NFT.CMP_EQ and NFT.CMP_NEQ or NFT.CMP_EQ, ("\0"):rep(field.type.size))
end

--- The name of a set and its number within the transaction; a list makes one without a name.
function Compiler:set(value, list, data_type)
  if type_of(value) == "string" then return value:match "^@(.+)$" or error("'" .. value .. "' is no @set", 0) end
  local key = {}
  for i, field in ipairs(list) do key[i] = field.type end
  self.is_own = true -- the set is one of this transaction's
  return self.anonymous(key, value, data_type)
end

function Compiler:match(list, op, value)
  local first = list[1]
  self:load_all(list)
  local is_list = type_of(value) == "table"
  if is_list or (type_of(value) == "string" and value:sub(1, 1) == "@") then
    if op ~= NFT.CMP_EQ and op ~= NFT.CMP_NEQ then error("a set is compared by == and != only", 0) end
    if is_list and first.type.bits and not list[2] then return self:match_bits(first, op, value) end
    local set, id = self:set(value, list)
    self:add { kind = "lookup", sreg = REG, set = set, set_id = id, flags = op == NFT.CMP_NEQ and NFT.LOOKUP_F_INV or nil }
  elseif list[2] then
    if op ~= NFT.CMP_EQ then error("several fields are compared by == only", 0) end
    local register, parts = REG, types.split(value, #list)
    for i, field in ipairs(list) do
      self:add { kind = "cmp", sreg = register, op = op, data = field.type.parse(parts[i]) }
      register = register + (field.type.size + 3) // 4
    end
  elseif first.type.bits and op ~= NFT.CMP_EQ or not first.type.bits then
    self:match_value(first, op, value)
  else
    self:match_bits(first, op, { value })
  end
end

function Compiler:match_statement(statement)
  local list, count = fields.list(statement[1]), #statement
  if count == 5 and statement[2] == "&" then
    if list[2] then error("only one field has a mask", 0) end
    local op, type = OPS[statement[4]], list[1].type
    if op ~= NFT.CMP_EQ and op ~= NFT.CMP_NEQ then error("a masked field is compared by == and != only", 0) end
    self:load_all(list)
    self:mask(type.parse(statement[3]))
    return self:cmp(op, type.parse(statement[5]))
  end
  local op = count == 3 and OPS[statement[2]] or count == 2 and NFT.CMP_EQ
  if not op then
    error("a match is { FIELD, VALUE }, { FIELD, OPERATOR, VALUE } or { FIELD, \"&\", MASK, OPERATOR, VALUE }", 0)
  end
  self:match(list, op, statement[count])
end

-- ---- all of it ----

local function statement_error(i, statement, message)
  local text = type_of(statement) == "table" and tostring(statement[1]) or tostring(statement)
  error(("statement %d (%s): %s"):format(i, text, message), 0)
end

local function compile_statement(compiler, statement)
  local word = type_of(statement) == "table" and statement[1] or statement
  local verdict = expr.verdict(type_of(statement) == "table" and statement[2] and type_of(statement[2]) == "string"
    and word .. " " .. statement[2] or word)
  if verdict then
    compiler:add { kind = "immediate", dreg = NFT.REG_VERDICT, verdict = verdict }
  elseif statements[word] then
    statements[word](compiler, type_of(statement) == "table" and statement or { word })
  elseif type_of(statement) == "table" then
    compiler:match_statement(statement)
  else
    error("no such statement", 0)
  end
end

-- ---- what many rules have in common ----

-- A statement's bytes, by the statement and by what the rule has said before it: the build learns them from firewalls
-- (runtime/embed/firewalls.lua). A container's rules are mostly the same as another's, and to read them again takes longer
-- than the kernel takes.
local known = require "netns.nft_known"

-- A statement as one text; nil for those with named fields, or with what is no text or number. The control characters
-- between the parts are in none of them, so that no two statements are one text.
local function text_of(statement)
  if type_of(statement) ~= "table" then return type_of(statement) == "string" and not statement:find "%c" and statement or nil end
  local parts = {}
  for key, value in next, statement do
    local kind = type_of(value)
    if type_of(key) ~= "number" then return nil end
    if kind == "table" then
      value = text_of(value)
      if not value then return nil end
      value = "\3" .. value .. "\5"
    elseif kind == "number" then
      value = "\4" .. value
    elseif kind ~= "string" or value:find "%c" then
      return nil
    end
    parts[key] = value
  end
  return concat(parts, "\1")
end

local function compile_kept(compiler, statement, keeps)
  local text = text_of(statement)
  text = text and concat({ compiler.family, compiler.l3 or "", compiler.l4 or "", compiler.ether and "e" or "", text }, "\2")
  local kept = text and known[text]
  if kept then
    compiler.l3, compiler.l4, compiler.ether = kept.l3, kept.l4, kept.ether
    return kept.bytes
  end
  compiler.list, compiler.is_own = {}, nil
  compile_statement(compiler, statement)
  local bytes = expr.list_bytes(compiler.list)
  if keeps and text and not compiler.is_own then
    known[text] = { bytes = bytes, l3 = compiler.l3, l4 = compiler.l4, ether = compiler.ether }
  end
  return bytes
end

--- A rule as the bytes of its expressions. with: { anonymous = function(key types, elements, data type) that makes a set and
--- returns its name and number, index_of = function(name of a link), keeps = true: for later rules }. Raises the text of an
--- error.
---@param family string "inet", "ip", "ip6", "arp", "bridge", "netdev"
function M.compile(family, rule, with)
  local compiler = setmetatable({ family = family, l3 = FIXED[family], anonymous = with.anonymous,
    index_of = with.index_of }, Compiler)
  local parts = {}
  for i, statement in ipairs(rule) do
    local ok, bytes = pcall(compile_kept, compiler, statement, with.keeps)
    if not ok then statement_error(i, statement, bytes) end
    parts[i] = bytes
  end
  return concat(parts)
end

M.REG = REG

return M
