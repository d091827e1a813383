-- SPDX-License-Identifier: MIT
-- sandbox.plan.steps: the list that a plan is.
--
-- A step is data: { op =, args =, where =, why =, save =, undo = }. `op` names a function of the syscall layer, or what the
-- stage does by itself, `args` its arguments. What only the run knows is a symbol: "$name" alone is a value (a descriptor, a
-- number), "${name}" inside a longer string is its text, "${name+5}" a number added to it.

local walk = require "luge.resolve"

local M = {}
M.__index = M

function M.new()
  return setmetatable({ list = {}, fds = 0 }, M)
end

--- Appends a step and returns it. `why` is the path of the field that asks for it. more: save, undo, optional; waits: a
-- guest step that the attach steps come before; beside: an attach step that no guest step needs, but what is sealed does.
function M:add(where, why, op, args, more)
  local step = { where = where, why = why, op = op, args = args }
  if more then
    step.save, step.undo, step.optional = more.save, more.undo, more.optional
    step.waits, step.beside = more.waits, more.beside
  end
  local list = self.list
  list[#list + 1] = step
  return step
end

--- Marks the attach step after which guest steps have all that they need, `feeds`, in the list of all of them; none where it
-- is the last, or nearly.
function M.mark_feeding(attach)
  local last = #attach
  while last > 0 and attach[last].beside do last = last - 1 end
  if last > 0 and #attach - last > 1 then attach[last].feeds = true end
end

--- Appends a step whose result is a descriptor; returns its symbol, "$fd.HINTn".
function M:open(where, why, hint, op, args)
  self.fds = self.fds + 1
  local symbol = "$fd." .. hint .. self.fds
  self:add(where, why, op, args).save = symbol
  return symbol
end

--- Text that comes from the profile or the host, as an argument: a "$" in it is no symbol.
function M.text(text)
  if text and text:find("$", 1, true) then return { literal = text } end
  return text
end

local function symbol_value(symbols, name)
  local base, sum = name:match("^(.-)%+(%d+)$")
  local value = symbols[base or name]
  if value == nil then error("the plan uses $" .. name .. " before it is known") end
  if base then return value + tonumber(sum) end
  return value
end

-- The name of the symbol that a text is, or false for text around symbols; found once a text.
local whole = setmetatable({}, { __index = function(known, text)
  local name = text:match("^%$([%w_.]+)$") or text:match("^%${([%w_.]+)}$") or false
  known[text] = name
  return name
end })

local function resolve_string(text, symbols)
  local name = whole[text] or text:match("^%${([%w_.]+%+%d+)}$")
  if name then return symbols[name] or symbol_value(symbols, name) end
  return (text:gsub("%${([%w_.]+%+?%d*)}", function(inner)
    local value = symbol_value(symbols, inner)
    if type(value) == "userdata" then value = value:getfd() end
    return tostring(value)
  end))
end

--- The value with its symbols replaced; a table without any is itself. `{ literal = text }` is text in which no
-- symbol is looked for.
function M.resolve(value, symbols) return walk.resolve(value, symbols, resolve_string) end

--- "mkdirat" is S.mkdirat, "nl.up" is S.nl.up; nil for what only the stage does (sandbox.container.orders).
function M.operation(S, op)
  local known = S[op]
  if known then return known end
  local area, name = op:match("^(%w+)%.([%w_]+)$")
  return area and S[area][name]
end

--- Whether a step may fail so: `optional` is true, or the number of the one error that may be.
function M.accepts(step, err) return step.optional == true or step.optional ~= nil and err.errno == step.optional end

--- Takes back what a step did: its undo, { op, args }.
function M.undo(S, undo, symbols)
  return walk.apply(undo[2], symbols, resolve_string, M.operation(S, undo[1]))
end

--- Runs one step with the functions of `S`; returns its value, or nil and the error.
function M.run(S, step, symbols)
  local value, err, number = walk.apply(step.args, symbols, resolve_string, M.operation(S, step.op))
  if value == nil then return nil, err, number end
  if step.save then symbols[step.save:sub(2)] = value end
  return value
end

return M
