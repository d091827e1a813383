-- SPDX-License-Identifier: MIT
-- sandbox.plan.seccomp_policy: a tier's data and the user's words become one policy: what each call answers.
--
-- policy = { default = "ENOSYS" | "allow",
--            calls = { [name] = { verdict = "allow" | "deny" | "only", theme, when?, otherwise? } },
--            never = { { call, why, errno, when } } }
-- A comparison is { argument, mask, value } (the masked argument equals value) or, of 64 bits and only from a
-- user's rule, { argument, op = "<", value = … }. `when` is a list of alternatives, each a list of comparisons.

local values = require "sandbox.plan.seccomp_values"

local M = {}

local LOW = 0xffffffff

-- A comparison of the tiers' data; S_IFCHR under S_IFMT has its mask in fourth place.
local function comparison(c)
  local value = values.number(c[3]) & LOW
  if c[2] == "==" then return { c[1], LOW, value } end
  return { c[1], c[4] and values.number(c[4]) or value, value }
end

local function alternatives(list)
  local when = {}
  for i, alternative in ipairs(list) do
    when[i] = {}
    for j, c in ipairs(alternative) do when[i][j] = comparison(c) end
  end
  return when
end

-- May both be true of one call? Not when they want different values of one argument.
local function overlap(a, b)
  for _, x in ipairs(a) do
    for _, y in ipairs(b) do
      if x[1] == y[1] and not x.op and not y.op and x[2] == y[2] and x[3] ~= y[3] then return false end
    end
  end
  return true
end

local function same(a, b)
  if #a ~= #b then return false end
  for i, x in ipairs(a) do
    local y = b[i]
    if x[1] ~= y[1] or x[2] ~= y[2] or x[3] ~= y[3] or x.op ~= y.op or x.value ~= y.value then return false end
  end
  return true
end

