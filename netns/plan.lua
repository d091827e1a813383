-- SPDX-License-Identifier: MIT
-- netns.plan: the profile's `network` as steps.

local M = {}

--- Whether the container gets a network namespace of its own.
function M.is_own(network)
  return network.type ~= "host"
end

--- A new namespace has one link, lo, and it is down.
function M.plan(c)
  if not M.is_own(c.spec.network) or type(c.spec.namespaces.net) == "string" then return end
  c.steps:add("guest", "network", "nl.up", { "lo" })
end

return M
