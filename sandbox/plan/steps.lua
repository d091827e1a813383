-- SPDX-License-Identifier: MIT
-- sandbox.plan.steps: the list that a plan is.
--
-- A step is data: { op =, args =, where =, why =, save =, undo = }. `op` names a function of the syscall
-- layer, `args` its arguments. What only the run knows is a symbol: "$name" alone is a value (a descriptor, a
-- number), "${name}" inside a longer string is its text, "${name+5}" a number added to it.

local M = {}
M.__index = M

function M.new()
  return setmetatable({ list = {}, fds = 0 }, M)
end

--- Appends a step and returns it. `why` is the path of the field that asks for it. more: save, undo, optional; waits: a
-- guest step that the attach steps come before.
function M:add(where, why, op, args, more)
  local step = { where = where, why = why, op = op, args = args }
  if more then
    step.save, step.undo, step.optional, step.waits = more.save, more.undo, more.optional, more.waits
  end
  local list = self.list
  list[#list + 1] = step
  return step
end

--- Appends a step whose result is a descriptor; returns its symbol, "$fd.HINTn".
function M:open(where, why, hint, op, args)
  self.fds = self.fds + 1
  local symbol = "$fd." .. hint .. self.fds
  self:add(where, why, op, args, { save = symbol })
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

local function shallow_copy(value)
  local copy = {}
  for k, v in next, value do copy[k] = v end
  return copy
end

-- Every text and table of every step comes by here at each start, on the child's side while the parent waits.
local type, next, find = type, next, string.find

--- The value with its symbols replaced; a table without any is itself. `{ literal = text }` is text in which no
-- symbol is looked for.
local function resolve(value, symbols)
  if type(value) == "string" then
    return find(value, "$", 1, true) and resolve_string(value, symbols) or value
  elseif type(value) ~= "table" then
    return value
  end
  if value.literal then return value.literal end
  local copy
  for k, v in next, value do
    local kind, resolved = type(v), v
    if kind == "table" then
      resolved = resolve(v, symbols)
    elseif kind == "string" and find(v, "$", 1, true) then
      resolved = resolve_string(v, symbols)
    end
    if resolved ~= v then
      copy = copy or shallow_copy(value)
      copy[k] = resolved
    end
  end
  return copy or value
end
M.resolve = resolve

-- The same for the arguments of a step, which are counted: twice as quick as asking for the next key.
local function resolve_list(list, n, symbols)
  local copy
  for i = 1, n do
    local value = list[i]
    local resolved = resolve(value, symbols)
    if resolved ~= value then
      copy = copy or table.move(list, 1, n, 1, {})
      copy[i] = resolved
    end
  end
  return copy or list
end

-- "mkdirat" is S.mkdirat, "nl.up" is S.nl.up.
local function operation(S, op)
  local known = S[op]
  if known then return known end
  local area, name = op:match("^(%w+)%.([%w_]+)$")
  return S[area][name]
end

--- Whether a step may fail so: `optional` is true, or the number of the one error that may be.
function M.accepts(step, err) return step.optional == true or step.optional ~= nil and err.errno == step.optional end
--- Takes back what a step did: its undo, { op, args }.
function M.undo(S, undo, symbols)
  return operation(S, undo[1])(table.unpack(resolve(undo[2], symbols)))
end

--- Runs one step with the functions of `S`; returns its value, or nil and the error.
function M.run(S, step, symbols)
  local args = step.args
  local n = args.n or #args
  local value, err, number = operation(S, step.op)(table.unpack(resolve_list(args, n, symbols), 1, n))
  if value == nil then return nil, err, number end
  if step.save then symbols[step.save:sub(2)] = value end
  return value
end

return M
