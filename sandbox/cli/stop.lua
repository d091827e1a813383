-- SPDX-License-Identifier: MIT
-- sandbox.cli.stop: `luge stop`: the profile's stop signal, KILL after the grace; returns when it has ended.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"

local M = {}

function M.run(options, names)
  local directory = containers.directory()
  local grace = options.time and containers.duration(options.time, "time")
  if not directory or options.time and not grace then return containers.FAILED end
  local found, code = containers.named(directory, options, names, containers.RUNS, "only one that runs can be stopped")
  if not found then return code end
  code = 0
  local life = require "sandbox.container.life"
  life.ended(directory, containers.names_of(found), { op = "stop", grace = grace }, function(name, ending, text)
    -- One that a killed luge left has ended as well, and one in the foreground leaves nothing to tell.
    if not ending and require("sandbox.container.list").one(directory, name) then
      code = cli.complain(("stop %s: %s"):format(name, text))
    end
  end)
  return code
end

return M
