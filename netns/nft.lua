-- SPDX-License-Identifier: MIT
-- netns.nft: tables of nftables, each described as data and put in place by one transaction.
--
--   S.nl.nft { family = "inet", table = "luge-web",
--     counters = { "denied" },
--     sets = { blocked = { type = "ipv4_addr", elements = { "192.0.2.0/24" } } },
--     chains = { input = { hook = "input", priority = "filter", policy = "accept",
--       { { "ip saddr", "@blocked" }, { "counter", "denied" }, "drop", comment = "why" } } } }
--
-- A table is replaced whole: what of it was there is gone, and nobody ever sees a half. Rules: netns.nft_rule, sets:
-- netns.nft_set. Needs CAP_NET_ADMIN over the network namespace.

local S = require "syscall"
local check = require "netns.check"
local nl = require "netns"
local expr = require "netns.nft_expr"
local nft_rule = require "netns.nft_rule"
local nft_set = require "netns.nft_set"
local types = require "netns.nft_types"

local A, NFT, MSG, NFNL = S.c.NFTA, S.c.NFT, S.c.NFT_MSG, S.c.NFNL
local INET, NETDEV, ARP = S.c.NF_INET, S.c.NF_NETDEV, S.c.NF_ARP

local M = {}

local FAMILY = types.FAMILY

local IP_HOOKS = { prerouting = INET.PRE_ROUTING, input = INET.LOCAL_IN, forward = INET.FORWARD,
  output = INET.LOCAL_OUT, postrouting = INET.POST_ROUTING }
local HOOKS = { ip = IP_HOOKS, ip6 = IP_HOOKS, bridge = IP_HOOKS, arp = { input = ARP.IN, output = ARP.OUT },
  inet = setmetatable({ ingress = INET.INGRESS }, { __index = IP_HOOKS }),
  netdev = { ingress = NETDEV.INGRESS, egress = NETDEV.EGRESS } }

-- ---- a transaction ----

local Transaction = {}
Transaction.__index = Transaction

-- struct nfgenmsg: family, version, and a number that only the marks of a batch use.
local function message(type, flags, family, resource)
  return nl.message(type, flags, ("BB>I2"):pack(family, 0, resource or 0))
end

