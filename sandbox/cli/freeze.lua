-- SPDX-License-Identifier: MIT
-- sandbox.cli.freeze: what `luge pause` and `luge resume` share: the freezer of the container's cgroup. To stop each
-- process by a signal would not be the same: others are born meanwhile, their parents are told, and they go on when
-- anybody sends CONT.

local containers = require "sandbox.cli.containers"

local M = {}

-- To make one for every container would cost each start more than the few that are ever paused.
local IN_FOREGROUND = "one in the foreground gets no cgroup for that: start it with luge run -d, and luge attach shows it"
local NO_FREEZER = "a detached container is paused by a cgroup: run luge as root, or where a cgroup was given to it (luge doctor)"

--- The function that runs the command `op`. hint: for a container in another state.
function M.command(op, hint)
  return function(options, names)
    local states = options.all and { [op == "pause" and "running" or "paused"] = true } or containers.LIVE
    local directory, found = containers.find(options, names, states, hint)
    if not directory then return found end
    return containers.each(found, op, function(container)
      local ok, words = require("sandbox.container.life").freeze(directory, container.name, op)
      local lacks = not ok and words:find("no cgroup", 1, true)
      return ok, words, lacks and (container.detached and NO_FREEZER or IN_FOREGROUND)
    end)
  end
end

return M
