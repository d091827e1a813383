-- SPDX-License-Identifier: MIT
-- netns.nft_expr: the kernel's expressions, as tables and as attributes of a message.
--
-- { kind = "cmp", sreg = 8, op = 0, data = bytes } becomes what libnftnl would send for it.

local S = require "syscall"

local A, NFT = S.c.NFTA, S.c.NFT

local pack = string.pack

local M = {}

-- The attributes of each kind: field, number, form. Values are 32 bits in network order unless the form says otherwise.
local LAYOUT = {
  meta = { { "dreg", A.META_DREG }, { "key", A.META_KEY }, { "sreg", A.META_SREG } },
  ct = { { "dreg", A.CT_DREG }, { "key", A.CT_KEY }, { "direction", A.CT_DIRECTION, "u8" }, { "sreg", A.CT_SREG } },
  payload = { { "dreg", A.PAYLOAD_DREG }, { "base", A.PAYLOAD_BASE }, { "offset", A.PAYLOAD_OFFSET },
    { "len", A.PAYLOAD_LEN }, { "sreg", A.PAYLOAD_SREG }, { "csum_type", A.PAYLOAD_CSUM_TYPE },
    { "csum_offset", A.PAYLOAD_CSUM_OFFSET }, { "csum_flags", A.PAYLOAD_CSUM_FLAGS } },
  exthdr = { { "dreg", A.EXTHDR_DREG }, { "type", A.EXTHDR_TYPE, "u8" }, { "offset", A.EXTHDR_OFFSET },
    { "len", A.EXTHDR_LEN }, { "flags", A.EXTHDR_FLAGS }, { "op", A.EXTHDR_OP } },
  fib = { { "dreg", A.FIB_DREG }, { "result", A.FIB_RESULT }, { "flags", A.FIB_FLAGS } },
  cmp = { { "sreg", A.CMP_SREG }, { "op", A.CMP_OP }, { "data", A.CMP_DATA, "data" } },
  range = { { "sreg", A.RANGE_SREG }, { "op", A.RANGE_OP }, { "from", A.RANGE_FROM_DATA, "data" },
    { "to", A.RANGE_TO_DATA, "data" } },
  bitwise = { { "sreg", A.BITWISE_SREG }, { "dreg", A.BITWISE_DREG }, { "len", A.BITWISE_LEN },
    { "mask", A.BITWISE_MASK, "data" }, { "xor", A.BITWISE_XOR, "data" } },
  byteorder = { { "sreg", A.BYTEORDER_SREG }, { "dreg", A.BYTEORDER_DREG }, { "op", A.BYTEORDER_OP },
    { "len", A.BYTEORDER_LEN }, { "size", A.BYTEORDER_SIZE } },
  lookup = { { "sreg", A.LOOKUP_SREG }, { "dreg", A.LOOKUP_DREG }, { "set", A.LOOKUP_SET, "string" },
    { "set_id", A.LOOKUP_SET_ID }, { "flags", A.LOOKUP_FLAGS } },
  immediate = { { "dreg", A.IMMEDIATE_DREG }, { "data", A.IMMEDIATE_DATA, "data" },
    { "verdict", A.IMMEDIATE_DATA, "verdict" } },
  dynset = { { "set", A.DYNSET_SET_NAME, "string" }, { "set_id", A.DYNSET_SET_ID }, { "op", A.DYNSET_OP },
    { "sreg", A.DYNSET_SREG_KEY }, { "timeout", A.DYNSET_TIMEOUT, "be64" }, { "expr", A.DYNSET_EXPR, "expr" } },
  counter = { { "packets", A.COUNTER_PACKETS, "be64" }, { "bytes", A.COUNTER_BYTES, "be64" } },
  objref = { { "type", A.OBJREF_IMM_TYPE }, { "name", A.OBJREF_IMM_NAME, "string" } },
  limit = { { "rate", A.LIMIT_RATE, "be64" }, { "unit", A.LIMIT_UNIT, "be64" }, { "burst", A.LIMIT_BURST },
    { "type", A.LIMIT_TYPE }, { "flags", A.LIMIT_FLAGS } },
  log = { { "group", A.LOG_GROUP, "be16" }, { "prefix", A.LOG_PREFIX, "string" }, { "snaplen", A.LOG_SNAPLEN },
    { "level", A.LOG_LEVEL } },
  reject = { { "type", A.REJECT_TYPE }, { "code", A.REJECT_ICMP_CODE, "u8" } },
  nat = { { "type", A.NAT_TYPE }, { "family", A.NAT_FAMILY }, { "addr_min", A.NAT_REG_ADDR_MIN },
    { "addr_max", A.NAT_REG_ADDR_MAX }, { "proto_min", A.NAT_REG_PROTO_MIN }, { "proto_max", A.NAT_REG_PROTO_MAX },
    { "flags", A.NAT_FLAGS } },
  masq = { { "flags", A.MASQ_FLAGS }, { "proto_min", A.MASQ_REG_PROTO_MIN }, { "proto_max", A.MASQ_REG_PROTO_MAX } },
  redir = { { "proto_min", A.REDIR_REG_PROTO_MIN }, { "proto_max", A.REDIR_REG_PROTO_MAX },
    { "flags", A.REDIR_FLAGS } },
  fwd = { { "dev", A.FWD_SREG_DEV } },
  notrack = {},
}