-- The refusals of an `only` call that name an errno, one for each value; those that an allowed alternative
-- may also mean are left out: libseccomp would let one of the two rules vanish.
local function expand_otherwise(rows, when)
  local list = {}
  for _, row in ipairs(rows or {}) do
    for value = values.number(row.from), values.number(row.to) do
      local condition = { { row.argument, LOW, value } }
      if row.with then table.insert(condition, 1, comparison(row.with)) end
      local free = true
      for _, alternative in ipairs(when) do free = free and not overlap(alternative, condition) end
      if free then list[#list + 1] = { errno = row.errno, when = condition } end
    end
  end
  return list
end

-- ---- the tier ----

local function put(policy, rows, verdict)
  for _, row in ipairs(rows or {}) do
    for name in row[2]:gmatch "%S+" do policy.calls[name] = { verdict = verdict, theme = row[1] } end
  end
end

local function put_only(policy, only)
  for name, entry in pairs(only or {}) do
    policy.calls[name] = {
      verdict = "only", theme = entry.why, when = alternatives(entry.when), rows = entry.otherwise,
    }
  end
end

local function put_never(policy, rows, lifted)
  for _, row in ipairs(rows) do
    for name in row[1]:gmatch "%S+" do
      if not lifted[name] and not (row.unless and lifted[row.unless]) then
        policy.never[#policy.never + 1] =
          { call = name, why = row.why, errno = row.errno or "EPERM", when = alternatives(row.when) }
      end
    end
  end
end

-- The parents of a tier first, then itself.
local function ancestry(base)
  local list = {}
  while base do
    local tier = require("profiles.seccomp." .. base)
    table.insert(list, 1, tier)
    base = tier.parent
  end
  return list
end

local function put_tier(policy, base, kept)
  local common = require "profiles.seccomp.common"
  local lifted, tiers = {}, ancestry(base)
  put(policy, common.deny, "deny")
  put(policy, common.start, "allow")
  for _, tier in ipairs(tiers) do
    put(policy, tier.deny, "deny")
    put(policy, tier.allow, "allow")
    put_only(policy, tier.only)
    for _, name in ipairs(tier.lift or {}) do lifted[name] = true end
  end
  if tiers[1].heeds_capabilities then
    for _, cap in ipairs(kept) do
      lifted[cap] = true
      if common.with[cap] then put(policy, { { "kept capability " .. cap, common.with[cap] } }, "allow") end
    end
  end
  put_never(policy, common.never, lifted)
end

-- ---- the user's words ----

-- An allowed condition that is exactly one that a tier refuses takes that refusal away.
local function lift_never(policy, call, condition)
  local lifted = false
  for _, row in ipairs(policy.never) do
    for i = row.call == call and #row.when or 0, 1, -1 do
      if same(row.when[i], condition) then
        table.remove(row.when, i)
        lifted = true
      end
    end
  end
  return lifted
end

local function allow_rule(policy, rule, condition)
  local entry = policy.calls[rule.call]
  if not condition[1] then
    policy.calls[rule.call] = { verdict = "allow", theme = "the profile's rules" }
  elseif not entry or entry.verdict == "deny" then
    policy.calls[rule.call] = { verdict = "only", theme = "the profile's rules", when = { condition } }
  elseif entry.verdict == "only" then
    table.insert(entry.when, condition)
  end
  lift_never(policy, rule.call, condition)
end

-- `allow unless argument == value` cannot be one rule of 64-bit comparisons: the call is allowed, the value refused.
local function allow_but(policy, rule, c)
  policy.calls[rule.call] = { verdict = "allow", theme = "the profile's rules" }
  policy.never[#policy.never + 1] = {
    call = rule.call, why = "the profile's rules", errno = "EPERM",
    when = { { values.condition("deny", rule.call, { c[1], "==", c[3] }) } },
  }
end

local function condition_of(rule)
  local condition = {}
  for i, c in ipairs(rule.args or {}) do condition[i] = values.condition(rule.action, rule.call, c) end
  table.sort(condition, function(a, b) return a[1] < b[1] end)
  return condition
end

-- Does y hold wherever all of a condition does?
local function follows(condition, y)
  for _, x in ipairs(condition) do
    if x[1] == y[1] and not x.op and not y.op and x[2] & y[2] == y[2] and x[3] & y[2] == y[3] then return true end
  end
  return false
end

--- Is whatever this allowing rule allows also allowed by one of the alternatives of a call that a tier allows in part?
function M.covers(when, rule)
  local condition = condition_of(rule)
  for _, alternative in ipairs(when) do
    local all = true
    for _, y in ipairs(alternative) do all = all and follows(condition, y) end
    if all then return true end
  end
  return false
end

--- Does this allowing rule take back a refusal? It does so in `policy`.
function M.lifts(policy, rule)
  return lift_never(policy, rule.call, condition_of(rule))
end

local function put_rule(policy, rule)
  local args = rule.args or {}
  if rule.action ~= "deny" and #args == 1 and args[1][2] == "!=" then return allow_but(policy, rule, args[1]) end
  local condition = condition_of(rule)
  if rule.action ~= "deny" then return allow_rule(policy, rule, condition) end
  if not condition[1] then
    policy.calls[rule.call] = { verdict = "deny", theme = "the profile's rules" }
  else
    policy.never[#policy.never + 1] =
      { call = rule.call, why = "the profile's rules", errno = "EPERM", when = { condition } }
  end
end

-- Without a tier, words that allow make an allow-list of their own; words that only deny leave the rest allowed.
local function own_default(spec)
  if spec.allow and spec.allow[1] then return "ENOSYS" end
  for _, rule in ipairs(spec.rules or {}) do
    if rule.action ~= "deny" then return "ENOSYS" end
  end
  return "allow"
end

--- The policy of a checked `seccomp` field.
---@param kept string[]  the kept capabilities that matter, see seccomp.lua
function M.build(spec, kept, setid_guard)
  local policy = { default = "ENOSYS", calls = {}, never = {} }
  local common = require "profiles.seccomp.common"
  if spec.base then
    put_tier(policy, spec.base, kept)
  else
    policy.default = own_default(spec)
    if policy.default ~= "allow" then put(policy, common.start, "allow") end
  end
  for _, name in ipairs(spec.deny or {}) do
    policy.calls[name] = { verdict = "deny", theme = "the profile's deny" }
  end
  for _, name in ipairs(spec.allow or {}) do
    policy.calls[name] = { verdict = "allow", theme = "the profile's allow" }
  end
  -- Denials last: denial wins, an allowed condition takes back only what a tier refuses.
  for _, action in ipairs { "allow", "deny" } do
    for _, rule in ipairs(spec.rules or {}) do
      if (rule.action == "deny") == (action == "deny") then put_rule(policy, rule) end
    end
  end
  if setid_guard then put_never(policy, common.setid, {}) end
  for _, entry in pairs(policy.calls) do
    if entry.verdict == "only" then entry.otherwise = expand_otherwise(entry.rows, entry.when) end
  end
  return policy
end

return M
