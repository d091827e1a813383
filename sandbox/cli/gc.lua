-- SPDX-License-Identifier: MIT
-- sandbox.cli.gc: `luge gc`: takes away what killed luges left: processes, cgroups, ranges of ids, locks, logs. The records of
-- detached containers, and their logs, stay until somebody has looked (luge rm), but of those with --rm.

local cli = require "sandbox.cli"
local collect = require "sandbox.container.collect"
local containers = require "sandbox.cli.containers"
local json = require "luge.json"
local list = require "sandbox.container.list"
local state = require "sandbox.container.state"

local M = {}

local function add(to, more) table.move(more, 1, #more, #to + 1, to) end

-- Nobody asks for the record of one that was to leave none.
local function forget_lost(directory, removed, left)
  for _, container in ipairs(list.all(directory)) do
    if container.state == "lost" and container.rm then
      local ok, words = require("sandbox.container.life").remove(directory, container.name)
      if ok then
        removed[#removed + 1] = container.name .. ".json"
      else
        left[#left + 1] = ("%s.json: %s"):format(container.name, words)
      end
    elseif container.state == "unknown" then
      left[#left + 1] = ("%s: %s"):format(container.name, container.message)
    end
  end
end

local function collect_ranges(facts, directory, removed, left)
  local ranges, words = state.ranges(facts)
  if not ranges then
    left[#left + 1] = words
  elseif ranges ~= directory then
    local more, still = collect.all(ranges)
    add(removed, more)
    add(left, still)
  end
end

function M.run(options)
  local directory = containers.directory()
  if not directory then return containers.FAILED end
  local removed, left = collect.all(directory)
  local facts = require("sandbox.plan.facts").gather()
  collect_ranges(facts, directory, removed, left)
  forget_lost(directory, removed, left)
  local logs, still = require("sandbox.container.log_place").collect(facts, directory)
  add(removed, logs)
  add(left, still)
  if options.json then
    print(json.encode { schema = 1, removed = json.array(removed), left = json.array(left) })
  else
    for _, name in ipairs(removed) do print(name) end
  end
  local code = 0
  for _, words in ipairs(left) do code = cli.complain("not taken away: " .. words) end
  return code
end

return M
