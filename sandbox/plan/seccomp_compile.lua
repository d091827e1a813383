-- SPDX-License-Identifier: MIT
-- sandbox.plan.seccomp_compile: a policy as rules of libseccomp, in the two filters.

local S = require "syscall"

local M = {}

local function rule(number, action, condition)
  local r = { number, action = action }
  for i, c in ipairs(condition or {}) do
    r[i + 1] = c.op and { c[1], c.op, c.value } or { c[1], "masked_eq", c[2], c[3] }
  end
  return r
end

-- Names that only other machines have fall out.
local function numbered(calls)
  local list = {}
  for name, entry in pairs(calls) do
    local number = S.seccomp_resolve(name)
    if number then list[#list + 1] = { number = number, entry = entry } end
  end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

local function allow_rules(policy)
  local rules = {}
  for _, call in ipairs(numbered(policy.calls)) do
    local number, entry = call.number, call.entry
    if entry.verdict == "allow" then
      rules[#rules + 1] = rule(number, "allow")
    elseif entry.verdict == "deny" then
      rules[#rules + 1] = rule(number, "errno EPERM")
    else
      for _, condition in ipairs(entry.when) do rules[#rules + 1] = rule(number, "allow", condition) end
      for _, other in ipairs(entry.otherwise) do
        rules[#rules + 1] = rule(number, "errno " .. other.errno, other.when)
      end
    end
  end
  return rules
end

-- A refused value matters only where the call may be made at all.
local function deny_rules(policy)
  local rules = {}
  for name, entry in pairs(policy.default == "allow" and policy.calls or {}) do
    local number = S.seccomp_resolve(name)
    if number and entry.verdict == "deny" then rules[#rules + 1] = rule(number, "errno EPERM") end
  end
  for _, row in ipairs(policy.never) do
    local number, entry = S.seccomp_resolve(row.call), policy.calls[row.call]
    local open = policy.default == "allow" or entry
    if number and open and not (entry and entry.verdict == "deny") then
      for _, condition in ipairs(row.when) do rules[#rules + 1] = rule(number, "errno " .. row.errno, condition) end
    end
  end
  return rules
end

local function compile(name, default, optimize, rules)
  local bpf = assert(S.seccomp_filter {
    default = default, badarch = "kill_process", optimize = optimize, rules = rules,
  })
  return { name = name, bpf = bpf }
end

--- The filters of a policy, in the order in which they must be loaded: after "allow", the call that loads
--- filters may be gone.
---
--- The long one is a binary tree: the kernel tries every call number when it is loaded, to remember those that
--- are always allowed, and in a list of 330 that takes three times as long. The short one is quicker as a list.
function M.filters(policy)
  local list = { compile("deny", "allow", 1, deny_rules(policy)) }
  if policy.default ~= "allow" then list[2] = compile("allow", "errno ENOSYS", 2, allow_rules(policy)) end
  return list
end

return M
