-- SPDX-License-Identifier: MIT
-- netns.plan_behind: which networks a container may route for: not those that are everyone's own, that of the loopback and of
-- each link, nor those that luge has other containers in. The host would lose them by a route to the container, and it could
-- send under the addresses of others.

local check = require "netns.check"
local pool = require "netns.pool"

local M = {}

local SPECIAL = {
  { "127.0.0.0/8", "the loopback's" }, { "::1/128", "the loopback's" },
  { "169.254.0.0/16", "link-local, which no router passes on, and where a cloud keeps its machines' keys" },
  { "fe80::/10", "link-local, which no router passes on" },
  { "224.0.0.0/4", "addresses of groups (multicast)" }, { "ff00::/8", "addresses of groups (multicast)" },
  { "255.255.255.255/32", "everybody's address on a link (broadcast)" },
  { "0.0.0.0/8", "no addresses of anybody" }, { "::/128", "no addresses of anybody" },
  { "::ffff:0:0/96", "addresses of IPv4, which are written as such" },
}

-- What of these a network is, or has in it, in words, or nil.
local function special(cidr)
  for _, row in ipairs(SPECIAL) do
    if pool.meet(cidr, row[1]) then
      local is_wider = check.parse_cidr(cidr).prefix < check.parse_cidr(row[1]).prefix
      return is_wider and ("%s has %s in it: %s"):format(cidr, row[1], row[2]) or ("%s is %s"):format(cidr, row[2])
    end
  end
end

-- The range of luge's own that a network meets: of those that it takes where the host has the first ones the parts in use.
local function range_of_luge(c, cidr)
  for _, range in ipairs(pool.OWN) do
    if pool.meet(cidr, range) then return range end
  end
  for _, network in ipairs(c.facts.host_networks) do
    if not network.is_far and pool.is_of_luge(network) and pool.meet(cidr, network.text) then return network.text end
  end
end

-- met(c, cidr): what of the host's own it meets, in words, or nil.
local function of_host(c, at, cidr, met)
  if check.parse_cidr(cidr).prefix < 2 then
    return c:fault(at, cidr .. " is everywhere, the host's own way out as well", "write the networks that are behind it")
  end
  local network = met(c, cidr)
  if network then
    return c:fault(at, ("%s meets %s"):format(cidr, network), "the host would not reach its own any more: write narrower ones")
  end
end

--- A fault for each that it may not have. A veth's are the host's routes as well.
function M.check(c, why, interface, met)
  for i, cidr in ipairs(interface.behind) do
    local at, before = ("%s.behind[%d]"):format(why, i), #c.faults
    if interface.type == "veth" then of_host(c, at, cidr, met) end
    if #c.faults == before then
      local what, range = special(cidr), range_of_luge(c, cidr)
      if what then
        c:fault(at, what, "leave it out, or write the networks around it")
      elseif range then
        c:fault(at, ("%s meets %s, of which luge gives other containers their networks"):format(cidr, range),
          "write narrower ones, or have another network behind it")
      end
    end
  end
end

return M