function Transaction:message(type, flags)
  local m = message(NFNL.SUBSYS_NFTABLES << 8 | type, flags, FAMILY[self.family])
  self.messages[#self.messages + 1], self.labels[#self.messages + 1] = m, self.label
  return m
end

function Transaction:next_id()
  self.id = self.id + 1
  return self.id
end

-- Runs f, whose mistakes are told with what is being made.
function Transaction:making(label, f, ...)
  self.label = ("table %s %s%s"):format(self.family, self.table, label)
  local ok, result = pcall(f, ...)
  if not ok then error(("%s: %s"):format(self.label, result), 0) end
  return result
end

-- ---- what is described ----

local KNOWN = { family = 1, table = 1, counters = 1, sets = 1, chains = 1, gone = 1, keep = 1, fresh = 1 }
local CHAIN = { hook = 1, priority = 1, policy = 1, type = 1, device = 1, devices = 1, comment = 1 }

local function check_fields(map, known, what)
  for key in pairs(map) do
    if not known[key] and not math.type(key) then
      error(("no such field '%s' of %s"):format(tostring(key), what), 0)
    end
  end
end

local function put_hook(m, family, chain)
  local hook = HOOKS[family][chain.hook] or error(("no hook '%s' in %s"):format(tostring(chain.hook), family), 0)
  local priority = types.priority(family, chain.priority)
  m:nest(A.CHAIN_HOOK):be32(A.HOOK_HOOKNUM, hook):be32(A.HOOK_PRIORITY, priority)
  if chain.device then m:string(A.HOOK_DEV, chain.device) end
  if chain.devices then
    m:nest(A.HOOK_DEVS)
    for _, device in ipairs(chain.devices) do m:string(A.DEVICE_NAME, device) end
    m:done()
  end
  m:done()
end

local function new_chain(t, name, chain)
  check_fields(chain, CHAIN, "a chain")
  local m = t:message(MSG.NEWCHAIN, "create")
  m:string(A.CHAIN_TABLE, t.table):string(A.CHAIN_NAME, name)
  if not chain.hook then return end
  put_hook(m, t.family, chain)
  local policy = expr.verdict(chain.policy or "accept")
  m:be32(A.CHAIN_POLICY, policy and policy.code or error("a policy is accept or drop", 0))
  m:string(A.CHAIN_TYPE, chain.type or "filter")
end

--- What nft(8) shows as a comment: entries of type, length, value.
function M.comment_data(text)
  text = check.string(text, "#1"):sub(1, 127) .. "\0"
  return ("BB"):pack(0, #text) .. text
end

-- What the compiler of rules asks a transaction for.
local function wishes(t, keeps)
  -- A list within a rule is a set without a name, made before it.
  local function anonymous(key, elements, data)
    local set = nft_set.fill({ types = key, data = data, anonymous = true }, elements)
    local id, name = t:next_id(), data and "__map%d" or "__set%d"
    nft_set.create(t, name, set, id)
    nft_set.elements(t, name, set, id)
    return name, id
  end
  local function index_of(name)
    local link, err = nl.link(name, t.namespace)
    return link and link.index or error(("link %s: %s"):format(name, tostring(err)), 0)
  end
  return { anonymous = anonymous, index_of = index_of, keeps = keeps }
end

local function new_rule(t, chain, rule)
  local expressions = nft_rule.compile(t.family, rule, t.with)
  local m = t:message(MSG.NEWRULE, "create, append")
  m:string(A.RULE_TABLE, t.table):string(A.RULE_CHAIN, chain):bytes(A.RULE_EXPRESSIONS, expressions)
  if rule.comment then m:bytes(A.RULE_USERDATA, M.comment_data(rule.comment)) end
end

local function new_counter(t, name)
  t:message(MSG.NEWOBJ, "create"):string(A.OBJ_TABLE, t.table):string(A.OBJ_NAME, name)
    :be32(A.OBJ_TYPE, NFT.OBJECT_COUNTER):nest(A.OBJ_DATA):be64(A.COUNTER_BYTES, 0):be64(A.COUNTER_PACKETS, 0):done()
end

local function new_table(t, flags)
  t:message(MSG.NEWTABLE, flags or "create"):string(A.TABLE_NAME, t.table):be32(A.TABLE_FLAGS, 0)
end

local function del_table(t) t:message(MSG.DELTABLE):string(A.TABLE_NAME, t.table) end

local function put_sets(t, sets)
  local read = {}
  for _, name in ipairs(check.sorted_keys(sets)) do
    local set = t:making(": set " .. name, nft_set.read, sets[name])
    set.id = t:next_id()
    nft_set.create(t, name, set, set.id)
    read[name] = set
  end
  return read
end

local function put_chains(t, chains)
  local names = check.sorted_keys(chains)
  for _, name in ipairs(names) do t:making(": chain " .. name, new_chain, t, name, chains[name]) end
  return names
end

local function put_table(t, description)
  t.family, t.table = description.family, description.table
  if not FAMILY[t.family] then error(("no family '%s' of tables"):format(tostring(t.family)), 0) end
  if type(t.table) ~= "string" then error("a table without a name", 0) end
  t:making("", check_fields, description, KNOWN, "a table")
  local adds = description.keep or description.fresh
  new_table(t, description.fresh and "create, excl")
  if not adds then del_table(t) end -- what is not there cannot be taken away, so it is made first
  if description.gone then return end
  if not adds then new_table(t) end
  for _, name in ipairs(description.counters or {}) do t:making(": counter " .. name, new_counter, t, name) end
  local sets = put_sets(t, description.sets)
  local names = put_chains(t, description.chains)
  for _, name in ipairs(check.sorted_keys(sets)) do
    t:making(": elements of set " .. name, nft_set.elements, t, name, sets[name], sets[name].id)
  end
  for _, name in ipairs(names) do
    for i, rule in ipairs(description.chains[name]) do
      t:making((": chain %s: rule %d"):format(name, i), new_rule, t, name, rule)
    end
  end
end

--- The messages of a transaction, and what each makes. Raises the text of a mistake. keeps: see M.learn; sets: the numbers of
-- sets are those after this one.
function M.compile(descriptions, namespace, keeps, sets)
  check.table(descriptions, "#1")
  local t = setmetatable({ messages = {}, labels = {}, id = sets or 0, namespace = namespace }, Transaction)
  t.with = wishes(t, keeps)
  t.messages[1] = message(NFNL.MSG_BATCH_BEGIN, nil, 0, NFNL.SUBSYS_NFTABLES)
  t.labels[1] = "nftables"
  for _, description in ipairs(descriptions.table and { descriptions } or descriptions) do
    put_table(t, check.table(description, "#1"))
  end
  t.messages[#t.messages + 1] = message(NFNL.MSG_BATCH_END, nil, 0, NFNL.SUBSYS_NFTABLES)
  return t.messages, t.labels
end

--- Remembers what the rules of these tables are made of, for all that have the same.
function M.learn(descriptions) M.compile(descriptions, nil, true) end

-- As one text, for of messages in a list sendmsg(2) takes 1024.
local function joined(messages)
  local parts = {}
  for i, one in ipairs(messages) do parts[i] = one:tobytes() end
  return table.concat(parts)
end

--- A transaction as one text, for nl.request(text, nil, "batch", "netfilter").
function M.bytes(descriptions) return joined((M.compile(descriptions))) end

--- nl.nft(description [, namespace]) -> true
--- nl.nft.apply(description [, namespace]) -> true
-- Puts one table in place, or the tables of a list, by one transaction: { family =, table =, chains =, sets =,
-- counters = }. Each is replaced whole; with keep = true it is added to, with gone = true it is taken away, whether
-- or not it is there; with fresh = true it must not be there: EXIST. namespace: a descriptor of the network namespace.
-- Errors: the kernel's, err.text naming table, chain and rule; a description that cannot be is raised. Source: nft(8),
-- nfnetlink.
function M.apply(descriptions, namespace)
  for _, one in ipairs(type(descriptions) == "table" and not descriptions.table and descriptions or { descriptions or false }) do
    if type(one) ~= "table" then check.fail("#1", "a table of nftables, or a list of them", one or nil) end
  end
  local ok, messages, labels = pcall(M.compile, descriptions, namespace)
  if not ok then error(messages, 2) end
  local done, err, errno, index = nl.request(joined(messages), namespace, "batch", "netfilter")
  if done then return true end
  if index then err.text = labels[index] .. (err.text and ": " .. err.text or "") end
  return nil, err, errno
end

-- ---- reading ----

local Description = { __tostring = function(description) return require("netns.nft_text").table(description) end }

--- nl.nft.describe(description) -> description
-- The same table, which prints in the words of nft(8).
function M.describe(description) return setmetatable(description, Description) end

for _, name in ipairs { "tables", "counters", "rules", "elements" } do
  M[name] = function(...) return require("netns.nft_read")[name](...) end
end

nl.nft = setmetatable(M, { __call = function(_, ...) return M.apply(...) end })

return M
