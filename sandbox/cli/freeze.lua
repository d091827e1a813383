-- SPDX-License-Identifier: MIT
-- sandbox.cli.freeze: what `luge pause` and `luge resume` share: the freezer of the container's cgroup. To stop each
-- process by a signal would not be the same: others are born meanwhile, their parents are told, and they go on when
-- anybody sends CONT.

local cli = require "sandbox.cli"
local containers = require "sandbox.cli.containers"

local M = {}

-- To make one for every container would cost each start more than the few that are ever paused.
local IN_FOREGROUND = "one in the foreground gets no cgroup for that: start it with luge run -d, and luge attach shows it"
local NO_FREEZER = "a detached container is paused by a cgroup: run luge as root, or where a cgroup was given to it (luge doctor)"

--- The function that runs the command `op`. hint: for a container in another state.
function M.command(op, hint)
  return function(options, names)
    local directory = containers.directory()
    if not directory then return containers.FAILED end
    local states = options.all and { [op == "pause" and "running" or "paused"] = true } or containers.LIVE
    local found, code = containers.named(directory, options, names, states, hint)
    if not found then return code end
    code = 0
    for _, container in ipairs(found) do
      local ok, text = require("sandbox.container.life").freeze(directory, container.name, op)
      if not ok then
        local way_out = text:find("no cgroup", 1, true) and (container.detached and NO_FREEZER or IN_FOREGROUND)
        code = cli.complain(("%s %s: %s"):format(op, container.name, text), way_out)
      end
    end
    return code
  end
end

return M
