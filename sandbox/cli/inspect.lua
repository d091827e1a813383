-- SPDX-License-Identifier: MIT
-- sandbox.cli.inspect: `luge inspect`: all that is known of containers, as JSON. Of one that runs, what its luge says:
-- the complete spec, the environment, the cgroups; of one that has ended, its record.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"
local control = require "sandbox.container.control"
local json = require "luge.json"
local life = require "sandbox.container.life"

local M = {}

local LIVE = { "user", "hostname", "environment", "cgroups", "network", "firewall", "spec", "log" }

-- Words that are no UTF-8, as describe.lua has them, stay as they are: there is no other JSON for them.
local function add_live(row, directory, name)
  local reply, fds, kind = life.ask(directory, name, { op = "describe" })
  if not reply then return kind == "gone" or kind == "absent", fds end
  local facts, message = require("sandbox.container.describe").read_raw(fds)
  if not facts then return nil, message end
  for _, field in ipairs(LIVE) do row[field] = facts[field] end
  row.state, row.started, row.health_check = facts.state, facts.started, facts.health
  return true
end

function M.run(options, names)
  local directory, found = containers.find(options, names, containers.STATES)
  if not directory then return found end
  local rows, code = {}, 0
  for i, container in ipairs(found) do
    rows[i] = require("sandbox.cli.ps").row(container)
    for _, figure in ipairs { "wall_s", "user_s", "sys_s" } do rows[i][figure] = container[figure] end
    if container.log then rows[i].log = { path = container.log, lost_bytes = container.log_lost_bytes } end
    if containers.LIVE[container.state] then
      local ok, message = add_live(rows[i], directory, container.name)
      if not ok then
        code = cli.complain(("inspect %s: %s"):format(container.name, message), "what the state directory says is shown")
      end
    end
  end
  print(json.encode({ schema = 1, version = control.VERSION, containers = json.array(rows) }, { pretty = true }))
  return code
end

return M
