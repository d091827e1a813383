-- SPDX-License-Identifier: MIT
-- netns.rule: which table of routes is asked for what. Source: rtnetlink(7), RTM_NEWRULE; ip-rule(8).

local S = require "syscall"
local check = require "netns.check"
local links = require "netns.link"
local nl = require "netns"
local routes = require "netns.route"

local FRA, ACT, RTM = S.c.FRA, S.c.FR_ACT, S.c.RTM
-- struct fib_rule_hdr: family, width of destination and source, tos, table, two unused, action, flags
local HEADER = "I1 I1 I1 I1 I1 I1 I1 I1 I4"
local U32 = 0xffffffff -- what the kernel says of a number that was not given
local ACTIONS = { lookup = ACT.TO_TBL, blackhole = ACT.BLACKHOLE, unreachable = ACT.UNREACHABLE, prohibit = ACT.PROHIBIT }

local function action(value, what)
  return ACTIONS[value] or check.fail(what, "\"lookup\", \"blackhole\", \"unreachable\" or \"prohibit\"", value)
end

-- 1, or "1/0xff": a value and which of its bits count.
local function mark(value, what)
  if math.type(value) == "integer" then return { check.u32(value, what) } end
  local number, mask = tostring(value):match "^(%w+)/(%w+)$"
  number, mask = math.tointeger(tonumber(number or value)), math.tointeger(tonumber(mask or U32))
  if not number or not mask then check.fail(what, "a number, or \"number/mask\"", value) end
  return { number, mask }
end

local FIELDS = { from = check.cidr, to = check.cidr, iif = check.name, oif = check.name, fwmark = mark,
  table = routes.table_number, priority = check.u32, action = action, family = check.family, invert = check.boolean,
  suppress_prefix = check.u32, netns = check.netns }

local function send(type, flags, rule)
  local t = check.fields(rule, "#1", FIELDS)
  local number = t.table or 0
  local header = HEADER:pack(check.family_of(t, { "from", "to" }), t.to and t.to.prefix or 0,
    t.from and t.from.prefix or 0, 0, number < 256 and number or 0, 0, 0, t.action or (t.table and ACT.TO_TBL or 0),
    t.invert and S.c.FIB_RULE.INVERT or 0)
  local message = nl.message(type, flags, header)
  if t.from then message:bytes(FRA.SRC, t.from.bytes) end
  if t.to then message:bytes(FRA.DST, t.to.bytes) end
  if t.iif then message:string(FRA.IIFNAME, t.iif) end
  if t.oif then message:string(FRA.OIFNAME, t.oif) end
  if t.priority then message:u32(FRA.PRIORITY, t.priority) end
  if t.fwmark then
    message:u32(FRA.FWMARK, t.fwmark[1])
    if t.fwmark[2] then message:u32(FRA.FWMASK, t.fwmark[2]) end
  end
  if t.suppress_prefix then message:u32(FRA.SUPPRESS_PREFIXLEN, t.suppress_prefix) end
  if number > 255 then message:u32(FRA.TABLE, number) end
  return links.done(nl.request(message, t.netns))
end

--- nl.rule{ from=, to=, iif=, oif=, fwmark=number or "number/mask", table=, priority=, action="lookup", family=, invert=,
--- suppress_prefix=, netns= } -> true
-- Adds a rule: packets that all of it is true of are routed by the table, or the action ("blackhole", "unreachable",
-- "prohibit") is taken. Errors: EXIST, PERM.
function nl.rule(rule)
  local t = check.fields(rule, "#1", FIELDS)
  if not t.table and (t.action or ACT.TO_TBL) == ACT.TO_TBL then check.fail("'table'", "a table of routes, or an action", nil) end
  return send(RTM.NEWRULE, "create, excl", rule)
end

--- nl.delrule{ … } -> true
-- Removes the first rule that has all that is given; fields of nl.rule. Errors: NOENT.
function nl.delrule(rule)
  return send(RTM.DELRULE, nil, rule)
end

local meta = {}
meta.__index = meta

-- As `ip rule` shows one.
function meta:__tostring()
  local words = { self.priority .. ":", self.invert and "not" or nil }
  for _, key in ipairs { "from", "to", "fwmark", "iif", "oif" } do
    local value = self[key] or key == "from" and "all"
    if value then words[#words + 1] = key .. " " .. tostring(value) end
  end
  words[#words + 1] = self.action == "lookup" and "lookup " .. tostring(self.table) or self.action
  if self.suppress_prefix then words[#words + 1] = "suppress_prefixlength " .. self.suppress_prefix end
  return table.concat(words, " ")
end

local function decode(data)
  local family, to_width, from_width, _, number, _, _, act, flags = HEADER:unpack(data)
  local _, a = nl.attributes(data, string.packsize(HEADER))
  local name = check.family_name(family)
  if not name then return nil end
  local function u32(type) return a[type] and ("I4"):unpack(a[type]) end
  local function text(type) return a[type] and ("z"):unpack(a[type]) end
  local function network(type, width) return a[type] and ("%s/%d"):format(check.ip_text(name, a[type]), width) end
  local suppress = u32(FRA.SUPPRESS_PREFIXLEN)
  local rule = { family = name, priority = u32(FRA.PRIORITY) or 0, from = network(FRA.SRC, from_width),
    to = network(FRA.DST, to_width), iif = text(FRA.IIFNAME), oif = text(FRA.OIFNAME), fwmark = u32(FRA.FWMARK),
    fwmask = u32(FRA.FWMASK), suppress_prefix = suppress ~= U32 and suppress or nil,
    invert = flags & S.c.FIB_RULE.INVERT ~= 0 or nil }
  number = u32(FRA.TABLE) or number
  rule.table = routes.TABLE[number] or number
  for word, value in pairs(ACTIONS) do
    if value == act then rule.action = word end
  end
  return setmetatable(rule, meta)
end

--- nl.rules([{ family=, netns= }]) -> list
-- The rules, those of IPv4 first, as they are asked: the fields of nl.rule each. The list prints as `ip rule` does.
function nl.rules(filter)
  local t = check.fields(filter or {}, "#1", { family = check.family, netns = check.netns })
  local list = setmetatable({}, check.list_meta)
  for _, family in ipairs(t.family and { t.family } or { S.c.AF.INET, S.c.AF.INET6 }) do
    local message = nl.message(RTM.GETRULE, nil, HEADER:pack(family, 0, 0, 0, 0, 0, 0, 0, 0))
    local replies, err, errno = nl.request(message, t.netns, "dump")
    if not replies then return nil, err, errno end
    for _, reply in ipairs(replies) do list[#list + 1] = decode(reply.data) end
  end
  return list
end
