-- SPDX-License-Identifier: MIT
-- netns.firewall_tables: what a container's network may do, as tables of nftables in the host's namespace, where the container
-- cannot reach them. A pure function of the description; nl.firewall puts the tables in place.
--
-- Tables of one name, made, replaced and removed by one transaction. "netdev" hangs at the host's end of each link:
-- what a container sends under an address that is not its own ends there, ARP and neighbour discovery included.
-- "inet" translates addresses, lets out what egress allows, and in
-- what belongs to a published port or to a connection from inside. It sees connections, thus whole packets: fragments are
-- put together before, and what hides behind extension headers of IPv6 is of no protocol that is allowed.
--
-- "bridge" tells packets that a bridge carries from those that the host routes back into it: both come by the forward hook
-- where the host filters bridges (net.bridge.bridge-nf-call-iptables), and only the first are the bridge's business.
--
-- An "accept" there is the word of this table alone: what another one drops is dropped.

local bridges = require "netns.firewall_bridge"
local check = require "netns.check"
local parts = require "netns.firewall_parts"
local ranges = require "netns.firewall_ranges"

local M = {}

local FAMILIES, LOOPBACK, family_of = parts.FAMILIES, parts.LOOPBACK, parts.family_of
local addresses_of, sources_of, device = parts.addresses_of, parts.sources_of, parts.device
local any_of, rule, varied, joined = parts.any_of, parts.rule, parts.varied, parts.joined

-- ---- the link's own table ----

