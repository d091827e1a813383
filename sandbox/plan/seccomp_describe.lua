-- SPDX-License-Identifier: MIT
-- sandbox.plan.seccomp_describe: a policy in words, for `luge plan --seccomp`.

local S = require "syscall"
local values = require "sandbox.plan.seccomp_values"

local M = {}

local WIDTH = 100

local function wrap(lines, head, words)
  local line = head
  for _, word in ipairs(words) do
    if #line + 1 + #word > WIDTH and line ~= head then
      lines[#lines + 1] = line
      line = (" "):rep(#head)
    end
    line = line .. " " .. word
  end
  lines[#lines + 1] = line
end

local function comparison(call, c)
  if c.op then return ("argument %d %s %d"):format(c[1], c.op, c.value) end
  local value = values.name(call, c[1], c[3])
  if c[2] == -1 or c[2] == 0xffffffff then return ("argument %d == %s"):format(c[1], value) end
  if c[2] == c[3] then return ("argument %d has %s"):format(c[1], value) end
  return ("argument %d & %s == %s"):format(c[1], values.name(call, c[1], c[2]), value)
end

local function condition(call, list)
  local words = {}
  for i, c in ipairs(list) do words[i] = comparison(call, c) end
  return #words > 0 and table.concat(words, " and ") or "always"
end

-- Calls of one verdict by theme: { theme, { names } }, in the order of the themes' first names.
local function by_theme(policy, verdict)
  local groups, list, names = {}, {}, {}
  for name, entry in pairs(policy.calls) do
    if entry.verdict == verdict and S.seccomp_resolve(name) then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local theme = policy.calls[name].theme
    if not groups[theme] then
      groups[theme] = { theme, {} }
      list[#list + 1] = groups[theme]
    end
    table.insert(groups[theme][2], name)
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list, #names
end

local function section(lines, policy, verdict, title)
  local list, count = by_theme(policy, verdict)
  if count == 0 then return end
  lines[#lines + 1] = title:format(count)
  for _, group in ipairs(list) do
    lines[#lines + 1] = "  # " .. group[1]
    wrap(lines, "   ", group[2])
  end
end

local function conditional(lines, policy)
  local list, count = by_theme(policy, "only")
  if count == 0 then return end
  lines[#lines + 1] = "allowed with these arguments only:"
  for _, group in ipairs(list) do
    for _, name in ipairs(group[2]) do
      lines[#lines + 1] = ("  %s # %s"):format(name, group[1])
      for _, alternative in ipairs(policy.calls[name].when) do
        lines[#lines + 1] = "    " .. condition(name, alternative)
      end
      local errors, seen = {}, {}
      for _, other in ipairs(policy.calls[name].otherwise or {}) do
        if not seen[other.errno] then errors[#errors + 1] = other.errno end
        seen[other.errno] = true
      end
      errors[#errors + 1] = "ENOSYS"
      lines[#lines + 1] = "    otherwise " .. table.concat(errors, ", ")
    end
  end
end

local function refused(lines, policy)
  local title = "denied with these arguments:"
  for _, row in ipairs(policy.never) do
    local entry = policy.calls[row.call]
    local open = (policy.default == "allow" and not entry) or (entry and entry.verdict ~= "deny")
    if open and row.when[1] and S.seccomp_resolve(row.call) then
      lines[#lines + 1] = title
      lines[#lines + 1] = ("  %s -> %s # %s"):format(row.call, row.errno, row.why)
      for _, alternative in ipairs(row.when) do lines[#lines + 1] = "    " .. condition(row.call, alternative) end
      title = nil
    end
  end
end

--- The lines for a policy that `spec` gave.
function M.lines(spec, policy)
  local lines = { "seccomp: " .. (spec.base and "tier " .. spec.base or "no tier")
    .. "; calls of other architectures (32-bit, x32): the process is killed" }
  section(lines, policy, "allow", "allowed (%d calls):")
  conditional(lines, policy)
  refused(lines, policy)
  local clone3 = policy.calls.clone3
  if policy.default == "allow" and not clone3 or clone3 and clone3.verdict ~= "deny" then
    lines[#lines + 1] = "clone3 is allowed: no filter sees its flags, so it can make new namespaces"
  end
  section(lines, policy, "deny", "denied with EPERM (%d calls):")
  lines[#lines + 1] = policy.default == "allow" and "every other call: allowed"
    or policy.calls.clone3 and "every other call: ENOSYS" or "every other call, clone3 among them: ENOSYS"
  return lines
end

return M
