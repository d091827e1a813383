-- SPDX-License-Identifier: MIT
-- sandbox.cli.wait: `luge wait`: until a container has ended; exits with its code, of several the first that is not 0.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"

local M = {}

local KNOWN = { running = true, paused = true, restarting = true, ended = true }
local WAITABLE = { running = true, paused = true, restarting = true, ended = true, lost = true }

function M.run(options, names)
  local directory = containers.directory()
  if not directory then return containers.FAILED end
  local found, code = containers.named(directory, options, names, options.all and KNOWN or WAITABLE)
  if not found then return code end
  code = 0
  local asked = {}
  for i, container in ipairs(found) do asked[i] = container.name end
  require("sandbox.container.life").ended(directory, asked, { op = "wait" }, function(name, ending, text)
    local one = ending and ending.exit_code or cli.complain(("wait %s: %s"):format(name, text))
    if code == 0 then code = one end
  end)
  return code
end

return M
