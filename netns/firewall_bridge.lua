-- SPDX-License-Identifier: MIT
-- netns.firewall_bridge: what of a container's firewall is about bridges: how the host's tables tell what a bridge carries, and
-- what gets lost there. A part of netns.firewall_tables, by its descriptions.
--
-- Where the host filters bridges (net.bridge.bridge-nf-call-iptables), a frame's addresses are translated at its port already,
-- before it is known whether the bridge carries it or the host routes it; otherwise when it has come to the host.

local parts = require "netns.firewall_parts"

local M = {}

local LOOPBACK = parts.LOOPBACK

-- Marks, which nobody sees but where it says so. CARRIED, "luge": what goes from port to port (netns.firewall_tables).
M.CARRIED = 0x6c756765
-- What has come by an isolated port, until the host has it: seen by its tables where it filters bridges.
local AT_PORT = 0x75

-- ---- the loopback ----

-- The kernel may have been told to take packets to the loopback from a bridge (netns.plan_firewall), on which others are
-- too: what is sent to it is never an answer, which has the host's address until connections are looked up.
local function loopback_chain(d)
  local chain = { hook = "prerouting", priority = "raw" }
  for _, link in ipairs(d.links) do
    if link.bridge then chain[#chain + 1] = { { "iifname", link.bridge }, { "ip daddr", LOOPBACK.ip }, "drop" } end
  end
  return chain[1] and chain
end

-- An answer that gets its addresses back at the port is one to ::1, and the kernel drops those that come by any other link than
-- the loopback. So who asks from ::1 has another address, which nobody has, from before connections are looked up, and answers are
-- put right where they have come in. Its checksum is that of ::1 (as in RFC 6296): of a packet that the kernel has summed up
-- itself, nft_payload.c, up to 6.18 at least, gets the sum wrong where an address of IPv6 changes it.
M.STAND_IN = "fd6c:7567:65ff::272d"

local function from_loopback_chain(d)
  local chain = { hook = "output", priority = "raw" }
  for _, p in ipairs(d.publish) do
    if p.on_bridge then
      chain[#chain + 1] = { { "ip6 saddr", LOOPBACK.ip6 }, { "ip6 daddr", LOOPBACK.ip6 }, { p.proto .. " dport", p.port },
        { "set", "ip6 saddr", M.STAND_IN } }
    end
  end
  return chain[1] and chain
end

local AFTER_NAT = 110
local ERRORS = { "destination-unreachable", "packet-too-big", "time-exceeded", "parameter-problem" }

-- Errors name who sent the packet that they are about, too. Nobody else is led to the loopback.
local function to_loopback_chain()
  local it, is_answer = { "ip6 daddr", M.STAND_IN }, { "ct direction", "reply" }
  return { hook = "input", priority = AFTER_NAT,
    { it, is_answer, { "icmpv6 type", ERRORS }, { "set", "icmpv6 error saddr", LOOPBACK.ip6 } },
    { it, is_answer, { "set", "ip6 daddr", LOOPBACK.ip6 } },
    { it, "drop" } }
end

-- ---- isolated ports ----

-- What an isolated port sends to the host, for a port that another one publishes, the kernel hands to that one's port, once it has
-- its address, and drops it there; answers as well. So it has the address that it was sent to until the host has it.

--- The mark that stands for an isolated link's address of a family, "inet" or "inet6", meanwhile: no other isolated port's mac
-- ends so (nl.mac_of; netns.plan_bridge locks written ones). Another one's may be the same of the other family, so who reads
-- it looks at the protocol, too.
function M.mark(link, family) return tonumber((link.mac:gsub(":", "")):sub(-8), 16) ~ (family == "inet6" and 1 or 0) end

-- Calls f with each isolated link's address, what its family is called, and its mark.
local function each_isolated(d, f)
  for _, link in ipairs(d.links) do
    for _, address in ipairs(link.isolated and link.addresses or {}) do
      local family = parts.family_of(address)
      f(link, address, family, M.mark(link, family == "ip6" and "inet6" or "inet"))
    end
  end
end

local LAST = 300

local function back_chain(d)
  local chain = { hook = "prerouting", priority = LAST }
  each_isolated(d, function(link, address, family, mark)
    for _, direction in ipairs { "original", "reply" } do
      chain[#chain + 1] = { { "meta mark", AT_PORT }, { "iifname", link.bridge }, { family .. " daddr", address },
        { "ct status", "dnat" }, { "ct direction", direction }, { "set", "meta mark", mark },
        { "set", family .. " daddr", { ("ct %s %s daddr"):format(direction, family) } } }
    end
  end)
  return chain[1] and chain
end

local function isolated_chains(d, chains)
  local at_port, at_host = { hook = "prerouting", priority = -300 }, { hook = "input", priority = "filter" }
  for _, link in ipairs(d.links) do
    if link.isolated then at_port[#at_port + 1] = { { "iifname", link.link }, { "set", "meta mark", AT_PORT } } end
  end
  if not at_port[1] then return end
  each_isolated(d, function(_, address, family, mark)
    at_host[#at_host + 1] = { { "meta mark", mark }, { "meta protocol", family }, { "set", family .. " daddr", address },
      { "set", "meta mark", 0 } }
  end)
  at_host[#at_host + 1] = { { "meta mark", AT_PORT }, { "set", "meta mark", 0 } }
  chains.at_port, chains.at_host = at_port, at_host
end

-- ---- all of it ----

--- The table of bridges.
function M.table(d)
  local forward, chains = { hook = "forward", priority = "filter" }, {}
  for _, link in ipairs(d.links) do
    if link.bridge then
      forward[#forward + 1] = { { "iifname", link.link }, { "set", "meta mark", M.CARRIED } }
      forward[#forward + 1] = { { "oifname", link.link }, { "set", "meta mark", M.CARRIED } }
    end
  end
  if not forward[1] then return nil end
  chains.forward = forward
  isolated_chains(d, chains)
  return { family = "bridge", table = d.table, chains = chains }
end

--- Adds what the host's table has for bridges to its chains.
function M.add(d, chains)
  chains.loopback, chains.from_loopback = loopback_chain(d) or nil, from_loopback_chain(d) or nil
  if chains.from_loopback then chains.to_loopback = to_loopback_chain() end
  chains.back = back_chain(d) or nil
end

return M
