-- SPDX-License-Identifier: MIT
-- sandbox.cli.kill: `luge kill`: a signal to the command of a container.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"

local M = {}

function M.run(options, names)
  local signal = require("sandbox.profile.values").signal(options.signal or "KILL")
  if not signal then
    local known = require("sandbox.cli.elsewhere").signal(options.signal)
    return cli.complain(("--signal %s: no signal has that name"):format(options.signal),
      known and ("%s is called %s"):format(options.signal, known) or "as TERM, USR1 or RTMIN+3 (signal(7))")
  end
  local directory, found = containers.find(options, names, containers.RUNS, "only one that runs can be sent a signal")
  if not directory then return found end
  return containers.each(found, "kill", function(container)
    local ok, words = require("sandbox.container.life").ask(directory, container.name, { op = "kill", signal = signal })
    return ok, words
  end)
end

return M
