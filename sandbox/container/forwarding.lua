-- SPDX-License-Identifier: MIT
-- sandbox.container.forwarding: while a container has the host forward, luge gives way to whoever makes it a router
-- (netns.forwarding).

local addresses = require "netns.host_addresses"
local cli = require "sandbox.cli"
local forwarding = require "netns.forwarding"
local must = require "sandbox.must"

local M = {}

local function give_way(run)
  local ok, err = forwarding.yield()
  if ok then return end
  cli.complain(("%s: the host became a router, and luge's guard stays: %s"):format(run.name, tostring(err)),
    "nft delete table ip luge-forward; nft delete table ip6 luge-forward6")
end

--- Has the loop of `watch` do that, from now on.
function M.attach(watch)
  if not forwarding.is_held() then return end
  local socket = must("word of the host's settings", forwarding.listen())
  watch:listen(socket, function()
    addresses.heard(socket)
    give_way(watch.run)
  end)
  give_way(watch.run) -- what came before
end

return M