-- What comes in from the container: from its own addresses and the networks it routes for, or nothing.
local function link_chain(link)
  local own, sources = addresses_of(link), sources_of(link)
  local chain = { hook = "ingress", device = link.link, priority = "raw", policy = "drop" }
  local function add(...) chain[#chain + 1] = rule(nil, ...) end
  local function spoofed(...) chain[#chain + 1] = joined(rule(nil, ...), { { "counter", "spoofed" }, "drop" }) end
  spoofed({ "ether saddr", "!=", link.mac })
  if own.ip[1] then
    -- "0.0.0.0" asks whether an address is free.
    add({ "arp saddr ether", link.mac }, { "arp saddr ip", joined(own.ip, { "0.0.0.0" }) }, "accept")
    spoofed({ "ip daddr", "127.0.0.0/8" })
    -- A packet may name its way in its options; groups are joined with one.
    spoofed({ "@nh,0,8", "&", 15, "!=", 5 }, { "meta protocol", "ip" }, { "ip protocol", "!=", "igmp" })
    add(any_of("ip saddr", sources.ip), "accept")
  end
  if own.ip6[1] then
    spoofed({ "icmpv6 type", { "nd-router-advert", "nd-redirect" } })
    spoofed({ "icmpv6 type", "nd-neighbor-advert" }, { "icmpv6 taddr", "!=", own.ip6 })
    add(any_of("ip6 saddr", sources.ip6), "accept")
    add({ "ip6 saddr", "::" }, { "icmpv6 type", { "nd-neighbor-solicit", "mld2-listener-report" } }, "accept")
  end
  spoofed({ "meta protocol", { "ip", "ip6", "arp" } })
  return chain
end

local function link_table(d)
  if #d.links == 0 then return { family = "netdev", table = d.table, gone = true } end
  local chains = {}
  for i, link in ipairs(d.links) do chains["from_" .. i] = link_chain(link) end
  return { family = "netdev", table = d.table, counters = { "spoofed" }, chains = chains }
end

-- ---- going out ----

local PORTS = { "tcp", "udp" }

-- One that is allowed, as rules: with the addresses that were asked for first, whatever became of them on the way.
-- original: compare what the connection was opened to.
local function allowed(entry, original)
  local family = family_of(entry.cidr)
  local daddr = original and ("ct original %s daddr"):format(family) or family .. " daddr"
  local protocols = entry.proto and { entry.proto } or entry.port and PORTS or {}
  if entry.proto == "icmp" and family == "ip6" then protocols = { "icmpv6" } end
  return rule(entry.why, any_of("meta l4proto", protocols),
    { "meta nfproto", family == "ip" and "ipv4" or "ipv6" }, { daddr, entry.cidr },
    entry.port and { original and "ct original proto-dst" or "th dport", entry.port }, "accept")
end

--- Whether an entry names one address, and not a network: only so the host's own are meant, and what tells secrets.
local function names_one(entry)
  local ip = check.parse_cidr(entry.cidr)
  return ip.prefix == #ip.bytes * 8
end

-- Said at once: nobody has to wait until time is up.
local REFUSE = { { { "meta l4proto", "tcp" }, { "reject", "tcp reset" } }, { { "reject", "admin-prohibited" } } }

-- Connections that were allowed once; and what is said about connections, errors of ICMP. Whose it is about is told by the words
-- inside, which the sender chooses: so a container says nothing about others' (chain "about").
local ESTABLISHED = { { "ct state", "established" }, "accept" }
local RELATED = { { "ct state", "related" }, { "goto", "about" } }

-- To the host itself.
local function host_chain(egress)
  if egress.open then return { RELATED, { "accept" } } end
  local chain = { ESTABLISHED, RELATED,
    { { "icmpv6 type", { "nd-neighbor-solicit", "nd-neighbor-advert" } }, "accept" },
    { { "meta pkttype", { "broadcast", "multicast" } }, "drop" } }
  for _, entry in ipairs(egress.allow) do
    if names_one(entry) then chain[#chain + 1] = varied(allowed(entry, true), "one", entry) end
  end
  chain[#chain + 1] = { { "goto", "deny" } }
  return chain
end

-- The host's own addresses, where no chain of the host's tells them from others; nl.denyhosts adds to them.
local HOST_SETS = { ip = "host", ip6 = "host6" }

--- The sets of them, for a table.
function M.host_sets(addresses)
  local elements = { ip = {}, ip6 = {} }
  for _, address in ipairs(addresses) do table.insert(elements[family_of(address)], address) end
  return { [HOST_SETS.ip] = { type = "ipv4_addr", elements = elements.ip },
    [HOST_SETS.ip6] = { type = "ipv6_addr", elements = elements.ip6 } }
end

-- To anywhere else.
local function egress_chain(egress)
  if egress.open then return { RELATED, { "accept" } } end
  local chain = { ESTABLISHED, RELATED, { { "ct state", "invalid" }, { "goto", "deny" } } }
  for _, entry in ipairs(egress.allow) do
    if names_one(entry) then chain[#chain + 1] = varied(allowed(entry, true), "one", entry) end
  end
  -- A port that the host publishes is the host.
  chain[#chain + 1] = { { "ct status", "dnat" }, { "goto", "deny" } }
  for _, family in ipairs(FAMILIES) do
    chain[#chain + 1] = { { family .. " daddr", ranges.metadata[family] }, { "goto", "deny" } }
  end
  for _, family in ipairs(egress.host and FAMILIES or {}) do
    chain[#chain + 1] = { { family .. " daddr", "@" .. HOST_SETS[family] }, { "goto", "deny" } }
  end
  for _, entry in ipairs(egress.allow) do
    if not names_one(entry) then chain[#chain + 1] = allowed(entry, false) end
  end
  if egress.internet then
    for _, family in ipairs(FAMILIES) do
      chain[#chain + 1] = { { family .. " daddr", ranges.private[family] }, { "goto", "deny" } }
    end
    chain[#chain + 1] = { "accept" }
  end
  chain[#chain + 1] = { { "goto", "deny" } }
  return chain
end

-- What a container says about connections is about its own: it began them, or answers.
local function about_chain(d)
  local own, chain = { ip = {}, ip6 = {} }, {}
  for _, link in ipairs(d.links) do
    for family, list in pairs(sources_of(link)) do own[family] = joined(own[family], list) end
  end
  for _, family in ipairs(FAMILIES) do
    for _, side in ipairs { "original", "reply" } do
      local match = any_of(("ct %s %s saddr"):format(side, family), own[family])
      if match then chain[#chain + 1] = { match, "accept" } end
    end
  end
  chain[#chain + 1] = { { "goto", "deny" } }
  return chain
end

-- Where the host filters bridges the kernel sends a reset straight back, past the translation of addresses: it would come from
-- one that the client never asked. An error of ICMP is translated.
local function refuse_on_bridges(links)
  local chain = {}
  for _, link in ipairs(links) do
    if link.bridge then
      chain[#chain + 1] = { { "iifname", link.bridge }, { "ct status", "dnat" }, { "meta l4proto", "tcp" },
        { "reject", "port-unreachable" } }
    end
  end
  return chain
end

-- Counted, told to who reads the sets, and refused.
local function deny_chain(egress, links)
  local chain = {}
  if egress.log then
    for family, set in pairs { ip = "denied", ip6 = "denied6" } do
      local version = { "meta nfproto", family == "ip" and "ipv4" or "ipv6" }
      local daddr = ("ct original %s daddr"):format(family)
      chain[#chain + 1] = { version, { "meta l4proto", PORTS },
        { "add", "@" .. set, daddr .. " . meta l4proto . ct original proto-dst" } }
      chain[#chain + 1] = { version, { "meta l4proto", "!=", PORTS }, { "add", "@" .. set .. "_other",
        family .. " daddr . meta l4proto" } }
    end
    table.sort(chain, function(a, b) return a[3][2] < b[3][2] end)
  end
  chain[#chain + 1] = { { "counter", "denied" } }
  return joined(joined(chain, refuse_on_bridges(links)), REFUSE)
end

-- A destination is told once; who is denied everywhere fills 1000 places and is counted after that.
local function denied_sets(egress)
  if not egress.log then return {} end
  local function set(type) return { type = type, dynamic = true, size = 1000, timeout = 3600 } end
  return { denied = set "ipv4_addr . inet_proto . inet_service", denied6 = set "ipv6_addr . inet_proto . inet_service",
    denied_other = set "ipv4_addr . inet_proto", denied6_other = set "ipv6_addr . inet_proto" }
end

local function sets_of(egress)
  local sets = denied_sets(egress)
  for name, set in pairs(egress.host and M.host_sets(egress.host) or {}) do sets[name] = set end
  return sets
end

--- The sets that nl.nft.elements reads what was denied from, in order.
M.DENIED = { "denied", "denied6", "denied_other", "denied6_other" }

-- ---- coming in ----

-- Neither another container nor anybody outside, but by a published port; whom the container called may answer, and routers on
-- the way say what became of it. The kernel takes an error for what it is only where it goes to a party of the connection.
local function inbound_chain()
  return joined({ { { "ct state", { "established", "related" } }, "accept" }, { { "ct status", "dnat" }, "accept" },
    { { "counter", "blocked" } } }, REFUSE)
end

-- ---- addresses ----

-- The rules that lead a published port into the container, from outside and, in the output hook, from the host itself: nobody
-- else means the loopback, and a frame from outside that names it would be led on before the kernel refuses it.
local function publish_rules(d, hook)
  local rules = { hook = hook, type = "nat", priority = "dstnat" }
  for _, p in ipairs(d.publish) do
    local family, is_own = family_of(p.to), hook == "output"
    if is_own or not (p.address and check.is_loopback(p.address)) then
      rules[#rules + 1] = varied(rule(p.why, { "meta nfproto", family == "ip" and "ipv4" or "ipv6" },
        p.address and { family .. " daddr", p.address } or { "fib daddr type", "local" },
        not p.address and not is_own and { family .. " daddr", "!=", LOOPBACK[family] } or nil,
        { p.proto .. " dport", p.port }, { "dnat", p.to, p.to_port }), "publish", p)
    end
  end
  return rules[1] and rules
end

-- Answers must come back by the host where it changed an address: from the loopback, and from the container's neighbours. Those to
-- datagrams go by the container's way to everywhere, and under its address, where nobody has chosen one.
local function hairpin_rules(d, rules)
  local seen = {}
  for _, p in ipairs(d.publish) do
    local link, family = d.links[p.link], family_of(p.to)
    local saddr = family .. " saddr"
    local function once(key, match, slot)
      if seen[p.to .. key] then return end
      seen[p.to .. key] = true
      rules[#rules + 1] = varied({ { "oifname", device(link) }, { family .. " daddr", p.to }, { "ct status", "dnat" }, match,
        "masquerade" }, slot, p)
    end
    local from = { LOOPBACK[family] }
    for _, cidr in ipairs(link.subnets or {}) do
      if family_of(cidr) == family then from[#from + 1] = cidr end
    end
    once("", any_of(saddr, from), "hairpin")
    if p.on_bridge then once("::1", { saddr, bridges.STAND_IN }) end
    for _, cidr in ipairs(link.near or {}) do
      if family_of(cidr) == family then once(cidr, { saddr, cidr }) end
    end
    if p.aside and p.proto == "udp" then once("udp", { "meta l4proto", "udp" }) end
  end
end

local function postrouting_chain(d)
  local chain = { hook = "postrouting", type = "nat", priority = "srcnat" }
  hairpin_rules(d, chain)
  for _, link in ipairs(d.links) do
    local sources = link.nat and sources_of(link) or { ip = {}, ip6 = {} }
    for _, family in ipairs(FAMILIES) do
      local from = any_of(family .. " saddr", sources[family])
      if from then chain[#chain + 1] = { from, { "oifname", "!=", device(link) }, "masquerade" } end
    end
  end
  return chain
end

-- ---- the host's table ----

-- A link's packets: of a bridge, which others share, those of the container's addresses and of what is behind it.
local function each_family(link, side, f)
  if not link.bridge then return f(nil) end
  local sources = sources_of(link)
  for _, family in ipairs(FAMILIES) do
    local list = sources[family]
    if list[1] then f(any_of(family .. " " .. side, list)) end
  end
end

local function input_chain(d)
  local chain = { hook = "input", priority = "filter" }
  for _, link in ipairs(d.links) do
    each_family(link, "saddr", function(match)
      chain[#chain + 1] = rule(nil, { "iifname", device(link) }, match, { "jump", "host" })
    end)
  end
  return chain
end

local function forward_chain(d)
  local chain = { hook = "forward", priority = "filter" }
  for _, link in ipairs(d.links) do
    if link.bridge then
      chain[#chain + 1] = { { "iifname", link.bridge }, { "oifname", link.bridge }, { "meta mark", bridges.CARRIED }, "accept" }
    end
    each_family(link, "saddr", function(match)
      chain[#chain + 1] = rule(nil, { "iifname", device(link) }, match, { "jump", "egress" })
    end)
    each_family(link, "daddr", function(match)
      chain[#chain + 1] = rule(nil, { "oifname", device(link) }, match, { "jump", "inbound" })
    end)
  end
  return chain
end

local function host_table(d)
  local chains = { input = input_chain(d), forward = forward_chain(d), host = host_chain(d.egress),
    egress = egress_chain(d.egress), inbound = inbound_chain(), about = about_chain(d), deny = deny_chain(d.egress, d.links) }
  bridges.add(d, chains)
  local postrouting = postrouting_chain(d)
  if postrouting[1] then chains.postrouting = postrouting end
  if d.publish[1] then
    chains.prerouting, chains.output = publish_rules(d, "prerouting") or nil, publish_rules(d, "output") or nil
  end
  return { family = "inet", table = d.table, counters = { "denied", "blocked" }, sets = sets_of(d.egress),
    chains = chains }
end

local function with_all(egress)
  egress = egress or {}
  return { allow = egress.allow or {}, internet = egress.internet, log = egress.log, open = egress.open,
    host = egress.host }
end

--- A description with all its fields.
function M.whole(d)
  return { table = d.table, links = d.links or {}, publish = d.publish or {}, egress = with_all(d.egress) }
end

--- The tables of a container's network, as netns.nft takes them.
-- d: { table = their name,
--   links = { { link = of the host, mac = the container's, addresses = { text… }, bridge = name, isolated = its port is,
--     nat = boolean, subnets = { its networks }, near = { networks of the container's other interfaces }, behind = { networks
--     it routes for } }… },
--   publish = { { proto =, address = of the host or nil for all, on_bridge = true where ::1 is meant too, on a bridge, port =,
--     to = address, to_port =, link = index of the link, aside = true where the container's way to everywhere is by another
--     interface, why = }… },
--   egress = { allow = { { cidr =, port =, proto =, why = }… }, internet = boolean, log = boolean, open = true: no limit } }
function M.tables(d)
  d = M.whole(d)
  return { link_table(d), host_table(d), bridges.table(d) }
end

--- The table of a container with interfaces that have no end on the host: in its own namespace, which it must have no power over.
-- What goes out by those is asked about, its own and what it forwards for a neighbour; of what goes by others the host is in
-- the way, or only a neighbour is at the other end.
-- d: { table =, egress =, outside = { their names } }, egress as above with host = { the host's addresses }, which no chain of
-- the host's tells from others here.
function M.own_table(d)
  local egress = with_all(d.egress)
  local inside = { "oifname", "!=", #d.outside == 1 and d.outside[1] or d.outside }
  local function chain(hook, ...) return { hook = hook, priority = "filter", { inside, "accept" }, ... } end
  return { family = "inet", table = d.table, counters = { "denied" }, sets = sets_of(egress),
    chains = { egress = egress_chain(egress), deny = deny_chain(egress, {}), forward = chain("forward", { { "goto", "egress" } }),
      about = { { "accept" } }, -- all connections there are its own, or its neighbours'
      output = chain("output", { { "icmpv6 type", { "nd-neighbor-solicit", "nd-neighbor-advert", "nd-router-solicit",
        "mld2-listener-report" } }, "accept" }, { { "goto", "egress" } }) } }
end

--- The rules that entries of a description ask for, by "CHAIN SLOT"; nil where some are of a kind that has no slot.
function M.varied(d)
  local found = {}
  for _, entry in ipairs(d.egress.allow) do
    if not names_one(entry) then return nil end
  end
  if not d.publish[1] and not d.egress.allow[1] then return found end
  for name, chain in pairs(host_table(d).chains) do
    for _, one in ipairs(chain) do
      local place = one.slot and name .. " " .. one.slot
      if place then
        found[place] = found[place] or {}
        table.insert(found[place], one)
      end
    end
  end
  return found
end

--- The tables of a description; is_fresh: where none of the name is.
function M.anew(d, is_fresh)
  local all = M.tables(d)
  for _, one in ipairs(all) do one.fresh = is_fresh and not one.gone end
  return all
end

return M
