-- SPDX-License-Identifier: MIT
-- netns.plan_reach: what the host would not reach any more where a container's network meets one of its own, and its way to what
-- a container routes for; see netns.plan_interfaces.

local check = require "netns.check"
local pool = require "netns.pool"

local M = {}

--- The host's own network that one of these meets, text of both as it is said; of a link of luge's it is none, for those are
-- known by their locks, nor of `own_device`. A wider one that the host only sends to keeps the rest of it: a VPN's are.
function M.met(c, cidr, own_device)
  local prefix = check.parse_cidr(cidr).prefix
  for _, network in ipairs(c.facts.host_networks) do
    local is_beyond = network.is_far and network.prefix < prefix
    if not pool.is_default(network) and not is_beyond and network.dev ~= own_device and pool.meet(cidr, network.text)
      and not tostring(network.dev):find "^lg%w%w%w%w%w%w%w%w$" then
      return ("the host's own network %s (%s)"):format(network.text, network.dev)
    end
  end
end

--- A fault where the host is to be in a network, "ADDRESS/WIDTH", that it is in already or goes out by: it would be cut off.
-- own_device: whose own network it may be.
function M.check_free(c, why, cidr, own_device)
  local network = M.met(c, cidr, own_device)
  if network then
    c:fault(why, ("%s meets %s"):format(cidr, network),
      "take a network that the host has not, or a bridge { } or macvlan { } on that device")
  end
end

-- The host's way back to what a container routes for; without one it would take what comes from there for forged, too.
function M.lead_behind(c, why, interface, ends, link)
  for i, cidr in ipairs(interface.behind or {}) do
    local family, at = check.parse_cidr(cidr).family, ("%s.behind[%d]"):format(why, i)
    local e = ends[family]
    if not (e and e.host) then
      c:fault(at, ("the host has no address on the wire to reach %s by"):format(cidr),
        family == "inet" and 'address = "auto", gateway = "auto"' or 'address6 = "auto", gateway6 = "auto"')
    else
      local route = { to = pool.network_of(cidr), via = e.address, dev = link }
      c.steps:add("attach", at, "nl.route", { route }, { undo = { "nl.delroute", { route } } })
    end
  end
end

return M
