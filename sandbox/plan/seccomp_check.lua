-- SPDX-License-Identifier: MIT
-- sandbox.plan.seccomp_check: what is wrong with the user's words about system calls: all of it, each with its
-- place. Words without effect are faults too: they would be taken for a protection or a permission.

local S = require "syscall"
local values = require "sandbox.plan.seccomp_values"

local M = {}

-- What libseccomp needs for each grows to gigabytes and minutes long before the kernel says that a filter is too long.
local MOST_RULES = 1000

-- What the stage still calls once the filters hold.
local NEEDED = { close = true, close_range = true, execve = true, exit_group = true, read = true, write = true }

local OPERATORS = { ["=="] = true, ["!="] = true, ["<"] = true, ["<="] = true, [">"] = true, [">="] = true,
  ["&"] = true, masked_eq = true }

local function nearest(name, names)
  local near = require("sandbox.profile.errors").nearest(name, names)
  return near and ("did you mean '%s'?"):format(near) or nil
end

local function check_name(call, keys, add)
  if S.seccomp_resolve(call) ~= nil then return true end
  add(keys, ("'%s' is no system call"):format(call), nearest(call, S.seccomp_syscalls()))
  return false
end

local function check_lists(spec, add)
  local denied = {}
  for i, call in ipairs(spec.deny or {}) do
    denied[call] = true
    if check_name(call, { "deny", i }, add) and NEEDED[call] then
      add({ "deny", i }, ("'%s' is needed to start the command"):format(call), "leave it out")
    end
  end
  for i, call in ipairs(spec.allow or {}) do
    check_name(call, { "allow", i }, add)
    if denied[call] then
      add({ "allow", i }, ("'%s' is also denied"):format(call), "leave it out of one of the lists")
    end
  end
end

-- One comparison; false when it cannot be used.
local function check_comparison(rule, action, keys, c, add)
  if math.type(c[1]) ~= "integer" or c[1] < 0 or c[1] > 5 then
    add(keys, "a system call has arguments 0 to 5", nil)
    return false
  end
  if not OPERATORS[c[2]] then
    add(keys, ("'%s' is no operator"):format(tostring(c[2])), "write == != < <= > >= or masked_eq")
    return false
  end
  for i = 3, 4 do
    local number, unknown = values.lookup(c[i] == nil and 0 or c[i])
    if not number then
      add(keys, ("no constant is named '%s'"):format(unknown), nearest(unknown, values.names()))
      return false
    end
  end
  local why = values.unsound(action, c, #rule.args == 1)
  if why then add(keys, why, nil) end
  return why == nil
end

local function check_comparisons(rule, action, at, add)
  local seen, good = {}, true
  for i, c in ipairs(rule.args or {}) do
    local keys = { "rules", at, "args", i }
    good = check_comparison(rule, action, keys, c, add) and good
    if seen[c[1]] then
      add(keys, ("argument %d is compared twice in one rule"):format(c[1]), "write two rules, or masked_eq")
      good = false
    end
    seen[c[1]] = true
  end
  return good
end

local function has_order(rule)
  for _, c in ipairs(rule.args or {}) do
    if c[2] ~= "==" and c[2] ~= "&" and c[2] ~= "masked_eq" then return true end
  end
  return false
end

-- libseccomp takes a 64-bit comparison by order apart into halves, and where another rule of the call shares the
-- upper half, it loses the one or the other. So such a rule has to be alone, the tier's own rows included.
local function check_alone(spec, rule, at, add)
  local policy = require("sandbox.plan.seccomp_policy").build({ base = spec.base }, {}, true)
  local entry, others = policy.calls[rule.call], 0
  if entry and entry.verdict == "only" then others = others + 1 end
  for _, row in ipairs(policy.never) do
    if row.call == rule.call then others = others + 1 end
  end
  for i, other in ipairs(spec.rules) do
    if i ~= at and other.call == rule.call and (other.args or {})[1] then others = others + 1 end
  end
  if others > 0 then
    add({ "rules", at }, ("'%s' has other rules beside this one, which compares by order"):format(rule.call),
      "name the values with == or masked_eq")
  end
end

-- What is said of a rule that allows nothing which is not allowed without it; nil where it does.
local function already(spec, rule)
  local Policy = require "sandbox.plan.seccomp_policy"
  local policy = Policy.build({ base = spec.base, allow = spec.allow, deny = spec.deny }, {}, false)
  local entry = policy.calls[rule.call]
  local words = entry and (entry.verdict == "allow" and "with any argument"
    or entry.verdict == "only" and Policy.covers(entry.when, rule) and "with these arguments and others")
  return words and not Policy.lifts(policy, rule) and words or nil
end

-- An allowing rule may add a condition, or take back one refusal of the tier; else it does nothing. Without a condition it is
-- the same as the call in `allow`.
local function check_effect(spec, rule, at, add)
  local args = rule.args or {}
  if #args == 0 then
    for _, call in ipairs(spec.deny or {}) do
      if call == rule.call then
        return add({ "rules", at }, ("'%s' is also denied"):format(call), "leave it out of deny, or compare an argument")
      end
    end
  end
  if #args == 0 or #args == 1 and args[1][2] == "!=" then return end
  local words = already(spec, rule)
  if words then
    add({ "rules", at }, ("'%s' is already allowed, %s"):format(rule.call, words),
      ("to allow nothing else of it, write deny = { \"%s\" } as well"):format(rule.call))
  end
end

local function check_rule(spec, rule, at, add)
  local action = rule.action == "deny" and "deny" or "allow"
  if not check_name(rule.call, { "rules", at }, add) then return end
  if not check_comparisons(rule, action, at, add) then return end
  if has_order(rule) then check_alone(spec, rule, at, add) end
  if action == "allow" then return check_effect(spec, rule, at, add) end
  if NEEDED[rule.call] and not (rule.args or {})[1] then
    add({ "rules", at }, ("'%s' is needed to start the command"):format(rule.call), "leave it out")
  elseif rule.call == "seccomp" and (rule.args or {})[1] then
    add({ "rules", at }, "'seccomp' is needed to load the filters", 'deny it wholly: deny = { "seccomp" }')
  end
end

--- See seccomp.check.
function M.check(spec)
  local faults = {}
  local function add(keys, message, hint)
    local path = "seccomp"
    for _, key in ipairs(keys) do
      path = path .. (math.type(key) and ("[%d]"):format(key) or "." .. key)
    end
    faults[#faults + 1] = { keys = { "seccomp", table.unpack(keys) }, path = path, message = message, hint = hint }
  end
  check_lists(spec, add)
  if #(spec.rules or {}) > MOST_RULES then
    add({ "rules" }, ("%d rules are more than a filter takes, which is %d"):format(#spec.rules, MOST_RULES),
      "deny the call, or name many values by one masked_eq")
  end
  if faults[1] then return faults end -- what rules mean depends on the lists
  for i, rule in ipairs(spec.rules or {}) do check_rule(spec, rule, i, add) end
  return faults
end

return M
