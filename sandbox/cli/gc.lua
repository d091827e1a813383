-- SPDX-License-Identifier: MIT
-- sandbox.cli.gc: `luge gc`: takes away what killed luges left: processes, cgroups, ranges of ids, locks, logs. The records of
-- detached containers, and their logs, stay until somebody has looked (luge rm), but of those with --rm.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local json = require "luge.json"
local list = require "sandbox.container.list"
local state = require "sandbox.container.state"

local M = {}

-- Nobody asks for the record of one that was to leave none.
local function forget_lost(directory, removed)
  for _, container in ipairs(list.all(directory)) do
    if container.state == "lost" and container.rm and require("sandbox.container.life").remove(directory, container.name) then
      removed[#removed + 1] = container.name .. ".json"
    end
  end
end

function M.run(options)
  local directory = containers.directory()
  if not directory then return containers.FAILED end
  local removed, left = state.collect_all(directory)
  local facts = require("sandbox.plan.facts").gather()
  local ranges = state.ranges(facts)
  if ranges and ranges ~= directory then
    local more, still = state.collect_all(ranges)
    table.move(more, 1, #more, #removed + 1, removed)
    table.move(still, 1, #still, #left + 1, left)
  end
  forget_lost(directory, removed)
  local logs = require("sandbox.container.log_place").collect(facts, directory)
  table.move(logs, 1, #logs, #removed + 1, removed)
  if options.json then
    print(json.encode { schema = 1, removed = json.array(removed), left = json.array(left) })
  else
    for _, name in ipairs(removed) do print(name) end
  end
  if #left == 0 then return 0 end
  return cli.complain("not everything is gone yet: " .. table.concat(left, ", "), "processes in a cgroup do not die; try again")
end

return M
