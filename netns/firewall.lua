-- SPDX-License-Identifier: MIT
-- netns.firewall: the tables of a container's network (netns.firewall_tables) put in place, changed and taken away.

local check = require "netns.check"
local forms = require "netns.firewall_form"
local inhabited = require "netns.inhabited"
local nl = require "netns"
local tables = require "netns.firewall_tables"

local function asked(description, fields)
  check.fields(description, "#1", { table = check.string, egress = check.table }, fields)
  check.need(description, "table", "the name of the tables")
  return description
end

--- nl.firewall(description [, netns]) -> true
-- Puts the tables of a container's network in place, or back, in one transaction: { table=, links=, publish=, egress= } as
-- of netns.firewall_tables. Errors: as of nl.nft.
function nl.firewall(description, netns)
  local d = tables.whole(asked(description, { links = check.table, publish = check.table }))
  local bytes = forms.bytes(d, tables.varied(d))
  if bytes and nl.request(bytes, netns, "batch", "netfilter") then return true end
  -- What a transaction takes away is waited for, by somebody (socket:leave of netns.netlink): what is there is replaced only
  -- where it is.
  local made, err, errno = nl.nft(tables.anew(description, true), netns)
  if made or not err.EXIST then return made, err, errno end
  return nl.nft(tables.anew(description, false), netns)
end

--- nl.ownfirewall(description) -> true
-- The same for interfaces without an end on the host, in the container's own namespace: { table=, egress=, outside= names }.
function nl.ownfirewall(description)
  asked(description, { outside = check.table })
  check.need(description, "outside", "the names of links")
  return nl.nft(tables.own_table(description))
end

--- nl.denyhosts(table, addresses [, netns]) -> true
-- Adds addresses that the host got since to those that a table of nl.ownfirewall with egress.host denies.
function nl.denyhosts(name, addresses, netns)
  check.string(name, "#1")
  for i, address in ipairs(check.table(addresses, "#2")) do check.ip(address, "#2[" .. i .. "]") end
  return nl.nft({ family = "inet", table = name, keep = true, sets = tables.host_sets(addresses) }, netns)
end

-- The links go where somebody is in the namespace that they lead to: he is not to have them without a firewall. Only set
-- down, one would stay for minutes where a connection that the container left was not told of its end. Where nobody is they
-- go with the namespace, and nobody waits for it.
local function cut_off(t)
  if not t.links then return true end
  local somebody, err, errno = inhabited.is_inhabited(t.inside)
  if somebody == nil then return nil, err, errno end
  for _, link in ipairs(somebody and t.links or {}) do
    local ok
    ok, err, errno = nl.delete(link, t.netns)
    if not ok and not err.NODEV then return nil, err, errno end
  end
  return true
end

local GONE = { table = check.string, links = check.table, inside = check.table, netns = check.netns }

--- nl.delfirewall{ table=, links=names, inside=, netns= } -> true
-- Takes a firewall's tables away, whether or not they are there. links: the host's ends of wires into a network namespace, which
-- are deleted before, where a process is in that still; inside: what nl.remember told of it.
function nl.delfirewall(what)
  local t = check.fields(what, "#1", GONE)
  check.need(t, "table", "the name of a firewall's tables")
  local name, netns = t.table, t.netns
  local done, why, number = cut_off(t)
  if not done then return nil, why, number end
  local all, err, errno = nl.nft.tables(netns)
  if not all then return nil, err, errno end
  local own = {}
  for _, known in ipairs(all) do
    if known.table == name then own[#own + 1] = { family = known.family, table = name, gone = true } end
  end
  return not own[1] or nl.nft(own, netns)
end
