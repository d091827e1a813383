-- SPDX-License-Identifier: MIT
-- sandbox.cli.wait: `luge wait`: until a container has ended; exits with its code, of several the first that is not 0.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"

local M = {}

local KNOWN = { running = true, paused = true, restarting = true, ended = true }
local WAITABLE = { running = true, paused = true, restarting = true, ended = true, lost = true }

local CONDITIONS = { exited = true, running = true, healthy = true }

-- 0 when the condition holds for all of them.
local function condition_code(directory, found, condition)
  local control, code, sent = require "sandbox.container.control", 0, {}
  for i, container in ipairs(found) do
    sent[i] = { control.send(directory, container.name, { op = "wait", condition = condition }) }
  end
  for i, container in ipairs(found) do
    local socket, text, kind = table.unpack(sent[i], 1, 3)
    local reply
    if socket then reply, text, kind = control.receive(socket, math.huge) end
    if reply and not reply.ended and not reply.holds then
      code = math.max(code, 1)
      cli.complain(("%s is %s"):format(container.name, tostring(reply.health)))
    elseif reply and reply.ended or not reply and (kind == "gone" or kind == "absent") then
      code = math.max(code, 1)
      cli.complain(("%s has ended%s"):format(container.name, reply and " with exit code " .. tostring(reply.exit_code) or ""))
    elseif not reply then
      code = cli.complain(("wait %s: %s"):format(container.name, text))
    end
  end
  return code
end

function M.run(options, names)
  local condition = options.condition or "exited"
  if not CONDITIONS[condition] then
    return cli.complain(("--condition %s: no such condition"):format(condition), "exited, running or healthy")
  end
  local directory, found = containers.find(options, names, options.all and KNOWN or WAITABLE)
  if not directory then return found end
  if condition ~= "exited" then return condition_code(directory, found, condition) end
  local code = 0
  require("sandbox.container.life").ended(directory, containers.names_of(found), { op = "wait" }, function(name, ending, text)
    local one = ending and ending.exit_code or cli.complain(("wait %s: %s"):format(name, text))
    if code == 0 then code = one end
  end)
  return code
end

return M
