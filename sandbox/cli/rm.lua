-- SPDX-License-Identifier: MIT
-- sandbox.cli.rm: `luge rm`: what a detached container left behind, its name with it.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"

local M = {}

-- A record that no luge can read may be somebody else's file: it goes by its name only.
local ALL = { running = true, paused = true, restarting = true, ended = true, lost = true }
local AT_REST = { ended = true, lost = true }

function M.run(options, names)
  local directory = containers.directory()
  local grace = options.time and containers.duration(options.time, "time")
  if not directory or options.time and not grace then return containers.FAILED end
  local states = options.all and (options.force and ALL or AT_REST) or containers.STATES
  local found, code = containers.named(directory, options, names, states)
  if not found then return code end
  local life = require "sandbox.container.life"
  local running = {}
  code = 0
  for _, container in ipairs(found) do
    if containers.RUNS[container.state] and options.force then running[#running + 1] = container.name end
  end
  -- All of them at once; what went wrong is said when one cannot be removed.
  life.ended(directory, running, { op = "stop", grace = grace }, function() end)
  local remove = options.force and life.stop_and_remove or life.remove
  for _, container in ipairs(found) do
    local name = container.name
    local ok, text, kind = remove(directory, name, grace)
    if kind == "running" then
      code = cli.complain(containers.says(container), ("stop it first: luge stop %s, or luge rm -f %s"):format(name, name))
    elseif not ok then
      code = cli.complain(("rm %s: %s"):format(name, text))
    end
  end
  return code
end

return M
