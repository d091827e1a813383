-- SPDX-License-Identifier: MIT
-- sandbox.container.own_firewall: keeps what a container's own network denies (netns.firewall_tables.own_table) in step with
-- the addresses of the host, while the container runs. A helper's packets come from the host itself, where no chain could tell
-- them from the host's.

local S = require "syscall"
local Steps = require "sandbox.plan.steps"
local addresses = require "netns.host_addresses"
local cli = require "sandbox.cli"
local must = require "sandbox.must"
local nl = require "netns"

local M = {}

local function deny(own, list)
  if own.user then return S.within({ user = own.user, net = own.netns }, "nl.denyhosts", own.table, list) end
  return nl.denyhosts(own.table, list, own.netns)
end

-- Those that came since are denied. One that the host has no more stays: nobody knows who will have it.
local function catch_up(watch, own)
  local new, err = {}, nil
  for _, address in ipairs(must("the addresses of luge's own network", addresses.list())) do
    if not own.known[address] then
      new[#new + 1], own.known[address] = address, true
    end
  end
  local ok = not new[1]
  if not ok then ok, err = deny(own, new) end
  if ok or watch.gone or err.SRCH then return end -- SRCH: it has just ended
  cli.complain(("%s: egress does not deny the host's %s: %s"):format(watch.run.name, table.concat(new, ", "), tostring(err)),
    "luge stops the container")
  watch:stop("stopped")
end

--- Has the loop of `watch` do that, from now on. The table is there.
function M.attach(watch)
  local own = Steps.resolve(watch.run.own_firewall, watch.run.symbols)
  own.known = {}
  for _, address in ipairs(own.hosts) do own.known[address] = true end
  local socket = must("word of new addresses", addresses.listen())
  watch:listen(socket, function()
    addresses.heard(socket)
    catch_up(watch, own)
  end)
  catch_up(watch, own) -- what came before
end

return M
