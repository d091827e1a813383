-- SPDX-License-Identifier: MIT
-- sandbox.container.processes: the processes below one, as /proc tells of them.

local S = require "syscall"

local M = {}

M.TICK = 0.01 -- seconds: USER_HZ is 100 on every architecture that luge knows
local PAGE = 4096

--- What /proc/PID/stat says of a process, by the numbers that proc(5) gives its fields, from the third on; nil when it is gone.
function M.fields(pid)
  local text = S.readfile(("/proc/%d/stat"):format(pid))
  -- The name, in parentheses, may hold anything: the fields after it are counted from its end.
  local rest = text and text:match("^.*%)%s(.*)$")
  if not rest then return nil end
  local fields, n = {}, 2
  for field in rest:gmatch("%S+") do
    n = n + 1
    fields[n] = tonumber(field) or field
  end
  return fields
end

--- One process: { own =, waited = ticks of its own and of children it waited for, threads =, started = ticks after
-- boot, resident = bytes }, or nil when it is gone.
function M.read(pid)
  local fields = M.fields(pid)
  if not fields then return nil end
  return { own = fields[14] + fields[15], waited = fields[16] + fields[17], threads = fields[20], started = fields[22],
    resident = fields[24] * PAGE }
end

-- Children belong to threads; of most processes there is one.
local function each_child(pid, visit)
  local base = ("/proc/%s/task"):format(pid)
  for _, thread in ipairs(S.dir(base) or {}) do
    for child in (S.readfile(("%s/%s/children"):format(base, thread)) or ""):gmatch("%d+") do visit(tonumber(child)) end
  end
end

--- Every process below `root`, a pid or "self", itself not among them: pid → what M.read says. A parent is read before
-- its children.
function M.below(root)
  local found, todo = {}, { root }
  while #todo > 0 do
    each_child(table.remove(todo), function(pid)
      if not found[pid] then
        found[pid] = M.read(pid)
        todo[#todo + 1] = pid
      end
    end)
  end
  return found
end

--- The id inside of one outside, by the text of a process's map; nil where it has none for it.
function M.id_inside(map, id)
  for inner, outer, count in map:gmatch("(%d+)%s+(%d+)%s+(%d+)") do
    local distance = id - tonumber(outer)
    if distance >= 0 and distance < tonumber(count) then return tonumber(inner) + distance end
  end
end

--- The first child of a process, or nil.
function M.first_child(pid)
  local first
  each_child(pid, function(child) first = first or child end)
  return first
end

return M