local VERDICTS = { accept = S.c.NF.ACCEPT, drop = S.c.NF.DROP, continue = NFT.CONTINUE, ["return"] = NFT.RETURN,
  jump = NFT.JUMP, ["goto"] = NFT.GOTO }

--- "accept", "jump CHAIN"… as { code =, chain = }; nil for anything else.
function M.verdict(text)
  if type(text) ~= "string" then return nil end
  local word, chain = text:match "^(%l+) (%S+)$"
  if word == "jump" or word == "goto" then
    return { code = VERDICTS[word], chain = chain }
  end
  return text ~= "jump" and text ~= "goto" and VERDICTS[text] and { code = VERDICTS[text] } or nil
end

local TEXTS = {}
for word, code in pairs(VERDICTS) do TEXTS[code & 0xffffffff] = word end

--- The text of a verdict's code and chain.
function M.verdict_text(code, chain)
  local word = TEXTS[code & 0xffffffff] or tostring(code)
  return chain and word .. " " .. chain or word
end

--- Puts nft_data: the nest `attribute` around a value or a verdict.
function M.put_data(m, attribute, bytes, verdict)
  m:nest(attribute)
  if verdict then
    m:nest(A.DATA_VERDICT):be32(A.VERDICT_CODE, verdict.code)
    if verdict.chain then m:string(A.VERDICT_CHAIN, verdict.chain) end
    m:done()
  else
    m:bytes(A.DATA_VALUE, bytes)
  end
  m:done()
end

-- ---- as bytes ----

-- Not put into a message one by one: of what many rules have in common the bytes are kept (netns.nft_rule).

local NESTED = 0x8000 -- NLA_F_NESTED
local PAD = { [0] = "", "\0\0\0", "\0\0", "\0" }

-- An attribute: length, type, value, up to a multiple of four.
local function attribute(type, value)
  return pack("=I2I2", #value + 4, type) .. value .. PAD[#value & 3]
end

local function nest(type, content) return attribute(type | NESTED, content) end

local function data_bytes(value) return attribute(A.DATA_VALUE, value) end

local function verdict_bytes(verdict)
  local inner = attribute(A.VERDICT_CODE, pack(">i4", verdict.code))
  if verdict.chain then inner = inner .. attribute(A.VERDICT_CHAIN, verdict.chain .. "\0") end
  return nest(A.DATA_VERDICT, inner)
end

local bytes_of -- of an expression

local FORMS = {
  u8 = function(type, value) return attribute(type, pack("B", value)) end,
  be16 = function(type, value) return attribute(type, pack(">I2", value)) end,
  be64 = function(type, value) return attribute(type, pack(">i8", value)) end,
  string = function(type, value) return attribute(type, value .. "\0") end,
  data = function(type, value) return nest(type, data_bytes(value)) end,
  verdict = function(type, value) return nest(type, verdict_bytes(value)) end,
  expr = function(type, value) return nest(type, bytes_of(value)) end,
}

function bytes_of(expression)
  local parts = {}
  for _, field in ipairs(LAYOUT[expression.kind]) do
    local value, form = expression[field[1]], field[3]
    if value ~= nil then
      parts[#parts + 1] = form and FORMS[form](field[2], value) or pack("=I2I2", 8, field[2]) .. pack(">I4", value & 0xffffffff)
    end
  end
  return attribute(A.EXPR_NAME, expression.kind .. "\0") .. nest(A.EXPR_DATA, table.concat(parts))
end

--- An expression as what is in a nest around it.
M.bytes = bytes_of

local function element(expression) return nest(A.LIST_ELEM, bytes_of(expression)) end

-- What stands before the bytes of a cmp's value, by its width and operator: most of a rule are comparisons.
local before = {}

local function compare(expression)
  local data = expression.data
  local key = expression.sreg << 16 | expression.op << 8 | #data
  local first = before[key]
  if not first then
    first = element(expression):sub(1, -1 - (#data + 3 & ~3))
    before[key] = first
  end
  return first .. data .. PAD[#data & 3]
end

--- An expression as an element of a list of them.
function M.element(expression) return expression.kind == "cmp" and compare(expression) or element(expression) end

--- A list of them, bytes of M.element among them, as what is in a list's nest.
function M.list_bytes(expressions)
  local parts = {}
  for i, one in ipairs(expressions) do parts[i] = type(one) == "string" and one or M.element(one) end
  return table.concat(parts)
end

return M
